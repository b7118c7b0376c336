/* SPDX-License-Identifier: Apache-2.0 */
/* ScepPolicyLog: an enrollment as NDES' policy module tells of it (see mod_scep_cmtrace.h). */
#include "mod_scep_cmtrace.h"
#include "mod_scep_audit.h"
#include "mod_scep_log_file.h"
#include <apr_strings.h>

#define PLUGIN "NDESPlugin"
#define POINT "CertificateRegistrationPoint"
#define TEXT_MAX 600 /* of one text; a line fits into a pipe's block */

/* CMTrace's types of a line. */
enum { INFO = 1, WARNING = 2, ERROR = 3 };

/* The lines of one request. */
typedef struct cmtrace_t {
    request_rec *r;
    scep_log_file_t *log;
    const scep_trace_t *trace;
    const char *head; /* time and date, as attributes */
    const char *context;
    char *block; /* lines that were not written yet */
    apr_size_t len, max;
} cmtrace_t;

/*
 * A text of the device's or of ours in one line: no character of it can end the line's frame or one
 * of its attributes.
 */
static char *inert(const char *text, apr_size_t max, apr_pool_t *p)
{
    char *copy = apr_pstrdup(p, scep_log_file_text(text, max, p)), *c;

    for (c = copy; *c; c++) {
        *c = *c == '<' ? '(' : *c == '>' ? ')' : *c == '"' ? '\'' : *c;
    }
    return copy;
}

/* time="02:44:11.789+00" date="06-10-2016": the server's time, and the minutes to UTC. */
static const char *head_of(apr_time_t when, apr_pool_t *p)
{
    apr_time_exp_t t;

    apr_time_exp_lt(&t, when);
    return apr_psprintf(p, "time=\"%02d:%02d:%02d.%03d%+03d\" date=\"%02d-%02d-%04d\"", t.tm_hour,
                        t.tm_min, t.tm_sec, (int)(t.tm_usec / 1000), -t.tm_gmtoff / 60,
                        t.tm_mon + 1, t.tm_mday, t.tm_year + 1900);
}

/* Writes what is there. */
static void flush(cmtrace_t *c)
{
    if (c->len) {
        scep_log_file_write(c->log, c->r, c->block, c->len);
    }
    c->len = 0;
}

/* Appends one line; lines of a request stay together as far as they fit into one write. */
static void line(cmtrace_t *c, const char *component, int type, const char *text)
{
    const char *whole =
        apr_psprintf(c->r->pool,
                     "<![LOG[%s]LOG]!><%s component=\"%s\" context=\"%s\" type=\"%d\" "
                     "thread=\"%ld\" file=\"mod_scep\">\n",
                     text, c->head, component, c->context, type, c->r->connection->id);
    apr_size_t len = strlen(whole);

    if (c->len + len > c->max) {
        flush(c);
    }
    if (len <= c->max) {
        memcpy(c->block + c->len, whole, len);
        c->len += len;
    }
}

/* The reason and the detail of the outcome. */
static const char *why(const cmtrace_t *c)
{
    const outcome_t *o = &c->trace->outcome;
    apr_pool_t *p = c->r->pool;

    return apr_psprintf(p, "%s, reason %s%s%s", outcome_result_name(o->result), o->reason,
                        o->detail && *o->detail ? ": " : "", inert(o->detail, TEXT_MAX, p));
}

/* The HRESULT of the outcome, or the one that fits. */
static unsigned hresult_of(const outcome_t *o)
{
    if (o->result == OUTCOME_SUCCESS || o->result == OUTCOME_PENDING) {
        return 0;
    }
    if (o->hresult != OUTCOME_HR_NONE) {
        return (unsigned)o->hresult;
    }
    return (unsigned)(o->result == OUTCOME_REFUSED ? OUTCOME_HR_ACCESS_DENIED
                                                   : OUTCOME_HR_SERVER_UNAVAILABLE);
}

/* " for device D and user U", as far as they are known. */
static const char *whom(const cmtrace_t *c)
{
    const char *device, *user;
    apr_pool_t *p = c->r->pool;

    scep_audit_owner(c->trace, &device, &user, p);
    return apr_pstrcat(p, " for device ", inert(device, TEXT_MAX / 4, p), " and user ",
                       inert(user, TEXT_MAX / 4, p), ".", NULL);
}

