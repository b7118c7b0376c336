# SPDX-License-Identifier: Apache-2.0
"""CA backends adcs and certsrv by Kerberos: a real KDC, and mod_auth_gssapi where the real ones have IIS."""
import concurrent.futures

import pytest

import conf
import double_adcs
import double_certsrv
import env
import kdc as kerberos
import scep_client as scep

pytestmark = pytest.mark.skipif(bool(kerberos.missing()), reason="not installed: " + kerberos.missing())

TEMPLATE = "Device"
USER = "svc-scep@" + kerberos.REALM
QUICK = ("ScepPolicy none", "ScepRequestTimeout 8s")


class Known:
    """Of a double behind the front: who asked, which only the front can tell."""
    to_front = None

    def __init__(self, *arguments, **how):
        self.users = []
        super().__init__(*arguments, mutual=False, **how)
        self.template = TEMPLATE


class AdcsHandler(double_adcs.Handler):
    def do_POST(self):
        self.double.users.append(self.headers["X-Remote-User"])
        super().do_POST()


class Adcs(Known, double_adcs.Adcs):
    handler = AdcsHandler

    @property
    def to(self):
        return self.to_front + double_adcs.PATH

    def backend(self, *more):
        return " ".join(("adcs url=" + self.to, "caFile=%s" % (self.folder / "ca.pem"), self.agent()) + more)


class CertsrvHandler(double_certsrv.Handler):
    def do_POST(self):
        self.double.users.append(self.headers["X-Remote-User"])
        super().do_POST()

    def do_GET(self):
        self.double.users.append(self.headers["X-Remote-User"])
        super().do_GET()


class Certsrv(Known, double_certsrv.Certsrv):
    handler = CertsrvHandler

    def backend(self, *more):
        return " ".join(("certsrv url=%s/certsrv" % self.to_front, "caFile=%s" % (self.folder / "ca.pem"),
                         self.agent()) + more)


class World:
    """A KDC, a double, and the front between."""

    def __init__(self, make=Adcs, front=None, **how):
        self.kdc = kerberos.Kdc(**how).start()
        self.kdc.admin("addprinc +requires_preauth -randkey svc-scep")
        self.keytab = self.kdc.keytab("svc-scep")
        self.double = make()
        self.front = kerberos.Front(self.kdc, self.double, **(front or {})).start()
        self.double.to_front = self.front.url

    def stop(self):
        self.front.stop()
        self.double.stop()
        self.kdc.stop()

    def login(self, keytab=None, principal=USER):
        return "keytab=%s principal=%s" % (keytab or self.keytab, principal)

    def service(self, *more, name="corp", path="/certsrv"):
        made = conf.Service(self.double.ca, name=name, path=path)
        made.set("ScepCABackend", self.double.backend(*more or (self.login(),)))
        return made.add("ScepPollInterval 1s", "ScepTemplate general " + TEMPLATE)

    def httpd(self, factory, *services, **how):
        with self.kdc.found():
            server = factory.httpd(list(services) or [self.service()], server=conf.Lines(*QUICK), **how).start()
        server.expect("SCEP0200")
        assert all("SCEP0200" in line for line in server.log.check())
        return server


def ask(server, key, service=0, **fields):
    client = server.client(service, keep_alive=False)
    spec = client.spec(key=key, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None


@pytest.fixture(scope="module", params=[Adcs, Certsrv], ids=["adcs", "certsrv"])
def world(request):
    made = World(request.param)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(world, module_factory):
    return world.httpd(module_factory)


def test_issued_by_ticket(world, server, keys):
    """Nobody logged in; the CA knows us by the ticket, and the request was sent once."""
    del world.double.users[:], world.double.bodies[:]
    reply = ask(server, keys[0], subject="CN=phone")[1]
    assert reply.status == scep.SUCCESS and reply.leaf.subject.rfc4514_string() == "CN=phone"
    assert set(world.double.users) == {USER} and len(world.double.bodies) == 1
    assert server.log.wait("SCEP035[57]")
    assert "TGS_REQ" in world.kdc.log() and "NEEDED_PREAUTH" in world.kdc.log()


def test_pending_and_polled_by_ticket(world, server, keys):
    world.double.behave("pending")
    client = server.client()
    spec = client.spec(key=keys[0])
    assert client.transact(spec).status == scep.PENDING
    world.double.behave()
    assert client.wait(spec).status == scep.SUCCESS
    assert set(world.double.users) == {USER}


def test_tickets_are_shared_by_all_threads(world, server, keys):
    """The KDC is asked once per child, not per request."""
    before = world.kdc.log().count("TGS_REQ")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: ask(server, keys[n % 4], subject="CN=phone%d" % n)[1], range(24)))
    assert all(reply.status == scep.SUCCESS for reply in replies)
    assert world.kdc.log().count("TGS_REQ") - before <= 4


def test_no_ticket_is_left_anywhere(world, server):
    """Neither a file nor the environment: two services could not differ."""
    for pid in server.children():
        with open("/proc/%d/environ" % pid, "rb") as environment:
            assert b"KRB5CCNAME" not in environment.read()
    assert not list(server.folder.rglob("*krb5cc*"))


def test_two_services_are_two_accounts(world, factory, keys):
    """In one process, at the same time."""
    world.kdc.admin("addprinc +requires_preauth -randkey svc-two")
    second = world.login(world.kdc.keytab("svc-two"), "svc-two")
    server = world.httpd(factory, world.service(), world.service(second, name="two", path="/two"), mpm="worker")
    del world.double.users[:]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: ask(server, keys[n % 4], n % 2, subject="CN=p%d" % n)[1], range(16)))
    assert all(reply.status == scep.SUCCESS for reply in replies)
    each = len(world.double.users) // 2
    assert sorted(world.double.users) == [USER] * each + ["svc-two@" + kerberos.REALM] * each


@pytest.mark.parametrize("mpm", ["prefork"])
def test_one_process_per_request(world, factory, keys, mpm):
    server = world.httpd(factory, mpm=mpm)
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    server.graceful()
    assert ask(server, keys[1])[1].status == scep.SUCCESS


def test_a_keytab_for_root_only(world, factory, keys):
    """It is read at start; the children need not be allowed to."""
    path = world.kdc.keytab("svc-scep", "root.keytab", change=False)
    if env.ROOT:
        env.shutil.chown(path, "root")
    server = world.httpd(factory, world.service(world.login(path)))
    assert ask(server, keys[0])[1].status == scep.SUCCESS


def test_both_tls_and_kerberos(factory, keys):
    """The certificate is still asked for and shown, and the service's own still verified."""
    world = World(front={"mutual": True})
    try:
        mine = "certificate=%s key=%s" % (world.double.folder / "client.pem", world.double.folder / "client.key")
        server = world.httpd(factory, world.service(world.login(), mine))
        assert ask(server, keys[0])[1].status == scep.SUCCESS
        bare = world.httpd(factory, world.service(world.login()))
        assert ask(bare, keys[0])[0].status == 503 and bare.log.wait("reason=ca-unreachable")
        other = world.service(world.login(), mine)
        other.set("ScepCABackend", world.double.backend(world.login(), mine).replace("/ca.pem", "/foreign.pem"))
        strange = world.httpd(factory, other)
        assert ask(strange, keys[0])[0].status == 503 and strange.log.wait("reason=ca-unreachable.*certificate")
    finally:
        world.stop()
