/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCSReq and RenewalReq, straight through; the numbers are those of docs/architecture.md.
 */
#include "enroll.h"
#include "renewal.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#define SHORT_ID_LEN 12     /* of a challenge's id in logs and pages */
#define PENDING_RETRY apr_time_from_sec(30) /* when the CA could not be asked */
#define REST_RETRY apr_time_from_sec(5)     /* while it is left alone after failures */

/* Refuses signers that could not receive the answer. */
static apr_status_t check_receiver(const scep_message_t *message, const csr_t *csr, outcome_t *out,
                                   apr_pool_t *p)
{
    if (scep_envelope_can_seal(message, csr->challenge))
        return APR_SUCCESS;
    outcome_refuse(out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "signer-key-type",
                   "The key of the message's signer cannot receive an enveloped answer, and there "
                   "is no challenge to envelope it by.", p,
                   "signer's key is %s; an answer can be enveloped to RSA or by a challenge only",
                   crypt_key_name(message->signer_key, p));
    return APR_EINVAL;
}

unsigned scep_csr_digests(const scep_service_t *service)
{
    return (service->legacy & SCEP_LEGACY_SHA1 ? CSR_ALLOW_SHA1 : 0) |
           (service->legacy & SCEP_LEGACY_MD5 ? CSR_ALLOW_MD5 : 0);
}

/*
 * 3. open: decrypt, parse the CSR, verify its self-signature.  That signature is what proves that
 * the envelope came whole, so all that fails before it holds gets the one answer of an envelope
 * that cannot be opened (envelope.h); reason and detail, for the log, stay.
 */
static apr_status_t open_request(csr_t **pcsr, scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                                 const scep_message_t *message, outcome_t *out)
{
    crypt_buf_t plain;
    const char *reason;
    apr_status_t rv = scep_envelope_open(&plain, &enrollment->envelope, message, ctx->service, out,
                                         ctx->pool);

    if (rv != APR_SUCCESS)
        return rv;
    rv = csr_make(pcsr, &plain, scep_csr_digests(ctx->service), out, ctx->pool);
    if (rv == APR_SUCCESS)
        return check_receiver(message, *pcsr, out, ctx->pool);
    if (!csr_came_whole(out)) {
        reason = out->reason;
        scep_envelope_refuse(out, out->detail, ctx->pool);
        out->reason = reason;
    }
    return rv;
}

/* "aes-128-cbc/sha256/RSA-2048" */
static const char *describe(const scep_enrollment_t *enrollment, const scep_message_t *message,
                            const csr_t *csr, apr_pool_t *p)
{
    return apr_psprintf(p, "%s/%s/%s", OBJ_nid2sn(EVP_CIPHER_get_nid(enrollment->envelope.cipher)),
                        OBJ_nid2sn(EVP_MD_get_type(message->digest)),
                        crypt_key_name(csr->key, p));
}

void scep_deliver(scep_enrollment_t *enrollment, const scep_ctx_t *ctx, const crypt_buf_t *leaf,
                  scep_trace_t *trace)
{
    STACK_OF(X509) *chain = NULL;
    const ASN1_INTEGER *serial = cms_certificate_serial(leaf, ctx->pool);

    if (serial)
        trace->serial = crypt_serial_text(serial, ctx->pool);
    trace->certificate = *leaf;
    enrollment->certificates[enrollment->ncertificates++] = *leaf;
    if (ctx->service->include_ca &&
        ca_chain(ctx->service->ca, &chain, ctx->log, ctx->pool) == APR_SUCCESS &&
        sk_X509_num(chain) > 0) {
        crypt_buf_t der = cms_encode(ASN1_ITEM_rptr(X509), sk_X509_value(chain, 0), ctx->pool);

        if (der.data)
            enrollment->certificates[enrollment->ncertificates++] = der;
    }
    outcome_success(&trace->outcome);
}

void scep_trace_tx(scep_trace_t *trace, const policy_tx_t *tx, apr_pool_t *p)
{
    if (tx->store_tx.challenge_id && *tx->store_tx.challenge_id)
        trace->challenge_id = apr_pstrndup(p, tx->store_tx.challenge_id, SHORT_ID_LEN);
    if (tx->store_tx.challenge.caller)
        trace->challenge_caller = tx->store_tx.challenge.caller;
    if (tx->store_tx.challenge.bound)
        trace->bound = tx->store_tx.challenge.bound;
    trace->attributes = &tx->attributes;
    trace->tx_key = tx->tx_key;
}

