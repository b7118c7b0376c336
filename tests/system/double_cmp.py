# SPDX-License-Identifier: Apache-2.0
"""A CA that speaks CMP: OpenSSL's own server code (cmp_server.c) behind a server over TLS."""
import os
import shutil
import subprocess

from cryptography import x509

import ca_double
import env
import pki

REFERENCE, SECRET = "front-7", "Sh4red-S3cret-of-CMP"
CONTENT_TYPE = "application/pkixcmp"


def program():
    """cmp_server, made when it is not there yet."""
    path = env.BUILD / "tests" / "system" / "cmp_server"
    with env.lock("cmp_server"):
        if not path.exists():
            subprocess.run(["make", "-s", "-C", str(env.BUILD), "tests/system/cmp_server"], check=True,
                           stdout=subprocess.DEVNULL)
    return path


class Server:
    """A cmp_server process, one request at a time."""

    def __init__(self, *arguments):
        self.process = env.start([program(), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)

    def _write(self, words, data):
        self.process.stdin.write(b"%d %s\n" % (len(data), words.encode()) + data)
        self.process.stdin.flush()

    def _read(self):
        length, words = self.process.stdout.readline().decode().split()
        return words, self.process.stdout.read(int(length))

    def process_request(self, mode, message, hear):
        """The answer, b"": none.  hear(words, data): what the server says or asks meanwhile, gives bytes."""
        self._write(mode, message)
        while True:
            words, data = self._read()
            if words == "reply":
                return data
            said = hear(words, data)
            if words in ("csr", "revoke"):
                self._write("cert", said)

    def stop(self):
        self.process.stdin.close()
        env.stop(self.process)
        self.process.stdout.close()


class Handler(ca_double.Handler):
    def do_GET(self):
        self.say(405)

    def do_POST(self):
        double, message = self.double, self.body()
        if self.misbehaves():
            return
        if self.headers.get("Content-Type") != CONTENT_TYPE:
            self.say(415)
            return
        with double.lock:
            answer = double.answer(message)
        self.say(200 if answer else 500, (("Content-Type", CONTENT_TYPE),), answer)


class CmpDouble(ca_double.CaDouble):
    """said: what the server heard besides requests, as words; revoked: serial numbers."""
    name, handler = "cmp", Handler

    def __init__(self, ca=None, kind="good", mutual=True, signer=None):
        self.said, self.revoked, self.made = [], [], None
        super().__init__(ca, kind, mutual)
        self.signer = signer or (self.ca.path("ca.pem"), self.ca.path("ca.key"))
        self.new_ra(pki.key("ra-cmp"))

    def new_ra(self, key):
        """The RA has another certificate from now on, and only that one is taken."""
        ca, ca_key = self.ca.load("ca.pem"), pki.key("ca-root")
        ra = pki.certificate("CMP RA", key, ca, ca_key, usage=("digital_signature",))
        self.write("ra.pem.new", pki.pem_of(ra))
        self.write("ra.key", pki.pem(key))
        os.rename(self.folder / "ra.pem.new", self.folder / "ra.pem")
        self.new_secret(SECRET)

    def new_secret(self, secret):
        """The RA has another secret from now on."""
        self.write("secret", secret.encode() + b"\n")
        self.serve_as(*self.signer, secret)

    def write(self, name, data):
        """A file that httpd's user may read, as is needed where it is to be read again."""
        self.files.write(name, data)
        if env.ROOT:
            shutil.chown(self.folder / name, env.USER)

    def serve_as(self, certificate, key, secret=SECRET):
        """Answers are signed by this certificate from now on."""
        with self.lock:
            if self.made is not None:
                self.made.stop()
            self.made = Server(certificate, key, self.folder / "ra.pem", REFERENCE, secret)

    def hear(self, words, data):
        if words == "csr":
            return pki.der_of(self.sign(x509.load_der_x509_csr(data)))
        if words == "revoke":
            self.revoked.append(int(data, 16))
        else:
            self.said.append(words)
        return b""

    def answer(self, message):
        mode = self.mode
        if mode == "rejected":
            mode = "rejected 2 " + ca_double.REASON      # badRequest
        answer = self.made.process_request(mode.split(" damaged")[0], message, self.hear)
        if mode.endswith(" damaged"):
            answer = answer[:-5] + bytes([answer[-5] ^ 1]) + answer[-4:]
        return answer

    def protection(self):
        return "raCertificate=%s raKey=%s" % (self.folder / "ra.pem", self.folder / "ra.key")

    def by_secret(self):
        return "reference=%s secretFile=%s" % (REFERENCE, self.folder / "secret")

    def backend(self, *more, protection=None):
        return " ".join(["ScepCABackend cmp url=%s/ejbca/publicweb/cmp/front" % self.url, self.tls(),
                         protection or self.protection(), *more])

    def replace_credentials(self):
        self.new_ra(pki.key("ra-cmp-new"))
        return True

    def stop(self):
        super().stop()
        self.made.stop()


DOUBLES = [CmpDouble]
