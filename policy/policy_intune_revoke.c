/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revocations that Intune wants (a device was wiped, a user left): asked for by one host at a time,
 * made by the CA, and their results told.
 *
 * What could not be told is asked for again by Intune; revoking what is revoked is a success, so
 * nothing has to be remembered here.
 */
#include "policy_intune.h"
#include "../common/json_text.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/x509v3.h>
#include <string.h>

#define BATCH 50         /* of one round, of at most 500 that the API knows */
#define CONTEXT_MAX 8192 /* bytes of a request's context */
#define SERIAL_MAX 64    /* digits */

/* One request; borrowed from the answer. */
typedef struct revocation_t {
    const char *context, *serial, *issuer;
} revocation_t;

/* A member that is a text of at most max bytes; NULL: it is none. */
static const char *member(const json_t *object, const char *name, size_t max)
{
    const json_t *value = json_object_get(object, name);
    const char *text = json_string_value(value);

    return text && json_string_length(value) <= max && strlen(text) == json_string_length(value)
               ? text : NULL;
}

/* The serial number in lower-case hex; NULL: it is none. */
static const char *serial_of(const char *text, apr_pool_t *p)
{
    char *copy = apr_pstrdup(p, text), *c;

    for (c = copy; apr_isxdigit(*c); c++)
        *c = (char)apr_tolower(*c);
    return *c || c == copy ? NULL : copy;
}

/* Calls an action of the connector service.  The answer's object is to be given back; NULL: logged.
 */
static json_t *call_service(intune_api_t *api, const char *service, const char *action,
                            json_t *question, const policy_work_t *work, const log_sink_t *log,
                            apr_pool_t *p)
{
    json_t *answer = NULL;
    intune_call_t call;
    intune_reply_t reply;
    apr_status_t rv;

    memset(&call, 0, sizeof(call));
    call.service = INTUNE_PKI_SERVICE;
    call.version = INTUNE_PKI_VERSION;
    call.action = action;
    call.body = json_text_take(question, p);
    call.about = "revocations";
    call.deadline = work->deadline;
    if (!call.body)
        return NULL;
    rv = intune_api_call(api, &call, &reply, log, p);
    if (rv == APR_SUCCESS)
        answer = json_loadb((const char *)reply.body.data, reply.body.len, JSON_REJECT_DUPLICATES,
                            NULL);
    if (!json_is_object(answer)) {
        /* a call that was cut by the process' end says nothing of Intune */
        log_to(log, work->stopping && work->stopping(work->baton) ? LOG_SINK_DEBUG : LOG_SINK_WARN,
               SCEPTAG(0275),
               "service '%s': Intune's revocations: %s: %s (client-request-id %s)", service, action,
               rv == APR_SUCCESS ? "the answer is no JSON object" : reply.error, reply.request_id);
        json_decref(answer);
        return NULL;
    }
    return answer;
}

/* The code of a result, as the API spells it. */
static const char *error_code(apr_status_t rv)
{
    switch (rv) {
    case APR_SUCCESS: return "None";
    case APR_EINVAL: return "ParameterDataInvalidError";
    case APR_NOTFOUND: return "CertificateNotFoundError";
    case APR_ENOTIMPL: return "NotSupportedError";
    default: return "RetryableServiceException";
    }
}

/* Revokes one certificate; text says how that went. */
static apr_status_t revoke_one(const revocation_t *what, const char *issuer,
                               const policy_work_t *work, const char **text, apr_pool_t *p)
{
    const char *serial = what->serial ? serial_of(what->serial, p) : NULL;
    apr_status_t rv;
    outcome_t out;

    outcome_init(&out);
    *text = "revoked";
    if (!serial) {
        *text = "the serial number is not hexadecimal";
        return APR_EINVAL;
    }
    /* asked for by issuer; one of another CA's must never be taken for ours */
    if (what->issuer && *what->issuer && strcmp(what->issuer, issuer) != 0) {
        *text = "the issuer is not the one that was asked for";
        return APR_NOTFOUND;
    }
    rv = work->revoke(work->baton, issuer, serial, CRL_REASON_CESSATION_OF_OPERATION, &out, p);
    if (rv == APR_NOTFOUND)
        *text = "the certificate is not known";
    else if (rv == APR_ENOTIMPL)
        *text = "the certification authority does not revoke";
    else if (rv != APR_SUCCESS)
        *text = *out.detail ? out.detail : "the certification authority gives no answer";
    return rv;
}

