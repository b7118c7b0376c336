# SPDX-License-Identifier: Apache-2.0
"""A line between httpd and whom it asks: it passes what comes, until a test says what goes wrong on it.

A Line is either outside of TLS, where it sees what a bad network sees, or inside: it takes the TLS of both sides apart,
so that what arrives damaged was under a good seal (a broken middlebox, a server that is mad).

"up" is the way to the server, "down" the way back.  Places on a way are bytes since the connection began; a test
measures a good exchange with usual() first.
"""
import collections
import re
import select
import socket
import ssl
import threading

import env

CHUNK = 65536
OTHER = {"up": "down", "down": "up"}


class Usual(collections.namedtuple("Usual", "count answer said")):
    """count: bytes of each way; answer: how many had come down when the last ones went up; said: what came down."""

    def first(self):
        """Of HTTP that can be read, as if its first answer had been the only one."""
        head, rest = self.said.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"\r\ncontent-length: *(\d+)", head, re.I).group(1))
        said = self.said[:len(self.said) - len(rest) + length]
        return Usual(dict(self.count, down=len(said)), 0, said)


class Ended(Exception):
    """The connection is over."""


class Fault:
    """What goes wrong on a connection; this one: nothing.  kept: on those that are there already, too."""
    name, kept = "none", False

    def passes(self, connection, way, data):
        connection.send(way, data)


class Cut(Fault):
    """After some bytes of a way both ends see the end of the connection, or a reset."""

    def __init__(self, way, after, reset=False, kept=False):
        self.way, self.after, self.reset, self.kept = way, after, reset, kept
        self.name = "%s %s after %d" % ("reset" if reset else "end", way, after)

    def passes(self, connection, way, data):
        left = self.after - connection.count[way]
        if way != self.way or len(data) < left:
            connection.send(way, data)
            return
        connection.send(way, data[:left])
        connection.hit()
        connection.end(self.reset)
        raise Ended


class Hold(Fault):
    """A partition: after some bytes of a way nothing passes, and the connection stays, until the line is mended."""

    def __init__(self, way="up", after=0, kept=False):
        self.way, self.after, self.kept = way, after, kept
        self.name = "hold %s after %d" % (way, after)

    def passes(self, connection, way, data):
        if way == self.way and connection.count[way] + len(data) > self.after:
            connection.hit()
            connection.line.mended.wait()
        connection.send(way, data)


class Delay(Fault):
    """Each chunk comes later."""
    name = "delay"

    def __init__(self, seconds=0.05):
        self.seconds = seconds

    def passes(self, connection, way, data):
        connection.hit()
        connection.line.mended.wait(self.seconds)
        connection.send(way, data)


class Flip(Fault):
    """One bit of one byte."""

    def __init__(self, way, at):
        self.way, self.at, self.name = way, at, "flip %s at %d" % (way, at)

    def passes(self, connection, way, data):
        place = self.at - connection.count[way]
        if way == self.way and 0 <= place < len(data):
            data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1:]
            connection.hit()
        connection.send(way, data)


class Drip(Fault):
    """From some byte on one byte each tenth of a second."""

    def __init__(self, way="down", after=0):
        self.way, self.after, self.name = way, after, "drip %s after %d" % (way, after)

    def passes(self, connection, way, data):
        left = max(0, self.after - connection.count[way]) if way == self.way else len(data)
        connection.send(way, data[:left])
        for byte in data[left:]:
            connection.hit()
            connection.line.mended.wait(0.1)
            connection.send(way, bytes([byte]))


class Say(Fault):
    """In place of what would come down after some bytes: this, and if endless that for ever."""

    def __init__(self, name, answer, after=0, endless=b""):
        self.name, self.answer, self.after, self.endless = name, answer, after, endless

    def passes(self, connection, way, data):
        left = self.after - connection.count[way]
        if way == "up" or len(data) <= left:
            connection.send(way, data)
            return
        connection.send(way, data[:left])
        connection.hit()
        connection.send(way, self.answer)
        while self.endless:
            connection.send(way, self.endless)
        connection.end()
        raise Ended


