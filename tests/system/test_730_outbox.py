# SPDX-License-Identifier: Apache-2.0
"""The outbox: news that are delivered once, whatever dies or is down, and the request-status files."""
import contextlib
import json
import os
import pathlib
import threading
import time

import pytest

import conf
import env
import pki
import scep_client as scep
from test_300_stores import secret_file
from webhook import Webhook

FAULT = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")


@pytest.fixture
def hook():
    made = Webhook()
    yield made
    made.stop()


class Site:
    """Hosts on one Redis that tell one webhook."""

    def __init__(self, factory, hook, count=2, backend="local", options=("",), lines=(), mpms=("event", "worker")):
        self.redis, self.hosts = factory.redis(), []
        secret = secret_file(env.folder("secret"))
        for number in range(count):
            service = conf.Service(pki.make(), backend=backend).add(hook.policy("challengeRequired=off", "timeout=1s"))
            service.lines = [line + (" " + options[number % len(options)] if line.startswith("ScepCABackend") else "")
                             for line in service.lines]
            server = conf.Lines("ScepStore " + self.redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret,
                                "ScepRequestTimeout 2s", *lines)
            host = factory.httpd([service], server=server, mpm=mpms[number % len(mpms)], fault=backend == "fault",
                                 locations=[status_location()])
            self.hosts.append(host.start())

    def expect(self, *patterns):
        for host in self.hosts:
            host.expect(*patterns)


def status_location():
    return ('<Location "/status">\n    SetHandler scep-status\n    AuthType Basic\n    AuthName "SCEP"\n'
            '    AuthUserFile users\n    Require valid-user\n</Location>\n')


def status(server, accept="application/json"):
    """The first service of scep-status."""
    response = server.connection(keep_alive=False).request(
        "GET", "/status", [("Accept", accept), ("Authorization", conf.authorization())])
    assert response.status == 200
    return json.loads(response.body)["services"][0] if "json" in accept else response.body.decode()


def outbox(server):
    return status(server)["outbox"]["count"]


def enroll(host, key, **fields):
    client = host.client(keep_alive=False)
    spec = client.spec(key=key, **fields)
    return client.transact(spec), spec


def holder(server):
    """The child that holds the lock of the state directory."""
    inode = os.stat(server.folder / "state" / "worker.lock").st_ino
    for line in pathlib.Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and int(words[5].rsplit(":", 1)[1]) == inode:
            return int(words[4])
    return None


def test_receiver_is_down(hook, factory, keys):
    """The certificate is out at once, the news are delivered once, by one of two hosts."""
    site = Site(factory, hook)
    site.expect("SCEP0285")
    hook.thanks = (503, (), {})
    reply, spec = enroll(site.hosts[0], keys[0])
    assert reply.status == scep.SUCCESS
    hook.news(spec.txid, 1)
    assert outbox(site.hosts[1]) == 1
    record, = status(site.hosts[1])["records"]["newest"]
    assert record["state"] == "processing" and record["transactionID"] == spec.txid
    hook.told.clear()
    hook.allow()
    told, = hook.news(spec.txid, 1, 60)
    assert told["event"] == "issued" and int(told["serial"], 16) == reply.leaf.serial_number
    env.wait_until(lambda: outbox(site.hosts[0]) == 0)
    time.sleep(2)
    assert len(hook.news(spec.txid)) == 1
    answer = status(site.hosts[0])
    assert answer["records"]["succeed"] == 1 and answer["records"]["newest"][0]["state"] == "succeed"
    page = status(site.hosts[0], "text/html")
    assert "Succeed 1" in page and record["thumbprint"] in page


def test_refused(hook, factory, keys):
    site = Site(factory, hook)
    hook.answer = (200, (), {"allow": False, "reason": "lost"})
    reply, spec = enroll(site.hosts[0], keys[0])
    assert reply.status == scep.FAILURE
    told, = hook.news(spec.txid)
    assert told["event"] == "refused" and told["reason"] == "webhook-refused"
    assert status(site.hosts[0])["records"]["newest"] == []


def test_host_dies_before_delivery(hook, factory, keys):
    """kill -9 of the whole host after the commit: the other one delivers."""
    site = Site(factory, hook)
    site.expect("SCEP0285", "AH00052", "AH00051")
    dying, living = site.hosts
    hook.thanks = (503, (), {})
    reply, spec = enroll(dying, keys[0])
    assert reply.status == scep.SUCCESS
    for pid in [dying.process.pid] + dying.children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    dying.process.wait()
    dying.process = None
    hook.news(spec.txid)
    hook.told.clear()
    hook.allow()
    assert [told["event"] for told in hook.news(spec.txid, 1, 90)] == ["issued"]
    env.wait_until(lambda: outbox(living) == 0)
    assert len(hook.news(spec.txid)) == 1


