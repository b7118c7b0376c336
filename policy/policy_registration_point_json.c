/* SPDX-License-Identifier: Apache-2.0 */
/* A registration point's JSON and headers; see policy_registration_point.h. */
#include "policy_attributes.h"
#include "../common/base64.h"
#include "../common/json_text.h"
#include "policy_registration_point.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define REASON_MAX 48
#define TEXT_MAX 200
#define DESCRIPTION_MAX 255
#define HRESULT_FAILURE 0x80000000u /* the severity bit of [MS-ERREF] 2.1 */
#define HRESULT_UNSPECIFIED 0x80004005u /* E_FAIL */
#define TEXT_REFUSED "The request was refused."

/* What question and news have in common; device and user NULL: unknown.  NULL: the certificate in
 * use cannot be encoded. */
static json_t *make_head(const policy_request_t *request, const char *device, const char *user,
                         apr_pool_t *p)
{
    json_t *object = json_object();
    unsigned char *der = NULL;
    crypt_buf_t signer;
    int len;

    json_object_set_new(object, "version", json_integer(FORMAT));
    json_object_set_new(object, "transactionId",
                        json_text_string(request->transaction_id, p));
    json_object_set_new(object, "certificateRequest", json_text_base64(&request->csr->der, p));
    if (device)
        json_object_set_new(object, "device", json_text_string(device, p));
    if (user)
        json_object_set_new(object, "user", json_text_string(user, p));
    if (!request->signer)
        return object;
    len = i2d_X509(request->signer, &der);
    if (len <= 0) {
        json_decref(object);
        return NULL;
    }
    signer.data = der;
    signer.len = (apr_size_t)len;
    json_object_set_new(object, "signingCertificate", json_text_base64(&signer, p));
    OPENSSL_free(der);
    return object;
}

const char *registration_question(const policy_tx_t *tx, apr_pool_t *p)
{
    const policy_request_t *request = tx->request;
    json_t *object = make_head(request, policy_device_of(tx), policy_user_of(tx), p);

    if (!object)
        return NULL;
    json_object_set_new(object, "template", json_text_string(request->template_name, p));
    json_object_set_new(object, "clientAddress",
                        json_text_string(request->client_address ? request->client_address : "",
                                           p));
    if (request->user_agent && *request->user_agent)
        json_object_set_new(object, "userAgent", json_text_string(request->user_agent, p));
    return json_text_take(object, p);
}

/* Adds why there is no certificate. */
static void add_failure(json_t *object, const policy_event_t *event, apr_pool_t *p)
{
    const outcome_t *why = event->outcome;
    unsigned hresult = HRESULT_UNSPECIFIED;
    const char *text;

    if (event->event == POLICY_EVENT_TRANSIENT)
        hresult = (unsigned)OUTCOME_HR_SERVER_UNAVAILABLE;
    else if (why && why->hresult != OUTCOME_HR_NONE)
        hresult = (unsigned)why->hresult;
    json_object_set_new(object, "hresult", json_integer(hresult));
    if (!why)
        return;
    text = apr_pstrcat(p, why->reason, why->detail && *why->detail ? ": " : "", why->detail, NULL);
    json_object_set_new(object, "errorDescription",
                        json_text_string(http_printable(text, DESCRIPTION_MAX, p), p));
}

const char *registration_news(const policy_tx_t *tx, const policy_event_t *event, apr_pool_t *p)
{
    const char *disposition = NULL;
    json_t *object;

    switch (event->event) {
    case POLICY_EVENT_ISSUED: disposition = "success"; break;
    case POLICY_EVENT_PENDING: disposition = "pending"; break;
    case POLICY_EVENT_REFUSED:
    case POLICY_EVENT_TRANSIENT: disposition = "failure"; break;
    case POLICY_EVENT_UNKNOWN: return NULL; /* nobody knows: the point's lease ends */
    }
    object = make_head(tx->request, tx->attributes.device, tx->attributes.user, p);
    if (!object)
        return NULL;
    json_object_set_new(object, "disposition", json_string(disposition));
    if (event->event == POLICY_EVENT_ISSUED)
        json_object_set_new(object, "certificate", json_text_base64(&event->certificate, p));
    else if (event->event != POLICY_EVENT_PENDING)
        add_failure(object, event, p);
    return json_text_take(object, p);
}

