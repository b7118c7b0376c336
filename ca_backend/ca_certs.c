/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates as CAs send them; see ca_certs.h. */
#include "ca_certs.h"
#include "../common/base64.h"

#include <apr_strings.h>
#include <limits.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

/* Adds a certificate, which is owned by the list then or freed. */
static apr_status_t add(STACK_OF(X509) **pcerts, X509 *cert, apr_pool_t *p)
{
    if (cert == NULL) {
        ERR_clear_error();
        return APR_EINVAL;
    }
    if (*pcerts == NULL) {
        *pcerts = crypt_chain_own(sk_X509_new_null(), p);
    }
    if (sk_X509_num(*pcerts) >= CA_CERTS_MAX || !sk_X509_push(*pcerts, cert)) {
        X509_free(cert);
        return APR_ENOSPC;
    }
    return APR_SUCCESS;
}

apr_status_t ca_certs_add_der(STACK_OF(X509) **pcerts, const void *data, apr_size_t len,
                              apr_pool_t *p)
{
    const unsigned char *at = data;
    X509 *cert = len <= LONG_MAX ? d2i_X509(NULL, &at, (long)len) : NULL;

    if (cert != NULL && at != (const unsigned char *)data + len) {
        X509_free(cert);
        cert = NULL;
    }
    return add(pcerts, cert, p);
}

apr_status_t ca_certs_add_pem(STACK_OF(X509) **pcerts, const void *data, apr_size_t len,
                              apr_pool_t *p)
{
    BIO *bio = len > 0 && len <= INT_MAX ? BIO_new_mem_buf(data, (int)len) : NULL;
    apr_status_t rv = bio != NULL ? APR_SUCCESS : APR_EINVAL;
    unsigned long error;
    int n = 0;

    while (rv == APR_SUCCESS) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, crypt_no_passphrase, NULL);

        if (cert == NULL) {
            error = ERR_peek_last_error();
            if (n == 0 || ERR_GET_LIB(error) != ERR_LIB_PEM ||
                ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
                rv = APR_EINVAL;
            }
            break;
        }
        rv = add(pcerts, cert, p);
        n++;
    }
    ERR_clear_error();
    BIO_free(bio);
    return rv;
}

apr_status_t ca_certs_add_cms(STACK_OF(X509) **pcerts, const void *data, apr_size_t len,
                              apr_pool_t *p)
{
    const unsigned char *at = data;
    CMS_ContentInfo *cms = len <= LONG_MAX ? d2i_CMS_ContentInfo(NULL, &at, (long)len) : NULL;
    STACK_OF(X509) *certs = NULL;
    apr_status_t rv = APR_EINVAL;

    if (cms != NULL && at == (const unsigned char *)data + len &&
        OBJ_obj2nid(CMS_get0_type(cms)) == NID_pkcs7_signed) {
        certs = CMS_get1_certs(cms);
    }
    if (sk_X509_num(certs) > 0) {
        rv = APR_SUCCESS;
    }
    while (rv == APR_SUCCESS && sk_X509_num(certs) > 0) {
        rv = add(pcerts, sk_X509_shift(certs), p);
    }
    sk_X509_pop_free(certs, X509_free);
    CMS_ContentInfo_free(cms);
    ERR_clear_error();
    return rv;
}

apr_status_t ca_base64_decode(crypt_buf_t *bytes, const char *text, apr_size_t len, apr_pool_t *p)
{
    return base64_decode(bytes, text, len, BASE64_SPACES, p);
}

/* Pool cleanup: overwrites bytes; returns APR_SUCCESS. */
static apr_status_t wipe(void *baton)
{
    crypt_buf_t *bytes = baton;

    OPENSSL_cleanse((void *)bytes->data, bytes->len);
    return APR_SUCCESS;
}

void *ca_wiped(void *data, apr_size_t len, apr_pool_t *p)
{
    crypt_buf_t *bytes = apr_palloc(p, sizeof(*bytes));

    bytes->data = data;
    bytes->len = len;
    apr_pool_cleanup_register(p, bytes, wipe, apr_pool_cleanup_null);
    return data;
}

const char *ca_base64_encode(const void *data, apr_size_t len, apr_pool_t *p)
{
    char *text = apr_palloc(p, 4 * (len / 3 + 1) + 1);

    EVP_EncodeBlock((unsigned char *)text, data, (int)len);
    return ca_wiped(text, strlen(text), p);
}

const char *ca_csr_pem(const crypt_buf_t *der, apr_pool_t *p)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *pem = NULL;
    long len;

    if (bio != NULL && PEM_write_bio(bio, PEM_STRING_X509_REQ, "", der->data, (long)der->len) > 0) {
        len = BIO_get_mem_data(bio, &data);
        pem = ca_wiped(apr_pstrmemdup(p, data, (apr_size_t)len), (apr_size_t)len, p);
        OPENSSL_cleanse(data, (size_t)len);
    }
    BIO_free(bio);
    return pem != NULL ? pem : "";
}
