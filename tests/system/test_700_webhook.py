# SPDX-License-Identifier: Apache-2.0
"""ScepPolicy webhook over real TLS, and ScepPolicy static: each answer, and what the device sees."""
import subprocess
import sys
import threading

import pytest

import conf
import env
import httpd as httpds
import pki
import scep_client as scep
from test_300_stores import secret_file
from webhook import SECRET, Webhook


@pytest.fixture(scope="module")
def hook():
    made = Webhook()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def well(hook):
    """The webhook says yes again after each test; news that one test leaves may meet the next one's trouble."""
    hook.allow()
    hook.told.clear()
    for live in httpds.live:
        live.expect("SCEP0285")
    yield
    hook.allow()


def service(*policies, **how):
    return conf.Service(pki.make(), **how).add(*policies)


@pytest.fixture(scope="module")
def server(hook, module_factory):
    """One that asks the webhook alone, one that wants a challenge as well, one with a shared secret."""
    secret = env.folder("static") / "secret"
    secret.write_text("Sh4redS3cret\nOlderSecret\n")
    secret.chmod(0o600)
    webhook = hook.policy("challengeRequired=off", "concurrency=4", "timeout=3s")
    made = module_factory.httpd([
        service(webhook, name="open"),
        service("ScepPolicy challenge", hook.policy("timeout=3s"), name="both", path="/both"),
        service("ScepPolicy static file=%s" % secret, name="shared", path="/shared")]).start()
    assert all("SCEP0200" in line for line in made.log.check())     # static warns
    return made


