# SPDX-License-Identifier: Apache-2.0
"""A CA that speaks EST (RFC 7030): refuses what a real one refuses, and answers as mode says."""
import base64
import shutil

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

import ca_double
import env

USER = "front:Pa55:word-of-EST"
TYPE = "application/pkcs7-mime; smime-type=certs-only"


def certs_only(certificates):
    """A SignedData without signature as EST sends it: base64 with line ends."""
    return base64.encodebytes(pkcs7.serialize_certificates(certificates, Encoding.DER))


class Handler(ca_double.Handler):
    def path_is(self, operation):
        label = self.double.label + "/" if self.double.label else ""
        return self.path == "/.well-known/est/" + label + operation

    def do_GET(self):
        double = self.double
        if not self.path_is("cacerts"):
            self.say(404)
            return
        with double.lock:
            double.cacerts += 1
        if double.no_cacerts:
            self.say(503)
            return
        chain = double.extra + [double.ca.load("ca.pem")]
        self.say(200, (("Content-Type", TYPE), ("Content-Transfer-Encoding", "base64")), certs_only(chain))

    def refused(self):
        """Why the request cannot be; None: it can."""
        double = self.double
        wanted = "Basic " + base64.b64encode(double.user.encode()).decode()
        if self.peer_is_refused() or (double.basic and self.headers.get("Authorization") != wanted):
            return 401, b"who are you?"
        if not self.path_is("simpleenroll"):
            return 404, b"no such label"
        if self.headers.get("Content-Type") != "application/pkcs10":
            return 415, b"not PKCS#10"
        return None

    def peer_is_refused(self):
        return self.double.peer_is_refused(self.connection)

    def do_POST(self):
        double, body = self.double, self.body()
        refused = self.refused()
        if refused:
            self.say(refused[0], (("Content-Type", "text/plain"),), refused[1])
            return
        csr = x509.load_der_x509_csr(base64.b64decode(body))
        assert csr.is_signature_valid
        with double.lock:
            double.csrs.append(bytes(body))
        if self.misbehaves():
            return
        if double.mode == "pending":
            self.say(202, (("Retry-After", "1"),))
        elif double.mode == "rejected":
            self.say(400, (("Content-Type", "text/plain"),), ca_double.REASON.encode())
        elif double.mode.startswith("answer "):
            _, status, kind, text = double.mode.split(" ", 3)
            self.say(int(status), (("Content-Type", kind),), text.encode())
        else:
            # with the CA's own certificate, as some send it
            self.say(200, (("Content-Type", TYPE),), certs_only([double.ca.load("ca.pem"), double.sign(csr)]))


class EstDouble(ca_double.CaDouble):
    """basic: user and password are asked for as well as a certificate.  no_cacerts: that is all it refuses."""
    name, pends, handler = "est", True, Handler
    lines = ()

    def __init__(self, ca=None, kind="good", mutual=True, label="", basic=True):
        self.label, self.basic, self.user = label, basic, USER
        self.csrs, self.cacerts, self.no_cacerts, self.extra = [], 0, False, []
        super().__init__(ca, kind, mutual)
        self.files.write("user", (self.user + "\n").encode())

    def backend(self, *more, url=None):
        words = ["ScepCABackend est url=%s" % (url or self.url), self.tls()]
        words += ["userFile=%s" % (self.folder / "user")] if self.basic else []
        words += ["label=%s" % self.label] if self.label else []
        return " ".join(words + list(more))

    def write_user(self):
        """A new file with user and password, which the children may read."""
        self.files.write("user", (self.user + "\n").encode())
        self.give("user")

    def give(self, name):
        if env.ROOT:
            shutil.chown(self.folder / name, env.USER)

    def replace_credentials(self):
        self.user = "front:another-one"
        self.write_user()
        self.replace_client()
        self.give("client.key")
        return True


DOUBLES = [EstDouble]
