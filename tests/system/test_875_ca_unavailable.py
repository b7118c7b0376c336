# SPDX-License-Identifier: Apache-2.0
"""ScepCAUnavailable: a request waits while the CA cannot be asked, and any host asks again."""
import pytest

import conf
import env
import pki
import scep_client as scep
from test_246_poll import Switch
from test_270_status import ask, facts, handlers
from test_300_stores import secret_file
from test_720_logs import Logs

pytestmark = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")


def start(factory, switch, *lines, directive="ScepCAUnavailable pending"):
    service = conf.Service(pki.make(), backend="fault")
    service.lines = [line + (" switch=%s" % switch.path if line.startswith("ScepCABackend") else "")
                     for line in service.lines]
    service.add(directive)
    server = factory.httpd([service], fault=True, locations=handlers(), server=conf.Lines(
        "ScepRequestTimeout 2s", "ScepAuditLog audit.log", *lines)).start()
    server.switch = switch
    return server


def submit(server, key, challenge, **fields):
    """Client, spec and the HTTP response to a first request."""
    client = server.client(keep_alive=False)
    client.cacert()
    spec = client.spec(key=key, challenge=challenge, **fields)
    return client, spec, client.send(spec.build())


def waits(server, key, challenge=None, **fields):
    """A request that waits since the CA is away: client and spec."""
    server.switch.says("mode=retry")
    client, spec, response = submit(server, key, challenge or server.challenge(), **fields)
    assert client.reply(response, spec).status == scep.PENDING
    return client, spec


@pytest.fixture(scope="module")
def hosts(module_factory):
    switch = Switch()
    lines = ("ScepStore " + module_factory.redis().urls()["tcp"],
             "ScepChallengeSecretFile %s" % secret_file(env.folder("secret")))
    return [start(module_factory, switch, *lines) for _ in range(2)]


def test_the_ca_is_back_at_another_host(hosts, keys):
    one, two = hosts
    client, spec = waits(one, keys[0], subject="CN=waits")
    line = one.transaction_line(spec.txid)
    assert "result=pending reason=ca-retry" in line and "try 1: ca-fault: backend fault was told to fail" in line
    other = two.client(keep_alive=False)
    env.wait_until(lambda: other.poll(spec).status == scep.PENDING and two.log.lines("reason=ca-retry"), step=0.5)
    assert "try 2" in two.log.lines("reason=ca-retry")[-1]
    # another device cannot have the challenge meanwhile
    assert other.enroll(keys[1], spec.challenge).status == scep.FAILURE
    one.switch.says("mode=issued")
    reply = other.wait(spec)
    assert reply.status == scep.SUCCESS
    assert reply.leaf.subject.rfc4514_string() == "CN=waits"
    # one certificate for the challenge, whoever asks and how often
    assert client.poll(spec).leaf == reply.leaf
    assert client.transact(client.spec(key=keys[0], txid=spec.txid, csr=spec.csr)).leaf == reply.leaf
    assert client.enroll(keys[1], spec.challenge).status == scep.FAILURE


def test_a_host_is_ready_all_the_same(factory):
    """A CA that is away takes no host out where requests wait for it; it does where they get 503."""
    ready = '<Location "/scep-ready">\n    SetHandler scep-ready\n</Location>\n'
    for directive, status in ("ScepCAUnavailable pending", 200), ("ScepCAUnavailable 503", 503):
        switch = Switch()
        service = conf.Service(pki.make(), backend="fault")
        service.lines = [line + (" switch=%s" % switch.path if line.startswith("ScepCABackend") else "")
                         for line in service.lines]
        server = factory.httpd([service.add(directive)], fault=True, locations=[ready]).start()
        switch.says("mode=retry")
        response = server.connection(keep_alive=False).request("GET", "/scep-ready")
        assert response.status == status and b"CA: backend fault was told to fail" in response.body


def test_the_request_again_instead_of_a_poll(hosts, keys):
    one, two = hosts
    client, spec = waits(one, keys[0])
    one.switch.says("mode=issued")
    again = two.client(keep_alive=False)
    env.wait_until(lambda: again.transact(again.spec(key=keys[0], txid=spec.txid, csr=spec.csr)).status ==
                   scep.SUCCESS, step=0.5)


def test_a_refusal_at_the_poll(hosts, keys):
    one, _ = hosts
    client, spec = waits(one, keys[0])
    one.switch.says("mode=rejected")
    reply = client.wait(spec)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    one.switch.says("mode=issued")
    assert client.poll(spec).status == scep.FAILURE
    assert client.enroll(keys[1], spec.challenge).status == scep.SUCCESS


