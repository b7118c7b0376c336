/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions that wait for a person or the CA, and what is sealed meanwhile. */
#include "../../policy/policy_provider.h"
#include "store_fixture.h"
#include <apr_strings.h>
#include <string.h>
#include <unistd.h>

Suite *test_policy_wait_suite(void);

static const crypt_buf_t key = {(const unsigned char *)"key", 3};
static apr_pool_t *p;
static policy_config_t cfg;
static policy_t *policy;
static log_sink_t *sink;
static outcome_t out;
static csr_t csr;
static policy_request_t request;
static policy_tx_t *tx;
static const grant_t *grant;

static void setup(void)
{
    fixture_setup();
    p = fixture_pool();
    sink = fixture_log(p);
    memset(&cfg, 0, sizeof(cfg));
    memset(&csr, 0, sizeof(csr));
    memset(&request, 0, sizeof(request));
    cfg.service = "corp";
    cfg.store = store_fixture_open(KIND_SQLITE, p);
    cfg.state_directory = fixture_directory(p);
    cfg.secret_may_be_made = 1;
    cfg.uses = cfg.attempts = 1;
    cfg.retention = apr_time_from_sec(7 * 86400);
    cfg.lease = apr_time_from_sec(30);
    cfg.busy_wait = apr_time_from_msec(50);
    cfg.poll_interval = apr_time_from_sec(60);
    cfg.approval = apr_array_make(p, 1, sizeof(const char *));
    csr.subject_text = "CN=device";
    csr.der.data = (const unsigned char *)"the request and its challenge";
    csr.der.len = 29;
    request.csr = &csr;
    request.template_name = "Device";
    request.transaction_id = "tid";
    request.authorization = POLICY_BY_CHALLENGE;
    request.signer_key = &key;
    request.client_address = "192.0.2.1";
    policy = policy_make(&cfg, p);
    ck_assert_ptr_null(policy_add(policy, &policy_none, 0, NULL, p));
    ck_assert_ptr_null(policy_prepare(policy, geteuid(), getegid(), sink, p));
    ck_assert_int_eq(policy_child_init(policy, p), APR_SUCCESS);
}

/* A request that policy allows; it is claimed. */
static void begin(int n)
{
    csr.digest[0] = (unsigned char)n;
    ck_assert_int_eq(policy_begin(&tx, policy, &request, &out, sink, p), APR_SUCCESS);
}

/* Ends the claimed transaction as pending. */
static apr_status_t pend(const char *cookie, apr_interval_time_t wait)
{
    policy_event_t event = {0};

    event.event = POLICY_EVENT_PENDING;
    event.cookie = cookie;
    event.wait = wait;
    return policy_finish(tx, &event, &out, sink, p);
}

static apr_status_t poll_tx(void)
{
    return policy_poll(&tx, policy, "tid", &key, &out, sink, p);
}

/* A transaction's key. */
static const char *tx_of(int n)
{
    unsigned char bytes[32];

    memset(bytes, n, sizeof(bytes));
    return crypt_hex(bytes, sizeof(bytes), 0, p);
}

/* A transaction that waits for a person. */
static const char *wait_for_person(int n)
{
    begin(n);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_INCOMPLETE);
    ck_assert_ptr_null(grant);
    ck_assert_int_eq(out.result, OUTCOME_PENDING);
    ck_assert_int_eq(pend(NULL, 0), APR_SUCCESS);
    return apr_pstrdup(p, tx->tx_key);
}

