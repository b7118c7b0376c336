# SPDX-License-Identifier: Apache-2.0
"""redis+cluster: a service's keys are at one node; it dies or they are moved, and every client has an answer."""
import time

import pytest

import conf
import env
import pki
import scep_client as scep
from test_300_stores import secret_file, unavailable
from test_900_sentinel import SHORT_TIMES, check, enroll_patiently, expect_faults, storm, store_lines
from test_902_redis_settings import ACL, SEE

SERVICES = ("corp", "lab", "branch")
RIGHTS = " +wait +cluster|slots +cluster|countkeysinslot +asking" + SEE


def services():
    return [conf.Service(pki.make(), name, path="/" + name) for name in SERVICES]


@pytest.fixture(scope="module")
def site(module_factory):
    """Three masters with a replica each, and two hosts that wait for the replica."""
    cluster = module_factory.cluster(lines=["user scep on >Redis-Pass ~{scep:* -@all " + ACL + RIGHTS])
    folder = env.folder("secret")
    cluster.secret = secret_file(folder)
    (folder / "password").write_text("Redis-Pass\n")
    (folder / "password").chmod(0o600)
    lines = store_lines(cluster.url(), "ScepStoreWait 1 500ms", "ScepFailureLimit 0", "ScepStoreUser scep",
                        "ScepStorePasswordFile %s" % (folder / "password"), secret=cluster.secret,
                        times="ScepStoreTimeout 300ms 500ms 4s")
    hosts = [module_factory.httpd(services(), server=lines).start() for _ in range(2)]
    return cluster, hosts


def slot_of(cluster, service):
    return cluster.living().command("cluster", "keyslot", "{scep:%s}:idx" % service)


def test_each_service_at_its_node(site, keys):
    cluster, hosts = site
    owners = set()
    for number, name in enumerate(SERVICES):
        hosts[number % 2].enroll(keys[number], service=number)
        owner = cluster.owner(name)
        owners.add(owner.port)
        for node in cluster.nodes:
            found = node.command("--scan", "--pattern", "{scep:%s}:tx:*" % name)
            assert bool(found) == (node is owner or node in cluster.replicas_of(owner)), (name, node.port, owner.port)
    assert len(owners) > 1, "the names of the services are badly chosen"


def another_master(cluster, source):
    return next(node for node in cluster.nodes if node.command("role").startswith("master") and node is not source)


