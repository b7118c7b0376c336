# SPDX-License-Identifier: Apache-2.0
"""ScepCABackend cmp against OpenSSL's CMP server: what the suite of all backends (test_850) does not ask."""
import re
import threading

import pytest

import conf
import double_cmp
import env
import pki
import scep_client as scep
from double_cmp import CmpDouble
from test_850_ca_contract import ask, audit, service, start, until_success

DOCUMENT = env.SOURCE / "docs" / "backends" / "cmp.md"


@pytest.fixture(scope="module")
def double():
    made = CmpDouble()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(double, module_factory):
    return start(module_factory, double)


@pytest.fixture(scope="module")
def by_secret(double, module_factory):
    """A server whose messages are protected by the secret."""
    return start_with(module_factory, double, double.by_secret())


@pytest.fixture(autouse=True)
def well(double):
    double.behave()
    double.said.clear()
    yield
    double.behave()


def start_with(factory, double, protection, *more):
    made = factory.httpd([conf.Service(double.ca).set(
        "ScepCABackend", double.backend(*more, protection=protection).split(None, 1)[1])],
        server=conf.Lines("ScepPolicy none", "ScepAuditLog audit.log", "ScepRequestTimeout 2s")).start()
    made.expect("SCEP0200")
    assert all("SCEP0200" in line for line in made.log.check())
    return made


def refused(server, key, reason, detail=""):
    """A request that ends in HTTP 503 for this reason; its spec."""
    response, _, spec = ask(server, key)
    assert response.status == 503
    line = audit(server, spec)
    assert line["reason"] == reason and re.search(detail, line["detail"]), line
    return spec


def test_by_secret(by_secret, keys):
    _, reply, _ = ask(by_secret, keys[0], subject="CN=by-secret")
    assert reply.status == scep.SUCCESS and reply.leaf.subject.rfc4514_string() == "CN=by-secret"


def test_confirmation(server, double, keys):
    """A CA that does not grant implicit confirmation gets one."""
    double.behave("confirm")
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    assert double.said == ["confirmed"]


def test_the_reason_reaches_log_and_device(server, double, keys):
    double.behave("rejected 2 no such end entity")
    _, reply, spec = ask(server, keys[0])
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    detail = audit(server, spec)["detail"]
    assert "badRequest" in detail and "no such end entity" in detail
    assert "no such end entity" in reply.fail_text


@pytest.mark.parametrize("bit,reason", [
    (1, "ca-credentials"), (20, "ca-credentials"), (23, "ca-credentials"), (3, "ca-unavailable"),
    (24, "ca-unavailable"), (25, "ca-unavailable")])
def test_what_is_not_the_device_s(server, double, keys, bit, reason):
    """failInfo (RFC 4210 appendix F) about us or about now: the device may come again."""
    double.behave("rejected %d come again" % bit)
    spec = refused(server, keys[1], reason, "come again")
    double.behave()
    assert until_success(server, spec)


@pytest.mark.parametrize("bit,fail_info", [(0, scep.BAD_ALG), (9, scep.BAD_MESSAGE_CHECK)])
def test_what_is_the_device_s(server, double, keys, bit, fail_info):
    double.behave("rejected %d never" % bit)
    _, reply, spec = ask(server, keys[1])
    assert (reply.status, reply.fail_info) == (scep.FAILURE, fail_info)
    assert audit(server, spec)["reason"] == "ca-rejected"


def test_waiting(server, double, keys):
    """Longer than the request may last: the device is told no, the CA that we are gone."""
    double.behave("pending 1")
    _, reply, spec = ask(server, keys[2])
    assert reply.status == scep.FAILURE and audit(server, spec)["reason"] == "ca-waiting"
    assert double.said == ["error"]


def test_waiting_for_a_moment(server, double, keys):
    """What is decided within the time of the request is polled."""
    double.behave("pending 0")
    timer = threading.Timer(0.7, double.behave)
    timer.start()
    assert ask(server, keys[2])[1].status == scep.SUCCESS
    timer.join()


@pytest.mark.parametrize("mode,detail", [("unprotected", "missing protection"),
                                         ("issued damaged", "not accepted")])
def test_protection(server, by_secret, double, keys, mode, detail):
    double.behave(mode)
    for each in server, by_secret:
        refused(each, keys[3], "ca-answer", detail)


def test_another_secret(by_secret, double, keys):
    """Of the CA: our message is refused, in words that it cannot protect."""
    double.serve_as(*double.signer, "Another-S3cret")
    _, reply, spec = ask(by_secret, keys[3])
    assert reply.status == scep.FAILURE and "wrong pbm value" in audit(by_secret, spec)["detail"]
    double.new_secret(double_cmp.SECRET)


def test_the_secret_is_replaced(by_secret, double, keys):
    double.new_secret("N3w-S3cret-of-CMP")
    assert ask(by_secret, keys[0])[1].status == scep.SUCCESS
    double.new_secret(double_cmp.SECRET)
    assert "S3cret" not in by_secret.log.text()


def test_half_replaced_credentials(server, double, keys):
    """A key without its certificate is not taken, and the old pair stays good."""
    server.expect("SCEP0350.*not that of the certificate")
    old = (double.folder / "ra.key").read_bytes()
    double.write("ra.key", pki.pem(pki.key("ra-cmp-half")))
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    double.write("ra.key", old)
    assert ask(server, keys[1])[1].status == scep.SUCCESS


