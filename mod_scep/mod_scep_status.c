/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler scep-status: what the services of this host do and what waits in them, and the
 * decision about a waiting request.
 *
 * It fails closed: without a user whom httpd authenticated there is nothing to see.  A decision is
 * a POST with a token that only a page or answer for the same user, service, request and hour has;
 * what a browser says about another site's hand in it is heeded as well.
 */
#include "mod_scep_admin_page.h"
#include "mod_scep_log.h"
#include "mod_scep_status.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <openssl/crypto.h>

APLOG_USE_MODULE(scep);

#define WAITING_MAX 100
#define BODY_MAX 16384
#define REASON_MAX 255

/* Fields of a query or form. */
enum { FIELD_SERVICE, FIELD_TX, FIELD_FORMAT, FIELD_DONE, FIELD_ACTION, FIELD_REASON, FIELD_TOKEN };
#define FIELDS 7

/* One request to this handler. */
typedef struct status_t {
    request_rec *r;
    int json;
    const char *field[FIELDS];
    apr_array_header_t *services; /* of const scep_service_conf_t*: those the user may see */
} status_t;

/* Sends a no, in the form that was asked for. */
static int refuse(status_t *s, int status, const char *error, const char *text)
{
    json_t *object;

    if (!s->json) {
        return scep_status_send_page(
            s->r, status, "SCEP services",
            apr_pstrcat(s->r->pool, "<p>", ap_escape_html(s->r->pool, text), "</p>", NULL));
    }
    object = json_object();
    json_object_set_new(object, "error", json_string(error));
    json_object_set_new(object, "text", scep_status_text(text, s->r->pool));
    return scep_status_send_json(s->r, status, object);
}

/* Sends that the store gave no answer. */
static int refuse_unavailable(status_t *s, const outcome_t *out)
{
    apr_table_setn(s->r->headers_out, "Retry-After", "5");
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, s->r, SCEPTAG(0446) ": no answer to scep-status: %s",
                  out->detail && *out->detail ? out->detail : out->reason);
    return refuse(s, HTTP_SERVICE_UNAVAILABLE, "unavailable",
                  "The store gives no answer. Please try again.");
}

/* Takes a query or form apart.  0 for one that is broken or names something twice. */
static int parse(status_t *s, const char *args)
{
    static const char *const names[FIELDS] = {"service", "tx",     "format", "done",
                                              "action",  "reason", "token"};
    char *pair, *value;
    int i;

    memset(s->field, 0, sizeof(s->field));
    while (args && *args) {
        pair = ap_getword(s->r->pool, &args, '&');
        value = strchr(pair, '=');
        if (value) {
            *value++ = '\0';
        }
        if (ap_unescape_urlencoded(pair) != OK || (value && ap_unescape_urlencoded(value) != OK)) {
            return 0;
        }
        for (i = 0; i < FIELDS && strcmp(names[i], pair); i++) {
            continue;
        }
        if (i < FIELDS && s->field[i]) {
            return 0;
        }
        if (i < FIELDS) {
            s->field[i] = value ? value : "";
        }
    }
    return 1;
}

/* Whether the user may see and decide about the service. */
static int may_see(request_rec *r, const scep_service_conf_t *service)
{
    const char *err = NULL;
    int yes;

    if (!service->effective.status_authorize) {
        return 1;
    }
    yes = ap_expr_exec(r, service->effective.status_authorize, &err);
    if (yes < 0 || err) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCEPTAG(0442) ": service=%s: ScepStatusAuthorize cannot be evaluated: %s",
                      service->name, err ? err : "unknown");
        return 0;
    }
    return yes > 0;
}

/* OK, or the HTTP status of a refusal: nobody authenticated, or no service for this user. */
static int authorize(status_t *s)
{
    request_rec *r = s->r;
    apr_array_header_t *all = scep_status_services(r);
    int i;

    s->services = apr_array_make(r->pool, 4, sizeof(scep_service_conf_t *));
    if (!scep_http_authenticated(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCEPTAG(0440) ": no authenticated user, so scep-status shows nothing; guard "
                                    "<Location \"%s\"> with AuthType and Require",
                      r->uri);
        return HTTP_FORBIDDEN;
    }
    for (i = 0; i < all->nelts; i++) {
        const scep_service_conf_t *service = APR_ARRAY_IDX(all, i, const scep_service_conf_t *);

        if (may_see(r, service)) {
            APR_ARRAY_PUSH(s->services, const scep_service_conf_t *) = service;
        }
    }
    if (all->nelts && !s->services->nelts) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      SCEPTAG(0441) ": %s is refused scep-status by ScepStatusAuthorize", r->user);
        return HTTP_FORBIDDEN;
    }
    return OK;
}

