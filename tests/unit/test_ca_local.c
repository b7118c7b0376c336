/* SPDX-License-Identifier: Apache-2.0 */
/* The local CA: what it refuses to start with, and what its certificates hold. */
#include "ca_fixture.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

Suite *test_ca_local_suite(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* A certificate as others see it: encoded and parsed again. */
static X509 *reparse(X509 *cert)
{
    unsigned char *der = NULL;
    const unsigned char *at;
    X509 *parsed;
    int len = i2d_X509(cert, &der);

    ck_assert_int_gt(len, 0);
    at = der;
    parsed = d2i_X509(NULL, &at, len);
    ck_assert_ptr_nonnull(parsed);
    OPENSSL_free(der);
    return crypt_x509_own(parsed, fixture_pool());
}

/* What ca issues for request; ends the test if it does not. */
static X509 *issue(ca_t *ca, const ca_fixture_request_t *request)
{
    ca_answer_t answer;
    log_sink_t *log = fixture_log(fixture_pool());

    ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, log,
              fixture_pool());
    ck_assert_msg(answer.result == CA_ISSUED, "%s: %s\n%s", answer.outcome.reason,
                  answer.outcome.detail, fixture_log_text(log));
    ck_assert_int_eq(answer.outcome.result, OUTCOME_SUCCESS);
    ck_assert_str_eq(fixture_log_text(log), "");
    ck_assert_uint_eq(ERR_peek_error(), 0);
    return reparse(answer.leaf);
}

/* The text of one extension as "openssl x509 -text" prints it; "" if it is not there. */
static const char *extension(X509 *cert, int nid, int *critical)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int index = X509_get_ext_by_NID(cert, nid, -1);
    const char *text = "";
    char *data;
    long len;

    *critical = 0;
    if (index >= 0) {
        X509_EXTENSION *ext = X509_get_ext(cert, index);

        *critical = X509_EXTENSION_get_critical(ext);
        ck_assert(X509V3_EXT_print(bio, ext, 0, 0));
        len = BIO_get_mem_data(bio, &data);
        text = apr_pstrmemdup(fixture_pool(), data, (apr_size_t)len);
    }
    BIO_free(bio);
    return text;
}

/* Whether OpenSSL itself verifies cert by ca as a TLS client's. */
static int verifies(X509 *cert, X509 *ca)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int ok;

    X509_STORE_add_cert(store, ca);
    X509_STORE_CTX_init(ctx, store, cert, NULL);
    X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT);
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
    ok = X509_verify_cert(ctx);
    if (ok != 1) {
        fprintf(stderr, "%s\n", X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return ok == 1;
}

START_TEST(certificate_is_what_the_grant_says)
{
    X509 *ca_cert = ca_fixture_ca(fixture_rsa(0), 3650);
    ca_t *ca = ca_fixture_local(ca_cert, fixture_rsa(0), NULL, ca_fixture_config());
    ca_fixture_request_t *request =
        ca_fixture_request(fixture_rsa(1), "device", "subjectAltName=DNS:d.example", NULL);
    X509 *cert = issue(ca, request);
    int critical;

    ck_assert_str_eq(crypt_serial_text(X509_get0_serialNumber(cert), fixture_pool()),
                     crypt_hex(request->values.serial, 16, 1, fixture_pool()));
    ck_assert_int_eq(X509_get_version(cert), X509_VERSION_3);
    ck_assert_int_eq(crypt_asn1_time(X509_get0_notBefore(cert)), request->values.not_before);
    ck_assert_int_eq(crypt_asn1_time(X509_get0_notAfter(cert)),
                     request->values.not_before + apr_time_from_sec(600 + 365 * 86400));
    ck_assert_int_eq(X509_NAME_cmp(X509_get_subject_name(cert), request->csr->subject), 0);
    ck_assert_int_eq(EVP_PKEY_eq(X509_get0_pubkey(cert), fixture_rsa(1)), 1);
    ck_assert_int_eq(X509_get_signature_nid(cert), NID_sha256WithRSAEncryption);
    ck_assert_str_eq(extension(cert, NID_basic_constraints, &critical), "CA:FALSE");
    ck_assert_int_eq(critical, 1);
    ck_assert_str_eq(extension(cert, NID_key_usage, &critical),
                     "Digital Signature, Key Encipherment");
    ck_assert_int_eq(critical, 1);
    ck_assert_str_eq(extension(cert, NID_ext_key_usage, &critical),
                     "TLS Web Client Authentication");
    ck_assert_str_eq(extension(cert, NID_subject_alt_name, &critical), "DNS:d.example");
    ck_assert_int_eq(critical, 0);
    ck_assert_int_eq(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(cert),
                                           X509_get0_subject_key_id(ca_cert)), 0);
    ck_assert_ptr_nonnull(X509_get0_subject_key_id(cert));
    ck_assert_int_eq(X509_get_ext_count(cert), 6);
    ck_assert(verifies(cert, ca_cert));
}
END_TEST

