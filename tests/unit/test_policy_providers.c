/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policy.h promises, as one suite against every provider there is: an adapter per provider
 * makes a chain that can say yes and no, and knows how its peer says so.  What is particular to a
 * provider is in a file of its own.
 */
#include "../../policy/policy_provider.h"
#include "http_fixture.h"
#include "policy_fixture.h"
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <string.h>

Suite *test_policy_providers_suite(void);

#define STATIC_SECRET "Sh4redS3cret-of-all"
#define HOOK_SECRET "0123456789abcdef0123456789abcdef"
#define UNAVAILABLE_TEXT "The service is not available at the moment."
#define BOUND "{\"subject\":\"CN=somebody else\"}"

/* How a peer answers. */
typedef struct peer_t {
    const char *status, *body;
} peer_t;

typedef struct adapter_t {
    const char *name;
    int judges;   /* the challenge itself; others follow "challenge" in the chain */
    int mints;    /* challenges */
    int free;     /* of challenges: an initial request needs none */
    peer_t yes, no, noted; /* of a provider that asks a peer, which is under a path of the server */
    void (*add)(const char *path); /* appends it to the chain */
    const char *given; /* a challenge that is good and not minted here */
} adapter_t;

static policy_fixture_t *f;
static http_fixture_t *server;
static const char *limit; /* of a call's time, for a provider that has one */
static const char *shown; /* the challenge of the last request; NULL: none */

static void setup(void)
{
    policy_fixture_setup();
    f = policy_fixture();
    server = http_fixture_start(f->p);
    shown = NULL;
    limit = apr_psprintf(f->p, "timeout=%dms", (int)(fixture_patience(1000) / 1000));
}

/* Appends a provider. */
static void add(const char *name, const char *const *words)
{
    const char *error = policy_fixture_add(name, words);

    ck_assert_msg(!error, "%s: %s", name, error);
}

static void add_challenge(const char *path)
{
    (void)path;
    add("challenge", NULL);
}

static void add_none(const char *path)
{
    (void)path;
    add("none", NULL);
}

/* It goes by names, which the request brings here. */
static void add_known(const char *path)
{
    const char *file = fixture_file(f->p, fixture_directory(f->p), "k", "d1\n", 0600);
    const char *words[] = {apr_pstrcat(f->p, "devices=", file, NULL), NULL};

    (void)path;
    f->request.device = "d1";
    if (policy_fixture_add("known", words)) { /* it cannot stand alone */
        add("none", NULL);
        add("known", words);
    }
}

static void add_static(const char *path)
{
    const char *file = fixture_file(f->p, fixture_directory(f->p), "s", STATIC_SECRET "\n", 0600);
    const char *words[] = {apr_pstrcat(f->p, "file=", file, NULL), NULL};

    (void)path;
    add("static", words);
}

static void add_webhook(const char *path)
{
    const char *file = fixture_file(f->p, fixture_directory(f->p), "h", HOOK_SECRET "\n", 0600);
    const char *words[] = {apr_pstrcat(f->p, "url=", http_fixture_url(server, path, f->p), NULL),
                           apr_pstrcat(f->p, "secretFile=", file, NULL), "plainLoopback=on",
                           "challenge=on", "concurrency=2", limit, NULL};

    add("webhook", words);
}

static void add_registration_point(const char *path)
{
    const char *words[] = {apr_pstrcat(f->p, "url=", http_fixture_url(server, path, f->p), NULL),
                           policy_fixture_credentials("certificate"),
                           policy_fixture_credentials("key"), "plainLoopback=on", "concurrency=2",
                           limit, NULL};

    add("registration-point", words);
}

