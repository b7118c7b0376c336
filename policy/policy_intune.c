/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy "intune": Microsoft Intune says whether a request is the one that its challenge was made
 * for, and is told what became of it (the SCEP API for third-party certification authorities).
 *
 * Only the code "Success" is a yes.  Intune must know of a certificate before it leaves: where it
 * cannot be told, the certificate is not delivered.  Intune keeps no list of used challenges, so
 * each is adopted by the store at its first sight, and is good once.
 */
#include "policy_intune.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

#define CALLER "mod_scep/1"
#define AUTHORITY "https://login.microsoftonline.com"
#define GRAPH "https://graph.microsoft.com"
#define RESOURCE "https://api.manage.microsoft.com/"
#define APP_ID "0000000a-0000-0000-c000-000000000000" /* Intune itself, in every tenant */
#define NOTHING_TO_DO apr_time_from_sec(24 * 3600)
#define MORE_TO_DO apr_time_from_sec(1)
#define NAME_MAX_LEN 253

typedef struct intune_policy_t {
    const policy_config_t *cfg;
    secret_t secret;
    intune_api_t *api;
    intune_names_t names;
    store_challenge_t adopt;
    int renewal_by_signer;
    const char *who;    /* tenant and application, for the fingerprint */
    const char *issuer; /* whose revocations are asked for; NULL: none */
    apr_interval_time_t interval;
} intune_policy_t;

static const settings_key_t intune_keys[] = {
    {"tenant", "NAME or GUID", 1},
    {"clientId", "GUID", 1},
    {"secretFile", "FILE", 0},
    {"certificate", "FILE", 0},
    {"key", "FILE", 0},
    {"assertion", "PS256|RS256", 0},
    {"authority", "URL", 0},
    {"graph", "URL", 0},
    {"resource", "URL", 0},
    {"intuneAppId", "GUID", 0},
    {"serviceHosts", ".DOMAIN", 0},
    {"callerInfo", "TEXT", 0},
    {"caConfiguration", "TEXT", 0},
    {"certificateAuthority", "TEXT", 0},
    {"renewal", "challenge|signer", 0},
    {"remember", "DURATION", 0},
    {"revocation", "on|off", 0},
    {"revocationIssuer", "NAME", 0},
    {"revocationInterval", "DURATION", 0},
    HTTP_SETTINGS_PEER,
    {"concurrency", "NUMBER", 0},
    {NULL, NULL, 0}};

/* Pool cleanup: overwrites the secret. */
static apr_status_t wipe_secret(void *baton)
{
    secret_wipe(&((intune_policy_t *)baton)->secret);
    return APR_SUCCESS;
}

/* A name that becomes a part of URLs.  Error text in p, NULL on success. */
static const char *read_name(const char **value, const settings_t *s, const char *key,
                             const char *fallback, apr_pool_t *p)
{
    const char *c;

    *value = c = settings_get(s, key, fallback);
    while (apr_isalnum(*c) || *c == '-' || *c == '.')
        c++;
    return c == *value || *c || c - *value > NAME_MAX_LEN || **value == '.'
               ? apr_psprintf(p, "%s=%.64s is neither a GUID nor a domain name", key, *value)
               : NULL;
}

/* One of two words; 1: the second.  Error text in p, NULL on success. */
static const char *read_choice(int *value, const settings_t *s, const char *key, const char *first,
                               const char *second, apr_pool_t *p)
{
    const char *text = settings_get(s, key, first);

    *value = strcmp(text, second) == 0;
    return *value || strcmp(text, first) == 0
               ? NULL
               : apr_psprintf(p, "%s=%.64s must be %s or %s", key, text, first, second);
}

