/* SPDX-License-Identifier: Apache-2.0 */
/* Signed tokens; see ca_jwt.h. */
#include "ca_jwt.h"
#include "ca_certs.h"
#include "../common/json_text.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/stat.h>

#define SIGNATURE_MAX 2048
#define NUMBER_MAX 1024             /* bytes of a modulus */

/* Which version of the file it is; compared with memcmp. */
typedef struct stamp_t {
    apr_int64_t mtime, ctime, size, inode;
} stamp_t;

struct ca_jwt_t {
    const char *file, *kid;         /* kid NULL: the thumbprint */
    apr_thread_mutex_t *mutex;      /* guards the rest; NULL: there is one thread */
    stamp_t stamp;
    EVP_PKEY *key;
};

/* The file's present version. */
static stamp_t stamp_of(const char *file)
{
    struct stat info;
    stamp_t stamp;

    memset(&stamp, 0, sizeof(stamp));
    if (stat(file, &info) == 0) {
        stamp.mtime = info.st_mtim.tv_sec * APR_INT64_C(1000000000) + info.st_mtim.tv_nsec;
        stamp.ctime = info.st_ctim.tv_sec * APR_INT64_C(1000000000) + info.st_ctim.tv_nsec;
        stamp.size = info.st_size;
        stamp.inode = (apr_int64_t)info.st_ino;
    }
    return stamp;
}

/* Bits of a key's curve that can sign tokens; 0: none. */
static int curve_bits(const EVP_PKEY *key)
{
    char name[80] = "";
    int nid;

    if (!EVP_PKEY_is_a(key, "EC") || !EVP_PKEY_get_group_name(key, name, sizeof(name), NULL)) {
        return 0;
    }
    nid = OBJ_sn2nid(name);
    return nid == NID_X9_62_prime256v1 ? 256 : nid == NID_secp384r1 ? 384
                                                  : nid == NID_secp521r1 ? 521 : 0;
}

/* Reads a key that can sign; error text in p, NULL on success. */
static const char *load(EVP_PKEY **pkey, const char *file, apr_pool_t *p)
{
    const char *error = crypt_load_key(pkey, file, p);

    if (error == NULL && curve_bits(*pkey) == 0 &&
        !(EVP_PKEY_is_a(*pkey, "RSA") && EVP_PKEY_get_bits(*pkey) >= 2048)) {
        error = apr_psprintf(p, "the key in %s is neither RSA of at least 2048 bits nor EC on "
                                "P-256, P-384 or P-521", file);
    }
    ERR_clear_error();
    return error;
}

/* Pool cleanup: drops the key. */
static apr_status_t drop_key(void *baton)
{
    ca_jwt_t *jwt = baton;

    EVP_PKEY_free(jwt->key);
    jwt->key = NULL;
    return APR_SUCCESS;
}

const char *ca_jwt_make(ca_jwt_t **pjwt, const char *file, const char *kid, apr_pool_t *p)
{
    ca_jwt_t *jwt = apr_pcalloc(p, sizeof(*jwt));
    EVP_PKEY *key = NULL;
    const char *error;

    *pjwt = jwt;
    jwt->file = file;
    jwt->kid = kid;
    jwt->stamp = stamp_of(file);
    error = load(&key, file, p);
    if (error == NULL && EVP_PKEY_up_ref(key)) {
        jwt->key = key;
        apr_pool_cleanup_register(p, jwt, drop_key, apr_pool_cleanup_null);
    }
    return error;
}

