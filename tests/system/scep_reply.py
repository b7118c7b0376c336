# SPDX-License-Identifier: Apache-2.0
"""Replies, parsed and verified as the most careful of clients would."""
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import der
from scep_crypto import (CIPHER_BY_OID, DIGESTS, DIGEST_BY_OID, ScepError, decrypt, digest_of, is_aead,
                         password_unwrap, unwrap)
from scep_message import (FAILURE, GET_CERT, GET_CRL, OID_AUTH_ENVELOPED, OID_CONTENT_TYPE, OID_DATA,
                          OID_ENVELOPED, OID_FAIL_INFO, OID_FAIL_TEXT, OID_HRESULT, OID_MESSAGE_DIGEST,
                          OID_MESSAGE_TYPE, OID_RECIPIENT_NONCE, OID_SENDER_NONCE, OID_SIGNED, OID_SIGNING_TIME,
                          OID_STATUS, OID_TXID, PENDING, SUCCESS, issuer_and_serial, public_der)

# What a CertRep has (RFC 8894 section 3.2.1), and what a refusal has besides
ALWAYS = {OID_CONTENT_TYPE, OID_MESSAGE_DIGEST, OID_SIGNING_TIME, OID_MESSAGE_TYPE, OID_STATUS, OID_TXID,
          OID_SENDER_NONCE, OID_RECIPIENT_NONCE}
REFUSED = {OID_FAIL_INFO, OID_FAIL_TEXT, OID_HRESULT}


def degenerate(data):
    """(DER certificates, DER CRLs) of a SignedData without content and signers."""
    info = der.parse(data)
    if info[0].oid() != OID_SIGNED:
        raise ScepError("no SignedData")
    signed = info[1][0]
    if len(signed[2]) != 1 or signed[2][0].oid() != OID_DATA:
        raise ScepError("a degenerate SignedData has no content")
    if len(signed[len(signed) - 1]) != 0 or len(signed[1]) != 0:
        raise ScepError("a degenerate SignedData has no signer")
    certificates, crls = signed.find(0xA0), signed.find(0xA1)
    return ([node.raw for node in certificates.children] if certificates else [],
            [node.raw for node in crls.children] if crls else [])


def degenerate_certificates(data):
    """DER certificates of a certs-only SignedData."""
    certificates, crls = degenerate(data)
    if crls:
        raise ScepError("CRLs among the certificates")
    return certificates


