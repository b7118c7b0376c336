# SPDX-License-Identifier: Apache-2.0
"""Enrollments that must work: everything real devices send."""
import base64
import datetime
import hashlib
import time
import urllib.parse

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

import conf
import der
import env
import pki
import scep_client as scep


def extension(leaf, kind):
    return leaf.extensions.get_extension_for_class(kind)


@pytest.mark.smoke
@pytest.mark.parametrize("how", [dict(method="POST"), dict(method="GET"), dict(chunked=True)],
                         ids=["post", "get", "chunked"])
@pytest.mark.conformance("8894-12", "8894-13", "8894-48", "8894-59")
def test_transports(server, keys, how):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge(), subject="CN=transport,O=Example",
                       extensions=[scep.san_extension(["device.example"])])
    reply = client.transact(spec, **how)
    assert reply.status == scep.SUCCESS
    assert reply.leaf.subject.rfc4514_string() == "O=Example,CN=transport"
    assert extension(reply.leaf, x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName) == ["device.example"]
    assert pki.verifies(reply.leaf, server.services[0].pki)
    line = server.transaction_line(spec.txid)
    assert "PKCSReq" in line or "PKIOperation" in line
    assert "127.0.0.1" in line and "transport" in line


@pytest.mark.conformance("8894-58", "apple-13")
def test_certificate_is_what_the_built_in_template_says(server, keys):
    reply = server.enroll(keys[0], subject="CN=profile", extensions=[
        scep.extension("2.5.29.19", der.seq(der.boolean(True)), True),          # wants to be a CA
        scep.extension("2.5.29.37", der.seq(der.oid("1.3.6.1.5.5.7.3.1"))),     # wants serverAuth
        scep.extension("1.3.6.1.4.1.311.20.2", der.string("SubCA", der.BMP)),
        scep.extension("1.2.3.4.5", b"\x05\x00")])
    leaf = reply.leaf
    assert extension(leaf, x509.BasicConstraints).value.ca is False
    usage = extension(leaf, x509.KeyUsage).value
    assert usage.digital_signature and usage.key_encipherment
    assert not usage.key_cert_sign and not usage.crl_sign
    assert list(extension(leaf, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    known = {"basicConstraints", "keyUsage", "extendedKeyUsage", "subjectKeyIdentifier",
             "authorityKeyIdentifier", "subjectAltName", "cRLDistributionPoints", "authorityInfoAccess"}
    assert {e.oid._name for e in leaf.extensions} <= known
    assert leaf.serial_number.bit_length() <= 127 and leaf.serial_number > 2 ** 64
    assert leaf.signature_hash_algorithm.name != "sha1"
    now = datetime.datetime.utcnow()
    assert now - datetime.timedelta(minutes=15) < leaf.not_valid_before < now - datetime.timedelta(minutes=5)
    assert datetime.timedelta(days=360) < leaf.not_valid_after - now < datetime.timedelta(days=366)
    ca = server.services[0].pki.load("ca.pem")
    assert leaf.issuer == ca.subject
    assert extension(leaf, x509.AuthorityKeyIdentifier).value.key_identifier == \
        extension(ca, x509.SubjectKeyIdentifier).value.digest
    assert extension(leaf, x509.SubjectKeyIdentifier).value == \
        x509.SubjectKeyIdentifier.from_public_key(leaf.public_key())


@pytest.mark.conformance("windows-5")
def test_not_before_skew(module_factory, keys):
    """For devices whose clock is hours behind."""
    server = module_factory.httpd([conf.Service(pki.make()).add("ScepNotBeforeSkew 3h")]).start()
    age = datetime.datetime.utcnow() - server.enroll(keys[0]).leaf.not_valid_before
    assert datetime.timedelta(hours=2, minutes=59) < age < datetime.timedelta(hours=3, minutes=5)


@pytest.mark.parametrize("cipher", ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "3des"])
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.conformance("8894-12", "8894-42")
def test_reply_mirrors_algorithms(server, keys, cipher, digest):
    reply = server.enroll(keys[0], cipher=cipher, digest=digest)
    assert (reply.cipher, reply.digest) == (cipher, digest)


SHAPES = {
    "indefinite": dict(ber="indefinite"),
    "indefinite, PKCS#7 1.5": dict(ber="indefinite", bare=True),
    "PKCS#7 1.5 content": dict(bare=True),
    "recipient by SKI": dict(recipient_id="ski"),
    "recipient by SKI as TLV": dict(recipient_id="ski-tlv"),
    "signer by SKI": dict(sid="ski"),
    "X.509 v1 signer": dict(signer_version=1),
    "v1 signer, SHA-1": dict(signer_version=1, signer_digest="sha1", signer_subject="unstructuredName=router"),
    "v1 signer, MD5": dict(signer_version=1, signer_digest="md5"),
    "no signingTime": dict(signing_time=False),
    "signingTime of 1993": dict(signing_time=datetime.datetime(1993, 3, 1)),
    "signer named as the subject": dict(signer_subject="CN=device"),
    "signer without a name": dict(signer_subject=""),
    "OAEP": dict(transport="oaep"),
    "no NULL parameters": dict(null_params=False),
    "content type envelopedData": dict(enveloped_type=scep.OID_ENVELOPED),
    "nonce of 8 bytes": dict(sender_nonce=b"\x01" * 8),
    "nonce of 32 bytes": dict(sender_nonce=b"\x02" * 32),
    "txid base64": dict(txid="qOT/zTL+h4x/rb5yJ2sMPb4ZXd8="),
    "txid with a space": dict(txid="SSCEP transactionId"),
    "txid lower case": dict(txid="ab" * 20),
    "txid long": dict(txid="0123456789" * 20),
    "challenge UTF8String": dict(challenge_tag=der.UTF8),
    "challenge T61String": dict(challenge_tag=der.T61),
    "challenge IA5String": dict(challenge_tag=der.IA5),
    "challenge BMPString": dict(challenge_tag=der.BMP),
    "attributes unsorted": dict(sort=False),
    "further attribute": dict(extra=[der.seq(der.oid("1.2.3.4"), der.tlv(der.SET, der.integer(1)))]),
    "three attributes": dict(subject="CN=x,OU=Devices,serialNumber=17"),
    "CSR signed SHA-512": dict(csr_digest="sha512"),
    "CSR signed SHA-1": dict(csr_digest="sha1"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.conformance("8894-4", "8894-18", "8894-24", "field-3", "field-4", "field-5", "digi-1", "windows-5")
def test_shapes(server, keys, shape):
    server.enroll(keys[1], **SHAPES[shape])


def test_empty_subject(factory, keys):
    """Allowed by a template that says so; the SAN is critical then."""
    service = conf.Service(pki.make()).add("ScepLocalTemplate Bare emptySubject=on",
                                           "ScepTemplate general Bare")
    server = factory.httpd([service])
    if server.configtest()[0] != 0:
        pytest.skip("the local template has no emptySubject")
    leaf = server.start().enroll(keys[0], subject="", extensions=[scep.san_extension(["only.example"])]).leaf
    assert extension(leaf, x509.SubjectAlternativeName).critical


@pytest.mark.conformance("field-3")
def test_several_recipients(server, keys):
    """Ours need not be the first."""
    client = server.client()
    client.cacert()
    foreign = scep.self_signed(keys[3], "CN=somebody else")
    reply = client.enroll(keys[0], server.challenge(), recipient=[foreign, client.encrypter])
    assert reply.status == scep.SUCCESS


@pytest.mark.conformance("8894-3")
def test_signer_comes_with_its_chain(server, keys):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    spec.certificates = [scep.self_signed(keys[2], "CN=unrelated"), spec.signer_cert]
    assert client.transact(spec).status == scep.SUCCESS


@pytest.mark.conformance("8894-4", "8894-10")
def test_signer_key_is_not_the_csrs(server, keys):
    """A self-signed signer proves nothing but that it has the CSR's key."""
    reply = server.client().enroll(keys[0], server.challenge(), signer_key=keys[1])
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_MESSAGE_CHECK)


@pytest.mark.conformance("8894-10")
def test_a_recorded_envelope_is_of_no_use(server, keys):
    """A stranger sends somebody's envelope under a signer of his own, whatever its names say."""
    client = server.client()
    victim = client.spec(key=keys[0], challenge=server.challenge(), subject="CN=victim")
    for issuer in (None, "CN=Nobody CA", "CN=victim"):
        thief = client.spec(key=keys[0], csr=victim.csr, signer_key=keys[1], signer_cert=scep.self_signed(
            keys[1], "CN=thief", issuer=issuer))
        reply = client.transact(thief)
        assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_MESSAGE_CHECK)
        assert "signer-key" in server.transaction_line(thief.txid)
    assert client.transact(victim).status == scep.SUCCESS


def test_control_character_in_the_subject(server, keys):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge(), subject="CN=line\nbreak")
    assert client.transact(spec).status == scep.FAILURE
    assert "template-subject" in server.transaction_line(spec.txid)


