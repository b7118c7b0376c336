/* SPDX-License-Identifier: Apache-2.0 */
/* PKCS#10 without the eager decoding of the public key (see csr.h). */
#include "csr.h"
#include "weak_key.h"

#include <apr_strings.h>
#include <openssl/asn1t.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/x509v3.h>
#include <string.h>

#define CSR_MAX_ATTRIBUTES 64
#define CSR_MAX_EXTENSIONS 64
#define RSA_MIN_BITS 512
#define RSA_MAX_BITS 8192           /* a verification with 16384 bits costs milliseconds */
#define RSA_MAX_EXPONENT_BITS 64   /* a long one makes a verification as dear as a signature */

ASN1_SEQUENCE(spki_t) = {
    ASN1_SIMPLE(spki_t, algor, X509_ALGOR),
    ASN1_SIMPLE(spki_t, key, ASN1_BIT_STRING)
} ASN1_SEQUENCE_END(spki_t)

IMPLEMENT_ASN1_FUNCTIONS(spki_t)

/* RSAPublicKey, RFC 8017 appendix A.1.1 */
typedef struct rsa_public_t {
    ASN1_INTEGER *n;
    ASN1_INTEGER *e;
} rsa_public_t;

ASN1_SEQUENCE(rsa_public_t) = {
    ASN1_SIMPLE(rsa_public_t, n, ASN1_INTEGER),
    ASN1_SIMPLE(rsa_public_t, e, ASN1_INTEGER)
} static_ASN1_SEQUENCE_END(rsa_public_t)

/* CertificationRequestInfo, RFC 2986 section 4.1; keeps its bytes as they came for the signature */
typedef struct csr_info_t {
    ASN1_ENCODING enc;
    ASN1_INTEGER *version;
    X509_NAME *subject;
    spki_t *spki;
    STACK_OF(X509_ATTRIBUTE) *attributes;
} csr_info_t;

ASN1_SEQUENCE_enc(csr_info_t, enc, 0) = {
    ASN1_SIMPLE(csr_info_t, version, ASN1_INTEGER),
    ASN1_SIMPLE(csr_info_t, subject, X509_NAME),
    ASN1_SIMPLE(csr_info_t, spki, spki_t),
    ASN1_IMP_SET_OF_OPT(csr_info_t, attributes, X509_ATTRIBUTE, 0)
} static_ASN1_SEQUENCE_END_ref(csr_info_t, csr_info_t)

typedef struct csr_asn1_t {
    csr_info_t *info;
    X509_ALGOR *algor;
    ASN1_BIT_STRING *signature;
} csr_asn1_t;

ASN1_SEQUENCE(csr_asn1_t) = {
    ASN1_SIMPLE(csr_asn1_t, info, csr_info_t),
    ASN1_SIMPLE(csr_asn1_t, algor, X509_ALGOR),
    ASN1_SIMPLE(csr_asn1_t, signature, ASN1_BIT_STRING)
} static_ASN1_SEQUENCE_END(csr_asn1_t)

/* The parsed request holds the challenge in its saved encoding. */
static apr_status_t asn1_cleanup(void *data)
{
    csr_asn1_t *asn1 = data;

    if (asn1->info && asn1->info->enc.enc && asn1->info->enc.len > 0)
        OPENSSL_cleanse(asn1->info->enc.enc, (size_t)asn1->info->enc.len);
    ASN1_item_free((ASN1_VALUE *)asn1, ASN1_ITEM_rptr(csr_asn1_t));
    return APR_SUCCESS;
}

static apr_status_t buf_cleanup(void *data)
{
    crypt_buf_t *buf = data;

    OPENSSL_cleanse((void *)buf->data, buf->len);
    return APR_SUCCESS;
}

static apr_status_t extensions_cleanup(void *data)
{
    sk_X509_EXTENSION_pop_free(data, X509_EXTENSION_free);
    return APR_SUCCESS;
}

