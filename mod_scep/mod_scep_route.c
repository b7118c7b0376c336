/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths are a security border: whatever spelling reaches an endpoint is rewritten to the one
 * spelling that the administrator guards with <Location>.
 *
 * httpd walks the locations by r->uri before translate_name and again after map_to_storage; the
 * second walk starts from the server's defaults, and authorization uses its result.  So it is
 * enough (and necessary) that r->uri is canonical when translate_name is over.  mod_rewrite, which
 * runs between the two hooks here, sees the canonical path as well.
 */
#include "mod_scep_route.h"
#include <ap_provider.h>
#include <apr_strings.h>
#include <http_log.h>
#include <http_request.h>

APLOG_USE_MODULE(scep);

#define HANDLER_ENROLL "scep-enroll"
#define HANDLER_ADMIN "scep-admin"
#define HANDLER_POINT "scep-point"
#define HANDLER_CRL "scep-crl"

/* The path without what a file system or a proxy might ignore: empty and '.' segments, ';'
 * parameters. NULL for a path with a '..' left in it, which is none of ours. */
static const char *simplify(const char *uri, apr_pool_t *p)
{
    char *out = apr_palloc(p, strlen(uri) + 2), *o = out;
    const char *end, *semicolon;
    apr_size_t len;

    while (*uri) {
        uri += strspn(uri, "/");
        end = uri + strcspn(uri, "/");
        semicolon = memchr(uri, ';', end - uri);
        len = (semicolon ? semicolon : end) - uri;
        if (len == 2 && !memcmp(uri, "..", 2)) {
            return NULL;
        }
        if (len && !(len == 1 && *uri == '.')) {
            *o++ = '/';
            memcpy(o, uri, len);
            o += len;
        }
        uri = end;
    }
    *o = '\0';
    return out;
}

/* What follows the segments of name in path (which begins with '/'), or NULL. */
static const char *after(const char *path, const char *name)
{
    apr_size_t len = strlen(name);

    return !ap_cstr_casecmpn(path, name, len) && (path[len] == '/' || !path[len]) ? path + len
                                                                                  : NULL;
}

/* Whether the simplified path is an endpoint of a registration point. */
static int match_point(const char *path, scep_endpoint_e *endpoint)
{
    static const char *const roots[] = {"/CertificateRegistrationSvc",
                                        "/CMCertificateRegistration"};
    const char *rest = after(path, roots[0]);

    rest = rest ? rest : after(path, roots[1]);
    rest = rest ? after(rest, "/Certificate") : NULL;
    *endpoint = rest && !ap_cstr_casecmp(rest, "/Notify") ? SCEP_ENDPOINT_NOTIFY
                                                         : SCEP_ENDPOINT_VERIFY;
    return rest && (*endpoint == SCEP_ENDPOINT_NOTIFY || !ap_cstr_casecmp(rest, "/VerifyRequest"));
}

/* Whether the simplified path is an endpoint of the service. */
static int match(const scep_service_conf_t *service, const char *path, scep_endpoint_e *endpoint)
{
    static const char *const names[] = {"/mscep", "/mscep_admin"};
    const char *rest, *tail;
    int i;

    if (service->effective.point && match_point(path, endpoint)) {
        return 1;
    }
    path = after(path, service->effective.path);
    for (i = service->enrolls ? 0 : 1; path && i < 2; i++) {
        rest = after(path, names[i]);
        if (rest) {
            tail = *rest ? after(rest, "/mscep.dll") : rest;
            *endpoint = i ? SCEP_ENDPOINT_ADMIN : SCEP_ENDPOINT_ENROLL;
            return tail != NULL;
        }
    }
    *endpoint = SCEP_ENDPOINT_CRL;
    rest = path && service->enrolls && service->effective.get_crl ? after(path, SCEP_PATH_CRL)
                                                                  : NULL;
    return rest && !*rest;
}

/* The first service of list that the path belongs to. */
static scep_service_conf_t *find(const apr_array_header_t *list, const char *path,
                                 scep_endpoint_e *endpoint)
{
    int i;

    for (i = 0; list && i < list->nelts; i++) {
        scep_service_conf_t *service = APR_ARRAY_IDX(list, i, scep_service_conf_t *);

        if (match(service, path, endpoint)) {
            return service;
        }
    }
    return NULL;
}

const scep_route_t *scep_route_get(request_rec *r)
{
    const scep_route_t *route = ap_get_module_config(r->request_config, &scep_module);

    return route && route->claimed && r->uri && !strcmp(r->uri, route->uri) ? route : NULL;
}

int scep_route_canonical(request_rec *r)
{
    const scep_server_conf_t *sc = scep_server_conf(r->server);
    scep_service_conf_t *service;
    scep_endpoint_e endpoint = SCEP_ENDPOINT_ENROLL;
    scep_route_t *route;
    const char *path;

    if (!sc || (!sc->services->nelts && !sc->inherited) || !r->uri || r->uri[0] != '/') {
        return DECLINED;
    }
    path = simplify(r->uri, r->pool);
    service = path ? find(sc->services, path, &endpoint) : NULL;
    if (!service && path) {
        service = find(sc->inherited, path, &endpoint);
    }
    if (!service) {
        ap_set_module_config(r->request_config, &scep_module, NULL);
        return DECLINED;
    }
    route = apr_pcalloc(r->pool, sizeof(*route));
    route->service = service;
    route->endpoint = endpoint;
    route->uri = endpoint == SCEP_ENDPOINT_ADMIN    ? scep_path_admin(service, r->pool)
                 : endpoint == SCEP_ENDPOINT_CRL    ? scep_path_crl(service, r->pool)
                 : endpoint == SCEP_ENDPOINT_VERIFY ? SCEP_PATH_VERIFY
                 : endpoint == SCEP_ENDPOINT_NOTIFY ? SCEP_PATH_NOTIFY
                                                    : scep_path_enroll(service, r->pool);
    if (strcmp(r->uri, route->uri)) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, SCEPTAG(0420) ": %s is taken as %s", r->uri,
                      route->uri);
    }
    r->uri = apr_pstrdup(r->pool, route->uri);
    ap_set_module_config(r->request_config, &scep_module, route);
    return DECLINED;
}

int scep_route_claim(request_rec *r)
{
    scep_route_t *route;

    /* mod_rewrite may have set another path, also one of ours */
    scep_route_canonical(r);
    route = ap_get_module_config(r->request_config, &scep_module);
    if (!route || r->proxyreq) {
        return DECLINED;
    }
    route->claimed = 1;
    r->filename = apr_pstrdup(r->pool, route->uri);
    r->path_info = NULL;
    return OK;
}

int scep_route_storage(request_rec *r)
{
    return scep_route_get(r) ? OK : DECLINED;
}

int scep_route_type(request_rec *r)
{
    const scep_route_t *route = scep_route_get(r);

    if (!route) {
        return DECLINED;
    }
    r->handler = route->endpoint == SCEP_ENDPOINT_ADMIN    ? HANDLER_ADMIN
                 : route->endpoint == SCEP_ENDPOINT_CRL    ? HANDLER_CRL
                 : route->endpoint == SCEP_ENDPOINT_ENROLL ? HANDLER_ENROLL
                                                           : HANDLER_POINT;
    return OK;
}
