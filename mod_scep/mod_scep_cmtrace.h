/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ScepPolicyLog: what NDES' policy module (NDESPlugin.log) and the certificate registration point
 * (CRP.log) write about an enrollment, in the format of CMTrace.  Described in docs/logging.md.
 */
#ifndef MOD_SCEP_CMTRACE_H
#define MOD_SCEP_CMTRACE_H

#include "mod_scep_audit.h"

/* Writes the lines of a request that is about an enrollment, where the service has the log. */
void scep_cmtrace_write(request_rec *r, const scep_service_conf_t *service,
                        const scep_response_t *response);

/* The same for a call of a registration point's front. */
void scep_cmtrace_point(request_rec *r, const scep_service_conf_t *service,
                        const scep_response_t *response);

/* A person's revocation. */
void scep_cmtrace_revocation(request_rec *r, const scep_service_conf_t *service,
                             const scep_audit_revocation_t *what);

#endif /* MOD_SCEP_CMTRACE_H */
