# SPDX-License-Identifier: Apache-2.0
"""scep-ready tells the load balancer that the CA is away, and that it is back."""
import json

import pytest

import conf
import env
import pki
import scep_client as scep
from test_246_poll import Switch
from test_270_status import ask, facts, handlers
from test_405_ca_gate import ONE_CHILD

pytestmark = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")


def start(factory, switch):
    one = conf.Service(pki.make(), backend="fault-remote")
    one.lines = [line + (" switch=%s" % switch.path if line.startswith("ScepCABackend") else "") for line in one.lines]
    server = factory.httpd([one, conf.Service(pki.make(), "lab", "/lab")], fault=True, locations=handlers(),
                           server=conf.Lines("ScepPolicy none", *ONE_CHILD))
    server.expect("SCEP0200")
    return server.start()


def ready(server):
    response = ask(server, path="/ready", user=None, headers=[("Accept", "application/json")])
    services = {s["service"]: s for s in json.loads(response.body)["services"]}
    return response.status, services


def test_left_alone(factory, keys):
    switch = Switch()
    server = start(factory, switch)
    server.expect("SCEP0302")
    assert ready(server)[0] == 200
    switch.says("mode=error")
    client = server.client()
    client.cacert()
    for key in keys[:3]:
        assert client.send(client.spec(key=key).build()).status == 503
    status, services = ready(server)
    assert status == 503 and services["lab"]["ready"] and not services["corp"]["ready"]
    assert "CA: it failed 3 times in a row and is left alone for another" in services["corp"]["problems"][0]
    text = ask(server, path="/ready", user=None).body.decode()
    assert text.startswith("not ready\nservice corp: CA: it failed 3 times in a row")
    shown = [s for s in facts(server)["services"] if s["service"] == "corp"][0]
    assert not shown["ca"]["ok"] and "left alone" in shown["ca"]["problem"]
    # when the rest is over a request may try, and so the host may have requests again
    switch.says("mode=issued")
    assert env.wait_until(lambda: ready(server)[0] == 200, 30, step=0.5)
    assert client.transact(client.spec(key=keys[3])).status == scep.SUCCESS


def test_backend_says_so(factory):
    """The backend's own words; they are a few seconds old at most."""
    switch = Switch()
    switch.says("mode=error")
    server = start(factory, switch)
    status, services = ready(server)
    assert status == 503 and services["corp"]["problems"] == ["CA: backend fault was told to fail"]
    switch.says("mode=issued")
    assert env.wait_until(lambda: ready(server)[0] == 200, 30, step=0.5)
