/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy "challenge": the one-time password that NDES calls enrollment challenge.
 *
 * The store knows a challenge only as HMAC-SHA-256(secret, service, challenge), so its contents let
 * nobody enroll. Holding and spending a challenge is the store's atomic claim and commit; what is
 * decided here is which challenge a request shows, and whether it was made for this request
 * (policy_bound.h) and template.
 */
#include "policy_attributes.h"
#include "policy_bound.h"
#include "policy_provider.h"
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

#define SHORT_ID 12        /* digits of the id that log, page and store show */
#define TRIES 4            /* for a challenge that is taken already */
#define CHALLENGE_MAX 2048 /* bytes of a presented challenge that are looked at */
#define FOREVER apr_time_from_sec(100LL * 365 * 24 * 3600)
#define STORE_RETRY apr_time_from_sec(30)
#define TEXT_REFUSED "The challenge password cannot be verified. Obtain a new one."

typedef struct challenge_policy_t {
    const policy_config_t *cfg;
    secret_t secret;
    int adds_sid; /* the security identifier that a challenge is bound to */
} challenge_policy_t;

static const settings_key_t challenge_keys[] = {{"attributes", "sid", 0}, {NULL, NULL, 0}};

void policy_refuse_challenge(outcome_t *out, const char *reason, apr_pool_t *p, const char *detail)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_NOT_FOUND, reason, TEXT_REFUSED, p, "%s",
                   detail);
    out->phase = OUTCOME_PHASE_CHALLENGE;
}

/* Pool cleanup: overwrites the secret. */
static apr_status_t wipe_secret(void *baton)
{
    secret_wipe(&((challenge_policy_t *)baton)->secret);
    return APR_SUCCESS;
}

/* Pool cleanup: overwrites a challenge. */
static apr_status_t wipe_text(void *baton)
{
    OPENSSL_cleanse(baton, strlen(baton));
    return APR_SUCCESS;
}

static const char *challenge_create(void **pinstance, const settings_t *settings,
                                    const policy_config_t *cfg, apr_pool_t *p)
{
    challenge_policy_t *self = apr_pcalloc(p, sizeof(*self));

    self->cfg = cfg;
    *pinstance = self;
    return policy_attributes_setting_sid(&self->adds_sid, settings, p);
}

/* The secret is found here, since directives may still follow when an instance is created. */
static const char *challenge_prepare(void *instance, uid_t uid, gid_t gid, apr_pool_t *p)
{
    challenge_policy_t *self = instance;
    const char *error = policy_secret_load(&self->secret, self->cfg, uid, gid, p);

    if (!error)
        apr_pool_cleanup_register(p, self, wipe_secret, apr_pool_cleanup_null);
    return error;
}

static apr_status_t challenge_child_init(void *instance, apr_pool_t *pchild)
{
    apr_pool_cleanup_register(pchild, instance, wipe_secret, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

static const char *challenge_fingerprint(void *instance, apr_pool_t *p)
{
    const challenge_policy_t *self = instance;
    unsigned char mac[32];

    if (self->secret.key[0].len == 0 ||
        crypt_hmac_sha256(mac, &self->secret.key[0], "fingerprint", "", 0) != APR_SUCCESS)
        return NULL;
    return crypt_hex(mac, sizeof(mac), 0, p);
}

/* The name a challenge is stored under by secret number n; NULL: there is no such secret. */
static const char *make_id(const challenge_policy_t *self, int n, const char *challenge,
                           apr_pool_t *p)
{
    unsigned char mac[32];

    if (self->secret.key[n].len == 0 ||
        crypt_hmac_sha256(mac, &self->secret.key[n], self->cfg->service, challenge,
                          strlen(challenge)) != APR_SUCCESS)
        return NULL;
    return crypt_hex(mac, sizeof(mac), 0, p);
}

/* Upper-case hex of new random bytes, wiped with p; NULL: no random numbers. */
static char *make_text(int length, apr_pool_t *p)
{
    unsigned char bytes[64];
    char *text;

    if (length < 1 || length > (int)sizeof(bytes) || crypt_random(bytes, length) != APR_SUCCESS)
        return NULL;
    text = (char *)crypt_hex(bytes, length, 1, p);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    apr_pool_cleanup_register(p, text, wipe_text, apr_pool_cleanup_null);
    return text;
}

/* Puts a new challenge into the store, again with another text while the one made is taken. */
static apr_status_t issue(challenge_policy_t *self, store_challenge_t *ch, const char **ptext,
                          store_result_e *result, int *outstanding, apr_interval_time_t *wait,
                          apr_pool_t *p)
{
    const policy_config_t *cfg = self->cfg;
    apr_status_t rv = APR_SUCCESS;
    int i;

    *result = STORE_EXISTS;
    for (i = 0; i < TRIES && rv == APR_SUCCESS && *result == STORE_EXISTS; i++) {
        *ptext = make_text(cfg->length, p);
        ch->id = *ptext ? make_id(self, 0, *ptext, p) : NULL;
        if (!ch->id)
            return store_set_error(p, APR_EGENERAL, "no random numbers, or no secret");
        rv = store_issue(cfg->store, cfg->service, ch, cfg->max, result, outstanding, wait, p);
    }
    return rv;
}

/* Refuses params; APR_EINVAL. */
static apr_status_t bad_params(outcome_t *out, apr_pool_t *p, const char *error)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG, "params",
                   "The parameters of the challenge are not valid.", p, "%s", error);
    return APR_EINVAL;
}

