# SPDX-License-Identifier: Apache-2.0
"""The other end of ScepPolicy webhook: a server over real TLS that answers as a test wants."""
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import ipaddress

from cryptography import x509

import env
import pki

SECRET = "f00dfeedf00dfeedf00dfeedf00dfeed"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.hook = self.server.hook

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mac = hmac.new(self.hook.secret.encode(), self.headers["X-Scep-Timestamp"].encode() + b"." + body,
                       hashlib.sha256)
        assert self.headers["X-Scep-Signature"] == "sha256=" + mac.hexdigest()
        told = json.loads(body)
        self.hook.heard(told)
        if told["operation"] == "verify":
            self.hook.gate.wait(30)
        elif self.hook.hang:
            self.hook.hang.wait(30)
        status, headers, answer = self.hook.answer if told["operation"] == "verify" else self.hook.thanks
        if status == 0:
            self.close_connection = True
            return
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def finish_request(self, request, client_address):
        request.settimeout(30)
        with self.hook.context.wrap_socket(request, server_side=True) as secured:
            self.RequestHandlerClass(secured, client_address, self)

    def handle_error(self, request, client_address):
        pass


class Webhook:
    """kind: good, or a certificate of a stranger's CA, or for a wrong name.  mutual: asks for a client's."""

    def __init__(self, kind="good", mutual=False):
        self.folder = env.folder("webhook")
        self.secret, self.told, self.lock = SECRET, [], threading.Lock()
        self.gate = threading.Event()
        self.hang = None        # set: news are not answered until the event
        self.allow()
        self._certificates(kind)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        if mutual:
            self.context.load_verify_locations(self.folder / "ca.pem")
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.hook = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _certificates(self, kind):
        ca_key, key = pki.key("webhook-ca"), pki.key("webhook")
        ca = pki.certificate("Webhook CA", ca_key, ca=True, usage=pki.CA_USAGE)
        stranger = pki.certificate("Webhook CA", pki.key("webhook-stranger"), ca=True, usage=pki.CA_USAGE)
        names = [x509.DNSName("other.example" if kind == "wrong-name" else "localhost")]
        if kind != "wrong-name":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        issuer, issuer_key = (stranger, pki.key("webhook-stranger")) if kind == "stranger" else (ca, ca_key)
        usage = ("digital_signature", "key_encipherment")
        server = pki.certificate("localhost", key, issuer, issuer_key, names=names, server=True, usage=usage,
                                 days=-1 if kind == "expired" else 365)
        client = pki.certificate("front", key, ca, ca_key, usage=usage)
        files = pki.Pki(self.folder)
        files.write("ca.pem", pki.pem_of(ca), 0o644)
        files.write("server.pem", pki.pem_of(server))
        files.write("server.key", pki.pem(key))
        files.write("client.pem", pki.pem_of(client), 0o644)
        files.write("client.key", pki.pem(key))
        files.write("secret", (SECRET + "\n").encode())

    def heard(self, told):
        with self.lock:
            self.told.append(told)

    def of(self, operation):
        with self.lock:
            return [told for told in self.told if told["operation"] == operation]

    def news(self, txid, count=1, timeout=20):
        """The news of a transaction, once there are so many."""
        def found():
            got = [told for told in self.of("notify") if told["transactionID"] == txid]
            return got if len(got) >= count else None
        return env.wait_until(found, timeout, what="no news of %s" % txid)

    def allow(self):
        """Says yes at once."""
        self.answer, self.thanks = (200, (), {"allow": True}), (200, (), {})
        self.gate.set()

    def policy(self, *more, url=None):
        """The directive."""
        return "ScepPolicy webhook url=%s secretFile=%s caFile=%s %s" % (
            url or "https://localhost:%d/scep" % self.port, self.folder / "secret", self.folder / "ca.pem",
            " ".join(more))

    def stop(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
