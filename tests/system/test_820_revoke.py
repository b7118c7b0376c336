# SPDX-License-Identifier: Apache-2.0
"""What the local CA takes back: revocation on one host counts on all, and the CRL that they serve."""
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import conf
import env
import pki
import scep_client as scep
import webhook
from test_300_stores import secret_file


@pytest.fixture(scope="module")
def hook():
    hook = webhook.Webhook()
    yield hook
    hook.stop()


class Site:
    """One Redis and two hosts; the receiver of the webhook may forbid what is issued."""

    def __init__(self, factory, hook):
        self.pki, redis, secret = pki.make(), factory.redis(), secret_file(env.folder("secret"))
        self.hosts = []
        for mpm in ("event", "worker"):
            service = conf.Service(self.pki).add("ScepPolicy challenge", hook.policy("notifySync=on"))
            self.hosts.append(factory.httpd([service], mpm=mpm, server=conf.Lines(
                "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret)).start())


@pytest.fixture(scope="module")
def site(hook, module_factory):
    return Site(module_factory, hook)


def crl_of(host, key):
    """The CRL as GetCRL gives it, verified."""
    reply = host.client().get_crl(key)
    assert reply.status == scep.SUCCESS
    assert reply.crl.is_signature_valid(host.services[0].pki.load("ca.pem").public_key())
    return reply.crl


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)


def verify(leaf, crl, authority):
    """What openssl verify -crl_check says of a certificate."""
    folder = env.folder("verify")
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    (folder / "crl.pem").write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    return openssl("verify", "-crl_check", "-CAfile", authority, "-CRLfile", folder / "crl.pem", folder / "leaf.pem")


def number_of(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def forbid(hook, host, key, challenge):
    """An enrollment whose certificate must not be delivered; the serial number that is revoked by it."""
    before = {entry.serial_number for entry in crl_of(host, key)}
    hook.thanks = (200, (), {"allow": False, "reason": "no such device"})
    try:
        client = host.client()
        client.cacert()
        reply = client.enroll(key, challenge)
    finally:
        hook.allow()
    assert reply.status == scep.FAILURE
    added = {entry.serial_number for entry in crl_of(host, key)} - before
    assert len(added) == 1
    return added.pop()


@pytest.mark.smoke
def test_empty_crl(site, keys):
    crl = crl_of(site.hosts[0], keys[0])
    text = openssl("crl", "-noout", "-text", "-in", write_crl(crl)).stdout
    assert "Version 2" in text and "X509v3 CRL Number" in text and "X509v3 Authority Key Identifier" in text
    assert crl_of(site.hosts[1], keys[0]) == crl


def write_crl(crl):
    path = env.folder("crl") / "ca.crl"
    path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    return path


def test_forbidden_delivery(site, hook, keys):
    """The certificate that must not leave is revoked, on each host; the next one is another."""
    one, two = site.hosts
    challenge, number = one.challenge(), number_of(crl_of(one, keys[1]))
    serial = forbid(hook, one, keys[1], challenge)
    crl = crl_of(two, keys[1])
    entry = crl.get_revoked_certificate_by_serial_number(serial)
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason == x509.ReasonFlags.cessation_of_operation
    assert number_of(crl) > number and crl == crl_of(one, keys[1])
    client = one.client()
    client.cacert()
    again = client.enroll(keys[1], challenge)
    assert again.status == scep.SUCCESS
    leaf = again.leaf
    assert leaf.serial_number != serial
    result = verify(leaf, crl_of(two, keys[1]), site.pki.path("ca.pem"))
    assert result.returncode == 0, result.stderr
    assert one.log.wait("SCEP0120")


def test_restart_keeps(site, hook, keys):
    one = site.hosts[0]
    serial = forbid(hook, one, keys[2], one.challenge())
    number = number_of(crl_of(one, keys[2]))
    one.restart()
    crl = crl_of(one, keys[2])
    assert number_of(crl) == number
    assert crl.get_revoked_certificate_by_serial_number(serial) is not None
