# SPDX-License-Identifier: Apache-2.0
"""CAs of other makers, as doubles: what they all can do wrong, once.  Each protocol's double is a file
double_NAME.py with a list DOUBLES of its classes; test_850 puts each of them through the same cases."""
import datetime
import importlib
import pathlib
import random
import shutil

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

import env
import pki
import tls_double

# What mode may be.  The last ones are the protocol's own affair: its handler answers them.
TRANSPORT = ("slow", "cut", "garbage", "oversized", "transient")
CERTIFICATE = ("wrong-key", "ca-cert", "wrong-chain")
PROTOCOL = ("issued", "pending", "rejected")
REASON = "no such end entity profile"     # the CA's words where it rejects


def sign(ca, csr, mode="issued", days=30):
    """The certificate for a CSR (an x509 object) as the CA of a Pki makes it; subject and SAN are the CSR's."""
    issuer, issuer_key = ca.load("ca.pem"), pki.key("ca-root")
    key = csr.public_key()
    if mode == "wrong-key":
        key = pki.key("double-stranger").public_key()
    if mode == "wrong-chain":
        issuer_key = pki.key("double-stranger")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stranger CA")])
    else:
        name = issuer.subject
    now = datetime.datetime.utcnow().replace(microsecond=0)
    builder = (x509.CertificateBuilder().subject_name(csr.subject).issuer_name(name).public_key(key)
               .serial_number(random.getrandbits(120) + 1).not_valid_before(now - datetime.timedelta(minutes=5))
               .not_valid_after(now + datetime.timedelta(days=days))
               .add_extension(x509.BasicConstraints(mode == "ca-cert", None), True)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False))
    try:
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = builder.add_extension(names.value, names.critical)
    except x509.ExtensionNotFound:
        pass
    return builder.sign(issuer_key, hashes.SHA256())


class Handler(tls_double.Handler):
    """Of a CA over HTTP.  Call misbehaves() with the body read; true: it has answered."""

    def misbehaves(self):
        double = self.double
        with double.lock:
            double.asked += 1
        mode = double.mode
        if mode == "slow":
            double.gate.clear()
            double.gate.wait(30)
            self.say(0)
        elif mode == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "4000")
            self.end_headers()
            self.wfile.write(b"{\"cut")
            self.wfile.flush()
            self.close_connection = True
        elif mode == "garbage":
            self.say(200, (("Content-Type", "application/octet-stream"),), bytes(range(256)) * 4)
        elif mode == "oversized":
            self.say(200, (("Content-Type", "application/json"),), b"[" + b"1," * 2000000 + b"1]")
        elif mode == "transient":
            self.say(503, (("Retry-After", "1"),), b"")
        else:
            return False
        return True


class CaDouble(tls_double.Double):
    """
    One that is asked over TLS.  ca: the Pki whose CA it is.  Its class says
      name            of the backend
      pends           whether it has a PENDING that any host can ask about
      handler         its Handler
      backend(*more)  the directive ScepCABackend
      replace_credentials()   takes others from now on, and has written them where the directive says
      lines           patterns of what the backend logs itself as warnings and errors when it is in trouble
    and asked counts what came while it misbehaved.  Requests for the chain or health never misbehave.
    """
    name, pends, handler = None, False, Handler
    over_tls = has_credentials = True
    lines = ()

    def __init__(self, ca=None, kind="good", mutual=True):
        self.ca, self.mode, self.asked = ca or pki.make(), "issued", 0
        super().__init__(self.handler, "ca-" + self.name, kind, mutual)

    def behave(self, mode="issued"):
        self.mode = mode
        self.gate.set()

    def sign(self, csr):
        return sign(self.ca, csr, self.mode)

    def tls(self, certificate="client"):
        """Options of the connection that all backends have."""
        return "caFile=%s certificate=%s key=%s" % (self.folder / "ca.pem", self.folder / (certificate + ".pem"),
                                                    self.folder / "client.key")

    def replace_client(self):
        """The certificate of the connection is another one from now on, and only that one is taken."""
        old, key = self.files.load("client.pem"), pki.key("double-new")
        ca_key = pki.key("double-ca")
        new = pki.certificate("new front", key, self.files.load("ca.pem"), ca_key,
                              usage=("digital_signature", "key_encipherment"))
        self.refused = old
        self.files.write("client.key", pki.pem(key))
        self.files.write("client.pem", pki.pem_of(new), 0o644)
        self.for_httpd("client.key")
        return True

    def for_httpd(self, name):
        """Its children read a file that is replaced while they run."""
        if env.ROOT:
            shutil.chown(self.folder / name, env.USER)

    def peer_is_refused(self, connection):
        """Whether the client's certificate of a connection is the one that was replaced."""
        refused = getattr(self, "refused", None)
        return refused is not None and connection.getpeercert(True) == pki.der_of(refused)


def all_doubles():
    found = []
    for path in sorted(pathlib.Path(__file__).parent.glob("double_*.py")):
        found += importlib.import_module(path.stem).DOUBLES
    return found
