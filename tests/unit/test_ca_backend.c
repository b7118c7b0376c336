/* SPDX-License-Identifier: Apache-2.0 */
/* Every wrong answer that a CA can give is caught, whoever the CA is. */
#include "ca_fixture.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

Suite *test_ca_backend_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* What the stub backend answers, and how often it was asked. */
typedef struct stub_t {
    apr_status_t rv;
    ca_answer_t answer;
    int submits, polls;
    const char *cookie;
    const ca_template_t *template;
    const char *template_name;
} stub_t;

static stub_t stub;
static X509 *stub_ca;           /* key: fixture_rsa(0) */

static const char *stub_create(void **pinstance, const settings_t *settings,
                               const ca_config_t *cfg, apr_pool_t *p)
{
    (void)settings;
    (void)cfg;
    (void)p;
    *pinstance = &stub;
    return NULL;
}

static apr_status_t stub_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)instance;
    (void)log;
    (void)p;
    stub.submits++;
    stub.template = request->template;
    stub.template_name = request->template_name;
    *answer = stub.answer;
    return stub.rv;
}

static apr_status_t stub_poll(void *instance, const ca_request_t *request, const char *cookie,
                              ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p)
{
    (void)instance;
    (void)request;
    (void)log;
    (void)p;
    stub.polls++;
    stub.cookie = cookie;
    *answer = stub.answer;
    return stub.rv;
}

static apr_status_t stub_chain(void *instance, STACK_OF(X509) **pchain, const log_sink_t *log,
                               apr_pool_t *p)
{
    (void)instance;
    (void)log;
    *pchain = crypt_chain_own(sk_X509_new_null(), p);
    X509_up_ref(stub_ca);
    sk_X509_push(*pchain, stub_ca);
    return APR_SUCCESS;
}

static ca_provider_t provider = {
    .name = "stub",
    .create = stub_create,
    .submit = stub_submit,
    .poll = stub_poll,
    .chain = stub_chain,
};

/* A fresh stub with the given capabilities. */
static ca_t *make_stub(int capabilities)
{
    ca_t *ca;

    memset(&stub, 0, sizeof(stub));
    stub.rv = APR_SUCCESS;
    outcome_init(&stub.answer.outcome);
    stub_ca = ca_fixture_ca(fixture_rsa(0), 3650);
    provider.capabilities = capabilities;
    ck_assert_ptr_null(ca_make(&ca, &provider, 0, NULL, ca_fixture_config(), fixture_pool()));
    return ca;
}

/* Submits request; the log's text is *plog. */
static ca_answer_t submit(ca_t *ca, const ca_fixture_request_t *request, const char **plog)
{
    log_sink_t *log = fixture_log(fixture_pool());
    ca_answer_t answer;

    memset(&answer, 0xff, sizeof(answer));
    ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, log,
              fixture_pool());
    *plog = fixture_log_text(log);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    return answer;
}

/* One line about a leaf that a CA might send. */
typedef struct leaf_case_t {
    const char *name;
    const char *error;              /* part of the log line; NULL: must be accepted */
    int key;                        /* of the certificate: fixture_rsa(key); -1: EC; default 1 */
    int signer;                     /* fixture_rsa(signer) */
    const char *common_name;        /* NULL: "device" */
    int ca;
    const char *key_usage;
    long not_before, not_after;     /* seconds from now */
    const char *digest;             /* NULL: sha256 */
    int foreign_issuer;             /* another issuer name */
    int capabilities;
} leaf_case_t;

