/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What http_ticket.c needs of libkrb5 and GSSAPI, behind names of our own: they may be missing
 * (http_ticket_none.c).  Each call brings its own context, so all may come from any thread.
 */
#ifndef COMMON_HTTP_TICKET_KRB5_H
#define COMMON_HTTP_TICKET_KRB5_H

#include "http_client.h"
#include "http_ticket.h"
#include "http_ticket_rest.h"

#define TICKET_ERROR_MAX 400

/* A principal and its keys, in memory. */
typedef struct ticket_keys_t {
    void *keytab;    /* krb5_keytab */
    char *principal; /* krb5_unparse_name()'s */
} ticket_keys_t;

/* A ticket for a host, or why there is none. */
typedef struct ticket_host_t {
    apr_time_t end;               /* clock_monotonic(); 0: none */
    int refused;                  /* it is no use to ask again soon */
    char error[TICKET_ERROR_MAX]; /* "" with a ticket */
} ticket_host_t;

struct http_ticket_cache_t {
    int users;                    /* http_ticket.c's; not freed by http_ticket_krb5.c */
    void *ccache;                 /* NULL: none */
    char name[64];                /* "MEMORY:..." */
    ticket_key_e key;             /* what the KDC said of it */
    int code;                     /* with TICKET_KEY_BAD */
    ticket_host_t host[HTTP_URLS_MAX];
};

/*
 * Reads the principal's keys out of a keytab, a file of version 2 that others may not read (MIT's
 * "Keytab file format").  Error text in p, NULL on success.
 */
const char *ticket_keys_load(ticket_keys_t **pkeys, const char *file, const char *principal,
                             apr_pool_t *p);

/* Wipes and frees; NULL is allowed. */
void ticket_keys_free(ticket_keys_t *keys);

/*
 * Asks the KDC for a ticket for each host, which may take a minute.  malloc'ed, one user; NULL when
 * there is no memory.
 */
http_ticket_cache_t *ticket_fetch(const ticket_keys_t *keys, const char *const *host, int nhosts);

/* The same without asking, for a code of ticket_fetch()'s: a refusal for each host. */
http_ticket_cache_t *ticket_refuse(const ticket_keys_t *keys, int nhosts, int code);

/* Wipes and frees. */
void ticket_cache_free(http_ticket_cache_t *cache);

/* For http_ticket_k*.c: a name that no other keytab or cache of this process has. */
void ticket_name(char *name, apr_size_t size);

/* And Kerberos' words and ours for an error; context (krb5_context) may be NULL. */
void ticket_explain(char *text, apr_size_t size, void *context, int code);

/* What this thread's GSSAPI uses; NULL: what it does without us.  0: it does not. */
int ticket_use(const char *name);

#endif /* COMMON_HTTP_TICKET_KRB5_H */
