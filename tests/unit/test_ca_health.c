/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a CA can be asked: what its backend says, how often that is asked, and a CA that is left
 * alone after failures. */
#include "../../ca_backend/ca_gate.h"
#include "ca_fixture.h"

#include <apr_strings.h>
#include <string.h>

Suite *test_ca_health_suite(void);

static struct {
    int asked;
    apr_status_t rv, submitted;
    ca_t *nested; /* asked again while it is asked */
    volatile int hangs;
    volatile apr_time_t ends; /* no longer than until then; 0: for ever */
    volatile int gone, late;  /* the instance is; it was used then */
} stub;

static const char *stub_create(void **pinstance, const settings_t *settings,
                               const ca_config_t *cfg, apr_pool_t *p)
{
    (void)settings;
    (void)cfg;
    (void)p;
    *pinstance = NULL;
    return NULL;
}

static apr_status_t stub_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)instance;
    (void)request;
    (void)log;
    (void)p;
    answer->result = CA_REJECTED;
    return stub.submitted;
}

static apr_status_t stub_health(void *instance, const char **text, apr_pool_t *p)
{
    const char *nested = NULL;
    ca_t *again = stub.nested;

    (void)instance;
    stub.asked++;
    if (again != NULL) {
        stub.nested = NULL;
        ck_assert_int_eq(ca_health(again, &nested, p), APR_SUCCESS);
    }
    while (stub.hangs && (stub.ends == 0 || apr_time_now() < stub.ends)) {
        apr_sleep(apr_time_from_msec(5));
    }
    stub.late = stub.gone;
    if (stub.rv != APR_SUCCESS) {
        *text = apr_psprintf(p, "no answer %d", stub.asked);
    }
    return stub.rv;
}

/* Pool cleanup of an instance. */
static apr_status_t stub_end(void *data)
{
    (void)data;
    stub.gone = 1;
    return APR_SUCCESS;
}

static apr_status_t stub_child_init(void *instance, apr_pool_t *pchild)
{
    (void)instance;
    apr_pool_pre_cleanup_register(pchild, NULL, stub_end);
    return APR_SUCCESS;
}

/* Pool cleanup: the backend answers at last. */
static apr_status_t stub_answer(void *data)
{
    (void)data;
    stub.ends = apr_time_now() + apr_time_from_msec(200);
    return APR_SUCCESS;
}

static ca_provider_t provider = {
    .name = "stub", .create = stub_create, .submit = stub_submit, .health = stub_health};

/* A fresh backend. */
static ca_t *make(int concurrency)
{
    ca_t *ca;

    memset(&stub, 0, sizeof(stub));
    provider.concurrency = concurrency;
    provider.health = stub_health;
    ck_assert_ptr_null(ca_make(&ca, &provider, 0, NULL, ca_fixture_config(), fixture_pool()));
    ck_assert_int_eq(ca_child_init(ca, fixture_pool()), APR_SUCCESS);
    return ca;
}

START_TEST(own_ca_is_always_asked)
{
    ca_t *ca = make(0);
    const char *text;

    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_SUCCESS);
    stub.rv = APR_EGENERAL;
    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_EGENERAL);
    ck_assert_str_eq(text, "no answer 2");
}
END_TEST

START_TEST(others_are_asked_now_and_then)
{
    ca_t *ca = make(2);
    const char *text;

    stub.rv = APR_EGENERAL;
    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_EGENERAL);
    stub.rv = APR_SUCCESS;
    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_EGENERAL);
    ck_assert_str_eq(text, "no answer 1");
    ck_assert_int_eq(stub.asked, 1);
}
END_TEST

/* Who comes while somebody asks does not wait. */
START_TEST(nobody_waits)
{
    ca_t *ca = make(2);
    const char *text;

    stub.nested = ca;
    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_SUCCESS);
    ck_assert_ptr_null(stub.nested);
    ck_assert_int_eq(stub.asked, 1);
}
END_TEST

/* A backend that gives no answer keeps nobody, and is not asked a second time. */
START_TEST(hangs)
{
    ca_t *ca = make(2);
    const char *text;
    int i;

    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_SUCCESS);
    apr_sleep(apr_time_from_sec(6));
    stub.hangs = 1;
    for (i = 0; i < 50; i++) {
        ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_TIMEUP);
        ck_assert_ptr_nonnull(strstr(text, "it gives no answer for "));
    }
    ck_assert_int_eq(stub.asked, 2);
    stub.hangs = 0;
    while (ca_health(ca, &text, fixture_pool()) != APR_SUCCESS) {
        apr_sleep(apr_time_from_msec(5));
    }
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(stub.asked, 2);
}
END_TEST