static const leaf_case_t leaf_cases[] = {
    {"good", NULL, 1, 0, NULL, 0, NULL, -600, 86400, NULL, 0, 0},
    {"good sha512", NULL, 1, 0, NULL, 0, NULL, -600, 86400, "SHA512", 0, 0},
    {"other key", "no certificate for the key", 2, 0, NULL, 0, NULL, -600, 86400, NULL, 0, 0},
    {"EC key", "no certificate for the key", -1, 0, NULL, 0, NULL, -600, 86400, NULL, 0, 0},
    {"CA:TRUE", "is a CA's", 1, 0, NULL, 1, NULL, -600, 86400, NULL, 0, 0},
    {"keyCertSign", "may sign certificates", 1, 0, NULL, 0, "keyCertSign", -600, 86400, NULL, 0, 0},
    {"cRLSign", "may sign certificates", 1, 0, NULL, 0, "cRLSign", -600, 86400, NULL, 0, 0},
    {"wrong signature", "does not verify", 1, 2, NULL, 0, NULL, -600, 86400, NULL, 0, 0},
    {"foreign issuer", "does not verify", 1, 0, NULL, 0, NULL, -600, 86400, NULL, 1, 0},
    {"self-signed", "does not verify", 1, 1, NULL, 0, NULL, -600, 86400, NULL, 2, 0},
    {"expired", "used: the certificate has expired", 1, 0, NULL, 0, NULL, -600, -1, NULL, 0, 0},
    {"four minutes early", NULL, 1, 0, NULL, 0, NULL, 240, 86400, NULL, 0, 0},
    {"six minutes early", "not valid yet", 1, 0, NULL, 0, NULL, 360, 86400, NULL, 0, 0},
    {"60 years", "more than 50 years", 1, 0, NULL, 0, NULL, -600, 60L * 366 * 86400, NULL, 0, 0},
    {"SHA-1", "algorithm that is not allowed", 1, 0, NULL, 0, NULL, -600, 86400, "SHA1", 0, 0},
    {"MD5", "algorithm that is not allowed", 1, 0, NULL, 0, NULL, -600, 86400, "MD5", 0, 0},
    {"other subject", "subject 'CN=agent' is not", 1, 0, "agent", 0, NULL, -600, 86400, NULL, 0, 0},
    {"subject rewritten", NULL, 1, 0, "agent", 0, NULL, -600, 86400, NULL, 0,
     CA_CAP_REWRITES_SUBJECT},
    {"not the reserved serial", "is not the reserved", 1, 0, NULL, 0, NULL, -600, 86400, NULL, 0,
     CA_CAP_SERIAL},
};

/* The certificate of a case. */
static X509 *leaf_of(const leaf_case_t *c)
{
    static const unsigned char foreign[] = "foreign CA";
    fixture_certificate_t want;
    X509 *cert;

    memset(&want, 0, sizeof(want));
    want.subject = c->common_name != NULL ? c->common_name : "device";
    want.key = c->key < 0 ? fixture_ec() : fixture_rsa(c->key);
    want.issuer = stub_ca;
    want.issuer_key = fixture_rsa(c->signer);
    want.ca = c->ca;
    want.key_usage = c->key_usage;
    want.not_before = c->not_before;
    want.not_after = c->not_after;
    cert = fixture_certificate(fixture_pool(), &want);
    if (c->foreign_issuer == 1) {
        X509_NAME_add_entry_by_txt(X509_get_issuer_name(cert), "CN", MBSTRING_ASC, foreign, -1, -1,
                                   0);
    }
    if (c->foreign_issuer == 2) {
        X509_set_issuer_name(cert, X509_get_subject_name(cert));
    }
    ck_assert_int_gt(X509_sign(cert, fixture_rsa(c->signer),
                               EVP_get_digestbyname(c->digest != NULL ? c->digest : "SHA256")), 0);
    return cert;
}

START_TEST(leaves_are_checked)
{
    const leaf_case_t *c = &leaf_cases[_i];
    ca_t *ca = make_stub(c->capabilities);
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    const char *log;
    ca_answer_t answer;

    stub.answer.result = CA_ISSUED;
    stub.answer.leaf = leaf_of(c);
    answer = submit(ca, request, &log);
    if (c->error == NULL) {
        ck_assert_msg(answer.result == CA_ISSUED, "%s: %s", c->name, log);
        ck_assert_ptr_eq(answer.leaf, stub.answer.leaf);
        ck_assert_int_eq(answer.outcome.result, OUTCOME_SUCCESS);
        ck_assert_str_eq(log, "");
        return;
    }
    ck_assert_msg(answer.result == CA_RETRY, "%s was accepted", c->name);
    ck_assert_int_eq(answer.unknown, 1);
    ck_assert_ptr_null(answer.leaf);
    ck_assert_int_eq(answer.outcome.result, OUTCOME_UNAVAILABLE);
    ck_assert_str_eq(answer.outcome.reason, "ca-answer");
    ck_assert_msg(strstr(log, c->error) != NULL, "%s: %s", c->name, log);
    ck_assert_msg(strncmp(log, "3 SCEP0300 ", 11) == 0, "%s", log);
}
END_TEST

