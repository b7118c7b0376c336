/* SPDX-License-Identifier: Apache-2.0 */
/* pkcsPKIEnvelope: open and seal (see envelope.h). */
#include "envelope.h"

#include <apr_strings.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/rsa.h>
#include <string.h>

#define MAX_RECIPIENTS 8    /* a key may be tried on each: that many private-key operations */

void scep_envelope_refuse(outcome_t *out, const char *detail, apr_pool_t *p)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_DATA, "envelope",
                   "The enveloped certificate request cannot be opened.", p, "%s", detail);
}

static apr_status_t buf_cleanup(void *data)
{
    crypt_buf_t *buf = data;

    OPENSSL_cleanse((void *)buf->data, buf->len);
    return APR_SUCCESS;
}

static apr_status_t cms_cleanup(void *data)
{
    CMS_ContentInfo_free(data);
    return APR_SUCCESS;
}

/* The cipher of that OID if it may be used, else NULL (allow-list; single DES is never on it). */
static const EVP_CIPHER *allowed_cipher(int nid, unsigned legacy)
{
    switch (nid) {
    case NID_aes_128_cbc: return EVP_aes_128_cbc();
    case NID_aes_192_cbc: return EVP_aes_192_cbc();
    case NID_aes_256_cbc: return EVP_aes_256_cbc();
    case NID_des_ede3_cbc: return legacy & SCEP_LEGACY_3DES ? EVP_des_ede3_cbc() : NULL;
    default: return NULL;
    }
}

/* Reads which cipher the envelope uses. */
static apr_status_t choose_cipher(const EVP_CIPHER **pcipher, const scep_message_t *message,
                                  unsigned legacy, outcome_t *out, apr_pool_t *p)
{
    char oid_text[80];
    const ASN1_OBJECT *oid = NULL;
    cms_enveloped_t *enveloped = cms_decode(ASN1_ITEM_rptr(cms_enveloped_t),
                                            message->envelope.data, message->envelope.len, p);

    if (!enveloped || OBJ_obj2nid(enveloped->type) != NID_pkcs7_enveloped) {
        scep_envelope_refuse(out, "the content is not a CMS EnvelopedData", p);
        return APR_EINVAL;
    }
    if (sk_ASN1_TYPE_num(enveloped->content->recipients) > MAX_RECIPIENTS) {
        scep_envelope_refuse(out, "the envelope has too many recipients", p);
        return APR_EINVAL;
    }
    X509_ALGOR_get0(&oid, NULL, NULL, enveloped->content->encrypted->algor);
    *pcipher = allowed_cipher(OBJ_obj2nid(oid), legacy);
    if (*pcipher)
        return APR_SUCCESS;
    OBJ_obj2txt(oid_text, sizeof(oid_text), oid, 1);
    outcome_refuse(out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "envelope-algorithm",
                   "The content encryption algorithm is not allowed.", p,
                   "content encryption algorithm %s is not allowed", oid_text);
    return APR_EINVAL;
}

/* The envelope as OpenSSL's CMS reads it, owned by p; NULL if it cannot. */
static CMS_ContentInfo *parse(const scep_message_t *message, apr_pool_t *p)
{
    const unsigned char *data = message->envelope.data;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &data, (long)message->envelope.len);

    if (cms)
        apr_pool_cleanup_register(p, cms, cms_cleanup, apr_pool_cleanup_null);
    return cms;
}

/* Whether a recipient of the envelope is named as the owner of that certificate. */
static int is_recipient(CMS_ContentInfo *cms, X509 *cert)
{
    STACK_OF(CMS_RecipientInfo) *infos = CMS_get0_RecipientInfos(cms);
    int i;

    for (i = 0; i < sk_CMS_RecipientInfo_num(infos); i++) {
        CMS_RecipientInfo *info = sk_CMS_RecipientInfo_value(infos, i);

        if (CMS_RecipientInfo_type(info) == CMS_RECIPINFO_TRANS &&
            CMS_RecipientInfo_ktri_cert_cmp(info, cert) == 0)
            return 1;
    }
    return 0;
}

