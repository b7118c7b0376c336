/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of stores, second part: lists, hosts, retention, hostile texts and
 * arguments.  Each test runs once per kind of store (store_fixture.h).
 */
#include "store_calls.h"
#include <apr_strings.h>
#include <string.h>

Suite *test_store_more_suite(void);

START_TEST(list_is_oldest_first)
{
    apr_array_header_t *list;
    int t;

    OPEN();
    calls_issue(1, LIFE, 0, 0, 0);
    for (t = 1; t <= 4; t++) {
        calls_claim(t, 1, t, LEASE);
        apr_sleep(MS(3));
    }
    for (t = 4; t >= 1; t--)
        ck_assert_int_eq(calls_pend(t, 1, LEASE), STORE_OK);
    calls_commit(2, 1);
    ck_assert_int_eq(store_list(calls.store, calls.service, 10, &list, calls.p), APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 3);
    ck_assert_str_eq(APR_ARRAY_IDX(list, 0, store_tx_t *)->transaction_id, "tid-1");
    ck_assert_str_eq(APR_ARRAY_IDX(list, 1, store_tx_t *)->transaction_id, "tid-3");
    ck_assert_str_eq(APR_ARRAY_IDX(list, 2, store_tx_t *)->cookie, "cookie 7");
    ck_assert(APR_ARRAY_IDX(list, 0, store_tx_t *)->wait > 0);
    ck_assert_int_eq(store_list(calls.store, calls.service, 2, &list, calls.p), APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 2);
    ck_assert_int_eq(store_list(calls.store, "other", 2, &list, calls.p), APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 0);
}
END_TEST

START_TEST(revocation)
{
    OPEN();
    ck_assert_int_eq(calls_revoke(1), STORE_NOCHALLENGE);
    calls_issue(1, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls_claim(2, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_revoke(1), STORE_OK);
    ck_assert_int_eq(calls_revoke(1), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 1, 2, LEASE), STORE_EXPIRED);
    ck_assert_int_eq(calls_commit(2, 1), STORE_OK);
    calls_issue(2, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls.outstanding, 1);
}
END_TEST

START_TEST(hosts)
{
    store_host_t a = {"a.example", "aa", "bb", "", 0}, b = {"b: x", "ac", "bd", "cd", 0};
    apr_array_header_t *others;
    store_host_t *seen;

    OPEN();
    ck_assert_int_eq(store_announce(calls.store, calls.service, &a, &others, calls.p), APR_SUCCESS);
    ck_assert_int_eq(others->nelts, 0);
    ck_assert_int_eq(store_announce(calls.store, calls.service, &b, &others, calls.p), APR_SUCCESS);
    ck_assert_int_eq(others->nelts, 1);
    ck_assert_int_eq(store_announce(calls.store, calls.service, &a, &others, calls.p), APR_SUCCESS);
    ck_assert_int_eq(others->nelts, 1);
    seen = APR_ARRAY_IDX(others, 0, store_host_t *);
    ck_assert_str_eq(seen->host, "b: x");
    ck_assert_str_eq(seen->secret, "ac");
    ck_assert_str_eq(seen->ca, "bd");
    ck_assert_str_eq(seen->templates, "cd");
    ck_assert(seen->seen > apr_time_now() - apr_time_from_sec(60));
    a.secret = "not hex";
    ck_assert_int_eq(store_announce(calls.store, calls.service, &a, &others, calls.p), APR_EINVAL);
}
END_TEST

