#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A SCEP client (RFC 8894) that can send everything, also what no real client should.

Each part of a pkiMessage is built by hand; what `Spec` holds is sent, right or wrong, and `edit` hooks
change the bytes of any layer.  Replies are parsed and verified strictly.

From the command line:
    scep_client.py caps URL
    scep_client.py cacert URL --out DIR
    scep_client.py enroll URL --challenge-file FILE [--subject /CN=device] [--key FILE] [--out FILE]
"""
import argparse
import base64
import datetime
import functools
import hashlib
import os
import sys
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding as block_padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import der
from http_client import Connection

OID_DATA = "1.2.840.113549.1.7.1"
OID_SIGNED = "1.2.840.113549.1.7.2"
OID_ENVELOPED = "1.2.840.113549.1.7.3"
OID_CONTENT_TYPE = "1.2.840.113549.1.9.3"
OID_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
OID_SIGNING_TIME = "1.2.840.113549.1.9.5"
OID_CHALLENGE = "1.2.840.113549.1.9.7"
OID_EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
OID_RSA = "1.2.840.113549.1.1.1"
OID_OAEP = "1.2.840.113549.1.1.7"
VERISIGN = "2.16.840.1.113733.1.9."
OID_MESSAGE_TYPE, OID_STATUS, OID_FAIL_INFO = VERISIGN + "2", VERISIGN + "3", VERISIGN + "4"
OID_SENDER_NONCE, OID_RECIPIENT_NONCE, OID_TXID = VERISIGN + "5", VERISIGN + "6", VERISIGN + "7"
OID_FAIL_TEXT = "1.3.6.1.5.5.7.24.1"
OID_HRESULT = "1.3.6.1.4.1.311.21.33"

# name: (digest OID, RSA signature OID, ECDSA signature OID, hash)
DIGESTS = {
    "md5": ("1.2.840.113549.2.5", "1.2.840.113549.1.1.4", None, hashes.MD5),
    "sha1": ("1.3.14.3.2.26", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1", hashes.SHA1),
    "sha256": ("2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2", hashes.SHA256),
    "sha384": ("2.16.840.1.101.3.4.2.2", "1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3", hashes.SHA384),
    "sha512": ("2.16.840.1.101.3.4.2.3", "1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4", hashes.SHA512),
}
DIGEST_BY_OID = {row[0]: name for name, row in DIGESTS.items()}

# name: (OID, key bytes, block bytes)
CIPHERS = {
    "aes-128-cbc": ("2.16.840.1.101.3.4.1.2", 16, 16),
    "aes-192-cbc": ("2.16.840.1.101.3.4.1.22", 24, 16),
    "aes-256-cbc": ("2.16.840.1.101.3.4.1.42", 32, 16),
    "3des": ("1.2.840.113549.3.7", 24, 8),
    "des": ("1.3.14.3.2.7", 8, 8),
}
CIPHER_BY_OID = {row[0]: name for name, row in CIPHERS.items()}

PKCS_REQ, RENEWAL_REQ, CERT_POLL, GET_CERT, GET_CRL = "19", "17", "20", "21", "22"
SUCCESS, FAILURE, PENDING = "0", "2", "3"
BAD_ALG, BAD_MESSAGE_CHECK, BAD_REQUEST, BAD_TIME, BAD_CERT_ID = "0", "1", "2", "3", "4"
NAME_TYPES = {"CN": "2.5.4.3", "O": "2.5.4.10", "OU": "2.5.4.11", "C": "2.5.4.6", "L": "2.5.4.7",
              "serialNumber": "2.5.4.5", "unstructuredName": "1.2.840.113549.1.9.2"}


class ScepError(Exception):
    """The server's answer is not what a client can accept."""


# Building blocks ---------------------------------------------------------------------------------

