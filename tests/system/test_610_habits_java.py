# SPDX-License-Identifier: Apache-2.0
"""jscep and what is made of it (Android, Company Portal), and Chrome OS: BER, nonces, names byte for byte."""
import pytest

import der
import habits
import pki
import scep_client as scep


@pytest.mark.conformance("android-1", "jscep-1", "chromeos-2")
@pytest.mark.parametrize("chunk", [1, 7, 1000, 100000])
def test_content_in_pieces(server, keys, chunk):
    """The digest is that of the octets, whatever the pieces."""
    client = server.client()
    spec = habits.jscep(client, keys[0], server.challenge(), chunk=chunk)
    reply = client.transact(spec)
    assert reply.status == scep.SUCCESS and reply.transaction_id == spec.txid == spec.txid.lower()


@pytest.mark.conformance("jscep-5", "8894-29")
def test_sender_nonce_never_comes_twice(server, keys):
    """Over replies of all kinds, also to one message sent again and again."""
    client = server.client()
    good = habits.jscep(client, keys[0], server.challenge())
    bad = habits.jscep(client, keys[1], "wrong")
    nonces, count = set(), 0
    for message, spec in ((good.build(), good), (bad.build(), bad)) * 60:
        reply = client.reply(client.send(message), spec)
        assert reply.recipient_nonce == spec.sender_nonce
        nonces.add(reply.sender_nonce)
        count += 1
    assert len(nonces) == count == 120


@pytest.mark.conformance("jscep-4")
def test_names_of_issuers_are_the_same_bytes(server):
    """The RA's issuer and the CA's subject, as jscep compares them."""
    client = server.client()
    client.cacert()
    for certificate in (client.encrypter, client.signer):
        assert der.parse(scep.issuer_and_serial(certificate))[0].raw == scep.subject_of(client.ca())


def turned_round(certificate):
    """IssuerAndSerialNumber with the names of the issuer in the other order."""
    name, serial = der.parse(scep.issuer_and_serial(certificate)).children
    return der.seq(der.seq(*reversed([rdn.raw for rdn in name.children])), serial.raw)


def other_string_type(certificate):
    name, serial = der.parse(scep.issuer_and_serial(certificate)).children
    common = name[0][0]
    return der.seq(der.seq(der.tlv(der.SET, der.seq(common[0].raw, der.string(
        common[1].content, der.PRINTABLE)))), serial.raw)


@pytest.mark.conformance("jscep-4")
@pytest.mark.parametrize("write", [turned_round, other_string_type])
def test_recipient_named_in_another_way(server, keys, write):
    """jscep issue 180: names come out in another order or type; the right key is tried anyway."""
    client = server.client()
    client.cacert()
    spec = habits.jscep(client, keys[0], server.challenge(), recipient_name=write(client.encrypter))
    assert client.transact(spec).status == scep.SUCCESS


@pytest.mark.conformance("jscep-2", "8894-56")
@pytest.mark.parametrize("fields", [dict(cipher="des"), dict(digest="md5"), dict(cipher="des", digest="md5")])
def test_without_capabilities(server, keys, fields):
    """A client that did not get them, or that an attacker let have none: DES and MD5 are not taken."""
    client = server.client()
    reply = client.transact(habits.jscep(client, keys[0], server.challenge(), **fields))
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_ALG)
    assert reply.digest == ("sha256" if "digest" in fields else reply.digest) and reply.digest != "md5"


@pytest.mark.conformance("chromeos-1")
@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072", "rsa4096"])
def test_chrome_os(server, kind):
    client = server.client()
    key = pki.key("chromebook", kind)
    assert client.enroll(key, server.challenge(), digest="sha256", ber="indefinite").status == scep.SUCCESS
