# SPDX-License-Identifier: Apache-2.0
"""What policy adds to a certificate: template, subject, security identifier; what nobody may add."""
import json
import re
import subprocess

import pytest
from cryptography import x509

import approval
import conf
import der
import env
import pki
import scep_client as scep
from test_246_poll import Switch
from test_300_stores import secret_file
from test_720_logs import lines_of
from webhook import Webhook

SID = "S-1-5-21-1004336348-1177238915-682003330-1104"
OTHER_SID = "S-1-5-21-1004336348-1177238915-682003330-512"
SID_OID, SID_NAME_OID = "1.3.6.1.4.1.311.25.2", "1.3.6.1.4.1.311.25.2.1"
SID_URI = "tag:microsoft.com,2022-09-14:sid:"
ALL = "attributes=template,subject,sid"
TEMPLATES = ("ScepLocalTemplate Device validity=30d", "ScepLocalTemplate Vip validity=2d sanTypes=dns",
             "ScepLocalTemplate Nameless subject=none", "ScepLocalTemplate Mapped sanTypes=uri,sid",
             "ScepTemplate general Device")


def sid_value(sid):
    """By hand, as Windows writes it: SEQUENCE { [0] { OID, [0] { OCTET STRING } } }"""
    return der.seq(der.tlv(0xa0, der.oid(SID_NAME_OID) + der.explicit(0, der.octets(sid.encode()))))


def sid_extension(sid):
    return scep.extension(SID_OID, sid_value(sid))


def uri_extension(uri):
    return scep.extension("2.5.29.17", der.seq(der.tlv(0x86, uri.encode())))


def sid_of(certificate):
    """The extension's value, None without; it is not critical."""
    try:
        found = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(SID_OID))
    except x509.ExtensionNotFound:
        return None
    assert not found.critical
    return found.value.value


def days(certificate):
    return (certificate.not_valid_after - certificate.not_valid_before).days


@pytest.fixture(scope="module")
def hooks():
    made = [Webhook(), Webhook()]
    yield made
    for hook in made:
        hook.stop()


@pytest.fixture(autouse=True)
def well(hooks):
    for hook in hooks:
        hook.allow()
        hook.told.clear()


def service(name, *lines):
    return conf.Service(pki.make(), name, "/" + name).add(*TEMPLATES, *lines)


def settings(*lines):
    """Of a whole server; whatever is asked for, it is answered in time."""
    return conf.Lines("ScepAuditLog audit.log", *lines)


@pytest.fixture(scope="module")
def server(hooks, module_factory):
    """adds: all of it is allowed; closed: nothing is; two: two webhooks; manual: Vip needs a person."""
    open_hook = [hook.policy("challengeRequired=off", ALL) for hook in hooks]
    return module_factory.httpd([
        service("adds", open_hook[0]), service("closed", hooks[0].policy("challengeRequired=off")),
        service("sid", hooks[0].policy("challengeRequired=off", "attributes=sid")),
        service("two", *open_hook),
        service("manual", open_hook[0], "ScepApproval manual Vip", "ScepPollInterval 1s")],
        server=settings(), locations=[approval.LOCATION]).start()


SERVICES = {"adds": 0, "closed": 1, "sid": 2, "two": 3, "manual": 4}


def yes(attributes):
    return 200, (), {"allow": True, "attributes": attributes}


