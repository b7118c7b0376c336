/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: what ScepLocalTemplate accepts, and which CSRs fit. */
#include "../../ca_backend/ca_template.h"
#include "fixture.h"

#include <apr_strings.h>
#include <openssl/core_names.h>
#include <string.h>
#include <strings.h>

Suite *test_ca_template_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* A template of up to three words; ends the test if it is refused. */
static const ca_template_t *make(const char *a, const char *b, const char *c)
{
    const char *words[3], *error;
    const ca_template_t *t;
    int n = 0;

    words[0] = a;
    words[1] = b;
    words[2] = c;
    while (n < 3 && words[n] != NULL) {
        n++;
    }
    error = ca_template_make(&t, "T", n, words, fixture_pool());
    ck_assert_msg(error == NULL, "%s", error);
    return t;
}

START_TEST(default_is_what_the_manual_says)
{
    const ca_template_t *t = ca_template_default();

    ck_assert_str_eq(t->name, CA_TEMPLATE_DEFAULT);
    ck_assert_int_eq(t->validity, apr_time_from_sec(365 * 86400));
    ck_assert_uint_eq(t->key_usage, KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
    ck_assert_str_eq(t->extended_key_usage_text, "clientAuth");
    ck_assert_int_eq(t->min_rsa_bits, 2048);
    ck_assert_int_eq(t->subject, CA_FROM_CSR);
    ck_assert_int_eq(t->san, CA_FROM_CSR);
}
END_TEST

START_TEST(all_keys_are_read)
{
    static const char *const words[] = {
        "validity=30d", "keyUsage=keyAgreement,digitalSignature,decipherOnly",
        "extendedKeyUsage=serverAuth,1.3.6.1.4.1.311.20.2.2", "subject=csr", "san=none",
        "sanTypes=dns,uri", "minimumKey=3072", "ecCurves=P-384", "crlUrl=http://c/x.crl",
        "caIssuersUrl=https://c/ca.cer", "ocspUrl=http://c/ocsp", "emptySubject=off"
    };
    const ca_template_t *t;

    ck_assert_ptr_null(ca_template_make(&t, "VPN", COUNT(words), words, fixture_pool()));
    ck_assert_str_eq(t->name, "VPN");
    ck_assert_int_eq(t->validity, apr_time_from_sec(30 * 86400));
    ck_assert_uint_eq(t->key_usage, KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT | KU_DECIPHER_ONLY);
    ck_assert_str_eq(t->key_usage_text, "critical,keyAgreement,digitalSignature,decipherOnly");
    ck_assert_str_eq(t->extended_key_usage_text, "serverAuth,1.3.6.1.4.1.311.20.2.2");
    ck_assert_int_eq(t->san, CA_FROM_NOWHERE);
    ck_assert_str_eq(t->san_types, "dns,uri");
    ck_assert_int_eq(t->min_rsa_bits, 3072);
    ck_assert_str_eq(t->ec_curves, "P-384");
    ck_assert_str_eq(t->crl_url, "http://c/x.crl");
    ck_assert_str_eq(t->aia_url, "https://c/ca.cer");
    ck_assert_str_eq(t->ocsp_url, "http://c/ocsp");
    ck_assert_int_eq(t->empty_subject_allowed, 0);
}
END_TEST

static const struct {
    const char *word, *error;
} bad_words[] = {
    {"validity=59s", "out of range"},
    {"validity=18251d", "out of range"},
    {"validity=long", "not a duration"},
    {"keyUsage=", "keyUsage is empty"},
    {"keyUsage=keyCertSign", "unknown 'keyCertSign'; known are: digitalSignature"},
    {"keyUsage=cRLSign", "unknown 'cRLSign'"},
    {"keyUsage=digitalSignature,,keyEncipherment", "unknown ''"},
    {"keyUsage=digitalSignature,digitalSignature", "given twice"},
    {"keyUsage=critical,digitalSignature", "unknown 'critical'"},
    {"extendedKeyUsage=flying", "neither a known name"},
    {"extendedKeyUsage=clientAuth,", NULL},
    {"extendedKeyUsage=,clientAuth", "neither a known name"},
    {"extendedKeyUsage=1.2.x", "neither a known name"},
    {"extendedKeyUsage=@section", "neither a known name"},
    {"subject=ldap", "must be csr or none"},
    {"san=ldap", "must be csr or none"},
    {"sanTypes=dns,x400", "unknown 'x400'; known are: dns"},
    {"minimumKey=1023", "out of range"},
    {"minimumKey=20000", "out of range"},
    {"ecCurves=P-192", "unknown 'P-192'"},
    {"crlUrl=file:///etc/passwd", "not a URL"},
    {"crlUrl=http://a b", "must not stand in a URL"},
    {"ocspUrl=http://\xc3\xa4", "must not stand in a URL"},
    {"caIssuersUrl=", "not a URL"},
    {"emptySubject=perhaps", "on or off"},
    {"keyUsageEC=", "keyUsageEC is empty"},
    {"keyUsageEC=keyCertSign", "keyUsageEC: unknown 'keyCertSign'"},
    {"keyUsageEC=keyEncipherment", "no EC key enciphers"},
    {"certificatePolicies=", "1 to 16 policies"},
    {"certificatePolicies=anyPolicy", "'anyPolicy' is not an OID"},
    {"certificatePolicies=1.2.3,", NULL},
    {"certificatePolicies=1.2.3,,1.2.4", "'' is not an OID"},
    {"certificatePolicies=1.2.3,1.2.3", "1.2.3 is given twice"},
    {"certificatePolicies=1.2.3 file:///x", "is not a URL"},
    {"certificatePolicies=1.2.3 http://x y", "must not stand in a URL"},
    {"certificatePolicies=9.9.9", "is not an OID"},
    {"certificatePolicies=1.1,1.2,1.3,1.4,1.5,1.6,1.7,1.8,1.9,1.10,1.11,1.12,1.13,1.14,1.15,1.16,"
     "1.17", "1 to 16 policies"},
    {"msTemplate=", "1 to 64 printable"},
    {"msTemplate=\xc3\xa4", "1 to 64 printable"},
    {"msTemplateOid=", "is not an OID"},
    {"msTemplateOid=WebServer", "is not an OID"},
    {"msTemplateOid=1.2.3 ", "is not an OID"},
    {"msTemplateOid=1.2.3 x", "is not an OID"},
    {"msTemplateOid=1.2.3 1.", "is not an OID"},
    {"msTemplateOid=1.2.3 1.2.3", "is not an OID"},
    {"msTemplateOid=1.2.3 -1", "is not an OID"},
    {"msTemplateOid=1.2.3 4294967296", "is not an OID"},
    {"msTemplateOid=1.2.3 4294967295.0", NULL},
    {"color=red", "unknown key 'color'; known keys: validity=DURATION"},
    {"validity", "key=value"},
};

START_TEST(mistakes_are_told)
{
    const ca_template_t *t = NULL;
    const char *error = ca_template_make(&t, "T", 1, &bad_words[_i].word, fixture_pool());

    if (bad_words[_i].error == NULL) {
        ck_assert_ptr_null(error);
        return;
    }
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error, bad_words[_i].error) != NULL, "%s", error);
    ck_assert_ptr_null(t);
}
END_TEST

