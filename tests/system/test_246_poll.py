# SPDX-License-Identifier: Apache-2.0
"""CertPoll: a CA that decides later (RFC 8894 section 3.3.3)."""
import pytest

import conf
import env
import pki
import scep_client as scep

pytestmark = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")


class Switch:
    """The file that says what the CA does."""

    def __init__(self):
        self.path = env.folder("switch") / "switch"

    def says(self, text):
        temporary = self.path.with_suffix(".new")
        temporary.write_text(text + "\n")
        temporary.chmod(0o644)
        temporary.rename(self.path)


@pytest.fixture(scope="module")
def server(module_factory):
    switch = Switch()
    service = conf.Service(pki.make(), backend="fault").add("ScepPollInterval 1s", "ScepPendingMax 4")
    service.lines = [line + (" switch=%s" % switch.path if line.startswith("ScepCABackend") else "")
                     for line in service.lines]
    made = module_factory.httpd([service], fault=True, server=conf.Lines("ScepRequestTimeout 2s")).start()
    made.ca = switch
    return made


def pending(server, key, challenge=None, **fields):
    """A request that waits: client and spec."""
    server.ca.says("mode=pending")
    client = server.client()
    spec = client.spec(key=key, challenge=challenge or server.challenge(), **fields)
    assert client.transact(spec).status == scep.PENDING
    return client, spec


@pytest.mark.conformance("8894-26", "8894-31", "8894-35", "8894-36", "8894-49")
def test_pending_then_issued(server, keys):
    client, spec = pending(server, keys[0], subject="CN=patient")
    assert client.poll(spec).status == scep.PENDING
    server.ca.says("mode=issued")
    reply = client.wait(spec)
    assert reply.status == scep.SUCCESS
    assert reply.leaf.subject.rfc4514_string() == "CN=patient"
    assert reply.leaf.public_key().public_numbers() == keys[0].public_key().public_numbers()
    assert client.poll(spec).leaf == reply.leaf
    assert client.transact(client.spec(key=keys[0], txid=spec.txid, csr=spec.csr)).leaf == reply.leaf
    assert client.enroll(keys[1], spec.challenge).status == scep.FAILURE


def test_the_request_again_instead_of_a_poll(server, keys):
    client, spec = pending(server, keys[0])
    server.ca.says("mode=issued")
    again = lambda: client.transact(client.spec(key=keys[0], txid=spec.txid, csr=spec.csr))  # noqa: E731
    env.wait_until(lambda: again().status == scep.SUCCESS, step=0.5)


def test_pending_then_rejected(server, keys):
    client, spec = pending(server, keys[0])
    server.ca.says("mode=rejected")
    reply = client.wait(spec)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert client.poll(spec).status == scep.FAILURE
    server.ca.says("mode=issued")
    assert client.enroll(keys[1], spec.challenge).status == scep.SUCCESS


def test_a_ca_that_is_away_while_polled(server, keys):
    """The request goes on waiting, and is issued when the CA is back."""
    client, spec = pending(server, keys[0])
    server.ca.says("mode=retry")
    for _ in range(3):
        assert client.poll(spec).status == scep.PENDING
    server.ca.says("mode=issued")
    assert client.wait(spec, seconds=60).status == scep.SUCCESS


@pytest.mark.conformance("8894-49", "8894-28")
def test_who_may_poll(server, keys):
    """Transaction and key have to be the request's; the content decides nothing."""
    client, spec = pending(server, keys[0])
    for change in (dict(txid="another"), dict(signer_key=keys[1], signer_cert=None, key=keys[1])):
        reply = client.transact(client.poll_spec(spec, **change))
        assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_CERT_ID)
    data = scep.issuer_and_subject(client.ca(), "CN=whoever")
    assert client.transact(client.poll_spec(spec, data=data)).status == scep.PENDING
    # the same key under another self-signed certificate is the same device
    assert client.transact(client.poll_spec(spec, signer_cert=None,
                                            signer_subject="CN=new name")).status == scep.PENDING
    server.ca.says("mode=issued")
    assert client.wait(spec).status == scep.SUCCESS


@pytest.mark.parametrize("data", [b"", b"\x05\x00", b"\x30\x00", scep.name("CN=x"),
                                  b"\x30\x80\x00\x00", b"\x30\x03\x02\x01\x05", b"A" * 2000],
                         ids=["empty", "NULL", "empty sequence", "a name", "indefinite", "a number", "text"])
@pytest.mark.conformance("8894-19")
def test_damaged_polls(server, keys, data):
    client = server.client()
    spec = client.spec(key=keys[0], message_type=scep.CERT_POLL, data=data)
    reply = client.transact(spec)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)


def test_poll_without_envelope(server, keys):
    client = server.client()
    reply = client.transact(client.spec(key=keys[0], message_type=scep.CERT_POLL, data=False))
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)


def test_two_waiting_requests_of_one_device(server, keys):
    """Kept apart by transactionID (RFC 8894 section 4.4)."""
    client, first = pending(server, keys[2], subject="CN=first")
    _, second = pending(server, keys[2], subject="CN=second")
    server.ca.says("mode=issued")
    assert client.wait(second).leaf.subject.rfc4514_string() == "CN=second"
    assert client.wait(first).leaf.subject.rfc4514_string() == "CN=first"


def test_the_cap(server, keys):
    """ScepPendingMax: the fifth is told to come later, and its challenge is free."""
    waiting = []
    server.ca.says("mode=pending")
    client = server.client()
    while True:
        spec = client.spec(key=keys[len(waiting) % 4], challenge=server.challenge())
        response = client.send(spec.build())
        if response.status != 200:
            break
        assert client.reply(response, spec).status == scep.PENDING
        waiting.append(spec)
        assert len(waiting) <= 4
    assert response.status == 429 and int(response.header("Retry-After")) > 0
    server.ca.says("mode=issued")
    assert client.enroll(keys[0], spec.challenge).status == scep.SUCCESS
    for waiter in waiting:
        assert client.wait(waiter).status == scep.SUCCESS


def test_held_challenge(server, keys):
    """Another key with the challenge of a waiting request is refused, not told to come again."""
    client, spec = pending(server, keys[0])
    reply = client.enroll(keys[1], spec.challenge)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    server.ca.says("mode=issued")
    assert client.wait(spec).status == scep.SUCCESS


def test_renewal_that_waits(server, keys):
    server.ca.says("mode=issued")
    old = pki.der_of(server.enroll(keys[0], subject="CN=waits").leaf)
    server.ca.says("mode=pending")
    client = server.client()
    spec = client.renewal_spec(keys[1], old, keys[0])
    assert client.transact(spec).status == scep.PENDING
    server.ca.says("mode=issued")
    assert client.wait(spec).leaf.subject.rfc4514_string() == "CN=waits"


def test_no_challenge_in_the_store(server, keys):
    """The waiting request is sealed."""
    client, spec = pending(server, keys[0], subject="CN=sealed")
    text = b"".join(f.read_bytes() for f in (server.folder / "state").rglob("*") if f.is_file())
    assert b"sealed" in text and spec.challenge.encode() not in text
    server.ca.says("mode=issued")
    assert client.wait(spec).status == scep.SUCCESS
