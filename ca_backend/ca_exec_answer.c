/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a helper printed: certificates in the forms that certmonger takes (doc/helpers.txt, footnote
 * 1, but for enveloped ones), or a cookie.
 */
#include "ca_exec.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define WAIT_MAX 604800 /* seconds: a week */
#define DIGITS_MAX 9

/* Adds a DER certificate; whether it is one, without more. */
static int add_certificate(STACK_OF(X509) *certs, const unsigned char *der, long len)
{
    const unsigned char *at = der;
    X509 *cert = d2i_X509(NULL, &at, len);

    if (cert == NULL || at != der + len || !sk_X509_push(certs, cert)) {
        X509_free(cert);
        return 0;
    }
    return 1;
}

/* Adds the certificates of a DER PKCS#7; whether it is one, without more. */
static int add_pkcs7(STACK_OF(X509) *certs, const unsigned char *der, long len)
{
    const unsigned char *at = der;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, len);
    STACK_OF(X509) *held = cms != NULL && at == der + len ? CMS_get1_certs(cms) : NULL;
    int ok = held != NULL;

    while (ok && sk_X509_num(held) > 0) {
        ok = sk_X509_push(certs, sk_X509_value(held, 0)) > 0;
        if (ok) {
            (void)sk_X509_shift(held);
        }
    }
    sk_X509_pop_free(held, X509_free);
    CMS_ContentInfo_free(cms);
    return ok;
}

/* Adds what is in a PEM block; whether it could be read.  Blocks of other kinds are passed over. */
static int add_block(STACK_OF(X509) *certs, const char *name, const char *header,
                     const unsigned char *data, long len)
{
    if (*header != '\0') {
        return 0; /* encrypted */
    }
    if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0) {
        return add_certificate(certs, data, len);
    }
    if (strcmp(name, PEM_STRING_PKCS7) == 0 || strcmp(name, PEM_STRING_PKCS7_SIGNED) == 0 ||
        strcmp(name, PEM_STRING_CMS) == 0) {
        return add_pkcs7(certs, data, len);
    }
    return 1;
}

/* Adds what the PEM blocks of a text hold; 0 if one is broken. */
static int add_pem(STACK_OF(X509) *certs, const char *text, apr_size_t len)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    unsigned char *data = NULL;
    char *name = NULL, *header = NULL;
    long n = 0;
    int ok = bio != NULL;

    while (ok && PEM_read_bio(bio, &name, &header, &data, &n) > 0) {
        ok = add_block(certs, name, header, data, n);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(data);
    }
    /* the end of the text looks so; all else is a block that is cut or no base64 */
    ok = ok && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    return ok;
}

const char *ca_exec_certificates(STACK_OF(X509) **pcerts, const char *output, apr_size_t len,
                                 apr_pool_t *p)
{
    STACK_OF(X509) *certs = crypt_chain_own(sk_X509_new_null(), p);
    const unsigned char *bytes = (const unsigned char *)output;
    const char *error = NULL;
    int ok = 0;

    *pcerts = NULL;
    ERR_clear_error();
    if (certs == NULL) {
        error = "cannot be understood: no memory";
    }
    else if (len > 0 && bytes[0] == (V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED)) {
        ok = add_certificate(certs, bytes, (long)len) || add_pkcs7(certs, bytes, (long)len);
    }
    else {
        ok = add_pem(certs, output, len);
    }
    ERR_clear_error();
    if (error == NULL && !ok) {
        error = "printed a certificate that cannot be read";
    }
    if (error == NULL && sk_X509_num(certs) == 0) {
        error = "printed no certificate";
    }
    if (error == NULL) {
        *pcerts = certs;
    }
    return error;
}

/* Takes a line with a number of seconds from *at; error text or NULL. */
static const char *read_wait(apr_interval_time_t *wait, const char **at)
{
    apr_int64_t seconds = 0;
    int digits = 0;

    for (; apr_isdigit(**at) && digits <= DIGITS_MAX; (*at)++, digits++) {
        seconds = seconds * 10 + (**at - '0');
    }
    if (digits == 0 || digits > DIGITS_MAX || (**at != '\n' && **at != '\r')) {
        return "printed no number of seconds to wait";
    }
    *at += strspn(*at, "\r\n");
    *wait = apr_time_from_sec(seconds < 1 ? 1 : seconds > WAIT_MAX ? WAIT_MAX : seconds);
    return NULL;
}

const char *ca_exec_cookie(const char **pcookie, apr_interval_time_t *wait, const char *output,
                           apr_size_t len, apr_pool_t *p)
{
    const char *at = output, *error = wait != NULL ? read_wait(wait, &at) : NULL;
    apr_size_t n, i;

    *pcookie = NULL;
    if (error != NULL) {
        return error;
    }
    n = len - (apr_size_t)(at - output);
    while (n > 0 && apr_isspace(at[n - 1])) {
        n--;
    }
    if (n == 0) {
        return "printed no cookie to ask again with";
    }
    for (i = 0; i < n; i++) {
        if (!apr_isprint(at[i])) {
            return "printed a cookie with characters that cannot be kept";
        }
    }
    if (n > CA_EXEC_COOKIE_MAX) {
        return "printed a cookie that is too long";
    }
    *pcookie = apr_pstrmemdup(p, at, n);
    return NULL;
}
