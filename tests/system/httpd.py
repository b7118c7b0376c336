# SPDX-License-Identifier: Apache-2.0
"""A private httpd: own folder, own port, started and stopped by its pid."""
import json
import os
import pathlib
import signal
import subprocess

import conf
import env
from http_client import Connection
from log import ErrorLog
from scep_client import Client

live = []       # every server whose error_log is under guard


class Httpd:
    def __init__(self, services, mpm="event", host="127.0.0.1", server=None, admin=True, fault=False,
                 modules=(), locations=(), port=None, level="info"):
        self.folder = env.folder("httpd")
        self.services, self.mpm, self.host = services, mpm, host
        self.port = port or env.free_port(host)
        self.server = server or conf.Lines()
        if not any(line.startswith("ScepStateDirectory") for line in self.server.lines):
            self.server.add("ScepStateDirectory " + str(self.folder / "state"))
        # a handshake takes seconds there
        if env.VALGRIND and not any(line.startswith("ScepStoreTimeout") for line in self.server.lines):
            self.server.add("ScepStoreTimeout 10s 10s")
        paths = [s.path for s in services if hasattr(s, "path")]
        self.locations = ([conf.location(path) for path in paths] if admin else []) + list(locations)
        self.fault, self.modules, self.level = fault, modules, level
        self.log = ErrorLog(self.folder / "error_log")
        self.expect = self.log.expect
        self.process, self.clock = None, None   # clock: as faketime takes it, "+3h"; None: the machine's
        for name in ("run", "htdocs"):
            (self.folder / name).mkdir(mode=0o755)
        conf.password_file(self.folder / "users")
        live.append(self)

    # Addresses

    @property
    def origin(self):
        return "http://%s:%d" % ("[%s]" % self.host if ":" in self.host else self.host, self.port)

    def path(self, service=0):
        return self.services[service].path

    def url(self, service=0):
        return self.origin + self.path(service) + "/mscep/mscep.dll"

    def admin_path(self, service=0):
        return self.path(service) + "/mscep_admin"

    def client(self, service=0, **how):
        return Client(self.url(service), **how)

    def connection(self, **how):
        return Connection(self.host, self.port, **how)

    # Life

    def write(self):
        (self.folder / "httpd.conf").write_text(conf.render(
            self.folder, self.host, self.port, self.mpm, self.services, self.server, self.locations,
            self.fault, self.modules, self.level))

    def _command(self, *arguments):
        return [*(["faketime", "-m", "-f", self.clock] if self.clock else []), *env.valgrind(self.folder),
                env.httpd_program(), "-d", str(self.folder),
                "-f", str(self.folder / "httpd.conf"), *arguments]

    def _environment(self):
        return dict({k: v for k, v in os.environ.items() if not k.startswith("APACHE_")},
                    **env.sanitizer_environment())

    def configtest(self):
        """(exit status, text) of httpd -t."""
        self.write()
        result = subprocess.run(self._command("-t"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env=self._environment(), timeout=60, check=False)
        self._check_memory()
        log = self.log.text()
        return result.returncode, result.stdout.decode("utf-8", "replace") + log

    def start(self, wait=True):
        self.write()
        (self.folder / "httpd.pid").unlink(missing_ok=True)
        with open(self.folder / "stderr", "ab") as stderr:
            self.process = env.start(self._command("-DFOREGROUND"), env=self._environment(),
                                     stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        if wait:
            env.wait_until(self._is_up, 40, what="httpd did not start")
        return self

    def _is_up(self):
        if self.process.poll() is not None:
            raise AssertionError("httpd ended with %d:\n%s\n%s" % (
                self.process.returncode, (self.folder / "stderr").read_text(), self.log.text()[-4000:]))
        # the port is open before post_config; the pid file is there after it
        return (self.folder / "httpd.pid").exists() and env.listening(self.port, self.host)

    def fails_to_start(self):
        """Starts a server that must not come up; its messages."""
        self.start(wait=False)
        env.wait_until(lambda: self.process.poll() is not None, 40, what="httpd did not end")
        assert self.process.returncode != 0
        return (self.folder / "stderr").read_text() + self.log.text()

    def stop(self):
        """
        A graceful stop, SIGTERM when that takes too long.  httpd 2.4's event MPM can crash by itself
        (apr_os_sock_get() below ap_run_mpm()) in a child that gets SIGTERM while its threads start.
        """
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGWINCH)
                try:
                    self.process.wait(60 if env.VALGRIND else 5)
                except subprocess.TimeoutExpired:
                    pass
            env.stop(self.process)
            self.process = None
            self._check_memory()

    def _check_memory(self):
        found = env.valgrind_findings(self.folder) if env.VALGRIND else []
        assert not found, "valgrind:\n" + "\n\n".join(found)

    def restart(self):
        self.stop()
        return self.start()

    def graceful(self):
        """SIGUSR1; returns when the new generation is there."""
        before = set(self.children())
        os.kill(self.process.pid, signal.SIGUSR1)
        env.wait_until(lambda: set(self.children()) - before, 30, what="no new child after SIGUSR1")

    def children(self):
        if self.process is None:
            return []
        text = pathlib.Path("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)).read_text()
        return [int(pid) for pid in text.split()]

    def rss(self):
        """Resident kilobytes of all children."""
        total = 0
        for pid in self.children():
            for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total

    def kill_child(self, pid=None):
        """SIGKILL to a child."""
        pid = pid or self.children()[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    # The admin page

    def admin(self, query="", headers=(), service=0, user=conf.ADMIN, path=None, method="GET"):
        """A response of mscep_admin; user None: without credentials."""
        headers = list(headers)
        if user is not None:
            headers.append(("Authorization", conf.authorization(user)))
        connection = self.connection(keep_alive=False)
        return connection.request(method, (path or self.admin_path(service)) + query, headers)

    def admin_json(self, **how):
        response = self.admin(headers=[("Accept", "application/json")], **how)
        assert response.status == 200, (response.status, response.body)
        return json.loads(response.body)

    def challenge(self, service=0):
        return self.admin_json(service=service)["challenge"]

    def challenges(self, count, service=0):
        """Many, over one connection."""
        connection = self.connection()
        headers = [("Accept", "application/json"), ("Authorization", conf.authorization())]
        made = []
        for _ in range(count):
            response = connection.request("GET", self.admin_path(service), headers)
            assert response.status == 200, (response.status, response.body)
            made.append(json.loads(response.body)["challenge"])
        connection.close()
        return made

    def enroll(self, key, service=0, challenge=None, **fields):
        """One whole enrollment that must succeed; the reply."""
        client = self.client(service, keep_alive=False)
        reply = client.enroll(key, challenge or self.challenge(service), **fields)
        assert reply.status == "0", (reply.fail_info, reply.fail_text)
        return reply

    def transaction_line(self, txid, timeout=10):
        """The module's one log line of a transaction."""
        return self.log.wait(txid, timeout)
