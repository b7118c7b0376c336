/* SPDX-License-Identifier: Apache-2.0 */
/* Who may have a certificate without a challenge (see renewal.h). */
#include "renewal.h"
#include "enroll.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

/* Whether the message is signed with the CSR's key. */
static int same_key(const scep_message_t *message, const csr_t *csr)
{
    return message->signer_spki.len == csr->spki_der.len &&
           memcmp(message->signer_spki.data, csr->spki_der.data, csr->spki_der.len) == 0;
}

/* Whether the CSR asks for the signer's subject. */
static int same_subject(const scep_message_t *message, const csr_t *csr)
{
    return X509_NAME_cmp(message->signer_cert->info->subject, csr->subject) == 0;
}

/* The signer's certificate as OpenSSL has it, owned by p; NULL if it cannot be read. */
static X509 *signer_make(const scep_message_t *message, apr_pool_t *p)
{
    const unsigned char *der = message->signer_der.data;
    X509 *cert = d2i_X509(NULL, &der, (long)message->signer_der.len);

    ERR_clear_error();
    return crypt_x509_own(cert, p);
}

/* Whether name is one of names. */
static int has_name(const GENERAL_NAMES *names, const GENERAL_NAME *name)
{
    int i;

    for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(names, i), (GENERAL_NAME *)name) == 0)
            return 1;
    }
    return 0;
}

/* Whether the CSR asks for no alternative name that the certificate in use does not have. */
static int san_within(X509 *signer, const csr_t *csr)
{
    GENERAL_NAMES *wanted = NULL, *had = NULL;
    apr_status_t rv = ca_template_san_make(&wanted, csr);
    int i, within = rv == APR_NOTFOUND;

    if (rv == APR_SUCCESS) {
        had = X509_get_ext_d2i(signer, NID_subject_alt_name, NULL, NULL);
        within = had != NULL;
        for (i = 0; within && i < sk_GENERAL_NAME_num(wanted); i++)
            within = has_name(had, sk_GENERAL_NAME_value(wanted, i));
    }
    GENERAL_NAMES_free(wanted);
    GENERAL_NAMES_free(had);
    ERR_clear_error();
    return within;
}

/* Whether the CSR is for nobody else than the certificate in use. */
static int same_names(const scep_message_t *message, X509 *signer, const csr_t *csr)
{
    return same_subject(message, csr) && san_within(signer, csr);
}

/* A refusal by one of the rules. */
static apr_status_t refuse(outcome_t *out, apr_int32_t hresult, const char *reason,
                           const char *text, const char *detail, apr_pool_t *p)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, hresult, reason, text, p, "%s", detail);
    return APR_EACCES;
}

/* Whether the message is signed with a key of the RA, whose certificates SCEP does not renew. */
static int is_ra(const scep_ctx_t *ctx, const scep_message_t *message)
{
    const apr_array_header_t *pairs[2] = { ctx->service->signers, ctx->service->decrypters };
    int i, j;

    for (i = 0; i < 2; i++) {
        for (j = 0; j < pairs[i]->nelts; j++) {
            X509 *cert = APR_ARRAY_IDX(pairs[i], j, scep_ra_key_t).cert;

            if (EVP_PKEY_eq(message->signer_key, X509_get0_pubkey(cert)) == 1)
                return 1;
        }
    }
    ERR_clear_error();
    return 0;
}

/* The rules of ScepRenewal* for a certificate of ours. */
static apr_status_t check_rules(const scep_ctx_t *ctx, const scep_message_t *message, X509 *signer,
                                const csr_t *csr, const char *template_name, outcome_t *out)
{
    const scep_renewal_t *rules = &ctx->service->renewal;
    apr_time_t end = crypt_asn1_time(X509_get0_notAfter(signer));
    int same = same_key(message, csr);

    if (!rules->enabled)
        return refuse(out, OUTCOME_HR_ACCESS_DENIED, "renewal-off",
                      "Renewal is not offered; a challenge password is required.",
                      "ScepRenewal is off", ctx->pool);
    if (is_ra(ctx, message))
        return refuse(out, OUTCOME_HR_ACCESS_DENIED, "renewal-ra",
                      "The certificate cannot be renewed by SCEP.",
                      "the message is signed with a key of the RA", ctx->pool);
    if (rules->window > 0 && apr_time_now() < end - rules->window)
        return refuse(out, OUTCOME_HR_ACCESS_DENIED, "renewal-early",
                      "The certificate cannot be renewed yet.",
                      "the certificate in use ends later than ScepRenewalWindow from now",
                      ctx->pool);
    if (rules->same_subject && !same_names(message, signer, csr))
        return refuse(out, OUTCOME_HR_BAD_REQUESTSUBJECT, "renewal-subject",
                      "A renewal cannot change subject or alternative names.",
                      "subject or alternative names are not those of the certificate in use",
                      ctx->pool);
    if ((rules->key == SCEP_RENEWAL_KEY_NEW && same) ||
        (rules->key == SCEP_RENEWAL_KEY_SAME && !same))
        return refuse(out, OUTCOME_HR_ACCESS_DENIED, "renewal-key",
                      same ? "A renewal needs a new key." : "A renewal must keep its key.",
                      same ? "the key is the old one" : "the key is not the old one", ctx->pool);
    return ca_check_key(ctx->service->ca, template_name, message->signer_key, out, ctx->pool);
}

