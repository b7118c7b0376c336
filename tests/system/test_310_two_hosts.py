# SPDX-License-Identifier: Apache-2.0
"""Two httpd with state directories of their own behind haproxy, one Redis: exactly one certificate per challenge."""
import collections
import json
import os
import random
import re
import sys
import threading

import pytest

import conf
import env
import pki
import scep_client as scep
from test_300_stores import secret_file

COUNT = int(os.environ.get("SCEP_RACE_COUNT", 2000))
PROCESSES = 6
SECONDS = 160


class Site:
    """Redis, two hosts and the balancer."""

    def __init__(self, factory, mpms=("event", "worker")):
        self.redis = factory.redis()
        secret = secret_file(env.folder("secret"))
        self.hosts = []
        for mpm in mpms:
            lines = conf.Lines("ScepStore " + self.redis.urls()["tcp"],
                               "ScepChallengeSecretFile %s" % secret, "ScepRequestTimeout 4s",
                               "ScepFailureLimit 0")
            self.hosts.append(factory.httpd(mpm=mpm, server=lines).start())
        self.balancer = factory.haproxy(self.hosts)

    def client(self):
        return scep.Client(self.balancer.url(), keep_alive=False)


@pytest.fixture(scope="module")
def site(module_factory):
    return Site(module_factory)


@pytest.mark.conformance("windows-7")
def test_challenge_from_one_enrollment_at_the_other(site, keys):
    one, two = site.hosts
    for issuer, enroller in ((one, two), (two, one)):
        client = enroller.client()
        spec = client.spec(key=keys[0], challenge=issuer.challenge(), subject="CN=across")
        leaf = client.transact(spec).leaf
        for host in site.hosts:
            other = host.client()
            other.cacert()
            assert other.transact(spec).leaf == leaf
            assert other.enroll(keys[1], spec.challenge).status == scep.FAILURE


def test_hosts_that_differ_find_it_out(factory):
    """By a line at the start, not by enrollments that fail at one of them."""
    redis = factory.redis()

    def host(secret):
        return factory.httpd(server=conf.Lines("ScepStore " + redis.urls()["tcp"],
                                               "ScepChallengeSecretFile %s" % secret)).start()

    same, other = secret_file(env.folder("secret")), env.folder("secret") / "other"
    other.write_text("f" * 64)
    other.chmod(0o600)
    host(same)
    host(same)
    third = host(other)
    third.expect("SCEP0461")
    line = env.wait_until(lambda: third.log.lines("SCEP0461"), what="no line about hosts that differ")
    assert "challenge secret" in line[0] and len(third.log.lines("SCEP0461")) == 1
    assert not any(server.log.lines("SCEP0461") for server in factory.made[1:3])


@pytest.mark.conformance("8894-52", "jscep-5")
def test_behind_the_balancer(site, keys):
    """Each request of a client at another host."""
    served, client = set(), site.client()
    client.cacert()
    connection = scep.Connection("127.0.0.1", site.balancer.port, keep_alive=False)
    for number in range(6):
        response = connection.request("GET", "/certsrv/mscep_admin", [
            ("Accept", "application/json"), ("Authorization", conf.authorization())])
        served.add(response.header("X-Served-By"))
        spec = client.spec(key=keys[number % 4], challenge=json.loads(response.body)["challenge"])
        replies = []
        for _ in range(3):
            response = client.send(spec.build())
            served.add(response.header("X-Served-By"))
            replies.append(client.reply(response, spec))
        assert {reply.status for reply in replies} == {scep.SUCCESS}
        assert len({reply.issued[0] for reply in replies}) == 1
        assert len({reply.sender_nonce for reply in replies}) == 3
    assert served == {"host0", "host1"}


def test_hosts_that_differ_say_so(site, factory, keys):
    """A third host with another secret and another CA is told at start, not by failed enrollments."""
    lines = conf.Lines("ScepStore " + site.redis.urls()["tcp"],
                       "ScepChallengeSecretFile %s" % secret_file(env.folder("secret")))
    stranger = factory.httpd([conf.Service(pki.make("intermediate"))], server=lines)
    stranger.expect(r"SCEP\d{4}.*(differ|another|secret)")
    stranger.start()
    stranger.admin()
    line = stranger.log.wait(r"\[scep:(warn|error)\].*(differ|another|secret)", 15)
    assert "secret" in line and re.search(r"\bCA\b", line)


