/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of stores: revoked certificates and the list that tells of them.  Each test
 * runs once per kind of store (store_fixture.h).
 */
#include "store_calls.h"
#include <apr_strings.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 4300 /* more than two pages of a reply */
#define RACERS 6
#define RACE_ROUNDS 20
#define AT(list, i) (&APR_ARRAY_IDX(list, i, store_revoked_t))

Suite *test_store_revoked_suite(void);
Suite *test_store_revoked_race_suite(void);

/* Revokes a certificate for a span. */
static store_result_e take_back(const char *serial, int reason, apr_interval_time_t span)
{
    store_revoked_t what = {NULL, 0, 0, 0};
    store_result_e result;

    what.serial = serial;
    what.reason = reason;
    what.until = apr_time_now() + span;
    ck_assert_int_eq(store_revoke_certificate(calls.store, calls.service, &what, &result, calls.p),
                     APR_SUCCESS);
    return result;
}

/* Looks a certificate up. */
static store_result_e find(const char *serial, store_revoked_t *revoked)
{
    store_result_e result;

    ck_assert_int_eq(
        store_find_revoked(calls.store, calls.service, serial, &result, revoked, calls.p),
        APR_SUCCESS);
    return result;
}

/* All that are kept. */
static apr_array_header_t *list_all(void)
{
    apr_array_header_t *list;

    ck_assert_int_eq(store_list_revoked(calls.store, calls.service, &list, calls.p), APR_SUCCESS);
    return list;
}

/* The current list. */
static store_crl_t get(apr_int64_t have)
{
    store_crl_t crl;

    ck_assert_int_eq(store_get_crl(calls.store, calls.service, have, &crl, calls.p), APR_SUCCESS);
    return crl;
}

/* Puts a list of these bytes in place of another. */
static store_result_e put(apr_int64_t replaces, apr_int64_t number, apr_int64_t made_of,
                          const char *bytes)
{
    store_crl_t crl;
    store_result_e result;

    memset(&crl, 0, sizeof(crl));
    crl.number = number;
    crl.made_of = made_of;
    crl.der.data = (const unsigned char *)bytes;
    crl.der.len = strlen(bytes);
    ck_assert_int_eq(store_put_crl(calls.store, calls.service, replaces, &crl, &result, calls.p),
                     APR_SUCCESS);
    return result;
}

START_TEST(revoked_once)
{
    apr_time_t before = apr_time_now() - apr_time_from_sec(2);
    store_revoked_t revoked;
    apr_time_t when;

    OPEN();
    ck_assert_int_eq(find("0a", &revoked), STORE_NOTFOUND);
    ck_assert_int_eq(take_back("0a", 1, LIFE), STORE_OK);
    ck_assert_int_eq(find("0a", &revoked), STORE_OK);
    ck_assert_str_eq(revoked.serial, "0a");
    ck_assert_int_eq(revoked.reason, 1);
    ck_assert(revoked.when > before && revoked.when < before + apr_time_from_sec(60));
    ck_assert(revoked.until > revoked.when);
    when = revoked.when;
    apr_sleep(MS(5));
    ck_assert_int_eq(take_back("0a", 5, LIFE + LIFE), STORE_EXISTS);
    ck_assert_int_eq(find("0a", &revoked), STORE_OK);
    ck_assert_int_eq(revoked.reason, 1);
    ck_assert(revoked.when == when);
    ck_assert_int_eq(find("0a0a", &revoked), STORE_NOTFOUND);
    ck_assert_int_eq(find("a", &revoked), STORE_NOTFOUND);
    ck_assert_int_eq(get(0).changes, 1);
    calls.service = apr_pstrcat(calls.p, calls.service, "-2", NULL);
    ck_assert_int_eq(find("0a", &revoked), STORE_NOTFOUND);
    ck_assert_int_eq(list_all()->nelts, 0);
    ck_assert_int_eq(get(0).changes, 0);
}
END_TEST

START_TEST(until_it_is_forgotten)
{
    apr_array_header_t *list;
    int i;

    OPEN();
    ck_assert_int_eq(take_back("01", 0, LIFE), STORE_OK);
    for (i = 0; i < 60; i++)
        ck_assert_int_eq(take_back(apr_psprintf(calls.p, "aa%02x", i), 4, MS(400)), STORE_OK);
    ck_assert_int_eq(take_back("02", 3, LIFE - apr_time_from_sec(9)), STORE_OK);
    ck_assert_int_eq(list_all()->nelts, 62);
    apr_sleep(MS(450));
    list = list_all();
    ck_assert_int_eq(list->nelts, 2);
    ck_assert_str_eq(AT(list, 0)->serial, "02");
    ck_assert_int_eq(AT(list, 0)->reason, 3);
    ck_assert_str_eq(AT(list, 1)->serial, "01");
    ck_assert_int_eq(take_back("03", 9, LIFE), STORE_OK);
    ck_assert_int_eq(take_back("04", 9, LIFE), STORE_OK);
    ck_assert_int_eq(list_all()->nelts, 4);
    ck_assert_int_eq(take_back("aa01", 4, LIFE), STORE_OK);
    ck_assert_int_eq(get(0).changes, 65);
}
END_TEST

