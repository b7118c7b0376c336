# SPDX-License-Identifier: Apache-2.0
"""The profiles of docs/backends/local.md: each is loaded as it stands there, issued, and shown to openssl."""
import re
import subprocess

import pytest

import conf
import der
import env
import pki
import scep_client as scep
from scep_message import san_extension

DOCUMENT = env.SOURCE / "docs" / "backends" / "local.md"


def blocks():
    """The configurations of the document."""
    return re.findall("```apache\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)


def templates():
    """{name: line} of the profiles."""
    lines = "".join(blocks()).replace("\\\n", " ").splitlines()
    return {line.split()[1]: line for line in lines if line.startswith("ScepLocalTemplate")}


@pytest.fixture(scope="module")
def profiles(module_factory):
    """A service for each profile; server.number[name] is its place."""
    services, number = [], {}
    for place, (name, line) in enumerate(sorted(templates().items())):
        service = conf.Service(pki.make(), name=name.lower(), path="/" + name.lower())
        service.add(line, *("ScepTemplate %s %s" % (kind, name) for kind in ("signature", "encryption", "general")))
        services.append(service)
        number[name] = place
    server = module_factory.httpd(services).start()
    server.number = number
    return server


def text_of(leaf, *options):
    path = env.folder("leaf") / "leaf.pem"
    path.write_bytes(pki.pem_of(leaf))
    return path, subprocess.run(["openssl", "x509", "-in", str(path), "-noout", *options], check=True,
                                stdout=subprocess.PIPE).stdout.decode()


def verify(path, purpose):
    result = subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile",
                             pki.make().path("chain.pem"), str(path)], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False)
    return result.returncode == 0


def san(*names):
    return [san_extension(other=names)]


UPN = der.implicit_seq(0, der.oid("1.3.6.1.4.1.311.20.2.3"), der.explicit(0, der.string("a@corp.example", der.UTF8)))
EMAIL, DNS = der.implicit(1, b"a@corp.example"), der.implicit(2, b"r1.corp.example")
IP = der.implicit(7, bytes([10, 0, 0, 1]))

CASES = {
    "WiFi": (san(DNS, UPN), ("sslclient",), ("sslserver", "smimesign"),
             ("TLS Web Client Authentication", "DNS:r1.corp.example", "1.3.6.1.4.1.311.21.7", "1.3.6.1.4.1.311.20.2",
              "CA Issuers - URI:http://pki.example.com/ca.cer", "Digital Signature, Key Encipherment")),
    "VPN": (san(DNS, IP), ("sslclient", "sslserver"), ("smimesign",),
            ("ipsec Internet Key Exchange", "1.3.6.1.5.5.8.2.2", "IP Address:10.0.0.1",
             "URI:http://pki.example.com/ca.crl")),
    "SMIME": (san(EMAIL), ("smimesign", "smimeencrypt"), ("sslclient", "sslserver"),
              ("E-mail Protection", "email:a@corp.example", "2.23.140.1.5.1.2", "CPS: http://pki.example.com/cps",
               "Digital Signature, Non Repudiation, Key Encipherment")),
    "Router": (san(DNS, IP), ("sslclient", "sslserver"), ("smimesign",),
               ("ipsec Internet Key Exchange", "DNS:r1.corp.example")),
}


def test_every_profile_of_the_document_is_tried():
    assert sorted(CASES) == sorted(templates())


@pytest.mark.parametrize("name", sorted(CASES))
def test_profile(profiles, keys, name):
    extensions, good, bad, shown = CASES[name]
    reply = profiles.enroll(keys[0], profiles.number[name], subject="CN=r1.corp.example", extensions=extensions)
    path, text = text_of(reply.leaf, "-text")
    for part in shown:
        assert part in text, text
    assert [p for p in good if not verify(path, p)] == []
    assert [p for p in bad if verify(path, p)] == []


def test_kinds_of_names_that_a_profile_does_not_have(profiles, keys):
    reply = profiles.client(profiles.number["SMIME"], keep_alive=False).enroll(
        keys[0], profiles.challenge(profiles.number["SMIME"]), extensions=san(DNS))
    assert reply.status == scep.FAILURE
    assert profiles.log.wait("reason=template-san")



def files():
    """What the document's configurations name: the CA and RA in force, and the next ones."""
    folder, old = pki.Pki(env.folder("document")), pki.make()
    for name in ("ca.pem", "ca.key", "ra-sign.pem", "ra-sign.key", "ra-enc.pem", "ra-enc.key"):
        folder.write(name, (old.folder / name).read_bytes())
    folder.write("ca.pin", b"1234\n")
    folder.write("ca-chain.pem", (old.folder / "chain.pem").read_bytes())
    key = pki.key("next-ca")
    ca = pki.certificate("Next CA", key, ca=True, usage=pki.CA_USAGE, days=7000)
    folder.write("next-ca.pem", pki.pem_of(ca))
    folder.write("next-ca.key", pki.pem(key))
    for name, usage in (("next-ra-sign", "digital_signature"), ("next-ra-enc", "key_encipherment")):
        folder.write(name + ".pem", pki.pem_of(pki.certificate(name, pki.key(name), ca, key, usage=(usage,))))
        folder.write(name + ".key", pki.pem(pki.key(name)))
    return folder


def directives(block):
    """The lines of a configuration without its <ScepService>."""
    lines = re.sub(r"\\\n\s*", " ", block).splitlines()
    return [line.strip() for line in lines if not re.match(r"\s*</?ScepService|\s*$", line)]


@pytest.mark.parametrize("number", range(len(blocks())))
def test_configurations_of_the_document(factory, number):
    """Each one is loaded by httpd -t; what is no whole service stands in the first one."""
    folder, block = files(), blocks()[number]
    lines = directives(block)
    if "ScepCABackend" not in block:
        lines += directives(blocks()[0])
    if "ScepTemplate" in block:
        lines += list(templates().values())
    text = "<ScepService document>\n%s\n</ScepService>\n" % "\n".join(lines)
    text = text.replace("/usr/lib/softhsm/libsofthsm2.so", folder.path("ca.pin"))     # any file: it is not loaded
    server = factory.httpd([text.replace("/etc/apache2/scep/", str(folder.folder) + "/")], admin=False)
    status, output = server.configtest()
    assert status == 0 and "Syntax OK" in output, output