@pytest.mark.parametrize("kind", ["rsa3072", "rsa4096"])
@pytest.mark.conformance("chromeos-1")
def test_keys(server, kind):
    server.enroll(pki.key("other", kind))


@pytest.mark.conformance("strongswan-5")
def test_ec_ca(module_factory, keys):
    server = module_factory.httpd([conf.Service(pki.make("root", "ec"))]).start()
    leaf = server.enroll(keys[0]).leaf
    assert pki.verifies(leaf, server.services[0].pki)


def test_without_ra(module_factory, keys):
    server = module_factory.httpd([conf.Service(pki.make(), ra=False)]).start()
    server.enroll(keys[0])


def test_intermediate(module_factory, keys):
    server = module_factory.httpd([conf.Service(pki.make("intermediate"))]).start()
    reply = server.enroll(keys[0])
    assert len(reply.issued) == 1
    assert pki.verifies(reply.leaf, server.services[0].pki)


@pytest.mark.conformance("8894-32", "cisco-7")
def test_include_ca(module_factory, keys):
    service = conf.Service(pki.make("intermediate")).add("ScepIncludeCA on")
    server = module_factory.httpd([service]).start()
    issued = server.enroll(keys[0]).issued
    assert issued[1:] == [pki.der_of(service.pki.load("ca.pem"))]


