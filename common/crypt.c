/* SPDX-License-Identifier: Apache-2.0 */
/* Pool-owned OpenSSL objects and the primitives that several rooms share. */
#include "crypt.h"

#include <apr_strings.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>
#include <sys/stat.h>

static apr_status_t x509_cleanup(void *data)
{
    X509_free(data);
    return APR_SUCCESS;
}

static apr_status_t pkey_cleanup(void *data)
{
    EVP_PKEY_free(data);
    return APR_SUCCESS;
}

static apr_status_t chain_cleanup(void *data)
{
    sk_X509_pop_free(data, X509_free);
    return APR_SUCCESS;
}

X509 *crypt_x509_own(X509 *cert, apr_pool_t *p)
{
    if (cert)
        apr_pool_cleanup_register(p, cert, x509_cleanup, apr_pool_cleanup_null);
    return cert;
}

EVP_PKEY *crypt_pkey_own(EVP_PKEY *key, apr_pool_t *p)
{
    if (key)
        apr_pool_cleanup_register(p, key, pkey_cleanup, apr_pool_cleanup_null);
    return key;
}

STACK_OF(X509) *crypt_chain_own(STACK_OF(X509) *chain, apr_pool_t *p)
{
    if (chain)
        apr_pool_cleanup_register(p, chain, chain_cleanup, apr_pool_cleanup_null);
    return chain;
}

/* The reason of the newest OpenSSL error, or fallback; empties the queue. */
static const char *last_error(const char *fallback)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;

    ERR_clear_error();
    return reason ? reason : fallback;
}

/* Opens file for reading; NULL and *error set if that fails. */
static BIO *open_file(const char *file, const char **error, apr_pool_t *p)
{
    BIO *in;

    ERR_clear_error();
    in = BIO_new_file(file, "r");
    if (!in)
        *error = apr_psprintf(p, "cannot open %s: %s", file, last_error("unknown error"));
    return in;
}

int crypt_no_passphrase(char *buf, int size, int writing, void *baton)
{
    (void)buf, (void)size, (void)writing;
    if (baton)
        *(int *)baton = 1;
    return -1;
}

const char *crypt_load_certificates(STACK_OF(X509) **pcerts, const char *file, apr_pool_t *p)
{
    const char *error = NULL;
    STACK_OF(X509) *certs = NULL;
    X509 *cert = NULL;
    BIO *in = open_file(file, &error, p);

    *pcerts = NULL;
    if (!in)
        goto leave;
    certs = sk_X509_new_null();
    while (certs && (cert = PEM_read_bio_X509(in, NULL, crypt_no_passphrase, NULL)) != NULL) {
        if (!sk_X509_push(certs, cert)) {
            X509_free(cert);
            error = apr_psprintf(p, "%s: out of memory", file);
            goto leave;
        }
    }
    if (!certs || sk_X509_num(certs) == 0) {
        error = apr_psprintf(p, "%s holds no PEM certificate: %s", file, last_error("empty"));
        goto leave;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        error = apr_psprintf(p, "%s: certificate %d cannot be read: %s", file,
                             sk_X509_num(certs) + 1, last_error("unknown error"));
        goto leave;
    }
    *pcerts = crypt_chain_own(certs, p);
    certs = NULL;

leave:
    ERR_clear_error();
    sk_X509_pop_free(certs, X509_free);
    BIO_free(in);
    return error;
}

/* Error text if everybody can read the file, or others than the owner can write it. */
static const char *check_private(BIO *in, const char *file, apr_pool_t *p)
{
    struct stat info;
    FILE *f = NULL;

    if (BIO_get_fp(in, &f) <= 0 || !f || fstat(fileno(f), &info) != 0)
        return apr_psprintf(p, "cannot read %s", file);
    if (S_ISREG(info.st_mode) && (info.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)))
        return apr_psprintf(p, "%s is a private key, but others can read or write it; chmod 600 %s",
                            file, file);
    return NULL;
}

const char *crypt_load_key(EVP_PKEY **pkey, const char *file, apr_pool_t *p)
{
    const char *error = NULL;
    EVP_PKEY *key = NULL;
    int asked = 0;
    BIO *in = open_file(file, &error, p);

    *pkey = NULL;
    if (!in || (error = check_private(in, file, p)) != NULL)
        goto leave;
    key = PEM_read_bio_PrivateKey(in, NULL, crypt_no_passphrase, &asked);
    if (key)
        *pkey = crypt_pkey_own(key, p);
    else if (asked)
        error = apr_psprintf(p, "%s: the private key is encrypted; store it without a passphrase, "
                             "readable by root only", file);
    else
        error = apr_psprintf(p, "%s holds no PEM private key: %s", file, last_error("empty"));

leave:
    ERR_clear_error();
    BIO_free(in);
    return error;
}

const char *crypt_key_name(const EVP_PKEY *key, apr_pool_t *p)
{
    char group[64];
    size_t len = 0;
    const char *type = EVP_PKEY_get0_type_name(key);

    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), &len)) {
        int nid = OBJ_txt2nid(group);
        const char *nist = nid != NID_undef ? EC_curve_nid2nist(nid) : NULL;

        ERR_clear_error();
        return apr_psprintf(p, "EC %s", nist ? nist : group);
    }
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
        return apr_psprintf(p, "%s-%d", type, EVP_PKEY_get_bits(key));
    return apr_pstrdup(p, type ? type : "unknown");
}

