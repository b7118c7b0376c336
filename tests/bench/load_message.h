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

/* A device's key with the self-signed certificate that signs its messages. */
typedef struct load_device_t {
    EVP_PKEY *key;
    X509 *cert;
} load_device_t;

/* The certificates that GetCACert gave. */
typedef struct load_ra_t {
    X509 *signer, *encrypter, *ca;
} load_ra_t;

/* One request, ready to be sent any number of times. */
typedef struct load_message_t {
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

/* Appends to, and reads from, a file of messages.  1: done, 0: not (reading: the end). */
int load_message_write(const load_message_t *message, FILE *file);
int load_message_read(load_message_t *message, FILE *file);
void load_message_free(load_message_t *message);

/*
 * Whether a CertRep is the SUCCESS that message asked for: signed attributes, and where thorough
 * also the signature, the envelope and the certificate in it.  NULL, or what is wrong with it.
 */
const char *load_reply_check(const load_message_t *message, const load_device_t *devices,
                             const load_ra_t *ra, const unsigned char *der, size_t len,
                             int thorough);

#endif /* LOAD_MESSAGE_H */
