/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A grant: the proof that policy allowed one request.  Signing takes one; only policy.c can make
 * one (grant_make.h, kept to policy/ by tests/guards/check_arrows.sh), so no path reaches a CA
 * without an authorisation.
 */
#ifndef COMMON_GRANT_H
#define COMMON_GRANT_H

#include "crypt.h"
#include <apr.h>
#include <apr_time.h>

typedef struct grant_t grant_t;

const char *grant_service(const grant_t *grant);
const char *grant_tx_key(const grant_t *grant);         /* 64 lower-case hex digits */
const char *grant_transaction_id(const grant_t *grant); /* as the client sent it */
const char *grant_template(const grant_t *grant);
const unsigned char *
grant_csr_digest(const grant_t *grant);                  /* 32 bytes: SHA-256 of the allowed CSR */
const unsigned char *grant_serial(const grant_t *grant); /* 16 bytes, top bit clear, reserved */
apr_time_t grant_not_before(const grant_t *grant);       /* reserved; whole seconds */
/* DER Name that the certificate gets instead of the CSR's subject; NULL: the CSR's. */
const crypt_buf_t *grant_subject(const grant_t *grant);
/* Security identifier ("S-1-...") that the certificate carries; NULL: none. */
const char *grant_sid(const grant_t *grant);

#endif /* COMMON_GRANT_H */
