# SPDX-License-Identifier: Apache-2.0
"""ScepPolicy intune over real TLS: each answer, what the device sees, and that each challenge is good once."""
import base64
import hashlib
import pathlib
import re
import socket
import socketserver
import subprocess
import threading

import pytest
from cryptography import x509

import approval
import cmtrace
import conf
import der
import env
import pki
import scep_client as scep
from intune import CLIENT, SECRET, Intune
from test_300_stores import secret_file
from test_720_logs import Logs, logging

ONE_CHILD = ("ServerLimit 1", "StartServers 1", "MaxRequestWorkers 8", "MinSpareThreads 1", "MaxSpareThreads 8")
CALLS = ("validateRequest", "successNotification", "failureNotification")


@pytest.fixture(scope="module")
def cloud():
    made = Intune()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def well(cloud):
    """All is well before and after each test, and nobody asked what the real services refuse."""
    cloud.well()
    yield
    cloud.well()
    assert not cloud.wrong, cloud.wrong


def service(policy, *more, **how):
    return conf.Service(pki.make(), **how).add(policy, *more)


@pytest.fixture(scope="module")
def server(cloud, module_factory):
    """0: as it is; 1: renewals by their signer; 2: requests wait for a person."""
    made = module_factory.httpd([
        service(cloud.policy("concurrency=4", "timeout=3s", "caConfiguration=ca.example\\CA")),
        service(cloud.policy("renewal=signer"), name="signer", path="/signer"),
        service(cloud.policy(), "ScepApproval manual", name="manual", path="/manual")],
        server=logging(*ONE_CHILD), level="debug", locations=[
            approval.LOCATION, '<Location "/metrics">\nSetHandler scep-metrics\n</Location>\n'])
    return made.start()


@pytest.fixture(scope="module")
def logs(server):
    return Logs(server)


