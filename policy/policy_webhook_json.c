/* SPDX-License-Identifier: Apache-2.0 */
/* The webhook's JSON; see policy_webhook.h. */
#include "policy_webhook.h"
#include "../common/json_text.h"
#include "policy_outbox.h"
#include "../common/csr_names.h"
#include "../common/http_client.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#define REASON_MAX 200 /* bytes of a peer's texts */
#define TEXT_MAX 200
#define SUBJECT_MAX 8192 /* bytes of a subject in news, which are kept */

/* Lower-case hex of a certificate's number. */
static const char *serial_of(const X509 *cert, apr_pool_t *p)
{
    char *text = apr_pstrdup(p, crypt_serial_text(X509_get0_serialNumber(cert), p)), *c;

    for (c = text; *c; c++)
        *c = (char)apr_tolower(*c);
    return text;
}

/* The CSR's alternative names; NULL: they cannot be read. */
static json_t *make_sans(const csr_t *csr, apr_pool_t *p)
{
    const apr_array_header_t *names = csr_names(csr, p);
    json_t *list = names ? json_array() : NULL;
    int i;

    for (i = 0; list && i < names->nelts; i++)
        json_array_append_new(list,
                              json_text_string(APR_ARRAY_IDX(names, i, const char *), p));
    return list;
}

/* What question and news have in common; device and user NULL: unknown. */
static json_t *make_head(const policy_tx_t *tx, const char *operation, const char *device,
                         const char *user, apr_pool_t *p)
{
    const policy_request_t *request = tx->request;
    json_t *object = json_object();

    json_object_set_new(object, "service", json_text_string(tx->policy->cfg->service, p));
    json_object_set_new(object, "operation", json_string(operation));
    json_object_set_new(object, "transactionID", json_text_string(request->transaction_id, p));
    json_object_set_new(object, "template", json_text_string(request->template_name, p));
    json_object_set_new(object, "subject", json_text_string(request->csr->subject_text, p));
    json_object_set_new(object, "renewal", json_boolean(request->signer != NULL));
    json_object_set_new(object, "client", json_text_string(request->client_address, p));
    if (device)
        json_object_set_new(object, "device", json_text_string(device, p));
    if (user)
        json_object_set_new(object, "user", json_text_string(user, p));
    return object;
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
    object = make_head(tx, "verify", policy_device_of(tx), policy_user_of(tx), p);
    if (with_challenge || !csr->challenge)
        json_object_set_new(object, "csr", json_text_base64(&csr->der, p));
    json_object_set_new(object, "publicKey", json_text_base64(&csr->spki_der, p));
    json_object_set_new(object, "keyType", json_text_string(crypt_key_name(csr->key, p), p));
    json_object_set_new(object, "sans", sans);
    if (request->signer)
        json_object_set_new(object, "signerSerial",
                            json_text_string(serial_of(request->signer, p), p));
    json_object_set_new(object, "userAgent", json_text_string(request->user_agent, p));
    if (with_challenge)
        json_object_set_new(object, "challenge", json_text_string(request->challenge, p));
    text = json_text_take(object, p);
    if (!text)
        outcome_unavailable(out, "webhook", 0, p, "the webhook's question cannot be written");
    return text;
}

const char *webhook_news(const policy_tx_t *tx, const policy_event_t *event, const char *id,
                         apr_pool_t *p)
{
    const char *name = NULL, *subject;
    json_t *object;

    if (event->event == POLICY_EVENT_ISSUED)
        name = "issued";
    else if (event->event == POLICY_EVENT_REFUSED ||
             (event->event == POLICY_EVENT_TRANSIENT && event->serial)) /* it was issued in vain */
        name = "refused";
    else if (event->event == POLICY_EVENT_PENDING && tx->csr_der.len == 0) /* not at each poll */
        name = "pending";
    if (!name || !tx->request)
        return NULL;
    object = make_head(tx, "notify", tx->attributes.device, tx->attributes.user, p);
    subject = http_printable(tx->request->csr->subject_text, SUBJECT_MAX, p);
    json_object_set_new(object, "subject", json_text_string(subject, p));
    json_object_set_new(object, "id", json_text_string(id, p));
    json_object_set_new(object, "event", json_string(name));
    if (event->event == POLICY_EVENT_ISSUED) {
        json_object_set_new(object, "serial", json_text_string(event->serial, p));
        json_object_set_new(object, "thumbprint",
                            json_text_string(policy_thumbprint(&event->certificate, p), p));
    }
    if (event->event != POLICY_EVENT_ISSUED && event->serial)
        json_object_set_new(object, "serial", json_text_string(event->serial, p));
    if ((event->event == POLICY_EVENT_REFUSED || event->event == POLICY_EVENT_TRANSIENT) &&
        event->outcome)
        json_object_set_new(object, "reason", json_text_string(event->outcome->reason, p));
    return json_text_take(object, p);
}

const char *webhook_read(webhook_verdict_t *verdict, const crypt_buf_t *body, unsigned adds,
                         apr_pool_t *p)
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
        if (verdict->allow)
            error = policy_attributes_read(&verdict->attributes,
                                           json_object_get(object, "attributes"), adds, p);
    }
    json_decref(object);
    return error;
}

int webhook_forbids(webhook_verdict_t *verdict, const crypt_buf_t *body, apr_pool_t *p)
{
    json_t *object = json_loadb((const char *)body->data, body->len, 0, NULL);
    const json_t *allow = json_object_get(object, "allow");
    const char *reason = json_string_value(json_object_get(object, "reason"));
    const char *text = json_string_value(json_object_get(object, "text"));
    int forbids = allow && !json_is_true(allow);

    memset(verdict, 0, sizeof(*verdict));
    verdict->reason = reason ? http_printable(reason, REASON_MAX, p) : "";
    verdict->text = text ? http_printable(text, TEXT_MAX, p) : "";
    json_decref(object);
    return forbids;
}
