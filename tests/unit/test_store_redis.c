/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Redis transport under faults: a peer that hangs, lies or goes away, wrong credentials, wrong
 * certificates.  What the store promises when all is well is in test_store.c.
 */
#include "store_fixture.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *test_store_redis_suite(void);

#define MS(n) apr_time_from_msec(n)
#define HANG "" /* an answer that does not come */

/* A server that gives one answer to whatever it is sent. */
typedef struct liar_t {
    pid_t pid;
    int port;
    volatile int *commands; /* how many reads it answered */
} liar_t;

static liar_t liar;

/* Serves connections one after the other; does not return. */
static void serve(int listener, const char *answer, size_t len, int then_close)
{
    char buffer[65536];
    int fd;

    for (;;) {
        fd = accept(listener, NULL, NULL);
        while (fd >= 0 && read(fd, buffer, sizeof(buffer)) > 0) {
            ++*liar.commands;
            if (len == 0 && !then_close)
                continue;
            if (len && write(fd, answer, len) < 0)
                break;
            if (then_close)
                break;
        }
        close(fd);
    }
}

/* Starts a liar.  then_close: hangs up after the first answer. */
static void start_liar(const char *answer, size_t len, int then_close)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t size = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    liar.commands =
        mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    ck_assert_int_eq(listen(listener, 5), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr, &size), 0);
    liar.port = ntohs(addr.sin_port);
    liar.pid = fork();
    if (liar.pid == 0)
        serve(listener, answer, len, then_close);
    close(listener);
}

static void stop_liar(void)
{
    if (liar.pid > 0) {
        kill(liar.pid, SIGKILL);
        waitpid(liar.pid, NULL, 0);
    }
    liar.pid = 0;
    fixture_teardown();
}

/* A store at a port of 127.0.0.1, with short time limits and no credentials. */
static store_t *open_port_for(int port, apr_interval_time_t timeout)
{
    apr_pool_t *p = fixture_pool();
    store_config_t *cfg = apr_pcalloc(p, sizeof(*cfg));

    cfg->url = apr_psprintf(p, "redis://127.0.0.1:%d", port);
    cfg->connect_timeout = MS(200);
    cfg->command_timeout = timeout;
    cfg->connections = 2;
    return store_fixture_open_config(cfg, p);
}

static store_t *open_port(int port)
{
    return open_port_for(port, MS(150));
}

/* Claims something; the status, with the time it took in *took. */
static apr_status_t claim(store_t *store, store_result_e *result, store_tx_t *tx,
                          apr_interval_time_t *took)
{
    static const char *const hex =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    store_claim_t c = {0};
    apr_time_t begin = apr_time_now();
    apr_status_t rv;

    c.tx_key = c.poll_key = c.csr_digest = c.challenge_id[0] = hex;
    c.nonce = c.serial = hex + 32;
    c.lease = c.retention = apr_time_from_sec(60);
    c.transaction_id = c.subject = c.template_name = c.client = "";
    rv = store_claim(store, "redis", &c, result, tx, fixture_pool());
    if (took)
        *took = apr_time_now() - begin;
    return rv;
}

/* A claim that must not succeed; its status. */
static apr_status_t failing_claim(store_t *store, apr_interval_time_t *took)
{
    store_result_e result;
    store_tx_t tx;
    apr_status_t rv = claim(store, &result, &tx, took);

    ck_assert_int_ne(rv, APR_SUCCESS);
    ck_assert_int_eq(result, STORE_NOTFOUND);
    ck_assert_str_ne(store_error(fixture_pool()), "");
    return rv;
}

START_TEST(hanging_server)
{
    apr_interval_time_t took;

    start_liar(HANG, 0, 0);
    ck_assert_int_eq(failing_claim(open_port(liar.port), &took), APR_TIMEUP);
    ck_assert_msg(took >= MS(140) && took < MS(400), "took %d us", (int)took);
    ck_assert_int_eq(*liar.commands, 1);
}
END_TEST

START_TEST(nobody_there)
{
    apr_interval_time_t took;
    const char *text;
    store_t *store = open_port(store_fixture_port());

    ck_assert_int_eq(failing_claim(store, &took), APR_ECONNREFUSED);
    ck_assert(took < MS(100));
    ck_assert_int_ne(store_health(store, "redis", &text, fixture_pool()), APR_SUCCESS);
    ck_assert_str_ne(text, "");
}
END_TEST

