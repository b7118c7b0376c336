# SPDX-License-Identifier: Apache-2.0
"""The symptoms of docs/troubleshooting.md by their numbers: each function provokes some."""
import datetime
import json
import re
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes

import approval
import conf
import env
import habits
import pki
import scep_client as scep
from test_235_admin_tls import credentials
from test_300_stores import secret_file
from troubleshooting import HEADERS, World, agrees
from webhook import Webhook

READY = '<Location "/ready">\n    SetHandler scep-ready\n</Location>\n'
SIGN = [scep.key_usage_extension(0x80)]
SYMPTOMS = {}               # number: function


def symptom(*numbers):
    def register(function):
        for number in numbers:
            assert number not in SYMPTOMS
            SYMPTOMS[number] = function
        return function
    return register


# What NDES' guides know ------------------------------------------------------------------------------

@symptom("1")
def browser(world, factory):
    assert world.get("/certsrv/mscep/mscep.dll").status == 200
    other = factory.httpd([conf.Service(pki.make()).add("ScepInfoPage off")]).start()
    assert World(other, world.keys).get("/certsrv/mscep/mscep.dll").status == 403
    world.evidence.add("HTTP 403")


@symptom("2", "40")
def ra_certificate_expired(world, factory, folder):
    key = pki.key("trouble-ra")
    chain = pki.make()
    expired = pki.certificate("Old RA", key, chain.load("ca.pem"), pki.key("ca-root"),
                              usage=("digital_signature",), days=-1, since=-30)
    folder.write("expired.pem", pki.pem_of(expired))
    folder.write("expired.key", pki.pem(key))
    configtest(world, factory, "ScepRASigningCertificate %s %s" % (folder.path("expired.pem"),
                                                                   folder.path("expired.key")), "SCEP045", 1)


def configtest(world, factory, line, announced, status):
    """httpd -t of a right service with one other line."""
    service = conf.Service(pki.make()).set(*line.split(" ", 1))
    server = factory.httpd([service])
    server.expect(announced)
    code, text = server.configtest()
    assert code == status, text
    world.evidence.add(text)


@symptom("3", "44")
def ca_away(world, ca):
    ca("mode=retry")
    world.server.expect("SCEP03")
    challenge = world.challenge()
    assert world.enroll(challenge=challenge, extensions=SIGN) is None
    world.ready()
    ca("mode=issued")
    assert world.enroll(challenge=challenge, extensions=SIGN).status == scep.SUCCESS


@symptom("4")
def too_long(world, factory):
    service = conf.Service(pki.make())
    server = factory.httpd([service], server=conf.Lines(
        "LimitRequestLine 8190", "ScepAuditLog audit.log", "ScepPolicyLog policy.log"))
    server.expect("SCEP047", "AH00565")
    server.start()
    other = World(server, world.keys)
    other.get("/certsrv/mscep/mscep.dll?operation=PKIOperation&message=" + "A" * 9000)
    other.evidence.response(server.connection().request(
        "POST", "/certsrv/mscep/mscep.dll?operation=PKIOperation", HEADERS, b"x" * 70000))
    world.evidence.add(other.evidence.text(), server.log.text())


POINT = ('Listen 127.0.0.1:%d\n<VirtualHost 127.0.0.1:%d>\nSSLEngine on\nSSLCertificateFile %s\n'
         'SSLVerifyClient optional_no_ca\nSSLCACertificateFile %s\n'
         '<Location "/CertificateRegistrationSvc">\nRequire ssl-verify-client\n</Location>\n</VirtualHost>\n')


def ask_point(world, factory, port, ca_file, own):
    """A front enrolls by a registration point at that port; own: the folder of its certificate."""
    service = conf.Service(pki.make()).add(
        "ScepPolicy registration-point url=https://localhost:%d/CertificateRegistrationSvc certificate=%s key=%s "
        "caFile=%s" % (port, own / "client.pem", own / "client.key", ca_file))
    front = factory.httpd([service], server=conf.Lines("ScepAuditLog audit.log", "ScepPolicyLog policy.log"))
    front.expect("SCEP0290")
    other = World(front.start(), world.keys)
    other.enroll(challenge="whatever")
    world.evidence.add(other.evidence.text())
    for line in other.evidence.audit():
        agrees(line)


@symptom("5")
def name_of_the_point_is_another(world, factory):
    other = Webhook("wrong-name")
    ask_point(world, factory, other.port, other.folder / "ca.pem", other.folder)
    other.stop()


