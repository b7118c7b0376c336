/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a certificate that signs a message is one that this CA issued and still stands by.
 *
 * The time is checked here and not by X509_verify_cert(): a certificate stays its holder's for
 * a grace period, and CA certificates that expired since do not matter.
 */
#include "ca_check.h"
#include "ca_state.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#define CLOCK_TOLERANCE apr_time_from_sec(300)
#define MAX_SERIAL_BYTES 32

/* Whether it is a holder's certificate and not one that speaks for a CA or for itself. */
static int is_leaf(X509 *cert)
{
    int leaf = X509_check_ca(cert) == 0 &&
               (X509_get_extension_flags(cert) & (EXFLAG_INVALID | EXFLAG_SI | EXFLAG_SS)) == 0 &&
               X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) != 0;

    ERR_clear_error();
    return leaf;
}

/* The certificate of chain that signed cert; NULL: none. */
static X509 *find_signer(STACK_OF(X509) *chain, X509 *cert)
{
    X509 *found = NULL;
    int i;

    for (i = 0; i < sk_X509_num(chain) && found == NULL; i++) {
        X509 *issuer = sk_X509_value(chain, i);

        if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) == 0 &&
            X509_verify(cert, X509_get0_pubkey(issuer)) == 1) {
            found = issuer;
        }
    }
    ERR_clear_error();
    return found;
}

/* Verifies cert up to store, whatever the time; error text, NULL on success.  *issuer, unless NULL,
 * is the store's certificate that signed it. */
static const char *check_path(X509_STORE *store, X509 *cert, X509 **issuer)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    const char *error = NULL;

    if (store == NULL || ctx == NULL || !X509_STORE_CTX_init(ctx, store, cert, NULL)) {
        error = "no memory";
        goto leave;
    }
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(ctx) != 1) {
        error = X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
    }
    else if (issuer != NULL) {
        *issuer = sk_X509_value(X509_STORE_CTX_get0_chain(ctx), 1);
        error = *issuer == NULL ? "nobody signed it" : NULL;
    }

leave:
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return error;
}

/* Refuses the signer; returns APR_EACCES. */
static apr_status_t refuse(outcome_t *out, const char *reason, const char *text, apr_pool_t *p,
                           const char *detail)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, reason, text, p, "%s",
                   detail);
    return APR_EACCES;
}

/* Checks validity and algorithm: what the certificate says of itself. */
static apr_status_t check_leaf(X509 *cert, apr_time_t now, apr_interval_time_t grace,
                               outcome_t *out, apr_pool_t *p)
{
    const X509_ALGOR *algor = NULL;
    char date[APR_RFC822_DATE_LEN];
    apr_time_t from = crypt_asn1_time(X509_get0_notBefore(cert));
    apr_time_t to = crypt_asn1_time(X509_get0_notAfter(cert));

    X509_get0_signature(NULL, &algor, cert);
    if (!ca_algorithm_is_allowed(algor)) {
        return refuse(out, "signer-algorithm",
                      "The certificate in use is signed with an algorithm that is not allowed.", p,
                      "SHA-1 or MD5 does not vouch for a certificate");
    }
    if (from > now + CLOCK_TOLERANCE) {
        apr_rfc822_date(date, from);
        return refuse(out, "signer-not-yet-valid", "The certificate in use is not valid yet.", p,
                      apr_psprintf(p, "the signer's certificate is not valid before %s", date));
    }
    if (now >= to && now - to >= (grace > 0 ? grace : 0)) {
        apr_rfc822_date(date, to);
        return refuse(out, "signer-expired", "The certificate in use has expired.", p,
                      apr_psprintf(p, "the signer's certificate expired on %s", date));
    }
    return APR_SUCCESS;
}

/* Whether the CA revokes by its ledger. */
static int has_ledger(const ca_t *ca)
{
    return ca->cfg->ledger != NULL && (ca->provider->capabilities & CA_CAP_LEDGER) != 0;
}

/* Asks the ledger, which knows at once what no CRL tells before the next one, also of a CA that was
 * before this one. */
static apr_status_t check_ledger(const ca_t *ca, X509 *cert, X509 *issuer, outcome_t *out,
                                 apr_pool_t *p)
{
    const ca_ledger_t *ledger = ca->cfg->ledger;
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    char date[APR_RFC822_DATE_LEN];
    ca_revoked_t revoked;
    apr_status_t rv;
    int len = ASN1_STRING_length(serial);

    if (len < 1 || len > MAX_SERIAL_BYTES || ASN1_STRING_type(serial) != V_ASN1_INTEGER) {
        return APR_SUCCESS;     /* none that a CA with a ledger gives */
    }
    rv = ledger->find(ledger->baton, issuer,
                      crypt_hex(ASN1_STRING_get0_data(serial), (apr_size_t)len, 0, p), &revoked, p);
    if (rv == APR_NOTFOUND) {
        return APR_SUCCESS;
    }
    if (rv != APR_SUCCESS) {
        outcome_unavailable(out, "ledger", 0, p, "whether the certificate was revoked: %s",
                            ledger->error(ledger->baton, p));
        return rv;
    }
    apr_rfc822_date(date, revoked.when);
    return refuse(out, "signer-revoked", "The certificate in use was revoked.", p,
                  apr_psprintf(p, "the signer's certificate was revoked on %s", date));
}