/* What a certificate may be for; the third is Microsoft's application policies. */
static const struct {
    const char *extension;
    int good;
} purpose_cases[] = {
    {"extendedKeyUsage=clientAuth,emailProtection", 1},
    {"extendedKeyUsage=clientAuth,1.3.6.1.4.1.311.20.2.1", 0},
    {"1.3.6.1.4.1.311.21.10=DER:300e300c060a2b060104018237140201", 0},
    {"1.3.6.1.4.1.311.21.10=DER:300c300a06082b06010505070302", 1},
    {"1.3.6.1.4.1.311.21.10=DER:0500", 0},
    {"extendedKeyUsage=critical,OCSPSigning", 0},
    {"extendedKeyUsage=DER:0500", 0},
};

START_TEST(agents_are_no_devices)
{
    ca_t *ca = make_stub(CA_CAP_REWRITES_SUBJECT);
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    fixture_certificate_t want;
    const char *log;

    memset(&want, 0, sizeof(want));
    want.subject = "device";
    want.key = fixture_rsa(1);
    want.issuer = stub_ca;
    want.issuer_key = fixture_rsa(0);
    want.extension = purpose_cases[_i].extension;
    stub.answer.result = CA_ISSUED;
    stub.answer.leaf = fixture_certificate(fixture_pool(), &want);
    ck_assert_int_eq(submit(ca, request, &log).result == CA_ISSUED, purpose_cases[_i].good);
    ck_assert(purpose_cases[_i].good || strstr(log, "enrollment agent") != NULL);
}
END_TEST

/* A CA below ours signed it, and sent its own certificate along. */
START_TEST(issuer_is_of_the_chain)
{
    ca_t *ca = make_stub(0);
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    fixture_certificate_t want;
    X509 *sibling;
    const char *log;

    memset(&want, 0, sizeof(want));
    want.subject = "sibling CA";
    want.key = fixture_rsa(2);
    want.issuer = stub_ca;
    want.issuer_key = fixture_rsa(0);
    want.ca = 1;
    sibling = fixture_certificate(fixture_pool(), &want);
    want.subject = "device";
    want.key = fixture_rsa(1);
    want.issuer = sibling;
    want.issuer_key = fixture_rsa(2);
    want.ca = 0;
    stub.answer.result = CA_ISSUED;
    stub.answer.leaf = fixture_certificate(fixture_pool(), &want);
    stub.answer.certs = crypt_chain_own(sk_X509_new_null(), fixture_pool());
    X509_up_ref(sibling);
    sk_X509_push(stub.answer.certs, sibling);
    ck_assert_int_eq(submit(ca, request, &log).result, CA_RETRY);
    ck_assert_msg(strstr(log, "its issuer is not in it") != NULL, "%s", log);
}
END_TEST

START_TEST(leaf_is_found_by_key)
{
    ca_t *ca = make_stub(0);
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    leaf_case_t other = leaf_cases[2];
    X509 *leaf = leaf_of(&leaf_cases[0]);
    ca_answer_t answer;
    const char *log;

    stub.answer.result = CA_ISSUED;
    stub.answer.certs = crypt_chain_own(sk_X509_new_null(), fixture_pool());
    answer = submit(ca, request, &log);
    ck_assert_int_eq(answer.result, CA_RETRY);
    X509_up_ref(stub_ca);
    sk_X509_push(stub.answer.certs, stub_ca);
    stub.answer.leaf = leaf_of(&other);
    answer = submit(ca, request, &log);
    ck_assert_int_eq(answer.result, CA_RETRY);
    X509_up_ref(leaf);
    sk_X509_push(stub.answer.certs, leaf);
    answer = submit(ca, request, &log);
    ck_assert_msg(answer.result == CA_ISSUED, "%s", log);
    ck_assert_ptr_eq(answer.leaf, leaf);
}
END_TEST

START_TEST(ca_s_own_certificate_is_no_answer)
{
    ca_t *ca = make_stub(CA_CAP_REWRITES_SUBJECT);
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(0), "device", NULL, NULL);
    ca_answer_t answer;
    const char *log;

    stub.answer.result = CA_ISSUED;
    stub.answer.leaf = stub_ca;
    answer = submit(ca, request, &log);
    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert_ptr_nonnull(strstr(log, "is a CA's"));
}
END_TEST

