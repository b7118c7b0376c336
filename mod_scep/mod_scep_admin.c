/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler of mscep_admin: each GET by an authenticated and authorized user mints one challenge,
 * and so does each POST, whose body says what the challenge is bound to.
 *
 * Authentication is httpd's.  This handler fails closed all the same: without a user whom an
 * authentication module or a verified client certificate vouches for, there is no page.  And it
 * mints nothing that nobody reads: not for HEAD, not for a browser's prefetch, not for another
 * site's page.
 */
#include "mod_scep_admin_page.h"
#include "mod_scep_log.h"
#include "mod_scep_metrics.h"
#include "mod_scep_route.h"
#include "../policy/policy_bound.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <jansson.h>

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

/* Whether an expression holds for the request; an error in it is logged and a negative number. */
static int holds(request_rec *r, const scep_service_conf_t *service, const ap_expr_info_t *expr,
                 const char *directive)
{
    const char *err = NULL;
    int yes = ap_expr_exec(r, expr, &err);

    if (yes >= 0 && !err) {
        return yes > 0;
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  SCEPTAG(0434) ": service=%s: %s cannot be evaluated: %s", service->name,
                  directive, err ? err : "unknown");
    return -1;
}

/* OK when the caller may have a challenge for that template ("": for all of them), DONE when the
 * refusal is sent, or an HTTP status. */
static int authorize_template(request_rec *r, scep_form_e form, const scep_service_conf_t *service,
                              const char *template_name)
{
    const apr_array_header_t *rules = service->effective.admin_templates;
    int i, yes;

    for (i = 0; rules && i < rules->nelts; i++) {
        const scep_template_rule_t *rule = &APR_ARRAY_IDX(rules, i, scep_template_rule_t);

        if (*template_name && strcmp(template_name, rule->template_name)) {
            continue;
        }
        yes = holds(r, service, rule->expr, "ScepAdminAuthorizeTemplate");
        if (yes < 0) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
        if (!yes) {
            ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                          SCEPTAG(0438) ": service=%s: %s is refused a challenge for %s by "
                                        "ScepAdminAuthorizeTemplate %s",
                          service->name, r->user, *template_name ? template_name : "any template",
                          rule->template_name);
            scep_admin_say_forbidden(r, form, service);
            return DONE;
        }
    }
    return OK;
}

/* Reads what params bind the challenge to; error text or NULL.  *pbound NULL: to nothing. */
static const char *read_bound(const policy_bound_t **pbound, const char *params, apr_pool_t *p)
{
    policy_bound_t *bound = NULL;
    const char *error = NULL;

    if (params && params[strspn(params, " \t\r\n")] == '{') {
        error = policy_bound_parse(&bound, params, strlen(params), p);
    }
    *pbound = bound;
    return error;
}

/* Answers a challenge that could not be made. */
static int say_failed(request_rec *r, scep_form_e form, const scep_service_conf_t *service,
                      apr_status_t rv, const outcome_t *out)
{
    int own = out->reason && !strcmp(out->reason, "caller-full");

    if (rv == APR_ENOSPC) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      SCEPTAG(0431) ": service=%s: no challenge for %s, %" APR_INT64_T_FMT
                                    " are outstanding (ScepChallengeMax%s)",
                      service->name, r->user,
                      own ? service->effective.max_per_caller : service->effective.max,
                      own ? "PerCaller" : "");
        return scep_admin_say_full(r, form, service, out->retry_after, own);
    }
    if (rv == APR_EINVAL && out->result == OUTCOME_REFUSED) {
        return scep_admin_say_no(r, form, HTTP_BAD_REQUEST, "params", out->detail);
    }
    if (rv == APR_ENOTIMPL) {
        return scep_admin_say_no(r, form, HTTP_NOT_FOUND, "no-challenge",
                                 "This service does not work with challenge passwords.");
    }
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, rv, r,
                  SCEPTAG(0432) ": service=%s: no challenge can be made: %s (%s)", service->name,
                  out->reason ? out->reason : "", out->detail ? out->detail : "");
    return scep_admin_say_unavailable(r, form, (int)apr_time_sec(out->retry_after));
}

/* What an order is for: its template, "" for any.  NULL when the answer is sent, *rv. */
static const char *order_template(request_rec *r, scep_form_e form,
                                  const scep_service_conf_t *service, const admin_query_t *query,
                                  const policy_bound_t **pbound, int *rv)
{
    const char *error = read_bound(pbound, query->params, r->pool), *name;
    admin_query_t asked = *query;

    if (error) {
        *rv = scep_admin_say_no(r, form, HTTP_BAD_REQUEST, "params", error);
        return NULL;
    }
    if (*pbound && *(*pbound)->template_name && !query->template_name && !query->key_usage) {
        asked.template_name = (*pbound)->template_name;
    }
    name = wanted_template(service, &asked);
    if (!name) {
        *rv = scep_admin_say_no(r, form, HTTP_BAD_REQUEST, "template",
                                "There is no template for this keyUsage or template parameter.");
        return NULL;
    }
    *rv = authorize_template(r, form, service, name);
    if (*rv == DONE) {
        *rv = OK;
        return NULL;
    }
    return *rv == OK ? name : NULL;
}

