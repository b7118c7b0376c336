/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the SCEP engine and whoever signs: registry, and the checks that no backend can skip.
 *
 * A wrong but valid certificate is a real failure of real CAs, so an answer is believed only after
 * ca_check_leaf() (ca_check.c) agreed.
 */
#include "ca_check.h"
#include "ca_sid.h"
#include "ca_state.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COOKIE 255

const ca_provider_t *const ca_builtin[] = {
    &ca_adcs_provider,
    &ca_certsrv_provider,
    &ca_local_provider,
    &ca_none_provider,
    &ca_est_provider,
    &ca_ejbca_provider,
    &ca_exec_provider,
    &ca_cmp_provider,
    &ca_vault_provider,
    &ca_vault_role_provider,
    &ca_stepca_provider,
    NULL
};

/* Learns the chain as far as no network is needed; error text, NULL on success. */
static const char *set_chain(ca_t *ca, int argc, const char *const *argv, apr_pool_t *p)
{
    const char *err;

    if (ca->cfg->chain_file != NULL) {
        err = ca_chain_load(&ca->chain, ca->cfg->chain_file, p);
        if (err != NULL) {
            return err;
        }
    }
    else if (ca->provider->get0_identity != NULL && ca->provider->chain != NULL &&
             ca->provider->chain(ca->instance, &ca->chain, NULL, p) != APR_SUCCESS) {
        return "the backend does not know its own certificate";
    }
    else if (ca->provider->fetch_chain != NULL) {
        ca->fetched = ca_fetched_make(ca->provider, ca->instance, ca->cfg, argc, argv, p);
    }
    if (ca->chain != NULL && (ca->store = ca_store_make(ca->chain, p)) == NULL) {
        ERR_clear_error();
        return "the CA chain cannot be used";
    }
    return NULL;
}

const settings_key_t *ca_keys(const ca_provider_t *provider, apr_pool_t *p)
{
    static const settings_key_t limit = {"concurrency", "NUMBER", 0}, end = {NULL, NULL, 0};
    apr_array_header_t *keys = apr_array_make(p, 8, sizeof(settings_key_t));
    const settings_key_t *key;

    for (key = provider->keys; key != NULL && key->name != NULL; key++) {
        APR_ARRAY_PUSH(keys, settings_key_t) = *key;
    }
    if (provider->concurrency > 0) {
        APR_ARRAY_PUSH(keys, settings_key_t) = limit;
    }
    APR_ARRAY_PUSH(keys, settings_key_t) = end;
    return (const settings_key_t *)keys->elts;
}

/* Reads the options; error text in p, NULL on success. */
static const char *read_settings(ca_t *ca, settings_t **settings, int argc,
                                 const char *const *argv, apr_pool_t *p)
{
    apr_int64_t max = 0;
    const char *err = settings_parse(settings, ca_keys(ca->provider, p), argc, argv, p);

    if (err == NULL && ca->provider->concurrency > 0) {
        err = settings_get_number(*settings, "concurrency", ca->provider->concurrency, 1, 10000,
                                  &max, p);
    }
    ca->gate.max = (int)max;
    return err;
}

const char *ca_make(ca_t **pca, const ca_provider_t *provider, int argc, const char *const *argv,
                    const ca_config_t *cfg, apr_pool_t *p)
{
    ca_t *ca = apr_pcalloc(p, sizeof(*ca));
    settings_t *settings;
    const char *err;

    *pca = NULL;
    ca->provider = provider;
    ca->capabilities = provider->capabilities;
    ca->cfg = cfg;
    if (provider->create == NULL || provider->submit == NULL) {
        return apr_psprintf(p, "backend %s cannot sign", provider->name);
    }
    err = read_settings(ca, &settings, argc, argv, p);
    if (err == NULL) {
        err = provider->create(&ca->instance, settings, cfg, p);
    }
    if (err == NULL && provider->more_capabilities != NULL) {
        ca->capabilities |= provider->more_capabilities(ca->instance);
    }
    if (err == NULL && provider->concurrency == 0 && provider->limit != NULL) {
        ca->gate.max = provider->limit(ca->instance);
        if (ca->gate.max == 0 && settings_get(settings, "concurrency", NULL) != NULL) {
            err = "concurrency= is for a backend that waits for somebody, as for a token";
        }
    }
    if (err == NULL) {
        err = set_chain(ca, argc, argv, p);
    }
    if (err == NULL) {
        err = ca_crl_open(ca, p);
    }
    if (err == NULL) {
        *pca = ca;
    }
    return err;
}