/* Directory and Graph always say yes; the service that they lead to is the peer. */
static void add_intune(const char *path)
{
    const char *url = http_fixture_url(server, "", f->p);
    const char *file = fixture_file(f->p, fixture_directory(f->p), "i", HOOK_SECRET "\n", 0600);
    const char *words[] = {"tenant=contoso.example", "clientId=unit", "plainLoopback=on",
                           apr_pstrcat(f->p, "authority=", url, NULL),
                           apr_pstrcat(f->p, "graph=", url, NULL),
                           apr_pstrcat(f->p, "secretFile=", file, NULL), "concurrency=2",
                           limit, "renewal=signer", NULL};

    add("intune", words);
    http_fixture_route(server, 0, "/oauth2/v2.0/token", "200 OK", "",
                       "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"T\"}");
    http_fixture_route(server, 1, "/servicePrincipals/", "200 OK", "",
                       apr_psprintf(f->p, "{\"value\":[{\"providerName\":"
                                          "\"ScepRequestValidationFEService\",\"uri\":\"%s\"}]}",
                                    http_fixture_url(server, path, f->p)));
}

#define INTUNE_YES "{\"code\":\"Success\",\"errorDescription\":\"\"}"
#define INTUNE_NO "{\"code\":\"SubjectNameMismatch\",\"errorDescription\":\"CN\"}"
/* A point's key signs and encrypts. */
static void add_sealed(const char *path)
{
    fixture_certificate_t want = {0};
    const char *directory = fixture_directory(f->p);
    const char *pem = apr_pstrcat(f->p,
                                  fixture_certificate_pem(f->p, fixture_certificate(f->p, &want)),
                                  fixture_key_pem(f->p, fixture_rsa(0)), NULL);
    const char *words[] = {apr_pstrcat(f->p, "certificate=",
                                       fixture_file(f->p, directory, "pair", pem, 0600), NULL),
                           NULL};

    (void)path;
    add("sealed", words);
}

#define LOCAL 5 /* those that ask no peer come first */

static const adapter_t adapters[] = {
    {"challenge", 1, 1, 0, {NULL, NULL}, {NULL, NULL}, {NULL, NULL}, add_challenge,
     NULL},
    {"sealed", 1, 1, 0, {NULL, NULL}, {NULL, NULL}, {NULL, NULL}, add_sealed, NULL},
    {"static", 1, 0, 0, {NULL, NULL}, {NULL, NULL}, {NULL, NULL}, add_static,
     STATIC_SECRET},
    {"none", 0, 0, 1, {NULL, NULL}, {NULL, NULL}, {NULL, NULL}, add_none, NULL},
    {"known", 0, 0, 1, {NULL, NULL}, {NULL, NULL}, {NULL, NULL}, add_known, NULL},
    {"webhook", 0, 0, 0, {"200 OK", "{\"allow\":true}"}, {"200 OK", "{\"allow\":false}"},
     {"200 OK", "{}"}, add_webhook, NULL},
    {"registration-point", 0, 0, 0, {"201 Created", "true"}, {"201 Created", "false"},
     {"204 No Content", ""}, add_registration_point, NULL},
    {"intune", 1, 0, 0, {"200 OK", INTUNE_YES}, {"200 OK", INTUNE_NO}, {"200 OK", INTUNE_YES},
     add_intune, "MIIopaque-challenge-of-Intune"}};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Whether the provider asks a peer. */
static int calls(const adapter_t *a)
{
    return a->yes.status != NULL;
}

/* What the peer says from now on. */
static void says(const peer_t *answer)
{
    if (answer->status)
        http_fixture_answer(server, answer->status, "", answer->body);
}

/* Starts the chain of an adapter, whose peer is at a path and says yes. */
static void start(const adapter_t *a, const char *path)
{
    if (!a->judges)
        add_challenge(NULL);
    a->add(path);
    policy_fixture_start();
    says(&a->yes);
}

/* A challenge that is good, for requests that params bind it to; NULL: for all. */
static const char *mint(const adapter_t *a, const char *params)
{
    policy_mint_t order = {"mdm", "", params, "192.0.2.9"};
    policy_challenge_t *challenge = NULL;

    if (a->given)
        return a->given;
    ck_assert_int_eq(
        policy_generate_challenge(f->policy, &order, &challenge, &f->out, f->sink, f->p),
        APR_SUCCESS);
    return challenge->text;
}

/* Asks for a new request with this challenge. */
static apr_status_t ask(const char *challenge)
{
    shown = challenge;
    policy_fixture_request(challenge, NULL);
    return policy_fixture_ask();
}

