/* SPDX-License-Identifier: Apache-2.0 */
/* The primitives of common/crypt.h, and keys made from hostile SubjectPublicKeyInfo. */
#include "../../common/csr.h"
#include "fixture.h"

#include <apr_strings.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

/* ---- files */

START_TEST(loads_certificates_in_order)
{
    apr_pool_t *p = fixture_pool();
    STACK_OF(X509) *certs;
    fixture_certificate_t want;
    X509 *first, *second;
    const char *pem, *dir = fixture_directory(p);

    memset(&want, 0, sizeof(want));
    want.subject = "first";
    first = fixture_certificate(p, &want);
    want.subject = "second";
    second = fixture_certificate(p, &want);
    pem = apr_pstrcat(p, "a comment\n", fixture_certificate_pem(p, first),
                      fixture_key_pem(p, fixture_rsa(0)), fixture_certificate_pem(p, second), NULL);
    ck_assert_ptr_null(crypt_load_certificates(&certs, fixture_file(p, dir, "two.pem", pem, 0600),
                                               p));
    ck_assert_int_eq(sk_X509_num(certs), 2);
    ck_assert_int_eq(X509_cmp(sk_X509_value(certs, 0), first), 0);
    ck_assert_int_eq(X509_cmp(sk_X509_value(certs, 1), second), 0);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

START_TEST(refuses_bad_certificate_files)
{
    apr_pool_t *p = fixture_pool();
    STACK_OF(X509) *certs;
    fixture_certificate_t want;
    const char *good, *error, *dir = fixture_directory(p);

    memset(&want, 0, sizeof(want));
    good = fixture_certificate_pem(p, fixture_certificate(p, &want));

    error = crypt_load_certificates(&certs, apr_pstrcat(p, dir, "/none.pem", NULL), p);
    ck_assert_ptr_nonnull(strstr(error, "cannot open"));
    ck_assert_ptr_null(certs);
    error = crypt_load_certificates(&certs, fixture_file(p, dir, "empty.pem", "", 0600), p);
    ck_assert_ptr_nonnull(strstr(error, "holds no PEM certificate"));
    error = crypt_load_certificates(&certs, fixture_file(p, dir, "key.pem",
                                    fixture_key_pem(p, fixture_rsa(0)), 0600), p);
    ck_assert_ptr_nonnull(strstr(error, "holds no PEM certificate"));
    /* the second one is cut off */
    error = crypt_load_certificates(&certs, fixture_file(p, dir, "cut.pem",
                                    apr_pstrcat(p, good, apr_pstrndup(p, good, 200), NULL), 0600),
                                    p);
    ck_assert_ptr_nonnull(strstr(error, "certificate 2 cannot be read"));
    ck_assert_ptr_null(certs);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

START_TEST(loads_keys)
{
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *key;
    fixture_certificate_t want;
    const char *dir = fixture_directory(p), *pem;

    memset(&want, 0, sizeof(want));
    pem = apr_pstrcat(p, fixture_certificate_pem(p, fixture_certificate(p, &want)),
                      fixture_key_pem(p, fixture_rsa(1)), NULL);
    ck_assert_ptr_null(crypt_load_key(&key, fixture_file(p, dir, "rsa.pem", pem, 0600), p));
    ck_assert_int_eq(EVP_PKEY_eq(key, fixture_rsa(1)), 1);
    ck_assert_ptr_null(crypt_load_key(&key, fixture_file(p, dir, "ec.pem",
                                      fixture_key_pem(p, fixture_ec()), 0600), p));
    ck_assert_int_eq(EVP_PKEY_eq(key, fixture_ec()), 1);
}
END_TEST

/* PEM of a key under a passphrase. */
static const char *encrypted_pem(apr_pool_t *p)
{
    char *data;
    const char *pem;
    long len;
    BIO *out = BIO_new(BIO_s_mem());

    ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(out, fixture_rsa(0), EVP_aes_128_cbc(), "word",
                                                   4, NULL, NULL), 1);
    len = BIO_get_mem_data(out, &data);
    pem = apr_pstrmemdup(p, data, (apr_size_t)len);
    BIO_free(out);
    return pem;
}

START_TEST(refuses_bad_key_files)
{
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *key;
    const char *error, *dir = fixture_directory(p);

    error = crypt_load_key(&key, apr_pstrcat(p, dir, "/none.key", NULL), p);
    ck_assert_ptr_nonnull(strstr(error, "cannot open"));
    error = crypt_load_key(&key, fixture_file(p, dir, "empty.key", "", 0600), p);
    ck_assert_ptr_nonnull(strstr(error, "holds no PEM private key"));
    ck_assert_ptr_null(key);
    error = crypt_load_key(&key, fixture_file(p, dir, "locked.key", encrypted_pem(p), 0600), p);
    ck_assert_ptr_nonnull(strstr(error, "is encrypted"));
    ck_assert_ptr_null(key);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

/* ---- texts */

START_TEST(names_keys)
{
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *k1 = EVP_EC_gen("secp256k1");

    ck_assert_str_eq(crypt_key_name(fixture_rsa(0), p), "RSA-2048");
    ck_assert_str_eq(crypt_key_name(fixture_ec(), p), "EC P-256");
    ck_assert_str_eq(crypt_key_name(k1, p), "EC secp256k1");
    ck_assert_str_eq(crypt_key_name(ed, p), "ED25519");
    EVP_PKEY_free(ed);
    EVP_PKEY_free(k1);
}
END_TEST

START_TEST(writes_names)
{
    apr_pool_t *p = fixture_pool();
    X509_NAME *name = X509_NAME_new();

    ck_assert_str_eq(crypt_name_text(name, p), "");
    ck_assert_str_eq(crypt_name_text(NULL, p), "");
    X509_NAME_add_entry_by_txt(name, "C", MBSTRING_ASC, (const unsigned char *)"DE", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                               (const unsigned char *)"a,b\n\x1b[2J\xc3\xbc", -1, -1, 0);
    ck_assert_str_eq(crypt_name_text(name, p), "CN=a\\,b\\0A\\1B[2J\\C3\\BC,C=DE");
    X509_NAME_free(name);
}
END_TEST

START_TEST(writes_serials_and_hex)
{
    apr_pool_t *p = fixture_pool();
    ASN1_INTEGER *serial = ASN1_INTEGER_new();

    ASN1_INTEGER_set(serial, 0);
    ck_assert_str_eq(crypt_serial_text(serial, p), "00");
    ASN1_INTEGER_set(serial, 10);
    ck_assert_str_eq(crypt_serial_text(serial, p), "0A");
    ASN1_INTEGER_set(serial, 0xabcde);
    ck_assert_str_eq(crypt_serial_text(serial, p), "0ABCDE");
    ASN1_INTEGER_free(serial);
    ck_assert_str_eq(crypt_hex("\x00\xfe", 2, 0, p), "00fe");
    ck_assert_str_eq(crypt_hex("\x00\xfe", 2, 1, p), "00FE");
    ck_assert_str_eq(crypt_hex("", 0, 1, p), "");
}
END_TEST

/* ---- digests */

START_TEST(computes_hmac)
{
    static const char key_text[] = "Jefe";
    crypt_buf_t key = { (const unsigned char *)key_text, 4 };
    unsigned char mac[32], expected[32];
    unsigned int len = sizeof(expected);

    ck_assert_int_eq(crypt_hmac_sha256(mac, &key, "label", "data", 4), APR_SUCCESS);
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), key_text, 4, (const unsigned char *)"label\0data", 10,
                               expected, &len));
    ck_assert_mem_eq(mac, expected, 32);
    ck_assert_int_eq(crypt_hmac_sha256(mac, &key, "labeldata", "", 0), APR_SUCCESS);
    ck_assert_mem_ne(mac, expected, 32);
}
END_TEST

