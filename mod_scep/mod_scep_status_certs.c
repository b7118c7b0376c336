/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates of a service in scep-status: pages of them, one by its serial number or
 * transactionID, its revocation, and all of them as index.txt for openssl ca and openssl ocsp.
 */
#include "mod_scep_audit.h"
#include "mod_scep_cmtrace.h"
#include "mod_scep_inventory.h"
#include "mod_scep_log.h"
#include "mod_scep_status_request.h"
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>

APLOG_USE_MODULE(scep);

#define ROWS 100 /* of a page */

/* What a form about a certificate is about, for its token. */
static const char *form_of(const store_entry_t *entry, apr_pool_t *p)
{
    return apr_pstrcat(p, "certificate ", entry->issuer, ":", entry->serial, NULL);
}

/* "valid", "revoked" or "expired". */
static const char *state_of(const scep_certificate_t *certificate)
{
    if (certificate->revoked) {
        return "revoked";
    }
    return certificate->entry->not_after <= apr_time_now() ? "expired" : "valid";
}

/* A certificate as JSON. */
static json_t *describe(const scep_certificate_t *certificate, apr_pool_t *p)
{
    const store_entry_t *entry = certificate->entry;
    json_t *object = json_object();

    json_object_set_new(object, "serial", scep_status_text(entry->serial, p));
    json_object_set_new(object, "issuer", scep_status_text(entry->issuer, p));
    json_object_set_new(object, "subject",
                        scep_status_text(scep_inventory_subject(entry, p), p));
    json_object_set_new(object, "template", scep_status_text(entry->template_name, p));
    json_object_set_new(object, "transactionID", scep_status_text(entry->transaction_id, p));
    json_object_set_new(object, "tx", scep_status_text(entry->tx_key, p));
    json_object_set_new(object, "thumbprintSHA256", scep_status_text(entry->digest, p));
    scep_status_set_time(object, "issued", entry->created);
    scep_status_set_time(object, "notAfter", entry->not_after);
    json_object_set_new(object, "state", json_string(state_of(certificate)));
    if (certificate->revoked) {
        scep_status_set_time(object, "revoked", certificate->revocation.when);
        json_object_set_new(
            object, "revocation",
            json_string(scep_inventory_reason_name(certificate->revocation.reason)));
    }
    return object;
}

/* The service that is asked about; NULL with *rv: the answer was sent. */
static const scep_service_conf_t *find_service(scep_status_t *s, int *rv)
{
    const scep_service_conf_t *service = scep_status_find_service(s, s->field[FIELD_SERVICE]);
    outcome_t out;

    if (!service || !service->enrolls) {
        *rv = scep_status_refuse(s, HTTP_NOT_FOUND, "service", "There is no such service.");
        return NULL;
    }
    if (service->broken) {
        outcome_init(&out);
        *rv = scep_status_refuse_unavailable(s, &out);
        return NULL;
    }
    return service;
}

/* Sends that the store gave no answer. */
static int no_answer(scep_status_t *s)
{
    outcome_t out;

    outcome_unavailable(&out, "store", 0, s->r->pool, "%s", store_error(s->r->pool));
    return scep_status_refuse_unavailable(s, &out);
}

/* The certificate that the fields name; NULL with *rv: the answer was sent. */
static scep_certificate_t *find_certificate(scep_status_t *s, const scep_service_conf_t *service,
                                            int *rv)
{
    const char *serial = scep_inventory_serial(s->field[FIELD_SERIAL], s->r->pool);
    const char *issuer = s->field[FIELD_ISSUER];
    scep_certificate_t *found = NULL;
    apr_status_t status = APR_NOTFOUND;

    if (serial && (!issuer || (strlen(issuer) == STORE_ISSUER_LEN &&
                               strspn(issuer, "0123456789abcdef") == STORE_ISSUER_LEN))) {
        status = scep_inventory_find(service, issuer, serial, &found, scep_log_request(s->r),
                                     s->r->pool);
    }
    if (status == APR_NOTFOUND) {
        *rv = scep_status_refuse(s, HTTP_NOT_FOUND, "unknown", "There is no such certificate.");
    }
    else if (status != APR_SUCCESS) {
        *rv = no_answer(s);
    }
    return found;
}

