# SPDX-License-Identifier: Apache-2.0
"""Damaged requests of each layer, with the answer that is expected.

A row is (what to send, HTTP status or failInfo, reason in the log).  What to send: Raw, Get, Post, or a dict of
Spec fields for a message that is damaged while it is built.  A tuple of answers: any of them.
"""
import base64
import os

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives import serialization

import der
import pki
import scep_client as scep
from scep_client import BAD_ALG, BAD_CERT_ID, BAD_MESSAGE_CHECK, BAD_REQUEST


class Raw:
    """Bytes for the socket; {path} and {host} are filled in."""

    def __init__(self, head, body=b"", method="GET"):
        self.head, self.body, self.method = head, body, method


class Get:
    """A query string as it stands."""

    def __init__(self, query, method="GET", path=None):
        self.query, self.method, self.path = query, method, path


class Post:
    def __init__(self, body, chunked=False, path=None):
        self.body, self.chunked, self.path = body, chunked, path


class Built:
    """A message that is right, given to change(bytes) → Get or Post."""

    def __init__(self, change):
        self.change = change


def flip(offset, bit=1):
    """Changes one byte."""
    def change(data):
        data = bytearray(data)
        data[offset] ^= bit
        return bytes(data)
    return change


def cut(count):
    return lambda data: data[:-count]


def replace(old, new):
    def change(data):
        assert old in data
        return data.replace(old, new, 1)
    return change


def only(value):
    return lambda data: value


def attribute(dotted, *values):
    return der.seq(der.oid(dotted), der.tlv(der.SET, b"".join(values)))


def without_field(number):
    """Drops a field of a SEQUENCE."""
    def change(data):
        fields = [node.raw for node in der.parse(data).children]
        return der.seq(*(fields[:number] + fields[number + 1:]))
    return change


def envelope_field(number, value):
    """Replaces a field of EnvelopedData."""
    def change(data):
        fields = [node.raw for node in der.parse(data)[1][0].children]
        fields[number] = value
        return der.seq(der.oid(scep.OID_ENVELOPED), der.explicit(0, der.seq(*fields)))
    return change


def own_attribute(name, tlv):
    """The SCEP attribute in another form."""
    oids = {"messageType": scep.OID_MESSAGE_TYPE, "transactionID": scep.OID_TXID,
            "senderNonce": scep.OID_SENDER_NONCE}
    return dict(drop=(name,), extra=[attribute(oids[name], *([tlv] if isinstance(tlv, bytes) else tlv))])


