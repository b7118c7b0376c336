/* SPDX-License-Identifier: Apache-2.0 */
/* ScepAuditLog: a transaction as one line of JSON (see mod_scep_audit.h). */
#include "mod_scep_audit.h"
#include "mod_scep_client_os.h"
#include "mod_scep_log_file.h"
#include "core/cms_asn1.h"
#include "../common/csr_names.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>

#define TEXT_MAX 4096 /* of each text, and of all alternative names together */
#define TEXT_MIN 64
#define NAME_COST 16  /* of a name besides its text */
#define ID_MAX 255

/* One line in the making. */
typedef struct audit_t {
    json_t *line;
    apr_size_t limit; /* of each text */
    int cut;          /* something did not fit */
    apr_pool_t *p;
} audit_t;

/* A text that fits. */
static json_t *text_of(audit_t *a, const char *text, apr_size_t limit)
{
    const char *clean = scep_log_file_text(text, limit, a->p);

    if (strlen(text) > limit) {
        a->cut = 1;
    }
    return json_string(clean);
}

/* Adds a text, unless it is not known. */
static void add(audit_t *a, const char *key, const char *text)
{
    if (text && *text) {
        json_object_set_new(a->line, key, text_of(a, text, a->limit));
    }
}

/* Adds a moment as RFC 3339 writes it, with milliseconds or without. */
static void add_time(audit_t *a, const char *key, apr_time_t when, int ms)
{
    apr_time_exp_t t;

    if (!when) {
        return;
    }
    apr_time_exp_gmt(&t, when);
    add(a, key,
        apr_psprintf(a->p, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", t.tm_year + 1900, t.tm_mon + 1,
                     t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec,
                     ms ? apr_psprintf(a->p, ".%03d", (int)(t.tm_usec / 1000)) : ""));
}

/* Adds what the CSR asks for: alternative names, key. */
static void add_csr(audit_t *a, const csr_t *csr)
{
    const apr_array_header_t *names;
    json_t *list;
    apr_size_t left = a->limit, len;
    const char *text;
    int i;

    if (!csr) {
        return;
    }
    add(a, "keyType", crypt_key_name(csr->key, a->p));
    names = csr_names(csr, a->p);
    if (!names || names->nelts == 0) {
        return;
    }
    list = json_array();
    for (i = 0; i < names->nelts && left > NAME_COST; i++) {
        text = APR_ARRAY_IDX(names, i, const char *);
        json_array_append_new(list, text_of(a, text, left));
        len = strlen(text) + NAME_COST;
        left -= len < left ? len : left;
    }
    a->cut |= i < names->nelts;
    json_object_set_new(a->line, "sans", list);
}

/* Adds the certificate's digests, and its end. */
static void add_certificate(audit_t *a, const crypt_buf_t *der)
{
    const cert_t *cert;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (der->len && EVP_Digest(der->data, der->len, digest, &len, EVP_sha1(), NULL)) {
        json_object_set_new(a->line, "thumbprintSHA1",
                            json_string(crypt_hex(digest, len, 1, a->p)));
    }
    if (der->len && EVP_Digest(der->data, der->len, digest, &len, EVP_sha256(), NULL)) {
        json_object_set_new(a->line, "thumbprintSHA256",
                            json_string(crypt_hex(digest, len, 1, a->p)));
    }
    cert = der->len ? cms_decode(ASN1_ITEM_rptr(cert_t), der->data, der->len, a->p) : NULL;
    add_time(a, "notAfter", cert ? crypt_asn1_time(cert->info->validity->notAfter) : 0, 0);
}

/* A member of an object that is a text, in p; "" if it is none. */
static const char *member(const json_t *object, const char *name, apr_pool_t *p)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? apr_pstrdup(p, text) : "";
}

void scep_audit_owner(const scep_trace_t *trace, const char **device, const char **user,
                    apr_pool_t *p)
{
    const policy_attributes_t *said = trace->attributes;
    json_t *bound = *trace->bound ? json_loads(trace->bound, 0, NULL) : NULL;

    *device = said && said->device ? said->device : member(bound, "device", p);
    *user = said && said->user ? said->user : member(bound, "user", p);
    json_decref(bound);
}

/* Adds whose it is: policy says so, else the challenge where it was made for somebody. */
static void add_owner(audit_t *a, const scep_trace_t *t)
{
    static const policy_attributes_t none;
    const policy_attributes_t *added = t->attributes ? t->attributes : &none;
    const char *device, *user;

    scep_audit_owner(t, &device, &user, a->p);
    add(a, "device", device);
    add(a, "user", user);
    add(a, "grantedTemplate", added->template_name);
    add(a, "grantedSubject", added->subject_text);
    add(a, "sid", added->sid);
}

/* Adds the times of the steps that were taken. */
static void add_steps(audit_t *a, const scep_trace_t *t)
{
    static const char *const names[SCEP_STEPS] = {"message", "envelope", "claim", "verify",
                                                  "ca",      "commit",   "reply"};
    json_t *steps = json_object();
    int i;

    for (i = 0; i < SCEP_STEPS; i++) {
        if (t->steps[i] >= 0) {
            json_object_set_new(steps, names[i], json_integer(t->steps[i]));
        }
    }
    json_object_set_new(a->line, "steps", steps);
}

/* Adds what became of it. */
static void add_outcome(audit_t *a, const scep_response_t *response)
{
    const outcome_t *o = &response->trace.outcome;

    add(a, "result", outcome_result_name(o->result));
    if (o->result == OUTCOME_REFUSED) {
        add(a, "failInfo", fail_info_name(o->fail_info));
    }
    add(a, "reason", o->reason);
    add(a, "detail", o->detail);
    if (o->hresult != OUTCOME_HR_NONE) {
        add(a, "hresult", apr_psprintf(a->p, "0x%08x", (unsigned)o->hresult));
    }
    json_object_set_new(a->line, "httpStatus", json_integer(response->http_status));
    if (response->trace.replayed) {
        json_object_set_new(a->line, "replayed", json_true());
    }
}

