# SPDX-License-Identifier: Apache-2.0
"""Phase 2 of a registration point: device and user have to be known and may use the template; two points on one Redis,
in front of them a real front."""
import pytest

import conf
import env
import pki
import point
import scep_client as scep
from test_300_stores import secret_file
from test_720_logs import Logs, lines_of, logging
from test_730_outbox import status, status_location
from test_750_point import AUTHORIZE, bind, leaf_for, said, spec
from test_761_front_and_point import ask, policy
from webhook import Webhook

PHASE_2 = "Validation Phase 2 finished with status False."


def lists(folder, devices="d-1,Device\nd-2,Other\n", users="anna\nbob\n"):
    """Files of a point; words of ScepPolicy known."""
    for name, text in (("devices", devices), ("users", users)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    return "ScepPolicy known devices=%s users=%s" % (folder / "devices", folder / "users")


class Site:
    """Two points of one store and one front."""

    def __init__(self, factory, lines):
        redis, secret = factory.redis(), secret_file(env.folder("secret"))
        self.points = []
        for _ in range(2):
            made = factory.httpd([point.Point(pki.make(), AUTHORIZE, "ScepTemplate general Device", *lines)],
                                 modules=point.MODULES, server=logging(
                                     "SSLSessionCache shmcb:cache(65536)", "ScepStore " + redis.urls()["tcp"],
                                     "ScepChallengeSecretFile %s" % secret))
            made.tls = env.free_port()
            made.locations += [point.virtual_host(made.tls), status_location()]
            made.start()
            made.logs = Logs(made)
            self.points.append(made)
        self.front = factory.httpd([conf.Service(pki.make()).add(
            policy(self.points), "ScepTemplate general Device", "ScepLocalTemplate Device minimumKey=2048")],
                                   server=logging()).start()
        self.front.logs = Logs(self.front)

    def lines(self, txid):
        """The points' audit lines."""
        return [line for made in self.points for line in lines_of(made.logs.audit_file)
                if line.get("transactionID") == txid]

    def verify(self, asked, which=0, **more):
        return point.Front(self.points[which].tls).verify(asked, **more)

    def notify(self, asked, leaf, which=1, **more):
        return point.Front(self.points[which].tls).notify(asked, "success", leaf, **more)


def record_of(server, asked):
    """The request-status record, as scep-status shows it."""
    return next(x for x in status(server)["records"]["newest"] if x["transactionID"] == asked.txid)


@pytest.fixture(scope="module")
def folder():
    return env.folder("lists")


@pytest.fixture(scope="module")
def site(module_factory, folder):
    return Site(module_factory, ["ScepPolicy challenge", lists(folder)])


@pytest.fixture(autouse=True)
def fresh(folder):
    lists(folder)


def test_known(site, keys):
    """A device enrolls; both sides know whose the certificate is."""
    challenge = bind(site.points[0], {"device": "D-1", "user": "Anna"})
    _, reply, asked = ask(site.front, keys[0], challenge)
    assert reply.status == scep.SUCCESS
    question, told = site.lines(asked.txid)
    for line in question, told:
        assert (line["device"], line["user"], line["result"]) == ("D-1", "Anna", "success")
        assert line["front"] == "CN=front one" and line["client"] == "127.0.0.1"
    assert question["deviceAddress"] == "127.0.0.1" and told["operation"] == "Notify"
    record = record_of(site.points[0], asked)
    assert (record["device"], record["user"]) == ("D-1", "Anna")
    assert site.front.logs.audit(asked.txid)[-1]["device"] == "D-1"


UNKNOWN = {
    "device": ({"device": "d-9", "user": "anna"}, "device-unknown"), "user": ({"device": "d-1", "user": "eve"},
                                                                               "user-unknown"),
    "template": ({"device": "d-2", "user": "anna"}, "device-template"), "no device": ({"user": "anna"},
                                                                                     "device-missing"),
    "no user": ({"device": "d-1"}, "user-missing"), "nothing": ({"subject": "CN=device"}, "device-missing"),
}


@pytest.mark.parametrize("bound, reason", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_unknown(site, keys, bound, reason):
    """Refused in phase 2; the device learns no more than of any other mismatch."""
    _, reply, asked = ask(site.front, keys[0], bind(site.points[1], bound))
    assert (reply.status, reply.fail_info, reply.hresult) == (scep.FAILURE, scep.BAD_REQUEST, 0x80070005)
    assert reply.fail_text == "The request does not match what the challenge was issued for."
    line, = site.lines(asked.txid)
    assert line["reason"] == site.front.logs.audit(asked.txid)[-1]["reason"] == reason
    assert line.get("device") == bound.get("device")
    texts = [text for made in site.points for text in made.logs.texts(asked.txid)]
    assert PHASE_2 in texts and texts[-1] == "VerifyRequest Finished with status False"
    assert "Validation Phase 2 started for device %s and user %s." % (
        bound.get("device", ""), bound.get("user", "")) in texts


def test_front_has_to_agree(site, keys):
    bound = {"device": "d-1", "user": "anna"}
    asked = spec(keys[0], bind(site.points[0], bound))
    assert said(site.verify(asked, device="d-2", user="anna")) == ("false", "device-mismatch")
    asked = spec(keys[0], asked.challenge)
    assert said(site.verify(asked, 1, device="d-1", user="bob")) == ("false", "user-mismatch")
    asked = spec(keys[0], asked.challenge)
    assert said(site.verify(asked, device="D-1", user="anna", userAgent="Windows NT 10.0")) == ("true", None)
    assert site.notify(asked, leaf_for(keys[0])).status == 204
    assert [line["user"] for line in site.lines(asked.txid)] == ["anna", "anna"]
    assert (site.lines(asked.txid)[0]["deviceAddress"], site.lines(asked.txid)[0]["clientOS"]) == (
        "192.0.2.77", "Windows")
    assert site.lines(asked.txid)[0]["deviceUserAgent"] == "Windows NT 10.0"


def test_front_names_them(site, keys):
    """Where the challenge does not: its word is held against the lists, and kept."""
    asked = spec(keys[0], site.points[0].challenge())
    assert said(site.verify(asked, device="d-9", user="bob")) == ("false", "device-unknown")
    asked = spec(keys[0], asked.challenge)
    assert said(site.verify(asked, device="d-1", user="bob")) == ("true", None)
    assert site.notify(asked, leaf_for(keys[0]), device="d-1", user="bob").status == 204
    record = record_of(site.points[1], asked)
    assert (record["device"], record["user"]) == ("d-1", "bob")


def test_list_is_replaced(site, folder, keys):
    """While the point runs; without a list nobody is known, and nobody is refused."""
    asked = spec(keys[0], bind(site.points[0], {"device": "d-3", "user": "bob"}))
    assert said(site.verify(asked)) == ("false", "device-unknown")
    lists(folder, devices="d-3\n")
    asked = spec(keys[0], asked.challenge)
    assert said(site.verify(asked))[0] == "true"
    for made in site.points:
        made.expect("SCEP0294")
    (folder / "devices").unlink()
    asked = spec(keys[0], bind(site.points[0], {"device": "d-1", "user": "bob"}))
    assert site.verify(asked, 1).status == 503
    assert site.points[1].log.wait("SCEP0294.*devices: ")
    lists(folder)
    assert said(site.verify(asked, 1))[0] == "true"


@pytest.fixture
def hook():
    made = Webhook()
    yield made
    made.stop()


def test_webhook_is_asked(hook, factory, keys):
    """Somebody else knows devices and users: he is told them, and his no is phase 2's."""
    site = Site(factory, ["ScepPolicy challenge", "ScepPolicy known require=device,user", hook.policy()])
    hook.answer = (200, (), {"allow": False, "reason": "retired"})
    _, reply, asked = ask(site.front, keys[0], bind(site.points[0], {"device": "d-1", "user": "anna"}))
    assert reply.status == scep.FAILURE
    assert [(told["device"], told["user"]) for told in hook.of("verify")] == [("d-1", "anna")]
    texts = [text for made in site.points for text in made.logs.texts(asked.txid)]
    assert PHASE_2 in texts and "Validation Phase 2 started for device d-1 and user anna." in texts


CONFIG = {"alone": (["ScepPolicy known require=device"], "behind them"),
          "nothing": (["ScepPolicy challenge", "ScepPolicy known"], "one of require, devices and users"),
          "no file": (["ScepPolicy challenge", "ScepPolicy known users=/no/such/list"], "/no/such/list"),
          "require": (["ScepPolicy challenge", "ScepPolicy known require=all"], "require")}


@pytest.mark.parametrize("lines, words", CONFIG.values(), ids=CONFIG.keys())
def test_configuration(factory, lines, words):
    server = factory.httpd([conf.Service(pki.make()).add(*lines)])
    status, text = server.configtest()
    server.expect("ScepPolicy", "SCEP04")
    assert status != 0 and words in text
