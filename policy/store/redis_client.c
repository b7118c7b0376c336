/* SPDX-License-Identifier: Apache-2.0 */
/* Commands to the master of a key; see redis_client.h. */
#include "redis_client.h"
#include "../../common/clock.h"
#include "redis_pool.h"
#include "redis_rule.h"
#include "redis_topology.h"
#include "redis_url.h"
#include "store.h"
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <string.h>

#define FAILURES_MAX 3
#define BREAK_TIME apr_time_from_sec(5)
#define BREAK_TIME_MOVING apr_time_from_sec(1)
#define NAP_MIN apr_time_from_msec(10)
#define NAP_MAX apr_time_from_msec(100)
#define FOLLOW_MAX 5 /* nodes that send on to each other, before a pause */

/* Keeps callers from a server that does not serve. */
typedef struct breaker_t {
    int failures;            /* in a row */
    apr_time_t closed_until; /* clock_monotonic() */
} breaker_t;

struct redis_client_t {
    redis_peer_t peer;
    redis_pool_t *pool;
    redis_topology_t *topology;
    apr_thread_mutex_t *mutex; /* guards all below */
    breaker_t *breakers;       /* CLUSTER: one for each slot, else one */
};

/* One call on its way. */
typedef struct try_t {
    redis_client_t *client;
    const redis_call_t *call;
    apr_pool_t *p;
    int slot, moves, follows;
    apr_time_t end; /* of looking for a master */
    redis_address_t address;
    redisReply *reply;
    int ask;   /* the next try goes to importer, this once */
    int asked; /* this one did */
    redis_address_t importer;
    apr_int64_t left; /* keys of the slot at the node that said ASK */
    int dead; /* an idle connection that had died: at once again, on a new one */
} try_t;

/* What comes after a try. */
typedef enum { TRY_DONE, TRY_AT_ONCE, TRY_LATER } try_next_e;

/* How many breakers a client has: a dead node of a cluster keeps nobody from the others. */
static int breakers(const redis_client_t *client)
{
    return client->peer.options->topology == REDIS_CLUSTER ? REDIS_SLOTS : 1;
}

/* The breaker of a call. */
static breaker_t *breaker_of(const try_t *t)
{
    return t->client->breakers + t->slot % breakers(t->client);
}

int redis_client_is_resting(const redis_client_t *client, const char *key)
{
    const breaker_t *breaker = client->breakers + redis_topology_slot(key) % breakers(client);
    int rests;

    if (!client->mutex)
        return 0;
    apr_thread_mutex_lock(client->mutex);
    rests = breaker->failures >= FAILURES_MAX && clock_monotonic() < breaker->closed_until;
    apr_thread_mutex_unlock(client->mutex);
    return rests;
}

/* Whether servers may be asked now; while the breaker is open one caller per turn may. */
static int may_ask(const try_t *t)
{
    breaker_t *breaker = breaker_of(t);
    apr_time_t now = clock_monotonic();
    int may = 1;

    apr_thread_mutex_lock(t->client->mutex);
    if (breaker->failures >= FAILURES_MAX) {
        may = now >= breaker->closed_until;
        if (may)
            breaker->closed_until = now + (t->moves ? BREAK_TIME_MOVING : BREAK_TIME);
    }
    apr_thread_mutex_unlock(t->client->mutex);
    return may;
}

/* Counts how a call ended. */
static void count(const try_t *t, int ok)
{
    breaker_t *breaker = breaker_of(t);

    apr_thread_mutex_lock(t->client->mutex);
    if (ok)
        breaker->failures = 0;
    else {
        if (breaker->failures < FAILURES_MAX)
            breaker->failures++;
        if (breaker->failures == FAILURES_MAX)
            breaker->closed_until = clock_monotonic() + (t->moves ? BREAK_TIME_MOVING : BREAK_TIME);
    }
    apr_thread_mutex_unlock(t->client->mutex);
}

/* Adds the server's name, and the status where no cause is recorded, to the text in p. */
static apr_status_t explain(const try_t *t, apr_status_t rv, const char *before)
{
    const redis_options_t *o = t->client->peer.options;
    const char *text = store_error(t->p);
    char message[120];

    if (text == before)
        text = apr_strerror(rv, message, sizeof(message));
    return store_set_error(t->p, rv, "%s: %s",
                           o->kind == REDIS_UNIX ? o->path
                                                 : redis_address_text(&t->address, t->p), text);
}