class Connection:
    """One that came over the line."""

    def __init__(self, line, accepted):
        self.line, self.ends, self.fault = line, {"up": accepted}, line.fault
        self.count, self.answer, self.said, self.is_hit = {"up": 0, "down": 0}, 0, bytearray(), False

    def hit(self):
        if not self.is_hit:
            self.is_hit = True
            self.line.hits.append(self.fault.name)

    def send(self, way, data):
        self.count[way] += len(data)
        if way == "up":
            self.answer = self.count["down"]
        else:
            self.said += data
        self.ends[OTHER[way]].sendall(data)

    def end(self, reset=False):
        for one in list(self.ends.values()):
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()

    def shut(self):
        """Ends it from another thread: of TLS nothing is touched."""
        for one in list(self.ends.values()):
            try:
                socket.socket.shutdown(one, socket.SHUT_RDWR)
            except OSError:
                pass

    def usual(self):
        return Usual(dict(self.count), self.answer, bytes(self.said))

    def run(self):
        try:
            self.ends["up"].settimeout(30)
            self._connect()
            while True:
                self._pass_on()
        except (OSError, ValueError, Ended):        # ValueError: it was closed by another thread
            pass
        finally:
            self.end()
            self.line.forget(self)

    def _connect(self):
        contexts = self.line.contexts
        self.ends["down"] = socket.create_connection(("127.0.0.1", self.line.target), 30)
        if contexts:
            self.ends["up"] = contexts[0].wrap_socket(self.ends["up"], server_side=True)
            self.ends["down"] = contexts[1].wrap_socket(self.ends["down"], server_hostname="localhost")

    def _pass_on(self):
        """Waits, and passes on what came."""
        waiting = [way for way, end in self.ends.items() if getattr(end, "pending", int)()]
        if not waiting:
            ready = select.select(list(self.ends.values()), (), ())[0]
            waiting = [way for way, end in self.ends.items() if end in ready]
        for way in waiting:
            data = receive(self.ends[way])
            if data == b"":
                raise Ended
            if data:
                self.fault.passes(self, way, data)


def receive(end):
    """What is there, b"" at the end; None: nothing for us, as TLS has messages of its own."""
    end.settimeout(0)
    try:
        return end.recv(CHUNK)
    except (ssl.SSLWantReadError, BlockingIOError):
        return None
    finally:
        end.settimeout(30)


def contexts(folder):
    """For a Line that is inside of TLS: the server's and the client's part, of the files of a tls_double.Double."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    client.load_cert_chain(folder / "client.pem", folder / "client.key")
    client.load_verify_locations(folder / "ca.pem")
    return server, client


class Line:
    """To a port of this machine.  hits: names of the faults that happened, once for each connection."""

    def __init__(self, target):
        self.target, self.contexts, self.port = target, None, env.free_port()
        self.lock, self.mended = threading.Lock(), threading.Event()
        self.connections, self.begun = [], []       # those that are there; all
        self.hits, self.fault, self.listener = [], Fault(), None
        self.mended.set()
        self._listen()

    def _listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                accepted = listener.accept()[0]
            except OSError:
                return
            connection = Connection(self, accepted)
            with self.lock:
                self.connections.append(connection)
                self.begun.append(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def inside(self, made=None):
        """From now on inside of TLS, by contexts(); None: outside."""
        self.contexts = made
        self.drop()

    def usual(self, ask):
        """What passes on a new connection while ask() runs: on the busiest, if there are others."""
        self.drop()
        number = len(self.begun)
        ask()
        return max(self.begun[number:], key=lambda one: one.count["up"]).usual()

    def forget(self, connection):
        with self.lock:
            if connection in self.connections:
                self.connections.remove(connection)

    def drop(self):
        """Ends what is there, as a server that is tired of waiting."""
        with self.lock:
            there = list(self.connections)
        for connection in there:
            connection.shut()

    def breaks(self, fault):
        """All new connections have it, and those that are there if it is for kept ones; else they are ended."""
        self.mended.clear()
        self.hits.clear()
        self.fault = fault
        if not fault.kept:
            self.drop()
            return
        with self.lock:
            for connection in self.connections:
                connection.count, connection.fault = {"up": 0, "down": 0}, fault

    def refuses(self):
        """Nobody listens."""
        self.drop()
        self._close()

    def mend(self):
        with self.lock:
            self.fault = Fault()
            for connection in self.connections:
                connection.fault = self.fault
        self.mended.set()
        if self.listener is None:
            self._listen()

    def _close(self):
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None

    def close(self):
        self.mend()
        self._close()
        self.drop()
