/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may not arrive twice: a call whose request the peer may have read is never told as one that
 * was not sent (a challenge would be free again for a second certificate).
 */
#include "../../ca_backend/ca_http.h"
#include "../../common/http_client_state.h"
#include "fixture.h"
#include "http_fixture.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *test_http_client_once_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static apr_pool_t *p;
static http_options_t options;
static http_client_t *client;
static http_answer_t http;
static ca_answer_t answer;
static volatile int *bodies; /* that a TLS server read */

static void setup(void)
{
    fixture_setup();
    p = fixture_pool();
    memset(&options, 0, sizeof(options));
    options.name = "peer";
    options.plain_loopback = 1;
    options.connect_timeout = apr_time_from_sec(5);
    options.timeout = apr_time_from_sec(10);
    options.concurrency = 4;
    options.body_max = 4096;
}

/* A client of a URL. */
static void make(const char *url)
{
    const char *error;

    options.url[0] = url;
    error = http_client_make(&client, &options, p);
    if (!error)
        error = http_client_prepare(client, p);
    ck_assert_msg(!error, "%s", error);
    ck_assert_int_eq(http_client_child_init(client, p), APR_SUCCESS);
}

/* Posts what could become a certificate. */
static apr_status_t post(void)
{
    http_request_t request = {0};

    request.body.data = (const unsigned char *)"{\"q\":1}";
    request.body.len = 7;
    memset(&answer, 0, sizeof(answer));
    return ca_http_ask(client, &request, &http, &answer, NULL, p);
}

/* The peer reads the second body of a connection and is gone for good. */
START_TEST(gone_after_the_body)
{
    http_fixture_t *server = http_fixture_start(p);

    make(http_fixture_url(server, "/last", p));
    ck_assert_int_eq(post(), APR_SUCCESS);
    ck_assert_int_eq(post(), APR_ECONNREFUSED);
    ck_assert_int_eq(*server->requests, 2);
    ck_assert_int_eq(http.failure, HTTP_FAILURE_CUT);
    ck_assert_int_eq(answer.unknown, 1);
    /* and one that never got anything */
    ck_assert_int_eq(post(), APR_ECONNREFUSED);
    ck_assert_int_eq(http.failure, HTTP_FAILURE_CONNECT);
    ck_assert_int_eq(answer.unknown, 0);
}
END_TEST

/* What a TLS server does; it asks for our certificate when that is what it does not like. */
typedef struct tls_case_t {
    int answers;     /* requests that get an answer, of the first connection */
    int reads;       /* then it reads one more */
    int verify;      /* what it says of our certificate; 0: it does not ask */
    int later;       /* it asks after that request, not in the handshake */
    http_failure_e failure;
    int unknown;
} tls_case_t;

static const tls_case_t tls_cases[] = {
    {0, 0, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, 0, HTTP_FAILURE_TLS, 0},
    {0, 0, X509_V_ERR_CERT_HAS_EXPIRED, 0, HTTP_FAILURE_TLS, 0},
    {0, 0, X509_V_ERR_APPLICATION_VERIFICATION, 0, HTTP_FAILURE_TLS, 0}, /* handshake failure */
    {0, 0, X509_V_ERR_OUT_OF_MEM, 0, HTTP_FAILURE_CUT, 1},               /* internal error */
    {0, 1, X509_V_ERR_OUT_OF_MEM, 1, HTTP_FAILURE_CUT, 1},
    {1, 1, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, 1, HTTP_FAILURE_CUT, 1},
    {1, 1, 0, 0, HTTP_FAILURE_CUT, 1}, /* closes, and speaks no TLS from then on */
};

static const tls_case_t *tls_case;

/* OpenSSL's callback of the server: our certificate is not liked. */
static int dislike(int good, X509_STORE_CTX *store)
{
    (void)good;
    X509_STORE_CTX_set_error(store, tls_case->verify);
    return 0;
}

/* Reads a request; its body is small, and may come in a record of its own. */
static void take_request(SSL *ssl)
{
    char data[4096];
    int n, have = 0;

    while (have < (int)sizeof(data) - 1 &&
           (n = SSL_read(ssl, data + have, (int)sizeof(data) - 1 - have)) > 0) {
        have += n;
        data[have] = '\0';
        if (strstr(data, "{\"q\":1}")) {
            __atomic_add_fetch(bodies, 1, __ATOMIC_SEQ_CST);
            return;
        }
    }
}

/* Serves a connection as the case says. */
static void converse(SSL_CTX *ctx, int fd)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    int ask = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, i;
    SSL *ssl = SSL_new(ctx);

    SSL_set_fd(ssl, fd);
    if (tls_case->verify)
        SSL_set_verify(ssl, tls_case->later ? ask | SSL_VERIFY_POST_HANDSHAKE : ask, dislike);
    if (SSL_accept(ssl) == 1) {
        for (i = 0; i < tls_case->answers; i++) {
            take_request(ssl);
            SSL_write(ssl, ok, sizeof(ok) - 1);
        }
        if (tls_case->reads)
            take_request(ssl);
        if (tls_case->later) {
            SSL_verify_client_post_handshake(ssl);
            SSL_do_handshake(ssl);
            take_request(ssl);
        }
    }
    else { /* what comes besides is not to meet a closed socket: its reset would beat the alert */
        char data[4096];

        shutdown(fd, SHUT_WR);
        while (recv(fd, data, sizeof(data), 0) > 0)
            continue;
    }
    shutdown(fd, SHUT_RDWR);
    close(fd);
}

