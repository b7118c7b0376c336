# SPDX-License-Identifier: Apache-2.0
"""ScepCABackend exec: a program signs; what it can do wrong, and what is left of it."""
import os
import pathlib
import pwd
import re
import subprocess
import threading

import pytest

import conf
import env
import pki
import scep_client as scep
from double_exec import ExecCA

LOCAL_SUBMIT = "/usr/lib/certmonger/local-submit"
DOCUMENT = env.SOURCE / "docs" / "backends" / "exec.md"


def service_of(ca, *options, **how):
    """A service that it signs for."""
    service = conf.Service(ca.pki, **how)
    return service.set("ScepCABackend", ca.backend(*options).split(None, 1)[1])


@pytest.fixture(scope="module")
def ca():
    return ExecCA()


@pytest.fixture(scope="module")
def server(module_factory, ca):
    service = service_of(ca, "timeout=2s").add("ScepPolicy none")
    made = module_factory.httpd([service], server=conf.Lines("ScepRequestTimeout 20s")).start()
    made.expect("SCEP0200")
    assert all("SCEP0200" in line for line in made.log.check())
    return made


@pytest.fixture(autouse=True)
def well(request):
    """The helper is well again after each test."""
    yield
    if "ca" in request.fixturenames:
        request.getfixturevalue("ca").says("issued")


def ask(server, key, **fields):
    client = server.client(keep_alive=False)
    spec = client.spec(key=key, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None, spec


def is_gone(pid):
    """Whether the process ended; one that its parent has not looked at counts."""
    try:
        return re.search(r"^State:\s*Z", pathlib.Path("/proc/%d/status" % pid).read_text(), re.M) is not None
    except FileNotFoundError:
        return True


def leftovers(server):
    """Children of httpd's children."""
    found = []
    for child in server.children():
        for task in pathlib.Path("/proc/%d/task" % child).iterdir():
            found += (task / "children").read_text().split()
    return found


@pytest.mark.smoke
@pytest.mark.parametrize("mode", ["issued", "chain", "grandchild", "closes-stdout", "noisy"])
def test_issued(server, ca, keys, mode):
    ca.says(mode)
    _, reply, _ = ask(server, keys[0], subject="CN=by exec", extensions=[scep.san_extension(["exec.example"])])
    assert reply.status == scep.SUCCESS and reply.leaf.subject.rfc4514_string() == "CN=by exec"
    if mode == "grandchild":
        env.wait_until(lambda: is_gone(ca.pid()), what="the helper's child stayed")
    if mode == "noisy":
        assert server.log.wait("SCEP0366.* says: a warning of the helper")
    assert not leftovers(server)


@pytest.mark.parametrize("mode, text", [
    ("rejected", "refused the request: The profile does not allow this."), ("new-key", "wants a new key")])
def test_refused(server, ca, keys, mode, text):
    ca.says(mode)
    _, reply, spec = ask(server, keys[0])
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert text in reply.fail_text
    assert "reason=ca-rejected" in server.transaction_line(spec.txid)


@pytest.mark.parametrize("mode, said", [
    ("away", "cannot reach the CA: connection refused"), ("unconfigured", "not configured .*no realm"),
    ("unsupported", "exit status 6"), ("unknown-status", "exit status 99"), ("signal", "signal 11"),
    ("cut", "signal 9"), ("garbage", "printed"), ("broken-pem", "printed a certificate that cannot be read"),
    ("oversized", "more than 64 KiB"), ("endless", "more than 64 KiB"), ("nothing", "printed no certificate"),
    ("wrong-key", "no certificate for the key"), ("ca-certificate", "is a CA's"),
    ("wrong-chain", "does not verify"), ("slow", "took too long"), ("stubborn", "took too long")])
def test_not_delivered(server, ca, keys, mode, said):
    """503, an error line that says why, and no process left; then it works again."""
    (ca.work / "pid").unlink(missing_ok=True)
    ca.says(mode)
    server.expect("SCEP036[56]", "SCEP0300")
    response, _, _ = ask(server, keys[0])
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert server.log.lines(r"\[scep:error\].*SCEP0(365|300).*" + said)
    if (ca.work / "pid").exists():
        env.wait_until(lambda: is_gone(ca.pid()), what="the helper stayed")
    assert not leftovers(server)
    ca.says("issued")
    assert ask(server, keys[1])[1].status == scep.SUCCESS


def test_pending(server, ca, keys):
    ca.says("pending-issued")
    client = server.client()
    spec = client.spec(key=keys[0])
    assert client.transact(spec).status == scep.PENDING
    assert client.wait(spec).status == scep.SUCCESS
    assert "POLL" in ca.calls()


def test_what_the_helper_sees(server, ca, keys):
    """Nothing of ours but the request: not a file, not a variable, not a signal."""
    ca.says('ls -l /proc/self/fd >fds; env -0 >variables; cat /proc/$$/cmdline | tr "\\0" " " >words; '
            'grep -E "^(Uid|SigIgn|SigBlk)" /proc/self/status >status; pwd >place; issue')
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    listed = re.findall(r" (\d+) -> (\S+)", (ca.work / "fds").read_text())
    # 3 is the folder that ls reads
    assert [number for number, _ in listed] == ["0", "1", "2", "3"], listed
    assert dict(listed)["0"] == "/dev/null" and dict(listed)["2"].startswith("pipe:")
    names = [line.split("=")[0] for line in (ca.work / "variables").read_text().split("\0") if line]
    assert {n for n in names if not n.startswith("CERTMONGER_")} <= {"PATH", "PWD", "SHLVL", "OLDPWD", "_"}
    assert "CERTMONGER" not in (ca.work / "words").read_text() and "BEGIN" not in (ca.work / "words").read_text()
    assert (ca.work / "place").read_text().strip() == str(ca.work)
    if env.ROOT:
        assert "Uid:\t0" not in (ca.work / "status").read_text()


def test_breaker_and_bulkhead(factory, keys):
    ca = ExecCA()
    service = service_of(ca, "concurrency=1").add("ScepPolicy none")
    server = factory.httpd([service], server=conf.Lines(
        "ScepRequestTimeout 20s", "StartServers 1", "ServerLimit 1", "ThreadsPerChild 8", "MaxRequestWorkers 8",
        "MinSpareThreads 1", "MaxSpareThreads 8")).start()
    server.expect("SCEP0200", "SCEP0365")
    ca.says("echo $$ >pid; sleep 3; issue")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(server, keys[0])[1]))
    thread.start()
    ca.pid()
    assert ask(server, keys[1])[0].status == 503
    assert server.log.wait("reason=ca-busy")
    thread.join()
    assert answers[0].status == scep.SUCCESS
    ca.says("away")
    for key in keys[:3]:
        assert ask(server, key)[0].status == 503
    before = len(ca.calls())
    assert ask(server, keys[3])[0].status == 503
    assert server.log.wait("reason=ca-down") and len(ca.calls()) == before
    ca.says("issued")
    env.wait_until(lambda: ask(server, keys[0])[0].status == 200, 30, step=0.5)


