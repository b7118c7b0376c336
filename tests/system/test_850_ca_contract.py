# SPDX-License-Identifier: Apache-2.0
"""What every signing backend promises, against a double of its CA: the result, and what the device gets."""
import json

import pytest

import ca_double
import conf
import env
import pki
import scep_client as scep

DOUBLES = ca_double.all_doubles()
QUICK = ("ScepPolicy none", "ScepAuditLog audit.log", "ScepRequestTimeout 2s")
ONE_CHILD = ("StartServers 1", "ServerLimit 1", "ThreadsPerChild 16", "MaxRequestWorkers 16",
             "MinSpareThreads 1", "MaxSpareThreads 16")

pytestmark = pytest.mark.skipif(not DOUBLES, reason="no backend has a double")


def service(double, *more):
    made = conf.Service(double.ca)
    return made.set("ScepCABackend", double.backend(*more).split(None, 1)[1]).add("ScepPollInterval 1s")


def start(factory, double, *more):
    server = factory.httpd([service(double, *more)], server=conf.Lines(*QUICK, *ONE_CHILD)).start()
    server.expect("SCEP0200")
    # a server of the whole module starts before the guard of its first test looks
    assert all("SCEP0200" in line for line in server.log.check())
    return server


@pytest.fixture(scope="module", params=DOUBLES, ids=lambda double: double.name)
def double(request):
    made = request.param()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(double, module_factory):
    return start(module_factory, double)


@pytest.fixture(autouse=True)
def well(double):
    double.behave()
    yield
    double.behave()


def ask(server, key, **fields):
    """(status of HTTP, reply or None, spec)"""
    client = server.client(keep_alive=False)
    spec = client.spec(key=key, **fields)
    return send(server, spec) + (spec,)


def send(server, spec):
    client = server.client(keep_alive=False)
    client.cacert()
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None


def audit(server, spec):
    """The last audit line of a transaction."""
    def found():
        lines = [json.loads(line) for line in (server.folder / "audit.log").read_text().splitlines()]
        return [line for line in lines if line.get("transactionID") == spec.txid]
    return env.wait_until(found, 10, what="no audit line")[-1]


def until_success(server, spec):
    """A device asks again as 503 says; its certificate."""
    def answered():
        _, reply = send(server, spec)
        return reply if reply and reply.status == scep.SUCCESS else None
    return env.wait_until(answered, 60, step=0.5, what="no certificate after the CA was well again").leaf


def test_issued(server, double, keys):
    names = scep.san_extension(["printer-7.example"])
    _, reply, spec = ask(server, keys[0], subject="CN=printer-7,O=Example", extensions=(names,))
    assert reply.status == scep.SUCCESS
    assert reply.leaf.subject.rfc4514_string() in ("CN=printer-7,O=Example", "O=Example,CN=printer-7")
    assert reply.leaf.public_key().public_numbers() == keys[0].public_key().public_numbers()
    assert pki.verifies(reply.leaf, double.ca) and audit(server, spec)["result"] == "success"


def test_rejected(server, double, keys):
    double.behave("rejected")
    _, reply, spec = ask(server, keys[0])
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert audit(server, spec)["reason"] == "ca-rejected"
    assert server.log.wait("reason=ca-rejected.*" + ca_double.REASON)


@pytest.mark.needs("pends")
def test_pending(server, double, keys):
    double.behave("pending")
    client = server.client()
    spec = client.spec(key=keys[0])
    assert client.transact(spec).status == scep.PENDING
    assert client.poll(spec).status == scep.PENDING
    double.behave()
    reply = client.wait(spec)
    assert reply.status == scep.SUCCESS and pki.verifies(reply.leaf, double.ca)


TROUBLE = {"transient": "ca-unavailable", "slow": "ca-(unreachable|deadline)", "cut": "ca-(unreachable|answer)",
           "garbage": "ca-(answer|status|error)", "oversized": "ca-(unreachable|answer)"}


@pytest.mark.parametrize("mode", sorted(TROUBLE))
def test_trouble(server, double, keys, mode):
    """503 with its reason; the same request ends in a certificate when the CA is well again."""
    server.log.expect("SCEP030[02]", *double.lines)
    double.behave(mode)
    response, _, spec = ask(server, keys[1])
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert server.log.wait("reason=(%s|ca-down)" % TROUBLE[mode])
    double.behave()
    assert pki.verifies(until_success(server, spec), double.ca)


@pytest.mark.parametrize("mode", ca_double.CERTIFICATE)
def test_wrong_certificate(server, double, keys, mode):
    """It is never delivered, and the log says what is wrong with it."""
    server.log.expect("SCEP0300")
    double.behave(mode)
    response, _, spec = ask(server, keys[2])
    assert response.status == 503
    assert server.log.wait("SCEP0300.*" + {"wrong-key": "key of the CSR", "ca-cert": "CA's",
                                           "wrong-chain": "does not verify|no certificate"}[mode])
    double.behave()
    assert pki.verifies(until_success(server, spec), double.ca)


@pytest.mark.needs("over_tls")
@pytest.mark.parametrize("kind", ["expired", "stranger", "wrong-name"])
def test_tls_that_is_not_trusted(request, factory, double, keys, kind):
    bad = type(double)(kind=kind)
    request.addfinalizer(bad.stop)
    server = start(factory, bad)
    response, _, _ = ask(server, keys[0])
    assert response.status == 503 and server.log.wait("reason=ca-unreachable")
    assert bad.asked == 0


@pytest.mark.needs("has_credentials")
def test_credentials_are_replaced(request, factory, double, keys):
    """Without a restart; requests under way before and after have their certificates."""
    own = type(double)()
    request.addfinalizer(own.stop)
    server = start(factory, own)
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    own.replace_credentials()
    _, _, spec = ask(server, keys[1])
    assert pki.verifies(until_success(server, spec), own.ca)