START_TEST(approval)
{
    const char *tx_key = wait_for_person(1);
    apr_array_header_t *waiting;
    crypt_buf_t der;
    policy_attributes_t added;
    store_tx_t *found;

    ck_assert_int_eq(policy_waiting(policy, 10, &waiting, &out, sink, p), APR_SUCCESS);
    ck_assert_int_eq(waiting->nelts, 1);
    ck_assert_int_eq(policy_waiting_request(policy, tx_key, &der, &added, &found, &out, sink, p),
                     APR_SUCCESS);
    ck_assert_mem_eq(der.data, csr.der.data, csr.der.len);
    ck_assert_str_eq(found->subject, "CN=device");
    ck_assert_int_eq(poll_tx(), APR_SUCCESS);
    ck_assert_int_eq(tx->state, POLICY_TX_PENDING);

    ck_assert_int_eq(policy_decide(policy, tx_key, 1, "ann", "known", &out, sink, p), APR_SUCCESS);
    ck_assert_int_eq(poll_tx(), APR_SUCCESS);
    ck_assert_int_eq(tx->state, POLICY_TX_CLAIMED);
    ck_assert_ptr_null(tx->ca_cookie);
    ck_assert_mem_eq(tx->csr_der.data, csr.der.data, csr.der.len);
    /* without its request nothing is granted */
    ck_assert_int_ne(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
    ck_assert_ptr_null(grant);
    ck_assert_int_eq(policy_resume(tx, &request, &out, p), APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
    ck_assert_str_eq(grant_tx_key(grant), tx_key);
}
END_TEST

START_TEST(approved_stays_so_while_the_ca_is_away)
{
    const char *tx_key = wait_for_person(1);

    ck_assert_int_eq(policy_decide(policy, tx_key, 1, "ann", "", &out, sink, p), APR_SUCCESS);
    ck_assert_int_eq(poll_tx(), APR_SUCCESS);
    ck_assert_int_eq(policy_resume(tx, &request, &out, p), APR_SUCCESS);
    ck_assert_int_eq(pend(NULL, apr_time_from_msec(1)), APR_SUCCESS);
    apr_sleep(apr_time_from_msec(5));
    ck_assert_int_eq(poll_tx(), APR_SUCCESS);
    ck_assert_int_eq(tx->state, POLICY_TX_CLAIMED);
    ck_assert_int_eq(policy_resume(tx, &request, &out, p), APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
}
END_TEST

START_TEST(two_requests_of_one_name)
{
    const char *one = wait_for_person(1), *two;

    ck_assert_int_eq(policy_decide(policy, one, 1, "ann", "known", &out, sink, p), APR_SUCCESS);
    csr.der.data = (const unsigned char *)"the device's other request...";
    two = wait_for_person(2);
    ck_assert_str_ne(one, two);
    csr.der.data = (const unsigned char *)"the request and its challenge";
    begin(1);
    ck_assert_int_eq(tx->state, POLICY_TX_PENDING);
    ck_assert_int_eq(poll_tx(), APR_SUCCESS);
    ck_assert_str_eq(tx->tx_key, one);
    ck_assert_int_eq(tx->state, POLICY_TX_CLAIMED);
    ck_assert_mem_eq(tx->csr_der.data, csr.der.data, csr.der.len);
    ck_assert_int_eq(policy_resume(tx, &request, &out, p), APR_SUCCESS);
}
END_TEST

START_TEST(denial)
{
    const char *tx_key = wait_for_person(1);

    ck_assert_int_eq(policy_decide(policy, tx_key, 0, "ann", "not ours", &out, sink, p),
                     APR_SUCCESS);
    ck_assert_int_eq(policy_decide(policy, tx_key, 1, "bob", "", &out, sink, p), APR_EBUSY);
    ck_assert_int_eq(poll_tx(), APR_EACCES);
    ck_assert_str_eq(out.reason, "denied");
    ck_assert_str_eq(out.text, "not ours");
    ck_assert_ptr_nonnull(strstr(out.detail, "ann"));
    /* sent again: denied again */
    ck_assert_int_eq(policy_begin(&tx, policy, &request, &out, sink, p), APR_EACCES);
    ck_assert_str_eq(out.reason, "denied");
    ck_assert_int_eq(policy_decide(policy, tx_of(0xff), 0, "ann", "x", &out, sink, p),
                     APR_NOTFOUND);
}
END_TEST

START_TEST(some_templates_only)
{
    APR_ARRAY_PUSH((apr_array_header_t *)cfg.approval, const char *) = "Vip";
    begin(1);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
    request.template_name = "Vip";
    begin(2);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_INCOMPLETE);
}
END_TEST

START_TEST(the_cas_cookie)
{
    cfg.approval = NULL;
    begin(1);
    /* what a CA calls "approval" is no person's */
    ck_assert_int_eq(pend("approval", apr_time_from_msec(1)), APR_SUCCESS);
    apr_sleep(apr_time_from_msec(5));
    ck_assert_int_eq(poll_tx(), APR_SUCCESS);
    ck_assert_int_eq(tx->state, POLICY_TX_CLAIMED);
    ck_assert_str_eq(tx->ca_cookie, "approval");
}
END_TEST

START_TEST(nobody_decides_for_the_ca)
{
    cfg.approval = NULL;
    begin(1);
    ck_assert_int_eq(pend("approval", apr_time_from_msec(1)), APR_SUCCESS);
    ck_assert_int_eq(policy_decide(policy, tx->tx_key, 1, "ann", "", &out, sink, p), APR_EBUSY);
    ck_assert_int_eq(policy_decide(policy, tx->tx_key, 0, "ann", "x", &out, sink, p), APR_EBUSY);
    apr_sleep(apr_time_from_msec(5));
    ck_assert_int_eq(poll_tx(), APR_SUCCESS);
    ck_assert_int_eq(tx->state, POLICY_TX_CLAIMED);
    ck_assert_str_eq(tx->store_tx.decision, "");
}
END_TEST

START_TEST(the_cap)
{
    cfg.pending_max = 1;
    wait_for_person(1);
    begin(2);
    ck_assert_int_eq(pend(NULL, 0), APR_ENOSPC);
    ck_assert_int_eq(out.result, OUTCOME_LIMITED);
    ck_assert_str_eq(out.reason, "pending-full");
    ck_assert_ptr_nonnull(strstr(out.detail, "ScepPendingMax"));
}
END_TEST

START_TEST(the_cap_of_one_certificate)
{
    fixture_certificate_t want = {.subject = "device"};
    int n;

    request.authorization = POLICY_BY_SIGNER;
    request.signer = fixture_certificate(p, &want);
    for (n = 1; n <= 9; n++) {
        request.transaction_id = apr_itoa(p, n);
        begin(n);
        ck_assert_int_eq(pend(NULL, 0), n <= 8 ? APR_SUCCESS : APR_ENOSPC);
    }
    ck_assert_int_eq(out.result, OUTCOME_LIMITED);
    ck_assert_str_eq(out.reason, "pending-full");
    ck_assert_ptr_nonnull(strstr(out.detail, "certificate in use"));
    want.subject = "another";
    request.signer = fixture_certificate(p, &want);
    begin(9);
    ck_assert_int_eq(pend(NULL, 0), APR_SUCCESS);
    request.authorization = POLICY_BY_CHALLENGE;
    request.signer = NULL;
    for (n = 10; n < 20; n++)
        wait_for_person(n);
}
END_TEST

START_TEST(another_request)
{
    const char *tx_key = wait_for_person(1);

    ck_assert_int_eq(policy_decide(policy, tx_key, 1, "ann", "", &out, sink, p), APR_SUCCESS);
    ck_assert_int_eq(poll_tx(), APR_SUCCESS);
    csr.digest[0] = 2;
    ck_assert_int_eq(policy_resume(tx, &request, &out, p), APR_EINVAL);
    ck_assert_ptr_null(tx->request);
    csr.digest[0] = 1;
    request.authorization = POLICY_BY_SIGNER;
    ck_assert_int_eq(policy_resume(tx, &request, &out, p), APR_EINVAL);
}
END_TEST

START_TEST(nobody_authorized)
{
    request.authorization = POLICY_BY_NOTHING;
    ck_assert_int_eq(policy_begin(&tx, policy, &request, &out, sink, p), APR_EACCES);
    ck_assert_str_eq(out.reason, "not-authorized");
    request.authorization = POLICY_BY_SIGNER;
    ck_assert_int_eq(policy_begin(&tx, policy, &request, &out, sink, p), APR_EACCES);
}
END_TEST

START_TEST(unknown_transaction)
{
    ck_assert_int_eq(poll_tx(), APR_EACCES);
    ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_CERT_ID);
    ck_assert_str_eq(out.reason, "transaction-unknown");
}
END_TEST

START_TEST(seals)
{
    const char *one = tx_of(1), *two = tx_of(2);
    crypt_buf_t sealed, plain, changed;
    unsigned char *copy;
    apr_size_t i;

    ck_assert_int_eq(policy_seal(&sealed, policy, one, &csr.der, p), APR_SUCCESS);
    ck_assert_int_eq(policy_unseal(&plain, policy, one, &sealed, p), APR_SUCCESS);
    ck_assert_uint_eq(plain.len, csr.der.len);
    ck_assert_mem_eq(plain.data, csr.der.data, plain.len);
    ck_assert_int_eq(policy_unseal(&plain, policy, two, &sealed, p), APR_EINVAL);
    for (i = 0; i < sealed.len; i++) {
        changed.data = copy = apr_pmemdup(p, sealed.data, sealed.len);
        changed.len = sealed.len;
        copy[i] ^= 1;
        ck_assert_int_eq(policy_unseal(&plain, policy, one, &changed, p), APR_EINVAL);
        ck_assert_ptr_null(plain.data);
        changed.len = i;
        copy[i] ^= 1;
        ck_assert_int_eq(policy_unseal(&plain, policy, one, &changed, p), APR_EINVAL);
    }
    secret_wipe(&policy->secret);
    memset(&policy->secret, 0, sizeof(policy->secret));
    ck_assert_int_eq(policy_seal(&sealed, policy, one, &csr.der, p), APR_EGENERAL);
    ck_assert_ptr_null(policy_token(policy, "x", p));
}
END_TEST

START_TEST(tokens)
{
    const char *token = policy_token(policy, "ann", p);

    ck_assert_uint_eq(strlen(token), 64);
    ck_assert_str_eq(token, policy_token(policy, "ann", p));
    ck_assert_str_ne(token, policy_token(policy, "bob", p));
}
END_TEST

Suite *test_policy_wait_suite(void)
{
    Suite *suite = suite_create("test_policy_wait");
    TCase *tcase = tcase_create("wait");

    tcase_add_checked_fixture(tcase, setup, fixture_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, approval);
    tcase_add_test(tcase, approved_stays_so_while_the_ca_is_away);
    tcase_add_test(tcase, two_requests_of_one_name);
    tcase_add_test(tcase, denial);
    tcase_add_test(tcase, some_templates_only);
    tcase_add_test(tcase, the_cas_cookie);
    tcase_add_test(tcase, nobody_decides_for_the_ca);
    tcase_add_test(tcase, the_cap);
    tcase_add_test(tcase, the_cap_of_one_certificate);
    tcase_add_test(tcase, another_request);
    tcase_add_test(tcase, nobody_authorized);
    tcase_add_test(tcase, unknown_transaction);
    tcase_add_test(tcase, seals);
    tcase_add_test(tcase, tokens);
    suite_add_tcase(suite, tcase);
    return suite;
}
