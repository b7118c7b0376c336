/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy "sealed": challenges that carry what the CSR must be, signed by the registration point and
 * encrypted to it.  Making one needs no store; that it is used once is the store's doing, which
 * learns of it when it is shown (store_claim_t.adopt).
 *
 * The phases are those of a certificate registration point.  1: who signed it, what is in it, is it
 * still good.  2: which template it is for.  3: the CSR against it.
 */
#include "policy_attributes.h"
#include "policy_bound.h"
#include "policy_provider.h"
#include "policy_sealed.h"
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#define VERSION 1
#define ID_BYTES 16
#define SHORT_ID 12
#define CALLER_UNKNOWN "(not UTF-8)"
#define LIFETIME_MAX apr_time_from_sec(30 * 86400)
#define SKEW_MAX apr_time_from_sec(600)
#define MARGIN apr_time_from_sec(60)

typedef struct sealed_policy_t {
    const policy_config_t *cfg;
    sealed_files_t files;
    sealed_keys_t keys;
    apr_interval_time_t lifetime, skew;
    int adds_sid; /* the security identifier that a challenge is bound to */
    void *plain; /* the instance of policy "challenge" for short ones; NULL: refused */
} sealed_policy_t;

/* What is sealed; strings are not NULL. */
typedef struct content_t {
    const char *challenge; /* that it was found in */
    const char *id; /* the name it is stored under */
    const char *caller, *template_name, *bound;
    apr_time_t issued, expires;
} content_t;

static const settings_key_t sealed_keys[] = {{"certificate", "FILE", 1},
                                             {"key", "FILE", 0},
                                             {"encryptionCertificate", "FILE", 0},
                                             {"encryptionKey", "FILE", 0},
                                             {"previousCertificate", "FILE", 0},
                                             {"previousKey", "FILE", 0},
                                             {"previousEncryptionCertificate", "FILE", 0},
                                             {"previousEncryptionKey", "FILE", 0},
                                             {"lifetime", "DURATION", 0},
                                             {"clockSkew", "DURATION", 0},
                                             {"short", "on|off", 0},
                                             {"attributes", "sid", 0},
                                             {NULL, NULL, 0}};

/* Pool cleanup: overwrites a text. */
static apr_status_t wipe_text(void *baton)
{
    OPENSSL_cleanse(baton, strlen(baton));
    return APR_SUCCESS;
}

static const char *sealed_create(void **pinstance, const settings_t *s,
                                 const policy_config_t *cfg, apr_pool_t *p)
{
    sealed_policy_t *self = apr_pcalloc(p, sizeof(*self));
    sealed_files_t *f = &self->files;
    const char *error;
    int plain = 0;

    self->cfg = cfg;
    f->cert[0] = settings_get(s, "certificate", NULL);
    f->key[0] = settings_get(s, "key", NULL);
    f->encryption_cert[0] = settings_get(s, "encryptionCertificate", NULL);
    f->encryption_key[0] = settings_get(s, "encryptionKey", NULL);
    f->cert[1] = settings_get(s, "previousCertificate", NULL);
    f->key[1] = settings_get(s, "previousKey", NULL);
    f->encryption_cert[1] = settings_get(s, "previousEncryptionCertificate", NULL);
    f->encryption_key[1] = settings_get(s, "previousEncryptionKey", NULL);
    error = settings_get_duration(s, "lifetime", apr_time_from_sec(3600), apr_time_from_sec(1),
                                  LIFETIME_MAX, &self->lifetime, p);
    if (!error)
        error = settings_get_duration(s, "clockSkew", apr_time_from_sec(60), 0, SKEW_MAX,
                                      &self->skew, p);
    if (!error)
        error = settings_get_flag(s, "short", 0, &plain, p);
    if (!error)
        error = policy_attributes_setting_sid(&self->adds_sid, s, p);
    if (!error && plain)
        error = policy_challenge.create(&self->plain, s, cfg, p);
    *pinstance = self;
    return error;
}

