/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of stores: challenges that a claim brings with it, which nobody issued.
 * Each test runs once per kind of store.
 */
#include "store_calls.h"
#include <apr_strings.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *test_store_adopt_suite(void);
Suite *test_store_adopt_race_suite(void);

#define RACERS 4
#define RACE_CHALLENGES 25

/* What the processes of a race saw. */
typedef struct race_t {
    volatile int committed[RACE_CHALLENGES];
    volatile int errors, go;
} race_t;

/* A challenge to adopt, with usual values. */
static store_challenge_t adopted(apr_interval_time_t life, int uses, int attempts)
{
    store_challenge_t ch = {0};

    ch.lifetime = life;
    ch.uses = uses;
    ch.attempts = attempts;
    ch.caller = "point";
    ch.template_name = "Device";
    ch.bound = "{\"b\":1}";
    return ch;
}

/* Claims for transaction t with challenge n, which is adopted if nobody knows it. */
static store_result_e bring(int t, int n, int nonce, const store_challenge_t *ch)
{
    store_claim_t c = calls_make_claim(t, n, nonce, LEASE);

    c.adopt = ch;
    return calls_send(&c);
}

/* How many challenges count. */
static int outstanding(void)
{
    calls_issue(900, LIFE, 1, 1, 1);
    return calls.outstanding;
}

START_TEST(an_adopted_one_is_spent_once)
{
    store_challenge_t ch = adopted(LIFE, 1, 3);

    OPEN();
    ck_assert_int_eq(bring(1, 1, 1, NULL), STORE_NOCHALLENGE);
    ck_assert_int_eq(bring(1, 1, 1, &ch), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.challenge_id, calls_id(1));
    ck_assert_str_eq(calls.tx.challenge.id, calls_id(1));
    ck_assert_str_eq(calls.tx.challenge.caller, "point");
    ck_assert_str_eq(calls.tx.challenge.template_name, "Device");
    ck_assert_str_eq(calls.tx.challenge.bound, "{\"b\":1}");
    ck_assert(calls.tx.challenge.lifetime == LIFE);
    ck_assert(calls.tx.challenge.expires - calls.tx.challenge.issued == LIFE);
    ck_assert_int_eq(bring(1, 1, 1, &ch), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.challenge.caller, "point");
    ck_assert_int_eq(bring(1, 1, 2, &ch), STORE_BUSY);
    ck_assert_int_eq(bring(2, 1, 3, &ch), STORE_BUSY);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(bring(2, 1, 4, &ch), STORE_USED);
    ck_assert_int_eq(bring(2, 1, 5, NULL), STORE_USED);
    ck_assert_int_eq(bring(1, 1, 6, &ch), STORE_ISSUED);
    ck_assert_int_eq(calls_issue(1, LIFE, 1, 3, 0), STORE_EXISTS);
    ck_assert_int_eq(bring(3, 2, 7, &ch), STORE_CLAIMED);
}
END_TEST

