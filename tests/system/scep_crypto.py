# SPDX-License-Identifier: Apache-2.0
"""The algorithms of scep_client: signatures, content encryption, key transport, passwords (RFC 3211).

Also those that no server should take: what is refused has to be sent first.
"""
import hashlib
import os

from cryptography.hazmat.primitives import hashes, padding as block_padding
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import der

OID_RSA = "1.2.840.113549.1.1.1"
OID_OAEP = "1.2.840.113549.1.1.7"
OID_MGF1 = "1.2.840.113549.1.1.8"
OID_PSS = "1.2.840.113549.1.1.10"
OID_ED25519 = "1.3.101.112"
OID_PBKDF2 = "1.2.840.113549.1.5.12"
OID_PWRI_KEK = "1.2.840.113549.1.9.16.3.9"

# name: (digest OID, RSA signature OID, ECDSA signature OID, hash)
DIGESTS = {
    "md5": ("1.2.840.113549.2.5", "1.2.840.113549.1.1.4", None, hashes.MD5),
    "sha1": ("1.3.14.3.2.26", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1", hashes.SHA1),
    "sha224": ("2.16.840.1.101.3.4.2.4", "1.2.840.113549.1.1.14", "1.2.840.10045.4.3.1", hashes.SHA224),
    "sha256": ("2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2", hashes.SHA256),
    "sha384": ("2.16.840.1.101.3.4.2.2", "1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3", hashes.SHA384),
    "sha512": ("2.16.840.1.101.3.4.2.3", "1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4", hashes.SHA512),
}
DIGEST_BY_OID = {row[0]: name for name, row in DIGESTS.items()}
_HMAC_BY_OID = {"1.2.840.113549.2.7": "sha1", "1.2.840.113549.2.8": "sha224", "1.2.840.113549.2.9": "sha256",
                "1.2.840.113549.2.10": "sha384", "1.2.840.113549.2.11": "sha512"}

# name: (OID, key bytes, block or nonce bytes)
CIPHERS = {
    "aes-128-cbc": ("2.16.840.1.101.3.4.1.2", 16, 16),
    "aes-192-cbc": ("2.16.840.1.101.3.4.1.22", 24, 16),
    "aes-256-cbc": ("2.16.840.1.101.3.4.1.42", 32, 16),
    "aes-128-gcm": ("2.16.840.1.101.3.4.1.6", 16, 12),
    "aes-192-gcm": ("2.16.840.1.101.3.4.1.26", 24, 12),
    "aes-256-gcm": ("2.16.840.1.101.3.4.1.46", 32, 12),
    "3des": ("1.2.840.113549.3.7", 24, 8),
    "des": ("1.3.14.3.2.7", 8, 8),
}
CIPHER_BY_OID = {row[0]: name for name, row in CIPHERS.items()}

# Key transport with OAEP, by its hash; MGF1 uses the same
OAEP = {"oaep": "sha1", "oaep-sha256": "sha256", "oaep-sha384": "sha384", "oaep-sha512": "sha512"}
TRANSPORTS = ("pkcs1", "pwri") + tuple(OAEP)


class ScepError(Exception):
    """The server's answer is not what a client can accept."""


def digest_of(algorithm, data):
    return hashlib.new(algorithm, data).digest()


# Signatures

def signature_algorithm(key, digest):
    """DER AlgorithmIdentifier of key's signature with digest."""
    if isinstance(key, rsa.RSAPrivateKey):
        return der.seq(der.oid(DIGESTS[digest][1]), der.null())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return der.seq(der.oid(DIGESTS[digest][2] or DIGESTS["sha256"][2]))
    return der.seq(der.oid(OID_ED25519))


def sign(key, digest, data):
    algorithm = DIGESTS[digest][3]()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), algorithm)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(algorithm))
    return key.sign(data)


def _digest_identifier(digest):
    return der.seq(der.oid(DIGESTS[digest][0]), der.null())


def _mgf1(digest):
    return der.seq(der.oid(OID_MGF1), _digest_identifier(digest))


def pss_algorithm(digest, salt=None):
    """DER AlgorithmIdentifier of RSASSA-PSS; salt None: as long as the digest."""
    salt = DIGESTS[digest][3]().digest_size if salt is None else salt
    return der.seq(der.oid(OID_PSS), der.seq(der.explicit(0, _digest_identifier(digest)),
                                             der.explicit(1, _mgf1(digest)),
                                             der.explicit(2, der.integer(salt))))


def pss_sign(key, digest, data, salt=None):
    algorithm = DIGESTS[digest][3]
    salt = algorithm().digest_size if salt is None else salt
    return key.sign(data, padding.PSS(padding.MGF1(algorithm()), salt), algorithm())


# Content encryption

def _block(cipher, key, iv):
    if cipher == "des":
        return Cipher(algorithms.TripleDES(key * 3), modes.CBC(iv))
    if cipher == "3des":
        return Cipher(algorithms.TripleDES(key), modes.CBC(iv))
    return Cipher(algorithms.AES(key), modes.CBC(iv))


def is_aead(cipher):
    return cipher.endswith("-gcm")


def encrypt(cipher, data):
    """(key, iv, ciphertext, tag): with PKCS#7 padding and no tag, or with a tag of 16 bytes."""
    _, key_len, block_len = CIPHERS[cipher]
    key, iv = os.urandom(key_len), os.urandom(block_len)
    if is_aead(cipher):
        sealed = AESGCM(key).encrypt(iv, data, None)
        return key, iv, sealed[:-16], sealed[-16:]
    padder = block_padding.PKCS7(block_len * 8).padder()
    encryptor = _block(cipher, key, iv).encryptor()
    padded = padder.update(data) + padder.finalize()
    return key, iv, encryptor.update(padded) + encryptor.finalize(), None


