/* SPDX-License-Identifier: Apache-2.0 */
/* policy_finish(): every provider is told, then the store is; see policy.h. */
#include "policy_attributes.h"
#include "policy_outbox.h"
#include <apr_strings.h>
#include <string.h>

/*
 * Renewals that wait on the account of one certificate: its holder needs one, and a few where
 * earlier ones were not answered, but may not fill ScepPendingMax with new transactionIDs.
 */
#define OWNER_MAX 8

apr_status_t policy_notify_all(policy_trail_t *trail, policy_tx_t *tx, const policy_event_t *event,
                               int but, int *by, outcome_t *out, const log_sink_t *log,
                               apr_pool_t *p)
{
    int issued = event->event == POLICY_EVENT_ISSUED, i;
    outcome_t ignored;
    const policy_link_t *link;
    const char *news;
    apr_status_t rv;

    policy_trail_init(trail, tx->policy->cfg);
    for (i = 0; (link = policy_link_at(tx->policy, i)) != NULL; i++) {
        if (!link->provider->notify || i == but)
            continue;
        outcome_init(&ignored);
        news = NULL;
        *by = i;
        rv = link->provider->notify(link->instance, tx, event, &news, issued ? out : &ignored, log,
                                    p);
        if (issued && rv != APR_SUCCESS)
            return rv;
        if (event->event == POLICY_EVENT_UNKNOWN)
            continue;
        *by = -1;
        rv = policy_trail_add(trail, tx, i, event->event, news, p);
        if (rv != APR_SUCCESS) {
            log_to(log, LOG_SINK_ERR, SCEPTAG(0293),
                   "service '%s': the news of a transaction for %s cannot be kept: %s",
                   tx->policy->cfg->service, link->provider->name,
                   rv == APR_ENOSPC ? "too long" : "they cannot be sealed");
            outcome_unavailable(out, "news", POLICY_STORE_RETRY, p, "news cannot be kept");
            out->text = POLICY_TEXT_UNAVAILABLE;
            if (issued)
                return rv;
        }
    }
    return APR_SUCCESS;
}

/* store_fail() by the transaction's names; tells in the log what it cannot tell otherwise. */
static void fail_tx(policy_tx_t *tx, store_blame_e blame, const char *reason,
                    const policy_trail_t *trail, const log_sink_t *log, apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    store_result_e result;
    apr_status_t rv = store_fail(cfg->store, cfg->service, tx->tx_key, tx->store_tx.fence, blame,
                                 reason, cfg->retention,
                                 trail ? policy_trail_get(trail) : NULL, &result, p);

    if (rv != APR_SUCCESS)
        log_to(
            log, LOG_SINK_WARN, SCEPTAG(0202),
            "service '%s': the store cannot record a failure, the transaction stays held until its "
            "lease ends: %s",
            cfg->service, store_error(p));
    else if (result == STORE_FENCED)
        log_to(log, LOG_SINK_INFO, SCEPTAG(0203),
               "service '%s': another worker has taken over a failed transaction", cfg->service);
}

/* Sets out for a transaction that another worker took over. */
static apr_status_t fenced(const policy_tx_t *tx, outcome_t *out, const log_sink_t *log,
                           apr_pool_t *p)
{
    log_to(
        log, LOG_SINK_WARN, SCEPTAG(0204),
        "service '%s': the lease of a transaction ended before it was finished, another worker has "
        "taken it over; its certificate is not delivered",
        tx->policy->cfg->service);
    outcome_unavailable(out, "fenced", POLICY_BUSY_RETRY, p,
                        "another worker has taken the transaction over");
    out->text = POLICY_TEXT_UNAVAILABLE;
    return APR_EAGAIN;
}

/*
 * Sets out for a certificate whose serial number another one has: the CA is broken, and what is
 * known of the other one must not change.  Nothing is revoked, since that goes by the number; the
 * transaction stays held until its lease ends, as for any answer of the CA that cannot be used.
 */
static apr_status_t repeated(const policy_tx_t *tx, const policy_event_t *event, outcome_t *out,
                             const log_sink_t *log, apr_pool_t *p)
{
    log_to(log, LOG_SINK_ERR, SCEPTAG(0208),
           "service '%s': the CA gave the serial number %s to another certificate before; this one "
           "is not delivered",
           tx->policy->cfg->service, event->serial);
    outcome_unavailable(out, "serial-repeated", POLICY_STORE_RETRY, p,
                        "the CA gave the serial number %s twice", event->serial);
    out->text = POLICY_TEXT_UNAVAILABLE;
    return APR_EGENERAL;
}

