/* SPDX-License-Identifier: Apache-2.0 */
/* PKCSReq, straight through; the numbers are those of docs/architecture.md. */
#include "enroll.h"
#include "envelope.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#define SHORT_ID_LEN 12     /* of a challenge's id in logs and pages */

/* Refuses signers that could not receive the answer or are not the one who asks. */
static apr_status_t check_signer(const scep_message_t *message, const csr_t *csr, outcome_t *out,
                                 apr_pool_t *p)
{
    /*
     * RFC 8894 section 2.3: compare keys, never names.  The signer's names are whatever the sender
     * wrote: with another key, a recorded envelope could be sent again by a stranger, its challenge
     * spent and the answer enveloped to him.
     */
    if (message->signer_spki.len != csr->spki_der.len ||
        memcmp(message->signer_spki.data, csr->spki_der.data, csr->spki_der.len) != 0) {
        outcome_refuse(out, FAIL_INFO_BAD_MESSAGE_CHECK, OUTCOME_HR_BAD_SIGNATURE, "signer-key",
                       "The message is not signed with the key of the certificate request.", p,
                       "the message's signer has another key than the CSR");
        return APR_EINVAL;
    }
    if (EVP_PKEY_is_a(message->signer_key, "RSA"))
        return APR_SUCCESS;
    outcome_refuse(out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "signer-key-type",
                   "The key of the message's signer cannot receive an enveloped answer.", p,
                   "signer's key is %s; an answer can be enveloped to RSA only",
                   crypt_key_name(message->signer_key, p));
    return APR_EINVAL;
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
    apr_status_t rv = scep_envelope_open(&plain, &enrollment->cipher, &enrollment->generation,
                                         message, ctx->service, out, ctx->pool);

    if (rv != APR_SUCCESS)
        return rv;
    rv = csr_make(pcsr, &plain, (ctx->service->legacy & SCEP_LEGACY_SHA1) != 0, out, ctx->pool);
    if (rv == APR_SUCCESS)
        return check_signer(message, *pcsr, out, ctx->pool);
    if (strcmp(out->reason, "csr-algorithm") != 0) {
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
    return apr_psprintf(p, "%s/%s/%s", OBJ_nid2sn(EVP_CIPHER_get_nid(enrollment->cipher)),
                        OBJ_nid2sn(EVP_MD_get_type(message->digest)),
                        crypt_key_name(csr->key, p));
}

/* Puts the leaf, and the issuing CA where it is wanted, into the answer. */
static void deliver(scep_enrollment_t *enrollment, const scep_ctx_t *ctx, const crypt_buf_t *leaf,
                    scep_trace_t *trace)
{
    STACK_OF(X509) *chain = NULL;
    const cert_t *cert = cms_decode(ASN1_ITEM_rptr(cert_t), leaf->data, leaf->len, ctx->pool);

    if (cert)
        trace->serial = crypt_serial_text(cert->info->serial, ctx->pool);
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

/* What the CA's answer means to policy and store. */
static policy_event_e event_of(const ca_answer_t *answer)
{
    switch (answer->result) {
    case CA_ISSUED: return POLICY_EVENT_ISSUED;
    case CA_PENDING: return POLICY_EVENT_PENDING;
    case CA_REJECTED: return POLICY_EVENT_REFUSED;
    default: return answer->unknown ? POLICY_EVENT_UNKNOWN : POLICY_EVENT_TRANSIENT;
    }
}

/* 5. to 7.: a claimed transaction, up to its end. */
static void sign_claimed(scep_enrollment_t *enrollment, const scep_ctx_t *ctx, policy_tx_t *tx,
                         scep_trace_t *trace)
{
    const grant_t *grant = NULL;
    ca_answer_t answer;
    policy_event_t event;
    outcome_t end;

    memset(&event, 0, sizeof(event));
    event.outcome = &trace->outcome;
    outcome_init(&end);

    /* 5. policy verify */
    if (policy_verify(&grant, tx, &trace->outcome, ctx->log, ctx->pool) != APR_SUCCESS) {
        event.event = trace->outcome.result == OUTCOME_REFUSED ? POLICY_EVENT_REFUSED
                                                               : POLICY_EVENT_TRANSIENT;
        (void)policy_finish(tx, &event, &end, ctx->log, ctx->pool);
        return;
    }

    /* 6. CA submit */
    memset(&answer, 0, sizeof(answer));
    ca_submit(ctx->service->ca, grant, tx->request->csr, tx->request->deadline, &answer, ctx->log,
              ctx->pool);
    trace->outcome = answer.outcome;
    event.event = event_of(&answer);
    event.cookie = answer.cookie;
    event.wait = answer.retry_after;
    if (event.event == POLICY_EVENT_ISSUED) {
        event.certificate = cms_encode(ASN1_ITEM_rptr(X509), answer.leaf, ctx->pool);
        if (!event.certificate.data) {
            event.event = POLICY_EVENT_UNKNOWN;
            outcome_unavailable(&trace->outcome, "ca-answer", 0, ctx->pool,
                                "the certificate cannot be encoded");
        }
    }

    /* 7. policy finish */
    if (policy_finish(tx, &event, &end, ctx->log, ctx->pool) != APR_SUCCESS) {
        if (event.event == POLICY_EVENT_ISSUED || event.event == POLICY_EVENT_PENDING)
            trace->outcome = end;
        return;
    }
    if (event.event == POLICY_EVENT_ISSUED)
        deliver(enrollment, ctx, &event.certificate, trace);
}

void scep_enroll(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                 const scep_request_t *request, const scep_message_t *message,
                 scep_trace_t *trace)
{
    csr_t *csr = NULL;
    policy_tx_t *tx = NULL;
    policy_request_t asked;

    memset(&asked, 0, sizeof(asked));
    if (open_request(&csr, enrollment, ctx, message, &trace->outcome) != APR_SUCCESS)
        return;
    trace->subject = csr->subject_text;
    trace->algorithms = describe(enrollment, message, csr, ctx->pool);
    trace->template_name = ctx->service->templates[csr->usage];

    asked.authorization = POLICY_BY_CHALLENGE;
    asked.csr = csr;
    asked.challenge = csr->challenge;
    asked.template_name = trace->template_name;
    asked.transaction_id = message->transaction_id;
    asked.signer_key = &message->signer_spki;
    asked.client_address = request->client_address;
    asked.user_agent = request->user_agent;
    asked.limit_exempt = request->limit_exempt;
    asked.deadline = request->arrived + ctx->service->request_timeout;

    /* 4. policy begin */
    if (policy_begin(&tx, ctx->service->policy, &asked, &trace->outcome, ctx->log,
                     ctx->pool) != APR_SUCCESS)
        return;
    if (tx->store_tx.challenge_id && *tx->store_tx.challenge_id)
        trace->challenge_id = apr_pstrndup(ctx->pool, tx->store_tx.challenge_id, SHORT_ID_LEN);
    if (tx->store_tx.challenge.caller)
        trace->challenge_caller = tx->store_tx.challenge.caller;
    switch (tx->state) {
    case POLICY_TX_ISSUED:
        trace->replayed = 1;
        deliver(enrollment, ctx, &tx->store_tx.certificate, trace);
        break;
    case POLICY_TX_PENDING:
        trace->outcome.result = OUTCOME_PENDING;
        trace->outcome.reason = "pending";
        break;
    case POLICY_TX_CLAIMED:
        sign_claimed(enrollment, ctx, tx, trace);
        break;
    }
}
