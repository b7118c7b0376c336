/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CA backend "stepca": smallstep's step-ca, asked by /1.0/sign with one-time tokens of a JWK
 * provisioner whose key we hold.
 *
 * The certificate's subject and usages are the provisioner's template's.  The token names the CSR's
 * common name and alternative names, and step-ca compares them.
 */
#include "ca_certs.h"
#include "ca_http.h"
#include "ca_jwt.h"
#include "../common/csr_names.h"
#include "../common/json_text.h"

#include <apr_strings.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#define TOKEN_LIFE 300                      /* seconds; step's own clients take as many */
#define TOKEN_SKEW 60
#define CALL_TIME apr_time_from_sec(5)      /* for a call that nobody gave a deadline */
#define PATH_SIGN "/1.0/sign"
#define PATH_REVOKE "/1.0/revoke"

typedef struct stepca_t {
    http_client_t *client;
    const char *url[HTTP_URLS_MAX];         /* for the tokens' audience */
    const char *provisioner;
    ca_jwt_t *jwt;
} stepca_t;

static const settings_key_t stepca_keys[] = {
    CA_HTTP_KEYS(0),
    {"provisioner", "NAME", 1},
    {"provisionerKey", "FILE", 1},
    {"kid", "ID", 0},
    {NULL, NULL, 0}
};

static const char *stepca_create(void **pinstance, const settings_t *settings,
                                 const ca_config_t *cfg, apr_pool_t *p)
{
    stepca_t *self = apr_pcalloc(p, sizeof(*self));
    http_options_t o;
    const char *error;

    *pinstance = self;
    memset(&o, 0, sizeof(o));
    self->provisioner = settings_get(settings, "provisioner", "");
    if (*self->provisioner == '\0') {
        return "provisioner is empty";
    }
    error = http_settings_read_urls(&o, settings, p);
    memcpy(self->url, o.url, sizeof(self->url));
    if (error == NULL) {
        error = ca_jwt_make(&self->jwt, settings_get(settings, "provisionerKey", ""),
                            settings_get(settings, "kid", NULL), p);
    }
    return error != NULL ? error : ca_http_make(&self->client, "stepca", settings, cfg, p);
}

static apr_status_t stepca_child_init(void *instance, apr_pool_t *pchild)
{
    stepca_t *self = instance;
    apr_status_t rv = ca_jwt_child_init(self->jwt, pchild);

    return rv == APR_SUCCESS ? http_client_child_init(self->client, pchild) : rv;
}

/* A one-time token for an operation (path) on subject; takes sans (NULL: none).  NULL: none can be
 * made. */
static const char *make_token(stepca_t *self, const char *path, const char *subject, json_t *sans,
                              const log_sink_t *log, apr_pool_t *p)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    json_t *claims = json_object(), *audience = json_array();
    unsigned char id[16];
    int i;

    for (i = 0; i < HTTP_URLS_MAX && self->url[i] != NULL; i++) {
        json_array_append_new(audience, json_text_string(
            apr_pstrcat(p, self->url[i], path, NULL), p));
    }
    json_object_set_new(claims, "aud", audience);
    json_object_set_new(claims, "iss", json_text_string(self->provisioner, p));
    json_object_set_new(claims, "sub", json_text_string(subject, p));
    if (sans != NULL) {
        json_object_set_new(claims, "sans", sans);
    }
    json_object_set_new(claims, "iat", json_integer(now));
    json_object_set_new(claims, "nbf", json_integer(now - TOKEN_SKEW));
    json_object_set_new(claims, "exp", json_integer(now + TOKEN_LIFE));
    if (crypt_random(id, sizeof(id)) != APR_SUCCESS) {
        json_decref(claims);
        return NULL;
    }
    json_object_set_new(claims, "jti", json_text_string(crypt_hex(id, sizeof(id), 0, p), p));
    return ca_jwt_sign(self->jwt, claims, log, p);
}

/* The alternative names that step-ca knows, as it writes them; the others do not get into the
 * certificate. */
static json_t *make_sans(const csr_t *csr, apr_pool_t *p)
{
    static const char *const kinds[] = {"DNS:", "email:", "URI:", "IP:"};
    const apr_array_header_t *names = csr_names(csr, p);
    json_t *sans = json_array();
    size_t k;
    int i;

    for (i = 0; names != NULL && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
            if (strncmp(name, kinds[k], strlen(kinds[k])) == 0) {
                json_array_append_new(sans, json_text_string(name + strlen(kinds[k]), p));
            }
        }
    }
    return sans;
}

