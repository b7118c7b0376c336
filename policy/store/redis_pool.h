/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections of one child to one Redis server: lent to one thread at a time, opened when they
 * are needed, kept when they work.  Connecting and talking happen outside the pool's lock.
 */
#ifndef REDIS_POOL_H
#define REDIS_POOL_H

#include "redis_conn.h"

typedef struct redis_pool_t redis_pool_t;

/* An empty pool.  No I/O.  options are kept. */
redis_pool_t *redis_pool_make(const redis_options_t *options, apr_pool_t *p);

/* Reads password, trust anchors and keys, as root.  May be repeated.  Error text in p, NULL on
 * success. */
const char *redis_pool_prepare(redis_pool_t *pool, apr_pool_t *p);

/* In each child: forgets the parent's connections, opens none; closed with pchild. */
apr_status_t redis_pool_child_init(redis_pool_t *pool, apr_pool_t *pchild);

/*
 * Sends one command and gives its reply, which lives in p.  On a connection that turns out to be
 * dead the command is sent once more on a new one, so it must be safe to repeat.  An error reply is
 * handed out, too (REDIS_REPLY_ERROR).  APR_TIMEUP at the deadline; any other status: refused,
 * closed, garbage; the cause is recorded in p (store_error()).  After three failures in a row
 * nothing is asked for five seconds, then one caller tries.
 */
apr_status_t redis_pool_command(redisReply **preply, redis_pool_t *pool, int argc,
                                const char **argv, const size_t *lengths, apr_pool_t *p);

/* Closes the idle connections: the server at their other end is not the right one any more. */
void redis_pool_flush(redis_pool_t *pool);

#endif /* REDIS_POOL_H */
