/* SPDX-License-Identifier: Apache-2.0 */
/* Policy "registration-point": what is asked, what is a yes, and what becomes of news. */
#include "../../common/http_client.h"
#include "../../policy/policy_registration_point.h"
#include "http_fixture.h"
#include "policy_fixture.h"
#include <apr_strings.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

Suite *test_policy_registration_point_suite(void);

static policy_fixture_t *f;
static http_fixture_t *server;
static policy_call_t asked, told;

static void setup(void)
{
    policy_fixture_setup();
    f = policy_fixture();
    server = http_fixture_start(f->p);
    http_fixture_answer(server, "201 Created", "", "true");
    memset(&asked, 0, sizeof(asked));
    memset(&told, 0, sizeof(told));
}

/* Starts a chain of this policy: the server's path, and one more word. */
static void start(const char *path, const char *word)
{
    const char *limit = apr_psprintf(f->p, "timeout=%dms", (int)(fixture_patience(1000) / 1000));
    const char *words[] = {apr_pstrcat(f->p, "url=", http_fixture_url(server, path, f->p), NULL),
                           policy_fixture_credentials("certificate"),
                           policy_fixture_credentials("key"), "plainLoopback=on", limit,
                           word, NULL};
    const char *error = policy_fixture_add("registration-point", words);

    ck_assert_msg(!error, "%s", error);
    policy_fixture_start();
}

/* A request and its verdict, as the engine asks. */
static apr_status_t ask(void)
{
    const grant_t *grant = NULL;
    apr_status_t rv;

    policy_fixture_request("S3cret", NULL);
    rv = policy_begin(&f->tx, f->policy, &f->request, &f->out, f->sink, f->p);
    ck_assert_int_eq(rv, APR_SUCCESS);
    f->tx->asked = &asked;
    f->tx->told = &told;
    rv = policy_verify(&grant, f->tx, &f->out, f->sink, f->p);
    ck_assert_int_eq(grant != NULL, rv == APR_SUCCESS);
    return rv;
}

/* Pool cleanup: gives an object back. */
static apr_status_t drop(void *object)
{
    json_decref(object);
    return APR_SUCCESS;
}

/* A body as an object. */
static json_t *object_of(const char *body)
{
    json_t *object = body ? json_loads(body, JSON_REJECT_DUPLICATES, NULL) : NULL;

    ck_assert_ptr_nonnull(object);
    apr_pool_cleanup_register(f->p, object, drop, apr_pool_cleanup_null);
    return object;
}

/* A member of the last request's body, "" if it is not there. */
static const char *said(const char *name)
{
    const char *body = strstr(server->request, "\r\n\r\n");
    json_t *value = json_object_get(object_of(body), name);

    return json_is_string(value) ? json_string_value(value) : "";
}

static const struct {
    const char *word1, *word2, *error;
} option_cases[] = {
    {"url=https://crp.example/CertificateRegistrationSvc/", NULL, NULL},
    {"url=https://crp.example/CMCertificateRegistration", "url4=https://b.example/x", NULL},
    {"url=https://crp.example", NULL, "base"},
    {"url=https://crp.example/", NULL, "base"},
    {"url=https://crp.example/x?y=1", NULL, "no query"},
    {"url=https://crp.example/x,https://b.example/x", NULL, "one URL"},
    {"url=http+unix://%2Frun%2Fcrp.sock/x", NULL, "base"},
    {"url=ftp://crp.example/x", NULL, "base"},
    {"url=http://127.0.0.1/x", NULL, "in the clear"},
    {"url=https://u:pw@crp.example/x", NULL, "user names"},
    {"url=https://crp.example/x", "url2=nonsense", "url2"},
    {"url=https://crp.example/x", "attributes=template,all", "attributes"},
    {"url=https://crp.example/x", "timeout=0s", "timeout"},
    {"url=https://crp.example/x", "challenge=on", "challenge"},
    {"url2=https://crp.example/x", NULL, "url"}};

