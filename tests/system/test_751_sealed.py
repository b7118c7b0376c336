# SPDX-License-Identifier: Apache-2.0
"""Sealed challenges on real hosts: one certificate each, whatever is sent, and what the logs say."""
import base64
import concurrent.futures
import json
import re
import subprocess

import pytest

import cmtrace
import conf
import env
import pki
import scep_client as scep
from test_300_stores import secret_file
from test_720_logs import Logs
from test_800_metrics import LOCATIONS, metrics

TEXT = "The challenge password cannot be verified. Obtain a new one."
JSON = ("Content-Type", "application/json")


def pair(folder, name, kind="rsa2048"):
    """Options of a self-signed pair with files of that name."""
    key = pki.key("sealed-" + name, kind)
    made = pki.certificate("registration point", key, usage=("digital_signature", "key_encipherment"))
    (folder / (name + ".pem")).write_bytes(pki.pem_of(made))
    (folder / (name + ".key")).write_bytes(pki.pem(key))
    (folder / (name + ".key")).chmod(0o600)
    return "certificate=%s key=%s" % (folder / (name + ".pem"), folder / (name + ".key"))


class Site:
    """Two hosts on one Redis that share the pair; a third one that does not."""

    def __init__(self, factory):
        self.redis = factory.redis()
        self.folder = env.folder("pair")
        secret = secret_file(env.folder("secret"))
        self.options = {name: pair(self.folder, name) for name in ("ours", "theirs")}
        self.hosts = []
        for name in ("ours", "ours"):
            service = conf.Service(pki.make()).add("ScepPolicy sealed " + self.options[name])
            lines = conf.Lines("ScepStore " + self.redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret,
                               "ScepFailureLimit 0", "ScepAuditLog audit.log", "ScepPolicyLog policy.log")
            self.hosts.append(factory.httpd([service], server=lines, locations=LOCATIONS[:1]).start())
        service = conf.Service(pki.make()).add("ScepPolicy sealed " + self.options["theirs"])
        self.stranger = factory.httpd([service]).start()


@pytest.fixture(scope="module")
def site(module_factory):
    return Site(module_factory)


def bind(server, bound):
    headers = [JSON, ("Authorization", conf.authorization())]
    response = server.connection(keep_alive=False).request("POST", server.admin_path(), headers,
                                                           json.dumps(bound).encode())
    assert response.status == 200, response.body
    return json.loads(response.body)["challenge"]


def enroll(server, key, challenge, **fields):
    """(transactionID, reply)."""
    client = server.client(keep_alive=False)
    spec = client.spec(key=key, challenge=challenge, **fields)
    return spec.txid, client.transact(spec)


def test_made_and_used(site, keys):
    """Made at one host, used at the other, by page and by JSON."""
    one, two = site.hosts
    challenge = bind(one, {"subject": "CN=device", "device": "d-1", "user": "u-1"})
    assert re.fullmatch("[A-Za-z0-9+/]+=*", challenge) and 1000 < len(challenge) < 4096
    page = one.challenge()
    assert page.startswith("MII") and len(page) > 1000
    txid, reply = enroll(two, keys[0], challenge)
    assert reply.status == scep.SUCCESS
    texts = Logs(two).texts(txid)
    assert "Validation Phase 3 started for device d-1 and user u-1." in texts
    assert Logs(two).audit(txid)[-1]["challengeCaller"] == conf.ADMIN
    assert enroll(two, keys[1], page)[1].status == scep.SUCCESS
    again = enroll(one, keys[2], challenge)[1]
    assert again.status == scep.FAILURE and again.fail_text == TEXT
    for host in site.hosts:
        assert challenge not in host.log.text() + Logs(host).audit_file.read_text() + Logs(host).policy_file.read_text()


def test_store_is_not_asked_to_make_one(factory):
    redis = factory.redis()
    service = conf.Service(pki.make()).add("ScepPolicy sealed " + pair(env.folder("pair"), "alone"))
    lines = conf.Lines("ScepStore " + redis.urls()["tcp"])
    server = factory.httpd([service], server=lines).start()
    redis.stop()
    server.expect("SCEP02", "SCEP046")
    assert server.challenge().startswith("MII")


