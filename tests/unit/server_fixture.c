/* SPDX-License-Identifier: Apache-2.0 */
/* See server_fixture.h. */
#include "server_fixture.h"
#include "store_fixture.h"

#include <string.h>
#include <unistd.h>

/* ---- a CA and a policy for tests */

server_world_t world;

static const char *stub_create(void **pinstance, const settings_t *settings, const ca_config_t *cfg,
                               apr_pool_t *p)
{
    (void)settings, (void)cfg, (void)p;
    *pinstance = &world;
    return NULL;
}

static apr_status_t stub_chain(void *instance, STACK_OF(X509) **pchain, const log_sink_t *log,
                               apr_pool_t *p)
{
    STACK_OF(X509) *chain = sk_X509_new_null();

    (void)instance, (void)log;
    X509_add_cert(chain, world.fixture->certs[SCEP_FIXTURE_CA], X509_ADD_FLAG_UP_REF);
    *pchain = crypt_chain_own(chain, p);
    return APR_SUCCESS;
}

/* A certificate of the fixture's CA for the CSR's key and subject. */
static X509 *issue(const csr_t *csr, apr_pool_t *p)
{
    static long serial = 5000;
    X509 *cert = crypt_x509_own(X509_new(), p);

    ck_assert(X509_set_version(cert, X509_VERSION_3) &&
              ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++) &&
              X509_gmtime_adj(X509_getm_notBefore(cert), -60) != NULL &&
              X509_gmtime_adj(X509_getm_notAfter(cert), 86400) != NULL &&
              X509_set_pubkey(cert, csr->key) && X509_set_subject_name(cert, csr->subject) &&
              X509_set_issuer_name(cert, X509_get_subject_name(
                                             world.fixture->certs[SCEP_FIXTURE_CA])) &&
              X509_sign(cert, scep_fixture_key(SCEP_FIXTURE_CA), EVP_sha256()) > 0);
    return cert;
}

static apr_status_t stub_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)instance, (void)log;
    world.submits++;
    answer->result = world.ca;
    answer->unknown = world.ca_unknown;
    answer->cookie = "cookie";
    answer->retry_after = apr_time_from_sec(7);
    if (world.ca == CA_ISSUED)
        answer->leaf = issue(request->csr, p);
    if (world.ca == CA_REJECTED)
        outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT,
                       "ca-no", "The CA says no.", p, "no");
    if (world.ca == CA_RETRY)
        outcome_unavailable(&answer->outcome, "ca-down", apr_time_from_sec(7), p, "down");
    return APR_SUCCESS;
}

static apr_status_t stub_poll(void *instance, const ca_request_t *request, const char *cookie,
                              ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    (void)cookie;
    return stub_submit(instance, request, answer, log, p);
}

static const ca_provider_t stub_ca = {
    .name = "stub",
    .capabilities = CA_CAP_PENDING,
    .create = stub_create,
    .submit = stub_submit,
    .poll = stub_poll,
    .chain = stub_chain
};

static apr_status_t stub_verify(void *instance, const policy_tx_t *tx,
                                policy_attributes_t *attributes, outcome_t *out,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)attributes;
    (void)instance, (void)tx, (void)log;
    world.verifies++;
    if (world.verify_result == OUTCOME_REFUSED)
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "stub-no",
                       "Policy says no.", p, "no");
    if (world.verify_result == OUTCOME_UNAVAILABLE)
        outcome_unavailable(out, "stub-down", apr_time_from_sec(9), p, "down");
    return world.verify;
}

static apr_status_t stub_notify(void *instance, const policy_tx_t *tx,
                                const policy_event_t *event, const char **news, outcome_t *out,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)news;
    (void)instance, (void)tx, (void)log;
    world.notifies++;
    if (world.notify != APR_SUCCESS && event->event == POLICY_EVENT_ISSUED)
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "stub-forbids",
                       "Policy forbids it.", p, "no");
    return world.notify;
}

static const policy_provider_t stub_policy = {
    .name = "stub",
    .verify = stub_verify,
    .notify = stub_notify
};

/* ---- a service */

