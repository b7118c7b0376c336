# SPDX-License-Identifier: Apache-2.0
"""The proxies of conf-examples, with nothing but addresses and files replaced: haproxy and nginx."""
import re
import shutil
import socket
import ssl
import subprocess
import urllib.request

import pytest

import conf
import env
import pki
import scep_client as scep
from http_client import Connection
from test_300_stores import secret_file

DEVICE = "127.0.0.2"            # a client whose address is not the proxy's
READY = re.search(r'<Location "/scep-ready">.*?</Location>\n',
                  (env.SOURCE / "conf-examples" / "two-hosts.conf").read_text(), re.S).group(0)


class FromDevice(Connection):
    def connect(self):
        if self.socket is None:
            self.socket = socket.create_connection((self.host, self.port), self.timeout, (DEVICE, 0))
        return self.socket


class Proxy:
    """One of the examples, in a folder of its own."""

    def __init__(self, example, hosts):
        self.folder = env.folder("proxy")
        self.port, self.tls_port = env.free_port(), env.free_port()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days",
                        "2", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.folder / "key", "-out",
                        self.folder / "cert"], check=True, stderr=subprocess.DEVNULL)
        both = self.folder / "both"
        both.write_text((self.folder / "cert").read_text() + (self.folder / "key").read_text())
        text = (env.SOURCE / "conf-examples" / example).read_text()
        for number, host in enumerate(hosts):
            text = self.replace(text, "192.0.2.1%d:80" % (number + 1), "127.0.0.1:%d" % host.port)
        self.file = self.folder / example
        self.file.write_text(self.adapt(text))
        self.process = None

    @staticmethod
    def replace(text, old, new):
        assert old in text, old
        return text.replace(old, new)

    def start(self):
        with open(self.folder / "output", "wb") as out:
            self.process = env.start(self.command(), stdout=out, stderr=out)
        env.wait_until(lambda: env.listening(self.port) and env.listening(self.tls_port),
                       what="the proxy did not start")
        return self

    def stop(self):
        if self.process is not None:
            env.stop(self.process)
            self.process = None

    def client(self):
        made = scep.Client("http://127.0.0.1:%d/certsrv/mscep/mscep.dll" % self.port)
        made.http = FromDevice("127.0.0.1", self.port, 20, False)
        return made

    def https(self, path):
        context = ssl.create_default_context(cafile=str(self.folder / "cert"))
        url = "https://127.0.0.1:%d%s" % (self.tls_port, path)
        with urllib.request.urlopen(url, context=context, timeout=20) as answer:
            return answer.read()


class Haproxy(Proxy):
    example, asks_ready = "haproxy.cfg", True

    def adapt(self, text):
        text = self.replace(text, "bind :80\n", "bind 127.0.0.1:%d\n" % self.port)
        text = self.replace(text, "bind :443 ", "bind 127.0.0.1:%d " % self.tls_port)
        text = self.replace(text, "global\n", "global\n    stats socket %s/admin\n" % self.folder)
        text = self.replace(text, "inter 2s", "inter 200ms")
        return self.replace(text, "/etc/haproxy/scep.pem", str(self.folder / "both"))

    def hosts_well(self):
        """How many hosts of the first backend answered scep-ready with 200."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.folder / "admin"))
            admin.sendall(b"show stat\n")
            lines = admin.makefile().read().splitlines()
        return sum(line.startswith("scep_hosts,web") and ",UP," in line for line in lines)

    def command(self):
        return ["haproxy", "-db", "-f", self.file]


class Nginx(Proxy):
    example, asks_ready = "nginx.conf", False

    def adapt(self, text):
        text = self.replace(text, "listen 80;", "listen 127.0.0.1:%d;" % self.port)
        text = self.replace(text, "listen 443 ssl;", "listen 127.0.0.1:%d ssl;" % self.tls_port)
        text = self.replace(text, "/etc/nginx/scep.pem", str(self.folder / "cert"))
        text = self.replace(text, "/etc/nginx/scep.key", str(self.folder / "key"))
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
            text = text.replace("http {\n", "http {\n    %s_temp_path %s/%s;\n" % (name, self.folder, name), 1)
        text = text.replace("http {\n", "http {\n    access_log off;\n", 1)
        return "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log stderr;\n%s" % (self.folder, text)

    def command(self):
        return ["nginx", "-e", "stderr", "-p", self.folder, "-c", self.file]


@pytest.fixture(scope="module", params=[Haproxy, Nginx], ids=lambda kind: kind.__name__.lower())
def proxy(request, module_factory):
    kind = request.param
    if shutil.which(kind.example.split(".")[0]) is None:
        pytest.skip("%s is not installed" % kind.example.split(".")[0])
    redis, made = module_factory.redis(lines=["appendonly yes"]), pki.make()
    secret = secret_file(env.folder("secret"))
    hosts = []
    for _ in range(2):
        service = conf.Service(made).add("ScepStore " + redis.urls()["tcp"],
                                         "ScepChallengeSecretFile %s" % secret, "ScepFailureLimit 3 1h")
        hosts.append(module_factory.httpd([service], modules=("remoteip",), locations=[READY], server=conf.Lines(
            "RemoteIPHeader X-Forwarded-For", "RemoteIPInternalProxy 127.0.0.1")).start())
    running = kind(kind.example, hosts)
    running.hosts, running.redis = hosts, redis
    module_factory.made.append(running)
    return running.start()


def addresses(proxy, text):
    """The client addresses of the access logs' lines with text."""
    lines = [line for host in proxy.hosts
             for line in (host.folder / "access_log").read_text().splitlines() if text in line]
    return {line.split(" ")[0] for line in lines}


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_enrollment(proxy, keys, method):
    client = proxy.client()
    spec = client.spec(key=keys[0], challenge=proxy.hosts[0].challenge())
    assert client.transact(spec, method=method).status == scep.SUCCESS
    env.wait_until(lambda: addresses(proxy, "txid=" + spec.txid) == {DEVICE}, what="no line with the device's address")


