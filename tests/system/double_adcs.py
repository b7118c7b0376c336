# SPDX-License-Identifier: Apache-2.0
"""AD CS behind the Certificate Enrollment Web Service: answers shaped as Windows Server 2025 sends them, and
refuses what it refuses ([MS-WSTEP])."""
import base64
import datetime
import re
import subprocess
import urllib.parse
import xml.etree.ElementTree as xml
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

import ca_double
import der
import pki

SOAP, ADDRESSING = "http://www.w3.org/2003/05/soap-envelope", "http://www.w3.org/2005/08/addressing"
TRUST = "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
ENROLLMENT = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment"
AUTHORIZATION = "http://schemas.xmlsoap.org/ws/2006/12/authorization"
WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
SECEXT, UTILITY = WSS + "wssecurity-secext-1.0.xsd", WSS + "wssecurity-utility-1.0.xsd"
X509V3 = WSS + "x509-token-profile-1.0#X509v3"

PATH = "/Corp-Issuing-CA_CES_Certificate/service.svc/CES"
AGENT_USAGE = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.1")


class Refusal(Exception):
    """A fault of the service: text, and its subcode."""

    def __init__(self, text, subcode="a:InternalServiceFault"):
        super().__init__(text)
        self.text, self.subcode = text, subcode


class Done(Exception):
    """It has answered already."""


def expected_pki_data(csr, template):
    """What [MS-WCCE] 3.1.1.4.3.3.3 asks for, as Windows writes it."""
    extension = der.seq(der.oid("1.3.6.1.4.1.311.20.2"), der.octets(der.string(template, der.BMP)))
    add = der.seq(der.integer(0), der.seq(der.integer(1)), der.seq(extension))
    info = "CertificateTemplate=%s&" % re.sub("%..", lambda code: code.group().lower(),
                                              urllib.parse.quote_plus(template))
    controls = der.seq(
        der.seq(der.integer(2), der.oid("1.3.6.1.5.5.7.7.8"), der.set_of(add)),
        der.seq(der.integer(3), der.oid("1.3.6.1.5.5.7.7.18"), der.set_of(der.octets(info.encode()))))
    return der.seq(controls, der.seq(der.implicit_seq(0, der.integer(1), csr)), der.seq(), der.seq())


def check_cmc(double, data):
    """(CSR, template, whether the signer is an agent) of a CMC message, which openssl verifies and of which each byte
    is what Windows would send."""
    done = subprocess.run(
        ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-CAfile", double.ca.path("chain.pem"),
         "-purpose", "any"], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Refusal("cms -verify: " + done.stderr.decode())
    signed = der.parse(data)[1][0]
    signer = x509.load_der_x509_certificate(signed.find(0xA0)[0].raw)
    usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    content = der.parse(done.stdout)
    csr = content[1][0][1].raw
    extension = content[0][0][2][0][2][0]
    template = der.parse(extension[1].octets()).content.decode("utf-16-be")
    if signed[2][0].oid() != "1.3.6.1.5.5.7.12.2" or done.stdout != expected_pki_data(csr, template):
        raise Refusal("The parameter is incorrect: " + done.stdout.hex())
    return csr, template, (len(signed.children[-1]) == 1 and AGENT_USAGE in usage
                           and signer.serial_number != double.refused_agent)


def full_response(*certificates):
    """CMC's answer: its chain is what anybody reads of it."""
    content = der.seq(der.oid("1.3.6.1.5.5.7.12.3"), der.explicit(0, der.octets(der.seq(der.seq(), der.seq(),
                                                                                       der.seq()))))
    signed = der.seq(der.integer(3), der.set_of(), content,
                     der.explicit(0, b"".join(pki.der_of(one) for one in certificates)), der.set_of())
    return der.seq(der.oid("1.2.840.113549.1.7.2"), der.explicit(0, signed))


def wrapped(data):
    """base64 as Windows breaks its lines."""
    return base64.encodebytes(data).decode().replace("\n", "&#xD;\n")


def template_of(context):
    items = context.findall("{%s}ContextItem" % AUTHORIZATION) if context is not None else []
    if len(items) != 1 or items[0].get("Name") != "CertificateTemplate":
        raise Refusal("The request contains no certificate template information.")
    return items[0].find("{%s}Value" % AUTHORIZATION).text


