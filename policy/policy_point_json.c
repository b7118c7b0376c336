/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a registration point's fronts, read strictly; see policy_point.h. */
#include "policy_point.h"
#include "../common/base64.h"
#include "../common/http_client.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <openssl/err.h>
#include <string.h>

#define TEMPLATE_MAX 64
#define AGENT_MAX 1024
#define ERROR_MAX 255
#define CERTIFICATE_MAX STORE_CERTIFICATE_MAX

/* The members, as JSON has them; NULL: absent. */
typedef struct members_t {
    int version;
    const char *transaction_id, *request, *template_name, *signer, *address, *agent;
    const char *device, *user;
    const char *disposition, *certificate, *error;
    json_t *hresult;
} members_t;

/* Whether text has 1 to max printable ASCII characters, or bytes of UTF-8 where any is set. */
static int is_text(const char *text, apr_size_t max, int any)
{
    apr_size_t i, len = strlen(text);

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < ' ' || c == 0x7f || (!any && c > 0x7e))
            return 0;
    }
    return len > 0 && len <= max;
}

/* Decodes base64 of one line with its padding; 0: it is not that, or longer than max. */
static int decode(crypt_buf_t *der, const char *text, apr_size_t max, apr_pool_t *p)
{
    apr_size_t len = strlen(text);

    return len / 4 * 3 <= max + 2 &&
           base64_decode(der, text, len, BASE64_SECRET, p) == APR_SUCCESS && der->len <= max;
}

/* A certificate that fills the decoded text wholly; NULL: it is none. */
static X509 *decode_certificate(crypt_buf_t *der, const char *text, apr_pool_t *p)
{
    const unsigned char *next;
    X509 *cert;

    if (!decode(der, text, CERTIFICATE_MAX, p))
        return NULL;
    next = der->data;
    cert = crypt_x509_own(d2i_X509(NULL, &next, (long)der->len), p);
    ERR_clear_error();
    return cert && next == der->data + der->len && X509_get0_pubkey(cert) ? cert : NULL;
}

/* What both messages have; error text or NULL. */
static const char *read_common(policy_point_message_t *m, const members_t *in, apr_pool_t *p)
{
    crypt_buf_t der;

    if (in->version != 1)
        return "version: only 1 is known";
    if (!is_text(in->transaction_id, STORE_TEXT_MAX, 1))
        return "transactionId: 1 to 255 bytes without control characters are needed";
    m->transaction_id = apr_pstrdup(p, in->transaction_id);
    if (!decode(&m->request, in->request, STORE_REQUEST_MAX, p))
        return "certificateRequest: base64 of at most 131072 bytes is needed";
    if (in->signer && !(m->signer = decode_certificate(&der, in->signer, p)))
        return "signingCertificate: base64 of one certificate is needed";
    if ((in->device && !is_text(in->device, STORE_TEXT_MAX, 1)) ||
        (in->user && !is_text(in->user, STORE_TEXT_MAX, 1)))
        return "device, user: 1 to 255 bytes without control characters are needed";
    m->device = in->device ? apr_pstrdup(p, in->device) : NULL;
    m->user = in->user ? apr_pstrdup(p, in->user) : NULL;
    return NULL;
}

/* What VerifyRequest has besides; error text or NULL. */
static const char *read_question(policy_point_message_t *m, const members_t *in, apr_pool_t *p)
{
    unsigned char bytes[16];

    if (in->template_name && !is_text(in->template_name, TEMPLATE_MAX, 0))
        return "template: 1 to 64 printable ASCII characters are needed";
    if (inet_pton(AF_INET, in->address, bytes) != 1 && inet_pton(AF_INET6, in->address, bytes) != 1)
        return "clientAddress: an IP address is needed";
    if (in->agent && strlen(in->agent) > AGENT_MAX)
        return "userAgent: at most 1024 bytes are possible";
    m->template_name = in->template_name ? apr_pstrdup(p, in->template_name) : NULL;
    m->client_address = apr_pstrdup(p, in->address);
    m->user_agent = in->agent ? http_printable(in->agent, AGENT_MAX, p) : NULL;
    return NULL;
}

