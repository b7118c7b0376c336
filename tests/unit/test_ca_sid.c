/* SPDX-License-Identifier: Apache-2.0 */
/* What policy adds to a certificate: the security identifier's bytes, the local CA, and that no
 * backend leaves out what it cannot do. */
#include "../../ca_backend/ca_sid.h"
#include "ca_fixture.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

Suite *test_ca_sid_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define SID "S-1-5-21-1-2-3-4"
#define SID_URI "tag:microsoft.com,2022-09-14:sid:"

/* SEQUENCE { [0] { OID 1.3.6.1.4.1.311.25.2.1, [0] { OCTET STRING } } } */
static const unsigned char sid_der[] = {
    0x30, 0x22, 0xa0, 0x20, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82,
    0x37, 0x19, 0x02, 0x01, 0xa0, 0x12, 0x04, 0x10, 'S',  '-',  '1',  '-',
    '5',  '-',  '2',  '1',  '-',  '1',  '-',  '2',  '-',  '3',  '-',  '4'};

/* The same as openssl.cnf takes it, for a CSR or certificate of its own making. */
#define SID_EXTENSION                                                                             \
    "1.3.6.1.4.1.311.25.2=DER:30:22:a0:20:06:0a:2b:06:01:04:01:82:37:19:02:01:a0:12:04:10:53:"    \
    "2d:31:2d:35:2d:32:31:2d:31:2d:32:2d:33:2d:34"
#define OTHER_SID_EXTENSION                                                                       \
    "1.3.6.1.4.1.311.25.2=DER:30:22:a0:20:06:0a:2b:06:01:04:01:82:37:19:02:01:a0:12:04:10:53:"    \
    "2d:31:2d:35:2d:32:31:2d:31:2d:32:2d:33:2d:35"

/* A SAN of the URI alone, which may hold a comma. */
static const char *uri_extension(const char *uri)
{
    char *der = apr_psprintf(fixture_pool(), "subjectAltName=DER:30:%02x:86:%02x",
                             (unsigned)strlen(uri) + 2, (unsigned)strlen(uri));

    for (; *uri != '\0'; uri++) {
        der = apr_psprintf(fixture_pool(), "%s:%02x", der, (unsigned char)*uri);
    }
    return der;
}

/* A request whose grant adds these; NULL: nothing. */
static ca_fixture_request_t *request_with(const char *extension, const char *template_name,
                                          const char *common_name, const char *sid)
{
    apr_pool_t *p = fixture_pool();
    ca_fixture_request_t *request =
        ca_fixture_request(fixture_rsa(1), "device", extension, template_name);
    X509_NAME *name;
    unsigned char *der = NULL;
    int len;

    if (common_name != NULL) {
        name = X509_NAME_new();
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                   -1, -1, 0);
        len = i2d_X509_NAME(name, &der);
        request->values.subject.data = apr_pmemdup(p, der, (apr_size_t)len);
        request->values.subject.len = (apr_size_t)len;
        OPENSSL_free(der);
        X509_NAME_free(name);
    }
    request->values.sid = sid;
    request->grant = grant_make(&request->values, p);
    return request;
}

START_TEST(bytes)
{
    X509_EXTENSION *ext = ca_sid_make(SID);
    unsigned char *der = NULL;
    char oid[64];
    int len;

    ck_assert_ptr_nonnull(ext);
    OBJ_obj2txt(oid, sizeof(oid), X509_EXTENSION_get_object(ext), 1);
    ck_assert_str_eq(oid, "1.3.6.1.4.1.311.25.2");
    ck_assert_int_eq(X509_EXTENSION_get_critical(ext), 0);
    ck_assert_int_eq(ASN1_STRING_length(X509_EXTENSION_get_data(ext)), sizeof(sid_der));
    ck_assert_mem_eq(ASN1_STRING_get0_data(X509_EXTENSION_get_data(ext)), sid_der,
                     sizeof(sid_der));
    len = i2d_X509_EXTENSION(ext, &der); /* no BOOLEAN: critical is the default */
    ck_assert_int_eq(len, 2 + 2 + 9 + 2 + (int)sizeof(sid_der));
    OPENSSL_free(der);
    X509_EXTENSION_free(ext);
}
END_TEST

