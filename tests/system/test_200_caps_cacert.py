# SPDX-License-Identifier: Apache-2.0
"""What is served to everybody: GetCACaps, GetCACert, the information page, and HTTP around them."""
import socket

import pytest
from cryptography import x509

import conf
import pki
from scep_client import degenerate_certificates

SPELLINGS = ("/mscep", "/mscep/", "/mscep/mscep.dll", "/mscep/mscep.dll/", "/mscep/mscep.dll/pkiclient.exe",
             "/MSCEP/mscep.dll", "/mscep/MSCEP.DLL/PKICLIENT.EXE", "/mscep/mscep.dll/anything/else")
KEYWORDS = {"AES", "DES3", "POSTPKIOperation", "SCEPStandard", "SHA-1", "SHA-256", "SHA-512",
            "Renewal", "GetNextCACert"}


@pytest.fixture(scope="module")
def plain(module_factory):
    """Without RA: the CA answers for itself."""
    return module_factory.httpd([conf.Service(pki.make(), ra=False)]).start()


@pytest.fixture(scope="module")
def intermediate(module_factory):
    return module_factory.httpd([conf.Service(pki.make("intermediate"))]).start()


@pytest.mark.smoke
@pytest.mark.conformance("8894-12", "8894-39", "8894-40", "8894-41", "8894-53", "apple-5", "cisco-8", "strongswan-3")
def test_caps_bytes(server):
    response = server.client().get("GetCACaps", "ca")
    assert response.status == 200
    assert response.header("Content-Type") == "text/plain"
    assert response.header("Content-Length") == str(len(response.body))
    assert b"\r" not in response.body
    words = response.body.decode("ascii").rstrip("\n").split("\n")
    assert set(words) <= KEYWORDS and len(set(words)) == len(words)
    for word in ("POSTPKIOperation", "AES", "SHA-256", "SCEPStandard", "SHA-1", "DES3"):
        assert word in words
    assert "GetNextCACert" not in words


@pytest.mark.parametrize("message", [None, "", "default", "MDM", "SCEP%20Authority", "a%2Fb", "0", "%zz"])
@pytest.mark.parametrize("operation", ["GetCACaps", "GetCACert"])
@pytest.mark.conformance("8894-39", "cisco-5", "juniper-2", "certmonger-1")
def test_message_is_free_text(server, operation, message):
    client = server.client()
    assert client.get(operation, message).body == client.get(operation, "ca").body


@pytest.mark.conformance("8894-13", "8894-40")
def test_caps_follow_legacy(module_factory):
    service = conf.Service(pki.make()).add("ScepLegacyAlgorithms none")
    words = module_factory.httpd([service]).start().client().caps()
    assert "DES3" not in words and "SHA-1" not in words and "AES" in words


def test_caps_by_directive(module_factory):
    service = conf.Service(pki.make()).add("ScepCapabilities POSTPKIOperation SHA-256 DES3")
    body = module_factory.httpd([service]).start().client().get("GetCACaps").body
    assert body.rstrip(b"\n") == b"POSTPKIOperation\nSHA-256\nDES3"


@pytest.mark.smoke
@pytest.mark.conformance("8894-38", "8894-46", "apple-1")
def test_cacert_with_ra(server):
    response = server.client().get("GetCACert")
    assert response.status == 200
    assert response.header("Content-Type") == "application/x-x509-ca-ra-cert"
    found = set(degenerate_certificates(response.body))
    folder = server.services[0].pki
    assert found == {pki.der_of(folder.load(n)) for n in ("ca.pem", "ra-sign.pem", "ra-enc.pem")}
    assert len(degenerate_certificates(response.body)) == 3


@pytest.mark.conformance("8894-45", "apple-1")
def test_cacert_without_ra(plain):
    response = plain.client().get("GetCACert", "anything")
    assert response.header("Content-Type") == "application/x-x509-ca-cert"
    assert response.body == pki.der_of(plain.services[0].pki.load("ca.pem"))


@pytest.mark.conformance("8894-2", "8894-46", "apple-3")
def test_cacert_with_intermediate(intermediate):
    response = intermediate.client().get("GetCACert")
    assert response.header("Content-Type") == "application/x-x509-ca-ra-cert"
    certificates = degenerate_certificates(response.body)
    assert len(certificates) == 4
    chain = open(intermediate.services[0].pki.path("chain.pem"), "rb").read()
    for block in chain.split(b"-----BEGIN")[1:]:
        assert pki.der_of(x509.load_pem_x509_certificate(b"-----BEGIN" + block)) in certificates


