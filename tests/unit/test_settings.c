/* SPDX-License-Identifier: Apache-2.0 */
/* key=value options: what is read, and what every mistake says. */
#include "../../common/settings.h"
#include "fixture.h"

#include <string.h>

Suite *test_settings_suite(void);

static const settings_key_t keys[] = {
    {"file", "FILE", 1}, {"count", "N", 0}, {"flag", "on|off", 0}, {"wait", "DURATION", 0},
    {NULL, NULL, 0}
};

/* What settings_parse() says to up to four words; *ps is set. */
static const char *parse(settings_t **ps, const char *a, const char *b, const char *c)
{
    const char *words[3];
    int n = 0;

    words[0] = a;
    words[1] = b;
    words[2] = c;
    while (n < 3 && words[n] != NULL) {
        n++;
    }
    return settings_parse(ps, keys, n, words, fixture_pool());
}

static const struct {
    const char *words[3];
    const char *error;          /* part of the text; NULL: accepted */
} parse_cases[] = {
    {{"file=a", NULL, NULL}, NULL},
    {{"file=", NULL, NULL}, NULL},
    {{"file=a=b=c", "count=1", "flag=on"}, NULL},
    {{NULL, NULL, NULL}, "'file' is missing; known keys: file=FILE, count=N"},
    {{"count=1", NULL, NULL}, "'file' is missing"},
    {{"file", NULL, NULL}, "not of the form key=value"},
    {{"=a", NULL, NULL}, "not of the form key=value"},
    {{"", NULL, NULL}, "not of the form key=value"},
    {{"file=a", "file=b", NULL}, "'file' is given twice"},
    {{"file=a", "other=b", NULL}, "unknown key 'other'; known keys: file=FILE"},
    {{"File=a", NULL, NULL}, "unknown key 'File'"},
    {{"file =a", NULL, NULL}, "unknown key 'file '"},
};

START_TEST(words_are_split)
{
    settings_t *s = NULL;
    const char *error = parse(&s, parse_cases[_i].words[0], parse_cases[_i].words[1],
                              parse_cases[_i].words[2]);

    if (parse_cases[_i].error == NULL) {
        ck_assert_ptr_null(error);
        ck_assert_ptr_nonnull(s);
        ck_assert_str_eq(settings_get(s, "file", "?"), parse_cases[_i].words[0] + 5);
    }
    else {
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, parse_cases[_i].error) != NULL, "%s", error);
        ck_assert_ptr_null(s);
    }
}
END_TEST

START_TEST(absent_key_gives_fallback)
{
    settings_t *s;
    apr_int64_t number = 0;
    apr_interval_time_t wait = 0;
    int flag = 0;
    apr_pool_t *p = fixture_pool();

    ck_assert_ptr_null(parse(&s, "file=a", NULL, NULL));
    ck_assert_str_eq(settings_get(s, "count", "none"), "none");
    ck_assert_ptr_null(settings_get(s, "nonsense", NULL));
    ck_assert_ptr_null(settings_get_number(s, "count", 42, 0, 9, &number, p));
    ck_assert_int_eq(number, 42);
    ck_assert_ptr_null(settings_get_flag(s, "flag", 1, &flag, p));
    ck_assert_int_eq(flag, 1);
    ck_assert_ptr_null(settings_get_duration(s, "wait", 5, 0, 9, &wait, p));
    ck_assert_int_eq(wait, 5);
}
END_TEST

START_TEST(values_do_not_leak_into_errors)
{
    settings_t *s;
    const char *error = parse(&s, "password=hunter2", NULL, NULL);

    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_null(strstr(error, "hunter2"));
}
END_TEST

static const struct {
    const char *word;
    const char *error;
    apr_int64_t value;
} number_cases[] = {
    {"count=0", NULL, 0},
    {"count=-10", NULL, -10},
    {"count=007", NULL, 7},
    {"count=100", NULL, 100},
    {"count=101", "out of range: -10 to 100", 0},
    {"count=-11", "out of range", 0},
    {"count=", "not a whole number", 0},
    {"count=-", "not a whole number", 0},
    {"count=--1", "not a whole number", 0},
    {"count=+1", "not a whole number", 0},
    {"count=1.5", "not a whole number", 0},
    {"count=0x10", "not a whole number", 0},
    {"count= 1", "not a whole number", 0},
    {"count=9223372036854775808", "not a whole number", 0},
    {"count=99999999999999999999999999", "not a whole number", 0},
    {"count=9223372036854775807", "out of range", 0},
};

