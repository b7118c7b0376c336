# SPDX-License-Identifier: Apache-2.0
"""scep-status and scep-ready: who sees what, who decides, and what no other site's page can do."""
import datetime
import json
import re
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import conf
import env
import pki
import scep_client as scep
from test_300_stores import secret_file

FORM = "application/x-www-form-urlencoded"
HOSTILE = "CN=<script>alert(1)</script>\"'&\u202etxt,O=Example"
HANDLERS = """<Location "/%s">
    SetHandler %s
%s</Location>
"""
AUTH = "    AuthType Basic\n    AuthName \"PKI\"\n    AuthUserFile users\n    Require valid-user\n"


def handlers(auth=AUTH):
    return [HANDLERS % ("status", "scep-status", auth), HANDLERS % ("open", "scep-status", ""),
            HANDLERS % ("ready", "scep-ready", "")]


def ask(server, query="", headers=(), path="/status", user=conf.ADMIN, method="GET", body=None):
    headers = list(headers) + ([("Authorization", conf.authorization(user))] if user else [])
    return server.connection(keep_alive=False).request(method, path + query, headers, body)


def facts(server, query="", **how):
    response = ask(server, query, [("Accept", "application/json")], **how)
    assert response.status == 200, (response.status, response.body)
    return json.loads(response.body)


def service(server, name="corp"):
    return facts(server, "?service=" + name)["services"][0]


def post(server, fields, json_wanted=True, headers=(), **how):
    body = fields if isinstance(fields, bytes) else urllib.parse.urlencode(fields).encode()
    headers = ([("Content-Type", FORM)] if not any(k == "Content-Type" for k, _ in headers) else []) + \
        ([("Accept", "application/json")] if json_wanted else []) + list(headers)
    return ask(server, headers=headers, method="POST", body=body, **how)


def fields_of(tx, action="approve", name="corp", **more):
    return dict({"service": name, "tx": tx["tx"], "action": action, "token": tx["token"]}, **more)


def waiting(server, key, **fields):
    """A request that waits: its client, spec, and what the status page says of it."""
    client = server.client(keep_alive=False)
    spec = client.spec(key=key, challenge=server.challenge(), **fields)
    reply = client.transact(spec)
    assert reply.status == scep.PENDING, (reply.status, reply.fail_info, reply.fail_text)
    found = [tx for tx in service(server)["waiting"] if tx["transaction_id"] == spec.txid]
    assert len(found) == 1
    return client, spec, found[0]


@pytest.fixture(scope="module")
def server(module_factory):
    """corp wants approval of everything, lab of nothing and is for 'other' only."""
    services = [conf.Service(pki.make()).add("ScepApproval manual", "ScepPollInterval 1s"),
                conf.Service(pki.make(), "lab", "/lab").add(
                    "ScepStatusAuthorize \"%{REMOTE_USER} == 'other'\"")]
    return module_factory.httpd(services, locations=handlers()).start()


# Who sees it

@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_never_open(server, method):
    server.expect("SCEP0440", "AH01618")
    assert ask(server, path="/open", user=None, method=method, body=b"" if method == "POST" else None).status == 403
    assert ask(server, user=None, method=method).status == 401
    assert ask(server, user="nobody", method=method).status == 401


def test_a_service_is_for_those_whom_it_names(server):
    assert [s["service"] for s in facts(server)["services"]] == ["corp"]
    assert [s["service"] for s in facts(server, user="other")["services"]] == ["corp", "lab"]
    assert ask(server, "?service=lab").status == 404
    assert ask(server, "?service=lab", user="other").status == 200


def test_nobody_is_named(factory):
    lines = conf.Lines("ScepStatusAuthorize \"%{REMOTE_USER} == 'pki'\"")
    server = factory.httpd(server=lines, locations=handlers()).start()
    assert ask(server).status == 403
    server.log.wait("SCEP0441: mdm")


@pytest.mark.parametrize("query,status", [
    ("?service=corp", 200), ("?service=CORP", 200), ("?service=nobody", 404), ("?service=", 404),
    ("?service=corp&service=lab", 400), ("?service=%zz", 400), ("?service=%00corp", 400), ("?other=1", 200),
    ("?service=corp&tx=" + "0" * 64, 404), ("?tx=" + "0" * 64, 404), ("?service=corp&tx=../x", 404),
    ("?service=corp&tx=", 404), ("?service=corp&tx=" + "g" * 64, 404), ("?done=%3Cb%3E", 200)])
