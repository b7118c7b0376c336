/* SPDX-License-Identifier: Apache-2.0 */
/* The local CA, as ca_local.c and ca_local_*.c see it; for nobody else. */
#ifndef CA_LOCAL_H
#define CA_LOCAL_H

#include "../common/token_key.h"
#include "ca_backend.h"
#include <apr_thread_mutex.h>

/* The CRL as this child has it. */
typedef struct local_crl_t {
    apr_thread_mutex_t *mutex;          /* guards the rest; NULL before child_init */
    apr_int64_t number, made_of;        /* see ca_ledger_crl_t; number 0: none */
    apr_time_t from, to;
    apr_time_t failed;                  /* when the ledger gave no answer last */
    unsigned char *der;
    apr_size_t len;
} local_crl_t;

typedef struct local_t {
    X509 *cert;
    EVP_PKEY *key;                      /* NULL: it is in the token */
    token_key_t *token;                 /* NULL: it is key */
    int concurrency;                    /* calls of the token at once per child; 0: no token */
    const char *digest;                 /* NULL: the key has its own (Edwards curves) */
    int pss;                            /* RSA signs with PSS instead of PKCS #1 v1.5 */
    STACK_OF(X509) *chain;
    apr_array_header_t *constraints;    /* of NAME_CONSTRAINTS*: of the CA and of its issuers */
    apr_time_t not_before, not_after;   /* of the CA */
    apr_interval_time_t skew;
    apr_array_header_t *templates;      /* of local_template_t */
    const char *crl_url;                /* for templates without one; NULL: none */
    apr_interval_time_t crl_lifetime;   /* 0: makes no CRL */
    const ca_ledger_t *ledger;          /* NULL: cannot revoke */
    local_crl_t crl;
} local_t;

/* The CA's key identifier as an extension: its subjectKeyIdentifier, else SHA-1 of its key (RFC
 * 5280 section 4.2.1.1).  NULL if that fails. */
X509_EXTENSION *local_authority_key_id(X509 *ca);

/* What all certificates of a template for one kind of key have in common, owned by p; NULL if that
 * fails. */
STACK_OF(X509_EXTENSION) *local_extensions_make(const local_t *local, const ca_template_t *t,
                                                unsigned key_usage, apr_pool_t *p);

/* Reads key, digest and signature, and finds the certificate in chain that belongs to the key,
 * which then is the first one; error text in p, NULL on success. */
const char *local_key_configure(local_t *local, const settings_t *settings, apr_pool_t *p);

/* Signs as configured; 0 if that fails: *error, in p, says why the token is away, or it is NULL,
 * and OpenSSL's error queue says why. */
int local_sign_certificate(const local_t *local, X509 *cert, const char **error,
                           const log_sink_t *log, apr_pool_t *p);
int local_sign_crl(const local_t *local, X509_CRL *crl, apr_pool_t *p);

/* See ca_provider_t.prepare: tries a key in a token. */
const char *local_prepare(void *instance, uid_t uid, gid_t gid, int *away, apr_pool_t *p);

/* Finds the name constraints of the CA and its issuers, as far as these are known; error text in p,
 * NULL on success. */
const char *local_names_configure(local_t *local, const ca_config_t *cfg, apr_pool_t *p);

/* Whether the CA may certify the names that the request's certificate will have: APR_SUCCESS, or
 * APR_EACCES with a refusal in out. */
apr_status_t local_check_names(const local_t *local, const ca_request_t *request, outcome_t *out,
                               apr_pool_t *p);

/* Reads crlLifetime and crlDistributionPoint; error text in p, NULL on success. */
const char *local_crl_configure(local_t *local, const settings_t *settings,
                                const ca_config_t *cfg, apr_pool_t *p);

/* Slots of ca_provider_t, see ca_backend.h. */
apr_status_t local_crl_child_init(void *instance, apr_pool_t *pchild);
apr_status_t local_revoke(void *instance, const ASN1_INTEGER *serial, apr_time_t not_after,
                          int reason, outcome_t *out, apr_pool_t *p);
apr_status_t local_crl(void *instance, crypt_buf_t *der, const char **error, apr_pool_t *p);

#endif /* CA_LOCAL_H */