START_TEST(same_grant_gives_the_same_certificate)
{
    ca_t *ca = ca_fixture_local(ca_fixture_ca(fixture_rsa(0), 3650), fixture_rsa(0), NULL,
                                ca_fixture_config());
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);

    ck_assert_int_eq(X509_cmp(issue(ca, request), issue(ca, request)), 0);
}
END_TEST

START_TEST(template_is_followed)
{
    static const char *const words[] = {
        "validity=1d", "keyUsage=digitalSignature,nonRepudiation,decipherOnly",
        "extendedKeyUsage=serverAuth,1.3.6.1.4.1.311.20.2.2", "subject=none",
        "crlUrl=http://pki.example/ca.crl", "caIssuersUrl=http://pki.example/ca.cer",
        "ocspUrl=http://pki.example/ocsp"
    };
    X509 *ca_cert = ca_fixture_ca(fixture_rsa(0), 3650), *cert;
    ca_config_t *cfg = ca_fixture_config();
    ca_fixture_request_t *request;
    const ca_template_t *t;
    int critical;

    ck_assert_ptr_null(ca_template_make(&t, "VPN", COUNT(words), words, fixture_pool()));
    APR_ARRAY_PUSH((apr_array_header_t *)cfg->templates, const ca_template_t *) = t;
    request = ca_fixture_request(fixture_rsa(1), "device", "subjectAltName=IP:10.0.0.1", "VPN");
    cert = issue(ca_fixture_local(ca_cert, fixture_rsa(0), "digest=SHA512", cfg), request);
    ck_assert_int_eq(X509_get_signature_nid(cert), NID_sha512WithRSAEncryption);
    ck_assert_int_eq(X509_NAME_entry_count(X509_get_subject_name(cert)), 0);
    ck_assert_str_eq(extension(cert, NID_subject_alt_name, &critical), "IP Address:10.0.0.1");
    ck_assert_int_eq(critical, 1);
    ck_assert_str_eq(extension(cert, NID_key_usage, &critical),
                     "Digital Signature, Non Repudiation, Decipher Only");
    ck_assert_ptr_nonnull(strstr(extension(cert, NID_crl_distribution_points, &critical),
                                 "URI:http://pki.example/ca.crl"));
    ck_assert_ptr_nonnull(strstr(extension(cert, NID_info_access, &critical),
                                 "CA Issuers - URI:http://pki.example/ca.cer"));
    ck_assert_ptr_nonnull(strstr(extension(cert, NID_info_access, &critical),
                                 "OCSP - URI:http://pki.example/ocsp"));
    ck_assert_ptr_nonnull(strstr(extension(cert, NID_ext_key_usage, &critical),
                                 "TLS Web Server Authentication"));
    ck_assert_int_eq(crypt_asn1_time(X509_get0_notAfter(cert)) -
                     crypt_asn1_time(X509_get0_notBefore(cert)), apr_time_from_sec(86400 + 600));
}
END_TEST

