/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that the CA may certify (nameConstraints, RFC 5280 section 4.2.1.10): nobody who
 * verifies takes a certificate that breaks them, so none is signed.
 *
 * What is held against them is a certificate of names alone: looking at the real one before it is
 * signed would leave OpenSSL's cache of it with the digest of something else.
 */
#include "ca_local.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

/* Pool cleanup; returns APR_SUCCESS. */
static apr_status_t constraints_cleanup(void *data)
{
    NAME_CONSTRAINTS_free(data);
    return APR_SUCCESS;
}

/* Keeps the constraints that a CA certificate has; error text, NULL on success. */
static const char *add_constraints(local_t *local, X509 *cert, apr_pool_t *p)
{
    int critical = -1;
    NAME_CONSTRAINTS *names = X509_get_ext_d2i(cert, NID_name_constraints, &critical, NULL);

    ERR_clear_error();
    if (names != NULL) {
        apr_pool_cleanup_register(p, names, constraints_cleanup, apr_pool_cleanup_null);
        APR_ARRAY_PUSH(local->constraints, NAME_CONSTRAINTS *) = names;
    }
    return names != NULL || critical == -1 ? NULL :
           apr_psprintf(p, "the name constraints of %s cannot be read or are there twice",
                        crypt_name_text(X509_get_subject_name(cert), p));
}

/* The certificate of chain that issued cert; NULL: none, or it is cert itself. */
static X509 *find_issuer(STACK_OF(X509) *chain, X509 *cert)
{
    int i;

    for (i = 0; i < sk_X509_num(chain); i++) {
        X509 *issuer = sk_X509_value(chain, i);

        if (X509_check_issued(issuer, cert) == X509_V_OK && X509_cmp(issuer, cert) != 0) {
            return issuer;
        }
    }
    return NULL;
}

const char *local_names_configure(local_t *local, const ca_config_t *cfg, apr_pool_t *p)
{
    STACK_OF(X509) *more = NULL;
    X509 *cert = local->cert, *issuer;
    const char *err = NULL;
    int depth;

    local->constraints = apr_array_make(p, 1, sizeof(NAME_CONSTRAINTS *));
    if (cfg->chain_file != NULL) {
        err = crypt_load_certificates(&more, cfg->chain_file, p);
    }
    /* those that signed each other crosswise make a circle */
    for (depth = 0; cert != NULL && err == NULL && depth < 10; depth++) {
        err = add_constraints(local, cert, p);
        issuer = find_issuer(local->chain, cert);
        cert = issuer != NULL ? issuer : find_issuer(more, cert);
    }
    ERR_clear_error();
    return err;
}

/* A certificate with the names that the CSR's will have, to be freed; NULL if that fails. */
static X509 *make_names(const ca_request_t *request, const GENERAL_NAMES *san)
{
    X509 *names = X509_new();

    if (names == NULL || !X509_set_version(names, X509_VERSION_3) ||
        (request->template->subject == CA_FROM_CSR &&
         !X509_set_subject_name(names, request->subject)) ||
        (san != NULL &&
         X509_add1_ext_i2d(names, NID_subject_alt_name, (void *)san, 0, X509V3_ADD_APPEND) != 1)) {
        X509_free(names);
        return NULL;
    }
    /* decodes the extension; that it is no whole certificate does not matter */
    (void)X509_check_purpose(names, -1, 0);
    return names;
}

/* Whether a DNS name is among them. */
static int has_dns(const GENERAL_NAMES *san)
{
    int i;

    for (i = 0; i < sk_GENERAL_NAME_num(san); i++) {
        if (sk_GENERAL_NAME_value(san, i)->type == GEN_DNS) {
            return 1;
        }
    }
    return 0;
}

/* Holds names against all constraints; X509_V_OK or what is wrong. */
static int check_names(const local_t *local, X509 *names, const GENERAL_NAMES *san)
{
    int i, rv = X509_V_OK;

    for (i = 0; i < local->constraints->nelts && rv == X509_V_OK; i++) {
        NAME_CONSTRAINTS *constraints = APR_ARRAY_IDX(local->constraints, i, NAME_CONSTRAINTS *);

        rv = NAME_CONSTRAINTS_check(names, constraints);
        /* as X509_verify_cert(): a common name that looks like a host is one, if nothing else is */
        if (rv == X509_V_OK && !has_dns(san)) {
            rv = NAME_CONSTRAINTS_check_CN(names, constraints);
        }
    }
    return rv;
}

apr_status_t local_check_names(const local_t *local, const ca_request_t *request, outcome_t *out,
                               apr_pool_t *p)
{
    GENERAL_NAMES *san = NULL;
    X509 *names = NULL;
    apr_status_t rv = APR_SUCCESS;
    int error = X509_V_ERR_UNSPECIFIED;

    if (local->constraints->nelts == 0) {
        return APR_SUCCESS;
    }
    if (request->template->san == CA_FROM_CSR) {
        rv = ca_template_san_make(&san, request->csr);
    }
    if (rv == APR_SUCCESS || rv == APR_NOTFOUND) {
        names = make_names(request, san);
        error = names != NULL ? check_names(local, names, san) : X509_V_ERR_OUT_OF_MEM;
    }
    rv = APR_SUCCESS;
    if (error != X509_V_OK) {
        rv = APR_EACCES;
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT,
                       "ca-name-constraints",
                       "The certification authority must not certify the names of the certificate "
                       "request.", p, "name constraints of the CA's chain: %s",
                       X509_verify_cert_error_string(error));
    }
    X509_free(names);
    GENERAL_NAMES_free(san);
    ERR_clear_error();
    return rv;
}
