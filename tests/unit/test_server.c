/* SPDX-License-Identifier: Apache-2.0 */
/* scep_server_process() from the request line to the CertRep. */
#include "server_fixture.h"

#include <apr_strings.h>
#include <openssl/x509v3.h>
#include <string.h>

/* The message must be refused by CertRep for that reason, without anything being signed. */
static scep_fixture_reply_t *assert_refused(const crypt_buf_t *message, const char *reason,
                                            const char *fail_info)
{
    int submits = world.submits;
    scep_response_t *response = server_fixture_post(message);
    scep_fixture_reply_t *reply = server_fixture_certrep(response, "2");

    ck_assert_msg(strcmp(response->trace.outcome.reason, reason) == 0, "reason %s (%s), not %s",
                  response->trace.outcome.reason, response->trace.outcome.detail, reason);
    ck_assert_str_eq(reply->fail_info, fail_info);
    ck_assert_int_eq(reply->has_content, 0);
    ck_assert_int_eq(world.submits, submits);
    return reply;
}

/* ---- operations */

START_TEST(answers_operations)
{
    static const struct {
        const char *args;
        int status;
        const char *operation, *type;
    } cases[] = {
        { NULL, SCEP_NO_OPERATION, "", NULL },
        { "message=x", SCEP_NO_OPERATION, "", NULL },
        { "operation=GetCACaps", 200, "GetCACaps", SCEP_TYPE_TEXT },
        { "operation=getcacaps&message=0", 200, "GetCACaps", SCEP_TYPE_TEXT },
        { "operation=GetCACert", 200, "GetCACert", SCEP_TYPE_CA_RA_CERT },
        { "operation=GETCACERT&message=CAIdentifier", 200, "GetCACert", SCEP_TYPE_CA_RA_CERT },
        { "operation=GetNextCACert", 400, "GetNextCACert", NULL },
        { "operation=PKIOperation", 400, "PKIOperation", NULL },
        { "operation=PKIOperation&message=", 400, "PKIOperation", NULL },
        { "operation=PKIOperation&message=MIIB", 400, "PKIOperation", NULL },
        { "operation=PKIOperation&message=*", 400, "PKIOperation", NULL },
        { "operation=GetCACaps&operation=GetCACaps", 400, "", NULL }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scep_response_t *response = server_fixture_process(0, cases[i].args, NULL);

        ck_assert_msg(response->http_status == cases[i].status, "%s: %d", cases[i].args,
                      response->http_status);
        ck_assert_str_eq(response->trace.operation, cases[i].operation);
        if (cases[i].type) {
            ck_assert_str_eq(response->content_type, cases[i].type);
            ck_assert_uint_gt(response->body.len, 0);
        }
        else {
            ck_assert_uint_eq(response->body.len, 0);
        }
    }
}
END_TEST

/* Number of certificates in GetCACert's answer; each must be that of who[]. */
static void assert_ca_certs(const scep_fixture_key_e *who, int n)
{
    scep_response_t *response = server_fixture_process(0, "operation=GetCACert", NULL);
    const unsigned char *data = response->body.data;
    STACK_OF(X509) *certs = NULL;
    PKCS7 *p7 = NULL;
    int i;

    if (n == 1) {
        ck_assert_str_eq(response->content_type, SCEP_TYPE_CA_CERT);
        certs = sk_X509_new_null();
        sk_X509_push(certs, d2i_X509(NULL, &data, (long)response->body.len));
    }
    else {
        ck_assert_str_eq(response->content_type, SCEP_TYPE_CA_RA_CERT);
        p7 = d2i_PKCS7(NULL, &data, (long)response->body.len);
        ck_assert(p7 && PKCS7_type_is_signed(p7) && !p7->d.sign->contents->d.data);
        certs = p7->d.sign->cert;
    }
    ck_assert_ptr_eq(data, response->body.data + response->body.len);
    ck_assert_int_eq(sk_X509_num(certs), n);
    for (i = 0; i < n; i++)
        ck_assert_int_eq(X509_cmp(sk_X509_value(certs, i), world.fixture->certs[who[i]]), 0);
    if (!p7)
        sk_X509_pop_free(certs, X509_free);
    PKCS7_free(p7);
}

