/* SPDX-License-Identifier: Apache-2.0 */
/* See fuzz_world.h. */
#include "fuzz_world.h"
#include "fuzz_keys.h"

#include <apr_general.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define VALID_FROM "200101000000Z"
#define VALID_TO "491231235959Z"

const char *fuzz_answer = "";
fuzz_world_t fuzz_world;

/* What begin sets back to. */
static fuzz_store_t first_store;
static scep_service_t first_service;
static long next_serial = FUZZ_WORLD_SERIAL;

static apr_pool_t *root;
static ca_config_t ca_config;
static crypt_buf_t crl_der;

/* ---- a CA */

static const char *stub_create(void **pinstance, const settings_t *settings, const ca_config_t *cfg,
                               apr_pool_t *p)
{
    (void)settings, (void)cfg, (void)p;
    *pinstance = &fuzz_world;
    return NULL;
}

static apr_status_t stub_chain(void *instance, STACK_OF(X509) **pchain, const log_sink_t *log,
                               apr_pool_t *p)
{
    STACK_OF(X509) *chain = sk_X509_new_null();

    (void)instance, (void)log;
    X509_add_cert(chain, fuzz_world.fixture->certs[SCEP_FIXTURE_CA], X509_ADD_FLAG_UP_REF);
    *pchain = crypt_chain_own(chain, p);
    return APR_SUCCESS;
}

/* A certificate of the CA for key and the CSR's names. */
static X509 *issue(const csr_t *csr, EVP_PKEY *key, apr_pool_t *p)
{
    X509 *cert = crypt_x509_own(X509_new(), p);
    X509_NAME *issuer = X509_get_subject_name(fuzz_world.fixture->certs[SCEP_FIXTURE_CA]);
    int san = X509v3_get_ext_by_NID(csr->extensions, NID_subject_alt_name, -1);

    FUZZ_CHECK(san < 0 || X509_add_ext(cert, X509v3_get_ext(csr->extensions, san), -1));
    FUZZ_CHECK(X509_set_version(cert, X509_VERSION_3) &&
               ASN1_INTEGER_set(X509_get_serialNumber(cert), next_serial++) &&
               ASN1_TIME_set_string(X509_getm_notBefore(cert), VALID_FROM) &&
               ASN1_TIME_set_string(X509_getm_notAfter(cert), VALID_TO) &&
               X509_set_pubkey(cert, key) && X509_set_subject_name(cert, csr->subject) &&
               X509_set_issuer_name(cert, issuer) &&
               X509_sign(cert, scep_fixture_key(SCEP_FIXTURE_CA), EVP_sha256()) > 0);
    return cert;
}

/* The CA is asked only for what policy granted for a transaction that is held. */
static void check_grant(const ca_request_t *request)
{
    const grant_t *grant = request->grant;
    const store_tx_t *tx = NULL;
    int i;

    for (i = 0; i < fuzz_world.store.n; i++) {
        if (strcmp(fuzz_world.store.txs[i].tx.tx_key, grant_tx_key(grant)) == 0)
            tx = &fuzz_world.store.txs[i].tx;
    }
    FUZZ_CHECK(tx && strcmp(tx->state, "inflight") == 0);
    FUZZ_CHECK(memcmp(grant_csr_digest(grant), request->csr->digest,
                      sizeof(request->csr->digest)) == 0);
    fuzz_world.submits++;
    if (!*tx->challenge_id)
        fuzz_world.submits_without_challenge++;
}

static apr_status_t stub_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)instance, (void)log;
    check_grant(request);
    answer->cookie = "cookie";
    answer->retry_after = apr_time_from_sec(7);
    switch (fuzz_world.ca) {
    case FUZZ_CA_NO_LEAF:
        answer->result = CA_ISSUED;
        break;
    case FUZZ_CA_ISSUES:
        answer->result = CA_ISSUED;
        answer->leaf = issue(request->csr, request->csr->key, p);
        break;
    case FUZZ_CA_OTHER_KEY:
        answer->result = CA_ISSUED;
        answer->leaf = issue(request->csr, scep_fixture_key(SCEP_FIXTURE_SIGNER), p);
        break;
    case FUZZ_CA_WAITS:
        answer->result = CA_PENDING;
        break;
    case FUZZ_CA_REJECTS:
        answer->result = CA_REJECTED;
        outcome_refuse(&answer->outcome, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT,
                       "ca-no", "The CA says no.", p, "no");
        break;
    case FUZZ_CA_BROKEN:
        return APR_EGENERAL;
    default:
        answer->result = CA_RETRY;
        answer->unknown = fuzz_world.ca == FUZZ_CA_UNKNOWN;
        outcome_unavailable(&answer->outcome, "ca-down", apr_time_from_sec(7), p, "down");
        break;
    }
    return APR_SUCCESS;
}

