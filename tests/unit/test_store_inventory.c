/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of stores: the inventory of certificates, which outlives transactions, and
 * that no serial number is taken twice.  Each test runs once per kind of store.
 */
#include "store_calls.h"
#include <apr_strings.h>
#include <string.h>

#define ISSUER "00112233445566aa"
#define OTHER_ISSUER "00112233445566ab"
#define MANY 1203
#define AT(list, i) (&APR_ARRAY_IDX(list, i, store_entry_t))

Suite *test_store_inventory_suite(void);

/* An entry of the certificate with this number; digest n stands for its bytes. */
static store_entry_t make_entry(const char *issuer, const char *serial, int n,
                                apr_interval_time_t span)
{
    static const unsigned char name[] = {0x30, 0x00};
    store_entry_t entry;

    memset(&entry, 0, sizeof(entry));
    entry.issuer = issuer;
    entry.serial = serial;
    entry.digest = calls_id(n);
    entry.subject.data = name;
    entry.subject.len = sizeof(name);
    entry.template_name = "Device";
    entry.not_after = entry.until = apr_time_now() + span;
    return entry;
}

/* Claims transaction t and commits it with an entry. */
static store_result_e enter(int t, const store_entry_t *entry)
{
    crypt_buf_t cert = calls_certificate(t);
    store_trail_t trail = {"", NULL, 0, 0, NULL};
    store_result_e result;

    trail.entry = entry;
    ck_assert_int_eq(calls_claim(t, 0, t, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1000 + t), calls.tx.fence,
                                  &cert, entry->serial, KEEP, &trail, &result, calls.p),
                     APR_SUCCESS);
    return result;
}

/* What a search finds; *next as the store gives it. */
static apr_array_header_t *find(const store_search_t *search, const char **next)
{
    apr_array_header_t *list;

    ck_assert_int_eq(store_inventory(calls.store, calls.service, search, &list, next, calls.p),
                     APR_SUCCESS);
    return list;
}

/* The one entry with a serial number; NULL: none. */
static const store_entry_t *by_serial(const char *issuer, const char *serial)
{
    store_search_t search = {NULL, NULL, NULL, NULL, 0, 0};
    apr_array_header_t *list;
    const char *next;

    search.issuer = issuer;
    search.serial = serial;
    list = find(&search, &next);
    ck_assert_str_eq(next, "");
    ck_assert_int_le(list->nelts, 1);
    return list->nelts ? AT(list, 0) : NULL;
}

/* The serial numbers of all pages of max, with a space after each. */
static const char *all(int newest_first, int max)
{
    store_search_t search = {NULL, NULL, NULL, "", 0, 0};
    const char *text = "", *next = "";
    apr_array_header_t *list;
    int i, pages = 0;

    search.newest_first = newest_first;
    search.max = max;
    do {
        search.place = next;
        list = find(&search, &next);
        ck_assert_int_le(list->nelts, max);
        for (i = 0; i < list->nelts; i++)
            text = apr_pstrcat(calls.p, text, AT(list, i)->serial, " ", NULL);
    } while (*next && ++pages < 20);
    ck_assert_str_eq(next, "");
    return text;
}

START_TEST(entry_is_found)
{
    store_entry_t entry;
    const store_entry_t *found;
    store_search_t search = {NULL, NULL, "tid-1", NULL, 0, 0};
    apr_array_header_t *list;
    const char *next;

    OPEN();
    entry = make_entry(ISSUER, "0a", 7, LIFE);
    ck_assert_ptr_null(by_serial(ISSUER, "0a"));
    ck_assert_int_eq(enter(1, &entry), STORE_OK);
    found = by_serial(ISSUER, "0a");
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found->issuer, ISSUER);
    ck_assert_str_eq(found->serial, "0a");
    ck_assert_str_eq(found->digest, calls_id(7));
    ck_assert_str_eq(found->template_name, "Device");
    ck_assert_str_eq(found->tx_key, calls_id(1001));
    ck_assert_str_eq(found->transaction_id, "tid-1");
    ck_assert_uint_eq(found->subject.len, 2);
    ck_assert(found->not_after / 1000 == entry.not_after / 1000);
    ck_assert(apr_time_now() - found->created < LIFE);
    ck_assert_uint_le(strlen(found->place), STORE_PLACE_MAX);
    ck_assert_ptr_null(by_serial(OTHER_ISSUER, "0a"));
    ck_assert_ptr_null(by_serial(ISSUER, "0a0a"));
    list = find(&search, &next);
    ck_assert_int_eq(list->nelts, 1);
    ck_assert_str_eq(AT(list, 0)->place, found->place);
    search.transaction_id = "tid-2";
    ck_assert_int_eq(find(&search, &next)->nelts, 0);
    search.transaction_id = "";
    ck_assert_int_eq(find(&search, &next)->nelts, 0);
    calls.service = "other";
    ck_assert_ptr_null(by_serial(ISSUER, "0a"));
    ck_assert_str_eq(all(0, 9), "");
}
END_TEST

