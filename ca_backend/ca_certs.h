/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates as CAs send them.
 *
 * Each function adds to *pcerts, which is made in p when it is NULL and frees its certificates with
 * p.  APR_EINVAL: this is not what it should be, or has bytes after its end; APR_ENOSPC: there are
 * more than CA_CERTS_MAX.  What was read before stays in *pcerts.
 */
#ifndef CA_CERTS_H
#define CA_CERTS_H

#include "../common/crypt.h"

#define CA_CERTS_MAX 32

/* One certificate, DER. */
apr_status_t ca_certs_add_der(STACK_OF(X509) **pcerts, const void *data, apr_size_t len,
                              apr_pool_t *p);

/* Every CERTIFICATE (also TRUSTED or X509) of a PEM text, at least one; other text is skipped. */
apr_status_t ca_certs_add_pem(STACK_OF(X509) **pcerts, const void *data, apr_size_t len,
                              apr_pool_t *p);

/* The certificates of a SignedData (RFC 5652 section 5, with or without content), at least one. */
apr_status_t ca_certs_add_cms(STACK_OF(X509) **pcerts, const void *data, apr_size_t len,
                              apr_pool_t *p);

/* base64 (RFC 4648 section 4) with white space anywhere; bytes in p.  APR_EINVAL: it is not. */
apr_status_t ca_base64_decode(crypt_buf_t *bytes, const char *text, apr_size_t len, apr_pool_t *p);

/* Has len bytes overwritten with p, since a CSR holds its challenge; returns data. */
void *ca_wiped(void *data, apr_size_t len, apr_pool_t *p);

/* base64 without line ends; overwritten with p, since a CSR holds its challenge. */
const char *ca_base64_encode(const void *data, apr_size_t len, apr_pool_t *p);

/* A CSR's DER as PEM (RFC 7468 section 7), wiped with p: it holds the challenge.  "" if
 * there is no memory. */
const char *ca_csr_pem(const crypt_buf_t *der, apr_pool_t *p);

#endif /* CA_CERTS_H */
