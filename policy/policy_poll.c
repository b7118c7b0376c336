/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions that wait: polls by the device, what people see of them; and the certificates that
 * were issued.  See policy.h.
 */
#include "policy_attributes.h"
#include "policy_provider.h"
#include <apr_strings.h>
#include <string.h>

#define TEXT_FAILED "The request has failed."
#define BUSY_WAIT apr_time_from_sec(5)
#define TRIES_MAX 1000000 /* more are not counted */

void policy_refuse_known(outcome_t *out, const store_tx_t *tx, apr_pool_t *p)
{
    int denied = strcmp(tx->decision, "denied") == 0;
    const char *text = denied ? POLICY_TEXT_DENIED : TEXT_FAILED;

    outcome_refuse(out, FAIL_INFO_BAD_REQUEST,
                   denied ? OUTCOME_HR_ACCESS_DENIED : OUTCOME_HR_INVALIDARG,
                   *tx->reason ? tx->reason : "failed", *tx->text ? tx->text : text, p,
                   denied ? "denied by %s: %s" : "failed before%s%s",
                   denied ? tx->decided_by : "", denied ? tx->text : "");
}

apr_status_t policy_open_waiting(policy_tx_t *tx, outcome_t *out, apr_pool_t *p)
{
    crypt_buf_t plain;

    if (tx->store_tx.request.len == 0)
        return APR_SUCCESS;
    if (policy_unseal(&plain, tx->policy, tx->tx_key, &tx->store_tx.request, p) == APR_SUCCESS &&
        policy_attributes_unpack(&tx->csr_der, &tx->attributes, &tx->signer_der, &plain, p) ==
            APR_SUCCESS)
        return APR_SUCCESS;
    outcome_unavailable(out, "sealed-request", 0, p,
                        "the waiting request cannot be opened: was the challenge secret changed?");
    return APR_EGENERAL;
}

/* Whether a poll's answer means that the transaction is there, with its state. */
static int read_state(policy_tx_t *tx, store_result_e result)
{
    switch (result) {
    case STORE_ISSUED:
        tx->state = POLICY_TX_ISSUED;
        return 1;
    case STORE_CLAIMED:
        tx->state = POLICY_TX_CLAIMED;
        return 1;
    case STORE_BUSY: /* somebody is asking the CA this moment */
        tx->store_tx.wait = BUSY_WAIT;
        tx->state = POLICY_TX_PENDING;
        return 1;
    case STORE_PENDING:
        tx->state = POLICY_TX_PENDING;
        return 1;
    default:
        return 0;
    }
}

policy_retry_t policy_retry_of(const char *cookie)
{
    policy_retry_t retry = {0, 0};
    const char *at = cookie + strlen(POLICY_COOKIE_RETRY);
    apr_int64_t tries;
    char *end;

    if (strncmp(cookie, POLICY_COOKIE_RETRY, strlen(POLICY_COOKIE_RETRY)) != 0)
        return retry;
    tries = apr_strtoi64(at, &end, 10);
    retry.tries = tries >= 1 && tries < TRIES_MAX ? (int)tries : TRIES_MAX;
    retry.since = *end == ':' ? apr_time_from_sec(apr_strtoi64(end + 1, NULL, 10)) : 0;
    return retry;
}

