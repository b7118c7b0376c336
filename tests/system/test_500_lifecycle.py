# SPDX-License-Identifier: Apache-2.0
"""Start, graceful restart, stop; what is kept secret."""
import base64
import concurrent.futures
import http.client
import os
import pathlib
import re
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives import hashes

import conf
import env
import pki
import scep_client as scep
from test_300_stores import store_lines


@pytest.mark.smoke
@pytest.mark.parametrize("mpm", env.MPMS)
def test_start_up_lines(factory, mpm):
    server = factory.httpd(mpm=mpm).start()
    line = server.log.wait(r"SCEP0472")
    assert "corp" in line and "/certsrv/mscep/mscep.dll" in line and "sqlite" in line and "local" in line
    assert ":notice]" in line
    certificates = server.log.lines(r"SCEP0471")
    assert len(certificates) == 3, "each certificate once: post_config runs twice"
    assert all(re.search(r"\d+ days left", line) for line in certificates)
    thumbprint = server.services[0].pki.load("ca.pem").fingerprint(hashes.SHA1()).hex().upper()
    assert "CA certificate" in certificates[2] and "SHA-1 thumbprint " + thumbprint in certificates[2]
    assert len(server.log.lines(r"SCEP0472")) == 1


@pytest.mark.parametrize("days,warns", [(29, True), (10, True), (31, False)])
def test_thirty_day_warning(factory, days, warns):
    server = factory.httpd([conf.Service(pki.make(ra_days=days))])
    if warns:
        server.expect("SCEP0471.*RA (signing|encryption)")
    server.start()
    lines = [line for line in server.log.lines("SCEP0471") if ":warn]" in line]
    assert len(lines) == (2 if warns else 0)


@pytest.mark.smoke
def test_keys_are_read_as_root(factory, keys):
    """Key files that only root can read; the children cannot."""
    if not env.ROOT:
        pytest.skip("needs root")
    server = factory.httpd().start()
    for name in ("ca.key", "ra-sign.key", "ra-enc.key"):
        status = os.stat(server.services[0].pki.path(name))
        assert status.st_uid == 0 and status.st_mode & 0o077 == 0
    server.enroll(keys[0])

    def users():
        text = [pathlib.Path("/proc/%d/status" % pid).read_text() for pid in server.children()]
        return {re.search(r"Uid:\s+(\d+)", fields).group(1) for fields in text}
    env.wait_until(lambda: "0" not in users(), 5, what="a child is still root")


def test_no_descriptor_of_the_parent(factory, keys):
    """Nothing that the parent opened (database, sockets) is used by children: the parent has none open."""
    server = factory.httpd().start()
    server.enroll(keys[0])
    links = [os.readlink(path) for path in pathlib.Path("/proc/%d/fd" % server.process.pid).iterdir()
             if path.is_symlink()]
    assert not [link for link in links if "sqlite" in link or ".key" in link]


@pytest.mark.parametrize("mpm", env.MPMS)
def test_graceful_with_requests_in_flight(factory, keys, mpm):
    """Clients enroll while the server is restarted three times: each gets its certificate."""
    server = factory.httpd(mpm=mpm).start()
    count, failures = 40, []
    challenges = server.challenges(count)
    lock, done = threading.Lock(), []

    def one(number):
        client = server.client(keep_alive=False)
        for attempt in range(8):
            try:
                client.cacert()
                reply = client.enroll(keys[number % 4], challenges[number], subject="CN=g%d" % number,
                                      txid="GRACEFUL%d" % number, signing_time=False)
                break
            except (OSError, http.client.HTTPException) as error:
                # a connection that the old generation had not accepted yet
                with lock:
                    failures.append("%s %r" % (attempt, error))
                time.sleep(0.1)
        with lock:
            done.append(reply.leaf.serial_number if reply.status == scep.SUCCESS else reply.fail_text)
        time.sleep(0.05)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(one, number) for number in range(count)]
        for _ in range(3):
            time.sleep(0.3)
            server.graceful()
        for future in futures:
            future.result()
    assert len(set(done)) == count and not [d for d in done if isinstance(d, str)], done
    assert not failures, failures


@pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")
def test_graceful_waits_for_a_slow_ca(factory, keys):
    service = conf.Service(pki.make(), backend="fault")
    service.lines = [line + (" delay=2s" if line.startswith("ScepCABackend") else "") for line in service.lines]
    server = factory.httpd([service], fault=True).start()
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(client.transact, spec)
        time.sleep(0.7)
        server.graceful()
        assert future.result(20).status == scep.SUCCESS


def test_new_configuration_after_graceful(factory, keys):
    server = factory.httpd().start()
    before = server.challenge()
    server.services[0].add("ScepChallengeLength 16")
    server.write()
    server.graceful()
    env.wait_until(lambda: len(server.challenge()) == 32, 10)
    server.enroll(keys[0], challenge=before)


