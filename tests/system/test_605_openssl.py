# SPDX-License-Identifier: Apache-2.0
"""openssl verifies, decrypts and prints every kind of reply: a reader that knows nothing of mod_scep."""
import datetime
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import approval
import conf
import env
import habits
import pki
import scep_client as scep
from test_600_clients import run


@pytest.fixture(scope="module")
def server(module_factory):
    """With a CRL, a next CA, and approval for one template."""
    made = pki.make()
    files = pki.Pki(env.folder("extra"))
    files.folder.chmod(0o755)
    now = datetime.datetime.utcnow()
    crl = x509.CertificateRevocationListBuilder().issuer_name(made.load("ca.pem").subject).last_update(
        now - datetime.timedelta(days=1)).next_update(now + datetime.timedelta(days=9)).add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(4711).revocation_date(now).build()).sign(
                pki.key("ca-root"), hashes.SHA256())
    following = pki.certificate("Test CA 2", pki.key("ca-next"), ca=True, usage=pki.SELF_USAGE, days=7300)
    service = conf.Service(made).add(
        "ScepCRLFile " + files.write("ca.crl", crl.public_bytes(serialization.Encoding.PEM), 0o644),
        "ScepNextCAChain " + files.write("next.pem", pki.pem_of(following), 0o644),
        "ScepLocalTemplate Watched validity=1d", "ScepTemplate encryption Watched", "ScepApproval manual Watched")
    started = module_factory.httpd([service], locations=[approval.LOCATION]).start()
    started.next_ca = following
    return started


def pem(certificate):
    return x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)


class Reader:
    """openssl with the files of one exchange."""

    def __init__(self, client, spec=None):
        self.folder = env.folder("openssl")
        self.path("ra.pem").write_bytes(pem(client.signer))
        self.path("ca.pem").write_bytes(pem(client.ca()))
        if spec is not None:
            self.path("signer.pem").write_bytes(pem(spec.signer_cert))
            self.path("signer.key").write_bytes(pki.pem(spec.signer_key))

    def path(self, name):
        return self.folder / name

    def cms(self, *words):
        return run("openssl", "cms", "-inform", "DER", "-binary", *words)

    def verify(self, body, signer="ra.pem"):
        """The signed content, the signer's certificate known beforehand and its chain verified."""
        self.path("reply.der").write_bytes(body)
        run("openssl", "asn1parse", "-inform", "DER", "-in", self.path("reply.der"))
        self.cms("-cmsout", "-print", "-noout", "-in", self.path("reply.der"))
        self.cms("-verify", "-in", self.path("reply.der"), "-certfile", self.path(signer), "-nointern",
                 "-CAfile", self.path("ca.pem"), "-purpose", "any", "-out", self.path("content.der"))
        return self.path("content.der").read_bytes()

    def decrypt(self, *words):
        """What the envelope held."""
        self.cms("-decrypt", "-in", self.path("content.der"), *words, "-out", self.path("inner.p7"))
        return self.printed(self.path("inner.p7").read_bytes())

    def by_key(self):
        return self.decrypt("-recip", self.path("signer.pem"), "-inkey", self.path("signer.key"))

    def printed(self, data):
        """openssl's list of what a degenerate SignedData holds."""
        self.path("certs.p7").write_bytes(data)
        run("openssl", "asn1parse", "-inform", "DER", "-in", self.path("certs.p7"))
        return run("openssl", "pkcs7", "-inform", "DER", "-in", self.path("certs.p7"), "-print_certs",
                   "-text").stdout.decode()


@pytest.mark.conformance("8894-22", "8894-38", "8894-42", "field-6")
@pytest.mark.parametrize("fields", [
    dict(), dict(cipher="3des", digest="sha1"), dict(cipher="aes-256-gcm", digest="sha512"),
    dict(transport="oaep"), dict(transport="oaep-sha256", cipher="aes-128-gcm"), dict(signature="pss")],
    ids=lambda f: ",".join(f.values()) or "default")
def test_success(server, keys, fields):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge(), subject="CN=read by openssl", **fields)
    reader = Reader(client, spec)
    reader.verify(client.send(spec.build()).body)
    assert re.search(r"Subject: ?CN ?= ?read by openssl", reader.by_key())


