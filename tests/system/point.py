# SPDX-License-Identifier: Apache-2.0
"""A front of a registration point: calls over TLS with a client certificate, and the files for that."""
import base64
import functools
import json
import ssl

import conf
import env
import pki
from http_client import Connection

ROOT = "/CertificateRegistrationSvc/Certificate/"
VERIFY, NOTIFY = ROOT + "VerifyRequest", ROOT + "Notify"
MODULES = ("socache_shmcb", "ssl")
# What mod_ssl says of certificates that it does not verify, and of handshakes that broke off.
REFUSED = ("AH02261", "AH02262", "AH02263", "AH02227", "AH02039", "AH02276",
           "SSL Library Error.*(certificate verify failed|did not return a certificate)")


@functools.lru_cache(maxsize=None)
def files():
    """Names of PEM files: the server's, the CA that it trusts, and the fronts' (certificate, then key)."""
    folder = env.folder("point")
    names = {}

    def write(name, *parts):
        names[name] = str(folder / (name + ".pem"))
        (folder / (name + ".pem")).write_bytes(b"".join(parts))
        (folder / (name + ".pem")).chmod(0o600 if len(parts) > 1 else 0o644)

    ca_key, other_key, key = pki.key("tls-ca"), pki.key("tls-other"), pki.key("tls-client")
    ca = pki.certificate("Fronts CA", ca_key, ca=True, usage=pki.CA_USAGE)
    other = pki.certificate("Fronts CA", other_key, ca=True, usage=pki.CA_USAGE)
    server = pki.certificate("localhost", key, ca, ca_key, usage=("digital_signature",), server=True)

    def front(name, issuer, issuer_key, **how):
        return pki.pem_of(pki.certificate(name, key, issuer, issuer_key, usage=("digital_signature",),
                                          **how)), pki.pem(key)

    write("ca", pki.pem_of(ca))
    write("server", pki.pem_of(server), pki.pem(key))
    write("front1", *front("front one", ca, ca_key))
    write("again1", *front("front one", ca, ca_key))
    write("front2", *front("front two", ca, ca_key))
    write("stranger", *front("somebody", ca, ca_key))
    write("foreign", *front("front one", other, other_key))
    write("self", *front("front one", None, None))
    write("expired", *front("front one", ca, ca_key, days=-1, since=-30))
    return names


def virtual_host(port, verify="optional", inside="", more=""):
    """A virtual host with TLS; inside: directives, more: what stands in the host besides."""
    return ('Listen 127.0.0.1:%d\n<VirtualHost 127.0.0.1:%d>\nSSLEngine on\nSSLCertificateFile %s\n'
            'SSLCACertificateFile %s\nSSLVerifyClient %s\n%s\n%s</VirtualHost>\n'
            % (port, port, files()["server"], files()["ca"], verify, inside, more))


class TlsConnection(Connection):
    """With the client certificate of that name or none."""

    def __init__(self, port, certificate, keep_alive=False):
        super().__init__("127.0.0.1", port, keep_alive=keep_alive)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(files()["ca"])
        if certificate:
            self.context.load_cert_chain(files()[certificate])

    def connect(self):
        if self.socket is None:
            self.socket = self.context.wrap_socket(super().connect())
        return self.socket


def base64_of(data):
    return base64.b64encode(data).decode()


class Front:
    """One that asks a registration point."""

    def __init__(self, port, certificate="front1"):
        self.port, self.certificate = port, certificate

    def post(self, path, body, headers=(("Content-Type", "application/json"),), method="POST"):
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        return TlsConnection(self.port, self.certificate).request(method, path, list(headers), data)

    @staticmethod
    def question(spec, **more):
        return dict(dict(version=1, transactionId=spec.txid, certificateRequest=base64_of(spec.csr),
                         clientAddress="192.0.2.77"), **more)

    def verify(self, spec, path=VERIFY, **more):
        return self.post(path, self.question(spec, **more))

    def notify(self, spec, disposition, certificate=None, path=NOTIFY, **more):
        body = dict(dict(version=1, transactionId=spec.txid, certificateRequest=base64_of(spec.csr),
                         disposition=disposition), **more)
        if certificate is not None:
            body["certificate"] = base64_of(certificate)
        return self.post(path, body)


class Point(conf.Service):
    """<ScepService> that is a registration point only."""

    def __init__(self, made, *lines, name="point", path="/point"):
        super().__init__(made, name=name, path=path, ra=False)
        self.set("ScepCABackend").add("ScepRegistrationPoint on", *lines)
