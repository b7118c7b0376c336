# SPDX-License-Identifier: Apache-2.0
"""Two hosts of httpd and one of haproxy at a bridge with hosts of Redis, steady enrollment, and things that happen to
them one after the other; what is common to the tests of whole hosts."""
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import conf
import env
import invariants
import netns
import pki
from test_300_stores import secret_file

FRONT = ("web1", "web2", "lb")
CLIENTS, SPACING, SECONDS, TIMEOUT = 4, 0.25, 420, 6
NOISE = (r"SCEP\d{4}.*", "AH00052", "AH00051", "AH00045", "AH00046")


class Db:
    """A host with one redis-server; lines: more of its configuration."""

    def __init__(self, net, name, lines=()):
        self.net, self.name, self.address = net, name, net.address(name)
        self.folder, self.redis = env.folder(name), None
        common = ["bind %s 127.0.0.1" % self.address, "port 6379", "protected-mode no", "dir %s" % self.folder,
                  "appendonly yes", "save \"\"", "repl-diskless-sync-delay 0", "repl-timeout 5",
                  "repl-ping-replica-period 1", "maxmemory-policy noeviction"]
        (self.folder / "redis.conf").write_text("\n".join([*common, *lines]) + "\n")

    def start_redis(self):
        self.redis = self._start(env.REDIS, "redis.conf")

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
    """The hosts.  Who derives from it makes dbs and starts them in start_store(), which gives the URL, and says in
    master() who has the service."""

    def __init__(self, factory, *names, times="ScepStoreTimeout 300ms 500ms 3s"):
        self.names = FRONT + names
        self.net = netns.Net(*self.names)
        self.proxy, self.dbs, self.webs = None, [], []
        try:
            self._start(factory, names, times)
        except BaseException:
            self.close()
            raise

    def _start(self, factory, names, times):
        self.folder = env.folder("hosts")
        self.folder.chmod(0o777)
        self.journal = self.folder / "journal"
        url, secret = self.start_store(names), secret_file(env.folder("secret"))
        for name, mpm in ("web1", "event"), ("web2", "worker"):
            service = conf.Service(pki.make(), backend="fault")
            service.lines = [line + (" journal=%s" % self.journal if line.startswith("ScepCABackend") else "")
                             for line in service.lines]
            web = netns.Httpd(self.net, name, [service], mpm=mpm, fault=True, server=conf.Lines(
                "ScepStore " + url, times, "ScepChallengeSecretFile %s" % secret, "ScepRequestTimeout 2s",
                "ScepStoreWait 1 500ms", "ScepFailureLimit 0", "ScepChallengeMax 100000"))
            factory.made.append(web)
            web.start()
            web.expect(*NOISE)
            self.webs.append(web)
        self.start_proxy()

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

    def start_store(self, names):
        raise NotImplementedError

    def master(self):
        raise NotImplementedError

    def close(self):
        for web in self.webs:
            web.stop()
        for name in self.names:
            self.net.kill(name)
        self.net.close()


def restart(web):
    """Starts an httpd that was killed."""
    web.process = None
    web.start()


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


class Story:
    """Steady enrollment with the challenges of a site, and what happens meanwhile; the report of it in the end."""

    def __init__(self, site, count):
        self.site, self.events = site, []
        self.load = Load(site, site.webs[0].challenges(count))
        self.load.goes_on()

    def event(self, what, begin, end=lambda: None, needed=False):
        """Enrollment has to go on after begin, and again after end; needed: not before end."""
        started = time.monotonic()
        begin()
        if needed:
            end()
        self.load.goes_on()
        meanwhile = time.monotonic() - started
        if not needed:
            end()
            self.load.goes_on()
        self.events.append("%-47s %4.1f s until 12 more were decided" % (what, meanwhile))

    def finish(self):
        """All that was begun is decided and the invariants hold; the report goes to SCEP_REPORT, too."""
        rows = self.load.finish()
        orphans = invariants.check(rows, invariants.of_redis(self.site.master()),
                                   self.site.journal.read_text().split())
        report = "\n".join(self.events + [
            "%d requests decided, %d of them with a certificate; %d tries, the longest undecided for %.1f s; "
            "%d certificates that the CA signed and nobody was given" % (
                len(rows), sum(row["status"] == invariants.SUCCESS for row in rows), sum(row["tries"] for row in rows),
                max(row["seconds"] for row in rows), orphans)])
        print(report)
        if "SCEP_REPORT" in os.environ:
            with pathlib.Path(os.environ["SCEP_REPORT"]).open("a", encoding="ascii") as file:
                file.write(report + "\n")
