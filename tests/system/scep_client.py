#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A SCEP client (RFC 8894) that can send everything, also what no real client should.

scep_message.py builds messages, scep_reply.py reads replies, scep_crypto.py has the algorithms; all of it
is used from here.  On the command line: see scep_cli.py, which this runs.
"""
import base64
import sys
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import der
from http_client import Connection
from scep_crypto import *       # noqa: F401,F403
from scep_message import *      # noqa: F401,F403
from scep_reply import *        # noqa: F401,F403
from scep_crypto import ScepError
from scep_message import (CERT_POLL, GET_CERT, GET_CRL, PENDING, RENEWAL_REQ, Spec, csr_subject,
                          extension, issuer_and_serial, issuer_and_subject, names_and_serial,
                          subject_of)
from scep_reply import CertRep, NextCA, degenerate_certificates


class Client:
    """Talks to one SCEP URL; not for use by several threads at once."""

    def __init__(self, url, timeout=20, keep_alive=True):
        parts = urllib.parse.urlsplit(url)
        self.path = parts.path
        self.http = Connection(parts.hostname, parts.port or 80, timeout, keep_alive)
        self.encrypter = self.signer = self.issuer = None
        self.ca_certificates = []

    def close(self):
        self.http.close()

    def get(self, operation, message=None, path=None, method="GET", headers=()):
        """message: as it shall stand in the query string."""
        query = "operation=" + operation + ("&message=" + message if message is not None else "")
        return self.http.request(method, (path or self.path) + "?" + query, headers)

    def caps(self):
        return self.get("GetCACaps").body.decode("ascii").split("\n")

    def cacert(self):
        """Fetches the certificates and picks the RA's by key usage, as clients do."""
        response = self.get("GetCACert", "ca")
        if response.status != 200:
            raise ScepError("GetCACert: HTTP %d" % response.status)
        if response.header("Content-Type") == "application/x-x509-ca-cert":
            self.ca_certificates = [response.body]
            self.encrypter = self.signer = self.issuer = response.body
            return self.ca_certificates
        self.ca_certificates = degenerate_certificates(response.body)
        self.encrypter = self.signer = None
        for certificate in self.ca_certificates:
            self._pick(certificate)
        self.issuer = self._issuing()
        self.encrypter = self.encrypter or self.issuer
        self.signer = self.signer or self.issuer
        return self.ca_certificates

    def _issuing(self):
        """The CA that issued the RA's certificate; without RA the CA that issued no other."""
        authorities = [c for c in self.ca_certificates if _is_ca(c)]
        issuers = [_issuer_of(c) for c in ([self.signer] if self.signer else authorities)]
        for authority in authorities:
            if (subject_of(authority) in issuers) == bool(self.signer):
                return authority
        return authorities[0]

    def _pick(self, certificate):
        if _is_ca(certificate):
            return
        usage = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.KeyUsage).value
        if usage.key_encipherment:
            self.encrypter = certificate
        if usage.digital_signature:
            self.signer = certificate

    def spec(self, **fields):
        if self.encrypter is None:
            self.cacert()
        fields.setdefault("recipient", self.encrypter)
        return Spec(**fields)

    def send(self, message, method="POST", headers=(("Content-Type", "application/x-pki-message"),),
             chunked=False, path=None):
        """The raw HTTP answer to a pkiMessage."""
        path = path or self.path
        if method == "GET":
            text = urllib.parse.quote(base64.b64encode(message).decode(), safe="")
            return self.http.request("GET", path + "?operation=PKIOperation&message=" + text)
        return self.http.request("POST", path + "?operation=PKIOperation", headers, message, chunked)

    def reply(self, response, spec):
        """The verified CertRep of an HTTP answer."""
        if response.status != 200:
            raise ScepError("HTTP %d: %r" % (response.status, response.body[:200]))
        if response.header("Content-Type") != "application/x-pki-message":
            raise ScepError("Content-Type %r" % response.header("Content-Type"))
        return CertRep(response.body).verify(self.signer, spec)

    def transact(self, spec, **how):
        return self.reply(self.send(spec.build(), **how), spec)

    def ca(self):
        """DER certificate of the issuing CA."""
        if self.issuer is None:
            self.cacert()
        return self.issuer

    def enroll(self, key, challenge, **fields):
        """One enrollment; the reply, SUCCESS or not."""
        return self.transact(self.spec(key=key, challenge=challenge, **fields))

    def renewal_spec(self, key, certificate, old_key, message_type=RENEWAL_REQ, **fields):
        """A request for key, with the subject and SAN of certificate (DER), signed with it and old_key."""
        fields.setdefault("subject", subject_of(certificate))
        fields.setdefault("extensions", _san_of(certificate))
        return self.spec(key=key, signer_key=old_key, signer_cert=certificate, message_type=message_type,
                         **fields)

    def renew(self, key, certificate, old_key, **fields):
        return self.transact(self.renewal_spec(key, certificate, old_key, **fields))

    def poll_spec(self, spec, **fields):
        """The CertPoll for a request that is pending."""
        data = issuer_and_subject(self.ca(), csr_subject(spec.csr))
        return self.spec(**dict(dict(key=spec.key, signer_key=spec.signer_key, signer_cert=spec.signer_cert,
                                     txid=spec.txid, challenge=spec.challenge, cipher=spec.cipher,
                                     digest=spec.digest, transport=spec.transport,
                                     message_type=CERT_POLL, data=data), **fields))

    def poll(self, spec, **fields):
        return self.transact(self.poll_spec(spec, **fields))

    def wait(self, spec, seconds=30, step=0.5):
        """Polls until the request is decided."""
        end = time.monotonic() + seconds
        while True:
            reply = self.poll(spec)
            if reply.status != PENDING or time.monotonic() > end:
                return reply
            time.sleep(step)

    def get_cert(self, wanted, key, **fields):
        """wanted: a DER certificate, or the serial number of one of the issuing CA."""
        data = issuer_and_serial(wanted) if isinstance(wanted, bytes) else names_and_serial(self.ca(), wanted)
        return self.transact(self.spec(key=key, message_type=GET_CERT, data=data, **fields))

    def get_crl(self, key, wanted=None, **fields):
        """wanted as in get_cert(); None: whatever the issuing CA issued."""
        wanted = 1 if wanted is None else wanted
        data = issuer_and_serial(wanted) if isinstance(wanted, bytes) else names_and_serial(self.ca(), wanted)
        return self.transact(self.spec(key=key, message_type=GET_CRL, data=data, **fields))

    def next_ca(self, signer=None):
        """DER certificates of the next CA; signer: who must have signed, None: the issuing CA."""
        response = self.get("GetNextCACert", "ca")
        if response.status != 200:
            raise ScepError("GetNextCACert: HTTP %d" % response.status)
        if response.header("Content-Type") != "application/x-x509-next-ca-cert":
            raise ScepError("Content-Type %r" % response.header("Content-Type"))
        return NextCA(response.body).verify(signer or self.ca())


def _issuer_of(certificate):
    return der.parse(issuer_and_serial(certificate))[0].raw


def _san_of(certificate):
    """The subjectAltName of a DER certificate as a list for a CSR."""
    try:
        found = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [extension("2.5.29.17", found.value.public_bytes(), found.critical)]


def _is_ca(certificate):
    try:
        return x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def load_key(path):
    with open(path, "rb") as file:
        return serialization.load_pem_private_key(file.read(), None)


def new_key(bits=2048):
    return rsa.generate_private_key(65537, bits)


def new_ec_key():
    return ec.generate_private_key(ec.SECP256R1())


if __name__ == "__main__":
    import scep_cli
    sys.exit(scep_cli.main())
