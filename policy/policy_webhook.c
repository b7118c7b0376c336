/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy "webhook": another service is asked, by JSON over HTTPS or a unix socket, and told how it
 * ended.  docs/policy.md is the format.
 *
 * Only HTTP 200 with "allow": true is a yes.  News go through the outbox, so that they are
 * delivered although the receiver is down at the moment; with notifySync=on that of a certificate
 * is told at once, and what the receiver has not confirmed is not delivered to the device.
 */
#include "policy_webhook.h"
#include "../common/http_settings.h"
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <string.h>

#define WHAT "webhook secret"
#define SECRET_MIN 32
#define SECRET_MAX 1024
#define BODY_MAX (64 * 1024)
#define RETRY apr_time_from_sec(30) /* where the peer names no time */
/* those of 4xx that may pass (RFC 9110, RFC 6585); 401: secrets differ while they are changed */
#define HTTP_UNAUTHORIZED 401
#define HTTP_TIMEOUT 408
#define HTTP_TOO_MANY 429
#define TEXT_REFUSED "The request was refused."

typedef struct webhook_policy_t {
    const policy_config_t *cfg;
    const char *secret_file;
    secret_t secret;
    http_client_t *client;
    int tells_challenge, needs_challenge, notifies, notifies_sync;
    unsigned adds; /* POLICY_ADDS_*: what the peer may add */
} webhook_policy_t;

static const settings_key_t webhook_keys[] = {
    {"url", "URL", 1},
    {"url2", "URL", 0},
    {"secretFile", "FILE", 1},
    {"certificate", "FILE", 0},
    {"key", "FILE", 0},
    HTTP_SETTINGS_PEER,
    {"concurrency", "NUMBER", 0},
    {"challenge", "on|off", 0},
    {"challengeRequired", "on|off", 0},
    {"notify", "on|off", 0},
    {"notifySync", "on|off", 0},
    POLICY_ATTRIBUTES_KEY,
    {NULL, NULL, 0}};

/* Pool cleanup: overwrites the secret. */
static apr_status_t wipe_secret(void *baton)
{
    secret_wipe(&((webhook_policy_t *)baton)->secret);
    return APR_SUCCESS;
}

static const char *webhook_create(void **pinstance, const settings_t *settings,
                                  const policy_config_t *cfg, apr_pool_t *p)
{
    webhook_policy_t *self = apr_pcalloc(p, sizeof(*self));
    http_options_t o;
    const char *error;

    memset(&o, 0, sizeof(o));
    o.name = apr_pstrcat(p, "service '", cfg->service, "': webhook", NULL);
    o.url[0] = settings_get(settings, "url", "");
    o.url[1] = settings_get(settings, "url2", NULL);
    o.certificate_file = settings_get(settings, "certificate", NULL);
    o.key_file = settings_get(settings, "key", NULL);
    o.timeout = apr_time_from_sec(2);
    o.connect_timeout = apr_time_from_sec(1);
    o.concurrency = 8;
    o.body_max = BODY_MAX;
    self->cfg = cfg;
    self->secret_file = settings_get(settings, "secretFile", "");
    error = http_settings_read(&o, settings, p);
    if (!error)
        error = settings_get_flag(settings, "challenge", 0, &self->tells_challenge, p);
    if (!error)
        error = settings_get_flag(settings, "challengeRequired", 1, &self->needs_challenge, p);
    if (!error)
        error = settings_get_flag(settings, "notify", 1, &self->notifies, p);
    if (!error)
        error = settings_get_flag(settings, "notifySync", 0, &self->notifies_sync, p);
    if (!error && self->notifies_sync && !self->notifies)
        error = "notifySync=on needs notify=on";
    if (!error)
        error = policy_attributes_setting(&self->adds, settings, p);
    if (!error)
        error = http_client_make(&self->client, &o, p);
    *pinstance = self;
    return error;
}

static const char *webhook_check(const void *instance, apr_pool_t *p)
{
    const webhook_policy_t *self = instance;
    secret_t secret;
    const char *error =
        secret_read(&secret, self->secret_file, WHAT, SECRET_MIN, SECRET_MAX, p);

    secret_wipe(&secret);
    return error ? error : http_client_check(self->client, p);
}

static const char *webhook_prepare(void *instance, uid_t uid, gid_t gid, apr_pool_t *p)
{
    webhook_policy_t *self = instance;
    const char *error =
        secret_read(&self->secret, self->secret_file, WHAT, SECRET_MIN, SECRET_MAX, p);

    (void)uid;
    (void)gid;
    if (error)
        return error;
    apr_pool_cleanup_register(p, self, wipe_secret, apr_pool_cleanup_null);
    return http_client_prepare(self->client, p);
}