static apr_status_t stub_poll(void *instance, const ca_request_t *request, const char *cookie,
                              ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    FUZZ_CHECK(strcmp(cookie, "cookie") == 0);
    return stub_submit(instance, request, answer, log, p);
}

static apr_status_t stub_crl(void *instance, crypt_buf_t *der, const char **error, apr_pool_t *p)
{
    (void)instance, (void)error, (void)p;
    switch (fuzz_world.crl) {
    case FUZZ_CRL_NONE: return APR_ENOTIMPL;
    case FUZZ_CRL_BROKEN: return APR_EGENERAL;
    default: break;
    }
    *der = crl_der;
    if (fuzz_world.crl == FUZZ_CRL_GARBAGE)
        der->len--;
    return APR_SUCCESS;
}

static const ca_provider_t stub_ca = {
    .name = "stub",
    .capabilities = CA_CAP_PENDING,
    .create = stub_create,
    .submit = stub_submit,
    .poll = stub_poll,
    .chain = stub_chain,
    .crl = stub_crl
};

/* ---- a policy */

static apr_status_t stub_verify(void *instance, const policy_tx_t *tx,
                                policy_attributes_t *attributes, outcome_t *out,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)attributes;
    (void)instance, (void)tx, (void)log;
    if (fuzz_world.verify == OUTCOME_SUCCESS)
        return APR_SUCCESS;
    if (fuzz_world.verify == OUTCOME_REFUSED)
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "stub-no",
                       "Policy says no.", p, "no");
    else
        outcome_unavailable(out, "stub-down", apr_time_from_sec(9), p, "down");
    return APR_EACCES;
}

static apr_status_t stub_notify(void *instance, const policy_tx_t *tx,
                                const policy_event_t *event, const char **news, outcome_t *out,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)news;
    (void)instance, (void)tx, (void)log;
    if (!fuzz_world.forbid || event->event != POLICY_EVENT_ISSUED)
        return APR_SUCCESS;
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_ACCESS_DENIED, "stub-forbids",
                   "Policy forbids it.", p, "no");
    return APR_EACCES;
}

static const policy_provider_t stub_policy = {
    .name = "stub",
    .verify = stub_verify,
    .notify = stub_notify
};

/* The challenge provider of the real chain. */
static const policy_provider_t *challenge_provider(void)
{
    int i;

    for (i = 0; policy_builtin[i] && strcmp(policy_builtin[i]->name, "challenge") != 0; i++)
        continue;
    FUZZ_CHECK(policy_builtin[i] != NULL);
    return policy_builtin[i];
}

/* ---- the service, made once */

/* A certificate of that subject; issuer NULL: of itself. */
static X509 *certificate(const char *subject, EVP_PKEY *key, const char *issuer,
                         EVP_PKEY *issuer_key, long serial)
{
    scep_fixture_cert_t want = { subject, issuer, key, issuer_key, serial, 0, issuer == NULL };

    return scep_fixture_certificate(root, &want);
}

/* The CA's CRL, which names one certificate. */
static void make_crl(void)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *from = ASN1_TIME_new(), *to = ASN1_TIME_new();
    unsigned char *der = NULL;
    int len;

    FUZZ_CHECK(ASN1_TIME_set_string(from, VALID_FROM) && ASN1_TIME_set_string(to, VALID_TO) &&
               X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(fuzz_world.revoked)) &&
               X509_REVOKED_set_revocationDate(entry, from) &&
               X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
               X509_CRL_set_issuer_name(crl, X509_get_issuer_name(fuzz_world.revoked)) &&
               X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, to) &&
               X509_CRL_add0_revoked(crl, entry) && X509_CRL_sort(crl) &&
               X509_CRL_sign(crl, scep_fixture_key(SCEP_FIXTURE_CA), EVP_sha256()) > 0);
    len = i2d_X509_CRL(crl, &der);
    FUZZ_CHECK(len > 0);
    crl_der.data = apr_pmemdup(root, der, (apr_size_t)len);
    crl_der.len = (apr_size_t)len;
    OPENSSL_free(der);
    X509_CRL_free(crl);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
}

