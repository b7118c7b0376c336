/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ScepAuditLog: one JSON line for each PKIOperation, whatever became of it.  Its members are
 * described in docs/logging.md.
 */
#ifndef MOD_SCEP_AUDIT_H
#define MOD_SCEP_AUDIT_H

#include "mod_scep_config.h"

/* Writes the line of a PKIOperation or of a registration point's call, where the service has an
 * audit log. */
void scep_audit_write(request_rec *r, const scep_service_conf_t *service,
                      const scep_response_t *response);

/* The same for a request that the HTTP status ended before the protocol saw it. */
void scep_audit_early(request_rec *r, const scep_service_conf_t *service, int http_status,
                      const char *reason);

/* Whose a transaction is, for logs: as policy says, else as its challenge is bound; "" unknown. */
void scep_audit_owner(const scep_trace_t *trace, const char **device, const char **user,
                      apr_pool_t *p);

/* A person's revocation of a certificate, done or not. */
typedef struct scep_audit_revocation_t {
    const char *serial, *subject, *transaction_id;
    const char *reason; /* the CRLReason's name */
    const char *text;   /* what the person says about it; "" nothing */
    const outcome_t *outcome;
    int http_status;
} scep_audit_revocation_t;

/* Writes its line. */
void scep_audit_revocation(request_rec *r, const scep_service_conf_t *service,
                           const scep_audit_revocation_t *what);

#endif /* MOD_SCEP_AUDIT_H */
