# SPDX-License-Identifier: Apache-2.0
"""The inventory on the status page: certificates are listed, found, revoked by hand and exported for openssl."""
import json
import re
import subprocess
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import conf
import env
import pki
import scep_client as scep
from test_246_poll import Switch
from test_270_status import ask, facts, handlers, post
from test_300_stores import secret_file

HOSTILE = [x509.NameAttribute(x509.NameOID.COMMON_NAME, "<script>\"'&/CN=b\\"),
           x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Zoë 日本, Inc=\\")]


class Site:
    """One Redis, two hosts; the CA's certificates name their CRL at the first host."""

    def __init__(self, factory):
        redis, secret, port = factory.redis(), secret_file(env.folder("secret")), env.free_port()
        self.pki, self.hosts, self.logs = pki.make(), [], []
        for number, mpm in enumerate(("event", "worker")):
            logs = env.folder("logs")
            logs.chmod(0o777)
            service = conf.Service(self.pki).add("ScepRenewal on", "ScepAuditLog %s/audit" % logs,
                                                 "ScepPolicyLog %s/policy" % logs)
            backend = next(line for line in service.lines if line.startswith("ScepCABackend "))
            service.set("ScepCABackend", backend.split(None, 1)[1] +
                        " crlDistributionPoint=http://127.0.0.1:%d/certsrv/ca.crl" % port)
            self.hosts.append(factory.httpd(
                [service], mpm=mpm, port=None if number else port, locations=handlers(), server=conf.Lines(
                    "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret)).start())
            self.logs.append(logs)


@pytest.fixture(scope="module")
def site(module_factory):
    return Site(module_factory)


@pytest.fixture(scope="module")
def server(module_factory):
    """On SQLite; lab is for 'other' only."""
    services = [conf.Service(pki.make()),
                conf.Service(pki.make(), "lab", "/lab").add("ScepStatusAuthorize \"%{REMOTE_USER} == 'other'\"")]
    return module_factory.httpd(services, locations=handlers()).start()


def hex_of(leaf):
    digits = "%x" % leaf.serial_number
    return "0" * (len(digits) % 2) + digits


def one(server, serial, **how):
    return facts(server, "?service=corp&serial=" + serial, **how)


def revoke(server, certificate, revocation="keyCompromise", **more):
    return post(server, dict({"service": "corp", "serial": certificate["serial"], "issuer": certificate["issuer"],
                              "action": "revoke", "revocation": revocation,
                              "token": certificate.get("token", "")}, **more))


def openssl(*arguments, **how):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, **how)


def write(folder, name, certificate):
    (folder / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / name


def index_of(server, folder):
    response = ask(server, "?service=corp&export=index.txt")
    assert response.status == 200 and response.header("Content-Type") == "text/plain; charset=utf-8"
    (folder / "index.txt").write_bytes(response.body)
    (folder / "index.txt.attr").write_text("unique_subject = no\n")
    return [line.split("\t") for line in response.body.decode().splitlines()]


# What is listed

def test_list_and_search(server, keys):
    leaves = [server.enroll(key).leaf for key in keys[:3]]
    page = facts(server, "?service=corp&certificates=")
    listed = [c["serial"] for c in page["certificates"]]
    assert listed[:3] == [hex_of(leaf) for leaf in reversed(leaves)] and page["next"] == ""
    found = one(server, hex_of(leaves[0]))
    assert found["state"] == "valid" and found["template"] == "default" and found["token"]
    assert found["thumbprintSHA256"].lower() == leaves[0].fingerprint(hashes.SHA256()).hex()
    assert found["notAfter"] == leaves[0].not_valid_after.strftime("%Y-%m-%dT%H:%M:%SZ")
    by_id = facts(server, "?service=corp&transactionID=" + urllib.parse.quote(found["transactionID"]))
    assert [c["serial"] for c in by_id["certificates"]] == [found["serial"]]
    html = ask(server, "?service=corp&serial=" + found["serial"]).body.decode()
    assert found["serial"] in html and 'name="revocation"' in html and found["token"] in html
    html = ask(server, "?service=corp&certificates=").body.decode()
    assert all(serial in html for serial in listed[:3]) and "index.txt" in html
    assert "certificates=" in ask(server, "?service=corp").body.decode()


def test_spellings_of_a_serial(server, keys):
    serial = hex_of(server.enroll(keys[0]).leaf)
    pairs = re.findall("..", serial)
    for text in (serial.upper(), "0x" + serial, "00" + serial, ":".join(pairs).upper(), " ".join(pairs)):
        assert one(server, urllib.parse.quote(text))["serial"] == serial, text


@pytest.mark.parametrize("query,status", [
    ("service=corp&serial=00", 404), ("service=corp&serial=", 404), ("service=corp&serial=x", 404),
    ("service=corp&serial=" + "a" * 66, 404), ("service=corp&serial=" + "0" * 5000, 404),
    ("service=corp&serial=0a&issuer=zz", 404), ("service=corp&serial=0a&issuer=", 404),
    ("service=corp&serial=0a&serial=0b", 400), ("service=corp&certificates=x", 400),
    ("service=corp&certificates=" + "0" * 15 + "%3A" + "0" * 16 + "%3A", 400), ("service=lab&certificates=", 404),
    ("service=lab&serial=0a", 404), ("service=lab&export=index.txt", 404), ("certificates=", 404), ("serial=0a", 404),
    ("service=corp&export=", 404), ("service=corp&export=index", 404), ("export=index.txt", 404),
    ("service=corp&transactionID=" + "x" * 300, 400), ("service=corp&transactionID=nobody", 200),
    ("service=corp&transactionID=%3Cb%3E", 200)])
def test_queries(server, query, status):
    for headers in ((), [("Accept", "application/json")]):
        response = ask(server, "?" + query, headers)
        assert response.status == status, response.body
        assert b"<b>" not in response.body


def test_not_without_a_user(server):
    server.expect("SCEP0440", "AH01618")
    for query in ("certificates=", "export=index.txt", "serial=0a"):
        assert ask(server, "?service=corp&" + query, path="/open", user=None).status == 403
        assert ask(server, "?service=corp&" + query, user=None).status == 401
        assert ask(server, "?service=lab&" + query, user="other").status in (200, 404)


# Revocation by hand

def test_forms_that_are_refused(server, keys):
    found = one(server, hex_of(server.enroll(keys[0]).leaf))
    other = one(server, hex_of(server.enroll(keys[1]).leaf))
    refused = [
        ({"token": ""}, 403), ({"token": other["token"]}, 403), ({"token": "0" * 64}, 403),
        ({"action": "approve"}, 400), ({"action": ""}, 400), ({"revocation": "certificateHold"}, 400),
        ({"revocation": ""}, 400), ({"revocation": "1"}, 400), ({"reason": "a\nb"}, 400), ({"reason": "x" * 256}, 400),
        ({"serial": other["serial"]}, 403), ({"serial": "00"}, 404), ({"issuer": "0" * 16}, 404),
        ({"service": "lab"}, 404)]
    for change, status in refused:
        response = revoke(server, found, **change)
        assert response.status == status, (change, response.body)
    assert "SCEP0502" in server.log.wait("SCEP0502")
    body = urllib.parse.urlencode({"service": "corp", "serial": found["serial"], "action": "revoke",
                                   "revocation": "superseded", "token": found["token"]}).encode()
    for headers in ([("Origin", "https://evil.example")], [("Sec-Fetch-Site", "cross-site")]):
        assert post(server, body, headers=headers).status == 403
    assert post(server, body, headers=[("Content-Type", "text/plain")]).status == 415
    assert post(server, body, user="other").status == 403          # the token is another user's
    assert one(server, found["serial"])["state"] == "valid"
    assert facts(server, "?service=corp&serial=" + found["serial"] + "&issuer=" + found["issuer"])["token"]


def test_a_browser_revokes(server, keys):
    found = one(server, hex_of(server.enroll(keys[0]).leaf))
    fields = {"service": "corp", "serial": found["serial"], "issuer": found["issuer"], "action": "revoke",
              "revocation": "superseded", "token": found["token"]}
    response = post(server, fields, json_wanted=False, headers=[("Origin", server.origin)])
    assert response.status == 303
    html = ask(server, response.header("Location")).body.decode()
    assert "revoked" in html and "superseded" in html and "<form" not in html.replace('<form method="get"', "")


@pytest.mark.smoke
def test_revoked_everywhere(site, keys):
    """By hand on one host: the other one refuses a renewal, openssl verify and ocsp refuse the certificate."""
    first, second = site.hosts
    leaf, other = first.enroll(keys[0]).leaf, first.enroll(keys[1]).leaf
    folder, ca = env.folder("revoked"), site.pki.path("ca.pem")
    files = write(folder, "leaf.pem", leaf), write(folder, "other.pem", other)
    for file in files:
        result = openssl("verify", "-crl_check", "-crl_download", "-CAfile", ca, file)
        assert result.returncode == 0, result.stderr
    client = second.client()
    client.cacert()
    assert client.renew(keys[2], pki.der_of(leaf), keys[0]).status == scep.SUCCESS
    response = revoke(second, one(second, hex_of(leaf)), reason="stolen \"phone\"")
    assert response.status == 200 and json.loads(response.body) == {
        "result": "revoked", "service": "corp", "serial": hex_of(leaf)}
    assert client.renew(keys[3], pki.der_of(leaf), keys[0]).status == scep.FAILURE
    client = first.client()
    client.cacert()
    assert client.renew(keys[3], pki.der_of(leaf), keys[0]).status == scep.FAILURE
    assert client.renew(keys[3], pki.der_of(other), keys[1]).status == scep.SUCCESS
    result = openssl("verify", "-crl_check", "-crl_download", "-CAfile", ca, files[0])
    assert result.returncode != 0 and "certificate revoked" in result.stderr
    assert openssl("verify", "-crl_check", "-crl_download", "-CAfile", ca, files[1]).returncode == 0
    shown = one(first, hex_of(leaf))
    assert shown["state"] == "revoked" and shown["revocation"] == "keyCompromise" and "token" not in shown
    assert revoke(first, dict(one(first, hex_of(other)), serial=hex_of(leaf))).status == 403
    # again: done, and nothing more is said
    assert revoke(second, dict(shown, token=one(second, hex_of(other))["token"])).status == 403


def test_logs(site, keys):
    first, second = site.hosts
    found = one(second, hex_of(second.enroll(keys[1]).leaf))
    assert revoke(second, found, "cessationOfOperation", reason="left the company").status == 200
    line = second.log.wait("SCEP0501.*" + found["serial"])
    assert 'was revoked by="mdm" revocation=cessationOfOperation reason="left the company"' in line
    audit = [json.loads(line) for line in (site.logs[1] / "audit").read_text().splitlines()]
    entry = [line for line in audit if line["operation"] == "Revoke" and line["serial"] == found["serial"]]
    assert len(entry) == 1
    assert entry[0]["by"] == "mdm" and entry[0]["revocation"] == "cessationOfOperation"
    assert entry[0]["text"] == "left the company" and entry[0]["result"] == "success"
    assert entry[0]["transactionID"] == found["transactionID"] and entry[0]["httpStatus"] == 200
    said = "Certificate %s was revoked by mdm, reason cessationOfOperation: left the company" % found["serial"]
    assert said in (site.logs[1] / "policy").read_text()
    assert not [line for line in first.log.lines("SCEP0501") if found["serial"] in line]


# index.txt

def responder(folder, site):
    """openssl ocsp as responder over the index: what it says of each certificate."""
    request = folder / "request.der"

    def ask_for(certificate):
        made = openssl("ocsp", "-no_nonce", "-issuer", site.pki.path("ca.pem"), "-cert", certificate,
                       "-reqout", request)
        assert made.returncode == 0, made.stderr
        answer = openssl("ocsp", "-index", folder / "index.txt", "-CA", site.pki.path("ca.pem"),
                         "-rsigner", site.pki.path("ca.pem"), "-rkey", site.pki.path("ca.key"), "-reqin", request,
                         "-respout", folder / "answer.der")
        assert answer.returncode == 0, answer.stderr
        result = openssl("ocsp", "-issuer", site.pki.path("ca.pem"), "-cert", certificate, "-reqin", request,
                         "-respin", folder / "answer.der", "-CAfile", site.pki.path("ca.pem"))
        assert "Response verify OK" in result.stderr, result.stderr
        return result.stdout
    return ask_for


def test_index_for_openssl(site, keys):
    first, second = site.hosts
    good = first.enroll(keys[0]).leaf
    odd = second.enroll(keys[1], subject=x509.Name(HOSTILE).public_bytes()).leaf
    bad = second.enroll(keys[2]).leaf
    assert revoke(first, one(first, hex_of(bad)), "affiliationChanged").status == 200
    withdrawn = second.enroll(keys[3]).leaf
    assert revoke(first, one(first, hex_of(withdrawn)), "privilegeWithdrawn").status == 200
    folder = env.folder("index")
    lines = index_of(second, folder)
    assert all(len(fields) == 6 for fields in lines)
    by_serial = {fields[3]: fields for fields in lines}
    assert len(by_serial) == len(lines)
    for leaf, flag in ((good, "V"), (odd, "V"), (bad, "R"), (withdrawn, "R")):
        fields = by_serial[hex_of(leaf).upper()]
        file = write(folder, "leaf.pem", leaf)
        subject = openssl("x509", "-in", file, "-noout", "-subject", "-nameopt", "compat").stdout
        assert fields[0] == flag and fields[4] == "unknown"
        assert fields[1] == leaf.not_valid_after.strftime("%y%m%d%H%M%SZ")
        assert fields[5] == subject.strip().split("subject=", 1)[1].strip()
    assert re.fullmatch(r"\d{12}Z,affiliationChanged", by_serial[hex_of(bad).upper()][2])
    assert re.fullmatch(r"\d{12}Z", by_serial[hex_of(withdrawn).upper()][2])
    ask_for = responder(folder, site)
    assert "good" in ask_for(write(folder, "good.pem", good))
    assert "good" in ask_for(write(folder, "odd.pem", odd))
    assert "revoked" in ask_for(write(folder, "bad.pem", bad))
    assert "revoked" in ask_for(write(folder, "withdrawn.pem", withdrawn))
    assert "unknown" in ask_for(site.pki.path("ra-sign.pem"))


def test_index_makes_a_crl(site, keys):
    """openssl ca -gencrl takes the index, and its list says what ours says."""
    host = site.hosts[0]
    leaf = host.enroll(keys[2]).leaf
    assert revoke(host, one(host, hex_of(leaf)), "superseded").status == 200
    folder = env.folder("gencrl")
    lines = index_of(host, folder)
    (folder / "openssl.cnf").write_text(
        "[ca]\ndefault_ca=c\n[c]\ndatabase=%s/index.txt\ncrlnumber=%s/number\ndefault_md=sha256\n"
        "default_crl_days=7\nunique_subject=no\n" % (folder, folder))
    (folder / "number").write_text("01\n")
    result = openssl("ca", "-gencrl", "-config", folder / "openssl.cnf", "-cert", site.pki.path("ca.pem"),
                     "-keyfile", site.pki.path("ca.key"), "-out", folder / "made.crl")
    assert result.returncode == 0, result.stderr
    made = x509.load_pem_x509_crl((folder / "made.crl").read_bytes())
    ours = x509.load_der_x509_crl(host.connection(keep_alive=False).request("GET", "/certsrv/ca.crl").body)
    assert {entry.serial_number for entry in made} == {entry.serial_number for entry in ours}
    assert leaf.serial_number in {entry.serial_number for entry in made}
    assert len(lines) >= len(list(made))


def test_head_and_many_pages(factory, keys):
    """More certificates than one page has; HEAD sends none of them."""
    server = factory.httpd(locations=handlers()).start()
    key, client, serials = keys[0], server.client(), set()
    client.cacert()
    for challenge in server.challenges(230):
        reply = client.enroll(key, challenge)
        assert reply.status == scep.SUCCESS
        serials.add(hex_of(reply.leaf))
    assert len(serials) == 230
    seen, place, pages = [], "", 0
    while True:
        page = facts(server, "?service=corp&certificates=" + urllib.parse.quote(place))
        seen += [c["serial"] for c in page["certificates"]]
        place, pages = page["next"], pages + 1
        if not place:
            break
    assert pages == 3 and len(seen) == 230 and set(seen) == serials
    html = ask(server, "?service=corp&certificates=").body.decode()
    assert "Older ones" in html
    assert {fields[3].lower() for fields in index_of(server, env.folder("pages"))} == serials
    head = ask(server, "?service=corp&export=index.txt", method="HEAD")
    assert head.status == 200 and head.body == b""


def test_store_away(factory, keys):
    """Without the store there is no list, no index and no revocation; none of them is empty instead."""
    redis = factory.redis()
    server = factory.httpd([conf.Service(pki.make())], locations=handlers(), server=conf.Lines(
        "ScepStore " + redis.urls()["tcp"],
        "ScepChallengeSecretFile %s" % secret_file(env.folder("secret")))).start()
    found = one(server, hex_of(server.enroll(keys[0]).leaf))
    server.expect("SCEP04", "SCEP02", "SCEP03")
    redis.stop()
    for query in ("certificates=", "export=index.txt", "serial=" + found["serial"]):
        assert ask(server, "?service=corp&" + query).status == 503, query
    assert revoke(server, found).status == 503


@pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")
def test_a_backend_that_cannot(factory, keys):
    server = factory.httpd([conf.Service(pki.make(), backend="fault-remote")], fault=True,
                           locations=handlers()).start()
    found = one(server, hex_of(server.enroll(keys[0]).leaf))
    assert found["state"] == "valid" and "token" not in found
    assert b"<select" not in ask(server, "?service=corp&serial=" + found["serial"]).body
    assert revoke(server, found, token="0" * 64).status == 403


@pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")
def test_somebody_else_s_ca(factory, keys):
    """What such a CA revoked through the service is noted, where a ledger does not say so; a failure is not."""
    switch = Switch()
    service = conf.Service(pki.make(), backend="fault-foreign")
    service.lines = [line + (" switch=%s" % switch.path if line.startswith("ScepCABackend") else "")
                     for line in service.lines]
    server = factory.httpd([service], fault=True, locations=handlers()).start()
    old = server.enroll(keys[0]).leaf
    found = one(server, hex_of(old))
    assert server.client(keep_alive=False).renew(keys[1], pki.der_of(old), keys[0]).status == scep.SUCCESS
    switch.says("mode=rejected")
    response = revoke(server, found)
    assert response.status == 409 and json.loads(response.body)["error"] == "ca"
    switch.says("mode=retry")
    assert revoke(server, found).status == 503
    assert "was not revoked" in server.log.wait("SCEP0501")
    assert one(server, found["serial"])["state"] == "valid"
    switch.says("mode=issued")
    assert revoke(server, found, "privilegeWithdrawn").status == 200
    shown = one(server, found["serial"])
    assert shown["state"] == "revoked" and shown["revocation"] == "privilegeWithdrawn" and "token" not in shown
    reply = server.client(keep_alive=False).renew(keys[2], pki.der_of(old), keys[0])
    assert reply.status == scep.FAILURE and server.log.wait("reason=signer-revoked")
    assert "V" in [fields[0] for fields in index_of(server, env.folder("foreign"))]