def signer(double, name, issuer_key):
    """A certificate of that name for answers; its files."""
    key = pki.key("cmp-signer")
    issuer = double.ca.load("ca.pem") if issuer_key is pki.key("ca-root") else None
    made = pki.certificate(name, key, issuer, issuer_key if issuer else key, usage=("digital_signature",))
    folder = pki.Pki(env.folder("signer"))
    return folder.write("cert.pem", pki.pem_of(made), 0o644), folder.write("cert.key", pki.pem(key))


def test_another_sender(server, double, factory, keys):
    """A certificate of the same CA is not the CA, unless it is the one that is named."""
    double.serve_as(*signer(double, "Responder", pki.key("ca-root")))
    refused(server, keys[0], "ca-answer", "Responder.*does not match expected sender")
    named = start_with(factory, double, double.protection(), "sender=CN=Responder")
    assert ask(named, keys[0])[1].status == scep.SUCCESS
    double.serve_as(*double.signer)


def test_a_signer_that_is_not_trusted(server, double, factory, keys):
    """It has the CA's name, and is nobody's."""
    files = signer(double, "Test CA", pki.key("cmp-signer"))
    double.serve_as(*files)
    refused(server, keys[0], "ca-answer", "not accepted")
    trusting = start_with(factory, double, double.protection(), "trustFile=" + files[0])
    assert ask(trusting, keys[0])[1].status == scep.SUCCESS
    double.serve_as(*double.signer)


def test_the_ca_tells_its_certificates(double, factory, keys):
    """Without ScepCAChain, by genm; the names and the trust are said."""
    made = factory.httpd([service(double).set("ScepCAChain").set("ScepCABackend", double.backend(
        '"sender=CN=Test CA" "recipient=CN=Test CA"', "trustFile=" + double.ca.path("ca.pem")).split(None, 1)[1])],
        server=conf.Lines("ScepPolicy none")).start()
    made.expect("SCEP0200")
    assert pki.verifies(made.client().enroll(keys[0], None).leaf, double.ca)


@pytest.mark.parametrize("more,said", [
    ("trustFile={ca}", "recipient and sender"), ("", "ScepCAChain or trustFile"),
    ("trustFile={ca} sender=CN=x", "recipient and sender")])
def test_without_chain(double, factory, more, said):
    backend = double.backend(more.format(ca=double.ca.path("ca.pem")))
    made = factory.httpd([service(double).set("ScepCAChain").set("ScepCABackend", backend.split(None, 1)[1])])
    status, text = made.configtest()
    assert status != 0 and said in text


def test_failover(double, factory, keys):
    """The first URL is dead."""
    backend = double.backend("url2=" + double.url + "/second").replace(
        "url=" + double.url, "url=https://localhost:%d" % env.free_port(), 1)
    made = factory.httpd([service(double).set("ScepCABackend", backend.split(None, 1)[1])],
                         server=conf.Lines("ScepPolicy none")).start()
    made.expect("SCEP0200")
    client = made.client()
    assert client.enroll(keys[0], None).status == scep.SUCCESS


def test_many(server, double, keys):
    """Eight devices, twenty certificates each."""
    results = []

    def device(number):
        results.extend(ask(server, keys[number % len(keys)])[1] for _ in range(20))
    threads = [threading.Thread(target=device, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 160 and all(reply and reply.status == scep.SUCCESS for reply in results)
    assert len({reply.leaf.serial_number for reply in results}) == 160


@pytest.mark.parametrize("options,said", [
    ("", "raCertificate and raKey or by"),
    ("raCertificate={ra} secretFile={secret} reference=x", "either by"),
    ("secretFile={secret}", "needs reference"),
    ("secretFile={secret} reference=", "needs reference"),
    ("secretFile={secret} reference=x trustFile={ra}", "belong to raCertificate"),
    ("raCertificate={ra} raKey={key} reference=x", "belongs to secretFile"),
    ("raCertificate={ra} raKey=/nowhere/ra.key", "/nowhere/ra.key"),
    ("raCertificate={ra} raKey={other}", "not that of the certificate"),
    ("raCertificate={ra} raKey={key} sender=Responder", "not a name"),
    ("raCertificate={ra} raKey={key} sender=CN=", "not a name"),
    ("raCertificate={ra} raKey={key} recipient=Nothing=x", "not a name"),
    ("raCertificate={ra} raKey={key} trustFile=/nowhere", "/nowhere"),
    ("raCertificate={ra} raKey={key} plain=perhaps", "plain"),
])
def test_options(double, factory, options, said):
    text = options.format(ra=double.folder / "ra.pem", key=double.folder / "ra.key",
                          secret=double.folder / "secret", other=double.folder / "client.key")
    made = factory.httpd([conf.Service(double.ca).set("ScepCABackend", "cmp url=%s %s" % (double.url, text))])
    status, output = made.configtest()
    assert status != 0 and said in output and "Shared" not in output


def test_http_in_the_clear_is_asked_for(double, factory):
    for more, good in (("", False), ("plain=on", True)):
        made = factory.httpd([conf.Service(double.ca).set(
            "ScepCABackend", "cmp url=http://cmp.example/ %s %s" % (double.protection(), more))])
        assert (made.configtest()[0] == 0) == good


def test_the_document_s_configuration(double, factory):
    blocks = re.findall("```apache\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    assert blocks
    for block in blocks:
        for path, ours in (("ca-chain.pem", double.ca.path("chain.pem")), ("ra-", double.ca.path("ra-")),
                           ("ejbca-tls.pem", double.folder / "ca.pem"), ("cmp-ra.", double.folder / "ra.")):
            block = block.replace("/etc/apache2/scep/" + path, str(ours))
        status, said = factory.httpd([block]).configtest()
        assert status == 0, said