/* Answers other than ISSUED, and what becomes of them. */
static const struct {
    int capabilities;
    apr_status_t rv;
    int result;
    const char *cookie;
    int unknown;
    int expected;
    int expected_unknown;
    const char *reason;
} plain_cases[] = {
    {CA_CAP_PENDING, APR_SUCCESS, CA_PENDING, "17", 0, CA_PENDING, 0, "ca-pending"},
    {CA_CAP_PENDING, APR_SUCCESS, CA_PENDING, "17", 1, CA_PENDING, 0, "ca-pending"},
    {CA_CAP_PENDING, APR_SUCCESS, CA_PENDING, NULL, 0, CA_RETRY, 1, "ca-answer"},
    {CA_CAP_PENDING, APR_SUCCESS, CA_PENDING, "", 0, CA_RETRY, 1, "ca-answer"},
    {CA_CAP_PENDING, APR_SUCCESS, CA_PENDING, "a\nb", 0, CA_RETRY, 1, "ca-answer"},
    {0, APR_SUCCESS, CA_PENDING, "17", 0, CA_RETRY, 1, "ca-answer"},
    {0, APR_SUCCESS, CA_REJECTED, NULL, 0, CA_REJECTED, 0, "ca-rejected"},
    {0, APR_SUCCESS, CA_RETRY, NULL, 0, CA_RETRY, 0, "no-answer"},
    {0, APR_SUCCESS, CA_RETRY, NULL, 1, CA_RETRY, 1, "no-answer"},
    {0, APR_SUCCESS, 99, NULL, 0, CA_RETRY, 1, "ca-answer"},
    {0, APR_SUCCESS, CA_ISSUED, NULL, 0, CA_RETRY, 1, "ca-answer"},
    {0, APR_EGENERAL, CA_ISSUED, NULL, 0, CA_RETRY, 1, "ca-error"},
    {0, APR_TIMEUP, CA_REJECTED, NULL, 0, CA_RETRY, 1, "ca-error"},
};

