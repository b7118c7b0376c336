/* SPDX-License-Identifier: Apache-2.0 */
/* CertReps as a device reads them: by OpenSSL's CMS and PKCS7 functions. */
#include "../../mod_scep/core/cms_asn1.h"
#include "../../mod_scep/core/reply.h"
#include "fixture.h"
#include "scep_fixture.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

/* A verified message of a device that sent it so. */
static scep_message_t *message_of(const scep_fixture_t *f, const scep_fixture_message_t *want)
{
    crypt_buf_t *der = apr_palloc(f->pool, sizeof(*der));
    scep_message_t *message;
    outcome_t out;

    *der = scep_fixture_message(f, want);
    ck_assert_int_eq(scep_message_make(&message, der, &f->service, &out, f->pool),
                     APR_SUCCESS);
    return message;
}

/* Makes a CertRep that must work. */
static crypt_buf_t reply_of(const scep_fixture_t *f, const scep_reply_t *reply)
{
    crypt_buf_t der;

    ck_assert_int_eq(scep_reply_make(&der, &f->service, reply, f->pool), APR_SUCCESS);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    return der;
}

/* What every reply has. */
static void assert_common(const scep_fixture_reply_t *reply, const char *status)
{
    ck_assert_str_eq(reply->message_type, "3");
    ck_assert_str_eq(reply->status, status);
    ck_assert_str_eq(reply->transaction_id, SCEP_FIXTURE_TRANSACTION_ID);
    ck_assert_uint_eq(reply->sender_nonce.len, 16);
    ck_assert_uint_eq(reply->recipient_nonce.len, 16);
    ck_assert_mem_eq(reply->recipient_nonce.data, SCEP_FIXTURE_NONCE, 16);
}

/* Signers, the current one first. */
static apr_array_header_t *signers_of(apr_pool_t *p, const scep_ra_key_t *ras, int n)
{
    apr_array_header_t *signers = apr_array_make(p, n, sizeof(scep_ra_key_t));
    int i;

    for (i = 0; i < n; i++)
        APR_ARRAY_PUSH(signers, scep_ra_key_t) = ras[i];
    return signers;
}

START_TEST(delivers_certificates_in_order)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_t *f = scep_fixture_make(p);
    scep_fixture_message_t want;
    scep_fixture_reply_t *answer;
    scep_reply_t reply;
    crypt_buf_t der, certs[2];
    outcome_t out;
    int swap;

    memset(&want, 0, sizeof(want));
    memset(&reply, 0, sizeof(reply));
    outcome_success(&out);
    reply.message = message_of(f, &want);
    reply.outcome = &out;
    reply.certificates = certs;
    reply.ncertificates = 2;
    for (swap = 0; swap <= 1; swap++) {
        X509 *first = f->certs[swap ? SCEP_FIXTURE_CA : SCEP_FIXTURE_STRANGER];
        X509 *second = f->certs[swap ? SCEP_FIXTURE_STRANGER : SCEP_FIXTURE_CA];

        certs[0] = cms_encode(ASN1_ITEM_rptr(X509), first, p);
        certs[1] = cms_encode(ASN1_ITEM_rptr(X509), second, p);
        der = reply_of(f, &reply);
        answer = scep_fixture_open(f, &der, NULL, NULL);
        assert_common(answer, "0");
        ck_assert_int_eq(answer->has_content, 1);
        ck_assert_int_eq(sk_X509_num(answer->certs), 2);
        ck_assert_int_eq(X509_cmp(sk_X509_value(answer->certs, 0), first), 0);
        ck_assert_int_eq(X509_cmp(sk_X509_value(answer->certs, 1), second), 0);
        ck_assert_ptr_null(answer->fail_info);
        ck_assert_ptr_null(answer->fail_info_text);
        ck_assert_ptr_null(answer->hresult);
    }
}
END_TEST