const char *ca_prepare(ca_t *ca, uid_t uid, gid_t gid, int *away, apr_pool_t *p)
{
    *away = 0;
    return ca->provider->prepare != NULL
               ? ca->provider->prepare(ca->instance, uid, gid, away, p) : NULL;
}

apr_status_t ca_child_init(ca_t *ca, apr_pool_t *pchild)
{
    apr_status_t rv = ca_crl_child_init(ca, pchild);

    if (rv == APR_SUCCESS) {
        rv = apr_thread_mutex_create(&ca->gate.mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
    }
    if (rv == APR_SUCCESS && ca->provider->child_init != NULL) {
        rv = ca->provider->child_init(ca->instance, pchild);
    }
    if (rv == APR_SUCCESS) {
        rv = ca_health_child_init(ca, pchild); /* its thread ends before what it asks does */
    }
    if (rv == APR_SUCCESS && ca->fetched != NULL) {
        rv = ca_fetched_child_init(ca->fetched, pchild);
    }
    return rv;
}

const char *ca_name(const ca_t *ca)
{
    return ca->provider->name;
}

int ca_capabilities(const ca_t *ca)
{
    return ca->capabilities;
}

apr_status_t ca_trust(ca_t *ca, ca_trust_t *trust, apr_time_t deadline, const char **why,
                      const log_sink_t *log, apr_pool_t *p)
{
    const char *text;
    apr_status_t rv;

    why = why != NULL ? why : &text;
    *why = "name the CA's certificates by ScepCAChain";
    trust->chain = ca->chain;
    trust->store = ca->store;
    if (ca->chain != NULL) {
        return APR_SUCCESS;
    }
    if (ca->fetched != NULL) {
        return ca_fetched_get(ca->fetched, trust, deadline, why, log, p);
    }
    if (ca->provider->chain == NULL) {
        return APR_ENOTIMPL;
    }
    rv = ca->provider->chain(ca->instance, &trust->chain, log, p);
    if (rv != APR_SUCCESS || sk_X509_num(trust->chain) < 1) {
        return rv != APR_SUCCESS ? rv : APR_EGENERAL;
    }
    trust->store = ca_store_make(trust->chain, p);
    return APR_SUCCESS;
}

apr_status_t ca_chain(ca_t *ca, STACK_OF(X509) **pchain, const log_sink_t *log, apr_pool_t *p)
{
    ca_trust_t trust;
    apr_status_t rv = ca_trust(ca, &trust, apr_time_now() + CA_CHAIN_BUDGET, NULL, log, p);

    *pchain = trust.chain;
    return rv;
}

apr_status_t ca_chain_known(ca_t *ca, STACK_OF(X509) **pchain, apr_pool_t *p)
{
    ca_trust_t trust;
    apr_status_t rv = ca_trust(ca, &trust, 0, NULL, NULL, p);

    *pchain = trust.chain;
    return rv;
}

int ca_chain_is_fetched(const ca_t *ca)
{
    return ca->fetched != NULL;
}

apr_status_t ca_get0_identity(ca_t *ca, X509 **pcert, EVP_PKEY **pkey)
{
    *pcert = NULL;
    *pkey = NULL;
    return ca->provider->get0_identity != NULL
               ? ca->provider->get0_identity(ca->instance, pcert, pkey) : APR_ENOTIMPL;
}

int ca_can_revoke(const ca_t *ca)
{
    return ca->provider->revoke != NULL;
}

int ca_is_reason(int reason)
{
    switch (reason) {
    case CRL_REASON_UNSPECIFIED:
    case CRL_REASON_KEY_COMPROMISE:
    case CRL_REASON_AFFILIATION_CHANGED:
    case CRL_REASON_SUPERSEDED:
    case CRL_REASON_CESSATION_OF_OPERATION:
    case CRL_REASON_PRIVILEGE_WITHDRAWN:
        return 1;
    default:
        return 0;
    }
}

/* See ca_provider_t.revoke. */
static apr_status_t revoke_serial(ca_t *ca, const ASN1_INTEGER *serial, apr_time_t not_after,
                                  int reason, outcome_t *out, apr_pool_t *p)
{
    outcome_init(out);
    if (ca->provider->revoke == NULL) {
        return APR_ENOTIMPL;
    }
    if (!ca_is_reason(reason)) {
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG, "revoke-reason",
                       "The reason cannot be taken.", p, "reason %d is not one to revoke by",
                       reason);
        return APR_EINVAL;
    }
    return ca->provider->revoke(ca->instance, serial, not_after, reason, out, p);
}

