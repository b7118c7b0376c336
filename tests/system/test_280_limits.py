# SPDX-License-Identifier: Apache-2.0
"""ScepFailureLimit: who guesses challenges is told to wait, on all hosts, and nobody else is."""
import pytest

import conf
import env
import pki
import scep_client as scep
from http_client import Connection
from test_300_stores import secret_file
from webhook import Webhook

REMOTEIP = ["RemoteIPHeader X-Forwarded-For", "RemoteIPInternalProxy 127.0.0.1"]


def attempt(server, key, challenge, address=None, agent=None):
    """The HTTP answer to one enrollment; address: what the proxy says about the client."""
    client = server.client(keep_alive=False)
    headers = [("Content-Type", "application/x-pki-message")]
    if address:
        headers.append(("X-Forwarded-For", address))
    if agent:
        headers.append(("User-Agent", agent))
    spec = client.spec(key=key, challenge=challenge)
    response = client.send(spec.build(), headers=headers)
    return response.status if response.status != 200 else client.reply(response, spec).status, response


def guess(server, key, count, **how):
    """What count wrong challenges are answered with."""
    return [attempt(server, key, "WRONG%08d" % number, **how)[0] for number in range(count)]


@pytest.fixture(scope="module")
def proxied(module_factory):
    """Three failures an hour; a proxy tells the address."""
    lines = conf.Lines("ScepFailureLimit 3 1h", *REMOTEIP)
    lines.add("ScepLimitExempt \"-R '192.0.2.0/24' || %{HTTP_USER_AGENT} == 'our scanner'\"")
    return module_factory.httpd(server=lines, modules=("remoteip",)).start()


@pytest.mark.smoke
def test_wrong_challenges_end_in_429(proxied, keys):
    assert guess(proxied, keys[0], 3, address="203.0.113.1") == [scep.FAILURE] * 3
    status, response = attempt(proxied, keys[0], "WRONG", address="203.0.113.1")
    assert status == 429 and 60 < int(response.header("Retry-After")) <= 4000
    assert response.header("Cache-Control") == "no-store"
    assert "result=limited" in proxied.log.wait("result=limited")
    # the right one does not help from there, and does from elsewhere
    challenge = proxied.challenge()
    assert attempt(proxied, keys[1], challenge, address="203.0.113.1")[0] == 429
    assert attempt(proxied, keys[1], challenge, address="203.0.113.2")[0] == scep.SUCCESS


def test_a_network_of_ipv6_is_one_client(proxied, keys):
    assert guess(proxied, keys[0], 2, address="2001:db8:1:2::1") == [scep.FAILURE] * 2
    assert guess(proxied, keys[0], 2, address="2001:db8:1:2:3:4:5:6") == [scep.FAILURE, 429]
    assert guess(proxied, keys[0], 1, address="2001:db8:1:3::1") == [scep.FAILURE]


def test_success_is_never_counted(proxied, keys):
    for number in range(5):
        assert attempt(proxied, keys[number % 4], proxied.challenge(), address="203.0.113.9")[0] == scep.SUCCESS


def test_exempt_requests_are_not_counted(proxied, keys):
    assert guess(proxied, keys[0], 6, address="192.0.2.77") == [scep.FAILURE] * 6
    assert guess(proxied, keys[0], 5, address="203.0.113.5", agent="our scanner") == [scep.FAILURE] * 5
    assert guess(proxied, keys[0], 4, address="203.0.113.5") == [scep.FAILURE] * 3 + [429]


def test_who_is_limited_still_gets_what_is_his(proxied, keys):
    """A known transaction and the operations without a challenge are answered."""
    client = proxied.client(keep_alive=False)
    spec = client.spec(key=keys[2], challenge=proxied.challenge())
    headers = [("Content-Type", "application/x-pki-message"), ("X-Forwarded-For", "203.0.113.20")]
    assert client.reply(client.send(spec.build(), headers=headers), spec).status == scep.SUCCESS
    assert guess(proxied, keys[0], 4, address="203.0.113.20")[-1] == 429
    again = client.reply(client.send(spec.build(), headers=headers), spec)
    assert again.status == scep.SUCCESS
    assert client.get("GetCACaps", headers=headers[1:]).status == 200


def test_without_a_proxy_the_connection_counts(factory, keys):
    """A header that no RemoteIP directive trusts changes nothing."""
    server = factory.httpd(server=conf.Lines("ScepFailureLimit 2 1h")).start()
    assert guess(server, keys[0], 3, address="203.0.113.1") == [scep.FAILURE] * 2 + [429]
    assert guess(server, keys[0], 1, address="203.0.113.2") == [429]


def test_the_window_ends(factory, keys):
    server = factory.httpd(server=conf.Lines("ScepFailureLimit 1 2s")).start()
    assert guess(server, keys[0], 2) == [scep.FAILURE, 429]
    env.wait_until(lambda: guess(server, keys[0], 1) == [scep.FAILURE], 10, 0.5, "the limit did not end")


def test_no_limit(factory, keys):
    server = factory.httpd(server=conf.Lines("ScepFailureLimit 0")).start()
    assert guess(server, keys[0], 8) == [scep.FAILURE] * 8


def test_the_whole_service(factory, keys):
    lines = conf.Lines("ScepFailureLimit 100 1h", "ScepFailureLimitService 4", *REMOTEIP)
    server = factory.httpd(server=lines, modules=("remoteip",)).start()
    answers = [guess(server, keys[0], 1, address="203.0.113.%d" % n)[0] for n in range(6)]
    assert answers == [scep.FAILURE] * 4 + [429] * 2


def test_two_hosts_count_together(factory, keys):
    redis = factory.redis()
    secret = secret_file(env.folder("secret"))
    hosts = [factory.httpd(server=conf.Lines(
        "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret,
        "ScepFailureLimit 4 1h")).start() for _ in range(2)]
    assert guess(hosts[0], keys[0], 2) + guess(hosts[1], keys[0], 2) == [scep.FAILURE] * 4
    assert guess(hosts[0], keys[0], 1) + guess(hosts[1], keys[0], 1) == [429] * 2
    hosts[1].restart()
    assert guess(hosts[1], keys[0], 1) == [429]


def test_an_expression_that_fails_exempts_nobody(factory, keys):
    """A pattern that is only compiled when it is used; no request gets through by it."""
    server = factory.httpd(server=conf.Lines(
        "ScepFailureLimit 1 1h", "ScepLimitExempt \"file('/nonexistent/list') =~ /x/\"")).start()
    server.expect("SCEP0414", "Evaluation of expression")
    assert guess(server, keys[0], 2) == [scep.FAILURE, 429]
    assert Connection("127.0.0.1", server.port).request("GET", "/certsrv/mscep").status == 200

def test_refusals_by_another_service_count(factory, keys):
    """A policy that asks somebody else lets every challenge pass the claim: guesses count all the same."""
    hook = Webhook()
    try:
        hook.answer = (200, [], {"allow": False, "reason": "not ours"})
        lines = conf.Lines("ScepFailureLimit 2 1h")
        service = conf.Service(pki.make()).add(hook.policy())
        server = factory.httpd([service], server=lines).start()
        assert guess(server, keys[0], 2) == [scep.FAILURE] * 2
        asked = len(hook.of("verify"))
        assert guess(server, keys[0], 2) == [429] * 2
        assert len(hook.of("verify")) == asked
    finally:
        hook.stop()