START_TEST(services_are_apart)
{
    store_claim_t c;
    store_result_e result;
    apr_array_header_t *list;

    OPEN();
    calls_issue(1, LIFE, 1, 1, 0);
    c = calls_make_claim(1, 1, 1, LEASE);
    ck_assert_int_eq(store_claim(calls.store, "elsewhere", &c, &result, &calls.tx, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_NOCHALLENGE);
    ck_assert_int_eq(store_revoke(calls.store, "elsewhere", calls_id(1), &result, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_NOCHALLENGE);
    calls_claim(1, 1, 1, LEASE);
    calls_pend(1, 1, 0);
    ck_assert_int_eq(store_list(calls.store, "elsewhere", 5, &list, calls.p), APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 0);
    ck_assert_int_eq(
        store_find(calls.store, "elsewhere", calls_id(1001), &result, &calls.tx, calls.p),
        APR_SUCCESS);
    ck_assert_int_eq(result, STORE_NOTFOUND);
}
END_TEST

START_TEST(records_go_after_retention)
{
    store_claim_t c;
    store_result_e result;
    store_pend_t pend;
    crypt_buf_t cert;
    int removed;

    OPEN();
    calls_issue(1, LIFE, 0, 0, 0);
    c = calls_make_claim(1, 1, 1, LEASE);
    ck_assert_int_eq(calls_send(&c), STORE_CLAIMED);
    cert = calls_certificate(1);
    ck_assert_int_eq(
        store_commit(calls.store, calls.service, c.tx_key, 1, &cert, "", MS(60),
                     NULL, &result, calls.p),
        APR_SUCCESS);
    ck_assert_int_eq(calls_find(1), STORE_OK);
    apr_sleep(MS(90));
    ck_assert_int_eq(calls_find(1), STORE_NOTFOUND);
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_NOTFOUND);
    ck_assert_int_eq(calls_claim(1, 1, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 1);
    ck_assert_str_eq(calls.tx.serial, calls_half(4002));
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(calls_claim(2, 1, 3, LEASE), STORE_CLAIMED);
    pend = calls_make_pend(0, MS(40));
    ck_assert_int_eq(calls_send_pend(2, 1, &pend), STORE_OK);
    apr_sleep(MS(70));
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 100, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(removed, 1);
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 100, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(removed, 0);
    ck_assert_int_eq(calls_claim(1, 1, 4, LEASE), STORE_ISSUED);
}
END_TEST

START_TEST(lost_pending_frees_its_hold)
{
    store_pend_t pend = calls_make_pend(0, MS(60));

    OPEN();
    calls_issue(1, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(1, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_claim(2, 1, 2, LEASE), STORE_HELD);
    apr_sleep(MS(90));
    ck_assert_int_eq(calls_claim(2, 1, 3, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(1, 1), STORE_FENCED);
    ck_assert_int_eq(calls_commit(2, 1), STORE_OK);
}
END_TEST

START_TEST(hostile_texts)
{
    static const char *const texts[] = {"",
                                        "'; DROP TABLE tx; --",
                                        "\" ' ` $( ) %s %n {1} :x ?1",
                                        "\r\n$5\r\n*1\r\n",
                                        "\xff\xfe\x80",
                                        "\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91",
                                        "return redis.call('FLUSHALL')",
                                        "\x01\x7f\t"};
    char *longest;
    size_t i;

    OPEN();
    longest = apr_pcalloc(calls.p, STORE_TEXT_MAX + 1);
    for (i = 0; i < STORE_TEXT_MAX; i++)
        longest[i] = "\xe2\x82\xac"[i % 3];
    for (i = 0; i <= sizeof(texts) / sizeof(texts[0]); i++) {
        const char *text = i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : longest;
        store_challenge_t ch = calls_challenge((int)i + 1, LIFE, 1, 1);
        store_claim_t c = calls_make_claim((int)i, (int)i + 1, (int)i, LEASE);
        store_pend_t pend = calls_make_pend(0, KEEP);
        store_result_e result;

        ch.caller = ch.template_name = ch.bound = text;
        c.transaction_id = c.subject = c.template_name = c.client = text;
        ck_assert_int_eq(store_issue(calls.store, calls.service, &ch, 0, &result,
                                     &calls.outstanding, &calls.free_in, calls.p),
                         APR_SUCCESS);
        ck_assert_int_eq(result, STORE_OK);
        ck_assert_int_eq(calls_send(&c), STORE_CLAIMED);
        ck_assert_str_eq(calls.tx.challenge.caller, text);
        ck_assert_str_eq(calls.tx.challenge.bound, text);
        ck_assert_str_eq(calls.tx.transaction_id, text);
        ck_assert_str_eq(calls.tx.subject, text);
        ck_assert_str_eq(calls.tx.template_name, text);
        ck_assert_str_eq(calls.tx.client, text);
        pend.cookie = text;
        ck_assert_int_eq(calls_send_pend((int)i, 1, &pend), STORE_OK);
        ck_assert_int_eq(calls_poll((int)i, 77, LEASE), STORE_CLAIMED);
        ck_assert_str_eq(calls.tx.cookie, text);
        ck_assert_int_eq(store_fail(calls.store, calls.service, c.tx_key, 2, STORE_BLAME_NOBODY,
                                    text, KEEP, NULL, &result, calls.p),
                         APR_SUCCESS);
        ck_assert_int_eq(calls_poll((int)i, 78, LEASE), STORE_REFUSED);
        ck_assert_str_eq(calls.tx.reason, text);
    }
}
END_TEST

/* Checks that a changed claim is refused as an argument. */
#define CHECK_CLAIM(member, value)                                                                 \
    do {                                                                                           \
        c = calls_make_claim(1, 1, 1, LEASE);                                                      \
        c.member = (value);                                                                        \
        ck_assert_int_eq(store_claim(calls.store, calls.service, &c, &result, &calls.tx, calls.p), \
                         APR_EINVAL);                                                              \
        ck_assert_int_eq(result, STORE_NOTFOUND);                                                  \
    } while (0)

START_TEST(arguments)
{
    static const char *const services[] = {"", NULL, "a b", "a}b", "a{b", "a:b", "a/b"};
    store_result_e result;
    store_challenge_t ch;
    store_claim_t c;
    store_pend_t pend;
    crypt_buf_t cert = {NULL, 0};
    char *big;
    size_t i;

    OPEN();
    big = apr_pcalloc(calls.p, STORE_CERTIFICATE_MAX + 2);
    memset(big, 'a', STORE_CERTIFICATE_MAX + 1);
    for (i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        ck_assert_int_eq(
            store_find(calls.store, services[i], calls_id(1), &result, &calls.tx, calls.p),
            APR_EINVAL);
    CHECK_CLAIM(tx_key, NULL);
    CHECK_CLAIM(tx_key, "abc");
    CHECK_CLAIM(tx_key, apr_pstrcat(calls.p, calls_id(1), "0", NULL));
    CHECK_CLAIM(poll_key, "");
    CHECK_CLAIM(csr_digest, "zz00000000000000000000000000000000000000000000000000000000000000");
    CHECK_CLAIM(csr_digest, "AB00000000000000000000000000000000000000000000000000000000000000");
    CHECK_CLAIM(challenge_id[1], "x");
    CHECK_CLAIM(nonce, calls_id(1));
    CHECK_CLAIM(serial, "");
    CHECK_CLAIM(lease, 0);
    CHECK_CLAIM(retention, 0);
    CHECK_CLAIM(not_before, -1);
    CHECK_CLAIM(transaction_id, NULL);
    CHECK_CLAIM(transaction_id, big);
    CHECK_CLAIM(subject, big);
    CHECK_CLAIM(template_name, big);
    CHECK_CLAIM(client, NULL);
    ch = calls_challenge(1, 0, 1, 1);
    ck_assert_int_eq(store_issue(calls.store, calls.service, &ch, 0, &result, &calls.outstanding,
                                 &calls.free_in, calls.p),
                     APR_EINVAL);
    ch = calls_challenge(1, LIFE, -1, 1);
    ck_assert_int_eq(store_issue(calls.store, calls.service, &ch, 0, &result, &calls.outstanding,
                                 &calls.free_in, calls.p),
                     APR_EINVAL);
    ch = calls_challenge(1, LIFE, 1, 1);
    ch.caller = big;
    ck_assert_int_eq(store_issue(calls.store, calls.service, &ch, 0, &result, &calls.outstanding,
                                 &calls.free_in, calls.p),
                     APR_EINVAL);
    ck_assert_int_eq(
        store_commit(calls.store, calls.service, calls_id(1), 1, &cert, "", KEEP,
                     NULL, &result, calls.p),
        APR_EINVAL);
    cert.data = (unsigned char *)big;
    cert.len = STORE_CERTIFICATE_MAX + 1;
    ck_assert_int_eq(
        store_commit(calls.store, calls.service, calls_id(1), 1, &cert, "", KEEP,
                     NULL, &result, calls.p),
        APR_EINVAL);
    cert.len = 1;
    ck_assert_int_eq(
        store_commit(calls.store, calls.service, calls_id(1), 0, &cert, "", KEEP,
                     NULL, &result, calls.p),
        APR_EINVAL);
    ck_assert_int_eq(
        store_commit(calls.store, calls.service, calls_id(1), 1, &cert, "", KEEP,
                     NULL, &result, calls.p),
        APR_SUCCESS);
    ck_assert_int_eq(result, STORE_FENCED);
    ck_assert_int_eq(store_fail(calls.store, calls.service, calls_id(1), 1, STORE_BLAME_NOBODY,
                                NULL, KEEP, NULL, &result, calls.p),
                     APR_EINVAL);
    pend = calls_make_pend(0, KEEP);
    pend.cookie = big;
    ck_assert_int_eq(
        store_pend(calls.store, calls.service, calls_id(1), 1, &pend, NULL, &result, calls.p),
        APR_EINVAL);
    ck_assert_int_eq(store_poll(calls.store, calls.service, calls_id(1), "x", LEASE, &result,
                                &calls.tx, calls.p),
                     APR_EINVAL);
    ck_assert_int_eq(store_revoke(calls.store, calls.service, "x", &result, calls.p), APR_EINVAL);
    ck_assert_str_ne(store_error(calls.p), "");
}
END_TEST

START_TEST(largest_certificate)
{
    crypt_buf_t cert;
    store_result_e result;
    unsigned char *data;

    OPEN();
    data = apr_pcalloc(calls.p, STORE_CERTIFICATE_MAX);
    data[STORE_CERTIFICATE_MAX - 1] = 7;
    cert.data = data;
    cert.len = STORE_CERTIFICATE_MAX;
    calls_claim(1, 0, 1, LEASE);
    ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1001), 1, &cert, "", KEEP,
                                  NULL, &result, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(calls_claim(1, 0, 2, LEASE), STORE_ISSUED);
    ck_assert_uint_eq(calls.tx.certificate.len, cert.len);
    ck_assert_mem_eq(calls.tx.certificate.data, data, cert.len);
}
END_TEST

START_TEST(another_certificate_is_not_taken_for_the_kept_one)
{
    crypt_buf_t other;
    store_result_e result;
    int i;

    OPEN();
    other = calls_certificate(2);
    ck_assert_int_eq(calls_issue(1, LIFE, 1, 3, 0), STORE_OK);
    calls_claim(1, 1, 1, LEASE);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1001), 1, &other, "",
                                      KEEP, NULL, &result, calls.p),
                         APR_SUCCESS);
        ck_assert_int_eq(result, STORE_FENCED);
        other = calls_certificate(1);
        other.len--;
    }
    ck_assert_int_eq(calls_find(1), STORE_OK);
    calls_check_certificate(1);
}
END_TEST

