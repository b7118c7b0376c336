/* SPDX-License-Identifier: Apache-2.0 */
/* The answers to the load generator's devices: see load_message.h. */
#include "load_message.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX (1l << 20)

/* Whether the signed attribute oid is exactly these bytes. */
static int attribute_is(CMS_SignerInfo *signer, const char *oid, const void *data, int len)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    int i = CMS_signed_get_attr_by_OBJ(signer, object, -1);
    X509_ATTRIBUTE *attribute = i >= 0 ? CMS_signed_get_attr(signer, i) : NULL;
    ASN1_TYPE *value = attribute ? X509_ATTRIBUTE_get0_type(attribute, 0) : NULL;
    int same = value && (value->type == V_ASN1_PRINTABLESTRING ||
                         value->type == V_ASN1_OCTET_STRING) &&
               ASN1_STRING_length(value->value.asn1_string) == len &&
               memcmp(ASN1_STRING_get0_data(value->value.asn1_string), data, (size_t)len) == 0;

    ASN1_OBJECT_free(object);
    return same;
}

/* The certificate for key that the CA signed among certs; NULL: none. */
static X509 *find_certificate(STACK_OF(X509) *certs, EVP_PKEY *key, X509 *ca)
{
    X509 *cert;
    int i;

    for (i = 0; i < sk_X509_num(certs); i++) {
        cert = sk_X509_value(certs, i);
        if (EVP_PKEY_eq(X509_get0_pubkey(cert), key) == 1 &&
            (!ca || X509_verify(cert, X509_get0_pubkey(ca)) == 1))
            return cert;
    }
    return NULL;
}

/* Verifies and opens the reply; what is in it, NULL with *error set. */
static CMS_ContentInfo *open_reply(CMS_ContentInfo *cms, const load_device_t *device,
                                   const load_ra_t *ra, const char **error)
{
    STACK_OF(X509) *signers = sk_X509_new_null();
    BIO *content = BIO_new(BIO_s_mem()), *plain = BIO_new(BIO_s_mem());
    CMS_ContentInfo *envelope = NULL, *bag = NULL;

    *error = NULL;
    if (!signers || !content || !plain || !sk_X509_push(signers, ra->signer) ||
        CMS_verify(cms, signers, NULL, NULL, content,
                   CMS_NO_SIGNER_CERT_VERIFY | CMS_NOINTERN | CMS_BINARY) != 1)
        *error = "the reply's signature is not the RA's";
    if (!*error)
        envelope = d2i_CMS_bio(content, NULL);
    if (!*error && (!envelope ||
                    CMS_decrypt(envelope, device->key, NULL, NULL, plain, CMS_BINARY) != 1))
        *error = "the reply's envelope does not open";
    if (!*error && (bag = d2i_CMS_bio(plain, NULL)) == NULL)
        *error = "the reply's content cannot be read";
    sk_X509_free(signers);
    CMS_ContentInfo_free(envelope);
    BIO_free(content);
    BIO_free(plain);
    return bag;
}

/* Verifies, opens and reads the reply; NULL, or what is wrong. */
static const char *check_content(CMS_ContentInfo *cms, load_type_e type,
                                 const load_device_t *device, const load_ra_t *ra)
{
    const char *error;
    CMS_ContentInfo *bag = open_reply(cms, device, ra, &error);
    STACK_OF(X509_CRL) *crls = bag ? CMS_get1_crls(bag) : NULL;
    STACK_OF(X509) *certs = bag ? CMS_get1_certs(bag) : NULL;

    if (bag && type == LOAD_GET_CRL) {
        if (sk_X509_CRL_num(crls) != 1 ||
            (ra->ca && X509_CRL_verify(sk_X509_CRL_value(crls, 0), X509_get0_pubkey(ra->ca)) != 1))
            error = "the reply holds no CRL of the CA";
    } else if (bag && !find_certificate(certs, device->key, ra->ca))
        error = "the reply holds no certificate of the CA for the request's key";
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    sk_X509_pop_free(certs, X509_free);
    CMS_ContentInfo_free(bag);
    return error;
}

const char *load_issued_make(load_message_t *issued, const load_message_t *message,
                             const load_device_t *devices, const load_ra_t *ra,
                             const unsigned char *der, size_t len)
{
    const unsigned char *at = der;
    const char *error = "the reply cannot be read";
    const load_device_t *device = &devices[message->device];
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)len);
    CMS_ContentInfo *bag = cms ? open_reply(cms, device, ra, &error) : NULL;
    STACK_OF(X509) *certs = bag ? CMS_get1_certs(bag) : NULL;
    X509 *cert = find_certificate(certs, device->key, ra->ca);
    int size;

    *issued = *message;
    issued->der = NULL;
    size = cert ? i2d_X509(cert, &issued->der) : 0;
    if (size > 0)
        issued->der_len = (size_t)size;
    else if (!error)
        error = "the reply holds no certificate";
    sk_X509_pop_free(certs, X509_free);
    CMS_ContentInfo_free(bag);
    CMS_ContentInfo_free(cms);
    ERR_clear_error();
    return error;
}

