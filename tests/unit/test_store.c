/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of stores, first part: the life of challenges and transactions as store.h
 * promises it.  Each test runs once per kind of store (store_fixture.h), in a service of its own.
 */
#include "store_calls.h"
#include <string.h>

Suite *test_store_suite(void);

START_TEST(whole_life)
{
    OPEN();
    ck_assert_int_eq(calls_issue(1, LIFE, 1, 3, 0), STORE_OK);
    ck_assert_int_eq(calls.outstanding, 1);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.state, "inflight");
    ck_assert_int_eq(calls.tx.fence, 1);
    ck_assert_str_eq(calls.tx.serial, calls_half(4001));
    ck_assert_int_eq(apr_time_sec(calls.tx.not_before), 1700000001);
    ck_assert_str_eq(calls.tx.transaction_id, "tid-1");
    ck_assert_str_eq(calls.tx.subject, "CN=device");
    ck_assert_str_eq(calls.tx.template_name, "Device");
    ck_assert_str_eq(calls.tx.client, "192.0.2.1");
    ck_assert_str_eq(calls.tx.csr_digest, calls_id(3001));
    ck_assert_str_eq(calls.tx.challenge_id, calls_id(1));
    ck_assert_str_eq(calls.tx.challenge.caller, "mdm");
    ck_assert_str_eq(calls.tx.challenge.template_name, "Device");
    ck_assert_str_eq(calls.tx.challenge.bound, "{}");
    ck_assert_int_eq(calls.tx.challenge.uses, 1);
    ck_assert_int_eq(calls.tx.challenge.attempts, 3);
    ck_assert(calls.tx.challenge.expires - calls.tx.challenge.issued == LIFE);
    ck_assert(calls.tx.created > 0 && calls.tx.updated >= calls.tx.created);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 1, 2, LEASE), STORE_ISSUED);
    calls_check_certificate(1);
    ck_assert_str_eq(calls.tx.serial, calls_half(4001));
    ck_assert_int_eq(calls_claim(2, 1, 3, LEASE), STORE_USED);
    ck_assert_int_eq(calls_issue(2, LIFE, 1, 3, 0), STORE_OK);
    ck_assert_int_eq(calls.outstanding, 1);
}
END_TEST

START_TEST(repeats_give_the_same)
{
    store_challenge_t ch;
    store_result_e result;
    apr_time_t issued;

    OPEN();
    ch = calls_challenge(1, LIFE, 1, 1);
    ck_assert_int_eq(store_issue(calls.store, calls.service, &ch, 1, &result, &calls.outstanding,
                                 &calls.free_in, calls.p),
                     APR_SUCCESS);
    issued = ch.issued;
    ck_assert(issued > 0 && ch.expires == issued + LIFE);
    ck_assert_int_eq(store_issue(calls.store, calls.service, &ch, 1, &result, &calls.outstanding,
                                 &calls.free_in, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_OK);
    ck_assert(ch.issued == issued);
    ck_assert_int_eq(calls.outstanding, 1);
    ch.caller = "another";
    ck_assert_int_eq(store_issue(calls.store, calls.service, &ch, 1, &result, &calls.outstanding,
                                 &calls.free_in, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_EXISTS);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 1);
    ck_assert_str_eq(calls.tx.challenge.caller, "mdm");
    ck_assert_int_eq(calls_pend(1, 1, 0), STORE_OK);
    ck_assert_int_eq(calls_pend(1, 1, 0), STORE_OK);
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_NOBODY), STORE_OK);
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_NOBODY), STORE_OK);
    ck_assert_int_eq(calls_commit(1, 1), STORE_FENCED);
    ck_assert_int_eq(calls_pend(1, 1, 0), STORE_FENCED);
    ck_assert_int_eq(calls_claim(1, 1, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 2);
    ck_assert_str_eq(calls.tx.serial, calls_half(4002));
    ck_assert_int_eq(calls_commit(1, 2), STORE_OK);
    ck_assert_int_eq(calls_commit(1, 2), STORE_OK);
    ck_assert_int_eq(calls_fail(1, 2, STORE_BLAME_DEVICE), STORE_FENCED);
    ck_assert_int_eq(calls_pend(1, 2, 0), STORE_FENCED);
    ck_assert_int_eq(calls_claim(1, 1, 3, LEASE), STORE_ISSUED);
    ck_assert_int_eq(calls_issue(1, LIFE, 1, 1, 0), STORE_EXISTS);
}
END_TEST

