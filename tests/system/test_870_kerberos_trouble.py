# SPDX-License-Identifier: Apache-2.0
"""Kerberos in trouble: what the log says, what the device gets, and how it comes back; and mistakes in its
configuration."""
import concurrent.futures
import os
import signal
import time

import pytest

import conf
import env
import kdc as kerberos
import scep_client as scep
from test_869_kerberos import USER, World, ask

pytestmark = pytest.mark.skipif(bool(kerberos.missing()), reason="not installed: " + kerberos.missing())

READY = '<Location "/ready">\n    SetHandler scep-ready\n</Location>\n'


@pytest.fixture(scope="module")
def world():
    made = World()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def kdc_is_up(request):
    yield
    if "world" in request.fixturenames and request.getfixturevalue("world").kdc.process is None:
        request.getfixturevalue("world").kdc.start()


def refused(server, key, pattern):
    """An enrollment ends in 503, with one line that says why, and nothing was sent to the CA."""
    before = len(server.log.lines(pattern))
    response, _ = ask(server, key)
    assert response.status == 503 and response.header("Retry-After")
    line = server.log.wait(pattern)
    assert len(server.log.lines(pattern)) == before + 1
    return line


def ready(server):
    response = server.connection(keep_alive=False).request("GET", "/ready")
    return response.status, response.body.decode()


def test_kdc_down_and_up_again(world, factory, keys):
    world.kdc.stop()
    server = world.httpd(factory, locations=[READY])
    asked = len(world.double.bodies)
    line = refused(server, keys[0], "reason=ca-unreachable")
    assert "no Kerberos ticket for %s: Cannot contact any KDC" % USER in line
    assert len(world.double.bodies) == asked
    env.wait_until(lambda: ready(server)[0] == 503, 10)
    world.kdc.start()
    env.wait_until(lambda: ask(server, keys[0])[0].status == 200, 30, step=0.5)
    env.wait_until(lambda: ready(server)[0] == 200, 30, step=0.5)


def test_kdc_that_never_answers(world, factory, keys):
    """Its port takes what comes and says nothing: the device's time limit holds."""
    world.kdc.stop()
    with env.socket.socket(env.socket.AF_INET, env.socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", world.kdc.port))
        server = world.httpd(factory, world.service(world.login(), "timeout=2s"))
        line = refused(server, keys[0], "reason=ca-unreachable")
        assert "the KDC has not answered yet" in line
    world.kdc.start()
    env.wait_until(lambda: ask(server, keys[0])[0].status == 200, 60, step=0.5)


def test_a_ticket_that_comes_late(world, factory, keys):
    """With too little time left nothing is sent to the CA, which could not be told from a lost answer."""
    asked = len(world.double.bodies)
    world.kdc.process.send_signal(signal.SIGSTOP)
    try:
        server = world.httpd(factory, world.service(world.login(), "timeout=8s connectTimeout=6s"), mpm="event")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask, server, keys[0])
            time.sleep(5.5)
            world.kdc.process.send_signal(signal.SIGCONT)
            assert answer.result()[0].status == 503
    finally:
        world.kdc.process.send_signal(signal.SIGCONT)
    server.log.wait("reason=ca-unreachable.*the Kerberos ticket came too late to ask")
    assert len(world.double.bodies) == asked
    assert ask(server, keys[0])[1].status == scep.SUCCESS


def test_a_new_password(world, factory, keys):
    """A keytab of the old one gets no ticket; a new keytab counts at once."""
    world.kdc.admin("addprinc +requires_preauth -randkey svc-new")
    keytab = world.kdc.keytab("svc-new")
    world.kdc.admin("cpw -randkey svc-new")
    service = world.service(world.login(keytab, "svc-new"))
    server = world.httpd(factory, service)
    line = refused(server, keys[0], "reason=ca-credentials")
    assert "not of the account's present password" in line
    world.kdc.keytab("svc-new")
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    assert server.log.wait("SCEP0361.*svc-new.keytab changed and is used now")


