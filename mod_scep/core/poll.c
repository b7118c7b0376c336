/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CertPoll (RFC 8894 section 3.3.3), and a request that is sent again while it waits.
 *
 * The transaction is found by transactionID and the key of the message's signer; the content, an
 * IssuerAndSubject, has to be one, and decides nothing: clients fill it in all ways.
 */
#include "enroll.h"
#include "envelope.h"
#include "renewal.h"

#include <openssl/err.h>

/* IssuerAndSubject of section 3.3.3. */
typedef struct issuer_and_subject_t {
    X509_NAME *issuer;
    X509_NAME *subject;
} issuer_and_subject_t;

ASN1_SEQUENCE(issuer_and_subject_t) = {
    ASN1_SIMPLE(issuer_and_subject_t, issuer, X509_NAME),
    ASN1_SIMPLE(issuer_and_subject_t, subject, X509_NAME)
} static_ASN1_SEQUENCE_END(issuer_and_subject_t)

/* The waiting request's CSR; NULL with out set if it cannot be read any more. */
static csr_t *csr_again(const policy_tx_t *tx, const scep_ctx_t *ctx, outcome_t *out)
{
    csr_t *csr = NULL;
    outcome_t why;

    if (tx->csr_der.len > 0 &&
        csr_make(&csr, &tx->csr_der, scep_csr_digests(ctx->service), &why, ctx->pool) ==
            APR_SUCCESS)
        return csr;
    ERR_clear_error();
    outcome_unavailable(out, "waiting-request", 0, ctx->pool,
                        "the waiting request is not in the store");
    return NULL;
}

/* A transaction that this poll holds: asks the CA, or submits what a person has approved. */
static void resume(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                   const scep_request_t *request, const scep_message_t *message, policy_tx_t *tx,
                   scep_trace_t *trace)
{
    scep_authorization_t authorization;
    policy_request_t asked;
    csr_t *csr = csr_again(tx, ctx, &trace->outcome);

    if (!csr)
        return;
    enrollment->csr = trace->csr = csr;
    /* as when it was made: the row of CertPoll itself allows no certificate */
    if (scep_authorize(&authorization, SCEP_BY_CHALLENGE | SCEP_BY_SIGNER, ctx, message, csr,
                       tx->store_tx.template_name, &trace->outcome) != APR_SUCCESS)
        return;
    trace->renews = authorization.renews;
    scep_ask(&asked, ctx, request, message, csr);
    asked.authorization = authorization.by;
    asked.signer = authorization.signer;
    asked.signer_foreign = authorization.foreign;
    if (policy_resume(tx, &asked, &trace->outcome, ctx->pool) == APR_SUCCESS)
        scep_sign(enrollment, ctx, tx, trace);
}

void scep_continue(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                   const scep_request_t *request, const scep_message_t *message,
                   scep_trace_t *trace)
{
    policy_tx_t *tx = NULL;
    apr_status_t rv = policy_poll(&tx, ctx->service->policy, message->transaction_id,
                                  &message->signer_spki, &trace->outcome, ctx->log, ctx->pool);

    scep_trace_step(trace, SCEP_STEP_CLAIM);
    if (rv != APR_SUCCESS)
        return;
    scep_trace_tx(trace, tx, ctx->pool);
    trace->subject = tx->store_tx.subject;
    trace->template_name = tx->store_tx.template_name;
    switch (tx->state) {
    case POLICY_TX_ISSUED:
        trace->replayed = 1;
        if (tx->csr_der.len > 0)
            enrollment->csr = trace->csr = csr_again(tx, ctx, &trace->outcome);
        scep_deliver(enrollment, ctx, &tx->store_tx.certificate, trace);
        break;
    case POLICY_TX_PENDING:
        outcome_pending(&trace->outcome, "pending", tx->store_tx.wait);
        break;
    case POLICY_TX_CLAIMED:
        resume(enrollment, ctx, request, message, tx, trace);
        break;
    }
}

void scep_poll(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
               const scep_request_t *request, const scep_message_t *message, scep_trace_t *trace)
{
    crypt_buf_t plain;
    apr_status_t rv = scep_envelope_open(&plain, &enrollment->envelope, message, ctx->service,
                                         &trace->outcome, ctx->pool);

    scep_trace_step(trace, SCEP_STEP_ENVELOPE);
    if (rv != APR_SUCCESS)
        return;
    if (!cms_decode(ASN1_ITEM_rptr(issuer_and_subject_t), plain.data, plain.len, ctx->pool)) {
        scep_envelope_refuse(&trace->outcome, "the content is not an IssuerAndSubject", ctx->pool);
        return;
    }
    scep_continue(enrollment, ctx, request, message, trace);
}
