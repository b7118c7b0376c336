/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to Intune and heard from it; see policy_intune.h. */
#include "policy_intune.h"
#include "../common/http_client.h"
#include "../common/json_text.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTION_MAX 255 /* of a failure, by the API */
#define SHOWN_MAX 200       /* of their descriptions, in the log */
#define SECRET_RUN 48       /* so many base64 digits in a row may be a challenge or a token */
#define URI_MAX 1500

/* Pool cleanup: overwrites a text. */
static apr_status_t wipe_text(void *baton)
{
    OPENSSL_cleanse(baton, strlen(baton));
    return APR_SUCCESS;
}

/* What all bodies have. */
static json_t *make_head(const policy_request_t *request, const intune_names_t *names,
                         apr_pool_t *p)
{
    json_t *object = json_object();

    json_object_set_new(object, "transactionId", json_text_string(request->transaction_id, p));
    json_object_set_new(object, "certificateRequest", json_text_base64(&request->csr->der, p));
    json_object_set_new(object, "callerInfo", json_text_string(names->caller, p));
    return object;
}

/* An object as the only member of another, as text in p. */
static const char *wrap(const char *name, json_t *object, apr_pool_t *p)
{
    json_t *outer = json_object();

    json_object_set_new(outer, name, object);
    return json_text_take(outer, p);
}

const char *intune_validate_body(const policy_request_t *request, const intune_names_t *names,
                                 apr_pool_t *p)
{
    return wrap("request", make_head(request, names, p), p);
}

/* "2018-06-11T16:11:20.0000000Z" of a certificate's end. */
static const char *expiration(const X509 *cert, apr_pool_t *p)
{
    apr_time_exp_t t;

    apr_time_exp_gmt(&t, crypt_asn1_time(X509_get0_notAfter(cert)));
    return apr_psprintf(p, "%04d-%02d-%02dT%02d:%02d:%02d.0000000Z", t.tm_year + 1900,
                        t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
}

const char *intune_success_body(const policy_request_t *request, const crypt_buf_t *certificate,
                                const intune_names_t *names, apr_pool_t *p)
{
    const unsigned char *der = certificate->data;
    X509 *cert = crypt_x509_own(d2i_X509(NULL, &der, (long)certificate->len), p);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    const char *issuer;
    json_t *object;

    if (!cert || crypt_thumbprint(cert, EVP_sha1(), digest, &len) != APR_SUCCESS)
        return NULL;
    issuer = crypt_name_text(X509_get_issuer_name(cert), p);
    object = make_head(request, names, p);
    json_object_set_new(object, "certificateThumbprint",
                        json_text_string(crypt_hex(digest, len, 1, p), p));
    json_object_set_new(object, "certificateSerialNumber",
                        json_text_string(crypt_serial_text(X509_get0_serialNumber(cert), p), p));
    json_object_set_new(object, "certificateExpirationDateUtc",
                        json_text_string(expiration(cert, p), p));
    json_object_set_new(object, "issuingCertificateAuthority", json_text_string(issuer, p));
    json_object_set_new(object, "caConfiguration", json_text_string(names->configuration, p));
    json_object_set_new(object, "certificateAuthority",
                        json_text_string(names->authority ? names->authority : issuer, p));
    return wrap("notification", object, p);
}

const char *intune_failure_body(const policy_request_t *request, apr_int32_t hresult,
                                const char *description, const intune_names_t *names,
                                apr_pool_t *p)
{
    json_t *object = make_head(request, names, p);

    json_object_set_new(object, "hResult", json_integer((json_int_t)(apr_uint32_t)hresult));
    json_object_set_new(object, "errorDescription",
                        json_text_string(http_printable(description, DESCRIPTION_MAX, p), p));
    return wrap("notification", object, p);
}

const char *intune_body_transaction(const char *body, apr_pool_t *p)
{
    json_t *object = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
    const char *id = json_string_value(
        json_object_get(json_object_get(object, "notification"), "transactionId"));

    id = id ? http_printable(id, 64, p) : "";
    json_decref(object);
    return id;
}

/* Puts a mark in place of what may be secret in a peer's text. */
static const char *without_secrets(const char *text, const char *challenge, apr_pool_t *p)
{
    char *copy = apr_pstrdup(p, text), *c, *end, *to;

    if (challenge && *challenge && strstr(text, challenge))
        return "(withheld: it holds the challenge)";
    for (c = to = copy; *c; c = end) {
        for (end = c; apr_isalnum(*end) || (*end && strchr("+/=_", *end));)
            end++;
        if (end - c >= SECRET_RUN) {
            memcpy(to, "(...)", 5);
            to += 5;
        }
        else {
            end += end == c;
            memmove(to, c, end - c);
            to += end - c;
        }
    }
    *to = '\0';
    return http_printable(copy, SHOWN_MAX, p);
}

/* Loads a JSON object.  Error text, NULL on success; the caller gives *pobject back. */
static const char *load(json_t **pobject, const crypt_buf_t *body)
{
    *pobject = json_loadb((const char *)body->data, body->len, JSON_REJECT_DUPLICATES, NULL);
    if (!*pobject) /* jansson's text quotes the peer */
        return "the answer is not JSON";
    if (json_is_object(*pobject))
        return NULL;
    json_decref(*pobject);
    *pobject = NULL;
    return "the answer is not a JSON object";
}

const char *intune_read_answer(const char **code, const char **description,
                               const crypt_buf_t *body, const char *challenge, apr_pool_t *p)
{
    json_t *object, *name, *text;
    const char *error = load(&object, body);

    *code = *description = "";
    if (error)
        return error;
    name = json_object_get(object, "code");
    text = json_object_get(object, "errorDescription");
    if (!json_is_string(name) || strlen(json_string_value(name)) != json_string_length(name))
        error = "the answer has no \"code\"";
    else if (text && !json_is_string(text) && !json_is_null(text))
        error = "\"errorDescription\" of the answer is not a string";
    else {
        *code = http_printable(json_string_value(name), 64, p);
        if (strcmp(*code, json_string_value(name)) != 0)
            *code = "(unprintable)"; /* never equal to a code because it was cut */
        if (json_is_string(text))
            *description = without_secrets(json_string_value(text), challenge, p);
    }
    json_decref(object);
    return error;
}

/* A member of an object that is a string; NULL: there is none. */
static const char *member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    const char *text = json_string_value(value);

    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

const char *intune_read_location(const char **uri, const crypt_buf_t *body, const char *service,
                                 apr_pool_t *p)
{
    json_t *object, *entry, *list;
    const char *error = load(&object, body), *name, *found = NULL;
    size_t i;

    *uri = NULL;
    if (error)
        return error;
    list = json_object_get(object, "value");
    json_array_foreach(list, i, entry) {
        name = member(entry, "providerName");
        if (!name)
            name = member(entry, "serviceName");
        if (!found && name && strcasecmp(name, service) == 0)
            found = member(entry, "uri");
    }
    if (!json_is_array(list))
        error = "discovery's answer has no list";
    else if (!found || strlen(found) > URI_MAX)
        error = apr_psprintf(p, "discovery knows no %s of this tenant", service);
    else
        *uri = apr_pstrdup(p, found);
    json_decref(object);
    return error;
}

/* Whether a token can stand in a header: RFC 6750 section 2.1. */
static int is_token(const char *text)
{
    return *text && strlen(text) <= 16384 &&
           text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                             "-._~+/=")] == '\0';
}

