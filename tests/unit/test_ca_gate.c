/* SPDX-License-Identifier: Apache-2.0 */
/* Bulkhead and circuit breaker of CA backends: by themselves, and before a backend that fails. */
#include "../../ca_backend/ca_gate.h"
#include "ca_fixture.h"

#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <string.h>

Suite *test_ca_gate_suite(void);

#define NOW apr_time_from_sec(1000000)

static ca_gate_t gate;
static int probe;
static apr_interval_time_t wait_for;

static void setup(void)
{
    fixture_setup();
    memset(&gate, 0, sizeof(gate));
    gate.max = 2;
}

static apr_status_t enter(apr_time_t now)
{
    return ca_gate_enter(&gate, now, &probe, &wait_for);
}

/* One call from entering to leaving. */
static void call(apr_time_t now, int down)
{
    ck_assert_int_eq(enter(now), APR_SUCCESS);
    ca_gate_leave(&gate, now, probe, down);
}

START_TEST(bulkhead)
{
    ck_assert_int_eq(enter(NOW), APR_SUCCESS);
    ck_assert_int_eq(enter(NOW), APR_SUCCESS);
    ck_assert_int_eq(enter(NOW), APR_EAGAIN);
    ck_assert(wait_for > 0);
    ca_gate_leave(&gate, NOW, 0, 0);
    ck_assert_int_eq(enter(NOW), APR_SUCCESS);
    ck_assert_int_eq(enter(NOW), APR_EAGAIN);
}
END_TEST

START_TEST(no_gate)
{
    int i;

    gate.max = 0;
    for (i = 0; i < 100; i++) {
        ck_assert_int_eq(enter(NOW), APR_SUCCESS);
        ca_gate_leave(&gate, NOW, probe, 1);
    }
    ck_assert_int_eq(gate.failures, 0);
}
END_TEST

START_TEST(breaker_opens_and_closes)
{
    int i;

    for (i = 0; i < CA_GATE_FAILURES; i++) {
        call(NOW, 1);
    }
    ck_assert_int_eq(enter(NOW + 1), APR_ECONNREFUSED);
    ck_assert_int_eq(wait_for, CA_GATE_REST - 1);
    ck_assert_int_eq(enter(NOW + CA_GATE_REST - 1), APR_ECONNREFUSED);
    /* one probe at a time */
    ck_assert_int_eq(enter(NOW + CA_GATE_REST), APR_SUCCESS);
    ck_assert_int_eq(probe, 1);
    ck_assert_int_eq(enter(NOW + CA_GATE_REST), APR_ECONNREFUSED);
    ck_assert(wait_for > 0);
    /* that fails: it rests again */
    ca_gate_leave(&gate, NOW + CA_GATE_REST, 1, 1);
    ck_assert_int_eq(enter(NOW + 2 * CA_GATE_REST - 1), APR_ECONNREFUSED);
    ck_assert_int_eq(enter(NOW + 2 * CA_GATE_REST), APR_SUCCESS);
    ca_gate_leave(&gate, NOW + 2 * CA_GATE_REST, probe, 0);
    ck_assert_int_eq(enter(NOW + 2 * CA_GATE_REST), APR_SUCCESS);
    ck_assert_int_eq(probe, 0);
    ck_assert_int_eq(enter(NOW + 2 * CA_GATE_REST), APR_SUCCESS);
}
END_TEST

START_TEST(only_failures_in_a_row)
{
    int i;

    for (i = 0; i < 10 * CA_GATE_FAILURES; i++) {
        call(NOW, i % CA_GATE_FAILURES != 0);
    }
    ck_assert_int_eq(enter(NOW), APR_SUCCESS);
}
END_TEST

/* Calls that were under way when the breaker opened do not take the probe's place. */
START_TEST(late_calls)
{
    int first;

    gate.max = 10;
    ck_assert_int_eq(enter(NOW), APR_SUCCESS);
    first = probe;
    call(NOW, 1);
    call(NOW, 1);
    call(NOW, 1);
    ck_assert_int_eq(enter(NOW + CA_GATE_REST), APR_SUCCESS);
    ck_assert_int_eq(probe, 1);
    ca_gate_leave(&gate, NOW + CA_GATE_REST, first, 1);
    ck_assert_int_eq(enter(NOW + 3 * CA_GATE_REST), APR_ECONNREFUSED); /* the probe is out */
    ca_gate_leave(&gate, NOW + CA_GATE_REST, 1, 0);
    ck_assert_int_eq(enter(NOW + CA_GATE_REST), APR_SUCCESS);
    ck_assert_int_eq(gate.running, 1);
}
END_TEST

