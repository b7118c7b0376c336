/* SPDX-License-Identifier: Apache-2.0 */
/* A policy chain for the tests of single providers; see policy_fixture.h. */
#include "policy_fixture.h"
#include "store_fixture.h"
#include <apr_strings.h>
#include <string.h>
#include <unistd.h>

static policy_fixture_t fixture;

policy_fixture_t *policy_fixture(void)
{
    return &fixture;
}

void policy_fixture_setup(void)
{
    static const crypt_buf_t key = {(const unsigned char *)"key", 3};
    policy_config_t *cfg = &fixture.cfg;

    fixture_setup();
    memset(&fixture, 0, sizeof(fixture));
    fixture.p = fixture_pool();
    fixture.sink = fixture_log(fixture.p);
    cfg->service = "corp";
    cfg->store = store_fixture_open(KIND_SQLITE, fixture.p);
    cfg->state_directory = fixture_directory(fixture.p);
    cfg->secret_may_be_made = 1;
    cfg->lifetime = apr_time_from_sec(3600);
    cfg->length = 8;
    cfg->max = 100;
    cfg->uses = 1;
    cfg->attempts = 3;
    cfg->retention = apr_time_from_sec(86400);
    cfg->lease = apr_time_from_sec(30);
    cfg->busy_wait = apr_time_from_msec(100);
    cfg->poll_interval = apr_time_from_sec(10);
    cfg->news_lifetime = apr_time_from_sec(3600);
    fixture.policy = policy_make(cfg, fixture.p);
    fixture.request.template_name = "Device";
    fixture.request.authorization = POLICY_BY_CHALLENGE;
    fixture.request.signer_key = &key;
    fixture.request.client_address = "192.0.2.1";
    fixture.request.user_agent = "unit";
}

const char *policy_fixture_add(const char *name, const char *const *words)
{
    int i, argc = 0;

    while (words && words[argc])
        argc++;
    for (i = 0; policy_builtin[i]; i++) {
        if (strcmp(policy_builtin[i]->name, name) == 0)
            return policy_add(fixture.policy, policy_builtin[i], argc, words, fixture.p);
    }
    ck_abort_msg("no policy %s", name);
    return NULL;
}

const char *policy_fixture_credentials(const char *key)
{
    apr_pool_t *p = fixture.p;
    fixture_certificate_t want = {0};
    const char *pem = strcmp(key, "key") == 0
                          ? fixture_key_pem(p, fixture_rsa(0))
                          : fixture_certificate_pem(p, fixture_certificate(p, &want));

    return apr_pstrcat(p, key, "=", fixture_file(p, fixture_directory(p), key, pem, 0600), NULL);
}

void policy_fixture_start(void)
{
    const char *error =
        policy_prepare(fixture.policy, geteuid(), getegid(), fixture.sink, fixture.p);

    ck_assert_msg(!error, "%s", error);
    ck_assert_int_eq(policy_child_init(fixture.policy, fixture.p), APR_SUCCESS);
}

void policy_fixture_request(const char *challenge, const char *const *extensions)
{
    static int number;
    crypt_buf_t der = fixture_csr(fixture.p, fixture_rsa(0),
                                  apr_psprintf(fixture.p, "device%d", ++number), challenge,
                                  extensions);
    csr_t *csr;

    ck_assert_int_eq(csr_make(&csr, &der, 0, &fixture.out, fixture.p), APR_SUCCESS);
    fixture.request.csr = csr;
    fixture.request.challenge = csr->challenge;
    fixture.request.transaction_id = apr_psprintf(fixture.p, "tid%d", number);
}

apr_status_t policy_fixture_ask(void)
{
    const grant_t *grant = NULL;
    apr_status_t rv = policy_begin(&fixture.tx, fixture.policy, &fixture.request, &fixture.out,
                                   fixture.sink, fixture.p);

    if (rv != APR_SUCCESS || fixture.tx->state != POLICY_TX_CLAIMED)
        return rv;
    rv = policy_verify(&grant, fixture.tx, &fixture.out, fixture.sink, fixture.p);
    ck_assert_int_eq(grant != NULL, rv == APR_SUCCESS);
    return rv;
}

apr_status_t policy_fixture_finish(policy_event_e what)
{
    fixture_certificate_t want = {0};
    unsigned char *der = NULL;
    policy_event_t event = {0};
    outcome_t why;
    int len = i2d_X509(fixture_certificate(fixture.p, &want), &der);

    outcome_init(&why);
    why.reason = "unit-reason";
    event.event = what;
    event.certificate.data = apr_pmemdup(fixture.p, der, (apr_size_t)len);
    event.certificate.len = (apr_size_t)len;
    OPENSSL_free(der);
    event.serial = "0a0b";
    event.cookie = "cookie";
    event.wait = apr_time_from_sec(5);
    event.outcome = what == POLICY_EVENT_ISSUED ? NULL : &why;
    return policy_finish(fixture.tx, &event, &fixture.out, fixture.sink, fixture.p);
}

int policy_fixture_work(void)
{
    policy_work_t work = {0};
    int done = 0;

    work.deadline = apr_time_now() + apr_time_from_sec(10);
    work.holder = "unit";
    policy_work(fixture.policy, &work, &done, fixture.sink, fixture.p);
    return done;
}
