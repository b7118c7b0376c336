# SPDX-License-Identifier: Apache-2.0
"""Renewal: a certificate of ours asks for the next one, without a challenge (RFC 8894 section 2.5)."""
import concurrent.futures

import pytest
from cryptography import x509

import conf
import env
import pki
import scep_client as scep

SAN = [scep.san_extension(["renewing.example"])]
PKCS_REQ, RENEWAL_REQ = "19", "17"


def issued(server, key, subject="CN=renewing,O=Example", **fields):
    """A certificate in use, as DER."""
    reply = server.enroll(key, subject=subject, extensions=fields.pop("extensions", SAN), **fields)
    return pki.der_of(reply.leaf)


def in_use(key, days=30, since=-100, issuer=None, issuer_key=None, subject="own-made"):
    """A certificate by hand, with any validity; issuer None: the server's CA."""
    return pki.der_of(pki.certificate(subject, key, issuer or pki.make().load("ca.pem"),
                                      issuer_key or pki.key("ca-root"), days=days, since=since,
                                      usage=("digital_signature",)))


def service(*lines, **how):
    return conf.Service(pki.make(), **how).add(*lines)


def refused(reply, fail_info=scep.BAD_REQUEST):
    assert (reply.status, reply.fail_info) == (scep.FAILURE, fail_info)
    assert reply.fail_text
    return reply


@pytest.mark.smoke
@pytest.mark.parametrize("message_type", [RENEWAL_REQ, PKCS_REQ])
@pytest.mark.parametrize("new_key", [True, False], ids=["new-key", "same-key"])
@pytest.mark.conformance("8894-9", "8894-11", "8894-57", "apple-8", "cisco-6", "8894-5")
def test_renews_without_challenge(server, keys, message_type, new_key):
    old = issued(server, keys[0])
    client = server.client()
    spec = client.renewal_spec(keys[1] if new_key else keys[0], old, keys[0], message_type=message_type)
    reply = client.transact(spec)
    assert reply.status == scep.SUCCESS
    before = x509.load_der_x509_certificate(old)
    assert reply.leaf.subject == before.subject
    assert reply.leaf.serial_number != before.serial_number
    assert reply.leaf.not_valid_after >= before.not_valid_after
    assert "renews=" in server.transaction_line(spec.txid)
    again = client.transact(client.renewal_spec(keys[1] if new_key else keys[0], old, keys[0],
                                                message_type=message_type, txid=spec.txid, csr=spec.csr))
    assert again.leaf == reply.leaf
    assert again.sender_nonce != reply.sender_nonce


def test_raced_renewals_are_one(server, keys):
    """The same message at once from many connections: one certificate."""
    old = issued(server, keys[0])
    spec = server.client().renewal_spec(keys[1], old, keys[0])
    message = spec.build()

    def send(_):
        client = server.client()
        client.cacert()
        return client.reply(client.send(message), spec).leaf.serial_number

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(send, range(16)))) == 1


def test_chain_of_renewals(server, keys):
    certificate, key = issued(server, keys[0]), keys[0]
    for number in (1, 2, 3, 1):
        reply = server.client().renew(keys[number], certificate, key)
        assert reply.status == scep.SUCCESS
        certificate, key = pki.der_of(reply.leaf), keys[number]


@pytest.mark.conformance("8894-9", "apple-8")
@pytest.mark.parametrize("message_type", [RENEWAL_REQ, PKCS_REQ])
def test_challenges_in_renewals(server, keys, message_type):
    """Wrong refuses; the old one again, as iOS sends it, does not; a new one is spent."""
    used = server.challenge()
    old = pki.der_of(server.client().enroll(keys[0], used, subject="CN=twice").leaf)
    client = server.client()
    refused(client.renew(keys[1], old, keys[0], challenge="0123456789ABCDEF", message_type=message_type))
    assert client.renew(keys[1], old, keys[0], challenge=used, message_type=message_type).status == scep.SUCCESS
    fresh = server.challenge()
    assert client.renew(keys[2], old, keys[0], challenge=fresh, message_type=message_type).status == scep.SUCCESS
    refused(client.enroll(keys[3], fresh))


@pytest.mark.conformance("8894-6", "8894-10")
def test_strangers(server, keys):
    """Self-signed, another CA's, and one that only says that it is ours."""
    client = server.client()
    other = pki.make("intermediate")
    foreign = in_use(keys[0], issuer=other.load("ca.pem"), issuer_key=pki.key("ca-intermediate"))
    forged = in_use(keys[0], issuer=pki.make().load("ca.pem"), issuer_key=pki.key("stranger"))
    for certificate in (None, foreign, forged):
        fields = dict(key=keys[1], signer_key=keys[0], signer_cert=certificate, subject="CN=own-made")
        refused(client.transact(client.spec(message_type=RENEWAL_REQ, **fields)))
        refused(client.transact(client.spec(message_type=PKCS_REQ, **fields)), scep.BAD_MESSAGE_CHECK)
        fields["challenge"] = server.challenge()
        refused(client.transact(client.spec(message_type=RENEWAL_REQ, **fields)))
        refused(client.transact(client.spec(message_type=PKCS_REQ, **fields)), scep.BAD_MESSAGE_CHECK)
    ca = server.services[0].pki
    fields = dict(key=keys[1], signer_key=pki.key("ca-root"), signer_cert=pki.der_of(ca.load("ca.pem")))
    refused(client.transact(client.spec(message_type=RENEWAL_REQ, **fields)))


