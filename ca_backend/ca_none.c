/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CA backend "none": for a service that is a registration point only.  The CA is that of the
 * fronts; ScepCAChain names it, so that renewals can be checked.  It never signs.
 */
#include "ca_backend.h"
#include <string.h>

static const char *none_create(void **pinstance, const settings_t *settings,
                               const ca_config_t *cfg, apr_pool_t *p)
{
    (void)settings;
    (void)p;
    *pinstance = NULL;
    return cfg->chain_file != NULL ? NULL : "ScepCAChain is missing: the CA of the fronts, which "
                                            "renewals are checked by";
}

static apr_status_t none_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)instance;
    (void)request;
    (void)log;
    memset(answer, 0, sizeof(*answer));
    answer->result = CA_REJECTED;
    outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "no-ca",
                   "This service does not issue certificates.", p, "ScepCABackend none");
    return APR_SUCCESS;
}

const ca_provider_t ca_none_provider = {
    .name = "none", .create = none_create, .submit = none_submit
};