class Handler(ca_double.Handler):
    def do_POST(self):
        body = self.body()
        double = self.double
        self.message_id = ""
        double.bodies.append(body)
        if self.misbehaves():
            return
        if double.peer_is_refused(self.connection):
            self.say(401, (("Content-Type", "text/html"),), b"<html>401 - Unauthorized</html>")
        elif self.path != double.path:
            self.say(404)
        elif double.raw:
            self.say(*double.raw)
        else:
            try:
                self.answer(body)
            except Done:
                pass
            except Refusal as refusal:
                self.fault(refusal.text, subcode=refusal.subcode)

    # ---- reading

    def answer(self, body):
        if self.headers["Content-Type"] != "application/soap+xml; charset=utf-8":
            raise Refusal("The content type is not supported.")
        envelope = xml.fromstring(body)
        header, request = envelope.find("{%s}Header" % SOAP), envelope.find("{%s}Body" % SOAP)[0]
        self.message_id = header.find("{%s}MessageID" % ADDRESSING).text
        for name, value in ("Action", ENROLLMENT + "/RST/wstep"), ("To", self.double.to):
            part = header.find("{%s}%s" % (ADDRESSING, name))
            if part.text != value or part.get("{%s}mustUnderstand" % SOAP) != "1":
                raise Refusal("The message with %s '%s' cannot be processed at the receiver." % (name, part.text),
                              "a:ActionNotSupported")
        self.authenticate(header)
        if request.tag != "{%s}RequestSecurityToken" % TRUST or request.find("{%s}TokenType" % TRUST).text != X509V3:
            raise Refusal("The TokenType is invalid")
        kind = request.find("{%s}RequestType" % TRUST).text
        if kind == ENROLLMENT + "/QueryTokenStatus":
            self.status_of(request.find("{%s}RequestID" % ENROLLMENT).text)
        elif kind == TRUST + "/Issue":
            csr, template = self.csr_of(request)
            self.decide(csr, template)
        else:
            raise Refusal("The RequestType is invalid")

    def authenticate(self, header):
        user = header.find("{%s}Security/{%s}UsernameToken" % (SECEXT, SECEXT))
        if self.double.user is None:
            return
        told = user is not None and (user.find("{%s}Username" % SECEXT).text, user.find("{%s}Password" % SECEXT).text)
        kind = user is not None and user.find("{%s}Password" % SECEXT).get("Type")
        if told != self.double.user or kind != WSS + "username-token-profile-1.0#PasswordText":
            raise Refusal("An error occurred when verifying security for the message.", "a:FailedAuthentication")

    def csr_of(self, request):
        """(CSR, template) of the token, which is a CMC message or a PKCS#10."""
        token = request.find("{%s}BinarySecurityToken" % SECEXT)
        if token.get("EncodingType") != SECEXT + "#base64binary":
            raise Refusal("The EncodingType is invalid")
        data = base64.b64decode(token.text, validate=True)
        context = request.find("{%s}AdditionalContext" % AUTHORIZATION)
        if token.get("ValueType") == SECEXT + "#PKCS7" and context is None:
            return self.cmc(data)
        if token.get("ValueType") == ENROLLMENT + "#PKCS10":
            return data, template_of(context)
        raise Refusal("The ValueType is invalid")

    def cmc(self, data):
        csr, template, good = check_cmc(self.double, data)
        if not good:
            self.fault("The request is missing one or more required valid signatures.", 0x8009480B, True)
            raise Done()
        return csr, template

    # ---- answering

    def decide(self, data, template):
        double = self.double
        csr = x509.load_der_x509_csr(data)
        if double.mode == "rejected":
            code, denied = double.hresult
            self.fault(ca_double.REASON, code, denied)
        elif template != self.double.template:
            self.fault("The requested certificate template is not supported by this CA.", 0x80094800, True)
        elif double.mode == "pending":
            with double.lock:
                double.waiting.append(csr)
                number = len(double.waiting)
            self.pending(number)
        else:
            self.issued(csr, 4711)

    def status_of(self, number):
        double = self.double
        if not number.isdigit() or not 0 < int(number) <= len(double.waiting):
            self.fault("The request does not exist.", 0x80094002, True)
        elif double.mode == "pending":
            self.pending(int(number))
        elif double.mode == "rejected":
            self.fault(ca_double.REASON, *double.hresult)
        else:
            self.issued(double.waiting[int(number) - 1], int(number))

    def response(self, disposition, cmc, wanted, number):
        text = ('<RequestSecurityTokenResponseCollection xmlns="%s"><RequestSecurityTokenResponse><TokenType>%s'
                '</TokenType><DispositionMessage xml:lang="en-US" xmlns="%s">%s</DispositionMessage>'
                '<BinarySecurityToken ValueType="%s#PKCS7" EncodingType="%s#base64binary" a:Id="" xmlns:a="%s" '
                'xmlns="%s">%s</BinarySecurityToken><RequestedSecurityToken>%s</RequestedSecurityToken>'
                '<RequestID xmlns="%s">%d</RequestID></RequestSecurityTokenResponse>'
                '</RequestSecurityTokenResponseCollection>' % (
                    TRUST, X509V3, ENROLLMENT, disposition, SECEXT, SECEXT, UTILITY, SECEXT, wrapped(cmc), wanted,
                    ENROLLMENT, number))
        self.envelope(200, ENROLLMENT + "/RSTRC/wstep", text)

    def issued(self, csr, number):
        double = self.double
        leaf = double.sign(csr)
        token = ('<BinarySecurityToken ValueType="%s" EncodingType="%s#base64binary" a:Id="" xmlns:a="%s" xmlns="%s">%s'
                 '</BinarySecurityToken>' % (X509V3, SECEXT, UTILITY, SECEXT, wrapped(pki.der_of(leaf))))
        self.response("Issued", full_response(double.ca.load("ca.pem"), leaf), token, number)

    def pending(self, number):
        token = ('<SecurityTokenReference xmlns="%s"><Reference URI="%s"/></SecurityTokenReference>' % (
            SECEXT, escape(self.double.to)))
        self.response("Taken Under Submission", full_response(self.double.ca.load("ca.pem")), token, number)

    def fault(self, text, code=None, denied=False, subcode="a:InternalServiceFault"):
        detail = ""
        if code is not None:
            detail = ('<s:Detail><CertificateEnrollmentWSDetail xmlns="%s" '
                      'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><BinaryResponse xsi:nil="true"/>'
                      '<ErrorCode>%d</ErrorCode><InvalidRequest>%s</InvalidRequest><RequestID>12</RequestID>'
                      '</CertificateEnrollmentWSDetail></s:Detail>' % (
                          ENROLLMENT, code - (1 << 32), str(denied).lower()))
        self.envelope(500, ADDRESSING + "/fault",
                      '<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>%s</s:Value></s:Subcode>'
                      '</s:Code><s:Reason><s:Text xml:lang="en-US">%s</s:Text></s:Reason>%s</s:Fault>' % (
                          subcode, escape(text), detail))

    def envelope(self, status, action, body):
        text = ('<s:Envelope xmlns:a="%s" xmlns:s="%s"><s:Header><a:Action s:mustUnderstand="1">%s</a:Action>'
                '<a:RelatesTo>%s</a:RelatesTo></s:Header><s:Body>%s</s:Body></s:Envelope>' % (
                    ADDRESSING, SOAP, action, self.double.relates_to or self.message_id, body))
        self.say(status, (("Content-Type", "application/soap+xml; charset=utf-8"),), text.encode())


