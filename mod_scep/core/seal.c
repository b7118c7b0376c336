/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Envelopes that go out (see envelope.h).  To a key they are put together here: the signer's
 * certificate may be of X.509 version 1 and self-made, and OpenSSL's CMS would decode it again.
 */
#include "envelope.h"

#include <apr_strings.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/rsa.h>
#include <string.h>

#define GCM_NONCE_LEN 12    /* RFC 5084 section 3.2 */
#define GCM_TAG_LEN 16
#define MAX_IV_LEN (EVP_MAX_IV_LENGTH > GCM_NONCE_LEN ? EVP_MAX_IV_LENGTH : GCM_NONCE_LEN)
/* Who records the answer can try challenges on it; it costs the server a few milliseconds. */
#define PASSWORD_ITERATIONS 10000

/* The parts of EnvelopedData or AuthEnvelopedData that are written. */
typedef struct parts_t {
    ASN1_OBJECT **type;
    ASN1_INTEGER *version;
    cms_any_set_t *recipients;
    cms_encrypted_t *encrypted;
    ASN1_OCTET_STRING *mac;         /* NULL: EnvelopedData */
} parts_t;

/* Whether the cipher authenticates what it encrypts. */
static int is_gcm(const EVP_CIPHER *cipher)
{
    return EVP_CIPHER_get_mode(cipher) == EVP_CIPH_GCM_MODE;
}

/* What to encrypt with when the request came by that cipher. */
static const EVP_CIPHER *cipher_out(const EVP_CIPHER *cipher)
{
    if (!cipher)
        return EVP_aes_128_cbc();
    return EVP_CIPHER_get_nid(cipher) == NID_des_cbc ? EVP_des_ede3_cbc() : cipher;
}

/* GCMParameters as an algorithm's parameter; NULL if out of memory. */
static ASN1_TYPE *gcm_parameter(const unsigned char *nonce)
{
    ASN1_TYPE *parameter = NULL;
    cms_gcm_t *gcm = (cms_gcm_t *)ASN1_item_new(ASN1_ITEM_rptr(cms_gcm_t));

    if (gcm && ASN1_OCTET_STRING_set(gcm->nonce, nonce, GCM_NONCE_LEN) &&
        ASN1_INTEGER_set(gcm->tag_len, GCM_TAG_LEN))
        parameter = ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(cms_gcm_t), gcm, NULL);
    ASN1_item_free((ASN1_VALUE *)gcm, ASN1_ITEM_rptr(cms_gcm_t));
    return parameter;
}

/* The initialization vector as the cipher's parameter; NULL if that fails. */
static ASN1_TYPE *make_parameter(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
                                 const unsigned char *iv)
{
    ASN1_TYPE *parameter;

    if (is_gcm(cipher))
        return gcm_parameter(iv);
    parameter = ASN1_TYPE_new();
    if (parameter && EVP_CIPHER_param_to_asn1(ctx, parameter) <= 0) {
        ASN1_TYPE_free(parameter);
        parameter = NULL;
    }
    return parameter;
}

/* Sets the tag of what was encrypted; 0 if that fails.  Nothing to do but with GCM. */
static int set_mac(ASN1_OCTET_STRING *mac, EVP_CIPHER_CTX *ctx)
{
    unsigned char tag[GCM_TAG_LEN];

    if (!mac)
        return 1;
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag) > 0 &&
           ASN1_OCTET_STRING_set(mac, tag, sizeof(tag));
}

