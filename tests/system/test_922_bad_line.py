# SPDX-License-Identifier: Apache-2.0
"""A bad line between httpd and whom it asks, each signing backend, each policy and Redis, while devices enroll.

docs/guarantees.md says what becomes of challenge, certificate and reply.
"""
import concurrent.futures
import contextlib
import os
import sqlite3

import pytest

import bad_line
import ca_double
import conf
import env
import faults
import invariants
import pki
import scep_client as scep
from bad_line import Cut, Delay, Drip, Flip, Hold, Say
from crp import Crp
from intune import Intune
from test_300_stores import store_lines
from test_850_ca_contract import ONE_CHILD
from webhook import Webhook

QUICK = ("ScepRequestTimeout 1s",) + ONE_CHILD
pytestmark = pytest.mark.slow


def broken(usual):
    """What a bad network does, whatever it carries."""
    up, down, answer = usual.count["up"], usual.count["down"], usual.answer + 1
    return [Cut("up", 0), Cut("up", 0, reset=True), Cut("up", up // 2), Cut("up", up - 40, reset=True),
            Cut("down", 0), Cut("down", down // 3, reset=True), Cut("down", answer), Cut("down", answer, reset=True),
            Cut("down", down - 40), Cut("down", down - 40, reset=True), Cut("up", 1, reset=True, kept=True),
            Hold(kept=True), Hold("down", answer), Drip("down", answer), Delay(),
            Say("endless", b"", answer, bytes(bad_line.CHUNK))]


def damaged(usual):
    """What TLS has to notice."""
    up, down = usual.count["up"], usual.count["down"]
    return [Flip("up", 100), Flip("up", up - 60), Flip("down", 100), Flip("down", down - 60),
            Say("what another connection heard", usual.said)]


def under_the_seal(usual):
    """What comes if somebody between does it, whom TLS trusts."""
    down, answer = usual.count["down"], usual.answer
    head = b"HTTP/1.1 200 OK\r\nX: "
    return [Cut("down", down - 40), Say("noise", os.urandom(3000), answer),
            Say("endless body", head + b"y\r\n\r\n", answer, b"A" * bad_line.CHUNK),
            Say("endless head", head, answer, b"a" * bad_line.CHUNK)]


class Story:
    """Devices that enroll at one httpd over a line.  challenge: makes one for a subject; view: gives the store's
    rows."""

    def __init__(self, server, line, keys, challenge, view=None):
        self.server, self.line, self.keys, self.challenge, self.devices = server, line, keys, challenge, []
        self.database = server.folder / "state" / "scep.sqlite"
        self.view = view or (lambda: invariants.of_sqlite(self.database))

    def device(self):
        number = len(self.devices)
        self.devices.append(faults.Device(number, self.keys[number % 4], self.challenge("CN=fault-%d" % number)))
        return self.devices[-1]

    def passes(self):
        """A device whom nothing disturbs; breakers are closed then, and count from zero again."""
        device = self.device()
        env.wait_until(lambda: device.attempt(self.server), 60, 0.3, "a good line, and no certificate")

    def usual(self):
        self.passes()
        return self.line.usual(self.passes)

    def meets(self, fault):
        """A device meets it, and another one comes when it is over; the first one."""
        self.line.breaks(fault)
        device = self.device()
        device.attempt(self.server)
        env.wait_until(lambda: self.line.hits, 30, what="%s did not happen" % fault.name)
        self.line.mend()
        self.passes()
        return device

    def meets_all(self, made):
        for fault in made:
            self.meets(fault)

    def refused_at_the_door(self):
        self.line.refuses()
        assert not self.device().attempt(self.server)
        self.line.mend()
        self.passes()

    def within_tls(self, double, *more):
        """Nothing that comes so is a yes, or a certificate; a bit of it that counts for nothing may be another."""
        self.line.inside(bad_line.contexts(double.folder))
        usual = self.usual()
        for fault in under_the_seal(usual.first()) + [kind(usual) for kind in more]:
            assert self.meets(fault).status == "undecided", fault.name
        for part in 0.5, 0.7, 0.9:
            self.meets(Flip("down", usual.answer + int((usual.count["down"] - usual.answer) * part)))
        self.line.inside()

    def partition(self, count=10):
        """Many at once, and nothing passes; GetCACaps is answered meanwhile, and they are in time."""
        self.line.breaks(Hold())
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            under_way = [pool.submit(self.device().attempt, self.server, 60) for _ in range(count)]
            env.wait_until(lambda: self.line.hits, 30, what="nobody was held")
            assert self.server.client(keep_alive=False).get("GetCACaps").status == 200
            assert not any(one.result(40) for one in under_way)
        self.line.mend()

    def add_rivals(self):
        """Each challenge whose device is undecided is wanted by another one, too."""
        for device in [device for device in self.devices if device.status == "undecided"]:
            number = len(self.devices)
            self.devices.append(faults.Device(number, self.keys[number % 4], device.fields["challenge"]))

    def finish(self, may_be_refused=lambda device: False):
        """All are decided, what they have is in the store, and nobody has what was revoked; who is refused had a rival
        who was not."""
        faults.finish(self.devices, [self.server], 120)
        invariants.check([device.row() for device in self.devices], self.view())
        got = [device for device in self.devices if device.status == scep.SUCCESS]
        used = {device.fields["challenge"] for device in got}
        assert len({device.leaf for device in got}) == len(used) == len(got)
        assert all(device.fields["challenge"] in used or may_be_refused(device) for device in self.devices)
        if self.database.exists():
            with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % self.database, uri=True)) as db:
                assert not db.execute("SELECT 1 FROM inventory JOIN revoked USING (serial)").fetchall()
        self.passes()


