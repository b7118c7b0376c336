/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key=value options.  A handful of keys per directive, read while the configuration is read: a
 * linear list is enough.  Values are never put into an error text by settings_parse(), since one
 * of them may be a password; the typed readers name the value they could not read.
 */
#include "settings.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <string.h>
#include <strings.h>

typedef struct entry_t {
    const char *key;
    const char *value;
} entry_t;

struct settings_t {
    apr_array_header_t *entries;    /* of entry_t */
};

static const struct {
    const char *suffix;
    apr_interval_time_t factor;
} units[] = {
    {"", APR_USEC_PER_SEC},
    {"ms", 1000},
    {"s", APR_USEC_PER_SEC},
    {"min", APR_INT64_C(60) * APR_USEC_PER_SEC},
    {"h", APR_INT64_C(3600) * APR_USEC_PER_SEC},
    {"d", APR_INT64_C(86400) * APR_USEC_PER_SEC},
};

/* "name=HELP, name=HELP" of the whole table. */
static const char *known_keys(const settings_key_t *keys, apr_pool_t *p)
{
    const char *list = "";
    int i;

    for (i = 0; keys[i].name != NULL; i++) {
        list = apr_psprintf(p, "%s%s%s=%s", list, i > 0 ? ", " : "", keys[i].name,
                            keys[i].help != NULL ? keys[i].help : "");
    }
    return i > 0 ? list : "none";
}

/* The value of key, NULL if absent. */
static const char *find(const settings_t *s, const char *key)
{
    int i;

    for (i = 0; s != NULL && i < s->entries->nelts; i++) {
        const entry_t *entry = &APR_ARRAY_IDX(s->entries, i, entry_t);

        if (strcmp(entry->key, key) == 0) {
            return entry->value;
        }
    }
    return NULL;
}

