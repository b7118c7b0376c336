/* SPDX-License-Identifier: Apache-2.0 */
/* Names of bound challenges: RFC 4514 text into X509_NAME, alternative names into one spelling. */
#include "policy_bound.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <string.h>

#define TYPE_MAX 64

static apr_status_t name_cleanup(void *data)
{
    X509_NAME_free(data);
    return APR_SUCCESS;
}

static apr_status_t object_cleanup(void *data)
{
    ASN1_OBJECT_free(data);
    return APR_SUCCESS;
}

/* A copy with ASCII letters from byte number first on in lower case. */
static const unsigned char *lower(const void *data, apr_size_t len, apr_size_t first, apr_pool_t *p)
{
    char *copy = apr_pstrmemdup(p, data, len);
    apr_size_t i;

    for (i = first; i < len; i++) {
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] += 'a' - 'A';
    }
    return (const unsigned char *)copy;
}

policy_bound_san_t policy_bound_san(policy_bound_kind_e kind, const void *data, apr_size_t len,
                                    apr_pool_t *p)
{
    policy_bound_san_t san = {kind, data, len};
    apr_size_t at;

    switch (kind) {
    case POLICY_BOUND_DNS:
    case POLICY_BOUND_UPN:
        san.data = lower(data, len, 0, p);
        break;
    case POLICY_BOUND_EMAIL: /* RFC 5280 section 7.5: the host part only */
        for (at = len; at > 0 && ((const char *)data)[at - 1] != '@'; at--)
            continue;
        san.data = lower(data, len, at, p);
        break;
    default:
        san.data = (const unsigned char *)apr_pstrmemdup(p, data, len);
        break;
    }
    return san;
}

ASN1_OBJECT *policy_bound_type(const char *name, apr_pool_t *p)
{
    static const char *const aliases[][2] = {
        {"E", "emailAddress"}, {"EMAIL", "emailAddress"}, {"S", "ST"}, {"T", "title"}};
    ASN1_OBJECT *type;
    unsigned i;

    for (i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (strcmp(name, aliases[i][0]) == 0)
            name = aliases[i][1];
    }
    type = *name && strlen(name) <= TYPE_MAX ? OBJ_txt2obj(name, 0) : NULL;
    ERR_clear_error();
    if (type)
        apr_pool_cleanup_register(p, type, object_cleanup, apr_pool_cleanup_null);
    return type;
}

/* A new name owned by p. */
static X509_NAME *make_name(apr_pool_t *p)
{
    X509_NAME *name = X509_NAME_new();

    if (name)
        apr_pool_cleanup_register(p, name, name_cleanup, apr_pool_cleanup_null);
    return name;
}

/* Puts an attribute at the front of a name: a new RDN, or into the one that is there. */
static int add_front(X509_NAME *name, const ASN1_OBJECT *type, const char *value, int joins)
{
    /* the string type does not count: names are compared in their canonical form */
    return X509_NAME_add_entry_by_OBJ(name, type, V_ASN1_UTF8STRING, (const unsigned char *)value,
                                      (int)strlen(value), 0, joins ? 1 : 0);
}

X509_NAME *policy_bound_single(const ASN1_OBJECT *type, const char *value, apr_pool_t *p)
{
    X509_NAME *name = make_name(p);

    return name && add_front(name, type, value, 0) ? name : NULL;
}

/* The number of a hex digit; -1: none. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)apr_tolower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads "TYPE=" at *text, moves behind it; NULL: there is none. */
static const char *take_type(const char **text, apr_pool_t *p)
{
    const char *begin, *end;

    while (**text == ' ')
        (*text)++;
    begin = *text;
    while (apr_isalnum(**text) || **text == '.' || **text == '-')
        (*text)++;
    end = *text;
    while (**text == ' ')
        (*text)++;
    if (**text != '=' || end == begin)
        return NULL;
    (*text)++;
    return apr_pstrmemdup(p, begin, end - begin);
}

/* Reads a value up to an unescaped ',' or '+', moves to it; NULL: it is malformed or empty. */
static const char *take_value(const char **text, apr_pool_t *p)
{
    char *value = apr_palloc(p, strlen(*text) + 1), *to, *keep;
    const char *from = *text;

    while (*from == ' ')
        from++;
    to = keep = value;
    if (*from == '#')
        return NULL;
    for (; *from && *from != ',' && *from != '+'; from++) {
        if (strchr("\";<>", *from))
            return NULL;
        if (*from == '\\') {
            from++;
            if (hex_digit(from[0]) >= 0 && hex_digit(from[1]) >= 0) {
                *to = (char)(hex_digit(from[0]) << 4 | hex_digit(from[1]));
                from++;
            }
            else if (*from && strchr(",+\"\\<>;=# ", *from))
                *to = *from;
            else
                return NULL;
            if (!*to++)
                return NULL;
            keep = to;
            continue;
        }
        *to++ = *from;
        if (*from != ' ')
            keep = to; /* blanks at the end do not belong to the value */
    }
    *keep = '\0';
    *text = from;
    return keep > value ? value : NULL;
}

const char *policy_bound_name(X509_NAME **pname, const char *text, apr_pool_t *p)
{
    X509_NAME *name = make_name(p);
    const char *type_name, *value;
    ASN1_OBJECT *type;
    int joins = 0;

    while (name) {
        type_name = take_type(&text, p);
        if (!type_name)
            return "needs TYPE=value, ... as in CN=a,O=b";
        type = policy_bound_type(type_name, p);
        if (!type)
            return apr_psprintf(p, "%s is not a type that names have", type_name);
        value = take_value(&text, p);
        if (!value)
            return apr_psprintf(
                p, "the value of %s is empty, or lacks a \\ before one of \",+\\<>;", type_name);
        if (!add_front(name, type, value, joins))
            break;
        if (!*text && i2d_X509_NAME(name, NULL) <= 0) /* escaped bytes that are no UTF-8 */
            break;
        if (!*text) {
            *pname = name;
            return NULL;
        }
        joins = *text++ == '+';
    }
    ERR_clear_error();
    return "cannot be a name";
}
