/* SPDX-License-Identifier: Apache-2.0 */
/* Policy "intune": what is asked and told, each code, and that nothing but Success is a yes. */
#include "intune_fixture.h"
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <string.h>

Suite *test_policy_intune_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static intune_fixture_t *t;
static policy_fixture_t *f;
static apr_pool_t *p;

static void setup(void)
{
    intune_fixture_setup();
    t = intune_fixture();
    f = t->f;
    p = f->p;
}

/* How often a route was asked. */
static int asked(int route)
{
    return t->server->routes[route].requests;
}

/* A member of "request" or "notification" of a route's last body. */
static const char *said(int route, const char *outer, const char *name)
{
    json_t *object = json_object_get(intune_fixture_body(route), outer);
    const char *text = json_string_value(json_object_get(object, name));

    ck_assert_uint_eq(json_object_size(intune_fixture_body(route)), 1);
    ck_assert_msg(text != NULL, "no %s", name);
    return text;
}

/* base64 of bytes. */
static char *base64(const void *data, size_t len)
{
    char *text = apr_palloc(p, 4 * (len / 3 + 1) + 1);

    EVP_EncodeBlock((unsigned char *)text, data, (int)len);
    return text;
}

static const struct {
    const char *words[4], *error; /* NULL: good */
} option_cases[] = {
    {{"secretFile=/a"}, NULL},
    {{"certificate=/a"}, NULL},
    {{"certificate=/a", "key=/b", "assertion=RS256"}, NULL},
    {{"secretFile=/a", "revocation=on", "revocationIssuer=CN=CA"}, NULL},
    {{"renewal=signer"}, "secretFile"},
    {{"secretFile=/a", "certificate=/a"}, "one of them"},
    {{"secretFile=/a", "key=/a"}, "certificate"},
    {{"certificate=/a", "assertion=ES256"}, "assertion=ES256"},
    {{"secretFile=/a", "renewal=maybe"}, "renewal=maybe"},
    {{"secretFile=/a", "revocation=on"}, "revocationIssuer"},
    {{"secretFile=/a", "revocationIssuer=CN=CA"}, "without revocation=on"},
    {{"secretFile=/a", "revocation=off", "revocationInterval=1min"}, "without revocation=on"},
    {{"secretFile=/a", "revocation=yes"}, "revocation"},
    {{"secretFile=/a", "remember=1h"}, "remember"},
    {{"secretFile=/a", "authority=http://127.0.0.1/"}, "in the clear"},
    {{"secretFile=/a", "graph=http://graph.example"}, "in the clear"},
    {{"secretFile=/a", "authority=https://u:pw@login.example"}, "user names"},
    {{"secretFile=/a", "authority=login.example"}, "not a URL"},
    {{"secretFile=/a", "proxy=https://proxy.example"}, "proxy"},
    {{"secretFile=/a", "intuneAppId=a/b"}, "intuneAppId"},
    {{"secretFile=/a", "intuneAppId="}, "intuneAppId"},
    {{"secretFile=/a", "serviceHosts=manage.example"}, "dot"},
    {{"secretFile=/a", "timeout=0s"}, "timeout"},
    {{"secretFile=/a", "concurrency=0"}, "concurrency"},
    {{"secretFile=/a", "secret=abc"}, "secret"}};

START_TEST(options_are_checked)
{
    const char *words[7] = {"tenant=contoso.example", "clientId=1-2"}, *error;
    int i;

    for (i = 0; i < 4 && option_cases[_i].words[i]; i++)
        words[i + 2] = option_cases[_i].words[i];
    error = intune_fixture_create(words);
    if (!option_cases[_i].error) {
        ck_assert_msg(!error, "%s", error);
        ck_assert_ptr_nonnull(policy_intune.check(t->instance, p)); /* there is no /a */
        return;
    }
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error, option_cases[_i].error) != NULL, "%s", error);
    ck_assert_ptr_null(strstr(error, "pw@"));
}
END_TEST

static const char *const bad_names[] = {"",  "a b",    "contoso/..", "contoso?x",
                                        ".", "a\r\nb", "a%2F"};

