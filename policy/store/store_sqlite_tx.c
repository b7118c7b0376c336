/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a transaction in the SQLite store: claim, commit, fail, pend, poll. */
#include "store_sqlite.h"
#include <apr_strings.h>
#include <string.h>

#define MARGIN_MS (60 * 1000LL)         /* a record outlives its lease by this */
#define PENDING_HOLDER_MS (60 * 1000LL) /* BUSY's wait where the holder waits for the CA */
#define SWEEP_ON_CLAIM 2

/* Fills tx->challenge of a claimed transaction from the store. */
static void fill_challenge(sqlite_call_t *c, store_tx_t *tx)
{
    sqlite_challenge_row_t row;

    if (*tx->challenge_id && sqlite_get_challenge(c, tx->challenge_id, &row))
        tx->challenge = row.challenge;
}

/* Whether a known transaction was made with one of the claim's challenges, or both have none. */
static int same_challenge(const store_tx_t *tx, const store_claim_t *claim)
{
    int i, any = 0;

    for (i = 0; i < 2; i++) {
        if (claim->challenge_id[i]) {
            any = 1;
            if (strcmp(tx->challenge_id, claim->challenge_id[i]) == 0)
                return 1;
        }
    }
    return !any && !*tx->challenge_id;
}

/* Makes the poll key find a known transaction again, where a later one has it. */
static void point_to(sqlite_call_t *c, const store_tx_t *tx)
{
    db_query(c->db, SQL_TX_POINT, "ttti", c->service, tx->tx_key, tx->poll_key, c->now);
}

/* What a known transaction answers to a claim: whether that is all, with *result set. */
static int claim_known(sqlite_call_t *c, const store_claim_t *claim, sqlite_tx_row_t *row,
                       store_result_e *result)
{
    store_tx_t *tx = &row->tx;

    if (strcmp(tx->csr_digest, claim->csr_digest) != 0 || !same_challenge(tx, claim))
        *result = STORE_TXCONFLICT;
    else if (strcmp(tx->state, "issued") == 0) {
        *result = STORE_ISSUED;
        point_to(c, tx);
    }
    else if (strcmp(tx->state, "pending") == 0) {
        *result = STORE_PENDING;
        point_to(c, tx);
        tx->wait = sqlite_from_ms(sqlite_later(0, sqlite_later(row->next, row->lease) - c->now));
    }
    else if (strcmp(tx->decision, "denied") == 0)
        *result = STORE_REFUSED;
    else if (strcmp(tx->state, "inflight") != 0 || row->lease <= c->now)
        return 0;
    else if (strcmp(row->nonce, claim->nonce) == 0) {
        *result = STORE_CLAIMED;
        fill_challenge(c, tx);
    }
    else {
        *result = STORE_BUSY;
        tx->wait = sqlite_from_ms(row->lease - c->now);
    }
    return 1;
}

/* Whether the claim has a limit i. */
static int limit_is_used(const store_claim_t *claim, int i)
{
    return claim->limit[i].max > 0 && claim->limit[i].name && *claim->limit[i].name;
}

/* Whether a limit of the claim is reached; *wait is when the last of these ends. */
static int is_limited(sqlite_call_t *c, const store_claim_t *claim, apr_interval_time_t *wait)
{
    int i, limited = 0;

    for (i = 0; i < STORE_LIMITS; i++) {
        if (limit_is_used(claim, i) &&
            db_query(c->db, SQL_COUNTER_GET, "ttii", c->service, claim->limit[i].name, c->now,
                     (apr_int64_t)claim->limit[i].max) == 1) {
            limited = 1;
            *wait =
                sqlite_later(*wait, sqlite_from_ms(db_integer(c->db, SQL_COUNTER_GET, 1) - c->now));
            db_reset(c->db, SQL_COUNTER_GET);
        }
    }
    return limited;
}

/* Counts a challenge that is no good in every limit of the claim. */
static void count_failure(sqlite_call_t *c, const store_claim_t *claim)
{
    int i;

    for (i = 0; i < STORE_LIMITS; i++) {
        if (limit_is_used(claim, i))
            db_query(c->db, SQL_COUNTER_ADD, "ttii", c->service, claim->limit[i].name, c->now,
                     c->now + sqlite_to_ms(claim->limit_window));
    }
}

/*
 * Makes room for one more use: 1; or 0 with *wait and *result set where the living holders leave
 * none.  Holders whose lease is over lose their hold, oldest first, as many as needed; that fences
 * them.
 */