START_TEST(many)
{
    apr_array_header_t *list;
    char *seen;
    int i, n;

    OPEN();
    if (_i == KIND_SQLITE)
        return; /* has no pages; each revocation waits for the disk */
    for (i = 0; i < MANY; i++)
        ck_assert_int_eq(take_back(apr_psprintf(calls.p, "%064x", i), 1, LIFE), STORE_OK);
    list = list_all();
    ck_assert_int_eq(list->nelts, MANY);
    seen = apr_pcalloc(calls.p, MANY);
    for (i = 0; i < MANY; i++) {
        n = (int)strtol(AT(list, i)->serial + 56, NULL, 16);
        ck_assert(n >= 0 && n < MANY && !seen[n]);
        seen[n] = 1;
    }
}
END_TEST

START_TEST(list_and_number)
{
    store_crl_t crl;

    OPEN();
    crl = get(0);
    ck_assert(crl.changes == 0 && crl.number == 0 && crl.made_of == 0 && crl.der.len == 0);
    ck_assert_int_eq(put(1, 2, 0, "never"), STORE_CONFLICT);
    ck_assert_int_eq(put(0, 17, 0, "one"), STORE_OK);
    ck_assert_int_eq(put(0, 17, 0, "again"), STORE_CONFLICT);
    ck_assert_int_eq(take_back("0a", 1, LIFE), STORE_OK);
    crl = get(0);
    ck_assert(crl.changes == 1 && crl.number == 17 && crl.made_of == 0 && crl.der.len == 3);
    ck_assert_mem_eq(crl.der.data, "one", 3);
    crl = get(17);
    ck_assert(crl.changes == 1 && crl.number == 17 && crl.der.len == 0);
    ck_assert_int_eq(put(18, 19, 1, "three"), STORE_CONFLICT);
    ck_assert_int_eq(put(17, 20, 1, "two"), STORE_OK);
    crl = get(17);
    ck_assert(crl.changes == 1 && crl.number == 20 && crl.made_of == 1 && crl.der.len == 3);
    ck_assert_mem_eq(crl.der.data, "two", 3);
}
END_TEST

