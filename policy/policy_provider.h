/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of policy/ share besides the contract: the built-in providers, and their one
 * refusal. */
#ifndef POLICY_PROVIDER_H
#define POLICY_PROVIDER_H

#include "policy.h"

extern const policy_provider_t policy_challenge, policy_none;

/*
 * Refuses a challenge.  What the client sees (text, failInfo, HRESULT) is the same for every
 * reason, so that a guesser learns nothing; reason and detail are for the log.
 */
void policy_refuse_challenge(outcome_t *out, const char *reason, apr_pool_t *p, const char *detail);

#endif /* POLICY_PROVIDER_H */