static int make_room(sqlite_call_t *c, const sqlite_challenge_row_t *ch, const char *tx_key,
                     store_result_e *result, apr_interval_time_t *wait)
{
    apr_array_header_t *dead = apr_array_make(c->p, 2, sizeof(const char *));
    apr_int64_t live = 0, soonest = PENDING_HOLDER_MS, lease;
    int row, i, waits;

    *result = STORE_HELD;

    for (row =
             db_query(c->db, SQL_TX_HOLDERS, "ttti", c->service, ch->challenge.id, tx_key, c->now);
         row == 1; row = db_next(c->db, SQL_TX_HOLDERS)) {
        lease = db_integer(c->db, SQL_TX_HOLDERS, 2);
        waits = strcmp(db_text(c->db, SQL_TX_HOLDERS, 1, c->p), "pending") == 0;
        if (lease > c->now || waits) {
            live++;
            if (!waits)
                *result = STORE_BUSY;
            if (lease > c->now && lease - c->now < soonest)
                soonest = lease - c->now;
        }
        else
            APR_ARRAY_PUSH(dead, const char *) = db_text(c->db, SQL_TX_HOLDERS, 0, c->p);
    }
    if (ch->used + live + 1 > ch->challenge.uses) {
        *wait = sqlite_from_ms(soonest);
        return 0;
    }
    for (i = 0; i < dead->nelts && ch->used + live + (dead->nelts - i) + 1 > ch->challenge.uses;
         i++)
        db_query(c->db, SQL_TX_EVICT, "tt", c->service, APR_ARRAY_IDX(dead, i, const char *));
    return 1;
}

/* Makes the challenge that the claim brings; whether there is one. */
static int adopt_challenge(sqlite_call_t *c, const store_claim_t *claim,
                           sqlite_challenge_row_t *ch)
{
    store_challenge_t made;

    if (!claim->adopt)
        return 0;
    made = *claim->adopt;
    made.caller_max = 0;
    sqlite_insert_challenge(c, claim->challenge_id[0], &made, 0);
    return sqlite_get_challenge(c, claim->challenge_id[0], ch);
}

/* Finds and checks the claim's challenge: whether it can be held; otherwise *result (and *wait) is
 * set. */
static int claim_challenge(sqlite_call_t *c, const store_claim_t *claim, sqlite_challenge_row_t *ch,
                           store_result_e *result, apr_interval_time_t *wait)
{
    int i, found = 0;

    for (i = 0; i < 2 && !found; i++)
        found = claim->challenge_id[i] && sqlite_get_challenge(c, claim->challenge_id[i], ch);
    if (!found && !adopt_challenge(c, claim, ch))
        *result = STORE_NOCHALLENGE;
    else if (ch->expires <= c->now)
        *result = STORE_EXPIRED;
    else if (ch->challenge.attempts > 0 && ch->bad >= ch->challenge.attempts)
        *result = STORE_MISMATCH;
    else if (ch->challenge.uses > 0 && ch->used >= ch->challenge.uses)
        *result = STORE_USED;
    else
        return ch->challenge.uses == 0 || make_room(c, ch, claim->tx_key, result, wait);
    count_failure(c, claim);
    return 0;
}

/* Writes the claimed transaction, new or again, and reads it back. */
static void write_claim(sqlite_call_t *c, const store_claim_t *claim,
                        const sqlite_challenge_row_t *ch, int again, sqlite_tx_row_t *row)
{
    apr_int64_t lease = c->now + sqlite_to_ms(claim->lease);
    apr_int64_t keep = sqlite_later(c->now + sqlite_to_ms(claim->retention), lease + MARGIN_MS);
    apr_int64_t proposal = apr_time_as_msec(claim->not_before);
    apr_int64_t not_before = proposal < c->now ? proposal : c->now;
    const char *id = ch ? ch->challenge.id : "";
    apr_int64_t holds = ch && ch->challenge.uses > 0;

    if (ch)
        db_query(c->db, SQL_CHALLENGE_KEEP, "tti", c->service, id, lease + MARGIN_MS);
    if (again)
        db_query(c->db, SQL_TX_AGAIN, "ttttitittttiiti", c->service, claim->tx_key, claim->poll_key,
                 id, holds, claim->nonce, lease, claim->transaction_id, claim->subject,
                 claim->template_name, claim->client, c->now, keep, claim->serial, not_before);
    else
        db_query(c->db, SQL_TX_INSERT, "tttttititittttii", c->service, claim->tx_key,
                 claim->poll_key, claim->csr_digest, id, holds, claim->nonce, lease, claim->serial,
                 not_before, claim->transaction_id, claim->subject, claim->template_name,
                 claim->client, c->now, keep);
    if (sqlite_get_tx(c, claim->tx_key, row) && ch)
        row->tx.challenge = ch->challenge;
}

