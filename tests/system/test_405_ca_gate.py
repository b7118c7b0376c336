# SPDX-License-Identifier: Apache-2.0
"""A CA that is slow or away: how many workers it gets, and when it is asked again."""
import threading

import pytest

import conf
import env
import pki
import scep_client as scep
from test_246_poll import Switch

pytestmark = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")

ONE_CHILD = ("StartServers 1", "ServerLimit 1", "ThreadsPerChild 16", "MaxRequestWorkers 16",
             "MinSpareThreads 1", "MaxSpareThreads 16")


def start(factory, option=""):
    switch = Switch()
    service = conf.Service(pki.make(), backend="fault-remote")
    service.lines = [line + (" switch=%s %s" % (switch.path, option) if line.startswith("ScepCABackend") else "")
                     for line in service.lines]
    # one child, so that what it knows of the CA is what every request meets
    made = factory.httpd([service], fault=True, server=conf.Lines(
        "ScepPolicy none", "ScepRequestTimeout 20s", *ONE_CHILD)).start()
    made.expect("SCEP0200")
    made.ca = switch
    return made


def ask(server, key):
    client = server.client(keep_alive=False)
    spec = client.spec(key=key)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None


def test_a_ca_that_is_away_is_left_alone(factory, keys):
    server = start(factory)
    server.expect("SCEP0302")
    server.ca.says("mode=error")
    for key in keys[:3]:
        assert ask(server, key)[0].status == 503
    assert len(server.log.lines("SCEP0302", 0)) == 3
    response, _ = ask(server, keys[3])
    assert response.status == 503 and 1 <= int(response.header("Retry-After")) <= 6
    assert server.log.wait("reason=ca-down")
    assert len(server.log.lines("SCEP0302", 0)) == 3         # it was not asked
    server.ca.says("mode=issued")
    env.wait_until(lambda: ask(server, keys[3])[0].status == 200, 30, step=0.5)
    assert ask(server, keys[0])[1].status == scep.SUCCESS


def test_a_ca_that_refuses_is_not_away(factory, keys):
    server = start(factory)
    server.ca.says("mode=rejected")
    for key in keys:
        assert ask(server, key)[1].status == scep.FAILURE
    server.ca.says("mode=retry")
    for key in keys:
        assert ask(server, key)[0].status == 503
    server.ca.says("mode=issued")
    assert ask(server, keys[0])[1].status == scep.SUCCESS


def test_a_slow_ca_leaves_workers(factory, keys):
    server = start(factory, "concurrency=2")
    server.ca.says("mode=issued delay=4s")
    answers = []
    threads = [threading.Thread(target=lambda k=k: answers.append(ask(server, k)[0])) for k in pki.device_keys(5)]
    for thread in threads:
        thread.start()
    assert server.log.wait("reason=ca-busy.*2 calls of CA backend fault-remote")
    assert server.client(keep_alive=False).get("GetCACaps").status == 200
    for thread in threads:
        thread.join()
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200, 200, 503, 503, 503]
    assert all(int(a.header("Retry-After")) > 0 for a in answers if a.status == 503)
    server.ca.says("mode=issued")
    assert ask(server, keys[0])[1].status == scep.SUCCESS


@pytest.mark.parametrize("option", ["concurrency=0", "concurrency=x", "concurrent=2"])
def test_configuration(factory, option):
    service = conf.Service(pki.make(), backend="fault-remote")
    service.lines = [line + (" " + option if line.startswith("ScepCABackend") else "") for line in service.lines]
    server = factory.httpd([service], fault=True)
    status, text = server.configtest()
    server.expect("ScepCABackend")
    assert status != 0 and "concurrency" in text
