/* SPDX-License-Identifier: Apache-2.0 */
/* Policy "known": whose requests may use which template, and what a list may look like. */
#include "policy_fixture.h"
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

Suite *test_policy_known_suite(void);

static policy_fixture_t *f;
static const char *directory, *list;

static void setup(void)
{
    policy_fixture_setup();
    f = policy_fixture();
    directory = fixture_directory(f->p);
    ck_assert_ptr_null(policy_fixture_add("challenge", NULL));
}

/* Replaces the list. */
static void write_list(const char *text)
{
    list = fixture_file(f->p, directory, "list", text, 0600);
}

/* Starts with up to two words. */
static void start(const char *one, const char *other)
{
    const char *words[] = {one, other, NULL}, *error = policy_fixture_add("known", words);

    ck_assert_msg(!error, "%s", error);
    policy_fixture_start();
}

/* Asks with a challenge that is bound so. */
static apr_status_t ask(const char *params)
{
    policy_mint_t order = {"mdm", "", params, "192.0.2.9"};
    policy_challenge_t *challenge = NULL;

    ck_assert_int_eq(policy_generate_challenge(f->policy, &order, &challenge, &f->out, f->sink,
                                               f->p),
                     APR_SUCCESS);
    policy_fixture_request(challenge->text, NULL);
    return policy_fixture_ask();
}

/* Whether the last request was refused for that reason, in phase 2. */
static void refused(const char *reason)
{
    ck_assert_int_eq(f->out.result, OUTCOME_REFUSED);
    ck_assert_str_eq(f->out.reason, reason);
    ck_assert_int_eq(f->out.phase, OUTCOME_PHASE_PERMISSION);
}

START_TEST(required)
{
    start("require=user,device", NULL);
    ck_assert_int_eq(ask("{\"device\":\"d\",\"user\":\"u\"}"), APR_SUCCESS);
    ck_assert_int_eq(ask(NULL), APR_EACCES);
    refused("device-missing");
    ck_assert_int_eq(ask("{\"device\":\"d\"}"), APR_EACCES);
    refused("user-missing");
}
END_TEST

/* A list of devices, and who may have template Device. */
static const struct {
    const char *text, *device, *reason; /* NULL: allowed */
} lists[] = {
    {"d1\n", "d1", NULL},
    {"d1\n", "D1", NULL},
    {"d1", "d1", NULL},
    {"# comment\n\n  d0 \r\n d1 , Other , Device \r\n", "d1", NULL},
    {"d1,Other\n", "d1", "device-template"},
    {"d1,device\n", "d1", "device-template"},
    {"d1,\n", "d1", "device-template"},
    {"d1,Devices,Devic\n", "d1", "device-template"},
    {"d1,Other\nd1,Device\n", "d1", NULL},
    {"", "d1", "device-unknown"},
    {"#d1\n", "#d1", "device-unknown"},
    {"d11\nd\nxd1\n", "d1", "device-unknown"},
    {"name with blanks,Device\n", "name with blanks", NULL},
    {"d1 \t\n", "d1", NULL}};

START_TEST(listed)
{
    const char *params = apr_psprintf(f->p, "{\"device\":\"%s\"}", lists[_i].device);

    write_list(lists[_i].text);
    start(apr_pstrcat(f->p, "devices=", list, NULL), NULL);
    ck_assert_int_eq(ask(params), lists[_i].reason ? APR_EACCES : APR_SUCCESS);
    if (lists[_i].reason)
        refused(lists[_i].reason);
    ck_assert_int_eq(ask("{\"user\":\"d1\"}"), APR_EACCES);
    refused("device-missing");
}
END_TEST

START_TEST(users)
{
    write_list("anna@corp.example\n");
    start(apr_pstrcat(f->p, "users=", list, NULL), NULL);
    ck_assert_int_eq(ask("{\"user\":\"Anna@Corp.example\"}"), APR_SUCCESS);
    ck_assert_int_eq(ask("{\"user\":\"bob@corp.example\"}"), APR_EACCES);
    refused("user-unknown");
    /* replaced while the service runs */
    write_list("bob@corp.example\n");
    ck_assert_int_eq(ask("{\"user\":\"bob@corp.example\"}"), APR_SUCCESS);
    ck_assert_int_eq(remove(list), 0);
    ck_assert_int_eq(ask("{\"user\":\"bob@corp.example\"}"), APR_EGENERAL);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
}
END_TEST

/* A line that is none hides what follows: no yes, and no refusal. */
START_TEST(damaged)
{
    char *line = apr_pcalloc(f->p, 1100);

    write_list("d1\n");
    start(apr_pstrcat(f->p, "devices=", list, NULL), NULL);
    memset(line, 'x', 1099);
    write_list(_i == 0 ? ",Device\nd1\n" : apr_pstrcat(f->p, line, "\nd1\n", NULL));
    ck_assert_int_eq(ask("{\"device\":\"d1\"}"), APR_EGENERAL);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_ptr_nonnull(policy_check(f->policy, f->p));
}
END_TEST

/* A renewal names nobody; its certificate is enough where that was said. */
START_TEST(renewal)
{
    fixture_certificate_t want = {0};

    start("require=device", _i ? "renewal=signer" : "renewal=known");
    policy_fixture_request(NULL, NULL);
    f->request.signer = fixture_certificate(f->p, &want);
    f->request.authorization = POLICY_BY_SIGNER;
    ck_assert_int_eq(policy_fixture_ask(), _i ? APR_SUCCESS : APR_EACCES);
    if (!_i)
        refused("device-missing");
}
END_TEST

START_TEST(settings)
{
    static const char *const words[] = {
        "require=", "require=devices", "require=device,device", "require=device,", "renewal=off",
        "renewal=signer", "devices=", "users=", "devices=/no/such/file", "file=x"};
    const char *argv[] = {words[_i], NULL}, *error = policy_fixture_add("known", argv);

    if (!error)
        error = policy_check(f->policy, f->p);
    ck_assert_ptr_nonnull(error);
}
END_TEST

/* It judges no challenge, so it cannot stand alone or first. */
START_TEST(not_first)
{
    static const char *const words[] = {"require=device"};
    policy_t *policy = policy_make(&f->cfg, f->p);
    int i;

    for (i = 0; strcmp(policy_builtin[i]->name, "known") != 0; i++)
        continue;
    ck_assert_ptr_nonnull(policy_add(policy, policy_builtin[i], 1, words, f->p));
}
END_TEST

Suite *test_policy_known_suite(void)
{
    Suite *s = suite_create("policy_known");
    TCase *tc = tcase_create("known");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, required);
    tcase_add_loop_test(tc, listed, 0, (int)(sizeof(lists) / sizeof(lists[0])));
    tcase_add_test(tc, users);
    tcase_add_loop_test(tc, damaged, 0, 2);
    tcase_add_loop_test(tc, renewal, 0, 2);
    tcase_add_loop_test(tc, settings, 0, 10);
    tcase_add_test(tc, not_first);
    suite_add_tcase(s, tc);
    return s;
}