START_TEST(largest_list)
{
    unsigned char *data;
    store_result_e result;
    store_crl_t crl;
    int i;

    OPEN();
    data = apr_palloc(calls.p, STORE_CRL_MAX + 1);
    for (i = 0; i <= STORE_CRL_MAX; i++)
        data[i] = (unsigned char)(i * 7);
    memset(&crl, 0, sizeof(crl));
    crl.number = 1;
    crl.der.data = data;
    crl.der.len = STORE_CRL_MAX + 1;
    ck_assert_int_eq(store_put_crl(calls.store, calls.service, 0, &crl, &result, calls.p),
                     APR_EINVAL);
    crl.der.len = STORE_CRL_MAX;
    ck_assert_int_eq(store_put_crl(calls.store, calls.service, 0, &crl, &result, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_OK);
    crl = get(0);
    ck_assert_uint_eq(crl.der.len, STORE_CRL_MAX);
    ck_assert_mem_eq(crl.der.data, data, STORE_CRL_MAX);
}
END_TEST

/* One process: revokes its own and makes a list of each change, in rounds. */
static void race(int *errors, int me)
{
    store_revoked_t what = {NULL, 1, 0, 0};
    store_result_e result;
    store_crl_t crl;
    apr_pool_t *pool;
    int i;

    apr_pool_create(&pool, NULL);
    if (store_child_init(calls.store, pool) != APR_SUCCESS)
        _exit(1);
    for (i = 0; i < RACE_ROUNDS; i++) {
        what.serial = apr_psprintf(pool, "%02x%02x", me + 1, i);
        what.until = apr_time_now() + LIFE;
        if (store_revoke_certificate(calls.store, calls.service, &what, &result, pool) !=
                APR_SUCCESS ||
            result != STORE_OK)
            __sync_fetch_and_add(errors, 1);
        do {
            result = STORE_OK;
            if (store_get_crl(calls.store, calls.service, 0, &crl, pool) != APR_SUCCESS)
                __sync_fetch_and_add(errors, 1);
            else if (crl.number == 0 || crl.made_of < crl.changes) {
                crl.number++;
                crl.made_of = crl.changes;
                crl.der.data = (const unsigned char *)apr_psprintf(pool, "%d", (int)crl.number);
                crl.der.len = strlen((const char *)crl.der.data);
                if (store_put_crl(calls.store, calls.service, crl.number - 1, &crl, &result,
                                  pool) != APR_SUCCESS)
                    __sync_fetch_and_add(errors, 1);
                else if (result == STORE_OK)
                    __sync_fetch_and_add(errors + 1, 1);
            }
        } while (result == STORE_CONFLICT);
    }
    _exit(0);
}

START_TEST(numbers_are_given_once)
{
    pid_t pids[RACERS];
    store_crl_t crl;
    int *errors;
    int i;

    OPEN();
    errors = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (i = 0; i < RACERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            race(errors, i);
    }
    for (i = 0; i < RACERS; i++)
        waitpid(pids[i], NULL, 0);
    crl = get(0);
    ck_assert_int_eq(errors[0], 0);
    ck_assert_int_eq(crl.number, errors[1]);
    ck_assert_int_eq(crl.changes, RACERS * RACE_ROUNDS);
    ck_assert_int_eq(crl.made_of, RACERS * RACE_ROUNDS);
    ck_assert_int_eq(list_all()->nelts, RACERS * RACE_ROUNDS);
}
END_TEST

/* Checks that a changed argument is refused. */
#define CHECK_REVOKE(change)                                                                       \
    do {                                                                                           \
        what.serial = "0a";                                                                        \
        what.reason = 1;                                                                           \
        what.until = apr_time_now() + LIFE;                                                        \
        change;                                                                                    \
        ck_assert_int_eq(                                                                          \
            store_revoke_certificate(calls.store, calls.service, &what, &result, calls.p),         \
            APR_EINVAL);                                                                           \
        ck_assert_int_eq(result, STORE_NOTFOUND);                                                  \
    } while (0)
#define CHECK_PUT(change)                                                                          \
    do {                                                                                           \
        memset(&crl, 0, sizeof(crl));                                                              \
        crl.number = 1;                                                                            \
        crl.der.data = (const unsigned char *)"x";                                                 \
        crl.der.len = 1;                                                                           \
        change;                                                                                    \
        ck_assert_int_eq(store_put_crl(calls.store, calls.service, 0, &crl, &result, calls.p),     \
                         APR_EINVAL);                                                              \
        ck_assert_int_eq(result, STORE_CONFLICT);                                                  \
    } while (0)
#define CHECK_FIND(serial)                                                                         \
    ck_assert_int_eq(                                                                              \
        store_find_revoked(calls.store, calls.service, serial, &result, &what, calls.p),           \
        APR_EINVAL)

START_TEST(wrong_arguments)
{
    apr_array_header_t *list;
    store_revoked_t what;
    store_result_e result;
    store_crl_t crl;
    char long_serial[STORE_CERTIFICATE_SERIAL_MAX + 2];

    OPEN();
    memset(long_serial, 'a', sizeof(long_serial));
    long_serial[sizeof(long_serial) - 1] = '\0';
    memset(&what, 0, sizeof(what));
    CHECK_REVOKE(what.serial = NULL);
    CHECK_REVOKE(what.serial = "");
    CHECK_REVOKE(what.serial = "0A");
    CHECK_REVOKE(what.serial = "a:'");
    CHECK_REVOKE(what.serial = long_serial);
    CHECK_REVOKE(what.reason = -1);
    CHECK_REVOKE(what.reason = 11);
    CHECK_REVOKE(what.until = 0);
    CHECK_FIND(NULL);
    CHECK_FIND("");
    CHECK_FIND("0x1");
    CHECK_FIND(long_serial);
    CHECK_PUT(crl.number = 0);
    CHECK_PUT(crl.number = -1);
    CHECK_PUT(crl.made_of = -1);
    CHECK_PUT(crl.der.data = NULL);
    CHECK_PUT(crl.der.len = 0);
    ck_assert_int_eq(store_get_crl(calls.store, calls.service, -1, &crl, calls.p), APR_EINVAL);
    ck_assert_int_eq(store_get_crl(calls.store, "a}b", 0, &crl, calls.p), APR_EINVAL);
    ck_assert_int_eq(store_list_revoked(calls.store, "", &list, calls.p), APR_EINVAL);
    ck_assert_int_eq(list_all()->nelts, 0);
}
END_TEST

Suite *test_store_revoked_suite(void)
{
    Suite *suite = suite_create("test_store_revoked");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, revoked_once, 0, KIND_COUNT);
    tcase_add_loop_test(all, until_it_is_forgotten, 0, KIND_COUNT);
    tcase_add_loop_test(all, many, 0, KIND_COUNT);
    tcase_add_loop_test(all, list_and_number, 0, KIND_COUNT);
    tcase_add_loop_test(all, largest_list, 0, KIND_COUNT);
    tcase_add_loop_test(all, wrong_arguments, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}

/* Apart: valgrind takes what the processes of a race leave for leaks. */
Suite *test_store_revoked_race_suite(void)
{
    Suite *suite = suite_create("test_store_revoked_race");
    TCase *all = tcase_create("conformance");

    tcase_add_unchecked_fixture(all, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(all, fixture_setup, fixture_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, numbers_are_given_once, 0, KIND_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}