def test_older_decryption_key(module_factory, keys):
    """A device that knows the last generation's RA certificate."""
    folder, old_key = pki.make(), pki.key("ra-enc-old")
    ca, ca_key = folder.load("ca.pem"), scep.load_key(folder.path("ca.key"))
    old = pki.certificate("Old RA encryption", old_key, ca, ca_key, usage=("key_encipherment",))
    files = pki.Pki(env.folder("old"))
    service = conf.Service(folder).add("ScepRAEncryptionCertificate %s %s" % (
        files.write("old.pem", pki.pem_of(old)), files.write("old.key", pki.pem(old_key))))
    server = module_factory.httpd([service]).start()
    client = server.client()
    client.cacert()
    assert pki.der_of(old) not in client.ca_certificates
    for recipient_id in ("issuer", "ski"):
        assert client.enroll(keys[0], server.challenge(), recipient=pki.der_of(old),
                             recipient_id=recipient_id).status == scep.SUCCESS
    assert client.enroll(keys[0], server.challenge()).status == scep.SUCCESS


def quoted(text):
    return urllib.parse.quote(text, safe="")


BASE64 = {
    "strict": quoted,
    "only = escaped": lambda t: t.replace("=", "%3D"),
    "raw + / =": lambda t: t,
    "%2B lower case": lambda t: quoted(t).replace("%2B", "%2b").replace("%2F", "%2f"),
    "+ as %20": lambda t: quoted(t).replace("%2B", "%20"),
    "%0A each 64": lambda t: "%0A".join(quoted(t[i:i + 64]) for i in range(0, len(t), 64)) + "%0A",
    "Cisco's tail": lambda t: "%0A".join(quoted(t[i:i + 64]) for i in range(0, len(t), 64)).rstrip("%3D")
                              + quoted("=" * (-len(t.rstrip("=")) % 4)) + "%0A",
    "CRLF each 76": lambda t: "%0D%0A".join(quoted(t[i:i + 76]) for i in range(0, len(t), 76)),
    "base64url": lambda t: t.replace("+", "-").replace("/", "_").replace("=", "%3D"),
    "base64url without padding": lambda t: t.replace("+", "-").replace("/", "_").rstrip("="),
    "no padding": lambda t: quoted(t.rstrip("=")),
    "everything escaped": lambda t: "".join("%%%02X" % ord(c) for c in t),
}


@pytest.mark.parametrize("form", BASE64)
@pytest.mark.conformance("8894-44", "cisco-2", "apple-9", "micromdm-3", "field-2")
def test_get_base64_forms(server, keys, form):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    for _ in range(40):     # a text that has +, / and padding
        text = base64.b64encode(spec.build()).decode()
        if "+" in text and "/" in text and text.endswith("="):
            break
        spec.extra = [der.seq(der.oid("1.2.3.4"), der.tlv(der.SET, der.octets(b"x" * (_ + 1))))]
    response = client.get("PKIOperation", BASE64[form](text))
    assert client.reply(response, spec).status == scep.SUCCESS


def test_get_parameters_in_any_order(server, keys):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    text = quoted(base64.b64encode(spec.build()).decode())
    response = client.http.request("GET", client.path + "?message=%s&operation=PKIOperation" % text)
    assert client.reply(response, spec).status == scep.SUCCESS


