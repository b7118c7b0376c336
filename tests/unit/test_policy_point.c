/* SPDX-License-Identifier: Apache-2.0 */
/* A registration point: its messages, and what two fronts get and tell. */
#include "../../policy/policy_point.h"
#include "policy_fixture.h"
#include <apr_strings.h>
#include <openssl/evp.h>
#include <string.h>

Suite *test_policy_point_suite(void);

static policy_fixture_t *f;
static policy_request_t request;
static policy_attributes_t attributes;
static policy_tx_t *tx;
static X509 *issued, *other_key;

static void setup(void)
{
    fixture_certificate_t want = {0};

    policy_fixture_setup();
    f = policy_fixture();
    f->cfg.hold = apr_time_from_sec(60);
    ck_assert_ptr_null(policy_fixture_add("challenge", NULL));
    policy_fixture_start();
    want.key = fixture_rsa(0);
    issued = fixture_certificate(f->p, &want);
    want.key = fixture_rsa(1);
    other_key = fixture_certificate(f->p, &want);
}

/* A new challenge. */
static const char *mint(const char *params)
{
    policy_mint_t order = {"mdm", "", params, "192.0.2.9"};
    policy_challenge_t *challenge = NULL;

    ck_assert_int_eq(policy_generate_challenge(f->policy, &order, &challenge, &f->out, f->sink,
                                               f->p),
                     APR_SUCCESS);
    return challenge->text;
}

/* Makes the request that all calls are about until the next. */
static void ask_for(const char *challenge)
{
    policy_point_message_t message = {0};

    policy_fixture_request(challenge, NULL);
    message.transaction_id = f->request.transaction_id;
    ck_assert_int_eq(policy_point_request(&request, &message, f->request.csr, "Device", "front 1",
                                          f->p),
                     APR_SUCCESS);
}

/* VerifyRequest of a front. */
static apr_status_t verify(const char *front)
{
    request.holder = front;
    return policy_point_verify(&tx, &attributes, f->policy, &request, &f->out, f->sink, f->p);
}

/* DER of a certificate. */
static crypt_buf_t der_of(X509 *cert)
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    crypt_buf_t buf = {apr_pmemdup(f->p, der, (apr_size_t)len), (apr_size_t)len};

    OPENSSL_free(der);
    return buf;
}

/* Notify of a front. */
static apr_status_t notify(const char *front, policy_event_e event, X509 *cert)
{
    policy_point_message_t message = {0};

    request.holder = front;
    message.event = event;
    message.hresult = OUTCOME_HR_NONE;
    message.error = "";
    message.certificate = cert;
    if (cert)
        message.certificate_der = der_of(cert);
    return policy_point_notify(&tx, f->policy, &request, &message, &f->out, f->sink, f->p);
}

/* Whether the last call was refused for that reason. */
static void refused(const char *reason)
{
    ck_assert_int_eq(f->out.result, OUTCOME_REFUSED);
    ck_assert_msg(strcmp(f->out.reason, reason) == 0, "%s, not %s", f->out.reason, reason);
}

START_TEST(yes_and_its_end)
{
    const char *challenge = mint("{\"device\":\"d1\",\"user\":\"u1\"}");

    ask_for(challenge);
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    ck_assert_str_eq(attributes.device, "d1");
    ck_assert_str_eq(attributes.user, "u1");
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
    /* a lost answer */
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
    /* ended otherwise */
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_REFUSED, NULL), APR_EACCES);
    refused("not-held");
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_PENDING, NULL), APR_EACCES);
    ck_assert_int_eq(verify("front 1"), APR_EACCES);
    refused("already-issued");
    ask_for(challenge);
    ck_assert_int_eq(verify("front 1"), APR_EACCES);
    refused("challenge-used");
}
END_TEST

/* The store's record of the certificate that front 1 tells of. */
static const char *record_of(void)
{
    store_result_e result;
    store_tx_t kept;

    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
    ck_assert_int_eq(store_find(f->cfg.store, "corp", tx->tx_key, &result, &kept, f->p),
                     APR_SUCCESS);
    return kept.record;
}

