/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CA backend "adcs": Active Directory Certificate Services by the Certificate Enrollment Web
 * Service ([MS-WSTEP]).
 *
 * As NDES does, we ask on behalf of the device: its PKCS#10 stands in a CMC request that the
 * enrollment agent signs, so a template can be bound to that signature.  Who is TLS' client (or
 * whose name and password go along) is another matter: that account needs the right to enroll.
 */
#include "ca_adcs_access.h"
#include "ca_adcs_answer.h"
#include "ca_adcs_soap.h"
#include "ca_certs.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

typedef struct adcs_t {
    http_client_t *client;
    const char *url;            /* what the envelope is addressed to */
    adcs_access_t access;
} adcs_t;

static const settings_key_t adcs_keys[] = {
    CA_HTTP_KEYS(0), ADCS_ACCESS_KEYS,
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
        error = adcs_access_make(&adcs->access, settings, p);
    }
    return error == NULL ? ca_http_make(&adcs->client, "adcs", settings, cfg, p) : error;
}

static apr_status_t adcs_child_init(void *instance, apr_pool_t *pchild)
{
    adcs_t *adcs = instance;
    apr_status_t rv = http_client_child_init(adcs->client, pchild);

    return rv == APR_SUCCESS ? adcs_access_child_init(&adcs->access, pchild) : rv;
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
    adcs_access_user(&adcs->access, &question->user, &question->password, log, p);
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
    if (adcs->access.agent == NULL) {
        question.pkcs10 = &request->csr->der;
    }
    else if (adcs_access_sign(&adcs->access, &cmc, request, &answer->outcome, log, p)) {
        question.cmc = &cmc;
    }
    else {
        return APR_SUCCESS;
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
    apr_status_t rv = adcs_access_health(&adcs->access, text, p);

    return rv == APR_SUCCESS ? http_client_health(adcs->client, text, p) : rv;
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
