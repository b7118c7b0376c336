/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of Intune's services: a token from the directory, the service's location from Microsoft
 * Graph, then the call; see policy_intune.h.
 */
#include "policy_intune.h"
#include "../common/clock.h"
#include "../common/http_client.h"
#include "../common/fetch_cache.h"
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

#define BODY_MAX (64 * 1024)
#define DISCOVERY_MAX (1024 * 1024) /* all services of a tenant */
#define WORK_MAX (4 * 1024 * 1024)  /* 500 revocations */
#define LOCATION_LIFE apr_time_from_sec(24 * 3600)
#define PAUSE apr_time_from_sec(5) /* after 429 or 503 that names no time */
#define LOGIN_CALLS 2              /* at once, and there are two tokens */

enum { TOKEN_GRAPH, TOKEN_INTUNE, LOCATION_SCEP, LOCATION_PKI, CACHES };

/* What one fetch is for. */
typedef struct fetch_t {
    intune_api_t *api;
    const char *what; /* the scope, or the service's name */
} fetch_t;

struct intune_api_t {
    intune_options_t options;
    intune_login_t login;
    http_client_t *login_client, *graph, *service;
    const char *scope[2];
    /* the child's */
    fetch_cache_t cache[CACHES];
    apr_thread_mutex_t *mutex;
    apr_time_t pause; /* calls that are not urgent fail until then; clock_monotonic()'s */
};

/* A client; url NULL: one whose URL comes with each call.  Error text in p, NULL on success. */
static const char *make_client(http_client_t **pclient, const intune_options_t *options,
                               const char *what, const char *url, int concurrency,
                               apr_size_t body_max, apr_pool_t *p)
{
    http_options_t o = options->http;
    const char *error;

    o.name = apr_pstrcat(p, "service '", options->service, "': ", what, NULL);
    o.url[0] = url;
    o.url_at_call = !url;
    o.concurrency = concurrency;
    o.body_max = body_max;
    error = http_client_make(pclient, &o, p);
    return error ? apr_pstrcat(p, what, ": ", error, NULL) : NULL;
}

/* A URL without the slashes at its end. */
static const char *trimmed(const char *url, apr_pool_t *p)
{
    char *copy = apr_pstrdup(p, url), *end;

    for (end = copy + strlen(copy); end > copy && end[-1] == '/';)
        *--end = '\0';
    return copy;
}

const char *intune_api_make(intune_api_t **papi, const intune_options_t *options, apr_pool_t *p)
{
    intune_api_t *api = apr_pcalloc(p, sizeof(*api));
    const char *graph = trimmed(options->graph, p), *error, *url;

    api->options = *options;
    api->login = options->login;
    api->login.token_url = apr_pstrcat(p, trimmed(options->authority, p), "/", options->tenant,
                                       "/oauth2/v2.0/token", NULL);
    api->scope[TOKEN_GRAPH] = apr_pstrcat(p, graph, "/.default", NULL);
    /* the double slash is Microsoft's: the resource's own name ends in one */
    api->scope[TOKEN_INTUNE] = apr_pstrcat(p, trimmed(options->resource, p), "//.default", NULL);
    error = make_client(&api->login_client, options, "authority", api->login.token_url,
                        LOGIN_CALLS, BODY_MAX, p);
    url = apr_pstrcat(p, graph, "/v1.0/servicePrincipals/appId=", options->app_id, "/endpoints",
                      NULL);
    if (!error)
        error = make_client(&api->graph, options, "graph", url, LOGIN_CALLS, DISCOVERY_MAX, p);
    if (!error)
        error = make_client(&api->service, options, "Intune", NULL, options->http.concurrency,
                            WORK_MAX, p);
    *papi = error ? NULL : api;
    return error;
}

const char *intune_api_check(const intune_api_t *api, apr_pool_t *p)
{
    intune_login_t login = api->login;
    const char *error = intune_login_load(&login, p);

    intune_login_wipe(&login);
    return error ? error : http_client_check(api->service, p);
}

/* Pool cleanup: overwrites what is secret. */
static apr_status_t wipe_login(void *baton)
{
    intune_login_wipe(&((intune_api_t *)baton)->login);
    return APR_SUCCESS;
}

