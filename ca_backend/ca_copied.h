/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for CAs that copy the extensions of a CSR into the certificate as they are. */
#ifndef CA_COPIED_H
#define CA_COPIED_H

#include "ca_template.h"

/*
 * Whether a certificate with the CSR's subject and all its extensions is what the template says:
 * key usage and extended key usage are among the template's, alternative names and subject only
 * where the template takes them from the CSR, and besides them nothing but a key identifier,
 * CA:FALSE and S/MIME capabilities.  APR_SUCCESS, or APR_EACCES with a refusal in out, reason
 * "template-extension".
 */
apr_status_t ca_copied_check(const ca_template_t *t, const csr_t *csr, outcome_t *out,
                             apr_pool_t *p);

/* The template's key usage (KU_* bits) for the CSR's kind of key. */
unsigned ca_copied_key_usage(const ca_template_t *t, const csr_t *csr);

/* The template's extended key usages as OIDs in digits, const char * each. */
apr_array_header_t *ca_copied_usages(const ca_template_t *t, apr_pool_t *p);

#endif /* CA_COPIED_H */
