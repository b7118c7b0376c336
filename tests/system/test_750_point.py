# SPDX-License-Identifier: Apache-2.0
"""The certificate registration point: who may ask, what it says, and that one challenge is one certificate."""
import base64
import concurrent.futures
import json
import re

import pytest

import conf
import env
import pki
import point
import scep_client as scep
from test_300_stores import secret_file
from test_720_logs import Logs, lines_of

AUTHORIZE = 'ScepRegistrationPointAuthorize "%{SSL_CLIENT_S_DN_CN} =~ /^front/"'
WARNING = "SCEP0473.*ScepRegistrationPoint"
JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module")
def server(module_factory):
    """A registration point without a CA; several virtual hosts by the way they ask for certificates."""
    made = module_factory.httpd(
        [point.Point(pki.make(), AUTHORIZE, "ScepTemplate general Device")],
        modules=point.MODULES, server=conf.Lines("SSLSessionCache shmcb:cache(65536)",
                                                 "ScepAuditLog audit.log", "ScepPolicyLog policy.log"))
    made.tls = {name: env.free_port() for name in ("optional", "require", "optional_no_ca", "none")}
    made.locations += [point.virtual_host(port, name) for name, port in made.tls.items()]
    made.logs = Logs(made)
    return made.start()


def front(server, certificate="front1", host="optional"):
    return point.Front(server.tls[host], certificate)


def spec(key, challenge, **fields):
    return scep.Spec(key=key, challenge=challenge, **fields)


def leaf_for(key):
    """DER of a certificate that the front's CA made for a device's key."""
    made = pki.make()
    ca = made.load("ca.pem")
    return pki.der_of(pki.certificate("device", key, ca, pki.key("ca-root")))


def said(response):
    """(body, reason) of a VerifyRequest."""
    assert response.status == 201 and response.header("Content-Type") == "application/json", response.status
    return response.body.decode(), response.header("X-Scep-Reason")


def started(factory, services, lines=None, **host):
    """A running server with one virtual host."""
    lines = (lines or conf.Lines()).add("SSLSessionCache shmcb:cache(65536)")
    made = factory.httpd(services, modules=point.MODULES, server=lines)
    made.tls = {"optional": env.free_port()}
    made.locations.append(point.virtual_host(made.tls["optional"], **host))
    return made.start()


def test_yes_then_notify(server, keys):
    one = front(server)
    asked = spec(keys[0], server.challenge())
    answer = one.verify(asked)
    assert said(answer) == ("true", None)
    assert answer.header("Cache-Control") == "no-store"
    assert said(one.verify(asked)) == ("true", None)            # the front asks again after a crash
    leaf = leaf_for(keys[0])
    for _ in range(2):
        done = one.notify(asked, "success", leaf)
        assert done.status == 204 and done.body == b""
    assert said(one.verify(asked)) == ("false", "already-issued")
    assert one.notify(asked, "failure").status == 409
    assert said(one.verify(spec(keys[1], asked.challenge))) == ("false", "challenge-used")


def test_no(server, keys):
    response = front(server).verify(spec(keys[0], "0123456789ABCDEF"))
    assert said(response) == ("false", "challenge-unknown")
    assert response.header("X-Scep-FailInfo") == "badRequest"
    assert re.fullmatch("0x[0-9a-f]{8}", response.header("X-Scep-HResult"))
    assert response.header("X-Scep-Text").startswith("The challenge password cannot be verified.")
    assert said(front(server).verify(spec(keys[0], None))) == ("false", "challenge-missing")
    broken = bytearray(spec(keys[0], "x").csr)
    broken[-1] ^= 1
    body = dict(point.Front.question(spec(keys[0], "x")), certificateRequest=point.base64_of(bytes(broken)))
    assert said(front(server).post(point.VERIFY, body)) == ("false", "csr-signature")


def test_attributes(server, keys):
    bound = {"subject": "CN=device", "device": "d-1", "user": "u+1"}
    challenge = bind(server, bound)
    answer = front(server).verify(spec(keys[0], challenge))
    assert said(answer) == ("true", None)
    text = answer.header("X-Scep-Attributes")
    assert json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) == {"device": "d-1", "user": "u+1"}
    assert "=" not in text
    other = front(server).verify(spec(keys[0], bind(server, bound), subject="CN=admin"))
    assert said(other) == ("false", "bound-subject")
    assert other.header("X-Scep-Attributes") is None