START_TEST(plain_answers_are_settled)
{
    ca_t *ca = make_stub(plain_cases[_i].capabilities);
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    ca_answer_t answer;
    const char *log;

    stub.rv = plain_cases[_i].rv;
    stub.answer.result = (ca_result_e)plain_cases[_i].result;
    stub.answer.cookie = plain_cases[_i].cookie;
    stub.answer.unknown = plain_cases[_i].unknown;
    answer = submit(ca, request, &log);
    ck_assert_int_eq(answer.result, plain_cases[_i].expected);
    ck_assert_int_eq(answer.unknown, plain_cases[_i].expected_unknown);
    ck_assert_str_eq(answer.outcome.reason, plain_cases[_i].reason);
    ck_assert_int_eq(answer.outcome.result, answer.result == CA_PENDING ? OUTCOME_PENDING
                     : answer.result == CA_REJECTED ? OUTCOME_REFUSED : OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(strstr(log, "3 SCEP03") != NULL, answer.unknown && strcmp(
                     plain_cases[_i].reason, "no-answer") != 0);
}
END_TEST

START_TEST(long_cookie_is_no_answer)
{
    ca_t *ca = make_stub(CA_CAP_PENDING);
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    char cookie[257];
    const char *log;

    memset(cookie, 'c', sizeof(cookie));
    cookie[256] = '\0';
    stub.answer.result = CA_PENDING;
    stub.answer.cookie = cookie;
    ck_assert_int_eq(submit(ca, request, &log).result, CA_RETRY);
    cookie[255] = '\0';
    ck_assert_int_eq(submit(ca, request, &log).result, CA_PENDING);
}
END_TEST

START_TEST(nothing_is_asked_without_a_fitting_grant)
{
    ca_t *ca = make_stub(0);
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    ca_fixture_request_t *other = ca_fixture_request(fixture_rsa(1), "other", NULL, NULL);
    ca_answer_t answer;
    const char *log;

    request->grant = other->grant;
    answer = submit(ca, request, &log);
    ck_assert_int_eq(answer.result, CA_REJECTED);
    ck_assert_str_eq(answer.outcome.reason, "csr-grant");
    request->grant = NULL;
    answer = submit(ca, request, &log);
    ck_assert_int_eq(answer.result, CA_REJECTED);
    request = ca_fixture_request(fixture_rsa(1), NULL, NULL, NULL);
    answer = submit(ca, request, &log);
    ck_assert_int_eq(answer.result, CA_REJECTED);
    ck_assert_str_eq(answer.outcome.reason, "template-subject");
    ca_submit(ca, other->grant, other->csr, apr_time_now() - 1, &answer, NULL, fixture_pool());
    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert_int_eq(answer.unknown, 0);
    ck_assert_str_eq(answer.outcome.reason, "ca-deadline");
    ck_assert_int_eq(stub.submits, 0);
}
END_TEST

START_TEST(template_goes_by_the_grant)
{
    const char *word = "minimumKey=4096";
    const ca_template_t *strong;
    ca_config_t *cfg = ca_fixture_config();
    ca_fixture_request_t *request;
    const char *log;
    ca_t *ca = make_stub(0);

    ck_assert_ptr_null(ca_template_make(&strong, "Strong", 1, &word, fixture_pool()));
    APR_ARRAY_PUSH((apr_array_header_t *)cfg->templates, const ca_template_t *) = strong;
    ck_assert_ptr_null(ca_make(&ca, &provider, 0, NULL, cfg, fixture_pool()));
    stub.answer.result = CA_RETRY;
    request = ca_fixture_request(fixture_rsa(1), "device", NULL, "AD-Template");
    (void)submit(ca, request, &log);
    ck_assert_ptr_eq(stub.template, ca_template_default());
    ck_assert_str_eq(stub.template_name, "AD-Template");
    request = ca_fixture_request(fixture_rsa(1), "device", NULL, "Strong");
    ck_assert_int_eq(submit(ca, request, &log).result, CA_REJECTED);
    ck_assert_int_eq(stub.submits, 1);
}
END_TEST

START_TEST(poll_is_checked_like_submit)
{
    ca_t *ca = make_stub(CA_CAP_PENDING);
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    ca_answer_t answer;
    apr_pool_t *p = fixture_pool();

    stub.answer.result = CA_ISSUED;
    stub.answer.leaf = leaf_of(&leaf_cases[0]);
    ca_poll(ca, request->grant, request->csr, "17", ca_fixture_deadline(), &answer, NULL, p);
    ck_assert_int_eq(answer.result, CA_ISSUED);
    ck_assert_str_eq(stub.cookie, "17");
    stub.answer.leaf = leaf_of(&leaf_cases[2]);
    ca_poll(ca, request->grant, request->csr, "17", ca_fixture_deadline(), &answer, NULL, p);
    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert_str_eq(answer.outcome.reason, "ca-answer");
    ca_poll(ca, request->grant, request->csr, "", ca_fixture_deadline(), &answer, NULL, p);
    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert_str_eq(answer.outcome.reason, "ca-poll");
    ck_assert_int_eq(stub.polls, 2);
}
END_TEST

/* Writes certificates to a file; returns its path. */
static const char *chain_file(X509 *a, X509 *b, X509 *c)
{
    apr_pool_t *p = fixture_pool();

    return fixture_file(p, fixture_directory(p), "chain.pem",
                        apr_pstrcat(p, fixture_certificate_pem(p, a),
                                    fixture_certificate_pem(p, b), fixture_certificate_pem(p, c),
                                    NULL), 0600);
}

START_TEST(chain_file_is_put_in_order)
{
    apr_pool_t *p = fixture_pool();
    ca_config_t *cfg = ca_fixture_config();
    fixture_certificate_t want;
    X509 *root = ca_fixture_ca(fixture_rsa(2), 3650), *middle, *issuing;
    STACK_OF(X509) *chain;
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    const char *log;
    ca_t *ca = make_stub(0);

    memset(&want, 0, sizeof(want));
    want.ca = 1;
    want.subject = "middle CA";
    want.key = fixture_ec();
    want.issuer = root;
    want.issuer_key = fixture_rsa(2);
    middle = fixture_certificate(p, &want);
    want.subject = "issuing CA";
    want.key = fixture_rsa(0);
    want.issuer = middle;
    want.issuer_key = fixture_ec();
    issuing = fixture_certificate(p, &want);
    cfg->chain_file = chain_file(root, issuing, middle);
    ck_assert_ptr_null(ca_make(&ca, &provider, 0, NULL, cfg, p));
    ck_assert_int_eq(ca_chain(ca, &chain, NULL, p), APR_SUCCESS);
    ck_assert_int_eq(sk_X509_num(chain), 3);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 0), issuing), 0);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 1), middle), 0);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 2), root), 0);
    stub.answer.result = CA_ISSUED;
    stub.answer.leaf = leaf_of(&leaf_cases[0]);
    ck_assert_int_eq(submit(ca, request, &log).result, CA_RETRY);
    stub_ca = issuing;
    stub.answer.leaf = leaf_of(&leaf_cases[0]);
    ck_assert_int_eq(submit(ca, request, &log).result, CA_ISSUED);
    cfg->chain_file = chain_file(root, stub.answer.leaf, middle);
    ck_assert_ptr_nonnull(strstr(ca_make(&ca, &provider, 0, NULL, cfg, p), "is not a CA's"));
    cfg->chain_file = "/nonexistent/chain.pem";
    ck_assert_ptr_nonnull(strstr(ca_make(&ca, &provider, 0, NULL, cfg, p), "/nonexistent"));
}
END_TEST

