/* SPDX-License-Identifier: Apache-2.0 */
/* The registration point's calls: from a front's message to policy, and into the trace for logs. */
#include "mod_scep_point.h"
#include "mod_scep_log.h"
#include "core/enroll.h"
#include "core/renewal.h"
#include <apr_strings.h>
#include <openssl/evp.h>

#define TEXT_MAX 200

const char *scep_point_base64url(const void *data, apr_size_t len, apr_pool_t *p)
{
    char *text = apr_palloc(p, (len + 2) / 3 * 4 + 1), *c;

    EVP_EncodeBlock((unsigned char *)text, data, (int)len);
    for (c = text; *c && *c != '='; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
    *c = '\0';
    return text;
}

const char *scep_point_text(const char *text, apr_pool_t *p)
{
    char *copy = apr_pstrndup(p, text, TEXT_MAX), *c;

    for (c = copy; *c; c++) {
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    }
    return copy;
}

void scep_point_trace(scep_trace_t *trace, int notify, const policy_point_message_t *message,
                      const char *front, apr_pool_t *p)
{
    int i;

    memset(trace, 0, sizeof(*trace));
    trace->operation = notify ? "Notify" : "VerifyRequest";
    trace->message_type = message->signer ? "RenewalReq" : "PKCSReq";
    trace->transaction_id = message->transaction_id;
    trace->subject = trace->challenge_id = trace->challenge_caller = trace->algorithms = "";
    trace->serial = trace->renews = trace->bound = "";
    trace->template_name = message->template_name ? message->template_name : "";
    trace->front = strchr(front, '\n') + 1;
    trace->device_address = message->client_address;
    trace->device_agent = message->user_agent;
    if (message->signer) {
        trace->renews = crypt_serial_text(X509_get0_serialNumber(message->signer), p);
    }
    for (i = 0; i < SCEP_STEPS; i++) {
        trace->steps[i] = -1;
    }
    outcome_init(&trace->outcome);
}

/* The request that a message is about.  0: trace->outcome says why there is none. */
static int make_request(policy_request_t *request, scep_trace_t *trace, request_rec *r,
                        const scep_service_conf_t *service, const policy_point_message_t *message,
                        const char *front)
{
    csr_t *csr = NULL;

    if (csr_make(&csr, &message->request, scep_csr_digests(&service->core), &trace->outcome,
                 r->pool) != APR_SUCCESS) {
        return 0;
    }
    trace->csr = csr;
    trace->subject = csr->subject_text;
    if (policy_point_request(request, message, csr, service->core.templates[csr->usage], front,
                             r->pool) != APR_SUCCESS) {
        outcome_unavailable(&trace->outcome, "signer-key", 0, r->pool,
                            "the signing certificate's key cannot be encoded");
        return 0;
    }
    trace->template_name = request->template_name;
    request->deadline = apr_time_now() + service->core.request_timeout;
    return 1;
}

/* Whether a renewal's certificate in use is of the fronts' CA, or (*foreign) of one that counts
 * too; 0: trace->outcome says why not. */
static int check_signer(scep_trace_t *trace, int *foreign, const scep_service_conf_t *service,
                        X509 *signer, const log_sink_t *log, apr_pool_t *p)
{
    const scep_renewal_t *rules = &service->core.renewal;
    outcome_t *out = &trace->outcome;
    apr_status_t rv;

    if (!rules->enabled) {
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "renewal-off",
                       "Renewal is not offered; a challenge password is required.", p,
                       "ScepRenewal is off");
        return 0;
    }
    rv = scep_check_signer(foreign, service->core.ca, rules, signer, out, log, p);
    if (rv == APR_NOTFOUND) {
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_CERT_SIGNATURE, "renewal-signer",
                       "A renewal must be signed with a certificate of this authority.", p,
                       "the signing certificate is not of the CA in ScepCAChain");
    }
    return rv == APR_SUCCESS;
}

/* What policy said, for the logs. */
static void set_verdict(scep_trace_t *trace)
{
    outcome_result_e result = trace->outcome.result;

    trace->verdict = result == OUTCOME_SUCCESS ? SCEP_VERDICT_ALLOWED
                     : result == OUTCOME_REFUSED || result == OUTCOME_LIMITED
                         ? SCEP_VERDICT_REFUSED : SCEP_VERDICT_UNKNOWN;
}

void scep_point_verify(scep_trace_t *trace, policy_attributes_t *attributes, request_rec *r,
                       const scep_service_conf_t *service, const policy_point_message_t *message,
                       const char *front)
{
    const log_sink_t *log = scep_log_request(r);
    policy_request_t request;
    policy_tx_t *tx = NULL;

    if (make_request(&request, trace, r, service, message, front) &&
        (!message->signer || check_signer(trace, &request.signer_foreign, service, message->signer,
                                          log, r->pool))) {
        policy_point_verify(&tx, attributes, service->core.policy, &request, &trace->outcome, log,
                            r->pool);
    }
    if (tx) {
        scep_trace_tx(trace, tx, r->pool);
    }
    set_verdict(trace);
}

void scep_point_notify(scep_trace_t *trace, request_rec *r, const scep_service_conf_t *service,
                       const policy_point_message_t *message, const char *front)
{
    policy_request_t request;
    policy_tx_t *tx;

    if (message->certificate) {
        trace->serial =
            crypt_serial_text(X509_get0_serialNumber(message->certificate), r->pool);
        trace->certificate = message->certificate_der;
    }
    if (!make_request(&request, trace, r, service, message, front)) {
        if (trace->outcome.result == OUTCOME_REFUSED) {
            outcome_malformed(&trace->outcome, trace->outcome.reason, r->pool,
                              "certificateRequest: %s", trace->outcome.detail);
        }
        return;
    }
    policy_point_notify(&tx, service->core.policy, &request, message, &trace->outcome,
                        scep_log_request(r), r->pool);
    trace->attributes = &tx->attributes;
    trace->notified = trace->outcome.result == OUTCOME_SUCCESS ? 1 : -1;
}