/* Who is there besides the fixture's parties. */
static void make_parties(void)
{
    EVP_PKEY *device = scep_fixture_key(SCEP_FIXTURE_DEVICE);
    EVP_PKEY *ca = scep_fixture_key(SCEP_FIXTURE_CA);

    fuzz_world.client = certificate("device", device, "Fixture CA", ca, FUZZ_WORLD_CLIENT_SERIAL);
    fuzz_world.revoked = certificate("device", device, "Fixture CA", ca, FUZZ_WORLD_REVOKED_SERIAL);
    fuzz_world.foreign_ca = certificate("Foreign CA", scep_fixture_key(SCEP_FIXTURE_STRANGER), NULL,
                                        NULL, 1);
    fuzz_world.foreign = X509_STORE_new();
    FUZZ_CHECK(X509_STORE_add_cert(fuzz_world.foreign, fuzz_world.foreign_ca));
    make_crl();
}

/* Writes the challenge secret into a directory of its own, for as long as it is read. */
static void prepare_policy(policy_t *policy)
{
    const char *tmp = NULL, *error;
    char *dir;
    FILE *out;

    FUZZ_CHECK(apr_temp_dir_get(&tmp, root) == APR_SUCCESS);
    dir = apr_pstrcat(root, tmp, "/fuzz-XXXXXX", NULL);
    FUZZ_CHECK(mkdtemp(dir) != NULL);
    fuzz_world.policy.secret_file = apr_pstrcat(root, dir, "/secret", NULL);
    out = fopen(fuzz_world.policy.secret_file, "w");
    FUZZ_CHECK(out && chmod(fuzz_world.policy.secret_file, 0600) == 0 && fputs(SECRET, out) >= 0 &&
               fclose(out) == 0);
    error = policy_prepare(policy, geteuid(), getegid(), NULL, root);
    unlink(fuzz_world.policy.secret_file);
    rmdir(dir);
    FUZZ_CHECK(error == NULL && policy_child_init(policy, root) == APR_SUCCESS);
}

/* The policy chain, and the name of the one challenge in the store. */
static policy_t *make_policy(void)
{
    crypt_buf_t secret = { (const unsigned char *)SECRET, strlen(SECRET) };
    apr_array_header_t *approval = apr_array_make(root, 1, sizeof(const char *));
    unsigned char mac[32];
    policy_t *policy;

    APR_ARRAY_PUSH(approval, const char *) = FUZZ_WORLD_MANUAL_TEMPLATE;
    fuzz_world.policy.service = "fixture";
    fuzz_world.policy.store = &fuzz_world.store.base;
    fuzz_world.policy.lifetime = apr_time_from_sec(600);
    fuzz_world.policy.retention = FUZZ_WORLD_RETENTION;
    fuzz_world.policy.length = 8;
    fuzz_world.policy.max = 100;
    fuzz_world.policy.uses = 1;
    fuzz_world.policy.attempts = 3;
    fuzz_world.policy.lease = fuzz_world.policy.poll_interval = apr_time_from_sec(60);
    fuzz_world.policy.approval = approval;
    fuzz_world.policy.failure_max = fuzz_world.policy.failure_max_service = 10;
    fuzz_world.policy.failure_window = apr_time_from_sec(60);
    policy = policy_make(&fuzz_world.policy, root);
    FUZZ_CHECK(policy_add(policy, challenge_provider(), 0, NULL, root) == NULL &&
               policy_add(policy, &stub_policy, 0, NULL, root) == NULL);
    prepare_policy(policy);
    FUZZ_CHECK(crypt_hmac_sha256(mac, &secret, "fixture", SCEP_FIXTURE_CHALLENGE,
                                 strlen(SCEP_FIXTURE_CHALLENGE)) == APR_SUCCESS);
    apr_cpystrn(fuzz_world.store.challenge_id, crypt_hex(mac, sizeof(mac), 0, root),
                sizeof(fuzz_world.store.challenge_id));
    return policy;
}

