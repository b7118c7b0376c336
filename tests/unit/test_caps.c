/* SPDX-License-Identifier: Apache-2.0 */
/* GetCACaps. */
#include "../../mod_scep/core/caps.h"
#include "fixture.h"

#include <string.h>

START_TEST(says_what_the_service_takes)
{
    static const struct {
        unsigned legacy;
        const char *caps;
    } cases[] = {
        { 0, "AES\nPOSTPKIOperation\nSHA-256\nSHA-512\nSCEPStandard\n" },
        { SCEP_LEGACY_3DES, "AES\nDES3\nPOSTPKIOperation\nSHA-256\nSHA-512\nSCEPStandard\n" },
        { SCEP_LEGACY_3DES | SCEP_LEGACY_SHA1,
          "AES\nDES3\nPOSTPKIOperation\nSHA-1\nSHA-256\nSHA-512\nSCEPStandard\n" }
    };
    scep_service_t service;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&service, 0, sizeof(service));
        service.legacy = cases[i].legacy;
        ck_assert_str_eq(scep_caps_make(&service, fixture_pool()), cases[i].caps);
        ck_assert_ptr_null(scep_caps_check(cases[i].caps, fixture_pool()));
    }
}
END_TEST

START_TEST(says_renewal_and_next_ca_only_where_they_are)
{
    apr_pool_t *p = fixture_pool();
    scep_service_t service;

    memset(&service, 0, sizeof(service));
    service.renewal.enabled = 1;
    ck_assert_str_eq(scep_caps_make(&service, p),
                     "AES\nPOSTPKIOperation\nRenewal\nSHA-256\nSHA-512\nSCEPStandard\n");
    service.renewal.enabled = 0;
    service.next_certs = sk_X509_new_null();
    ck_assert_str_eq(scep_caps_make(&service, p),
                     "AES\nGetNextCACert\nPOSTPKIOperation\nSHA-256\nSHA-512\nSCEPStandard\n");
    sk_X509_free(service.next_certs);
}
END_TEST

START_TEST(tells_what_is_promised_and_not_served)
{
    apr_pool_t *p = fixture_pool();
    scep_service_t service;

    memset(&service, 0, sizeof(service));
    ck_assert_ptr_null(scep_caps_unserved(&service, p));
    service.capabilities = "AES\nSHA-384\nSCEPStandard";
    ck_assert_ptr_null(scep_caps_unserved(&service, p));
    service.capabilities = "AES\nDES3\nSHA-1";
    ck_assert_str_eq(scep_caps_unserved(&service, p), "DES3");
    service.legacy = SCEP_LEGACY_3DES;
    ck_assert_str_eq(scep_caps_unserved(&service, p), "SHA-1");
    service.capabilities = "Renewal";
    ck_assert_str_eq(scep_caps_unserved(&service, p), "Renewal");
    service.renewal.enabled = 1;
    ck_assert_ptr_null(scep_caps_unserved(&service, p));
    service.capabilities = "AES\nGetNextCACert";
    ck_assert_str_eq(scep_caps_unserved(&service, p), "GetNextCACert");
}
END_TEST

START_TEST(says_what_is_configured)
{
    scep_service_t service;

    memset(&service, 0, sizeof(service));
    service.capabilities = "AES\nSHA-384";
    ck_assert_str_eq(scep_caps_make(&service, fixture_pool()), "AES\nSHA-384\n");
}
END_TEST

START_TEST(checks_keywords)
{
    apr_pool_t *p = fixture_pool();

    ck_assert_ptr_null(scep_caps_check("", p));
    ck_assert_ptr_null(scep_caps_check("SHA-256\nAES\nSHA-384", p));
    ck_assert_ptr_nonnull(strstr(scep_caps_check("AES\nsha-256\n", p), "'sha-256'"));
    ck_assert_ptr_nonnull(strstr(scep_caps_check("AES\r\n", p), "not a known capability"));
    ck_assert_ptr_nonnull(strstr(scep_caps_check("SHA2\n", p), "'SHA2'"));
    ck_assert_ptr_null(scep_caps_check("AES\nGetNextCACert\nRenewal", p));
}
END_TEST

Suite *test_caps_suite(void);

Suite *test_caps_suite(void)
{
    Suite *suite = suite_create("caps");
    TCase *tcase = tcase_create("caps");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, says_what_the_service_takes);
    tcase_add_test(tcase, says_renewal_and_next_ca_only_where_they_are);
    tcase_add_test(tcase, tells_what_is_promised_and_not_served);
    tcase_add_test(tcase, says_what_is_configured);
    tcase_add_test(tcase, checks_keywords);
    suite_add_tcase(suite, tcase);
    return suite;
}