START_TEST(names_and_long_values_are_bounded)
{
    const ca_template_t *t;
    const char *word, *words[2];
    char longest[2000];
    apr_pool_t *p = fixture_pool();

    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    ck_assert_ptr_nonnull(ca_template_make(&t, "", 0, NULL, p));
    ck_assert_ptr_nonnull(ca_template_make(&t, longest, 0, NULL, p));
    ck_assert_ptr_nonnull(ca_template_make(&t, "a\nb", 0, NULL, p));
    word = apr_pstrcat(p, "crlUrl=http://", longest, NULL);
    ck_assert_ptr_nonnull(strstr(ca_template_make(&t, "T", 1, &word, p), "longer than"));
    word = apr_pstrcat(p, "extendedKeyUsage=", longest, NULL);
    ck_assert_ptr_nonnull(strstr(ca_template_make(&t, "T", 1, &word, p), "longer than"));
    word = apr_pstrcat(p, "sanTypes=", longest, NULL);
    ck_assert_ptr_nonnull(strstr(ca_template_make(&t, "T", 1, &word, p), "longer than"));
    words[0] = "subject=none";
    words[1] = "san=none";
    ck_assert_ptr_nonnull(strstr(ca_template_make(&t, "T", 2, words, p), "must name somebody"));
    words[1] = "emptySubject=off";
    ck_assert_ptr_nonnull(strstr(ca_template_make(&t, "T", 2, words, p), "must name somebody"));
}
END_TEST

