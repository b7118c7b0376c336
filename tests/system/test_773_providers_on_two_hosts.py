# SPDX-License-Identifier: Apache-2.0
"""Every policy on two hosts that share one Redis: the challenge comes from one, the request goes to the other, the
device polls at the first; what is told is told once, by either."""
import secrets

import pytest

import approval
import conf
import env
import pki
import point
import scep_client as scep
from crp import Crp
from intune import Intune
from test_300_stores import secret_file
from test_720_logs import Logs, logging
from test_750_point import bind
from test_751_sealed import pair
from webhook import Webhook

SID = "S-1-5-21-1004336348-1177238915-682003330-1104"
WAITS = ("ScepApproval manual", "ScepPollInterval 1s")
PROVIDERS = ("challenge", "sealed", "webhook", "attributes", "intune", "registration-point")
FRONTS = 'ScepRegistrationPointAuthorize "%{SSL_CLIENT_S_DN_CN} =~ /^front/"'


class Doubles:
    """The other ends, each of which says yes."""

    def __init__(self):
        self.hook, self.adds, self.cloud, self.crp = Webhook(), Webhook(), Intune(), Crp()
        self.adds.answer = (200, (), {"allow": True, "attributes": {"sid": SID, "device": "d-773"}})

    def stop(self):
        for made in self.hook, self.adds, self.cloud, self.crp:
            made.stop()

    def told(self, provider, txid):
        """What the other end of a provider was told of a transaction; None: it has none."""
        if provider in ("webhook", "attributes"):
            hook = self.hook if provider == "webhook" else self.adds
            return [x["event"] for x in hook.of("notify") if x["transactionID"] == txid]
        if provider == "intune":
            return [word for kind, word in (("successNotification", "issued"), ("failureNotification", "refused"))
                    for x in self.cloud.of(kind) if x["transactionId"] == txid]
        if provider == "registration-point":
            return [{"success": "issued", "failure": "refused"}.get(x["disposition"], x["disposition"])
                    for x in self.crp.of("notify") if x["transactionId"] == txid]
        return None


class Site:
    def __init__(self, factory, doubles):
        redis, secret = factory.redis(), secret_file(env.folder("secret"))
        folder = env.folder("pair")
        policies = {
            "challenge": ["ScepPolicy challenge"], "sealed": ["ScepPolicy sealed " + pair(folder, "two-hosts")],
            "webhook": ["ScepPolicy challenge", doubles.hook.policy()],
            "attributes": ["ScepPolicy challenge", doubles.adds.policy("attributes=sid")],
            "intune": [doubles.cloud.policy()], "registration-point": [doubles.crp.policy()]}
        self.doubles, self.hosts = doubles, []
        for mpm in ("event", "worker"):
            services = [conf.Service(pki.make(), name=name, path="/" + name).add(*policies[name], *WAITS)
                        for name in PROVIDERS] + [point.Point(pki.make(), FRONTS)]
            host = factory.httpd(services, mpm=mpm, modules=point.MODULES, locations=[approval.LOCATION],
                                 server=logging("SSLSessionCache shmcb:cache(65536)", "ScepStore " +
                                                redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret))
            host.tls = env.free_port()
            host.locations.append(point.virtual_host(host.tls))
            self.hosts.append(host.start())

    def challenge(self, provider, host):
        """Of a host, or of the other end."""
        if provider == "intune":
            return self.doubles.cloud.challenge()
        if provider == "registration-point":
            return self.doubles.crp.state.mint(secrets.token_hex(8))
        return self.hosts[host].challenge(PROVIDERS.index(provider))

    def client(self, provider, host):
        made = self.hosts[host].client(PROVIDERS.index(provider), keep_alive=False)
        made.cacert()
        return made


@pytest.fixture(scope="module")
def doubles():
    made = Doubles()
    yield made
    made.stop()
    assert not made.cloud.wrong, made.cloud.wrong


