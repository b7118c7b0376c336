# SPDX-License-Identifier: Apache-2.0
"""The local CA's key in a token: softhsm2, by the engine or the provider that this machine has."""
import os
import signal
import subprocess
import threading

import pytest

import conf
import env
import hsm
import pki
import scep_client as scep
from test_405_ca_gate import ONE_CHILD

pytestmark = pytest.mark.skipif(hsm.why_not() is not None, reason=str(hsm.why_not()))


@pytest.fixture(scope="module")
def ca():
    return hsm.HsmPki(hsm.Token())


@pytest.fixture
def token_environment(monkeypatch):
    """Lets httpd find a token."""
    def use(token, **more):
        for name, value in dict(token.environment, **more).items():
            monkeypatch.setenv(name, value)
    return use


def enroll_many(server, keys, count, threads=8):
    """Enrollments side by side; what did not succeed."""
    challenges, wrong, lock = server.challenges(count), [], threading.Lock()
    rest = list(enumerate(challenges))

    def work():
        client = server.client()
        while True:
            with lock:
                if not rest:
                    return
                number, challenge = rest.pop()
            try:
                reply = client.enroll(keys[number % len(keys)], challenge, subject="CN=hsm-%d" % number)
                assert reply.status == scep.SUCCESS, reply.fail_text
                with lock:      # it makes folders
                    assert pki.verifies(reply.leaf, server.services[0].pki)
            except Exception as error:      # pylint: disable=broad-except
                wrong.append((number, repr(error)))
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return wrong


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_threads_and_processes(factory, token_environment, ca, keys, mpm):
    token_environment(ca.token)
    server = factory.httpd([ca.service()], mpm=mpm).start()
    server.expect("AH00161")        # eight threads find eight processes
    env.wait_until(lambda: len(server.children()) >= 2, what="no second child")
    assert enroll_many(server, keys, 48) == []
    server.graceful()
    assert enroll_many(server, keys, 24) == []
    # the token is open in children, never in the parent, from which they come
    parent = "/proc/%d/maps" % server.process.pid
    with open(parent, encoding="ascii") as file:
        assert "softhsm" not in file.read()
    with open("/proc/%d/maps" % server.children()[0], encoding="ascii") as file:
        assert "softhsm" in file.read()
    assert hsm.PIN not in server.log.text()


@pytest.mark.parametrize("kind, option, algorithm", [
    ("rsa:2048", "signature=pss", "rsassaPss"), ("rsa:2048", "digest=sha512", "sha512WithRSAEncryption"),
    ("EC:prime256v1", "", "ecdsa-with-SHA256")])