START_TEST(fingerprints_tell_cas_and_templates_apart)
{
    static const char *const words[] = {"validity=1d", "validity=2d"};
    apr_pool_t *p = fixture_pool();
    const ca_template_t *a, *b, *b2;
    ca_config_t *ab = ca_fixture_config(), *ba = ca_fixture_config(), *ab2 = ca_fixture_config();
    ca_t *one = ca_fixture_local(ca_fixture_ca(fixture_rsa(0), 1000), fixture_rsa(0), NULL, ab);
    ca_t *two = ca_fixture_local(ca_fixture_ca(fixture_rsa(0), 2000), fixture_rsa(0), NULL, ba);
    ca_t *three = ca_fixture_local(ca_fixture_ca(fixture_rsa(0), 2000), fixture_rsa(0), NULL, ab2);

    ck_assert_uint_eq(strlen(ca_fingerprint(one, p)), 64);
    ck_assert_str_ne(ca_fingerprint(one, p), ca_fingerprint(two, p));
    ck_assert_str_eq(ca_fingerprint(one, p), ca_fingerprint(one, p));
    ck_assert_str_eq(ca_templates_fingerprint(one, p), ca_templates_fingerprint(two, p));
    ck_assert_ptr_null(ca_template_make(&a, "A", 1, &words[0], p));
    ck_assert_ptr_null(ca_template_make(&b, "B", 1, &words[0], p));
    ck_assert_ptr_null(ca_template_make(&b2, "B", 1, &words[1], p));
    APR_ARRAY_PUSH((apr_array_header_t *)ab->templates, const ca_template_t *) = a;
    APR_ARRAY_PUSH((apr_array_header_t *)ab->templates, const ca_template_t *) = b;
    APR_ARRAY_PUSH((apr_array_header_t *)ba->templates, const ca_template_t *) = b;
    APR_ARRAY_PUSH((apr_array_header_t *)ba->templates, const ca_template_t *) = a;
    APR_ARRAY_PUSH((apr_array_header_t *)ab2->templates, const ca_template_t *) = a;
    APR_ARRAY_PUSH((apr_array_header_t *)ab2->templates, const ca_template_t *) = b2;
    ck_assert_str_eq(ca_templates_fingerprint(one, p), ca_templates_fingerprint(two, p));
    ck_assert_str_ne(ca_templates_fingerprint(one, p), ca_templates_fingerprint(three, p));
}
END_TEST

