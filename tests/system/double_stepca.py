# SPDX-License-Identifier: Apache-2.0
"""step-ca as a double: /1.0/sign and /1.0/revoke with one-time tokens of a JWK provisioner."""
import base64
import hashlib
import json
import os
import re
import shutil
import time

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.x509.oid import NameOID

import ca_double
import env
import pki

GENERIC = "The request lacked necessary authorization to be completed. Please see the certificate authority " \
          "logs for more info."


class Refused(Exception):
    """status and message of an answer."""


def decode(text):
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(key):
    """Of a public key, the members that count for its thumbprint."""
    numbers = key.public_numbers()
    if isinstance(key, ec.EllipticCurvePublicKey):
        size = (key.curve.key_size + 7) // 8
        return {"crv": "P-%d" % key.curve.key_size, "kty": "EC", "x": encode(numbers.x.to_bytes(size, "big")),
                "y": encode(numbers.y.to_bytes(size, "big"))}
    return {"e": encode(numbers.e.to_bytes(3, "big")), "kty": "RSA",
            "n": encode(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big"))}


def thumbprint(key):
    text = json.dumps(jwk(key), separators=(",", ":"), sort_keys=True)
    return encode(hashlib.sha256(text.encode()).digest())


class Handler(ca_double.Handler):
    def do_GET(self):
        double = self.double
        if self.path == "/health":
            return self.tell(200 if double.well else 503, {"status": "ok"})
        if self.path in ("/1.0/roots", "/1.0/intermediates") and double.tells_chain:
            chain = (double.ca.folder / "chain.pem").read_text()
            certs = re.findall("-----BEGIN.*?END CERTIFICATE-----\n", chain, re.S)
            return self.tell(201, {"crts": certs[-1:] if self.path == "/1.0/roots" else certs[:-1]})
        return self.tell(404, {"status": 404, "message": "not found"})

    def do_POST(self):
        body = self.body()
        if self.path == "/1.0/sign" and self.misbehaves():
            return
        try:
            self.tell(*self.double.operate(self.path, json.loads(body)))
        except Refused as refused:
            self.tell(refused.args[0], {"status": refused.args[0], "message": refused.args[1]})

    def tell(self, status, answer):
        self.say(status, (("Content-Type", "application/json"),), json.dumps(answer).encode())


class StepCA(ca_double.CaDouble):
    """kind_of_key: of the provisioner, as pki.key() makes it.  maximum: seconds of a certificate."""
    name, handler = "stepca", Handler

    def __init__(self, ca=None, kind="good", mutual=False, kind_of_key="ec"):
        self.seen, self.claims, self.bodies, self.revoked = set(), [], [], {}
        self.well, self.tells_chain, self.maximum, self.skew = True, True, 366 * 86400, 0
        super().__init__(ca, kind, mutual)
        self.use(pki.key("provisioner", kind_of_key))

    def use(self, key):
        """The provisioner's key from now on, and in the file of ours."""
        self.provisioner_key = key
        path = self.files.write("provisioner.key.new", pki.pem(key))
        if env.ROOT:
            shutil.chown(path, env.USER, env.USER)
        os.rename(path, self.folder / "provisioner.key")

    def backend(self, *more, url=None):
        return "ScepCABackend stepca url=%s caFile=%s provisioner=scep@example provisionerKey=%s %s" % (
            url or self.url, self.folder / "ca.pem", self.folder / "provisioner.key", " ".join(more))

    def replace_credentials(self):
        self.use(pki.key("provisioner-new", "ec"))
        return True

    def verify(self, token, operation):
        """The claims of a token."""
        try:
            head, claims, signature = token.split(".")
            header, made = json.loads(decode(head)), json.loads(decode(claims))
            self.verify_signature(header["alg"], decode(signature), (head + "." + claims).encode())
        except (ValueError, AssertionError, KeyError, InvalidSignature) as error:
            raise Refused(401, GENERIC) from error
        now = time.time() + self.skew
        good = (header["kid"] == thumbprint(self.provisioner_key.public_key()) and made["iss"] == "scep@example" and
                self.url + operation in made["aud"] and made["nbf"] - 60 <= now <= made["exp"] + 60 and
                made["exp"] - made["iat"] <= 300 and made["sub"] and len(made["jti"]) == 32)
        with self.lock:
            good = good and made["jti"] not in self.seen
            self.seen.add(made["jti"])
            self.claims.append(made)
        if not good:
            raise Refused(401, GENERIC)
        return made

    def verify_signature(self, algorithm, signature, text):
        key = self.provisioner_key.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey):
            digest = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}[key.curve.key_size]()
            assert algorithm == {256: "ES256", 384: "ES384", 521: "ES512"}[key.curve.key_size]
            half = (key.curve.key_size + 7) // 8
            assert len(signature) == 2 * half
            key.verify(utils.encode_dss_signature(int.from_bytes(signature[:half], "big"),
                                                  int.from_bytes(signature[half:], "big")), text, ec.ECDSA(digest))
        else:
            assert algorithm == "RS256"
            key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())

    def operate(self, path, body):
        with self.lock:
            self.bodies.append(body)
        if path == "/1.0/sign":
            return self.sign_request(body)
        if path == "/1.0/revoke":
            claims = self.verify(body["ott"], path)
            if not body["passive"] or body["serial"] != claims["sub"] or not body["serial"].isdigit():
                raise Refused(400, "token subject and serial number do not match")
            if body["serial"] in self.revoked:
                raise Refused(400, "certificate with serial number '%s' is already revoked" % body["serial"])
            self.revoked[body["serial"]] = body["reasonCode"]
            return 200, {"status": "ok"}
        raise Refused(404, "not found")

    def sign_request(self, body):
        if not set(body) <= {"csr", "ott", "notAfter"}:
            raise Refused(400, "unknown fields")
        csr = x509.load_pem_x509_csr(body["csr"].encode())
        claims = self.verify(body["ott"], "/1.0/sign")
        if self.mode == "rejected":
            raise Refused(403, ca_double.REASON)
        names = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if names and names[-1].value != claims["sub"]:
            raise Refused(403, "certificate request does not contain the valid common name")
        if not self.same_names(csr, claims["sans"] or [claims["sub"]]):
            raise Refused(403, "certificate request does not contain the valid DNS names")
        seconds = int(body.get("notAfter", "86400s").rstrip("s"))
        if seconds > self.maximum:
            raise Refused(403, "requested duration of %ds is more than the authorized maximum certificate duration"
                          % seconds)
        issuer = pki.pem_of(self.ca.load("ca.pem")).decode()
        made = pki.pem_of(ca_double.sign(self.ca, csr, self.mode, days=max(1, seconds // 86400))).decode()
        return 201, {"crt": made, "ca": issuer, "certChain": [made, issuer], "tlsOptions": {}}

    @staticmethod
    def same_names(csr, wanted):
        try:
            found = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return True
        for kind in x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier:
            if not set(found.get_values_for_type(kind)) <= set(wanted):
                return False
        return {str(ip) for ip in found.get_values_for_type(x509.IPAddress)} <= set(wanted)


DOUBLES = [StepCA]
