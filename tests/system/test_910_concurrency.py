# SPDX-License-Identifier: Apache-2.0
"""ScepConcurrency: what comes on top is told to come again, what is cheap is answered, slow clients hold nothing."""
import concurrent.futures
import contextlib
import re
import socket

import pytest

import conf
import env
import pki
import scep_client as scep
from test_405_ca_gate import ONE_CHILD
from test_800_metrics import metrics, value
from webhook import Webhook

LOCATIONS = ['<Location "/metrics">\n    SetHandler scep-metrics\n</Location>\n',
             '<Location "/server-status">\n    SetHandler server-status\n</Location>\n',
             '<Location "/ready">\n    SetHandler scep-ready\n</Location>\n']


@contextlib.contextmanager
def serving(factory, concurrency=None):
    """One child whose policy answers when hook.gate is set."""
    hook = Webhook()
    try:
        service = conf.Service(pki.make()).add("ScepPolicy challenge", hook.policy("timeout=25s", "concurrency=16"))
        service.add("ScepRequestTimeout 30s")
        if concurrency is not None:
            service.add("ScepConcurrency " + concurrency)
        server = factory.httpd([service], locations=LOCATIONS, modules=("status",),
                               server=conf.Lines(*ONE_CHILD)).start()
        server.hook = hook
        yield server
    finally:
        hook.gate.set()
        hook.stop()


class Devices:
    """Requests in threads of their own; each is sent on a connection of its own."""

    def __init__(self, server, pool):
        self.server, self.pool = server, pool

    def send(self, message, method="POST"):
        return self.pool.submit(lambda: self.server.client(keep_alive=False).send(message, method))

    def spec(self, key):
        return self.server.client(keep_alive=False).spec(key=key, challenge=self.server.challenge())


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(16) as made:
        yield made


def under_way(server, count):
    env.wait_until(lambda: len(server.hook.of("verify")) == count, what="%d requests are not under way" % count)


def busy_workers(server):
    text = server.connection(keep_alive=False).request("GET", "/server-status?auto").body.decode()
    return int(re.search(r"^BusyWorkers: (\d+)$", text, re.M).group(1))


def check_busy(response):
    assert response.status == 503 and 10 <= int(response.header("Retry-After")) <= 900
    assert response.header("Content-Type") != "application/x-pki-message"


@pytest.mark.smoke
def test_what_comes_on_top_is_told_so(factory, keys, pool):
    with serving(factory, "2 0") as server:
        server.expect("SCEP0561")
        devices = Devices(server, pool)
        specs = [devices.spec(key) for key in keys[:4]]
        messages = [spec.build() for spec in specs]
        server.hook.gate.clear()
        running = [devices.send(message) for message in messages[:2]]
        under_way(server, 2)
        for method in ("POST", "GET"):
            check_busy(devices.send(messages[2], method).result(30))
            check_busy(devices.send(b"no message", method).result(30))
        assert len(server.hook.of("verify")) == 2
        assert "reason=overload" in server.log.wait("SCEP0560")
        assert len(server.log.lines("SCEP0561", 0)) == 1            # not for each of them

        # what costs little is not behind them
        client = server.client(keep_alive=False)
        assert client.get("GetCACaps").status == 200 and client.cacert()
        assert server.challenge() and server.connection().request("GET", "/ready").status == 200
        counted = metrics(server)
        assert value(counted, "scep_busy_refused_total", service="corp") == 4
        assert value(counted, "scep_queued_total", service="corp") == 0

        server.hook.gate.set()
        for future, spec in zip(running, specs):
            assert client.reply(future.result(30), spec).status == scep.SUCCESS
        # the refused one lost nothing: the same message, the same challenge
        assert client.reply(client.send(messages[2]), specs[2]).status == scep.SUCCESS


def test_who_waits_gets_his_turn(factory, keys, pool):
    with serving(factory, "1 3 25s") as server:
        devices = Devices(server, pool)
        specs = [devices.spec(key) for key in keys[:4]]
        server.hook.gate.clear()
        answers = [devices.send(specs[0].build())]
        under_way(server, 1)
        answers += [devices.send(spec.build()) for spec in specs[1:]]
        env.wait_until(lambda: busy_workers(server) == 5)           # the one that tells us is the fifth
        assert not any(answer.done() for answer in answers)
        server.hook.gate.set()
        client = server.client(keep_alive=False)
        client.cacert()
        for answer, spec in zip(answers, specs):
            assert client.reply(answer.result(60), spec).status == scep.SUCCESS
        assert value(metrics(server), "scep_busy_refused_total", service="corp") == 0


