# SPDX-License-Identifier: Apache-2.0
"""Cisco IOS and ASA, and Juniper: old HTTP, old algorithms by opt-in, names that nobody else uses."""
import pytest

import conf
import habits
import pki
import scep_client as scep

SHAPE = dict(digest="sha1", cipher="3des")


@pytest.fixture(scope="module")
def old(module_factory):
    """A service for routers that know DES and MD5 only."""
    service = conf.Service(pki.make()).add("ScepLegacyAlgorithms 3des sha1 des md5")
    server = module_factory.httpd([service])
    server.expect(r"SCEP\d+.*(DES|des|MD5|md5)")
    return server.start()


@pytest.mark.conformance("cisco-1", "cisco-2", "cisco-4", "8894-4")
def test_enrolls_by_http10(server, keys):
    client = server.client()
    spec = habits.cisco(client, keys[0], server.challenge(), **SHAPE)
    reply = client.reply(habits.cisco_get(client, spec.build()), spec)
    assert reply.status == scep.SUCCESS
    names = {a.oid.dotted_string: a.value for a in reply.leaf.subject}
    assert names["2.5.4.3"] == names["1.2.840.113549.1.9.2"] == "router.example"
    assert names["2.5.4.5"] == "9KZ1234567"
    assert (reply.cipher, reply.digest) == ("3des", "sha1")
    assert reply.leaf.signature_hash_algorithm.name == "sha256"


@pytest.mark.conformance("cisco-3", "cisco-4", "juniper-1", "8894-14", "8894-56")
@pytest.mark.parametrize("fields", [dict(), dict(digest="sha1"), dict(cipher="3des")],
                         ids=["DES, MD5", "DES, SHA-1", "3DES, MD5"])
def test_des_and_md5_by_opt_in(old, keys, fields):
    """What comes back is neither."""
    client = old.client()
    spec = habits.cisco(client, keys[0], old.challenge(), **fields)
    reply = client.reply(habits.cisco_get(client, spec.build()), spec)
    assert reply.status == scep.SUCCESS
    assert (reply.cipher, reply.digest) == ("3des", "sha1")
    assert reply.leaf.signature_hash_algorithm.name == "sha256"


@pytest.mark.conformance("cisco-3", "8894-14", "8894-56")
@pytest.mark.parametrize("fields", [dict(), dict(digest="sha1"), dict(cipher="3des")],
                         ids=["DES, MD5", "DES, SHA-1", "3DES, MD5"])
def test_des_and_md5_without(server, keys, fields):
    client = server.client()
    spec = habits.cisco(client, keys[0], server.challenge(), **fields)
    reply = client.reply(habits.cisco_get(client, spec.build()), spec)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_ALG)


@pytest.mark.conformance("cisco-3", "8894-40")
def test_old_algorithms_are_not_advertised(old):
    words = old.client().caps()
    assert "AES" in words and not {"DES", "MD5"} & set(words)


@pytest.mark.conformance("cisco-5", "juniper-2")
@pytest.mark.parametrize("name", ["TP-self-signed-1", "CN%3DTest+CA", "my CA".replace(" ", "+"), "ca%20name"])
def test_name_of_the_ca(server, name):
    client = server.client()
    wanted = client.get("GetCACert").body
    response = client.http.raw(("GET %s/pkiclient.exe?operation=GetCACert&message=%s HTTP/1.0\r\n\r\n" % (
        client.path, name)).encode())
    assert response.status == 200 and response.body == wanted


@pytest.mark.conformance("juniper-1", "juniper-3", "8894-32")
def test_reply_has_one_certificate(server, keys):
    client = server.client()
    reply = client.enroll(keys[1], server.challenge(), subject="CN=srx,O=Example", cipher="3des", digest="sha1")
    assert reply.status == scep.SUCCESS and len(reply.issued) == 1


@pytest.mark.conformance("cisco-6", "8894-9", "8894-11")
def test_renews_with_the_old_certificate(server, keys):
    """By GET, as a PKCSReq, after "regenerate" with a new key."""
    client = server.client()
    first = habits.cisco(client, keys[0], server.challenge(), **SHAPE)
    old = client.reply(habits.cisco_get(client, first.build()), first).leaf
    spec = habits.cisco(client, keys[1], None, signer_key=keys[0], signer_cert=pki.der_of(old), **SHAPE)
    reply = client.reply(habits.cisco_get(client, spec.build()), spec)
    assert reply.status == scep.SUCCESS and reply.leaf.subject == old.subject
    assert reply.leaf.public_key().public_numbers() == keys[1].public_key().public_numbers()
