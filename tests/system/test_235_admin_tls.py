# SPDX-License-Identifier: Apache-2.0
"""mscep_admin behind mod_ssl: a client certificate is the credential, in each way that mod_ssl has."""
import functools
import re
import ssl

import pytest

import conf
import env
import pki
from http_client import Connection
from test_230_admin import GUARDED, MINTED, PATHS

MODULES = ("socache_shmcb", "ssl")
USER = "MDM of the site"
DN = "/CN=" + USER
# What mod_ssl says of a certificate that it refuses, and of a handshake that broke off.
REFUSED = ("AH02261", "AH02262", "AH02263", "AH02227", "AH10158",
           "SSL Library Error.*(certificate verify failed|did not return a certificate)")
HTTPD_REFUSES = ("AH00026", "AH10244", "AH00566", "AH00127", "AH02420", "AH00126", "AH00565", "AH02430",
                 "AH03449")

VERIFY = "SSLVerifyClient require\nSSLVerifyDepth 2\n"
NAMED = "SSLUserName SSL_CLIENT_S_DN_CN\nRequire ssl-verify-client\n"
FAKE = 'AuthType Basic\nAuthName SCEP\nAuthUserFile certificates\nSSLOptions +FakeBasicAuth\nRequire valid-user\n'

# name: (virtual host, location of the admin page)
HOSTS = {
    "host": (VERIFY, NAMED),
    "location": ("", VERIFY + NAMED),
    "fake": (VERIFY, FAKE),
    "fake-location": ("", VERIFY + FAKE),
    "optional": ("SSLVerifyClient optional\n", "SSLUserName SSL_CLIENT_S_DN_CN\n"),
    "optional-fake": ("SSLVerifyClient optional\n", FAKE),
    "unverified": ("SSLVerifyClient optional_no_ca\n", "SSLUserName SSL_CLIENT_S_DN_CN\n"),
}
STRICT = ["host", "location", "fake", "fake-location"]
TLS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@functools.lru_cache(maxsize=None)
def credentials():
    """Files: the server's, the CA that the admin page trusts, and the clients' (certificate, then key)."""
    folder = env.folder("tls")
    names = {}

    def write(name, *parts):
        names[name] = str(folder / (name + ".pem"))
        (folder / (name + ".pem")).write_bytes(b"".join(parts))
        return names[name]

    ca_key, other_key, key = pki.key("tls-ca"), pki.key("tls-other"), pki.key("tls-client")
    ca = pki.certificate("Admins CA", ca_key, ca=True, usage=pki.CA_USAGE)
    other = pki.certificate("Admins CA", other_key, ca=True, usage=pki.CA_USAGE)
    server = pki.certificate("localhost", key, ca, ca_key, usage=("digital_signature",), server=True)

    def client(issuer, issuer_key, **how):
        made = pki.certificate(USER, key, issuer, issuer_key, usage=("digital_signature",), **how)
        return pki.pem_of(made), pki.pem(key)

    write("ca", pki.pem_of(ca))
    write("server", pki.pem_of(server), pki.pem(key))
    write("good", *client(ca, ca_key))
    write("foreign", *client(other, other_key))
    write("self", *client(None, None))
    write("expired", *client(ca, ca_key, days=-1, since=-30))
    write("early", *client(ca, ca_key, since=10))
    return names


def virtual_host(port, host, location):
    files = credentials()
    return ('Listen 127.0.0.1:%d\n<VirtualHost 127.0.0.1:%d>\nSSLEngine on\nSSLCertificateFile %s\n'
            'SSLCACertificateFile %s\n%s<Location "/certsrv/mscep_admin">\n%s</Location>\n</VirtualHost>\n'
            % (port, port, files["server"], files["ca"], host, location))


@pytest.fixture(scope="module")
def server(module_factory):
    server = module_factory.httpd(admin=False, modules=MODULES,
                                  server=conf.Lines("SSLSessionCache shmcb:cache(65536)"))
    server.tls = {name: env.free_port() for name in HOSTS}
    server.locations += [virtual_host(server.tls[name], *HOSTS[name]) for name in HOSTS]
    (server.folder / "certificates").write_text("%s:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n" % DN)
    return server.start()


class TlsConnection(Connection):
    """One request per connection, with the client certificate of that name or none."""

    def __init__(self, port, certificate, version="1.3"):
        super().__init__("127.0.0.1", port, keep_alive=False)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(credentials()["ca"])
        self.context.minimum_version = self.context.maximum_version = TLS[version]
        self.context.post_handshake_auth = True
        if certificate:
            self.context.load_cert_chain(credentials()[certificate])

    def connect(self):
        if self.socket is None:
            self.socket = self.context.wrap_socket(super().connect())
        return self.socket


