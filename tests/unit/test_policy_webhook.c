/* SPDX-License-Identifier: Apache-2.0 */
/* Policy "webhook": what is asked, how it is signed, and that only a clear yes is one. */
#include "http_fixture.h"
#include "policy_fixture.h"
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/hmac.h>
#include <string.h>

Suite *test_policy_webhook_suite(void);

#define SECRET "0123456789abcdef0123456789abcdef"

static policy_fixture_t *f;
static http_fixture_t *server;

static void setup(void)
{
    policy_fixture_setup();
    f = policy_fixture();
    server = http_fixture_start(f->p);
    http_fixture_answer(server, "200 OK", "", "{\"allow\":true}");
}

/* Starts a chain of this webhook: the server's path, and more words. */
static void start(const char *path, const char *word1, const char *word2)
{
    const char *file =
        fixture_file(f->p, fixture_directory(f->p), "secret", SECRET "\n", 0600);
    const char *words[6] = {apr_pstrcat(f->p, "url=", http_fixture_url(server, path, f->p), NULL),
                            apr_pstrcat(f->p, "secretFile=", file, NULL), "plainLoopback=on",
                            word1, word1 ? word2 : NULL, NULL};
    const char *error = policy_fixture_add("webhook", words);

    ck_assert_msg(!error, "%s", error);
    policy_fixture_start();
}

/* Pool cleanup: gives an object back. */
static apr_status_t drop(void *object)
{
    json_decref(object);
    return APR_SUCCESS;
}

/* The last request's body. */
static json_t *asked(void)
{
    const char *body = strstr(server->request, "\r\n\r\n");
    json_t *object = body ? json_loads(body, JSON_REJECT_DUPLICATES, NULL) : NULL;

    ck_assert_msg(object != NULL, "%s", server->request);
    apr_pool_cleanup_register(f->p, object, drop, apr_pool_cleanup_null);
    return object;
}

/* A member of the last request's body, "" if it is not there. */
static const char *said(const char *name)
{
    json_t *value = json_object_get(asked(), name);

    return json_is_string(value) ? json_string_value(value) : "";
}

static const struct {
    const char *word1, *word2, *error;
} option_cases[] = {{"url=https://hook.example/", "secretFile=/a", NULL},
                    {"url=https://hook.example/", NULL, "secretFile"},
                    {"secretFile=/a", NULL, "url"},
                    {"url=http://127.0.0.1/", "secretFile=/a", "in the clear"},
                    {"url=https://u:pw@hook.example/", "secretFile=/a", "user names"},
                    {"url=https://hook.example/", "timeout=0s", "timeout"},
                    {"url=https://hook.example/", "concurrency=0", "concurrency"},
                    {"url=https://hook.example/", "notify=maybe", "notify"},
                    {"url=https://hook.example/", "notifySync=yes", "notifySync"},
                    {"notify=off", "notifySync=on", "needs notify=on"},
                    {"url=https://hook.example/", "secret=0123", "secret"},
                    {"url=https://hook.example/", "key=/k", "certificate"},
                  {"url=https://hook.example/", "attributes=san", "template, subject and sid"},
                  {"url=https://hook.example/", "attributes=", "template, subject and sid"}};

START_TEST(options_are_checked)
{
    const char *words[5] = {option_cases[_i].word1, option_cases[_i].word2, NULL, NULL, NULL};
    const char *error;

    if (words[1] && strncmp(words[1], "secretFile=", 11) != 0)
        words[2] = "secretFile=/a";
    if (strncmp(words[0], "notify=", 7) == 0)
        words[3] = "url=https://hook.example/";
    error = policy_fixture_add("webhook", words);
    if (option_cases[_i].error) {
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, option_cases[_i].error) != NULL, "%s", error);
        ck_assert_ptr_null(strstr(error, "pw@"));
    }
    else {
        ck_assert_msg(!error, "%s", error);
        ck_assert_ptr_nonnull(policy_check(f->policy, f->p)); /* there is no /a */
    }
}
END_TEST