def move_slot(cluster, slot, source, target, between=None, moved=None):
    """As redis-cli --cluster reshard does, the key that scripts are sent by first; between is called while the keys are
    at both, moved when all are at the target and nobody has been told."""
    ids = {node: node.command("cluster", "myid") for node in (source, target)}
    assert target.command("cluster", "setslot", slot, "importing", ids[source]) == "OK"
    assert source.command("cluster", "setslot", slot, "migrating", ids[target]) == "OK"
    if between:
        between()
    keys = source.command("cluster", "getkeysinslot", slot, "10000").split()
    keys.sort(key=lambda key: not key.endswith(":idx"))
    assert keys[0].endswith(":idx")
    for number, key in enumerate(keys):
        # a lease or a counter may have expired meanwhile
        assert source.command("migrate", "127.0.0.1", str(target.port), key, "0", "5000") in ("OK", "NOKEY")
        if between and number in (0, len(keys) // 2):
            between()
    assert source.command("cluster", "countkeysinslot", slot) == "0"
    if moved:
        moved()
    for node in (target, source):
        assert node.command("cluster", "setslot", slot, "node", ids[target]) == "OK"


def test_slot_is_moved(site, factory, keys):
    """While keys are at two nodes nothing is decided; as soon as all are at the new one everything is known, challenges
    used and unused, also before anybody is told that the slot is its."""
    cluster, hosts = site
    expect_faults(hosts)
    source = cluster.owner("corp")
    target = another_master(cluster, source)
    used, fresh = hosts[0].challenge(), hosts[0].challenge()
    client = hosts[0].client()
    client.cacert()
    spec = client.spec(key=keys[0], challenge=used, subject="CN=moved", txid="MOVED")
    leaf = client.transact(spec).leaf
    thief = client.spec(key=keys[1], challenge=used, subject="CN=thief", txid="THIEF")

    hasty = factory.httpd(services(), server=store_lines(cluster.url(), secret=cluster.secret, times=SHORT_TIMES))
    hasty.expect(r"SCEP\d{4}")
    hasty.start()

    other = hasty.client()
    other.cacert()
    newcomer = other.spec(key=keys[2], challenge=fresh, subject="CN=new", txid="NEW")

    def between():
        for message, right in (spec, scep.SUCCESS), (newcomer, scep.SUCCESS), (thief, scep.FAILURE):
            response = other.send(message.build())
            assert response.status == 503 or other.reply(response, message).status == right

    def known():
        for host in hosts:
            status, again = enroll_patiently_spec(host, spec)
            assert status == scep.SUCCESS and again == leaf
            assert enroll_patiently_spec(host, thief)[0] == scep.FAILURE

    def moved():
        known()
        assert enroll_patiently_spec(hosts[1], newcomer)[0] == scep.SUCCESS
        assert "cmdstat_asking:" in target.command("info", "commandstats")
    move_slot(cluster, slot_of(cluster, "corp"), source, target, between, moved)
    known()
    assert cluster.owner("corp") is target


def test_slot_is_moved_under_enrollment(site, keys):
    """Key by key, while two devices race for each challenge: what is half-way waits, nothing is taken for unknown."""
    cluster, hosts = site
    expect_faults(hosts)
    source = cluster.owner("branch")
    target = another_master(cluster, source)
    challenges = hosts[0].challenges(60, service=2)
    extra = hosts[0].challenges(2, service=2)

    def moved():
        for number, challenge in enumerate(extra):
            status, _ = enroll_patiently(hosts[number], keys[number], challenge, "ASKED%d" % number,
                                         time.monotonic() + 15, service=2)
            assert status == scep.SUCCESS
    results, _ = storm(hosts, keys, challenges, seconds=40, service=2,
                       disturb=lambda: move_slot(cluster, slot_of(cluster, "branch"), source, target, moved=moved))
    check(results)
    assert cluster.owner("branch") is target


def enroll_patiently_spec(host, spec, seconds=15):
    """How an enrollment ends that is sent until it is answered."""
    client = host.client()
    client.cacert()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        response = client.send(spec.build())
        if response.status == 200:
            reply = client.reply(response, spec)
            return reply.status, reply.leaf if reply.status == scep.SUCCESS else None
        time.sleep(0.2)
    return None, None


def test_master_dies_under_enrollment(site, keys):
    """kill -9 of the node that has the service."""
    cluster, hosts = site
    expect_faults(hosts)
    old = cluster.owner("lab")
    env.wait_until(lambda: cluster.replicas_of(old), 20, 0.1, "the master has no replica")
    challenges = hosts[0].challenges(24, service=1)

    def disturb():
        """It comes back as a replica, without which ScepStoreWait would have nobody to wait for."""
        old.kill()
        env.wait_until(lambda: cluster.owner("lab"), 20, 0.1, "no failover")
        old.start()
    results, _ = storm(hosts, keys, challenges, disturb, service=1)
    check(results)
    assert cluster.owner("lab") not in (None, old)


def test_all_seeds_are_gone(site, factory, keys):
    """A cluster that is not there is told, and so is one that is no cluster."""
    del site
    server = factory.httpd(server=store_lines("redis+cluster://127.0.0.1:%d" % env.free_port(),
                                              times=SHORT_TIMES))
    server.expect(r"SCEP\d{4}")
    server.start()
    unavailable(server, keys, "0123456789ABCDEF")
    assert "no node knows the cluster" in server.log.text(0)
    redis = factory.redis()
    server = factory.httpd(server=store_lines("redis+cluster://127.0.0.1:%d" % redis.port,
                                              times=SHORT_TIMES))
    server.expect(r"SCEP\d{4}")
    server.start()
    unavailable(server, keys, "0123456789ABCDEF")
    assert "CLUSTER SLOTS is refused: ERR" in server.log.text(0)