def check_signature(certificate, digest, signature, data):
    """ScepError unless the DER certificate's key signed data."""
    key, algorithm = x509.load_der_x509_certificate(certificate).public_key(), DIGESTS[digest][3]()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), algorithm)
        else:
            key.verify(signature, data, ec.ECDSA(algorithm))
    except InvalidSignature:
        raise ScepError("the signature is wrong") from None


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
        self.cipher = self.leaf = self.transport = self.crl = None
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
        if self.sid != issuer_and_serial(signer):
            raise ScepError("signed by somebody else")
        values = b"".join(node.raw for node in self.signed_attributes.children)
        if values != b"".join(sorted(node.raw for node in self.signed_attributes.children)):
            raise ScepError("signed attributes are not in DER order")
        check_signature(signer, self.digest, self.signature, der.tlv(der.SET, values))
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
        self._verify_attributes()
        if len(self.sender_nonce or b"") != 16:
            raise ScepError("senderNonce is not of 16 bytes")
        if spec is not None:
            self._verify_request(spec)
        return self

    def _verify_attributes(self):
        """Those of RFC 8894, no other, each where it belongs."""
        found = set(self.attributes)
        unknown = found - ALWAYS - (REFUSED if self.status == FAILURE else set())
        missing = ALWAYS - {OID_RECIPIENT_NONCE} - found
        if unknown or missing:
            raise ScepError("attributes too many %s, missing %s" % (unknown, missing))
        if self.fail_info is not None and self.fail_info not in ("0", "1", "2", "3", "4"):
            raise ScepError("failInfo " + self.fail_info)
        if self.attributes[OID_SENDER_NONCE].tag != der.OCTETS:
            raise ScepError("senderNonce is no OCTET STRING")

    def _verify_request(self, spec):
        txid = spec.txid if isinstance(spec.txid, str) else spec.txid.decode("latin-1")
        if self.transaction_id != txid:
            raise ScepError("transactionID %r, sent %r" % (self.transaction_id, txid))
        if "senderNonce" not in spec.drop and self.recipient_nonce != spec.sender_nonce:
            raise ScepError("recipientNonce is not our senderNonce")
        if self.status == PENDING and spec.message_type in (GET_CERT, GET_CRL):
            raise ScepError("PENDING for messageType " + spec.message_type)
        if self.status == SUCCESS:
            self.open(spec)

    def _session_key(self, recipients, spec):
        if len(recipients) != 1:
            raise ScepError("%d recipients" % len(recipients))
        recipient = recipients[0]
        if recipient.tag == 0xA3:
            self.transport = "pwri"
            return password_unwrap((spec.challenge or "").encode(), recipient)
        if recipient[1].raw != issuer_and_serial(spec.signer_cert):
            raise ScepError("enveloped to somebody else")
        self.transport, session_key = unwrap(spec.signer_key, recipient[2], recipient[3].content)
        return session_key

    def _opened(self, spec):
        """The content of EnvelopedData or AuthEnvelopedData."""
        info = der.parse(self.content)
        kind, enveloped = info[0].oid(), info[1][0]
        if kind not in (OID_ENVELOPED, OID_AUTH_ENVELOPED):
            raise ScepError("the content is no EnvelopedData")
        encrypted = enveloped[2]
        if encrypted[0].oid() != OID_DATA:
            raise ScepError("encryptedContentInfo.contentType is not data")
        self.cipher = CIPHER_BY_OID[encrypted[1][0].oid()]
        if is_aead(self.cipher) != (kind == OID_AUTH_ENVELOPED):
            raise ScepError("%s in %s" % (self.cipher, kind))
        session_key = self._session_key(enveloped[1], spec)
        parameters, data = encrypted[1][1], encrypted[2].octets()
        if kind == OID_ENVELOPED:
            return decrypt(self.cipher, session_key, parameters.content, data)
        if len(parameters[0].content) != 12:
            raise ScepError("a GCM nonce of %d bytes" % len(parameters[0].content))
        if (parameters[1].integer() if len(parameters) > 1 else 12) != len(enveloped[3].octets()):
            raise ScepError("the MAC's length is not the one announced")
        if len(enveloped[3].octets()) != 16:
            raise ScepError("a MAC of %d bytes" % len(enveloped[3].octets()))
        try:
            return AESGCM(session_key).decrypt(parameters[0].content, data + enveloped[3].octets(), None)
        except InvalidTag:
            raise ScepError("the MAC is wrong") from None

    def open(self, spec):
        """Decrypts the envelope; leaf becomes the certificate asked for, crl the CRL."""
        self.issued, crls = degenerate(self._opened(spec))
        if spec.message_type == GET_CRL:
            if self.issued or len(crls) != 1:
                raise ScepError("%d CRLs and %d certificates" % (len(crls), len(self.issued)))
            self.crl = x509.load_der_x509_crl(crls[0])
            return
        if crls or not self.issued:
            raise ScepError("%d CRLs and %d certificates" % (len(crls), len(self.issued)))
        self.leaf = x509.load_der_x509_certificate(self.issued[0])
        if spec.message_type == GET_CERT:
            if issuer_and_serial(self.issued[0]) != spec.data:
                raise ScepError("the first certificate is not the one asked for")
        elif self.leaf.public_key().public_bytes(
                serialization.Encoding.DER,
                serialization.PublicFormat.SubjectPublicKeyInfo) != public_der(spec.key):
            raise ScepError("the first certificate is not for our key")


class NextCA:
    """The answer to GetNextCACert (RFC 8894 section 4.7.1): SignedData over a degenerate SignedData."""

    def __init__(self, data):
        info = der.parse(data)
        if info[0].oid() != OID_SIGNED:
            raise ScepError("no SignedData")
        signed = info[1][0]
        if signed[2][0].oid() != OID_DATA or len(signed[2]) != 2:
            raise ScepError("the content is no data")
        self.content = signed[2][1][0].octets()
        self.certificates = degenerate_certificates(self.content)
        signers = signed[len(signed) - 1]
        if len(signers) != 1:
            raise ScepError("%d signers" % len(signers))
        self.signer = signers[0]

    def verify(self, signer):
        """signer: DER certificate whose key must have signed."""
        if self.signer[1].raw != issuer_and_serial(signer):
            raise ScepError("signed by somebody else")
        digest = DIGEST_BY_OID[self.signer[2][0].oid()]
        signed, data = self.signer.find(0xA0), self.content
        if signed is not None:
            values = {node[0].oid(): node[1][0] for node in signed.children}
            if values[OID_MESSAGE_DIGEST].content != digest_of(digest, self.content):
                raise ScepError("messageDigest is wrong")
            if values[OID_CONTENT_TYPE].oid() != OID_DATA:
                raise ScepError("contentType is not data")
            data = der.tlv(der.SET, signed.content)
        signature = next(node for node in self.signer.children if node.tag == der.OCTETS).content
        check_signature(signer, digest, signature, data)
        return self.certificates