START_TEST(silent_network)
{
    apr_interval_time_t took;
    store_config_t cfg = {0};

    cfg.url = "redis://192.0.2.1:1";
    cfg.connect_timeout = MS(150);
    failing_claim(store_fixture_open_config(&cfg, fixture_pool()), &took);
    ck_assert_msg(took < MS(400), "took %d us", (int)took);
}
END_TEST

START_TEST(breaker)
{
    apr_interval_time_t took;
    store_t *store;
    int i;

    start_liar(HANG, 0, 1);
    store = open_port(liar.port);
    for (i = 0; i < 3; i++)
        failing_claim(store, NULL);
    ck_assert_int_eq(*liar.commands, 3);
    for (i = 0; i < 5; i++)
        ck_assert_int_eq(failing_claim(store, &took), APR_ECONNREFUSED);
    ck_assert(took < MS(20));
    ck_assert_int_eq(*liar.commands, 3);
    ck_assert_ptr_nonnull(strstr(store_error(fixture_pool()), "not asked"));
    apr_sleep(apr_time_from_msec(5050));
    failing_claim(store, NULL);
    failing_claim(store, NULL);
    ck_assert_int_eq(*liar.commands, 4);
}
END_TEST

#define SERIAL "$6\r\nserial\r\n$32\r\n00000000000000000000000000000001\r\n"
#define TX(state, fence) "*6\r\n$5\r\nstate\r\n" state "$5\r\nfence\r\n" fence SERIAL

/* The only lie that has a NUL inside. */
#define LIE_WITH_NUL \
    "*4\r\n$8\r\nCLAIMED\0\r\n$1\r\n0\r\n" TX("$8\r\ninflight\r\n", "$1\r\n1\r\n") "*0\r\n"

static const char *const lies[] = {
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    "+OK\r\n",
    ":1\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*3\r\n$7\r\nCLAIMED\r\n$1\r\n0\r\n*0\r\n",
    "*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
    "*4\r\n$5\r\nMAYBE\r\n$1\r\n0\r\n*0\r\n*0\r\n",
    LIE_WITH_NUL,
    "*4\r\n$7\r\nCLAIMED\r\n$1\r\n0\r\n*0\r\n*0\r\n",
    "*4\r\n$7\r\nCLAIMED\r\n$1\r\nx\r\n*0\r\n*0\r\n",
    "*4\r\n$7\r\nCLAIMED\r\n$2\r\n-1\r\n*0\r\n*0\r\n",
    "*4\r\n$7\r\nCLAIMED\r\n$1\r\n0\r\n$1\r\nx\r\n*0\r\n",
    "*4\r\n$7\r\nCLAIMED\r\n$1\r\n0\r\n" TX("$8\r\ninflight\r\n", "$1\r\nz\r\n") "*0\r\n",
    "*4\r\n$7\r\nCLAIMED\r\n$1\r\n0\r\n" TX("*0\r\n", "$1\r\n1\r\n") "*0\r\n",
    "*4\r\n$7\r\nCLAIMED\r\n$1\r\n0\r\n" TX("$8\r\ninflight\r\n", "$1\r\n1\r\n") "$0\r\n\r\n",
    "*4\r\n$6\r\nISSUED\r\n$1\r\n0\r\n" TX("$6\r\nissued\r\n", "$1\r\n1\r\n") "*0\r\n",
    "*4\r\n$4\r\nBUSY\r\n$30\r\n111111111111111111111111111111\r\n*0\r\n*0\r\n",
    "*4\r\n$4\r\nBUSY\r\n$1\r\n1\r\n*0\r\n*0\r\n+OK\r\n",
    "*100000000\r\n",
    "*9223372036854775807\r\n",
    "*4294967296\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    "$99999999999999999999\r\n",
    "*4\r\n$7\r\nCLAIMED\r\n$1\r\n0",
    "-NOPERM no\r\n",
    "-OOM command not allowed\r\n"};
#define LIES (int)(sizeof(lies) / sizeof(lies[0]))

START_TEST(lying_server)
{
    size_t len = strlen(lies[_i]);

    if (_i == 9)
        len = sizeof(LIE_WITH_NUL) - 1;
    start_liar(lies[_i], len, 1);
    ck_assert_int_ne(failing_claim(open_port(liar.port), NULL), APR_EINVAL);
}
END_TEST

