/* SPDX-License-Identifier: Apache-2.0 */
/* One request to scep-status (see mod_scep_status_request.h). */
#include "mod_scep_status_request.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <openssl/crypto.h>

APLOG_USE_MODULE(scep);

#define BODY_MAX 16384
#define REASON_MAX 255

int scep_status_refuse(scep_status_t *s, int status, const char *error, const char *text)
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

int scep_status_refuse_unavailable(scep_status_t *s, const outcome_t *out)
{
    apr_table_setn(s->r->headers_out, "Retry-After", "5");
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, s->r, SCEPTAG(0446) ": no answer to scep-status: %s",
                  out->detail && *out->detail ? out->detail : out->reason);
    return scep_status_refuse(s, HTTP_SERVICE_UNAVAILABLE, "unavailable",
                              "The store gives no answer. Please try again.");
}

int scep_status_parse(scep_status_t *s, const char *args)
{
    static const char *const names[FIELDS] = {
        "service",      "tx",     "format", "done",          "action", "reason",    "token",
        "certificates", "serial", "issuer", "transactionID", "export", "revocation"};
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

const scep_service_conf_t *scep_status_find_service(const scep_status_t *s, const char *name)
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

/* The token of an hour (0: this one, 1: the one before); NULL: the service has no secret. */
static const char *token_of(const scep_status_t *s, const scep_service_conf_t *service,
                            const char *what, int before)
{
    const char *user = s->r->user;
    apr_int64_t hour = apr_time_sec(s->r->request_time) / 3600 - before;

    return policy_token(service->core.policy,
                        apr_psprintf(s->r->pool,
                                     "scep-status %" APR_SIZE_T_FMT ":%s %s %s %" APR_INT64_T_FMT,
                                     strlen(user), user, service->name, what, hour),
                        s->r->pool);
}

const char *scep_status_token(const scep_status_t *s, const scep_service_conf_t *service,
                              const char *what)
{
    return token_of(s, service, what, 0);
}

int scep_status_is_token(const scep_status_t *s, const scep_service_conf_t *service,
                         const char *what)
{
    const char *given = s->field[FIELD_TOKEN], *right;
    int i, good = 0;

    for (i = 0; given && i < 2; i++) {
        right = token_of(s, service, what, i);
        good |=
            right && strlen(right) == strlen(given) && !CRYPTO_memcmp(right, given, strlen(right));
    }
    return good;
}

int scep_status_is_line(const char *reason)
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

int scep_status_read_form(scep_status_t *s, int *rv)
{
    const char *type = apr_table_get(s->r->headers_in, "Content-Type");
    static const char expected[] = "application/x-www-form-urlencoded";
    crypt_buf_t body;

    if (scep_http_cross_site(s->r)) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, s->r,
                      SCEPTAG(0444) ": no decision by a request that another site made");
        *rv = scep_status_refuse(s, HTTP_FORBIDDEN, "cross-site", "Another site's page led here.");
        return 0;
    }
    if (!type || ap_cstr_casecmpn(type, expected, sizeof(expected) - 1) ||
        (type[sizeof(expected) - 1] && !strchr("; \t", type[sizeof(expected) - 1]))) {
        *rv = scep_status_refuse(s, HTTP_UNSUPPORTED_MEDIA_TYPE, "type", "A form is needed.");
        return 0;
    }
    *rv = scep_http_read(s->r, BODY_MAX, &body);
    if (*rv != OK) {
        return 0;
    }
    if (memchr(body.data, 0, body.len) ||
        !scep_status_parse(s, apr_pstrmemdup(s->r->pool, (const char *)body.data, body.len))) {
        *rv = scep_status_refuse(s, HTTP_BAD_REQUEST, "form", "The form is not valid.");
        return 0;
    }
    return 1;
}
