/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that providers send: what it holds may be secret, so the text is wiped with its pool. */
#ifndef POLICY_JSON_H
#define POLICY_JSON_H

#include "../common/crypt.h"

struct json_t;

/* A JSON string, what is not UTF-8 made so; null for NULL. */
struct json_t *policy_json_string(const char *text, apr_pool_t *p);

/* Bytes as a string of base64, without line ends. */
struct json_t *policy_json_base64(const crypt_buf_t *bytes, apr_pool_t *p);

/*
 * The text of an object, compact, in p and cleansed with it.  The reference to the object is taken,
 * and its strings are cleansed.  NULL: no memory.
 */
const char *policy_json_text(struct json_t *object, apr_pool_t *p);

#endif /* POLICY_JSON_H */
