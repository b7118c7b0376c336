/* SPDX-License-Identifier: Apache-2.0 */
/* What providers add to a request: gathered, contradicted, granted, kept while it waits. */
#include "../../policy/policy_attributes.h"
#include "policy_fixture.h"
#include <apr_strings.h>
#include <string.h>

Suite *test_policy_added_suite(void);

#define SID "S-1-5-21-1-2-3-4"
#define PROVIDERS 2

static policy_fixture_t *f;

/* What the two providers add, as JSON; and how often they were asked. */
static const char *adds[PROVIDERS];
static int asked;

static apr_status_t stub_verify(void *instance, const policy_tx_t *tx,
                                policy_attributes_t *attributes, outcome_t *out,
                                const log_sink_t *log, apr_pool_t *p)
{
    const char *json = *(const char **)instance;

    (void)tx;
    (void)out;
    (void)log;
    ck_assert(policy_attributes_empty(attributes));
    ck_assert_ptr_null(
        policy_attributes_parse(attributes, json, strlen(json), POLICY_ADDS_ALL, p));
    asked++;
    return APR_SUCCESS;
}

static const char *stub_create(void **pinstance, const settings_t *settings,
                               const policy_config_t *cfg, apr_pool_t *p)
{
    static int number;

    (void)settings;
    (void)cfg;
    (void)p;
    *pinstance = &adds[number++ % PROVIDERS];
    return NULL;
}

static const policy_provider_t stub = {
    .name = "stub", .repeatable = 1, .create = stub_create, .verify = stub_verify};
static const policy_provider_t lonely = {
    .name = "lonely", .create = stub_create, .verify = stub_verify};

static void setup(void)
{
    int i;

    policy_fixture_setup();
    f = policy_fixture();
    asked = 0;
    for (i = 0; i < PROVIDERS; i++) {
        adds[i] = "{}";
        ck_assert_ptr_null(policy_add(f->policy, &stub, 0, NULL, f->p));
    }
    policy_fixture_start();
}

/* Lets the providers add these, with ' for "; what becomes of a new request. */
static apr_status_t ask(const char *first, const char *second)
{
    const char *texts[PROVIDERS] = {first, second};
    char *c;
    int i;

    for (i = 0; i < PROVIDERS; i++) {
        adds[i] = c = apr_pstrdup(f->p, texts[i]);
        for (; *c; c++)
            *c = *c == '\'' ? '"' : *c;
    }
    policy_fixture_request(NULL, NULL);
    return policy_fixture_ask();
}

static const struct {
    const char *first, *second;
    int fits;
} merge_cases[] = {
    {"{}", "{}", 1},
    {"{'sid':'" SID "'}", "{}", 1},
    {"{}", "{'sid':'" SID "'}", 1},
    {"{'sid':'" SID "'}", "{'sid':'" SID "'}", 1},
    {"{'sid':'" SID "'}", "{'sid':'" SID "1'}", 0},
    {"{'template':'A'}", "{'template':'a'}", 0},
    {"{'template':'A'}", "{'subject':'CN=a'}", 1},
    {"{'subject':'CN=a'}", "{'subject':'CN=b'}", 0},
    {"{'subject':'CN=a,O=b'}", "{'subject':'CN=a, O=b'}", 1},
    {"{'subject':'CN=a,O=b'}", "{'subject':'O=b,CN=a'}", 0},
    {"{'subject':'CN=a'}", "{'subject':'CN=A'}", 0},
    {"{'device':'a'}", "{'device':'b'}", 0},
    {"{'user':'a'}", "{'user':'b'}", 0},
    {"{'device':'a','user':'b'}", "{'device':'a'}", 1}};

START_TEST(merged)
{
    apr_status_t rv = ask(merge_cases[_i].first, merge_cases[_i].second);

    if (merge_cases[_i].fits) {
        ck_assert_int_eq(rv, APR_SUCCESS);
        return;
    }
    ck_assert_int_ne(rv, APR_SUCCESS);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_str_eq(f->out.reason, "policy-conflict");
    ck_assert_str_eq(f->out.text, "The service is not available at the moment.");
    ck_assert_ptr_nonnull(strstr(f->out.detail, "'stub'"));
    ck_assert(policy_attributes_empty(&f->tx->attributes));
}
END_TEST

