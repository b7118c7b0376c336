# SPDX-License-Identifier: Apache-2.0
"""Every algorithm in and out: ciphers, key transport, signatures, keys that cannot decrypt, weak keys."""
import os
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import conf
import der
import pki
import scep_client as scep
import scep_crypto
import scep_message

CBC = ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "3des"]
GCM = ["aes-128-gcm", "aes-192-gcm", "aes-256-gcm"]
DIGESTS = ["sha1", "sha224", "sha256", "sha384", "sha512"]
CURVES = [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1]


@pytest.fixture(scope="module")
def old(module_factory):
    """A service for devices that know DES and MD5 only."""
    service = conf.Service(pki.make()).add("ScepLegacyAlgorithms 3des sha1 des md5")
    server = module_factory.httpd([service])
    server.expect(r"SCEP\d+.*(DES|des|MD5|md5)")
    return server.start()


def refused(server, spec, reason, fail_info=scep.BAD_ALG):
    """The reply to spec, which must be a refusal for that reason."""
    client = server.client()
    client.cacert()
    reply = client.transact(spec)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, fail_info), reply.fail_text
    assert reply.fail_text and reply.hresult
    assert " reason=%s " % reason in server.transaction_line(spec.txid) + " "
    return reply


# What goes in goes out ---------------------------------------------------------------------------

@pytest.mark.conformance("8894-42")
@pytest.mark.parametrize("cipher", GCM)
def test_gcm(server, keys, cipher):
    reply = server.enroll(keys[0], cipher=cipher)
    assert reply.cipher == cipher
    assert cipher.split("-")[1] in server.transaction_line(reply.transaction_id)


@pytest.mark.conformance("8894-42", "8894-58")
@pytest.mark.parametrize("signature", ["pkcs1", "pss"])
@pytest.mark.parametrize("digest", DIGESTS)
def test_digests(server, keys, digest, signature):
    """The reply has the request's digest; the certificate is signed by SHA-2, always."""
    reply = server.enroll(keys[0], digest=digest, signature=signature, csr_digest=digest)
    assert reply.digest == digest
    assert reply.leaf.signature_hash_algorithm.name in ("sha256", "sha384", "sha512")


@pytest.mark.parametrize("cipher", ["aes-128-cbc", "aes-256-gcm"])
@pytest.mark.parametrize("transport", ["pkcs1", "oaep", "oaep-sha256", "oaep-sha384", "oaep-sha512"])
def test_key_transport(server, keys, transport, cipher):
    reply = server.enroll(keys[0], transport=transport, cipher=cipher)
    assert (reply.transport, reply.cipher) == (transport, cipher)


def test_openssl_opens_gcm_and_oaep(server, keys, tmp_path):
    """The reply is read by somebody else's code too."""
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge(), transport="oaep-sha256", cipher="aes-128-gcm")
    reply = client.transact(spec)
    (tmp_path / "reply").write_bytes(reply.content)
    (tmp_path / "key").write_bytes(pki.pem(keys[0]))
    plain = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-in", str(tmp_path / "reply"),
                            "-inkey", str(tmp_path / "key")], check=True, stdout=subprocess.PIPE).stdout
    assert reply.issued[0] in plain


# What is not taken -------------------------------------------------------------------------------

@pytest.mark.conformance("8894-28")
@pytest.mark.parametrize("spoil", ["tag", "content", "short tag"])
def test_gcm_that_does_not_verify(server, keys, spoil):
    """Looks like any envelope that cannot be opened."""
    client = server.client()

    def envelope(data):
        if spoil == "tag":
            return data[:-1] + bytes([data[-1] ^ 1])
        if spoil == "content":
            return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]
        info = der.parse(data)
        parts = [node.raw for node in info[1][0].children]
        parts[-1] = der.octets(info[1][0].children[-1].octets()[:8])
        return der.seq(info[0].raw, der.explicit(0, der.seq(*parts)))

    spec = client.spec(key=keys[0], challenge=server.challenge(), cipher="aes-128-gcm", edit={"envelope": envelope})
    reply = refused(server, spec, "envelope", scep.BAD_REQUEST)
    garbage = refused(server, client.spec(key=keys[0], challenge=server.challenge(),
                                          edit={"envelope": lambda data: b"\x30\x00"}), "envelope", scep.BAD_REQUEST)
    assert (reply.fail_text, reply.hresult) == (garbage.fail_text, garbage.hresult)


