/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that providers send; see json_text.h. */
#include "json_text.h"
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* Pool cleanup: overwrites a text. */
static apr_status_t wipe_text(void *baton)
{
    OPENSSL_cleanse(baton, strlen(baton));
    return APR_SUCCESS;
}

json_t *json_text_string(const char *text, apr_pool_t *p)
{
    json_t *string = text ? json_string(text) : json_null();
    char *copy, *c;

    if (string)
        return string;
    for (c = copy = apr_pstrdup(p, text); *c; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    }
    return json_string(copy);
}

json_t *json_text_base64(const crypt_buf_t *bytes, apr_pool_t *p)
{
    unsigned char *text = apr_palloc(p, 4 * (bytes->len / 3 + 1) + 1);
    json_t *string;

    EVP_EncodeBlock(text, bytes->data, (int)bytes->len);
    string = json_string((const char *)text);
    OPENSSL_cleanse(text, strlen((const char *)text));
    return string;
}

/* Overwrites all strings in a value. */
static void wipe_strings(json_t *value)
{
    const char *name;
    json_t *inner;
    size_t i;

    if (json_is_string(value))
        OPENSSL_cleanse((char *)json_string_value(value), json_string_length(value));
    json_object_foreach(value, name, inner)
        wipe_strings(inner);
    json_array_foreach(value, i, inner)
        wipe_strings(inner);
}

const char *json_text_take(json_t *object, apr_pool_t *p)
{
    char *text = json_dumps(object, JSON_COMPACT), *copy = NULL;

    if (text) {
        copy = apr_pstrdup(p, text);
        apr_pool_cleanup_register(p, copy, wipe_text, apr_pool_cleanup_null);
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
    wipe_strings(object);
    json_decref(object);
    return copy;
}

/* Pool cleanup of a value. */
static apr_status_t drop_value(void *baton)
{
    wipe_strings(baton);
    json_decref(baton);
    return APR_SUCCESS;
}

json_t *json_text_parse(const crypt_buf_t *text, apr_pool_t *p)
{
    json_t *value = json_loadb((const char *)text->data, text->len, JSON_REJECT_DUPLICATES, NULL);

    if (value)
        apr_pool_cleanup_register(p, value, drop_value, apr_pool_cleanup_null);
    return value;
}

const char *json_text_get(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

int json_text_is_clean(const json_t *value, apr_size_t max)
{
    const unsigned char *c = (const unsigned char *)json_string_value(value);

    if (!c || !*c || json_string_length(value) > max)
        return 0;
    while (*c && *c >= 0x20 && *c != 0x7f)
        c++;
    return !*c;
}