START_TEST(gives_certificates)
{
    static const scep_fixture_key_e all[] = { SCEP_FIXTURE_DECRYPTER, SCEP_FIXTURE_SIGNER,
                                              SCEP_FIXTURE_CA };
    scep_service_t *service = &world.fixture->service;
    unsigned char digest[EVP_MAX_MD_SIZE];
    const char *hex;

    assert_ca_certs(all, 3);
    service->has_ra = 0;
    ck_assert_ptr_null(scep_service_prepare(service, NULL, world.ctx.pool));
    assert_ca_certs(all + 2, 1);
    X509_digest(world.fixture->certs[SCEP_FIXTURE_CA], EVP_md5(), digest, NULL);
    hex = crypt_hex(digest, 16, 1, world.ctx.pool);
    ck_assert_str_eq(service->thumbprint, apr_psprintf(world.ctx.pool, "%.8s %.8s %.8s %.8s", hex,
                                                       hex + 8, hex + 16, hex + 24));
}
END_TEST

/* ---- enrollment */

START_TEST(enrolls)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    scep_response_t *response = server_fixture_post(&message);
    scep_fixture_reply_t *reply = server_fixture_certrep(response, "0");

    ck_assert_int_eq(sk_X509_num(reply->certs), 1);
    ck_assert_int_eq(EVP_PKEY_eq(X509_get0_pubkey(sk_X509_value(reply->certs, 0)),
                                 scep_fixture_key(SCEP_FIXTURE_DEVICE)), 1);
    ck_assert_int_eq(response->trace.replayed, 0);
    ck_assert_str_eq(response->trace.message_type, "PKCSReq");
    ck_assert_str_eq(response->trace.subject, "CN=device");
    ck_assert_str_eq(response->trace.challenge_caller, "MDM");
    ck_assert_uint_eq(strlen(response->trace.challenge_id), 12);
    ck_assert_str_eq(response->trace.serial,
                     crypt_serial_text(X509_get0_serialNumber(sk_X509_value(reply->certs, 0)),
                                       world.ctx.pool));
    ck_assert_str_eq(response->trace.algorithms, "AES-128-CBC/SHA256/RSA-2048");
    ck_assert_int_eq(world.submits, 1);
    ck_assert_int_eq(world.notifies, 1);
}
END_TEST

START_TEST(enrolls_by_get)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    char *base64 = apr_palloc(world.ctx.pool, 2 * message.len + 8);
    const char *args;

    EVP_EncodeBlock((unsigned char *)base64, message.data, (int)message.len);
    args = apr_pstrcat(world.ctx.pool, "operation=PKIOperation&message=", base64, NULL);
    server_fixture_certrep(server_fixture_process(0, args, NULL), "0");
}
END_TEST

START_TEST(enrolls_by_any_post)
{
    static const char *const args[] = { NULL, "", "operation=GetCACaps", "operation=%zz",
                                        "message=a&message=b" };
    size_t i;

    for (i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
        crypt_buf_t message = server_fixture_request(server_fixture_challenge());

        server_fixture_certrep(server_fixture_process(1, args[i], &message), "0");
    }
}
END_TEST

START_TEST(enrolls_with_ber)
{
    apr_pool_t *p = world.ctx.pool;
    scep_fixture_csr_t csr;
    scep_fixture_message_t want;
    crypt_buf_t plain, envelope, message;

    memset(&csr, 0, sizeof(csr));
    memset(&want, 0, sizeof(want));
    csr.challenge = server_fixture_challenge();
    plain = scep_fixture_csr(p, &csr);
    envelope = scep_fixture_envelope(world.fixture, &want, &plain);
    envelope = scep_fixture_ber(p, &envelope, 1);
    want.envelope = &envelope;
    message = scep_fixture_message(world.fixture, &want);
    message = scep_fixture_ber(p, &message, 0);
    server_fixture_certrep(server_fixture_post(&message), "0");
}
END_TEST

START_TEST(gives_the_same_again)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    scep_fixture_reply_t *first, *second;
    scep_response_t *response;

    first = server_fixture_certrep(server_fixture_post(&message), "0");
    response = server_fixture_post(&message);
    second = server_fixture_certrep(response, "0");
    ck_assert_int_eq(response->trace.replayed, 1);
    ck_assert_int_eq(X509_cmp(sk_X509_value(first->certs, 0), sk_X509_value(second->certs, 0)), 0);
    ck_assert_mem_ne(first->sender_nonce.data, second->sender_nonce.data, 16);
    ck_assert_int_eq(world.submits, 1);
}
END_TEST

