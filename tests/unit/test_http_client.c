/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client against a server that behaves and misbehaves; TLS is in the system tests. */
#include "../../common/http_client.h"
#include "fixture.h"
#include "http_fixture.h"
#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Suite *test_http_client_suite(void);

static apr_pool_t *p;
static http_fixture_t *server;
static http_options_t options;
static http_client_t *client;
static http_answer_t answer;
static log_sink_t *sink;

static void setup(void)
{
    fixture_setup();
    p = fixture_pool();
    sink = fixture_log(p);
    server = http_fixture_start(p);
    memset(&options, 0, sizeof(options));
    options.name = "peer";
    options.plain_loopback = 1;
    options.connect_timeout = fixture_patience(1000);
    options.timeout = fixture_patience(2000);
    options.rest = fixture_patience(300);
    options.concurrency = 4;
    options.body_max = 4096;
}

/* A client of up to two URLs, as set in options otherwise. */
static void make(const char *url, const char *url2)
{
    const char *error;

    options.url[0] = url;
    options.url[1] = url2;
    error = http_client_make(&client, &options, p);
    if (!error)
        error = http_client_prepare(client, p);
    ck_assert_msg(!error, "%s", error);
    ck_assert_int_eq(http_client_child_init(client, p), APR_SUCCESS);
}

/* A client of one path of the server. */
static void make_path(const char *path)
{
    make(http_fixture_url(server, path, p), NULL);
}

/* Posts a small body. */
static int urgent;

static apr_status_t post(int idempotent)
{
    static const char *const headers[] = {"X-One: 1", "X-Two: 2", NULL};
    http_request_t request = {0};

    request.content_type = "application/json";
    request.body.data = (const unsigned char *)"{\"q\":1}";
    request.body.len = 7;
    request.headers = headers;
    request.idempotent = idempotent;
    request.urgent = urgent;
    return http_client_call(client, &request, &answer, sink, p);
}

/* A dead URL. */
static const char *dead(void)
{
    return apr_psprintf(p, "http://localhost:%d/good", http_fixture_dead_port());
}

static const struct {
    const char *url;
    int plain;
    const char *error; /* NULL: good */
} url_cases[] = {
    {"https://hook.example", 0, NULL},
    {"https://hook.example:8443/a?code=1", 0, NULL},
    {"http+unix://%2Frun%2Fhook.sock/a", 0, NULL},
    {"http://127.0.0.1:80/", 1, NULL},
    {"http://[::1]:80/", 1, NULL},
    {"http://127.0.0.1:80/", 0, "in the clear"},
    {"http://hook.example/", 1, "in the clear"},
    {"http://127.evil.example/", 1, "in the clear"},
    {"ftp://hook.example/", 1, "is not https"},
    {"file:///etc/passwd", 1, ""},
    {"https://user:secret@hook.example/", 0, "user names"},
    {"https://user@hook.example/", 0, "user names"},
    {"https://hook.example/#x", 0, "fragment"},
    {"http+unix:///run/hook.sock", 0, ""},
    {"http+unix://hook.example/", 0, "%2F"},
    {"hook.example", 0, "not a URL"},
    {"https://", 0, ""},
    {"https://hook.example/a b", 0, "not a URL"},
    {"https://hook.example/\r\nX: y", 0, "not a URL"},
    {"", 0, "not a URL"}};

START_TEST(urls_are_checked)
{
    const char *error;

    options.url[0] = url_cases[_i].url;
    options.plain_loopback = url_cases[_i].plain;
    error = http_client_make(&client, &options, p);
    if (url_cases[_i].error) {
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, url_cases[_i].error) != NULL, "%s", error);
        ck_assert_ptr_null(strstr(error, "secret"));
        ck_assert_ptr_null(client);
    }
    else
        ck_assert_msg(!error, "%s", error);
}
END_TEST

