/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pkcsPKIEnvelope (RFC 8894 section 3.2.2): opening the device's, sealing ours.
 *
 * Everything that goes wrong before the CSR's self-signature is verified (key transport, padding,
 * content, that signature) is answered alike: a difference would be an oracle for whoever holds
 * somebody else's envelope (CBC has no integrity), and the challenge is inside.
 */
#ifndef SCEP_ENVELOPE_H
#define SCEP_ENVELOPE_H

#include "message.h"

/* The one refusal of an envelope that cannot be opened, also for content that is no CSR. */
void scep_envelope_refuse(outcome_t *out, const char *detail, apr_pool_t *p);

/*
 * Step 3: decrypts message->envelope with the service's RA keys, found by issuer and serial
 * number or subjectKeyIdentifier, else by trying each.  *pcipher: what it was encrypted with.
 * *pgeneration: index of the decrypter that it is for, also when that cannot open it; 0 unknown.
 * *plain is owned by p and cleansed with it.  APR_EINVAL with out REFUSED: badAlg for a cipher
 * that is not allowed (its OID in detail), else scep_envelope_refuse().
 */
apr_status_t scep_envelope_open(crypt_buf_t *plain, const EVP_CIPHER **pcipher, int *pgeneration,
                                const scep_message_t *message, const scep_service_t *service,
                                outcome_t *out, apr_pool_t *p);

/*
 * An EnvelopedData of plain for the message's signer (RSA), its key found by the signer's issuer
 * and serial. APR_EINVAL: the signer's key cannot encrypt (not RSA); APR_EGENERAL: OpenSSL
 * failed.
 */
apr_status_t scep_envelope_seal(crypt_buf_t *sealed, const crypt_buf_t *plain,
                                const EVP_CIPHER *cipher, const scep_message_t *message,
                                apr_pool_t *p);

#endif /* SCEP_ENVELOPE_H */
