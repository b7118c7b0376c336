/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler scep-ready, for load balancers: whether this host can enroll devices now; with the
 * query "live" only whether httpd answers.  It needs no user and tells no secret.
 */
#include "mod_scep_admin_page.h"
#include "mod_scep_status.h"
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>

APLOG_USE_MODULE(scep);

/* Lines "PREFIXservice NAME: TEXT" for each of the texts. */
static const char *lines(const char *prefix, const char *name, const apr_array_header_t *texts,
                         apr_pool_t *p)
{
    const char *all = "";
    int i;

    for (i = 0; i < texts->nelts; i++) {
        all = apr_pstrcat(p, all, prefix, "service ", name, ": ",
                          APR_ARRAY_IDX(texts, i, const char *), "\n", NULL);
    }
    return all;
}

/* The texts as JSON. */
static json_t *array(const apr_array_header_t *texts, apr_pool_t *p)
{
    json_t *all = json_array();
    int i;

    for (i = 0; i < texts->nelts; i++) {
        json_array_append_new(all, scep_status_text(APR_ARRAY_IDX(texts, i, const char *), p));
    }
    return all;
}

/* Adds what is known of one service to both forms; whether it works. */
static int tell(request_rec *r, const scep_service_conf_t *service, json_t *services,
                const char **text)
{
    scep_health_t *health = scep_status_health(service, r->pool);
    json_t *object = json_object();

    *text = apr_pstrcat(r->pool, *text, lines("", service->name, health->problems, r->pool),
                        lines("warning: ", service->name, health->warnings, r->pool), NULL);
    json_object_set_new(object, "service", scep_status_text(service->name, r->pool));
    json_object_set_new(object, "ready", json_boolean(!health->problems->nelts));
    json_object_set_new(object, "problems", array(health->problems, r->pool));
    json_object_set_new(object, "warnings", array(health->warnings, r->pool));
    json_array_append_new(services, object);
    if (health->problems->nelts) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, SCEPTAG(0447) ": service %s is not ready: %s",
                      service->name, APR_ARRAY_IDX(health->problems, 0, const char *));
    }
    return !health->problems->nelts;
}

/* Sends a text that nobody keeps. */
static int answer(request_rec *r, int status, const char *text)
{
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    return scep_http_send(r, status, "text/plain; charset=utf-8", text, strlen(text));
}

int scep_ready_handler(request_rec *r)
{
    apr_array_header_t *all;
    json_t *object, *services;
    const char *text = "";
    int i, status, ready;

    status = scep_http_take_get(r, "scep-ready");
    if (status != OK) {
        return status;
    }
    if (r->args && !strcmp(r->args, "live")) {
        return answer(r, HTTP_OK, "alive\n");
    }
    all = scep_status_services(r);
    services = json_array();
    ready = all->nelts > 0;
    for (i = 0; i < all->nelts; i++) {
        ready &= tell(r, APR_ARRAY_IDX(all, i, const scep_service_conf_t *), services, &text);
    }
    status = ready ? HTTP_OK : HTTP_SERVICE_UNAVAILABLE;
    if (scep_form_accepted(r) == SCEP_FORM_JSON) {
        object = json_object();
        json_object_set_new(object, "ready", json_boolean(ready));
        json_object_set_new(object, "services", services);
        return scep_status_send_json(r, status, object);
    }
    json_decref(services);
    text = apr_pstrcat(r->pool, ready ? "ready\n" : "not ready\n",
                       all->nelts ? "" : "this host has no service\n", text, NULL);
    return answer(r, status, text);
}
