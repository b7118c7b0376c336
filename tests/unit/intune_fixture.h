/* SPDX-License-Identifier: Apache-2.0 */
/* Policy "intune" alone, before a server that plays directory, Graph and Intune. */
#ifndef UNIT_INTUNE_FIXTURE_H
#define UNIT_INTUNE_FIXTURE_H

#include "../../policy/policy_intune.h"
#include "http_fixture.h"
#include "policy_fixture.h"

enum { ROUTE_TOKEN, ROUTE_DISCOVERY, ROUTE_VALIDATE, ROUTE_SUCCESS, ROUTE_FAILURE, ROUTE_PKI };

#define INTUNE_SECRET "s3cret~of the&application="
#define INTUNE_TOKEN \
    "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"T0ken.a-b_c\"}"

typedef struct intune_fixture_t {
    policy_fixture_t *f;
    http_fixture_t *server;
    void *instance;
    policy_tx_t tx;
    store_claim_t claim;
    outcome_t out;
} intune_fixture_t;

/* For tcase_add_checked_fixture(), with fixture_teardown(); all routes say yes. */
void intune_fixture_setup(void);
intune_fixture_t *intune_fixture(void);

/* Creates the provider by the words besides, ended by NULL; the error text. */
const char *intune_fixture_create(const char *const *words);

/* As that, with up to two words, prepared as in a child. */
void intune_fixture_start(const char *word1, const char *word2);

/* What a route says. */
void intune_fixture_route(int route, const char *status, const char *headers, const char *body);
/* ... with HTTP 200. */
void intune_fixture_says(int route, const char *body);

/* reserve, then verify of a transaction that holds the challenge. */
apr_status_t intune_fixture_ask(void);

/* The body of a route's last request as JSON, which goes with the fixture's pool. */
struct json_t *intune_fixture_body(int route);

/* The value of a header of a route's last request; "" if it is not there. */
const char *intune_fixture_header(int route, const char *name);

#endif /* UNIT_INTUNE_FIXTURE_H */