/* Both providers' additions are in the grant; nothing is there that none of them added. */
START_TEST(in_the_grant)
{
    static const unsigned char name[] = {0x30, 0x0c, 0x31, 0x0a, 0x30, 0x08, 0x06,
                                         0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, 'b'};
    const grant_t *grant;

    ck_assert_int_eq(ask("{'template':'Vip','device':'d'}", "{'subject':'CN=b','sid':'" SID "'}"),
                     APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, f->tx, &f->out, f->sink, f->p), APR_SUCCESS);
    ck_assert_str_eq(grant_template(grant), "Vip");
    ck_assert_str_eq(grant_sid(grant), SID);
    ck_assert_uint_eq(grant_subject(grant)->len, sizeof(name));
    ck_assert_mem_eq(grant_subject(grant)->data, name, sizeof(name));
    ck_assert_str_eq(f->tx->attributes.device, "d");
    ck_assert_str_eq(f->tx->attributes.subject_text, "CN=b");
    ck_assert_int_eq(ask("{}", "{'user':'u'}"), APR_SUCCESS);
    ck_assert_int_eq(policy_verify(&grant, f->tx, &f->out, f->sink, f->p), APR_SUCCESS);
    ck_assert_str_eq(grant_template(grant), "Device");
    ck_assert_ptr_null(grant_subject(grant));
    ck_assert_ptr_null(grant_sid(grant));
}
END_TEST

/* ScepApproval names templates: the one that the certificate will be of counts. */
START_TEST(approval_by_the_added_template)
{
    apr_array_header_t *templates = apr_array_make(f->p, 1, sizeof(const char *));

    APR_ARRAY_PUSH(templates, const char *) = "Vip";
    f->cfg.approval = templates;
    ck_assert_int_eq(ask("{}", "{}"), APR_SUCCESS);
    ck_assert_int_eq(ask("{}", "{'template':'Vip'}"), APR_INCOMPLETE);
    APR_ARRAY_IDX(templates, 0, const char *) = "Device";
    ck_assert_int_eq(ask("{}", "{}"), APR_INCOMPLETE);
    ck_assert_int_eq(ask("{}", "{'template':'Vip'}"), APR_SUCCESS);
}
END_TEST

/* Takes the fixture's transaction up again; what policy says. */
static apr_status_t poll_again(const grant_t **pgrant)
{
    ck_assert_int_eq(policy_poll(&f->tx, f->policy, f->request.transaction_id,
                                 f->request.signer_key, &f->out, f->sink, f->p),
                     APR_SUCCESS);
    ck_assert_int_eq(f->tx->state, POLICY_TX_CLAIMED);
    ck_assert_int_eq(policy_resume(f->tx, &f->request, &f->out, f->p), APR_SUCCESS);
    return policy_verify(pgrant, f->tx, &f->out, f->sink, f->p);
}

/* Ends the fixture's transaction as waiting for a person or the CA. */
static void pend(const char *cookie)
{
    policy_event_t event = {0};

    event.event = POLICY_EVENT_PENDING;
    event.cookie = cookie;
    event.wait = cookie ? 1 : 0;
    ck_assert_int_eq(policy_finish(f->tx, &event, &f->out, f->sink, f->p), APR_SUCCESS);
}

#define EVERYTHING                                                                                \
    "{'template':'Vip','subject':'CN=b,O=\u00e4','sid':'" SID "','device':'d','user':'u'}"

/* The CA is asked again about what it was asked for: providers are not. */
START_TEST(kept_for_the_ca)
{
    const grant_t *grant;

    ck_assert_int_eq(ask(EVERYTHING, "{}"), APR_SUCCESS);
    pend("ca-17");
    apr_sleep(apr_time_from_msec(5));
    asked = 0;
    adds[0] = "{\"sid\":\"" SID "9\"}";
    ck_assert_int_eq(poll_again(&grant), APR_SUCCESS);
    ck_assert_int_eq(asked, 0);
    ck_assert_str_eq(grant_template(grant), "Vip");
    ck_assert_str_eq(grant_sid(grant), SID);
    ck_assert_uint_gt(grant_subject(grant)->len, 20);
    ck_assert_str_eq(f->tx->attributes.device, "d");
    ck_assert_str_eq(f->tx->attributes.user, "u");
    ck_assert_mem_eq(f->tx->csr_der.data, f->request.csr->der.data, f->request.csr->der.len);
    ck_assert_uint_eq(f->tx->csr_der.len, f->request.csr->der.len);
    /* and again, when the CA takes its time */
    pend("ca-17");
    apr_sleep(apr_time_from_msec(5));
    ck_assert_int_eq(poll_again(&grant), APR_SUCCESS);
    ck_assert_str_eq(grant_sid(grant), SID);
}
END_TEST

