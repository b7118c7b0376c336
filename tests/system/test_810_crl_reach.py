# SPDX-License-Identifier: Apache-2.0
"""The CRL that certificates name is fetched after the start, and what is wrong with it is said."""
import datetime
import http.server
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import conf
import env
import pki
from test_120_lint import SIGNING, crl_point, issue

SIGN = "ScepRASigningCertificate"


def crl(issuer, key, days=7, fmt=serialization.Encoding.DER):
    now = datetime.datetime.utcnow().replace(microsecond=0)
    made = (x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
            .last_update(now - datetime.timedelta(days=30)).next_update(now + datetime.timedelta(days=days))
            .sign(key, hashes.SHA256()))
    return made.public_bytes(fmt)


class Place(http.server.BaseHTTPRequestHandler):
    """What each path answers."""

    def do_GET(self):
        status, body = self.server.files.get(self.path, (404, b"not here"))
        self.server.asked.append(self.path)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/good.crl")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def place():
    ca, key = pki.make().load("ca.pem"), pki.key("ca-root")
    stranger, other = pki.certificate("Stranger", pki.key("stranger"), ca=True), pki.key("stranger")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Place)
    server.asked = []
    server.files = {
        "/good.crl": (200, crl(ca, key)), "/old.crl": (200, crl(ca, key, days=-2)),
        "/pem.crl": (200, crl(ca, key, fmt=serialization.Encoding.PEM)),
        "/forged.crl": (200, crl(ca, other)), "/other.crl": (200, crl(stranger, other)),
        "/cut.crl": (200, crl(ca, key)[:-20]), "/empty.crl": (200, b""), "/moved.crl": (302, b""),
        "/huge.crl": (200, bytes(17 * 1024 * 1024)), "/broken.crl": (500, b"")}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def started(factory, url):
    """A server whose RA certificate names the CRL, and the log's line about it."""
    ca, folder, key = pki.make().load("ca.pem"), pki.Pki(env.folder("crl")), pki.key("lint")
    made = issue("Reach RA", key, ca, pki.key("ca-root"), SIGNING, extensions=[crl_point(url)])
    folder.folder.chmod(0o755)
    certificate, file = folder.write("ra.pem", pki.pem_of(made)), folder.write("ra.key", pki.pem(key))
    service = conf.Service(pki.make()).set(SIGN, "%s %s" % (certificate, file))
    server = factory.httpd([service])
    server.expect("SCEP0498")
    server.start()
    return server, server.log.wait("SCEP049[89]")


def test_one_that_is_there(factory, place):
    place.asked.clear()
    server, line = started(factory, "http://127.0.0.1:%d/good.crl" % place.server_port)
    assert "SCEP0499" in line and "/good.crl that CN=Reach RA names is there" in line
    server.graceful()
    assert env.wait_until(lambda: place.asked == ["/good.crl"] * 2)
    assert not server.log.lines("SCEP0498")


@pytest.mark.parametrize("path, wrong", [
    ("old", "nextUpdate"), ("pem", "not a CRL in DER"), ("cut", "not a CRL in DER"), ("empty", "not a CRL in DER"),
    ("forged", "not signed by"), ("other", "not signed by"), ("moved", "HTTP status 302"),
    ("broken", "HTTP status 500"), ("nowhere", "HTTP status 404"), ("huge", "")])
def test_one_that_is_no_good(factory, place, path, wrong):
    server, line = started(factory, "http://127.0.0.1:%d/%s.crl" % (place.server_port, path))
    assert "SCEP0498" in line and wrong in line and "Windows does not enroll" in line


def test_nobody_is_there(factory, keys):
    server, line = started(factory, "http://127.0.0.1:%d/a.crl" % env.free_port())
    assert "SCEP0498" in line
    server.enroll(keys[0])          # it is told, and that is all


@pytest.mark.parametrize("url", ["ldap://127.0.0.1/cn=crl", "file:///etc/passwd", "gopher://127.0.0.1/"])
def test_other_schemes_are_not_asked(factory, keys, url):
    ca, folder, key = pki.make().load("ca.pem"), pki.Pki(env.folder("crl")), pki.key("lint")
    folder.folder.chmod(0o755)
    made = issue("Reach RA", key, ca, pki.key("ca-root"), SIGNING, extensions=[crl_point(url)])
    service = conf.Service(pki.make()).set(SIGN, "%s %s" % (folder.write("ra.pem", pki.pem_of(made)),
                                                           folder.write("ra.key", pki.pem(key))))
    server = factory.httpd([service]).start()
    server.enroll(keys[0])
    assert not server.log.lines("SCEP049[89]")
