/* SPDX-License-Identifier: Apache-2.0 */
/* Which node of a cluster has which slot; see redis_topology.h. */
#include "redis_rule.h"
#include "redis_topology.h"
#include "redis_url.h"
#include "store.h"
#include "store_redis_reply.h"
#include <apr_strings.h>
#include <string.h>

#define REPLICAS_MAX 16 /* that are remembered of one range */

unsigned short redis_cluster_place(redis_map_t *map, const redis_address_t *address)
{
    int i;

    for (i = 0; i < map->count; i++) {
        if (redis_address_same(&map->nodes[i], address))
            return (unsigned short)i;
    }
    if (map->count == REDIS_CLUSTER_NODES_MAX)
        return REDIS_CLUSTER_NOBODY;
    map->nodes[map->count] = *address;
    return (unsigned short)map->count++;
}

/* The place of a node "host, port, ..."; an empty, unknown or missing host is the one that was
 * asked.  NOBODY: it is no node. */
static unsigned short read_node(redis_map_t *map, const redisReply *node,
                                const redis_address_t *asked)
{
    redis_address_t address;
    const char *host;
    apr_int64_t port;

    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 ||
        !reply_number(node->element[1], &port))
        return REDIS_CLUSTER_NOBODY;
    host = node->element[0]->type == REDIS_REPLY_NIL ? "" : reply_text(node->element[0]);
    if (!host)
        return REDIS_CLUSTER_NOBODY;
    if (!*host || strcmp(host, "?") == 0)
        host = asked->host;
    if (!redis_address_set(&address, host, strlen(host), port))
        return REDIS_CLUSTER_NOBODY;
    return redis_cluster_place(map, &address);
}

/* Reads "first, last, master, replicas ..."; whether it is that. */
static int read_range(redis_map_t *map, const redisReply *range, const redis_address_t *asked)
{
    apr_int64_t slot, first, last;
    unsigned short master;
    size_t i;

    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
        !reply_number(range->element[0], &first) || !reply_number(range->element[1], &last) ||
        first > last || last >= REDIS_SLOTS)
        return 0;
    master = read_node(map, range->element[2], asked);
    if (master == REDIS_CLUSTER_NOBODY)
        return 0;
    for (slot = first; slot <= last; slot++) {
        if (map->owner[slot] != REDIS_CLUSTER_NOBODY)
            return 0;
        map->owner[slot] = master;
    }
    /* replicas can be asked when the master is gone */
    for (i = 3; i < (size_t)range->elements && i < 3 + REPLICAS_MAX; i++)
        (void)read_node(map, range->element[i], asked);
    return 1;
}

int redis_cluster_read(redis_map_t *map, const redisReply *reply, const redis_address_t *asked)
{
    int found = 0;
    size_t i;

    if (reply->type != REDIS_REPLY_ARRAY)
        return 0;
    for (i = 0; i < (size_t)reply->elements && i < REDIS_SLOTS; i++)
        found |= read_range(map, reply->element[i], asked);
    return found;
}

/* Sends a command of the cluster's own; an error reply is one that cannot be served now
 * (APR_EAGAIN), or never (APR_EACCES). */
static apr_status_t order(redis_conn_t *conn, redisReply **preply, int argc, const char **argv,
                          apr_time_t deadline, apr_pool_t *p)
{
    apr_status_t rv = redis_conn_command(conn, preply, argc, argv, NULL, deadline, p);
    redis_rule_e rule;

    if (rv != APR_SUCCESS || (*preply)->type != REDIS_REPLY_ERROR)
        return rv;
    rule = redis_rule((*preply)->str);
    return store_set_error(
        p, rule == REDIS_RULE_DENIED || rule == REDIS_RULE_TELL ? APR_EACCES : APR_EAGAIN,
        "%s%s%s is refused: %.200s", argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "",
        (*preply)->str);
}

apr_status_t redis_cluster_asking(redis_conn_t *conn, apr_time_t deadline, apr_pool_t *p)
{
    const char *argv[1] = {"ASKING"};
    redisReply *reply = NULL;

    return order(conn, &reply, 1, argv, deadline, p);
}

apr_status_t redis_cluster_count(apr_int64_t *count, redis_conn_t *conn, int slot,
                                 apr_time_t deadline, apr_pool_t *p)
{
    const char *argv[3] = {"CLUSTER", "COUNTKEYSINSLOT", NULL};
    redisReply *reply = NULL;
    apr_status_t rv;

    argv[2] = apr_itoa(p, slot);
    rv = order(conn, &reply, 3, argv, deadline, p);
    if (rv == APR_SUCCESS && (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0))
        rv = store_set_error(p, APR_EGENERAL, "CLUSTER COUNTKEYSINSLOT gives no number");
    if (rv == APR_SUCCESS)
        *count = reply->integer;
    return rv;
}

apr_status_t redis_cluster_ask(redis_map_t *map, const redis_peer_t *peer,
                               const redis_address_t *node, apr_time_t deadline, apr_pool_t *p)
{
    const char *argv[2] = {"CLUSTER", "SLOTS"};
    redisReply *reply = NULL;
    apr_status_t rv = redis_peer_ask(&reply, peer, node, REDIS_AS_STORE, 2, argv, deadline, p);

    if (rv != APR_SUCCESS)
        return rv;
    memset(map->owner, 0xff, sizeof(map->owner));
    map->count = 0;
    if (reply->type == REDIS_REPLY_ERROR)
        return store_set_error(p, APR_EACCES, "CLUSTER SLOTS is refused: %.*s",
                               (int)strcspn(reply->str, " "), reply->str);
    if (!redis_cluster_read(map, reply, node))
        return store_set_error(p, APR_EGENERAL, "it names no master of any slot");
    return APR_SUCCESS;
}
