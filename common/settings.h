/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key=value options of a directive (ScepCABackend, ScepLocalTemplate, ScepPolicy).
 *
 * Parsed once while the configuration is read; read-only afterwards.  All errors are texts for
 * people, made in p, ready to be the directive's message; NULL is success.
 */
#ifndef COMMON_SETTINGS_H
#define COMMON_SETTINGS_H

#include <apr_pools.h>
#include <apr_time.h>

typedef struct settings_t settings_t;

/* What a key may hold; a NULL-terminated table of these is each reader's documentation. */
typedef struct settings_key_t {
    const char *name;
    const char *help;           /* the value's form, e.g. "FILE", "DURATION" */
    int required;
} settings_key_t;

/*
 * Splits argc words of the form key=value (value may be empty, may hold '=') against the table
 * keys (ended by a NULL name).  Unknown, repeated, missing required keys and words without '=' are
 * errors that list the known keys.
 */
const char *settings_parse(settings_t **psettings, const settings_key_t *keys, int argc,
                           const char *const *argv, apr_pool_t *p);

/* The value as written; fallback when the key is absent. */
const char *settings_get(const settings_t *s, const char *key, const char *fallback);

/* A whole number in [min, max]; *value is set to fallback when the key is absent. */
const char *settings_get_number(const settings_t *s, const char *key, apr_int64_t fallback,
                                apr_int64_t min, apr_int64_t max, apr_int64_t *value,
                                apr_pool_t *p);

/* "on" or "off". */
const char *settings_get_flag(const settings_t *s, const char *key, int fallback, int *value,
                              apr_pool_t *p);

/*
 * A duration as settings_duration() reads it, in [min, max].
 */
const char *settings_get_duration(const settings_t *s, const char *key,
                                  apr_interval_time_t fallback, apr_interval_time_t min,
                                  apr_interval_time_t max, apr_interval_time_t *value,
                                  apr_pool_t *p);

/* "500ms", "30s", "60min", "12h", "365d"; a bare number is seconds. */
const char *settings_duration(const char *text, apr_interval_time_t *value, apr_pool_t *p);

#endif /* COMMON_SETTINGS_H */
