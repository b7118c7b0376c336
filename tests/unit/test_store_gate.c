/* SPDX-License-Identifier: Apache-2.0 */
/* The gate of the SQLite store's writers: one inside, one commit for a queue, no answer before. */
#include "../../policy/store/store_sqlite_gate.h"
#include "store_fixture.h"
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <string.h>

Suite *test_store_gate_suite(void);

#define THREADS 8
#define TURNS 500
#define LONG apr_time_from_sec(20)

static apr_pool_t *p;
static gate_t gate;
static int inside, turns, commits, in_batch, largest;    /* guarded by the gate */

/* Goes in, counts, and lets one of the queue commit; says so in data if all was well. */
static void *APR_THREAD_FUNC take_turns(apr_thread_t *thread, void *data)
{
    char text[GATE_TEXT_SIZE];
    int i, joined, error, committed;

    for (i = 0; i < TURNS; i++) {
        if (gate_enter(&gate, &joined, LONG) != APR_SUCCESS)
            return NULL;
        if (inside++)
            return NULL;
        in_batch = joined ? in_batch + 1 : 1;
        largest = in_batch > largest ? in_batch : largest;
        committed = commits;
        turns++;
        inside--;
        if (!gate_pass_on(&gate, &error, text, sizeof(text))) {
            commits++;
            gate_close(&gate, 0, "");
        }
        else if (__atomic_load_n(&commits, __ATOMIC_RELAXED) == committed || error)
            return NULL;
    }
    *(int *)data = 1;
    (void)thread;
    return NULL;
}

/* Goes in after the first, and ends the batch with an error. */
static void *APR_THREAD_FUNC fail_batch(apr_thread_t *thread, void *data)
{
    char text[GATE_TEXT_SIZE];
    int joined = 0, error = 0;

    (void)thread;
    if (gate_enter(&gate, &joined, LONG) == APR_SUCCESS && joined &&
        !gate_pass_on(&gate, &error, text, sizeof(text))) {
        gate_close(&gate, 7, "disk");
        *(int *)data = 1;
    }
    return NULL;
}

static void setup(void)
{
    p = fixture_pool();
    ck_assert_int_eq(gate_init(&gate, p), APR_SUCCESS);
    inside = turns = commits = in_batch = largest = 0;
}

/* Ends once somebody waits at the gate. */
static void wait_for_queue(void)
{
    int waiting = 0;

    while (!waiting) {
        apr_thread_mutex_lock(gate.mutex);
        waiting = gate.waiting;
        apr_thread_mutex_unlock(gate.mutex);
    }
}

START_TEST(one_alone_commits_at_once)
{
    char text[GATE_TEXT_SIZE];
    int i, joined = 1, error;

    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(gate_enter(&gate, &joined, LONG), APR_SUCCESS);
        ck_assert_int_eq(joined, 0);
        ck_assert_int_eq(gate_pass_on(&gate, &error, text, sizeof(text)), 0);
        gate_close(&gate, 0, "");
    }
}
END_TEST

START_TEST(who_cannot_enter_is_told_in_time)
{
    char text[GATE_TEXT_SIZE];
    int joined, error;

    ck_assert_int_eq(gate_enter(&gate, &joined, LONG), APR_SUCCESS);
    ck_assert_int_eq(gate_enter(&gate, &joined, 20000), APR_TIMEUP);
    ck_assert_int_eq(gate_enter(&gate, &joined, 0), APR_TIMEUP);
    /* and is not waited for */
    ck_assert_int_eq(gate_pass_on(&gate, &error, text, sizeof(text)), 0);
    gate_close(&gate, 0, "");
    ck_assert_int_eq(gate_enter(&gate, &joined, 0), APR_SUCCESS);
    gate_close(&gate, 0, "");
}
END_TEST

