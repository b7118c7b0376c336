/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a helper printed: certificates in the forms that certmonger takes (doc/helpers.txt, footnote
 * 1, but for enveloped ones), or a cookie.
 */
#include "ca_certs.h"
#include "ca_exec.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define WAIT_MAX 604800 /* seconds: a week */
#define DIGITS_MAX 9

/* Adds what is in a PEM block; whether it could be read.  Blocks of other kinds are passed over. */
static int add_block(STACK_OF(X509) **pcerts, const char *name, const char *header,
                     const unsigned char *data, apr_size_t len, apr_pool_t *p)
{
    if (*header != '\0') {
        return 0; /* encrypted */
    }
    if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0) {
        return ca_certs_add_der(pcerts, data, len, p) == APR_SUCCESS;
    }
    if (strcmp(name, PEM_STRING_PKCS7) == 0 || strcmp(name, PEM_STRING_PKCS7_SIGNED) == 0 ||
        strcmp(name, PEM_STRING_CMS) == 0) {
        return ca_certs_add_cms(pcerts, data, len, p) == APR_SUCCESS;
    }
    return 1;
}

/* Adds what the PEM blocks of a text hold; 0 if one is broken. */
static int add_pem(STACK_OF(X509) **pcerts, const char *text, apr_size_t len, apr_pool_t *p)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    unsigned char *data = NULL;
    char *name = NULL, *header = NULL;
    long n = 0;
    int ok = bio != NULL;

    while (ok && PEM_read_bio(bio, &name, &header, &data, &n) > 0) {
        ok = add_block(pcerts, name, header, data, (apr_size_t)n, p);
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
    const char *error = NULL;
    int ok;

    *pcerts = NULL;
    ERR_clear_error();
    if (len > 0 && output[0] == (V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED)) {
        ok = ca_certs_add_der(pcerts, output, len, p) == APR_SUCCESS ||
             ca_certs_add_cms(pcerts, output, len, p) == APR_SUCCESS;
    }
    else {
        ok = add_pem(pcerts, output, len, p);
    }
    ERR_clear_error();
    if (!ok) {
        error = "printed a certificate that cannot be read";
        *pcerts = NULL;
    }
    else if (sk_X509_num(*pcerts) < 1) {
        error = "printed no certificate";
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