/* A header that is there once; NULL otherwise. */
static const char *header(const http_answer_t *answer, const char *name)
{
    const char *value;

    return http_answer_header(&value, answer, name) == APR_SUCCESS ? value : NULL;
}

/* The reason that is said, if it is one: a lower-case word with dashes; NULL otherwise. */
static const char *read_reason(const http_answer_t *answer)
{
    const char *reason = header(answer, "X-Scep-Reason");
    static const char more[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

    if (!reason || strlen(reason) > REASON_MAX || !apr_islower(*reason) ||
        reason[strspn(reason, more)] != '\0')
        return NULL;
    return reason;
}

/* The failInfo that is said, by its name in RFC 8894; badRequest otherwise. */
static fail_info_e read_fail_info(const http_answer_t *answer)
{
    const char *name = header(answer, "X-Scep-FailInfo");
    int i;

    for (i = FAIL_INFO_BAD_ALG; name && i <= FAIL_INFO_BAD_CERT_ID; i++) {
        if (strcmp(name, fail_info_name((fail_info_e)i)) == 0)
            return (fail_info_e)i;
    }
    return FAIL_INFO_BAD_REQUEST;
}

/* The HRESULT that is said, 0x and eight hex digits, of a failure; "access denied" otherwise. */
static apr_int32_t read_hresult(const http_answer_t *answer)
{
    const char *text = header(answer, "X-Scep-HResult");
    unsigned long value;

    if (!text || strncmp(text, "0x", 2) != 0 || strlen(text) != 10 ||
        text[2 + strspn(text + 2, "0123456789abcdefABCDEF")] != '\0')
        return OUTCOME_HR_ACCESS_DENIED;
    value = strtoul(text + 2, NULL, 16);
    return value & HRESULT_FAILURE ? (apr_int32_t)value : OUTCOME_HR_ACCESS_DENIED;
}

/* The text for the device that is said, if it is printable ASCII of a bounded length. */
static const char *read_text(const http_answer_t *answer)
{
    const char *text = header(answer, "X-Scep-Text"), *c;

    if (!text || !*text || strlen(text) > TEXT_MAX)
        return TEXT_REFUSED;
    for (c = text; *c; c++) {
        if (*c < 0x20 || *c > 0x7e)
            return TEXT_REFUSED;
    }
    return text;
}

void registration_refuse(outcome_t *out, const http_answer_t *answer, apr_pool_t *p)
{
    const char *reason = read_reason(answer);

    outcome_refuse(out, read_fail_info(answer), read_hresult(answer),
                   reason ? reason : "registration-point-refused", read_text(answer), p,
                   "registration point %s says false%s", answer->peer,
                   reason ? "" : " and gives no reason");
}

const char *registration_attributes(policy_attributes_t *attributes, const http_answer_t *answer,
                                    unsigned allowed, apr_pool_t *p)
{
    const char *text, *error;
    apr_status_t rv = http_answer_header(&text, answer, "X-Scep-Attributes");
    crypt_buf_t json;

    if (rv == APR_NOTFOUND)
        return NULL;
    if (rv != APR_SUCCESS ||
        base64_decode(&json, text, strlen(text), BASE64_URL, p) != APR_SUCCESS)
        return "its X-Scep-Attributes are not one text of base64url";
    error = policy_attributes_parse(attributes, json.data, json.len, allowed, p);
    return error ? apr_pstrcat(p, "its X-Scep-Attributes: ", error, NULL) : NULL;
}

int registration_winhttp_error(http_failure_e failure)
{
    switch (failure) {
    case HTTP_FAILURE_NONE: return 0;
    case HTTP_FAILURE_NAME: return 12007;    /* ERROR_WINHTTP_NAME_NOT_RESOLVED */
    case HTTP_FAILURE_CONNECT: return 12029; /* ERROR_WINHTTP_CANNOT_CONNECT */
    case HTTP_FAILURE_TLS: return 12175;     /* ERROR_WINHTTP_SECURE_FAILURE */
    case HTTP_FAILURE_TIME: return 12002;    /* ERROR_WINHTTP_TIMEOUT */
    case HTTP_FAILURE_CUT: return 12030;     /* ERROR_WINHTTP_CONNECTION_ERROR */
    case HTTP_FAILURE_TICKET: /* it is not asked by Kerberos */
    case HTTP_FAILURE_OTHER: break;
    }
    return 12004; /* ERROR_WINHTTP_INTERNAL_ERROR */
}
