/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of stores, third part: transactions that wait, what people decide about
 * them, and certificates by their serial number.  Each test runs once per kind of store.
 */
#include "store_calls.h"
#include <apr_strings.h>
#include <string.h>

Suite *test_store_wait_suite(void);

/* Bytes of all values. */
static crypt_buf_t make_request(apr_size_t len)
{
    unsigned char *data = apr_palloc(calls.p, len);
    crypt_buf_t request;
    apr_size_t i;

    for (i = 0; i < len; i++)
        data[i] = (unsigned char)(i * 7);
    request.data = data;
    request.len = len;
    return request;
}

/* Checks that tx carries the request. */
static void check_request(const crypt_buf_t *want)
{
    ck_assert_uint_eq(calls.tx.request.len, want->len);
    ck_assert_mem_eq(calls.tx.request.data, want->data, want->len);
}

START_TEST(request_stays)
{
    store_pend_t pend = calls_make_pend(0, KEEP);
    crypt_buf_t request, none = {NULL, 0};
    apr_array_header_t *list;
    store_tx_t *listed;

    OPEN();
    request = make_request(STORE_REQUEST_MAX);
    calls_issue(1, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_uint_eq(calls.tx.request.len, 0);
    pend.request = &request;
    ck_assert_int_eq(calls_send_pend(1, 1, &pend), STORE_OK);
    ck_assert_int_eq(store_list(calls.store, calls.service, 10, &list, calls.p), APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 1);
    listed = APR_ARRAY_IDX(list, 0, store_tx_t *);
    ck_assert_uint_eq(listed->request.len, 0);
    ck_assert_str_eq(listed->poll_key, calls_id(2001));
    ck_assert_str_eq(listed->tx_key, calls_id(1001));
    ck_assert_str_eq(listed->decision, "");
    ck_assert_str_eq(listed->subject, "CN=device");
    ck_assert_int_eq(calls_find(1), STORE_OK);
    check_request(&request);
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_CLAIMED);
    check_request(&request);
    ck_assert_str_eq(calls.tx.poll_key, calls_id(2001));
    pend.request = &none;
    ck_assert_int_eq(calls_send_pend(1, 2, &pend), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 3, LEASE), STORE_CLAIMED);
    check_request(&request);
    ck_assert_int_eq(calls_commit_serial(1, 3, "01", KEEP), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 4, LEASE), STORE_ISSUED);
    check_request(&request);
    calls_check_certificate(1);
    ck_assert_int_eq(calls_claim(1, 1, 5, LEASE), STORE_ISSUED);
    check_request(&request);
}
END_TEST

