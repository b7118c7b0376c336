# SPDX-License-Identifier: Apache-2.0
"""Every store on every MPM, and stores that go away and come back."""
import concurrent.futures
import os
import pwd
import re
import socket
import sqlite3
import time

import pytest

import conf
import env
import pki
import scep_client as scep

TRANSPORTS = ("sqlite", "tcp", "unix", "tls")


@pytest.fixture(scope="module")
def redis(module_factory):
    return module_factory.redis(tls=True)


def secret_file(folder):
    path = folder / "challenge.key"
    path.write_text(os.urandom(32).hex() + "\n")
    path.chmod(0o600)
    return path


def store_lines(transport, redis, folder, *more):
    """Directives of the main server for a store."""
    lines = conf.Lines(*more)
    if transport == "sqlite":
        return lines.add("ScepStore sqlite:")
    lines.add("ScepStore " + redis.urls()[transport],
              "ScepChallengeSecretFile %s" % secret_file(folder))
    return lines.add("ScepStoreCAFile " + redis.ca_file) if transport == "tls" else lines


@pytest.mark.parametrize("mpm,transport", [
    pytest.param(mpm, transport, marks=[pytest.mark.smoke] if (mpm, transport) == ("event", "tls") else [])
    for mpm in env.MPMS for transport in TRANSPORTS])
def test_enroll(factory, redis, keys, mpm, transport):
    service = conf.Service(pki.make(), "s-%s-%s" % (mpm, transport))
    server = factory.httpd([service], mpm=mpm, server=store_lines(transport, redis, env.folder("secret"))).start()
    challenges = server.challenges(12)

    def one(number):
        client = server.client()
        spec = client.spec(key=keys[number % 4], challenge=challenges[number], subject="CN=d%d" % number)
        first, again = client.transact(spec), client.transact(spec)
        assert first.status == again.status == scep.SUCCESS
        assert first.leaf == again.leaf
        client.close()
        return first.leaf.serial_number
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        serials = list(pool.map(one, range(12)))
    assert len(set(serials)) == 12
    client = server.client()
    for challenge in challenges:
        assert client.enroll(keys[0], challenge, subject="CN=thief").status == scep.FAILURE


def unavailable(server, keys, challenge):
    """503 with Retry-After for enrollment and admin page; what is static is served on."""
    client = server.client()
    client.cacert()
    response = client.send(client.spec(key=keys[0], challenge=challenge).build())
    assert response.status == 503, response.status
    assert int(response.header("Retry-After")) > 0
    for accept in ("text/html", "application/json"):
        response = server.admin(headers=[("Accept", accept)])
        assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert client.get("GetCACaps").status == 200
    assert client.get("GetCACert").status == 200


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_redis_goes_and_comes_back(factory, keys, transport):
    redis = factory.redis(lines=["appendonly yes", "appendfsync always"])
    server = factory.httpd(server=store_lines(transport, redis, env.folder("secret"))).start()
    server.expect(r"SCEP02\d\d", "SCEP0432", "SCEP04")
    challenge = server.challenge()
    redis.stop()
    unavailable(server, keys, challenge)
    redis.lines = ["appendonly yes", "appendfsync always"]
    redis.start()

    def works():
        client = server.client(keep_alive=False)
        response = client.send(client.spec(key=keys[0], challenge=challenge, txid="BACK").build())
        return response.status == 200 and client.reply(response, None).status == scep.SUCCESS
    env.wait_until(works, 20, 0.3, "no enrollment after the store was back")


def test_redis_restarts_between_requests(factory, keys):
    """An idle connection that died costs nothing: no 503."""
    redis = factory.redis(lines=["appendonly yes", "appendfsync always"])
    server = factory.httpd(server=store_lines("tcp", redis, env.folder("secret"))).start()
    server.expect(r"SCEP02\d\d")
    challenges = server.challenges(8)
    for challenge in challenges[:4]:
        server.enroll(keys[0], challenge=challenge)
    redis.stop()
    redis.start()
    for challenge in challenges[4:]:
        server.enroll(keys[0], challenge=challenge)


def test_starts_without_its_store(factory, keys):
    """A host that boots before Redis serves when Redis is there."""
    redis = factory.redis()
    redis.stop()
    server = factory.httpd(server=store_lines("tcp", redis, env.folder("secret")))
    server.expect(r"SCEP\d{4}")
    server.start()
    unavailable(server, keys, "0123456789ABCDEF")
    redis.start()
    # each child finds out for itself
    env.wait_until(lambda: all(server.admin().status == 200 for _ in range(12)), 30, 0.5, "the store is not used")
    server.enroll(keys[0])