/* The challenge provider of the real chain. */
static const policy_provider_t *challenge_provider(void)
{
    int i;

    for (i = 0; policy_builtin[i]; i++) {
        if (strcmp(policy_builtin[i]->name, "challenge") == 0)
            return policy_builtin[i];
    }
    ck_abort_msg("no policy 'challenge'");
    return NULL;
}

void server_fixture_setup(void)
{
    apr_pool_t *p;
    scep_service_t *service;
    policy_config_t *policy_config = &world.policy_config;

    fixture_setup();
    p = fixture_pool();
    memset(&world, 0, sizeof(world));
    world.fixture = scep_fixture_make(p);
    world.ca = CA_ISSUED;
    service = &world.fixture->service;

    policy_config->service = service->name;
    policy_config->store = store_fixture_open(KIND_SQLITE, p);
    policy_config->state_directory = fixture_directory(p);
    policy_config->secret_may_be_made = 1;
    policy_config->lifetime = policy_config->retention = apr_time_from_sec(600);
    policy_config->length = 8;
    policy_config->max = 100;
    policy_config->uses = 1;
    policy_config->attempts = 3;
    policy_config->lease = apr_time_from_sec(60);
    service->policy = policy_make(policy_config, p);
    ck_assert_ptr_null(policy_add(service->policy, challenge_provider(), 0, NULL, p));
    ck_assert_ptr_null(policy_add(service->policy, &stub_policy, 0, NULL, p));
    ck_assert_ptr_null(policy_prepare(service->policy, geteuid(), getegid(), NULL, p));
    ck_assert_int_eq(policy_child_init(service->policy, p), APR_SUCCESS);

    world.ca_provider = &stub_ca;
    world.ca_config.service = service->name;
    ck_assert_ptr_null(ca_make(&service->ca, &stub_ca, 0, NULL, &world.ca_config, p));
    ck_assert_ptr_null(scep_service_prepare(service, NULL, p));

    world.ctx.service = service;
    world.ctx.log = fixture_log(p);
    world.ctx.pool = p;
}

const char *server_fixture_challenge(void)
{
    policy_mint_t want = { "MDM", "", NULL, "127.0.0.1" };
    policy_challenge_t *challenge;
    outcome_t out;

    ck_assert_int_eq(policy_generate_challenge(world.ctx.service->policy, &want, &challenge, &out,
                                               world.ctx.log, world.ctx.pool), APR_SUCCESS);
    return challenge->text;
}

scep_response_t *server_fixture_process(int is_post, const char *args, const crypt_buf_t *body)
{
    scep_request_t request;
    scep_response_t *response = NULL;

    memset(&request, 0, sizeof(request));
    request.is_post = is_post;
    request.args = args;
    if (body)
        request.body = *body;
    request.client_address = "127.0.0.1";
    request.user_agent = "";
    request.arrived = apr_time_now();
    ck_assert_int_eq(scep_server_process(&response, &world.ctx, &request), APR_SUCCESS);
    ck_assert_ptr_nonnull(response);
    return response;
}

scep_response_t *server_fixture_post(const crypt_buf_t *message)
{
    return server_fixture_process(1, "operation=PKIOperation", message);
}

crypt_buf_t server_fixture_request(const char *challenge)
{
    scep_fixture_csr_t csr;
    scep_fixture_message_t want;
    crypt_buf_t plain;

    memset(&csr, 0, sizeof(csr));
    memset(&want, 0, sizeof(want));
    csr.challenge = challenge;
    plain = scep_fixture_csr(world.ctx.pool, &csr);
    want.plain = &plain;
    return scep_fixture_message(world.fixture, &want);
}

scep_fixture_reply_t *server_fixture_certrep(const scep_response_t *response, const char *status)
{
    scep_fixture_reply_t *reply;

    ck_assert_msg(response->http_status == 200, "%d %s: %s", response->http_status,
                  response->trace.outcome.reason, response->trace.outcome.detail);
    ck_assert_str_eq(response->content_type, SCEP_TYPE_MESSAGE);
    reply = scep_fixture_open(world.fixture, &response->body, NULL, NULL);
    ck_assert_msg(strcmp(reply->status, status) == 0, "status %s, %s: %s", reply->status,
                  response->trace.outcome.reason, response->trace.outcome.detail);
    ck_assert_str_eq(reply->transaction_id, response->trace.transaction_id);
    return reply;
}