def test_who_waits_in_vain(factory, keys, pool):
    with serving(factory, "1 8 100ms") as server:
        server.expect("SCEP0561")
        devices = Devices(server, pool)
        specs = [devices.spec(key) for key in keys[:2]]
        server.hook.gate.clear()
        first = devices.send(specs[0].build())
        under_way(server, 1)
        check_busy(devices.send(specs[1].build()).result(30))
        assert "no place became free in time" in server.log.wait("SCEP0560")
        counted = metrics(server)
        assert value(counted, "scep_queued_total", service="corp") == 1
        assert value(counted, "scep_busy_refused_total", service="corp") == 1
        server.hook.gate.set()
        assert first.result(30).status == 200


def test_the_preset_leaves_threads(factory, keys, pool):
    """16 threads of which 10 work: with all of them stuck, and more devices coming, GetCACaps is answered."""
    with serving(factory) as server:
        server.expect("SCEP0561")
        devices = Devices(server, pool)
        messages = [devices.spec(keys[number % 4]).build() for number in range(10)]
        late = devices.spec(keys[0])
        server.hook.gate.clear()
        running = [devices.send(message) for message in messages]
        under_way(server, 10)
        check_busy(devices.send(late.build()).result(30))           # waited for two seconds
        assert server.client(keep_alive=False).get("GetCACaps").status == 200
        server.hook.gate.set()
        assert [answer.result(30).status for answer in running] == [200] * 10


def test_half_a_body_holds_no_place(factory, keys):
    """Clients that send slowly, or stop: neither a place nor the challenge is theirs meanwhile."""
    with serving(factory, "1 0") as server:
        client = server.client(keep_alive=False)
        spec = client.spec(key=keys[0], challenge=server.challenge())
        message = spec.build()
        slow = []
        for _ in range(4):
            connection = socket.create_connection((server.host, server.port), 20)
            connection.sendall(b"POST %s?operation=PKIOperation HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
                               b"Connection: close\r\n\r\n" % (client.path.encode(), len(message)))
            connection.sendall(message[:len(message) // 2])
            slow.append(connection)
        server.enroll(keys[1])
        other = client.spec(key=keys[2], challenge=spec.challenge)  # the challenge of the slow ones
        assert client.transact(other).status == scep.SUCCESS
        slow.pop().close()
        for connection in slow:                                     # byte for byte, the rest
            for byte in message[len(message) // 2:-1]:
                connection.sendall(bytes([byte]))
        server.enroll(keys[3])
        slow[0].sendall(message[-1:])
        assert slow[0].recv(100).startswith(b"HTTP/1.1 200 ")       # refused by CertRep: it was used
        for connection in slow:
            connection.close()
        assert value(metrics(server), "scep_busy_refused_total", service="corp") == 0


def test_prefork_needs_no_limit(factory, keys):
    factory.httpd(mpm="prefork").start().enroll(keys[0])


def test_no_limit(factory, keys, pool):
    """More than the preset's ten."""
    with serving(factory, "0") as server:
        devices = Devices(server, pool)
        messages = [devices.spec(keys[number % 4]).build() for number in range(13)]
        server.hook.gate.clear()
        running = [devices.send(message) for message in messages]
        under_way(server, 13)
        server.hook.gate.set()
        assert [answer.result(30).status for answer in running] == [200] * 13


@pytest.mark.parametrize("line, says", [
    ("ScepConcurrency", "one, two or three arguments"),
    ("ScepConcurrency many", "a number from 0 (no limit) to 100000 is needed"),
    ("ScepConcurrency -1", "a number from 0 (no limit) to 100000 is needed"),
    ("ScepConcurrency 100001", "a number from 0 (no limit) to 100000 is needed"),
    ("ScepConcurrency 18446744073709551617", "a number from 0 (no limit) to 100000 is needed"),
    ("ScepConcurrency 4 -1", "how many may wait is a number from 0 to 100000"),
    ("ScepConcurrency 4 100001", "how many may wait is a number from 0 to 100000"),
    ("ScepConcurrency 4 4 soon", "soon"),
    ("ScepConcurrency 4 4 0s", "a time from 1ms to 60s is needed"),
    ("ScepConcurrency 4 4 61s", "a time from 1ms to 60s is needed"),
    ("ScepConcurrency 4\n    ScepConcurrency 5", "ScepConcurrency"),
])
def test_bad_directives(factory, line, says):
    server = factory.httpd([conf.Service(pki.make()).add(line)])
    status, text = server.configtest()
    assert status != 0 and says in text
