/* SPDX-License-Identifier: Apache-2.0 */
/* Vault as its backends see it: an instance, and how Vault is asked (ca_vault_access.c). */
#ifndef CA_VAULT_H
#define CA_VAULT_H

#include "ca_http.h"
#include "../common/fetch_cache.h"
#include "../common/secret.h"

#include <apr_thread_mutex.h>

typedef enum { AUTH_TOKEN, AUTH_APPROLE, AUTH_CERT } vault_auth_e;

typedef struct vault_t {
    const char *service;
    http_client_t *client;
    int verbatim;
    const char *sign_path, *revoke_path, *chain_path, *login_path;
    const char *namespace_header;   /* NULL: none */
    vault_auth_e auth;
    const char *role_id;            /* approle */
    const char *auth_role;          /* cert; NULL: Vault finds it by the certificate */
    secret_file_t *secret;          /* the token, or approle's secret id; NULL: none */
    /* the child's */
    fetch_cache_t token;
    apr_thread_mutex_t *mutex;      /* guards next_login */
    apr_time_t next_login;          /* clock_monotonic()'s */
} vault_t;

/* A setting that may stand in a path or header: letters, digits and others; fallback may be NULL.
 * Error text in p, NULL on success. */
const char *vault_get_word(const char **value, const settings_t *s, const char *key,
                           const char *fallback, const char *others, apr_pool_t *p);

/* Reads how to log in; error text in p, NULL on success. */
const char *vault_read_auth(vault_t *self, const settings_t *s, apr_pool_t *p);

/* In each child; afterwards any thread may ask. */
apr_status_t vault_access_child_init(vault_t *self, apr_pool_t *pchild);

/* What Vault says with an error, its "errors" in a row; NULL: nothing. */
const char *vault_errors(const http_answer_t *http, apr_pool_t *p);

/* One call; body NULL: GET, token NULL: without.  As ca_http_ask(). */
apr_status_t vault_call(vault_t *self, const char *path, const char *body, const char *token,
                        apr_time_t deadline, http_answer_t *http, ca_answer_t *answer,
                        const log_sink_t *log, apr_pool_t *p);

/*
 * Posts with a token; with another one where Vault does not take it.  As ca_http_ask(); also
 * without a token answer is a complete CA_RETRY.
 */
apr_status_t vault_ask(vault_t *self, const char *path, const char *body, apr_time_t deadline,
                       http_answer_t *http, ca_answer_t *answer, const log_sink_t *log,
                       apr_pool_t *p);

#endif /* CA_VAULT_H */