START_TEST(names_are_checked)
{
    const char *words[] = {"clientId=1-2", "secretFile=/a", NULL, NULL};

    words[2] = apr_pstrcat(p, "tenant=", bad_names[_i], NULL);
    ck_assert_ptr_nonnull(strstr(intune_fixture_create(words), "tenant="));
    words[0] = apr_pstrcat(p, "clientId=", bad_names[_i], NULL);
    words[2] = "tenant=contoso.example";
    ck_assert_ptr_nonnull(strstr(intune_fixture_create(words), "clientId="));
}
END_TEST

START_TEST(question)
{
    intune_fixture_start("callerInfo=unit/7", NULL);
    policy_fixture_request("S3cret", NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_SUCCESS);
    ck_assert_str_eq(said(ROUTE_VALIDATE, "request", "transactionId"), f->request.transaction_id);
    ck_assert_str_eq(said(ROUTE_VALIDATE, "request", "certificateRequest"),
                     base64(f->request.csr->der.data, f->request.csr->der.len));
    ck_assert_str_eq(said(ROUTE_VALIDATE, "request", "callerInfo"), "unit/7");
    ck_assert_uint_eq(json_object_size(json_object_get(intune_fixture_body(ROUTE_VALIDATE),
                                                       "request")), 3);
    ck_assert_str_eq(intune_fixture_header(ROUTE_VALIDATE, "Authorization"), "Bearer T0ken.a-b_c");
    ck_assert_str_eq(intune_fixture_header(ROUTE_VALIDATE, "api-version"), "2018-02-20");
    ck_assert_str_eq(intune_fixture_header(ROUTE_VALIDATE, "Content-Type"), "application/json");
    ck_assert_uint_eq(strlen(intune_fixture_header(ROUTE_VALIDATE, "client-request-id")), 36);
    ck_assert_ptr_nonnull(strstr(t->server->routes[ROUTE_VALIDATE].request,
                                 "POST /scep/ScepActions/validateRequest HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink),
                                 intune_fixture_header(ROUTE_VALIDATE, "client-request-id")));
    ck_assert_ptr_null(strstr(fixture_log_text(f->sink), "S3cret"));
    ck_assert_ptr_null(strstr(fixture_log_text(f->sink), "T0ken"));
}
END_TEST

/* Every code that Microsoft's library knows, in the spelling of its enumeration. */
static const char *const all_codes[] = {
    "Unknown", "CertificateRequestDecodingFailed", "ChallengePasswordMissing",
    "ChallengeDeserializationError", "ChallengeDecryptionError", "ChallengeDecodingError",
    "ChallengeInvalidTimestamp", "ChallengeExpired", "SubjectNameMissing", "SubjectNameMismatch",
    "SubjectAltNameMissing", "SubjectAltNameMismatch", "KeyUsageMismatch", "KeyLengthMismatch",
    "EnhancedKeyUsageMissing", "EnhancedKeyUsageMismatch", "AadKeyIdentifierListMissing",
    "RegisteredKeyMismatch", "SigningCertThumbprintMismatch",
    "ScepProfileNoLongerTargetedToTheClient", "SignatureValidationFailed",
    "BadCertificateRequestIdInChallenge", "BadDeviceIdInChallenge", "BadUserIdInChallenge"};

START_TEST(codes)
{
    const intune_code_t *code = intune_code(all_codes[_i]);

    ck_assert_msg(code->name != NULL, "%s is not known", all_codes[_i]);
    intune_fixture_start(NULL, NULL);
    policy_fixture_request("S3cret", NULL);
    intune_fixture_says(ROUTE_VALIDATE, apr_psprintf(p, "{\"code\":\"%s\",\"errorDescription\":"
                                                        "\"it says CN=a\"}", all_codes[_i]));
    ck_assert_int_eq(intune_fixture_ask(), APR_EACCES);
    ck_assert_int_eq(t->out.result, OUTCOME_REFUSED);
    ck_assert_str_eq(t->out.reason, code->reason);
    ck_assert_int_eq(t->out.hresult, code->hresult);
    ck_assert_int_eq(t->out.fail_info, code->fail_info);
    ck_assert_str_eq(t->out.text, code->text);
    ck_assert_ptr_nonnull(strstr(t->out.detail, all_codes[_i]));
    ck_assert_ptr_nonnull(strstr(t->out.detail, "it says CN=a"));
    ck_assert_ptr_nonnull(strstr(t->out.detail, "client-request-id"));
    ck_assert_int_lt(code->hresult, 0);
    ck_assert_int_ne(code->fail_info, FAIL_INFO_NONE);
}
END_TEST