@pytest.fixture(scope="module")
def site(doubles, module_factory):
    return Site(module_factory, doubles)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_issued(site, doubles, keys, provider, first):
    """Challenge at A, request at B, approved at A, polled at A, sent again to B; the challenge is good once."""
    a, b = first, 1 - first
    challenge = site.challenge(provider, a)
    asked = site.client(provider, b)
    spec = asked.spec(key=keys[0], challenge=challenge)
    assert asked.transact(spec).status == scep.PENDING
    polls = site.client(provider, a)
    assert polls.transact(spec).status == scep.PENDING          # as a new request, too
    assert polls.poll(spec).status == scep.PENDING
    assert approval.decide(site.hosts[a], spec.txid, service=provider) == 200
    reply = polls.wait(spec)
    assert reply.status == scep.SUCCESS
    assert asked.transact(spec).leaf == reply.leaf and asked.poll(spec).leaf == reply.leaf
    for client in (asked, polls):
        assert client.transact(client.spec(key=keys[1], challenge=challenge)).status == scep.FAILURE
    expected = {"webhook": ["issued", "pending"], "attributes": ["issued", "pending"], "intune": ["issued"],
                "registration-point": ["issued", "pending"]}.get(provider)
    if expected:
        env.wait_until(lambda: sorted(doubles.told(provider, spec.txid)) == expected,
                       what="not told: %s" % expected)
    if provider == "attributes":
        line = Logs(site.hosts[a]).audit(spec.txid)[-1]
        assert line["device"] == "d-773" and line["sid"] == SID


@pytest.mark.parametrize("provider", PROVIDERS)
def test_denied(site, doubles, keys, provider):
    """Challenge at A, request at B, denied at A: refused at both, and told once."""
    challenge = site.challenge(provider, 0)
    asked = site.client(provider, 1)
    spec = asked.spec(key=keys[2], challenge=challenge)
    assert asked.transact(spec).status == scep.PENDING
    assert approval.decide(site.hosts[0], spec.txid, "deny", "no", service=provider) == 200
    for host in (0, 1):
        assert site.client(provider, host).poll(spec).status == scep.FAILURE
    expected = {"webhook": ["pending", "refused"], "attributes": ["pending", "refused"], "intune": ["refused"],
                "registration-point": ["pending", "refused"]}.get(provider)
    if expected:
        env.wait_until(lambda: sorted(doubles.told(provider, spec.txid)) == expected,
                       what="not told: %s" % expected)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("end", ["success", "failure"])
def test_point(site, keys, first, end):
    """A front asks the registration point at A and tells the end at B."""
    a, b = (point.Front(site.hosts[number].tls) for number in (first, 1 - first))
    spec = scep.Spec(key=keys[3], challenge=site.hosts[1 - first].challenge(len(PROVIDERS)))
    answer = a.verify(spec)
    assert (answer.status, answer.body) == (201, b"true")
    assert b.notify(spec, "pending").status == 204
    leaf = pki.der_of(pki.certificate("device", keys[3], pki.make().load("ca.pem"), pki.key("ca-root")))
    assert b.notify(spec, end, leaf if end == "success" else None).status == 204
    again = a.verify(spec)
    assert again.body == (b"false" if end == "success" else b"true")
    assert again.header("X-Scep-Reason") == ("already-issued" if end == "success" else None)
    other = b.verify(scep.Spec(key=keys[0], challenge=spec.challenge))
    if end == "success":
        assert other.header("X-Scep-Reason") == "challenge-used"
    else:       # the first request has it again
        assert other.status == 503 and int(other.header("Retry-After")) > 0


@pytest.mark.parametrize("provider", ["challenge", "sealed"])
def test_bound(site, keys, provider):
    """What a challenge of A is bound to is looked at by B."""
    number = PROVIDERS.index(provider)
    challenge = bind(site.hosts[0], {"subject": "CN=expected"}, number)
    client = site.client(provider, 1)
    wrong = client.spec(key=keys[0], challenge=challenge, subject="CN=other")
    assert client.transact(wrong).status == scep.FAILURE
    assert Logs(site.hosts[1]).audit(wrong.txid)[-1]["reason"] == "bound-subject"
    right = client.spec(key=keys[0], challenge=challenge, subject="CN=expected")
    assert client.transact(right).status == scep.PENDING
