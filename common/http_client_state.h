/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HTTP client share; for no one else. */
#ifndef COMMON_HTTP_CLIENT_STATE_H
#define COMMON_HTTP_CLIENT_STATE_H

#include "http_client.h"
#include "http_files.h"
#include "http_ticket.h"
#include <apr_thread_mutex.h>
#include <curl/curl.h>

#define HTTP_PEER_MAX 300 /* scheme, host and port */

/* A URL taken apart. */
typedef struct http_base_t {
    const char *url;    /* up to the query, without trailing slash unless that is all of the path */
    const char *query;  /* "?..." or "" */
    const char *peer;   /* scheme, host and port, for messages */
    const char *path;   /* of url */
    const char *socket; /* unix socket; NULL: none */
    const char *host;   /* its name */
} http_base_t;

typedef struct http_breaker_t {
    int failures;          /* in a row */
    apr_time_t rest_until; /* monotonic */
    int probing;
} http_breaker_t;

/* A connection's handle; belongs to the credentials it was made with. */
typedef struct http_handle_t {
    CURL *curl;
    http_credentials_t *credentials;
    struct http_handle_t *next;
} http_handle_t;

struct http_client_t {
    http_options_t options;
    http_files_t files;
    http_ticket_t *ticket; /* NULL: no Kerberos */
    http_base_t base[HTTP_URLS_MAX];
    int nbase;
    apr_thread_mutex_t *mutex; /* of the child; guards all below */
    http_credentials_t *credentials;
    http_stamp_t rejected; /* a version of the files that could not be taken */
    http_breaker_t breaker[HTTP_URLS_MAX];
    char seen[HTTP_URLS_MAX][HTTP_PEER_MAX]; /* url_at_call: whose breaker it is */
    int last_seen;
    int preferred; /* URL that answered last */
    int active;
    http_handle_t *idle;
};

/* Takes a URL apart, without I/O.  Error text in p, NULL on success. */
const char *http_base_take(http_base_t *base, const char *url, const http_options_t *options,
                           apr_pool_t *p);

/*
 * Number of the URL to try: the first from the preferred one on that is not in tried (a bit each)
 * and does not rest; -1: none.  The caller tells by http_breaker_report() what
 * became of it.
 */
int http_breaker_choose(http_client_t *client, unsigned tried);

/* Number of the breaker of a call's own URL, which takes over the oldest one; -1: it rests. */
int http_breaker_choose_own(http_client_t *client, const http_base_t *own);

/* Tells the breaker how a try ended. */
void http_breaker_report(http_client_t *client, int n, apr_status_t rv, int fair);

#endif /* COMMON_HTTP_CLIENT_STATE_H */
