# SPDX-License-Identifier: Apache-2.0
"""scep-metrics: what Prometheus is told, what survives a restart, and what never becomes a label."""
import re
import time

import pytest

import conf
import env
import pki
import scep_client as scep
from webhook import Webhook
from test_300_stores import secret_file

LOCATIONS = ["<Location \"/metrics\">\n    SetHandler scep-metrics\n</Location>\n",
             "<Location \"/server-status\">\n    SetHandler server-status\n</Location>\n"]
SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-zA-Z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+]+)$')
LABEL = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')


def fetch(server, method="GET"):
    return server.connection(keep_alive=False).request(method, "/metrics")


def read(text):
    """The samples of the text format 0.0.4, whose grammar is checked: {(name, labels): value}."""
    samples, types = {}, {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:4]
            assert name not in types
            types[name] = kind
        elif not line.startswith("# HELP "):
            found = SAMPLE.match(line)
            assert found, line
            name = found.group(1)
            assert re.sub("_(bucket|sum|count)$", "", name) in types or name in types, line
            key = (name, tuple(sorted(LABEL.findall(found.group(2) or ""))))
            assert key not in samples, line
            samples[key] = float(found.group(3))
    return samples


def metrics(server):
    response = fetch(server)
    assert response.status == 200
    assert response.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    return read(response.body.decode())


def value(samples, name, **labels):
    return samples[(name, tuple(sorted(labels.items())))]


def refused(server, key, **fields):
    client = server.client(keep_alive=False)
    assert client.transact(client.spec(key=key, **fields)).status == scep.FAILURE


def difference(before, after, name, **labels):
    return value(after, name, **labels) - value(before, name, **labels)


@pytest.fixture(scope="module")
def server(module_factory):
    services = [conf.Service(pki.make()), conf.Service(pki.make(), "lab", "/lab")]
    return module_factory.httpd(services, locations=LOCATIONS, modules=("status",)).start()


@pytest.mark.smoke
def test_what_happens_is_counted(server, keys):
    before = metrics(server)
    client = server.client(keep_alive=False)
    spec = client.spec(key=keys[0], challenge=server.challenge())
    message = spec.build()
    for _ in range(2):                                              # the second is a replay
        assert client.reply(client.send(message, headers=[("User-Agent", "WinHttp")]), spec).status == scep.SUCCESS
    refused(server, keys[1], challenge="WRONG")
    client.send(b"no message")
    after = metrics(server)

    assert difference(before, after, "scep_requests_total", service="corp", operation="PKCSReq", result="success") == 2
    assert difference(before, after, "scep_requests_total", service="corp", operation="PKCSReq", result="refused") == 1
    assert difference(before, after, "scep_requests_total", service="corp", operation="other", result="malformed") == 1
    assert difference(before, after, "scep_client_requests_total", service="corp", client="Windows",
                      result="success") == 2
    assert difference(before, after, "scep_refusals_total", service="corp", fail_info="badMessageCheck") + \
        difference(before, after, "scep_refusals_total", service="corp", fail_info="badRequest") == 1
    assert difference(before, after, "scep_challenge_failures_total", service="corp", reason="unknown") == 1
    assert difference(before, after, "scep_challenge_orders_total", service="corp", result="issued") == 1
    assert difference(before, after, "scep_challenges_used_total", service="corp") == 1
    assert difference(before, after, "scep_replays_total", service="corp") == 1
    for step, count in (("store", 4), ("policy", 1), ("ca", 1), ("total", 4)):
        assert difference(before, after, "scep_duration_seconds_count", service="corp", step=step) == count, step
        assert difference(before, after, "scep_duration_seconds_sum", service="corp", step=step) > 0
    lab = {key: value for key, value in after.items() if ("service", "lab") in key[1] and key[0].endswith("_total")}
    assert lab and not any(lab.values())