void scep_ask(policy_request_t *asked, const scep_ctx_t *ctx, const scep_request_t *request,
              const scep_message_t *message, const csr_t *csr)
{
    memset(asked, 0, sizeof(*asked));
    asked->csr = csr;
    asked->memo = apr_pcalloc(ctx->pool, sizeof(*asked->memo));
    asked->challenge = csr->challenge;
    asked->transaction_id = message->transaction_id;
    asked->signer_key = &message->signer_spki;
    asked->client_address = request->client_address;
    asked->user_agent = request->user_agent;
    asked->limit_exempt = request->limit_exempt;
    asked->deadline = request->arrived + ctx->service->request_timeout;
}

/*
 * What the CA's answer means to policy and store.  A request that was pending stays so when the CA
 * cannot be asked this time: the device polls again.  waits: so does a new one.
 */
static policy_event_e event_of(const ca_answer_t *answer, int waits)
{
    switch (answer->result) {
    case CA_ISSUED: return POLICY_EVENT_ISSUED;
    case CA_PENDING: return POLICY_EVENT_PENDING;
    case CA_REJECTED: return POLICY_EVENT_REFUSED;
    default: break;
    }
    if (answer->unknown)
        return POLICY_EVENT_UNKNOWN;
    return waits ? POLICY_EVENT_PENDING : POLICY_EVENT_TRANSIENT;
}

/*
 * The request waits, since the CA (or, at a later try, policy) could not be asked, and nothing was
 * signed; but not for ever.
 */
static void wait_for_ca(policy_event_t *event, const scep_ctx_t *ctx, const policy_tx_t *tx,
                        scep_trace_t *trace)
{
    apr_time_t now = apr_time_now();
    const char *why = trace->outcome.detail;

    event->event = POLICY_EVENT_PENDING;
    event->retry.tries = tx->retry.tries + 1;
    event->retry.since = tx->retry.tries > 0 ? tx->retry.since : now;
    if (event->wait <= 0)
        event->wait = PENDING_RETRY;
    if (tx->retry.tries == 0 || ctx->service->ca_wait == 0 ||
        now - event->retry.since < ctx->service->ca_wait)
        return;
    event->event = POLICY_EVENT_REFUSED; /* whoever was told that it waits hears of it */
    event->blameless = 1;
    outcome_refuse(&trace->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_SERVER_UNAVAILABLE,
                   "ca-wait-over",
                   "The certification authority could not be reached in time. Please enroll "
                   "again.", ctx->pool, "%d tries within ScepCAUnavailable's time: %s",
                   event->retry.tries, why);
}

/* Asks the CA, and says what became of it in event. */
static void ask_ca(policy_event_t *event, const scep_ctx_t *ctx, const policy_tx_t *tx,
                   const grant_t *grant, scep_trace_t *trace)
{
    const policy_request_t *asked = tx->request;
    ca_answer_t answer;
    char *serial;

    memset(&answer, 0, sizeof(answer));
    if (tx->ca_cookie)
        ca_poll(ctx->service->ca, grant, asked->csr, tx->ca_cookie, asked->deadline, &answer,
                ctx->log, ctx->pool);
    else
        ca_submit(ctx->service->ca, grant, asked->csr, asked->deadline, &answer, ctx->log,
                  ctx->pool);
    trace->outcome = answer.outcome;
    event->event = event_of(&answer, tx->csr_der.len > 0 || ctx->service->ca_wait > 0);
    event->cookie = answer.result == CA_PENDING ? answer.cookie : tx->ca_cookie;
    event->wait = answer.retry_after > 0 ? answer.retry_after : answer.outcome.retry_after;
    if (event->event == POLICY_EVENT_PENDING && answer.result != CA_PENDING) {
        if (event->cookie)
            event->wait = event->wait > 0 ? event->wait : PENDING_RETRY;
        else
            wait_for_ca(event, ctx, tx, trace);
    }
    if (event->event != POLICY_EVENT_ISSUED)
        return;
    event->not_after = crypt_asn1_time(X509_get0_notAfter(answer.leaf));
    event->certificate = cms_encode(ASN1_ITEM_rptr(X509), answer.leaf, ctx->pool);
    event->issuer = cms_encode(ASN1_ITEM_rptr(X509_NAME), X509_get_issuer_name(answer.leaf),
                               ctx->pool);
    event->subject = cms_encode(ASN1_ITEM_rptr(X509_NAME), X509_get_subject_name(answer.leaf),
                                ctx->pool);
    serial = apr_pstrdup(ctx->pool, crypt_serial_text(X509_get0_serialNumber(answer.leaf),
                                                      ctx->pool));
    for (event->serial = serial; *serial; serial++)
        *serial = (char)apr_tolower(*serial);
    if (!event->certificate.data || !event->issuer.data || !event->subject.data) {
        event->event = POLICY_EVENT_UNKNOWN;
        outcome_unavailable(&trace->outcome, "ca-answer", 0, ctx->pool,
                            "the certificate cannot be encoded");
    }
}