START_TEST(ec_keys_on_both_sides)
{
    X509 *ca_cert = ca_fixture_ca(fixture_ec(), 3650);
    ca_t *ca = ca_fixture_local(ca_cert, fixture_ec(), NULL, ca_fixture_config());
    EVP_PKEY *device = crypt_pkey_own(EVP_EC_gen("P-384"), fixture_pool());
    X509 *cert = issue(ca, ca_fixture_request(device, "device", NULL, NULL));
    int critical;

    ck_assert_int_eq(X509_get_signature_nid(cert), NID_ecdsa_with_SHA256);
    ck_assert_int_eq(EVP_PKEY_eq(X509_get0_pubkey(cert), device), 1);
    /* RFC 8813: no encipherment by an EC key */
    ck_assert_str_eq(extension(cert, NID_key_usage, &critical), "Digital Signature");
    ck_assert(verifies(cert, ca_cert));
}
END_TEST

START_TEST(nothing_else_is_copied)
{
    static const char *const wanted[] = {
        "basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign,digitalSignature",
        "1.2.3.4=ASN1:UTF8:x", "extendedKeyUsage=codeSigning", "nsCertType=sslCA"
    };
    ca_t *ca = ca_fixture_local(ca_fixture_ca(fixture_rsa(0), 3650), fixture_rsa(0), NULL,
                                ca_fixture_config());
    int i, critical;

    for (i = 0; i < COUNT(wanted); i++) {
        X509 *cert = issue(ca, ca_fixture_request(fixture_rsa(1), "device", wanted[i], NULL));

        ck_assert_int_eq(X509_get_ext_count(cert), 5);
        ck_assert_str_eq(extension(cert, NID_basic_constraints, &critical), "CA:FALSE");
        ck_assert_str_eq(extension(cert, NID_ext_key_usage, &critical),
                         "TLS Web Client Authentication");
        ck_assert_int_eq(X509_check_ca(cert), 0);
    }
}
END_TEST

START_TEST(never_beyond_the_ca)
{
    X509 *ca_cert = ca_fixture_ca(fixture_rsa(0), 20);
    ca_t *ca = ca_fixture_local(ca_cert, fixture_rsa(0), NULL, ca_fixture_config());
    X509 *cert = issue(ca, ca_fixture_request(fixture_rsa(1), "device", NULL, NULL));

    ck_assert_int_eq(crypt_asn1_time(X509_get0_notAfter(cert)),
                     crypt_asn1_time(X509_get0_notAfter(ca_cert)));
}
END_TEST

START_TEST(serial_with_leading_zeros)
{
    ca_t *ca = ca_fixture_local(ca_fixture_ca(fixture_rsa(0), 3650), fixture_rsa(0), NULL,
                                ca_fixture_config());
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    ca_answer_t answer;

    memset(request->values.serial, 0, 15);
    request->values.serial[15] = 0x80;
    request->grant = grant_make(&request->values, fixture_pool());
    ck_assert_int_eq(ASN1_INTEGER_get(X509_get0_serialNumber(issue(ca, request))), 0x80);
    request->values.serial[15] = 0;
    request->grant = grant_make(&request->values, fixture_pool());
    ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, NULL,
              fixture_pool());
    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert_str_eq(answer.outcome.reason, "ca-sign");
    ck_assert_int_eq(answer.unknown, 0);
}
END_TEST

/* What ca_make() says to a CA of these files. */
static const char *complaint(const char *cert_pem, const char *key_pem, const char *word)
{
    apr_pool_t *p = fixture_pool();
    const char *dir = fixture_directory(p), *words[3];
    ca_t *ca = NULL;
    const char *error;

    words[0] = apr_pstrcat(p, "certificate=", fixture_file(p, dir, "c.pem", cert_pem, 0600), NULL);
    words[1] = apr_pstrcat(p, "key=", fixture_file(p, dir, "c.key", key_pem, 0600), NULL);
    words[2] = word;
    error = ca_make(&ca, &ca_local_provider, word != NULL ? 3 : 2, words, ca_fixture_config(), p);
    ck_assert_msg((error == NULL) == (ca != NULL), "error and CA, or neither");
    return error != NULL ? error : "";
}