START_TEST(options_are_checked)
{
    options.url[0] = NULL;
    ck_assert_ptr_nonnull(http_client_make(&client, &options, p));
    options.url[0] = "https://hook.example";
    options.key_file = "key.pem";
    ck_assert_ptr_nonnull(http_client_make(&client, &options, p));
    options.key_file = NULL;
    options.proxy = "http://user:secret@proxy:1";
    ck_assert_ptr_nonnull(http_client_make(&client, &options, p));
    options.proxy = "https://proxy:1";
    ck_assert_ptr_nonnull(http_client_make(&client, &options, p));
    options.proxy = "http://proxy:3128";
    ck_assert_ptr_null(http_client_make(&client, &options, p));
    options.ca_file = "/nonexistent/ca.pem";
    ck_assert_ptr_null(http_client_make(&client, &options, p));
    ck_assert_ptr_nonnull(http_client_check(client, p));
    ck_assert_ptr_nonnull(http_client_prepare(client, p));
}
END_TEST

/* The file of the proxy's user and password; NULL: it is good. */
static const struct {
    const char *text;
    int mode;
    const char *error;
} proxy_files[] = {{"svc-scep:secret:1\n", 0600, NULL},
                   {"svc-scep:secret\r\n", 0640, NULL},
                   {"svc-scep:secret", 0400, NULL},
                   {"", 0600, "one line"},
                   {"svc-scep\n", 0600, "one line"},
                   {":secret\n", 0600, "one line"},
                   {"svc-scep:\n", 0600, "one line"},
                   {"svc-scep:secret\nmore:secret\n", 0600, "one line"},
                   {"svc-scep:sec\tret\n", 0600, "one line"},
                   {"svc-scep:secret\n", 0644, "by everybody"},
                   {NULL, 0600, "one line"}};

START_TEST(proxy_file)
{
    char *text = apr_pcalloc(p, 600);
    const char *error;

    memset(text, 's', 599);
    text[1] = ':';
    options.url[0] = "https://hook.example";
    options.proxy_file = fixture_file(p, fixture_directory(p), "proxy",
                                      proxy_files[_i].text ? proxy_files[_i].text : text,
                                      proxy_files[_i].mode);
    error = http_client_make(&client, &options, p);
    ck_assert_ptr_nonnull(error); /* there is no proxy */
    options.proxy = "http://proxy:3128";
    ck_assert_ptr_null(http_client_make(&client, &options, p));
    error = http_client_check(client, p);
    if (!proxy_files[_i].error) {
        ck_assert_msg(!error, "%s", error);
        return;
    }
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error, proxy_files[_i].error) != NULL, "%s", error);
    ck_assert_ptr_null(strstr(error, "secret"));
}
END_TEST

START_TEST(key_fits_certificate)
{
    const char *directory = fixture_directory(p);
    fixture_certificate_t want = {0};
    X509 *cert = fixture_certificate(p, &want);

    options.url[0] = "https://hook.example";
    options.certificate_file =
        fixture_file(p, directory, "c.pem", fixture_certificate_pem(p, cert), 0644);
    options.key_file =
        fixture_file(p, directory, "k.pem", fixture_key_pem(p, fixture_rsa(1)), 0600);
    ck_assert_ptr_null(http_client_make(&client, &options, p));
    ck_assert_ptr_nonnull(strstr(http_client_check(client, p), "is not that of"));
    fixture_file(p, directory, "k.pem", fixture_key_pem(p, fixture_rsa(0)), 0600);
    ck_assert_ptr_null(http_client_check(client, p));
}
END_TEST

START_TEST(good_answer)
{
    make_path("/good");
    ck_assert_int_eq(post(0), APR_SUCCESS);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.content_type, "application/json");
    ck_assert_uint_eq(answer.body.len, 7);
    ck_assert_str_eq((const char *)answer.body.data, "{\"a\":1}");
    ck_assert(answer.retry_after == 0);
    ck_assert_ptr_null(answer.error);
    ck_assert_str_eq(answer.peer, apr_psprintf(p, "http://127.0.0.1:%d", server->port));
}
END_TEST

