/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CA backend "adcs": Active Directory Certificate Services by the Certificate Enrollment Web
 * Service ([MS-WSTEP]).
 *
 * As NDES does, we ask on behalf of the device: its PKCS#10 stands in a CMC request that the
 * enrollment agent signs, so a template can be bound to that signature.  Who is TLS' client (or
 * whose name and password go along) is another matter: that account needs the right to enroll.
 */
#include "ca_adcs_agent.h"
#include "ca_adcs_answer.h"
#include "ca_adcs_cmc.h"
#include "ca_adcs_soap.h"
#include "ca_certs.h"
#include "../common/secret.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

#define USER_MIN 3          /* "u:p" */
#define USER_MAX 512

typedef struct adcs_t {
    http_client_t *client;
    const char *url;            /* what the envelope is addressed to */
    adcs_agent_t *agent;        /* NULL: the PKCS#10 goes as it is */
    secret_file_t *user;        /* NULL: none */
} adcs_t;

static const settings_key_t adcs_keys[] = {
    CA_HTTP_KEYS(0),
    {"request", "cmc|pkcs10", 0},
    {"agentCertificate", "FILE", 0},
    {"agentKey", "FILE", 0},
    {"userFile", "FILE", 0},
    {NULL, NULL, 0}
};

/* The path of a URL; "" if it has none. */
static const char *path_of(const char *url)
{
    const char *host = strstr(url, "://");

    host = host != NULL ? strchr(host + 3, '/') : NULL;
    return host != NULL ? host : "";
}

/* The service is the same behind each URL.  Error text in p, NULL if the URLs say so. */
static const char *check_urls(adcs_t *adcs, const settings_t *settings, apr_pool_t *p)
{
    static const char *const keys[] = {"url2", "url3", "url4"};
    char *url = apr_pstrdup(p, settings_get(settings, "url", ""));
    size_t i, len;

    for (len = strlen(url); len > 0 && url[len - 1] == '/'; len--) {
        url[len - 1] = '\0';
    }
    adcs->url = url;
    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *other = settings_get(settings, keys[i], NULL);

        len = strlen(path_of(url));
        if (other != NULL && (strncmp(path_of(other), path_of(url), len) != 0 ||
                              strspn(path_of(other) + len, "/") != strlen(path_of(other) + len))) {
            return apr_psprintf(p, "%s: its path has to be that of url, which names the CA",
                                keys[i]);
        }
    }
    return NULL;
}

/* Who signs the request.  Error text in p, NULL on success. */
static const char *make_agent(adcs_t *adcs, const settings_t *settings, apr_pool_t *p)
{
    const char *request = settings_get(settings, "request", "cmc");
    const char *certificate = settings_get(settings, "agentCertificate", NULL);
    const char *key = settings_get(settings, "agentKey", NULL);

    if (strcmp(request, "pkcs10") == 0) {
        return certificate == NULL && key == NULL
                   ? NULL : "request=pkcs10 is signed by nobody: agentCertificate and agentKey "
                            "belong to request=cmc";
    }
    if (strcmp(request, "cmc") != 0) {
        return "request is cmc or pkcs10";
    }
    if (certificate == NULL || key == NULL) {
        return "request=cmc needs agentCertificate and agentKey, the enrollment agent's";
    }
    return adcs_agent_make(&adcs->agent, certificate, key, p);
}

/* Who asks, besides TLS.  Error text in p, NULL on success. */
static const char *make_user(adcs_t *adcs, const settings_t *settings, apr_pool_t *p)
{
    const char *file = settings_get(settings, "userFile", NULL);
    const char *error;
    crypt_buf_t line;

    if (file == NULL) {
        return settings_get(settings, "certificate", NULL) != NULL
                   ? NULL : "certificate and key, or userFile: the service answers nobody that "
                            "it does not know";
    }
    error = secret_file_make(&adcs->user, file, "user and password", USER_MIN, USER_MAX, p);
    if (error != NULL) {
        return error;
    }
    line = secret_file_get(adcs->user, NULL, p);
    if (memchr(line.data, ':', line.len) == NULL || line.data[0] == ':') {
        error = apr_psprintf(p, "%s does not hold user:password", file);
    }
    return error;
}

static const char *adcs_create(void **pinstance, const settings_t *settings,
                               const ca_config_t *cfg, apr_pool_t *p)
{
    adcs_t *adcs = apr_pcalloc(p, sizeof(*adcs));
    const char *error = check_urls(adcs, settings, p);

    *pinstance = adcs;
    if (cfg->chain_file == NULL) {
        return "ScepCAChain is missing: the service does not tell the CA's certificates";
    }
    if (error == NULL) {
        error = make_agent(adcs, settings, p);
    }
    if (error == NULL) {
        error = make_user(adcs, settings, p);
    }
    return error == NULL ? ca_http_make(&adcs->client, "adcs", settings, cfg, p) : error;
}