def http_rows():
    big = os.urandom(70000)
    op = "operation=PKIOperation"
    return {
        "GET without message": (Get(op), 400, None),
        "GET with empty message": (Get(op + "&message="), 400, None),
        "GET with message= only": (Get("message=AAAA"), (200, 400), None),
        "GET with two messages": (Get(op + "&message=MIIB&message=MIIB"), 400, None),
        "GET with two operations": (Get("operation=GetCACaps&" + op + "&message=MIIB"), 400, None),
        "GET with %00": (Get(op + "&message=MI%00IB"), 400, None),
        "GET with a bad escape": (Get(op + "&message=MI%zzIB"), 400, None),
        "GET with half an escape": (Get(op + "&message=MIIB%2"), 400, None),
        "GET too large": (Get(op + "&message=" + "A" * 9000, path="/small/mscep/mscep.dll"), (413, 414), None),
        "request line too long": (Get(op + "&message=" + "A" * 71000), 414, "-"),
        "HEAD PKIOperation": (Get(op + "&message=MIIB", "HEAD"), 405, None),
        "PUT": (Get(op, "PUT"), 405, None),
        "DELETE": (Get(op, "DELETE"), 405, None),
        "POST of nothing": (Post(b""), 400, None),
        "POST too large": (Post(big), 413, None),
        "POST chunked too large": (Post(big, chunked=True), 413, None),
        "POST over the service's own limit": (Post(big[:5000], path="/small/mscep/mscep.dll"), 413, None),
        "POST bad chunk": (Raw(b"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n"
                               b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\nabc\r\n", "POST"), 400, None),
        "POST Content-Length no number": (Raw(b"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n"
                                              b"Content-Length: abc\r\n\r\n", b"", "POST"), 400, None),
        "POST noise": (Post(big[:2000]), 400, None),
        "POST text": (Post(b"hello, world"), 400, None),
        "POST zero bytes": (Post(b"\0" * 3000), 400, None),
        "POST its base64": (Built(lambda m: Post(base64.b64encode(m))), (200, 400), None),
    }


def base64_rows():
    def get(change):
        return Built(lambda m: Get("operation=PKIOperation&message=" + change(
            base64.b64encode(m).decode().replace("+", "%2B"))))
    return {
        "base64 with *": (get(lambda t: t[:100] + "*" + t[100:]), 400, None),
        "base64 with a character": (Get("operation=PKIOperation&message=A"), 400, None),
        "base64 of = only": (Get("operation=PKIOperation&message=%3D%3D%3D%3D"), 400, None),
        "base64 padded in the middle": (get(lambda t: t[:100] + "%3D%3D" + t[100:]), 400, None),
        "base64 and more": (get(lambda t: t + "%3D%3D%3DMIIB"), 400, None),
        "base64 escaped twice": (get(lambda t: t[:100] + "%252B" + t[100:]), 400, None),
        "base64 with a byte over 127": (get(lambda t: t[:100] + "%FF" + t[100:]), 400, None),
        "base64 cut in half": (get(lambda t: t[:len(t) // 2]), 400, None),
        "base64 with three letters gone": (get(lambda t: t[:100] + t[103:]), 400, None),
    }


def cms_rows(keys):
    other = keys[3]
    foreign = scep.self_signed(other, "CN=foreign")

    def edit(**layers):
        return dict(edit={layer.replace("_", "-"): change for layer, change in layers.items()})
    signed_oid, data_oid = der.oid(scep.OID_SIGNED), der.oid(scep.OID_DATA)
    broken_key = der.seq(der.seq(der.oid(scep.OID_RSA), der.null()), der.bits(b"\x30\x03\x02\x01\x00"))
    return {
        "message cut in half": (edit(message=lambda m: m[:len(m) // 2]), 400, None),
        "message without its last byte": (edit(message=cut(1)), 400, None),
        "bytes behind the message": (edit(message=lambda m: m + b"\0\0\0\0"), (200, 400), None),
        "first byte changed": (edit(message=flip(0)), 400, None),
        "length of 4 GB": (Post(b"\x30\x84\xff\xff\xff\xff" + b"\0" * 100), 400, None),
        "length of 2^64": (Post(b"\x30\x88" + b"\xff" * 8 + b"\0" * 100), 400, None),
        "nested 20,000 deep": (Post(b"\x30\x80" * 20000), 400, None),
        "indefinite without end": (Post(b"\x30\x80" + signed_oid + b"\xa0\x80\x30\x80"), 400, None),
        "octet string nested 10,000 deep": (Post(b"\x24\x80" * 10000), 400, None),
        "ContentInfo is data": (edit(message=replace(signed_oid, data_oid)), 400, None),
        "envelope without signature": (Built(lambda m: Post(der.parse(m)[1][0][2][1][0].octets())), 400, None),
        "SignedData is empty": (Post(der.seq(signed_oid, der.explicit(0, der.seq()))), 400, None),
        "no signer": (edit(signer_infos=only(der.tlv(der.SET, b""))), 400, None),
        "two signers": (edit(signer_infos=lambda s: der.tlv(der.SET, der.parse(s).content * 2)), 400, None),
        "no certificates": (dict(certificates=[]), 400, None),
        "another's certificate only": (dict(certificates=[foreign]), 400, None),
        "certificate is noise": (dict(certificates=[der.seq(os.urandom(200))]), 400, None),
        "20 certificates": (dict(certificates=[foreign] * 20), 400, None),
        "signature changed": (edit(signature=flip(10)), 400, None),
        "signature empty": (edit(signature=only(b"")), 400, None),
        "signature too long": (edit(signature=lambda s: s + s), 400, None),
        "signed by another key": (dict(signer_key=other, signer_cert=scep.self_signed(
            keys[0], "CN=SCEP Protocol Certificate")), 400, None),
        "messageDigest wrong": (edit(digest=flip(0)), 400, None),
        "messageDigest too short": (edit(digest=cut(1)), 400, None),
        "MD5": (dict(digest="md5"), BAD_ALG, None),
        "unknown digest": (edit(digest_algorithm=only(der.seq(der.oid("1.2.3.4.5")))), BAD_ALG, None),
        "unknown signature algorithm": (edit(signature_algorithm=only(der.seq(der.oid("1.2.3.4.5")))),
                                        BAD_ALG, None),
        "signature algorithm of another digest": (edit(signature_algorithm=only(der.seq(
            der.oid(scep.DIGESTS["sha1"][1]), der.null()))), BAD_ALG, None),
        "sid of another": (edit(sid=only(scep.issuer_and_serial(foreign))), 400, None),
        "signer's key broken": (dict(signer_cert=scep.self_signed(keys[0], "CN=x").replace(
            scep.public_der(keys[0]), broken_key + b"\x04\x82" + (len(scep.public_der(keys[0])) - len(broken_key)
            - 4).to_bytes(2, "big") + b"\0" * (len(scep.public_der(keys[0])) - len(broken_key) - 4))), 400, None),
        "no signed attributes": (edit(attributes=only([])), 400, None),
        "content is an INTEGER": (edit(encapsulated=only(der.seq(data_oid, der.explicit(
            0, der.integer(5))))), 400, None),
        "EC signer without a challenge": (dict(key=ec.generate_private_key(ec.SECP256R1()), challenge=None), BAD_ALG,
                                          "signer-key-type"),
    }


def attribute_rows():
    rows = {
        "transactionID missing": (dict(drop=("transactionID",)), 400, None),
        "transactionID twice": (dict(duplicate=("transactionID",)), 400, None),
        "transactionID empty": (dict(txid=""), 400, None),
        "transactionID of 256": (dict(txid="x" * 256), 400, None),
        "transactionID with control": (dict(txid="a\nb"), 400, None),
        "transactionID with NUL": (dict(txid="a\0b"), 400, None),
        "transactionID with two values": (own_attribute("transactionID", [der.string("a"), der.string("b")]),
                                          400, None),
        "transactionID an INTEGER": (own_attribute("transactionID", der.integer(7)), 400, None),
        "messageType missing": (dict(drop=("messageType",)), BAD_REQUEST, None),
        "messageType twice": (dict(duplicate=("messageType",)), 400, None),
        "messageType an INTEGER": (own_attribute("messageType", der.integer(19)), BAD_REQUEST, None),
        "messageType with two values": (own_attribute("messageType", [der.string("19"), der.string("20")]),
                                        400, None),
        "senderNonce missing": (dict(drop=("senderNonce",)), BAD_REQUEST, None),
        "senderNonce twice": (dict(duplicate=("senderNonce",)), 400, None),
        "senderNonce empty": (dict(sender_nonce=b""), BAD_REQUEST, None),
        "senderNonce of 1,000": (dict(sender_nonce=b"n" * 1000), BAD_REQUEST, None),
        "messageDigest missing": (dict(drop=("messageDigest",)), 400, None),
        "messageDigest twice": (dict(duplicate=("messageDigest",)), 400, None),
        "CertPoll of nothing": (dict(message_type="20"), (BAD_REQUEST, BAD_CERT_ID), None),
        "GetCert": (dict(message_type="21"), (BAD_REQUEST, BAD_CERT_ID), None),
        "GetCRL": (dict(message_type="22"), (BAD_REQUEST, BAD_CERT_ID), None),
    }
    for number in ("", "0", "1", "3", "4", "16", "18", "23", "999", "19 ", " 19", "019", "-19", "19.0", "x",
                   "19" * 50):
        rows["messageType %r" % number[:8]] = (dict(message_type=number), BAD_REQUEST, None)
    return rows


def envelope_rows(keys):
    foreign = scep.self_signed(keys[3], "CN=foreign")

    def edit(**layers):
        return dict(edit={layer.replace("_", "-"): change for layer, change in layers.items()})

    def algorithm(dotted, *rest):
        return only(der.seq(der.oid(dotted), *rest))
    aes = scep.CIPHERS["aes-128-cbc"][0]
    return {
        "foreign recipient": (dict(recipient=foreign), BAD_REQUEST, None),
        "no recipient": (edit(envelope=envelope_field(1, der.tlv(der.SET, b""))), BAD_REQUEST, None),
        "key transport is noise": (edit(wrapped=lambda w: der.octets(os.urandom(256))), BAD_REQUEST, None),
        "key transport is short": (edit(wrapped=lambda w: der.octets(b"short")), BAD_REQUEST, None),
        "key transport is empty": (edit(wrapped=lambda w: der.octets(b"")), BAD_REQUEST, None),
        "ciphertext no multiple of a block": (edit(ciphertext=cut(3)), BAD_REQUEST, None),
        "ciphertext with a bad padding": (edit(ciphertext=flip(-17)), BAD_REQUEST, None),
        "ciphertext begins wrong": (edit(ciphertext=flip(0)), BAD_REQUEST, None),
        "ciphertext empty": (edit(ciphertext=only(b"")), BAD_REQUEST, None),
        "DES": (dict(cipher="des"), BAD_ALG, None),
        "unknown cipher": (edit(cipher_algorithm=algorithm("1.2.3.4.5", der.octets(b"0" * 16))), BAD_ALG, None),
        "RC2": (edit(cipher_algorithm=algorithm("1.2.840.113549.3.2", der.octets(b"0" * 8))), BAD_ALG, None),
        "IV too short": (edit(cipher_algorithm=algorithm(aes, der.octets(b"0" * 7))), BAD_REQUEST, None),
        "IV missing": (edit(cipher_algorithm=algorithm(aes)), BAD_REQUEST, None),
        "IV is an INTEGER": (edit(cipher_algorithm=algorithm(aes, der.integer(1))), BAD_REQUEST, None),
        "key of another length": (edit(cipher_algorithm=algorithm(scep.CIPHERS["aes-256-cbc"][0],
                                                                  der.octets(b"0" * 16))), BAD_REQUEST, None),
        "envelope cut": (edit(envelope=cut(50)), BAD_REQUEST, None),
        "envelope is noise": (edit(envelope=lambda e: os.urandom(500)), BAD_REQUEST, None),
        "envelope is empty": (edit(envelope=only(b"")), BAD_REQUEST, None),
        "envelope of type data": (edit(envelope=replace(der.oid(scep.OID_ENVELOPED), der.oid(scep.OID_DATA))),
                                  BAD_REQUEST, None),
        "CSR without an envelope": (edit(envelope=lambda e: scep.make_csr(keys[0], "CN=bare", "x")),
                                    BAD_REQUEST, None),
        "envelope in an envelope": (edit(csr=lambda c: scep.Spec(
            key=keys[0], recipient=foreign).envelope(c)), BAD_REQUEST, None),
    }


def csr_rows(keys):
    key = keys[0]

    # What cannot be read has the answer of an envelope that cannot be opened (no oracle); the log tells them apart.
    def csr(**fields):
        """Made anew with the row's challenge."""
        return dict(edit={"csr": lambda c: scep.make_csr(
            **dict(dict(key=key, challenge=CURRENT["challenge"]), **fields))})

    def edit(change):
        return dict(edit={"csr": change})

    def challenge_attribute(*values):
        return attribute(scep.OID_CHALLENGE, *values)
    ed = ed25519.Ed25519PrivateKey.generate()
    ed_spki = ed.public_key().public_bytes(serialization.Encoding.DER,
                                           serialization.PublicFormat.SubjectPublicKeyInfo)
    modulus = key.public_key().public_numbers().n

    def rsa_spki(n, e):
        return der.seq(der.seq(der.oid(scep.OID_RSA), der.null()),
                       der.bits(der.seq(der.integer(n), der.integer(e))))
    san = "2.5.29.17"
    return {
        "CSR empty": (edit(only(b"")), BAD_REQUEST, "csr-malformed|envelope"),
        "CSR is noise": (edit(lambda c: os.urandom(600)), BAD_REQUEST, "csr-malformed"),
        "CSR cut": (edit(cut(20)), BAD_REQUEST, "csr-malformed"),
        "bytes behind the CSR": (edit(lambda c: c + b"\0\0"), (BAD_REQUEST, scep.SUCCESS + "?"), None),
        "CSR signature changed": (edit(flip(-1)), BAD_REQUEST, "csr-signature"),
        "CSR signed by another": (csr(key=keys[1], spki=scep.public_der(key)), BAD_REQUEST, "csr-signature"),
        "CSR signature empty": (csr(signature=b""), BAD_REQUEST, "csr-signature|csr-malformed"),
        "CSR without signature": (edit(without_field(2)), BAD_REQUEST, "csr-malformed"),
        "CSR signed with MD5": (csr(digest="md5"), BAD_ALG, "csr-algorithm"),
        "RSA-1024": (dict(key=pki.key("small", "rsa1024")), (BAD_REQUEST, BAD_ALG), None),
        "RSA-512": (dict(key=pki.key("tiny", "rsa512"), csr_digest="sha1", digest="sha1"),
                    (BAD_REQUEST, BAD_ALG), None),
        "RSA exponent 1": (csr(spki=rsa_spki(modulus, 1)), BAD_REQUEST, "csr-key"),
        "RSA exponent even": (csr(spki=rsa_spki(modulus, 65536)), BAD_REQUEST, "csr-key"),
        "RSA modulus even": (csr(spki=rsa_spki(modulus + 1, 65537)), BAD_REQUEST, "csr-key"),
        "RSA modulus negative": (csr(spki=rsa_spki(-modulus, 65537)), BAD_REQUEST, "csr-key"),
        "RSA modulus of 20,000 bits": (csr(spki=rsa_spki((1 << 20000) + 1, 65537)), BAD_REQUEST, "csr-key"),
        "key is noise": (csr(spki=der.seq(der.seq(der.oid(scep.OID_RSA), der.null()), der.bits(b"noise"))),
                         BAD_REQUEST, "csr-key"),
        "key of unknown kind": (csr(spki=der.seq(der.seq(der.oid("1.2.3.4")), der.bits(b"k" * 32))), BAD_REQUEST,
                                "csr-key"),
        "Ed25519": (csr(key=ed, spki=ed_spki), BAD_MESSAGE_CHECK, "signer-key"),
        "another's key": (dict(signer_key=keys[1]), BAD_MESSAGE_CHECK, None),
        "secp256k1": (dict(key=ec.generate_private_key(ec.SECP256K1())), (BAD_ALG, BAD_REQUEST), None),
        "EC point not on the curve": (edit(lambda c: bad_point_csr()), BAD_REQUEST, "csr-key"),
        "no subject and no SAN": (dict(subject=""), BAD_REQUEST, None),
        "two challengePasswords": (csr(attributes=[challenge_attribute(der.string("x"))]), BAD_REQUEST,
                                   "csr-malformed"),
        "challengePassword with two values": (csr(challenge=None, attributes=[challenge_attribute(
            der.string("x"), der.string("y"))]), BAD_REQUEST, "csr-malformed"),
        "challengePassword an INTEGER": (csr(challenge=None, attributes=[challenge_attribute(der.integer(1))]),
                                         BAD_REQUEST, "csr-malformed"),
        "extension twice": (csr(extensions=[scep.san_extension(["a.example"]), scep.san_extension(["b.example"])]),
                            BAD_REQUEST, "csr-malformed"),
        "two extension requests": (csr(attributes=[attribute(scep.OID_EXTENSION_REQUEST, der.seq(
            scep.san_extension(["a.example"])))] * 2), BAD_REQUEST, "csr-malformed"),
        "SAN is noise": (csr(extensions=[scep.extension(san, os.urandom(40))]), BAD_REQUEST, None),
        "SAN with NUL": (csr(extensions=[scep.san_extension(["good.example\0.evil.example"])]), BAD_REQUEST, None),
        "SAN address of 5 bytes": (csr(extensions=[scep.san_extension(other=[der.implicit(7, b"12345")])]),
                                   BAD_REQUEST, None),
        "SAN empty": (csr(extensions=[scep.extension(san, der.seq())]), BAD_REQUEST, None),
        "extension request is noise": (csr(attributes=[attribute(scep.OID_EXTENSION_REQUEST, b"\x04\x03abc")]),
                                       BAD_REQUEST, "csr-malformed"),
    }


def bad_point_csr():
    key = ec.generate_private_key(ec.SECP256R1())
    spki = bytearray(scep.public_der(key))
    spki[-1] ^= 1
    return scep.make_csr(key, challenge=CURRENT["challenge"], spki=bytes(spki))


CURRENT = {"challenge": None}       # the good challenge of the running row


def challenge_rows():
    return {
        "wrong": (dict(challenge="0123456789ABCDEF"), BAD_REQUEST, "challenge-unknown"),
        "missing": (dict(challenge=None), BAD_REQUEST, "challenge-missing"),
        "empty": (dict(challenge=""), BAD_REQUEST, "challenge-missing"),
        "lower case": (lambda good: dict(challenge=good.lower() + "x"), BAD_REQUEST, "challenge-unknown"),
        "with a space": (lambda good: dict(challenge=good + " "), BAD_REQUEST, "challenge-unknown"),
        "with NUL": (lambda good: dict(challenge=good.encode() + b"\0"), BAD_REQUEST, "challenge-|csr-"),
        "cut": (lambda good: dict(challenge=good[:-1]), BAD_REQUEST, "challenge-unknown"),
        "of 30,000": (dict(challenge="A" * 30000), BAD_REQUEST, "challenge-unknown"),
        "SQL": (dict(challenge="' OR 1=1 --", challenge_tag=der.UTF8), BAD_REQUEST, "challenge-unknown"),
        "of other letters": (dict(challenge="\u00e4\u4e16\u754c", challenge_tag=der.UTF8), BAD_REQUEST,
                             "challenge-unknown"),
        "invalid UTF-8": (dict(challenge=b"\xff\xfe\xfd", challenge_tag=der.UTF8), BAD_REQUEST,
                          "challenge-unknown|csr-malformed"),
    }


def rows(keys):
    """All, as {layer: {name: row}}."""
    return {"http": http_rows(), "base64": base64_rows(), "cms": cms_rows(keys), "attributes": attribute_rows(),
            "envelope": envelope_rows(keys), "csr": csr_rows(keys), "challenge": challenge_rows()}
