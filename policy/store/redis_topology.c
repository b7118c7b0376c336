/* SPDX-License-Identifier: Apache-2.0 */
/* Who is the master of a slot; see redis_topology.h. */
#include "redis_topology.h"
#include "../../common/clock.h"
#include "redis_url.h"
#include "store.h"
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <string.h>

#define CRC_POLYNOMIAL 0x1021 /* CRC-16/XMODEM, as Redis Cluster has it */
#define REFRESH apr_time_from_sec(1)        /* how long a sentinel's word is enough */
#define REFRESH_LATER apr_time_from_sec(10) /* where none of them answered */
#define TURNS 65536           /* after which it is the first node's turn again */

struct redis_topology_t {
    const redis_peer_t *peer;
    redis_address_t only; /* SINGLE */
    redis_map_t *spare;   /* CLUSTER: the asking thread's */
    apr_thread_mutex_t *mutex; /* guards all below */
    int asking;
    int first; /* where to begin asking */
    int known;  /* SENTINEL */
    int silent; /* sentinels in a row that did not answer when they were asked again */
    redis_address_t master;
    apr_time_t fresh_until; /* clock_monotonic(): when it is asked whether it still is */
    redis_map_t *map; /* CLUSTER */
};

/* CRC16 of bytes, bit by bit: keys are short, and a table would be longer than this. */
static unsigned crc16(const char *data, size_t len)
{
    unsigned crc = 0;
    size_t i;
    int bit;

    for (i = 0; i < len; i++) {
        crc ^= (unsigned)(unsigned char)data[i] << 8;
        for (bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000 ? crc << 1 ^ CRC_POLYNOMIAL : crc << 1) & 0xffff;
    }
    return crc;
}

int redis_topology_slot(const char *key)
{
    const char *open = strchr(key, '{');
    const char *end = open ? strchr(open + 1, '}') : NULL;

    if (end && end > open + 1)
        return crc16(open + 1, end - open - 1) % REDIS_SLOTS;
    return crc16(key, strlen(key)) % REDIS_SLOTS;
}

int redis_topology_moves(const redis_topology_t *topology)
{
    return topology->peer->options->topology != REDIS_SINGLE;
}

/* Takes what is known under the lock; whether it is. */
static int recall(redis_address_t *address, const redis_topology_t *t, int slot)
{
    unsigned place;

    if (t->peer->options->topology == REDIS_SENTINEL) {
        *address = t->master;
        return t->known;
    }
    place = t->map->owner[slot];
    if (place == REDIS_CLUSTER_NOBODY)
        return 0;
    *address = t->map->nodes[place];
    return 1;
}

/* A node to ask for the map: those of the URL and those that were heard of, in turn. */
static redis_address_t node_to_ask(const redis_topology_t *t, int turn)
{
    const apr_array_header_t *seeds = t->peer->options->nodes;
    int place = turn % (seeds->nelts + t->map->count);

    return place < seeds->nelts ? APR_ARRAY_IDX(seeds, place, redis_address_t)
                                : t->map->nodes[place - seeds->nelts];
}

/* Asks nodes until one gives the map, which is then in t->spare. */
static apr_status_t ask_cluster(redis_topology_t *t, int *first, int slot, apr_time_t deadline,
                                apr_pool_t *p)
{
    const char *before, *text;
    redis_address_t node;
    char message[120];
    apr_time_t now = clock_monotonic();
    apr_status_t rv, worst = APR_EACCES;
    int tries = t->peer->options->nodes->nelts + t->map->count, i;

    for (i = 0; i == 0 || (i < tries && now < deadline); i++) {
        node = node_to_ask(t, *first);
        before = store_error(p);
        /* a silent one leaves half of the time to others */
        rv = redis_cluster_ask(t->spare, t->peer, &node, now + (deadline - now) / 2, p);
        if (rv == APR_SUCCESS && t->spare->owner[slot] != REDIS_CLUSTER_NOBODY)
            return rv;
        if (rv == APR_SUCCESS)
            rv = store_set_error(p, APR_EGENERAL, "nobody has slot %d", slot);
        *first = (*first + 1) % TURNS;
        text = store_error(p);
        if (text == before)
            text = apr_strerror(rv, message, sizeof(message));
        if (worst == APR_EACCES)
            worst = rv;
        (void)store_set_error(p, rv, "no node knows the cluster; the last one, %s: %s",
                              redis_address_text(&node, p), text);
        now = clock_monotonic();
    }
    return worst;
}

/* Asks whoever knows the slot's master; *first is left at who is asked next. */
static apr_status_t ask(redis_address_t *address, redis_topology_t *t, int slot, int *first,
                        apr_time_t deadline, apr_pool_t *p)
{
    if (t->peer->options->topology == REDIS_CLUSTER)
        return ask_cluster(t, first, slot, deadline, p);
    return redis_sentinel_ask(address, t->peer, first, APR_INT32_MAX, deadline, p);
}

/* Asks one sentinel whether the known master still is it; the cause of a failure is told nobody. */
static apr_status_t ask_again(redis_address_t *address, redis_topology_t *t, int *first,
                              apr_time_t deadline, apr_pool_t *p)
{
    apr_pool_t *sub;
    apr_status_t rv;

    apr_pool_create(&sub, p);
    rv = redis_sentinel_ask(address, t->peer, first, 1, deadline, sub);
    apr_pool_destroy(sub);
    return rv;
}

