/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to other services over HTTP: the only room that sees libcurl.
 *
 * One instance per configured peer, with the peer's URLs, credentials and limits.  What every call
 * gets whether it asks or not: HTTPS with the peer's certificate and name verified (TLS 1.2 or
 * later), no redirects, no proxy out of the environment, no signals, a limit of time and of size, a
 * bulkhead (so that a slow peer cannot occupy all workers), and a circuit breaker per URL: after
 * three transport failures in a row the URL rests, then one call probes it.
 *
 * Where a peer is only found out later, each call brings its URL (url_at_call); breakers are then
 * kept for the last HTTP_URLS_MAX hosts.
 *
 * The URLs are tried in order, starting with the one that answered last.  A call is tried again
 * only when nothing of it was sent, or once when it is marked idempotent and was cut; what libcurl
 * would send again by itself, on a kept connection that died, counts as cut.  An answer is an
 * answer, whatever its status: only transport failures lead to the next URL.
 *
 * With a keytab each call is authenticated by Kerberos (http_ticket.h): Negotiate with the ticket
 * for HTTP/HOST at once, nothing else, nothing delegated; the TLS checks stay.
 *
 * Thread rule: made and prepared in the parent, child_init in each child; calls from any thread.
 * Connections are made in the child, kept alive, and closed when the credentials change.  What is
 * not idempotent takes only one that was used seconds ago.
 */
#ifndef COMMON_HTTP_CLIENT_H
#define COMMON_HTTP_CLIENT_H

#include "crypt.h"
#include "log.h"
#include <apr_tables.h>
#include <apr_time.h>

#define HTTP_URLS_MAX 4
#define HTTP_KEPT_MAX 32 /* headers of an answer that are kept */

typedef struct http_client_t http_client_t;

/* A peer; strings are kept, not copied. */
typedef struct http_options_t {
    const char *name;               /* for messages */
    const char *url[HTTP_URLS_MAX]; /* https://..., http+unix://%2Fpath%2Fto%2Fsocket/...; NULL */
    int url_at_call;                /* no url: http_request_t.url instead */
    int plain_loopback;             /* http:// too, to 127.0.0.1, [::1] and localhost */
    int plain;                      /* http:// to anybody: for what is public and signed */
    const char *ca_file;            /* PEM; NULL: the system's */
    const char *certificate_file;   /* PEM, ours, with its chain; NULL: none */
    const char *key_file;           /* PEM; NULL: in certificate_file */
    const char *keytab;             /* Kerberos: who we are besides; NULL: not */
    const char *principal;          /* whose key it holds; with keytab only */
    const char *proxy;              /* http://host:port; NULL: none */
    const char *proxy_file;         /* one line USER:PASSWORD for it (Basic); NULL: none */
    apr_interval_time_t connect_timeout;
    apr_interval_time_t timeout;    /* of a whole call, all its tries included */
    apr_interval_time_t rest;       /* how long the breaker keeps a URL out; 0: 5 s */
    int concurrency;                /* calls at once per child; further ones fail at once, urgent
                                     * ones when there are twice as many */
    apr_size_t body_max;            /* bytes of an answer's body */
} http_options_t;

typedef struct http_request_t {
    const char *url;            /* with url_at_call: as http_options_t.url; otherwise NULL */
    const char *path;           /* appended to the URL's path; NULL: nothing */
    const char *content_type;
    crypt_buf_t body;           /* data NULL: GET, otherwise POST */
    const char *method;         /* another one; NULL: as body says */
    const char *const *headers; /* "Name: value" ..., ended by NULL; NULL: none */
    int idempotent;             /* may arrive twice */
    int urgent;                 /* what many others ask must not keep it out */
    const char *keep_headers;   /* the answer's headers that begin so are kept; NULL: none */
    apr_time_t deadline;        /* apr_time_now()'s clock; 0: only the peer's time limit */
} http_request_t;

