# SPDX-License-Identifier: Apache-2.0
"""Apple's clients: what SecSCEP.c compares, chooses and sends."""
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import ExtendedKeyUsageOID

import approval
import conf
import der
import env
import habits
import pki
import scep_client as scep


@pytest.fixture(scope="module", params=["root", "intermediate", "one certificate", "no RA"])
def server(request, module_factory):
    made = pki.make("intermediate" if request.param == "intermediate" else "root")
    service = conf.Service(made, ra=request.param in ("root", "intermediate"))
    if request.param == "one certificate":
        both = pki.certificate("Test RA", pki.key("ra-sign"), made.load("ca.pem"), pki.key("ca-root"),
                               usage=("digital_signature", "key_encipherment"))
        path = pki.Pki(env.folder("ra")).write("ra.pem", pki.pem_of(both), 0o644)
        service.add("ScepRASigningCertificate %s %s" % (path, made.path("ra-sign.key")),
                    "ScepRAEncryptionCertificate %s %s" % (path, made.path("ra-sign.key")))
    started = module_factory.httpd([service]).start()
    started.kind = request.param
    return started


def bundle(server):
    """(certificates of GetCACert, the type) as Apple takes them: the type is compared as one string."""
    response = server.client().get("GetCACert", "ProfileName")
    kind = response.header("Content-Type")
    assert kind in ("application/x-x509-ca-cert", "application/x-x509-ca-ra-cert")
    found = [response.body] if kind == "application/x-x509-ca-cert" else \
        scep.degenerate_certificates(response.body)
    return [x509.load_der_x509_certificate(one) for one in found], kind


def top(certificate, certificates):
    """The end of the chain inside the bundle, each link verified."""
    for _ in range(len(certificates) + 1):
        if certificate.issuer == certificate.subject:
            return certificate
        issuer = next(c for c in certificates if c.subject == certificate.issuer and c != certificate)
        issuer.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(),
                                   certificate.signature_hash_algorithm)
        certificate = issuer
    raise AssertionError("a circle")


def usage(certificate):
    return certificate.extensions.get_extension_for_class(x509.KeyUsage).value


def is_ca(certificate):
    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.conformance("8894-1", "apple-2", "apple-3", "jscep-3")
def test_bundle(server):
    certificates, _ = bundle(server)
    tops = {top(certificate, certificates) for certificate in certificates}
    assert len(tops) == 1
    anchors = {hashlib.sha1(pki.der_of(c)).hexdigest() for c in certificates}
    root = tops.pop()
    assert hashlib.sha1(pki.der_of(root)).hexdigest() in anchors
    candidates = [c for c in certificates if not is_ca(c)]
    if server.kind == "no RA":
        assert not candidates and usage(root).digital_signature and usage(root).key_encipherment
    elif server.kind == "one certificate":
        assert len(candidates) == 1
        assert usage(candidates[0]).digital_signature and usage(candidates[0]).key_encipherment
    else:
        assert [(usage(c).digital_signature, usage(c).key_encipherment) for c in candidates].count(
            (True, False)) == 1
        assert [(usage(c).digital_signature, usage(c).key_encipherment) for c in candidates].count(
            (False, True)) == 1
        assert len(candidates) == 2


@pytest.mark.conformance("apple-5")
def test_capabilities_are_lines(server):
    """Split at LF, each compared as it is."""
    words = server.client().get("GetCACaps", "ProfileName").body.split(b"\n")
    for word in (b"DES3", b"SHA-1", b"SHA-256", b"POSTPKIOperation", b"AES", b"Renewal"):
        assert word in words


