/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short names for the calls of the conformance suite: numbers stand for ids, everything that does
 * not matter has a usual value, a status other than APR_SUCCESS ends the test.
 */
#ifndef UNIT_STORE_CALLS_H
#define UNIT_STORE_CALLS_H

#include "store_fixture.h"

/* Short times are three times as long as written: a slow machine must not outlive a lease. */
#define MS(n) apr_time_from_msec((n) < 500 ? 3 * (n) : (n))
#define LIFE apr_time_from_sec(600)
#define LEASE apr_time_from_sec(60)
#define KEEP apr_time_from_sec(3600)

/* The running test's store, and what the last call gave. */
typedef struct store_calls_t {
    apr_pool_t *p;
    store_t *store;
    const char *service;
    store_tx_t tx; /* of claim, poll or find */
    apr_interval_time_t free_in;
    apr_interval_time_t age; /* of the oldest news, by calls_news_count() */
    int outstanding;
} store_calls_t;

extern store_calls_t calls;

/* Opens the store of a kind in a service of its own; whether there is one. */
int calls_open(int kind);

#define OPEN()           \
    if (!calls_open(_i)) \
    return

/* 64 and 32 hex digits that stand for n. */
const char *calls_id(int n);
const char *calls_half(int n);

/* A challenge to issue, and issuing it. */
store_challenge_t calls_challenge(int n, apr_interval_time_t life, int uses, int attempts);
store_result_e calls_issue(int n, apr_interval_time_t life, int uses, int attempts, int cap);

/* A claim of transaction t for challenge n (0: none), and sending it. */
store_claim_t calls_make_claim(int t, int n, int nonce, apr_interval_time_t lease);
store_result_e calls_send(const store_claim_t *claim);
store_result_e calls_claim(int t, int n, int nonce, apr_interval_time_t lease);

/* Transaction t's certificate: bytes of all values. */
crypt_buf_t calls_certificate(int t);
void calls_check_certificate(int t);

/* What pend keeps, and sending it for transaction t. */
store_pend_t calls_make_pend(apr_interval_time_t span, apr_interval_time_t retention);
store_result_e calls_send_pend(int t, apr_int64_t fence, const store_pend_t *pend);

/* Commits transaction t with a serial number, for a time. */
store_result_e calls_commit_serial(int t, apr_int64_t fence, const char *serial,
                                   apr_interval_time_t retention);

/* The other slots, for transaction t or challenge n. */
store_result_e calls_commit(int t, apr_int64_t fence);
store_result_e calls_fail(int t, apr_int64_t fence, store_blame_e blame);
store_result_e calls_pend(int t, apr_int64_t fence, apr_interval_time_t span);
store_result_e calls_poll(int t, int nonce, apr_interval_time_t lease);
store_result_e calls_find(int t);
store_result_e calls_find_certificate(const char *serial);
store_result_e calls_decide(int t, int approve, apr_interval_time_t retention);
store_result_e calls_decide_cookie(int t, int approve, const char *cookie,
                                   apr_interval_time_t retention);
store_result_e calls_revoke(int n);

/*
 * A trail with count pieces of news, whose ids are 5000 + first and those after it, in calls_news;
 * the changes of transaction t that leave it behind.
 */
extern store_news_t calls_news[STORE_NEWS_PER_TX];
store_trail_t calls_trail(const char *record, int first, int count);
store_result_e calls_commit_with(int t, apr_int64_t fence, const store_trail_t *trail);
store_result_e calls_fail_with(int t, apr_int64_t fence, const store_trail_t *trail);
store_result_e calls_pend_with(int t, apr_int64_t fence, const store_pend_t *pend,
                               const store_trail_t *trail);

/* Takes up to max news; how many, in *list.  Settles news 5000 + n.  How many news there are. */
#define TAKEN(list, i) APR_ARRAY_IDX(list, i, store_news_t *)
int calls_take(int max, apr_interval_time_t lease, apr_array_header_t **list);
store_result_e calls_settle(int n, apr_int64_t fence, store_settle_e how, apr_interval_time_t span);
int calls_news_count(void);

/* Checks the record of transaction t.  The transactionIDs of the records in a state, with a space
 * after each. */
void calls_check_record(int t, const char *record, const char *state);
const char *calls_records(const char *state, int max);

#endif /* UNIT_STORE_CALLS_H */
