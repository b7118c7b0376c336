/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy "none": allows every request, as NDES does with EnforcePassword=0.  For laboratories, and
 * for services whose CA backend or approval decides.
 */
#include "policy_provider.h"

/* Allows. */
static apr_status_t none_verify(void *instance, const policy_tx_t *tx,
                                policy_attributes_t *attributes, outcome_t *out,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)attributes;
    (void)instance;
    (void)tx;
    (void)out;
    (void)log;
    (void)p;
    return APR_SUCCESS;
}

const policy_provider_t policy_none = {
    .name = "none",
    .warning = "ScepPolicy none: every device that reaches this service gets a certificate for the "
               "name that it asks for, without a challenge",
    .verify = none_verify};
