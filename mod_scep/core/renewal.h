/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What allows a request: a challenge, or the certificate that its sender has (RFC 8894 sections 2.3
 * to 2.5).
 *
 * The signer counts as ours if its certificate was issued by this service's CA, or by a CA that
 * ScepRenewalCAFile names.  Then the rules of ScepRenewal* decide; if they say no and the request
 * brings a challenge, it is an initial request like any other, but only for the same key or the
 * same subject, and never for a revoked certificate.  All other signers must have the CSR's key.
 */
#ifndef SCEP_RENEWAL_H
#define SCEP_RENEWAL_H

#include "message.h"

typedef struct scep_authorization_t {
    policy_authorization_e by;
    X509 *signer;               /* BY_SIGNER: the certificate in use; else NULL */
    int foreign;                /* it is of ScepRenewalCAFile, not of this service's CA */
    const char *renews;         /* its serial number; "" */
} scep_authorization_t;

/*
 * allowed: SCEP_BY_* of the message's type.  APR_SUCCESS: *authorization.  Otherwise by is
 * POLICY_BY_NOTHING and out says why: REFUSED, or UNAVAILABLE when revocation cannot be known.
 */
apr_status_t scep_authorize(scep_authorization_t *authorization, unsigned allowed,
                            const scep_ctx_t *ctx, const scep_message_t *message,
                            const csr_t *csr, const char *template_name, outcome_t *out);

/* ca_check_signer() by the rules of a service; *foreign: it was good by rules->foreign alone. */
apr_status_t scep_check_signer(int *foreign, ca_t *ca, const scep_renewal_t *rules, X509 *signer,
                               outcome_t *out, const log_sink_t *log, apr_pool_t *p);

#endif /* SCEP_RENEWAL_H */
