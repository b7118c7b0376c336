/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator's devices: makes PKCSReq messages and reads CertRep answers with OpenSSL's own
 * CMS functions, so that a mistake in the server's parser is not repeated here.
 */
#ifndef LOAD_MESSAGE_H
#define LOAD_MESSAGE_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>

#define LOAD_TRANSACTION_LEN 40
#define LOAD_NONCE_LEN 16
#define LOAD_LEAF_LEN 64

/* The signed attributes, RFC 8894 section 3.2.1 */
#define LOAD_OID_MESSAGE_TYPE "2.16.840.1.113733.1.9.2"
#define LOAD_OID_PKI_STATUS "2.16.840.1.113733.1.9.3"
#define LOAD_OID_SENDER_NONCE "2.16.840.1.113733.1.9.5"
#define LOAD_OID_RECIPIENT_NONCE "2.16.840.1.113733.1.9.6"
#define LOAD_OID_TRANSACTION_ID "2.16.840.1.113733.1.9.7"

/* messageType, RFC 8894 section 3.2.1.2 */
typedef enum {
    LOAD_RENEWAL_REQ = 17,
    LOAD_PKCS_REQ = 19,
    LOAD_CERT_POLL = 20,
    LOAD_GET_CERT = 21,
    LOAD_GET_CRL = 22
} load_type_e;

/* A device's key with the self-signed certificate that signs its messages. */
typedef struct load_device_t {
    EVP_PKEY *key;
    X509 *cert;
} load_device_t;

/* The certificates that GetCACert gave. */
typedef struct load_ra_t {
    X509 *signer, *encrypter, *ca;
} load_ra_t;

/* One request, ready to be sent any number of times; or what one of them got: der is then the
 * certificate. */
typedef struct load_message_t {
    load_type_e type;
    int device;
    char transaction_id[LOAD_TRANSACTION_LEN + 1];
    unsigned char nonce[LOAD_NONCE_LEN];
    unsigned char *der;
    size_t der_len;
} load_message_t;

/* Reads count RSA keys from a PEM file, or makes them and writes it (0600).  NULL, or an error. */
const char *load_devices(load_device_t *devices, int count, const char *file);
void load_devices_free(load_device_t *devices, int count);

/* What a GetCACert answer holds; type is its content type.  NULL, or an error. */
const char *load_ra_parse(load_ra_t *ra, const char *type, const unsigned char *der, size_t len);
void load_ra_free(load_ra_t *ra);

/* Makes the message of enrollment number (its subject and transactionID).  NULL, or an error. */
const char *load_message_make(load_message_t *message, const load_device_t *devices, int count,
                              const load_ra_t *ra, const char *challenge, unsigned long number);

/*
 * Makes another type of message about what an enrollment got (load_issued_make()): a renewal with
 * the same key, a poll of the same transaction, a query for that certificate or for the CRL.
 * NULL, or an error.
 */
const char *load_query_make(load_message_t *message, load_type_e type, const load_device_t *devices,
                            const load_ra_t *ra, const load_message_t *issued);

/* Opens a reply and keeps its certificate with the request's names.  NULL, or an error. */
const char *load_issued_make(load_message_t *issued, const load_message_t *message,
                             const load_device_t *devices, const load_ra_t *ra,
                             const unsigned char *der, size_t len);

/* A random transactionID and nonce; the signed message of content (freed) by that certificate and
 * key.  NULL, or an error. */
const char *load_message_names(load_message_t *message);
const char *load_message_sign(load_message_t *message, BIO *content, X509 *cert, EVP_PKEY *key,
                              const load_ra_t *ra);

/* Sets name to O=Load and that common name; 1: done. */
int load_set_name(X509_NAME *name, const char *cn);

/* Appends to, and reads from, a file of messages.  1: done, 0: not (reading: the end). */
int load_message_write(const load_message_t *message, FILE *file);
int load_message_read(load_message_t *message, FILE *file);
void load_message_free(load_message_t *message);

/*
 * Whether a CertRep is the SUCCESS that message asked for: signed attributes, and where thorough
 * also the signature, the envelope and the certificate or CRL in it.  NULL, or what is wrong with
 * it.
 */
const char *load_reply_check(const load_message_t *message, const load_device_t *devices,
                             const load_ra_t *ra, const unsigned char *der, size_t len,
                             int thorough);

/*
 * What a CertRep decided about message, its signature and envelope opened: leaf is the SHA-256 of
 * the certificate in hex, "" for a refusal.  NULL, or what is wrong with it (PENDING too).
 */
const char *load_reply_decide(const load_message_t *message, const load_device_t *devices,
                              const load_ra_t *ra, const unsigned char *der, size_t len,
                              char leaf[LOAD_LEAF_LEN + 1]);

#endif /* LOAD_MESSAGE_H */
