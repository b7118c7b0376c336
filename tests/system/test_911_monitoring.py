# SPDX-License-Identifier: Apache-2.0
"""What is told, documented, drawn and alerted on is the same; promtool takes all of it."""
import json
import re
import shutil
import subprocess

import pytest

import conf
import env
import pki
from test_300_stores import secret_file
from test_800_metrics import LOCATIONS, fetch, metrics, read, value
from webhook import Webhook

ALERTS = env.SOURCE / "conf-examples" / "prometheus-alerts.yml"
DASHBOARD = env.SOURCE / "conf-examples" / "grafana-dashboard.json"
DOCUMENT = (env.SOURCE / "docs" / "monitoring.md").read_text()
ALERT_NAMES = re.findall(r"- alert: (\w+)", ALERTS.read_text())
READY = '<Location "/ready">\n    SetHandler scep-ready\n</Location>\n'

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None,
                                    reason="promtool (Debian: prometheus) is not installed")


def promtool(*arguments, text=None):
    return subprocess.run(["promtool", *[str(a) for a in arguments]], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=120)


def documented():
    """The metrics that have a row."""
    rows = [line.split(" | ")[0] for line in DOCUMENT.splitlines() if line.startswith("| `scep_")]
    return {name for row in rows for name in re.findall(r"`(scep_\w+)`", row)}


def told(text):
    return set(re.findall(r"^# TYPE (\w+) ", text, re.M))


@pytest.fixture(scope="module")
def server(module_factory):
    return module_factory.httpd(locations=LOCATIONS + [READY], modules=("status",)).start()


@pytest.mark.smoke
def test_document_and_metrics_are_the_same(server):
    text = fetch(server).body.decode()
    assert told(text) == documented()
    assert re.search(r'^scep_build_info\{version="\d+\.\d+\.\d+"\} 1$', text, re.M)


def test_every_metric_says_what_to_do():
    for row in (line for line in DOCUMENT.splitlines() if line.startswith("| `scep_")):
        cells = row.strip("|").split(" | ")
        assert len(cells) == 4 and (cells[3].strip(" |") or "scep_challenges_max" in row), row


def used(expression):
    return {re.sub("_(bucket|count|sum)$", "", name) for name in re.findall(r"\bscep_\w+", expression)}


def test_dashboard_shows_what_there_is():
    board = json.loads(DASHBOARD.read_text())
    shown = set()
    for panel in board["panels"]:
        assert panel["targets"], panel["title"]
        shown |= set().union(*[used(target["expr"]) for target in panel["targets"]])
    assert shown == documented()


def test_alerts_ask_what_there_is():
    expressions = re.sub(r"(?m)^ +(summary|runbook):.*$|#.*$", "", ALERTS.read_text())
    assert used(expressions) and used(expressions) <= documented()


def test_every_alert_has_its_page():
    text = ALERTS.read_text()
    for name in ALERT_NAMES:
        assert "\n### %s\n" % name in DOCUMENT
        assert "runbook: docs/monitoring.md#%s\n" % name.lower() in text
    assert set(re.findall(r"^### (Scep\w+)$", DOCUMENT, re.M)) == set(ALERT_NAMES)
    assert text.count("severity:") == len(ALERT_NAMES)


@needs_promtool
def test_promtool_takes_the_metrics(server, keys):
    server.enroll(keys[0])
    done = promtool("check", "metrics", text=fetch(server).body)
    assert done.returncode == 0 and not done.stdout.strip(), done.stdout.decode()


@needs_promtool
def test_promtool_takes_the_rules():
    done = promtool("check", "rules", ALERTS)
    assert done.returncode == 0 and b"%d rules found" % len(ALERT_NAMES) in done.stdout, done.stdout.decode()