START_TEST(a_new_claim_starts_without_what_was)
{
    store_pend_t pend = calls_make_pend(0, KEEP);
    crypt_buf_t request;

    OPEN();
    request = make_request(100);
    pend.request = &request;
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(1, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.decision, "approved");
    ck_assert_int_eq(calls_fail(1, 2, STORE_BLAME_NOBODY), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_CONFLICT);
    ck_assert_int_eq(calls_claim(1, 0, 3, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.decision, "");
    ck_assert_str_eq(calls.tx.decided_by, "");
    ck_assert_str_eq(calls.tx.text, "");
    ck_assert_uint_eq(calls.tx.request.len, 0);
}
END_TEST

START_TEST(cap_of_waiting)
{
    store_pend_t pend = calls_make_pend(0, KEEP), brief = calls_make_pend(0, MS(80));
    int t;

    OPEN();
    pend.max = brief.max = 2;
    for (t = 1; t <= 4; t++)
        ck_assert_int_eq(calls_claim(t, 0, t, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(1, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_send_pend(2, 1, &brief), STORE_OK);
    ck_assert_int_eq(calls_send_pend(3, 1, &pend), STORE_FULL);
    ck_assert_int_eq(calls_find(3), STORE_OK);
    ck_assert_str_eq(calls.tx.state, "inflight");
    ck_assert_int_eq(calls_send_pend(1, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 5, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(1, 2, &pend), STORE_OK);
    apr_sleep(MS(110));
    ck_assert_int_eq(calls_send_pend(3, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_send_pend(4, 1, &pend), STORE_FULL);
    ck_assert_int_eq(calls_send_pend(4, 7, &pend), STORE_FENCED);
    ck_assert_int_eq(calls_commit(1, 2), STORE_OK);
    ck_assert_int_eq(calls_send_pend(4, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_claim(5, 0, 6, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_decide(3, 0, KEEP), STORE_OK);
    ck_assert_int_eq(calls_send_pend(5, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_claim(6, 0, 7, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(6, 1, &pend), STORE_FULL);
    ck_assert_int_eq(calls_fail(6, 1, STORE_BLAME_NOBODY), STORE_OK);
    pend.max = 0;
    ck_assert_int_eq(calls_claim(6, 0, 8, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(6, 2, &pend), STORE_OK);
}
END_TEST

START_TEST(first_pend_bounds_retention)
{
    store_pend_t pend = calls_make_pend(0, MS(200));

    OPEN();
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(1, 1, &pend), STORE_OK);
    apr_sleep(MS(50));
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_CLAIMED);
    pend.retention = KEEP;
    ck_assert_int_eq(calls_send_pend(1, 2, &pend), STORE_OK);
    ck_assert_int_eq(calls_find(1), STORE_OK);
    apr_sleep(MS(180));
    ck_assert_int_eq(calls_find(1), STORE_NOTFOUND);
    ck_assert_int_eq(calls_poll(1, 3, LEASE), STORE_NOTFOUND);
    ck_assert_int_eq(calls_claim(1, 0, 4, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 1);
}
END_TEST

START_TEST(polls_end_with_retention)
{
    store_pend_t pend = calls_make_pend(0, MS(100));

    OPEN();
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(1, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 2, MS(30)), STORE_CLAIMED);
    apr_sleep(MS(130));
    ck_assert_int_eq(calls_poll(1, 3, LEASE), STORE_NOTFOUND);
    ck_assert_str_eq(calls.tx.tx_key, "");
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_NOTFOUND);
    ck_assert_int_eq(calls_commit(1, 2), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 4, LEASE), STORE_ISSUED);
}
END_TEST

START_TEST(held_is_not_busy)
{
    OPEN();
    calls_issue(1, LIFE, 2, 9, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(2, 1, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(1, 1, 0), STORE_OK);
    ck_assert_int_eq(calls_claim(3, 1, 3, LEASE), STORE_BUSY);
    ck_assert_int_eq(calls_pend(2, 1, 0), STORE_OK);
    ck_assert_int_eq(calls_claim(3, 1, 4, LEASE), STORE_HELD);
    ck_assert(calls.tx.wait > 0);
    ck_assert_int_eq(calls_poll(2, 5, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_claim(3, 1, 6, LEASE), STORE_HELD);
    ck_assert_int_eq(calls_commit(2, 2), STORE_OK);
    ck_assert_int_eq(calls_claim(3, 1, 7, LEASE), STORE_HELD);
    ck_assert_int_eq(calls_decide(1, 0, KEEP), STORE_OK);
    ck_assert_int_eq(calls_claim(3, 1, 8, LEASE), STORE_CLAIMED);
}
END_TEST

/* Checks the decision that tx carries. */
static void check_decision(const char *decision)
{
    ck_assert_str_eq(calls.tx.decision, decision);
    ck_assert_str_eq(calls.tx.decided_by, "admin@example");
    ck_assert_str_eq(calls.tx.text, "seen in person");
}

START_TEST(approval)
{
    OPEN();
    calls_issue(1, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_NOTFOUND);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_CONFLICT);
    ck_assert_int_eq(calls_pend(1, 1, LEASE), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_PENDING);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 0, KEEP), STORE_CONFLICT);
    ck_assert_int_eq(calls_find(1), STORE_OK);
    ck_assert_str_eq(calls.tx.state, "pending");
    check_decision("approved");
    ck_assert_int_eq(calls_claim(1, 1, 3, LEASE), STORE_PENDING);
    ck_assert_int_eq(calls.tx.wait, 0);
    ck_assert_int_eq(calls_claim(2, 1, 4, LEASE), STORE_HELD);
    ck_assert_int_eq(calls_poll(1, 5, LEASE), STORE_CLAIMED);
    check_decision("approved");
    ck_assert_int_eq(calls.tx.fence, 2);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_OK);
    ck_assert_int_eq(calls_pend(1, 2, LEASE), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 6, LEASE), STORE_PENDING);
    check_decision("approved");
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 6, LEASE), STORE_PENDING);
    ck_assert_int_eq(calls_commit(1, 2), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 0, KEEP), STORE_CONFLICT);
}
END_TEST