/* Ends the test unless text holds part. */
static void says(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "'%s' does not say '%s'", text, part);
}

/* PEM of a certificate of fixture_rsa(0) with the given properties. */
static const char *pem_of(int is_ca, const char *key_usage, long not_before, long not_after,
                          EVP_PKEY *key)
{
    fixture_certificate_t want;

    memset(&want, 0, sizeof(want));
    want.key = key;
    want.issuer_key = fixture_rsa(0);
    want.ca = is_ca;
    want.key_usage = key_usage;
    want.not_before = not_before;
    want.not_after = not_after;
    return fixture_certificate_pem(fixture_pool(), fixture_certificate(fixture_pool(), &want));
}

START_TEST(unfit_cas_are_refused)
{
    apr_pool_t *p = fixture_pool();
    const char *key = fixture_key_pem(p, fixture_rsa(0)), *good;
    EVP_PKEY *weak = crypt_pkey_own(EVP_RSA_gen(1024), p);
    EVP_PKEY *p224 = crypt_pkey_own(EVP_EC_gen("P-224"), p);

    good = pem_of(1, NULL, -60, 86400, fixture_rsa(0));
    ck_assert_str_eq(complaint(good, key, NULL), "");
    ck_assert_str_eq(complaint(good, key, "digest=sha384"), "");
    says(complaint(good, key, "digest=sha1"), "must be sha256, sha384 or sha512");
    says(complaint(good, key, "color=red"), "unknown key 'color'");
    says(complaint(good, fixture_key_pem(p, fixture_rsa(1)), NULL), "does not belong");
    says(complaint(good, "", NULL), "no PEM private key");
    says(complaint("", key, NULL), "no PEM certificate");
    says(complaint(pem_of(0, NULL, -60, 86400, fixture_rsa(0)), key, NULL), "is not a CA's");
    says(complaint(pem_of(1, "critical,cRLSign", -60, 86400, fixture_rsa(0)), key, NULL),
         "must not sign certificates");
    says(complaint(pem_of(1, NULL, -7200, -3600, fixture_rsa(0)), key, NULL), "expired on");
    says(complaint(pem_of(1, NULL, 3600, 7200, fixture_rsa(0)), key, NULL), "not valid before");
    says(complaint(pem_of(1, NULL, -60, 86400, weak), fixture_key_pem(p, weak), NULL),
         "too short: RSA-1024");
    says(complaint(pem_of(1, NULL, -60, 86400, p224), fixture_key_pem(p, p224), NULL),
         "too short: EC P-224");
}
END_TEST

START_TEST(missing_files_are_told)
{
    static const char *const words[] = {"certificate=/nonexistent/c.pem", "key=/nonexistent/k"};
    ca_t *ca;
    const char *error = ca_make(&ca, &ca_local_provider, 2, words, ca_fixture_config(),
                                fixture_pool());

    ck_assert_ptr_nonnull(error);
    says(error, "/nonexistent/c.pem");
    error = ca_make(&ca, &ca_local_provider, 1, words, ca_fixture_config(), fixture_pool());
    ck_assert_ptr_nonnull(error);
    says(error, "'key' is missing");
}
END_TEST

