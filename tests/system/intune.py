# SPDX-License-Identifier: Apache-2.0
"""Directory, Microsoft Graph and Intune in one server over real TLS; it refuses what the real ones refuse."""
import base64
import hashlib
import json
import os
import re
import time
import urllib.parse
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import pkcs7

import pki
import tls_double

TENANT, CLIENT = "contoso.example", "0b5ef1c2-77aa-4d1e-9f00-3c5f0a6b7d11"
SECRET = "Wq8~aB.cD-eF_gH/iJ+kL=mN&oP"
INTUNE_SCOPE = "https://api.manage.microsoft.com//.default"
CHALLENGE_PASSWORD = x509.ObjectIdentifier("1.2.840.113549.1.9.7")
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
SUCCESS = {"transactionId", "certificateRequest", "certificateThumbprint", "certificateSerialNumber",
           "certificateExpirationDateUtc", "issuingCertificateAuthority", "callerInfo", "caConfiguration",
           "certificateAuthority"}
FAILURE = {"transactionId", "certificateRequest", "hResult", "errorDescription", "callerInfo"}
ERRORS = {"None", "NonRetryableServiceException", "DataSerializationError", "ParameterDataInvalidError",
          "CryptographyError", "CertificateNotFoundError", "ConflictError", "NotSupportedError",
          "PayloadTooLargeError", "RetryableServiceException", "ServiceUnavailableException",
          "ServiceTooBusyException", "AuthenticationException"}


