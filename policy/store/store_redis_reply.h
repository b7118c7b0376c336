/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what a Redis server sends: nothing is believed further than its type and length fit.
 *
 * The int functions say whether the reply is what it should be.
 */
#ifndef STORE_REDIS_REPLY_H
#define STORE_REDIS_REPLY_H

#include "store.h"
#include <hiredis/hiredis.h>

/* The text of a reply, NUL-terminated; NULL: it is none, or has a NUL inside. */
const char *reply_text(const redisReply *reply);

/* A whole number that is not negative; the time or span that is given in milliseconds. */
int reply_number(const redisReply *reply, apr_int64_t *number);
int reply_time(const redisReply *reply, apr_time_t *time);

/* A script's result word. */
int reply_result(const redisReply *reply, store_result_e *result);

/* A time field of a hash, 0 where it is absent; *ok is cleared where it is no time. */
apr_time_t reply_get_time(const redisReply *hash, const char *name, int *ok);

/* Whether a field of a hash is this text. */
int reply_field_is(const redisReply *hash, const char *name, const char *text);

/* The hash of a transaction or challenge; an empty one leaves the record as it is. */
int reply_tx(const redisReply *hash, const char *tx_key, store_tx_t *tx, apr_pool_t *p);
int reply_challenge(const redisReply *hash, const char *id, store_challenge_t *ch, apr_pool_t *p);

/* An entry of the inventory: its place and its hash. */
int reply_entry(const redisReply *place, const redisReply *hash, store_entry_t *entry,
                apr_pool_t *p);

/* A host of announce, "seen:secret:ca:templates"; NULL: it is not that. */
store_host_t *reply_host(const redisReply *name, const redisReply *value, apr_pool_t *p);

#endif /* STORE_REDIS_REPLY_H */