/* The challenge says whose it is; the front's word has to agree, and counts where it is silent. */
START_TEST(owner)
{
    const char *record;

    ask_for(mint("{\"device\":\"d1\",\"user\":\"anna\"}"));
    request.device = "D1";
    request.user = "Anna";
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    ck_assert_str_eq(attributes.device, "d1");
    record = record_of();
    ck_assert_ptr_nonnull(strstr(record, "\"device\":\"d1\",\"user\":\"anna\""));
    ck_assert_str_eq(tx->attributes.user, "anna");
    ask_for(mint("{\"device\":\"d1\"}"));
    request.user = "bob";
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    ck_assert_str_eq(attributes.user, "bob");
    record = record_of();
    ck_assert_ptr_nonnull(strstr(record, "\"device\":\"d1\",\"user\":\"bob\""));
}
END_TEST

START_TEST(somebody_elses)
{
    const char *challenge = mint("{\"device\":\"d1\",\"user\":\"anna\"}");
    int i;

    for (i = 0; i < 2; i++) {
        ask_for(challenge);
        request.device = i == 0 ? "d2" : "d1";
        request.user = "bob";
        ck_assert_int_eq(verify("front 1"), APR_EACCES);
        refused(i == 0 ? "device-mismatch" : "user-mismatch");
        ck_assert_int_eq(f->out.phase, OUTCOME_PHASE_PERMISSION);
        ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_EACCES);
    }
}
END_TEST

START_TEST(asked_again)
{
    ask_for(mint(NULL));
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
}
END_TEST

START_TEST(two_fronts)
{
    const char *challenge = mint(NULL);
    policy_request_t first;

    ask_for(challenge);
    first = request;
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    ck_assert_int_ne(verify("front 2"), APR_SUCCESS);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(notify("front 2", POLICY_EVENT_ISSUED, issued), APR_EACCES);
    refused("not-held");
    /* the same challenge in another request */
    ask_for(challenge);
    ck_assert_int_ne(verify("front 2"), APR_SUCCESS);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    request = first;
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
}
END_TEST

START_TEST(taken_over)
{
    f->cfg.hold = apr_time_from_msec(1);
    ask_for(mint(NULL));
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    apr_sleep(apr_time_from_msec(20));
    f->cfg.hold = apr_time_from_sec(60);
    ck_assert_int_eq(verify("front 2"), APR_SUCCESS);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_EACCES);
    refused("not-held");
    ck_assert_int_eq(notify("front 2", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
}
END_TEST

START_TEST(late_but_nobody_else_came)
{
    f->cfg.hold = apr_time_from_msec(1);
    ask_for(mint(NULL));
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    apr_sleep(apr_time_from_msec(20));
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
}
END_TEST

START_TEST(another_certificate)
{
    ask_for(mint(NULL));
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, other_key), APR_EACCES);
    refused("certificate-key");
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
}
END_TEST

START_TEST(two_certificates)
{
    fixture_certificate_t want = {0};

    want.key = fixture_rsa(0);
    ask_for(mint(NULL));
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, fixture_certificate(f->p, &want)),
                     APR_EACCES);
    refused("not-held");
}
END_TEST

START_TEST(unknown)
{
    static const policy_event_e events[] = {POLICY_EVENT_ISSUED, POLICY_EVENT_PENDING,
                                            POLICY_EVENT_REFUSED, POLICY_EVENT_TRANSIENT};

    ask_for(mint(NULL));
    ck_assert_int_eq(notify("front 1", events[_i],
                            events[_i] == POLICY_EVENT_ISSUED ? issued : NULL),
                     APR_EACCES);
    refused("not-held");
}
END_TEST

START_TEST(failure_counts)
{
    const char *challenge = mint(NULL);
    int i;

    for (i = 0; i < 3; i++) {
        ask_for(challenge);
        ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
        ck_assert_int_eq(notify("front 1", POLICY_EVENT_REFUSED, NULL), APR_SUCCESS);
        ck_assert_int_eq(notify("front 1", POLICY_EVENT_REFUSED, NULL), APR_SUCCESS);
        ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_EACCES);
    }
    ask_for(challenge);
    ck_assert_int_eq(verify("front 1"), APR_EACCES);
    refused("challenge-burned");
}
END_TEST

START_TEST(nobody_to_blame)
{
    const char *challenge = mint(NULL);
    int i;

    for (i = 0; i < 5; i++) {
        ask_for(challenge);
        ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
        ck_assert_int_eq(notify("front 1", POLICY_EVENT_TRANSIENT, NULL), APR_SUCCESS);
    }
    ck_assert_int_eq(verify("front 2"), APR_SUCCESS);
}
END_TEST