apr_status_t ca_jwt_child_init(ca_jwt_t *jwt, apr_pool_t *pchild)
{
    return apr_thread_mutex_create(&jwt->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}

/* The current key, owned by p. */
static EVP_PKEY *current_key(ca_jwt_t *jwt, const log_sink_t *log, apr_pool_t *p)
{
    stamp_t stamp = stamp_of(jwt->file);
    const char *error;
    EVP_PKEY *key = NULL;

    if (jwt->mutex != NULL) {
        apr_thread_mutex_lock(jwt->mutex);
    }
    if (memcmp(&stamp, &jwt->stamp, sizeof(stamp)) != 0) {
        jwt->stamp = stamp;
        error = load(&key, jwt->file, p);
        if (error == NULL && EVP_PKEY_up_ref(key)) {
            EVP_PKEY_free(jwt->key);
            jwt->key = key;
        }
        else {
            log_to(log, LOG_SINK_WARN, SCEPTAG(0335), "%s; the key that was read before is used",
                   error != NULL ? error : jwt->file);
        }
    }
    key = jwt->key != NULL && EVP_PKEY_up_ref(jwt->key) ? crypt_pkey_own(jwt->key, p) : NULL;
    if (jwt->mutex != NULL) {
        apr_thread_mutex_unlock(jwt->mutex);
    }
    return key;
}

/* RFC 4648 section 5, without padding. */
static const char *base64url(const void *data, apr_size_t len, apr_pool_t *p)
{
    char *text = apr_pstrdup(p, ca_base64_encode(data, len, p)), *c;

    for (c = text; *c != '\0'; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
    text[strcspn(text, "=")] = '\0';
    return text;
}

/* A number of the public key as base64url, of len bytes (0: as many as it needs); "" without. */
static const char *number(const EVP_PKEY *key, const char *name, int len, apr_pool_t *p)
{
    unsigned char bytes[NUMBER_MAX];
    const char *text = "";
    BIGNUM *bn = NULL;

    if (EVP_PKEY_get_bn_param(key, name, &bn)) {
        len = len > 0 ? len : BN_num_bytes(bn);
        if (len <= NUMBER_MAX && BN_bn2binpad(bn, bytes, len) == len) {
            text = base64url(bytes, (apr_size_t)len, p);
        }
    }
    BN_free(bn);
    return text;
}

/* The key's thumbprint, RFC 7638. */
static const char *thumbprint(const EVP_PKEY *key, apr_pool_t *p)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    int bits = curve_bits(key), len = (bits + 7) / 8;
    unsigned int n = 0;
    const char *text;

    if (bits > 0) {
        text = apr_psprintf(p, "{\"crv\":\"P-%d\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", bits,
                            number(key, OSSL_PKEY_PARAM_EC_PUB_X, len, p),
                            number(key, OSSL_PKEY_PARAM_EC_PUB_Y, len, p));
    }
    else {
        text = apr_psprintf(p, "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}",
                            number(key, OSSL_PKEY_PARAM_RSA_E, 0, p),
                            number(key, OSSL_PKEY_PARAM_RSA_N, 0, p));
    }
    if (!EVP_Digest(text, strlen(text), digest, &n, EVP_sha256(), NULL)) {
        n = 0;
    }
    return base64url(digest, n, p);
}

/* An ECDSA signature as two numbers of len bytes each (RFC 7518 section 3.4); 0: it is none. */
static int flatten(unsigned char *to, const unsigned char *der, size_t der_len, int len)
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)der_len);
    int good = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), to, len) == len &&
               BN_bn2binpad(ECDSA_SIG_get0_s(pair), to + len, len) == len;

    ECDSA_SIG_free(pair);
    return good;
}

/* The signature over text as base64url; NULL: the library cannot. */
static const char *signature(EVP_PKEY *key, const char *text, apr_pool_t *p)
{
    unsigned char der[SIGNATURE_MAX], flat[SIGNATURE_MAX];
    int bits = curve_bits(key), half = (bits + 7) / 8, good;
    const EVP_MD *md = bits == 384 ? EVP_sha384() : bits == 521 ? EVP_sha512() : EVP_sha256();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = sizeof(der);

    ERR_clear_error();
    good = ctx != NULL && EVP_DigestSignInit(ctx, NULL, md, NULL, key) > 0 &&
           EVP_DigestSign(ctx, der, &len, (const unsigned char *)text, strlen(text)) > 0;
    EVP_MD_CTX_free(ctx);
    if (good && bits > 0) {
        good = flatten(flat, der, len, half);
        return good ? base64url(flat, 2 * (apr_size_t)half, p) : NULL;
    }
    return good ? base64url(der, len, p) : NULL;
}

/* A JSON object as a part of a token; takes the reference. */
static const char *part(json_t *object, apr_pool_t *p)
{
    const char *text = json_text_take(object, p);

    return text != NULL ? base64url(text, strlen(text), p) : "";
}

/* Pool cleanup: overwrites a token. */
static apr_status_t wipe(void *baton)
{
    OPENSSL_cleanse(baton, strlen(baton));
    return APR_SUCCESS;
}

const char *ca_jwt_sign(ca_jwt_t *jwt, json_t *claims, const log_sink_t *log, apr_pool_t *p)
{
    EVP_PKEY *key = current_key(jwt, log, p);
    int bits = key != NULL ? curve_bits(key) : 0;
    json_t *head = json_object();
    const char *text, *signed_by = NULL;
    char *token;

    json_object_set_new(head, "alg", json_string(bits == 256 ? "ES256" : bits == 384 ? "ES384"
                                                 : bits == 521 ? "ES512" : "RS256"));
    json_object_set_new(head, "typ", json_string("JWT"));
    json_object_set_new(head, "kid", json_text_string(
        jwt->kid != NULL || key == NULL ? jwt->kid : thumbprint(key, p), p));
    text = apr_pstrcat(p, part(head, p), ".", part(claims, p), NULL);
    if (key != NULL) {
        signed_by = signature(key, text, p);
    }
    if (signed_by == NULL) {
        log_openssl_errors(log, LOG_SINK_ERR, SCEPTAG(0336), "while signing a token");
        return NULL;
    }
    token = apr_pstrcat(p, text, ".", signed_by, NULL);
    apr_pool_cleanup_register(p, token, wipe, apr_pool_cleanup_null);
    return token;
}
