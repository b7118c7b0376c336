/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the SQLite store share: a slot's call, the rows, and the transaction's slots.
 */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "store.h"
#include "store_sqlite_db.h"

typedef struct sqlite_store_t {
    store_t base;
    const store_config_t *cfg;
    db_pool_t pool;
} sqlite_store_t;

/* One slot's call: what all its steps need. */
typedef struct sqlite_call_t {
    sqlite_store_t *store;
    db_t *db;
    const char *service;
    apr_int64_t now; /* milliseconds */
    apr_pool_t *p;
} sqlite_call_t;

/* A row of tx. */
typedef struct sqlite_tx_row_t {
    store_tx_t tx;
    apr_int64_t lease, next, pend_until;
    const char *nonce;
} sqlite_tx_row_t;

/* A row of challenge. */
typedef struct sqlite_challenge_row_t {
    store_challenge_t challenge;
    apr_int64_t expires;
    int used, bad;
} sqlite_challenge_row_t;

/* A span in whole milliseconds, at least one; the time or span of milliseconds; the greater of two.
 */
apr_int64_t sqlite_to_ms(apr_interval_time_t span);
apr_time_t sqlite_from_ms(apr_int64_t ms);
apr_int64_t sqlite_later(apr_int64_t a, apr_int64_t b);

/* Starts and ends a slot's transaction. */
apr_status_t sqlite_call_begin(sqlite_call_t *c, store_t *store, const char *service, int writes,
                               apr_pool_t *p);
apr_status_t sqlite_call_end(sqlite_call_t *c);

/* Reads a transaction by a statement that was just run to a row. */
void sqlite_read_tx(sqlite_call_t *c, sql_e statement, sqlite_tx_row_t *row);

/* Find a row by its key: whether there is one. */
int sqlite_get_tx(sqlite_call_t *c, const char *tx_key, sqlite_tx_row_t *row);
int sqlite_get_challenge(sqlite_call_t *c, const char *id, sqlite_challenge_row_t *row);

/* Inserts a challenge and sets its issued and expires.  open: it counts for the caps. */
void sqlite_insert_challenge(sqlite_call_t *c, const char *id, store_challenge_t *ch, int open);

/* Writes what a change of a transaction leaves behind; trail may be NULL. */
void sqlite_leave_trail(sqlite_call_t *c, const char *tx_key, const store_trail_t *trail);

/* Enters the certificate of a transaction into the inventory; NULL: none.  0 with *result: another
 * one has the serial number. */
int sqlite_enter(sqlite_call_t *c, const store_tx_t *tx, const store_entry_t *entry,
                 store_result_e *result);

/* Removes news and leases that nobody works on any more, of all services. */
void sqlite_remove_leftovers(sqlite_call_t *c, apr_int64_t max);

/* Removes up to max expired rows; how many. */
int sqlite_remove_expired(sqlite_call_t *c, apr_int64_t max);

/* Slots of store_provider_t, see store.h. */
apr_status_t sqlite_claim(store_t *store, const char *service, const store_claim_t *claim,
                          store_result_e *result, store_tx_t *tx, apr_pool_t *p);
apr_status_t sqlite_count(store_t *store, const char *service, const store_claim_t *claim,
                          apr_pool_t *p);
apr_status_t sqlite_commit(store_t *store, const char *service, const char *tx_key,
                           apr_int64_t fence, const crypt_buf_t *certificate, const char *serial,
                           apr_interval_time_t retention, const store_trail_t *trail,
                           store_result_e *result, apr_pool_t *p);
apr_status_t sqlite_fail(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                         store_blame_e blame, const char *reason, apr_interval_time_t retention,
                         const store_trail_t *trail, store_result_e *result, apr_pool_t *p);
apr_status_t sqlite_pend(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                         const store_pend_t *pend, const store_trail_t *trail,
                         store_result_e *result, apr_pool_t *p);
apr_status_t sqlite_poll(store_t *store, const char *service, const char *poll_key,
                         const char *nonce, apr_interval_time_t lease, store_result_e *result,
                         store_tx_t *tx, apr_pool_t *p);
apr_status_t sqlite_find(store_t *store, const char *service, const char *tx_key,
                         store_result_e *result, store_tx_t *tx, apr_pool_t *p);
apr_status_t sqlite_find_certificate(store_t *store, const char *service, const char *serial,
                                     store_result_e *result, store_tx_t *tx, apr_pool_t *p);
apr_status_t sqlite_inventory(store_t *store, const char *service, const store_search_t *search,
                              apr_array_header_t **pentries, const char **next, apr_pool_t *p);
apr_status_t sqlite_list(store_t *store, const char *service, int max, apr_array_header_t **ptxs,
                         apr_pool_t *p);
apr_status_t sqlite_decide(store_t *store, const char *service, const char *tx_key,
                           const store_decision_t *decision, apr_interval_time_t retention,
                           store_result_e *result, apr_pool_t *p);
apr_status_t sqlite_revoke_certificate(store_t *store, const char *service,
                                       const store_revoked_t *what, store_result_e *result,
                                       apr_pool_t *p);
apr_status_t sqlite_find_revoked(store_t *store, const char *service, const char *serial,
                                 store_result_e *result, store_revoked_t *revoked, apr_pool_t *p);
apr_status_t sqlite_list_revoked(store_t *store, const char *service, apr_array_header_t **plist,
                                 apr_pool_t *p);
apr_status_t sqlite_get_crl(store_t *store, const char *service, apr_int64_t have,
                            store_crl_t *crl, apr_pool_t *p);
apr_status_t sqlite_put_crl(store_t *store, const char *service, apr_int64_t replaces,
                            const store_crl_t *crl, store_result_e *result, apr_pool_t *p);

apr_status_t sqlite_records(store_t *store, const char *service, const char *state, int max,
                            apr_array_header_t **ptxs, apr_pool_t *p);
apr_status_t sqlite_take(store_t *store, const char *service, int max, apr_interval_time_t lease,
                         apr_array_header_t **pnews, apr_pool_t *p);
apr_status_t sqlite_settle(store_t *store, const char *service, const char *news_id,
                           apr_int64_t fence, store_settle_e how, apr_interval_time_t wait,
                           store_result_e *result, apr_pool_t *p);
apr_status_t sqlite_outbox(store_t *store, const char *service, int *count, apr_time_t *oldest,
                           apr_pool_t *p);
apr_status_t sqlite_lease(store_t *store, const char *service, const char *name,
                          const char *holder, apr_interval_time_t lease, store_result_e *result,
                          apr_pool_t *p);

#endif /* STORE_SQLITE_H */
