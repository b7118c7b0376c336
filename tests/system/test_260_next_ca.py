# SPDX-License-Identifier: Apache-2.0
"""GetNextCACert (RFC 8894 section 4.7): what comes next, signed by the CA in force, and only where it is known."""
import shutil
import subprocess

import pytest
from cryptography import x509

import conf
import env
import pki
import scep_client as scep


class Next:
    """A next CA, under a root when deep, with an RA; written into a folder."""

    def __init__(self, deep=False):
        self.folder = pki.Pki(env.folder("next"))
        root_key, key = pki.key("next-root"), pki.key("next-ca")
        root = pki.certificate("Next Root", root_key, ca=True, usage=pki.CA_USAGE, days=7300)
        ca = pki.certificate("Next CA", key, root, root_key, ca=True, usage=pki.CA_USAGE, days=7000) if deep else root
        self.chain = [ca, root] if deep else [root]
        ra = pki.certificate("Next RA", pki.key("next-ra"), ca, key if deep else root_key,
                             usage=("digital_signature", "key_encipherment"))
        self.ra = ra
        self.folder.write("chain.pem", pki.pem_of(*self.chain))
        self.folder.write("ra.pem", pki.pem_of(ra))

    def lines(self):
        return ("ScepNextCAChain " + self.folder.path("chain.pem"),
                "ScepNextRACertificate " + self.folder.path("ra.pem"))

    def ders(self):
        return [pki.der_of(c) for c in self.chain + [self.ra]]


def openssl(*command, data=None):
    return subprocess.run(["openssl", *command], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)


@pytest.fixture(scope="module", params=["ra", "no-ra", "intermediate"])
def planned(request, module_factory):
    """A server with a next CA."""
    coming = Next(deep=request.param == "intermediate")
    folder = pki.make("intermediate" if request.param == "intermediate" else "root")
    service = conf.Service(folder, ra=request.param != "no-ra").add(*coming.lines())
    server = module_factory.httpd([service]).start()
    server.coming = coming
    return server


@pytest.mark.conformance("8894-51")
def test_next_ca(planned):
    client = planned.client()
    assert "GetNextCACert" in client.caps()
    response = client.get("GetNextCACert")
    assert response.header("Content-Type") == "application/x-x509-next-ca-cert"
    assert response.header("Content-Length") == str(len(response.body))
    assert client.next_ca() == planned.coming.ders()
    # the CA in force goes on
    assert planned.coming.ders()[0] not in client.cacert()
    planned.enroll(pki.key("device0"))


@pytest.mark.conformance("8894-51")
def test_openssl_verifies(planned):
    """As RFC 8894 section 4.7.1 has it: one SignedData by the CA, in it a degenerate one."""
    folder, certificates = env.folder("verify"), planned.services[0].pki
    (folder / "next.der").write_bytes(planned.client().get("GetNextCACert").body)
    result = openssl("cms", "-verify", "-inform", "DER", "-in", str(folder / "next.der"), "-CAfile",
                     certificates.path("chain.pem"), "-purpose", "any", "-out", str(folder / "content"), "-signer",
                     str(folder / "signer.pem"))
    assert result.returncode == 0, result.stderr.decode()
    signer = x509.load_pem_x509_certificate((folder / "signer.pem").read_bytes())
    assert signer == certificates.load("ca.pem")
    shown = openssl("pkcs7", "-inform", "DER", "-in", str(folder / "content"), "-print_certs")
    assert shown.returncode == 0 and shown.stdout.count(b"BEGIN CERTIFICATE") == len(planned.coming.ders())
    # and not under another CA
    other = planned.coming.folder.path("chain.pem")
    assert openssl("cms", "-verify", "-inform", "DER", "-in", str(folder / "next.der"), "-CAfile", other, "-purpose",
                   "any", "-out", str(folder / "nothing")).returncode != 0


@pytest.mark.parametrize("query", ["operation=GetNextCACert", "operation=getnextcacert&message=0",
                                   "message=x&operation=GetNextCACert", "operation=GetNextCACert&message=%zz"])
def test_any_message(planned, query):
    response = planned.connection().request("GET", "/certsrv/mscep/mscep.dll?" + query)
    assert response.status == 200 and scep.NextCA(response.body).certificates == planned.coming.ders()


@pytest.mark.conformance("8894-51")
def test_without_a_next_ca(server):
    client = server.client()
    assert "GetNextCACert" not in client.caps()
    response = client.get("GetNextCACert")
    assert response.status == 400
    assert "no next CA is configured" in server.log.wait("GetNextCACert")


def test_next_ca_appears_by_a_graceful_restart(factory):
    server = factory.httpd().start()
    assert "GetNextCACert" not in server.client().caps()
    coming = Next()
    server.services[0].add(*coming.lines())
    server.write()
    server.graceful()
    env.wait_until(lambda: "GetNextCACert" in server.client(keep_alive=False).caps(), 20, what="no GetNextCACert")
    assert server.client(keep_alive=False).next_ca() == coming.ders()


@pytest.mark.skipif(shutil.which("pki") is None, reason="no strongSwan pki")
def test_strongswan_fetches_the_certificates_in_force(planned):
    """pki --scepca has no GetNextCACert: with the keyword in the capabilities it must not be in its way."""
    folder = env.folder("pki")
    result = subprocess.run(["pki", "--scepca", "--url", planned.url(), "--caout", str(folder / "ca.der"), "--raout",
                             str(folder / "ra.der")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert result.returncode == 0, result.stdout
    assert list(folder.glob("ca*.der"))
