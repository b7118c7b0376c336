/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of stores: records of transactions, and lists of them by their state; and
 * news that are given back untried, which leave them as they are.  Each test runs once per kind of
 * store.
 */
#include "store_calls.h"
#include <apr_strings.h>
#include <string.h>

Suite *test_store_record_suite(void);

START_TEST(records_by_state)
{
    apr_array_header_t *list;
    store_trail_t trail;
    int t;

    OPEN();
    for (t = 1; t <= 4; t++) {
        trail = calls_trail(apr_psprintf(calls.p, "r%d", t), t, t > 1);
        ck_assert_int_eq(calls_claim(t, 0, t, LEASE), STORE_CLAIMED);
        ck_assert_int_eq(t == 4 ? calls_fail_with(t, 1, &trail) : calls_commit_with(t, 1, &trail),
                         STORE_OK);
        apr_sleep(MS(3));
    }
    ck_assert_int_eq(calls_claim(5, 0, 5, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(5, 1), STORE_OK);
    ck_assert_str_eq(calls_records("", 9), "tid-4 tid-3 tid-2 tid-1 ");
    ck_assert_str_eq(calls_records("", 2), "tid-4 tid-3 ");
    ck_assert_str_eq(calls_records("processing", 9), "tid-4 tid-3 tid-2 ");
    ck_assert_str_eq(calls_records("succeed", 9), "tid-1 ");
    ck_assert_str_eq(calls_records("failed", 9), "");
    ck_assert_str_eq(calls_records("other", 9), "");
    ck_assert_int_eq(calls_take(9, LEASE, &list), 3);
    ck_assert_int_eq(calls_settle(3, 1, STORE_NEWS_LOST, 0), STORE_OK);
    apr_sleep(MS(3));
    ck_assert_int_eq(calls_settle(2, 1, STORE_NEWS_DONE, 0), STORE_OK);
    ck_assert_str_eq(calls_records("", 9), "tid-2 tid-3 tid-4 tid-1 ");
    ck_assert_str_eq(calls_records("processing", 9), "tid-4 ");
    ck_assert_str_eq(calls_records("succeed", 9), "tid-2 tid-1 ");
    ck_assert_str_eq(calls_records("failed", 9), "tid-3 ");
    ck_assert_int_eq(calls_claim(4, 0, 9, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.record, "r4");
    ck_assert_int_eq(calls_commit_with(4, 2, NULL), STORE_OK);
    calls_check_record(4, "r4", "processing");
    calls.service = "other";
    ck_assert_str_eq(calls_records("", 9), "");
}
END_TEST

START_TEST(a_new_record_forgets_what_was_lost)
{
    apr_array_header_t *list;
    store_trail_t trail;

    OPEN();
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    trail = calls_trail("first", 1, 1);
    ck_assert_int_eq(calls_fail_with(1, 1, &trail), STORE_OK);
    ck_assert_int_eq(calls_take(9, LEASE, &list), 1);
    ck_assert_int_eq(calls_settle(1, 1, STORE_NEWS_LOST, 0), STORE_OK);
    calls_check_record(1, "first", "failed");
    ck_assert_int_eq(calls_claim(1, 0, 2, LEASE), STORE_CLAIMED);
    trail = calls_trail("second", 2, 0);
    ck_assert_int_eq(calls_commit_with(1, 2, &trail), STORE_OK);
    calls_check_record(1, "second", "succeed");
    ck_assert_str_eq(calls_records("failed", 9), "");
    ck_assert_str_eq(calls_records("succeed", 9), "tid-1 ");
}
END_TEST

START_TEST(records_go_with_their_transaction)
{
    store_result_e result;
    store_trail_t trail;
    int removed, t;

    OPEN();
    trail = calls_trail("r", 0, 0);
    for (t = 1; t <= 3; t++) {
        store_claim_t c = calls_make_claim(t, 0, t, MS(20));

        c.retention = MS(20);
        ck_assert_int_eq(calls_send(&c), STORE_CLAIMED);
        ck_assert_int_eq(store_fail(calls.store, calls.service, c.tx_key, 1, STORE_BLAME_NOBODY,
                                    "", t == 3 ? KEEP : MS(60), &trail, &result, calls.p),
                         APR_SUCCESS);
        apr_sleep(MS(2));
    }
    ck_assert_int_eq(calls_claim(2, 0, 4, LEASE), STORE_CLAIMED);
    apr_sleep(MS(90));
    ck_assert_str_eq(calls_records("", 9), "tid-3 tid-2 ");
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 100, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(removed, 1);
    ck_assert_str_eq(calls_records("succeed", 9), "tid-3 tid-2 ");
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 100, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(removed, 0);
}
END_TEST

START_TEST(long_records)
{
    store_trail_t trail;
    apr_array_header_t *list;
    char *record;
    int t;

    OPEN();
    record = apr_palloc(calls.p, STORE_LONG_TEXT_MAX + 1);
    memset(record, '"', STORE_LONG_TEXT_MAX);
    record[STORE_LONG_TEXT_MAX] = '\0';
    trail = calls_trail(record, 0, 0);
    for (t = 0; t < 90; t++) {
        ck_assert_int_eq(calls_claim(t, 0, t, LEASE), STORE_CLAIMED);
        ck_assert_int_eq(calls_commit_with(t, 1, &trail), STORE_OK);
    }
    ck_assert_int_eq(store_records(calls.store, calls.service, "", 1000, &list, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 90);
    ck_assert_int_eq(store_records(calls.store, calls.service, "succeed", 85, &list, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 85);
    ck_assert_str_eq(APR_ARRAY_IDX(list, 84, store_tx_t *)->record, record);
}
END_TEST

/* Given back untried: the take does not count, and the holder holds them no longer. */
START_TEST(untried)
{
    apr_array_header_t *list;
    store_trail_t trail;
    int i;

    OPEN();
    trail = calls_trail("r", 1, 1);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit_with(1, 1, &trail), STORE_OK);
    for (i = 1; i <= 5; i += 2) {
        ck_assert_int_eq(calls_take(1, LEASE, &list), 1);
        ck_assert_int_eq(TAKEN(list, 0)->fence, i);
        ck_assert_int_eq(TAKEN(list, 0)->tries, 1);
        ck_assert_int_eq(calls_settle(1, i, STORE_NEWS_UNTRIED, 0), STORE_OK);
        ck_assert_int_eq(calls_settle(1, i, STORE_NEWS_UNTRIED, 0), STORE_FENCED);
    }
    ck_assert_int_eq(calls_take(1, LEASE, &list), 1);
    ck_assert_int_eq(calls_settle(1, 7, STORE_NEWS_UNTRIED, LEASE), STORE_OK);
    ck_assert_int_eq(calls_take(1, LEASE, &list), 0);
    calls_check_record(1, "r", "processing");
}
END_TEST

Suite *test_store_record_suite(void)
{
    Suite *suite = suite_create("test_store_record");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, records_by_state, 0, KIND_COUNT);
    tcase_add_loop_test(all, a_new_record_forgets_what_was_lost, 0, KIND_COUNT);
    tcase_add_loop_test(all, records_go_with_their_transaction, 0, KIND_COUNT);
    tcase_add_loop_test(all, long_records, 0, KIND_COUNT);
    tcase_add_loop_test(all, untried, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}
