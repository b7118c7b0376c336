# SPDX-License-Identifier: Apache-2.0
"""A host that dies, stops, or loses the store's word at each step of an enrollment: nothing is given twice or lost.

docs/guarantees.md says what becomes of challenge, certificate and reply; each of its lines names the test here.
"""
import pathlib
import re
import threading

import pytest

import env
import faults
import scep_client as scep

pytestmark = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")

# steps of docs/architecture.md: 4 claim, 6 ca, 7 commit; what a refusal and a wait do: fail, pend, poll
STEPS = ("claim", "ca", "commit")
SIDES = ("before", "after")
NOISE = (r"SCEP\d{4}.*", "AH00052", "AH00051", "AH00045", "AH00046")


@pytest.fixture(params=["sqlite", "redis"])
def site(request, factory):
    made = faults.Site(factory, request.param, hosts=2 if request.param == "redis" else 1)
    made.expect(*NOISE)
    return made


def fault(site, device, step, side, action):
    """The device's first try meets the fault."""
    site.arm(step, side, action)
    device.attempt(site.hosts[0])
    assert site.is_done(), (step, side, action)


def device_maker(site):
    """A challenge and a device for each fault to come."""
    challenges = iter(site.hosts[0].challenges(24))
    numbers = iter(range(24))
    return lambda keys, **fields: faults.Device(next(numbers), keys[0], next(challenges), **fields)


def each_step(site, keys, action):
    """A device for each step and side, which all end with a certificate."""
    new, devices = device_maker(site), []
    for step in STEPS:
        for side in SIDES:
            devices.append(new(keys))
            fault(site, devices[-1], step, side, action)
    faults.finish(devices, site.hosts)
    assert {device.status for device in devices} == {scep.SUCCESS}
    # the local CA signs again with the reserved serial number and time: not even the CA knows two
    assert site.check(devices) == 0


@pytest.mark.slow
def test_killed_at_each_step(site, keys):
    """kill -9 of the worker before and after each step; the device sends the same message again."""
    each_step(site, keys, "kill")


@pytest.mark.slow
def test_word_or_answer_lost(site, keys):
    """The store's word does not arrive, or its answer is lost: the same, or 503 and then the same."""
    each_step(site, keys, "lose")


@pytest.mark.slow
@pytest.mark.parametrize("step,side", [("ca", "before"), ("ca", "after"), ("commit", "before")])
def test_stopped_and_woken(site, keys, step, side):
    """SIGSTOP until another worker has finished, then SIGCONT: the late one delivers nothing of its own."""
    device = device_maker(site)(keys)
    late = threading.Thread(target=device.attempt, args=(site.hosts[0], 60))
    before = site.hosts[0].children()
    site.arm(step, side, "stop")
    late.start()
    env.wait_until(site.is_done, 20, what="nobody came to the step")
    stopped = site.stopped(before)
    other = faults.Device(0, device.fields["key"], device.fields["challenge"])
    other.spec = env.wait_until(lambda: device.spec, 10)
    faults.finish([other], site.hosts)
    site.wake(stopped)
    late.join(60)
    assert other.status == scep.SUCCESS and device.status in (scep.SUCCESS, "undecided")
    assert site.check([other] + ([device] if device.status == scep.SUCCESS else [])) == 0


@pytest.mark.slow
@pytest.mark.parametrize("action", ["kill", "lose"])
def test_refusal(site, keys, action):
    """The CA says no and the store is not told, or its answer is lost: refused all the same, nothing issued."""
    new, devices = device_maker(site), []
    site.backend("rejected")
    for side in SIDES:
        devices.append(new(keys))
        fault(site, devices[-1], "fail", side, action)
    faults.finish(devices, site.hosts)
    assert {device.status for device in devices} == {scep.FAILURE}
    assert site.check(devices) == 0
    site.backend()
    # a refusal is no use of the challenge
    again = faults.Device(99, keys[1], devices[0].fields["challenge"])
    faults.finish([again], site.hosts)
    assert again.status == scep.SUCCESS


@pytest.mark.slow
@pytest.mark.parametrize("action", ["kill", "lose"])
def test_wait_and_poll(site, keys, action):
    """The CA lets it wait: before and after pend, and before and after the poll that finds it issued."""
    new, devices = device_maker(site), []
    for side in SIDES:
        site.backend("pending")
        devices.append(new(keys))
        fault(site, devices[-1], "pend", side, action)
        faults.finish(devices[-1:], site.hosts, 1)
        assert devices[-1].status == "undecided"
    for side in SIDES:
        devices.append(new(keys))
        env.wait_until(lambda: devices[-1].attempt(site.hosts[0]) or devices[-1].poll, 20)
        site.backend()
        site.arm("poll", side, action)
        env.wait_until(lambda: devices[-1].attempt(site.hosts[0]) or site.is_done(), 20)
        assert site.is_done()
        site.backend("pending")
    site.backend()
    faults.finish(devices, site.hosts)
    assert {device.status for device in devices} == {scep.SUCCESS}
    assert site.check(devices) == 0


def test_invariants_find_what_is_wrong():
    """The checker itself: each thing that may not be is found."""
    import invariants
    store = [dict(tx="a", txid="A", state="issued", challenge="c", leaf="1"),
             dict(tx="b", txid="B", state="failed", challenge="d", leaf=None)]
    good = [dict(txid="A", challenge="x", status="0", leaf="1"), dict(txid="B", challenge="y", status="2", leaf=None)]
    assert invariants.check(good, store, ["1", "9"]) == 1
    bad = {
        "neither": (good + [dict(txid="C", challenge="z", status="undecided", leaf=None)], store, ["1"]),
        "more than one certificate": (good + [dict(txid="D", challenge="x", status="0", leaf="2")],
                                      store + [dict(tx="d", txid="D", state="issued", challenge="e", leaf="2")],
                                      ["1", "2"]),
        "more than one transaction": (good, store + [dict(tx="d", txid="D", state="issued", challenge="c", leaf="2")],
                                      ["1", "2"]),
        "was given": ([dict(good[0], leaf="7"), good[1]], store, ["1"]),
        "was refused": ([dict(good[0], status="2", leaf=None), good[1]], store, ["1"]),
        "not signed": (good, store, []),
    }
    for text, (clients, rows, signed) in bad.items():
        with pytest.raises(AssertionError, match=text):
            invariants.check(clients, rows, signed)


def test_the_document_names_tests_that_are_there():
    """Each test that docs/guarantees.md names, and each of this file is named there."""
    text = (env.SOURCE / "docs" / "guarantees.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", text))
    assert len(named) > 15
    for file, test in named:
        content = (env.SOURCE / "tests" / "system" / file).read_text("utf-8")
        assert not test or "def %s(" % test in content, (file, test)
    mine = set(re.findall(r"^def (test_\w+)\(site", pathlib.Path(__file__).read_text("utf-8"), re.M))
    assert mine <= {test for _, test in named}