def test_kinds_of_keys(factory, token_environment, ca, keys, kind, option, algorithm):
    made = hsm.HsmPki(ca.token, (kind + option).replace(":", "").replace("=", ""), kind)
    token_environment(ca.token)
    server = factory.httpd([made.service(*([option] if option else []))]).start()
    leaf = server.enroll(keys[0]).leaf
    path = env.folder("leaf") / "leaf.pem"
    path.write_bytes(pki.pem_of(leaf))
    text = subprocess.run(["openssl", "x509", "-in", str(path), "-noout", "-text"], check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    assert "Signature Algorithm: " + algorithm in text
    assert pki.verifies(leaf, made)
    # and the CRL, which the same key signs
    assert server.connection().request("GET", server.path() + "/ca.crl").status == 200


def refused(factory, service):
    server = factory.httpd([service])
    server.expect("SCEP0475")
    server.expect("AH00020")
    return server, server.fails_to_start()


def test_wrong_pin_ends_the_start(factory, token_environment, ca):
    token_environment(ca.token)
    ca.token.write_pin("999999")
    try:
        _, text = refused(factory, ca.service())
    finally:
        ca.token.write_pin(hsm.PIN)
    assert "the token does not take the PIN" in text or "a wrong PIN" in text     # the provider does not say
    assert "ScepCABackend" in text
    assert "999999" not in text


def test_missing_key_and_token_end_the_start(factory, token_environment, ca):
    token_environment(ca.token)
    for uri in (ca.token.uri("nobody"), "pkcs11:token=nowhere;object=ca"):
        _, text = refused(factory, ca.service(uri=uri))
        assert "the key cannot be opened in the token" in text
        assert hsm.PIN not in text


def test_a_key_of_another_certificate_ends_the_start(factory, token_environment, ca):
    ca.token.make_key("stranger")
    token_environment(ca.token)
    _, text = refused(factory, ca.service(uri=ca.token.uri("stranger")))
    assert "the key does not belong to the CA's certificate" in text


@pytest.mark.parametrize("how, error", [
    (dict(uri="pkcs11:token=unit;object=ca?pin-value=482915"), "without its query part"),
    (dict(uri="pkcs11:token=unit"), "names no key"),
    (dict(uri="pkcs11:token=unit;object="), "names no key"),
    (dict(uri="pkcs11:object=ca;type=cert"), "something else than a private key"),
    (dict(uri="pkcs11:object=c a"), "has no spaces"),
    (dict(uri="pkcs11:" + "object=ca;" * 200), "at most 1024"),
    (dict(module="/nonexistent/module.so"), "pkcs11Module=/nonexistent/module.so is not a file"),
])
def test_words_are_checked_by_the_configuration_test(factory, ca, how, error):
    server = factory.httpd([ca.service(**how)])
    server.expect("ScepCABackend")
    status, text = server.configtest()
    assert status != 0 and error in text
    assert "482915" not in text.replace("pin-value=482915", "")


def test_pin_file_is_checked_by_the_configuration_test(factory, ca):
    for write, error in ((lambda: ca.token.pin_file.unlink(), "pin"),
                         (lambda: ca.token.write_pin("", 0o600), "pin"),
                         (lambda: ca.token.write_pin(hsm.PIN, 0o644), "others")):
        write()
        server = factory.httpd([ca.service()])
        server.expect("ScepCABackend")
        status, text = server.configtest()
        ca.token.write_pin(hsm.PIN)
        assert status != 0 and error in text, text


def test_the_configuration_test_does_not_touch_the_token(factory, ca):
    """Without SOFTHSM2_CONF there is no token at all."""
    status, text = factory.httpd([ca.service()]).configtest()
    assert status == 0, text


def test_the_ca_does_not_answer_for_itself(factory, ca):
    service = ca.service()
    service.set("ScepRASigningCertificate").set("ScepRAEncryptionCertificate")
    server = factory.httpd([service])
    server.expect("ScepRASigningCertificate")
    status, text = server.configtest()
    assert status != 0 and "the CA cannot answer devices by itself" in text


@pytest.mark.parametrize("option, error", [("pinFile=x", "are for key=pkcs11:"), ("concurrency=2", "as for a token")])
def test_a_file_takes_no_options_of_a_token(factory, option, error):
    service = conf.Service(pki.make())
    service.lines = [line + (" " + option if line.startswith("ScepCABackend") else "") for line in service.lines]
    server = factory.httpd([service])
    server.expect("ScepCABackend")
    status, text = server.configtest()
    assert status != 0 and error in text


# ---- a token behind a daemon that comes and goes

CLIENT = next((path for path in ("/usr/lib/%s-linux-gnu/pkcs11/p11-kit-client.so" % os.uname().machine,)
               if os.path.exists(path)), None)


class Daemon:
    """p11-kit's server before the token, as httpd's user, since it serves nobody else."""

    def __init__(self, token):
        self.token, self.folder, self.process = token, env.folder("p11"), None
        self.socket = self.folder / "socket"
        hsm.own(self.folder)

    def start(self):
        self.socket.unlink(missing_ok=True)
        command = ["p11-kit", "server", "-f", "-n", "unix:path=%s" % self.socket, "--provider", hsm.MODULE,
                   "pkcs11:token=" + self.token.label]
        if env.ROOT:
            command = ["setpriv", "--reuid", env.USER, "--regid", env.USER, "--clear-groups"] + command
        self.process = env.start(command, env=dict(os.environ, **self.token.environment),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        env.wait_until(self.socket.exists, what="no p11-kit server")

    def signal(self, number):
        """To it and the processes that it made for its clients."""
        os.killpg(self.process.pid, number)

    def stop(self):
        """With the processes that it made for its clients."""
        if self.process is not None:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)
            env.stop(self.process)
            self.process = None


@pytest.fixture
def daemon(ca):
    made = Daemon(ca.token)
    yield made
    made.stop()


@pytest.mark.skipif(CLIENT is None, reason="no p11-kit-client.so (p11-kit-modules)")
def test_token_goes_and_comes_back(daemon, factory, token_environment, ca, keys):
    token_environment(ca.token, P11_KIT_SERVER_ADDRESS="unix:path=%s" % daemon.socket)
    daemon.start()
    server = factory.httpd([ca.service(module=CLIENT)], locations=[
        "<Location /ready>\n    SetHandler scep-ready\n</Location>\n"]).start()
    server.enroll(keys[0])
    daemon.stop()
    server.expect("SCEP037[0-2]")
    server.expect("SCEP0590")
    client = server.client(keep_alive=False)
    response = client.send(client.spec(key=keys[1], challenge=server.challenge()).build())
    assert response.status == 503 and response.header("Retry-After")
    assert server.log.wait("reason=ca-key")
    assert server.log.wait("SCEP0370")
    # a restart without the token does not end a server that runs
    server.graceful()
    assert server.log.wait("SCEP0590")
    assert client.send(client.spec(key=keys[1], challenge=server.challenge()).build()).status == 503
    daemon.start()
    spec = client.spec(key=keys[2], challenge=server.challenge())
    env.wait_until(lambda: client.send(spec.build()).status == 200, 20, 0.3, what="the token did not come back")
    # each child finds out for itself
    env.wait_until(lambda: enroll_many(server, keys, 8, 4) == [], 20, 0.3, what="not all children came back")


@pytest.mark.skipif(CLIENT is None, reason="no p11-kit-client.so (p11-kit-modules)")
def test_restart_of_the_daemon_is_hardly_seen(daemon, factory, token_environment, ca, keys):
    token_environment(ca.token, P11_KIT_SERVER_ADDRESS="unix:path=%s" % daemon.socket)
    daemon.start()
    server = factory.httpd([ca.service(module=CLIENT)]).start()
    assert enroll_many(server, keys, 16) == []
    daemon.stop()
    daemon.start()
    server.expect("SCEP037[0-2]")
    challenges = server.challenges(20)
    client = server.client(keep_alive=False)

    def served():
        spec = client.spec(key=keys[0], challenge=challenges.pop())
        return client.send(spec.build()).status == 200
    env.wait_until(served, 15, 1.2, what="the token did not come back")
    env.wait_until(lambda: enroll_many(server, keys, 16) == [], 20, 0.3, what="not all children came back")


@pytest.mark.skipif(CLIENT is None, reason="no p11-kit-client.so (p11-kit-modules)")
def test_a_token_that_hangs(daemon, factory, token_environment, ca, keys):
    """It keeps as many workers as concurrency says, and the balancer is told."""
    token_environment(ca.token, P11_KIT_SERVER_ADDRESS="unix:path=%s" % daemon.socket)
    daemon.start()
    service = ca.service(module=CLIENT)
    service.lines = [line + (" concurrency=2" if line.startswith("ScepCABackend") else "") for line in service.lines]
    server = factory.httpd([service], server=conf.Lines(*ONE_CHILD), locations=[
        "<Location /ready>\n    SetHandler scep-ready\n</Location>\n"]).start()
    server.enroll(keys[0])
    server.expect("SCEP037[0-2]", "SCEP0204")
    challenges, answers = server.challenges(4), []

    def ask(number):
        client = server.client(keep_alive=False, timeout=60)
        client.cacert()
        answers.append(client.send(client.spec(key=keys[number], challenge=challenges[number]).build()).status)
        return answers[-1]

    daemon.signal(signal.SIGSTOP)
    workers = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    env.wait_until(lambda: answers == [503] and server.log.lines("reason=ca-busy"))
    ready = lambda: server.connection(keep_alive=False).request("GET", "/ready")  # noqa: E731
    assert env.wait_until(lambda: b"none of its 2 calls under way has ended" in ready().body, 30, step=0.2)
    assert ready().status == 503
    assert server.client(keep_alive=False).get("GetCACaps").status == 200
    daemon.signal(signal.SIGCONT)
    for worker in workers:
        worker.join()
    env.wait_until(lambda: ask(3) == 200, 20, step=0.3)
    env.wait_until(lambda: ready().status == 200, 20, step=0.3)
