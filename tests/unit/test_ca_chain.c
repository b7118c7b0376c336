/* SPDX-License-Identifier: Apache-2.0 */
/* A CA that tells its chain itself: asked once, checked, kept, and not needed afterwards. */
#include "../../ca_backend/ca_chain.h"
#include "../../common/http_client.h"
#include "ca_fixture.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

Suite *test_ca_chain_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define THREADS 8

/* What the CA says when it is asked, and how often that was. */
typedef struct stub_t {
    apr_status_t rv;
    STACK_OF(X509) *certs;
    apr_interval_time_t delay;
    volatile int asked;
    int submits;
    X509 *leaf;
} stub_t;

static stub_t stub;
static X509 *root, *middle, *issuing, *other_root;      /* keys: fixture_rsa(0), (1), (2), EC */
static const char *dir;

static const char *stub_create(void **pinstance, const settings_t *settings,
                               const ca_config_t *cfg, apr_pool_t *p)
{
    (void)settings;
    (void)cfg;
    (void)p;
    *pinstance = &stub;
    return NULL;
}

static apr_status_t stub_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)instance;
    (void)request;
    (void)log;
    (void)p;
    stub.submits++;
    answer->result = CA_ISSUED;
    answer->leaf = stub.leaf;
    return APR_SUCCESS;
}

static apr_status_t stub_fetch(void *instance, STACK_OF(X509) **pcerts, apr_time_t deadline,
                               const char **error, const log_sink_t *log, apr_pool_t *p)
{
    (void)instance;
    (void)log;
    stub.asked++;
    ck_assert(deadline > apr_time_now() - apr_time_from_sec(1));
    ck_assert(deadline <= apr_time_now() + CA_CHAIN_BUDGET);
    if (stub.delay > 0) {
        apr_sleep(stub.delay);
    }
    *pcerts = crypt_chain_own(X509_chain_up_ref(stub.certs), p);
    if (stub.rv != APR_SUCCESS) {
        *error = "it sleeps";
    }
    return stub.rv;
}

static const settings_key_t stub_keys[] = {{"url", "URL", 0}, {NULL, NULL, 0}};

static const ca_provider_t provider = {
    .name = "stub",
    .keys = stub_keys,
    .create = stub_create,
    .submit = stub_submit,
    .fetch_chain = stub_fetch,
};

/* A CA's certificate. */
static X509 *make_cert(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    fixture_certificate_t want;

    memset(&want, 0, sizeof(want));
    want.subject = name;
    want.key = key;
    want.issuer = issuer;
    want.issuer_key = issuer_key;
    want.ca = 1;
    return fixture_certificate(fixture_pool(), &want);
}

/* What the CA says from now on, ended by NULL. */
static void says(X509 *first, X509 *second, X509 *third, X509 *fourth)
{
    X509 *certs[4] = {first, second, third, fourth};
    int i;

    sk_X509_free(stub.certs);
    stub.certs = sk_X509_new_null();
    for (i = 0; i < 4 && certs[i] != NULL; i++) {
        sk_X509_push(stub.certs, certs[i]);
    }
}

static void setup(void)
{
    fixture_setup();
    sk_X509_free(stub.certs);
    memset(&stub, 0, sizeof(stub));
    root = make_cert("root", fixture_rsa(0), NULL, NULL);
    middle = make_cert("middle", fixture_rsa(1), root, fixture_rsa(0));
    issuing = make_cert("issuing", fixture_rsa(2), middle, fixture_rsa(1));
    other_root = make_cert("stranger", fixture_ec(), NULL, NULL);
    dir = fixture_directory(fixture_pool());
    says(root, issuing, middle, NULL);
}

/* A CA of a new child, with that option (NULL: none). */
static ca_t *child(const char *word)
{
    ca_config_t *cfg = ca_fixture_config();
    ca_t *ca;

    cfg->state_directory = dir;
    ck_assert_ptr_null(ca_make(&ca, &provider, word != NULL, &word, cfg, fixture_pool()));
    ck_assert_int_eq(ca_child_init(ca, fixture_pool()), APR_SUCCESS);
    return ca;
}

