/* SPDX-License-Identifier: Apache-2.0 */
/* The local CA, as ca_local.c and ca_local_crl.c see it; for nobody else. */
#ifndef CA_LOCAL_H
#define CA_LOCAL_H

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
    EVP_PKEY *key;
    const EVP_MD *digest;
    STACK_OF(X509) *chain;
    apr_time_t not_before, not_after;   /* of the CA */
    apr_interval_time_t skew;
    apr_array_header_t *templates;      /* of local_template_t */
    const char *crl_url;                /* for templates without one; NULL: none */
    apr_interval_time_t crl_lifetime;   /* 0: makes no CRL */
    const ca_ledger_t *ledger;          /* NULL: cannot revoke */
    local_crl_t crl;
} local_t;

/* The CA's key identifier as an extension; NULL if that fails. */
X509_EXTENSION *local_authority_key_id(X509 *ca);

/* Reads crlLifetime and crlDistributionPoint; error text in p, NULL on success. */
const char *local_crl_configure(local_t *local, const settings_t *settings,
                                const ca_config_t *cfg, apr_pool_t *p);

/* Slots of ca_provider_t, see ca_backend.h. */
apr_status_t local_crl_child_init(void *instance, apr_pool_t *pchild);
apr_status_t local_revoke(void *instance, const ASN1_INTEGER *serial, apr_time_t not_after,
                          int reason, outcome_t *out, apr_pool_t *p);
apr_status_t local_crl(void *instance, crypt_buf_t *der, const char **error, apr_pool_t *p);

#endif /* CA_LOCAL_H */