START_TEST(separates_parts_of_a_digest)
{
    crypt_buf_t one[2] = { { (const unsigned char *)"ab", 2 }, { (const unsigned char *)"c", 1 } };
    crypt_buf_t two[2] = { { (const unsigned char *)"a", 1 }, { (const unsigned char *)"bc", 2 } };
    unsigned char a[32], b[32], expected[32];

    ck_assert_int_eq(crypt_sha256_parts(a, one, 2), APR_SUCCESS);
    ck_assert_int_eq(crypt_sha256_parts(b, two, 2), APR_SUCCESS);
    ck_assert_mem_ne(a, b, 32);
    ck_assert_int_eq(EVP_Digest("\0\0\0\0\0\0\0\2ab\0\0\0\0\0\0\0\1c", 19, expected, NULL,
                                EVP_sha256(), NULL), 1);
    ck_assert_mem_eq(a, expected, 32);
}
END_TEST

START_TEST(computes_thumbprints)
{
    apr_pool_t *p = fixture_pool();
    fixture_certificate_t want;
    unsigned char digest[EVP_MAX_MD_SIZE], expected[EVP_MAX_MD_SIZE], *der = NULL;
    unsigned int len = 0;
    int n;
    X509 *cert;

    memset(&want, 0, sizeof(want));
    cert = fixture_certificate(p, &want);
    n = i2d_X509(cert, &der);
    ck_assert_int_eq(EVP_Digest(der, (size_t)n, expected, NULL, EVP_sha1(), NULL), 1);
    OPENSSL_free(der);
    ck_assert_int_eq(crypt_thumbprint(cert, EVP_sha1(), digest, &len), APR_SUCCESS);
    ck_assert_uint_eq(len, 20);
    ck_assert_mem_eq(digest, expected, 20);
}
END_TEST

