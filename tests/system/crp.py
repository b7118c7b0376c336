# SPDX-License-Identifier: Apache-2.0
"""A certificate registration point as ScepPolicy registration-point meets it: over real TLS with client
certificates, with challenges that are spent by Notify, and with every fault that a test wants."""
import base64
import hashlib
import http.server
import ipaddress
import json
import socket
import ssl
import threading

from cryptography import x509
from cryptography.x509.oid import AttributeOID

import env
import pki

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


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        crp = self.server.crp
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
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
            answer = crp.state.notify(body), (), b""
        self.say(*answer)
        if verify and crp.dies_after_verify:
            crp.stop()

    def say(self, status, headers, data):
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
        if self.server.crp.dies_after_verify:
            self.close_connection = True

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def finish_request(self, request, client_address):
        request.settimeout(30)
        with self.crp.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secured:
            try:
                secured.do_handshake()
            except ssl.SSLError:
                # the alert must arrive: a socket that is closed with unread bytes would be reset
                with socket.socket(fileno=secured.detach()) as bare:
                    while bare.recv(4096):
                        pass
                return
            self.RequestHandlerClass(secured, client_address, self)

    def handle_error(self, request, client_address):
        pass


class Crp:
    """kind: good, or whose certificate is a stranger's, of a wrong name or expired."""

    def __init__(self, kind="good", state=None):
        self.folder, self.state = env.folder("crp"), state or State()
        self.told, self.lock, self.gate = [], threading.Lock(), threading.Event()
        self.behave()
        self._certificates(kind)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        self.context.load_verify_locations(self.folder / "ca.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.crp = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def _certificates(self, kind):
        ca_key, key = pki.key("crp-ca"), pki.key("crp")
        ca = pki.certificate("CRP CA", ca_key, ca=True, usage=pki.CA_USAGE)
        stranger_key = pki.key("crp-stranger")
        stranger = pki.certificate("CRP CA", stranger_key, ca=True, usage=pki.CA_USAGE)
        names = [x509.DNSName("other.example" if kind == "wrong-name" else "localhost")]
        if kind != "wrong-name":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        issuer, issuer_key = (stranger, stranger_key) if kind == "stranger" else (ca, ca_key)
        usage = ("digital_signature", "key_encipherment")
        files = pki.Pki(self.folder)
        files.write("ca.pem", pki.pem_of(ca), 0o644)
        files.write("server.pem", pki.pem_of(pki.certificate(
            "localhost", key, issuer, issuer_key, names=names, server=True, usage=usage,
            days=-1 if kind == "expired" else 365)))
        files.write("server.key", pki.pem(key))
        files.write("front.pem", pki.pem_of(pki.certificate("front", key, ca, ca_key, usage=usage)), 0o644)
        files.write("foreign.pem", pki.pem_of(pki.certificate(
            "front", key, stranger, stranger_key, usage=usage)), 0o644)
        files.write("front.key", pki.pem(key))

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
        self.gate.set()

    def url(self, base=BASES[0]):
        return "https://localhost:%d%s" % (self.port, base)

    def policy(self, *more, url=None, certificate="front.pem"):
        """The directive."""
        return "ScepPolicy registration-point url=%s certificate=%s key=%s caFile=%s %s" % (
            url or self.url(), self.folder / certificate, self.folder / "front.key", self.folder / "ca.pem",
            " ".join(more))

    def stop(self):
        """Ends at once: nobody is answered any more."""
        self.gate.set()
        threading.Thread(target=self.server.shutdown, daemon=True).start()
        self.server.server_close()
