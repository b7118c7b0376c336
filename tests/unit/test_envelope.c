/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes to the RA, and that those which cannot be opened all look the same. */
#include "../../mod_scep/core/envelope.h"
#include "fixture.h"
#include "scep_fixture.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/rsa.h>
#include <string.h>

static const char text[] = "\x30\x07not CSR";
static const crypt_buf_t plain_text = { (const unsigned char *)text, sizeof(text) - 1 };

static int generation; /* of the key that the last envelope was for */

/* Opens an envelope as the service of f. */
static apr_status_t open_envelope(const scep_fixture_t *f, const crypt_buf_t *envelope,
                                  crypt_buf_t *plain, scep_envelope_t *how, outcome_t *out)
{
    scep_message_t message;
    apr_status_t rv;

    memset(&message, 0, sizeof(message));
    message.envelope = *envelope;
    outcome_init(out);
    rv = scep_envelope_open(plain, how, &message, &f->service, out, f->pool);
    generation = how->generation;
    ck_assert_uint_eq(ERR_peek_error(), 0);
    if (rv != APR_SUCCESS) {
        ck_assert_int_eq(rv, APR_EINVAL);
        ck_assert_int_eq(out->result, OUTCOME_REFUSED);
        ck_assert_uint_eq(plain->len, 0);
    }
    return rv;
}

/* The envelope must hold plain_text, by that cipher. */
static void assert_opens(const scep_fixture_t *f, const crypt_buf_t *envelope, int cipher_nid)
{
    scep_envelope_t how;
    crypt_buf_t plain;
    outcome_t out;

    ck_assert_msg(open_envelope(f, envelope, &plain, &how, &out) == APR_SUCCESS, "%s",
                  out.detail);
    ck_assert_uint_eq(plain.len, plain_text.len);
    ck_assert_mem_eq(plain.data, plain_text.data, plain.len);
    ck_assert_int_eq(EVP_CIPHER_get_nid(how.cipher), cipher_nid);
}

/* Opening must fail with the one refusal of all such envelopes. */
static void assert_uniform(const scep_fixture_t *f, const crypt_buf_t *envelope)
{
    scep_envelope_t how;
    crypt_buf_t plain;
    outcome_t out, uniform;

    scep_envelope_refuse(&uniform, "", f->pool);
    ck_assert_int_eq(open_envelope(f, envelope, &plain, &how, &out), APR_EINVAL);
    ck_assert_int_eq(out.fail_info, uniform.fail_info);
    ck_assert_int_eq(out.hresult, uniform.hresult);
    ck_assert_str_eq(out.reason, uniform.reason);
    ck_assert_str_eq(out.text, uniform.text);
}

START_TEST(opens_every_cipher)
{
    const EVP_CIPHER *const ciphers[] = { EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc(),
                                          EVP_des_ede3_cbc() };
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    size_t i;

    for (i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
        scep_fixture_message_t want;
        crypt_buf_t envelope;

        memset(&want, 0, sizeof(want));
        want.cipher = ciphers[i];
        envelope = scep_fixture_envelope(f, &want, &plain_text);
        assert_opens(f, &envelope, EVP_CIPHER_get_nid(ciphers[i]));
    }
}
END_TEST

START_TEST(refuses_ciphers)
{
    const struct {
        const EVP_CIPHER *cipher;
        unsigned legacy;
        const char *oid;
    } cases[] = {
        { EVP_des_ede3_cbc(), SCEP_LEGACY_SHA1, "1.2.840.113549.3.7" },
        { EVP_camellia_128_cbc(), SCEP_LEGACY_3DES | SCEP_LEGACY_SHA1, "1.2.392.200011.61." }
    };
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scep_fixture_message_t want;
        scep_envelope_t how;
        crypt_buf_t envelope, plain;
        outcome_t out;

        memset(&want, 0, sizeof(want));
        want.cipher = cases[i].cipher;
        f->service.legacy = cases[i].legacy;
        envelope = scep_fixture_envelope(f, &want, &plain_text);
        ck_assert_int_eq(open_envelope(f, &envelope, &plain, &how, &out), APR_EINVAL);
        ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_ALG);
        ck_assert_str_eq(out.reason, "envelope-algorithm");
        ck_assert_ptr_nonnull(strstr(out.detail, cases[i].oid));
        ck_assert_ptr_null(how.cipher);
    }
}
END_TEST