START_TEST(pending)
{
    const char *challenge = mint(NULL);
    policy_request_t first;

    ask_for(challenge);
    ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_PENDING, NULL), APR_SUCCESS);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_PENDING, NULL), APR_SUCCESS);
    apr_sleep(apr_time_from_msec(20));
    /* its challenge stays held */
    first = request;
    ask_for(challenge);
    ck_assert_int_ne(verify("front 1"), APR_SUCCESS);
    refused("challenge-held");
    request = first;
    /* and the request the front's: no other may end it, nor say yes where a person has to */
    ck_assert_int_ne(verify("front 2"), APR_SUCCESS);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(notify("front 2", POLICY_EVENT_PENDING, NULL), APR_EACCES);
    ck_assert_int_eq(notify("front 2", POLICY_EVENT_REFUSED, NULL), APR_EACCES);
    ck_assert_int_eq(notify("front 2", POLICY_EVENT_ISSUED, issued), APR_EACCES);
    refused("not-held");
    if (_i) { /* the front's person approved */
        ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
        ck_assert_int_eq(verify("front 1"), APR_SUCCESS);
    }
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_SUCCESS);
    ck_assert_int_eq(verify("front 1"), APR_EACCES);
    refused("already-issued");
}
END_TEST

START_TEST(no)
{
    ask_for("0123456789ABCDEF");
    ck_assert_int_eq(verify("front 1"), APR_EACCES);
    refused("challenge-unknown");
    ck_assert_int_eq(f->out.phase, OUTCOME_PHASE_CHALLENGE);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_EACCES);
    ask_for(mint("{\"subject\":\"CN=nobody\"}"));
    ck_assert_int_eq(verify("front 1"), APR_EACCES);
    refused("bound-subject");
    ck_assert_int_eq(f->out.phase, OUTCOME_PHASE_REQUEST);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_EACCES);
    refused("not-held");
    ask_for(NULL);
    ck_assert_int_eq(verify("front 1"), APR_EACCES);
    refused("challenge-missing");
}
END_TEST

START_TEST(approval_is_no_yes)
{
    static const apr_array_header_t all = {0};

    f->cfg.approval = &all;
    ask_for(mint(NULL));
    ck_assert_int_ne(verify("front 1"), APR_SUCCESS);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(notify("front 1", POLICY_EVENT_ISSUED, issued), APR_EACCES);
}
END_TEST

/* Base64 of bytes. */
static const char *base64(const crypt_buf_t *bytes)
{
    char *text = apr_palloc(f->p, bytes->len * 2 + 8);

    EVP_EncodeBlock((unsigned char *)text, bytes->data, (int)bytes->len);
    return text;
}

/* Reads a message of that text; the error. */
static const char *read_text(policy_point_message_t **message, int is_notify, const char *text)
{
    crypt_buf_t body = {(const unsigned char *)text, strlen(text)};

    return policy_point_read(message, is_notify, &body, f->p);
}

#define QUESTION "\"version\":1,\"transactionId\":\"t1\",\"certificateRequest\":\"MAA=\","
#define ADDRESS "\"clientAddress\":\"192.0.2.1\""

