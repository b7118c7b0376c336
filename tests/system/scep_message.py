# SPDX-License-Identifier: Apache-2.0
"""pkiMessages by hand: each part is built from bytes, and what `Spec` holds is sent, right or wrong."""
import datetime
import functools
import hashlib
import os

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import der
from scep_crypto import (DIGESTS, OID_RSA, content_algorithm, digest_of, encrypt, is_aead,
                         password_wrap, pss_algorithm, pss_sign, sign, signature_algorithm, wrap)

OID_DATA = "1.2.840.113549.1.7.1"
OID_SIGNED = "1.2.840.113549.1.7.2"
OID_ENVELOPED = "1.2.840.113549.1.7.3"
OID_AUTH_ENVELOPED = "1.2.840.113549.1.9.16.1.23"
OID_CONTENT_TYPE = "1.2.840.113549.1.9.3"
OID_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
OID_SIGNING_TIME = "1.2.840.113549.1.9.5"
OID_CHALLENGE = "1.2.840.113549.1.9.7"
OID_EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
VERISIGN = "2.16.840.1.113733.1.9."
OID_MESSAGE_TYPE, OID_STATUS, OID_FAIL_INFO = VERISIGN + "2", VERISIGN + "3", VERISIGN + "4"
OID_SENDER_NONCE, OID_RECIPIENT_NONCE, OID_TXID = VERISIGN + "5", VERISIGN + "6", VERISIGN + "7"
OID_FAIL_TEXT = "1.3.6.1.5.5.7.24.1"
OID_HRESULT = "1.3.6.1.4.1.311.21.33"

PKCS_REQ, RENEWAL_REQ, CERT_POLL, GET_CERT, GET_CRL = "19", "17", "20", "21", "22"
SUCCESS, FAILURE, PENDING = "0", "2", "3"
BAD_ALG, BAD_MESSAGE_CHECK, BAD_REQUEST, BAD_TIME, BAD_CERT_ID = "0", "1", "2", "3", "4"
NAME_TYPES = {"CN": "2.5.4.3", "O": "2.5.4.10", "OU": "2.5.4.11", "C": "2.5.4.6", "L": "2.5.4.7",
              "serialNumber": "2.5.4.5", "unstructuredName": "1.2.840.113549.1.9.2"}


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
                days=2, ski=None, issuer=None, extra=()):
    """A signer certificate by hand: v1 as old Cisco's, or v3; issuer: another name than the subject's;
    extra: a tuple of further extensions in DER."""
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
        extensions += extra
        parts.append(der.explicit(3, der.seq(*extensions)))
    tbs = der.seq(*parts)
    return der.seq(tbs, signature_algorithm(key, digest), der.bits(sign(key, digest, tbs)))


def issuer_and_serial(certificate):
    """DER IssuerAndSerialNumber of a DER certificate."""
    fields = der.parse(certificate)[0].children
    if fields[0].tag == 0xA0:
        fields = fields[1:]
    return der.seq(fields[2].raw, fields[0].raw)


def issuer_and_subject(issuer, subject):
    """DER IssuerAndSubject (RFC 8894 section 3.3.3) of a DER CA certificate and a subject."""
    return der.seq(subject_of(issuer), subject if isinstance(subject, bytes) else name(subject))


def names_and_serial(issuer, serial):
    """DER IssuerAndSerialNumber of a DER CA certificate and a number."""
    return der.seq(subject_of(issuer), der.integer(serial))


def subject_of(certificate):
    """DER Name of a DER certificate's subject."""
    fields = der.parse(certificate)[0].children
    return fields[5 if fields[0].tag == 0xA0 else 4].raw


def csr_subject(csr):
    """DER Name of a DER request's subject."""
    return der.parse(csr)[0][1].raw


def subject_key_id(certificate):
    return x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier).value.digest


# A message ---------------------------------------------------------------------------------------