apr_status_t sqlite_claim(store_t *store, const char *service, const store_claim_t *claim,
                          store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    sqlite_challenge_row_t ch;
    sqlite_tx_row_t row;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);
    int needs = claim->challenge_id[0] || claim->challenge_id[1];
    int known;

    if (rv != APR_SUCCESS)
        return rv;
    sqlite_remove_expired(&c, SWEEP_ON_CLAIM);
    known = sqlite_get_tx(&c, claim->tx_key, &row);
    if (known && claim_known(&c, claim, &row, result)) {
        *tx = row.tx;
        return sqlite_call_end(&c);
    }
    if (!known && is_limited(&c, claim, &tx->wait))
        *result = STORE_LIMITED;
    else if (!needs || claim_challenge(&c, claim, &ch, result, &tx->wait)) {
        write_claim(&c, claim, needs ? &ch : NULL, known, &row);
        if (c.db->error == SQLITE_OK)
            *tx = row.tx;
        *result = STORE_CLAIMED;
    }
    rv = sqlite_call_end(&c);
    if (rv != APR_SUCCESS)
        *result = STORE_NOTFOUND;
    return rv;
}

/*
 * Looks at a transaction that its holder wants to end in state.  1: it may; 0: *result says OK
 * (ended so before by the same call) or FENCED.
 */
static int may_end(sqlite_call_t *c, const char *tx_key, apr_int64_t fence, const char *state,
                   sqlite_tx_row_t *row, store_result_e *result)
{
    *result = STORE_FENCED;
    if (!sqlite_get_tx(c, tx_key, row) || row->tx.fence != fence)
        return 0;
    if (strcmp(row->tx.state, "inflight") == 0 || strcmp(row->tx.state, "pending") == 0) {
        *result = STORE_OK;
        return 1;
    }
    if (strcmp(row->tx.state, state) == 0)
        *result = STORE_OK;
    return 0;
}

apr_status_t sqlite_count(store_t *store, const char *service, const store_claim_t *claim,
                          apr_pool_t *p)
{
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    count_failure(&c, claim);
    return sqlite_call_end(&c);
}

/* Whether the transaction's certificate is this one. */
static int has_certificate(const sqlite_tx_row_t *row, const crypt_buf_t *certificate)
{
    return row->tx.certificate.len == certificate->len &&
           memcmp(row->tx.certificate.data, certificate->data, certificate->len) == 0;
}

apr_status_t sqlite_commit(store_t *store, const char *service, const char *tx_key,
                           apr_int64_t fence, const crypt_buf_t *certificate, const char *serial,
                           apr_interval_time_t retention, const store_trail_t *trail,
                           store_result_e *result, apr_pool_t *p)
{
    sqlite_tx_row_t row;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);
    apr_int64_t keep;

    if (rv != APR_SUCCESS)
        return rv;
    keep = c.now + sqlite_to_ms(retention);
    if (may_end(&c, tx_key, fence, "issued", &row, result) &&
        sqlite_enter(&c, &row.tx, trail ? trail->entry : NULL, result)) {
        db_query(c.db, SQL_TX_ISSUED, "ttbiit", service, tx_key, (const void *)certificate->data,
                 (int)certificate->len, c.now, keep, serial);
        if (*row.tx.challenge_id)
            db_query(c.db, SQL_CHALLENGE_USE, "tti", service, row.tx.challenge_id, keep);
        sqlite_leave_trail(&c, tx_key, trail);
    }
    else if (*result == STORE_OK && !has_certificate(&row, certificate))
        *result = STORE_FENCED;
    return sqlite_call_end(&c);
}

apr_status_t sqlite_fail(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                         store_blame_e blame, const char *reason, apr_interval_time_t retention,
                         const store_trail_t *trail, store_result_e *result, apr_pool_t *p)
{
    sqlite_tx_row_t row;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);
    apr_int64_t keep;

    if (rv != APR_SUCCESS)
        return rv;
    keep = c.now + sqlite_to_ms(retention);
    if (may_end(&c, tx_key, fence, "failed", &row, result)) {
        db_query(c.db, SQL_TX_FAILED, "tttii", service, tx_key, reason, c.now, keep);
        if (*row.tx.challenge_id && blame == STORE_BLAME_DEVICE)
            db_query(c.db, SQL_CHALLENGE_BLAME, "tti", service, row.tx.challenge_id, keep);
        sqlite_leave_trail(&c, tx_key, trail);
    }
    return sqlite_call_end(&c);
}

/* Whether max transactions wait already by a statement that counts them. */
static int is_full(sqlite_call_t *c, sql_e statement, int max, const char *owner)
{
    apr_int64_t waiting = 0;

    if (max > 0 && db_query(c->db, statement, owner ? "tiit" : "tii", c->service, c->now,
                            (apr_int64_t)max, owner) == 1) {
        waiting = db_integer(c->db, statement, 0);
        db_reset(c->db, statement);
    }
    return max > 0 && waiting >= max;
}