/* A request that this provider refuses; 0: it refuses none. */
static int ask_in_vain(const adapter_t *a, const char *challenge)
{
    if (!calls(a) && !a->judges)
        return 0;
    says(&a->no);
    if (a->given && !calls(a))
        challenge = "not the secret";
    ck_assert_int_eq(ask(challenge), APR_EACCES);
    return 1;
}

/* No secret in what people read. */
static void check_no_secret(void)
{
    const char *const secrets[] = {STATIC_SECRET, HOOK_SECRET, shown};
    int i;

    for (i = 0; i < COUNT(secrets); i++) {
        if (!secrets[i])
            continue;
        ck_assert_ptr_null(strstr(fixture_log_text(f->sink), secrets[i]));
        ck_assert_ptr_null(strstr(f->out.detail ? f->out.detail : "", secrets[i]));
        ck_assert_ptr_null(strstr(f->out.text ? f->out.text : "", secrets[i]));
    }
}

/* The last outcome is a refusal that says all it should. */
static void check_refusal(void)
{
    ck_assert_int_eq(f->out.result, OUTCOME_REFUSED);
    ck_assert_str_ne(f->out.reason, "no-answer");
    ck_assert_int_ne(f->out.fail_info, FAIL_INFO_NONE);
    ck_assert_int_ne(f->out.hresult, OUTCOME_HR_NONE);
    ck_assert(*f->out.text != '\0');
    ck_assert(*f->out.detail != '\0');
    check_no_secret();
}

/* The last outcome says that nobody could say. */
static void check_unavailable(void)
{
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_str_ne(f->out.reason, "no-answer");
    ck_assert_str_eq(f->out.text, UNAVAILABLE_TEXT);
    ck_assert(f->out.retry_after > 0);
    ck_assert(*f->out.detail != '\0');
    ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "gives no verdict"));
    check_no_secret();
}

START_TEST(every_provider_is_here)
{
    int i, n;

    for (n = 0; policy_builtin[n]; n++) {
        for (i = 0; i < COUNT(adapters) && strcmp(adapters[i].name, policy_builtin[n]->name); i++)
            continue;
        ck_assert_msg(i < COUNT(adapters), "no adapter for %s", policy_builtin[n]->name);
    }
}
END_TEST

START_TEST(verify_consumes_nothing)
{
    const adapter_t *a = &adapters[_i];
    const grant_t *grant = NULL;
    const char *challenge;
    int i;

    start(a, "/answer");
    challenge = mint(a, NULL);
    ck_assert_int_eq(ask(challenge), APR_SUCCESS);
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(policy_verify(&grant, f->tx, &f->out, f->sink, f->p), APR_SUCCESS);
    says(&a->noted);
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    says(&a->yes);
    if (strcmp(challenge, STATIC_SECRET) == 0) {
        ck_assert_int_eq(ask(challenge), APR_SUCCESS);
    }
    else {
        ck_assert_int_eq(ask(challenge), APR_EACCES);
        ck_assert_str_eq(f->out.reason, "challenge-used");
    }
    check_no_secret();
}
END_TEST

START_TEST(refusal_counts_an_attempt)
{
    const adapter_t *a = &adapters[_i];
    const char *challenge;
    int i;

    if (!calls(a) && !a->mints) /* nothing is refused that holds a challenge */
        return;
    start(a, "/answer");
    challenge = mint(a, a->mints ? BOUND : NULL);
    for (i = 0; i < f->cfg.attempts; i++) {
        ck_assert(ask_in_vain(a, challenge));
        check_refusal();
        ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_REFUSED), APR_SUCCESS);
    }
    says(&a->yes);
    ck_assert_int_eq(ask(challenge), APR_EACCES);
    ck_assert_str_eq(f->out.reason, "challenge-burned");
    check_refusal();
}
END_TEST

START_TEST(one_refusal_is_no_end)
{
    const adapter_t *a = &adapters[_i];
    const char *challenge;

    start(a, "/answer");
    challenge = mint(a, NULL);
    ck_assert(ask_in_vain(a, challenge));
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_REFUSED), APR_SUCCESS);
    says(&a->yes);
    ck_assert_int_eq(ask(challenge), APR_SUCCESS);
}
END_TEST