START_TEST(codes_differ)
{
    int i, j;

    for (i = 0; intune_codes[i].name; i++) {
        for (j = 0; j < i; j++) {
            ck_assert_str_ne(intune_codes[i].name, intune_codes[j].name);
            ck_assert_str_ne(intune_codes[i].reason, intune_codes[j].reason);
        }
    }
    ck_assert_int_eq(i, COUNT(all_codes));
    ck_assert_int_eq(intune_code_allows("Success"), 1);
    ck_assert_str_eq(intune_code("success")->reason, "intune-code");
}
END_TEST

static const struct {
    const char *status, *headers, *body;
    apr_status_t rv;
    const char *reason;
    int retry;
} answer_cases[] = {
    {"200 OK", "", "{\"code\":\"Success\"}", APR_SUCCESS, NULL, 0},
    {"200 OK", "", "{\"code\":\"Success\",\"errorDescription\":null,\"more\":[1]}", APR_SUCCESS,
     NULL, 0},
    {"200 OK", "", "{\"code\":\"success\"}", APR_EACCES, "intune-code", 0},
    {"200 OK", "", "{\"code\":\"SUCCESS\"}", APR_EACCES, "intune-code", 0},
    {"200 OK", "", "{\"code\":\" Success\"}", APR_EACCES, "intune-code", 0},
    {"200 OK", "", "{\"code\":\"Success\\n\"}", APR_EACCES, "intune-code", 0},
    {"200 OK", "", "{\"code\":\"SuccessOrNot\"}", APR_EACCES, "intune-code", 0},
    {"200 OK", "", "{\"code\":\"\"}", APR_EACCES, "intune-code", 0},
    {"200 OK", "", "{\"code\":\"NewInNextYear\"}", APR_EACCES, "intune-code", 0},
    {"200 OK", "", "{\"code\":\"Success\\u0000x\"}", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "{\"code\":0}", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "{\"code\":true}", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "{\"code\":[\"Success\"]}", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "{\"Code\":\"Success\"}", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "{\"code\":\"ChallengeExpired\",\"code\":\"Success\"}", APR_EGENERAL, "intune",
     30},
    {"200 OK", "", "{\"code\":\"Success\",\"errorDescription\":7}", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "{}", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "Success", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "\"Success\"", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "[{\"code\":\"Success\"}]", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "{\"code\":\"Success\"", APR_EGENERAL, "intune", 30},
    {"200 OK", "", "{\"code\":\"Success\"}}", APR_EGENERAL, "intune", 30},
    {"201 Made", "", "{\"code\":\"Success\"}", APR_EGENERAL, "intune", 30},
    {"204 Nothing", "", "", APR_EGENERAL, "intune", 30},
    {"302 Found", "Location: /good\r\n", "", APR_EGENERAL, "intune", 30},
    {"400 Bad", "", "{\"code\":\"Success\"}", APR_EGENERAL, "intune", 30},
    {"401 No", "", "{\"code\":\"Success\"}", APR_EGENERAL, "intune", 30},
    {"403 No", "", "{\"code\":\"Success\"}", APR_EGENERAL, "intune", 30},
    {"429 Slow", "Retry-After: 11\r\n", "", APR_EGENERAL, "intune", 11},
    {"503 Away", "Retry-After: 120\r\n", "{\"code\":\"Success\"}", APR_EGENERAL, "intune", 120},
    {"500 Broken", "", "{\"code\":\"Success\"}", APR_EGENERAL, "intune", 30},
    {"", "", "", APR_EGENERAL, "intune", 30}};