START_TEST(lists)
{
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();

    ck_assert_ptr_null(ca_sid_find(NULL));
    ck_assert_ptr_null(ca_sid_find(list));
    ck_assert(!ca_sid_is(list, SID) && !ca_sid_is(NULL, SID));
    sk_X509_EXTENSION_push(
        list, X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:FALSE"));
    ck_assert_ptr_null(ca_sid_find(list));
    sk_X509_EXTENSION_push(list, ca_sid_make(SID));
    ck_assert_ptr_eq(ca_sid_find(list), sk_X509_EXTENSION_value(list, 1));
    ck_assert(ca_sid_is(list, SID));
    ck_assert(!ca_sid_is(list, SID "0"));
    sk_X509_EXTENSION_push(list, ca_sid_make(SID));
    ck_assert(!ca_sid_is(list, SID)); /* two */
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
}
END_TEST

/* The local CA with templates "Vip" (for an hour), "Bare" (no subject) and "Mapped" (sid SANs). */
static ca_t *local(void)
{
    static const char *const words[][3] = {{"Vip", "validity=1h", NULL},
                                           {"Bare", "subject=none", NULL},
                                           {"Mapped", "sanTypes=dns,sid", NULL}};
    ca_config_t *cfg = ca_fixture_config();
    const ca_template_t *t;
    unsigned i;

    for (i = 0; i < COUNT(words); i++) {
        ck_assert_ptr_null(
            ca_template_make(&t, words[i][0], 1, &words[i][1], fixture_pool()));
        APR_ARRAY_PUSH((apr_array_header_t *)cfg->templates, const ca_template_t *) = t;
    }
    return ca_fixture_local(ca_fixture_ca(fixture_rsa(0), 365), fixture_rsa(0), NULL, cfg);
}

/* Submits; *plog is what was logged. */
static ca_answer_t submit(ca_t *ca, const ca_fixture_request_t *request, const char **plog)
{
    log_sink_t *log = fixture_log(fixture_pool());
    ca_answer_t answer;

    ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, log,
              fixture_pool());
    *plog = fixture_log_text(log);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    return answer;
}

static const struct {
    const char *extension, *template_name, *common_name, *sid;
    ca_result_e result;
    const char *reason, *said; /* of what is not issued */
} local_cases[] = {
    {NULL, NULL, NULL, NULL, CA_ISSUED, NULL, NULL},
    {NULL, NULL, "other", NULL, CA_ISSUED, NULL, NULL},
    {NULL, NULL, NULL, SID, CA_ISSUED, NULL, NULL},
    {NULL, "Vip", "other", SID, CA_ISSUED, NULL, NULL},
    {"subjectAltName=DNS:a.example", NULL, "other", SID, CA_ISSUED, NULL, NULL},
    /* what a CSR asks for itself is not copied */
    {SID_EXTENSION, NULL, NULL, NULL, CA_ISSUED, NULL, NULL},
    {OTHER_SID_EXTENSION, NULL, NULL, SID, CA_ISSUED, NULL, NULL},
    {SID_URI SID, NULL, NULL, NULL, CA_REJECTED, "template-san", "kind sid"},
    {SID_URI "S-1-5-21-1-2-3-5", NULL, NULL, SID, CA_REJECTED, "template-san", "kind sid"},
    {SID_URI SID "4", NULL, NULL, SID, CA_REJECTED, "template-san", "kind sid"},
    /* unless policy vouches for it, or the template allows it */
    {SID_URI SID, NULL, NULL, SID, CA_ISSUED, NULL, NULL},
    {SID_URI SID, "Mapped", NULL, NULL, CA_ISSUED, NULL, NULL},
    /* what cannot be done is not done without */
    {NULL, "Nowhere", NULL, NULL, CA_RETRY, "ca-template", "no ScepLocalTemplate Nowhere"},
    {"subjectAltName=DNS:a.example", "Bare", "other", NULL, CA_RETRY, "ca-attributes",
     "subject=none"},
    {NULL, NULL, "o\001ther", NULL, CA_REJECTED, "template-subject", "control character"}};