def test_buckets_add_up(server, keys):
    server.enroll(keys[0])
    samples = metrics(server)
    for step in ("store", "policy", "ca", "total"):
        buckets = [(float(dict(labels)["le"]), number) for (name, labels), number in samples.items()
                   if name == "scep_duration_seconds_bucket" and ("step", step) in labels and
                   ("service", "corp") in labels]
        numbers = [number for _, number in sorted(buckets)]
        assert len(numbers) == 14 and numbers == sorted(numbers)
        assert numbers[-1] == value(samples, "scep_duration_seconds_count", service="corp", step=step) > 0


def test_ends_of_certificates(server):
    ends = {labels: end for (name, labels), end in metrics(server).items()
            if name == "scep_certificate_expiry_timestamp_seconds" and ("service", "corp") in labels}
    assert {dict(labels)["role"] for labels in ends} >= {"ra-signing", "ra-encryption", "ca"}
    assert all(end > time.time() for end in ends.values())


def test_only_get(server):
    for method in ("POST", "PUT", "DELETE"):
        assert fetch(server, method).status == 405
    assert fetch(server, "HEAD").status == 200


def test_strangers_text_is_no_label(server, keys):
    refused(server, keys[0], challenge="SECRET-IN-NO-METRIC", subject="CN=subject-in-no-metric")
    text = fetch(server).body.decode()
    assert "in-no-metric" not in text.lower() and "127.0.0.1" not in text


def test_a_graceful_restart_forgets_nothing(server, keys):
    server.enroll(keys[0])
    before = metrics(server)
    server.graceful()
    server.enroll(keys[1])
    assert difference(before, metrics(server), "scep_requests_total", service="corp", operation="PKCSReq",
                      result="success") == 1


def test_mod_status(server, keys):
    server.enroll(keys[0])
    issued = value(metrics(server), "scep_requests_total", service="corp", operation="PKCSReq", result="success")
    connection = server.connection()
    brief = connection.request("GET", "/server-status?auto").body.decode()
    assert "Scep corp Issued: %d\n" % issued in brief and "Scep lab Issued: 0\n" in brief
    page = connection.request("GET", "/server-status").body.decode()
    assert "<h2>SCEP enrollments</h2>" in page and "<tr><td>corp</td><td>%d</td>" % issued in page


def test_every_child_counts_into_one(factory, keys):
    server = factory.httpd(mpm="prefork", locations=LOCATIONS).start()
    server.expect("AH00051|AH00052")
    for key in keys * 2:
        server.enroll(key)
    server.kill_child()
    server.enroll(keys[0])
    assert value(metrics(server), "scep_requests_total", service="corp", operation="PKCSReq",
                 result="success") == 2 * len(keys) + 1


def test_a_store_that_is_down(factory):
    redis = factory.redis()
    service = conf.Service(pki.make()).set("ScepStore", redis.urls()["unix"])
    service.set("ScepChallengeSecretFile", secret_file(env.folder("secret")))
    server = factory.httpd([service], locations=LOCATIONS).start()
    up = metrics(server)
    assert value(up, "scep_store_up", service="corp") == value(up, "scep_ready", service="corp") == 1
    assert value(up, "scep_ca_up", service="corp") == 1
    redis.stop()
    down = metrics(server)
    assert value(down, "scep_store_up", service="corp") == value(down, "scep_ready", service="corp") == 0


def test_news_that_wait(factory, keys):
    hook = Webhook()
    hook.thanks = (503, (), {})
    try:
        service = conf.Service(pki.make()).add("ScepPolicy challenge", hook.policy())
        server = factory.httpd([service], locations=LOCATIONS).start()
        assert value(metrics(server), "scep_outbox_length", service="corp") == 0
        assert ("scep_outbox_oldest_timestamp_seconds", (("service", "corp"),)) not in metrics(server)
        server.enroll(keys[0])
        waiting = metrics(server)
        assert value(waiting, "scep_outbox_length", service="corp") == 1
        assert abs(value(waiting, "scep_outbox_oldest_timestamp_seconds", service="corp") - time.time()) < 600
        hook.allow()
        assert env.wait_until(lambda: value(metrics(server), "scep_outbox_length", service="corp") == 0, 60)
    finally:
        hook.stop()
