# SPDX-License-Identifier: Apache-2.0
"""docs/troubleshooting.md: each symptom is provoked, and what the document quotes is what is to be read."""
import datetime
import inspect
import json
import os
import re
import subprocess
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import approval
import conf
import damage
import der
import env
import pki
import scep_client as scep
import troubleshooting
from intune import Intune
from symptoms import READY, SIGN, SYMPTOMS
from troubleshooting import World, agrees
from webhook import Webhook

FAULT = env.module("mod_scep_fault") is not None


def crl_of(chain, days):
    now = datetime.datetime.utcnow()
    crl = (x509.CertificateRevocationListBuilder().issuer_name(chain.load("ca.pem").subject)
           .last_update(now - datetime.timedelta(days=40)).next_update(now + datetime.timedelta(days=days))
           .sign(pki.key("ca-root"), hashes.SHA256()))
    return crl.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def folder():
    return pki.Pki(env.folder("trouble"))


@pytest.fixture(scope="module")
def hook():
    made = Webhook()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def cloud():
    made = Intune()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(folder, hook, cloud, module_factory):
    """One service for each kind of trouble; all of one CA, all with both logs."""
    chain = pki.make()
    secret = folder.write("secret", b"Sh4redS3cret\n")
    folder.write("stale.crl", crl_of(chain, -1), 0o644)

    def service(name, *lines, **how):
        return conf.Service(chain, name, "/" + name if name != "corp" else "/certsrv", **how).add(*lines)

    corp = service("corp", "ScepChallengeAttempts 2", "ScepTemplate signature Sign", "ScepTemplate encryption Enc",
                   "ScepTemplate general Both", "ScepLocalTemplate Sign keyUsage=digitalSignature",
                   "ScepLocalTemplate Enc keyUsage=keyEncipherment", "ScepLocalTemplate Both minimumKey=3072",
                   backend="fault" if FAULT else "local")
    if FAULT:
        corp.lines = [line + (" switch=" + folder.path("switch") if line.startswith("ScepCABackend") else "")
                      for line in corp.lines]
    services = [
        corp,
        service("short", "ScepChallengeLifetime 1s"),
        service("full", "ScepChallengeMax 1"),
        service("limit", "ScepFailureLimit 2 1h"),
        service("strict", "ScepLegacyAlgorithms none"),
        service("manual", "ScepApproval manual", "ScepPendingMax 1"),
        service("stale", "ScepCRLFile " + folder.path("stale.crl")),
        service("window", "ScepRenewalWindow 1d"),
        service("off", "ScepRenewal off"),
        service("static", "ScepPolicy static file=" + secret),
        service("hook", hook.policy("challengeRequired=off", "timeout=3s")),
        service("intune", cloud.policy("timeout=3s")),
        service("few", "ScepAdminAuthorize \"%{REMOTE_USER} == 'nobody'\""),
        service("rules", "ScepLocalTemplate Vpn", "ScepTemplate general Vpn",
                "ScepAdminAuthorizeTemplate Vpn \"%{REMOTE_USER} == 'nobody'\""),
        service("bare"),
    ]
    guarded = [conf.location(s.path) for s in services if s.name != "bare"]
    lines = conf.Lines("ScepAuditLog audit.log", "ScepPolicyLog policy.log", "ScepRequestTimeout 2s",
                       "RemoteIPHeader X-Forwarded-For", "RemoteIPInternalProxy 127.0.0.1")
    made = module_factory.httpd(services, fault=FAULT, server=lines, admin=False, modules=("remoteip",),
                                locations=guarded + [READY, approval.LOCATION])
    made.expect("SCEP0200", "SCEP0473")
    made.start()
    made.log.check()
    return made


@pytest.fixture
def world(server, keys, folder):
    yield World(server, keys)
    (folder.folder / "switch").unlink(missing_ok=True)


@pytest.fixture
def ca(folder):
    """Sets what corp's CA does."""
    def behave(text):
        if not FAULT:
            pytest.skip("mod_scep_fault is not built")
        folder.write("switch.new", (text + "\n").encode(), 0o644)
        (folder.folder / "switch.new").rename(folder.folder / "switch")
    return behave


@pytest.mark.parametrize("number", SYMPTOMS)
def test_symptom(request, world, number):
    """What the row quotes is in the logs, in the answer or on the page; and the reason's row agrees."""
    function = SYMPTOMS[number]
    function(**{name: world if name == "world" else request.getfixturevalue(name)
                for name in inspect.signature(function).parameters})
    for line in world.evidence.audit():
        agrees(line)
    cell = troubleshooting.symptoms()[number]["Seen here"]
    quotes = [quote for quote in troubleshooting.quoted(cell) if not re.match("Scep[A-Z]|scep-|httpd -t$", quote)]
    assert quotes, "the row quotes nothing"
    assert troubleshooting.missing(quotes, world.evidence.text()) == []


