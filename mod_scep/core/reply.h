/* SPDX-License-Identifier: Apache-2.0 */
/* CertRep (RFC 8894 section 3.3.2): the answer to every verified pkiMessage. */
#ifndef SCEP_REPLY_H
#define SCEP_REPLY_H

#include "envelope.h"

/* What a CertRep says; borrowed for the call. */
typedef struct scep_reply_t {
    const scep_message_t *message;      /* what is answered */
    const outcome_t *outcome;           /* SUCCESS, PENDING or REFUSED */
    const crypt_buf_t *certificates;    /* with SUCCESS: DER, leaf first */
    int ncertificates;
    crypt_buf_t crl;                    /* with SUCCESS: instead of certificates; or data NULL */
    scep_envelope_t envelope;           /* how the request came; cipher NULL: AES-128-CBC */
    const char *password;               /* the challenge, for a signer without RSA; NULL: none */
} scep_reply_t;

/*
 * Makes the DER of a signed CertRep in p.  Each call has a new senderNonce, so a repeated answer
 * is not a copy.  Signed with the request's digest, but never with MD5: SHA-1 where that is
 * allowed, else SHA-256.  APR_EINVAL: the signer's key cannot receive an envelope, and there is no
 * password; other: OpenSSL failed.
 */
apr_status_t scep_reply_make(crypt_buf_t *der, const scep_service_t *service,
                             const scep_reply_t *reply, apr_pool_t *p);

#endif /* SCEP_REPLY_H */