/* A copy of len bytes in p, NUL-terminated, cleansed with p. */
static crypt_buf_t *secret_dup(const void *data, apr_size_t len, apr_pool_t *p)
{
    crypt_buf_t *buf = apr_palloc(p, sizeof(*buf));

    buf->data = (const unsigned char *)apr_pstrmemdup(p, data, len);
    buf->len = len;
    apr_pool_cleanup_register(p, buf, buf_cleanup, apr_pool_cleanup_null);
    return buf;
}

/* Modulus and exponent that RSA can work with: see spki_key_make(). */
static int rsa_is_sane(const BIGNUM *n, const BIGNUM *e)
{
    int bits = BN_num_bits(n);

    return !BN_is_negative(n) && !BN_is_negative(e) && bits >= RSA_MIN_BITS &&
           bits <= RSA_MAX_BITS && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
           BN_num_bits(e) <= RSA_MAX_EXPONENT_BITS;
}

/* An RSA key of n and e; NULL if that fails. */
static EVP_PKEY *rsa_from_numbers(const BIGNUM *n, const BIGNUM *e)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);

    if (build && ctx && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) &&
        (params = OSSL_PARAM_BLD_to_param(build)) != NULL && EVP_PKEY_fromdata_init(ctx) > 0)
        (void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/*
 * Modulus and exponent in a bit string of RSAPublicKey; 0 if it is none, or RSA cannot work with
 * it.
 */
static int read_rsa_numbers(BIGNUM **pn, BIGNUM **pe, const ASN1_BIT_STRING *bits)
{
    const unsigned char *data = ASN1_STRING_get0_data(bits), *end;
    int ok = 0, len = ASN1_STRING_length(bits);
    rsa_public_t *rsa;

    end = data + len;
    rsa = (rsa_public_t *)ASN1_item_d2i(NULL, &data, len, ASN1_ITEM_rptr(rsa_public_t));
    if (rsa && data == end && (*pn = ASN1_INTEGER_to_BN(rsa->n, NULL)) != NULL &&
        (*pe = ASN1_INTEGER_to_BN(rsa->e, NULL)) != NULL)
        ok = rsa_is_sane(*pn, *pe);
    ASN1_item_free((ASN1_VALUE *)rsa, ASN1_ITEM_rptr(rsa_public_t));
    return ok;
}

/* Any other key, decoded by the library; NULL if it cannot. */
static EVP_PKEY *library_key(const spki_t *spki)
{
    EVP_PKEY *key = NULL;
    unsigned char *der = NULL;
    const unsigned char *data;
    int len = i2d_spki_t(spki, &der);

    data = der;
    if (len > 0)
        key = d2i_PUBKEY(NULL, &data, len);
    OPENSSL_free(der);
    return key;
}

/* The key by its algorithm (a closed list, each can verify a signature); NULL if it is unusable. */
static EVP_PKEY *make_key(const spki_t *spki)
{
    const ASN1_OBJECT *oid = NULL;
    EVP_PKEY *key = NULL;
    BIGNUM *n = NULL, *e = NULL;
    int type = V_ASN1_UNDEF;

    X509_ALGOR_get0(&oid, &type, NULL, spki->algor);
    switch (OBJ_obj2nid(oid)) {
    case NID_rsaEncryption:
        if (read_rsa_numbers(&n, &e, spki->key))
            key = rsa_from_numbers(n, e);
        break;
    case NID_rsassaPss:
        if (read_rsa_numbers(&n, &e, spki->key))
            key = library_key(spki);
        break;
    case NID_X9_62_id_ecPublicKey:
        /* named curves only: RFC 5480 section 2.1.1 */
        if (type == V_ASN1_OBJECT)
            key = library_key(spki);
        break;
    case NID_ED25519:
    case NID_ED448:
        key = library_key(spki);
        break;
    default:
        break;
    }
    BN_free(n);
    BN_free(e);
    return key;
}

apr_status_t spki_key_make(EVP_PKEY **pkey, const spki_t *spki, apr_pool_t *p)
{
    ERR_clear_error();
    *pkey = crypt_pkey_own(make_key(spki), p);
    return *pkey ? APR_SUCCESS : APR_EINVAL;
}

/* All refusals of a CSR that cannot be read look alike. */
static apr_status_t malformed(outcome_t *out, const char *what, apr_pool_t *p)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_DATA, "csr-malformed",
                   "The certificate request cannot be read.", p, "%s", what);
    return APR_EINVAL;
}