def pss_edit(algorithm):
    return {"signature-algorithm": lambda _: algorithm}


def test_pss_parameters(module_factory, keys):
    """They are judged by their own digests."""
    server = module_factory.httpd([conf.Service(pki.make()).add("ScepLegacyAlgorithms none")]).start()
    client = server.client()
    for name in ("sha1", "md5", "sha512"):
        spec = client.spec(key=keys[0], challenge=server.challenge(), signature="pss",
                           edit=pss_edit(scep_crypto.pss_algorithm(name)))
        refused(server, spec, "message-algorithm")
    for wrong in (scep_crypto.pss_algorithm("sha256", 20), scep_crypto.pss_algorithm("sha256", 222)):
        spec = client.spec(key=keys[0], challenge=server.challenge(), signature="pss", edit=pss_edit(wrong))
        assert client.send(spec.build()).status == 400
    spec = client.spec(key=keys[0], challenge=server.challenge(), signature="pss", digest="sha1")
    refused(server, spec, "message-algorithm")
    assert server.enroll(keys[0], signature="pss", pss_salt=20).digest == "sha256"


@pytest.mark.conformance("8894-17")
def test_envelope_by_challenge_only(server, keys):
    """The server has no challenge in clear to open it with."""
    client = server.client()
    reply = refused(server, client.spec(key=keys[0], challenge=server.challenge(), transport="pwri"), "key-transport")
    assert "RSA" in reply.fail_text


# DES and MD5 -------------------------------------------------------------------------------------

@pytest.mark.conformance("8894-14", "8894-56", "cisco-3")
@pytest.mark.parametrize("fields", [dict(cipher="des"), dict(digest="md5"), dict(csr_digest="md5")],
                         ids=["DES", "MD5", "request by MD5"])
def test_not_without_their_names(server, keys, fields):
    client = server.client()
    reason = "envelope-algorithm" if "cipher" in fields else \
        "message-algorithm" if "digest" in fields else "csr-algorithm"
    refused(server, client.spec(key=keys[0], challenge=server.challenge(), **fields), reason)


@pytest.mark.conformance("8894-14", "cisco-3")
@pytest.mark.parametrize("fields, cipher, digest", [
    (dict(cipher="des"), "3des", "sha256"),
    (dict(digest="md5"), "aes-128-cbc", "sha1"),
    (dict(cipher="des", digest="md5", csr_digest="md5", signer_version=1, signer_digest="md5",
          signer_subject="unstructuredName=router"), "3des", "sha1")], ids=["DES", "MD5", "all, as old Cisco IOS"])
def test_by_their_names(old, keys, fields, cipher, digest):
    """Neither goes out."""
    reply = old.enroll(keys[0], **fields)
    assert (reply.cipher, reply.digest) == (cipher, digest)
    assert reply.leaf.signature_hash_algorithm.name == "sha256"


def test_md5_without_sha1(module_factory, keys):
    service = conf.Service(pki.make()).add("ScepLegacyAlgorithms md5")
    server = module_factory.httpd([service])
    server.expect(r"SCEP\d+.*(MD5|md5)")
    assert server.start().enroll(keys[0], digest="md5").digest == "sha256"


def test_a_graceful_restart_keeps_des(old, keys):
    old.graceful()
    assert old.enroll(keys[1], cipher="des").cipher == "3des"


def test_the_legacy_provider_must_be_there(factory):
    server = factory.httpd([conf.Service(pki.make()).add("ScepLegacyAlgorithms des")])
    os.environ["OPENSSL_MODULES"] = "/nonexistent"
    try:
        code, text = server.configtest()
    finally:
        del os.environ["OPENSSL_MODULES"]
    assert code != 0 and "openssl-provider-legacy" in text and "ScepLegacyAlgorithms" in text