START_TEST(certificate_is_found_by_its_key)
{
    apr_pool_t *p = fixture_pool();
    X509 *root = ca_fixture_ca(fixture_rsa(1), 3650), *sub, *first;
    STACK_OF(X509) *chain;
    fixture_certificate_t want;
    const char *dir = fixture_directory(p), *words[2];
    EVP_PKEY *key;
    ca_t *ca;

    memset(&want, 0, sizeof(want));
    want.subject = "issuing CA";
    want.ca = 1;
    want.key = fixture_rsa(0);
    want.issuer = root;
    want.issuer_key = fixture_rsa(1);
    sub = fixture_certificate(p, &want);
    words[0] = apr_pstrcat(p, "certificate=", fixture_file(p, dir, "c.pem",
                           apr_pstrcat(p, fixture_certificate_pem(p, root),
                                       fixture_certificate_pem(p, sub), NULL), 0600), NULL);
    words[1] = apr_pstrcat(p, "key=", fixture_file(p, dir, "c.key",
                           fixture_key_pem(p, fixture_rsa(0)), 0600), NULL);
    ck_assert_ptr_null(ca_make(&ca, &ca_local_provider, 2, words, ca_fixture_config(), p));
    ck_assert_int_eq(ca_chain(ca, &chain, NULL, p), APR_SUCCESS);
    ck_assert_int_eq(sk_X509_num(chain), 2);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 0), sub), 0);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 1), root), 0);
    ck_assert_int_eq(ca_get0_identity(ca, &first, &key), APR_SUCCESS);
    ck_assert_int_eq(X509_cmp(first, sub), 0);
    ck_assert_int_eq(EVP_PKEY_eq(key, fixture_rsa(0)), 1);
    (void)issue(ca, ca_fixture_request(fixture_rsa(2), "device", NULL, NULL));
}
END_TEST

START_TEST(health_is_the_certificate_s)
{
    ca_t *ca = ca_fixture_local(ca_fixture_ca(fixture_rsa(0), 3650), fixture_rsa(0), NULL,
                                ca_fixture_config());
    const char *text = NULL;

    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_SUCCESS);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(ca_child_init(ca, fixture_pool()), APR_SUCCESS);
    ck_assert_str_eq(ca_name(ca), "local");
    ck_assert_int_eq(ca_capabilities(ca), CA_CAP_SERIAL | CA_CAP_SUBJECT | CA_CAP_SID |
                                               CA_CAP_LEDGER);
}
END_TEST

START_TEST(expired_ca_signs_nothing)
{
    fixture_certificate_t want;
    ca_answer_t answer;
    ca_fixture_request_t *request = ca_fixture_request(fixture_rsa(1), "device", NULL, NULL);
    const char *text;
    ca_t *ca;

    memset(&want, 0, sizeof(want));
    want.ca = 1;
    want.not_before = -60;
    want.not_after = 2;
    ca = ca_fixture_local(fixture_certificate(fixture_pool(), &want), fixture_rsa(0), NULL,
                          ca_fixture_config());
    apr_sleep(apr_time_from_sec(3));
    ca_submit(ca, request->grant, request->csr, ca_fixture_deadline(), &answer, NULL,
              fixture_pool());
    ck_assert_int_eq(answer.result, CA_RETRY);
    ck_assert_int_eq(answer.unknown, 0);
    ck_assert_str_eq(answer.outcome.reason, "ca-expired");
    ck_assert_int_eq(answer.outcome.result, OUTCOME_UNAVAILABLE);
    ck_assert_int_eq(ca_health(ca, &text, fixture_pool()), APR_EGENERAL);
    ck_assert_ptr_nonnull(strstr(text, "expired on"));
}
END_TEST

Suite *test_ca_local_suite(void)
{
    Suite *suite = suite_create("ca_local");
    TCase *tc = tcase_create("local");

    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, certificate_is_what_the_grant_says);
    tcase_add_test(tc, same_grant_gives_the_same_certificate);
    tcase_add_test(tc, template_is_followed);
    tcase_add_test(tc, ec_keys_on_both_sides);
    tcase_add_test(tc, nothing_else_is_copied);
    tcase_add_test(tc, never_beyond_the_ca);
    tcase_add_test(tc, serial_with_leading_zeros);
    tcase_add_test(tc, unfit_cas_are_refused);
    tcase_add_test(tc, missing_files_are_told);
    tcase_add_test(tc, certificate_is_found_by_its_key);
    tcase_add_test(tc, health_is_the_certificate_s);
    tcase_add_test(tc, expired_ca_signs_nothing);
    suite_add_tcase(suite, tc);
    return suite;
}
