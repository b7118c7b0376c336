# SPDX-License-Identifier: Apache-2.0
"""What the tests of clients' habits share: messages in each client's own shape."""
import base64
import hashlib
import urllib.parse
import uuid

from cryptography.hazmat.primitives import serialization

import der
import scep_client as scep


def pkcs1(key):
    """DER RSAPublicKey."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)


def apple(client, key, challenge, **fields):
    """A request as iOS and macOS make it."""
    return client.spec(**dict(dict(
        key=key, challenge=challenge, txid=hashlib.sha1(pkcs1(key)).hexdigest().upper(),
        signer_subject="CN=" + str(uuid.uuid4()).upper()), **fields))


def windows_signer(key):
    """CN=SCEP Protocol Certificate, signed by itself with SHA-1, with a critical authorityKeyIdentifier."""
    identifier = der.seq(der.implicit(0, hashlib.sha1(scep.public_der(key)).digest()))
    return scep.self_signed(key, "CN=SCEP Protocol Certificate", digest="sha1", extra=(
        scep.extension("2.5.29.35", identifier, True),))


def windows(client, key, challenge, **fields):
    """A request as Windows makes it, with the attributes of its certificate requests."""
    def attribute(dotted, value):
        return der.seq(der.oid(dotted), der.tlv(der.SET, value))
    extensions = list(fields.pop("extensions", ())) + [scep.key_usage_extension(0xA0)]
    csr = scep.make_csr(key, fields.pop("subject", "CN=DESKTOP-1"), challenge, extensions, attributes=[
        attribute("1.3.6.1.4.1.311.13.2.3", der.string("10.0.22631.2", der.IA5)),
        attribute("1.3.6.1.4.1.311.21.20", der.seq(der.integer(5), der.string("DESKTOP-1", der.UTF8),
                                                   der.string("SYSTEM", der.UTF8), der.string("dmcert", der.UTF8))),
        attribute("1.3.6.1.4.1.311.13.2.2", der.seq(der.integer(0), der.string(
            "Microsoft Software Key Storage Provider", der.BMP), der.bits(b"")))])
    return client.spec(**dict(dict(key=key, challenge=challenge, csr=csr, signer_cert=windows_signer(key)),
                              **fields))


def jscep(client, key, challenge, **fields):
    """A request of jscep, and of Android's clients that are made of it."""
    return client.spec(**dict(dict(
        key=key, challenge=challenge, ber="indefinite", chunk=1000,
        txid=hashlib.sha1(scep.public_der(key)).hexdigest()), **fields))


def cisco(client, key, challenge, host="router.example", **fields):
    """A request of Cisco IOS: X.509 v1 signer of one name, and names in the subject that nobody else uses."""
    subject = "CN=%s,unstructuredName=%s,serialNumber=9KZ1234567" % (host, host)
    digest = fields.get("digest", "md5")
    return client.spec(**dict(dict(
        key=key, challenge=challenge, subject=subject, signer_subject="unstructuredName=" + host,
        signer_version=1, signer_digest="md5", digest=digest, csr_digest=digest, cipher="des",
        txid=hashlib.md5(scep.public_der(key)).hexdigest().upper()), **fields))


def cisco_get(client, message, path=None):
    """Its GET: HTTP/1.0, no Host, a line feed after each 64 characters."""
    text = base64.b64encode(message).decode()
    lines = "".join(urllib.parse.quote(text[i:i + 64], safe="") + "%0A" for i in range(0, len(text), 64))
    return client.http.raw(("GET %s?operation=PKIOperation&message=%s HTTP/1.0\r\n\r\n" % (
        path or client.path + "/pkiclient.exe", lines)).encode())


def sscep(client, key, challenge, **fields):
    """A request of sscep with what mod_scep's capabilities make it choose."""
    return client.spec(**dict(dict(
        key=key, challenge=challenge, digest="sha512", cipher="aes-128-cbc",
        txid=hashlib.md5(scep.public_der(key)).hexdigest().upper()), **fields))


def micromdm(client, key, challenge, **fields):
    """A request of micromdm's scepclient; its transactionID has +, / or =."""
    digest = base64.b64encode(hashlib.sha1(scep.public_der(key)).digest()).decode()
    return client.spec(**dict(dict(key=key, challenge=challenge, txid=digest, signer_subject="CN=SCEP SIGNER"),
                              **fields))


def strongswan(client, key, challenge, **fields):
    return client.spec(**dict(dict(
        key=key, challenge=challenge, txid=hashlib.sha1(scep.public_der(key)).hexdigest().upper()), **fields))
