/* SPDX-License-Identifier: Apache-2.0 */
/* CertRep: encode and sign (RFC 8894 section 3.3.2). */
#include "reply.h"
#include "oid.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <string.h>
#include <time.h>

#define NONCE_LEN 16    /* RFC 8894 section 3.2.1.5 */

/* Appends an attribute with one string value; 0 if that fails. */
static int add_attribute(cms_signer_info_t *signer, ASN1_OBJECT *oid, int type, const void *data,
                         apr_size_t len)
{
    X509_ATTRIBUTE *attribute = NULL;
    int ok = 0;

    if (oid && len <= INT_MAX)
        attribute = X509_ATTRIBUTE_create_by_OBJ(NULL, oid, type, data, (int)len);
    if (attribute && sk_X509_ATTRIBUTE_push(signer->signed_attributes, attribute))
        ok = 1;
    else
        X509_ATTRIBUTE_free(attribute);
    ASN1_OBJECT_free(oid);
    return ok;
}

/* A SCEP attribute with a text as its value. */
static int add_text(cms_signer_info_t *signer, scep_oid_e oid, int type, const char *text)
{
    return add_attribute(signer, scep_oid_make(oid), type, text, strlen(text));
}

/* pkiStatus, RFC 8894 section 3.2.1.3 */
static const char *pki_status(const outcome_t *outcome)
{
    switch (outcome->result) {
    case OUTCOME_SUCCESS: return "0";
    case OUTCOME_PENDING: return "3";
    default: return "2";
    }
}

/* failInfo, its text, and the HRESULT that NDES clients show (szOID_ENROLL_SCEP_ERROR). */
static int add_failure(cms_signer_info_t *signer, const outcome_t *outcome, apr_pool_t *p)
{
    fail_info_e fail_info = outcome->fail_info;

    if (fail_info < FAIL_INFO_BAD_ALG || fail_info > FAIL_INFO_BAD_CERT_ID)
        fail_info = FAIL_INFO_BAD_REQUEST;
    return add_text(signer, SCEP_OID_FAIL_INFO, V_ASN1_PRINTABLESTRING,
                    apr_itoa(p, (int)fail_info)) &&
           (!outcome->text || !*outcome->text ||
            add_text(signer, SCEP_OID_FAIL_INFO_TEXT, V_ASN1_UTF8STRING, outcome->text)) &&
           (outcome->hresult == OUTCOME_HR_NONE ||
            add_text(signer, SCEP_OID_ENROLL_ERROR, V_ASN1_PRINTABLESTRING,
                     apr_itoa(p, outcome->hresult)));
}

/* signingTime (RFC 5652 section 11.3); 0 if that fails. */
static int add_signing_time(cms_signer_info_t *signer)
{
    X509_ATTRIBUTE *attribute = NULL;
    ASN1_TIME *now = ASN1_TIME_set(NULL, time(NULL));

    if (now)
        attribute = X509_ATTRIBUTE_create(NID_pkcs9_signingTime, ASN1_STRING_type(now), now);
    if (!attribute) {
        ASN1_STRING_free(now);
        return 0;
    }
    if (!sk_X509_ATTRIBUTE_push(signer->signed_attributes, attribute)) {
        X509_ATTRIBUTE_free(attribute);
        return 0;
    }
    return 1;
}

