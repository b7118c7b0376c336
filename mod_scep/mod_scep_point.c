/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler of the certificate registration point's two endpoints, VerifyRequest and Notify;
 * docs/registration-point.md describes them.  What they decide is in policy/policy_point.c.
 *
 * A front is whoever shows a client certificate that mod_ssl verified on this connection, and that
 * ScepRegistrationPointAuthorize allows; it fails closed without either.
 */
#include "mod_scep_point.h"
#include "mod_scep_audit.h"
#include "mod_scep_cmtrace.h"
#include "mod_scep_http.h"
#include "mod_scep_log.h"
#include "mod_scep_metrics.h"
#include "mod_scep_route.h"
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <http_ssl.h>

APLOG_USE_MODULE(scep);

/* A variable of mod_ssl for this connection; "" where it has none. */
static const char *tls(request_rec *r, const char *name)
{
    const char *value = ap_ssl_var_lookup(r->pool, r->server, r->connection, r, name);

    return value ? value : "";
}

/*
 * Who asks: issuer and subject of the verified certificate, the same after its renewal and for all
 * hosts of a front that share a name.  NULL: nobody, the refusal is logged.
 */
static const char *front_of(request_rec *r, const scep_service_conf_t *service)
{
    const char *verified = tls(r, "SSL_CLIENT_VERIFY");
    const char *subject = tls(r, "SSL_CLIENT_S_DN"), *issuer = tls(r, "SSL_CLIENT_I_DN");

    if (!strcmp(verified, "SUCCESS") && *subject && *issuer) {
        return apr_pstrcat(r->pool, issuer, "\n", subject, NULL);
    }
    if (!*subject && !*issuer) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCEPTAG(0540) ": service=%s: the registration point is asked without a "
                                    "client certificate (403.7); SSLVerifyClient and "
                                    "SSLCACertificateFile decide whether TLS asks for one",
                      service->name);
        return NULL;
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  SCEPTAG(0541) ": service=%s: the front's client certificate is not verified "
                                "(403.16, %s): subject \"%s\", issuer \"%s\"; SSLCACertificateFile "
                                "names who is trusted",
                  service->name, *verified ? verified : "NONE", scep_log_field(r->pool, subject),
                  scep_log_field(r->pool, issuer));
    return NULL;
}

/* Whether ScepRegistrationPointAuthorize allows the front; OK or an HTTP status. */
static int authorize(request_rec *r, const scep_service_conf_t *service)
{
    const ap_expr_info_t *expr = service->effective.point_authorize;
    const char *err = NULL;
    int yes = expr ? ap_expr_exec(r, expr, &err) : 1;

    if (yes < 0 || err) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCEPTAG(0542) ": service=%s: ScepRegistrationPointAuthorize cannot be "
                                    "evaluated: %s",
                      service->name, err ? err : "unknown");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!yes) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCEPTAG(0543) ": service=%s: \"%s\" is refused by "
                                    "ScepRegistrationPointAuthorize",
                      service->name, scep_log_field(r->pool, tls(r, "SSL_CLIENT_S_DN")));
    }
    return yes ? OK : HTTP_FORBIDDEN;
}

/* Whether the body says that it is JSON. */
static int is_json(request_rec *r)
{
    static const char expected[] = "application/json";
    const char *type = apr_table_get(r->headers_in, "Content-Type");

    return type && !ap_cstr_casecmpn(type, expected, sizeof(expected) - 1) &&
           (!type[sizeof(expected) - 1] || strchr("; \t", type[sizeof(expected) - 1]));
}

/* Refuses a body; HTTP 400. */
static int bad_body(request_rec *r, const scep_service_conf_t *service, const char *why)
{
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                  SCEPTAG(0544) ": service=%s: %s at the registration point is no good: %s",
                  service->name, r->uri, why);
    apr_table_setn(r->err_headers_out, "X-Scep-Reason", "malformed");
    return HTTP_BAD_REQUEST;
}

/* Reads the message.  OK or an HTTP status. */
static int read_message(request_rec *r, const scep_service_conf_t *service, int notify,
                        policy_point_message_t **message)
{
    crypt_buf_t body;
    const char *error;
    int status;

    if (!is_json(r)) {
        return HTTP_UNSUPPORTED_MEDIA_TYPE;
    }
    status = scep_http_read(r, POLICY_POINT_BODY_MAX, &body);
    if (status != OK) {
        return status;
    }
    error = policy_point_read(message, notify, &body, r->pool);
    return error ? bad_body(r, service, error) : OK;
}