/* The chain must be of n certificates that begin with first; n 0: it must not be known.  The log's
 * text. */
static const char *assert_chain(ca_t *ca, int n, X509 *first)
{
    log_sink_t *log = fixture_log(fixture_pool());
    STACK_OF(X509) *chain = NULL;
    apr_status_t rv = ca_chain(ca, &chain, log, fixture_pool());

    ck_assert_int_eq(rv, n > 0 ? APR_SUCCESS : APR_EAGAIN);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    if (n > 0) {
        ck_assert_int_eq(sk_X509_num(chain), n);
        ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 0), first), 0);
    }
    return fixture_log_text(log);
}

/* The file of the directory; NULL: there is none.  More than one ends the test. */
static const char *cache_file(void)
{
    const char *found = NULL;
    apr_finfo_t info;
    apr_dir_t *open;

    ck_assert_int_eq(apr_dir_open(&open, dir, fixture_pool()), APR_SUCCESS);
    while (apr_dir_read(&info, APR_FINFO_NAME, open) == APR_SUCCESS) {
        if (info.name[0] != '.') {
            ck_assert_ptr_null(found);
            found = apr_pstrcat(fixture_pool(), dir, "/", info.name, NULL);
        }
    }
    apr_dir_close(open);
    return found;
}

/* Makes the file seconds old. */
static void age_file(int seconds)
{
    struct utimbuf times;

    times.actime = times.modtime = time(NULL) - seconds;
    ck_assert_int_eq(utime(cache_file(), &times), 0);
}

START_TEST(asked_once)
{
    ca_t *ca = child(NULL);
    STACK_OF(X509) *chain;
    const char *log;

    ck_assert(ca_chain_is_fetched(ca));
    ck_assert_int_eq(ca_chain_known(ca, &chain, fixture_pool()), APR_EAGAIN);
    ck_assert_int_eq(stub.asked, 0);
    log = assert_chain(ca, 3, issuing);
    ck_assert_ptr_nonnull(strstr(log, "SCEP0343"));
    ck_assert_str_eq(assert_chain(ca, 3, issuing), "");
    ck_assert_int_eq(ca_chain_known(ca, &chain, fixture_pool()), APR_SUCCESS);
    ck_assert_int_eq(stub.asked, 1);
    ck_assert_ptr_nonnull(cache_file());
}
END_TEST

START_TEST(not_while_the_configuration_is_read)
{
    ca_config_t *cfg = ca_fixture_config();
    ca_t *ca;

    ck_assert_ptr_null(ca_make(&ca, &provider, 0, NULL, cfg, fixture_pool()));
    assert_chain(ca, 0, NULL);
    ck_assert_int_eq(stub.asked, 0);
}
END_TEST

START_TEST(chain_file_first)
{
    ca_config_t *cfg = ca_fixture_config();
    ca_t *ca;

    cfg->chain_file = fixture_file(fixture_pool(), dir, "chain.pem",
                                   fixture_certificate_pem(fixture_pool(), other_root), 0600);
    ck_assert_ptr_null(ca_make(&ca, &provider, 0, NULL, cfg, fixture_pool()));
    ck_assert_int_eq(ca_child_init(ca, fixture_pool()), APR_SUCCESS);
    ck_assert(!ca_chain_is_fetched(ca));
    assert_chain(ca, 1, other_root);
    ck_assert_int_eq(stub.asked, 0);
}
END_TEST

START_TEST(kept_for_the_next_start)
{
    assert_chain(child(NULL), 3, issuing);
    stub.rv = APR_ECONNREFUSED;
    ck_assert_str_eq(assert_chain(child(NULL), 3, issuing), "");
    ck_assert_int_eq(stub.asked, 1);
    /* old, but all there is */
    age_file(2 * 3600);
    ck_assert_ptr_nonnull(strstr(assert_chain(child(NULL), 3, issuing), "the known ones stay"));
    ck_assert_int_eq(stub.asked, 2);
    /* another CA's is none */
    ck_assert_ptr_nonnull(strstr(assert_chain(child("url=https://other"), 0, NULL), "SCEP0342"));
}
END_TEST

