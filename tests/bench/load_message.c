/* SPDX-License-Identifier: Apache-2.0 */
/* Devices and requests of the load generator: see load_message.h. */
#include "load_message.h"

#include <fcntl.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BITS 2048
#define MESSAGE_MAX 65536u

int load_set_name(X509_NAME *name, const char *cn)
{
    return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Load", -1,
                                      -1, 0) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1,
                                      0);
}

/* A self-signed certificate for key; NULL: failed. */
static X509 *self_signed(EVP_PKEY *key, int number)
{
    X509 *cert = X509_new();
    char cn[32];

    snprintf(cn, sizeof(cn), "signer-%d", number);
    if (cert && X509_set_version(cert, X509_VERSION_3) &&
        ASN1_INTEGER_set(X509_get_serialNumber(cert), 1 + number) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
        X509_gmtime_adj(X509_getm_notAfter(cert), 86400 * 7) && X509_set_pubkey(cert, key) &&
        load_set_name(X509_get_subject_name(cert), cn) &&
        load_set_name(X509_get_issuer_name(cert), cn) &&
        X509_sign(cert, key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

/* Makes count keys and writes them; NULL, or an error. */
static const char *make_keys(load_device_t *devices, int count, const char *file)
{
    int i, ok, fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!out)
        return "cannot write the file of keys";
    ok = 1;
    for (i = 0; ok && i < count; i++) {
        devices[i].key = EVP_RSA_gen(KEY_BITS);
        ok = devices[i].key && PEM_write_PrivateKey(out, devices[i].key, NULL, NULL, 0, NULL, NULL);
    }
    if (fclose(out) != 0 || !ok)
        return "cannot make the keys";
    return NULL;
}

const char *load_devices(load_device_t *devices, int count, const char *file)
{
    const char *error = NULL;
    FILE *in = fopen(file, "r");
    int i;

    memset(devices, 0, sizeof(*devices) * (size_t)count);
    for (i = 0; in && i < count; i++) {
        devices[i].key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
        if (!devices[i].key)
            error = "the file of keys holds too few";
    }
    if (in)
        fclose(in);
    else
        error = make_keys(devices, count, file);
    for (i = 0; !error && i < count; i++) {
        devices[i].cert = self_signed(devices[i].key, i);
        if (!devices[i].cert)
            error = "cannot make the signers' certificates";
    }
    return error;
}

void load_devices_free(load_device_t *devices, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        EVP_PKEY_free(devices[i].key);
        X509_free(devices[i].cert);
    }
}

/* ---- GetCACert */

/* Keeps cert where its key usage belongs. */
static void sort_in(load_ra_t *ra, X509 *cert, int only)
{
    uint32_t usage = X509_get_key_usage(cert);
    int is_ca = X509_check_ca(cert) > 0;

    if (is_ca && !ra->ca && X509_up_ref(cert))
        ra->ca = cert;
    if (is_ca && !only)
        return;
    if ((usage & KU_DIGITAL_SIGNATURE) && !ra->signer && X509_up_ref(cert))
        ra->signer = cert;
    if ((usage & KU_KEY_ENCIPHERMENT) && !ra->encrypter && X509_up_ref(cert))
        ra->encrypter = cert;
}

const char *load_ra_parse(load_ra_t *ra, const char *type, const unsigned char *der, size_t len)
{
    const unsigned char *at = der;
    STACK_OF(X509) *certs = NULL;
    CMS_ContentInfo *cms = NULL;
    X509 *cert = NULL;
    int i;

    memset(ra, 0, sizeof(*ra));
    if (strcmp(type, "application/x-x509-ca-cert") == 0) {
        cert = d2i_X509(NULL, &at, (long)len);
        if (cert)
            sort_in(ra, cert, 1);
        X509_free(cert);
    } else if (strcmp(type, "application/x-x509-ca-ra-cert") == 0) {
        cms = d2i_CMS_ContentInfo(NULL, &at, (long)len);
        certs = cms ? CMS_get1_certs(cms) : NULL;
        for (i = 0; i < sk_X509_num(certs); i++)
            sort_in(ra, sk_X509_value(certs, i), 0);
        sk_X509_pop_free(certs, X509_free);
        CMS_ContentInfo_free(cms);
    }
    return ra->signer && ra->encrypter ? NULL : "GetCACert gave no certificates to use";
}

void load_ra_free(load_ra_t *ra)
{
    X509_free(ra->signer);
    X509_free(ra->encrypter);
    X509_free(ra->ca);
}

/* ---- requests */

/* The DER of a new CSR in a BIO; NULL: failed. */
static BIO *make_csr(EVP_PKEY *key, const char *challenge, unsigned long number)
{
    X509_REQ *req = X509_REQ_new();
    BIO *out = BIO_new(BIO_s_mem());
    char cn[48];
    int ok;

    snprintf(cn, sizeof(cn), "device-%08lu.load.example", number);
    ok = req && out && X509_REQ_set_version(req, X509_REQ_VERSION_1) &&
         X509_REQ_set_pubkey(req, key) && load_set_name(X509_REQ_get_subject_name(req), cn) &&
         X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, MBSTRING_ASC,
                                   (const unsigned char *)challenge, -1) &&
         X509_REQ_sign(req, key, EVP_sha256()) > 0 && i2d_X509_REQ_bio(out, req);
    X509_REQ_free(req);
    if (ok)
        return out;
    BIO_free(out);
    return NULL;
}

