# SPDX-License-Identifier: Apache-2.0
"""httpd -t finds every mistake that needs no network, and says directive, file and line."""
import json
import os
import re

import pytest
from cryptography.hazmat.primitives import serialization

import conf
import env
import pki
from http_client import Connection


@pytest.fixture(scope="module")
def files():
    """Wrong files."""
    folder = pki.Pki(env.folder("wrong"))
    right = pki.make()
    ca, ca_key = right.load("ca.pem"), pki.key("ca-root")
    other = pki.key("wrong")
    usage = dict(usage=("digital_signature",))

    def issue(name, key=other, **how):
        folder.write(name, pki.pem_of(pki.certificate("Wrong " + name, key, ca, ca_key, **how)))
    issue("expired.pem", days=-2, since=-30, **usage)
    issue("future.pem", days=30, since=5, **usage)
    issue("no-sign.pem", usage=("key_encipherment",))
    issue("no-enc.pem", **usage)
    issue("good.pem", **usage)
    issue("ec-enc.pem", pki.key("wrong-ec", "ec"), usage=("key_encipherment", "key_agreement"))
    foreign = pki.certificate("Foreign", other, usage=("digital_signature",))
    folder.write("foreign.pem", pki.pem_of(foreign))
    foreign_ca = pki.certificate("Foreign CA", other, ca=True, usage=pki.CA_USAGE)
    folder.write("foreign-ca.pem", pki.pem_of(foreign_ca))
    folder.write("wrong.key", pki.pem(other))
    folder.write("ec.key", pki.pem(pki.key("wrong-ec", "ec")))
    folder.write("garbage.pem", b"-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n")
    folder.write("empty.pem", b"")
    folder.write("encrypted.key", other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase")))
    folder.write("open.key", b"0123456789abcdef" * 4, 0o644)
    folder.write("secret", b"0123456789abcdef" * 4)
    folder.write("short.key", b"abc\n")
    folder.write("group.key", b"0123456789abcdef" * 4)
    (folder.folder / "group.key").chmod(0o660)
    folder.write("open-sign.key", (pki.make().folder / "ra-sign.key").read_bytes(), 0o644)
    old_ca = pki.certificate("Expired CA", ca_key, ca=True, usage=pki.SELF_USAGE, days=-1, since=-100)
    folder.write("expired-ca.pem", pki.pem_of(old_ca))
    no_sign = pki.certificate("Not a CA", ca_key, ca=False, usage=("digital_signature",))
    folder.write("not-ca.pem", pki.pem_of(no_sign))
    return folder


# name: (directive to replace, its value or several lines, what the message names)
SIGN, ENC, BACKEND = "ScepRASigningCertificate", "ScepRAEncryptionCertificate", "ScepCABackend"
MISTAKES = {
    "signing certificate absent": (SIGN, "{w}/nothing.pem {p}/ra-sign.key", "nothing.pem"),
    "signing key absent": (SIGN, "{p}/ra-sign.pem {w}/nothing.key", "nothing.key"),
    "signing key of another": (SIGN, "{p}/ra-sign.pem {w}/wrong.key", "does not belong"),
    "signing key encrypted": (SIGN, "{w}/good.pem {w}/encrypted.key", "encrypted"),
    "signing certificate garbage": (SIGN, "{w}/garbage.pem {w}/wrong.key", "garbage.pem"),
    "signing certificate empty": (SIGN, "{w}/empty.pem {w}/wrong.key", "empty.pem"),
    "signing certificate expired": (SIGN, "{w}/expired.pem {w}/wrong.key", "expired"),
    "signing certificate of tomorrow": (SIGN, "{w}/future.pem {w}/wrong.key", "not valid before"),
    "signing certificate cannot sign": (SIGN, "{w}/no-sign.pem {w}/wrong.key", "digitalSignature"),
    "signing certificate of another CA": (SIGN, "{w}/foreign.pem {w}/wrong.key", "(?i)issued|issuer"),
    "signing certificate is the CA's": (SIGN, "{p}/ca.pem {p}/ca.key", "CA"),
    "encryption certificate cannot encrypt": (ENC, "{w}/no-enc.pem {w}/wrong.key", "keyEncipherment"),
    "encryption key is EC": (ENC, "{w}/ec-enc.pem {w}/ec.key", "RSA"),
    "encryption without signing": (SIGN, None, "missing"),
    "pkcs11": (SIGN, "{p}/ra-sign.pem pkcs11:token=x", "pkcs11"),
    "chain absent": ("ScepCAChain", "{w}/nothing.pem", "nothing.pem"),
    "chain of another CA": ("ScepCAChain", "{w}/foreign-ca.pem", "(?i)chain|issue"),
    "no backend": (BACKEND, None, "local certificate=FILE key=FILE"),
    "unknown backend": (BACKEND, "nosuch address=x", "known are: .*local"),
    "backend without key": (BACKEND, "local certificate={p}/ca.pem", "key"),
    "backend with unknown option": (BACKEND, "local certificate={p}/ca.pem key={p}/ca.key color=red", "color"),
    "backend with an option twice": (BACKEND, "local certificate={p}/ca.pem key={p}/ca.key key=x", "key"),
    "backend's word without =": (BACKEND, "local certificate", "certificate"),
    "CA key of another": (BACKEND, "local certificate={p}/ca.pem key={w}/wrong.key", "(?i)belong|match"),
    "CA expired": (BACKEND, "local certificate={w}/expired-ca.pem key={p}/ca.key", "expired"),
    "CA that is none": (BACKEND, "local certificate={w}/not-ca.pem key={p}/ca.key", "CA"),
    "unknown store": ("ScepStore", "mysql://x/y", "known are: .*redis.*sqlite|known are: .*sqlite.*redis"),
    "store without scheme": ("ScepStore", "localhost", "known are"),
    "store with password": ("ScepStore", "redis://user:Secret-Word@host/", "ScepStorePasswordFile"),
    "store with a bad port": ("ScepStore",
                              "redis://127.0.0.1:99999\n    ScepChallengeSecretFile {w}/secret", "port|redis://"),
    "redis without secret": ("ScepStore", "redis://127.0.0.1:1", "ScepChallengeSecretFile"),
    "store password file absent": ("ScepStorePasswordFile", "{w}/nothing", "nothing"),
    "secret for everybody": ("ScepChallengeSecretFile", "{w}/open.key", "open.key"),
    "secret too short": ("ScepChallengeSecretFile", "{w}/short.key", "ScepChallengeSecretFile.*short.key"),
    "secret that the group can write": ("ScepChallengeSecretFile", "{w}/group.key", "group.key"),
    "private key for everybody": (SIGN, "{p}/ra-sign.pem {w}/open-sign.key", "open-sign.key.*others"),
    "store password empty": ("ScepStorePasswordFile", "{w}/empty.pem\n    ScepStore redis://127.0.0.1:1\n"
                             "    ScepChallengeSecretFile {w}/secret", "empty.pem"),
    "store that is no database": ("ScepStore", "sqlite:{w}/short.key", "not an SQLite database"),
    "store CA file without certificates": (
        "ScepStoreCAFile", "{w}/short.key\n    ScepStore rediss://127.0.0.1:1\n"
        "    ScepChallengeSecretFile {w}/secret", "short.key"),
    "store timeout": ("ScepStoreTimeout", "0 0", "(?i)between|time"),
    "store client certificate alone": ("ScepStoreCertificateFile", "{w}/good.pem", "ScepStoreKeyFile"),
    "unknown policy": ("ScepPolicy", "oracle", "known are: .*challenge"),
    "policy with unknown option": ("ScepPolicy", "challenge speed=fast", "speed|option|key"),
    "unknown template": ("ScepTemplate", "general Nobody", "Nobody"),
    "unknown usage": ("ScepTemplate", "sometimes Device", "signature, encryption or general"),
    "template with unknown option": ("ScepLocalTemplate", "Device colour=red", "colour"),
    "template with bad validity": ("ScepLocalTemplate", "Device validity=soon", "validity"),
    "template with bad key usage": ("ScepLocalTemplate", "Device keyUsage=everything", "everything|keyUsage"),
    "template with bad EKU": ("ScepLocalTemplate", "Device extendedKeyUsage=noSuch.thing", "extendedKeyUsage|noSuch"),
    "lifetime zero": ("ScepChallengeLifetime", "0", "between"),
    "lifetime no time": ("ScepChallengeLifetime", "an hour", "(?i)duration|takes one|time"),
    "length 7": ("ScepChallengeLength", "7", "between 8 and 64"),
    "length 65": ("ScepChallengeLength", "65", "between 8 and 64"),
    "max 0": ("ScepChallengeMax", "0", "between"),
    "max no number": ("ScepChallengeMax", "many", "number"),
    "uses 0": ("ScepChallengeUses", "0", "once"),
    "uses twice": ("ScepChallengeUses", "twice", "once"),
    "attempts -1": ("ScepChallengeAttempts", "-1", "number|between"),
    "message size 1": ("ScepMaxMessageSize", "1", "between"),
    "message size 1t": ("ScepMaxMessageSize", "1t", "number of bytes"),
    "legacy none and 3des": ("ScepLegacyAlgorithms", "none 3des", "none"),
    "legacy unknown": ("ScepLegacyAlgorithms", "rot13", "none"),
    "info page maybe": ("ScepInfoPage", "maybe", "On or Off"),
    "include CA perhaps": ("ScepIncludeCA", "perhaps", "On or Off"),
    "path without slash": ("ScepPath", "certsrv", "begins with"),
    "path with dots": ("ScepPath", "/a/../b", "path"),
    "path with a space": ("ScepPath", '"/a b"', "path"),
    "path with %": ("ScepPath", "/a%20b", "path"),
    "authorize no expression": ("ScepAdminAuthorize", '"%{REMOTE_USER"', "ScepAdminAuthorize"),
    "authorize template without expression": ("ScepAdminAuthorizeTemplate", "Device", "takes two arguments"),
    "authorize template, no expression": ("ScepAdminAuthorizeTemplate", 'Device "%{REMOTE_USER"', "AuthorizeTemplate"),
    "authorize template, long name": ("ScepAdminAuthorizeTemplate", "x" * 65 + " true", "1 to 64"),
    "authorize template unknown": ("ScepAdminAuthorizeTemplate", "Nobody true", "unknown template 'Nobody'"),
    "authorize template twice": (
        "ScepAdminAuthorizeTemplate", "Device true\n    ScepAdminAuthorizeTemplate Device false",
        "already given at .*:\\d+"),
    "per caller -1": ("ScepChallengeMaxPerCaller", "-1", "number|between"),
    "retention 1s": ("ScepRetention", "1s", "between"),
    "request timeout 0": ("ScepRequestTimeout", "0", "between"),
    "directive twice": ("ScepChallengeMax", "10\n    ScepChallengeMax 20", "already given at .*:\\d+"),
    "foreign directive inside": ("ScepChallengeMax", "10\n    KeepAlive on", "KeepAlive"),
    "section in section": ("ScepChallengeMax", "10\n    <ScepService x>\n    </ScepService>", "nested"),
    "unknown directive": ("ScepNothing", "x", "ScepNothing"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake(factory, files, mistake):
    directive, value, names = MISTAKES[mistake]
    right = pki.make()
    service = conf.Service(right)
    if value is not None:
        value = value.replace("{w}", str(files.folder)).replace("{p}", str(right.folder))
    service.set(directive, value)
    if mistake in ("CA expired", "CA that is none"):
        service.set("ScepCAChain")
    server = factory.httpd([service])
    status, text = server.configtest()
    server.expect("SCEP045")
    assert status != 0, "httpd -t is content"
    assert "Secret-Word" not in text
    assert re.search(names, text), text
    assert directive in text or "<ScepService" in text or "KeepAlive" in text, text
    where = re.search(r"line (\d+) of (\S+?):|\((/\S+?):(\d+)\)", text)
    assert where and "httpd.conf" in where.group(0), text
    lines = (server.folder / "httpd.conf").read_text().splitlines()
    line = lines[int(where.group(1) or where.group(4)) - 1]
    assert line.strip().startswith((directive.split()[0], "<ScepService", "KeepAlive", "Scep")), line


@pytest.mark.parametrize("section,names", [
    ("<ScepService corp>\n</ScepService>", "ScepCABackend"),
    ("<ScepService>\n</ScepService>", "name"),
    ("<ScepService two words>\n</ScepService>", "name"),
    ("<ScepService %s>\n</ScepService>" % ("x" * 33), "name"),
    ("<ScepService a/b>\n</ScepService>", "name"),
    ("<ScepService corp\n</ScepService>", "closing"),
    ("<ScepService corp>\n", "(?i)without|close|expected"),
    ("<Location /x>\nScepChallengeMax 5\n</Location>", "not allowed (here|in)"),
    ("<Directory /x>\n<ScepService corp>\n</ScepService>\n</Directory>", "not allowed (here|in)"),
])
def test_sections(factory, section, names):
    server = factory.httpd([section], admin=False)
    status, text = server.configtest()
    server.expect("SCEP045")
    assert status != 0 and re.search(names, text), text


def test_two_services_on_one_path(factory):
    server = factory.httpd([conf.Service(pki.make()), conf.Service(pki.make(), "lab", "/CertSrv/")])
    server.expect("SCEP045")
    status, text = server.configtest()
    assert status != 0 and "corp" in text and "ScepPath" in text, text


def test_two_services_of_one_name(factory):
    server = factory.httpd([conf.Service(pki.make()), conf.Service(pki.make(), "CORP", "/lab")])
    status, text = server.configtest()
    assert status != 0 and "taken" in text, text


def test_a_server_with_a_mistake_does_not_start(factory, files):
    service = conf.Service(pki.make()).set(SIGN, "%s/expired.pem %s/wrong.key" % (files.folder, files.folder))
    server = factory.httpd([service])
    server.expect("SCEP04", "AH00016", "AH00020")
    assert "expired" in server.fails_to_start()


@pytest.mark.smoke
def test_right_configurations(factory):
    """No output but Syntax OK."""
    wide = conf.Lines("ScepChallengeMax 50", "ScepChallengeLifetime 30min", "ScepRetention 1d",
                      "ScepLegacyAlgorithms 3des", "ScepMaxMessageSize 128k", "ScepStoreTimeout 300ms 1s")
    for services in ([conf.Service(pki.make())], [conf.Service(pki.make("intermediate"))],
                     [conf.Service(pki.make(), ra=False)],
                     [conf.Service(pki.make()), conf.Service(pki.make("intermediate"), "lab", "/lab")]):
        server = factory.httpd(services, server=conf.Lines(*wide.lines))
        status, text = server.configtest()
        assert status == 0 and text.strip() == "Syntax OK", text


def test_configtest_touches_nothing(factory):
    """-t makes no directory, no database, no secret."""
    server = factory.httpd()
    assert server.configtest()[0] == 0
    assert not (server.folder / "state").exists()


@pytest.mark.smoke
def test_merge(factory, keys):
    """Server, virtual host, service: the nearer wins, zero and off are values."""
    right = pki.make()
    port = env.free_port()
    host = ("Listen 127.0.0.1:%d\n<VirtualHost 127.0.0.1:%d>\nScepChallengeLength 12\nScepInfoPage off\n%s%s"
            "</VirtualHost>\n" % (port, port, conf.Service(right, "inner", "/inner").text(),
                                  conf.location("/inner")))
    outer = conf.Service(right).add("ScepChallengeLength 16")
    server = factory.httpd([outer, host], server=conf.Lines("ScepChallengeLength 10", "ScepChallengeLifetime 7min"))
    server.start()
    assert len(server.challenge()) == 32
    headers = [("Accept", "application/json"), ("Authorization", conf.authorization())]
    answer = json.loads(Connection("127.0.0.1", port).request("GET", "/inner/mscep_admin", headers).body)
    assert len(answer["challenge"]) == 24 and answer["expires_in"] == 420
    assert Connection("127.0.0.1", port).request("GET", "/inner/mscep").status == 403
    assert server.connection().request("GET", "/certsrv/mscep").status == 200


def test_low_request_line_is_told(factory):
    server = factory.httpd(server=conf.Lines("LimitRequestLine 8190")).start()
    server.log.wait("LimitRequestLine is 8190")


EXAMPLES = env.SOURCE / "conf-examples"


def example_tree(folder, text):
    """Files that an example names, below its own directory; the text with paths that exist."""
    right, secret = pki.make("intermediate"), os.urandom(32).hex()
    names = {"ca.pem": "ca.pem", "ca.key": "ca.key", "ca-chain.pem": "chain.pem", "chain.pem": "chain.pem"}
    for path in set(re.findall(r"(?<=[\s=\"])(/?[\w./-]+\.(?:pem|key|crt|txt|password|secret))", text)):
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        base = path.rsplit("/", 1)[-1]
        source = names.get(base) or next((n for n in ("ra-sign.pem", "ra-sign.key", "ra-enc.pem", "ra-enc.key")
                                          if base.endswith(n[3:]) or base == n), None)
        if "challenge" in base or "secret" in base:
            target.write_text(secret + "\n")
        elif "password" in base:
            target.write_text("Store-Pass\n")
        elif source:
            target.write_bytes((right.folder / source).read_bytes())
        else:
            target.write_bytes((right.folder / "chain.pem").read_bytes())
        target.chmod(0o600)
        if path.startswith("/"):
            text = text.replace(path, str(target))
    return text.replace("/var/log/apache2/", "%s/" % folder)


@pytest.mark.parametrize("name", ["minimal.conf", "redis.conf", "two-hosts.conf", "clients.conf", "intune.conf",
                                  "reference.conf"])
def test_examples(factory, name):
    path = EXAMPLES / name
    if not path.exists():
        pytest.skip("conf-examples/%s is not there" % name)
    server = factory.httpd([], admin=False, modules=("ssl", "socache_shmcb", "authnz_ldap", "ldap"))
    text = example_tree(server.folder, path.read_text())
    text = re.sub(r"(?m)^\s*(LoadModule scep_module|Listen|ErrorLog|PidFile|ServerName)\b.*$", "", text)
    server.services = [text]
    server.expect("SCEP045")
    status, output = server.configtest()
    assert status == 0, output


def test_reference_names_every_directive():
    path = EXAMPLES / "reference.conf"
    if not path.exists():
        pytest.skip("conf-examples/reference.conf is not there")
    code = "".join(p.read_text() for p in (env.SOURCE / "mod_scep").glob("mod_scep*.c"))
    known = set(re.findall(r'AP_INIT_\w+\("(Scep\w+)"', code))
    assert known and known == set(re.findall(r"(?m)^\s*#?\s*(Scep[A-Z]\w+)\b", path.read_text())) - {"ScepService"}