/* Sends a request of the device, which the store then knows as id. */
static fuzz_store_tx_t *enroll(const char *id, const char *type, const char *key_usage,
                               fuzz_ca_e ca, fuzz_signer_e signer, const char *answer)
{
    scep_fixture_csr_t csr = { NULL, NULL, SCEP_FIXTURE_CHALLENGE, key_usage, NULL, NULL, NULL };
    scep_fixture_message_t want;
    crypt_buf_t plain = scep_fixture_csr(root, &csr);
    fuzz_store_tx_t *e;

    memset(&want, 0, sizeof(want));
    want.transaction_id = id;
    want.message_type = type;
    want.plain = &plain;
    fuzz_world.ca = ca;
    fuzz_world_send(&want, signer);
    FUZZ_CHECK(strcmp(fuzz_answer, answer) == 0);
    e = fuzz_store_get(&fuzz_world.store, id);
    FUZZ_CHECK(e != NULL);
    return e;
}

/* Transactions in every state. */
static void make_transactions(void)
{
    fuzz_store_tx_t *e;

    enroll(FUZZ_WORLD_ISSUED, "19", NULL, FUZZ_CA_ISSUES, FUZZ_SIGNER_SELF, "success");
    enroll(FUZZ_WORLD_WAITS, "19", NULL, FUZZ_CA_WAITS, FUZZ_SIGNER_SELF, "pending");
    e = enroll(FUZZ_WORLD_READY, "19", NULL, FUZZ_CA_WAITS, FUZZ_SIGNER_SELF, "pending");
    e->ready = 1;
    e = enroll(FUZZ_WORLD_RENEWAL, "17", NULL, FUZZ_CA_WAITS, FUZZ_SIGNER_CLIENT, "pending");
    e->ready = 1;
    enroll(FUZZ_WORLD_MANUAL, "19", "digitalSignature", FUZZ_CA_ISSUES, FUZZ_SIGNER_SELF,
           "pending");
    e = enroll(FUZZ_WORLD_APPROVED, "19", "digitalSignature", FUZZ_CA_ISSUES, FUZZ_SIGNER_SELF,
               "pending");
    e->ready = 1;
    e->tx.decision = "approved";
    e->tx.decided_by = "officer";
    e = enroll(FUZZ_WORLD_DENIED, "19", "digitalSignature", FUZZ_CA_ISSUES, FUZZ_SIGNER_SELF,
               "pending");
    e->tx.state = "failed";
    e->tx.reason = e->tx.decision = "denied";
    e->tx.decided_by = "officer";
    e->tx.text = "Not this device.";
    enroll(FUZZ_WORLD_FAILED, "19", NULL, FUZZ_CA_REJECTS, FUZZ_SIGNER_SELF, "failure");
}

/* Frees what all inputs share: LeakSanitizer does not look into pools. */
static void tear_down(void)
{
    apr_pool_destroy(root);
    X509_STORE_free(fuzz_world.foreign);
    sk_X509_pop_free(first_service.next_certs, X509_free);
}

/* Makes what all inputs share. */
static void set_up(void)
{
    scep_service_t *service;

    apr_initialize();
    FUZZ_CHECK(atexit(tear_down) == 0);
    FUZZ_CHECK(apr_pool_create(&root, NULL) == APR_SUCCESS);
    scep_fixture_set_keys(fuzz_keys);
    fuzz_world.fixture = scep_fixture_make(root);
    fuzz_world.pool = root;
    fuzz_world.service = service = &fuzz_world.fixture->service;
    if (scep_legacy_make(&fuzz_world.legacy, SCEP_LEGACY_DES | SCEP_LEGACY_MD5, root) != NULL)
        fuzz_world.legacy = NULL;
    make_parties();
    fuzz_store_init(&fuzz_world.store);
    service->policy = make_policy();
    ca_config.service = service->name;
    FUZZ_CHECK(ca_make(&service->ca, &stub_ca, 0, NULL, &ca_config, root) == NULL &&
               ca_child_init(service->ca, root) == APR_SUCCESS);
    service->templates[CSR_USAGE_SIGNATURE] = FUZZ_WORLD_MANUAL_TEMPLATE;
    service->include_ca = service->get_cert = service->get_crl = 1;
    service->renewal.enabled = service->renewal.same_subject = 1;
    service->next_certs = sk_X509_new_null();
    FUZZ_CHECK(X509_add_cert(service->next_certs, fuzz_world.foreign_ca, X509_ADD_FLAG_UP_REF) &&
               scep_service_prepare(service, NULL, root) == NULL);
    make_transactions();
    first_store = fuzz_world.store;
    first_service = *service;
}

