/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What several unit tests need: a pool and a directory per test, a log that remembers, keys,
 * certificates and CSRs.
 *
 * Check runs each test in a process of its own; the keys are made once, before the first fork.
 * Every function ends the test (ck_abort_msg) instead of returning a failure.
 */
#ifndef UNIT_FIXTURE_H
#define UNIT_FIXTURE_H

#include "../../common/crypt.h"
#include "../../common/log.h"
#include <apr_pools.h>
#include <check.h>

/* Makes the keys; main() calls it once. */
void fixture_init(void);
void fixture_done(void);

/* For tcase_add_checked_fixture(): the pool of the running test. */
void fixture_setup(void);
void fixture_teardown(void);
apr_pool_t *fixture_pool(void);

/* A time that is short on a machine at rest, times SCEP_PATIENCE (valgrind). */
apr_time_t fixture_patience(int milliseconds);

/* A new directory of mode 0700 that goes with p; its path has no trailing slash. */
const char *fixture_directory(apr_pool_t *p);

/* Writes text to directory/name with the given mode; returns the path. */
const char *fixture_file(apr_pool_t *p, const char *directory, const char *name, const char *text,
                         int mode);

/* A sink that keeps all levels; fixture_log_text() is all of it, "LEVEL TAG message" per line. */
log_sink_t *fixture_log(apr_pool_t *p);
const char *fixture_log_text(const log_sink_t *sink);

/* Borrowed keys: RSA-2048 number 0 to 2, EC P-256. */
#define FIXTURE_RSA_KEYS 3
EVP_PKEY *fixture_rsa(int number);
EVP_PKEY *fixture_ec(void);

/* What fixture_certificate() makes; unset members mean what their comment says. */
typedef struct fixture_certificate_t {
    const char *subject;        /* common name; NULL: "unit test" */
    EVP_PKEY *key;              /* whose certificate; NULL: fixture_rsa(0) */
    X509 *issuer;               /* NULL: self-signed by key */
    EVP_PKEY *issuer_key;
    int ca;                     /* CA:TRUE, keyCertSign and cRLSign unless key_usage says more */
    const char *key_usage;      /* as openssl.cnf writes it, e.g. "critical,digitalSignature" */
    const char *extension;      /* one more, "name=value" as openssl.cnf writes it */
    long serial;                /* 0: random */
    long not_before;            /* seconds from now; both 0: an hour ago, for a year */
    long not_after;
} fixture_certificate_t;

X509 *fixture_certificate(apr_pool_t *p, const fixture_certificate_t *want);

/* A CSR for CN=common_name (NULL: empty subject), with a challengePassword unless that is NULL and
 * with extensions "name=value" ... ended by NULL unless that is NULL. */
crypt_buf_t fixture_csr(apr_pool_t *p, EVP_PKEY *key, const char *common_name,
                        const char *challenge, const char *const *extensions);

/* PEM texts. */
const char *fixture_certificate_pem(apr_pool_t *p, X509 *cert);
const char *fixture_key_pem(apr_pool_t *p, EVP_PKEY *key);

#endif /* UNIT_FIXTURE_H */