/* The attribute's only value; NULL if it has none or several. */
static ASN1_TYPE *single_value(X509_ATTRIBUTE *attribute)
{
    return X509_ATTRIBUTE_count(attribute) == 1 ? X509_ATTRIBUTE_get0_type(attribute, 0) : NULL;
}

/* Sets csr->challenge (PKCS#9 challengePassword, RFC 2985 section 5.4.1); error text or NULL. */
static const char *set_challenge(csr_t *csr, X509_ATTRIBUTE *attribute, apr_pool_t *p)
{
    const char *error = NULL;
    unsigned char *utf8 = NULL;
    ASN1_STRING *string;
    int len;
    ASN1_TYPE *value = single_value(attribute);

    if (!value)
        return "challengePassword does not have one value";
    switch (ASN1_TYPE_get(value)) {
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_UTF8STRING:
    case V_ASN1_T61STRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_BMPSTRING:
    case V_ASN1_UNIVERSALSTRING:
        break;
    default:
        return "challengePassword is not a character string";
    }
    string = value->value.asn1_string;
    len = ASN1_STRING_to_UTF8(&utf8, string);
    if (len < 0)
        return "challengePassword is not valid in its string type";
    if (memchr(utf8, '\0', (size_t)len))
        error = "challengePassword holds a NUL character";
    else if (len > 0)
        csr->challenge = (const char *)secret_dup(utf8, (apr_size_t)len, p)->data;
    OPENSSL_cleanse(utf8, (size_t)len);
    OPENSSL_free(utf8);
    OPENSSL_cleanse(string->data, (size_t)string->length);
    return error;
}

/* Appends the extensions of one extensionRequest attribute; error text or NULL. */
static const char *add_extensions(csr_t *csr, X509_ATTRIBUTE *attribute, apr_pool_t *p)
{
    X509_EXTENSIONS *found;
    X509_EXTENSION *ext;
    ASN1_TYPE *value = single_value(attribute);

    if (!value || ASN1_TYPE_get(value) != V_ASN1_SEQUENCE)
        return "extensionRequest does not hold one list of extensions";
    found = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(X509_EXTENSIONS), value);
    if (!found)
        return "extensionRequest cannot be read";
    if (!csr->extensions) {
        csr->extensions = found;
        apr_pool_cleanup_register(p, found, extensions_cleanup, apr_pool_cleanup_null);
        return NULL;
    }
    while ((ext = sk_X509_EXTENSION_shift(found)) != NULL) {
        if (!sk_X509_EXTENSION_push(csr->extensions, ext))
            X509_EXTENSION_free(ext);
    }
    sk_X509_EXTENSION_free(found);
    return NULL;
}

/* Error text if an extension stands there twice or there are too many, else NULL. */
static const char *check_extensions(const csr_t *csr)
{
    int i, n = sk_X509_EXTENSION_num(csr->extensions);

    if (n > CSR_MAX_EXTENSIONS)
        return "too many requested extensions";
    for (i = 0; i < n; i++) {
        X509_EXTENSION *ext = sk_X509_EXTENSION_value(csr->extensions, i);

        if (X509v3_get_ext_by_OBJ(csr->extensions, X509_EXTENSION_get_object(ext), i) >= 0)
            return "a requested extension stands there twice";
    }
    return NULL;
}