START_TEST(numbers_are_read)
{
    settings_t *s;
    apr_int64_t value = 0;
    const char *error;

    ck_assert_ptr_null(parse(&s, "file=a", number_cases[_i].word, NULL));
    error = settings_get_number(s, "count", 1, -10, 100, &value, fixture_pool());
    if (number_cases[_i].error == NULL) {
        ck_assert_ptr_null(error);
        ck_assert_int_eq(value, number_cases[_i].value);
    }
    else {
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, number_cases[_i].error) != NULL, "%s", error);
    }
}
END_TEST

START_TEST(flags_are_read)
{
    settings_t *s;
    int value = 7;
    apr_pool_t *p = fixture_pool();

    ck_assert_ptr_null(parse(&s, "file=a", "flag=ON", NULL));
    ck_assert_ptr_null(settings_get_flag(s, "flag", 0, &value, p));
    ck_assert_int_eq(value, 1);
    ck_assert_ptr_null(parse(&s, "file=a", "flag=off", NULL));
    ck_assert_ptr_null(settings_get_flag(s, "flag", 1, &value, p));
    ck_assert_int_eq(value, 0);
    ck_assert_ptr_null(parse(&s, "file=a", "flag=yes", NULL));
    ck_assert_ptr_nonnull(strstr(settings_get_flag(s, "flag", 1, &value, p), "on or off"));
}
END_TEST

static const struct {
    const char *text;
    apr_interval_time_t value;  /* -1: an error */
} duration_cases[] = {
    {"0", 0},
    {"5", APR_INT64_C(5000000)},
    {"500ms", 500000},
    {"30s", APR_INT64_C(30000000)},
    {"60min", APR_INT64_C(3600000000)},
    {"12h", APR_INT64_C(43200000000)},
    {"365d", APR_INT64_C(31536000000000)},
    {"106751991d", APR_INT64_C(9223372022400000000)},
    {"106751992d", -1},
    {"9223372036854775807", -1},
    {"", -1},
    {"s", -1},
    {"-5s", -1},
    {"5 s", -1},
    {"5m", -1},
    {"5sec", -1},
    {"5d5h", -1},
    {"1.5h", -1},
    {"5S", -1},
};

START_TEST(durations_are_read)
{
    apr_interval_time_t value = 0;
    const char *error = settings_duration(duration_cases[_i].text, &value, fixture_pool());

    if (duration_cases[_i].value >= 0) {
        ck_assert_ptr_null(error);
        ck_assert_int_eq(value, duration_cases[_i].value);
    }
    else {
        ck_assert_ptr_nonnull(error);
    }
}
END_TEST

START_TEST(duration_range_is_told)
{
    settings_t *s;
    apr_interval_time_t value;
    const char *error;
    apr_pool_t *p = fixture_pool();

    ck_assert_ptr_null(parse(&s, "file=a", "wait=2d", NULL));
    error = settings_get_duration(s, "wait", 0, 500000, APR_INT64_C(5400000000), &value, p);
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error, "500ms to 90min") != NULL, "%s", error);
    ck_assert_ptr_null(parse(&s, "file=a", "wait=soon", NULL));
    error = settings_get_duration(s, "wait", 0, 0, 5, &value, p);
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strncmp(error, "wait: 'soon' is not a duration", 30) == 0, "%s", error);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *test_settings_suite(void)
{
    Suite *suite = suite_create("settings");
    TCase *tc = tcase_create("settings");

    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tc, words_are_split, 0, COUNT(parse_cases));
    tcase_add_test(tc, absent_key_gives_fallback);
    tcase_add_test(tc, values_do_not_leak_into_errors);
    tcase_add_loop_test(tc, numbers_are_read, 0, COUNT(number_cases));
    tcase_add_test(tc, flags_are_read);
    tcase_add_loop_test(tc, durations_are_read, 0, COUNT(duration_cases));
    tcase_add_test(tc, duration_range_is_told);
    suite_add_tcase(suite, tc);
    return suite;
}