START_TEST(gives_random_bytes)
{
    unsigned char a[16], b[16];

    ck_assert_int_eq(crypt_random(a, sizeof(a)), APR_SUCCESS);
    ck_assert_int_eq(crypt_random(b, sizeof(b)), APR_SUCCESS);
    ck_assert_mem_ne(a, b, sizeof(a));
    ck_assert_int_ne(crypt_random(a, (apr_size_t)INT_MAX + 1), APR_SUCCESS);
}
END_TEST

/* NID of the digest of an algorithm: NID nid, PSS parameters by hash if that is given. */
static int digest_of(int nid, const EVP_MD *pss_md)
{
    X509_ALGOR *algor = X509_ALGOR_new();
    RSA_PSS_PARAMS *pss;
    ASN1_STRING *der = NULL;
    int md;

    X509_ALGOR_set0(algor, OBJ_nid2obj(nid), V_ASN1_UNDEF, NULL);
    if (nid == NID_rsassaPss) {
        pss = RSA_PSS_PARAMS_new();
        if (pss_md) {
            pss->hashAlgorithm = X509_ALGOR_new();
            X509_ALGOR_set_md(pss->hashAlgorithm, pss_md);
        }
        der = ASN1_item_pack(pss, ASN1_ITEM_rptr(RSA_PSS_PARAMS), NULL);
        X509_ALGOR_set0(algor, OBJ_nid2obj(nid), V_ASN1_SEQUENCE, der);
        RSA_PSS_PARAMS_free(pss);
    }
    md = crypt_signature_digest(algor);
    X509_ALGOR_free(algor);
    return md;
}

START_TEST(finds_the_digest_of_a_signature_algorithm)
{
    X509_ALGOR *bare = X509_ALGOR_new();

    ck_assert_int_eq(digest_of(NID_sha256WithRSAEncryption, NULL), NID_sha256);
    ck_assert_int_eq(digest_of(NID_sha1WithRSAEncryption, NULL), NID_sha1);
    ck_assert_int_eq(digest_of(NID_md5WithRSAEncryption, NULL), NID_md5);
    ck_assert_int_eq(digest_of(NID_ecdsa_with_SHA384, NULL), NID_sha384);
    ck_assert_int_eq(digest_of(NID_ED25519, NULL), NID_undef);
    ck_assert_int_eq(digest_of(NID_rsaEncryption, NULL), NID_undef);
    ck_assert_int_eq(digest_of(NID_commonName, NULL), NID_undef);
    ck_assert_int_eq(digest_of(NID_rsassaPss, NULL), NID_sha1);
    ck_assert_int_eq(digest_of(NID_rsassaPss, EVP_sha512()), NID_sha512);
    ck_assert_int_eq(digest_of(NID_rsassaPss, EVP_md5()), NID_md5);
    /* PSS without parameters names nothing */
    X509_ALGOR_set0(bare, OBJ_nid2obj(NID_rsassaPss), V_ASN1_UNDEF, NULL);
    ck_assert_int_eq(crypt_signature_digest(bare), NID_undef);
    X509_ALGOR_free(bare);
}
END_TEST

START_TEST(reads_times)
{
    static const struct {
        const char *text;
        apr_int64_t seconds;
    } cases[] = {
        { "700101000000Z", 0 },
        { "19700101000001Z", 1 },
        { "19691231235959Z", -1 },
        { "20380119031408Z", 2147483648LL },
        { "99991231235959Z", 253402300799LL }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ASN1_TIME *t = ASN1_TIME_new();

        ck_assert_int_eq(ASN1_TIME_set_string(t, cases[i].text), 1);
        ck_assert_int_eq(crypt_asn1_time(t), apr_time_from_sec(cases[i].seconds));
        ASN1_STRING_free(t);
    }
}
END_TEST

