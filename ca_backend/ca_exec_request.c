/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a helper is told: the variables of certmonger's doc/helpers.txt, as far as a SCEP server has
 * something to put there.
 */
#include "ca_certs.h"
#include "ca_exec.h"
#include "../common/csr_names.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define VARIABLE_MAX 131000 /* Linux takes 128 KiB with its name and NUL */

/* Adds NAME=value. */
static void add(apr_array_header_t *environment, const char *name, const char *value, apr_pool_t *p)
{
    APR_ARRAY_PUSH(environment, const char *) = apr_pstrcat(p, name, "=", value, NULL);
}

/* Adds the alternative names of one kind, a line each, if there are any. */
static void add_names(apr_array_header_t *environment, const char *variable,
                      const apr_array_header_t *names, const char *kind, apr_pool_t *p)
{
    apr_array_header_t *values = apr_array_make(p, 4, sizeof(const char *));
    const size_t len = strlen(kind);
    int i;

    for (i = 0; names != NULL && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (strncmp(name, kind, len) == 0) {
            APR_ARRAY_PUSH(values, const char *) = name + len;
        }
    }
    if (values->nelts > 0) {
        add(environment, variable, apr_array_pstrcat(p, values, '\n'), p);
    }
}

/* Pool cleanup: wipes a text; returns APR_SUCCESS. */
static apr_status_t wipe(void *data)
{
    OPENSSL_cleanse(data, strlen(data));
    return APR_SUCCESS;
}

/* Adds the CSR, which holds its challenge, so it is wiped with p; 0 if it is too long. */
static int add_csr(apr_array_header_t *environment, const csr_t *csr, apr_pool_t *p)
{
    static const char name[] = "CERTMONGER_CSR=";
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL, *variable;
    long len = 0;

    if (bio != NULL && PEM_write_bio(bio, PEM_STRING_X509_REQ, "", csr->der.data,
                                     (long)csr->der.len) > 0) {
        len = BIO_get_mem_data(bio, &pem);
    }
    if (len > 0 && len < VARIABLE_MAX - (long)sizeof(name)) {
        variable = apr_palloc(p, sizeof(name) + (apr_size_t)len);
        memcpy(variable, name, sizeof(name) - 1);
        memcpy(variable + sizeof(name) - 1, pem, (size_t)len);
        variable[sizeof(name) - 1 + (size_t)len] = '\0';
        apr_pool_cleanup_register(p, variable, wipe, apr_pool_cleanup_null);
        APR_ARRAY_PUSH(environment, const char *) = variable;
    }
    else {
        variable = NULL;
    }
    if (pem != NULL) {
        OPENSSL_cleanse(pem, (size_t)len);
    }
    BIO_free(bio);
    ERR_clear_error();
    return variable != NULL;
}

/* Adds the public key, base64, and what certmonger calls its kind. */
static void add_key(apr_array_header_t *environment, const csr_t *csr, apr_pool_t *p)
{
    add(environment, "CERTMONGER_SPKI",
        ca_base64_encode(csr->spki_der.data, csr->spki_der.len, p), p);
    if (EVP_PKEY_is_a(csr->key, "RSA")) {
        add(environment, "CERTMONGER_KEY_TYPE", "RSA", p);
    }
    else if (EVP_PKEY_is_a(csr->key, "EC")) {
        add(environment, "CERTMONGER_KEY_TYPE", "EC", p);
    }
}

const char *const *ca_exec_environment(const ca_request_t *request, const char *cookie,
                                       const char *service, const apr_array_header_t *added,
                                       apr_pool_t *p)
{
    const csr_t *csr = request->csr;
    apr_array_header_t *environment = apr_array_make(p, 16, sizeof(const char *));
    const apr_array_header_t *names = csr_names(csr, p);

    apr_array_cat(environment, added);
    add(environment, "CERTMONGER_OPERATION", cookie == NULL ? "SUBMIT" : "POLL", p);
    add(environment, "CERTMONGER_CA_NICKNAME", service, p);
    /* certmonger leaves it out where nobody chose one */
    if (strcmp(request->template_name, CA_TEMPLATE_DEFAULT) != 0) {
        add(environment, "CERTMONGER_CA_PROFILE", request->template_name, p);
    }
    if (cookie != NULL) {
        add(environment, "CERTMONGER_CA_COOKIE", cookie, p);
    }
    add(environment, "CERTMONGER_REQ_SUBJECT", csr->subject_text, p);
    add_names(environment, "CERTMONGER_REQ_HOSTNAME", names, "DNS:", p);
    add_names(environment, "CERTMONGER_REQ_EMAIL", names, "email:", p);
    add_names(environment, "CERTMONGER_REQ_PRINCIPAL", names, "UPN:", p);
    add_names(environment, "CERTMONGER_REQ_IP_ADDRESS", names, "IP:", p);
    add_key(environment, csr, p);
    if (!add_csr(environment, csr, p)) {
        return NULL;
    }
    APR_ARRAY_PUSH(environment, const char *) = NULL;
    return (const char *const *)environment->elts;
}