START_TEST(answers)
{
    apr_status_t rv;

    intune_fixture_start(NULL, NULL);
    intune_fixture_route(ROUTE_VALIDATE, answer_cases[_i].status, answer_cases[_i].headers,
                         answer_cases[_i].body);
    policy_fixture_request("S3cret", NULL);
    rv = intune_fixture_ask();
    ck_assert_msg(rv == answer_cases[_i].rv, "%s: %s", t->out.reason, t->out.detail);
    if (rv == APR_SUCCESS)
        return;
    ck_assert_str_eq(t->out.reason, answer_cases[_i].reason);
    ck_assert_int_eq(t->out.result, rv == APR_EACCES ? OUTCOME_REFUSED : OUTCOME_UNAVAILABLE);
    if (rv == APR_EGENERAL) {
        ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "SCEP0273"));
        ck_assert(t->out.retry_after == apr_time_from_sec(answer_cases[_i].retry));
        ck_assert_str_eq(t->out.text, "The service is not available at the moment.");
    }
}
END_TEST

/* What Intune says goes into the log, but for what looks like a challenge or a token. */
START_TEST(description_holds_no_secret)
{
    char run[80];

    memset(run, 'Q', sizeof(run) - 1);
    run[sizeof(run) - 1] = '\0';
    intune_fixture_start(NULL, NULL);
    policy_fixture_request("S3cret", NULL);
    intune_fixture_says(ROUTE_VALIDATE,
                        apr_psprintf(p, "{\"code\":\"Unknown\",\"errorDescription\":"
                                        "\"a\\r\\n%s b\"}",
                                     run));
    ck_assert_int_eq(intune_fixture_ask(), APR_EACCES);
    ck_assert_ptr_null(strstr(t->out.detail, "QQ"));
    ck_assert_ptr_nonnull(strstr(t->out.detail, "a  (...) b"));
    intune_fixture_says(ROUTE_VALIDATE,
                        "{\"code\":\"Unknown\",\"errorDescription\":\"xS3cretx\"}");
    ck_assert_int_eq(intune_fixture_ask(), APR_EACCES);
    ck_assert_ptr_null(strstr(t->out.detail, "S3cret"));
}
END_TEST

START_TEST(challenge_is_required)
{
    fixture_certificate_t want = {0};

    intune_fixture_start(NULL, NULL);
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_EACCES);
    ck_assert_str_eq(t->out.reason, "challenge-missing");
    f->request.signer = fixture_certificate(p, &want);
    f->request.authorization = POLICY_BY_SIGNER;
    ck_assert_int_eq(intune_fixture_ask(), APR_EACCES);
    ck_assert_str_eq(t->out.reason, "challenge-missing");
    ck_assert_int_eq(asked(ROUTE_VALIDATE), 0);
    ck_assert_int_eq(policy_intune.needs_challenge, 1);
}
END_TEST

/* With renewal=signer a renewal without a challenge is the signer's, one with a challenge is not.
 */
START_TEST(renewal_by_signer)
{
    fixture_certificate_t want = {0};
    policy_event_t event = {0};
    const char *news = NULL;

    intune_fixture_start("renewal=signer", NULL);
    f->request.signer = fixture_certificate(p, &want);
    f->request.authorization = POLICY_BY_SIGNER;
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_SUCCESS);
    ck_assert_ptr_null(t->claim.challenge_id[0]);
    event.event = POLICY_EVENT_ISSUED;
    ck_assert_int_eq(policy_intune.notify(t->instance, &t->tx, &event, &news, &t->out, f->sink, p),
                     APR_SUCCESS);
    ck_assert_int_eq(asked(ROUTE_VALIDATE) + asked(ROUTE_SUCCESS), 0);
    intune_fixture_says(ROUTE_VALIDATE, "{\"code\":\"ChallengeExpired\"}");
    policy_fixture_request("S3cret", NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_EACCES);
    ck_assert_int_eq(asked(ROUTE_VALIDATE), 1);
    f->request.signer = NULL;
    policy_fixture_request(NULL, NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_EACCES);
}
END_TEST

