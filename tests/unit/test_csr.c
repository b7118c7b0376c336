/* SPDX-License-Identifier: Apache-2.0 */
/* PKCS#10 requests: good ones of every kind, and hostile ones. */
#include "fixture.h"
#include "scep_fixture.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* Runs csr_make; NULL with *out set if it refuses. */
static csr_t *make(const crypt_buf_t *der, int allow_sha1, outcome_t *out)
{
    csr_t *csr = NULL;
    apr_status_t rv;

    outcome_init(out);
    rv = csr_make(&csr, der, allow_sha1, out, fixture_pool());
    ck_assert_int_eq(rv, csr ? APR_SUCCESS : APR_EINVAL);
    if (!csr)
        ck_assert_int_eq(out->result, OUTCOME_REFUSED);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    return csr;
}

/* A CSR that edit() changed before it was signed. */
static crypt_buf_t edited(void (*edit)(X509_REQ *req, void *baton), void *baton)
{
    scep_fixture_csr_t want;

    memset(&want, 0, sizeof(want));
    want.edit = edit;
    want.baton = baton;
    return scep_fixture_csr(fixture_pool(), &want);
}

/* The CSR must be refused for that reason and failInfo, with detail in its detail. */
static void assert_refused(const crypt_buf_t *der, int allow_sha1, const char *reason,
                           fail_info_e fail_info, const char *detail)
{
    outcome_t out;

    ck_assert_ptr_null(make(der, allow_sha1, &out));
    ck_assert_str_eq(out.reason, reason);
    ck_assert_int_eq(out.fail_info, fail_info);
    ck_assert_int_ne(out.hresult, OUTCOME_HR_NONE);
    ck_assert_msg(strstr(out.detail, detail) != NULL, "detail is '%s'", out.detail);
}

START_TEST(reads_a_request)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_csr_t want;
    unsigned char *spki = NULL, digest[32];
    crypt_buf_t der;
    outcome_t out;
    csr_t *csr;
    int len;

    memset(&want, 0, sizeof(want));
    want.challenge = "3F2504E0";
    want.key_usage = "digitalSignature";
    der = scep_fixture_csr(p, &want);
    csr = make(&der, 0, &out);
    ck_assert_ptr_nonnull(csr);
    ck_assert_str_eq(csr->challenge, "3F2504E0");
    ck_assert_str_eq(csr->subject_text, "CN=device");
    ck_assert_int_eq(csr->usage, CSR_USAGE_SIGNATURE);
    ck_assert_int_eq(sk_X509_EXTENSION_num(csr->extensions), 1);
    ck_assert_int_eq(EVP_PKEY_eq(csr->key, scep_fixture_key(SCEP_FIXTURE_DEVICE)), 1);
    len = i2d_PUBKEY(scep_fixture_key(SCEP_FIXTURE_DEVICE), &spki);
    ck_assert_uint_eq(csr->spki_der.len, len);
    ck_assert_mem_eq(csr->spki_der.data, spki, len);
    OPENSSL_free(spki);
    ck_assert_uint_eq(csr->der.len, der.len);
    ck_assert_mem_eq(csr->der.data, der.data, der.len);
    EVP_Digest(der.data, der.len, digest, NULL, EVP_sha256(), NULL);
    ck_assert_mem_eq(csr->digest, digest, 32);
}
END_TEST

START_TEST(copies_what_it_was_given)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_csr_t want;
    crypt_buf_t der;
    outcome_t out;
    csr_t *csr;

    memset(&want, 0, sizeof(want));
    want.challenge = "word";
    der = scep_fixture_csr(p, &want);
    csr = make(&der, 0, &out);
    memset((void *)der.data, 0xff, der.len);
    ck_assert_str_eq(csr->challenge, "word");
    ck_assert_int_eq(csr->der.data[0], 0x30);
    ck_assert_str_eq(crypt_name_text(csr->subject, p), "CN=device");
}
END_TEST

START_TEST(reads_requests_of_other_keys)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_csr_t want;
    crypt_buf_t der;
    outcome_t out;
    csr_t *csr;

    memset(&want, 0, sizeof(want));
    want.key = scep_fixture_ec_key();
    want.subject = "";
    der = scep_fixture_csr(p, &want);
    csr = make(&der, 0, &out);
    ck_assert_ptr_nonnull(csr);
    ck_assert_str_eq(csr->subject_text, "");
    ck_assert_ptr_null(csr->challenge);
    ck_assert_ptr_null(csr->extensions);
    ck_assert_int_eq(csr->usage, CSR_USAGE_GENERAL);
}
END_TEST