START_TEST(adds_the_ca)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    scep_fixture_reply_t *reply;

    world.fixture->service.include_ca = 1;
    reply = server_fixture_certrep(server_fixture_post(&message), "0");
    ck_assert_int_eq(sk_X509_num(reply->certs), 2);
    ck_assert_int_eq(X509_cmp(sk_X509_value(reply->certs, 1),
                              world.fixture->certs[SCEP_FIXTURE_CA]), 0);
}
END_TEST

START_TEST(accepts_any_name_of_the_signer)
{
    scep_fixture_cert_t cert;
    scep_fixture_csr_t csr;
    scep_fixture_message_t want;
    scep_response_t *response;
    crypt_buf_t plain, message;

    /* version 1 and another subject than the CSR's: same key */
    memset(&cert, 0, sizeof(cert));
    memset(&csr, 0, sizeof(csr));
    memset(&want, 0, sizeof(want));
    cert.subject = "SCEP Protocol Certificate";
    cert.key = scep_fixture_key(SCEP_FIXTURE_DEVICE);
    cert.version1 = 1;
    want.cert = scep_fixture_certificate(world.ctx.pool, &cert);
    csr.challenge = server_fixture_challenge();
    plain = scep_fixture_csr(world.ctx.pool, &csr);
    want.plain = &plain;
    message = scep_fixture_message(world.fixture, &want);
    response = server_fixture_post(&message);
    ck_assert_int_eq(response->http_status, 200);
    ck_assert_str_eq(scep_fixture_open(world.fixture, &response->body, NULL, want.cert)->status,
                     "0");
}
END_TEST

/* ---- refusals */

START_TEST(refuses_challenges)
{
    const char *challenge = server_fixture_challenge();
    crypt_buf_t message = server_fixture_request(challenge), other;
    scep_fixture_message_t want;
    scep_fixture_csr_t csr;
    crypt_buf_t plain;

    server_fixture_certrep(server_fixture_post(&message), "0");
    other = server_fixture_request(NULL);
    assert_refused(&other, "challenge-missing", "2");
    other = server_fixture_request("0000000000000000");
    assert_refused(&other, "challenge-unknown", "2");
    /* the used one, in another transaction */
    memset(&want, 0, sizeof(want));
    memset(&csr, 0, sizeof(csr));
    csr.challenge = challenge;
    plain = scep_fixture_csr(world.ctx.pool, &csr);
    want.plain = &plain;
    want.transaction_id = "another";
    other = scep_fixture_message(world.fixture, &want);
    assert_refused(&other, "challenge-used", "2");
    ck_assert_ptr_null(strstr(fixture_log_text(world.ctx.log), challenge));
}
END_TEST

START_TEST(refuses_message_types)
{
    static const char *const types[] = { "", "0", "1", "3", "16", "18", "23", "119", "x" };
    size_t i;

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        scep_fixture_message_t want;
        crypt_buf_t message;

        memset(&want, 0, sizeof(want));
        want.message_type = types[i];
        message = scep_fixture_message(world.fixture, &want);
        assert_refused(&message, "message-type", "2");
    }
}
END_TEST

START_TEST(refuses_renewals_by_strangers)
{
    scep_fixture_message_t want;
    crypt_buf_t message;

    memset(&want, 0, sizeof(want));
    want.message_type = "17";
    message = scep_fixture_message(world.fixture, &want);
    assert_refused(&message, "renewal-signer", "2");
    ck_assert_int_eq(world.submits, 0);
}
END_TEST