/* Decrypts with one key pair; cert NULL: try the key on every recipient.  1 if that worked. */
static int decrypt(crypt_buf_t *plain, CMS_ContentInfo *cms, EVP_PKEY *key, X509 *cert,
                   apr_pool_t *p)
{
    char *data = NULL;
    long len;
    crypt_buf_t *owned;
    BIO *out = BIO_new(BIO_s_secmem());
    int ok = out && CMS_decrypt(cms, key, cert, NULL, out, CMS_BINARY) == 1;

    if (ok && (len = BIO_get_mem_data(out, &data)) > 0) {
        owned = apr_palloc(p, sizeof(*owned));
        owned->data = apr_pmemdup(p, data, (apr_size_t)len);
        owned->len = (apr_size_t)len;
        apr_pool_cleanup_register(p, owned, buf_cleanup, apr_pool_cleanup_null);
        *plain = *owned;
    }
    BIO_free(out);
    ERR_clear_error();
    return ok && plain->len > 0;
}

/*
 * For envelopes whose recipient is spelled in a way that does not match: the first key that gives
 * a SEQUENCE.
 */
static int decrypt_by_trial(crypt_buf_t *plain, int *pgeneration, const scep_message_t *message,
                            const apr_array_header_t *keys, apr_pool_t *p)
{
    int i;

    for (i = 0; i < keys->nelts; i++) {
        const scep_ra_key_t *ra = &APR_ARRAY_IDX(keys, i, scep_ra_key_t);
        CMS_ContentInfo *cms = parse(message, p);

        plain->len = 0;
        if (cms && decrypt(plain, cms, ra->key, NULL, p) && plain->data[0] == 0x30) {
            *pgeneration = i;
            return 1;
        }
    }
    plain->len = 0;
    return 0;
}

apr_status_t scep_envelope_open(crypt_buf_t *plain, const EVP_CIPHER **pcipher, int *pgeneration,
                                const scep_message_t *message, const scep_service_t *service,
                                outcome_t *out, apr_pool_t *p)
{
    CMS_ContentInfo *cms;
    int i;

    plain->data = NULL;
    plain->len = 0;
    *pcipher = NULL;
    *pgeneration = 0;
    if (message->envelope.len == 0) {
        scep_envelope_refuse(out, "the message holds no envelope", p);
        return APR_EINVAL;
    }
    if (choose_cipher(pcipher, message, service->legacy, out, p) != APR_SUCCESS)
        return APR_EINVAL;
    cms = parse(message, p);
    for (i = 0; cms && i < service->decrypters->nelts; i++) {
        const scep_ra_key_t *ra = &APR_ARRAY_IDX(service->decrypters, i, scep_ra_key_t);

        if (!is_recipient(cms, ra->cert))
            continue;
        *pgeneration = i;
        if (decrypt(plain, cms, ra->key, ra->cert, p))
            return APR_SUCCESS;
        scep_envelope_refuse(out, "decryption with the named RA key failed", p);
        return APR_EINVAL;
    }
    ERR_clear_error();
    if (cms && decrypt_by_trial(plain, pgeneration, message, service->decrypters, p))
        return APR_SUCCESS;
    scep_envelope_refuse(out, "no RA key of this service opens it", p);
    return APR_EINVAL;
}