/* Makes the revocation of one entry; its result, NULL for an entry that cannot be answered. */
static json_t *make_one(const json_t *entry, const char *service, const char *issuer,
                        const policy_work_t *work, const log_sink_t *log, apr_pool_t *p)
{
    revocation_t what;
    const char *text;
    json_t *result;
    apr_status_t rv;

    what.context = member(entry, "requestContext", CONTEXT_MAX);
    what.serial = member(entry, "serialNumber", SERIAL_MAX);
    what.issuer = member(entry, "issuerName", STORE_LONG_TEXT_MAX);
    if (!what.context)
        return NULL;
    rv = revoke_one(&what, issuer, work, &text, p);
    log_to(log, rv == APR_SUCCESS ? LOG_SINK_NOTICE : LOG_SINK_WARN, SCEPTAG(0276),
           "service '%s': Intune wants certificate %s revoked: %s", service,
           what.serial && serial_of(what.serial, p) ? what.serial : "?", text);
    result = json_object();
    json_object_set_new(result, "requestContext", json_string(what.context));
    json_object_set_new(result, "succeeded", json_boolean(rv == APR_SUCCESS));
    json_object_set_new(result, "errorCode", json_string(error_code(rv)));
    json_object_set_new(result, "errorMessage",
                        rv == APR_SUCCESS ? json_null() : json_text_string(text, p));
    return result;
}

/* Tells the results; whether Intune took them. */
static int upload(intune_api_t *api, const char *service, json_t *results,
                  const policy_work_t *work, const log_sink_t *log, apr_pool_t *p)
{
    json_t *question = json_object(), *answer, *value;
    int taken;

    json_object_set_new(question, "results", results);
    answer = call_service(api, service, "CertificateAuthorityRequests/uploadRevocationResults",
                          question, work, log, p);
    value = json_object_get(answer, "value");
    taken = json_is_true(value) ||
            (json_is_string(value) && strcmp(json_string_value(value), "true") == 0);
    if (answer && !taken)
        log_to(log, LOG_SINK_WARN, SCEPTAG(0277),
               "service '%s': Intune did not take the results of revocations", service);
    json_decref(answer);
    return taken;
}

/* Whether it is time to tell the results. */
static int ends(const policy_work_t *work, apr_interval_time_t reserve)
{
    return apr_time_now() + reserve >= work->deadline ||
           (work->stopping && work->stopping(work->baton));
}

int intune_revoke_round(intune_api_t *api, const char *service, const char *issuer,
                        const policy_work_t *work, const log_sink_t *log, apr_pool_t *p)
{
    json_t *question = json_object(), *parameters = json_object(), *results = json_array();
    json_t *answer, *list, *entry, *result;
    apr_interval_time_t reserve = (work->deadline - apr_time_now()) / 4; /* to tell the results */
    size_t i, count;
    int taken = 0;

    json_object_set_new(parameters, "maxRequests", json_integer(BATCH));
    json_object_set_new(parameters, "issuerName", json_text_string(issuer, p));
    json_object_set_new(question, "downloadParameters", parameters);
    answer = call_service(api, service, "CertificateAuthorityRequests/downloadRevocationRequests",
                          question, work, log, p);
    list = json_object_get(answer, "value");
    count = json_array_size(list);
    for (i = 0; i < count && i < BATCH && !ends(work, reserve); i++) {
        entry = json_array_get(list, i);
        result = make_one(entry, service, issuer, work, log, p);
        if (result)
            json_array_append_new(results, result);
    }
    if (json_array_size(results) > 0)
        taken = upload(api, service, results, work, log, p);
    else
        json_decref(results);
    json_decref(answer);
    return taken && count >= BATCH;
}
