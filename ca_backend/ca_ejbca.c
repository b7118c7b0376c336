/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ScepCABackend ejbca: EJBCA, Community or Enterprise, by its REST interface for certificates
 * (/v1/certificate, /v1/ca), with a TLS certificate that is an administrator's there.
 */
#include "../common/json_text.h"
#include "../common/secret.h"
#include "ca_certs.h"
#include "ca_http.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <string.h>

#define TIME apr_time_from_sec(8)           /* of a call without a deadline */
#define HEALTH_TIME apr_time_from_sec(3)
#define PASSWORD_MIN 8
#define PASSWORD_MAX 200
#define USERNAME_MAX 200                    /* EJBCA keeps 250 */

typedef struct ejbca_t {
    http_client_t *client;
    const char *ca_name, *end_entity_profile;
    const char *certificate_profile;        /* NULL: the template's name */
    int by_subject;                         /* the end entity is the subject, else the request */
    secret_file_t *password;                /* NULL: a random one each time */
} ejbca_t;

static const settings_key_t ejbca_keys[] = {
    CA_HTTP_KEYS(1),
    {"caName", "TEXT", 1},
    {"endEntityProfile", "TEXT", 1},
    {"certificateProfile", "TEXT", 0},
    {"username", "transaction|subject", 0},
    {"passwordFile", "FILE", 0},
    {NULL, NULL, 0}
};

/* See ca_provider_t.create. */
static const char *ejbca_create(void **pinstance, const settings_t *settings,
                                const ca_config_t *cfg, apr_pool_t *p)
{
    ejbca_t *ejbca = apr_pcalloc(p, sizeof(*ejbca));
    const char *file = settings_get(settings, "passwordFile", NULL), *error = NULL;
    const char *rule = settings_get(settings, "username", "transaction");

    *pinstance = ejbca;
    ejbca->ca_name = settings_get(settings, "caName", "");
    ejbca->end_entity_profile = settings_get(settings, "endEntityProfile", "");
    ejbca->certificate_profile = settings_get(settings, "certificateProfile", NULL);
    ejbca->by_subject = strcmp(rule, "subject") == 0;
    if (!ejbca->by_subject && strcmp(rule, "transaction") != 0) {
        return "username: transaction or subject";
    }
    if (*ejbca->ca_name == '\0' || *ejbca->end_entity_profile == '\0' ||
        (ejbca->certificate_profile != NULL && *ejbca->certificate_profile == '\0')) {
        return "caName, endEntityProfile and certificateProfile are names";
    }
    if (file != NULL) {
        error = secret_file_make(&ejbca->password, file, "password", PASSWORD_MIN, PASSWORD_MAX,
                                 p);
    }
    return error == NULL ? ca_http_make(&ejbca->client, "ejbca", settings, cfg, p) : error;
}

/* See ca_provider_t.child_init. */
static apr_status_t ejbca_child_init(void *instance, apr_pool_t *pchild)
{
    ejbca_t *ejbca = instance;
    apr_status_t rv = http_client_child_init(ejbca->client, pchild);

    return rv == APR_SUCCESS && ejbca->password != NULL
               ? secret_file_child_init(ejbca->password, pchild) : rv;
}

/* Percent-encodes one part of a path (RFC 3986 section 2.3). */
static const char *encode(const char *text, apr_pool_t *p)
{
    static const char hex[] = "0123456789ABCDEF";
    char *made = apr_palloc(p, 3 * strlen(text) + 1), *o = made;

    for (; *text != '\0'; text++) {
        if (apr_isalnum(*text) || strchr("-._~", *text) != NULL) {
            *o++ = *text;
        }
        else {
            *o++ = '%';
            *o++ = hex[(unsigned char)*text >> 4];
            *o++ = hex[(unsigned char)*text & 15];
        }
    }
    *o = '\0';
    return made;
}

/* The name of the end entity: the subject's commonName, or one that is this transaction's on every
 * host.  NULL: the subject has none that can be taken. */
