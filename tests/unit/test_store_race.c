/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races between processes on one store: each challenge is spent exactly once, whoever dies
 * meanwhile; one decision wins, and limits are exact.
 *
 * What the processes did is kept in memory that they share with the test.
 */
#include "store_fixture.h"
#include <apr_strings.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *test_store_race_suite(void);

#define WORKERS 5
#define CHALLENGES 120
#define GUESSES 30
#define SERVICE "race"
#define LIFE apr_time_from_sec(600)
#define KEEP apr_time_from_sec(3600)

typedef struct shared_t {
    volatile int committed[CHALLENGES];  /* commits that were answered with OK */
    volatile int winner[CHALLENGES];     /* the transaction that did */
    volatile int decided[2][CHALLENGES]; /* decisions that were answered with OK: deny, approve */
    volatile int refused, limited;       /* claims that were answered so */
    volatile int errors;
    volatile int go;
} shared_t;

static apr_pool_t *p;
static store_t *store;
static shared_t *shared;
static const char *service;

/* 64 hex digits for a number in a name space. */
static const char *name(apr_pool_t *pool, int space, int n)
{
    return apr_psprintf(pool, "%032x%032x", (unsigned)space, (unsigned)n);
}

/* Opens the store of a kind and issues all challenges; whether there is one. */
static int open_race(int kind, int uses)
{
    store_challenge_t ch = {0};
    apr_interval_time_t free_in;
    store_result_e result;
    int n, outstanding;

    p = fixture_pool();
    store = store_fixture_open(kind, p);
    if (!store)
        return 0;
    service = apr_psprintf(p, SERVICE "%d-%d", (int)getpid(), kind);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ch.lifetime = LIFE;
    ch.uses = uses;
    ch.caller = ch.template_name = ch.bound = "";
    for (n = 0; n < CHALLENGES; n++) {
        ch.id = name(p, 1, n);
        ck_assert_int_eq(store_issue(store, service, &ch, 0, &result, &outstanding, &free_in, p),
                         APR_SUCCESS);
        ck_assert_int_eq(result, STORE_OK);
    }
    return 1;
}

/* Claims challenge n with transaction t. */
static apr_status_t claim(int t, int n, unsigned nonce, apr_interval_time_t lease,
                          store_result_e *result, store_tx_t *tx, apr_pool_t *pool)
{
    store_claim_t c = {0};

    c.tx_key = name(pool, 2, t);
    c.poll_key = name(pool, 3, t);
    c.csr_digest = name(pool, 4, t);
    c.challenge_id[0] = name(pool, 1, n);
    c.nonce = apr_psprintf(pool, "%032x", nonce);
    c.lease = lease;
    c.retention = KEEP;
    c.serial = apr_psprintf(pool, "%032x", nonce);
    c.transaction_id = c.subject = c.template_name = c.client = "";
    return store_claim(store, service, &c, result, tx, pool);
}

/* Commits transaction t; its certificate is its number. */
static apr_status_t commit(int t, apr_int64_t fence, store_result_e *result, apr_pool_t *pool)
{
    crypt_buf_t cert;

    cert.data = (const unsigned char *)&t;
    cert.len = sizeof(t);
    return store_commit(store, service, name(pool, 2, t), fence, &cert, "", KEEP,
                        NULL, result, pool);
}

/* One worker: tries every challenge, in an order of its own, with a transaction of its own. */
static void work(int worker, apr_interval_time_t lease, int rounds)
{
    apr_pool_t *pool;
    store_result_e result;
    store_tx_t tx;
    int i, n, t;

    apr_pool_create(&pool, NULL);
    if (store_child_init(store, pool) != APR_SUCCESS)
        _exit(1);
    while (!shared->go)
        apr_sleep(500);
    for (i = 0; i < CHALLENGES * rounds; i++) {
        apr_pool_t *each;

        n = (i * 7 + worker % 2 * 3) % CHALLENGES;
        t = worker * CHALLENGES + n;
        apr_pool_create(&each, pool);
        if (claim(t, n, (unsigned)(worker * 100000 + i), lease, &result, &tx, each) != APR_SUCCESS)
            __sync_fetch_and_add(&shared->errors, 1);
        else if (result == STORE_CLAIMED) {
            if (commit(t, tx.fence, &result, each) != APR_SUCCESS)
                __sync_fetch_and_add(&shared->errors, 1);
            else if (result == STORE_OK) {
                __sync_fetch_and_add(&shared->committed[n], 1);
                shared->winner[n] = t;
            }
        }
        apr_pool_destroy(each);
    }
    _exit(0);
}