def test_queries(server, query, status):
    for headers in ((), [("Accept", "application/json")]):
        response = ask(server, query, headers)
        assert response.status == status, response.body
        assert b"<b>" not in response.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods(server, method):
    response = ask(server, method=method)
    assert response.status == 405 and set(response.header("Allow").split(",")) >= {"GET", "POST"}


# What it shows

def test_facts(server):
    corp = service(server)
    assert corp["ready"] is True and not corp["problems"]
    assert corp["path"] == "/certsrv/mscep/mscep.dll" and corp["store"]["ok"] and corp["ca"]["ok"]
    assert corp["store"]["url"].startswith("sqlite:") and corp["ca"]["backend"] == "local"
    assert [c["use"] for c in corp["certificates"]] == ["RA signing", "RA encryption", "CA"]
    assert all(300 < c["days"] for c in corp["certificates"])
    assert corp["challenges"]["policies"] == ["challenge"] and corp["challenges"]["lifetime"] == 3600
    assert corp["renewal"] == {"enabled": True, "window": "any", "grace": 0, "same_subject": True,
                               "key": "any", "foreign": False}
    assert corp["approval"]["mode"] == "manual" and corp["approval"]["templates"] == []
    assert facts(server, "?format=json")["services"][0]["service"] == "corp"


def test_headers(server):
    for response in (ask(server), ask(server, headers=[("Accept", "application/json")])):
        assert response.header("Cache-Control") == "no-store"
        assert response.header("X-Frame-Options") == "DENY"
        assert "default-src 'none'" in response.header("Content-Security-Policy")
        assert "form-action 'self'" in response.header("Content-Security-Policy")
        assert response.header("X-Content-Type-Options") == "nosniff"
    assert ask(server).header("Content-Type") == "text/html; charset=utf-8"


def test_head_is_get_without_body(server):
    get, head = ask(server), ask(server, method="HEAD")
    assert head.status == 200 and head.body == b""
    assert head.header("Content-Type") == get.header("Content-Type")


def test_a_hostile_request_is_only_text(server, keys):
    client, spec, tx = waiting(server, keys[0], subject=HOSTILE, txid="<img src=x>\"&",
                               extensions=[scep.san_extension(["a.example", "b, DNS:c\"<i>"]),
                                           scep.extension("1.2.3.4", b"\x04\x02<u")])
    pages = [ask(server).body.decode(), ask(server, "?service=corp&tx=" + tx["tx"]).body.decode()]
    for page in pages:
        assert "<script" not in page and "<img" not in page and "<i>" not in page and "<u>" not in page
        assert "\u202e" not in page
    assert "&lt;script" in pages[0] and "&lt;img src=x&gt;" in pages[0]
    assert spec.challenge not in "".join(pages)
    shown = facts(server, "?service=corp&tx=" + tx["tx"])
    assert spec.challenge not in json.dumps(shown)
    assert shown["request"]["names"] == ["DNS:a.example", "DNS:b, DNS:c\"<i>"]
    assert shown["request"]["key"] == "RSA-2048" and "script" in shown["request"]["subject"]
    assert "1.2.3.4" in [e["name"] for e in shown["request"]["extensions"]]
    assert shown["client"] == "127.0.0.1" and re.fullmatch("[0-9a-f]{12}", shown["challenge"])
    assert shown["waits_for"] == "approval"
    assert post(server, fields_of(shown, "deny", reason="no")).status == 200


# Decisions

@pytest.mark.smoke
def test_approved_by_a_program(server, keys):
    client, spec, tx = waiting(server, keys[0], subject="CN=approved")
    assert client.poll(spec).status == scep.PENDING
    response = post(server, fields_of(tx))
    assert response.status == 200, response.body
    assert json.loads(response.body) == {"result": "approved", "service": "corp", "tx": tx["tx"]}
    line = server.log.wait("SCEP0443")
    assert server.log.lines("challenge=%s made for caller=.mdm" % tx["challenge"])
    assert "was approved" in line and 'by="mdm"' in line and spec.txid in line and "CN=approved" in line
    reply = client.wait(spec)
    assert reply.status == scep.SUCCESS and reply.leaf.subject.rfc4514_string() == "CN=approved"
    assert tx["tx"] not in [other["tx"] for other in service(server)["waiting"]]
    assert post(server, fields_of(tx)).status == 200, "the same again is no error"
    assert post(server, fields_of(tx, "deny", reason="late")).status == 409


