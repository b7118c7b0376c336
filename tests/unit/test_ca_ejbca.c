/* SPDX-License-Identifier: Apache-2.0 */
/* EJBCA's answers, good and bad: certificates in its forms, CAs, revocation. */
#include "ca_peer_fixture.h"

#include <string.h>

Suite *test_ca_ejbca_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define JSON "Content-Type: application/json\r\n"
#define CAS "{\"certificate_authorities\":[{\"name\":1}," \
            "{\"name\":\"Other\",\"subject_dn\":\"x\"}," \
            "{\"name\":\"Corp\",\"subject_dn\":\"CN=A B,O=\xc3\xa4\"}]}"

/* A backend for the CA Corp with one more word (NULL: none). */
static ca_peer_t *make(const char *more, int with_chain)
{
    const char *words[] = {"caName=Corp", "endEntityProfile=Dev", ca_peer_certificate_word(),
                           ca_peer_key_word(), more, NULL};

    return ca_peer_make(&ca_ejbca_provider, words, with_chain);
}

START_TEST(certificate)
{
    ca_peer_check_value(make(NULL, 1), "201 Created", "{\"certificate\":", "}", _i);
}
END_TEST

static const ca_peer_case_t answers[] = {
    {"201 Created", JSON, "{\"certificate\":\"@DER@\"}", CA_ISSUED, NULL},
    {"200 OK", JSON, "{\"certificate\":\"@DER@\",\"certificate_chain\":[\"@CA@\"]}", CA_ISSUED,
     NULL},
    {"201 Created", JSON, "{\"certificate\":\"@DER@AAAA\"}", CA_RETRY, "ca-answer"},
    {"201 Created", JSON, "{\"certificate\":\"@DER@\",\"certificate_chain\":[{}]}", CA_RETRY,
     "ca-answer"},
    {"201 Created", JSON, "{\"certificate\":\"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t\"}", CA_RETRY,
     "ca-answer"},
    {"201 Created", JSON, "[]", CA_RETRY, "ca-answer"},
    {"201 Created", JSON, "", CA_RETRY, "ca-answer"},
    {"202 Accepted", JSON, "{\"error_code\":202,\"error_message\":\"wait\"}", CA_REJECTED,
     "ca-waiting"},
    {"400 Bad Request", JSON, "{\"error_code\":400,\"error_message\":\"no profile\"}", CA_REJECTED,
     "ca-rejected"},
    {"400 Bad Request", JSON, "[\"error_message\"]", CA_REJECTED, "ca-rejected"},
    {"403 Forbidden", JSON, "", CA_RETRY, "ca-credentials"},
    {"404 Not Found", JSON, "", CA_RETRY, "ca-status"},
    {"422 No", JSON, "{\"error_message\":[]}", CA_REJECTED, "ca-rejected"},
    {"500 Oh", JSON, "", CA_RETRY, "ca-status"},
    {"503 Busy", "", "", CA_RETRY, "ca-unavailable"},
    {"", "", "", CA_RETRY, "ca-unreachable"},
};

START_TEST(answered)
{
    ca_peer_check(make(NULL, 1), &answers[_i], NULL);
}
END_TEST

START_TEST(who_the_end_entity_is)
{
    const char *more = _i ? "username=subject" : NULL;
    ca_peer_t *peer = make(more, 1);

    ca_peer_says(peer, "400 No", JSON, "");
    ca_peer_ask(peer, NULL);
    ck_assert_ptr_nonnull(strstr(peer->server->routes[HTTP_FIXTURE_ROUTES - 1].request,
                                 _i ? "\"username\":\"device\"" : "\"username\":\"scep-00\""));
}
END_TEST

START_TEST(nobody)
{
    ca_peer_t *peer = make("username=subject", 1);
    ca_answer_t answer;

    peer->request = ca_fixture_request(fixture_ec(), NULL, "subjectAltName=DNS:a.example", NULL);
    ca_peer_says(peer, "500 Oh", "", "");
    answer = ca_peer_ask(peer, NULL);
    ck_assert_int_eq(answer.result, CA_REJECTED);
    ck_assert_int_eq(*peer->server->requests, 0);
}
END_TEST