/* The service of that name, NULL: none that this user may see. */
static const scep_service_conf_t *find_service(const status_t *s, const char *name)
{
    int i;

    for (i = 0; name && i < s->services->nelts; i++) {
        const scep_service_conf_t *service =
            APR_ARRAY_IDX(s->services, i, const scep_service_conf_t *);

        if (!ap_cstr_casecmp(service->name, name)) {
            return service;
        }
    }
    return NULL;
}

/* Whether this can be a transaction's key. */
static int is_key(const char *tx)
{
    return tx && strlen(tx) == STORE_ID_LEN && strspn(tx, "0123456789abcdef") == STORE_ID_LEN;
}

/* The token of an hour (0: this one, 1: the one before); NULL: the service has no secret. */
static const char *token(const status_t *s, const scep_service_conf_t *service, const char *tx,
                         int before)
{
    const char *user = s->r->user;
    apr_int64_t hour = apr_time_sec(s->r->request_time) / 3600 - before;

    return policy_token(service->core.policy,
                        apr_psprintf(s->r->pool,
                                     "scep-status %" APR_SIZE_T_FMT ":%s %s %s %" APR_INT64_T_FMT,
                                     strlen(user), user, service->name, tx, hour),
                        s->r->pool);
}

/* Whether the form's token is one of this hour or the one before. */
static int is_token(const status_t *s, const scep_service_conf_t *service)
{
    const char *given = s->field[FIELD_TOKEN], *right;
    int i, good = 0;

    for (i = 0; given && i < 2; i++) {
        right = token(s, service, s->field[FIELD_TX], i);
        good |=
            right && strlen(right) == strlen(given) && !CRYPTO_memcmp(right, given, strlen(right));
    }
    return good;
}

/* A transaction with the token that decides about it, where that is possible. */
static json_t *describe(status_t *s, const scep_service_conf_t *service, const store_tx_t *tx)
{
    json_t *object = scep_status_tx(tx, s->r->pool);
    int open = !scep_status_at_ca(tx) && !*tx->decision;
    const char *mac = open ? token(s, service, tx->tx_key, 0) : NULL;

    if (mac) {
        json_object_set_new(object, "token", json_string(mac));
    }
    return object;
}

/* One service with what waits in it. */
static json_t *describe_service(status_t *s, const scep_service_conf_t *service)
{
    json_t *object = scep_status_service(service, s->r->pool), *waiting = json_array();
    apr_array_header_t *txs = NULL;
    outcome_t out;
    int i;

    outcome_init(&out);
    if (service->broken || policy_waiting(service->core.policy, WAITING_MAX + 1, &txs, &out,
                                          scep_log_request(s->r), s->r->pool) != APR_SUCCESS) {
        json_object_set_new(object, "waiting_problem", json_string("the store gives no answer"));
        txs = NULL;
    }
    for (i = 0; txs && i < txs->nelts && i < WAITING_MAX; i++) {
        json_array_append_new(waiting,
                              describe(s, service, APR_ARRAY_IDX(txs, i, const store_tx_t *)));
    }
    json_object_set_new(object, "waiting", waiting);
    json_object_set_new(object, "waiting_more", json_boolean(txs && txs->nelts > WAITING_MAX));
    scep_status_add_records(object, service, s->r->pool);
    return object;
}

/* Shows the services, or the one that was asked for. */
static int show_services(status_t *s)
{
    const char *name = s->field[FIELD_SERVICE], *body;
    json_t *all = json_array(), *object;
    int i;

    for (i = 0; i < s->services->nelts; i++) {
        const scep_service_conf_t *service =
            APR_ARRAY_IDX(s->services, i, const scep_service_conf_t *);

        if (!name || service == find_service(s, name)) {
            json_array_append_new(all, describe_service(s, service));
        }
    }
    if (!json_array_size(all)) {
        json_decref(all);
        return refuse(s, HTTP_NOT_FOUND, "service", "There is no such service.");
    }
    if (s->json) {
        object = json_object();
        json_object_set_new(object, "services", all);
        return scep_status_send_json(s->r, HTTP_OK, object);
    }
    body = scep_status_page_services(all, s->field[FIELD_DONE], s->r->pool);
    json_decref(all);
    return scep_status_send_page(s->r, HTTP_OK, "SCEP services", body);
}

