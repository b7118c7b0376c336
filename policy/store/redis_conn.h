/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to Redis servers: TCP, TLS or a unix socket, with one deadline per command.
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
#include <apr_tables.h>
#include <apr_time.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <openssl/ssl.h>

#define REDIS_HOST_MAX 255

typedef enum { REDIS_TCP, REDIS_TLS, REDIS_UNIX } redis_kind_e;

/* How it is found out who has the data: it is the only one; sentinels know; the nodes know. */
typedef enum { REDIS_SINGLE, REDIS_SENTINEL, REDIS_CLUSTER } redis_topology_e;

/* A name or an address without brackets; names are resolved anew by each connection. */
typedef struct redis_address_t {
    char host[REDIS_HOST_MAX + 1];
    int port;
} redis_address_t;

typedef struct redis_options_t {
    redis_kind_e kind;
    redis_topology_e topology;
    apr_array_header_t *nodes; /* redis_address_t: the server, the sentinels, or some nodes; NULL
                                  for UNIX */
    const char *master;        /* SENTINEL: by which name they know it */
    const char *path;          /* UNIX */
    int database;
    const char *user;          /* NULL: none */
    const char *password_file; /* NULL: no AUTH */
    const char *sentinel_user, *sentinel_password_file; /* for sentinels; NULL: no AUTH */
    const char *ca_file, *certificate_file,
        *key_file; /* TLS; NULL: the system's trust, no certificate */
    apr_interval_time_t connect_timeout, command_timeout;
    apr_interval_time_t relocate_timeout; /* for how long a new master is looked for */
    int connections; /* the most idle ones that are kept, to each node */
    int wait_replicas;             /* how many must have what is written; 0: none */
    apr_interval_time_t wait_time; /* and for how long that is awaited */
} redis_options_t;

/* The servers as they are met: the options, and what was read from the files they name. */
typedef struct redis_peer_t {
    const redis_options_t *options;
    SSL_CTX *tls;
    char *password, *sentinel_password; /* NULL: none */
} redis_peer_t;

/* Which credentials a server wants. */
typedef enum { REDIS_AS_STORE, REDIS_AS_SENTINEL } redis_login_e;

/* One connection. */
typedef struct redis_conn_t redis_conn_t;
struct redis_conn_t {
    int fd;
    SSL *ssl; /* NULL: plain */
    redisReader *reader;
    redis_address_t address; /* as it was asked for; "" for UNIX */
    int used;                /* has answered before: it may have died since */
    unsigned generation;     /* of the pool's node */
    redis_conn_t *next;      /* in a pool's list */
};

/* Once per process, before threads: sets what all readers share. */
apr_status_t redis_conn_setup(void);

/* Reads passwords, trust anchors and keys, as root.  Error text in p, NULL on success. */
const char *redis_peer_prepare(redis_peer_t *peer, apr_pool_t *p);

/* Overwrites the passwords; a pool cleanup with a redis_peer_t. */
apr_status_t redis_peer_wipe(void *baton);

/* Connects and logs in before the deadline (clock_monotonic()); the address does not matter for
 * UNIX.  The cause of a failure is recorded in p where the status does not say it; APR_EACCES:
 * credentials or rights. */
apr_status_t redis_conn_open(redis_conn_t **pconn, const redis_peer_t *peer,
                             const redis_address_t *address, redis_login_e login,
                             apr_time_t deadline, apr_pool_t *p);

/* Connects a socket to the first of a name's addresses that answers; each has its share of the time
 * until the deadline.  The descriptor, or -1 with *rv set. */
int redis_conn_dial(const struct addrinfo *list, apr_time_t deadline, apr_status_t *rv);

/* Closes one, or a list; NULL is passed over. */
void redis_conn_close(redis_conn_t *conn);
void redis_conn_close_all(redis_conn_t *list);

/* Whether an idle connection has nothing to say, as a living one does. */
int redis_conn_is_quiet(const redis_conn_t *conn);

/* Sends a command and reads its reply into p before the deadline (clock_monotonic()).  After any
 * other status than APR_SUCCESS the connection must be closed. */
apr_status_t redis_conn_command(redis_conn_t *conn, redisReply **preply, int argc,
                                const char **argv, const size_t *lengths, apr_time_t deadline,
                                apr_pool_t *p);

/*
 * One command to a server that is asked this once: opens, logs in, asks, closes.  connect_timeout
 * and command_timeout hold, and the deadline for all of it.  Statuses as above.
 */
apr_status_t redis_peer_ask(redisReply **preply, const redis_peer_t *peer,
                            const redis_address_t *address, redis_login_e login, int argc,
                            const char **argv, apr_time_t deadline, apr_pool_t *p);

#endif /* REDIS_CONN_H */