/* Whether key stands in the table. */
static int is_known(const settings_key_t *keys, const char *key)
{
    int i;

    for (i = 0; keys[i].name != NULL; i++) {
        if (strcmp(keys[i].name, key) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Adds one word to s; error text, NULL on success. */
static const char *add_word(settings_t *s, const settings_key_t *keys, const char *word,
                            apr_pool_t *p)
{
    const char *equals = strchr(word, '=');
    entry_t *entry;
    const char *key;

    if (equals == NULL || equals == word) {
        return apr_psprintf(p, "'%.64s' is not of the form key=value; known keys: %s", word,
                            known_keys(keys, p));
    }
    key = apr_pstrmemdup(p, word, (apr_size_t)(equals - word));
    if (!is_known(keys, key)) {
        return apr_psprintf(p, "unknown key '%.64s'; known keys: %s", key, known_keys(keys, p));
    }
    if (find(s, key) != NULL) {
        return apr_psprintf(p, "key '%s' is given twice", key);
    }
    entry = apr_array_push(s->entries);
    entry->key = key;
    entry->value = apr_pstrdup(p, equals + 1);
    return NULL;
}

const char *settings_parse(settings_t **psettings, const settings_key_t *keys, int argc,
                           const char *const *argv, apr_pool_t *p)
{
    settings_t *s = apr_palloc(p, sizeof(*s));
    const char *err = NULL;
    int i;

    s->entries = apr_array_make(p, argc > 0 ? argc : 1, sizeof(entry_t));
    for (i = 0; i < argc && err == NULL; i++) {
        err = add_word(s, keys, argv[i], p);
    }
    for (i = 0; keys[i].name != NULL && err == NULL; i++) {
        if (keys[i].required && find(s, keys[i].name) == NULL) {
            err = apr_psprintf(p, "key '%s' is missing; known keys: %s", keys[i].name,
                               known_keys(keys, p));
        }
    }
    *psettings = err == NULL ? s : NULL;
    return err;
}

const char *settings_get(const settings_t *s, const char *key, const char *fallback)
{
    const char *value = find(s, key);

    return value != NULL ? value : fallback;
}

/* Reads leading digits of *text into *value and moves *text behind them; 0 if there are none or
 * the number does not fit. */
static int read_digits(const char **text, apr_int64_t *value)
{
    const char *at = *text;

    if (!apr_isdigit(*at)) {
        return 0;
    }
    for (*value = 0; apr_isdigit(*at); at++) {
        int digit = *at - '0';

        if (*value > (APR_INT64_MAX - digit) / 10) {
            return 0;
        }
        *value = *value * 10 + digit;
    }
    *text = at;
    return 1;
}

const char *settings_get_number(const settings_t *s, const char *key, apr_int64_t fallback,
                                apr_int64_t min, apr_int64_t max, apr_int64_t *value, apr_pool_t *p)
{
    const char *text = find(s, key);
    const char *at = text;
    int negative;

    if (text == NULL) {
        *value = fallback;
        return NULL;
    }
    negative = *at == '-';
    at += negative;
    if (!read_digits(&at, value) || *at != '\0') {
        return apr_psprintf(p, "%s=%.64s is not a whole number", key, text);
    }
    if (negative) {
        *value = -*value;
    }
    if (*value < min || *value > max) {
        return apr_psprintf(p, "%s=%.64s is out of range: %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT
                               " is possible", key, text, min, max);
    }
    return NULL;
}

const char *settings_get_flag(const settings_t *s, const char *key, int fallback, int *value,
                              apr_pool_t *p)
{
    const char *text = find(s, key);

    if (text == NULL) {
        *value = fallback;
    }
    else if (strcasecmp(text, "on") == 0) {
        *value = 1;
    }
    else if (strcasecmp(text, "off") == 0) {
        *value = 0;
    }
    else {
        return apr_psprintf(p, "%s=%.64s must be on or off", key, text);
    }
    return NULL;
}

/* A duration for people, in the largest unit that divides it. */
static const char *duration_text(apr_interval_time_t value, apr_pool_t *p)
{
    int i;

    for (i = (int)(sizeof(units) / sizeof(units[0])) - 1; i > 0; i--) {
        if (value % units[i].factor == 0 && (value != 0 || i == 2)) {
            return apr_psprintf(p, "%" APR_INT64_T_FMT "%s", value / units[i].factor,
                                units[i].suffix);
        }
    }
    return apr_psprintf(p, "%" APR_INT64_T_FMT " microseconds", value);
}

const char *settings_get_duration(const settings_t *s, const char *key,
                                  apr_interval_time_t fallback, apr_interval_time_t min,
                                  apr_interval_time_t max, apr_interval_time_t *value,
                                  apr_pool_t *p)
{
    const char *text = find(s, key);
    const char *err;

    if (text == NULL) {
        *value = fallback;
        return NULL;
    }
    err = settings_duration(text, value, p);
    if (err != NULL) {
        return apr_psprintf(p, "%s: %s", key, err);
    }
    if (*value < min || *value > max) {
        return apr_psprintf(p, "%s=%.64s is out of range: %s to %s is possible", key, text,
                            duration_text(min, p), duration_text(max, p));
    }
    return NULL;
}

const char *settings_duration(const char *text, apr_interval_time_t *value, apr_pool_t *p)
{
    const char *at = text;
    apr_int64_t number;
    size_t i;

    if (!read_digits(&at, &number)) {
        return apr_psprintf(p, "'%.64s' is not a duration such as 500ms, 30s, 60min, 12h or 365d",
                            text);
    }
    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(at, units[i].suffix) == 0) {
            if (number > APR_INT64_MAX / units[i].factor) {
                return apr_psprintf(p, "'%.64s' is too long a duration", text);
            }
            *value = number * units[i].factor;
            return NULL;
        }
    }
    return apr_psprintf(p, "'%.64s' has an unknown unit; known are ms, s, min, h and d", text);
}
