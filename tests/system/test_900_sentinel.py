# SPDX-License-Identifier: Apache-2.0
"""redis+sentinel: the master is whom the sentinels name; it dies, and every client ends with an answer."""
import collections
import concurrent.futures
import signal
import time

import pytest

import conf
import env
import pki
import redis_nodes
import scep_client as scep
import servers
from test_300_stores import secret_file, unavailable

TIMES = "ScepStoreTimeout 300ms 500ms 3s"
SHORT_TIMES = "ScepStoreTimeout 300ms 500ms 600ms"


def store_lines(url, *more, secret=None, times=TIMES):
    return conf.Lines("ScepStore " + url, times, *more,
                      "ScepChallengeSecretFile %s" % (secret or secret_file(env.folder("secret"))))


@pytest.fixture(scope="module")
def site(module_factory):
    """Sentinels, and two hosts on them that wait for a replica."""
    sentinels = module_factory.sentinels()
    sentinels.secret = secret_file(env.folder("secret"))
    lines = store_lines(sentinels.url(), "ScepStoreWait 1 500ms", "ScepFailureLimit 0", secret=sentinels.secret)
    hosts = [module_factory.httpd(server=lines).start() for _ in range(2)]
    return sentinels, hosts


def enroll_patiently(server, key, challenge, txid, until, events=None, service=0):
    """The status a client ends with that repeats what gets no answer or 503, and its leaf."""
    client = server.client(service, timeout=15)
    spec = None
    while time.monotonic() < until:
        try:
            if spec is None:
                client.cacert()
                spec = client.spec(key=key, challenge=challenge, subject="CN=" + txid, txid=txid)
            response = client.send(spec.build())
        except OSError:
            client = server.client(service, timeout=15)
            continue
        if response.status == 503:
            assert int(response.header("Retry-After")) > 0
            if events is not None:
                events.append(time.monotonic())
            time.sleep(0.2)
            continue
        assert response.status == 200, response.status
        reply = client.reply(response, spec)
        return reply.status, (reply.leaf if reply.status == scep.SUCCESS else None)
    return None, None


def answered(response):
    return response if response.status == 200 else None


