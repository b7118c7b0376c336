/* SPDX-License-Identifier: Apache-2.0 */
/* step-ca's answers, good and bad, and the tokens that it is asked with. */
#include "ca_peer_fixture.h"

#include "../../ca_backend/ca_jwt.h"
#include <jansson.h>
#include <string.h>

Suite *test_ca_stepca_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define JSON "Content-Type: application/json\r\n"

/* A backend with an EC provisioner. */
static ca_peer_t *make(int with_chain)
{
    const char *words[] = {"provisioner=front", NULL, NULL};

    words[1] = ca_peer_file_word("provisionerKey", fixture_key_pem(fixture_pool(), fixture_ec()));
    return ca_peer_make(&ca_stepca_provider, words, with_chain);
}

START_TEST(certificate)
{
    ca_peer_check_value(make(1), "201 Created", "{\"crt\":", "}", _i);
}
END_TEST

static const ca_peer_case_t answers[] = {
    {"201 Created", JSON, "{\"crt\":\"@LEAF@\",\"ca\":\"@CA@\",\"certChain\":[\"@LEAF@\"]}",
     CA_ISSUED, NULL},
    {"200 OK", JSON, "{\"crt\":\"@LEAF@\",\"certChain\":null}", CA_ISSUED, NULL},
    {"201 Created", JSON, "{\"crt\":\"@LEAF@\",\"certChain\":[null]}", CA_RETRY, "ca-answer"},
    {"201 Created", JSON, "{\"crt\":\"@LEAF@\",\"crt\":\"@LEAF@\"}", CA_RETRY, "ca-answer"},
    {"201 Created", JSON, "\"@LEAF@\"", CA_RETRY, "ca-answer"},
    {"201 Created", JSON, "", CA_RETRY, "ca-answer"},
    {"400 Bad Request", JSON, "{\"message\":\"The request\\u0001 was bad\"}", CA_REJECTED,
     "ca-rejected"},
    {"401 Unauthorized", JSON, "{\"message\":\"token\"}", CA_RETRY, "ca-credentials"},
    {"403 Forbidden", JSON, "{\"message\":\"not allowed\"}", CA_REJECTED, "ca-rejected"},
    {"403 Forbidden", JSON, "{\"message\":1}", CA_REJECTED, "ca-rejected"},
    {"404 Not Found", JSON, "", CA_RETRY, "ca-status"},
    {"500 Oh", JSON, "{", CA_RETRY, "ca-status"},
    {"503 Busy", "Retry-After: 9\r\n", "", CA_RETRY, "ca-unavailable"},
    {"", "", "", CA_RETRY, "ca-unreachable"},
};

START_TEST(answered)
{
    ca_peer_check(make(1), &answers[_i], NULL);
}
END_TEST

static const struct {
    const char *status, *body;
    apr_status_t rv;
} revocations[] = {
    {"200 OK", "{\"status\":\"ok\"}", APR_SUCCESS},
    {"400 Bad Request", "{\"message\":\"certificate is already revoked\"}", APR_SUCCESS},
    {"400 Bad Request", "{\"message\":\"no\"}", APR_EGENERAL},
    {"401 Unauthorized", "", APR_EGENERAL},
    {"", "", APR_ECONNREFUSED},
};

START_TEST(revocation)
{
    ca_peer_t *peer = make(1);

    ca_peer_says(peer, revocations[_i].status, JSON, revocations[_i].body);
    ca_peer_check_revocation(peer, 1, revocations[_i].rv);
    ck_assert_ptr_nonnull(strstr(peer->server->routes[HTTP_FIXTURE_ROUTES - 1].request,
                                 "\"serial\":\"19088743\""));
}
END_TEST

static const struct {
    const char *status, *intermediates, *roots;
    apr_status_t rv;
} chains[] = {
    {"201 Created", "{\"crts\":[\"@CA@\"]}", "{\"crts\":[\"@CA@\"]}", APR_SUCCESS},
    {"201 Created", "{\"crts\":[\"@CA@\"]}", "{\"crts\":[]}", APR_EAGAIN},
    {"200 OK", "{\"crts\":[]}", "{\"crts\":[\"@CA@\"]}", APR_EAGAIN},
    {"200 OK", "{\"crts\":[\"@HALF@\"]}", "{\"crts\":[\"@CA@\"]}", APR_EAGAIN},
    {"200 OK", "{\"crts\":\"@CA@\"}", "{\"crts\":[\"@CA@\"]}", APR_EAGAIN},
    {"404 Not Found", "{\"crts\":[\"@CA@\"]}", "{\"crts\":[\"@CA@\"]}", APR_EAGAIN},
    {"", "", "", APR_EAGAIN},
};

