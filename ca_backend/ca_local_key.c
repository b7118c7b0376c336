/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local CA's key: which one it is, and how it signs.
 *
 * Digest and padding are settled once, and one signature is made and verified at the start: a key
 * whose own parameters forbid them (RSA-PSS, RFC 4055 section 3.1) is found then, not by a device.
 */
#include "ca_local.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>
#include <strings.h>

#define MIN_CA_RSA_BITS 2048
#define MIN_CA_EC_BITS 256
#define TOKEN_CALLS 16 /* of a token at once, per child: calls of PKCS #11 have no deadline */

/* Moves the certificate that belongs to the key to the front; error text, NULL on success. */
static const char *match_key(local_t *local, const char *cert_file, const char *key_file,
                             apr_pool_t *p)
{
    int i, n = sk_X509_num(local->chain);

    for (i = 0; i < n; i++) {
        X509 *cert = sk_X509_value(local->chain, i);

        if (X509_check_private_key(cert, local->key)) {
            local->cert = cert;
            if (i > 0) {
                (void)sk_X509_delete(local->chain, i);
                if (!sk_X509_unshift(local->chain, cert)) {
                    X509_free(cert);
                    return "no memory";
                }
            }
            ERR_clear_error();
            return NULL;
        }
    }
    ERR_clear_error();
    return apr_psprintf(p, "key=%s does not belong to the certificate in %s", key_file, cert_file);
}

/* Whether it is a key of Edwards curves, which sign without a digest of our choice. */
static int is_edwards(const EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
}

/* Whether it is an RSA key, also one that is for PSS only. */
static int is_rsa(const EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS");
}

/* Whether the CA's key is one that may sign; error text, NULL if it is. */
static const char *check_kind(const EVP_PKEY *key, const char *name, apr_pool_t *p)
{
    int bits = EVP_PKEY_get_bits(key);

    if (is_edwards(key)) {
        return NULL;
    }
    if (!is_rsa(key) && !EVP_PKEY_is_a(key, "EC")) {
        return apr_psprintf(p, "key=%s is %s; RSA, EC or an Edwards curve is needed", name,
                            crypt_key_name(key, p));
    }
    if (bits < (is_rsa(key) ? MIN_CA_RSA_BITS : MIN_CA_EC_BITS)) {
        return apr_psprintf(p, "key=%s is too short: %s, at least %s is needed", name,
                            crypt_key_name(key, p), is_rsa(key) ? "RSA-2048" : "EC P-256");
    }
    return NULL;
}

/* The digest that fits the key: its own one, that of its curve's strength, else SHA-256. */
static const char *default_digest(const EVP_PKEY *key, apr_pool_t *p)
{
    char name[40];
    int bits = EVP_PKEY_is_a(key, "EC") ? EVP_PKEY_get_bits(key) : 0;

    if (EVP_PKEY_is_a(key, "RSA-PSS") &&
        EVP_PKEY_get_default_digest_name((EVP_PKEY *)key, name, sizeof(name)) > 0) {
        return apr_pstrdup(p, name);
    }
    ERR_clear_error();
    return bits > 384 ? "SHA512" : bits > 256 ? "SHA384" : "SHA256";
}

/* Sets local->digest; error text, NULL on success. */
static const char *set_digest(local_t *local, const char *name, const EVP_PKEY *key, apr_pool_t *p)
{
    static const char *const known[] = {"SHA256", "SHA384", "SHA512"};
    const char *text = name != NULL ? name : default_digest(key, p);
    size_t i;

    if (is_edwards(key)) {
        return name == NULL ? NULL : "digest= is not for this key: an Edwards curve has its own";
    }
    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        /* OpenSSL also says SHA2-256 */
        if (strcasecmp(text, known[i]) == 0 ||
            (strncasecmp(text, "SHA2-", 5) == 0 && strcmp(text + 5, known[i] + 3) == 0)) {
            local->digest = known[i];
            return NULL;
        }
    }
    return apr_psprintf(p, "digest=%.64s must be sha256, sha384 or sha512", text);
}