/* Makes the content cipher single DES (1.3.14.3.2.7) in place of 3DES (1.2.840.113549.3.7). */
START_TEST(refuses_single_des)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    scep_envelope_t how;
    crypt_buf_t envelope, plain;
    const unsigned char *data;
    unsigned char *der = NULL;
    outcome_t out;
    PKCS7 *p7;

    memset(&want, 0, sizeof(want));
    want.cipher = EVP_des_ede3_cbc();
    envelope = scep_fixture_envelope(f, &want, &plain_text);
    data = envelope.data;
    p7 = d2i_PKCS7(NULL, &data, (long)envelope.len);
    ASN1_OBJECT_free(p7->d.enveloped->enc_data->algorithm->algorithm);
    p7->d.enveloped->enc_data->algorithm->algorithm = OBJ_nid2obj(NID_des_cbc);
    envelope.len = (apr_size_t)i2d_PKCS7(p7, &der);
    envelope.data = der;
    ck_assert_int_eq(open_envelope(f, &envelope, &plain, &how, &out), APR_EINVAL);
    ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_ALG);
    ck_assert_ptr_nonnull(strstr(out.detail, "1.3.14.3.2.7"));
    OPENSSL_free(der);
    PKCS7_free(p7);
}
END_TEST

START_TEST(finds_the_key)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_cert_t renamed;
    scep_fixture_message_t want;
    crypt_buf_t envelope;
    X509 *cert;
    int who;

    for (who = SCEP_FIXTURE_DECRYPTER; who <= SCEP_FIXTURE_OLD_DECRYPTER; who++) {
        memset(&want, 0, sizeof(want));
        want.recipient = f->certs[who];
        envelope = scep_fixture_envelope(f, &want, &plain_text);
        assert_opens(f, &envelope, NID_aes_128_cbc);
        ck_assert_int_eq(generation, who - SCEP_FIXTURE_DECRYPTER);
        want.recipient_flags = CMS_USE_KEYID;
        envelope = scep_fixture_envelope(f, &want, &plain_text);
        assert_opens(f, &envelope, NID_aes_128_cbc);
        ck_assert_int_eq(generation, who - SCEP_FIXTURE_DECRYPTER);
        want.recipient_flags = 0;
        want.second_recipient = f->certs[SCEP_FIXTURE_STRANGER];
        envelope = scep_fixture_envelope(f, &want, &plain_text);
        assert_opens(f, &envelope, NID_aes_128_cbc);
        ck_assert_int_eq(generation, who - SCEP_FIXTURE_DECRYPTER);
        want.second_recipient = f->certs[who];
        want.recipient = f->certs[SCEP_FIXTURE_STRANGER];
        envelope = scep_fixture_envelope(f, &want, &plain_text);
        assert_opens(f, &envelope, NID_aes_128_cbc);
        ck_assert_int_eq(generation, who - SCEP_FIXTURE_DECRYPTER);

        /* named in a way that fits no certificate of ours: each key is tried */
        memset(&renamed, 0, sizeof(renamed));
        renamed.subject = "renamed";
        renamed.key = scep_fixture_key((scep_fixture_key_e)who);
        cert = scep_fixture_certificate(f->pool, &renamed);
        memset(&want, 0, sizeof(want));
        want.recipient = cert;
        envelope = scep_fixture_envelope(f, &want, &plain_text);
        assert_opens(f, &envelope, NID_aes_128_cbc);
        ck_assert_int_eq(generation, who - SCEP_FIXTURE_DECRYPTER);
    }
}
END_TEST

START_TEST(opens_ber)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    crypt_buf_t envelope, ber;
    int split;

    memset(&want, 0, sizeof(want));
    envelope = scep_fixture_envelope(f, &want, &plain_text);
    for (split = 0; split <= 1; split++) {
        ber = scep_fixture_ber(f->pool, &envelope, split);
        assert_opens(f, &ber, NID_aes_128_cbc);
    }
}
END_TEST

/* ---- what cannot be opened */