def test_pending_at_the_ca_afterwards(hosts, keys):
    """The CA is back, and wants to decide later itself."""
    one, _ = hosts
    client, spec = waits(one, keys[0])
    one.switch.says("mode=pending")
    env.wait_until(lambda: client.poll(spec).status == scep.PENDING and
                   one.log.lines("transactionID=\"%s\".*reason=ca-pending" % spec.txid), step=0.5)
    one.switch.says("mode=issued")
    assert client.wait(spec).status == scep.SUCCESS


@pytest.mark.parametrize("mode", ["unknown", "garbage", "error"])
def test_what_may_be_signed_does_not_wait(hosts, keys, mode):
    one, _ = hosts
    one.expect("SCEP0300", "SCEP0302")
    one.switch.says("mode=" + mode)
    client, spec, response = submit(one, keys[0], one.challenge())
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    reply = client.poll(spec)
    assert reply.status == scep.PENDING         # held until its lease ends
    assert "reason=ca-retry" not in one.transaction_line(spec.txid)
    one.switch.says("mode=issued")


def test_renewal_waits(hosts, keys):
    one, _ = hosts
    one.switch.says("mode=issued")
    old = pki.der_of(one.enroll(keys[0], subject="CN=renews").leaf)
    one.switch.says("mode=retry")
    client = one.client(keep_alive=False)
    spec = client.renewal_spec(keys[1], old, keys[0])
    assert client.transact(spec).status == scep.PENDING
    one.switch.says("mode=issued")
    assert client.wait(spec).leaf.subject.rfc4514_string() == "CN=renews"


def test_after_a_restart(factory, keys):
    server = start(factory, Switch())
    client, spec = waits(server, keys[0])
    server.restart()
    server.switch.says("mode=issued")
    assert server.client(keep_alive=False).wait(spec).status == scep.SUCCESS


def test_the_ca_does_not_come_back(factory, keys):
    server = start(factory, Switch(), directive="ScepCAUnavailable pending 2s")
    client, spec = waits(server, keys[0])
    reply = client.wait(spec)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert "could not be reached in time" in reply.fail_text
    line = server.log.wait("reason=ca-wait-over")
    assert "backend fault was told to fail" in line
    # that is final for this transaction, and the challenge is free
    server.switch.says("mode=issued")
    assert client.poll(spec).status == scep.FAILURE
    assert client.enroll(keys[1], spec.challenge).status == scep.SUCCESS


def test_status_and_audit(factory, keys):
    switch = Switch()
    server = start(factory, switch)
    client, spec = waits(server, keys[0], subject="CN=listed")
    tx = facts(server, "?service=corp")["services"][0]["waiting"][0]
    assert (tx["waits_for"], tx["ca_tries"], tx["decision"]) == ("ca", 1, "") and tx["ca_away_since"]
    # nobody can decide about it
    assert "token" not in facts(server, "?service=corp&tx=" + tx["tx"])
    assert b"the CA, which could not be asked (tries: 1)" in ask(server, "?service=corp").body
    entry = Logs(server).audit(spec.txid)[0]
    assert (entry["result"], entry["reason"]) == ("pending", "ca-retry")
    assert "backend fault was told to fail" in entry["detail"]
    switch.says("mode=issued")
    assert client.wait(spec).status == scep.SUCCESS


def test_503_is_the_default(factory, keys):
    server = start(factory, Switch(), directive="ScepCAUnavailable 503")
    server.switch.says("mode=retry")
    client, spec, response = submit(server, keys[0], server.challenge())
    assert response.status == 503
    server.switch.says("mode=issued")
    assert client.enroll(keys[1], spec.challenge).status == scep.SUCCESS


@pytest.mark.parametrize("arguments, words", [
    ("pending 0s", "from 1s to 30d"), ("pending 31d", "from 1s to 30d"), ("pending x", "x"),
    ("503 1h", "503, or pending"), ("502", "503, or pending"), ("", "takes"), ("pending 1h 2h", "takes")])
def test_configuration(factory, arguments, words):
    server = factory.httpd([conf.Service(pki.make()).add("ScepCAUnavailable " + arguments)])
    status, text = server.configtest()
    server.expect("ScepCAUnavailable")
    assert status != 0 and words in text


def test_a_time_beyond_the_retention(factory):
    server = factory.httpd([conf.Service(pki.make()).add("ScepCAUnavailable pending", "ScepRetention 1h")])
    server.expect("ScepCAUnavailable")
    _, text = server.configtest()
    assert "is longer than ScepRetention" in text