def name(text):
    """DER Name of "CN=device,O=Example"."""
    rdns = []
    for part in filter(None, text.split(",")):
        kind, value = part.split("=", 1)
        tag = der.PRINTABLE if kind in ("C", "serialNumber") else der.UTF8
        rdns.append(der.tlv(der.SET, der.seq(der.oid(NAME_TYPES[kind]), der.string(value, tag))))
    return der.seq(*rdns)


@functools.lru_cache(maxsize=256)
def public_der(key):
    return key.public_key().public_bytes(serialization.Encoding.DER,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def signature_algorithm(key, digest):
    """DER AlgorithmIdentifier of key's signature with digest."""
    if isinstance(key, rsa.RSAPrivateKey):
        return der.seq(der.oid(DIGESTS[digest][1]), der.null())
    return der.seq(der.oid(DIGESTS[digest][2] or DIGESTS["sha256"][2]))


def sign(key, digest, data):
    algorithm = DIGESTS[digest][3]()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), algorithm)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(algorithm))
    return key.sign(data)


def digest_of(algorithm, data):
    return hashlib.new(algorithm, data).digest()


def extension(dotted, value, critical=False):
    return der.seq(der.oid(dotted), *([der.boolean(True)] if critical else []), der.octets(value))


def san_extension(dns=(), other=()):
    """subjectAltName with DNS names and further GeneralNames already in DER."""
    names = [der.implicit(2, n.encode("latin-1")) for n in dns] + list(other)
    return extension("2.5.29.17", der.seq(*names))


def key_usage_extension(bits):
    """keyUsage from its first byte, 0x80 digitalSignature, 0x20 keyEncipherment."""
    unused = (bits & -bits).bit_length() - 1 if bits else 0
    return extension("2.5.29.15", der.bits(bytes([bits]), unused), critical=True)


def make_csr(key, subject="CN=device", challenge=None, extensions=(), digest="sha256",
             challenge_tag=der.PRINTABLE, attributes=(), spki=None, signature=None, version=0):
    """PKCS#10.  challenge None: no attribute.  attributes: further ones in DER."""
    attrs = list(attributes)
    if challenge is not None:
        attrs.append(der.seq(der.oid(OID_CHALLENGE),
                             der.tlv(der.SET, der.string(challenge, challenge_tag))))
    if extensions:
        attrs.append(der.seq(der.oid(OID_EXTENSION_REQUEST), der.tlv(der.SET, der.seq(*extensions))))
    subject = subject if isinstance(subject, bytes) else name(subject)
    info = der.seq(der.integer(version), subject, spki or public_der(key),
                   der.explicit(0, b"".join(sorted(attrs))))
    return der.seq(info, signature_algorithm(key, digest),
                   der.bits(signature if signature is not None else sign(key, digest, info)))


@functools.lru_cache(maxsize=256)
def self_signed(key, subject="CN=SCEP Protocol Certificate", version=3, digest="sha256", serial=1,
                days=2, ski=None, issuer=None):
    """A signer certificate by hand: v1 as old Cisco's, or v3; issuer: another name than the subject's."""
    now = datetime.datetime.utcnow()
    parts = [der.integer(serial), signature_algorithm(key, digest), name(issuer or subject),
             der.seq(der.utctime(now - datetime.timedelta(days=1)),
                     der.utctime(now + datetime.timedelta(days=days))),
             name(subject), public_der(key)]
    if version == 3:
        parts.insert(0, der.explicit(0, der.integer(2)))
        extensions = [key_usage_extension(0xA0)]
        if ski:
            extensions.append(extension("2.5.29.14", der.octets(ski)))
        parts.append(der.explicit(3, der.seq(*extensions)))
    tbs = der.seq(*parts)
    return der.seq(tbs, signature_algorithm(key, digest), der.bits(sign(key, digest, tbs)))


def issuer_and_serial(certificate):
    """DER IssuerAndSerialNumber of a DER certificate."""
    fields = der.parse(certificate)[0].children
    if fields[0].tag == 0xA0:
        fields = fields[1:]
    return der.seq(fields[2].raw, fields[0].raw)