@FAULT
@pytest.mark.slow
def test_host_dies_before_commit(hook, factory, keys):
    """Between the CA's answer and the commit: nobody is told until the device comes again, then once."""
    site = Site(factory, hook, backend="fault", options=("delay-after=60s", ""))
    site.expect("AH00052", "AH00051", r"SCEP\d{4}.*busy")
    dying, living = site.hosts
    client = living.client()
    spec = client.spec(key=keys[0])
    first = dying.client(timeout=70)
    first.cacert()
    client.cacert()

    def send():
        with contextlib.suppress(Exception):    # the connection of a killed child
            first.send(spec.build())
    sender = threading.Thread(target=send)
    sender.start()
    env.wait_until(lambda: hook.of("verify"))
    time.sleep(1)
    for pid in dying.children():
        dying.kill_child(pid)
    sender.join(30)

    def taken():
        response = client.send(spec.build())
        return client.reply(response, spec) if response.status == 200 else None
    reply = env.wait_until(taken, 90, 0.5, "nobody took over")
    told, = hook.news(spec.txid)
    assert told["event"] == "issued" and int(told["serial"], 16) == reply.leaf.serial_number
    time.sleep(2)
    assert len(hook.news(spec.txid)) == 1


@pytest.mark.parametrize("mpm", env.MPMS)
def test_restart_keeps_news(hook, factory, keys, mpm):
    """On the embedded store; graceful and whole restarts."""
    service = conf.Service(pki.make()).add(hook.policy("challengeRequired=off"))
    server = factory.httpd([service], mpm=mpm, locations=[status_location()]).start()
    server.expect("SCEP0285")
    hook.thanks = (503, (), {})
    reply, spec = enroll(server, keys[0])
    assert reply.status == scep.SUCCESS
    server.graceful()
    assert outbox(server) == 1
    server.restart()
    assert outbox(server) == 1
    hook.told.clear()
    hook.allow()
    assert len(hook.news(spec.txid, 1, 90)) == 1
    env.wait_until(lambda: outbox(server) == 0)


@pytest.mark.parametrize("mpm", env.MPMS)
def test_holder_dies(hook, factory, keys, mpm):
    """Another child of the host takes over, although all run already."""
    service = conf.Service(pki.make()).add(hook.policy("challengeRequired=off"))
    server = factory.httpd([service], mpm=mpm).start()
    server.expect("AH00052")
    for number in range(3):
        first = env.wait_until(lambda: holder(server), what="nobody holds the lock")
        assert first in server.children()
        server.kill_child(first)
        env.wait_until(lambda: holder(server) not in (None, first), 15, what="nobody took over")
        _, spec = enroll(server, keys[number])
        assert len(hook.news(spec.txid)) == 1


def test_graceful_restart_passes_the_lock_on(hook, factory, keys):
    """Also while an old child still has a connection open."""
    service = conf.Service(pki.make()).add(hook.policy("challengeRequired=off"))
    server = factory.httpd([service]).start()
    old = env.wait_until(lambda: holder(server))
    connection = server.client()
    connection.cacert()
    server.graceful()
    env.wait_until(lambda: holder(server) not in (None, old), 20, what="the old child kept the lock")
    _, spec = enroll(server, keys[0])
    assert len(hook.news(spec.txid)) == 1


@pytest.mark.parametrize("mpm", env.MPMS)
def test_stops_while_the_receiver_hangs(hook, factory, keys, mpm):
    """Without httpd having to use force (AH00045, AH00046), and the news are still there."""
    service = conf.Service(pki.make()).add(hook.policy("challengeRequired=off", "timeout=20s"))
    server = factory.httpd([service], mpm=mpm, locations=[status_location()]).start()
    hook.hang = threading.Event()
    _, spec = enroll(server, keys[0])
    hook.news(spec.txid)
    since = time.monotonic()
    server.stop()
    assert time.monotonic() - since < 4
    hook.hang.set()
    assert not server.log.lines("AH0004[56]")
    server.start()
    assert len(hook.news(spec.txid, 2, 90)) >= 2


def crs(folder, name):
    return sorted(path.name for path in (folder / name).glob("*.CRS"))


def fields(path):
    return dict(line.split(": ", 1) for line in path.read_bytes().decode().split("\r\n") if line)