@symptom("6")
def certificate_that_the_point_does_not_trust(world, factory, hook):
    port = env.free_port()
    names = credentials()
    point = factory.httpd(admin=False, modules=("socache_shmcb", "ssl"), server=conf.Lines(
        "SSLSessionCache shmcb:cache(65536)"), locations=[POINT % (port, port, names["server"], names["ca"])])
    point.expect("AH02039", "AH01630", "AH02276")
    point.start()
    ask_point(world, factory, port, names["ca"], hook.folder)


@symptom("7")
def sealed_with_another_key(world, factory, folder):
    servers = []
    for name in ("seal-1", "seal-2"):
        folder.write(name + ".pem", pki.pem_of(pki.certificate(name, pki.key(name), usage=(
            "digital_signature", "key_encipherment"))), 0o644)
        folder.write(name + ".key", pki.pem(pki.key(name)))
        service = conf.Service(pki.make()).add("ScepPolicy sealed certificate=%s key=%s" % (
            folder.path(name + ".pem"), folder.path(name + ".key")))
        servers.append(factory.httpd([service], server=conf.Lines(
            "ScepAuditLog audit.log", "ScepPolicyLog policy.log")).start())
    other = World(servers[0], world.keys)
    other.enroll(challenge=servers[1].challenge())
    world.evidence.add(other.evidence.text())
    for line in other.evidence.audit():
        agrees(line)


@symptom("8")
def other_subject(world):
    query = "?operation=NDESGenerateChallenge&params=" + urllib.parse.quote(json.dumps(
        {"subject": "CN=laptop-17", "device": "laptop-17", "user": "anna"}))
    world.enroll(challenge=world.challenge(query=query), subject="CN=laptop-71", extensions=SIGN)


@symptom("9")
def thumbprints(world):
    world.evidence.add(world.server.log.text())
    for certificate in world.client().cacert():
        sha1 = x509.load_der_x509_certificate(certificate).fingerprint(hashes.SHA1()).hex().upper()
        if b"Test CA" in x509.load_der_x509_certificate(certificate).subject.public_bytes():
            world.evidence.add(sha1)
            assert re.search("SCEP0471: .*CA certificate .*SHA-1 thumbprint " + sha1, world.server.log.text())


@symptom("10")
def expired(world):
    challenge = world.challenge("short")
    time.sleep(1.2)
    world.enroll("short", challenge=challenge)


@symptom("11")
def cache_full(world):
    world.challenge("full")
    response = world.get("/full/mscep_admin", [("Authorization", conf.authorization())])
    assert response.status == 200
    world.get("/full/mscep_admin", [("Authorization", conf.authorization()), ("Accept", "application/json")])


@symptom("12")
def ca_refuses(world, ca):
    ca("mode=rejected")
    world.enroll(challenge=world.challenge(), extensions=SIGN)


@symptom("13")
def news_are_stuck(world, factory):
    hook = Webhook()
    hook.thanks = (500, (), {})
    service = conf.Service(pki.make()).add(hook.policy("challengeRequired=off"), "ScepStatusDirectory crs")
    server = factory.httpd([service], locations=[approval.LOCATION]).start()
    server.expect("SCEP0285")
    other = World(server, world.keys)
    assert other.enroll().status == scep.SUCCESS
    server.log.wait("SCEP0285")
    other.get("/status", approval.HEADERS)
    folders = [path.parent.name for path in (server.folder / "crs").rglob("*.CRS")]
    hook.allow()
    server.log.wait("SCEP0286", 60)
    world.evidence.add(other.evidence.text(), *folders)
    hook.stop()


@symptom("14")
def no_root(world, factory, folder):
    chain = pki.make("intermediate")
    folder.write("issuing-only.pem", pki.pem_of(chain.load("ca.pem")), 0o644)
    service = conf.Service(chain).set("ScepCAChain", folder.path("issuing-only.pem"))
    server = factory.httpd([service])
    server.expect("SCEP045")
    status, text = server.configtest()
    assert status == 0
    world.evidence.add(text)