#define THREADS 8
#define ROUNDS 300

static int most, inside;

static void *APR_THREAD_FUNC visit(apr_thread_t *thread, void *data)
{
    apr_interval_time_t wait;
    int i, mine;

    (void)thread, (void)data;
    for (i = 0; i < ROUNDS; i++) {
        if (ca_gate_enter(&gate, NOW, &mine, &wait) == APR_SUCCESS) {
            apr_thread_mutex_lock(gate.mutex);
            inside++;
            most = inside > most ? inside : most;
            apr_thread_mutex_unlock(gate.mutex);
            apr_thread_yield();
            apr_thread_mutex_lock(gate.mutex);
            inside--;
            apr_thread_mutex_unlock(gate.mutex);
            ca_gate_leave(&gate, NOW, mine, 0);
        }
    }
    return NULL;
}

START_TEST(many_threads)
{
    apr_thread_t *threads[THREADS];
    apr_status_t rv;
    int i;

    most = inside = 0;
    ck_assert_int_eq(
        apr_thread_mutex_create(&gate.mutex, APR_THREAD_MUTEX_DEFAULT, fixture_pool()),
        APR_SUCCESS);
    for (i = 0; i < THREADS; i++) {
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, visit, NULL, fixture_pool()),
                         APR_SUCCESS);
    }
    for (i = 0; i < THREADS; i++) {
        apr_thread_join(&rv, threads[i]);
    }
    ck_assert_int_eq(gate.running, 0);
    ck_assert_int_le(most, 2);
}
END_TEST

/* A backend that does as it is told. */
static struct {
    ca_result_e result;
    int down, asked;
    apr_status_t rv;
} stub;
static ca_t *nested;
static ca_answer_t nested_answer;

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
    ca_t *again = nested;

    (void)instance;
    stub.asked++;
    if (again != NULL) {    /* another request while this one is under way */
        nested = NULL;
        ca_submit(again, request->grant, request->csr, request->deadline, &nested_answer, log, p);
    }
    answer->result = stub.result;
    answer->down = stub.down;
    return stub.rv;
}

static apr_status_t stub_poll(void *instance, const ca_request_t *request, const char *cookie,
                              ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    (void)cookie;
    return stub_submit(instance, request, answer, log, p);
}

static const ca_provider_t remote = {.name = "remote", .concurrency = 4, .create = stub_create,
                                     .submit = stub_submit, .poll = stub_poll};
static const ca_provider_t near = {.name = "near", .create = stub_create, .submit = stub_submit};

/* The backend with an option, as a child has it. */
static ca_t *make(const ca_provider_t *provider, const char *word)
{
    const char *error;
    ca_t *ca;

    memset(&stub, 0, sizeof(stub));
    nested = NULL;
    error = ca_make(&ca, provider, word != NULL ? 1 : 0, &word, ca_fixture_config(),
                    fixture_pool());
    ck_assert_msg(error == NULL, "%s", error);
    ck_assert_int_eq(ca_child_init(ca, fixture_pool()), APR_SUCCESS);
    return ca;
}

/* The reason of the backend's answer. */
static const char *reason(ca_t *ca, int polls)
{
    static ca_answer_t answer;
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);

    if (polls) {
        ca_poll(ca, request->grant, request->csr, "cookie", ca_fixture_deadline(), &answer,
                fixture_log(fixture_pool()), fixture_pool());
    }
    else {
        ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer,
                  fixture_log(fixture_pool()), fixture_pool());
    }
    if (strcmp(answer.outcome.reason, "ca-down") == 0) {
        ck_assert_int_eq(answer.result, CA_RETRY);
        ck_assert_int_eq(answer.unknown, 0); /* nothing can have been signed */
        ck_assert_int_eq(answer.outcome.result, OUTCOME_UNAVAILABLE);
        ck_assert(answer.outcome.retry_after > 0);
        ck_assert(answer.retry_after > 0);
    }
    return answer.outcome.reason;
}

static const struct {
    apr_status_t rv;
    ca_result_e result;
    int down;
    const char *reason;
    int opens;
} breaker_cases[] = {{APR_EGENERAL, CA_RETRY, 0, "ca-error", 1},
                     {APR_SUCCESS, CA_RETRY, 1, "no-answer", 1},
                     {APR_SUCCESS, CA_RETRY, 0, "no-answer", 0},
                     {APR_SUCCESS, CA_REJECTED, 0, "ca-rejected", 0},
                     {APR_SUCCESS, CA_REJECTED, 1, "ca-rejected", 0}};