/* Shows one certificate, with the form that revokes it. */
static int show_one(scep_status_t *s, const scep_service_conf_t *service,
                    const scep_certificate_t *certificate)
{
    apr_pool_t *p = s->r->pool;
    json_t *object = describe(certificate, p);
    const char *token = certificate->revoked
                            ? NULL : scep_status_token(s, service, form_of(certificate->entry, p));
    const char *body;

    json_object_set_new(object, "service", json_string(service->name));
    if (token && ca_can_revoke(service->core.ca)) {
        json_object_set_new(object, "token", json_string(token));
    }
    if (s->json) {
        return scep_status_send_json(s->r, HTTP_OK, object);
    }
    body = scep_status_page_certificate(object, p);
    json_decref(object);
    return scep_status_send_page(s->r, HTTP_OK, "A certificate", body);
}

/* Shows a page of certificates. */
static int show_page(scep_status_t *s, const scep_service_conf_t *service)
{
    store_search_t search = {NULL, NULL, NULL, NULL, 1, ROWS};
    apr_pool_t *p = s->r->pool;
    json_t *object, *list;
    apr_array_header_t *found;
    const char *next, *body;
    apr_status_t rv;
    int i;

    search.transaction_id = s->field[FIELD_TRANSACTION];
    search.place = s->field[FIELD_CERTIFICATES];
    rv = scep_inventory_search(service, &search, &found, &next, p);
    if (rv == APR_EINVAL) {
        return scep_status_refuse(s, HTTP_BAD_REQUEST, "query", "The query is not valid.");
    }
    if (rv != APR_SUCCESS) {
        return no_answer(s);
    }
    list = json_array();
    for (i = 0; i < found->nelts; i++) {
        json_array_append_new(list, describe(&APR_ARRAY_IDX(found, i, scep_certificate_t), p));
    }
    object = json_object();
    json_object_set_new(object, "service", json_string(service->name));
    json_object_set_new(object, "certificates", list);
    json_object_set_new(object, "next", json_string(next));
    if (s->json) {
        return scep_status_send_json(s->r, HTTP_OK, object);
    }
    body = scep_status_page_certificates(object, p);
    json_decref(object);
    return scep_status_send_page(s->r, HTTP_OK, "Certificates", body);
}

int scep_status_certificates(scep_status_t *s)
{
    int rv = OK;
    const scep_service_conf_t *service = find_service(s, &rv);
    scep_certificate_t *certificate;

    if (!service) {
        return rv;
    }
    if (!s->field[FIELD_SERIAL]) {
        return show_page(s, service);
    }
    certificate = find_certificate(s, service, &rv);
    return certificate ? show_one(s, service, certificate) : rv;
}

/* Answers that it is revoked. */
static int confirm(scep_status_t *s, const scep_service_conf_t *service,
                   const store_entry_t *entry)
{
    request_rec *r = s->r;
    json_t *object;

    if (!s->json) {
        apr_table_setn(r->headers_out, "Location",
                       apr_pstrcat(r->pool, "?service=", service->name, "&serial=", entry->serial,
                                   "&issuer=", entry->issuer, NULL));
        return scep_status_send_page(r, HTTP_SEE_OTHER, "A certificate", "");
    }
    object = json_object();
    json_object_set_new(object, "result", json_string("revoked"));
    json_object_set_new(object, "service", json_string(service->name));
    json_object_set_new(object, "serial", json_string(entry->serial));
    return scep_status_send_json(r, HTTP_OK, object);
}

