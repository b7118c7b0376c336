/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of a CA whose key is on the hosts: what all of them know about certificates that any
 * of them issued or revoked.  Whoever configures the CA gives it; it is kept in the store.
 *
 * Each call may block, is made by any thread of a child, and puts its results into p.  Where it
 * gives another status than the ones that are named, it is not known what happened, and error says
 * why: never "not revoked".  Serial numbers are lower-case hex as crypt_serial_text() has them.
 */
#ifndef CA_LEDGER_H
#define CA_LEDGER_H

#include "../common/crypt.h"
#include <apr_tables.h>
#include <apr_time.h>

#define CA_LEDGER_CRL_MAX 7864320 /* bytes of the list that the ledger keeps */

typedef struct ca_revoked_t {
    const char *serial;
    int reason;                 /* CRLReason, RFC 5280 section 5.3.1 */
    apr_time_t when;            /* out: when it was revoked first */
    apr_time_t until;           /* how long it is kept at least */
} ca_revoked_t;

/* The CRL that one host made for all. */
typedef struct ca_ledger_crl_t {
    apr_int64_t changes;        /* out: how many revocations there ever were */
    apr_int64_t number;         /* CRLNumber; 0: there is no CRL yet */
    apr_int64_t made_of;        /* the changes that it holds at least */
    crypt_buf_t der;
} ca_ledger_crl_t;

typedef struct ca_ledger_t {
    void *baton;

    /* Until when a certificate of this service is valid.  APR_NOTFOUND: no such one is kept. */
    apr_status_t (*known)(void *baton, const char *serial, apr_time_t *not_after, apr_pool_t *p);

    /* Enters a revocation; one that is there stays as it is. */
    apr_status_t (*revoke)(void *baton, const ca_revoked_t *what, apr_pool_t *p);

    /* Whether it was revoked, under issuer, which may be a CA before this one: APR_SUCCESS, or
     * APR_NOTFOUND. */
    apr_status_t (*find)(void *baton, X509 *issuer, const char *serial, ca_revoked_t *revoked,
                         apr_pool_t *p);

    /* All revocations that are kept, an array of ca_revoked_t. */
    apr_status_t (*list)(void *baton, apr_array_header_t **plist, apr_pool_t *p);

    /* The CRL; der only where number is not have. */
    apr_status_t (*get_crl)(void *baton, apr_int64_t have, ca_ledger_crl_t *crl, apr_pool_t *p);

    /* Replaces the CRL of that number by another.  APR_EEXIST: somebody else did before. */
    apr_status_t (*put_crl)(void *baton, apr_int64_t replaces, const ca_ledger_crl_t *crl,
                            apr_pool_t *p);

    /* Why the last call with this pool gave no answer; never NULL. */
    const char *(*error)(void *baton, apr_pool_t *p);
} ca_ledger_t;

#endif /* CA_LEDGER_H */
