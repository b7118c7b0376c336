# SPDX-License-Identifier: Apache-2.0
"""ScepPolicy registration-point over mutual TLS: each answer, what the device sees, and what both sides know."""
import base64
import secrets
import threading

import pytest
from cryptography import x509

import approval
import conf
import env
import pki
import scep_client as scep
from crp import BASES, Crp, State, challenge_of
from test_300_stores import secret_file
from test_720_logs import Logs, logging

VERIFY_PATH = BASES[0] + "/Certificate/VerifyRequest"
GENERIC = "The request was refused."


@pytest.fixture(scope="module")
def crp():
    made = Crp()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def well(crp):
    """The point behaves again after each test."""
    crp.behave()
    crp.told.clear()
    yield
    crp.behave()


def service(*lines, **how):
    return conf.Service(pki.make(), **how).add(*lines)


@pytest.fixture(scope="module")
def server(crp, module_factory):
    """Asks the point; small: a CA that wants larger keys; manual: a person has to approve.  One child, so that there
    is one circuit breaker, which a test can wait for."""
    made = module_factory.httpd([
        service(crp.policy("timeout=3s", "concurrency=4")),
        service(crp.policy(), "ScepTemplate general Large", "ScepLocalTemplate Large minimumKey=3072", name="small",
                path="/small"),
        service(crp.policy(), "ScepApproval manual", "ScepPollInterval 1s", name="manual", path="/manual")],
        server=logging("StartServers 1", "ServerLimit 1", "ThreadsPerChild 32", "MaxSpareThreads 32"),
        locations=[approval.LOCATION]).start()
    made.logs = Logs(made)
    return made


def challenge(crp):
    return crp.state.mint(secrets.token_hex(8))