/* Where a call failed. */
typedef enum {
    HTTP_FAILURE_NONE,
    HTTP_FAILURE_NAME,    /* the host's (or the proxy's) name is not known */
    HTTP_FAILURE_CONNECT, /* no connection, also none to a KDC, or the URL rests after failures */
    HTTP_FAILURE_TLS,     /* no trust: either side's certificate, name, protocol */
    HTTP_FAILURE_TICKET,  /* the KDC gives us no ticket for the peer; nothing was sent */
    HTTP_FAILURE_TIME,
    HTTP_FAILURE_CUT,     /* the connection ended, or what came is not HTTP */
    HTTP_FAILURE_OTHER    /* ours: busy, too large, not set up */
} http_failure_e;

typedef struct http_answer_t {
    int status;
    const char *content_type;        /* "" when there is none */
    apr_interval_time_t retry_after; /* 0: none; at most an hour */
    crypt_buf_t body;                /* in the call's pool, a NUL follows it */
    const char *peer;                /* scheme, host and port of the URL tried last */
    const char *path;                /* and its path, the request's included */
    http_failure_e failure;
    const apr_table_t *headers;      /* the kept ones, printable, 8,000 bytes at most each; never
                                      * NULL */
    const char *error;               /* with a failure: why, printable, without secrets */
} http_answer_t;

/*
 * Takes the options and looks at the URLs; no I/O.  User information in a URL is refused: it is no
 * place for secrets.  Error text in p, NULL on success.
 */
const char *http_client_make(http_client_t **pclient, const http_options_t *options, apr_pool_t *p);

/* What httpd -t can see: reads the credentials and forgets them.  Error text in p, or NULL. */
const char *http_client_check(const http_client_t *client, apr_pool_t *p);

/*
 * In the parent, as root: reads the credentials, which are wiped with p.  Error text in p, or NULL.
 */
const char *http_client_prepare(http_client_t *client, apr_pool_t *p);

/* In each child, before its first call. */
apr_status_t http_client_child_init(http_client_t *client, apr_pool_t *pchild);

/*
 * Asks.  *answer is always filled.  APR_SUCCESS: an answer of any status came.  APR_EAGAIN: too
 * many calls are under way ("busy").  APR_TIMEUP: no time is left.  APR_ENOSPC: the answer is
 * larger than body_max.  APR_ECONNREFUSED: could not be reached, was cut, is not HTTP, or all URLs
 * rest.  APR_EINVAL: the call's URL is missing or refused.  APR_EGENERAL: not set up.
 *
 * Credential files that changed are read again first; if that is not possible (the child may not be
 * allowed to), the old ones stay in use and log says so once per change.
 */
apr_status_t http_client_call(http_client_t *client, const http_request_t *request,
                              http_answer_t *answer, const log_sink_t *log, apr_pool_t *p);

/* How many calls at a time may be made that nobody waits for, so that others find room: half of
 * them, at least one. */
int http_client_background(const http_client_t *client);

/*
 * Whether a call could be authenticated, without making one: with a keytab, whether there is a
 * ticket.  Otherwise *text (in p) says why not.
 */
apr_status_t http_client_health(const http_client_t *client, const char **text, apr_pool_t *p);

/* Whether this process makes no calls at the moment: all URLs rest after failures (url_at_call: one
 * of those called last).  No I/O; any thread. */
int http_client_is_resting(const http_client_t *client);

/* Which calls a child that ends lets go on. */
typedef enum {
    HTTP_END_NONE,      /* all: it does not end */
    HTTP_END_QUESTIONS, /* those that are urgent or may not arrive twice: somebody signs, or has */
    HTTP_END_ALL        /* none */
} http_end_e;

/* For a child that ends: makes all other calls of all clients that are under way fail within a
 * second ("this process ends"), and further ones at once. */
void http_client_end_calls(http_end_e which);

/* Whether that is so: a call that fails then says nothing of the peer. */
int http_client_is_ending(void);

/*
 * A kept header.  APR_SUCCESS: *value; APR_NOTFOUND: it is not there; APR_EINVAL: it is there more
 * than once.
 */
apr_status_t http_answer_header(const char **value, const http_answer_t *answer, const char *name);

/* text with controls replaced by spaces, cut to max bytes between characters; UTF-8 stays. */
const char *http_printable(const char *text, apr_size_t max, apr_pool_t *p);

#endif /* COMMON_HTTP_CLIENT_H */