START_TEST(request_as_meant)
{
    http_request_t request = {0};
    const char *text = (const char *)answer.body.data;

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    make_path("/echo?code=1");
    ck_assert_int_eq(post(1), APR_SUCCESS);
    text = (const char *)answer.body.data;
    ck_assert_int_eq(strncmp(text, "POST /echo?code=1 HTTP/1.1\r\n", 28), 0);
    ck_assert_ptr_nonnull(strstr(text, "\r\nX-One: 1\r\nX-Two: 2\r\n"));
    ck_assert_ptr_nonnull(strstr(text, "\r\nContent-Type: application/json\r\n"));
    ck_assert_ptr_null(strstr(text, "Expect"));
    ck_assert_ptr_nonnull(strstr(text, "\r\n\r\n{\"q\":1}"));
    request.path = "/more";
    ck_assert_int_eq(http_client_call(client, &request, &answer, sink, p), APR_SUCCESS);
    text = (const char *)answer.body.data;
    ck_assert_int_eq(strncmp(text, "GET /echo/more?code=1 HTTP/1.1\r\n", 32), 0);
    ck_assert_ptr_null(strstr(text, "{\"q\":1}"));
    /* the handle is the same, and the method is this call's alone */
    request.method = "PUT";
    request.body.data = (const unsigned char *)"";
    ck_assert_int_eq(http_client_call(client, &request, &answer, sink, p), APR_SUCCESS);
    text = (const char *)answer.body.data;
    ck_assert_int_eq(strncmp(text, "PUT /echo/more?code=1 HTTP/1.1\r\n", 32), 0);
    ck_assert_ptr_nonnull(strstr(text, "\r\nContent-Length: 0\r\n"));
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(strncmp((const char *)answer.body.data, "POST /echo?code=1 ", 18), 0);
}
END_TEST

START_TEST(one_slash)
{
    static const char *const bases[] = {"", "/"};
    http_request_t request = {0};
    int i;

    for (i = 0; i < 2; i++) {
        make_path(bases[i]);
        request.path = "/echo";
        ck_assert_int_eq(http_client_call(client, &request, &answer, sink, p), APR_SUCCESS);
        ck_assert_int_eq(strncmp((const char *)answer.body.data, "GET /echo HTTP/1.1\r\n", 20), 0);
        ck_assert_str_eq(answer.path, "/echo");
    }
}
END_TEST

START_TEST(unix_socket)
{
    make(apr_pstrcat(p, server->socket_url, "/good", NULL), NULL);
    ck_assert_int_eq(post(0), APR_SUCCESS);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.peer, apr_pstrcat(p, "http+unix:", server->socket, NULL));
}
END_TEST

START_TEST(connections_are_kept)
{
    make_path("/good");
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(*server->requests, 2);
    ck_assert_int_eq(*server->connections, 1);
    ck_assert_int_eq(post(0), APR_SUCCESS);
    ck_assert_int_eq(*server->connections, 1);
    sleep(4);
    ck_assert_int_eq(post(0), APR_SUCCESS);
    ck_assert_int_eq(*server->connections, 2);
}
END_TEST

/* A kept connection ends after the request was sent, or while it is: libcurl must not repeat it. */
START_TEST(kept_and_cut)
{
    static const char *const paths[] = {"/first", "/peek"};
    int read_whole = _i == 0;

    make_path(paths[_i]);
    ck_assert_int_eq(post(0), APR_SUCCESS);
    ck_assert_int_eq(post(0), APR_ECONNREFUSED);
    ck_assert_int_eq(answer.failure, HTTP_FAILURE_CUT);
    ck_assert_int_eq(*server->requests, 1 + read_whole);
    /* what may arrive twice does so at once */
    ck_assert_int_eq(post(0), APR_SUCCESS);
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(*server->requests, 3 + 2 * read_whole);
}
END_TEST

START_TEST(kept_and_left)
{
    int i;

    make_path("/leave");
    for (i = 1; i <= 20; i++) {
        ck_assert_int_eq(post(0), APR_SUCCESS);
        ck_assert_int_eq(*server->requests, i);
        while (*server->left < i)
            usleep(1000);
    }
}
END_TEST

