/* SPDX-License-Identifier: Apache-2.0 */
/* What CA backends over HTTP share: certificates as they come, statuses, replaced secrets. */
#include "../../ca_backend/ca_certs.h"
#include "../../ca_backend/ca_http.h"
#include "../../common/json_text.h"
#include "../../common/secret.h"
#include "ca_fixture.h"
#include "http_fixture.h"

#include <apr_strings.h>
#include <openssl/cms.h>
#include <openssl/pem.h>
#include <string.h>
#include <unistd.h>

Suite *test_ca_http_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const fixture_certificate_t leaf_wish = {0};

/* The DER of a certificate. */
static crypt_buf_t der_of(X509 *cert)
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    crypt_buf_t buf;

    buf.data = apr_pmemdup(fixture_pool(), der, (apr_size_t)len);
    buf.len = (apr_size_t)len;
    OPENSSL_free(der);
    return buf;
}

/* The PEM of a certificate. */
static const char *pem_of(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text, *copy;
    long len;

    PEM_write_bio_X509(bio, cert);
    len = BIO_get_mem_data(bio, &text);
    copy = apr_pstrmemdup(fixture_pool(), text, (apr_size_t)len);
    BIO_free(bio);
    return copy;
}

START_TEST(der)
{
    STACK_OF(X509) *certs = NULL;
    crypt_buf_t good = der_of(fixture_certificate(fixture_pool(), &leaf_wish));
    unsigned char *longer = apr_pcalloc(fixture_pool(), good.len + 1);

    memcpy(longer, good.data, good.len);
    ck_assert_int_eq(ca_certs_add_der(&certs, good.data, good.len, fixture_pool()), APR_SUCCESS);
    ck_assert_int_eq(ca_certs_add_der(&certs, longer, good.len + 1, fixture_pool()), APR_EINVAL);
    ck_assert_int_eq(ca_certs_add_der(&certs, good.data, good.len - 1, fixture_pool()), APR_EINVAL);
    ck_assert_int_eq(ca_certs_add_der(&certs, "", 0, fixture_pool()), APR_EINVAL);
    ck_assert_int_eq(sk_X509_num(certs), 1);
}
END_TEST

START_TEST(pem)
{
    STACK_OF(X509) *certs = NULL;
    const char *one = pem_of(fixture_certificate(fixture_pool(), &leaf_wish));
    const char *two = apr_pstrcat(fixture_pool(), "Bag Attributes\n", one, "\ntext\n", one, NULL);
    /* OpenSSL would ask the terminal for a passphrase */
    const char *encrypted = "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
                            "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n"
                            "AAAAAAAAAAAAAAAAAAAAAA==\n-----END CERTIFICATE-----\n";
    const char *key = "-----BEGIN NONSENSE-----\nAAAA\n-----END NONSENSE-----\n";

    ck_assert_int_eq(ca_certs_add_pem(&certs, two, strlen(two), fixture_pool()), APR_SUCCESS);
    ck_assert_int_eq(sk_X509_num(certs), 2);
    ck_assert_int_eq(ca_certs_add_pem(&certs, "", 0, fixture_pool()), APR_EINVAL);
    ck_assert_int_eq(ca_certs_add_pem(&certs, "x", 1, fixture_pool()), APR_EINVAL);
    ck_assert_int_eq(ca_certs_add_pem(&certs, key, strlen(key), fixture_pool()), APR_EINVAL);
    ck_assert_int_eq(ca_certs_add_pem(&certs, one, strlen(one) / 2, fixture_pool()), APR_EINVAL);
    ck_assert_int_eq(ca_certs_add_pem(&certs, encrypted, strlen(encrypted), fixture_pool()),
                     APR_EINVAL);
    ck_assert_int_eq(sk_X509_num(certs), 2);
}
END_TEST

START_TEST(no_more_than_so_many)
{
    STACK_OF(X509) *certs = NULL;
    crypt_buf_t good = der_of(fixture_certificate(fixture_pool(), &leaf_wish));
    int i;

    for (i = 0; i < CA_CERTS_MAX; i++) {
        ck_assert_int_eq(ca_certs_add_der(&certs, good.data, good.len, fixture_pool()),
                         APR_SUCCESS);
    }
    ck_assert_int_eq(ca_certs_add_der(&certs, good.data, good.len, fixture_pool()), APR_ENOSPC);
    ck_assert_int_eq(sk_X509_num(certs), CA_CERTS_MAX);
}
END_TEST

