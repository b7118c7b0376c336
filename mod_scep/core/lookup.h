/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetCert and GetCRL (RFC 8894 section 3.3.4): what the CA has already made.  Nothing is issued and
 * nothing changes; the answer is SUCCESS, FAILURE or HTTP 503, never PENDING.
 *
 * Both are asked by the IssuerAndSerialNumber of a certificate.  An issuer that is not ours, a
 * serial number that is not known and a certificate that is not the sender's to see are one
 * answer, badCertId.
 */
#ifndef SCEP_LOOKUP_H
#define SCEP_LOOKUP_H

#include "enroll.h"

/*
 * The CA's own certificates go to everybody, as in GetCACert.  One that this service issued goes to
 * whoever signs with its key, or with a certificate in use of this CA (ca_check_signer()).
 * Always sets trace->outcome.  May block: store, CA.
 */
void scep_lookup_cert(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                      const scep_request_t *request, const scep_message_t *message,
                      scep_trace_t *trace);

/*
 * The current CRL goes to everybody.  Only the issuer is looked at, which is the CA whose CRL is
 * wanted, or the issuer of that CA's certificate as older clients read the drafts.  A CRL over
 * 1 MiB is not put into a message: clients fetch it by HTTP.  Always sets trace->outcome.
 */
void scep_lookup_crl(scep_enrollment_t *enrollment, const scep_ctx_t *ctx,
                     const scep_request_t *request, const scep_message_t *message,
                     scep_trace_t *trace);

#endif /* SCEP_LOOKUP_H */
