# SPDX-License-Identifier: Apache-2.0
"""A server over real TLS that stands for somebody else's service; what it answers is its handler's."""
import http.server
import ipaddress
import socket
import ssl
import threading

from cryptography import x509

import env
import pki


class Handler(http.server.BaseHTTPRequestHandler):
    """Of a double, which is self.double."""
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.double = self.server.double

    def parse_request(self):
        # http.server makes one slash of two at the beginning of a path, which other servers do not
        if not super().parse_request():
            return False
        if self.requestline.split()[1].startswith("//"):
            self.send_error(404)
            return False
        return True

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def say(self, status, headers=(), data=b""):
        """Answers; status 0: cuts the connection instead."""
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

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def finish_request(self, request, client_address):
        request.settimeout(30)
        with self.double.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secured:
            try:
                secured.do_handshake()
            except ssl.SSLError:
                # the alert must arrive: a socket that is closed with unread bytes would be reset
                with socket.socket(fileno=secured.detach()) as bare:
                    while bare.recv(4096):
                        pass
                return
            with self.double.lock:
                self.double.connections += 1
                self.double.open += 1
            try:
                self.RequestHandlerClass(secured, client_address, self)
            finally:
                with self.double.lock:
                    self.double.open -= 1

    def handle_error(self, request, client_address):
        pass


class Double:
    """
    name: of its folder, which holds ca.pem, server.pem, server.key, client.pem and client.key (of the same
    CA), foreign.pem (of a stranger's, same key).  kind: good, or a server whose certificate is a stranger's,
    for a wrong-name, or expired.  mutual: asks for a client's certificate.  gate: not set while answers are
    to wait.  connections: how many there were; open: how many there are.  front: the port that clients are told,
    of a bad_line.Line before it; None: its own.
    """

    def __init__(self, handler, name, kind="good", mutual=False):
        self.folder = env.folder(name)
        self.lock, self.gate, self.connections, self.open = threading.Lock(), threading.Event(), 0, 0
        self.gate.set()
        self.front = None
        self._certificates(kind)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        if mutual:
            self.context.load_verify_locations(self.folder / "ca.pem")
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.server = Server(("127.0.0.1", 0), handler)
        self.server.double = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def _certificates(self, kind):
        ca_key, stranger_key, key = pki.key("double-ca"), pki.key("double-stranger"), pki.key("double")
        self.key = key
        ca = pki.certificate("Double CA", ca_key, ca=True, usage=pki.CA_USAGE)
        stranger = pki.certificate("Double CA", stranger_key, ca=True, usage=pki.CA_USAGE)
        names = [x509.DNSName("other.example" if kind == "wrong-name" else "localhost")]
        if kind != "wrong-name":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        issuer, issuer_key = (stranger, stranger_key) if kind == "stranger" else (ca, ca_key)
        usage = ("digital_signature", "key_encipherment")
        server = pki.certificate("localhost", key, issuer, issuer_key, names=names, server=True, usage=usage,
                                 days=-1 if kind == "expired" else 365)
        files = self.files = pki.Pki(self.folder)
        files.write("ca.pem", pki.pem_of(ca), 0o644)
        files.write("server.pem", pki.pem_of(server))
        files.write("client.pem", pki.pem_of(pki.certificate("front", key, ca, ca_key, usage=usage)), 0o644)
        files.write("foreign.pem", pki.pem_of(pki.certificate("front", key, stranger, stranger_key, usage=usage)),
                    0o644)
        for name in "server.key", "client.key":
            files.write(name, pki.pem(key))

    @property
    def url(self):
        return "https://localhost:%d" % (self.front or self.port)

    def stop(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
