# SPDX-License-Identifier: Apache-2.0
"""The servers of a benchmark run: a demo PKI, httpd with the built module, redis-server.

Everything lives in one temporary folder, listens on 127.0.0.1 or a unix socket, and ends with the run.
"""
import base64
import ctypes
import hashlib
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time

SERVICE, PREFIX, USER = "bench", "/certsrv", "mdm"
MODULES = ("mpm_event", "unixd", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic",
           "log_config")
THREADS = 64                # per child at least: event closes idle connections when threads are short
TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """What a person must know; ends the run."""


def command(*arguments, **how):
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, **how)
    if done.returncode != 0:
        raise Failure("%s failed: %s" % (arguments[0], (done.stderr + done.stdout).decode()[-600:]))
    return done.stdout.decode()


def _ends_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def spawn(arguments, folder, name):
    """A process in a session of its own that ends when we do."""
    with open(folder / (name + ".out"), "ab") as out:
        return subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=out,
                                stderr=out, start_new_session=True, preexec_fn=_ends_with_us)


def stop(process, timeout=30):
    """Ends a process of ours by its pid."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid):
    text = pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text()
    return [int(child) for child in text.split()]


def holds(pid):
    """Resident kilobytes and handles of a process; None: it has ended."""
    try:
        status = pathlib.Path("/proc/%d/status" % pid).read_text()
        return int(status.split("VmRSS:")[1].split()[0]), len(os.listdir("/proc/%d/fd" % pid))
    except (OSError, IndexError):
        return None


def find_program(build, name):
    """A load generator that was built there."""
    for path in (build / "tests" / "bench" / name, pathlib.Path(__file__).parent / name):
        if path.exists():
            return path.resolve()
    raise Failure("%s is not built; in %s: make tests/bench/%s" % (name, build, name))


def copy_module(build, folder, name="mod_scep"):
    """A copy of a built module, so that a build meanwhile does no harm."""
    for inside in (build / ".libs", build / "tests" / "mod_scep_fault" / ".libs"):
        if (inside / (name + ".so")).exists():
            return pathlib.Path(shutil.copy(inside / (name + ".so"), folder))
    raise Failure("%s is not built in %s" % (name, build))


def cpu_seconds(pid):
    """User and system time of a process, of its living children, and of those it has waited for."""
    total = 0
    for one in [pid] + children(pid):
        fields = pathlib.Path("/proc/%d/stat" % one).read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
        if one == pid:
            total += int(fields[13]) + int(fields[14])
    return total / TICKS


KEYS = {"rsa2048": ("RSA", "rsa_keygen_bits:2048"), "rsa3072": ("RSA", "rsa_keygen_bits:3072"),
        "rsa4096": ("RSA", "rsa_keygen_bits:4096"), "p256": ("EC", "ec_paramgen_curve:P-256")}


class Pki:
    """A CA with a key of that kind and its RA, whose keys and all others are RSA-2048."""

    def __init__(self, folder, ca_key="rsa2048"):
        self.folder, self.ca_key = folder, ca_key
        folder.mkdir(mode=0o755)
        self._self_signed("ca", "Bench CA")
        self._issued("ra-sign", "digitalSignature")
        self._issued("ra-enc", "keyEncipherment")
        self._crl()
        self._self_signed("next", "Bench CA 2", 7300)
        self._issued("redis", "digitalSignature", "subjectAltName=IP:127.0.0.1\n")

    def _key(self, name):
        algorithm, option = KEYS[self.ca_key if name == "ca" else "rsa2048"]
        command("openssl", "genpkey", "-algorithm", algorithm, "-pkeyopt", option,
                "-out", self.folder / (name + ".key"))
        (self.folder / (name + ".key")).chmod(0o600)

    def _self_signed(self, name, subject, days=3650):
        self._key(name)
        command("openssl", "req", "-x509", "-new", "-key", self.folder / (name + ".key"),
                "-out", self.folder / (name + ".pem"), "-days", days, "-sha256", "-subj", "/CN=" + subject,
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _crl(self):
        config, index = self.folder / "crl.cnf", self.folder / "index"
        index.touch()
        config.write_text("[ca]\ndefault_ca=ca\n[ca]\ndatabase=%s\ndefault_md=sha256\n"
                          "default_crl_days=30\n" % index)
        command("openssl", "ca", "-gencrl", "-config", config, "-cert", self.folder / "ca.pem",
                "-keyfile", self.folder / "ca.key", "-out", self.folder / "crl.pem")

    def _issued(self, name, usage, more=""):
        self._key(name)
        request, extensions = self.folder / (name + ".csr"), self.folder / (name + ".ext")
        extensions.write_text("keyUsage=critical,%s\nsubjectKeyIdentifier=hash\n"
                              "authorityKeyIdentifier=keyid\n%s" % (usage, more))
        command("openssl", "req", "-new", "-key", self.folder / (name + ".key"), "-subj",
                "/CN=Bench " + name, "-out", request)
        command("openssl", "x509", "-req", "-in", request, "-CA", self.folder / "ca.pem", "-CAkey",
                self.folder / "ca.key", "-CAcreateserial", "-days", "365", "-sha256",
                "-extfile", extensions, "-out", self.folder / (name + ".pem"))

    def directives(self, backend="local"):
        """backend: its name, and more words where it takes some."""
        f, (name, _, more) = self.folder, backend.partition(" ")
        return ("    ScepRASigningCertificate {0}/ra-sign.pem {0}/ra-sign.key\n"
                "    ScepRAEncryptionCertificate {0}/ra-enc.pem {0}/ra-enc.key\n"
                "    ScepCAChain {0}/ca.pem\n"
                "    ScepCRLFile {0}/crl.pem\n"
                "    ScepNextCAChain {0}/next.pem\n"
                "    ScepCABackend {1} certificate={0}/ca.pem key={0}/ca.key {2}\n").format(f, name, more)


class RedisNode:
    """One redis-server with a unix socket for ourselves, and an append-only file synced every second."""

    def __init__(self, folder, name, words):
        self.folder = folder / name
        self.folder.mkdir(mode=0o755)
        self.socket = self.folder / "s"
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise Failure("redis-server is not installed")
        self.version = command(program, "--version").split("v=")[1].split()[0]
        self.process = spawn(
            [program, "--bind", "127.0.0.1", "--unixsocket", self.socket, "--unixsocketperm", "777",
             "--dir", self.folder, "--save", "", "--appendonly", "no", "--appendfsync", "everysec",
             "--auto-aof-rewrite-percentage", "0", *words], self.folder, "redis")

    def call(self, *words, timeout=600):
        """One command; a reply of one line or of nested arrays, as redis-cli would show it."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            try:
                s.connect(str(self.socket))
            except OSError:
                return None
            parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
            s.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in parts))
            return self._reply(s.makefile("rb"))

    def _reply(self, file):
        line = file.readline().decode().rstrip()
        kind, rest = line[:1], line[1:]
        if kind == "-":
            raise Failure("redis-server says: " + rest)
        if kind == "$":
            return file.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else None
        if kind == "*":
            return [self._reply(file) for _ in range(int(rest))]
        return rest

    def calls(self, commands):
        """The replies to many commands, sent together."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(600)
            s.connect(str(self.socket))
            file, replies = s.makefile("rb"), []
            for start in range(0, len(commands), 500):
                part = commands[start:start + 500]
                s.sendall(b"".join(b"*%d\r\n" % len(words) + b"".join(
                    b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words) for words in part))
                replies += [self._reply(file) for _ in part]
            return replies

    def scan(self, pattern):
        """All keys that match."""
        keys, cursor = set(), "0"
        while True:
            cursor, found = self.call("SCAN", cursor, "MATCH", pattern, "COUNT", "5000")
            keys.update(found)
            if cursor == "0":
                return sorted(keys)

    def info(self, name):
        for line in self.call("INFO").splitlines():
            if line.startswith(name + ":"):
                return line.split(":", 1)[1]
        return None

    def is_up(self):
        return self.socket.exists() and self.call("PING") == "PONG"

    def keep(self):
        """Switches the append-only file on and waits until it is written."""
        self.call("CONFIG", "SET", "appendonly", "yes")
        wait_until(lambda: self.info("aof_rewrite_in_progress") == "0" and
                   self.info("aof_rewrite_scheduled") == "0", 900, "the append-only file")
        if self.info("aof_enabled") != "1":
            raise Failure("redis-server does not keep an append-only file")


class Redis:
    """The nodes of a store, by its name: redis (a unix socket), redis-tcp, redis-tls, redis-cluster (three masters)."""

    def __init__(self, folder, name, pki=None):
        self.folder = folder / "redis"
        self.folder.mkdir(mode=0o755)
        ports = [free_port() for _ in range(3 if name == "redis-cluster" else 1)]
        here = "127.0.0.1:%d" % ports[0]
        self.ca_file = pki.folder / "ca.pem" if pki else None
        words = [["--port", port] for port in ports]
        if name == "redis":
            words = [["--port", 0]]
        elif name == "redis-tls":
            words = [["--port", 0, "--tls-port", ports[0], "--tls-auth-clients", "no", "--tls-cert-file",
                      pki.folder / "redis.pem", "--tls-key-file", pki.folder / "redis.key", "--tls-ca-cert-file",
                      self.ca_file]]
        elif name == "redis-cluster":
            words = [["--port", port, "--cluster-enabled", "yes", "--cluster-port", free_port()] for port in ports]
        self.nodes = []
        try:
            for number, more in enumerate(words):
                self.nodes.append(RedisNode(self.folder, str(number), more))
            for node in self.nodes:
                wait_until(node.is_up, 10, "redis-server")
            if name == "redis-cluster":
                self._join(ports)
        except Failure:
            self.stop()
            raise
        self.version = self.nodes[0].version
        self.url = {"redis": "redis+unix://%s" % self.nodes[0].socket, "redis-tcp": "redis://" + here,
                    "redis-tls": "rediss://" + here,
                    "redis-cluster": "redis+cluster://" + ",".join("127.0.0.1:%d" % port for port in ports)}[name]

    def _join(self, ports):
        command("redis-cli", "--cluster", "create", *("127.0.0.1:%d" % port for port in ports), "--cluster-yes")
        wait_until(lambda: all("cluster_state:ok" in node.call("CLUSTER", "INFO") for node in self.nodes), 60,
                   "the cluster")

    def owner(self):
        """The node that has the service's keys."""
        if len(self.nodes) == 1:
            return self.nodes[0]
        slot = int(self.nodes[0].call("CLUSTER", "KEYSLOT", "{scep:%s}:" % SERVICE))
        for first, last, master, *_ in self.nodes[0].call("CLUSTER", "SLOTS"):
            if int(first) <= slot <= int(last):
                return next(node for node in self.nodes if node.call("CLUSTER", "MYID") == master[2])
        raise Failure("no node of the cluster has the service's keys")

    def keep(self):
        for node in self.nodes:
            node.keep()

    def memory(self, what="used_memory"):
        return sum(int(node.info(what)) for node in self.nodes)

    def cpu(self):
        return sum(cpu_seconds(node.process.pid) for node in self.nodes)

    def cpu_exact(self):
        """Seconds of the threads that run the commands, to the nanosecond."""
        return sum(int(pathlib.Path("/proc/%d/schedstat" % node.process.pid).read_text().split()[0])
                   for node in self.nodes) / 1e9

    def stop(self):
        for node in self.nodes:
            stop(node.process)