START_TEST(cms)
{
    STACK_OF(X509) *certs = NULL, *in = sk_X509_new_null();
    X509 *cert = fixture_certificate(fixture_pool(), &leaf_wish);
    CMS_ContentInfo *message;
    unsigned char *data = NULL;
    int len;

    sk_X509_push(in, cert);
    message = CMS_sign(NULL, NULL, in, NULL, CMS_BINARY | CMS_PARTIAL);
    ck_assert_ptr_nonnull(message);
    len = i2d_CMS_ContentInfo(message, &data);
    ck_assert_int_eq(ca_certs_add_cms(&certs, data, (apr_size_t)len, fixture_pool()), APR_SUCCESS);
    ck_assert_int_eq(sk_X509_num(certs), 1);
    ck_assert_int_eq(X509_cmp(sk_X509_value(certs, 0), cert), 0);
    ck_assert_int_eq(ca_certs_add_cms(&certs, data, (apr_size_t)len - 1, fixture_pool()),
                     APR_EINVAL);
    ck_assert_int_eq(ca_certs_add_cms(&certs, "", 0, fixture_pool()), APR_EINVAL);
    OPENSSL_free(data);
    CMS_ContentInfo_free(message);
    message = CMS_data_create(NULL, CMS_BINARY);
    data = NULL;
    len = i2d_CMS_ContentInfo(message, &data);
    ck_assert_int_eq(ca_certs_add_cms(&certs, data, (apr_size_t)len, fixture_pool()), APR_EINVAL);
    OPENSSL_free(data);
    CMS_ContentInfo_free(message);
    sk_X509_free(in);
    ck_assert_int_eq(sk_X509_num(certs), 1);
}
END_TEST

static const struct {
    const char *text, *bytes; /* NULL: not base64 */
} base64_cases[] = {
    {"YQ==", "a"},      {"YWI=", "ab"},        {"YWJj", "abc"}, {" Y\r\nW\tJj\n", "abc"},
    {"", NULL},         {"   ", NULL},         {"YQ=", NULL},   {"YQ", NULL},
    {"Y=Q=", NULL},     {"YQ==YQ==", NULL},    {"====", NULL},  {"YWJ!", NULL},
    {"YWJj----", NULL}, {"YWJj-_--", NULL}, {"Y\xc3\xa4Jj", NULL},
};

START_TEST(base64)
{
    const char *text = base64_cases[_i].text, *bytes = base64_cases[_i].bytes;
    crypt_buf_t found;
    apr_status_t rv = ca_base64_decode(&found, text, strlen(text), fixture_pool());

    ck_assert_int_eq(rv, bytes != NULL ? APR_SUCCESS : APR_EINVAL);
    if (bytes != NULL) {
        ck_assert_uint_eq(found.len, strlen(bytes));
        ck_assert_mem_eq(found.data, bytes, found.len);
    }
}
END_TEST

static const struct {
    int status;
    ca_result_e result;
    int down, unknown;
    const char *reason;
} status_cases[] = {
    {302, CA_RETRY, 0, 0, "ca-status"},      {400, CA_REJECTED, 0, 0, "ca-rejected"},
    {401, CA_RETRY, 0, 0, "ca-credentials"}, {403, CA_RETRY, 0, 0, "ca-credentials"},
    {404, CA_RETRY, 0, 0, "ca-status"},      {405, CA_RETRY, 0, 0, "ca-status"},
    {407, CA_RETRY, 0, 0, "ca-credentials"}, {408, CA_RETRY, 0, 0, "ca-unavailable"},
    {410, CA_RETRY, 0, 0, "ca-status"},      {422, CA_REJECTED, 0, 0, "ca-rejected"},
    {429, CA_RETRY, 0, 0, "ca-unavailable"}, {500, CA_RETRY, 0, 1, "ca-status"},
    {502, CA_RETRY, 1, 1, "ca-unavailable"}, {503, CA_RETRY, 1, 0, "ca-unavailable"},
    {504, CA_RETRY, 1, 1, "ca-unavailable"}, {204, CA_RETRY, 0, 1, "ca-status"},
};

