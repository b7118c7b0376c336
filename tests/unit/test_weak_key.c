/* SPDX-License-Identifier: Apache-2.0 */
/* Moduli that anybody can factor, made for this test, and healthy ones. */
#include "../../common/csr.h"
#include "../../common/weak_key.h"
#include "fixture.h"
#include "scep_fixture.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

/* The key of those numbers; d NULL: only the public one.  Owned by the test's pool. */
static EVP_PKEY *key_of(const BIGNUM *n, const BIGNUM *d)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);

    ck_assert(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
              OSSL_PARAM_BLD_push_uint(build, OSSL_PKEY_PARAM_RSA_E, 65537) &&
              (!d || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_D, d)));
    params = OSSL_PARAM_BLD_to_param(build);
    ck_assert(EVP_PKEY_fromdata_init(ctx) > 0 &&
              EVP_PKEY_fromdata(ctx, &key, d ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) > 0);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    return crypt_pkey_own(key, fixture_pool());
}

/*
 * ROCA: primes k * M + (65537^a mod M) with M the product of the first 39 primes (512 bits) or 126
 * (2048 bits).  Close: a prime and the next one.
 */
static const struct {
    const char *modulus, *weakness;
} weak[] = {
    { "4616e1d4c92f03850f7e5858e8911503273a5f763790d0732e218ab600abab4263f4cf035d6ce1e6"
      "5d80b9e2ad77ae4bc06008819627abde7a73161dbe1d6a9b",
      "has the ROCA fingerprint (CVE-2017-15361)" },
    { "708b4e629d1508bf0caa2bac52b45833cb4622122ba7846a99ac7a77f2e5ce9303cee41beba968c1"
      "de10b5b99e8c59c065799f3cd23305ea50e4af849ed73efbe1ec2fa7be9aef86fe325903c0f0d896"
      "fb0fd7f40e2deaff52c294c23f27ac8f7d67899e08e202d33ae3209664e7c706470ba0dce0599332"
      "8900d6fabccfa8ce8944f999df44d716749dacd9ca1085335070069b3b6f7f7ae61a6bdfb83a5b55"
      "4fa252f9762a7194fc780f2f323a8e83bfe319883e2696e397589634cbced73747b557391a6a37d5"
      "00da337816a1ce2468c05e88cc860de8bb9b8131b1c2facdf9075d6a9ee694aff8ea812bd9798937"
      "17009986d155296a07039f5f7ab106a3",
      "has the ROCA fingerprint (CVE-2017-15361)" },
    { "cb21b0ab94259228cef42ca7038a53f2026bf5e95294d2dde3f5830a07a3315b30607d44d87005d6"
      "569f3772ee129c69dd9e7505a8c0260dad4787baa5c2f19f",
      "is a product of two close primes" },
    { "bfaa1481eb6cc4a24b7058823297e2a746b642d9618c43a93d33d659e7fe0398e8629796ae6dac15"
      "92fc10babec40f66a5246e7fd3be7a80fc8bbaef21fde6c7d407cc45656f1dab79549ae464063175"
      "4fc9473d1aed5bc4a0cf18b3e29d1bc22baea1d56ebcbb64b445248af7b8ca904826f9c84f241b6d"
      "fbdacf50fd6513d8bfcc156c4b37c48f86d3d7c5ad6ee0d69ff902dd6f461e6b652549e81787a47e"
      "eae1a6b1ff9c7fcaf9ed469ba1e295733a53a2d5569e0f70eec5c9bec698db544f90803909028c2b"
      "c7c751127db3ccb780115913d4af276627a2dc8c73a9152baff79a2f45e654f25684af5fbd3f8ad8"
      "169142cb8bf5c5f9bd05a46609fa5947",
      "is a product of two close primes" },
    { "faa5d344f83af29ed2a6f348b1551a8597fb406f6c6e340003af470fed033ebeb02acda39db91c60"
      "a55829301ddb4143a3fd52ae0d691c9f99167a38afeabb96efbd0caf405c18fdb32d7d7063e10b93"
      "15bca5f8cc6e6d83e053c2f0fd940d345684bc08af89171acc3f4825f4e05ae40fa2082f0a7f2f1d"
      "6cca9d463cb9c581",
      "is a square" },
    { "2265a1600873318914821bb0b5406de5f08bc48b3d86789067b153bf844a843fb029a6bffda5511d"
      "aa279833f52bfb3691ae6e76c75b2847171559e92250ab77586b95e346ef3dffaaed493879f13b05"
      "c0b38eb8120d16d37df561061ec872a6a601d54da1789489502d3d47c996d5bcc55cff691a0c8b6c"
      "985145de7d5cb355b57fd432a7f02e82dd5ba9e1870acecc57c5396c5b54a218a442074bb04938ab"
      "0c04a0ac92f052a233e57a43e7e041a707592c7f982aba4c20cfdc73594aa0db5472fd9b4f26754a"
      "963397accdd83f4a015d2f5c0290082b826aa557e21088148c7c7a6b76ea5d8531f732a2b7453706"
      "2da658da5c2b71f5a666212993f",
      "has a small factor" },
    { "d7a3f3fe2ef081dc06bb342cc866a2e6bdd67d1144e4bac8749f5de1e4baaf551c86b0890abf973c"
      "5e532c7cda4dce846961b0446ee82a572e953d87f852600642ce15b1b6b535892cc84ca9f88e38f5"
      "fa9d5f2f83ceffe5384ebc5223e6fe0612711506750091ce49c040a294207ea31757341af812d99a"
      "9d050d292d29b04b",
      "has a small factor" }
};