/* Asks the CRL, where there is one. */
static apr_status_t check_crl(ca_t *ca, X509 *cert, apr_time_t now, outcome_t *out,
                              const log_sink_t *log, apr_pool_t *p)
{
    X509_REVOKED *entry = NULL;
    X509_CRL *crl = NULL;
    char date[APR_RFC822_DATE_LEN];
    apr_status_t rv = ca_crl_get1(ca, &crl, now, out, log, p);

    if (rv != APR_SUCCESS) {
        return rv == APR_ENOTIMPL ? APR_SUCCESS : rv;
    }
    if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_CRL_get_issuer(crl)) != 0) {
        rv = APR_EGENERAL;
        outcome_unavailable(out, "crl", 0, p,
                            "the signer's issuer is another certificate of the chain than the "
                            "CRL's");
    }
    /* 2 is removeFromCRL: released again */
    else if (X509_CRL_get0_by_serial(crl, &entry, X509_get0_serialNumber(cert)) == 1) {
        apr_rfc822_date(date, crypt_asn1_time(X509_REVOKED_get0_revocationDate(entry)));
        rv = refuse(out, "signer-revoked", "The certificate in use was revoked.", p,
                    apr_psprintf(p, "the signer's certificate was revoked on %s", date));
    }
    X509_CRL_free(crl);
    ERR_clear_error();
    return rv;
}

/* Asks whoever knows.  A CRL that is made of the ledger says no more than that does. */
static apr_status_t check_revocation(ca_t *ca, X509 *cert, X509 *issuer, apr_time_t now,
                                     outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    apr_status_t rv = APR_SUCCESS;

    if (!has_ledger(ca) || ca->cfg->crl_file != NULL) {
        rv = check_crl(ca, cert, now, out, log, p);
    }
    /* the ledger also knows what was revoked from here at a CA of somebody else's */
    return rv == APR_SUCCESS && ca->cfg->ledger != NULL
               ? check_ledger(ca, cert, issuer, out, p) : rv;
}

/* One that issuer signed, a certificate of the chain. */
static apr_status_t check_own(ca_t *ca, X509_STORE *store, X509 *cert, X509 *issuer,
                              apr_time_t now, apr_interval_time_t grace, outcome_t *out,
                              const log_sink_t *log, apr_pool_t *p)
{
    const char *error = check_path(store, cert, NULL);
    apr_status_t rv;

    if (error != NULL) {
        return refuse(out, "signer-path", "The certificate in use does not verify.", p,
                      apr_psprintf(p, "the signer's certificate: %s", error));
    }
    rv = check_leaf(cert, now, grace, out, p);
    return rv == APR_SUCCESS ? check_revocation(ca, cert, issuer, now, out, log, p) : rv;
}

/* One of a CA that may be renewed here; what this one revoked under an earlier key stays so. */
static apr_status_t check_foreign(ca_t *ca, X509 *cert, X509 *issuer, apr_time_t now,
                                  apr_interval_time_t grace, outcome_t *out, apr_pool_t *p)
{
    apr_status_t rv = check_leaf(cert, now, grace, out, p);

    return rv == APR_SUCCESS && has_ledger(ca) ? check_ledger(ca, cert, issuer, out, p) : rv;
}

apr_status_t ca_check_signer(ca_t *ca, X509 *cert, X509_STORE *foreign, apr_time_t now,
                             apr_interval_time_t grace, outcome_t *out, const log_sink_t *log,
                             apr_pool_t *p)
{
    ca_trust_t trust;
    X509 *issuer;

    ERR_clear_error();
    if (!is_leaf(cert)) {
        return APR_NOTFOUND;
    }
    if (ca_trust(ca, &trust, apr_time_now() + CA_CHAIN_BUDGET, NULL, log, p) != APR_SUCCESS) {
        outcome_unavailable(out, "ca-chain", 0, p, "the CA's chain is not known");
        return APR_EGENERAL;
    }
    issuer = find_signer(trust.chain, cert);
    if (issuer != NULL) {
        return check_own(ca, trust.store, cert, issuer, now, grace, out, log, p);
    }
    if (foreign != NULL && check_path(foreign, cert, &issuer) == NULL) {
        return check_foreign(ca, cert, issuer, now, grace, out, p);
    }
    return APR_NOTFOUND;
}

apr_status_t ca_check_key(ca_t *ca, const char *template_name, EVP_PKEY *key, outcome_t *out,
                          apr_pool_t *p)
{
    return ca_template_check_key(ca_find_template(ca, template_name), key, out, p);
}
