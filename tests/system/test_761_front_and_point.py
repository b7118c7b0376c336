# SPDX-License-Identifier: Apache-2.0
"""Fronts and registration points of ours together: two of each, mutual TLS, and what devices see of it."""
import concurrent.futures
import json
import re
import threading

import pytest

import approval
import conf
import env
import pki
import point
import scep_client as scep
from test_300_stores import secret_file
from test_246_poll import Switch
from test_720_logs import Logs, lines_of, logging

AUTHORIZE = 'ScepRegistrationPointAuthorize "%{SSL_CLIENT_S_DN_CN} =~ /^front/"'
JSON = [("Content-Type", "application/json"), ("Authorization", conf.authorization())]

pytestmark = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")


def policy(points, certificate="front1"):
    """ScepPolicy of a front."""
    files = pki.Pki(env.folder("front"))
    mine = files.write("front.pem", open(point.files()[certificate], "rb").read())
    names = ("url", "url2", "url3", "url4")
    urls = " ".join("%s=https://localhost:%d%s" % (name, made.tls, base) for name, made, base in zip(
        names, points, ("/CertificateRegistrationSvc", "/CMCertificateRegistration")))
    return "ScepPolicy registration-point %s certificate=%s key=%s caFile=%s" % (
        urls, mine, mine, point.files()["ca"])


class World:
    """Two points on one Redis, two fronts on another one, and a front whose CA does as it is told."""

    def __init__(self, factory, strangers=False):
        self.points = self.start_points(factory)
        self.switch = Switch()
        redis, secret = factory.redis(), secret_file(env.folder("secret"))
        lines = ("ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret, "ScepRequestTimeout 10s")
        services = self.services("stranger" if strangers else "front1")
        self.fronts = [factory.httpd(services, fault=True, server=logging(*lines),
                                     locations=[approval.LOCATION]).start() for _ in range(2)]
        self.all = self.points + self.fronts
        for made in self.all:
            made.logs = Logs(made)

    @staticmethod
    def start_points(factory):
        redis, secret = factory.redis(), secret_file(env.folder("secret"))
        points = []
        for _ in range(2):
            service = point.Point(pki.make(), AUTHORIZE, "ScepTemplate signature Server")
            made = factory.httpd([service], modules=point.MODULES, server=logging(
                "SSLSessionCache shmcb:cache(65536)", "ScepStore " + redis.urls()["tcp"],
                "ScepChallengeSecretFile %s" % secret))
            made.tls = env.free_port()
            made.locations.append(point.virtual_host(made.tls))
            points.append(made.start())
        return points

    def services(self, certificate):
        asks = policy(self.points, certificate)
        made = [conf.Service(pki.make(), backend="fault").add(asks, "ScepPollInterval 1s"),
                conf.Service(pki.make(), name="manual", path="/manual").add(
                    asks, "ScepApproval manual", "ScepPollInterval 1s")]
        made[0].lines = [line + (" switch=%s" % self.switch.path if line.startswith("ScepCABackend") else "")
                         for line in made[0].lines]
        return made

    def challenge(self, which=0, **bound):
        """Of one of the points, bound to that."""
        if not bound:
            return self.points[which].challenge()
        response = self.points[which].connection(keep_alive=False).request(
            "POST", self.points[which].admin_path(), JSON, json.dumps(bound).encode())
        assert response.status == 200, response.body
        return json.loads(response.body)["challenge"]

    def point_texts(self, txid):
        """The points' policy logs of a transaction."""
        return [text for made in self.points for text in made.logs.texts(txid)]

    def point_lines(self, txid):
        """The points' audit lines of a transaction."""
        return [line for made in self.points for line in lines_of(made.logs.audit_file)
                if line.get("transactionID") == txid]


@pytest.fixture(scope="module")
def world(module_factory):
    return World(module_factory)


@pytest.fixture(autouse=True)
def well(world):
    world.switch.says("mode=issued")


def ask(server, key, challenge, which=0, **fields):
    """(HTTP response, reply or None, spec)"""
    client = server.client(which, keep_alive=False)
    spec = client.spec(key=key, challenge=challenge, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None, spec


def test_yes(world, keys):
    """One transaction in all logs of both sides, and the challenge in none."""
    challenge = world.challenge(subject="CN=phone", device="d-17", user="anna")
    _, reply, spec = ask(world.fronts[0], keys[0], challenge, subject="CN=phone")
    assert reply.status == scep.SUCCESS
    line = world.fronts[0].logs.audit(spec.txid)[-1]
    assert (line["device"], line["user"], line["result"]) == ("d-17", "anna", "success")
    texts = world.fronts[0].logs.texts(spec.txid)
    assert texts.count("Sending request to certificate registration point.") == 2
    assert "Verify challenge returns true" in texts and not [x for x in texts if "Validation" in x]
    assert [x["operation"] for x in world.point_lines(spec.txid)] == ["VerifyRequest", "Notify"]
    assert world.point_lines(spec.txid)[1]["serial"] == line["serial"]
    texts = world.point_texts(spec.txid)
    assert texts[0] == "VerifyRequest Started." and texts[-1] == "Notify Finished."
    assert "Validation Phase 3 started for device d-17 and user anna." in texts
    for made in world.all:
        for text in (made.log.text(0), made.logs.audit_file.read_text(), made.logs.policy_file.read_text()):
            assert challenge not in text


REFUSED = {
    "subject": (dict(subject="CN=admin"), "bound-subject"), "template": ({}, "bound-template"),
    "unknown": (None, "challenge-unknown")}


@pytest.mark.parametrize("fields, reason", REFUSED.values(), ids=REFUSED.keys())
def test_no(world, keys, fields, reason):
    """The device sees what it would see of the point; the front's logs have the point's reason."""
    bound = {"template": "Server"} if reason == "bound-template" else {"subject": "CN=phone"}
    challenge = "0123456789ABCDEF" if fields is None else world.challenge(**bound)
    _, reply, spec = ask(world.fronts[0], keys[0], challenge, **dict(dict(subject="CN=phone"), **(fields or {})))
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST) and reply.fail_text
    line, = world.point_lines(spec.txid)
    mine = world.fronts[0].logs.audit(spec.txid)[-1]
    assert mine["reason"] == line["reason"] == reason
    assert mine["hresult"] == line["hresult"] == "0x%08x" % reply.hresult
    assert world.fronts[0].logs.texts(spec.txid)[-1] == "Exiting VerifyRequest with " + mine["hresult"]
    assert "VerifyRequest Finished with status False" in world.point_texts(spec.txid)


def test_one_challenge_at_two_fronts(world, keys):
    """At once, by two devices: one certificate."""
    for _ in range(3):
        challenge = world.challenge(1)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda n: ask(world.fronts[n % 2], keys[n], challenge)[:2], range(4)))
        replies = [reply for _, reply in answers if reply and reply.status == scep.SUCCESS]
        assert len(replies) == 1
        assert {response.status for response, _ in answers} <= {200, 503}


