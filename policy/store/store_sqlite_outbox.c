/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change of a transaction leaves behind in the SQLite store: its record, and news that are
 * to be told to somebody outside; and leases on work that one host does.
 *
 * Of each piece of news, ready is when take may give it: when it is due, when its holder's lease
 * ends, or when its life time does.
 */
#include "store_sqlite.h"
#include <string.h>

#define LEFTOVER_MS (7 * 24 * 3600 * 1000LL) /* late news that nobody takes go after this */

void sqlite_leave_trail(sqlite_call_t *c, const char *tx_key, const store_trail_t *trail)
{
    const store_news_t *news;
    int i;

    if (!trail)
        return;
    for (i = 0; i < trail->nnews; i++) {
        news = &trail->news[i];
        db_query(c->db, SQL_NEWS_INSERT, "ttttbii", c->service, news->id, tx_key, news->recipient,
                 (const void *)news->payload.data, (int)news->payload.len, c->now,
                 c->now + sqlite_to_ms(trail->news_lifetime));
    }
    if (*trail->record)
        db_query(c->db, SQL_RECORD_PUT, "ttt", c->service, tx_key, trail->record);
    if (*trail->record || trail->nnews > 0)
        db_query(c->db, SQL_RECORD_STATE, "tti", c->service, tx_key, c->now);
}

/* Reads the news of the current row, as its new holder sees it. */
static store_news_t *read_news(sqlite_call_t *c)
{
    store_news_t *news = apr_pcalloc(c->p, sizeof(*news));
    db_t *db = c->db;

    news->id = db_text(db, SQL_NEWS_DUE, 0, c->p);
    news->recipient = db_text(db, SQL_NEWS_DUE, 1, c->p);
    news->payload = db_blob(db, SQL_NEWS_DUE, 2, c->p);
    if (!news->payload.data)
        news->payload.data = (const unsigned char *)"";
    news->tx_key = db_text(db, SQL_NEWS_DUE, 3, c->p);
    news->fence = db_integer(db, SQL_NEWS_DUE, 4) + 1;
    news->tries = (int)db_integer(db, SQL_NEWS_DUE, 5) + 1;
    news->created = sqlite_from_ms(db_integer(db, SQL_NEWS_DUE, 6));
    news->late = db_integer(db, SQL_NEWS_DUE, 7) <= c->now;
    return news;
}

apr_status_t sqlite_take(store_t *store, const char *service, int max, apr_interval_time_t lease,
                         apr_array_header_t **pnews, apr_pool_t *p)
{
    sqlite_call_t c;
    int i, more;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    for (more = db_query(c.db, SQL_NEWS_DUE, "tii", service, c.now, (apr_int64_t)max); more == 1;
         more = db_next(c.db, SQL_NEWS_DUE))
        APR_ARRAY_PUSH(*pnews, store_news_t *) = read_news(&c);
    for (i = 0; i < (*pnews)->nelts; i++)
        db_query(c.db, SQL_NEWS_HOLD, "tti", service, APR_ARRAY_IDX(*pnews, i, store_news_t *)->id,
                 c.now + sqlite_to_ms(lease));
    rv = sqlite_call_end(&c);
    if (rv != APR_SUCCESS)
        apr_array_clear(*pnews);
    return rv;
}

/* Forgets news that were delivered or given up; the transaction's record follows. */
static void forget(sqlite_call_t *c, const char *news_id, const char *tx_key, int lost)
{
    db_query(c->db, SQL_NEWS_DELETE, "tt", c->service, news_id);
    if (lost)
        db_query(c->db, SQL_RECORD_LOST, "tt", c->service, tx_key);
    db_query(c->db, SQL_RECORD_STATE, "tti", c->service, tx_key, c->now);
}