/* Who we are.  Error text in p, NULL on success. */
static const char *read_login(intune_options_t *o, const settings_t *s, apr_pool_t *p)
{
    intune_login_t *login = &o->login;
    const char *error = read_name(&o->tenant, s, "tenant", "", p);
    int rs256 = 0;

    if (!error)
        error = read_name(&login->client_id, s, "clientId", "", p);
    if (!error)
        error = read_name(&o->app_id, s, "intuneAppId", APP_ID, p);
    if (!error)
        error = read_choice(&rs256, s, "assertion", "PS256", "RS256", p);
    login->pss = !rs256;
    login->secret_file = settings_get(s, "secretFile", NULL);
    login->certificate_file = settings_get(s, "certificate", NULL);
    login->key_file = settings_get(s, "key", NULL);
    if (!error && !login->secret_file == !login->certificate_file)
        error = "it logs in by secretFile, or by certificate (and key): one of them is needed";
    if (!error && login->key_file && !login->certificate_file)
        error = "a key needs its certificate";
    return error;
}

/* Where Intune is and how it is asked.  Error text in p, NULL on success. */
static const char *read_peers(intune_options_t *o, const settings_t *s, apr_pool_t *p)
{
    const char *error;

    o->authority = settings_get(s, "authority", AUTHORITY);
    o->graph = settings_get(s, "graph", GRAPH);
    o->resource = settings_get(s, "resource", RESOURCE);
    o->service_hosts = settings_get(s, "serviceHosts", NULL);
    o->http.timeout = apr_time_from_sec(5);
    o->http.connect_timeout = apr_time_from_sec(2);
    o->http.concurrency = 8;
    error = http_settings_read(&o->http, s, p);
    if (!error && o->service_hosts && *o->service_hosts != '.')
        error = "serviceHosts: is the end of a host's name and begins with a dot";
    return error;
}

/* What it does besides.  Error text in p, NULL on success. */
static const char *read_rules(intune_policy_t *self, const settings_t *s, apr_pool_t *p)
{
    const char *error = read_choice(&self->renewal_by_signer, s, "renewal", "challenge", "signer",
                                    p);
    int revocation = 0;

    self->names.caller = settings_get(s, "callerInfo", CALLER);
    self->names.configuration = settings_get(s, "caConfiguration", self->cfg->service);
    self->names.authority = settings_get(s, "certificateAuthority", NULL);
    if (!error)
        error = settings_get_duration(s, "remember", apr_time_from_sec(7 * 86400),
                                      apr_time_from_sec(86400), apr_time_from_sec(366 * 86400),
                                      &self->adopt.lifetime, p);
    if (!error)
        error = settings_get_flag(s, "revocation", 0, &revocation, p);
    if (!error)
        error = settings_get_duration(s, "revocationInterval", apr_time_from_sec(600),
                                      apr_time_from_sec(1), apr_time_from_sec(86400),
                                      &self->interval, p);
    self->issuer = revocation ? settings_get(s, "revocationIssuer", "") : NULL;
    if (!error && self->issuer && !*self->issuer)
        error = "revocation=on needs revocationIssuer, the CA's name as Intune was told it: other "
                "CAs' revocations must stay theirs";
    if (!error && !revocation &&
        (settings_get(s, "revocationIssuer", NULL) || settings_get(s, "revocationInterval", NULL)))
        error = "revocationIssuer and revocationInterval are of no use without revocation=on";
    return error;
}

static const char *intune_create(void **pinstance, const settings_t *settings,
                                 const policy_config_t *cfg, apr_pool_t *p)
{
    intune_policy_t *self = apr_pcalloc(p, sizeof(*self));
    intune_options_t o;
    const char *error;

    memset(&o, 0, sizeof(o));
    o.service = cfg->service;
    self->cfg = cfg;
    error = read_login(&o, settings, p);
    if (!error)
        error = read_peers(&o, settings, p);
    if (!error)
        error = read_rules(self, settings, p);
    if (!error)
        error = intune_api_make(&self->api, &o, p);
    self->who = apr_pstrcat(p, o.tenant, "/", o.login.client_id, NULL);
    *pinstance = self;
    return error;
}

static const char *intune_check(const void *instance, apr_pool_t *p)
{
    return intune_api_check(((const intune_policy_t *)instance)->api, p);
}