def subject_key_id(certificate):
    return x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier).value.digest


def _block(cipher, key, iv):
    if cipher == "des":
        return Cipher(algorithms.TripleDES(key * 3), modes.CBC(iv))
    if cipher == "3des":
        return Cipher(algorithms.TripleDES(key), modes.CBC(iv))
    return Cipher(algorithms.AES(key), modes.CBC(iv))


def encrypt(cipher, data):
    """(key, iv, ciphertext) with PKCS#7 padding."""
    _, key_len, block_len = CIPHERS[cipher]
    key, iv = os.urandom(key_len), os.urandom(block_len)
    padder = block_padding.PKCS7(block_len * 8).padder()
    encryptor = _block(cipher, key, iv).encryptor()
    return key, iv, encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()


def decrypt(cipher, key, iv, data):
    unpadder = block_padding.PKCS7(CIPHERS[cipher][2] * 8).unpadder()
    decryptor = _block(cipher, key, iv).decryptor()
    return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()


# A message ---------------------------------------------------------------------------------------

class Spec:
    """What to send.  Every field may be changed; `edit` maps a layer to a function bytes → bytes:
    csr, envelope (EnvelopedData ContentInfo), content (eContent octets), attributes (list of DER
    attributes), signature, signed (SignedData content), message (whole ContentInfo)."""

    defaults = dict(
        key=None,                   # of the CSR
        signer_key=None,            # of the message; None: key
        signer_cert=None,           # DER; None: self-signed by signer_key
        signer_subject="CN=SCEP Protocol Certificate", signer_version=3, signer_digest=None,
        certificates=None,          # list of DER in SignedData; None: the signer's
        csr=None,                   # DER; None: made from the fields below
        subject="CN=device", challenge=None, challenge_tag=der.PRINTABLE, extensions=(), csr_digest=None,
        recipient=None,             # DER certificate, or a list of them
        recipient_id="issuer",      # issuer, ski, ski-tlv (a whole OCTET STRING inside [0])
        transport="pkcs1",          # pkcs1, oaep
        cipher="aes-128-cbc", digest="sha256",
        message_type=PKCS_REQ, txid=None, sender_nonce=None,
        signing_time=None,          # datetime, None: now, False: without
        sid="issuer",               # issuer, ski
        drop=(), duplicate=(),      # attribute names, see attributes()
        extra=(),                   # further signed attributes in DER
        ber=None,                   # None, "indefinite" (with constructed OCTET STRINGs)
        bare=False,                 # PKCS#7 1.5: the content is no OCTET STRING, its tag not digested
        enveloped_type=OID_DATA, content_type=OID_DATA,
        sort=True,                  # DER order of signed attributes
        null_params=True,           # digestAlgorithm has NULL parameters
        edit=None,
    )

    def __init__(self, **fields):
        for field in fields:
            if field not in self.defaults:
                raise TypeError("no such field: " + field)
        self.__dict__.update(self.defaults, **fields)
        self.edit = dict(self.edit or {})
        self.signer_key = self.signer_key or self.key
        if self.signer_cert is None:
            ski = hashlib.sha1(public_der(self.signer_key)).digest() if self.sid == "ski" else None
            self.signer_cert = self_signed(self.signer_key, self.signer_subject, self.signer_version,
                                           self.signer_digest or "sha256", ski=ski)
        if self.txid is None:
            self.txid = hashlib.sha256(os.urandom(16)).hexdigest().upper()[:40]
        if self.sender_nonce is None:
            self.sender_nonce = os.urandom(16)
        if self.csr is None and self.key is not None:
            self.csr = make_csr(self.key, self.subject, self.challenge, self.extensions,
                                self.csr_digest or "sha256", self.challenge_tag)

    def _edited(self, layer, value):
        return self.edit[layer](value) if layer in self.edit else value

    def _octets(self, data):
        return der.constructed_octets(data) if self.ber else der.octets(data)

    def _seq(self, *items):
        return der.indefinite(der.SEQUENCE, b"".join(items)) if self.ber else der.seq(*items)

    def _explicit(self, number, content):
        if self.ber:
            return der.indefinite(0xA0 | number, content)
        return der.explicit(number, content)

    def _recipient_info(self, certificate, session_key):
        key = x509.load_der_x509_certificate(certificate).public_key()
        if self.transport == "oaep":
            oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
            algorithm, wrapped = der.seq(der.oid(OID_OAEP), der.seq()), key.encrypt(session_key, oaep)
        else:
            algorithm = der.seq(der.oid(OID_RSA), der.null())
            wrapped = key.encrypt(session_key, padding.PKCS1v15())
        if self.recipient_id == "issuer":
            version, rid = 0, issuer_and_serial(certificate)
        else:
            ski = subject_key_id(certificate)
            version = 2
            rid = der.explicit(0, der.octets(ski)) if self.recipient_id == "ski-tlv" else \
                der.implicit(0, ski)
        return der.seq(der.integer(version), rid, algorithm, self._edited("wrapped", der.octets(wrapped)))

    def envelope(self, content):
        """ContentInfo of EnvelopedData around content, for all recipients."""
        recipients = self.recipient if isinstance(self.recipient, (list, tuple)) else [self.recipient]
        key, iv, ciphertext = encrypt(self.cipher, content)
        infos = [self._recipient_info(certificate, key) for certificate in recipients]
        ciphertext = self._edited("ciphertext", ciphertext)
        algorithm = der.seq(der.oid(CIPHERS[self.cipher][0]), der.octets(iv))
        body = der.constructed_octets(ciphertext, tag=0x80) if self.ber else der.implicit(0, ciphertext)
        info = self._seq(der.oid(self.enveloped_type), self._edited("cipher-algorithm", algorithm), body)
        version = 0 if self.recipient_id == "issuer" else 2
        enveloped = self._seq(der.integer(version), der.set_of(*infos), info)
        return self._seq(der.oid(OID_ENVELOPED), self._explicit(0, enveloped))

    def attributes(self, content_digest):
        """Signed attributes as a list of DER, after drop, duplicate and edit."""
        def attribute(dotted, value):
            return der.seq(der.oid(dotted), der.tlv(der.SET, value))
        rows = {
            "contentType": attribute(OID_CONTENT_TYPE, der.oid(self.content_type)),
            "messageDigest": attribute(OID_MESSAGE_DIGEST, der.octets(content_digest)),
            "messageType": attribute(OID_MESSAGE_TYPE, der.string(self.message_type)),
            "senderNonce": attribute(OID_SENDER_NONCE, der.octets(self.sender_nonce)),
            "transactionID": attribute(OID_TXID, der.string(self.txid)),
        }
        if self.signing_time is not False:
            when = self.signing_time or datetime.datetime.utcnow()
            rows["signingTime"] = attribute(OID_SIGNING_TIME, der.utctime(when))
        attrs = [value for row, value in rows.items() if row not in self.drop]
        attrs += [rows[row] for row in self.duplicate] + list(self.extra)
        return self._edited("attributes", sorted(attrs) if self.sort else attrs)

    def build(self):
        """The whole pkiMessage."""
        csr = self._edited("csr", self.csr)
        envelope = self._edited("envelope", self.envelope(csr) if csr is not None else b"")
        content = self._edited("content", envelope)
        digested = der.parse(content).content if self.bare else content
        attrs = self.attributes(self._edited("digest", digest_of(self.digest, digested)))
        signature = self._edited("signature", sign(self.signer_key, self.digest,
                                                   der.tlv(der.SET, b"".join(attrs))))
        algorithm = der.seq(der.oid(DIGESTS[self.digest][0]), *([der.null()] if self.null_params else []))
        algorithm = self._edited("digest-algorithm", algorithm)
        if self.sid == "ski":
            sid = der.implicit(0, hashlib.sha1(public_der(self.signer_key)).digest())
        else:
            sid = issuer_and_serial(self.signer_cert)
        signer_info = der.seq(der.integer(3 if self.sid == "ski" else 1), self._edited("sid", sid),
                              algorithm, *([der.explicit(0, b"".join(attrs))] if attrs else []),
                              self._edited("signature-algorithm", self._signature_algorithm()),
                              der.octets(signature))
        signer_infos = self._edited("signer-infos", der.tlv(der.SET, signer_info))
        certificates = [self.signer_cert] if self.certificates is None else self.certificates
        if self.bare:
            encapsulated = self._seq(der.oid(OID_DATA), self._explicit(0, content))
        elif content:
            encapsulated = self._seq(der.oid(self.content_type), self._explicit(0, self._octets(content)))
        else:
            encapsulated = der.seq(der.oid(self.content_type))
        encapsulated = self._edited("encapsulated", encapsulated)
        signed = self._seq(der.integer(1), der.tlv(der.SET, algorithm), encapsulated,
                           self._explicit(0, b"".join(certificates)) if certificates else b"",
                           signer_infos)
        signed = self._edited("signed", signed)
        return self._edited("message", self._seq(der.oid(OID_SIGNED), self._explicit(0, signed)))

    def _signature_algorithm(self):
        if isinstance(self.signer_key, rsa.RSAPrivateKey):
            return der.seq(der.oid(OID_RSA), der.null())
        return signature_algorithm(self.signer_key, self.digest)


