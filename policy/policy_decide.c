/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_decide(): what a person decides about a waiting transaction; see policy.h.
 *
 * A denial ends the transaction, so the providers are told as of every other end: by news, which
 * the store keeps in the step that denies.  Nobody is told at once: the store may still say that
 * somebody else was faster.
 */
#include "policy_attributes.h"
#include "policy_outbox.h"
#include <string.h>

/* The certificate in use that waits with a renewal; NULL: none was kept, or it cannot be read. */
static X509 *signer_of(const policy_tx_t *tx, apr_pool_t *p)
{
    const unsigned char *data = tx->signer_der.data;

    return data ? crypt_x509_own(d2i_X509(NULL, &data, (long)tx->signer_der.len), p) : NULL;
}

/* Makes the waiting request again, as providers are told of it.  APR_SUCCESS, or out is set. */
static apr_status_t make_request(policy_tx_t *tx, policy_request_t *request, outcome_t *out,
                                 apr_pool_t *p)
{
    const store_tx_t *known = &tx->store_tx;
    apr_status_t rv = policy_open_waiting(tx, out, p);
    csr_t *csr = NULL;

    if (rv == APR_SUCCESS && tx->csr_der.len == 0) {
        outcome_unavailable(out, "sealed-request", 0, p, "no request was kept");
        rv = APR_NOTFOUND;
    }
    if (rv == APR_SUCCESS) /* its digest was allowed when it came */
        rv = csr_make(&csr, &tx->csr_der, CSR_ALLOW_SHA1 | CSR_ALLOW_MD5, out, p);
    if (rv != APR_SUCCESS)
        return rv;
    memset(request, 0, sizeof(*request));
    request->signer = signer_of(tx, p);
    request->authorization = request->signer ? POLICY_BY_SIGNER : POLICY_BY_CHALLENGE;
    request->csr = csr;
    request->challenge = csr->challenge;
    request->signer_key = &csr->spki_der;
    request->template_name = known->template_name;
    request->transaction_id = known->transaction_id;
    request->client_address = known->client;
    request->user_agent = "";
    tx->request = request;
    return APR_SUCCESS;
}

/* Gathers what the providers have to tell of a denial.  A request that cannot be opened can be
 * denied all the same. */
static void gather(policy_trail_t *trail, policy_tx_t *tx, const char *text,
                   const log_sink_t *log, apr_pool_t *p)
{
    policy_request_t request;
    policy_event_t event;
    outcome_t why, out;
    int by;

    if (make_request(tx, &request, &out, p) != APR_SUCCESS) {
        log_to(log, LOG_SINK_WARN, SCEPTAG(0295),
               "service '%s': nobody can be told that transaction %s was denied: %s",
               tx->policy->cfg->service, tx->tx_key, out.detail);
        return;
    }
    memset(&event, 0, sizeof(event));
    event.event = POLICY_EVENT_REFUSED;
    event.deferred = 1;
    event.outcome = &why;
    outcome_refuse(&why, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "denied",
                   POLICY_TEXT_DENIED, p, "a person denied it%s%s", *text ? ": " : "", text);
    policy_notify_all(trail, tx, &event, -1, &by, &out, log, p);
    tx->request = NULL;
}

/* Finds what is to be denied, and what has to be told then; nothing where it does not wait for a
 * person, which the store finds out.  APR_SUCCESS, or out is set. */
static apr_status_t prepare_denial(policy_trail_t *trail, policy_t *policy, const char *tx_key,
                                   const char *text, outcome_t *out, const log_sink_t *log,
                                   apr_pool_t *p)
{
    const policy_config_t *cfg = policy->cfg;
    policy_tx_t tx;
    store_result_e result;
    apr_status_t rv;

    memset(&tx, 0, sizeof(tx));
    rv = store_find(cfg->store, cfg->service, tx_key, &result, &tx.store_tx, p);
    if (rv != APR_SUCCESS)
        return policy_store_failed(policy, "find", rv, out, log, p);
    tx.policy = policy;
    tx.tx_key = tx_key;
    if (result == STORE_OK && strcmp(tx.store_tx.state, "pending") == 0 &&
        strcmp(tx.store_tx.cookie, POLICY_COOKIE_APPROVAL) == 0)
        gather(trail, &tx, text, log, p);
    return APR_SUCCESS;
}

apr_status_t policy_decide(policy_t *policy, const char *tx_key, int approve, const char *by,
                           const char *text, outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    const policy_config_t *cfg = policy->cfg;
    store_decision_t decision = {approve, by, text, POLICY_COOKIE_APPROVAL, NULL};
    policy_trail_t trail;
    store_result_e result;
    apr_status_t rv;

    outcome_success(out);
    policy_trail_init(&trail, cfg);
    if (!approve && (rv = prepare_denial(&trail, policy, tx_key, text, out, log, p)) != APR_SUCCESS)
        return rv;
    decision.trail = policy_trail_get(&trail);
    rv = store_decide(cfg->store, cfg->service, tx_key, &decision, cfg->retention, &result, p);
    if (rv != APR_SUCCESS)
        return policy_store_failed(policy, "decide", rv, out, log, p);
    switch (result) {
    case STORE_OK: return APR_SUCCESS;
    case STORE_NOTFOUND: return APR_NOTFOUND;
    default: return APR_EBUSY;
    }
}