@needs_promtool
def test_promtool_takes_the_dashboards_expressions():
    """As rules, with the variables filled in."""
    board = json.loads(DASHBOARD.read_text())
    rules = [{"record": "x:%d" % number, "expr": target["expr"].replace("$__rate_interval", "5m")}
             for number, target in enumerate(t for panel in board["panels"] for t in panel["targets"])]
    path = env.folder("rules") / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", path)
    assert done.returncode == 0 and b"%d rules found" % len(rules) in done.stdout, done.stdout.decode()


S = 'service="corp",instance="web1"'
END = 'scep_certificate_expiry_timestamp_seconds{%s,role="ca",serial="01"}' % S
BUCKET = 'scep_duration_seconds_bucket{%s,step="total",le="%s"}'
ISSUED = ('scep_requests_total{%s,operation="PKCSReq",result="success"}' % S, "0+6x300")
DAY = 86400
# per alert: series that raise it, series that do not, and what else is raised with it; a sample a minute, 5 hours
CASES = {
    "ScepAbsent": ([("up", "1x300")], [("scep_build_info", "1x300")], ()),
    "ScepNotReady": ([("scep_ready{%s}" % S, "0x300")], [("scep_ready{%s}" % S, "1x300")], ()),
    "ScepStoreDown": ([("scep_store_up{%s}" % S, "0x300")], [("scep_store_up{%s}" % S, "1x300")], ()),
    "ScepStoreRelocating": ([('scep_store_relocations_total{%s,reason="readonly"}' % S, "0+1x300")],
                            [('scep_store_relocations_total{%s,reason="readonly"}' % S, "0x235 8x65"),
                             ('scep_store_relocations_total{%s,reason="moved"}' % S, "9x300")], ()),
    "ScepCaDown": ([("scep_ca_up{%s}" % S, "0x300")], [("scep_ca_up{%s}" % S, "1x300")], ()),
    "ScepUnavailable": ([('scep_unavailable_total{%s,cause="ca"}' % S, "0+1x300")],
                        [('scep_unavailable_total{%s,cause="busy"}' % S, "0+1x300"),
                         ('scep_unavailable_total{%s,cause="store"}' % S, "7x300")], ()),
    "ScepOverloaded": ([("scep_busy_refused_total{%s}" % S, "0+5x300")],
                       [("scep_busy_refused_total{%s}" % S, "500x300")], ()),
    "ScepSlow": ([(BUCKET % (S, "5"), "0+1x300"), (BUCKET % (S, "10"), "0+9x300"), (BUCKET % (S, "+Inf"), "0+9x300")],
                 [(BUCKET % (S, "1"), "0+9x300"), (BUCKET % (S, "5"), "0+9x300"), (BUCKET % (S, "+Inf"), "0+9x300")],
                 ()),
    "ScepCertificateEnds": ([(END, "%dx300" % (20 * DAY))], [(END, "%dx300" % (31 * DAY))], ()),
    "ScepCertificateEndsSoon": ([(END, "%dx300" % (2 * DAY))], [(END, "%dx300" % (31 * DAY))],
                                ("ScepCertificateEnds",)),
    "ScepChallengeFailures": ([('scep_challenge_failures_total{%s,reason="unknown"}' % S, "0+6x300"),
                               ("scep_challenges_used_total{%s}" % S, "0+3x300")],
                              [('scep_challenge_failures_total{%s,reason="unknown"}' % S, "0+6x300"),
                               ("scep_challenges_used_total{%s}" % S, "0+9x300")], ()),
    "ScepChallengesFull": ([('scep_challenge_orders_total{%s,result="full"}' % S, "0+1x300")],
                           [('scep_challenge_orders_total{%s,result="issued"}' % S, "0+1x300")], ()),
    "ScepChallengesFilling": ([("scep_challenges_outstanding{%s}" % S, "90x300"),
                               ("scep_challenges_max{%s}" % S, "100x300")],
                              [("scep_challenges_outstanding{%s}" % S, "70x300"),
                               ("scep_challenges_max{%s}" % S, "100x300")], ()),
    "ScepRefusals": ([('scep_requests_total{%s,operation="PKCSReq",result="refused"}' % S, "0+6x300"), ISSUED],
                     [('scep_requests_total{%s,operation="PKCSReq",result="refused"}' % S, "0+1x300"), ISSUED], ()),
    "ScepOutboxStuck": ([("scep_outbox_oldest_timestamp_seconds{%s}" % S, "0x300")],
                        [("scep_outbox_oldest_timestamp_seconds{%s}" % S, "0+60x300")], ()),
    "ScepPendingOld": ([("scep_pending_oldest_timestamp_seconds{%s}" % S, "-86400x300")],
                       [("scep_pending_oldest_timestamp_seconds{%s}" % S, "-3600x300")], ()),
}


