# SPDX-License-Identifier: Apache-2.0
"""mscep_admin: the bytes that device managements cut, what mints a challenge, and who may."""
import hashlib
import json
import re
import time

import pytest

import conf
import pki

MINTED = r"SCEP0430: .* outstanding=(\d+)"
HEX = re.compile(r"[A-F0-9]{16}")


@pytest.fixture(scope="module")
def server(module_factory):
    return module_factory.httpd([conf.Service(pki.make()),
                                 conf.Service(pki.make(), "open", "/open")]).start()


def page(server, **how):
    response = server.admin(**how)
    assert response.status == 200
    return response.body.decode("utf-16")


def outstanding(server):
    """By minting one, from the log."""
    server.admin_json()
    server.log.wait(MINTED)
    return int(re.search(MINTED, server.log.lines(MINTED)[-1]).group(1))


# Every scraper of the field; each gives the password.

def fleet(body):
    return re.search(r"(?i)The enrollment challenge password is: <B> (?P<password>\S*)",
                     body.decode("utf-16")).group("password")


def zentral(body):
    return re.search(r"challenge password is: <B> ([A-Z0-9]{16,32}) </B>", body.decode("utf-16")).group(1)


def manage_engine(body):
    text = body.decode("utf-16")
    start = text.index("The enrollment challenge password is: <B> ") + 42
    return text[start:text.index(" </B> <P> This password can be used only once")]


def grad(body):
    return HEX.search(body.decode("utf-16-le")).group()


def ilo(body):
    return next(t for t in re.split(r"\s+", body.decode("utf-16")) if re.match(r"^[A-F0-9]{16}", t))


def junos(body):
    text = re.sub(r"<(/?)(\w+)", lambda m: "<" + m.group(1) + m.group(2).lower(), body.decode("utf-16"))
    return re.search(r"The enrollment challenge password is: <b> ([A-Z0-9]+) ", text).group(1)


def python_requests(body):
    parts = body.decode("UTF-16").split(">")
    index = next(n for n, part in enumerate(parts) if part == " The enrollment challenge password is: <B")
    assert any(part == " The thumbprint (hash value) for the CA certificate is: <B" for part in parts)
    return parts[index + 1].split("<")[0].strip()


def scep_test_client(body):
    return re.search(r"challenge password.*?([0-9A-Fa-f]{8,64})", body.decode("utf-16"), re.S).group(1)


def offsec(body):
    text = body.decode("utf-16")
    assert re.search(r"will expire within (.*?) minutes", text).group(1) == "60"
    return re.search(r"password is: <B> (.*?)</B>", text).group(1).strip()


SCRAPERS = [fleet, zentral, manage_engine, grad, ilo, junos, python_requests, scep_test_client, offsec]


@pytest.mark.smoke
@pytest.mark.conformance("admin-3")
def test_page(server, keys):
    response = server.admin()
    assert response.status == 200
    assert re.match(r"text/html(; *charset=utf-16(le)?)?$", response.header("Content-Type"), re.I)
    assert response.header("Cache-Control") == "no-store"
    assert response.header("Content-Length") == str(len(response.body))
    assert response.body[:2] == b"\xff\xfe" and len(response.body) % 2 == 0
    assert not response.body.endswith(b"\0\0")
    text = response.body.decode("utf-16")
    assert "<Title>Network Device Enrollment Service</Title>" in text
    thumb = re.search(r"<P> The thumbprint \(hash value\) for the CA certificate is: <B> "
                      r"([A-F0-9]{8}(?: [A-F0-9]{8}){3}) </B> <P> The enrollment challenge password is: "
                      r"<B> ([A-F0-9]{16}) </B> <P> This password can be used only once and will expire "
                      r"within 60 minutes\.", text)
    assert thumb, text
    md5 = hashlib.md5(pki.der_of(server.services[0].pki.load("ca.pem"))).hexdigest().upper()
    assert thumb.group(1).replace(" ", "") == md5
    before = text[:text.index(thumb.group(2))]
    assert not HEX.search(before) and "_" not in before
    server.enroll(keys[0], challenge=thumb.group(2))


@pytest.mark.parametrize("scraper", SCRAPERS, ids=lambda f: f.__name__)
@pytest.mark.conformance("admin-1", "admin-4")
def test_scrapers(server, keys, scraper):
    password = scraper(server.admin(path="/certsrv/mscep_admin/").body)
    assert re.fullmatch(r"[A-F0-9]{16}", password)
    server.enroll(keys[0], challenge=password)


def test_every_get_is_another_challenge(server):
    assert len({fleet(server.admin().body) for _ in range(5)}) == 5


