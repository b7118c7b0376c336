/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of a store's troubles; see store_tally.h. */
#include "store_tally.h"
#include <apr_atomic.h>
#include <apr_hash.h>
#include <apr_strings.h>

static const char *const move_names[STORE_MOVES] = {
    [STORE_MOVE_CONNECTION] = "connection",   [STORE_MOVE_NOT_MASTER] = "not-master",
    [STORE_MOVE_READONLY] = "readonly",       [STORE_MOVE_LOADING] = "loading",
    [STORE_MOVE_MASTERDOWN] = "masterdown",   [STORE_MOVE_NOREPLICAS] = "noreplicas",
    [STORE_MOVE_UNBLOCKED] = "unblocked",     [STORE_MOVE_CLUSTERDOWN] = "clusterdown",
    [STORE_MOVE_MOVED] = "moved",             [STORE_MOVE_SHORT] = "replicas",
    [STORE_MOVE_NAMED] = "sentinel"};

const char *store_move_name(store_move_e why)
{
    return (unsigned)why < STORE_MOVES ? move_names[why] : "unknown";
}

void store_tally_set(store_t *store, const char *service, store_tally_t *tally, apr_pool_t *p)
{
    if (!store->tallies)
        store->tallies = apr_hash_make(p);
    apr_hash_set(store->tallies, apr_pstrdup(p, service), APR_HASH_KEY_STRING, tally);
}

store_tally_t *store_tally_of(const store_t *store, const char *service)
{
    return store->tallies ? apr_hash_get(store->tallies, service, APR_HASH_KEY_STRING) : NULL;
}

void store_tally_add(store_tally_t *tally, store_move_e why)
{
    if (tally && (unsigned)why < STORE_MOVES)
        apr_atomic_add64(&tally->moves[why], 1);
}
