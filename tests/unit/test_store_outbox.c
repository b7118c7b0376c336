/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of stores: news that a change of a transaction leaves behind, the outbox
 * that they are taken from, and leases.  Each test runs once per kind of store.
 */
#include "store_calls.h"
#include <apr_strings.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *test_store_outbox_suite(void);
Suite *test_store_outbox_race_suite(void);

#define RACERS 4
#define RACE_NEWS 60

/* What the processes of a race saw. */
typedef struct race_t {
    volatile int taken[RACE_NEWS];
    volatile int errors, go, leases;
} race_t;

/* A denial leaves news, once; an approval and a decision that is refused leave none. */
START_TEST(denial)
{
    store_trail_t trail;
    store_decision_t decision = {1, "admin@example", "", "cookie 1", &trail};
    store_result_e result;

    OPEN();
    trail = calls_trail("", 1, 1);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(1, 1, KEEP), STORE_OK);
    ck_assert_int_eq(calls_find(1), STORE_OK);
    decision.cookie = calls.tx.cookie;
    ck_assert_int_eq(store_decide(calls.store, calls.service, calls_id(1001), &decision, KEEP,
                                  &result, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_OK);
    decision.approve = 0;
    ck_assert_int_eq(store_decide(calls.store, calls.service, calls_id(1001), &decision, KEEP,
                                  &result, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_CONFLICT);
    ck_assert_int_eq(calls_news_count(), 0);
    ck_assert_int_eq(calls_claim(2, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(2, 1, KEEP), STORE_OK);
    ck_assert_int_eq(calls_find(2), STORE_OK);
    decision.cookie = calls.tx.cookie;
    ck_assert_int_eq(store_decide(calls.store, calls.service, calls_id(1002), &decision, KEEP,
                                  &result, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_OK);
    ck_assert_int_eq(calls_news_count(), 1);
    ck_assert_int_eq(store_decide(calls.store, calls.service, calls_id(1002), &decision, KEEP,
                                  &result, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_OK);
    ck_assert_int_eq(calls_news_count(), 1);
}
END_TEST

START_TEST(news_are_taken_and_settled)
{
    apr_array_header_t *list;
    store_trail_t trail;

    OPEN();
    ck_assert_int_eq(calls_take(10, LEASE, &list), 0);
    ck_assert_int_eq(calls_news_count(), 0);
    trail = calls_trail("{\"a\":1}", 1, 2);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.record, "");
    ck_assert_int_eq(calls_commit_with(1, 1, &trail), STORE_OK);
    ck_assert_int_eq(calls_news_count(), 2);
    ck_assert(calls.age >= 0 && calls.age < apr_time_from_sec(60));
    calls_check_record(1, "{\"a\":1}", "processing");
    ck_assert_int_eq(calls_take(10, LEASE, &list), 2);
    ck_assert_str_eq(TAKEN(list, 0)->tx_key, calls_id(1001));
    ck_assert_str_eq(TAKEN(list, 0)->id, calls_id(5001));
    ck_assert_str_eq(TAKEN(list, 0)->recipient, "webhook");
    ck_assert_str_eq(TAKEN(list, 1)->recipient, "intune");
    ck_assert_uint_eq(TAKEN(list, 0)->payload.len, 8);
    ck_assert_mem_eq(TAKEN(list, 0)->payload.data, "pay\0load", 8);
    ck_assert_int_eq(TAKEN(list, 0)->fence, 1);
    ck_assert_int_eq(TAKEN(list, 0)->tries, 1);
    ck_assert_int_eq(TAKEN(list, 0)->late, 0);
    ck_assert(TAKEN(list, 0)->created > apr_time_now() - apr_time_from_sec(60));
    ck_assert_int_eq(calls_take(10, LEASE, &list), 0);
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_DONE, 0), STORE_OK);
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_DONE, 0), STORE_NOTFOUND);
    calls_check_record(1, "{\"a\":1}", "processing");
    ck_assert_int_eq(calls_news_count(), 1);
    ck_assert_int_eq(calls_settle(2, 2, STORE_NEWS_DONE, 0), STORE_FENCED);
    ck_assert_int_eq(calls_settle(2, 1, STORE_NEWS_DONE, 0), STORE_OK);
    calls_check_record(1, "{\"a\":1}", "succeed");
    ck_assert_int_eq(calls_news_count(), 0);
    ck_assert_int_eq(calls_claim(1, 0, 2, LEASE), STORE_ISSUED);
    ck_assert_str_eq(calls.tx.record, "{\"a\":1}");
    ck_assert_str_eq(calls.tx.record_state, "succeed");
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_ISSUED);
    ck_assert_str_eq(calls.tx.record_state, "succeed");
}
END_TEST