START_TEST(password_of_a_file)
{
    ca_peer_t *peer = make(ca_peer_file_word("passwordFile", "an-old-secret\n"), 1);

    ca_peer_says(peer, "400 No", JSON, "{\"error_message\":\"no\"}");
    ca_peer_ask(peer, NULL);
    ck_assert_ptr_nonnull(strstr(peer->server->routes[HTTP_FIXTURE_ROUTES - 1].request,
                                 "an-old-secret"));
    ck_assert_ptr_null(strstr(fixture_log_text(peer->log), "an-old-secret"));
}
END_TEST

static const struct {
    const char *cas, *status;
    apr_status_t rv;
} revocations[] = {
    {CAS, "200 OK", APR_SUCCESS},
    {CAS, "409 Conflict", APR_SUCCESS},
    {CAS, "404 Not Found", APR_NOTFOUND},
    {CAS, "403 Forbidden", APR_EGENERAL},
    {CAS, "", APR_ECONNREFUSED},
    {"{\"certificate_authorities\":{}}", "200 OK", APR_EGENERAL},
    {"", "200 OK", APR_EGENERAL},
};

START_TEST(revocation)
{
    static const int reasons[] = {0, 1, 3, 4, 5, 9, 1};
    static const char *const names[] = {"UNSPECIFIED", "KEY_COMPROMISE", "AFFILIATION_CHANGED",
                                        "SUPERSEDED", "CESSATION_OF_OPERATION"};
    ca_peer_t *peer = make(NULL, 1);
    const char *request = peer->server->routes[0].request;

    ca_peer_route(peer, 0, "/revoke", revocations[_i].status, JSON, "{}");
    ca_peer_says(peer, "200 OK", JSON, revocations[_i].cas);
    ca_peer_check_revocation(peer, reasons[_i], revocations[_i].rv);
    if (_i < COUNT(names)) {
        ck_assert_ptr_nonnull(strstr(request, "PUT /v1/certificate/CN%3DA%20B%2CO%3D%C3%A4/"
                                              "01234567/revoke?reason="));
        ck_assert_ptr_nonnull(strstr(request, names[_i]));
    }
}
END_TEST

static const struct {
    const char *status;
    int good;   /* the certificates that are downloaded */
    apr_status_t rv;
} chains[] = {
    {"200 OK", 1, APR_SUCCESS}, {"200 OK", 0, APR_EAGAIN}, {"404 Not Found", 1, APR_EAGAIN},
    {"", 1, APR_EAGAIN},
};

START_TEST(chain)
{
    ca_peer_t *peer = make(NULL, 0);

    http_fixture_route(peer->server, 0, "/certificate/download", chains[_i].status, "",
                       chains[_i].good ? fixture_certificate_pem(fixture_pool(), peer->issuer)
                                       : "no PEM");
    ca_peer_says(peer, "200 OK", JSON, CAS);
    ca_peer_check_chain(peer, chains[_i].rv);
}
END_TEST

START_TEST(health)
{
    static const char *const statuses[] = {"200 OK", "403 Forbidden", ""};
    ca_peer_t *peer = make(NULL, 1);
    const char *text = NULL;

    ca_peer_says(peer, statuses[_i], JSON, "{}");
    ck_assert_int_eq(ca_health(peer->ca, &text, fixture_pool()) == APR_SUCCESS, _i == 0);
    ck_assert(_i == 0 || strstr(text, "127.0.0.1") != NULL);
}
END_TEST

Suite *test_ca_ejbca_suite(void)
{
    Suite *suite = suite_create("ca_ejbca");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, certificate, 0, CA_PEER_VALUES);
    tcase_add_loop_test(tcase, answered, 0, COUNT(answers));
    tcase_add_loop_test(tcase, who_the_end_entity_is, 0, 2);
    tcase_add_test(tcase, nobody);
    tcase_add_test(tcase, password_of_a_file);
    tcase_add_loop_test(tcase, revocation, 0, COUNT(revocations));
    tcase_add_loop_test(tcase, chain, 0, COUNT(chains));
    tcase_add_loop_test(tcase, health, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}