/* ---- for each input */

void fuzz_world_begin(const unsigned char *knobs)
{
    if (!root)
        set_up();
    FUZZ_CHECK(apr_pool_create(&fuzz_world.pool, root) == APR_SUCCESS);
    fuzz_world.fixture->pool = fuzz_world.pool;
    fuzz_world.store = first_store;
    *fuzz_world.service = first_service;
    next_serial = FUZZ_WORLD_SERIAL + 100;
    fuzz_world.store.claims = fuzz_world.store.commits = fuzz_world.store.changes = 0;
    fuzz_world.submits = fuzz_world.submits_without_challenge = 0;
    fuzz_world.ca = (fuzz_ca_e)((knobs[0] & 15) % FUZZ_CA_ANSWERS);
    fuzz_world.verify = (knobs[0] & 16) ? OUTCOME_REFUSED
                        : (knobs[0] & 32) ? OUTCOME_UNAVAILABLE : OUTCOME_SUCCESS;
    fuzz_world.forbid = (knobs[0] & 64) != 0;
    fuzz_world.limit_exempt = (knobs[0] & 128) != 0;
    fuzz_world.store.fault = (fuzz_store_fault_e)((knobs[1] & 15) % FUZZ_STORE_FAULTS);
    fuzz_world.crl = (fuzz_crl_e)((knobs[1] >> 4) & 3);
    if (knobs[1] & 64)
        fuzz_world.service->get_cert = fuzz_world.service->get_crl = 0;
    if (knobs[1] & 128)
        fuzz_world.service->include_ca = 0;
    fuzz_answer = "";
}

void fuzz_world_end(void)
{
    apr_pool_destroy(fuzz_world.pool);
    fuzz_world.pool = root;
}

/* pkiStatus of a CertRep, whose signature must be the RA's. */
static const char *read_status(const crypt_buf_t *der)
{
    const unsigned char *data = der->data;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &data, (long)der->len);
    STACK_OF(X509) *signers = sk_X509_new_null();
    ASN1_OBJECT *oid = OBJ_txt2obj(SCEP_FIXTURE_OID(3), 1);
    CMS_SignerInfo *signer;
    ASN1_STRING *status;
    const char *text;

    FUZZ_CHECK(cms && data == der->data + der->len);
    FUZZ_CHECK(sk_X509_push(signers, scep_service_signer(fuzz_world.service, 0)->cert) &&
               CMS_verify(cms, signers, NULL, NULL, NULL,
                          CMS_BINARY | CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY));
    signer = sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(cms), 0);
    status = CMS_signed_get0_data_by_OBJ(signer, oid, -3, V_ASN1_PRINTABLESTRING);
    FUZZ_CHECK(status != NULL);
    text = apr_pstrmemdup(fuzz_world.pool, (const char *)ASN1_STRING_get0_data(status),
                          (apr_size_t)ASN1_STRING_length(status));
    ASN1_OBJECT_free(oid);
    sk_X509_free(signers);
    CMS_ContentInfo_free(cms);
    ERR_clear_error();
    return text;
}

/* The word for a response. */
static const char *word_of(const scep_response_t *response)
{
    const outcome_t *outcome = &response->trace.outcome;
    const char *status;

    if (response->http_status == SCEP_NO_OPERATION)
        return "info";
    if (response->http_status != 200) {
        FUZZ_CHECK(!response->body.data && outcome->result != OUTCOME_SUCCESS);
        FUZZ_CHECK((response->retry_after > 0) == (response->http_status > 400));
        return apr_psprintf(fuzz_world.pool, "http%d", response->http_status);
    }
    FUZZ_CHECK(response->body.data && response->body.len > 0 && response->content_type);
    if (strcmp(response->content_type, SCEP_TYPE_MESSAGE) != 0)
        return "served";
    status = read_status(&response->body);
    FUZZ_CHECK(strcmp(status, outcome->result == OUTCOME_SUCCESS ? "0"
                              : outcome->result == OUTCOME_PENDING ? "3" : "2") == 0);
    return *status == '0' ? "success" : *status == '3' ? "pending" : "failure";
}