@pytest.mark.parametrize("round_", range(6))
def test_replay_at_two_hosts_at_once(site, keys, round_):
    """Exactly one certificate, whoever is first."""
    challenge = bind(site.hosts[round_ % 2], {"device": "d"})
    for host in site.hosts:
        host.expect("SCEP0204")

    def attempt(number):
        client = site.hosts[number % 2].client(keep_alive=False)
        spec = client.spec(key=keys[number % len(keys)], challenge=challenge)
        response = client.send(spec.build())
        if response.status == 503:      # it was held; the device comes again
            env.wait_until(lambda: client.send(spec.build()).status == 200, 30, what="the challenge stays busy")
            response = client.send(spec.build())
        return client.reply(response, spec)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(attempt, range(8)))
    assert [reply.status for reply in replies].count(scep.SUCCESS) == 1
    assert {reply.fail_text for reply in replies if reply.status != scep.SUCCESS} == {TEXT}


def openssl(*words, data):
    return subprocess.run(["openssl", "cms", *words], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=True).stdout


def opened(site, challenge):
    """(EnvelopedData, JSON), as docs/registration-point.md says to look inside."""
    pem, key = str(site.folder / "ours.pem"), str(site.folder / "ours.key")
    envelope = openssl("-verify", "-inform", "DER", "-nointern", "-noverify", "-certfile", pem, "-binary",
                       data=base64.b64decode(challenge))
    return envelope, json.loads(openssl("-decrypt", "-inform", "DER", "-inkey", key, "-recip", pem, "-binary",
                                        data=envelope))


def signed(site, envelope, name, *flags):
    """The envelope signed by a pair, as openssl does it."""
    return base64.b64encode(openssl("-sign", "-binary", "-nodetach", "-outform", "DER", "-md", "sha256", "-signer",
                                    str(site.folder / (name + ".pem")), "-inkey", str(site.folder / (name + ".key")),
                                    *flags, data=envelope)).decode()


def sealed(site, content, recipient="ours"):
    """Encrypted and signed like a challenge of ours."""
    envelope = openssl("-encrypt", "-binary", "-outform", "DER", "-aes-256-cbc", "-recip",
                       str(site.folder / (recipient + ".pem")), "-keyopt", "rsa_padding_mode:oaep", "-keyopt",
                       "rsa_oaep_md:sha256", data=json.dumps(content).encode())
    return signed(site, envelope, "ours", "-nocerts")


def test_look_inside(site):
    challenge = bind(site.hosts[0], {"subject": "CN=x"})
    _, content = opened(site, challenge)
    assert set(content) == {"v", "service", "id", "iat", "exp", "caller", "template", "bound"}
    assert content["exp"] - content["iat"] == 3600 and content["bound"] == {"subject": "CN=x"}
    assert content["service"] == "corp" and content["caller"] == conf.ADMIN


def failures(server):
    """Challenges that were no good, as scep-metrics counts them."""
    return sum(count for (name, _), count in metrics(server).items() if name == "scep_challenge_failures_total")


FORGERIES = {
    "resigned": ("challenge-signature", lambda s, c: signed(s, opened(s, c)[0], "theirs", "-nocerts")),
    "embedded": ("challenge-signature", lambda s, c: signed(s, opened(s, c)[0], "ours")),
    "tampered": ("challenge-signature", lambda s, c: c[:-480] + ("A" if c[-480] != "A" else "B") + c[-479:]),
    "envelope": ("challenge-unknown", lambda s, c: base64.b64encode(opened(s, c)[0]).decode()),
    "cut": ("challenge-unknown", lambda s, c: c[:-400]),
    "short": ("challenge-unknown", lambda s, c: "0123456789ABCDEF"),
    "foreign": ("challenge-signature", lambda s, c: bind(s.stranger, {"device": "d"})),
    "recipient": ("challenge-envelope", lambda s, c: sealed(s, opened(s, c)[1], "theirs")),
    "service": ("challenge-foreign", lambda s, c: sealed(s, dict(opened(s, c)[1], service="other"))),
    "version": ("challenge-foreign", lambda s, c: sealed(s, dict(opened(s, c)[1], v=2))),
    "expired": ("challenge-expired", lambda s, c: sealed(s, dict(opened(s, c)[1], iat=1, exp=2))),
    "early": ("challenge-early", lambda s, c: sealed(s, dict(opened(s, c)[1], iat=9999999990, exp=9999999999))),
}