START_TEST(a_blamed_failure_counts_once)
{
    OPEN();
    calls_issue(1, LIFE, 1, 2, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(calls_claim(2, 1, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail(2, 1, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(calls_claim(3, 1, 3, LEASE), STORE_MISMATCH);
    ck_assert_int_eq(calls_claim(2, 1, 4, LEASE), STORE_MISMATCH);
    calls_issue(2, LIFE, 1, 0, 0);
    ck_assert_int_eq(calls.outstanding, 1);
    ck_assert_int_eq(calls_claim(4, 2, 5, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail(4, 1, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(calls_claim(4, 2, 6, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_find(2), STORE_OK);
    ck_assert_str_eq(calls.tx.state, "failed");
    ck_assert_str_eq(calls.tx.reason, "test-reason");
}
END_TEST

START_TEST(unblamed_failure_frees_at_once)
{
    OPEN();
    calls_issue(1, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(2, 1, 2, LEASE), STORE_BUSY);
    ck_assert(calls.tx.wait > 0 && calls.tx.wait <= LEASE);
    ck_assert_int_eq(calls_claim(1, 1, 3, LEASE), STORE_BUSY);
    ck_assert(calls.tx.wait > 0 && calls.tx.wait <= LEASE);
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_NOBODY), STORE_OK);
    ck_assert_int_eq(calls_claim(2, 1, 4, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(2, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 1, 5, LEASE), STORE_USED);
}
END_TEST

START_TEST(lease_end_takes_over)
{
    OPEN();
    calls_issue(1, LIFE, 1, 3, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, MS(60)), STORE_CLAIMED);
    apr_sleep(MS(90));
    ck_assert_int_eq(calls_claim(1, 1, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 2);
    ck_assert_str_eq(calls.tx.serial, calls_half(4001));
    ck_assert_int_eq(apr_time_sec(calls.tx.not_before), 1700000001);
    ck_assert_int_eq(calls_commit(1, 1), STORE_FENCED);
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_DEVICE), STORE_FENCED);
    ck_assert_int_eq(calls_pend(1, 1, 0), STORE_FENCED);
    ck_assert_int_eq(calls_commit(1, 2), STORE_OK);
}
END_TEST

START_TEST(a_failure_ends_the_reservation)
{
    OPEN();
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_NOBODY), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 0, 2, MS(40)), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.serial, calls_half(4002));
    ck_assert_int_eq(apr_time_sec(calls.tx.not_before), 1700000002);
    ck_assert_int_eq(calls_find(1), STORE_OK);
    ck_assert_str_eq(calls.tx.serial, calls_half(4002));
    apr_sleep(MS(70));
    ck_assert_int_eq(calls_claim(1, 0, 3, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 3);
    ck_assert_str_eq(calls.tx.serial, calls_half(4002));
    ck_assert_int_eq(apr_time_sec(calls.tx.not_before), 1700000002);
    ck_assert_int_eq(calls_commit(1, 3), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 0, 4, LEASE), STORE_ISSUED);
    ck_assert_str_eq(calls.tx.serial, calls_half(4002));
}
END_TEST

START_TEST(late_commit_without_rival_counts)
{
    OPEN();
    calls_issue(1, LIFE, 1, 3, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, MS(40)), STORE_CLAIMED);
    apr_sleep(MS(70));
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(2, 1, 2, LEASE), STORE_USED);
}
END_TEST

START_TEST(dead_holder_gives_way)
{
    OPEN();
    calls_issue(1, LIFE, 1, 3, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, MS(60)), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(2, 1, 2, LEASE), STORE_BUSY);
    apr_sleep(MS(90));
    ck_assert_int_eq(calls_claim(2, 1, 3, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 1);
    ck_assert_int_eq(calls_commit(1, 1), STORE_FENCED);
    ck_assert_int_eq(calls_claim(1, 1, 4, LEASE), STORE_BUSY);
    ck_assert_int_eq(calls_commit(2, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 1, 5, LEASE), STORE_USED);
}
END_TEST

