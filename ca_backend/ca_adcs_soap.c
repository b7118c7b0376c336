/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a Certificate Enrollment Web Service; see ca_adcs_soap.h. */
#include "ca_adcs_soap.h"
#include "ca_certs.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_xml.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define TAGS_MAX 1000   /* a real answer has about thirty */

#define NS_SOAP "http://www.w3.org/2003/05/soap-envelope"
#define NS_ADDRESSING "http://www.w3.org/2005/08/addressing"
#define NS_TRUST "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
#define NS_ENROLLMENT "http://schemas.microsoft.com/windows/pki/2009/01/enrollment"
#define NS_AUTHORIZATION "http://schemas.xmlsoap.org/ws/2006/12/authorization"
#define WSS "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
#define NS_SECURITY WSS "wssecurity-secext-1.0.xsd"
#define NS_UTILITY WSS "wssecurity-utility-1.0.xsd"

#define ACTION NS_ENROLLMENT "/RST/wstep"
#define TYPE_X509 WSS "x509-token-profile-1.0#X509v3"
#define TYPE_PASSWORD WSS "username-token-profile-1.0#PasswordText"
/* these three are what Windows takes, not what the standards say */
#define TYPE_PKCS10 NS_ENROLLMENT "#PKCS10"
#define TYPE_PKCS7 NS_SECURITY "#PKCS7"
#define TYPE_BASE64 NS_SECURITY "#base64binary"

