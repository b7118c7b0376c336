/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a KDC hears a key that it does not take: Active Directory locks the account of one that
 * is wrong too often.  All children of an httpd share that: only one tries a key that has not been
 * taken yet, and after a refusal one tries again after 60 s, then 2 min, and so on up to an hour.
 *
 * Thread rule: made in the parent, which the children inherit; all else from any thread.  No locks:
 * a child that dies leaves nothing behind but a lease of seconds.  Times are clock_monotonic()'s,
 * which all processes of a host share.
 */
#ifndef COMMON_HTTP_TICKET_REST_H
#define COMMON_HTTP_TICKET_REST_H

#include <apr_pools.h>
#include <apr_time.h>

typedef struct http_ticket_rest_t http_ticket_rest_t;

typedef enum {
    TICKET_REST_ASK,    /* and tell what came of it by http_ticket_rest_tell() */
    TICKET_REST_WAIT,   /* another child asks for the first time: look again soon */
    TICKET_REST_REFUSED /* the KDC refused, and is not asked before *until */
} ticket_rest_e;

/* What the KDC said of the account and its key. */
typedef enum {
    TICKET_KEY_UNTOLD, /* nothing: it was not reached, or had something else against it */
    TICKET_KEY_GOOD,
    TICKET_KEY_BAD     /* wrong, or the account is locked */
} ticket_key_e;

/* In shared memory, gone with p; version: any number of the keytab.  Errors: apr_shm_create()'s. */
apr_status_t http_ticket_rest_make(http_ticket_rest_t **prest, apr_uint32_t version, apr_pool_t *p);

/* Whether to ask the KDC now; *code and *until with TICKET_REST_REFUSED only. */
ticket_rest_e http_ticket_rest_look(http_ticket_rest_t *rest, apr_time_t now, int *code,
                                    apr_time_t *until);

/* What the KDC said; code: Kerberos' error, with TICKET_KEY_BAD. */
void http_ticket_rest_tell(http_ticket_rest_t *rest, apr_time_t now, ticket_key_e key, int code);

/* The keytab was read again: forgets refusals where it is another version than the last. */
void http_ticket_rest_renew(http_ticket_rest_t *rest, apr_uint32_t version);

#endif /* COMMON_HTTP_TICKET_REST_H */