static const char *intune_prepare(void *instance, uid_t uid, gid_t gid, apr_pool_t *p)
{
    intune_policy_t *self = instance;
    const char *error = policy_secret_load(&self->secret, self->cfg, uid, gid, p);

    if (error)
        return error;
    apr_pool_cleanup_register(p, self, wipe_secret, apr_pool_cleanup_null);
    self->adopt.uses = self->cfg->uses;
    self->adopt.attempts = self->cfg->attempts;
    self->adopt.caller = "intune";
    self->adopt.template_name = self->adopt.bound = "";
    return intune_api_prepare(self->api, p);
}

static apr_status_t intune_child_init(void *instance, apr_pool_t *pchild)
{
    apr_pool_cleanup_register(pchild, instance, wipe_secret, apr_pool_cleanup_null);
    return intune_api_child_init(((intune_policy_t *)instance)->api, pchild);
}

static const char *intune_fingerprint(void *instance, apr_pool_t *p)
{
    const intune_policy_t *self = instance;
    unsigned char mac[32];

    if (self->secret.key[0].len == 0 ||
        crypt_hmac_sha256(mac, &self->secret.key[0], "fingerprint", self->who,
                          strlen(self->who)) != APR_SUCCESS)
        return NULL;
    return crypt_hex(mac, sizeof(mac), 0, p);
}

/* Whether the certificate in use is all that a request needs. */
static int is_by_signer(const intune_policy_t *self, const policy_request_t *request)
{
    return self->renewal_by_signer && request->signer && !request->challenge;
}