START_TEST(refuses_incomplete_and_weak_messages)
{
    const scep_fixture_csr_t no_challenge = { .key = scep_fixture_ec_key() };
    const crypt_buf_t ec_csr = scep_fixture_csr(world.ctx.pool, &no_challenge);
    const struct {
        scep_fixture_message_t want;
        unsigned legacy;
        const char *reason, *fail_info;
    } cases[] = {
        { { .no_nonce = 1 }, 3, "sender-nonce", "2" },
        { { .md = EVP_md5() }, 3, "message-algorithm", "0" },
        { { .md = EVP_sha1() }, SCEP_LEGACY_3DES, "message-algorithm", "0" },
        { { .cipher = EVP_des_ede3_cbc() }, SCEP_LEGACY_SHA1, "envelope-algorithm", "0" },
        { { .key = scep_fixture_ec_key(), .plain = &ec_csr }, 3, "signer-key-type", "0" },
        { { .no_content = 1 }, 3, "envelope", "2" }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        crypt_buf_t message = scep_fixture_message(world.fixture, &cases[i].want);

        world.fixture->service.legacy = cases[i].legacy;
        assert_refused(&message, cases[i].reason, cases[i].fail_info);
        ck_assert_int_eq(world.verifies, 0);
    }
}
END_TEST

/* The CSR of the device, in a message signed by the stranger's key. */
START_TEST(refuses_another_signer)
{
    scep_fixture_csr_t csr;
    scep_fixture_message_t want;
    scep_response_t *response;
    scep_fixture_reply_t *reply;
    crypt_buf_t plain, message;

    memset(&csr, 0, sizeof(csr));
    memset(&want, 0, sizeof(want));
    csr.challenge = server_fixture_challenge();
    plain = scep_fixture_csr(world.ctx.pool, &csr);
    want.plain = &plain;
    want.key = scep_fixture_key(SCEP_FIXTURE_STRANGER);
    message = scep_fixture_message(world.fixture, &want);
    response = server_fixture_post(&message);
    reply = server_fixture_certrep(response, "2");
    ck_assert_str_eq(response->trace.outcome.reason, "signer-key");
    ck_assert_str_eq(reply->fail_info, "1");
    ck_assert_int_eq(world.submits, 0);
    /* and the challenge is still good */
    want.key = NULL;
    message = scep_fixture_message(world.fixture, &want);
    server_fixture_certrep(server_fixture_post(&message), "0");
}
END_TEST

/* A CSR with its last octet changed. */
static crypt_buf_t csr_of_wrong_signature(void)
{
    scep_fixture_csr_t want;
    crypt_buf_t csr;

    memset(&want, 0, sizeof(want));
    want.challenge = "x";
    csr = scep_fixture_csr(world.ctx.pool, &want);
    ((unsigned char *)csr.data)[csr.len - 1] ^= 1;
    return csr;
}

/* A CSR cut off before its end. */
static crypt_buf_t csr_cut_off(void)
{
    crypt_buf_t csr = csr_of_wrong_signature();

    csr.len -= 20;
    return csr;
}

/* A CSR whose key is of an algorithm that nobody knows. */
static crypt_buf_t csr_of_unknown_key(void)
{
    crypt_buf_t csr = csr_of_wrong_signature();
    unsigned char *at = (unsigned char *)csr.data;

    while (memcmp(at, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 11) != 0)
        at++;
    at[10] = 99;
    return csr;
}

static crypt_buf_t garbage(void)
{
    crypt_buf_t buf = { (const unsigned char *)"\x30 this is no certificate request", 32 };

    return buf;
}

START_TEST(is_no_oracle)
{
    crypt_buf_t (*const plains[])(void) = { garbage, csr_cut_off, csr_of_unknown_key,
                                            csr_of_wrong_signature };
    static const char *const reasons[] = { "csr-malformed", "csr-malformed", "csr-key",
                                           "csr-signature" };
    scep_fixture_reply_t *first, *reply;
    scep_fixture_message_t want;
    crypt_buf_t message, plain;
    size_t i;

    /* what cannot be decrypted at all */
    memset(&want, 0, sizeof(want));
    want.recipient = world.fixture->certs[SCEP_FIXTURE_STRANGER];
    message = scep_fixture_message(world.fixture, &want);
    first = assert_refused(&message, "envelope", "2");
    want.recipient = NULL;
    for (i = 0; i < sizeof(plains) / sizeof(plains[0]); i++) {
        plain = plains[i]();
        want.plain = &plain;
        message = scep_fixture_message(world.fixture, &want);
        reply = assert_refused(&message, reasons[i], first->fail_info);
        ck_assert_str_eq(reply->fail_info_text, first->fail_info_text);
        ck_assert_str_eq(reply->hresult, first->hresult);
    }
}
END_TEST