/* The waiting transaction; OK, or the answer of the handler, which *sent says. */
static int find_tx(status_t *s, const scep_service_conf_t *service, crypt_buf_t *der,
                   policy_attributes_t *attributes, store_tx_t **ptx, int *sent)
{
    outcome_t out;
    apr_status_t rv;

    *sent = 1;
    if (!service || !is_key(s->field[FIELD_TX])) {
        return refuse(s, HTTP_NOT_FOUND, "unknown", "There is no such request.");
    }
    if (service->broken) {
        outcome_init(&out);
        return refuse_unavailable(s, &out);
    }
    outcome_init(&out);
    der->len = 0;
    rv = policy_waiting_request(service->core.policy, s->field[FIELD_TX], der, attributes, ptx,
                                &out, scep_log_request(s->r), s->r->pool);
    if (APR_STATUS_IS_NOTFOUND(rv)) {
        *ptx = NULL;
        *sent = 0;
        return OK;
    }
    /* a request that cannot be opened can be decided about all the same */
    if (rv != APR_SUCCESS && !*ptx) {
        return refuse_unavailable(s, &out);
    }
    *sent = 0;
    return OK;
}

/* Shows one waiting request. */
static int show_tx(status_t *s)
{
    const scep_service_conf_t *service = find_service(s, s->field[FIELD_SERVICE]);
    crypt_buf_t der = {NULL, 0};
    policy_attributes_t attributes;
    store_tx_t *tx = NULL;
    json_t *object, *csr;
    const char *body;
    int sent, rv = find_tx(s, service, &der, &attributes, &tx, &sent);

    if (sent) {
        return rv;
    }
    if (!tx) {
        return refuse(s, HTTP_NOT_FOUND, "unknown", "There is no such waiting request.");
    }
    object = describe(s, service, tx);
    csr = scep_status_csr(service, &der, s->r->pool);
    json_object_set_new(object, "request", csr ? csr : json_null());
    json_object_set_new(object, "attributes", scep_status_attributes(&attributes, s->r->pool));
    if (s->json) {
        json_object_set_new(object, "service", json_string(service->name));
        return scep_status_send_json(s->r, HTTP_OK, object);
    }
    body = scep_status_page_tx(object, service->name, s->r->pool);
    json_decref(object);
    return scep_status_send_page(s->r, HTTP_OK, "A waiting request", body);
}

/* Whether the reason is a text of a line: at most 255 bytes of UTF-8 without control characters. */
static int is_reason(const char *reason)
{
    int code;

    if (strlen(reason) > REASON_MAX) {
        return 0;
    }
    while (*reason) {
        code = scep_status_utf8(&reason);
        if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            return 0;
        }
    }
    return 1;
}

/* Reads the form.  0 when the answer was sent; it is *rv then. */
static int read_form(status_t *s, int *rv)
{
    const char *type = apr_table_get(s->r->headers_in, "Content-Type");
    static const char expected[] = "application/x-www-form-urlencoded";
    crypt_buf_t body;

    if (scep_http_cross_site(s->r)) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, s->r,
                      SCEPTAG(0444) ": no decision by a request that another site made");
        *rv = refuse(s, HTTP_FORBIDDEN, "cross-site", "Another site's page led here.");
        return 0;
    }
    if (!type || ap_cstr_casecmpn(type, expected, sizeof(expected) - 1) ||
        (type[sizeof(expected) - 1] && !strchr("; \t", type[sizeof(expected) - 1]))) {
        *rv = refuse(s, HTTP_UNSUPPORTED_MEDIA_TYPE, "type", "A form is needed.");
        return 0;
    }
    *rv = scep_http_read(s->r, BODY_MAX, &body);
    if (*rv != OK) {
        return 0;
    }
    if (memchr(body.data, 0, body.len) ||
        !parse(s, apr_pstrmemdup(s->r->pool, (const char *)body.data, body.len))) {
        *rv = refuse(s, HTTP_BAD_REQUEST, "form", "The form is not valid.");
        return 0;
    }
    return 1;
}

/* Answers that it is done. */
static int confirm(status_t *s, const scep_service_conf_t *service, const char *done)
{
    request_rec *r = s->r;
    json_t *object;

    if (!s->json) {
        apr_table_setn(r->headers_out, "Location",
                       apr_pstrcat(r->pool, "?service=", service->name, "&done=", done, NULL));
        return scep_status_send_page(r, HTTP_SEE_OTHER, "SCEP services", "");
    }
    object = json_object();
    json_object_set_new(object, "result", json_string(done));
    json_object_set_new(object, "service", json_string(service->name));
    json_object_set_new(object, "tx", json_string(s->field[FIELD_TX]));
    return scep_status_send_json(r, HTTP_OK, object);
}