def test_status_files(hook, factory, keys):
    """They are where the host enrolled, and move whoever delivers."""
    folders = [env.folder("status") / "crs" for _ in range(2)]
    site = Site(factory, hook)
    site.expect("SCEP0285", "SCEP0283")
    for host, folder in zip(site.hosts, folders):
        host.server.add("ScepStatusDirectory %s" % folder)
        host.restart()
    hook.thanks = (503, (), {})
    reply, spec = enroll(site.hosts[0], keys[0], subject="CN=crs,O=A")
    name, = env.wait_until(lambda: crs(folders[0], "Processing"))
    assert name.startswith("corp-") and crs(folders[1], "Processing") == []
    path = folders[0] / "Processing" / name
    assert path.stat().st_mode & 0o777 == 0o640 and path.parent.stat().st_mode & 0o777 == 0o750
    said = fields(path)
    assert int(said["CertificateSerialNumber"], 16) == reply.leaf.serial_number
    assert said["TransactionID"] == spec.txid and said["UserID"] == "" and len(said["Thumbprint"]) == 40
    hook.allow()
    env.wait_until(lambda: crs(folders[0], "Succeed") == [name], 60)
    assert crs(folders[0], "Processing") == []
    hook.thanks = (410, (), {})
    enroll(site.hosts[0], keys[1])
    env.wait_until(lambda: len(crs(folders[0], "Failed")) == 1, 60)
    assert status(site.hosts[1])["records"]["failed"] == 1


def test_status_files_of_a_service_without_news(factory, keys):
    folder = env.folder("status") / "crs"
    server = factory.httpd(server=conf.Lines("ScepStatusDirectory %s" % folder)).start()
    server.enroll(keys[0])
    assert len(crs(folder, "Succeed")) == 1 and crs(folder, "Processing") == []
    # a folder that is gone costs a line, no enrollment
    server.expect("SCEP0497")
    for path in (folder / "Succeed").iterdir():
        path.unlink()
    (folder / "Succeed").rmdir()
    server.enroll(keys[1])
    assert server.log.wait("SCEP0497.*cannot write")


def test_old_status_files_go(factory, keys):
    folder = env.folder("status") / "crs"
    server = factory.httpd(server=conf.Lines("ScepStatusDirectory %s" % folder, "ScepRetention 1h")).start()
    server.enroll(keys[0])
    server.enroll(keys[1])
    old, kept = [folder / "Succeed" / name for name in crs(folder, "Succeed")]
    stranger = folder / "Succeed" / "notes.txt"
    stranger.write_text("mine")
    for path in (old, stranger):
        os.utime(path, (1, 1))
    server.restart()
    env.wait_until(lambda: not old.exists())
    assert kept.exists() and stranger.exists()


WRONG = {"file": "is not a directory", "open": "every user can write", "open below": "every user can write",
         "foreign": "cannot write into"}


@pytest.mark.parametrize("kind, said", WRONG.items(), ids=WRONG.keys())
def test_configuration_of_status_files(factory, kind, said):
    folder = env.folder("status") / "crs"
    if kind == "file":
        folder.write_text("")
    else:
        (folder / "Failed").mkdir(parents=True)
        (folder / "Failed").chmod(0o777 if kind == "open below" else 0o755 if env.ROOT else 0o500)
        folder.chmod(0o777 if kind == "open" else 0o755)
    server = factory.httpd(server=conf.Lines("ScepStatusDirectory %s" % folder))
    code, text = server.configtest()
    server.expect("ScepStatusDirectory")
    assert code != 0 and said in text and "ScepStatusDirectory" in text


def test_a_secret_is_needed(hook, factory):
    """News are sealed, so hosts that share a store need the same secret."""
    redis = factory.redis()
    server = factory.httpd([conf.Service(pki.make()).add(hook.policy("challengeRequired=off"))],
                           server=conf.Lines("ScepStore " + redis.urls()["tcp"], "ScepNotifyLifetime 1h"))
    code, text = server.configtest()
    server.expect("ScepChallengeSecretFile")
    assert code != 0 and "ScepChallengeSecretFile is missing" in text


def test_nothing_secret_is_in_the_store(hook, factory, keys):
    """Not even the subject, in news; the record is for people."""
    site = Site(factory, hook, count=1)
    site.expect("SCEP0285")
    hook.thanks = (503, (), {})
    enroll(site.hosts[0], keys[0])
    env.wait_until(lambda: outbox(site.hosts[0]) == 1)
    assert b"operation" not in site.redis.dump()