/* Encrypts plain under a new key, which goes to the caller. */
static apr_status_t encrypt_content(const parts_t *parts, const crypt_buf_t *plain,
                                    const EVP_CIPHER *cipher, unsigned char *key)
{
    unsigned char iv[MAX_IV_LEN];
    unsigned char *data = NULL;
    int len = 0, last = 0;
    apr_status_t rv = APR_EGENERAL;
    cms_encrypted_t *encrypted = parts->encrypted;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    ASN1_TYPE *parameter = NULL;

    data = OPENSSL_malloc(plain->len + EVP_MAX_BLOCK_LENGTH);
    encrypted->content = ASN1_OCTET_STRING_new();
    if (!ctx || !data || !encrypted->content || plain->len > INT_MAX - EVP_MAX_BLOCK_LENGTH ||
        crypt_random(iv, sizeof(iv)) != APR_SUCCESS ||
        EVP_EncryptInit_ex2(ctx, cipher, NULL, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_rand_key(ctx, key) <= 0 ||
        EVP_EncryptInit_ex2(ctx, NULL, key, iv, NULL) != 1 ||
        (parameter = make_parameter(ctx, cipher, iv)) == NULL ||
        EVP_EncryptUpdate(ctx, data, &len, plain->data, (int)plain->len) != 1 ||
        EVP_EncryptFinal_ex(ctx, data + len, &last) != 1 || !set_mac(parts->mac, ctx))
        goto leave;
    if (!X509_ALGOR_set0(encrypted->algor, OBJ_nid2obj(EVP_CIPHER_get_nid(cipher)), V_ASN1_UNDEF,
                         NULL))
        goto leave;
    ASN1_TYPE_free(encrypted->algor->parameter);
    encrypted->algor->parameter = parameter;
    parameter = NULL;
    ASN1_STRING_set0(encrypted->content, data, len + last);
    data = NULL;
    rv = APR_SUCCESS;

leave:
    ASN1_TYPE_free(parameter);
    OPENSSL_free(data);
    EVP_CIPHER_CTX_free(ctx);
    return rv;
}

/* PKCS #1 v1.5 instead of OAEP where a key of key_len does not fit in the latter. */
static scep_transport_t transport_out(const scep_transport_t *wanted, const EVP_PKEY *pkey,
                                      size_t key_len)
{
    scep_transport_t transport = { NULL, NULL };
    size_t need;

    if (wanted->oaep) {
        /* RFC 8017 section 7.1.1 */
        need = key_len + 2 * (size_t)EVP_MD_get_size(wanted->oaep) + 2;
        if (need <= (size_t)EVP_PKEY_get_size(pkey))
            transport = *wanted;
    }
    return transport;
}

/* Sets a context up for that transport; 0 if that fails. */
static int set_transport(EVP_PKEY_CTX *ctx, const scep_transport_t *transport)
{
    if (EVP_PKEY_encrypt_init(ctx) <= 0)
        return 0;
    if (!transport->oaep)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(ctx, transport->oaep) > 0 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, transport->mgf1) > 0;
}

/* The content key for the signer: KeyTransRecipientInfo by issuer and serial number. */
static apr_status_t encrypt_key(cms_any_set_t *recipients, const unsigned char *key, size_t key_len,
                                const scep_transport_t *wanted, const scep_message_t *message,
                                apr_pool_t *p)
{
    unsigned char encrypted[2048];
    size_t len = sizeof(encrypted);
    apr_status_t rv = APR_EGENERAL;
    crypt_buf_t der;
    const cert_info_t *cert = message->signer_cert->info;
    scep_transport_t transport = transport_out(wanted, message->signer_key, key_len);
    cms_key_trans_t *info = (cms_key_trans_t *)ASN1_item_new(ASN1_ITEM_rptr(cms_key_trans_t));
    PKCS7_ISSUER_AND_SERIAL *ias = PKCS7_ISSUER_AND_SERIAL_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, message->signer_key, NULL);

    if (!ctx || !info || !ias || !set_transport(ctx, &transport) ||
        EVP_PKEY_encrypt(ctx, encrypted, &len, key, key_len) <= 0 ||
        !ASN1_INTEGER_set(info->version, 0) || !X509_NAME_set(&ias->issuer, cert->issuer) ||
        !ASN1_STRING_copy(ias->serial, cert->serial) ||
        !ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(PKCS7_ISSUER_AND_SERIAL), ias, &info->rid) ||
        !scep_transport_write(&transport, info->algor) ||
        !ASN1_OCTET_STRING_set(info->key, encrypted, (int)len))
        goto leave;
    der = cms_encode(ASN1_ITEM_rptr(cms_key_trans_t), info, p);
    if (der.data && cms_push_sequence(recipients, &der))
        rv = APR_SUCCESS;

leave:
    EVP_PKEY_CTX_free(ctx);
    PKCS7_ISSUER_AND_SERIAL_free(ias);
    ASN1_item_free((ASN1_VALUE *)info, ASN1_ITEM_rptr(cms_key_trans_t));
    return rv;
}

/* An empty envelope of that item, owned by p, and its parts; NULL if out of memory. */
static void *make_empty(parts_t *parts, int gcm, apr_pool_t *p)
{
    cms_enveloped_t *plain;
    cms_auth_enveloped_t *authenticated;

    if (gcm) {
        authenticated = cms_own(ASN1_item_new(ASN1_ITEM_rptr(cms_auth_enveloped_t)),
                                ASN1_ITEM_rptr(cms_auth_enveloped_t), p);
        if (!authenticated)
            return NULL;
        parts->type = &authenticated->type;
        parts->version = authenticated->content->version;
        parts->recipients = authenticated->content->recipients;
        parts->encrypted = authenticated->content->encrypted;
        parts->mac = authenticated->content->mac;
        return authenticated;
    }
    plain = cms_own(ASN1_item_new(ASN1_ITEM_rptr(cms_enveloped_t)),
                    ASN1_ITEM_rptr(cms_enveloped_t), p);
    if (!plain)
        return NULL;
    parts->type = &plain->type;
    parts->version = plain->content->version;
    parts->recipients = plain->content->recipients;
    parts->encrypted = plain->content->encrypted;
    parts->mac = NULL;
    return plain;
}