@symptom("15")
def crl_named(world, factory, folder):
    chain, key = pki.make(), pki.key("trouble-ra")
    point = x509.DistributionPoint([x509.UniformResourceIdentifier("http://crl.example/ca.crl")], None, None, None)
    now = datetime.datetime.utcnow()
    made = (x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(
        x509.NameOID.COMMON_NAME, "RA with CRL")])).issuer_name(chain.load("ca.pem").subject)
            .public_key(key.public_key()).serial_number(4711).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=300))
            .add_extension(x509.KeyUsage(**{u: u == "digital_signature" for u in pki._USAGES}), True)
            .add_extension(x509.CRLDistributionPoints([point]), False).sign(pki.key("ca-root"), hashes.SHA256()))
    folder.write("crl-ra.pem", pki.pem_of(made))
    folder.write("crl-ra.key", pki.pem(key))
    configtest(world, factory, "ScepRASigningCertificate %s %s" % (folder.path("crl-ra.pem"),
                                                                   folder.path("crl-ra.key")), "SCEP045", 0)


@symptom("16")
def cut(world):
    client = world.client()
    spec = client.spec(key=world.keys[0], challenge=world.challenge())
    text = urllib.parse.quote(scep.base64.b64encode(spec.build()).decode(), safe="")[:2000]
    assert world.get("/certsrv/mscep/mscep.dll?operation=PKIOperation&message=" + text).status == 400


# The challenge -----------------------------------------------------------------------------------------

@symptom("17")
def unknown_challenge(world):
    world.enroll(challenge="0123456789ABCDEF", extensions=SIGN)


@symptom("18")
def used_challenge(world):
    challenge = world.challenge()
    assert world.enroll(challenge=challenge, extensions=SIGN).status == scep.SUCCESS
    world.enroll(challenge=challenge, key=world.keys[1], extensions=SIGN)


@symptom("19")
def no_challenge(world):
    world.enroll(extensions=SIGN)


@symptom("20")
def burned_challenge(world):
    challenge = world.challenge(query="?template=Enc")
    for number in range(3):
        world.enroll(challenge=challenge, key=world.keys[number], extensions=SIGN)


@symptom("21")
def held_challenge(world):
    challenge = world.challenge("manual")
    assert world.enroll("manual", challenge=challenge).status == scep.PENDING
    client, spec = world.last
    world.enroll("manual", challenge=challenge, key=world.keys[1])
    assert approval.decide(world.server, spec.txid, "deny", "test", "manual") == 200


@symptom("22")
def other_template(world):
    world.enroll(challenge=world.challenge(query="?template=Enc"), extensions=SIGN)


@symptom("23")
def too_many_failures(world):
    for number in range(3):
        world.enroll("limit", challenge="WRONG%d" % number, headers=HEADERS + [("X-Forwarded-For", "192.0.2.23")])


# Keys, algorithms, messages ----------------------------------------------------------------------------

@symptom("30")
def weak_key(world):
    world.enroll("off", key=pki.key("small", "rsa1024"), challenge=world.challenge("off"))


@symptom("31")
def short_key(world):
    world.enroll(challenge=world.challenge(), extensions=[scep.key_usage_extension(0xA0)])


@symptom("33")
def old_algorithms(world):
    client = world.client("strict")
    spec = habits.cisco(client, world.keys[0], world.challenge("strict"))
    world.evidence.reply(client.reply(world.evidence.response(
        habits.cisco_get(client, spec.build(), "/strict/mscep/mscep.dll")), spec))


@symptom("34")
def ec_key_without_challenge(world):
    world.enroll("hook", key=scep.new_ec_key())


@symptom("35")
def another_key_signs(world):
    world.enroll(signer_key=world.keys[2], challenge=world.challenge(), extensions=SIGN)


@symptom("36")
def damaged_csr(world):
    world.enroll(challenge=world.challenge(), edit={"csr": lambda csr: csr[:-1] + bytes([csr[-1] ^ 1])})


@symptom("37")
def empty_subject(world):
    world.enroll("short", challenge=world.challenge("short"), subject="")


# RA and CA ---------------------------------------------------------------------------------------------

@symptom("41")
def ra_without_usage(world, factory, folder):
    key, chain = pki.key("trouble-ra"), pki.make()
    folder.write("no-usage.pem", pki.pem_of(pki.certificate(
        "RA without usage", key, chain.load("ca.pem"), pki.key("ca-root"), usage=("key_encipherment",))))
    folder.write("no-usage.key", pki.pem(key))
    configtest(world, factory, "ScepRASigningCertificate %s %s" % (folder.path("no-usage.pem"),
                                                                   folder.path("no-usage.key")), "SCEP045", 1)


