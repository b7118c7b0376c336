/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of stores, fourth part: counters of failed challenges, caps of callers.
 * Each test runs once per kind of store.
 */
#include "store_calls.h"
#include <apr_strings.h>
#include <string.h>

Suite *test_store_limit_suite(void);

#define NAME "from 192.0.2.1 {a}:%s '"

/* Claims with a limit of its own for transaction t. */
static store_result_e claim(int t, int n, int nonce, const char *name, int max,
                            apr_interval_time_t window)
{
    store_claim_t c = calls_make_claim(t, n, nonce, LEASE);

    c.limit[0].name = name;
    c.limit[0].max = max;
    c.limit_window = window;
    return calls_send(&c);
}

START_TEST(limit_is_exact)
{
    OPEN();
    calls_issue(1, LIFE, 1, 1, 0);
    ck_assert_int_eq(claim(1, 7, 1, NAME, 2, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(2, 7, 2, NAME, 2, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(3, 7, 3, NAME, 2, LEASE), STORE_LIMITED);
    ck_assert(calls.tx.wait > 0 && calls.tx.wait <= LEASE);
    ck_assert_str_eq(calls.tx.tx_key, "");
    ck_assert_int_eq(claim(3, 1, 4, NAME, 2, LEASE), STORE_LIMITED);
    ck_assert_int_eq(calls_find(3), STORE_NOTFOUND);
    ck_assert_int_eq(claim(3, 7, 5, NAME, 3, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(3, 1, 6, "other", 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(claim(4, 0, 7, NAME, 2, LEASE), STORE_LIMITED);
    ck_assert_int_eq(claim(4, 0, 7, "other", 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(claim(5, 7, 8, NAME, 0, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(5, 7, 8, NULL, 2, 0), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(5, 7, 8, "", 2, 0), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(5, 7, 9, NAME, 4, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(5, 7, 9, NAME, 4, LEASE), STORE_LIMITED);
}
END_TEST

START_TEST(known_transactions_are_not_limited)
{
    store_pend_t pend = calls_make_pend(LEASE, KEEP);

    OPEN();
    calls_issue(1, LIFE, 0, 0, 0);
    ck_assert_int_eq(claim(1, 1, 1, NAME, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(claim(2, 1, 2, NAME, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(claim(3, 1, 3, NAME, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(3, 1, &pend), STORE_OK);
    ck_assert_int_eq(claim(4, 1, 4, NAME, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail(4, 1, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(claim(5, 7, 5, NAME, 1, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(6, 1, 6, NAME, 1, LEASE), STORE_LIMITED);
    ck_assert_int_eq(claim(1, 1, 7, NAME, 1, LEASE), STORE_ISSUED);
    ck_assert_int_eq(claim(2, 1, 2, NAME, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(claim(2, 1, 8, NAME, 1, LEASE), STORE_BUSY);
    ck_assert_int_eq(claim(3, 1, 9, NAME, 1, LEASE), STORE_PENDING);
    ck_assert_int_eq(claim(4, 1, 10, NAME, 1, LEASE), STORE_CLAIMED);
}
END_TEST

START_TEST(what_counts)
{
    OPEN();
    calls_issue(1, MS(20), 1, 1, 0);
    calls_issue(2, LIFE, 1, 1, 0);
    calls_issue(3, LIFE, 1, 1, 0);
    calls_issue(4, LIFE, 1, 1, 0);
    ck_assert_int_eq(claim(1, 2, 1, NAME, 5, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(claim(2, 3, 2, NAME, 5, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail(2, 1, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(claim(3, 4, 3, NAME, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(claim(4, 4, 4, NAME, 1, LEASE), STORE_BUSY);
    ck_assert_int_eq(calls_pend(3, 1, LEASE), STORE_OK);
    ck_assert_int_eq(claim(4, 4, 4, NAME, 1, LEASE), STORE_HELD);
    apr_sleep(MS(40));
    ck_assert_int_eq(claim(5, 1, 5, NAME, 1, LEASE), STORE_EXPIRED);
    ck_assert_int_eq(claim(5, 2, 5, NAME, 1, LEASE), STORE_LIMITED);
    ck_assert_int_eq(claim(5, 2, 6, NAME, 2, LEASE), STORE_USED);
    ck_assert_int_eq(claim(5, 3, 7, NAME, 3, LEASE), STORE_MISMATCH);
    ck_assert_int_eq(claim(5, 9, 7, NAME, 4, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(5, 9, 8, NAME, 4, LEASE), STORE_LIMITED);
    ck_assert_int_eq(claim(2, 3, 9, NAME, 4, LEASE), STORE_MISMATCH);
    ck_assert_int_eq(claim(6, 9, 9, NAME, 6, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(6, 9, 9, NAME, 6, LEASE), STORE_LIMITED);
}
END_TEST

START_TEST(counted_from_outside)
{
    store_claim_t limits;

    OPEN();
    memset(&limits, 0, sizeof(limits));
    limits.limit[0].name = NAME;
    limits.limit[0].max = 3;
    limits.limit[1].name = "service";
    limits.limit[1].max = 0;
    limits.limit_window = LEASE;
    ck_assert_int_eq(store_count(calls.store, calls.service, &limits, calls.p), APR_SUCCESS);
    ck_assert_int_eq(claim(1, 7, 1, NAME, 3, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(store_count(calls.store, calls.service, &limits, calls.p), APR_SUCCESS);
    ck_assert_int_eq(claim(1, 7, 2, NAME, 3, LEASE), STORE_LIMITED);
    ck_assert_int_eq(claim(1, 7, 2, "service", 1, LEASE), STORE_NOCHALLENGE);
    memset(&limits.limit[0], 0, sizeof(limits.limit[0]));
    ck_assert_int_eq(store_count(calls.store, calls.service, &limits, calls.p), APR_SUCCESS);
    limits.limit[0].name = NAME;
    limits.limit[0].max = -1;
    ck_assert_int_eq(store_count(calls.store, calls.service, &limits, calls.p), APR_EINVAL);
    limits.limit[0].max = 1;
    limits.limit_window = 0;
    ck_assert_int_eq(store_count(calls.store, calls.service, &limits, calls.p), APR_EINVAL);
}
END_TEST

START_TEST(window_is_fixed)
{
    OPEN();
    ck_assert_int_eq(claim(1, 7, 1, NAME, 2, MS(300)), STORE_NOCHALLENGE);
    apr_sleep(MS(200));
    ck_assert_int_eq(claim(1, 7, 2, NAME, 2, MS(300)), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(1, 7, 3, NAME, 2, MS(300)), STORE_LIMITED);
    ck_assert(calls.tx.wait > 0 && calls.tx.wait <= MS(100));
    apr_sleep(MS(120));
    ck_assert_int_eq(claim(1, 7, 4, NAME, 2, MS(300)), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(1, 7, 5, NAME, 2, MS(300)), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(1, 7, 6, NAME, 2, MS(300)), STORE_LIMITED);
    ck_assert(calls.tx.wait > MS(100));
}
END_TEST

START_TEST(two_limits)
{
    store_claim_t c;
    int i;

    OPEN();
    ck_assert_int_eq(claim(1, 7, 1, "b", 9, LEASE), STORE_NOCHALLENGE);
    for (i = 0; i < 3; i++) {
        c = calls_make_claim(1, 7, i, LEASE);
        c.limit[0].name = "a";
        c.limit[0].max = 9;
        c.limit[1].name = "b";
        c.limit[1].max = 3;
        c.limit_window = KEEP;
        ck_assert_int_eq(calls_send(&c), i < 2 ? STORE_NOCHALLENGE : STORE_LIMITED);
    }
    ck_assert(calls.tx.wait <= LEASE);
    ck_assert_int_eq(claim(1, 7, 5, "a", 2, LEASE), STORE_LIMITED);
    ck_assert(calls.tx.wait > LEASE);
    c.limit[0].max = 2;
    ck_assert_int_eq(calls_send(&c), STORE_LIMITED);
    ck_assert(calls.tx.wait > LEASE);
    calls.service = apr_pstrcat(calls.p, calls.service, "-other", NULL);
    ck_assert_int_eq(calls_send(&c), STORE_NOCHALLENGE);
}
END_TEST

START_TEST(counters_are_swept)
{
    int i, removed;

    OPEN();
    for (i = 0; i < 20; i++)
        ck_assert_int_eq(claim(i, 7, i, apr_itoa(calls.p, i), 2, MS(i < 10 ? 900 : 600000)),
                         STORE_NOCHALLENGE);
    apr_sleep(MS(1000));
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 4, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(removed, _i == KIND_SQLITE ? 4 : 0);
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 1000, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(removed, _i == KIND_SQLITE ? 6 : 0);
    ck_assert_int_eq(claim(1, 7, 31, "15", 2, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(1, 7, 32, "15", 2, LEASE), STORE_LIMITED);
}
END_TEST

START_TEST(wrong_limits)
{
    char *longest;
    store_result_e result;
    store_claim_t c;

    OPEN();
    longest = apr_pcalloc(calls.p, STORE_TEXT_MAX + 2);
    memset(longest, '\xff', STORE_TEXT_MAX);
    ck_assert_int_eq(claim(1, 7, 1, longest, 1, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(claim(1, 7, 2, longest, 1, LEASE), STORE_LIMITED);
    longest[STORE_TEXT_MAX] = 'x';
    c = calls_make_claim(1, 7, 1, LEASE);
    c.limit[1].name = longest;
    c.limit[1].max = 1;
    c.limit_window = LEASE;
    ck_assert_int_eq(store_claim(calls.store, calls.service, &c, &result, &calls.tx, calls.p),
                     APR_EINVAL);
    c.limit[1].name = "x";
    c.limit[1].max = -1;
    ck_assert_int_eq(store_claim(calls.store, calls.service, &c, &result, &calls.tx, calls.p),
                     APR_EINVAL);
    c.limit[1].max = 1;
    c.limit_window = 0;
    ck_assert_int_eq(store_claim(calls.store, calls.service, &c, &result, &calls.tx, calls.p),
                     APR_EINVAL);
}
END_TEST

/* Issues challenge n for a caller who may have max. */
static store_result_e issue_for(const char *caller, int n, apr_interval_time_t life, int max)
{
    store_challenge_t ch = calls_challenge(n, life, 1, 1);
    store_result_e result;

    ch.caller = caller;
    ch.caller_max = max;
    ck_assert_msg(store_issue(calls.store, calls.service, &ch, 0, &result, &calls.outstanding,
                              &calls.free_in, calls.p) == APR_SUCCESS,
                  "%s", store_error(calls.p));
    return result;
}

START_TEST(callers_have_a_cap)
{
    OPEN();
    ck_assert_int_eq(issue_for("a", 1, LIFE, 2), STORE_OK);
    ck_assert_int_eq(issue_for("a", 2, MS(150), 2), STORE_OK);
    ck_assert_int_eq(issue_for("a", 3, LIFE, 2), STORE_CALLERFULL);
    ck_assert(calls.free_in > 0 && calls.free_in <= MS(150));
    ck_assert_int_eq(calls.outstanding, 2);
    ck_assert_int_eq(issue_for("a", 1, LIFE, 2), STORE_OK); /* the same call again */
    ck_assert_int_eq(issue_for("b", 4, LIFE, 2), STORE_OK);
    ck_assert_int_eq(issue_for("a", 5, LIFE, 0), STORE_OK);
    ck_assert_int_eq(issue_for("a", 3, LIFE, 3), STORE_OK);
    ck_assert_int_eq(issue_for("a", 6, LIFE, 3), STORE_CALLERFULL);
    apr_sleep(MS(180));
    ck_assert_int_eq(issue_for("a", 6, LIFE, 3), STORE_OK);
    ck_assert_int_eq(issue_for("a", 7, LIFE, 3), STORE_CALLERFULL);
    ck_assert(calls.free_in > MS(500000) && calls.free_in <= LIFE);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(issue_for("a", 7, LIFE, 3), STORE_CALLERFULL);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(issue_for("a", 7, LIFE, 3), STORE_OK);
    ck_assert_int_eq(issue_for("a", 8, LIFE, 3), STORE_CALLERFULL);
    ck_assert_int_eq(calls_revoke(7), STORE_OK);
    ck_assert_int_eq(issue_for("a", 8, LIFE, 3), STORE_OK);
    ck_assert_int_eq(calls_claim(3, 3, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail(3, 1, STORE_BLAME_NOBODY), STORE_OK);
    ck_assert_int_eq(issue_for("a", 9, LIFE, 3), STORE_CALLERFULL);
    ck_assert_int_eq(calls_claim(3, 3, 3, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail(3, 2, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(issue_for("a", 9, LIFE, 3), STORE_OK);
    ck_assert_int_eq(issue_for("", 10, LIFE, 1), STORE_OK);
    ck_assert_int_eq(issue_for("", 11, LIFE, 1), STORE_CALLERFULL);
}
END_TEST

START_TEST(a_denied_challenge_leaves_the_cap)
{
    OPEN();
    ck_assert_int_eq(issue_for("a", 1, LIFE, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(1, 1, MS(1)), STORE_OK);
    ck_assert_int_eq(issue_for("a", 2, LIFE, 1), STORE_CALLERFULL);
    ck_assert_int_eq(calls_decide(1, 0, KEEP), STORE_OK);
    ck_assert_int_eq(issue_for("a", 2, LIFE, 1), STORE_OK);
}
END_TEST

Suite *test_store_limit_suite(void)
{
    Suite *suite = suite_create("test_store_limit");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, limit_is_exact, 0, KIND_COUNT);
    tcase_add_loop_test(all, known_transactions_are_not_limited, 0, KIND_COUNT);
    tcase_add_loop_test(all, what_counts, 0, KIND_COUNT);
    tcase_add_loop_test(all, counted_from_outside, 0, KIND_COUNT);
    tcase_add_loop_test(all, window_is_fixed, 0, KIND_COUNT);
    tcase_add_loop_test(all, two_limits, 0, KIND_COUNT);
    tcase_add_loop_test(all, counters_are_swept, 0, KIND_COUNT);
    tcase_add_loop_test(all, wrong_limits, 0, KIND_COUNT);
    tcase_add_loop_test(all, callers_have_a_cap, 0, KIND_COUNT);
    tcase_add_loop_test(all, a_denied_challenge_leaves_the_cap, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}