def test_the_longest_line(proxy):
    """A GET of 60,000 bytes arrives whole: it is refused for what it is, not for its length."""
    client = proxy.client()
    response = client.get("PKIOperation", "A" * 60000)
    assert response.status == 400
    env.wait_until(lambda: any("A" * 59999 in (host.folder / "access_log").read_text() for host in proxy.hosts))


def test_a_large_body(proxy):
    """Whoever sends too much hears it from mod_scep."""
    client = proxy.client()
    assert client.send(b"x" * 70000).status == 413
    assert any("SCEP0410" in host.log.text() for host in proxy.hosts)


def test_tls_ends_in_front(proxy):
    assert b"POSTPKIOperation" in proxy.https("/certsrv/mscep/mscep.dll?operation=GetCACaps")


@pytest.mark.parametrize("path", ["/scep-ready", "//scep-ready", "/./scep-ready", "/%73cep-ready", "/SCEP-READY",
                                  "/certsrv/mscep/../../scep-ready", "/certsrv/mscep/%2e%2e/%2e%2e/scep-ready",
                                  "/certsrv/mscep/..%2f../scep-ready", "/metrics", "//metrics", "/"])
def test_what_is_not_for_everybody(proxy, path):
    response = proxy.client().http.request("GET", path)
    assert response.status in (400, 403, 404)
    assert b"corp" not in response.body


@pytest.mark.parametrize("path", ["/CertSrv/mscep/mscep.dll", "/certsrv/mscep/MSCEP.DLL", "/certsrv/mscep/",
                                  "/certsrv/mscep/mscep.dll/pkiclient.exe"])
def test_spellings_of_ndes_clients(proxy, path):
    response = proxy.client().http.request("GET", path + "?operation=GetCACaps")
    assert response.status == 200 and b"POSTPKIOperation" in response.body


def test_failures_count_for_the_device(proxy, keys):
    """Who lies about his address is counted by his own, on both hosts together; the proxy's is not counted."""
    client = proxy.client()
    headers = [("Content-Type", "application/x-pki-message"), ("X-Forwarded-For", "203.0.113.7")]
    statuses = [client.send(client.spec(key=keys[1], challenge="WRONG%d" % number).build(), headers=headers).status
                for number in range(4)]
    assert statuses == [200, 200, 200, 429]
    other = proxy.client()
    other.http = Connection("127.0.0.1", proxy.port, keep_alive=False)
    assert other.enroll(keys[2], proxy.hosts[0].challenge()).status == scep.SUCCESS
    assert "203.0.113.7" not in addresses(proxy, "mscep.dll")


def test_all_hosts_are_unwell(proxy, keys):
    """The store is away: the hosts say so themselves, and what needs no store is served."""
    for host in proxy.hosts:
        host.expect(r"SCEP\d{4}.*(store|challenge)")
    client = proxy.client()
    client.http = Connection("127.0.0.1", proxy.port, keep_alive=False)
    spec = client.spec(key=keys[0], challenge=proxy.hosts[0].challenge())
    proxy.redis.stop()
    if proxy.asks_ready:
        env.wait_until(lambda: proxy.hosts_well() == 0, 30, what="haproxy did not notice")
    response = client.send(spec.build())
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert client.get("GetCACaps").status == 200
    proxy.redis.start()
    if proxy.asks_ready:
        env.wait_until(lambda: proxy.hosts_well() == 2, 30, what="haproxy did not notice")
    env.wait_until(lambda: client.send(spec.build()).status == 200, 20, 0.5, "not served again")


def test_a_host_that_dies_is_not_noticed(proxy, keys):
    proxy.hosts[1].stop()
    client = proxy.client()
    client.http = Connection("127.0.0.1", proxy.port, keep_alive=False)
    for number in range(4):
        assert client.enroll(keys[number], proxy.hosts[0].challenge()).status == scep.SUCCESS