START_TEST(question)
{
    static const char *const extensions[] = {
        "subjectAltName=DNS:a.example,IP:192.0.2.7,email:x@a.example,URI:urn:a,"
        "otherName:msUPN;UTF8:x@corp",
        NULL};
    json_t *sans;

    start("/answer", "challenge=on", NULL);
    policy_fixture_request("S3cret", extensions);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    ck_assert_str_eq(said("service"), "corp");
    ck_assert_str_eq(said("operation"), "verify");
    ck_assert_str_eq(said("transactionID"), f->request.transaction_id);
    ck_assert_str_eq(said("template"), "Device");
    ck_assert_str_eq(said("subject"), f->request.csr->subject_text);
    ck_assert_str_eq(said("keyType"), "RSA-2048");
    ck_assert_str_eq(said("client"), "192.0.2.1");
    ck_assert_str_eq(said("userAgent"), "unit");
    ck_assert_str_eq(said("challenge"), "S3cret");
    ck_assert(strlen(said("csr")) > 800);
    ck_assert(strlen(said("publicKey")) > 300);
    ck_assert(json_is_false(json_object_get(asked(), "renewal")));
    sans = json_object_get(asked(), "sans");
    ck_assert_uint_eq(json_array_size(sans), 5);
    ck_assert_str_eq(json_string_value(json_array_get(sans, 0)), "DNS:a.example");
    ck_assert_str_eq(json_string_value(json_array_get(sans, 1)), "IP:192.0.2.7");
    ck_assert_str_eq(json_string_value(json_array_get(sans, 2)), "email:x@a.example");
    ck_assert_str_eq(json_string_value(json_array_get(sans, 3)), "URI:urn:a");
    ck_assert_str_eq(json_string_value(json_array_get(sans, 4)), "UPN:x@corp");
}
END_TEST

/* The challenge also stands in the CSR. */
START_TEST(challenge_is_not_told)
{
    start("/answer", NULL, NULL);
    policy_fixture_request("S3cret", NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    ck_assert_str_eq(said("challenge"), "");
    ck_assert_str_eq(said("csr"), "");
    ck_assert(strlen(said("publicKey")) > 300);
    ck_assert_ptr_null(strstr(server->request, "S3cret"));
}
END_TEST

START_TEST(challenge_is_required)
{
    start("/answer", NULL, NULL);
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_EACCES);
    ck_assert_str_eq(f->out.reason, "challenge-missing");
    ck_assert_int_eq(*server->requests, 0);
}
END_TEST

#define SID "S-1-5-21-1-2-3-4"

static const struct {
    const char *setting, *body; /* body with ' for " */
    apr_status_t rv;
    const char *said; /* of the error line */
} attribute_cases[] = {
    {NULL, "{'allow':true,'attributes':{}}", APR_SUCCESS, NULL},
    {NULL, "{'allow':true,'attributes':{'device':'d','user':'u'}}", APR_SUCCESS, NULL},
    {"attributes=sid", "{'allow':true,'attributes':{'sid':'" SID "'}}", APR_SUCCESS, NULL},
    {NULL, "{'allow':true,'attributes':{'sid':'" SID "'}}", APR_EGENERAL, "'sid' is not allowed"},
    {"attributes=sid", "{'allow':true,'attributes':{'subject':'CN=a'}}", APR_EGENERAL,
     "'subject' is not allowed"},
    {"attributes=sid", "{'allow':true,'attributes':{'sid':'S-1-5-18'}}", APR_EGENERAL,
     "'sid' is not S-1"},
    {"attributes=sid", "{'allow':true,'attributes':{'Sid':'" SID "'}}", APR_EGENERAL,
     "'Sid' is not known"},
    {"attributes=sid", "{'allow':true,'attributes':[]}", APR_EGENERAL, "not a JSON object"},
    {"attributes=sid", "{'allow':true,'attributes':null}", APR_EGENERAL, "not a JSON object"},
    {"attributes=sid", "{'allow':true,'attributes':'{}'}", APR_EGENERAL, "not a JSON object"},
    {"attributes=sid", "{'allow':true,'attributes':{'sid':'" SID "','sid':'" SID "'}}",
     APR_EGENERAL, "not JSON"},
    {"attributes=sid", "{'allow':true,'attributes':{},'attributes':{}}", APR_EGENERAL, "not JSON"},
    {NULL, "{'allow':false,'attributes':7}", APR_EACCES, NULL}};