START_TEST(finds_weak_moduli)
{
    BIGNUM *n = NULL;
    const char *found;

    ck_assert_int_gt(BN_hex2bn(&n, weak[_i].modulus), 0);
    found = weak_key_find(key_of(n, NULL));
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found, weak[_i].weakness);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    BN_free(n);
}
END_TEST

START_TEST(finds_nothing_in_healthy_keys)
{
    int i;

    for (i = 0; i < SCEP_FIXTURE_KEYS; i++)
        ck_assert_ptr_null(weak_key_find(scep_fixture_key((scep_fixture_key_e)i)));
    for (i = 0; i < 40; i++) {
        EVP_PKEY *key = crypt_pkey_own(EVP_RSA_gen(512 + 8 * (unsigned)i), fixture_pool());

        ck_assert_ptr_null(weak_key_find(key));
    }
    ck_assert_ptr_null(weak_key_find(scep_fixture_ec_key()));
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

/* A working key of two primes that are about 2 * distance apart. */
static EVP_PKEY *close_key(BN_ULONG distance)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *p = BN_new(), *q = BN_new(), *n = BN_new(), *phi = BN_new(), *d = NULL, *e = BN_new();
    EVP_PKEY *key;

    BN_set_word(e, 65537);
    while (!d) {
        ck_assert(BN_generate_prime_ex(p, 1024, 0, NULL, NULL, NULL));
        ck_assert(BN_copy(q, p) && BN_add_word(q, distance));
        while (BN_check_prime(q, ctx, NULL) != 1)
            BN_add_word(q, 2);
        ck_assert(BN_mul(n, p, q, ctx) && BN_sub_word(p, 1) && BN_sub_word(q, 1) &&
                  BN_mul(phi, p, q, ctx));
        d = BN_mod_inverse(NULL, e, phi, ctx);
    }
    key = key_of(n, d);
    BN_free(p);
    BN_free(q);
    BN_free(n);
    BN_free(phi);
    BN_free(d);
    BN_free(e);
    BN_CTX_free(ctx);
    ERR_clear_error();
    return key;
}

START_TEST(a_request_with_such_a_key_is_refused)
{
    scep_fixture_csr_t want;
    crypt_buf_t der;
    csr_t *csr;
    outcome_t out;

    memset(&want, 0, sizeof(want));
    want.key = close_key(2);
    der = scep_fixture_csr(fixture_pool(), &want);
    outcome_init(&out);
    ck_assert_int_eq(csr_make(&csr, &der, 0, &out, fixture_pool()), APR_EINVAL);
    ck_assert_str_eq(out.reason, "weak-key");
    ck_assert_int_eq(out.fail_info, FAIL_INFO_BAD_REQUEST);
    ck_assert_int_eq(out.hresult, OUTCOME_HR_KEY_LENGTH);
    ck_assert_ptr_nonnull(strstr(out.text, "close primes"));
    ck_assert_int_eq(csr_came_whole(&out), 1);
    /* a signature that does not hold comes first */
    ((unsigned char *)der.data)[der.len - 1] ^= 1;
    ck_assert_int_eq(csr_make(&csr, &der, 0, &out, fixture_pool()), APR_EINVAL);
    ck_assert_str_eq(out.reason, "csr-signature");
    ck_assert_int_eq(csr_came_whole(&out), 0);
}
END_TEST

Suite *test_weak_key_suite(void);

Suite *test_weak_key_suite(void)
{
    Suite *suite = suite_create("weak_key");
    TCase *tcase = tcase_create("weak_key");

    scep_fixture_init();
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_loop_test(tcase, finds_weak_moduli, 0, (int)(sizeof(weak) / sizeof(weak[0])));
    tcase_add_test(tcase, finds_nothing_in_healthy_keys);
    tcase_add_test(tcase, a_request_with_such_a_key_is_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
