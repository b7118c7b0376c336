/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of EST servers, good and bad. */
#include "ca_peer_fixture.h"

#include <string.h>

Suite *test_ca_est_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define P7 "Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n"
#define TEXT "Content-Type: text/plain\r\n"
#define COOKIE "est"

/* A backend that is known by user and password. */
static ca_peer_t *make(int with_chain)
{
    const char *words[] = {"label=devices", NULL, NULL};

    words[1] = ca_peer_file_word("userFile", "front:s3cret-word\n");
    return ca_peer_make(&ca_est_provider, words, with_chain);
}

static const ca_peer_case_t answers[] = {
    {"200 OK", P7, "@CMS@", CA_ISSUED, NULL},
    {"200 OK", P7 "Content-Transfer-Encoding: binary\r\n", "@CMS@\r\n", CA_ISSUED, NULL},
    {"200 OK", "Content-Type: APPLICATION/PKCS7-MIME\r\n", "@CMS@", CA_ISSUED, NULL},
    {"200 OK", "", "@CMS@", CA_RETRY, "ca-answer"},
    {"200 OK", "Content-Type: text/html\r\n", "@CMS@", CA_RETRY, "ca-answer"},
    {"200 OK", P7, "", CA_RETRY, "ca-answer"},
    {"200 OK", P7, "@DER@", CA_RETRY, "ca-answer"},
    {"200 OK", P7, "@CMS@AAAA", CA_RETRY, "ca-answer"},
    {"200 OK", P7, "@CMS@=", CA_RETRY, "ca-answer"},
    {"200 OK", P7, "AAAA@CMS@", CA_RETRY, "ca-answer"},
    {"200 OK", P7, "\\x30\\x80", CA_RETRY, "ca-answer"},
    {"204 No Content", P7, "", CA_RETRY, "ca-status"},
    {"202 Accepted", "Retry-After: 60\r\n", "", CA_PENDING, NULL},
    {"202 Accepted", "Retry-After: tomorrow\r\n", "", CA_PENDING, NULL},
    {"400 Bad Request", TEXT, "not this name", CA_REJECTED, "ca-rejected"},
    {"400 Bad Request", "Content-Type: text/html\r\n", "<p>no", CA_REJECTED, "ca-rejected"},
    {"401 Unauthorized", TEXT, "", CA_RETRY, "ca-credentials"},
    {"404 Not Found", TEXT, "", CA_RETRY, "ca-status"},
    {"500 Oh", TEXT, "", CA_RETRY, "ca-status"},
    {"503 Busy", "Retry-After: 5\r\n", "", CA_RETRY, "ca-unavailable"},
    {"", "", "", CA_RETRY, "ca-unreachable"},
};

START_TEST(answered)
{
    ca_peer_t *peer = make(1);
    const char *request = peer->server->routes[HTTP_FIXTURE_ROUTES - 1].request;

    ca_peer_check(peer, &answers[_i], NULL);
    ck_assert_ptr_nonnull(strstr(request, "POST /.well-known/est/devices/simpleenroll HTTP/1.1"));
    ck_assert_ptr_nonnull(strstr(request, "Authorization: Basic ZnJvbnQ6czNjcmV0LXdvcmQ="));
    ck_assert_ptr_null(strstr(fixture_log_text(peer->log), "s3cret-word"));
}
END_TEST

/* The same request again, whatever the cookie. */
START_TEST(poll)
{
    static const ca_peer_case_t issued = {"200 OK", P7, "@CMS@", CA_ISSUED, NULL};

    ca_peer_check(make(1), &issued, COOKIE);
}
END_TEST

static const struct {
    const char *status, *headers, *body;
} chains[] = {
    {"200 OK", "Content-Type: text/plain\r\n", "@CMS@"},
    {"200 OK", P7, ""},
    {"200 OK", P7, "@DER@"},
    {"404 Not Found", P7, "@CMS@"},
    {"", "", ""},
};

START_TEST(chain)
{
    ca_peer_t *peer = make(0);
    const char *text = NULL;

    ca_peer_says(peer, chains[_i].status, chains[_i].headers, chains[_i].body);
    ca_peer_check_chain(peer, APR_EAGAIN);
    ck_assert_int_ne(ca_health(peer->ca, &text, fixture_pool()), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(text, "127.0.0.1"));
}
END_TEST

START_TEST(health)
{
    ca_peer_t *peer = make(1);
    const char *text = NULL;

    ca_peer_says(peer, "200 OK", P7, "@CMS@");
    ck_assert_int_eq(ca_health(peer->ca, &text, fixture_pool()), APR_SUCCESS);
}
END_TEST

static const struct {
    const char *words[2], *error;
} options[] = {
    {{NULL, NULL}, "userFile"},
    {{"label=a/b", NULL}, "one part of a path"},
    {{"label=", NULL}, "one part of a path"},
    {{"label=..", NULL}, "one part of a path"},
    {{"label=CaCerts", NULL}, "operation"},
    {{"userFile=/nowhere", NULL}, "/nowhere"},
};

START_TEST(option)
{
    const char *words[] = {"url=https://est.example", options[_i].words[0]}, *error;
    ca_t *ca;

    error = ca_make(&ca, &ca_est_provider, options[_i].words[0] != NULL ? 2 : 1, words,
                    ca_fixture_config(), fixture_pool());
    ck_assert_msg(error != NULL && strstr(error, options[_i].error) != NULL, "%s", error);
}
END_TEST

START_TEST(users)
{
    static const char *const texts[] = {"front", ":word", "front word"};
    const char *words[] = {"url=https://est.example", NULL}, *error;
    ca_t *ca;

    words[1] = ca_peer_file_word("userFile", texts[_i]);
    error = ca_make(&ca, &ca_est_provider, 2, words, ca_fixture_config(), fixture_pool());
    ck_assert_msg(error != NULL && strstr(error, "user:password") != NULL, "%s", error);
}
END_TEST

Suite *test_ca_est_suite(void)
{
    Suite *suite = suite_create("ca_est");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, answered, 0, COUNT(answers));
    tcase_add_test(tcase, poll);
    tcase_add_loop_test(tcase, chain, 0, COUNT(chains));
    tcase_add_test(tcase, health);
    tcase_add_loop_test(tcase, option, 0, COUNT(options));
    tcase_add_loop_test(tcase, users, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}