START_TEST(reads_ed25519)
{
    X509_REQ *req = X509_REQ_new();
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    crypt_buf_t der;
    unsigned char *data = NULL;
    outcome_t out;

    ck_assert_int_eq(X509_REQ_set_pubkey(req, key), 1);
    ck_assert_int_gt(X509_REQ_sign(req, key, NULL), 0);
    der.len = (apr_size_t)i2d_X509_REQ(req, &data);
    der.data = data;
    ck_assert_ptr_nonnull(make(&der, 0, &out));
    OPENSSL_free(data);
    EVP_PKEY_free(key);
    X509_REQ_free(req);
}
END_TEST

START_TEST(chooses_usage)
{
    static const struct {
        const char *key_usage;
        csr_usage_e usage;
    } cases[] = {
        { NULL, CSR_USAGE_GENERAL },
        { "digitalSignature", CSR_USAGE_SIGNATURE },
        { "nonRepudiation", CSR_USAGE_SIGNATURE },
        { "critical,digitalSignature,nonRepudiation", CSR_USAGE_SIGNATURE },
        { "keyEncipherment", CSR_USAGE_ENCRYPTION },
        { "dataEncipherment", CSR_USAGE_ENCRYPTION },
        { "keyAgreement", CSR_USAGE_ENCRYPTION },
        { "digitalSignature,keyEncipherment", CSR_USAGE_GENERAL },
        { "keyCertSign", CSR_USAGE_GENERAL }
    };
    apr_pool_t *p = fixture_pool();
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scep_fixture_csr_t want;
        crypt_buf_t der;
        outcome_t out;
        csr_t *csr;

        memset(&want, 0, sizeof(want));
        want.key_usage = cases[i].key_usage;
        der = scep_fixture_csr(p, &want);
        csr = make(&der, 0, &out);
        ck_assert_ptr_nonnull(csr);
        ck_assert_msg(csr->usage == cases[i].usage, "%s", cases[i].key_usage);
    }
}
END_TEST

/* ---- the challenge */

typedef struct challenge_case_t {
    int type;                   /* ASN.1 type of the value */
    const char *data;
    int len;
    const char *challenge;      /* NULL: none */
    const char *error;          /* NULL: accepted */
} challenge_case_t;

static const challenge_case_t challenge_cases[] = {
    { V_ASN1_PRINTABLESTRING, "ABC", 3, "ABC", NULL },
    { V_ASN1_UTF8STRING, "p\xc3\xa4ss", 5, "p\xc3\xa4ss", NULL },
    { V_ASN1_IA5STRING, "a@b", 3, "a@b", NULL },
    { V_ASN1_T61STRING, "p\xe4ss", 4, "p\xc3\xa4ss", NULL },
    { V_ASN1_BMPSTRING, "\0A\0B\x20\xac", 6, "AB\xe2\x82\xac", NULL },
    { V_ASN1_UNIVERSALSTRING, "\0\0\0A", 4, "A", NULL },
    { V_ASN1_PRINTABLESTRING, "", 0, NULL, NULL },
    { V_ASN1_PRINTABLESTRING, "A\0B", 3, NULL, "NUL" },
    { V_ASN1_UTF8STRING, "\0", 1, NULL, "NUL" },
    { V_ASN1_BMPSTRING, "\0A\0\0", 4, NULL, "NUL" },
    { V_ASN1_UTF8STRING, "\xc3\x28", 2, NULL, "not valid" },
    { V_ASN1_OCTET_STRING, "ABC", 3, NULL, "not a character string" },
    { V_ASN1_BIT_STRING, "ABC", 3, NULL, "not a character string" }
};

/* Adds the challenge of a case. */
static void add_challenge(X509_REQ *req, void *baton)
{
    const challenge_case_t *c = baton;

    ck_assert_int_eq(X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, c->type,
                                               (const unsigned char *)c->data, c->len), 1);
}

START_TEST(reads_challenge)
{
    const challenge_case_t *c = &challenge_cases[_i];
    crypt_buf_t der = edited(add_challenge, (void *)c);
    outcome_t out;
    csr_t *csr = make(&der, 0, &out);

    if (c->error) {
        ck_assert_ptr_null(csr);
        ck_assert_str_eq(out.reason, "csr-malformed");
        ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_REQUEST);
        ck_assert_msg(strstr(out.detail, c->error) != NULL, "detail is '%s'", out.detail);
        return;
    }
    ck_assert_ptr_nonnull(csr);
    if (c->challenge)
        ck_assert_str_eq(csr->challenge, c->challenge);
    else
        ck_assert_ptr_null(csr->challenge);
}
END_TEST