START_TEST(serial_and_signature_are_checked_where_they_are_ours)
{
    ca_t *ca = ca_fixture_local(ca_fixture_ca(fixture_rsa(0), 1000), fixture_rsa(0), NULL,
                                ca_fixture_config());
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    const ASN1_BIT_STRING *signature;
    const char *log;
    ca_answer_t answer = submit(ca, request, &log);

    ck_assert_int_eq(answer.result, CA_ISSUED);
    /* the stub repeats it, with its own CA of the same name and key: good, then spoiled */
    ca = make_stub(CA_CAP_SERIAL);
    stub.answer.result = CA_ISSUED;
    stub.answer.leaf = answer.leaf;
    ck_assert_int_eq(submit(ca, request, &log).result, CA_ISSUED);
    request->values.serial[15] ^= 1;
    request->grant = grant_make(&request->values, fixture_pool());
    ck_assert_int_eq(submit(ca, request, &log).result, CA_RETRY);
    ck_assert_ptr_nonnull(strstr(log, "is not the reserved"));
    request->values.serial[15] ^= 1;
    request->values.not_before -= apr_time_from_sec(1);
    request->grant = grant_make(&request->values, fixture_pool());
    ck_assert_int_eq(submit(ca, request, &log).result, CA_RETRY);
    ck_assert_ptr_nonnull(strstr(log, "notBefore is not the reserved one"));
    request->values.not_before += apr_time_from_sec(1);
    request->grant = grant_make(&request->values, fixture_pool());
    X509_get0_signature(&signature, NULL, answer.leaf);
    signature->data[signature->length - 1] ^= 1;
    ck_assert_int_eq(submit(ca, request, &log).result, CA_RETRY);
    ck_assert_ptr_nonnull(strstr(log, "signature does not verify"));
}
END_TEST

START_TEST(backends_without_slots)
{
    static const ca_provider_t bare = {.name = "bare", .create = stub_create,
                                       .submit = stub_submit};
    static const ca_provider_t broken = {.name = "broken", .create = stub_create};
    static const char *const words[] = {"a=b"};
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    apr_pool_t *p = fixture_pool();
    STACK_OF(X509) *chain;
    EVP_PKEY *key;
    X509 *cert;
    const char *text, *log;
    ca_t *ca = make_stub(0);

    ck_assert_ptr_nonnull(strstr(ca_make(&ca, &broken, 0, NULL, ca_fixture_config(), p),
                                 "cannot sign"));
    ck_assert_ptr_nonnull(strstr(ca_make(&ca, &bare, 1, words, ca_fixture_config(), p),
                                 "unknown key 'a'; known keys: none"));
    ck_assert_ptr_null(ca_make(&ca, &bare, 0, NULL, ca_fixture_config(), p));
    ck_assert_int_eq(ca_chain(ca, &chain, NULL, p), APR_ENOTIMPL);
    ck_assert_int_eq(ca_get0_identity(ca, &cert, &key), APR_ENOTIMPL);
    ck_assert_int_eq(ca_health(ca, &text, p), APR_SUCCESS);
    ck_assert_int_eq(ca_child_init(ca, p), APR_SUCCESS);
    ck_assert_uint_eq(strlen(ca_fingerprint(ca, p)), 64);
    stub.answer.result = CA_ISSUED;
    stub.answer.leaf = leaf_of(&leaf_cases[0]);
    ck_assert_int_eq(submit(ca, request, &log).result, CA_RETRY);
    ck_assert_ptr_nonnull(strstr(log, "chain is not known"));
}
END_TEST

Suite *test_ca_backend_suite(void)
{
    Suite *suite = suite_create("ca_backend");
    TCase *tc = tcase_create("backend");

    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tc, leaves_are_checked, 0, COUNT(leaf_cases));
    tcase_add_test(tc, leaf_is_found_by_key);
    tcase_add_loop_test(tc, agents_are_no_devices, 0,
                        (int)(sizeof(purpose_cases) / sizeof(purpose_cases[0])));
    tcase_add_test(tc, issuer_is_of_the_chain);
    tcase_add_test(tc, ca_s_own_certificate_is_no_answer);
    tcase_add_loop_test(tc, plain_answers_are_settled, 0, COUNT(plain_cases));
    tcase_add_test(tc, long_cookie_is_no_answer);
    tcase_add_test(tc, nothing_is_asked_without_a_fitting_grant);
    tcase_add_test(tc, template_goes_by_the_grant);
    tcase_add_test(tc, poll_is_checked_like_submit);
    tcase_add_test(tc, chain_file_is_put_in_order);
    tcase_add_test(tc, fingerprints_tell_cas_and_templates_apart);
    tcase_add_test(tc, serial_and_signature_are_checked_where_they_are_ours);
    tcase_add_test(tc, backends_without_slots);
    suite_add_tcase(suite, tc);
    return suite;
}