/* Starts the workers. */
static void start(pid_t *pids, apr_interval_time_t lease, int rounds)
{
    int i;

    for (i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            work(i, lease, rounds);
        ck_assert_int_gt(pids[i], 0);
    }
    shared->go = 1;
}

START_TEST(each_challenge_is_spent_once)
{
    pid_t pids[WORKERS];
    store_result_e result;
    store_tx_t tx;
    int i, n;

    if (!open_race(_i, 1))
        return;
    start(pids, apr_time_from_sec(60), 2);
    for (i = 0; i < WORKERS; i++)
        waitpid(pids[i], NULL, 0);
    ck_assert_int_eq(shared->errors, 0);
    for (n = 0; n < CHALLENGES; n++) {
        ck_assert_int_eq(shared->committed[n], 1);
        ck_assert_int_eq(claim(shared->winner[n], n, 7, KEEP, &result, &tx, p), APR_SUCCESS);
        ck_assert_int_eq(result, STORE_ISSUED);
        ck_assert_mem_eq(tx.certificate.data, (const void *)&shared->winner[n], sizeof(int));
        ck_assert_int_eq(claim(999999, n, 7, KEEP, &result, &tx, p), APR_SUCCESS);
        ck_assert_int_eq(result, STORE_USED);
    }
}
END_TEST

START_TEST(three_uses_are_three_certificates)
{
    pid_t pids[WORKERS];
    int i, n;

    if (!open_race(_i, 3))
        return;
    start(pids, apr_time_from_sec(60), 3);
    for (i = 0; i < WORKERS; i++)
        waitpid(pids[i], NULL, 0);
    ck_assert_int_eq(shared->errors, 0);
    for (n = 0; n < CHALLENGES; n++)
        ck_assert_int_eq(shared->committed[n], 3);
}
END_TEST