START_TEST(without_a_directory)
{
    ca_config_t *cfg = ca_fixture_config();
    ca_t *ca;

    ck_assert_ptr_null(ca_make(&ca, &provider, 0, NULL, cfg, fixture_pool()));
    ck_assert_int_eq(ca_child_init(ca, fixture_pool()), APR_SUCCESS);
    assert_chain(ca, 3, issuing);
}
END_TEST

START_TEST(directory_that_is_not_there)
{
    ca_t *ca;

    dir = apr_pstrcat(fixture_pool(), dir, "/absent", NULL);
    ca = child(NULL);
    ck_assert_ptr_nonnull(strstr(assert_chain(ca, 3, issuing), "SCEP0341"));
    ck_assert_str_eq(assert_chain(ca, 3, issuing), "");
}
END_TEST

START_TEST(refreshed)
{
    ca_t *ca;
    X509 *next = make_cert("next", fixture_rsa(2), middle, fixture_rsa(1));
    const char *log;

    assert_chain(child(NULL), 3, issuing);
    age_file(2 * 3600);
    says(next, middle, root, NULL);
    ca = child(NULL);
    log = assert_chain(ca, 3, next);
    ck_assert_ptr_nonnull(strstr(log, "SCEP0344"));
    ck_assert_int_eq(stub.asked, 2);
    ck_assert_str_eq(assert_chain(ca, 3, next), "");
    ck_assert_str_eq(assert_chain(child(NULL), 3, next), "");
    ck_assert_int_eq(stub.asked, 2);
}
END_TEST

START_TEST(failures)
{
    ca_t *ca = child(NULL);
    outcome_t out;
    const char *text;

    stub.rv = APR_ECONNREFUSED;
    ck_assert_ptr_nonnull(strstr(assert_chain(ca, 0, NULL), "it sleeps"));
    /* not again at once */
    ck_assert_str_eq(assert_chain(ca, 0, NULL), "");
    ck_assert_int_eq(stub.asked, 1);
    ck_assert_int_ne(ca_health(ca, &text, fixture_pool()), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(text, "it sleeps"));
    ck_assert_str_eq(ca_fingerprint(ca, fixture_pool()), CA_FINGERPRINT_UNKNOWN);
    outcome_init(&out);
    ck_assert_int_eq(ca_check_signer(ca, fixture_certificate(fixture_pool(),
                                     &(fixture_certificate_t){.issuer = root,
                                     .issuer_key = fixture_rsa(0), .key = fixture_rsa(1)}), NULL,
                                     apr_time_now(), 0, &out, NULL, fixture_pool()), APR_EGENERAL);
    ck_assert_str_eq(out.reason, "ca-chain");
}
END_TEST

START_TEST(child_that_ends)
{
    ca_t *ca = child(NULL);

    stub.rv = APR_ECONNREFUSED;
    http_client_end_calls(HTTP_END_ALL);
    ck_assert_str_eq(assert_chain(ca, 0, NULL), "");
    http_client_end_calls(HTTP_END_NONE);
}
END_TEST

START_TEST(nothing_is_signed_that_cannot_be_checked)
{
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    ca_t *ca = child(NULL);
    ca_answer_t answer;

    stub.rv = APR_TIMEUP;
    ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, NULL,
              fixture_pool());
    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert(!answer.unknown);
    ck_assert_str_eq(answer.outcome.reason, "ca-chain");
    ck_assert(answer.retry_after > 0);
    ck_assert_int_eq(stub.submits, 0);
}
END_TEST

START_TEST(new_issuer_between_refreshes)
{
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    X509 *next = make_cert("next", fixture_ec(), middle, fixture_rsa(1));
    fixture_certificate_t want;
    ca_answer_t answer;
    ca_t *ca;
    int i;

    assert_chain(child(NULL), 3, issuing);
    age_file(60);
    memset(&want, 0, sizeof(want));
    want.subject = "device";
    want.key = fixture_rsa(1);
    want.issuer = next;
    want.issuer_key = fixture_ec();
    stub.leaf = fixture_certificate(fixture_pool(), &want);
    says(next, middle, root, NULL);
    ca = child(NULL);
    assert_chain(ca, 3, issuing);
    for (i = 0; i < 2; i++) {
        ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, NULL,
                  fixture_pool());
        ck_assert_msg(answer.result == CA_ISSUED, "%s", answer.outcome.detail);
        ck_assert_int_eq(stub.asked, 2);
    }
    /* a stranger's certificate does not make us ask again and again */
    want.issuer = other_root;
    stub.leaf = fixture_certificate(fixture_pool(), &want);
    for (i = 0; i < 5; i++) {
        ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, NULL,
                  fixture_pool());
        ck_assert_int_eq(answer.result, CA_RETRY);
        ck_assert_int_eq(stub.asked, 2);
    }
}
END_TEST