/* More often than attempts are allowed. */
START_TEST(no_verdict_frees_the_challenge)
{
    static const peer_t broken = {"500 Broken", ""};
    const adapter_t *a = &adapters[_i];
    const char *challenge;
    int i;

    start(a, "/answer");
    challenge = mint(a, NULL);
    for (i = 0; i < f->cfg.attempts + 2; i++) {
        says(&broken);
        ck_assert_int_ne(ask(challenge), APR_SUCCESS);
        check_unavailable();
        ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_TRANSIENT), APR_SUCCESS);
    }
    says(&a->yes);
    ck_assert_int_eq(ask(challenge), APR_SUCCESS);
}
END_TEST

START_TEST(challenge_is_needed)
{
    const adapter_t *a = &adapters[_i];

    a->add("/answer");
    policy_fixture_start();
    says(&a->yes);
    if (a->free) {
        ck_assert_int_eq(ask(NULL), APR_SUCCESS);
        return;
    }
    ck_assert_int_eq(ask(NULL), APR_EACCES);
    ck_assert_str_eq(f->out.reason, "challenge-missing");
    ck_assert_int_eq(f->out.hresult, OUTCOME_HR_CERT_SIGNATURE);
    check_refusal();
    ck_assert_int_eq(*server->requests, 0);
}
END_TEST

START_TEST(refusals_say_why)
{
    const adapter_t *a = &adapters[_i];

    start(a, "/answer");
    if (ask_in_vain(a, mint(a, a->mints ? BOUND : NULL)))
        check_refusal();
}
END_TEST

/* What a peer may say, or not say, that is no yes. */
static const peer_t no_yes[] = {
    {"200 OK", ""},          {"201 Created", ""},          {"204 No Content", ""},
    {"200 OK", "{\"allow\":"}, {"201 Created", "tru"},     {"200 OK", "{\"allow\":\"true\"}"},
    {"201 Created", "\"true\""}, {"200 OK", "[]"},         {"201 Created", "1"},
    {"302 Found", "true"},   {"302 Found", "{\"allow\":true}"}, {"500 Broken", "true"},
    {"500 Broken", "{\"allow\":true}"}, {"403 Forbidden", "true"}, {"404 No", "{\"allow\":true}"},
    {"202 Later", "true"},   {"202 Later", "{\"allow\":true}"}};

START_TEST(silence_is_no_yes)
{
    const adapter_t *a = &adapters[_i / COUNT(no_yes)];

    start(a, "/answer");
    says(&no_yes[_i % COUNT(no_yes)]);
    ck_assert_int_ne(ask(mint(a, NULL)), APR_SUCCESS);
    check_unavailable();
}
END_TEST

static const char *const paths[] = {"/cut", "/half", "/garbage", "/big", "/headers", "/moved",
                                    "/503"};

START_TEST(broken_peers_are_no_yes)
{
    const adapter_t *a = &adapters[_i / COUNT(paths)];

    start(a, paths[_i % COUNT(paths)]);
    ck_assert_int_ne(ask(mint(a, NULL)), APR_SUCCESS);
    check_unavailable();
}
END_TEST

/* The peer answers after three seconds. */
START_TEST(deadline_ends_a_call)
{
    const adapter_t *a = &adapters[_i];

    start(a, "/slow");
    f->request.deadline = apr_time_now() + apr_time_from_msec(300);
    ck_assert_int_ne(ask(mint(a, NULL)), APR_SUCCESS);
    check_unavailable();
    ck_assert_msg(strstr(f->out.detail, "timed out") != NULL, "%s", f->out.detail);
    policy_fixture_finish(POLICY_EVENT_TRANSIENT);
    /* and where none is set, the provider's own limit */
    f->request.deadline = 0;
    ck_assert_int_ne(ask(mint(a, NULL)), APR_SUCCESS);
    ck_assert_msg(strstr(f->out.detail, "timed out") != NULL, "%s", f->out.detail);
}
END_TEST

/* What metrics are told of the adapter's provider: -1: nothing. */
static int is_resting(const adapter_t *a)
{
    const char *name;
    int rests = policy_is_resting(f->policy, 0, &name, f->p), n;

    ck_assert_str_eq(name, rests >= 0 ? apr_pstrcat(f->p, a->name, "#1", NULL) : "");
    n = policy_is_resting(f->policy, 1, &name, f->p);
    ck_assert_int_eq(n, -1);
    return rests;
}