const char *intune_api_prepare(intune_api_t *api, apr_pool_t *p)
{
    const char *error = intune_login_load(&api->login, p);

    if (error)
        return error;
    apr_pool_cleanup_register(p, api, wipe_login, apr_pool_cleanup_null);
    error = http_client_prepare(api->login_client, p);
    if (!error)
        error = http_client_prepare(api->graph, p);
    return error ? error : http_client_prepare(api->service, p);
}

apr_status_t intune_api_child_init(intune_api_t *api, apr_pool_t *pchild)
{
    apr_status_t rv = apr_thread_mutex_create(&api->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
    int i;

    apr_pool_cleanup_register(pchild, api, wipe_login, apr_pool_cleanup_null);
    for (i = 0; rv == APR_SUCCESS && i < CACHES; i++)
        rv = fetch_cache_init(&api->cache[i], pchild);
    if (rv == APR_SUCCESS)
        rv = http_client_child_init(api->login_client, pchild);
    if (rv == APR_SUCCESS)
        rv = http_client_child_init(api->graph, pchild);
    return rv == APR_SUCCESS ? http_client_child_init(api->service, pchild) : rv;
}

/* Says why a fetch failed; APR_EGENERAL. */
static apr_status_t cannot(fetch_why_t *why, const char *what, const http_answer_t *answer,
                           apr_status_t rv, const char *error, apr_pool_t *p)
{
    const char *text = rv != APR_SUCCESS ? answer->error : error;

    if (!text)
        text = apr_psprintf(p, "HTTP status %d", answer->status);
    else if (rv == APR_SUCCESS && answer->status != 200)
        text = apr_psprintf(p, "HTTP status %d, %s", answer->status, text);
    apr_cpystrn(why->text, apr_psprintf(p, "%s: %s: %s", what, answer->peer, text),
                sizeof(why->text));
    why->retry_after = answer->retry_after;
    return APR_EGENERAL;
}

/* fetch_cache_fn: a token for the scope fetch->what. */
static apr_status_t fetch_token(void *baton, const char **text, apr_interval_time_t *lifetime,
                                apr_time_t deadline, fetch_why_t *why, const log_sink_t *log,
                                apr_pool_t *p)
{
    const fetch_t *fetch = baton;
    const char *form = intune_login_form(&fetch->api->login, fetch->what, p), *error = NULL;
    http_request_t request;
    http_answer_t answer;
    apr_status_t rv;

    if (!form) {
        apr_cpystrn(why->text, "token: the request cannot be signed", sizeof(why->text));
        return APR_EGENERAL;
    }
    memset(&request, 0, sizeof(request));
    request.content_type = "application/x-www-form-urlencoded";
    request.body.data = (const unsigned char *)form;
    request.body.len = strlen(form);
    request.idempotent = 1;
    request.urgent = 1; /* others share it, who may have a certificate to tell of */
    request.deadline = deadline;
    rv = http_client_call(fetch->api->login_client, &request, &answer, log, p);
    if (rv == APR_SUCCESS && answer.status == 200)
        error = intune_read_token(text, lifetime, &answer.body, p);
    else if (rv == APR_SUCCESS)
        error = intune_read_token_error(&answer.body, p);
    if (answer.body.len)
        OPENSSL_cleanse((void *)answer.body.data, answer.body.len);
    if (rv != APR_SUCCESS || error)
        return cannot(why, "token", &answer, rv, error, p);
    log_to(log, LOG_SINK_DEBUG, SCEPTAG(0270), "service '%s': token for %s, good for %d s",
           fetch->api->options.service, fetch->what, (int)apr_time_sec(*lifetime));
    return APR_SUCCESS;
}

/* A token for one of the scopes; why is set otherwise. */
static apr_status_t get_token(intune_api_t *api, int which, const char **token,
                              apr_time_t deadline, fetch_why_t *why, const log_sink_t *log,
                              apr_pool_t *p)
{
    fetch_t fetch = {api, api->scope[which]};

    return fetch_cache_get(&api->cache[which], fetch_token, &fetch, token, deadline, why, log, p);
}

/* "Authorization: Bearer ...", wiped with p. */
static const char *bearer(const char *token, apr_pool_t *p)
{
    return apr_pstrcat(p, "Authorization: Bearer ", token, NULL);
}

/* Overwrites a header with a token in it. */
static void wipe_header(const char *header)
{
    OPENSSL_cleanse((char *)header, strlen(header));
}

/* Whether a location may be called: HTTPS, at a host that is allowed. */
static int is_allowed(const intune_options_t *options, const char *uri)
{
    const char *host = uri + strlen("https://");
    const char *suffix = options->service_hosts;
    size_t len = strcspn(host, ":/?#"), n = suffix ? strlen(suffix) : 0;

    if (options->http.plain_loopback && strncmp(uri, "http://", strlen("http://")) == 0)
        return 1; /* the client looks whether it is a loopback address */
    if (strncasecmp(uri, "https://", strlen("https://")) != 0 || memchr(host, '@', len))
        return 0;
    return n == 0 || (len > n && strncasecmp(host + len - n, suffix, n) == 0);
}

/* fetch_cache_fn: the location of the service fetch->what, without a slash at its end. */
static apr_status_t fetch_location(void *baton, const char **text, apr_interval_time_t *lifetime,
                                   apr_time_t deadline, fetch_why_t *why, const log_sink_t *log,
                                   apr_pool_t *p)
{
    const fetch_t *fetch = baton;
    intune_api_t *api = fetch->api;
    const char *headers[3] = {NULL, NULL, NULL}, *token, *error = NULL;
    http_request_t request;
    http_answer_t answer;
    apr_status_t rv;
    int count, again = 1;

    memset(&request, 0, sizeof(request));
    request.headers = headers;
    request.idempotent = 1;
    request.urgent = 1; /* as fetch_token() */
    request.deadline = deadline;
    for (count = 0; again; count++) {
        rv = get_token(api, TOKEN_GRAPH, &token, deadline, why, log, p);
        if (rv != APR_SUCCESS)
            return rv;
        headers[0] = bearer(token, p);
        headers[1] = apr_pstrcat(p, "client-request-id: ", intune_guid(p), NULL);
        rv = http_client_call(api->graph, &request, &answer, log, p);
        wipe_header(headers[0]);
        if (rv == APR_SUCCESS && answer.status == 401)
            fetch_cache_drop(&api->cache[TOKEN_GRAPH], token);
        again = rv == APR_SUCCESS && answer.status == 401 && count == 0;
    }
    if (rv == APR_SUCCESS && answer.status == 200)
        error = intune_read_location(text, &answer.body, fetch->what, p);
    if (rv != APR_SUCCESS || answer.status != 200 || error)
        return cannot(why, "discovery", &answer, rv, error, p);
    *text = trimmed(*text, p);
    *lifetime = LOCATION_LIFE;
    if (!is_allowed(&api->options, *text))
        return cannot(why, "discovery", &answer, rv,
                      "it names a location that is not https: at an allowed host", p);
    log_to(log, LOG_SINK_INFO, SCEPTAG(0271), "service '%s': %s is at %s", api->options.service,
           fetch->what, http_printable(*text, 200, p));
    return APR_SUCCESS;
}

/* How long calls that are not urgent have to wait; 0: not at all. */
static apr_interval_time_t paused(intune_api_t *api)
{
    apr_interval_time_t left;

    apr_thread_mutex_lock(api->mutex);
    left = api->pause - clock_monotonic();
    apr_thread_mutex_unlock(api->mutex);
    return left > 0 ? left : 0;
}

/* Keeps the whole child from asking for a while. */
static void pause_calls(intune_api_t *api, apr_interval_time_t wait)
{
    apr_time_t until = clock_monotonic() + (wait > 0 ? wait : PAUSE);

    apr_thread_mutex_lock(api->mutex);
    if (until > api->pause)
        api->pause = until;
    apr_thread_mutex_unlock(api->mutex);
}

/* One call with token and location. */
static apr_status_t call_once(intune_api_t *api, const intune_call_t *call, const char *token,
                              const char *location, intune_reply_t *reply, http_answer_t *answer,
                              const log_sink_t *log, apr_pool_t *p)
{
    const char *headers[4] = {NULL, NULL, NULL, NULL};
    http_request_t request;
    apr_status_t rv;

    memset(&request, 0, sizeof(request));
    request.url = location;
    request.path = apr_pstrcat(p, "/", call->action, NULL);
    request.content_type = "application/json";
    request.body.data = (const unsigned char *)call->body;
    request.body.len = strlen(call->body);
    request.headers = headers;
    request.idempotent = 1; /* telling the same again changes nothing */
    request.urgent = call->urgent;
    request.deadline = call->deadline;
    headers[0] = bearer(token, p);
    headers[1] = apr_pstrcat(p, "client-request-id: ", reply->request_id, NULL);
    headers[2] = apr_pstrcat(p, "api-version: ", call->version, NULL);
    rv = http_client_call(api->service, &request, answer, log, p);
    wipe_header(headers[0]);
    reply->status = rv == APR_SUCCESS ? answer->status : 0;
    return rv;
}

/* Draws the consequences of a call's end for the calls to come, and tells. */
static apr_status_t conclude(intune_api_t *api, fetch_cache_t *where, const char *location,
                             apr_status_t rv, const http_answer_t *answer, intune_reply_t *reply,
                             apr_pool_t *p)
{
    if (rv == APR_SUCCESS && answer->status == 200) {
        reply->body = answer->body;
        return APR_SUCCESS;
    }
    if (rv != APR_EAGAIN) /* busy says nothing about the peer */
        fetch_cache_drop(where, location);
    reply->retry_after = answer->retry_after;
    if (rv != APR_SUCCESS)
        reply->error = apr_psprintf(p, "%s: %s", answer->peer, answer->error);
    else
        reply->error = apr_psprintf(
            p, "%s: HTTP status %d%s", answer->peer, answer->status,
            answer->status == 401 || answer->status == 403
                ? " (has the application the permission scep_challenge_provider?)" : "");
    if (rv == APR_SUCCESS && (answer->status == 429 || answer->status == 503))
        pause_calls(api, answer->retry_after);
    return APR_EGENERAL;
}

/* Tells why there is no token or location. */
static apr_status_t no_way(intune_reply_t *reply, const fetch_why_t *why, apr_pool_t *p)
{
    reply->error = apr_pstrdup(p, why->text);
    reply->retry_after = why->retry_after;
    return APR_EGENERAL;
}

int intune_api_background(const intune_api_t *api)
{
    return http_client_background(api->service);
}

int intune_api_is_resting(const intune_api_t *api)
{
    return http_client_is_resting(api->login_client) || http_client_is_resting(api->graph) ||
           http_client_is_resting(api->service);
}

apr_status_t intune_api_call(intune_api_t *api, const intune_call_t *call, intune_reply_t *reply,
                             const log_sink_t *log, apr_pool_t *p)
{
    apr_time_t deadline =
        call->deadline ? call->deadline : apr_time_now() + api->options.http.timeout;
    int pki = strcmp(call->service, INTUNE_PKI_SERVICE) == 0, count, again = 1;
    fetch_cache_t *where = &api->cache[pki ? LOCATION_PKI : LOCATION_SCEP];
    fetch_t fetch = {api, call->service};
    apr_interval_time_t left = call->urgent ? 0 : paused(api);
    const char *token = NULL, *location = NULL;
    http_answer_t answer;
    fetch_why_t why;
    apr_status_t rv = APR_EGENERAL;

    memset(reply, 0, sizeof(*reply));
    reply->request_id = intune_guid(p);
    if (left > 0 || !reply->request_id) {
        reply->error = left > 0 ? "it wants to be left alone for a while" : "no random numbers";
        reply->retry_after = left;
        return APR_EGENERAL;
    }
    for (count = 0; again; count++) {
        if (fetch_cache_get(where, fetch_location, &fetch, &location, deadline, &why, log, p) !=
                APR_SUCCESS ||
            get_token(api, TOKEN_INTUNE, &token, deadline, &why, log, p) != APR_SUCCESS)
            return no_way(reply, &why, p);
        rv = call_once(api, call, token, location, reply, &answer, log, p);
        if (rv == APR_SUCCESS && answer.status == 401)
            fetch_cache_drop(&api->cache[TOKEN_INTUNE], token);
        again = rv == APR_SUCCESS && answer.status == 401 && count == 0;
    }
    rv = conclude(api, where, location, rv, &answer, reply, p);
    log_to(log, rv == APR_SUCCESS ? LOG_SINK_DEBUG : LOG_SINK_INFO, SCEPTAG(0272),
           "service '%s': %s, %s: client-request-id %s, %s", api->options.service, call->action,
           call->about, reply->request_id, rv == APR_SUCCESS ? "answered" : reply->error);
    return rv;
}