/* Commits an issued certificate, twice if the first answer is lost. */
static apr_status_t commit_tx(policy_tx_t *tx, const policy_event_t *event,
                              policy_trail_t *trail, outcome_t *out, const log_sink_t *log,
                              apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    store_result_e result;
    apr_status_t rv = APR_SUCCESS;
    int i;

    policy_trail_record(trail, tx, event, p);
    if (!policy_trail_entry(trail, tx, event, p)) {
        outcome_unavailable(out, "digest", 0, p, "no SHA-256");
        return APR_EGENERAL;
    }
    for (i = 0; i == 0 || (i == 1 && rv != APR_SUCCESS); i++)
        rv = store_commit(cfg->store, cfg->service, tx->tx_key, tx->store_tx.fence,
                          &event->certificate, event->serial ? event->serial : "", cfg->retention,
                          policy_trail_get(trail), &result, p);
    if (rv != APR_SUCCESS)
        return policy_store_failed(tx->policy, "commit", rv, out, log, p);
    if (result == STORE_CONFLICT)
        return repeated(tx, event, out, log, p);
    if (result != STORE_OK)
        return fenced(tx, out, log, p);
    tx->record = trail->trail.record;
    tx->news = trail->trail.nnews;
    outcome_success(out);
    return APR_SUCCESS;
}

/*
 * A provider forbade delivery: the transaction failed, and the others are told so.  by: who it was,
 * -1: its news could not be kept, so that all of them hear it.
 */
static void forbid(policy_tx_t *tx, const policy_event_t *issued, int by, const outcome_t *out,
                   const log_sink_t *log, apr_pool_t *p)
{
    int refused = out->result == OUTCOME_REFUSED, ignored;
    policy_event_t event;
    policy_trail_t trail;
    outcome_t unused;

    memset(&event, 0, sizeof(event));
    event.event = refused ? POLICY_EVENT_REFUSED : POLICY_EVENT_TRANSIENT;
    event.serial = issued->serial;
    event.outcome = out;
    tx->forbidden = 1;
    outcome_init(&unused);
    policy_notify_all(&trail, tx, &event, by, &ignored, &unused, log, p);
    fail_tx(tx, refused ? STORE_BLAME_DEVICE : STORE_BLAME_NOBODY, out->reason, &trail, log, p);
}

/* On whose account the request waits: a renewal's certificate in use, hex; "" nobody's.  NULL: no
 * SHA-256. */
static const char *owner_of(const policy_request_t *request, apr_pool_t *p)
{
    unsigned char digest[STORE_ID_LEN / 2];

    if (!request || !request->signer)
        return "";
    return X509_digest(request->signer, EVP_sha256(), digest, NULL)
               ? crypt_hex(digest, sizeof(digest), 0, p) : NULL;
}

/* Sets out for a transaction that may not wait, by one of the caps. */
static void pending_full(outcome_t *out, const policy_config_t *cfg, store_result_e result,
                         apr_pool_t *p)
{
    if (result == STORE_FULL)
        outcome_limited(out, "pending-full", cfg->poll_interval, p,
                        "%d requests are waiting, the most that ScepPendingMax allows",
                        cfg->pending_max);
    else
        outcome_limited(out, "pending-full", cfg->poll_interval, p,
                        "%d renewals of the certificate in use are waiting, the most of one",
                        OWNER_MAX);
}

