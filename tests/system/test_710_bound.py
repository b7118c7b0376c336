# SPDX-License-Identifier: Apache-2.0
"""Challenges that say what the request must be, and who may make which."""
import json
import re
import threading
import urllib.parse

import pytest

import conf
import env
import pki
import scep_client as scep
from scep_message import san_extension
from test_300_stores import secret_file

TEXT = "The request does not match what the challenge was issued for."
BOUND = {"subject": "CN=laptop-17", "san": {"dns": ["laptop-17.example"]}, "device": "d-17", "user": "u17"}
JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module")
def server(module_factory):
    return module_factory.httpd().start()


def post(server, body, headers=(JSON,), user=conf.ADMIN, query="", chunked=False):
    headers = list(headers)
    if user is not None:
        headers.append(("Authorization", conf.authorization(user)))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.connection(keep_alive=False).request("POST", server.admin_path() + query, headers, data, chunked)


def minted(server, body, **how):
    response = post(server, body, **how)
    assert response.status == 200, response.body
    return json.loads(response.body)


def params(text):
    return "?operation=NDESGenerateChallenge&params=" + urllib.parse.quote(text, safe="")


def fitting(**fields):
    return dict(dict(subject="CN=laptop-17", extensions=(san_extension(["laptop-17.example"]),)), **fields)


def refused(server, key, challenge, reason, **fields):
    reply = server.client().enroll(key, challenge, **fields)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, "2")
    assert reply.fail_text == TEXT
    server.log.wait(reason)
    return reply


def test_bound_by_get(server, keys):
    response = server.admin(params(json.dumps(BOUND)))
    assert response.status == 200 and response.header("Content-Type").startswith("text/plain")
    challenge = response.body.decode()
    assert re.fullmatch("[0-9A-F]{16}", challenge)
    refused(server, keys[0], challenge, "bound-subject", **fitting(subject="CN=admin"))
    server.enroll(keys[0], challenge=challenge, **fitting())
    line = server.log.wait('bound=yes device="d-17" user="u17"')
    assert "SCEP0430" in line and challenge not in line


def test_bound_by_post(server, keys):
    made = minted(server, BOUND)
    assert made["uses"] == 1 and made["expires_in"] == 3600
    refused(server, keys[0], made["challenge"], "bound-san", subject="CN=laptop-17")
    server.enroll(keys[0], challenge=made["challenge"], **fitting())
    reply = server.client().enroll(keys[1], made["challenge"], **fitting())
    assert reply.status == scep.FAILURE and reply.fail_text != TEXT


def test_post_forms(server):
    plain = post(server, BOUND, headers=[JSON, ("Accept", "text/plain")])
    assert plain.status == 200 and re.fullmatch(b"[0-9A-F]{16}", plain.body)
    for headers in ([("Content-Type", "Application/JSON; charset=utf-8")], [JSON, ("Accept", "text/html")],
                    [JSON, ("Sec-Fetch-Site", "same-origin")], [JSON, ("Host", "h"), ("Origin", "https://h")]):
        made = minted(server, BOUND, headers=headers)
        assert len(made["challenge"]) == 16
    assert minted(server, BOUND, chunked=True)["challenge"]
    assert minted(server, BOUND, query="?operation=NDESGenerateChallenge&keyUsage=a0")["challenge"]


def test_three_mismatches_burn(server, keys):
    challenge = minted(server, BOUND)["challenge"]
    names = ["CN=a", "CN=b", "CN=c"]
    details = [refused(server, key, challenge, "bound-subject", **fitting(subject=name)).hresult
               for key, name in zip(keys, names)]
    assert len(set(details)) == 1
    reply = server.client().enroll(keys[0], challenge, **fitting())
    assert reply.status == scep.FAILURE
    server.log.wait("challenge-burned")
    for name in names:
        server.log.wait("expected CN=laptop-17, found " + name)
    assert challenge not in (server.folder / "error_log").read_text()


@pytest.mark.parametrize("bound,fields,reason", [
    ({"subject": {"CN": ["a"]}}, dict(subject="CN=b"), "bound-subject expected CN=a, found CN=b"),
    ({"keyUsage": ["digitalSignature"]}, {}, "bound-key-usage"),
    ({"minKey": 4096}, {}, "bound-key"),
    ({"ecCurves": ["P-256"]}, {}, "bound-key"),
], ids=["subject", "usage", "size", "curve"])
def test_client_learns_nothing(server, keys, bound, fields, reason):
    challenge = minted(server, bound)["challenge"]
    refused(server, keys[0], challenge, reason.split()[0], **fields)
    for word in ("expected", "found"):
        server.log.wait(word)


@pytest.mark.parametrize("text,error", [
    ("{", "not valid JSON"),
    ('{"subject":""}', "subject"),
    ('{"subjekt":"CN=a"}', "subjekt is unknown (known: subject"),
    ('{"uses":1,"uses":1}', "not valid JSON"),
    ('{"uses":2}', "uses: more than the 1"),
    ('{"lifetime":"2h"}', "lifetime: more than the 3600"),
    ('{"template":"Nobody"}', "no template"),
    ("{}", "empty"),
])
def test_bad_json(server, text, error):
    before = len(server.log.lines("SCEP0430"))
    for response in (server.admin(params(text)), post(server, text.encode())):
        assert response.status == 400 and error in response.body.decode(), response.body
    assert json.loads(post(server, text.encode()).body)["error"] in ("params", "template")
    assert len(server.log.lines("SCEP0430")) == before


