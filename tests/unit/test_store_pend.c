/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of stores, fourth part: several transactions that wait, of one device or on
 * one account, and decisions about the right one.  Each test runs once per kind of store.
 */
#include "store_calls.h"
#include <apr_strings.h>
#include <string.h>

Suite *test_store_pend_suite(void);

/* Claims transaction t, with the poll key of transaction 1. */
static store_result_e claim_shared(int t, int nonce)
{
    store_claim_t claim = calls_make_claim(t, 0, nonce, LEASE);

    claim.poll_key = calls_id(2001);
    return calls_send(&claim);
}

/* Polls the shared key, which has to find transaction t. */
static store_result_e poll_shared(int t, int nonce)
{
    store_result_e result = calls_poll(1, nonce, LEASE);

    ck_assert_str_eq(calls.tx.tx_key, calls_id(1000 + t));
    return result;
}

START_TEST(what_is_asked_again_is_polled)
{
    OPEN();
    ck_assert_int_eq(claim_shared(1, 1), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(1, 1, LEASE), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_OK);
    ck_assert_int_eq(claim_shared(2, 2), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(2, 1, LEASE), STORE_OK);
    ck_assert_int_eq(poll_shared(2, 3), STORE_PENDING);
    ck_assert_int_eq(claim_shared(1, 4), STORE_PENDING);
    ck_assert_int_eq(claim_shared(1, 5), STORE_PENDING);
    ck_assert_int_eq(poll_shared(1, 6), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(1, 2), STORE_OK);
    ck_assert_int_eq(claim_shared(2, 7), STORE_PENDING);
    ck_assert_int_eq(poll_shared(2, 8), STORE_PENDING);
    ck_assert_int_eq(claim_shared(1, 9), STORE_ISSUED);
    ck_assert_int_eq(poll_shared(1, 10), STORE_ISSUED);
    ck_assert_int_eq(claim_shared(3, 11), STORE_CLAIMED);
    ck_assert_int_eq(poll_shared(3, 12), STORE_BUSY);
    ck_assert_int_eq(calls_fail(3, 1, STORE_BLAME_NOBODY), STORE_OK);
    ck_assert_int_eq(poll_shared(3, 13), STORE_REFUSED);
    ck_assert_int_eq(claim_shared(2, 14), STORE_PENDING);
    ck_assert_int_eq(claim_shared(3, 15), STORE_CLAIMED);
    ck_assert_int_eq(poll_shared(3, 16), STORE_BUSY);
}
END_TEST

START_TEST(the_poll_key_lives_as_long_as_its_transaction)
{
    store_pend_t brief = calls_make_pend(LEASE, MS(100));

    OPEN();
    ck_assert_int_eq(claim_shared(1, 1), STORE_CLAIMED);
    ck_assert_int_eq(claim_shared(2, 2), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(2, 1, LEASE), STORE_OK);
    ck_assert_int_eq(calls_send_pend(1, 1, &brief), STORE_OK);
    apr_sleep(MS(130));
    ck_assert_int_eq(poll_shared(2, 3), STORE_PENDING);
    ck_assert_int_eq(claim_shared(3, 4), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(3, 1, &brief), STORE_OK);
    ck_assert_int_eq(claim_shared(2, 5), STORE_PENDING);
    apr_sleep(MS(130));
    ck_assert_int_eq(poll_shared(2, 6), STORE_PENDING);
    ck_assert_int_eq(claim_shared(4, 7), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(4, 1, &brief), STORE_OK);
    ck_assert_int_eq(claim_shared(2, 8), STORE_PENDING);
    ck_assert_int_eq(claim_shared(4, 9), STORE_PENDING);
    ck_assert_int_eq(poll_shared(4, 10), STORE_PENDING);
}
END_TEST