/* What is kept of a transaction that waits.  APR_SUCCESS, or out is set. */
static apr_status_t make_pend(store_pend_t *pend, crypt_buf_t *sealed, const policy_tx_t *tx,
                              const policy_event_t *event, outcome_t *out, apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    crypt_buf_t plain;

    memset(pend, 0, sizeof(*pend));
    pend->retention = cfg->retention;
    pend->max = cfg->pending_max;
    pend->owner_max = OWNER_MAX;
    pend->owner = owner_of(tx->request, p);
    if (!pend->owner) {
        outcome_unavailable(out, "digest", 0, p, "no SHA-256");
        return APR_EGENERAL;
    }
    if (event->cookie) {
        pend->cookie = apr_pstrcat(p, POLICY_COOKIE_CA, event->cookie, NULL);
        pend->wait = event->wait > 0 ? event->wait : cfg->poll_interval;
    }
    else if (event->retry.tries > 0 && !tx->store_tx.decision[0]) {
        pend->cookie = apr_psprintf(p, POLICY_COOKIE_RETRY "%d:%" APR_INT64_T_FMT,
                                    event->retry.tries, apr_time_sec(event->retry.since));
        pend->wait = event->wait > 0 ? event->wait : POLICY_STORE_RETRY;
    }
    else if (event->wait > 0 || tx->store_tx.decision[0]) {
        /* approved, but the CA could not be asked */
        pend->cookie = POLICY_COOKIE_APPROVAL;
        pend->wait = event->wait > 0 ? event->wait : POLICY_STORE_RETRY;
    }
    else {
        /* polls need not claim it before somebody decides */
        pend->cookie = POLICY_COOKIE_APPROVAL;
        pend->wait = cfg->retention;
    }
    if (tx->csr_der.len == 0) {
        if (policy_attributes_pack(&plain, &tx->request->csr->der, &tx->attributes,
                                   tx->request->signer, p) != APR_SUCCESS ||
            policy_seal(sealed, tx->policy, tx->tx_key, &plain, p) != APR_SUCCESS) {
            outcome_unavailable(out, "secret", 0, p, "the waiting request cannot be sealed");
            return APR_EGENERAL;
        }
        pend->request = sealed;
    }
    return APR_SUCCESS;
}

/* Keeps a transaction that waits for a person or the CA. */
static apr_status_t pend_tx(policy_tx_t *tx, const policy_event_t *event,
                            const policy_trail_t *trail, outcome_t *out, const log_sink_t *log,
                            apr_pool_t *p)
{
    const policy_config_t *cfg = tx->policy->cfg;
    crypt_buf_t sealed = {NULL, 0};
    store_pend_t pend;
    store_result_e result;
    apr_status_t rv = make_pend(&pend, &sealed, tx, event, out, p);

    if (rv != APR_SUCCESS) {
        fail_tx(tx, STORE_BLAME_NOBODY, out->reason, NULL, log, p);
        return rv;
    }
    rv = store_pend(cfg->store, cfg->service, tx->tx_key, tx->store_tx.fence, &pend,
                    policy_trail_get(trail), &result, p);
    if (rv != APR_SUCCESS)
        return policy_store_failed(tx->policy, "pend", rv, out, log, p);
    if (result == STORE_FULL || result == STORE_OWNERFULL) {
        fail_tx(tx, STORE_BLAME_NOBODY, "pending-full", NULL, log, p);
        pending_full(out, cfg, result, p);
        return APR_ENOSPC;
    }
    if (result != STORE_OK)
        return fenced(tx, out, log, p);
    outcome_pending(out,
                    event->cookie            ? "ca-pending"
                    : event->retry.tries > 0 ? "ca-retry"
                                             : "approval",
                    pend.wait < cfg->retention ? pend.wait : cfg->poll_interval);
    if (event->retry.tries > 0 && event->outcome)
        out->detail = apr_psprintf(p, "try %d: %s: %s", event->retry.tries, event->outcome->reason,
                                   event->outcome->detail);
    return APR_SUCCESS;
}

apr_status_t policy_finish(policy_tx_t *tx, const policy_event_t *event, outcome_t *out,
                           const log_sink_t *log, apr_pool_t *p)
{
    const char *reason = event->outcome ? event->outcome->reason : "";
    policy_trail_t trail;
    apr_status_t rv;
    int by = -1;

    outcome_init(out);
    tx->record = "";
    tx->news = 0;
    if (tx->state != POLICY_TX_CLAIMED) {
        outcome_unavailable(out, "not-claimed", 0, p,
                            "the transaction is not held by this request");
        return APR_EINVAL;
    }
    rv = policy_notify_all(&trail, tx, event, -1, &by, out, log, p);
    switch (event->event) {
    case POLICY_EVENT_ISSUED:
        if (rv == APR_SUCCESS)
            return commit_tx(tx, event, &trail, out, log, p);
        forbid(tx, event, by, out, log, p);
        return rv;
    case POLICY_EVENT_PENDING:
        return pend_tx(tx, event, &trail, out, log, p);
    case POLICY_EVENT_REFUSED:
        fail_tx(tx, event->blameless ? STORE_BLAME_NOBODY : STORE_BLAME_DEVICE, reason, &trail,
                log, p);
        break;
    case POLICY_EVENT_TRANSIENT:
        fail_tx(tx, STORE_BLAME_NOBODY, reason, &trail, log, p);
        break;
    case POLICY_EVENT_UNKNOWN:
        break;
    }
    if (event->outcome)
        *out = *event->outcome;
    return APR_SUCCESS;
}