# Keys that cannot decrypt ------------------------------------------------------------------------

@pytest.mark.conformance("8894-17")
@pytest.mark.parametrize("cipher", ["aes-128-cbc", "3des", "aes-256-gcm"])
@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_ec_clients(server, curve, cipher):
    """The challenge opens the answer."""
    key = ec.generate_private_key(curve())
    reply = server.enroll(key, cipher=cipher, digest="sha384", csr_digest="sha256")
    assert (reply.transport, reply.cipher, reply.digest) == ("pwri", cipher, "sha384")
    assert isinstance(reply.leaf.public_key(), ec.EllipticCurvePublicKey)


@pytest.mark.conformance("8894-17")
def test_openssl_opens_by_challenge(server, tmp_path):
    client, challenge = server.client(), server.challenge()
    spec = client.spec(key=ec.generate_private_key(ec.SECP256R1()), challenge=challenge)
    reply = client.transact(spec)
    (tmp_path / "reply").write_bytes(reply.content)
    command = ["openssl", "cms", "-decrypt", "-inform", "DER", "-in", str(tmp_path / "reply"), "-pwri_password"]
    plain = subprocess.run(command + [challenge], check=True, stdout=subprocess.PIPE).stdout
    assert reply.issued[0] in plain
    assert subprocess.run(command + ["0" * 16], check=False, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.conformance("8894-17", "8894-52")
def test_ec_client_asks_again(server):
    client = server.client()
    spec = client.spec(key=ec.generate_private_key(ec.SECP256R1()), challenge=server.challenge())
    first, second = client.transact(spec), client.transact(spec)
    assert first.issued[0] == second.issued[0] and first.content != second.content


@pytest.mark.conformance("8894-17")
def test_ec_client_without_a_challenge(server):
    key = ec.generate_private_key(ec.SECP256R1())
    reply = refused(server, server.client().spec(key=key), "signer-key-type")
    assert "challenge" in reply.fail_text
    assert not reply.content


@pytest.mark.parametrize("digest, reason", [("sha512", "template-key-type"), ("sha256", "message-algorithm")])
def test_ed25519_is_verified(server, digest, reason):
    """With SHA-512 only (RFC 8419 section 3.1); which keys are certified is the template's to say."""
    spec = server.client().spec(key=ed25519.Ed25519PrivateKey.generate(), challenge=server.challenge(), digest=digest)
    refused(server, spec, reason)


def test_ec_ca_behind_an_rsa_ra(module_factory, keys):
    server = module_factory.httpd([conf.Service(pki.make(ca_kind="ec"))]).start()
    assert server.enroll(keys[0]).leaf.signature_algorithm_oid.dotted_string.startswith("1.2.840.10045.4.3.")
    reply = server.enroll(ec.generate_private_key(ec.SECP256R1()))
    assert reply.transport == "pwri"


# Weak keys ---------------------------------------------------------------------------------------

def _next_prime(number):
    number += 2
    while any(number % p == 0 for p in (3, 5, 7, 11, 13, 17, 19)) or pow(2, number - 1, number) != 1:
        number += 2
    return number


def _key(p, q):
    n, e = p * q, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p),
                                 rsa.RSAPublicNumbers(e, n)).private_key()


def test_weak_key(server, keys):
    """Two close primes: anybody can factor them."""
    p = keys[0].private_numbers().p
    client = server.client()
    reply = refused(server, client.spec(key=_key(p, _next_prime(p)), challenge=server.challenge()), "weak-key",
                    scep.BAD_REQUEST)
    assert "close primes" in reply.fail_text


def test_weak_key_says_nothing_before_the_signature_holds(server, keys):
    p = keys[1].private_numbers().p
    key = _key(p, _next_prime(p))
    csr = scep_message.make_csr(key, challenge=server.challenge())
    reply = refused(server, server.client().spec(key=key, csr=csr[:-1] + bytes([csr[-1] ^ 1])), "csr-signature",
                    scep.BAD_REQUEST)
    assert "weak" not in reply.fail_text