@pytest.mark.conformance("8894-57")
def test_signature_by_another_key(server, keys):
    """The certificate is ours, the signature is not by its key."""
    old = issued(server, keys[0])
    client = server.client()
    response = client.send(client.renewal_spec(keys[1], old, keys[2]).build())
    assert response.status == 400


@pytest.mark.parametrize("fields, reason", [
    (dict(subject="CN=somebody else,O=Example"), "renewal-subject"),
    (dict(subject="CN=renewing,O=Example,OU=Admins"), "renewal-subject"),
    (dict(extensions=[scep.san_extension(["renewing.example", "vpn.example"])]), "renewal-subject"),
    (dict(extensions=[scep.san_extension(["other.example"])]), "renewal-subject")],
    ids=["subject", "more subject", "more names", "other name"])
def test_names_stay(server, keys, fields, reason):
    old = issued(server, keys[0])
    client = server.client()
    spec = client.renewal_spec(keys[1], old, keys[0], **fields)
    refused(client.transact(spec))
    assert reason in server.transaction_line(spec.txid)


def test_fewer_names(server, keys):
    old = issued(server, keys[0], extensions=[scep.san_extension(["a.example", "b.example"])])
    for wanted in ([], [scep.san_extension(["b.example"])]):
        assert server.client().renew(keys[1], old, keys[0], extensions=wanted).status == scep.SUCCESS


def test_names_may_change_by_configuration(factory, keys):
    server = factory.httpd([service("ScepRenewalSameSubject off")]).start()
    reply = server.client().renew(keys[1], issued(server, keys[0]), keys[0], subject="CN=new name",
                                  extensions=[scep.san_extension(["new.example"])])
    assert reply.leaf.subject.rfc4514_string() == "CN=new name"


def test_window_grace_and_key(factory, keys):
    server = factory.httpd([
        service("ScepRenewalWindow 30d", path="/window", name="window"),
        service("ScepRenewalGrace 10d", path="/grace", name="grace"),
        service("ScepRenewalKey new", path="/new", name="new"),
        service("ScepRenewalKey same", path="/same", name="same"),
        service("ScepRenewal off", path="/off", name="off")]).start()

    def renew(number, certificate, key=keys[1], **fields):
        client = server.client(number)
        spec = client.renewal_spec(key, certificate, keys[0], **fields)
        reply = client.transact(spec)
        return reply, server.transaction_line(spec.txid)

    reply, line = renew(0, in_use(keys[0], days=40))
    refused(reply)
    assert "renewal-early" in line
    assert renew(0, in_use(keys[0], days=20))[0].status == scep.SUCCESS
    # too early, but with a challenge: as any other request
    assert renew(0, in_use(keys[0], days=40), message_type=PKCS_REQ,
                 challenge=server.challenge(0))[0].status == scep.SUCCESS
    assert renew(1, in_use(keys[0], days=-5))[0].status == scep.SUCCESS
    reply, line = renew(1, in_use(keys[0], days=-11))
    refused(reply)
    assert "signer-expired" in line
    refused(renew(0, in_use(keys[0], days=-1))[0])
    refused(renew(2, in_use(keys[0]), keys[0])[0])
    assert renew(2, in_use(keys[0]))[0].status == scep.SUCCESS
    refused(renew(3, in_use(keys[0]))[0])
    assert renew(3, in_use(keys[0]), keys[0])[0].status == scep.SUCCESS
    for message_type in (PKCS_REQ, RENEWAL_REQ):
        reply, line = renew(4, in_use(keys[0]), message_type=message_type)
        refused(reply)
        assert "renewal-off" in line


@pytest.mark.conformance("8894-6")
def test_foreign_ca(factory, keys):
    """Only where a directive names it."""
    other = pki.make("intermediate")
    mine = dict(issuer=other.load("ca.pem"), issuer_key=pki.key("ca-intermediate"))
    file = env.folder("foreign") / "old-ca.pem"
    file.write_bytes(pki.pem_of(other.load("ca.pem")))
    server = factory.httpd([service("ScepRenewalCAFile %s" % file)])
    server.log.expect("ScepRenewalCAFile")
    server.start()
    assert server.client().renew(keys[1], in_use(keys[0], **mine), keys[0]).status == scep.SUCCESS
    refused(server.client().renew(keys[1], in_use(keys[0], days=-1, **mine), keys[0]))


def test_the_ras_own_certificates(server, keys):
    """SCEP does not renew them."""
    authority = server.services[0].pki
    client = server.client()
    for role in ("sign", "enc"):
        certificate = pki.der_of(authority.load("ra-%s.pem" % role))
        spec = client.renewal_spec(keys[1], certificate, pki.key("ra-" + role))
        refused(client.transact(spec))
        assert "renewal-ra" in server.transaction_line(spec.txid)


def test_a_challenge_that_the_store_has_forgotten(server, keys):
    """A year later the device sends its first challenge again; a young certificate's must be known."""
    client = server.client()
    fields = dict(challenge="0123456789ABCDEF")
    assert client.renew(keys[1], in_use(keys[0], since=-8), keys[0], **fields).status == scep.SUCCESS
    refused(client.renew(keys[1], in_use(keys[0], since=-6), keys[0], **fields))


def test_weak_key_in_use(factory):
    """A key that the template would not take allows nothing."""
    server = factory.httpd([service("ScepLocalTemplate Strong minimumKey=3072",
                                    "ScepTemplate general Strong")]).start()
    client = server.client()
    strong = pki.key("strong", "rsa3072")
    spec = client.renewal_spec(strong, in_use(pki.key("device0")), pki.key("device0"))
    refused(client.transact(spec))
    assert client.renew(strong, in_use(strong), strong).status == scep.SUCCESS