/* Whether one more transaction may wait; otherwise *result is set. */
static int may_wait(sqlite_call_t *c, const sqlite_tx_row_t *row, const store_pend_t *pend,
                    store_result_e *result)
{
    if (strcmp(row->tx.state, "pending") == 0)
        return 1;
    if (is_full(c, SQL_TX_WAITING, pend->max, NULL))
        *result = STORE_FULL;
    else if (*pend->owner && is_full(c, SQL_TX_OWNED, pend->owner_max, pend->owner))
        *result = STORE_OWNERFULL;
    else
        return 1;
    return 0;
}

/* Whether a transaction that waits was not taken over since: then its holder repeats the pend. */
static int pended(const sqlite_tx_row_t *row)
{
    return strcmp(row->tx.state, "pending") == 0 && row->lease == 0;
}

apr_status_t sqlite_pend(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                         const store_pend_t *pend, const store_trail_t *trail,
                         store_result_e *result, apr_pool_t *p)
{
    const crypt_buf_t *request = pend->request;
    sqlite_tx_row_t row;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);
    apr_int64_t keep;

    if (rv != APR_SUCCESS)
        return rv;
    if (may_end(&c, tx_key, fence, "pending", &row, result) &&
        may_wait(&c, &row, pend, result)) {
        keep = row.pend_until ? row.pend_until : c.now + sqlite_to_ms(pend->retention);
        db_query(c.db, SQL_TX_PENDING, "tttiiibt", service, tx_key, pend->cookie,
                 c.now + (pend->wait > 0 ? sqlite_to_ms(pend->wait) : 0), c.now, keep,
                 (const void *)(request ? request->data : NULL), request ? (int)request->len : 0,
                 pend->owner);
        if (*row.tx.challenge_id)
            db_query(c.db, SQL_CHALLENGE_KEEP, "tti", service, row.tx.challenge_id, keep);
        if (!pended(&row))
            sqlite_leave_trail(&c, tx_key, trail);
    }
    return sqlite_call_end(&c);
}

/* What a pending transaction answers to a poll; takes it over when its wait is over. */
static void poll_pending(sqlite_call_t *c, sqlite_tx_row_t *row, const char *nonce,
                         apr_interval_time_t lease, store_result_e *result)
{
    apr_int64_t end = c->now + sqlite_to_ms(lease);
    int mine = strcmp(row->nonce, nonce) == 0;

    if (row->lease > c->now && !mine) {
        *result = STORE_BUSY;
        row->tx.wait = sqlite_from_ms(row->lease - c->now);
    }
    else if (row->lease <= c->now && row->pend_until && row->pend_until <= c->now) {
        *result = STORE_NOTFOUND;
        store_clear_tx(&row->tx);
    }
    else if (row->lease <= c->now && row->next > c->now) {
        *result = STORE_PENDING;
        row->tx.wait = sqlite_from_ms(row->next - c->now);
    }
    else {
        *result = STORE_CLAIMED;
        if (row->lease <= c->now) {
            db_query(c->db, SQL_TX_TAKE, "tttiii", c->service, row->tx.tx_key, nonce, end, c->now,
                     end + MARGIN_MS);
            row->tx.fence++;
        }
        fill_challenge(c, &row->tx);
    }
}

apr_status_t sqlite_poll(store_t *store, const char *service, const char *poll_key,
                         const char *nonce, apr_interval_time_t lease, store_result_e *result,
                         store_tx_t *tx, apr_pool_t *p)
{
    sqlite_tx_row_t row;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    if (db_query(c.db, SQL_TX_POLL, "tti", service, poll_key, c.now) == 1) {
        sqlite_read_tx(&c, SQL_TX_POLL, &row);
        db_reset(c.db, SQL_TX_POLL);
        if (strcmp(row.tx.state, "issued") == 0)
            *result = STORE_ISSUED;
        else if (strcmp(row.tx.state, "pending") == 0)
            poll_pending(&c, &row, nonce, lease, result);
        else if (strcmp(row.tx.state, "inflight") == 0 && row.lease > c.now) {
            *result = STORE_BUSY;
            row.tx.wait = sqlite_from_ms(row.lease - c.now);
        }
        else {
            *result = STORE_REFUSED;
            if (strcmp(row.tx.state, "inflight") == 0)
                row.tx.reason = "abandoned";
        }
        *tx = row.tx;
    }
    rv = sqlite_call_end(&c);
    if (rv != APR_SUCCESS)
        *result = STORE_NOTFOUND;
    return rv;
}