/* The child ends while the backend is asked. */
START_TEST(child_ends)
{
    apr_pool_t *pchild;
    const char *text;
    ca_t *ca;

    memset(&stub, 0, sizeof(stub));
    provider.concurrency = 2;
    apr_pool_create(&pchild, fixture_pool());
    ck_assert_ptr_null(ca_make(&ca, &provider, 0, NULL, ca_fixture_config(), fixture_pool()));
    ck_assert_int_eq(ca_child_init(ca, pchild), APR_SUCCESS);
    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_SUCCESS);
    apr_pool_destroy(pchild);
    ck_assert_int_eq(stub.asked, 1);
}
END_TEST

START_TEST(left_alone)
{
    ca_t *ca = make(2);
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    ca_answer_t answer;
    const char *text;
    int i;

    stub.submitted = APR_ETIMEDOUT;
    for (i = 0; i < CA_GATE_FAILURES; i++) {
        ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_SUCCESS);
        ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer,
                  fixture_log(fixture_pool()), fixture_pool());
    }
    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(text, "failed 3 times in a row and is left alone"));
    provider.health = NULL;
    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_ECONNREFUSED);
}
END_TEST

/* The thread that asks ends before what it uses does. */
START_TEST(ends_in_order)
{
    ca_t *ca;
    apr_pool_t *child;
    const char *text;

    memset(&stub, 0, sizeof(stub));
    provider.concurrency = 1;
    provider.health = stub_health;
    provider.child_init = stub_child_init;
    ck_assert_ptr_null(ca_make(&ca, &provider, 0, NULL, ca_fixture_config(), fixture_pool()));
    apr_pool_create(&child, fixture_pool());
    ck_assert_int_eq(ca_child_init(ca, child), APR_SUCCESS);
    apr_pool_pre_cleanup_register(child, NULL, stub_answer);
    stub.hangs = 1;
    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_TIMEUP);
    apr_pool_destroy(child);
    ck_assert_int_eq(stub.gone, 1);
    ck_assert_int_eq(stub.late, 0);
    provider.child_init = NULL;
}
END_TEST

START_TEST(rest_ends)
{
    ca_gate_t gate;
    apr_interval_time_t wait;

    memset(&gate, 0, sizeof(gate));
    gate.max = 1;
    gate.failures = CA_GATE_FAILURES;
    gate.rests_until = 100;
    ck_assert_int_eq(ca_gate_rests(&gate, 40, &wait), 1);
    ck_assert_int_eq(wait, 60);
    ck_assert_int_eq(ca_gate_rests(&gate, 100, &wait), 0);
    ck_assert_int_eq(wait, 0);
    gate.failures--;
    ck_assert_int_eq(ca_gate_rests(&gate, 40, &wait), 0);
    gate.max = 0;
    gate.failures++;
    ck_assert_int_eq(ca_gate_rests(&gate, 40, &wait), 0);
}
END_TEST

START_TEST(stuck)
{
    const apr_time_t now = apr_time_from_sec(1000);
    apr_interval_time_t wait;
    ca_gate_t gate;
    int probe;

    memset(&gate, 0, sizeof(gate));
    gate.max = 2;
    ck_assert_int_eq(ca_gate_is_stuck(&gate, now), 0);
    ck_assert_int_eq(ca_gate_enter(&gate, now, &probe, &wait), APR_SUCCESS);
    ck_assert_int_eq(ca_gate_is_stuck(&gate, now + 2 * CA_GATE_STUCK), 0);
    ck_assert_int_eq(ca_gate_enter(&gate, now, &probe, &wait), APR_SUCCESS);
    ck_assert_int_eq(ca_gate_is_stuck(&gate, now + CA_GATE_STUCK), 0);
    ck_assert_int_eq(ca_gate_is_stuck(&gate, now + CA_GATE_STUCK + 1), 1);
    ca_gate_leave(&gate, now + CA_GATE_STUCK, 0, 0);
    ck_assert_int_eq(ca_gate_enter(&gate, now + CA_GATE_STUCK, &probe, &wait), APR_SUCCESS);
    ck_assert_int_eq(ca_gate_is_stuck(&gate, now + CA_GATE_STUCK + 1), 0);
    gate.max = 0;
    ck_assert_int_eq(ca_gate_is_stuck(&gate, now + 9 * CA_GATE_STUCK), 0);
}
END_TEST

START_TEST(without_the_slot)
{
    ca_t *ca = make(2);
    const char *text = NULL;

    provider.health = NULL;
    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_SUCCESS);
    ck_assert_str_eq(text, "");
}
END_TEST

Suite *test_ca_health_suite(void)
{
    Suite *suite = suite_create("ca_health");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, own_ca_is_always_asked);
    tcase_add_test(tcase, others_are_asked_now_and_then);
    tcase_add_test(tcase, nobody_waits);
    tcase_add_test(tcase, hangs);
    tcase_add_test(tcase, child_ends);
    tcase_add_test(tcase, stuck);
    tcase_add_test(tcase, left_alone);
    tcase_add_test(tcase, ends_in_order);
    tcase_add_test(tcase, rest_ends);
    tcase_add_test(tcase, without_the_slot);
    suite_add_tcase(suite, tcase);
    return suite;
}