/* Asks one of the slots that do not claim; the status. */
static apr_status_t ask(store_t *store, char slot, store_result_e *result)
{
    static const char *const hex =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    store_decision_t decision = {0, "", "", "", NULL};
    store_pend_t pend = {"", 0, 1, NULL, 1, "", 0};
    apr_pool_t *p = fixture_pool();
    apr_array_header_t *list;
    apr_time_t oldest;
    store_tx_t tx;
    int n;

    switch (slot) {
    case 'd':
        return store_decide(store, "redis", hex, &decision, 1, result, p);
    case 'p':
        return store_pend(store, "redis", hex, 1, &pend, NULL, result, p);
    case 's':
        return store_find_certificate(store, "redis", "01", result, &tx, p);
    case 't':
        return store_take(store, "redis", 10, 1, &list, p);
    case 'w':
        return store_settle(store, "redis", hex, 1, STORE_NEWS_DONE, 0, result, p);
    case 'o':
        return store_outbox(store, "redis", &n, &oldest, p);
    case 'h':
        return store_lease(store, "redis", "work", "host", 1, result, p);
    case 'r':
        return store_records(store, "redis", "", 10, &list, p);
    default:
        return store_list(store, "redis", 10, &list, p);
    }
}

#define ID "$4\r\n00ff\r\n"
/* News whose recipient, payload and numbers are given. */
#define NEWS(recipient, payload, numbers) \
    "t*2\r\n$2\r\nOK\r\n*8\r\n" ID recipient payload ID numbers

/* What no server of ours answers to decide, pend, find_certificate (s), take, settle (w), outbox,
 * lease (h), records and list. */
static const char *const other_lies[] = {
    "d*1\r\n$7\r\nCLAIMED\r\n",
    "d*1\r\n$4\r\nFULL\r\n",
    "d*0\r\n",
    "d+OK\r\n",
    "p*1\r\n$8\r\nCONFLICT\r\n",
    "s:1\r\n",
    "s*0\r\n",
    "s$1\r\na\r\n",
    "s-ERR no\r\n",
    "l*1\r\n$1\r\nx\r\n",
    "l*2\r\n:1\r\n:1\r\n",
    "l*4\r\n:1\r\n$1\r\na\r\n$1\r\n0\r\n:1\r\n",
    "l*4\r\n:1\r\n*0\r\n$1\r\n0\r\n*0\r\n",
    "l*4\r\n:1\r\n$1\r\na\r\n$1\r\n0\r\n*2\r\n$5\r\nfence\r\n$1\r\nx\r\n",
    "t*0\r\n",
    "t+OK\r\n",
    "t*2\r\n$2\r\nOK\r\n:1\r\n",
    "t*2\r\n$2\r\nOK\r\n*7\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
    NEWS(":1\r\n", ID, ":1\r\n:1\r\n:1\r\n:0\r\n"),
    NEWS(ID, ":1\r\n", ":1\r\n:1\r\n:1\r\n:0\r\n"),
    NEWS(ID, "$-1\r\n", ":1\r\n:1\r\n:1\r\n:0\r\n"),
    NEWS(ID, ID, ":0\r\n:1\r\n:1\r\n:0\r\n"),
    NEWS(ID, ID, ":1\r\n:-1\r\n:1\r\n:0\r\n"),
    NEWS(ID, ID, ":1\r\n:1\r\n$1\r\nx\r\n:0\r\n"),
    NEWS(ID, ID, ":1\r\n:1\r\n:1\r\n*0\r\n"),
    "w*1\r\n$4\r\nBUSY\r\n",
    "w*1\r\n:1\r\n",
    "o*2\r\n$2\r\nOK\r\n:1\r\n",
    "o*3\r\n$2\r\nOK\r\n:-1\r\n:1\r\n",
    "o*3\r\n$2\r\nOK\r\n:1\r\n*0\r\n",
    "h*1\r\n$7\r\nCLAIMED\r\n",
    "h$2\r\nOK\r\n",
    "r*2\r\n:1\r\n:1\r\n",
    "r*4\r\n:1\r\n*0\r\n$1\r\n0\r\n*0\r\n"};
#define OTHER_LIES (int)(sizeof(other_lies) / sizeof(other_lies[0]))