/* When a step that begins now has to be over: a new master's steps end with the search. */
static apr_time_t step_end(const try_t *t, apr_interval_time_t span)
{
    apr_time_t now = clock_monotonic(), end = now + span;

    return t->moves && t->end > now && t->end < end ? t->end : end;
}

/* A connection to the master, idle or new. */
static apr_status_t connect_to(redis_conn_t **pconn, try_t *t)
{
    redis_client_t *client = t->client;
    apr_time_t deadline = step_end(t, client->peer.options->connect_timeout);
    apr_status_t rv;

    *pconn = t->dead ? NULL : redis_pool_take(client->pool, &t->address);
    if (*pconn)
        return APR_SUCCESS;
    rv = redis_conn_open(pconn, &client->peer, &t->address, REDIS_AS_STORE, deadline, t->p);
    if (rv != APR_SUCCESS)
        return rv;
    rv = redis_topology_admit(client->topology, *pconn, deadline, t->p);
    if (rv == APR_SUCCESS)
        redis_pool_adopt(client->pool, *pconn);
    else {
        redis_conn_close(*pconn);
        *pconn = NULL;
    }
    return rv;
}

/*
 * Waits until as many replicas as wanted have what was written on this connection.  APR_EAGAIN:
 * fewer have it; any other status: it is not known, the connection must be closed.
 */
static apr_status_t wait_for_replicas(redis_conn_t *conn, const try_t *t, redisReply **perror)
{
    const redis_options_t *o = t->client->peer.options;
    const char *argv[3] = {"WAIT", NULL, NULL};
    redisReply *reply = NULL;
    apr_status_t rv;

    argv[1] = apr_itoa(t->p, o->wait_replicas);
    argv[2] = apr_psprintf(t->p, "%" APR_INT64_T_FMT, apr_time_as_msec(o->wait_time));
    rv = redis_conn_command(conn, &reply, 3, argv, NULL,
                            clock_monotonic() + o->wait_time + o->command_timeout, t->p);
    if (rv != APR_SUCCESS)
        return rv;
    if (reply->type == REDIS_REPLY_ERROR) {
        *perror = reply;
        return APR_SUCCESS;
    }
    if (reply->type != REDIS_REPLY_INTEGER)
        return store_set_error(t->p, APR_EGENERAL, "the answer to WAIT is no number");
    if (reply->integer < o->wait_replicas)
        return store_set_error(t->p, APR_EAGAIN, "%d of %d replicas have it after %d ms",
                               (int)reply->integer, o->wait_replicas,
                               (int)apr_time_as_msec(o->wait_time));
    return APR_SUCCESS;
}

/* Counts what a node that said ASK still has of the slot. */
static apr_status_t count_left(redis_conn_t *conn, try_t *t)
{
    const redis_options_t *o = t->client->peer.options;
    apr_status_t rv = redis_cluster_count(&t->left, conn, t->slot,
                                          step_end(t, o->command_timeout), t->p);

    if (rv != APR_SUCCESS)
        t->reply = NULL;
    return rv;
}

/* Sends the command on a connection; t->reply is its answer, or that of a WAIT that failed. */
static apr_status_t talk(redis_conn_t *conn, try_t *t)
{
    const redis_options_t *o = t->client->peer.options;
    const redis_call_t *call = t->call;
    apr_status_t rv = APR_SUCCESS;

    if (t->asked)
        rv = redis_cluster_asking(conn, step_end(t, o->command_timeout), t->p);
    if (rv == APR_SUCCESS)
        rv = redis_conn_command(conn, &t->reply, call->argc, call->argv, call->lengths,
                                step_end(t, o->command_timeout), t->p);
    if (rv != APR_SUCCESS)
        return rv;
    if (t->reply->type != REDIS_REPLY_ERROR)
        return call->durable && o->wait_replicas > 0 ? wait_for_replicas(conn, t, &t->reply) : rv;
    if (o->topology == REDIS_CLUSTER && redis_rule(t->reply->str) == REDIS_RULE_ASK)
        rv = count_left(conn, t);
    return rv;
}

