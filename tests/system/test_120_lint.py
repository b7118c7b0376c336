# SPDX-License-Identifier: Apache-2.0
"""The linter: certificates and httpd settings that some device refuses, told by httpd -t with the reason."""
import datetime
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import conf
import env
import pki
from test_300_stores import secret_file
from http_client import Connection
from scep_client import degenerate_certificates
from test_100_config import example_tree

SIGN, ENC, CHAIN = "ScepRASigningCertificate", "ScepRAEncryptionCertificate", "ScepCAChain"
NEXT, NEXT_RA = "ScepNextCAChain", "ScepNextRACertificate"
SIGNING, ENCRYPTION = ("digital_signature",), ("key_encipherment",)


def issue(subject, key, ca, ca_key, usage, days=300, sha1=False, extensions=(), issuer=None, is_ca=False):
    """An RA certificate with what the test wants to be told of."""
    now = datetime.datetime.utcnow().replace(microsecond=0)
    builder = (x509.CertificateBuilder()
               .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
               .issuer_name(issuer or ca.subject).public_key(key.public_key())
               .serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(days=40))
               .not_valid_after(now + datetime.timedelta(days=days))
               .add_extension(x509.BasicConstraints(is_ca, None), True))
    if usage is not None:
        builder = builder.add_extension(x509.KeyUsage(**{u: u in usage for u in pki._USAGES}), True)
    for extension in extensions:
        builder = builder.add_extension(extension, False)
    made = builder.sign(ca_key, hashes.SHA256())
    return pki.signed_by_sha1(made, ca_key) if sha1 else made


def crl_point(url):
    return x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None,
                                                              None)])


