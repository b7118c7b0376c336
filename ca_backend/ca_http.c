/* SPDX-License-Identifier: Apache-2.0 */
/* What backends over HTTP share; see ca_http.h. */
#include "ca_http.h"

#include <apr_strings.h>
#include <string.h>

#define TIMEOUT apr_time_from_sec(8)
#define CONNECT_TIMEOUT apr_time_from_sec(2)
#define CALLS_MAX 10000     /* the gate is before the client */
#define TEXT_MAX 300        /* bytes of the CA's words that are passed on */

const char *ca_http_make(http_client_t **pclient, const char *backend, const settings_t *settings,
                         const ca_config_t *cfg, apr_pool_t *p)
{
    http_options_t o;
    const char *error;

    *pclient = NULL;
    memset(&o, 0, sizeof(o));
    o.name = apr_pstrcat(p, "service '", cfg->service, "': CA backend ", backend, NULL);
    o.certificate_file = settings_get(settings, "certificate", NULL);
    o.key_file = settings_get(settings, "key", NULL);
    o.keytab = settings_get(settings, "keytab", NULL);
    o.principal = settings_get(settings, "principal", NULL);
    o.timeout = TIMEOUT;
    o.connect_timeout = CONNECT_TIMEOUT;
    o.concurrency = CA_HTTP_CONCURRENCY;
    o.body_max = CA_HTTP_BODY_MAX;
    if (o.key_file != NULL && o.certificate_file == NULL) {
        return "a key needs its certificate";
    }
    error = http_settings_read_urls(&o, settings, p);
    if (error == NULL) {
        error = http_settings_read(&o, settings, p);
    }
    if (error == NULL) {
        error = settings_get_flag(settings, "plain", 0, &o.plain, p);
    }
    o.concurrency = CALLS_MAX;
    if (error == NULL) {
        error = http_client_make(pclient, &o, p);
    }
    return error == NULL ? http_client_prepare(*pclient, p) : error;
}

/* Whether nothing of a failed call can have arrived. */
static int nothing_was_sent(apr_status_t rv, http_failure_e failure)
{
    return rv == APR_EAGAIN || rv == APR_EGENERAL || rv == APR_EINVAL ||
           failure == HTTP_FAILURE_NAME || failure == HTTP_FAILURE_CONNECT ||
           failure == HTTP_FAILURE_TLS || failure == HTTP_FAILURE_TICKET;
}

/* Ends answer as CA_RETRY. */
static void retry(ca_answer_t *answer, const http_answer_t *http, const char *reason,
                  apr_pool_t *p, const char *detail)
{
    answer->result = CA_RETRY;
    answer->retry_after = http->retry_after;
    outcome_unavailable(&answer->outcome, reason, http->retry_after, p, "%s: %s",
                        http->peer != NULL ? http->peer : "the CA", detail);
}

apr_status_t ca_http_ask(http_client_t *client, const http_request_t *request, http_answer_t *http,
                         ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    apr_status_t rv = http_client_call(client, request, http, log, p);

    if (rv == APR_SUCCESS) {
        return APR_SUCCESS;
    }
    answer->unknown = !nothing_was_sent(rv, http->failure);
    if (http->failure == HTTP_FAILURE_TICKET) {
        retry(answer, http, "ca-credentials", p, http->error);
        return rv;
    }
    /* an answer that is too long is one */
    answer->down = rv != APR_EAGAIN && rv != APR_ENOSPC;
    retry(answer, http, "ca-unreachable", p, http->error != NULL ? http->error : "no answer");
    return rv;
}

void ca_http_rejected(ca_answer_t *answer, const http_answer_t *http, const char *text,
                      apr_pool_t *p)
{
    const char *said = text != NULL && *text != '\0' ? http_printable(text, TEXT_MAX, p) : NULL;

    answer->result = CA_REJECTED;
    outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED,
                   "ca-rejected", "The certification authority refused the request.", p,
                   "%s: HTTP %d: %s", http->peer, http->status,
                   said != NULL ? said : "no reason was given");
}

void ca_http_not_understood(ca_answer_t *answer, const http_answer_t *http, const char *what,
                            apr_pool_t *p)
{
    answer->unknown = 1;
    retry(answer, http, "ca-answer", p, what);
}

void ca_http_status(ca_answer_t *answer, const http_answer_t *http, const char *text,
                    apr_pool_t *p)
{
    const char *said = text != NULL && *text != '\0' ? http_printable(text, TEXT_MAX, p) : "";
    const char *detail = apr_psprintf(p, "HTTP %d%s%s", http->status, *said != '\0' ? ": " : "",
                                      said);

    switch (http->status) {
    case 401:
    case 403:
    case 407:
        retry(answer, http, "ca-credentials", p,
              apr_pstrcat(p, "our credentials are not accepted: ", detail, NULL));
        return;
    case 408:
    case 425:
    case 429:
    case 502:
    case 503:
    case 504:
        answer->down = http->status >= 500;
        /* a gateway that got no answer, or a bad one, may have passed the request on */
        answer->unknown = http->status == 502 || http->status == 504;
        retry(answer, http, "ca-unavailable", p, detail);
        return;
    case 404:
    case 405:
    case 410:
        break;
    default:
        if (http->status >= 400 && http->status <= 499) {
            ca_http_rejected(answer, http, text, p);
            return;
        }
        answer->unknown = http->status >= 500 || http->status < 300;
    }
    retry(answer, http, "ca-status", p, detail);
}