START_TEST(lying_to_other_slots)
{
    const char *lie = other_lies[_i];
    store_result_e result = STORE_NOTFOUND;
    store_t *store;

    start_liar(lie + 1, strlen(lie + 1), 0);
    store = open_port(liar.port);
    ck_assert_int_eq(ask(store, lie[0], &result), APR_EGENERAL);
    ck_assert(result == STORE_NOTFOUND || result == STORE_FENCED || result == STORE_BUSY);
    ck_assert_str_ne(store_error(fixture_pool()), "");
}
END_TEST

START_TEST(endless_list)
{
    static const char answer[] = "*1\r\n:40\r\n";
    store_result_e result;
    store_t *store;

    start_liar(answer, sizeof(answer) - 1, 0);
    store = open_port(liar.port);
    ck_assert_int_eq(ask(store, 'l', &result), APR_SUCCESS);
    ck_assert_int_eq(*liar.commands, 2500);
    ck_assert_int_eq(ask(store, 'r', &result), APR_SUCCESS);
    ck_assert_int_eq(*liar.commands, 5000);
}
END_TEST

START_TEST(honest_answer_is_taken)
{
    static const char answer[] =
        "*4\r\n$7\r\nCLAIMED\r\n$1\r\n0\r\n" TX("$8\r\ninflight\r\n", "$1\r\n1\r\n") "*0\r\n";
    store_result_e result;
    store_tx_t tx;

    start_liar(answer, sizeof(answer) - 1, 1);
    ck_assert_int_eq(claim(open_port(liar.port), &result, &tx, NULL), APR_SUCCESS);
    ck_assert_int_eq(result, STORE_CLAIMED);
    ck_assert_int_eq(tx.fence, 1);
}
END_TEST

START_TEST(endless_answer)
{
    apr_pool_t *p = fixture_pool();
    size_t len = 9 * 1024 * 1024;
    char *answer = apr_palloc(p, len);

    memset(answer, 'x', len);
    memcpy(answer, "$9000000\r\n", 10);
    start_liar(answer, len, 0);
    /* 9 MB take their time under valgrind */
    ck_assert_int_eq(failing_claim(open_port_for(liar.port, MS(20000)), NULL), APR_EGENERAL);
    ck_assert_ptr_nonnull(strstr(store_error(p), "more than"));
}
END_TEST

START_TEST(error_answers_are_told)
{
    static const char *const errors[] = {"-LOADING in memory\r\n", "-READONLY replica\r\n",
                                         "-MASTERDOWN link\r\n", "-NOAUTH no\r\n"};
    static const char *const words[] = {"LOADING", "READONLY", "MASTERDOWN", "NOAUTH"};

    start_liar(errors[_i], strlen(errors[_i]), 0);
    ck_assert_int_eq(failing_claim(open_port(liar.port), NULL),
                     _i == 3 ? APR_EACCES : APR_EGENERAL);
    ck_assert_ptr_nonnull(strstr(store_error(fixture_pool()), words[_i]));
}
END_TEST

START_TEST(arguments_are_not_repeated)
{
    static const char answer[] = "-ERR unknown command 'AUTH', with args: 'hunter2-secret'\r\n";
    apr_pool_t *p = fixture_pool();
    store_config_t cfg = {0};

    start_liar(answer, sizeof(answer) - 1, 0);
    cfg.url = apr_psprintf(p, "redis://127.0.0.1:%d", liar.port);
    cfg.password_file = fixture_file(p, fixture_directory(p), "password", "hunter2-secret", 0600);
    failing_claim(store_fixture_open_config(&cfg, p), NULL);
    ck_assert_ptr_null(strstr(store_error(p), "hunter2"));
    ck_assert_ptr_nonnull(strstr(store_error(p), "AUTH"));
}
END_TEST

/* Issues a challenge at the real server; whether it works. */
static int works(store_t *store, int n)
{
    apr_pool_t *p = fixture_pool();
    store_challenge_t ch = {0};
    apr_interval_time_t free_in;
    store_result_e result;
    int outstanding;

    ch.id = apr_psprintf(p, "%032x%032x", (unsigned)getpid(), (unsigned)n);
    ch.lifetime = apr_time_from_sec(60);
    ch.uses = ch.attempts = 1;
    ch.caller = ch.template_name = ch.bound = "";
    return store_issue(store, "redis", &ch, 0, &result, &outstanding, &free_in, p) == APR_SUCCESS &&
           result == STORE_OK;
}

