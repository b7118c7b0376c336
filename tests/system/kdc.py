# SPDX-License-Identifier: Apache-2.0
"""Kerberos for a test: MIT's KDC in a folder of its own, and httpd with mod_auth_gssapi before a double of AD CS, as
IIS stands before the real one."""
import contextlib
import glob
import os
import shutil
import struct
import subprocess

import conf
import env

REALM, HOST = "CORP.EXAMPLE", "localhost"
SERVICE = "HTTP/" + HOST
PROGRAMS = ("/usr/sbin/krb5kdc", "/usr/sbin/kdb5_util", "/usr/sbin/kadmin.local")
MODULES = ("authn_core", "authz_core", "authz_user", "unixd", "headers", "socache_shmcb", "ssl", "proxy", "proxy_http",
           "auth_gssapi")


def missing():
    """What is not installed; "": nothing."""
    modules = (os.path.join(env.apxs("LIBEXECDIR"), "mod_auth_gssapi.so"),)
    return ", ".join(path for path in PROGRAMS + modules if not os.path.exists(path))


def faketime():
    """The library that moves a program's clock; None: it is not installed."""
    return next(glob.iglob("/usr/lib/*/faketime/libfaketime.so.1"), None)


def for_httpd(path):
    if env.ROOT:
        shutil.chown(path, env.USER)
    return path


def keytab_of(principal):
    """The bytes of a keytab that no KDC has ever seen."""
    name, realm = principal.split("@")
    entry = struct.pack(">H", 1) + b"".join(struct.pack(">H", len(part)) + part.encode() for part in (realm, name))
    entry += struct.pack(">IIBHH", 1, 0, 1, 18, 32) + bytes(range(32))
    return b"\x05\x02" + struct.pack(">i", len(entry)) + entry


class Kdc:
    """
    Of a realm.  life: of its tickets, in seconds at most.  ahead: its clock's seconds before ours.  client: lines of
    [libdefaults] in the krb5.conf of whoever asks.
    """

    def __init__(self, life=36000, ahead=0, client=()):
        self.folder, self.port, self.ahead, self.process = env.folder("kdc"), env.free_port(), ahead, None
        self.config = self.folder / "krb5.conf"
        # names are taken as they are: no DNS is asked
        self.config.write_text("""[libdefaults]
    default_realm = %s
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
%s[realms]
    %s = {
        kdc = 127.0.0.1:%d
    }
    OTHER.EXAMPLE = {
        kdc = 127.0.0.1:1
    }
[domain_realm]
    %s = %s
""" % (REALM, "".join("    %s\n" % line for line in client), REALM, self.port, HOST, REALM))
        (self.folder / "kdc.conf").write_text("""[kdcdefaults]
    kdc_listen = 127.0.0.1:%d
    kdc_tcp_listen = 127.0.0.1:%d
[realms]
    %s = {
        database_name = %s/principal
        key_stash_file = %s/stash
        acl_file = %s/acl
        max_life = %ds
    }
[logging]
    kdc = FILE:%s/kdc.log
    admin_server = FILE:%s/admin.log
""" % (self.port, self.port, REALM, self.folder, self.folder, self.folder, life, self.folder, self.folder))
        self._run("/usr/sbin/kdb5_util", "create", "-s", "-r", REALM, "-P", "master-of-a-test")
        self.admin("addprinc -randkey " + SERVICE)

    def environment(self):
        return dict(os.environ, KRB5_CONFIG=str(self.config), KRB5_KDC_PROFILE=str(self.folder / "kdc.conf"),
                    KRB5RCACHENAME="none:")

    def _run(self, *command):
        subprocess.run(command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, check=True, timeout=60)

    def admin(self, *requests):
        for request in requests:
            self._run("/usr/sbin/kadmin.local", "-r", REALM, "-q", request)

    def keytab(self, principal, name=None, change=True):
        """The path of a keytab of httpd's with the keys of a principal, which are new unless change is false."""
        path = self.folder / (name or principal.replace("/", "-") + ".keytab")
        fresh = self.folder / "fresh"
        fresh.unlink(missing_ok=True)
        self.admin("ktadd %s-k %s %s" % ("" if change else "-norandkey ", fresh, principal))
        fresh.rename(for_httpd(fresh) and path)
        return path

    def start(self):
        # not by the program faketime, which would be stopped in place of the KDC
        clock = dict(LD_PRELOAD=faketime(), FAKETIME="+%ds" % self.ahead) if self.ahead else {}
        self.process = env.start(["/usr/sbin/krb5kdc", "-n", "-r", REALM], env=dict(self.environment(), **clock),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        env.wait_until(lambda: env.listening(self.port), 20, what="krb5kdc did not start")
        return self

    def stop(self):
        if self.process is not None:
            env.stop(self.process)
            self.process = None

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "kdc.log").read_text("utf-8", "replace")
        return ""

    @contextlib.contextmanager
    def found(self):
        """Whoever is started within finds this KDC; httpd takes it from its environment."""
        before = os.environ.get("KRB5_CONFIG")
        os.environ["KRB5_CONFIG"] = str(self.config)
        yield self
        os.environ.pop("KRB5_CONFIG")
        if before is not None:
            os.environ["KRB5_CONFIG"] = before


class Front:
    """
    An httpd that lets in whom Kerberos knows, over TLS, and asks a double in their name (X-Remote-User).
    certificate: of its TLS, in the double's folder.  mutual: it wants the client's certificate as well.
    """

    def __init__(self, kdc, double, require="valid-user", mutual=False):
        self.folder, self.port, self.process = env.folder("front"), env.free_port(), None
        self.kdc = kdc
        keytab = kdc.keytab(SERVICE, change=False)
        text = 'ServerRoot "%s"\nServerName localhost\nListen 127.0.0.1:%d\n' % (self.folder, self.port)
        text += conf.load("mpm_event") + "".join(conf.load(name) for name in MODULES)
        if env.ROOT:
            text += "User %s\nGroup %s\n" % (env.USER, env.USER)
        text += """DefaultRuntimeDir run
PidFile httpd.pid
ErrorLog error_log
LogLevel info
LogFormat "%%>s %%k %%{Authorization}i" short
CustomLog access_log short
SSLEngine on
SSLCertificateFile %(double)s/server.pem
SSLCertificateKeyFile %(double)s/server.key
SSLProxyEngine on
SSLProxyCACertificateFile %(double)s/ca.pem
%(mutual)sProxyPass / %(to)s/
<Location />
    AuthType GSSAPI
    AuthName "AD CS"
    GssapiCredStore keytab:%(keytab)s
    GssapiAllowedMech krb5
    Require %(require)s
    RequestHeader set X-Remote-User expr=%%{REMOTE_USER}
</Location>
""" % dict(double=double.folder, to=double.url, keytab=keytab, require=require,
           mutual="SSLVerifyClient require\nSSLCACertificateFile %s/ca.pem\n" % double.folder if mutual else "")
        (self.folder / "run").mkdir()
        (self.folder / "httpd.conf").write_text(text)

    @property
    def url(self):
        return "https://%s:%d" % (HOST, self.port)

    def start(self):
        environment = {k: v for k, v in self.kdc.environment().items() if not k.startswith("APACHE_")}
        self.process = env.start([env.httpd_program(), "-d", self.folder, "-f", self.folder / "httpd.conf",
                                  "-DFOREGROUND"], env=environment, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        env.wait_until(lambda: (self.folder / "httpd.pid").exists() and env.listening(self.port), 40,
                       what="httpd before the double did not start")
        return self

    def stop(self):
        if self.process is not None:
            env.stop(self.process)
            self.process = None