def _unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Handler(tls_double.Handler):
    def setup(self):
        super().setup()
        self.cloud = self.double

    def do_GET(self):
        self._serve(b"")

    def do_POST(self):
        self._serve(self.body())

    def _serve(self, body):
        path = self.path
        kind = "token" if path.endswith("/token") else "discovery" if "/endpoints" in path else path.split("/")[-1]
        self.cloud.note(kind, body, self.headers)
        override = self.cloud.answers.get(kind)
        if kind in self.cloud.slow:
            self.cloud.gate.wait(30)
        try:
            answer = getattr(self, "_" + kind, self._none)(body)
        except (AssertionError, ValueError, KeyError, TypeError) as error:
            self.cloud.wrong.append("%s: %r" % (kind, error))
            answer = (400, (), {})
        status, headers, content = override if override and answer[0] != 401 else answer
        self.say(status, headers, content if isinstance(content, bytes) else json.dumps(content).encode())

    def _none(self, body):
        raise AssertionError("nobody asks %s" % self.path)

    # The directory

    def _token(self, body):
        assert self.path == "/%s/oauth2/v2.0/token" % TENANT, self.path
        assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        form = {name: values[0] for name, values in
                urllib.parse.parse_qs(body.decode("ascii"), strict_parsing=True).items()}
        assert form["grant_type"] == "client_credentials" and form["client_id"] == CLIENT
        if "client_secret" in form:
            if form["client_secret"] != self.cloud.secret:
                return 401, (), {"error": "invalid_client", "error_description":
                                 "AADSTS7000215: Invalid client secret provided: " + form["client_secret"]}
        else:
            self._assertion(form)
        assert form["scope"] in (INTUNE_SCOPE, self.cloud.url + "/.default"), form["scope"]
        return 200, (), {"token_type": "Bearer", "expires_in": self.cloud.expires_in, "ext_expires_in": 3599,
                         "access_token": self.cloud.token(form["scope"])}

    def _assertion(self, form):
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        signed, signature = form["client_assertion"].rsplit(".", 1)
        head, claims = (json.loads(_unbase64url(part)) for part in signed.split("."))
        certificate = self.cloud.certificate
        der = pki.der_of(certificate)
        assert head["x5t"] == base64.urlsafe_b64encode(hashlib.sha1(der).digest()).decode().rstrip("=")
        assert head["x5t#S256"] == base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
        how = {"RS256": padding.PKCS1v15(), "PS256": padding.PSS(padding.MGF1(hashes.SHA256()), 32)}[head["alg"]]
        certificate.public_key().verify(_unbase64url(signature), signed.encode(), how, hashes.SHA256())
        assert claims["aud"] == self.cloud.url + self.path
        assert claims["iss"] == claims["sub"] == CLIENT and GUID.fullmatch(claims["jti"])
        assert claims["nbf"] <= time.time() < claims["exp"] <= time.time() + 86400
        assert claims["jti"] not in self.cloud.seen
        self.cloud.seen.add(claims["jti"])
        self.cloud.algorithms.add(head["alg"])

    # Graph

    def _bearer(self, scope):
        assert GUID.fullmatch(self.headers["client-request-id"])
        kind, token = self.headers["Authorization"].split(" ")
        return kind == "Bearer" and self.cloud.tokens.get(token) == scope

    def _endpoints(self, body):
        return self._discovery(body)

    def _discovery(self, _):
        assert self.path == "/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints"
        if not self._bearer(self.cloud.url + "/.default"):
            return 401, (), {}
        return 200, (), {"value": [
            {"providerName": "Else", "serviceName": "ScepRequestValidationFEService", "uri": "https://else.invalid/"},
            {"providerName": "ScepRequestValidationFEService", "uri": self.cloud.location},
            {"serviceName": "PkiConnectorFEService", "uri": self.cloud.url + "/pki"}]}

    # Intune

    def _call(self, body, version):
        """The body of a call; None: its token is no good."""
        assert self.headers["api-version"] == version and self.headers["Content-Type"] == "application/json"
        if not self._bearer(INTUNE_SCOPE):
            return None
        return json.loads(body.decode("utf-8"))

    def _csr(self, inner):
        text = inner["certificateRequest"]
        der = base64.b64decode(text, validate=True)
        assert base64.b64encode(der).decode() == text and isinstance(inner["transactionId"], str)
        assert re.fullmatch(r"\S+/\S+", inner["callerInfo"])
        return x509.load_der_x509_csr(der)

    def _validateRequest(self, body):
        message = self._call(body, "2018-02-20")
        if message is None:
            return 401, (), {}
        assert set(message) == {"request"} and set(message["request"]) == {
            "transactionId", "certificateRequest", "callerInfo"}
        return 200, (), {"code": self.cloud.judge(self._csr(message["request"])), "errorDescription": ""}

    def _told(self, body, members):
        message = self._call(body, "2018-02-20")
        if message is None:
            return 401, (), {}
        inner = message["notification"]
        assert set(message) == {"notification"} and set(inner) == members, set(inner) ^ members
        self._csr(inner)
        return 200, (), {"code": "Success", "errorDescription": ""}

    def _successNotification(self, body):
        inner = json.loads(body)["notification"]
        assert re.fullmatch("[0-9A-F]{40}", inner["certificateThumbprint"])
        assert re.fullmatch("([0-9A-F]{2})+", inner["certificateSerialNumber"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", inner["certificateExpirationDateUtc"])
        return self._told(body, SUCCESS)

    def _failureNotification(self, body):
        inner = json.loads(body)["notification"]
        assert isinstance(inner["hResult"], int) and 0 < inner["hResult"] < 1 << 32
        assert 0 < len(inner["errorDescription"]) <= 255
        return self._told(body, FAILURE)

    # Revocations

    def _downloadRevocationRequests(self, body):
        message = self._call(body, "5019-05-05")
        if message is None:
            return 401, (), {}
        parameters = message["downloadParameters"]
        assert set(parameters) == {"maxRequests", "issuerName"} and 1 <= parameters["maxRequests"] <= 500
        wanted = [r for r in self.cloud.revocations.values()
                  if parameters["issuerName"] in (None, r["issuerName"])]
        return 200, (), {"value": wanted[:parameters["maxRequests"]]}

    def _uploadRevocationResults(self, body):
        message = self._call(body, "5019-05-05")
        if message is None:
            return 401, (), {}
        assert set(message) == {"results"} and message["results"]
        for result in message["results"]:
            assert set(result) == {"requestContext", "succeeded", "errorCode", "errorMessage"}
            assert result["errorCode"] in ERRORS and result["succeeded"] == (result["errorCode"] == "None")
            self.cloud.results.append(result)
            if not result["errorCode"].startswith(("Retryable", "ServiceUnavailable", "ServiceTooBusy")):
                self.cloud.revocations.pop(result["requestContext"], None)
        return 200, (), {"value": True}


class Intune(tls_double.Double):
    """
    answers: {kind: (status, headers, body)} in place of the right answer; kind is token, discovery or the
    last part of the path.  slow: kinds that wait for gate.  code: validateRequest's; None: as the challenge is.
    """

    def __init__(self, kind="good"):
        self.secret, self.expires_in, self.seen, self.algorithms = SECRET, 3599, set(), set()
        self.tokens, self.calls, self.wrong, self.results, self.revocations = {}, [], [], [], {}
        self.issued = {}                    # {signed content: (subject, valid)}
        super().__init__(Handler, "intune", kind)
        self.signer = self.certificate = pki.certificate("application", self.key)
        self.files.write("login.pem", pki.pem_of(self.certificate), 0o644)
        self.files.write("login.key", pki.pem(self.key))
        self.files.write("secret", (SECRET + "\n").encode())
        self.well()

    def well(self):
        """All is well again, nothing was asked."""
        self.answers, self.slow, self.code, self.location = {}, set(), None, self.url + "/fe/"
        self.gate.set()
        with self.lock:
            self.calls.clear()

    def note(self, kind, body, headers):
        with self.lock:
            self.calls.append((kind, body, dict(headers.items())))

    def count(self, kind):
        with self.lock:
            return sum(call[0] == kind for call in self.calls)

    def of(self, kind):
        """The inner objects of the calls of a kind."""
        with self.lock:
            return [next(iter(json.loads(body).values())) for what, body, _ in self.calls if what == kind]

    def requests(self, kind):
        """The client-request-ids of a kind."""
        with self.lock:
            return [headers["client-request-id"] for what, _, headers in self.calls if what == kind]

    def token(self, scope):
        token = base64.urlsafe_b64encode(os.urandom(30)).decode() + "." + uuid.uuid4().hex
        with self.lock:
            self.tokens[token] = scope
        return token

    def forget_tokens(self):
        """All tokens that were given are no good any more."""
        with self.lock:
            self.tokens.clear()

    def challenge(self, subject="CN=device", valid=True, size=3000):
        """What Intune gives a device: base64 of a signed message."""
        content = os.urandom(size)
        self.issued[content] = (subject, valid)
        signed = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(
            self.signer, self.key, hashes.SHA256())
        return base64.b64encode(signed.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])).decode()

    def judge(self, csr):
        """The code for a request.  Blanks in base64 are skipped, as .NET does."""
        if self.code:
            return self.code
        try:
            text = csr.attributes.get_attribute_for_oid(CHALLENGE_PASSWORD).value.decode()
        except x509.AttributeNotFound:
            return "ChallengePasswordMissing"
        try:
            blob = base64.b64decode(re.sub(r"\s", "", text), validate=True)
        except ValueError:
            return "ChallengeDecodingError"
        found = [value for content, value in self.issued.items() if content in blob]
        if not found:
            return "ChallengeDecryptionError"
        subject, valid = found[0]
        if not valid:
            return "ChallengeExpired"
        return "Success" if csr.subject.rfc4514_string() == subject else "SubjectNameMismatch"

    def revoke(self, serial, issuer):
        """Asks for a revocation; its context."""
        context = uuid.uuid4().hex
        self.revocations[context] = dict(requestContext=context, serialNumber=serial, issuerName=issuer,
                                         caConfiguration=None)
        return context

    def policy(self, *more, login=None):
        """The directive."""
        login = login or "secretFile=%s" % (self.folder / "secret")
        return "ScepPolicy intune tenant=%s clientId=%s %s authority=%s graph=%s/ caFile=%s %s" % (
            TENANT, CLIENT, login, self.url, self.url, self.folder / "ca.pem", " ".join(more))

    def by_certificate(self):
        return "certificate=%s key=%s" % (self.folder / "login.pem", self.folder / "login.key")