def test_opaque_params_bind_nothing(server, keys):
    response = server.admin(params("machine=7"))
    assert response.status == 200
    server.enroll(keys[0], challenge=response.body.decode(), subject="CN=anything")
    server.log.wait("SCEP0211")


def test_post_is_guarded(server):
    before = len(server.log.lines("SCEP0430"))
    assert post(server, BOUND, user=None).status == 401
    for headers in ([], [("Content-Type", "application/x-www-form-urlencoded")], [("Content-Type", "text/plain")],
                    [("Content-Type", "application/jsonx")], [("Content-Type", "multipart/form-data")]):
        assert post(server, BOUND, headers=headers).status == 415
    for name, value in (("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"),
                        ("Sec-Fetch-Site", "same-site")):
        assert post(server, BOUND, headers=[JSON, (name, value)]).status == 403
    for body in (b"", b"[]", b"null", b'"x"', b"x", b'{"user":"a\x00b"}', b'{"user":"\xff"}', b"[" * 8000):
        assert post(server, body).status == 400
    assert post(server, b"{" + b" " * 9000 + b"}").status == 413
    assert post(server, b"{" + b" " * 9000 + b"}", chunked=True).status == 413
    assert post(server, BOUND, query=params("x")).status == 400
    assert len(server.log.lines("SCEP0430")) == before


def test_life_and_uses_of_its_own(factory, keys):
    service = conf.Service(pki.make()).add("ScepChallengeUses 3")
    server = factory.httpd([service]).start()
    made = minted(server, {"uses": 2, "lifetime": "2s"})
    assert made["uses"] == 2 and made["expires_in"] == 2
    server.enroll(keys[0], challenge=made["challenge"])
    env.wait_until(lambda: server.client().enroll(keys[1], made["challenge"]).status == scep.FAILURE and
                   server.log.lines("challenge-used|challenge-expired"), what="a challenge that does not end")
    assert minted(server, {"user": "u"})["uses"] == 3
    assert post(server, {"uses": 4}).status == 400


def page(server, query="", user=conf.ADMIN):
    return server.admin(query, user=user).body.decode("utf-16")


FORBIDDEN = "<P> You do not have sufficient permission to enroll with SCEP."


def test_template_rules(factory, keys):
    service = conf.Service(pki.make()).add(
        "ScepTemplate signature Sign", "ScepTemplate general Device", "ScepTemplate encryption Device",
        "ScepLocalTemplate Sign keyUsage=digitalSignature",
        "ScepLocalTemplate Device keyUsage=digitalSignature,keyEncipherment",
        "ScepAdminAuthorizeTemplate Sign \"%{REMOTE_USER} == 'other'\"",
        "ScepAdminAuthorizeTemplate Device \"%{REMOTE_USER} in { 'other', 'mdm' }\"")
    server = factory.httpd([service]).start()
    assert "password is" in page(server, user="other")
    assert FORBIDDEN in page(server)
    assert FORBIDDEN in page(server, "?template=Sign")
    assert FORBIDDEN in page(server, "?keyUsage=80")
    assert "password is" in page(server, "?template=Device")
    assert "password is" in page(server, "?keyUsage=a0")
    assert server.admin(params('{"template":"Sign"}')).status == 403
    assert post(server, {"template": "Sign"}).status == 403
    assert post(server, {"user": "u"}).status == 403
    assert post(server, {"user": "u"}, query="?template=Device").status == 200
    assert post(server, {"template": "Sign"}, query="?template=Device").status == 400
    challenge = minted(server, {"template": "Device"})["challenge"]
    server.enroll(keys[0], challenge=challenge)
    server.log.wait("SCEP0438")


def test_cap_of_a_caller_on_two_hosts(factory, keys):
    redis = factory.redis()
    secret = secret_file(env.folder("secret"))
    chain = pki.make()
    hosts = [factory.httpd([conf.Service(chain).add("ScepChallengeMaxPerCaller 5")], server=conf.Lines(
        "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret)).start() for _ in range(2)]
    answers = []

    def ask(host):
        for _ in range(5):
            answers.append(host.admin(headers=[("Accept", "application/json")]))

    threads = [threading.Thread(target=ask, args=(host,)) for host in hosts * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [json.loads(a.body)["challenge"] for a in answers if a.status == 200]
    assert len(made) == 5 and {a.status for a in answers} == {200, 503}
    assert "The password cache is full." in page(hosts[0])
    assert "password is" in page(hosts[1], user="other")
    hosts[1].enroll(keys[0], challenge=made[0])
    assert "password is" in page(hosts[0])
    assert "The password cache is full. 5 passwords that you asked for are" in page(hosts[1])
    hosts[0].log.wait("ScepChallengeMaxPerCaller")


def test_cap_of_a_caller_on_sqlite(factory, keys):
    server = factory.httpd([conf.Service(pki.make()).add("ScepChallengeMaxPerCaller 2")]).start()
    first = server.challenge()
    assert "password is" in page(server)
    assert "cache is full" in page(server)
    assert "password is" in page(server, user="other")
    server.enroll(keys[0], challenge=first)
    assert "password is" in page(server)
    assert "cache is full" in page(server)