apr_status_t policy_challenge_bind(store_challenge_t *ch, const policy_config_t *cfg,
                                   const char *params, outcome_t *out, const log_sink_t *log,
                                   apr_pool_t *p)
{
    policy_bound_t *bound;
    const char *error;

    if (!params || !*params)
        return APR_SUCCESS;
    if (params[strspn(params, " \t\r\n")] != '{') {
        log_to(log, LOG_SINK_DEBUG, SCEPTAG(0211),
               "service '%s': params of a challenge are not a JSON object and bind nothing",
               cfg->service);
        return APR_SUCCESS;
    }
    error = policy_bound_parse(&bound, params, strlen(params), p);
    if (!error && *bound->template_name && *ch->template_name &&
        strcmp(bound->template_name, ch->template_name) != 0)
        error = apr_psprintf(p, "template: %s is not %s, which the request asks for",
                             bound->template_name, ch->template_name);
    if (!error && bound->lifetime > ch->lifetime)
        error = apr_psprintf(p, "lifetime: more than the %" APR_INT64_T_FMT
                                " seconds of the service",
                             (apr_int64_t)apr_time_sec(ch->lifetime));
    if (!error && ch->uses > 0 && bound->uses > ch->uses)
        error = apr_psprintf(p, "uses: more than the %d of the service", ch->uses);
    if (error)
        return bad_params(out, p, error);
    ch->bound = bound->json;
    if (*bound->template_name)
        ch->template_name = bound->template_name;
    if (bound->lifetime > 0)
        ch->lifetime = bound->lifetime;
    if (bound->uses > 0)
        ch->uses = bound->uses;
    return APR_SUCCESS;
}

/* Sets out for a challenge that the store did not take. */
static apr_status_t not_issued(const policy_config_t *cfg, store_result_e result, int outstanding,
                               apr_interval_time_t wait, outcome_t *out, apr_pool_t *p)
{
    if (result == STORE_FULL) {
        outcome_unavailable(out, "challenges-full", wait, p,
                            "%d challenges are outstanding, of at most %d", outstanding, cfg->max);
        return APR_ENOSPC;
    }
    if (result == STORE_CALLERFULL) {
        outcome_unavailable(out, "caller-full", wait, p,
                            "%d challenges of the caller are outstanding, the most for one",
                            cfg->max_per_caller);
        return APR_ENOSPC;
    }
    outcome_unavailable(out, "store", 0, p, "unexpected answer of the store: %s",
                        store_result_name(result));
    return APR_EGENERAL;
}

static apr_status_t challenge_generate(void *instance, const policy_mint_t *mint,
                                       policy_challenge_t **pchallenge, outcome_t *out,
                                       const log_sink_t *log, apr_pool_t *p)
{
    challenge_policy_t *self = instance;
    const policy_config_t *cfg = self->cfg;
    store_challenge_t ch = {0};
    store_result_e result;
    apr_interval_time_t wait = 0;
    const char *text = NULL;
    int outstanding = 0;
    apr_status_t rv;

    ch.lifetime = cfg->lifetime > 0 ? cfg->lifetime : FOREVER;
    ch.uses = cfg->uses;
    ch.attempts = cfg->attempts;
    ch.caller = apr_pstrndup(p, mint->caller, STORE_TEXT_MAX);
    ch.caller_max = cfg->max_per_caller;
    ch.template_name = mint->template_name ? mint->template_name : "";
    ch.bound = "";
    rv = policy_challenge_bind(&ch, cfg, mint->params, out, log, p);
    if (rv != APR_SUCCESS)
        return rv;
    rv = issue(self, &ch, &text, &result, &outstanding, &wait, p);
    if (rv != APR_SUCCESS) {
        log_to(log, LOG_SINK_ERR, SCEPTAG(0210), "service '%s': cannot issue a challenge: %s",
               cfg->service, store_error(p));
        outcome_unavailable(out, "store", STORE_RETRY, p, "the store cannot issue: %s",
                            store_error(p));
        return rv;
    }
    if (result != STORE_OK)
        return not_issued(cfg, result, outstanding, wait, out, p);
    *pchallenge = apr_pcalloc(p, sizeof(**pchallenge));
    (*pchallenge)->text = text;
    (*pchallenge)->id = apr_pstrndup(p, ch.id, SHORT_ID);
    (*pchallenge)->lifetime = ch.lifetime == FOREVER ? 0 : ch.lifetime;
    (*pchallenge)->uses = ch.uses;
    (*pchallenge)->outstanding = outstanding;
    outcome_success(out);
    return APR_SUCCESS;
}

