/* SPDX-License-Identifier: Apache-2.0 */
/* AD CS: what is sent, what is understood, and what an HRESULT leads to. */
#include "../../ca_backend/ca_adcs_answer.h"
#include "../../ca_backend/ca_adcs_cmc.h"
#include "../../ca_backend/ca_adcs_soap.h"
#include "ca_fixture.h"

#include <apr_strings.h>
#include <openssl/cms.h>
#include <string.h>

Suite *test_ca_adcs_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

#define NS_SOAP "http://www.w3.org/2003/05/soap-envelope"
#define NS_TRUST "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
#define NS_ENROLLMENT "http://schemas.microsoft.com/windows/pki/2009/01/enrollment"
#define WSS "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
#define NS_SECURITY WSS "wssecurity-secext-1.0.xsd"

#define ENVELOPE(body)                                                                             \
    "<s:Envelope xmlns:s='" NS_SOAP "' xmlns='" NS_TRUST "' xmlns:e='" NS_ENROLLMENT "' "          \
    "xmlns:o='" NS_SECURITY "'><s:Header/><s:Body>" body "</s:Body></s:Envelope>"
#define RESPONSE(inside)                                                                           \
    ENVELOPE("<RequestSecurityTokenResponseCollection><RequestSecurityTokenResponse>" inside       \
             "</RequestSecurityTokenResponse></RequestSecurityTokenResponseCollection>")
#define TOKEN(type, text) "<o:BinarySecurityToken ValueType='" type "'>" text                      \
    "</o:BinarySecurityToken>"
#define WANTED(inside) "<RequestedSecurityToken>" inside "</RequestedSecurityToken>"
#define X509V3 WSS "x509-token-profile-1.0#X509v3"
#define FAULT(code)                                                                                \
    ENVELOPE("<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>a:Odd</s:Value>"   \
             "</s:Subcode></s:Code><s:Reason><s:Text>No &amp; never</s:Text></s:Reason><s:Detail>" \
             "<e:CertificateEnrollmentWSDetail><e:ErrorCode>" code "</e:ErrorCode>"                \
             "<e:InvalidRequest>true</e:InvalidRequest></e:CertificateEnrollmentWSDetail>"         \
             "</s:Detail></s:Fault>")

/* Reads an answer. */
static const char *read_text(adcs_reply_t *reply, const char *text)
{
    crypt_buf_t body;

    body.data = (const unsigned char *)text;
    body.len = strlen(text);
    return adcs_soap_read(reply, &body, fixture_pool());
}

START_TEST(issued)
{
    adcs_reply_t reply;

    ck_assert_ptr_null(read_text(&reply, RESPONSE(
        "<e:DispositionMessage>Issued</e:DispositionMessage>"
        TOKEN(NS_SECURITY "#PKCS7", "Q01D&#xD;\n") WANTED(TOKEN(X509V3, "TEVB&#xD;\nRg==&#xD;\n"))
        "<e:RequestID>65</e:RequestID>")));
    ck_assert_int_eq(reply.is_fault, 0);
    ck_assert_int_eq(reply.is_pending, 0);
    ck_assert_str_eq(reply.disposition, "Issued");
    ck_assert_str_eq(reply.request_id, "65");
    ck_assert_mem_eq(reply.cmc.data, "CMC", 3);
    ck_assert_uint_eq(reply.leaf.len, 4);
    ck_assert_mem_eq(reply.leaf.data, "LEAF", 4);
}
END_TEST

START_TEST(pending)
{
    adcs_reply_t reply;

    ck_assert_ptr_null(read_text(&reply, RESPONSE(
        WANTED("<o:SecurityTokenReference><o:Reference URI='x'/></o:SecurityTokenReference>")
        "<e:RequestID>7</e:RequestID>")));
    ck_assert_int_eq(reply.is_pending, 1);
    ck_assert_str_eq(reply.request_id, "7");
}
END_TEST

START_TEST(fault)
{
    adcs_reply_t reply;

    ck_assert_ptr_null(read_text(&reply, FAULT("-2146875392")));
    ck_assert_int_eq(reply.is_fault, 1);
    ck_assert_int_eq(reply.has_error, 1);
    ck_assert_int_eq(reply.is_denied, 1);
    ck_assert_uint_eq((apr_uint32_t)reply.error, 0x80094800);
    ck_assert_str_eq(reply.text, "No & never");
    ck_assert_str_eq(reply.subcode, "Odd");
    ck_assert_ptr_null(read_text(&reply, FAULT("0")));
    ck_assert_int_eq(reply.has_error, 0);
}
END_TEST

