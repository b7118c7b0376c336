# SPDX-License-Identifier: Apache-2.0
"""Vault's PKI secrets engine as a double: sign-verbatim and sign by role, logins, tokens that end, seals."""
import datetime
import json
import os
import random
import secrets
import shutil

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID, NameOID, ObjectIdentifier

import ca_double
import env
import pki

ROLE_ID = "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8"
USAGES = {"digitalsignature": "digital_signature", "contentcommitment": "content_commitment",
          "keyencipherment": "key_encipherment", "dataencipherment": "data_encipherment",
          "keyagreement": "key_agreement", "encipheronly": "encipher_only", "decipheronly": "decipher_only"}
ALL = set(USAGES.values()) | {"key_cert_sign", "crl_sign"}


class Refused(Exception):
    """status and errors of an answer."""


class Handler(ca_double.Handler):
    def do_GET(self):
        double = self.double
        if self.path == "/v1/sys/health":
            return self.say(503 if double.sealed else double.health, (), b"{}")
        if self.path == "/v1/pki/ca_chain":
            return self.say(200, (("Content-Type", "application/pem-certificate-chain"),),
                            double.chain_text())
        return self.tell(404, {"errors": []})

    def do_POST(self):
        double, body = self.double, self.body()
        with double.lock:
            double.calls.append((self.path, dict(self.headers), body))
        if double.sealed:
            return self.tell(503, {"errors": ["Vault is sealed"]})
        if self.path.startswith("/v1/auth/"):
            return self.attempt(double.log_in, json.loads(body), self.connection)
        if self.path.startswith("/v1/pki/sign") and self.misbehaves():
            return None
        return self.attempt(double.operate, json.loads(body), self.headers)

    do_PUT = do_POST

    def attempt(self, function, body, more):
        try:
            self.tell(200, function(self.path, body, more))
        except Refused as refused:
            self.tell(refused.args[0], {"errors": list(refused.args[1:])})

    def tell(self, status, answer):
        self.say(status, (("Content-Type", "application/json"), ("Cache-Control", "no-store")),
                 json.dumps(answer).encode())


