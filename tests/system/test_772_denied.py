# SPDX-License-Identifier: Apache-2.0
"""What a person denies is told as every other end: to a webhook, to Intune, and to a registration point; two hosts on
one Redis, one denies and either delivers."""
import pytest

import approval
import conf
import env
import pki
import scep_client as scep
from crp import Crp
from intune import Intune
from test_300_stores import secret_file
from test_720_logs import logging
from webhook import Webhook

MANUAL = ("ScepApproval manual", "ScepPollInterval 1s")


class Doubles:
    def __init__(self):
        self.hook, self.cloud, self.crp = Webhook(), Intune(), Crp()

    def stop(self):
        for made in self.hook, self.cloud, self.crp:
            made.stop()


@pytest.fixture(scope="module")
def doubles():
    made = Doubles()
    yield made
    made.stop()


def services(doubles):
    return [conf.Service(made, **how).add("ScepPolicy challenge" if line is doubles.hook else line.policy(), *more)
            for made, how, line, more in (
                (pki.make(), {}, doubles.hook, (doubles.hook.policy(),) + MANUAL),
                (pki.make(), dict(name="intune", path="/intune"), doubles.cloud, MANUAL),
                (pki.make(), dict(name="front", path="/front"), doubles.crp, MANUAL))]


@pytest.fixture(scope="module")
def hosts(doubles, module_factory):
    redis, secret = module_factory.redis(), secret_file(env.folder("secret"))
    lines = logging("ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret)
    same = services(doubles)
    return [module_factory.httpd(same, server=lines, locations=[approval.LOCATION]).start() for _ in range(2)]


def waits(host, which, key, challenge, **fields):
    """A request that waits for a person: (client, spec)."""
    client = host.client(which, keep_alive=False)
    spec = client.spec(key=key, challenge=challenge, **fields)
    assert client.transact(spec).status == scep.PENDING
    return client, spec


def test_webhook(doubles, hosts, keys):
    client, spec = waits(hosts[0], 0, keys[0], hosts[0].challenge())
    assert [told["event"] for told in doubles.hook.news(spec.txid)] == ["pending"]
    assert approval.decide(hosts[1], spec.txid, "deny", "not ours") == 200
    news = doubles.hook.news(spec.txid, 2)
    assert [told["event"] for told in news] == ["pending", "refused"] and news[1]["reason"] == "denied"
    assert (news[1]["subject"], news[1]["renewal"], news[1]["client"]) == ("CN=device", False, "127.0.0.1")
    assert client.wait(spec).status == scep.FAILURE


def test_renewal(doubles, hosts, keys):
    """It is told as the renewal that it is."""
    client, spec = waits(hosts[0], 0, keys[0], hosts[0].challenge(), subject="CN=renewing")
    assert approval.decide(hosts[1], spec.txid) == 200
    leaf = client.wait(spec).leaf
    again = client.renewal_spec(keys[1], pki.der_of(leaf), keys[0])
    assert client.transact(again).status == scep.PENDING
    assert approval.decide(hosts[1], again.txid, "deny", "no") == 200
    told = doubles.hook.news(again.txid, 2)[1]
    assert (told["event"], told["renewal"]) == ("refused", True)


def test_intune(doubles, hosts, keys):
    _, spec = waits(hosts[1], 1, keys[0], doubles.cloud.challenge())
    assert approval.decide(hosts[0], spec.txid, "deny", "not ours", service="intune") == 200
    told = env.wait_until(lambda: [x for x in doubles.cloud.of("failureNotification")
                                   if x["transactionId"] == spec.txid], 20)
    assert told[0]["hResult"] == 0x80070005 and "not ours" in told[0]["errorDescription"]


@pytest.mark.parametrize("renewal", [False, True])
def test_point(doubles, hosts, keys, renewal):
    """It holds the challenge no longer; a renewal is found by its certificate."""
    challenge = doubles.crp.state.mint("%040x" % (renewal + 7))
    client, spec = waits(hosts[0], 2, keys[2], challenge, subject="CN=renewing")
    if renewal:
        assert approval.decide(hosts[0], spec.txid, service="front") == 200
        leaf = client.wait(spec).leaf
        spec = client.renewal_spec(keys[3], pki.der_of(leaf), keys[2])
        assert client.transact(spec).status == scep.PENDING
    assert [x["disposition"] for x in doubles.crp.of("notify") if x["transactionId"] == spec.txid] == ["pending"]
    assert approval.decide(hosts[1], spec.txid, "deny", "no", service="front") == 200
    told = env.wait_until(lambda: [x for x in doubles.crp.of("notify") if x["disposition"] == "failure"
                                   and x["transactionId"] == spec.txid], 20)
    assert told[0]["hresult"] == 0x80070005 and told[0]["errorDescription"].startswith("denied")
    assert ("signingCertificate" in told[0]) == renewal
    if renewal:
        assert told[0]["signingCertificate"]
    else:
        assert challenge in doubles.crp.state.open and challenge not in doubles.crp.state.held.values()


def test_receiver_is_away(doubles, hosts, keys):
    """The news stay until it is back, and come once."""
    for host in hosts:
        host.expect("SCEP0285")
    _, spec = waits(hosts[0], 0, keys[1], hosts[0].challenge())
    doubles.hook.news(spec.txid)
    doubles.hook.thanks = (503, (), {})
    assert approval.decide(hosts[0], spec.txid, "deny", "no") == 200
    doubles.hook.news(spec.txid, 2)
    doubles.hook.allow()
    news = doubles.hook.news(spec.txid, 3, 40)
    assert {told["event"] for told in news[1:]} == {"refused"} and len({told["id"] for told in news[1:]}) == 1


@pytest.fixture
def strict():
    made = Webhook()
    yield made
    made.stop()


def test_issued_in_vain(doubles, strict, factory, keys):
    """The receiver that was told of a certificate hears that the next one kept it back."""
    server = factory.httpd([conf.Service(pki.make()).add(
        doubles.hook.policy("challengeRequired=off", "notifySync=on"),
        strict.policy("challengeRequired=off", "notifySync=on"))]).start()
    server.expect("SCEP0221", "SCEP0120", "SCEP0121", "SCEP0285")
    strict.thanks = (500, (), {})
    client = server.client(keep_alive=False)
    spec = client.spec(key=keys[0])
    assert client.send(spec.build()).status == 503
    news = doubles.hook.news(spec.txid, 2)
    assert [told["event"] for told in news] == ["issued", "refused"]
    assert news[0]["serial"] == news[1]["serial"] and news[1]["reason"] == "webhook"