static apr_status_t webhook_child_init(void *instance, apr_pool_t *pchild)
{
    apr_pool_cleanup_register(pchild, instance, wipe_secret, apr_pool_cleanup_null);
    return http_client_child_init(((webhook_policy_t *)instance)->client, pchild);
}

static const char *webhook_fingerprint(void *instance, apr_pool_t *p)
{
    const webhook_policy_t *self = instance;
    unsigned char mac[32];

    if (self->secret.key[0].len == 0 ||
        crypt_hmac_sha256(mac, &self->secret.key[0], "fingerprint", "", 0) != APR_SUCCESS)
        return NULL;
    return crypt_hex(mac, sizeof(mac), 0, p);
}

static apr_status_t webhook_reserve(void *instance, const policy_request_t *request,
                                    store_claim_t *claim, outcome_t *out, apr_pool_t *p)
{
    (void)claim;
    if (request->challenge || request->signer ||
        !((const webhook_policy_t *)instance)->needs_challenge)
        return APR_SUCCESS;
    policy_refuse_missing(out, p);
    return APR_EACCES;
}

/* The signature's header: HMAC-SHA-256(secret, timestamp "." body); NULL: no HMAC. */
static const char *sign(const webhook_policy_t *self, const char *timestamp, const char *body,
                        apr_pool_t *p)
{
    const crypt_buf_t *key = &self->secret.key[0];
    apr_size_t head = strlen(timestamp), len = head + 1 + strlen(body);
    char *text = apr_pstrcat(p, timestamp, ".", body, NULL);
    unsigned char mac[32];
    unsigned int n = sizeof(mac);
    int done = key->len && HMAC(EVP_sha256(), key->data, (int)key->len,
                                (const unsigned char *)text, len, mac, &n) != NULL;

    OPENSSL_cleanse(text, len);
    return done ? apr_pstrcat(p, "X-Scep-Signature: sha256=", crypt_hex(mac, n, 0, p), NULL) : NULL;
}

/* Posts a body to the peer; urgent: that of a certificate, which questions must not keep out. */
static apr_status_t post(const webhook_policy_t *self, const char *body, int urgent,
                         apr_time_t deadline, http_answer_t *answer, const log_sink_t *log,
                         apr_pool_t *p)
{
    const char *headers[3] = {NULL, NULL, NULL};
    const char *timestamp = apr_psprintf(p, "%" APR_INT64_T_FMT, apr_time_sec(apr_time_now()));
    http_request_t request;

    memset(&request, 0, sizeof(request));
    request.content_type = "application/json";
    request.body.data = (const unsigned char *)body;
    request.body.len = strlen(body);
    request.headers = headers;
    request.idempotent = 1;
    request.urgent = urgent;
    request.deadline = deadline;
    headers[0] = apr_pstrcat(p, "X-Scep-Timestamp: ", timestamp, NULL);
    headers[1] = sign(self, timestamp, body, p);
    if (!headers[1]) {
        memset(answer, 0, sizeof(*answer));
        answer->peer = "";
        answer->error = "the request cannot be signed";
        return APR_EGENERAL;
    }
    return http_client_call(self->client, &request, answer, log, p);
}

/* What came instead of a good answer. */
static const char *describe(apr_status_t rv, const http_answer_t *answer, apr_pool_t *p)
{
    return rv == APR_SUCCESS ? apr_psprintf(p, "HTTP status %d", answer->status) : answer->error;
}

/* Sets out for a peer that gave no verdict. */
static apr_status_t no_verdict(const webhook_policy_t *self, const http_answer_t *answer,
                               const char *why, outcome_t *out, const log_sink_t *log,
                               apr_pool_t *p)
{
    log_to(log, http_client_is_ending() ? LOG_SINK_INFO : LOG_SINK_ERR, SCEPTAG(0220),
           "service '%s': webhook %s gives no verdict: %s", self->cfg->service, answer->peer,
           why);
    outcome_unavailable(out, "webhook", answer->retry_after > 0 ? answer->retry_after : RETRY, p,
                        "webhook %s: %s", answer->peer, why);
    out->text = POLICY_TEXT_UNAVAILABLE;
    return APR_EGENERAL;
}