/* Mints one challenge and answers. */
static int mint(request_rec *r, scep_form_e form, const scep_service_conf_t *service,
                const admin_query_t *query)
{
    const log_sink_t *log = scep_log_request(r);
    const policy_bound_t *bound;
    policy_challenge_t *challenge = NULL;
    policy_mint_t order;
    outcome_t out;
    apr_status_t rv;
    int status;

    order.caller = r->user;
    order.template_name = order_template(r, form, service, query, &bound, &status);
    order.params = query->params;
    order.client_address = r->useragent_ip;
    if (!order.template_name) {
        return status;
    }
    apr_table_setn(r->notes, "scep-service", service->name);
    apr_table_setn(r->notes, "scep-operation", "mscep_admin");
    outcome_init(&out);
    rv = policy_generate_challenge(service->core.policy, &order, &challenge, &out, log, r->pool);
    if (challenge) {
        scep_metrics_outstanding(service, challenge->outstanding);
    }
    scep_metrics_mint(service, challenge ? SCEP_MINT_ISSUED
                                         : (rv == APR_ENOSPC ? SCEP_MINT_FULL : SCEP_MINT_FAILED));
    if (rv != APR_SUCCESS || !challenge) {
        return say_failed(r, form, service, rv, &out);
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  SCEPTAG(0430) ": service=%s challenge=%s made for caller=\"%s\" "
                                "template=\"%s\" outstanding=%d bound=%s device=\"%s\" user=\"%s\"",
                  service->name, challenge->id, r->user, order.template_name,
                  challenge->outstanding, bound ? "yes" : "no",
                  bound ? scep_log_field(r->pool, bound->device) : "",
                  bound ? scep_log_field(r->pool, bound->user) : "");
    apr_table_setn(r->notes, "scep-challenge-id", challenge->id);
    return scep_admin_say_challenge(r, form, service, challenge);
}

/*
 * Whether the body is the event SCEPChallenge, by which Jamf Pro and those that speak its language
 * ask for a challenge; it tells of payloads, and nothing that a CSR could be held against.
 */
static int is_challenge_event(const crypt_buf_t *body)
{
    json_t *object =
        json_loadb((const char *)body->data, body->len, JSON_REJECT_DUPLICATES, NULL);
    json_t *webhook = json_object_get(object, "webhook");
    const char *name = json_string_value(json_object_get(webhook, "webhookEvent"));
    int yes = name && !strcmp(name, "SCEPChallenge") && json_object_get(object, "event");

    json_decref(object);
    return yes;
}

/*
 * Reads the body of a POST into query->params; an event's answer is the bare challenge, *form.  0
 * when the answer was sent; it is *rv then.
 */
static int read_body(request_rec *r, scep_form_e *form, admin_query_t *query, int *rv)
{
    static const char expected[] = "application/json";
    const char *type = apr_table_get(r->headers_in, "Content-Type"), *error;
    policy_bound_t *bound;
    crypt_buf_t body;

    if (scep_http_cross_site(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      SCEPTAG(0439) ": no challenge for a request that another site's page made");
        *rv = scep_admin_say_no(r, *form, HTTP_FORBIDDEN, "cross-site",
                                "Another site's page led here.");
        return 0;
    }
    /* no form can send this type, and no script of another site without being asked before */
    if (!type || ap_cstr_casecmpn(type, expected, sizeof(expected) - 1) ||
        (type[sizeof(expected) - 1] && !strchr("; \t", type[sizeof(expected) - 1]))) {
        *rv = scep_admin_say_no(r, *form, HTTP_UNSUPPORTED_MEDIA_TYPE, "type",
                                "The body has to be application/json.");
        return 0;
    }
    *rv = scep_http_read(r, STORE_LONG_TEXT_MAX, &body);
    if (*rv != OK) {
        return 0;
    }
    if (!query->params && is_challenge_event(&body)) {
        *form = SCEP_FORM_TEXT;
        return 1;
    }
    error = query->params ? "params cannot stand in the query of a POST"
                          : policy_bound_parse(&bound, (const char *)body.data, body.len, r->pool);
    if (error) {
        *rv = scep_admin_say_no(r, *form, HTTP_BAD_REQUEST, "params", error);
        return 0;
    }
    query->params = bound->json;
    return 1;
}

/* OK when the caller may have a challenge, DONE when the refusal is sent, or an HTTP status. */
static int authorize(request_rec *r, scep_form_e form, const scep_service_conf_t *service)
{
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
    yes = holds(r, service, service->effective.admin_authorize, "ScepAdminAuthorize");
    if (yes != 0) {
        return yes > 0 ? OK : HTTP_INTERNAL_SERVER_ERROR;
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
    if (r->method_number != M_GET && r->method_number != M_POST) {
        return scep_http_not_allowed(r, 1);
    }
    status = r->method_number == M_GET ? ap_discard_request_body(r) : OK;
    if (status != OK) {
        return status;
    }
    form = scep_form_accepted(r);
    if (r->method_number == M_POST && form == SCEP_FORM_PAGE) {
        form = SCEP_FORM_JSON;
    }
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
        const char *thumbprint = scep_service_thumbprint(
            &route->service->core, scep_log_server(r->server, r->pool), r->pool);

        return thumbprint ? scep_admin_say_text(r, HTTP_OK, thumbprint) : HTTP_SERVICE_UNAVAILABLE;
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
    if (r->method_number == M_POST && !read_body(r, &form, &query, &status)) {
        return status;
    }
    return mint(r, form, route->service, &query);
}
