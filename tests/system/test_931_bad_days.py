# SPDX-License-Identifier: Apache-2.0
"""Redis that comes back with less than it had, that is full, or that throws keys away; a host whose clock is wrong."""
import shutil

import pytest

import env
import faults
import scep_client as scep

NOISE = (r"SCEP\d{4}.*", "AH00052", "AH00051", "AH00045", "AH00046")

pytestmark = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")

PERSISTENCE = {
    "none": ("appendonly no",),
    "rdb": ("appendonly no", 'save 1 1',),
    "aof-everysec": ("appendonly yes", "appendfsync everysec"),
    "aof-always": ("appendonly yes", "appendfsync always"),
}


def again(site, how):
    """Redis is killed and started again."""
    site.redis.process.kill()
    site.redis.process.wait()
    site.redis.start()


@pytest.mark.parametrize("persistence", sorted(PERSISTENCE))
def test_redis_killed_and_started(factory, keys, persistence):
    """What it kept counts; what it lost is refused, and nothing is issued twice."""
    site = faults.Site(factory, "redis", redis=PERSISTENCE[persistence])
    site.expect(*NOISE)
    host = site.hosts[0]
    fresh, done, late = [faults.Device(n, keys[0], host.challenge()) for n in range(3)]
    assert done.attempt(host) and done.status == scep.SUCCESS
    site.arm("commit", "before", "kill")
    late.attempt(host)
    assert site.is_done()
    if persistence == "rdb":
        site.redis.command("save")
        lost = faults.Device(3, keys[1], host.challenge())
    again(site, persistence)
    first = done.leaf
    faults.finish([fresh, late], site.hosts)
    kept = persistence != "none"
    assert {fresh.status, late.status} == ({scep.SUCCESS} if kept else {scep.FAILURE})
    # the device that has its certificate asks again
    done.status = "undecided"
    faults.finish([done], site.hosts)
    assert (done.status, done.leaf) == ((scep.SUCCESS, first) if kept else (scep.FAILURE, first))
    if persistence == "rdb":
        faults.finish([lost], site.hosts)
        assert lost.status == scep.FAILURE
    if kept:
        site.check([fresh, late, done])
    else:
        assert not [row for row in site.view() if row["state"] == "issued"]


def test_redis_is_full(factory, keys):
    """maxmemory with noeviction: 503, nothing half done; well again when there is room."""
    site = faults.Site(factory, "redis", redis=("maxmemory-policy noeviction",))
    site.expect(*NOISE)
    host = site.hosts[0]
    device = faults.Device(0, keys[0], host.challenge())
    device.spec = host.client().spec(**device.fields)
    site.redis.command("config", "set", "maxmemory", "1")
    assert not device.attempt(host)
    assert host.admin(headers=[("Accept", "application/json")]).status == 503
    assert not site.journal.exists()
    site.redis.command("config", "set", "maxmemory", "0")
    faults.finish([device], site.hosts)
    assert device.status == scep.SUCCESS and site.check([device]) == 0


def test_redis_throws_keys_away(factory, keys):
    """An evicted challenge is refused, an evicted transaction is not made again: eviction costs, but gives nothing."""
    site = faults.Site(factory, "redis")
    site.expect(*NOISE)
    host = site.hosts[0]
    gone, done = [faults.Device(n, keys[0], host.challenge()) for n in range(2)]
    assert done.attempt(host) and done.status == scep.SUCCESS
    for key in site.redis.command("--scan", "--pattern", "*").split():
        if ":ch:" in key or ":tx:" in key:
            site.redis.command("del", key)
    for device in gone, done:
        device.status = "undecided"
    faults.finish([gone, done], site.hosts)
    assert {gone.status, done.status} == {scep.FAILURE}
    assert len(site.journal.read_text().split()) == 1


@pytest.mark.parametrize("jump", ["+3h", "-3h"])
def test_a_clock_is_wrong(factory, keys, jump):
    """One host's clock is hours off: life times and leases are the store's, so challenges and takeover work as ever."""
    assert shutil.which("faketime"), "faketime is not installed"
    site = faults.Site(factory, "redis", hosts=2, clocks=(jump, None), lines=("ScepAuditLog audit.log",))
    site.expect(*NOISE)
    wrong, right = site.hosts
    devices = [faults.Device(0, keys[0], right.challenge()), faults.Device(1, keys[1], wrong.challenge()),
               faults.Device(2, keys[2], right.challenge())]
    assert devices[0].attempt(wrong) and devices[1].attempt(right)
    site.arm("commit", "before", "kill")
    devices[2].attempt(wrong)
    assert site.is_done()
    # while the lease lives nobody else has it; then the other one does
    assert not devices[2].attempt(right)
    faults.finish(devices, [right])
    assert {device.status for device in devices} == {scep.SUCCESS}
    assert site.check(devices) == 0