/* Adds who asked, and for what. */
static void add_request(audit_t *a, request_rec *r, const scep_service_conf_t *service,
                        const scep_trace_t *t)
{
    const char *agent = apr_table_get(r->headers_in, "User-Agent");
    const char *device_agent = t->front ? t->device_agent : agent;

    add_time(a, "time", apr_time_now(), 1);
    add(a, "host", scep_log_file_host(service->audit_log));
    add(a, "service", service->name);
    add(a, "operation", t->operation);
    add(a, "messageType", t->message_type);
    if (*t->transaction_id) {
        json_object_set_new(a->line, "transactionID", text_of(a, t->transaction_id, ID_MAX));
    }
    add(a, "client", r->useragent_ip);
    add(a, "clientOS", scep_client_os_name(scep_client_os(device_agent)));
    add(a, "userAgent", agent);
    add(a, "front", t->front);
    add(a, "deviceAddress", t->device_address);
    add(a, "deviceUserAgent", t->device_agent);
}

/* The line, its texts cut to limit. */
static char *make_line(request_rec *r, const scep_service_conf_t *service,
                       const scep_response_t *response, apr_size_t limit)
{
    const scep_trace_t *t = &response->trace;
    audit_t a;
    char *text;

    a.line = json_object();
    a.limit = limit;
    a.cut = 0;
    a.p = r->pool;
    add_request(&a, r, service, t);
    add(&a, "subject", t->subject);
    add_csr(&a, t->csr);
    add(&a, "template", t->template_name);
    add(&a, "algorithms", t->algorithms);
    add(&a, "challengeId", t->challenge_id);
    add(&a, "challengeCaller", t->challenge_caller);
    add_owner(&a, t);
    add(&a, "renews", t->renews);
    add(&a, "serial", t->serial);
    add_certificate(&a, &t->certificate);
    add_outcome(&a, response);
    json_object_set_new(a.line, "milliseconds",
                        json_integer(apr_time_as_msec(apr_time_now() - r->request_time)));
    add_steps(&a, t);
    if (a.cut) {
        json_object_set_new(a.line, "cut", json_true());
    }
    text = json_dumps(a.line, JSON_COMPACT);
    json_decref(a.line);
    return text;
}

/* Whether calls of that name are worth a line: those that can end in a certificate. */
static int is_audited(const char *operation)
{
    return !strcmp(operation, "PKIOperation") || !strcmp(operation, "VerifyRequest") ||
           !strcmp(operation, "Notify");
}

void scep_audit_write(request_rec *r, const scep_service_conf_t *service,
                      const scep_response_t *response)
{
    scep_log_file_t *log = service->audit_log;
    apr_size_t limit, len = 0;
    char *text = NULL;

    if (!log || !is_audited(response->trace.operation)) {
        return;
    }
    for (limit = TEXT_MAX; limit >= TEXT_MIN; limit /= 2) {
        free(text);
        text = make_line(r, service, response, limit);
        len = text ? strlen(text) : 0;
        if (len < scep_log_file_max(log)) {
            break;
        }
    }
    if (text) {
        text[len] = '\n'; /* in place of the NUL */
        scep_log_file_write(log, r, text, len + 1);
    }
    free(text);
}

void scep_audit_early(request_rec *r, const scep_service_conf_t *service, int http_status,
                      const char *reason)
{
    scep_response_t response;
    scep_trace_t *trace = &response.trace;
    int i;

    memset(&response, 0, sizeof(response));
    response.http_status = http_status;
    trace->operation = "PKIOperation";
    trace->transaction_id = trace->bound = trace->record = "";
    for (i = 0; i < SCEP_STEPS; i++) {
        trace->steps[i] = -1;
    }
    if (http_status == HTTP_SERVICE_UNAVAILABLE) {
        outcome_unavailable(&trace->outcome, reason, 0, r->pool, "HTTP status %d", http_status);
    }
    else {
        outcome_malformed(&trace->outcome, reason, r->pool, "HTTP status %d", http_status);
    }
    scep_audit_write(r, service, &response);
}

void scep_audit_revocation(request_rec *r, const scep_service_conf_t *service,
                           const scep_audit_revocation_t *what)
{
    scep_log_file_t *log = service->audit_log;
    audit_t a;
    char *text;

    if (!log) {
        return;
    }
    a.line = json_object();
    a.limit = ID_MAX; /* all texts together fit into any line */
    a.cut = 0;
    a.p = r->pool;
    add_time(&a, "time", apr_time_now(), 1);
    add(&a, "host", scep_log_file_host(log));
    add(&a, "service", service->name);
    add(&a, "operation", "Revoke");
    add(&a, "transactionID", what->transaction_id);
    add(&a, "client", r->useragent_ip);
    add(&a, "by", r->user);
    add(&a, "subject", what->subject);
    add(&a, "serial", what->serial);
    add(&a, "revocation", what->reason);
    add(&a, "text", what->text);
    add(&a, "result", outcome_result_name(what->outcome->result));
    add(&a, "reason", what->outcome->reason);
    add(&a, "detail", what->outcome->detail);
    json_object_set_new(a.line, "httpStatus", json_integer(what->http_status));
    if (a.cut) {
        json_object_set_new(a.line, "cut", json_true());
    }
    text = json_dumps(a.line, JSON_COMPACT);
    json_decref(a.line);
    if (text) {
        scep_log_file_write(log, r, apr_pstrcat(r->pool, text, "\n", NULL), strlen(text) + 1);
    }
    free(text);
}
