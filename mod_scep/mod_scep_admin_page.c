/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of mscep_admin.  Device managements cut the page by the phrases below: tags, spaces and
 * order of each PHRASE are interface and kept byte for byte; all around them is ours.  No run of
 * 16 or more hexadecimal capitals may stand before the password.
 */
#include "mod_scep_admin_page.h"
#include "mod_scep_log.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_protocol.h>
#include <jansson.h>

#define PHRASE_THUMBPRINT "<P> The thumbprint (hash value) for the CA certificate is: <B> %s </B>"
#define PHRASE_PASSWORD " <P> The enrollment challenge password is: <B> %s </B>"
#define PHRASE_ONCE " <P> This password can be used only once and will expire within %d minutes."
#define PHRASE_NO_EXPIRY " <P> This password can be used multiple times and will not expire."
#define PHRASE_FULL "<P> The password cache is full."
#define PHRASE_FORBIDDEN "<P> You do not have sufficient permission to enroll with SCEP."

#define TYPE_JSON "application/json"
#define TYPE_TEXT "text/plain; charset=utf-8"

/* Headers that every answer of the admin URL has. */
static void guard(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->err_headers_out, "Pragma", "no-cache");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
    apr_table_mergen(r->headers_out, "Vary", "Accept");
}

/* How well one range of Accept fits a type: 3 exactly, 2 by its kind, 1 anything, 0 not. */
static int fits(const char *range, apr_size_t len, const char *type)
{
    apr_size_t kind = ap_strchr_c(type, '/') - type + 1;

    if (len == strlen(type) && !ap_cstr_casecmpn(range, type, len)) {
        return 3;
    }
    if (len == kind + 1 && range[kind] == '*' && !ap_cstr_casecmpn(range, type, kind)) {
        return 2;
    }
    return (len == 3 && !strncmp(range, "*/*", 3)) || (len == 1 && *range == '*');
}

/* The q parameter of one range in thousandths. */
static int quality(const char *range, const char *end)
{
    const char *c = range;
    int q = 1000, digit;

    while ((c = memchr(c, ';', end - c)) != NULL) {
        c++;
        while (c < end && (*c == ' ' || *c == '\t')) {
            c++;
        }
        if (end - c >= 3 && (*c == 'q' || *c == 'Q') && c[1] == '=') {
            c += 2;
            q = *c == '1' ? 1000 : 0;
            c = memchr(c, '.', end - c);
            for (digit = 100; q < 1000 && c && ++c < end && apr_isdigit(*c) && digit; digit /= 10) {
                q += (*c - '0') * digit;
            }
            return q;
        }
    }
    return q;
}

scep_form_e scep_form_accepted(request_rec *r)
{
    static const struct {
        scep_form_e form;
        const char *type;
    } types[] = {
        {SCEP_FORM_PAGE, "text/html"}, {SCEP_FORM_JSON, TYPE_JSON}, {SCEP_FORM_TEXT, "text/plain"}};
    const char *accept = apr_table_get(r->headers_in, "Accept");
    const char *range, *end, *name_end;
    int best[3] = {0, 0, 0}, q[3] = {0, 0, 0};
    int i, fit, winner = 0;

    for (range = accept; range && *range; range = *end ? end + 1 : end) {
        range += strspn(range, " \t");
        end = range + strcspn(range, ",");
        name_end = range + strcspn(range, ",; \t");
        for (i = 0; i < 3; i++) {
            fit = fits(range, name_end - range, types[i].type);
            if (fit > best[i]) {
                best[i] = fit;
                q[i] = quality(range, end);
            }
        }
    }
    /* between equals the one that was named more exactly, then the page */
    for (i = 1; i < 3; i++) {
        if (q[i] > q[winner] || (q[i] == q[winner] && q[i] && best[i] > best[winner])) {
            winner = i;
        }
    }
    return types[winner].form;
}

/* Sends a JSON object and gives it up.  JSON has no charset: it is UTF-8. */
static int send_json(request_rec *r, int status, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    apr_size_t len = text ? strlen(text) : 0;
    char *copy = apr_pstrmemdup(r->pool, text ? text : "", len);

    if (text) {
        OPENSSL_cleanse(text, len);
        free(text);
    }
    json_decref(object);
    return len ? scep_http_send(r, status, TYPE_JSON, copy, len) : HTTP_INTERNAL_SERVER_ERROR;
}

/* NULL: the CA's certificates are not known. */
static const char *thumbprint_of(request_rec *r, const scep_service_conf_t *service)
{
    return scep_service_thumbprint(&service->core, scep_log_server(r->server, r->pool), r->pool);
}

/* The line of the thumbprint, where the service has one. */
static const char *thumbprint_phrase(request_rec *r, const scep_service_conf_t *service)
{
    const char *thumbprint = thumbprint_of(r, service);

    return thumbprint ? apr_psprintf(r->pool, PHRASE_THUMBPRINT, thumbprint) : "";
}

/* How long and how often a challenge is good, in NDES' words where those are true. */
static const char *uses_phrase(request_rec *r, const policy_challenge_t *challenge)
{
    int minutes = (int)((apr_time_sec(challenge->lifetime) + 59) / 60);

    if (challenge->uses == 1) {
        return apr_psprintf(r->pool, PHRASE_ONCE, minutes);
    }
    if (!challenge->lifetime) {
        return PHRASE_NO_EXPIRY;
    }
    if (!challenge->uses) {
        return apr_psprintf(r->pool,
                            PHRASE_NO_EXPIRY " (Not by use: it is good for the next %d minutes.)",
                            minutes);
    }
    return apr_psprintf(r->pool,
                        " <P> This password can be used %d times and will expire within %d "
                        "minutes.",
                        challenge->uses, minutes);
}