/* Revokes a certificate that exists but was not allowed to leave, where the CA can. */
static void revoke_forbidden(const scep_ctx_t *ctx, const crypt_buf_t *leaf)
{
    const ASN1_INTEGER *serial = cms_certificate_serial(leaf, ctx->pool);
    outcome_t out;
    apr_status_t rv;

    outcome_init(&out);
    rv = serial ? ca_revoke_certificate(ctx->service->ca, leaf, CRL_REASON_CESSATION_OF_OPERATION,
                                        &out, ctx->log, ctx->pool)
                : APR_EINVAL;
    if (rv == APR_SUCCESS)
        log_to(ctx->log, LOG_SINK_NOTICE, SCEPTAG(0120),
               "service '%s': certificate %s was not allowed to be delivered and is revoked",
               ctx->service->name, crypt_serial_text(serial, ctx->pool));
    else
        log_to(ctx->log, LOG_SINK_WARN, SCEPTAG(0121),
               "service '%s': certificate %s was not allowed to be delivered and could not be "
               "revoked: %s",
               ctx->service->name, serial ? crypt_serial_text(serial, ctx->pool) : "?",
               rv == APR_ENOTIMPL ? "the CA backend does not revoke" : out.detail);
}

/* What a refusal, or no answer, says of policy's verdict. */
static scep_verdict_e verdict_of(const outcome_t *out)
{
    return out->result == OUTCOME_REFUSED || out->result == OUTCOME_LIMITED ? SCEP_VERDICT_REFUSED
                                                                            : SCEP_VERDICT_UNKNOWN;
}

/*
 * Without a grant.  A request that was allowed to wait goes on waiting when policy cannot say this
 * time, as when the CA cannot; what a person has approved may be over for good, though
 * (APR_EINVAL).  What the CA has is not submitted again.
 */
static void not_granted(policy_event_t *event, apr_status_t rv, const scep_ctx_t *ctx,
                        const policy_tx_t *tx, scep_trace_t *trace)
{
    if (rv == APR_INCOMPLETE)
        event->event = POLICY_EVENT_PENDING;
    else if (trace->outcome.result == OUTCOME_REFUSED)
        event->event = POLICY_EVENT_REFUSED;
    else if (tx->csr_der.len > 0 && !tx->ca_cookie && rv != APR_EINVAL) {
        event->wait = trace->outcome.retry_after;
        wait_for_ca(event, ctx, tx, trace);
    }
    else
        event->event = POLICY_EVENT_TRANSIENT;
}

/*
 * Whether a request that waits for the CA need not be looked at, since that is left alone after
 * failures: policy, which would be asked first, has others to answer.
 */
static int waits_on(policy_event_t *event, const scep_ctx_t *ctx, const policy_tx_t *tx,
                    scep_trace_t *trace)
{
    if (tx->retry.tries == 0 || !ca_is_resting(ctx->service->ca))
        return 0;
    outcome_unavailable(&trace->outcome, "ca-down", REST_RETRY, ctx->pool,
                        "the CA failed several times in a row, it is left alone for a moment");
    event->wait = REST_RETRY;
    wait_for_ca(event, ctx, tx, trace);
    return 1;
}

