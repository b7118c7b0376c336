# SPDX-License-Identifier: Apache-2.0
"""Configuration of a test's httpd, as text."""
import base64
import hashlib
import os

import env

MODULES = ("authn_core", "authn_file", "authz_core", "authz_user", "authz_host", "auth_basic", "unixd",
           "log_config", "env", "setenvif", "headers")
ADMIN, PASSWORD = "mdm", "Admin-Pass-8471"

WORKERS = {
    "event": "StartServers 2\nServerLimit 4\nThreadsPerChild 8\nMaxRequestWorkers 32\n"
             "MinSpareThreads 8\nMaxSpareThreads 32",
    "worker": "StartServers 2\nServerLimit 4\nThreadsPerChild 8\nMaxRequestWorkers 32\n"
              "MinSpareThreads 8\nMaxSpareThreads 32",
    "prefork": "StartServers 4\nMinSpareServers 4\nMaxSpareServers 8\nMaxRequestWorkers 8",
}


class Lines:
    """Directives in order; set() replaces or removes, add() repeats."""

    def __init__(self, *lines):
        self.lines = list(lines)

    def set(self, directive, value=None):
        """value None: the directive goes."""
        kept = [line for line in self.lines if line.split(None, 1)[0] != directive]
        self.lines = kept + (["%s %s" % (directive, value)] if value is not None else [])
        return self

    def add(self, *lines):
        self.lines += lines
        return self

    def text(self, indent=""):
        return "".join(indent + line + "\n" for line in self.lines)


class Service(Lines):
    """<ScepService> with RA certificates and the local CA of a Pki."""

    def __init__(self, pki, name="corp", path="/certsrv", ra=True, backend="local"):
        self.name, self.path, self.pki = name, path, pki
        super().__init__("ScepPath " + path,
                         "ScepCABackend %s certificate=%s key=%s" % (
                             backend, pki.path("ca.pem"), pki.path("ca.key")),
                         "ScepCAChain " + pki.path("chain.pem"))
        if ra:
            self.add("ScepRASigningCertificate %s %s" % (pki.path("ra-sign.pem"), pki.path("ra-sign.key")),
                     "ScepRAEncryptionCertificate %s %s" % (pki.path("ra-enc.pem"), pki.path("ra-enc.key")))

    def text(self, indent=""):
        return "<ScepService %s>\n%s</ScepService>\n" % (self.name, super().text("    "))


def password_file(path):
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    path.write_text("%s:{SHA}%s\nother:{SHA}%s\n" % (ADMIN, digest, digest))
    path.chmod(0o644)


def authorization(user=ADMIN, password=PASSWORD):
    """The header's value for Basic."""
    return "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


def location(path):
    """Protects an admin page."""
    return ('<Location "%s/mscep_admin">\n    AuthType Basic\n    AuthName "SCEP"\n'
            '    AuthUserFile users\n    Require valid-user\n</Location>\n' % path)


def load(name, path=None):
    if path is None and "mod_" + name in env.static_modules():
        return ""
    path = path or os.path.join(env.apxs("LIBEXECDIR"), "mod_%s.so" % name)
    return "LoadModule %s_module %s\n" % (name, path)


def render(folder, host, port, mpm, services, server, locations, fault=False, modules=(), level="info"):
    """The whole httpd.conf.  server: a Lines of the main server."""
    address = "[%s]" % host if ":" in host else host
    text = 'ServerRoot "%s"\nServerName localhost\nListen %s:%d\n' % (folder, address, port)
    text += load("mpm_" + mpm) + "".join(load(name) for name in MODULES + tuple(modules))
    if env.ROOT:
        text += "User %s\nGroup %s\n" % (env.USER, env.USER)
    text += ("DefaultRuntimeDir run\nPidFile httpd.pid\nErrorLog error_log\nDocumentRoot htdocs\n"
             "LogLevel %s scep:debug\nLimitRequestLine 70000\nGracefulShutdownTimeout 10\n"
             "KeepAliveTimeout 30\nMaxKeepAliveRequests 0\n" % level)
    text += ('LogFormat "%a %u %>s %B \\"%r\\" result=%{scep-result}n reason=%{scep-reason}n '
             'txid=%{scep-transaction-id}n op=%{scep-operation}n agent=%{User-Agent}i" scep\n'
             'CustomLog access_log scep\n')
    text += "<Directory />\n    Require all granted\n</Directory>\n"
    text += WORKERS[mpm] + "\n"
    if fault:
        text += load("scep_fault", env.module("mod_scep_fault"))
    text += load("scep", env.module())
    text += server.text()
    for service in services:
        text += service.text() if hasattr(service, "text") else service
    return text + "".join(locations)
