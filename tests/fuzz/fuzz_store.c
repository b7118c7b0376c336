/* SPDX-License-Identifier: Apache-2.0 */
/* See fuzz_store.h. */
#include "fuzz_store.h"
#include "fuzz.h"

#include <apr_strings.h>
#include <string.h>

#define WAIT apr_time_from_sec(60)

/* The transaction of that key, or of that poll key (the newest); NULL: none. */
static fuzz_store_tx_t *lookup(fuzz_store_t *s, const char *tx_key, const char *poll_key)
{
    int i;

    for (i = s->n - 1; i >= 0; i--) {
        const store_tx_t *tx = &s->txs[i].tx;

        if ((tx_key && strcmp(tx->tx_key, tx_key) == 0) ||
            (poll_key && strcmp(tx->poll_key, poll_key) == 0))
            return &s->txs[i];
    }
    return NULL;
}

/* Whether the transaction is in that state. */
static int is(const fuzz_store_tx_t *e, const char *state)
{
    return strcmp(e->tx.state, state) == 0;
}

/* What became of a transaction that is known; STORE_NOTFOUND: it may be tried again. */
static store_result_e known(fuzz_store_tx_t *e, store_tx_t *tx)
{
    *tx = e->tx;
    if (is(e, "issued"))
        return STORE_ISSUED;
    if (is(e, "inflight"))
        return STORE_BUSY;
    if (is(e, "pending")) {
        tx->wait = e->ready ? 0 : WAIT;
        return STORE_PENDING;
    }
    return strcmp(e->tx.decision, "denied") == 0 ? STORE_REFUSED : STORE_NOTFOUND;
}

/* What the store says to a challenge that the claim brings: spent once, held once. */
static store_result_e ask_adopted(const fuzz_store_t *s, const store_claim_t *claim)
{
    int i;

    for (i = 0; i < s->n; i++) {
        const fuzz_store_tx_t *e = &s->txs[i];

        if (strcmp(e->tx.challenge_id, claim->challenge_id[0]) != 0)
            continue;
        if (is(e, "issued"))
            return STORE_USED;
        if (!is(e, "failed"))
            return is(e, "pending") ? STORE_HELD : STORE_BUSY;
    }
    return STORE_CLAIMED;
}

/* What the store says to the claim's challenge: STORE_CLAIMED where all is well. */
static store_result_e ask_challenge(const fuzz_store_t *s, const store_claim_t *claim)
{
    switch (s->fault) {
    case FUZZ_STORE_BUSY: return STORE_BUSY;
    case FUZZ_STORE_USED: return STORE_USED;
    case FUZZ_STORE_EXPIRED: return STORE_EXPIRED;
    case FUZZ_STORE_HELD: return STORE_HELD;
    case FUZZ_STORE_LIMITED: return STORE_LIMITED;
    default: break;
    }
    if (claim->challenge_id[0] && strcmp(claim->challenge_id[0], s->challenge_id) != 0)
        return claim->adopt ? ask_adopted(s, claim) : STORE_NOCHALLENGE;
    return STORE_CLAIMED;
}

/* Makes the transaction of a claim. */
static void make(fuzz_store_t *s, fuzz_store_tx_t *e, const store_claim_t *claim)
{
    apr_int64_t fence = e->tx.fence;

    memset(e, 0, sizeof(*e));
    store_clear_tx(&e->tx);
    e->certificate_serial = "";
    e->tx.fence = fence + 1;
    e->tx.state = "inflight";
    e->tx.tx_key = claim->tx_key;
    e->tx.poll_key = claim->poll_key;
    e->tx.csr_digest = claim->csr_digest;
    e->tx.serial = claim->serial;
    e->tx.not_before = claim->not_before;
    e->tx.transaction_id = claim->transaction_id;
    e->tx.subject = claim->subject;
    e->tx.template_name = claim->template_name;
    e->tx.client = claim->client;
    if (claim->challenge_id[0]) {
        e->tx.challenge_id = e->tx.challenge.id = claim->challenge_id[0];
        e->tx.challenge.caller = "MDM";
    }
    s->claims++;
    s->changes++;
}

static apr_status_t fuzz_claim(store_t *store, const char *service, const store_claim_t *claim,
                               store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    fuzz_store_t *s = (fuzz_store_t *)store;
    fuzz_store_tx_t *e = lookup(s, claim->tx_key, NULL);

    (void)service;
    if (s->fault == FUZZ_STORE_CLAIM_FAILS)
        return store_set_error(p, APR_TIMEUP, "no answer");
    *result = e ? known(e, tx) : STORE_NOTFOUND;
    if (*result == STORE_NOTFOUND && (*result = ask_challenge(s, claim)) == STORE_CLAIMED) {
        FUZZ_CHECK(e || s->n < FUZZ_STORE_TXS);
        if (!e)
            e = &s->txs[s->n++];
        make(s, e, claim);
        *tx = e->tx;
    }
    return APR_SUCCESS;
}