/* The envelope with its parts changed: last octets of the encrypted key, the IV or the content. */
static crypt_buf_t spoiled(const scep_fixture_t *f, int key, int iv, int content, int cut)
{
    scep_fixture_message_t want;
    crypt_buf_t envelope, out;
    const unsigned char *data;
    unsigned char *der = NULL;
    PKCS7_RECIP_INFO *info;
    ASN1_OCTET_STRING *string;
    PKCS7 *p7;

    memset(&want, 0, sizeof(want));
    envelope = scep_fixture_envelope(f, &want, &plain_text);
    data = envelope.data;
    p7 = d2i_PKCS7(NULL, &data, (long)envelope.len);
    info = sk_PKCS7_RECIP_INFO_value(p7->d.enveloped->recipientinfo, 0);
    if (key)
        info->enc_key->data[info->enc_key->length - 1] ^= (unsigned char)key;
    string = p7->d.enveloped->enc_data->algorithm->parameter->value.octet_string;
    if (iv)
        string->data[0] ^= (unsigned char)iv;
    string = p7->d.enveloped->enc_data->enc_data;
    if (content)
        string->data[string->length - 1] ^= (unsigned char)content;
    string->length -= cut;
    out.len = (apr_size_t)i2d_PKCS7(p7, &der);
    out.data = apr_pmemdup(f->pool, der, out.len);
    string->length += cut;
    OPENSSL_free(der);
    PKCS7_free(p7);
    return out;
}

START_TEST(looks_the_same_for_everything_broken)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    crypt_buf_t envelope, none = { NULL, 0 };
    crypt_buf_t garbage = { (const unsigned char *)"garbage", 7 };
    int i;

    assert_uniform(f, &none);
    assert_uniform(f, &garbage);
    envelope = spoiled(f, 0, 0, 0, 0);
    assert_opens(f, &envelope, NID_aes_128_cbc);
    envelope = spoiled(f, 1, 0, 0, 0);          /* key transport */
    assert_uniform(f, &envelope);
    envelope = spoiled(f, 0, 0, 0, 1);          /* no whole block */
    assert_uniform(f, &envelope);
    envelope = spoiled(f, 0, 0, 0, 16);         /* nothing */
    assert_uniform(f, &envelope);
    memset(&want, 0, sizeof(want));
    want.recipient = f->certs[SCEP_FIXTURE_STRANGER];
    envelope = scep_fixture_envelope(f, &want, &plain_text);
    assert_uniform(f, &envelope);
    /* padding: nearly all of these 255 are wrong; those that are right give other octets */
    for (i = 1; i < 256; i += 5) {
        scep_envelope_t how;
        crypt_buf_t plain;
        outcome_t out;

        envelope = spoiled(f, 0, 0, i, 0);
        if (open_envelope(f, &envelope, &plain, &how, &out) == APR_SUCCESS)
            ck_assert(plain.len != plain_text.len || memcmp(plain.data, text, plain.len) != 0);
        else
            assert_uniform(f, &envelope);
    }
}
END_TEST

START_TEST(cannot_be_made_to_work_for_many_recipients)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    crypt_buf_t envelope, out;
    const unsigned char *data;
    unsigned char *der = NULL;
    PKCS7_RECIP_INFO *info;
    PKCS7 *p7;
    int n;

    for (n = 8; n <= 9; n++) {
        memset(&want, 0, sizeof(want));
        envelope = scep_fixture_envelope(f, &want, &plain_text);
        data = envelope.data;
        p7 = d2i_PKCS7(NULL, &data, (long)envelope.len);
        info = sk_PKCS7_RECIP_INFO_value(p7->d.enveloped->recipientinfo, 0);
        while (sk_PKCS7_RECIP_INFO_num(p7->d.enveloped->recipientinfo) < n)
            sk_PKCS7_RECIP_INFO_push(p7->d.enveloped->recipientinfo,
                                     ASN1_item_dup(ASN1_ITEM_rptr(PKCS7_RECIP_INFO), info));
        out.len = (apr_size_t)i2d_PKCS7(p7, &der);
        out.data = apr_pmemdup(f->pool, der, out.len);
        OPENSSL_free(der);
        der = NULL;
        PKCS7_free(p7);
        if (n == 8)
            assert_opens(f, &out, NID_aes_128_cbc);
        else
            assert_uniform(f, &out);
    }
}
END_TEST

START_TEST(cut_anywhere_cannot_be_opened)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    crypt_buf_t envelope;
    apr_size_t len;

    memset(&want, 0, sizeof(want));
    envelope = scep_fixture_envelope(f, &want, &plain_text);
    len = envelope.len;
    for (envelope.len = 0; envelope.len < len; envelope.len += 11)
        assert_uniform(f, &envelope);
}
END_TEST

/* ---- sealing */