class Spec:
    """What to send.  Every field may be changed; `edit` maps a layer to a function bytes → bytes:
    csr (also other messageData), envelope (EnvelopedData ContentInfo), content (eContent octets),
    attributes (list of DER attributes), signature, signed (SignedData content), message (whole ContentInfo)."""

    defaults = dict(
        key=None,                   # of the CSR
        signer_key=None,            # of the message; None: key
        signer_cert=None,           # DER; None: self-signed by signer_key
        signer_subject="CN=SCEP Protocol Certificate", signer_version=3, signer_digest=None,
        certificates=None,          # list of DER in SignedData; None: the signer's
        csr=None,                   # DER; None: made from the fields below
        data=None,                  # messageData in place of the CSR; False: without an envelope
        subject="CN=device", challenge=None, challenge_tag=der.PRINTABLE, extensions=(), csr_digest=None,
        recipient=None,             # DER certificate, or a list of them
        recipient_id="issuer",      # issuer, ski, ski-tlv (a whole OCTET STRING inside [0])
        recipient_name=None,        # DER IssuerAndSerialNumber instead of the certificate's
        transport="pkcs1",          # see TRANSPORTS
        cipher="aes-128-cbc", digest="sha256",
        signature="pkcs1",          # pkcs1, pss (RSA only)
        pss_salt=None,              # bytes; None: as long as the digest
        message_type=PKCS_REQ, txid=None, sender_nonce=None,
        signing_time=None,          # datetime, None: now, False: without
        sid="issuer",               # issuer, ski
        drop=(), duplicate=(),      # attribute names, see attributes()
        extra=(),                   # further signed attributes in DER
        ber=None,                   # None, "indefinite" (with constructed OCTET STRINGs)
        chunk=64,                   # bytes of their pieces
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
        if self.csr is None and self.data is None and self.key is not None:
            self.csr = make_csr(self.key, self.subject, self.challenge, self.extensions,
                                self.csr_digest or "sha256", self.challenge_tag)

    def _edited(self, layer, value):
        return self.edit[layer](value) if layer in self.edit else value

    def _octets(self, data):
        return der.constructed_octets(data, self.chunk) if self.ber else der.octets(data)

    def _seq(self, *items):
        return der.indefinite(der.SEQUENCE, b"".join(items)) if self.ber else der.seq(*items)

    def _explicit(self, number, content):
        if self.ber:
            return der.indefinite(0xA0 | number, content)
        return der.explicit(number, content)

    def _password(self):
        challenge = self.challenge or ""
        return challenge if isinstance(challenge, bytes) else challenge.encode()

    def _recipient_info(self, certificate, session_key):
        if self.transport == "pwri":
            return password_wrap(self._password(), session_key)
        key = x509.load_der_x509_certificate(certificate).public_key()
        algorithm, wrapped = wrap(key, self.transport, session_key)
        if self.recipient_id == "issuer":
            version, rid = 0, self.recipient_name or issuer_and_serial(certificate)
        else:
            ski = subject_key_id(certificate)
            version = 2
            rid = der.explicit(0, der.octets(ski)) if self.recipient_id == "ski-tlv" else \
                der.implicit(0, ski)
        return der.seq(der.integer(version), rid, algorithm, self._edited("wrapped", der.octets(wrapped)))

    def envelope(self, content):
        """ContentInfo of EnvelopedData or AuthEnvelopedData around content, for all recipients."""
        recipients = self.recipient if isinstance(self.recipient, (list, tuple)) else [self.recipient]
        key, iv, ciphertext, tag = encrypt(self.cipher, content)
        infos = [self._recipient_info(certificate, key) for certificate in recipients]
        ciphertext = self._edited("ciphertext", ciphertext)
        algorithm = content_algorithm(self.cipher, iv)
        body = der.constructed_octets(ciphertext, self.chunk, 0x80) if self.ber else \
            der.implicit(0, ciphertext)
        info = self._seq(der.oid(self.enveloped_type), self._edited("cipher-algorithm", algorithm), body)
        if is_aead(self.cipher):
            enveloped = self._seq(der.integer(0), der.set_of(*infos), info,
                                  self._edited("mac", self._octets(tag)))
            return self._seq(der.oid(OID_AUTH_ENVELOPED), self._explicit(0, enveloped))
        version = 3 if self.transport == "pwri" else 0 if self.recipient_id == "issuer" else 2
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
        data = self._edited("csr", self.csr if self.data is None else self.data or None)
        envelope = self._edited("envelope", self.envelope(data) if data is not None else b"")
        content = self._edited("content", envelope)
        digested = der.parse(content).content if self.bare else content
        attrs = self.attributes(self._edited("digest", digest_of(self.digest, digested)))
        signature = self._edited("signature", self._sign(der.tlv(der.SET, b"".join(attrs))))
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

    def _sign(self, data):
        if self.signature == "pss":
            return pss_sign(self.signer_key, self.digest, data, self.pss_salt)
        return sign(self.signer_key, self.digest, data)

    def _signature_algorithm(self):
        if self.signature == "pss":
            return pss_algorithm(self.digest, self.pss_salt)
        if isinstance(self.signer_key, rsa.RSAPrivateKey):
            return der.seq(der.oid(OID_RSA), der.null())
        return signature_algorithm(self.signer_key, self.digest)