# A reply -----------------------------------------------------------------------------------------

def degenerate_certificates(data):
    """DER certificates of a certs-only SignedData."""
    info = der.parse(data)
    if info[0].oid() != OID_SIGNED:
        raise ScepError("no SignedData")
    signed = info[1][0]
    if len(signed[2]) != 1:
        raise ScepError("a degenerate SignedData has no content")
    certificates = signed.find(0xA0)
    return [node.raw for node in certificates.children] if certificates else []


class CertRep:
    """A reply, parsed; `verify` checks what a careful client would."""

    def __init__(self, data):
        self.raw = data
        info = der.parse(data)
        if info[0].oid() != OID_SIGNED:
            raise ScepError("the reply is no SignedData")
        signed = info[1][0]
        encapsulated = signed[2]
        self.content_type = encapsulated[0].oid()
        self.content = encapsulated[1][0].octets() if len(encapsulated) > 1 else None
        certificates = signed.find(0xA0)
        self.certificates = [node.raw for node in certificates.children] if certificates else []
        signer_infos = signed[len(signed) - 1]
        if len(signer_infos) != 1:
            raise ScepError("%d signers" % len(signer_infos))
        signer = signer_infos[0]
        self.sid = signer[1].raw
        self.digest = DIGEST_BY_OID[signer[2][0].oid()]
        self.signed_attributes = signer[3]
        self.signature_oid = signer[4][0].oid()
        self.signature = signer[5].content
        self.attributes = {}
        for attribute in self.signed_attributes.children:
            if len(attribute[1]) != 1:
                raise ScepError("attribute %s has not one value" % attribute[0].oid())
            if attribute[0].oid() in self.attributes:
                raise ScepError("attribute %s twice" % attribute[0].oid())
            self.attributes[attribute[0].oid()] = attribute[1][0]
        self.cipher = self.leaf = None
        self.issued = []

    def _text(self, dotted, tag=der.PRINTABLE):
        node = self.attributes.get(dotted)
        if node is None:
            return None
        if node.tag != tag:
            raise ScepError("attribute %s has tag %02x" % (dotted, node.tag))
        return node.content.decode("utf-8")

    def _bytes(self, dotted):
        node = self.attributes.get(dotted)
        return None if node is None else node.octets()

    status = property(lambda self: self._text(OID_STATUS))
    fail_info = property(lambda self: self._text(OID_FAIL_INFO))
    fail_text = property(lambda self: self._text(OID_FAIL_TEXT, der.UTF8))
    message_type = property(lambda self: self._text(OID_MESSAGE_TYPE))
    transaction_id = property(lambda self: self._text(OID_TXID))
    sender_nonce = property(lambda self: self._bytes(OID_SENDER_NONCE))
    recipient_nonce = property(lambda self: self._bytes(OID_RECIPIENT_NONCE))

    @property
    def hresult(self):
        text = self._text(OID_HRESULT)
        return None if text is None else int(text) & 0xFFFFFFFF

    def verify(self, signer, spec=None):
        """signer: DER certificate of the RA (or CA).  spec: the request."""
        certificate = x509.load_der_x509_certificate(signer)
        if self.sid != issuer_and_serial(signer):
            raise ScepError("signed by somebody else")
        values = b"".join(node.raw for node in self.signed_attributes.children)
        if values != b"".join(sorted(node.raw for node in self.signed_attributes.children)):
            raise ScepError("signed attributes are not in DER order")
        key, algorithm = certificate.public_key(), DIGESTS[self.digest][3]()
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(self.signature, der.tlv(der.SET, values), padding.PKCS1v15(), algorithm)
        else:
            key.verify(self.signature, der.tlv(der.SET, values), ec.ECDSA(algorithm))
        if self._bytes(OID_MESSAGE_DIGEST) != digest_of(self.digest, self.content or b""):
            raise ScepError("messageDigest is wrong")
        if self.attributes[OID_CONTENT_TYPE].oid() != OID_DATA or self.content_type != OID_DATA:
            raise ScepError("contentType is not data")
        if self.message_type != "3" or self.status not in (SUCCESS, FAILURE, PENDING):
            raise ScepError("messageType %s, pkiStatus %s" % (self.message_type, self.status))
        if (self.fail_info is not None) != (self.status == FAILURE):
            raise ScepError("failInfo %s with pkiStatus %s" % (self.fail_info, self.status))
        if self.status != SUCCESS and self.content:
            raise ScepError("an envelope with pkiStatus %s" % self.status)
        if len(self.sender_nonce or b"") != 16:
            raise ScepError("senderNonce is not of 16 bytes")
        if spec is not None:
            self._verify_request(spec)
        return self

    def _verify_request(self, spec):
        txid = spec.txid if isinstance(spec.txid, str) else spec.txid.decode("latin-1")
        if self.transaction_id != txid:
            raise ScepError("transactionID %r, sent %r" % (self.transaction_id, txid))
        if "senderNonce" not in spec.drop and self.recipient_nonce != spec.sender_nonce:
            raise ScepError("recipientNonce is not our senderNonce")
        if self.status == SUCCESS:
            self.open(spec)

    def open(self, spec):
        """Decrypts the envelope; leaf becomes the certificate with the CSR's key."""
        info = der.parse(self.content)
        if info[0].oid() != OID_ENVELOPED:
            raise ScepError("the content is no EnvelopedData")
        enveloped = info[1][0]
        recipient = enveloped[1][0]
        if recipient[1].raw != issuer_and_serial(spec.signer_cert):
            raise ScepError("enveloped to somebody else")
        if recipient[2][0].oid() == OID_OAEP:
            scheme = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
        else:
            scheme = padding.PKCS1v15()
        session_key = spec.signer_key.decrypt(recipient[3].content, scheme)
        encrypted = enveloped[2]
        if encrypted[0].oid() != OID_DATA:
            raise ScepError("encryptedContentInfo.contentType is not data")
        self.cipher = CIPHER_BY_OID[encrypted[1][0].oid()]
        plain = decrypt(self.cipher, session_key, encrypted[1][1].content, encrypted[2].octets())
        self.issued = degenerate_certificates(plain)
        self.leaf = x509.load_der_x509_certificate(self.issued[0])
        wanted = public_der(spec.key)
        if self.leaf.public_key().public_bytes(serialization.Encoding.DER,
                                               serialization.PublicFormat.SubjectPublicKeyInfo) != wanted:
            raise ScepError("the first certificate is not for our key")