def test_one_request_at_two_fronts(world, keys):
    client = [front.client(keep_alive=False) for front in world.fronts]
    for one in client:
        one.cacert()
    spec = client[0].spec(key=keys[0], challenge=world.challenge())
    message = spec.build()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: client[n].send(message), range(2)))
    leaves = {client[n].reply(answer, spec).leaf.serial_number for n, answer in enumerate(answers)
              if answer.status == 200}
    leaves.add(client[1].transact(spec).leaf.serial_number)
    assert len(leaves) == 1
    assert sum(x["operation"] == "Notify" for x in world.point_lines(spec.txid)) == 1


def test_ca_refuses(world, keys):
    """An attempt is counted at the point; three burn the challenge."""
    challenge = world.challenge()
    world.switch.says("mode=rejected")
    for _ in range(3):
        _, reply, spec = ask(world.fronts[0], keys[0], challenge)
        assert reply.status == scep.FAILURE
        env.wait_until(lambda: [x for x in world.point_lines(spec.txid) if x["operation"] == "Notify"])
    world.switch.says("mode=issued")
    _, reply, spec = ask(world.fronts[1], keys[0], challenge)
    assert reply.status == scep.FAILURE
    assert world.fronts[1].logs.audit(spec.txid)[-1]["reason"] == "challenge-burned"


