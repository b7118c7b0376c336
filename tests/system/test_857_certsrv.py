# SPDX-License-Identifier: Apache-2.0
"""ScepCABackend certsrv: AD CS by its web enrollment pages."""
import os
import re
import shutil

import pytest

import conf
import env
import kdc
import scep_client as scep
from double_certsrv import Certsrv

DOCUMENT = env.SOURCE / "docs" / "backends" / "certsrv.md"
QUICK = ("ScepPolicy none", "ScepRequestTimeout 5s")
USER = ("CORP\\svc-scep", "p:ss word")


def service(double, directive=None):
    made = conf.Service(double.ca)
    made.set("ScepCABackend", (directive or double.backend()).split(None, 1)[1])
    return made.add("ScepPollInterval 1s", "ScepTemplate general Device")


def start(factory, double, directive=None):
    double.template = "Device"
    server = factory.httpd([service(double, directive)], server=conf.Lines(*QUICK)).start()
    server.expect("SCEP0200")
    assert all("SCEP0200" in line for line in server.log.check())
    return server


@pytest.fixture(scope="module")
def double():
    made = Certsrv()
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


def test_issued(server, double, keys):
    reply = ask(server, keys[0], subject="CN=phone")[1]
    assert reply.status == scep.SUCCESS and reply.leaf.subject.rfc4514_string() == "CN=phone"
    assert b"CertAttrib=&" in double.bodies[-1]     # the template is inside of the agent's signature
    assert server.log.wait("SCEP0357.*request [0-9]+ of AD CS: issued")


def test_pending_then_issued(server, double, keys):
    double.behave("pending")
    client = server.client()
    spec = client.spec(key=keys[0])
    assert client.transact(spec).status == scep.PENDING
    number = len(double.waiting)
    assert server.log.wait("SCEP0357.*request %d of AD CS: taken under submission" % number)
    double.behave()
    assert client.wait(spec).status == scep.SUCCESS
    assert double.fetched[-1] == "/certsrv/certnew.cer?ReqID=%d&Enc=b64" % number


def test_pending_then_denied(server, double, keys):
    double.behave("pending")
    client = server.client()
    spec = client.spec(key=keys[1])
    assert client.transact(spec).status == scep.PENDING
    double.behave("rejected")
    assert client.wait(spec).status == scep.FAILURE
    assert server.log.wait("reason=ca-denied.*CERTSRV_E_ADMIN_DENIED_REQUEST")


@pytest.mark.parametrize("code,reason", [(0x80094800, "ca-not-published"), (0x80094012, "ca-permission"),
                                         (0x800B0102, "ca-validity"), (0x80094811, "ca-rejected")])
def test_refusals_have_names_in_any_language(server, double, keys, code, reason):
    double.behave("rejected")
    double.hresult = code, True
    reply = ask(server, keys[2])[1]
    assert reply.status == scep.FAILURE and reply.hresult == code
    assert server.log.wait("reason=%s.*0x%08x" % (reason, code))


def test_what_was_issued_is_not_asked_for_twice(server, double, keys):
    """The certificate exists when the link is there: the device waits until it can be fetched."""
    double.fetch = 503, (), b""
    client = server.client()
    spec = client.spec(key=keys[3])
    assert client.transact(spec).status == scep.PENDING
    asked = len(double.bodies)
    double.behave()
    assert client.wait(spec).status == scep.SUCCESS
    assert len(double.bodies) == asked


def without_chain(factory, double):
    """The pages tell the CA's certificates."""
    made = service(double).set("ScepCAChain")
    server = factory.httpd([made], server=conf.Lines(*QUICK)).start()
    server.expect("SCEP0200", "SCEP0342")
    return server


def test_the_chain_is_fetched(factory, double, keys):
    """That of the CA's last renewal."""
    double.behave()
    server = without_chain(factory, double)
    assert server.client(keep_alive=False).get("GetCACert").status == 200
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    assert server.log.wait("SCEP0343") and "/certsrv/certnew.p7b?ReqID=CACert&Renewal=2&Enc=bin" in double.fetched


