/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ScepCABackend est: a CA that speaks Enrollment over Secure Transport (RFC 7030), asked by
 * simpleenroll as a registration authority.
 *
 * simplereenroll is not used: it is for a client that shows the certificate that is renewed, and
 * that key is the device's.  What waits at the CA is asked for again by the same CSR.
 */
#include "../common/secret.h"
#include "ca_certs.h"
#include "ca_http.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

#define USER_MIN 3
#define USER_MAX 512
#define LABEL_MAX 64
#define COOKIE "csr"                        /* the CSR is all that is needed */
#define HEALTH_TIME apr_time_from_sec(3)

typedef struct est_t {
    http_client_t *client;
    secret_file_t *user;        /* "user:password"; NULL: the TLS certificate is all */
    const char *prefix;         /* path before the operation */
} est_t;

static const settings_key_t est_keys[] = {
    CA_HTTP_KEYS(0),
    {"label", "TEXT", 0},
    {"userFile", "FILE", 0},
    {NULL, NULL, 0}
};

/* Makes the path of RFC 7030 section 3.2.2; error text in p, NULL on success. */
static const char *read_label(est_t *est, const settings_t *settings, apr_pool_t *p)
{
    static const char *const operations[] = {"cacerts", "simpleenroll", "simplereenroll",
                                             "fullcmc", "serverkeygen", "csrattrs", NULL};
    const char *label = settings_get(settings, "label", NULL), *c;
    int i;

    est->prefix = "/.well-known/est/";
    if (label == NULL) {
        return NULL;
    }
    for (c = label; apr_isalnum(*c) || (*c != '\0' && strchr("-._~", *c) != NULL); c++) {
        continue;
    }
    if (*c != '\0' || c == label || c - label > LABEL_MAX || *label == '.') {
        return "label: one part of a path: letters, digits, - . _ ~";
    }
    for (i = 0; operations[i] != NULL; i++) {
        if (strcasecmp(label, operations[i]) == 0) {
            return apr_psprintf(p, "label: '%s' is an operation of the protocol", label);
        }
    }
    est->prefix = apr_pstrcat(p, est->prefix, label, "/", NULL);
    return NULL;
}

/* Reads user and password; error text in p, NULL on success. */
static const char *read_user(est_t *est, const settings_t *settings, apr_pool_t *p)
{
    const char *file = settings_get(settings, "userFile", NULL), *error;
    crypt_buf_t user;

    if (file == NULL) {
        return settings_get(settings, "certificate", NULL) != NULL
                   ? NULL : "certificate or userFile is needed: by what does the CA know us?";
    }
    error = secret_file_make(&est->user, file, "user and password", USER_MIN, USER_MAX, p);
    if (error != NULL) {
        return error;
    }
    user = secret_file_get(est->user, NULL, p);
    return memchr(user.data + 1, ':', user.len - 1) != NULL && user.data[0] != ':'
               ? NULL : apr_psprintf(p, "userFile: %s does not hold a line user:password", file);
}

/* See ca_provider_t.create. */
static const char *est_create(void **pinstance, const settings_t *settings,
                              const ca_config_t *cfg, apr_pool_t *p)
{
    est_t *est = apr_pcalloc(p, sizeof(*est));
    const char *error = read_label(est, settings, p);

    *pinstance = est;
    if (error == NULL) {
        error = read_user(est, settings, p);
    }
    return error == NULL ? ca_http_make(&est->client, "est", settings, cfg, p) : error;
}

/* See ca_provider_t.child_init. */
static apr_status_t est_child_init(void *instance, apr_pool_t *pchild)
{
    est_t *est = instance;
    apr_status_t rv = http_client_child_init(est->client, pchild);

    return rv == APR_SUCCESS && est->user != NULL ? secret_file_child_init(est->user, pchild) : rv;
}

/* Pool cleanup: overwrites a text. */
static apr_status_t wipe(void *text)
{
    OPENSSL_cleanse(text, strlen(text));
    return APR_SUCCESS;
}

/* The header of HTTP Basic (RFC 7617), wiped with p; NULL: none. */
static const char *authorization(const est_t *est, const log_sink_t *log, apr_pool_t *p)
{
    crypt_buf_t user;
    char *encoded, *header;

    if (est->user == NULL) {
        return NULL;
    }
    user = secret_file_get(est->user, log, p);
    encoded = (char *)ca_base64_encode(user.data, user.len, p);
    header = apr_pstrcat(p, "Authorization: Basic ", encoded, NULL);
    OPENSSL_cleanse(encoded, strlen(encoded));
    apr_pool_cleanup_register(p, header, wipe, apr_pool_cleanup_null);
    return header;
}

/* The certificates of an answer (RFC 8951 section 3.1: base64 whatever its headers say); error
 * text, NULL on success. */