START_TEST(longest_due_first)
{
    apr_array_header_t *list;
    store_trail_t trail;
    int t;

    OPEN();
    for (t = 1; t <= 4; t++) {
        trail = calls_trail("", t, 1);
        ck_assert_int_eq(calls_claim(t, 0, t, LEASE), STORE_CLAIMED);
        ck_assert_int_eq(calls_commit_with(t, 1, &trail), STORE_OK);
        calls_check_record(t, "", "");
        apr_sleep(MS(3));
    }
    ck_assert_int_eq(calls_take(1, LEASE, &list), 1);
    ck_assert_str_eq(TAKEN(list, 0)->id, calls_id(5001));
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_AGAIN, 0), STORE_OK);
    ck_assert_int_eq(calls_take(3, LEASE, &list), 3);
    ck_assert_str_eq(TAKEN(list, 0)->id, calls_id(5002));
    ck_assert_str_eq(TAKEN(list, 2)->id, calls_id(5004));
    ck_assert_int_eq(calls_take(3, LEASE, &list), 1);
    ck_assert_str_eq(TAKEN(list, 0)->id, calls_id(5001));
    ck_assert_int_eq(TAKEN(list, 0)->tries, 2);
    calls.service = apr_pstrcat(calls.p, calls.service, "-other", NULL);
    ck_assert_int_eq(calls_take(3, LEASE, &list), 0);
    ck_assert_int_eq(calls_settle(1, 2, STORE_NEWS_DONE, 0), STORE_NOTFOUND);
    ck_assert_int_eq(calls_news_count(), 0);
}
END_TEST

/* News of one transaction for one recipient come one after the other, whatever happens to the
 * first; those for another recipient do not wait. */
START_TEST(in_order)
{
    store_pend_t pend = calls_make_pend(0, KEEP);
    apr_array_header_t *list;
    store_trail_t trail;
    store_result_e result;

    OPEN();
    trail = calls_trail("", 1, 1);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(store_pend(calls.store, calls.service, calls_id(1001), 1, &pend, &trail,
                                &result, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_OK);
    apr_sleep(MS(3));
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_CLAIMED);
    trail = calls_trail("", 2, 2);
    ck_assert_int_eq(calls_commit_with(1, 2, &trail), STORE_OK);
    ck_assert_int_eq(calls_news_count(), 3);
    ck_assert_int_eq(calls_take(9, LEASE, &list), 2);
    ck_assert_str_eq(TAKEN(list, 0)->id, calls_id(5001));
    ck_assert_str_eq(TAKEN(list, 1)->id, calls_id(5003));
    ck_assert_str_eq(TAKEN(list, 1)->recipient, "intune");
    ck_assert_int_eq(calls_take(9, LEASE, &list), 0);
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_AGAIN, MS(60)), STORE_OK);
    ck_assert_int_eq(calls_take(9, LEASE, &list), 0);
    apr_sleep(MS(90));
    ck_assert_int_eq(calls_take(9, LEASE, &list), 1);
    ck_assert_str_eq(TAKEN(list, 0)->id, calls_id(5001));
    ck_assert_int_eq(calls_take(9, LEASE, &list), 0);
    ck_assert_int_eq(calls_settle(1, 2, STORE_NEWS_DONE, 0), STORE_OK);
    ck_assert_int_eq(calls_take(9, LEASE, &list), 1);
    ck_assert_str_eq(TAKEN(list, 0)->id, calls_id(5002));
    ck_assert_int_eq(TAKEN(list, 0)->tries, 1);
    ck_assert_int_eq(calls_settle(2, 1, STORE_NEWS_DONE, 0), STORE_OK);
    ck_assert_int_eq(calls_settle(3, 1, STORE_NEWS_LOST, 0), STORE_OK);
    ck_assert_int_eq(calls_news_count(), 0);
}
END_TEST