/* Says in the logs that somebody revoked a certificate, or that the CA did not. */
static void tell(scep_status_t *s, const scep_service_conf_t *service, const store_entry_t *entry,
                 const char *text, const outcome_t *out, int http_status)
{
    request_rec *r = s->r;
    scep_audit_revocation_t what;

    what.serial = entry->serial;
    what.subject = scep_inventory_subject(entry, r->pool);
    what.transaction_id = entry->transaction_id;
    what.reason = s->field[FIELD_REVOCATION];
    what.text = text;
    what.outcome = out;
    what.http_status = http_status;
    scep_audit_revocation(r, service, &what);
    scep_cmtrace_revocation(r, service, &what);
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                  SCEPTAG(0501) ": service=%s serial=%s subject=\"%s\" transactionID=\"%s\" was %s "
                                "by=\"%s\" revocation=%s reason=\"%s\" detail=\"%s\"",
                  service->name, entry->serial, scep_log_field(r->pool, what.subject),
                  scep_log_field(r->pool, entry->transaction_id),
                  out->result == OUTCOME_SUCCESS ? "revoked" : "not revoked",
                  scep_log_field(r->pool, r->user), what.reason, scep_log_field(r->pool, text),
                  scep_log_field(r->pool, out->detail ? out->detail : ""));
}

/* Has the CA revoke it, and answers. */
static int carry_out(scep_status_t *s, const scep_service_conf_t *service,
                     const scep_certificate_t *certificate, const char *text)
{
    const store_entry_t *entry = certificate->entry;
    outcome_t out;
    apr_status_t rv;

    if (certificate->revoked) {
        return confirm(s, service, entry); /* it was before */
    }
    rv = scep_inventory_revoke(service, certificate,
                               scep_inventory_reason(s->field[FIELD_REVOCATION]), &out,
                               scep_log_request(s->r), s->r->pool);
    if (rv == APR_SUCCESS) {
        outcome_success(&out);
        tell(s, service, entry, text, &out, s->json ? HTTP_OK : HTTP_SEE_OTHER);
        return confirm(s, service, entry);
    }
    if (rv == APR_BADARG) {
        return scep_status_refuse(s, HTTP_CONFLICT, "issuer",
                                  "Another CA than the service's issued the certificate.");
    }
    if (rv == APR_ENOTIMPL) {
        return scep_status_refuse(s, HTTP_NOT_IMPLEMENTED, "backend",
                                  "The service's CA backend cannot revoke certificates. Please "
                                  "revoke it at the CA.");
    }
    if (rv == APR_NOTFOUND) {
        outcome_refuse(&out, FAIL_INFO_BAD_CERT_ID, OUTCOME_HR_INVALIDARG, "revoke", "", s->r->pool,
                       "the CA does not know the certificate");
        tell(s, service, entry, text, &out, HTTP_CONFLICT);
        return scep_status_refuse(s, HTTP_CONFLICT, "ca", "The CA does not know the certificate.");
    }
    if (out.result == OUTCOME_REFUSED) {
        tell(s, service, entry, text, &out, HTTP_CONFLICT);
        return scep_status_refuse(s, HTTP_CONFLICT, "ca", "The CA does not revoke it.");
    }
    tell(s, service, entry, text, &out, HTTP_SERVICE_UNAVAILABLE);
    return scep_status_refuse_unavailable(s, &out);
}

int scep_status_revoke(scep_status_t *s)
{
    const char *text = s->field[FIELD_REASON] ? s->field[FIELD_REASON] : "";
    int rv = OK;
    const scep_service_conf_t *service = find_service(s, &rv);
    scep_certificate_t *certificate = service ? find_certificate(s, service, &rv) : NULL;

    if (!certificate) {
        return rv;
    }
    if (!scep_status_is_token(s, service, form_of(certificate->entry, s->r->pool))) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, s->r,
                      SCEPTAG(0502) ": no revocation by %s: the form's token is wrong or too old",
                      s->r->user);
        return scep_status_refuse(s, HTTP_FORBIDDEN, "token",
                                  "The form is too old. Please read the page again.");
    }
    if (!s->field[FIELD_ACTION] || strcmp(s->field[FIELD_ACTION], "revoke")) {
        return scep_status_refuse(s, HTTP_BAD_REQUEST, "action", "The action is revoke.");
    }
    if (scep_inventory_reason(s->field[FIELD_REVOCATION]) < 0) {
        return scep_status_refuse(s, HTTP_BAD_REQUEST, "revocation",
                                  "The kind of revocation is not known.");
    }
    if (!scep_status_is_line(text)) {
        return scep_status_refuse(s, HTTP_BAD_REQUEST, "reason",
                                  "The reason is one line of at most 255 bytes of UTF-8.");
    }
    return carry_out(s, service, certificate, text);
}