static const char *username_of(const ejbca_t *ejbca, const ca_request_t *request, apr_pool_t *p)
{
    unsigned char *text = NULL;
    const char *name = NULL;
    int i, at, len;

    if (!ejbca->by_subject) {
        return apr_psprintf(p, "scep-%.40s", grant_tx_key(request->grant));
    }
    at = request->subject != NULL
             ? X509_NAME_get_index_by_NID(request->subject, NID_commonName, -1) : -1;
    len = at < 0 ? -1 : ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(
                                                       X509_NAME_get_entry(request->subject, at)));
    for (i = 0; i < len && text[i] >= ' ' && text[i] != 0x7f; i++) {
        continue;
    }
    if (len > 0 && len <= USERNAME_MAX && i == len) {
        name = apr_pstrmemdup(p, (const char *)text, (apr_size_t)len);
    }
    OPENSSL_free(text);
    return name;
}

/* The password that the end entity gets; NULL: no random bytes. */
static const char *password_of(const ejbca_t *ejbca, const log_sink_t *log, apr_pool_t *p)
{
    unsigned char random[24];

    if (ejbca->password != NULL) {
        return (const char *)secret_file_get(ejbca->password, log, p).data;
    }
    return crypt_random(random, sizeof(random)) == APR_SUCCESS
               ? crypt_hex(random, sizeof(random), 0, p) : NULL;
}

/* The body of pkcs10enroll; NULL: it cannot be made. */
static const char *make_body(const ejbca_t *ejbca, const ca_request_t *request,
                             const char *username, const log_sink_t *log, apr_pool_t *p)
{
    const char *password = password_of(ejbca, log, p);
    const char *profile = ejbca->certificate_profile != NULL ? ejbca->certificate_profile
                                                             : request->template_name;
    json_t *body = json_object();

    if (password == NULL) {
        json_decref(body);
        return NULL;
    }
    json_object_set_new(body, "certificate_request",
                        json_text_string(ca_csr_pem(&request->csr->der, p), p));
    json_object_set_new(body, "certificate_profile_name", json_text_string(profile, p));
    json_object_set_new(body, "end_entity_profile_name",
                        json_text_string(ejbca->end_entity_profile, p));
    json_object_set_new(body, "certificate_authority_name", json_text_string(ejbca->ca_name, p));
    json_object_set_new(body, "username", json_text_string(username, p));
    json_object_set_new(body, "password", json_text_string(password, p));
    json_object_set_new(body, "include_chain", json_true());
    return json_text_take(body, p);
}

/* The error_message of an answer; NULL: it has none. */
static const char *words_of(const http_answer_t *http, apr_pool_t *p)
{
    const json_t *object = json_text_parse(&http->body, p);

    return json_is_object(object) ? json_text_get(object, "error_message") : NULL;
}

/* Adds one certificate: DER in base64, or PEM, which may be in base64 as well. */
static apr_status_t add_certificate(STACK_OF(X509) **pcerts, const char *text, apr_pool_t *p)
{
    static const char begin[] = "-----BEGIN";
    crypt_buf_t bytes;

    if (text == NULL) {
        return APR_EINVAL;
    }
    if (strncmp(text, begin, sizeof(begin) - 1) == 0) {
        return ca_certs_add_pem(pcerts, text, strlen(text), p);
    }
    if (ca_base64_decode(&bytes, text, strlen(text), p) != APR_SUCCESS) {
        return APR_EINVAL;
    }
    return bytes.len > sizeof(begin) && memcmp(bytes.data, begin, sizeof(begin) - 1) == 0
               ? ca_certs_add_pem(pcerts, bytes.data, bytes.len, p)
               : ca_certs_add_der(pcerts, bytes.data, bytes.len, p);
}

/* The certificates of a good answer; error text, NULL on success. */
static const char *read_certs(ca_answer_t *answer, const http_answer_t *http, apr_pool_t *p)
{
    const json_t *object = json_text_parse(&http->body, p);
    const json_t *chain = json_object_get(object, "certificate_chain");
    apr_size_t i;

    if (!json_is_object(object) ||
        add_certificate(&answer->certs, json_text_get(object, "certificate"), p) != APR_SUCCESS) {
        return "the answer holds no certificate";
    }
    for (i = 0; i < json_array_size(chain); i++) {
        if (add_certificate(&answer->certs, json_string_value(json_array_get(chain, i)), p) !=
            APR_SUCCESS) {
            return "certificate_chain cannot be read";
        }
    }
    return NULL;
}