/* The CSR of der; ends the test if it cannot be read. */
static csr_t *read_csr(crypt_buf_t der)
{
    csr_t *csr;
    outcome_t out;
    apr_status_t rv = csr_make(&csr, &der, 0, &out, fixture_pool());

    ck_assert_msg(rv == APR_SUCCESS, "csr_make: %s %s", out.reason, out.detail);
    return csr;
}

/* A CSR with one extension. */
static csr_t *csr_with(EVP_PKEY *key, const char *common_name, const char *extension)
{
    const char *extensions[2];

    extensions[0] = extension;
    extensions[1] = NULL;
    return read_csr(fixture_csr(fixture_pool(), key, common_name, NULL,
                                extension != NULL ? extensions : NULL));
}

/* Holds csr against t: reason NULL means it must fit. */
static void expect(const ca_template_t *t, const csr_t *csr, const char *reason,
                   fail_info_e fail_info)
{
    outcome_t out;
    apr_status_t rv;

    outcome_init(&out);
    rv = ca_template_check_csr(t, csr, csr->subject, NULL, &out, fixture_pool());
    if (reason == NULL) {
        ck_assert_msg(rv == APR_SUCCESS, "%s: %s", out.reason, out.detail);
        return;
    }
    ck_assert_int_eq(rv, APR_EACCES);
    ck_assert_int_eq(out.result, OUTCOME_REFUSED);
    ck_assert_str_eq(out.reason, reason);
    ck_assert_int_eq(out.fail_info, fail_info);
    ck_assert_str_ne(out.text, "");
    ck_assert_str_ne(out.detail, "");
}

/* A new key of the type, owned by the test's pool. */
static EVP_PKEY *new_key(const char *type, size_t bits, const char *curve)
{
    EVP_PKEY *key = curve != NULL ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve)
                    : bits != 0   ? EVP_PKEY_Q_keygen(NULL, NULL, type, bits)
                                  : EVP_PKEY_Q_keygen(NULL, NULL, type);

    ck_assert_ptr_nonnull(key);
    return crypt_pkey_own(key, fixture_pool());
}

START_TEST(keys_are_held_against_the_template)
{
    const ca_template_t *standard = ca_template_default();

    expect(standard, csr_with(fixture_rsa(0), "d", NULL), NULL, 0);
    expect(standard, csr_with(fixture_ec(), "d", NULL), NULL, 0);
    expect(standard, csr_with(new_key("EC", 0, "P-521"), "d", NULL), NULL, 0);
    expect(standard, csr_with(new_key("RSA", 1024, NULL), "d", NULL), "template-key-length",
           FAIL_INFO_BAD_REQUEST);
    expect(make("minimumKey=3072", NULL, NULL), csr_with(fixture_rsa(0), "d", NULL),
           "template-key-length", FAIL_INFO_BAD_REQUEST);
    expect(make("minimumKey=1024", NULL, NULL), csr_with(new_key("RSA", 1024, NULL), "d", NULL),
           NULL, 0);
    expect(standard, csr_with(new_key("EC", 0, "secp256k1"), "d", NULL), "template-key-type",
           FAIL_INFO_BAD_ALG);
    expect(standard, csr_with(new_key("EC", 0, "P-224"), "d", NULL), "template-key-type",
           FAIL_INFO_BAD_ALG);
    expect(make("ecCurves=P-384", NULL, NULL), csr_with(fixture_ec(), "d", NULL),
           "template-key-type", FAIL_INFO_BAD_ALG);
    expect(make("ecCurves=", NULL, NULL), csr_with(fixture_ec(), "d", NULL), "template-key-type",
           FAIL_INFO_BAD_ALG);
}
END_TEST

