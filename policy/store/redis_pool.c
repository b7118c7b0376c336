/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of connections of a child; see redis_pool.h. */
#include "redis_pool.h"
#include "store.h"
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#define FAILURES_MAX 3
#define BREAK_TIME apr_time_from_sec(5)

struct redis_pool_t {
    redis_peer_t peer;
    apr_thread_mutex_t *mutex; /* guards all below */
    redis_conn_t *idle;
    int idle_count;
    int failures;            /* in a row */
    apr_time_t closed_until; /* breaker, monotonic */
};

/* Where the server is, for messages. */
static const char *describe(const redis_pool_t *pool, apr_pool_t *p)
{
    const redis_options_t *o = pool->peer.options;

    if (o->kind == REDIS_UNIX)
        return o->path;
    return apr_psprintf(p, "%s:%d", o->host, o->port);
}

/*
 * Takes an idle connection; NULL: none.  At the first dead one all go, since they most likely died
 * together.
 */
static redis_conn_t *take_idle(redis_pool_t *pool)
{
    redis_conn_t *conn, *dead = NULL;

    apr_thread_mutex_lock(pool->mutex);
    conn = pool->idle;
    if (conn && redis_conn_is_quiet(conn)) {
        pool->idle = conn->next;
        pool->idle_count--;
    }
    else {
        dead = conn;
        conn = NULL;
        pool->idle = NULL;
        pool->idle_count = 0;
    }
    apr_thread_mutex_unlock(pool->mutex);
    redis_conn_close_all(dead);
    return conn;
}

/* Puts a connection back, or closes it when there are enough. */
static void give_back(redis_pool_t *pool, redis_conn_t *conn)
{
    conn->used = 1;
    apr_thread_mutex_lock(pool->mutex);
    if (pool->idle_count < pool->peer.options->connections) {
        conn->next = pool->idle;
        pool->idle = conn;
        pool->idle_count++;
        conn = NULL;
    }
    apr_thread_mutex_unlock(pool->mutex);
    redis_conn_close(conn);
}

/* Whether the server may be asked now; while the breaker is open one caller per turn may. */
static int may_ask(redis_pool_t *pool)
{
    apr_time_t now = redis_now();
    int may = 1;

    apr_thread_mutex_lock(pool->mutex);
    if (pool->failures >= FAILURES_MAX) {
        may = now >= pool->closed_until;
        if (may)
            pool->closed_until = now + BREAK_TIME;
    }
    apr_thread_mutex_unlock(pool->mutex);
    return may;
}

/* Counts how a command ended. */
static void count(redis_pool_t *pool, apr_status_t rv)
{
    redis_conn_t *dead = NULL;

    apr_thread_mutex_lock(pool->mutex);
    if (rv == APR_SUCCESS)
        pool->failures = 0;
    else {
        if (pool->failures < FAILURES_MAX)
            pool->failures++;
        if (pool->failures == FAILURES_MAX)
            pool->closed_until = redis_now() + BREAK_TIME;
        dead = pool->idle;
        pool->idle = NULL;
        pool->idle_count = 0;
    }
    apr_thread_mutex_unlock(pool->mutex);
    redis_conn_close_all(dead);
}

/* Adds the server's name, and the status where no cause is recorded, to the text in p. */
static apr_status_t explain(const redis_pool_t *pool, apr_status_t rv, const char *before,
                            apr_pool_t *p)
{
    const char *text = store_error(p);
    char message[120];

    if (text == before)
        text = apr_strerror(rv, message, sizeof(message));
    return store_set_error(p, rv, "%s: %s", describe(pool, p), text);
}

apr_status_t redis_pool_command(redisReply **preply, redis_pool_t *pool, int argc,
                                const char **argv, const size_t *lengths, apr_pool_t *p)
{
    const char *before = store_error(p);
    apr_status_t rv = APR_SUCCESS;
    redis_conn_t *conn;
    int again;

    *preply = NULL;
    if (!pool->mutex)
        return store_set_error(p, APR_EINIT, "not set up in this process");
    if (!may_ask(pool))
        return store_set_error(p, APR_ECONNREFUSED,
                               "%s: not asked for a few seconds after %d failures",
                               describe(pool, p), FAILURES_MAX);
    conn = take_idle(pool);
    do {
        if (!conn)
            rv = redis_conn_open(&conn, &pool->peer, p);
        if (rv == APR_SUCCESS)
            rv = redis_conn_command(conn, preply, argc, argv, lengths,
                                    redis_now() + pool->peer.options->command_timeout, p);
        again = rv != APR_SUCCESS && conn && conn->used && !APR_STATUS_IS_TIMEUP(rv);
        if (rv != APR_SUCCESS) {
            redis_conn_close(conn);
            conn = NULL;
        }
        if (again)
            rv = APR_SUCCESS;
    } while (again);
    count(pool, rv);
    if (rv != APR_SUCCESS)
        return explain(pool, rv, before, p);
    give_back(pool, conn);
    return APR_SUCCESS;
}

void redis_pool_flush(redis_pool_t *pool)
{
    redis_conn_t *list;

    apr_thread_mutex_lock(pool->mutex);
    list = pool->idle;
    pool->idle = NULL;
    pool->idle_count = 0;
    apr_thread_mutex_unlock(pool->mutex);
    redis_conn_close_all(list);
}

redis_pool_t *redis_pool_make(const redis_options_t *options, apr_pool_t *p)
{
    redis_pool_t *pool = apr_pcalloc(p, sizeof(*pool));

    pool->peer.options = options;
    return pool;
}

const char *redis_pool_prepare(redis_pool_t *pool, apr_pool_t *p)
{
    return redis_peer_prepare(&pool->peer, p);
}

/* Pool cleanup of a child: closes what is idle, wipes the password. */
static apr_status_t child_exit(void *baton)
{
    redis_pool_t *pool = baton;

    redis_conn_close_all(pool->idle);
    pool->idle = NULL;
    pool->idle_count = 0;
    return redis_peer_wipe(&pool->peer);
}

apr_status_t redis_pool_child_init(redis_pool_t *pool, apr_pool_t *pchild)
{
    apr_status_t rv = redis_conn_setup();

    if (rv != APR_SUCCESS)
        return rv;
    pool->idle = NULL;
    pool->idle_count = 0;
    pool->failures = 0;
    pool->closed_until = 0;
    apr_pool_cleanup_register(pchild, pool, child_exit, apr_pool_cleanup_null);
    return apr_thread_mutex_create(&pool->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}