START_TEST(reads_long_challenge)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_csr_t want;
    crypt_buf_t der;
    outcome_t out;
    csr_t *csr;
    char *text = apr_pcalloc(p, 20001);

    memset(text, 'A', 20000);
    memset(&want, 0, sizeof(want));
    want.challenge = text;
    der = scep_fixture_csr(p, &want);
    csr = make(&der, 0, &out);
    ck_assert_ptr_nonnull(csr);
    ck_assert_str_eq(csr->challenge, text);
}
END_TEST

/* ---- hostile attributes */

/* Adds an attribute with n values; the library's own functions refuse a second one. */
static void add_attribute(X509_REQ *req, int nid, int type, const char *data, int len, int n)
{
    static int unused;
    char name[32];
    X509_ATTRIBUTE *attribute;
    int i;

    snprintf(name, sizeof(name), "1.2.3.5.%d", unused++);
    ck_assert_int_eq(X509_REQ_add1_attr_by_txt(req, name, type, (const unsigned char *)data, len),
                     1);
    attribute = X509_REQ_get_attr(req, X509_REQ_get_attr_count(req) - 1);
    for (i = 1; i < n; i++)
        ck_assert_int_eq(X509_ATTRIBUTE_set1_data(attribute, type, data, len), 1);
    if (nid != NID_undef)
        ck_assert_int_eq(X509_ATTRIBUTE_set1_object(attribute, OBJ_nid2obj(nid)), 1);
}

static void two_challenges(X509_REQ *req, void *baton)
{
    (void)baton;
    add_attribute(req, NID_pkcs9_challengePassword, V_ASN1_PRINTABLESTRING, "A", 1, 1);
    add_attribute(req, NID_pkcs9_challengePassword, V_ASN1_PRINTABLESTRING, "A", 1, 1);
}

static void challenge_of_two_values(X509_REQ *req, void *baton)
{
    (void)baton;
    add_attribute(req, NID_pkcs9_challengePassword, V_ASN1_PRINTABLESTRING, "A", 1, 2);
}

/* As many attributes as *baton says. */
static void many_attributes(X509_REQ *req, void *baton)
{
    int i, n = *(int *)baton;

    for (i = 0; i < n; i++)
        add_attribute(req, NID_undef, V_ASN1_PRINTABLESTRING, "A", 1, 1);
}

/* DER of a list of extensions: keyUsage and n of different OIDs; twice: keyUsage once more. */
static crypt_buf_t extension_list(int n, int twice)
{
    STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    unsigned char *der = NULL;
    crypt_buf_t buf;
    int i, len;

    ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05\x00", 2);
    for (i = 0; i <= twice; i++)
        sk_X509_EXTENSION_push(exts, X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage,
                                                         "digitalSignature"));
    for (i = 0; i < n; i++) {
        char name[32];
        ASN1_OBJECT *oid;

        snprintf(name, sizeof(name), "1.2.3.6.%d", i);
        oid = OBJ_txt2obj(name, 1);
        sk_X509_EXTENSION_push(exts, X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value));
        ASN1_OBJECT_free(oid);
    }
    len = i2d_X509_EXTENSIONS(exts, &der);
    ck_assert_int_gt(len, 0);
    buf.data = apr_pmemdup(fixture_pool(), der, (apr_size_t)len);
    buf.len = (apr_size_t)len;
    OPENSSL_free(der);
    ASN1_OCTET_STRING_free(value);
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    return buf;
}

/* Adds an extensionRequest attribute of that NID. */
static void request_extensions(X509_REQ *req, int nid, crypt_buf_t list)
{
    add_attribute(req, nid, V_ASN1_SEQUENCE, (const char *)list.data, (int)list.len, 1);
}

static void duplicate_extension(X509_REQ *req, void *baton)
{
    (void)baton;
    request_extensions(req, NID_ext_req, extension_list(0, 1));
}

static void duplicate_extension_by_ms(X509_REQ *req, void *baton)
{
    (void)baton;
    request_extensions(req, NID_ext_req, extension_list(0, 0));
    request_extensions(req, NID_ms_ext_req, extension_list(0, 0));
}

static void two_extension_requests(X509_REQ *req, void *baton)
{
    (void)baton;
    request_extensions(req, NID_ext_req, extension_list(0, 0));
    request_extensions(req, NID_ext_req, extension_list(0, 0));
}

static void many_extensions(X509_REQ *req, void *baton)
{
    request_extensions(req, NID_ext_req, extension_list(*(int *)baton, 0));
}