/* ---- keys from SubjectPublicKeyInfo */

/* An SPKI of an RSA key with these numbers (hex). */
static spki_t *rsa_spki(const char *n, const char *e)
{
    BIGNUM *bn = NULL;
    ASN1_INTEGER *numbers[2];
    STACK_OF(ASN1_TYPE) *seq = sk_ASN1_TYPE_new_null();
    spki_t *spki = spki_t_new();
    unsigned char *der = NULL;
    int i, len;

    for (i = 0; i < 2; i++) {
        ASN1_TYPE *any = ASN1_TYPE_new();

        BN_hex2bn(&bn, i ? e : n);
        numbers[i] = BN_to_ASN1_INTEGER(bn, NULL);
        ASN1_TYPE_set(any, ASN1_STRING_type(numbers[i]) & ~V_ASN1_NEG, numbers[i]);
        sk_ASN1_TYPE_push(seq, any);
    }
    BN_free(bn);
    len = i2d_ASN1_SEQUENCE_ANY(seq, &der);
    sk_ASN1_TYPE_pop_free(seq, ASN1_TYPE_free);
    ck_assert_int_gt(len, 0);
    ASN1_BIT_STRING_set(spki->key, der, len);
    spki->key->flags |= ASN1_STRING_FLAG_BITS_LEFT;
    OPENSSL_free(der);
    X509_ALGOR_set0(spki->algor, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL, NULL);
    return spki;
}

/* A number of that many bits, hex: the highest and the lowest are set, or not the lowest. */
static const char *number(int bits, int odd, apr_pool_t *p)
{
    BIGNUM *bn = BN_new();
    char *hex;
    const char *text;

    BN_set_bit(bn, bits - 1);
    if (odd)
        BN_set_bit(bn, 0);
    hex = BN_bn2hex(bn);
    text = apr_pstrdup(p, hex);
    OPENSSL_free(hex);
    BN_free(bn);
    return text;
}

START_TEST(refuses_hostile_rsa_keys)
{
    static const struct {
        int bits, odd;
        const char *e;          /* NULL: larger than the modulus */
        int usable;
    } cases[] = {
        { 2048, 1, "10001", 1 },
        { 512, 1, "03", 1 },
        { 8192, 1, "10001", 1 },
        { 2048, 0, "10001", 0 },
        { 511, 1, "10001", 0 },
        { 1, 1, "03", 0 },
        { 16385, 1, "10001", 0 },
        { 60000, 1, "10001", 0 },
        { 2048, 1, "01", 0 },
        { 2048, 1, "00", 0 },
        { 2048, 1, "02", 0 },
        { 2048, 1, "10000", 0 },
        { 2048, 1, "-10001", 0 },
        { 2048, 1, "FFFFFFFFFFFFFFFF", 1 },
        { 2048, 1, "10000000000000001", 0 },
        { 2048, 1, NULL, 0 }
    };
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *key;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *e = cases[i].e ? cases[i].e : number(cases[i].bits + 1, 1, p);
        spki_t *spki = rsa_spki(number(cases[i].bits, cases[i].odd, p), e);

        ck_assert_msg(spki_key_make(&key, spki, p) == (cases[i].usable ? APR_SUCCESS : APR_EINVAL),
                      "case %d: %d bits, e %.20s", (int)i, cases[i].bits, e);
        ck_assert_int_eq(key != NULL, cases[i].usable);
        spki_t_free(spki);
    }
}
END_TEST

START_TEST(refuses_negative_modulus)
{
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *key;
    spki_t *spki = rsa_spki(apr_pstrcat(p, "-", number(2048, 1, p), NULL), "10001");

    ck_assert_int_eq(spki_key_make(&key, spki, p), APR_EINVAL);
    spki_t_free(spki);
}
END_TEST