/* Fills answer by what the CA said. */
static void read_answer(ca_answer_t *answer, const http_answer_t *http, apr_pool_t *p)
{
    const char *error;

    if (http->status == 200 || http->status == 201) {
        error = read_certs(answer, http, p);
        if (error != NULL) {
            ca_http_not_understood(answer, http, error, p);
            return;
        }
        answer->result = CA_ISSUED;
    }
    else if (http->status == 202) {
        answer->result = CA_REJECTED;
        outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED,
                       "ca-waiting", "The certification authority wants to approve requests by "
                       "hand.", p, "%s: HTTP 202: an approval that cannot be asked about later",
                       http->peer);
    }
    else {
        ca_http_status(answer, http, words_of(http, p), p);
    }
}

/* See ca_provider_t.submit. */
static apr_status_t ejbca_submit(void *instance, const ca_request_t *request,
                                 ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    const ejbca_t *ejbca = instance;
    const char *username = username_of(ejbca, request, p), *body;
    http_request_t ask;
    http_answer_t http;

    if (username == NULL) {
        answer->result = CA_REJECTED;
        outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT,
                       "ca-rejected", "The certificate request has no commonName.", p,
                       "username=subject: the subject has no commonName of 1 to %d bytes without "
                       "controls", USERNAME_MAX);
        return APR_SUCCESS;
    }
    body = make_body(ejbca, request, username, log, p);
    if (body == NULL) {
        return APR_EGENERAL;
    }
    memset(&ask, 0, sizeof(ask));
    ask.path = "/v1/certificate/pkcs10enroll";
    ask.content_type = "application/json";
    ask.body.data = (const unsigned char *)body;
    ask.body.len = strlen(body);
    ask.deadline = request->deadline;
    if (ca_http_ask(ejbca->client, &ask, &http, answer, log, p) == APR_SUCCESS) {
        read_answer(answer, &http, p);
    }
    return APR_SUCCESS;
}

/* GET; *error set unless the answer is 200.  urgent: as http_request_t.urgent. */
static apr_status_t get(const ejbca_t *ejbca, const char *path, int urgent, apr_time_t deadline,
                        http_answer_t *http, const char **error, const log_sink_t *log,
                        apr_pool_t *p)
{
    http_request_t ask;
    apr_status_t rv;

    memset(&ask, 0, sizeof(ask));
    ask.path = path;
    ask.idempotent = 1;
    ask.urgent = urgent;
    ask.deadline = deadline;
    rv = http_client_call(ejbca->client, &ask, http, log, p);
    if (rv == APR_SUCCESS && http->status == 200) {
        return APR_SUCCESS;
    }
    *error = apr_psprintf(p, "%s: %s: %s", http->peer != NULL ? http->peer : "the CA", path,
                          rv == APR_SUCCESS ? apr_psprintf(p, "HTTP %d", http->status)
                          : http->error != NULL ? http->error : "no answer");
    return rv != APR_SUCCESS ? rv : APR_EGENERAL;
}

/* The CA's subject as EJBCA writes it; NULL with *error set. */
static const char *find_dn(const ejbca_t *ejbca, int urgent, apr_time_t deadline,
                           const char **error, const log_sink_t *log, apr_pool_t *p)
{
    const json_t *list;
    http_answer_t http;
    apr_size_t i;

    if (get(ejbca, "/v1/ca", urgent, deadline, &http, error, log, p) != APR_SUCCESS) {
        return NULL;
    }
    list = json_object_get(json_text_parse(&http.body, p), "certificate_authorities");
    for (i = 0; i < json_array_size(list); i++) {
        const json_t *ca = json_array_get(list, i);
        const char *name = json_text_get(ca, "name"), *dn = json_text_get(ca, "subject_dn");

        if (name != NULL && dn != NULL && *dn != '\0' && strcmp(name, ejbca->ca_name) == 0) {
            return dn;
        }
    }
    *error = apr_psprintf(p, "%s: it shows us no CA that is called '%s'", http.peer,
                          ejbca->ca_name);
    return NULL;
}

