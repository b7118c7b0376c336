/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections of one child to its Redis servers, by node: lent to one thread at a time, opened
 * when they are needed, kept when they work.  Connecting and talking happen outside the pool's
 * lock.  What of it is whose master is not known here (redis_topology.h).
 */
#ifndef REDIS_POOL_H
#define REDIS_POOL_H

#include "redis_conn.h"

typedef struct redis_pool_t redis_pool_t;

/* An empty pool.  No I/O.  connections: the most idle ones that are kept to a node. */
redis_pool_t *redis_pool_make(int connections, apr_pool_t *p);

/* In each child: forgets the parent's connections, opens none; closed with pchild. */
apr_status_t redis_pool_child_init(redis_pool_t *pool, apr_pool_t *pchild);

/*
 * Takes an idle connection to the node; NULL: none, open one (redis_conn_open()) and mark it
 * (redis_pool_adopt()).  At the first dead one all go, since they most likely died together.
 */
redis_conn_t *redis_pool_take(redis_pool_t *pool, const redis_address_t *address);

/* A new connection belongs to the pool from now on. */
void redis_pool_adopt(redis_pool_t *pool, redis_conn_t *conn);

/* Gives a connection back that has nothing more to say; it is closed where there are enough, or
 * where its node was flushed meanwhile. */
void redis_pool_give(redis_pool_t *pool, redis_conn_t *conn);

/* The node is not the right one any more, or gone: closes its idle connections now and the ones
 * that are lent when they come back. */
void redis_pool_flush(redis_pool_t *pool, const redis_address_t *address);

#endif /* REDIS_POOL_H */
