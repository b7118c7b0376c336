# SPDX-License-Identifier: Apache-2.0
"""Clients on a bad line: bodies that stop half way, resets while the answer is made or written, garbage behind a
request.  They hold no place, no connection to the store and no claim; one place is all there is here."""
import re
import socket

import pytest

import conf
import env
import faults
import invariants
import pki
import scep_client as scep
from test_300_stores import store_lines
from test_405_ca_gate import ONE_CHILD
from test_800_metrics import LOCATIONS, metrics, value
from webhook import Webhook

RESET = b"\1\0\0\0\0\0\0\0"        # struct linger: a close() is a reset
GARBAGE = {"noise": bytes(range(1, 256)) * 8, "a request that is none": b"\r\n\r\nGET / HTTP/9.9\r\n: \r\n\r\n",
           "half a head": b"POST /certsrv/mscep/mscep.dll?operation=PKIOperation HTTP/1.1\r\nContent-Len",
           "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)}


class Served:
    """One place (ScepConcurrency 1 0), Redis, and a policy that answers when hook.gate is set."""

    def __init__(self, factory, hook):
        self.redis, self.hook = factory.redis(), hook
        service = conf.Service(pki.make()).add("ScepPolicy challenge", hook.policy("timeout=25s", "notify=off"))
        service.add("ScepRequestTimeout 30s", "ScepConcurrency 1 0")
        self.server = factory.httpd([service], locations=LOCATIONS, modules=("status",), server=store_lines(
            "tcp", self.redis, env.folder("secret"), "ScepStoreTimeout 5s 5s", *ONE_CHILD)).start()
        self.devices = []

    def device(self, key):
        """One with its message."""
        made = faults.Device(len(self.devices), key, self.server.challenge())
        made.spec = self.server.client(keep_alive=False).spec(**made.fields)
        self.devices.append(made)
        return made

    def connect(self):
        made = socket.create_connection((self.server.host, self.server.port), 20)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def post(self, message, length=None, close=True):
        """The bytes of a request; length: what it says of itself."""
        head = "POST %s?operation=PKIOperation HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n" % (
            self.server.client().path, len(message) if length is None else length,
            "Connection: close\r\n" if close else "")
        return head.encode() + message

    def stored(self):
        """How often the store was asked by enrollments, and who is connected to it."""
        clients = len(self.redis.command("client", "list").splitlines())
        return value(metrics(self.server), "scep_duration_seconds_count", service="corp", step="store"), clients

    def busy(self):
        """How many workers have a request, that of the one who tells us among them."""
        text = self.server.connection(keep_alive=False).request("GET", "/server-status?auto").body.decode()
        return int(re.search(r"^BusyWorkers: (\d+)$", text, re.M).group(1))

    def finish(self):
        """Everything is free again, and each device is decided by the message that it sent before."""
        env.wait_until(lambda: self.busy() == 1, 30, what="a worker is still busy")
        for device in self.devices:
            assert device.attempt(self.server, 30), device.fields["txid"]
        invariants.check([device.row() for device in self.devices], invariants.of_redis(self.redis))
        assert {device.status for device in self.devices} == {scep.SUCCESS}
        assert value(metrics(self.server), "scep_busy_refused_total", service="corp") == 0


@pytest.fixture
def served(factory):
    hook = Webhook()
    yield Served(factory, hook)
    hook.stop()


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def test_half_bodies(served, keys):
    """Ten bodies stop half way: nobody asked the store, and nobody is kept from it; they are reset, or just end."""
    served.server.enroll(keys[0])
    halves = []
    for number in range(10):
        message = served.device(keys[number % 4]).spec.build()
        halves.append(served.connect())
        halves[-1].sendall(served.post(message)[:-100])
    env.wait_until(lambda: served.busy() == 11, 20, what="the bodies are not read")
    before = served.stored()
    served.server.enroll(keys[1])
    after = served.stored()
    assert after[0] == before[0] + 2 and after[1] <= before[1] + 1      # claim and commit of the one
    for number, half in enumerate(halves):
        if number % 2:
            reset(half)
        else:
            half.shutdown(socket.SHUT_WR)
            half.close()
    served.finish()


def test_reset_before_the_reply(served, keys):
    """The client is gone while the policy is asked: the request ends as ever, and its certificate waits for it."""
    for number in range(3):
        device = served.device(keys[number])
        served.hook.gate.clear()
        connection = served.connect()
        connection.sendall(served.post(device.spec.build()))
        env.wait_until(lambda: len(served.hook.of("verify")) == number + 1, what="the policy was not asked")
        reset(connection)
        served.hook.gate.set()
        served.server.transaction_line(device.fields["txid"], 30)
    served.finish()
    assert value(metrics(served.server), "scep_replays_total", service="corp") == 3


def test_reset_while_the_reply_is_written(served, keys):
    """After some bytes of the answer; the same request has the same certificate again."""
    for number, count in enumerate((1, 12, 300)):
        device = served.device(keys[number])
        connection = served.connect()
        connection.sendall(served.post(device.spec.build()))
        assert connection.recv(count)
        reset(connection)
    served.finish()
    assert value(metrics(served.server), "scep_replays_total", service="corp") == 3


@pytest.mark.parametrize("name", sorted(GARBAGE))
def test_garbage_behind_a_request(served, keys, name):
    """The request is answered as if it stood alone, and what follows it is nothing."""
    device = served.device(keys[0])
    connection = served.connect()
    connection.sendall(served.post(device.spec.build(), close=False) + GARBAGE[name])
    connection.shutdown(socket.SHUT_WR)
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    connection.close()
    assert answer.startswith(b"HTTP/1.1 200 ") and b"application/x-pki-message" in answer
    assert [status for status in re.findall(rb"^HTTP/1\.[01] (\d+) ", answer, re.M)[1:]] in ([], [b"400"])
    served.finish()
    assert value(metrics(served.server), "scep_replays_total", service="corp") == 1


def test_the_same_request_twice_in_one_segment(served, keys):
    """One certificate, once more."""
    device = served.device(keys[0])
    request = served.post(device.spec.build(), close=False)
    connection = served.connect()
    connection.sendall(request + request)
    connection.shutdown(socket.SHUT_WR)
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    connection.close()
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200", b"200"]
    served.finish()
    assert value(metrics(served.server), "scep_replays_total", service="corp") == 2


def test_a_length_that_is_wrong(served, keys):
    """Too short: neither what it cuts off nor the rest is a request.  Too long: it is waited for, nothing is held."""
    short, long = served.device(keys[0]), served.device(keys[1])
    message = short.spec.build()
    connection = served.connect()
    connection.sendall(served.post(message, len(message) - 400, close=False))
    connection.shutdown(socket.SHUT_WR)
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    connection.close()
    assert set(re.findall(rb"HTTP/1\.[01] (\d+) ", answer)) == {b"400"}
    before = served.stored()
    message = long.spec.build()
    connection = served.connect()
    connection.sendall(served.post(message, len(message) + 400))
    served.server.enroll(keys[2])
    assert served.stored()[0] == before[0] + 2
    reset(connection)
    served.finish()