const char *crypt_name_text(const X509_NAME *name, apr_pool_t *p)
{
    const char *text = "";
    char *data = NULL;
    long len;
    BIO *out = BIO_new(BIO_s_mem());

    if (out && name && X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253) >= 0) {
        len = BIO_get_mem_data(out, &data);
        if (len > 0)
            text = apr_pstrmemdup(p, data, (apr_size_t)len);
    }
    BIO_free(out);
    ERR_clear_error();
    return text;
}

const char *crypt_serial_text(const ASN1_INTEGER *serial, apr_pool_t *p)
{
    const unsigned char *data = ASN1_STRING_get0_data(serial);
    int len = ASN1_STRING_length(serial);

    if (!data || len <= 0)
        return "00";
    return crypt_hex(data, (apr_size_t)len, 1, p);
}

const char *crypt_hex(const void *data, apr_size_t len, int upper, apr_pool_t *p)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    const unsigned char *in = data;
    char *text = apr_palloc(p, 2 * len + 1);
    apr_size_t i;

    for (i = 0; i < len; i++) {
        text[2 * i] = digits[in[i] >> 4];
        text[2 * i + 1] = digits[in[i] & 15];
    }
    text[2 * len] = '\0';
    return text;
}

apr_status_t crypt_random(void *data, apr_size_t len)
{
    ERR_clear_error();
    if (len > INT_MAX || RAND_bytes(data, (int)len) != 1)
        return APR_EGENERAL;
    return APR_SUCCESS;
}


apr_status_t crypt_sha256_parts(unsigned char digest[32], const crypt_buf_t *parts, int n)
{
    apr_status_t rv = APR_EGENERAL;
    unsigned char prefix[8];
    int i, j;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    ERR_clear_error();
    if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL))
        goto leave;
    for (i = 0; i < n; i++) {
        for (j = 0; j < 8; j++)
            prefix[j] = (unsigned char)((apr_uint64_t)parts[i].len >> (56 - 8 * j));
        if (!EVP_DigestUpdate(ctx, prefix, sizeof(prefix)) ||
            !EVP_DigestUpdate(ctx, parts[i].data, parts[i].len))
            goto leave;
    }
    if (EVP_DigestFinal_ex(ctx, digest, NULL))
        rv = APR_SUCCESS;

leave:
    EVP_MD_CTX_free(ctx);
    return rv;
}

apr_status_t crypt_thumbprint(const X509 *cert, const EVP_MD *md,
                              unsigned char digest[EVP_MAX_MD_SIZE], unsigned int *len)
{
    ERR_clear_error();
    return X509_digest(cert, md, digest, len) ? APR_SUCCESS : APR_EGENERAL;
}

apr_status_t crypt_hmac_sha256(unsigned char mac[32], const crypt_buf_t *key, const char *label,
                               const void *data, apr_size_t len)
{
    apr_status_t rv = APR_EGENERAL;
    size_t mac_len = 0;
    OSSL_PARAM params[2];
    EVP_MAC *hmac = NULL;
    EVP_MAC_CTX *ctx = NULL;

    ERR_clear_error();
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0);
    params[1] = OSSL_PARAM_construct_end();
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    if (ctx && EVP_MAC_init(ctx, key->data, key->len, params) &&
        EVP_MAC_update(ctx, (const unsigned char *)label, strlen(label) + 1) &&
        EVP_MAC_update(ctx, data, len) && EVP_MAC_final(ctx, mac, &mac_len, 32) && mac_len == 32)
        rv = APR_SUCCESS;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(hmac);
    return rv;
}

/* NID of the hash inside RSA-PSS parameters (RFC 8017 appendix A.2.3: SHA-1 if absent). */
static int pss_digest(const X509_ALGOR *algor)
{
    int nid = NID_undef;
    const ASN1_OBJECT *oid = NULL;
    RSA_PSS_PARAMS *pss = NULL;

    if (algor->parameter)
        pss = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), algor->parameter);
    if (pss && pss->hashAlgorithm) {
        X509_ALGOR_get0(&oid, NULL, NULL, pss->hashAlgorithm);
        nid = OBJ_obj2nid(oid);
    }
    else if (pss)
        nid = NID_sha1;
    RSA_PSS_PARAMS_free(pss);
    ERR_clear_error();
    return nid;
}

int crypt_signature_digest(const X509_ALGOR *algor)
{
    int md = NID_undef;
    const ASN1_OBJECT *oid = NULL;

    X509_ALGOR_get0(&oid, NULL, NULL, algor);
    if (OBJ_obj2nid(oid) == NID_rsassaPss)
        return pss_digest(algor);
    if (!OBJ_find_sigid_algs(OBJ_obj2nid(oid), &md, NULL))
        md = NID_undef;
    return md;
}

apr_time_t crypt_asn1_time(const ASN1_TIME *t)
{
    int days = 0, seconds = 0;
    apr_time_t at = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);

    if (epoch && ASN1_TIME_diff(&days, &seconds, epoch, t))
        at = apr_time_from_sec((apr_int64_t)days * 86400 + seconds);
    ASN1_STRING_free(epoch);
    ERR_clear_error();
    return at;
}