static apr_status_t fuzz_poll(store_t *store, const char *service, const char *poll_key,
                              const char *nonce, apr_interval_time_t lease, store_result_e *result,
                              store_tx_t *tx, apr_pool_t *p)
{
    fuzz_store_t *s = (fuzz_store_t *)store;
    fuzz_store_tx_t *e = lookup(s, NULL, poll_key);

    (void)service, (void)nonce, (void)lease;
    if (s->fault == FUZZ_STORE_POLL_FAILS)
        return store_set_error(p, APR_TIMEUP, "no answer");
    if (!e)
        return APR_SUCCESS;
    *result = s->fault == FUZZ_STORE_BUSY ? STORE_BUSY : known(e, tx);
    if (*result == STORE_NOTFOUND)
        *result = STORE_REFUSED;
    if (*result == STORE_PENDING && e->ready) {
        *result = STORE_CLAIMED;
        e->tx.state = "inflight";
        e->tx.fence++;
        s->claims++;
        s->changes++;
        *tx = e->tx;
    }
    return APR_SUCCESS;
}

/* The transaction that may end by that fence; NULL, and *result says it: it may not. */
static fuzz_store_tx_t *held(fuzz_store_t *s, const char *tx_key, apr_int64_t fence,
                             store_result_e *result)
{
    fuzz_store_tx_t *e = lookup(s, tx_key, NULL);

    /* nobody ends what he did not claim */
    FUZZ_CHECK(e && is(e, "inflight") && e->tx.fence == fence);
    *result = s->fault == FUZZ_STORE_FENCED ? STORE_FENCED : STORE_OK;
    return *result == STORE_OK ? e : NULL;
}

/* Sets the state of a transaction's record, where it has one. */
static void mark(fuzz_store_t *s, fuzz_store_tx_t *e)
{
    int i;

    if (!*e->tx.record)
        return;
    e->tx.record_state = e->lost ? "failed" : "succeed";
    for (i = 0; i < s->nnews; i++) {
        if (strcmp(s->news[i].tx_key, e->tx.tx_key) == 0)
            e->tx.record_state = "processing";
    }
}

/* The place of news with that id; -1: unknown. */
static int find_news(const fuzz_store_t *s, const char *id)
{
    int i;

    for (i = s->nnews - 1; i >= 0; i--) {
        if (strcmp(s->news[i].id, id) == 0)
            break;
    }
    return i;
}

/* Keeps what a change leaves behind. */
static void leave(fuzz_store_t *s, fuzz_store_tx_t *e, const store_trail_t *trail)
{
    store_news_t *news;
    int i;

    for (i = 0; trail && i < trail->nnews; i++) {
        if (find_news(s, trail->news[i].id) >= 0)
            continue;
        FUZZ_CHECK(s->nnews < FUZZ_STORE_NEWS);
        news = &s->news[s->nnews++];
        *news = trail->news[i];
        news->tx_key = e->tx.tx_key;
        news->fence = news->tries = 0;
    }
    if (trail && *trail->record) {
        e->tx.record = trail->record;
        e->lost = 0;
    }
    mark(s, e);
}

static apr_status_t fuzz_count(store_t *store, const char *service, const store_claim_t *claim,
                               apr_pool_t *p)
{
    (void)store, (void)service, (void)claim, (void)p;
    return APR_SUCCESS;
}

static apr_status_t fuzz_commit(store_t *store, const char *service, const char *tx_key,
                                apr_int64_t fence, const crypt_buf_t *certificate,
                                const char *serial, apr_interval_time_t retention,
                                const store_trail_t *trail, store_result_e *result, apr_pool_t *p)
{
    fuzz_store_t *s = (fuzz_store_t *)store;
    fuzz_store_tx_t *e = held(s, tx_key, fence, result);

    (void)service, (void)retention;
    if (s->fault == FUZZ_STORE_COMMIT_FAILS)
        return store_set_error(p, APR_TIMEUP, "no answer");
    if (!e)
        return APR_SUCCESS;
    e->tx.state = "issued";
    e->tx.certificate = *certificate;
    e->certificate_serial = serial;
    leave(s, e, trail);
    s->commits++;
    s->changes++;
    return APR_SUCCESS;
}

static apr_status_t fuzz_fail(store_t *store, const char *service, const char *tx_key,
                              apr_int64_t fence, store_blame_e blame, const char *reason,
                              apr_interval_time_t retention, const store_trail_t *trail,
                              store_result_e *result, apr_pool_t *p)
{
    fuzz_store_t *s = (fuzz_store_t *)store;
    fuzz_store_tx_t *e = held(s, tx_key, fence, result);

    (void)service, (void)blame, (void)retention, (void)p;
    if (e) {
        e->tx.state = "failed";
        e->tx.reason = reason;
        leave(s, e, trail);
        s->changes++;
    }
    return APR_SUCCESS;
}