/* See ca_provider_t.fetch_chain. */
static apr_status_t ejbca_fetch_chain(void *instance, STACK_OF(X509) **pcerts,
                                      apr_time_t deadline, const char **error,
                                      const log_sink_t *log, apr_pool_t *p)
{
    const ejbca_t *ejbca = instance;
    const char *dn = find_dn(ejbca, 0, deadline, error, log, p);
    http_answer_t http;
    apr_status_t rv;

    if (dn == NULL) {
        return APR_EGENERAL;
    }
    rv = get(ejbca, apr_pstrcat(p, "/v1/ca/", encode(dn, p), "/certificate/download", NULL),
             0, deadline, &http, error, log, p);
    if (rv == APR_SUCCESS &&
        ca_certs_add_pem(pcerts, http.body.data, http.body.len, p) != APR_SUCCESS) {
        *error = apr_psprintf(p, "%s: the CA's certificates cannot be read", http.peer);
        rv = APR_EGENERAL;
    }
    return rv;
}

/* EJBCA's name of a CRLReason. */
static const char *reason_name(int reason)
{
    switch (reason) {
    case CRL_REASON_KEY_COMPROMISE: return "KEY_COMPROMISE";
    case CRL_REASON_AFFILIATION_CHANGED: return "AFFILIATION_CHANGED";
    case CRL_REASON_SUPERSEDED: return "SUPERSEDED";
    case CRL_REASON_CESSATION_OF_OPERATION: return "CESSATION_OF_OPERATION";
    case CRL_REASON_PRIVILEGE_WITHDRAWN: return "PRIVILEGES_WITHDRAWN";
    default: return "UNSPECIFIED";
    }
}

/* See ca_provider_t.revoke. */
static apr_status_t ejbca_revoke(void *instance, const ASN1_INTEGER *serial, apr_time_t not_after,
                                 int reason, outcome_t *out, apr_pool_t *p)
{
    const ejbca_t *ejbca = instance;
    apr_time_t deadline = apr_time_now() + TIME;
    const char *error = NULL, *dn = find_dn(ejbca, 1, deadline, &error, NULL, p);
    http_request_t ask;
    http_answer_t http;
    apr_status_t rv;

    (void)not_after;
    if (dn == NULL) {
        outcome_unavailable(out, "ca-unreachable", 0, p, "%s", error);
        return APR_EGENERAL;
    }
    memset(&ask, 0, sizeof(ask));
    ask.method = "PUT";
    ask.path = apr_pstrcat(p, "/v1/certificate/", encode(dn, p), "/",
                           crypt_serial_text(serial, p), "/revoke?reason=", reason_name(reason),
                           NULL);
    ask.content_type = "application/json";
    ask.body.data = (const unsigned char *)"";
    ask.idempotent = 1;
    ask.urgent = 1; /* it must not be, and nobody asks again */
    ask.deadline = deadline;
    rv = http_client_call(ejbca->client, &ask, &http, NULL, p);
    /* 409: it was revoked before */
    if (rv == APR_SUCCESS && (http.status == 200 || http.status == 409)) {
        return APR_SUCCESS;
    }
    if (rv == APR_SUCCESS && http.status == 404) {
        return APR_NOTFOUND;
    }
    outcome_unavailable(out, "ca-unreachable", 0, p, "%s: revocation: %s",
                        http.peer != NULL ? http.peer : "the CA",
                        rv == APR_SUCCESS ? apr_psprintf(p, "HTTP %d", http.status)
                        : http.error != NULL ? http.error : "no answer");
    return rv != APR_SUCCESS ? rv : APR_EGENERAL;
}

/* See ca_provider_t.health. */
static apr_status_t ejbca_health(void *instance, const char **text, apr_pool_t *p)
{
    http_answer_t http;

    *text = "";
    return get(instance, "/v1/certificate/status", 0, apr_time_now() + HEALTH_TIME, &http, text,
               NULL, p);
}

const ca_provider_t ca_ejbca_provider = {
    .name = "ejbca",
    .keys = ejbca_keys,
    .capabilities = CA_CAP_REWRITES_SUBJECT,
    .concurrency = CA_HTTP_CONCURRENCY,
    .create = ejbca_create,
    .child_init = ejbca_child_init,
    .submit = ejbca_submit,
    .fetch_chain = ejbca_fetch_chain,
    .health = ejbca_health,
    .revoke = ejbca_revoke,
};