START_TEST(options_are_checked)
{
    const char *words[] = {option_cases[_i].word1, "certificate=/a", "key=/b",
                           option_cases[_i].word2, NULL};
    const char *error = policy_fixture_add("registration-point", words);

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

START_TEST(certificate_is_needed)
{
    static const char *const without[][3] = {
        {"url=https://crp.example/x", NULL, NULL},
        {"url=https://crp.example/x", "certificate=/a", NULL},
        {"url=https://crp.example/x", "key=/b", NULL}};
    int i;

    for (i = 0; i < 3; i++)
        ck_assert_ptr_nonnull(policy_fixture_add("registration-point", without[i]));
}
END_TEST

START_TEST(question)
{
    start("/answer/", NULL);
    ck_assert_int_eq(ask(), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(server->request,
                                 "POST /answer/Certificate/VerifyRequest HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(server->request, "User-Agent: NDES_Plugin\r\n"));
    ck_assert_ptr_nonnull(strstr(server->request, "Content-Type: application/json\r\n"));
    ck_assert_str_eq(said("transactionId"), f->request.transaction_id);
    ck_assert_str_eq(said("template"), "Device");
    ck_assert_str_eq(said("clientAddress"), "192.0.2.1");
    ck_assert_str_eq(said("userAgent"), "unit");
    ck_assert(strlen(said("certificateRequest")) > 800);
    ck_assert_str_eq(said("signingCertificate"), "");
    ck_assert_int_eq(asked.result, POLICY_CALL_YES);
    ck_assert_str_eq(asked.path, "/answer/Certificate/VerifyRequest");
    ck_assert_ptr_null(strstr(fixture_log_text(f->sink), "S3cret"));
}
END_TEST

START_TEST(renewal)
{
    fixture_certificate_t want = {0};

    start("/answer", NULL);
    f->request.authorization = POLICY_BY_SIGNER;
    f->request.signer = fixture_certificate(f->p, &want);
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(policy_fixture_ask(), APR_SUCCESS);
    ck_assert(strlen(said("signingCertificate")) > 800);
}
END_TEST

#define HEADERS_ALL                                                                  \
    "X-Scep-Reason: challenge-expired\r\nX-Scep-FailInfo: badTime\r\n"               \
    "X-Scep-HResult: 0x800b0101\r\nX-Scep-Text: Ask for a new one.\r\n"
#define GENERIC "The request was refused."
#define LONG_REASON "a234567890123456789012345678901234567890123456789"

static const struct {
    const char *status, *headers, *body;
    apr_status_t rv;
    const char *reason, *text;
    fail_info_e fail_info;
    unsigned hresult;
    int retry;
} answer_cases[] = {
    {"201 Made", "", "true", APR_SUCCESS, "ok", NULL, FAIL_INFO_NONE, 0, 0},
    {"201 Made", HEADERS_ALL, "true", APR_SUCCESS, "ok", NULL, FAIL_INFO_NONE, 0, 0},
    {"201 Made", "", "false", APR_EACCES, "registration-point-refused", GENERIC,
     FAIL_INFO_BAD_REQUEST, 0x80070005, 0},
    {"201 Made", HEADERS_ALL, "false", APR_EACCES, "challenge-expired", "Ask for a new one.",
     FAIL_INFO_BAD_TIME, 0x800b0101, 0},
    /* malformed headers leave a refusal a refusal */
    {"201 Made", "X-Scep-Reason: a b\r\nX-Scep-FailInfo: 2\r\nX-Scep-HResult: 0x00000001\r\n"
                 "X-Scep-Text: \xc3\xa4\r\n", "false", APR_EACCES, "registration-point-refused",
     GENERIC, FAIL_INFO_BAD_REQUEST, 0x80070005, 0},
    {"201 Made", "X-Scep-Reason: 1a\r\nX-Scep-FailInfo: badrequest\r\nX-Scep-HResult: 0x8007000\r\n"
                 "X-Scep-Text:\r\n", "false", APR_EACCES, "registration-point-refused",
     GENERIC, FAIL_INFO_BAD_REQUEST, 0x80070005, 0},
    {"201 Made", "X-Scep-Reason: a\r\nX-Scep-Reason: b\r\nX-Scep-HResult: -2147024891\r\n", "false",
     APR_EACCES, "registration-point-refused", GENERIC, FAIL_INFO_BAD_REQUEST, 0x80070005, 0},
    {"201 Made", "X-Scep-Reason: " LONG_REASON "\r\n", "false", APR_EACCES,
     "registration-point-refused", GENERIC, FAIL_INFO_BAD_REQUEST, 0x80070005, 0},
    {"201 Made", "", "", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"201 Made", "", "True", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"201 Made", "", "true\n", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"201 Made", "", "\"true\"", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"201 Made", "", "tru", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"201 Made", "", "{\"allow\":true}", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE,
     0, 30},
    {"200 OK", "", "true", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"204 Nothing", "", "", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"302 Found", "Location: /good\r\n", "true", APR_EGENERAL, "registration-point", NULL,
     FAIL_INFO_NONE, 0, 30},
    {"400 No", "", "true", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"403 No", "", "true", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"404 No", "", "true", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"429 Slow", "Retry-After: 11\r\n", "", APR_EGENERAL, "registration-point", NULL,
     FAIL_INFO_NONE, 0, 11},
    {"500 Broken", "", "true", APR_EGENERAL, "registration-point", NULL, FAIL_INFO_NONE, 0, 30},
    {"503 Away", "Retry-After: 120\r\n", "true", APR_EGENERAL, "registration-point", NULL,
     FAIL_INFO_NONE, 0, 120}};

START_TEST(answers)
{
    apr_status_t rv;

    start("/answer", NULL);
    http_fixture_answer(server, answer_cases[_i].status, answer_cases[_i].headers,
                        answer_cases[_i].body);
    rv = ask();
    ck_assert_msg(rv == answer_cases[_i].rv, "%s: %s", f->out.reason, f->out.detail);
    ck_assert_str_eq(f->out.reason, answer_cases[_i].reason);
    ck_assert_int_eq(f->out.fail_info, answer_cases[_i].fail_info);
    ck_assert_uint_eq((unsigned)f->out.hresult, answer_cases[_i].hresult);
    if (rv == APR_EACCES) {
        ck_assert_int_eq(f->out.result, OUTCOME_REFUSED);
        ck_assert_str_eq(f->out.text, answer_cases[_i].text);
        ck_assert_int_eq(asked.result, POLICY_CALL_NO);
    }
    if (rv == APR_EGENERAL) {
        ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
        ck_assert_str_eq(f->out.text, "The service is not available at the moment.");
        ck_assert(f->out.retry_after == apr_time_from_sec(answer_cases[_i].retry));
        ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "SCEP0290"));
        ck_assert_int_eq(asked.result, POLICY_CALL_FAILED);
        ck_assert_int_eq(asked.error, 0);
        ck_assert_int_eq(asked.status, atoi(answer_cases[_i].status));
    }
}
END_TEST

START_TEST(refused_certificate_is_named)
{
    start("/answer", NULL);
    http_fixture_answer(server, "403 Forbidden", "", "<html>");
    ck_assert_int_eq(ask(), APR_EGENERAL);
    ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "client certificate"));
    ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "403.16"));
}
END_TEST