def test_denied_by_a_person(server, keys):
    """The form of the page, as a browser sends it."""
    client, spec, tx = waiting(server, keys[1], subject="CN=denied")
    page = ask(server, "?service=corp&tx=" + tx["tx"]).body.decode()
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    assert set(form) == {"service", "tx", "token"} and 'method="post"' in page
    browser = [("Origin", server.origin), ("Sec-Fetch-Site", "same-origin")]
    response = post(server, dict(form, action="deny", reason="not ours: \u00e4\u20ac"), False, browser)
    assert response.status == 303 and response.header("Location") == "?service=corp&done=denied"
    assert "was denied" in ask(server, response.header("Location")).body.decode()
    assert 'reason="not ours' in server.log.wait("SCEP0443")
    reply = client.poll(spec)
    assert reply.status == scep.FAILURE and reply.fail_text == "not ours: \u00e4\u20ac"
    again = client.transact(spec)
    assert again.status == scep.FAILURE and again.fail_text == "not ours: \u00e4\u20ac"


def test_nothing_but_post_decides(server, keys):
    client, spec, tx = waiting(server, keys[2], subject="CN=get")
    query = "?" + urllib.parse.urlencode(fields_of(tx))
    for method in ("GET", "HEAD"):
        ask(server, query, method=method)
    assert ask(server, query, [("Content-Type", FORM)], method="POST", body=b"").status == 404
    assert client.poll(spec).status == scep.PENDING
    assert post(server, fields_of(tx, "deny", reason="end")).status == 200


def wrong_fields(tx):
    right = fields_of(tx, "deny", reason="no")
    yield 403, dict(right, token="")
    yield 403, dict(right, token="0" * 64)
    yield 403, dict(right, token=right["token"][:-1])
    yield 403, dict(right, token=right["token"] + "0")
    yield 403, {k: v for k, v in right.items() if k != "token"}
    yield 404, dict(right, service="lab")
    yield 404, dict(right, service="")
    yield 404, dict(right, tx="0" * 63)
    yield 404, dict(right, tx=tx["tx"].upper() + "X")
    yield 400, dict(right, action="")
    yield 400, dict(right, action="delete")
    yield 400, dict(right, reason="")
    yield 400, dict(right, reason="  ")
    yield 400, {k: v for k, v in right.items() if k != "reason"}
    yield 400, dict(right, reason="x" * 256)
    yield 400, dict(right, reason="a\nb")
    yield 400, dict(right, reason="a\x7fb")
    yield 400, dict(right, reason="a\u0085b")
    yield 400, dict(right, action="approve", reason="\x1b[2J")
    encoded = urllib.parse.urlencode(right).encode()
    yield 400, encoded + b"&action=approve"
    yield 400, encoded.replace(b"reason=no", b"reason=%ff")
    yield 400, encoded.replace(b"reason=no", b"reason=%c0%80")
    yield 400, encoded.replace(b"reason=no", b"reason=%ed%a0%80")
    yield 400, encoded.replace(b"reason=no", b"reason=%00")
    yield 400, encoded.replace(b"reason=no", b"reason=\x00")
    yield 400, encoded.replace(b"reason=no", b"reason=%z")
    yield 413, encoded + b"&x=" + b"y" * 20000


def test_forms_that_are_wrong(server, keys):
    client, spec, tx = waiting(server, keys[3], subject="CN=form")
    for status, fields in wrong_fields(tx):
        response = post(server, fields)
        assert response.status == status, (fields, response.status, response.body)
    # a token is for its user, its request and its service
    assert post(server, fields_of(tx, "deny", reason="no"), user="other").status == 403
    for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x", FORM + "x"):
        assert post(server, fields_of(tx), headers=[("Content-Type", kind)]).status == 415
    assert client.poll(spec).status == scep.PENDING
    other = waiting(server, keys[0], subject="CN=other")[2]
    assert post(server, dict(fields_of(other, "deny", reason="no"), token=tx["token"])).status == 403
    for one in (tx, other):
        assert post(server, fields_of(one, "deny", reason="x" * 255)).status == 200
    assert post(server, dict(fields_of(tx), tx="0" * 64)).status == 403