START_TEST(attributes)
{
    char *body = apr_pstrdup(f->p, attribute_cases[_i].body), *c;
    apr_status_t rv;

    for (c = body; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    start("/answer", "challengeRequired=off", attribute_cases[_i].setting);
    http_fixture_answer(server, "200 OK", "", body);
    policy_fixture_request(NULL, NULL);
    rv = policy_fixture_ask();
    ck_assert_msg(rv == attribute_cases[_i].rv, "%s: %s", f->out.reason, f->out.detail);
    if (attribute_cases[_i].said) {
        ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
        ck_assert_ptr_nonnull(strstr(f->out.detail, attribute_cases[_i].said));
        ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), attribute_cases[_i].said));
    }
    if (_i == 1)
        ck_assert_str_eq(f->tx->attributes.device, "d");
    if (_i == 2)
        ck_assert_str_eq(f->tx->attributes.sid, SID);
}
END_TEST

START_TEST(challenge_is_not_required)
{
    start("/answer", "challengeRequired=off", NULL);
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    ck_assert(strlen(said("csr")) > 700);
}
END_TEST

START_TEST(odd_names)
{
    start("/answer", "challengeRequired=off", NULL);
    policy_fixture_request(NULL, NULL);
    f->request.transaction_id = "\xff\"\\\n\x01";
    f->request.user_agent = NULL;
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    ck_assert_str_eq(said("transactionID"), "?\"\\\n\x01");
    ck_assert(json_is_null(json_object_get(asked(), "userAgent")));
}
END_TEST

START_TEST(renewal)
{
    fixture_certificate_t want = {0};

    want.serial = 0xab12;
    start("/answer", NULL, NULL);
    f->request.authorization = POLICY_BY_SIGNER;
    f->request.signer = fixture_certificate(f->p, &want);
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    ck_assert(json_is_true(json_object_get(asked(), "renewal")));
    ck_assert_str_eq(said("signerSerial"), "ab12");
}
END_TEST

START_TEST(signature)
{
    const char *timestamp, *body, *text;
    unsigned char mac[32];

    start("/answer", "challengeRequired=off", NULL);
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    timestamp = strstr(server->request, "X-Scep-Timestamp: ");
    ck_assert_ptr_nonnull(timestamp);
    timestamp = apr_pstrndup(f->p, timestamp + 18, strcspn(timestamp + 18, "\r"));
    ck_assert(apr_time_sec(apr_time_now()) - apr_atoi64(timestamp) < 5);
    body = strstr(server->request, "\r\n\r\n") + 4;
    text = apr_pstrcat(f->p, timestamp, ".", body, NULL);
    HMAC(EVP_sha256(), SECRET, strlen(SECRET), (const unsigned char *)text, strlen(text), mac,
         NULL);
    text = apr_pstrcat(f->p, "\r\nX-Scep-Signature: sha256=", crypt_hex(mac, 32, 0, f->p), "\r\n",
                       NULL);
    ck_assert_ptr_nonnull(strstr(server->request, text));
}
END_TEST

