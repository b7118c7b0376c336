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
#include "mod_scep_status_request.h"
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>

APLOG_USE_MODULE(scep);

#define WAITING_MAX 100

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
static int authorize(scep_status_t *s)
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

/* Whether this can be a transaction's key. */
static int is_key(const char *tx)
{
    return tx && strlen(tx) == STORE_ID_LEN && strspn(tx, "0123456789abcdef") == STORE_ID_LEN;
}

/* A transaction with the token that decides about it, where that is possible. */
static json_t *describe(scep_status_t *s, const scep_service_conf_t *service, const store_tx_t *tx)
{
    json_t *object = scep_status_tx(tx, s->r->pool);
    int open = !scep_status_at_ca(tx) && !*tx->decision;
    const char *mac = open ? scep_status_token(s, service, tx->tx_key) : NULL;

    if (mac) {
        json_object_set_new(object, "token", json_string(mac));
    }
    return object;
}

/* One service with what waits in it. */
static json_t *describe_service(scep_status_t *s, const scep_service_conf_t *service)
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
static int show_services(scep_status_t *s)
{
    const char *name = s->field[FIELD_SERVICE], *body;
    json_t *all = json_array(), *object;
    int i;

    for (i = 0; i < s->services->nelts; i++) {
        const scep_service_conf_t *service =
            APR_ARRAY_IDX(s->services, i, const scep_service_conf_t *);

        if (!name || service == scep_status_find_service(s, name)) {
            json_array_append_new(all, describe_service(s, service));
        }
    }
    if (!json_array_size(all)) {
        json_decref(all);
        return scep_status_refuse(s, HTTP_NOT_FOUND, "service", "There is no such service.");
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
static int find_tx(scep_status_t *s, const scep_service_conf_t *service, crypt_buf_t *der,
                   policy_attributes_t *attributes, store_tx_t **ptx, int *sent)
{
    outcome_t out;
    apr_status_t rv;

    *sent = 1;
    if (!service || !is_key(s->field[FIELD_TX])) {
        return scep_status_refuse(s, HTTP_NOT_FOUND, "unknown", "There is no such request.");
    }
    if (service->broken) {
        outcome_init(&out);
        return scep_status_refuse_unavailable(s, &out);
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
        return scep_status_refuse_unavailable(s, &out);
    }
    *sent = 0;
    return OK;
}

/* Shows one waiting request. */
static int show_tx(scep_status_t *s)
{
    const scep_service_conf_t *service = scep_status_find_service(s, s->field[FIELD_SERVICE]);
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
        return scep_status_refuse(s, HTTP_NOT_FOUND, "unknown",
                                  "There is no such waiting request.");
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

/* Answers that it is done. */
static int confirm(scep_status_t *s, const scep_service_conf_t *service, const char *done)
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
static int carry_out(scep_status_t *s, const scep_service_conf_t *service, const store_tx_t *tx,
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
        return scep_status_refuse(s, HTTP_NOT_FOUND, "unknown", "There is no such request.");
    }
    if (APR_STATUS_IS_EBUSY(rv)) {
        return scep_status_refuse(s, HTTP_CONFLICT, "conflict",
                                  "The request does not wait any more.");
    }
    if (rv != APR_SUCCESS) {
        return scep_status_refuse_unavailable(s, &out);
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
static int decide(scep_status_t *s)
{
    const scep_service_conf_t *service;
    const char *action, *reason;
    crypt_buf_t der = {NULL, 0};
    policy_attributes_t attributes;
    store_tx_t *tx = NULL;
    int rv, sent, deny;

    service = scep_status_find_service(s, s->field[FIELD_SERVICE]);
    if (!service || !is_key(s->field[FIELD_TX])) {
        return scep_status_refuse(s, HTTP_NOT_FOUND, "unknown", "There is no such request.");
    }
    if (!scep_status_is_token(s, service, s->field[FIELD_TX])) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, s->r,
                      SCEPTAG(0445) ": no decision by %s: the form's token is wrong or too old",
                      s->r->user);
        return scep_status_refuse(s, HTTP_FORBIDDEN, "token",
                                  "The form is too old. Please read the page again.");
    }
    action = s->field[FIELD_ACTION];
    deny = action && !strcmp(action, "deny");
    if (!deny && (!action || strcmp(action, "approve"))) {
        return scep_status_refuse(s, HTTP_BAD_REQUEST, "action", "The action is approve or deny.");
    }
    reason = s->field[FIELD_REASON];
    if ((deny && (!reason || !reason[strspn(reason, " ")])) ||
        (reason && !scep_status_is_line(reason))) {
        return scep_status_refuse(s, HTTP_BAD_REQUEST, "reason",
                                  "To deny takes a reason: one line, at most 255 bytes of UTF-8.");
    }
    rv = find_tx(s, service, &der, &attributes, &tx, &sent);
    if (sent) {
        return rv;
    }
    if (tx && scep_status_at_ca(tx)) {
        return scep_status_refuse(s, HTTP_CONFLICT, "conflict", "The request waits for the CA.");
    }
    return carry_out(s, service, tx, !deny);
}

int scep_status_handler(request_rec *r)
{
    scep_form_e form;
    scep_status_t s;
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
    if (!scep_status_parse(&s, r->args)) {
        return scep_status_refuse(&s, HTTP_BAD_REQUEST, "query", "The query is not valid.");
    }
    if (s.field[FIELD_FORMAT] && !strcmp(s.field[FIELD_FORMAT], "json")) {
        s.json = 1;
    }
    if (r->method_number == M_POST) {
        if (!scep_status_read_form(&s, &status)) {
            return status;
        }
        return s.field[FIELD_SERIAL] ? scep_status_revoke(&s) : decide(&s);
    }
    status = ap_discard_request_body(r);
    if (status != OK) {
        return status;
    }
    if (s.field[FIELD_CERTIFICATES] || s.field[FIELD_SERIAL] || s.field[FIELD_TRANSACTION]) {
        return scep_status_certificates(&s);
    }
    if (s.field[FIELD_EXPORT]) {
        return scep_status_export(&s);
    }
    return s.field[FIELD_TX] ? show_tx(&s) : show_services(&s);
}