/* What Notify has besides; error text or NULL. */
static const char *read_end(policy_point_message_t *m, const members_t *in, apr_pool_t *p)
{
    json_int_t hresult = in->hresult ? json_integer_value(in->hresult) : 0;

    if (in->hresult && (!json_is_integer(in->hresult) || hresult < 0 || hresult > 0xffffffffLL))
        return "hresult: a number of 32 bits, not negative, is needed";
    if (in->error && strlen(in->error) > ERROR_MAX)
        return "errorDescription: at most 255 bytes are possible";
    m->hresult = in->hresult ? (apr_int32_t)(apr_uint32_t)hresult : OUTCOME_HR_NONE;
    m->error = in->error ? http_printable(in->error, ERROR_MAX, p) : "";
    if (strcmp(in->disposition, "success") == 0)
        m->event = POLICY_EVENT_ISSUED;
    else if (strcmp(in->disposition, "pending") == 0)
        m->event = POLICY_EVENT_PENDING;
    else if (strcmp(in->disposition, "failure") == 0)
        m->event = hresult == POLICY_POINT_UNAVAILABLE ? POLICY_EVENT_TRANSIENT
                                                       : POLICY_EVENT_REFUSED;
    else
        return "disposition: success, failure or pending is needed";
    if ((m->event == POLICY_EVENT_ISSUED) != (in->certificate != NULL))
        return "certificate: is needed with success, and only then";
    if (in->certificate &&
        !(m->certificate = decode_certificate(&m->certificate_der, in->certificate, p)))
        return "certificate: base64 of one certificate is needed";
    return NULL;
}

/* Takes the object apart; error text or NULL. */
static const char *unpack(members_t *in, int notify, json_t *object)
{
    json_error_t error;
    int rc;

    memset(in, 0, sizeof(*in));
    if (notify)
        rc = json_unpack_ex(object, &error, JSON_STRICT,
                            "{s:i, s:s, s:s, s:s, s?s, s?s, s?o, s?s, s?s, s?s}", "version",
                            &in->version,
                            "transactionId", &in->transaction_id, "certificateRequest",
                            &in->request, "disposition", &in->disposition, "signingCertificate",
                            &in->signer, "certificate", &in->certificate, "hresult", &in->hresult,
                            "errorDescription", &in->error, "device", &in->device, "user",
                            &in->user);
    else
        rc = json_unpack_ex(object, &error, JSON_STRICT,
                            "{s:i, s:s, s:s, s:s, s?s, s?s, s?s, s?s, s?s}", "version",
                            &in->version, "transactionId", &in->transaction_id,
                            "certificateRequest", &in->request, "clientAddress", &in->address,
                            "template", &in->template_name, "signingCertificate", &in->signer,
                            "userAgent", &in->agent, "device", &in->device, "user", &in->user);
    return rc == 0 ? NULL : "a member is missing, unknown or of another type";
}

const char *policy_point_read(policy_point_message_t **pmessage, int notify,
                              const crypt_buf_t *body, apr_pool_t *p)
{
    policy_point_message_t *m = apr_pcalloc(p, sizeof(*m));
    const char *error;
    members_t in;
    json_t *object;

    *pmessage = NULL;
    if (body->len > POLICY_POINT_BODY_MAX)
        return "the body is too long";
    object = json_loadb((const char *)body->data, body->len, JSON_REJECT_DUPLICATES, NULL);
    if (!object)
        return "the body is not JSON, or names a member twice";
    error = unpack(&in, notify, object);
    if (!error)
        error = read_common(m, &in, p);
    if (!error)
        error = notify ? read_end(m, &in, p) : read_question(m, &in, p);
    json_decref(object);
    if (!error)
        *pmessage = m;
    return error;
}
