# SPDX-License-Identifier: Apache-2.0
"""One store's measurements: what tests/bench/run and tests/bench/full_store have in common."""
import json
import os
import pathlib
import platform
import re
import resource
import signal
import sqlite3
import statistics
import subprocess
import sys
import time

from bench_prefill import fill_redis, fill_sqlite
from bench_server import (THREADS, USER, Failure, Httpd, Redis, children, command, copy_module,
                          find_program)

STORES = ("sqlite", "redis", "redis-tcp", "redis-tls", "redis-cluster")
QUERIES = (("RenewalReq", 17), ("CertPoll", 20), ("GetCert", 21), ("GetCRL", 22))
LEVELS = ("avx2", "avx512f", "avx512ifma", "avx_ifma", "bmi2", "adx", "aes", "vaes", "pclmulqdq", "sha_ni")


def say(text):
    print(text, file=sys.stderr, flush=True)


def machine():
    """The CPU and the versions; nothing that names the machine."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.M)
    flags = (re.search(r"^flags\s*:\s*(.*)$", text, re.M) or [None, ""])[1].split()
    release = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release", encoding="utf-8") if "=" in line)
    return {"cpu": model[1] if model else platform.machine(), "cpus": os.cpu_count(),
            "flags": " ".join(f for f in LEVELS if f in flags),
            "system": release.get("PRETTY_NAME", "").strip('"'), "kernel": platform.release(),
            "openssl": command("openssl", "version").split()[1],
            "sqlite": sqlite3.sqlite_version}


_SPEED = {"p256": ("ecdsap256", r"^\s*256 bits ecdsa \(nistp256\)\s+(.*)$")}


def key_speed(key, processes=1):
    """CPU seconds of one private and one public operation with a key of that kind, by openssl speed, the mean of so
    many at the same time: where two CPUs share a core, an operation takes longer when both are busy.  Not by its
    option -multi, which divides by elapsed time and so counts whatever else the machine does."""
    name, pattern = _SPEED.get(key, (key, r"^rsa\s+%s bits\s+(.*)$" % key[3:]))
    running = [subprocess.Popen(["openssl", "speed", "-seconds", "1", name], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True) for _ in range(processes)]
    rows = [re.search(pattern, process.communicate()[0], re.M) for process in running]
    if not all(rows):
        raise Failure("openssl speed printed no figures for " + name)
    rates = [[float(word) for word in row[1].split() if not word.endswith("s")] for row in rows]
    return tuple(statistics.mean(1 / rate[i] for rate in rates) for i in (0, 1))


def bound(ca_key, processes=1):
    """Milliseconds of what an enrollment cannot do without: the RA opens the envelope and signs the reply, the CA
    signs the certificate; the message, the CSR and the device's key take a public operation each."""
    sign, verify = key_speed("rsa2048", processes)
    ca_sign = sign if ca_key == "rsa2048" else key_speed(ca_key, processes)[0]
    return {"sign_ms": sign * 1000, "verify_ms": verify * 1000, "ca_sign_ms": ca_sign * 1000,
            "bound_ms": (2 * sign + ca_sign + 3 * verify) * 1000}