/* A claim that dropped its challenge, as one of a renewal does whose challenge was used. */
START_TEST(used_challenge_is_not_asked_about)
{
    policy_attributes_t attributes = {0};

    intune_fixture_start("renewal=signer", NULL);
    policy_fixture_request("S3cret", NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_SUCCESS);
    ck_assert_ptr_nonnull(t->claim.adopt);
    ck_assert_int_eq(t->claim.adopt->uses, 1);
    ck_assert(t->claim.adopt->lifetime == apr_time_from_sec(7 * 86400));
    t->tx.store_tx.challenge_id = "";
    ck_assert_int_eq(policy_intune.verify(t->instance, &t->tx, &attributes, &t->out, f->sink, p),
                     APR_EACCES);
    ck_assert_str_eq(t->out.reason, "challenge-used");
    t->tx.store_tx.challenge_id =
        apr_pstrcat(p, *t->claim.challenge_id[0] == 'f' ? "e" : "f", t->claim.challenge_id[0] + 1,
                    NULL);
    ck_assert_int_eq(policy_intune.verify(t->instance, &t->tx, &attributes, &t->out, f->sink, p),
                     APR_EACCES);
    ck_assert_int_eq(asked(ROUTE_VALIDATE), 1);
}
END_TEST

/* The store's name for a challenge. */
static const char *id_of(const char *challenge)
{
    secret_t secret = {{{(const unsigned char *)"0123456789abcdef0123456789abcdef", 32}}};

    return intune_id(&secret, 0, "corp", challenge, p);
}

/* A signed message with content of so many bytes. */
static CMS_ContentInfo *sign(const char *content, int len)
{
    fixture_certificate_t want = {0};
    BIO *in = BIO_new_mem_buf(content, len);
    CMS_ContentInfo *cms = CMS_sign(fixture_certificate(p, &want), fixture_rsa(0), NULL, in,
                                    CMS_BINARY);

    BIO_free(in);
    ck_assert_ptr_nonnull(cms);
    return cms;
}

/* Its text. */
static char *text_of(CMS_ContentInfo *cms)
{
    unsigned char *der = NULL;
    int len = i2d_CMS_ContentInfo(cms, &der);
    char *text = base64(der, len);

    OPENSSL_free(der);
    return text;
}