@pytest.mark.parametrize("mpm", env.MPMS)
def test_certmonger_local_submit(factory, keys, mpm):
    """certmonger's own signer, from the outside to the device, under each MPM."""
    if not os.access(LOCAL_SUBMIT, os.X_OK):
        pytest.skip("certmonger is not installed")
    folder = env.folder("local-ca")
    run = dict(stdout=subprocess.PIPE, check=True)
    if env.ROOT:
        user = pwd.getpwnam(env.USER)
        os.chown(folder, user.pw_uid, user.pw_gid)
        run.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])

    def helper(**variables):
        printed = subprocess.run([LOCAL_SUBMIT, "-d", str(folder)], env=variables, **run).stdout
        return b"".join(re.findall(rb"-----BEGIN.*?-----END CERTIFICATE-----\n", printed, re.S))
    files = pki.Pki(env.folder("local-files"))
    ra_key = pki.key("ra-sign")
    request = pki.csr_of("RA", ra_key, ("digital_signature", "key_encipherment")).decode()
    ra = "%s %s" % (files.write("ra.pem", helper(CERTMONGER_OPERATION="SUBMIT", CERTMONGER_CSR=request)),
                    files.write("ra.key", pki.pem(ra_key)))
    service = conf.Service(pki.make()).add("ScepPolicy none").set(
        "ScepCAChain", files.write("chain.pem", helper(CERTMONGER_OPERATION="FETCH-ROOTS"), 0o644)).set(
        "ScepRASigningCertificate", ra).set("ScepRAEncryptionCertificate", ra).set(
        "ScepCABackend", 'exec helper=%s "arguments=-d %s"' % (LOCAL_SUBMIT, folder))
    server = factory.httpd([service], mpm=mpm, server=conf.Lines("ScepRequestTimeout 60s"))
    server.expect("SCEP0200")
    server.start()
    failed = []

    def enroll(number):
        for turn in range(4):
            _, reply, _ = ask(server, keys[number], subject="CN=device-%d-%d" % (number, turn))
            if reply is None or reply.status != scep.SUCCESS:
                failed.append((number, turn))
    threads = [threading.Thread(target=enroll, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert not leftovers(server)


def test_nothing_grows(factory, keys):
    """Many calls, good and bad: no descriptor, no process, no memory to speak of stays."""
    ca = ExecCA()
    service = service_of(ca, "timeout=1s").add("ScepPolicy none")
    server = factory.httpd([service], server=conf.Lines(
        "ScepRequestTimeout 20s", "StartServers 1", "ServerLimit 1", "ThreadsPerChild 4", "MaxRequestWorkers 4",
        "MinSpareThreads 1", "MaxSpareThreads 4")).start()
    server.expect("SCEP0200", "SCEP036[56]", "SCEP0300")

    def round_of(count):
        for number in range(count):
            ca.says(("rejected", "garbage", "oversized", "nothing", "issued")[number % 5])
            ask(server, keys[number % 4], subject="CN=grow-%d" % number)
        child, = server.children()
        return len(os.listdir("/proc/%d/fd" % child)), server.rss()
    first = round_of(40)
    second = round_of(120)
    assert second[0] <= first[0] + 1, (first, second)
    assert env.sanitizer_environment() or second[1] < first[1] + 6000, (first, second)
    assert not leftovers(server)


def test_readiness(factory, keys):
    ca = ExecCA()
    ready = '<Location "/ready">\n    SetHandler scep-ready\n</Location>\n'
    server = factory.httpd([service_of(ca).add("ScepPolicy none")], locations=[ready]).start()
    server.expect("SCEP0200", "SCEP0447", "SCEP0365")
    assert server.connection().request("GET", "/ready").status == 200
    ca.helper.chmod(0o600)
    response = env.wait_until(lambda: (lambda r: r if r.status == 503 else None)(
        server.connection().request("GET", "/ready")), 30, step=0.5)
    assert response.status == 503
    assert server.log.wait("SCEP0447.*helper .* cannot be run")
    assert ask(server, keys[0])[0].status == 503
    assert server.log.lines("SCEP0365.*cannot be run: Permission denied")


@pytest.mark.parametrize("spoil, said", [
    ("relative", "is not an absolute path"), ("group", "can be written by its group"),
    ("folder", "can be written by everybody"), ("mode", "is not executable"), ("missing", "No such file"),
    ("chain", "ScepCAChain is missing"), ("option", "known")])
def test_configuration(factory, spoil, said):
    """httpd -t says what is wrong, in words."""
    ca = ExecCA()
    service = service_of(ca)
    if spoil == "relative":
        service.set("ScepCABackend", "exec helper=bin/helper")
    elif spoil == "group":
        ca.helper.chmod(0o775)
    elif spoil == "folder":
        ca.folder.chmod(0o777)
    elif spoil == "mode":
        ca.helper.chmod(0o644)
    elif spoil == "missing":
        ca.helper.unlink()
    elif spoil == "chain":
        service.set("ScepCAChain")
    else:
        service.set("ScepCABackend", ca.backend("shell=on").split(None, 1)[1])
    server = factory.httpd([service])
    status, text = server.configtest()
    server.expect("ScepCABackend", "SCEP")
    assert status != 0 and said in text and "ScepCABackend" in text
    ca.folder.chmod(0o755)


def test_the_document_s_configuration(factory):
    """Each configuration of docs/backends/exec.md is one that httpd takes."""
    ca = ExecCA()
    blocks = re.findall("```apache\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    assert blocks
    for number, block in enumerate(blocks):
        text = block
        for path, ours in (("/usr/local/libexec/scep-sign", ca.helper), ("/usr/lib/certmonger/local-submit", ca.helper),
                           ("/usr/libexec/certmonger/cepces-submit", ca.helper), ("/var/lib/scep/sign", ca.work),
                           ("/etc/apache2/scep/ca-chain.pem", ca.pki.path("chain.pem")),
                           ("/etc/apache2/scep/ra-sign", ca.pki.path("ra-sign")),
                           ("/etc/apache2/scep/ra-enc", ca.pki.path("ra-enc"))):
            text = text.replace(path, str(ours))
        server = factory.httpd([text])
        status, said = server.configtest()
        assert status == 0, (number, said)