def bind(server, bound, service=0):
    headers = [JSON, ("Authorization", conf.authorization())]
    response = server.connection(keep_alive=False).request("POST", server.admin_path(service), headers,
                                                           json.dumps(bound).encode())
    assert response.status == 200, response.body
    return json.loads(response.body)["challenge"]


def test_template(server, keys):
    challenge = bind(server, {"template": "Device"})
    assert said(front(server).verify(spec(keys[0], challenge), template="Other"))[1] == "bound-template"
    assert said(front(server).verify(spec(keys[0], challenge), template="Device"))[0] == "true"
    challenge = bind(server, {"template": "Device"})
    assert said(front(server).verify(spec(keys[0], challenge)))[0] == "true"      # by key usage


SVC, VERIFY_PATH = "/CertificateRegistrationSvc", "/CertificateRegistrationSvc/Certificate/VerifyRequest"
SPELLINGS = (VERIFY_PATH.lower(), VERIFY_PATH.upper(), "/" + VERIFY_PATH + "/", SVC + "//Certificate/./VerifyRequest",
             SVC + "/x/../Certificate/VerifyRequest", VERIFY_PATH.replace("R", "%52", 1), VERIFY_PATH + "?x=1",
             SVC + ";v=1/Certificate/VerifyRequest", "/CMCertificateRegistration/Certificate/VerifyRequest",
             "/cmcertificateregistration/certificate/verifyrequest")


@pytest.mark.parametrize("path", SPELLINGS)
def test_every_spelling_is_guarded_and_served(server, keys, path):
    assert said(front(server).verify(spec(keys[0], server.challenge()), path=path))[0] == "true"
    server.expect("SCEP0540", "SCEP0543")
    for certificate in (None, "stranger"):
        assert front(server, certificate).verify(spec(keys[0], "x"), path=path).status == 403


def test_a_location_guards_every_spelling(factory, keys):
    """What an administrator writes for the canonical path holds for all."""
    made = started(factory, [point.Point(pki.make(), AUTHORIZE)],
                   more='<Location "%s">\nRequire all denied\n</Location>\n' % point.ROOT.rstrip("/"))
    made.expect("AH01630")
    for path in SPELLINGS:
        assert front(made).verify(spec(keys[0], "x"), path=path).status == 403, path
    assert front(made).post("/CMCertificateRegistration/Certificate/Notify", b"{}").status == 403


OTHERS = (SVC, SVC + "/", SVC + "/Certificate", SVC + "/Certificate/Other", VERIFY_PATH + "/more",
          SVC + "/VerifyRequest",
          "/CMCertificateRegistration/", "/point/mscep/mscep.dll", "/point/mscep", "/Certificate/VerifyRequest")


@pytest.mark.parametrize("path", OTHERS)
def test_nothing_else_is_there(server, path):
    for method in ("GET", "POST"):
        assert front(server).post(path, b"{}" if method == "POST" else None, method=method).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_methods(server, method):
    for path in (point.VERIFY, point.NOTIFY):
        response = front(server).post(path, None, headers=(), method=method)
        assert response.status == 405 and response.header("Allow").split(",")[0] == "POST", (method, response.status)
        assert "GET" not in response.header("Allow")


@pytest.mark.parametrize("host", ["optional", "optional_no_ca", "none"])
def test_without_a_certificate(server, keys, host):
    server.expect("SCEP0540")
    assert front(server, None, host).verify(spec(keys[0], server.challenge())).status == 403
    assert "403.7" in server.log.wait("SCEP0540")


def test_plain_http(server, keys):
    server.expect("SCEP0540")
    asked = spec(keys[0], server.challenge())
    data = json.dumps(point.Front.question(asked)).encode()
    assert server.connection(keep_alive=False).request("POST", point.VERIFY, [JSON], data).status == 403
    server.log.wait("SCEP0540")


@pytest.mark.parametrize("certificate", ["foreign", "self", "expired"])
def test_certificates_that_are_not_trusted(server, keys, certificate):
    asked = spec(keys[0], server.challenge())
    server.expect("SCEP0540", "SCEP0541", *point.REFUSED)
    for host in ("optional", "require"):
        try:
            assert front(server, certificate, host).verify(asked).status == 403
        except OSError:
            pass                        # the handshake
    response = None
    try:
        response = front(server, certificate, "optional_no_ca").verify(asked)
    except OSError:
        assert certificate == "expired"
    if response is not None:
        assert response.status == 403
        line = server.log.wait("SCEP0541")
        assert "403.16" in line and "issuer" in line
    assert said(front(server).verify(asked))[0] == "true"       # nothing was held