/* The message that a CertRep is, with its only signer; NULL with *error set. */
static CMS_ContentInfo *read_reply(const unsigned char *der, size_t len, CMS_SignerInfo **signer,
                                   const char **error)
{
    const unsigned char *at = der;
    CMS_ContentInfo *cms = len <= (size_t)ANSWER_MAX ? d2i_CMS_ContentInfo(NULL, &at, (long)len)
                                                     : NULL;
    STACK_OF(CMS_SignerInfo) *signers = NULL;

    if (cms && OBJ_obj2nid(CMS_get0_type(cms)) == NID_pkcs7_signed)
        signers = CMS_get0_SignerInfos(cms);
    *signer = sk_CMS_SignerInfo_num(signers) == 1 ? sk_CMS_SignerInfo_value(signers, 0) : NULL;
    *error = *signer ? NULL : "the reply is not a SignedData with one signer";
    if (*signer)
        return cms;
    CMS_ContentInfo_free(cms);
    return NULL;
}

/* NULL: the attributes are those of an answer to message; or what is wrong. */
static const char *check_attributes(CMS_SignerInfo *signer, const load_message_t *message)
{
    if (!attribute_is(signer, LOAD_OID_MESSAGE_TYPE, "3", 1))
        return "the reply is not a CertRep";
    if (!attribute_is(signer, LOAD_OID_TRANSACTION_ID, message->transaction_id,
                      LOAD_TRANSACTION_LEN))
        return "the reply has another transactionID";
    if (!attribute_is(signer, LOAD_OID_RECIPIENT_NONCE, message->nonce, LOAD_NONCE_LEN))
        return "the reply's recipientNonce is not the request's senderNonce";
    return NULL;
}

const char *load_reply_check(const load_message_t *message, const load_device_t *devices,
                             const load_ra_t *ra, const unsigned char *der, size_t len,
                             int thorough)
{
    const char *error;
    CMS_SignerInfo *signer;
    CMS_ContentInfo *cms = read_reply(der, len, &signer, &error);

    if (!error)
        error = check_attributes(signer, message);
    if (!error && !attribute_is(signer, LOAD_OID_PKI_STATUS, "0", 1))
        error = "pkiStatus is not SUCCESS";
    if (!error && thorough)
        error = check_content(cms, message->type, &devices[message->device], ra);
    CMS_ContentInfo_free(cms);
    ERR_clear_error();
    return error;
}

/* Verifies a refusal, which has no content; NULL, or what is wrong. */
static const char *check_refusal(CMS_ContentInfo *cms, const load_ra_t *ra)
{
    STACK_OF(X509) *signers = sk_X509_new_null();
    int ok = signers && sk_X509_push(signers, ra->signer) &&
             CMS_verify(cms, signers, NULL, NULL, NULL,
                        CMS_NO_SIGNER_CERT_VERIFY | CMS_NOINTERN | CMS_BINARY) == 1;

    sk_X509_free(signers);
    return ok ? NULL : "the refusal's signature is not the RA's";
}

/* Verifies and opens a SUCCESS; leaf: SHA-256 of its certificate in hex.  NULL, or what is wrong
 * with it. */
static const char *read_leaf(CMS_ContentInfo *cms, const load_device_t *device,
                             const load_ra_t *ra, char *leaf)
{
    const char *error;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int i, size = 0;
    CMS_ContentInfo *bag = open_reply(cms, device, ra, &error);
    STACK_OF(X509) *certs = bag ? CMS_get1_certs(bag) : NULL;
    X509 *cert = find_certificate(certs, device->key, ra->ca);

    if (!error && (!cert || X509_digest(cert, EVP_sha256(), digest, &size) != 1))
        error = "the reply holds no certificate of the CA for the request's key";
    for (i = 0; !error && i < size; i++)
        snprintf(leaf + 2 * i, 3, "%02x", digest[i]);
    sk_X509_pop_free(certs, X509_free);
    CMS_ContentInfo_free(bag);
    return error;
}

const char *load_reply_decide(const load_message_t *message, const load_device_t *devices,
                              const load_ra_t *ra, const unsigned char *der, size_t len,
                              char leaf[LOAD_LEAF_LEN + 1])
{
    const char *error;
    CMS_SignerInfo *signer;
    CMS_ContentInfo *cms = read_reply(der, len, &signer, &error);

    *leaf = '\0';
    if (!error)
        error = check_attributes(signer, message);
    if (!error && attribute_is(signer, LOAD_OID_PKI_STATUS, "0", 1))
        error = read_leaf(cms, &devices[message->device], ra, leaf);
    else if (!error && attribute_is(signer, LOAD_OID_PKI_STATUS, "2", 1))
        error = check_refusal(cms, ra);
    else if (!error)
        error = "pkiStatus is neither SUCCESS nor FAILURE";
    CMS_ContentInfo_free(cms);
    ERR_clear_error();
    return error;
}