/* What must hold whatever was asked. */
static void check_response(const scep_response_t *response)
{
    const scep_trace_t *trace = &response->trace;
    const char *type = trace->message_type;
    int enrolls = strcmp(type, "PKCSReq") == 0 || strcmp(type, "RenewalReq") == 0 ||
                  strcmp(type, "CertPoll") == 0;

    FUZZ_CHECK(ERR_peek_error() == 0);
    FUZZ_CHECK(trace->operation && trace->transaction_id && trace->subject && trace->serial &&
               trace->template_name && trace->challenge_id && trace->challenge_caller &&
               trace->algorithms && trace->renews && trace->outcome.reason &&
               strlen(trace->transaction_id) <= 255);
    FUZZ_CHECK(enrolls || (fuzz_world.submits == 0 && fuzz_world.store.changes == 0));
    FUZZ_CHECK(fuzz_world.submits <= fuzz_world.store.claims);
    /* no CA is asked without a challenge, unless a certificate of ours signed */
    FUZZ_CHECK(fuzz_world.submits_without_challenge == 0 || *trace->renews);
    /* a new certificate is delivered only once it is in the store */
    if (enrolls && trace->outcome.result == OUTCOME_SUCCESS)
        FUZZ_CHECK(fuzz_world.store.commits == 1 || trace->replayed);
}

/* A log that is formatted and forgotten. */
static void forget(void *baton, log_sink_level_e level, const char *tag, const char *message)
{
    (void)baton, (void)level, (void)tag;
    FUZZ_CHECK(strlen(message) <= 1024);
}

scep_response_t *fuzz_world_process(int is_post, const char *args, const crypt_buf_t *body)
{
    static const log_sink_t log = { forget, NULL, LOG_SINK_DEBUG };
    scep_ctx_t ctx = { fuzz_world.service, &log, fuzz_world.pool };
    scep_response_t *response = NULL;
    scep_request_t request;

    memset(&request, 0, sizeof(request));
    request.is_post = is_post;
    request.args = args;
    if (body)
        request.body = *body;
    request.client_address = "192.0.2.1";
    request.user_agent = "";
    request.arrived = apr_time_now();
    request.limit_exempt = fuzz_world.limit_exempt;
    FUZZ_CHECK(scep_server_process(&response, &ctx, &request) == APR_SUCCESS && response);
    fuzz_answer = word_of(response);
    check_response(response);
    return response;
}

void fuzz_world_send(scep_fixture_message_t *want, fuzz_signer_e signer)
{
    scep_fixture_reply_t *reply;
    scep_response_t *response;
    crypt_buf_t message;
    X509 *const certs[FUZZ_SIGNERS] = {
        fuzz_world.fixture->certs[SCEP_FIXTURE_DEVICE], fuzz_world.client, fuzz_world.revoked,
        fuzz_world.fixture->certs[SCEP_FIXTURE_STRANGER]
    };

    if (!want->cert) {
        want->cert = certs[signer];
        want->key = scep_fixture_key(signer == FUZZ_SIGNER_STRANGER ? SCEP_FIXTURE_STRANGER
                                                                    : SCEP_FIXTURE_DEVICE);
    }
    message = scep_fixture_message(fuzz_world.fixture, want);
    response = fuzz_world_process(1, "operation=PKIOperation", &message);
    if (response->http_status != 200)
        return;
    reply = scep_fixture_open(fuzz_world.fixture, &response->body, want->key, want->cert);
    FUZZ_CHECK(strcmp(reply->message_type, "3") == 0 &&
               strcmp(reply->transaction_id, want->transaction_id) == 0 &&
               reply->has_content == (*reply->status == '0'));
    ERR_clear_error();
}

void fuzz_world_lookup(const unsigned char *data, size_t size, const char *message_type)
{
    const size_t head = FUZZ_WORLD_KNOBS + 1;
    scep_fixture_message_t want;
    crypt_buf_t plain;

    if (size < head)
        return;
    fuzz_world_begin(data);
    plain.data = data + head;
    plain.len = size - head;
    memset(&want, 0, sizeof(want));
    want.message_type = message_type;
    want.transaction_id = "get";
    want.plain = &plain;
    fuzz_world_send(&want, (fuzz_signer_e)(data[FUZZ_WORLD_KNOBS] % FUZZ_SIGNERS));
    FUZZ_CHECK(strcmp(fuzz_answer, "pending") != 0);
    fuzz_world_end();
}