def decrypt(cipher, key, iv, data):
    unpadder = block_padding.PKCS7(CIPHERS[cipher][2] * 8).unpadder()
    decryptor = _block(cipher, key, iv).decryptor()
    return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()


def content_algorithm(cipher, iv):
    """DER AlgorithmIdentifier of the content encryption."""
    parameters = der.seq(der.octets(iv), der.integer(16)) if is_aead(cipher) else der.octets(iv)
    return der.seq(der.oid(CIPHERS[cipher][0]), parameters)


# Key transport

def wrap(public_key, transport, session_key):
    """(DER AlgorithmIdentifier, encrypted key)"""
    if transport == "pkcs1":
        return der.seq(der.oid(OID_RSA), der.null()), public_key.encrypt(session_key, padding.PKCS1v15())
    digest = OAEP[transport]
    algorithm = DIGESTS[digest][3]
    parameters = b"" if digest == "sha1" else \
        der.explicit(0, _digest_identifier(digest)) + der.explicit(1, _mgf1(digest))
    oaep = padding.OAEP(padding.MGF1(algorithm()), algorithm(), None)
    return der.seq(der.oid(OID_OAEP), der.seq(parameters)), public_key.encrypt(session_key, oaep)


def unwrap(key, algorithm, wrapped):
    """(transport, session key) of a KeyTransRecipientInfo's AlgorithmIdentifier."""
    if algorithm[0].oid() == OID_RSA:
        return "pkcs1", key.decrypt(wrapped, padding.PKCS1v15())
    if algorithm[0].oid() != OID_OAEP:
        raise ScepError("key transport " + algorithm[0].oid())
    digest = mask = "sha1"
    for node in algorithm[1].children:
        if node.tag == 0xA0:
            digest = DIGEST_BY_OID[node[0][0].oid()]
        elif node.tag == 0xA1:
            mask = DIGEST_BY_OID[node[0][1][0].oid()]
        else:
            raise ScepError("OAEP with a label")
    oaep = padding.OAEP(padding.MGF1(DIGESTS[mask][3]()), DIGESTS[digest][3](), None)
    if digest != mask:
        raise ScepError("OAEP with %s, its mask with %s" % (digest, mask))
    return next(n for n, d in OAEP.items() if d == digest), key.decrypt(wrapped, oaep)


# A password as the recipient (RFC 8894 section 3.1, RFC 3211)

def _cbc(key_cipher, key, iv, data, direction):
    operation = getattr(_block(key_cipher, key, iv), direction)()
    return operation.update(data) + operation.finalize()


def password_wrap(password, session_key, cipher="aes-128-cbc", rounds=2048):
    """DER PasswordRecipientInfo, [3] as in RecipientInfo."""
    _, key_len, block_len = CIPHERS[cipher]
    salt, iv = os.urandom(16), os.urandom(block_len)
    kek = hashlib.pbkdf2_hmac("sha1", password, salt, rounds, key_len)
    block = bytes([len(session_key)]) + bytes(b ^ 0xFF for b in session_key[:3]) + session_key
    block += os.urandom(max(2 * block_len - len(block), -len(block) % block_len))
    once = _cbc(cipher, kek, iv, block, "encryptor")
    twice = _cbc(cipher, kek, once[-block_len:], once, "encryptor")
    derivation = der.implicit_seq(0, der.oid(OID_PBKDF2), der.seq(der.octets(salt), der.integer(rounds)))
    algorithm = der.seq(der.oid(OID_PWRI_KEK), der.seq(der.oid(CIPHERS[cipher][0]), der.octets(iv)))
    return der.implicit_seq(3, der.integer(0), derivation, algorithm, der.octets(twice))


def _pbkdf2(algorithm, password, length):
    if algorithm[0].oid() != OID_PBKDF2:
        raise ScepError("the password's key is derived by " + algorithm[0].oid())
    fields = algorithm[1].children
    salt, rounds, digest = fields[0].octets(), fields[1].integer(), "sha1"
    for node in fields[2:]:
        if node.tag == der.SEQUENCE:
            digest = _HMAC_BY_OID[node[0].oid()]
    return hashlib.pbkdf2_hmac(digest, password, salt, rounds, length)


def password_unwrap(password, info):
    """The session key in a PasswordRecipientInfo."""
    derivation = info.find(0xA0)
    algorithm, wrapped = info[len(info) - 2], info[len(info) - 1].octets()
    if derivation is None or algorithm[0].oid() != OID_PWRI_KEK:
        raise ScepError("no PasswordRecipientInfo of RFC 3211")
    cipher, iv = CIPHER_BY_OID[algorithm[1][0].oid()], algorithm[1][1].octets()
    _, key_len, size = CIPHERS[cipher]
    kek = _pbkdf2(derivation, password, key_len)
    last = _cbc(cipher, kek, wrapped[-2 * size:-size], wrapped[-size:], "decryptor")
    once = _cbc(cipher, kek, last, wrapped[:-size], "decryptor") + last
    block = _cbc(cipher, kek, iv, once, "decryptor")
    key = block[4:4 + block[0]]
    if len(key) != block[0] or bytes(b ^ 0xFF for b in key[:3]) != block[1:4]:
        raise ScepError("the challenge does not open the reply")
    return key