/* What waits for another piece is not forgotten when that one is lost, or nobody settles it. */
START_TEST(in_order_after_a_loss)
{
    store_pend_t pend = calls_make_pend(0, KEEP);
    apr_array_header_t *list;
    store_trail_t trail;
    store_result_e result;

    OPEN();
    trail = calls_trail("", 1, 1);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(store_pend(calls.store, calls.service, calls_id(1001), 1, &pend, &trail,
                                &result, calls.p),
                     APR_SUCCESS);
    apr_sleep(MS(3));
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_CLAIMED);
    trail = calls_trail("", 2, 1);
    ck_assert_int_eq(calls_commit_with(1, 2, &trail), STORE_OK);
    ck_assert_int_eq(calls_take(9, MS(60), &list), 1);
    ck_assert_int_eq(calls_take(9, MS(60), &list), 0);
    apr_sleep(MS(90));
    ck_assert_int_eq(calls_take(9, LEASE, &list), 1);
    ck_assert_str_eq(TAKEN(list, 0)->id, calls_id(5001));
    ck_assert_int_eq(calls_settle(1, 2, STORE_NEWS_LOST, 0), STORE_OK);
    ck_assert_int_eq(calls_take(9, LEASE, &list), 1);
    ck_assert_str_eq(TAKEN(list, 0)->id, calls_id(5002));
}
END_TEST

START_TEST(waits_and_leases_end)
{
    apr_array_header_t *list;
    store_trail_t trail;

    OPEN();
    trail = calls_trail("r", 1, 1);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit_with(1, 1, &trail), STORE_OK);
    ck_assert_int_eq(calls_take(1, MS(60), &list), 1);
    ck_assert_int_eq(calls_take(1, LEASE, &list), 0);
    apr_sleep(MS(90));
    ck_assert_int_eq(calls_take(1, LEASE, &list), 1);
    ck_assert_int_eq(TAKEN(list, 0)->fence, 2);
    ck_assert_int_eq(TAKEN(list, 0)->tries, 2);
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_DONE, 0), STORE_FENCED);
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_LOST, 0), STORE_FENCED);
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_AGAIN, 0), STORE_FENCED);
    calls_check_record(1, "r", "processing");
    ck_assert_int_eq(calls_settle(1, 2, STORE_NEWS_AGAIN, MS(80)), STORE_OK);
    ck_assert_int_eq(calls_settle(1, 2, STORE_NEWS_AGAIN, MS(80)), STORE_OK);
    ck_assert_int_eq(calls_take(1, LEASE, &list), 0);
    apr_sleep(MS(110));
    ck_assert_int_eq(calls_take(1, MS(40), &list), 1);
    ck_assert_int_eq(TAKEN(list, 0)->tries, 3);
    apr_sleep(MS(60));
    ck_assert_int_eq(calls_settle(1, 3, STORE_NEWS_DONE, 0), STORE_OK);
    calls_check_record(1, "r", "succeed");
}
END_TEST

