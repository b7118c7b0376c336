/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler of mscep.dll: an HTTP request becomes a scep_request_t, the response goes back with
 * the exact bytes and type.  What SCEP says about it is in core/.
 */
#include "mod_scep_admission.h"
#include "mod_scep_audit.h"
#include "mod_scep_cmtrace.h"
#include "mod_scep_http.h"
#include "mod_scep_log.h"
#include "mod_scep_metrics.h"
#include "mod_scep_route.h"
#include "mod_scep_status_files.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

APLOG_USE_MODULE(scep);

/* The page for a request without operation, or 403. */
static int info_page(request_rec *r, const scep_service_conf_t *service)
{
    const char *admin;

    if (!service->effective.info_page) {
        return HTTP_FORBIDDEN;
    }
    admin =
        ap_escape_html(r->pool, ap_construct_url(r->pool, scep_path_admin(service, r->pool), r));
    return scep_http_page(
        r, HTTP_OK,
        apr_pstrcat(r->pool,
                    "<P> This URL is used by network devices to submit certificate requests. "
                    "A person has nothing to enter here: the device or its management is given "
                    "this address. <P> To obtain an enrollment challenge password, go to the admin "
                    "URL. By default, the admin URL is <A HREF=\"",
                    admin, "\">", admin,
                    "</A> <P> "
                    "A device that asks with <I>?operation=GetCACaps</I> is told what this server "
                    "can do.",
                    NULL));
}

/* Whether the query may ask for PKIOperation, in whatever spelling. */
static int may_enroll(const char *args, apr_pool_t *p)
{
    char *text = apr_pstrdup(p, args ? args : "");

    return ap_unescape_urlencoded(text) != OK || ap_strcasestr(text, "PKIOperation") != NULL;
}

/* Fills the request.  OK, or the HTTP status to return. */
static int read_request(request_rec *r, const scep_service_conf_t *service, scep_request_t *request)
{
    apr_size_t limit = (apr_size_t)service->effective.max_message_size;
    const char *agent = apr_table_get(r->headers_in, "User-Agent");
    int status;

    request->args = r->args;
    request->client_address = r->useragent_ip;
    request->user_agent = agent ? agent : "";
    /* base64 in three quarters of its length, each character perhaps escaped in part */
    if (r->args && strlen(r->args) > 2 * limit) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      SCEPTAG(0413) ": the query of %" APR_SIZE_T_FMT " bytes is too long for "
                                    "ScepMaxMessageSize (%" APR_SIZE_T_FMT ")",
                      strlen(r->args), limit);
        return HTTP_REQUEST_URI_TOO_LARGE;
    }
    if (r->method_number == M_POST) {
        request->is_post = 1;
        status = scep_http_read(r, limit, &request->body);
    }
    else {
        status = ap_discard_request_body(r);
    }
    return status;
}

/* Whether ScepLimitExempt names this request; an expression that fails exempts nobody. */
static int is_exempt(request_rec *r, const scep_service_conf_t *service)
{
    const char *err = NULL;
    int yes;

    if (!service->effective.limit_exempt) {
        return 0;
    }
    yes = ap_expr_exec(r, service->effective.limit_exempt, &err);
    if (yes < 0 || err) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCEPTAG(0414) ": service=%s: ScepLimitExempt cannot be evaluated: %s",
                      service->name, err ? err : "unknown");
        return 0;
    }
    return yes > 0;
}

/* Sends what the core answered. */
static int send_response(request_rec *r, const scep_service_conf_t *service,
                         const scep_response_t *response)
{
    if (response->http_status == SCEP_NO_OPERATION) {
        return info_page(r, service);
    }
    if (!strcmp(response->trace.operation, "PKIOperation")) {
        apr_table_setn(r->headers_out, "Cache-Control", "no-store");
        apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    }
    if (response->http_status == HTTP_SERVICE_UNAVAILABLE) {
        return scep_http_unavailable(r, response->retry_after);
    }
    if (response->http_status == HTTP_TOO_MANY_REQUESTS) {
        return scep_http_limited(r, response->retry_after);
    }
    if (response->http_status != HTTP_OK) {
        return response->http_status;
    }
    return scep_http_send(r, HTTP_OK, response->content_type, response->body.data,
                          response->body.len);
}

/* Whether the core will take the request for a PKIOperation; rather too often. */
static int is_heavy(const request_rec *r)
{
    return r->method_number == M_POST || may_enroll(r->args, r->pool);
}

/* Says in the audit log that a request ended before the protocol saw it; the status again. */
static int ended_early(request_rec *r, const scep_service_conf_t *service, int status,
                       const char *reason)
{
    if (is_heavy(r)) {
        scep_audit_early(r, service, status, reason);
    }
    return status;
}

/* Lets the core answer.  OK, or the HTTP status when it has no time for that. */
static int process(request_rec *r, const scep_service_conf_t *service, scep_request_t *request,
                   scep_response_t **response)
{
    scep_ctx_t ctx;
    int heavy = is_heavy(r);
    int status = heavy ? scep_admission_enter(r, service) : OK;

    if (status != OK) {
        return status;
    }
    /* a slow upload and the wait are no fault of store or CA: their time starts now */
    request->arrived = apr_time_now();
    ctx.service = &service->core;
    ctx.log = scep_log_request(r);
    ctx.pool = r->pool;
    ctx.timed = 1;
    scep_server_process(response, &ctx, request);
    if (heavy) {
        scep_admission_leave(service);
    }
    return *response ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

int scep_enroll_handler(request_rec *r)
{
    const scep_route_t *route = scep_route_get(r);
    scep_request_t request;
    scep_response_t *response = NULL;
    int status;

    if (!route || route->endpoint != SCEP_ENDPOINT_ENROLL || r->main) {
        return DECLINED;
    }
    if (r->method_number != M_GET && r->method_number != M_POST) {
        return scep_http_not_allowed(r, 1);
    }
    /* HEAD must not enroll: its answer could never be delivered */
    if (r->header_only && may_enroll(r->args, r->pool)) {
        return scep_http_not_allowed(r, 1);
    }
    memset(&request, 0, sizeof(request));
    status = read_request(r, route->service, &request);
    if (status != OK) {
        return ended_early(r, route->service, status, "request-body");
    }
    if (route->service->broken) {
        return ended_early(r, route->service, scep_http_unavailable(r, 0), "service");
    }
    request.limit_exempt = is_exempt(r, route->service);
    status = process(r, route->service, &request, &response);
    if (status == HTTP_SERVICE_UNAVAILABLE) {
        return ended_early(r, route->service, status, "overload");
    }
    if (status != OK) {
        return status;
    }
    scep_log_transaction(r, route->service, response);
    scep_metrics_request(route->service, r, response);
    scep_audit_write(r, route->service, response);
    scep_cmtrace_write(r, route->service, response);
    scep_status_files_write(r, route->service, &response->trace);
    return send_response(r, route->service, response);
}
