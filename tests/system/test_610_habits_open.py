# SPDX-License-Identifier: Apache-2.0
"""sscep, strongSwan, certmonger, micromdm's client, and devices without a clock, in the shapes that they send."""
import base64
import datetime

import pytest

import habits
import scep_client as scep


@pytest.mark.conformance("sscep-1", "sscep-2", "sscep-3")
def test_sscep(server, keys):
    client = server.client()
    assert {"SHA-512", "AES", "POSTPKIOperation"} <= set(client.get("GetCACaps", "CAIdentifier").body.decode().split())
    assert client.get("GetCACert", "CAIdentifier").status == 200
    spec = habits.sscep(client, keys[0], server.challenge())
    reply = client.transact(spec, headers=())
    assert reply.status == scep.SUCCESS
    assert len(spec.txid) == 32 and reply.transaction_id == spec.txid.upper()
    assert (reply.digest, reply.cipher) == ("sha512", "aes-128-cbc")
    assert len(reply.sender_nonce) >= 16


@pytest.mark.conformance("sscep-4", "8894-34")
def test_sscep_is_refused(server, keys):
    """Reads failInfo, and takes no payload."""
    client = server.client()
    reply = client.transact(habits.sscep(client, keys[0], "wrong"), headers=(), chunked=True)
    assert reply.fail_info == scep.BAD_REQUEST and not reply.content


@pytest.mark.conformance("micromdm-1", "micromdm-2", "micromdm-3", "8894-24")
@pytest.mark.parametrize("url", [False, True], ids=["POST", "base64url by GET"])
def test_micromdm(server, keys, url):
    client = server.client()
    for key in keys:
        spec = habits.micromdm(client, key, None)
        if set("+/") & set(spec.txid):
            break
    spec = habits.micromdm(client, key, server.challenge(), subject="CN=mdm" + ("2" if url else "1"))
    if url:
        text = base64.urlsafe_b64encode(spec.build()).decode()
        reply = client.reply(client.get("PKIOperation", text), spec)
    else:
        reply = client.transact(spec)
    assert reply.status == scep.SUCCESS
    assert reply.transaction_id == spec.txid and spec.txid.endswith("=")


@pytest.mark.conformance("micromdm-1", "8894-24")
@pytest.mark.parametrize("txid", ["a+b/c=", "++//==", " = + / ?&%41'(),-.:"])
def test_transaction_ids_of_all_letters(server, keys, txid):
    client = server.client()
    reply = client.enroll(keys[0], server.challenge(), txid=txid, subject="CN=txid")
    assert reply.status == scep.SUCCESS and reply.transaction_id == txid


@pytest.mark.conformance("strongswan-2", "strongswan-4")
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
def test_strongswan(server, keys, digest):
    """POST with an empty Content-Type, perhaps RSA-PSS."""
    client = server.client()
    for number, signature in enumerate(("pkcs1", "pss")):
        spec = habits.strongswan(client, keys[0], server.challenge(), digest=digest, signature=signature,
                                 subject="CN=moon%d,O=%s" % (number, digest))
        reply = client.transact(spec, headers=[("Content-Type", "")])
        assert (reply.status, reply.digest) == (scep.SUCCESS, digest)


@pytest.mark.conformance("strongswan-3")
def test_get_by_http11_without_host(server):
    """httpd refuses it by itself: such a client has to be told of POST."""
    server.expect("AH00566", "AH00569")
    client = server.client()
    assert "POSTPKIOperation" in client.caps()
    response = client.http.raw(("GET %s?operation=GetCACaps HTTP/1.1\r\n\r\n" % client.path).encode())
    assert response.status == 400


@pytest.mark.conformance("certmonger-1", "8894-39")
@pytest.mark.parametrize("operation", ["GetCACaps", "GetCACert"])
def test_certmonger_message(server, operation):
    client = server.client()
    assert client.get(operation, "0").body == client.get(operation).body


@pytest.mark.conformance("digi-1", "windows-5", "8894-28")
@pytest.mark.parametrize("when", [False, datetime.datetime(1970, 1, 1), datetime.datetime(2049, 1, 1)],
                         ids=["no signingTime", "1970", "2049"])
def test_no_clock(server, keys, when):
    client = server.client()
    assert client.enroll(keys[2], server.challenge(), signing_time=when,
                         subject="CN=digi %s" % when).status == scep.SUCCESS


@pytest.mark.conformance("certmonger-3", "8894-9", "8894-11", "8894-57")
def test_certmonger_renews_with_the_same_request(server, keys):
    """Same CSR with its spent challenge, same transactionID, another signer: a renewal, and no resend."""
    client = server.client()
    first = client.spec(key=keys[3], challenge=server.challenge(), subject="CN=tracked", txid="5361" * 16)
    old = client.transact(first).leaf
    signer = old.public_bytes(scep.serialization.Encoding.DER)
    renewal = client.spec(key=keys[3], csr=first.csr, signer_cert=signer, txid=first.txid)
    new = client.transact(renewal).leaf
    assert new.serial_number != old.serial_number and new.subject == old.subject
    assert client.transact(renewal).leaf == new
    assert client.transact(first).leaf == old