def ask(server, name, certificate, version="1.3", path="/certsrv/mscep_admin", headers=()):
    """The response, or None when the handshake was refused."""
    data = ("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n" % (
        path, "".join("%s: %s\r\n" % pair for pair in headers))).encode("utf-8")
    try:
        return TlsConnection(server.tls[name], certificate, version).raw(data)
    except (ssl.SSLError, ConnectionError):
        return None


def is_page(response):
    return response is not None and response.status == 200 and \
        "password is: <B> " in response.body.decode("utf-16", "replace")


@pytest.mark.parametrize("version", TLS)
@pytest.mark.parametrize("name", STRICT + ["optional", "optional-fake"])
def test_certificate_is_the_credential(server, keys, name, version):
    response = ask(server, name, "good", version)
    assert is_page(response)
    assert server.log.wait(MINTED).count('caller="%s"' % (DN if "fake" in name else USER))
    challenge = re.search(r"password is: <B> (\S+) </B>", response.body.decode("utf-16")).group(1)
    server.enroll(keys[0], challenge=challenge)


@pytest.mark.parametrize("version", TLS)
@pytest.mark.parametrize("name", STRICT + ["optional", "optional-fake"])
@pytest.mark.parametrize("certificate", [None, "foreign", "self", "expired", "early"])
def test_any_other_certificate_is_refused(server, name, certificate, version):
    server.expect(*REFUSED, "SCEP0433")
    response = ask(server, name, certificate, version)
    assert response is None or response.status in (401, 403)
    assert not server.log.lines(MINTED)


@pytest.mark.parametrize("certificate", ["foreign", "self"])
def test_name_of_a_certificate_that_was_not_verified(server, certificate):
    """optional_no_ca lets anybody in, and SSLUserName takes the name that he gives himself."""
    server.expect(*REFUSED, "SCEP0433")
    assert ask(server, "unverified", certificate).status == 403
    assert not server.log.lines(MINTED)
    assert is_page(ask(server, "unverified", "good"))


@pytest.mark.parametrize("name", ["optional", "optional-fake", "unverified"])
def test_name_in_a_header_is_no_certificate(server, name):
    """FakeBasicAuth's password is public."""
    server.expect("AH02035", "AH02227", "SCEP0433")
    header = ("Authorization", conf.authorization(DN, "password"))
    assert ask(server, name, None, headers=[header]).status in (401, 403)
    assert not server.log.lines(MINTED)


@pytest.mark.parametrize("name", ["location", "optional", "optional-fake"])
def test_spellings_without_certificate(server, name):
    server.expect(*REFUSED, *HTTPD_REFUSES, "SCEP0433")
    wrong = []
    for path in PATHS:
        response = ask(server, name, None, path=path)
        info = "/mscep/mscep.dll" in path
        if response is not None and response.status not in (400, 401, 403, 404) and not info:
            wrong.append((path, response.status))
        if is_page(response):
            wrong.append((path, "a challenge"))
    assert not wrong
    assert not server.log.lines(MINTED)


@pytest.mark.parametrize("name", ["location", "fake-location"])
def test_spellings_with_certificate(server, name):
    assert [path for path in GUARDED if not is_page(ask(server, name, "good", path=path))] == []


def test_no_certificate_for_devices(server):
    """Only the admin page asks for one: devices come without."""
    response = ask(server, "location", None, path="/certsrv/mscep/mscep.dll?operation=GetCACaps")
    assert response.status == 200 and b"POSTPKIOperation" in response.body


def test_authorization_by_certificate(module_factory):
    """ScepAdminAuthorize sees the certificate's fields."""
    service = conf.Service(pki.make()).add('ScepAdminAuthorize "%{SSL_CLIENT_S_DN_CN} == \'somebody\'"')
    server = module_factory.httpd([service], admin=False, modules=MODULES,
                                  server=conf.Lines("SSLSessionCache shmcb:cache(65536)"))
    server.tls = {"host": env.free_port()}
    server.locations.append(virtual_host(server.tls["host"], *HOSTS["host"]))
    server.start()
    response = ask(server, "host", "good")
    assert "sufficient permission" in response.body.decode("utf-16") and not is_page(response)
    server.log.wait("SCEP0435")