class Vault(ca_double.CaDouble):
    """
    auth: token, approle or cert.  lease: seconds of a login.  role: what the role "device" makes of a subject
    and names.  calls: all that came, (path, headers, body).
    """
    name, handler = "vault", Handler

    def __init__(self, ca=None, kind="good", mutual=True, auth="approle"):
        self.auth, self.lease, self.sealed, self.health, self.namespace = auth, 3600, False, 200, None
        self.tokens, self.calls, self.revoked, self.issued = set(), [], set(), {}
        self.max_ttl = 100 * 365 * 86400
        super().__init__(ca, kind, mutual)
        self.token, self.secret_id = "hvs." + secrets.token_urlsafe(24), secrets.token_hex(16)
        self.tokens.add(self.token)
        self.write_secrets()

    def write_secrets(self):
        for name, text in ("token", self.token), ("secret-id", self.secret_id):
            path = self.files.write(name + ".new", (text + "\n").encode())
            if env.ROOT:
                shutil.chown(path, env.USER, env.USER)
            os.rename(path, self.folder / name)

    def paths(self, part):
        return [path for path, _, _ in self.calls if part in path]

    def chain_text(self):
        return (self.ca.folder / "chain.pem").read_bytes()

    def words(self):
        """How to log in."""
        return {"token": "auth=token tokenFile=%s" % (self.folder / "token"),
                "approle": "auth=approle roleId=%s secretIdFile=%s" % (ROLE_ID, self.folder / "secret-id"),
                "cert": "auth=cert authRole=front"}[self.auth]

    def backend(self, *more, url=None, backend="vault"):
        return "ScepCABackend %s url=%s %s %s %s" % (backend, url or self.url, self.tls(), self.words(),
                                                     " ".join(more))

    def replace_credentials(self):
        """Another token or secret id; what was given out for the old one ends."""
        self.token, self.secret_id = "hvs." + secrets.token_urlsafe(24), secrets.token_hex(16)
        self.tokens = {self.token}
        self.write_secrets()
        return True

    def log_in(self, path, body, connection):
        if path == "/v1/auth/approle/login":
            if set(body) != {"role_id", "secret_id"} or body["role_id"] != ROLE_ID or \
                    body["secret_id"] != self.secret_id:
                raise Refused(400, "invalid role or secret ID")
        elif path == "/v1/auth/cert/login":
            if not connection.getpeercert() or body != {"name": "front"}:
                raise Refused(400, "invalid certificate or no client certificate supplied")
        else:
            raise Refused(404, "no handler for route %r. route entry not found." % path[4:])
        token = "hvs." + secrets.token_urlsafe(24)
        with self.lock:
            self.tokens.add(token)
        return {"auth": {"client_token": token, "accessor": "a", "policies": ["default", "scep"],
                         "lease_duration": self.lease, "renewable": True, "token_type": "service"},
                "data": None, "warnings": None}

    def operate(self, path, body, headers):
        if self.namespace and headers["X-Vault-Namespace"] != self.namespace:
            raise Refused(404, "no handler for route %r. route entry not found." % path[4:])
        if headers["X-Vault-Token"] not in self.tokens or headers["X-Vault-Request"] != "true":
            raise Refused(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
        if path in ("/v1/pki/sign-verbatim", "/v1/pki/sign-verbatim/device"):
            return self.sign_verbatim(body)
        if path == "/v1/pki/sign/device":
            return self.sign_by_role(body)
        if path.startswith("/v1/pki/sign/"):
            raise Refused(400, "unknown role: " + path.rsplit("/", 1)[1])
        if path == "/v1/pki/revoke":
            return self.revoke(body)
        raise Refused(403, "1 error occurred:\n\t* permission denied\n\n")

    def sign_verbatim(self, body):
        if set(body) != {"csr", "format", "ttl", "key_usage", "ext_key_usage", "ext_key_usage_oids"}:
            raise Refused(400, "unexpected fields: %s" % sorted(body))
        csr = self.csr(body)
        ours = [x509.BasicConstraints(self.mode == "ca-cert", None)]
        if body["key_usage"]:
            wanted = {USAGES[name.lower()] for name in body["key_usage"]}
            ours.append(x509.KeyUsage(**{name: name in wanted for name in ALL}))
        if body["ext_key_usage_oids"]:
            ours.append(x509.ExtendedKeyUsage([ObjectIdentifier(oid) for oid in body["ext_key_usage_oids"]]))
        # all extensions of the CSR but one win over what was asked for
        copied = [ext for ext in csr.extensions if ext.oid != ExtensionOID.BASIC_CONSTRAINTS]
        extensions = [(ext.value, ext.critical) for ext in copied]
        extensions += [(value, True) for value in ours if value.oid not in [ext.oid for ext in copied]]
        return self.answer(csr, csr.subject, extensions, body)

    def sign_by_role(self, body):
        """Takes the common name and the DNS names; the rest is the role's."""
        if not set(body) <= {"csr", "format", "ttl"}:
            raise Refused(400, "unexpected fields: %s" % sorted(body))
        csr = self.csr(body)
        name = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if not name or name[0].value.startswith("evil"):
            raise Refused(400, "common name %s not allowed by this role" % (name[0].value if name else ""))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[0].value),
                             x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Of the role")])
        extensions = [(x509.BasicConstraints(False, None), True)]
        try:
            names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            extensions.append((x509.SubjectAlternativeName(
                [x509.DNSName(n) for n in names.get_values_for_type(x509.DNSName)]), False))
        except x509.ExtensionNotFound:
            pass
        return self.answer(csr, subject, extensions, body)

    def csr(self, body):
        if body["format"] != "pem":
            raise Refused(400, "the format is not pem")
        csr = x509.load_pem_x509_csr(body["csr"].encode())
        if not csr.is_signature_valid:
            raise Refused(400, "request signature invalid")
        if self.mode == "rejected":
            raise Refused(400, ca_double.REASON)
        return csr

    def answer(self, csr, subject, extensions, body):
        issuer, issuer_key, key = self.ca.load("ca.pem"), pki.key("ca-root"), csr.public_key()
        name = issuer.subject
        if self.mode == "wrong-key":
            key = pki.key("double-stranger").public_key()
        if self.mode == "wrong-chain":
            issuer_key = pki.key("double-stranger")
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stranger CA")])
        seconds = min(int(body["ttl"].rstrip("s")) if "ttl" in body else 86400, self.max_ttl)
        now, serial = datetime.datetime.utcnow().replace(microsecond=0), random.getrandbits(150) + 1
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(key)
                   .serial_number(serial).not_valid_before(now - datetime.timedelta(seconds=30))
                   .not_valid_after(now + datetime.timedelta(seconds=seconds)))
        for value, critical in extensions:
            builder = builder.add_extension(value, critical)
        made = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                                     False).sign(issuer_key, hashes.SHA256())
        text = "%x" % serial
        text = text if len(text) % 2 == 0 else "0" + text
        text = ":".join(text[i:i + 2] for i in range(0, len(text), 2))
        with self.lock:
            self.issued[text] = made
        return {"data": {"certificate": pki.pem_of(made).decode(), "issuing_ca": pki.pem_of(issuer).decode(),
                         "ca_chain": [pki.pem_of(issuer).decode()], "serial_number": text,
                         "expiration": int(made.not_valid_after.timestamp())}, "warnings": None, "auth": None}

    def revoke(self, body):
        serial = body["serial_number"]
        if set(body) != {"serial_number"} or serial not in self.issued:
            raise Refused(400, "certificate with serial %s not found" % serial)
        with self.lock:
            self.revoked.add(serial)
        return {"data": {"revocation_time": 1, "state": "revoked"}}


DOUBLES = [Vault]