/* Envelopes to the signer's RSA key. */
static apr_status_t seal_to_key(crypt_buf_t *sealed, const crypt_buf_t *plain,
                                const EVP_CIPHER *cipher, const scep_transport_t *transport,
                                const scep_message_t *message, apr_pool_t *p)
{
    unsigned char key[EVP_MAX_KEY_LENGTH];
    int gcm = is_gcm(cipher);
    size_t key_len = (size_t)EVP_CIPHER_get_key_length(cipher);
    apr_status_t rv = APR_EGENERAL;
    parts_t parts;
    void *cms = make_empty(&parts, gcm, p);

    if (!cms || !ASN1_INTEGER_set(parts.version, 0) ||
        encrypt_content(&parts, plain, cipher, key) != APR_SUCCESS ||
        encrypt_key(parts.recipients, key, key_len, transport, message, p) != APR_SUCCESS)
        goto leave;
    ASN1_OBJECT_free(*parts.type);
    *parts.type = OBJ_nid2obj(gcm ? NID_id_smime_ct_authEnvelopedData : NID_pkcs7_enveloped);
    ASN1_OBJECT_free(parts.encrypted->type);
    parts.encrypted->type = OBJ_nid2obj(NID_pkcs7_data);
    *sealed = cms_encode(gcm ? ASN1_ITEM_rptr(cms_auth_enveloped_t)
                             : ASN1_ITEM_rptr(cms_enveloped_t), cms, p);
    if (sealed->data)
        rv = APR_SUCCESS;

leave:
    OPENSSL_cleanse(key, sizeof(key));
    return rv;
}

/* The CBC cipher that wraps the content key: PWRI-KEK (RFC 3211 section 2.3) is made of CBC. */
static const EVP_CIPHER *wrapping_cipher(const EVP_CIPHER *cipher)
{
    if (!is_gcm(cipher))
        return cipher;
    switch (EVP_CIPHER_get_key_length(cipher)) {
    case 16: return EVP_aes_128_cbc();
    case 24: return EVP_aes_192_cbc();
    default: return EVP_aes_256_cbc();
    }
}

/* Envelopes to who knows the password: PasswordRecipientInfo, RFC 5652 section 6.2.4. */
static apr_status_t seal_to_password(crypt_buf_t *sealed, const crypt_buf_t *plain,
                                     const EVP_CIPHER *cipher, const char *password, apr_pool_t *p)
{
    char *data = NULL;
    long len;
    apr_status_t rv = APR_EGENERAL;
    size_t password_len = strlen(password);
    /* the library takes it over, and cleanses it */
    unsigned char *copy = OPENSSL_memdup(password, password_len);
    BIO *in = BIO_new_mem_buf(plain->data, (int)plain->len), *out = BIO_new(BIO_s_mem());
    CMS_ContentInfo *cms = is_gcm(cipher) ? CMS_AuthEnvelopedData_create(cipher)
                                          : CMS_EnvelopedData_create(cipher);

    if (!copy || !in || !out || !cms || !CMS_set_detached(cms, 0) ||
        !CMS_add0_recipient_password(cms, PASSWORD_ITERATIONS, NID_id_alg_PWRI_KEK, NID_id_pbkdf2,
                                     copy, (ossl_ssize_t)password_len, wrapping_cipher(cipher)))
        goto leave;
    copy = NULL;
    if (!CMS_final(cms, in, NULL, CMS_BINARY) || !i2d_CMS_bio(out, cms) ||
        (len = BIO_get_mem_data(out, &data)) <= 0)
        goto leave;
    sealed->data = apr_pmemdup(p, data, (apr_size_t)len);
    sealed->len = (apr_size_t)len;
    rv = APR_SUCCESS;

leave:
    OPENSSL_clear_free(copy, password_len);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    BIO_free(out);
    return rv;
}

int scep_envelope_can_seal(const scep_message_t *message, const char *password)
{
    const EVP_PKEY *key = message->signer_key;

    /* RSA-PSS keys are not answered: no template would certify one */
    return EVP_PKEY_is_a(key, "RSA") ||
           (password && *password && !EVP_PKEY_is_a(key, "RSA-PSS"));
}

apr_status_t scep_envelope_seal(crypt_buf_t *sealed, const crypt_buf_t *plain,
                                const scep_envelope_t *how, const char *password,
                                const scep_message_t *message, apr_pool_t *p)
{
    const EVP_CIPHER *cipher = cipher_out(how->cipher);

    sealed->data = NULL;
    sealed->len = 0;
    if (!scep_envelope_can_seal(message, password) || plain->len > INT_MAX)
        return APR_EINVAL;
    ERR_clear_error();
    if (EVP_PKEY_is_a(message->signer_key, "RSA"))
        return seal_to_key(sealed, plain, cipher, &how->transport, message, p);
    return seal_to_password(sealed, plain, cipher, password, p);
}