/* @: a certificate; !: a long text. */
static const struct {
    int notify;
    const char *text;
    int good;
} messages[] = {
    {0, "{" QUESTION ADDRESS "}", 1},
    {0, "{" QUESTION ADDRESS ",\"template\":\"Device\",\"userAgent\":\"x\"}", 1},
    {0, "{" QUESTION "\"clientAddress\":\"2001:db8::1\"}", 1},
    {0, "{" QUESTION ADDRESS ",\"signingCertificate\":\"@\"}", 1},
    {0, "{" QUESTION ADDRESS ",\"signingCertificate\":\"MAA=\"}", 0},
    {0, "{" QUESTION ADDRESS ",\"signingCertificate\":\"@AAAA\"}", 0},
    {0, "{" QUESTION ADDRESS ",\"signingCertificate\":null}", 0},
    {0, "{" QUESTION "\"clientAddress\":\"host\"}", 0},
    {0, "{" QUESTION "\"clientAddress\":\"192.0.2.1 \"}", 0},
    {0, "{" QUESTION "\"clientAddress\":1}", 0},
    {0, "{" QUESTION "\"template\":\"Device\"}", 0},
    {0, "{" QUESTION ADDRESS ",\"more\":1}", 0},
    {0, "{" QUESTION ADDRESS ",\"disposition\":\"success\"}", 0},
    {0, "{" QUESTION ADDRESS "," ADDRESS "}", 0},
    {0, "{" QUESTION ADDRESS ",\"template\":\"\"}", 0},
    {0, "{" QUESTION ADDRESS ",\"template\":\"!\"}", 0},
    {0, "{" QUESTION ADDRESS ",\"template\":\"a\\u0007\"}", 0},
    {0, "{" QUESTION ADDRESS ",\"userAgent\":\"!!!!!!!!!!!\"}", 0},
    {0, "{" QUESTION ADDRESS "} ", 1},
    {0, "{" QUESTION ADDRESS "}{", 0},
    {0, "[]", 0},
    {0, "", 0},
    {0, "true", 0},
    {0, "{", 0},
    {0, "{\"version\":2,\"transactionId\":\"t\",\"certificateRequest\":\"MAA=\"," ADDRESS "}", 0},
    {0, "{\"version\":\"1\",\"transactionId\":\"t\",\"certificateRequest\":\"MAA=\"," ADDRESS "}",
     0},
    {0, "{\"version\":1,\"transactionId\":\"\",\"certificateRequest\":\"MAA=\"," ADDRESS "}", 0},
    {0, "{\"version\":1,\"transactionId\":\"a\\nb\",\"certificateRequest\":\"MAA=\"," ADDRESS "}",
     0},
    {0, "{\"version\":1,\"transactionId\":\"a\\u0000b\",\"certificateRequest\":\"MAA=\"," ADDRESS
        "}", 0},
    {0, "{\"version\":1,\"transactionId\":\"!!!\",\"certificateRequest\":\"MAA=\"," ADDRESS "}", 0},
    {0, "{\"version\":1,\"transactionId\":\"t\",\"certificateRequest\":\"\"," ADDRESS "}", 0},
    {0, "{\"version\":1,\"transactionId\":\"t\",\"certificateRequest\":\"MAA\"," ADDRESS "}", 0},
    {0, "{\"version\":1,\"transactionId\":\"t\",\"certificateRequest\":\"M=A=\"," ADDRESS "}", 0},
    {0, "{\"version\":1,\"transactionId\":\"t\",\"certificateRequest\":\"====\"," ADDRESS "}", 0},
    {0, "{\"version\":1,\"transactionId\":\"t\",\"certificateRequest\":\" MAA\"," ADDRESS "}", 0},
    {0, "{\"version\":1,\"transactionId\":\"t\",\"certificateRequest\":[]," ADDRESS "}", 0},
    {1, "{" QUESTION "\"disposition\":\"failure\"}", 1},
    {1, "{" QUESTION "\"disposition\":\"failure\",\"hresult\":2147942405,\"errorDescription\":"
        "\"no\"}", 1},
    {1, "{" QUESTION "\"disposition\":\"pending\"}", 1},
    {1, "{" QUESTION "\"disposition\":\"success\",\"certificate\":\"@\"}", 1},
    {1, "{" QUESTION "\"disposition\":\"success\"}", 0},
    {1, "{" QUESTION "\"disposition\":\"failure\",\"certificate\":\"@\"}", 0},
    {1, "{" QUESTION "\"disposition\":\"success\",\"certificate\":\"MAA=\"}", 0},
    {1, "{" QUESTION "\"disposition\":\"Success\",\"certificate\":\"@\"}", 0},
    {1, "{" QUESTION "\"disposition\":0}", 0},
    {1, "{" QUESTION "\"disposition\":\"failure\",\"hresult\":-1}", 0},
    {1, "{" QUESTION "\"disposition\":\"failure\",\"hresult\":4294967296}", 0},
    {1, "{" QUESTION "\"disposition\":\"failure\",\"hresult\":\"1\"}", 0},
    {1, "{" QUESTION "\"disposition\":\"failure\",\"hresult\":1.5}", 0},
    {1, "{" QUESTION "\"disposition\":\"failure\",\"errorDescription\":\"!!!\"}", 0},
    {1, "{" QUESTION "\"disposition\":\"failure\"," ADDRESS "}", 0},
    {1, "{" QUESTION ADDRESS "}", 0},
    {0, "{" QUESTION ADDRESS ",\"device\":\"d1\",\"user\":\"a-b\"}", 1},
    {1, "{" QUESTION "\"disposition\":\"pending\",\"device\":\"d1\",\"user\":\"a\"}", 1},
    {0, "{" QUESTION ADDRESS ",\"device\":\"\"}", 0},
    {0, "{" QUESTION ADDRESS ",\"device\":7}", 0},
    {0, "{" QUESTION ADDRESS ",\"device\":\"a\",\"device\":\"a\"}", 0},
    {0, "{" QUESTION ADDRESS ",\"user\":\"a\\nb\"}", 0},
    {1, "{" QUESTION "\"disposition\":\"pending\",\"user\":\"!!!\"}", 0}};

