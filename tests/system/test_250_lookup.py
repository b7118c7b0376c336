# SPDX-License-Identifier: Apache-2.0
"""GetCert, GetCRL and what a revocation list does, with lists made by python-cryptography and openssl."""
import datetime
import os
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import conf
import der
import env
import pki
import scep_client as scep
from test_300_stores import store_lines

SSCEP_TXID = "SSCEP transactionId"


def make_crl(authority, key, revoked=(), days=1, since=-1, reason=None, encoding=serialization.Encoding.PEM):
    """A CRL of a CA certificate; revoked: serial numbers."""
    now = datetime.datetime.utcnow().replace(microsecond=0)
    builder = (x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
               .last_update(now + datetime.timedelta(days=since))
               .next_update(now + datetime.timedelta(days=days))
               .add_extension(x509.CRLNumber(7), False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False))
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
        if reason:
            entry = entry.add_extension(x509.CRLReason(reason), False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA256()).public_bytes(encoding)


class Crl:
    """ScepCRLFile of a service, replaced as careful people do."""

    def __init__(self):
        self.pki = pki.make()
        self.authority = self.pki.load("ca.pem")
        self.key = pki.key("ca-root")
        folder = env.folder("crl")
        folder.chmod(0o755)
        self.path = folder / "ca.crl"
        self.replace()

    def write(self, data):
        new = self.path.with_suffix(".new")
        new.write_bytes(data)
        new.chmod(0o644)
        new.rename(self.path)
        return data

    def replace(self, *revoked, **how):
        return self.write(make_crl(self.authority, self.key, revoked, **how))

    def service(self, **how):
        return conf.Service(self.pki, **how).add("ScepCRLFile %s" % self.path)


@pytest.fixture(scope="module")
def crl():
    return Crl()


@pytest.fixture(scope="module")
def world(module_factory, crl):
    """A server with a CRL, and one device's certificate."""
    server = module_factory.httpd([crl.service()]).start()
    crl.server = server
    return server


@pytest.fixture
def fresh(world, crl):
    """The server with a CRL that revokes nothing."""
    crl.replace()
    return world


def issued(server, key, **fields):
    return pki.der_of(server.enroll(key, **fields).leaf)


@pytest.mark.smoke
@pytest.mark.conformance("8894-33", "8894-50", "8894-19")
def test_get_cert(fresh, keys):
    """By its own key, and by another certificate in use of the same CA."""
    certificate, other = issued(fresh, keys[0], subject="CN=first"), issued(fresh, keys[1], subject="CN=second")
    client = fresh.client()
    reply = client.get_cert(certificate, keys[0])
    assert reply.status == scep.SUCCESS and reply.issued == [certificate]
    reply = client.get_cert(certificate, keys[1], signer_cert=other)
    assert reply.status == scep.SUCCESS and reply.issued == [certificate]
    assert client.get_cert(certificate, keys[0], cipher="aes-256-cbc", digest="sha512").issued == [certificate]


@pytest.mark.conformance("8894-33")
def test_get_cert_of_the_ca(fresh, keys):
    client = fresh.client()
    assert client.get_cert(client.ca(), keys[2]).issued == [client.ca()]


@pytest.mark.conformance("8894-28", "8894-50")
def test_get_cert_tells_strangers_nothing(fresh, keys):
    """What is not theirs looks like what is not there."""
    certificate = issued(fresh, keys[0])
    client = fresh.client()
    replies = {
        "another's": client.get_cert(certificate, keys[3]),
        "not there": client.get_cert(0x1234567890, keys[3]),
        "no number": client.get_cert(1 << 600, keys[3]),
        "another CA's": client.get_cert(scep.self_signed(keys[3]), keys[3]),
        "the CA's name": client.get_cert(certificate, keys[3], signer_cert=scep.self_signed(
            keys[3], issuer="CN=Test CA", serial=77)),
    }
    for what, reply in replies.items():
        assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_CERT_ID), what
    assert len({(reply.fail_text, reply.hresult) for reply in replies.values()}) == 1


@pytest.mark.smoke
@pytest.mark.conformance("8894-33", "8894-38", "8894-50")
def test_get_crl(fresh, crl, keys):
    data = crl.replace(4711)
    reply = fresh.client().get_crl(keys[0])
    assert reply.status == scep.SUCCESS
    assert reply.crl.public_bytes(serialization.Encoding.PEM) == data
    assert reply.crl.get_revoked_certificate_by_serial_number(4711) is not None
    assert reply.crl.is_signature_valid(crl.authority.public_key())