START_TEST(breaker_opens_and_closes)
{
    const adapter_t *a = &adapters[_i];
    const char *challenge;
    apr_status_t rv;
    int i, before;

    start(a, "/answer");
    challenge = mint(a, NULL);
    ck_assert_int_eq(is_resting(a), 0);
    *server->closed = 1;
    /* what fetches tokens first waits a second after each failure */
    for (i = 0; i < 4 || (i < 100 && is_resting(a) == 0); i++) {
        ck_assert_int_ne(ask(challenge), APR_SUCCESS);
        policy_fixture_finish(POLICY_EVENT_TRANSIENT);
        apr_sleep(apr_time_from_msec(i < 4 ? 0 : 100));
    }
    before = *server->connections;
    ck_assert_int_eq(is_resting(a), 1);
    ck_assert_int_ne(ask(challenge), APR_SUCCESS);
    check_unavailable();
    policy_fixture_finish(POLICY_EVENT_TRANSIENT);
    ck_assert_int_eq(*server->connections, before);
    *server->closed = 0;
    for (i = 0; i < 100 && (rv = ask(challenge)) != APR_SUCCESS; i++) {
        policy_fixture_finish(POLICY_EVENT_TRANSIENT);
        apr_sleep(apr_time_from_msec(100));
    }
    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_int_eq(is_resting(a), 0);
}
END_TEST

/* A thread's verify of the running transaction. */
static void *APR_THREAD_FUNC slow_verify(apr_thread_t *thread, void *baton)
{
    const policy_link_t *link = policy_link_at(f->policy, f->policy->links->nelts - 1);
    policy_attributes_t attributes = {0};
    outcome_t out;

    (void)thread;
    outcome_init(&out);
    link->provider->verify(link->instance, f->tx, &attributes, &out, NULL, baton);
    return NULL;
}

START_TEST(bulkhead)
{
    const adapter_t *a = &adapters[_i];
    apr_thread_t *threads[2];
    apr_pool_t *pool;
    apr_status_t rv;
    const grant_t *grant;
    int i, before;

    limit = "timeout=20s"; /* the peer takes three */
    start(a, "/slow");
    ck_assert_int_ne(ask(mint(a, NULL)), APR_SUCCESS); /* now there is a transaction */
    before = *server->requests;
    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(apr_pool_create(&pool, f->p), APR_SUCCESS);
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, slow_verify, pool, f->p),
                         APR_SUCCESS);
    }
    while (*server->requests < before + 2)
        apr_sleep(apr_time_from_msec(5));
    ck_assert_int_ne(policy_verify(&grant, f->tx, &f->out, f->sink, f->p), APR_SUCCESS);
    check_unavailable();
    ck_assert_msg(strstr(f->out.detail, "busy: 2 calls") != NULL, "%s", f->out.detail);
    for (i = 0; i < 2; i++)
        apr_thread_join(&rv, threads[i]);
}
END_TEST

static const struct {
    policy_event_e event;
    policy_tx_state_e again; /* what the same request finds then */
} events[] = {{POLICY_EVENT_ISSUED, POLICY_TX_ISSUED},
              {POLICY_EVENT_PENDING, POLICY_TX_PENDING},
              {POLICY_EVENT_REFUSED, POLICY_TX_CLAIMED},
              {POLICY_EVENT_TRANSIENT, POLICY_TX_CLAIMED}};

START_TEST(notify_of_every_end)
{
    const adapter_t *a = &adapters[_i / COUNT(events)];
    int n = _i % COUNT(events);

    start(a, "/answer");
    ck_assert_int_eq(ask(mint(a, NULL)), APR_SUCCESS);
    says(&a->noted);
    ck_assert_int_eq(policy_fixture_finish(events[n].event), APR_SUCCESS);
    ck_assert_int_eq(f->tx->forbidden, 0);
    says(&a->yes);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    ck_assert_int_eq(f->tx->state, events[n].again);
    check_no_secret();
}
END_TEST