def test_graceful_does_not_leak(factory, keys):
    """Ten restarts: the parent has no more descriptors and hardly more memory."""
    server = factory.httpd().start()

    def state():
        pid = server.process.pid
        status = pathlib.Path("/proc/%d/status" % pid).read_text()
        return len(list(pathlib.Path("/proc/%d/fd" % pid).iterdir())), int(
            re.search(r"RssAnon:\s+(\d+)", status).group(1))
    for _ in range(3):
        server.graceful()
    # in the middle of a restart there are fewer for a moment, or more
    files, memory = max((state(), time.sleep(0.1))[0] for _ in range(15))
    for _ in range(10):
        server.graceful()
    env.wait_until(lambda: state()[0] <= files + 1, what="descriptors are left: %d, now %r" % (files, state()))
    after_memory = state()[1]
    if not env.sanitizer_environment():
        assert after_memory - memory < 2048, (memory, after_memory)
    server.enroll(keys[0])


def test_stop_is_clean(factory, keys):
    """No child is left, none crashed."""
    for mpm in env.MPMS:
        server = factory.httpd(mpm=mpm).start()
        server.enroll(keys[0])
        children = server.children()
        server.stop()
        assert not [pid for pid in children if os.path.exists("/proc/%d" % pid)
                    and "Z" not in pathlib.Path("/proc/%d/stat" % pid).read_text().split()[2]]


def test_daemon(factory, keys):
    """As an init script starts it: two configuration passes, another pid for each."""
    server = factory.httpd()
    server.write()
    subprocess.run(server._command("-k", "start"), env=server._environment(), check=True, timeout=30,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        env.wait_until(lambda: env.listening(server.port), 30)
        server.enroll(keys[0])
    finally:
        pid = int((server.folder / "httpd.pid").read_text())
        os.kill(pid, 15)
        env.wait_until(lambda: not os.path.exists("/proc/%d" % pid), 20)


def secrets_of(server):
    """Everything secret that this server knows, in the forms in which it might be written."""
    found = {}
    for name in ("ca.key", "ra-sign.key", "ra-enc.key"):
        text = pathlib.Path(server.services[0].pki.path(name)).read_text()
        found[name] = text.splitlines()[5]
    for path in list((server.folder / "state").glob("*.key")):
        found[path.name] = [line for line in path.read_text().splitlines() if line and line[0] != "#"][0]
    return found


@pytest.mark.conformance("8894-54")
@pytest.mark.parametrize("transport", ["sqlite", "unix"])
def test_no_secret_is_written(factory, keys, transport):
    """Challenges, keys and passwords are in no log and in no database, whatever happens."""
    redis = factory.redis() if transport == "unix" else None
    server = factory.httpd(server=store_lines(transport, redis, env.folder("secret")))
    server.level = "trace8"
    server.start()
    client = server.client()
    used, unused, refused = server.challenges(3)
    page = re.search(r"password is: <B> (\S+)", server.admin().body.decode("utf-16")).group(1)
    wrong = "FEDCBA9876543210"
    server.enroll(keys[0], challenge=used)
    client.enroll(keys[1], used)
    client.enroll(keys[1], wrong)
    client.enroll(pki.key("small", "rsa1024"), refused)
    spec = client.spec(key=keys[2], challenge=unused, cipher="des")
    client.transact(spec)
    client.transact(client.spec(key=keys[2], challenge=unused, subject="CN=get"), method="GET")
    time.sleep(0.5)
    data = {}
    for path in server.folder.rglob("*"):
        if path.is_file() and path.suffix != ".key":
            data[str(path)] = path.read_bytes()
    if redis:
        data["dump"] = redis.dump()
        data["redis log"] = (redis.folder / "log").read_bytes()
    server.stop()
    for path in server.folder.rglob("*.sqlite*"):
        data[str(path) + " after"] = path.read_bytes()
    assert any("sqlite" in name for name in data) or redis
    secrets = secrets_of(server)
    secrets.update(used=used, unused=unused, refused=refused, page=page, wrong=wrong, password=conf.PASSWORD)
    found = []
    for name, secret in secrets.items():
        for form in (secret, secret.lower(), base64.b64encode(secret.encode()).decode(),
                     secret.encode("utf-16-le").decode("latin-1")):
            found += [(name, where) for where, content in data.items() if form.encode("latin-1") in content]
    assert not found


def test_log_escapes_what_clients_send(server, keys):
    """Control characters of a subject do not start a line of their own, quotes do not end a field."""
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge(), subject="CN=a\nSCEP9999: forged\x1b[31m",
                       txid="ESCAPE1")
    client.send(spec.build(), headers=[("User-Agent", "x\" result=success \"")])
    assert 'agent="x\\' in server.transaction_line("ESCAPE1") or "agent=\"x'" in server.transaction_line("ESCAPE1")
    text = server.log.text(0)
    assert "\x1b" not in text
    assert not re.search(r"(?m)^SCEP9999", text)
