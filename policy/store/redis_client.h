/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command to whoever is the master of its key now, and its answer: connections from the pool,
 * the master from the topology, errors by the rules (redis_rule.h), one deadline for all of it.
 *
 * What is sent again, where the master can be another one later (SENTINEL, CLUSTER), until
 * relocate_timeout is over:
 *   - what was not sent at all, since nobody was there, or refused before it did anything;
 *   - what may have been done, its answer lost (closed, timed out): only a repeatable command.
 * Sentinels that all refuse us, or do not know the master, are not asked again (redis_topology.h).
 * ASK is followed, for this one command, if the node that says it has no key of the slot left; else
 * it is waited out, since a script would take keys that have not come yet for unknown ones.
 * A single server gets a repeatable command once more where an idle connection turned out dead;
 * otherwise what it says, or does not say, is told.
 */
#ifndef REDIS_CLIENT_H
#define REDIS_CLIENT_H

#include "redis_conn.h"
#include "store_tally.h"

typedef struct redis_client_t redis_client_t;

typedef struct redis_call_t {
    int argc;
    const char **argv;
    const size_t *lengths; /* NULL: all of argv are texts */
    const char *key;       /* by whose slot a cluster's node is found */
    int repeatable;        /* doing it twice is as doing it once, and gives the same answer */
    int durable;           /* replicas must have it (wait_replicas) before it counts; repeatable */
    int hasty; /* one try, with the time to connect and for one command: looks for no new master */
    store_tally_t *tally; /* what happens to it is counted there; NULL: nowhere */
} redis_call_t;

/* No I/O.  options are kept. */
redis_client_t *redis_client_make(const redis_options_t *options, apr_pool_t *p);

/* Reads passwords, trust anchors and keys, as root.  May be repeated.  Error text in p, NULL on
 * success. */
const char *redis_client_prepare(redis_client_t *client, apr_pool_t *p);

/* In each child: forgets the parent's connections, opens none; closed with pchild. */
apr_status_t redis_client_child_init(redis_client_t *client, apr_pool_t *pchild);

/*
 * Sends a command; the reply lives in p.  An error reply is handed out, too (REDIS_REPLY_ERROR).
 * APR_EAGAIN with a reply: it was done, but fewer replicas than wanted have it.  Else *preply is
 * NULL: APR_TIMEUP at the deadline; any other status: refused, closed, garbage; the cause is
 * recorded in p (store_error()), with the server's address.  After three failures in a row (in a
 * cluster: of the key's slot) nothing is asked for five seconds (one second where the master can
 * move), then one caller tries.
 */
apr_status_t redis_client_call(redisReply **preply, redis_client_t *client,
                               const redis_call_t *call, apr_pool_t *p);

/* Whether calls with the key are not made at the moment, after failures.  No I/O. */
int redis_client_is_resting(const redis_client_t *client, const char *key);

#endif /* REDIS_CLIENT_H */