/* When news that were not delivered are given again: at the latest when their life time ends. */
static apr_int64_t next_time(const sqlite_call_t *c, apr_interval_time_t wait, apr_int64_t ends)
{
    apr_int64_t due = c->now + (wait > 0 ? sqlite_to_ms(wait) : 0);

    return due < ends ? due : sqlite_later(ends, c->now);
}

apr_status_t sqlite_settle(store_t *store, const char *service, const char *news_id,
                           apr_int64_t fence, store_settle_e how, apr_interval_time_t wait,
                           store_result_e *result, apr_pool_t *p)
{
    const char *tx_key;
    apr_int64_t ends;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    if (db_query(c.db, SQL_NEWS_GET, "tt", service, news_id) == 1) {
        tx_key = db_text(c.db, SQL_NEWS_GET, 0, p);
        *result = db_integer(c.db, SQL_NEWS_GET, 1) == fence ? STORE_OK : STORE_FENCED;
        ends = db_integer(c.db, SQL_NEWS_GET, 2);
        db_reset(c.db, SQL_NEWS_GET);
        if (*result == STORE_OK && (how == STORE_NEWS_AGAIN || how == STORE_NEWS_UNTRIED))
            db_query(c.db, how == STORE_NEWS_AGAIN ? SQL_NEWS_AGAIN : SQL_NEWS_UNTRIED, "tti",
                     service, news_id, next_time(&c, wait, ends));
        else if (*result == STORE_OK)
            forget(&c, news_id, tx_key, how == STORE_NEWS_LOST);
    }
    return sqlite_call_end(&c);
}

apr_status_t sqlite_outbox(store_t *store, const char *service, int *count, apr_time_t *oldest,
                           apr_pool_t *p)
{
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 0, p);

    if (rv != APR_SUCCESS)
        return rv;
    if (db_query(c.db, SQL_NEWS_COUNT, "t", service) == 1) {
        *count = (int)db_integer(c.db, SQL_NEWS_COUNT, 0);
        *oldest = sqlite_from_ms(db_integer(c.db, SQL_NEWS_COUNT, 1));
        db_reset(c.db, SQL_NEWS_COUNT);
    }
    return sqlite_call_end(&c);
}

apr_status_t sqlite_lease(store_t *store, const char *service, const char *name,
                          const char *holder, apr_interval_time_t lease, store_result_e *result,
                          apr_pool_t *p)
{
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    *result = STORE_OK;
    if (db_query(c.db, SQL_LEASE_OTHER, "ttti", service, name, holder, c.now) == 1) {
        db_reset(c.db, SQL_LEASE_OTHER);
        *result = STORE_BUSY;
    }
    else if (lease > 0)
        db_query(c.db, SQL_LEASE_PUT, "ttti", service, name, holder, c.now + sqlite_to_ms(lease));
    else
        db_query(c.db, SQL_LEASE_DELETE, "tt", service, name);
    return sqlite_call_end(&c);
}

apr_status_t sqlite_records(store_t *store, const char *service, const char *state, int max,
                            apr_array_header_t **ptxs, apr_pool_t *p)
{
    sql_e statement = *state ? SQL_RECORD_LIST : SQL_RECORD_ALL;
    sqlite_tx_row_t *row;
    sqlite_call_t c;
    int more;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 0, p);

    if (rv != APR_SUCCESS)
        return rv;
    for (more = db_query(c.db, statement, *state ? "tiit" : "tii", service, c.now,
                         (apr_int64_t)max, state);
         more == 1; more = db_next(c.db, statement)) {
        row = apr_palloc(p, sizeof(*row));
        sqlite_read_tx(&c, statement, row);
        APR_ARRAY_PUSH(*ptxs, store_tx_t *) = &row->tx;
    }
    return sqlite_call_end(&c);
}

void sqlite_remove_leftovers(sqlite_call_t *c, apr_int64_t max)
{
    db_query(c->db, SQL_NEWS_SWEEP, "ii", c->now - LEFTOVER_MS, max);
    db_query(c->db, SQL_LEASE_SWEEP, "i", c->now);
}
