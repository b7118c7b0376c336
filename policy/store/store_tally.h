/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store counts of its own troubles, for metrics: how often the master of its data was looked
 * up again, and why.  Each child finds its master by itself, so that one failover counts once in
 * each child that asked for something.  docs/monitoring.md says what to do about each.
 */
#ifndef POLICY_STORE_TALLY_H
#define POLICY_STORE_TALLY_H

#include "store.h"

/* Why a known master was no longer believed to be one. */
typedef enum {
    STORE_MOVE_CONNECTION,  /* refused, closed, silent, or its name is not known */
    STORE_MOVE_NOT_MASTER,  /* a new connection's peer says that it is none, or not yet */
    STORE_MOVE_READONLY,    /* these are the server's own words */
    STORE_MOVE_LOADING,
    STORE_MOVE_MASTERDOWN,
    STORE_MOVE_NOREPLICAS,
    STORE_MOVE_UNBLOCKED,
    STORE_MOVE_CLUSTERDOWN,
    STORE_MOVE_MOVED,       /* a node says which other one has the slot */
    STORE_MOVE_SHORT,       /* fewer replicas than wanted had a write */
    STORE_MOVE_NAMED,       /* a sentinel that was asked again names another one */
    STORE_MOVES             /* how many there are */
} store_move_e;

/* The counters of one service; zero at first.  Changed by atomic additions only. */
typedef struct store_tally_t {
    volatile apr_uint64_t moves[STORE_MOVES];
} store_tally_t;

/* "connection" ...: for a label.  Never NULL. */
const char *store_move_name(store_move_e why);

/*
 * Where a store counts what it does for a service.  In the parent, before children are made; tally
 * (NULL: it is not counted) is kept, and is shared memory where children should count into one.
 */
void store_tally_set(store_t *store, const char *service, store_tally_t *tally, apr_pool_t *p);

/* For stores: the tally of a service; NULL: it is not counted.  Any thread. */
store_tally_t *store_tally_of(const store_t *store, const char *service);

/* For stores: counts one more; tally NULL: nowhere.  Any thread. */
void store_tally_add(store_tally_t *tally, store_move_e why);

#endif /* POLICY_STORE_TALLY_H */
