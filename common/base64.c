/* SPDX-License-Identifier: Apache-2.0 */
/* See base64.h. */
#include "base64.h"

#include <apr_lib.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

/* Pool cleanup: overwrites bytes. */
static apr_status_t wipe(void *baton)
{
    const crypt_buf_t *bytes = baton;

    OPENSSL_cleanse((void *)bytes->data, bytes->len);
    return APR_SUCCESS;
}

/* A digit of the alphabet as section 4 writes it; 0: it is none. */
static unsigned char digit_of(char c, int how)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return (unsigned char)c;
    if (c == (how & BASE64_URL ? '-' : '+'))
        return '+';
    return c == (how & BASE64_URL ? '_' : '/') ? '/' : 0;
}

/*
 * Copies the digits and completes the padding, which *pad counts.  How many there are; 0: it is not
 * base64.  to has room for len and three more.
 */
static apr_size_t pack(unsigned char *to, apr_size_t *pad, const char *text, apr_size_t len,
                       int how)
{
    int bare = (how & (BASE64_URL | BASE64_BARE)) != 0;
    apr_size_t i, n = 0;
    unsigned char c;

    *pad = 0;
    for (i = 0; i < len; i++) {
        if ((how & BASE64_SPACES) && apr_isspace(text[i]))
            continue;
        c = digit_of(text[i], how);
        if (!bare && text[i] == '=') {
            c = '=';
            ++*pad;
        }
        else if (!c || *pad) {
            return 0;
        }
        to[n++] = c;
    }
    for (; bare && n % 4; ++*pad)
        to[n++] = '=';
    return n % 4 || *pad > 2 ? 0 : n;
}

apr_status_t base64_decode(crypt_buf_t *bytes, const char *text, apr_size_t len, int how,
                           apr_pool_t *p)
{
    unsigned char *packed, *data;
    apr_size_t n, pad;
    crypt_buf_t *wiped;
    int good;

    bytes->data = NULL;
    bytes->len = 0;
    if (len > INT_MAX / 2)
        return APR_EINVAL;
    packed = apr_palloc(p, len + 4);
    n = pack(packed, &pad, text, len, how);
    data = apr_palloc(p, n + 1);
    good = n > 0 && EVP_DecodeBlock(data, packed, (int)n) == (int)(n / 4 * 3);
    if (how & BASE64_SECRET) {
        OPENSSL_cleanse(packed, len + 4);
        wiped = apr_palloc(p, sizeof(*wiped));
        wiped->data = data;
        wiped->len = n + 1;
        apr_pool_cleanup_register(p, wiped, wipe, apr_pool_cleanup_null);
    }
    if (!good)
        return APR_EINVAL;
    bytes->data = data;
    bytes->len = n / 4 * 3 - pad;
    return APR_SUCCESS;
}
