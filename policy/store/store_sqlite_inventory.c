/* SPDX-License-Identifier: Apache-2.0 */
/* The inventory of certificates in the SQLite store. */
#include "store_sqlite.h"
#include <apr_strings.h>
#include <string.h>

#define CREATED_DIGITS 15

int sqlite_enter(sqlite_call_t *c, const store_tx_t *tx, const store_entry_t *entry,
                 store_result_e *result)
{
    apr_int64_t created = c->now, keep;
    int other = 0;

    if (!entry)
        return 1;
    if (db_query(c->db, SQL_ENTRY_GET, "ttti", c->service, entry->issuer, entry->serial,
                 c->now) == 1) {
        other = strcmp(db_text(c->db, SQL_ENTRY_GET, 0, c->p), tx->tx_key) != 0 &&
                strcmp(db_text(c->db, SQL_ENTRY_GET, 1, c->p), entry->digest) != 0;
        created = db_integer(c->db, SQL_ENTRY_GET, 2);
        db_reset(c->db, SQL_ENTRY_GET);
    }
    if (other) {
        *result = STORE_CONFLICT;
        return 0;
    }
    keep = sqlite_later(apr_time_as_msec(entry->until), c->now + 1);
    db_query(c->db, SQL_ENTRY_PUT, "tttttbttiii", c->service, entry->issuer, entry->serial,
             tx->tx_key, entry->digest, (const void *)entry->subject.data,
             (int)entry->subject.len, entry->template_name, tx->transaction_id,
             (apr_int64_t)apr_time_as_msec(entry->not_after), created, keep);
    return 1;
}

/* Reads an entry by a statement that was just run to a row. */
static void read_entry(sqlite_call_t *c, sql_e statement, store_entry_t *entry)
{
    apr_int64_t created = db_integer(c->db, statement, 8);

    memset(entry, 0, sizeof(*entry));
    entry->issuer = db_text(c->db, statement, 0, c->p);
    entry->serial = db_text(c->db, statement, 1, c->p);
    entry->digest = db_text(c->db, statement, 2, c->p);
    entry->subject = db_blob(c->db, statement, 3, c->p);
    entry->template_name = db_text(c->db, statement, 4, c->p);
    entry->tx_key = db_text(c->db, statement, 5, c->p);
    entry->transaction_id = db_text(c->db, statement, 6, c->p);
    entry->not_after = sqlite_from_ms(db_integer(c->db, statement, 7));
    entry->created = sqlite_from_ms(created);
    entry->place = apr_psprintf(c->p, "%0*" APR_INT64_T_FMT ":%s:%s", CREATED_DIGITS, created,
                                entry->issuer, entry->serial);
}

/* Runs the statement of a search, which *statement says; as db_query(). */
static int start(sqlite_call_t *c, const store_search_t *search, sql_e *statement)
{
    const char *place = search->place, *issuer = "", *serial = "";
    apr_int64_t created = search->newest_first ? APR_INT64_MAX : -1;

    if (search->serial) {
        *statement = SQL_ENTRY_SERIAL;
        return db_query(c->db, *statement, "titt", c->service, c->now, search->issuer,
                        search->serial);
    }
    if (search->transaction_id) {
        *statement = SQL_ENTRY_TID;
        return db_query(c->db, *statement, "tit", c->service, c->now, search->transaction_id);
    }
    if (*place) {
        created = apr_strtoi64(place, NULL, 10);
        issuer = apr_pstrmemdup(c->p, place + CREATED_DIGITS + 1, STORE_ISSUER_LEN);
        serial = place + CREATED_DIGITS + 1 + STORE_ISSUER_LEN + 1;
    }
    *statement = search->newest_first ? SQL_ENTRY_NEWEST : SQL_ENTRY_OLDEST;
    return db_query(c->db, *statement, "tiitti", c->service, c->now, created, issuer, serial,
                    (apr_int64_t)search->max);
}

apr_status_t sqlite_inventory(store_t *store, const char *service, const store_search_t *search,
                              apr_array_header_t **pentries, const char **next, apr_pool_t *p)
{
    store_entry_t *entry = NULL;
    sql_e statement;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 0, p);
    int more;

    if (rv != APR_SUCCESS)
        return rv;
    for (more = start(&c, search, &statement); more == 1; more = db_next(c.db, statement)) {
        entry = apr_array_push(*pentries);
        read_entry(&c, statement, entry);
    }
    if (search->place && entry && (*pentries)->nelts == search->max)
        *next = entry->place;
    return sqlite_call_end(&c);
}
