# SPDX-License-Identifier: Apache-2.0
"""A host that dies while it asks: each signing backend, and each policy that calls out."""
import collections
import threading

import pytest

import ca_double
import conf
import env
import faults
import invariants
import pki
import scep_client as scep
from crp import Crp
from intune import Intune
from webhook import Webhook

NOISE = (r"SCEP\d{4}.*", "AH00052", "AH00051", "AH00045", "AH00046")
QUIET = ("ScepRequestTimeout 2s",)


def die_when(asked, server, device):
    """The device asks; all children are killed once asked() is true."""
    sender = threading.Thread(target=device.attempt, args=(server, 30))
    sender.start()
    env.wait_until(asked, 20, what="nobody was asked")
    for pid in server.children():
        server.kill_child(pid)
    sender.join(40)
    assert device.status == "undecided"


def finish(devices, server):
    def left():
        return [d for d in devices if d.status == "undecided" and not d.attempt(server)]
    env.wait_until(lambda: not left(), 90, 0.5, "not all are decided")
    rows = invariants.of_sqlite(server.folder / "state" / "scep.sqlite")
    invariants.check([device.row() for device in devices], rows)
    assert {device.status for device in devices} == {scep.SUCCESS}
    return collections.Counter(row["state"] for row in rows)


@pytest.mark.slow
def test_signing_backends(factory, keys):
    """Every CA gets the request, and nobody is there for its answer; the transaction goes on when the lease is over."""
    doubles = [kind() for kind in ca_double.all_doubles()]
    try:
        services = []
        for number, double in enumerate(doubles):
            made = conf.Service(double.ca, name=double.name, path="/s%d" % number).add("ScepPolicy none")
            services.append(made.set("ScepCABackend", double.backend().split(None, 1)[1]))
        server = factory.httpd(services, server=conf.Lines(*QUIET)).start()
        server.expect(*NOISE)
        devices = []
        for number, double in enumerate(doubles):
            devices.append(faults.Device(number, keys[0], None, service=number))
            double.behave("slow")
            before = times_asked(double)
            die_when(lambda: times_asked(double) > before, server, devices[-1])
            double.behave()
        assert finish(devices, server) == {"issued": len(doubles)}
        server.stop()
    finally:
        for double in doubles:
            double.stop()


def times_asked(double):
    """How often a CA was asked to sign."""
    return len(double.calls()) if callable(getattr(double, "calls", None)) else double.asked


@pytest.mark.slow
def test_policies(factory, keys):
    """Asked whether a device may, and told that it was: whoever is told may hear it again, but never less than once."""
    hook, cloud, point = Webhook(), Intune(), Crp()
    try:
        policies = (("ScepPolicy challenge", hook.policy()), (cloud.policy(),), (point.policy(),))
        services = [conf.Service(pki.make(), name="s%d" % number, path="/s%d" % number).add(*lines)
                    for number, lines in enumerate(policies)]
        server = factory.httpd(services, server=conf.Lines(*QUIET)).start()
        server.expect(*NOISE)
        devices = [faults.Device(0, keys[0], server.challenge(0), service=0),
                   faults.Device(1, keys[1], cloud.challenge("CN=fault-1"), service=1),
                   faults.Device(2, keys[2], cloud.challenge("CN=fault-2"), service=1),
                   faults.Device(3, keys[3], point.state.mint("of-a-point"), service=2)]

        hook.gate.clear()
        die_when(lambda: hook.of("verify"), server, devices[0])
        hook.gate.set()
        for device, kind in (devices[1], "validateRequest"), (devices[2], "successNotification"):
            cloud.slow, count = {kind}, cloud.count(kind)
            cloud.gate.clear()
            die_when(lambda: cloud.count(kind) > count, server, device)
            cloud.slow = set()
            cloud.gate.set()
        point.gate.clear()
        die_when(lambda: point.of("verify"), server, devices[3])
        point.gate.set()

        assert finish(devices, server)["issued"] == len(devices)
        assert not cloud.wrong
        told = {told["transactionId"] for told in cloud.of("successNotification")}
        assert told == {devices[1].fields["txid"], devices[2].fields["txid"]}
        assert hook.news(devices[0].fields["txid"])
        env.wait_until(lambda: point.of("notify"), 20, what="the point was not told")
        server.stop()
    finally:
        for double in hook, cloud, point:
            double.stop()
