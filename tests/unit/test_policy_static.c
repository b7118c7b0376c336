/* SPDX-License-Identifier: Apache-2.0 */
/* Policy "static": its file, and who gets in. */
#include "policy_fixture.h"
#include <apr_strings.h>
#include <string.h>

Suite *test_policy_static_suite(void);

static policy_fixture_t *f;
static const char *directory;

static void setup(void)
{
    policy_fixture_setup();
    f = policy_fixture();
    directory = fixture_directory(f->p);
}

/* Adds the provider with a file of this text and mode. */
static void add(const char *text, int mode)
{
    const char *file = fixture_file(f->p, directory, "static", text, mode);
    const char *words[2] = {apr_pstrcat(f->p, "file=", file, NULL), NULL};
    const char *error = policy_fixture_add("static", words);

    ck_assert_msg(!error, "%s", error);
}

static const struct {
    const char *text;
    int mode;
    const char *error; /* NULL: good */
} file_cases[] = {{"S3cretword\n", 0600, NULL},
                  {"# rotated\nS3cretword\nOldSecret1\n", 0600, NULL},
                  {"12345678", 0640, NULL},
                  {"1234567\n", 0600, "shorter than 8"},
                  {"", 0600, "holds no secret"},
                  {"\n\n# nothing\n", 0600, "holds no secret"},
                  {"S3cretword\nOldSecret1\nOlderSecret\n", 0600, "more than two"},
                  {"S3cretword\n", 0644, "by others"},
                  {"S3cret word\n", 0600, "not printable"},
                  {"S3cret<word\n", 0600, "not printable"},
                  {"S3cr\xc3\xa9tword\n", 0600, "not printable"},
                  {"S3cretword\nOld\x01Secret\n", 0600, "not printable"}};

START_TEST(files_are_checked)
{
    const char *error;

    add(file_cases[_i].text, file_cases[_i].mode);
    error = policy_check(f->policy, f->p);
    if (file_cases[_i].error) {
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, file_cases[_i].error) != NULL, "%s", error);
        ck_assert_ptr_null(strstr(error, "S3cr"));
        ck_assert_ptr_nonnull(policy_prepare(f->policy, 0, 0, f->sink, f->p));
    }
    else
        ck_assert_msg(!error, "%s", error);
}
END_TEST

START_TEST(options_are_checked)
{
    static const char *const none[] = {NULL};
    static const char *const empty[] = {"file=", NULL};
    static const char *const unknown[] = {"file=/a", "secret=12345678", NULL};
    static const char *const absent[] = {"file=/nonexistent/static", NULL};

    ck_assert_ptr_nonnull(policy_fixture_add("static", none));
    ck_assert_ptr_nonnull(policy_fixture_add("static", empty));
    ck_assert_ptr_nonnull(policy_fixture_add("static", unknown));
    ck_assert_ptr_null(policy_fixture_add("static", absent));
    ck_assert_ptr_nonnull(policy_check(f->policy, f->p));
}
END_TEST

START_TEST(longest_secret)
{
    char text[300];

    memset(text, 'x', sizeof(text));
    text[255] = '\0';
    add(text, 0600);
    ck_assert_ptr_null(policy_check(f->policy, f->p));
    text[255] = 'x';
    text[256] = '\0';
    fixture_file(f->p, directory, "static", text, 0600);
    ck_assert_ptr_nonnull(strstr(policy_check(f->policy, f->p), "longer than 255"));
}
END_TEST

static const struct {
    const char *challenge;
    const char *reason; /* NULL: let in */
} challenge_cases[] = {{"S3cretword", NULL},
                       {"OldSecret1", NULL},
                       {"S3cretwor", "challenge-unknown"},
                       {"S3cretwordS", "challenge-unknown"},
                       {"s3cretword", "challenge-unknown"},
                       {"S3cretword ", "challenge-unknown"},
                       {"# comment", "challenge-unknown"},
                       {NULL, "challenge-missing"}};

