# SPDX-License-Identifier: Apache-2.0
"""A CA that is a program: a helper by certmonger's protocol that does what a file says."""
import os
import shutil

import ca_double
import env
import pki

SCRIPT = r"""#!/bin/sh
# In the folder of the CA; MODE is a line of shell.
echo "$CERTMONGER_OPERATION $$" >>calls
sign() { # KEYFILE-OR-CSR [EXTENSIONS]
    printf '%s' "$1" | openssl x509 -req -CA ca.pem -CAkey ca.key -days 30 -set_serial "0x$(openssl rand -hex 15)" \
        -copy_extensions copyall -extfile "${2:-device.cnf}" 2>/dev/null
}
issue() { sign "$CERTMONGER_CSR"; exit 0; }
MODE=$(cat mode)
eval "$MODE"
"""

EXTENSIONS = {"device.cnf": "basicConstraints=critical,CA:FALSE\n", "ca.cnf": "basicConstraints=critical,CA:TRUE\n"}

# what a CA can do wrong, by name
MODES = {
    "issued": "issue",
    "chain": "cat ca.pem; issue",
    "pending": "echo cookie-7; exit 1",
    "pending-issued": 'test "$CERTMONGER_OPERATION" = POLL || { echo 1; echo cookie-7; exit 5; }; '
                      'test "$CERTMONGER_CA_COOKIE" = cookie-7 && issue',
    "rejected": "echo The profile does not allow this.; exit 2",
    "new-key": "exit 17",
    "away": "echo connection refused; exit 3",
    "unconfigured": "echo no realm; exit 4",
    "unsupported": "exit 6",
    "unknown-status": "exit 99",
    "slow": "echo $$ >pid; exec sleep 1000",
    "stubborn": "trap '' TERM; echo $$ >pid; while :; do sleep 1; done",
    "grandchild": 'sleep 1000 & echo $! >pid; sign "$CERTMONGER_CSR"; exit 0',
    "garbage": "head -c 3000 /dev/urandom; exit 0",
    "broken-pem": 'sign "$CERTMONGER_CSR" | head -n 5; exit 0',
    "oversized": "yes | head -c 300000; exit 0",
    "endless": "echo $$ >pid; yes",
    "nothing": "exit 0",
    "wrong-key": 'sign "$(cat other.csr)"; exit 0',
    "ca-certificate": 'sign "$CERTMONGER_CSR" ca.cnf; exit 0',
    "wrong-chain": 'cp ca.key good.key; cp stranger.key ca.key; cp ca.pem good.pem; cp stranger.pem ca.pem; '
                   'sign "$CERTMONGER_CSR"; cp good.key ca.key; cp good.pem ca.pem; exit 0',
    "signal": "kill -SEGV $$",
    "cut": 'sign "$CERTMONGER_CSR" | head -c 700; kill -KILL $$',
    "closes-stdout": 'sign "$CERTMONGER_CSR"; exec >&- 2>&-; sleep 0.3; exit 0',
    "noisy": "echo a warning of the helper >&2; issue",
}


class ExecCA:
    """The helper in a folder of its own; says() chooses from MODES."""
    name, pends = "exec", True
    connections = open = 0      # it has none
    lines = ("SCEP036[56]",)    # what the backend itself says in error_log

    # What ca_double's cases are here.
    AS_DOUBLE = {"transient": "away", "ca-cert": "ca-certificate", "pending": "echo cookie-7; exit 1",
                 "rejected": "echo %s; exit 2" % ca_double.REASON}

    def __init__(self, ca=None):
        self.ca = self.pki = ca or pki.make()
        self.folder = env.folder("exec")
        self.work = self.folder / "work"
        self.helper = self.folder / "helper"
        self.work.mkdir()
        self.helper.write_text(SCRIPT)
        self.helper.chmod(0o755)
        stranger_key = pki.key("stranger")
        stranger = pki.certificate("Stranger", stranger_key, ca=True, usage=pki.CA_USAGE)
        for name in ("ca.pem", "ca.key"):
            shutil.copy(self.pki.path(name), self.work / name)
        (self.work / "stranger.pem").write_bytes(pki.pem_of(stranger))
        (self.work / "stranger.key").write_bytes(pki.pem(stranger_key))
        (self.work / "other.csr").write_bytes(pki.csr_of("device", pki.key("device3")))
        for name, text in EXTENSIONS.items():
            (self.work / name).write_text(text)
        self.says("issued")
        for path in [self.work, *self.work.iterdir()]:
            if env.ROOT:
                shutil.chown(path, env.USER, env.USER)

    def backend(self, *options):
        """The directive."""
        return " ".join(["ScepCABackend exec helper=%s directory=%s pollInterval=1s" % (self.helper, self.work),
                         *options])

    def says(self, mode):
        """A name of MODES, or a line of shell."""
        path = self.work / "mode"
        temporary = self.work / "mode.new"
        temporary.write_text(MODES.get(mode, mode) + "\n")
        temporary.chmod(0o644)
        os.rename(temporary, path)

    def behave(self, mode="issued"):
        self.says(self.AS_DOUBLE.get(mode, mode))

    def calls(self):
        """The operations that were asked for."""
        path = self.work / "calls"
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

    def stop(self):
        """There is no process of its own."""

    def pid(self):
        """What the helper wrote down as the process that must not stay."""
        env.wait_until(lambda: (self.work / "pid").exists() and (self.work / "pid").read_text().strip())
        return int((self.work / "pid").read_text())


DOUBLES = [ExecCA]
