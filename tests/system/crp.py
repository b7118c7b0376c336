# SPDX-License-Identifier: Apache-2.0
"""A certificate registration point as ScepPolicy registration-point meets it: over real TLS with client
certificates, with challenges that are spent by Notify, and with every fault that a test wants."""
import base64
import hashlib
import json
import threading

from cryptography import x509
from cryptography.x509.oid import AttributeOID

import tls_double

BASES = ("/CertificateRegistrationSvc", "/CMCertificateRegistration")
VERIFY, NOTIFY = "/Certificate/VerifyRequest", "/Certificate/Notify"


class State:
    """What several points share: challenges, and who holds them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.open, self.held, self.done = set(), {}, {}

    def mint(self, text):
        with self.lock:
            self.open.add(text)
        return text

    @staticmethod
    def name(body):
        csr = base64.b64decode(body["certificateRequest"])
        return body["transactionId"], hashlib.sha256(csr).hexdigest()

    def verify(self, body):
        with self.lock:
            name = self.name(body)
            if name in self.done:
                return False
            if name in self.held:
                return True
            challenge = challenge_of(body)
            renewal = "signingCertificate" in body
            if not renewal and (challenge not in self.open or challenge in self.held.values()):
                return False
            self.held[name] = None if renewal else challenge
            return True

    def notify(self, body):
        with self.lock:
            name = self.name(body)
            if self.done.get(name) == body:
                return 204
            if name not in self.held:
                return 409
            if body["disposition"] == "success":
                self.open.discard(self.held.pop(name))
                self.done[name] = body
            elif body["disposition"] == "failure":
                del self.held[name]
            return 204


def challenge_of(body):
    """The challengePassword of the CSR, None without."""
    csr = x509.load_der_x509_csr(base64.b64decode(body["certificateRequest"]))
    try:
        return csr.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value.decode()
    except x509.AttributeNotFound:
        return None


class Handler(tls_double.Handler):
    def do_POST(self):
        crp = self.double
        body = json.loads(self.body())
        assert self.headers["User-Agent"] == "NDES_Plugin" and self.headers["Content-Type"] == "application/json"
        base, _, call = self.path.rpartition("/Certificate")
        assert base in BASES, self.path
        verify = "/Certificate" + call == VERIFY
        crp.heard(verify, body)
        if verify:
            crp.gate.wait(30)
        answer = crp.answer if verify else crp.thanks
        if answer is None and verify:
            answer = 201, (), b"true" if crp.state.verify(body) else b"false"
        elif answer is None:
            if body["disposition"] == "success" and crp.before_success:
                crp.before_success.pop()(body)
            answer = crp.state.notify(body), (), b""
        self.say(*answer)
        if crp.dies_after_verify:
            self.close_connection = True
            if verify:
                crp.stop()


class Crp(tls_double.Double):
    """kind: as of every double; its clients show a certificate."""

    def __init__(self, kind="good", state=None):
        self.state, self.told = state or State(), []
        super().__init__(Handler, "crp", kind, mutual=True)
        self.behave()

    def heard(self, verify, body):
        with self.lock:
            self.told.append(("verify" if verify else "notify", body))

    def of(self, call):
        with self.lock:
            return [body for what, body in self.told if what == call]

    def behave(self):
        """As a point does."""
        self.answer = self.thanks = None
        self.dies_after_verify = False
        self.before_success = []        # each is called once, before a certificate is taken note of
        self.gate.set()

    def at(self, base=BASES[0]):
        return self.url + base

    def policy(self, *more, url=None, certificate="client.pem"):
        """The directive."""
        return "ScepPolicy registration-point url=%s certificate=%s key=%s caFile=%s %s" % (
            url or self.at(), self.folder / certificate, self.folder / "client.key", self.folder / "ca.pem",
            " ".join(more))

    def stop(self):
        """Ends at once: nobody is answered any more."""
        self.gate.set()
        threading.Thread(target=self.server.shutdown, daemon=True).start()
        self.server.server_close()