START_TEST(closed_idle_connections)
{
    store_t *store = store_fixture_open(_i, fixture_pool());
    int n;

    if (!store || _i == KIND_SQLITE)
        return;
    for (n = 0; n < 3; n++) {
        ck_assert(works(store, n));
        store_fixture_admin("CLIENT KILL TYPE normal SKIPME yes");
    }
    ck_assert(works(store, 3));
}
END_TEST

START_TEST(forgotten_scripts)
{
    store_t *store = store_fixture_open(KIND_UNIX, fixture_pool());

    if (!store)
        return;
    ck_assert(works(store, 1));
    store_fixture_admin("SCRIPT FLUSH");
    ck_assert(works(store, 2));
    ck_assert(works(store, 2));
}
END_TEST

START_TEST(wrong_password)
{
    apr_pool_t *p = fixture_pool();
    store_config_t *cfg = store_fixture_config(KIND_TCP, p);
    const char *text;

    if (!cfg)
        return;
    cfg->password_file = store_fixture_server()->wrong_password_file;
    ck_assert_int_eq(failing_claim(store_fixture_open_config(cfg, p), NULL), APR_EACCES);
    ck_assert_ptr_nonnull(strstr(store_error(p), "WRONGPASS"));
    ck_assert_ptr_null(strstr(store_error(p), "unit-user-password"));
    cfg->user = NULL;
    cfg->password_file = NULL;
    ck_assert_int_eq(store_health(store_fixture_open_config(cfg, p), "redis", &text, p),
                     APR_EACCES);
    ck_assert_msg(strstr(text, "NOAUTH") != NULL, "%s", text);
}
END_TEST

START_TEST(password_files)
{
    apr_pool_t *p = fixture_pool();
    const char *directory = fixture_directory(p);
    store_config_t cfg = {0};
    store_t *store;

    cfg.url = "redis://127.0.0.1";
    cfg.password_file = apr_pstrcat(p, directory, "/none", NULL);
    ck_assert_ptr_null(store_make(&store, &cfg, NULL, p));
    ck_assert_ptr_nonnull(store->provider->prepare(store, 0, 0, p));
    cfg.password_file = fixture_file(p, directory, "empty", "\n", 0600);
    ck_assert_ptr_null(store_make(&store, &cfg, NULL, p));
    ck_assert_ptr_nonnull(store->provider->prepare(store, 0, 0, p));
    cfg.url = "rediss://127.0.0.1";
    cfg.password_file = NULL;
    cfg.ca_file = fixture_file(p, directory, "bad.pem", "nothing\n", 0600);
    ck_assert_ptr_null(store_make(&store, &cfg, NULL, p));
    ck_assert_ptr_nonnull(store->provider->prepare(store, 0, 0, p));
}
END_TEST

/* Health is green only where a claim would be kept. */
START_TEST(health_needs_scripts)
{
    apr_pool_t *p = fixture_pool();
    store_config_t *cfg = store_fixture_config(KIND_TCP, p);
    const char *text;

    if (!cfg)
        return;
    store_fixture_admin("ACL SETUSER reader on '>reader-password' '~*' +@all -@scripting");
    cfg->user = "reader";
    cfg->password_file =
        fixture_file(p, fixture_directory(p), "password", "reader-password", 0600);
    ck_assert_int_eq(store_health(store_fixture_open_config(cfg, p), "redis", &text, p),
                     APR_EACCES);
    ck_assert_msg(strstr(text, "NOPERM") != NULL, "%s", text);
}
END_TEST