@contextlib.contextmanager
def line_to(double):
    """A line before a double."""
    made = bad_line.Line(double.port)
    double.front = made.port
    try:
        yield made
    finally:
        made.close()
        double.stop()


def answer_to_another(usual):
    return Say("the answer to another device", usual.said[usual.answer:], usual.answer)


def from_the_page(server):
    """Challenges of the admin page."""
    made = server.challenges(90)
    return lambda subject: made.pop()


BACKENDS = [kind for kind in ca_double.all_doubles() if issubclass(kind, ca_double.CaDouble)]


def with_backend(line, double, server, keys):
    story = Story(server, line, keys, from_the_page(server))
    usual = story.usual()
    story.meets_all(broken(usual) + damaged(usual))
    story.refused_at_the_door()
    story.within_tls(double, answer_to_another)
    story.partition()
    story.add_rivals()
    story.finish()
    server.stop()


@pytest.mark.parametrize("kinds", [BACKENDS[first::3] for first in range(3)],
                         ids=lambda kinds: "-".join(kind.name for kind in kinds))
def test_signing_backends(factory, keys, kinds):
    """Whatever happens to request and answer, each device has one certificate in the end.  Each backend has an httpd of
    its own; they go on together, since the ends of leases are waited for."""
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
        under_way = []
        for double in [kind() for kind in kinds]:
            line = stack.enter_context(line_to(double))
            service = conf.Service(double.ca).set("ScepCABackend", double.backend().split(None, 1)[1])
            server = factory.httpd([service.add("ScepPollInterval 1s")], server=conf.Lines(*QUICK)).start()
            server.expect("SCEP0300", *double.lines)
            under_way.append(pool.submit(with_backend, line, double, server, keys))
        for one in under_way:
            one.result()


class OfWebhook:
    """A policy that is asked: its double, the directives, its challenges (None: the admin page's), what it says in the
    log, and whom it was told of."""
    double, challenge, log = Webhook, None, ("SCEP022[01]",)

    @staticmethod
    def lines(hook):
        return "ScepPolicy challenge", hook.policy("notifySync=on")

    @staticmethod
    def told(hook):
        return {told["transactionID"] for told in hook.of("notify") if told["event"] == "issued"}

    @staticmethod
    def may_be_refused(told):
        return lambda device: False


class OfIntune:
    double, challenge, log = Intune, Intune.challenge, ("SCEP027[34]", "SCEP0285")

    @staticmethod
    def lines(cloud):
        cloud.well()
        return (cloud.policy(),)

    @staticmethod
    def told(cloud):
        return {told["transactionId"] for told in cloud.of("successNotification")}

    @staticmethod
    def may_be_refused(told):
        """A code that nobody knows, since a bit of it is another, is no."""
        return lambda device: device.fields["txid"] in told


class OfPoint:
    double, log = Crp, ("SCEP0290", "SCEP0285")

    @staticmethod
    def challenge(point, subject):
        return point.state.mint(subject)

    @staticmethod
    def lines(point):
        return (point.policy(),)

    @staticmethod
    def told(point):
        return {told["transactionId"] for told in point.of("notify") if told["disposition"] == "success"}

    @staticmethod
    def may_be_refused(told):
        """The point took note of a certificate, its answer was lost: the challenge is spent there."""
        return lambda device: device.fields["txid"] in told


@pytest.mark.parametrize("kind", [OfWebhook, OfIntune, OfPoint], ids=lambda kind: kind.double.__name__)
def test_policies(factory, keys, kind):
    """Who has a certificate was allowed, and the policy was told of it."""
    double = kind.double()
    with line_to(double) as line:
        service = conf.Service(pki.make()).add(*kind.lines(double))
        server = factory.httpd([service], server=conf.Lines(*QUICK)).start()
        server.expect(*kind.log)
        challenge = (lambda subject: kind.challenge(double, subject)) if kind.challenge else from_the_page(server)
        story = Story(server, line, keys, challenge)
        usual = story.usual()
        story.meets_all(broken(usual) + damaged(usual))
        story.refused_at_the_door()
        story.within_tls(double)
        story.partition()
        if kind.challenge is None:      # the others give each to one device
            story.add_rivals()
        story.finish(kind.may_be_refused(kind.told(double)))
        assert {device.fields["txid"] for device in story.devices if device.leaf} <= kind.told(double)
        server.stop()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_redis(factory, keys, transport):
    """Each word of the store, and each of its answers, can be lost or come too late."""
    redis = factory.redis(tls=transport == "tls")
    line = bad_line.Line(redis.tls_port or redis.port)
    try:
        lines = store_lines(transport, redis, env.folder("secret"), *QUICK)
        lines.set("ScepStore", "%s:%d" % (redis.urls()[transport].rsplit(":", 1)[0], line.port))
        server = factory.httpd(server=lines).start()
        server.expect(r"SCEP02\d\d")
        story = Story(server, line, keys, from_the_page(server), lambda: invariants.of_redis(redis))
        usual = story.usual()
        # without TLS nothing can tell what was damaged
        story.meets_all(broken(usual) + (damaged(usual) if transport == "tls" else []))
        story.refused_at_the_door()
        story.partition()
        story.add_rivals()
        story.finish()
        server.stop()
    finally:
        line.close()
