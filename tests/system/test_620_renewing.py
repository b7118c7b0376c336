# SPDX-License-Identifier: Apache-2.0
"""Real clients renew: certmonger's daemon by itself, strongSwan by both message types."""
import os
import re

import pytest
from cryptography import x509

import certmonger
import conf
import env
import pki
import scep_client as scep
from test_600_clients import device_key, needs_strongswan, run, strongswan_is_old

RENEWED = r"SCEP0400.* result=success .* renews=([0-9A-F]+)"


@pytest.fixture(scope="module")
def server(module_factory):
    service = conf.Service(pki.make()).add("ScepLocalTemplate Short validity=20min", "ScepTemplate general Short",
                                           "ScepTemplate signature Short", "ScepNotBeforeSkew 3h")
    if strongswan_is_old():
        service.add("ScepCapabilities AES DES3 POSTPKIOperation SHA-1 SHA-256 SHA-384 SHA-512 SCEPStandard Renewal")
    return module_factory.httpd([service]).start()


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.skipif(not os.path.exists(certmonger.PROGRAM), reason="no certmonger")
@pytest.mark.conformance("certmonger-3", "8894-9", "8894-11")
@pytest.mark.parametrize("rekey", [False, True], ids=["same key", "new key"])
def test_certmonger_renews_by_itself(server, factory, rekey):
    """One certificate by challenge, the next ones without anybody's help: it ends too soon for the daemon."""
    daemon = certmonger.Certmonger(ttls=20 * 60 - 3)
    factory.made.append(daemon)
    daemon.start()
    folder, certificates = daemon.folder, server.services[0].pki
    name = "tracked-%d" % rekey
    (folder / "challenge").write_text(server.challenge())
    daemon.getcert("add-scep-ca", "-c", "scep", "-u", server.url(), "-R", certificates.path("chain.pem"),
                   "-N", certificates.path("ca.pem"))
    daemon.getcert("request", "-c", "scep", "-k", folder / "key.pem", "-f", folder / "cert.pem", "-N", "CN=" + name,
                   "-D", name + ".example", "-l", folder / "challenge", "-w")
    first = certificate(folder / "cert.pem")
    assert daemon.status() == "MONITORING"
    if rekey:
        daemon.getcert("rekey", "-f", folder / "cert.pem", "-w")
    env.wait_until(lambda: certificate(folder / "cert.pem").serial_number != first.serial_number, 40, 0.3,
                   "certmonger did not renew: %s" % daemon.status())
    second = certificate(folder / "cert.pem")
    assert second.subject == first.subject and pki.verifies(second, certificates)
    assert second.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == \
        first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert (second.public_key().public_numbers() == first.public_key().public_numbers()) != rekey
    line = server.log.wait(r'subject="CN=%s.* renews=0*%X ' % (name, first.serial_number))
    assert re.search(RENEWED, line)


@needs_strongswan
@pytest.mark.conformance("strongswan-1", "8894-9", "8894-11")
@pytest.mark.parametrize("kind", ["RenewalReq", "PKCSReq"])
@pytest.mark.parametrize("rekey", [False, True], ids=["same key", "new key"])
def test_strongswan_renews(server, kind, rekey):
    """strongswan.conf has the option; without a challenge in both."""
    folder, certificates = env.folder("pki"), server.services[0].pki
    (folder / "strongswan.conf").write_text("pki {\n scep {\n renewal_via_pkcs_req = %s\n }\n}\n" % (
        "yes" if kind == "PKCSReq" else "no"))
    subject = "CN=%s-%d" % (kind, rekey)
    old = pki.key("swan")
    first = server.enroll(old, subject=subject).leaf
    (folder / "old.pem").write_bytes(pki.pem_of(first))
    (folder / "old.key").write_bytes(pki.pem(old))
    new = device_key(folder, "swan-new" if rekey else "swan")
    result = run("pki", "--scep", "--url", server.url(), "--in", new, "--dn", subject,
                 "--cert", folder / "old.pem", "--key", folder / "old.key", "--outform", "pem",
                 "--cacert-enc", certificates.path("ra-enc.pem"), "--cacert-sig", certificates.path("ra-sign.pem"),
                 "--cacert", certificates.path("chain.pem"),
                 environment=dict(STRONGSWAN_CONF=str(folder / "strongswan.conf")))
    leaf = x509.load_pem_x509_certificate(result.stdout)
    assert leaf.serial_number != first.serial_number and leaf.subject == first.subject
    assert pki.verifies(leaf, certificates)
    line = server.log.wait(r'subject="CN=%s-%d" .* renews=0*%X ' % (kind, rekey, first.serial_number))
    assert re.search(RENEWED, line) and "type=%s " % kind in line