/* No other spelling of a challenge is another challenge. */
START_TEST(spellings)
{
    static const char content[] = "0123456789abcdef0123456789abcdef and more";
    CMS_ContentInfo *cms = sign(content, sizeof(content) - 1);
    const char *text = text_of(cms), *id = id_of(text), *other;
    fixture_certificate_t want = {0};

    ck_assert_uint_eq(strlen(id), STORE_ID_LEN);
    ck_assert_str_eq(id_of(apr_pstrcat(p, " ", text, "\r\n", NULL)), id);
    other = apr_pstrcat(p, apr_pstrmemdup(p, text, 100), "\n \t", text + 100, NULL);
    ck_assert_str_eq(id_of(other), id);
    ck_assert_str_eq(id_of(apr_pstrmemdup(p, text, strcspn(text, "="))), id);
    /* what no signature covers */
    CMS_add0_cert(cms, X509_dup(fixture_certificate(p, &want)));
    other = text_of(cms);
    ck_assert_str_ne(other, text);
    ck_assert_str_eq(id_of(other), id);
    CMS_ContentInfo_free(cms);
    /* another challenge */
    cms = sign("0123456789abcdef0123456789abcdef and more!", 42);
    ck_assert_str_ne(id_of(text_of(cms)), id);
    CMS_ContentInfo_free(cms);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

static const char *const odd[] = {"", "=", "a", "ab", "S3cret", "----", "\xff\xfe", "MIIB",
                                  "MIIBAAAA",
                                  "MIAGCSqGSIb3DQEHAqCAMIACAQExDzANBglghkgBZQMEAgEFADCABgkqhkiG"};

START_TEST(odd_challenges)
{
    int i;

    for (i = 0; i < _i; i++)
        ck_assert_str_ne(id_of(odd[i]), id_of(odd[_i]));
    ck_assert_str_eq(id_of(odd[_i]), id_of(odd[_i]));
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

/* An event of a real certificate. */
static void notify_event(policy_event_t *event, policy_event_e what, const outcome_t *why)
{
    fixture_certificate_t want = {0};
    X509 *cert;
    unsigned char *der = NULL;

    want.subject = "issued";
    want.serial = 0x0abc12;
    want.not_before = -3600;
    want.not_after = 86400;
    cert = fixture_certificate(p, &want);
    memset(event, 0, sizeof(*event));
    event->event = what;
    event->outcome = why;
    if (what != POLICY_EVENT_ISSUED)
        return;
    event->serial = "0abc12";
    event->certificate.len = i2d_X509(cert, &der);
    event->certificate.data = apr_pmemdup(p, der, event->certificate.len);
    OPENSSL_free(der);
}

/* notify. */
static apr_status_t notify(const policy_event_t *event, const char **news)
{
    *news = NULL;
    outcome_init(&t->out);
    return policy_intune.notify(t->instance, &t->tx, event, news, &t->out, f->sink, p);
}

/* The process ends: a question is cut, but what was signed is told of, with a token for that. */
START_TEST(success_is_told_at_the_end)
{
    policy_event_t event;
    const char *news;

    intune_fixture_start(NULL, NULL);
    policy_fixture_request("S3cret", NULL);
    http_client_end_calls(HTTP_END_QUESTIONS);
    ck_assert_int_eq(intune_fixture_ask(), APR_EGENERAL);
    notify_event(&event, POLICY_EVENT_ISSUED, NULL);
    ck_assert_int_eq(notify(&event, &news), APR_SUCCESS);
    http_client_end_calls(HTTP_END_NONE);
    ck_assert_int_eq(asked(ROUTE_VALIDATE), 0);
    ck_assert_int_eq(asked(ROUTE_SUCCESS), 1);
}
END_TEST

START_TEST(success_is_told)
{
    policy_event_t event;
    const char *news, *text;
    unsigned char digest[20];

    intune_fixture_start("caConfiguration=ca.example\\CA", "certificateAuthority=Example CA");
    policy_fixture_request("S3cret", NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_SUCCESS);
    notify_event(&event, POLICY_EVENT_ISSUED, NULL);
    ck_assert_int_eq(notify(&event, &news), APR_SUCCESS);
    ck_assert_ptr_null(news);
    ck_assert_uint_eq(json_object_size(json_object_get(intune_fixture_body(ROUTE_SUCCESS),
                                                       "notification")), 9);
    ck_assert_str_eq(said(ROUTE_SUCCESS, "notification", "transactionId"),
                     f->request.transaction_id);
    ck_assert_str_eq(said(ROUTE_SUCCESS, "notification", "certificateRequest"),
                     base64(f->request.csr->der.data, f->request.csr->der.len));
    EVP_Digest(event.certificate.data, event.certificate.len, digest, NULL, EVP_sha1(), NULL);
    ck_assert_str_eq(said(ROUTE_SUCCESS, "notification", "certificateThumbprint"),
                     crypt_hex(digest, 20, 1, p));
    ck_assert_str_eq(said(ROUTE_SUCCESS, "notification", "certificateSerialNumber"), "0ABC12");
    text = said(ROUTE_SUCCESS, "notification", "certificateExpirationDateUtc");
    ck_assert_uint_eq(strlen(text), strlen("2018-06-11T16:11:20.0904778Z"));
    ck_assert_str_eq(text + 19, ".0000000Z");
    ck_assert_str_eq(said(ROUTE_SUCCESS, "notification", "issuingCertificateAuthority"),
                     "CN=issued");
    ck_assert_str_eq(said(ROUTE_SUCCESS, "notification", "caConfiguration"), "ca.example\\CA");
    ck_assert_str_eq(said(ROUTE_SUCCESS, "notification", "certificateAuthority"), "Example CA");
    ck_assert_str_eq(said(ROUTE_SUCCESS, "notification", "callerInfo"), "mod_scep/1");
    ck_assert_int_eq(asked(ROUTE_TOKEN), 2);
    ck_assert_int_eq(asked(ROUTE_DISCOVERY), 1);
}
END_TEST

static const struct {
    const char *status, *body;
    outcome_result_e result;
} told_cases[] = {{"500 Broken", "", OUTCOME_UNAVAILABLE},
                  {"", "", OUTCOME_UNAVAILABLE},
                  {"200 OK", "{}", OUTCOME_UNAVAILABLE},
                  {"200 OK", "", OUTCOME_UNAVAILABLE},
                  {"202 Later", "{\"code\":\"Success\"}", OUTCOME_UNAVAILABLE},
                  {"200 OK", "{\"code\":\"Unknown\"}", OUTCOME_REFUSED},
                  {"200 OK", "{\"code\":\"success\"}", OUTCOME_REFUSED}};

/* Anything but Success forbids delivery. */
START_TEST(untold_certificates_stay)
{
    policy_event_t event;
    const char *news;

    intune_fixture_start(NULL, NULL);
    policy_fixture_request("S3cret", NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_SUCCESS);
    intune_fixture_route(ROUTE_SUCCESS, told_cases[_i].status, "", told_cases[_i].body);
    notify_event(&event, POLICY_EVENT_ISSUED, NULL);
    ck_assert_int_ne(notify(&event, &news), APR_SUCCESS);
    ck_assert_int_eq(t->out.result, told_cases[_i].result);
    ck_assert_ptr_null(news);
    ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), "SCEP0274"));
    ck_assert_ptr_nonnull(strstr(fixture_log_text(f->sink), f->request.transaction_id));
}
END_TEST