START_TEST(tells_of_algorithms_of_whole_requests)
{
    scep_fixture_csr_t csr;
    scep_fixture_message_t want;
    crypt_buf_t plain, message;

    memset(&csr, 0, sizeof(csr));
    memset(&want, 0, sizeof(want));
    csr.md = EVP_md5();
    plain = scep_fixture_csr(world.ctx.pool, &csr);
    want.plain = &plain;
    message = scep_fixture_message(world.fixture, &want);
    assert_refused(&message, "csr-algorithm", "0");
}
END_TEST

START_TEST(answers_malformed_with_400)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge()), none = { NULL, 0 };

    ((unsigned char *)message.data)[message.len - 1] ^= 1;
    ck_assert_int_eq(server_fixture_post(&message)->http_status, 400);
    ck_assert_int_eq(server_fixture_post(&none)->http_status, 400);
    ck_assert_int_eq(world.submits, 0);
}
END_TEST

/* ---- what policy and CA say */

START_TEST(follows_the_ca)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    scep_response_t *response;
    scep_fixture_reply_t *reply;

    /* down: nothing is lost */
    world.ca = CA_RETRY;
    response = server_fixture_post(&message);
    ck_assert_int_eq(response->http_status, 503);
    ck_assert_int_eq(response->retry_after, 7);
    ck_assert_uint_eq(response->body.len, 0);
    ck_assert_str_eq(response->trace.outcome.reason, "ca-down");
    /* no */
    world.ca = CA_REJECTED;
    response = server_fixture_post(&message);
    reply = server_fixture_certrep(response, "2");
    ck_assert_str_eq(reply->fail_info_text, "The CA says no.");
    ck_assert_int_eq(apr_strtoi64(reply->hresult, NULL, 10), OUTCOME_HR_BAD_REQUESTSUBJECT);
    /* yes, after all */
    world.ca = CA_ISSUED;
    server_fixture_certrep(server_fixture_post(&message), "0");
    ck_assert_int_eq(world.submits, 3);
}
END_TEST

START_TEST(waits_for_the_ca)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    scep_response_t *response;

    world.ca = CA_PENDING;
    response = server_fixture_post(&message);
    server_fixture_certrep(response, "3");
    ck_assert_int_eq(response->trace.outcome.result, OUTCOME_PENDING);
    response = server_fixture_post(&message);
    server_fixture_certrep(response, "3");
    ck_assert_int_eq(world.submits, 1);
}
END_TEST

START_TEST(holds_what_may_be_signed)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());

    world.ca = CA_RETRY;
    world.ca_unknown = 1;
    ck_assert_int_eq(server_fixture_post(&message)->http_status, 503);
    world.ca = CA_ISSUED;
    ck_assert_int_eq(server_fixture_post(&message)->http_status, 503);
    ck_assert_int_eq(world.submits, 1);
}
END_TEST

START_TEST(follows_policy)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    scep_response_t *response;

    world.verify = APR_EACCES;
    world.verify_result = OUTCOME_REFUSED;
    assert_refused(&message, "stub-no", "2");
    world.verify = APR_EGENERAL;
    world.verify_result = OUTCOME_UNAVAILABLE;
    response = server_fixture_post(&message);
    ck_assert_int_eq(response->http_status, 503);
    ck_assert_int_eq(response->retry_after, 9);
    /* a provider that fails without a word is no yes */
    world.verify_result = OUTCOME_SUCCESS;
    ck_assert_int_eq(server_fixture_post(&message)->http_status, 503);
    ck_assert_int_eq(world.submits, 0);
    world.verify = APR_SUCCESS;
    server_fixture_certrep(server_fixture_post(&message), "0");
}
END_TEST

/* Each refusal counts against the challenge; three are allowed. */
START_TEST(burns_the_challenge)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    int i;

    world.verify = APR_EACCES;
    world.verify_result = OUTCOME_REFUSED;
    for (i = 0; i < 3; i++)
        assert_refused(&message, "stub-no", "2");
    world.verify = APR_SUCCESS;
    assert_refused(&message, "challenge-burned", "2");
}
END_TEST

START_TEST(delivers_nothing_that_policy_forbids)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    scep_response_t *response;
    scep_fixture_reply_t *reply;

    world.notify = APR_EACCES;
    response = server_fixture_post(&message);
    reply = server_fixture_certrep(response, "2");
    ck_assert_str_eq(reply->fail_info_text, "Policy forbids it.");
    ck_assert_int_eq(reply->has_content, 0);
}
END_TEST

