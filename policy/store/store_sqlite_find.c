/* SPDX-License-Identifier: Apache-2.0 */
/* What people ask the SQLite store and decide: find, find_certificate, list, decide. */
#include "store_sqlite.h"
#include <string.h>

apr_status_t sqlite_find(store_t *store, const char *service, const char *tx_key,
                         store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    sqlite_challenge_row_t held;
    sqlite_tx_row_t row;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 0, p);

    if (rv != APR_SUCCESS)
        return rv;
    if (sqlite_get_tx(&c, tx_key, &row)) {
        *tx = row.tx;
        if (*tx->challenge_id && sqlite_get_challenge(&c, tx->challenge_id, &held))
            tx->challenge = held.challenge;
        if (strcmp(tx->state, "pending") == 0)
            tx->wait = sqlite_from_ms(sqlite_later(0, row.next - c.now));
        *result = STORE_OK;
    }
    return sqlite_call_end(&c);
}

apr_status_t sqlite_list(store_t *store, const char *service, int max, apr_array_header_t **ptxs,
                         apr_pool_t *p)
{
    sqlite_tx_row_t *row;
    sqlite_call_t c;
    int more;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 0, p);

    if (rv != APR_SUCCESS)
        return rv;
    for (more = db_query(c.db, SQL_TX_LIST, "tii", service, c.now, (apr_int64_t)max); more == 1;
         more = db_next(c.db, SQL_TX_LIST)) {
        row = apr_palloc(p, sizeof(*row));
        sqlite_read_tx(&c, SQL_TX_LIST, row);
        row->tx.wait = sqlite_from_ms(sqlite_later(0, row->next - c.now));
        APR_ARRAY_PUSH(*ptxs, store_tx_t *) = &row->tx;
    }
    return sqlite_call_end(&c);
}

apr_status_t sqlite_find_certificate(store_t *store, const char *service, const char *serial,
                                     store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    sqlite_tx_row_t row;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 0, p);

    if (rv != APR_SUCCESS)
        return rv;
    if (db_query(c.db, SQL_TX_SERIAL, "tti", service, serial, c.now) == 1) {
        sqlite_read_tx(&c, SQL_TX_SERIAL, &row);
        db_reset(c.db, SQL_TX_SERIAL);
        *tx = row.tx;
        *result = STORE_OK;
    }
    return sqlite_call_end(&c);
}

/* Whether a known transaction can be decided about; otherwise *result is set. */
static int may_decide(const sqlite_call_t *c, const sqlite_tx_row_t *row,
                      const store_decision_t *wanted, store_result_e *result)
{
    const char *before = row->tx.decision, *decision = wanted->approve ? "approved" : "denied";
    int failed = strcmp(row->tx.state, "failed") == 0;

    if (strcmp(before, decision) == 0 && (!failed || strcmp(before, "denied") == 0))
        *result = STORE_OK;
    else if (strcmp(row->tx.state, "pending") != 0 || *before ||
             strcmp(row->tx.cookie, wanted->cookie) != 0)
        *result = STORE_CONFLICT;
    else if (row->lease > c->now)
        *result = STORE_BUSY;
    else
        return row->pend_until == 0 || row->pend_until > c->now;
    return 0;
}

apr_status_t sqlite_decide(store_t *store, const char *service, const char *tx_key,
                           const store_decision_t *decision, apr_interval_time_t retention,
                           store_result_e *result, apr_pool_t *p)
{
    sqlite_tx_row_t row;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);
    apr_int64_t keep;

    if (rv != APR_SUCCESS)
        return rv;
    keep = c.now + sqlite_to_ms(retention);
    if (sqlite_get_tx(&c, tx_key, &row) && may_decide(&c, &row, decision, result)) {
        db_query(c.db, decision->approve ? SQL_TX_APPROVED : SQL_TX_DENIED, "ttttii", service,
                 tx_key, decision->by, decision->text, c.now, keep);
        if (*row.tx.challenge_id)
            db_query(c.db, decision->approve ? SQL_CHALLENGE_KEEP : SQL_CHALLENGE_BLAME, "tti",
                     service, row.tx.challenge_id, keep);
        if (!decision->approve)
            sqlite_leave_trail(&c, tx_key, decision->trail);
        *result = STORE_OK;
    }
    return sqlite_call_end(&c);
}