static const struct {
    const char *path;
    int error;
} failing[] = {{"/slow", 12002}, {"/cut", 12030}, {"/half", 12030}, {"/garbage", 12030},
               {"/big", 12004},  {"/headers", 12004}, {"/good", 0}, {"/moved", 0}};

START_TEST(failures_are_no_yes)
{
    start(failing[_i].path, NULL);
    ck_assert_int_eq(ask(), APR_EGENERAL);
    ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(asked.result, POLICY_CALL_FAILED);
    ck_assert_int_eq(asked.error, failing[_i].error);
}
END_TEST

START_TEST(winhttp_errors)
{
    ck_assert_int_eq(registration_winhttp_error(HTTP_FAILURE_NONE), 0);
    ck_assert_int_eq(registration_winhttp_error(HTTP_FAILURE_NAME), 12007);
    ck_assert_int_eq(registration_winhttp_error(HTTP_FAILURE_CONNECT), 12029);
    ck_assert_int_eq(registration_winhttp_error(HTTP_FAILURE_TLS), 12175);
}
END_TEST

/* {"device":"d","template":"Other"}, {"device":"d"}, and what is neither base64url nor JSON */
static const struct {
    const char *headers, *word;
    apr_status_t rv;
    const char *template_name, *device;
} attribute_cases[] = {
    {"X-Scep-Attributes: eyJkZXZpY2UiOiJkIn0\r\n", NULL, APR_SUCCESS, NULL, "d"},
    {"X-Scep-Attributes: eyJkZXZpY2UiOiJkIiwidGVtcGxhdGUiOiJPdGhlciJ9\r\n", "attributes=template",
     APR_SUCCESS, "Other", "d"},
    {"X-Scep-Attributes: eyJkZXZpY2UiOiJkIiwidGVtcGxhdGUiOiJPdGhlciJ9\r\n", NULL, APR_EGENERAL,
     NULL, NULL},
    {"X-Scep-Attributes: eyJkZXZpY2UiOiJkIiwidGVtcGxhdGUiOiJPdGhlciJ9\r\n",
     "attributes=sid,subject", APR_EGENERAL, NULL, NULL},
    {"X-Scep-Attributes: eyJkZXZpY2UiOiJkIn0\r\nX-Scep-Attributes: eyJkZXZpY2UiOiJkIn0\r\n", NULL,
     APR_EGENERAL, NULL, NULL},
    {"X-Scep-Attributes: eyJkZXZpY2UiOiJkIn0=\r\n", NULL, APR_EGENERAL, NULL, NULL},
    {"X-Scep-Attributes: eyJkZXZpY2UiOiJkI\r\n", NULL, APR_EGENERAL, NULL, NULL},
    {"X-Scep-Attributes: eyJkZXZpY2UiOiJkIg\r\n", NULL, APR_EGENERAL, NULL, NULL},
    {"X-Scep-Attributes: !\r\n", NULL, APR_EGENERAL, NULL, NULL},
    {"X-Scep-Attributes:\r\n", NULL, APR_EGENERAL, NULL, NULL}};

