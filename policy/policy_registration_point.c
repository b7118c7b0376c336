/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy "registration-point": a certificate registration point decides, as it does for NDES'
 * policy modules; docs/registration-point.md is the format.
 *
 * Only HTTP 201 and the body "true" is a yes, and a certificate is delivered only when Notify was
 * answered by 204: the point has then spent the challenge.  A request that fails or waits is told
 * at once if that works, else by the outbox; until it arrives the point holds the challenge.
 */
#include "policy_registration_point.h"
#include "../common/http_settings.h"
#include "policy_attributes.h"
#include <apr_strings.h>
#include <string.h>

#define VERIFY "/Certificate/VerifyRequest"
#define NOTIFY "/Certificate/Notify"
#define BODY_MAX (64 * 1024)
#define RETRY apr_time_from_sec(30) /* where the point names no time */

typedef struct registration_policy_t {
    const policy_config_t *cfg;
    http_client_t *client;
    unsigned adds; /* POLICY_ADDS_* */
} registration_policy_t;

static const settings_key_t registration_keys[] = {
    {"url", "URL", 1},
    HTTP_SETTINGS_URLS,
    {"certificate", "FILE", 1},
    {"key", "FILE", 1},
    HTTP_SETTINGS_PEER,
    {"concurrency", "NUMBER", 0},
    POLICY_ATTRIBUTES_KEY,
    {NULL, NULL, 0}};

/* Takes the points' addresses.  Error text, NULL on success. */
static const char *read_urls(http_options_t *o, const settings_t *s, apr_pool_t *p)
{
    const char *error = http_settings_read_urls(o, s, p);
    int i;

    for (i = 0; !error && i < HTTP_URLS_MAX && o->url[i]; i++) {
        const char *host = strstr(o->url[i], "://");

        if (strncmp(o->url[i], "http", 4) != 0 || !host || !strchr(host + 3, '/') ||
            strncmp(o->url[i], "http+", 5) == 0)
            error = "url (url2, url3, url4) is a point's base, e.g. "
                    "https://crp.example/CertificateRegistrationSvc";
    }
    return error;
}

static const char *registration_create(void **pinstance, const settings_t *settings,
                                       const policy_config_t *cfg, apr_pool_t *p)
{
    registration_policy_t *self = apr_pcalloc(p, sizeof(*self));
    http_options_t o;
    const char *error;

    memset(&o, 0, sizeof(o));
    o.name = apr_pstrcat(p, "service '", cfg->service, "': registration point", NULL);
    o.certificate_file = settings_get(settings, "certificate", "");
    o.key_file = settings_get(settings, "key", "");
    o.timeout = apr_time_from_sec(5);
    o.connect_timeout = apr_time_from_sec(1);
    o.concurrency = 8;
    o.body_max = BODY_MAX;
    self->cfg = cfg;
    error = read_urls(&o, settings, p);
    if (!error)
        error = http_settings_read(&o, settings, p);
    if (!error)
        error = policy_attributes_setting(&self->adds, settings, p);
    if (!error)
        error = http_client_make(&self->client, &o, p);
    *pinstance = self;
    return error;
}

static const char *registration_check(const void *instance, apr_pool_t *p)
{
    return http_client_check(((const registration_policy_t *)instance)->client, p);
}

static const char *registration_prepare(void *instance, uid_t uid, gid_t gid, apr_pool_t *p)
{
    (void)uid;
    (void)gid;
    return http_client_prepare(((registration_policy_t *)instance)->client, p);
}

static apr_status_t registration_child_init(void *instance, apr_pool_t *pchild)
{
    return http_client_child_init(((registration_policy_t *)instance)->client, pchild);
}

/* Posts a body; call is filled, as FAILED until the caller knows better.  urgent: questions must
 * not keep out how others ended.  Status of http_client_call(). */
static apr_status_t post(const registration_policy_t *self, const char *path, const char *body,
                         int urgent, apr_time_t deadline, http_answer_t *answer,
                         policy_call_t *call, const log_sink_t *log, apr_pool_t *p)
{
    static const char *const headers[] = {"User-Agent: NDES_Plugin", NULL};
    http_request_t request;
    apr_status_t rv;

    memset(&request, 0, sizeof(request));
    request.path = path;
    request.content_type = "application/json";
    request.body.data = (const unsigned char *)body;
    request.body.len = strlen(body);
    request.headers = headers;
    request.idempotent = 1; /* the point knows a transaction again */
    request.urgent = urgent;
    request.keep_headers = REGISTRATION_HEADERS;
    request.deadline = deadline;
    rv = http_client_call(self->client, &request, answer, log, p);
    call->result = POLICY_CALL_FAILED;
    call->path = answer->path;
    call->status = answer->status;
    call->error = registration_winhttp_error(answer->failure);
    return rv;
}