/* How a phase ends, in the words and the spelling of CRP.log. */
static const char *phase_end(int phase, int failed, apr_pool_t *p)
{
    if (phase == 2 && !failed) {
        return "Validation Phase 2 finished.";
    }
    return apr_psprintf(p, "Validation Phase %d %s with status %s.", phase,
                        phase == 1 ? "finised" : "finished", failed ? "False" : "True");
}

/* The phases of the registration point, up to the one that refused. */
static void phases(cmtrace_t *c)
{
    const scep_trace_t *t = c->trace;
    int allowed = t->verdict == SCEP_VERDICT_ALLOWED;
    int failed = allowed ? 0 : (int)t->outcome.phase, phase;
    int last = allowed ? 3 : failed;
    apr_pool_t *p = c->r->pool;

    line(c, POINT, INFO, "VerifyRequest Started.");
    for (phase = 1; phase <= last; phase++) {
        line(c, POINT, INFO,
             apr_psprintf(p, "Validation Phase %d started%s", phase, phase > 1 ? whom(c) : "."));
        if (phase == failed) {
            line(c, POINT, ERROR, why(c));
        }
        line(c, POINT, phase == failed ? ERROR : INFO, phase_end(phase, phase == failed, p));
    }
    if (!allowed && !failed) {
        line(c, POINT, ERROR, why(c));
    }
    line(c, POINT, allowed ? INFO : ERROR,
         apr_psprintf(p, "VerifyRequest Finished with status %s", allowed ? "True" : "False"));
}

/* A call to a registration point: that it was made, and what went wrong; nothing if none was. */
static void sent(cmtrace_t *c, const policy_call_t *call)
{
    apr_pool_t *p = c->r->pool;

    if (call->result == POLICY_CALL_NONE) {
        return;
    }
    line(c, PLUGIN, INFO, "Sending request to certificate registration point.");
    if (call->error) {
        line(c, PLUGIN, ERROR,
             apr_psprintf(p, "Failed to send http request %s. Error %d",
                          inert(call->path, TEXT_MAX / 4, p), call->error));
    }
    else if (call->result == POLICY_CALL_FAILED) {
        line(c, PLUGIN, ERROR,
             apr_psprintf(p, "The certificate registration point answered with HTTP status %d",
                          call->status));
    }
}

/* What the policy was asked, and said. */
static void verify(cmtrace_t *c)
{
    const scep_trace_t *t = c->trace;
    int allowed = t->verdict == SCEP_VERDICT_ALLOWED;
    apr_pool_t *p = c->r->pool;

    line(c, PLUGIN, INFO, "Calling VerifyRequest ...");
    line(c, PLUGIN, INFO,
         apr_pstrcat(p, "Subject ", inert(t->subject, TEXT_MAX, p), ", template ",
                     inert(t->template_name, TEXT_MAX / 4, p), ", client ", c->r->useragent_ip,
                     *t->renews ? ", renews certificate " : "", inert(t->renews, 80, p), NULL));
    sent(c, &t->asked);
    if (t->verdict == SCEP_VERDICT_UNKNOWN) {
        line(c, PLUGIN, ERROR, apr_pstrcat(p, "Failed to verify the request: ", why(c), NULL));
    }
    else {
        if (t->asked.result == POLICY_CALL_NONE) {
            phases(c);
        }
        else if (!allowed) { /* its phases are in the point's own log */
            line(c, PLUGIN, ERROR, why(c));
        }
        line(c, PLUGIN, allowed ? INFO : ERROR,
             allowed ? "Verify challenge returns true" : "Verify challenge returns false");
    }
    line(c, PLUGIN, allowed ? INFO : ERROR,
         apr_psprintf(p, "Exiting VerifyRequest with 0x%x",
                      allowed ? 0 : hresult_of(&t->outcome)));
}

/* How it ended, and that the policy was told. */
static void notify(cmtrace_t *c)
{
    const scep_trace_t *t = c->trace;
    int issued = t->outcome.result == OUTCOME_SUCCESS;
    apr_pool_t *p = c->r->pool;

    line(c, PLUGIN, INFO, "Calling Notifyrequest ...");
    sent(c, &t->told);
    if (issued) {
        line(c, PLUGIN, INFO,
             apr_pstrcat(p, "Certificate issued, serial number ", t->serial, NULL));
    }
    else {
        line(c, PLUGIN, t->outcome.result == OUTCOME_PENDING ? WARNING : ERROR,
             apr_pstrcat(p, "No certificate was issued: ", why(c), NULL));
    }
    line(c, PLUGIN, t->notified > 0 ? INFO : ERROR,
         apr_psprintf(p, "Exiting Notify with 0x%x",
                      t->notified > 0 ? 0 : hresult_of(&t->outcome)));
}