/* The SCEP URL as the caller reached this host. */
static const char *enroll_url(request_rec *r, const scep_service_conf_t *service)
{
    return ap_construct_url(r->pool, scep_path_enroll(service, r->pool), r);
}

int scep_admin_say_challenge(request_rec *r, scep_form_e form, const scep_service_conf_t *service,
                             const policy_challenge_t *challenge)
{
    const char *thumbprint;
    json_t *object;

    guard(r);
    if (form == SCEP_FORM_TEXT) {
        return scep_admin_say_text(r, HTTP_OK, challenge->text);
    }
    if (form == SCEP_FORM_JSON) {
        thumbprint = thumbprint_of(r, service);
        object = json_object();
        json_object_set_new(object, "challenge", json_string(challenge->text));
        json_object_set_new(object, "expires_in",
                            challenge->lifetime ? json_integer(apr_time_sec(challenge->lifetime))
                                                : json_null());
        json_object_set_new(object, "uses",
                            challenge->uses ? json_integer(challenge->uses) : json_null());
        json_object_set_new(object, "thumbprint",
                            json_string(thumbprint ? thumbprint : ""));
        json_object_set_new(object, "id", json_string(challenge->id));
        json_object_set_new(object, "outstanding", json_integer(challenge->outstanding));
        json_object_set_new(object, "url", json_string(enroll_url(r, service)));
        return send_json(r, HTTP_OK, object);
    }
    return scep_http_page(
        r, HTTP_OK,
        apr_pstrcat(r->pool, thumbprint_phrase(r, service),
                    apr_psprintf(r->pool, PHRASE_PASSWORD, challenge->text),
                    uses_phrase(r, challenge),
                    challenge->uses == 1
                        ? " <P> Each enrollment needs a new password; reload this page to obtain "
                          "one."
                        : "",
                    " <P> The device enrolls at <I>",
                    ap_escape_html(r->pool, enroll_url(r, service)), "</I>.", NULL));
}

int scep_admin_say_full(request_rec *r, scep_form_e form, const scep_service_conf_t *service,
                        apr_interval_time_t wait, int own)
{
    apr_int64_t seconds = wait > 0 ? apr_time_sec(wait) + 1 : 1;

    if (form != SCEP_FORM_PAGE) {
        apr_table_setn(r->err_headers_out, "Retry-After",
                       apr_psprintf(r->pool, "%" APR_INT64_T_FMT, seconds));
        return scep_admin_say_no(r, form, HTTP_SERVICE_UNAVAILABLE, "full",
                                 "The password cache is full.");
    }
    guard(r);
    return scep_http_page(
        r, HTTP_OK,
        apr_psprintf(r->pool,
                     "%s " PHRASE_FULL " %" APR_INT64_T_FMT " passwords %sare waiting to be "
                     "used. <P> The next one expires in about %" APR_INT64_T_FMT " minutes. An "
                     "administrator can allow more with ScepChallengeMax%s.",
                     thumbprint_phrase(r, service),
                     own ? service->effective.max_per_caller : service->effective.max,
                     own ? "that you asked for " : "", (seconds + 59) / 60,
                     own ? "PerCaller" : ""));
}

int scep_admin_say_forbidden(request_rec *r, scep_form_e form, const scep_service_conf_t *service)
{
    if (form != SCEP_FORM_PAGE) {
        return scep_admin_say_no(r, form, HTTP_FORBIDDEN, "permission",
                                 "You do not have sufficient permission to enroll with SCEP.");
    }
    (void)service;
    guard(r);
    return scep_http_page(r, HTTP_OK,
                          PHRASE_FORBIDDEN " <P> Ask the administrator of this server, who decides "
                                           "with ScepAdminAuthorize and "
                                           "ScepAdminAuthorizeTemplate.");
}

int scep_admin_say_unavailable(request_rec *r, scep_form_e form, int retry_after)
{
    scep_http_unavailable(r, retry_after);
    return scep_admin_say_no(r, form, HTTP_SERVICE_UNAVAILABLE, "unavailable",
                             "No password can be made at the moment. Please try again soon.");
}

int scep_admin_say_no(request_rec *r, scep_form_e form, int status, const char *error,
                      const char *text)
{
    json_t *object;

    guard(r);
    if (form == SCEP_FORM_TEXT) {
        return scep_admin_say_text(r, status, text);
    }
    if (form == SCEP_FORM_JSON) {
        object = json_object();
        json_object_set_new(object, "error", json_string(error));
        json_object_set_new(object, "text", json_string(text));
        return send_json(r, status, object);
    }
    return scep_http_page(r, status,
                          apr_pstrcat(r->pool, "<P> ", ap_escape_html(r->pool, text), NULL));
}

int scep_admin_say_nothing(request_rec *r, scep_form_e form)
{
    guard(r);
    r->content_type = NULL;
    apr_table_setn(r->headers_out, "Content-Type",
                   form == SCEP_FORM_PAGE ? "text/html"
                                          : (form == SCEP_FORM_JSON ? TYPE_JSON : TYPE_TEXT));
    return OK;
}

int scep_admin_say_text(request_rec *r, int status, const char *text)
{
    guard(r);
    return scep_http_send(r, status, TYPE_TEXT, text, strlen(text));
}