START_TEST(approval_prolongs)
{
    store_pend_t pend = calls_make_pend(LEASE, MS(100));

    OPEN();
    calls_issue(1, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(1, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_OK);
    apr_sleep(MS(130));
    ck_assert_int_eq(calls_claim(2, 1, 2, LEASE), STORE_HELD);
    ck_assert_int_eq(calls_poll(1, 3, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(1, 2, &pend), STORE_OK);
    ck_assert_int_eq(calls_find(1), STORE_OK);
}
END_TEST

START_TEST(denial)
{
    OPEN();
    calls_issue(1, LIFE, 1, 2, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(1, 1, LEASE), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 0, KEEP), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 0, KEEP), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_CONFLICT);
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_REFUSED);
    ck_assert_str_eq(calls.tx.reason, "denied");
    check_decision("denied");
    ck_assert_int_eq(calls_commit(1, 1), STORE_FENCED);
    ck_assert_int_eq(calls_pend(1, 1, 0), STORE_FENCED);
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_DEVICE), STORE_FENCED);
    ck_assert_int_eq(calls_claim(1, 1, 3, LEASE), STORE_REFUSED);
    ck_assert_str_eq(calls.tx.reason, "denied");
    check_decision("denied");
    ck_assert_int_eq(calls_claim(1, 0, 3, LEASE), STORE_TXCONFLICT);
    ck_assert_int_eq(calls_claim(2, 1, 4, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(2, 1, LEASE), STORE_OK);
    ck_assert_int_eq(calls_decide(2, 0, KEEP), STORE_OK);
    ck_assert_int_eq(calls_claim(3, 1, 5, LEASE), STORE_MISMATCH);
    ck_assert_int_eq(calls_claim(1, 1, 6, LEASE), STORE_REFUSED);
    calls_issue(2, LIFE, 1, 1, 0);
    ck_assert_int_eq(calls.outstanding, 1);
}
END_TEST

START_TEST(denial_ends_with_retention)
{
    OPEN();
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(1, 1, LEASE), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 0, MS(80)), STORE_OK);
    ck_assert_int_eq(calls_claim(1, 0, 2, LEASE), STORE_REFUSED);
    apr_sleep(MS(110));
    ck_assert_int_eq(calls_poll(1, 3, LEASE), STORE_NOTFOUND);
    ck_assert_int_eq(calls_claim(1, 0, 3, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.decision, "");
}
END_TEST

START_TEST(no_decision_during_a_poll)
{
    OPEN();
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(1, 1, 0), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 2, MS(80)), STORE_CLAIMED);
    ck_assert_int_eq(calls_decide(1, 0, KEEP), STORE_BUSY);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_BUSY);
    apr_sleep(MS(110));
    ck_assert_int_eq(calls_decide(1, 0, KEEP), STORE_OK);
    ck_assert_int_eq(calls_commit(1, 2), STORE_FENCED);
    ck_assert_int_eq(calls_poll(1, 3, LEASE), STORE_REFUSED);
}
END_TEST