START_TEST(breaker_of_a_backend)
{
    ca_t *ca = make(&remote, NULL);
    int i;

    stub.rv = breaker_cases[_i].rv;
    stub.result = breaker_cases[_i].result;
    stub.down = breaker_cases[_i].down;
    for (i = 0; i < CA_GATE_FAILURES; i++) {
        ck_assert_str_eq(reason(ca, i % 2), breaker_cases[_i].reason);
    }
    ck_assert_str_eq(reason(ca, 0), breaker_cases[_i].opens ? "ca-down" : breaker_cases[_i].reason);
    ck_assert_str_eq(reason(ca, 1), breaker_cases[_i].opens ? "ca-down" : breaker_cases[_i].reason);
    ck_assert_int_eq(stub.asked, CA_GATE_FAILURES + (breaker_cases[_i].opens ? 0 : 2));
}
END_TEST

START_TEST(bulkhead_of_a_backend)
{
    ca_t *ca = make(&remote, "concurrency=1");

    stub.result = CA_REJECTED;
    nested = ca;
    ck_assert_str_eq(reason(ca, 0), "ca-rejected");
    ck_assert_str_eq(nested_answer.outcome.reason, "ca-busy");
    ck_assert_int_eq(nested_answer.result, CA_RETRY);
    ck_assert_int_eq(nested_answer.unknown, 0);
    ck_assert_int_eq(stub.asked, 1);
    ca = make(&remote, "concurrency=2");
    stub.result = CA_REJECTED;
    nested = ca;
    ck_assert_str_eq(reason(ca, 0), "ca-rejected");
    ck_assert_str_eq(nested_answer.outcome.reason, "ca-rejected");
}
END_TEST

/* The number of an instance, where its options decide. */
static int one_at_a_time(const void *instance)
{
    (void)instance;
    return 1;
}

START_TEST(bulkhead_of_an_instance)
{
    ca_provider_t limited = near;
    ca_t *ca;

    limited.limit = one_at_a_time;
    ca = make(&limited, NULL);
    stub.result = CA_REJECTED;
    nested = ca;
    ck_assert_str_eq(reason(ca, 0), "ca-rejected");
    ck_assert_str_eq(nested_answer.outcome.reason, "ca-busy");
    ck_assert_int_eq(stub.asked, 1);
}
END_TEST

START_TEST(backends_without_a_gate)
{
    ca_t *ca = make(&near, NULL);
    int i;

    stub.rv = APR_EGENERAL;
    for (i = 0; i < 10; i++) {
        ck_assert_str_eq(reason(ca, 0), "ca-error");
    }
}
END_TEST

static const struct {
    const ca_provider_t *provider;
    const char *word, *error;
} option_cases[] = {{&remote, "concurrency=0", "concurrency"},
                    {&remote, "concurrency=10001", "concurrency"},
                    {&remote, "concurrency=many", "concurrency"},
                    {&remote, "concurrent=1", "known keys: concurrency=NUMBER"},
                    {&near, "concurrency=1", "concurrency"}};

START_TEST(options)
{
    const char *error;
    ca_t *ca;

    error = ca_make(&ca, option_cases[_i].provider, 1, &option_cases[_i].word,
                    ca_fixture_config(), fixture_pool());
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error, option_cases[_i].error) != NULL, "%s", error);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *test_ca_gate_suite(void)
{
    Suite *suite = suite_create("ca_gate");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, setup, fixture_teardown);
    tcase_add_test(tcase, bulkhead);
    tcase_add_test(tcase, no_gate);
    tcase_add_test(tcase, breaker_opens_and_closes);
    tcase_add_test(tcase, only_failures_in_a_row);
    tcase_add_test(tcase, late_calls);
    tcase_add_test(tcase, many_threads);
    tcase_add_loop_test(tcase, breaker_of_a_backend, 0, COUNT(breaker_cases));
    tcase_add_test(tcase, bulkhead_of_a_backend);
    tcase_add_test(tcase, bulkhead_of_an_instance);
    tcase_add_test(tcase, backends_without_a_gate);
    tcase_add_loop_test(tcase, options, 0, COUNT(option_cases));
    suite_add_tcase(suite, tcase);
    return suite;
}