/* A request that ended before the policy was asked, or that needed no verdict. */
static void without_verdict(cmtrace_t *c)
{
    const scep_trace_t *t = c->trace;
    apr_pool_t *p = c->r->pool;

    switch (t->outcome.result) {
    case OUTCOME_SUCCESS:
        line(c, PLUGIN, INFO,
             apr_pstrcat(p, "Known transaction: certificate ", t->serial, " is sent again", NULL));
        break;
    case OUTCOME_PENDING:
        line(c, PLUGIN, INFO, apr_pstrcat(p, "Known transaction: ", why(c), NULL));
        break;
    default:
        line(c, PLUGIN, ERROR,
             apr_psprintf(p, "The request ended before VerifyRequest with 0x%x: %s",
                          hresult_of(&t->outcome), why(c)));
    }
}

/* Begins the lines of a request. */
static void open_block(cmtrace_t *c, request_rec *r, const scep_service_conf_t *service,
                       const scep_trace_t *trace)
{
    c->r = r;
    c->log = service->policy_log;
    c->trace = trace;
    c->head = head_of(apr_time_now(), r->pool);
    c->context = inert(trace->transaction_id, 255, r->pool);
    c->max = scep_log_file_max(c->log);
    c->block = apr_palloc(r->pool, c->max);
    c->len = 0;
}

/* What a front told a registration point. */
static void told(cmtrace_t *c)
{
    const scep_trace_t *t = c->trace;
    int recorded = t->notified > 0;
    apr_pool_t *p = c->r->pool;

    line(c, POINT, INFO, "Notify Started.");
    if (t->certificate.len) {
        line(c, POINT, INFO,
             apr_pstrcat(p, "Certificate issued by the front, serial number ", t->serial, NULL));
    }
    line(c, POINT, recorded ? INFO : ERROR,
         recorded ? "Successfully sent state message" : why(c));
    line(c, POINT, INFO, "Notify Finished.");
}

void scep_cmtrace_point(request_rec *r, const scep_service_conf_t *service,
                        const scep_response_t *response)
{
    cmtrace_t c;

    if (!service->policy_log) {
        return;
    }
    open_block(&c, r, service, &response->trace);
    if (!strcmp(response->trace.operation, "Notify")) {
        told(&c);
    }
    else {
        phases(&c);
    }
    flush(&c);
}

void scep_cmtrace_write(request_rec *r, const scep_service_conf_t *service,
                        const scep_response_t *response)
{
    const scep_trace_t *t = &response->trace;
    cmtrace_t c;

    if (!service->policy_log || strcmp(t->operation, "PKIOperation") != 0 ||
        !strcmp(t->message_type, "GetCert") || !strcmp(t->message_type, "GetCRL")) {
        return;
    }
    open_block(&c, r, service, t);
    if (t->verdict == SCEP_VERDICT_NONE) {
        without_verdict(&c);
    }
    else {
        verify(&c);
        if (t->notified && t->verdict == SCEP_VERDICT_ALLOWED) {
            notify(&c);
        }
    }
    flush(&c);
}

void scep_cmtrace_revocation(request_rec *r, const scep_service_conf_t *service,
                             const scep_audit_revocation_t *what)
{
    int done = what->outcome->result == OUTCOME_SUCCESS;
    scep_trace_t trace;
    cmtrace_t c;

    if (!service->policy_log) {
        return;
    }
    memset(&trace, 0, sizeof(trace));
    trace.transaction_id = what->transaction_id;
    open_block(&c, r, service, &trace);
    line(&c, PLUGIN, done ? INFO : ERROR,
         apr_psprintf(r->pool, "Certificate %s was %s by %s, reason %s: %s", what->serial,
                      done ? "revoked" : "not revoked", inert(r->user, TEXT_MAX / 4, r->pool),
                      what->reason, inert(what->text, TEXT_MAX / 2, r->pool)));
    flush(&c);
}