@pytest.mark.conformance("field-1")
def test_long_get(server):
    """RSA-4096: about 6 kB of query."""
    key = pki.key("other", "rsa4096")
    client = server.client()
    spec = client.spec(key=key, challenge=server.challenge())
    assert client.transact(spec, method="GET").status == scep.SUCCESS


@pytest.mark.parametrize("headers", [[], [("Content-Type", "")], [("Content-Type", "application/octet-stream")],
                                     [("Content-Type", "application/x-www-form-urlencoded")]])
@pytest.mark.conformance("8894-47", "strongswan-2", "sscep-2")
def test_post_content_types(server, keys, headers):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    assert client.transact(spec, headers=headers).status == scep.SUCCESS


@pytest.mark.parametrize("query", ["", "?", "?operation=pkioperation", "?operation=PKIOperation&message="])
@pytest.mark.conformance("8894-47")
def test_post_without_or_odd_operation(server, keys, query):
    """RFC 8894 section 4.3: a POST is a PKIOperation."""
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    response = client.http.request("POST", client.path + query, (), spec.build())
    assert client.reply(response, spec).status == scep.SUCCESS


def test_expect_100_continue(server, keys):
    client = server.client(keep_alive=False)
    spec = client.spec(key=keys[0], challenge=server.challenge())
    assert client.transact(spec, headers=[("Expect", "100-continue")]).status == scep.SUCCESS


@pytest.mark.parametrize("path", ["/CertSrv/MSCEP/mscep.dll/pkiclient.exe", "/certsrv/mscep", "/certsrv/mscep/"])
@pytest.mark.conformance("8894-43", "windows-1")
def test_spellings(server, keys, path):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    assert client.transact(spec, path=path).status == scep.SUCCESS


def test_templates_by_key_usage(module_factory, keys):
    service = conf.Service(pki.make()).add(
        "ScepLocalTemplate Sig keyUsage=digitalSignature validity=10d",
        "ScepLocalTemplate Enc keyUsage=keyEncipherment validity=20d",
        "ScepLocalTemplate Gen keyUsage=digitalSignature,keyEncipherment validity=30d",
        "ScepTemplate signature Sig", "ScepTemplate encryption Enc", "ScepTemplate general Gen")
    server = module_factory.httpd([service]).start()
    for bits, days in ((0x80, 10), (0x20, 20), (0xA0, 30), (None, 30)):
        extensions = [scep.key_usage_extension(bits)] if bits else []
        leaf = server.enroll(keys[0], extensions=extensions).leaf
        usage = extension(leaf, x509.KeyUsage).value
        assert usage.digital_signature == (days != 20) and usage.key_encipherment == (days != 10)
        assert abs((leaf.not_valid_after - datetime.datetime.utcnow()).days - days) <= 1


# Challenges

def challenge_refusal(server, reply):
    assert reply.status == scep.FAILURE
    assert reply.fail_info == scep.BAD_REQUEST
    return reply.fail_text


@pytest.mark.smoke
@pytest.mark.conformance("8894-7", "8894-54")
def test_challenge_is_spent_once(server, keys):
    challenge = server.challenge()
    server.enroll(keys[0], challenge=challenge)
    client = server.client()
    spec = client.spec(key=keys[1], challenge=challenge)
    challenge_refusal(server, client.transact(spec))
    assert "challenge-used" in server.transaction_line(spec.txid)


@pytest.mark.smoke
@pytest.mark.conformance("8894-29", "8894-52", "jscep-5")
def test_resend_gives_the_same_certificate(server, keys):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    first, second = client.transact(spec), client.transact(spec)
    spec.sender_nonce = hashlib.sha256(b"another").digest()[:16]
    third = client.transact(spec, method="GET")
    assert first.leaf == second.leaf == third.leaf
    assert len({first.sender_nonce, second.sender_nonce, third.sender_nonce}) == 3


def test_used_by_the_same_device_with_another_csr(server, keys):
    """The same transactionID and key, another request: that is no resend."""
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge())
    assert client.transact(spec).status == scep.SUCCESS
    again = client.spec(key=keys[0], challenge=spec.challenge, txid=spec.txid, subject="CN=other")
    assert client.transact(again).status == scep.FAILURE