@needs_strongswan
@pytest.mark.conformance("strongswan-5")
def test_ec_ca_behind_an_rsa_ra(module_factory):
    """strongSwan has no EC keys for SCEP; the certificate that it gets here is signed by one."""
    certificates = pki.make("root", "ec")
    service = conf.Service(certificates)
    service.add("ScepCapabilities AES DES3 POSTPKIOperation SHA-1 SHA-256 SHA-384 SHA-512 SCEPStandard Renewal")
    server = module_factory.httpd([service]).start()
    folder = env.folder("pki")
    command = ["pki", "--scep", "--url", server.url(), "--dn", "CN=moon", "--password", server.challenge(),
               "--outform", "pem", "--cacert-enc", certificates.path("ra-enc.pem"),
               "--cacert-sig", certificates.path("ra-sign.pem"), "--cacert", certificates.path("ca.pem")]
    result = run(*command, "--in", device_key(folder))
    assert pki.verifies(x509.load_pem_x509_certificate(result.stdout), certificates)
    (folder / "ec.pem").write_bytes(pki.pem(pki.key("swan-ec", "ec")))
    assert run(*command, "--in", folder / "ec.pem", ok=False).returncode != 0


@needs_strongswan
@pytest.mark.conformance("8894-6", "8894-51", "strongswan-1")
def test_strongswan_after_a_change_of_the_ca(factory):
    """Announced by GetNextCACert, then in force: the old CA's certificate renews into one of the new CA."""
    old, new = pki.make(), pki.make("intermediate")
    caps = "ScepCapabilities AES DES3 POSTPKIOperation SHA-1 SHA-256 SHA-384 SHA-512 SCEPStandard Renewal"
    server = factory.httpd([conf.Service(old).add(caps + " GetNextCACert", "ScepNextCAChain " + new.path("chain.pem"))])
    server.expect("SCEP0473.*outlast", r"SCEP\d+.*(renew|differ|ScepRenewalCAFile)")
    server.start()
    folder, key = env.folder("pki"), pki.key("swan")
    announced = server.client().next_ca()
    first = server.enroll(key, subject="CN=rolls over").leaf
    (folder / "old.pem").write_bytes(pki.pem_of(first))
    (folder / "old.key").write_bytes(pki.pem(key))

    server.services = [conf.Service(new).add(caps, "ScepRenewalCAFile " + old.path("ca.pem"))]
    server.write()
    server.graceful()
    run("pki", "--scepca", "--url", server.url(), "--caout", folder / "ca.der", "--raout", folder / "ra.der",
        "--force")
    fetched = [path.read_bytes() for path in folder.glob("*.der")]
    assert set(announced) <= set(fetched)
    command = ["pki", "--scep", "--url", server.url(), "--in", folder / "old.key", "--dn", "CN=rolls over",
               "--cert", folder / "old.pem", "--key", folder / "old.key", "--outform", "pem",
               "--cacert-enc", new.path("ra-enc.pem"), "--cacert-sig", new.path("ra-sign.pem")]
    for number, authority in enumerate(announced):
        (folder / ("ca%d.pem" % number)).write_bytes(pki.pem_of(x509.load_der_x509_certificate(authority)))
        command += ["--cacert", folder / ("ca%d.pem" % number)]
    leaf = x509.load_pem_x509_certificate(run(*command).stdout)
    assert leaf.issuer == new.load("ca.pem").subject and pki.verifies(leaf, new)
