/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The URL forms of a Redis store, taken apart without asking anybody:
 *
 *   redis[s]://[USER@]HOST[:PORT][/DB]                     one server
 *   redis+unix:///PATH[?db=DB]                             one server, by its socket
 *   redis[s]+sentinel://[USER@]HOST[:PORT],.../MASTER[/DB] whoever the sentinels call the master
 *   redis[s]+cluster://[USER@]HOST[:PORT],...              a cluster, by some of its nodes
 *
 * A host is a name, an IPv4 address, or an IPv6 address in brackets.  A password is in a file.
 */
#ifndef REDIS_URL_H
#define REDIS_URL_H

#include "redis_conn.h"

#define REDIS_PORT 6379
#define REDIS_SENTINEL_PORT 26379
#define REDIS_URL_NODES_MAX 64
#define REDIS_MASTER_MAX 255 /* bytes of a master's name */

/* Fills transport, topology, nodes, path, master, database and, where o->user is NULL, user.  What
 * it keeps is in p.  Error text in p, which never repeats the URL; NULL on success. */
const char *redis_url_parse(redis_options_t *o, const char *url, apr_pool_t *p);

/* The URL without a user, for messages. */
const char *redis_url_display(const redis_options_t *o, apr_pool_t *p);

/* "host:port", an IPv6 address in brackets. */
const char *redis_address_text(const redis_address_t *address, apr_pool_t *p);

/* Reads a host and a port, as MOVED and sentinels give them; whether they are that. */
int redis_address_set(redis_address_t *address, const char *host, apr_size_t len, apr_int64_t port);

/* Whether both name the same. */
int redis_address_same(const redis_address_t *a, const redis_address_t *b);

#endif /* REDIS_URL_H */