/* Why an answer is none that counts. */
static const char *why_not(apr_status_t rv, const http_answer_t *answer, apr_pool_t *p)
{
    if (rv != APR_SUCCESS)
        return answer->error;
    if (answer->status == 403)
        return "HTTP status 403: our client certificate was not accepted (IIS writes 403.16 or "
               "403.7), or may not ask there";
    return apr_psprintf(p, "HTTP status %d", answer->status);
}

/* Sets out for a point that gave no answer that counts, and logs it. */
static apr_status_t unavailable(const registration_policy_t *self, const http_answer_t *answer,
                                const char *what, const char *why, outcome_t *out,
                                const log_sink_t *log, apr_pool_t *p)
{
    log_to(log, http_client_is_ending() ? LOG_SINK_INFO : LOG_SINK_ERR, SCEPTAG(0290),
           "service '%s': registration point %s %s: %s", self->cfg->service, answer->peer, what,
           why);
    outcome_unavailable(out, "registration-point",
                        answer->retry_after > 0 ? answer->retry_after : RETRY, p,
                        "registration point %s %s: %s", answer->peer, what, why);
    out->text = POLICY_TEXT_UNAVAILABLE;
    return APR_EGENERAL;
}

/* Whether a body is exactly a word. */
static int body_is(const http_answer_t *answer, const char *word)
{
    return answer->body.len == strlen(word) &&
           memcmp(answer->body.data, word, answer->body.len) == 0;
}

static apr_status_t registration_verify(void *instance, const policy_tx_t *tx,
                                        policy_attributes_t *attributes, outcome_t *out,
                                        const log_sink_t *log, apr_pool_t *p)
{
    const registration_policy_t *self = instance;
    const char *body = registration_question(tx, p), *error = NULL;
    policy_call_t unused, *call = tx->asked ? tx->asked : &unused;
    http_answer_t answer;
    apr_status_t rv;

    if (!body) {
        outcome_unavailable(out, "registration-point", 0, p, "VerifyRequest cannot be written");
        out->text = POLICY_TEXT_UNAVAILABLE;
        return APR_EGENERAL;
    }
    rv = post(self, VERIFY, body, 0, tx->request->deadline, &answer, call, log, p);
    if (rv != APR_SUCCESS || answer.status != 201)
        error = why_not(rv, &answer, p);
    else if (body_is(&answer, "true"))
        error = registration_attributes(attributes, &answer, self->adds, p);
    else if (!body_is(&answer, "false"))
        error = "the answer is neither true nor false";
    if (error)
        return unavailable(self, &answer, "gives no verdict", error, out, log, p);
    call->result = body_is(&answer, "true") ? POLICY_CALL_YES : POLICY_CALL_NO;
    if (call->result == POLICY_CALL_YES)
        return APR_SUCCESS;
    registration_refuse(out, &answer, p);
    return APR_EACCES;
}

/* Whether the point may hold the transaction, so that it has to be told. */
static int may_hold(const policy_tx_t *tx)
{
    if (!tx->request || (tx->told && tx->told->result == POLICY_CALL_NO))
        return 0;
    return !tx->asked || tx->csr_der.len > 0 || tx->asked->result == POLICY_CALL_YES ||
           tx->asked->result == POLICY_CALL_FAILED;
}

/*
 * Whether the point takes up again what it holds no longer, and wants the same certificate: news of
 * an earlier try of the transaction, which had failed, may have come between its yes and now.
 */
static int holds_again(const registration_policy_t *self, const policy_tx_t *tx,
                       const log_sink_t *log, apr_pool_t *p)
{
    const char *body = registration_question(tx, p);
    policy_attributes_t added;
    policy_call_t unused;
    http_answer_t answer;

    memset(&added, 0, sizeof(added));
    return body &&
           post(self, VERIFY, body, 1, tx->request->deadline, &answer, &unused, log, p) ==
               APR_SUCCESS &&
           answer.status == 201 && body_is(&answer, "true") &&
           !registration_attributes(&added, &answer, self->adds, p) &&
           policy_attributes_same(&added, &tx->attributes);
}

/* Tells of a certificate, which is delivered only if the point takes note of it. */
static apr_status_t notify_issued(const registration_policy_t *self, const policy_tx_t *tx,
                                  const char *body, policy_call_t *call, outcome_t *out,
                                  const log_sink_t *log, apr_pool_t *p)
{
    http_answer_t answer;
    apr_status_t rv = post(self, NOTIFY, body, 1, tx->request->deadline, &answer, call, log, p);

    if (rv == APR_SUCCESS && answer.status == 409 && holds_again(self, tx, log, p))
        rv = post(self, NOTIFY, body, 1, tx->request->deadline, &answer, call, log, p);
    if (rv == APR_SUCCESS && answer.status == 204) {
        call->result = POLICY_CALL_YES;
        return APR_SUCCESS;
    }
    if (rv != APR_SUCCESS || answer.status != 409)
        return unavailable(self, &answer, "was not told of a certificate, which is not delivered",
                           why_not(rv, &answer, p), out, log, p);
    call->result = POLICY_CALL_NO;
    log_to(log, LOG_SINK_WARN, SCEPTAG(0291),
           "service '%s': registration point %s does not hold transaction %s any more; its "
           "certificate is not delivered",
           self->cfg->service, answer.peer, http_printable(tx->request->transaction_id, 64, p));
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_WRONG_USAGE,
                   "registration-point-conflict", "The request was refused.", p,
                   "registration point %s does not hold the transaction any more", answer.peer);
    return APR_EACCES;
}

