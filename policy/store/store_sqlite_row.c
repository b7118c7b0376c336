/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the SQLite store and the life of a slot's call; see store_sqlite.h. */
#include "store_sqlite.h"
#include <apr_strings.h>
#include <string.h>

#define TOMBSTONE_MS (24 * 3600 * 1000LL) /* an expired challenge is told from an unknown one */

/* A span in whole milliseconds, at least one. */
apr_int64_t sqlite_to_ms(apr_interval_time_t span)
{
    return span <= 0 ? 1 : (span + 999) / 1000;
}

/* The time or span of milliseconds. */
apr_time_t sqlite_from_ms(apr_int64_t ms)
{
    return (apr_time_t)ms * 1000;
}

/* The greater of two. */
apr_int64_t sqlite_later(apr_int64_t a, apr_int64_t b)
{
    return a > b ? a : b;
}

/* Starts a slot's transaction. */
apr_status_t sqlite_call_begin(sqlite_call_t *c, store_t *store, const char *service, int writes,
                               apr_pool_t *p)
{
    apr_status_t rv;

    memset(c, 0, sizeof(*c));
    c->store = (sqlite_store_t *)store;
    c->service = service;
    c->p = p;
    rv = db_begin(&c->db, &c->store->pool, writes, p);
    if (rv != APR_SUCCESS)
        return rv;
    c->now = apr_time_as_msec(apr_time_now());
    return APR_SUCCESS;
}

/* Ends it. */
apr_status_t sqlite_call_end(sqlite_call_t *c)
{
    return db_end(&c->store->pool, c->db, c->p);
}

/* Reads a transaction by a statement that was just run to a row. */
void sqlite_read_tx(sqlite_call_t *c, sql_e statement, sqlite_tx_row_t *row)
{
    db_t *db = c->db;
    store_tx_t *tx = &row->tx;

    memset(row, 0, sizeof(*row));
    store_clear_tx(tx);
    tx->tx_key = db_text(db, statement, 0, c->p);
    tx->state = db_text(db, statement, 1, c->p);
    tx->fence = db_integer(db, statement, 2);
    tx->serial = db_text(db, statement, 3, c->p);
    tx->not_before = sqlite_from_ms(db_integer(db, statement, 4));
    tx->certificate = db_blob(db, statement, 5, c->p);
    tx->cookie = db_text(db, statement, 6, c->p);
    tx->reason = db_text(db, statement, 7, c->p);
    tx->transaction_id = db_text(db, statement, 8, c->p);
    tx->subject = db_text(db, statement, 9, c->p);
    tx->template_name = db_text(db, statement, 10, c->p);
    tx->client = db_text(db, statement, 11, c->p);
    tx->csr_digest = db_text(db, statement, 12, c->p);
    tx->challenge_id = db_text(db, statement, 13, c->p);
    tx->created = sqlite_from_ms(db_integer(db, statement, 14));
    tx->updated = sqlite_from_ms(db_integer(db, statement, 15));
    row->lease = db_integer(db, statement, 16);
    row->nonce = tx->nonce = db_text(db, statement, 17, c->p);
    row->next = db_integer(db, statement, 18);
    tx->poll_key = db_text(db, statement, 19, c->p);
    tx->request = db_blob(db, statement, 20, c->p);
    tx->decision = db_text(db, statement, 21, c->p);
    tx->decided_by = db_text(db, statement, 22, c->p);
    tx->text = db_text(db, statement, 23, c->p);
    row->pend_until = db_integer(db, statement, 24);
    tx->record = db_text(db, statement, 25, c->p);
    tx->record_state = db_text(db, statement, 26, c->p);
}

/* Finds a transaction by its key: whether there is one. */
int sqlite_get_tx(sqlite_call_t *c, const char *tx_key, sqlite_tx_row_t *row)
{
    if (db_query(c->db, SQL_TX_GET, "tti", c->service, tx_key, c->now) != 1)
        return 0;
    sqlite_read_tx(c, SQL_TX_GET, row);
    db_reset(c->db, SQL_TX_GET);
    return 1;
}

/* Finds a challenge: whether there is one. */
int sqlite_get_challenge(sqlite_call_t *c, const char *id, sqlite_challenge_row_t *row)
{
    store_challenge_t *ch = &row->challenge;

    memset(row, 0, sizeof(*row));
    if (db_query(c->db, SQL_CHALLENGE_GET, "tti", c->service, id, c->now) != 1)
        return 0;
    ch->id = id;
    ch->issued = sqlite_from_ms(db_integer(c->db, SQL_CHALLENGE_GET, 0));
    row->expires = db_integer(c->db, SQL_CHALLENGE_GET, 1);
    ch->expires = sqlite_from_ms(row->expires);
    ch->lifetime = sqlite_from_ms(db_integer(c->db, SQL_CHALLENGE_GET, 2));
    ch->uses = (int)db_integer(c->db, SQL_CHALLENGE_GET, 3);
    row->used = (int)db_integer(c->db, SQL_CHALLENGE_GET, 4);
    ch->attempts = (int)db_integer(c->db, SQL_CHALLENGE_GET, 5);
    row->bad = (int)db_integer(c->db, SQL_CHALLENGE_GET, 6);
    ch->caller = db_text(c->db, SQL_CHALLENGE_GET, 7, c->p);
    ch->template_name = db_text(c->db, SQL_CHALLENGE_GET, 8, c->p);
    ch->bound = db_text(c->db, SQL_CHALLENGE_GET, 9, c->p);
    db_reset(c->db, SQL_CHALLENGE_GET);
    return 1;
}

void sqlite_insert_challenge(sqlite_call_t *c, const char *id, store_challenge_t *ch, int open)
{
    apr_int64_t expires = c->now + sqlite_to_ms(ch->lifetime);

    ch->issued = sqlite_from_ms(c->now);
    ch->expires = sqlite_from_ms(expires);
    db_query(c->db, SQL_CHALLENGE_DROP, "tt", c->service, id);
    db_query(c->db, SQL_CHALLENGE_INSERT, "ttiiiiiitttii", c->service, id, c->now, expires,
             expires + TOMBSTONE_MS, sqlite_to_ms(ch->lifetime), (apr_int64_t)ch->uses,
             (apr_int64_t)ch->attempts, ch->caller, ch->template_name, ch->bound,
             (apr_int64_t)(ch->caller_max > 0), (apr_int64_t)open);
}

/* Removes up to max expired rows of each table; how many. */
int sqlite_remove_expired(sqlite_call_t *c, apr_int64_t max)
{
    static const sql_e sweeps[] = {SQL_CHALLENGE_SWEEP, SQL_TX_SWEEP, SQL_COUNTER_SWEEP,
                                   SQL_ENTRY_SWEEP};
    int removed = 0, i;

    for (i = 0; i < 4; i++) {
        if (db_query(c->db, sweeps[i], "tii", c->service, c->now, max - removed) == 0)
            removed += db_changes(c->db);
    }
    return removed;
}