START_TEST(status_is_an_answer)
{
    make(http_fixture_url(server, "/503", p), http_fixture_url(server, "/good", p));
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(answer.status, 503);
    ck_assert(answer.retry_after == apr_time_from_sec(7));
    ck_assert_int_eq(*server->requests, 1);
}
END_TEST

START_TEST(redirects_are_not_followed)
{
    make_path("/moved");
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(answer.status, 302);
    ck_assert_int_eq(*server->requests, 1);
}
END_TEST

START_TEST(retry_after_is_bounded)
{
    make_path("/answer");
    http_fixture_answer(server, "429 Slow", "Retry-After: 99999999999\r\n", "");
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert(answer.retry_after == apr_time_from_sec(3600));
    http_fixture_answer(server, "429 Slow", "Retry-After: -5\r\n", "");
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert(answer.retry_after == 0);
    http_fixture_answer(server, "429 Slow", "Retry-After: soon\r\nContent-Type: a\x01\x7f\r\n", "");
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert(answer.retry_after == 0);
    ck_assert_ptr_null(strchr(answer.content_type, 1));
}
END_TEST

static const struct {
    const char *path;
    apr_status_t status;
    int requests; /* of an idempotent call */
    http_failure_e failure;
} bad_cases[] = {{"/cut", APR_ECONNREFUSED, 2, HTTP_FAILURE_CUT},
                 {"/half", APR_ECONNREFUSED, 2, HTTP_FAILURE_CUT},
                 {"/garbage", APR_ECONNREFUSED, 2, HTTP_FAILURE_CUT},
                 {"/big", APR_ENOSPC, 1, HTTP_FAILURE_OTHER},
                 {"/headers", APR_ENOSPC, 1, HTTP_FAILURE_OTHER},
                 {"/slow", APR_TIMEUP, 1, HTTP_FAILURE_TIME}};

START_TEST(bad_answers)
{
    options.timeout = fixture_patience(700);
    make_path(bad_cases[_i].path);
    ck_assert_int_eq(post(0), bad_cases[_i].status);
    ck_assert_ptr_nonnull(answer.error);
    ck_assert(*answer.error != '\0');
    ck_assert_int_eq(answer.failure, bad_cases[_i].failure);
    ck_assert_str_eq(answer.path, bad_cases[_i].path);
    ck_assert_int_eq(answer.status, 0);
    ck_assert_uint_eq(answer.body.len, 0);
    ck_assert_int_eq(*server->requests, 1);
    ck_assert_int_eq(post(1), bad_cases[_i].status);
    ck_assert_int_eq(*server->requests, 1 + bad_cases[_i].requests);
}
END_TEST

START_TEST(no_connection)
{
    make(dead(), NULL);
    ck_assert_int_eq(post(1), APR_ECONNREFUSED);
    ck_assert_int_eq(answer.failure, HTTP_FAILURE_CONNECT);
}
END_TEST

START_TEST(headers_are_kept)
{
    http_request_t request = {0};
    const char *value, *many = "";
    int i;

    make_path("/answer");
    for (i = 0; i < 2 * HTTP_KEPT_MAX; i++)
        many = apr_psprintf(p, "%sX-Own-%d: v\r\n", many, i);
    request.keep_headers = "X-Own-";
    http_fixture_answer(server, "200 OK", "x-OWN-Text: a\tb \r\nX-Own-Two: 1\r\nX-Other: 1\r\n"
                        "X-Own-Two: 2\r\nX-Own-Empty:\r\n", "");
    ck_assert_int_eq(http_client_call(client, &request, &answer, sink, p), APR_SUCCESS);
    ck_assert_int_eq(http_answer_header(&value, &answer, "X-Own-Text"), APR_SUCCESS);
    ck_assert_str_eq(value, "a b");
    ck_assert_int_eq(http_answer_header(&value, &answer, "X-Own-Empty"), APR_SUCCESS);
    ck_assert_str_eq(value, "");
    ck_assert_int_eq(http_answer_header(&value, &answer, "X-Own-Two"), APR_EINVAL);
    ck_assert_int_eq(http_answer_header(&value, &answer, "X-Other"), APR_NOTFOUND);
    ck_assert_ptr_null(value);
    http_fixture_answer(server, "200 OK", many, "");
    ck_assert_int_eq(http_client_call(client, &request, &answer, sink, p), APR_SUCCESS);
    ck_assert_int_eq(apr_table_elts(answer.headers)->nelts, HTTP_KEPT_MAX);
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(apr_table_elts(answer.headers)->nelts, 0);
    ck_assert_int_eq(answer.failure, HTTP_FAILURE_NONE);
}
END_TEST