/* Keeps what was found out; *address is the slot's master.  Under the lock. */
static void keep(redis_topology_t *t, redis_address_t *address, int slot, store_tally_t *tally)
{
    redis_map_t *map = t->map;

    if (t->peer->options->topology == REDIS_SENTINEL) {
        if (t->known && !redis_address_same(&t->master, address))
            store_tally_add(tally, STORE_MOVE_NAMED);
        t->master = *address;
        t->known = 1;
        t->silent = 0;
        t->fresh_until = clock_monotonic() + REFRESH;
        return;
    }
    t->map = t->spare;
    t->spare = map;
    (void)recall(address, t, slot);
}

/* The sentinel that was asked again did not answer: it is the next one's turn, soon.  Under the
 * lock. */
static void stay(redis_topology_t *t)
{
    int all = ++t->silent >= t->peer->options->nodes->nelts;

    t->fresh_until = clock_monotonic() + (all ? REFRESH_LATER : REFRESH);
    if (all)
        t->silent = 0;
}

/* Whether a sentinel should be asked again who the master is: the old one goes on being one for
 * seconds after another was chosen, and what it takes in that time is lost. */
static int is_stale(const redis_topology_t *t)
{
    return t->peer->options->topology == REDIS_SENTINEL && t->known &&
           clock_monotonic() >= t->fresh_until;
}

apr_status_t redis_topology_find(redis_address_t *address, redis_topology_t *t, int slot,
                                 store_tally_t *tally, apr_time_t deadline, apr_pool_t *p)
{
    int mine = 0, first, found;
    redis_address_t asked = t->only;
    apr_status_t rv;

    if (!redis_topology_moves(t)) {
        *address = t->only;
        return APR_SUCCESS;
    }
    apr_thread_mutex_lock(t->mutex);
    found = recall(address, t, slot);
    if ((!found || is_stale(t)) && !t->asking)
        mine = t->asking = 1;
    first = t->first;
    apr_thread_mutex_unlock(t->mutex);
    if (!mine)
        return found ? APR_SUCCESS
                     : store_set_error(p, APR_EAGAIN, "it is being found out who the master is");
    /* while asking is set nobody else changes the list of nodes */
    rv = found ? ask_again(&asked, t, &first, deadline, p)
               : ask(&asked, t, slot, &first, deadline, p);
    apr_thread_mutex_lock(t->mutex);
    t->asking = 0;
    t->first = first;
    if (rv == APR_SUCCESS) {
        *address = asked;
        keep(t, address, slot, tally);
    }
    else if (found) {
        stay(t);
        rv = APR_SUCCESS;
    }
    apr_thread_mutex_unlock(t->mutex);
    return rv;
}

apr_status_t redis_topology_admit(redis_topology_t *t, redis_conn_t *conn, apr_time_t deadline,
                                  apr_pool_t *p)
{
    if (t->peer->options->topology != REDIS_SENTINEL)
        return APR_SUCCESS;
    return redis_sentinel_check(conn, deadline, p);
}

void redis_topology_doubt(redis_topology_t *t, const redis_address_t *address, store_move_e why,
                          store_tally_t *tally)
{
    int slot, believed = 0;

    if (!redis_topology_moves(t))
        return;
    apr_thread_mutex_lock(t->mutex);
    if (t->peer->options->topology == REDIS_SENTINEL) {
        /* the one that named it may be cut off; it is the next one's turn */
        if (redis_address_same(&t->master, address)) {
            believed = t->known;
            t->known = 0;
        }
    }
    else {
        for (slot = 0; slot < REDIS_SLOTS; slot++) {
            unsigned place = t->map->owner[slot];

            if (place != REDIS_CLUSTER_NOBODY &&
                redis_address_same(&t->map->nodes[place], address)) {
                t->map->owner[slot] = REDIS_CLUSTER_NOBODY;
                believed = 1;
            }
        }
        t->first = (t->first + 1) % TURNS;
    }
    apr_thread_mutex_unlock(t->mutex);
    if (believed)
        store_tally_add(tally, why);
}

void redis_topology_moved(redis_topology_t *t, int slot, const redis_address_t *to,
                          store_tally_t *tally)
{
    unsigned short before, after;

    if (t->peer->options->topology != REDIS_CLUSTER)
        return;
    apr_thread_mutex_lock(t->mutex);
    before = after = t->map->owner[slot];
    if (!t->asking)
        t->map->owner[slot] = after = redis_cluster_place(t->map, to);
    apr_thread_mutex_unlock(t->mutex);
    if (before != after)
        store_tally_add(tally, STORE_MOVE_MOVED);
}

redis_topology_t *redis_topology_make(const redis_peer_t *peer, apr_pool_t *p)
{
    redis_topology_t *t = apr_pcalloc(p, sizeof(*t));
    const redis_options_t *o = peer->options;

    t->peer = peer;
    if (o->topology == REDIS_SINGLE && o->kind != REDIS_UNIX)
        t->only = APR_ARRAY_IDX(o->nodes, 0, redis_address_t);
    if (o->topology == REDIS_CLUSTER) {
        t->map = apr_pcalloc(p, sizeof(*t->map));
        t->spare = apr_pcalloc(p, sizeof(*t->spare));
    }
    return t;
}

apr_status_t redis_topology_child_init(redis_topology_t *t, apr_pool_t *pchild)
{
    t->asking = t->first = t->known = t->silent = 0;
    if (t->map) {
        memset(t->map->owner, 0xff, sizeof(t->map->owner));
        t->map->count = 0;
    }
    return apr_thread_mutex_create(&t->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}
