/* SPDX-License-Identifier: Apache-2.0 */
/* Vault's answers, good and bad: certificates, logins, revocation, chain and health. */
#include "ca_peer_fixture.h"

#include <string.h>

Suite *test_ca_vault_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define JSON "Content-Type: application/json\r\n"
#define TOKEN "hvs.unit-token"

/* A backend with a token out of a file. */
static ca_peer_t *make(int with_chain)
{
    const char *words[] = {ca_peer_file_word("tokenFile", TOKEN "\n"), "namespace=team/a", NULL};

    return ca_peer_make(&ca_vault_provider, words, with_chain);
}

/* A backend that logs in. */
static ca_peer_t *make_approle(void)
{
    const char *words[] = {"auth=approle", "roleId=front", NULL, NULL};

    words[2] = ca_peer_file_word("secretIdFile", "s3cret-id\n");
    return ca_peer_make(&ca_vault_provider, words, 1);
}

START_TEST(certificate)
{
    ca_peer_check_value(make(1), "200 OK", "{\"data\":{\"certificate\":", "}}", _i);
}
END_TEST

static const ca_peer_case_t answers[] = {
    {"200 OK", JSON, "{\"data\":{\"certificate\":\"@LEAF@\",\"issuing_ca\":\"@CA@\","
                     "\"ca_chain\":[\"@CA@\"]}}", CA_ISSUED, NULL},
    {"200 OK", JSON, "{\"data\":{\"certificate\":\"@LEAF@\",\"issuing_ca\":null}}", CA_ISSUED,
     NULL},
    {"200 OK", JSON, "{\"data\":{\"certificate\":\"@LEAF@\",\"issuing_ca\":\"@HALF@\"}}", CA_RETRY,
     "ca-answer"},
    {"200 OK", JSON, "{\"data\":{\"certificate\":\"@LEAF@\",\"ca_chain\":[1]}}", CA_RETRY,
     "ca-answer"},
    {"200 OK", JSON, "{\"data\":{\"certificate\":\"@LEAF@\"},\"data\":{}}", CA_RETRY, "ca-answer"},
    {"200 OK", JSON, "", CA_RETRY, "ca-answer"},
    {"200 OK", JSON, "{\"data\":[\"@LEAF@\"]}", CA_RETRY, "ca-answer"},
    {"200 OK", JSON, "[[[[[[[[[[[[[[[[[[[[", CA_RETRY, "ca-answer"},
    {"204 No Content", "", "", CA_RETRY, "ca-status"},
    {"400 Bad Request", JSON, "{\"errors\":[\"no such role\",\"nor\\nthis\"]}", CA_REJECTED,
     "ca-rejected"},
    {"400 Bad Request", JSON, "{\"errors\":[1,{}]}", CA_REJECTED, "ca-rejected"},
    {"400 Bad Request", JSON, "{\"errors\":\"text\"}", CA_REJECTED, "ca-rejected"},
    {"403 Forbidden", JSON, "{\"errors\":[\"permission denied\"]}", CA_RETRY, "ca-credentials"},
    {"404 Not Found", JSON, "", CA_RETRY, "ca-status"},
    {"429 Too Many Requests", "Retry-After: 3\r\n", "", CA_RETRY, "ca-unavailable"},
    {"500 Oh", JSON, "{\"errors\":[\"storage\"]}", CA_RETRY, "ca-status"},
    {"503 Sealed", JSON, "{\"errors\":[\"Vault is sealed\"]}", CA_RETRY, "ca-unavailable"},
};

START_TEST(answered)
{
    ca_peer_check(make(1), &answers[_i], NULL);
}
END_TEST