START_TEST(unreadable_certificates_stay)
{
    policy_event_t event;
    const char *news;

    intune_fixture_start(NULL, NULL);
    policy_fixture_request("S3cret", NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_SUCCESS);
    notify_event(&event, POLICY_EVENT_ISSUED, NULL);
    event.certificate.len -= 2;
    ck_assert_int_ne(notify(&event, &news), APR_SUCCESS);
    t->tx.request = NULL;
    ck_assert_int_ne(notify(&event, &news), APR_SUCCESS);
    ck_assert_int_eq(asked(ROUTE_SUCCESS), 0);
}
END_TEST

static const struct {
    policy_event_e event;
    const char *reason;
    int told;
} event_cases[] = {{POLICY_EVENT_REFUSED, "ca-rejected", 1},
                   {POLICY_EVENT_REFUSED, "intune-challenge-expired", 0},
                   {POLICY_EVENT_REFUSED, "intune-code", 0},
                   {POLICY_EVENT_REFUSED, "challenge-used", 0},
                   {POLICY_EVENT_PENDING, "approval", 0},
                   {POLICY_EVENT_TRANSIENT, "store", 0},
                   {POLICY_EVENT_UNKNOWN, "ca", 0}};

START_TEST(failures_are_left)
{
    policy_event_t event;
    const char *news;
    outcome_t why;
    json_t *object;

    intune_fixture_start(NULL, NULL);
    policy_fixture_request("S3cret", NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_SUCCESS);
    outcome_refuse(&why, FAIL_INFO_BAD_REQUEST, (apr_int32_t)0x8000ffff, event_cases[_i].reason,
                   "No.", p, "%0300d", 7);
    notify_event(&event, event_cases[_i].event, &why);
    ck_assert_int_eq(notify(&event, &news), APR_SUCCESS);
    ck_assert_int_eq(asked(ROUTE_FAILURE) + asked(ROUTE_SUCCESS), 0);
    ck_assert_int_eq(news != NULL, event_cases[_i].told);
    if (!news)
        return;
    ck_assert_int_eq(policy_intune.deliver(t->instance, news, apr_time_now() + 5000000, &t->out,
                                           f->sink, p), APR_SUCCESS);
    object = json_object_get(intune_fixture_body(ROUTE_FAILURE), "notification");
    ck_assert_uint_eq(json_object_size(object), 5);
    ck_assert(json_integer_value(json_object_get(object, "hResult")) == 2147549183LL);
    ck_assert_uint_eq(strlen(said(ROUTE_FAILURE, "notification", "errorDescription")), 255);
    ck_assert_int_eq(strncmp(said(ROUTE_FAILURE, "notification", "errorDescription"),
                             "ca-rejected: 000", 16), 0);
    ck_assert_str_eq(said(ROUTE_FAILURE, "notification", "transactionId"),
                     f->request.transaction_id);
    ck_assert_ptr_nonnull(said(ROUTE_FAILURE, "notification", "certificateRequest"));
    ck_assert_str_eq(said(ROUTE_FAILURE, "notification", "callerInfo"), "mod_scep/1");
}
END_TEST