START_TEST(mirrors_cipher_and_digest)
{
    const EVP_MD *const mds[] = { EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(),
                                  EVP_sha512() };
    const EVP_CIPHER *const ciphers[] = { EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc(),
                                          EVP_des_ede3_cbc(), NULL };
    apr_pool_t *p = fixture_pool();
    scep_fixture_t *f = scep_fixture_make(p);
    scep_fixture_reply_t *answer;
    crypt_buf_t der, cert = cms_encode(ASN1_ITEM_rptr(X509), f->certs[SCEP_FIXTURE_CA], p);
    outcome_t out;
    size_t i;

    outcome_success(&out);
    for (i = 0; i < sizeof(mds) / sizeof(mds[0]); i++) {
        scep_fixture_message_t want;
        scep_reply_t reply;

        memset(&want, 0, sizeof(want));
        memset(&reply, 0, sizeof(reply));
        want.md = mds[i];
        reply.message = message_of(f, &want);
        reply.outcome = &out;
        reply.certificates = &cert;
        reply.ncertificates = 1;
        reply.envelope.cipher = ciphers[i];
        der = reply_of(f, &reply);
        answer = scep_fixture_open(f, &der, NULL, NULL);
        ck_assert_int_eq(answer->md, EVP_MD_get_type(mds[i]));
        ck_assert_int_eq(answer->cipher, ciphers[i] ? EVP_CIPHER_get_nid(ciphers[i])
                                                    : NID_aes_128_cbc);
    }
}
END_TEST

START_TEST(says_why_not)
{
    static const struct {
        fail_info_e fail_info;
        apr_int32_t hresult;
        const char *text;
        const char *sent, *sent_hresult;
    } cases[] = {
        { FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "no", "0", "-2146893816" },
        { FAIL_INFO_BAD_MESSAGE_CHECK, OUTCOME_HR_NONE, "p\xc3\xa4", "1", NULL },
        { FAIL_INFO_BAD_REQUEST, OUTCOME_HR_NOT_FOUND, "", "2", "-2147023728" },
        { FAIL_INFO_BAD_TIME, OUTCOME_HR_EXPIRED, NULL, "3", "-2146762495" },
        { FAIL_INFO_BAD_CERT_ID, OUTCOME_HR_NONE, "x", "4", NULL },
        { FAIL_INFO_NONE, OUTCOME_HR_NONE, "x", "2", NULL },
        { (fail_info_e)9, OUTCOME_HR_NONE, "x", "2", NULL }
    };
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    scep_fixture_reply_t *answer;
    scep_reply_t reply;
    outcome_t out;
    size_t i;

    memset(&want, 0, sizeof(want));
    memset(&reply, 0, sizeof(reply));
    reply.message = message_of(f, &want);
    reply.outcome = &out;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        crypt_buf_t der;

        outcome_refuse(&out, cases[i].fail_info, cases[i].hresult, "test", cases[i].text, f->pool,
                       NULL);
        out.fail_info = cases[i].fail_info;
        der = reply_of(f, &reply);
        answer = scep_fixture_open(f, &der, NULL, NULL);
        assert_common(answer, "2");
        ck_assert_int_eq(answer->has_content, 0);
        ck_assert_str_eq(answer->fail_info, cases[i].sent);
        if (cases[i].text && *cases[i].text)
            ck_assert_str_eq(answer->fail_info_text, cases[i].text);
        else
            ck_assert_ptr_null(answer->fail_info_text);
        if (cases[i].sent_hresult)
            ck_assert_str_eq(answer->hresult, cases[i].sent_hresult);
        else
            ck_assert_ptr_null(answer->hresult);
    }
}
END_TEST

START_TEST(says_to_wait)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    scep_fixture_reply_t *answer;
    scep_reply_t reply;
    crypt_buf_t der;
    outcome_t out;

    memset(&want, 0, sizeof(want));
    memset(&reply, 0, sizeof(reply));
    outcome_init(&out);
    out.result = OUTCOME_PENDING;
    reply.message = message_of(f, &want);
    reply.outcome = &out;
    der = reply_of(f, &reply);
    answer = scep_fixture_open(f, &der, NULL, NULL);
    assert_common(answer, "3");
    ck_assert_int_eq(answer->has_content, 0);
    ck_assert_ptr_null(answer->fail_info);
    ck_assert_ptr_null(answer->hresult);
}
END_TEST