def ask(server, key, where="adds", **fields):
    """(HTTP response, reply or None, spec)"""
    client = server.client(SERVICES[where], keep_alive=False)
    spec = client.spec(key=key, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None, spec


def audit(server, spec):
    """The audit line of a transaction that was answered last."""
    found = env.wait_until(lambda: [x for x in lines_of(server.folder / "audit.log")
                                    if x.get("transactionID") == spec.txid], 10, what="no audit line")
    return found[-1]


def test_everything_is_added(server, hooks, keys):
    hooks[0].answer = yes({"template": "Vip", "subject": "CN=laptop-17,OU=A\\, B,O=Ex\u00e4mple,C=DE", "sid": SID,
                           "device": "7f3c", "user": "u17@corp.example"})
    _, reply, spec = ask(server, keys[0], subject="CN=whatever", extensions=(scep.san_extension(["a.example"]),))
    assert reply.status == scep.SUCCESS
    leaf = reply.leaf
    assert leaf.subject.rfc4514_string() == "CN=laptop-17,OU=A\\, B,O=Ex\u00e4mple,C=DE"
    assert days(leaf) == 2 and sid_of(leaf) == sid_value(SID)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    line = audit(server, spec)
    assert line["subject"] == "CN=whatever" and line["template"] == "Device"
    assert line["grantedSubject"] == "CN=laptop-17,OU=A\\, B,O=Ex\u00e4mple,C=DE"
    assert (line["grantedTemplate"], line["sid"]) == ("Vip", SID)
    assert (line["device"], line["user"]) == ("7f3c", "u17@corp.example")
    again = server.client(keep_alive=False)
    again.cacert()
    assert again.transact(spec).leaf == leaf and len(hooks[0].of("verify")) == 1


def test_openssl_reads_the_extension(server, hooks, keys):
    hooks[0].answer = yes({"sid": SID})
    leaf = ask(server, keys[0])[1].leaf
    path = env.folder("leaf") / "leaf.pem"
    path.write_bytes(pki.pem_of(leaf))

    def openssl(*words):
        return subprocess.run(["openssl", *words], check=True, stdout=subprocess.PIPE).stdout.decode()

    lines = openssl("asn1parse", "-in", str(path), "-inform", "PEM").splitlines()
    # 3.2 and later know the extension by name
    at = next(n for n, line in enumerate(lines) if SID_OID in line or "NTDS CA" in line)
    offset = lines[at + 1].split(":")[0].strip()
    inner = openssl("asn1parse", "-in", str(path), "-strparse", offset)
    kinds = re.findall(r"(?:cons|prim): +(cont \[ 0 \]|[A-Z ]+[A-Z])", inner)
    assert kinds == ["SEQUENCE", "cont [ 0 ]", "OBJECT", "cont [ 0 ]", "OCTET STRING"]
    assert inner.rstrip().endswith(":" + SID)
    assert leaf.subject.rfc4514_string() == "CN=device"


def test_nothing_is_added_unless_policy_does(server, keys):
    """Neither what an earlier request got, nor what the CSR wants for itself."""
    _, reply, spec = ask(server, keys[0], subject="CN=plain", extensions=(sid_extension(OTHER_SID),))
    assert reply.status == scep.SUCCESS
    assert reply.leaf.subject.rfc4514_string() == "CN=plain" and days(reply.leaf) == 30
    assert sid_of(reply.leaf) is None
    line = audit(server, spec)
    assert not {"grantedSubject", "grantedTemplate", "sid", "device", "user"} & set(line)


def test_the_csrs_identifier_is_not_taken(server, hooks, keys):
    hooks[0].answer = yes({"sid": SID})
    _, reply, _ = ask(server, keys[0], extensions=(sid_extension(OTHER_SID),))
    assert reply.status == scep.SUCCESS and sid_of(reply.leaf) == sid_value(SID)


URIS = {
    "its own": (None, SID_URI + OTHER_SID, False), "another": ({"sid": SID}, SID_URI + OTHER_SID, False),
    "case": (None, SID_URI.upper() + OTHER_SID, False), "vouched for": ({"sid": SID}, SID_URI + SID, True),
    "by template": ({"template": "Mapped"}, SID_URI + OTHER_SID, True),
}


@pytest.mark.parametrize("added, uri, good", URIS.values(), ids=URIS.keys())
def test_identifier_as_uri(server, hooks, keys, added, uri, good):
    hooks[0].answer = yes(added or {})
    _, reply, spec = ask(server, keys[0], extensions=(uri_extension(uri),))
    if good:
        assert reply.status == scep.SUCCESS
        return
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert "kind sid" in server.transaction_line(spec.txid)


REFUSED = {
    "template": ("closed", {"template": "Vip"}, "'template' is not allowed"),
    "subject": ("closed", {"subject": "CN=a"}, "'subject' is not allowed"),
    "sid": ("closed", {"sid": SID}, "'sid' is not allowed"),
    "more than allowed": ("sid", {"sid": SID, "subject": "CN=a"}, "'subject' is not allowed"),
    "unknown": ("adds", {"san": ["DNS:a"]}, "'san' is not known"),
    "null": ("adds", {"sid": None}, "'sid' is not"),
    "sid of a group": ("adds", {"sid": "S-1-5-32-544"}, "'sid' is not"),
    "no name": ("adds", {"subject": "laptop"}, "'subject' is not a name"),
    "long name": ("adds", {"subject": "CN=" + "a" * 65}, "'subject' holds a value"),
    "template's length": ("adds", {"template": "a" * 65}, "'template' is not"),
    "list": ("adds", [], "not a JSON object"), "text": ("adds", "{}", "not a JSON object"),
    "hostile": ("adds", {"x\r\nSCEP0000 forged": 1}, "is not known"),
}


@pytest.mark.parametrize("where, added, said", REFUSED.values(), ids=REFUSED.keys())
def test_what_may_not_be_added_is_no_verdict(server, hooks, keys, where, added, said):
    server.expect("SCEP0220")
    hooks[0].answer = yes(added)
    response, _, spec = ask(server, keys[0], where)
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert said in server.log.wait("SCEP0220.*attribute")
    assert audit(server, spec)["reason"] == "webhook"
    # news of other requests may still be under way
    assert spec.txid not in [told["transactionID"] for told in hooks[0].of("notify")]
    hooks[0].allow()
    assert ask(server, keys[0], where)[1].status == scep.SUCCESS


def test_same_name_twice(server, hooks, keys):
    server.expect("SCEP0220")
    hooks[0].answer = (200, (), b'{"allow":true,"attributes":{"sid":"%s","sid":"%s"}}' % (
        OTHER_SID.encode(), SID.encode()))
    assert ask(server, keys[0])[0].status == 503


def test_a_no_is_a_no(server, hooks, keys):
    hooks[0].answer = (200, (), {"allow": False, "attributes": {"sid": SID}})
    assert ask(server, keys[0])[1].status == scep.FAILURE


CANNOT = {"template that is not there": ({"template": "Gold"}, "SCEP0311", "ca-template"),
          "template's case": ({"template": "vip"}, "SCEP0311", "ca-template"),
          "template without subject": ({"template": "Nameless", "subject": "CN=a"}, "SCEP0303", "ca-attributes")}


@pytest.mark.parametrize("added, tag, reason", CANNOT.values(), ids=CANNOT.keys())
def test_what_the_ca_cannot_do(server, hooks, keys, added, tag, reason):
    """Nobody gets a certificate without what policy wants in it."""
    server.expect(tag)
    hooks[0].answer = yes(added)
    response, _, spec = ask(server, keys[0], extensions=(scep.san_extension(["a.example"]),))
    assert response.status == 503
    assert audit(server, spec)["reason"] == reason
    hooks[0].allow()
    assert ask(server, keys[0])[1].status == scep.SUCCESS


def test_the_added_templates_rules(server, hooks, keys):
    hooks[0].answer = yes({"template": "Vip"})
    _, reply, spec = ask(server, keys[0], extensions=(uri_extension("https://a.example/"),))
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert "kind uri, allowed are: dns" in server.transaction_line(spec.txid)


def test_two_webhooks(server, hooks, keys):
    hooks[0].answer = yes({"sid": SID, "device": "d1"})
    hooks[1].answer = yes({"subject": "CN=second", "sid": SID})
    _, reply, spec = ask(server, keys[0], "two")
    assert reply.status == scep.SUCCESS and sid_of(reply.leaf) == sid_value(SID)
    assert reply.leaf.subject.rfc4514_string() == "CN=second" and audit(server, spec)["device"] == "d1"
    assert all(len(hook.of("verify")) == 1 for hook in hooks)


@pytest.mark.parametrize("second", [{"sid": OTHER_SID}, {"device": "d2"}])
def test_two_that_contradict(server, hooks, keys, second):
    server.expect("SCEP0280")
    hooks[0].answer, hooks[1].answer = yes({"sid": SID, "device": "d1"}), yes(second)
    response, _, spec = ask(server, keys[0], "two")
    assert response.status == 503 and audit(server, spec)["reason"] == "policy-conflict"
    assert "'webhook' adds something that contradicts" in server.log.wait("SCEP0280")
    hooks[1].allow()
    assert ask(server, keys[0], "two")[1].status == scep.SUCCESS


def test_one_no_of_two(server, hooks, keys):
    hooks[1].answer = (200, (), {"allow": False})
    assert ask(server, keys[0], "two")[1].status == scep.FAILURE


EVERYTHING = {"template": "Vip", "subject": "CN=approved \\<b\\>", "sid": SID, "device": "7f3c", "user": "u17"}


def waiting(server, hooks, key, added):
    """A request that waits for a person: client, spec, what scep-status says of it."""
    hooks[0].answer = yes(added)
    client = server.client(SERVICES["manual"], keep_alive=False)
    spec = client.spec(key=key)
    assert client.transact(spec).status == scep.PENDING
    return client, spec, approval.waiting(server, "manual")[spec.txid]


def page(server, tx, headers=approval.HEADERS):
    response = server.connection(keep_alive=False).request(
        "GET", "/status?service=manual&tx=" + tx["tx"], headers)
    assert response.status == 200
    return response.body.decode()


def test_approved_with_what_was_added(server, hooks, keys):
    client, spec, tx = waiting(server, hooks, keys[0], EVERYTHING)
    assert json.loads(page(server, tx))["attributes"] == EVERYTHING
    html = page(server, tx, [("Authorization", conf.authorization())])
    assert "Policy adds" in html and "CN=approved \\&lt;b\\&gt;" in html and SID in html and "<b>" not in html
    assert approval.decide(server, spec.txid, service="manual") == 200
    reply = client.wait(spec)
    assert reply.status == scep.SUCCESS and sid_of(reply.leaf) == sid_value(SID)
    assert reply.leaf.subject.rfc4514_string() == "CN=approved \\<b\\>" and days(reply.leaf) == 2
    line = audit(server, spec)
    assert (line["sid"], line["grantedTemplate"], line["device"]) == (SID, "Vip", "7f3c")


def test_template_that_needs_no_person(server, hooks, keys):
    hooks[0].answer = yes({"sid": SID})
    assert ask(server, keys[0], "manual")[1].status == scep.SUCCESS
    _, _, tx = waiting(server, hooks, keys[1], {"template": "Vip"})
    assert json.loads(page(server, tx))["attributes"] == {"template": "Vip"}


def test_another_identifier_after_the_approval(server, hooks, keys):
    """What was approved is issued, or nothing is; the next attempt is approved anew."""
    server.expect("SCEP0280")
    client, spec, _ = waiting(server, hooks, keys[2], EVERYTHING)
    hooks[0].answer = yes(dict(EVERYTHING, sid=OTHER_SID))
    assert approval.decide(server, spec.txid, service="manual") == 200
    assert client.send(client.poll_spec(spec).build()).status == 503
    assert audit(server, spec)["reason"] == "policy-changed"
    again = client.spec(key=keys[2], txid=spec.txid, csr=spec.csr)
    assert client.transact(again).status == scep.PENDING
    tx = approval.waiting(server, "manual")[spec.txid]
    assert json.loads(page(server, tx))["attributes"]["sid"] == OTHER_SID


@pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")
def test_a_ca_that_takes_its_time(factory, hooks, keys):
    """Pended at one host, issued by the other, with what was added at first."""
    redis, secret, switch = factory.redis(), secret_file(env.folder("secret")), Switch()
    lines = []
    for _ in range(2):
        made = conf.Service(pki.make(), backend="fault").add(
            *TEMPLATES, hooks[0].policy("challengeRequired=off", ALL), "ScepPollInterval 1s")
        made.lines = [x + (" switch=%s" % switch.path if x.startswith("ScepCABackend") else "") for x in made.lines]
        lines.append(made)
    hosts = [factory.httpd([made], fault=True, server=settings(
        "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret)).start() for made in lines]
    clients = [host.client(keep_alive=False) for host in hosts]
    for client in clients:
        client.cacert()
    switch.says("mode=pending")
    hooks[0].answer = yes(dict(EVERYTHING, subject="CN=later"))
    spec = clients[0].spec(key=keys[0])
    assert clients[0].transact(spec).status == scep.PENDING
    assert SID.encode() not in redis.dump()
    hooks[0].answer = yes({"sid": OTHER_SID})       # is not asked again
    switch.says("mode=issued")
    reply = clients[1].wait(spec)
    assert reply.status == scep.SUCCESS and sid_of(reply.leaf) == sid_value(SID)
    assert reply.leaf.subject.rfc4514_string() == "CN=later" and days(reply.leaf) == 2
    assert len(hooks[0].of("verify")) == 1
    line = audit(hosts[1], spec)
    assert (line["sid"], line["user"], line["grantedSubject"]) == (SID, "u17", "CN=later")


def test_renewals(server, hooks, keys):
    """The webhook is asked again; what it does not add then is not in the new certificate."""
    hooks[0].answer = yes(dict(EVERYTHING, subject="CN=granted"))
    old = pki.der_of(ask(server, keys[0], subject="CN=asked")[1].leaf)
    client = server.client(keep_alive=False)
    renewed = client.renew(keys[1], old, keys[0])
    assert renewed.status == scep.SUCCESS and sid_of(renewed.leaf) == sid_value(SID)
    assert renewed.leaf.subject.rfc4514_string() == "CN=granted" and hooks[0].of("verify")[-1]["renewal"] is True
    hooks[0].allow()
    plain = client.renew(keys[2], old, keys[0])
    assert plain.status == scep.SUCCESS and sid_of(plain.leaf) is None
    # the names in use count, not those that were asked for at first
    reply = client.renew(keys[2], old, keys[0], subject="CN=asked")
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)


@pytest.fixture(scope="module")
def bound(module_factory):
    """Challenges that add the identifier that they are bound to, and such that do not."""
    made = [service("adding", "ScepPolicy challenge attributes=sid"), service("plain"), service("sealed")]
    files = made[2].pki
    files.write("point.pem", pki.pem_of(pki.certificate("point", pki.key("sealed"), usage=(
        "digital_signature", "key_encipherment"))), 0o644)
    files.write("point.key", pki.pem(pki.key("sealed")))
    made[2].add("ScepPolicy sealed certificate=%s key=%s attributes=sid" % (
        files.path("point.pem"), files.path("point.key")))
    return module_factory.httpd(made, server=settings()).start()


def mint(server, which, body):
    response = server.connection(keep_alive=False).request(
        "POST", server.admin_path(which), [("Content-Type", "application/json"),
                                           ("Authorization", conf.authorization())], json.dumps(body).encode())
    assert response.status == 200, response.body
    return json.loads(response.body)["challenge"]


def enroll(server, which, key, body, *extensions):
    client = server.client(which, keep_alive=False)
    return client.enroll(key, mint(server, which, body), subject="CN=bound", extensions=extensions)


@pytest.mark.parametrize("which", [0, 2], ids=["challenge", "sealed"])
@pytest.mark.parametrize("extension", [sid_extension(SID), uri_extension(SID_URI + SID)], ids=["OID", "URI"])
def test_bound_identifier(bound, keys, extension, which):
    """Policy vouches for it, so it may stand there; and a renewal keeps it."""
    reply = enroll(bound, which, keys[0], {"san": {"sid": SID}}, extension)
    assert reply.status == scep.SUCCESS and sid_of(reply.leaf) == sid_value(SID)
    client = bound.client(which, keep_alive=False)
    renewed = client.renew(keys[1], pki.der_of(reply.leaf), keys[0])
    assert renewed.status == scep.SUCCESS and sid_of(renewed.leaf) == sid_value(SID)
    assert scep._san_of(pki.der_of(renewed.leaf)) == scep._san_of(pki.der_of(reply.leaf))
    other = enroll(bound, which, keys[2], {"san": {"sid": OTHER_SID}}, extension)
    assert (other.status, other.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)


def test_identifier_of_another_ca(factory, keys):
    """A renewal takes the names of its certificate over, not the account that another CA's maps it to."""
    other = conf.Service(pki.make("intermediate")).add(*TEMPLATES, "ScepPolicy challenge attributes=sid")
    old = factory.httpd([other], server=settings()).start()
    leaf = enroll(old, 0, keys[0], {"san": {"sid": SID}}, sid_extension(SID)).leaf
    assert sid_of(leaf) == sid_value(SID)
    file = env.folder("foreign") / "old-ca.pem"
    file.write_bytes(pki.pem_of(other.pki.load("ca.pem")))
    new = factory.httpd([service("adding", "ScepPolicy challenge attributes=sid", "ScepRenewalCAFile %s" % file)],
                        server=settings())
    new.expect("ScepRenewalCAFile")
    new.start()
    for server, kept in ((old, sid_value(SID)), (new, None)):
        reply = server.client(keep_alive=False).renew(keys[1], pki.der_of(leaf), keys[0])
        assert reply.status == scep.SUCCESS and sid_of(reply.leaf) == kept


def test_identifier_of_an_unbound_challenge(bound, keys):
    reply = enroll(bound, 0, keys[0], {"minKey": 2048}, sid_extension(SID))
    assert reply.status == scep.SUCCESS and sid_of(reply.leaf) is None
    assert enroll(bound, 0, keys[0], {"minKey": 2048}, uri_extension(SID_URI + SID)).status == scep.FAILURE


def test_bound_identifier_without_the_setting(bound, keys):
    reply = enroll(bound, 1, keys[0], {"san": {"sid": SID}}, sid_extension(SID))
    assert reply.status == scep.SUCCESS and sid_of(reply.leaf) is None
    assert enroll(bound, 1, keys[0], {"san": {"sid": SID}}, uri_extension(SID_URI + SID)).status == scep.FAILURE


WRONG = {"unknown": "attributes=san", "empty": "attributes=", "twice": "attributes=sid,sid",
         "logs need no word": "attributes=device"}


@pytest.mark.parametrize("word", WRONG.values(), ids=WRONG.keys())
def test_configuration(factory, hooks, word):
    server = factory.httpd([service("adds", hooks[0].policy(word))])
    status, text = server.configtest()
    server.expect("ScepPolicy")
    assert status != 0 and "template, subject and sid" in text


def test_configuration_of_challenges(factory):
    server = factory.httpd([service("adding", "ScepPolicy challenge attributes=subject")])
    status, text = server.configtest()
    server.expect("ScepPolicy")
    assert status != 0 and "a challenge adds sid alone" in text