# A client ----------------------------------------------------------------------------------------

class Client:
    """Talks to one SCEP URL; not for use by several threads at once."""

    def __init__(self, url, timeout=20, keep_alive=True):
        parts = urllib.parse.urlsplit(url)
        self.path = parts.path
        self.http = Connection(parts.hostname, parts.port or 80, timeout, keep_alive)
        self.encrypter = self.signer = None
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
            self.encrypter = self.signer = response.body
            return self.ca_certificates
        self.ca_certificates = degenerate_certificates(response.body)
        for certificate in self.ca_certificates:
            self._pick(certificate)
        if self.encrypter is None or self.signer is None:
            issuing = next(c for c in self.ca_certificates if _is_ca(c))
            self.encrypter = self.encrypter or issuing
            self.signer = self.signer or issuing
        return self.ca_certificates

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

    def enroll(self, key, challenge, **fields):
        """One enrollment; the reply, SUCCESS or not."""
        return self.transact(self.spec(key=key, challenge=challenge, **fields))


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


# Command line ------------------------------------------------------------------------------------

def command_enroll(client, options):
    with open(options.challenge_file, encoding="ascii") as file:
        challenge = file.read().strip()
    key = load_key(options.key) if options.key else new_key(options.bits)
    subject = ",".join(filter(None, options.subject.split("/")))
    reply = client.enroll(key, challenge, subject=subject, cipher=options.cipher, digest=options.digest)
    if reply.status != SUCCESS:
        print("refused: failInfo %s, %s" % (reply.fail_info, reply.fail_text), file=sys.stderr)
        return 1
    leaf = reply.leaf
    print("subject %s\nserial %x\nvalid until %s" % (
        leaf.subject.rfc4514_string(), leaf.serial_number, leaf.not_valid_after.isoformat()))
    if options.out:
        with open(options.out, "wb") as file:
            file.write(leaf.public_bytes(serialization.Encoding.PEM))
    return 0