/* The initialization vector of an envelope. */
static crypt_buf_t iv_of(const crypt_buf_t *envelope, apr_pool_t *p)
{
    const unsigned char *data = envelope->data;
    PKCS7 *p7 = d2i_PKCS7(NULL, &data, (long)envelope->len);
    ASN1_OCTET_STRING *iv = p7->d.enveloped->enc_data->algorithm->parameter->value.octet_string;
    crypt_buf_t buf;

    buf.len = (apr_size_t)ASN1_STRING_length(iv);
    buf.data = apr_pmemdup(p, ASN1_STRING_get0_data(iv), buf.len);
    PKCS7_free(p7);
    return buf;
}

/* Seals plain_text with that cipher for the message's signer. */
static apr_status_t seal(crypt_buf_t *sealed, const EVP_CIPHER *cipher,
                         const scep_message_t *message)
{
    scep_envelope_t how;

    memset(&how, 0, sizeof(how));
    how.cipher = cipher;
    return scep_envelope_seal(sealed, &plain_text, &how, NULL, message, fixture_pool());
}

START_TEST(seals_for_the_signer)
{
    const EVP_CIPHER *const ciphers[] = { EVP_aes_128_cbc(), EVP_aes_256_cbc(),
                                          EVP_des_ede3_cbc() };
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    scep_message_t *message;
    crypt_buf_t der, sealed[2], iv[2];
    outcome_t out;
    size_t i;

    memset(&want, 0, sizeof(want));
    der = scep_fixture_message(f, &want);
    ck_assert_int_eq(scep_message_make(&message, &der, &f->service, &out, f->pool), APR_SUCCESS);
    for (i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
        const unsigned char *data;
        CMS_ContentInfo *cms;
        char *opened;
        BIO *bio = BIO_new(BIO_s_mem());

        ck_assert_int_eq(seal(&sealed[0], ciphers[i], message),
                         APR_SUCCESS);
        ck_assert_int_eq(seal(&sealed[1], ciphers[i], message),
                         APR_SUCCESS);
        iv[0] = iv_of(&sealed[0], f->pool);
        iv[1] = iv_of(&sealed[1], f->pool);
        ck_assert_uint_eq(iv[0].len, EVP_CIPHER_get_iv_length(ciphers[i]));
        ck_assert_mem_ne(iv[0].data, iv[1].data, iv[0].len);
        data = sealed[0].data;
        cms = d2i_CMS_ContentInfo(NULL, &data, (long)sealed[0].len);
        ck_assert_ptr_eq(data, sealed[0].data + sealed[0].len);
        /* by issuer and serial number, so it is found by the certificate */
        ck_assert_int_eq(CMS_decrypt(cms, scep_fixture_key(SCEP_FIXTURE_DEVICE),
                                     f->certs[SCEP_FIXTURE_DEVICE], NULL, bio, 0), 1);
        ck_assert_int_eq(BIO_get_mem_data(bio, &opened), plain_text.len);
        ck_assert_mem_eq(opened, text, plain_text.len);
        CMS_ContentInfo_free(cms);
        BIO_free(bio);
    }
}
END_TEST

START_TEST(seals_nothing_for_other_keys)
{
    scep_fixture_t *f = scep_fixture_make(fixture_pool());
    scep_fixture_message_t want;
    scep_message_t *message;
    crypt_buf_t der, sealed;
    outcome_t out;

    memset(&want, 0, sizeof(want));
    want.key = scep_fixture_ec_key();
    der = scep_fixture_message(f, &want);
    ck_assert_int_eq(scep_message_make(&message, &der, &f->service, &out, f->pool), APR_SUCCESS);
    ck_assert_int_eq(seal(&sealed, EVP_aes_128_cbc(), message), APR_EINVAL);
    ck_assert_ptr_null(sealed.data);
}
END_TEST

Suite *test_envelope_suite(void);

Suite *test_envelope_suite(void)
{
    Suite *suite = suite_create("envelope");
    TCase *tcase = tcase_create("envelope");

    scep_fixture_init();
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, opens_every_cipher);
    tcase_add_test(tcase, refuses_ciphers);
    tcase_add_test(tcase, refuses_single_des);
    tcase_add_test(tcase, finds_the_key);
    tcase_add_test(tcase, opens_ber);
    tcase_add_test(tcase, looks_the_same_for_everything_broken);
    tcase_add_test(tcase, cannot_be_made_to_work_for_many_recipients);
    tcase_add_test(tcase, cut_anywhere_cannot_be_opened);
    tcase_add_test(tcase, seals_for_the_signer);
    tcase_add_test(tcase, seals_nothing_for_other_keys);
    suite_add_tcase(suite, tcase);
    return suite;
}
