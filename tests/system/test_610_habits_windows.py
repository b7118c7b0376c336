# SPDX-License-Identifier: Apache-2.0
"""Windows' client of the system, alone or under Intune."""
import hashlib
import re
import ssl

import pytest
from cryptography import x509

import conf
import env
import habits
import pki
import scep_client as scep
from http_client import Connection

PATH = "/CertSrv/mscep/mscep.dll/pkiclient.exe"


class Tls12(Connection):
    """A client that knows nothing newer than TLS 1.2."""

    def connect(self):
        if self.socket is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            self.socket = context.wrap_socket(super().connect())
        return self.socket


@pytest.fixture(scope="module")
def server(module_factory):
    """HTTP, and HTTPS in a virtual host."""
    folder = env.folder("tls")
    key = pki.key("tls-client")
    (folder / "server.pem").write_bytes(pki.pem_of(pki.certificate("localhost", key, server=True)) + pki.pem(key))
    made = module_factory.httpd(modules=("socache_shmcb", "ssl"),
                                server=conf.Lines("SSLSessionCache shmcb:cache(65536)"))
    made.tls = env.free_port()
    made.locations.append("Listen 127.0.0.1:%d\n<VirtualHost 127.0.0.1:%d>\nSSLEngine on\nSSLCertificateFile %s\n"
                          "</VirtualHost>\n" % (made.tls, made.tls, folder / "server.pem"))
    return made.start()


@pytest.mark.conformance("8894-43", "windows-1", "windows-2")
@pytest.mark.parametrize("path", [PATH, PATH.upper(), PATH.lower(), "/certsrv/MSCEP/mscep.dll/pkiclient.EXE"])
def test_enrolls(server, keys, path):
    client = server.client()
    for operation in ("GetCACaps", "GetCACert"):
        assert client.get(operation, "default", path=path).status == 200
    reply = client.transact(habits.windows(client, keys[0], server.challenge()), path=path)
    assert reply.status == scep.SUCCESS
    assert reply.leaf.subject.rfc4514_string() == "CN=DESKTOP-1"


@pytest.mark.conformance("windows-2")
def test_self_signature_of_the_signer_is_not_judged(server, keys):
    """Broken on purpose: what counts is the key in it."""
    client = server.client()
    signer = bytearray(habits.windows_signer(keys[0]))
    signer[-5] ^= 1
    spec = habits.windows(client, keys[0], server.challenge(), signer_cert=bytes(signer))
    assert client.transact(spec).status == scep.SUCCESS


@pytest.mark.conformance("windows-3", "8894-2")
def test_thumbprint_is_of_a_certificate_of_the_bundle(server):
    wanted = hashlib.sha1(pki.der_of(server.services[0].pki.load("ca.pem"))).hexdigest()
    assert wanted in {hashlib.sha1(c).hexdigest() for c in server.client().cacert()}


@pytest.mark.conformance("windows-4", "8894-59")
def test_tls_12(server, keys):
    """Over HTTPS too a challenge is needed, and works."""
    client = server.client()
    client.cacert()
    client.http = Tls12("127.0.0.1", server.tls)
    reply = client.transact(habits.windows(client, keys[1], server.challenge()), path=PATH)
    assert reply.status == scep.SUCCESS and client.http.socket.version() == "TLSv1.2"
    reply = client.transact(habits.windows(client, keys[1], None, subject="CN=DESKTOP-2"), path=PATH)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)


@pytest.mark.conformance("windows-8")
def test_large_requests(server, keys):
    """A request of 60 kB is read; an opaque challenge of 4 kB is a wrong challenge and no mistake in HTTP."""
    client = server.client()
    spec = habits.windows(client, keys[0], server.challenge(), extensions=[
        scep.extension("1.3.6.1.4.1.311.99999", bytes(58000))])
    assert 60000 < len(spec.build()) < 65536
    assert client.transact(spec).status == scep.SUCCESS
    spec = habits.windows(client, keys[0], "MIIOpaque/+=" * 340)
    reply = client.transact(spec)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert re.search("challenge-(unknown|malformed)", server.transaction_line(spec.txid))


@pytest.mark.conformance("android-2")
def test_requested_names_are_issued(server, keys):
    client = server.client()
    names = scep.san_extension(["desktop-1.example"], [scep.der.implicit(1, b"user@example.com")])
    reply = client.transact(habits.windows(client, keys[0], server.challenge(), extensions=[names]))
    value = reply.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert value.get_values_for_type(x509.DNSName) == ["desktop-1.example"]
    assert value.get_values_for_type(x509.RFC822Name) == ["user@example.com"]


@pytest.mark.conformance("windows-6", "8894-9", "8894-11")
def test_renews_by_pkcs_req(server, keys):
    """Signed by the old certificate, or by itself with a new challenge as Intune has it done."""
    client = server.client()
    old = client.transact(habits.windows(client, keys[0], server.challenge(), subject="CN=DESKTOP-7")).leaf
    for fields in (dict(signer_key=keys[0], signer_cert=pki.der_of(old)), dict()):
        challenge = None if fields else server.challenge()
        reply = client.transact(habits.windows(client, keys[1], challenge, subject="CN=DESKTOP-7", **fields),
                                path=PATH)
        assert reply.status == scep.SUCCESS and reply.leaf.subject == old.subject
        assert reply.leaf.serial_number != old.serial_number