/* Sets local->pss; error text, NULL on success. */
static const char *set_padding(local_t *local, const char *name, const EVP_PKEY *key,
                               apr_pool_t *p)
{
    int only_pss = EVP_PKEY_is_a(key, "RSA-PSS");

    local->pss = only_pss;
    if (name == NULL) {
        return NULL;
    }
    if (strcasecmp(name, "pkcs1") != 0 && strcasecmp(name, "pss") != 0) {
        return apr_psprintf(p, "signature=%.64s must be pkcs1 or pss", name);
    }
    if (!is_rsa(key)) {
        return apr_psprintf(p, "signature= is for RSA keys, the CA's is %s",
                            crypt_key_name(key, p));
    }
    local->pss = strcasecmp(name, "pss") == 0;
    return only_pss && !local->pss ? "signature=pkcs1: the CA's key is for RSA-PSS only" : NULL;
}

/* Sets PSS and its salt where they are wanted; 0 if that fails. */
static int set_pss(const local_t *local, EVP_PKEY_CTX *how)
{
    return !local->pss || (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) > 0 &&
                           EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) > 0);
}

/* A context to sign with key, to be freed; NULL if that fails. */
static EVP_MD_CTX *signing_context(const local_t *local, EVP_PKEY *key, OSSL_LIB_CTX *libctx)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how = NULL;

    if (ctx == NULL ||
        EVP_DigestSignInit_ex(ctx, &how, local->digest, libctx, NULL, key, NULL) != 1 ||
        !set_pss(local, how)) {
        EVP_MD_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* Makes a signature and verifies it by the certificate's key: see token_check_fn. */
static const char *probe(void *baton, EVP_PKEY *key, OSSL_LIB_CTX *libctx, apr_pool_t *p)
{
    const local_t *local = baton;
    static const unsigned char data[] = "probe";
    unsigned char signature[4096];
    size_t len = sizeof(signature);
    EVP_MD_CTX *sign = signing_context(local, key, libctx), *verify = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how = NULL;
    const char *error = NULL, *reason;

    if (sign == NULL || verify == NULL ||
        EVP_DigestSign(sign, signature, &len, data, sizeof(data)) != 1) {
        reason = ERR_reason_error_string(ERR_peek_last_error());
        error = apr_psprintf(p, "the CA's key does not sign with %s%s: %s",
                             local->digest != NULL ? local->digest : "its own digest",
                             local->pss ? " and PSS" : "", reason != NULL ? reason : "no reason");
    }
    else if (EVP_DigestVerifyInit_ex(verify, &how, local->digest, NULL, NULL,
                                     X509_get0_pubkey(local->cert), NULL) != 1 ||
             !set_pss(local, how) ||
             EVP_DigestVerify(verify, signature, len, data, sizeof(data)) != 1) {
        error = "the key does not belong to the CA's certificate, which does not verify what it "
                "signs";
    }
    EVP_MD_CTX_free(verify);
    EVP_MD_CTX_free(sign);
    ERR_clear_error();
    return error;
}

/* The key in a token: only its name is looked at; error text, NULL on success. */
static const char *name_token(local_t *local, const settings_t *settings, const char *uri,
                              apr_pool_t *p)
{
    token_options_t options;
    apr_int64_t concurrency = TOKEN_CALLS;
    const char *err = settings_get_number(settings, "concurrency", TOKEN_CALLS, 1, 10000,
                                          &concurrency, p);

    if (err != NULL) {
        return err;
    }
    local->concurrency = (int)concurrency;
    memset(&options, 0, sizeof(options));
    options.uri = uri;
    options.module = settings_get(settings, "pkcs11Module", NULL);
    options.pin_file = settings_get(settings, "pinFile", NULL);
    options.check = probe;
    options.baton = local;
    local->cert = sk_X509_value(local->chain, 0);
    return token_key_make(&local->token, &options, p);
}

/* The key in a file; error text, NULL on success. */
static const char *load_file(local_t *local, const settings_t *settings, const char *file,
                             apr_pool_t *p)
{
    const char *err;

    if (settings_get(settings, "pinFile", NULL) != NULL ||
        settings_get(settings, "pkcs11Module", NULL) != NULL) {
        return "pinFile= and pkcs11Module= are for key=pkcs11:...";
    }
    err = crypt_load_key(&local->key, file, p);
    return err != NULL ? err
                       : match_key(local, settings_get(settings, "certificate", ""), file, p);
}

const char *local_key_configure(local_t *local, const settings_t *settings, apr_pool_t *p)
{
    const char *name = settings_get(settings, "key", ""), *err;
    const EVP_PKEY *key;

    err = token_is_uri(name) ? name_token(local, settings, name, p)
                             : load_file(local, settings, name, p);
    if (err != NULL) {
        return err;
    }
    key = X509_get0_pubkey(local->cert);
    if (key == NULL) {
        ERR_clear_error();
        return "the CA's certificate has a key that cannot be read";
    }
    if ((err = check_kind(key, name, p)) != NULL ||
        (err = set_digest(local, settings_get(settings, "digest", NULL), key, p)) != NULL ||
        (err = set_padding(local, settings_get(settings, "signature", NULL), key, p)) != NULL) {
        return err;
    }
    return local->token != NULL ? NULL : probe(local, local->key, NULL, p);
}

/* X509_sign_ctx() or X509_CRL_sign_ctx(). */
typedef int sign_fn(void *what, EVP_MD_CTX *ctx);

/* Signs with key; 0 if that fails. */
static int sign_with(const local_t *local, EVP_PKEY *key, OSSL_LIB_CTX *libctx, sign_fn *fn,
                     void *what)
{
    EVP_MD_CTX *ctx = signing_context(local, key, libctx);
    int ok = ctx != NULL && fn(what, ctx) > 0;

    EVP_MD_CTX_free(ctx);
    return ok;
}

/* Signs as configured; see local_sign_certificate(). */
static int sign(const local_t *local, sign_fn *fn, void *what, const char **error,
                const log_sink_t *log, apr_pool_t *p)
{
    OSSL_LIB_CTX *libctx;
    EVP_PKEY *key;
    int tries, ok = 0;

    *error = NULL;
    ERR_clear_error();
    if (local->token == NULL) {
        return sign_with(local, local->key, NULL, fn, what);
    }
    /* a second chance for a token that is opened again in between */
    for (tries = 0; tries < 2 && !ok; tries++) {
        key = token_key_get(local->token, &libctx, error, log, p);
        if (key == NULL) {
            return 0;
        }
        ERR_clear_error();
        ok = sign_with(local, key, libctx, fn, what);
        token_key_done(local->token, ok);
    }
    *error = ok ? NULL : "the token does not sign";
    return ok;
}

/* See sign_fn. */
static int sign_certificate(void *what, EVP_MD_CTX *ctx)
{
    return X509_sign_ctx(what, ctx);
}

/* See sign_fn. */
static int sign_crl(void *what, EVP_MD_CTX *ctx)
{
    return X509_CRL_sign_ctx(what, ctx);
}

int local_sign_certificate(const local_t *local, X509 *cert, const char **error,
                           const log_sink_t *log, apr_pool_t *p)
{
    return sign(local, sign_certificate, cert, error, log, p);
}

int local_sign_crl(const local_t *local, X509_CRL *crl, apr_pool_t *p)
{
    const char *error;

    return sign(local, sign_crl, crl, &error, NULL, p);
}

const char *local_prepare(void *instance, uid_t uid, gid_t gid, int *away, apr_pool_t *p)
{
    local_t *local = instance;

    *away = 0;
    return local->token != NULL ? token_key_try(local->token, uid, gid, away, p) : NULL;
}