START_TEST(renewal_shows_no_challenge)
{
    const adapter_t *a = &adapters[_i];
    fixture_certificate_t want = {0};

    start(a, "/answer");
    f->request.authorization = POLICY_BY_SIGNER;
    f->request.signer = fixture_certificate(f->p, &want);
    ck_assert_int_eq(ask(NULL), APR_SUCCESS);
    says(&a->noted);
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    policy_fixture_work(); /* some tell it now only */
    ck_assert_ptr_null(strstr(server->request, "hallenge"));
}
END_TEST

/* A provider that remembers whether it was asked. */
static int spied;
static apr_status_t spy_says;

static apr_status_t spy_verify(void *instance, const policy_tx_t *tx,
                               policy_attributes_t *attributes, outcome_t *out,
                               const log_sink_t *log, apr_pool_t *p)
{
    (void)instance;
    (void)tx;
    (void)attributes;
    (void)log;
    spied++;
    if (spy_says != APR_SUCCESS)
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "spy", "no", p, "no");
    return spy_says;
}

static const policy_provider_t spy = {.name = "spy", .verify = spy_verify};

START_TEST(first_no_ends_it)
{
    const adapter_t *a = &adapters[_i];

    spied = 0;
    spy_says = APR_SUCCESS;
    if (!a->judges)
        add_challenge(NULL);
    a->add("/answer");
    ck_assert_ptr_null(policy_add(f->policy, &spy, 0, NULL, f->p));
    policy_fixture_start();
    says(&a->yes);
    ck_assert_int_eq(ask(mint(a, NULL)), APR_SUCCESS);
    ck_assert_int_eq(spied, 1);
    policy_fixture_finish(POLICY_EVENT_TRANSIENT);
    if (ask_in_vain(a, mint(a, a->mints ? BOUND : NULL)))
        ck_assert_int_eq(spied, 1);
}
END_TEST

START_TEST(an_earlier_no_asks_nobody)
{
    const adapter_t *a = &adapters[_i];

    spied = 0;
    spy_says = APR_EACCES;
    ck_assert_ptr_null(policy_add(f->policy, &spy, 0, NULL, f->p));
    if (!a->judges)
        add_challenge(NULL);
    a->add("/answer");
    policy_fixture_start();
    says(&a->yes);
    ck_assert_int_eq(ask(mint(a, NULL)), APR_EACCES);
    ck_assert_str_eq(f->out.reason, "spy");
    ck_assert_int_eq(spied, 1);
    ck_assert_int_eq(*server->requests, 0);
}
END_TEST

Suite *test_policy_providers_suite(void)
{
    Suite *suite = suite_create("policy_providers");
    TCase *tc = tcase_create("policy_providers");
    int all = COUNT(adapters);

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, every_provider_is_here);
    tcase_add_loop_test(tc, verify_consumes_nothing, 0, all);
    tcase_add_loop_test(tc, refusal_counts_an_attempt, 0, all);
    tcase_add_loop_test(tc, one_refusal_is_no_end, LOCAL, all);
    tcase_add_loop_test(tc, no_verdict_frees_the_challenge, LOCAL, all);
    tcase_add_loop_test(tc, challenge_is_needed, 0, all);
    tcase_add_loop_test(tc, refusals_say_why, 0, all);
    tcase_add_loop_test(tc, silence_is_no_yes, LOCAL * COUNT(no_yes),
                        all * COUNT(no_yes));
    tcase_add_loop_test(tc, broken_peers_are_no_yes, LOCAL * COUNT(paths),
                        all * COUNT(paths));
    tcase_add_loop_test(tc, deadline_ends_a_call, LOCAL, all);
    tcase_add_loop_test(tc, breaker_opens_and_closes, LOCAL, all);
    tcase_add_loop_test(tc, bulkhead, LOCAL, all);
    tcase_add_loop_test(tc, notify_of_every_end, 0, all * COUNT(events));
    tcase_add_loop_test(tc, renewal_shows_no_challenge, 0, all);
    tcase_add_loop_test(tc, first_no_ends_it, 0, all);
    tcase_add_loop_test(tc, an_earlier_no_asks_nobody, 0, all);
    suite_add_tcase(suite, tc);
    return suite;
}
