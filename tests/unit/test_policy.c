/* SPDX-License-Identifier: Apache-2.0 */
/* The policy chain, its two providers and the secret's file, on an SQLite store and with a provider
 * whose answers the tests set. */
#include "../../policy/policy.h"
#include "store_fixture.h"
#include <apr_strings.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Suite *test_policy_suite(void);

#define SECRET_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SECRET_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static apr_pool_t *p;
static policy_config_t cfg;
static policy_t *policy;
static log_sink_t *sink;
static outcome_t out;
static csr_t csr;
static policy_request_t request;
static policy_tx_t *tx;

/* What the stub provider answers, and what it was told. */
static struct {
    apr_status_t verify, notify;
    int refuses;
    int verified, notified;
    policy_event_e event;
} stub;

static apr_status_t stub_verify(void *instance, const policy_tx_t *t,
                                policy_attributes_t *attributes, outcome_t *o,
                                const log_sink_t *l, apr_pool_t *pool)
{
    (void)attributes;
    (void)instance;
    (void)l;
    ck_assert_ptr_nonnull(t);
    stub.verified++;
    if (stub.verify == APR_EACCES)
        outcome_refuse(o, FAIL_INFO_BAD_REQUEST, 0, "stub-refused", "No.", pool, "stub");
    else if (stub.verify != APR_SUCCESS)
        outcome_unavailable(o, "stub-down", 0, pool, "stub");
    return stub.verify;
}

static apr_status_t stub_notify(void *instance, const policy_tx_t *t,
                                const policy_event_t *event, const char **news, outcome_t *o,
                                const log_sink_t *l, apr_pool_t *pool)
{
    (void)news;
    (void)instance;
    (void)l;
    ck_assert_ptr_nonnull(t);
    stub.notified++;
    stub.event = event->event;
    if (stub.notify != APR_SUCCESS && stub.refuses)
        outcome_refuse(o, FAIL_INFO_BAD_REQUEST, 0, "stub-forbids", "No.", pool, "stub");
    return stub.notify;
}

static const policy_provider_t stub_provider = {
    .name = "stub", .verify = stub_verify, .notify = stub_notify};

static const policy_provider_t empty_provider = {.name = "empty"};

/* The built-in provider of a name. */
static const policy_provider_t *builtin(const char *name)
{
    int i;

    for (i = 0; policy_builtin[i]; i++) {
        if (strcmp(policy_builtin[i]->name, name) == 0)
            return policy_builtin[i];
    }
    ck_abort_msg("no policy %s", name);
    return NULL;
}

static void setup(void)
{
    static const crypt_buf_t key = {(const unsigned char *)"key", 3};

    fixture_setup();
    p = fixture_pool();
    sink = fixture_log(p);
    memset(&cfg, 0, sizeof(cfg));
    memset(&stub, 0, sizeof(stub));
    memset(&csr, 0, sizeof(csr));
    memset(&request, 0, sizeof(request));
    cfg.service = "corp";
    cfg.store = store_fixture_open(KIND_SQLITE, p);
    cfg.state_directory = fixture_directory(p);
    cfg.secret_may_be_made = 1;
    cfg.lifetime = apr_time_from_sec(3600);
    cfg.length = 8;
    cfg.max = 3;
    cfg.uses = 1;
    cfg.attempts = 2;
    cfg.retention = apr_time_from_sec(7 * 86400);
    cfg.lease = apr_time_from_sec(30);
    cfg.busy_wait = apr_time_from_msec(100);
    cfg.not_before_skew = apr_time_from_sec(600);
    csr.subject_text = "CN=device";
    request.csr = &csr;
    request.template_name = "Device";
    request.transaction_id = "tid";
    request.authorization = POLICY_BY_CHALLENGE;
    request.signer_key = &key;
    request.client_address = "192.0.2.1";
    request.user_agent = "unit";
}