apr_status_t ca_revoke(ca_t *ca, const ASN1_INTEGER *serial, int reason, outcome_t *out,
                       apr_pool_t *p)
{
    return revoke_serial(ca, serial, 0, reason, out, p);
}

apr_status_t ca_revoke_certificate(ca_t *ca, const crypt_buf_t *der, int reason, outcome_t *out,
                                   const log_sink_t *log, apr_pool_t *p)
{
    const unsigned char *at = der->data;
    X509 *cert = crypt_x509_own(d2i_X509(NULL, &at, (long)der->len), p);
    STACK_OF(X509) *chain = NULL;
    X509 *issuer;

    outcome_init(out);
    ERR_clear_error();
    if (ca_chain(ca, &chain, log, p) != APR_SUCCESS || sk_X509_num(chain) < 1) {
        outcome_unavailable(out, "ca-chain", 0, p, "the CA's chain is not known");
        return APR_EGENERAL;
    }
    issuer = sk_X509_value(chain, 0);
    if (cert == NULL || at != der->data + der->len ||
        X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) != 0 ||
        X509_verify(cert, X509_get0_pubkey(issuer)) != 1) {
        ERR_clear_error();
        return APR_NOTFOUND;
    }
    return revoke_serial(ca, X509_get0_serialNumber(cert),
                         crypt_asn1_time(X509_get0_notAfter(cert)), reason, out, p);
}

/* Hex SHA-256 of a text. */
static const char *text_digest(const char *text, apr_pool_t *p)
{
    unsigned char digest[32] = {0};
    crypt_buf_t part;

    part.data = (const unsigned char *)text;
    part.len = strlen(text);
    (void)crypt_sha256_parts(digest, &part, 1);
    return crypt_hex(digest, sizeof(digest), 0, p);
}

const char *ca_fingerprint(ca_t *ca, apr_pool_t *p)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    STACK_OF(X509) *chain = ca->chain;

    if (ca->fetched != NULL && ca_chain(ca, &chain, NULL, p) != APR_SUCCESS) {
        return CA_FINGERPRINT_UNKNOWN;
    }
    if (chain != NULL && sk_X509_num(chain) > 0 &&
        crypt_thumbprint(sk_X509_value(chain, 0), EVP_sha256(), digest, &len) == APR_SUCCESS) {
        return crypt_hex(digest, len, 0, p);
    }
    return text_digest(ca->provider->name, p);
}

/* qsort order of strings. */
static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *ca_templates_fingerprint(ca_t *ca, apr_pool_t *p)
{
    const apr_array_header_t *templates = ca->cfg->templates;
    int i, n = templates != NULL ? templates->nelts : 0;
    apr_array_header_t *lines = apr_array_make(p, n + 1, sizeof(const char *));

    APR_ARRAY_PUSH(lines, const char *) = ca_template_text(ca_template_default(), p);
    for (i = 0; i < n; i++) {
        APR_ARRAY_PUSH(lines, const char *) =
            ca_template_text(APR_ARRAY_IDX(templates, i, const ca_template_t *), p);
    }
    /* the order of the directives does not matter */
    qsort(lines->elts, (size_t)lines->nelts, sizeof(const char *), compare_text);
    return text_digest(apr_array_pstrcat(p, lines, '\0'), p);
}