def test_a_wrong_key_is_tried_by_one(world, factory, keys):
    """The account would be locked: the other processes take over what the KDC told the first."""
    world.kdc.admin("addprinc +requires_preauth -randkey svc-wrong")
    keytab = world.kdc.keytab("svc-wrong")
    world.kdc.admin("cpw -randkey svc-wrong")
    server = world.httpd(factory, world.service(world.login(keytab, "svc-wrong")), mpm="prefork")
    for n in range(8):
        assert ask(server, keys[n % 4])[0].status == 503
    assert len(server.log.lines("not of the account's present password")) == 8
    failed = [line for line in world.kdc.log().splitlines() if "PREAUTH_FAILED" in line and "svc-wrong@" in line]
    assert 1 <= len(failed) <= 2    # libkrb5 asks the master once more


def test_keytabs_that_cannot_replace(world, factory, keys):
    """The old one goes on, and one line says so."""
    world.kdc.admin("addprinc +requires_preauth -randkey svc-old")
    keytab = world.kdc.keytab("svc-old")
    server = world.httpd(factory, world.service(world.login(keytab, "svc-old")), mpm="event")
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    server.expect("SCEP0359")
    other = world.keytab.read_bytes()
    for bad in (b"", b"\x05\x02\x00\x00\x00", b"\x05\x02" + b"\xff" * 64, os.urandom(300), other[:-1], other):
        fresh = keytab.with_suffix(".fresh")
        fresh.write_bytes(bad)
        fresh.chmod(0o600)
        kerberos.for_httpd(fresh)
        fresh.rename(keytab)
        seen = len(server.log.lines("SCEP0359"))
        env.wait_until(lambda: ask(server, keys[0])[1].status == scep.SUCCESS
                       and len(server.log.lines("SCEP0359")) > seen, 20, step=0.1)


def test_the_account_is_not_known(world, factory, keys):
    world.kdc.admin("addprinc -randkey svc-gone")
    service = world.service(world.login(world.kdc.keytab("svc-gone"), "svc-gone"))
    world.kdc.admin("delprinc -force svc-gone")
    server = world.httpd(factory, service)
    assert "not found in Kerberos database" in refused(server, keys[0], "reason=ca-credentials.*svc-gone")


def test_the_account_may_not(world, factory, keys):
    world.kdc.admin("addprinc +requires_preauth -randkey svc-locked")
    service = world.service(world.login(world.kdc.keytab("svc-locked"), "svc-locked"))
    world.kdc.admin("modprinc -allow_tix svc-locked")
    server = world.httpd(factory, service)
    assert "disabled, locked or expired" in refused(server, keys[0], "reason=ca-credentials")


def test_another_realm(world, factory, keys):
    """Whose KDC is nowhere, or whom krb5.conf does not know."""
    for realm, text, reason in (("OTHER.EXAMPLE", "Cannot contact any KDC", "ca-unreachable"),
                                ("NOWHERE.EXAMPLE", "name no KDC of that realm", "ca-credentials")):
        principal = "svc@" + realm
        keytab = world.double.files.write(realm + ".keytab", kerberos.keytab_of(principal))
        server = world.httpd(factory, world.service(world.login(keytab, principal)))
        assert text in refused(server, keys[0], "reason=%s.*%s" % (reason, realm))


def test_the_service_does_not_take_us(factory, keys):
    """IIS knows the ticket, but not this account."""
    other = World(front={"require": "user somebody@" + kerberos.REALM})
    try:
        server = other.httpd(factory)
        assert "HTTP 401" in refused(server, keys[0], "reason=ca-credentials")
        assert not other.double.bodies
    finally:
        other.stop()


def test_the_service_has_no_name(factory, keys):
    other = World()
    try:
        other.kdc.admin("delprinc -force " + kerberos.SERVICE)
        server = other.httpd(factory)
        assert "no account has that service principal name" in refused(
            server, keys[0], "reason=ca-credentials.*for HTTP/localhost")
    finally:
        other.stop()