static const char *sealed_check(const void *instance, apr_pool_t *p)
{
    const sealed_policy_t *self = instance;
    sealed_keys_t keys;

    if (self->plain && !self->cfg->secret_file && !self->cfg->secret_may_be_made)
        return "short=on: ScepChallengeSecretFile is missing";
    return sealed_keys_load(&keys, &self->files, p);
}

static const char *sealed_prepare(void *instance, uid_t uid, gid_t gid, apr_pool_t *p)
{
    sealed_policy_t *self = instance;
    const char *error = sealed_keys_load(&self->keys, &self->files, p);

    if (!error && self->plain)
        error = policy_challenge.prepare(self->plain, uid, gid, p);
    return error;
}

static apr_status_t sealed_child_init(void *instance, apr_pool_t *pchild)
{
    sealed_policy_t *self = instance;

    return self->plain ? policy_challenge.child_init(self->plain, pchild) : APR_SUCCESS;
}

static const char *sealed_fingerprint(void *instance, apr_pool_t *p)
{
    sealed_policy_t *self = instance;
    const char *mine = sealed_keys_fingerprint(&self->keys, p);
    const char *other = self->plain ? policy_challenge.fingerprint(self->plain, p) : "";

    return mine && other ? apr_pstrcat(p, mine, other, NULL) : NULL;
}

/*
 * The name that a challenge is stored under.  Nobody can guess the id that is sealed, so a digest
 * is enough; and it stays the same when the challenge secret changes, so that no challenge can be
 * used a second time then.
 */
static const char *stored_id(const sealed_policy_t *self, const char *id, apr_pool_t *p)
{
    static const char label[] = "mod_scep sealed";
    crypt_buf_t parts[3];
    unsigned char digest[32];

    parts[0].data = (const unsigned char *)label;
    parts[0].len = sizeof(label) - 1;
    parts[1].data = (const unsigned char *)self->cfg->service;
    parts[1].len = strlen(self->cfg->service);
    parts[2].data = (const unsigned char *)id;
    parts[2].len = strlen(id);
    return crypt_sha256_parts(digest, parts, 3) == APR_SUCCESS
               ? crypt_hex(digest, sizeof(digest), 0, p) : NULL;
}

/* The content as JSON, wiped with p; NULL: no memory, or texts that are not UTF-8. */
static char *write_content(const sealed_policy_t *self, const store_challenge_t *ch,
                           const char *id, apr_time_t now, apr_pool_t *p)
{
    json_t *caller = json_string(ch->caller);
    json_t *object = json_pack(
        "{s:i, s:s, s:s, s:I, s:I, s:o, s:s}", "v", VERSION, "service", self->cfg->service, "id",
        id, "iat", (json_int_t)apr_time_sec(now), "exp",
        (json_int_t)apr_time_sec(now + ch->lifetime), "caller",
        caller ? caller : json_string(CALLER_UNKNOWN), "template", ch->template_name);
    char *text, *copy = NULL;

    if (object && *ch->bound)
        json_object_set_new(object, "bound", json_loads(ch->bound, 0, NULL));
    text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (text) {
        copy = apr_pstrdup(p, text);
        apr_pool_cleanup_register(p, copy, wipe_text, apr_pool_cleanup_null);
        OPENSSL_cleanse(text, strlen(text));
    }
    free(text);
    json_decref(object);
    return copy;
}

/* Seals a new challenge; NULL with out set if that fails.  ch->id is set. */
static const char *seal(const sealed_policy_t *self, store_challenge_t *ch, outcome_t *out,
                        const log_sink_t *log, apr_pool_t *p)
{
    unsigned char bytes[ID_BYTES];
    const char *id, *json = NULL, *text = NULL;
    crypt_buf_t content;

    if (crypt_random(bytes, sizeof(bytes)) == APR_SUCCESS) {
        id = crypt_hex(bytes, sizeof(bytes), 0, p);
        ch->id = stored_id(self, id, p);
        json = ch->id ? write_content(self, ch, id, apr_time_now(), p) : NULL;
    }
    if (json) {
        content.data = (const unsigned char *)json;
        content.len = strlen(json);
        if (sealed_make(&text, &self->keys, &content, p) != APR_SUCCESS)
            log_openssl_errors(log, LOG_SINK_ERR, SCEPTAG(0240), "cannot seal a challenge");
    }
    if (text)
        apr_pool_cleanup_register(p, text, wipe_text, apr_pool_cleanup_null);
    else
        outcome_unavailable(out, "sealed", 0, p, "the challenge cannot be sealed");
    return text;
}

