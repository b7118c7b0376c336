# SPDX-License-Identifier: Apache-2.0
"""Damaged requests of each layer get the answer of damage.py, and the server is as well as before."""
import re
import socket

import pytest

import conf
import damage
import env
import pki
import scep_client as scep


@pytest.fixture(scope="module")
def server(module_factory):
    small = conf.Service(pki.make(), "small", "/small").add("ScepMaxMessageSize 4k")
    wide = conf.Service(pki.make()).add("ScepChallengeAttempts 0")
    return module_factory.httpd([wide, small]).start()



def pytest_generate_tests(metafunc):
    if "layer" in metafunc.fixturenames:
        metafunc.parametrize("layer", ["http", "base64", "cms", "attributes", "envelope", "csr", "challenge"])


def send(server, client, what, agent, keys):
    """(response, spec or None)"""
    headers = [("User-Agent", agent)]
    if callable(what) and not isinstance(what, type):
        what = what(damage.CURRENT["challenge"])
    if isinstance(what, dict):
        fields = dict(dict(key=keys[0], challenge=damage.CURRENT["challenge"]), **what)
        spec = client.spec(**fields)
        return client.send(spec.build(), headers=headers), spec
    if isinstance(what, damage.Built):
        what = what.change(client.spec(key=keys[0], challenge=damage.CURRENT["challenge"]).build())
    if isinstance(what, damage.Raw):
        head = what.head.replace(b"{path}", b"/certsrv/mscep/mscep.dll?operation=PKIOperation")
        head = head.replace(b"{host}", b"localhost").replace(b"{agent}", agent.encode())
        return client.http.raw(head + what.body, what.method), None
    if isinstance(what, damage.Get):
        return client.http.request(what.method, (what.path or client.path) + "?" + what.query, headers), None
    return client.http.request("POST", (what.path or client.path) + "?operation=PKIOperation", headers,
                               what.body, what.chunked), None


def answer(client, response, spec):
    """HTTP status, or of a verified CertRep its failInfo ("0?" for SUCCESS)."""
    if response.status != 200 or response.header("Content-Type") != "application/x-pki-message":
        return response.status, None
    if spec is not None and "transactionID" in spec.drop:
        spec = None     # the row wrote its own
    reply = scep.CertRep(response.body)
    recipient_known = spec is not None and reply.status != scep.SUCCESS
    reply.verify(client.signer, spec if recipient_known and "senderNonce" not in spec.drop
                 and 1 <= len(spec.sender_nonce) <= 64 else None)
    return (reply.fail_info if reply.status == scep.FAILURE else reply.status + "?"), reply


def problem(server, client, layer, name, row, number, keys):
    """What is wrong with the answer to a row, None if nothing is."""
    what, wanted, reason = row
    agent = "%s/%d" % (layer, number)
    try:
        response, spec = send(server, client, what, agent, keys)
        got, reply = answer(client, response, spec)
    except Exception as error:      # a table is read to its end
        return "%s: %s: %s" % (name, type(error).__name__, error)
    if got not in (wanted if isinstance(wanted, tuple) else (wanted,)):
        return "%s: wanted %s, got %s (%r)" % (name, wanted, got, reply and reply.fail_text)
    if reply is not None and reply.status == scep.FAILURE and (not reply.fail_text or reply.hresult is None):
        return "%s: failInfoText %r, HRESULT %r" % (name, reply.fail_text, reply.hresult)
    line = env.wait_until(lambda: [text for text in (server.folder / "access_log").read_text().splitlines()
                                   if text.endswith("agent=" + agent)] or reason == "-", 5,
                          what="no access_log line for " + name)
    if reason == "-":
        return None
    if isinstance(got, str) and (" result=refused " not in line[0] or " reason=- " in line[0]):
        return "%s: noted as %s" % (name, line[0])
    if reason and not re.search(r" reason=(%s)" % reason, line[0]):
        return "%s: wanted reason %s, got %s" % (name, reason, line[0])
    return None


@pytest.mark.smoke
@pytest.mark.conformance("8894-14", "8894-16", "8894-19", "8894-20", "8894-21",
                         "8894-25", "8894-27", "8894-28", "8894-30", "8894-56")
def test_table(server, keys, layer):
    client = server.client()
    client.cacert()
    table = damage.rows(keys)[layer]
    server.expect(*EXPECTED.get(layer, ()))
    challenges = iter(server.challenges(len(table) + 1))
    problems = []
    for number, (name, row) in enumerate(table.items()):
        damage.CURRENT["challenge"] = next(challenges)
        problems.append(problem(server, client, layer, name, row, number, keys))
    problems = [text for text in problems if text]
    assert not problems, "\n".join(problems)
    server.enroll(keys[0], challenge=next(challenges))


# Lines of warn and above that rows of a layer may bring.
EXPECTED = {"http": ("AH00566", "AH00565", "AH02429", "AH01587", "AH00135", "AH10244", "AH01585")}


def test_enough_rows(keys):
    assert sum(len(table) for table in damage.rows(keys).values()) >= 60


@pytest.mark.smoke
def test_every_byte_of_a_message(server, keys):
    """A bit flipped at 150 places: never a certificate that was not asked for, never no answer."""
    client = server.client()
    challenge = server.challenge()
    spec = client.spec(key=keys[0], challenge=challenge)
    good = spec.build()
    seen = set()
    for offset in range(0, len(good), max(1, len(good) // 150)):
        response = client.send(damage.flip(offset)(good))
        seen.add(response.status)
        if response.status == 200:
            reply = scep.CertRep(response.body)
            reply.verify(client.signer)
            seen.add(reply.status)
    assert seen <= {200, 400, "0", "2"} and 400 in seen


def test_body_cut_off(server, keys):
    """The device goes away in the middle."""
    server.expect("AH01587", "AH0", "SCEP04")
    for head in (b"Content-Length: 5000\r\n\r\n12345", b"Transfer-Encoding: chunked\r\n\r\n100\r\nabc"):
        with socket.create_connection((server.host, server.port)) as connection:
            connection.sendall(b"POST /certsrv/mscep/mscep.dll HTTP/1.1\r\nHost: x\r\n" + head)
    server.enroll(keys[0])


@pytest.mark.conformance("8894-34", "field-7")
def test_failure_has_no_envelope_and_no_secret(server, keys):
    challenge = server.challenge()
    client = server.client()
    reply = client.transact(client.spec(key=keys[0], challenge=challenge + "X"))
    assert reply.status == scep.FAILURE and not reply.content
    assert challenge.encode() not in reply.raw


def test_envelope_damage_is_one_answer(server, keys):
    """No oracle: padding, key transport and content that is no CSR cannot be told apart."""
    client = server.client()
    client.cacert()
    rows = damage.envelope_rows(keys)
    said = set()
    damage.CURRENT["challenge"] = "x"
    for name in ("key transport is noise", "ciphertext with a bad padding", "foreign recipient",
                 "ciphertext no multiple of a block", "key transport is short"):
        response, spec = send(server, client, rows[name][0], "oracle", keys)
        reply = client.reply(response, spec)
        said.add((reply.fail_info, reply.fail_text, reply.hresult))
    response, spec = send(server, client, dict(edit={"csr": lambda c: b"no CSR at all"}), "oracle", keys)
    reply = client.reply(response, spec)
    said.add((reply.fail_info, reply.fail_text, reply.hresult))
    assert len(said) == 1
