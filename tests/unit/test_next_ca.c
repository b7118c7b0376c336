/* SPDX-License-Identifier: Apache-2.0 */
/* GetNextCACert: who signs, what is in it, and what there is without a next CA. */
#include "../../mod_scep/core/next_ca.h"
#include "ca_fixture.h"
#include "server_fixture.h"

#include <openssl/err.h>
#include <string.h>

/* Gives the service a next CA of that many certificates and prepares it again. */
static void plan(int n)
{
    scep_service_t *service = &world.fixture->service;
    scep_fixture_cert_t want;
    int i;

    service->next_certs = crypt_chain_own(sk_X509_new_null(), world.ctx.pool);
    for (i = 0; i < n; i++) {
        memset(&want, 0, sizeof(want));
        want.subject = i ? "Next root" : "Next CA";
        want.key = scep_fixture_key(SCEP_FIXTURE_STRANGER);
        want.serial = 900 + i;
        want.ca = 1;
        X509_add_cert(service->next_certs, scep_fixture_certificate(world.ctx.pool, &want),
                      X509_ADD_FLAG_UP_REF);
    }
    ck_assert_ptr_null(scep_service_prepare(service, NULL, world.ctx.pool));
}

/* The answer must hold the next certificates in their order, signed by that one alone. */
static void assert_answer(const crypt_buf_t *der, X509 *signer)
{
    const STACK_OF(X509) *next = world.fixture->service.next_certs;
    STACK_OF(X509) *signers = sk_X509_new_null(), *found;
    const unsigned char *data = der->data;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &data, (long)der->len), *inner;
    BIO *out = BIO_new(BIO_s_mem());
    int i;

    ck_assert(cms && data == der->data + der->len);
    ck_assert_int_eq(OBJ_obj2nid(CMS_get0_eContentType(cms)), NID_pkcs7_data);
    ck_assert(sk_X509_push(signers, signer) > 0);
    ck_assert_int_eq(CMS_verify(cms, signers, NULL, NULL, out,
                                CMS_BINARY | CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY), 1);
    found = CMS_get1_certs(cms);
    ck_assert_int_eq(sk_X509_num(found), 1);
    ck_assert_int_eq(X509_cmp(sk_X509_value(found, 0), signer), 0);
    sk_X509_pop_free(found, X509_free);

    inner = d2i_CMS_bio(out, NULL);
    ck_assert_ptr_nonnull(inner);
    ck_assert_ptr_null(*CMS_get0_content(inner));
    ck_assert_int_le(sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(inner)), 0);
    found = CMS_get1_certs(inner);
    ck_assert_int_eq(sk_X509_num(found), sk_X509_num(next));
    for (i = 0; i < sk_X509_num(next); i++)
        ck_assert_int_eq(X509_cmp(sk_X509_value(found, i), sk_X509_value(next, i)), 0);
    sk_X509_pop_free(found, X509_free);
    CMS_ContentInfo_free(inner);
    CMS_ContentInfo_free(cms);
    BIO_free(out);
    sk_X509_free(signers);
}

START_TEST(is_not_offered_without_a_next_ca)
{
    scep_response_t *response = server_fixture_process(0, "operation=GetNextCACert", NULL);
    crypt_buf_t der;

    ck_assert_int_eq(response->http_status, 400);
    ck_assert_str_eq(response->trace.outcome.reason, "next-ca");
    ck_assert_int_eq(scep_next_ca_make(&der, world.ctx.service, world.ctx.pool), APR_ENOTIMPL);
    ck_assert_ptr_null(strstr(world.ctx.service->caps, "GetNextCACert"));
}
END_TEST

START_TEST(is_signed_by_the_ra_where_the_ca_key_is_elsewhere)
{
    scep_response_t *response;

    plan(2);
    response = server_fixture_process(0, "operation=getnextcacert&message=CAIdentifier", NULL);
    ck_assert_int_eq(response->http_status, 200);
    ck_assert_str_eq(response->content_type, SCEP_TYPE_NEXT_CA);
    ck_assert_str_eq(response->trace.operation, "GetNextCACert");
    assert_answer(&response->body, scep_service_signer(world.ctx.service, 0)->cert);
    ck_assert_ptr_nonnull(strstr(world.ctx.service->caps, "GetNextCACert\n"));
}
END_TEST

START_TEST(is_signed_by_the_ca_where_its_key_is_here)
{
    scep_service_t *service = &world.fixture->service;
    EVP_PKEY *key = fixture_rsa(0);
    X509 *ca = ca_fixture_ca(key, 30);
    crypt_buf_t der;

    service->ca = ca_fixture_local(ca, key, NULL, ca_fixture_config());
    plan(1);
    ck_assert_int_eq(X509_cmp(scep_next_ca_signer(service).cert, ca), 0);
    ck_assert_int_eq(scep_next_ca_make(&der, service, world.ctx.pool), APR_SUCCESS);
    assert_answer(&der, ca);
}
END_TEST

START_TEST(says_503_when_it_cannot_sign)
{
    scep_ra_key_t ra = *scep_service_signer(world.ctx.service, 0);
    apr_array_header_t *signers = apr_array_make(world.ctx.pool, 1, sizeof(ra));
    scep_response_t *response;

    ra.key = scep_fixture_key(SCEP_FIXTURE_STRANGER); /* not the certificate's */
    APR_ARRAY_PUSH(signers, scep_ra_key_t) = ra;
    world.fixture->service.signers = signers;
    plan(1);
    response = server_fixture_process(0, "operation=GetNextCACert", NULL);
    ck_assert_int_eq(response->http_status, 503);
    ck_assert_int_gt(response->retry_after, 0);
    ck_assert_uint_eq(response->body.len, 0);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

Suite *test_next_ca_suite(void);

Suite *test_next_ca_suite(void)
{
    Suite *suite = suite_create("next_ca");
    TCase *tcase = tcase_create("next_ca");

    scep_fixture_init();
    tcase_add_checked_fixture(tcase, server_fixture_setup, fixture_teardown);
    tcase_add_test(tcase, is_not_offered_without_a_next_ca);
    tcase_add_test(tcase, is_signed_by_the_ra_where_the_ca_key_is_elsewhere);
    tcase_add_test(tcase, is_signed_by_the_ca_where_its_key_is_here);
    tcase_add_test(tcase, says_503_when_it_cannot_sign);
    suite_add_tcase(suite, tcase);
    return suite;
}
