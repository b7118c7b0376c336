/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler of mscep_admin: each GET by an authenticated and authorized user mints one challenge.
 *
 * Authentication is httpd's.  This handler fails closed all the same: without a user whom an
 * authentication module or a verified client certificate vouches for, there is no page.  And it
 * mints nothing that nobody reads: not for HEAD, not for a browser's prefetch, not for another
 * site's page.
 */
#include "mod_scep_admin_page.h"
#include "mod_scep_log.h"
#include "mod_scep_route.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>

APLOG_USE_MODULE(scep);

/* What the query asks for. */
typedef struct admin_query_t {
    const char *operation, *key_usage, *template_name, *params;
} admin_query_t;

/* Whether a header's value contains word. */
static int has_word(request_rec *r, const char *header, const char *word)
{
    const char *value = apr_table_get(r->headers_in, header);

    return value && ap_strcasestr(value, word) != NULL;
}

/* Whether a browser asks in advance, without a person who reads the answer. */
static int is_prefetch(request_rec *r)
{
    return has_word(r, "Sec-Purpose", "prefetch") || has_word(r, "Sec-Purpose", "prerender") ||
           has_word(r, "Purpose", "prefetch") || has_word(r, "Purpose", "prerender") ||
           has_word(r, "X-Purpose", "preview") || has_word(r, "X-Moz", "prefetch");
}

/* Takes the query apart; names in any case.  0 for one that is broken or names something twice. */
static int parse_query(admin_query_t *query, const char *args, apr_pool_t *p)
{
    const char **slot;
    char *pair, *value;

    memset(query, 0, sizeof(*query));
    while (args && *args) {
        pair = ap_getword(p, &args, '&');
        value = strchr(pair, '=');
        if (value) {
            *value++ = '\0';
        }
        if (ap_unescape_urlencoded(pair) != OK || (value && ap_unescape_urlencoded(value) != OK)) {
            return 0;
        }
        slot = !ap_cstr_casecmp(pair, "operation")  ? &query->operation
               : !ap_cstr_casecmp(pair, "keyUsage") ? &query->key_usage
               : !ap_cstr_casecmp(pair, "template") ? &query->template_name
               : !ap_cstr_casecmp(pair, "params")   ? &query->params
                                                    : NULL;
        if (slot && *slot) {
            return 0;
        }
        if (slot) {
            *slot = value ? value : "";
        }
    }
    return 1;
}

/* The template by key usage bits (RFC 5280's first octet, in hex); NULL: not such a number. */
static const char *template_by_usage(const scep_service_conf_t *service, const char *usage)
{
    char *end;
    apr_int64_t bits = apr_isxdigit(*usage) ? apr_strtoi64(usage, &end, 16) : -1;
    int signs, encrypts;

    if (bits < 0 || bits > 0xffff || *end) {
        return NULL;
    }
    signs = (bits & 0xc0) != 0;    /* digitalSignature, nonRepudiation */
    encrypts = (bits & 0x38) != 0; /* keyEncipherment, dataEncipherment, keyAgreement */
    return service->core.templates[signs == encrypts ? CSR_USAGE_GENERAL
                                   : signs           ? CSR_USAGE_SIGNATURE
                                                     : CSR_USAGE_ENCRYPTION];
}

/* The template that a challenge is asked for, "" for any; NULL when there is none such. */
static const char *wanted_template(const scep_service_conf_t *service, const admin_query_t *query)
{
    int i;

    if (query->template_name && *query->template_name) {
        for (i = 0; i < 3; i++) {
            if (!strcmp(service->core.templates[i], query->template_name)) {
                return query->template_name;
            }
        }
        return NULL;
    }
    return query->key_usage && *query->key_usage ? template_by_usage(service, query->key_usage)
                                                 : "";
}

