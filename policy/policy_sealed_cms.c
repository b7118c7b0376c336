/* SPDX-License-Identifier: Apache-2.0 */
/* The CMS of sealed challenges; see policy_sealed.h. */
#include "policy_sealed.h"
#include "../common/base64.h"
#include <apr_strings.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#define FLAGS (CMS_BINARY | CMS_PARTIAL)

/* Pool cleanup: overwrites what was opened. */
static apr_status_t wipe(void *data)
{
    crypt_buf_t *buf = data;

    OPENSSL_cleanse((void *)buf->data, buf->len);
    return APR_SUCCESS;
}

/* Sets RSA-OAEP with SHA-256 for a recipient that was just added. */
static int use_oaep(CMS_RecipientInfo *recipient)
{
    EVP_PKEY_CTX *ctx = recipient ? CMS_RecipientInfo_get0_pkey_ctx(recipient) : NULL;

    return ctx && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0;
}

/* EnvelopedData of content to cert; NULL if that fails.  The caller frees. */
static CMS_ContentInfo *envelop(X509 *cert, const crypt_buf_t *content)
{
    BIO *in = BIO_new_mem_buf(content->data, (int)content->len);
    CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(), FLAGS);
    int done = in && cms && use_oaep(CMS_add1_recipient_cert(cms, cert, CMS_KEY_PARAM)) &&
               CMS_final(cms, in, NULL, CMS_BINARY);

    BIO_free(in);
    if (!done) {
        CMS_ContentInfo_free(cms);
        cms = NULL;
    }
    return cms;
}

/* SignedData over der, without certificates; NULL if that fails.  The caller frees. */
static CMS_ContentInfo *sign(X509 *cert, EVP_PKEY *key, const unsigned char *der, int len)
{
    BIO *in = BIO_new_mem_buf(der, len);
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, FLAGS);
    int done = in && cms &&
               CMS_add1_signer(cms, cert, key, EVP_sha256(),
                               FLAGS | CMS_NOCERTS | CMS_NOSMIMECAP) &&
               CMS_final(cms, in, NULL, CMS_BINARY);

    BIO_free(in);
    if (!done) {
        CMS_ContentInfo_free(cms);
        cms = NULL;
    }
    return cms;
}

apr_status_t sealed_make(const char **ptext, const sealed_keys_t *keys, const crypt_buf_t *content,
                         apr_pool_t *p)
{
    CMS_ContentInfo *inner, *outer = NULL;
    unsigned char *der = NULL, *whole = NULL;
    char *text;
    int len, done = 0;

    ERR_clear_error();
    *ptext = NULL;
    inner = envelop(keys->opener[0].cert, content);
    len = inner ? i2d_CMS_ContentInfo(inner, &der) : -1;
    if (len > 0)
        outer = sign(keys->signer[0].cert, keys->signer[0].key, der, len);
    len = outer ? i2d_CMS_ContentInfo(outer, &whole) : -1;
    if (len > 0 && (len + 2) / 3 * 4 <= SEALED_TEXT_MAX) {
        text = apr_palloc(p, (apr_size_t)(len + 2) / 3 * 4 + 1);
        done = EVP_EncodeBlock((unsigned char *)text, whole, len) > 0;
        *ptext = text;
    }
    OPENSSL_free(der);
    OPENSSL_free(whole);
    CMS_ContentInfo_free(inner);
    CMS_ContentInfo_free(outer);
    return done ? APR_SUCCESS : APR_EGENERAL;
}

int sealed_looks(const char *text)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    apr_size_t len = strlen(text), body;

    if (len < SEALED_TEXT_MIN || len > SEALED_TEXT_MAX || len % 4 || text[0] != 'M')
        return 0;
    body = strspn(text, alphabet);
    return body == len || (body + 1 == len && text[body] == '=') ||
           (body + 2 == len && text[body] == '=' && text[body + 1] == '=');
}

/* The bytes of base64 that sealed_looks() liked; len 0 if there are none. */
static crypt_buf_t decode(const char *text, apr_pool_t *p)
{
    crypt_buf_t der;

    base64_decode(&der, text, strlen(text), 0, p);
    return der;
}

/* A ContentInfo of that type that fills der wholly; NULL: it is none.  The caller frees. */
static CMS_ContentInfo *parse(const crypt_buf_t *der, int type)
{
    const unsigned char *next = der->data;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &next, (long)der->len);

    if (cms && (next != der->data + der->len || OBJ_obj2nid(CMS_get0_type(cms)) != type)) {
        CMS_ContentInfo_free(cms);
        cms = NULL;
    }
    return cms;
}

/* Whether nothing but one signature is in it; else *detail. */
static int is_bare(CMS_ContentInfo *cms, const char **detail)
{
    STACK_OF(X509) *certs = CMS_get1_certs(cms);
    STACK_OF(X509_CRL) *crls = CMS_get1_crls(cms);
    int extra = sk_X509_num(certs) > 0 || sk_X509_CRL_num(crls) > 0;

    sk_X509_pop_free(certs, X509_free);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    if (extra)
        *detail = "there are certificates or CRLs in it";
    else if (sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(cms)) != 1)
        *detail = "it does not have one signer";
    else if (OBJ_obj2nid(CMS_get0_eContentType(cms)) != NID_pkcs7_data || CMS_is_detached(cms))
        *detail = "its content is missing or of another type";
    else
        return 1;
    return 0;
}

