# SPDX-License-Identifier: Apache-2.0
"""EJBCA's REST interface for certificates: refuses what the real one refuses, and answers as mode says."""
import base64
import json
import re
import shutil
import urllib.parse

from cryptography import x509

import ca_double
import env
import pki

ROOT = "/ejbca/ejbca-rest-api"
NAME, DN = "Issuing CA", "CN=Test CA,O=Example C/D"
FIELDS = {"certificate_request", "certificate_profile_name", "end_entity_profile_name", "certificate_authority_name",
          "username", "password", "include_chain"}


class Handler(ca_double.Handler):
    def give(self, status, answer):
        self.say(status, (("Content-Type", "application/json"),), json.dumps(answer).encode())

    def error(self, status, text):
        self.give(status, {"error_code": status, "error_message": text})

    def refused(self):
        if self.double.peer_is_refused(self.connection):
            self.error(403, "Client certificate is not that of an administrator")
            return True
        return False

    def do_GET(self):
        double = self.double
        if self.refused():
            return
        if self.path == ROOT + "/v1/certificate/status":
            self.give(200, {"status": "OK", "version": "1.0", "revision": "EJBCA"})
        elif self.path == ROOT + "/v1/ca":
            other = {"id": 1, "name": "Management CA", "subject_dn": "CN=Management", "issuer_dn": "CN=Management"}
            mine = {"id": 2, "name": double.ca_name, "subject_dn": DN, "issuer_dn": DN}
            self.give(200, {"certificate_authorities": [other, mine]})
        elif self.path == ROOT + "/v1/ca/%s/certificate/download" % urllib.parse.quote(DN, safe="-._~"):
            self.say(200, (("Content-Type", "application/octet-stream"),), pki.pem_of(double.ca.load("ca.pem")))
        else:
            self.error(404, "not found")

    def do_PUT(self):
        double = self.double
        self.body()
        found = re.fullmatch(ROOT + r"/v1/certificate/([^/]+)/([0-9A-F]+)/revoke\?reason=([A-Z_]+)", self.path)
        if self.refused():
            return
        if not found or urllib.parse.unquote(found.group(1)) != DN or found.group(2) not in double.issued:
            self.error(404, "Certificate with issuer and serial number not found")
        elif found.group(2) in double.revoked:
            self.error(409, "already revoked")
        else:
            double.revoked[found.group(2)] = found.group(3)
            self.give(200, {"revoked": True})

    def do_POST(self):
        double, body = self.double, self.body()
        if self.refused():
            return
        asked = json.loads(body)
        if self.path != ROOT + "/v1/certificate/pkcs10enroll" or set(asked) != FIELDS:
            self.error(400, "Invalid JSON")
            return
        csr = x509.load_pem_x509_csr(asked["certificate_request"].encode())
        assert csr.is_signature_valid
        with double.lock:
            double.enrolled.append(asked)
        if asked["certificate_authority_name"] != double.ca_name:
            self.error(404, "CA with name %s doesn't exist" % asked["certificate_authority_name"])
            return
        if self.misbehaves():
            return
        if double.mode == "rejected":
            self.error(400, ca_double.REASON)
        elif double.mode == "waiting":
            self.error(202, "Waiting for approval")
        elif double.mode.startswith("answer "):
            _, status, text = double.mode.split(" ", 2)
            self.say(int(status), (("Content-Type", "application/json"),), text.encode())
        else:
            leaf = double.sign(csr)
            serial = "%X" % leaf.serial_number
            double.issued.append(serial if len(serial) % 2 == 0 else "0" + serial)
            self.give(201, {"certificate": base64.b64encode(pki.der_of(leaf)).decode(), "serial_number": serial,
                            "response_format": "DER", "certificate_profile": asked["certificate_profile_name"],
                            "certificate_chain": [base64.b64encode(pki.der_of(double.ca.load("ca.pem"))).decode()]})


class EjbcaDouble(ca_double.CaDouble):
    name, pends, handler = "ejbca", False, Handler
    lines = ()

    def __init__(self, ca=None, kind="good", mutual=True):
        self.ca_name, self.enrolled, self.issued, self.revoked = NAME, [], [], {}
        super().__init__(ca, kind, mutual)

    def backend(self, *more, url=None):
        return " ".join(["ScepCABackend ejbca url=%s" % ((url or self.url) + ROOT), self.tls(),
                         '"caName=%s" endEntityProfile=Devices' % NAME] + list(more))

    def replace_credentials(self):
        self.replace_client()
        if env.ROOT:
            shutil.chown(self.folder / "client.key", env.USER)
        return True


DOUBLES = [EjbcaDouble]
