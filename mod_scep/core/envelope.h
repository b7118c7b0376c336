/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pkcsPKIEnvelope (RFC 8894 section 3.2.2): opening the device's (envelope.c), sealing ours
 * (seal.c).
 *
 * Everything that goes wrong before the CSR's self-signature is verified (key transport, padding,
 * content, that signature) is answered alike: a difference would be an oracle for whoever holds
 * somebody else's envelope (CBC has no integrity), and the challenge is inside.
 */
#ifndef SCEP_ENVELOPE_H
#define SCEP_ENVELOPE_H

#include "algorithm.h"
#include "message.h"

/* How an envelope is made; the reply's is made as the request's was. */
typedef struct scep_envelope_t {
    const EVP_CIPHER *cipher;   /* of the content; NULL: not known, AES-128-CBC */
    scep_transport_t transport; /* of the content key */
    int generation;             /* of the RA pair that the device used; 0: the current */
} scep_envelope_t;

/* The one refusal of an envelope that cannot be opened, also for content that is no CSR. */
void scep_envelope_refuse(outcome_t *out, const char *detail, apr_pool_t *p);

/*
 * Step 3: decrypts message->envelope, EnvelopedData with CBC or AuthEnvelopedData with AES-GCM,
 * with the service's RA keys, found by issuer and serial number or subjectKeyIdentifier, else by
 * trying each.  *how: what it was encrypted with, and the index of the decrypter that it is for,
 * also when that cannot open it.  *plain is owned by p and cleansed with it.
 * APR_EINVAL with out REFUSED: badAlg for a cipher or a key transport that is not allowed (its OID
 * in detail), else scep_envelope_refuse().
 */
apr_status_t scep_envelope_open(crypt_buf_t *plain, scep_envelope_t *how,
                                const scep_message_t *message, const scep_service_t *service,
                                outcome_t *out, apr_pool_t *p);

/*
 * The generation that the envelope is for, by its recipients alone: for the answer to a message
 * that is refused before its envelope is opened.  0 where there is one, or none is named.
 */
int scep_envelope_generation(const scep_message_t *message, const scep_service_t *service,
                             apr_pool_t *p);

/*
 * Envelopes plain as how says: AuthEnvelopedData with GCM; Triple-DES where how says DES, which
 * never goes out; PKCS #1 v1.5 where OAEP does not fit the key.  To the message's signer if its
 * key is RSA, found by its issuer and serial number; else to who knows the password (RFC 8894
 * section 3.1: the challenge).  APR_EINVAL: the key cannot encrypt, and is an RSA-PSS key or
 * password is NULL or empty; APR_EGENERAL: OpenSSL failed.
 */
apr_status_t scep_envelope_seal(crypt_buf_t *sealed, const crypt_buf_t *plain,
                                const scep_envelope_t *how, const char *password,
                                const scep_message_t *message, apr_pool_t *p);

/* Whether scep_envelope_seal() can envelope to that message's signer with that password. */
int scep_envelope_can_seal(const scep_message_t *message, const char *password);

#endif /* SCEP_ENVELOPE_H */
