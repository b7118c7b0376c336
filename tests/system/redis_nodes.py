# SPDX-License-Identifier: Apache-2.0
"""Redis as people run it: a master with replicas and sentinels, and a cluster; all on loopback."""
import subprocess

import env

DOWN_AFTER = 500        # milliseconds until a master counts as gone


class Node:
    """One redis-server process, or a sentinel."""

    def __init__(self, lines=(), sentinel=False, port=None, cli=()):
        self.folder = env.folder("node")
        self.port = port or env.free_port()
        self.sentinel = sentinel
        self.lines = list(lines)
        self.process = None
        self.cli = list(cli)            # further words of redis-cli
        common = ["bind 127.0.0.1", "protected-mode no", "daemonize no", "dir %s" % self.folder,
                  "logfile %s" % (self.folder / "log")]
        (self.folder / "redis.conf").write_text("\n".join(common + self.lines) + "\n")

    def start(self):
        more = ["--sentinel"] if self.sentinel else []
        self.process = env.start([env.REDIS, self.folder / "redis.conf"] + more, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        env.wait_until(lambda: b"PONG" in self._run("ping") or b"NOAUTH" in self._run("ping"), 20,
                       what="a node did not start")
        return self

    def _run(self, *words):
        return subprocess.run(["redis-cli", "-p", str(self.port)] + self.cli + list(words),
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=20).stdout

    def command(self, *words):
        return self._run(*words).decode("utf-8", "replace").strip()

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            env.stop(self.process)
            self.process = None


def port_lines(port, tls=None):
    return ["port 0", "tls-port %d" % port] if tls else ["port %d" % port]


def tls_lines(tls):
    """TLS for everything, with the certificate of a servers.Redis."""
    return ["tls-cert-file %s" % (tls.folder / "server.pem"), "tls-key-file %s" % (tls.folder / "server.key"),
            "tls-ca-cert-file %s" % tls.ca_file, "tls-auth-clients no", "tls-replication yes"]


def data_lines(port, more=(), tls=None):
    return port_lines(port, tls) + ["save \"\"", "appendonly yes", "appendfsync everysec", "repl-timeout 5",
                                    "repl-diskless-sync-delay 0", "repl-ping-replica-period 1"] + list(more)


class Sentinels:
    """A master, replicas and sentinels."""

    def __init__(self, replicas=2, sentinels=3, lines=(), sentinel_lines=(), name="scep", sentinel_cli=(), tls=None):
        self.name = name
        cli, more = [], []
        if tls:
            cli = ["--tls", "--cacert", str(tls.ca_file)]
            more = tls_lines(tls)
        lines, sentinel_lines = list(lines) + more, list(sentinel_lines) + more
        ports = [env.free_port() for _ in range(1 + replicas)]
        self.nodes = [Node(data_lines(port, lines + (["replicaof 127.0.0.1 %d" % ports[0]] if number else []), tls),
                           port=port, cli=cli) for number, port in enumerate(ports)]
        # they are told of each other, since to find out takes them ten seconds
        guards = [(env.free_port(), "%040x" % (number + 1)) for number in range(sentinels)]
        known = ["sentinel known-replica %s 127.0.0.1 %d" % (name, port) for port in ports[1:]]
        self.sentinels = [Node(
            port_lines(port, tls) + [
                "sentinel myid " + myid,
                "sentinel monitor %s 127.0.0.1 %d %d" % (name, ports[0], sentinels // 2 + 1),
                "sentinel down-after-milliseconds %s %d" % (name, DOWN_AFTER),
                "sentinel failover-timeout %s 3000" % name] + known +
            ["sentinel known-sentinel %s 127.0.0.1 %d %s" % (name, *other) for other in guards if other[1] != myid] +
            sentinel_lines, sentinel=True, port=port, cli=cli + list(sentinel_cli)) for port, myid in guards]

    def url(self, scheme="redis"):
        return "%s+sentinel://%s/%s" % (scheme, ",".join("127.0.0.1:%d" % s.port for s in self.sentinels), self.name)

    def start(self):
        for node in self.nodes + self.sentinels:
            node.start()
        env.wait_until(self.complete, 20, 0.1, "the sentinels did not find each other")
        return self

    def complete(self):
        """Replicas follow, and each sentinel knows all others."""
        master = self.nodes[0].command("info", "replication")
        if master.count("state=online") != len(self.nodes) - 1:
            return False
        for sentinel in self.sentinels:
            words = sentinel.command("sentinel", "master", self.name).split()
            facts = dict(zip(words[::2], words[1::2]))
            if int(facts.get("num-other-sentinels", -1)) != len(self.sentinels) - 1 or \
                    int(facts.get("num-slaves", -1)) != len(self.nodes) - 1:
                return False
        return True

    def master(self, but=None):
        """The living node that says that it is the master."""
        for node in self.nodes:
            if node is not but and node.process and node.process.poll() is None and \
                    node.command("role").startswith("master"):
                return node
        return None

    def settled(self):
        """One master, and all others follow it."""
        master = self.master()
        return master and not self.master(but=master) and \
            master.command("info", "replication").count("state=online") == len(self.nodes) - 1

    def stop(self):
        for node in self.sentinels + self.nodes:
            node.stop()


def bus_lines():
    """A free port for what nodes tell each other; Redis 6 takes its own and 10000."""
    return ["cluster-port %d" % env.free_port()] if env.redis_version() > 6 else []


class Cluster:
    """Masters and replicas, made by redis-cli --cluster create."""

    def __init__(self, masters=3, replicas=1, lines=()):
        self.masters, self.replicas = masters, replicas
        self.nodes = []
        for _ in range(masters * (1 + replicas)):
            port = env.free_port()
            self.nodes.append(Node(data_lines(port, list(lines) + [
                "cluster-enabled yes", *bus_lines(), "cluster-node-timeout 1000",
                "cluster-replica-validity-factor 0", "cluster-require-full-coverage no"]), port=port))

    def url(self, scheme="redis"):
        return "%s+cluster://%s" % (scheme, ",".join("127.0.0.1:%d" % node.port for node in self.nodes[:3]))

    def start(self):
        for node in self.nodes:
            node.start()
        subprocess.run(["redis-cli", "--cluster", "create"] + ["127.0.0.1:%d" % n.port for n in self.nodes] +
                       ["--cluster-replicas", str(self.replicas), "--cluster-yes"], stdout=subprocess.DEVNULL,
                       check=True, timeout=60)
        env.wait_until(lambda: all(self._is_complete(node) for node in self.nodes), 30, 0.1, "the cluster is not up")
        return self

    def _is_complete(self, node):
        info = node.command("cluster", "info")
        return "cluster_state:ok" in info and self.slaves() == self.masters * self.replicas

    def slaves(self):
        """How many replicas follow their master."""
        return sum("master_link_status:up" in node.command("info", "replication") for node in self.nodes)

    def owner(self, service):
        """The node that is the master of a service's keys."""
        slot = int(self.living().command("cluster", "keyslot", "{scep:%s}:idx" % service))
        for node in self.nodes:
            if node.process.poll() is None and node.command("role").startswith("master") and \
                    self._has(node, slot):
                return node
        return None

    def replicas_of(self, master):
        """The living nodes that follow it."""
        return [node for node in self.nodes if node.process.poll() is None and
                node.command("role").split()[:3] == ["slave", "127.0.0.1", str(master.port)]]

    @staticmethod
    def _has(node, slot):
        for line in node.command("cluster", "nodes").splitlines():
            words = line.split()
            if "myself" in words[2]:
                ranges = [word.split("-") for word in words[8:] if not word.startswith("[")]
                return any(int(r[0]) <= slot <= int(r[-1]) for r in ranges)
        return False

    def living(self):
        return next(node for node in self.nodes if node.process.poll() is None)

    def stop(self):
        for node in self.nodes:
            node.stop()

