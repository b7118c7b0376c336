# SPDX-License-Identifier: Apache-2.0
"""docs/jamf-and-other-mdm.md: each MDM comes to a challenge on the configuration of the document, a device enrolls."""
import base64
import hashlib
import json
import re
import subprocess

import pytest

import conf
import env
import habits
import pki
import scep_client as scep
from http_client import Connection
from test_235_admin_tls import TlsConnection, credentials

DOCUMENT = env.SOURCE / "docs" / "jamf-and-other-mdm.md"
ADMIN = "/certsrv/mscep_admin"
USERS = ("jamf", "ws1", "fleet@example.com", "zentral", "mdmplus", "soti", "EXAMPLE\\ndes", "stranger")
SECRET = "7f0c1b5c3a6d4e2f8a9b0c1d2e3f4a5b"
JSON = ("Content-Type", "application/json")


class Server:
    """An httpd on the configuration of the document, with its placeholders replaced."""

    def __init__(self, factory):
        folder = pki.Pki(env.folder("mdm"))
        self._files(folder)
        blocks = re.findall("```apache\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
        assert len(blocks) == 2
        self.tls_port = env.free_port()
        text = "".join(blocks).replace("/etc/apache2/scep/", str(folder.folder) + "/").replace(
            "/var/log/apache2/scep-audit.log", "audit.log").replace("*:443", "127.0.0.1:%d" % self.tls_port)
        lines = ["SSLSessionCache shmcb:cache(65536)", "Listen 127.0.0.1:%d" % self.tls_port] + [
            line for line in text.splitlines() if not line.startswith("LoadModule")]
        self.httpd = factory.httpd(["\n"], admin=False, modules=("ssl", "socache_shmcb"), server=conf.Lines(*lines))
        self.httpd.expect("SCEP0200")
        self.httpd.start()
        assert [line for line in self.httpd.log.lines("", 0) if ":warn]" in line and "SCEP0200" not in line] == []
        self.httpd.log.check()

    @staticmethod
    def _files(folder):
        """CA and RA by the commands of docs/ra-certificates.md, the last of them first."""
        text = (DOCUMENT.parent / "ra-certificates.md").read_text("utf-8")
        for block in reversed(re.findall("```sh\n(.*?)```", text, re.S)):
            subprocess.run(["bash", "-ec", block.replace("/etc/apache2/scep", str(folder.folder))], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(credentials()["server"], "rb") as file:
            pem = file.read()
        folder.write("tls.pem", pem)
        folder.write("tls.key", pem)
        folder.write("kiosk.secret", (SECRET + "\n").encode())
        digest = base64.b64encode(hashlib.sha1(conf.PASSWORD.encode()).digest()).decode()
        folder.write("mscep_admin.htpasswd", "".join(
            "%s:{SHA}%s\n" % (user, digest) for user in USERS).encode(), 0o644)

    def ask(self, user, path=ADMIN, method="GET", headers=(), body=None, certificate=None):
        """The MDM's request over TLS; user None: without credentials."""
        headers = list(headers) + ([("Authorization", conf.authorization(user))] if user else [])
        return TlsConnection(self.tls_port, certificate).request(method, path, headers, body)

    def page(self, user, path=ADMIN, **how):
        response = self.ask(user, path, **how)
        assert response.status == 200, response.body
        return response.body

    def client(self, path="/certsrv"):
        return scep.Client(self.httpd.origin + path + "/mscep/mscep.dll", keep_alive=False)

    def audit(self, txid):
        lines = [json.loads(line) for line in (self.httpd.folder / "audit.log").read_text().splitlines()]
        return [line for line in lines if line.get("transactionID") == txid][-1]


@pytest.fixture(scope="module")
def server(module_factory):
    return Server(module_factory)


@pytest.fixture(autouse=True)
def quiet(server):
    server.httpd.expect("AH01618")


# The MDMs: each gives a challenge, with its own user.

def phrase(body):
    """What those that emulate NDES' page for the closed products leave in it."""
    return re.search(r"The enrollment challenge password is: <B> (\S+) </B>", body.decode("utf-16")).group(1)


def jamf(server):
    return phrase(server.page("jamf", ADMIN + "/"))


def event(url, **more):
    """Jamf Pro's event."""
    return json.dumps({"webhook": {"webhookEvent": "SCEPChallenge", "id": 1, "name": "SCEPChallenge",
                                   "eventTimestamp": 1800000000000},
                       "event": dict(dict(scepServerUrl=url, payloadIdentifier="com.example.wifi",
                                          payloadTypes=["com.apple.security.scep"]), **more)}).encode()


def post(server, user, body, path=ADMIN, headers=(JSON,)):
    return server.ask(user, path, "POST", headers, body)


def jamf_webhook(server):
    response = post(server, "jamf", event("http://scep.example/certsrv/mscep/mscep.dll"))
    assert response.status == 200 and response.header("Content-Type").startswith("text/plain")
    return response.body.decode()


def fleet_smallstep(server):
    response = post(server, "fleet@example.com", event("http://scep.example/certsrv/mscep/mscep.dll"),
                    headers=(JSON, ("Accept", "application/json")))
    assert response.status == 200
    return response.body.decode()


def workspace_one(server):
    challenge = phrase(server.page("ws1"))
    assert len(challenge) == 16
    return challenge


def ivanti(server):
    return phrase(server.page("EXAMPLE\\ndes", ADMIN + "/"))


def manage_engine(server):
    body = server.page("mdmplus", "/CertSrv/mscep_admin")
    for encoding in ("utf-16", "utf-8", "ascii", "utf-16-be", "utf-16-le", "latin-1"):
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        parts = re.split(re.escape("The enrollment challenge password is: <B> "), text)
        if len(parts) == 2:
            return parts[1][:parts[1].index(" </B> <P> This password can be used only once")]
    raise AssertionError("in none of its encodings")


def fleet(server):
    """Without credentials first: it wants to be offered NTLM, and takes Basic."""
    offer = server.ask(None, ADMIN + "/")
    assert offer.status == 401 and offer.header("WWW-Authenticate").startswith("Basic ")
    body = server.page("fleet@example.com", ADMIN + "/")
    return re.search(r"(?i)The enrollment challenge password is: <B> (?P<password>\S*)",
                     body.decode("utf-16")).group("password")


def zentral(server):
    return re.search(r"challenge password is: <B> ([A-Z0-9]{16,32}) </B>",
                     server.page("zentral", ADMIN + "/").decode("utf-16")).group(1)


def soti(server):
    return phrase(server.page("soti"))


MDMS = {
    "Jamf Pro": (jamf, "jamf", habits.apple), "Jamf Pro, webhook": (jamf_webhook, "jamf", habits.apple),
    "Workspace ONE": (workspace_one, "ws1", habits.windows), "Ivanti": (ivanti, "EXAMPLE\\ndes", habits.apple),
    "ManageEngine": (manage_engine, "mdmplus", habits.windows),
    "Fleet": (fleet, "fleet@example.com", habits.apple),
    "Fleet, Smallstep": (fleet_smallstep, "fleet@example.com", habits.windows),
    "Zentral": (zentral, "zentral", habits.apple), "SOTI": (soti, "soti", habits.jscep),
}


@pytest.mark.parametrize("name", MDMS)
def test_from_the_mdm_to_the_certificate(server, keys, name):
    scrape, user, device = MDMS[name]
    challenge = scrape(server)
    assert re.fullmatch("[0-9A-F]{16}", challenge)
    client = server.client()
    spec = device(client, keys[0], challenge)
    method = "GET" if device is habits.apple else "POST"
    assert client.transact(spec, method=method).status == scep.SUCCESS
    assert server.audit(spec.txid)["challengeCaller"] == user
    assert client.enroll(keys[1], challenge).status == scep.FAILURE


def test_one_challenge_for_all(server, keys):
    for key in keys[:2]:
        client = server.client("/kiosk")
        assert client.transact(habits.micromdm(client, key, SECRET)).status == scep.SUCCESS
    assert server.client("/kiosk").enroll(keys[2], SECRET[:-1]).status == scep.FAILURE


def test_who_may_not(server):
    """A user whom the expression does not name, and the page without TLS."""
    text = server.page("stranger").decode("utf-16")
    assert "You do not have sufficient permission to enroll with SCEP." in text and "password is" not in text
    assert post(server, "stranger", event("x")).status == 403
    server.httpd.expect("SCEP0433")
    for path in (ADMIN, "/kiosk/mscep_admin"):
        response = Connection("127.0.0.1", server.httpd.port, keep_alive=False).request(
            "GET", path, [("Authorization", conf.authorization("jamf"))])
        assert response.status == 403
    assert server.ask("jamf", "/kiosk/mscep_admin").status == 403


# The event

def test_event_binds_nothing_and_names_a_template(server, keys):
    challenge = post(server, "jamf", event("x", deviceName="laptop", subject="CN=other"), ADMIN + "?template=default")
    assert server.client().enroll(keys[0], challenge.body.decode(), subject="CN=any").status == scep.SUCCESS
    server.httpd.log.wait('SCEP0430: .*caller="jamf" template="default" .*bound=no')
    assert post(server, "jamf", event("x"), ADMIN + "?template=Nobody").status == 400


EVENTS = {
    "another event": {"webhook": {"webhookEvent": "ComputerAdded"}, "event": {}},
    "in other letters": {"webhook": {"webhookEvent": "scepchallenge"}, "event": {}},
    "no event": {"webhook": {"webhookEvent": "SCEPChallenge"}},
    "a number": {"webhook": {"webhookEvent": 1}, "event": {}},
    "a list": [{"webhook": {"webhookEvent": "SCEPChallenge"}, "event": {}}],
    "flat": {"webhookEvent": "SCEPChallenge", "event": {}},
    "webhook is a text": {"webhook": "SCEPChallenge", "event": {}},
}


@pytest.mark.parametrize("name", EVENTS)
def test_other_json_is_no_event(server, name):
    assert post(server, "jamf", json.dumps(EVENTS[name]).encode()).status == 400


def test_damaged_events(server):
    good = event("x")
    twice = good.replace(b'"event":', b'"event": {}, "event":', 1)
    for body in (good[:-1], good + b"x", twice, b"\xff" + good, b""):
        assert post(server, "jamf", body).status == 400
    assert post(server, "jamf", event("x" * 9000)).status == 413
    assert post(server, "jamf", good, ADMIN + "?params=x").status == 400
    assert post(server, "jamf", good, headers=[("Content-Type", "text/plain")]).status == 415
    assert post(server, "jamf", good, headers=[JSON, ("Origin", "https://evil.example")]).status == 403
    assert post(server, None, good).status == 401
