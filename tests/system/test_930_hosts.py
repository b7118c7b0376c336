# SPDX-License-Identifier: Apache-2.0
"""Six hosts with addresses of their own: two httpd, haproxy, three Redis with sentinels.  Under steady enrollment each
kind of process dies in turn, then a whole host, then the master is cut off; nothing is given twice, nothing is lost."""
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

import conf
import env
import invariants
import netns
import pki
from test_300_stores import secret_file

HOSTS = ("web1", "web2", "lb", "db1", "db2", "db3")
CLIENTS, SPACING, SECONDS, TIMEOUT = 4, 0.25, 420, 6
NOISE = (r"SCEP\d{4}.*", "AH00052", "AH00051", "AH00045", "AH00046")

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built"),
              pytest.mark.skipif(not env.ROOT, reason="network namespaces need root")]


class Db:
    """A host with one redis-server and one sentinel."""

    def __init__(self, net, name):
        self.net, self.name, self.address = net, name, net.address(name)
        self.folder, self.redis, self.sentinel = env.folder(name), None, None

    def configure(self, master):
        text = ("bind %s 127.0.0.1\nport 6379\nprotected-mode no\ndir %s\nappendonly yes\nsave \"\"\n"
                "repl-diskless-sync-delay 0\nrepl-timeout 5\nrepl-ping-replica-period 1\n"
                "maxmemory-policy noeviction\n" % (self.address, self.folder))
        if self.address != master:
            text += "replicaof %s 6379\n" % master
        (self.folder / "redis.conf").write_text(text)
        (self.folder / "sentinel.conf").write_text(
            "bind %s 127.0.0.1\nport 26379\nprotected-mode no\ndir %s\nsentinel monitor scep %s 6379 2\n"
            "sentinel down-after-milliseconds scep 1000\nsentinel failover-timeout scep 4000\n" % (
                self.address, self.folder, master))

    def start_redis(self):
        self.redis = self._start("redis-server", "redis.conf")

    def start_sentinel(self):
        self.sentinel = self._start("redis-server", "sentinel.conf", "--sentinel")

    def _start(self, program, file, *more):
        return self.net.start(self.name, program, self.folder / file, *more,
                              stdout=open(self.folder / "log", "ab"), stderr=subprocess.STDOUT)

    def command(self, *words, port=6379):
        """redis-cli's answer, "" without one."""
        return subprocess.run([*self.net.prefix(self.name), "timeout", "3", "redis-cli", "-p", str(port), *words],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
                              ).stdout.decode("utf-8", "replace").rstrip("\n")

    def role(self):
        return self.command("role").split("\n", 1)[0]


class Site:
    def __init__(self, factory):
        self.net = netns.Net(*HOSTS)
        self.folder = env.folder("hosts")
        self.folder.chmod(0o777)
        self.dbs = [Db(self.net, name) for name in ("db1", "db2", "db3")]
        for db in self.dbs:
            db.configure(self.dbs[0].address)
            db.start_redis()
        self.wait_for_replicas()
        for db in self.dbs:
            db.start_sentinel()
        env.wait_until(lambda: all(db.command("sentinel", "ckquorum", "scep", port=26379).startswith("OK 3")
                                   for db in self.dbs), 40, 0.2, "the sentinels do not know each other")
        self.journal = self.folder / "journal"
        url = "redis+sentinel://%s/scep" % ",".join("%s:26379" % db.address for db in self.dbs)
        secret = secret_file(env.folder("secret"))
        self.webs = []
        for name, mpm in ("web1", "event"), ("web2", "worker"):
            service = conf.Service(pki.make(), backend="fault")
            service.lines = [line + (" journal=%s" % self.journal if line.startswith("ScepCABackend") else "")
                             for line in service.lines]
            web = netns.Httpd(self.net, name, [service], mpm=mpm, fault=True, server=conf.Lines(
                "ScepStore " + url, "ScepChallengeSecretFile %s" % secret, "ScepRequestTimeout 2s",
                "ScepStoreWait 1 500ms", "ScepFailureLimit 0", "ScepChallengeMax 100000"))
            factory.made.append(web)
            web.start()
            web.expect(*NOISE)
            self.webs.append(web)
        self.proxy = None
        self.start_proxy()

    def wait_for_replicas(self):
        def complete():
            master = self.master()
            return master and master.command("info", "replication").count("state=online") == 2
        env.wait_until(complete, 60, 0.2, "not all replicas are there")

    def master(self):
        """The one that has a replica."""
        found = [db for db in self.dbs if db.role() == "master" and "state=online" in db.command("info", "replication")]
        return found[0] if found else None

    def wait_for_another(self, old):
        """Returns when another one than the master of before is one."""
        env.wait_until(lambda: any(db.role() == "master" for db in self.dbs if db is not old), 30, 0.2, "no failover")

    def start_proxy(self):
        text = ("global\n    maxconn 500\ndefaults\n    mode http\n    timeout connect 1s\n    timeout client 30s\n"
                "    timeout server 30s\n    option redispatch\n    retries 3\n"
                "frontend scep\n    bind %s:8080\n    default_backend hosts\n"
                "backend hosts\n    balance roundrobin\n" % self.net.address("lb"))
        for web in self.webs:
            text += "    server %s %s:8080 check inter 300ms fall 2 rise 1\n" % (web.name, web.host)
        (self.folder / "haproxy.cfg").write_text(text)
        self.proxy = self.net.start("lb", "haproxy", "-db", "-f", self.folder / "haproxy.cfg",
                                    stdout=open(self.folder / "proxy.log", "ab"), stderr=subprocess.STDOUT)

    def close(self):
        for name in HOSTS:
            self.net.kill(name)
        self.net.close()