static apr_status_t intune_reserve(void *instance, const policy_request_t *request,
                                   store_claim_t *claim, outcome_t *out, apr_pool_t *p)
{
    const intune_policy_t *self = instance;

    if (is_by_signer(self, request))
        return APR_SUCCESS;
    if (!request->challenge) {
        policy_refuse_missing(out, p);
        return APR_EACCES;
    }
    claim->challenge_id[0] = intune_id(&self->secret, 0, self->cfg->service, request->challenge, p);
    claim->challenge_id[1] = intune_id(&self->secret, 1, self->cfg->service, request->challenge, p);
    claim->adopt = &self->adopt;
    if (!claim->challenge_id[0]) {
        outcome_unavailable(out, "secret", 0, p, "the challenge secret is not loaded");
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

/* Whether the transaction holds the request's challenge: nobody else can use it then. */
static int holds(const intune_policy_t *self, const policy_tx_t *tx, apr_pool_t *p)
{
    const char *held = tx->store_tx.challenge_id, *id;
    int i, yes = 0;

    for (i = 0; held && i < 2; i++) {
        id = intune_id(&self->secret, i, self->cfg->service, tx->request->challenge, p);
        if (id && strlen(held) == STORE_ID_LEN && CRYPTO_memcmp(id, held, STORE_ID_LEN) == 0)
            yes = 1;
    }
    return yes;
}

/* Calls an action of the SCEP service with what stands in body. */
static apr_status_t ask(const intune_policy_t *self, const char *action, const char *body,
                        const char *transaction, apr_time_t deadline, int urgent,
                        intune_reply_t *reply, const log_sink_t *log, apr_pool_t *p)
{
    intune_call_t call;

    memset(&call, 0, sizeof(call));
    call.service = INTUNE_SCEP_SERVICE;
    call.version = INTUNE_SCEP_VERSION;
    call.action = action;
    call.body = body;
    call.about = apr_psprintf(p, "transaction %.64s", transaction);
    call.deadline = deadline;
    call.urgent = urgent;
    return intune_api_call(self->api, &call, reply, log, p);
}

/* Sets out for an Intune that gave no verdict. */
static apr_status_t no_verdict(const intune_policy_t *self, const intune_reply_t *reply,
                               const char *why, outcome_t *out, const log_sink_t *log,
                               apr_pool_t *p)
{
    log_to(log, http_client_is_ending() ? LOG_SINK_INFO : LOG_SINK_ERR, SCEPTAG(0273),
           "service '%s': Intune gives no verdict: %s (client-request-id %s)", self->cfg->service,
           why, reply->request_id);
    outcome_unavailable(out, "intune", reply->retry_after > 0 ? reply->retry_after : INTUNE_RETRY,
                        p, "Intune: %s (client-request-id %s)", why, reply->request_id);
    out->text = POLICY_TEXT_UNAVAILABLE;
    return APR_EGENERAL;
}

/* Which of a registration point's phases Intune's answer belongs to, by the reason's family. */
static outcome_phase_e phase_of(const char *reason)
{
    return strncmp(reason, "intune-challenge-", 17) == 0 ? OUTCOME_PHASE_CHALLENGE
           : strncmp(reason, "intune-client-", 14) == 0  ? OUTCOME_PHASE_PERMISSION
           : strncmp(reason, "intune-request-", 15) == 0 ? OUTCOME_PHASE_REQUEST
                                                         : OUTCOME_PHASE_NONE;
}

/* Reads the answer to an action.  APR_SUCCESS: it is Success; otherwise out is set. */
static apr_status_t judge(const intune_policy_t *self, const intune_reply_t *reply,
                          const char *action, const char *challenge, outcome_t *out,
                          const log_sink_t *log, apr_pool_t *p)
{
    const intune_code_t *meaning;
    const char *code, *text;
    const char *error = intune_read_answer(&code, &text, &reply->body, challenge, p);

    if (error)
        return no_verdict(self, reply, error, out, log, p);
    if (intune_code_allows(code))
        return APR_SUCCESS;
    meaning = intune_code(code);
    outcome_refuse(out, meaning->fail_info, meaning->hresult, meaning->reason, meaning->text, p,
                   "Intune answers %s with %s: %s%s%s (client-request-id %s)", action, code,
                   meaning->log, *text ? "; " : "", text, reply->request_id);
    out->phase = phase_of(meaning->reason);
    return APR_EACCES;
}

static apr_status_t intune_verify(void *instance, const policy_tx_t *tx,
                                  policy_attributes_t *attributes, outcome_t *out,
                                  const log_sink_t *log, apr_pool_t *p)
{
    const intune_policy_t *self = instance;
    const policy_request_t *request = tx->request;
    intune_reply_t reply;
    const char *body;
    apr_status_t rv;

    (void)attributes;
    if (is_by_signer(self, request))
        return APR_SUCCESS;
    if (!request->challenge) {
        policy_refuse_missing(out, p);
        return APR_EACCES;
    }
    if (!holds(self, tx, p)) {
        policy_refuse_challenge(out, "challenge-used", p,
                                "the challenge was used before, or another request holds it");
        return APR_EACCES;
    }
    body = intune_validate_body(request, &self->names, p);
    if (!body) {
        outcome_unavailable(out, "intune", 0, p, "the question cannot be written");
        return APR_EGENERAL;
    }
    if (ask(self, "ScepActions/validateRequest", body, request->transaction_id,
            request->deadline, 0, &reply, log, p) != APR_SUCCESS)
        return no_verdict(self, &reply, reply.error, out, log, p);
    rv = judge(self, &reply, "validateRequest", request->challenge, out, log, p);
    if (rv == APR_EACCES && strcmp(out->reason, "intune-challenge-expired") == 0 &&
        policy_is_approved(tx))
        out->detail = apr_pstrcat(p, tx->store_tx.decided_by, " approved it too late: ",
                                  out->detail, NULL);
    return rv;
}

/* Tells Intune of a certificate; only with APR_SUCCESS it may leave. */
static apr_status_t tell_success(const intune_policy_t *self, const policy_request_t *request,
                                 const policy_event_t *event, outcome_t *out,
                                 const log_sink_t *log, apr_pool_t *p)
{
    const char *body = intune_success_body(request, &event->certificate, &self->names, p);
    apr_status_t rv = APR_EGENERAL;
    intune_reply_t reply;

    if (!body)
        outcome_unavailable(out, "intune", INTUNE_RETRY, p, "the certificate cannot be read");
    else if (ask(self, "ScepActions/successNotification", body, request->transaction_id,
                 request->deadline, 1, &reply, log, p) != APR_SUCCESS)
        rv = no_verdict(self, &reply, reply.error, out, log, p);
    else
        rv = judge(self, &reply, "successNotification", request->challenge, out, log, p);
    if (rv != APR_SUCCESS)
        log_to(log, LOG_SINK_ERR, SCEPTAG(0274),
               "service '%s': certificate %s of transaction %.64s must not leave, Intune did not "
               "take note of it: %s",
               self->cfg->service, event->serial ? event->serial : "?", request->transaction_id,
               out->detail);
    return rv;
}

/* Whether a refusal is none of Intune's own, and no attempt with a challenge that is spent. */
static int is_ours(const outcome_t *why)
{
    return why && strncmp(why->reason, "intune", 6) != 0 &&
           strncmp(why->reason, "challenge-", 10) != 0;
}

static apr_status_t intune_notify(void *instance, const policy_tx_t *tx,
                                  const policy_event_t *event, const char **news, outcome_t *out,
                                  const log_sink_t *log, apr_pool_t *p)
{
    const intune_policy_t *self = instance;
    const policy_request_t *request = tx->request;
    const outcome_t *why = event->outcome;
    const char *text;

    if (!request || !request->challenge) {
        if (event->event != POLICY_EVENT_ISSUED || (request && is_by_signer(self, request)))
            return APR_SUCCESS;
        outcome_unavailable(out, "intune", 0, p, "the transaction has no request to tell of");
        return APR_EGENERAL;
    }
    if (event->event == POLICY_EVENT_ISSUED)
        return tell_success(self, request, event, out, log, p);
    if (event->event == POLICY_EVENT_REFUSED && is_ours(why)) {
        text = why->detail && *why->detail ? why->detail : why->text;
        *news = intune_failure_body(request,
                                    why->hresult != OUTCOME_HR_NONE ? why->hresult
                                                                    : OUTCOME_HR_ACCESS_DENIED,
                                    apr_pstrcat(p, why->reason, ": ", text, NULL), &self->names, p);
    }
    return APR_SUCCESS;
}

static int intune_deliveries(const void *instance)
{
    return intune_api_background(((const intune_policy_t *)instance)->api);
}

static int intune_is_resting(const void *instance)
{
    return intune_api_is_resting(((const intune_policy_t *)instance)->api);
}

static apr_status_t intune_deliver(void *instance, const char *news, apr_time_t deadline,
                                   outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    const intune_policy_t *self = instance;
    const char *transaction = intune_body_transaction(news, p);
    intune_reply_t reply;
    apr_status_t rv;

    if (!*transaction) {
        outcome_unavailable(out, "intune", 0, p, "the news cannot be read");
        return APR_EINVAL;
    }
    if (ask(self, "ScepActions/failureNotification", news, transaction, deadline, 0, &reply, log,
            p) != APR_SUCCESS) {
        outcome_unavailable(out, "intune", reply.retry_after, p,
                            "Intune: %s (client-request-id %s)", reply.error, reply.request_id);
        return reply.status == 400 || reply.status == 413 ? APR_EINVAL : APR_EGENERAL;
    }
    rv = judge(self, &reply, "failureNotification", NULL, out, log, p);
    return rv == APR_EACCES ? APR_EINVAL : rv;
}

static apr_interval_time_t intune_work(void *instance, const policy_work_t *work,
                                       const log_sink_t *log, apr_pool_t *p)
{
    const intune_policy_t *self = instance;

    if (!self->issuer)
        return NOTHING_TO_DO;
    return intune_revoke_round(self->api, self->cfg->service, self->issuer, work, log, p)
               ? MORE_TO_DO
               : self->interval;
}

const policy_provider_t policy_intune = {.name = "intune",
                                         .keys = intune_keys,
                                         .needs_secret = 1,
                                         .needs_challenge = 1,
                                         .create = intune_create,
                                         .check = intune_check,
                                         .prepare = intune_prepare,
                                         .child_init = intune_child_init,
                                         .fingerprint = intune_fingerprint,
                                         .reserve = intune_reserve,
                                         .verify = intune_verify,
                                         .notify = intune_notify,
                                         .deliver = intune_deliver,
                                         .deliveries = intune_deliveries,
                                         .is_resting = intune_is_resting,
                                         .work = intune_work};
