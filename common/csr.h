/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS#10 (RFC 2986), read without OpenSSL's eager decoding of the public key.
 *
 * d2i_X509_REQ() spends 120 us on OpenSSL 3.0 in the provider decoder; here the
 * SubjectPublicKeyInfo stays an algorithm and a bit string, and the key is made from it once.
 */
#ifndef COMMON_CSR_H
#define COMMON_CSR_H

#include "crypt.h"
#include "outcome.h"

/* SubjectPublicKeyInfo kept as it came (RFC 5280 section 4.1.2.7). */
typedef struct spki_t {
    X509_ALGOR *algor;
    ASN1_BIT_STRING *key;
} spki_t;
DECLARE_ASN1_FUNCTIONS(spki_t)

/*
 * The key of an SPKI.  RSA goes the short way (EVP_PKEY_fromdata), all else through the library.
 * Refuses RSA with a modulus under 512 or over 8192 bits, an even modulus, or an exponent that is
 * even, < 3 or over 64 bits; EC with a curve that is not named; and all but RSA, RSA-PSS, EC,
 * Ed25519 and Ed448.  APR_EINVAL: not a usable key.  The key is owned by p.
 */
apr_status_t spki_key_make(EVP_PKEY **pkey, const spki_t *spki, apr_pool_t *p);

/* Digests of a self-signature that are accepted besides SHA-2. */
#define CSR_ALLOW_SHA1 1u
#define CSR_ALLOW_MD5 2u

/* Which of NDES' three kinds the CSR's keyUsage asks for; both or none is general. */
typedef enum { CSR_USAGE_SIGNATURE, CSR_USAGE_ENCRYPTION, CSR_USAGE_GENERAL } csr_usage_e;

typedef struct csr_t {
    crypt_buf_t der;                /* as it came, without trailing bytes */
    X509_NAME *subject;             /* may be empty */
    const char *subject_text;       /* crypt_name_text() of it */
    spki_t *spki;
    crypt_buf_t spki_der;
    EVP_PKEY *key;
    STACK_OF(X509_EXTENSION) *extensions;   /* requested ones; NULL: none */
    const char *challenge;          /* UTF-8; NULL: absent or empty.  Cleansed with the pool */
    csr_usage_e usage;
    unsigned char digest[32];       /* SHA-256 of der */
} csr_t;

/*
 * Parses and verifies the self-signature (proof of possession, RFC 8894 section 3.3.1).  All is
 * owned by p.  On APR_EINVAL out is a refusal: reason "csr-malformed" (badRequest),
 * "csr-signature" (badMessageCheck), "csr-key" (badAlg), "csr-algorithm" (badAlg) or "weak-key"
 * (badRequest); the last two only when the signature verifies, so they say that the CSR came whole
 * (csr_came_whole()).  der need not outlive the call.  BER is accepted;
 * trailing bytes, a repeated challengePassword or a repeated extension are not.  allow:
 * CSR_ALLOW_* for self-signatures with weak digests.
 */
apr_status_t csr_make(csr_t **pcsr, const crypt_buf_t *der, unsigned allow, outcome_t *out,
                      apr_pool_t *p);

/* Whether csr_make() refused for a reason that shows that the CSR's own signature holds. */
int csr_came_whole(const outcome_t *out);

#endif /* COMMON_CSR_H */