START_TEST(attributes)
{
    start("/answer", attribute_cases[_i].word);
    http_fixture_answer(server, "201 Created", attribute_cases[_i].headers, "true");
    ck_assert_int_eq(ask(), attribute_cases[_i].rv);
    if (attribute_cases[_i].rv != APR_SUCCESS) {
        ck_assert_int_eq(f->out.result, OUTCOME_UNAVAILABLE);
        ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "X-Scep-Attributes"));
        return;
    }
    ck_assert_str_eq(f->tx->attributes.device, attribute_cases[_i].device);
    if (attribute_cases[_i].template_name)
        ck_assert_str_eq(f->tx->attributes.template_name, attribute_cases[_i].template_name);
    else
        ck_assert_ptr_null(f->tx->attributes.template_name);
}
END_TEST

static const struct {
    const char *status;
    apr_status_t rv;
    outcome_result_e result;
    policy_call_e call;
} issued_cases[] = {{"204 Done", APR_SUCCESS, OUTCOME_SUCCESS, POLICY_CALL_YES},
                    {"200 OK", APR_EGENERAL, OUTCOME_UNAVAILABLE, POLICY_CALL_FAILED},
                    {"201 Made", APR_EGENERAL, OUTCOME_UNAVAILABLE, POLICY_CALL_FAILED},
                    {"302 Found", APR_EGENERAL, OUTCOME_UNAVAILABLE, POLICY_CALL_FAILED},
                    {"403 No", APR_EGENERAL, OUTCOME_UNAVAILABLE, POLICY_CALL_FAILED},
                    {"409 Conflict", APR_EACCES, OUTCOME_REFUSED, POLICY_CALL_NO},
                    {"500 Broken", APR_EGENERAL, OUTCOME_UNAVAILABLE, POLICY_CALL_FAILED}};

/* Also while the process ends: what was signed is not thrown away. */
START_TEST(certificate_needs_a_note)
{
    apr_status_t rv;

    start("/answer", NULL);
    ck_assert_int_eq(ask(), APR_SUCCESS);
    http_fixture_answer(server, issued_cases[_i].status, "", "");
    http_client_end_calls(HTTP_END_QUESTIONS);
    rv = policy_fixture_finish(POLICY_EVENT_ISSUED);
    http_client_end_calls(HTTP_END_NONE);
    ck_assert_int_eq(rv, issued_cases[_i].rv);
    ck_assert_int_eq(f->out.result, issued_cases[_i].result);
    ck_assert_int_eq(told.result, issued_cases[_i].call);
    ck_assert_int_eq(f->tx->forbidden, rv != APR_SUCCESS);
    ck_assert_int_eq(told.status, atoi(issued_cases[_i].status));
    if (told.status == 409) { /* then it is asked whether it holds it again, which is no yes */
        ck_assert_ptr_nonnull(strstr(server->request, "POST /answer/Certificate/VerifyRequest "));
        return;
    }
    ck_assert_ptr_nonnull(strstr(server->request, "POST /answer/Certificate/Notify HTTP/1.1\r\n"));
    ck_assert_str_eq(said("disposition"), "success");
    ck_assert_str_eq(said("transactionId"), f->request.transaction_id);
    ck_assert_int_eq(strncmp(said("certificate"), "MII", 3), 0);
}
END_TEST