apr_status_t scep_check_signer(int *foreign, ca_t *ca, const scep_renewal_t *rules, X509 *signer,
                               outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    apr_time_t now = apr_time_now();
    apr_status_t rv = ca_check_signer(ca, signer, NULL, now, rules->grace, out, log, p);

    *foreign = 0;
    if (rv != APR_NOTFOUND || !rules->foreign)
        return rv;
    rv = ca_check_signer(ca, signer, rules->foreign, now, rules->grace, out, log, p);
    *foreign = rv == APR_SUCCESS;
    return rv;
}

/* APR_SUCCESS: the signer may renew; APR_NOTFOUND: it is none of ours; other: out says why not. */
static apr_status_t check_signer(X509 **psigner, int *foreign, const scep_ctx_t *ctx,
                                 const scep_message_t *message, const csr_t *csr,
                                 const char *template_name, outcome_t *out)
{
    const cert_info_t *info = message->signer_cert->info;
    apr_status_t rv;

    *psigner = NULL;
    /* self-signed, as nearly all initial requests are */
    if (X509_NAME_cmp(info->issuer, info->subject) == 0 ||
        (*psigner = signer_make(message, ctx->pool)) == NULL)
        return APR_NOTFOUND;
    rv = scep_check_signer(foreign, ctx->service->ca, &ctx->service->renewal, *psigner, out,
                           ctx->log, ctx->pool);
    if (rv != APR_SUCCESS)
        return rv;
    return check_rules(ctx, message, *psigner, csr, template_name, out);
}

apr_status_t scep_authorize(scep_authorization_t *authorization, unsigned allowed,
                            const scep_ctx_t *ctx, const scep_message_t *message,
                            const csr_t *csr, const char *template_name, outcome_t *out)
{
    int same = same_key(message, csr), foreign = 0;
    X509 *signer = NULL;
    apr_status_t rv = check_signer(&signer, &foreign, ctx, message, csr, template_name, out);

    memset(authorization, 0, sizeof(*authorization));
    authorization->renews = "";
    if (rv == APR_SUCCESS) {
        if (!(allowed & SCEP_BY_SIGNER))
            return refuse(out, OUTCOME_HR_INVALIDARG, "message-type",
                          "This message type cannot renew.", "the type has no SCEP_BY_SIGNER",
                          ctx->pool);
        authorization->by = POLICY_BY_SIGNER;
        authorization->signer = signer;
        authorization->foreign = foreign;
        authorization->renews = crypt_serial_text(X509_get0_serialNumber(signer), ctx->pool);
        return APR_SUCCESS;
    }
    if (rv == APR_NOTFOUND && !(allowed & SCEP_BY_CHALLENGE))
        return refuse(out, OUTCOME_HR_CERT_SIGNATURE, "renewal-signer",
                      "A renewal must be signed with a certificate of this authority.",
                      "the signer's certificate is none of this CA's", ctx->pool);
    if (rv != APR_NOTFOUND &&
        (out->result != OUTCOME_REFUSED || strcmp(out->reason, "signer-revoked") == 0 ||
         !(allowed & SCEP_BY_CHALLENGE) || !csr->challenge ||
         !(same || same_names(message, signer, csr))))
        return rv;
    /*
     * RFC 8894 section 2.3: compare keys, never names.  A stranger's names are whatever he wrote:
     * with another key, a recorded envelope could be sent again by him, its challenge spent and the
     * answer enveloped to him.
     */
    if (rv == APR_NOTFOUND && !same) {
        outcome_refuse(out, FAIL_INFO_BAD_MESSAGE_CHECK, OUTCOME_HR_BAD_SIGNATURE, "signer-key",
                       "The message is not signed with the key of the certificate request.",
                       ctx->pool, "the message's signer has another key than the CSR");
        return APR_EINVAL;
    }
    authorization->by = POLICY_BY_CHALLENGE;
    return APR_SUCCESS;
}