static apr_status_t sealed_generate(void *instance, const policy_mint_t *mint,
                                    policy_challenge_t **pchallenge, outcome_t *out,
                                    const log_sink_t *log, apr_pool_t *p)
{
    sealed_policy_t *self = instance;
    const char *params = mint->params ? mint->params : "", *text;
    store_challenge_t ch = {0};
    apr_status_t rv;

    if (self->plain && params[strspn(params, " \t\r\n")] != '{')
        return policy_challenge.generate_challenge(self->plain, mint, pchallenge, out, log, p);
    ch.lifetime = self->lifetime;
    ch.uses = self->cfg->uses;
    ch.caller = apr_pstrndup(p, mint->caller, STORE_TEXT_MAX);
    ch.template_name = mint->template_name ? mint->template_name : "";
    ch.bound = "";
    rv = policy_challenge_bind(&ch, self->cfg, params, out, log, p);
    if (rv != APR_SUCCESS)
        return rv;
    text = seal(self, &ch, out, log, p);
    if (!text)
        return APR_EGENERAL;
    *pchallenge = apr_pcalloc(p, sizeof(**pchallenge));
    (*pchallenge)->text = text;
    (*pchallenge)->id = apr_pstrndup(p, ch.id, SHORT_ID);
    (*pchallenge)->lifetime = ch.lifetime;
    (*pchallenge)->uses = ch.uses;
    outcome_success(out);
    return APR_SUCCESS;
}