/*
 * What comes after ASK.  Scripts name one key and use many, and to a node that is asked a key that
 * has not come yet looks like one that never was: a used challenge could be taken for an unknown
 * one.  So it is asked when the other one has none left, and none can come up there any more.
 */
static try_next_e after_ask(try_t *t)
{
    redis_address_t to;
    int slot;

    if (!redis_rule_target(t->reply->str, &t->address, &slot, &to) || slot != t->slot)
        return TRY_DONE;
    if (t->left > 0 || ++t->follows > FOLLOW_MAX)
        return TRY_LATER;
    t->importer = to;
    t->ask = 1;
    return TRY_AT_ONCE;
}

/* What comes after an answer. */
static try_next_e after_answer(try_t *t)
{
    redis_client_t *client = t->client;
    redis_address_t to;
    int slot;

    if (!t->moves || t->reply->type != REDIS_REPLY_ERROR)
        return TRY_DONE;
    switch (redis_rule(t->reply->str)) {
    case REDIS_RULE_FOLLOW:
        if (!redis_rule_target(t->reply->str, &t->address, &slot, &to))
            return TRY_DONE;
        redis_topology_moved(client->topology, slot, &to, t->call->tally);
        return ++t->follows <= FOLLOW_MAX ? TRY_AT_ONCE : TRY_LATER;
    case REDIS_RULE_ASK:
        return client->peer.options->topology == REDIS_CLUSTER ? after_ask(t) : TRY_LATER;
    case REDIS_RULE_MOVE:
        redis_topology_doubt(client->topology, &t->address, redis_rule_move(t->reply->str),
                             t->call->tally);
        redis_pool_flush(client->pool, &t->address);
        return TRY_LATER;
    case REDIS_RULE_LATER:
        return TRY_LATER;
    case REDIS_RULE_HALF:
        return t->call->repeatable ? TRY_LATER : TRY_DONE;
    case REDIS_RULE_TELL:
    case REDIS_RULE_DENIED:
        break;
    }
    return TRY_DONE;
}

/*
 * What comes after too few replicas had it: they may follow another master already, as they do for
 * some seconds in a failover that was ordered.
 */
static try_next_e after_short(try_t *t)
{
    redis_client_t *client = t->client;
    redis_address_t before = t->address;
    apr_pool_t *sub;
    apr_status_t rv;

    if (!t->moves || t->asked || ++t->follows > FOLLOW_MAX)
        return TRY_DONE;
    redis_topology_doubt(client->topology, &before, STORE_MOVE_SHORT, t->call->tally);
    /* the cause that is told stays that of the call */
    apr_pool_create(&sub, t->p);
    rv = redis_topology_find(&t->address, client->topology, t->slot, t->call->tally, t->end, sub);
    apr_pool_destroy(sub);
    if (rv != APR_SUCCESS || redis_address_same(&t->address, &before)) {
        t->address = before;
        return TRY_DONE;
    }
    redis_pool_flush(client->pool, &before);
    return TRY_AT_ONCE;
}

/* What comes after a step that failed; sent: the command may have been done. */
static try_next_e after_failure(try_t *t, apr_status_t rv, const redis_conn_t *conn)
{
    redis_client_t *client = t->client;
    int sent = conn != NULL, dead = sent && conn->used && !APR_STATUS_IS_TIMEUP(rv);
    store_move_e why =
        !sent && APR_STATUS_IS_EAGAIN(rv) ? STORE_MOVE_NOT_MASTER : STORE_MOVE_CONNECTION;

    t->reply = NULL;
    redis_pool_flush(client->pool, &t->address);
    if (sent && !t->call->repeatable) {
        redis_topology_doubt(client->topology, &t->address, why, t->call->tally);
        return TRY_DONE;
    }
    if (dead && !t->dead) {
        t->dead = 1;
        return TRY_AT_ONCE;
    }
    t->dead = 0;
    redis_topology_doubt(client->topology, &t->address, why, t->call->tally);
    return t->moves && rv != APR_EACCES ? TRY_LATER : TRY_DONE;
}

