# SPDX-License-Identifier: Apache-2.0
"""RA certificates replaced under load, as docs/ra-certificates.md has it: no enrollment fails, and each device gets
its answer from the RA certificate that it knows."""
import os
import random
import threading
import time

import pytest
from cryptography import x509

import conf
import env
import pki
import scep_client as scep
from test_300_stores import secret_file

DEVICES = int(os.environ.get("SCEP_ROLLOVER_DEVICES", 200))
SIGN, ENC = "ScepRASigningCertificate", "ScepRAEncryptionCertificate"


class Ra:
    """The RA files of one host: a current generation and another one, named by the configuration."""

    def __init__(self, authority):
        self.authority, self.files = authority, pki.Pki(env.folder("ra"))

    def write(self, current, other):
        """Replaces what is on the disk."""
        for place, number in (("current", current), ("other", other)):
            for role, usage in (("sign", "digital_signature"), ("enc", "key_encipherment")):
                key = pki.key("ra-%s-%d" % (role, number))
                self.files.write("%s-%s.pem" % (place, role), pki.pem_of(generation(self.authority, number, usage)))
                self.files.write("%s-%s.key" % (place, role), pki.pem(key))
        return self

    def service(self):
        path = self.files.path
        return conf.Service(self.authority, ra=False).add(*(
            "%s %s %s" % (directive, path("%s-%s.pem" % (place, role)), path("%s-%s.key" % (place, role)))
            for place in ("current", "other") for directive, role in ((SIGN, "sign"), (ENC, "enc"))))


made = {}


def generation(authority, number, usage):
    """The RA certificate of that generation, the same on all hosts."""
    role = "sign" if usage == "digital_signature" else "enc"
    if (number, role) not in made:
        made[number, role] = pki.certificate(
            "RA %s %d" % (role, number), pki.key("ra-%s-%d" % (role, number)), authority.load("ca.pem"),
            pki.key("ca-root"), usage=(usage,))
    return made[number, role]


class Devices:
    """Devices that each fetch the certificates, wait, and enroll; they take an answer from no other RA.  Each
    fifth fetches before and sends after the change, each fifth fetches after it, however slow the machine is."""

    def __init__(self, url, challenges, keys, seconds):
        self.url, self.keys, self.results, self.errors = url, keys, [], []
        self.fetched, self.lock = 0, threading.Lock()
        self.changed = threading.Event()
        chance = random.Random(8894)
        self.threads = [threading.Thread(target=self._device, daemon=True, args=(
            number, challenge, chance.uniform(0, seconds), chance.uniform(0.2, seconds)))
            for number, challenge in enumerate(challenges)]
        for thread in self.threads:
            thread.start()

    def _device(self, number, challenge, before, between):
        try:
            if number % 5 == 1:
                self.changed.wait(120)
            time.sleep(before if number % 5 > 1 else 0)
            client = scep.Client(self.url, timeout=60, keep_alive=False)
            client.cacert()
            with self.lock:
                self.fetched += 1
            if number % 5 == 0:
                self.changed.wait(120)
            time.sleep(between if number % 5 > 1 else 0)
            spec = client.spec(key=self.keys[number % len(self.keys)], challenge=challenge,
                               subject="CN=rollover-%d" % number)
            sent = time.time()
            reply = client.transact(spec)
            name = x509.load_der_x509_certificate(client.signer).subject.rfc4514_string()
            self.results.append((sent, name, reply.status, reply.fail_text))
        except Exception as error:      # pylint: disable=broad-except
            self.errors.append("%d: %r" % (number, error))

    def wait_fetched(self, share):
        env.wait_until(lambda: self.fetched >= share * len(self.threads) or self.errors, 60, what="nobody fetched")

    def join(self):
        self.changed.set()
        for thread in self.threads:
            thread.join(120)
        assert not self.errors, self.errors
        failed = [result for result in self.results if result[2] != scep.SUCCESS]
        assert not failed and len(self.results) == len(self.threads), failed

    def count(self, name, since):
        """Who knew that signer and sent after that time."""
        return sum(1 for sent, signer, _, _ in self.results if signer == name and sent > since)