def orders(challenges, urls):
    """Two contenders for each challenge, in different processes, at different hosts."""
    jobs = [[] for _ in range(PROCESSES)]
    for number, challenge in enumerate(challenges):
        pair = number % (PROCESSES // 2)
        for side in (0, 1):
            jobs[2 * pair + side].append(dict(
                url=urls[(number + side) % len(urls)], challenge=challenge, key=(number + side) % 4,
                subject="CN=device-%d-%d" % (number, side), txid="RACE%06dX%d" % (number, side)))
    return jobs


def run(folder, jobs):
    """Runs the client processes; all results."""
    paths = [str(env.base() / "keys" / ("device%d-rsa2048.pem" % n)) for n in range(4)]
    processes = []
    for number, share in enumerate(jobs):
        order = folder / ("order-%d.json" % number)
        order.write_text(json.dumps(dict(keys=paths, seconds=SECONDS, jobs=share)))
        processes.append(env.start([sys.executable, os.path.join(os.path.dirname(__file__), "race.py"), order,
                                    folder / ("result-%d.json" % number)]))
    for process in processes:
        assert process.wait(SECONDS + 60) == 0
        env.stop(process)
    return [result for number in range(len(jobs))
            for result in json.loads((folder / ("result-%d.json" % number)).read_text())]


class Killer(threading.Thread):
    """SIGKILLs a child of one host after the other."""

    def __init__(self, hosts, every=2.0):
        super().__init__(daemon=True)
        self.hosts, self.every, self.over, self.killed = hosts, every, threading.Event(), 0

    def run(self):
        while not self.over.wait(self.every):
            host = self.hosts[self.killed % len(self.hosts)]
            children = host.children()
            if len(children) > 1:
                host.kill_child(random.choice(children))
                self.killed += 1


@pytest.mark.slow
def test_race(factory, keys):
    site = Site(factory)
    for host in site.hosts:
        host.expect(r"SCEP\d{4}.*\b(busy|fenced|lease)", "AH00052")
    challenges = []
    for host in site.hosts:
        challenges += host.challenges(COUNT // 2)
    assert len(set(challenges)) == COUNT
    random.Random(7).shuffle(challenges)
    urls = [host.url() for host in site.hosts] + [site.balancer.url()]
    killer = Killer(site.hosts)
    killer.start()
    folder = env.folder("race")
    results = run(folder, orders(challenges, urls))
    killer.over.set()
    killer.join()
    assert len(results) == 2 * COUNT
    assert killer.killed >= 3

    by_challenge = collections.defaultdict(list)
    for result in results:
        by_challenge[result["challenge"]].append(result)
    undecided = [r for r in results if r["status"] == "undecided"]
    assert not undecided, undecided[:5]
    wrong = {c: rows for c, rows in by_challenge.items()
             if sorted(row["status"] for row in rows) != [scep.SUCCESS, scep.FAILURE]}
    assert not wrong, list(wrong.items())[:3]
    winners = {r["txid"]: r for r in results if r["status"] == scep.SUCCESS}
    assert len(winners) == COUNT
    assert len({r["serial"] for r in winners.values()}) == COUNT, "a serial number twice"

    # what the hosts say they issued: nothing to a refused request, one serial per transaction
    logged = collections.defaultdict(set)
    for host in site.hosts:
        for line in host.log.lines(r"SCEP0400.*type=PKCSReq.*result=success", 0):
            logged[re.search(r'transactionID="([^"]*)"', line).group(1)].add(
                re.search(r"serial=([0-9A-F]+)", line).group(1))
    assert set(logged) == set(winners)
    assert all(len(serials) == 1 for serials in logged.values())
    for txid, serials in logged.items():
        assert int(serials.pop(), 16) == int(winners[txid]["serial"], 16)
    print("%d challenges, %d children killed" % (COUNT, killer.killed))
