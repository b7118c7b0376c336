/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kerberos for an HTTP peer (RFC 4559, Negotiate): tickets out of a keytab, nobody has to log in.
 *
 * libcurl takes the tickets that GSSAPI finds by the environment, which the whole process shares.
 * MIT's GSSAPI also has a name of a cache per thread: each instance keeps its tickets in a cache of
 * its own, in memory, and a call's thread borrows that.  So instances differ by keytab, and
 * nothing is written anywhere.
 *
 * libkrb5 knows no limit of time while it looks for a KDC.  A thread of the instance therefore gets
 * the tickets, that of the service included, and renews them after half of their life; calls find
 * them there, or wait no longer than they may.
 *
 * Thread rule: made in the parent, child_init in each child; afterwards any thread.
 */
#ifndef COMMON_HTTP_TICKET_H
#define COMMON_HTTP_TICKET_H

#include "log.h"
#include <apr_pools.h>
#include <apr_time.h>

typedef struct http_ticket_t http_ticket_t;
typedef struct http_ticket_cache_t http_ticket_cache_t;

typedef struct http_ticket_options_t {
    const char *name;        /* for messages */
    const char *keytab;      /* file; others may not read it */
    const char *principal;   /* whose key it holds; without realm: of krb5.conf's default */
    const char *const *host; /* of the peers: HTTP/host is whom tickets are for */
    int nhosts;              /* HTTP_URLS_MAX at most */
} http_ticket_options_t;

/*
 * In the parent, as root: reads the keytab, whose keys are wiped with p.  Strings are kept, not
 * copied.  Error text in p, NULL on success: built without Kerberos, krb5.conf cannot be used, no
 * keytab, open to others, without a key of the principal.
 */
const char *http_ticket_make(http_ticket_t **pticket, const http_ticket_options_t *options,
                             apr_pool_t *p);

/* In each child: starts the thread, which ends with pchild.  No signal reaches it. */
apr_status_t http_ticket_child_init(http_ticket_t *ticket, apr_pool_t *pchild);

/*
 * From here on this thread's GSSAPI finds the ticket for host number n; *please is to be given back
 * by http_ticket_return() in the same thread.  Waits until end (clock_monotonic()) at most.
 *
 * A keytab that changed is read first, by the instance's thread, while valid tickets go on; if that
 * is not possible (the child may not be allowed to), the old keys stay in use and log says so once
 * per change.
 *
 * Otherwise *error (in p) says why there is no ticket: APR_EACCES: the KDC refused, or cannot be
 * asked as things are; APR_ECONNREFUSED: no KDC answers; APR_TIMEUP: nor did within the time.
 */
apr_status_t http_ticket_borrow(http_ticket_cache_t **please, http_ticket_t *ticket, int n,
                                apr_time_t end, const char **error, const log_sink_t *log,
                                apr_pool_t *p);
void http_ticket_return(http_ticket_t *ticket, http_ticket_cache_t *lease);

/* Whether there is a ticket for one of the hosts; otherwise *text (in p) says why not. */
apr_status_t http_ticket_health(http_ticket_t *ticket, const char **text, apr_pool_t *p);

#endif /* COMMON_HTTP_TICKET_H */