/* Health tells of replicas that are missing; a challenge that is told nobody takes no place. */
START_TEST(too_few_replicas)
{
    apr_pool_t *p = fixture_pool();
    store_config_t *cfg = store_fixture_config(KIND_TCP, p);
    store_challenge_t ch = {0};
    apr_interval_time_t free_in;
    store_result_e result;
    const char *text;
    store_t *store;
    int outstanding, n;

    if (!cfg)
        return;
    cfg->wait_replicas = 1;
    cfg->wait_time = MS(20);
    store = store_fixture_open_config(cfg, p);
    ck_assert_int_eq(store_health(store, "wait", &text, p), APR_EAGAIN);
    ck_assert_msg(strstr(text, "0 of 1 replicas") != NULL, "%s", text);
    ch.lifetime = apr_time_from_sec(60);
    ch.uses = ch.attempts = ch.caller_max = 1;
    ch.caller = "somebody";
    ch.template_name = ch.bound = "";
    for (n = 1; n <= 3; n++) {
        ch.id = apr_psprintf(p, "%064x", (unsigned)n);
        ck_assert_int_eq(
            store_issue(store, "wait", &ch, 1, &result, &outstanding, &free_in, p), APR_EAGAIN);
        ck_assert_ptr_nonnull(strstr(store_error(p), "0 of 1 replicas"));
    }
    cfg->wait_replicas = 0;
    ch.id = apr_psprintf(p, "%064x", (unsigned)n);
    ck_assert_int_eq(store_issue(store_fixture_open_config(cfg, p), "wait", &ch, 1, &result,
                                 &outstanding, &free_in, p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_OK);
}
END_TEST

START_TEST(tls_refuses)
{
    apr_pool_t *p = fixture_pool();
    store_config_t *cfg = store_fixture_config(KIND_TLS, p);

    if (!cfg)
        return;
    ck_assert(works(store_fixture_open_config(cfg, p), 1));
    cfg->ca_file = store_fixture_server()->other_ca_file;
    failing_claim(store_fixture_open_config(cfg, p), NULL);
    ck_assert_ptr_nonnull(strstr(store_error(p), "certificate is refused"));
    cfg = store_fixture_config(KIND_TLS, p);
    cfg->url = apr_psprintf(p, "rediss://127.0.0.1:%d", store_fixture_server()->tls_port);
    failing_claim(store_fixture_open_config(cfg, p), NULL);
    ck_assert_ptr_nonnull(strstr(store_error(p), "certificate is refused"));
    cfg->url = apr_psprintf(p, "rediss://127.1:%d", store_fixture_server()->tls_port);
    failing_claim(store_fixture_open_config(cfg, p), NULL);
    ck_assert_ptr_nonnull(strstr(store_error(p), "certificate is refused"));
    cfg->url = apr_psprintf(p, "rediss://localhost:%d", store_fixture_server()->port);
    cfg->connect_timeout = MS(300);
    failing_claim(store_fixture_open_config(cfg, p), NULL);
}
END_TEST

START_TEST(tls_peer_hangs)
{
    apr_interval_time_t took;
    apr_pool_t *p = fixture_pool();
    store_config_t cfg = {0};

    start_liar(HANG, 0, 0);
    cfg.url = apr_psprintf(p, "rediss://127.0.0.1:%d", liar.port);
    cfg.connect_timeout = MS(150);
    ck_assert_int_eq(failing_claim(store_fixture_open_config(&cfg, p), &took), APR_TIMEUP);
    ck_assert(took < MS(400));
}
END_TEST

Suite *test_store_redis_suite(void)
{
    Suite *suite = suite_create("test_store_redis");
    TCase *lone = tcase_create("faults"), *real = tcase_create("server");

    tcase_add_checked_fixture(lone, fixture_setup, stop_liar);
    tcase_set_timeout(lone, 30);
    tcase_add_test(lone, hanging_server);
    tcase_add_test(lone, nobody_there);
    tcase_add_test(lone, silent_network);
    tcase_add_test(lone, breaker);
    tcase_add_loop_test(lone, lying_server, 0, LIES);
    tcase_add_loop_test(lone, lying_to_other_slots, 0, OTHER_LIES);
    tcase_add_test(lone, endless_list);
    tcase_add_test(lone, honest_answer_is_taken);
    tcase_add_test(lone, endless_answer);
    tcase_add_loop_test(lone, error_answers_are_told, 0, 4);
    tcase_add_test(lone, arguments_are_not_repeated);
    tcase_add_test(lone, password_files);
    tcase_add_test(lone, tls_peer_hangs);
    suite_add_tcase(suite, lone);
    tcase_add_unchecked_fixture(real, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(real, fixture_setup, fixture_teardown);
    tcase_set_timeout(real, 30);
    tcase_add_loop_test(real, closed_idle_connections, 0, KIND_COUNT);
    tcase_add_test(real, forgotten_scripts);
    tcase_add_test(real, wrong_password);
    tcase_add_test(real, health_needs_scripts);
    tcase_add_test(real, too_few_replicas);
    tcase_add_test(real, tls_refuses);
    suite_add_tcase(suite, real);
    return suite;
}