const ca_template_t *ca_find_template(const ca_t *ca, const char *name)
{
    const apr_array_header_t *templates = ca->cfg->templates;
    int i;

    for (i = 0; templates != NULL && i < templates->nelts; i++) {
        const ca_template_t *t = APR_ARRAY_IDX(templates, i, const ca_template_t *);

        if (strcmp(t->name, name) == 0) {
            return t;
        }
    }
    return ca_template_default();
}

/* Pool cleanup; returns APR_SUCCESS. */
static apr_status_t name_cleanup(void *data)
{
    X509_NAME_free(data);
    return APR_SUCCESS;
}

/* The granted subject, owned by p; NULL: it is not a name, or an empty one. */
static X509_NAME *granted_subject(const crypt_buf_t *der, apr_pool_t *p)
{
    const unsigned char *at = der->data;
    X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)der->len);

    if (name == NULL) {
        ERR_clear_error();
        return NULL;
    }
    apr_pool_cleanup_register(p, name, name_cleanup, apr_pool_cleanup_null);
    return at == der->data + der->len && X509_NAME_entry_count(name) > 0 ? name : NULL;
}

/* Why the backend cannot honor what policy adds; NULL: it can. */
static const char *check_added(const ca_t *ca, const ca_request_t *request)
{
    const int capabilities = ca->capabilities;

    if (grant_sid(request->grant) != NULL && (capabilities & CA_CAP_SID) == 0) {
        return "the CA backend cannot put a security identifier into a certificate";
    }
    if (grant_subject(request->grant) == NULL) {
        return NULL;
    }
    if ((capabilities & CA_CAP_SUBJECT) == 0) {
        return "the CA backend cannot give a certificate another subject than the CSR's";
    }
    if (request->template->subject == CA_FROM_NOWHERE) {
        return "the template's certificates have no subject (subject=none)";
    }
    return request->subject == NULL ? "the subject cannot be read" : NULL;
}

/* Holds the CSR and what policy adds against template and backend; 0 with a final answer if there
 * is something that must not be signed. */
static int check_request(const ca_t *ca, const ca_request_t *request, ca_answer_t *answer,
                         const log_sink_t *log, apr_pool_t *p)
{
    const char *error = check_added(ca, request);

    if (error != NULL) {
        answer->result = CA_RETRY;
        outcome_unavailable(&answer->outcome, "ca-attributes", 0, p,
                            "what policy adds cannot be honored: %s", error);
        log_to(log, LOG_SINK_ERR, SCEPTAG(0303),
               "service %s: transaction %s: what policy adds cannot be honored: %s",
               grant_service(request->grant), grant_transaction_id(request->grant), error);
        return 0;
    }
    if ((ca->capabilities & CA_CAP_SID) == 0 &&
        ca_sid_find(request->csr->extensions) != NULL) {
        outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT,
                       "csr-sid", "The certificate request asks for a security identifier.", p,
                       "the CSR holds a security identifier extension, which only policy may add");
        return 0;
    }
    return ca_template_check_csr(request->template, request->csr, request->subject,
                                 grant_sid(request->grant), &answer->outcome, p) == APR_SUCCESS;
}

/* Whether an answer could be checked; what cannot be is not asked for.  0 with a final answer. */
static int knows_chain(ca_t *ca, apr_time_t deadline, ca_answer_t *answer, const log_sink_t *log,
                       apr_pool_t *p)
{
    ca_trust_t trust;
    const char *why;

    if (ca->fetched == NULL ||
        ca_trust(ca, &trust, deadline, &why, log, p) == APR_SUCCESS) {
        return 1;
    }
    answer->retry_after = CA_CHAIN_SOON;
    outcome_unavailable(&answer->outcome, "ca-chain", CA_CHAIN_SOON, p,
                        "the CA's chain is not known: %s", why);
    return 0;
}