def ask(server, key, which=0, challenge=None, **fields):
    """(HTTP status, reply or None, spec)"""
    client = server.client(which, keep_alive=False)
    spec = client.spec(key=key, challenge=challenge, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None, spec


def test_yes(server, hook, keys):
    _, reply, spec = ask(server, keys[0], subject="CN=hooked")
    assert reply.status == scep.SUCCESS
    asked, = hook.of("verify")
    assert asked["service"] == "open" and asked["subject"] == "CN=hooked" and asked["renewal"] is False
    assert asked["keyType"] == "RSA-2048" and asked["csr"] and "challenge" not in asked
    told, = hook.news(asked["transactionID"])
    assert told["event"] == "issued" and len(told["id"]) == 64
    assert int(told["serial"], 16) == reply.leaf.serial_number


def test_a_lost_answer_is_not_asked_for_twice(server, hook, keys):
    client = server.client(keep_alive=False)
    spec = client.spec(key=keys[0], subject="CN=again")
    first = client.transact(spec)
    assert client.transact(spec).leaf == first.leaf
    assert len(hook.of("verify")) == 1


def test_no(server, hook, keys):
    hook.answer = (200, (), {"allow": False, "reason": "serial\r\nunknown", "text": "Not one of ours."})
    _, reply, spec = ask(server, keys[0])
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert reply.fail_text == "Not one of ours." and reply.hresult is not None
    assert server.log.wait(r"webhook-refused.*the webhook says: serial  unknown")
    told, = hook.news(spec.txid)
    assert told["event"] == "refused" and told["reason"] == "webhook-refused"


BROKEN = {
    "no allow": (200, (), {}), "text": (200, (), b"yes"), "string": (200, (), {"allow": "true"}),
    "twice": (200, (), b'{"allow":false,"allow":true}'), "201": (201, (), {"allow": True}),
    "500": (500, (), {"allow": True}), "401": (401, (), {}), "redirect": (302, [("Location", "/x")], {}),
    "large": (200, (), b" " * 100000 + b'{"allow":true}'),
    "cut": (0, (), {}),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_anything_else_is_no_yes(server, hook, keys, answer):
    server.expect("SCEP0220", "SCEP0285")
    hook.answer = answer
    response, _, spec = ask(server, keys[0])
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert spec.txid not in [told["transactionID"] for told in hook.of("notify")]
    hook.allow()
    env.wait_until(lambda: ask(server, keys[0])[0].status == 200)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_passed_on(server, hook, keys, status):
    server.expect("SCEP0220")
    hook.answer = (status, [("Retry-After", "77")], {})
    response, _, _ = ask(server, keys[0])
    assert response.status == 503 and response.header("Retry-After") == "77"


def test_news_that_are_never_taken(server, hook, keys):
    """They are lost, with a line that names transaction and reason; the certificate is out all the same."""
    server.expect("SCEP0283")
    hook.thanks = (410, (), {})
    _, reply, spec = ask(server, keys[0])
    assert reply.status == scep.SUCCESS
    server.log.wait("SCEP0283.*%s.*webhook#1.*HTTP status 410" % spec.txid)


def test_news_are_tried_again(server, hook, keys):
    server.expect("SCEP0285")
    hook.thanks = (500, (), {})
    _, reply, spec = ask(server, keys[0])
    assert reply.status == scep.SUCCESS
    server.log.wait("SCEP0285.*HTTP status 500")
    hook.news(spec.txid, 1, 30)
    hook.allow()
    tried = hook.news(spec.txid, 2, 60)
    assert tried[0] == tried[1] and tried[0]["event"] == "issued"
    server.log.wait("SCEP0286")


SYNC = {
    "confirmed": ((204, (), b""), scep.SUCCESS),
    "forbidden": ((403, (), {"allow": False, "text": "Lost."}), scep.FAILURE),
    "forbidden by 200": ((200, (), {"allow": False, "text": "Lost."}), scep.FAILURE),
    "away": ((500, (), {}), None),
}


@pytest.mark.parametrize("thanks, status", SYNC.values(), ids=SYNC.keys())
def test_confirmation(hook, factory, keys, thanks, status):
    """notifySync: what the receiver has not confirmed does not leave; the device can come again."""
    server = factory.httpd([service(hook.policy("challengeRequired=off", "notifySync=on"))]).start()
    server.expect("SCEP0221")
    hook.thanks = thanks
    response, reply, spec = ask(server, keys[0])
    assert [told["event"] for told in hook.news(spec.txid)] == ["issued"]
    if status is None:
        assert response.status == 503 and server.log.wait("SCEP0221.*HTTP status 500")
        hook.allow()
        client = server.client(keep_alive=False)
        client.cacert()
        assert client.transact(spec).status == scep.SUCCESS
        assert len({told["id"] for told in hook.news(spec.txid, 2)}) == 1
    else:
        assert reply.status == status
        if status == scep.FAILURE:
            assert reply.fail_text == "Lost." and server.log.wait("SCEP0120")


def test_both_must_allow(server, hook, keys):
    challenge = server.challenge(1)
    assert ask(server, keys[0], 1, "0123456789ABCDEF")[1].status == scep.FAILURE
    assert ask(server, keys[0], 1)[1].status == scep.FAILURE
    assert not hook.of("verify")
    hook.answer = (200, (), {"allow": False})
    assert ask(server, keys[0], 1, challenge)[1].status == scep.FAILURE
    hook.allow()
    _, reply, _ = ask(server, keys[1], 1, challenge)
    assert reply.status == scep.SUCCESS
    asked = hook.of("verify")[-1]
    assert "challenge" not in asked and "csr" not in asked and asked["publicKey"]


def test_slow_webhook_leaves_workers(server, hook, keys):
    """Four calls of a child hang, further ones fail at once, and what needs no policy is answered."""
    server.expect("SCEP0220", "SCEP0285")
    hook.gate.clear()
    statuses = []
    threads = [threading.Thread(target=lambda n=n: statuses.append(ask(server, keys[n % 4])[0].status))
               for n in range(24)]
    for thread in threads:
        thread.start()
    env.wait_until(lambda: hook.of("verify"))
    client = server.client(keep_alive=False)
    assert client.get("GetCACaps").status == 200
    assert client.get("GetCACert").status == 200
    assert server.log.wait("SCEP0220.*busy: 4 calls are under way")
    for thread in threads:
        thread.join()
    assert set(statuses) == {503} and len(hook.of("verify")) <= 4 * 4
    hook.allow()
    env.wait_until(lambda: ask(server, keys[0])[0].status == 200)


@pytest.mark.parametrize("kind, said", [("stranger", "certificate"), ("wrong-name", "localhost"),
                                        ("expired", "expired")])
def test_wrong_certificate(factory, keys, kind, said):
    other = Webhook(kind)
    server = factory.httpd([service(other.policy("challengeRequired=off"))]).start()
    server.expect("SCEP0220")
    assert ask(server, keys[0])[0].status == 503
    assert said in server.log.wait("SCEP0220").lower()
    assert not other.told
    other.stop()


def test_client_certificate(factory, keys):
    """Its key is root's alone; and without it the peer does not talk to us."""
    other = Webhook(mutual=True)
    mine = "certificate=%s key=%s" % (other.folder / "client.pem", other.folder / "client.key")
    server = factory.httpd([service(other.policy("challengeRequired=off", mine)),
                            service(other.policy("challengeRequired=off"), name="b", path="/b")]).start()
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    server.expect("SCEP0220")
    assert ask(server, keys[0], 1)[0].status == 503
    assert {told["service"] for told in other.told} == {"corp"}
    other.stop()


def test_second_url(factory, keys, hook):
    dead = "https://localhost:%d/" % env.free_port()
    server = factory.httpd([service(hook.policy(
        "challengeRequired=off", "url2=https://localhost:%d/scep" % hook.port, url=dead))]).start()
    for key in keys[:3]:
        assert ask(server, key)[1].status == scep.SUCCESS


def test_two_hosts(factory, keys, hook):
    """Asked at one, the same transaction at the other; and a breaker is each host's own."""
    secret = secret_file(env.folder("secret"))
    redis = factory.redis()
    hosts = [factory.httpd([service(hook.policy("challengeRequired=off"))], server=conf.Lines(
        "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret)).start() for _ in range(2)]
    clients = [host.client(keep_alive=False) for host in hosts]
    for client in clients:
        client.cacert()
    spec = clients[0].spec(key=keys[0], subject="CN=two")
    leaf = clients[0].transact(spec).leaf
    assert clients[1].transact(spec).leaf == leaf
    assert len(hook.of("verify")) == 1 and len(hook.news(spec.txid)) == 1
    hosts[0].expect("SCEP0220")
    hook.answer = (500, (), {})
    refused = clients[0].spec(key=keys[1], subject="CN=later")
    assert clients[0].send(refused.build()).status == 503
    hook.allow()
    assert clients[1].transact(refused).status == scep.SUCCESS


def test_shared_secret(server, keys):
    for number, secret in enumerate(("Sh4redS3cret", "Sh4redS3cret", "OlderSecret")):
        assert ask(server, keys[number], 2, secret)[1].status == scep.SUCCESS
    _, reply, _ = ask(server, keys[0], 2, "Sh4redS3cre")
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert ask(server, keys[0], 2)[1].status == scep.FAILURE
    text = server.log.text(0)
    assert "Sh4red" not in text and "OlderSecret" not in text


def test_shared_secret_on_the_page(server):
    page = server.admin(service=2).body.decode("utf-16")
    assert "The enrollment challenge password is: <B> Sh4redS3cret </B> <P> This password can be used " \
           "multiple times and will not expire." in page
    assert "Each enrollment needs a new password" not in page
    assert server.admin(service=2, user=None).status == 401


def test_static_warns_at_start(factory):
    secret = env.folder("static") / "secret"
    secret.write_text("Sh4redS3cret\n")
    secret.chmod(0o600)
    server = factory.httpd([service("ScepPolicy static file=%s" % secret)]).start()
    server.expect("SCEP0200")
    assert server.log.lines("SCEP0200.*one shared secret", 0)


CONFIG = {
    "http": ("webhook url=http://hook.example/ secretFile={s}", "in the clear"),
    "user": ("webhook url=https://u:pw@hook.example/ secretFile={s}", "user names"),
    "no secret": ("webhook url=https://hook.example/", "secretFile"),
    "absent secret": ("webhook url=https://hook.example/ secretFile={s}.no", "webhook secret"),
    "short secret": ("webhook url=https://hook.example/ secretFile={s}.short", "32"),
    "CA": ("webhook url=https://hook.example/ secretFile={s} caFile={s}", "secret"),
    "unknown": ("webhook url=https://hook.example/ secretFile={s} retries=3", "retries"),
    "static without file": ("static", "file"),
    "static, absent": ("static file={s}.no", "shared secret"),
    "static, for all": ("static file={s}.open", "by others"),
}


@pytest.mark.parametrize("words, said", CONFIG.values(), ids=CONFIG.keys())
def test_configuration(factory, words, said):
    secret = env.folder("secret") / "s"
    for name, text, mode in (("s", SECRET, 0o600), ("s.short", SECRET[:31], 0o600), ("s.open", SECRET, 0o644)):
        path = secret.with_name(name)
        path.write_text(text + "\n")
        path.chmod(mode)
    server = factory.httpd([service("ScepPolicy " + words.format(s=secret))])
    status, text = server.configtest()
    server.expect(r"ScepPolicy")
    assert status != 0 and said in text and "ScepPolicy" in text and "pw@" not in text and SECRET[:31] not in text


def test_receiver_of_the_examples(factory, keys):
    folder = env.folder("receiver")
    for name, text in (("secret", SECRET), ("names", "CN of nobody\nlisted")):
        (folder / name).write_text(text + "\n")
        (folder / name).chmod(0o600)
    port = env.free_port()
    process = env.start([sys.executable, env.SOURCE / "conf-examples" / "webhook-receiver.py",
                         folder / "secret", folder / "names", port], stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL)
    env.wait_until(lambda: env.listening(port))
    server = factory.httpd([service(
        "ScepPolicy webhook url=http://127.0.0.1:%d/ plainLoopback=on secretFile=%s challengeRequired=off" % (
            port, folder / "secret"))]).start()
    assert ask(server, keys[0], subject="CN=listed")[1].status == scep.SUCCESS
    assert process.stdout.readline().startswith(b"issued CN=listed ")
    _, reply, _ = ask(server, keys[0], subject="CN=stranger")
    assert (reply.status, reply.fail_text) == (scep.FAILURE, "This device is not registered.")
    (folder / "secret").write_text("another secret that nobody else has\n")
    server.expect("SCEP0220", "SCEP028")
    assert ask(server, keys[0], subject="CN=listed")[0].status == 503
    env.stop(process)