/* Carries out what the form says, which was checked, and answers.  tx: NULL: it waits no more. */
static int carry_out(status_t *s, const scep_service_conf_t *service, const store_tx_t *tx,
                     int approve)
{
    apr_pool_t *p = s->r->pool;
    const char *reason = s->field[FIELD_REASON] ? s->field[FIELD_REASON] : "";
    const char *done = approve ? "approved" : "denied";
    outcome_t out;
    apr_status_t rv;

    outcome_init(&out);
    rv = policy_decide(service->core.policy, s->field[FIELD_TX], approve, s->r->user, reason, &out,
                       scep_log_request(s->r), p);
    if (APR_STATUS_IS_NOTFOUND(rv)) {
        return refuse(s, HTTP_NOT_FOUND, "unknown", "There is no such request.");
    }
    if (APR_STATUS_IS_EBUSY(rv)) {
        return refuse(s, HTTP_CONFLICT, "conflict", "The request does not wait any more.");
    }
    if (rv != APR_SUCCESS) {
        return refuse_unavailable(s, &out);
    }
    if (!tx || *tx->decision) {
        return confirm(s, service, done); /* it was decided so before */
    }
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, s->r,
                  SCEPTAG(0443) ": service=%s transactionID=\"%s\" tx=%s subject=\"%s\" was %s "
                                "by=\"%s\" reason=\"%s\"",
                  service->name, scep_log_field(p, tx->transaction_id), s->field[FIELD_TX],
                  scep_log_field(p, tx->subject), done, scep_log_field(p, s->r->user),
                  scep_log_field(p, reason));
    return confirm(s, service, done);
}

/* A decision: checks everything about it, then carries it out. */
static int decide(status_t *s)
{
    const scep_service_conf_t *service;
    const char *action, *reason;
    crypt_buf_t der = {NULL, 0};
    policy_attributes_t attributes;
    store_tx_t *tx = NULL;
    int rv, sent, deny;

    if (!read_form(s, &rv)) {
        return rv;
    }
    service = find_service(s, s->field[FIELD_SERVICE]);
    if (!service || !is_key(s->field[FIELD_TX])) {
        return refuse(s, HTTP_NOT_FOUND, "unknown", "There is no such request.");
    }
    if (!is_token(s, service)) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, s->r,
                      SCEPTAG(0445) ": no decision by %s: the form's token is wrong or too old",
                      s->r->user);
        return refuse(s, HTTP_FORBIDDEN, "token",
                      "The form is too old. Please read the page again.");
    }
    action = s->field[FIELD_ACTION];
    deny = action && !strcmp(action, "deny");
    if (!deny && (!action || strcmp(action, "approve"))) {
        return refuse(s, HTTP_BAD_REQUEST, "action", "The action is approve or deny.");
    }
    reason = s->field[FIELD_REASON];
    if ((deny && (!reason || !reason[strspn(reason, " ")])) || (reason && !is_reason(reason))) {
        return refuse(s, HTTP_BAD_REQUEST, "reason",
                      "To deny takes a reason: one line, at most 255 bytes of UTF-8.");
    }
    rv = find_tx(s, service, &der, &attributes, &tx, &sent);
    if (sent) {
        return rv;
    }
    if (tx && scep_status_at_ca(tx)) {
        return refuse(s, HTTP_CONFLICT, "conflict", "The request waits for the CA.");
    }
    return carry_out(s, service, tx, !deny);
}

int scep_status_handler(request_rec *r)
{
    scep_form_e form;
    status_t s;
    int status;

    if (!r->handler || strcmp(r->handler, "scep-status") || r->main) {
        return DECLINED;
    }
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    if (r->method_number != M_GET && r->method_number != M_POST) {
        return scep_http_not_allowed(r, 1);
    }
    memset(&s, 0, sizeof(s));
    s.r = r;
    form = scep_form_accepted(r);
    s.json = form == SCEP_FORM_JSON;
    status = authorize(&s);
    if (status != OK) {
        return status;
    }
    if (!parse(&s, r->args)) {
        return refuse(&s, HTTP_BAD_REQUEST, "query", "The query is not valid.");
    }
    if (s.field[FIELD_FORMAT] && !strcmp(s.field[FIELD_FORMAT], "json")) {
        s.json = 1;
    }
    if (r->method_number == M_POST) {
        return decide(&s);
    }
    status = ap_discard_request_body(r);
    if (status != OK) {
        return status;
    }
    return s.field[FIELD_TX] ? show_tx(&s) : show_services(&s);
}
