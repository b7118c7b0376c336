# SPDX-License-Identifier: Apache-2.0
"""A request that waits, and policy or CA that cannot be asked at one of its polls."""
import pytest

import approval
import conf
import env
import pki
import scep_client as scep
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


def test_policy_refuses_after_the_approval(server, hook, keys):
    """It has changed its mind: that is an end."""
    client, spec = approved(server, keys[1])
    hook.answer = (200, (), {"allow": False, "reason": "stolen"})
    reply = client.wait(spec)
    assert reply.status == scep.FAILURE
    hook.allow()
    assert client.poll(spec).status == scep.FAILURE