START_TEST(statuses)
{
    http_answer_t http;
    ca_answer_t answer;

    memset(&http, 0, sizeof(http));
    memset(&answer, 0, sizeof(answer));
    http.status = status_cases[_i].status;
    http.peer = "https://ca.example:443";
    http.retry_after = apr_time_from_sec(7);
    ca_http_status(&answer, &http, "no\nsuch\001role", fixture_pool());
    ck_assert_int_eq(answer.result, status_cases[_i].result);
    ck_assert_int_eq(answer.down, status_cases[_i].down);
    ck_assert_int_eq(answer.unknown, status_cases[_i].unknown);
    ck_assert_str_eq(answer.outcome.reason, status_cases[_i].reason);
    ck_assert_ptr_nonnull(strstr(answer.outcome.detail, "no such role"));
    if (answer.result == CA_RETRY) {
        ck_assert_int_eq(answer.retry_after, http.retry_after);
    }
}
END_TEST

/* A client of the server's path; ended with the test. */
static http_client_t *client_of(const char *url)
{
    static const settings_key_t keys[] = {CA_HTTP_KEYS(0), {NULL, NULL, 0}};
    const char *words[] = {apr_pstrcat(fixture_pool(), "url=", url, NULL), "plainLoopback=on",
                           "timeout=1s", "connectTimeout=1s"};
    settings_t *settings;
    http_client_t *client;

    ck_assert_ptr_null(settings_parse(&settings, keys, 4, words, fixture_pool()));
    ck_assert_ptr_null(ca_http_make(&client, "test", settings, ca_fixture_config(),
                                    fixture_pool()));
    ck_assert_int_eq(http_client_child_init(client, fixture_pool()), APR_SUCCESS);
    return client;
}

static const struct {
    const char *path; /* NULL: nobody listens */
    apr_status_t rv;
    int down, unknown;
} call_cases[] = {
    {"/good", APR_SUCCESS, 0, 0},
    {"/slow", APR_TIMEUP, 1, 1},
    {"/cut", APR_ECONNREFUSED, 1, 1},
    {"/garbage", APR_ECONNREFUSED, 1, 1},
    {NULL, APR_ECONNREFUSED, 1, 0},
};

START_TEST(calls)
{
    http_fixture_t *server = http_fixture_start(fixture_pool());
    const char *path = call_cases[_i].path;
    http_client_t *client = client_of(
        path != NULL ? http_fixture_url(server, path, fixture_pool())
                     : apr_psprintf(fixture_pool(), "http://127.0.0.1:%d/",
                                    http_fixture_dead_port()));
    http_request_t request;
    http_answer_t http;
    ca_answer_t answer;

    memset(&request, 0, sizeof(request));
    memset(&answer, 0, sizeof(answer));
    request.body.data = (const unsigned char *)"{}";
    request.body.len = 2;
    ck_assert_int_eq(ca_http_ask(client, &request, &http, &answer, NULL, fixture_pool()),
                     call_cases[_i].rv);
    if (call_cases[_i].rv != APR_SUCCESS) {
        ck_assert_int_eq(answer.result, CA_RETRY);
        ck_assert_int_eq(answer.down, call_cases[_i].down);
        ck_assert_int_eq(answer.unknown, call_cases[_i].unknown);
        ck_assert_str_eq(answer.outcome.reason, "ca-unreachable");
    }
}
END_TEST

static const struct {
    const char *words[2], *error;
} option_cases[] = {
    {{"url=https://a.example,https://b.example", NULL}, "takes one URL"},
    {{"url=https://a.example/?x", NULL}, "no query"},
    {{"url=http://a.example/", NULL}, "in the clear"},
    {{"url=https://a.example", "key=/nowhere"}, "certificate"},
    {{"url=https://a.example", "caFile=/nowhere/ca.pem"}, "/nowhere/ca.pem"},
    {{"url=https://a.example", "timeout=1h"}, "out of range"},
    {{"url=https://u:p@a.example", NULL}, "user names"},
};