/* The DER of the envelope of plain to the RA in a BIO; NULL: failed.  Frees plain. */
static BIO *make_envelope(BIO *plain, X509 *recipient)
{
    STACK_OF(X509) *to = sk_X509_new_null();
    CMS_ContentInfo *cms = NULL;
    BIO *out = BIO_new(BIO_s_mem());
    int ok;

    ok = plain && out && to && sk_X509_push(to, recipient) > 0;
    if (ok)
        cms = CMS_encrypt(to, plain, EVP_aes_128_cbc(), CMS_BINARY);
    ok = cms && i2d_CMS_bio(out, cms);
    CMS_ContentInfo_free(cms);
    sk_X509_free(to);
    BIO_free(plain);
    if (ok)
        return out;
    BIO_free(out);
    return NULL;
}

/* The message itself; NULL: failed.  Frees content. */
static CMS_ContentInfo *sign_message(BIO *content, X509 *cert, EVP_PKEY *key,
                                     const load_message_t *message)
{
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_BINARY);
    CMS_SignerInfo *signer = NULL;
    char type[4];
    int ok;

    snprintf(type, sizeof(type), "%d", (int)message->type);
    if (cms)
        signer = CMS_add1_signer(cms, cert, key, EVP_sha256(), CMS_NOSMIMECAP);
    ok = content && signer &&
         CMS_signed_add1_attr_by_txt(signer, LOAD_OID_MESSAGE_TYPE, V_ASN1_PRINTABLESTRING, type,
                                     2) &&
         CMS_signed_add1_attr_by_txt(signer, LOAD_OID_TRANSACTION_ID, V_ASN1_PRINTABLESTRING,
                                     message->transaction_id, LOAD_TRANSACTION_LEN) &&
         CMS_signed_add1_attr_by_txt(signer, LOAD_OID_SENDER_NONCE, V_ASN1_OCTET_STRING,
                                     message->nonce, LOAD_NONCE_LEN) &&
         CMS_final(cms, content, NULL, CMS_BINARY);
    BIO_free(content);
    if (ok)
        return cms;
    CMS_ContentInfo_free(cms);
    return NULL;
}

const char *load_message_names(load_message_t *message)
{
    unsigned char id[LOAD_TRANSACTION_LEN / 2];
    int i;

    if (RAND_bytes(id, sizeof(id)) != 1 || RAND_bytes(message->nonce, LOAD_NONCE_LEN) != 1)
        return "no random bytes";
    for (i = 0; i < (int)sizeof(id); i++)
        snprintf(message->transaction_id + 2 * i, 3, "%02X", id[i]);
    return NULL;
}

const char *load_message_sign(load_message_t *message, BIO *content, X509 *cert, EVP_PKEY *key,
                              const load_ra_t *ra)
{
    CMS_ContentInfo *cms = sign_message(make_envelope(content, ra->encrypter), cert, key, message);
    int len = cms ? i2d_CMS_ContentInfo(cms, &message->der) : -1;

    CMS_ContentInfo_free(cms);
    if (len <= 0)
        return "cannot make a message";
    message->der_len = (size_t)len;
    return NULL;
}

const char *load_message_make(load_message_t *message, const load_device_t *devices, int count,
                              const load_ra_t *ra, const char *challenge, unsigned long number)
{
    const load_device_t *device;
    const char *error;

    memset(message, 0, sizeof(*message));
    message->type = LOAD_PKCS_REQ;
    message->device = (int)(number % (unsigned long)count);
    device = &devices[message->device];
    error = load_message_names(message);
    return error ? error
                 : load_message_sign(message, make_csr(device->key, challenge, number),
                                     device->cert, device->key, ra);
}

int load_message_write(const load_message_t *message, FILE *file)
{
    uint32_t head[3];

    head[0] = (uint32_t)message->device;
    head[1] = (uint32_t)message->der_len;
    head[2] = (uint32_t)message->type;
    return fwrite(head, sizeof(head), 1, file) == 1 &&
           fwrite(message->transaction_id, LOAD_TRANSACTION_LEN, 1, file) == 1 &&
           fwrite(message->nonce, LOAD_NONCE_LEN, 1, file) == 1 &&
           fwrite(message->der, message->der_len, 1, file) == 1;
}

int load_message_read(load_message_t *message, FILE *file)
{
    uint32_t head[3];

    memset(message, 0, sizeof(*message));
    if (fread(head, sizeof(head), 1, file) != 1 || head[1] == 0 || head[1] > MESSAGE_MAX)
        return 0;
    message->device = (int)head[0];
    message->der_len = head[1];
    message->type = (load_type_e)head[2];
    message->der = OPENSSL_malloc(message->der_len);
    if (message->der && fread(message->transaction_id, LOAD_TRANSACTION_LEN, 1, file) == 1 &&
        fread(message->nonce, LOAD_NONCE_LEN, 1, file) == 1 &&
        fread(message->der, message->der_len, 1, file) == 1)
        return 1;
    load_message_free(message);
    return 0;
}

void load_message_free(load_message_t *message)
{
    OPENSSL_free(message->der);
    message->der = NULL;
}