static void broken_extension_request(X509_REQ *req, void *baton)
{
    (void)baton;
    add_attribute(req, NID_ext_req, V_ASN1_SEQUENCE, "\x30\x02\x05\x00", 4, 1);
}

static void text_as_extension_request(X509_REQ *req, void *baton)
{
    (void)baton;
    add_attribute(req, NID_ext_req, V_ASN1_PRINTABLESTRING, "A", 1, 1);
}

/* A keyUsage whose value is no BIT STRING. */
static void broken_key_usage(X509_REQ *req, void *baton)
{
    (void)baton;
    add_attribute(req, NID_ext_req, V_ASN1_SEQUENCE,
                  "\x30\x0b\x30\x09\x06\x03\x55\x1d\x0f\x04\x02\x05\x00", 13, 1);
}

/* Extensions under Microsoft's OID only. */
static void microsoft_request(X509_REQ *req, void *baton)
{
    (void)baton;
    request_extensions(req, NID_ms_ext_req, extension_list(63, 0));
}

START_TEST(reads_extensions_of_microsoft)
{
    crypt_buf_t der = edited(microsoft_request, NULL);
    outcome_t out;
    csr_t *csr = make(&der, 0, &out);

    ck_assert_ptr_nonnull(csr);
    ck_assert_int_eq(sk_X509_EXTENSION_num(csr->extensions), 64);
    ck_assert_int_eq(csr->usage, CSR_USAGE_SIGNATURE);
}
END_TEST

START_TEST(refuses_hostile_attributes)
{
    int most = 64, too_many = 65;
    const struct {
        void (*edit)(X509_REQ *req, void *baton);
        void *baton;
        const char *detail;     /* NULL: accepted */
    } cases[] = {
        { two_challenges, NULL, "two challengePassword" },
        { challenge_of_two_values, NULL, "does not have one value" },
        { many_attributes, &most, NULL },
        { many_attributes, &too_many, "too many attributes" },
        { duplicate_extension, NULL, "twice" },
        { duplicate_extension_by_ms, NULL, "twice" },
        { two_extension_requests, NULL, "two extensionRequest" },
        { many_extensions, &most, "too many requested extensions" },
        { broken_extension_request, NULL, "extensionRequest cannot be read" },
        { text_as_extension_request, NULL, "extensionRequest does not hold" },
        { broken_key_usage, NULL, "keyUsage cannot be read" }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        crypt_buf_t der = edited(cases[i].edit, cases[i].baton);
        outcome_t out;

        if (cases[i].detail)
            assert_refused(&der, 0, "csr-malformed", FAIL_INFO_BAD_REQUEST, cases[i].detail);
        else
            ck_assert_msg(make(&der, 0, &out) != NULL, "case %d: %s", (int)i, out.detail);
    }
}
END_TEST

/* ---- encoding */

START_TEST(refuses_what_is_no_request)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_csr_t want;
    crypt_buf_t good, der;
    unsigned char *bytes;
    apr_size_t i;

    memset(&want, 0, sizeof(want));
    want.challenge = "A";
    good = scep_fixture_csr(p, &want);
    bytes = apr_pcalloc(p, good.len + 1);
    memcpy(bytes, good.data, good.len);
    der.data = bytes;
    der.len = good.len + 1;
    assert_refused(&der, 0, "csr-malformed", FAIL_INFO_BAD_REQUEST, "bytes after the end");
    der.len = 0;
    assert_refused(&der, 0, "csr-malformed", FAIL_INFO_BAD_REQUEST, "empty");
    /* cut off anywhere */
    for (i = 1; i < good.len; i += 17) {
        der.len = i;
        assert_refused(&der, 0, "csr-malformed", FAIL_INFO_BAD_REQUEST, "not a PKCS#10");
    }
}
END_TEST

START_TEST(accepts_ber)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_csr_t want;
    crypt_buf_t der, ber;
    outcome_t out;

    /* only the outer SEQUENCE: what is signed are the bytes inside */
    memset(&want, 0, sizeof(want));
    want.challenge = "A";
    der = scep_fixture_csr(p, &want);
    ck_assert_int_eq(der.data[1], 0x82);
    ber.len = der.len;
    ber.data = apr_pcalloc(p, der.len);
    memcpy((unsigned char *)ber.data, "\x30\x80", 2);
    memcpy((unsigned char *)ber.data + 2, der.data + 4, der.len - 4);
    ck_assert_ptr_nonnull(make(&ber, 0, &out));
    ber.len--;
    ck_assert_ptr_null(make(&ber, 0, &out));
}
END_TEST

