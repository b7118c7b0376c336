/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of a CA's answer; for ca_*.c only. */
#ifndef CA_CHECK_H
#define CA_CHECK_H

#include "ca_backend.h"

/* What an answer is held against. */
typedef struct ca_check_t {
    int capabilities;           /* CA_CAP_* of the backend */
    STACK_OF(X509) *chain;
    X509_STORE *store;          /* trusts chain */
} ca_check_t;

/*
 * Finds the certificate for the CSR's key among answer's leaf and certs, checks it and sets
 * answer->leaf.  Error text in p, NULL if it is good.
 */
const char *ca_check_leaf(const ca_check_t *check, const ca_request_t *request,
                          ca_answer_t *answer, apr_pool_t *p);

/*
 * Holds the alternative names against those that were asked for: the CSR's where the template has
 * san=csr, none where it has san=none; the URI of the granted security identifier may stand there
 * as well.  Error text, NULL if they are right.
 *
 * A backend with CA_CAP_REWRITES_SUBJECT may leave names out, and may repeat the CSR's commonName
 * or emailAddress as dNSName or rfc822Name where the template lets that kind of name in, as many
 * CAs do.  What the CSR did not name at all nobody may add.
 */
const char *ca_check_san(int capabilities, X509 *cert, const ca_request_t *request);

/* Whether a signature of this algorithm may vouch for a certificate or CRL. */
int ca_algorithm_is_allowed(const X509_ALGOR *algor);

#endif /* CA_CHECK_H */