START_TEST(certificates_by_serial)
{
    static const char *const longest =
        "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff01";

    OPEN();
    ck_assert_int_eq(calls_find_certificate("01"), STORE_NOTFOUND);
    calls_issue(1, LIFE, 0, 0, 0);
    ck_assert_int_eq(calls_claim(1, 1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit_serial(1, 1, longest, KEEP), STORE_OK);
    ck_assert_int_eq(calls_claim(2, 1, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit_serial(2, 1, "", KEEP), STORE_OK);
    ck_assert_int_eq(calls_claim(3, 1, 3, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit_serial(3, 9, "03", KEEP), STORE_FENCED);
    ck_assert_int_eq(calls_find_certificate("03"), STORE_NOTFOUND);
    ck_assert_int_eq(calls_commit_serial(3, 1, "03", MS(80)), STORE_OK);
    ck_assert_int_eq(calls_find_certificate("03"), STORE_OK);
    calls_check_certificate(3);
    ck_assert_int_eq(calls_find_certificate(longest), STORE_OK);
    calls_check_certificate(1);
    ck_assert_str_eq(calls.tx.tx_key, calls_id(1001));
    ck_assert_str_eq(calls.tx.state, "issued");
    ck_assert_str_eq(calls.tx.subject, "CN=device");
    ck_assert_str_eq(calls.tx.transaction_id, "tid-1");
    ck_assert_str_eq(calls.tx.template_name, "Device");
    ck_assert_str_eq(calls.tx.client, "192.0.2.1");
    ck_assert(calls.tx.created > 0);
    apr_sleep(MS(110));
    ck_assert_int_eq(calls_find_certificate("03"), STORE_NOTFOUND);
    ck_assert_str_eq(calls.tx.state, "");
    ck_assert_int_eq(calls_claim(3, 1, 4, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_find_certificate("03"), STORE_NOTFOUND);
    calls.service = apr_pstrcat(calls.p, calls.service, "-other", NULL);
    ck_assert_int_eq(calls_find_certificate(longest), STORE_NOTFOUND);
}
END_TEST

/* Checks that a changed pend or decision of transaction 1 is refused as an argument. */
#define CHECK_PEND(member, value)                                                               \
    do {                                                                                        \
        pend = calls_make_pend(0, KEEP);                                                        \
        pend.member = (value);                                                                  \
        ck_assert_int_eq(                                                                       \
            store_pend(calls.store, calls.service, calls_id(1001), 1, &pend,                      \
                       NULL, &result, calls.p),                                                   \
            APR_EINVAL);                                                                        \
        ck_assert_int_eq(result, STORE_FENCED);                                                 \
    } while (0)
#define CHECK_DECIDE(key, value, keep)                                                       \
    do {                                                                                     \
        ck_assert_int_eq(                                                                    \
            store_decide(calls.store, calls.service, key, &(value), keep, &result, calls.p), \
            APR_EINVAL);                                                                     \
        ck_assert_int_eq(result, STORE_NOTFOUND);                                            \
    } while (0)
#define CHECK_SERIAL(serial)                                                                     \
    ck_assert_int_eq(                                                                            \
        store_find_certificate(calls.store, calls.service, serial, &result, &calls.tx, calls.p), \
        APR_EINVAL)

START_TEST(wrong_arguments)
{
    store_decision_t good = {1, "x", "", "cookie 7", NULL}, bad;
    crypt_buf_t cert, request;
    store_result_e result;
    store_pend_t pend;
    const char *big;

    OPEN();
    big = apr_psprintf(calls.p, "%0*d", STORE_LONG_TEXT_MAX + 1, 1);
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    request = make_request(STORE_REQUEST_MAX + 1);
    CHECK_PEND(request, &request);
    CHECK_PEND(cookie, big);
    CHECK_PEND(cookie, NULL);
    CHECK_PEND(wait, -1);
    CHECK_PEND(retention, 0);
    CHECK_PEND(max, -1);
    CHECK_PEND(owner, NULL);
    CHECK_PEND(owner, "a1");
    CHECK_PEND(owner, calls_half(1));
    CHECK_PEND(owner, "A000000000000000000000000000000000000000000000000000000000000000");
    CHECK_PEND(owner, big);
    CHECK_PEND(owner_max, -1);
    CHECK_DECIDE("x", good, KEEP);
    CHECK_DECIDE(calls_id(1001), good, 0);
    bad = good;
    bad.by = NULL;
    CHECK_DECIDE(calls_id(1001), bad, KEEP);
    bad = good;
    bad.text = big;
    CHECK_DECIDE(calls_id(1001), bad, KEEP);
    bad = good;
    bad.cookie = NULL;
    CHECK_DECIDE(calls_id(1001), bad, KEEP);
    bad.cookie = big;
    CHECK_DECIDE(calls_id(1001), bad, KEEP);
    CHECK_SERIAL("");
    CHECK_SERIAL(NULL);
    CHECK_SERIAL("0A");
    CHECK_SERIAL("0x1");
    CHECK_SERIAL(big);
    cert = calls_certificate(1);
    ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1001), 1, &cert, big, KEEP,
                                  NULL, &result, calls.p),
                     APR_EINVAL);
    ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1001), 1, &cert, "AB", KEEP,
                                  NULL, &result, calls.p),
                     APR_EINVAL);
    ck_assert_int_eq(result, STORE_FENCED);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
}
END_TEST