def test_cacert_with_intermediate_without_ra(module_factory):
    server = module_factory.httpd([conf.Service(pki.make("intermediate"), ra=False)]).start()
    response = server.client().get("GetCACert")
    assert response.header("Content-Type") == "application/x-x509-ca-ra-cert"
    assert len(degenerate_certificates(response.body)) == 2


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.conformance("8894-43", "windows-1")
def test_spellings(server, spelling):
    """The prefix in any case too, and on both services' operations."""
    client = server.client()
    wanted = client.get("GetCACert").body
    for prefix in ("/certsrv", "/CertSrv", "//certsrv", "/certsrv/.", "/%63ertsrv"):
        response = client.get("GetCACert", path=prefix + spelling)
        assert response.status == 200 and response.body == wanted, prefix


@pytest.mark.parametrize("path", ["/certsrv/mscepx", "/certsrv/mscep/mscep.dllx", "/certsrv/mscep/other.dll",
                                  "/certsrv", "/certsr", "/other/mscep/mscep.dll", "/certsrvx/mscep/mscep.dll"])
def test_other_paths(server, path):
    server.expect(r"AH01276|AH00128|File does not exist")
    assert server.client().get("GetCACaps", path=path).status in (403, 404)


def test_head(server):
    client = server.client()
    for operation in ("GetCACaps", "GetCACert"):
        full = client.get(operation)
        head = client.get(operation, method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.header("Content-Type") == full.header("Content-Type")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "PROPFIND", "OPTIONS", "BREW"])
def test_methods(server, method):
    response = server.client().get("GetCACaps", method=method)
    if method == "OPTIONS":
        assert response.status in (200, 405)
    elif method == "BREW":
        assert response.status in (400, 405, 501)
    else:
        assert response.status == 405
        assert "GET" in response.header("Allow") and "POST" in response.header("Allow")


def test_trace_is_no_operation(server):
    assert b"POSTPKIOperation" not in server.client().get("GetCACaps", method="TRACE").body


@pytest.mark.parametrize("query", ["", "?", "?message=x"])
def test_information_page(server, query):
    response = server.connection().request("GET", "/certsrv/mscep/mscep.dll" + query)
    assert response.status == 200
    assert response.header("Content-Type").startswith("text/html")
    assert response.body[:2] == b"\xff\xfe"
    text = response.body.decode("utf-16")
    assert "<Title>Network Device Enrollment Service</Title>" in text
    assert "mscep_admin" in text


def test_information_page_off(module_factory):
    service = conf.Service(pki.make()).add("ScepInfoPage off")
    server = module_factory.httpd([service]).start()
    assert server.connection().request("GET", "/certsrv/mscep/mscep.dll").status == 403
    assert server.client().get("GetCACaps", "test").status == 200


@pytest.mark.parametrize("query", ["operation=GetNextCACert", "operation=", "operation=getcacaps%00",
                                   "operation=Unknown", "operation=GetCACaps&operation=GetCACert"])
def test_unknown_operations(server, query):
    server.expect("SCEP0")
    response = server.connection().request("GET", "/certsrv/mscep/mscep.dll?" + query)
    assert response.status in (400, 404, 501) or (query == "operation=" and response.status == 200)


@pytest.mark.conformance("apple-1", "field-6")
def test_default_charset_is_not_added(module_factory):
    """Apple compares the content type as one string."""
    server = module_factory.httpd(server=conf.Lines("AddDefaultCharset utf-8")).start()
    client = server.client()
    assert client.get("GetCACaps").header("Content-Type") == "text/plain"
    assert client.get("GetCACert").header("Content-Type") == "application/x-x509-ca-ra-cert"


def test_two_services_and_vhosts(module_factory):
    """Prefixes tell services apart; the longer path is not swallowed by the shorter."""
    one, two = conf.Service(pki.make()), conf.Service(pki.make("intermediate"), "lab", "/lab/certsrv")
    server = module_factory.httpd([one, two]).start()
    assert len(degenerate_certificates(server.client(0).get("GetCACert").body)) == 3
    assert len(degenerate_certificates(server.client(1).get("GetCACert").body)) == 4


def test_ipv6(module_factory):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    server = module_factory.httpd(host="::1").start()
    assert server.client().get("GetCACaps").status == 200


@pytest.mark.conformance("cisco-1", "8894-59")
def test_http10_without_host(server):
    """Old Cisco devices."""
    response = server.connection().raw(b"GET /certsrv/mscep/mscep.dll/pkiclient.exe?operation=GetCACert"
                                       b"&message=trust HTTP/1.0\r\n\r\n")
    assert response.status == 200
    assert response.header("Content-Type") == "application/x-x509-ca-ra-cert"


def test_server_header_is_not_microsofts(server):
    assert "Microsoft" not in (server.client().get("GetCACaps").header("Server") or "")
