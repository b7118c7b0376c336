# SPDX-License-Identifier: Apache-2.0
"""Real clients: strongSwan's pki, certmonger's scep-submit, openssl, curl, and our own command line."""
import base64
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from cryptography import x509

import conf
import der
import env
import pki
import scep_client as scep

SUBMIT = "/usr/lib/certmonger/scep-submit"


@pytest.fixture(scope="module", params=["ra", "no-ra", "intermediate"])
def server(request, module_factory):
    kind = "intermediate" if request.param == "intermediate" else "root"
    made = module_factory.httpd([conf.Service(pki.make(kind), ra=request.param != "no-ra")]).start()
    made.kind = request.param
    return made


def run(*command, stdin=None, environment=None, ok=True):
    result = subprocess.run([str(word) for word in command], input=stdin, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=60, check=False,
                            env=dict(os.environ, **(environment or {})))
    if ok:
        assert result.returncode == 0, (result.stdout[-2000:], result.stderr[-2000:])
    return result


def device_key(folder, name="device0"):
    path = folder / "key.pem"
    path.write_bytes(pki.pem(pki.key(name)))
    return path


def strongswan_is_old():
    """Before 5.9.11 pki takes the number of a capability for its bit (strongSwan issue 1607): AES is
    used where the server names SHA-384."""
    text = subprocess.run(["pki", "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout
    found = re.search(rb"strongSwan (\d+)\.(\d+)\.(\d+)", text)
    return found is not None and tuple(int(n) for n in found.groups()) < (5, 9, 11)


@pytest.fixture(scope="module")
def swan_server(server, module_factory):
    """The server, or one whose capabilities an old strongSwan reads rightly."""
    if not strongswan_is_old():
        return server
    service = conf.Service(server.services[0].pki, ra=server.kind != "no-ra")
    service.add("ScepCapabilities AES DES3 POSTPKIOperation SHA-1 SHA-256 SHA-384 SHA-512 SCEPStandard")
    made = module_factory.httpd([service]).start()
    made.kind = server.kind
    return made


needs_strongswan = pytest.mark.skipif(
    shutil.which("pki") is None or b"--scepca" not in subprocess.run(
        ["pki", "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout,
    reason="no strongSwan pki with SCEP")


@needs_strongswan
@pytest.mark.parametrize("options", [[], ["--cipher", "des3", "--digest", "sha1"], ["--digest", "sha512"],
                                     ["--rsa-padding", "pss"]], ids=lambda o: " ".join(o) or "default")
@pytest.mark.conformance("strongswan-2", "strongswan-4")
def test_strongswan(server, swan_server, options):
    if "des3" not in options:
        server = swan_server
    folder = env.folder("pki")
    url = server.url()
    run("pki", "--scepca", "--url", url, "--caout", folder / "ca.der", "--raout", folder / "ra.der", "--force")
    found = {path.name: x509.load_der_x509_certificate(path.read_bytes()) for path in folder.glob("*.der")}
    names = {name: c.subject.rfc4514_string() for name, c in found.items()}
    wanted = 1 if server.kind == "no-ra" else 3 if server.kind == "ra" else 4
    assert len(found) == wanted, names
    certificates = server.services[0].pki
    encrypter = sign = "ca.pem"
    if server.kind != "no-ra":
        encrypter, sign = "ra-enc.pem", "ra-sign.pem"
    command = ["pki", "--scep", "--url", url, "--in", device_key(folder), "--dn", "C=CH, O=Test, CN=moon",
               "--san", "moon.example", "--password", server.challenge(), "--outform", "pem",
               "--cacert-enc", certificates.path(encrypter), "--cacert-sig", certificates.path(sign)]
    for number, block in enumerate(pathlib.Path(certificates.path("chain.pem")).read_text().split(
            "-----BEGIN")[1:]):
        (folder / ("chain%d.pem" % number)).write_text("-----BEGIN" + block)
        command += ["--cacert", folder / ("chain%d.pem" % number)]
    result = run(*command, *options)
    leaf = x509.load_pem_x509_certificate(result.stdout)
    assert leaf.subject.rfc4514_string() == "CN=moon,O=Test,C=CH"
    assert pki.verifies(leaf, certificates)


@needs_strongswan
def test_strongswan_is_refused(server):
    folder = env.folder("pki")
    certificates = server.services[0].pki
    enc, sign = ("ca.pem", "ca.pem") if server.kind == "no-ra" else ("ra-enc.pem", "ra-sign.pem")
    result = run("pki", "--scep", "--url", server.url(), "--in", device_key(folder), "--dn", "CN=moon",
                 "--password", "0123456789ABCDEF", "--cacert-enc", certificates.path(enc),
                 "--cacert-sig", certificates.path(sign), "--cacert", certificates.path("chain.pem"), ok=False)
    assert result.returncode != 0 and b"BEGIN CERT" not in result.stdout


needs_certmonger = pytest.mark.skipif(not os.path.exists(SUBMIT), reason="no certmonger")


def pem_message(data):
    text = base64.encodebytes(data).decode()
    return "-----BEGIN PKCS7-----\n%s-----END PKCS7-----\n" % text


@needs_certmonger
@pytest.mark.conformance("certmonger-1", "certmonger-2")
def test_certmonger_capabilities_and_certificates(server):
    caps = run(SUBMIT, "-u", server.url(), "-c").stdout.decode()
    for word in ("POSTPKIOperation", "SHA-256", "AES"):
        assert word in caps.split()
    output = run(SUBMIT, "-u", server.url(), "-C").stdout
    assert output.count(b"BEGIN CERTIFICATE") >= (1 if server.kind == "no-ra" else 3)


@needs_certmonger
@pytest.mark.conformance("certmonger-2")
def test_certmonger_enrolls(server, keys):
    """The messages are prepared as certmonger's daemon does; scep-submit sends them and checks the reply."""
    folder = env.folder("certmonger")
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge(), subject="CN=certmonger")
    certificates = server.services[0].pki
    ra = "ca.pem" if server.kind == "no-ra" else "ra-sign.pem"
    (folder / "message").write_text(pem_message(spec.build()))
    result = run(SUBMIT, "-u", server.url(), "-p", "-r", certificates.path(ra), "-N",
                 certificates.path("ca.pem"), "-R", certificates.path("ca.pem"), "-I",
                 certificates.path("chain.pem"), folder / "message")
    text = result.stdout.decode()
    assert "BEGIN PKCS7" in text, text
    body = base64.b64decode("".join(text.split("-----BEGIN PKCS7-----")[1].split(
        "-----END PKCS7-----")[0].split()))
    reply = scep.CertRep.__new__(scep.CertRep)
    reply.content = body
    reply.open(spec)
    assert pki.verifies(reply.leaf, certificates)


@needs_certmonger
def test_certmonger_is_refused(server, keys):
    folder = env.folder("certmonger")
    spec = server.client().spec(key=keys[0], challenge="0123456789ABCDEF")
    certificates = server.services[0].pki
    ra = "ca.pem" if server.kind == "no-ra" else "ra-sign.pem"
    (folder / "message").write_text(pem_message(spec.build()))
    result = run(SUBMIT, "-u", server.url(), "-p", "-r", certificates.path(ra), "-N",
                 certificates.path("ca.pem"), "-I", certificates.path("chain.pem"), folder / "message", ok=False)
    assert result.returncode == 2, (result.returncode, result.stdout, result.stderr)


@pytest.mark.conformance("8894-38", "8894-23")
def test_openssl_reads_replies(server, keys):
    """openssl cms verifies and decrypts what we send."""
    folder = env.folder("openssl")
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    response = client.send(spec.build())
    (folder / "reply.der").write_bytes(response.body)
    (folder / "signer.pem").write_bytes(x509.load_der_x509_certificate(spec.signer_cert).public_bytes(
        scep.serialization.Encoding.PEM))
    (folder / "ra.pem").write_bytes(x509.load_der_x509_certificate(client.signer).public_bytes(
        scep.serialization.Encoding.PEM))
    run("openssl", "cms", "-verify", "-inform", "DER", "-in", folder / "reply.der", "-noverify", "-certfile",
        folder / "ra.pem", "-binary", "-out", folder / "envelope.der")
    run("openssl", "cms", "-decrypt", "-inform", "DER", "-in", folder / "envelope.der", "-recip",
        folder / "signer.pem", "-inkey", device_key(folder), "-binary", "-out", folder / "certs.p7")
    text = run("openssl", "pkcs7", "-inform", "DER", "-in", folder / "certs.p7", "-print_certs").stdout
    assert re.search(rb"CN ?= ?device", text)
    assert b"SIGNED" in run("openssl", "asn1parse", "-inform", "DER", "-in", folder / "reply.der").stdout.upper()


@pytest.mark.conformance("field-6", "8894-23")
def test_replies_are_der(server, keys):
    """Not BER: each value read and written again by a strict writer is the same."""
    def again(node):
        if node.tag & 0x20:
            assert node.raw == der.tlv(node.tag, node.content)
            for child in node.children:
                again(child)
        else:
            assert node.raw == der.tlv(node.tag, node.content)
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    reply = client.transact(spec)
    again(der.parse(reply.raw))
    again(der.parse(reply.content))
    refused = client.transact(client.spec(key=keys[0], challenge="wrong"))
    again(der.parse(refused.raw))
    again(der.parse(client.get("GetCACert").body))


@pytest.mark.conformance("8894-47")
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl(server, keys):
    """--data-binary with its own Content-Type; a large body waits for 100-continue."""
    folder = env.folder("curl")
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    (folder / "message").write_bytes(spec.build())
    for number, options in enumerate((["--http1.0"], ["-H", "Expect: 100-continue"],
                                      ["-H", "Transfer-Encoding: chunked"])):
        run("curl", "-sf", *options, "--data-binary", "@%s" % (folder / "message"), "-o",
            folder / ("reply%d" % number), server.url() + "?operation=PKIOperation")
        reply = scep.CertRep((folder / ("reply%d" % number)).read_bytes()).verify(client.signer, spec)
        assert reply.status == scep.SUCCESS


def test_own_command_line(server):
    folder = env.folder("cli")
    (folder / "challenge").write_text(server.challenge() + "\n")
    script = os.path.join(os.path.dirname(__file__), "scep_client.py")
    assert b"POSTPKIOperation" in run(sys.executable, script, "caps", server.url()).stdout
    run(sys.executable, script, "cacert", server.url(), "--out", folder)
    text = run(sys.executable, script, "enroll", server.url(), "--challenge-file", folder / "challenge",
               "--subject", "/CN=cli/O=Test", "--key", device_key(folder), "--out", folder / "cert.pem").stdout
    assert b"serial" in text
    assert pki.verifies(x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes()),
                        server.services[0].pki)
    assert run(sys.executable, script, "enroll", server.url(), "--challenge-file", folder / "challenge",
               ok=False).returncode == 1
