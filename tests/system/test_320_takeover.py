# SPDX-License-Identifier: Apache-2.0
"""A host that dies between claim and commit: another finishes with the same serial number."""
import threading
import time

import pytest

import conf
import env
import pki
import scep_client as scep
from test_300_stores import secret_file

pytestmark = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")


def host(factory, redis, secret, options=""):
    service = conf.Service(pki.make(), backend="fault")
    service.lines = [line + (" " + options if line.startswith("ScepCABackend") else "") for line in service.lines]
    lines = conf.Lines("ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret,
                       "ScepRequestTimeout 2s")
    return factory.httpd([service], server=lines, fault=True).start()


def transactions(redis):
    """{key: fields} of all transactions."""
    found = {}
    for key in redis.command("--scan", "--pattern", "*:tx:*").split():
        words = redis.command("hgetall", key).splitlines()
        found[key] = dict(zip(words[::2], words[1::2]))
    return found


def serial_in(redis):
    """The one reserved serial number."""
    serials = {value.lower() for fields in transactions(redis).values() for name, value in fields.items()
               if name == "serial"}
    assert len(serials) == 1, transactions(redis)
    return serials.pop()


@pytest.mark.slow
@pytest.mark.parametrize("delay", ["delay=60s", "delay-after=60s"])
def test_takeover(factory, keys, delay):
    redis = factory.redis()
    secret = secret_file(env.folder("secret"))
    dying, living = host(factory, redis, secret, delay), host(factory, redis, secret)
    client = living.client()
    spec = client.spec(key=keys[0], challenge=dying.challenge())
    first = dying.client(timeout=70)
    first.cacert()
    sender = threading.Thread(target=_swallow, args=(lambda: first.send(spec.build()),))
    sender.start()
    env.wait_until(lambda: transactions(redis), 10, what="nothing was claimed")
    serial = serial_in(redis)
    time.sleep(0.5)

    # while the other host lives: busy, not a second certificate
    living.expect(r"SCEP\d{4}.*busy")
    response = client.send(spec.build())
    assert response.status == 503 and int(response.header("Retry-After")) > 0

    dying.expect("AH00052", "AH00051")
    for pid in dying.children():
        dying.kill_child(pid)
    sender.join(30)
    start = time.monotonic()

    def taken():
        answer = client.send(spec.build())
        return answer if answer.status == 200 else None
    reply = client.reply(env.wait_until(taken, 90, 0.5, "nobody took over"), spec)
    assert reply.status == scep.SUCCESS
    assert reply.leaf.serial_number == int(serial, 16)
    print("taken over after %.1f s" % (time.monotonic() - start))
    assert client.transact(spec).leaf == reply.leaf
    # the challenge is spent
    assert client.enroll(keys[1], spec.challenge).status == scep.FAILURE


@pytest.mark.slow
def test_another_device_gets_the_challenge_of_a_dead_transaction(factory, keys):
    """A device that comes back with a new key after the lease; the dead transaction is fenced."""
    redis = factory.redis()
    secret = secret_file(env.folder("secret"))
    dying, living = host(factory, redis, secret, "delay=60s"), host(factory, redis, secret)
    client = living.client()
    spec = client.spec(key=keys[0], challenge=dying.challenge())
    first = dying.client(timeout=70)
    first.cacert()
    sender = threading.Thread(target=_swallow, args=(lambda: first.send(spec.build()),))
    sender.start()
    env.wait_until(lambda: transactions(redis), 10, what="nothing was claimed")
    for pid in dying.children():
        dying.kill_child(pid)
    sender.join(30)
    living.expect(r"SCEP\d{4}.*busy")
    new = client.spec(key=keys[1], challenge=spec.challenge)

    def taken():
        answer = client.send(new.build())
        return answer if answer.status == 200 else None
    assert client.reply(env.wait_until(taken, 90, 0.5, "nobody took over"), new).status == scep.SUCCESS
    assert client.transact(spec).status == scep.FAILURE


@pytest.mark.slow
def test_slow_host_is_fenced(factory, keys):
    """A host that comes back after its lease must not deliver what it signed."""
    redis = factory.redis()
    secret = secret_file(env.folder("secret"))
    slow, living = host(factory, redis, secret, "delay-after=25s"), host(factory, redis, secret)
    slow.expect(r"SCEP\d{4}")
    living.expect(r"SCEP\d{4}.*busy")
    client = living.client()
    spec = client.spec(key=keys[0], challenge=slow.challenge())
    answers = []
    first = slow.client(timeout=70)
    first.cacert()
    sender = threading.Thread(target=_swallow, args=(lambda: answers.append(first.send(spec.build())),))
    sender.start()
    env.wait_until(lambda: transactions(redis), 10, what="nothing was claimed")
    new = client.spec(key=keys[1], challenge=spec.challenge)

    def taken():
        answer = client.send(new.build())
        return answer if answer.status == 200 else None
    reply = client.reply(env.wait_until(taken, 60, 0.5, "nobody took over"), new)
    sender.join(60)
    assert answers, "the slow host did not answer"
    delivered = answers[0].status == 200 and client.reply(answers[0], spec).status == scep.SUCCESS
    assert delivered != (reply.status == scep.SUCCESS), "two certificates for one challenge, or none"


def _swallow(call):
    try:
        call()
    except Exception as error:      # the connection of a killed child
        print("the first host: %r" % error)