/* The last common name of the CSR, which is the one that counts there; NULL: none. */
static const char *common_name(const csr_t *csr, apr_pool_t *p)
{
    int i = -1, last = -1, len;
    unsigned char *utf8 = NULL;
    const char *text = NULL;

    while ((i = X509_NAME_get_index_by_NID(csr->subject, NID_commonName, i)) >= 0) {
        last = i;
    }
    if (last >= 0) {
        len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(
                                             X509_NAME_get_entry(csr->subject, last)));
        text = len > 0 && strlen((char *)utf8) == (size_t)len ? apr_pstrdup(p, (char *)utf8) : NULL;
        OPENSSL_free(utf8);
    }
    ERR_clear_error();
    return text;
}

/* The request for a certificate; NULL with a final answer if there is none. */
static const char *sign_body(stepca_t *self, const ca_request_t *request, ca_answer_t *answer,
                             const log_sink_t *log, apr_pool_t *p)
{
    json_t *sans = make_sans(request->csr, p), *object;
    const char *subject = common_name(request->csr, p), *token;

    if (subject == NULL && json_array_size(sans) > 0) {
        subject = apr_pstrdup(p, json_string_value(json_array_get(sans, 0)));
    }
    if (subject == NULL) {
        json_decref(sans);
        answer->result = CA_REJECTED;
        outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT,
                       "csr-nameless", "The certificate request names nobody.", p,
                       "step-ca needs a common name, or a DNS, email, URI or IP name");
        return NULL;
    }
    token = make_token(self, PATH_SIGN, subject, sans, log, p);
    if (token == NULL) {
        answer->result = CA_RETRY;
        outcome_unavailable(&answer->outcome, "ca-credentials", 0, p,
                            "a token for step-ca cannot be signed");
        return NULL;
    }
    object = json_object();
    json_object_set_new(object, "csr", json_text_string(ca_csr_pem(&request->csr->der, p), p));
    json_object_set_new(object, "ott", json_string(token));
    /* the provisioner has a validity of its own, unless the template is configured here */
    if (request->template != ca_template_default()) {
        json_object_set_new(object, "notAfter", json_text_string(apr_psprintf(
            p, "%" APR_TIME_T_FMT "s", apr_time_sec(request->template->validity)), p));
    }
    return json_text_take(object, p);
}

/* One call, body NULL: GET.  As ca_http_ask(). */
static apr_status_t call(stepca_t *self, const char *path, const char *body, apr_time_t deadline,
                         http_answer_t *http, ca_answer_t *answer, const log_sink_t *log,
                         apr_pool_t *p)
{
    http_request_t request;

    memset(&request, 0, sizeof(request));
    request.path = path;
    request.deadline = deadline;
    request.idempotent = body == NULL; /* a token is good once */
    if (body != NULL) {
        request.content_type = "application/json";
        request.body.data = (const unsigned char *)body;
        request.body.len = strlen(body);
    }
    return ca_http_ask(self->client, &request, http, answer, log, p);
}

/* Adds a text of PEM certificates; 0: it is none. */
static int add_pem(STACK_OF(X509) **pcerts, const json_t *value, apr_pool_t *p)
{
    return json_is_string(value) &&
           ca_certs_add_pem(pcerts, json_string_value(value), json_string_length(value), p) ==
               APR_SUCCESS;
}

/* Adds a list of PEM certificates; 0: one of it is none. */
static int add_list(STACK_OF(X509) **pcerts, const json_t *list, apr_pool_t *p)
{
    size_t i;

    for (i = 0; i < json_array_size(list); i++) {
        if (!add_pem(pcerts, json_array_get(list, i), p)) {
            return 0;
        }
    }
    return 1;
}

/* Takes the certificates out of an answer. */
static void read_issued(const http_answer_t *http, ca_answer_t *answer, apr_pool_t *p)
{
    const json_t *object = json_text_parse(&http->body, p);

    if (!add_pem(&answer->certs, json_object_get(object, "crt"), p) ||
        !add_list(&answer->certs, json_object_get(object, "certChain"), p)) {
        ca_http_not_understood(answer, http, "its answer holds no certificate", p);
        return;
    }
    answer->result = CA_ISSUED;
}

/* What step-ca says with an error; NULL: nothing. */
static const char *message_of(const http_answer_t *http, apr_pool_t *p)
{
    return json_text_get(json_text_parse(&http->body, p), "message");
}

static apr_status_t stepca_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                  const log_sink_t *log, apr_pool_t *p)
{
    stepca_t *self = instance;
    const char *body = sign_body(self, request, answer, log, p);
    http_answer_t http;

    if (body == NULL ||
        call(self, PATH_SIGN, body, request->deadline, &http, answer, log, p) != APR_SUCCESS) {
        return APR_SUCCESS;
    }
    if (http.status == 200 || http.status == 201) {
        read_issued(&http, answer, p);
    }
    else if (http.status == 403) {
        /* the token was taken: the request is not what the provisioner allows */
        ca_http_rejected(answer, &http, message_of(&http, p), p);
    }
    else {
        ca_http_status(answer, &http, message_of(&http, p), p);
    }
    return APR_SUCCESS;
}