/* A prepared chain of a provider and, unless NULL, a second one. */
static void chain(const policy_provider_t *first, const policy_provider_t *second)
{
    const char *error;

    policy = policy_make(&cfg, p);
    error = policy_add(policy, first, 0, NULL, p);
    if (!error && second)
        error = policy_add(policy, second, 0, NULL, p);
    if (!error)
        error = policy_prepare(policy, geteuid(), getegid(), sink, p);
    ck_assert_msg(!error, "%s", error);
    ck_assert_int_eq(policy_child_init(policy, p), APR_SUCCESS);
}

/* Mints a challenge for a template. */
static policy_challenge_t *mint(const char *template_name)
{
    policy_mint_t m = {"mdm", template_name, NULL, "192.0.2.9"};
    policy_challenge_t *challenge;
    apr_status_t rv = policy_generate_challenge(policy, &m, &challenge, &out, sink, p);

    ck_assert_msg(rv == APR_SUCCESS, "%s: %s", out.reason, out.detail);
    return challenge;
}

/* Begins with a challenge and a CSR that n tells apart. */
static apr_status_t begin(const char *challenge, int n)
{
    csr.digest[0] = (unsigned char)n;
    request.challenge = challenge;
    return policy_begin(&tx, policy, &request, &out, sink, p);
}

/* Finishes with an event. */
static apr_status_t finish(policy_event_e what)
{
    policy_event_t event = {0};
    outcome_t why;

    outcome_init(&why);
    why.reason = "unit-reason";
    event.event = what;
    event.certificate.data = (const unsigned char *)"certificate";
    event.certificate.len = 11;
    event.cookie = "cookie";
    event.wait = apr_time_from_sec(5);
    event.outcome = what == POLICY_EVENT_ISSUED ? NULL : &why;
    return policy_finish(tx, &event, &out, sink, p);
}

/* Checks a refusal that tells the client nothing. */
static void check_refused(apr_status_t rv, const char *reason)
{
    ck_assert_int_eq(rv, APR_EACCES);
    ck_assert_int_eq(out.result, OUTCOME_REFUSED);
    ck_assert_str_eq(out.reason, reason);
    ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_REQUEST);
    ck_assert_int_eq(out.hresult, OUTCOME_HR_NOT_FOUND);
    ck_assert_str_eq(out.text, "The challenge password cannot be verified. Obtain a new one.");
    ck_assert_ptr_null(tx);
}

