# SPDX-License-Identifier: Apache-2.0
"""ScepAuditLog and ScepPolicyLog: what became of each transaction, for programs and for CMTrace."""
import concurrent.futures
import datetime
import hashlib
import json
import os
import re
import threading
import urllib.parse

import pytest

import cmtrace
import conf
import der
import env
import pki
import scep_client as scep
from test_280_limits import attempt

HEADERS = [("Content-Type", "application/x-pki-message")]


def lines_of(path):
    """The audit log, parsed: each line is a whole JSON object."""
    data = path.read_bytes()
    assert data == b"" or data.endswith(b"\n")
    found = []
    for line in data.decode("utf-8").split("\n")[:-1]:
        assert len(line) < 16384 and not re.search(r"[\x00-\x1f\x7f]", line)
        found.append(json.loads(line))
    return found


class Logs:
    """Both logs of a server."""

    def __init__(self, server, audit="audit.log", policy="policy.log"):
        self.audit_file, self.policy_file = server.folder / audit, server.folder / policy

    def audit(self, txid):
        """The audit lines of a transaction, oldest first."""
        return env.wait_until(lambda: [x for x in lines_of(self.audit_file) if x.get("transactionID") == txid],
                              10, what="no audit line of " + txid)

    def policy(self, txid):
        """[(component, type, text)] of a transaction."""
        return [(x["component"], int(x["type"]), x["text"])
                for x in cmtrace.parse(self.policy_file.read_bytes()) if x["context"] == txid]

    def texts(self, txid):
        return [text for _, _, text in self.policy(txid)]


def logging(*lines):
    return conf.Lines("ScepAuditLog audit.log", "ScepPolicyLog policy.log", *lines)


@pytest.fixture(scope="module")
def server(module_factory):
    """A CA that can fail, and both logs."""
    fault = env.module("mod_scep_fault") is not None
    service = conf.Service(pki.make(), backend="fault" if fault else "local")
    service.add("ScepTemplate signature DeviceSignature", "ScepLocalTemplate DeviceSignature")
    folder = env.folder("switch")
    if fault:
        service.lines = [x + (" switch=%s" % (folder / "switch") if x.startswith("ScepCABackend") else "")
                         for x in service.lines]
    made = module_factory.httpd([service], fault=fault, server=logging("ScepRequestTimeout 2s")).start()
    made.switch, made.logs = folder / "switch", Logs(made)
    return made


@pytest.fixture
def ca(server):
    """Sets what the CA does."""
    if env.module("mod_scep_fault") is None:
        pytest.skip("mod_scep_fault is not built")

    def behave(text):
        temporary = server.switch.with_suffix(".new")
        temporary.write_text(text + "\n")
        temporary.chmod(0o644)
        temporary.rename(server.switch)
    yield behave
    server.switch.unlink(missing_ok=True)


def everywhere(server, txid):
    """The last audit line and the policy log's texts; the error log knows the transaction too."""
    assert txid in server.transaction_line(re.escape(txid))
    return server.logs.audit(txid)[-1], server.logs.texts(txid)