/* Sends the log lines of a call; notify: that of Notify. */
static void tell(request_rec *r, const scep_service_conf_t *service,
                 const scep_response_t *response)
{
    scep_log_transaction(r, service, response);
    scep_metrics_request(service, r, response);
    scep_audit_write(r, service, response);
    scep_cmtrace_point(r, service, response);
}

/* The HTTP status for an outcome that is neither yes nor no. */
static int no_answer(request_rec *r, const outcome_t *out)
{
    int seconds = (int)apr_time_sec(out->retry_after + APR_USEC_PER_SEC - 1);

    return out->result == OUTCOME_LIMITED ? scep_http_limited(r, seconds)
                                          : scep_http_unavailable(r, seconds);
}

/* Answers VerifyRequest. */
static int answer_verify(request_rec *r, const outcome_t *out,
                         const policy_attributes_t *attributes)
{
    int yes = out->result == OUTCOME_SUCCESS;
    const char *json, *error;

    if (!yes && out->result != OUTCOME_REFUSED) {
        return no_answer(r, out);
    }
    if (yes && !policy_attributes_empty(attributes)) {
        json = policy_attributes_write(attributes, r->pool);
        error = json ? NULL : "the attributes cannot be written";
        if (error) {
            ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, SCEPTAG(0545) ": %s", error);
            return scep_http_unavailable(r, 0);
        }
        apr_table_setn(r->headers_out, "X-Scep-Attributes",
                       scep_point_base64url(json, strlen(json), r->pool));
    }
    if (!yes) {
        apr_table_setn(r->headers_out, "X-Scep-Reason", out->reason);
        apr_table_setn(r->headers_out, "X-Scep-FailInfo", fail_info_name(out->fail_info));
        if (out->hresult != OUTCOME_HR_NONE) {
            apr_table_setn(r->headers_out, "X-Scep-HResult",
                           apr_psprintf(r->pool, "0x%08x", (unsigned)out->hresult));
        }
        apr_table_setn(r->headers_out, "X-Scep-Text", scep_point_text(out->text, r->pool));
    }
    return scep_http_send(r, HTTP_CREATED, "application/json", yes ? "true" : "false",
                          yes ? 4 : 5);
}

/* Answers Notify. */
static int answer_notify(request_rec *r, const outcome_t *out)
{
    if (out->result == OUTCOME_SUCCESS) {
        r->status = HTTP_NO_CONTENT;
        return OK;
    }
    if (out->result != OUTCOME_REFUSED) {
        return no_answer(r, out);
    }
    apr_table_setn(r->err_headers_out, "X-Scep-Reason", out->reason);
    apr_table_setn(r->err_headers_out, "X-Scep-Text", scep_point_text(out->text, r->pool));
    return HTTP_CONFLICT;
}

/* One call by a front that may make it. */
static int serve(request_rec *r, const scep_service_conf_t *service, int notify, const char *front)
{
    policy_point_message_t *message = NULL;
    policy_attributes_t attributes;
    scep_response_t response;
    scep_trace_t *trace = &response.trace;
    int status = read_message(r, service, notify, &message);

    if (status != OK) {
        return status;
    }
    memset(&attributes, 0, sizeof(attributes));
    scep_point_trace(trace, notify, message, front, r->pool);
    if (notify) {
        scep_point_notify(trace, r, service, message, front);
    }
    else {
        scep_point_verify(trace, &attributes, r, service, message, front);
    }
    if (trace->outcome.result == OUTCOME_MALFORMED) {
        status = bad_body(r, service, trace->outcome.detail);
    }
    else {
        status = notify ? answer_notify(r, &trace->outcome)
                        : answer_verify(r, &trace->outcome, &attributes);
    }
    response.http_status = status == OK ? r->status : status;
    tell(r, service, &response);
    return status;
}

int scep_point_handler(request_rec *r)
{
    const scep_route_t *route = scep_route_get(r);
    const char *front;
    int status;

    if (!route || r->main ||
        (route->endpoint != SCEP_ENDPOINT_VERIFY && route->endpoint != SCEP_ENDPOINT_NOTIFY)) {
        return DECLINED;
    }
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    if (r->method_number != M_POST) {
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_POST, -1);
        return HTTP_METHOD_NOT_ALLOWED;
    }
    front = front_of(r, route->service);
    if (!front) {
        return HTTP_FORBIDDEN;
    }
    status = authorize(r, route->service);
    if (status != OK) {
        return status;
    }
    if (route->service->broken) {
        return scep_http_unavailable(r, 0);
    }
    return serve(r, route->service, route->endpoint == SCEP_ENDPOINT_NOTIFY, front);
}