START_TEST(held_and_freed)
{
    store_challenge_t ch = adopted(LIFE, 1, 2);

    OPEN();
    ck_assert_int_eq(bring(1, 1, 1, &ch), STORE_CLAIMED);
    ck_assert_int_eq(calls_pend(1, 1, LEASE), STORE_OK);
    ck_assert_int_eq(bring(2, 1, 2, &ch), STORE_HELD);
    ck_assert_int_eq(calls_fail(1, 1, STORE_BLAME_NOBODY), STORE_OK);
    ck_assert_int_eq(bring(2, 1, 3, &ch), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail(2, 1, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(bring(2, 1, 4, &ch), STORE_CLAIMED);
    ck_assert_int_eq(calls_fail(2, 2, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(bring(2, 1, 5, &ch), STORE_MISMATCH);
    ck_assert_int_eq(bring(3, 1, 6, &ch), STORE_MISMATCH);
}
END_TEST

START_TEST(several_uses)
{
    store_challenge_t ch = adopted(LIFE, 2, 0), any = adopted(LIFE, 0, 0);
    int t;

    OPEN();
    for (t = 1; t <= 2; t++) {
        ck_assert_int_eq(bring(t, 1, t, &ch), STORE_CLAIMED);
        ck_assert_int_eq(calls_commit(t, 1), STORE_OK);
    }
    ck_assert_int_eq(bring(3, 1, 3, &ch), STORE_USED);
    ck_assert_int_eq(bring(3, 1, 3, &any), STORE_USED);
    for (t = 10; t <= 15; t++) {
        ck_assert_int_eq(bring(t, 2, t, &any), STORE_CLAIMED);
        ck_assert_int_eq(calls_commit(t, 1), STORE_OK);
    }
    ck_assert_int_eq(outstanding(), 1);
}
END_TEST

START_TEST(used_is_known_until_the_end)
{
    store_challenge_t ch = adopted(MS(400), 1, 3);
    store_result_e result;
    crypt_buf_t cert;
    store_claim_t c;
    int removed;

    OPEN();
    cert = calls_certificate(1);
    c = calls_make_claim(1, 1, 1, MS(20));
    c.retention = MS(20);
    c.adopt = &ch;
    ck_assert_int_eq(calls_send(&c), STORE_CLAIMED);
    ck_assert_int_eq(store_commit(calls.store, calls.service, c.tx_key, 1, &cert, "", MS(20), NULL,
                                  &result, calls.p),
                     APR_SUCCESS);
    apr_sleep(MS(50));
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 100, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(calls_find(1), STORE_NOTFOUND);
    ck_assert_int_eq(bring(1, 1, 2, &ch), STORE_USED);
    apr_sleep(MS(400));
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 100, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(bring(1, 1, 3, &ch), STORE_EXPIRED);
}
END_TEST

START_TEST(a_dead_holder_gives_way)
{
    store_challenge_t ch = adopted(LIFE, 1, 3);
    store_claim_t c;

    OPEN();
    c = calls_make_claim(1, 1, 1, MS(40));
    c.adopt = &ch;
    ck_assert_int_eq(calls_send(&c), STORE_CLAIMED);
    apr_sleep(MS(70));
    ck_assert_int_eq(bring(2, 1, 2, &ch), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(1, 1), STORE_FENCED);
    ck_assert_int_eq(calls_commit(2, 1), STORE_OK);
    ck_assert_int_eq(bring(1, 1, 3, &ch), STORE_USED);
}
END_TEST

START_TEST(other_candidates_come_first)
{
    store_challenge_t ch = adopted(LIFE, 1, 3);
    store_claim_t c;

    OPEN();
    ck_assert_int_eq(bring(1, 2, 1, &ch), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    c = calls_make_claim(2, 1, 2, LEASE);
    c.challenge_id[1] = calls_id(2);
    c.adopt = &ch;
    ck_assert_int_eq(calls_send(&c), STORE_USED);
    c.challenge_id[1] = NULL;
    c.adopt = NULL;
    ck_assert_int_eq(calls_send(&c), STORE_NOCHALLENGE);
    c.challenge_id[1] = calls_id(3);
    c.adopt = &ch;
    ck_assert_int_eq(calls_send(&c), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.challenge_id, calls_id(1));
    calls_issue(5, LIFE, 1, 1, 0);
    ck_assert_int_eq(bring(3, 5, 3, &ch), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.challenge.caller, "mdm");
}
END_TEST

START_TEST(nothing_is_made_before_the_checks)
{
    store_challenge_t ch = adopted(LIFE, 1, 3);
    store_claim_t c;

    OPEN();
    c = calls_make_claim(1, 7, 1, LEASE);
    c.limit[0].name = "192.0.2.1";
    c.limit[0].max = 2;
    c.limit_window = LEASE;
    ck_assert_int_eq(calls_send(&c), STORE_NOCHALLENGE);
    ck_assert_int_eq(bring(2, 2, 2, &ch), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit(2, 1), STORE_OK);
    c.challenge_id[0] = calls_id(2);
    c.adopt = &ch;
    ck_assert_int_eq(calls_send(&c), STORE_USED);
    c.challenge_id[0] = calls_id(1);
    ck_assert_int_eq(calls_send(&c), STORE_LIMITED);
    ck_assert_int_eq(bring(2, 1, 3, &ch), STORE_TXCONFLICT);
    ck_assert_int_eq(calls_revoke(1), STORE_NOCHALLENGE);
    ck_assert_int_eq(bring(3, 1, 4, NULL), STORE_NOCHALLENGE);
}
END_TEST

START_TEST(caps_do_not_count_it)
{
    store_challenge_t ch = adopted(LIFE, 1, 1), shortly = adopted(MS(40), 1, 1), issued;
    store_result_e result;
    int removed;

    OPEN();
    ch.caller_max = shortly.caller_max = 1;
    ch.caller = "mdm";
    ck_assert_int_eq(outstanding(), 1);
    ck_assert_int_eq(bring(1, 1, 1, &ch), STORE_CLAIMED);
    ck_assert_int_eq(bring(2, 2, 2, &ch), STORE_CLAIMED);
    ck_assert_int_eq(bring(3, 3, 3, &ch), STORE_CLAIMED);
    ck_assert_int_eq(bring(4, 4, 4, &shortly), STORE_CLAIMED);
    ck_assert_int_eq(outstanding(), 1);
    issued = calls_challenge(10, LIFE, 1, 1);
    issued.caller_max = 1;
    ck_assert_int_eq(store_issue(calls.store, calls.service, &issued, 0, &result,
                                 &calls.outstanding, &calls.free_in, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_OK);
    ck_assert_int_eq(calls.outstanding, 2);
    ck_assert_int_eq(calls_commit(1, 1), STORE_OK);
    ck_assert_int_eq(calls_fail(2, 1, STORE_BLAME_DEVICE), STORE_OK);
    ck_assert_int_eq(calls_revoke(3), STORE_OK);
    apr_sleep(MS(70));
    ck_assert_int_eq(store_sweep(calls.store, calls.service, 100, &removed, calls.p), APR_SUCCESS);
    ck_assert_int_eq(outstanding(), 2);
    ck_assert_int_eq(bring(5, 3, 5, &ch), STORE_EXPIRED);
}
END_TEST

/* One process: brings every challenge with a transaction of its own. */
static void race(race_t *shared, int me)
{
    store_challenge_t ch = adopted(LIFE, 1, 3);
    crypt_buf_t cert = calls_certificate(1);
    store_result_e result;
    apr_pool_t *pool;
    store_tx_t tx;
    int n;

    apr_pool_create(&pool, NULL);
    if (store_child_init(calls.store, pool) != APR_SUCCESS)
        _exit(1);
    while (!shared->go)
        apr_sleep(500);
    for (n = 0; n < RACE_CHALLENGES; n++) {
        store_claim_t c = calls_make_claim(me * RACE_CHALLENGES + n, n + 1, 1, LEASE);

        c.adopt = &ch;
        if (store_claim(calls.store, calls.service, &c, &result, &tx, pool) != APR_SUCCESS)
            __sync_fetch_and_add(&shared->errors, 1);
        else if (result == STORE_CLAIMED) {
            if (store_commit(calls.store, calls.service, c.tx_key, tx.fence, &cert, "", KEEP, NULL,
                             &result, pool) != APR_SUCCESS ||
                result != STORE_OK)
                __sync_fetch_and_add(&shared->errors, 1);
            else
                __sync_fetch_and_add(&shared->committed[n], 1);
        }
        else if (result != STORE_BUSY && result != STORE_USED)
            __sync_fetch_and_add(&shared->errors, 1);
    }
    _exit(0);
}

START_TEST(brought_to_all_hosts_at_once)
{
    pid_t pids[RACERS];
    race_t *shared;
    int i;

    OPEN();
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (i = 0; i < RACERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            race(shared, i);
    }
    shared->go = 1;
    for (i = 0; i < RACERS; i++)
        waitpid(pids[i], NULL, 0);
    ck_assert_int_eq(shared->errors, 0);
    for (i = 0; i < RACE_CHALLENGES; i++)
        ck_assert_int_eq(shared->committed[i], 1);
}
END_TEST

/* Checks that a changed challenge is refused as an argument. */
#define CHECK_ADOPT(member, value)                                                                 \
    do {                                                                                           \
        ch = adopted(LIFE, 1, 3);                                                                  \
        ch.member = (value);                                                                       \
        c = calls_make_claim(1, 1, 1, LEASE);                                                      \
        c.adopt = &ch;                                                                             \
        ck_assert_int_eq(store_claim(calls.store, calls.service, &c, &result, &calls.tx, calls.p), \
                         APR_EINVAL);                                                              \
        ck_assert_int_eq(result, STORE_NOTFOUND);                                                  \
    } while (0)

START_TEST(wrong_arguments)
{
    store_result_e result;
    store_challenge_t ch;
    store_claim_t c;
    char *big;

    OPEN();
    big = apr_pcalloc(calls.p, STORE_LONG_TEXT_MAX + 2);
    memset(big, 'a', STORE_LONG_TEXT_MAX + 1);
    CHECK_ADOPT(lifetime, 0);
    CHECK_ADOPT(lifetime, -1);
    CHECK_ADOPT(uses, -1);
    CHECK_ADOPT(attempts, -1);
    CHECK_ADOPT(caller, NULL);
    CHECK_ADOPT(caller, big);
    CHECK_ADOPT(template_name, NULL);
    CHECK_ADOPT(template_name, big);
    CHECK_ADOPT(bound, NULL);
    CHECK_ADOPT(bound, big);
    ch = adopted(LIFE, 1, 3);
    c = calls_make_claim(1, 0, 1, LEASE);
    c.adopt = &ch;
    ck_assert_int_eq(store_claim(calls.store, calls.service, &c, &result, &calls.tx, calls.p),
                     APR_EINVAL);
    c.challenge_id[1] = calls_id(1);
    ck_assert_int_eq(store_claim(calls.store, calls.service, &c, &result, &calls.tx, calls.p),
                     APR_EINVAL);
}
END_TEST

Suite *test_store_adopt_suite(void)
{
    Suite *suite = suite_create("test_store_adopt");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, an_adopted_one_is_spent_once, 0, KIND_COUNT);
    tcase_add_loop_test(all, held_and_freed, 0, KIND_COUNT);
    tcase_add_loop_test(all, several_uses, 0, KIND_COUNT);
    tcase_add_loop_test(all, used_is_known_until_the_end, 0, KIND_COUNT);
    tcase_add_loop_test(all, a_dead_holder_gives_way, 0, KIND_COUNT);
    tcase_add_loop_test(all, other_candidates_come_first, 0, KIND_COUNT);
    tcase_add_loop_test(all, nothing_is_made_before_the_checks, 0, KIND_COUNT);
    tcase_add_loop_test(all, caps_do_not_count_it, 0, KIND_COUNT);
    tcase_add_loop_test(all, wrong_arguments, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}

/* Apart: valgrind takes what the processes of a race leave for leaks. */
Suite *test_store_adopt_race_suite(void)
{
    Suite *suite = suite_create("test_store_adopt_race");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, brought_to_all_hosts_at_once, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}
