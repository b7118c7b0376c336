/* SPDX-License-Identifier: Apache-2.0 */
/* The query string of a SCEP request (see query.h). */
#include "query.h"
#include "../../common/base64.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>
#include <strings.h>

#define MAX_OPERATION 64

/* Value of a hex digit, -1 if it is none. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes percent escapes of len bytes; NULL on a broken escape or NUL. */
static char *unescape(const char *text, apr_size_t len, apr_size_t *out_len, apr_pool_t *p)
{
    char *out = apr_palloc(p, len + 1), *to = out;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        int high, low;

        if (text[i] != '%') {
            *to++ = text[i];
            continue;
        }
        if (len - i < 3 || (high = hex_value(text[i + 1])) < 0 ||
            (low = hex_value(text[i + 2])) < 0 || (high == 0 && low == 0))
            return NULL;
        *to++ = (char)(high << 4 | low);
        i += 2;
    }
    *to = '\0';
    *out_len = (apr_size_t)(to - out);
    return out;
}

/* Whether a parameter's name is that one. */
static int is_named(const char *name, apr_size_t len, const char *wanted)
{
    return len == strlen(wanted) && strncasecmp(name, wanted, len) == 0;
}

apr_status_t scep_query_parse(scep_query_t *query, const char *args, outcome_t *out, apr_pool_t *p)
{
    const char *at = args ? args : "";
    int operations = 0, messages = 0;
    apr_size_t decoded;

    query->operation = "";
    query->message = NULL;
    while (*at) {
        apr_size_t len = strcspn(at, "&");
        const char *equals = memchr(at, '=', len);
        apr_size_t name = equals ? (apr_size_t)(equals - at) : len;
        const char *value = equals ? equals + 1 : at + len;
        apr_size_t value_len = (apr_size_t)(at + len - value);

        if (is_named(at, name, "operation")) {
            query->operation = unescape(value, value_len, &decoded, p);
            if (operations++ || !query->operation || decoded > MAX_OPERATION) {
                query->operation = "";
                outcome_malformed(out, "query", p, "operation is repeated, too long or broken");
                return APR_EINVAL;
            }
        }
        else if (is_named(at, name, "message")) {
            if (messages++) {
                outcome_malformed(out, "query", p, "message stands there twice");
                return APR_EINVAL;
            }
            query->message = apr_pstrmemdup(p, value, value_len);
        }
        at += len;
        if (*at == '&')
            at++;
    }
    return APR_SUCCESS;
}

/* Brings base64 into its strict alphabet, without line breaks and padding; length, or -1. */
static int normalize(char *text, apr_size_t len)
{
    apr_size_t i;
    int n = 0, padding = 0;

    for (i = 0; i < len; i++) {
        char c = text[i];

        if (c == '\r' || c == '\n' || c == '\t')
            continue;
        if (c == '=') {
            padding = 1;
            continue;
        }
        if (c == ' ' || c == '-')
            c = '+';
        else if (c == '_')
            c = '/';
        if (padding || (!apr_isalnum(c) && c != '+' && c != '/'))
            return -1;
        text[n++] = c;
    }
    return n;
}

apr_status_t scep_query_decode(crypt_buf_t *der, const char *message, outcome_t *out,
                               apr_pool_t *p)
{
    apr_size_t len = 0;
    char *text;
    int n;

    der->data = NULL;
    der->len = 0;
    text = message ? unescape(message, strlen(message), &len, p) : NULL;
    if (!text || len > INT_MAX / 2) {
        outcome_malformed(out, "base64", p, "message is missing or has a broken escape");
        return APR_EINVAL;
    }
    n = normalize(text, len);
    if (n < 1 || base64_decode(der, text, (apr_size_t)n, BASE64_BARE, p) != APR_SUCCESS) {
        outcome_malformed(out, "base64", p, "message of %" APR_SIZE_T_FMT " bytes is not base64",
                          len);
        return APR_EINVAL;
    }
    return APR_SUCCESS;
}