static apr_status_t challenge_reserve(void *instance, const policy_request_t *request,
                                      store_claim_t *claim, outcome_t *out, apr_pool_t *p)
{
    const challenge_policy_t *self = instance;

    if (!request->challenge) /* a renewal: policy_begin() lets no other pass without one */
        return APR_SUCCESS;
    if (strlen(request->challenge) > CHALLENGE_MAX) {
        policy_refuse_challenge(out, "challenge-unknown", p,
                                "the challenge is longer than any of ours");
        return APR_EACCES;
    }
    claim->challenge_id[0] = make_id(self, 0, request->challenge, p);
    claim->challenge_id[1] = make_id(self, 1, request->challenge, p);
    if (!claim->challenge_id[0]) {
        outcome_unavailable(out, "secret", 0, p, "the challenge secret is not loaded");
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

/* Holds the request against what the challenge was made for; a record that cannot be read is no
 * yes. */
static apr_status_t check_bound(const challenge_policy_t *self, const policy_tx_t *tx,
                                policy_attributes_t *attributes, outcome_t *out, apr_pool_t *p)
{
    const store_challenge_t *ch = &tx->store_tx.challenge;
    policy_bound_t *bound;
    const char *error;
    apr_status_t rv;

    if (!*ch->bound)
        return APR_SUCCESS;
    error = policy_bound_parse(&bound, ch->bound, strlen(ch->bound), p);
    if (error) {
        outcome_unavailable(out, "store", STORE_RETRY, p,
                            "what the challenge is bound to cannot be read: %s", error);
        return APR_EGENERAL;
    }
    rv = policy_bound_check(bound, tx->request->csr, tx->request->template_name, out, p);
    policy_attributes_owner(attributes, bound);
    if (rv == APR_SUCCESS && self->adds_sid)
        policy_attributes_sid(attributes, bound, tx->request, p);
    return rv;
}

static apr_status_t challenge_verify(void *instance, const policy_tx_t *tx,
                                     policy_attributes_t *attributes, outcome_t *out,
                                     const log_sink_t *log, apr_pool_t *p)
{
    const challenge_policy_t *self = instance;
    const store_tx_t *held = &tx->store_tx;
    apr_status_t rv;
    const char *id;
    int i, ours = 0;

    (void)log;
    if (tx->request->signer && self->adds_sid)
        policy_attributes_sid(attributes, NULL, tx->request, p);
    if (tx->request->signer && !*held->challenge_id)
        return APR_SUCCESS;
    for (i = 0; tx->request->challenge && i < 2; i++) {
        id = make_id(self, i, tx->request->challenge, p);
        if (id && strlen(held->challenge_id) == STORE_ID_LEN &&
            CRYPTO_memcmp(id, held->challenge_id, STORE_ID_LEN) == 0)
            ours = 1;
    }
    if (!ours) {
        policy_refuse_challenge(out, "challenge-unknown", p,
                                "the transaction holds another challenge");
        return APR_EACCES;
    }
    rv = check_bound(self, tx, attributes, out, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (*held->challenge.template_name &&
        strcmp(held->challenge.template_name, tx->request->template_name) != 0) {
        policy_refuse_challenge(out, "challenge-template", p,
                                apr_psprintf(p, "the challenge was made for template %s, not %s",
                                             held->challenge.template_name,
                                             tx->request->template_name));
        out->phase = OUTCOME_PHASE_PERMISSION;
        return APR_EACCES;
    }
    return APR_SUCCESS;
}

const policy_provider_t policy_challenge = {.name = "challenge",
                                            .keys = challenge_keys,
                                            .needs_secret = 1,
                                            .needs_challenge = 1,
                                            .create = challenge_create,
                                            .prepare = challenge_prepare,
                                            .child_init = challenge_child_init,
                                            .fingerprint = challenge_fingerprint,
                                            .generate_challenge = challenge_generate,
                                            .reserve = challenge_reserve,
                                            .verify = challenge_verify};