static const char *const not_understood[] = {
    "",
    "x",
    "<a/>",
    "<s:Envelope xmlns:s='" NS_SOAP "'>",
    "<s:Envelope xmlns:s='" NS_SOAP "'/>",
    "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'/>",
    ENVELOPE(""),
    ENVELOPE("<Else/>"),
    /* a document type, whatever it holds */
    "<!DOCTYPE a [<!ENTITY b 'c'>]>" ENVELOPE(""),
    "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
    /* twice */
    RESPONSE("<e:RequestID>1</e:RequestID><e:RequestID>2</e:RequestID>"),
    RESPONSE(WANTED(TOKEN(X509V3, "TEVBRg==") TOKEN(X509V3, "TEVBRg=="))),
    ENVELOPE("<s:Fault/><s:Fault/>"),
    /* not what they should be */
    RESPONSE("<e:RequestID>-1</e:RequestID>"),
    RESPONSE("<e:RequestID>12345678901</e:RequestID>"),
    RESPONSE("<e:RequestID></e:RequestID>"),
    RESPONSE("<e:RequestID>1 OR 1</e:RequestID>"),
    RESPONSE(WANTED(TOKEN(X509V3, "!"))),
    RESPONSE(WANTED(TOKEN(X509V3, ""))),
    FAULT("-99999999999999999999"),
    FAULT("-2147483649"),
    FAULT("-1x"),
};

START_TEST(hostile)
{
    adcs_reply_t reply;

    ck_assert_ptr_nonnull(read_text(&reply, not_understood[_i]));
}
END_TEST

START_TEST(names_of_others_do_not_count)
{
    adcs_reply_t reply;

    ck_assert_ptr_null(read_text(&reply, RESPONSE(
        "<RequestID>1</RequestID>" WANTED(TOKEN(WSS "#Other", "TEVBRg==")))));
    ck_assert_ptr_null(reply.request_id);
    ck_assert_uint_eq(reply.leaf.len, 0);
    ck_assert_int_eq(reply.is_pending, 0);
}
END_TEST

START_TEST(deep)
{
    apr_size_t i, n = 2000;
    char *text = apr_palloc(fixture_pool(), 3 * n + 1);
    adcs_reply_t reply;

    for (i = 0; i < n; i++) {
        memcpy(text + 3 * i, "<a>", 3);
    }
    text[3 * n] = '\0';
    ck_assert_str_eq(read_text(&reply, text), "too many tags");
}
END_TEST

START_TEST(cut)
{
    const char *whole = FAULT("-2146875392");
    apr_size_t i;
    adcs_reply_t reply;

    for (i = 0; i < strlen(whole); i += 7) {
        ck_assert_ptr_nonnull(read_text(&reply, apr_pstrmemdup(fixture_pool(), whole, i)));
    }
}
END_TEST

START_TEST(written)
{
    adcs_question_t question;
    crypt_buf_t bytes = {(const unsigned char *)"CSR", 3};
    const char *text;

    memset(&question, 0, sizeof(question));
    question.to = "https://ca.example/CES";
    question.message_id = adcs_message_id(fixture_pool());
    ck_assert_uint_eq(strlen(question.message_id), strlen("urn:uuid:") + 36);
    question.user = "corp\\<x>";
    question.password = "p\"&ss";
    question.pkcs10 = &bytes;
    question.template_name = "A<B&C";
    text = adcs_soap_write(&question, fixture_pool());
    ck_assert_ptr_nonnull(strstr(text, "<o:Username>corp\\&lt;x&gt;</o:Username>"));
    ck_assert_ptr_nonnull(strstr(text, "\">p&quot;&amp;ss</o:Password>"));
    ck_assert_ptr_nonnull(strstr(text, "<Value>A&lt;B&amp;C</Value>"));
    ck_assert_ptr_nonnull(strstr(text, ">Q1NS</BinarySecurityToken>"));
    question.user = NULL;
    question.pkcs10 = NULL;
    question.request_id = "65";
    text = adcs_soap_write(&question, fixture_pool());
    ck_assert_ptr_null(strstr(text, "Security s:"));
    ck_assert_ptr_nonnull(strstr(text, "/QueryTokenStatus</RequestType><RequestID "));
    ck_assert_ptr_null(strstr(text, "BinarySecurityToken"));
}
END_TEST

START_TEST(cmc)
{
    static const fixture_certificate_t wish = {.subject = "agent"};
    crypt_buf_t csr = fixture_csr(fixture_pool(), fixture_rsa(1), "device", NULL, NULL), der, inner;
    X509 *agent = fixture_certificate(fixture_pool(), &wish);
    CMS_ContentInfo *cms;
    BIO *out = BIO_new(BIO_s_mem());
    const unsigned char *at;
    char *content;
    long len;

    ck_assert_int_eq(adcs_cmc_make(&der, &csr, "Device", agent, fixture_rsa(0), fixture_pool()),
                     APR_SUCCESS);
    at = der.data;
    cms = d2i_CMS_ContentInfo(NULL, &at, (long)der.len);
    ck_assert_ptr_nonnull(cms);
    ck_assert_ptr_eq(at, der.data + der.len);
    ck_assert_int_eq(sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(cms)), 1);
    ck_assert_int_eq(CMS_verify(cms, NULL, NULL, NULL, out, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY),
                     1);
    len = BIO_get_mem_data(out, &content);
    ck_assert_int_eq(adcs_pki_data_make(&inner, &csr, "Device", fixture_pool()), APR_SUCCESS);
    ck_assert_uint_eq((apr_size_t)len, inner.len);
    ck_assert_mem_eq(content, inner.data, inner.len);
    CMS_ContentInfo_free(cms);
    BIO_free(out);
}
END_TEST

