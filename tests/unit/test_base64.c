/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 as it is, and as OpenSSL would take it all the same. */
#include "../../common/base64.h"
#include "fixture.h"
#include <string.h>

Suite *test_base64_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct {
    int how;
    const char *text, *bytes; /* NULL: not base64 */
} cases[] = {
    {0, "YQ==", "a"},
    {0, "YWI=", "ab"},
    {0, "YWJj", "abc"},
    {0, "Pz8/Pj4+", "\77\77\77>>>"},
    {0, "", NULL},
    {0, "=", NULL},
    {0, "====", NULL},
    {0, "A===", NULL},
    {0, "YQ", NULL},
    {0, "YQ=", NULL},
    {0, "YQ===", NULL},
    {0, "Y=Q=", NULL},
    {0, "YQ==YQ==", NULL},
    {0, "YWJj\n", NULL},
    {0, " YWJj", NULL},
    {0, "YWJj----", NULL},
    {0, "Pz8_Pj4-", NULL},
    {0, "Y\xc3\xa4Jj", NULL},
    {BASE64_SPACES, " Y\r\nW\tJj\n", "abc"},
    {BASE64_SPACES, "YQ = =", "a"},
    {BASE64_SPACES, " \n ", NULL},
    {BASE64_SPACES, "YQ=\n", NULL},
    {BASE64_BARE, "YQ", "a"},
    {BASE64_BARE, "YWI", "ab"},
    {BASE64_BARE, "YWJj", "abc"},
    {BASE64_BARE, "Y", NULL},
    {BASE64_BARE, "YWJjY", NULL},
    {BASE64_BARE, "YQ==", NULL},
    {BASE64_BARE, "Pz8_", NULL},
    {BASE64_URL, "Pz8_Pj4-", "\77\77\77>>>"},
    {BASE64_URL, "YQ", "a"},
    {BASE64_URL, "YQ==", NULL},
    {BASE64_URL, "Pz8/", NULL},
    {BASE64_URL, "", NULL},
    {BASE64_SECRET, "YWI=", "ab"},
    {BASE64_SECRET, "YWI", NULL},
};

START_TEST(decoded)
{
    const char *text = cases[_i].text, *bytes = cases[_i].bytes;
    crypt_buf_t found;
    apr_status_t rv = base64_decode(&found, text, strlen(text), cases[_i].how, fixture_pool());

    ck_assert_int_eq(rv, bytes ? APR_SUCCESS : APR_EINVAL);
    ck_assert_uint_eq(found.len, bytes ? strlen(bytes) : 0);
    ck_assert((found.data != NULL) == (bytes != NULL));
    if (bytes)
        ck_assert_mem_eq(found.data, bytes, found.len);
}
END_TEST

/* Bytes after a NUL are not the end of the text; the pool wipes what was secret. */
START_TEST(lengths)
{
    apr_pool_t *p;
    crypt_buf_t found;

    ck_assert_int_eq(base64_decode(&found, "YWJj\0YWJj", 9, 0, fixture_pool()), APR_EINVAL);
    ck_assert_int_eq(base64_decode(&found, "YWJjYWJj", 4, 0, fixture_pool()), APR_SUCCESS);
    ck_assert_uint_eq(found.len, 3);
    apr_pool_create(&p, fixture_pool());
    ck_assert_int_eq(base64_decode(&found, "YWJj", 4, BASE64_SECRET, p), APR_SUCCESS);
    apr_pool_destroy(p);
}
END_TEST

Suite *test_base64_suite(void)
{
    Suite *suite = suite_create("base64");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, decoded, 0, COUNT(cases));
    tcase_add_test(tcase, lengths);
    suite_add_tcase(suite, tcase);
    return suite;
}