/* Fills content from the object; 0: it is not one that this service sealed. */
static int read_content(content_t *content, const sealed_policy_t *self, json_t *object,
                        apr_pool_t *p)
{
    const char *service = NULL, *id = NULL, *caller = NULL, *template_name = NULL;
    json_t *bound = NULL;
    json_int_t issued = 0, expires = 0;
    int version = 0;
    char *text;

    if (json_unpack(object, "{s:i, s:s, s:s, s:I, s:I, s:s, s:s, s?o !}", "v", &version,
                    "service", &service, "id", &id, "iat", &issued, "exp", &expires, "caller",
                    &caller, "template", &template_name, "bound", &bound) != 0 ||
        version != VERSION || strcmp(service, self->cfg->service) != 0 ||
        strlen(id) != 2 * ID_BYTES || issued < 0 || expires < issued ||
        expires > apr_time_sec(APR_INT64_MAX) / 2 || strlen(caller) > STORE_TEXT_MAX ||
        strlen(template_name) > STORE_TEXT_MAX || (bound && !json_is_object(bound)))
        return 0;
    text = bound ? json_dumps(bound, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    content->bound = text ? apr_pstrdup(p, text) : "";
    free(text);
    content->caller = apr_pstrdup(p, caller);
    content->template_name = apr_pstrdup(p, template_name);
    content->issued = apr_time_from_sec(issued);
    content->expires = apr_time_from_sec(expires);
    content->id = stored_id(self, id, p);
    return content->id != NULL;
}

/* Opens a challenge.  APR_SUCCESS, or APR_EACCES with out refused: whoever made it, it was not this
 * service for a request of today. */
static apr_status_t open_anew(content_t *content, const sealed_policy_t *self,
                              const char *challenge, outcome_t *out, apr_pool_t *p)
{
    const char *reason, *detail;
    crypt_buf_t plain;
    json_t *object;
    int good;

    if (sealed_open(&plain, &self->keys, challenge, &reason, &detail, p) != APR_SUCCESS) {
        policy_refuse_challenge(out, reason, p, detail);
        return APR_EACCES;
    }
    object = json_loadb((const char *)plain.data, plain.len, JSON_REJECT_DUPLICATES, NULL);
    good = object && read_content(content, self, object, p);
    json_decref(object);
    if (!good) {
        policy_refuse_challenge(out, "challenge-foreign", p,
                                "it was sealed for another service, or by another version");
        return APR_EACCES;
    }
    content->challenge = challenge;
    return APR_SUCCESS;
}

/*
 * The same for the request's challenge, whose private key operation and signature are done once for
 * a request: what reserve opened is remembered for verify.
 */
static apr_status_t open_challenge(content_t *content, const sealed_policy_t *self,
                                   const policy_request_t *request, outcome_t *out, apr_pool_t *p)
{
    policy_memo_t *memo = request->memo;
    const content_t *known = memo && memo->instance == self ? memo->data : NULL;
    apr_status_t rv;

    if (known && known->challenge == request->challenge) {
        *content = *known;
        return APR_SUCCESS;
    }
    rv = open_anew(content, self, request->challenge, out, p);
    if (rv == APR_SUCCESS && memo) {
        memo->instance = self;
        memo->data = apr_pmemdup(p, content, sizeof(*content));
    }
    return rv;
}

/* Whether now is within the challenge's time; otherwise out is refused. */
static int is_in_time(const sealed_policy_t *self, const content_t *content, apr_time_t now,
                      outcome_t *out, apr_pool_t *p)
{
    const char *caller = content->caller;

    if (content->issued > now + self->skew) {
        policy_refuse_challenge(out, "challenge-early", p,
                                apr_psprintf(p,
                                             "it was made %" APR_INT64_T_FMT
                                             " seconds from now; whose clock is wrong?",
                                             (apr_int64_t)apr_time_sec(content->issued - now)));
        return 0;
    }
    if (content->expires + self->skew < now) {
        policy_refuse_challenge(
            out, "challenge-expired", p,
            apr_psprintf(p, "it was made for %s and expired %" APR_INT64_T_FMT " seconds ago",
                         caller, (apr_int64_t)apr_time_sec(now - content->expires)));
        return 0;
    }
    return 1;
}

/* What the store has to make of a challenge that it sees for the first time. */
static const store_challenge_t *adopted(const sealed_policy_t *self, const content_t *content,
                                        apr_time_t now, apr_pool_t *p)
{
    store_challenge_t *ch = apr_pcalloc(p, sizeof(*ch));
    policy_bound_t *bound = NULL;

    ch->id = content->id;
    /* no host takes it any more when the store forgets it: a host's clock is wrong by the skew at
     * most, this one's as well as the last one's */
    ch->lifetime = content->expires - now + 4 * self->skew + MARGIN;
    ch->uses = self->cfg->uses;
    ch->attempts = self->cfg->attempts;
    ch->caller = content->caller;
    ch->template_name = content->template_name;
    ch->bound = content->bound;
    if (*ch->bound && !policy_bound_parse(&bound, ch->bound, strlen(ch->bound), p) &&
        bound->uses > 0)
        ch->uses = bound->uses;
    return ch;
}

/* A name that no challenge has, so that the store refuses and counts it; APR_EACCES. */
static apr_status_t nobodys(store_claim_t *claim, outcome_t *out, apr_pool_t *p)
{
    unsigned char bytes[STORE_ID_LEN / 2];

    if (crypt_random(bytes, sizeof(bytes)) != APR_SUCCESS) {
        outcome_unavailable(out, "random", 0, p, "no random numbers");
        return APR_EGENERAL;
    }
    claim->challenge_id[0] = crypt_hex(bytes, sizeof(bytes), 0, p);
    return APR_EACCES;
}

static apr_status_t sealed_reserve(void *instance, const policy_request_t *request,
                                   store_claim_t *claim, outcome_t *out, apr_pool_t *p)
{
    const sealed_policy_t *self = instance;
    apr_time_t now = apr_time_now();
    content_t content;

    if (!request->challenge) /* a renewal: policy_begin() lets no other pass without one */
        return APR_SUCCESS;
    if (self->plain && !sealed_looks(request->challenge))
        return policy_challenge.reserve(self->plain, request, claim, out, p);
    claim->challenge_id[1] = NULL;
    claim->adopt = NULL;
    if (open_challenge(&content, self, request, out, p) != APR_SUCCESS)
        return nobodys(claim, out, p);
    claim->challenge_id[0] = content.id;
    if (is_in_time(self, &content, now, out, p)) {
        claim->adopt = adopted(self, &content, now, p);
        return APR_SUCCESS;
    }
    if (request->signer) { /* it was good once, and the renewal does not need it */
        claim->challenge_id[0] = NULL;
        return APR_SUCCESS;
    }
    return APR_EACCES;
}

/* Phases 2 and 3. */
static apr_status_t check_request(const sealed_policy_t *self, const content_t *content,
                                  const policy_request_t *request,
                                  policy_attributes_t *attributes, outcome_t *out, apr_pool_t *p)
{
    policy_bound_t *bound;
    const char *error;
    apr_status_t rv;

    if (*content->template_name && strcmp(content->template_name, request->template_name) != 0) {
        policy_refuse_challenge(out, "challenge-template", p,
                                apr_psprintf(p, "the challenge was made for template %s, not %s",
                                             content->template_name, request->template_name));
        out->phase = OUTCOME_PHASE_PERMISSION;
        return APR_EACCES;
    }
    if (!*content->bound)
        return APR_SUCCESS;
    error = policy_bound_parse(&bound, content->bound, strlen(content->bound), p);
    if (error) {
        outcome_unavailable(out, "sealed", 0, p,
                            "what the challenge is bound to cannot be read: %s", error);
        return APR_EGENERAL;
    }
    policy_attributes_owner(attributes, bound);
    rv = policy_bound_check(bound, request->csr, request->template_name, out, p);
    if (rv == APR_SUCCESS && self->adds_sid)
        policy_attributes_sid(attributes, bound, request, p);
    return rv;
}

/* Goes by what is sealed: what the store keeps of it decides nothing. */
static apr_status_t sealed_verify(void *instance, const policy_tx_t *tx,
                                  policy_attributes_t *attributes, outcome_t *out,
                                  const log_sink_t *log, apr_pool_t *p)
{
    const sealed_policy_t *self = instance;
    const policy_request_t *request = tx->request;
    const char *held = tx->store_tx.challenge_id;
    content_t content;
    apr_status_t rv;

    if (request->signer && self->adds_sid)
        policy_attributes_sid(attributes, NULL, request, p);
    if (request->signer && !*held)
        return APR_SUCCESS;
    if (self->plain && request->challenge && !sealed_looks(request->challenge))
        return policy_challenge.verify(self->plain, tx, attributes, out, log, p);
    if (!request->challenge) {
        policy_refuse_missing(out, p);
        return APR_EACCES;
    }
    rv = open_challenge(&content, self, request, out, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (strlen(held) != STORE_ID_LEN || CRYPTO_memcmp(content.id, held, STORE_ID_LEN) != 0) {
        policy_refuse_challenge(out, "challenge-unknown", p,
                                "the transaction holds another challenge");
        return APR_EACCES;
    }
    return check_request(self, &content, request, attributes, out, p);
}

const policy_provider_t policy_sealed = {.name = "sealed",
                                         .keys = sealed_keys,
                                         .needs_challenge = 1,
                                         .create = sealed_create,
                                         .check = sealed_check,
                                         .prepare = sealed_prepare,
                                         .child_init = sealed_child_init,
                                         .fingerprint = sealed_fingerprint,
                                         .generate_challenge = sealed_generate,
                                         .reserve = sealed_reserve,
                                         .verify = sealed_verify};
