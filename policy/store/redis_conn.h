/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to one Redis server: TCP, TLS or a unix socket, with one deadline per command.
 *
 * hiredis only formats commands and reads replies here (its own sockets have no TLS in some of the
 * versions we build with, and no deadline for a whole command).  A pool belongs to a child:
 * connections are lent to one thread at a time; connecting and talking happen outside its lock.
 * Host names are resolved by getaddrinfo(), which has time limits of its own (resolv.conf); give
 * numbers where the resolver may hang.
 */
#ifndef REDIS_CONN_H
#define REDIS_CONN_H

#include <apr_pools.h>
#include <apr_time.h>
#include <hiredis/hiredis.h>
#include <openssl/ssl.h>

typedef enum { REDIS_TCP, REDIS_TLS, REDIS_UNIX } redis_kind_e;

typedef struct redis_options_t {
    redis_kind_e kind;
    const char *host; /* TCP, TLS: a name or an address without brackets */
    int port;
    const char *path; /* UNIX */
    int database;
    const char *user;          /* NULL: none */
    const char *password_file; /* NULL: no AUTH */
    const char *ca_file, *certificate_file,
        *key_file; /* TLS; NULL: the system's trust, no certificate */
    apr_interval_time_t connect_timeout, command_timeout;
    int connections; /* the most idle ones that are kept */
} redis_options_t;

/* The server as it is met: its options, and what was read from the files they name. */
typedef struct redis_peer_t {
    const redis_options_t *options;
    SSL_CTX *tls;
    char *password; /* NULL: none */
} redis_peer_t;

/* One connection. */
typedef struct redis_conn_t redis_conn_t;
struct redis_conn_t {
    int fd;
    SSL *ssl; /* NULL: plain */
    redisReader *reader;
    int used;           /* has answered before: it may have died since */
    redis_conn_t *next; /* in a pool's list */
};

/* Once per process, before threads: sets what all readers share. */
apr_status_t redis_conn_setup(void);

/* Reads password, trust anchors and keys, as root.  Error text in p, NULL on success. */
const char *redis_peer_prepare(redis_peer_t *peer, apr_pool_t *p);

/* Overwrites the password; a pool cleanup with a redis_peer_t. */
apr_status_t redis_peer_wipe(void *baton);

/* A clock that nobody sets, for deadlines. */
apr_time_t redis_now(void);

/* Connects and logs in, within the connect timeout.  The cause of a failure is recorded in p where
 * the status does not say it. */
apr_status_t redis_conn_open(redis_conn_t **pconn, const redis_peer_t *peer, apr_pool_t *p);

/* Closes one, or a list; NULL is passed over. */
void redis_conn_close(redis_conn_t *conn);
void redis_conn_close_all(redis_conn_t *list);

/* Whether an idle connection has nothing to say, as a living one does. */
int redis_conn_is_quiet(const redis_conn_t *conn);

/* Sends a command and reads its reply into p before the deadline (redis_now()).  After any other
 * status than APR_SUCCESS the connection must be closed. */
apr_status_t redis_conn_command(redis_conn_t *conn, redisReply **preply, int argc,
                                const char **argv, const size_t *lengths, apr_time_t deadline,
                                apr_pool_t *p);

#endif /* REDIS_CONN_H */
