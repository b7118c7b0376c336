/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full PKI request (CMC, RFC 5272 section 3.2.1) around a device's PKCS#10: what an enrollment
 * agent asks AD CS for on behalf of another subject ([MS-WCCE] section 3.1.1.4.3.3.3).
 */
#ifndef CA_ADCS_CMC_H
#define CA_ADCS_CMC_H

#include "../common/csr.h"

/*
 * PKIData, DER in p: the CSR's bytes as they came, and the template's name twice, as the extension
 * 1.3.6.1.4.1.311.20.2 and as the registration attribute CertificateTemplate.  APR_EINVAL: the name
 * is empty, or no UTF-8 of the Basic Multilingual Plane; APR_EGENERAL: OpenSSL's queue says why.
 */
apr_status_t adcs_pki_data_make(crypt_buf_t *der, const crypt_buf_t *csr,
                                const char *template_name, apr_pool_t *p);

/* The same as SignedData (RFC 5652), signed by the agent with SHA-256; DER in p.  As above. */
apr_status_t adcs_cmc_make(crypt_buf_t *der, const crypt_buf_t *csr, const char *template_name,
                           X509 *agent, EVP_PKEY *key, apr_pool_t *p);

#endif /* CA_ADCS_CMC_H */