/* Fills request; 0 with a final answer if the CSR must not be signed. */
static int prepare(ca_t *ca, ca_request_t *request, const grant_t *grant, const csr_t *csr,
                   apr_time_t deadline, ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    memset(answer, 0, sizeof(*answer));
    answer->result = CA_REJECTED;
    outcome_init(&answer->outcome);
    request->grant = grant;
    request->csr = csr;
    request->deadline = deadline;
    if (grant == NULL || csr == NULL ||
        CRYPTO_memcmp(grant_csr_digest(grant), csr->digest, sizeof(csr->digest)) != 0) {
        outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG, "csr-grant",
                       "The certificate request is not the one that was allowed.", p,
                       "the grant was given for another CSR");
        return 0;
    }
    request->template_name = grant_template(grant);
    request->template = ca_find_template(ca, request->template_name);
    request->subject = grant_subject(grant) != NULL ? granted_subject(grant_subject(grant), p)
                                                    : csr->subject;
    if (!check_request(ca, request, answer, log, p)) {
        return 0;
    }
    answer->result = CA_RETRY;
    if (apr_time_now() >= deadline) {
        outcome_unavailable(&answer->outcome, "ca-deadline", 0, p,
                            "no time is left to ask the CA");
        return 0;
    }
    return knows_chain(ca, deadline, answer, log, p);
}

/* Turns answer into "unknown": the CA is broken or cannot be understood. */
static void distrust(const ca_t *ca, const ca_request_t *request, ca_answer_t *answer,
                     const log_sink_t *log, apr_pool_t *p, const char *what)
{
    answer->result = CA_RETRY;
    answer->unknown = 1;
    answer->leaf = NULL;
    answer->certs = NULL;
    answer->cookie = NULL;
    outcome_unavailable(&answer->outcome, "ca-answer", 0, p, "answer of CA backend %s: %s",
                        ca->provider->name, what);
    log_to(log, LOG_SINK_ERR, SCEPTAG(0300),
           "service %s: transaction %s: the answer of CA backend %s is not used: %s",
           grant_service(request->grant), grant_transaction_id(request->grant), ca->provider->name,
           what);
    log_openssl_errors(log, LOG_SINK_DEBUG, SCEPTAG(0301), "while checking the CA's answer");
}

/* Checks the certificate of an ISSUED answer; error text, NULL if it is good. */
static const char *check_issued(ca_t *ca, const ca_request_t *request, ca_answer_t *answer,
                                const log_sink_t *log, apr_pool_t *p)
{
    ca_check_t check;
    ca_trust_t trust;
    const char *error;

    memset(&check, 0, sizeof(check));
    check.capabilities = ca->capabilities;
    if (ca_trust(ca, &trust, request->deadline, NULL, log, p) != APR_SUCCESS) {
        return "the CA's chain is not known";
    }
    check.chain = trust.chain;
    check.store = trust.store;
    error = ca_check_leaf(&check, request, answer, p);
    /* the CA may have a new certificate since its chain was fetched */
    if (error != NULL && ca->fetched != NULL &&
        ca_fetched_renew(ca->fetched, trust.chain, request->deadline, log, p) &&
        ca_trust(ca, &trust, request->deadline, NULL, log, p) == APR_SUCCESS) {
        check.chain = trust.chain;
        check.store = trust.store;
        error = ca_check_leaf(&check, request, answer, p);
    }
    return error;
}

/* Whether a cookie can be kept in the store. */
static int cookie_is_good(const char *cookie)
{
    size_t i, len = cookie != NULL ? strlen(cookie) : 0;

    for (i = 0; i < len; i++) {
        if (!apr_isprint(cookie[i])) {
            return 0;
        }
    }
    return len > 0 && len <= MAX_COOKIE;
}

/* Normalizes a backend's answer: after it no field contradicts another. */
static void settle(ca_t *ca, const ca_request_t *request, ca_answer_t *answer,
                   const log_sink_t *log, apr_pool_t *p)
{
    const char *error;

    if (answer->result != CA_RETRY) {
        answer->unknown = 0;
    }
    switch (answer->result) {
    case CA_ISSUED:
        error = check_issued(ca, request, answer, log, p);
        if (error != NULL) {
            distrust(ca, request, answer, log, p, error);
            return;
        }
        outcome_success(&answer->outcome);
        return;
    case CA_PENDING:
        if (!(ca->capabilities & CA_CAP_PENDING) || ca->provider->poll == NULL ||
            !cookie_is_good(answer->cookie)) {
            distrust(ca, request, answer, log, p, "pending, but not by a usable cookie");
            return;
        }
        outcome_init(&answer->outcome);
        answer->outcome.result = OUTCOME_PENDING;
        answer->outcome.reason = "ca-pending";
        answer->outcome.retry_after = answer->retry_after;
        return;
    case CA_REJECTED:
        if (answer->outcome.result != OUTCOME_REFUSED) {
            outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED,
                           "ca-rejected", "The certification authority refused the request.", p,
                           "the CA gave no reason");
        }
        return;
    case CA_RETRY:
        if (answer->outcome.result != OUTCOME_UNAVAILABLE) {
            outcome_unavailable(&answer->outcome, "ca-unavailable", answer->retry_after, p,
                                "the CA gave no reason");
        }
        return;
    default:
        distrust(ca, request, answer, log, p, "not one of the four results");
        return;
    }
}

