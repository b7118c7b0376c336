# SPDX-License-Identifier: Apache-2.0
"""A private certmonger: own folders, own socket, no bus."""
import os
import re
import subprocess

import env

PROGRAM = "/usr/sbin/certmonger"


class Certmonger:
    """The daemon; ttls: seconds before the end of a certificate at which it is renewed."""

    def __init__(self, ttls):
        self.folder = env.folder("certmonger")
        for name in ("config", "cas", "requests", "local", "tmp"):
            (self.folder / name).mkdir()
        (self.folder / "config" / "certmonger.conf").write_text(
            "[defaults]\nenroll_ttls = %s\nnotify_ttls = 1\nnotification_method = command\n"
            "notification_destination = /bin/true\n" % ttls)
        self.environment = dict(
            os.environ, CERTMONGER_CONFIG_DIR=str(self.folder / "config"),
            CERTMONGER_CAS_DIR=str(self.folder / "cas"), CERTMONGER_REQUESTS_DIR=str(self.folder / "requests"),
            CERTMONGER_LOCAL_CA_DIR=str(self.folder / "local"), CERTMONGER_TMPDIR=str(self.folder / "tmp"),
            CERTMONGER_SYSTEM_LOCK_FILE=str(self.folder / "lock"), TMPDIR=str(self.folder / "tmp"),
            CERTMONGER_PVT_ADDRESS="unix:path=%s" % (self.folder / "socket"))
        self.process = None

    def start(self):
        with open(self.folder / "log", "wb") as log:
            self.process = env.start([PROGRAM, "-L", "-P", self.folder / "socket", "-n", "-d", "3",
                                      "-p", self.folder / "pid"],
                                     env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        env.wait_until(lambda: (self.folder / "socket").exists(), 20, what="certmonger did not start")
        return self

    def stop(self):
        if self.process is not None:
            env.stop(self.process)
            self.process = None

    def getcert(self, *words):
        """getcert's answer."""
        result = subprocess.run(["getcert", *[str(word) for word in words]], env=self.environment, timeout=30,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = result.stdout.decode("utf-8", "replace")
        assert result.returncode == 0, (words, text, self.log()[-3000:])
        return text

    def log(self):
        return (self.folder / "log").read_text("utf-8", "replace")

    def status(self):
        """What getcert list says of the one request."""
        found = re.search(r"^\s*status: (\S+)", self.getcert("list"), re.M)
        return found.group(1) if found else None