@pytest.mark.parametrize("headers", [
    [("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site")], [("Sec-Fetch-Site", "x")],
    [("Origin", "http://evil.example")], [("Origin", "null")], [("Origin", "")],
    [("Origin", "http://127.0.0.1")], [("Origin", "http://127.0.0.1:1@evil.example")],
    [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")]])
def test_another_site_decides_nothing(server, keys, headers):
    client, spec, tx = waiting(server, keys[1], subject="CN=cross")
    response = post(server, fields_of(tx), headers=headers)
    assert response.status == 403 and json.loads(response.body)["error"] == "cross-site"
    server.log.wait("SCEP0444")
    assert client.poll(spec).status == scep.PENDING
    assert post(server, fields_of(tx, "deny", reason="end"), headers=[
        ("Origin", server.origin), ("Sec-Fetch-Site", "none")]).status == 200


def test_a_decision_is_final(server, keys):
    tx = waiting(server, keys[2], subject="CN=gone")[2]
    assert post(server, fields_of(tx, "deny", reason="end")).status == 200
    assert post(server, fields_of(tx, "deny", reason="end")).status == 200, "the same again is no error"
    assert post(server, fields_of(tx)).status == 409
    assert len(server.log.lines("SCEP0443.* was denied")) == 1 and not server.log.lines("SCEP0443.* approved")


def test_approval_survives_a_restart(factory, keys):
    """The request, the page's token and the decision."""
    server = factory.httpd([conf.Service(pki.make()).add("ScepApproval manual", "ScepPollInterval 1s")],
                           locations=handlers()).start()
    client, spec, tx = waiting(server, keys[0], subject="CN=restart")
    server.restart()
    assert post(server, fields_of(tx)).status == 200
    server.restart()
    assert client.wait(spec).status == scep.SUCCESS


def test_a_request_by_md5_is_shown(factory, keys):
    """Whoever approves sees what was asked for, whatever algorithms the service takes."""
    service_of = conf.Service(pki.make()).add("ScepApproval manual", "ScepLegacyAlgorithms 3des sha1 md5")
    server = factory.httpd([service_of], locations=handlers()).start()
    server.expect("MD5|md5")
    tx = waiting(server, keys[0], subject="CN=by-md5", csr_digest="md5")[2]
    assert facts(server, "?service=corp&tx=" + tx["tx"])["request"]["subject"] == "CN=by-md5"


def test_some_templates_only(factory, keys):
    service_of = conf.Service(pki.make()).add(
        "ScepLocalTemplate Vpn validity=10d", "ScepTemplate signature Vpn", "ScepApproval manual Vpn",
        "ScepPollInterval 1s")
    server = factory.httpd([service_of], locations=handlers()).start()
    assert server.enroll(keys[0], subject="CN=general").status == scep.SUCCESS
    tx = waiting(server, keys[1], subject="CN=vpn", extensions=[scep.key_usage_extension(0x80)])[2]
    assert tx["template"] == "Vpn"
    assert service(server)["approval"] == {"mode": "manual", "templates": ["Vpn"], "pending_max": 1000,
                                           "poll_interval": 1}


def test_no_more_wait_than_may(factory, keys):
    server = factory.httpd([conf.Service(pki.make()).add("ScepApproval manual", "ScepPendingMax 2")],
                           locations=handlers()).start()
    for number in range(2):
        waiting(server, keys[number], subject="CN=wait%d" % number)
    client = server.client()
    challenge = server.challenge()
    response = client.send(client.spec(key=keys[2], challenge=challenge).build())
    assert response.status == 429 and int(response.header("Retry-After")) > 0
    tx = service(server)["waiting"][0]
    assert post(server, fields_of(tx, "deny", reason="room")).status == 200
    assert client.enroll(keys[3], challenge).status == scep.PENDING


# Readiness

@pytest.mark.smoke
def test_ready(server):
    response = ask(server, path="/ready", user=None)
    assert response.status == 200 and response.body == b"ready\n"
    assert response.header("Content-Type") == "text/plain; charset=utf-8"
    assert response.header("Cache-Control") == "no-store"
    answer = facts(server, path="/ready", user=None)
    assert answer["ready"] and [s["service"] for s in answer["services"]] == ["corp", "lab"]
    assert ask(server, path="/ready", user=None, method="HEAD").body == b""
    assert ask(server, path="/ready", user=None, method="POST", body=b"").status == 405


def test_not_ready_without_a_store(factory):
    redis = factory.redis()
    secret = env.folder("secret") / "secret"
    secret.write_text("0123456789abcdef" * 4)
    secret.chmod(0o600)
    services = [conf.Service(pki.make()).add("ScepStore " + redis.urls()["tcp"],
                                             "ScepChallengeSecretFile %s" % secret),
                conf.Service(pki.make(), "lab", "/lab")]
    server = factory.httpd(services, locations=handlers()).start()
    assert ask(server, path="/ready", user=None).status == 200
    redis.stop()
    server.expect("SCEP02", "SCEP046")
    response = ask(server, path="/ready", user=None)
    assert response.status == 503
    assert re.fullmatch(rb"not ready\nservice corp: store: [^\n]+\n", response.body), response.body
    answer = ask(server, path="/ready", user=None, headers=[("Accept", "application/json")])
    assert answer.status == 503
    assert [s["ready"] for s in json.loads(answer.body)["services"]] == [False, True]
    corp = service(server)
    assert not corp["ready"] and not corp["store"]["ok"] and corp["waiting_problem"]
    assert "cannot be listed" in ask(server).body.decode()


def test_certificates_that_end_are_told(factory):
    right, key = pki.make(), pki.key("ending")
    folder = pki.Pki(env.folder("ending"))
    folder.write("ra.pem", pki.pem_of(pki.certificate(
        "Ending RA", key, right.load("ca.pem"), pki.key("ca-root"), days=12, since=-1,
        usage=("digital_signature", "key_encipherment"))))
    folder.write("ra.key", pki.pem(key))
    service_of = conf.Service(right).set("ScepRAEncryptionCertificate").set(
        "ScepRASigningCertificate", "%s/ra.pem %s/ra.key" % (folder.folder, folder.folder))
    server = factory.httpd([service_of], locations=handlers())
    server.expect("SCEP04")
    server.start()
    response = ask(server, path="/ready", user=None)
    assert response.status == 200 and re.search(
        rb"ready\nwarning: service corp: RA signing certificate CN=Ending RA: 1[012] days left", response.body)
    assert service(server)["warnings"] and "days left" in ask(server).body.decode()


def test_a_host_without_services(factory):
    server = factory.httpd(["# none\n"], admin=False, locations=handlers()).start()
    response = ask(server, path="/ready", user=None)
    assert response.status == 503 and b"no service" in response.body
    assert ask(server).status == 404


# Several hosts, and a policy without challenges

def test_one_host_shows_the_other_decides(factory, keys):
    """The token of one host's page is good at the other, and the device may ask either."""
    redis = factory.redis()
    secret = secret_file(env.folder("secret"))
    hosts = [factory.httpd([conf.Service(pki.make()).add("ScepApproval manual", "ScepPollInterval 1s")],
                           server=conf.Lines("ScepStore " + redis.urls()["tcp"],
                                             "ScepChallengeSecretFile %s" % secret),
                           locations=handlers()).start() for _ in range(2)]
    client, spec, tx = waiting(hosts[0], keys[0], subject="CN=across")
    assert facts(hosts[1], "?service=corp&tx=" + tx["tx"])["request"]["subject"] == "CN=across"
    assert post(hosts[1], fields_of(tx)).status == 200
    other = hosts[1].client()
    other.cacert()
    assert other.wait(spec).status == scep.SUCCESS


def test_approval_without_challenges(factory, keys):
    """Whoever asks waits for a person: the form has its token all the same."""
    server = factory.httpd([conf.Service(pki.make()).add("ScepPolicy none", "ScepApproval manual",
                                                         "ScepPollInterval 1s")], locations=handlers())
    server.expect("SCEP0")
    server.start()
    client = server.client()
    spec = client.spec(key=keys[0], subject="CN=none")
    assert client.transact(spec).status == scep.PENDING
    assert post(server, fields_of(service(server)["waiting"][0])).status == 200
    assert client.wait(spec).status == scep.SUCCESS


def test_a_revocation_list_that_ended_is_told(factory):
    right = pki.make()
    now = datetime.datetime.utcnow()
    ca = right.load("ca.pem")
    crl = x509.CertificateRevocationListBuilder().issuer_name(ca.subject).last_update(
        now - datetime.timedelta(days=9)).next_update(now - datetime.timedelta(days=2)).sign(
        pki.key("ca-root"), hashes.SHA256())
    path = pki.Pki(env.folder("crl")).write("old.crl", crl.public_bytes(serialization.Encoding.PEM))
    server = factory.httpd([conf.Service(right).add("ScepCRLFile %s" % path)], locations=handlers())
    server.expect("SCEP")
    server.start()
    assert b"warning: service corp: the CRL is past its nextUpdate" in ask(server, path="/ready", user=None).body
    assert service(server)["ca"]["crl_next_update"].startswith(
        (now - datetime.timedelta(days=2)).strftime("%Y-%m-%dT"))