def test_fronts_that_are_not_named(server, keys):
    server.expect("SCEP0543")
    assert front(server, "stranger").verify(spec(keys[0], server.challenge())).status == 403
    assert front(server, "stranger").notify(spec(keys[0], "x"), "failure").status == 403
    assert "somebody" in server.log.wait("SCEP0543")


BODIES = [(b"", 400), (b"{", 400), (b"[]", 400), (b"{}", 400), (b"null", 400), (b"\xff\xfe", 400),
          (b"[" * 100000, 400), (b" " * (256 * 1024 + 1), 413)]


@pytest.mark.parametrize("path", [point.VERIFY, point.NOTIFY])
@pytest.mark.parametrize("number", range(len(BODIES)))
def test_bad_bodies(server, path, number):
    body, status = BODIES[number]
    assert front(server).post(path, body).status == status


def test_bad_members(server, keys):
    asked = spec(keys[0], server.challenge())
    good = point.Front.question(asked)
    for change in ({"version": 2}, {"more": 1}, {"template": ""}, {"clientAddress": "x"}, {"transactionId": ""},
                   {"certificateRequest": "AA"}, {"signingCertificate": "MAA="}, {"userAgent": 7}):
        assert front(server).post(point.VERIFY, dict(good, **change)).status == 400, change
    twice = json.dumps(good)[:-1] + ',"version":1}'
    assert front(server).post(point.VERIFY, twice.encode()).status == 400
    for name in good:
        assert front(server).post(point.VERIFY, {k: v for k, v in good.items() if k != name}).status == 400
    assert front(server).post(point.VERIFY, good, headers=[("Content-Type", "text/plain")]).status == 415
    assert front(server).post(point.VERIFY, good, headers=()).status == 415
    assert said(front(server).verify(asked))[0] == "true"
    assert front(server).notify(asked, "success").status == 400
    assert front(server).notify(asked, "maybe").status == 400
    assert front(server).notify(asked, "success", leaf_for(keys[1])).status == 409      # another key
    body = dict(version=1, transactionId=asked.txid, certificateRequest="MAA=", disposition="failure")
    assert front(server).post(point.NOTIFY, body).status == 400


def test_dispositions(server, keys):
    one = front(server)
    challenge = server.challenge()
    asked = spec(keys[0], challenge)
    assert one.notify(asked, "failure").status == 409           # never asked
    assert said(one.verify(asked))[0] == "true"
    assert one.notify(asked, "pending").status == 204
    assert one.notify(asked, "pending").status == 204
    assert said(one.verify(spec(keys[1], challenge))) == ("false", "challenge-held")
    assert said(one.verify(asked))[0] == "true"                 # a person approved
    assert one.notify(asked, "success", leaf_for(keys[0])).status == 204
    challenge = server.challenge()
    for hresult, last in ((0x800706ba, "true"), (0x80070005, "true")) + ((0x80070005, "false"),) * 2:
        asked = spec(keys[0], challenge)
        answer = said(one.verify(asked))
        if answer[0] == "true":
            assert one.notify(asked, "failure", hresult=hresult, errorDescription="no\nluck").status == 204
            assert one.notify(asked, "failure", hresult=hresult).status == 204
    assert answer == ("true", None)                             # three refusals of three
    assert said(one.verify(spec(keys[0], challenge))) == ("false", "challenge-burned")


def test_renewals(server, keys):
    made = pki.make()
    ours = leaf_for(keys[0])
    asked = spec(keys[1], None)
    assert said(front(server).verify(asked, signingCertificate=point.base64_of(ours)))[0] == "true"
    done = front(server).notify(asked, "success", leaf_for(keys[1]), signingCertificate=point.base64_of(ours))
    assert done.status == 204
    stranger = pki.der_of(pki.certificate("device", keys[0], made.load("ca.pem"), pki.key("tls-other")))
    asked = spec(keys[1], None)
    answer = said(front(server).verify(asked, signingCertificate=point.base64_of(stranger)))
    assert answer == ("false", "renewal-signer")
    own = pki.der_of(pki.certificate("device", keys[0]))
    assert said(front(server).verify(asked, signingCertificate=point.base64_of(own)))[0] == "false"