static const char *read_certs(const http_answer_t *http, STACK_OF(X509) **pcerts, apr_pool_t *p)
{
    static const char type[] = "application/pkcs7-mime";
    crypt_buf_t der;

    if (strncasecmp(http->content_type, type, sizeof(type) - 1) != 0) {
        return "the answer is not application/pkcs7-mime";
    }
    if (ca_base64_decode(&der, (const char *)http->body.data, http->body.len, p) != APR_SUCCESS) {
        return "the answer is not base64";
    }
    return ca_certs_add_cms(pcerts, der.data, der.len, p) == APR_SUCCESS
               ? NULL : "the answer holds no certificates";
}

/* What the CA says to people; NULL: nothing that is meant for them. */
static const char *words_of(const http_answer_t *http)
{
    return strncasecmp(http->content_type, "text/plain", 10) == 0 ? (const char *)http->body.data
                                                                  : NULL;
}

/* Fills answer by what the CA said. */
static void read_answer(ca_answer_t *answer, const http_answer_t *http, apr_pool_t *p)
{
    const char *error;

    switch (http->status) {
    case 200:
        error = read_certs(http, &answer->certs, p);
        if (error != NULL) {
            ca_http_not_understood(answer, http, error, p);
            return;
        }
        answer->result = CA_ISSUED;
        return;
    case 202:
        answer->result = CA_PENDING;
        answer->cookie = COOKIE;
        answer->retry_after = http->retry_after;
        return;
    default:
        ca_http_status(answer, http, words_of(http), p);
    }
}

/* See ca_provider_t.submit. */
static apr_status_t est_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                               const log_sink_t *log, apr_pool_t *p)
{
    const est_t *est = instance;
    const char *headers[3] = {"Content-Transfer-Encoding: base64", NULL, NULL}, *body;
    const crypt_buf_t *csr = &request->csr->der;
    http_request_t ask;
    http_answer_t http;

    memset(&ask, 0, sizeof(ask));
    headers[1] = authorization(est, log, p);
    body = ca_base64_encode(csr->data, csr->len, p);
    ask.path = apr_pstrcat(p, est->prefix, "simpleenroll", NULL);
    ask.content_type = "application/pkcs10";
    ask.body.data = (const unsigned char *)body;
    ask.body.len = strlen(body);
    ask.headers = headers;
    ask.deadline = request->deadline;
    if (ca_http_ask(est->client, &ask, &http, answer, log, p) == APR_SUCCESS) {
        read_answer(answer, &http, p);
    }
    return APR_SUCCESS;
}

/* See ca_provider_t.poll; RFC 7030 section 4.2.3: the same request again. */
static apr_status_t est_poll(void *instance, const ca_request_t *request, const char *cookie,
                             ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    (void)cookie;
    return est_submit(instance, request, answer, log, p);
}

/* Asks for the CA's certificates; *certs NULL and *error set where that fails. */
static apr_status_t get_cacerts(const est_t *est, STACK_OF(X509) **certs, apr_time_t deadline,
                                const char **error, const log_sink_t *log, apr_pool_t *p)
{
    http_request_t ask;
    http_answer_t http;
    apr_status_t rv;

    memset(&ask, 0, sizeof(ask));
    ask.path = apr_pstrcat(p, est->prefix, "cacerts", NULL);
    ask.idempotent = 1;
    ask.deadline = deadline;
    rv = http_client_call(est->client, &ask, &http, log, p);
    if (rv != APR_SUCCESS) {
        *error = apr_psprintf(p, "%s: %s", http.peer != NULL ? http.peer : "the CA",
                              http.error != NULL ? http.error : "no answer");
        return rv;
    }
    if (http.status != 200) {
        *error = apr_psprintf(p, "%s: cacerts: HTTP %d", http.peer, http.status);
        return APR_EGENERAL;
    }
    *error = read_certs(&http, certs, p);
    if (*error != NULL) {
        *error = apr_psprintf(p, "%s: cacerts: %s", http.peer, *error);
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

/* See ca_provider_t.fetch_chain. */
static apr_status_t est_fetch_chain(void *instance, STACK_OF(X509) **pcerts, apr_time_t deadline,
                                    const char **error, const log_sink_t *log, apr_pool_t *p)
{
    return get_cacerts(instance, pcerts, deadline, error, log, p);
}

/* See ca_provider_t.health. */
static apr_status_t est_health(void *instance, const char **text, apr_pool_t *p)
{
    STACK_OF(X509) *certs = NULL;
    apr_status_t rv = get_cacerts(instance, &certs, apr_time_now() + HEALTH_TIME, text, NULL, p);

    if (rv == APR_SUCCESS) {
        *text = "";
    }
    return rv;
}

const ca_provider_t ca_est_provider = {
    .name = "est",
    .keys = est_keys,
    .capabilities = CA_CAP_PENDING | CA_CAP_REWRITES_SUBJECT,
    .concurrency = CA_HTTP_CONCURRENCY,
    .create = est_create,
    .child_init = est_child_init,
    .submit = est_submit,
    .poll = est_poll,
    .fetch_chain = est_fetch_chain,
    .health = est_health,
};
