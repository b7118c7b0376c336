/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the policy "sealed" share: the CMS around a challenge's content.
 *
 * A sealed challenge is one line of base64: DER of CMS SignedData (RFC 5652) by the signing key
 * over CMS EnvelopedData to the encryption key.  Who signed is decided by key alone: there is no
 * chain and no certificate inside.  docs/registration-point.md is the format.
 */
#ifndef POLICY_SEALED_H
#define POLICY_SEALED_H

#include "../common/crypt.h"
#include "../common/outcome.h"

#define SEALED_TEXT_MAX 16384 /* characters of a challenge that are looked at */
#define SEALED_TEXT_MIN 512   /* no sealed one is shorter, and no short one this long */
#define SEALED_GENERATIONS 2  /* current, previous */

/* The keys; read-only once loaded.  A generation that is not there has NULLs. */
typedef struct sealed_keys_t {
    struct {
        X509 *cert;
        EVP_PKEY *key; /* of the current generation only */
    } signer[SEALED_GENERATIONS];
    struct {
        X509 *cert;
        EVP_PKEY *key;
    } opener[SEALED_GENERATIONS];
} sealed_keys_t;

/* Where the keys are; NULL: not given. */
typedef struct sealed_files_t {
    const char *cert[SEALED_GENERATIONS], *key[SEALED_GENERATIONS];
    const char *encryption_cert[SEALED_GENERATIONS], *encryption_key[SEALED_GENERATIONS];
} sealed_files_t;

/*
 * Reads the keys into p.  A key that is not named is in its certificate's file; one pair is for
 * both purposes unless there is one for encryption.  Error text in p for what does not fit (another
 * key, an expired current certificate, a key that cannot decrypt or is too small), NULL on
 * success.
 */
const char *sealed_keys_load(sealed_keys_t *keys, const sealed_files_t *files, apr_pool_t *p);

/* SHA-256 over the current certificates, hex; NULL if that fails. */
const char *sealed_keys_fingerprint(const sealed_keys_t *keys, apr_pool_t *p);

/* Signs and encrypts content by the current keys; *ptext in p.  APR_EGENERAL: OpenSSL failed, see
 * its error queue. */
apr_status_t sealed_make(const char **ptext, const sealed_keys_t *keys, const crypt_buf_t *content,
                         apr_pool_t *p);

/* Whether a challenge can be a sealed one by its look: long, one line of base64, a DER SEQUENCE. */
int sealed_looks(const char *text);

/*
 * Opens a challenge; content is wiped with p.  APR_SUCCESS.  APR_EACCES: it is not one that these
 * keys made; *reason is a reason of outcome_t ("challenge-unknown": not sealed at all,
 * "challenge-signature": not signed by one of ours, "challenge-envelope": signed by ours, but not
 * to be opened), *detail is for the log.
 */
apr_status_t sealed_open(crypt_buf_t *content, const sealed_keys_t *keys, const char *text,
                         const char **reason, const char **detail, apr_pool_t *p);

#endif /* POLICY_SEALED_H */