@pytest.mark.conformance("sscep-1", "8894-24", "8894-31")
def test_shape_of_sscep(fresh, keys):
    certificate = issued(fresh, keys[0], subject="CN=router")
    client = fresh.client()
    how = dict(txid=SSCEP_TXID, signer_cert=certificate, digest="sha512")
    for reply in (client.get_cert(certificate, keys[0], **how), client.get_crl(keys[0], certificate, **how)):
        assert (reply.status, reply.transaction_id) == (scep.SUCCESS, SSCEP_TXID)
    # the older reading: the CA's own certificate names the CA
    assert client.get_crl(keys[0], client.ca(), txid=SSCEP_TXID).status == scep.SUCCESS


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("ber", [None, "indefinite"])
def test_methods_and_encodings(fresh, keys, method, ber):
    client = fresh.client()
    spec = client.spec(key=keys[0], message_type=scep.GET_CRL, data=scep.names_and_serial(client.ca(), 1), ber=ber)
    assert client.transact(spec, method=method).crl is not None


CONTENTS = {
    "nothing": lambda good: b"",
    "cut": lambda good: good[:-1],
    "trailing byte": lambda good: good + b"\0",
    "twice": lambda good: good + good,
    "a name": lambda good: der.parse(good)[0].raw,
    "a CSR": lambda good: scep.make_csr(pki.key("device0")),
    "serial as text": lambda good: der.seq(der.parse(good)[0].raw, der.string("17")),
    "third member": lambda good: der.seq(der.parse(good)[0].raw, der.parse(good)[1].raw, der.integer(1)),
    "a megabyte of zeros": lambda good: bytes(1 << 15),
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("message_type", [scep.GET_CERT, scep.GET_CRL])
@pytest.mark.conformance("8894-19")
def test_bad_content(fresh, keys, message_type, content):
    client = fresh.client()
    data = CONTENTS[content](scep.names_and_serial(client.ca(), 1))
    reply = client.transact(client.spec(key=keys[0], message_type=message_type, data=data))
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)


@pytest.mark.conformance("8894-15")
def test_without_envelope(fresh, keys):
    client = fresh.client()
    for message_type in (scep.GET_CERT, scep.GET_CRL):
        reply = client.transact(client.spec(key=keys[0], message_type=message_type, data=False))
        assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)


@pytest.mark.conformance("8894-37")
def test_switched_off(factory, crl, keys):
    crl.replace()
    off = [crl.service(name="one").add("ScepGetCert off"),
           crl.service(name="two", path="/two").add("ScepGetCRL off"),
           conf.Service(crl.pki, "three", "/three").set(
               "ScepCABackend", "local certificate=%s key=%s crlLifetime=off" % (
                   crl.pki.path("ca.pem"), crl.pki.path("ca.key")))]
    server = factory.httpd(off).start()
    one, two, three = (server.client(number) for number in range(3))
    refused = {"GetCert": one.get_cert(one.ca(), keys[0]), "GetCRL": two.get_crl(keys[0])}
    for what, reply in refused.items():
        assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
        assert what in reply.fail_text
    assert one.get_crl(keys[0]).status == two.get_cert(two.ca(), keys[0]).status == scep.SUCCESS
    # on, but there is no list
    assert three.get_crl(keys[0]).fail_info == scep.BAD_REQUEST
    assert three.get_cert(three.ca(), keys[0]).status == scep.SUCCESS