def ask(server, key, which=0, challenge=None, **fields):
    """(response, reply or None, spec)"""
    client = server.client(which, keep_alive=False)
    spec = client.spec(key=key, challenge=challenge, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None, spec


def recovers(server, cloud, key):
    """Devices get certificates again."""
    cloud.well()
    env.wait_until(lambda: ask(server, key, challenge=cloud.challenge())[0].status == 200)


def test_yes(server, cloud, logs, keys):
    challenge = cloud.challenge()
    _, reply, spec = ask(server, keys[0], challenge=challenge)
    assert reply.status == scep.SUCCESS
    asked, = cloud.of("validateRequest")
    assert asked["transactionId"] == spec.txid and asked["callerInfo"] == "mod_scep/1"
    told, = cloud.of("successNotification")
    assert told["transactionId"] == spec.txid and told["certificateRequest"] == asked["certificateRequest"]
    leaf = pki.der_of(reply.leaf)
    assert told["certificateThumbprint"] == hashlib.sha1(leaf).hexdigest().upper()
    assert int(told["certificateSerialNumber"], 16) == reply.leaf.serial_number
    assert told["certificateExpirationDateUtc"][:19] == reply.leaf.not_valid_after.isoformat()
    assert told["issuingCertificateAuthority"] == told["certificateAuthority"] == "CN=Test CA"
    assert told["caConfiguration"] == "ca.example\\CA"
    assert not cloud.of("failureNotification")
    for request in cloud.requests("validateRequest") + cloud.requests("successNotification"):
        assert server.log.wait("SCEP0272.*transaction %s.*%s" % (spec.txid, request))
    audit, = logs.audit(spec.txid)
    assert audit["result"] == "success" and audit["challengeCaller"] == "intune"
    assert "Verify challenge returns true" in logs.texts(spec.txid)
    assert "Exiting Notify with 0x0" in logs.texts(spec.txid)


def table():
    """{code: (failInfo, HRESULT, reason)} of docs/intune.md."""
    text = (env.SOURCE / "docs" / "intune.md").read_text("utf-8")
    return {row[0]: row[1:] for row in re.findall(r"(?m)^\| `(\w+)` \| (bad\w+) \| (0x\w+) \| `([\w-]+)` \|", text)}


FAIL_INFO = {"badMessageCheck": "1", "badRequest": "2", "badCertId": "4"}
PHASES = {"challenge": 1, "client": 2, "request": 3}


@pytest.mark.conformance("windows-9")
@pytest.mark.parametrize("code", sorted(table()) + ["success", "Success ", "NewNextYear"])
def test_codes(server, cloud, logs, keys, code):
    """The device, the three logs and docs/intune.md say the same."""
    fail_info, hresult, reason = table().get(code, ("badRequest", "0x80004005", "intune-code"))
    cloud.code = code
    _, reply, spec = ask(server, keys[0], challenge=cloud.challenge())
    assert (reply.status, reply.fail_info) == (scep.FAILURE, FAIL_INFO[fail_info])
    assert reply.hresult == int(hresult, 16)
    assert not cloud.of("successNotification")
    audit, = logs.audit(spec.txid)
    assert (audit["reason"], audit["hresult"]) == (reason, hresult)
    assert cloud.requests("validateRequest")[0] in audit["detail"]
    assert server.log.wait("%s.*%s" % (spec.txid, reason)) or server.log.wait("%s.*%s" % (reason, spec.txid))
    phase = PHASES.get(reason.split("-")[1])
    texts = logs.texts(spec.txid)
    assert any(reason in text for text in texts) and "Exiting VerifyRequest with %s" % hresult in texts
    assert not phase or cmtrace.phase(phase, False) in texts
    text = server.connection(keep_alive=False).request("GET", "/metrics").body.decode()
    assert 'scep_intune_refusals_total{service="corp",code="%s"} ' % (code if code in table() else "other") in text


def test_all_codes_are_in_the_table():
    names = re.findall(r'\n    \{"(\w+)", ', (env.SOURCE / "policy" / "policy_intune_code.c").read_text())
    assert len(names) == 24 and set(names) == set(table())


def test_judged_by_the_challenge(server, cloud, keys):
    """What the double says of challenges, without being told a code."""
    assert ask(server, keys[0])[1].status == scep.FAILURE
    assert not cloud.count("validateRequest")
    for challenge, subject, hresult in (("0123456789ABCDEF", "CN=device", "0x80070490"),
                                        (cloud.challenge(valid=False), "CN=device", "0x800b0101"),
                                        (cloud.challenge(), "CN=administrator", "0x80094001")):
        _, reply, _ = ask(server, keys[0], challenge=challenge, subject=subject)
        assert reply.status == scep.FAILURE
        assert reply.hresult == int(hresult, 16)


def test_refused_challenge_is_free_again(server, cloud, keys):
    challenge = cloud.challenge()
    assert ask(server, keys[0], challenge=challenge, subject="CN=other")[1].status == scep.FAILURE
    assert ask(server, keys[1], challenge=challenge)[1].status == scep.SUCCESS


def test_challenge_is_burned(server, cloud, keys):
    challenge = cloud.challenge()
    for number in range(3):
        assert ask(server, keys[number], challenge=challenge, subject="CN=other")[1].status == scep.FAILURE
    assert ask(server, keys[3], challenge=challenge)[1].status == scep.FAILURE
    assert cloud.count("validateRequest") == 3


def test_a_lost_answer_is_given_again(server, cloud, keys):
    client = server.client(keep_alive=False)
    spec = client.spec(key=keys[0], challenge=cloud.challenge())
    first = client.transact(spec)
    assert client.transact(spec).leaf == first.leaf
    assert [cloud.count(call) for call in CALLS] == [1, 1, 0]


def spellings(challenge):
    """What Intune takes for the same challenge."""
    return {"same": challenge, "line ends": "\r\n".join(re.findall(".{1,64}", challenge)) + "\r\n",
            "blanks": "  " + challenge.replace("M", "M ", 1)}


@pytest.mark.parametrize("how", ["same", "line ends", "blanks"])
def test_a_challenge_is_good_once(server, cloud, logs, keys, how):
    """However it is spelled: Intune itself would say Success again."""
    challenge = cloud.challenge()
    assert ask(server, keys[0], challenge=challenge)[1].status == scep.SUCCESS
    _, reply, spec = ask(server, keys[1], challenge=spellings(challenge)[how], challenge_tag=der.UTF8)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert logs.audit(spec.txid)[0]["reason"] == "challenge-used"
    assert [cloud.count(call) for call in CALLS] == [1, 1, 0]


BROKEN = {
    "no code": (200, (), {}), "text": (200, (), b"Success"), "twice": (
        200, (), b'{"code":"ChallengeExpired","code":"Success"}'), "number": (200, (), {"code": 0}),
    "201": (201, (), {"code": "Success"}), "500": (500, (), {"code": "Success"}), "404": (404, (), {}),
    "403": (403, (), {}), "redirect": (302, [("Location", "/x")], {}),
    "large": (200, (), b" " * 5000000 + b'{"code":"Success"}'), "cut": (0, (), {}),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("kind", ["validateRequest", "successNotification"])
def test_anything_else_is_no_yes(server, cloud, keys, kind, answer):
    """No certificate leaves, and the same request is good when all is well again."""
    server.expect("SCEP0273", "SCEP0274")
    client = server.client(keep_alive=False)
    spec = client.spec(key=keys[0], challenge=cloud.challenge())
    cloud.answers[kind] = answer
    response = client.send(spec.build())
    assert response.status == 503 and int(response.header("Retry-After")) > 0 and b"PKI" not in response.body
    assert server.log.wait("SCEP0273.*client-request-id " + cloud.requests(kind)[0])
    if kind == "successNotification":
        line = server.log.wait("SCEP0274: .*transaction %s must not leave" % spec.txid)
        serial = re.search(r"certificate (\w+) of", line).group(1)
        assert server.log.wait("(?i)SCEP0120.*certificate %s was not allowed.* is revoked" % serial)
    cloud.well()
    env.wait_until(lambda: client.send(spec.build()).status == 200)
    assert client.transact(spec).status == scep.SUCCESS and cloud.count("successNotification") == 1


def test_intune_says_no_to_the_certificate(server, cloud, keys):
    server.expect("SCEP0274")
    cloud.answers["successNotification"] = (200, (), {"code": "Unknown", "errorDescription": "no place"})
    _, reply, spec = ask(server, keys[0], challenge=cloud.challenge())
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert server.log.wait("SCEP0274.*%s.*no place" % spec.txid)
    assert not cloud.count("failureNotification")


@pytest.mark.parametrize("status", [429, 503])
def test_left_alone(cloud, factory, keys, status):
    """The child does not ask while Intune wants to be left alone, and devices are told how long."""
    server = factory.httpd([service(cloud.policy())], server=conf.Lines(*ONE_CHILD)).start()
    server.expect("SCEP0273")
    cloud.answers["validateRequest"] = (status, [("Retry-After", "77")], {})
    response, _, _ = ask(server, keys[0], challenge=cloud.challenge())
    assert response.status == 503 and response.header("Retry-After") == "77"
    cloud.answers.clear()
    response, _, _ = ask(server, keys[0], challenge=cloud.challenge())
    assert response.status == 503 and 0 < int(response.header("Retry-After")) <= 77
    assert cloud.count("validateRequest") == 1
    assert server.client().get("GetCACaps").status == 200


def test_tokens_and_location_are_kept(cloud, factory, keys):
    server = factory.httpd([service(cloud.policy())], server=conf.Lines(*ONE_CHILD)).start()
    for key in keys:
        assert ask(server, key, challenge=cloud.challenge())[1].status == scep.SUCCESS
    assert [cloud.count(kind) for kind in ("token", "discovery", "validateRequest")] == [2, 1, 4]
    # tokens that Intune does not take any more are replaced within the request
    cloud.forget_tokens()
    assert ask(server, keys[0], challenge=cloud.challenge())[1].status == scep.SUCCESS
    assert [cloud.count(kind) for kind in ("token", "discovery", "validateRequest")] == [3, 1, 6]


def test_expired_token(cloud, factory, keys):
    """A token that lives a second is fetched again."""
    server = factory.httpd([service(cloud.policy())], server=conf.Lines(*ONE_CHILD)).start()
    cloud.expires_in = 1
    try:
        assert ask(server, keys[0], challenge=cloud.challenge())[1].status == scep.SUCCESS
        before = cloud.count("token")
        env.wait_until(lambda: ask(server, keys[1], challenge=cloud.challenge()) and cloud.count("token") > before)
    finally:
        cloud.expires_in = 3599


def test_wrong_secret(cloud, factory, keys):
    server = factory.httpd([service(cloud.policy())]).start()
    server.expect("SCEP0273")
    cloud.secret = "another secret"
    try:
        assert ask(server, keys[0], challenge=cloud.challenge())[0].status == 503
    finally:
        cloud.secret = SECRET
    assert server.log.wait(r"SCEP0273.*HTTP status 401, invalid_client \(AADSTS7000215\)")
    assert SECRET not in server.log.text(0) and not cloud.count("discovery")
    recovers(server, cloud, keys[0])


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_log_in_by_certificate(cloud, factory, keys, algorithm):
    server = factory.httpd([service(cloud.policy("assertion=" + algorithm, login=cloud.by_certificate()))]).start()
    assert ask(server, keys[0], challenge=cloud.challenge())[1].status == scep.SUCCESS
    assert algorithm in cloud.algorithms


DISCOVERY = {"401": (401, (), {}), "403": (403, (), {}), "500": (500, (), {}), "cut": (0, (), {}),
             "nothing": (200, (), {"value": []}), "text": (200, (), b"<html>")}


@pytest.mark.parametrize("answer", DISCOVERY.values(), ids=DISCOVERY.keys())
def test_discovery_fails(cloud, factory, keys, answer):
    server = factory.httpd([service(cloud.policy())]).start()
    server.expect("SCEP0273")
    cloud.answers["discovery"] = answer
    assert ask(server, keys[0], challenge=cloud.challenge())[0].status == 503
    assert server.log.wait("SCEP0273.*discovery") and not cloud.count("validateRequest")
    recovers(server, cloud, keys[0])


def test_discovery_leads_astray(cloud, factory, keys):
    """Never without TLS, never to a host that is not allowed; a host that is gone is looked for again."""
    server = factory.httpd([service(cloud.policy("serviceHosts=.manage.example"), name="a", path="/a"),
                            service(cloud.policy(), name="b", path="/b")]).start()
    server.expect("SCEP0273")
    assert ask(server, keys[0], 0, cloud.challenge())[0].status == 503
    assert server.log.wait("SCEP0273.*not https: at an allowed host")
    cloud.location = "http://localhost:%d/fe" % cloud.port
    assert ask(server, keys[0], 1, cloud.challenge())[0].status == 503
    cloud.location = "https://localhost:%d/fe" % env.free_port()
    env.wait_until(lambda: server.log.lines("SCEP0271") or
                   not ask(server, keys[0], 1, cloud.challenge()))
    cloud.well()
    env.wait_until(lambda: ask(server, keys[0], 1, cloud.challenge())[0].status == 200)


@pytest.mark.parametrize("kind, said", [("stranger", "certificate"), ("wrong-name", "localhost"),
                                        ("expired", "expired")])
def test_wrong_certificate(factory, keys, kind, said):
    other = Intune(kind)
    server = factory.httpd([service(other.policy())]).start()
    server.expect("SCEP0273")
    assert ask(server, keys[0], challenge=other.challenge())[0].status == 503
    assert said in server.log.wait("SCEP0273").lower()
    assert not other.calls
    other.stop()


def test_slow_intune_leaves_workers(server, cloud, keys):
    """Four calls hang, further ones fail at once, and what needs no policy is answered."""
    server.expect("SCEP0273")
    cloud.gate.clear()
    cloud.slow.add("validateRequest")
    statuses = []
    threads = [threading.Thread(target=lambda n=n: statuses.append(
        ask(server, keys[n % 4], challenge=cloud.challenge())[0].status)) for n in range(7)]
    for thread in threads:
        thread.start()
    env.wait_until(lambda: cloud.count("validateRequest") >= 4)
    assert server.client(keep_alive=False).get("GetCACert").status == 200
    assert server.log.wait("SCEP0273.*busy: 4 calls are under way")
    for thread in threads:
        thread.join()
    assert set(statuses) == {503}
    recovers(server, cloud, keys[0])


def test_renewal(server, cloud, logs, keys):
    """Intune's renewals: PKCSReq, signed by the old certificate, with a new challenge."""
    client = server.client(keep_alive=False)
    first = cloud.challenge()
    old = pki.der_of(client.enroll(keys[0], first).leaf)
    spec = client.renewal_spec(keys[1], old, keys[0], message_type=scep.PKCS_REQ, challenge=cloud.challenge())
    reply = client.transact(spec)
    assert reply.status == scep.SUCCESS
    assert [cloud.count(call) for call in CALLS] == [2, 2, 0]
    for challenge, reason in ((None, "challenge-missing"), (first, "challenge-used"),
                              (cloud.challenge(valid=False), "intune-challenge-expired")):
        for kind in (scep.PKCS_REQ, scep.RENEWAL_REQ):
            spec = client.renewal_spec(keys[2], old, keys[0], message_type=kind, challenge=challenge)
            assert client.transact(spec).status == scep.FAILURE
            assert logs.audit(spec.txid)[0]["reason"] == reason
    assert cloud.count("successNotification") == 2


def test_renewal_by_signer(server, cloud, keys):
    client = server.client(1, keep_alive=False)
    first = cloud.challenge()
    old = pki.der_of(client.enroll(keys[0], first).leaf)
    assert client.renew(keys[1], old, keys[0]).status == scep.SUCCESS
    assert client.enroll(keys[2], None).status == scep.FAILURE
    assert [cloud.count(call) for call in CALLS] == [1, 1, 0]
    # a challenge that is there has to be good
    assert client.renew(keys[2], old, keys[0], challenge=first).status == scep.FAILURE
    cloud.code = "ChallengeExpired"
    assert client.renew(keys[2], old, keys[0], challenge=cloud.challenge()).status == scep.FAILURE


def test_approval(server, cloud, keys):
    """Nothing is told while a request waits; after the approval Intune is asked again, and told."""
    client = server.client(2, keep_alive=False)
    spec = client.spec(key=keys[0], challenge=cloud.challenge())
    assert client.transact(spec).status == scep.PENDING
    assert [cloud.count(call) for call in CALLS] == [1, 0, 0]
    assert approval.decide(server, spec.txid, service="manual") == 200
    assert client.wait(spec).status == scep.SUCCESS
    assert [cloud.count(call) for call in CALLS] == [2, 1, 0]
    late = client.spec(key=keys[1], challenge=cloud.challenge())
    assert client.transact(late).status == scep.PENDING
    assert approval.decide(server, late.txid, service="manual") == 200
    cloud.code = "ChallengeExpired"
    assert client.wait(late).status == scep.FAILURE
    assert cloud.count("successNotification") == 1
    line = Logs(server).audit(late.txid)[-1]
    assert line["reason"] == "intune-challenge-expired" and "approved it too late" in line["detail"]


class Proxy(socketserver.ThreadingTCPServer):
    """An HTTP proxy that knows CONNECT, and whom it was asked for."""
    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            method, target, _ = self.rfile.readline().decode("ascii").split()
            headers = [line.strip() for line in iter(self.rfile.readline, b"\r\n") if line]
            self.server.targets.append((method, target))
            if self.server.user and b"Proxy-Authorization: Basic " + self.server.user not in headers:
                self.wfile.write(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
                return
            host, port = target.rsplit(":", 1)
            with socket.create_connection((host, int(port)), 10) as there:
                self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=self.copy, args=(there, self.connection), daemon=True)
                back.start()
                self.copy(self.connection, there)
                back.join()

        @staticmethod
        def copy(one, other):
            try:
                for data in iter(lambda: one.recv(65536), b""):
                    other.sendall(data)
                other.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def __init__(self, user=None):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.targets, self.user = [], user and base64.b64encode(user)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def test_proxy(cloud, factory, keys):
    """All three services are reached through it, and by CONNECT only."""
    proxy = Proxy()
    server = factory.httpd([service(cloud.policy("proxy=http://127.0.0.1:%d" % proxy.server_address[1]))]).start()
    assert ask(server, keys[0], challenge=cloud.challenge())[1].status == scep.SUCCESS
    assert len(proxy.targets) >= 3 and set(proxy.targets) == {("CONNECT", "localhost:%d" % cloud.port)}
    proxy.shutdown()
    proxy.server_close()


PROXY_USER = b"svc-scep:pass:word"


@pytest.fixture
def proxy():
    made = Proxy(PROXY_USER)
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize("line, good", [(PROXY_USER, True), (b"svc-scep:guess", False)])
def test_proxy_wants_a_password(proxy, cloud, factory, keys, line, good):
    """It stands in a file, and nowhere else."""
    file = pathlib.Path(secret_file(env.folder("proxy")))
    file.write_bytes(line + b"\n")
    server = factory.httpd([service(cloud.policy(
        "proxy=http://127.0.0.1:%d proxyCredentials=%s" % (proxy.server_address[1], file)))], level="debug").start()
    if not good:
        server.expect("SCEP0273.*407", "SCEP0285")
    response, _, _ = ask(server, keys[0], challenge=cloud.challenge())
    assert response.status == (200 if good else 503)
    assert {method for method, _ in proxy.targets} == {"CONNECT"}
    assert b"pass:word" not in server.log.text(0).encode() and "guess" not in server.log.text(0)


def test_document(cloud, factory, keys):
    """docs/intune.md, step by step: its commands make what its configuration needs."""
    text = (env.SOURCE / "docs" / "intune.md").read_text("utf-8")
    folder = env.folder("steps")
    commands = re.findall("```sh\n(.*?)```", text, re.S)
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command.replace("/etc/apache2/scep", str(folder)), shell=True, check=True, timeout=60,
                       input=SECRET.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = re.search("<ScepService intune>\n(.*?)</ScepService>", text, re.S).group(1)
    words = re.sub(r"\\\n\s*", "", lines).split()
    assert words[0] == "ScepPolicy" and {word.split("=")[0] for word in words[2:]} == {
        "tenant", "clientId", "certificate", "key"}
    before, cloud.certificate = cloud.certificate, x509.load_pem_x509_certificate(
        (folder / "intune.pem").read_bytes())
    login = "certificate=%s key=%s" % (folder / "intune.pem", folder / "intune.key")
    one = factory.httpd([service(cloud.policy(login=login))]).start()
    two = factory.httpd([service(cloud.policy(login="secretFile=%s" % (folder / "intune.secret")))]).start()
    try:
        assert ask(one, keys[0], challenge=cloud.challenge())[1].status == scep.SUCCESS
    finally:
        cloud.certificate = before
    assert ask(two, keys[0], challenge=cloud.challenge())[1].status == scep.SUCCESS


def two_hosts(factory, cloud, *words):
    """Two hosts on one Redis, and a client of each.  words: of the policy and of the service."""
    secret = secret_file(env.folder("secret"))
    redis = factory.redis()
    policy, more = [word for word in words if word[:4] != "Scep"], [word for word in words if word[:4] == "Scep"]
    hosts = [factory.httpd([service(cloud.policy(*policy), *more)], server=conf.Lines(
        "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret)).start() for _ in range(2)]
    clients = [host.client(keep_alive=False) for host in hosts]
    for client in clients:
        client.cacert()
    return hosts, clients


def test_two_hosts(cloud, factory, keys):
    """One challenge, one certificate; what one host issued the other gives again."""
    hosts, clients = two_hosts(factory, cloud)
    spec = clients[0].spec(key=keys[0], challenge=cloud.challenge())
    leaf = clients[0].transact(spec).leaf
    assert clients[1].transact(spec).leaf == leaf
    assert [cloud.count(call) for call in CALLS] == [1, 1, 0]
    assert clients[1].enroll(keys[1], spec.challenge).status == scep.FAILURE
    hosts[0].expect("SCEP0273")
    cloud.answers["validateRequest"] = (500, (), {})
    later = clients[0].spec(key=keys[1], challenge=cloud.challenge())
    assert clients[0].send(later.build()).status == 503
    cloud.well()
    assert clients[1].transact(later).status == scep.SUCCESS


def test_race_of_two_hosts(cloud, factory):
    """Many requests with one challenge, at both hosts at once: one certificate."""
    _, clients = two_hosts(factory, cloud)
    for _ in range(3):
        challenge, specs, statuses = cloud.challenge(), [], []
        for number, key in enumerate(pki.device_keys(8)):
            specs.append(clients[number % 2].spec(key=key, challenge=challenge))
        messages = [spec.build() for spec in specs]
        servers = [clients[number % 2] for number in range(8)]

        def send(number):
            client = scep.Client("http://%s:%d%s" % (servers[number].http.host, servers[number].http.port,
                                                     servers[number].path), keep_alive=False)
            client.signer = servers[number].signer
            response = client.send(messages[number])
            statuses.append(client.reply(response, specs[number]).status if response.status == 200 else "busy")
        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.count(scep.SUCCESS) == 1, statuses
    assert cloud.count("successNotification") == 3


def test_failure_is_told(cloud, factory, keys):
    """What the CA refuses Intune is told of, once, also when it was away; what Intune refused it is not."""
    hosts, clients = two_hosts(factory, cloud, "ScepTemplate general Large", "ScepLocalTemplate Large minimumKey=3072")
    for host in hosts:
        host.expect("SCEP0285")
    cloud.answers["failureNotification"] = (500, (), {})
    assert clients[0].enroll(keys[0], "none of Intune's").status == scep.FAILURE
    spec = clients[0].spec(key=keys[0], challenge=cloud.challenge())
    reply = clients[0].transact(spec)
    assert reply.status == scep.FAILURE
    env.wait_until(lambda: any(host.log.lines("SCEP0285", 0) for host in hosts), 30)
    cloud.well()
    env.wait_until(lambda: cloud.count("failureNotification"), 40)
    assert clients[1].enroll(keys[1], cloud.challenge()).status == scep.FAILURE
    env.wait_until(lambda: cloud.count("failureNotification") > 1, 30)
    first, second = cloud.of("failureNotification")
    assert first["transactionId"] == spec.txid != second["transactionId"]
    assert first["hResult"] == reply.hresult and "3072" in first["errorDescription"]
    assert not cloud.count("successNotification")


def test_revocation(cloud, factory, keys):
    """Ours is revoked, other CAs' are left alone; what could not be told is asked for again."""
    hosts, clients = two_hosts(factory, cloud, "revocation=on", '"revocationIssuer=CN=Test CA"',
                               "revocationInterval=1s")
    leaf = clients[0].enroll(keys[0], cloud.challenge()).leaf
    told, = cloud.of("successNotification")
    for host in hosts:
        host.expect("SCEP0275", "SCEP0276")
    cloud.answers["uploadRevocationResults"] = (500, (), {})
    ours = cloud.revoke(told["certificateSerialNumber"], told["issuingCertificateAuthority"])
    unknown, theirs = cloud.revoke("0A17", "CN=Test CA"), cloud.revoke("0A18", "CN=Other CA")
    env.wait_until(lambda: any(host.log.lines("SCEP0275.*HTTP status 500", 0) for host in hosts), 30)
    cloud.well()
    env.wait_until(lambda: not {ours, unknown} & set(cloud.revocations), 30)
    assert theirs in cloud.revocations
    assert {(r["requestContext"], r["errorCode"]) for r in cloud.results} == {
        (ours, "None"), (unknown, "CertificateNotFoundError")}
    serial = "%x" % leaf.serial_number
    assert any(host.log.lines("(?i)SCEP0276.*certificate 0?%s revoked: revoked" % serial, 0) for host in hosts)
    for client in clients:
        assert client.get_crl(keys[0]).crl.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None
        reply = client.renew(keys[1], pki.der_of(leaf), keys[0])
        assert reply.status == scep.FAILURE and "revoked" in reply.fail_text
    cloud.revocations.clear()


def test_killed_before_intune_knew(cloud, factory, keys):
    """A host dies between the CA's answer and Intune's: what the device gets in the end Intune knows of."""
    hosts, clients = two_hosts(factory, cloud, "ScepRequestTimeout 2s")
    hosts[0].expect("exit signal Killed")
    cloud.gate.clear()
    cloud.slow.add("successNotification")
    spec = clients[0].spec(key=keys[0], challenge=cloud.challenge())
    asking = threading.Thread(target=lambda: pytest.raises(Exception, clients[0].transact, spec))
    asking.start()
    env.wait_until(lambda: cloud.count("successNotification"))
    for child in hosts[0].children():
        hosts[0].kill_child(child)
    asking.join()
    cloud.well()
    env.wait_until(lambda: clients[1].send(spec.build()).status == 200, 30)
    leaf = pki.der_of(clients[1].transact(spec).leaf)
    told, = cloud.of("successNotification")
    assert told["certificateThumbprint"] == hashlib.sha1(leaf).hexdigest().upper()


def test_nothing_secret_is_logged(server, cloud, logs, keys):
    challenges = [cloud.challenge() for _ in range(3)]
    server.expect("SCEP0273")
    assert ask(server, keys[0], challenge=challenges[0])[1].status == scep.SUCCESS
    cloud.answers["validateRequest"] = (200, (), {"code": "Unknown", "errorDescription": "x " + challenges[1]})
    assert ask(server, keys[0], challenge=challenges[1])[1].status == scep.FAILURE
    cloud.answers["validateRequest"] = (500, (), challenges[2].encode())
    assert ask(server, keys[0], challenge=challenges[2])[0].status == 503
    text = server.log.text(0) + logs.audit_file.read_text() + logs.policy_file.read_text()
    with cloud.lock:
        secrets = [SECRET, SECRET[:12]] + challenges + [c[100:160] for c in challenges] + list(cloud.tokens)
    for secret in secrets:
        assert secret not in text


CONFIG = {
    "no login": ("", "secretFile"),
    "two logins": ("secretFile={s} certificate={c} key={k}", "one of them"),
    "absent secret": ("secretFile={s}.no", "client secret"),
    "open secret": ("secretFile={s}.open", "by others"),
    "no key": ("certificate={c}", "key"),
    "other key": ("certificate={c} key={o}", "not that of"),
    "http": ("secretFile={s} graph=http://graph.example", "in the clear"),
    "password": ("secretFile={s} authority=https://u:pw@login.example", "user names"),
    "unknown": ("secretFile={s} secret=abc", "secret"),
    "revocation": ("secretFile={s} revocation=on", "revocationIssuer"),
    "CA": ("secretFile={s} caFile={s}", "no PEM certificate"),
}


@pytest.mark.parametrize("words, said", CONFIG.values(), ids=CONFIG.keys())
def test_configuration(cloud, factory, words, said):
    folder = env.folder("intune-conf")
    for name, data, mode in (("s", SECRET.encode(), 0o600), ("s.open", SECRET.encode(), 0o644),
                             ("o", pki.pem(pki.key("device0")), 0o600)):
        (folder / name).write_bytes(data + b"\n")
        (folder / name).chmod(mode)
    text = words.format(s=folder / "s", o=folder / "o", c=cloud.folder / "login.pem", k=cloud.folder / "login.key")
    server = factory.httpd([service("ScepPolicy intune tenant=contoso.example clientId=%s %s" % (CLIENT, text))])
    status, output = server.configtest()
    server.expect("ScepPolicy")
    assert status != 0 and said in output and "pw@" not in output and SECRET not in output


def test_two_judges_of_one_challenge(cloud, factory):
    """No request could please both: that is said before devices find out."""
    server = factory.httpd([service(cloud.policy(), "ScepPolicy challenge")])
    status, output = server.configtest()
    server.expect("SCEP0452")
    assert status == 0 and re.search(r"httpd.conf:\d+\): ScepPolicy: intune and challenge both judge", output)


def test_shared_store_needs_a_secret(cloud, factory):
    server = factory.httpd([service(cloud.policy(), "ScepStore redis://127.0.0.1:1")])
    status, output = server.configtest()
    server.expect("ScepStore")
    assert status != 0 and "ScepChallengeSecretFile is missing" in output