@pytest.mark.parametrize("name", sorted(FORGERIES))
def test_forgeries(site, keys, name):
    """Refused in phase 1, the device is told the same, and all three logs know why."""
    reason, forge = FORGERIES[name]
    host = site.hosts[0]
    good, before = bind(host, {"device": "d"}), failures(host)
    txid, reply = enroll(host, keys[0], forge(site, good))
    assert (reply.status, reply.fail_info, reply.fail_text) == (scep.FAILURE, "2", TEXT)
    assert "reason=" + reason in host.transaction_line(re.escape(txid))
    assert Logs(host).audit(txid)[-1]["reason"] == reason
    texts = Logs(host).texts(txid)
    assert "Validation Phase 1 finised with status False." in texts and not [x for x in texts if "Phase 2" in x]
    assert any(reason in x for x in texts)
    assert failures(host) == before + 1
    assert enroll(host, keys[0], good)[1].status == scep.SUCCESS     # it is still unused


def test_what_we_seal_by_hand_is_taken(site, keys):
    """So the forgeries above are refused for what was changed in them."""
    content = dict(opened(site, bind(site.hosts[0], {"device": "d"}))[1], id="ab" * 16)
    assert enroll(site.hosts[0], keys[0], sealed(site, content))[1].status == scep.SUCCESS


def test_bound_to_another_request(site, keys):
    host = site.hosts[1]
    for bound, reason, phase in (({"subject": "CN=nobody"}, "bound-subject", 3), ({"minKey": 4096}, "bound-key", 3)):
        txid, reply = enroll(host, keys[0], bind(host, bound))
        assert reply.status == scep.FAILURE and reply.fail_text != TEXT
        assert Logs(host).audit(txid)[-1]["reason"] == reason
        assert cmtrace.phase(phase, False) in Logs(host).texts(txid)


def test_short_ones_too(factory, keys):
    service = conf.Service(pki.make()).add("ScepPolicy sealed short=on " + pair(env.folder("pair"), "both"))
    server = factory.httpd([service]).start()
    plain, bound = server.challenge(), bind(server, {"subject": "CN=device"})
    assert re.fullmatch("[0-9A-F]{16}", plain) and len(bound) > 1000
    for challenge in (plain, bound):
        assert enroll(server, keys[0], challenge)[1].status == scep.SUCCESS
        assert enroll(server, keys[1], challenge)[1].status == scep.FAILURE
    assert enroll(server, keys[0], "FEDCBA9876543210")[1].status == scep.FAILURE


@pytest.mark.parametrize("how, complaint", [
    ("ec", "only an RSA key can open"), ("mismatch", "does not belong"), ("expired", "has expired"),
    ("absent", "absent")])
def test_configuration(factory, how, complaint):
    folder = env.folder("pair")
    options = pair(folder, "good")
    if how == "ec":
        options = pair(folder, "ec", "ec")
    elif how == "mismatch":
        pair(folder, "other")
        options = "certificate=%s key=%s" % (folder / "good.pem", folder / "other.key")
    elif how == "expired":
        key = pki.key("sealed-good")
        (folder / "good.pem").write_bytes(pki.pem_of(pki.certificate("old", key, days=-1, since=-30)))
    else:
        options = "certificate=%s" % (folder / "absent.pem")
    server = factory.httpd([conf.Service(pki.make()).add("ScepPolicy sealed " + options)])
    server.expect("SCEP04")
    status, text = server.configtest()
    assert status != 0 and complaint in text, text