@pytest.mark.conformance("8894-17")
@pytest.mark.parametrize("kind", ["ec", "ec384", "ec521"])
@pytest.mark.parametrize("cipher", ["aes-128-cbc", "aes-256-cbc", "aes-256-gcm"])
def test_success_by_password(server, kind, cipher):
    """An EC key decrypts nothing: the challenge does."""
    client = server.client()
    challenge = server.challenge()
    spec = client.spec(key=pki.key("device-" + kind, kind), challenge=challenge, subject="CN=elliptic",
                       cipher=cipher)
    response = client.send(spec.build())
    reply = client.reply(response, spec)
    assert (reply.status, reply.transport, reply.cipher) == (scep.SUCCESS, "pwri", cipher)
    reader = Reader(client, spec)
    assert challenge.encode() not in reader.verify(response.body)
    assert re.search(r"Subject: ?CN ?= ?elliptic", reader.decrypt("-pwri_password", challenge))


@pytest.mark.conformance("8894-17", "8894-28")
def test_no_password_no_reply(server, keys):
    """A renewal with an EC key brings no challenge: badAlg, nothing in the clear."""
    client = server.client()
    key = pki.key("device-ec", "ec")
    old = client.enroll(key, server.challenge(), subject="CN=elliptic renewal").leaf
    reply = client.renew(key, pki.der_of(old), key)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_ALG) and not reply.content
    # its successor with an RSA key cannot be sent to it either: the signer receives
    reply = client.renew(keys[0], pki.der_of(old), key)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_ALG)


@pytest.mark.conformance("8894-15", "8894-34")
def test_failure(server, keys):
    client = server.client()
    spec = client.spec(key=keys[0], challenge="wrong")
    assert Reader(client).verify(client.send(spec.build()).body) == b""


@pytest.mark.conformance("8894-15", "8894-35", "8894-31", "sscep-4", "sscep-5")
def test_pending_and_polls(server, keys):
    client = server.client()
    spec = habits.sscep(client, keys[0], server.challenge(), subject="CN=watched",
                        extensions=[scep.key_usage_extension(0x20)])
    assert Reader(client).verify(client.send(spec.build()).body) == b""
    poll = client.poll_spec(spec)
    response = client.send(poll.build())
    assert client.reply(response, poll).status == scep.PENDING
    assert Reader(client).verify(response.body) == b""
    assert approval.decide(server, spec.txid) == 200
    poll = client.poll_spec(spec)
    reader = Reader(client, poll)
    reader.verify(client.send(poll.build()).body)
    assert re.search(r"Subject: ?CN ?= ?watched", reader.by_key())


@pytest.mark.conformance("8894-33", "8894-38", "8894-50", "sscep-1")
def test_get_cert_and_get_crl(server, keys):
    client = server.client()
    leaf = client.enroll(keys[0], server.challenge(), subject="CN=fetched again").leaf
    certificate = pki.der_of(leaf)
    for kind, wanted in ((scep.GET_CERT, r"Subject: ?CN ?= ?fetched again"),
                         (scep.GET_CRL, r"Serial Number: ?1267")):
        spec = client.spec(key=keys[0], signer_cert=certificate, message_type=kind, txid="SSCEP transactionId",
                           data=scep.issuer_and_serial(certificate), digest="sha512")
        response = client.send(spec.build(), headers=())
        assert client.reply(response, spec).status == scep.SUCCESS
        reader = Reader(client, spec)
        reader.verify(response.body)
        assert re.search(wanted, reader.by_key())


@pytest.mark.conformance("8894-37")
def test_get_cert_and_get_crl_are_off(factory, keys):
    server = factory.httpd([conf.Service(pki.make()).add("ScepGetCert off", "ScepGetCRL off")]).start()
    client = server.client()
    certificate = pki.der_of(client.enroll(keys[0], server.challenge()).leaf)
    for reply in (client.get_cert(certificate, keys[0], signer_cert=certificate),
                  client.get_crl(keys[0], signer_cert=certificate)):
        assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)


@pytest.mark.conformance("8894-38", "8894-46", "8894-51")
def test_get_ca_cert_and_next(server):
    client = server.client()
    text = Reader(client.cacert() and client).printed(client.get("GetCACert").body)
    for name in ("Test CA", "Test RA signing", "Test RA encryption"):
        assert re.search(r"Subject: ?CN ?= ?%s\n" % name, text)
    assert "GetNextCACert" in client.caps()
    reader = Reader(client)
    inner = reader.verify(client.get("GetNextCACert").body, "ca.pem")
    assert re.search(r"Subject: ?CN ?= ?Test CA 2", reader.printed(inner))
    assert client.next_ca() == [pki.der_of(server.next_ca)]
