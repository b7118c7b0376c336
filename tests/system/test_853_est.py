# SPDX-License-Identifier: Apache-2.0
"""ScepCABackend est, and the chain that a CA tells itself: what the suite of all backends does not ask."""
import base64
import os
import re
import time

import pytest

import conf
import env
import pki
import scep_client as scep
from double_est import EstDouble
from test_300_stores import secret_file
from test_850_ca_contract import ask, audit, until_success

DOCUMENT = env.SOURCE / "docs" / "backends" / "est.md"


@pytest.fixture
def double():
    made = EstDouble()
    yield made
    made.stop()


def service(double, *more, url=None):
    """Without ScepCAChain: the CA tells it."""
    made = conf.Service(double.ca).set("ScepCAChain").set(
        "ScepCABackend", double.backend(*more, url=url).split(None, 1)[1])
    return made.add("ScepPollInterval 1s")


def start(factory, made, *lines):
    server = factory.httpd([made], server=conf.Lines(
        "ScepPolicy none", "ScepAuditLog audit.log", "ScepRequestTimeout 4s", *lines)).start()
    server.expect("SCEP0200")
    return server


def chain_file(server):
    found = sorted(server.folder.glob("state/ca-chain-*"))
    assert len(found) <= 1, found
    return found[0] if found else None


def get_ca_cert(server):
    return server.client(keep_alive=False).get("GetCACert")


def test_enrollment(double, factory, keys):
    server = start(factory, service(double))
    names = scep.san_extension(["printer-7.example"])
    _, reply, spec = ask(server, keys[0], subject="CN=printer-7", extensions=(names,))
    assert reply.status == scep.SUCCESS and pki.verifies(reply.leaf, double.ca)
    assert audit(server, spec)["result"] == "success"
    assert b"\n" not in double.csrs[0] and base64.b64decode(double.csrs[0])
    assert server.log.wait("SCEP0343.*the issuing one is CN=")
    assert double.user.split(":", 1)[1] not in server.log.text()


def test_label(factory, keys):
    double = EstDouble(label="devices-1")
    try:
        server = start(factory, service(double))
        assert ask(server, keys[0])[1].status == scep.SUCCESS
    finally:
        double.stop()


@pytest.mark.parametrize("basic,mutual", [(True, False), (False, True)])
def test_credentials(factory, keys, basic, mutual):
    double = EstDouble(basic=basic, mutual=mutual)
    try:
        server = start(factory, service(double))
        assert ask(server, keys[0])[1].status == scep.SUCCESS
        if basic:
            double.user = "front:changed there"
            response, _, spec = ask(server, keys[1])
            assert response.status == 503 and audit(server, spec)["reason"] == "ca-credentials"
            double.write_user()
            assert pki.verifies(until_success(server, spec), double.ca)
    finally:
        double.stop()


@pytest.mark.parametrize("answer,reason", [
    ("answer 200 application/pkcs7-mime !!", "ca-answer"),
    ("answer 200 application/pkcs7-mime AAAA", "ca-answer"),
    ("answer 200 text/html <html>", "ca-answer"),
    ("answer 204 text/plain -", "ca-status"),
    ("answer 302 text/plain elsewhere", "ca-status"),
    ("answer 401 text/plain no", "ca-credentials"),
    ("answer 404 text/plain nothing here", "ca-status"),
    ("answer 429 text/plain slower", "ca-unavailable"),
    ("answer 500 text/plain oops", "ca-status"),
])
def test_answers(double, factory, keys, answer, reason):
    server = start(factory, service(double))
    double.behave(answer)
    response, _, spec = ask(server, keys[0])
    assert response.status == 503 and audit(server, spec)["reason"] == reason


def test_refusal_with_the_ca_s_words(double, factory, keys):
    server = start(factory, service(double))
    double.behave("answer 400 text/plain your key is\nknown to be weak")
    _, reply, spec = ask(server, keys[0])
    assert reply.status == scep.FAILURE
    assert "your key is known to be weak" in audit(server, spec)["detail"]


def test_pending_ends_on_another_host(double, factory, keys):
    redis = factory.redis()
    secret = secret_file(env.folder("secret"))
    hosts = []
    for _ in range(2):
        hosts.append(start(factory, service(double), "ScepStore " + redis.urls()["tcp"],
                           "ScepChallengeSecretFile %s" % secret))
    double.behave("pending")
    client = hosts[0].client()
    spec = client.spec(key=keys[0])
    assert client.transact(spec).status == scep.PENDING
    other = hosts[1].client()
    other.cacert()
    assert other.poll(spec).status == scep.PENDING
    double.behave()
    reply = other.wait(spec)
    assert reply.status == scep.SUCCESS and pki.verifies(reply.leaf, double.ca)
    assert len(set(double.csrs)) == 1
    # both know the same CA, although each asked for itself
    assert not hosts[0].log.lines("SCEP0461", 0) and not hosts[1].log.lines("SCEP0461", 0)