START_TEST(whole_enrollment)
{
    policy_challenge_t *challenge;
    const grant_t *grant;
    unsigned char serial[16];

    chain(builtin("challenge"), &stub_provider);
    challenge = mint("");
    ck_assert_uint_eq(strlen(challenge->text), 16);
    ck_assert_uint_eq(strspn(challenge->text, "0123456789ABCDEF"), 16);
    ck_assert_uint_eq(strlen(challenge->id), 12);
    ck_assert_int_eq(challenge->outstanding, 1);
    ck_assert_int_eq(begin(challenge->text, 1), APR_SUCCESS);
    ck_assert_int_eq(tx->state, POLICY_TX_CLAIMED);
    ck_assert_str_eq(tx->store_tx.challenge.caller, "mdm");
    ck_assert_int_eq(strncmp(tx->store_tx.challenge_id, challenge->id, 12), 0);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
    ck_assert_int_eq(stub.verified, 1);
    ck_assert_str_eq(grant_service(grant), "corp");
    ck_assert_str_eq(grant_tx_key(grant), tx->tx_key);
    ck_assert_str_eq(grant_transaction_id(grant), "tid");
    ck_assert_str_eq(grant_template(grant), "Device");
    ck_assert_mem_eq(grant_csr_digest(grant), csr.digest, 32);
    ck_assert_int_eq(grant_serial(grant)[0] & 0x80, 0);
    ck_assert_str_eq(crypt_hex(grant_serial(grant), 16, 0, p), tx->store_tx.serial);
    ck_assert(grant_not_before(grant) % APR_USEC_PER_SEC == 0);
    ck_assert(apr_time_now() - grant_not_before(grant) >= apr_time_from_sec(600));
    memcpy(serial, grant_serial(grant), 16);
    ck_assert_int_eq(finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    ck_assert_int_eq(out.result, OUTCOME_SUCCESS);
    ck_assert_int_eq(stub.notified, 1);
    ck_assert_int_eq(begin(challenge->text, 1), APR_SUCCESS);
    ck_assert_int_eq(tx->state, POLICY_TX_ISSUED);
    ck_assert_mem_eq(tx->store_tx.certificate.data, "certificate", 11);
    ck_assert_int_ne(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
    ck_assert_ptr_null(grant);
    ck_assert_int_ne(finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    check_refused(begin(challenge->text, 2), "challenge-used");
    ck_assert_ptr_null(strstr(fixture_log_text(sink), challenge->text));
}
END_TEST

START_TEST(refusals)
{
    policy_challenge_t *challenge;
    char *lower;
    int i;

    chain(builtin("challenge"), NULL);
    ck_assert_int_eq(begin(NULL, 1), APR_EACCES);
    ck_assert_str_eq(out.reason, "challenge-missing");
    ck_assert_int_eq(out.hresult, OUTCOME_HR_CERT_SIGNATURE);
    check_refused(begin("0123456789ABCDEF", 1), "challenge-unknown");
    check_refused(begin(apr_pstrcat(p, SECRET_A, SECRET_A, SECRET_A, NULL), 1),
                  "challenge-unknown");
    challenge = mint("");
    lower = apr_pstrdup(p, challenge->text);
    for (i = 0; lower[i]; i++)
        lower[i] = (char)(lower[i] | 0x20);
    if (strcmp(lower, challenge->text) != 0)
        check_refused(begin(lower, 1), "challenge-unknown");
    check_refused(begin(apr_pstrcat(p, challenge->text, " ", NULL), 1), "challenge-unknown");
    for (i = 1; i <= 2; i++) {
        ck_assert_int_eq(begin(challenge->text, i), APR_SUCCESS);
        ck_assert_int_eq(finish(POLICY_EVENT_REFUSED), APR_SUCCESS);
        ck_assert_str_eq(out.reason, "unit-reason");
    }
    check_refused(begin(challenge->text, 3), "challenge-burned");
    cfg.lifetime = apr_time_from_msec(30);
    challenge = mint("");
    apr_sleep(apr_time_from_msec(50));
    check_refused(begin(challenge->text, 4), "challenge-expired");
}
END_TEST

START_TEST(refusals_are_counted)
{
    const grant_t *grant;
    int i;

    cfg.failure_max = 2;
    cfg.failure_window = apr_time_from_sec(60);
    chain(builtin("challenge"), &stub_provider);
    stub.verify = APR_EACCES;
    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(begin(mint("")->text, i), APR_SUCCESS);
        ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_EACCES);
        ck_assert_int_eq(finish(POLICY_EVENT_REFUSED), APR_SUCCESS);
    }
    ck_assert_int_ne(begin(mint("")->text, 7), APR_SUCCESS);
    ck_assert_int_eq(out.result, OUTCOME_LIMITED);
}
END_TEST

START_TEST(what_is_no_refusal_is_not_counted)
{
    const grant_t *grant;

    cfg.failure_max = 1;
    cfg.failure_window = apr_time_from_sec(60);
    chain(builtin("challenge"), &stub_provider);
    stub.verify = APR_EGENERAL;
    ck_assert_int_eq(begin(mint("")->text, 1), APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_EGENERAL);
    ck_assert_int_eq(finish(POLICY_EVENT_TRANSIENT), APR_SUCCESS);
    stub.verify = APR_SUCCESS;
    ck_assert_int_eq(begin(mint("")->text, 2), APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
    ck_assert_int_eq(begin(mint("")->text, 3), APR_SUCCESS);
}
END_TEST

START_TEST(bound_to_a_template)
{
    const grant_t *grant;

    chain(builtin("challenge"), NULL);
    ck_assert_int_eq(begin(mint("Other")->text, 1), APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_EACCES);
    ck_assert_str_eq(out.reason, "challenge-template");
    ck_assert_int_eq(out.hresult, OUTCOME_HR_NOT_FOUND);
    ck_assert_ptr_null(grant);
    ck_assert_int_eq(begin(mint("Device")->text, 2), APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
}
END_TEST

START_TEST(cache_full)
{
    policy_mint_t m = {"mdm", "", NULL, ""};
    policy_challenge_t *challenge;
    int i;

    chain(builtin("challenge"), NULL);
    for (i = 0; i < 3; i++)
        mint("");
    ck_assert_int_eq(policy_generate_challenge(policy, &m, &challenge, &out, sink, p), APR_ENOSPC);
    ck_assert_ptr_null(challenge);
    ck_assert(out.retry_after > 0 && out.retry_after <= cfg.lifetime);
}
END_TEST

START_TEST(events)
{
    policy_challenge_t *challenge;
    const grant_t *grant;

    chain(builtin("challenge"), &stub_provider);
    challenge = mint("");
    ck_assert_int_eq(begin(challenge->text, 1), APR_SUCCESS);
    ck_assert_int_eq(begin(challenge->text, 1), APR_EAGAIN);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    ck_assert_str_eq(out.reason, "busy");
    ck_assert(out.retry_after > 0);
    ck_assert_int_eq(begin(challenge->text, 2), APR_EAGAIN);
    cfg.lease = apr_time_from_msec(50);
    challenge = mint("");
    ck_assert_int_eq(begin(challenge->text, 3), APR_SUCCESS);
    ck_assert_int_eq(finish(POLICY_EVENT_UNKNOWN), APR_SUCCESS);
    ck_assert_int_eq(begin(challenge->text, 3), APR_SUCCESS);
    ck_assert_int_eq(tx->store_tx.fence, 2);
    ck_assert_int_eq(finish(POLICY_EVENT_TRANSIENT), APR_SUCCESS);
    ck_assert_int_eq(begin(challenge->text, 4), APR_SUCCESS);
    stub.verify = APR_EACCES;
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_EACCES);
    ck_assert_ptr_null(grant);
    ck_assert_str_eq(out.reason, "stub-refused");
    stub.verify = APR_EGENERAL;
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_EGENERAL);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(finish(POLICY_EVENT_PENDING), APR_SUCCESS);
    ck_assert_int_eq(out.result, OUTCOME_PENDING);
    ck_assert_int_eq(stub.event, POLICY_EVENT_PENDING);
    ck_assert_int_eq(begin(challenge->text, 4), APR_SUCCESS);
    ck_assert_int_eq(tx->state, POLICY_TX_PENDING);
    ck_assert_str_eq(tx->store_tx.cookie, "ca:cookie");
}
END_TEST

START_TEST(forbidden_delivery)
{
    policy_challenge_t *challenge;

    chain(builtin("challenge"), &stub_provider);
    challenge = mint("");
    stub.notify = APR_EACCES;
    stub.refuses = 1;
    ck_assert_int_eq(begin(challenge->text, 1), APR_SUCCESS);
    ck_assert_int_eq(finish(POLICY_EVENT_ISSUED), APR_EACCES);
    ck_assert_str_eq(out.reason, "stub-forbids");
    stub.notify = APR_EGENERAL;
    stub.refuses = 0;
    ck_assert_int_eq(begin(challenge->text, 1), APR_SUCCESS);
    ck_assert_int_eq(tx->state, POLICY_TX_CLAIMED);
    ck_assert_int_eq(finish(POLICY_EVENT_ISSUED), APR_EGENERAL);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    stub.notify = APR_SUCCESS;
    ck_assert_int_eq(begin(challenge->text, 1), APR_SUCCESS);
    ck_assert_int_eq(finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
}
END_TEST

START_TEST(cookies_of_retries)
{
    static const struct {
        const char *cookie;
        int tries;
        apr_int64_t seconds;
    } cases[] = {{"", 0, 0},
                 {"approval", 0, 0},
                 {"ca:retry:1:2", 0, 0},
                 {"retry", 0, 0},
                 {"retry:1:1700000000", 1, 1700000000},
                 {"retry:7:5", 7, 5},
                 {"retry:7", 7, 0},
                 {"retry:0:5", 1000000, 5},
                 {"retry:-3:5", 1000000, 5},
                 {"retry:99999999999999999999:5", 1000000, 5},
                 {"retry:x", 1000000, 0},
                 {"retry:", 1000000, 0}};
    policy_retry_t retry = policy_retry_of(cases[_i].cookie);

    ck_assert_int_eq(retry.tries, cases[_i].tries);
    ck_assert(retry.since == apr_time_from_sec(cases[_i].seconds));
}
END_TEST

START_TEST(fenced_commit)
{
    policy_challenge_t *challenge;
    policy_tx_t *old;

    cfg.lease = apr_time_from_msec(50);
    chain(builtin("challenge"), NULL);
    challenge = mint("");
    ck_assert_int_eq(begin(challenge->text, 1), APR_SUCCESS);
    old = tx;
    apr_sleep(apr_time_from_msec(70));
    ck_assert_int_eq(begin(challenge->text, 1), APR_SUCCESS);
    ck_assert_str_eq(tx->store_tx.serial, old->store_tx.serial);
    ck_assert(tx->store_tx.not_before == old->store_tx.not_before);
    tx = old;
    ck_assert_int_ne(finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    ck_assert_str_eq(out.reason, "fenced");
    ck_assert_ptr_nonnull(strstr(fixture_log_text(sink), "SCEP0204"));
}
END_TEST

START_TEST(store_down)
{
    policy_mint_t m = {"mdm", "", NULL, ""};
    policy_challenge_t *challenge;
    store_config_t down = {0};

    down.url = apr_psprintf(p, "redis://127.0.0.1:%d", store_fixture_port());
    cfg.store = store_fixture_open_config(&down, p);
    chain(builtin("challenge"), NULL);
    ck_assert_int_ne(begin("0123456789ABCDEF", 1), APR_SUCCESS);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    ck_assert_str_eq(out.reason, "store");
    ck_assert(out.retry_after > 0);
    ck_assert_int_ne(policy_generate_challenge(policy, &m, &challenge, &out, sink, p), APR_SUCCESS);
    ck_assert_int_eq(out.result, OUTCOME_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(fixture_log_text(sink), "SCEP0201"));
}
END_TEST

START_TEST(without_challenge)
{
    const grant_t *grant;
    policy_mint_t m = {"mdm", "", NULL, ""};
    policy_challenge_t *challenge;

    chain(builtin("none"), NULL);
    ck_assert_ptr_nonnull(strstr(fixture_log_text(sink), "SCEP0200"));
    ck_assert_int_eq(begin(NULL, 1), APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
    ck_assert_int_eq(finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    ck_assert_int_eq(policy_generate_challenge(policy, &m, &challenge, &out, sink, p),
                     APR_ENOTIMPL);
}
END_TEST

START_TEST(renewal_needs_no_challenge)
{
    const grant_t *grant;
    fixture_certificate_t want = {.subject = "device"};

    chain(builtin("challenge"), NULL);
    request.authorization = POLICY_BY_SIGNER;
    request.signer = fixture_certificate(p, &want);
    ck_assert_int_eq(begin(NULL, 1), APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
}
END_TEST

START_TEST(chains)
{
    static const char *const words[] = {"x=1"};

    policy = policy_make(&cfg, p);
    ck_assert_ptr_nonnull(policy_prepare(policy, 0, 0, sink, p));
    ck_assert_ptr_nonnull(policy_add(policy, &empty_provider, 0, NULL, p));
    ck_assert_ptr_nonnull(policy_add(policy, builtin("none"), 1, words, p));
    ck_assert_ptr_null(policy_add(policy, builtin("none"), 0, NULL, p));
    ck_assert_ptr_nonnull(policy_add(policy, builtin("none"), 0, NULL, p));
}
END_TEST

START_TEST(rotation)
{
    policy_challenge_t *old;
    const char *first, *directory = fixture_directory(p);
    const grant_t *grant;

    cfg.secret_may_be_made = 0;
    cfg.secret_file = fixture_file(p, directory, "a", SECRET_A "\n", 0600);
    chain(builtin("challenge"), NULL);
    first = policy_fingerprint(policy, p);
    ck_assert_uint_eq(strlen(first), 64);
    old = mint("");
    cfg.secret_file =
        fixture_file(p, directory, "b", "# new\n" SECRET_B "\n\n" SECRET_A "\r\n", 0600);
    chain(builtin("challenge"), NULL);
    ck_assert_str_ne(policy_fingerprint(policy, p), first);
    ck_assert_int_eq(begin(old->text, 1), APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, tx, &out, sink, p), APR_SUCCESS);
    ck_assert_int_eq(begin(mint("")->text, 2), APR_SUCCESS);
    cfg.secret_file = fixture_file(p, directory, "c", SECRET_B "\n", 0600);
    chain(builtin("challenge"), NULL);
    check_refused(begin(old->text, 3), "challenge-unknown");
}
END_TEST

START_TEST(secret_files)
{
    static const struct {
        const char *text;
        int mode, good;
    } cases[] = {{SECRET_A "\n", 0600, 1},
                 {SECRET_A, 0640, 1},
                 {SECRET_A "\n", 0604, 0},
                 {SECRET_A "\n", 0622, 0},
                 {"short\n", 0600, 0},
                 {"# " SECRET_A "\n", 0600, 0},
                 {"", 0600, 0},
                 {SECRET_A "\n" SECRET_B "\n" SECRET_A "\n", 0600, 0}};
    const char *error, *directory = fixture_directory(p);
    struct stat info;
    size_t i;

    cfg.secret_may_be_made = 0;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cfg.secret_file =
            fixture_file(p, directory, apr_itoa(p, (int)i), cases[i].text, cases[i].mode);
        policy = policy_make(&cfg, p);
        ck_assert_ptr_null(policy_add(policy, builtin("challenge"), 0, NULL, p));
        error = policy_prepare(policy, geteuid(), getegid(), sink, p);
        ck_assert_msg((error == NULL) == cases[i].good, "case %d: %s", (int)i, error);
        if (error)
            ck_assert_msg(!strstr(error, "aaaa") && strstr(error, cfg.secret_file), "%s", error);
    }
    cfg.secret_file = apr_pstrcat(p, directory, "/made", NULL);
    ck_assert_ptr_nonnull(policy_prepare(policy, geteuid(), getegid(), sink, p));
    cfg.secret_may_be_made = 1;
    ck_assert_ptr_null(policy_prepare(policy, geteuid(), getegid(), sink, p));
    ck_assert_int_eq(stat(cfg.secret_file, &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0600);
    ck_assert_int_eq(info.st_size, 65);
    error = policy_fingerprint(policy, p);
    ck_assert_ptr_null(policy_prepare(policy, geteuid(), getegid(), sink, p));
    ck_assert_str_eq(policy_fingerprint(policy, p), error);
}
END_TEST

Suite *test_policy_suite(void)
{
    Suite *suite = suite_create("test_policy");
    TCase *tcase = tcase_create("chain");

    tcase_add_checked_fixture(tcase, setup, fixture_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, whole_enrollment);
    tcase_add_test(tcase, refusals);
    tcase_add_test(tcase, refusals_are_counted);
    tcase_add_test(tcase, what_is_no_refusal_is_not_counted);
    tcase_add_test(tcase, bound_to_a_template);
    tcase_add_test(tcase, cache_full);
    tcase_add_test(tcase, events);
    tcase_add_test(tcase, forbidden_delivery);
    tcase_add_loop_test(tcase, cookies_of_retries, 0, 12);
    tcase_add_test(tcase, fenced_commit);
    tcase_add_test(tcase, store_down);
    tcase_add_test(tcase, without_challenge);
    tcase_add_test(tcase, renewal_needs_no_challenge);
    tcase_add_test(tcase, chains);
    tcase_add_test(tcase, rotation);
    tcase_add_test(tcase, secret_files);
    suite_add_tcase(suite, tcase);
    return suite;
}
