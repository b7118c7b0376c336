# SPDX-License-Identifier: Apache-2.0
"""docs/writing-a-ca-backend.md: its module is built against the installed headers by apxs, and signs."""
import os
import re
import shutil
import subprocess

import pytest
from cryptography import x509

import ca_double
import conf
import env
import pki
import scep_client as scep

DOCUMENT = env.SOURCE / "docs" / "writing-a-ca-backend.md"
APXS = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2")

pytestmark = [
    pytest.mark.skipif(not (env.BUILD / "Makefile").exists(), reason="%s was not configured" % env.BUILD),
    pytest.mark.skipif(APXS is None, reason="there is no apxs")]


class Handler(ca_double.Handler):
    """The CA of the document: POST of a PKCS#10; GET of a number."""

    def do_POST(self):
        double, body = self.double, self.body()
        double.keys.append(self.headers.get("Idempotency-Key"))
        if self.misbehaves():
            return
        if double.mode == "rejected":
            self.say(422, data=ca_double.REASON.encode())
        elif double.mode == "pending":
            double.waiting[str(len(double.waiting) + 7)] = body
            self.say(202, data=max(double.waiting, key=int).encode())
        elif double.mode == "bad-number":
            self.say(202, data=b"../../7")
        else:
            self.issue(body)

    def do_GET(self):
        number = self.path.rsplit("/", 1)[-1]
        if self.double.mode == "pending":
            self.say(202, data=number.encode())
        else:
            self.issue(self.double.waiting[number])

    def issue(self, body):
        made = self.double.sign(x509.load_der_x509_csr(body))
        self.say(200, data=pki.pem_of(self.double.ca.load("ca.pem"), made))


class Double(ca_double.CaDouble):
    name, pends, handler = "example", True, Handler

    def __init__(self, **how):
        self.keys, self.waiting = [], {}
        super().__init__(**how)

    def backend(self, *more):
        return " ".join(["ScepCABackend example url=%s/sign" % self.url, self.tls(), *more])


def run(*command, **how):
    made = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **how)
    text = made.stdout.decode("utf-8", "replace")
    assert made.returncode == 0, (command, text[-4000:])
    return text


@pytest.fixture(scope="module")
def installed():
    """Where make install put the headers."""
    folder = env.folder("installed")
    with env.lock("install"):
        run("make", "-C", env.BUILD, "install", "DESTDIR=%s" % folder)
    assert list(folder.rglob("mod_scep.so"))
    header, = folder.rglob("ca_module.h")
    return header.parents[2]


def build(include, text, *options):
    """The module of a source text."""
    folder = env.folder("foreign")
    (folder / "mod_scep_ca_example.c").write_text(text)
    run(APXS, "-c", "-I%s" % include, "-Wc,-Wall -Wextra -Wno-unused-parameter -Werror", "-Wl,-z,now", *options,
        "mod_scep_ca_example.c", "-lcrypto", cwd=folder)
    return folder / ".libs" / "mod_scep_ca_example.so"


@pytest.fixture(scope="module")
def source():
    return re.search("```c\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S).group(1)


@pytest.fixture(scope="module")
def module(installed, source):
    return build(installed, source)


@pytest.fixture(scope="module")
def double():
    made = Double()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def well(double):
    double.behave()
    yield
    double.behave()


def configured(module, double, *more):
    service = conf.Service(double.ca).set("ScepCABackend", double.backend(*more).split(None, 1)[1])
    service.add("ScepPollInterval 1s", "ScepPolicy none")
    return dict(services=[service], server=conf.Lines(
        "LoadModule scep_ca_example_module %s" % module, "ScepRequestTimeout 3s"))


@pytest.fixture(scope="module")
def server(double, module, module_factory):
    made = module_factory.httpd(**configured(module, double)).start()
    made.expect("SCEP0200")
    assert all("SCEP0200" in line for line in made.log.check())
    return made


def ask(server, key, **fields):
    client = server.client(keep_alive=False)
    spec = client.spec(key=key, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None, spec


def test_issued(server, double, keys):
    _, reply, _ = ask(server, keys[0], subject="CN=foreign",
                      extensions=(scep.san_extension(["foreign.example"]),))
    assert reply.status == scep.SUCCESS and reply.leaf.subject.rfc4514_string() == "CN=foreign"
    assert pki.verifies(reply.leaf, double.ca)
    assert re.fullmatch("[0-9a-f]{64}", double.keys[-1])


def test_pending(server, double, keys):
    double.behave("pending")
    client = server.client()
    spec = client.spec(key=keys[0])
    assert client.transact(spec).status == scep.PENDING
    double.behave()
    assert client.wait(spec).status == scep.SUCCESS


def test_rejected(server, double, keys):
    double.behave("rejected")
    _, reply, _ = ask(server, keys[0])
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert server.log.wait("reason=ca-rejected.*" + ca_double.REASON)


@pytest.mark.parametrize("mode", ["transient", "slow", "cut", "garbage", "oversized", "wrong-key", "ca-cert",
                                  "wrong-chain", "bad-number"])
def test_not_delivered(server, double, keys, mode):
    server.expect("SCEP030[02]")
    double.behave(mode)
    assert ask(server, keys[1])[0].status == 503
    double.behave()
    env.wait_until(lambda: ask(server, keys[1])[0].status == 200, 30, step=0.5)


@pytest.mark.parametrize("option, said", [
    ("colour=red", "colour"), ("timeout=x", "timeout"), ("url=https://localhost/x", "url")])
def test_options(factory, module, double, option, said):
    server = factory.httpd(**configured(module, double, option))
    status, text = server.configtest()
    assert status != 0 and "ScepCABackend" in text and said in text


def test_another_version(factory, installed, source, double):
    """A module that was built with other headers is not taken, and the message says why."""
    old = source.replace("CA_PROVIDER_VERSION", '"0"')
    assert old != source
    server = factory.httpd(**configured(build(installed, old), double))
    status, text = server.configtest()
    assert status != 0
    assert re.search("'example' was built for version 0 of mod_scep's headers, this is version [1-9]", text)


def test_what_the_headers_need(installed):
    """Nothing of mod_scep's own rooms is declared for a module, and each header stands for itself."""
    flags = run(APXS, "-q", "EXTRA_CPPFLAGS").split() + [
        "-I" + run(APXS, "-q", "INCLUDEDIR").strip(), "-I" + run(APXS, "-q", "APR_INCLUDEDIR").strip()]
    folder = env.folder("headers")
    for header in sorted((installed / "mod_scep").rglob("*.h")):
        (folder / "one.c").write_text('#include <%s>\nint one(void);\nint one(void) { return 0; }\n'
                                      % header.relative_to(installed))
        run("cc", "-fsyntax-only", "-Wall", "-Werror", *flags, "-I%s" % installed, folder / "one.c")
    (folder / "one.c").write_text("#include <mod_scep/ca_backend/ca_module.h>\nvoid *one = (void *)ca_make;\n")
    refused = subprocess.run(["cc", "-fsyntax-only", *flags, "-I%s" % installed, str(folder / "one.c")],
                             stderr=subprocess.PIPE, check=False)
    assert refused.returncode != 0 and b"ca_make" in refused.stderr


def test_every_function_is_declared(installed):
    """The table of ca_module.h and the document agree on what there is."""
    table = re.findall(r"X\((\w+)\)", (installed / "mod_scep/ca_backend/ca_module.h").read_text())
    assert len(table) == len(set(table)) and "settings_get" in table
    used = set(re.findall(r"api->(\w+)\(", DOCUMENT.read_text("utf-8")))
    assert used and used <= set(table)