START_TEST(deadline_is_kept)
{
    http_request_t request = {0};
    apr_time_t begin = apr_time_now();

    make_path("/slow");
    request.deadline = begin + apr_time_from_msec(300);
    ck_assert_int_eq(http_client_call(client, &request, &answer, sink, p), APR_TIMEUP);
    ck_assert(apr_time_now() - begin < apr_time_from_msec(1500));
    request.deadline = begin;
    ck_assert_int_eq(http_client_call(client, &request, &answer, sink, p), APR_TIMEUP);
    ck_assert_str_eq(answer.error, "no time is left");
    ck_assert_int_eq(*server->requests, 1);
}
END_TEST

START_TEST(second_url)
{
    make(dead(), http_fixture_url(server, "/good", p));
    ck_assert_int_eq(post(0), APR_SUCCESS);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_ptr_nonnull(strstr(answer.peer, "127.0.0.1"));
    ck_assert_int_eq(post(0), APR_SUCCESS);
    ck_assert_int_eq(*server->requests, 2);
}
END_TEST

START_TEST(sent_is_sent)
{
    make(http_fixture_url(server, "/cut", p), http_fixture_url(server, "/good", p));
    ck_assert_int_eq(post(0), APR_ECONNREFUSED);
    ck_assert_int_eq(*server->requests, 1);
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(*server->requests, 3);
}
END_TEST

START_TEST(breaker)
{
    int i, before;

    make_path("/good");
    *server->closed = 1;
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(post(0), APR_ECONNREFUSED);
    before = *server->connections;
    ck_assert_int_eq(post(0), APR_ECONNREFUSED);
    ck_assert_msg(strstr(answer.error, "rests") != NULL, "%s", answer.error);
    ck_assert_int_eq(*server->connections, before);
    /* a probe that fails: one connection, then it rests again */
    apr_sleep(fixture_patience(350));
    ck_assert_int_eq(post(0), APR_ECONNREFUSED);
    ck_assert_int_eq(*server->connections, before + 1);
    ck_assert_int_eq(post(0), APR_ECONNREFUSED);
    ck_assert_int_eq(*server->connections, before + 1);
    /* and one that does not */
    *server->closed = 0;
    apr_sleep(fixture_patience(350));
    ck_assert_int_eq(post(0), APR_SUCCESS);
    ck_assert_int_eq(post(0), APR_SUCCESS);
}
END_TEST

/* A thread's call. */
static http_request_t slow; /* what slow_call() asks */
static http_answer_t slow_answer;

static void *APR_THREAD_FUNC slow_call(apr_thread_t *thread, void *baton)
{
    apr_pool_t *pool = baton;
    http_request_t request = slow;
    http_answer_t mine;

    (void)thread;
    http_client_call(client, &request, &mine, NULL, pool);
    slow_answer = mine;
    return NULL;
}

