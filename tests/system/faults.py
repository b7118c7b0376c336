# SPDX-License-Identifier: Apache-2.0
"""Hosts that fail at a step (tests/mod_scep_fault), and a device that goes on until it is decided."""
import hashlib
import http.client
import os
import signal
import sqlite3
import time

import conf
import env
import invariants
import pki
import scep_client as scep
from test_300_stores import secret_file

AWAY = (OSError, http.client.HTTPException)


class Site:
    """One or more hosts on one store that fails where arm() says.  redis: more lines of its configuration; clocks: of
    each host, see httpd.Httpd."""

    def __init__(self, factory, store, hosts=1, service=(), lines=(), backend="fault", redis=(), clocks=()):
        self.folder = env.folder("fault")
        self.folder.chmod(0o777)
        self.point, self.journal, self.switch = (self.folder / name for name in ("point", "journal", "switch"))
        self.redis = factory.redis(lines=redis) if store == "redis" else None
        secret, self.hosts = secret_file(env.folder("secret")), []
        for number in range(hosts):
            made = conf.Service(pki.make(), backend=backend).add(*service)
            if backend.startswith("fault"):
                made.lines = [line + (" journal=%s switch=%s" % (self.journal, self.switch)
                                      if line.startswith("ScepCABackend") else "") for line in made.lines]
            server = conf.Lines("ScepFaultFile %s" % self.point, "ScepChallengeSecretFile %s" % secret,
                                "ScepStore fault+" + (self.redis.urls()["tcp"] if self.redis else "sqlite:"),
                                "ScepRequestTimeout 1s", *lines)
            host = factory.httpd([made], server=server, fault=True)
            host.clock = clocks[number] if clocks else None
            self.hosts.append(host.start())

    def expect(self, *patterns):
        for host in self.hosts:
            host.expect(*patterns)

    def arm(self, step, side, action):
        """The next one who comes to this step does it."""
        (self.folder / "new").write_text("%s %s %s\n" % (step, side, action))
        (self.folder / "new").replace(self.point)

    def is_done(self):
        return not self.point.exists()

    def disarm(self):
        self.point.unlink(missing_ok=True)

    def stopped(self, among):
        """Those of the processes that the step's "stop" has stopped, none of them in the middle of a write to SQLite:
        nobody else could write then, whichever step it is at."""
        while True:
            pids = env.wait_until(lambda: [pid for pid in among if state_of(pid) == "T"], 10, what="nobody stopped")
            if self.redis or self.is_writable():
                return pids
            self.wake(pids, gone=False)

    def wake(self, pids, gone=True):
        """They go on; gone: for good, not until they are at the step's "stop" again."""
        if gone:
            self.point.with_name(self.point.name + ".done").unlink()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        if not gone:
            time.sleep(0.05)

    def is_writable(self):
        """Whether SQLite's write lock can be had."""
        file = sqlite3.connect(self.sqlite, timeout=1, isolation_level=None)
        try:
            file.execute("BEGIN IMMEDIATE").execute("ROLLBACK")
            return True
        except sqlite3.OperationalError:
            return False
        finally:
            file.close()

    def backend(self, mode=None):
        """What the CA does, None: what it should."""
        self.switch.unlink(missing_ok=True)
        if mode:
            self.switch.write_text(mode)
            self.switch.chmod(0o644)

    def view(self):
        """The store's rows, for invariants.check()."""
        if self.redis:
            return invariants.of_redis(self.redis)
        return invariants.of_sqlite(self.sqlite)

    @property
    def sqlite(self):
        return self.hosts[0].folder / "state" / "scep.sqlite"

    def check(self, devices):
        """invariants.check() of all of it."""
        signed = self.journal.read_text().split() if self.journal.exists() else []
        return invariants.check([device.row() for device in devices], self.view(), signed)


class Device:
    """A client with one challenge that sends the same message until there is an answer."""

    def __init__(self, number, key, challenge, service=0, **fields):
        self.service = service
        self.fields = dict(fields, key=key, challenge=challenge, subject="CN=fault-%d" % number,
                           txid="FAULT%06d" % number)
        self.status, self.leaf, self.tries, self.spec, self.poll = "undecided", None, 0, None, None

    def attempt(self, host, timeout=5):
        """One try at a host; whether it is decided."""
        self.tries += 1
        client = host.client(self.service, timeout=timeout, keep_alive=False)
        try:
            if self.spec is None:
                self.spec = client.spec(**self.fields)
            else:
                client.cacert()
            spec = self.poll or self.spec
            response = client.send(spec.build())
            if response.status in (429, 502, 503, 504):
                return False
            reply = client.reply(response, spec)
        except AWAY:
            return False
        if reply.status == scep.PENDING:
            self.poll = self.poll or client.poll_spec(self.spec)
            return False
        self.status = reply.status
        if reply.status == scep.SUCCESS:
            self.leaf = hashlib.sha256(reply.issued[0]).hexdigest()
        return True

    def row(self):
        return dict(txid=self.fields["txid"], challenge=self.fields["challenge"], status=self.status, leaf=self.leaf)


def state_of(pid):
    """The letter of /proc/PID/stat."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return ""


def finish(devices, hosts, seconds=60):
    """Every device tries again, at one host after the other, until all are decided."""
    end, turn = time.monotonic() + seconds, 0
    left = [device for device in devices if device.status == "undecided"]
    while left and time.monotonic() < end:
        turn += 1
        left = [device for number, device in enumerate(left) if not device.attempt(hosts[(number + turn) % len(hosts)])]
        time.sleep(0.3 if left else 0)