@symptom("42")
def ra_key_of_another(world, factory):
    chain = pki.make()
    configtest(world, factory, "ScepRASigningCertificate %s %s" % (chain.path("ra-sign.pem"),
                                                                   chain.path("ra-enc.key")), "SCEP045", 1)


@symptom("43")
def encrypted_to_an_old_ra(world):
    world.enroll(challenge=world.challenge(), recipient=scep.self_signed(world.keys[3], "CN=Old RA"))


@symptom("45")
def ca_answers_nonsense(world, ca):
    ca("mode=wrong-key")
    world.server.expect("SCEP0300")
    world.enroll(challenge=world.challenge(), extensions=SIGN)


@symptom("46")
def stale_crl(world):
    world.server.expect("SCEP032")
    old = world.server.enroll(world.keys[0], world.number("corp"), extensions=SIGN).leaf
    client = world.client("stale")
    world.send(client, client.renewal_spec(world.keys[1], pki.der_of(old), world.keys[0]))
    world.ready()


# Renewal, clocks ---------------------------------------------------------------------------------------

def in_use(world, days, since):
    return pki.der_of(pki.certificate("device", world.keys[0], pki.make().load("ca.pem"), pki.key("ca-root"),
                                      days=days, since=since, usage=("digital_signature",)))


def renew(world, certificate, name="short", **fields):
    client = world.client(name)
    world.send(client, client.renewal_spec(world.keys[1], certificate, world.keys[0], **fields))


@symptom("50")
def expired_certificate(world):
    renew(world, in_use(world, -2, -100))


@symptom("51")
def renewal_of_another_name(world):
    renew(world, in_use(world, 20, -100), subject="CN=somebody else")


@symptom("52")
def early_renewal(world):
    renew(world, in_use(world, 200, -100), "window")


@symptom("53")
def renewal_is_off(world):
    renew(world, in_use(world, 20, -100), "off")


@symptom("54")
def renewal_by_a_stranger(world):
    renew(world, pki.der_of(pki.certificate("device", world.keys[0], pki.make("intermediate").load("ca.pem"),
                                            pki.key("ca-intermediate"), usage=("digital_signature",))))


@symptom("55")
def clock_of_the_server_is_late(world):
    renew(world, in_use(world, 200, 3))


@symptom("56")
def backdated(world):
    reply = world.enroll("short", challenge=world.challenge("short"))
    assert reply.leaf.not_valid_before < datetime.datetime.utcnow() - datetime.timedelta(minutes=9)


# Hosts -------------------------------------------------------------------------------------------------

