/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is the master of a key's slot now: the only server there is, the one that sentinels name, or
 * the node of a cluster.  What was found out is kept until somebody doubts it; one thread of a
 * child asks at a time, the others come again a moment later.
 *
 * A sentinel's word is checked (ROLE): one that is cut off names an old master for as long as it
 * likes; and every second another one is asked again, since an old master takes writes until it is
 * told that it is none.  Sentinels and nodes are asked in turn, so that a dead or stale one is not
 * asked first again and again.
 *
 * What was known of a master and is no longer believed counts once in the tally (NULL: nowhere),
 * however many threads have found that out.
 */
#ifndef REDIS_TOPOLOGY_H
#define REDIS_TOPOLOGY_H

#include "redis_conn.h"
#include "store_tally.h"

typedef struct redis_topology_t redis_topology_t;

#define REDIS_SLOTS 16384 /* Redis Cluster Specification, "Key distribution model" */

/* Nothing is known yet.  No I/O.  The peer is kept. */
redis_topology_t *redis_topology_make(const redis_peer_t *peer, apr_pool_t *p);

/* In each child: forgets what the parent knew. */
apr_status_t redis_topology_child_init(redis_topology_t *topology, apr_pool_t *pchild);

/* Whether the master can be another one later (SENTINEL, CLUSTER). */
int redis_topology_moves(const redis_topology_t *topology);

/* The slot of a key: CRC16 of its hash tag, or of all of it. */
int redis_topology_slot(const char *key);

/*
 * The address of the slot's master; sentinels or nodes are asked, before the deadline, where it is
 * not known.  APR_EAGAIN: another thread is asking, come again; APR_EACCES, APR_NOTFOUND: it will
 * not be said until a setting is changed; anything else: nobody says, come again later.  The cause
 * is recorded in p (store_error()).
 */
apr_status_t redis_topology_find(redis_address_t *address, redis_topology_t *topology, int slot,
                                 store_tally_t *tally, apr_time_t deadline, apr_pool_t *p);

/*
 * A new connection is to the master.  APR_EAGAIN: it is not, or not yet; anything else: it cannot
 * be said.  Only SENTINEL asks.
 */
apr_status_t redis_topology_admit(redis_topology_t *topology, redis_conn_t *conn,
                                  apr_time_t deadline, apr_pool_t *p);

/* The node did not serve: the next find asks anew, unless that was done since. */
void redis_topology_doubt(redis_topology_t *topology, const redis_address_t *address,
                          store_move_e why, store_tally_t *tally);

/* A node of the cluster said who has the slot. */
void redis_topology_moved(redis_topology_t *topology, int slot, const redis_address_t *to,
                          store_tally_t *tally);

/*
 * For redis_topology.c: who is the master, by at most max sentinels beginning with *first, which is
 * left at the one after the last that was asked.  Each has its share of the time that is left.
 * APR_EACCES, APR_NOTFOUND: all that were asked refuse us or do not know the master, which another
 * try will not change; anything else: nobody says, come again.  Threads: any.
 */
apr_status_t redis_sentinel_ask(redis_address_t *master, const redis_peer_t *peer, int *first,
                                int max, apr_time_t deadline, apr_pool_t *p);

/* Whether the connection is to a master, by its own word (ROLE); as redis_topology_admit(). */
apr_status_t redis_sentinel_check(redis_conn_t *conn, apr_time_t deadline, apr_pool_t *p);

/* The masters of a cluster's slots, and further nodes that can be asked. */
#define REDIS_CLUSTER_NODES_MAX 1024
#define REDIS_CLUSTER_NOBODY 0xffff
typedef struct redis_map_t {
    unsigned short owner[REDIS_SLOTS]; /* place in nodes, or NOBODY */
    redis_address_t nodes[REDIS_CLUSTER_NODES_MAX];
    int count;
} redis_map_t;

/* Reads the answer of CLUSTER SLOTS that the node asked gave; map is empty before.  Whether it is
 * one that names a master. */
int redis_cluster_read(redis_map_t *map, const redisReply *reply, const redis_address_t *asked);

/* The place of a node in the map, made where it is new; NOBODY: the map is full. */
unsigned short redis_cluster_place(redis_map_t *map, const redis_address_t *address);

/* Makes a node serve the connection's next command, on a slot that is being moved to it.
 * APR_EAGAIN: it cannot now; APR_EACCES: it will not; the cause is recorded in p. */
apr_status_t redis_cluster_asking(redis_conn_t *conn, apr_time_t deadline, apr_pool_t *p);

/* How many keys of a slot a node has.  Errors as above. */
apr_status_t redis_cluster_count(apr_int64_t *count, redis_conn_t *conn, int slot,
                                 apr_time_t deadline, apr_pool_t *p);

/* Asks a node for the map. */
apr_status_t redis_cluster_ask(redis_map_t *map, const redis_peer_t *peer,
                               const redis_address_t *node, apr_time_t deadline, apr_pool_t *p);

#endif /* REDIS_TOPOLOGY_H */