START_TEST(late_news_are_given_once_more)
{
    apr_array_header_t *list;
    store_trail_t trail;

    OPEN();
    trail = calls_trail("r", 1, 2);
    trail.news_lifetime = MS(80);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit_with(1, 1, &trail), STORE_OK);
    ck_assert_int_eq(calls_take(2, MS(150), &list), 2);
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_AGAIN, LEASE), STORE_OK);
    ck_assert_int_eq(calls_take(2, LEASE, &list), 0);
    apr_sleep(MS(100));
    ck_assert_int_eq(calls_take(2, LEASE, &list), 1);
    ck_assert_str_eq(TAKEN(list, 0)->id, calls_id(5001));
    ck_assert_int_eq(TAKEN(list, 0)->late, 1);
    ck_assert_int_eq(TAKEN(list, 0)->tries, 2);
    ck_assert_int_eq(calls_settle(1, 2, STORE_NEWS_LOST, 0), STORE_OK);
    calls_check_record(1, "r", "processing");
    apr_sleep(MS(80));
    ck_assert_int_eq(calls_take(2, LEASE, &list), 1);
    ck_assert_int_eq(TAKEN(list, 0)->late, 1);
    ck_assert_int_eq(calls_settle(2, 2, STORE_NEWS_DONE, 0), STORE_OK);
    calls_check_record(1, "r", "failed");
}
END_TEST

START_TEST(repeats_leave_nothing_twice)
{
    store_pend_t pend = calls_make_pend(0, KEEP);
    apr_array_header_t *list;
    store_trail_t trail;

    OPEN();
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    trail = calls_trail("waits", 1, 1);
    ck_assert_int_eq(calls_pend_with(1, 1, &pend, &trail), STORE_OK);
    ck_assert_int_eq(calls_pend_with(1, 1, &pend, &trail), STORE_OK);
    ck_assert_int_eq(calls_take(9, LEASE, &list), 1);
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_LOST, 0), STORE_OK);
    calls_check_record(1, "waits", "failed");
    ck_assert_int_eq(calls_pend_with(1, 1, &pend, &trail), STORE_OK);
    calls_check_record(1, "waits", "failed");
    ck_assert_int_eq(calls_take(9, LEASE, &list), 0);
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.record, "waits");
    trail = calls_trail("waits on", 2, 1);
    ck_assert_int_eq(calls_pend_with(1, 1, &pend, &trail), STORE_FENCED);
    ck_assert_int_eq(calls_pend_with(1, 2, &pend, &trail), STORE_OK);
    calls_check_record(1, "waits on", "processing");
    ck_assert_int_eq(calls_poll(1, 3, LEASE), STORE_CLAIMED);
    trail = calls_trail("", 2, 2);
    ck_assert_int_eq(calls_commit_with(1, 3, &trail), STORE_OK);
    ck_assert_int_eq(calls_news_count(), 2);
    ck_assert_int_eq(calls_take(9, LEASE, &list), 2);
    ck_assert_int_eq(calls_settle(2, 1, STORE_NEWS_DONE, 0), STORE_OK);
    ck_assert_int_eq(calls_settle(3, 1, STORE_NEWS_DONE, 0), STORE_OK);
    ck_assert_int_eq(calls_commit_with(1, 3, &trail), STORE_OK);
    ck_assert_int_eq(calls_news_count(), 0);
    calls_check_record(1, "waits on", "succeed");
    trail = calls_trail("refused", 9, 1);
    ck_assert_int_eq(calls_fail_with(1, 3, &trail), STORE_FENCED);
    ck_assert_int_eq(calls_claim(2, 0, 4, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail_with(2, 2, &trail), STORE_FENCED);
    ck_assert_int_eq(calls_commit_with(2, 2, &trail), STORE_FENCED);
    ck_assert_int_eq(calls_news_count(), 0);
    ck_assert_int_eq(calls_fail_with(2, 1, &trail), STORE_OK);
    ck_assert_int_eq(calls_take(9, LEASE, &list), 1);
    apr_sleep(MS(3));
    ck_assert_int_eq(calls_settle(9, 1, STORE_NEWS_DONE, 0), STORE_OK);
    ck_assert_int_eq(calls_fail_with(2, 1, &trail), STORE_OK);
    ck_assert_int_eq(calls_news_count(), 0);
    calls_check_record(2, "refused", "succeed");
    ck_assert_str_eq(calls_records("", 9), "tid-2 tid-1 ");
}
END_TEST

