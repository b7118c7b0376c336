/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole service in one process: the real policy chain on an SQLite store, and a CA and a second
 * policy that answer what a test tells them.  Failures end the test.
 */
#ifndef UNIT_SERVER_FIXTURE_H
#define UNIT_SERVER_FIXTURE_H

#include "fixture.h"
#include "scep_fixture.h"

/* What CA and policy answer, how often they were asked, and what is served. */
typedef struct server_world_t {
    ca_result_e ca;
    int ca_unknown;
    apr_status_t verify, notify;
    outcome_result_e verify_result;
    int submits, verifies, notifies;
    scep_fixture_t *fixture;
    policy_config_t policy_config;
    ca_config_t ca_config;
    const ca_provider_t *ca_provider;
    scep_ctx_t ctx;
} server_world_t;

extern server_world_t world;

/* For tcase_add_checked_fixture() in place of fixture_setup(): all answers are yes. */
void server_fixture_setup(void);

/* A new challenge. */
const char *server_fixture_challenge(void);

/* Has a request answered; body NULL: none. */
scep_response_t *server_fixture_process(int is_post, const char *args, const crypt_buf_t *body);
scep_response_t *server_fixture_post(const crypt_buf_t *message);

/* A good message of the device, with that challenge (NULL: none). */
crypt_buf_t server_fixture_request(const char *challenge);

/* The response must be a CertRep of that pkiStatus; opened for the good device. */
scep_fixture_reply_t *server_fixture_certrep(const scep_response_t *response, const char *status);

#endif /* UNIT_SERVER_FIXTURE_H */