START_TEST(is_never_a_copy)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_t *f = scep_fixture_make(p);
    scep_fixture_message_t want;
    scep_fixture_reply_t *a, *b;
    scep_reply_t reply;
    crypt_buf_t first, second;
    outcome_t out;

    memset(&want, 0, sizeof(want));
    memset(&reply, 0, sizeof(reply));
    outcome_refuse(&out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_NONE, "test", "no", p, NULL);
    reply.message = message_of(f, &want);
    reply.outcome = &out;
    first = reply_of(f, &reply);
    second = reply_of(f, &reply);
    a = scep_fixture_open(f, &first, NULL, NULL);
    b = scep_fixture_open(f, &second, NULL, NULL);
    ck_assert_mem_ne(a->sender_nonce.data, b->sender_nonce.data, 16);
}
END_TEST

START_TEST(echoes_what_was_sent)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    scep_fixture_reply_t *answer;
    scep_reply_t reply;
    crypt_buf_t der;
    outcome_t out;

    memset(&want, 0, sizeof(want));
    memset(&reply, 0, sizeof(reply));
    outcome_refuse(&out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_NONE, "test", "no", f->pool, NULL);
    reply.outcome = &out;
    /* characters that no PrintableString has, in another type */
    want.transaction_id = "id_@*+/==";
    want.transaction_id_as = V_ASN1_UTF8STRING;
    want.nonce.data = (const unsigned char *)"12345678";
    want.nonce.len = 8;
    reply.message = message_of(f, &want);
    der = reply_of(f, &reply);
    answer = scep_fixture_open(f, &der, NULL, NULL);
    ck_assert_str_eq(answer->transaction_id, "id_@*+/==");
    ck_assert_uint_eq(answer->recipient_nonce.len, 8);
    ck_assert_mem_eq(answer->recipient_nonce.data, "12345678", 8);
    want.no_nonce = 1;
    reply.message = message_of(f, &want);
    der = reply_of(f, &reply);
    answer = scep_fixture_open(f, &der, NULL, NULL);
    ck_assert_uint_eq(answer->recipient_nonce.len, 0);
}
END_TEST

START_TEST(answers_what_it_could_not_verify)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    scep_fixture_reply_t *answer;
    scep_message_t *message;
    scep_reply_t reply;
    crypt_buf_t der;
    outcome_t out;

    memset(&want, 0, sizeof(want));
    memset(&reply, 0, sizeof(reply));
    want.md = EVP_md5();
    der = scep_fixture_message(f, &want);
    ck_assert_int_eq(scep_message_make(&message, &der, &f->service, &out, f->pool),
                     APR_EINVAL);
    reply.message = message;
    reply.outcome = &out;
    der = reply_of(f, &reply);
    answer = scep_fixture_open(f, &der, NULL, NULL);
    assert_common(answer, "2");
    ck_assert_str_eq(answer->fail_info, "0");
    ck_assert_int_eq(answer->md, NID_sha256);
}
END_TEST

START_TEST(signs_with_other_keys)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_cert_t cert;
    scep_fixture_message_t want;
    scep_ra_key_t ra;
    scep_reply_t reply;
    crypt_buf_t der;
    outcome_t out;

    memset(&cert, 0, sizeof(cert));
    cert.subject = "EC signer";
    cert.key = scep_fixture_ec_key();
    cert.serial = 77;
    ra.cert = scep_fixture_certificate(f->pool, &cert);
    ra.key = cert.key;
    f->service.signers = signers_of(f->pool, &ra, 1);
    memset(&want, 0, sizeof(want));
    memset(&reply, 0, sizeof(reply));
    outcome_refuse(&out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_NONE, "test", "no", f->pool, NULL);
    reply.message = message_of(f, &want);
    reply.outcome = &out;
    der = reply_of(f, &reply);
    assert_common(scep_fixture_open(f, &der, NULL, NULL), "2");
}
END_TEST

