/* SPDX-License-Identifier: Apache-2.0 */
/* The webhook's JSON; see policy_webhook.h. */
#include "policy_webhook.h"
#include "../common/http_client.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define REASON_MAX 200 /* bytes of a peer's texts */
#define TEXT_MAX 200

/* Pool cleanup: overwrites a text. */
static apr_status_t wipe_text(void *baton)
{
    OPENSSL_cleanse(baton, strlen(baton));
    return APR_SUCCESS;
}

/* A JSON string, what is not UTF-8 made so; null for NULL. */
static json_t *make_string(const char *text, apr_pool_t *p)
{
    json_t *string = text ? json_string(text) : json_null();
    char *copy, *c;

    if (string)
        return string;
    for (c = copy = apr_pstrdup(p, text); *c; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    }
    return json_string(copy);
}

/* Bytes as base64. */
static json_t *make_base64(const crypt_buf_t *bytes, apr_pool_t *p)
{
    unsigned char *text = apr_palloc(p, 4 * (bytes->len / 3 + 1) + 1);
    json_t *string;

    EVP_EncodeBlock(text, bytes->data, (int)bytes->len);
    string = json_string((const char *)text);
    OPENSSL_cleanse(text, strlen((const char *)text));
    return string;
}

/* Lower-case hex of a certificate's number. */
static const char *serial_of(const X509 *cert, apr_pool_t *p)
{
    char *text = apr_pstrdup(p, crypt_serial_text(X509_get0_serialNumber(cert), p)), *c;

    for (c = text; *c; c++)
        *c = (char)apr_tolower(*c);
    return text;
}

/* "KIND:text" of a string of OpenSSL's, its zero bytes and controls replaced. */
static const char *kind_text(const char *kind, const ASN1_STRING *value, apr_pool_t *p)
{
    const unsigned char *data = ASN1_STRING_get0_data(value);
    int i, len = ASN1_STRING_length(value);
    char *text = apr_pstrmemdup(p, (const char *)data, len);

    for (i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
    }
    return apr_pstrcat(p, kind, ":", text, NULL);
}

/* An IP address as people write it. */
static const char *ip_text(const ASN1_STRING *value, apr_pool_t *p)
{
    int len = ASN1_STRING_length(value);
    char text[INET6_ADDRSTRLEN] = "";

    if (len == 4 || len == 16)
        inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), text, sizeof(text));
    return apr_pstrcat(p, "IP:", *text ? text : "?", NULL);
}

/* One alternative name, "DNS:host" and so on. */
static const char *name_text(const GENERAL_NAME *name, apr_pool_t *p)
{
    const ASN1_TYPE *value;
    int upn;

    switch (name->type) {
    case GEN_DNS: return kind_text("DNS", name->d.dNSName, p);
    case GEN_EMAIL: return kind_text("email", name->d.rfc822Name, p);
    case GEN_URI: return kind_text("URI", name->d.uniformResourceIdentifier, p);
    case GEN_IPADD: return ip_text(name->d.iPAddress, p);
    case GEN_DIRNAME:
        return apr_pstrcat(p, "dirName:", crypt_name_text(name->d.directoryName, p), NULL);
    case GEN_OTHERNAME:
        value = name->d.otherName->value;
        upn = OBJ_obj2nid(name->d.otherName->type_id) == NID_ms_upn;
        return upn && value->type == V_ASN1_UTF8STRING
                   ? kind_text("UPN", value->value.utf8string, p)
                   : "other";
    default: return "other";
    }
}

/* The CSR's alternative names; NULL: they cannot be read. */
static json_t *make_sans(const csr_t *csr, apr_pool_t *p)
{
    json_t *list = json_array();
    GENERAL_NAMES *names = NULL;
    int i, critical = -1;

    if (csr->extensions)
        names = X509V3_get_d2i(csr->extensions, NID_subject_alt_name, &critical, NULL);
    if (!names && critical != -1) {
        json_decref(list);
        return NULL;
    }
    for (i = 0; i < sk_GENERAL_NAME_num(names); i++)
        json_array_append_new(list,
                              make_string(name_text(sk_GENERAL_NAME_value(names, i), p), p));
    GENERAL_NAMES_free(names);
    return list;
}

/* What question and news have in common. */
static json_t *make_head(const policy_tx_t *tx, const char *operation, apr_pool_t *p)
{
    const policy_request_t *request = tx->request;
    json_t *object = json_object();

    json_object_set_new(object, "service", make_string(tx->policy->cfg->service, p));
    json_object_set_new(object, "operation", json_string(operation));
    json_object_set_new(object, "transactionID", make_string(request->transaction_id, p));
    json_object_set_new(object, "template", make_string(request->template_name, p));
    json_object_set_new(object, "subject", make_string(request->csr->subject_text, p));
    json_object_set_new(object, "renewal", json_boolean(request->signer != NULL));
    json_object_set_new(object, "client", make_string(request->client_address, p));
    return object;
}