static const struct {
    const char *status, *headers, *body;
    apr_status_t rv;
    int retry;
} deliver_cases[] = {{"200 OK", "", "{\"code\":\"Success\"}", APR_SUCCESS, 0},
                     {"200 OK", "", "{\"code\":\"ChallengeExpired\"}", APR_EINVAL, 0},
                     {"200 OK", "", "{}", APR_EGENERAL, 30},
                     {"400 Bad", "", "", APR_EINVAL, 0},
                     {"403 No", "", "", APR_EGENERAL, 0},
                     {"429 Slow", "Retry-After: 9\r\n", "", APR_EGENERAL, 9},
                     {"500 Broken", "", "", APR_EGENERAL, 0},
                     {"", "", "", APR_EGENERAL, 0}};

START_TEST(deliver)
{
    static const char news[] = "{\"notification\":{\"transactionId\":\"t1\"}}";

    intune_fixture_start(NULL, NULL);
    intune_fixture_route(ROUTE_FAILURE, deliver_cases[_i].status, deliver_cases[_i].headers,
                         deliver_cases[_i].body);
    outcome_init(&t->out);
    ck_assert_int_eq(policy_intune.deliver(t->instance, news, apr_time_now() + 5000000, &t->out,
                                           f->sink, p), deliver_cases[_i].rv);
    ck_assert(t->out.retry_after == apr_time_from_sec(deliver_cases[_i].retry));
    ck_assert_int_eq(policy_intune.deliver(t->instance, "{}", 0, &t->out, f->sink, p), APR_EINVAL);
    ck_assert_int_eq(policy_intune.deliver(t->instance, "", 0, &t->out, f->sink, p), APR_EINVAL);
}
END_TEST

/* While Intune wants to be left alone nobody asks, but a certificate that exists is told of. */
START_TEST(left_alone)
{
    policy_event_t event;
    const char *news;

    intune_fixture_start(NULL, NULL);
    policy_fixture_request("S3cret", NULL);
    ck_assert_int_eq(intune_fixture_ask(), APR_SUCCESS);
    intune_fixture_route(ROUTE_VALIDATE, "429 Slow", "Retry-After: 100\r\n", "");
    ck_assert_int_eq(intune_fixture_ask(), APR_EGENERAL);
    intune_fixture_says(ROUTE_VALIDATE, "{\"code\":\"Success\"}");
    ck_assert_int_eq(intune_fixture_ask(), APR_EGENERAL);
    ck_assert_int_eq(asked(ROUTE_VALIDATE), 2);
    ck_assert_ptr_nonnull(strstr(t->out.detail, "left alone"));
    ck_assert(t->out.retry_after > apr_time_from_sec(50));
    notify_event(&event, POLICY_EVENT_ISSUED, NULL);
    ck_assert_int_eq(notify(&event, &news), APR_SUCCESS);
    ck_assert_int_eq(asked(ROUTE_SUCCESS), 1);
}
END_TEST

Suite *test_policy_intune_suite(void)
{
    Suite *suite = suite_create("policy_intune");
    TCase *tc = tcase_create("policy_intune");

    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, options_are_checked, 0, COUNT(option_cases));
    tcase_add_loop_test(tc, names_are_checked, 0, COUNT(bad_names));
    tcase_add_test(tc, question);
    tcase_add_loop_test(tc, codes, 0, COUNT(all_codes));
    tcase_add_test(tc, codes_differ);
    tcase_add_loop_test(tc, answers, 0, COUNT(answer_cases));
    tcase_add_test(tc, description_holds_no_secret);
    tcase_add_test(tc, challenge_is_required);
    tcase_add_test(tc, renewal_by_signer);
    tcase_add_test(tc, used_challenge_is_not_asked_about);
    tcase_add_test(tc, spellings);
    tcase_add_loop_test(tc, odd_challenges, 0, COUNT(odd));
    tcase_add_test(tc, success_is_told);
    tcase_add_test(tc, success_is_told_at_the_end);
    tcase_add_loop_test(tc, untold_certificates_stay, 0, COUNT(told_cases));
    tcase_add_test(tc, unreadable_certificates_stay);
    tcase_add_loop_test(tc, failures_are_left, 0, COUNT(event_cases));
    tcase_add_loop_test(tc, deliver, 0, COUNT(deliver_cases));
    tcase_add_test(tc, left_alone);
    suite_add_tcase(suite, tc);
    return suite;
}