@pytest.mark.conformance("apple-4", "apple-6", "apple-7", "apple-13")
@pytest.mark.parametrize("nonce", [16, 8])
def test_enrolls(server, keys, nonce):
    client = server.client()
    spec = habits.apple(client, keys[0], server.challenge(), sender_nonce=bytes(range(nonce)))
    reply = client.transact(spec)
    assert reply.status == scep.SUCCESS
    assert reply.recipient_nonce == bytes(range(nonce))
    signers = [c for c in bundle(server)[0] if usage(c).digital_signature and (
        server.kind == "no RA" or not is_ca(c))]
    assert reply.sid == scep.issuer_and_serial(pki.der_of(signers[0])) and len(signers) == 1
    purposes = reply.leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.CLIENT_AUTH in purposes


@pytest.mark.conformance("apple-9")
def test_get_with_plus_as_space(server, keys):
    """iOS 11; macOS escapes = only."""
    client = server.client()
    for number in range(60):
        spec = habits.apple(client, keys[0], server.challenge(), subject="CN=iPhone %d" % number)
        text = scep.base64.b64encode(spec.build()).decode()
        if "+" in text and "=" in text:
            break
    for form in (text.replace("+", "%20").replace("=", "%3D"), text.replace("=", "%3D")):
        assert client.reply(client.get("PKIOperation", form), spec).status == scep.SUCCESS


@pytest.mark.conformance("apple-10", "8894-59")
def test_post_by_http10_with_ber(server, keys):
    client = server.client()
    spec = habits.apple(client, keys[0], server.challenge(), ber="indefinite")
    body = spec.build()
    response = client.http.raw(("POST %s?operation=PKIOperation HTTP/1.0\r\nContent-Type: "
                                "application/x-pki-message\r\nContent-Length: %d\r\n\r\n" % (
                                    client.path, len(body))).encode() + body, "POST")
    assert client.reply(response, spec).status == scep.SUCCESS


@pytest.mark.conformance("8894-22", "8894-23", "8894-26", "apple-11")
def test_status_is_one_printable_string(server, keys):
    client = server.client()
    for challenge, status in ((server.challenge(), scep.SUCCESS), ("wrong", scep.FAILURE)):
        reply = client.transact(habits.apple(client, keys[0], challenge))
        for dotted in (scep.OID_STATUS, scep.OID_FAIL_INFO, scep.OID_MESSAGE_TYPE, scep.OID_TXID):
            if dotted in reply.attributes:
                assert reply.attributes[dotted].tag == der.PRINTABLE
        assert (reply.status, scep.OID_FAIL_INFO in reply.attributes) == (status, status == scep.FAILURE)


@pytest.mark.conformance("apple-8", "8894-9", "8894-11", "8894-5")
@pytest.mark.parametrize("again", [False, True], ids=["without challenge", "with the old challenge"])
def test_renews_with_the_old_identity(server, keys, again):
    """A PKCSReq signed with the certificate in use, for a new key."""
    client = server.client()
    challenge = server.challenge()
    old = client.transact(habits.apple(client, keys[0], challenge, subject="CN=iPad")).leaf
    spec = habits.apple(client, keys[1], challenge if again else None, subject="CN=iPad", signer_key=keys[0],
                        signer_cert=pki.der_of(old))
    reply = client.transact(spec)
    assert reply.status == scep.SUCCESS and reply.leaf.serial_number != old.serial_number
    assert "renews=%X" % old.serial_number in server.transaction_line(spec.txid).replace("renews=0", "renews=")


@pytest.mark.conformance("apple-12", "8894-8", "8894-35")
def test_three_polls(factory, keys):
    """After PENDING there are three polls; an approval before the last one arrives, the transactionID stays."""
    service = conf.Service(pki.make()).add("ScepApproval manual", "ScepPollInterval 1s")
    server = factory.httpd([service], locations=[approval.LOCATION]).start()
    client = server.client()
    spec = habits.apple(client, keys[0], server.challenge(), subject="CN=iPhone")
    assert client.transact(spec).status == scep.PENDING
    assert [client.poll(spec).status for _ in range(2)] == [scep.PENDING] * 2
    assert approval.decide(server, spec.txid) == 200
    reply = client.poll(spec)
    assert reply.status == scep.SUCCESS and reply.transaction_id == spec.txid