/* The text of an object, which is given up; wiped with p. */
static const char *finish(json_t *object, apr_pool_t *p)
{
    char *text = json_dumps(object, JSON_COMPACT), *copy = NULL;

    if (text) {
        copy = apr_pstrdup(p, text);
        apr_pool_cleanup_register(p, copy, wipe_text, apr_pool_cleanup_null);
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
    json_decref(object);
    return copy;
}

const char *webhook_question(const policy_tx_t *tx, int with_challenge, outcome_t *out,
                             apr_pool_t *p)
{
    const policy_request_t *request = tx->request;
    const csr_t *csr = request->csr;
    json_t *object, *sans = make_sans(csr, p);
    const char *text;

    if (!sans) {
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_DATA, "csr-extension",
                       "The request's subjectAltName cannot be read.", p,
                       "the CSR's subjectAltName is malformed");
        return NULL;
    }
    object = make_head(tx, "verify", p);
    if (with_challenge || !csr->challenge)
        json_object_set_new(object, "csr", make_base64(&csr->der, p));
    json_object_set_new(object, "publicKey", make_base64(&csr->spki_der, p));
    json_object_set_new(object, "keyType", make_string(crypt_key_name(csr->key, p), p));
    json_object_set_new(object, "sans", sans);
    if (request->signer)
        json_object_set_new(object, "signerSerial", make_string(serial_of(request->signer, p), p));
    json_object_set_new(object, "userAgent", make_string(request->user_agent, p));
    if (with_challenge)
        json_object_set_new(object, "challenge", make_string(request->challenge, p));
    text = finish(object, p);
    if (!text)
        outcome_unavailable(out, "webhook", 0, p, "the webhook's question cannot be written");
    return text;
}

/* Upper-case hex of the certificate's SHA-1, as Windows shows it. */
static const char *thumbprint(const crypt_buf_t *der, apr_pool_t *p)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    if (!EVP_Digest(der->data, der->len, digest, &len, EVP_sha1(), NULL))
        return NULL;
    return crypt_hex(digest, len, 1, p);
}

const char *webhook_news(const policy_tx_t *tx, const policy_event_t *event, apr_pool_t *p)
{
    const char *name = NULL;
    json_t *object;

    if (event->event == POLICY_EVENT_ISSUED)
        name = "issued";
    else if (event->event == POLICY_EVENT_REFUSED)
        name = "refused";
    else if (event->event == POLICY_EVENT_PENDING && tx->csr_der.len == 0) /* not at each poll */
        name = "pending";
    if (!name || !tx->request)
        return NULL;
    object = make_head(tx, "notify", p);
    json_object_set_new(object, "event", json_string(name));
    if (event->event == POLICY_EVENT_ISSUED) {
        json_object_set_new(object, "serial", make_string(event->serial, p));
        json_object_set_new(object, "thumbprint",
                            make_string(thumbprint(&event->certificate, p), p));
    }
    if (event->event == POLICY_EVENT_REFUSED && event->outcome)
        json_object_set_new(object, "reason", make_string(event->outcome->reason, p));
    return finish(object, p);
}

const char *webhook_read(webhook_verdict_t *verdict, const crypt_buf_t *body, apr_pool_t *p)
{
    json_error_t why;
    json_t *object, *allow, *reason, *text;
    const char *error = NULL;

    memset(verdict, 0, sizeof(*verdict));
    object = json_loadb((const char *)body->data, body->len, JSON_REJECT_DUPLICATES, &why);
    if (!object) /* jansson's text quotes the peer */
        return apr_psprintf(p, "the answer is not JSON (line %d)", why.line);
    allow = json_object_get(object, "allow");
    reason = json_object_get(object, "reason");
    text = json_object_get(object, "text");
    if (!json_is_object(object))
        error = "the answer is not a JSON object";
    else if (!json_is_boolean(allow))
        error = "the answer has no \"allow\" that is true or false";
    else if ((reason && !json_is_string(reason)) || (text && !json_is_string(text)))
        error = "\"reason\" or \"text\" of the answer is not a string";
    else {
        verdict->allow = json_is_true(allow);
        verdict->reason = reason ? http_printable(json_string_value(reason), REASON_MAX, p) : "";
        verdict->text = text ? http_printable(json_string_value(text), TEXT_MAX, p) : "";
    }
    json_decref(object);
    return error;
}