/* A person approves what is shown: the certificate is that one or none. */
static const struct {
    const char *later;
    int fits;
} approved_cases[] = {{EVERYTHING, 1},
                      {"{'template':'Vip','subject':'CN=b,O=\u00e4','sid':'" SID "'}", 1},
                      {"{}", 0},
                      {"{'template':'Vip','subject':'CN=b,O=\u00e4'}", 0},
                      {"{'template':'Vip','subject':'CN=b,O=\u00e4','sid':'" SID "9'}", 0},
                      {"{'template':'Other','subject':'CN=b,O=\u00e4','sid':'" SID "'}", 0},
                      {"{'template':'Vip','subject':'CN=admin','sid':'" SID "'}", 0}};

START_TEST(approved)
{
    policy_attributes_t shown;
    const grant_t *grant = NULL;
    store_tx_t *waiting;
    crypt_buf_t der;
    char *c;
    apr_status_t rv;

    f->cfg.approval = apr_array_make(f->p, 1, sizeof(const char *));
    ck_assert_int_eq(ask("{}", EVERYTHING), APR_INCOMPLETE);
    pend(NULL);
    ck_assert_int_eq(policy_waiting_request(f->policy, f->tx->tx_key, &der, &shown, &waiting,
                                            &f->out, f->sink, f->p),
                     APR_SUCCESS);
    ck_assert_mem_eq(der.data, f->request.csr->der.data, der.len);
    ck_assert_str_eq(shown.subject_text, "CN=b,O=\u00e4");
    ck_assert_str_eq(shown.template_name, "Vip");
    ck_assert_str_eq(shown.sid, SID);
    ck_assert_str_eq(waiting->template_name, "Device");
    ck_assert_int_eq(
        policy_decide(f->policy, f->tx->tx_key, 1, "ann", "", &f->out, f->sink, f->p),
        APR_SUCCESS);
    adds[1] = c = apr_pstrdup(f->p, approved_cases[_i].later);
    for (; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    rv = poll_again(&grant);
    if (approved_cases[_i].fits) {
        ck_assert_int_eq(rv, APR_SUCCESS);
        ck_assert_str_eq(grant_sid(grant), SID);
        return;
    }
    ck_assert_int_ne(rv, APR_SUCCESS);
    ck_assert_ptr_null(grant);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_str_eq(f->out.reason, "policy-changed");
}
END_TEST

/* What somebody wrote into the store is not opened. */
START_TEST(sealed)
{
    policy_attributes_t shown;
    store_tx_t *waiting;
    crypt_buf_t der;

    f->cfg.approval = apr_array_make(f->p, 1, sizeof(const char *));
    ck_assert_int_eq(ask(EVERYTHING, "{}"), APR_INCOMPLETE);
    pend(NULL);
    ck_assert_int_eq(policy_waiting_request(f->policy, f->tx->tx_key, &der, &shown, &waiting,
                                            &f->out, f->sink, f->p),
                     APR_SUCCESS);
    ck_assert_uint_gt(waiting->request.len, der.len + 100);
    ck_assert_ptr_null(memmem(waiting->request.data, waiting->request.len, SID, strlen(SID)));
    ck_assert_ptr_null(memmem(waiting->request.data, waiting->request.len, "Vip", 3));
}
END_TEST

START_TEST(repeatable_or_not)
{
    const char *error;

    ck_assert_ptr_null(policy_add(f->policy, &lonely, 0, NULL, f->p));
    error = policy_add(f->policy, &lonely, 0, NULL, f->p);
    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_nonnull(strstr(error, "'lonely' is configured twice"));
    ck_assert_ptr_null(policy_add(f->policy, &stub, 0, NULL, f->p));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *test_policy_added_suite(void)
{
    Suite *suite = suite_create("policy_added");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, setup, fixture_teardown);
    tcase_add_loop_test(tcase, merged, 0, COUNT(merge_cases));
    tcase_add_test(tcase, in_the_grant);
    tcase_add_test(tcase, approval_by_the_added_template);
    tcase_add_test(tcase, kept_for_the_ca);
    tcase_add_loop_test(tcase, approved, 0, COUNT(approved_cases));
    tcase_add_test(tcase, sealed);
    tcase_add_test(tcase, repeatable_or_not);
    suite_add_tcase(suite, tcase);
    return suite;
}
