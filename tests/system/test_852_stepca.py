# SPDX-License-Identifier: Apache-2.0
"""ScepCABackend stepca: the tokens, what step-ca refuses, its chain, and revocation."""
import datetime
import re

import pytest

import conf
import der
import env
import pki
import scep_client as scep
from double_stepca import StepCA
from webhook import Webhook

ONE_CHILD = ("StartServers 1", "ServerLimit 1", "ThreadsPerChild 16", "MaxRequestWorkers 16",
             "MinSpareThreads 1", "MaxSpareThreads 16")
DOCUMENT = env.SOURCE / "docs" / "backends" / "stepca.md"


@pytest.fixture(scope="module")
def step():
    made = StepCA()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def well(step):
    step.behave()
    step.claims.clear()
    step.bodies.clear()
    step.maximum, step.skew = 366 * 86400, 0
    yield


def service(step, *more, **how):
    made = conf.Service(step.ca)
    return made.set("ScepCABackend", step.backend(*more, **how).split(None, 1)[1]).add("ScepPolicy none")


def start(factory, *services, **how):
    made = factory.httpd(list(services), **how).start()
    made.expect("SCEP0200")
    return made


@pytest.fixture(scope="module")
def server(step, module_factory):
    made = start(module_factory, service(step))
    made.log.check()
    return made


