/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that fails at a step, see fault.h.  It is the real store with another table of slots, so
 * that whatever the real one keeps behind store_t stays as it is.
 */
#include "fault.h"
#include "../../mod_scep/mod_scep.h"

#include <ap_provider.h>

#include <apr_strings.h>
#include <string.h>

#define FAULT_STORE_PREFIX "fault+"

typedef struct fault_store_t {
    store_provider_t slots; /* first: what store->provider points to */
    const store_provider_t *real;
} fault_store_t;

/* The slots of the real store. */
static const store_provider_t *real_of(const store_t *store)
{
    return ((const fault_store_t *)store->provider)->real;
}

/* Does call between the faults of step; APR_TIMEUP: word or answer is lost. */
#define AT(step, call)                                                                             \
    do {                                                                                           \
        apr_status_t rv_;                                                                          \
                                                                                                   \
        if (fault_at(step, "before", p) == FAULT_LOSE) {                                           \
            return APR_TIMEUP;                                                                     \
        }                                                                                          \
        rv_ = real_of(store)->call;                                                                \
        return fault_at(step, "after", p) == FAULT_LOSE ? APR_TIMEUP : rv_;                        \
    } while (0)

/* See store_provider_t, for each of these. */
static apr_status_t fault_issue(store_t *store, const char *service, store_challenge_t *challenge,
                                int cap, store_result_e *result, int *outstanding,
                                apr_interval_time_t *wait, apr_pool_t *p)
{
    AT("issue", issue(store, service, challenge, cap, result, outstanding, wait, p));
}

static apr_status_t fault_claim(store_t *store, const char *service, const store_claim_t *claim,
                                store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    AT("claim", claim(store, service, claim, result, tx, p));
}

static apr_status_t fault_commit(store_t *store, const char *service, const char *tx_key,
                                 apr_int64_t fence, const crypt_buf_t *certificate,
                                 const char *serial, apr_interval_time_t retention,
                                 const store_trail_t *trail, store_result_e *result, apr_pool_t *p)
{
    AT("commit", commit(store, service, tx_key, fence, certificate, serial, retention, trail,
                        result, p));
}

static apr_status_t fault_fail(store_t *store, const char *service, const char *tx_key,
                               apr_int64_t fence, store_blame_e blame, const char *reason,
                               apr_interval_time_t retention, const store_trail_t *trail,
                               store_result_e *result, apr_pool_t *p)
{
    AT("fail", fail(store, service, tx_key, fence, blame, reason, retention, trail, result, p));
}

static apr_status_t fault_pend(store_t *store, const char *service, const char *tx_key,
                               apr_int64_t fence, const store_pend_t *pend,
                               const store_trail_t *trail, store_result_e *result, apr_pool_t *p)
{
    AT("pend", pend(store, service, tx_key, fence, pend, trail, result, p));
}

static apr_status_t fault_poll(store_t *store, const char *service, const char *poll_key,
                               const char *nonce, apr_interval_time_t lease,
                               store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    AT("poll", poll(store, service, poll_key, nonce, lease, result, tx, p));
}

static apr_status_t fault_decide(store_t *store, const char *service, const char *tx_key,
                                 const store_decision_t *decision, apr_interval_time_t retention,
                                 store_result_e *result, apr_pool_t *p)
{
    AT("decide", decide(store, service, tx_key, decision, retention, result, p));
}

static apr_status_t fault_take(store_t *store, const char *service, int max,
                               apr_interval_time_t lease, apr_array_header_t **pnews,
                               apr_pool_t *p)
{
    AT("take", take(store, service, max, lease, pnews, p));
}

static apr_status_t fault_settle(store_t *store, const char *service, const char *news_id,
                                 apr_int64_t fence, store_settle_e how, apr_interval_time_t wait,
                                 store_result_e *result, apr_pool_t *p)
{
    AT("settle", settle(store, service, news_id, fence, how, wait, result, p));
}

static apr_status_t fault_revoke_certificate(store_t *store, const char *service,
                                             const store_revoked_t *what, store_result_e *result,
                                             apr_pool_t *p)
{
    AT("revoke", revoke_certificate(store, service, what, result, p));
}

/* See store_provider_t.create. */
static const char *fault_store_create(store_t **pstore, const store_config_t *cfg, apr_pool_t *p)
{
    store_config_t *config = apr_pmemdup(p, cfg, sizeof(*cfg));
    fault_store_t *fault = apr_pcalloc(p, sizeof(*fault));
    const char *scheme, *error;

    config->url = cfg->url + strlen(FAULT_STORE_PREFIX);
    scheme = apr_pstrmemdup(p, config->url, strcspn(config->url, ":"));
    fault->real = ap_lookup_provider(SCEP_STORE_GROUP, scheme, SCEP_PROVIDER_VERSION);
    if (fault->real == NULL) {
        return apr_psprintf(p, "no store %s: to fail with: is mod_scep loaded?", scheme);
    }
    error = fault->real->create(pstore, config, p);
    if (error != NULL) {
        return error;
    }
    fault->slots = *fault->real;
    fault->slots.issue = fault_issue;
    fault->slots.claim = fault_claim;
    fault->slots.commit = fault_commit;
    fault->slots.fail = fault_fail;
    fault->slots.pend = fault_pend;
    fault->slots.poll = fault_poll;
    fault->slots.decide = fault_decide;
    fault->slots.take = fault_take;
    fault->slots.settle = fault_settle;
    fault->slots.revoke_certificate = fault_revoke_certificate;
    (*pstore)->provider = &fault->slots;
    return NULL;
}

const store_provider_t *fault_store(const char *scheme, apr_pool_t *p)
{
    store_provider_t *provider = apr_pcalloc(p, sizeof(*provider));

    provider->name = apr_pstrcat(p, FAULT_STORE_PREFIX, scheme, NULL);
    provider->create = fault_store_create;
    return provider;
}
