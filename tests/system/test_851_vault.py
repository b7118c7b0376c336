# SPDX-License-Identifier: Apache-2.0
"""ScepCABackend vault and vault-role: what the certificate becomes, logins and their ends, Vault's own troubles."""
import datetime
import json
import re
import urllib.request

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

import conf
import der
import env
import pki
import scep_client as scep
from double_vault import Vault
from webhook import Webhook

DOCUMENT = env.SOURCE / "docs" / "backends" / "vault.md"
READY = '<Location "/ready">\n    SetHandler scep-ready\n</Location>\n'
EAP = "1.3.6.1.5.5.7.3.14"
TEMPLATE = ("ScepTemplate general Wifi", "ScepTemplate signature Wifi", "ScepTemplate encryption Wifi",
            "ScepLocalTemplate Wifi validity=30d keyUsage=digitalSignature,keyAgreement "
            "extendedKeyUsage=clientAuth,%s" % EAP)


ONE_CHILD = ("StartServers 1", "ServerLimit 1", "ThreadsPerChild 16", "MaxRequestWorkers 16",
             "MinSpareThreads 1", "MaxSpareThreads 16")


@pytest.fixture(scope="module")
def vault():
    made = Vault()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def well(vault):
    vault.behave()
    vault.calls.clear()
    vault.sealed, vault.health, vault.namespace = False, 200, None
    yield


def service(vault, *more, **how):
    made = conf.Service(vault.ca, name=how.pop("name", "corp"), path=how.pop("path", "/certsrv"))
    return made.set("ScepCABackend", vault.backend(*more, **how).split(None, 1)[1]).add("ScepPolicy none")


def start(factory, *services, **how):
    made = factory.httpd(list(services), **how).start()
    made.expect("SCEP0200")
    return made


@pytest.fixture(scope="module")
def server(vault, module_factory):
    made = start(module_factory, service(vault).add(*TEMPLATE),
                 service(vault, "role=device", backend="vault-role", name="role", path="/role"))
    made.log.check()
    return made


def ask(server, key, which=0, **fields):
    client = server.client(which, keep_alive=False)
    spec = client.spec(key=key, **fields)
    response = client.send(spec.build())
    return response, client.reply(response, spec) if response.status == 200 else None


def upn(name):
    return der.implicit(0, der.oid("1.3.6.1.4.1.311.20.2.3") + der.tlv(0xA0, der.string(name, der.UTF8)), True)


def eku(*oids):
    return scep.extension("2.5.29.37", der.seq(*[der.oid(oid) for oid in oids]))


def value_of(leaf, kind):
    return leaf.extensions.get_extension_for_class(kind).value