START_TEST(local_ca)
{
    const char *sid = local_cases[_i].sid, *text, *name = local_cases[_i].common_name;
    const char *extension = local_cases[_i].extension;
    ca_answer_t answer;
    const STACK_OF(X509_EXTENSION) *extensions;

    if (extension != NULL && strncmp(extension, "tag:", 4) == 0) {
        extension = uri_extension(extension);
    }
    answer = submit(local(), request_with(extension, local_cases[_i].template_name, name, sid),
                    &text);
    ck_assert_msg(answer.result == local_cases[_i].result, "%s: %s", answer.outcome.reason,
                  answer.outcome.detail);
    if (answer.result != CA_ISSUED) {
        ck_assert_str_eq(answer.outcome.reason, local_cases[_i].reason);
        ck_assert_ptr_nonnull(strstr(answer.outcome.detail, local_cases[_i].said));
        ck_assert_int_eq(answer.outcome.result, answer.result == CA_RETRY ? OUTCOME_UNAVAILABLE
                                                                          : OUTCOME_REFUSED);
        ck_assert_int_eq(*text != '\0', answer.result == CA_RETRY);
        return;
    }
    extensions = X509_get0_extensions(answer.leaf);
    if (sid != NULL) {
        ck_assert(ca_sid_is(extensions, sid));
    }
    else {
        ck_assert_ptr_null(ca_sid_find(extensions));
    }
    ck_assert_str_eq(crypt_name_text(X509_get_subject_name(answer.leaf), fixture_pool()),
                     name != NULL ? "CN=other" : "CN=device");
    ck_assert_int_eq(X509_get_ext_by_NID(answer.leaf, NID_subject_alt_name, -1) >= 0,
                     extension != NULL && strstr(extension, "subjectAltName") != NULL);
}
END_TEST

/* Only the subject counts that the certificate will have. */
START_TEST(subject_for_a_csr_without)
{
    ca_fixture_request_t *request =
        ca_fixture_request(fixture_rsa(1), NULL, NULL, NULL), *named = request_with(NULL, NULL,
                                                                                    "given", NULL);
    const char *text;
    ca_answer_t answer = submit(local(), request, &text);

    ck_assert_int_eq(answer.result, CA_REJECTED);
    ck_assert_str_eq(answer.outcome.reason, "template-subject");
    request->values.subject = named->values.subject;
    request->grant = grant_make(&request->values, fixture_pool());
    answer = submit(local(), request, &text);
    ck_assert_int_eq(answer.result, CA_ISSUED);
    ck_assert_str_eq(crypt_name_text(X509_get_subject_name(answer.leaf), fixture_pool()),
                     "CN=given");
}
END_TEST

static const crypt_buf_t wrong_names[] = {{(const unsigned char *)"", 0},
                                          {(const unsigned char *)"\x30\x00", 2},
                                          {(const unsigned char *)"\x30\x05", 2},
                                          {(const unsigned char *)"\x04\x01x", 3},
                                          {(const unsigned char *)"\x30\x00\x00", 3}};

START_TEST(subjects_that_are_none)
{
    ca_fixture_request_t *request = request_with(NULL, NULL, NULL, NULL);
    const char *text;
    ca_answer_t answer;

    request->values.subject = wrong_names[_i];
    request->grant = grant_make(&request->values, fixture_pool());
    answer = submit(local(), request, &text);
    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert_str_eq(answer.outcome.reason, "ca-attributes");
    ck_assert_ptr_nonnull(strstr(text, "SCEP0303"));
}
END_TEST

/* A backend that answers with a certificate that the test made. */
static X509 *stub_ca, *stub_leaf;
static int submits;

static const char *stub_create(void **pinstance, const settings_t *settings,
                               const ca_config_t *cfg, apr_pool_t *p)
{
    (void)settings;
    (void)cfg;
    (void)p;
    *pinstance = NULL;
    return NULL;
}

