/* SPDX-License-Identifier: Apache-2.0 */
/* scep_server_process(): one request in, one HTTP answer out (RFC 8894 section 4). */
#include "enroll.h"
#include "lookup.h"
#include "next_ca.h"
#include "query.h"
#include "reply.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_RETRY_AFTER apr_time_from_sec(30)

/* An empty answer that says nothing yet: HTTP 503 if nobody fills it. */
static scep_response_t *response_make(apr_pool_t *p)
{
    scep_response_t *response = apr_pcalloc(p, sizeof(*response));
    scep_trace_t *trace = &response->trace;
    int i;

    response->http_status = 503;
    trace->operation = trace->message_type = trace->transaction_id = trace->subject = "";
    trace->template_name = trace->challenge_id = trace->challenge_caller = "";
    trace->serial = trace->algorithms = trace->renews = trace->bound = "";
    trace->tx_key = trace->record = "";
    for (i = 0; i < SCEP_STEPS; i++)
        trace->steps[i] = -1;
    outcome_init(&trace->outcome);
    return response;
}

void scep_trace_step(scep_trace_t *trace, scep_step_e step)
{
    apr_time_t now;

    if (!trace->clock)
        return;
    now = apr_time_now();
    trace->steps[step] = (trace->steps[step] > 0 ? trace->steps[step] : 0) + now - trace->clock;
    trace->clock = now;
}

/* An answer with a body that is there already. */
static void answer_with(scep_response_t *response, const char *type, const void *data,
                        apr_size_t len)
{
    response->http_status = 200;
    response->content_type = type;
    response->body.data = data;
    response->body.len = len;
    outcome_success(&response->trace.outcome);
}

/* HTTP status of an outcome that has no CertRep. */
static void answer_without_body(scep_response_t *response)
{
    const outcome_t *outcome = &response->trace.outcome;
    apr_interval_time_t wait = outcome->retry_after;

    if (wait <= 0)
        wait = DEFAULT_RETRY_AFTER;
    switch (outcome->result) {
    case OUTCOME_MALFORMED: response->http_status = 400; break;
    case OUTCOME_LIMITED: response->http_status = 429; break;
    default: response->http_status = 503; break;
    }
    if (response->http_status != 400)
        response->retry_after = (int)apr_time_sec(wait + APR_USEC_PER_SEC - 1);
}

/* 8. reply: the CertRep, or 503 if it cannot be made (a repeated request gets it later). */
static void answer_certrep(scep_response_t *response, const scep_ctx_t *ctx,
                           const scep_message_t *message, const scep_enrollment_t *enrollment)
{
    scep_reply_t reply;
    scep_trace_t *trace = &response->trace;
    apr_status_t rv;

    memset(&reply, 0, sizeof(reply));
    reply.message = message;
    reply.outcome = &trace->outcome;
    reply.certificates = enrollment->certificates;
    reply.ncertificates = enrollment->ncertificates;
    reply.crl = enrollment->crl;
    reply.envelope = enrollment->envelope;
    if (!reply.envelope.cipher)
        reply.envelope.generation = scep_envelope_generation(message, ctx->service, ctx->pool);
    reply.password = enrollment->csr ? enrollment->csr->challenge : NULL;
    rv = scep_reply_make(&response->body, ctx->service, &reply, ctx->pool);
    if (rv == APR_EINVAL) {
        outcome_refuse(&trace->outcome, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "signer-key-type",
                       "The key of the message's signer cannot receive an enveloped answer.",
                       ctx->pool, "signer's key is %s, and there is no challenge to envelope by",
                       crypt_key_name(message->signer_key, ctx->pool));
        rv = scep_reply_make(&response->body, ctx->service, &reply, ctx->pool);
    }
    if (rv != APR_SUCCESS) {
        log_openssl_errors(ctx->log, LOG_SINK_ERR, SCEPTAG(0100), "cannot make the CertRep");
        outcome_unavailable(&trace->outcome, "reply", 0, ctx->pool, "the CertRep cannot be made");
        answer_without_body(response);
        return;
    }
    response->http_status = 200;
    response->content_type = SCEP_TYPE_MESSAGE;
}

/*
 * What may be asked by PKIOperation, and what may allow it (RFC 8894 section 3.3).  The list is
 * closed: a type that is not here is refused before anything else is looked at (CVE-2026-30836 was
 * a type that skipped authorization).  What a row allows is all that scep_authorize() can give, and
 * without that policy_begin() claims nothing, policy_verify() makes no grant, and no CA backend can
 * be called.
 */
static const struct {
    int type;
    unsigned allowed;
    void (*process)(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                    const scep_request_t *request, const scep_message_t *message,
                    scep_trace_t *trace);
} message_types[] = {
    { SCEP_PKCS_REQ, SCEP_BY_CHALLENGE | SCEP_BY_SIGNER, scep_enroll },
    { SCEP_RENEWAL_REQ, SCEP_BY_SIGNER, scep_enroll },
    { SCEP_CERT_POLL, SCEP_BY_TRANSACTION, scep_poll },
    { SCEP_GET_CERT, SCEP_BY_LOOKUP, scep_lookup_cert },
    { SCEP_GET_CRL, SCEP_BY_LOOKUP, scep_lookup_crl }
};

