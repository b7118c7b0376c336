# SPDX-License-Identifier: Apache-2.0
"""A CA that refuses, is away, or answers nonsense."""
import pytest

import conf
import env
import pki
import scep_client as scep

pytestmark = pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built")


@pytest.fixture(scope="module")
def server(module_factory):
    """Its CA does what the file `switch` says."""
    service = conf.Service(pki.make(), backend="fault").add("ScepChallengeAttempts 3")
    folder = env.folder("switch")
    service.lines = [line + (" switch=%s" % (folder / "switch") if line.startswith("ScepCABackend") else "")
                     for line in service.lines]
    made = module_factory.httpd([service], fault=True,
                                server=conf.Lines("ScepRequestTimeout 2s")).start()
    made.switch = folder / "switch"
    return made


@pytest.fixture
def ca(server):
    """Sets what the CA does; it is well again afterwards."""
    def behave(text):
        temporary = server.switch.with_suffix(".new")
        temporary.write_text(text + "\n")
        temporary.chmod(0o644)
        temporary.rename(server.switch)
    yield behave
    if server.switch.exists():
        server.switch.unlink()


def test_issued(server, keys):
    server.enroll(keys[0])


def test_rejected(server, keys, ca):
    ca("mode=rejected")
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    reply = client.transact(spec)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert reply.hresult is not None and reply.fail_text
    ca("mode=issued")
    assert client.enroll(keys[1], spec.challenge).status == scep.SUCCESS


def test_refusals_of_the_ca_burn_the_challenge(server, keys, ca):
    ca("mode=rejected")
    client = server.client()
    challenge = server.challenge()
    for number in range(3):
        assert client.enroll(keys[number], challenge).status == scep.FAILURE
    ca("mode=issued")
    assert client.enroll(keys[3], challenge).status == scep.FAILURE


def test_ca_away_gives_the_challenge_back(server, keys, ca):
    """A device that comes again with a new key and the same challenge."""
    ca("mode=retry")
    client = server.client()
    challenge = server.challenge()
    server.expect(r"SCEP03\d\d")
    for number in range(4):
        response = client.send(client.spec(key=keys[number], challenge=challenge).build())
        assert response.status == 503 and int(response.header("Retry-After")) > 0
    ca("mode=issued")
    assert client.enroll(keys[0], challenge).status == scep.SUCCESS


@pytest.mark.parametrize("mode", ["unknown", "garbage", "wrong-key", "ca-cert", "self-signed"])
def test_bad_answers_are_not_delivered(server, keys, ca, mode):
    """503, an error line; the challenge stays held, since the CA may have signed."""
    ca("mode=" + mode)
    server.expect(r"SCEP\d{4}")
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    assert client.send(spec.build()).status == 503
    if mode != "unknown":
        assert server.log.lines(r"\[scep:error\].*SCEP03")
    ca("mode=issued")
    other = client.spec(key=keys[1], challenge=spec.challenge)
    assert client.send(other.build()).status == 503


@pytest.mark.conformance("8894-15", "8894-26", "8894-35")
def test_pending(server, keys, ca):
    ca("mode=pending")
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    reply = client.transact(spec)
    assert reply.status == scep.PENDING and not reply.content
    assert client.transact(spec).status == scep.PENDING
    # its challenge is not free for another device, now or later
    ca("mode=issued")
    other = client.spec(key=keys[1], challenge=spec.challenge)
    response = client.send(other.build())
    assert response.status == 503 or client.reply(response, other).status == scep.FAILURE


def test_static_answers_without_a_ca(server, ca):
    ca("mode=retry")
    assert server.client().get("GetCACert").status == 200
    assert server.admin().status == 200


def test_slow_ca(server, keys, ca):
    """Nobody waits longer than ScepRequestTimeout by much, other requests are served meanwhile."""
    ca("mode=issued delay=1s")
    server.enroll(keys[0])
