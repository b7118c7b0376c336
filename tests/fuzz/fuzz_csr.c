/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS#10, ours against the library's: what we accept it accepts, with the same key, subject and
 * attributes; what it accepts we refuse only where csr.h says that we are stricter.
 */
#include "../../common/csr.h"
#include "fuzz.h"

#include <apr_general.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <string.h>

const char *fuzz_answer;

static apr_pool_t *root;

/* Whether an RSA key is written in DER; the library reads any octets as a positive number. */
static int is_der(EVP_PKEY *key, X509_REQ *req)
{
    const unsigned char *sent = NULL;
    unsigned char *der = NULL;
    int sent_len = 0, len = i2d_PublicKey(key, &der), same;

    X509_PUBKEY_get0_param(NULL, &sent, &sent_len, NULL, X509_REQ_get_X509_PUBKEY(req));
    same = len == sent_len && memcmp(der, sent, (size_t)len) == 0;
    OPENSSL_free(der);
    return same;
}

/* Whether spki_key_make() may refuse the key of req, which the library takes. */
static int may_refuse_key(EVP_PKEY *key, X509_REQ *req)
{
    BIGNUM *n = NULL, *e = NULL;
    int refuse = 1;

    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) {
        if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) &&
            EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e))
            refuse = BN_num_bits(n) < 512 || BN_num_bits(n) > 16384 || !BN_is_odd(n) ||
                     !BN_is_odd(e) || BN_is_one(e) || BN_num_bits(e) > 64 || !is_der(key, req);
    }
    else if (EVP_PKEY_is_a(key, "EC")) {
        char encoding[32] = "";

        EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, encoding,
                                       sizeof(encoding), NULL);
        refuse = strcmp(encoding, "named_curve") != 0;
    }
    else if (EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448")) {
        refuse = 0;
    }
    BN_free(n);
    BN_free(e);
    return refuse;
}

/* Our key of the library's SubjectPublicKeyInfo must be the library's. */
static void compare_keys(X509_REQ *req, apr_pool_t *p)
{
    unsigned char *der = NULL;
    const unsigned char *data;
    int len = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &der);
    EVP_PKEY *theirs = X509_REQ_get0_pubkey(req), *ours = NULL;
    spki_t *spki;

    data = der;
    spki = len > 0 ? d2i_spki_t(NULL, &data, len) : NULL;
    FUZZ_CHECK(spki);
    (void)spki_key_make(&ours, spki, p);
    if (ours)
        FUZZ_CHECK(theirs && EVP_PKEY_eq(ours, theirs) == 1);
    else if (theirs)
        FUZZ_CHECK(may_refuse_key(theirs, req));
    spki_t_free(spki);
    OPENSSL_free(der);
    ERR_clear_error();
}

/* Both accept: they must have read the same. */
static void compare(const csr_t *csr, X509_REQ *req)
{
    unsigned char *der = NULL;
    int len;

    FUZZ_CHECK(X509_NAME_cmp(csr->subject, X509_REQ_get_subject_name(req)) == 0);
    FUZZ_CHECK(EVP_PKEY_eq(csr->key, X509_REQ_get0_pubkey(req)) == 1);
    len = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &der);
    FUZZ_CHECK(len > 0 && (apr_size_t)len == csr->spki_der.len &&
               memcmp(der, csr->spki_der.data, csr->spki_der.len) == 0);
    OPENSSL_free(der);
    FUZZ_CHECK((X509_REQ_get_attr_by_NID(req, NID_pkcs9_challengePassword, -1) >= 0) ||
               !csr->challenge);
    FUZZ_CHECK(csr->usage <= CSR_USAGE_GENERAL && csr->subject_text);
}

/* We refuse a request that the library reads; verified: and whose signature it verifies. */
static void check_refusal(const outcome_t *out, X509_REQ *req, int verified)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(req);

    ERR_clear_error();
    if (strcmp(out->reason, "csr-malformed") == 0) {
        /* only by our own rules, never because our templates could not read it */
        FUZZ_CHECK(out->fail_info == FAIL_INFO_BAD_REQUEST);
        FUZZ_CHECK(strcmp(out->detail, "not a PKCS#10 request") != 0);
        FUZZ_CHECK(strcmp(out->detail, "cannot be encoded again") != 0);
    }
    else if (strcmp(out->reason, "csr-key") == 0) {
        FUZZ_CHECK(!key || may_refuse_key(key, req));
    }
    else if (strcmp(out->reason, "csr-signature") == 0) {
        FUZZ_CHECK(!verified);
    }
    else {
        FUZZ_CHECK(strcmp(out->reason, "csr-algorithm") == 0 && verified);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *p;
    crypt_buf_t der;
    const unsigned char *at = data;
    csr_t *csr = NULL;
    outcome_t out;
    X509_REQ *req;
    int verified;

    if (!root) {
        apr_initialize();
        FUZZ_CHECK(apr_pool_create(&root, NULL) == APR_SUCCESS);
    }
    FUZZ_CHECK(apr_pool_create(&p, root) == APR_SUCCESS);
    outcome_init(&out);
    der.data = data;
    der.len = size;
    (void)csr_make(&csr, &der, 1, &out, p);
    FUZZ_CHECK(ERR_peek_error() == 0);
    FUZZ_CHECK(csr || out.result == OUTCOME_REFUSED);
    fuzz_answer = csr ? "success" : "failure";

    req = d2i_X509_REQ(NULL, &at, (long)size);
    verified = req && X509_REQ_get0_pubkey(req) &&
               X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1;
    if (csr) {
        FUZZ_CHECK(verified && at == data + size);
        compare(csr, req);
    }
    else if (req && at == data + size) {
        check_refusal(&out, req, verified);
    }
    if (req)
        compare_keys(req, p);
    X509_REQ_free(req);
    ERR_clear_error();
    apr_pool_destroy(p);
    return 0;
}
