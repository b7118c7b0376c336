/* SPDX-License-Identifier: Apache-2.0 */
/* Revocations that a policy's work asks for, carried out by the service's CA (policy_work_t). */
#ifndef MOD_SCEP_REVOKE_H
#define MOD_SCEP_REVOKE_H

#include "mod_scep_config.h"

/* The baton of policy_work_t. */
typedef struct scep_revoke_t {
    const scep_service_conf_t *service;
    const log_sink_t *log;
    int (*stopping)(void *baton);
    void *baton; /* of stopping */
} scep_revoke_t;

int scep_revoke_stopping(void *revoke);
apr_status_t scep_revoke(void *revoke, const char *issuer, const char *serial, int reason,
                         outcome_t *out, apr_pool_t *p);

#endif /* MOD_SCEP_REVOKE_H */
