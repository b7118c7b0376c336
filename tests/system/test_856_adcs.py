# SPDX-License-Identifier: Apache-2.0
"""ScepCABackend adcs: devices enroll by SCEP, AD CS is asked by the Certificate Enrollment Web Service."""
import os
import re
import shutil

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

import conf
import env
import kdc
import scep_client as scep
from double_adcs import AUTHORIZATION, Adcs, ENROLLMENT, SECEXT

DOCUMENT = env.SOURCE / "docs" / "backends" / "adcs.md"
TEMPLATE = "DeviceÄ&Co"       # everything that needs quoting somewhere
USER = ("CORP\\svc-scep", "<p&ss>: word\"")
QUICK = ("ScepPolicy none", "ScepAuditLog audit.log", "ScepRequestTimeout 5s")


def service(double, directive=None):
    made = conf.Service(double.ca)
    made.set("ScepCABackend", (directive or double.backend()).split(None, 1)[1])
    return made.add("ScepPollInterval 1s", 'ScepTemplate general "%s"' % TEMPLATE)


def start(factory, double, directive=None):
    double.template = TEMPLATE
    server = factory.httpd([service(double, directive)], server=conf.Lines(*QUICK)).start()
    server.expect("SCEP0200")
    assert all("SCEP0200" in line for line in server.log.check())
    return server


@pytest.fixture(scope="module")
def double():
    made = Adcs()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(double, module_factory):
    return start(module_factory, double)


@pytest.fixture(autouse=True)
def well(request):
    yield
    if "double" in request.fixturenames:
        request.getfixturevalue("double").behave()


