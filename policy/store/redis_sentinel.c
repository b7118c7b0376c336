/* SPDX-License-Identifier: Apache-2.0 */
/* The master that sentinels name, and whether it is one; see redis_topology.h. */
#include "../../common/clock.h"
#include "redis_rule.h"
#include "redis_topology.h"
#include "redis_url.h"
#include "store.h"
#include "store_redis_reply.h"
#include <apr_strings.h>
#include <string.h>

/* Reads the answer of a sentinel, an address or nothing; APR_NOTFOUND: it knows no such master. */
static apr_status_t read_master(redis_address_t *master, const redisReply *reply,
                                const char *name, apr_pool_t *p)
{
    const char *host;
    apr_int64_t port;

    if (reply->type == REDIS_REPLY_NIL)
        return store_set_error(p, APR_NOTFOUND, "it does not know a master '%s'", name);
    if (reply->type == REDIS_REPLY_ERROR)
        return store_set_error(
            p, redis_rule(reply->str) == REDIS_RULE_MOVE ? APR_EAGAIN : APR_EACCES, "it says: %.*s",
            (int)strcspn(reply->str, " "), reply->str);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return store_set_error(p, APR_EGENERAL, "it gives no address");
    host = reply_text(reply->element[0]);
    if (!host || !reply_number(reply->element[1], &port) ||
        !redis_address_set(master, host, strlen(host), port))
        return store_set_error(p, APR_EGENERAL, "it gives no address");
    return APR_SUCCESS;
}

/* Asks one sentinel; all of it ends at the deadline. */
static apr_status_t ask_one(redis_address_t *master, const redis_peer_t *peer,
                            const redis_address_t *sentinel, apr_time_t deadline, apr_pool_t *p)
{
    const char *argv[3] = {"SENTINEL", "get-master-addr-by-name", NULL};
    redisReply *reply = NULL;
    apr_status_t rv;

    argv[2] = peer->options->master;
    rv = redis_peer_ask(&reply, peer, sentinel, REDIS_AS_SENTINEL, 3, argv, deadline, p);
    return rv == APR_SUCCESS ? read_master(master, reply, argv[2], p) : rv;
}

/* Whether a sentinel's failure stays as it is until somebody changes a setting. */
static int is_final(apr_status_t rv)
{
    return rv == APR_EACCES || rv == APR_NOTFOUND;
}

apr_status_t redis_sentinel_ask(redis_address_t *master, const redis_peer_t *peer, int *first,
                                int max, apr_time_t deadline, apr_pool_t *p)
{
    const apr_array_header_t *nodes = peer->options->nodes;
    const redis_address_t *sentinel;
    const char *before, *text, *all = "";
    char message[120];
    apr_time_t now = clock_monotonic();
    apr_status_t rv, worst = APR_NOTFOUND;
    int left = nodes->nelts < max ? nodes->nelts : max;

    for (rv = APR_EGENERAL; left > 0 && (!*all || now < deadline); left--) {
        sentinel = &APR_ARRAY_IDX(nodes, *first, redis_address_t);
        *first = (*first + 1) % nodes->nelts;
        before = store_error(p);
        /* a silent one leaves as much to each of the others, and to the master */
        rv = ask_one(master, peer, sentinel, now + (deadline - now) / (left + 1), p);
        if (rv == APR_SUCCESS)
            return rv;
        if (is_final(worst))
            worst = rv;
        text = store_error(p);
        if (text == before)
            text = apr_strerror(rv, message, sizeof(message));
        all = apr_psprintf(p, "%s%ssentinel %s: %s", all, *all ? "; " : "",
                           redis_address_text(sentinel, p), text);
        now = clock_monotonic();
    }
    return store_set_error(p, worst, "no sentinel names the master: %.900s", all);
}

apr_status_t redis_sentinel_check(redis_conn_t *conn, apr_time_t deadline, apr_pool_t *p)
{
    const char *argv[1] = {"ROLE"}, *role;
    redisReply *reply = NULL;
    apr_status_t rv = redis_conn_command(conn, &reply, 1, argv, NULL, deadline, p);

    if (rv != APR_SUCCESS)
        return rv;
    if (reply->type == REDIS_REPLY_ERROR)
        return store_set_error(p, APR_EACCES, "ROLE is refused: %.*s",
                               (int)strcspn(reply->str, " "), reply->str);
    role = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 ? reply_text(reply->element[0])
                                                                   : NULL;
    if (!role || strcmp(role, "master") != 0)
        return store_set_error(p, APR_EAGAIN, "it is no master");
    return APR_SUCCESS;
}
