/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator's HTTP/1.1 client: one keep-alive connection to 127.0.0.1, nothing else.
 *
 * It is not the server's code on purpose: what is measured must not measure itself.
 */
#ifndef LOAD_HTTP_H
#define LOAD_HTTP_H

#include <stddef.h>

/* Where the load goes; the address is always 127.0.0.1. */
typedef struct load_target_t {
    int port;
    char prefix[128];           /* of the service: "/certsrv" */
} load_target_t;

/* One connection; used by one thread. */
typedef struct load_connection_t {
    const load_target_t *target;
    int fd;                     /* -1: none */
    int timeout;                /* seconds for one read or write */
    char *buffer;               /* what came, NUL-ended */
    size_t len, size;
} load_connection_t;

/* One answer; body and type point into the connection and live until its next request. */
typedef struct load_answer_t {
    int status;
    char type[80];
    const unsigned char *body;
    size_t body_len;
    int retry_after;            /* seconds; 0: it says nothing of it */
    int closes;                 /* the server ends the connection after it */
} load_answer_t;

/* Takes http://127.0.0.1:PORT/PREFIX apart; NULL, or why it is refused. */
const char *load_target_parse(load_target_t *target, const char *url);

void load_connection_init(load_connection_t *c, const load_target_t *target, int timeout);
void load_connection_close(load_connection_t *c);

/*
 * Sends one request and reads the whole answer, connecting when there is no connection.  Never
 * sends anything twice.  headers: each ended by CRLF, "" none.  NULL, or what went wrong; then the
 * connection is closed.
 */
const char *load_request(load_connection_t *c, load_answer_t *answer, const char *method,
                         const char *path, const char *headers, const void *body, size_t body_len);

/* Where a connection is cut; each ends with a reset. */
typedef enum {
    LOAD_CUT_HALF,              /* half of the request was sent */
    LOAD_CUT_SENT,              /* all was sent, nothing was read */
    LOAD_CUT_READING,           /* the first byte of the answer was read */
    LOAD_CUTS
} load_cut_e;

/* Sends as load_request() does and cuts the connection there; whatever happens to it, the
 * connection is closed. */
void load_request_cut(load_connection_t *c, load_cut_e where, const char *method, const char *path,
                      const char *headers, const void *body, size_t body_len);

#endif /* LOAD_HTTP_H */
