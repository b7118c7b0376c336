/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a certificate registration point is told and says, apart from the calls;
 * docs/registration-point.md is the format.
 */
#ifndef POLICY_REGISTRATION_POINT_H
#define POLICY_REGISTRATION_POINT_H

#include "../common/http_client.h"
#include "policy_provider.h"

#define REGISTRATION_HEADERS "X-Scep-" /* the answer's headers that mean something */

/*
 * The body of VerifyRequest, JSON in p that is wiped with it: it holds the CSR, and so the
 * challenge.  NULL: no memory.
 */
const char *registration_question(const policy_tx_t *tx, apr_pool_t *p);

/*
 * The body of Notify, likewise; NULL: nobody is told of such an event, the certificate in use
 * cannot be encoded, or no memory.
 */
const char *registration_news(const policy_tx_t *tx, const policy_event_t *event, apr_pool_t *p);

/* Makes out the refusal that the answer "false" is, by its headers where they are well-formed. */
void registration_refuse(outcome_t *out, const http_answer_t *answer, apr_pool_t *p);

/*
 * What the answer "true" adds; allowed: POLICY_ADDS_*.  Error text in p, which quotes nothing of
 * the answer, NULL on success.
 */
const char *registration_attributes(policy_attributes_t *attributes, const http_answer_t *answer,
                                    unsigned allowed, apr_pool_t *p);

/* WinHTTP's number for a call's failure (Microsoft, "Error Messages (Winhttp.h)"). */
int registration_winhttp_error(http_failure_e failure);

#endif /* POLICY_REGISTRATION_POINT_H */