def test_refusals_differ_in_the_log_only(module_factory, keys):
    """One wording for wrong, used, expired and burned."""
    service = conf.Service(pki.make()).add("ScepChallengeLifetime 2s", "ScepChallengeAttempts 2",
                                           "ScepLocalTemplate default minimumKey=2048")
    server = module_factory.httpd([service]).start()
    client = server.client()
    used, expired = server.challenge(), server.challenge()
    server.enroll(keys[0], challenge=used)
    time.sleep(2.5)
    said = {}
    for reason, challenge in (("unknown", "0123456789ABCDEF"), ("expired", expired)):
        spec = client.spec(key=keys[1], challenge=challenge)
        reply = client.transact(spec)
        said[reason] = (challenge_refusal(server, reply), reply.hresult)
        assert "challenge-" + reason in server.transaction_line(spec.txid)
    assert said["unknown"] == said["expired"]
    assert said["unknown"][1] == 0x80070490


@pytest.mark.parametrize("challenge", [None, ""])
@pytest.mark.conformance("8894-8", "field-4")
def test_challenge_missing(server, keys, challenge):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=challenge)
    reply = client.transact(spec)
    challenge_refusal(server, reply)
    assert reply.hresult == 0x80096004
    assert "challenge-missing" in server.transaction_line(spec.txid)


def test_challenge_burns_after_attempts(module_factory, keys):
    """Three refused requests with a right challenge, then it is of no use any more."""
    service = conf.Service(pki.make()).add("ScepChallengeAttempts 3")
    server = module_factory.httpd([service]).start()
    client = server.client()
    challenge = server.challenge()
    small = pki.key("small", "rsa1024")
    for _ in range(3):
        assert client.enroll(small, challenge).status == scep.FAILURE
    spec = client.spec(key=keys[0], challenge=challenge)
    challenge_refusal(server, client.transact(spec))
    assert "challenge-burned" in server.transaction_line(spec.txid)


def test_challenge_survives_a_refusal(server, keys):
    """Two refusals do not burn it."""
    client = server.client()
    challenge = server.challenge()
    small = pki.key("small", "rsa1024")
    for _ in range(2):
        assert client.enroll(small, challenge).status == scep.FAILURE
    assert client.enroll(keys[0], challenge).status == scep.SUCCESS


@pytest.mark.parametrize("uses", [3, "unlimited"])
@pytest.mark.conformance("chromeos-3")
def test_challenge_uses(module_factory, keys, uses):
    service = conf.Service(pki.make()).add("ScepChallengeUses %s" % uses)
    server = module_factory.httpd([service]).start()
    client = server.client()
    challenge = server.challenge()
    results = [client.enroll(keys[n % 4], challenge, subject="CN=d%d" % n).status for n in range(5)]
    wanted = [scep.SUCCESS] * (5 if uses == "unlimited" else 3)
    assert results == wanted + [scep.FAILURE] * (5 - len(wanted))


def test_challenge_of_another_service(module_factory, keys):
    """Services do not share challenges."""
    one, two = conf.Service(pki.make()), conf.Service(pki.make(), "lab", "/lab")
    server = module_factory.httpd([one, two]).start()
    client = server.client(1)
    assert client.enroll(keys[0], server.challenge(0)).status == scep.FAILURE
    assert client.enroll(keys[0], server.challenge(1)).status == scep.SUCCESS


def test_policy_none(module_factory, keys):
    service = conf.Service(pki.make()).add("ScepPolicy none")
    server = module_factory.httpd([service])
    server.expect(r"SCEP\d+.*(challenge|policy)")
    server.start()
    assert server.client().enroll(keys[0], None).status == scep.SUCCESS


@pytest.mark.conformance("8894-13")
def test_legacy_algorithms_off(module_factory, keys):
    server = module_factory.httpd([conf.Service(pki.make()).add("ScepLegacyAlgorithms none")]).start()
    client = server.client()
    challenge = server.challenge()
    for fields in (dict(cipher="3des"), dict(digest="sha1")):
        reply = client.enroll(keys[0], challenge, **fields)
        assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_ALG)
        assert reply.digest == "sha256"
    assert client.enroll(keys[0], challenge).status == scep.SUCCESS


def test_one_transaction_line(server, keys):
    client = server.client()
    spec = client.spec(key=keys[0], challenge=server.challenge(), subject="CN=one line")
    client.send(spec.build(), headers=[("User-Agent", "agent/1.0 \"x\"")])
    server.transaction_line(spec.txid)
    lines = [line for line in server.log.lines(spec.txid) if ":info]" in line]
    assert len(lines) == 1
    assert "agent/1.0" in lines[0] and "success" in lines[0]
    access = env.wait_until(lambda: [line for line in (server.folder / "access_log").read_text().splitlines()
                                     if spec.txid in line])
    assert "result=success" in access[0]