static const struct {
    const char *status, *headers, *body;
    apr_status_t rv;
    const char *reason, *text; /* NULL: not looked at */
    int retry;
} answer_cases[] = {
    {"200 OK", "", "{\"allow\":true}", APR_SUCCESS, "ok", NULL, 0},
    {"200 OK", "", "{\"allow\":true,\"more\":[1]}", APR_SUCCESS, "ok", NULL, 0},
    {"200 OK", "", "{\"allow\":false}", APR_EACCES, "webhook-refused", "The request was refused.",
     0},
    {"200 OK", "", "{\"allow\":false,\"reason\":\"r\",\"text\":\"Ask IT\\r\\nnow\"}", APR_EACCES,
     "webhook-refused", "Ask IT  now", 0},
    {"200 OK", "", "{}", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "true", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "[{\"allow\":true}]", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "{\"allow\":\"true\"}", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "{\"allow\":1}", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "{\"allow\":null}", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "{\"Allow\":true}", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "{\"allow\":false,\"allow\":true}", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "{\"allow\":true", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "{\"allow\":true}}", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "{\"allow\":true,\"text\":1}", APR_EGENERAL, "webhook", NULL, 30},
    {"200 OK", "", "{\"allow\":true,\"reason\":\"\xff\"}", APR_EGENERAL, "webhook", NULL, 30},
    {"201 Made", "", "{\"allow\":true}", APR_EGENERAL, "webhook", NULL, 30},
    {"204 Nothing", "", "", APR_EGENERAL, "webhook", NULL, 30},
    {"302 Found", "Location: /good\r\n", "", APR_EGENERAL, "webhook", NULL, 30},
    {"401 No", "", "{\"allow\":true}", APR_EGENERAL, "webhook", NULL, 30},
    {"429 Slow", "Retry-After: 11\r\n", "", APR_EGENERAL, "webhook", NULL, 11},
    {"503 Away", "Retry-After: 120\r\n", "{\"allow\":true}", APR_EGENERAL, "webhook", NULL, 120},
    {"500 Broken", "", "{\"allow\":true}", APR_EGENERAL, "webhook", NULL, 30}};

START_TEST(answers)
{
    apr_status_t rv;

    start("/answer", "challengeRequired=off", NULL);
    http_fixture_answer(server, answer_cases[_i].status, answer_cases[_i].headers,
                        answer_cases[_i].body);
    policy_fixture_request(NULL, NULL);
    rv = policy_fixture_ask();
    ck_assert_msg(rv == answer_cases[_i].rv, "%s: %s", f->out.reason, f->out.detail);
    ck_assert_str_eq(f->out.reason, answer_cases[_i].reason);
    if (rv == APR_EACCES) {
        ck_assert_int_eq(f->out.result, OUTCOME_REFUSED);
        ck_assert_str_eq(f->out.text, answer_cases[_i].text);
    }
    if (rv == APR_EGENERAL) {
        ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
        ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "SCEP0220"));
        ck_assert(f->out.retry_after == apr_time_from_sec(answer_cases[_i].retry));
    }
}
END_TEST

static const char *const failing[] = {"/slow", "/cut", "/half", "/big", "/garbage", "/good"};

START_TEST(failures_are_no_yes)
{
    start(failing[_i], "challengeRequired=off",
          apr_psprintf(f->p, "timeout=%dms", (int)(fixture_patience(300) / 1000)));
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_EGENERAL);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_str_eq(f->out.text, "The service is not available at the moment.");
}
END_TEST

START_TEST(long_texts_are_cut)
{
    char text[1000];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    start("/answer", "challengeRequired=off", NULL);
    http_fixture_answer(server, "200 OK", "",
                        apr_psprintf(f->p, "{\"allow\":false,\"reason\":\"%s\",\"text\":\"%s\"}",
                                     text, text));
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_EACCES);
    ck_assert_uint_eq(strlen(f->out.text), 200);
    ck_assert(strlen(f->out.detail) < 250);
}
END_TEST