static apr_status_t adcs_child_init(void *instance, apr_pool_t *pchild)
{
    adcs_t *adcs = instance;
    apr_status_t rv = http_client_child_init(adcs->client, pchild);

    if (rv == APR_SUCCESS && adcs->agent != NULL) {
        rv = adcs_agent_child_init(adcs->agent, pchild);
    }
    if (rv == APR_SUCCESS && adcs->user != NULL) {
        rv = secret_file_child_init(adcs->user, pchild);
    }
    return rv;
}

/* Takes an issued certificate into answer. */
static void take_issued(ca_answer_t *answer, const adcs_reply_t *reply, const http_answer_t *http,
                        const csr_t *csr, apr_pool_t *p)
{
    const char *error;

    if (ca_certs_add_der(&answer->certs, reply->leaf.data, reply->leaf.len, p) != APR_SUCCESS) {
        ca_http_not_understood(answer, http, "the X509v3 token is no certificate", p);
        return;
    }
    /* the chain is ScepCAChain's, so it does not matter if the service's cannot be read */
    (void)ca_certs_add_cms(&answer->certs, reply->cmc.data, reply->cmc.len, p);
    error = adcs_check_subject(answer->certs, csr, p);
    if (error != NULL) {
        ca_http_not_understood(answer, http, error, p);
        return;
    }
    answer->result = CA_ISSUED;
}

/* A fault: from the CA by its HRESULT, otherwise from the service, which does not take the call. */
static void take_fault(ca_answer_t *answer, const adcs_reply_t *reply, const http_answer_t *http,
                       apr_pool_t *p)
{
    if (reply->has_error) {
        adcs_failed(answer, reply->error, reply->is_denied, reply->text, http->peer, p);
        return;
    }
    if (reply->is_denied) {
        ca_http_rejected(answer, http, reply->text, p);
        return;
    }
    /* WS-Security 1.1 section 12 */
    if (strcmp(reply->subcode, "FailedAuthentication") == 0 ||
        strcmp(reply->subcode, "InvalidSecurity") == 0 ||
        strcmp(reply->subcode, "InvalidSecurityToken") == 0) {
        answer->result = CA_RETRY;
        outcome_unavailable(&answer->outcome, "ca-credentials", 0, p,
                            "%s: our user name and password are not accepted: %s", http->peer,
                            http_printable(reply->text, 300, p));
        return;
    }
    answer->result = CA_RETRY;
    answer->unknown = 1;
    outcome_unavailable(&answer->outcome, "ca-status", 0, p, "%s: HTTP %d: %s %s", http->peer,
                        http->status, http_printable(reply->subcode, 100, p),
                        http_printable(reply->text, 300, p));
}

/* What the service's answer means. */
static void judge(ca_answer_t *answer, const adcs_question_t *question, const http_answer_t *http,
                  const ca_request_t *request, const log_sink_t *log, apr_pool_t *p)
{
    adcs_reply_t reply;
    const char *error = adcs_soap_read(&reply, &http->body, p);

    if (http->status != 200 && (error != NULL || !reply.is_fault)) {
        ca_http_status(answer, http, NULL, p);
        return;
    }
    if (error == NULL && reply.relates_to != NULL &&
        strcmp(reply.relates_to, question->message_id) != 0) {
        error = "it is the answer to another question";
    }
    if (error != NULL) {
        ca_http_not_understood(answer, http, error, p);
        return;
    }
    if (reply.is_fault) {
        take_fault(answer, &reply, http, p);
        return;
    }
    log_to(log, LOG_SINK_INFO, SCEPTAG(0355), "service %s: transaction %s: request %s of AD CS: %s",
           grant_service(request->grant), grant_transaction_id(request->grant),
           reply.request_id != NULL ? reply.request_id : "without number",
           http_printable(reply.disposition, 200, p));
    if (reply.leaf.len > 0) {
        take_issued(answer, &reply, http, request->csr, p);
    }
    else if (reply.is_pending && reply.request_id != NULL) {
        answer->result = CA_PENDING;
        answer->cookie = reply.request_id;
    }
    else {
        ca_http_not_understood(answer, http, "neither a certificate nor a request to ask about",
                               p);
    }
}