START_TEST(messages_are_read)
{
    policy_point_message_t *message;
    crypt_buf_t der = der_of(issued);
    const char *in = messages[_i].text, *text = "", *error;

    for (; *in; in++) {
        if (*in == '@')
            text = apr_pstrcat(f->p, text, base64(&der), NULL);
        else if (*in == '!')
            text = apr_psprintf(f->p, "%s%0100d", text, 0);
        else
            text = apr_psprintf(f->p, "%s%c", text, *in);
    }
    error = read_text(&message, messages[_i].notify, text);
    ck_assert_msg((error == NULL) == messages[_i].good, "%s: %s", text, error ? error : "is taken");
    ck_assert_int_eq(message != NULL, messages[_i].good);
    if (message)
        ck_assert_int_eq(message->request.len, 2);
}
END_TEST

START_TEST(dispositions)
{
    policy_point_message_t *message;

    ck_assert_ptr_null(read_text(&message, 1, "{" QUESTION "\"disposition\":\"failure\","
                                              "\"hresult\":2147944122}"));
    ck_assert_int_eq(message->event, POLICY_EVENT_TRANSIENT);
    ck_assert_ptr_null(read_text(&message, 1, "{" QUESTION "\"disposition\":\"failure\","
                                              "\"hresult\":2147942405}"));
    ck_assert_int_eq(message->event, POLICY_EVENT_REFUSED);
    ck_assert_int_eq((unsigned)message->hresult, 0x80070005U);
    ck_assert_ptr_null(read_text(&message, 1, "{" QUESTION "\"disposition\":\"pending\"}"));
    ck_assert_int_eq(message->event, POLICY_EVENT_PENDING);
}
END_TEST

START_TEST(long_bodies)
{
    crypt_buf_t body;
    policy_point_message_t *message;
    char *text = apr_palloc(f->p, POLICY_POINT_BODY_MAX + 1);

    memset(text, ' ', POLICY_POINT_BODY_MAX + 1);
    body.data = (unsigned char *)text;
    body.len = POLICY_POINT_BODY_MAX + 1;
    ck_assert_ptr_nonnull(policy_point_read(&message, 0, &body, f->p));
    memset(text, '[', POLICY_POINT_BODY_MAX);
    body.len = POLICY_POINT_BODY_MAX;
    ck_assert_ptr_nonnull(policy_point_read(&message, 0, &body, f->p));
}
END_TEST

Suite *test_policy_point_suite(void)
{
    Suite *s = suite_create("policy_point");
    TCase *tc = tcase_create("point");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, yes_and_its_end);
    tcase_add_test(tc, owner);
    tcase_add_test(tc, somebody_elses);
    tcase_add_test(tc, asked_again);
    tcase_add_test(tc, two_fronts);
    tcase_add_test(tc, taken_over);
    tcase_add_test(tc, late_but_nobody_else_came);
    tcase_add_test(tc, another_certificate);
    tcase_add_test(tc, two_certificates);
    tcase_add_loop_test(tc, unknown, 0, 4);
    tcase_add_test(tc, failure_counts);
    tcase_add_test(tc, nobody_to_blame);
    tcase_add_loop_test(tc, pending, 0, 2);
    tcase_add_test(tc, no);
    tcase_add_test(tc, approval_is_no_yes);
    tcase_add_loop_test(tc, messages_are_read, 0, (int)(sizeof(messages) / sizeof(messages[0])));
    tcase_add_test(tc, dispositions);
    tcase_add_test(tc, long_bodies);
    suite_add_tcase(s, tc);
    return s;
}
