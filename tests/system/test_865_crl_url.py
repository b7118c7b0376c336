# SPDX-License-Identifier: Apache-2.0
"""The CRL by URL: for those who check a certificate and speak no SCEP."""
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import conf
import env
import pki
from test_810_crl_reach import crl as other_crl

PATH = "/certsrv/ca.crl"
TYPE = "application/pkix-crl"


def service(port, path="/certsrv", **how):
    made = conf.Service(pki.make(), path=path, **how)
    backend = next(line for line in made.lines if line.startswith("ScepCABackend "))
    return made.set("ScepCABackend", "%s crlDistributionPoint=http://127.0.0.1:%d%s/ca.crl" % (
        backend.split(None, 1)[1], port, path))


@pytest.fixture(scope="module")
def server(module_factory):
    port = env.free_port()
    return module_factory.httpd([service(port)], port=port).start()


def get(server, path=PATH, method="GET", **headers):
    return server.connection(keep_alive=False).request(
        method, path, [(name.replace("_", "-"), value) for name, value in headers.items()])


@pytest.mark.smoke
def test_list(server, keys):
    response = get(server)
    assert (response.status, response.header("Content-Type")) == (200, TYPE)
    crl = x509.load_der_x509_crl(response.body)
    assert crl.is_signature_valid(pki.make().load("ca.pem").public_key())
    assert server.client().get_crl(keys[0]).crl == crl
    assert get(server).body == response.body


def test_caching(server):
    first = get(server)
    tag, date = first.header("ETag"), first.header("Last-Modified")
    assert tag.startswith('"') and date.endswith("GMT")
    assert first.header("Cache-Control") == "max-age=3600, must-revalidate"
    for headers in ({"If_None_Match": tag}, {"If_None_Match": '"other", ' + tag}, {"If_None_Match": "*"},
                    {"If_Modified_Since": date}):
        response = get(server, **headers)
        assert (response.status, response.body, response.header("ETag")) == (304, b"", tag), headers
    for headers in ({"If_None_Match": '"other"'}, {"If_None_Match": '"other"', "If_Modified_Since": date},
                    {"If_Modified_Since": "Thu, 01 Jan 2015 00:00:00 GMT"}, {"If_None_Match": "x" * 5000}):
        assert get(server, **headers).body == first.body, headers


def test_methods(server):
    head = get(server, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.header("Content-Length")) == len(get(server).body)
    for method in ("POST", "PUT", "DELETE", "PROPFIND"):
        assert get(server, method=method).status == 405, method
    assert "GET" in get(server, method="POST").header("Allow")


@pytest.mark.parametrize("path", ["/CERTSRV/CA.CRL", "//certsrv//ca.crl", "/certsrv/./ca.crl", "/certsrv/%63a.crl",
                                  "/certsrv/ca.crl;x=1", PATH + "?delta=no"])
def test_spellings(server, path):
    assert get(server, path).header("Content-Type") == TYPE


@pytest.mark.parametrize("path", [PATH + "x", PATH + "/x", "/certsrv/mscep/ca.crl", "/ca.crl", "/certsrv/ca.crl%00"])
def test_no_list_there(server, path):
    assert get(server, path).status == 404


def test_openssl_finds_it(server, keys):
    """openssl verify fetches the list by the certificate's own URL."""
    folder, leaf = env.folder("download"), server.enroll(keys[0]).leaf
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    result = subprocess.run(["openssl", "verify", "-crl_check", "-crl_download", "-CAfile", pki.make().path("ca.pem"),
                             folder / "leaf.pem"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_of_two_services(factory):
    """Each prefix has the list of its CA; a prefix without a list has none."""
    one, other = conf.Service(pki.make()), conf.Service(pki.make("intermediate"), "other", "/other")
    off = conf.Service(pki.make(), "off", "/off").add("ScepGetCRL off")
    server = factory.httpd([one, other, off]).start()
    assert get(server, "/certsrv/ca.crl").status == 200
    crl = x509.load_der_x509_crl(get(server, "/other/ca.crl").body)
    assert crl.issuer == other.pki.load("ca.pem").subject
    assert get(server, "/off/ca.crl").status == 404


def test_no_list_at_all(factory):
    made = conf.Service(pki.make())
    backend = next(line for line in made.lines if line.startswith("ScepCABackend "))
    server = factory.httpd([made.set("ScepCABackend", backend.split(None, 1)[1] + " crlLifetime=off")]).start()
    assert get(server).status == 404


def test_file(factory):
    """ScepCRLFile is served in DER, a new one at once, one past its nextUpdate not at all."""
    ca, key, folder = pki.make().load("ca.pem"), pki.key("ca-root"), env.folder("crlfile")
    folder.chmod(0o755)
    path = folder / "ca.crl"

    def write(days):
        path.write_bytes(other_crl(ca, key, days=days, fmt=serialization.Encoding.PEM))
        path.chmod(0o644)
    write(2)
    server = factory.httpd([conf.Service(pki.make()).add("ScepCRLFile %s" % path)]).start()
    first = get(server)
    assert first.body == x509.load_pem_x509_crl(path.read_bytes()).public_bytes(serialization.Encoding.DER)
    write(3)
    second = get(server, If_None_Match=first.header("ETag"))
    assert second.status == 200 and second.header("ETag") != first.header("ETag")
    server.expect("SCEP0321")
    write(-1)
    response = get(server)
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert server.log.wait("SCEP0500.*no CRL")
