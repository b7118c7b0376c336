/* SPDX-License-Identifier: Apache-2.0 */
/* The one way to make a grant; included by policy/policy.c and by tests only. */
#ifndef COMMON_GRANT_MAKE_H
#define COMMON_GRANT_MAKE_H

#include "grant.h"
#include <apr_pools.h>

typedef struct grant_values_t {
    const char *service, *tx_key, *transaction_id, *template_name;
    unsigned char csr_digest[32];
    unsigned char serial[16];
    apr_time_t not_before;
    crypt_buf_t subject; /* data NULL: the CSR's */
    const char *sid;     /* NULL: none */
} grant_values_t;

/* Copies values into p. */
const grant_t *grant_make(const grant_values_t *values, apr_pool_t *p);

#endif /* COMMON_GRANT_MAKE_H */
