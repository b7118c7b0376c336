# SPDX-License-Identifier: Apache-2.0
"""Renewal, polls and approval across two hosts behind haproxy, one of them killed in between."""
import concurrent.futures
import http.client
import os
import signal
import time

import pytest

import approval
import conf
import env
import pki
import scep_client as scep
from test_300_stores import secret_file

DEVICES = 24


class Site:
    """One Redis, two hosts with state directories of their own, and the balancer."""

    def __init__(self, factory, *lines):
        redis, secret = factory.redis(), secret_file(env.folder("secret"))
        self.hosts = []
        for mpm in ("event", "worker"):
            service = conf.Service(pki.make()).add("ScepPollInterval 1s", *lines)
            self.hosts.append(factory.httpd([service], mpm=mpm, locations=[approval.LOCATION], server=conf.Lines(
                "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret,
                "ScepRequestTimeout 4s")).start())
        self.balancer = factory.haproxy(self.hosts)

    def client(self):
        """A client that has the certificates, from whichever host lives."""
        client = scep.Client(self.balancer.url(), keep_alive=False)

        def has_them():
            try:
                return client.cacert() or True
            except (OSError, http.client.HTTPException, scep.ScepError):
                return False
        env.wait_until(has_them, 30, 0.1, "no host gives its certificates")
        return client


def kill(host):
    """The whole host, at once."""
    os.killpg(host.process.pid, signal.SIGKILL)
    host.process.wait()
    env.wait_until(lambda: not env.listening(host.port), what="the port is still open")
    host.process = None


def insist(client, spec, seconds=60):
    """Sends again until there is a CertRep."""
    end = time.monotonic() + seconds
    while True:
        try:
            response = client.send(spec.build())
            if response.status not in (502, 503, 504):
                return client.reply(response, spec)
        except (OSError, http.client.HTTPException):
            pass
        assert time.monotonic() < end, "no answer in %s s" % seconds
        time.sleep(0.3)


@pytest.fixture
def automatic(factory):
    return Site(factory)


@pytest.fixture
def manual(factory):
    return Site(factory, "ScepApproval manual")


@pytest.mark.conformance("8894-11", "8894-52", "windows-7")
@pytest.mark.parametrize("message_type", ["17", "19"])
def test_renewal_with_one_host(automatic, keys, message_type):
    """Enrolled at one host, renewed at the other when the first is gone; the same again at the first."""
    one, two = automatic.hosts
    old = pki.der_of(one.enroll(keys[0], subject="CN=survivor").leaf)
    kill(one)
    client = automatic.client()
    spec = client.renewal_spec(keys[1], old, keys[0], message_type=message_type)
    new = insist(client, spec)
    assert new.status == scep.SUCCESS and "renews=" in two.transaction_line(spec.txid)
    one.start()
    kill(two)
    again = insist(automatic.client(), spec)
    assert again.leaf == new.leaf and again.sender_nonce != new.sender_nonce
    two.start()


@pytest.mark.conformance("8894-35", "8894-36", "8894-49", "sscep-5", "apple-12")
@pytest.mark.parametrize("action", ["approve", "deny"])
def test_approval_with_one_host(manual, keys, action):
    """Asked at one host, decided at the other, which then dies; polled at the first, started again."""
    one, two = manual.hosts
    client = one.client()
    spec = client.spec(key=keys[0], challenge=two.challenge(), subject="CN=waits")
    assert client.transact(spec).status == scep.PENDING
    kill(one)
    through = manual.client()
    assert through.poll(spec).status == scep.PENDING
    assert spec.txid in approval.waiting(two)
    assert approval.decide(two, spec.txid, action, "seen by the site's test") == 200
    one.start()
    kill(two)
    reply = manual.client().wait(spec)
    if action == "approve":
        assert reply.status == scep.SUCCESS and reply.leaf.subject.rfc4514_string() == "CN=waits"
    else:
        assert reply.status == scep.FAILURE and "seen by the site's test" in reply.fail_text
    assert spec.txid not in approval.waiting(one)
    two.start()
    last = two.client()
    last.cacert()
    assert last.poll(spec).issued == reply.issued


def test_renewal_that_waits(manual, keys):
    one, two = manual.hosts
    client = manual.client()
    spec = client.spec(key=keys[0], challenge=one.challenge(), subject="CN=twice")
    assert insist(client, spec).status == scep.PENDING
    assert approval.decide(two, spec.txid) == 200
    old = pki.der_of(client.wait(spec).leaf)
    renewal = client.renewal_spec(keys[1], old, keys[0])
    assert insist(client, renewal).status == scep.PENDING
    kill(two)
    assert approval.decide(one, renewal.txid) == 200
    reply = manual.client().wait(renewal)
    assert reply.status == scep.SUCCESS
    assert reply.leaf.public_key().public_numbers() == keys[1].public_key().public_numbers()


@pytest.mark.slow
@pytest.mark.conformance("8894-52")
def test_many_renew_while_hosts_die(automatic, keys):
    """Each renewal gives one certificate, whoever answers and however often it is sent."""
    certificates = [pki.der_of(automatic.hosts[n % 2].enroll(keys[n % 4], subject="CN=device-%d" % n).leaf)
                    for n in range(DEVICES)]

    def renew(number):
        client = automatic.client()
        spec = client.renewal_spec(keys[(number + 1) % 4], certificates[number], keys[number % 4])
        return {insist(client, spec).leaf for _ in range(6)}

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = [pool.submit(renew, number) for number in range(DEVICES)]
        for host in automatic.hosts:
            time.sleep(0.4)
            kill(host)
            time.sleep(0.6)
            host.start()
        leaves = [result.result() for result in results]
    assert all(len(one) == 1 for one in leaves)
    assert len({leaf.serial_number for one in leaves for leaf in one}) == DEVICES