def replace(server, ra, current, other):
    """New files, then a graceful restart; returns when no child of before is left."""
    before = set(server.children())
    ra.write(current, other)
    server.graceful()
    env.wait_until(lambda: not before & set(server.children()), 60, what="the old children stay")
    return time.time()


@pytest.mark.parametrize("mpm", ["event", "prefork"])
@pytest.mark.conformance("apple-4")
def test_replaced_under_load(factory, keys, mpm):
    ra = Ra(pki.make()).write(1, 0)
    server = factory.httpd([ra.service()], mpm=mpm).start()
    devices = Devices(server.url(), server.challenges(DEVICES), keys, 4)
    devices.wait_fetched(0.4)
    changed = replace(server, ra, 2, 1)
    devices.join()
    # those who came with the old certificates after the change, and those who saw the new ones
    assert devices.count("CN=RA sign 1", changed) > 0 and devices.count("CN=RA sign 2", changed) > 0
    client = server.client(keep_alive=False)
    client.cacert()
    assert len(client.ca_certificates) == 3     # never another generation's


def hosts_and_balancer(factory):
    redis = factory.redis()
    secret = secret_file(env.folder("secret"))
    ras = [Ra(pki.make()).write(1, 0) for _ in range(2)]
    hosts = [factory.httpd([ra.service()], server=conf.Lines(
        "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret)).start() for ra in ras]
    return ras, hosts, factory.haproxy(hosts)


@pytest.mark.conformance("apple-4")
def test_two_hosts_one_after_the_other(factory, keys):
    ras, hosts, balancer = hosts_and_balancer(factory)
    devices = Devices(balancer.url(), hosts[0].challenges(DEVICES), keys, 7)
    devices.wait_fetched(0.15)
    for ra, host in zip(ras, hosts):        # first everybody can open what is for the new one
        replace(host, ra, 1, 2)
    for ra, host in zip(ras, hosts):        # then it becomes the current one
        changed = replace(host, ra, 2, 1)
    devices.join()
    assert devices.count("CN=RA sign 1", changed) > 0 and devices.count("CN=RA sign 2", changed) > 0


def test_the_order_matters(factory, keys):
    """What the first step is for: a host that has not heard of the new certificates cannot answer for them."""
    ras, hosts, _ = hosts_and_balancer(factory)
    replace(hosts[0], ras[0], 2, 1)
    client = hosts[0].client(keep_alive=False)
    spec = client.spec(key=keys[0], challenge=hosts[0].challenge())
    stranger = hosts[1].client(keep_alive=False)
    stranger.signer, stranger.encrypter = client.signer, client.encrypter
    with pytest.raises(scep.ScepError):
        stranger.transact(spec)
    replace(hosts[1], ras[1], 1, 2)
    assert stranger.transact(spec).status == scep.SUCCESS


@pytest.mark.conformance("apple-4")
def test_the_answer_is_signed_by_the_generation_that_was_asked(factory, keys):
    """Also a refusal, and only the current pair is given out."""
    ra = Ra(pki.make()).write(1, 0)
    server = factory.httpd([ra.service()]).start()
    for number in (1, 0):
        client = server.client(keep_alive=False)
        client.cacert()
        client.signer = pki.der_of(generation(ra.authority, number, "digital_signature"))
        client.encrypter = pki.der_of(generation(ra.authority, number, "key_encipherment"))
        assert client.enroll(keys[0], server.challenge()).status == scep.SUCCESS
        assert client.enroll(keys[1], "0123456789ABCDEF").status == scep.FAILURE
        for wrong in ({"cipher": "des"}, {"message_type": "18"}):
            spec = client.spec(key=keys[2], challenge=server.challenge(), **wrong)
            assert client.transact(spec).status == scep.FAILURE
