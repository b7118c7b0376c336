/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP server for unit tests, on 127.0.0.1 and on a unix socket: a process of its own, one
 * more per connection.  What it does is in the path:
 *
 *   /good    200, JSON      /echo   200, the request as it came, headers and body
 *   /answer  200, whatever http_fixture_answer() said last
 *   /slow    answers after 3 s          /cut      closes without a word
 *   /half    closes in the body         /big      100,000 bytes
 *   /garbage no HTTP                    /headers  headers without end
 *   /503     Retry-After: 7             /moved    302 to /good
 *   /first   as /good, but each further request of the connection is read and not answered
 *   /last    the same, but with that the whole server ends
 *   /leave   as /good, then closes      /peek     as /good, then closes at the next byte
 *
 * Routes come before that: paths that hold a text have answers and counts of their own.
 */
#ifndef UNIT_HTTP_FIXTURE_H
#define UNIT_HTTP_FIXTURE_H

#include <apr_pools.h>

#define HTTP_FIXTURE_ROUTES 6

/* A route; lives in memory that is shared with the server. */
typedef struct http_fixture_route_t {
    volatile int requests;
    char match[64], answer[4096], request[65536]; /* the last one as it came */
} http_fixture_route_t;

typedef struct http_fixture_t {
    int port;
    const char *socket; /* path; its URL is socket_url */
    const char *socket_url;
    volatile int *requests; /* how many came */
    volatile int *connections;
    volatile int *closed; /* set: connections are closed at once */
    volatile int *left;   /* how many connections the server has ended */
    const char *request;  /* shared: the last one as it came */
    char *answer;         /* shared: what /answer says, headers and body */
    http_fixture_route_t *routes;
} http_fixture_t;

/* Starts it; ends with p. */
http_fixture_t *http_fixture_start(apr_pool_t *p);

/* What /answer says: a status line's end ("200 OK"), more headers ("" or "Name: value\r\n"), a
 * body. */
void http_fixture_answer(http_fixture_t *server, const char *status, const char *headers,
                         const char *body);

/* What route number n says to paths that hold match; "" as status: the connection is cut. */
void http_fixture_route(http_fixture_t *server, int n, const char *match, const char *status,
                        const char *headers, const char *body);

/* "http://127.0.0.1:PORT" and the path. */
const char *http_fixture_url(const http_fixture_t *server, const char *path, apr_pool_t *p);

/* A port that refuses connections. */
int http_fixture_dead_port(void);

#endif /* UNIT_HTTP_FIXTURE_H */