START_TEST(what_is_full_leaves_nothing)
{
    store_pend_t pend = calls_make_pend(0, KEEP);
    store_trail_t trail;

    OPEN();
    pend.max = 1;
    trail = calls_trail("r", 1, 1);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(2, 0, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend_with(1, 1, &pend, NULL), STORE_OK);
    ck_assert_int_eq(calls_pend_with(2, 1, &pend, &trail), STORE_FULL);
    ck_assert_int_eq(calls_news_count(), 0);
    calls_check_record(2, "", "");
    ck_assert_str_eq(calls_records("", 9), "");
}
END_TEST

START_TEST(news_outlive_their_transaction)
{
    crypt_buf_t cert;
    apr_array_header_t *list;
    store_result_e result;
    store_trail_t trail;
    store_claim_t c;
    int removed;

    OPEN();
    cert = calls_certificate(1);
    c = calls_make_claim(1, 0, 1, MS(20));
    trail = calls_trail("r", 1, 2);
    ck_assert_int_eq(calls_send(&c), STORE_CLAIMED);
    ck_assert_int_eq(store_commit(calls.store, calls.service, c.tx_key, 1, &cert, "", MS(60),
                                  &trail, &result, calls.p),
                     APR_SUCCESS);
    ck_assert_str_eq(calls_records("", 9), "tid-1 ");
    apr_sleep(MS(90));
    ck_assert_str_eq(calls_records("", 9), "");
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 100, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 100, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(removed, 0);
    ck_assert_int_eq(calls_find(1), STORE_NOTFOUND);
    ck_assert_int_eq(calls_news_count(), 2);
    ck_assert_int_eq(calls_take(9, LEASE, &list), 2);
    ck_assert_str_eq(TAKEN(list, 0)->tx_key, calls_id(1001));
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_DONE, 0), STORE_OK);
    ck_assert_int_eq(calls_settle(2, 1, STORE_NEWS_LOST, 0), STORE_OK);
    ck_assert_int_eq(calls_find(1), STORE_NOTFOUND);
    ck_assert_int_eq(calls_news_count(), 0);
}
END_TEST

/* Makes all news of the store look as old as if nobody had been there for months. */
static void make_leftovers(int kind)
{
    sqlite3 *db;

    if (kind == KIND_SQLITE) {
        ck_assert_int_eq(sqlite3_open(strchr(calls.store->display, ':') + 1, &db), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(db, "UPDATE news SET ends=1", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        return;
    }
    store_fixture_admin(apr_psprintf(calls.p, "%s PEXPIRE '{scep:%s}:news:%s' 1",
                                     kind == KIND_UNIX  ? "-n 1"
                                     : kind == KIND_TLS ? "-n 2"
                                                        : "",
                                     calls.service, calls_id(5001)));
    apr_sleep(MS(5));
}

START_TEST(what_nobody_takes_goes)
{
    const char *service;
    apr_array_header_t *list;
    store_trail_t trail;
    int removed;

    OPEN();
    trail = calls_trail("r", 1, 1);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit_with(1, 1, &trail), STORE_OK);
    make_leftovers(_i);
    service = calls.service;
    calls.service = apr_pstrcat(calls.p, service, "-other", NULL);
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 100, &removed, calls.p), APR_SUCCESS);
    calls.service = service;
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_DONE, 0), STORE_NOTFOUND);
    ck_assert_int_eq(calls_take(9, LEASE, &list), 0);
    ck_assert_int_eq(calls_news_count(), 0);
}
END_TEST

START_TEST(large_news_come_in_portions)
{
    unsigned char *data;
    apr_array_header_t *list;
    store_trail_t trail;
    int t, i, seen = 0;

    OPEN();
    data = apr_pcalloc(calls.p, STORE_NEWS_MAX);
    data[STORE_NEWS_MAX - 1] = 7;
    for (t = 0; t < 4; t++) {
        trail = calls_trail("", t * 4, 4);
        for (i = 0; i < 4; i++) {
            calls_news[i].payload.data = data;
            calls_news[i].payload.len = STORE_NEWS_MAX;
        }
        ck_assert_int_eq(calls_claim(t, 0, t, LEASE), STORE_CLAIMED);
        ck_assert_int_eq(calls_commit_with(t, 1, &trail), STORE_OK);
    }
    for (t = 0; t < 16 && seen < 16; t++) {
        ck_assert_int_gt(calls_take(100, LEASE, &list), 0);
        seen += list->nelts;
        ck_assert_uint_eq(TAKEN(list, 0)->payload.len, STORE_NEWS_MAX);
        ck_assert_mem_eq(TAKEN(list, 0)->payload.data, data, STORE_NEWS_MAX);
    }
    ck_assert_int_eq(seen, 16);
    ck_assert_int_eq(calls_take(100, LEASE, &list), 0);
}
END_TEST