START_TEST(both_must_allow)
{
    static const char *const none[] = {NULL};
    policy_mint_t order = {"mdm", "", NULL, "192.0.2.9"};
    policy_challenge_t *challenge;

    ck_assert_ptr_null(policy_fixture_add("challenge", none));
    start("/answer", NULL, NULL);
    policy_fixture_request("0123456789ABCDEF", NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_EACCES);
    ck_assert_str_eq(f->out.reason, "challenge-unknown");
    ck_assert_int_eq(*server->requests, 0);
    ck_assert_int_eq(
        policy_generate_challenge(f->policy, &order, &challenge, &f->out, f->sink, f->p),
        APR_SUCCESS);
    http_fixture_answer(server, "200 OK", "", "{\"allow\":false}");
    policy_fixture_request(challenge->text, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_EACCES);
    ck_assert_str_eq(f->out.reason, "webhook-refused");
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_REFUSED), APR_SUCCESS);
    http_fixture_answer(server, "200 OK", "", "{\"allow\":true}");
    policy_fixture_request(challenge->text, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
}
END_TEST

static const struct {
    policy_event_e event;
    const char *name; /* NULL: not told */
} event_cases[] = {{POLICY_EVENT_ISSUED, "issued"},
                   {POLICY_EVENT_REFUSED, "refused"},
                   {POLICY_EVENT_PENDING, "pending"},
                   {POLICY_EVENT_TRANSIENT, NULL},
                   {POLICY_EVENT_UNKNOWN, NULL}};

START_TEST(news)
{
    start("/answer", "challengeRequired=off", NULL);
    policy_fixture_request("S3cret", NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    http_fixture_answer(server, "204 Thanks", "", "");
    ck_assert_int_eq(policy_fixture_finish(event_cases[_i].event), APR_SUCCESS);
    ck_assert_int_eq(*server->requests, 1); /* the device does not wait for it */
    ck_assert_int_eq(policy_fixture_work(), event_cases[_i].name ? 1 : 0);
    ck_assert_int_eq(*server->requests, event_cases[_i].name ? 2 : 1);
    if (!event_cases[_i].name)
        return;
    ck_assert_uint_eq(strlen(said("id")), STORE_ID_LEN);
    ck_assert_str_eq(said("operation"), "notify");
    ck_assert_str_eq(said("event"), event_cases[_i].name);
    ck_assert_str_eq(said("transactionID"), f->request.transaction_id);
    if (event_cases[_i].event == POLICY_EVENT_ISSUED) {
        ck_assert_str_eq(said("serial"), "0a0b");
        ck_assert_uint_eq(strlen(said("thumbprint")), 40);
    }
    if (event_cases[_i].event == POLICY_EVENT_REFUSED)
        ck_assert_str_eq(said("reason"), "unit-reason");
}
END_TEST

static const struct {
    const char *status, *headers;
    const char *tag; /* of what became of it; NULL: delivered */
} thanks_cases[] = {{"200 OK", "", NULL},
                    {"204 Thanks", "", NULL},
                    {"299 Well", "", NULL},
                    {"302 Found", "Location: /good\r\n", "SCEP0285"},
                    {"400 Bad", "", "SCEP0283"},
                    {"401 Who", "", "SCEP0285"},
                    {"404 Where", "", "SCEP0283"},
                    {"408 Slow", "", "SCEP0285"},
                    {"410 Gone", "", "SCEP0283"},
                    {"429 Much", "Retry-After: 9\r\n", "SCEP0285"},
                    {"500 Broken", "", "SCEP0285"},
                    {"503 Away", "", "SCEP0285"}};

/* However it goes, the certificate is not held up. */
START_TEST(thanks)
{
    const char *tag = thanks_cases[_i].tag;

    start("/answer", "challengeRequired=off", NULL);
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    http_fixture_answer(server, thanks_cases[_i].status, thanks_cases[_i].headers, "");
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    ck_assert_int_eq(policy_fixture_work(), tag ? 0 : 1);
    ck_assert_int_eq(*server->requests, 2);
    ck_assert(!tag || strstr(fixture_log_text(f->sink), tag));
}
END_TEST

static const struct {
    const char *path, *status, *body;
    apr_status_t rv;
} sync_cases[] = {{"/answer", "200 OK", "{}", APR_SUCCESS},
                  {"/answer", "204 Thanks", "", APR_SUCCESS},
                  {"/answer", "200 OK", "fine", APR_SUCCESS},
                  {"/answer", "200 OK", "{\"allow\":true}", APR_SUCCESS},
                  {"/answer", "200 OK", "{\"allow\":false,\"text\":\"Gone.\"}", APR_EACCES},
                  {"/answer", "200 OK", "{\"allow\":0}", APR_EACCES},
                  {"/answer", "200 OK", "{\"allow\":false,\"attributes\":1}", APR_EACCES},
                  {"/answer", "403 No", "{\"allow\":false}", APR_EACCES},
                  {"/answer", "403 No", "{}", APR_EGENERAL},
                  {"/answer", "403 No", "{\"allow\":true}", APR_EGENERAL},
                  {"/answer", "429 Much", "", APR_EGENERAL},
                  {"/answer", "302 Found", "{\"allow\":true}", APR_EGENERAL},
                  {"/answer", "500 No", "{\"allow\":false}", APR_EGENERAL}};

/* No certificate leaves that the receiver has not confirmed. */
START_TEST(confirmed)
{
    apr_status_t rv = sync_cases[_i].rv;

    start(sync_cases[_i].path, "challengeRequired=off", "notifySync=on");
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    http_fixture_answer(server, sync_cases[_i].status, "", sync_cases[_i].body);
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), rv);
    ck_assert_int_eq(*server->requests, 2);
    ck_assert_str_eq(said("event"), "issued");
    ck_assert_int_eq(f->tx->forbidden, rv != APR_SUCCESS);
    ck_assert_int_eq(f->out.result, rv == APR_SUCCESS  ? OUTCOME_SUCCESS
                                    : rv == APR_EACCES ? OUTCOME_REFUSED
                                                       : OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(strstr(fixture_log_text(f->sink), "SCEP0221") != NULL, rv == APR_EGENERAL);
    if (rv == APR_EACCES)
        ck_assert_str_eq(f->out.reason, "webhook-forbidden");
    ck_assert_int_eq(policy_fixture_work(), 0); /* nothing is left to be told */
}
END_TEST