def wait_until(ready, seconds, what):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise Failure("%s is not ready after %d seconds" % (what, seconds))
        time.sleep(0.05)


def apxs(what):
    tool = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2")
    if tool is None:
        raise Failure("apxs is not installed (Debian: apache2-dev)")
    return command(tool, "-q", what).strip()


class Httpd:
    """
    httpd with the event MPM, two children of so many threads, one service.

    modules: more to load, (name, path); service, server: more lines; secret: a file that several share.
    """

    def __init__(self, folder, module, pki, store_url, modules=(), backend="local", service="", server="",
                 secret=None, threads=THREADS):
        self.folder = folder / "httpd"
        self.folder.mkdir(mode=0o755)
        self.program = os.path.join(apxs("SBINDIR"), apxs("PROGNAME"))
        self.version = command(self.program, "-v").split("/", 1)[1].split()[0]
        self.port = free_port()
        self.process = None
        self.url = "http://127.0.0.1:%d%s" % (self.port, PREFIX)
        self.database = self.folder / "state" / "scep.sqlite"
        self.password_file = self._passwords(secret)
        self._write([*modules, ("scep", module)], pki.directives(backend) + service, store_url, server,
                    threads)

    def _passwords(self, shared):
        password = secrets.token_hex(16)
        digest = base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()
        (self.folder / "users").write_text("%s:{SHA}%s\n" % (USER, digest))
        secret = pathlib.Path(shared).read_text().strip() if shared else secrets.token_hex(32)
        for name, text in (("password", password), ("challenge.key", secret)):
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(text + "\n")
        return self.folder / "password"

    def _write(self, own, service, store_url, server, threads):
        modules = apxs("LIBEXECDIR")
        static = command(self.program, "-l")
        text = "".join("LoadModule %s_module %s/mod_%s.so\n" % (m, modules, m) for m in MODULES
                       if "mod_%s.c" % m not in static)
        text += "".join("LoadModule %s_module %s\n" % pair for pair in own)
        if os.geteuid() == 0:
            text += "User www-data\nGroup www-data\n"
        text += """ServerRoot "{0}"
ServerName localhost
Listen 127.0.0.1:{1}
PidFile httpd.pid
DefaultRuntimeDir .
ErrorLog error_log
LogLevel warn scep:info
LogFormat "%h %u %t \\"%r\\" %>s %b" common
CustomLog access_log common
StartServers 2
ServerLimit 2
ThreadLimit {2}
ThreadsPerChild {2}
MaxRequestWorkers {3}
MinSpareThreads 1
MaxSpareThreads {3}
MaxConnectionsPerChild 0
KeepAliveTimeout 60
MaxKeepAliveRequests 0
<Directory />
    Require all granted
</Directory>
ScepStateDirectory {0}/state
ScepStore {4}
ScepChallengeSecretFile {0}/challenge.key
<ScepService {5}>
    ScepPath {6}
{7}    ScepChallengeLifetime 7d
    ScepChallengeMax 10000000
</ScepService>
{8}
<Location "{6}/mscep_admin">
    AuthType Basic
    AuthName bench
    AuthBasicProvider file
    AuthUserFile {0}/users
    Require valid-user
</Location>
""".format(self.folder, self.port, threads, 2 * threads, store_url, SERVICE, PREFIX, service, server)
        (self.folder / "httpd.conf").write_text(text)

    def start(self):
        self.process = spawn([self.program, "-DFOREGROUND", "-d", self.folder, "-f",
                              self.folder / "httpd.conf"], self.folder, "httpd")
        wait_until(self._is_up, 60, "httpd")

    def _is_up(self):
        if self.process.poll() is not None:
            raise Failure("httpd does not start:\n" + self.messages())
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0 and len(children(self.process.pid)) >= 2

    def messages(self):
        """The last of what httpd said."""
        text = ""
        for name in ("httpd.out", "error_log"):
            path = self.folder / name
            if path.exists():
                text += path.read_text(errors="replace")[-2000:]
        return text

    def complaints(self):
        """Lines of level warn and above."""
        lines = (self.folder / "error_log").read_text(errors="replace").splitlines()
        return [line for line in lines if any(":%s]" % level in line for level in
                                              ("warn", "error", "crit", "alert", "emerg"))]

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def graceful(self):
        """A graceful restart; the children from before it, once there are new ones."""
        before = set(children(self.process.pid))
        os.kill(self.process.pid, signal.SIGUSR1)
        wait_until(lambda: set(children(self.process.pid)) - before, 60, "a new child after SIGUSR1")
        return before

    def stop(self):
        stop(self.process)
        self.process = None