def test_every_row_is_provoked():
    assert sorted(troubleshooting.symptoms(), key=int) == sorted(SYMPTOMS, key=int)


def test_reasons_of_broken_messages(server, keys):
    """Whatever is broken in a message: the table of reasons has what the device was told."""
    world, seen = World(server, keys), set()
    for layer, rows in damage.rows(keys).items():
        for row, _, _ in [] if layer == "http" else rows.values():
            good = world.challenge("off")
            damage.CURRENT["challenge"] = good
            fields = row(good) if callable(row) else row
            if isinstance(fields, dict):
                client = world.client("off")
                client.send(client.spec(**{**dict(key=keys[0], challenge=good), **fields}).build())
    for line in world.evidence.audit():
        agrees(line)
        seen.add(line["reason"])
    assert len(seen) > 25, seen


BOUND = {
    "bound-san": {"san": {"dns": ["a.example"]}}, "bound-key-usage": {"keyUsage": ["keyEncipherment"]},
    "bound-eku": {"eku": ["serverAuth"]}, "bound-key": {"minKey": 8192},
}


@pytest.mark.parametrize("reason", BOUND)
def test_reasons_of_bound_challenges(world, reason):
    challenge = world.challenge(query="?operation=NDESGenerateChallenge&params=" + urllib.parse.quote(
        json.dumps(BOUND[reason])))
    eku = scep.extension("2.5.29.37", der.seq(der.oid("1.3.6.1.5.5.7.3.2")))
    world.enroll(challenge=challenge, extensions=SIGN + [eku])
    line = world.evidence.audit()[-1]
    assert line["reason"] == reason
    agrees(line)


def test_commands_of_the_document(server, keys):
    """Each block of shell is run, with the names of this server's logs."""
    world = World(server, keys)
    world.enroll(challenge=world.challenge(), subject="CN=followed", extensions=SIGN)
    line = world.evidence.audit()[-1]
    logs = env.folder("logs")
    for name, here in (("scep-audit.log", "audit.log"), ("scep-policy.log", "policy.log"), ("error.log", "error_log")):
        (logs / name).symlink_to(server.folder / here)
    blocks = re.findall("```sh\n(.*?)```", troubleshooting.PATH.read_text("utf-8"), re.S)
    assert len(blocks) == 3
    answers = [subprocess.run(["bash", "-ec", block.replace("/var/log/apache2", str(logs))], check=True,
                              stdout=subprocess.PIPE, env=dict(os.environ, what="followed", tx=line["transactionID"],
                                                               challenge=line["challengeId"])).stdout.decode()
               for block in blocks]
    assert answers[0].split("\t")[2] == line["transactionID"]
    assert "SCEP0400" in answers[1] and '"result":"success"' in answers[1] and "Exiting Notify" in answers[1]
    assert "SCEP0430" in answers[2] and "caller=\"mdm\"" in answers[2]


def run_commands(server, text):
    """What commands of a document print, with this server's address and password in them."""
    text = re.sub(r"https://scep\.example", server.origin, text)
    text = re.sub(r"-u (mdm|anna)\b", "-u %s:%s" % (conf.ADMIN, conf.PASSWORD), text)
    return subprocess.run(["bash", "-ec", text], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout.decode()


def test_commands_of_other_documents(factory, keys):
    """Bound challenges of docs/policy.md, and decisions by a program of docs/administration.md."""
    service = conf.Service(pki.make()).add(
        "ScepLocalTemplate Device", "ScepTemplate general Device", "ScepApproval manual")
    server = factory.httpd([service], locations=[approval.LOCATION.replace("/status", "/scep-status")]).start()
    policy = (troubleshooting.PATH.parent / "policy.md").read_text("utf-8")
    made = run_commands(server, re.search("```sh\n(.*?)```", policy, re.S).group(1))
    first, second = re.fullmatch(r"([0-9A-F]{16})(\{.*\})\s*", made, re.S).groups()
    client = server.client()
    assert client.enroll(keys[0], json.loads(second)["challenge"], subject="CN=other").status == scep.FAILURE
    spec = client.spec(key=keys[0], challenge=first, subject="O=Example,CN=laptop-17")
    assert client.transact(spec).status == scep.PENDING
    page = (troubleshooting.PATH.parent / "administration.md").read_text("utf-8")
    block = re.search(r"\n    url=https://scep\.example/scep-status\n(?:    .*\n)+", page).group()
    assert '"result": "approved"' in run_commands(server, block)
    assert client.transact(spec).status == scep.SUCCESS