/* Appends the lines of one page of the inventory. */
static void put_lines(apr_bucket_brigade *bb, const apr_array_header_t *entries,
                      const char *issuer, apr_hash_t *revoked, apr_pool_t *p)
{
    apr_time_t now = apr_time_now();
    int i;

    for (i = 0; i < entries->nelts; i++) {
        const store_entry_t *entry = &APR_ARRAY_IDX(entries, i, store_entry_t);
        const store_revoked_t *found = apr_hash_get(revoked, entry->serial, APR_HASH_KEY_STRING);

        if (!strcmp(entry->issuer, issuer)) {
            apr_brigade_puts(bb, NULL, NULL, scep_inventory_line(entry, found, now, p));
        }
    }
}

/* Ends the answer; broken: so that the client sees that it is not whole. */
static void finish(request_rec *r, apr_bucket_brigade *bb, int broken)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;

    if (broken) {
        r->connection->keepalive = AP_CONN_CLOSE;
        APR_BRIGADE_INSERT_TAIL(bb,
                                ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, alloc));
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    (void)ap_pass_brigade(r->output_filters, bb);
}

/* Sends page after page; each is forgotten when it was sent.  The first one is there already. */
static int stream(request_rec *r, const scep_service_conf_t *service, const char *issuer,
                  apr_hash_t *revoked, const apr_array_header_t *entries, const char *next,
                  store_search_t *search)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_array_header_t *more;
    char *place = apr_palloc(r->pool, STORE_PLACE_MAX + 1);
    apr_pool_t *page;
    int broken = 0;

    apr_pool_create(&page, r->pool);
    put_lines(bb, entries, issuer, revoked, page);
    search->place = place;
    while (*next && !broken && ap_pass_brigade(r->output_filters, bb) == APR_SUCCESS) {
        apr_brigade_cleanup(bb);
        apr_cpystrn(place, next, STORE_PLACE_MAX + 1);
        apr_pool_clear(page);
        broken = store_inventory(service->store, service->name, search, &more, &next, page) !=
                 APR_SUCCESS;
        if (broken) {
            ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                          SCEPTAG(0504) ": service=%s: the list of certificates ends early: %s",
                          service->name, store_error(page));
        }
        else {
            put_lines(bb, more, issuer, revoked, page);
        }
    }
    if (!r->connection->aborted) {
        finish(r, bb, broken);
    }
    return OK;
}

int scep_status_export(scep_status_t *s)
{
    store_search_t search = {NULL, NULL, NULL, "", 0, STORE_PAGE_MAX};
    request_rec *r = s->r;
    int rv = OK;
    const scep_service_conf_t *service = find_service(s, &rv);
    apr_array_header_t *entries;
    const char *issuer, *next;
    apr_hash_t *revoked;

    if (!service) {
        return rv;
    }
    if (strcmp(s->field[FIELD_EXPORT], "index.txt")) {
        return scep_status_refuse(s, HTTP_NOT_FOUND, "export", "The export is index.txt.");
    }
    issuer = scep_inventory_issuer(service, scep_log_request(r), r->pool);
    /* what is revoked after this is valid in the list, as it was when the list was asked for */
    if (!issuer || scep_inventory_revoked(service, &revoked, r->pool) != APR_SUCCESS ||
        store_inventory(service->store, service->name, &search, &entries, &next, r->pool) !=
            APR_SUCCESS) {
        return no_answer(s);
    }
    r->content_type = NULL;
    apr_table_setn(r->headers_out, "Content-Type", "text/plain; charset=utf-8");
    apr_table_setn(r->headers_out, "Content-Disposition", "attachment; filename=\"index.txt\"");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    if (r->header_only) {
        return OK;
    }
    return stream(r, service, issuer, revoked, entries, next, &search);
}