START_TEST(hostile_news)
{
    static const char *const texts[] = {"'; DROP TABLE news; --", "\r\n$5\r\n", "\xff\xfe", "%s%n",
                                        "return redis.call('FLUSHALL')"};
    apr_array_header_t *list;
    store_trail_t trail;
    int i;

    OPEN();
    for (i = 0; i < (int)(sizeof(texts) / sizeof(texts[0])); i++) {
        trail = calls_trail(texts[i], i, 1);
        calls_news[0].recipient = texts[i];
        calls_news[0].payload.len = 0;
        ck_assert_int_eq(calls_claim(i, 0, i, LEASE), STORE_CLAIMED);
        ck_assert_int_eq(calls_commit_with(i, 1, &trail), STORE_OK);
        calls_check_record(i, texts[i], "processing");
        ck_assert_int_eq(calls_take(9, LEASE, &list), 1);
        ck_assert_str_eq(TAKEN(list, 0)->recipient, texts[i]);
        ck_assert_uint_eq(TAKEN(list, 0)->payload.len, 0);
        ck_assert_ptr_nonnull(TAKEN(list, 0)->payload.data);
    }
}
END_TEST

/* Asks for a lease. */
static store_result_e lease(const char *name, const char *holder, apr_interval_time_t span)
{
    store_result_e result;

    ck_assert_int_eq(
        store_lease(calls.store, calls.service, name, holder, span, &result, calls.p),
        APR_SUCCESS);
    return result;
}

START_TEST(leases)
{
    int removed;

    OPEN();
    ck_assert_int_eq(lease("work {a}:'", "a", LEASE), STORE_OK);
    ck_assert_int_eq(lease("work {a}:'", "a", MS(60)), STORE_OK);
    ck_assert_int_eq(lease("work {a}:'", "b", LEASE), STORE_BUSY);
    ck_assert_int_eq(lease("work {a}:'", "b", 0), STORE_BUSY);
    ck_assert_int_eq(lease("other", "b", LEASE), STORE_OK);
    ck_assert_int_eq(lease("other", "a", LEASE), STORE_BUSY);
    apr_sleep(MS(90));
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 9, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(lease("work {a}:'", "b", LEASE), STORE_OK);
    ck_assert_int_eq(lease("work {a}:'", "a", LEASE), STORE_BUSY);
    ck_assert_int_eq(lease("work {a}:'", "b", 0), STORE_OK);
    ck_assert_int_eq(lease("work {a}:'", "b", 0), STORE_OK);
    ck_assert_int_eq(lease("work {a}:'", "a", LEASE), STORE_OK);
    ck_assert_int_eq(lease("other", "a", LEASE), STORE_BUSY);
    calls.service = apr_pstrcat(calls.p, calls.service, "-2", NULL);
    ck_assert_int_eq(lease("other", "a", LEASE), STORE_OK);
}
END_TEST