/* Reads the attributes that matter; others are ignored.  Error text or NULL. */
static const char *read_attributes(csr_t *csr, STACK_OF(X509_ATTRIBUTE) *attributes, apr_pool_t *p)
{
    int i, n = sk_X509_ATTRIBUTE_num(attributes), challenges = 0, requests = 0, ms_requests = 0;
    const char *error = NULL;

    if (n > CSR_MAX_ATTRIBUTES)
        return "too many attributes";
    for (i = 0; i < n && !error; i++) {
        X509_ATTRIBUTE *attribute = sk_X509_ATTRIBUTE_value(attributes, i);

        switch (OBJ_obj2nid(X509_ATTRIBUTE_get0_object(attribute))) {
        case NID_pkcs9_challengePassword:
            error = challenges++ ? "two challengePassword attributes"
                                 : set_challenge(csr, attribute, p);
            break;
        case NID_ext_req:
            error = requests++ ? "two extensionRequest attributes"
                               : add_extensions(csr, attribute, p);
            break;
        case NID_ms_ext_req:
            error = ms_requests++ ? "two extensionRequest attributes"
                                  : add_extensions(csr, attribute, p);
            break;
        default:
            break;
        }
    }
    return error ? error : check_extensions(csr);
}

/* Sets csr->usage from the requested keyUsage; error text or NULL. */
static const char *read_usage(csr_t *csr)
{
    int critical = 0, sign, encrypt;
    ASN1_BIT_STRING *bits = X509V3_get_d2i(csr->extensions, NID_key_usage, &critical, NULL);

    csr->usage = CSR_USAGE_GENERAL;
    if (!bits)
        return critical == -1 ? NULL : "the requested keyUsage cannot be read";
    /* bit numbers: RFC 5280 section 4.2.1.3 */
    sign = ASN1_BIT_STRING_get_bit(bits, 0) || ASN1_BIT_STRING_get_bit(bits, 1);
    encrypt = ASN1_BIT_STRING_get_bit(bits, 2) || ASN1_BIT_STRING_get_bit(bits, 3) ||
              ASN1_BIT_STRING_get_bit(bits, 4);
    if (sign && !encrypt)
        csr->usage = CSR_USAGE_SIGNATURE;
    else if (encrypt && !sign)
        csr->usage = CSR_USAGE_ENCRYPTION;
    ASN1_BIT_STRING_free(bits);
    return NULL;
}

/* Whether that signature algorithm may vouch for a request (allow-list). */
static int is_allowed(const X509_ALGOR *algor, unsigned allow)
{
    const ASN1_OBJECT *oid = NULL;

    switch (crypt_signature_digest(algor)) {
    case NID_sha224:
    case NID_sha256:
    case NID_sha384:
    case NID_sha512:
        return 1;
    case NID_sha1:
        return (allow & CSR_ALLOW_SHA1) != 0;
    case NID_md5:
        return (allow & CSR_ALLOW_MD5) != 0;
    case NID_undef:
        X509_ALGOR_get0(&oid, NULL, NULL, algor);
        return OBJ_obj2nid(oid) == NID_ED25519 || OBJ_obj2nid(oid) == NID_ED448;
    default:
        return 0;
    }
}

/* Refuses keys that anybody can factor. */
static apr_status_t check_key(const csr_t *csr, outcome_t *out, apr_pool_t *p)
{
    const char *weakness = weak_key_find(csr->key);

    if (!weakness)
        return APR_SUCCESS;
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_KEY_LENGTH, "weak-key",
                   apr_pstrcat(p, "The key is weak: its modulus ", weakness, ".", NULL), p,
                   "the modulus of the CSR's %s key %s", crypt_key_name(csr->key, p), weakness);
    return APR_EINVAL;
}

/*
 * Makes csr->key and checks the proof of possession.  The algorithm is judged after the signature:
 * only a CSR that came whole may get an answer of its own (mod_scep/core/envelope.h says why).
 */
