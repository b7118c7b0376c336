/* SPDX-License-Identifier: Apache-2.0 */
/* GetCert and GetCRL (see lookup.h). */
#include "lookup.h"
#include "envelope.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <string.h>

#define MAX_SERIAL_BYTES 32
/* an answer takes some ten times as much memory, and anybody may ask */
#define MAX_CRL_BYTES (1024 * 1024)

/* Refuses because there is nothing to give; log and metrics tell why. */
static void refuse_id(outcome_t *out, const char *reason, const char *detail, apr_pool_t *p)
{
    outcome_refuse(out, FAIL_INFO_BAD_CERT_ID, OUTCOME_HR_NOT_FOUND, reason,
                   "No certificate with this issuer and serial number is available.", p, "%s",
                   detail);
}

/* Refuses what the configuration does not offer. */
static void refuse_operation(outcome_t *out, const char *text, const char *detail, apr_pool_t *p)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG, "not-offered", text, p, "%s",
                   detail);
}

/* Opens the envelope; what the message asks for, or NULL with trace->outcome set. */
static const PKCS7_ISSUER_AND_SERIAL *open_request(scep_enrollment_t *enrollment,
                                                   const scep_ctx_t *ctx,
                                                   const scep_message_t *message,
                                                   scep_trace_t *trace)
{
    const PKCS7_ISSUER_AND_SERIAL *id;
    crypt_buf_t plain;

    if (!scep_envelope_can_seal(message, NULL)) {
        outcome_refuse(&trace->outcome, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "signer-key-type",
                       "The key of the message's signer cannot receive an enveloped answer.",
                       ctx->pool, "signer's key is %s",
                       crypt_key_name(message->signer_key, ctx->pool));
        return NULL;
    }
    if (scep_envelope_open(&plain, &enrollment->envelope, message, ctx->service, &trace->outcome,
                           ctx->pool) != APR_SUCCESS)
        return NULL;
    trace->algorithms = apr_psprintf(ctx->pool, "%s/%s/%s",
                                     OBJ_nid2sn(EVP_CIPHER_get_nid(enrollment->envelope.cipher)),
                                     OBJ_nid2sn(EVP_MD_get_type(message->digest)),
                                     crypt_key_name(message->signer_key, ctx->pool));
    id = cms_decode(ASN1_ITEM_rptr(PKCS7_ISSUER_AND_SERIAL), plain.data, plain.len, ctx->pool);
    if (!id) {
        /* as an envelope that cannot be opened: the content may be somebody's (envelope.h) */
        scep_envelope_refuse(&trace->outcome, "the content is not one IssuerAndSerialNumber",
                             ctx->pool);
        trace->outcome.reason = "issuer-and-serial";
        return NULL;
    }
    trace->serial = crypt_serial_text(id->serial, ctx->pool);
    return id;
}

/* Whether id names that certificate, by names and bytes. */
static int is_named(const PKCS7_ISSUER_AND_SERIAL *id, const X509_NAME *issuer,
                    const ASN1_INTEGER *serial)
{
    return ASN1_INTEGER_cmp(id->serial, serial) == 0 && X509_NAME_cmp(id->issuer, issuer) == 0;
}

/* The certificate of the chain that id names; NULL: none. */
static X509 *find_in_chain(STACK_OF(X509) *chain, const PKCS7_ISSUER_AND_SERIAL *id)
{
    int i;

    for (i = 0; i < sk_X509_num(chain); i++) {
        X509 *cert = sk_X509_value(chain, i);

        if (is_named(id, X509_get_issuer_name(cert), X509_get0_serialNumber(cert)))
            return cert;
    }
    return NULL;
}

/* Whether the chain has a CA of that name. */
static int has_issuer(STACK_OF(X509) *chain, const X509_NAME *issuer)
{
    int i;

    for (i = 0; i < sk_X509_num(chain); i++) {
        if (X509_NAME_cmp(issuer, X509_get_subject_name(sk_X509_value(chain, i))) == 0)
            return 1;
    }
    return 0;
}

/* The CA's chain; NULL with trace->outcome set. */
static STACK_OF(X509) *get0_chain(const scep_ctx_t *ctx, scep_trace_t *trace)
{
    STACK_OF(X509) *chain = NULL;

    if (ca_chain(ctx->service->ca, &chain, ctx->log, ctx->pool) == APR_SUCCESS &&
        sk_X509_num(chain) > 0)
        return chain;
    outcome_unavailable(&trace->outcome, "ca-chain", 0, ctx->pool, "the CA's chain is not known");
    return NULL;
}

/*
 * The issued certificate that id names.  APR_NOTFOUND: there is none, also if what the store has
 * under that number is another's; other: trace->outcome is set.
 */
static apr_status_t find_issued(const cert_t **pcert, crypt_buf_t *der, const scep_ctx_t *ctx,
                                const PKCS7_ISSUER_AND_SERIAL *id, scep_trace_t *trace)
{
    int len = ASN1_STRING_length(id->serial);
    outcome_t out;
    apr_status_t rv;

    *pcert = NULL;
    if (len < 1 || len > MAX_SERIAL_BYTES || ASN1_STRING_type(id->serial) != V_ASN1_INTEGER)
        return APR_NOTFOUND;
    outcome_init(&out);
    rv = policy_find_certificate(ctx->service->policy,
                                 crypt_hex(ASN1_STRING_get0_data(id->serial), (apr_size_t)len, 0,
                                           ctx->pool),
                                 der, &out, ctx->log, ctx->pool);
    if (rv == APR_NOTFOUND)
        return rv;
    if (rv != APR_SUCCESS) {
        trace->outcome = out;
        return rv;
    }
    *pcert = cms_decode(ASN1_ITEM_rptr(cert_t), der->data, der->len, ctx->pool);
    return *pcert && is_named(id, (*pcert)->info->issuer, (*pcert)->info->serial) ? APR_SUCCESS
                                                                                 : APR_NOTFOUND;
}