/* One process: takes news, two at a time, until there are none, and asks for a lease. */
static void race(race_t *shared, int me)
{
    apr_array_header_t *list;
    store_result_e result;
    apr_pool_t *pool;
    int i;

    apr_pool_create(&pool, NULL);
    if (store_child_init(calls.store, pool) != APR_SUCCESS)
        _exit(1);
    while (!shared->go)
        apr_sleep(500);
    if (store_lease(calls.store, calls.service, "work", apr_psprintf(pool, "host %d", me), LEASE,
                    &result, pool) != APR_SUCCESS)
        __sync_fetch_and_add(&shared->errors, 1);
    else if (result == STORE_OK)
        __sync_fetch_and_add(&shared->leases, 1);
    do {
        if (store_take(calls.store, calls.service, 2, LEASE, &list, pool) != APR_SUCCESS) {
            __sync_fetch_and_add(&shared->errors, 1);
            break;
        }
        for (i = 0; i < list->nelts; i++) {
            int n = (int)strtol(TAKEN(list, i)->id + 48, NULL, 16) - 5000;

            __sync_fetch_and_add(&shared->taken[n], 1);
            if (store_settle(calls.store, calls.service, TAKEN(list, i)->id, TAKEN(list, i)->fence,
                             STORE_NEWS_DONE, 0, &result, pool) != APR_SUCCESS ||
                result != STORE_OK)
                __sync_fetch_and_add(&shared->errors, 1);
        }
    } while (list->nelts);
    _exit(0);
}

START_TEST(each_is_given_to_one)
{
    store_trail_t trail;
    pid_t pids[RACERS];
    race_t *shared;
    int i;

    OPEN();
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (i = 0; i < RACE_NEWS; i += 4) {
        trail = calls_trail("r", i, 4);
        ck_assert_int_eq(calls_claim(i, 0, i, LEASE), STORE_CLAIMED);
        ck_assert_int_eq(calls_commit_with(i, 1, &trail), STORE_OK);
    }
    for (i = 0; i < RACERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            race(shared, i);
    }
    shared->go = 1;
    for (i = 0; i < RACERS; i++)
        waitpid(pids[i], NULL, 0);
    ck_assert_int_eq(shared->errors, 0);
    ck_assert_int_eq(shared->leases, 1);
    for (i = 0; i < RACE_NEWS; i++)
        ck_assert_int_eq(shared->taken[i], 1);
    ck_assert_int_eq(calls_news_count(), 0);
    ck_assert_str_eq(calls_records("processing", 9), "");
}
END_TEST

/* Checks that a changed trail is refused by each call. */
#define CHECK_TRAIL(change)                                                                       \
    do {                                                                                          \
        trail = calls_trail("r", 1, 2);                                                           \
        change;                                                                                   \
        result = STORE_OK;                                                                        \
        ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1001), 1, &cert, "",   \
                                      KEEP, &trail, &result, calls.p),                            \
                         APR_EINVAL);                                                             \
        ck_assert_int_eq(result, STORE_FENCED);                                                   \
        ck_assert_int_eq(store_fail(calls.store, calls.service, calls_id(1001), 1,                \
                                    STORE_BLAME_NOBODY, "", KEEP, &trail, &result, calls.p),      \
                         APR_EINVAL);                                                             \
        ck_assert_int_eq(store_pend(calls.store, calls.service, calls_id(1001), 1, &pend, &trail, \
                                    &result, calls.p),                                            \
                         APR_EINVAL);                                                             \
    } while (0)
#define CHECK_TAKE(max, span)                                                                     \
    ck_assert_int_eq(store_take(calls.store, calls.service, max, span, &list, calls.p), APR_EINVAL)
#define CHECK_SETTLE(id, fence, how, span)                                                        \
    ck_assert_int_eq(                                                                             \
        store_settle(calls.store, calls.service, id, fence, how, span, &result, calls.p),         \
        APR_EINVAL)
#define CHECK_LEASE(name, holder, span)                                                           \
    ck_assert_int_eq(                                                                             \
        store_lease(calls.store, calls.service, name, holder, span, &result, calls.p),            \
        APR_EINVAL)