START_TEST(what_vault_is_told)
{
    ca_peer_t *peer = make(1);
    const char *request = peer->server->routes[HTTP_FIXTURE_ROUTES - 1].request;

    ca_peer_says(peer, "400 No", "", "");
    ca_peer_ask(peer, NULL);
    ck_assert_ptr_nonnull(strstr(request, "POST /v1/pki/sign-verbatim HTTP/1.1"));
    ck_assert_ptr_nonnull(strstr(request, "X-Vault-Token: " TOKEN "\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "X-Vault-Namespace: team/a\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "X-Vault-Request: true\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "BEGIN CERTIFICATE REQUEST"));
    ck_assert_ptr_null(strstr(fixture_log_text(peer->log), TOKEN));
}
END_TEST

START_TEST(a_role)
{
    const char *words[] = {ca_peer_file_word("tokenFile", TOKEN "\n"), "role=device", "mount=a/b",
                           NULL};
    ca_peer_t *peer = ca_peer_make(&ca_vault_role_provider, words, 1);
    const ca_peer_case_t good = {"200 OK", JSON, "{\"data\":{\"certificate\":\"@LEAF@\"}}",
                                 CA_ISSUED, NULL};
    const char *request = peer->server->routes[HTTP_FIXTURE_ROUTES - 1].request;

    ca_peer_check(peer, &good, NULL);
    ck_assert_ptr_nonnull(strstr(request, "POST /v1/a/b/sign/device HTTP/1.1"));
    ck_assert_ptr_null(strstr(request, "key_usage"));
}
END_TEST

static const struct {
    const char *status, *body;
    ca_result_e result;
    const char *reason;
} logins[] = {
    {"200 OK", "{\"auth\":{\"client_token\":\"t-1\",\"lease_duration\":60}}", CA_ISSUED, NULL},
    {"200 OK", "{\"auth\":{\"client_token\":\"t-1\",\"lease_duration\":0}}", CA_ISSUED, NULL},
    {"200 OK", "{\"auth\":{\"client_token\":\"t-1\",\"lease_duration\":99999999999}}", CA_ISSUED,
     NULL},
    {"200 OK", "{\"auth\":{\"client_token\":\"t-1\",\"lease_duration\":-1}}", CA_RETRY,
     "ca-answer"},
    {"200 OK", "{\"auth\":{\"client_token\":\"t-1\",\"lease_duration\":\"60\"}}", CA_RETRY,
     "ca-answer"},
    {"200 OK", "{\"auth\":{\"client_token\":\"t-1\"}}", CA_RETRY, "ca-answer"},
    {"200 OK", "{\"auth\":{\"client_token\":\"t\\r\\nX: y\",\"lease_duration\":1}}", CA_RETRY,
     "ca-answer"},
    {"200 OK", "{\"auth\":{\"client_token\":\"\",\"lease_duration\":1}}", CA_RETRY, "ca-answer"},
    {"200 OK", "{\"auth\":{\"client_token\":7,\"lease_duration\":1}}", CA_RETRY, "ca-answer"},
    {"200 OK", "{\"auth\":null}", CA_RETRY, "ca-answer"},
    {"200 OK", "", CA_RETRY, "ca-answer"},
    {"400 Bad Request", "{\"errors\":[\"invalid secret id\"]}", CA_RETRY, "ca-credentials"},
    {"403 Forbidden", "", CA_RETRY, "ca-credentials"},
    {"404 Not Found", "", CA_RETRY, "ca-status"},
    {"503 Sealed", "", CA_RETRY, "ca-unavailable"},
    {"", "", CA_RETRY, "ca-unreachable"},
};

START_TEST(login)
{
    ca_peer_t *peer = make_approle();
    const ca_peer_case_t good = {"200 OK", JSON, "{\"data\":{\"certificate\":\"@LEAF@\"}}",
                                 logins[_i].result, logins[_i].reason};

    ca_peer_route(peer, 0, "/v1/auth/approle/login", logins[_i].status, JSON, logins[_i].body);
    ca_peer_check(peer, &good, NULL);
    ck_assert_ptr_nonnull(strstr(peer->server->routes[0].request, "s3cret-id"));
    ck_assert_ptr_null(strstr(fixture_log_text(peer->log), "s3cret-id"));
    ck_assert_int_eq(peer->server->routes[HTTP_FIXTURE_ROUTES - 1].requests,
                     logins[_i].result == CA_ISSUED);
}
END_TEST

/* A token that is refused is replaced by a login once in a while, not for each request. */
START_TEST(refused_token)
{
    ca_peer_t *peer = make_approle();
    const ca_peer_case_t refused = {"403 Forbidden", "", "", CA_RETRY, "ca-credentials"};

    ca_peer_route(peer, 0, "/login", "200 OK", JSON,
                  "{\"auth\":{\"client_token\":\"t-1\",\"lease_duration\":60}}");
    ca_peer_check(peer, &refused, NULL);
    ck_assert_int_eq(peer->server->routes[0].requests, 2);
    ca_peer_check(peer, &refused, NULL);
    ck_assert_int_eq(peer->server->routes[0].requests, 2);
}
END_TEST

static const struct {
    const char *status, *body;
    apr_status_t rv;
} revocations[] = {
    {"200 OK", "{\"data\":{\"state\":\"revoked\"}}", APR_SUCCESS},
    {"400 Bad Request", "{\"errors\":[\"certificate with serial 11 not found\"]}", APR_NOTFOUND},
    {"404 Not Found", "{\"errors\":[\"serial not found\"]}", APR_NOTFOUND},
    {"404 Not Found", "{\"errors\":[]}", APR_EGENERAL},
    {"400 Bad Request", "", APR_EGENERAL},
    {"403 Forbidden", "", APR_EGENERAL},
    {"500 Oh", "", APR_EGENERAL},
};

START_TEST(revocation)
{
    ca_peer_t *peer = make(1);

    ca_peer_says(peer, revocations[_i].status, JSON, revocations[_i].body);
    ca_peer_check_revocation(peer, 1, revocations[_i].rv);
    ck_assert_ptr_nonnull(strstr(peer->server->routes[HTTP_FIXTURE_ROUTES - 1].request,
                                 "{\"serial_number\":\"01:23:45:67\"}"));
}
END_TEST

static const struct {
    const char *status, *body;
    apr_status_t rv;
} chains[] = {
    {"200 OK", "-----BEGIN CERTIFICATE-----\n", APR_EAGAIN},
    {"200 OK", "", APR_EAGAIN},
    {"404 Not Found", "", APR_EAGAIN},
};

START_TEST(chain)
{
    ca_peer_t *peer = make(0);

    ca_peer_says(peer, chains[_i].status, "", chains[_i].body);
    ca_peer_check_chain(peer, chains[_i].rv);
}
END_TEST

START_TEST(good_chain)
{
    ca_peer_t *peer = make(0);

    http_fixture_route(peer->server, 0, "/v1/pki/ca_chain", "200 OK", "",
                       fixture_certificate_pem(fixture_pool(), peer->issuer));
    ca_peer_check_chain(peer, APR_SUCCESS);
}
END_TEST

static const struct {
    const char *status, *text; /* NULL: healthy */
} healths[] = {
    {"200 OK", NULL},           {"429 Standby", NULL},         {"473 Performance", NULL},
    {"501 No", "initialized"},  {"503 Sealed", "sealed"},      {"500 Oh", "HTTP 500"},
    {"", "http://127.0.0.1"},
};

START_TEST(health)
{
    ca_peer_t *peer = make(1);
    const char *text = NULL;
    apr_status_t rv;

    ca_peer_says(peer, healths[_i].status, "", "{}");
    rv = ca_health(peer->ca, &text, fixture_pool());
    ck_assert_int_eq(rv == APR_SUCCESS, healths[_i].text == NULL);
    ck_assert(healths[_i].text == NULL || strstr(text, healths[_i].text) != NULL);
}
END_TEST

static const struct {
    const char *words[4], *error;
} options[] = {
    {{"auth=token", NULL}, "tokenFile"},
    {{"auth=approle", "roleId=a", NULL}, "secretIdFile"},
    {{"auth=cert", NULL}, "needs certificate"},
    {{"auth=ldap", NULL}, "none of"},
    {{"auth=token", "tokenFile=/nowhere", "roleId=a", NULL}, "no use"},
    {{"auth=approle", "roleId=a", "secretIdFile=/nowhere", "tokenFile=b"}, "no use"},
    {{"auth=approle", "roleId=a", "secretIdFile=/nowhere", NULL}, "/nowhere"},
    {{"mount=a//b", NULL}, "not usable"},
    {{"mount=../sys", NULL}, "not usable"},
    {{"mount=/a", NULL}, "not usable"},
    {{"role=a b", NULL}, "not allowed"},
    {{"namespace=a\r\nb", NULL}, "not allowed"},
    {{"authMount=", NULL}, "not usable"},
};

START_TEST(option)
{
    const char *words[5] = {"url=https://vault.example"}, *error;
    ca_config_t *cfg = ca_fixture_config();
    ca_t *ca;
    int n = 1;

    while (n < 5 && options[_i].words[n - 1] != NULL) {
        words[n] = options[_i].words[n - 1];
        n++;
    }
    error = ca_make(&ca, &ca_vault_provider, n, words, cfg, fixture_pool());
    ck_assert_msg(error != NULL && strstr(error, options[_i].error) != NULL, "%s", error);
}
END_TEST

Suite *test_ca_vault_suite(void)
{
    Suite *suite = suite_create("ca_vault");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, certificate, 0, CA_PEER_VALUES);
    tcase_add_loop_test(tcase, answered, 0, COUNT(answers));
    tcase_add_test(tcase, what_vault_is_told);
    tcase_add_test(tcase, a_role);
    tcase_add_loop_test(tcase, login, 0, COUNT(logins));
    tcase_add_test(tcase, refused_token);
    tcase_add_loop_test(tcase, revocation, 0, COUNT(revocations));
    tcase_add_loop_test(tcase, chain, 0, COUNT(chains));
    tcase_add_test(tcase, good_chain);
    tcase_add_loop_test(tcase, health, 0, COUNT(healths));
    tcase_add_loop_test(tcase, option, 0, COUNT(options));
    suite_add_tcase(suite, tcase);
    return suite;
}
