/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON that is exchanged with other services: what it holds may be secret, so texts are wiped with
 * their pool.
 */
#ifndef COMMON_JSON_TEXT_H
#define COMMON_JSON_TEXT_H

#include "crypt.h"

struct json_t;

/* A JSON string, what is not UTF-8 made so; null for NULL. */
struct json_t *json_text_string(const char *text, apr_pool_t *p);

/* Bytes as a string of base64, without line ends. */
struct json_t *json_text_base64(const crypt_buf_t *bytes, apr_pool_t *p);

/*
 * The text of an object, compact, in p and cleansed with it.  The reference to the object is taken,
 * and its strings are cleansed.  NULL: no memory.
 */
const char *json_text_take(struct json_t *object, apr_pool_t *p);

/*
 * Reads one JSON value without duplicate names; it goes with p, and its strings are cleansed.
 * NULL: it is none.
 */
struct json_t *json_text_parse(const crypt_buf_t *text, apr_pool_t *p);

/* The text of that name in an object; NULL: not there, not a text. */
const char *json_text_get(const struct json_t *object, const char *name);

/* Whether a value is a string of 1 to max bytes without control characters. */
int json_text_is_clean(const struct json_t *value, apr_size_t max);

#endif /* COMMON_JSON_TEXT_H */