static apr_status_t stub_submit(void *instance, const ca_request_t *request, ca_answer_t *answer,
                                const log_sink_t *log, apr_pool_t *p)
{
    (void)instance;
    (void)request;
    (void)log;
    (void)p;
    submits++;
    answer->result = CA_ISSUED;
    answer->leaf = stub_leaf;
    return APR_SUCCESS;
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

static const struct {
    int capabilities;
    const char *csr_extension, *granted_name, *granted_sid; /* what is asked for */
    const char *name, *extension;                           /* what comes */
    ca_result_e result;
    const char *said; /* of what is not issued */
} answers[] = {
    {0, NULL, NULL, NULL, "device", NULL, CA_ISSUED, NULL},
    {0, NULL, NULL, NULL, "device", SID_EXTENSION, CA_ISSUED, NULL}, /* the CA knows the account */
    {0, NULL, "other", NULL, "other", NULL, CA_RETRY, "another subject"},
    {0, NULL, NULL, SID, "device", SID_EXTENSION, CA_RETRY, "security identifier"},
    {CA_CAP_REWRITES_SUBJECT, NULL, "other", NULL, "other", NULL, CA_RETRY, "another subject"},
    {0, SID_EXTENSION, NULL, NULL, "device", NULL, CA_REJECTED, "only policy may add"},
    {CA_CAP_SUBJECT, NULL, "other", NULL, "other", NULL, CA_ISSUED, NULL},
    {CA_CAP_SUBJECT, NULL, "other", NULL, "device", NULL, CA_RETRY, "not the requested one"},
    {CA_CAP_SUBJECT | CA_CAP_REWRITES_SUBJECT, NULL, "other", NULL, "third", NULL, CA_RETRY,
     "not the requested one"},
    {CA_CAP_SUBJECT | CA_CAP_REWRITES_SUBJECT, NULL, NULL, NULL, "third", NULL, CA_ISSUED, NULL},
    {CA_CAP_SID, NULL, NULL, SID, "device", SID_EXTENSION, CA_ISSUED, NULL},
    {CA_CAP_SID, NULL, NULL, SID, "device", NULL, CA_RETRY, "not exactly the granted one"},
    {CA_CAP_SID, NULL, NULL, SID, "device", OTHER_SID_EXTENSION, CA_RETRY,
     "not exactly the granted one"},
    {CA_CAP_SID, OTHER_SID_EXTENSION, NULL, SID, "device", SID_EXTENSION, CA_ISSUED, NULL},
    {CA_CAP_SID, SID_EXTENSION, NULL, NULL, "device", NULL, CA_ISSUED, NULL},
    {CA_CAP_SID, SID_EXTENSION, NULL, NULL, "device", SID_EXTENSION, CA_RETRY,
     "policy did not add"}};

START_TEST(other_backends)
{
    ca_provider_t provider = {
        .name = "stub", .create = stub_create, .submit = stub_submit, .chain = stub_chain};
    fixture_certificate_t want;
    ca_answer_t answer;
    const char *text;
    ca_t *ca;

    memset(&want, 0, sizeof(want));
    stub_ca = ca_fixture_ca(fixture_rsa(0), 365);
    want.subject = answers[_i].name;
    want.key = fixture_rsa(1);
    want.issuer = stub_ca;
    want.issuer_key = fixture_rsa(0);
    want.extension = answers[_i].extension;
    stub_leaf = fixture_certificate(fixture_pool(), &want);
    submits = 0;
    provider.capabilities = answers[_i].capabilities;
    ck_assert_ptr_null(ca_make(&ca, &provider, 0, NULL, ca_fixture_config(), fixture_pool()));
    answer = submit(ca, request_with(answers[_i].csr_extension, NULL, answers[_i].granted_name,
                                     answers[_i].granted_sid), &text);
    ck_assert_msg(answer.result == answers[_i].result, "%s: %s", answer.outcome.reason,
                  answer.outcome.detail);
    if (answers[_i].said != NULL) {
        ck_assert_msg(strstr(answer.outcome.detail, answers[_i].said) != NULL, "%s",
                      answer.outcome.detail);
        /* a CA that is not asked has not signed */
        ck_assert_int_eq(answer.unknown, submits);
    }
}
END_TEST

Suite *test_ca_sid_suite(void)
{
    Suite *suite = suite_create("ca_sid");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, bytes);
    tcase_add_test(tcase, lists);
    tcase_add_loop_test(tcase, local_ca, 0, COUNT(local_cases));
    tcase_add_test(tcase, subject_for_a_csr_without);
    tcase_add_loop_test(tcase, subjects_that_are_none, 0, COUNT(wrong_names));
    tcase_add_loop_test(tcase, other_backends, 0, COUNT(answers));
    suite_add_tcase(suite, tcase);
    return suite;
}