/* Adds user name and password to the question; they are wiped with p. */
static void add_user(adcs_t *adcs, adcs_question_t *question, const log_sink_t *log, apr_pool_t *p)
{
    crypt_buf_t line;
    char *colon;

    if (adcs->user == NULL) {
        return;
    }
    line = secret_file_get(adcs->user, log, p);
    colon = memchr(line.data, ':', line.len);
    if (colon != NULL) {
        *colon = '\0';
        question->user = (const char *)line.data;
        question->password = colon + 1;
    }
}

/* Asks and fills answer. */
static void ask(adcs_t *adcs, adcs_question_t *question, const ca_request_t *request,
                ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    http_request_t call;
    http_answer_t http;
    char *envelope;

    question->to = adcs->url;
    question->message_id = adcs_message_id(p);
    if (question->message_id == NULL) {
        outcome_unavailable(&answer->outcome, "ca-error", 0, p, "no random bytes");
        return;
    }
    add_user(adcs, question, log, p);
    envelope = adcs_soap_write(question, p);
    memset(&call, 0, sizeof(call));
    call.content_type = ADCS_SOAP_TYPE;
    call.body.data = (const unsigned char *)envelope;
    call.body.len = strlen(envelope);
    call.idempotent = question->request_id != NULL;
    call.deadline = request->deadline;
    if (ca_http_ask(adcs->client, &call, &http, answer, log, p) == APR_SUCCESS) {
        judge(answer, question, &http, request, log, p);
    }
    OPENSSL_cleanse(envelope, strlen(envelope));
}

/* Writes the signed request; 0 with an answer if that is not possible. */
static int make_cmc(adcs_t *adcs, crypt_buf_t *cmc, const ca_request_t *request,
                    ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    X509 *cert;
    EVP_PKEY *key;
    apr_status_t rv;

    adcs_agent_get(adcs->agent, &cert, &key, log, p);
    rv = adcs_cmc_make(cmc, &request->csr->der, request->template_name, cert, key, p);
    if (rv == APR_SUCCESS) {
        return 1;
    }
    log_openssl_errors(log, LOG_SINK_ERR, SCEPTAG(0356), "while signing the CMC request");
    outcome_unavailable(&answer->outcome, "ca-error", 0, p, rv == APR_EINVAL
                        ? "'%s' cannot be the name of a template"
                        : "the CMC request for template '%s' cannot be made",
                        request->template_name);
    return 0;
}

static apr_status_t adcs_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                const log_sink_t *log, apr_pool_t *p)
{
    adcs_t *adcs = instance;
    adcs_question_t question;
    crypt_buf_t cmc;

    memset(answer, 0, sizeof(*answer));
    memset(&question, 0, sizeof(question));
    answer->result = CA_RETRY;
    question.template_name = request->template_name;
    if (adcs->agent == NULL) {
        question.pkcs10 = &request->csr->der;
    }
    else {
        if (!make_cmc(adcs, &cmc, request, answer, log, p)) {
            return APR_SUCCESS;
        }
        question.cmc = &cmc;
    }
    ask(adcs, &question, request, answer, log, p);
    return APR_SUCCESS;
}

static apr_status_t adcs_poll(void *instance, const ca_request_t *request, const char *cookie,
                              ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    adcs_question_t question;

    memset(answer, 0, sizeof(*answer));
    memset(&question, 0, sizeof(question));
    answer->result = CA_RETRY;
    if (!adcs_is_request_id(cookie)) {
        outcome_unavailable(&answer->outcome, "ca-poll", 0, p,
                            "'%.60s' is no request of AD CS", cookie);
        return APR_SUCCESS;
    }
    question.request_id = cookie;
    ask(instance, &question, request, answer, log, p);
    return APR_SUCCESS;
}

static apr_status_t adcs_health(void *instance, const char **text, apr_pool_t *p)
{
    adcs_t *adcs = instance;
    X509 *cert;
    EVP_PKEY *key;

    if (adcs->agent == NULL) {
        return APR_SUCCESS;
    }
    adcs_agent_get(adcs->agent, &cert, &key, NULL, p);
    if (crypt_asn1_time(X509_get0_notAfter(cert)) > apr_time_now()) {
        return APR_SUCCESS;
    }
    *text = "the enrollment agent's certificate has expired";
    return APR_EGENERAL;
}

const ca_provider_t ca_adcs_provider = {
    .name = "adcs",
    .keys = adcs_keys,
    .capabilities = CA_CAP_PENDING | CA_CAP_REWRITES_SUBJECT,
    .concurrency = CA_HTTP_CONCURRENCY,
    .create = adcs_create,
    .child_init = adcs_child_init,
    .submit = adcs_submit,
    .poll = adcs_poll,
    .health = adcs_health
};