static const struct {
    const char *certs, *error; /* r m i o: root, middle, issuing, stranger; l: a leaf */
    int n;                     /* of the path, with issuing first unless first says another one */
    char first;
} path_cases[] = {
    {"rmi", NULL, 3, 'i'},  {"imr", NULL, 3, 'i'},    {"mi", NULL, 2, 'i'},
    {"i", NULL, 1, 'i'},    {"iim", NULL, 2, 'i'},    {"r", NULL, 1, 'r'},
    {"rr", NULL, 1, 'r'},   {"ri", "cannot be told"}, {"rmio", "cannot be told"},
    {"", "no certificate"}, {"rmil", "not a CA's"},   {"ro", "cannot be told"},
};

/* The certificate of a letter. */
static X509 *cert_of(char letter)
{
    static const fixture_certificate_t leaf = {0};

    switch (letter) {
    case 'r': return root;
    case 'm': return middle;
    case 'i': return issuing;
    case 'o': return other_root;
    default: return fixture_certificate(fixture_pool(), &leaf);
    }
}

START_TEST(paths)
{
    STACK_OF(X509) *certs = sk_X509_new_null(), *path;
    const char *letter, *error;

    for (letter = path_cases[_i].certs; *letter != '\0'; letter++) {
        sk_X509_push(certs, cert_of(*letter));
    }
    error = ca_chain_path(&path, certs, fixture_pool());
    if (path_cases[_i].error != NULL) {
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, path_cases[_i].error) != NULL, "%s", error);
        ck_assert_ptr_null(path);
    }
    else {
        ck_assert_msg(error == NULL, "%s", error);
        ck_assert_int_eq(sk_X509_num(path), path_cases[_i].n);
        ck_assert_ptr_eq(sk_X509_value(path, 0), cert_of(path_cases[_i].first));
    }
    sk_X509_free(certs);
}
END_TEST

START_TEST(forged_path)
{
    STACK_OF(X509) *certs = sk_X509_new_null(), *path;
    /* of the root's name, but of nobody's signature */
    X509 *forged = make_cert("forged", fixture_rsa(2), root, fixture_rsa(1));
    const char *error;

    sk_X509_push(certs, forged);
    sk_X509_push(certs, root);
    error = ca_chain_path(&path, certs, fixture_pool());
    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_null(path);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    sk_X509_free(certs);
}
END_TEST

static const struct {
    const char *text; /* NULL: a good one */
    int mode;
    const char *log;
} file_cases[] = {
    {"", 0600, "SCEP0340"},        {"nonsense\n", 0600, "SCEP0340"},
    {NULL, 0622, NULL},            {"leaf", 0600, "SCEP0340"},
};

START_TEST(damaged_file)
{
    static const fixture_certificate_t leaf = {0};
    apr_pool_t *p = fixture_pool();
    const char *text = file_cases[_i].text, *log, *path;

    assert_chain(child(NULL), 3, issuing);
    path = cache_file();
    if (text == NULL) {
        text = fixture_certificate_pem(p, other_root);
    }
    else if (strcmp(text, "leaf") == 0) {
        text = fixture_certificate_pem(p, fixture_certificate(p, &leaf));
    }
    fixture_file(p, dir, strrchr(path, '/') + 1, text, file_cases[_i].mode);
    ck_assert_int_eq(chmod(path, file_cases[_i].mode), 0);
    log = assert_chain(child(NULL), 3, issuing);
    if (file_cases[_i].log != NULL) {
        ck_assert_msg(strstr(log, file_cases[_i].log) != NULL, "%s", log);
    }
    ck_assert_int_eq(stub.asked, 2);
}
END_TEST

