/* SPDX-License-Identifier: Apache-2.0 */
/* Messages about a certificate that was issued: renewal, poll, queries (see load_message.h). */
#include "load_message.h"

#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <string.h>

/* A CSR with the certificate's subject and key in a BIO; NULL: failed. */
static BIO *make_renewal(X509 *cert, EVP_PKEY *key)
{
    X509_REQ *req = X509_REQ_new();
    BIO *out = BIO_new(BIO_s_mem());

    if (req && out && X509_REQ_set_version(req, X509_REQ_VERSION_1) &&
        X509_REQ_set_pubkey(req, key) &&
        X509_REQ_set_subject_name(req, X509_get_subject_name(cert)) &&
        X509_REQ_sign(req, key, EVP_sha256()) > 0 && i2d_X509_REQ_bio(out, req)) {
        X509_REQ_free(req);
        return out;
    }
    X509_REQ_free(req);
    BIO_free(out);
    return NULL;
}

/* IssuerAndSubject (RFC 8894 section 3.3.3) in a BIO; NULL: failed. */
static BIO *make_poll(X509 *cert)
{
    unsigned char *issuer = NULL, *subject = NULL, head[8], *at = head;
    int issuer_len = i2d_X509_NAME(X509_get_issuer_name(cert), &issuer);
    int subject_len = i2d_X509_NAME(X509_get_subject_name(cert), &subject);
    BIO *out = BIO_new(BIO_s_mem());

    if (out && issuer_len > 0 && subject_len > 0) {
        ASN1_put_object(&at, 1, issuer_len + subject_len, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
        BIO_write(out, head, (int)(at - head));
        BIO_write(out, issuer, issuer_len);
        BIO_write(out, subject, subject_len);
    }
    OPENSSL_free(issuer);
    OPENSSL_free(subject);
    return out;
}

/* IssuerAndSerialNumber in a BIO; NULL: failed. */
static BIO *make_lookup(X509 *cert)
{
    PKCS7_ISSUER_AND_SERIAL *names = PKCS7_ISSUER_AND_SERIAL_new();
    unsigned char *der = NULL;
    int len = 0;
    BIO *out = BIO_new(BIO_s_mem());

    if (out && names && X509_NAME_set(&names->issuer, X509_get_issuer_name(cert)) &&
        ASN1_STRING_copy(names->serial, X509_get_serialNumber(cert)))
        len = i2d_PKCS7_ISSUER_AND_SERIAL(names, &der);
    if (len > 0)
        BIO_write(out, der, len);
    OPENSSL_free(der);
    PKCS7_ISSUER_AND_SERIAL_free(names);
    return out;
}

const char *load_query_make(load_message_t *message, load_type_e type, const load_device_t *devices,
                            const load_ra_t *ra, const load_message_t *issued)
{
    const load_device_t *device = &devices[issued->device];
    const unsigned char *at = issued->der;
    X509 *cert = d2i_X509(NULL, &at, (long)issued->der_len);
    const char *error;

    memset(message, 0, sizeof(*message));
    message->type = type;
    message->device = issued->device;
    error = cert ? load_message_names(message) : "the issued certificate cannot be read";
    if (error) {
        X509_free(cert);
        return error;
    }
    if (type == LOAD_CERT_POLL) {
        /* of the same transaction, by the same signer */
        memcpy(message->transaction_id, issued->transaction_id, sizeof(message->transaction_id));
        error = load_message_sign(message, make_poll(cert), device->cert, device->key, ra);
    } else
        error = load_message_sign(message, type == LOAD_RENEWAL_REQ
                                               ? make_renewal(cert, device->key)
                                               : make_lookup(cert), cert, device->key, ra);
    X509_free(cert);
    ERR_clear_error();
    return error;
}
