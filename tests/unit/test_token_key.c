/* SPDX-License-Identifier: Apache-2.0 */
/* A key in a token: what its words may be; what a token does, tests/system has. */
#include "../../common/token_key.h"
#include "fixture.h"

#include <apr_strings.h>
#include <string.h>
#include <unistd.h>

Suite *test_token_key_suite(void);

/* See token_check_fn; nothing is opened here. */
static const char *check(void *baton, EVP_PKEY *key, OSSL_LIB_CTX *libctx, apr_pool_t *p)
{
    (void)baton, (void)key, (void)libctx, (void)p;
    return NULL;
}

/* What is said to a URI and files; "" if nothing. */
static const char *complaint(const char *uri, const char *module, const char *pin_file,
                             token_key_t **token)
{
    token_options_t options = {uri, module, pin_file, check, NULL};
    const char *error = token_key_make(token, &options, fixture_pool());

    ck_assert((error == NULL) == (*token != NULL));
    return error != NULL ? error : "";
}

static const struct {
    const char *uri, *error;
} uris[] = {
    {"pkcs11:object=ca", NULL},
    {"pkcs11:token=a%20b;id=%01;type=private", NULL},
    {"PKCS11:object=ca", NULL},
    {"pkcs11:", "names no key"},
    {"pkcs11:token=x", "names no key"},
    {"pkcs11:object=", "names no key"},
    {"pkcs11:id=;token=x", "names no key"},
    {"pkcs11:;;;", "names no key"},
    {"pkcs11:objectx=ca", "names no key"},
    {"pkcs11:object=ca;type=cert", "private key"},
    {"pkcs11:object=ca;type=privat", "private key"},
    {"pkcs11:object=ca;type=", "private key"},
    {"pkcs11:object=ca?pin-value=1", "without its query part"},
    {"pkcs11:object=ca?", "without its query part"},
    {"pkcs11:object=c a", "no spaces"},
    {"pkcs11:object=c\na", "no spaces"},
    {"pkcs11:object=\xc3\xa4", "no spaces"},
    {"pkcs11:object=ca#x", "no spaces"},
};

START_TEST(uris_are_checked)
{
    token_key_t *token;
    const char *text = complaint(uris[_i].uri, NULL, NULL, &token);

    ck_assert(token_is_uri(uris[_i].uri));
    if (uris[_i].error == NULL) {
        ck_assert_str_eq(text, "");
    }
    else {
        ck_assert_msg(strstr(text, uris[_i].error) != NULL, "%s: %s", uris[_i].uri, text);
    }
}
END_TEST

START_TEST(files_are_no_uris)
{
    ck_assert(!token_is_uri("/etc/pkcs11:key"));
    ck_assert(!token_is_uri("pkcs11"));
    ck_assert(!token_is_uri(""));
}
END_TEST

START_TEST(files_are_checked)
{
    const char *dir = fixture_directory(fixture_pool()), *long_pin;
    const char *pin = fixture_file(fixture_pool(), dir, "pin", "1234\n", 0600);
    const char *open_pin = fixture_file(fixture_pool(), dir, "open", "1234\n", 0644);
    const char *empty = fixture_file(fixture_pool(), dir, "empty", "\n", 0600);
    const char *uri = "pkcs11:object=ca";
    token_key_t *token;

    long_pin = fixture_file(fixture_pool(), dir, "long", apr_psprintf(fixture_pool(), "%0300d", 1),
                            0600);
    ck_assert_str_eq(complaint(uri, NULL, pin, &token), "");
    ck_assert_str_ne(complaint(uri, NULL, open_pin, &token), "");
    ck_assert_str_ne(complaint(uri, NULL, empty, &token), "");
    ck_assert_str_ne(complaint(uri, NULL, long_pin, &token), "");
    ck_assert_str_ne(complaint(uri, NULL, "/nonexistent/pin", &token), "");
    ck_assert_ptr_nonnull(strstr(complaint(uri, "/nonexistent/m.so", NULL, &token),
                                 "is not a file"));
    ck_assert_ptr_nonnull(strstr(complaint(uri, dir, NULL, &token), "is not a file"));
}
END_TEST

START_TEST(what_is_no_library_is_told)
{
    const char *dir = fixture_directory(fixture_pool()), *error;
    const char *module = fixture_file(fixture_pool(), dir, "m.so", "no library", 0644);
    OSSL_LIB_CTX *libctx;
    token_key_t *token;
    int away = -1;

    ck_assert_str_eq(complaint("pkcs11:object=ca", module, NULL, &token), "");
    error = token_key_try(token, geteuid(), getegid(), &away, fixture_pool());
    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_nonnull(strstr(error, "the key cannot be opened in the token"));
    ck_assert_int_eq(away, 1);
    /* nobody opens it before there are children; then it is away, and says so once */
    ck_assert_ptr_null(token_key_get(token, &libctx, &error, NULL, fixture_pool()));
    ck_assert_str_eq(error, "the token is opened in a child only");
    ck_assert_int_eq(token_key_child_init(token, fixture_pool()), APR_SUCCESS);
    ck_assert_ptr_null(token_key_get(token, &libctx, &error, NULL, fixture_pool()));
    ck_assert_ptr_nonnull(strstr(error, "the key cannot be opened in the token"));
}
END_TEST

Suite *test_token_key_suite(void)
{
    Suite *suite = suite_create("token_key");
    TCase *tc = tcase_create("token_key");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tc, uris_are_checked, 0, (int)(sizeof(uris) / sizeof(uris[0])));
    tcase_add_test(tc, files_are_no_uris);
    tcase_add_test(tc, files_are_checked);
    tcase_add_test(tc, what_is_no_library_is_told);
    suite_add_tcase(suite, tc);
    return suite;
}