def command_caps(client, options):
    print("\n".join(client.caps()))
    return 0


def command_cacert(client, options):
    for number, certificate in enumerate(client.cacert()):
        loaded = x509.load_der_x509_certificate(certificate)
        print(loaded.subject.rfc4514_string(), hashlib.sha256(certificate).hexdigest())
        if options.out:
            with open(os.path.join(options.out, "ca-%d.pem" % number), "wb") as file:
                file.write(loaded.public_bytes(serialization.Encoding.PEM))
    return 0


def main(argv=None):
    parser = argparse.ArgumentParser(description="SCEP client of mod_scep's tests")
    parser.add_argument("command", choices=("caps", "cacert", "enroll"))
    parser.add_argument("url", help="http://host:port/certsrv/mscep/mscep.dll")
    parser.add_argument("--challenge-file", help="file with the challenge")
    parser.add_argument("--subject", default="/CN=device")
    parser.add_argument("--key", help="PEM private key; default: a new one")
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--cipher", default="aes-128-cbc", choices=sorted(CIPHERS))
    parser.add_argument("--digest", default="sha256", choices=sorted(DIGESTS))
    parser.add_argument("--out", help="certificate file (enroll), directory (cacert)")
    options = parser.parse_args(argv)
    if options.command == "enroll" and not options.challenge_file:
        parser.error("enroll needs --challenge-file")
    client = Client(options.url)
    try:
        return globals()["command_" + options.command](client, options)
    except (ScepError, OSError) as error:
        print("%s: %s" % (options.command, error), file=sys.stderr)
        return 1
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main())