@pytest.mark.conformance("8894-50")
def test_replaced_without_restart(fresh, crl, keys):
    """Every child sees it at once; also DER, and a file that openssl made."""
    clients = [fresh.client(keep_alive=False) for _ in range(6)]
    for number in (11, 12):
        crl.replace(number, encoding=serialization.Encoding.DER if number == 12 else serialization.Encoding.PEM)
        for client in clients:
            found = client.get_crl(keys[0]).crl
            assert [entry.serial_number for entry in found] == [number]
    folder = env.folder("openssl-ca")
    (folder / "index.txt").write_text("R\t301231235959Z\t240101000000Z,keyCompromise\t0D\tunknown\t/CN=x\n")
    (folder / "crlnumber").write_text("01\n")
    (folder / "ca.cnf").write_text("[ca]\ndefault_ca=c\n[c]\ndatabase=%s/index.txt\ncrlnumber=%s/crlnumber\n"
                                   "default_md=sha256\ndefault_crl_days=1\n" % (folder, folder))
    subprocess.run(["openssl", "ca", "-config", str(folder / "ca.cnf"), "-gencrl", "-cert", crl.pki.path("ca.pem"),
                    "-keyfile", crl.pki.path("ca.key"), "-out", str(folder / "ca.crl")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    crl.write((folder / "ca.crl").read_bytes())
    assert [entry.serial_number for entry in clients[0].get_crl(keys[0]).crl] == [13]


@pytest.mark.conformance("8894-6")
def test_revoked_signer(fresh, crl, keys):
    """Neither renews nor reads what others have; released, it does again."""
    certificate, other = issued(fresh, keys[0], subject="CN=thief"), issued(fresh, keys[1], subject="CN=victim")
    serial = x509.load_der_x509_certificate(certificate).serial_number
    client = fresh.client()
    assert client.get_cert(other, keys[0], signer_cert=certificate).status == scep.SUCCESS
    crl.replace(serial, reason=x509.ReasonFlags.key_compromise)
    assert client.get_cert(other, keys[0], signer_cert=certificate).fail_info == scep.BAD_CERT_ID
    assert client.renew(keys[2], certificate, keys[0]).status == scep.FAILURE
    fresh.log.wait("signer-revoked")
    # a good challenge does not make up for it
    assert client.renew(keys[0], certificate, keys[0], challenge=fresh.challenge(),
                        message_type=scep.PKCS_REQ).status == scep.FAILURE
    crl.replace(serial + 1)
    assert client.get_cert(other, keys[0], signer_cert=certificate).status == scep.SUCCESS


BROKEN = {
    "expired": lambda crl: make_crl(crl.authority, crl.key, days=-1, since=-2),
    "not yet valid": lambda crl: make_crl(crl.authority, crl.key, days=9, since=2),
    "another CA's": lambda crl: make_crl(pki.certificate("Other CA", pki.key("other"), ca=True), pki.key("other")),
    "forged": lambda crl: make_crl(crl.authority, pki.key("other")),
    "cut": lambda crl: make_crl(crl.authority, crl.key)[:200],
    "empty": lambda crl: b"",
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_list(fresh, crl, keys, what):
    """No list at all: 503, said once per child, and a new list heals it.  Enrollment goes on."""
    fresh.log.expect("SCEP0320", "SCEP0321")
    certificate = issued(fresh, keys[0], subject="CN=%s" % what.replace(" ", "-").replace("'", ""))
    client = fresh.client()
    crl.write(BROKEN[what](crl))
    spec = client.spec(key=keys[0], message_type=scep.GET_CRL, data=scep.names_and_serial(client.ca(), 1))
    for _ in range(4):
        response = client.send(spec.build())
        assert response.status == 503 and int(response.header("Retry-After")) > 0
    renewal = client.renewal_spec(keys[1], certificate, keys[0])
    assert client.send(renewal.build()).status == 503
    assert 1 <= len(fresh.log.lines("SCEP032[01]")) <= 4
    assert fresh.enroll(keys[2]).status == scep.SUCCESS
    crl.replace()
    assert client.get_crl(keys[0]).status == scep.SUCCESS


def test_removed_list(fresh, crl, keys):
    fresh.log.expect("SCEP0320")
    client = fresh.client()
    client.cacert()
    os.unlink(crl.path)
    spec = client.spec(key=keys[0], message_type=scep.GET_CRL, data=scep.names_and_serial(client.ca(), 1))
    assert client.send(spec.build()).status == 503
    crl.replace()
    assert client.get_crl(keys[0]).status == scep.SUCCESS


@pytest.mark.parametrize("what", ["another CA's", "forged", "cut", "empty"])
def test_configtest_refuses_it(factory, what):
    own = Crl()
    own.write(BROKEN[what](own))
    code, text = factory.httpd([own.service()]).configtest()[:2]
    assert code != 0 and str(own.path) in text


def test_ca_that_may_not_sign_lists(factory):
    """RFC 5280 section 4.2.1.3: without cRLSign its list is none."""
    own = Crl()
    made = pki.Pki(env.folder("no-crl-sign"))
    made.write("ca.pem", pki.pem_of(pki.certificate(
        "Test CA", own.key, ca=True, days=3650, usage=("key_cert_sign", "digital_signature", "key_encipherment"))))
    service = own.service().set("ScepCAChain", made.path("ca.pem")).set(
        "ScepCABackend", "local certificate=%s key=%s" % (made.path("ca.pem"), own.pki.path("ca.key")))
    code, text = factory.httpd([service]).configtest()[:2]
    assert code != 0 and "ScepCRLFile: CRL %s" % own.path in text, text


@pytest.mark.skipif(not env.ROOT, reason="httpd's children have no other user")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_configtest_warns_of_a_list_that_children_cannot_read(factory, what):
    own = Crl()
    closed = own.path if what == "file" else own.path.parent
    mode = closed.stat().st_mode
    closed.chmod(0o700 if closed.is_dir() else 0o600)
    code, text = factory.httpd([own.service()]).configtest()[:2]
    assert code == 0 and "whose user may not read %s;" % closed in text
    closed.chmod(mode)
    assert "may not read" not in factory.httpd([own.service()]).configtest()[1]


@pytest.mark.conformance("8894-33")
def test_two_hosts_and_redis(factory, keys):
    """The certificate is found on the host that did not issue it."""
    lines = store_lines("tcp", factory.redis(), env.folder("secret"))
    first, second = (factory.httpd([conf.Service(pki.make())], server=lines).start() for _ in range(2))
    certificate = issued(first, keys[0])
    assert second.client().get_cert(certificate, keys[0]).issued == [certificate]
    assert second.client().get_cert(certificate, keys[1]).fail_info == scep.BAD_CERT_ID