/* A CSR signed with Ed25519, which needs no digest. */
static csr_t *ed25519_csr(void)
{
    EVP_PKEY *key = new_key("ED25519", 0, NULL);
    X509_REQ *req = X509_REQ_new();
    unsigned char *data = NULL;
    crypt_buf_t der;

    ck_assert(X509_REQ_set_version(req, X509_REQ_VERSION_1));
    ck_assert(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_ASC,
                                         (const unsigned char *)"d", -1, -1, 0));
    ck_assert(X509_REQ_set_pubkey(req, key));
    ck_assert_int_gt(X509_REQ_sign(req, key, NULL), 0);
    der.len = (apr_size_t)i2d_X509_REQ(req, &data);
    der.data = apr_pmemdup(fixture_pool(), data, der.len);
    OPENSSL_free(data);
    X509_REQ_free(req);
    return read_csr(der);
}

START_TEST(explicit_curve_is_refused)
{
    EVP_PKEY *key = new_key("EC", 0, "P-256");
    crypt_buf_t der;
    outcome_t out;
    csr_t *csr;

    /* P-256 written as numbers, which RFC 5480 forbids; not every OpenSSL reads such a key */
    ck_assert(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"));
    der = fixture_csr(fixture_pool(), key, "d", NULL, NULL);
    if (csr_make(&csr, &der, 0, &out, fixture_pool()) == APR_SUCCESS) {
        expect(ca_template_default(), csr, "template-key-type", FAIL_INFO_BAD_ALG);
    }
    else {
        ck_assert_str_eq(out.reason, "csr-key");
        ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_ALG);
    }
}
END_TEST

START_TEST(ed25519_is_refused)
{
    expect(ca_template_default(), ed25519_csr(), "template-key-type", FAIL_INFO_BAD_ALG);
}
END_TEST

START_TEST(subjects_are_held_against_the_template)
{
    const ca_template_t *standard = ca_template_default();
    const char *san = "subjectAltName=DNS:d.example";

    expect(standard, csr_with(fixture_rsa(0), NULL, san), NULL, 0);
    expect(standard, csr_with(fixture_rsa(0), NULL, NULL), "template-subject",
           FAIL_INFO_BAD_REQUEST);
    expect(make("emptySubject=off", NULL, NULL), csr_with(fixture_rsa(0), NULL, san),
           "template-subject", FAIL_INFO_BAD_REQUEST);
    expect(make("san=none", NULL, NULL), csr_with(fixture_rsa(0), NULL, san), "template-subject",
           FAIL_INFO_BAD_REQUEST);
    expect(make("subject=none", NULL, NULL), csr_with(fixture_rsa(0), "d", NULL),
           "template-subject", FAIL_INFO_BAD_REQUEST);
    expect(make("subject=none", NULL, NULL), csr_with(fixture_rsa(0), "d", san), NULL, 0);
}
END_TEST

#define UPN "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:u@example"