START_TEST(decisions_are_about_one_cookie)
{
    static const char *const others[] = {"", "cookie", "cookie 71", "Cookie 7", "ca:cookie 7"};
    store_pend_t pend = calls_make_pend(0, KEEP);
    int i;

    OPEN();
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(1, 1, &pend), STORE_OK);
    for (i = 0; i < (int)(sizeof(others) / sizeof(others[0])); i++) {
        ck_assert_int_eq(calls_decide_cookie(1, 1, others[i], KEEP), STORE_CONFLICT);
        ck_assert_int_eq(calls_decide_cookie(1, 0, others[i], KEEP), STORE_CONFLICT);
    }
    ck_assert_int_eq(calls_find(1), STORE_OK);
    ck_assert_str_eq(calls.tx.decision, "");
    ck_assert_str_eq(calls.tx.state, "pending");
    pend.cookie = "ca:9";
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_BUSY);
    ck_assert_int_eq(calls_send_pend(1, 2, &pend), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_CONFLICT);
    ck_assert_int_eq(calls_decide(1, 0, KEEP), STORE_CONFLICT);
    ck_assert_int_eq(calls_poll(1, 3, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(1, 3), STORE_OK);
    ck_assert_int_eq(calls_claim(2, 0, 4, LEASE), STORE_CLAIMED);
    pend.cookie = "";
    ck_assert_int_eq(calls_send_pend(2, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_decide(2, 0, KEEP), STORE_CONFLICT);
    ck_assert_int_eq(calls_decide_cookie(2, 0, "", KEEP), STORE_OK);
    ck_assert_int_eq(calls_decide_cookie(2, 0, "", KEEP), STORE_OK);
}
END_TEST

/* Claims transaction t and lets it wait on somebody's account. */
static store_result_e pend_owned(int t, const store_pend_t *pend)
{
    ck_assert_int_eq(calls_claim(t, 0, t, LEASE), STORE_CLAIMED);
    return calls_send_pend(t, calls.tx.fence, pend);
}

START_TEST(cap_of_an_owner)
{
    store_pend_t mine = calls_make_pend(LEASE, KEEP), other, nobody = mine, brief;

    OPEN();
    mine.owner = calls_id(9001);
    mine.owner_max = nobody.owner_max = 2;
    other = brief = mine;
    other.owner = calls_id(9002);
    brief.retention = MS(100);
    ck_assert_int_eq(pend_owned(1, &mine), STORE_OK);
    ck_assert_int_eq(pend_owned(2, &mine), STORE_OK);
    ck_assert_int_eq(pend_owned(3, &mine), STORE_OWNERFULL);
    ck_assert_int_eq(calls_find(3), STORE_OK);
    ck_assert_str_eq(calls.tx.state, "inflight");
    ck_assert_int_eq(calls_send_pend(1, 1, &mine), STORE_OK);
    ck_assert_int_eq(pend_owned(4, &other), STORE_OK);
    ck_assert_int_eq(pend_owned(5, &nobody), STORE_OK);
    ck_assert_int_eq(pend_owned(6, &nobody), STORE_OK);
    ck_assert_int_eq(pend_owned(7, &nobody), STORE_OK);
    /* one that waits stays its owner's */
    ck_assert_int_eq(calls_send_pend(5, 1, &mine), STORE_OK);
    ck_assert_int_eq(calls_send_pend(1, 1, &nobody), STORE_OK);
    ck_assert_int_eq(calls_send_pend(3, 1, &mine), STORE_OWNERFULL);
    /* each end makes room */
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(calls_send_pend(3, 1, &mine), STORE_OK);
    ck_assert_int_eq(pend_owned(8, &mine), STORE_OWNERFULL);
    ck_assert_int_eq(calls_fail(2, 1, STORE_BLAME_NOBODY), STORE_OK);
    ck_assert_int_eq(calls_send_pend(8, 1, &brief), STORE_OK);
    ck_assert_int_eq(pend_owned(9, &mine), STORE_OWNERFULL);
    ck_assert_int_eq(calls_decide(3, 0, KEEP), STORE_OK);
    ck_assert_int_eq(calls_send_pend(9, 1, &mine), STORE_OK);
    ck_assert_int_eq(pend_owned(10, &mine), STORE_OWNERFULL);
    apr_sleep(MS(130));
    ck_assert_int_eq(calls_send_pend(10, 1, &mine), STORE_OK);
    ck_assert_int_eq(pend_owned(11, &mine), STORE_OWNERFULL);
    mine.owner_max = 0;
    ck_assert_int_eq(calls_send_pend(11, 1, &mine), STORE_OK);
    calls.service = apr_pstrcat(calls.p, calls.service, "-other", NULL);
    mine.owner_max = 1;
    ck_assert_int_eq(pend_owned(1, &mine), STORE_OK);
}
END_TEST

START_TEST(an_owner_waits_as_long_as_approved)
{
    store_pend_t pend = calls_make_pend(LEASE, MS(100));

    OPEN();
    pend.owner = calls_id(9001);
    pend.owner_max = 1;
    ck_assert_int_eq(pend_owned(1, &pend), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_OK);
    apr_sleep(MS(130));
    ck_assert_int_eq(pend_owned(2, &pend), STORE_OWNERFULL);
    /* after a failure it starts without an owner */
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_NOBODY), STORE_OK);
    pend.owner = "";
    ck_assert_int_eq(pend_owned(1, &pend), STORE_OK);
    pend.owner = calls_id(9001);
    ck_assert_int_eq(calls_send_pend(2, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_fail(1, 2, STORE_BLAME_NOBODY), STORE_OK);
    ck_assert_int_eq(pend_owned(3, &pend), STORE_OWNERFULL);
}
END_TEST

Suite *test_store_pend_suite(void)
{
    Suite *suite = suite_create("test_store_pend");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, what_is_asked_again_is_polled, 0, KIND_COUNT);
    tcase_add_loop_test(all, the_poll_key_lives_as_long_as_its_transaction, 0, KIND_COUNT);
    tcase_add_loop_test(all, decisions_are_about_one_cookie, 0, KIND_COUNT);
    tcase_add_loop_test(all, cap_of_an_owner, 0, KIND_COUNT);
    tcase_add_loop_test(all, an_owner_waits_as_long_as_approved, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}