def ask(server, key, crp=None, which=0, **fields):
    """(HTTP response, reply or None, spec) of a request with a challenge of the point's."""
    client = server.client(which, keep_alive=False)
    if crp:
        fields.setdefault("challenge", challenge(crp))
    spec = client.spec(key=key, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None, spec


def test_yes(server, crp, keys):
    _, reply, spec = ask(server, keys[0], crp, subject="CN=phone")
    assert reply.status == scep.SUCCESS
    (asked,), (told,) = crp.of("verify"), crp.of("notify")
    assert asked == dict(version=1, transactionId=spec.txid, template="default", clientAddress="127.0.0.1",
                         certificateRequest=base64.b64encode(spec.csr).decode())
    assert told == dict(version=1, transactionId=spec.txid, disposition="success",
                        certificateRequest=asked["certificateRequest"],
                        certificate=base64.b64encode(pki.der_of(reply.leaf)).decode())
    texts = server.logs.texts(spec.txid)
    assert texts[0] == "Calling VerifyRequest ..."
    assert texts[2:] == ["Sending request to certificate registration point.", "Verify challenge returns true",
                         "Exiting VerifyRequest with 0x0", "Calling Notifyrequest ...",
                         "Sending request to certificate registration point.",
                         "Certificate issued, serial number %s" % server.logs.audit(spec.txid)[-1]["serial"],
                         "Exiting Notify with 0x0"]
    assert spec.challenge not in server.log.text(0)


def test_a_challenge_is_spent(server, crp, keys):
    once = challenge(crp)
    assert ask(server, keys[0], challenge=once)[1].status == scep.SUCCESS
    _, reply, _ = ask(server, keys[1], challenge=once)
    assert (reply.status, reply.fail_info, reply.fail_text) == (scep.FAILURE, scep.BAD_REQUEST, GENERIC)


def test_a_lost_answer_is_not_asked_for_twice(server, crp, keys):
    client = server.client(keep_alive=False)
    spec = client.spec(key=keys[0], challenge=challenge(crp))
    first = client.transact(spec)
    assert client.transact(spec).leaf == first.leaf
    assert len(crp.of("verify")) == 1 and len(crp.of("notify")) == 1


def test_without_challenge_nobody_is_asked(server, crp, keys):
    _, reply, _ = ask(server, keys[0])
    assert reply.status == scep.FAILURE and not crp.told
    assert server.log.wait("challenge-missing")


def test_no(server, crp, keys):
    """A point that says no more than false."""
    _, reply, spec = ask(server, keys[0], challenge="unknown")
    assert (reply.status, reply.fail_info, reply.fail_text) == (scep.FAILURE, scep.BAD_REQUEST, GENERIC)
    assert reply.hresult == 0x80070005
    assert not crp.of("notify")
    audit, texts = server.logs.audit(spec.txid)[-1], server.logs.texts(spec.txid)
    assert audit["reason"] == "registration-point-refused" and "gives no reason" in audit["detail"]
    assert "Verify challenge returns false" in texts and texts[-1] == "Exiting VerifyRequest with 0x80070005"
    assert not [text for text in texts if "Validation Phase" in text]


def test_no_with_reasons(server, crp, keys):
    crp.answer = (201, [("X-Scep-Reason", "challenge-expired"), ("X-Scep-FailInfo", "badTime"),
                        ("X-Scep-HResult", "0x800b0101"), ("X-Scep-Text", "Ask for a new one.")], b"false")
    _, reply, spec = ask(server, keys[0], crp)
    assert (reply.status, reply.fail_info, reply.fail_text) == (scep.FAILURE, scep.BAD_TIME, "Ask for a new one.")
    assert reply.hresult == 0x800b0101
    assert server.logs.audit(spec.txid)[-1]["reason"] == "challenge-expired"


def test_stale_failure(server, crp, keys):
    """News of an earlier try come between the yes and the certificate: the point is asked again."""
    crp.before_success.append(lambda body: crp.state.notify(dict(body, disposition="failure")))
    _, reply, spec = ask(server, keys[0], crp)
    assert reply.status == scep.SUCCESS
    assert [what for what, _ in crp.told] == ["verify", "notify", "verify", "notify"]
    assert not crp.before_success and spec.challenge not in crp.state.open


def test_stale_failure_and_another_request(server, crp, keys):
    """Somebody else has the challenge meanwhile: no certificate is delivered."""
    def lose(body):
        crp.state.notify(dict(body, disposition="failure"))
        crp.state.held[("other", "request")] = challenge_of(body)
    crp.before_success.append(lose)
    server.expect("SCEP0291")
    _, reply, spec = ask(server, keys[0], crp)
    assert reply.status == scep.FAILURE and len(crp.of("verify")) == 2
    assert server.logs.audit(spec.txid)[-1]["reason"] == "registration-point-conflict"


BROKEN = {
    "empty": (201, (), b""), "True": (201, (), b"True"), "string": (201, (), b'"true"'), "json": (201, (), b"{}"),
    "more": (201, (), b"true\n"), "200": (200, (), b"true"), "204": (204, (), b""),
    "redirect": (302, [("Location", "/x")], b"true"), "404": (404, (), b"true"), "500": (500, (), b"true"),
    "attributes": (201, [("X-Scep-Attributes", "e30=")], b"true"), "large": (201, (), b" " * 100000),
    "template": (201, [("X-Scep-Attributes", base64.urlsafe_b64encode(b'{"template":"Vip"}').decode().rstrip("="))],
                 b"true"),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_anything_else_is_no_yes(server, crp, keys, answer):
    server.expect("SCEP0285", "SCEP0290")
    crp.answer = answer
    response, _, spec = ask(server, keys[0], crp)
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert "Exiting VerifyRequest with 0x800706ba" in server.logs.texts(spec.txid)
    crp.behave()
    env.wait_until(lambda: ask(server, keys[0], crp)[0].status == 200)


def test_forbidden_says_whose_certificate(server, crp, keys):
    server.expect("SCEP0285", "SCEP0290")
    crp.answer = (403, (), b"<html>403.16</html>")
    response, _, spec = ask(server, keys[0], crp)
    assert response.status == 503
    assert server.log.wait("SCEP0290.*our client certificate was not accepted")
    assert "The certificate registration point answered with HTTP status 403" in server.logs.texts(spec.txid)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_passed_on(server, crp, keys, status):
    server.expect("SCEP0285", "SCEP0290")
    crp.answer = (status, [("Retry-After", "77")], b"")
    response, _, _ = ask(server, keys[0], crp)
    assert response.status == 503 and response.header("Retry-After") == "77"


def test_attributes(crp, factory, keys):
    server = factory.httpd([service(crp.policy("attributes=subject"))], server=logging()).start()
    said = base64.urlsafe_b64encode(b'{"subject":"CN=by the point","device":"d-17"}').decode().rstrip("=")
    once = challenge(crp)
    crp.answer = (201, [("X-Scep-Attributes", said)], b"true")
    crp.thanks = (204, (), b"")
    _, reply, spec = ask(server, keys[0], challenge=once, subject="CN=whatever")
    assert reply.leaf.subject.rfc4514_string() == "CN=by the point"
    assert Logs(server).audit(spec.txid)[-1]["device"] == "d-17"


def test_slow_point_leaves_workers(server, crp, keys):
    server.expect("SCEP0285", "SCEP0290")
    crp.gate.clear()
    statuses, codes = [], []

    def one(n):
        response, _, spec = ask(server, keys[n % 4], crp)
        statuses.append(response.status)
        codes.extend(text for text in server.logs.texts(spec.txid) if text.startswith("Failed to send"))
    threads = [threading.Thread(target=one, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    env.wait_until(lambda: crp.of("verify"))
    assert server.client(keep_alive=False).get("GetCACaps").status == 200
    assert server.log.wait("SCEP0290.*busy: 4 calls are under way")
    for thread in threads:
        thread.join()
    assert set(statuses) == {503}
    assert "Failed to send http request %s. Error 12002" % VERIFY_PATH in codes
    crp.behave()
    env.wait_until(lambda: ask(server, keys[0], crp)[0].status == 200)


# What is wrong: (the point's certificate, ours, WinHTTP's number)
TRUST = {"stranger": ("stranger", "client.pem", 12175), "name": ("wrong-name", "client.pem", 12175),
         "expired": ("expired", "client.pem", 12175), "ours": ("good", "foreign.pem", 12175)}


@pytest.mark.parametrize("kind, mine, number", TRUST.values(), ids=TRUST.keys())
def test_no_trust(factory, keys, kind, mine, number):
    point = Crp(kind)
    server = factory.httpd([service(point.policy(certificate=mine))], server=logging()).start()
    server.expect("SCEP0285", "SCEP0290")
    response, _, spec = ask(server, keys[0], point)
    assert response.status == 503 and not point.told
    assert "Failed to send http request %s. Error %d" % (VERIFY_PATH, number) in Logs(server).texts(spec.txid)
    point.stop()


def test_nobody_there(crp, factory, keys):
    server = factory.httpd([service(crp.policy(url="https://localhost:%d%s" % (env.free_port(), BASES[1])))],
                           server=logging()).start()
    server.expect("SCEP0285", "SCEP0290")
    response, _, spec = ask(server, keys[0], crp)
    assert response.status == 503
    assert ("Failed to send http request %s/Certificate/VerifyRequest. Error 12029" % BASES[1]
            in Logs(server).texts(spec.txid))


def test_cut(server, crp, keys):
    server.expect("SCEP0285", "SCEP0290")
    crp.answer = (0, (), b"")
    response, _, spec = ask(server, keys[0], crp)
    assert response.status == 503
    assert "Failed to send http request %s. Error 12030" % VERIFY_PATH in server.logs.texts(spec.txid)
    crp.behave()
    env.wait_until(lambda: ask(server, keys[0], crp)[0].status == 200)


def test_second_base(crp, factory, keys):
    server = factory.httpd([service(crp.policy(url=crp.at(BASES[1]) + "/"))]).start()
    assert ask(server, keys[0], crp)[1].status == scep.SUCCESS


UNTOLD = {"500": (500, (), b""), "200": (200, (), b""), "403": (403, (), b""), "cut": (0, (), b"")}


@pytest.mark.parametrize("thanks", UNTOLD.values(), ids=UNTOLD.keys())
def test_no_certificate_leaves_untold(server, crp, keys, thanks):
    """And the same request gets one when the point is well again."""
    server.expect("SCEP0285", "SCEP0290")
    crp.thanks = thanks
    client = server.client(keep_alive=False)
    spec = client.spec(key=keys[0], challenge=challenge(crp))
    assert client.send(spec.build()).status == 503
    assert server.log.wait("SCEP0120")
    texts = server.logs.texts(spec.txid)
    assert texts[-1] == "Exiting Notify with 0x800706ba"
    assert any("No certificate was issued" in text for text in texts)
    crp.behave()
    reply = env.wait_until(lambda: client.send(spec.build()).status == 200 and client.transact(spec))
    assert reply.status == scep.SUCCESS
    told = [body for body in crp.of("notify") if body["disposition"] == "success"]
    assert base64.b64decode(told[-1]["certificate"]) == pki.der_of(reply.leaf)


def test_the_point_gave_the_transaction_up(server, crp, keys):
    server.expect("SCEP0285", "SCEP0291")
    crp.thanks = (409, (), b"")
    _, reply, spec = ask(server, keys[0], crp)
    assert (reply.status, reply.fail_info, reply.fail_text) == (scep.FAILURE, scep.BAD_REQUEST, GENERIC)
    assert server.logs.audit(spec.txid)[-1]["reason"] == "registration-point-conflict"


def test_failure_is_told(server, crp, keys):
    """The challenge is free again, for a request that the CA takes."""
    once = challenge(crp)
    _, reply, _ = ask(server, keys[0], which=1, challenge=once)
    assert reply.status == scep.FAILURE
    told, = crp.of("notify")
    assert told["disposition"] == "failure" and "certificate" not in told
    assert told["hresult"] >= 0x80000000 and "3072" in told["errorDescription"]
    assert ask(server, keys[0], challenge=once)[1].status == scep.SUCCESS


def test_failure_is_told_later(server, crp, keys):
    """A point that is away hears it when it is back: the challenge is free then."""
    server.expect("SCEP0285")
    once = challenge(crp)
    crp.thanks = (503, (), b"")
    assert ask(server, keys[0], which=1, challenge=once)[1].status == scep.FAILURE
    first = crp.of("notify")[0]
    assert once in crp.state.held.values()
    crp.behave()
    env.wait_until(lambda: once not in crp.state.held.values(), 30, what="the news were not delivered")
    assert all(told == first for told in crp.of("notify"))
    assert ask(server, keys[0], challenge=once)[1].status == scep.SUCCESS


def test_pending_is_told(server, crp, keys):
    client = server.client(2, keep_alive=False)
    spec = client.spec(key=keys[0], challenge=challenge(crp))
    assert client.transact(spec).status == scep.PENDING
    assert [told["disposition"] for told in crp.of("notify")] == ["pending"]
    assert ask(server, keys[1], challenge=spec.challenge)[1].status == scep.FAILURE
    assert approval.decide(server, spec.txid, service="manual") == 200
    assert client.wait(spec).status == scep.SUCCESS
    assert [told["disposition"] for told in crp.of("notify")] == ["pending", "success"]


def test_renewal(server, crp, keys):
    client = server.client(keep_alive=False)
    old = client.transact(client.spec(key=keys[0], challenge=challenge(crp), subject="CN=renewing"))
    der = pki.der_of(old.leaf)
    crp.told.clear()
    assert client.renew(keys[1], der, keys[0]).status == scep.SUCCESS
    for _, body in crp.told:
        assert base64.b64decode(body["signingCertificate"]) == der
        assert "hallenge" not in str(body)
        csr = x509.load_der_x509_csr(base64.b64decode(body["certificateRequest"]))
        assert not list(csr.attributes)[1:] and len(crp.told) == 2


@pytest.fixture
def two(factory):
    """Two points of one state, two fronts of one Redis."""
    state = State()
    points = [Crp(state=state), Crp(state=state)]
    redis, secret = factory.redis(), secret_file(env.folder("secret"))
    lines = points[0].policy("url2=" + points[1].at(), "timeout=3s")
    fronts = [factory.httpd([service(lines)], server=logging(
        "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret)).start() for _ in range(2)]
    yield points, fronts
    for point in points:
        point.stop()


def test_two_fronts(two, keys):
    """Asked at one, the same transaction at the other; each goes on when a point is gone."""
    points, fronts = two
    client = fronts[0].client(keep_alive=False)
    spec = client.spec(key=keys[0], challenge=challenge(points[0]))
    leaf = client.transact(spec).leaf
    other = fronts[1].client(keep_alive=False)
    other.cacert()
    assert other.transact(spec).leaf == leaf
    assert sum(len(point.told) for point in points) == 2
    points[0].stop()
    for number, front in enumerate(fronts):
        assert ask(front, keys[number], points[1])[1].status == scep.SUCCESS


def test_point_killed_before_notify(two, keys):
    """The other one is told; it knows what the first allowed."""
    points, fronts = two
    points[0].dies_after_verify = True
    _, reply, spec = ask(fronts[0], keys[0], points[0])
    assert reply.status == scep.SUCCESS
    assert [len(points[0].of("verify")), len(points[1].of("notify"))] == [1, 1]
    assert Logs(fronts[0]).texts(spec.txid)[-1] == "Exiting Notify with 0x0"


def test_only_point_killed_before_notify(factory, keys):
    point = Crp()
    server = factory.httpd([service(point.policy("timeout=3s"))], server=logging()).start()
    server.expect("SCEP0285", "SCEP0290")
    point.dies_after_verify = True
    response, _, spec = ask(server, keys[0], point)
    assert response.status == 503
    texts = Logs(server).texts(spec.txid)
    assert "Verify challenge returns true" in texts
    assert any(text.startswith("Failed to send http request %s/Certificate/Notify. Error 120" % BASES[0])
               for text in texts)


CONFIG = {
    "no key": ("url=https://crp.example/x certificate={f}/client.pem", "key"),
    "no base": ("url=https://crp.example certificate={f}/client.pem key={f}/client.key", "base"),
    "http": ("url=http://crp.example/x certificate={f}/client.pem key={f}/client.key", "in the clear"),
    "user": ("url=https://u:pw@crp.example/x certificate={f}/client.pem key={f}/client.key", "user names"),
    "other key": ("url=https://crp.example/x certificate={f}/ca.pem key={f}/client.key", "is not that of"),
    "absent": ("url=https://crp.example/x certificate={f}/no.pem key={f}/client.key", "no such file"),
    "attribute": ("url=https://crp.example/x certificate={f}/client.pem key={f}/client.key attributes=all",
                  "attributes"),
    "unknown": ("url=https://crp.example/x certificate={f}/client.pem key={f}/client.key retries=3", "retries"),
}


@pytest.mark.parametrize("words, said", CONFIG.values(), ids=CONFIG.keys())
def test_configuration(crp, factory, words, said):
    server = factory.httpd([service("ScepPolicy registration-point " + words.format(f=crp.folder))])
    status, text = server.configtest()
    server.expect("ScepPolicy")
    assert status != 0 and said in text and "ScepPolicy" in text and "pw@" not in text
