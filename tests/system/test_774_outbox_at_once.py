# SPDX-License-Identifier: Apache-2.0
"""Several news at once, by two hosts on one Redis: one that hangs holds nobody up, and what a killed host had in its
hands arrives all the same, in the order of each transaction."""
import concurrent.futures
import contextlib
import os
import threading

import pytest

import approval
import env
import scep_client as scep
from test_730_outbox import Site, outbox
from webhook import Webhook

MANY = 200


@pytest.fixture
def hook():
    made = Webhook()
    yield made
    made.stop()


def enroll(site, keys, numbers):
    """Requests at both hosts in turn; {transactionID}."""
    made = []
    clients = [host.client() for host in site.hosts]
    for number in numbers:
        client = clients[number % 2]
        spec = client.spec(key=keys[number % len(keys)], subject="CN=device %d" % number)
        made.append((spec.txid, client.transact(spec).status))
    return made


def test_one_hangs(hook, factory, keys):
    """All others arrive once while it does; both hosts deliver."""
    site = Site(factory, hook)
    site.expect("SCEP0285")
    (slow, _), = enroll(site, keys, [0])
    hook.news(slow)
    env.wait_until(lambda: outbox(site.hosts[0]) == 0)
    hook.told.clear()
    client = site.hosts[0].client()
    spec = client.spec(key=keys[0], subject="CN=slow")
    hook.hang, hook.hangs_for = threading.Event(), spec.txid
    assert client.transact(spec).status == scep.SUCCESS
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(enroll, site, keys, range(part, MANY, 4)) for part in range(4)]
        wanted = [txid for part in parts for txid, status in part.result() if status == scep.SUCCESS]
    assert len(wanted) == MANY

    def arrived():
        return [told["transactionID"] for told in hook.of("notify") if told["transactionID"] != spec.txid]
    env.wait_until(lambda: len(arrived()) >= MANY, 60, what="one that hangs holds the others up")
    assert sorted(arrived()) == sorted(wanted)
    env.wait_until(lambda: outbox(site.hosts[1]) == 1, 30)
    assert all(host.log.lines("SCEP0287", 0) for host in site.hosts)
    hook.hang.set()
    env.wait_until(lambda: outbox(site.hosts[0]) == 0, 60)


@pytest.mark.slow
def test_killed_while_it_delivers(hook, factory, keys):
    """kill -9 of a host with several deliveries under way: the other one delivers them when their lease ends."""
    site = Site(factory, hook, lines=("ScepApproval manual",))
    site.expect("SCEP0285", "AH00052", "AH00051")
    dying, living = site.hosts
    hook.hang = threading.Event()
    txids = [txid for txid, status in enroll(site, keys, range(12)) if status == scep.PENDING]
    assert len(txids) == 12
    for txid in txids:
        assert approval.decide(living, txid, "deny", "no") == 200
    env.wait_until(lambda: dying.log.lines("SCEP0400", 0) and hook.of("notify"))
    assert {told["event"] for told in hook.of("notify")} == {"pending"}
    for pid in [dying.process.pid] + dying.children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    dying.process.wait()
    dying.process = None
    hook.hang.set()
    env.wait_until(lambda: outbox(living) == 0, 90, what="not all are delivered")
    for txid in txids:
        events = [told["event"] for told in hook.news(txid)]
        assert events == ["pending"] * events.count("pending") + ["refused"] * events.count("refused"), events
        assert set(events) == {"pending", "refused"}