START_TEST(pages_in_order)
{
    static const char *const serials[] = {"05", "01", "04", "02", "03"};
    store_entry_t entry;
    int i;

    OPEN();
    for (i = 0; i < 5; i++) {
        entry = make_entry(i < 3 ? ISSUER : OTHER_ISSUER, serials[i], i, LIFE);
        ck_assert_int_eq(enter(i + 1, &entry), STORE_OK);
        apr_sleep(MS(3));
    }
    for (i = 1; i <= 6; i++) {
        ck_assert_str_eq(all(0, i), "05 01 04 02 03 ");
        ck_assert_str_eq(all(1, i), "03 02 04 01 05 ");
    }
}
END_TEST

/* Many of one moment, and one that comes while the pages are read: each is given once. */
START_TEST(many)
{
    store_search_t search = {NULL, NULL, NULL, "", 0, STORE_PAGE_MAX};
    const char *next = "", *last = "";
    apr_array_header_t *list;
    store_entry_t entry;
    int i, count = 0;

    OPEN();
    for (i = 0; i < MANY; i++) {
        entry = make_entry(ISSUER, apr_psprintf(calls.p, "%064x", (unsigned)i), i, LIFE);
        ck_assert_int_eq(enter(i + 1, &entry), STORE_OK);
    }
    do {
        search.place = next;
        list = find(&search, &next);
        for (i = 0; i < list->nelts; i++) {
            ck_assert_int_lt(strcmp(last, AT(list, i)->place), 0);
            last = AT(list, i)->place;
        }
        if (count == 0) {
            entry = make_entry(ISSUER, "0f", MANY, LIFE);
            ck_assert_int_eq(enter(MANY + 1, &entry), STORE_OK);
        }
        count += list->nelts;
    } while (*next);
    ck_assert_int_eq(count, MANY + 1);
}
END_TEST

START_TEST(serial_is_taken_once)
{
    store_entry_t entry;
    store_result_e result;

    OPEN();
    entry = make_entry(ISSUER, "0a", 1, LIFE);
    ck_assert_int_eq(enter(1, &entry), STORE_OK);
    entry = make_entry(ISSUER, "0a", 2, LIFE);
    ck_assert_int_eq(enter(2, &entry), STORE_CONFLICT);
    /* nothing was changed: it is still in flight, and the entry is the first one's */
    ck_assert_int_eq(calls_find(2), STORE_OK);
    ck_assert_str_eq(calls.tx.state, "inflight");
    ck_assert_uint_eq(calls.tx.certificate.len, 0);
    ck_assert_str_eq(by_serial(ISSUER, "0a")->digest, calls_id(1));
    ck_assert_int_eq(calls_find_certificate("0a"), STORE_OK);
    ck_assert_str_eq(calls.tx.tx_key, calls_id(1001));
    result = calls_commit_serial(2, 1, "0b", KEEP);
    ck_assert_int_eq(result, STORE_OK);
    /* another CA has numbers of its own; a CA may give one certificate again */
    entry = make_entry(OTHER_ISSUER, "0a", 3, LIFE);
    ck_assert_int_eq(enter(3, &entry), STORE_OK);
    entry = make_entry(ISSUER, "0a", 1, LIFE);
    ck_assert_int_eq(enter(4, &entry), STORE_OK);
    ck_assert_str_eq(by_serial(ISSUER, "0a")->tx_key, calls_id(1004));
    ck_assert_str_eq(by_serial(ISSUER, "0a")->transaction_id, "tid-4");
    ck_assert_str_eq(all(0, 9), "0a 0a ");
}
END_TEST