static apr_status_t stepca_fetch_chain(void *instance, STACK_OF(X509) **pcerts,
                                       apr_time_t deadline, const char **error,
                                       const log_sink_t *log, apr_pool_t *p)
{
    static const char *const paths[] = {"/1.0/intermediates", "/1.0/roots"};
    stepca_t *self = instance;
    const json_t *list;
    ca_answer_t answer;
    http_answer_t http;
    apr_status_t rv;
    int i;

    for (i = 0; i < 2; i++) {
        memset(&answer, 0, sizeof(answer));
        rv = call(self, paths[i], NULL, deadline, &http, &answer, log, p);
        if (rv != APR_SUCCESS) {
            *error = answer.outcome.detail;
            return rv;
        }
        list = json_object_get(json_text_parse(&http.body, p), "crts");
        if ((http.status != 200 && http.status != 201) || json_array_size(list) == 0 ||
            !add_list(pcerts, list, p)) {
            *error = apr_psprintf(p, "%s%s: HTTP %d, and no certificates: name them by "
                                     "ScepCAChain", http.peer, paths[i], http.status);
            return APR_EGENERAL;
        }
    }
    return APR_SUCCESS;
}

/* The serial number in decimal, as step-ca takes it; NULL: no memory. */
static const char *serial_text(const ASN1_INTEGER *serial, apr_pool_t *p)
{
    BIGNUM *bn = ASN1_INTEGER_to_BN(serial, NULL);
    char *digits = bn != NULL ? BN_bn2dec(bn) : NULL;
    const char *text = digits != NULL ? apr_pstrdup(p, digits) : NULL;

    OPENSSL_free(digits);
    BN_free(bn);
    return text;
}

static apr_status_t stepca_revoke(void *instance, const ASN1_INTEGER *serial, apr_time_t not_after,
                                  int reason, outcome_t *out, apr_pool_t *p)
{
    stepca_t *self = instance;
    const char *number = serial_text(serial, p), *token, *text;
    json_t *object;
    ca_answer_t answer;
    http_answer_t http;
    apr_status_t rv;

    (void)not_after;
    token = number != NULL ? make_token(self, PATH_REVOKE, number, NULL, NULL, p) : NULL;
    if (token == NULL) {
        outcome_unavailable(out, "ca-credentials", 0, p, "a token for step-ca cannot be signed");
        return APR_EGENERAL;
    }
    memset(&answer, 0, sizeof(answer));
    object = json_object();
    json_object_set_new(object, "serial", json_string(number));
    json_object_set_new(object, "ott", json_string(token));
    json_object_set_new(object, "reasonCode", json_integer(reason));
    json_object_set_new(object, "passive", json_true());
    rv = call(self, PATH_REVOKE, json_text_take(object, p), apr_time_now() + CALL_TIME, &http,
              &answer, NULL, p);
    if (rv != APR_SUCCESS) {
        *out = answer.outcome;
        return rv;
    }
    text = message_of(&http, p);
    if (http.status == 200 || (text != NULL && strstr(text, "already revoked") != NULL)) {
        outcome_success(out);
        return APR_SUCCESS;
    }
    ca_http_status(&answer, &http, text, p);
    outcome_unavailable(out, answer.outcome.reason, http.retry_after, p, "%s",
                        answer.outcome.detail);
    return APR_EGENERAL;
}

static apr_status_t stepca_health(void *instance, const char **text, apr_pool_t *p)
{
    ca_answer_t answer;
    http_answer_t http;
    apr_status_t rv;

    memset(&answer, 0, sizeof(answer));
    rv = call(instance, "/health", NULL, apr_time_now() + CALL_TIME, &http, &answer, NULL, p);
    if (rv != APR_SUCCESS) {
        *text = answer.outcome.detail;
        return rv;
    }
    if (http.status != 200) {
        *text = apr_psprintf(p, "%s: HTTP %d", http.peer, http.status);
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

const ca_provider_t ca_stepca_provider = {
    .name = "stepca",
    .keys = stepca_keys,
    .capabilities = CA_CAP_REWRITES_SUBJECT,
    .concurrency = CA_HTTP_CONCURRENCY,
    .create = stepca_create,
    .child_init = stepca_child_init,
    .submit = stepca_submit,
    .fetch_chain = stepca_fetch_chain,
    .health = stepca_health,
    .revoke = stepca_revoke
};