def test_hanging_store(factory, keys):
    """A store that takes connections and says nothing: an answer within the time limits."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        lines = conf.Lines("ScepStore redis://127.0.0.1:%d" % listener.getsockname()[1],
                           "ScepChallengeSecretFile %s" % secret_file(env.folder("secret")),
                           "ScepStoreTimeout 300ms 500ms")
        server = factory.httpd(server=lines)
        server.expect(r"SCEP\d{4}")
        server.start()
        client = server.client()
        client.cacert()
        start = time.monotonic()
        response = client.send(client.spec(key=keys[0], challenge="0123456789ABCDEF").build())
        assert response.status == 503 and time.monotonic() - start < 5


@pytest.mark.parametrize("user", ["default", "scep"])
def test_redis_password(factory, keys, user):
    redis = factory.redis(lines=["requirepass Redis-Pass-3141"] if user == "default" else [
        "user scep on >Redis-Pass-3141 ~{scep:* +@all -@dangerous -@admin"])
    folder = env.folder("secret")
    (folder / "password").write_text("Redis-Pass-3141\n")
    (folder / "password").chmod(0o600)
    lines = store_lines("tcp", redis, folder, "ScepStorePasswordFile %s" % (folder / "password"))
    if user == "scep":
        lines.add("ScepStoreUser scep")
    server = factory.httpd(server=lines).start()
    server.enroll(keys[0])
    assert "Redis-Pass" not in server.log.text(0)


def test_redis_wrong_password(factory, keys):
    redis = factory.redis(lines=["requirepass Redis-Pass-3141"])
    folder = env.folder("secret")
    (folder / "password").write_text("Wrong-Pass-2718\n")
    (folder / "password").chmod(0o600)
    lines = store_lines("tcp", redis, folder, "ScepStorePasswordFile %s" % (folder / "password"))
    server = factory.httpd(server=lines)
    server.expect(r"SCEP\d{4}")
    server.start()
    unavailable(server, keys, "0123456789ABCDEF")
    assert "WRONGPASS" in server.log.text() or "password" in server.log.text()
    assert "Wrong-Pass" not in server.log.text(0)


def test_tls_of_a_stranger(factory, redis, keys):
    """A server whose certificate another CA vouches for is no store."""
    lines = store_lines("tls", redis, env.folder("secret"))
    lines.set("ScepStoreCAFile", pki.make().path("ca.pem"))
    server = factory.httpd(server=lines)
    server.expect(r"SCEP\d{4}")
    server.start()
    unavailable(server, keys, "0123456789ABCDEF")
    assert "ertificate" in server.log.text()


def test_tls_of_another_name(factory, redis, keys):
    """127.0.0.2 is not in the certificate."""
    lines = store_lines("tls", redis, env.folder("secret"))
    redis.command("config", "set", "bind", "127.0.0.1 127.0.0.2")
    lines.set("ScepStore", "rediss://127.0.0.2:%d" % redis.tls_port)
    server = factory.httpd(server=lines)
    server.expect(r"SCEP\d{4}")
    server.start()
    unavailable(server, keys, "0123456789ABCDEF")


def test_redis_flushed_scripts(factory, redis, keys):
    server = factory.httpd([conf.Service(pki.make(), "flushed")],
                           server=store_lines("tcp", redis, env.folder("secret"))).start()
    server.enroll(keys[0])
    redis.command("script", "flush")
    server.enroll(keys[0])


def test_sqlite_state_survives_a_restart(factory, keys):
    server = factory.httpd().start()
    client = server.client()
    challenge, used = server.challenge(), server.challenge()
    spec = client.spec(key=keys[0], challenge=used)
    leaf = client.transact(spec).leaf
    client.close()
    server.restart()
    client = server.client()
    client.cacert()
    assert client.transact(spec).leaf == leaf
    assert client.enroll(keys[1], used).status == scep.FAILURE
    assert client.enroll(keys[1], challenge).status == scep.SUCCESS


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_state_directory_of_another_user(factory):
    server = factory.httpd()
    (server.folder / "state").mkdir(mode=0o755)
    assert re.search("ScepStore.*cannot write into .*/state", server.fails_to_start())
    server.expect("SCEP", "AH00020")
    os.chmod(server.folder / "state", 0o777)
    server.start()


def test_sqlite_cannot_be_written(factory, keys):
    """A full or broken disk: 503, not a certificate."""
    server = factory.httpd().start()
    challenge = server.challenge()
    client = server.client()
    client.cacert()
    server.stop()
    database = next((server.folder / "state").glob("*.sqlite"))
    for path in (server.folder / "state").glob("*.sqlite*"):
        path.unlink()
    database.mkdir()
    server.expect(r"SCEP\d{4}", "AH00016", "AH00020")
    try:
        server.start()
    except AssertionError:
        return      # it may also say so at start
    assert client.send(client.spec(key=keys[0], challenge=challenge).build()).status == 503


def test_sqlite_is_locked(factory, keys):
    """Another process holds the write lock, as one that was stopped in the middle: 503 in time, then as ever."""
    server = factory.httpd(server=conf.Lines("ScepStoreTimeout 300ms 1s")).start()
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    server.expect("SCEP0201")
    lock = sqlite3.connect(server.folder / "state" / "scep.sqlite", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    response = client.send(spec.build())
    assert response.status == 503 and response.header("Retry-After")
    assert client.caps() and client.cacert()
    lock.execute("ROLLBACK")
    lock.close()
    assert client.reply(client.send(spec.build()), spec).status == scep.SUCCESS


def test_state_directory_owner(factory):
    if not env.ROOT:
        pytest.skip("needs root")
    server = factory.httpd().start()
    server.challenge()
    state = server.folder / "state"
    owner = pwd.getpwnam(env.USER).pw_uid
    assert state.stat().st_mode & 0o777 == 0o700 and state.stat().st_uid == owner
    for path in state.glob("*.sqlite*"):
        assert path.stat().st_uid == owner and not path.stat().st_mode & 0o077
    for path in state.glob("*.key"):
        assert not path.stat().st_mode & 0o077