START_TEST(wrong_arguments)
{
    store_pend_t pend = calls_make_pend(0, KEEP);
    apr_array_header_t *list;
    store_result_e result;
    store_trail_t trail;
    crypt_buf_t cert;
    apr_time_t oldest;
    char *big;
    int n;

    OPEN();
    cert = calls_certificate(1);
    big = apr_pcalloc(calls.p, STORE_LONG_TEXT_MAX + 2);
    memset(big, 'a', STORE_LONG_TEXT_MAX + 1);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    CHECK_TRAIL(trail.record = NULL);
    CHECK_TRAIL(trail.record = big);
    CHECK_TRAIL(trail.nnews = -1);
    CHECK_TRAIL(trail.nnews = STORE_NEWS_PER_TX + 1);
    CHECK_TRAIL(trail.news_lifetime = 0);
    CHECK_TRAIL(calls_news[1].id = NULL);
    CHECK_TRAIL(calls_news[1].id = calls_half(1));
    CHECK_TRAIL(calls_news[1].id = big);
    CHECK_TRAIL(calls_news[1].recipient = "");
    CHECK_TRAIL(calls_news[1].recipient = NULL);
    CHECK_TRAIL(calls_news[1].recipient = big);
    CHECK_TRAIL(calls_news[1].payload.data = NULL);
    CHECK_TRAIL(calls_news[1].payload.len = STORE_NEWS_MAX + 1);
    CHECK_TAKE(0, LEASE);
    CHECK_TAKE(1, 0);
    CHECK_SETTLE(NULL, 1, STORE_NEWS_DONE, 0);
    CHECK_SETTLE("5001", 1, STORE_NEWS_DONE, 0);
    CHECK_SETTLE(calls_id(5001), 0, STORE_NEWS_DONE, 0);
    CHECK_SETTLE(calls_id(5001), 1, STORE_NEWS_AGAIN, -1);
    CHECK_SETTLE(calls_id(5001), 1, (store_settle_e)4, 0);
    ck_assert_int_eq(result, STORE_NOTFOUND);
    CHECK_LEASE("", "a", LEASE);
    CHECK_LEASE(NULL, "a", LEASE);
    CHECK_LEASE(big, "a", LEASE);
    CHECK_LEASE("n", "", LEASE);
    CHECK_LEASE("n", NULL, LEASE);
    CHECK_LEASE("n", big, LEASE);
    CHECK_LEASE("n", "a", -1);
    ck_assert_int_eq(result, STORE_BUSY);
    ck_assert_int_eq(store_records(calls.store, calls.service, "", 0, &list, calls.p), APR_EINVAL);
    ck_assert_int_eq(store_records(calls.store, calls.service, NULL, 1, &list, calls.p),
                     APR_EINVAL);
    ck_assert_int_eq(store_outbox(calls.store, "a b", &n, &oldest, calls.p), APR_EINVAL);
    ck_assert_int_eq(calls_news_count(), 0);
}
END_TEST

Suite *test_store_outbox_suite(void)
{
    Suite *suite = suite_create("test_store_outbox");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, denial, 0, KIND_COUNT);
    tcase_add_loop_test(all, news_are_taken_and_settled, 0, KIND_COUNT);
    tcase_add_loop_test(all, longest_due_first, 0, KIND_COUNT);
    tcase_add_loop_test(all, in_order, 0, KIND_COUNT);
    tcase_add_loop_test(all, in_order_after_a_loss, 0, KIND_COUNT);
    tcase_add_loop_test(all, waits_and_leases_end, 0, KIND_COUNT);
    tcase_add_loop_test(all, late_news_are_given_once_more, 0, KIND_COUNT);
    tcase_add_loop_test(all, repeats_leave_nothing_twice, 0, KIND_COUNT);
    tcase_add_loop_test(all, what_is_full_leaves_nothing, 0, KIND_COUNT);
    tcase_add_loop_test(all, news_outlive_their_transaction, 0, KIND_COUNT);
    tcase_add_loop_test(all, what_nobody_takes_goes, 0, KIND_COUNT);
    tcase_add_loop_test(all, large_news_come_in_portions, 0, KIND_COUNT);
    tcase_add_loop_test(all, hostile_news, 0, KIND_COUNT);
    tcase_add_loop_test(all, leases, 0, KIND_COUNT);
    tcase_add_loop_test(all, wrong_arguments, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}

/* Apart: valgrind takes what the processes of a race leave for leaks. */
Suite *test_store_outbox_race_suite(void)
{
    Suite *suite = suite_create("test_store_outbox_race");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, each_is_given_to_one, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}
