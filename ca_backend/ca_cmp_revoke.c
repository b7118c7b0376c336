/* SPDX-License-Identifier: Apache-2.0 */
/* Revocation by CMP (rr, RFC 4210 section 5.3.9). */
#include "ca_cmp.h"

#include <openssl/err.h>
#include <string.h>

#define REVOKE_TIME apr_time_from_sec(8)

/*
 * Names the certificate to revoke by issuer and serial number, which is all that the request holds.
 * OpenSSL before 3.2 takes them out of a certificate only, which has to be whole: the issuer's is
 * taken for it.  0 on failure.
 */
static int set_certificate(OSSL_CMP_CTX *ctx, X509 *issuer, const ASN1_INTEGER *serial)
{
    X509 *cert = X509_dup(issuer);
    ASN1_INTEGER *number = ASN1_INTEGER_dup(serial);
    int good = cert != NULL && number != NULL && X509_set_serialNumber(cert, number) &&
               X509_set_issuer_name(cert, X509_get_subject_name(issuer)) &&
               OSSL_CMP_CTX_set1_oldCert(ctx, cert);

    ASN1_INTEGER_free(number);
    X509_free(cert);
    return good;
}

/* What a failed exchange means: see ca_provider_t.revoke. */
static apr_status_t conclude(ca_cmp_call_t *call, outcome_t *out)
{
    int info;

    ca_cmp_call_explain(call);
    *out = call->answer->outcome;
    if (call->answer->result != CA_REJECTED) {
        return APR_EGENERAL;
    }
    info = OSSL_CMP_CTX_get_failInfoCode(call->ctx);
    if (info > 0 && (info & OSSL_CMP_CTX_FAILINFO_certRevoked)) {
        outcome_success(out);
        return APR_SUCCESS;
    }
    if (info > 0 && (info & OSSL_CMP_CTX_FAILINFO_badCertId)) {
        return APR_NOTFOUND;
    }
    outcome_unavailable(out, "ca-rejected", 0, call->p, "%s: %s", call->http.peer,
                        ca_cmp_call_status(call));
    return APR_EGENERAL;
}

apr_status_t ca_cmp_revoke(void *instance, const ASN1_INTEGER *serial, apr_time_t not_after,
                           int reason, outcome_t *out, apr_pool_t *p)
{
    static const unsigned char none[8];
    ca_answer_t answer;
    ca_cmp_call_t call;
    apr_status_t rv = APR_SUCCESS;

    (void)not_after;
    if (((ca_cmp_t *)instance)->issuer == NULL) {
        return APR_ENOTIMPL;
    }
    memset(&answer, 0, sizeof(answer));
    memset(&call, 0, sizeof(call));
    outcome_init(&answer.outcome);
    call.cmp = instance;
    call.answer = &answer;
    call.deadline = apr_time_now() + REVOKE_TIME;
    call.p = p;
    ca_cmp_call_begin(&call);
    if (ca_cmp_call_open(&call, none) != APR_SUCCESS ||
        !set_certificate(call.ctx, call.cmp->issuer, serial) ||
        !OSSL_CMP_CTX_set_option(call.ctx, OSSL_CMP_OPT_REVOCATION_REASON, reason) ||
        OSSL_CMP_exec_RR_ses(call.ctx) != 1) {
        rv = conclude(&call, out);
    }
    else {
        outcome_success(out);
    }
    ca_cmp_call_end();
    ERR_clear_error();
    (void)OSSL_CMP_CTX_set_transfer_cb_arg(call.ctx, NULL);
    return rv;
}
