# SPDX-License-Identifier: Apache-2.0
"""Keys and certificates of the tests, made once per run and shared by pytest's workers."""
import datetime
import functools
import os
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import der
import env

_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
           "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")


def _write(path, data, mode=0o600):
    temporary = path.with_suffix(path.suffix + ".%d" % os.getpid())
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.rename(path)


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def pem_of(*certificates):
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def der_of(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


@functools.lru_cache(maxsize=None)
def key(name, kind="rsa2048"):
    """A named key, the same in the whole run."""
    path = env.base() / "keys" / (name + "-" + kind + ".pem")
    with env.lock("key-" + name):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            if kind == "rsa512":    # newer libraries make none
                subprocess.run(["openssl", "genrsa", "-out", str(path), "512"], check=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                return serialization.load_pem_private_key(path.read_bytes(), None)
            made = {"ec": lambda: ec.generate_private_key(ec.SECP256R1()),
                    "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
                    "ec521": lambda: ec.generate_private_key(ec.SECP521R1())}.get(
                        kind, lambda: rsa.generate_private_key(65537, int(kind[3:])))()
            _write(path, pem(made))
        return serialization.load_pem_private_key(path.read_bytes(), None)


def device_keys(count):
    return [key("device%d" % number) for number in range(count)]


def signed_by_sha1(made, key):
    """An RSA-signed certificate with a SHA-1 signature in place of its own, which newer libraries do not make."""
    sha256, sha1 = der.oid("1.2.840.113549.1.1.11"), der.oid("1.2.840.113549.1.1.5")
    tbs = made.tbs_certificate_bytes.replace(sha256, sha1)
    signature = key.sign(tbs, padding.PKCS1v15(), hashes.SHA1())
    return x509.load_der_x509_certificate(
        der.seq(tbs, der.seq(sha1, der.null()), der.bits(signature)))


def certificate(subject, subject_key, issuer=None, issuer_key=None, ca=False, usage=(), days=365,
                since=-1, names=(), server=False, digest=None):
    """issuer None: self-signed.  usage: names of key usage bits.  days may be negative."""
    now = datetime.datetime.utcnow().replace(microsecond=0)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    issuer_key = issuer_key or subject_key
    builder = (x509.CertificateBuilder().subject_name(name)
               .issuer_name(issuer.subject if issuer else name).public_key(subject_key.public_key())
               .serial_number(x509.random_serial_number())
               .not_valid_before(now + datetime.timedelta(days=min(since, days - 1)))
               .not_valid_after(now + datetime.timedelta(days=days))
               .add_extension(x509.BasicConstraints(ca, None), True)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject_key.public_key()), False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                   issuer_key.public_key()), False))
    if usage:
        builder = builder.add_extension(x509.KeyUsage(**{u: u in usage for u in _USAGES}), True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    if server:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
    return builder.sign(issuer_key, digest or hashes.SHA256())


def csr_of(subject, subject_key, usage=()):
    """A PEM CSR.  usage: names of key usage bits."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if usage:
        builder = builder.add_extension(x509.KeyUsage(**{u: u in usage for u in _USAGES}), True)
    return builder.sign(subject_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Pki:
    """A CA and its RA in a folder: ca.pem, ca.key, ra-sign.pem, ra-sign.key, ra-enc.pem, ra-enc.key,
    chain.pem (issuing CA first, root last)."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return str(self.folder / name)

    def load(self, name):
        return x509.load_pem_x509_certificate((self.folder / name).read_bytes())

    def write(self, name, data, mode=0o600):
        _write(self.folder / name, data, mode)
        return self.path(name)


CA_USAGE = ("key_cert_sign", "crl_sign")
SELF_USAGE = CA_USAGE + ("digital_signature", "key_encipherment")


@functools.lru_cache(maxsize=None)
def make(kind="root", ca_kind="rsa2048", ra_days=365):
    """kind: root (the CA is self-signed), intermediate (under a root)."""
    name = "pki-%s-%s-%d" % (kind, ca_kind, ra_days)
    folder = env.base() / name
    with env.lock(name):
        pki = Pki(folder)
        if not (folder / "done").exists():
            folder.mkdir(mode=0o755, exist_ok=True)
            _make(pki, kind, ca_kind, ra_days)
            (folder / "done").touch()
        return pki


def _make(pki, kind, ca_kind, ra_days):
    ca_key = key("ca-" + kind, ca_kind)
    if kind == "intermediate":
        root_key = key("root")
        root = certificate("Test Root", root_key, ca=True, usage=CA_USAGE, days=3650)
        ca = certificate("Test Issuing", ca_key, root, root_key, ca=True, usage=SELF_USAGE, days=1825)
        chain = [ca, root]
    else:
        ca = certificate("Test CA", ca_key, ca=True, usage=SELF_USAGE, days=3650)
        chain = [ca]
    sign_key, enc_key = key("ra-sign"), key("ra-enc")
    sign = certificate("Test RA signing", sign_key, ca, ca_key, usage=("digital_signature",), days=ra_days)
    encrypt = certificate("Test RA encryption", enc_key, ca, ca_key, usage=("key_encipherment",), days=ra_days)
    pki.write("ca.pem", pem_of(ca), 0o644)
    pki.write("ca.key", pem(ca_key))
    pki.write("chain.pem", pem_of(*chain), 0o644)
    pki.write("ra-sign.pem", pem_of(sign), 0o644)
    pki.write("ra-sign.key", pem(sign_key))
    pki.write("ra-enc.pem", pem_of(encrypt), 0o644)
    pki.write("ra-enc.key", pem(enc_key))


def verifies(leaf, pki):
    """openssl says that leaf (a certificate) chains to the PKI's root now."""
    folder = env.folder("verify")
    (folder / "leaf.pem").write_bytes(pem_of(leaf))
    result = subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile",
                             pki.path("chain.pem"), str(folder / "leaf.pem")],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert result.returncode == 0, result.stdout.decode()
    return True
