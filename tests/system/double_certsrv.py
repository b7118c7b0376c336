# SPDX-License-Identifier: Apache-2.0
"""AD CS behind its web enrollment pages, in French, as servers in France write them: only links and identifiers
are the same in all languages."""
import base64
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

import ca_double
import double_adcs
import pki

PENDING = ('<HTML><HEAD><TITLE>Services de certificats Active Directory</TITLE>'
           '<SCRIPT>var nError = 0x80092023;</SCRIPT></HEAD><BODY><P ID=locPageTitle>Certificat en attente</P>'
           '<P ID=locInfoReqID>Votre identificateur de demande est %d.</P></BODY></HTML>')
ISSUED = ('<HTML><BODY><SCRIPT>if (0x80094004 == n) fail();</SCRIPT>'
          '<A HREF="certnew.cer?ReqID=%d&amp;Enc=b64">Télécharger le certificat</A>'
          '<A Href="certnew.cer?ReqID=%d&Enc=bin">DER</A></BODY></HTML>')
DENIED = ('<HTML><BODY><P>Votre demande de certificat a été refusée.</P>'
          '<P>Le message de disposition est "Refusé par le module de stratégie 0x%08x, %s"</P></BODY></HTML>')
STATE = '<HTML><BODY><TABLE><TR><TD>%d <LocID ID=locDispSpacer> - </LocID>%s</TD></TR></TABLE></BODY></HTML>'


CA_LIST = ('<HTML><HEAD><SCRIPT LANGUAGE="VBScript">var nRenewals=%s;</SCRIPT></HEAD>'
           '<BODY><P ID=locPageTitle>Télécharger un certificat d\'autorité de certification</P></BODY></HTML>')


class Handler(ca_double.Handler):
    def page(self, text):
        self.say(200, (("Content-Type", "text/html; Charset=utf-8"),), text.encode())

    def allowed(self):
        """False: it has answered."""
        double = self.double
        if double.peer_is_refused(self.connection):
            self.say(403, (("Content-Type", "text/html"),), b"<html>403.7</html>")
            return False
        told = "Basic " + base64.b64encode(("%s:%s" % double.user).encode()).decode() if double.user else None
        if told and self.headers["Authorization"] != told:
            self.say(401, (("WWW-Authenticate", 'Basic realm="ca"'),), b"")
            return False
        if double.raw:
            self.say(*double.raw)
            return False
        return True

    def do_POST(self):
        double, body = self.double, self.body()
        double.bodies.append(body)
        if self.misbehaves() or not self.allowed():
            return
        form = urllib.parse.parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True)
        if self.path != "/certsrv/certfnsh.asp" or form["Mode"] != ["newreq"] or form["SaveCert"] != ["yes"]:
            self.say(404)
            return
        data = base64.b64decode(form["CertRequest"][0], validate=True)
        good, template = True, form["CertAttrib"][0]
        if template:
            csr, template = data, template[len("CertificateTemplate:"):-2]
            assert form["CertAttrib"][0] == "CertificateTemplate:%s\r\n" % template
        else:
            csr, template, good = double_adcs.check_cmc(double, data)
        if not good:
            self.page(DENIED % (0x8009480B, "signature"))
        elif double.mode == "rejected":
            self.page(DENIED % (double.hresult[0], ca_double.REASON))
        elif template != double.template:
            self.page(DENIED % (0x80094800, "Le modèle de certificat demandé n'est pas pris en charge"))
        else:
            with double.lock:
                double.waiting.append(x509.load_der_x509_csr(csr))
                number = len(double.waiting)
            self.page(PENDING % number if double.mode == "pending" else ISSUED % (number, number))

    def do_GET(self):
        double = self.double
        double.fetched.append(self.path)
        if self.misbehaves() or not self.allowed():
            return
        if double.fetch:
            self.say(*double.fetch)
            return
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        if url.path == "/certsrv/certcarc.asp":
            self.page(CA_LIST % double.renewals)
            return
        if url.path == "/certsrv/certnew.p7b":
            assert query == {"ReqID": ["CACert"], "Renewal": [str(double.renewals)], "Enc": ["bin"]}
            self.say(200, (("Content-Type", "application/x-pkcs7-certificates"),),
                     pkcs7.serialize_certificates([double.ca.load("ca.pem")], Encoding.DER)
                     if double.p7b is None else double.p7b)
            return
        number = int(query["ReqID"][0])
        if url.path != "/certsrv/certnew.cer" or query["Enc"] != ["b64"] or not 0 < number <= len(double.waiting):
            self.page(STATE % (1, "0x80094002"))
        elif double.mode == "pending":
            self.page(STATE % (5, "En attente"))
        elif double.mode == "rejected":
            self.page(STATE % (2, "Refusé"))
        else:
            self.say(200, (("Content-Type", "application/pkix-cert" if self.headers["User-Agent"].startswith("Mozilla")
                            else "text/html"),), pki.pem_of(double.sign(double.waiting[number - 1])))


class Certsrv(double_adcs.AdcsDouble):
    """fetch: what is said instead of a certificate or its state.  renewals: of the CA.  p7b: instead of its chain."""
    name, handler = "certsrv", Handler

    def __init__(self, *arguments, **how):
        self.fetch, self.fetched, self.renewals, self.p7b = None, [], 2, None
        super().__init__(*arguments, **how)

    def behave(self, mode="issued"):
        self.fetch = None
        super().behave(mode)

    def backend(self, *more):
        return " ".join(("ScepCABackend certsrv url=%s/certsrv" % self.url, self.tls(), self.agent()) + more)


DOUBLES = [Certsrv]