START_TEST(bulkhead)
{
    apr_thread_t *thread[4];
    apr_status_t rv;
    apr_pool_t *own;
    int i;

    make_path("/slow");
    for (i = 0; i < 4; i++) {
        apr_pool_create(&own, p);
        ck_assert_int_eq(apr_thread_create(&thread[i], NULL, slow_call, own, own), APR_SUCCESS);
    }
    for (i = 0; *server->requests < 4 && i < 100; i++)
        apr_sleep(10000);
    ck_assert_int_eq(post(1), APR_EAGAIN);
    ck_assert_str_eq(answer.error, "busy: 4 calls are under way");
    /* a note of a certificate has to arrive while others only ask */
    urgent = 1;
    ck_assert_int_ne(post(1), APR_EAGAIN);
    urgent = 0;
    for (i = 0; i < 4; i++)
        apr_thread_join(&rv, thread[i]);
    ck_assert_int_ge(*server->requests, 4);
    ck_assert_int_ne(post(1), APR_EAGAIN);
}
END_TEST

/* What a child that ends does not wait for. */
static const struct {
    http_end_e which;
    int idempotent, urgent, ends;
} end_cases[] = {{HTTP_END_ALL, 0, 0, 1}, {HTTP_END_ALL, 1, 1, 1}, {HTTP_END_QUESTIONS, 1, 0, 1},
                 {HTTP_END_QUESTIONS, 0, 0, 0}, {HTTP_END_QUESTIONS, 1, 1, 0}};

START_TEST(calls_end)
{
    int ends = end_cases[_i].ends, i;
    apr_thread_t *thread;
    apr_status_t rv;

    make_path("/slow");
    slow.idempotent = end_cases[_i].idempotent;
    slow.urgent = end_cases[_i].urgent;
    ck_assert_int_eq(apr_thread_create(&thread, NULL, slow_call, p, p), APR_SUCCESS);
    for (i = 0; *server->requests < 1 && i < 100; i++)
        apr_sleep(10000);
    http_client_end_calls(end_cases[_i].which);
    apr_thread_join(&rv, thread);
    ck_assert_int_eq(slow_answer.error && !strcmp(slow_answer.error, "this process ends"), ends);
    if (ends) {
        ck_assert_int_eq(post(1), APR_ECONNREFUSED);
        ck_assert_int_eq(*server->requests, 1);
    }
    http_client_end_calls(HTTP_END_NONE);
    ck_assert_int_ne(post(1), APR_ECONNREFUSED);
}
END_TEST

START_TEST(not_set_up)
{
    options.url[0] = "https://hook.example";
    ck_assert_ptr_null(http_client_make(&client, &options, p));
    ck_assert_int_eq(post(0), APR_EGENERAL);
    ck_assert_str_eq(answer.error, "it is not set up");
}
END_TEST

START_TEST(files_are_read_again)
{
    const char *directory = fixture_directory(p);
    fixture_certificate_t want = {0};
    const char *pem = fixture_certificate_pem(p, fixture_certificate(p, &want));

    options.ca_file = fixture_file(p, directory, "ca.pem", pem, 0644);
    make_path("/good");
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(*server->connections, 1);
    fixture_file(p, directory, "ca.pem", "no certificate", 0644);
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(*server->connections, 1);
    ck_assert_ptr_nonnull(strstr(fixture_log_text(sink), "SCEP0390"));
    /* new ones get a new connection; a file that is gone is no change */
    fixture_file(p, directory, "ca.pem", apr_pstrcat(p, pem, pem, NULL), 0644);
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(*server->connections, 2);
    ck_assert_ptr_nonnull(strstr(fixture_log_text(sink), "SCEP0391"));
    apr_file_remove(options.ca_file, p);
    ck_assert_int_eq(post(1), APR_SUCCESS);
    ck_assert_int_eq(*server->connections, 2);
}
END_TEST

START_TEST(printable)
{
    ck_assert_str_eq(http_printable("a\r\n\tb\x7f", 100, p), "a   b ");
    ck_assert_str_eq(http_printable("Ger\xc3\xa4t", 100, p), "Ger\xc3\xa4t");
    ck_assert_str_eq(http_printable("Ger\xc3\xa4t", 4, p), "Ger");
    ck_assert_str_eq(http_printable("a\xc2\x85" "b", 100, p), "a  b");
    ck_assert_str_eq(http_printable("abcdef", 3, p), "abc");
}
END_TEST