START_TEST(who_gets_in)
{
    apr_status_t rv;

    add("# comment\nS3cretword\nOldSecret1\n", 0600);
    policy_fixture_start();
    ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "SCEP0200"));
    policy_fixture_request(challenge_cases[_i].challenge, NULL);
    rv = policy_fixture_ask();
    if (challenge_cases[_i].reason) {
        ck_assert_int_eq(rv, APR_EACCES);
        ck_assert_int_eq(f->out.result, OUTCOME_REFUSED);
        ck_assert_str_eq(f->out.reason, challenge_cases[_i].reason);
    }
    else {
        ck_assert_msg(rv == APR_SUCCESS, "%s: %s", f->out.reason, f->out.detail);
        ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
        policy_fixture_request(challenge_cases[_i].challenge, NULL);
        ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    }
    ck_assert_ptr_null(strstr(fixture_log_text(f->sink), "S3cret"));
}
END_TEST

START_TEST(guesses_are_limited)
{
    int i;

    f->cfg.failure_max = 3;
    f->cfg.failure_window = apr_time_from_sec(60);
    add("S3cretword", 0600);
    policy_fixture_start();
    for (i = 0; i < 3; i++) {
        policy_fixture_request("guess", NULL);
        ck_assert_int_eq(policy_fixture_ask(), APR_EACCES);
        ck_assert_str_eq(f->out.reason, "challenge-unknown");
    }
    policy_fixture_request("S3cretword", NULL);
    ck_assert_int_ne(policy_fixture_ask(), APR_SUCCESS);
    ck_assert_int_eq(f->out.result, OUTCOME_LIMITED);
}
END_TEST

START_TEST(renewals)
{
    fixture_certificate_t want = {0};

    add("S3cretword", 0600);
    policy_fixture_start();
    f->request.authorization = POLICY_BY_SIGNER;
    f->request.signer = fixture_certificate(f->p, &want);
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    policy_fixture_request("S3cretword", NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    policy_fixture_request("wrong", NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_EACCES);
}
END_TEST

START_TEST(what_the_page_gets)
{
    policy_mint_t order = {"mdm", "", NULL, "192.0.2.9"};
    policy_challenge_t *challenge = NULL;

    add("S3cretword\nOldSecret1\n", 0600);
    policy_fixture_start();
    ck_assert_int_eq(
        policy_generate_challenge(f->policy, &order, &challenge, &f->out, f->sink, f->p),
        APR_SUCCESS);
    ck_assert_str_eq(challenge->text, "S3cretword");
    ck_assert_str_eq(challenge->id, "static");
    ck_assert(challenge->lifetime == 0);
    ck_assert_int_eq(challenge->uses, 0);
    /* who asks for a bound one must not believe that he got it */
    order.params = " {\"subject\":\"CN=a\"}";
    ck_assert_int_eq(
        policy_generate_challenge(f->policy, &order, &challenge, &f->out, f->sink, f->p),
        APR_EINVAL);
    ck_assert_int_eq(f->out.result, OUTCOME_REFUSED);
    ck_assert_ptr_null(challenge);
}
END_TEST

START_TEST(fingerprint_is_the_secrets)
{
    const char *one, *two;

    add("S3cretword", 0600);
    policy_fixture_start();
    one = policy_fingerprint(f->policy, f->p);
    f->policy = policy_make(&f->cfg, f->p);
    add("S3cretwore", 0600);
    policy_fixture_start();
    two = policy_fingerprint(f->policy, f->p);
    ck_assert_str_ne(one, two);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *test_policy_static_suite(void)
{
    Suite *suite = suite_create("policy_static");
    TCase *tc = tcase_create("policy_static");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, files_are_checked, 0, COUNT(file_cases));
    tcase_add_test(tc, options_are_checked);
    tcase_add_test(tc, longest_secret);
    tcase_add_loop_test(tc, who_gets_in, 0, COUNT(challenge_cases));
    tcase_add_test(tc, guesses_are_limited);
    tcase_add_test(tc, renewals);
    tcase_add_test(tc, what_the_page_gets);
    tcase_add_test(tc, fingerprint_is_the_secrets);
    suite_add_tcase(suite, tc);
    return suite;
}