START_TEST(an_error_is_everybodys)
{
    char text[GATE_TEXT_SIZE] = "";
    apr_thread_t *thread;
    int joined, error = 0, done = 0;
    apr_status_t rv;

    ck_assert_int_eq(gate_enter(&gate, &joined, LONG), APR_SUCCESS);
    ck_assert_int_eq(apr_thread_create(&thread, NULL, fail_batch, &done, p), APR_SUCCESS);
    wait_for_queue();
    ck_assert_int_eq(gate_pass_on(&gate, &error, text, sizeof(text)), 1);
    ck_assert_int_eq(error, 7);
    ck_assert_str_eq(text, "disk");
    apr_thread_join(&rv, thread);
    ck_assert_int_eq(done, 1);
    ck_assert_ptr_null(gate.batch);
}
END_TEST

START_TEST(many_share_commits)
{
    apr_thread_t *threads[THREADS];
    int done[THREADS] = {0};
    apr_status_t rv;
    int i;

    for (i = 0; i < THREADS; i++)
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, take_turns, &done[i], p),
                         APR_SUCCESS);
    for (i = 0; i < THREADS; i++) {
        apr_thread_join(&rv, threads[i]);
        ck_assert_int_eq(done[i], 1);
    }
    ck_assert_int_eq(turns, THREADS * TURNS);
    ck_assert_int_ge(turns, commits);
    ck_assert_int_le(largest, 32);
    ck_assert_ptr_null(gate.batch);
}
END_TEST

/* What a store thread did. */
typedef struct issuer_t {
    store_t *store;
    apr_pool_t *pool;
    int number, issued;
} issuer_t;

/* Issues challenges of its own. */
static void *APR_THREAD_FUNC issue_some(apr_thread_t *thread, void *data)
{
    issuer_t *issuer = data;
    apr_interval_time_t wait;
    store_result_e result;
    int i, outstanding;

    (void)thread;
    for (i = 0; i < 40; i++) {
        store_challenge_t ch = {0};

        ch.id = apr_psprintf(issuer->pool, "%032x%032x", (unsigned)issuer->number, (unsigned)i);
        ch.lifetime = apr_time_from_sec(600);
        ch.uses = 1;
        ch.caller = ch.template_name = ch.bound = "";
        if (store_issue(issuer->store, "gate", &ch, 0, &result, &outstanding, &wait,
                        issuer->pool) == APR_SUCCESS && result == STORE_OK)
            issuer->issued++;
    }
    return NULL;
}

START_TEST(threads_of_one_store)
{
    store_t *store = store_fixture_open(KIND_SQLITE, p);
    store_challenge_t ch = {0};
    issuer_t issuers[THREADS];
    apr_thread_t *threads[THREADS];
    apr_interval_time_t wait;
    store_result_e result;
    apr_status_t rv;
    int i, outstanding = 0;

    for (i = 0; i < THREADS; i++) {
        issuers[i].store = store;
        issuers[i].number = i;
        issuers[i].issued = 0;
        ck_assert_int_eq(apr_pool_create(&issuers[i].pool, NULL), APR_SUCCESS);
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, issue_some, &issuers[i], p),
                         APR_SUCCESS);
    }
    for (i = 0; i < THREADS; i++) {
        apr_thread_join(&rv, threads[i]);
        ck_assert_int_eq(issuers[i].issued, 40);
        apr_pool_destroy(issuers[i].pool);
    }
    ch.id = apr_psprintf(p, "%064x", 0xabcdu);
    ch.lifetime = apr_time_from_sec(600);
    ch.uses = 1;
    ch.caller = ch.template_name = ch.bound = "";
    ck_assert_int_eq(store_issue(store, "gate", &ch, 0, &result, &outstanding, &wait, p),
                     APR_SUCCESS);
    ck_assert_int_eq(outstanding, THREADS * 40 + 1);
}
END_TEST

Suite *test_store_gate_suite(void)
{
    Suite *suite = suite_create("test_store_gate");
    TCase *tcase = tcase_create("gate");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, one_alone_commits_at_once);
    tcase_add_test(tcase, who_cannot_enter_is_told_in_time);
    tcase_add_test(tcase, an_error_is_everybodys);
    tcase_add_test(tcase, many_share_commits);
    tcase_add_test(tcase, threads_of_one_store);
    suite_add_tcase(suite, tcase);
    return suite;
}