const char *adcs_message_id(apr_pool_t *p)
{
    unsigned char b[16];
    const char *hex;

    if (crypt_random(b, sizeof(b)) != APR_SUCCESS) {
        return NULL;
    }
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    hex = crypt_hex(b, sizeof(b), 0, p);
    return apr_psprintf(p, "urn:uuid:%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                        hex + 20);
}

int adcs_is_request_id(const char *text)
{
    apr_size_t len = text != NULL ? strlen(text) : 0;

    return len > 0 && len <= ADCS_REQUEST_ID_MAX && strspn(text, "0123456789") == len;
}

/* Text as the content of an element or of a quoted attribute. */
static const char *quoted(const char *text, apr_pool_t *p)
{
    return apr_xml_quote_string(p, text, 1);
}

/* The header with user name and password. */
static char *write_security(const adcs_question_t *question, apr_pool_t *p)
{
    const char *password = quoted(question->password, p);
    char *text = apr_pstrcat(
        p, "<o:Security s:mustUnderstand=\"1\" xmlns:o=\"" NS_SECURITY "\"><o:UsernameToken>"
        "<o:Username>", quoted(question->user, p), "</o:Username><o:Password "
        "Type=\"" TYPE_PASSWORD "\">", password, "</o:Password></o:UsernameToken></o:Security>",
        NULL);

    if (password != question->password) {
        OPENSSL_cleanse((char *)password, strlen(password));
    }
    return text;
}

/* The token that is asked about. */
static const char *write_token(const char *type, const crypt_buf_t *bytes, apr_pool_t *p)
{
    char *text = apr_pstrcat(
        p, "<BinarySecurityToken ValueType=\"", type, "\" "
        "EncodingType=\"" TYPE_BASE64 "\" a:Id=\"\" xmlns:a=\"" NS_UTILITY "\" "
        "xmlns=\"" NS_SECURITY "\">", ca_base64_encode(bytes->data, bytes->len, p),
        "</BinarySecurityToken>", NULL);

    return ca_wiped(text, strlen(text), p);
}

/* What stands in RequestSecurityToken after the type of request. */
static const char *write_subject(const adcs_question_t *question, apr_pool_t *p)
{
    char *text;

    if (question->request_id != NULL) {
        return apr_pstrcat(p, "<RequestID xmlns=\"" NS_ENROLLMENT "\">", question->request_id,
                           "</RequestID>", NULL);
    }
    if (question->cmc != NULL) {
        return write_token(TYPE_PKCS7, question->cmc, p);
    }
    text = apr_pstrcat(p, write_token(TYPE_PKCS10, question->pkcs10, p),
                       "<AdditionalContext xmlns=\"" NS_AUTHORIZATION "\">"
                       "<ContextItem Name=\"CertificateTemplate\"><Value>",
                       quoted(question->template_name, p), "</Value></ContextItem>"
                       "</AdditionalContext>", NULL);
    return ca_wiped(text, strlen(text), p);
}

char *adcs_soap_write(const adcs_question_t *question, apr_pool_t *p)
{
    char *security = question->user != NULL ? write_security(question, p) : NULL;
    char *text = apr_pstrcat(
        p, "<s:Envelope xmlns:a=\"" NS_ADDRESSING "\" xmlns:s=\"" NS_SOAP "\"><s:Header>"
        "<a:Action s:mustUnderstand=\"1\">" ACTION "</a:Action>"
        "<a:MessageID>", question->message_id, "</a:MessageID>"
        "<a:To s:mustUnderstand=\"1\">", quoted(question->to, p), "</a:To>",
        security != NULL ? security : "", "</s:Header><s:Body>"
        "<RequestSecurityToken PreferredLanguage=\"en-US\" xmlns=\"" NS_TRUST "\">"
        "<TokenType>" TYPE_X509 "</TokenType><RequestType>",
        question->request_id != NULL ? NS_ENROLLMENT "/QueryTokenStatus" : NS_TRUST "/Issue",
        "</RequestType>", write_subject(question, p),
        "</RequestSecurityToken></s:Body></s:Envelope>", NULL);

    if (security != NULL) {
        OPENSSL_cleanse(security, strlen(security));
    }
    return text;
}

/* An answer while it is read. */
typedef struct reading_t {
    const apr_xml_doc *doc;
    const char *error;          /* the first one; NULL: none */
    apr_pool_t *p;
} reading_t;

/* Whether an element has that name. */
static int is_named(const reading_t *reading, const apr_xml_elem *elem, const char *ns,
                    const char *name)
{
    return elem->ns >= 0 && strcmp(elem->name, name) == 0 &&
           strcmp(APR_XML_GET_URI_ITEM(reading->doc->namespaces, elem->ns), ns) == 0;
}

/* The child of that name; NULL: there is none, or an error. */
static const apr_xml_elem *child(reading_t *reading, const apr_xml_elem *parent, const char *ns,
                                 const char *name)
{
    const apr_xml_elem *elem, *found = NULL;

    for (elem = parent != NULL ? parent->first_child : NULL; elem != NULL; elem = elem->next) {
        if (!is_named(reading, elem, ns, name)) {
            continue;
        }
        if (found != NULL) {
            reading->error = apr_psprintf(reading->p, "%s is there twice", name);
            return NULL;
        }
        found = elem;
    }
    return found;
}

/* An element's own text without white space around it; "" for NULL. */
static const char *text_of(const reading_t *reading, const apr_xml_elem *elem)
{
    const apr_text *part = elem != NULL ? elem->first_cdata.first : NULL;
    apr_array_header_t *parts = apr_array_make(reading->p, 4, sizeof(const char *));
    char *text, *end;

    for (; part != NULL; part = part->next) {
        APR_ARRAY_PUSH(parts, const char *) = part->text;
    }
    text = apr_array_pstrcat(reading->p, parts, '\0');
    while (apr_isspace(*text)) {
        text++;
    }
    for (end = text + strlen(text); end > text && apr_isspace(end[-1]); end--) {
        end[-1] = '\0';
    }
    return text;
}

/* An attribute without namespace; "" if there is none. */
static const char *attribute_of(const apr_xml_elem *elem, const char *name)
{
    const apr_xml_attr *attr;

    for (attr = elem->attr; attr != NULL; attr = attr->next) {
        if (attr->ns == APR_XML_NS_NONE && strcmp(attr->name, name) == 0) {
            return attr->value;
        }
    }
    return "";
}

/* The bytes of a BinarySecurityToken of a type; none if it is of another one. */
static crypt_buf_t token_of(reading_t *reading, const apr_xml_elem *elem, const char *type)
{
    crypt_buf_t bytes = {NULL, 0};
    const char *text;

    if (elem == NULL || strcmp(attribute_of(elem, "ValueType"), type) != 0) {
        return bytes;
    }
    text = text_of(reading, elem);
    if (ca_base64_decode(&bytes, text, strlen(text), reading->p) != APR_SUCCESS) {
        reading->error = "a BinarySecurityToken is not base64";
    }
    return bytes;
}

/* Reads what a request led to. */
static void read_response(reading_t *reading, const apr_xml_elem *body, adcs_reply_t *reply)
{
    const apr_xml_elem *all =
        child(reading, body, NS_TRUST, "RequestSecurityTokenResponseCollection");
    const apr_xml_elem *one = child(reading, all, NS_TRUST, "RequestSecurityTokenResponse");
    const apr_xml_elem *wanted = child(reading, one, NS_TRUST, "RequestedSecurityToken");
    const apr_xml_elem *id = child(reading, one, NS_ENROLLMENT, "RequestID");

    if (one == NULL) {
        reading->error = reading->error != NULL ? reading->error : "neither response nor fault";
        return;
    }
    reply->disposition =
        text_of(reading, child(reading, one, NS_ENROLLMENT, "DispositionMessage"));
    reply->cmc = token_of(reading, child(reading, one, NS_SECURITY, "BinarySecurityToken"),
                          TYPE_PKCS7);
    reply->leaf = token_of(reading, child(reading, wanted, NS_SECURITY, "BinarySecurityToken"),
                           TYPE_X509);
    reply->is_pending = reply->leaf.len == 0 &&
                        child(reading, wanted, NS_SECURITY, "SecurityTokenReference") != NULL;
    if (id != NULL) {
        reply->request_id = text_of(reading, id);
        if (!adcs_is_request_id(reply->request_id)) {
            reading->error = "RequestID is no number";
        }
    }
}

/* Reads the HRESULT of a fault. */
static void read_detail(reading_t *reading, const apr_xml_elem *fault, adcs_reply_t *reply)
{
    const apr_xml_elem *detail = child(reading, child(reading, fault, NS_SOAP, "Detail"),
                                       NS_ENROLLMENT, "CertificateEnrollmentWSDetail");
    const char *text = text_of(reading, child(reading, detail, NS_ENROLLMENT, "ErrorCode"));
    const char *denied = text_of(reading, child(reading, detail, NS_ENROLLMENT, "InvalidRequest"));
    char *end = NULL;
    apr_int64_t error = apr_strtoi64(text, &end, 10);

    reply->is_denied = strcmp(denied, "true") == 0 || strcmp(denied, "1") == 0;
    if (*text == '\0' || error >= 0) {
        return;
    }
    if (*end != '\0' || error < -APR_INT64_C(0x80000000)) {
        reading->error = "ErrorCode is no 32-bit number";
        return;
    }
    reply->has_error = 1;
    reply->error = (apr_int32_t)error;
}

/* Reads why there is no response. */
static void read_fault(reading_t *reading, const apr_xml_elem *fault, adcs_reply_t *reply)
{
    const apr_xml_elem *code = child(reading, fault, NS_SOAP, "Code");
    const apr_xml_elem *reason = child(reading, fault, NS_SOAP, "Reason");
    const char *subcode =
        text_of(reading, child(reading, child(reading, code, NS_SOAP, "Subcode"), NS_SOAP,
                               "Value"));
    const char *colon = strrchr(subcode, ':');

    reply->is_fault = 1;
    reply->subcode = colon != NULL ? colon + 1 : subcode;
    /* the first language will do */
    reply->text = reason != NULL && reason->first_child != NULL &&
                          is_named(reading, reason->first_child, NS_SOAP, "Text")
                      ? text_of(reading, reason->first_child) : "";
    read_detail(reading, fault, reply);
}

/* Why a body is not given to the parser; NULL: it may be. */
static const char *look_at(const crypt_buf_t *body)
{
    const char *at = (const char *)body->data, *end = at + body->len;
    int tags = 0;

    if (body->len == 0 || memchr(at, '\0', body->len) != NULL) {
        return "no XML of UTF-8";
    }
    while ((at = memchr(at, '<', (size_t)(end - at))) != NULL) {
        at++;
        if (at < end && *at == '!') {
            return "a document type, a comment or a section, which no such service sends";
        }
        if (++tags > TAGS_MAX) {
            return "too many tags";
        }
    }
    return NULL;
}

/* Parses the body; error text, NULL on success. */
static const char *parse(apr_xml_doc **pdoc, const crypt_buf_t *body, apr_pool_t *p)
{
    const char *error = look_at(body);
    apr_xml_parser *parser;

    *pdoc = NULL;
    if (error != NULL) {
        return error;
    }
    parser = apr_xml_parser_create(p);
    if (parser == NULL ||
        apr_xml_parser_feed(parser, (const char *)body->data, body->len) != APR_SUCCESS ||
        apr_xml_parser_done(parser, pdoc) != APR_SUCCESS || *pdoc == NULL) {
        return "no well-formed XML";
    }
    return NULL;
}

const char *adcs_soap_read(adcs_reply_t *reply, const crypt_buf_t *body, apr_pool_t *p)
{
    apr_xml_doc *doc;
    reading_t reading = {NULL, NULL, p};
    const apr_xml_elem *inside, *header, *relates, *fault;

    memset(reply, 0, sizeof(*reply));
    reply->disposition = reply->text = reply->subcode = "";
    reading.error = parse(&doc, body, p);
    if (reading.error != NULL) {
        return reading.error;
    }
    reading.doc = doc;
    if (!is_named(&reading, doc->root, NS_SOAP, "Envelope")) {
        return "no SOAP 1.2 envelope";
    }
    header = child(&reading, doc->root, NS_SOAP, "Header");
    inside = child(&reading, doc->root, NS_SOAP, "Body");
    relates = child(&reading, header, NS_ADDRESSING, "RelatesTo");
    if (relates != NULL) {
        reply->relates_to = text_of(&reading, relates);
    }
    fault = child(&reading, inside, NS_SOAP, "Fault");
    if (reading.error != NULL) {
        return reading.error;
    }
    if (fault != NULL) {
        read_fault(&reading, fault, reply);
    }
    else {
        read_response(&reading, inside, reply);
    }
    return reading.error;
}