START_TEST(confirmation_needs_an_answer)
{
    start("/answer", "challengeRequired=off", "notifySync=on");
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    *server->closed = 1;
    http_fixture_answer(server, "200 OK", "Connection: close\r\n", "");
    f->request.deadline = apr_time_now() - 1;
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_EGENERAL);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
}
END_TEST

START_TEST(news_can_be_off)
{
    start("/answer", "challengeRequired=off", "notify=off");
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_SUCCESS);
    ck_assert_int_eq(*server->requests, 1);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *test_policy_webhook_suite(void)
{
    Suite *suite = suite_create("policy_webhook");
    TCase *tc = tcase_create("policy_webhook");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, options_are_checked, 0, COUNT(option_cases));
    tcase_add_test(tc, question);
    tcase_add_test(tc, challenge_is_not_told);
    tcase_add_test(tc, challenge_is_required);
    tcase_add_loop_test(tc, attributes, 0, COUNT(attribute_cases));
    tcase_add_test(tc, challenge_is_not_required);
    tcase_add_test(tc, odd_names);
    tcase_add_test(tc, renewal);
    tcase_add_test(tc, signature);
    tcase_add_loop_test(tc, answers, 0, COUNT(answer_cases));
    tcase_add_loop_test(tc, failures_are_no_yes, 0, COUNT(failing));
    tcase_add_test(tc, long_texts_are_cut);
    tcase_add_test(tc, both_must_allow);
    tcase_add_loop_test(tc, news, 0, COUNT(event_cases));
    tcase_add_loop_test(tc, thanks, 0, COUNT(thanks_cases));
    tcase_add_loop_test(tc, confirmed, 0, COUNT(sync_cases));
    tcase_add_test(tc, confirmation_needs_an_answer);
    tcase_add_test(tc, news_can_be_off);
    suite_add_tcase(suite, tc);
    return suite;
}
