/* SPDX-License-Identifier: Apache-2.0 */
/* What the webhook says and hears: its JSON, apart from the call; docs/policy.md is the format. */
#ifndef POLICY_WEBHOOK_H
#define POLICY_WEBHOOK_H

#include "policy_attributes.h"
#include "policy_provider.h"

/* A peer's answer; texts are bounded and printable. */
typedef struct webhook_verdict_t {
    int allow;
    const char *reason; /* for the log; "" none */
    const char *text;   /* for the device; "" none */
    policy_attributes_t attributes; /* with allow; what the peer adds */
} webhook_verdict_t;

/*
 * The question about a request, JSON in p that is wiped with it.  with_challenge: the challenge may
 * be told; otherwise a CSR that holds it is left out too.  NULL: out is set (the CSR's names cannot
 * be read, or no memory).
 */
const char *webhook_question(const policy_tx_t *tx, int with_challenge, outcome_t *out,
                             apr_pool_t *p);

/* The news of how it ended, by which id they are known, JSON in p; NULL: not worth telling, or no
 * memory. */
const char *webhook_news(const policy_tx_t *tx, const policy_event_t *event, const char *id,
                         apr_pool_t *p);

/* Whether the body of an answer to news is a JSON object with an "allow" that is not true; *verdict
 * has its texts. */
int webhook_forbids(webhook_verdict_t *verdict, const crypt_buf_t *body, apr_pool_t *p);

/*
 * Reads an answer to a question: one JSON object, no name twice, "allow" true or false, "reason"
 * and "text" strings if they are there, and of a yes "attributes" as policy_attributes_read() takes
 * them.  adds: POLICY_ADDS_*, what the peer may add.  Error text in p, NULL on success.
 */
const char *webhook_read(webhook_verdict_t *verdict, const crypt_buf_t *body, unsigned adds,
                         apr_pool_t *p);

#endif /* POLICY_WEBHOOK_H */