static apr_status_t webhook_verify(void *instance, const policy_tx_t *tx,
                                   policy_attributes_t *attributes, outcome_t *out,
                                   const log_sink_t *log, apr_pool_t *p)
{
    const webhook_policy_t *self = instance;
    const char *body = webhook_question(tx, self->tells_challenge, out, p), *error;
    webhook_verdict_t verdict;
    http_answer_t answer;
    apr_status_t rv;

    if (!body)
        return out->result == OUTCOME_REFUSED ? APR_EACCES : APR_EGENERAL;
    rv = post(self, body, 0, tx->request->deadline, &answer, log, p);
    if (rv != APR_SUCCESS || answer.status != 200)
        return no_verdict(self, &answer, describe(rv, &answer, p), out, log, p);
    error = webhook_read(&verdict, &answer.body, self->adds, p);
    if (error)
        return no_verdict(self, &answer, error, out, log, p);
    if (verdict.allow) {
        *attributes = verdict.attributes;
        return APR_SUCCESS;
    }
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "webhook-refused",
                   *verdict.text ? verdict.text : TEXT_REFUSED, p, "the webhook says: %s",
                   *verdict.reason ? verdict.reason : "no");
    out->phase = OUTCOME_PHASE_PERMISSION;
    return APR_EACCES;
}

/*
 * Tells the receiver of a certificate while the device waits.  Only a status 2xx that does not say
 * "allow": false lets it have the certificate.
 */
static apr_status_t confirm(const webhook_policy_t *self, const char *body, apr_time_t deadline,
                            outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    webhook_verdict_t verdict;
    http_answer_t answer;
    apr_status_t rv = post(self, body, 1, deadline, &answer, log, p);
    int group = rv == APR_SUCCESS ? answer.status / 100 : 0;

    if ((group == 2 || group == 4) && webhook_forbids(&verdict, &answer.body, p)) {
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "webhook-forbidden",
                       *verdict.text ? verdict.text : TEXT_REFUSED, p,
                       "the webhook forbids delivery: %s",
                       *verdict.reason ? verdict.reason : "no");
        return APR_EACCES;
    }
    if (group == 2)
        return APR_SUCCESS;
    log_to(log, LOG_SINK_ERR, SCEPTAG(0221),
           "service '%s': webhook %s did not confirm a certificate, which is not delivered: %s",
           self->cfg->service, answer.peer, describe(rv, &answer, p));
    outcome_unavailable(out, "webhook", answer.retry_after > 0 ? answer.retry_after : RETRY, p,
                        "webhook %s did not confirm: %s", answer.peer, describe(rv, &answer, p));
    out->text = POLICY_TEXT_UNAVAILABLE;
    return APR_EGENERAL;
}

static apr_status_t webhook_notify(void *instance, const policy_tx_t *tx,
                                   const policy_event_t *event, const char **news,
                                   outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    const webhook_policy_t *self = instance;
    int issued = event->event == POLICY_EVENT_ISSUED;
    const char *id, *body;

    if (!self->notifies)
        return APR_SUCCESS;
    /* only who was told of the certificate at once has to hear that it is not delivered */
    if (event->event == POLICY_EVENT_TRANSIENT && !self->notifies_sync)
        return APR_SUCCESS;
    id = policy_news_id(tx, self, event->event, p);
    body = id ? webhook_news(tx, event, id, p) : NULL;
    if (issued && !body) {
        outcome_unavailable(out, "webhook", RETRY, p, "the webhook's news cannot be written");
        return APR_EGENERAL;
    }
    if (issued && self->notifies_sync)
        return confirm(self, body, tx->request->deadline, out, log, p);
    *news = body;
    return APR_SUCCESS;
}

static int webhook_deliveries(const void *instance)
{
    return http_client_background(((const webhook_policy_t *)instance)->client);
}

static int webhook_is_resting(const void *instance)
{
    return http_client_is_resting(((const webhook_policy_t *)instance)->client);
}

static apr_status_t webhook_deliver(void *instance, const char *news, apr_time_t deadline,
                                    outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    http_answer_t answer;
    apr_status_t rv = post(instance, news, 0, deadline, &answer, log, p);

    if (rv == APR_SUCCESS && answer.status / 100 == 2)
        return APR_SUCCESS;
    outcome_unavailable(out, "webhook", answer.retry_after, p, "webhook %s: %s", answer.peer,
                        describe(rv, &answer, p));
    if (rv == APR_SUCCESS && answer.status / 100 == 4 && answer.status != HTTP_UNAUTHORIZED &&
        answer.status != HTTP_TIMEOUT && answer.status != HTTP_TOO_MANY)
        return APR_EINVAL;
    return rv == APR_SUCCESS ? APR_EAGAIN : rv;
}

const policy_provider_t policy_webhook = {.name = "webhook",
                                          .keys = webhook_keys,
                                          .repeatable = 1,
                                          .create = webhook_create,
                                          .check = webhook_check,
                                          .prepare = webhook_prepare,
                                          .child_init = webhook_child_init,
                                          .fingerprint = webhook_fingerprint,
                                          .reserve = webhook_reserve,
                                          .verify = webhook_verify,
                                          .notify = webhook_notify,
                                          .deliver = webhook_deliver,
                                          .deliveries = webhook_deliveries,
                                          .is_resting = webhook_is_resting};