@pytest.fixture
def site(factory):
    reason = netns.why_not()
    if reason:
        pytest.skip("no network namespaces here: " + reason)
    made = Site(factory)
    yield made
    for web in made.webs:
        web.stop()
    made.close()


class Load:
    """Client processes that go on until told to stop."""

    def __init__(self, site, challenges):
        self.folder, self.processes = site.folder, []
        paths = [str(env.base() / "keys" / ("device%d-rsa2048.pem" % n)) for n in range(4)]
        urls = ["http://%s:8080/certsrv/mscep/mscep.dll" % site.net.address(name) for name in ("lb", "web1", "web2")]
        for number in range(CLIENTS):
            # a challenge in three is wanted by two devices, at different clients
            jobs = [dict(url=random.choice(urls), challenge=challenge, key=(index + number) % 4,
                         subject="CN=n%d-%d" % (index, number), txid="N%06dX%d" % (index, number))
                    for index, challenge in enumerate(challenges)
                    if index % CLIENTS == number or (index % 3 == 0 and index % CLIENTS == (number + 1) % CLIENTS)]
            order = self.folder / ("order-%d.json" % number)
            order.write_text(json.dumps(dict(
                keys=paths, seconds=SECONDS, spacing=SPACING, timeout=TIMEOUT, stop=str(self.folder / "stop"),
                progress=str(self.folder / "progress"), jobs=jobs)))
            self.processes.append(env.start([
                *site.net.prefix(), sys.executable, os.path.join(os.path.dirname(__file__), "race.py"), order,
                self.folder / ("result-%d.json" % number)]))

    def decided(self):
        path = self.folder / "progress"
        return path.read_text().count("\n") if path.exists() else 0

    def goes_on(self, count=12, seconds=60):
        """Waits until so many more are decided."""
        goal = self.decided() + count
        env.wait_until(lambda: self.decided() >= goal, seconds, 0.1, "enrollment does not go on")

    def finish(self):
        """All results."""
        (self.folder / "stop").touch()
        for process in self.processes:
            assert process.wait(120) == 0
            env.stop(process)
        return [row for number in range(CLIENTS)
                for row in json.loads((self.folder / ("result-%d.json" % number)).read_text())]


def disturb(site, load):
    """Each thing in turn; enrollment has to go on after each before the next."""
    def event(what, begin, end):
        started = time.monotonic()
        begin()
        load.goes_on()
        meanwhile = time.monotonic() - started
        end()
        load.goes_on()
        events.append("%-34s %4.1f s until %d more were decided" % (what, meanwhile, 12))

    events, web1, web2 = [], site.webs[0], site.webs[1]
    nothing = (lambda: None)
    event("a worker is killed", web1.kill_child, nothing)
    event("an httpd is killed", lambda: site.net.kill("web2"), lambda: restart(web2))
    event("haproxy is killed", lambda: site.net.kill("lb"), site.start_proxy)
    event("a sentinel is killed", site.dbs[1].sentinel.kill, site.dbs[1].start_sentinel)
    replica = next(db for db in site.dbs if db is not site.master())
    event("a replica is killed", replica.redis.kill, replica.start_redis)
    site.wait_for_replicas()
    old = site.master()
    event("the master is killed", old.redis.kill, old.start_redis)
    site.wait_for_replicas()
    old = site.master()
    event("the master's host is killed", lambda: (site.net.kill(old.name), site.net.link(old.name, "down")),
          lambda: (site.net.link(old.name, "up"), old.start_redis(), old.start_sentinel()))
    site.wait_for_replicas()
    old = site.master()
    event("the master is cut off", lambda: site.net.link(old.name, "down"),
          lambda: (site.wait_for_another(old), site.net.link(old.name, "up")))
    site.wait_for_replicas()
    event("a host of httpd is cut off", lambda: site.net.link("web1", "down"), lambda: site.net.link("web1", "up"))
    return events


def restart(web):
    web.process = None
    web.start()


def test_everything_dies_in_turn(site, keys):
    assert len(keys) == 4
    challenges = site.webs[0].challenges(1500)
    load = Load(site, challenges)
    load.goes_on()
    events = disturb(site, load)
    rows = load.finish()
    orphans = invariants.check(rows, invariants.of_redis(site.master()), site.journal.read_text().split())
    report = "\n".join(events + [
        "%d requests decided, %d of them with a certificate; %d tries, the longest undecided for %.1f s; "
        "%d certificates that the CA signed and nobody was given" % (
            len(rows), sum(row["status"] == invariants.SUCCESS for row in rows), sum(row["tries"] for row in rows),
            max(row["seconds"] for row in rows), orphans)])
    print(report)
    if "SCEP_REPORT" in os.environ:
        pathlib.Path(os.environ["SCEP_REPORT"]).write_text(report + "\n")
