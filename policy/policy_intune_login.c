/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are to the tenant: OAuth 2.0 client credentials (RFC 6749, RFC 7523). */
#include "policy_intune.h"
#include "../common/json_text.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/rsa.h>
#include <string.h>

#define WHAT "client secret"
#define SECRET_MIN 8
#define SECRET_MAX 1024
#define ASSERTION_LIFE 600 /* seconds; Microsoft takes at most 24 hours */
#define ASSERTION_SKEW 60
#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/* Pool cleanup: overwrites a text. */
static apr_status_t wipe_text(void *baton)
{
    OPENSSL_cleanse(baton, strlen(baton));
    return APR_SUCCESS;
}

/* The certificate and its key, which must be RSA.  Error text in p, NULL on success. */
static const char *load_certificate(intune_login_t *login, apr_pool_t *p)
{
    const char *key_file = login->key_file ? login->key_file : login->certificate_file;
    STACK_OF(X509) *certs = NULL;
    const char *error = crypt_load_certificates(&certs, login->certificate_file, p);

    if (!error)
        error = crypt_load_key(&login->key, key_file, p);
    if (error)
        return error;
    login->certificate = sk_X509_value(certs, 0);
    if (!EVP_PKEY_is_a(login->key, "RSA") || EVP_PKEY_get_bits(login->key) < 2048)
        return apr_psprintf(p, "the key in %s is not RSA of at least 2048 bits", key_file);
    if (!X509_check_private_key(login->certificate, login->key))
        return apr_psprintf(p, "the key in %s is not that of the certificate in %s", key_file,
                            login->certificate_file);
    if (crypt_asn1_time(X509_get0_notAfter(login->certificate)) < apr_time_now())
        return apr_psprintf(p, "the certificate in %s has expired", login->certificate_file);
    return NULL;
}

const char *intune_login_load(intune_login_t *login, apr_pool_t *p)
{
    if (login->secret_file)
        return secret_read(&login->secret, login->secret_file, WHAT, SECRET_MIN,
                                     SECRET_MAX, p);
    return load_certificate(login, p);
}

void intune_login_wipe(intune_login_t *login)
{
    secret_wipe(&login->secret);
    login->key = NULL;
}

const char *intune_guid(apr_pool_t *p)
{
    unsigned char r[16];

    if (crypt_random(r, sizeof(r)) != APR_SUCCESS)
        return NULL;
    r[6] = (r[6] & 0x0f) | 0x40;
    r[8] = (r[8] & 0x3f) | 0x80;
    return apr_pstrcat(p, crypt_hex(r, 4, 0, p), "-", crypt_hex(r + 4, 2, 0, p), "-",
                       crypt_hex(r + 6, 2, 0, p), "-", crypt_hex(r + 8, 2, 0, p), "-",
                       crypt_hex(r + 10, 6, 0, p), NULL);
}

/* RFC 4648 section 5, without padding. */
static const char *base64url(const void *data, apr_size_t len, apr_pool_t *p)
{
    char *text = apr_palloc(p, 4 * (len / 3 + 1) + 1), *c;

    EVP_EncodeBlock((unsigned char *)text, data, (int)len);
    for (c = text; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    text[strcspn(text, "=")] = '\0';
    return text;
}

/* The certificate's digest as base64url; NULL: none. */
static const char *thumbprint(const X509 *cert, const EVP_MD *md, apr_pool_t *p)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    return crypt_thumbprint(cert, md, digest, &len) == APR_SUCCESS ? base64url(digest, len, p)
                                                                   : NULL;
}

/* Signs text by RS256 or PS256 (RFC 7518 section 3); NULL: the library cannot. */
static const char *sign(const intune_login_t *login, const char *text, apr_pool_t *p)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how = NULL;
    unsigned char signature[2048];
    size_t len = sizeof(signature);
    int good = ctx && EVP_DigestSignInit(ctx, &how, EVP_sha256(), NULL, login->key) > 0;

    if (good && login->pss)
        good = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) > 0 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) > 0;
    good = good && EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text,
                                  strlen(text)) > 0;
    EVP_MD_CTX_free(ctx);
    return good ? base64url(signature, len, p) : NULL;
}

/* A JSON object as a part of a JWT. */
static const char *part(json_t *object, apr_pool_t *p)
{
    const char *text = json_text_take(object, p);

    return text ? base64url(text, strlen(text), p) : "";
}

/* The signed statement that we are the application; NULL: it cannot be made. */
static const char *make_assertion(const intune_login_t *login, apr_pool_t *p)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    json_t *head = json_object(), *claims = json_object();
    const char *x5t = thumbprint(login->certificate, EVP_sha1(), p);
    const char *x5t256 = thumbprint(login->certificate, EVP_sha256(), p);
    const char *id = intune_guid(p), *text, *signature;

    json_object_set_new(head, "alg", json_string(login->pss ? "PS256" : "RS256"));
    json_object_set_new(head, "typ", json_string("JWT"));
    json_object_set_new(head, "x5t", json_text_string(x5t, p));
    json_object_set_new(head, "x5t#S256", json_text_string(x5t256, p));
    json_object_set_new(claims, "aud", json_text_string(login->token_url, p));
    json_object_set_new(claims, "iss", json_text_string(login->client_id, p));
    json_object_set_new(claims, "sub", json_text_string(login->client_id, p));
    json_object_set_new(claims, "jti", json_text_string(id, p));
    json_object_set_new(claims, "iat", json_integer(now));
    json_object_set_new(claims, "nbf", json_integer(now - ASSERTION_SKEW));
    json_object_set_new(claims, "exp", json_integer(now + ASSERTION_LIFE));
    text = apr_pstrcat(p, part(head, p), ".", part(claims, p), NULL);
    signature = x5t && x5t256 && id && login->key ? sign(login, text, p) : NULL;
    return signature ? apr_pstrcat(p, text, ".", signature, NULL) : NULL;
}

/* A value of a form, application/x-www-form-urlencoded; wiped with p. */
static const char *encode(const char *text, apr_size_t len, apr_pool_t *p)
{
    static const char digits[] = "0123456789ABCDEF";
    char *coded = apr_palloc(p, 3 * len + 1), *to = coded;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < 0x80 && (apr_isalnum(c) || strchr("-._~", c))) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = digits[c >> 4];
        *to++ = digits[c & 15];
    }
    *to = '\0';
    apr_pool_cleanup_register(p, coded, wipe_text, apr_pool_cleanup_null);
    return coded;
}

const char *intune_login_form(const intune_login_t *login, const char *scope, apr_pool_t *p)
{
    const crypt_buf_t *secret = &login->secret.key[0];
    const char *proof = NULL;
    char *form;

    if (secret->len)
        proof = apr_pstrcat(p, "client_secret=",
                            encode((const char *)secret->data, secret->len, p), NULL);
    else if (login->certificate && (proof = make_assertion(login, p)) != NULL)
        proof = apr_pstrcat(p, "client_assertion_type=",
                            encode(ASSERTION_TYPE, strlen(ASSERTION_TYPE), p),
                            "&client_assertion=", proof, NULL);
    if (!proof)
        return NULL;
    form = apr_pstrcat(p, "grant_type=client_credentials&client_id=",
                       encode(login->client_id, strlen(login->client_id), p), "&scope=",
                       encode(scope, strlen(scope), p), "&", proof, NULL);
    apr_pool_cleanup_register(p, (char *)proof, wipe_text, apr_pool_cleanup_null);
    apr_pool_cleanup_register(p, form, wipe_text, apr_pool_cleanup_null);
    return form;
}