/* Encrypts plain under a new key; key and parameters go to the caller. */
static apr_status_t encrypt_content(PKCS7_ENC_CONTENT *content, const crypt_buf_t *plain,
                                    const EVP_CIPHER *cipher, unsigned char *key)
{
    unsigned char iv[EVP_MAX_IV_LENGTH];
    unsigned char *data = NULL;
    int len = 0, last = 0;
    apr_status_t rv = APR_EGENERAL;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    ASN1_TYPE *parameter = ASN1_TYPE_new();

    data = OPENSSL_malloc(plain->len + EVP_MAX_BLOCK_LENGTH);
    if (!ctx || !data || !parameter || plain->len > INT_MAX - EVP_MAX_BLOCK_LENGTH ||
        crypt_random(iv, sizeof(iv)) != APR_SUCCESS ||
        EVP_EncryptInit_ex2(ctx, cipher, NULL, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_rand_key(ctx, key) <= 0 ||
        EVP_EncryptInit_ex2(ctx, NULL, key, iv, NULL) != 1 ||
        EVP_CIPHER_param_to_asn1(ctx, parameter) <= 0 ||
        EVP_EncryptUpdate(ctx, data, &len, plain->data, (int)plain->len) != 1 ||
        EVP_EncryptFinal_ex(ctx, data + len, &last) != 1)
        goto leave;
    if (!X509_ALGOR_set0(content->algorithm, OBJ_nid2obj(EVP_CIPHER_get_nid(cipher)),
                         V_ASN1_UNDEF, NULL))
        goto leave;
    ASN1_TYPE_free(content->algorithm->parameter);
    content->algorithm->parameter = parameter;
    parameter = NULL;
    if (!content->enc_data)
        content->enc_data = ASN1_OCTET_STRING_new();
    if (!content->enc_data)
        goto leave;
    ASN1_STRING_set0(content->enc_data, data, len + last);
    data = NULL;
    rv = APR_SUCCESS;

leave:
    ASN1_TYPE_free(parameter);
    OPENSSL_free(data);
    EVP_CIPHER_CTX_free(ctx);
    return rv;
}

/* The content key for the signer: KeyTransRecipientInfo, PKCS #1 v1.5. */
static apr_status_t encrypt_key(PKCS7_RECIP_INFO *info, const unsigned char *key, size_t key_len,
                                const scep_message_t *message)
{
    unsigned char encrypted[2048];
    size_t len = sizeof(encrypted);
    apr_status_t rv = APR_EGENERAL;
    const cert_info_t *cert = message->signer_cert->info;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, message->signer_key, NULL);

    if (ctx && EVP_PKEY_encrypt_init(ctx) > 0 &&
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
        EVP_PKEY_encrypt(ctx, encrypted, &len, key, key_len) > 0 &&
        ASN1_INTEGER_set(info->version, 0) &&
        X509_NAME_set(&info->issuer_and_serial->issuer, cert->issuer) &&
        ASN1_STRING_copy(info->issuer_and_serial->serial, cert->serial) &&
        X509_ALGOR_set0(info->key_enc_algor, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL, NULL) &&
        ASN1_OCTET_STRING_set(info->enc_key, encrypted, (int)len))
        rv = APR_SUCCESS;
    EVP_PKEY_CTX_free(ctx);
    return rv;
}

apr_status_t scep_envelope_seal(crypt_buf_t *sealed, const crypt_buf_t *plain,
                                const EVP_CIPHER *cipher, const scep_message_t *message,
                                apr_pool_t *p)
{
    unsigned char key[EVP_MAX_KEY_LENGTH];
    apr_status_t rv = APR_EGENERAL;
    PKCS7 *p7 = NULL;
    PKCS7_RECIP_INFO *info = NULL;

    sealed->data = NULL;
    sealed->len = 0;
    if (!EVP_PKEY_is_a(message->signer_key, "RSA"))
        return APR_EINVAL;
    ERR_clear_error();
    p7 = PKCS7_new();
    info = PKCS7_RECIP_INFO_new();
    if (!p7 || !info || !PKCS7_set_type(p7, NID_pkcs7_enveloped) ||
        encrypt_content(p7->d.enveloped->enc_data, plain, cipher, key) != APR_SUCCESS ||
        encrypt_key(info, key, (size_t)EVP_CIPHER_get_key_length(cipher), message) != APR_SUCCESS)
        goto leave;
    if (!sk_PKCS7_RECIP_INFO_push(p7->d.enveloped->recipientinfo, info))
        goto leave;
    info = NULL;
    *sealed = cms_encode(ASN1_ITEM_rptr(PKCS7), p7, p);
    if (sealed->data)
        rv = APR_SUCCESS;

leave:
    OPENSSL_cleanse(key, sizeof(key));
    PKCS7_RECIP_INFO_free(info);
    PKCS7_free(p7);
    return rv;
}