/* The server's process: a connection as the case says, the others get no TLS. */
static void run(int fd, X509 *cert)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int peer, count = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX_use_certificate(ctx, cert);
    SSL_CTX_use_PrivateKey(ctx, fixture_rsa(0));
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"t", 1);
    while ((peer = accept(fd, NULL, NULL)) >= 0) {
        if (count++ == 0)
            converse(ctx, peer);
        else
            (void)!write(peer, "no\r\n", 4);
        close(peer);
    }
    _exit(0);
}

/* Pool cleanup: ends the server. */
static apr_status_t end(void *baton)
{
    pid_t pid = (pid_t)(apr_uintptr_t)baton;

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return APR_SUCCESS;
}

/* Starts a TLS server; its URL.  Its certificate is also ours, and whom we trust. */
static const char *start(void)
{
    fixture_certificate_t wish = {.ca = 1, .extension = "subjectAltName=IP:127.0.0.1"};
    X509 *cert = fixture_certificate(p, &wish);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    const char *directory = fixture_directory(p);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    pid_t pid;

    bodies = mmap(NULL, sizeof(*bodies), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(bodies != MAP_FAILED);
    options.ca_file = options.certificate_file =
        fixture_file(p, directory, "cert.pem", fixture_certificate_pem(p, cert), 0600);
    options.key_file =
        fixture_file(p, directory, "key.pem", fixture_key_pem(p, fixture_rsa(0)), 0600);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    pid = fork();
    if (pid == 0)
        run(fd, cert);
    ck_assert_int_ge(pid, 0);
    close(fd);
    apr_pool_cleanup_register(p, (void *)(apr_uintptr_t)pid, end, apr_pool_cleanup_null);
    return apr_psprintf(p, "https://127.0.0.1:%d/", ntohs(address.sin_port));
}

START_TEST(tls)
{
    int i;

    tls_case = &tls_cases[_i];
    make(start());
    for (i = 0; i < tls_case->answers; i++) {
        apr_status_t rv = post();

        ck_assert_msg(rv == APR_SUCCESS, "%s", http.error);
    }
    ck_assert_int_eq(post(), APR_ECONNREFUSED);
    ck_assert_msg(http.failure == tls_case->failure, "%d: %s", http.failure, http.error);
    ck_assert_int_eq(answer.unknown, tls_case->unknown);
    ck_assert_int_eq(*bodies, tls_case->answers + tls_case->reads);
}
END_TEST

/* Three failures of a URL in a row. */
static void fails(int n)
{
    int i;

    for (i = 0; i < 3; i++)
        http_breaker_report(client, n, APR_ECONNREFUSED, 1);
}

START_TEST(it_rests_when_all_urls_do)
{
    options.url[1] = "http://127.0.0.1:2/";
    options.rest = apr_time_from_sec(60);
    make("http://127.0.0.1:1/");
    ck_assert(!http_client_is_resting(client));
    fails(1);
    ck_assert(!http_client_is_resting(client));
    fails(0);
    ck_assert(http_client_is_resting(client));
    http_breaker_report(client, 1, APR_SUCCESS, 1);
    ck_assert(!http_client_is_resting(client));
}
END_TEST

START_TEST(it_rests_while_it_probes)
{
    options.rest = 1;
    make("http://127.0.0.1:1/");
    fails(0);
    apr_sleep(1000);
    ck_assert(!http_client_is_resting(client));
    ck_assert_int_eq(http_breaker_choose(client, 0), 0);
    ck_assert(http_client_is_resting(client));
}
END_TEST

START_TEST(it_rests_for_one_of_the_urls_of_calls)
{
    http_base_t base = {.peer = "http://127.0.0.1:1"}, other = {.peer = "http://127.0.0.1:2"};
    int n;

    options.url_at_call = 1;
    options.rest = apr_time_from_sec(60);
    make(NULL);
    n = http_breaker_choose_own(client, &base);
    ck_assert_int_ne(http_breaker_choose_own(client, &other), n);
    ck_assert(!http_client_is_resting(client));
    fails(n);
    ck_assert(http_client_is_resting(client));
}
END_TEST

Suite *test_http_client_once_suite(void)
{
    Suite *suite = suite_create("http_client_once");
    TCase *tc = tcase_create("http_client_once");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, gone_after_the_body);
    tcase_add_test(tc, it_rests_when_all_urls_do);
    tcase_add_test(tc, it_rests_while_it_probes);
    tcase_add_test(tc, it_rests_for_one_of_the_urls_of_calls);
    tcase_add_loop_test(tc, tls, 0, COUNT(tls_cases));
    suite_add_tcase(suite, tc);
    return suite;
}