static apr_status_t verify_possession(csr_t *csr, csr_asn1_t *asn1, unsigned allow, outcome_t *out,
                                      apr_pool_t *p)
{
    char algorithm[80] = "";
    const ASN1_OBJECT *oid = NULL;

    if (spki_key_make(&csr->key, csr->spki, p) != APR_SUCCESS) {
        ERR_clear_error();
        outcome_refuse(out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "csr-key",
                       "The public key of the certificate request cannot be used.", p,
                       "public key of the CSR cannot be used");
        return APR_EINVAL;
    }
    X509_ALGOR_get0(&oid, NULL, NULL, asn1->algor);
    OBJ_obj2txt(algorithm, sizeof(algorithm), oid, 1);
    if (ASN1_item_verify(ASN1_ITEM_rptr(csr_info_t), asn1->algor, asn1->signature, asn1->info,
                         csr->key) != 1) {
        ERR_clear_error();
        outcome_refuse(out, FAIL_INFO_BAD_MESSAGE_CHECK, OUTCOME_HR_BAD_SIGNATURE, "csr-signature",
                       "The signature of the certificate request is wrong.", p,
                       "self-signature of the CSR (algorithm %s) does not verify with its %s key",
                       algorithm, crypt_key_name(csr->key, p));
        return APR_EINVAL;
    }
    if (is_allowed(asn1->algor, allow))
        return check_key(csr, out, p);
    outcome_refuse(out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "csr-algorithm",
                   "The signature algorithm of the certificate request is not allowed.", p,
                   "signature algorithm %s of the CSR is not allowed", algorithm);
    return APR_EINVAL;
}

apr_status_t csr_make(csr_t **pcsr, const crypt_buf_t *der, unsigned allow, outcome_t *out,
                      apr_pool_t *p)
{
    const unsigned char *data = der->data;
    const char *error;
    csr_asn1_t *asn1;
    csr_t *csr = apr_pcalloc(p, sizeof(*csr));
    crypt_buf_t spki_buf = { NULL, 0 };
    unsigned char *encoded = NULL;
    unsigned int digest_len = sizeof(csr->digest);
    int len;
    apr_status_t rv;

    *pcsr = NULL;
    ERR_clear_error();
    if (der->len == 0 || der->len > INT_MAX)
        return malformed(out, "empty or too large", p);
    asn1 = (csr_asn1_t *)ASN1_item_d2i(NULL, &data, (long)der->len, ASN1_ITEM_rptr(csr_asn1_t));
    if (!asn1) {
        ERR_clear_error();
        return malformed(out, "not a PKCS#10 request", p);
    }
    apr_pool_cleanup_register(p, asn1, asn1_cleanup, apr_pool_cleanup_null);
    if ((apr_size_t)(data - der->data) != der->len)
        return malformed(out, "bytes after the end", p);
    csr->der = *secret_dup(der->data, der->len, p);
    csr->subject = asn1->info->subject;
    csr->subject_text = crypt_name_text(csr->subject, p);
    csr->spki = asn1->info->spki;
    if ((error = read_attributes(csr, asn1->info->attributes, p)) != NULL ||
        (error = read_usage(csr)) != NULL) {
        ERR_clear_error();
        return malformed(out, error, p);
    }
    len = i2d_spki_t(csr->spki, &encoded);
    if (len <= 0 || !EVP_Digest(csr->der.data, csr->der.len, csr->digest, &digest_len,
                                EVP_sha256(), NULL)) {
        OPENSSL_free(encoded);
        return malformed(out, "cannot be encoded again", p);
    }
    spki_buf.data = apr_pmemdup(p, encoded, (apr_size_t)len);
    spki_buf.len = (apr_size_t)len;
    OPENSSL_free(encoded);
    csr->spki_der = spki_buf;
    rv = verify_possession(csr, asn1, allow, out, p);
    if (rv == APR_SUCCESS)
        *pcsr = csr;
    return rv;
}

int csr_came_whole(const outcome_t *out)
{
    return strcmp(out->reason, "csr-algorithm") == 0 || strcmp(out->reason, "weak-key") == 0;
}