START_TEST(several_uses_are_exact)
{
    OPEN();
    calls_issue(1, LIFE, 3, 9, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, MS(60)), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(2, 1, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(3, 1, 3, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(4, 1, 4, LEASE), STORE_BUSY);
    ck_assert_int_eq(calls_commit(2, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(4, 1, 5, LEASE), STORE_BUSY);
    apr_sleep(MS(90));
    ck_assert_int_eq(calls_claim(4, 1, 6, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(5, 1, 7, LEASE), STORE_BUSY);
    ck_assert_int_eq(calls_commit(1, 1), STORE_FENCED);
    ck_assert_int_eq(calls_commit(3, 1), STORE_OK);
    ck_assert_int_eq(calls_issue(2, LIFE, 1, 1, 0), STORE_OK);
    ck_assert_int_eq(calls.outstanding, 2);
    ck_assert_int_eq(calls_commit(4, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(5, 1, 8, LEASE), STORE_USED);
    ck_assert_int_eq(calls_claim(1, 1, 9, LEASE), STORE_USED);
    ck_assert_int_eq(calls_issue(3, LIFE, 1, 1, 0), STORE_OK);
    ck_assert_int_eq(calls.outstanding, 2);
}
END_TEST

START_TEST(a_dead_holder_stays_while_there_is_room)
{
    OPEN();
    calls_issue(1, LIFE, 2, 9, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, MS(40)), STORE_CLAIMED);
    apr_sleep(MS(70));
    ck_assert_int_eq(calls_claim(2, 1, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(calls_commit(2, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(3, 1, 3, LEASE), STORE_USED);
}
END_TEST

START_TEST(unlimited_uses)
{
    int t;

    OPEN();
    calls_issue(1, LIFE, 0, 0, 0);
    for (t = 1; t <= 10; t++)
        ck_assert_int_eq(calls_claim(t, 1, t, LEASE), STORE_CLAIMED);
    for (t = 1; t <= 10; t++)
        ck_assert_int_eq(calls_commit(t, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(11, 1, 11, LEASE), STORE_CLAIMED);
    calls_issue(2, LIFE, 1, 0, 0);
    ck_assert_int_eq(calls.outstanding, 2);
}
END_TEST

START_TEST(no_challenge_needed)
{
    OPEN();
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.challenge_id, "");
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 0, 2, LEASE), STORE_ISSUED);
    calls_check_certificate(1);
}
END_TEST

START_TEST(unknown_and_second_candidate)
{
    store_claim_t c;

    OPEN();
    ck_assert_int_eq(calls_claim(1, 7, 1, LEASE), STORE_NOCHALLENGE);
    ck_assert_int_eq(calls_find(1), STORE_NOTFOUND);
    calls_issue(2, LIFE, 1, 1, 0);
    c = calls_make_claim(1, 1, 2, LEASE);
    c.challenge_id[1] = calls_id(2);
    ck_assert_int_eq(calls_send(&c), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.challenge_id, calls_id(2));
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    c.nonce = calls_half(3);
    ck_assert_int_eq(calls_send(&c), STORE_ISSUED);
    c = calls_make_claim(2, 1, 2, LEASE);
    c.challenge_id[0] = NULL;
    c.challenge_id[1] = calls_id(2);
    ck_assert_int_eq(calls_send(&c), STORE_USED);
}
END_TEST

START_TEST(conflicts)
{
    store_claim_t c;

    OPEN();
    calls_issue(1, LIFE, 1, 1, 0);
    calls_issue(2, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    c = calls_make_claim(1, 1, 2, LEASE);
    c.csr_digest = calls_id(9);
    ck_assert_int_eq(calls_send(&c), STORE_TXCONFLICT);
    ck_assert_int_eq(calls_claim(1, 2, 2, LEASE), STORE_TXCONFLICT);
    ck_assert_int_eq(calls_claim(1, 0, 2, LEASE), STORE_TXCONFLICT);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 2, 2, LEASE), STORE_TXCONFLICT);
    ck_assert_int_eq(calls_claim(2, 0, 3, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(2, 2, 3, LEASE), STORE_TXCONFLICT);
}
END_TEST

START_TEST(expiry)
{
    OPEN();
    calls_issue(1, MS(80), 1, 1, 0);
    calls_issue(2, MS(80), 1, 1, 0);
    ck_assert_int_eq(calls.outstanding, 2);
    ck_assert_int_eq(calls_claim(1, 1, 1, MS(40)), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(2, 2, 2, LEASE), STORE_CLAIMED);
    apr_sleep(MS(110));
    ck_assert_int_eq(calls_claim(1, 1, 3, LEASE), STORE_EXPIRED);
    ck_assert_int_eq(calls_claim(3, 1, 4, LEASE), STORE_EXPIRED);
    ck_assert_int_eq(calls_commit(2, 1), STORE_OK);
    calls_issue(3, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls.outstanding, 1);
    ck_assert_int_eq(calls_claim(2, 2, 5, LEASE), STORE_ISSUED);
}
END_TEST

START_TEST(cap)
{
    int n;

    OPEN();
    for (n = 1; n <= 5; n++)
        ck_assert_int_eq(calls_issue(n, n == 3 ? MS(150) : LIFE, 1, 1, 5), STORE_OK);
    ck_assert_int_eq(calls.outstanding, 5);
    ck_assert_int_eq(calls_issue(6, LIFE, 1, 1, 5), STORE_FULL);
    ck_assert_int_eq(calls.outstanding, 5);
    ck_assert(calls.free_in > 0 && calls.free_in <= MS(150));
    ck_assert_int_eq(calls_issue(5, LIFE, 1, 1, 5), STORE_OK);
    apr_sleep(MS(180));
    ck_assert_int_eq(calls_issue(6, LIFE, 1, 1, 5), STORE_OK);
    ck_assert_int_eq(calls_issue(7, LIFE, 1, 1, 5), STORE_FULL);
    ck_assert(calls.free_in > MS(500000) && calls.free_in <= LIFE);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_issue(7, LIFE, 1, 1, 5), STORE_FULL);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(calls_issue(7, LIFE, 1, 1, 5), STORE_OK);
    ck_assert_int_eq(calls_issue(8, LIFE, 1, 1, 5), STORE_FULL);
    ck_assert_int_eq(calls_revoke(7), STORE_OK);
    ck_assert_int_eq(calls_issue(8, LIFE, 1, 1, 5), STORE_OK);
    ck_assert_int_eq(calls_issue(9, LIFE, 1, 1, 0), STORE_OK);
    ck_assert_int_eq(calls.outstanding, 6);
}
END_TEST

START_TEST(many_expired_make_room)
{
    int n;

    OPEN();
    for (n = 1; n <= 450; n++)
        ck_assert_int_eq(calls_issue(n, MS(1500), 1, 1, 450), STORE_OK);
    apr_sleep(MS(1600));
    ck_assert_int_eq(calls_issue(451, LIFE, 1, 1, 450), STORE_OK);
    for (n = 452; n <= 460; n++)
        ck_assert_int_eq(calls_issue(n, LIFE, 1, 1, 450), STORE_OK);
    ck_assert_int_eq(calls.outstanding, 10);
}
END_TEST

START_TEST(pending)
{
    OPEN();
    calls_issue(1, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls_poll(1, 9, LEASE), STORE_NOTFOUND);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_poll(1, 9, LEASE), STORE_BUSY);
    ck_assert(calls.tx.wait > 0 && calls.tx.wait <= LEASE);
    ck_assert_int_eq(calls_pend(1, 1, MS(100)), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 1, 2, LEASE), STORE_PENDING);
    ck_assert(calls.tx.wait > 0 && calls.tx.wait <= MS(100));
    ck_assert_str_eq(calls.tx.cookie, "cookie 7");
    ck_assert_int_eq(calls_poll(1, 9, LEASE), STORE_PENDING);
    ck_assert(calls.tx.wait > 0 && calls.tx.wait <= MS(100));
    ck_assert_int_eq(calls_claim(2, 1, 3, LEASE), STORE_HELD);
    apr_sleep(MS(130));
    ck_assert_int_eq(calls_claim(1, 1, 2, LEASE), STORE_PENDING);
    ck_assert_int_eq(calls_poll(1, 9, MS(100)), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 2);
    ck_assert_str_eq(calls.tx.cookie, "cookie 7");
    ck_assert_str_eq(calls.tx.serial, calls_half(4001));
    ck_assert_str_eq(calls.tx.tx_key, calls_id(1001));
    ck_assert_str_eq(calls.tx.challenge.caller, "mdm");
    ck_assert_int_eq(calls_poll(1, 9, MS(100)), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 2);
    ck_assert_int_eq(calls_poll(1, 10, LEASE), STORE_BUSY);
    ck_assert_int_eq(calls_commit(1, 1), STORE_FENCED);
    apr_sleep(MS(130));
    ck_assert_int_eq(calls_poll(1, 10, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 3);
    ck_assert_int_eq(calls_pend(1, 3, 0), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 11, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 4);
    ck_assert_int_eq(calls_claim(2, 1, 3, LEASE), STORE_HELD);
    ck_assert_int_eq(calls_commit(1, 4), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 12, LEASE), STORE_ISSUED);
    calls_check_certificate(1);
    ck_assert_int_eq(calls_claim(2, 1, 4, LEASE), STORE_USED);
}
END_TEST

START_TEST(poll_of_failed_and_abandoned)
{
    OPEN();
    calls_issue(1, LIFE, 2, 5, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    calls_pend(1, 1, 0);
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_REFUSED);
    ck_assert_str_eq(calls.tx.reason, "test-reason");
    ck_assert_int_eq(calls_claim(2, 1, 3, MS(40)), STORE_CLAIMED);
    apr_sleep(MS(70));
    ck_assert_int_eq(calls_poll(2, 4, LEASE), STORE_REFUSED);
    ck_assert_str_eq(calls.tx.reason, "abandoned");
}
END_TEST

START_TEST(newest_transaction_is_polled)
{
    store_claim_t c;

    OPEN();
    calls_issue(1, LIFE, 0, 5, 0);
    c = calls_make_claim(1, 1, 1, LEASE);
    ck_assert_int_eq(calls_send(&c), STORE_CLAIMED);
    apr_sleep(MS(5));
    c = calls_make_claim(2, 1, 2, LEASE);
    c.poll_key = calls_id(2001);
    ck_assert_int_eq(calls_send(&c), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(2, 1), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 3, LEASE), STORE_ISSUED);
    ck_assert_str_eq(calls.tx.tx_key, calls_id(1002));
}
END_TEST

