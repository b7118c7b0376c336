# SPDX-License-Identifier: Apache-2.0
"""A CA that gives a serial number twice, or a name that nobody asked for."""
import pytest

import conf
import env
import pki
import scep_client as scep
from test_246_poll import Switch
from test_300_stores import secret_file

pytestmark = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")


def start(factory, switch, *lines):
    service = conf.Service(pki.make(), backend="fault-foreign")
    service.lines = [line + (" switch=%s" % switch.path if line.startswith("ScepCABackend") else "")
                     for line in service.lines]
    return factory.httpd([service], fault=True, server=conf.Lines(*lines)).start()


def hosts(factory, store, switch):
    """One host with SQLite, or two that share a Redis."""
    if store == "sqlite":
        made = [start(factory, switch)] * 2
    else:
        lines = ("ScepStore " + factory.redis().urls()["tcp"],
                 "ScepChallengeSecretFile %s" % secret_file(env.folder("secret")))
        made = [start(factory, switch, *lines) for _ in range(2)]
    return made


def ask(server, key, challenge):
    client = server.client(keep_alive=False)
    return send(server, client.spec(key=key, challenge=challenge))


def send(server, spec):
    """The response, the reply if it is one, and what was sent."""
    client = server.client(keep_alive=False)
    client.cacert()
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None, spec


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_serial_twice(factory, keys, store):
    switch = Switch()
    one, two = hosts(factory, store, switch)
    switch.says("mode=same-serial")
    challenges = one.challenges(2)
    _, reply, spec = ask(one, keys[0], challenges[0])
    assert reply.status == scep.SUCCESS
    first = reply.leaf
    two.expect("SCEP0208", "SCEP0200")
    response, _, again = ask(two, keys[1], challenges[1])
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    line = two.log.wait("SCEP0208")
    assert "serial number 2a5a to another certificate before" in line and ":error]" in line
    assert two.log.wait("reason=serial-repeated")
    # the first one is as good as it was, also when it is asked for again
    _, reply, _ = send(two, spec)
    assert reply.status == scep.SUCCESS and reply.leaf == first
    assert send(one, again)[0].status == 503
    # the CA is sane again, and the lease over: at once by a new challenge
    switch.says("mode=issued")
    assert ask(one, keys[1], one.challenge())[1].status == scep.SUCCESS


def test_added_name(factory, keys):
    switch = Switch()
    server, _ = hosts(factory, "sqlite", switch)
    switch.says("mode=added-name")
    server.expect("SCEP0300")
    response, _, _ = ask(server, keys[0], server.challenge())
    assert response.status == 503
    assert "alternative name that was not asked for" in server.log.wait("SCEP0300")
    assert server.log.wait("reason=ca-answer")