/* Which steps of the trace were taken, as bits of scep_step_e. */
static unsigned steps_of(const scep_trace_t *trace)
{
    unsigned steps = 0;
    int i;

    for (i = 0; i < SCEP_STEPS; i++)
        steps |= trace->steps[i] >= 0 ? 1u << i : 0;
    return steps;
}

START_TEST(traces_an_enrollment)
{
    crypt_buf_t message = server_fixture_request(server_fixture_challenge());
    const unsigned all = (1u << SCEP_STEPS) - 1, ca = 1u << SCEP_STEP_CA;
    scep_response_t *response;

    world.ctx.timed = 1;
    world.verify = APR_EACCES;
    world.verify_result = OUTCOME_REFUSED;
    response = server_fixture_post(&message);
    ck_assert_int_eq(response->trace.verdict, SCEP_VERDICT_REFUSED);
    ck_assert_uint_eq(steps_of(&response->trace), all & ~ca);
    world.verify = APR_EGENERAL;
    world.verify_result = OUTCOME_UNAVAILABLE;
    ck_assert_int_eq(server_fixture_post(&message)->trace.verdict, SCEP_VERDICT_UNKNOWN);
    world.verify = APR_SUCCESS;
    response = server_fixture_post(&message);
    ck_assert_int_eq(response->trace.verdict, SCEP_VERDICT_ALLOWED);
    ck_assert_int_eq(response->trace.notified, 1);
    ck_assert_uint_eq(steps_of(&response->trace), all);
    ck_assert_str_eq(response->trace.csr->subject_text, "CN=device");
    ck_assert_uint_gt(response->trace.certificate.len, 0);
    /* the same again asks neither policy nor CA; nothing is measured unless it is asked for */
    world.ctx.timed = 0;
    response = server_fixture_post(&message);
    ck_assert_int_eq(response->trace.verdict, SCEP_VERDICT_NONE);
    ck_assert_uint_eq(steps_of(&response->trace), 0);
    ck_assert_uint_gt(response->trace.certificate.len, 0);
    message.len /= 2;
    response = server_fixture_post(&message);
    ck_assert_int_eq(response->trace.verdict, SCEP_VERDICT_NONE);
    ck_assert_ptr_null(response->trace.csr);
    ck_assert_uint_eq(response->trace.certificate.len, 0);
}
END_TEST

Suite *test_server_suite(void);

Suite *test_server_suite(void)
{
    Suite *suite = suite_create("server");
    TCase *tcase = tcase_create("server");

    scep_fixture_init();
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, server_fixture_setup, fixture_teardown);
    tcase_add_test(tcase, answers_operations);
    tcase_add_test(tcase, gives_certificates);
    tcase_add_test(tcase, enrolls);
    tcase_add_test(tcase, enrolls_by_get);
    tcase_add_test(tcase, enrolls_by_any_post);
    tcase_add_test(tcase, enrolls_with_ber);
    tcase_add_test(tcase, gives_the_same_again);
    tcase_add_test(tcase, adds_the_ca);
    tcase_add_test(tcase, accepts_any_name_of_the_signer);
    tcase_add_test(tcase, refuses_challenges);
    tcase_add_test(tcase, refuses_message_types);
    tcase_add_test(tcase, refuses_renewals_by_strangers);
    tcase_add_test(tcase, refuses_incomplete_and_weak_messages);
    tcase_add_test(tcase, refuses_another_signer);
    tcase_add_test(tcase, is_no_oracle);
    tcase_add_test(tcase, tells_of_algorithms_of_whole_requests);
    tcase_add_test(tcase, answers_malformed_with_400);
    tcase_add_test(tcase, follows_the_ca);
    tcase_add_test(tcase, waits_for_the_ca);
    tcase_add_test(tcase, holds_what_may_be_signed);
    tcase_add_test(tcase, follows_policy);
    tcase_add_test(tcase, burns_the_challenge);
    tcase_add_test(tcase, delivers_nothing_that_policy_forbids);
    tcase_add_test(tcase, traces_an_enrollment);
    suite_add_tcase(suite, tcase);
    return suite;
}