def storm(hosts, keys, challenges, disturb, seconds=20, service=0):
    """Two clients race for each challenge, at different hosts, while something is done to the store."""
    until = time.monotonic() + seconds
    results, events = collections.defaultdict(list), []

    def one(job):
        number, side = job
        txid = "S%dX%d" % (number, side)
        status, leaf = enroll_patiently(hosts[(number + side) % len(hosts)], keys[(number + side) % 4],
                                        challenges[number], txid, until, events, service)
        results[number].append((status, leaf))
    jobs = [(number, side) for number in range(len(challenges)) for side in (0, 1)]
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        work = [pool.submit(one, job) for job in jobs]
        env.wait_until(lambda: len(results) > len(challenges) // 5, 20, what="nothing is enrolled")
        disturb()
        for item in work:
            item.result()
    return results, events


def check(results):
    """Each challenge gave exactly one certificate, and nobody is left without an answer."""
    for number, ends in results.items():
        assert sorted(str(status) for status, _ in ends) == sorted([scep.SUCCESS, scep.FAILURE]), (number, ends)
    leaves = [leaf.serial_number for ends in results.values() for _, leaf in ends if leaf]
    assert len(set(leaves)) == len(leaves) == len(results)


def expect_faults(hosts):
    for host in hosts:
        host.expect(r"SCEP02\d\d", r"SCEP04\d\d", r"SCEP0\d{3}.*(store|lease|busy)")


def test_enroll_at_the_master(site, keys):
    """Replicas get no command of ours; the database has everything."""
    sentinels, hosts = site
    for number, host in enumerate(hosts):
        host.enroll(keys[number])
    assert "{scep:" in sentinels.master().command("--scan", "--pattern", "{scep:*")
    for node in sentinels.nodes[1:]:
        assert "cmdstat_evalsha:" not in node.command("info", "commandstats")


def test_ordered_failover(site, factory, keys):
    """For seconds two take writes.  Who waits for all replicas gives nothing out that one of them does not know."""
    sentinels = site[0]
    lines = store_lines(sentinels.url(), "ScepStoreWait 2 500ms", "ScepFailureLimit 0", secret=sentinels.secret)
    hosts = [factory.httpd(server=lines).start() for _ in range(2)]
    expect_faults(hosts)
    old = sentinels.master()
    challenges = hosts[0].challenges(10)
    sentinels.sentinels[0].command("sentinel", "failover", sentinels.name)
    env.wait_until(lambda: sentinels.master(but=old), 20, 0.1, "no failover")
    for number, challenge in enumerate(challenges):
        status, leaf = enroll_patiently(hosts[number % 2], keys[number % 4], challenge, "M%d" % number,
                                        time.monotonic() + 20)
        assert status == scep.SUCCESS and leaf
        status, _ = enroll_patiently(hosts[(number + 1) % 2], keys[(number + 1) % 4], challenge, "M%dx" % number,
                                     time.monotonic() + 20)
        assert status == scep.FAILURE
    env.wait_until(sentinels.settled, 30, 0.1, "the old master does not follow")
    assert sentinels.master().command("--scan", "--pattern", "*:tx:*").count(":tx:") >= len(challenges)


@pytest.mark.parametrize("how", ["kill", "hang"])
def test_master_dies_under_enrollment(site, keys, how):
    """kill -9, and a master that takes connections and says nothing (SIGSTOP)."""
    sentinels, hosts = site
    expect_faults(hosts)
    for node in sentinels.nodes:
        if node.process.poll() is not None:
            node.start()
    env.wait_until(sentinels.settled, 30, 0.1, "the replicas are not there")
    old = sentinels.master()
    challenges = hosts[0].challenges(24)

    def disturb():
        if how == "kill":
            old.kill()
        else:
            old.process.send_signal(signal.SIGSTOP)
    try:
        results, _ = storm(hosts, keys, challenges, disturb)
    finally:
        if how == "hang":
            old.process.send_signal(signal.SIGCONT)
    check(results)
    assert sentinels.master() not in (None, old) or how == "hang"


def test_sentinels_that_are_gone(site, factory, keys):
    """One that is left is enough to find the master."""
    sentinels, hosts = site
    expect_faults(hosts)
    for sentinel in sentinels.sentinels[:2]:
        sentinel.kill()
    late = factory.httpd(server=store_lines(sentinels.url(), secret=sentinels.secret)).start()
    late.enroll(keys[0])


def test_unknown_master(factory, keys):
    """A name that the sentinels do not know is said, and nothing is enrolled."""
    sentinels = factory.sentinels(replicas=0, sentinels=1)
    server = factory.httpd(server=store_lines(sentinels.url() + "x", times=SHORT_TIMES))
    server.expect(r"SCEP\d{4}")
    server.start()
    unavailable(server, keys, "0123456789ABCDEF")
    assert "does not know a master 'scepx'" in server.log.text(0)


@pytest.mark.parametrize("scheme,times,told", [
    ("redis+sentinel", "2s 500ms", True), ("redis+sentinel", "1500ms 500ms", False),
    ("rediss+sentinel", "300ms 500ms 599ms", True), ("redis+sentinel", "300ms 500ms 600ms", False),
    ("redis", "2s 500ms 1s", False)])
def test_too_little_time_to_ask_others(factory, scheme, times, told):
    """httpd -t says so, also where the default is what does not fit."""
    url = scheme + "://127.0.0.1" + ("/scep" if "sentinel" in scheme else "")
    server = factory.httpd(server=store_lines(url, times="ScepStoreTimeout " + times))
    if told:
        server.expect("SCEP0452.*ScepStoreTimeout.*less than twice")
    status, text = server.configtest()
    assert status == 0 and ("less than twice the time to connect" in text) == told, text


def test_short_of_replicas(factory, keys):
    """ScepStoreWait: nothing is given out or signed that no replica has; a challenge is good again at once."""
    redis = factory.redis(lines=["appendonly yes"])
    port = env.free_port()
    replica = redis_nodes.Node(redis_nodes.data_lines(port, ["replicaof 127.0.0.1 %d" % redis.port]), port=port)

    def follow():
        replica.start()
        env.wait_until(lambda: "state=online" in redis.command("info", "replication"), 20, what="no replica")
    server = factory.httpd(server=store_lines(redis.urls()["tcp"], "ScepStoreWait 1 500ms")).start()
    server.expect(r"SCEP02(01|10).*0 of 1 replicas have it", "SCEP0212", r"SCEP04\d\d")
    try:
        response = server.admin()
        assert response.status == 503 and int(response.header("Retry-After")) > 0
        follow()
        env.wait_until(lambda: server.admin().status == 200, 20, 0.1, "no challenge")
        challenge, client = server.challenge(), server.client()
        replica.kill()
        client.cacert()
        specs = [client.spec(key=keys[n], challenge=challenge, subject="CN=w%d" % n, txid="W%d" % n) for n in range(2)]
        for spec in specs:
            response = client.send(spec.build())
            assert response.status == 503 and int(response.header("Retry-After")) > 0
        follow()
        for spec, status in ((specs[1], scep.SUCCESS), (specs[0], scep.FAILURE)):
            # a loaded machine may be late once more
            response = env.wait_until(lambda spec=spec: answered(client.send(spec.build())), 20, 0.1, "no answer")
            assert client.reply(response, spec).status == status
    finally:
        replica.stop()


def test_credentials_of_both(factory, keys):
    """Sentinels and Redis have users of their own; neither word is in a log."""
    folder = env.folder("secret")
    for name in ("Redis-Pass-3141", "Guard-Pass-2718"):
        (folder / name).write_text(name + "\n")
        (folder / name).chmod(0o600)
    sentinels = factory.sentinels(
        replicas=0, sentinels=1, lines=["user scep on >Redis-Pass-3141 ~{scep:* +@all -@dangerous -@admin +role"],
        sentinel_lines=["user default off", "user probe on >Probe +@all",
                        "user guard on >Guard-Pass-2718 -@all +auth +sentinel|get-master-addr-by-name"],
        sentinel_cli=["--user", "probe", "--pass", "Probe"])
    lines = store_lines(sentinels.url(), "ScepStoreUser scep", "ScepStoreSentinelUser guard",
                        "ScepStorePasswordFile %s" % (folder / "Redis-Pass-3141"),
                        "ScepStoreSentinelPasswordFile %s" % (folder / "Guard-Pass-2718"),
                        times=SHORT_TIMES)
    server = factory.httpd(server=lines).start()
    server.enroll(keys[0])
    lines.set("ScepStoreSentinelPasswordFile", folder / "Redis-Pass-3141")
    wrong = factory.httpd(server=lines)
    wrong.expect(r"SCEP\d{4}")
    wrong.start()
    unavailable(wrong, keys, "0123456789ABCDEF")
    assert "WRONGPASS" in wrong.log.text(0)
    assert "-Pass-" not in server.log.text(0) + wrong.log.text(0)


def test_tls_to_all(factory, keys):
    """rediss+sentinel: sentinels and Redis by TLS alone; a sentinel of another CA is none."""
    tls = servers.Redis(tls=True)
    sentinels = factory.sentinels(replicas=1, sentinels=1, tls=tls)
    lines = store_lines(sentinels.url("rediss"), "ScepStoreCAFile %s" % tls.ca_file, times=SHORT_TIMES)
    server = factory.httpd(server=lines).start()
    server.enroll(keys[0])
    lines.set("ScepStoreCAFile", pki.make().path("ca.pem"))
    stranger = factory.httpd(server=lines)
    stranger.expect(r"SCEP\d{4}")
    stranger.start()
    unavailable(stranger, keys, "0123456789ABCDEF")
    assert "certificate is refused" in stranger.log.text(0)