def test_tickets_end_and_are_renewed(factory, keys):
    other = World(life=8)
    try:
        server = other.httpd(factory)
        assert ask(server, keys[0])[1].status == scep.SUCCESS
        env.wait_until(lambda: other.kdc.log().count("TGS_REQ") >= 4, 30, step=0.2)
        assert ask(server, keys[1])[1].status == scep.SUCCESS
        # without a KDC the last one ends, with a warning before
        other.kdc.stop()
        server.expect("SCEP0360")
        env.wait_until(lambda: ask(server, keys[2])[0].status == 503, 60, step=0.5)
        assert server.log.wait("reason=ca-unreachable.*no Kerberos ticket")
        assert 1 <= len(server.log.lines("SCEP0360")) <= 2 * len(server.children())
        other.kdc.start()
        env.wait_until(lambda: ask(server, keys[2])[0].status == 200, 30, step=0.5)
    finally:
        other.stop()


@pytest.mark.skipif(kerberos.faketime() is None, reason="libfaketime is not installed")
def test_clocks_that_differ(factory, keys):
    other = World(ahead=3600, client=("kdc_timesync = 0",))
    try:
        server = other.httpd(factory)
        assert "this host's clock and the KDC's differ" in refused(server, keys[0], "reason=ca-credentials")
    finally:
        other.stop()


WRONG = {
    "no principal": ("keytab=%(keytab)s", "needs keytab and principal"),
    "no keytab": ("principal=svc", "certificate and key, or userFile, or keytab"),
    "no keytab, but a certificate": ("principal=svc %(tls)s", "needs keytab and principal"),
    "no file": ("keytab=/nowhere.keytab principal=svc", "/nowhere.keytab"),
    "a folder": ("keytab=%(folder)s principal=svc", "it is no file"),
    "empty": ("keytab=%(folder)s/empty principal=svc", "it is no keytab"),
    "no keytab's": ("keytab=%(folder)s/text principal=svc", "it is no keytab"),
    "truncated": ("keytab=%(folder)s/cut principal=svc-scep", "it is cut off or damaged"),
    "open": ("keytab=%(folder)s/open principal=svc-scep", "may be read or written by others"),
    "somebody else's": ("keytab=%(keytab)s principal=svc-else",
                        "has no key of svc-else@CORP.EXAMPLE, but of svc-scep@"),
    "other realm": ("keytab=%(keytab)s principal=svc-scep@A.EXAMPLE", "has no key of svc-scep@A.EXAMPLE"),
    "no name": ("keytab=%(keytab)s principal=a@b@c", "principal a@b@c"),
    "twice": ("keytab=%(keytab)s principal=svc-scep userFile=%(folder)s/user", "one of them says who asks"),
    "address": ("keytab=%(keytab)s principal=svc-scep", "Kerberos needs the host's name"),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_configuration_that_is_wrong(world, factory, case):
    words, text = WRONG[case]
    files = world.double.files
    for name, data, mode in (("empty", b"", 0o600), ("text", b"hello", 0o600), ("user", b"svc:secret\n", 0o600),
                             ("cut", world.keytab.read_bytes()[:9], 0o600),
                             ("open", world.keytab.read_bytes(), 0o644)):
        files.write(name, data, mode)
    directive = world.double.backend(words % dict(keytab=world.keytab, folder=world.double.folder,
                                                  tls=world.double.tls().split(None, 1)[1]))
    if case == "address":
        directive = directive.replace("https://localhost:", "https://127.0.0.1:")
    service = conf.Service(world.double.ca).set("ScepCABackend", directive)
    server = factory.httpd([service])
    server.expect("ScepCABackend")
    with world.kdc.found():
        status, output = server.configtest()
    assert status != 0 and text in output, output


def test_krb5_conf_that_is_wrong(world, factory):
    broken = world.kdc.folder / "broken.conf"
    broken.write_text("[libdefaults\n x")
    server = factory.httpd([world.service()])
    server.expect("ScepCABackend")
    with world.kdc.found():
        os.environ["KRB5_CONFIG"] = str(broken)
        status, output = server.configtest()
    assert status != 0 and "Kerberos cannot be set up" in output, output


def test_readiness_says_why(world, factory):
    world.kdc.stop()
    server = world.httpd(factory, locations=[READY])
    env.wait_until(lambda: "Cannot contact any KDC" in ready(server)[1], 20)
    assert ready(server)[0] == 503