@pytest.fixture(scope="module")
def files():
    """What the lines of FINDINGS name."""
    right, folder = pki.make(), pki.Pki(env.folder("lint"))
    ca, ca_key, key = right.load("ca.pem"), pki.key("ca-root"), pki.key("lint")
    printable = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA", _ASN1Type.PrintableString)])
    folder.write("ra.key", pki.pem(key))
    folder.write("ec.key", pki.pem(pki.key("lint-ec", "ec")))
    folder.write("short.key", pki.pem(pki.key("lint-short", "rsa1024")))

    def ra(name, usage=SIGNING, key=key, **how):
        folder.write(name + ".pem", pki.pem_of(issue("Lint " + name, key, ca, ca_key, usage, **how)))
    ra("expired", days=-2)
    ra("expired-enc", ENCRYPTION, days=-2)
    ra("soon", days=12)
    ra("soon-enc", ENCRYPTION, days=12)
    ra("no-usage", None)
    ra("no-sign", ENCRYPTION)
    ra("no-enc", SIGNING)
    ra("both", SIGNING + ENCRYPTION)
    ra("ec", key=pki.key("lint-ec", "ec"))
    ra("ec-both", SIGNING + ENCRYPTION, key=pki.key("lint-ec", "ec"))
    ra("short", key=pki.key("lint-short", "rsa1024"))
    ra("is-ca", is_ca=True)
    ra("sha1", sha1=True)
    ra("long", days=4000)
    ra("printable", issuer=printable)
    ra("server-eku", extensions=[x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])])
    ra("agent-eku", extensions=[x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.1")])])
    ra("crl", extensions=[crl_point("http://crl.example.com/a.crl")])
    ra("good", SIGNING)
    ra("good-enc", ENCRYPTION)
    foreign = pki.certificate("Foreign", key, usage=SIGNING)
    folder.write("foreign.pem", pki.pem_of(foreign))

    next_key = pki.key("next-ca")
    next_ca = pki.certificate("Next CA", next_key, ca=True, usage=pki.CA_USAGE, days=7300)
    early = pki.certificate("Early CA", next_key, ca=True, usage=pki.CA_USAGE, days=100)
    soon = pki.certificate("Soon CA", next_key, ca=True, usage=pki.CA_USAGE, days=10)
    ended = pki.certificate("Ended CA", next_key, ca=True, usage=pki.CA_USAGE, days=-1)
    none = pki.certificate("No CA", next_key, usage=SIGNING, days=7300)
    under = pki.certificate("Next issuing", key, next_ca, next_key, ca=True, usage=pki.CA_USAGE, days=7000)
    for name, certs in {"next": [next_ca], "early": [early], "soon-next": [soon], "ended": [ended], "none": [none],
                        "rootless": [under], "disorder": [next_ca, under], "next-ra": [
                            issue("Next RA", key, next_ca, next_key, SIGNING, 200)], "next-ra-ca": [under],
                        "next-ra-ended": [issue("Old RA", key, next_ca, next_key, SIGNING, -1)]}.items():
        folder.write(name + ".pem", pki.pem_of(*certs))
    folder.write("empty.pem", b"")
    folder.write("with-chain.pem", (folder.folder / "good.pem").read_bytes() + pki.pem_of(ca))
    crl = (x509.CertificateRevocationListBuilder().issuer_name(ca.subject)
           .last_update(datetime.datetime(2020, 1, 1)).next_update(datetime.datetime(2020, 2, 1)).sign(
               ca_key, hashes.SHA256()))
    folder.write("old.crl", crl.public_bytes(pki.serialization.Encoding.PEM))
    revoked = x509.RevokedCertificateBuilder().serial_number(
        x509.load_pem_x509_certificate((folder.folder / "good.pem").read_bytes()).serial_number).revocation_date(
            datetime.datetime(2020, 1, 1)).build()
    crl = (x509.CertificateRevocationListBuilder().issuer_name(ca.subject).add_revoked_certificate(revoked)
           .last_update(datetime.datetime(2020, 1, 1)).next_update(datetime.datetime(2120, 2, 1)).sign(
               ca_key, hashes.SHA256()))
    folder.write("revoked.crl", crl.public_bytes(pki.serialization.Encoding.PEM))
    crl = (x509.CertificateRevocationListBuilder().issuer_name(ca.subject)
           .last_update(datetime.datetime(2020, 1, 1)).next_update(datetime.datetime(2120, 2, 1)).sign(
               ca_key, hashes.SHA256()))
    folder.write("empty-list.crl", crl.public_bytes(pki.serialization.Encoding.PEM))
    return folder


# name: (lines besides those of a right service; a directive among them replaces its own), the directive that the
# finding names and its line among several, whether httpd starts, what it says and what breaks)
FINDINGS = {
    "expired": ([SIGN + " {w}/expired.pem {w}/ra.key"], SIGN, 0, False, "expired on .*devices"),
    "older one expired": ([ENC + " {p}/ra-enc.pem {p}/ra-enc.key", ENC + " {w}/expired-enc.pem {w}/ra.key"], ENC, 1,
                          True, "expired on .*devices"),
    "few days left": ([SIGN + " {w}/soon.pem {w}/ra.key"], SIGN, 0, True, "days left: 1[12];.*fetched"),
    "no key usage": ([SIGN + " {w}/no-usage.pem {w}/ra.key"], SIGN, 0, True, "no key usage.*Apple"),
    "wrong key usage": ([SIGN + " {w}/no-sign.pem {w}/ra.key"], SIGN, 0, False, "lacks the key usage digitalSignature"),
    "wrong key usage of the second": ([ENC + " {p}/ra-enc.pem {p}/ra-enc.key", ENC + " {w}/no-enc.pem {w}/ra.key"],
                                      ENC, 1, False, "lacks the key usage keyEncipherment"),
    "both key usages": ([SIGN + " {w}/both.pem {w}/ra.key"], SIGN, 0, True, "both roles.*Apple"),
    "one certificate, signing only": ([SIGN + " {w}/no-enc.pem {w}/ra.key", ENC], ENC, None, False,
                                      "for signing only"),
    "one certificate with an EC key": ([SIGN + " {w}/ec-both.pem {w}/ec.key", ENC], ENC, None, False,
                                       "cannot encrypt to it"),
    "EC signer": ([SIGN + " {w}/ec.pem {w}/ec.key"], SIGN, 0, True, "P-256|prime256v1|EC.*Cisco"),
    "short key": ([SIGN + " {w}/short.pem {w}/short.key"], SIGN, 0, False, "1024.*2048 bits"),
    "is the CA's": ([SIGN + " {p}/ca.pem {p}/ca.key"], SIGN, 0, False, "is the CA's own"),
    "is a CA's": ([SIGN + " {w}/is-ca.pem {w}/ra.key"], SIGN, 0, False, "is a CA's.*jscep"),
    "another CA's": ([SIGN + " {w}/foreign.pem {w}/ra.key"], SIGN, 0, False, "not issued by this service's CA.*Apple"),
    "SHA-1": ([SIGN + " {w}/sha1.pem {w}/ra.key"], SIGN, 0, True, "SHA1; Apple"),
    "longer than the CA": ([SIGN + " {w}/long.pem {w}/ra.key"], SIGN, 0, True, "longer than the CA.*Windows"),
    "issuer in other bytes": ([SIGN + " {w}/printable.pem {w}/ra.key"], SIGN, 0, True, "other bytes.*jscep"),
    "no request agent": ([SIGN + " {w}/server-eku.pem {w}/ra.key"], SIGN, 0, True,
                         r"1\.3\.6\.1\.4\.1\.311\.20\.2\.1.*AD CS"),
    "CRL": ([SIGN + " {w}/crl.pem {w}/ra.key"], SIGN, 0, True, "http://crl.example.com/a.crl; Windows"),
    "named twice": ([SIGN + " {p}/ra-sign.pem {p}/ra-sign.key", SIGN + " {p}/ra-sign.pem {p}/ra-sign.key",
                     ENC + " {p}/ra-enc.pem {p}/ra-enc.key", ENC + " {w}/good-enc.pem {w}/ra.key"], SIGN, 1, True,
                    "named twice"),
    "not in pairs": ([SIGN + " {p}/ra-sign.pem {p}/ra-sign.key", SIGN + " {w}/good.pem {w}/ra.key"], SIGN, 0, True,
                     "2 of ScepRASigningCertificate, 1 of ScepRAEncryptionCertificate"),
    "CRL that ended": (["ScepCRLFile {w}/old.crl"], "ScepCRLFile", 0, True, "replaced by .*2020.*GetCRL"),
    "revoked": ([SIGN + " {w}/good.pem {w}/ra.key", "ScepCRLFile {w}/revoked.crl"], SIGN, 0, False, "is revoked"),
    "next CA absent": ([NEXT + " {w}/nothing.pem"], NEXT, 0, False, "nothing.pem"),
    "next CA empty": ([NEXT + " {w}/empty.pem"], NEXT, 0, False, "empty.pem"),
    "next CA is the present one": ([NEXT + " {p}/ca.pem"], NEXT, 0, False, "CA in force"),
    "next CA ended": ([NEXT + " {w}/ended.pem"], NEXT, 0, False, "expired on"),
    "next CA ends soon": ([NEXT + " {w}/soon-next.pem"], NEXT, 0, True, "days left: (9|10)"),
    "next CA ends first": ([NEXT + " {w}/early.pem"], NEXT, 0, True, "does not outlast"),
    "next CA is none": ([NEXT + " {w}/none.pem"], NEXT, 0, False, "is not a CA's"),
    "next CA without root": ([NEXT + " {w}/rootless.pem"], NEXT, 0, True, "self-signed root.*Next CA"),
    "next CA in disorder": ([NEXT + " {w}/disorder.pem"], NEXT, 0, False, "not in order"),
    "next RA of this CA": ([NEXT + " {w}/next.pem", NEXT_RA + " {w}/next-ra.pem", NEXT_RA + " {p}/ra-sign.pem"],
                           NEXT_RA, 1, False, "not issued by the next CA"),
    "next RA ended": ([NEXT + " {w}/next.pem", NEXT_RA + " {w}/next-ra-ended.pem"], NEXT_RA, 0, False, "expired on"),
    "next RA is a CA": ([NEXT + " {w}/next.pem", NEXT_RA + " {w}/next-ra-ca.pem"], NEXT_RA, 0, False, "is a CA's"),
    "next RA absent": ([NEXT + " {w}/next.pem", NEXT_RA + " {w}/nothing.pem"], NEXT_RA, 0, False, "nothing.pem"),
    "next RA without next CA": ([NEXT_RA + " {w}/next-ra.pem"], NEXT_RA, 0, False, "no use without ScepNextCAChain"),
    "promises": (["ScepCapabilities AES GetNextCACert"], "ScepCapabilities", 0, True, "announces GetNextCACert"),
    "promises renewal": (["ScepCapabilities AES Renewal", "ScepRenewal off"], "ScepCapabilities", 0, True,
                         "announces Renewal"),
}


def service_with(files, lines):
    right = pki.make()
    service = conf.Service(right)
    for line in lines:
        service.set(line.split()[0])
    for line in lines:
        if " " in line:
            service.add(line.replace("{w}", str(files.folder)).replace("{p}", str(right.folder)))
    return service


@pytest.mark.conformance("8894-1", "apple-2")
@pytest.mark.parametrize("name", FINDINGS)
def test_finding(factory, files, name):
    lines, directive, number, starts, says = FINDINGS[name]
    server = factory.httpd([service_with(files, lines)])
    status, text = server.configtest()
    server.expect("SCEP045")
    assert (status == 0) == starts, text
    found = [line for line in text.splitlines() if re.search(r"\): %s: .*(%s)" % (directive, says), line)]
    assert len(found) == 1, text
    if number is not None:
        written = (server.folder / "httpd.conf").read_text().splitlines()
        at = [n + 1 for n, line in enumerate(written) if line.split()[:1] == [directive]][number]
        assert "httpd.conf:%d)" % at in found[0], (at, found)


@pytest.mark.parametrize("lines", [
    [SIGN + " {w}/agent-eku.pem {w}/ra.key"],
    [SIGN + " {w}/both.pem {w}/ra.key", ENC],
    [NEXT + " {w}/next.pem", NEXT_RA + " {w}/next-ra.pem"],
    [SIGN + " {p}/ra-sign.pem {p}/ra-sign.key", SIGN + " {w}/good.pem {w}/ra.key",
     ENC + " {p}/ra-enc.pem {p}/ra-enc.key", ENC + " {w}/good-enc.pem {w}/ra.key"],
    ["ScepCapabilities AES GetNextCACert", NEXT + " {w}/next.pem"],
    [SIGN + " {w}/with-chain.pem {w}/ra.key"],
], ids=["request agent", "one for both", "next CA", "generations", "capability", "chain in the file"])
def test_nothing_to_say(factory, files, lines):
    status, text = factory.httpd([service_with(files, lines)]).configtest()
    assert status == 0 and text.strip() == "Syntax OK", text


def test_old_generations_and_next_ca_are_told_at_the_start(factory, files):
    server = factory.httpd([service_with(files, [
        ENC + " {p}/ra-enc.pem {p}/ra-enc.key", ENC + " {w}/expired-enc.pem {w}/ra.key", NEXT + " {w}/soon-next.pem"])])
    server.expect("SCEP0473.*expired on", "SCEP0473.*outlast", "SCEP0471.*next CA")
    server.start()
    assert server.log.lines("SCEP0471.*next CA's certificate.*Soon CA.*days left")
    assert server.log.lines("SCEP0473.*expired on")


# httpd ---------------------------------------------------------------------------------------------

TLS = "SSLEngine on\nSSLCertificateFile {p}/ca.pem\nSSLCertificateKeyFile {p}/ca.key\n"
HOSTS = {
    "client certificates": (TLS + "SSLVerifyClient optional\n", "SSLVerifyClient optional .*macOS"),
    "client certificates of the main server": (TLS, "SSLVerifyClient require .*macOS"),
    "no TLS 1.2": (TLS + "SSLProtocol -all +TLSv1.3\n", "SSLProtocol .*Windows"),
    "no TLS 1.2 by name": (TLS + "SSLProtocol TLSv1.3\n", "SSLProtocol .*Windows"),
    "request line": ("LimitRequestLine 8190\n", "LimitRequestLine is 8190.*Cisco"),
}


def tls_host(right, inside, service):
    port = env.free_port()
    return port, "<VirtualHost 127.0.0.1:%d>\n%s%s%s</VirtualHost>\n" % (
        port, inside.replace("{p}", str(right.folder)), service.text(), conf.location(service.path))


@pytest.mark.conformance("windows-4")
@pytest.mark.parametrize("name", HOSTS)
def test_settings_of_the_host(factory, name):
    inside, says = HOSTS[name]
    right = pki.make()
    _, host = tls_host(right, inside, conf.Service(right))
    main = conf.Lines(*(["SSLVerifyClient require"] if "main" in name else []))
    server = factory.httpd([host], server=main, admin=False, modules=("ssl", "socache_shmcb"))
    status, text = server.configtest()
    server.expect("SCEP045")
    found = [line for line in text.splitlines() if re.search(says, line)]
    assert status == 0 and len(found) == 1 and "ScepService corp" in found[0], text


def test_settings_of_hosts_that_inherit_the_service(factory):
    """The service stands in the main server, the setting in a virtual host."""
    right = pki.make()
    inside = TLS + "SSLVerifyClient require\n"
    host = "<VirtualHost 127.0.0.1:%d>\n%s</VirtualHost>\n" % (
        env.free_port(), inside.replace("{p}", str(right.folder)))
    server = factory.httpd([conf.Service(right), host], modules=("ssl", "socache_shmcb"))
    status, text = server.configtest()
    server.expect("SCEP045")
    assert status == 0 and text.count("macOS") == 1 and "ScepService corp" in text, text


@pytest.mark.parametrize("inside", [
    TLS + "SSLProtocol all -SSLv3 -TLSv1 -TLSv1.1\nSSLVerifyClient none\n",
    TLS + "SSLProtocol -all +TLSv1.2 +TLSv1.3\n",
    TLS + '<Location "/certsrv/mscep_admin">\nSSLVerifyClient require\n</Location>\n',
    "SSLVerifyClient require\nSSLProtocol TLSv1.3\n",
], ids=["usual", "by name", "admin only", "no TLS"])
def test_settings_that_are_right(factory, inside):
    right = pki.make()
    _, host = tls_host(right, inside, conf.Service(right))
    server = factory.httpd([host], admin=False, modules=("ssl", "socache_shmcb"))
    status, text = server.configtest()
    assert status == 0 and text.strip() == "Syntax OK", text


def test_second_host_of_an_address(factory):
    right = pki.make()
    port, host = tls_host(right, "", conf.Service(right))
    first = "<VirtualHost 127.0.0.1:%d>\nServerName other.example\n</VirtualHost>\n" % port
    status, text = factory.httpd([first, host], admin=False).configtest()
    assert status == 0 and re.search(r"no Host .*httpd.conf:\d+.*first", text), text
    status, text = factory.httpd([host, first], admin=False).configtest()
    assert status == 0 and text.strip() == "Syntax OK", text


def test_example_for_clients(factory):
    """conf-examples/clients.conf leaves nothing to say."""
    server = factory.httpd([], server=conf.Lines(), admin=False, modules=("ssl", "socache_shmcb"))
    text = example_tree(server.folder, (env.SOURCE / "conf-examples" / "clients.conf").read_text())
    server.services = [text]
    status, output = server.configtest()
    assert status == 0 and output.strip() == "Syntax OK", output


@pytest.mark.conformance("cisco-1", "cisco-5")
@pytest.mark.parametrize("options", ["Strict", "Strict Allow0.9 LenientMethods", "Unsafe", "Require1.0"])
def test_http_1_0_without_host(factory, options):
    """Cisco IOS; no setting of HttpProtocolOptions is in the way, so none is warned of."""
    server = factory.httpd(server=conf.Lines("HttpProtocolOptions " + options))
    assert server.configtest()[1].strip() == "Syntax OK"
    server.start()
    connection = Connection(server.host, server.port, keep_alive=False)
    response = connection.raw(
        b"GET /certsrv/mscep/mscep.dll?operation=GetCACert&message=trustpoint HTTP/1.0\r\n\r\n")
    assert response.status == 200 and response.header("Content-Type") == "application/x-x509-ca-ra-cert"
    assert len(degenerate_certificates(response.body)) == 3


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_no_network_for_the_crl(factory, files, store):
    """Whether an RA certificate is revoked is read in ScepCRLFile; no store is asked before a start."""
    lines = [SIGN + " {w}/good.pem {w}/ra.key"]
    if store == "redis":
        lines += ["ScepStore redis://127.0.0.1:%d" % env.free_port(),
                  "ScepChallengeSecretFile %s" % secret_file(env.folder("secret"))]
    for name, said in (("revoked", "is revoked"), ("empty-list", "")):
        status, text = factory.httpd([service_with(files, lines + ["ScepCRLFile {w}/%s.crl" % name])]).configtest()
        assert (status == 0) == (not said) and said in text, text