apr_status_t policy_poll(policy_tx_t **ptx, policy_t *policy, const char *transaction_id,
                         const crypt_buf_t *signer_key, outcome_t *out, const log_sink_t *log,
                         apr_pool_t *p)
{
    const policy_config_t *cfg = policy->cfg;
    policy_tx_t *tx = apr_pcalloc(p, sizeof(*tx));
    const char *nonce = policy_nonce_make(p), *cookie;
    store_result_e result;
    apr_status_t rv;

    *ptx = NULL;
    outcome_init(out);
    tx->policy = policy;
    tx->poll_key = policy_key_make(transaction_id, NULL, signer_key, p);
    if (!nonce || !tx->poll_key) {
        outcome_unavailable(out, "random", 0, p, "no random numbers or no SHA-256");
        return APR_EGENERAL;
    }
    rv = store_poll(cfg->store, cfg->service, tx->poll_key, nonce, cfg->lease, &result,
                    &tx->store_tx, p);
    if (rv != APR_SUCCESS)
        return policy_store_failed(policy, "poll", rv, out, log, p);
    if (result == STORE_REFUSED) {
        policy_refuse_known(out, &tx->store_tx, p);
        return APR_EACCES;
    }
    if (!read_state(tx, result)) {
        outcome_refuse(out, FAIL_INFO_BAD_CERT_ID, OUTCOME_HR_NOT_FOUND, "transaction-unknown",
                       "There is no such transaction.", p, "the store answers: %s",
                       store_result_name(result));
        return APR_EACCES;
    }
    tx->tx_key = tx->store_tx.tx_key;
    cookie = tx->store_tx.cookie;
    if (tx->state == POLICY_TX_CLAIMED &&
        strncmp(cookie, POLICY_COOKIE_CA, strlen(POLICY_COOKIE_CA)) == 0)
        tx->ca_cookie = cookie + strlen(POLICY_COOKIE_CA);
    if (tx->state == POLICY_TX_CLAIMED && !policy_is_approved(tx))
        tx->retry = policy_retry_of(cookie);
    if (tx->state != POLICY_TX_PENDING && (rv = policy_open_waiting(tx, out, p)) != APR_SUCCESS)
        return rv;
    outcome_success(out);
    *ptx = tx;
    return APR_SUCCESS;
}

apr_status_t policy_resume(policy_tx_t *tx, policy_request_t *request, outcome_t *out,
                           apr_pool_t *p)
{
    const char *digest = crypt_hex(request->csr->digest, sizeof(request->csr->digest), 0, p);
    const store_tx_t *known = &tx->store_tx;

    if (tx->state != POLICY_TX_CLAIMED || strcmp(digest, known->csr_digest) != 0 ||
        (request->authorization == POLICY_BY_SIGNER && !request->signer)) {
        outcome_unavailable(out, "resume", 0, p, "the waiting request is not the transaction's");
        return APR_EINVAL;
    }
    request->template_name = known->template_name;
    tx->request = request;
    return APR_SUCCESS;
}

apr_status_t policy_waiting(policy_t *policy, int max, apr_array_header_t **ptxs, outcome_t *out,
                            const log_sink_t *log, apr_pool_t *p)
{
    const policy_config_t *cfg = policy->cfg;
    apr_status_t rv = store_list(cfg->store, cfg->service, max, ptxs, p);

    outcome_success(out);
    return rv == APR_SUCCESS ? rv : policy_store_failed(policy, "list", rv, out, log, p);
}

apr_status_t policy_waiting_request(policy_t *policy, const char *tx_key, crypt_buf_t *csr_der,
                                    policy_attributes_t *attributes, store_tx_t **ptx,
                                    outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    const policy_config_t *cfg = policy->cfg;
    policy_tx_t *tx = apr_pcalloc(p, sizeof(*tx));
    store_result_e result;
    apr_status_t rv =
        store_find(cfg->store, cfg->service, tx_key, &result, &tx->store_tx, p);

    *ptx = NULL;
    outcome_success(out);
    if (rv != APR_SUCCESS)
        return policy_store_failed(policy, "find", rv, out, log, p);
    if (result != STORE_OK || strcmp(tx->store_tx.state, "pending") != 0)
        return APR_NOTFOUND;
    tx->policy = policy;
    tx->tx_key = tx_key;
    rv = policy_open_waiting(tx, out, p);
    *csr_der = tx->csr_der;
    *attributes = tx->attributes;
    *ptx = &tx->store_tx;
    return rv;
}

apr_status_t policy_find_certificate(policy_t *policy, const char *serial, crypt_buf_t *der,
                                     outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    const policy_config_t *cfg = policy->cfg;
    store_result_e result;
    store_tx_t tx;
    apr_status_t rv;

    der->data = NULL;
    der->len = 0;
    outcome_success(out);
    rv = store_find_certificate(cfg->store, cfg->service, serial, &result, &tx, p);
    if (rv != APR_SUCCESS)
        return policy_store_failed(policy, "find a certificate", rv, out, log, p);
    if (result != STORE_OK)
        return APR_NOTFOUND;
    *der = tx.certificate;
    return APR_SUCCESS;
}