static apr_status_t fuzz_pend(store_t *store, const char *service, const char *tx_key,
                              apr_int64_t fence, const store_pend_t *pend,
                              const store_trail_t *trail, store_result_e *result, apr_pool_t *p)
{
    fuzz_store_t *s = (fuzz_store_t *)store;
    fuzz_store_tx_t *e = held(s, tx_key, fence, result);

    (void)service;
    if (s->fault == FUZZ_STORE_PEND_FAILS)
        return store_set_error(p, APR_TIMEUP, "no answer");
    if (s->fault == FUZZ_STORE_FULL)
        *result = STORE_FULL;
    if (*result != STORE_OK)
        return APR_SUCCESS;
    e->tx.state = "pending";
    e->tx.cookie = pend->cookie;
    if (pend->request && pend->request->data)
        e->tx.request = *pend->request;
    e->ready = 0;
    leave(s, e, trail);
    s->changes++;
    return APR_SUCCESS;
}

static apr_status_t fuzz_find_certificate(store_t *store, const char *service, const char *serial,
                                          store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    fuzz_store_t *s = (fuzz_store_t *)store;
    int i;

    (void)service;
    if (s->fault == FUZZ_STORE_FIND_FAILS)
        return store_set_error(p, APR_TIMEUP, "no answer");
    for (i = 0; i < s->n; i++) {
        if (is(&s->txs[i], "issued") && strcmp(s->txs[i].certificate_serial, serial) == 0) {
            *result = STORE_OK;
            *tx = s->txs[i].tx;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t fuzz_take(store_t *store, const char *service, int max,
                              apr_interval_time_t lease, apr_array_header_t **pnews, apr_pool_t *p)
{
    fuzz_store_t *s = (fuzz_store_t *)store;
    int i;

    (void)service, (void)lease;
    for (i = 0; i < s->nnews && (*pnews)->nelts < max; i++) {
        if (s->news[i].fence == 0) {
            s->news[i].fence = ++s->news[i].tries;
            APR_ARRAY_PUSH(*pnews, store_news_t *) = apr_pmemdup(p, &s->news[i],
                                                                 sizeof(s->news[i]));
        }
    }
    return APR_SUCCESS;
}

static apr_status_t fuzz_settle(store_t *store, const char *service, const char *news_id,
                                apr_int64_t fence, store_settle_e how, apr_interval_time_t wait,
                                store_result_e *result, apr_pool_t *p)
{
    fuzz_store_t *s = (fuzz_store_t *)store;
    int i = find_news(s, news_id);
    fuzz_store_tx_t *e;

    (void)service, (void)wait, (void)p;
    if (i < 0)
        return APR_SUCCESS;
    *result = s->news[i].fence == fence ? STORE_OK : STORE_FENCED;
    if (*result != STORE_OK)
        return APR_SUCCESS;
    if (how == STORE_NEWS_AGAIN) {
        s->news[i].fence = 0;
        return APR_SUCCESS;
    }
    e = lookup(s, s->news[i].tx_key, NULL);
    s->nnews--;
    memmove(&s->news[i], &s->news[i + 1], (s->nnews - i) * sizeof(s->news[0]));
    if (e) {
        e->lost |= how == STORE_NEWS_LOST;
        mark(s, e);
    }
    return APR_SUCCESS;
}

static apr_status_t fuzz_outbox(store_t *store, const char *service, int *count,
                                apr_time_t *oldest, apr_pool_t *p)
{
    (void)service, (void)p;
    *count = ((fuzz_store_t *)store)->nnews;
    *oldest = *count ? 1 : 0;
    return APR_SUCCESS;
}

static apr_status_t fuzz_lease(store_t *store, const char *service, const char *name,
                               const char *holder, apr_interval_time_t lease,
                               store_result_e *result, apr_pool_t *p)
{
    (void)store, (void)service, (void)name, (void)holder, (void)lease, (void)p;
    *result = STORE_OK;
    return APR_SUCCESS;
}

static const store_provider_t provider = {
    .name = "fuzz",
    .claim = fuzz_claim,
    .poll = fuzz_poll,
    .count = fuzz_count,
    .commit = fuzz_commit,
    .fail = fuzz_fail,
    .pend = fuzz_pend,
    .find_certificate = fuzz_find_certificate,
    .take = fuzz_take,
    .settle = fuzz_settle,
    .outbox = fuzz_outbox,
    .lease = fuzz_lease
};

void fuzz_store_init(fuzz_store_t *store)
{
    memset(store, 0, sizeof(*store));
    store->base.provider = &provider;
    store->base.display = "fuzz:";
}

fuzz_store_tx_t *fuzz_store_get(fuzz_store_t *store, const char *transaction_id)
{
    int i;

    for (i = 0; i < store->n; i++) {
        if (strcmp(store->txs[i].tx.transaction_id, transaction_id) == 0)
            return &store->txs[i];
    }
    return NULL;
}
