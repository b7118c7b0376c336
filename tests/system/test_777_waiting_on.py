# SPDX-License-Identifier: Apache-2.0
"""A request that waits, and policy or CA that cannot be asked at one of its polls."""
import pytest

import approval
import conf
import env
import pki
import scep_client as scep
from test_246_poll import Switch
from test_405_ca_gate import ONE_CHILD
from test_720_logs import Logs, logging
from webhook import Webhook


@pytest.fixture(scope="module")
def hook():
    made = Webhook()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def well(hook):
    hook.allow()
    hook.told.clear()


@pytest.fixture(scope="module")
def server(hook, module_factory):
    service = conf.Service(pki.make()).add("ScepPolicy challenge", hook.policy(), "ScepApproval manual",
                                           "ScepPollInterval 1s")
    return module_factory.httpd([service], server=logging(), locations=[approval.LOCATION]).start()


def approved(server, key):
    """A request that waits and was approved: client and spec."""
    client = server.client(keep_alive=False)
    spec = client.spec(key=key, challenge=server.challenge())
    assert client.transact(spec).status == scep.PENDING
    assert approval.decide(server, spec.txid) == 200
    return client, spec


def test_policy_is_away_after_the_approval(server, hook, keys):
    """A yes of a person is not lost because the webhook was away for a moment, however often."""
    server.expect("SCEP0220")
    client, spec = approved(server, keys[0])
    hook.answer = (503, [("Retry-After", "1")], {})
    for asked in (2, 3):
        env.wait_until(lambda: client.poll(spec).status == scep.PENDING and len(hook.of("verify")) >= asked, 20,
                       step=0.3)
        assert approval.waiting(server)[spec.txid]["decision"] == "approved"
    entries = [x for x in Logs(server).audit(spec.txid) if x["reason"] == "ca-retry"]
    assert len(entries) >= 2 and all("HTTP status 503" in x["detail"] for x in entries)
    hook.allow()
    assert client.wait(spec).status == scep.SUCCESS
    assert client.enroll(keys[1], spec.challenge).status == scep.FAILURE


@pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")
def test_the_ca_is_left_alone(factory, hook, keys):
    """Meanwhile policy is not asked about those who wait for it either."""
    switch = Switch()
    service = conf.Service(pki.make(), backend="fault-remote")
    service.lines = [x + (" switch=%s" % switch.path if x.startswith("ScepCABackend") else "") for x in service.lines]
    service.add(hook.policy("challengeRequired=off"), "ScepCAUnavailable pending")
    server = factory.httpd([service], fault=True, server=logging("ScepRequestTimeout 2s", *ONE_CHILD)).start()
    server.expect("SCEP0302")
    client = server.client(keep_alive=False)

    def waits():
        return [x["detail"] for x in Logs(server).audit(spec.txid) if x["reason"] == "ca-retry"]

    def left_alone():
        """The CA breaks three times, then the device polls until it was taken up again."""
        before = len(waits())
        switch.says("mode=error")
        for key in keys[1:4]:
            client.send(client.spec(key=key).build())
        switch.says("mode=retry")
        env.wait_until(lambda: client.poll(spec).status == scep.PENDING and len(waits()) > before, 20, step=0.2)
        return "left alone" in waits()[-1]

    switch.says("mode=retry")
    spec = client.spec(key=keys[0])
    assert client.transact(spec).status == scep.PENDING
    env.wait_until(left_alone, 60, step=0, what="the CA is never left alone")
    asked = [told for told in hook.of("verify") if told["transactionID"] == spec.txid]
    assert len(asked) == len([detail for detail in waits() if "left alone" not in detail])
    switch.says("mode=issued")
    assert client.wait(spec).status == scep.SUCCESS


def test_policy_refuses_after_the_approval(server, hook, keys):
    """It has changed its mind: that is an end."""
    client, spec = approved(server, keys[1])
    hook.answer = (200, (), {"allow": False, "reason": "stolen"})
    reply = client.wait(spec)
    assert reply.status == scep.FAILURE
    hook.allow()
    assert client.poll(spec).status == scep.FAILURE


@pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")
def test_the_end_of_the_wait_is_told(factory, hook, keys):
    """Who heard that a request waits hears that it was given up; its challenge is free."""
    switch = Switch()
    service = conf.Service(pki.make(), backend="fault")
    service.lines = [x + (" switch=%s" % switch.path if x.startswith("ScepCABackend") else "") for x in service.lines]
    service.add("ScepPolicy challenge", hook.policy(), "ScepCAUnavailable pending 2s", "ScepChallengeAttempts 1")
    server = factory.httpd([service], fault=True, server=logging("ScepRequestTimeout 2s")).start()
    switch.says("mode=retry")
    client = server.client(keep_alive=False)
    spec = client.spec(key=keys[0], challenge=server.challenge())
    assert client.transact(spec).status == scep.PENDING
    assert client.wait(spec).status == scep.FAILURE
    news = hook.news(spec.txid, 2)
    assert [told["event"] for told in news] == ["pending", "refused"] and news[1]["reason"] == "ca-wait-over"
    switch.says("mode=issued")
    assert client.enroll(keys[1], spec.challenge).status == scep.SUCCESS