/* All signed attributes (RFC 8894 section 3.2.1, RFC 5652 section 11). */
static int add_attributes(cms_signer_info_t *signer, const scep_reply_t *reply, const EVP_MD *md,
                          const crypt_buf_t *content, apr_pool_t *p)
{
    unsigned char nonce[NONCE_LEN], digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    const scep_message_t *message = reply->message;
    ASN1_OBJECT *data_type = OBJ_nid2obj(NID_pkcs7_data);
    X509_ATTRIBUTE *content_type;

    signer->signed_attributes = sk_X509_ATTRIBUTE_new_null();
    if (!signer->signed_attributes || crypt_random(nonce, sizeof(nonce)) != APR_SUCCESS ||
        !EVP_Digest(content->data, content->len, digest, &len, md, NULL))
        return 0;
    content_type = X509_ATTRIBUTE_create(NID_pkcs9_contentType, V_ASN1_OBJECT, data_type);
    if (!content_type || !sk_X509_ATTRIBUTE_push(signer->signed_attributes, content_type)) {
        X509_ATTRIBUTE_free(content_type);
        return 0;
    }
    return add_signing_time(signer) &&
           add_attribute(signer, OBJ_nid2obj(NID_pkcs9_messageDigest), V_ASN1_OCTET_STRING, digest,
                         len) &&
           add_text(signer, SCEP_OID_MESSAGE_TYPE, V_ASN1_PRINTABLESTRING, "3") &&
           add_text(signer, SCEP_OID_PKI_STATUS, V_ASN1_PRINTABLESTRING,
                    pki_status(reply->outcome)) &&
           add_text(signer, SCEP_OID_TRANSACTION_ID, V_ASN1_PRINTABLESTRING,
                    message->transaction_id) &&
           add_attribute(signer, scep_oid_make(SCEP_OID_SENDER_NONCE), V_ASN1_OCTET_STRING, nonce,
                         sizeof(nonce)) &&
           (message->sender_nonce.len == 0 ||
            add_attribute(signer, scep_oid_make(SCEP_OID_RECIPIENT_NONCE), V_ASN1_OCTET_STRING,
                          message->sender_nonce.data, message->sender_nonce.len)) &&
           (reply->outcome->result != OUTCOME_REFUSED || add_failure(signer, reply->outcome, p));
}

/* issuerAndSerialNumber of the signing certificate; 0 if that fails. */
static int set_sid(cms_signer_info_t *signer, X509 *cert)
{
    int ok = 0;
    ASN1_TYPE *sid = NULL;
    PKCS7_ISSUER_AND_SERIAL *ias = PKCS7_ISSUER_AND_SERIAL_new();

    if (ias && X509_NAME_set(&ias->issuer, X509_get_issuer_name(cert)) &&
        ASN1_STRING_copy(ias->serial, X509_get0_serialNumber(cert)))
        sid = ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(PKCS7_ISSUER_AND_SERIAL), ias, NULL);
    if (sid) {
        ASN1_TYPE_free(signer->sid);
        signer->sid = sid;
        ok = 1;
    }
    PKCS7_ISSUER_AND_SERIAL_free(ias);
    return ok;
}

/* Signs the attributes; 0 if that fails. */
static int sign(cms_signer_info_t *signer, EVP_PKEY *key, const EVP_MD *md)
{
    int ok = 0, len, nid = NID_rsaEncryption;
    size_t signature_len = 0;
    unsigned char *der = NULL, *signature = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!EVP_PKEY_is_a(key, "RSA") &&
        !OBJ_find_sigid_by_algs(&nid, EVP_MD_get_type(md), EVP_PKEY_get_base_id(key)))
        goto leave;
    len = ASN1_item_i2d((const ASN1_VALUE *)signer->signed_attributes, &der,
                        ASN1_ITEM_rptr(cms_attributes_der));
    if (len <= 0 || !ctx || EVP_DigestSignInit(ctx, NULL, md, NULL, key) != 1 ||
        EVP_DigestSign(ctx, NULL, &signature_len, der, (size_t)len) != 1 ||
        (signature = OPENSSL_malloc(signature_len)) == NULL ||
        EVP_DigestSign(ctx, signature, &signature_len, der, (size_t)len) != 1)
        goto leave;
    ASN1_STRING_set0(signer->signature, signature, (int)signature_len);
    signature = NULL;
    ok = X509_ALGOR_set0(signer->signature_algor, OBJ_nid2obj(nid),
                         nid == NID_rsaEncryption ? V_ASN1_NULL : V_ASN1_UNDEF, NULL);

leave:
    OPENSSL_free(signature);
    OPENSSL_free(der);
    EVP_MD_CTX_free(ctx);
    return ok;
}

/*
 * A SignedData without a signer.  Without an envelope its content is an empty octet string:
 * absent content is a detached signature to clients that verify with OpenSSL's PKCS7_verify()
 * (certmonger).
 */