/* A client whose URL comes with each call, and one call of it. */
static apr_status_t call_url(const char *url)
{
    http_request_t request = {0};
    const char *error;

    options.url_at_call = 1;
    if (!client) {
        error = http_client_make(&client, &options, p);
        ck_assert_msg(!error, "%s", error);
        ck_assert_ptr_null(http_client_prepare(client, p));
        ck_assert_int_eq(http_client_child_init(client, p), APR_SUCCESS);
    }
    request.url = url;
    request.path = "good";
    return http_client_call(client, &request, &answer, sink, p);
}

START_TEST(url_at_call)
{
    client = NULL;
    ck_assert_int_eq(call_url(http_fixture_url(server, "/", p)), APR_SUCCESS);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.peer, http_fixture_url(server, "", p));
    ck_assert_int_eq(call_url(NULL), APR_EINVAL);
    ck_assert_int_eq(call_url("http://hook.example/"), APR_EINVAL);
    ck_assert_int_eq(call_url("https://user:secret@hook.example/"), APR_EINVAL);
    ck_assert_ptr_null(strstr(answer.error, "secret"));
    ck_assert_int_eq(call_url("ftp://127.0.0.1/"), APR_EINVAL);
    options.url[0] = "https://hook.example/";
    ck_assert_ptr_nonnull(http_client_make(&client, &options, p));
}
END_TEST

/* Each host has a breaker of its own, and there are not more than a few. */
START_TEST(url_at_call_breakers)
{
    const char *gone = apr_psprintf(p, "http://127.0.0.1:%d/", http_fixture_dead_port());
    int i;

    client = NULL;
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(call_url(gone), APR_ECONNREFUSED);
    ck_assert_int_eq(call_url(gone), APR_ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(answer.error, "rests"));
    ck_assert_int_eq(call_url(http_fixture_url(server, "/", p)), APR_SUCCESS);
    for (i = 0; i < 2 * HTTP_URLS_MAX; i++)
        call_url(apr_psprintf(p, "http://127.0.0.%d:%d/", i + 2, server->port));
    ck_assert_int_eq(call_url(gone), APR_ECONNREFUSED);
    ck_assert_ptr_null(strstr(answer.error, "rests"));
    ck_assert_int_eq(call_url(http_fixture_url(server, "/", p)), APR_SUCCESS);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *test_http_client_suite(void)
{
    Suite *suite = suite_create("http_client");
    TCase *tc = tcase_create("http_client");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, urls_are_checked, 0, COUNT(url_cases));
    tcase_add_test(tc, options_are_checked);
    tcase_add_loop_test(tc, proxy_file, 0, (int)(sizeof(proxy_files) / sizeof(proxy_files[0])));
    tcase_add_test(tc, key_fits_certificate);
    tcase_add_test(tc, good_answer);
    tcase_add_test(tc, request_as_meant);
    tcase_add_test(tc, one_slash);
    tcase_add_test(tc, unix_socket);
    tcase_add_test(tc, connections_are_kept);
    tcase_add_loop_test(tc, kept_and_cut, 0, 2);
    tcase_add_test(tc, kept_and_left);
    tcase_add_test(tc, status_is_an_answer);
    tcase_add_test(tc, redirects_are_not_followed);
    tcase_add_test(tc, retry_after_is_bounded);
    tcase_add_loop_test(tc, bad_answers, 0, COUNT(bad_cases));
    tcase_add_test(tc, no_connection);
    tcase_add_test(tc, headers_are_kept);
    tcase_add_test(tc, deadline_is_kept);
    tcase_add_test(tc, second_url);
    tcase_add_test(tc, sent_is_sent);
    tcase_add_test(tc, breaker);
    tcase_add_test(tc, bulkhead);
    tcase_add_loop_test(tc, calls_end, 0, 5);
    tcase_add_test(tc, not_set_up);
    tcase_add_test(tc, files_are_read_again);
    tcase_add_test(tc, printable);
    tcase_add_test(tc, url_at_call);
    tcase_add_test(tc, url_at_call_breakers);
    suite_add_tcase(suite, tc);
    return suite;
}