class _Renamed:
    """A CSR with another subject."""

    def __init__(self, csr, subject):
        self.subject, self.public_key, self.extensions = subject, csr.public_key, csr.extensions


class AdcsDouble(ca_double.CaDouble):
    """
    What both ways to AD CS have in common.
    template: the one that it offers.  hresult: code and whether the CA itself said no, in mode rejected.
    user: name and password that a UsernameToken must bring.  raw: what is said whatever was asked.
    subject: of the certificates, instead of what was asked for.
    """
    pends = True

    def __init__(self, ca=None, kind="good", mutual=True, user=None):
        self.user, self.template = user, "default"
        self.hresult, self.raw, self.relates_to, self.refused_agent = (0x80094001, True), None, None, None
        self.waiting, self.bodies, self.subject = [], [], None
        super().__init__(ca, kind, mutual)
        self.agent_files("agent")
        if user:
            self.files.write("user", ("%s:%s\n" % user).encode())

    def behave(self, mode="issued"):
        self.hresult, self.raw, self.relates_to = (0x80094001, True), None, None
        super().behave(mode)

    def sign(self, csr):
        if not self.subject:
            return super().sign(csr)
        return ca_double.sign(self.ca, _Renamed(csr, x509.Name.from_rfc4514_string(self.subject)), self.mode)

    def agent_files(self, name, key="agent", usage=AGENT_USAGE, days=365):
        """An enrollment agent's certificate and key, name.pem and name.key."""
        now = datetime.datetime.utcnow()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SCEP enrollment agent")])
        bits = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
        made = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.ca.load("ca.pem").subject)
                .public_key(pki.key(key).public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=2)).not_valid_after(now + datetime.timedelta(days=days))
                .add_extension(x509.KeyUsage(**{bit: bit == "digital_signature" for bit in bits}), True)
                .add_extension(x509.ExtendedKeyUsage([usage]), False)
                .sign(pki.key("ca-root"), hashes.SHA256()))
        self.files.write(name + ".key", pki.pem(pki.key(key)))
        self.files.write(name + ".pem", pki.pem_of(made), 0o644)
        return made

    def agent(self, name="agent"):
        return "agentCertificate=%s agentKey=%s" % (self.folder / (name + ".pem"), self.folder / (name + ".key"))

    def replace_credentials(self):
        """The connection's and the agent's."""
        self.refused_agent = self.files.load("agent.pem").serial_number
        self.agent_files("agent", "agent-new")
        self.for_httpd("agent.key")
        return self.replace_client()


class Adcs(AdcsDouble):
    """The web service."""
    name, handler, path = "adcs", Handler, PATH

    @property
    def to(self):
        return self.url + PATH

    def backend(self, *more):
        return " ".join(("ScepCABackend adcs url=" + self.to, self.tls(), self.agent()) + more)


DOUBLES = [Adcs]