static const struct {
    const char *san, *types;    /* types NULL: the default */
    int fits;
} san_cases[] = {
    {"DNS:a.example,IP:10.0.0.1,IP:fe80::1,email:a@b,URI:https://a/b,RID:1.2.3," UPN, NULL, 1},
    {"DNS:a.example", "dns", 1},
    {"DNS:a.example", "DNS,IP", 1},
    {"DNS:a.example,IP:10.0.0.1", "dns", 0},
    {"URI:tag:microsoft.com,2022-09-14:sid:S-1-5", NULL, 0},   /* policy's alone */
    {"URI:TAG:Microsoft.com,2022-09-14:SID:S-1-5", NULL, 0},
    {"URI:tag:microsoft.com,2022-09-14:sid:", NULL, 0},
    {"URI:tag:microsoft.com,2022-09-14:sid:S-1-5", "uri", 0},
    {"URI:tag:microsoft.com,2022-09-14:sid:S-1-5", "sid", 1},
    {"URI:tag:microsoft.com,2022-09-14:si", NULL, 1},
    {"URI:https://a/b", "sid", 0},
    {UPN, "upn", 1},
    {UPN, "dns", 0},
    {"email:a@b", "dns", 0},
    {"RID:1.2.3", "dns", 0},
    {"DNS:a.example", "", 0},
    {"otherName:1.3.6.1.4.1.311.20.2.3;IA5:u@example", NULL, 0},
    {"otherName:1.3.6.1.4.1.311.20.2.3;UTF8:", NULL, 0},
    {"otherName:1.3.6.1.4.1.311.25.1;OCT:x", NULL, 0},
    {"DER:30:00", NULL, 0},                                     /* no name at all */
    {"DER:30:03:82:01:61", NULL, 1},
    {"DER:30:02:82:00", NULL, 0},                               /* empty dNSName */
    {"DER:30:05:82:03:61:00:62", NULL, 0},                      /* a NUL b */
    {"DER:30:04:82:02:c3:a4", NULL, 0},                         /* not ASCII */
    {"DER:30:03:82:01:0a", NULL, 0},                            /* a line feed */
    {"DER:30:07:87:05:01:02:03:04:05", NULL, 0},                /* address of 5 bytes */
    {"DER:30:04:a4:02:30:00", NULL, 0},                         /* empty directoryName */
    {"DER:30:03:82:01:61:00:00", NULL, 0},                      /* bytes after the end */
    {"DER:30:03:82:05:61", NULL, 0},                            /* longer than it is */
    {"DER:04:01:61", NULL, 0},                                  /* not a SEQUENCE */
    {"DER:a0:01", NULL, 0},
};

START_TEST(alternative_names_are_held_against_the_template)
{
    const char *types = san_cases[_i].types, *value = san_cases[_i].san;
    const char *extension;
    apr_pool_t *p = fixture_pool();

    /* a comma inside a URI cannot be written in OpenSSL's syntax: by hand */
    if (strncasecmp(value, "URI:tag", 7) == 0) {
        const char *uri = value + 4;
        char *der = apr_psprintf(p, "DER:30:%02x:86:%02x", (unsigned)strlen(uri) + 2,
                                 (unsigned)strlen(uri));

        for (; *uri != '\0'; uri++) {
            der = apr_psprintf(p, "%s:%02x", der, (unsigned char)*uri);
        }
        value = der;
    }
    extension = apr_pstrcat(p, "subjectAltName=", value, NULL);
    if (types != NULL) {
        types = apr_pstrcat(p, "sanTypes=", types, NULL);
    }
    expect(make(types, NULL, NULL), csr_with(fixture_ec(), "d", extension),
           san_cases[_i].fits ? NULL : "template-san", FAIL_INFO_BAD_REQUEST);
}
END_TEST

START_TEST(number_of_names_is_bounded)
{
    char *san = apr_pstrdup(fixture_pool(), "subjectAltName=DNS:a0");
    int i;

    for (i = 1; i < 128; i++) {
        san = apr_psprintf(fixture_pool(), "%s,DNS:a%d", san, i);
    }
    expect(ca_template_default(), csr_with(fixture_ec(), "d", san), NULL, 0);
    for (; i < 1000; i++) {
        san = apr_psprintf(fixture_pool(), "%s,DNS:a%d", san, i);
    }
    expect(ca_template_default(), csr_with(fixture_ec(), "d", san), "template-san",
           FAIL_INFO_BAD_REQUEST);
    expect(make("san=none", NULL, NULL), csr_with(fixture_ec(), "d", san), NULL, 0);
}
END_TEST

Suite *test_ca_template_suite(void)
{
    Suite *suite = suite_create("ca_template");
    TCase *tc = tcase_create("template");

    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, default_is_what_the_manual_says);
    tcase_add_test(tc, all_keys_are_read);
    tcase_add_loop_test(tc, mistakes_are_told, 0, COUNT(bad_words));
    tcase_add_test(tc, names_and_long_values_are_bounded);
    tcase_add_test(tc, keys_are_held_against_the_template);
    tcase_add_test(tc, explicit_curve_is_refused);
    tcase_add_test(tc, ed25519_is_refused);
    tcase_add_test(tc, subjects_are_held_against_the_template);
    tcase_add_loop_test(tc, alternative_names_are_held_against_the_template, 0,
                        COUNT(san_cases));
    tcase_add_test(tc, number_of_names_is_bounded);
    suite_add_tcase(suite, tc);
    return suite;
}