START_TEST(a_fast_clock_reserves_the_stores_now)
{
    store_claim_t claim;
    apr_time_t before;

    OPEN();
    ck_assert_int_eq(calls_issue(1, LIFE, 1, 3, 0), STORE_OK);
    claim = calls_make_claim(1, 1, 1, LEASE);
    before = apr_time_now() - apr_time_from_sec(1);
    claim.not_before = apr_time_now() + apr_time_from_sec(3 * 3600);
    ck_assert_int_eq(calls_send(&claim), STORE_CLAIMED);
    ck_assert(calls.tx.not_before >= before && calls.tx.not_before <= apr_time_now());
}
END_TEST

START_TEST(health)
{
    const char *text = NULL;

    OPEN();
    ck_assert_int_eq(store_health(calls.store, calls.service, &text, calls.p), APR_SUCCESS);
    ck_assert_str_eq(text, "");
    ck_assert_str_eq(store_error(calls.p), "");
    ck_assert(!strstr(calls.store->display, "@"));
}
END_TEST

Suite *test_store_more_suite(void)
{
    Suite *suite = suite_create("test_store_more");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, list_is_oldest_first, 0, KIND_COUNT);
    tcase_add_loop_test(all, revocation, 0, KIND_COUNT);
    tcase_add_loop_test(all, hosts, 0, KIND_COUNT);
    tcase_add_loop_test(all, services_are_apart, 0, KIND_COUNT);
    tcase_add_loop_test(all, records_go_after_retention, 0, KIND_COUNT);
    tcase_add_loop_test(all, lost_pending_frees_its_hold, 0, KIND_COUNT);
    tcase_add_loop_test(all, hostile_texts, 0, KIND_COUNT);
    tcase_add_loop_test(all, arguments, 0, KIND_COUNT);
    tcase_add_loop_test(all, largest_certificate, 0, KIND_COUNT);
    tcase_add_loop_test(all, another_certificate_is_not_taken_for_the_kept_one, 0, KIND_COUNT);
    tcase_add_loop_test(all, a_fast_clock_reserves_the_stores_now, 0, KIND_COUNT);
    tcase_add_loop_test(all, health, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}
