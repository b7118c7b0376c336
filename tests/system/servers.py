# SPDX-License-Identifier: Apache-2.0
"""redis-server (or what SCEP_REDIS_SERVER names) and haproxy for a test."""
import ipaddress
import subprocess

from cryptography import x509

import env
import pki


class Redis:
    """One redis-server on TCP, a unix socket and, with tls, TLS."""

    def __init__(self, tls=False, lines=()):
        self.folder = env.folder("redis")
        self.port = env.free_port()
        self.tls_port = env.free_port() if tls else None
        self.socket = self.folder / "s"
        self.lines = list(lines)
        self.process = None
        if tls:
            self._certificates()

    def _certificates(self):
        ca_key, key = pki.key("redis-ca"), pki.key("redis")
        ca = pki.certificate("Redis CA", ca_key, ca=True, usage=pki.CA_USAGE)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        server = pki.certificate("localhost", key, ca, ca_key, names=names, server=True,
                                 usage=("digital_signature", "key_encipherment"))
        files = pki.Pki(self.folder)
        self.ca_file = files.write("ca.pem", pki.pem_of(ca), 0o644)
        files.write("server.pem", pki.pem_of(server))
        files.write("server.key", pki.pem(key))

    def urls(self):
        """By transport."""
        urls = {"tcp": "redis://127.0.0.1:%d" % self.port, "unix": "redis+unix://%s" % self.socket}
        if self.tls_port:
            urls["tls"] = "rediss://localhost:%d" % self.tls_port
        return urls

    def start(self):
        lines = ["bind 127.0.0.1", "port %d" % self.port, "unixsocket %s" % self.socket,
                 "unixsocketperm 777", "save \"\"", "appendonly yes", "dir %s" % self.folder,
                 "logfile %s" % (self.folder / "log"), "daemonize no"] + self.lines
        if self.tls_port:
            lines += ["tls-port %d" % self.tls_port, "tls-cert-file %s" % (self.folder / "server.pem"),
                      "tls-key-file %s" % (self.folder / "server.key"),
                      "tls-ca-cert-file %s" % self.ca_file, "tls-auth-clients no"]
        (self.folder / "redis.conf").write_text("\n".join(lines) + "\n")
        self.process = env.start([env.REDIS, self.folder / "redis.conf"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        env.wait_until(self._answers, 20, what="redis-server did not start")
        return self

    def _answers(self):
        """It listens, and is not busy with loading its data."""
        answer = subprocess.run(["redis-cli", "-s", str(self.socket), "ping"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, check=False, timeout=20).stdout
        return env.listening(self.port) and (answer.startswith(b"PONG") or b"NOAUTH" in answer)

    def stop(self):
        if self.process is not None:
            env.stop(self.process)
            self.process = None

    def command(self, *words):
        """redis-cli's answer."""
        return subprocess.run(["redis-cli", "-s", str(self.socket), *words], stdout=subprocess.PIPE,
                              check=True, timeout=20).stdout.decode("utf-8", "replace").strip()

    def dump(self):
        """The whole data set as redis-server would save it, uncompressed."""
        self.command("config", "set", "rdbcompression", "no")
        self.command("save")
        return (self.folder / "dump.rdb").read_bytes()


class Haproxy:
    """Round robin before several servers."""

    def __init__(self, servers):
        self.folder = env.folder("haproxy")
        self.port = env.free_port()
        self.servers = servers
        self.process = None

    def start(self):
        text = ("global\n    maxconn 500\n    stats socket %s/admin\ndefaults\n    mode http\n"
                "    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n"
                "    option redispatch\n    retries 3\n"
                "frontend scep\n    bind 127.0.0.1:%d\n    default_backend hosts\n"
                "backend hosts\n    balance roundrobin\n    option http-server-close\n" % (
                    self.folder, self.port))
        for number, server in enumerate(self.servers):
            text += "    http-response set-header X-Served-By host%d if { srv_id %d }\n" % (number, number + 1)
        for number, server in enumerate(self.servers):
            text += "    server host%d %s:%d id %d\n" % (number, server.host, server.port, number + 1)
        (self.folder / "haproxy.cfg").write_text(text)
        self.process = env.start(["haproxy", "-db", "-f", self.folder / "haproxy.cfg"],
                                 stdout=open(self.folder / "log", "wb"), stderr=subprocess.STDOUT)
        env.wait_until(lambda: env.listening(self.port), 20, what="haproxy did not start")
        return self

    def stop(self):
        if self.process is not None:
            env.stop(self.process)
            self.process = None

    def url(self, path="/certsrv"):
        return "http://127.0.0.1:%d%s/mscep/mscep.dll" % (self.port, path)
