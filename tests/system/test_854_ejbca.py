# SPDX-License-Identifier: Apache-2.0
"""ScepCABackend ejbca: what the suite of all backends does not ask."""
import re

import pytest

import conf
import env
import pki
import scep_client as scep
from double_ejbca import EjbcaDouble
from test_850_ca_contract import ask, audit
from webhook import Webhook

DOCUMENT = env.SOURCE / "docs" / "backends" / "ejbca.md"


@pytest.fixture
def double():
    made = EjbcaDouble()
    yield made
    made.stop()


def start(factory, double, *more, lines=(), url=None):
    made = conf.Service(double.ca).set("ScepCAChain").set(
        "ScepCABackend", double.backend(*more, url=url).split(None, 1)[1])
    server = factory.httpd([made.add(*lines)], server=conf.Lines(
        "ScepPolicy none", "ScepAuditLog audit.log", "ScepRequestTimeout 4s")).start()
    server.expect("SCEP0200")
    return server


def test_enrollment(double, factory, keys):
    """The chain is the CA's own; profile and end entity are what the options say."""
    server = start(factory, double, lines=("ScepTemplate general Router",))
    _, reply, _ = ask(server, keys[0], subject="CN=printer-7")
    assert reply.status == scep.SUCCESS and pki.verifies(reply.leaf, double.ca)
    asked = double.enrolled[0]
    assert asked["end_entity_profile_name"] == "Devices" and asked["include_chain"] is True
    assert asked["certificate_profile_name"] == "Router"
    assert re.fullmatch("scep-[0-9a-f]{40}", asked["username"])
    assert re.fullmatch("[0-9a-f]{48}", asked["password"]) and asked["password"] not in server.log.text()


def test_names(double, factory, keys):
    double.files.write("password", b"one for all\n")
    server = start(factory, double, "username=subject", "certificateProfile=ENDUSER",
                   "passwordFile=%s" % (double.folder / "password"))
    assert ask(server, keys[0], subject="CN=printer-7,O=Example")[1].status == scep.SUCCESS
    assert ask(server, keys[1], subject="O=Example")[1].status == scep.FAILURE
    assert [(a["username"], a["password"], a["certificate_profile_name"]) for a in double.enrolled] == [
        ("printer-7", "one for all", "ENDUSER")]


@pytest.mark.parametrize("answer,reason", [
    ("answer 201 {}", "ca-answer"),
    ("answer 201 []", "ca-answer"),
    ("answer 201 {\"certificate\":7}", "ca-answer"),
    ("answer 201 {\"certificate\":\"AAAA\"}", "ca-answer"),
    ("answer 200 nonsense", "ca-answer"),
    ("answer 401 {}", "ca-credentials"),
    ("answer 404 {\"error_message\":\"no such profile\"}", "ca-status"),
    ("answer 500 {\"error_message\":[]}", "ca-status"),
    ("answer 503 {}", "ca-unavailable"),
])
def test_answers(double, factory, keys, answer, reason):
    server = start(factory, double)
    double.behave(answer)
    response, _, spec = ask(server, keys[0])
    assert response.status == 503 and audit(server, spec)["reason"] == reason


def test_waiting(double, factory, keys):
    server = start(factory, double)
    double.behave("waiting")
    _, reply, spec = ask(server, keys[0])
    assert reply.status == scep.FAILURE and audit(server, spec)["reason"] == "ca-waiting"


def test_a_ca_that_is_not_shown(double, factory):
    double.ca_name = "Another CA"
    server = start(factory, double)
    server.expect("SCEP0342")
    assert server.client(keep_alive=False).get("GetCACert").status == 503
    assert server.log.wait("SCEP0342.*no CA that is called 'Issuing CA'")


def test_chain_is_served_while_the_ca_is_down(double, factory):
    server = start(factory, double)
    before = server.client(keep_alive=False).get("GetCACert")
    assert before.status == 200
    double.stop()
    server.restart()
    assert server.client(keep_alive=False).get("GetCACert").body == before.body


@pytest.fixture
def hook():
    made = Webhook()
    yield made
    made.stop()


def test_revocation(double, hook, factory, keys):
    """What policy forbids to deliver is revoked at the CA."""
    made = conf.Service(double.ca).set("ScepCAChain").set("ScepCABackend", double.backend().split(None, 1)[1])
    server = factory.httpd([made.add("ScepPolicy challenge", hook.policy("notifySync=on"))]).start()
    hook.thanks = (200, (), {"allow": False, "reason": "no such device"})
    client = server.client()
    client.cacert()
    assert client.enroll(keys[0], server.challenge()).status == scep.FAILURE
    assert double.issued and list(double.revoked) == double.issued


def test_failover(double, factory, keys):
    server = start(factory, double, "url2=%s/ejbca/ejbca-rest-api" % double.url,
                   url="https://localhost:%d" % env.free_port())
    assert ask(server, keys[0])[1].status == scep.SUCCESS


@pytest.mark.parametrize("options,said", [
    ("username=device", "transaction or subject"),
    ("certificateProfile=", "are names"),
    ("passwordFile=/nowhere/x", "/nowhere/x"),
    ("profile=x", "known keys"),
])
def test_options(double, factory, options, said):
    made = factory.httpd([conf.Service(double.ca).set(
        "ScepCABackend", double.backend(options).split(None, 1)[1])])
    status, output = made.configtest()
    assert status != 0 and said in output


def test_the_document_s_configuration(double, factory):
    blocks = re.findall("```apache\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    assert blocks
    for block in blocks:
        for path, ours in (("ra-", double.ca.path("ra-")), ("ejbca-tls.pem", double.folder / "ca.pem"),
                           ("ejbca-front.", double.folder / "client.")):
            block = block.replace("/etc/apache2/scep/" + path, str(ours))
        status, said = factory.httpd([block]).configtest()
        assert status == 0, said