def test_two_fronts(server, keys):
    """Each challenge, and each request, goes to one of them."""
    for same_request in (True, False):
        challenge = server.challenge()
        first = spec(keys[0], challenge)
        second = first if same_request else spec(keys[1], challenge)
        calls = [("front1", first), ("front2", second)] * 3
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda call: front(server, call[0]).verify(call[1]), calls))
        winners = {name for (name, _), answer in zip(calls, answers) if (answer.status, answer.body) == (201, b"true")}
        assert len(winners) == 1
        assert {answer.status for (name, _), answer in zip(calls, answers) if name not in winners} == {503}
        winner = winners.pop()
        for name, asked in (("front1", first), ("front2", second)):
            told = front(server, name).notify(asked, "success", leaf_for(asked.key))
            assert told.status == (204 if name == winner else 409)


def test_renewed_front_goes_on(server, keys):
    """A front is known by its name, not by one certificate."""
    asked = spec(keys[0], server.challenge())
    assert said(front(server, "front1").verify(asked))[0] == "true"
    assert front(server, "again1").notify(asked, "success", leaf_for(keys[0])).status == 204


def test_held_no_longer(factory, keys):
    made = started(factory, [point.Point(pki.make(), AUTHORIZE, "ScepRegistrationPointHold 10s",
                                      "ScepRequestTimeout 1s")])
    asked = spec(keys[0], made.challenge())
    assert said(front(made, "front1").verify(asked))[0] == "true"
    env.wait_until(lambda: front(made, "front2").verify(asked).status == 201, 30, what="the hold does not end")
    assert front(made, "front1").notify(asked, "success", leaf_for(keys[0])).status == 409
    assert front(made, "front2").notify(asked, "success", leaf_for(keys[0])).status == 204


def test_logs(server, keys):
    challenge = bind(server, {"device": "dev<1>", "user": "anna"})
    asked = spec(keys[0], challenge)
    assert said(front(server).verify(asked))[0] == "true"
    assert front(server).notify(asked, "success", leaf_for(keys[0])).status == 204
    texts = server.logs.texts(asked.txid)
    assert texts[0] == "VerifyRequest Started." and texts[1] == "Validation Phase 1 started."
    assert "Validation Phase 3 started for device dev(1) and user anna." in texts
    assert texts[-5] == "VerifyRequest Finished with status True"
    assert texts[-4] == "Notify Started." and texts[-2:] == ["Successfully sent state message", "Notify Finished."]
    lines = [x for x in lines_of(server.logs.audit_file) if x.get("transactionID") == asked.txid]
    assert [x["operation"] for x in lines] == ["VerifyRequest", "Notify"]
    assert lines[0]["device"] == "dev<1>" and lines[1]["serial"] and lines[1]["httpStatus"] == 204
    assert lines[0]["httpStatus"] == 201
    refused = spec(keys[0], "FEDCBA9876543210")
    assert said(front(server).verify(refused))[0] == "false"
    texts = server.logs.texts(refused.txid)
    assert "Validation Phase 1 finised with status False." in texts
    assert "VerifyRequest Finished with status False" in texts
    assert "result=refused reason=challenge-unknown" in server.transaction_line(refused.txid)
    for secret in (challenge, "FEDCBA9876543210"):
        for file in (server.logs.audit_file, server.logs.policy_file, server.folder / "error_log"):
            assert secret not in file.read_text()


def test_limits(factory, keys):
    """A device that guesses is held back, its front is not."""
    made = started(factory, [point.Point(pki.make(), AUTHORIZE, "ScepFailureLimit 3 1h")])
    for _ in range(3):
        assert said(front(made).verify(spec(keys[0], "guess")))[0] == "false"
    limited = front(made).verify(spec(keys[0], made.challenge()))
    assert limited.status == 429 and int(limited.header("Retry-After")) > 0
    assert said(front(made).verify(spec(keys[0], made.challenge()), clientAddress="192.0.2.78"))[0] == "true"


def test_store_down(factory, keys):
    redis = factory.redis()
    lines = conf.Lines("ScepStore " + redis.urls()["tcp"],
                       "ScepChallengeSecretFile %s" % secret_file(env.folder("secret")))
    made = started(factory, [point.Point(pki.make(), AUTHORIZE)], lines)
    asked = spec(keys[0], made.challenge())
    assert said(front(made).verify(asked))[0] == "true"
    redis.stop()
    made.expect("SCEP0201", "SCEP0204", "SCEP02", "SCEP046")
    for response in (front(made).verify(asked), front(made).notify(asked, "success", leaf_for(keys[0]))):
        assert response.status == 503 and int(response.header("Retry-After")) > 0