def rule_test(series, raised):
    series = list(series)
    if "ScepAbsent" not in raised:
        series.append(("scep_build_info", "1x300"))
    return {"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series],
            "promql_expr_test": [{"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "4h",
                                  "exp_samples": [{"labels": '{alertname="%s"}' % name, "value": 1}
                                                  for name in sorted(raised)]}]}


def test_every_alert_has_a_case():
    assert sorted(CASES) == sorted(ALERT_NAMES)


@needs_promtool
def test_alerts_are_raised_when_they_should():
    tests = []
    for name, (bad, good, others) in CASES.items():
        tests += [rule_test(bad, {name, *others}), rule_test(good, set())]
    path = env.folder("alerts") / "test.yml"
    path.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout.decode()


# What was counted

def test_who_gave_no_answer_is_counted(factory, keys):
    hook = Webhook()
    try:
        service = conf.Service(pki.make()).add("ScepPolicy challenge", hook.policy())
        server = factory.httpd([service], locations=LOCATIONS).start()
        server.expect(r"SCEP\d{4}")
        hook.answer = (503, (), {})
        client = server.client(keep_alive=False)
        assert client.send(client.spec(key=keys[0], challenge=server.challenge()).build()).status == 503
        counted = metrics(server)
        assert value(counted, "scep_unavailable_total", service="corp", cause="webhook") == 1
        assert value(counted, "scep_unavailable_total", service="corp", cause="ca") == 0
    finally:
        hook.stop()


def test_challenges_are_told(server):
    server.challenges(1)
    before = metrics(server)
    server.challenges(3)
    after = metrics(server)
    assert value(after, "scep_challenges_max", service="corp") == 10000
    assert value(after, "scep_challenges_outstanding", service="corp") - \
        value(before, "scep_challenges_outstanding", service="corp") == 3


def test_what_waits_is_told(factory, keys):
    service = conf.Service(pki.make()).add("ScepApproval manual")
    server = factory.httpd([service], locations=LOCATIONS).start()
    assert value(metrics(server), "scep_pending_requests", service="corp") == 0
    assert ("scep_pending_oldest_timestamp_seconds", (("service", "corp"),)) not in metrics(server)
    client = server.client(keep_alive=False)
    for key in keys[:2]:
        assert client.enroll(key, server.challenge()).status == "3"
    counted = metrics(server)
    assert value(counted, "scep_pending_requests", service="corp") == 2
    assert value(counted, "scep_pending_oldest_timestamp_seconds", service="corp") > 1.7e9


def test_alive_and_not_ready(factory):
    """A store that is away makes a host not ready; no restart would help, so it is alive."""
    redis = factory.redis()
    service = conf.Service(pki.make()).set("ScepStore", redis.urls()["unix"])
    service.set("ScepChallengeSecretFile", secret_file(env.folder("secret")))
    server = factory.httpd([service], locations=LOCATIONS + [READY]).start()
    connection = server.connection(keep_alive=False)
    assert connection.request("GET", "/ready").status == connection.request("GET", "/ready?live").status == 200
    redis.stop()
    assert connection.request("GET", "/ready").status == 503
    live = connection.request("GET", "/ready?live")
    assert (live.status, live.body) == (200, b"alive\n")
    assert read(fetch(server).body.decode())[("scep_ready", (("service", "corp"),))] == 0