/* After the backend returned rv: what its answer means. */
static void finish(ca_t *ca, const ca_request_t *request, apr_status_t rv, ca_answer_t *answer,
                   const log_sink_t *log, apr_pool_t *p)
{
    char text[120];

    if (rv == APR_SUCCESS) {
        settle(ca, request, answer, log, p);
        return;
    }
    memset(answer, 0, sizeof(*answer));
    answer->result = CA_RETRY;
    answer->unknown = answer->down = 1;
    apr_strerror(rv, text, sizeof(text));
    outcome_unavailable(&answer->outcome, "ca-error", 0, p, "CA backend %s: %s",
                        ca->provider->name, text);
    log_to(log, LOG_SINK_ERR, SCEPTAG(0302), "service %s: transaction %s: CA backend %s failed: %s",
           grant_service(request->grant), grant_transaction_id(request->grant), ca->provider->name,
           text);
}

/* Lets the request through to the CA; 0 with an answer if it has to come again. */
static int enter(ca_t *ca, int *probe, ca_answer_t *answer, apr_pool_t *p)
{
    apr_interval_time_t wait = 0;
    apr_status_t rv = ca_gate_enter(&ca->gate, apr_time_now(), probe, &wait);

    if (rv == APR_SUCCESS) {
        return 1;
    }
    answer->retry_after = wait;
    if (rv == APR_EAGAIN) {
        outcome_unavailable(&answer->outcome, "ca-busy", wait, p,
                            "%d calls of CA backend %s are under way in this process",
                            ca->gate.max, ca->provider->name);
    }
    else {
        outcome_unavailable(&answer->outcome, "ca-down", wait, p,
                            "CA backend %s failed several times in a row, it is left alone for a "
                            "moment", ca->provider->name);
    }
    return 0;
}

/* Asks the CA, cookie NULL: to sign, else what became of it. */
static void ask(ca_t *ca, const ca_request_t *request, const char *cookie, ca_answer_t *answer,
                const log_sink_t *log, apr_pool_t *p)
{
    apr_status_t rv;
    int probe = 0;

    if (!enter(ca, &probe, answer, p)) {
        return;
    }
    rv = cookie == NULL ? ca->provider->submit(ca->instance, request, answer, log, p)
                        : ca->provider->poll(ca->instance, request, cookie, answer, log, p);
    ca_gate_leave(&ca->gate, apr_time_now(), probe,
                  rv != APR_SUCCESS || (answer->result == CA_RETRY && answer->down));
    finish(ca, request, rv, answer, log, p);
}

void ca_submit(ca_t *ca, const grant_t *grant, const csr_t *csr, apr_time_t deadline,
               ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    ca_request_t request;

    if (prepare(ca, &request, grant, csr, deadline, answer, log, p)) {
        ask(ca, &request, NULL, answer, log, p);
    }
}

void ca_poll(ca_t *ca, const grant_t *grant, const csr_t *csr, const char *cookie,
             apr_time_t deadline, ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    ca_request_t request;

    if (!prepare(ca, &request, grant, csr, deadline, answer, log, p)) {
        return;
    }
    if (ca->provider->poll == NULL || !cookie_is_good(cookie)) {
        outcome_unavailable(&answer->outcome, "ca-poll", 0, p,
                            "CA backend %s cannot be asked about '%.255s'", ca->provider->name,
                            cookie != NULL ? cookie : "");
        return;
    }
    ask(ca, &request, cookie, answer, log, p);
}