def test_ca_away(world, keys):
    """Nobody is to blame: the challenge is as good as before."""
    challenge = world.challenge()
    world.switch.says("mode=retry")
    for _ in range(4):
        response, _, spec = ask(world.fronts[0], keys[0], challenge)
        assert response.status == 503
        env.wait_until(lambda: [x for x in world.point_lines(spec.txid) if x["operation"] == "Notify"])
    world.switch.says("mode=issued")
    assert ask(world.fronts[1], keys[0], challenge)[1].status == scep.SUCCESS


def test_waiting(world, keys):
    """A person approves at one host of the front, the device polls the other one."""
    client = world.fronts[0].client(1, keep_alive=False)
    spec = client.spec(key=keys[0], challenge=world.challenge())
    assert client.transact(spec).status == scep.PENDING
    assert ask(world.fronts[0], keys[1], spec.challenge)[1].status == scep.FAILURE     # held
    assert approval.decide(world.fronts[0], spec.txid, service="manual") == 200
    other = world.fronts[1].client(1, keep_alive=False)
    other.cacert()
    assert other.wait(spec).status == scep.SUCCESS
    assert [x["operation"] for x in world.point_lines(spec.txid)] == ["VerifyRequest", "Notify"] * 2


def test_renewal(world, keys):
    client = world.fronts[0].client(keep_alive=False)
    old = client.transact(client.spec(key=keys[0], challenge=world.challenge(), subject="CN=renewing"))
    spec = client.renewal_spec(keys[1], pki.der_of(old.leaf), keys[0])
    assert client.transact(spec).status == scep.SUCCESS
    assert [x["result"] for x in world.point_lines(spec.txid)] == ["success", "success"]


def test_point_ends_before_notify(factory, keys):
    """While the CA signs: the other point of the store is told.  Without any, no certificate leaves."""
    world = World(factory)
    for made in world.all:
        made.expect("SCEP0285", "SCEP0290", "SCEP0121")
    world.switch.says("mode=issued delay=3s")
    results = []
    thread = threading.Thread(target=lambda: results.append(ask(world.fronts[0], keys[0], world.challenge())))
    thread.start()
    asked = env.wait_until(lambda: [made for made in world.points
                                    if made.log.lines("VerifyRequest", 0)], what="no point was asked")
    asked[0].stop()
    thread.join()
    assert results[0][1].status == scep.SUCCESS
    left, = [made for made in world.points if made is not asked[0]]
    spec = results.pop()[2]
    assert [x["operation"] for x in lines_of(left.logs.audit_file) if x["transactionID"] == spec.txid] == ["Notify"]
    challenge = world.challenge(world.points.index(left))
    client = world.fronts[0].client(keep_alive=False)
    spec = client.spec(key=keys[1], challenge=challenge)
    thread = threading.Thread(target=lambda: results.append(client.send(spec.build())))
    thread.start()
    env.wait_until(lambda: left.log.lines("%s.*VerifyRequest|VerifyRequest.*%s" % (spec.txid, spec.txid), 0))
    left.stop()
    thread.join()
    assert results[0].status == 503
    texts = world.fronts[0].logs.texts(spec.txid)
    assert any(re.match(r"Failed to send http request .*/Notify\. Error 12(029|030|175)", x) for x in texts)
    world.switch.says("mode=issued")
    left.start()
    reply = env.wait_until(lambda: again(client, spec), 60, 1, what="no certificate")
    assert reply.status == scep.SUCCESS


def again(client, spec):
    """The reply, None while there is none."""
    response = client.send(spec.build())
    return client.reply(response, spec) if response.status == 200 else None


def test_stranger(factory, keys):
    """A front that the point does not know: HTTP 403, and both sides say why."""
    world = World(factory, strangers=True)
    for made in world.points:
        made.expect("SCEP0543")
    for made in world.fronts:       # the other one may be who delivers the news
        made.expect("SCEP0285", "SCEP0290")
    response, _, spec = ask(world.fronts[0], keys[0], world.challenge())
    assert response.status == 503
    assert world.fronts[0].log.wait("SCEP0290.*our client certificate was not accepted")
    assert any(made.log.lines("SCEP0543", 0) for made in world.points)
    assert "The certificate registration point answered with HTTP status 403" in world.fronts[0].logs.texts(spec.txid)