/* Asks policy, then the CA; says in event what became of it. */
static void verify_and_ask(policy_event_t *event, const scep_ctx_t *ctx, policy_tx_t *tx,
                           scep_trace_t *trace)
{
    const grant_t *grant = NULL;
    apr_status_t rv;

    /* 5. policy verify */
    rv = policy_verify(&grant, tx, &trace->outcome, ctx->log, ctx->pool);
    scep_trace_step(trace, SCEP_STEP_VERIFY);
    trace->verdict = rv == APR_SUCCESS || rv == APR_INCOMPLETE ? SCEP_VERDICT_ALLOWED
                                                               : verdict_of(&trace->outcome);
    if (rv != APR_SUCCESS) {
        not_granted(event, rv, ctx, tx, trace);
        return;
    }
    /* 6. CA submit */
    ask_ca(event, ctx, tx, grant, trace);
    scep_trace_step(trace, SCEP_STEP_CA);
}

void scep_sign(scep_enrollment_t *enrollment, const scep_ctx_t *ctx, policy_tx_t *tx,
               scep_trace_t *trace)
{
    policy_event_t event;
    outcome_t end;
    apr_status_t rv;

    memset(&event, 0, sizeof(event));
    event.outcome = &trace->outcome;
    outcome_init(&end);
    tx->asked = &trace->asked;
    tx->told = &trace->told;
    if (!waits_on(&event, ctx, tx, trace))
        verify_and_ask(&event, ctx, tx, trace);

    /* 7. policy finish */
    rv = policy_finish(tx, &event, &end, ctx->log, ctx->pool);
    scep_trace_step(trace, SCEP_STEP_COMMIT);
    trace->notified = rv == APR_SUCCESS ? 1 : -1;
    if (tx->forbidden)
        revoke_forbidden(ctx, &event.certificate);
    if (event.event == POLICY_EVENT_PENDING || (rv != APR_SUCCESS &&
                                                event.event == POLICY_EVENT_ISSUED))
        trace->outcome = end;
    else if (event.event == POLICY_EVENT_ISSUED) {
        trace->record = tx->record;
        trace->news = tx->news;
        scep_deliver(enrollment, ctx, &event.certificate, trace);
    }
}

/* 4. policy begin, and what follows from it. */
static void begin(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                  const scep_request_t *request, const scep_message_t *message,
                  policy_request_t *asked, scep_trace_t *trace)
{
    policy_tx_t *tx = NULL;
    apr_status_t rv = policy_begin(&tx, ctx->service->policy, asked, &trace->outcome, ctx->log,
                                   ctx->pool);

    scep_trace_step(trace, SCEP_STEP_CLAIM);
    if (rv != APR_SUCCESS) {
        trace->verdict = verdict_of(&trace->outcome);
        return;
    }
    scep_trace_tx(trace, tx, ctx->pool);
    switch (tx->state) {
    case POLICY_TX_ISSUED:
        trace->replayed = 1;
        scep_deliver(enrollment, ctx, &tx->store_tx.certificate, trace);
        break;
    case POLICY_TX_PENDING:
        /* sent again instead of polled; a poll it is when there may be news */
        if (tx->store_tx.wait <= 0)
            scep_continue(enrollment, ctx, request, message, trace);
        else
            outcome_pending(&trace->outcome, "pending", tx->store_tx.wait);
        break;
    case POLICY_TX_CLAIMED:
        scep_sign(enrollment, ctx, tx, trace);
        break;
    }
}

void scep_enroll(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                 const scep_request_t *request, const scep_message_t *message,
                 scep_trace_t *trace)
{
    csr_t *csr = NULL;
    policy_request_t asked;
    scep_authorization_t authorization;
    apr_status_t rv = open_request(&csr, enrollment, ctx, message, &trace->outcome);

    scep_trace_step(trace, SCEP_STEP_ENVELOPE);
    if (rv != APR_SUCCESS)
        return;
    enrollment->csr = trace->csr = csr;
    trace->subject = csr->subject_text;
    trace->algorithms = describe(enrollment, message, csr, ctx->pool);
    trace->template_name = ctx->service->templates[csr->usage];
    if (scep_authorize(&authorization, enrollment->allowed, ctx, message, csr,
                       trace->template_name, &trace->outcome) != APR_SUCCESS)
        return;
    trace->renews = authorization.renews;
    scep_ask(&asked, ctx, request, message, csr);
    asked.authorization = authorization.by;
    asked.signer = authorization.signer;
    asked.signer_foreign = authorization.foreign;
    asked.template_name = trace->template_name;
    begin(enrollment, ctx, request, message, &asked, trace);
}