@pytest.mark.smoke
def test_issued(server, keys):
    challenge = server.challenge()
    client = server.client()
    san = scep.san_extension(["device.example"], [der.tlv(0x81, b"me@device.example"),
                                                  der.tlv(0x87, b"\x7f\x00\x00\x01"),
                                                  der.tlv(0x86, b"urn:device:1")])
    spec = client.spec(key=keys[0], challenge=challenge, subject="CN=audited,O=Example", extensions=[san])
    agent = "Mozilla/4.0 (compatible; Win32; NDES client 10.0.22621.1)"
    reply = client.reply(client.send(spec.build(), headers=HEADERS + [("User-Agent", agent)]), spec)
    audit, texts = everywhere(server, spec.txid)
    leaf = pki.der_of(reply.leaf)
    assert audit["service"] == "corp" and audit["operation"] == "PKIOperation"
    assert audit["messageType"] == "PKCSReq" and audit["client"] == "127.0.0.1"
    assert (audit["clientOS"], audit["userAgent"]) == ("Windows", agent)
    assert "audited" in audit["subject"] and audit["keyType"] == "RSA-2048"
    assert audit["sans"] == ["DNS:device.example", "email:me@device.example", "IP:127.0.0.1", "URI:urn:device:1"]
    assert audit["challengeCaller"] == conf.ADMIN and re.fullmatch("[0-9a-f]{12}", audit["challengeId"])
    assert int(audit["serial"], 16) == reply.leaf.serial_number
    assert audit["thumbprintSHA1"] == hashlib.sha1(leaf).hexdigest().upper()
    assert audit["thumbprintSHA256"] == hashlib.sha256(leaf).hexdigest().upper()
    assert audit["notAfter"] == reply.leaf.not_valid_after.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (audit["result"], audit["reason"], audit["httpStatus"]) == ("success", "ok", 200)
    assert "failInfo" not in audit and "hresult" not in audit and "cut" not in audit
    assert audit["host"] and audit["milliseconds"] >= 0
    assert set(audit["steps"]) == {"message", "envelope", "claim", "verify", "ca", "commit", "reply"}
    assert 0 < sum(audit["steps"].values()) < 20_000_000
    when = datetime.datetime.strptime(audit["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
    assert abs((datetime.datetime.utcnow() - when).total_seconds()) < 120
    plugin = [text for component, _, text in server.logs.policy(spec.txid) if component == "NDESPlugin"]
    assert plugin[0] == "Calling VerifyRequest ..." and "audited" in plugin[1]
    assert plugin[2:] == ["Verify challenge returns true", "Exiting VerifyRequest with 0x0",
                          "Calling Notifyrequest ...", "Certificate issued, serial number " + audit["serial"],
                          "Exiting Notify with 0x0"]
    for phase in (1, 2, 3):
        assert cmtrace.phase(phase, True) in texts
    assert "VerifyRequest Finished with status True" in texts
    assert all(type == 1 for _, type, _ in server.logs.policy(spec.txid))
    assert challenge not in server.logs.audit_file.read_text() + server.logs.policy_file.read_text()


def test_replayed(server, keys):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    assert client.transact(spec).leaf == client.transact(spec).leaf
    first, second = server.logs.audit(spec.txid)
    assert second["replayed"] is True and "replayed" not in first
    assert second["serial"] == first["serial"] and second["thumbprintSHA256"] == first["thumbprintSHA256"]
    assert server.logs.texts(spec.txid)[-1] == "Known transaction: certificate %s is sent again" % first["serial"]


def test_renewal(server, keys):
    old = server.enroll(keys[0], subject="CN=renewing").leaf
    client = server.client()
    spec = client.renewal_spec(keys[1], pki.der_of(old), keys[0])
    assert client.transact(spec).status == scep.SUCCESS
    audit, texts = everywhere(server, spec.txid)
    assert int(audit["renews"], 16) == old.serial_number and audit["messageType"] == "RenewalReq"
    assert "challengeId" not in audit
    assert "renews certificate " + audit["renews"] in texts[1] and "Verify challenge returns true" in texts


def used(server, client, keys):
    challenge = server.challenge()
    assert client.enroll(keys[0], challenge).status == scep.SUCCESS
    return challenge


REFUSED = {
    "no challenge": (lambda *_: None, "challenge-missing", "0x80096004"),
    "unknown challenge": (lambda *_: "0123456789ABCDEF", "challenge-unknown", "0x80070490"),
    "used challenge": (used, "challenge-used", "0x80070490"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_the_policy(server, keys, case):
    make, reason, hresult = REFUSED[case]
    client = server.client()
    spec = client.spec(key=keys[1], challenge=make(server, client, keys))
    assert client.transact(spec).status == scep.FAILURE
    audit, texts = everywhere(server, spec.txid)
    assert (audit["result"], audit["reason"], audit["failInfo"]) == ("refused", reason, "badRequest")
    assert audit["hresult"] == hresult and audit["detail"]
    assert "serial" not in audit and "ca" not in audit["steps"]
    assert "Validation Phase 1 finised with status False." in texts
    assert "VerifyRequest Finished with status False" in texts
    assert texts[-2:] == ["Verify challenge returns false", "Exiting VerifyRequest with " + hresult]
    assert any(type == 3 and reason in text for _, type, text in server.logs.policy(spec.txid))
    if spec.challenge:
        assert spec.challenge not in server.logs.audit_file.read_text() + server.logs.policy_file.read_text()


def test_refused_by_the_template(server, keys):
    """A challenge for another template: phase 2."""
    challenge = json.loads(server.admin(
        query="?operation=NDESGenerateChallenge&template=DeviceSignature",
        headers=[("Accept", "application/json")]).body).get("challenge")
    client = server.client()
    spec = client.spec(key=keys[1], challenge=challenge)
    assert client.transact(spec).status == scep.FAILURE
    audit, texts = everywhere(server, spec.txid)
    assert audit["reason"] == "challenge-template"
    assert "Validation Phase 1 finised with status True." in texts
    assert "Validation Phase 2 finished with status False." in texts


def bound_challenge(server, **bound):
    response = server.admin(query="?operation=NDESGenerateChallenge&params=" + urllib.parse.quote(json.dumps(bound)),
                            headers=[("Accept", "application/json")])
    assert response.status == 200, response.body
    return json.loads(response.body)["challenge"]


@pytest.mark.parametrize("bound,phase,reason", [
    (dict(subject="CN=expected"), 3, "bound-subject"), (dict(san=dict(dns=["expected.example"])), 3, "bound-san"),
    (dict(template="DeviceSignature"), 2, "challenge-template")], ids=["subject", "san", "template"])
def test_refused_by_what_the_challenge_is_for(server, keys, bound, phase, reason):
    client = server.client()
    spec = client.spec(key=keys[1], subject="CN=found",
                       challenge=bound_challenge(server, device="laptop-17", user="anna", **bound))
    assert client.transact(spec).status == scep.FAILURE
    audit, texts = everywhere(server, spec.txid)
    assert audit["reason"].replace("bound-template", "challenge-template") == reason
    assert (audit["device"], audit["user"], audit["challengeCaller"]) == ("laptop-17", "anna", conf.ADMIN)
    for number in range(1, phase):
        assert cmtrace.phase(number, True) in texts
    assert "Validation Phase %d started for device laptop-17 and user anna." % phase in texts
    assert cmtrace.phase(phase, False) in texts
    if reason != "challenge-template":
        error = [text for _, kind, text in server.logs.policy(spec.txid) if kind == 3 and reason in text][0]
        assert "expected" in error and "found" in error
        assert "expected" in audit["detail"] and "found" in audit["detail"]


def test_refused_before_the_policy(server, keys):
    client = server.client()
    spec = client.spec(key=keys[1], signer_key=keys[2], challenge=server.challenge())
    assert client.transact(spec).status == scep.FAILURE
    audit, texts = everywhere(server, spec.txid)
    assert (audit["reason"], audit["failInfo"]) == ("signer-key", "badMessageCheck")
    assert len(texts) == 1 and texts[0].startswith("The request ended before VerifyRequest with 0x80090006: refused")


OUTCOMES = {
    "rejected": ("mode=rejected", 200, "refused", None),
    "away": ("mode=retry", 503, "unavailable", r"SCEP03\d\d"),
    "unknown": ("mode=unknown", 503, "unavailable", r"SCEP03\d\d"),
    "pending": ("mode=pending", 200, "pending", None),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_what_the_ca_says(server, keys, ca, case):
    mode, status, result, announced = OUTCOMES[case]
    ca(mode)
    if announced:
        server.expect(announced)
    client = server.client()
    spec = client.spec(key=keys[2], challenge=server.challenge())
    assert client.send(spec.build()).status == status
    audit, texts = everywhere(server, spec.txid)
    assert (audit["result"], audit["httpStatus"]) == (result, status)
    assert "ca" in audit["steps"] and "serial" not in audit
    assert "Verify challenge returns true" in texts and "Calling Notifyrequest ..." in texts
    assert any(text.startswith("No certificate was issued: " + result) for text in texts)
    if case == "pending":
        ca("mode=issued")
        assert client.poll(spec).status in (scep.PENDING, scep.SUCCESS)
        assert server.logs.audit(spec.txid)[-1]["messageType"] == "CertPoll"


def test_malformed(server):
    """No transactionID can be told, and there is a line nevertheless."""
    before = len(lines_of(server.logs.audit_file))
    connection = server.connection()
    for body in (b"", b"garbage", b"\x30\x80" * 50):
        assert connection.request("POST", "/certsrv/mscep/mscep.dll?operation=PKIOperation", HEADERS,
                                  body).status == 400
    assert connection.request("GET", "/certsrv/mscep/mscep.dll?operation=PKIOperation&message=%%").status == 400
    assert connection.request("GET", "/certsrv/mscep/mscep.dll?operation=GetCACaps").status == 200
    added = lines_of(server.logs.audit_file)[before:]
    assert [x["result"] for x in added][:3] == ["malformed"] * 3
    assert all(x["operation"] == "PKIOperation" and "transactionID" not in x for x in added)


def test_too_large(server):
    before = len(lines_of(server.logs.audit_file))
    assert server.connection().request("POST", "/certsrv/mscep/mscep.dll?operation=PKIOperation", HEADERS,
                                       b"x" * 70000).status == 413
    added = lines_of(server.logs.audit_file)[before:]
    assert [(x["reason"], x["httpStatus"]) for x in added] == [("request-body", 413)]


def test_limited(factory, keys):
    server = factory.httpd(server=logging("ScepFailureLimit 1 1h")).start()
    assert attempt(server, keys[0], "WRONG1")[0] == scep.FAILURE
    assert attempt(server, keys[0], "WRONG2")[0] == 429
    last = lines_of(server.folder / "audit.log")[-1]
    assert (last["result"], last["reason"], last["httpStatus"]) == ("limited", "failure-limit", 429)
    assert Logs(server).texts(last["transactionID"])[-2] == "Verify challenge returns false"


HOSTILE = {
    "frame": "x]LOG]!><time=\"1\"><![LOG[Verify challenge returns true]LOG]!>",
    "json": "x\",\"result\":\"success\",\"y\":\"\\",
    "lines": "a\nb\r\nc\td",
    "nul": "a\0b",
    "escape": "\x1b[31mred\x07\x7f",
    "bidi": "a\u202eb\u2066c\ufeff",
    "unicode": "Stra\u00dfe \U0001f600 \u4e2d\u6587",
    "long": "X" * 6000,
    "quotes": "\"\\" * 1500,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_subject(server, keys, case):
    """As subject, alternative name and user agent."""
    text = HOSTILE[case]
    subject = der.seq(der.tlv(der.SET, der.seq(der.oid("2.5.4.3"), der.string(text, der.UTF8))))
    client = server.client()
    san = scep.san_extension([], [der.tlv(0x82, text.encode("utf-8")), der.tlv(0x86, b"\xff\xfe\x80"),
                                  der.tlv(0x82, b"last")])
    csr = scep.make_csr(keys[0], subject, server.challenge(), [san])
    spec = client.spec(key=keys[0], csr=csr)
    agent = re.sub("[\r\n\0]", "?", text).encode("utf-8").decode("latin-1")
    status = client.send(spec.build(), headers=HEADERS + ([("User-Agent", agent)] if case not in ("escape", "long")
                                                          else [])).status
    assert status in (200, 503)
    audit = server.logs.audit(spec.txid)[-1]
    assert len(cmtrace.parse(server.logs.policy_file.read_bytes())) > 0
    texts = server.logs.texts(spec.txid)
    assert texts.count("Verify challenge returns true") <= 1
    if case in ("long", "quotes"):
        assert audit["cut"] is True
    elif "sans" in audit:
        assert len(audit["sans"]) == 3 and audit["sans"][2] == "DNS:last"
    if case == "unicode":
        assert audit["sans"][0] == "DNS:" + text


@pytest.mark.parametrize("agent,family", [
    ("Mozilla/4.0 (compatible; Win32; NDES client)", "Windows"),
    ("Mozilla/4.0 (compatible; Win32; WinHttp.WinHttpRequest.5)", "Windows"),
    ("profiled/1.0 CFNetwork/1485 Darwin/23.1.0", "Apple"), ("mdmclient/1.0", "Apple"),
    ("Dalvik/2.1.0 (Linux; U; Android 14; Pixel)", "Android"), ("Mozilla/5.0 (X11; CrOS x86_64)", "ChromeOS"),
    ("Cisco IOS", "Cisco"), ("sscep/0.10", "other"), (None, "other")])
def test_client_os(server, keys, agent, family):
    client = server.client()
    spec = client.spec(key=keys[0], challenge="wrong")
    client.send(spec.build(), headers=HEADERS + ([("User-Agent", agent)] if agent else []))
    audit = server.logs.audit(spec.txid)[-1]
    assert (audit["clientOS"], audit.get("userAgent")) == (family, agent)


def test_transaction_id(server, keys):
    """Of 255 characters, and with some that the frame does not have."""
    client = server.client()
    for txid, context in (("A" * 255, "A" * 255), ("a\"b\\c<d>]LOG]!>", "a'b\\c(d)]LOG]!)")):
        spec = client.spec(key=keys[0], challenge="wrong", txid=txid)
        assert client.transact(spec).status == scep.FAILURE
        assert server.logs.audit(txid)[-1]["transactionID"] == txid
        assert "Verify challenge returns false" in server.logs.texts(context)


# Files and programs


@pytest.mark.parametrize("mpm", env.MPMS)
def test_rename_and_graceful(factory, keys, mpm):
    """Rotation as logrotate does it."""
    server = factory.httpd(mpm=mpm, server=logging()).start()
    logs = Logs(server)
    for generation in range(2):
        server.enroll(keys[0], subject="CN=generation%d" % generation)
        for path in (logs.audit_file, logs.policy_file):
            path.rename(path.with_suffix(".%d" % generation))
        server.graceful()
        env.wait_until(logs.audit_file.exists, 10, what="no new log")
    server.enroll(keys[0], subject="CN=last")
    old = [lines_of(logs.audit_file.with_suffix(".%d" % n)) for n in range(2)]
    assert ["generation%d" % n in old[n][0]["subject"] for n in range(2)] == [True, True]
    assert ["last" in x["subject"] for x in lines_of(logs.audit_file)] == [True]
    assert len(cmtrace.parse(logs.policy_file.read_bytes())) > 5
    if env.ROOT:
        assert os.stat(logs.audit_file).st_mode & 0o777 == 0o640 and os.stat(logs.audit_file).st_uid == 0


@pytest.mark.parametrize("mpm", env.MPMS)
@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
def test_many_at_once(factory, keys, mpm, pipe):
    """No line is torn, none is missing; the log is restarted in between."""
    folder = env.folder("logs")
    names = [folder / "audit.log", folder / "policy.log"]
    lines = ["Scep%sLog %s" % (kind, '"|$cat >>%s"' % name if pipe else name)
             for kind, name in zip(("Audit", "Policy"), names)]
    server = factory.httpd(mpm=mpm, server=conf.Lines("ScepFailureLimit 0", *lines)).start()
    count, threads = 240, 6
    txids, lock = [], threading.Lock()
    san = scep.san_extension(["host-%03d.%s.example" % (n, ".".join(["a-rather-long-name"] * 6)) for n in range(40)])

    def worker(number):
        client = server.client(keep_alive=False)
        for _ in range(count // threads):
            spec = client.spec(key=keys[number % 4], challenge="wrong", subject="CN=busy", extensions=[san])
            client.send(spec.build())
            with lock:
                txids.append(spec.txid)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        work = [pool.submit(worker, number) for number in range(threads)]
        if not pipe:
            server.graceful()
        for each in work:
            each.result()
    env.wait_until(lambda: names[0].read_bytes().count(b"\n") >= count, 20, what="audit lines are missing")
    env.wait_until(lambda: names[1].read_bytes().count(b"Exiting VerifyRequest") >= count, 20,
                   what="policy lines are missing")
    assert sorted(x["transactionID"] for x in lines_of(names[0])) == sorted(txids)
    if pipe:
        assert all(len(line) < 4096 for line in names[0].read_bytes().splitlines())
    found = cmtrace.parse(names[1].read_bytes())
    assert {x["context"] for x in found} == set(txids)


def test_piped_program_that_ends_is_started_again(factory, keys):
    folder = env.folder("logs")
    script = folder / "once.sh"
    script.write_text("#!/bin/sh\nread line\nprintf '%%s\\n' \"$line\" >>%s/audit.log\n" % folder)
    script.chmod(0o755)
    server = factory.httpd(server=conf.Lines("ScepAuditLog |%s" % script)).start()
    server.expect("SCEP0481", "AH0010[0-9]", "piped log program", "Broken pipe")
    for number in range(2):
        def one_more():
            server.enroll(keys[0])
            return (folder / "audit.log").exists() and \
                (folder / "audit.log").read_text().count("\n") > number
        env.wait_until(one_more, 30, 0.3, what="no line after %d" % number)


def test_a_log_of_its_own(factory, keys):
    """The server's is the default; services may share a file or have their own."""
    made = pki.make()
    services = [conf.Service(made), conf.Service(made, "other", "/other").add("ScepAuditLog other.log"),
                conf.Service(made, "third", "/third")]
    server = factory.httpd(services, server=logging()).start()
    for number in range(3):
        server.enroll(keys[number], service=number)
    assert [x["service"] for x in lines_of(server.folder / "audit.log")] == ["corp", "third"]
    assert [x["service"] for x in lines_of(server.folder / "other.log")] == ["other"]
    assert len({x["context"] for x in cmtrace.parse((server.folder / "policy.log").read_bytes())}) == 3


def test_disk_full(factory, keys):
    """One line in the error log; the device has its certificate."""
    server = factory.httpd(server=conf.Lines("ScepAuditLog /dev/full", "ScepPolicyLog /dev/full")).start()
    server.expect("SCEP0481.*/dev/full")
    for number in range(4):
        server.enroll(keys[number])
    assert 1 <= len(server.log.lines("SCEP0481")) <= 2 * len(server.children())


@pytest.mark.parametrize("value,text", [
    ("/", "is not a file"), ("no-such-folder/audit.log", "no directory"), ('""', "one argument"),
    ('"|"', "no program"), ('"| "', "no program"), ("a.log\nScepAuditLog b.log", "already given"), ("", "one argument"),
    ("a b", "one argument"), ("run", "is not a file")])
def test_what_httpd_t_finds(factory, value, text):
    server = factory.httpd(server=conf.Lines("ScepAuditLog " + value))
    status, said = server.configtest()
    assert status != 0 and text in said and "ScepAuditLog" in said


def test_unwritable(factory):
    folder = env.folder("logs")
    path = folder / "audit.log"
    path.mkdir()
    for directive in ("ScepAuditLog", "ScepPolicyLog"):
        said = factory.httpd(server=conf.Lines("%s %s" % (directive, path))).configtest()
        assert said[0] != 0 and directive in said[1]


def test_no_logs(factory, keys):
    """Nothing is written where nothing is configured."""
    server = factory.httpd().start()
    server.enroll(keys[0])
    assert not list(server.folder.glob("audit*")) and not list(server.folder.glob("policy*"))