def ask(server, key, **fields):
    client = server.client(keep_alive=False)
    spec = client.spec(key=key, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None


def test_the_agent_asks_on_behalf(server, double, keys):
    """The double took the CMC message by openssl cms -verify and byte for byte, and the envelope."""
    reply = ask(server, keys[0], subject="CN=phone")[1]
    assert reply.status == scep.SUCCESS and reply.leaf.subject.rfc4514_string() == "CN=phone"
    body = double.bodies[-1]
    assert (SECEXT + "#PKCS7").encode() in body and AUTHORIZATION.encode() not in body
    assert server.log.wait("SCEP0355.*request 4711 of AD CS: Issued")


def test_pending_is_polled_by_any_host(factory, server, double, keys):
    """By the number of the request alone."""
    double.behave("pending")
    client = server.client()
    spec = client.spec(key=keys[0])
    assert client.transact(spec).status == scep.PENDING
    assert server.log.wait("SCEP0355.*Taken Under Submission")
    double.behave()
    assert client.wait(spec).status == scep.SUCCESS
    assert (ENROLLMENT + "/QueryTokenStatus").encode() in double.bodies[-1]


def test_pending_that_is_denied(server, double, keys):
    double.behave("pending")
    client = server.client()
    spec = client.spec(key=keys[1])
    assert client.transact(spec).status == scep.PENDING
    double.behave("rejected")
    double.hresult = 0x80094014, True
    reply = client.wait(spec)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert server.log.wait("reason=ca-denied.*0x80094014 CERTSRV_E_ADMIN_DENIED_REQUEST")


@pytest.mark.parametrize("code,reason,name", [
    (0x80094800, "ca-not-published", "CERTSRV_E_UNSUPPORTED_CERT_TYPE"),
    (0x80094012, "ca-permission", "CERTSRV_E_TEMPLATE_DENIED"),
    (0x80094009, "ca-permission", "CERTSRV_E_RESTRICTEDOFFICER"),
    (0x800B0102, "ca-validity", "CERT_E_VALIDITYPERIODNESTING"),
    (0x8009480B, "ca-agent", "CERTSRV_E_SIGNATURE_REJECTED"),
    (0x80094811, "ca-rejected", "CERTSRV_E_KEY_LENGTH"),
    (0x80094001, "ca-rejected", "CERTSRV_E_BAD_REQUESTSUBJECT"),
    (0x8000FFFF, "ca-rejected", ": no such end"),
])
def test_refusals_have_names(server, double, keys, code, reason, name):
    double.behave("rejected")
    double.hresult = code, True
    reply = ask(server, keys[2])[1]
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert server.log.wait("reason=%s.*0x%08x ?%s" % (reason, code, name))
    assert reply.hresult == code and reply.fail_text


def test_a_template_that_is_not_there(factory, double, keys):
    other = start(factory, double)
    double.template = "Other"
    reply = ask(other, keys[0])[1]
    double.template = TEMPLATE
    assert reply.status == scep.FAILURE
    assert other.log.wait("reason=ca-not-published.*0x80094800")


@pytest.mark.parametrize("code", [0x800706BA, 0x80092013, 0x8000FFFF])
def test_troubles_of_the_ca_are_not_refusals(server, double, keys, code):
    double.behave("rejected")
    double.hresult = code, False
    response, _ = ask(server, keys[3])
    assert response.status == 503
    assert server.log.wait("reason=ca-unavailable.*0x%08x" % code)


RAW = {
    "no-xml": (200, (), b"hello", "ca-answer"),
    "empty": (200, (), b"", "ca-answer"),
    "html": (500, (("Content-Type", "text/html"),), b"<html>IIS</html>", "ca-status"),
    "anonymous": (401, (), b"", "ca-credentials"),
    "away": (503, (), b"", "ca-unavailable"),
    "laughs": (200, (), b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><l>&b;</l>',
               "ca-answer"),
    "deep": (200, (), b"<a>" * 60000, "ca-answer"),
    "long": (200, (), b" " * (300 * 1024), "ca-unreachable"),
    "moved": (302, (("Location", "https://elsewhere.example/"),), b"", "ca-status"),
}


@pytest.mark.parametrize("case", sorted(RAW))
def test_answers_that_are_none(server, double, keys, case):
    *double.raw, reason = RAW[case]
    response, _ = ask(server, keys[1])
    assert response.status == 503 and server.log.wait("reason=(%s|ca-down)" % reason)
    double.behave()
    env.wait_until(lambda: ask(server, keys[1])[0].status == 200, 30, step=0.5)


def test_the_answer_to_another_question(server, double, keys):
    double.relates_to = "urn:uuid:00000000-0000-4000-8000-000000000000"
    assert ask(server, keys[1])[0].status == 503
    assert server.log.wait("reason=ca-answer.*another question")


def test_a_subject_out_of_the_directory(server, double, keys):
    """A template that builds it would give every device the name of our account."""
    double.subject = "CN=svc-scep"
    try:
        assert ask(server, keys[1], subject="CN=phone,O=Example")[0].status == 503
        assert server.log.wait("reason=ca-answer.*CN=svc-scep.*take it from the request")
        double.subject = "O=EXAMPLE"        # left out and written anew is what a CA may do
        assert ask(server, keys[1], subject="CN=phone,O=Example")[1].status == scep.SUCCESS
    finally:
        double.subject = None


def test_pkcs10(factory, keys):
    double = Adcs()
    try:
        server = start(factory, double, "ScepCABackend adcs request=pkcs10 url=%s %s" % (double.to, double.tls()))
        assert ask(server, keys[0])[1].status == scep.SUCCESS
        assert (ENROLLMENT + "#PKCS10").encode() in double.bodies[-1]
    finally:
        double.stop()


def test_user_and_password(factory, keys):
    double = Adcs(mutual=False, user=USER)
    try:
        server = start(factory, double, "ScepCABackend adcs url=%s caFile=%s userFile=%s %s" % (
            double.to, double.folder / "ca.pem", double.folder / "user", double.agent()))
        assert ask(server, keys[0])[1].status == scep.SUCCESS
        double.user = USER[0], "another"
        assert ask(server, keys[1])[0].status == 503
        assert server.log.wait("reason=ca-credentials.*user name and password")
        assert "p&ss" not in server.log.text() and "svc-scep" not in server.log.text()
        # a new password counts at once
        double.files.write("user", ("%s:another\n" % USER[0]).encode())
        double.for_httpd("user")
        assert ask(server, keys[1])[1].status == scep.SUCCESS
    finally:
        double.stop()


WRONG = {
    "no agent": ("url=%(to)s %(tls)s", "agentCertificate"),
    "agent without cmc": ("request=pkcs10 url=%(to)s %(tls)s %(agent)s", "signed by nobody"),
    "kind": ("request=pkcs7 url=%(to)s %(tls)s %(agent)s", "cmc or pkcs10"),
    "nobody": ("url=%(to)s %(agent)s", "certificate and key, or userFile"),
    "no agent's": ("url=%(to)s %(tls)s %(plain)s", "Certificate Request Agent"),
    "expired": ("url=%(to)s %(tls)s %(old)s", "has expired"),
    "other key": ("url=%(to)s %(tls)s %(mixed)s", "is not that of the certificate"),
    "no file": ("url=%(to)s %(tls)s agentCertificate=/nowhere.pem agentKey=/nowhere.key", "/nowhere.pem"),
    "other path": ("url=%(to)s url2=https://b.example/other/CES %(tls)s %(agent)s", "url2"),
    "longer path": ("url=%(to)s url2=%(to)s/x %(tls)s %(agent)s", "url2"),
    "no colon": ("url=%(to)s userFile=%(folder)s/bare %(agent)s", "user:password"),
    "open": ("url=%(to)s userFile=%(folder)s/open %(agent)s", "read or written by others"),
    "unknown": ("url=%(to)s %(tls)s %(agent)s keys=x", "agentCertificate"),
    "in the clear": ("url=http://ca.example/CES %(tls)s %(agent)s", "in the clear"),
}


@pytest.fixture(scope="module")
def files(double):
    double.agent_files("plain", usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    double.agent_files("old", days=-1)
    double.agent_files("mixed")
    shutil.copy(double.folder / "client.key", double.folder / "mixed.key")
    double.files.write("bare", b"svc-scep\n")
    double.files.write("open", b"svc-scep:x\n", 0o644)
    return {"to": double.to, "tls": double.tls(), "folder": double.folder, "agent": double.agent(),
            "plain": double.agent("plain"), "old": double.agent("old"), "mixed": double.agent("mixed")}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_configuration_that_is_wrong(factory, double, files, case):
    words, text = WRONG[case]
    server = factory.httpd([service(double, "ScepCABackend adcs " + words % files)])
    server.expect("ScepCABackend")
    status, output = server.configtest()
    assert status != 0 and text in output


def test_without_the_chain(factory, double):
    server = factory.httpd([service(double).set("ScepCAChain")])
    server.expect("ScepCAChain")
    status, output = server.configtest()
    assert status != 0 and "ScepCAChain is missing" in output


def examples(document):
    return re.findall(r"```apache\n(.*?)```", document.read_text(), re.S)


@pytest.mark.parametrize("number", range(len(examples(DOCUMENT))))
def test_configurations_of_the_document(factory, double, files, number):
    """httpd -t takes each, with our files for those that it names."""
    text = examples(DOCUMENT)[number]
    double.files.write("user", b"svc:secret\n")
    double.files.write("keytab", kdc.keytab_of("svc-scep@CORP.EXAMPLE"))
    folder = env.folder("document")
    for path in set(re.findall(r"/etc/apache2/scep/([\w.-]+)", text)):
        own = {"agent.pem": "agent.pem", "agent.key": "agent.key", "ces-client.pem": "client.pem",
               "ces-client.key": "client.key", "ad-root.pem": "ca.pem", "ces.user": "user",
               "svc-scep.keytab": "keytab"}.get(path)
        source = double.folder / own if own else double.ca.folder / {"ca-chain.pem": "chain.pem"}.get(path, path)
        shutil.copy(source, folder / path)
        os.chmod(folder / path, 0o600)
    server = factory.httpd([text.replace("/etc/apache2/scep", str(folder))], admin=False)
    status, output = server.configtest()
    assert status == 0, output