/* ---- signatures */

START_TEST(refuses_any_changed_octet)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_csr_t want;
    crypt_buf_t der;
    outcome_t out;
    apr_size_t i;

    memset(&want, 0, sizeof(want));
    want.challenge = "A";
    der = scep_fixture_csr(p, &want);
    for (i = 0; i < der.len; i++) {
        unsigned char *at = (unsigned char *)der.data + i;

        /* the NULL of the signature algorithm, before 261 octets of signature, says nothing */
        if (i == der.len - 263)
            continue;
        *at ^= 0x10;
        ck_assert_msg(make(&der, 0, &out) == NULL, "octet %d", (int)i);
        *at ^= 0x10;
    }
    ck_assert_ptr_nonnull(make(&der, 0, &out));
    ((unsigned char *)der.data)[der.len - 1] ^= 1;
    assert_refused(&der, 0, "csr-signature", FAIL_INFO_BAD_MESSAGE_CHECK, "does not verify");
}
END_TEST

START_TEST(judges_algorithms)
{
    const struct {
        const EVP_MD *md;
        int allow_sha1, accepted;
    } cases[] = {
        { EVP_sha224(), 0, 1 },
        { EVP_sha256(), 0, 1 },
        { EVP_sha384(), 0, 1 },
        { EVP_sha512(), 0, 1 },
        { EVP_sha1(), 1, 1 },
        { EVP_sha1(), 0, 0 },
        { EVP_md5(), 1, 0 }
    };
    apr_pool_t *p = fixture_pool();
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scep_fixture_csr_t want;
        crypt_buf_t der;
        outcome_t out;

        memset(&want, 0, sizeof(want));
        want.md = cases[i].md;
        der = scep_fixture_csr(p, &want);
        if (cases[i].accepted)
            ck_assert_msg(make(&der, cases[i].allow_sha1, &out) != NULL, "case %d", (int)i);
        else
            assert_refused(&der, cases[i].allow_sha1, "csr-algorithm", FAIL_INFO_BAD_ALG,
                           "1.2.840.113549.1.1.");
    }
}
END_TEST

START_TEST(judges_only_what_came_whole)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_csr_t want;
    crypt_buf_t der;

    memset(&want, 0, sizeof(want));
    want.md = EVP_md5();
    der = scep_fixture_csr(p, &want);
    ((unsigned char *)der.data)[der.len - 1] ^= 1;
    assert_refused(&der, 1, "csr-signature", FAIL_INFO_BAD_MESSAGE_CHECK, "1.2.840.113549.1.1.4");
}
END_TEST

START_TEST(refuses_unusable_key)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_csr_t want;
    crypt_buf_t der;
    unsigned char *at, *end;
    int len;

    /* rsaEncryption (1.2.840.113549.1.1.1) of the key becomes 1.2.840.113549.1.1.99 */
    memset(&want, 0, sizeof(want));
    der = scep_fixture_csr(p, &want);
    at = (unsigned char *)der.data;
    len = (int)der.len;
    for (end = at + len - 11; at < end; at++) {
        if (memcmp(at, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 11) == 0)
            break;
    }
    ck_assert_ptr_ne(at, end);
    at[10] = 99;
    assert_refused(&der, 0, "csr-key", FAIL_INFO_BAD_ALG, "cannot be used");
}
END_TEST

Suite *test_csr_suite(void);

Suite *test_csr_suite(void)
{
    Suite *suite = suite_create("csr");
    TCase *tcase = tcase_create("csr");

    scep_fixture_init();
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, reads_a_request);
    tcase_add_test(tcase, copies_what_it_was_given);
    tcase_add_test(tcase, reads_requests_of_other_keys);
    tcase_add_test(tcase, reads_ed25519);
    tcase_add_test(tcase, chooses_usage);
    tcase_add_loop_test(tcase, reads_challenge, 0,
                        (int)(sizeof(challenge_cases) / sizeof(challenge_cases[0])));
    tcase_add_test(tcase, reads_long_challenge);
    tcase_add_test(tcase, reads_extensions_of_microsoft);
    tcase_add_test(tcase, refuses_hostile_attributes);
    tcase_add_test(tcase, refuses_what_is_no_request);
    tcase_add_test(tcase, accepts_ber);
    tcase_add_test(tcase, refuses_any_changed_octet);
    tcase_add_test(tcase, judges_algorithms);
    tcase_add_test(tcase, judges_only_what_came_whole);
    tcase_add_test(tcase, refuses_unusable_key);
    suite_add_tcase(suite, tcase);
    return suite;
}