CONFIGS = [
    ((AUTHORIZE,), None),
    ((), "WARNING ScepRegistrationPointAuthorize"),
    ((AUTHORIZE, "ScepApproval manual"), "ScepApproval"),
    (("ScepRegistrationPointAuthorize \"%{nonsense\"",), "ScepRegistrationPointAuthorize"),
    ((AUTHORIZE, "ScepRegistrationPointHold 1s"), "ScepRegistrationPointHold"),
    ((AUTHORIZE, "ScepCABackend none more=1"), "ScepCABackend"),
]


@pytest.mark.parametrize("number", range(len(CONFIGS)))
def test_configuration(factory, number):
    lines, complaint = CONFIGS[number]
    made = factory.httpd([point.Point(pki.make(), *lines)], modules=point.MODULES)
    made.expect("SCEP04")
    status, text = made.configtest()
    if complaint is None:
        assert status == 0, text
    elif complaint.startswith("WARNING "):
        assert status == 0 and complaint.split()[1] in text
    else:
        assert status != 0 and complaint in text, text


def test_configurations_that_make_no_sense(factory):
    made = pki.make()
    without_chain, two = point.Point(made, AUTHORIZE), point.Point(made, AUTHORIZE, name="more", path="/more")
    without_chain.set("ScepCAChain")
    useless = conf.Service(made, ra=False)
    useless.set("ScepCABackend", "none")
    for services, complaint in (([without_chain], "ScepCAChain is missing"), ([useless], "could do nothing"),
                                ([point.Point(made, AUTHORIZE), two], "one per server")):
        server = factory.httpd(services, modules=point.MODULES)
        server.expect("SCEP04")
        status, text = server.configtest()
        assert status != 0 and complaint in text, text


@pytest.mark.parametrize("line", [AUTHORIZE, "ScepRegistrationPointHold 1min"])
def test_directives_without_a_point(factory, line):
    """A warning in the section of the service; at server level it is for those that are a point."""
    directive = line.split()[0]
    server = factory.httpd([conf.Service(pki.make()).add(line)], modules=point.MODULES)
    server.expect("SCEP04")
    status, text = server.configtest()
    assert status == 0 and re.search("%s.*does nothing without ScepRegistrationPoint on" % directive, text), text
    status, text = factory.httpd([conf.Service(pki.make())], modules=point.MODULES,
                                 server=conf.Lines(line)).configtest()
    assert status == 0 and "does nothing" not in text


def test_point_and_ca_in_one_service(factory, keys):
    """It serves devices too."""
    service = conf.Service(pki.make()).add("ScepRegistrationPoint on", AUTHORIZE)
    made = started(factory, [service])
    made.enroll(keys[0])
    asked = spec(keys[0], made.challenge())
    assert said(front(made).verify(asked))[0] == "true"
    client = made.client()
    held = client.send(client.spec(key=keys[1], challenge=asked.challenge).build())
    assert held.status == 503 and int(held.header("Retry-After")) > 0


def test_our_own_front(factory, server, keys):
    """mod_scep asks mod_scep: a device enrolls at the one, its challenge is the other's."""
    names = point.files()
    service = conf.Service(pki.make()).add(
        "ScepPolicy registration-point url=https://localhost:%d/CMCertificateRegistration caFile=%s "
        "certificate=%s key=%s"
        % (server.tls["optional"], names["ca"], names["front1"], names["front1"]))
    front_host = factory.httpd([service]).start()
    client = front_host.client()
    asked = client.spec(key=keys[0], challenge=bind(server, {"subject": "CN=device", "device": "d-9"}))
    assert client.transact(asked).status == scep.SUCCESS
    lines = [x for x in lines_of(server.logs.audit_file) if x.get("transactionID") == asked.txid]
    assert [(x["operation"], x["result"]) for x in lines] == [("VerifyRequest", "success"), ("Notify", "success")]
    assert front_host.client().enroll(keys[1], asked.challenge).status == scep.FAILURE
    refused = client.spec(key=keys[1], challenge=bind(server, {"subject": "CN=other"}))
    assert client.transact(refused).status == scep.FAILURE
    assert "bound-subject" in front_host.transaction_line(refused.txid)