/* The SQLite file has no damage. */
static void check_file(void)
{
    sqlite3_stmt *statement;
    sqlite3 *db;

    ck_assert_int_eq(sqlite3_open(strchr(store->display, ':') + 1, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    ck_assert_str_eq((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

START_TEST(killed_workers_lose_nothing)
{
    pid_t pids[WORKERS];
    store_result_e result;
    store_tx_t tx;
    int i, n, free_ones = 0;

    if (!open_race(_i, 1))
        return;
    start(pids, apr_time_from_msec(150), 1);
    apr_sleep(apr_time_from_msec(15));
    for (i = 0; i < WORKERS - 1; i++) {
        kill(pids[i], SIGKILL);
        apr_sleep(apr_time_from_msec(5));
    }
    for (i = 0; i < WORKERS; i++)
        waitpid(pids[i], NULL, 0);
    apr_sleep(apr_time_from_msec(200));
    for (n = 0; n < CHALLENGES; n++) {
        ck_assert_int_le(shared->committed[n], 1);
        ck_assert_int_eq(claim(900000 + n, n, 8, KEEP, &result, &tx, p), APR_SUCCESS);
        if (result == STORE_CLAIMED) {
            ck_assert_int_eq(shared->committed[n], 0);
            ck_assert_int_eq(commit(900000 + n, tx.fence, &result, p), APR_SUCCESS);
            ck_assert_int_eq(result, STORE_OK);
            free_ones++;
        }
        else
            ck_assert_int_eq(result, STORE_USED);
    }
    ck_assert_int_lt(free_ones, CHALLENGES);
    if (_i == KIND_SQLITE)
        check_file();
}
END_TEST

/* One worker: half approve each transaction, half deny it. */
static void decide(int worker)
{
    store_decision_t decision = {worker % 2, "worker", "race", "", NULL};
    apr_pool_t *pool;
    store_result_e result;
    int n;

    apr_pool_create(&pool, NULL);
    if (store_child_init(store, pool) != APR_SUCCESS)
        _exit(1);
    while (!shared->go)
        apr_sleep(500);
    for (n = 0; n < CHALLENGES; n++) {
        if (store_decide(store, service, name(pool, 2, n), &decision, KEEP, &result, pool) !=
                APR_SUCCESS ||
            (result != STORE_OK && result != STORE_CONFLICT))
            __sync_fetch_and_add(&shared->errors, 1);
        else if (result == STORE_OK)
            __sync_fetch_and_add(&shared->decided[decision.approve][n], 1);
    }
    _exit(0);
}

START_TEST(one_decision_wins)
{
    store_pend_t pend = {0};
    store_result_e result;
    pid_t pids[WORKERS];
    store_tx_t tx;
    int i, n;

    if (!open_race(_i, 1))
        return;
    pend.cookie = pend.owner = "";
    pend.wait = pend.retention = KEEP;
    for (n = 0; n < CHALLENGES; n++) {
        ck_assert_int_eq(claim(n, n, 1, KEEP, &result, &tx, p), APR_SUCCESS);
        ck_assert_int_eq(store_pend(store, service, name(p, 2, n), tx.fence, &pend,
                                    NULL, &result, p),
                         APR_SUCCESS);
        ck_assert_int_eq(result, STORE_OK);
    }
    for (i = 0; i < WORKERS - 1; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            decide(i);
    }
    shared->go = 1;
    for (i = 0; i < WORKERS - 1; i++)
        waitpid(pids[i], NULL, 0);
    ck_assert_int_eq(shared->errors, 0);
    for (n = 0; n < CHALLENGES; n++) {
        int approved = shared->decided[1][n];

        ck_assert_int_eq(shared->decided[0][n] + approved, (WORKERS - 1) / 2);
        ck_assert(approved == 0 || shared->decided[0][n] == 0);
        ck_assert_int_eq(store_find(store, service, name(p, 2, n), &result, &tx, p), APR_SUCCESS);
        ck_assert_str_eq(tx.decision, approved ? "approved" : "denied");
        ck_assert_str_eq(tx.state, approved ? "pending" : "failed");
    }
}
END_TEST

/* One worker: brings challenges that nobody has issued. */
static void guess(int worker)
{
    store_claim_t c = {0};
    apr_pool_t *pool;
    store_result_e result;
    store_tx_t tx;
    int i;

    apr_pool_create(&pool, NULL);
    if (store_child_init(store, pool) != APR_SUCCESS)
        _exit(1);
    while (!shared->go)
        apr_sleep(500);
    for (i = 0; i < GUESSES; i++) {
        c.tx_key = c.poll_key = c.csr_digest = name(pool, 5, worker * GUESSES + i);
        c.challenge_id[0] = c.tx_key;
        c.nonce = c.serial = c.tx_key + 32;
        c.lease = c.retention = c.limit_window = KEEP;
        c.limit[1].name = "192.0.2.1";
        c.limit[1].max = GUESSES;
        c.transaction_id = c.subject = c.template_name = c.client = "";
        if (store_claim(store, service, &c, &result, &tx, pool) != APR_SUCCESS)
            __sync_fetch_and_add(&shared->errors, 1);
        else if (result == STORE_NOCHALLENGE)
            __sync_fetch_and_add(&shared->refused, 1);
        else if (result == STORE_LIMITED)
            __sync_fetch_and_add(&shared->limited, 1);
    }
    _exit(0);
}

START_TEST(limits_hold_for_all_processes)
{
    pid_t pids[WORKERS];
    int i;

    if (!open_race(_i, 1))
        return;
    for (i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            guess(i);
    }
    shared->go = 1;
    for (i = 0; i < WORKERS; i++)
        waitpid(pids[i], NULL, 0);
    ck_assert_int_eq(shared->errors, 0);
    ck_assert_int_eq(shared->refused, GUESSES);
    ck_assert_int_eq(shared->limited, GUESSES * (WORKERS - 1));
}
END_TEST

Suite *test_store_race_suite(void)
{
    Suite *suite = suite_create("test_store_race");
    TCase *tcase = tcase_create("processes");

    tcase_add_unchecked_fixture(tcase, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, each_challenge_is_spent_once, 0, KIND_COUNT);
    tcase_add_loop_test(tcase, three_uses_are_three_certificates, 0, KIND_COUNT);
    tcase_add_loop_test(tcase, killed_workers_lose_nothing, 0, KIND_COUNT);
    tcase_add_loop_test(tcase, one_decision_wins, 0, KIND_COUNT);
    tcase_add_loop_test(tcase, limits_hold_for_all_processes, 0, KIND_COUNT);
    suite_add_tcase(suite, tcase);
    return suite;
}
