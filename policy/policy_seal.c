/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service's secret is for besides challenges: a waiting CSR is kept sealed, since it holds
 * the challenge in the clear, and the status page's forms carry a token.
 *
 * Sealed: version 1, IV, AES-256-GCM of the plain text, tag; the transaction's key is authenticated
 * with it, so that nobody who can write to the store puts one request into another's place.
 */
#include "policy_provider.h"
#include <apr_strings.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

#define SEAL_VERSION 1
#define IV_LEN 12
#define TAG_LEN 16
#define OVERHEAD (1 + IV_LEN + TAG_LEN)

const char *policy_secret_file(const policy_config_t *cfg, apr_pool_t *p)
{
    if (cfg->secret_file || !cfg->state_directory)
        return cfg->secret_file;
    return apr_pstrcat(p, cfg->state_directory, "/challenge.key", NULL);
}

const char *policy_secret_check(const policy_config_t *cfg, apr_pool_t *p)
{
    const char *file = policy_secret_file(cfg, p), *error;
    secret_t secret;

    if (!file || (!cfg->secret_file && !cfg->secret_may_be_made) ||
        (cfg->secret_may_be_made && access(file, F_OK) != 0))
        return NULL;
    error = policy_secret_read(&secret, file, p);
    secret_wipe(&secret);
    return error;
}

const char *policy_secret_load(secret_t *secret, const policy_config_t *cfg, uid_t uid,
                               gid_t gid, apr_pool_t *p)
{
    const char *file = policy_secret_file(cfg, p), *error = NULL;

    if (!file)
        return "needs a challenge secret file or a state directory";
    if (!cfg->secret_file && cfg->secret_may_be_made)
        error = store_prepare_directory(cfg->state_directory, uid, gid, p);
    if (!error && cfg->secret_may_be_made)
        error = policy_secret_make(file, p);
    if (!error)
        error = policy_secret_read(secret, file, p);
    return error;
}

/* The sealing key of secret number n; 0: there is none. */
static int make_key(unsigned char key[32], const policy_t *policy, int n)
{
    const char *service = policy->cfg->service;

    return policy->secret.key[n].len > 0 &&
           crypt_hmac_sha256(key, &policy->secret.key[n], "mod_scep seal", service,
                             strlen(service)) == APR_SUCCESS;
}

/* Pool cleanup: overwrites an opened text. */
static apr_status_t wipe(void *baton)
{
    crypt_buf_t *plain = baton;

    OPENSSL_cleanse((void *)plain->data, plain->len);
    return APR_SUCCESS;
}

apr_status_t policy_seal(crypt_buf_t *sealed, const policy_t *policy, const char *tx_key,
                         const crypt_buf_t *plain, apr_pool_t *p)
{
    unsigned char key[32];
    unsigned char *out = apr_palloc(p, plain->len + OVERHEAD);
    unsigned char *iv = out + 1, *text = iv + IV_LEN;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0, last = 0;
    apr_status_t rv = APR_EGENERAL;

    out[0] = SEAL_VERSION;
    if (ctx && plain->len < INT_MAX - OVERHEAD && make_key(key, policy, 0) &&
        crypt_random(iv, IV_LEN) == APR_SUCCESS &&
        EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
        EVP_EncryptUpdate(ctx, NULL, &len, (const unsigned char *)tx_key, (int)strlen(tx_key)) ==
            1 &&
        EVP_EncryptUpdate(ctx, text, &len, plain->data, (int)plain->len) == 1 &&
        EVP_EncryptFinal_ex(ctx, text + len, &last) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, text + plain->len) == 1) {
        sealed->data = out;
        sealed->len = plain->len + OVERHEAD;
        rv = APR_SUCCESS;
    }
    OPENSSL_cleanse(key, sizeof(key));
    EVP_CIPHER_CTX_free(ctx);
    return rv;
}

/* Opens with secret number n; whether that worked. */
static int open_with(crypt_buf_t *plain, const policy_t *policy, int n, const char *tx_key,
                     const crypt_buf_t *sealed, unsigned char *out)
{
    unsigned char key[32];
    const unsigned char *iv = sealed->data + 1, *text = iv + IV_LEN;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int size = (int)(sealed->len - OVERHEAD), len = 0, last = 0, ok;

    ok = ctx && make_key(key, policy, n) &&
         EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
         EVP_DecryptUpdate(ctx, NULL, &len, (const unsigned char *)tx_key, (int)strlen(tx_key)) ==
             1 &&
         EVP_DecryptUpdate(ctx, out, &len, text, size) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, (void *)(text + size)) == 1 &&
         EVP_DecryptFinal_ex(ctx, out + len, &last) == 1;
    OPENSSL_cleanse(key, sizeof(key));
    EVP_CIPHER_CTX_free(ctx);
    plain->data = out;
    plain->len = (apr_size_t)size;
    return ok;
}

apr_status_t policy_unseal(crypt_buf_t *plain, const policy_t *policy, const char *tx_key,
                           const crypt_buf_t *sealed, apr_pool_t *p)
{
    crypt_buf_t *opened = apr_pcalloc(p, sizeof(*opened));
    unsigned char *out;
    int n;

    plain->data = NULL;
    plain->len = 0;
    if (sealed->len <= OVERHEAD || sealed->len > INT_MAX || sealed->data[0] != SEAL_VERSION)
        return APR_EINVAL;
    out = apr_pcalloc(p, sealed->len);
    opened->data = out;
    opened->len = sealed->len;
    apr_pool_cleanup_register(p, opened, wipe, apr_pool_cleanup_null);
    for (n = 0; n < 2; n++) {
        if (open_with(plain, policy, n, tx_key, sealed, out))
            return APR_SUCCESS;
    }
    plain->data = NULL;
    plain->len = 0;
    return APR_EINVAL;
}

const char *policy_token(const policy_t *policy, const char *text, apr_pool_t *p)
{
    unsigned char mac[32];

    if (policy->secret.key[0].len == 0 ||
        crypt_hmac_sha256(mac, &policy->secret.key[0], "mod_scep token", text, strlen(text)) !=
            APR_SUCCESS)
        return NULL;
    return crypt_hex(mac, sizeof(mac), 0, p);
}