/* An entry outlives its transaction, until its own end. */
START_TEST(until_its_end)
{
    crypt_buf_t cert;
    store_trail_t trail = {"", NULL, 0, 0, NULL};
    store_entry_t entry;
    store_result_e result;
    int removed, i;

    OPEN();
    cert = calls_certificate(1);
    entry = make_entry(ISSUER, "0a", 1, LIFE);
    trail.entry = &entry;
    ck_assert_int_eq(calls_claim(1, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1001), 1, &cert, "0a",
                                  MS(1), &trail, &result, calls.p),
                     APR_SUCCESS);
    entry = make_entry(ISSUER, "0b", 2, MS(100));
    ck_assert_int_eq(enter(2, &entry), STORE_OK);
    apr_sleep(MS(150));
    ck_assert_int_eq(calls_find(1), STORE_NOTFOUND);
    ck_assert_ptr_nonnull(by_serial(ISSUER, "0a"));
    ck_assert_ptr_null(by_serial(ISSUER, "0b"));
    ck_assert_str_eq(all(0, 9), "0a ");
    for (i = 0; i < 2; i++)
        ck_assert_int_eq(store_sweep(calls.store, calls.service, 9, &removed, calls.p),
                         APR_SUCCESS);
    ck_assert_str_eq(all(1, 1), "0a ");
    /* the number is free again */
    entry = make_entry(ISSUER, "0b", 3, LIFE);
    ck_assert_int_eq(enter(3, &entry), STORE_OK);
    ck_assert_str_eq(all(0, 1), "0a 0b ");
}
END_TEST

/* Checks that a changed argument is refused. */
#define CHECK_ENTRY(change)                                                                        \
    do {                                                                                           \
        entry = make_entry(ISSUER, "0a", 1, LIFE);                                                 \
        change;                                                                                    \
        ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1001), 1, &cert, "0a",  \
                                      KEEP, &trail, &result, calls.p),                             \
                         APR_EINVAL);                                                              \
    } while (0)
#define CHECK_SEARCH(change)                                                                       \
    do {                                                                                           \
        memset(&search, 0, sizeof(search));                                                        \
        search.place = "";                                                                         \
        search.max = 1;                                                                            \
        change;                                                                                    \
        ck_assert_int_eq(                                                                          \
            store_inventory(calls.store, calls.service, &search, &list, &next, calls.p),           \
            APR_EINVAL);                                                                           \
        ck_assert_int_eq(list->nelts, 0);                                                          \
    } while (0)
#define PLACE "000001700000000:" ISSUER ":"

START_TEST(wrong_arguments)
{
    crypt_buf_t cert;
    store_trail_t trail = {"", NULL, 0, 0, NULL};
    store_search_t search;
    store_result_e result;
    store_entry_t entry;
    apr_array_header_t *list;
    const char *next;

    OPEN();
    cert = calls_certificate(1);
    trail.entry = &entry;
    CHECK_ENTRY(entry.issuer = NULL);
    CHECK_ENTRY(entry.issuer = "0011");
    CHECK_ENTRY(entry.issuer = "00112233445566A0");
    CHECK_ENTRY(entry.serial = "");
    CHECK_ENTRY(entry.serial = "0b");
    CHECK_ENTRY(entry.digest = NULL);
    CHECK_ENTRY(entry.digest = "00");
    CHECK_ENTRY(entry.template_name = NULL);
    CHECK_ENTRY(entry.subject.len = STORE_LONG_TEXT_MAX + 1);
    CHECK_ENTRY(entry.not_after = 0);
    CHECK_ENTRY(entry.until = 0);
    CHECK_SEARCH(search.place = NULL);
    CHECK_SEARCH(search.place = "x");
    CHECK_SEARCH(search.place = PLACE);
    CHECK_SEARCH(search.place = PLACE "0A");
    CHECK_SEARCH(search.place = PLACE "0a:");
    CHECK_SEARCH(search.place = "00001700000000:" ISSUER ":0a");
    CHECK_SEARCH(search.place = "000001700000000:0011:0a");
    CHECK_SEARCH(search.max = 0);
    CHECK_SEARCH(search.max = STORE_PAGE_MAX + 1);
    CHECK_SEARCH(search.serial = "0a");
    CHECK_SEARCH(search.serial = "0a"; search.issuer = "0");
    CHECK_SEARCH(search.serial = ""; search.issuer = ISSUER);
    CHECK_SEARCH(search.serial = "0a'"; search.issuer = ISSUER);
    ck_assert_str_eq(all(0, 9), "");
}
END_TEST

Suite *test_store_inventory_suite(void)
{
    Suite *suite = suite_create("test_store_inventory");
    TCase *tcase = tcase_create("conformance");

    tcase_add_unchecked_fixture(tcase, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, entry_is_found, 0, KIND_COUNT);
    tcase_add_loop_test(tcase, pages_in_order, 0, KIND_COUNT);
    tcase_add_loop_test(tcase, many, 0, KIND_COUNT);
    tcase_add_loop_test(tcase, serial_is_taken_once, 0, KIND_COUNT);
    tcase_add_loop_test(tcase, until_its_end, 0, KIND_COUNT);
    tcase_add_loop_test(tcase, wrong_arguments, 0, KIND_COUNT);
    suite_add_tcase(suite, tcase);
    return suite;
}
