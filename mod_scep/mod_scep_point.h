/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the registration point's handler share: HTTP is in mod_scep_point.c, the calls
 * are in mod_scep_point_call.c.
 */
#ifndef MOD_SCEP_POINT_H
#define MOD_SCEP_POINT_H

#include "mod_scep_config.h"
#include "../policy/policy_attributes.h"
#include "../policy/policy_point.h"

/* Begins the trace of a call: what its message says, and who the front is (its issuer, a line end,
 * its subject). */
void scep_point_trace(scep_trace_t *trace, int notify, const policy_point_message_t *message,
                      const char *front, apr_pool_t *p);

/*
 * Makes the call for a front and sets trace; trace->outcome is SUCCESS, REFUSED, LIMITED,
 * UNAVAILABLE, or MALFORMED for a Notify whose CSR cannot be read.  May block.
 */
void scep_point_verify(scep_trace_t *trace, policy_attributes_t *attributes, request_rec *r,
                       const scep_service_conf_t *service, const policy_point_message_t *message,
                       const char *front);
void scep_point_notify(scep_trace_t *trace, request_rec *r, const scep_service_conf_t *service,
                       const policy_point_message_t *message, const char *front);

/* Base64url without padding (RFC 4648 section 5). */
const char *scep_point_base64url(const void *data, apr_size_t len, apr_pool_t *p);

/* A text for a header: printable ASCII, at most 200 characters. */
const char *scep_point_text(const char *text, apr_pool_t *p);

#endif /* MOD_SCEP_POINT_H */