START_TEST(hostile_decisions)
{
    static const char *const texts[] = {"'; DROP TABLE tx; --", "\r\n$5\r\n", "\xff\xfe", "%s%n"};
    store_decision_t decision = {0, "", "", "cookie 7", NULL};
    store_result_e result;
    int i;

    OPEN();
    for (i = 0; i < (int)(sizeof(texts) / sizeof(texts[0])); i++) {
        ck_assert_int_eq(calls_claim(i, 0, i, LEASE), STORE_CLAIMED);
        ck_assert_int_eq(calls_pend(i, 1, 0), STORE_OK);
        decision.approve = i % 2;
        decision.by = decision.text = texts[i];
        ck_assert_int_eq(store_decide(calls.store, calls.service, calls_id(1000 + i), &decision,
                                      KEEP, &result, calls.p),
                         APR_SUCCESS);
        ck_assert_int_eq(result, STORE_OK);
        ck_assert_int_eq(calls_find(i), STORE_OK);
        ck_assert_str_eq(calls.tx.decided_by, texts[i]);
        ck_assert_str_eq(calls.tx.text, texts[i]);
    }
}
END_TEST

START_TEST(long_lists)
{
    apr_array_header_t *list;
    char *long_text;
    int t;

    OPEN();
    long_text = apr_palloc(calls.p, STORE_LONG_TEXT_MAX + 1);
    memset(long_text, 's', STORE_LONG_TEXT_MAX);
    long_text[STORE_LONG_TEXT_MAX] = '\0';
    for (t = 0; t < 90; t++) {
        store_claim_t claim = calls_make_claim(t, 0, t, LEASE);
        store_pend_t pend = calls_make_pend(0, KEEP);

        claim.subject = pend.cookie = long_text;
        ck_assert_int_eq(calls_send(&claim), STORE_CLAIMED);
        ck_assert_int_eq(calls_send_pend(t, 1, &pend), STORE_OK);
    }
    ck_assert_int_eq(store_list(calls.store, calls.service, 1000, &list, calls.p), APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 90);
    ck_assert_int_eq(store_list(calls.store, calls.service, 85, &list, calls.p), APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 85);
    ck_assert_str_eq(APR_ARRAY_IDX(list, 84, store_tx_t *)->cookie, long_text);
}
END_TEST

Suite *test_store_wait_suite(void)
{
    Suite *suite = suite_create("test_store_wait");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, request_stays, 0, KIND_COUNT);
    tcase_add_loop_test(all, a_new_claim_starts_without_what_was, 0, KIND_COUNT);
    tcase_add_loop_test(all, cap_of_waiting, 0, KIND_COUNT);
    tcase_add_loop_test(all, first_pend_bounds_retention, 0, KIND_COUNT);
    tcase_add_loop_test(all, polls_end_with_retention, 0, KIND_COUNT);
    tcase_add_loop_test(all, held_is_not_busy, 0, KIND_COUNT);
    tcase_add_loop_test(all, approval, 0, KIND_COUNT);
    tcase_add_loop_test(all, approval_prolongs, 0, KIND_COUNT);
    tcase_add_loop_test(all, denial, 0, KIND_COUNT);
    tcase_add_loop_test(all, denial_ends_with_retention, 0, KIND_COUNT);
    tcase_add_loop_test(all, no_decision_during_a_poll, 0, KIND_COUNT);
    tcase_add_loop_test(all, certificates_by_serial, 0, KIND_COUNT);
    tcase_add_loop_test(all, wrong_arguments, 0, KIND_COUNT);
    tcase_add_loop_test(all, hostile_decisions, 0, KIND_COUNT);
    tcase_add_loop_test(all, long_lists, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}
