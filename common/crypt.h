/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL objects with an owner, and the few primitives that several rooms need.
 *
 * _make: the object is owned by the pool (freed by its cleanup).  get0: borrowed.  Functions clear
 * this thread's OpenSSL error queue before they start and leave it empty or with the cause of the
 * failure they return (log_openssl_errors() drains it).
 */
#ifndef COMMON_CRYPT_H
#define COMMON_CRYPT_H

#include <apr.h>
#include <apr_errno.h>
#include <apr_pools.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

/* Bytes with a length; owned by whoever's pool made them. */
typedef struct crypt_buf_t {
    const unsigned char *data;
    apr_size_t len;
} crypt_buf_t;

/* Hands an object over to p; returns it.  The pool frees it.  NULL is passed through. */
X509 *crypt_x509_own(X509 *cert, apr_pool_t *p);
EVP_PKEY *crypt_pkey_own(EVP_PKEY *key, apr_pool_t *p);
STACK_OF(X509) *crypt_chain_own(STACK_OF(X509) *chain, apr_pool_t *p);  /* and its certificates */

/* All certificates of a PEM file in order; error text for people in p, NULL on success (>= 1). */
const char *crypt_load_certificates(STACK_OF(X509) **pcerts, const char *file, apr_pool_t *p);

/*
 * A private key from a PEM file.  Encrypted keys are refused (no prompt), and so is a file that
 * everybody can read.  The file may hold certificates besides.  Error text in p, NULL on success.
 */
const char *crypt_load_key(EVP_PKEY **pkey, const char *file, apr_pool_t *p);

/* For readers of PEM: there is no passphrase.  baton: an int that becomes 1 when one was asked for,
 * or NULL.  Without it OpenSSL asks at the terminal, whatever the thread. */
int crypt_no_passphrase(char *buf, int size, int writing, void *baton);

/* "RSA-2048", "EC P-256", "Ed25519" ..., for people. */
const char *crypt_key_name(const EVP_PKEY *key, apr_pool_t *p);

/* RFC 2253 one-line name, control characters escaped; "" for an empty name. */
const char *crypt_name_text(const X509_NAME *name, apr_pool_t *p);

/* Upper-case hex of a serial number, at least two digits, even count. */
const char *crypt_serial_text(const ASN1_INTEGER *serial, apr_pool_t *p);

/* Lower-case (or upper-case) hex of len bytes. */
const char *crypt_hex(const void *data, apr_size_t len, int upper, apr_pool_t *p);

/* len random bytes from the CSPRNG.  APR_EGENERAL if it fails: never continue then. */
apr_status_t crypt_random(void *data, apr_size_t len);

/* SHA-256 over n buffers, each preceded by its length as 8 bytes big-endian (no ambiguity). */
apr_status_t crypt_sha256_parts(unsigned char digest[32], const crypt_buf_t *parts, int n);

/* Digest of a certificate's DER; *len set. md e.g. EVP_sha1(). */
apr_status_t crypt_thumbprint(const X509 *cert, const EVP_MD *md,
                              unsigned char digest[EVP_MAX_MD_SIZE], unsigned int *len);

/* HMAC-SHA-256(key, label || 0 || data). */
apr_status_t crypt_hmac_sha256(unsigned char mac[32], const crypt_buf_t *key, const char *label,
                               const void *data, apr_size_t len);

/*
 * NID of the digest that a signature algorithm uses (RSA-PSS: from its parameters), NID_undef for
 * an algorithm that names none (Ed25519, unknown).
 */
int crypt_signature_digest(const X509_ALGOR *algor);

/* Times of a certificate as apr_time_t (64 bit, whole range of GeneralizedTime). */
apr_time_t crypt_asn1_time(const ASN1_TIME *t);

#endif /* COMMON_CRYPT_H */