START_TEST(chain)
{
    ca_peer_t *peer = make(0);

    ca_peer_route(peer, 0, "/1.0/intermediates", chains[_i].status, JSON,
                  chains[_i].intermediates);
    ca_peer_route(peer, 1, "/1.0/roots", chains[_i].status, JSON, chains[_i].roots);
    ca_peer_check_chain(peer, chains[_i].rv);
}
END_TEST

START_TEST(health)
{
    static const char *const statuses[] = {"200 OK", "500 Oh", ""};
    ca_peer_t *peer = make(1);
    const char *text = NULL;

    ca_peer_says(peer, statuses[_i], JSON, "{}");
    ck_assert_int_eq(ca_health(peer->ca, &text, fixture_pool()) == APR_SUCCESS, _i == 0);
    ck_assert(_i == 0 || strstr(text, "127.0.0.1") != NULL);
}
END_TEST

/* One part of a token, decoded. */
static json_t *part_of(const char *token, int number)
{
    unsigned char bytes[4096];
    char text[4096];
    size_t i, len;
    int n;

    for (; number > 0; number--) {
        token = strchr(token, '.') + 1;
    }
    len = strcspn(token, ".");
    ck_assert_uint_lt(len, sizeof(text) - 4);
    for (i = 0; i < len; i++) {
        text[i] = token[i] == '-' ? '+' : token[i] == '_' ? '/' : token[i];
    }
    while (len % 4 != 0) {
        text[len++] = '=';
    }
    n = EVP_DecodeBlock(bytes, (unsigned char *)text, (int)len);
    while (n > 0 && bytes[n - 1] != '}') {
        n--;
    }
    return json_loadb((char *)bytes, (size_t)n, 0, NULL);
}

START_TEST(tokens)
{
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *key = _i ? fixture_rsa(0) : fixture_ec();
    const char *file = fixture_file(p, fixture_directory(p), "key", fixture_key_pem(p, key), 0600);
    ca_jwt_t *jwt;
    const char *token;
    json_t *header, *claims;

    ck_assert_ptr_null(ca_jwt_make(&jwt, file, _i ? "my-id" : NULL, p));
    ck_assert_int_eq(ca_jwt_child_init(jwt, p), APR_SUCCESS);
    token = ca_jwt_sign(jwt, json_pack("{s:s}", "sub", "a"), NULL, p);
    ck_assert_ptr_nonnull(token);
    header = part_of(token, 0);
    claims = part_of(token, 1);
    ck_assert_str_eq(json_string_value(json_object_get(header, "alg")), _i ? "RS256" : "ES256");
    ck_assert_str_eq(json_string_value(json_object_get(claims, "sub")), "a");
    ck_assert_uint_eq(json_string_length(json_object_get(header, "kid")), _i ? 5 : 43);
    json_decref(header);
    json_decref(claims);
}
END_TEST

START_TEST(unusable_keys)
{
    static const char *const texts[] = {
        "", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"};
    apr_pool_t *p = fixture_pool();
    ca_jwt_t *jwt;
    int i;

    ck_assert_ptr_nonnull(ca_jwt_make(&jwt, "/nowhere", NULL, p));
    for (i = 0; i < COUNT(texts); i++) {
        ck_assert_ptr_nonnull(ca_jwt_make(&jwt, fixture_file(p, fixture_directory(p), "key",
                                                             texts[i], 0600), NULL, p));
    }
}
END_TEST

Suite *test_ca_stepca_suite(void)
{
    Suite *suite = suite_create("ca_stepca");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, certificate, 0, CA_PEER_VALUES);
    tcase_add_loop_test(tcase, answered, 0, COUNT(answers));
    tcase_add_loop_test(tcase, revocation, 0, COUNT(revocations));
    tcase_add_loop_test(tcase, chain, 0, COUNT(chains));
    tcase_add_loop_test(tcase, health, 0, 3);
    tcase_add_loop_test(tcase, tokens, 0, 2);
    tcase_add_test(tcase, unusable_keys);
    suite_add_tcase(suite, tcase);
    return suite;
}