static cms_signed_t *make_signed(const crypt_buf_t *content, X509 *cert, const EVP_MD *md,
                                 apr_pool_t *p)
{
    crypt_buf_t der = cms_encode(ASN1_ITEM_rptr(X509), cert, p);
    X509_ALGOR *digest = X509_ALGOR_new();
    ASN1_OCTET_STRING *bytes;
    ASN1_TYPE *value;
    cms_signed_t *cms =
        cms_own(ASN1_item_new(ASN1_ITEM_rptr(cms_signed_t)), ASN1_ITEM_rptr(cms_signed_t), p);

    if (!cms || !digest || !der.data || !ASN1_INTEGER_set(cms->content->version, 1) ||
        !sk_X509_ALGOR_push(cms->content->digests, digest)) {
        X509_ALGOR_free(digest);
        return NULL;
    }
    X509_ALGOR_set_md(digest, md);
    ASN1_OBJECT_free(cms->type);
    cms->type = OBJ_nid2obj(NID_pkcs7_signed);
    ASN1_OBJECT_free(cms->content->encap->type);
    cms->content->encap->type = OBJ_nid2obj(NID_pkcs7_data);
    cms->content->certificates = sk_ASN1_TYPE_new_null();
    if (!cms->content->certificates || !cms_push_sequence(cms->content->certificates, &der))
        return NULL;
    bytes = ASN1_OCTET_STRING_new();
    value = ASN1_TYPE_new();
    if (!bytes || !value || !ASN1_OCTET_STRING_set(bytes, content->data, (int)content->len)) {
        ASN1_OCTET_STRING_free(bytes);
        ASN1_TYPE_free(value);
        return NULL;
    }
    ASN1_TYPE_set(value, V_ASN1_OCTET_STRING, bytes);
    cms->content->encap->content = value;
    return cms;
}

/* Seals certificates or CRL for the device, with SUCCESS only (sections 3.3.2.1 to 3.3.2.3). */
static apr_status_t make_content(crypt_buf_t *content, const scep_reply_t *reply, apr_pool_t *p)
{
    crypt_buf_t degenerate =
        reply->crl.data ? cms_degenerate_crl_make(&reply->crl, p)
                        : cms_degenerate_make(reply->certificates, reply->ncertificates, p);

    if (!degenerate.data)
        return APR_EGENERAL;
    return scep_envelope_seal(content, &degenerate, &reply->envelope, reply->password,
                              reply->message, p);
}

/* The digest to answer with: what the device signed with, and so can verify. */
static const EVP_MD *digest_out(const scep_message_t *message, const scep_service_t *service)
{
    if (!message->digest)
        return EVP_sha256();
    if (EVP_MD_get_type(message->digest) != NID_md5)
        return message->digest;
    return service->legacy & SCEP_LEGACY_SHA1 ? EVP_sha1() : EVP_sha256();
}

apr_status_t scep_reply_make(crypt_buf_t *der, const scep_service_t *service,
                             const scep_reply_t *reply, apr_pool_t *p)
{
    const EVP_MD *md = digest_out(reply->message, service);
    int sealed = reply->outcome->result == OUTCOME_SUCCESS;
    crypt_buf_t content = { (const unsigned char *)"", 0 };
    cms_signed_t *cms;
    cms_signer_info_t *signer;
    const scep_ra_key_t *ra = scep_service_signer(service, reply->envelope.generation);
    apr_status_t rv;

    der->data = NULL;
    der->len = 0;
    ERR_clear_error();
    if (sealed && (rv = make_content(&content, reply, p)) != APR_SUCCESS)
        return rv;
    cms = make_signed(&content, ra->cert, md, p);
    if (!cms)
        return APR_EGENERAL;
    signer = (cms_signer_info_t *)ASN1_item_new(ASN1_ITEM_rptr(cms_signer_info_t));
    if (!signer || !sk_cms_signer_info_t_push(cms->content->signers, signer)) {
        ASN1_item_free((ASN1_VALUE *)signer, ASN1_ITEM_rptr(cms_signer_info_t));
        return APR_EGENERAL;
    }
    X509_ALGOR_set_md(signer->digest, md);
    if (!ASN1_INTEGER_set(signer->version, 1) || !set_sid(signer, ra->cert) ||
        !add_attributes(signer, reply, md, &content, p) || !sign(signer, ra->key, md))
        return APR_EGENERAL;
    *der = cms_encode(ASN1_ITEM_rptr(cms_signed_t), cms, p);
    return der->data ? APR_SUCCESS : APR_EGENERAL;
}