/* One try; *prv is what comes of it if it is the last one. */
static try_next_e try_once(try_t *t, apr_status_t *prv)
{
    redis_client_t *client = t->client;
    const char *before = store_error(t->p);
    redis_conn_t *conn = NULL;
    try_next_e next;

    t->reply = NULL;
    t->asked = t->ask;
    t->ask = 0;
    *prv = APR_SUCCESS;
    if (t->asked)
        t->address = t->importer;
    else
        *prv = redis_topology_find(&t->address, client->topology, t->slot, t->call->tally, t->end,
                                   t->p);
    if (*prv != APR_SUCCESS)
        return *prv == APR_EACCES || *prv == APR_NOTFOUND ? TRY_DONE : TRY_LATER;
    *prv = connect_to(&conn, t);
    if (*prv == APR_SUCCESS)
        *prv = talk(conn, t);
    if (*prv != APR_SUCCESS)
        (void)explain(t, *prv, before);
    if (*prv == APR_SUCCESS || (*prv == APR_EAGAIN && t->reply)) {
        next = *prv == APR_SUCCESS ? after_answer(t) : after_short(t);
        redis_pool_give(client->pool, conn);
    }
    else {
        next = after_failure(t, *prv, conn);
        redis_conn_close(conn);
    }
    return next;
}

/* For how long a call looks for its master. */
static apr_interval_time_t search_time(const redis_options_t *o, const redis_call_t *call)
{
    apr_interval_time_t once = o->connect_timeout + o->command_timeout;

    return call->hasty && once < o->relocate_timeout ? once : o->relocate_timeout;
}

/* Whether a try that came to nothing is followed by another one. */
static int may_wait(const try_t *t, apr_status_t rv)
{
    /* EAGAIN: another thread is asking who the master is */
    return clock_monotonic() < t->end && (!t->call->hasty || APR_STATUS_IS_EAGAIN(rv));
}

apr_status_t redis_client_call(redisReply **preply, redis_client_t *client,
                               const redis_call_t *call, apr_pool_t *p)
{
    apr_interval_time_t nap = NAP_MIN;
    apr_status_t rv;
    try_next_e next;
    int wait;
    try_t t = {.client = client, .call = call, .p = p};

    *preply = NULL;
    if (!client->mutex)
        return store_set_error(p, APR_EINIT, "not set up in this process");
    t.moves = redis_topology_moves(client->topology);
    t.slot = redis_topology_slot(call->key);
    t.end = clock_monotonic() + search_time(client->peer.options, call);
    if (!may_ask(&t))
        return store_set_error(p, APR_ECONNREFUSED,
                               "%s: not asked for a few seconds after %d failures",
                               redis_url_display(client->peer.options, p), FAILURES_MAX);
    do {
        next = try_once(&t, &rv);
        wait = next == TRY_LATER && may_wait(&t, rv);
        if (wait) {
            apr_sleep(nap);
            t.follows = 0;
            nap = nap * 3 / 2 < NAP_MAX ? nap * 3 / 2 : NAP_MAX;
        }
    } while (next == TRY_AT_ONCE || (wait && clock_monotonic() < t.end));
    count(&t, t.reply && next == TRY_DONE);
    *preply = t.reply;
    return rv;
}

redis_client_t *redis_client_make(const redis_options_t *options, apr_pool_t *p)
{
    redis_client_t *client = apr_pcalloc(p, sizeof(*client));

    client->peer.options = options;
    client->pool = redis_pool_make(options->connections, p);
    client->topology = redis_topology_make(&client->peer, p);
    client->breakers = apr_pcalloc(p, breakers(client) * sizeof(*client->breakers));
    return client;
}

const char *redis_client_prepare(redis_client_t *client, apr_pool_t *p)
{
    return redis_peer_prepare(&client->peer, p);
}

/* Pool cleanup of a child: wipes the passwords. */
static apr_status_t child_exit(void *baton)
{
    return redis_peer_wipe(&((redis_client_t *)baton)->peer);
}

apr_status_t redis_client_child_init(redis_client_t *client, apr_pool_t *pchild)
{
    apr_status_t rv = redis_conn_setup();

    if (rv == APR_SUCCESS)
        rv = redis_pool_child_init(client->pool, pchild);
    if (rv == APR_SUCCESS)
        rv = redis_topology_child_init(client->topology, pchild);
    if (rv != APR_SUCCESS)
        return rv;
    memset(client->breakers, 0, breakers(client) * sizeof(*client->breakers));
    apr_pool_cleanup_register(pchild, client, child_exit, apr_pool_cleanup_null);
    return apr_thread_mutex_create(&client->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}
