/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging: sinks for the rooms that do not know httpd, and the line that says what became of a
 * request.  Untrusted text reaches the error log only through ap_log_*, which escapes it.
 */
#include "mod_scep_log.h"
#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(scep);

/* Longest untrusted text in the transaction's line. */
#define FIELD_MAX 300

/* log_sink_t.write of a request. */
static void write_request(void *baton, log_sink_level_e level, const char *tag, const char *message)
{
    request_rec *r = baton;

    ap_log_rerror(APLOG_MARK, (int)level, 0, r, "%s: %s", tag, message);
}

/* log_sink_t.write of a server. */
static void write_server(void *baton, log_sink_level_e level, const char *tag, const char *message)
{
    server_rec *s = baton;

    ap_log_error(APLOG_MARK, (int)level, 0, s, "%s: %s", tag, message);
}

/* httpd's level as the sink's: traces are not told apart. */
static log_sink_level_e sink_level(int level)
{
    return level >= LOG_SINK_DEBUG
               ? LOG_SINK_DEBUG
               : (level <= LOG_SINK_ERR ? LOG_SINK_ERR : (log_sink_level_e)level);
}

const log_sink_t *scep_log_request(request_rec *r)
{
    log_sink_t *sink = apr_pcalloc(r->pool, sizeof(*sink));

    sink->write = write_request;
    sink->baton = r;
    sink->level = sink_level(ap_get_request_module_loglevel(r, APLOG_MODULE_INDEX));
    return sink;
}

const log_sink_t *scep_log_server(server_rec *s, apr_pool_t *p)
{
    log_sink_t *sink = apr_pcalloc(p, sizeof(*sink));

    sink->write = write_server;
    sink->baton = s;
    sink->level = sink_level(ap_get_server_module_loglevel(s, APLOG_MODULE_INDEX));
    return sink;
}

const char *scep_log_field(apr_pool_t *p, const char *text)
{
    char *copy, *c;

    if (!text) {
        return "";
    }
    copy = apr_pstrmemdup(p, text, strnlen(text, FIELD_MAX));
    for (c = copy; *c; c++) {
        if (*c == '"') {
            *c = '\'';
        }
    }
    return copy;
}

/* Sets a request note where there is something to say. */
static void note(request_rec *r, const char *name, const char *value)
{
    if (value && *value) {
        apr_table_set(r->notes, name, value);
    }
}

void scep_log_transaction(request_rec *r, const scep_service_conf_t *service,
                          const scep_response_t *response)
{
    const scep_trace_t *t = &response->trace;
    const char *result = outcome_result_name(t->outcome.result);
    const char *reason = t->outcome.reason ? t->outcome.reason : "";
    apr_int64_t ms = apr_time_as_msec(apr_time_now() - r->request_time);
    int level = t->outcome.result == OUTCOME_SUCCESS || t->outcome.result == OUTCOME_PENDING
                    ? APLOG_INFO
                    : APLOG_NOTICE;
    apr_pool_t *p = r->pool;

    note(r, "scep-service", service->name);
    note(r, "scep-result", result);
    note(r, "scep-reason", reason);
    note(r, "scep-transaction-id", t->transaction_id);
    note(r, "scep-operation", t->operation);
    note(r, "scep-message-type", t->message_type);
    note(r, "scep-subject", t->subject);
    note(r, "scep-serial", t->serial);
    note(r, "scep-renews", t->renews);
    note(r, "scep-template", t->template_name);
    note(r, "scep-challenge-id", t->challenge_id);
    note(r, "scep-ms", apr_psprintf(p, "%" APR_INT64_T_FMT, ms));

    ap_log_rerror(
        APLOG_MARK, level, 0, r,
        SCEPTAG(
            0400) ": service=%s operation=%s type=%s transactionID=\"%s\" "
                  "client=%s agent=\"%s\" subject=\"%s\" template=\"%s\" result=%s reason=%s%s%s "
                  "detail=\"%s\" serial=%s renews=%s challenge=%s caller=\"%s\" algorithms=%s "
                  "ms=%" APR_INT64_T_FMT,
        service->name, scep_log_field(p, t->operation), scep_log_field(p, t->message_type),
        scep_log_field(p, t->transaction_id), r->useragent_ip,
        scep_log_field(p, apr_table_get(r->headers_in, "User-Agent")),
        scep_log_field(p, t->subject), scep_log_field(p, t->template_name), result, reason,
        t->outcome.result == OUTCOME_REFUSED ? " failInfo=" : "",
        t->outcome.result == OUTCOME_REFUSED ? fail_info_name(t->outcome.fail_info) : "",
        scep_log_field(p, t->outcome.detail), scep_log_field(p, t->serial),
        scep_log_field(p, t->renews), scep_log_field(p, t->challenge_id),
        scep_log_field(p, t->challenge_caller), scep_log_field(p, t->algorithms), ms);
}