/* Asks the provider itself, so that what it leaves for the outbox can be seen. */
static const char *notify(policy_event_e what, const outcome_t *why)
{
    const policy_link_t *link = policy_link_at(f->policy, 0);
    policy_event_t event = {0};
    const char *news = NULL;

    event.event = what;
    event.outcome = why;
    ck_assert_int_eq(link->provider->notify(link->instance, f->tx, &event, &news, &f->out, f->sink,
                                            f->p),
                     APR_SUCCESS);
    return news;
}

static const struct {
    policy_event_e event;
    const char *status;
    int tries, left; /* calls, and whether news are left */
    const char *disposition;
    unsigned hresult;
} news_cases[] = {
    {POLICY_EVENT_REFUSED, "204 Done", 1, 0, "failure", 0x80094800},
    {POLICY_EVENT_REFUSED, "409 Conflict", 1, 0, "failure", 0x80094800},
    {POLICY_EVENT_REFUSED, "503 Away", 1, 1, "failure", 0x80094800},
    {POLICY_EVENT_REFUSED, "403 No", 1, 1, "failure", 0x80094800},
    {POLICY_EVENT_REFUSED, "400 Bad", 1, 0, "failure", 0x80094800},
    {POLICY_EVENT_TRANSIENT, "204 Done", 1, 0, "failure", 0x800706ba},
    {POLICY_EVENT_PENDING, "204 Done", 1, 0, "pending", 0},
    {POLICY_EVENT_PENDING, "503 Away", 1, 1, "pending", 0},
    {POLICY_EVENT_UNKNOWN, "204 Done", 0, 0, NULL, 0}};

START_TEST(other_news)
{
    const char *news;
    json_t *object;
    outcome_t why;

    start("/answer", NULL);
    ck_assert_int_eq(ask(), APR_SUCCESS);
    http_fixture_answer(server, news_cases[_i].status, "", "");
    outcome_refuse(&why, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_UNSUPPORTED_TEMPLATE, "no-template", "t",
                   f->p, "there is none");
    news = notify(news_cases[_i].event, &why);
    ck_assert_int_eq(*server->requests, 1 + news_cases[_i].tries);
    ck_assert_int_eq(news != NULL, news_cases[_i].left);
    if (!news_cases[_i].tries)
        return;
    object = object_of(strstr(server->request, "\r\n\r\n"));
    ck_assert_str_eq(said("disposition"), news_cases[_i].disposition);
    ck_assert_uint_eq(json_integer_value(json_object_get(object, "hresult")),
                      news_cases[_i].hresult);
    if (news_cases[_i].hresult)
        ck_assert_str_eq(said("errorDescription"), "no-template: there is none");
    if (news)
        ck_assert_str_eq(news, strstr(server->request, "\r\n\r\n") + 4);
}
END_TEST

/* A point that gave no answer is told later, one that said no, or was not asked, not at all. */
START_TEST(who_is_told)
{
    start("/answer", NULL);
    http_fixture_answer(server, "500 Broken", "", "");
    ck_assert_int_eq(ask(), APR_EGENERAL);
    ck_assert_ptr_nonnull(notify(POLICY_EVENT_TRANSIENT, NULL));
    ck_assert_int_eq(*server->requests, 1);
    http_fixture_answer(server, "201 Created", "", "false");
    ck_assert_int_eq(ask(), APR_EACCES);
    ck_assert_ptr_null(notify(POLICY_EVENT_REFUSED, NULL));
    asked.result = POLICY_CALL_NONE;
    ck_assert_ptr_null(notify(POLICY_EVENT_REFUSED, NULL));
    ck_assert_int_eq(*server->requests, 2);
    /* one that waited was asked long ago; and that it goes on waiting is no news */
    f->tx->csr_der = f->request.csr->der;
    ck_assert_ptr_null(notify(POLICY_EVENT_PENDING, NULL));
    ck_assert_int_eq(*server->requests, 2);
    http_fixture_answer(server, "204 Done", "", "");
    ck_assert_ptr_null(notify(POLICY_EVENT_REFUSED, NULL));
    ck_assert_int_eq(*server->requests, 3);
}
END_TEST

