/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer of AD CS means, whichever way it was asked. */
#ifndef CA_ADCS_ANSWER_H
#define CA_ADCS_ANSWER_H

#include "ca_http.h"

/*
 * The CA (or the service before it) failed by an HRESULT.  CA_REJECTED with this HRESULT for what
 * asking again does not cure: reason "ca-not-published", "ca-permission", "ca-validity",
 * "ca-agent", "ca-denied" or "ca-rejected".  CA_RETRY, "ca-unavailable", where the CA cannot decide
 * now.  One that is not known is a refusal if denied says so, else CA_RETRY with unknown.  text:
 * the CA's words, "" none; where: who said it, for the log.
 */
void adcs_failed(ca_answer_t *answer, apr_int32_t hresult, int denied, const char *text,
                 const char *where, apr_pool_t *p);

/*
 * Whether each certificate of certs for the CSR's key has a subject made of what the CSR asks for:
 * AD CS may leave parts out and order them anew, but a template that builds the subject from the
 * directory would give every device a certificate in the name of our account.  Error text in p,
 * NULL if so.
 */
const char *adcs_check_subject(STACK_OF(X509) *certs, const csr_t *csr, apr_pool_t *p);

#endif /* CA_ADCS_ANSWER_H */