START_TEST(is_signed_by_the_generation_that_was_asked)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_ra_key_t ras[2];
    scep_fixture_message_t want;
    scep_reply_t reply;
    crypt_buf_t ders[3];
    outcome_t out;
    int i;

    ras[0] = *scep_service_signer(&f->service, 0);
    ras[1].cert = f->certs[SCEP_FIXTURE_OLD_DECRYPTER];
    ras[1].key = scep_fixture_key(SCEP_FIXTURE_OLD_DECRYPTER);
    f->service.signers = signers_of(f->pool, ras, 2);
    memset(&want, 0, sizeof(want));
    memset(&reply, 0, sizeof(reply));
    outcome_refuse(&out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_NONE, "test", "no", f->pool, NULL);
    reply.message = message_of(f, &want);
    reply.outcome = &out;
    for (i = 0; i < 3; i++) { /* there are more decrypters than signers: the last one signs */
        reply.envelope.generation = i;
        ders[i] = reply_of(f, &reply);
    }
    assert_common(scep_fixture_open(f, &ders[0], NULL, NULL), "2");
    f->service.signers = signers_of(f->pool, &ras[1], 1);
    assert_common(scep_fixture_open(f, &ders[1], NULL, NULL), "2");
    assert_common(scep_fixture_open(f, &ders[2], NULL, NULL), "2");
}
END_TEST

START_TEST(cannot_deliver_to_other_keys)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_t *f = scep_fixture_make(p);
    scep_fixture_message_t want;
    scep_reply_t reply;
    crypt_buf_t der, cert = cms_encode(ASN1_ITEM_rptr(X509), f->certs[SCEP_FIXTURE_CA], p);
    outcome_t out;

    memset(&want, 0, sizeof(want));
    memset(&reply, 0, sizeof(reply));
    outcome_success(&out);
    want.key = scep_fixture_ec_key();
    reply.message = message_of(f, &want);
    reply.outcome = &out;
    reply.certificates = &cert;
    reply.ncertificates = 1;
    ck_assert_int_eq(scep_reply_make(&der, &f->service, &reply, p), APR_EINVAL);
    ck_assert_ptr_null(der.data);
}
END_TEST

/* A certificate's DER, and its serial number read two ways: the same, or none where it is cut. */
static void assert_serial(X509 *cert, apr_pool_t *p)
{
    crypt_buf_t whole = cms_encode(ASN1_ITEM_rptr(X509), cert, p), cut;
    ASN1_INTEGER *serial = cms_certificate_serial(&whole, p);

    ck_assert_ptr_nonnull(serial);
    ck_assert_int_eq(ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(cert)), 0);
    for (cut.len = 0; cut.len < whole.len; cut.len++) {
        cut.data = apr_pmemdup(p, whole.data, cut.len);
        ck_assert_ptr_null(cms_certificate_serial(&cut, p));
    }
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

START_TEST(reads_serial_numbers)
{
    apr_pool_t *p = fixture_pool();
    scep_fixture_t *f = scep_fixture_make(p);
    X509 *old = X509_dup(f->certs[0]);
    crypt_buf_t text = { (const unsigned char *)"no certificate", 14 };

    assert_serial(f->certs[0], p);
    X509_set_version(old, X509_VERSION_1);  /* no version at all */
    assert_serial(old, p);
    X509_free(old);
    ck_assert_ptr_null(cms_certificate_serial(&text, p));
}
END_TEST

Suite *test_reply_suite(void);

Suite *test_reply_suite(void)
{
    Suite *suite = suite_create("reply");
    TCase *tcase = tcase_create("reply");

    scep_fixture_init();
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, delivers_certificates_in_order);
    tcase_add_test(tcase, mirrors_cipher_and_digest);
    tcase_add_test(tcase, says_why_not);
    tcase_add_test(tcase, says_to_wait);
    tcase_add_test(tcase, is_never_a_copy);
    tcase_add_test(tcase, echoes_what_was_sent);
    tcase_add_test(tcase, answers_what_it_could_not_verify);
    tcase_add_test(tcase, signs_with_other_keys);
    tcase_add_test(tcase, is_signed_by_the_generation_that_was_asked);
    tcase_add_test(tcase, cannot_deliver_to_other_keys);
    tcase_add_test(tcase, reads_serial_numbers);
    suite_add_tcase(suite, tcase);
    return suite;
}
