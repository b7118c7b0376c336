/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores to test with: an SQLite file per test, and one redis-server per test case, reached by unix
 * socket, TCP and TLS as a user with no more rights than conf-examples gives it.
 */
#ifndef UNIT_STORE_FIXTURE_H
#define UNIT_STORE_FIXTURE_H

#include "../../policy/store/store.h"
#include "fixture.h"
#include <sys/types.h>

typedef enum { KIND_SQLITE, KIND_UNIX, KIND_TCP, KIND_TLS, KIND_COUNT } store_kind_e;

/* What the running redis-server can be reached by. */
typedef struct store_server_t {
    pid_t pid; /* 0: none is running */
    const char *directory;
    const char *socket;
    int port, tls_port;
    const char *ca_file; /* issuer of the server's certificate (for localhost, not 127.0.0.1) */
    const char *other_ca_file; /* a CA that the server does not have */
    const char *password_file, *wrong_password_file;
} store_server_t;

#define STORE_FIXTURE_USER "modscep"

/* For tcase_add_unchecked_fixture(): starts and stops the server.  Without redis-server none is
 * started, and stderr says so. */
void store_fixture_start(void);
void store_fixture_stop(void);
const store_server_t *store_fixture_server(void);

/* A free TCP port of 127.0.0.1. */
int store_fixture_port(void);

/* A configuration for a kind, and the store made, prepared and opened in this process; NULL: no
 * such server. */
store_config_t *store_fixture_config(store_kind_e kind, apr_pool_t *p);
store_t *store_fixture_open(store_kind_e kind, apr_pool_t *p);

/* A store by its configuration, ready in this process. */
store_t *store_fixture_open_config(const store_config_t *cfg, apr_pool_t *p);

/* Sends one command as the server's administrator (redis-cli). */
void store_fixture_admin(const char *command);

#endif /* UNIT_STORE_FIXTURE_H */