def test_failover(double, factory, keys):
    server = start(factory, service(double, "url2=" + double.url,
                                    url="https://localhost:%d" % env.free_port()))
    assert ask(server, keys[0])[1].status == scep.SUCCESS


def test_chain_is_served_while_the_ca_is_down(double, factory, keys):
    server = start(factory, service(double))
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    before = get_ca_cert(server)
    file = chain_file(server)
    assert pki.pem_of(double.ca.load("ca.pem")) in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    double.stop()
    assert get_ca_cert(server).body == before.body
    server.restart()
    assert get_ca_cert(server).body == before.body
    response, _, spec = ask(server, keys[1])
    assert response.status == 503 and audit(server, spec)["reason"] in ("ca-unreachable", "ca-down")
    # also when it is old; that it could not be refreshed is said once
    server.stop()
    server.expect("SCEP0342")
    os.utime(file, (time.time() - 7200,) * 2)
    server.start()
    for _ in range(8):
        assert get_ca_cert(server).body == before.body
    assert server.log.wait("SCEP0342.*the known ones stay in use")


def test_ca_that_was_never_reached(double, factory, keys):
    double.no_cacerts = True
    server = start(factory, service(double))
    server.expect("SCEP0342")
    response = get_ca_cert(server)
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert server.log.wait("SCEP0342.*cacerts: HTTP 503")
    assert not double.csrs and chain_file(server) is None
    double.no_cacerts = False
    env.wait_until(lambda: get_ca_cert(server).status == 200, 30, step=0.5, what="no chain")
    assert ask(server, keys[0])[1].status == scep.SUCCESS


def test_chain_that_cannot_be(double, factory):
    """A certificate that is no CA's: nothing is served."""
    double.extra = [double.ca.load("ra-sign.pem")]
    server = start(factory, service(double))
    server.expect("SCEP0342")
    assert get_ca_cert(server).status == 503
    assert server.log.wait("SCEP0342.*is not a CA's; name the CA's certificates by ScepCAChain")


def test_another_url_is_another_ca(double, factory):
    server = start(factory, service(double))
    assert get_ca_cert(server).status == 200
    server.stop()
    server.services = [service(double, url="https://127.0.0.1:%d" % env.free_port())]
    server.expect("SCEP0342")
    server.start()
    assert get_ca_cert(server).status == 503


@pytest.mark.parametrize("options,said", [
    ("", "certificate or userFile is needed"),
    ("certificate={tls}/client.pem key={tls}/client.key label=", "label"),
    ("certificate={tls}/client.pem key={tls}/client.key label=a/b", "label"),
    ("certificate={tls}/client.pem key={tls}/client.key label=..", "label"),
    ("certificate={tls}/client.pem key={tls}/client.key label=cacerts", "is an operation"),
    ("certificate={tls}/client.pem key={tls}/client.key lable=x", "known keys"),
    ("userFile={tls}/none", "none"),
    ("userFile={tls}/bare", "user:password"),
    ("userFile={tls}/first", "user:password"),
    ("userFile={tls}/open", "read or written by others"),
])
def test_options(double, factory, options, said):
    double.files.write("bare", b"no-colon-here\n")
    double.files.write("first", b":password\n")
    double.files.write("open", b"front:password\n", 0o644)
    made = factory.httpd([conf.Service(double.ca).set("ScepCABackend", "est url=%s caFile=%s/ca.pem %s" % (
        double.url, double.folder, options.format(tls=double.folder)))])
    status, output = made.configtest()
    assert status != 0 and said in output


def test_the_document_s_configuration(double, factory):
    blocks = re.findall("```apache\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    assert blocks
    for block in blocks:
        for path, ours in (("ca-chain.pem", double.ca.path("chain.pem")), ("ra-", double.ca.path("ra-")),
                           ("est-tls.pem", double.folder / "ca.pem"), ("est-front.", double.folder / "client."),
                           ("est.user", double.folder / "user")):
            block = block.replace("/etc/apache2/scep/" + path, str(ours))
        status, said = factory.httpd([block]).configtest()
        assert status == 0, said