@symptom("60", "61")
def hosts_and_store(world, factory):
    redis = factory.redis()

    def host(secret):
        return factory.httpd(server=conf.Lines(
            "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret, "ScepAuditLog audit.log"),
                             locations=[READY])
    first, second = host(secret_file(env.folder("secret"))).start(), host(secret_file(env.folder("secret")))
    second.expect("SCEP0461", "SCEP0201", "SCEP0210")
    second.start()
    second.log.wait("SCEP0461")
    other = World(second, world.keys)
    other.enroll(challenge=first.challenge())
    challenge = second.challenge()
    redis.stop()
    other.enroll(challenge=challenge)
    other.ready()
    other.get("/certsrv/mscep_admin", [("Authorization", conf.authorization())])
    world.evidence.add(other.evidence.text(), second.log.text())
    for line in other.evidence.audit():
        agrees(line)


@symptom("62")
def behind_a_proxy(world, factory):
    server = factory.httpd(server=conf.Lines("ScepFailureLimit 1 1h", "ScepAuditLog audit.log")).start()
    other = World(server, world.keys)
    for number in (1, 2):
        other.enroll(challenge="WRONG", headers=HEADERS + [("X-Forwarded-For", "192.0.2.%d" % number)])
    assert {line["client"] for line in other.evidence.audit()} == {"127.0.0.1"}
    world.evidence.add(other.evidence.text())


# HTTP --------------------------------------------------------------------------------------------------

@symptom("65")
def http10(world):
    client = world.client()
    spec = client.spec(key=world.keys[0], challenge=world.challenge(), extensions=SIGN, digest="sha1", cipher="3des")
    world.evidence.reply(client.reply(world.evidence.response(habits.cisco_get(client, spec.build())), spec))


@symptom("66")
def content_type(world, factory):
    server = factory.httpd(server=conf.Lines("AddDefaultCharset utf-8")).start()
    assert server.client().get("GetCACert").header("Content-Type") == "application/x-x509-ca-ra-cert"
    assert World(server, world.keys).get("/certsrv/mscep/mscep.dll?operation=GetCACert").status == 200
    world.enroll(challenge=world.challenge(), extensions=SIGN, headers=())
    world.get("/certsrv/mscep/mscep.dll?operation=GetCACert")


# The admin page ----------------------------------------------------------------------------------------

@symptom("70")
def wrong_password(world):
    world.server.expect("AH01617")
    world.get("/certsrv/mscep_admin", [("Authorization", conf.authorization(password="wrong"))])


@symptom("71")
def unguarded(world):
    world.server.expect("SCEP0433")
    world.get("/bare/mscep_admin")


@symptom("72")
def not_permitted(world):
    world.get("/few/mscep_admin", [("Authorization", conf.authorization())])


@symptom("73")
def not_permitted_for_the_template(world):
    world.get("/rules/mscep_admin", [("Authorization", conf.authorization())])


@symptom("74")
def prefetched(world):
    world.get("/certsrv/mscep_admin", [("Authorization", conf.authorization()), ("Sec-Purpose", "prefetch")])
    world.get("/certsrv/mscep_admin", [("Authorization", conf.authorization()), ("Sec-Fetch-Site", "cross-site")])


@symptom("75")
def bad_params(world):
    world.get("/certsrv/mscep_admin?operation=NDESGenerateChallenge&params=%7B%22subjekt%22%3A%22CN%3Da%22%7D",
              [("Authorization", conf.authorization())])
    world.get("/static/mscep_admin?operation=NDESGenerateChallenge&params=%7B%22subject%22%3A%22CN%3Da%22%7D",
              [("Authorization", conf.authorization())])


# Approval ----------------------------------------------------------------------------------------------

@symptom("80", "81", "82", "83")
def approvals(world):
    first = world.enroll("manual", challenge=world.challenge("manual"))
    assert first.status == scep.PENDING
    client, spec = world.last
    world.enroll("manual", challenge=world.challenge("manual"), key=world.keys[1])
    assert approval.decide(world.server, spec.txid, "deny", "unknown device", "manual") == 200
    world.send(client, client.poll_spec(spec))
    world.send(client, client.poll_spec(spec, txid="NEVER-SEEN"))


@symptom("84")
def sent_again(world):
    client = world.client()
    spec = client.spec(key=world.keys[0], challenge=world.challenge(), extensions=SIGN)
    assert world.send(client, spec).leaf == world.send(client, spec).leaf


# Other policies ----------------------------------------------------------------------------------------

@symptom("90")
def webhook_says_nothing(world, hook):
    world.server.expect("SCEP022")
    hook.answer = (500, (), {})
    world.enroll("hook")
    hook.allow()


@symptom("91")
def webhook_says_no(world, hook):
    hook.answer = (200, (), {"allow": False, "reason": "not enrolled in the management", "text": "Not one of ours."})
    world.enroll("hook")
    hook.allow()


@symptom("92")
def name_of_the_service_is_another(world, factory):
    other = Webhook("wrong-name")
    server = factory.httpd([conf.Service(pki.make()).add(other.policy("challengeRequired=off"))]).start()
    server.expect("SCEP022")
    World(server, world.keys).enroll()
    world.evidence.add(server.log.text())
    other.stop()


@symptom("93")
def the_service_wants_a_certificate(world, factory):
    other = Webhook(mutual=True)
    server = factory.httpd([conf.Service(pki.make()).add(other.policy("challengeRequired=off"))]).start()
    server.expect("SCEP022")
    World(server, world.keys).enroll()
    world.evidence.add(server.log.text())
    other.stop()


@symptom("94")
def intune_says_no(world, cloud):
    cloud.answers["validateRequest"] = (200, (), {"code": "SubjectNameMismatch", "errorDescription": "not the user's"})
    world.enroll("intune", challenge=cloud.challenge())
    cloud.well()


@symptom("95")
def intune_says_nothing(world, cloud):
    world.server.expect("SCEP027")
    cloud.answers["validateRequest"] = (500, (), {})
    world.enroll("intune", challenge=cloud.challenge())
    cloud.well()


@symptom("96")
def intune_is_not_told(world, cloud):
    world.server.expect("SCEP027", "SCEP012")
    cloud.answers["successNotification"] = (500, (), {})
    assert world.enroll("intune", challenge=cloud.challenge()) is None
    cloud.well()