/* Mints one challenge and answers. */
static int mint(request_rec *r, scep_form_e form, const scep_service_conf_t *service,
                const admin_query_t *query)
{
    const log_sink_t *log = scep_log_request(r);
    policy_challenge_t *challenge = NULL;
    policy_mint_t order;
    outcome_t out;
    apr_status_t rv;

    order.caller = r->user;
    order.template_name = wanted_template(service, query);
    order.params = query->params;
    order.client_address = r->useragent_ip;
    if (!order.template_name) {
        return scep_admin_say_no(r, form, HTTP_BAD_REQUEST, "template",
                                 "There is no template for this keyUsage or template parameter.");
    }
    apr_table_setn(r->notes, "scep-service", service->name);
    apr_table_setn(r->notes, "scep-operation", "mscep_admin");
    outcome_init(&out);
    rv = policy_generate_challenge(service->core.policy, &order, &challenge, &out, log, r->pool);
    if (rv == APR_SUCCESS && challenge) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      SCEPTAG(0430) ": service=%s challenge=%s made for caller=\"%s\" "
                                    "template=\"%s\" outstanding=%d",
                      service->name, challenge->id, r->user, order.template_name,
                      challenge->outstanding);
        apr_table_setn(r->notes, "scep-challenge-id", challenge->id);
        return scep_admin_say_challenge(r, form, service, challenge);
    }
    if (rv == APR_ENOSPC) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      SCEPTAG(0431) ": service=%s: no challenge for %s, %" APR_INT64_T_FMT
                                    " are outstanding (ScepChallengeMax)",
                      service->name, r->user, service->effective.max);
        return scep_admin_say_full(r, form, service, out.retry_after);
    }
    if (rv == APR_ENOTIMPL) {
        return scep_admin_say_no(r, form, HTTP_NOT_FOUND, "no-challenge",
                                 "This service does not work with challenge passwords.");
    }
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, rv, r,
                  SCEPTAG(0432) ": service=%s: no challenge can be made: %s (%s)", service->name,
                  out.reason ? out.reason : "", out.detail ? out.detail : "");
    return scep_admin_say_unavailable(r, form, (int)apr_time_sec(out.retry_after));
}

/* OK when the caller may have a challenge, DONE when the refusal is sent, or an HTTP status. */
static int authorize(request_rec *r, scep_form_e form, const scep_service_conf_t *service)
{
    const char *err = NULL;
    int yes;

    if (!scep_http_authenticated(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCEPTAG(0433) ": service=%s: no authenticated user, so there is no "
                                    "challenge; guard <Location \"%s\"> with AuthType and Require",
                      service->name, r->uri);
        return HTTP_FORBIDDEN;
    }
    if (!service->effective.admin_authorize) {
        return OK;
    }
    yes = ap_expr_exec(r, service->effective.admin_authorize, &err);
    if (yes > 0 && !err) {
        return OK;
    }
    if (yes < 0 || err) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCEPTAG(0434) ": service=%s: ScepAdminAuthorize cannot be evaluated: %s",
                      service->name, err ? err : "unknown");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                  SCEPTAG(0435) ": service=%s: %s is refused a challenge by ScepAdminAuthorize",
                  service->name, r->user);
    scep_admin_say_forbidden(r, form, service);
    return DONE;
}

/* OK, or what the handler returns for a request that must not mint. */
static int refuse_unread(request_rec *r, scep_form_e form)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");

    if (is_prefetch(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, SCEPTAG(0436) ": no challenge for a prefetch");
        scep_admin_say_no(
            r, form, HTTP_FORBIDDEN, "prefetch",
            "This page makes a password each time it is read; it cannot be fetched in "
            "advance.");
        return DONE;
    }
    if (site && !ap_cstr_casecmp(site, "cross-site")) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      SCEPTAG(0437) ": no challenge for a request that another site made");
        scep_admin_say_no(r, form, HTTP_FORBIDDEN, "cross-site",
                          "Another site's page led here. Open this address directly.");
        return DONE;
    }
    return OK;
}

int scep_admin_handler(request_rec *r)
{
    const scep_route_t *route = scep_route_get(r);
    scep_form_e form;
    admin_query_t query;
    int status;

    if (!route || route->endpoint != SCEP_ENDPOINT_ADMIN || r->main) {
        return DECLINED;
    }
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    if (r->method_number != M_GET) {
        return scep_http_not_allowed(r, 0);
    }
    status = ap_discard_request_body(r);
    if (status != OK) {
        return status;
    }
    form = scep_form_accepted(r);
    status = authorize(r, form, route->service);
    if (status == OK) {
        status = refuse_unread(r, form);
    }
    if (status != OK) {
        return status == DONE ? OK : status;
    }
    if (!parse_query(&query, r->args, r->pool)) {
        return scep_admin_say_no(r, form, HTTP_BAD_REQUEST, "query", "The query is not valid.");
    }
    if (query.operation && form == SCEP_FORM_PAGE) {
        form = SCEP_FORM_TEXT; /* the operations are for programs */
    }
    if (query.operation && !ap_cstr_casecmp(query.operation, "NDESGetCACertThumbprint")) {
        return route->service->core.thumbprint
                   ? scep_admin_say_text(r, HTTP_OK, route->service->core.thumbprint)
                   : HTTP_NOT_FOUND;
    }
    if (query.operation && ap_cstr_casecmp(query.operation, "NDESGenerateChallenge")) {
        return scep_admin_say_no(r, form, HTTP_BAD_REQUEST, "operation",
                                 "Known operations are NDESGenerateChallenge and "
                                 "NDESGetCACertThumbprint.");
    }
    if (r->header_only) {
        return scep_admin_say_nothing(r, form);
    }
    if (route->service->broken) {
        return scep_admin_say_unavailable(r, form, 0);
    }
    return mint(r, form, route->service, &query);
}