/* The configured certificate that the signature names; NULL with *detail set: none of them. */
static X509 *signer_of(CMS_SignerInfo *info, const sealed_keys_t *keys, const char **detail)
{
    X509_ALGOR *digest = NULL;
    int i;

    CMS_SignerInfo_get0_algs(info, NULL, NULL, &digest, NULL);
    if (!digest || OBJ_obj2nid(digest->algorithm) != NID_sha256 ||
        CMS_signed_get_attr_count(info) < 1 || CMS_unsigned_get_attr_count(info) > 0) {
        *detail = "its signature is not of the kind that is made here";
        return NULL;
    }
    for (i = 0; i < SEALED_GENERATIONS; i++) {
        if (keys->signer[i].cert && CMS_SignerInfo_cert_cmp(info, keys->signer[i].cert) == 0)
            return keys->signer[i].cert;
    }
    *detail = "it names another signer than the configured certificate";
    return NULL;
}

/* What is signed, to be freed by the caller; NULL with *detail set: no signature of ours. */
static BIO *verify(CMS_ContentInfo *cms, const sealed_keys_t *keys, const char **detail)
{
    STACK_OF(X509) *ours = sk_X509_new_null();
    BIO *out = BIO_new(BIO_s_mem());
    X509 *cert = NULL;
    int good = 0;

    if (is_bare(cms, detail))
        cert = signer_of(sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(cms), 0), keys, detail);
    if (cert) {
        *detail = "its signature does not verify";
        good = out && ours && sk_X509_push(ours, cert) &&
               CMS_verify(cms, ours, NULL, NULL, out,
                          CMS_BINARY | CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY) == 1;
    }
    sk_X509_free(ours);
    if (!good) {
        BIO_free(out);
        out = NULL;
    }
    return out;
}

/* The generation that the only recipient is of; -1: none, or another algorithm. */
static int generation_of(CMS_ContentInfo *cms, const sealed_keys_t *keys)
{
    STACK_OF(CMS_RecipientInfo) *all = CMS_get0_RecipientInfos(cms);
    CMS_RecipientInfo *info = sk_CMS_RecipientInfo_num(all) == 1
                                  ? sk_CMS_RecipientInfo_value(all, 0) : NULL;
    X509_ALGOR *algor = NULL;
    int i;

    if (!info || CMS_RecipientInfo_type(info) != CMS_RECIPINFO_TRANS ||
        !CMS_RecipientInfo_ktri_get0_algs(info, NULL, NULL, &algor) || !algor ||
        OBJ_obj2nid(algor->algorithm) != NID_rsaesOaep)
        return -1;
    for (i = 0; i < SEALED_GENERATIONS; i++) {
        if (keys->opener[i].cert &&
            CMS_RecipientInfo_ktri_cert_cmp(info, keys->opener[i].cert) == 0)
            return i;
    }
    return -1;
}

/* Decrypts what a signature of ours covers; whether that worked. */
static int open_envelope(crypt_buf_t *content, const sealed_keys_t *keys, BIO *signed_content,
                         apr_pool_t *p)
{
    BIO *out = BIO_new(BIO_s_mem());
    crypt_buf_t der, *wiped;
    CMS_ContentInfo *cms;
    char *bytes;
    long len;
    int i, done;

    len = BIO_get_mem_data(signed_content, &bytes);
    der.data = (const unsigned char *)bytes;
    der.len = len > 0 ? (apr_size_t)len : 0;
    cms = parse(&der, NID_pkcs7_enveloped);
    i = cms ? generation_of(cms, keys) : -1;
    done = out && i >= 0 &&
           CMS_decrypt(cms, keys->opener[i].key, keys->opener[i].cert, NULL, out, CMS_BINARY) == 1;
    len = out ? BIO_get_mem_data(out, &bytes) : 0;
    if (done && len > 0) {
        wiped = apr_palloc(p, sizeof(*wiped));
        wiped->data = apr_pmemdup(p, bytes, (apr_size_t)len);
        wiped->len = (apr_size_t)len;
        apr_pool_cleanup_register(p, wiped, wipe, apr_pool_cleanup_null);
        *content = *wiped;
        OPENSSL_cleanse(bytes, (apr_size_t)len);
    }
    BIO_free(out);
    CMS_ContentInfo_free(cms);
    return done && len > 0;
}

apr_status_t sealed_open(crypt_buf_t *content, const sealed_keys_t *keys, const char *text,
                         const char **reason, const char **detail, apr_pool_t *p)
{
    CMS_ContentInfo *cms = NULL;
    BIO *signed_content = NULL;
    crypt_buf_t der = {NULL, 0};
    int done = 0;

    ERR_clear_error();
    content->data = NULL;
    content->len = 0;
    *reason = "challenge-unknown";
    *detail = "it is not a sealed challenge";
    if (sealed_looks(text))
        der = decode(text, p);
    if (der.len)
        cms = parse(&der, NID_pkcs7_signed);
    if (cms) {
        *reason = "challenge-signature";
        signed_content = verify(cms, keys, detail);
    }
    if (signed_content) {
        *reason = "challenge-envelope";
        *detail = "it is signed by our key, but it cannot be opened by our decryption key";
        done = open_envelope(content, keys, signed_content, p);
    }
    BIO_free(signed_content);
    CMS_ContentInfo_free(cms);
    ERR_clear_error();
    return done ? APR_SUCCESS : APR_EACCES;
}
