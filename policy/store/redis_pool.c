/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of connections of a child; see redis_pool.h. */
#include "redis_pool.h"
#include "redis_url.h"
#include <apr_thread_mutex.h>

#define NODES_MAX 64 /* a peer must not choose how many we keep */

typedef struct node_t {
    redis_address_t address;
    redis_conn_t *idle;
    int idle_count;
    unsigned generation; /* connections of another one are closed */
} node_t;

struct redis_pool_t {
    int connections;
    apr_thread_mutex_t *mutex; /* guards all below */
    node_t nodes[NODES_MAX];
    int count;
    int next; /* which makes room for another one */
};

/* The node of an address, made where it is new; *evicted: idle connections to close outside the
 * lock. */
static node_t *find_node(redis_pool_t *pool, const redis_address_t *address,
                         redis_conn_t **evicted)
{
    node_t *node;
    int i;

    for (i = 0; i < pool->count; i++) {
        if (redis_address_same(&pool->nodes[i].address, address))
            return &pool->nodes[i];
    }
    if (pool->count < NODES_MAX)
        node = &pool->nodes[pool->count++];
    else {
        node = &pool->nodes[pool->next];
        pool->next = (pool->next + 1) % NODES_MAX;
    }
    *evicted = node->idle;
    node->address = *address;
    node->idle = NULL;
    node->idle_count = 0;
    node->generation++;
    return node;
}

redis_conn_t *redis_pool_take(redis_pool_t *pool, const redis_address_t *address)
{
    redis_conn_t *conn, *dead = NULL, *evicted = NULL;
    node_t *node;

    apr_thread_mutex_lock(pool->mutex);
    node = find_node(pool, address, &evicted);
    conn = node->idle;
    if (conn && redis_conn_is_quiet(conn)) {
        node->idle = conn->next;
        node->idle_count--;
    }
    else {
        dead = conn;
        conn = NULL;
        node->idle = NULL;
        node->idle_count = 0;
    }
    apr_thread_mutex_unlock(pool->mutex);
    redis_conn_close_all(dead);
    redis_conn_close_all(evicted);
    return conn;
}

void redis_pool_adopt(redis_pool_t *pool, redis_conn_t *conn)
{
    redis_conn_t *evicted = NULL;

    apr_thread_mutex_lock(pool->mutex);
    conn->generation = find_node(pool, &conn->address, &evicted)->generation;
    apr_thread_mutex_unlock(pool->mutex);
    redis_conn_close_all(evicted);
}

void redis_pool_give(redis_pool_t *pool, redis_conn_t *conn)
{
    redis_conn_t *evicted = NULL;
    node_t *node;

    conn->used = 1;
    apr_thread_mutex_lock(pool->mutex);
    node = find_node(pool, &conn->address, &evicted);
    if (node->generation == conn->generation && node->idle_count < pool->connections) {
        conn->next = node->idle;
        node->idle = conn;
        node->idle_count++;
        conn = NULL;
    }
    apr_thread_mutex_unlock(pool->mutex);
    redis_conn_close(conn);
    redis_conn_close_all(evicted);
}

void redis_pool_flush(redis_pool_t *pool, const redis_address_t *address)
{
    redis_conn_t *list, *evicted = NULL;
    node_t *node;

    apr_thread_mutex_lock(pool->mutex);
    node = find_node(pool, address, &evicted);
    list = node->idle;
    node->idle = NULL;
    node->idle_count = 0;
    node->generation++;
    apr_thread_mutex_unlock(pool->mutex);
    redis_conn_close_all(list);
    redis_conn_close_all(evicted);
}

redis_pool_t *redis_pool_make(int connections, apr_pool_t *p)
{
    redis_pool_t *pool = apr_pcalloc(p, sizeof(*pool));

    pool->connections = connections;
    return pool;
}

/* Pool cleanup of a child: closes what is idle. */
static apr_status_t child_exit(void *baton)
{
    redis_pool_t *pool = baton;
    int i;

    for (i = 0; i < pool->count; i++)
        redis_conn_close_all(pool->nodes[i].idle);
    pool->count = 0;
    return APR_SUCCESS;
}

apr_status_t redis_pool_child_init(redis_pool_t *pool, apr_pool_t *pchild)
{
    pool->count = 0;
    pool->next = 0;
    apr_pool_cleanup_register(pchild, pool, child_exit, apr_pool_cleanup_null);
    return apr_thread_mutex_create(&pool->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}