START_TEST(options)
{
    static const settings_key_t keys[] = {CA_HTTP_KEYS(0), {NULL, NULL, 0}};
    settings_t *settings;
    http_client_t *client;
    const char *error;

    ck_assert_ptr_null(settings_parse(&settings, keys, option_cases[_i].words[1] != NULL ? 2 : 1,
                                      option_cases[_i].words, fixture_pool()));
    error = ca_http_make(&client, "test", settings, ca_fixture_config(), fixture_pool());
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error, option_cases[_i].error) != NULL, "%s", error);
}
END_TEST

/* Whether a secret is this text. */
static int is(crypt_buf_t secret, const char *text)
{
    return secret.len == strlen(text) && memcmp(secret.data, text, secret.len) == 0;
}

START_TEST(secret_is_replaced)
{
    apr_pool_t *p = fixture_pool();
    const char *directory = fixture_directory(p);
    const char *path = fixture_file(p, directory, "token", "# of vault\nold-token\n", 0600);
    log_sink_t *log = fixture_log(p);
    secret_file_t *file;

    ck_assert_ptr_null(secret_file_make(&file, path, "token", 4, 100, p));
    ck_assert_int_eq(secret_file_child_init(file, p), APR_SUCCESS);
    ck_assert(is(secret_file_get(file, log, p), "old-token"));
    unlink(path);
    ck_assert(is(secret_file_get(file, log, p), "old-token"));
    ck_assert(is(secret_file_get(file, log, p), "old-token"));
    ck_assert_ptr_nonnull(strstr(fixture_log_text(log), "SCEP0304"));
    ck_assert_ptr_null(strstr(strstr(fixture_log_text(log), "SCEP0304") + 1, "SCEP0304"));
    ck_assert_ptr_null(strstr(fixture_log_text(log), "old-token"));
    fixture_file(p, directory, "token", "new-token\n", 0600);
    ck_assert(is(secret_file_get(file, log, p), "new-token"));
    fixture_file(p, directory, "token", "x\n", 0600);
    ck_assert(is(secret_file_get(file, log, p), "new-token"));
}
END_TEST

START_TEST(secret_that_is_none)
{
    apr_pool_t *p = fixture_pool();
    const char *directory = fixture_directory(p);
    secret_file_t *file;

    ck_assert_ptr_nonnull(secret_file_make(&file, "/nowhere/token", "token", 4, 100, p));
    ck_assert_ptr_nonnull(secret_file_make(
        &file, fixture_file(p, directory, "open", "a-token\n", 0644), "token", 4, 100, p));
    ck_assert_ptr_nonnull(secret_file_make(
        &file, fixture_file(p, directory, "empty", "\n", 0600), "token", 4, 100, p));
}
END_TEST

START_TEST(json)
{
    static const char *const bad[] = {"", "{", "{\"a\":1,\"a\":2}", "{} x",
                                      "{\"a\":\"\\u0000\"}"};
    crypt_buf_t text = {(const unsigned char *)"{\"a\":\"b\",\"n\":1}", 15};
    struct json_t *object;
    int i;

    object = json_text_parse(&text, fixture_pool());
    ck_assert_str_eq(json_text_get(object, "a"), "b");
    ck_assert_ptr_null(json_text_get(object, "n"));
    ck_assert_ptr_null(json_text_get(object, "x"));
    ck_assert_ptr_null(json_text_get(NULL, "x"));
    for (i = 0; i < COUNT(bad); i++) {
        text.data = (const unsigned char *)bad[i];
        text.len = strlen(bad[i]);
        ck_assert_ptr_null(json_text_parse(&text, fixture_pool()));
    }
}
END_TEST

Suite *test_ca_http_suite(void)
{
    Suite *suite = suite_create("ca_http");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, der);
    tcase_add_test(tcase, pem);
    tcase_add_test(tcase, no_more_than_so_many);
    tcase_add_test(tcase, cms);
    tcase_add_loop_test(tcase, base64, 0, COUNT(base64_cases));
    tcase_add_loop_test(tcase, statuses, 0, COUNT(status_cases));
    tcase_add_loop_test(tcase, calls, 0, COUNT(call_cases));
    tcase_add_loop_test(tcase, options, 0, COUNT(option_cases));
    tcase_add_test(tcase, secret_is_replaced);
    tcase_add_test(tcase, secret_that_is_none);
    tcase_add_test(tcase, json);
    suite_add_tcase(suite, tcase);
    return suite;
}