def test_the_certificate_is_what_the_template_says(server, vault, keys):
    _, reply = ask(server, keys[0], subject="CN=printer-7,OU=Second floor,O=Example",
                   extensions=(scep.san_extension(["printer-7.example"]),))
    leaf = reply.leaf
    assert leaf.subject.rfc4514_string() in ("CN=printer-7,OU=Second floor,O=Example",
                                             "O=Example,OU=Second floor,CN=printer-7")
    assert value_of(leaf, x509.SubjectAlternativeName).get_values_for_type(x509.DNSName) == ["printer-7.example"]
    usage = value_of(leaf, x509.KeyUsage)
    assert usage.digital_signature and usage.key_agreement and not usage.key_encipherment
    assert list(value_of(leaf, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.CLIENT_AUTH, ObjectIdentifier(EAP)]
    lives = leaf.not_valid_after - leaf.not_valid_before
    assert datetime.timedelta(days=30) <= lives < datetime.timedelta(days=31)
    path, headers, body = vault.calls[-1]
    assert path == "/v1/pki/sign-verbatim" and headers["Content-Type"] == "application/json"
    assert json.loads(body)["ext_key_usage"] == []


ALLOWED = {
    "usages": [scep.key_usage_extension(0x80), eku(EAP)],
    "identifier": [scep.extension("2.5.29.14", der.octets(b"12345678901234567890"))],
    "no CA": [scep.extension("2.5.29.19", der.seq())],
}


@pytest.mark.parametrize("extensions", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_a_csr_may_ask_for(server, keys, extensions):
    assert ask(server, keys[0], extensions=extensions)[1].status == scep.SUCCESS


ASKED = {
    "server": ([eku("1.3.6.1.5.5.7.3.1")], "extended key usage 1.3.6.1.5.5.7.3.1"),
    "any": ([eku("1.3.6.1.5.5.7.3.2", "2.5.29.37.0")], "extended key usage 2.5.29.37.0"),
    "encipherment": ([scep.key_usage_extension(0xA0)], "key usage"),
    "certificates": ([scep.key_usage_extension(0x84)], "key usage"),
    "CA": ([scep.extension("2.5.29.19", der.seq(der.boolean(True)))], "CA"),
    "policies": ([scep.extension("2.5.29.32", der.seq(der.seq(der.oid("2.5.29.32.0"))))], "2.5.29.32"),
    "points": ([scep.extension("2.5.29.31", der.seq())], "2.5.29.31"),
    "template": ([scep.extension("1.3.6.1.4.1.311.20.2", der.string("Admin", der.BMP))], "311.20.2"),
    "broken": ([scep.extension("2.5.29.37", b"\x30\x03\x06")], "extended key usage"),
}


@pytest.mark.parametrize("extensions, said", ASKED.values(), ids=ASKED.keys())
def test_what_a_csr_must_not_ask_for(server, vault, keys, extensions, said):
    """Vault would copy it into the certificate."""
    _, reply = ask(server, keys[0], extensions=extensions)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert said in server.log.wait("reason=template-extension") and not vault.paths("sign")


def test_a_role(server, vault, keys):
    _, reply = ask(server, keys[0], 1, subject="CN=box,OU=Anything",
                   extensions=(scep.san_extension(["box.example"]), eku("1.3.6.1.5.5.7.3.1")))
    assert reply.status == scep.SUCCESS and vault.calls[-1][0] == "/v1/pki/sign/device"
    assert sorted(reply.leaf.subject.rfc4514_string().split(",")) == ["CN=box", "O=Of the role"]
    assert set(json.loads(vault.calls[-1][2])) == {"csr", "format"}
    _, reply = ask(server, keys[0], 1, subject="CN=evil")
    assert (reply.status, reply.fail_info) == (scep.FAILURE, scep.BAD_REQUEST)
    assert server.log.wait("reason=ca-rejected.*common name evil not allowed by this role")


def test_verbatim_by_a_role_with_a_template(vault, factory, keys):
    server = start(factory, service(vault, "role=device", "mount=pki").add(*TEMPLATE))
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    assert vault.calls[-1][0] == "/v1/pki/sign-verbatim/device"


@pytest.mark.parametrize("auth", ["token", "approle", "cert"])
def test_logins(factory, request, keys, auth):
    vault = Vault(auth=auth)
    request.addfinalizer(vault.stop)
    server = start(factory, service(vault), server=conf.Lines(*ONE_CHILD))
    for key in keys:
        assert ask(server, key)[1].status == scep.SUCCESS
    assert len(vault.paths("/login")) == (0 if auth == "token" else 1)
    # the token ends before its time
    vault.tokens = {vault.token} if auth != "token" else set()
    response, reply = ask(server, keys[0], subject="CN=again")
    if auth == "token":
        assert response.status == 503 and server.log.wait("reason=ca-credentials.*permission denied +.* invalid token")
        vault.replace_credentials()
        env.wait_until(lambda: ask(server, keys[0], subject="CN=again")[0].status == 200)
    else:
        assert reply.status == scep.SUCCESS and len(vault.paths("/login")) == 2
    text = server.log.text(0)
    assert "hvs." not in text and vault.secret_id not in text


def test_leases_are_renewed(factory, request, keys):
    vault = Vault()
    request.addfinalizer(vault.stop)
    vault.lease = 1
    server = start(factory, service(vault))

    def renewed():
        assert ask(server, keys[0], subject="CN=lease")[1].status == scep.SUCCESS
        return len(vault.paths("/login")) >= 3
    env.wait_until(renewed, 30, step=0.3)


def test_a_login_that_is_refused(factory, request, keys):
    vault = Vault()
    request.addfinalizer(vault.stop)
    good, vault.secret_id = vault.secret_id, "another"
    server = start(factory, service(vault))
    response, _ = ask(server, keys[0])
    assert response.status == 503 and not vault.paths("sign")
    assert server.log.wait("reason=ca-credentials.*the login is refused: HTTP 400: invalid role or secret ID")
    vault.secret_id = good
    env.wait_until(lambda: ask(server, keys[0])[0].status == 200, step=0.5)


def test_a_token_that_may_not_sign(factory, request, keys):
    """Its policy lacks the path: a new login does not help, and is not tried for each request."""
    vault = Vault()
    request.addfinalizer(vault.stop)
    server = start(factory, service(vault, "mount=other"))
    for key in keys:
        response, _ = ask(server, key)
        assert response.status == 503
    assert server.log.wait("reason=ca-credentials.*HTTP 403: 1 error occurred:")
    assert 1 <= len(vault.paths("/login")) <= 4     # two children at most


def test_namespace(factory, vault, keys):
    vault.namespace = "corp/devices"
    server = start(factory, service(vault, "namespace=corp/devices"), service(vault, name="b", path="/b"))
    assert ask(server, keys[0])[1].status == scep.SUCCESS
    response, _ = ask(server, keys[0], 1)
    assert response.status == 503 and server.log.wait("reason=ca-status.*HTTP 404: no handler for route")


def get_ready(server):
    try:
        with urllib.request.urlopen(server.origin + "/ready") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_sealed(factory, vault, keys):
    server = start(factory, service(vault), locations=[READY])
    assert get_ready(server)[0] == 200
    vault.health = 429      # a standby forwards
    assert get_ready(server)[0] == 200
    vault.sealed = True
    response, _ = ask(server, keys[0])
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert server.log.wait("reason=ca-unavailable.*HTTP 503: Vault is sealed")
    # each child asks by itself, every few seconds
    env.wait_until(lambda: "Vault is sealed" in get_ready(server)[1], 30)
    vault.sealed = False
    env.wait_until(lambda: ask(server, keys[0])[0].status == 200, 30, step=0.5)


def test_second_url(factory, vault, keys):
    dead = "https://localhost:%d" % env.free_port()
    server = start(factory, service(vault, "url2=%s/" % vault.url, url=dead))
    for key in keys:
        assert ask(server, key)[1].status == scep.SUCCESS


def test_two_hosts(factory, vault, keys):
    """A token each, one store: the answer that one host gave is given again by the other."""
    redis = factory.redis()
    secret = env.folder("secret") / "s"
    secret.write_text("two-hosts-share-this-secret-of-theirs\n")
    secret.chmod(0o600)
    hosts = [start(factory, service(vault), server=conf.Lines(
        "ScepStore " + redis.urls()["tcp"], "ScepChallengeSecretFile %s" % secret)) for _ in range(2)]
    clients = [host.client(keep_alive=False) for host in hosts]
    for client in clients:
        client.cacert()
    spec = clients[0].spec(key=keys[0], subject="CN=two")
    leaf = clients[0].transact(spec).leaf
    assert clients[1].transact(spec).leaf == leaf and len(vault.paths("sign")) == 1
    assert clients[1].transact(clients[1].spec(key=keys[1], subject="CN=other")).status == scep.SUCCESS


def test_chain_of_its_own(factory, vault, keys):
    server = start(factory, service(vault).set("ScepCAChain"))
    env.wait_until(lambda: server.client(keep_alive=False).get("GetCACert").status == 200)
    assert pki.der_of(vault.ca.load("ca.pem")) in server.client(keep_alive=False).cacert()
    assert pki.verifies(ask(server, keys[0])[1].leaf, vault.ca)


def test_what_must_not_be_delivered_is_revoked(factory, request, vault, keys):
    hook = Webhook()
    request.addfinalizer(hook.stop)
    hook.thanks = (403, (), {"allow": False, "text": "Lost."})
    server = start(factory, service(vault).set("ScepPolicy").add(
        hook.policy("challengeRequired=off", "notifySync=on")))
    _, reply = ask(server, keys[0])
    assert reply.status == scep.FAILURE
    serial = json.loads(vault.calls[-1][2])["serial_number"]
    assert vault.calls[-1][0] == "/v1/pki/revoke" and vault.revoked == {serial}
    assert vault.issued[serial].public_key().public_numbers() == keys[0].public_key().public_numbers()


CONFIG = {
    "nothing": ("vault", "url"),
    "no token": ("vault url=https://v.example", "tokenFile"),
    "absent token": ("vault url=https://v.example tokenFile={t}.no", "Vault token"),
    "readable token": ("vault url=https://v.example tokenFile={t}.open", "by others"),
    "other auth": ("vault url=https://v.example auth=ldap", "token, approle, cert"),
    "half approle": ("vault url=https://v.example auth=approle roleId=x", "secretIdFile"),
    "approle and token": ("vault url=https://v.example auth=approle roleId=x secretIdFile={t} tokenFile={t}",
                          "tokenFile has no use"),
    "cert without": ("vault url=https://v.example auth=cert", "certificate"),
    "mount": ("vault url=https://v.example tokenFile={t} mount=pki/../sys", "mount"),
    "mount with query": ("vault url=https://v.example tokenFile={t} mount=pki?x", "mount"),
    "header": ("vault url=https://v.example tokenFile={t} \"namespace=a b\"", "namespace"),
    "role": ("vault url=https://v.example tokenFile={t} role=a/b", "role"),
    "no role": ("vault-role url=https://v.example tokenFile={t}", "role is missing"),
    "in the clear": ("vault url=http://v.example tokenFile={t}", "in the clear"),
    "unknown": ("vault url=https://v.example tokenFile={t} password=x", "password"),
}


@pytest.mark.parametrize("words, said", CONFIG.values(), ids=CONFIG.keys())
def test_configuration(factory, words, said):
    token = env.folder("token") / "t"
    for name, mode in ("t", 0o600), ("t.open", 0o644):
        path = token.with_name(name)
        path.write_text("hvs.Sh4redS3cret\n")
        path.chmod(mode)
    made = conf.Service(pki.make()).set("ScepCABackend", words.format(t=token))
    server = factory.httpd([made])
    status, text = server.configtest()
    server.expect("ScepCABackend|ScepService")
    assert status != 0 and said in text and "Sh4red" not in text


def test_configurations_of_the_document(factory, vault):
    """Each is one that httpd takes, with files of ours in place of theirs."""
    texts = re.findall(r"```apache\n(.*?)```", DOCUMENT.read_text(), re.S)
    assert len(texts) >= 3
    for text in texts:
        for name in re.findall(r"/etc/apache2/scep/[\w.-]+", text):
            base = name.rsplit("/", 1)[1]
            ours = {"vault-token": vault.folder / "token", "vault-secret-id": vault.folder / "secret-id",
                    "vault-client.pem": vault.folder / "client.pem", "vault-client.key": vault.folder / "client.key",
                    "vault-ca.pem": vault.folder / "ca.pem", "ca-chain.pem": vault.ca.path("chain.pem")}
            text = text.replace(name, str(ours.get(base) or vault.ca.path(base)))
        server = factory.httpd([text], admin=False)
        status, said = server.configtest()
        server.expect(".")
        assert status == 0, said
