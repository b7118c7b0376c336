/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy "static": one shared secret for all devices, from a file, as NDES has it with
 * UseSinglePassword.  For devices that cannot get a challenge of their own.
 *
 * The secret is compared here and never stored.  A wrong one becomes a challenge that the store
 * cannot know, so that it is refused and counted as any other wrong challenge is.
 */
#include "policy_provider.h"
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

#define WHAT "shared secret"
#define SECRET_MIN 8
#define SECRET_MAX 255
#define FINGERPRINT_ROUNDS 200000 /* a person's secret must not be guessed from its fingerprint */

typedef struct static_policy_t {
    const policy_config_t *cfg;
    const char *file;
    secret_t secret;
    const char *fingerprint;
} static_policy_t;

static const settings_key_t static_keys[] = {{"file", "FILE", 1}, {NULL, NULL, 0}};

/* Pool cleanup: overwrites the secret. */
static apr_status_t wipe_secret(void *baton)
{
    secret_wipe(&((static_policy_t *)baton)->secret);
    return APR_SUCCESS;
}

/* Pool cleanup: overwrites a text. */
static apr_status_t wipe_text(void *baton)
{
    OPENSSL_cleanse(baton, strlen(baton));
    return APR_SUCCESS;
}

static const char *static_create(void **pinstance, const settings_t *settings,
                                 const policy_config_t *cfg, apr_pool_t *p)
{
    static_policy_t *self = apr_pcalloc(p, sizeof(*self));

    self->cfg = cfg;
    self->file = settings_get(settings, "file", "");
    *pinstance = self;
    return *self->file ? NULL : "file: a file's name is missing";
}

/* Reads the file; the page and its readers must be able to carry the secret.  Error text in p, NULL
 * on success. */
static const char *read_secret(secret_t *secret, const char *file, apr_pool_t *p)
{
    const char *error = secret_read(secret, file, WHAT, SECRET_MIN, SECRET_MAX, p);
    apr_size_t i, n;

    for (n = 0; !error && n < 2; n++) {
        for (i = 0; !error && i < secret->key[n].len; i++) {
            unsigned char c = secret->key[n].data[i];

            if (c <= ' ' || c >= 0x7f || strchr("<>&\"'", c))
                error = apr_psprintf(p,
                                     "a secret in %s holds a character that is not printable "
                                     "ASCII, or a space, or one of < > & \" '",
                                     file);
        }
    }
    if (error)
        secret_wipe(secret);
    return error;
}

static const char *static_check(const void *instance, apr_pool_t *p)
{
    secret_t secret;
    const char *error = read_secret(&secret, ((const static_policy_t *)instance)->file, p);

    secret_wipe(&secret);
    return error;
}

static const char *static_prepare(void *instance, uid_t uid, gid_t gid, apr_pool_t *p)
{
    static_policy_t *self = instance;
    const char *error = read_secret(&self->secret, self->file, p);
    unsigned char digest[32];

    (void)uid;
    (void)gid;
    if (error)
        return error;
    apr_pool_cleanup_register(p, self, wipe_secret, apr_pool_cleanup_null);
    if (!PKCS5_PBKDF2_HMAC((const char *)self->secret.key[0].data, (int)self->secret.key[0].len,
                           (const unsigned char *)self->cfg->service,
                           (int)strlen(self->cfg->service), FINGERPRINT_ROUNDS, EVP_sha256(),
                           sizeof(digest), digest))
        return "PBKDF2 is not available";
    self->fingerprint = crypt_hex(digest, sizeof(digest), 0, p);
    return NULL;
}

static apr_status_t static_child_init(void *instance, apr_pool_t *pchild)
{
    apr_pool_cleanup_register(pchild, instance, wipe_secret, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

static const char *static_fingerprint(void *instance, apr_pool_t *p)
{
    (void)p;
    return ((static_policy_t *)instance)->fingerprint;
}

static apr_status_t static_generate(void *instance, const policy_mint_t *mint,
                                    policy_challenge_t **pchallenge, outcome_t *out,
                                    const log_sink_t *log, apr_pool_t *p)
{
    const static_policy_t *self = instance;
    const crypt_buf_t *secret = &self->secret.key[0];
    char *text;

    (void)log;
    if (mint->params && mint->params[strspn(mint->params, " \t\r\n")] == '{') {
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG, "params",
                       "The shared secret cannot be bound to a request.", p,
                       "the one shared secret cannot be bound to a request");
        return APR_EINVAL;
    }
    if (secret->len == 0) {
        outcome_unavailable(out, "secret", 0, p, "the shared secret is not loaded");
        return APR_EGENERAL;
    }
    text = apr_pstrmemdup(p, (const char *)secret->data, secret->len);
    apr_pool_cleanup_register(p, text, wipe_text, apr_pool_cleanup_null);
    *pchallenge = apr_pcalloc(p, sizeof(**pchallenge));
    (*pchallenge)->text = text;
    (*pchallenge)->id = "static";
    outcome_success(out);
    return APR_SUCCESS;
}

/* Whether a challenge is the current or the previous secret; takes as long for every challenge of a
 * length. */
static int matches(const static_policy_t *self, const char *challenge)
{
    crypt_buf_t shown = {(const unsigned char *)challenge, strlen(challenge)};
    unsigned char want[32], have[32];
    int i, yes = 0;

    if (crypt_sha256_parts(have, &shown, 1) != APR_SUCCESS)
        return 0;
    for (i = 0; i < 2; i++) {
        if (self->secret.key[i].len &&
            crypt_sha256_parts(want, &self->secret.key[i], 1) == APR_SUCCESS)
            yes |= CRYPTO_memcmp(want, have, sizeof(want)) == 0;
    }
    OPENSSL_cleanse(want, sizeof(want));
    OPENSSL_cleanse(have, sizeof(have));
    return yes;
}

static apr_status_t static_reserve(void *instance, const policy_request_t *request,
                                   store_claim_t *claim, outcome_t *out, apr_pool_t *p)
{
    unsigned char nobody[STORE_ID_LEN / 2];

    if (!request->challenge || matches(instance, request->challenge))
        return APR_SUCCESS;
    if (crypt_random(nobody, sizeof(nobody)) != APR_SUCCESS) {
        outcome_unavailable(out, "random", 0, p, "no random numbers");
        return APR_EGENERAL;
    }
    claim->challenge_id[0] = crypt_hex(nobody, sizeof(nobody), 0, p);
    claim->challenge_id[1] = NULL;
    return APR_SUCCESS;
}

static apr_status_t static_verify(void *instance, const policy_tx_t *tx,
                                  policy_attributes_t *attributes, outcome_t *out,
                                  const log_sink_t *log, apr_pool_t *p)
{
    const char *challenge = tx->request->challenge;

    (void)attributes;
    (void)log;
    if (challenge ? matches(instance, challenge) : tx->request->signer != NULL)
        return APR_SUCCESS;
    policy_refuse_challenge(out, "challenge-unknown", p, "it is not the shared secret");
    return APR_EACCES;
}

const policy_provider_t policy_static = {
    .name = "static",
    .keys = static_keys,
    .needs_challenge = 1,
    .warning = "ScepPolicy static: whoever knows the one shared secret gets a certificate for any "
               "name, as often as he likes; it has to be changed when a device is lost",
    .create = static_create,
    .check = static_check,
    .prepare = static_prepare,
    .child_init = static_child_init,
    .fingerprint = static_fingerprint,
    .generate_challenge = static_generate,
    .reserve = static_reserve,
    .verify = static_verify};