Suite *test_store_suite(void)
{
    Suite *suite = suite_create("test_store");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, whole_life, 0, KIND_COUNT);
    tcase_add_loop_test(all, repeats_give_the_same, 0, KIND_COUNT);
    tcase_add_loop_test(all, a_blamed_failure_counts_once, 0, KIND_COUNT);
    tcase_add_loop_test(all, unblamed_failure_frees_at_once, 0, KIND_COUNT);
    tcase_add_loop_test(all, lease_end_takes_over, 0, KIND_COUNT);
    tcase_add_loop_test(all, a_failure_ends_the_reservation, 0, KIND_COUNT);
    tcase_add_loop_test(all, late_commit_without_rival_counts, 0, KIND_COUNT);
    tcase_add_loop_test(all, dead_holder_gives_way, 0, KIND_COUNT);
    tcase_add_loop_test(all, several_uses_are_exact, 0, KIND_COUNT);
    tcase_add_loop_test(all, a_dead_holder_stays_while_there_is_room, 0, KIND_COUNT);
    tcase_add_loop_test(all, unlimited_uses, 0, KIND_COUNT);
    tcase_add_loop_test(all, no_challenge_needed, 0, KIND_COUNT);
    tcase_add_loop_test(all, unknown_and_second_candidate, 0, KIND_COUNT);
    tcase_add_loop_test(all, conflicts, 0, KIND_COUNT);
    tcase_add_loop_test(all, expiry, 0, KIND_COUNT);
    tcase_add_loop_test(all, cap, 0, KIND_COUNT);
    tcase_add_loop_test(all, many_expired_make_room, 0, KIND_COUNT);
    tcase_add_loop_test(all, pending, 0, KIND_COUNT);
    tcase_add_loop_test(all, poll_of_failed_and_abandoned, 0, KIND_COUNT);
    tcase_add_loop_test(all, newest_transaction_is_polled, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}