START_TEST(link_in_place_of_the_file)
{
    const char *path, *elsewhere;

    assert_chain(child(NULL), 3, issuing);
    path = cache_file();
    elsewhere = fixture_file(fixture_pool(), fixture_directory(fixture_pool()), "x",
                             fixture_certificate_pem(fixture_pool(), other_root), 0600);
    ck_assert_int_eq(remove(path), 0);
    ck_assert_int_eq(symlink(elsewhere, path), 0);
    assert_chain(child(NULL), 3, issuing);
    ck_assert_int_eq(stub.asked, 2);
}
END_TEST

START_TEST(file_from_the_future)
{
    assert_chain(child(NULL), 3, issuing);
    age_file(-86400);
    assert_chain(child(NULL), 3, issuing);
    ck_assert_int_eq(stub.asked, 2);
}
END_TEST

/* A thread that needs the chain. */
static void *APR_THREAD_FUNC need(apr_thread_t *thread, void *data)
{
    apr_pool_t *p = NULL;
    STACK_OF(X509) *chain = NULL;
    int i;

    (void)thread;
    for (i = 0; i < 50; i++) {
        ck_assert_int_eq(apr_pool_create(&p, NULL), APR_SUCCESS);
        ck_assert_int_eq(ca_chain(data, &chain, NULL, p), APR_SUCCESS);
        ck_assert_int_eq(sk_X509_num(chain), 3);
        ck_assert_int_eq(X509_check_ca(sk_X509_value(chain, 0)), 1);
        apr_pool_destroy(p);
    }
    return NULL;
}

START_TEST(many_threads)
{
    apr_thread_t *threads[THREADS];
    ca_t *ca = child(NULL);
    apr_status_t rv;
    int i;

    stub.delay = apr_time_from_msec(100);
    for (i = 0; i < THREADS; i++) {
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, need, ca, fixture_pool()),
                         APR_SUCCESS);
    }
    for (i = 0; i < THREADS; i++) {
        apr_thread_join(&rv, threads[i]);
    }
    ck_assert_int_eq(stub.asked, 1);
}
END_TEST

START_TEST(outlives_its_replacement)
{
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    X509 *next = make_cert("next", fixture_rsa(2), middle, fixture_rsa(1));
    STACK_OF(X509) *chain;
    ca_answer_t answer;
    ca_t *ca;

    assert_chain(child(NULL), 3, issuing);
    age_file(60);
    ca = child(NULL);
    ck_assert_int_eq(ca_chain(ca, &chain, NULL, fixture_pool()), APR_SUCCESS);
    says(next, middle, root, NULL);
    ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, NULL,
              fixture_pool());
    assert_chain(ca, 3, next);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 0), issuing), 0);
}
END_TEST

Suite *test_ca_chain_suite(void)
{
    Suite *suite = suite_create("ca_chain");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, setup, fixture_teardown);
    tcase_add_test(tcase, asked_once);
    tcase_add_test(tcase, not_while_the_configuration_is_read);
    tcase_add_test(tcase, chain_file_first);
    tcase_add_test(tcase, kept_for_the_next_start);
    tcase_add_test(tcase, without_a_directory);
    tcase_add_test(tcase, directory_that_is_not_there);
    tcase_add_test(tcase, refreshed);
    tcase_add_test(tcase, failures);
    tcase_add_test(tcase, child_that_ends);
    tcase_add_test(tcase, nothing_is_signed_that_cannot_be_checked);
    tcase_add_test(tcase, new_issuer_between_refreshes);
    tcase_add_loop_test(tcase, paths, 0, COUNT(path_cases));
    tcase_add_test(tcase, forged_path);
    tcase_add_loop_test(tcase, damaged_file, 0, COUNT(file_cases));
    tcase_add_test(tcase, link_in_place_of_the_file);
    tcase_add_test(tcase, file_from_the_future);
    tcase_add_test(tcase, many_threads);
    tcase_add_test(tcase, outlives_its_replacement);
    suite_add_tcase(suite, tcase);
    return suite;
}