START_TEST(pki_data)
{
    /* the structure of [MS-WCCE] 3.1.1.4.3.3.3 around a CSR of three bytes */
    static const char wanted[] =
        "30693059302e02010206082b06010505070708311f301d020100300302010130133011"
        "06092b060104018237140204041e020054302702010306082b06010505070712311804"
        "16436572746966696361746554656d706c6174653d54263008a0060201013001003000"
        "3000";
    crypt_buf_t csr = {(const unsigned char *)"\x30\x01\x00", 3}, der;
    const char *hex;

    ck_assert_int_eq(adcs_pki_data_make(&der, &csr, "T", fixture_pool()), APR_SUCCESS);
    hex = crypt_hex(der.data, der.len, 0, fixture_pool());
    ck_assert_str_eq(hex, wanted);
}
END_TEST

static const char *const bad_names[] = {"", "a\nb", "\xf0\x9f\x98\x80", "\xff", "\xc3"};

START_TEST(no_template_name)
{
    crypt_buf_t csr = {(const unsigned char *)"\x30\x01\x00", 3}, der;

    ck_assert_int_ne(adcs_pki_data_make(&der, &csr, bad_names[_i], fixture_pool()), APR_SUCCESS);
    ck_assert_uint_eq(der.len, 0);
}
END_TEST

static const struct {
    apr_uint32_t hresult;
    int denied;
    ca_result_e result;
    int unknown;
    const char *reason;
} failures[] = {
    {0x80094800, 1, CA_REJECTED, 0, "ca-not-published"},
    {0x80094012, 1, CA_REJECTED, 0, "ca-permission"},
    {0x80094012, 0, CA_REJECTED, 0, "ca-permission"},
    {0x800b0102, 1, CA_REJECTED, 0, "ca-validity"},
    {0x8009480b, 1, CA_REJECTED, 0, "ca-agent"},
    {0x80094014, 1, CA_REJECTED, 0, "ca-denied"},
    {0x80094811, 1, CA_REJECTED, 0, "ca-rejected"},
    {0x80000001, 1, CA_REJECTED, 0, "ca-rejected"},
    {0x80000001, 0, CA_RETRY, 1, "ca-unavailable"},
    {0x800706ba, 1, CA_RETRY, 0, "ca-unavailable"},
    {0x80092013, 1, CA_RETRY, 0, "ca-unavailable"},
};

START_TEST(hresults)
{
    ca_answer_t answer;

    memset(&answer, 0, sizeof(answer));
    adcs_failed(&answer, (apr_int32_t)failures[_i].hresult, failures[_i].denied, "in its\nwords",
                "https://ca", fixture_pool());
    ck_assert_int_eq(answer.result, failures[_i].result);
    ck_assert_int_eq(answer.unknown, failures[_i].unknown);
    ck_assert_str_eq(answer.outcome.reason, failures[_i].reason);
    ck_assert_ptr_nonnull(strstr(answer.outcome.detail, apr_psprintf(
        fixture_pool(), "0x%08x", (unsigned)failures[_i].hresult)));
    ck_assert_ptr_nonnull(strstr(answer.outcome.detail, "in its words"));
    if (answer.result == CA_REJECTED) {
        ck_assert_uint_eq((apr_uint32_t)answer.outcome.hresult, failures[_i].hresult);
        ck_assert_int_eq(answer.outcome.fail_info, FAIL_INFO_BAD_REQUEST);
    }
}
END_TEST

static const struct {
    const char *subject;
    int key, good;
} subjects[] = {
    {"device", 1, 1},
    {"DEVICE", 1, 1},
    {"svc-scep", 1, 0},
    {"svc-scep", 2, 1},     /* another key's certificate is none of ours */
};

START_TEST(subject)
{
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    fixture_certificate_t wish = {.subject = subjects[_i].subject};
    STACK_OF(X509) *certs = sk_X509_new_null();
    const char *error;

    wish.key = fixture_rsa(subjects[_i].key);
    sk_X509_push(certs, fixture_certificate(fixture_pool(), &wish));
    error = adcs_check_subject(certs, request->csr, fixture_pool());
    ck_assert_int_eq(error == NULL, subjects[_i].good);
    sk_X509_free(certs);
}
END_TEST

Suite *test_ca_adcs_suite(void)
{
    Suite *suite = suite_create("ca_adcs");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, issued);
    tcase_add_test(tcase, pending);
    tcase_add_test(tcase, fault);
    tcase_add_loop_test(tcase, hostile, 0, COUNT(not_understood));
    tcase_add_test(tcase, names_of_others_do_not_count);
    tcase_add_test(tcase, deep);
    tcase_add_test(tcase, cut);
    tcase_add_test(tcase, written);
    tcase_add_test(tcase, cmc);
    tcase_add_test(tcase, pki_data);
    tcase_add_loop_test(tcase, no_template_name, 0, COUNT(bad_names));
    tcase_add_loop_test(tcase, hresults, 0, COUNT(failures));
    tcase_add_loop_test(tcase, subject, 0, COUNT(subjects));
    suite_add_tcase(suite, tcase);
    return suite;
}