@pytest.mark.parametrize("lines,phrase", [
    (["ScepChallengeLifetime 10min"], "can be used only once and will expire within 10 minutes."),
    (["ScepChallengeUses unlimited"], "can be used multiple times and will not expire."),
    (["ScepChallengeLength 16"], "can be used only once and will expire within 60 minutes.")])
@pytest.mark.conformance("admin-3")
def test_page_follows_configuration(factory, lines, phrase):
    server = factory.httpd([conf.Service(pki.make()).add(*lines)]).start()
    text = page(server)
    assert "</B> <P> This password " + phrase in text
    password = re.search(r"challenge password is: <B> (\S+) </B>", text).group(1)
    assert len(password) == (32 if "Length" in lines[0] else 16)


@pytest.mark.smoke
def test_json(server, keys):
    response = server.admin(headers=[("Accept", "application/json")])
    assert response.header("Content-Type") == "application/json"
    assert response.header("Cache-Control") == "no-store"
    answer = json.loads(response.body)
    assert re.fullmatch(r"[A-F0-9]{16}", answer["challenge"])
    assert answer["expires_in"] == 3600 and answer["uses"] == 1
    assert answer["url"].endswith("/certsrv/mscep/mscep.dll")
    assert re.fullmatch(r"[A-F0-9 ]{35}", answer["thumbprint"])
    server.enroll(keys[0], challenge=answer["challenge"])