@pytest.mark.parametrize("renewals,p7b,text", [
    ("x", None, "no known page of certcarc.asp"), ("12345", None, "no known page of certcarc.asp"),
    ("0", b"", "no certificates in certnew.p7b"), ("0", b"<html>", "no certificates in certnew.p7b"),
])
def test_chains_that_are_none(factory, renewals, p7b, text):
    double = Certsrv()
    try:
        double.renewals, double.p7b = renewals, p7b
        server = without_chain(factory, double)
        assert server.client(keep_alive=False).get("GetCACert").status == 503
        assert server.log.wait("SCEP0342.*" + text)
    finally:
        double.stop()


RAW = {
    "page": (b"<HTML><BODY>Bienvenue</BODY></HTML>", "no known page"),
    "empty": (b"", "no known page"),
    "only a script": (b"<SCRIPT>x = 0x80094800;</SCRIPT>", "no known page"),
    "script without end": (b"<script" + b"0x8" * 20000, "no known page"),
    "no number": (b'<A HREF="certnew.cer?ReqID=&Enc=b64">', "no known page"),
    "long number": (b'<A HREF="certnew.cer?ReqID=12345678901&Enc=b64">', "no known page"),
    "far number": (b"<P ID=locInfoReqID>" + b" " * 400 + b"7</P>", "no known page"),
}


@pytest.mark.parametrize("case", sorted(RAW))
def test_pages_that_are_not_known(server, double, keys, case):
    page, text = RAW[case]
    double.raw = 200, (("Content-Type", "text/html"),), page
    assert ask(server, keys[1])[0].status == 503
    assert server.log.wait("reason=ca-answer.*" + text)


def test_a_subject_out_of_the_directory(server, double, keys):
    double.subject = "CN=svc-scep"
    try:
        assert ask(server, keys[1], subject="CN=phone")[0].status == 503
        assert server.log.wait("reason=ca-answer.*CN=svc-scep")
    finally:
        double.subject = None


def test_pkcs10_by_name_and_password(factory, keys):
    double = Certsrv(mutual=False, user=USER)
    try:
        server = start(factory, double, "ScepCABackend certsrv request=pkcs10 url=%s/certsrv caFile=%s userFile=%s" % (
            double.url, double.folder / "ca.pem", double.folder / "user"))
        assert ask(server, keys[0])[1].status == scep.SUCCESS
        assert b"CertAttrib=CertificateTemplate%3aDevice%0d%0a&" in double.bodies[-1]
        double.user = USER[0], "other"
        assert ask(server, keys[1])[0].status == 503
        assert server.log.wait("reason=ca-credentials") and "p:ss" not in server.log.text()
    finally:
        double.stop()


@pytest.mark.parametrize("words,text", [
    ("url=https://ca.example/certsrv request=pkcs10", "certificate and key, or userFile"),
    ("url=https://ca.example/certsrv?x request=pkcs10 userFile=%(folder)s/user", "no query"),
    ("url=https://ca.example/certsrv userFile=%(folder)s/user", "agentCertificate"),
    ("url=https://ca.example/certsrv userFile=%(folder)s/user template=x", "agentCertificate"),
])
def test_configuration_that_is_wrong(factory, double, words, text):
    double.files.write("user", b"svc:secret\n")
    server = factory.httpd([service(double, "ScepCABackend certsrv " + words % {"folder": double.folder})])
    server.expect("ScepCABackend")
    status, output = server.configtest()
    assert status != 0 and text in output


EXAMPLES = re.findall(r"```apache\n(.*?)```", DOCUMENT.read_text(), re.S)


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_configurations_of_the_document(factory, double, text):
    """httpd -t takes each, with our files for those that it names."""
    double.files.write("keytab", kdc.keytab_of("svc-scep@CORP.EXAMPLE"))
    folder = env.folder("document")
    for path in set(re.findall(r"/etc/apache2/scep/([\w.-]+)", text)):
        own = {"agent.pem": "agent.pem", "agent.key": "agent.key", "client.pem": "client.pem",
               "client.key": "client.key", "ad-root.pem": "ca.pem", "svc-scep.keytab": "keytab"}.get(path)
        source = double.folder / own if own else double.ca.folder / {"ca-chain.pem": "chain.pem"}.get(path, path)
        shutil.copy(source, folder / path)
        os.chmod(folder / path, 0o600)
    server = factory.httpd([text.replace("/etc/apache2/scep", str(folder))], admin=False)
    status, output = server.configtest()
    assert status == 0, output
