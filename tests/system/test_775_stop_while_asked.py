# SPDX-License-Identifier: Apache-2.0
"""httpd ends while a policy waits for the answer of somebody outside: SIGTERM does not wait for it and the challenge is
free again; a graceful stop lets the request finish."""
import contextlib
import secrets
import signal
import threading

import pytest

import conf
import env
import pki
import scep_client as scep
from crp import Crp
from intune import Intune
from webhook import Webhook

MPMS = [mpm for mpm in env.MPMS if mpm != "prefork"]    # there the process of the request gets the signal


class Peer:
    """One of the doubles, that can keep those waiting who ask."""

    def __init__(self, provider):
        self.provider = provider
        self.double = {"webhook": Webhook, "intune": Intune, "registration-point": Crp}[provider]()

    def policies(self):
        if self.provider == "webhook":
            return ["ScepPolicy challenge", self.double.policy("timeout=20s")]
        return [self.double.policy("timeout=20s")]

    def hang(self):
        self.double.gate.clear()
        if self.provider == "intune":
            self.double.slow = {"validateRequest"}

    def asked(self):
        if self.provider == "intune":
            return self.double.count("validateRequest")
        return len(self.double.of("verify"))

    def challenge(self, server):
        if self.provider == "webhook":
            return server.challenge()
        if self.provider == "intune":
            return self.double.challenge()
        return self.double.state.mint(secrets.token_hex(8))


@pytest.fixture(params=["webhook", "intune", "registration-point"])
def peer(request):
    made = Peer(request.param)
    yield made
    made.double.gate.set()
    made.double.stop()


class Asking(threading.Thread):
    """A request that waits for the peer; reply is None if its connection is cut or it gets a 503."""

    def __init__(self, server, peer, key):
        super().__init__()
        self.client = server.client(keep_alive=False, timeout=60)
        self.spec = self.client.spec(key=key, challenge=peer.challenge(server))
        self.reply = None
        before = peer.asked()
        self.start()
        env.wait_until(lambda: peer.asked() > before, what="nobody is asked")

    def run(self):
        with contextlib.suppress(Exception):
            self.reply = self.client.transact(self.spec)


def started(factory, peer, mpm):
    service = conf.Service(pki.make()).add(*peer.policies())
    return factory.httpd([service], mpm=mpm, server=conf.Lines("ScepRequestTimeout 30s")).start()


@pytest.mark.parametrize("mpm", MPMS)
def test_sigterm(factory, keys, peer, mpm):
    server = started(factory, peer, mpm)
    peer.hang()
    asking = Asking(server, peer, keys[0])
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)
    server.process = None
    asking.join(30)
    assert asking.reply is None
    assert not server.log.lines("AH0004[56]", 0)        # httpd had to send the children no second signal
    assert server.log.lines("this process ends", 0)
    peer.double.gate.set()
    server.start()
    client = server.client(keep_alive=False)
    again = client.spec(key=keys[1], challenge=asking.spec.challenge)
    if peer.provider == "registration-point":           # the point itself gave it to the first request
        env.wait_until(lambda: peer.double.of("notify"), what="the point is not told")
        again = asking.spec
    reply = client.transact(again)
    assert reply.status == scep.SUCCESS


@pytest.mark.parametrize("mpm", MPMS)
def test_graceful_stop(factory, keys, peer, mpm):
    server = started(factory, peer, mpm)
    peer.hang()
    asking = Asking(server, peer, keys[0])
    server.process.send_signal(signal.SIGWINCH)
    env.wait_until(lambda: server.log.lines("shutting down gracefully", 0), what="no graceful stop")
    peer.double.gate.set()
    asking.join(30)
    assert asking.reply.status == scep.SUCCESS
    server.process.wait(30)
    server.process = None