/* A certificate that did not leave: who takes no note of it is told of the end, once. */
START_TEST(end_of_an_untold_certificate)
{
    start("/answer", NULL);
    ck_assert_int_eq(ask(), APR_SUCCESS);
    http_fixture_answer(server, "500 Broken", "", "");
    ck_assert_int_eq(policy_fixture_finish(POLICY_EVENT_ISSUED), APR_EGENERAL);
    told.result = POLICY_CALL_FAILED;
    *server->requests = 0;
    ck_assert_ptr_nonnull(notify(POLICY_EVENT_TRANSIENT, NULL)); /* for the outbox */
    told.result = POLICY_CALL_NO;
    ck_assert_ptr_null(notify(POLICY_EVENT_REFUSED, NULL));
    ck_assert_int_eq(*server->requests, 0);
    http_fixture_answer(server, "409 Conflict", "", "");
    told.result = POLICY_CALL_YES; /* another provider forbade it later */
    ck_assert_ptr_null(notify(POLICY_EVENT_REFUSED, NULL));
    ck_assert_int_eq(*server->requests, 1);
}
END_TEST

static const struct {
    const char *status;
    apr_status_t rv;
} deliver_cases[] = {{"204 Done", APR_SUCCESS},  {"409 Conflict", APR_SUCCESS},
                     {"400 Bad", APR_EINVAL},    {"413 Large", APR_EINVAL},
                     {"403 No", APR_EGENERAL},   {"200 OK", APR_EGENERAL},
                     {"429 Slow", APR_EGENERAL}, {"500 Broken", APR_EGENERAL}};

START_TEST(delivery)
{
    const policy_link_t *link;

    start("/answer", NULL);
    link = policy_link_at(f->policy, 0);
    http_fixture_answer(server, deliver_cases[_i].status, "Retry-After: 9\r\n", "");
    ck_assert_int_eq(link->provider->deliver(link->instance, "{\"news\":1}",
                                             apr_time_now() + apr_time_from_sec(5), &f->out,
                                             f->sink, f->p),
                     deliver_cases[_i].rv);
    ck_assert_ptr_nonnull(strstr(server->request, "{\"news\":1}"));
    if (deliver_cases[_i].rv == APR_EGENERAL)
        ck_assert(f->out.retry_after == apr_time_from_sec(9));
    ck_assert_int_eq(link->provider->deliver(link->instance, "{}", apr_time_now() - 1, &f->out,
                                             f->sink, f->p),
                     APR_TIMEUP);
}
END_TEST

START_TEST(second_point)
{
    const char *dead = apr_psprintf(f->p, "url=http://localhost:%d/x", http_fixture_dead_port());
    const char *words[] = {
        dead, apr_pstrcat(f->p, "url3=", http_fixture_url(server, "/answer/b", f->p), NULL),
        policy_fixture_credentials("certificate"), policy_fixture_credentials("key"),
        "plainLoopback=on", NULL};

    ck_assert_ptr_null(policy_fixture_add("registration-point", words));
    policy_fixture_start();
    ck_assert_int_eq(ask(), APR_SUCCESS);
    ck_assert_str_eq(asked.path, "/answer/b/Certificate/VerifyRequest");
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *test_policy_registration_point_suite(void)
{
    Suite *suite = suite_create("policy_registration_point");
    TCase *tc = tcase_create("policy_registration_point");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, options_are_checked, 0, COUNT(option_cases));
    tcase_add_test(tc, certificate_is_needed);
    tcase_add_test(tc, question);
    tcase_add_test(tc, renewal);
    tcase_add_loop_test(tc, answers, 0, COUNT(answer_cases));
    tcase_add_test(tc, refused_certificate_is_named);
    tcase_add_loop_test(tc, failures_are_no_yes, 0, COUNT(failing));
    tcase_add_test(tc, winhttp_errors);
    tcase_add_loop_test(tc, attributes, 0, COUNT(attribute_cases));
    tcase_add_loop_test(tc, certificate_needs_a_note, 0, COUNT(issued_cases));
    tcase_add_loop_test(tc, other_news, 0, COUNT(news_cases));
    tcase_add_test(tc, who_is_told);
    tcase_add_test(tc, end_of_an_untold_certificate);
    tcase_add_loop_test(tc, delivery, 0, COUNT(deliver_cases));
    tcase_add_test(tc, second_point);
    suite_add_tcase(suite, tc);
    return suite;
}
