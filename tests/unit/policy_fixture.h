/* SPDX-License-Identifier: Apache-2.0 */
/* A policy chain on an SQLite store, and requests with real CSRs, for the tests of single
 * providers. */
#ifndef UNIT_POLICY_FIXTURE_H
#define UNIT_POLICY_FIXTURE_H

#include "../../policy/policy.h"
#include "fixture.h"

typedef struct policy_fixture_t {
    apr_pool_t *p;
    log_sink_t *sink;
    policy_config_t cfg;
    policy_t *policy;
    policy_request_t request;
    policy_tx_t *tx;
    outcome_t out;
} policy_fixture_t;

/* For tcase_add_checked_fixture(), with fixture_teardown(): the fixture of the running test, its
 * chain empty. */
void policy_fixture_setup(void);
policy_fixture_t *policy_fixture(void);

/* Appends a built-in provider with words "key=value" ... ended by NULL; the error text. */
const char *policy_fixture_add(const char *name, const char *const *words);

/* A word "key=FILE" with a client certificate (key "certificate") or its key (key "key"). */
const char *policy_fixture_credentials(const char *key);

/* Prepares the chain and sets it up as a child does. */
void policy_fixture_start(void);

/* Makes the request a new one: its CSR holds a challenge unless that is NULL, and extensions as
 * fixture_csr() takes them. */
void policy_fixture_request(const char *challenge, const char *const *extensions);

/* policy_begin() and, when that claims, policy_verify(); the first status that is no success. */
apr_status_t policy_fixture_ask(void);

/* policy_finish(). */
apr_status_t policy_fixture_finish(policy_event_e what);

/* One round of policy_work(); how many news were delivered. */
int policy_fixture_work(void);

#endif /* UNIT_POLICY_FIXTURE_H */
