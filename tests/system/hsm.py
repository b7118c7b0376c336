# SPDX-License-Identifier: Apache-2.0
"""A token of softhsm2 with keys that were made in it, and CAs of these keys."""
import os
import shutil
import subprocess
import time

from cryptography.hazmat.primitives import serialization

import conf
import env
import pki

PIN, SO_PIN = "482915", "71820364"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
           "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so")
MODULE = next((path for path in MODULES if os.path.exists(path)), None)


def why_not():
    """What is missing here; None: nothing."""
    folder = subprocess.run(["openssl", "version", "-e", "-m"], stdout=subprocess.PIPE, check=True).stdout.decode()
    folders = [line.split('"')[1] for line in folder.splitlines() if '"' in line]
    drivers = [os.path.join(f, "pkcs11.so") for f in folders]
    if MODULE is None or shutil.which("pkcs11-tool") is None:
        return "softhsm2 or opensc is not installed"
    return None if any(os.path.exists(path) for path in drivers) else "OpenSSL has neither engine nor provider pkcs11"


class Public:
    """As much of a key as a certificate needs."""

    def __init__(self, der):
        self.key = serialization.load_der_public_key(der)

    def public_key(self):
        return self.key


def own(folder):
    """Gives all of a folder to the user of httpd's children."""
    if env.ROOT:
        subprocess.run(["chown", "-R", "%s:" % env.USER, str(folder)], check=True)


class Token:
    """A token of its own in a folder of its own."""

    def __init__(self, label="unit"):
        self.label, self.folder = label, env.folder("hsm")
        (self.folder / "tokens").mkdir(mode=0o700)
        config = self.folder / "softhsm2.conf"
        config.write_text("directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
                          "slots.removable = false\n" % self.folder)
        self.environment = {"SOFTHSM2_CONF": str(config)}
        self.pin_file = self.folder / "pin"
        self.write_pin(PIN)
        self.run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN)
        own(self.folder / "tokens")

    def write_pin(self, pin, mode=0o600):
        self.pin_file.write_text(pin + "\n")
        self.pin_file.chmod(mode)

    def run(self, *command):
        """Again where it fails: softhsm2 does not share its files well with an httpd that starts or ends."""
        for _ in range(5):
            result = subprocess.run(command, env=dict(os.environ, **self.environment), stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, check=False)
            if result.returncode == 0:
                break
            time.sleep(0.2)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout

    def tool(self, *arguments):
        return self.run("pkcs11-tool", "--module", MODULE, "--token-label", self.label, "--login", "--pin", PIN,
                        *arguments)

    def make_key(self, label, kind="rsa:2048"):
        """A new key pair that never leaves the token."""
        self.count = getattr(self, "count", 0) + 1
        number = "%02x" % self.count
        self.tool("--keypairgen", "--key-type", kind, "--label", label, "--id", number)
        path = self.folder / (label + ".der")
        self.tool("--read-object", "--type", "pubkey", "--label", label, "--output-file", str(path))
        own(self.folder / "tokens")
        return Public(path.read_bytes())

    def uri(self, label):
        return "pkcs11:token=%s;object=%s;type=private" % (self.label, label)


class HsmPki(pki.Pki):
    """A CA whose key is in a token, under a root in software; RA keys are in files."""

    def __init__(self, token, label="ca", kind="rsa:2048"):
        super().__init__(env.folder("hsmpki"))
        self.token, self.label = token, label
        self.public = token.make_key(label, kind)
        root_key, other = pki.key("root"), pki.make("intermediate")
        root = pki.certificate("Test Root", root_key, ca=True, usage=pki.CA_USAGE, days=3650)
        ca = pki.certificate("HSM CA " + label, self.public, root, root_key, ca=True, usage=pki.CA_USAGE, days=1825)
        self.write("ca.pem", pki.pem_of(ca), 0o644)
        self.write("chain.pem", pki.pem_of(ca, root), 0o644)
        self.root, self.root_key, self.ca = root, root_key, ca
        self.other = other

    def service(self, *options, uri=None, pin=True, module=MODULE):
        """The RA's certificates are the root's: the CA's key signs nothing outside of httpd."""
        for name, usage in (("ra-sign", "digital_signature"), ("ra-enc", "key_encipherment")):
            made = pki.certificate("HSM " + name, pki.key(name), self.root, self.root_key, usage=(usage,))
            self.write(name + ".pem", pki.pem_of(made), 0o644)
            self.write(name + ".key", pki.pem(pki.key(name)))
        service = conf.Service(self)
        words = ["local", "certificate=" + self.path("ca.pem"), "key=" + (uri or self.token.uri(self.label)), *options]
        words += ["pkcs11Module=" + module] if module else []
        words += ["pinFile=%s" % self.token.pin_file] if pin else []
        return service.set("ScepCABackend", " ".join('"%s"' % word for word in words))