/* Whether the certificate is for the key that signed the message. */
static int is_own(const cert_t *cert, const scep_message_t *message, apr_pool_t *p)
{
    crypt_buf_t spki = cms_encode(ASN1_ITEM_rptr(spki_t), cert->info->spki, p);

    return spki.data && spki.len == message->signer_spki.len &&
           memcmp(spki.data, message->signer_spki.data, spki.len) == 0;
}

/* Whether the message is signed with a certificate in use; as ca_check_signer(). */
static apr_status_t check_signer(const scep_ctx_t *ctx, const scep_message_t *message,
                                 outcome_t *out)
{
    X509 *cert = cms_decode(ASN1_ITEM_rptr(X509), message->signer_der.data,
                            message->signer_der.len, ctx->pool);

    return cert ? ca_check_signer(ctx->service->ca, cert, NULL, apr_time_now(), 0, out, ctx->log,
                                  ctx->pool)
                : APR_NOTFOUND;
}

/* Puts the certificate into the answer. */
static void deliver(scep_enrollment_t *enrollment, const X509_NAME *subject,
                    const crypt_buf_t *der, scep_trace_t *trace, apr_pool_t *p)
{
    trace->subject = crypt_name_text(subject, p);
    enrollment->certificates[0] = *der;
    enrollment->ncertificates = 1;
    outcome_success(&trace->outcome);
}

/* Gives an issued certificate to whoever may have it. */
static void lookup_issued(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                          const scep_message_t *message, const PKCS7_ISSUER_AND_SERIAL *id,
                          scep_trace_t *trace)
{
    const cert_t *cert;
    crypt_buf_t der;
    outcome_t out;
    apr_status_t rv = find_issued(&cert, &der, ctx, id, trace);

    if (rv != APR_SUCCESS && rv != APR_NOTFOUND)
        return;
    outcome_init(&out);
    if (rv == APR_SUCCESS && !is_own(cert, message, ctx->pool)) {
        rv = check_signer(ctx, message, &out);
        if (rv == APR_NOTFOUND || rv == APR_EACCES) {
            refuse_id(&trace->outcome, "not-allowed",
                      rv == APR_EACCES ? apr_psprintf(ctx->pool, "%s: %s", out.reason, out.detail)
                                       : "the signer has neither the certificate's key nor one "
                                         "of this CA",
                      ctx->pool);
            return;
        }
        if (rv != APR_SUCCESS) {
            trace->outcome = out;
            return;
        }
    }
    if (rv == APR_SUCCESS)
        deliver(enrollment, cert->info->subject, &der, trace, ctx->pool);
    else
        refuse_id(&trace->outcome, "not-found", "no such certificate was issued here", ctx->pool);
}

void scep_lookup_cert(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                      const scep_request_t *request, const scep_message_t *message,
                      scep_trace_t *trace)
{
    const PKCS7_ISSUER_AND_SERIAL *id;
    STACK_OF(X509) *chain;
    X509 *cert;

    (void)request;
    if (!ctx->service->get_cert) {
        refuse_operation(&trace->outcome, "GetCert is not offered.", "ScepGetCert is off",
                         ctx->pool);
        return;
    }
    if ((id = open_request(enrollment, ctx, message, trace)) == NULL ||
        (chain = get0_chain(ctx, trace)) == NULL)
        return;
    if ((cert = find_in_chain(chain, id)) != NULL) {
        crypt_buf_t der = cms_encode(ASN1_ITEM_rptr(X509), cert, ctx->pool);

        if (der.data)
            deliver(enrollment, X509_get_subject_name(cert), &der, trace, ctx->pool);
        return;
    }
    if (!has_issuer(chain, id->issuer)) {
        refuse_id(&trace->outcome, "issuer", "the issuer is not this service's CA", ctx->pool);
        return;
    }
    lookup_issued(enrollment, ctx, message, id, trace);
}

void scep_lookup_crl(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                     const scep_request_t *request, const scep_message_t *message,
                     scep_trace_t *trace)
{
    const PKCS7_ISSUER_AND_SERIAL *id;
    STACK_OF(X509) *chain;
    apr_status_t rv;

    (void)request;
    if (!ctx->service->get_crl) {
        refuse_operation(&trace->outcome, "GetCRL is not offered.", "ScepGetCRL is off", ctx->pool);
        return;
    }
    if ((id = open_request(enrollment, ctx, message, trace)) == NULL ||
        (chain = get0_chain(ctx, trace)) == NULL)
        return;
    if (!has_issuer(chain, id->issuer) && !find_in_chain(chain, id)) {
        refuse_id(&trace->outcome, "issuer", "the issuer is not this service's CA", ctx->pool);
        return;
    }
    rv = ca_crl(ctx->service->ca, &enrollment->crl, MAX_CRL_BYTES, &trace->outcome, ctx->log,
                ctx->pool);
    if (rv == APR_SUCCESS)
        outcome_success(&trace->outcome);
    else if (rv == APR_ENOTIMPL)
        refuse_operation(&trace->outcome, "GetCRL is not offered.", "no CRL is configured",
                         ctx->pool);
    else if (rv == APR_ENOSPC)
        refuse_operation(&trace->outcome, "The CRL is too large for a message.",
                         "the CRL is over 1 MiB", ctx->pool);
}
