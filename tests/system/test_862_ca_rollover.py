# SPDX-License-Identifier: Apache-2.0
"""A CA replaced by its successor, as docs/backends/local.md has it: announced, changed over, and devices of both
generations renew; what the old one revoked stays so under the new one."""
import subprocess

import pytest
from cryptography import x509

import conf
import env
import pki
import scep_client as scep
from test_270_status import handlers
from test_867_certificates import hex_of, one, revoke


class Generation(pki.Pki):
    """A CA with its RA, in a folder."""

    def __init__(self, name, key_name, days=3650):
        super().__init__(env.folder("generation"))
        key = pki.key(key_name)
        self.ca = pki.certificate(name, key, ca=True, usage=pki.CA_USAGE, days=days)
        self.write("ca.pem", pki.pem_of(self.ca), 0o644)
        self.write("chain.pem", pki.pem_of(self.ca), 0o644)
        self.write("ca.key", pki.pem(key))
        for role, usage in (("ra-sign", "digital_signature"), ("ra-enc", "key_encipherment")):
            made = pki.certificate("%s %s" % (name, role), pki.key(role), self.ca, key, usage=(usage,))
            self.write(role + ".pem", pki.pem_of(made), 0o644)
            self.write(role + ".key", pki.pem(pki.key(role)))


def renew(client, key, old_key, certificate):
    return client.renew(key, pki.der_of(certificate), old_key)


def change_over(server, service):
    """Another configuration, then a graceful restart; returns when no child of before is left."""
    server.services[0] = service
    server.write()
    before = set(server.children())
    server.graceful()
    env.wait_until(lambda: not before & set(server.children()), 60, what="the old children stay")


@pytest.mark.parametrize("name", ["Next CA", "Device CA"])
def test_rollover(factory, keys, name):
    """The next CA has another name, or the same name and another key."""
    old, new = Generation("Device CA", "ca-old"), Generation(name, "ca-new", 7000)
    renewal = ("ScepRenewal on", "ScepRenewalWindow any")
    server = factory.httpd([conf.Service(old).add(*renewal)], locations=handlers()).start()
    first = server.enroll(keys[0], subject="CN=first").leaf
    stolen = server.enroll(keys[1], subject="CN=stolen").leaf

    # announced: the one in force vouches for the next one, and goes on
    change_over(server, conf.Service(old).add(*renewal, "ScepNextCAChain " + new.path("ca.pem"),
                                              "ScepNextRACertificate " + new.path("ra-sign.pem")))
    client = server.client(keep_alive=False)
    assert "GetNextCACert" in client.caps()
    assert client.next_ca() == [pki.der_of(new.ca), pki.der_of(new.load("ra-sign.pem"))]
    second = server.enroll(keys[2], subject="CN=second").leaf
    assert second.issuer == old.ca.subject and pki.verifies(second, old)
    assert revoke(server, one(server, hex_of(stolen))).status == 200

    # changed over
    server.expect("SCEP0473.*ScepRenewalCAFile")
    change_over(server, conf.Service(new).add(*renewal, "ScepRenewalCAFile " + old.path("ca.pem")))
    client = server.client(keep_alive=False)
    assert "GetNextCACert" not in client.caps()
    assert client.ca() == pki.der_of(new.ca)
    third = server.enroll(keys[3], subject="CN=third").leaf
    assert pki.verifies(third, new)
    for certificate, key in ((first, keys[0]), (second, keys[2]), (third, keys[3])):
        reply = renew(client, keys[1], key, certificate)
        assert reply.status == scep.SUCCESS, reply.fail_text
        assert pki.verifies(reply.leaf, new) and reply.leaf.subject == certificate.subject
    # what was revoked does not come back by the change
    reply = renew(client, keys[0], keys[1], stolen)
    assert reply.status == scep.FAILURE
    assert server.log.wait("reason=signer-revoked")
    # nor does anybody else come in
    stranger = Generation("Device CA", "ca-stranger")
    fake = pki.certificate("first", keys[0], stranger.ca, pki.key("ca-stranger"), usage=("digital_signature",))
    assert renew(client, keys[1], keys[0], fake).status == scep.FAILURE


def test_the_old_ca_goes_on_with_its_crl(factory, keys):
    """Under a path of its own, for those who still check its certificates."""
    old, new = Generation("Device CA", "ca-old"), Generation("Next CA", "ca-new", 7000)
    crl = ("ScepCABackend", "local certificate=%s key=%s" % (old.path("ca.pem"), old.path("ca.key")))
    services = [conf.Service(new), conf.Service(old, "old", "/old").set(*crl)]
    server = factory.httpd(services).start()
    leaf = server.enroll(keys[0]).leaf
    assert pki.verifies(leaf, new)
    folder = env.folder("crl")
    (folder / "crl").write_bytes(server.connection().request("GET", "/old/ca.crl").body)
    shown = subprocess.run(["openssl", "crl", "-in", str(folder / "crl"), "-CAfile", old.path("ca.pem"), "-noout"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert shown.returncode == 0 and b"verify OK" in shown.stdout
    assert x509.load_der_x509_crl((folder / "crl").read_bytes()).issuer == old.ca.subject