@pytest.mark.parametrize("accept,kind", [
    ("text/plain", "text/plain"), ("text/html", "text/html"), ("*/*", "text/html"), ("", "text/html"),
    ("application/json;q=0.5, text/html;q=0.1", "application/json"),
    ("application/json;q=0, */*", "text/html"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
    ("image/png", "text/html"), ("garbage;;;q=,", "text/html")])
def test_accept(server, accept, kind):
    response = server.admin(headers=[("Accept", accept)])
    assert response.status == 200
    assert response.header("Content-Type").split(";")[0] == kind


def test_plain_text(server, keys):
    body = server.admin(headers=[("Accept", "text/plain")]).body.decode("ascii")
    assert re.fullmatch(r"[A-F0-9]{16}\n?", body)
    server.enroll(keys[0], challenge=body.strip())


@pytest.mark.parametrize("query", [
    "?operation=NDESGenerateChallenge", "?operation=NDESGenerateChallenge&keyUsage=0xa0&params=abc",
    "?Operation=ndesgeneratechallenge&KeyUsage=0x80&Params="])
@pytest.mark.conformance("admin-5")
def test_generate_challenge(server, query):
    response = server.admin(query)
    assert response.status == 200
    assert response.header("Content-Type").startswith("text/plain")
    assert re.fullmatch(rb"[A-F0-9]{16}\s*", response.body)


@pytest.mark.conformance("admin-5", "8894-2")
def test_thumbprint(server):
    before = outstanding(server)
    for query in ("?operation=NDESGetCACertThumbprint", "?operation=ndesgetcacertthumbprint"):
        assert re.fullmatch(rb"[A-F0-9]{8}( [A-F0-9]{8}){3}\s*", server.admin(query).body)
    assert outstanding(server) == before + 1


@pytest.mark.parametrize("query", ["?operation=Other", "?operation=NDESGenerateChallenge&keyUsage=zz",
                                   "?operation=NDESGenerateChallenge&template=Nobody"])
def test_bad_operations(server, query):
    before = outstanding(server)
    assert server.admin(query).status == 400
    assert outstanding(server) == before + 1


@pytest.mark.parametrize("headers", [[("Sec-Purpose", "prefetch")], [("Purpose", "prefetch")],
                                     [("X-Moz", "prefetch")], [("Sec-Purpose", "prefetch;prerender")],
                                     [("Sec-Fetch-Site", "cross-site")]])
def test_what_nobody_reads_mints_none(server, headers):
    before = outstanding(server)
    response = server.admin(headers=headers)
    assert response.status in (204, 403)
    assert b"p\0a\0s\0s\0w\0o\0r\0d\0 \0i\0s" not in response.body
    assert outstanding(server) == before + 1


def test_head_mints_none(server):
    before = outstanding(server)
    response = server.admin(method="HEAD")
    assert (response.status, response.body) == (200, b"")
    assert response.header("Cache-Control") == "no-store"
    assert outstanding(server) == before + 1


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_methods(server, method):
    before = outstanding(server)
    response = server.admin(method=method, headers=[("Content-Length", "0")])
    assert response.status == 405 and "GET" in response.header("Allow")
    assert outstanding(server) == before + 1


@pytest.mark.conformance("admin-2")
def test_cache_full(factory):
    server = factory.httpd([conf.Service(pki.make()).add("ScepChallengeMax 3")]).start()
    for _ in range(3):
        assert "password is" in page(server)
    text = page(server)
    assert "<P> The password cache is full." in text
    assert "password is: <B>" not in text and "ScepChallengeMax" in text
    response = server.admin(headers=[("Accept", "application/json")])
    assert response.status == 503 and int(response.header("Retry-After")) > 0
    assert "error" in json.loads(response.body)
    server.log.wait("SCEP0431")


def test_cache_frees_with_time_and_use(factory, keys):
    service = conf.Service(pki.make()).add("ScepChallengeMax 2", "ScepChallengeLifetime 3s")
    server = factory.httpd([service]).start()
    first = server.challenge()
    server.challenge()
    assert "cache is full" in page(server)
    server.enroll(keys[0], challenge=first)
    assert "password is" in page(server)
    assert "cache is full" in page(server)
    time.sleep(3.2)
    assert "password is" in page(server)


@pytest.mark.conformance("admin-2")
def test_insufficient_permission(factory):
    service = conf.Service(pki.make()).add('ScepAdminAuthorize "%{REMOTE_USER} == \'mdm\'"')
    server = factory.httpd([service]).start()
    assert "password is" in page(server)
    text = page(server, user="other")
    assert "<P> You do not have sufficient permission to enroll with SCEP." in text
    assert "password is" not in text and "thumbprint (hash" not in text
    response = server.admin(user="other", headers=[("Accept", "application/json")])
    assert response.status == 403 and "error" in json.loads(response.body)
    server.log.wait("SCEP0435")


def test_wrong_password(server):
    server.expect("AH01617", "AH01618")
    connection = server.connection()
    for user, password in ((conf.ADMIN, "wrong"), ("nobody", "x"), ("", "")):
        response = connection.request("GET", server.admin_path(), [
            ("Authorization", conf.authorization(user, password))])
        assert response.status == 401 and response.header("WWW-Authenticate").startswith("Basic")


def test_no_authentication_configured(factory):
    """Nothing guards the page: it refuses by itself, also a user whom only the client names."""
    granted = '<Location "/certsrv/mscep_admin">\n    Require all granted\n</Location>\n'
    for locations in ((), (granted,)):
        server = factory.httpd(admin=False, locations=locations).start()
        server.expect("SCEP0433")
        for user in (None, conf.ADMIN):
            response = server.admin(user=user)
            assert response.status == 403
            assert b"p\0a\0s\0s\0w\0o\0r\0d\0 \0i\0s" not in response.body
        server.log.wait("SCEP0433")


# Design section 6: no spelling goes round the guard.

PATHS = [
    "/certsrv/mscep_admin", "/certsrv/mscep_admin/", "/certsrv/mscep_admin/mscep.dll",
    "/certsrv/mscep_admin/mscep.dll/", "/certsrv/mscep_admin/mscep.dll/pkiclient.exe",
    "/certsrv/mscep_admin/index.html", "/CertSrv/mscep_admin", "/certsrv/MSCEP_Admin", "/CERTSRV/MSCEP_ADMIN/",
    "/cErTsRv/mScEp_AdMiN/MSCEP.dll", "//certsrv/mscep_admin", "/certsrv//mscep_admin",
    "/certsrv/mscep_admin//", "///certsrv///mscep_admin///", "/certsrv/./mscep_admin", "/./certsrv/mscep_admin",
    "/certsrv/mscep_admin/.", "/certsrv/mscep_admin/./", "/x/../certsrv/mscep_admin",
    "/certsrv/x/../mscep_admin", "/certsrv/mscep/../mscep_admin", "/certsrv/mscep_admin/x/..",
    "/../certsrv/mscep_admin", "/certsrv/mscep_admin/../mscep_admin", "/certsrv/%6dscep_admin",
    "/certsrv/%6Dscep_admin", "/%63ertsrv/mscep_admin", "/certsrv/mscep%5fadmin", "/certsrv/mscep%5Fadmin",
    "/certsrv/mscep_admi%6e", "/certsrv/mscep_%41dmin", "/%2fcertsrv/mscep_admin", "/certsrv%2fmscep_admin",
    "/certsrv%2Fmscep_admin", "/certsrv/mscep_admin%2f", "/certsrv/mscep_admin%2fmscep.dll",
    "/certsrv/%2e/mscep_admin", "/certsrv/%2e%2e/certsrv/mscep_admin", "/certsrv/x/%2e%2e/mscep_admin",
    "/certsrv/mscep/%2e%2e/mscep_admin", "/certsrv/mscep/..%2fmscep_admin", "/certsrv/mscep_admin;x",
    "/certsrv/mscep_admin;x=y", "/certsrv/mscep_admin;", "/certsrv;x/mscep_admin", "/certsrv;/mscep_admin;/",
    "/certsrv/mscep_admin/;x", "/certsrv/mscep_admin/mscep.dll;x", "/certsrv/mscep_admin%3bx",
    "/certsrv/mscep_admin%3Bx/", "/certsrv/..;/certsrv/mscep_admin", "/certsrv/mscep_admin/mscep.dll/a/b/c",
    "/certsrv/mscep_admin/mscep.dll%2fx", "/certsrv/mscep_admin%00", "/certsrv/mscep_admin%00.html",
    "/certsrv/mscep_admin%20", "/certsrv/mscep_admin.", "/certsrv/mscep_admin..", "/certsrv/mscep_admin%09",
    "/certsrv/mscep_admin%5c", "/certsrv\\mscep_admin", "/certsrv/mscep_admin\\", "/certsrv/%256dscep_admin",
    "/certsrv/mscep_admin%252f", "/certsrv/mscep_admin%23", "/certsrv/mscep_admin#x", "/certsrv/mscep_admin%3f",
    "/certsrv/mscep_admin/mscep.DLL.", "/certsrv/mscep.dll/mscep_admin", "/certsrv/mscep/mscep_admin",
    "/certsrv/mscep/mscep.dll/../../mscep_admin", "/certsrv/mscep/mscep.dll/mscep_admin",
    "/certsrv/mscep/mscep.dll;/../mscep_admin", "/certsrv/\u017fscep_admin", "/certsrv/m\u00adscep_admin",
    "/certsrv/mscep_admin/..%3b/mscep_admin", "/%2e/%2e/certsrv/mscep_admin", "/certsrv/mscep_adm%69n/%2e",
    "http://localhost/certsrv/mscep_admin", "http://localhost/CertSrv/MSCEP_ADMIN/", "certsrv/mscep_admin",
    "*", "/certsrv/mscep_admin?operation=NDESGenerateChallenge",
    "/CertSrv/mscep_admin?operation=NDESGenerateChallenge", "/certsrv/mscep_admin/?x", "/certsrv/mscep_admin??",
]


@pytest.mark.smoke
@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_spellings_without_credentials(module_factory, mpm):
    server = module_factory.httpd(mpm=mpm).start()
    # paths that httpd itself refuses
    server.expect("AH00026", "AH10244", "AH00566", "AH00127", "AH02420", "AH00126", "AH00565", "AH02430", "AH03449")
    wrong = []
    for accept in ("text/html", "application/json", "text/plain"):
        for path in PATHS:
            raw = ("GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\nConnection: close\r\n\r\n" % (
                path, accept)).encode("utf-8")
            response = server.connection(keep_alive=False).raw(raw)
            info = b"mscep_admin" in path.encode() and "/mscep/mscep.dll" in path and response.status == 200
            if response.status not in (400, 401, 403, 404) and not info:
                wrong.append((path, response.status))
            text = response.body.decode("utf-16" if response.body[:2] == b"\xff\xfe" else "latin-1")
            if re.search(r"password is|[A-F0-9]{16}|\"challenge\"", text):
                wrong.append((path, "a challenge"))
    assert not wrong
    assert not server.log.lines(MINTED), "a challenge was minted"


# The plain spellings must be guarded, not merely absent.
GUARDED = [p for p in PATHS if re.fullmatch(r"[/\w.]+", p) and "mscep.dll/mscep_admin" not in p
           and not re.search(r"mscep/mscep_admin|index|\.\.?$|DLL\.|mscep\.dll/\.\./|\u017f", p)
           and p.startswith("/") and not p.startswith("/../")]


@pytest.mark.parametrize("path", GUARDED)
def test_spellings_with_credentials(server, path):
    """The same spellings are the page for those who may."""
    assert server.admin(path=path, user=None).status == 401
    response = server.admin(path=path)
    assert response.status == 200 and b"\xff\xfe" == response.body[:2]


def test_other_service_is_guarded_by_its_own_location(server):
    assert server.admin(path="/open/mscep_admin", user=None).status == 401


def test_internal_redirect_does_not_mint(factory):
    """Neither ErrorDocument nor an alias of mod_rewrite leads round the guard."""
    lines = conf.Lines("ErrorDocument 404 /certsrv/mscep_admin", "RewriteEngine on",
                       "RewriteRule ^/short$ /CertSrv/MSCEP_admin [PT]", "RewriteRule ^/other$ /certsrv/mscep_admin")
    server = factory.httpd(server=lines, modules=("rewrite",)).start()
    for path in ("/nothing", "/short", "/other"):
        response = server.connection().request("GET", path)
        assert response.status in (401, 403, 404)
        assert b"p\0a\0s\0s\0w\0o\0r\0d\0 \0i\0s" not in response.body
    assert not server.log.lines(MINTED)


@pytest.mark.conformance("8894-54")
def test_challenge_is_not_logged(server):
    challenge = server.challenge()
    server.log.wait(MINTED)
    for name in ("error_log", "access_log"):
        assert challenge not in (server.folder / name).read_text()