/*
 * Reads an answer to news of a request that failed or waits.  APR_SUCCESS: nothing is left to do,
 * also where the point holds no such transaction; APR_EINVAL: it never takes them; other: again.
 */
static apr_status_t taken(apr_status_t rv, const http_answer_t *answer)
{
    if (rv != APR_SUCCESS)
        return rv;
    switch (answer->status) {
    case 204:
    case 409: return APR_SUCCESS;
    case 400:
    case 413:
    case 415:
    case 422: return APR_EINVAL;
    default: return APR_EGENERAL;
    }
}

/*
 * Tells at once of a request that failed or waits; whether nothing is left to do.  A point that
 * just gave no answer is not waited for once more.
 */
static int tell_now(const registration_policy_t *self, const policy_tx_t *tx, const char *body,
                    policy_call_t *call, const log_sink_t *log, apr_pool_t *p)
{
    http_answer_t answer;
    apr_status_t posted, rv;

    if ((tx->asked && tx->asked->result == POLICY_CALL_FAILED) ||
        (tx->told && tx->told->result == POLICY_CALL_FAILED))
        return 0;
    posted = post(self, NOTIFY, body, 1, tx->request->deadline, &answer, call, log, p);
    rv = taken(posted, &answer);
    if (rv == APR_SUCCESS)
        call->result = answer.status == 204 ? POLICY_CALL_YES : POLICY_CALL_NO;
    if (rv == APR_EINVAL)
        log_to(log, LOG_SINK_WARN, SCEPTAG(0292),
               "service '%s': registration point %s does not take the news of transaction %s: %s",
               self->cfg->service, answer.peer,
               http_printable(tx->request->transaction_id, 64, p), why_not(posted, &answer, p));
    return rv == APR_SUCCESS || rv == APR_EINVAL;
}

static apr_status_t registration_notify(void *instance, const policy_tx_t *tx,
                                        const policy_event_t *event, const char **news,
                                        outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    const registration_policy_t *self = instance;
    const int issued = event->event == POLICY_EVENT_ISSUED;
    policy_call_t unused, *call = tx->told ? tx->told : &unused;
    const char *body;

    if (event->event == POLICY_EVENT_UNKNOWN || (!issued && !may_hold(tx)) ||
        (event->event == POLICY_EVENT_PENDING && tx->csr_der.len > 0)) /* told when it began */
        return APR_SUCCESS;
    body = tx->request ? registration_news(tx, event, p) : NULL;
    if (!body) {
        outcome_unavailable(out, "registration-point", 0, p, "Notify cannot be written");
        out->text = POLICY_TEXT_UNAVAILABLE;
        return APR_EGENERAL;
    }
    if (issued)
        return notify_issued(self, tx, body, call, out, log, p);
    if (event->deferred || !tell_now(self, tx, body, call, log, p))
        *news = body;
    return APR_SUCCESS;
}

static int registration_deliveries(const void *instance)
{
    return http_client_background(((const registration_policy_t *)instance)->client);
}

static int registration_is_resting(const void *instance)
{
    return http_client_is_resting(((const registration_policy_t *)instance)->client);
}

static apr_status_t registration_deliver(void *instance, const char *news, apr_time_t deadline,
                                         outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    const registration_policy_t *self = instance;
    http_answer_t answer;
    policy_call_t call;
    apr_status_t posted = post(self, NOTIFY, news, 1, deadline, &answer, &call, log, p);
    apr_status_t rv = taken(posted, &answer);

    if (rv != APR_SUCCESS)
        outcome_unavailable(out, "registration-point", answer.retry_after, p,
                            "registration point %s: %s", answer.peer, why_not(posted, &answer, p));
    return rv;
}

const policy_provider_t policy_registration_point = {.name = "registration-point",
                                                     .keys = registration_keys,
                                                     .needs_secret = 1, /* news wait sealed */
                                                     .needs_challenge = 1,
                                                     .create = registration_create,
                                                     .check = registration_check,
                                                     .prepare = registration_prepare,
                                                     .child_init = registration_child_init,
                                                     .verify = registration_verify,
                                                     .notify = registration_notify,
                                                     .deliver = registration_deliver,
                                                     .deliveries = registration_deliveries,
                                                     .is_resting = registration_is_resting};