class Bench:
    """One store's measurements."""

    def __init__(self, options, folder, pki, store):
        self.options, self.folder, self.store = options, folder, store
        self.load = find_program(options.build, "scep_load")
        self.redis = Redis(folder, store, pki) if store != "sqlite" else None
        # what is measured is the cost, not who is refused; a busy machine is no error
        lines = "ScepConcurrency 0\nScepStoreTimeout 5s 20s 20s\n"
        if store == "redis-tls":
            lines += "ScepStoreCAFile %s\n" % self.redis.ca_file
        self.httpd = Httpd(folder, copy_module(options.build, folder), pki, self.redis.url if self.redis else "sqlite:",
                           server=lines, threads=max(THREADS, *options.connections))
        self.perf = None

    def close(self):
        self.httpd.stop()
        if self.redis:
            self.redis.stop()

    def prefill(self, challenges, transactions):
        """Starts the servers; fills the store before, if asked to, and gives seconds and bytes of each."""
        filled = None
        if challenges or transactions:
            self.httpd.start()
            self.sample()
            self.httpd.stop()
            say("  filling the store: %d challenges, %d transactions" % (challenges, transactions))
            filled = fill_redis(self.redis.owner(), challenges, transactions) if self.redis else \
                fill_sqlite(self.httpd.database, challenges, transactions)
            for what, count, (seconds, size) in zip(("challenge", "transaction"), (challenges, transactions), filled):
                if count:
                    say("  %.0f s, %.0f bytes per %s" % (seconds, size / count, what))
        if self.redis:
            self.redis.keep()
        self.httpd.start()
        return filled

    def sample(self):
        """One enrollment, and one challenge that is outstanding: what is filled are copies of them."""
        challenges, messages = self.folder / "challenges", self.folder / "messages"
        keys = ["--keys", self.folder.parent / "devices.pem"]
        self.mint(2)
        challenges.write_text(challenges.read_text().splitlines()[0] + "\n")
        self.run_load("prepare", "--challenges", challenges, "--messages", messages, *keys)
        self.run_load("send", "--messages", messages, *keys)

    def mint(self, count, *more):
        """Reads that many challenges into a file."""
        return self.run_load("mint", "--count", count, "--user", USER, "--password-file", self.httpd.password_file,
                             "--challenges", self.folder / "challenges", *more)

    def sizes(self):
        """Bytes of the store, on disk and in memory."""
        folder = self.redis.folder if self.redis else self.httpd.database.parent
        result = {"disk": sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())}
        if self.redis:
            result["memory"] = self.redis.memory()
            result["resident"] = self.redis.memory("used_memory_rss")
        return result

    def cpu(self):
        """Seconds of httpd and of the store's own process so far."""
        return self.httpd.cpu(), self.redis.cpu() if self.redis else 0.0

    def run_load(self, *words):
        """One run of scep_load with the CPU that it cost the servers and itself."""
        before, own = self.cpu(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([str(self.load), words[0], "--url", self.httpd.url] +
                              [str(w) for w in words[1:]], stdout=subprocess.PIPE, check=False)
        after, own_after = self.cpu(), resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            figures = json.loads(done.stdout)
        except ValueError:
            raise Failure("scep_load %s ended with %d\n%s" % (words[0], done.returncode,
                                                            self.httpd.messages())) from None
        if figures["failures"]:
            raise Failure("%d of %d failed in '%s': %s\n%s" % (
                figures["failures"], figures["count"], words[0], figures["first_failure"],
                self.httpd.messages()))
        count = figures["count"]
        figures["httpd_ms"] = (after[0] - before[0]) * 1000 / count
        figures["store_ms"] = (after[1] - before[1]) * 1000 / count
        figures["server_ms"] = figures["httpd_ms"] + figures["store_ms"]
        figures["client_ms"] = (own_after.ru_utime + own_after.ru_stime - own.ru_utime - own.ru_stime) * 1000 / count
        return figures

    def record(self):
        """Starts perf on httpd's children."""
        pids = ",".join(str(pid) for pid in children(self.httpd.process.pid))
        self.perf = subprocess.Popen(["perf", "record", "-q", "-F", "499", "--call-graph", "dwarf,16384",
                                      "-o", self.options.perf, "-p", pids])
        time.sleep(1)

    def bounds(self):
        """With one CPU busy, and with all of them."""
        return bound(self.options.ca_key), bound(self.options.ca_key, os.cpu_count() or 1)

    def repetition(self, number, count, connections):
        """Mints, prepares, enrolls, sends the same again."""
        challenges, messages = self.folder / "challenges", self.folder / "messages"
        connections = ["--connections", connections]
        keys = ["--keys", self.folder.parent / "devices.pem"]
        result = {"mint": self.mint(count, *connections)}
        self.run_load("prepare", "--challenges", challenges, "--messages", messages,
                      "--connections", os.cpu_count() or 1, *keys)
        recording = self.options.perf and number == 0 and self.perf is None
        before = self.bounds()
        if recording:
            self.record()
        result["enroll"] = self.run_load("send", "--messages", messages, *keys, *connections)
        if recording:
            self.perf.send_signal(signal.SIGINT)
            self.perf.wait()
        after = self.bounds()
        result["replay"] = self.run_load("send", "--messages", messages, *keys, *connections)
        if self.options.operations and number >= 0:
            result["operations"] = self.operations(count, messages, keys, connections)
        result.update({key: (before[0][key] + after[0][key]) / 2 for key in before[0]},
                      busy_bound_ms=(before[1]["bound_ms"] + after[1]["bound_ms"]) / 2)
        result.update(ratio=result["enroll"]["server_ms"] / result["bound_ms"],
                      busy_ratio=result["enroll"]["server_ms"] / result["busy_bound_ms"])
        say("  %d: issue %.0f/s, enroll %.0f/s, %.2f ms server CPU (store %.2f), bound %.2f ms, ratio %.2f; "
            "replay %.0f/s" % (number + 1, result["mint"]["per_second"], result["enroll"]["per_second"],
                               result["enroll"]["server_ms"], result["enroll"]["store_ms"], result["bound_ms"],
                               result["ratio"], result["replay"]["per_second"]))
        return result

    def operations(self, count, messages, keys, connections):
        """Every operation but PKCSReq, as often as that: {name: figures}."""
        certificates, queries = self.folder / "certificates", self.folder / "queries"
        result = {}
        for name in ("GetCACaps", "GetCACert", "GetNextCACert"):
            result[name] = self.run_load("get", "--operation", name, "--count", count, *connections)
        self.run_load("send", "--messages", messages, "--certificates", certificates, *keys, *connections)
        for name, kind in QUERIES:
            self.run_load("prepare", "--certificates", certificates, "--type", kind, "--messages", queries,
                          "--connections", os.cpu_count() or 1, *keys)
            result[name] = self.run_load("send", "--messages", queries, *keys, *connections)
        for name, figures in result.items():
            say("    %-13s %7.0f/s, %.3f ms server CPU" % (name, figures["per_second"], figures["server_ms"]))
        return result

    def measure(self):
        """The results, one for each number of connections."""
        count, results = self.options.count, []
        try:
            filled = self.prefill(self.options.prefill_challenges, self.options.prefill_transactions)
            for connections in self.options.connections:
                say("  warming up, %d connections" % connections)
                perf, self.options.perf = self.options.perf, None
                self.repetition(-1, min(count, 200), connections)
                self.options.perf = perf
                repetitions = [self.repetition(i, count, connections) for i in range(self.options.repeat)]
                results.append({"store": self.store, "connections": connections, "filled": filled,
                                "httpd": self.httpd.version, "redis": self.redis.version if self.redis else None,
                                "repetitions": repetitions, "median": medians(repetitions)})
            complaints = self.httpd.complaints()
            for line in complaints[:3]:
                say("  error_log: " + line[:300])
            results[-1].update(complaints=complaints[:20], sizes=self.sizes())
            return results
        finally:
            self.close()


def medians(repetitions):
    """The median of every figure, and the extremes of the ratio."""
    result = {}
    for name, value in repetitions[0].items():
        if name == "operations":
            result[name] = {one: {key: statistics.median(r[name][one][key] for r in repetitions)
                                  for key, number in figures.items() if isinstance(number, (int, float))}
                            for one, figures in value.items()}
        elif isinstance(value, dict):
            result[name] = {key: statistics.median(r[name][key] for r in repetitions)
                            for key, number in value.items() if isinstance(number, (int, float))}
        else:
            result[name] = statistics.median(r[name] for r in repetitions)
    result["ratio_range"] = [min(r["ratio"] for r in repetitions), max(r["ratio"] for r in repetitions)]
    return result
