# SPDX-License-Identifier: Apache-2.0
"""What scep-metrics tells of trouble: a master that moved, whom this host leaves alone, who waits for the CA."""
import time

import pytest

import conf
import env
import pki
from test_246_poll import Switch
from test_800_metrics import LOCATIONS, metrics, value
from test_875_ca_unavailable import waits
from test_900_sentinel import enroll_patiently, expect_faults, store_lines
from webhook import Webhook

LOG = r"SCEP\d{4}"


def relocations(server):
    """By reason."""
    return {dict(labels)["reason"]: number for (name, labels), number in metrics(server).items()
            if name == "scep_store_relocations_total"}


def rests(server, name, rest, **labels):
    """Waits until the child that answers says so."""
    env.wait_until(lambda: value(metrics(server), name, service="corp", **labels) == rest, 30, 0.1,
                   "%s is not %d" % (name, rest))


def test_a_failover_is_counted(factory, keys):
    """And what was counted stays over a graceful restart."""
    sentinels = factory.sentinels(replicas=1, sentinels=1)
    server = factory.httpd(locations=LOCATIONS, server=store_lines(sentinels.url())).start()
    expect_faults([server])
    server.enroll(keys[0])
    assert not any(relocations(server).values())
    old = sentinels.master()
    challenge = server.challenge()
    old.kill()
    assert enroll_patiently(server, keys[1], challenge, "AFTER", time.monotonic() + 30)[1]
    counted = relocations(server)
    assert counted["connection"] >= 1 and not counted["moved"]
    server.graceful()
    server.enroll(keys[2])
    assert all(number >= counted[reason] for reason, number in relocations(server).items())


def test_a_store_that_is_left_alone(factory):
    redis = factory.redis()
    server = factory.httpd(locations=LOCATIONS, server=store_lines(redis.urls()["tcp"],
                                                                   times="ScepStoreTimeout 300ms 500ms")).start()
    server.expect(LOG)
    rests(server, "scep_store_resting", 0)
    redis.stop()
    rests(server, "scep_store_resting", 1)
    assert not any(relocations(server).values())            # there is only one, wherever it is
    redis.start()
    env.wait_until(lambda: all(value(metrics(server), "scep_store_resting", service="corp") == 0 for _ in range(6)),
                   30, 0.2, "the store rests for good")


def test_a_policy_that_is_left_alone(factory, keys):
    """Of two webhooks only the one that is gone."""
    gone, there = Webhook(), Webhook()
    try:
        service = conf.Service(pki.make()).add("ScepPolicy challenge", there.policy(), gone.policy())
        server = factory.httpd([service], locations=LOCATIONS).start()
        server.expect(LOG)
        samples = metrics(server)
        assert {labels for name, labels in samples if name == "scep_policy_resting"} == \
            {(("policy", "webhook#1"), ("service", "corp")), (("policy", "webhook#2"), ("service", "corp"))}
        gone.stop()
        client = server.client(keep_alive=False)
        client.cacert()
        message = client.spec(key=keys[0], challenge=server.challenge()).build()

        def told():
            assert client.send(message).status == 503
            return value(metrics(server), "scep_policy_resting", service="corp", policy="webhook#2") == 1
        env.wait_until(told, 30, 0, "the webhook does not rest")
        assert value(metrics(server), "scep_policy_resting", service="corp", policy="webhook#1") == 0
    finally:
        gone.stop()
        there.stop()


@pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")
def test_who_waits_for_the_ca(factory, keys):
    switch = Switch()
    service = conf.Service(pki.make(), backend="fault")
    service.lines = [line + (" switch=%s" % switch.path if line.startswith("ScepCABackend") else "")
                     for line in service.lines]
    service.add("ScepCAUnavailable pending")
    server = factory.httpd([service], fault=True, locations=LOCATIONS,
                           server=conf.Lines("ScepRequestTimeout 2s", "ScepAuditLog audit.log")).start()
    server.switch = switch
    switch.says("mode=pending")
    server.client().enroll(keys[0], server.challenge())     # the CA has that one
    client, spec = waits(server, keys[1])
    samples = metrics(server)
    assert value(samples, "scep_pending_requests", service="corp") == 2
    assert value(samples, "scep_pending_ca_unavailable", service="corp") == 1
    switch.says("mode=issued")
    client.wait(spec)
    assert value(metrics(server), "scep_pending_ca_unavailable", service="corp") == 0