/* Runs the message's type, or refuses it. */
static void dispatch_message(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                             const scep_request_t *request, const scep_message_t *message,
                             scep_trace_t *trace)
{
    apr_size_t i;

    if (message->sender_nonce.len == 0) {
        outcome_refuse(&trace->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG,
                       "sender-nonce", "The message has no usable senderNonce.", ctx->pool,
                       "senderNonce is missing, empty, too long or not an OCTET STRING");
        return;
    }
    for (i = 0; i < sizeof(message_types) / sizeof(message_types[0]); i++) {
        if (message_types[i].type == message->message_type) {
            enrollment->allowed = message_types[i].allowed;
            message_types[i].process(enrollment, ctx, request, message, trace);
            return;
        }
    }
    outcome_refuse(&trace->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG, "message-type",
                   "This message type is not supported.", ctx->pool, "messageType %d (%s)",
                   message->message_type, scep_message_type_name(message->message_type));
}

/* PKIOperation: 2. decode, then by type, then 8. reply. */
static void pki_operation(scep_response_t *response, const scep_ctx_t *ctx,
                          const scep_request_t *request, const crypt_buf_t *der)
{
    scep_trace_t *trace = &response->trace;
    scep_message_t *message = NULL;
    scep_enrollment_t enrollment;
    apr_status_t rv;

    memset(&enrollment, 0, sizeof(enrollment));
    rv = scep_message_make(&message, der, ctx->service, &trace->outcome, ctx->pool);
    scep_trace_step(trace, SCEP_STEP_MESSAGE);
    if (message) {
        trace->transaction_id = message->transaction_id;
        trace->message_type = scep_message_type_name(message->message_type);
    }
    if (rv == APR_SUCCESS)
        dispatch_message(&enrollment, ctx, request, message, trace);
    if (message && trace->outcome.result <= OUTCOME_REFUSED)
        answer_certrep(response, ctx, message, &enrollment);
    else
        answer_without_body(response);
    scep_trace_step(trace, SCEP_STEP_REPLY);
    ERR_clear_error();
}

/* PKIOperation's message from the body or the query string. */
static void pki_request(scep_response_t *response, const scep_ctx_t *ctx,
                        const scep_request_t *request, const scep_query_t *query)
{
    crypt_buf_t der = request->body;

    response->trace.operation = "PKIOperation";
    response->trace.clock = ctx->timed ? apr_time_now() : 0;
    if (!request->is_post && scep_query_decode(&der, query->message, &response->trace.outcome,
                                               ctx->pool) != APR_SUCCESS) {
        answer_without_body(response);
        return;
    }
    pki_operation(response, ctx, request, &der);
}

/* GetCACert, where the CA may have to be asked for its chain first. */
static void get_ca_cert(scep_response_t *response, const scep_ctx_t *ctx)
{
    const char *type;
    crypt_buf_t body;

    if (scep_service_ca_cert(ctx->service, &body, &type, &response->trace.outcome, ctx->log,
                             ctx->pool) == APR_SUCCESS)
        answer_with(response, type, body.data, body.len);
    else
        answer_without_body(response);
}

/* GetNextCACert, signed anew for each request. */
static void get_next_ca_cert(scep_response_t *response, const scep_ctx_t *ctx)
{
    outcome_t *out = &response->trace.outcome;
    crypt_buf_t der;
    apr_status_t rv = scep_next_ca_make(&der, ctx->service, ctx->pool);

    if (rv == APR_SUCCESS) {
        answer_with(response, SCEP_TYPE_NEXT_CA, der.data, der.len);
        return;
    }
    if (rv == APR_ENOTIMPL) {
        outcome_malformed(out, "next-ca", ctx->pool, "no next CA is configured");
    }
    else {
        log_openssl_errors(ctx->log, LOG_SINK_ERR, SCEPTAG(0180), "cannot sign GetNextCACert");
        outcome_unavailable(out, "next-ca", 0, ctx->pool, "the next CA's certificates cannot be "
                            "signed");
    }
    answer_without_body(response);
    ERR_clear_error();
}

apr_status_t scep_server_process(scep_response_t **presponse, const scep_ctx_t *ctx,
                                 const scep_request_t *request)
{
    scep_response_t *response = response_make(ctx->pool);
    const scep_service_t *service = ctx->service;
    scep_query_t query;

    *presponse = response;
    memset(&query, 0, sizeof(query));
    /* a POST is a PKIOperation whatever its query says (RFC 8894 section 4.3) */
    if (!request->is_post && scep_query_parse(&query, request->args, &response->trace.outcome,
                                              ctx->pool) != APR_SUCCESS) {
        answer_without_body(response);
        return APR_SUCCESS;
    }
    if (request->is_post || strcasecmp(query.operation, "PKIOperation") == 0) {
        pki_request(response, ctx, request, &query);
    }
    else if (strcasecmp(query.operation, "GetCACaps") == 0) {
        response->trace.operation = "GetCACaps";
        answer_with(response, SCEP_TYPE_TEXT, service->caps, strlen(service->caps));
    }
    else if (strcasecmp(query.operation, "GetCACert") == 0) {
        response->trace.operation = "GetCACert";
        get_ca_cert(response, ctx);
    }
    else if (strcasecmp(query.operation, "GetNextCACert") == 0) {
        response->trace.operation = "GetNextCACert";
        get_next_ca_cert(response, ctx);
    }
    else if (!*query.operation) {
        response->http_status = SCEP_NO_OPERATION;
        outcome_success(&response->trace.outcome);
    }
    else {
        response->trace.operation = "unknown";
        outcome_malformed(&response->trace.outcome, "operation", ctx->pool,
                          "operation '%.64s' is not supported", query.operation);
        answer_without_body(response);
    }
    return APR_SUCCESS;
}