START_TEST(refuses_rsa_key_that_is_none)
{
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *key;
    spki_t *spki = rsa_spki(number(2048, 1, p), "10001");
    int len = ASN1_STRING_length(spki->key);
    unsigned char *longer = apr_pcalloc(p, (apr_size_t)len + 1);

    memcpy(longer, ASN1_STRING_get0_data(spki->key), (size_t)len);
    ASN1_BIT_STRING_set(spki->key, longer, len + 1);
    ck_assert_int_eq(spki_key_make(&key, spki, p), APR_EINVAL);
    ASN1_BIT_STRING_set(spki->key, longer, len - 1);
    ck_assert_int_eq(spki_key_make(&key, spki, p), APR_EINVAL);
    ASN1_BIT_STRING_set(spki->key, longer, 0);
    ck_assert_int_eq(spki_key_make(&key, spki, p), APR_EINVAL);
    ASN1_BIT_STRING_set(spki->key, (unsigned char *)"\x05\x00", 2);
    ck_assert_int_eq(spki_key_make(&key, spki, p), APR_EINVAL);
    ck_assert_ptr_null(key);
    spki_t_free(spki);
}
END_TEST

/* Makes the key again from the SPKI of key; NULL if that is refused. */
static EVP_PKEY *remade(EVP_PKEY *key, apr_pool_t *p)
{
    EVP_PKEY *made = NULL;
    unsigned char *der = NULL;
    const unsigned char *data;
    int len = i2d_PUBKEY(key, &der);
    spki_t *spki;

    data = der;
    spki = d2i_spki_t(NULL, &data, len);
    ck_assert_ptr_nonnull(spki);
    if (spki_key_make(&made, spki, p) != APR_SUCCESS)
        ck_assert_ptr_null(made);
    spki_t_free(spki);
    OPENSSL_free(der);
    return made;
}

START_TEST(makes_the_same_key)
{
    static const char *const types[] = { "ED25519", "ED448" };
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *pss = EVP_PKEY_Q_keygen(NULL, NULL, "RSA-PSS", (size_t)1024);
    size_t i;

    ck_assert_int_eq(EVP_PKEY_eq(remade(fixture_rsa(0), p), fixture_rsa(0)), 1);
    ck_assert_int_eq(EVP_PKEY_eq(remade(fixture_ec(), p), fixture_ec()), 1);
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, types[i]);

        ck_assert_int_eq(EVP_PKEY_eq(remade(key, p), key), 1);
        EVP_PKEY_free(key);
    }
    if (pss)
        ck_assert_int_eq(EVP_PKEY_eq(remade(pss, p), pss), 1);
    EVP_PKEY_free(pss);
}
END_TEST

/* An EC key whose curve is written out as numbers (RFC 5480 section 2.1.1 forbids it). */
static EVP_PKEY *explicit_ec(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);

    ck_assert_int_gt(EVP_PKEY_keygen_init(ctx), 0);
    ck_assert_int_gt(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1), 0);
    ck_assert_int_gt(EVP_PKEY_CTX_set_ec_param_enc(ctx, OPENSSL_EC_EXPLICIT_CURVE), 0);
    ck_assert_int_gt(EVP_PKEY_generate(ctx, &key), 0);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

START_TEST(refuses_keys_that_cannot_vouch)
{
    apr_pool_t *p = fixture_pool();
    EVP_PKEY *x25519 = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    EVP_PKEY *ec = explicit_ec();

    ck_assert_ptr_null(remade(x25519, p));
    ck_assert_ptr_null(remade(ec, p));
    EVP_PKEY_free(x25519);
    EVP_PKEY_free(ec);
}
END_TEST

Suite *test_crypt_suite(void);

Suite *test_crypt_suite(void)
{
    Suite *suite = suite_create("crypt");
    TCase *tcase = tcase_create("crypt");

    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, loads_certificates_in_order);
    tcase_add_test(tcase, refuses_bad_certificate_files);
    tcase_add_test(tcase, loads_keys);
    tcase_add_test(tcase, refuses_bad_key_files);
    tcase_add_test(tcase, names_keys);
    tcase_add_test(tcase, writes_names);
    tcase_add_test(tcase, writes_serials_and_hex);
    tcase_add_test(tcase, computes_hmac);
    tcase_add_test(tcase, separates_parts_of_a_digest);
    tcase_add_test(tcase, computes_thumbprints);
    tcase_add_test(tcase, gives_random_bytes);
    tcase_add_test(tcase, finds_the_digest_of_a_signature_algorithm);
    tcase_add_test(tcase, reads_times);
    tcase_add_test(tcase, refuses_hostile_rsa_keys);
    tcase_add_test(tcase, refuses_negative_modulus);
    tcase_add_test(tcase, refuses_rsa_key_that_is_none);
    tcase_add_test(tcase, makes_the_same_key);
    tcase_add_test(tcase, refuses_keys_that_cannot_vouch);
    suite_add_tcase(suite, tcase);
    return suite;
}