const char *intune_read_token(const char **token, apr_interval_time_t *lifetime,
                              const crypt_buf_t *body, apr_pool_t *p)
{
    json_t *object, *seconds;
    const char *error = load(&object, body), *type, *text;
    char *copy;

    *token = NULL;
    if (error)
        return error;
    type = member(object, "token_type");
    text = member(object, "access_token");
    seconds = json_object_get(object, "expires_in");
    if (!type || strcasecmp(type, "Bearer") != 0)
        error = "the answer is no Bearer token";
    else if (!text || !is_token(text))
        error = "the answer has no usable access_token";
    else if (!json_is_integer(seconds) || json_integer_value(seconds) < 1 ||
             json_integer_value(seconds) > 366 * 86400)
        error = "the answer has no usable expires_in";
    else {
        copy = apr_pstrdup(p, text);
        apr_pool_cleanup_register(p, copy, wipe_text, apr_pool_cleanup_null);
        *token = copy;
        *lifetime = apr_time_from_sec(json_integer_value(seconds));
    }
    json_decref(object);
    return error;
}

const char *intune_read_token_error(const crypt_buf_t *body, apr_pool_t *p)
{
    json_t *object;
    const char *error, *text, *number, *shown = "";

    if (load(&object, body))
        return "no reason given";
    error = member(object, "error");
    text = member(object, "error_description");
    number = text ? strstr(text, "AADSTS") : NULL;
    if (number)
        shown = apr_psprintf(p, " (AADSTS%.*s)", (int)strspn(number + 6, "0123456789"), number + 6);
    if (error && strlen(error) <= 40 && error[strspn(error, "abcdefghijklmnopqrstuvwxyz_")] == '\0')
        shown = apr_pstrcat(p, error, shown, NULL);
    else
        shown = apr_pstrcat(p, "no reason given", shown, NULL);
    json_decref(object);
    return shown;
}