def ask(server, key, **fields):
    client = server.client(keep_alive=False)
    spec = client.spec(key=key, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None


def test_token(server, step, keys):
    names = scep.san_extension(["box.example", "b.example"], [
        der.implicit(1, b"box@example.com"), der.implicit(6, b"urn:box:7"), der.implicit(7, bytes([192, 0, 2, 7])),
        der.implicit(7, bytes.fromhex("20010db8000000000000000000000007"))])
    _, reply = ask(server, keys[0], subject="O=Example,CN=box", extensions=(names,))
    assert reply.status == scep.SUCCESS and pki.verifies(reply.leaf, step.ca)
    claims, = step.claims
    assert claims["sub"] == "box" and claims["aud"] == [step.url + "/1.0/sign"]
    assert claims["sans"] == ["box.example", "b.example", "box@example.com", "urn:box:7", "192.0.2.7", "2001:db8::7"]
    assert "notAfter" not in step.bodies[0]
    text = server.log.text(0)
    assert step.bodies[0]["ott"] not in text


@pytest.mark.parametrize("kind", ["rsa2048", "ec384", "ec521"])
def test_keys(factory, request, keys, kind):
    step = StepCA(kind_of_key=kind)
    request.addfinalizer(step.stop)
    server = start(factory, service(step))
    assert ask(server, keys[0])[1].status == scep.SUCCESS


def test_subject(server, step, keys):
    """The token names who is asked for: the common name, else the first alternative name, else nobody is."""
    assert ask(server, keys[0], subject="O=Example", extensions=(scep.san_extension(["only.example"]),))[
        1].status == scep.SUCCESS
    assert step.claims[-1]["sub"] == "only.example"
    _, reply = ask(server, keys[1], subject="O=Example")
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert server.log.wait("reason=csr-nameless") and len(step.claims) == 1


def test_validity(factory, step, keys):
    server = start(factory, service(step).add("ScepTemplate general Long", "ScepTemplate signature Long",
                                              "ScepTemplate encryption Long", "ScepLocalTemplate Long validity=90d"))
    _, reply = ask(server, keys[0])
    assert reply.leaf.not_valid_after - reply.leaf.not_valid_before > datetime.timedelta(days=89)
    assert step.bodies[-1]["notAfter"] == "7776000s"
    step.maximum = 86400
    _, reply = ask(server, keys[1])
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert server.log.wait("reason=ca-rejected.*more than the authorized maximum")


def test_a_clock_that_is_wrong(server, step, keys):
    step.skew = 3600
    assert ask(server, keys[0])[0].status == 503
    assert server.log.wait("reason=ca-credentials.*HTTP 401: The request lacked")


def test_a_key_of_nobody(factory, request, keys):
    """Refused until the provisioner's key is in the file; no restart."""
    step = StepCA()
    request.addfinalizer(step.stop)
    server = start(factory, service(step), server=conf.Lines(*ONE_CHILD))
    step.provisioner_key = pki.key("another", "ec")
    assert ask(server, keys[0])[0].status == 503
    assert server.log.wait("reason=ca-credentials")
    step.use(step.provisioner_key)
    env.wait_until(lambda: ask(server, keys[0])[0].status == 200, step=0.3)
    server.expect("SCEP0335")
    (step.folder / "provisioner.key").write_text("nonsense")
    assert ask(server, keys[1])[1].status == scep.SUCCESS
    assert server.log.wait("SCEP0335.*before is used")


def test_second_url(factory, step, keys):
    dead = "https://localhost:%d" % env.free_port()
    server = start(factory, service(step, "url2=" + step.url, url=dead))
    for key in keys:
        assert ask(server, key)[1].status == scep.SUCCESS
    assert step.claims[-1]["aud"] == [dead + "/1.0/sign", step.url + "/1.0/sign"]


def test_chain_of_its_own(factory, request, keys):
    step = StepCA(pki.make("intermediate"))
    request.addfinalizer(step.stop)
    server = start(factory, service(step).set("ScepCAChain"))
    found = env.wait_until(lambda: server.client(keep_alive=False).get("GetCACert").status == 200, 20)
    client = server.client(keep_alive=False)
    assert found and pki.der_of(step.ca.load("ca.pem")) in client.cacert()


def test_what_must_not_be_delivered_is_revoked(factory, request, step, keys):
    hook = Webhook()
    request.addfinalizer(hook.stop)
    hook.thanks = (403, (), {"allow": False, "text": "Lost."})
    server = start(factory, service(step).set("ScepPolicy").add(
        hook.policy("challengeRequired=off", "notifySync=on")))
    assert ask(server, keys[0])[1].status == scep.FAILURE
    assert list(step.revoked.values()) == [5] and step.claims[-1]["aud"] == [step.url + "/1.0/revoke"]


CONFIG = {
    "no provisioner": ("stepca url=https://s.example provisionerKey={k}", "provisioner"),
    "no key": ("stepca url=https://s.example provisioner=x", "provisionerKey"),
    "absent key": ("stepca url=https://s.example provisioner=x provisionerKey={k}.no", "{k}.no"),
    "weak key": ("stepca url=https://s.example provisioner=x provisionerKey={k}.weak", "neither RSA"),
    "open key": ("stepca url=https://s.example provisioner=x provisionerKey={k}.open", "{k}.open"),
    "query": ("stepca url=https://s.example?x provisioner=x provisionerKey={k}", "no query"),
    "unknown": ("stepca url=https://s.example provisioner=x provisionerKey={k} password=y", "password"),
}


@pytest.mark.parametrize("words, said", CONFIG.values(), ids=CONFIG.keys())
def test_configuration(factory, words, said):
    key = env.folder("key") / "k"
    for name, kind, mode in (("k", "ec", 0o600), ("k.open", "ec", 0o644), ("k.weak", "rsa1024", 0o600)):
        path = key.with_name(name)
        path.write_bytes(pki.pem(pki.key("provisioner", kind)))
        path.chmod(mode)
    server = factory.httpd([conf.Service(pki.make()).set("ScepCABackend", words.format(k=key))])
    status, text = server.configtest()
    server.expect("ScepCABackend|ScepService")
    assert status != 0 and said.format(k=key) in text


def test_configurations_of_the_document(factory, step):
    texts = re.findall(r"```apache\n(.*?)```", DOCUMENT.read_text(), re.S)
    assert texts
    for text in texts:
        for name in re.findall(r"/etc/apache2/scep/[\w.-]+", text):
            base = name.rsplit("/", 1)[1]
            ours = {"provisioner.key": step.folder / "provisioner.key", "step-root.pem": step.folder / "ca.pem",
                    "ca-chain.pem": step.ca.path("chain.pem")}
            text = text.replace(name, str(ours.get(base) or step.ca.path(base)))
        server = factory.httpd([text], admin=False)
        status, said = server.configtest()
        server.expect(".")
        assert status == 0, said
