/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the Redis store share: the store, calling a script, and the slots of a
 * transaction. */
#ifndef STORE_REDIS_H
#define STORE_REDIS_H

#include "redis_client.h"
#include "store.h"
#include "store_redis_reply.h"

#define REDIS_ARGS_MAX 32

typedef enum {
    REDIS_SCRIPT_ISSUE,
    REDIS_SCRIPT_CLAIM,
    REDIS_SCRIPT_COMMIT,
    REDIS_SCRIPT_FAIL,
    REDIS_SCRIPT_PEND,
    REDIS_SCRIPT_POLL,
    REDIS_SCRIPT_REVOKE,
    REDIS_SCRIPT_SWEEP,
    REDIS_SCRIPT_ANNOUNCE,
    REDIS_SCRIPT_DECIDE,
    REDIS_SCRIPT_LIST,
    REDIS_SCRIPT_RECORDS,
    REDIS_SCRIPT_TAKE,
    REDIS_SCRIPT_SETTLE,
    REDIS_SCRIPT_OUTBOX,
    REDIS_SCRIPT_LEASE,
    REDIS_SCRIPT_COUNTER,
    REDIS_SCRIPT_REVOKE_CERTIFICATE,
    REDIS_SCRIPT_LIST_REVOKED,
    REDIS_SCRIPT_GET_CRL,
    REDIS_SCRIPT_PUT_CRL,
    REDIS_SCRIPT_INVENTORY,
    REDIS_SCRIPT_RIGHTS,
    REDIS_SCRIPT_HEALTH,
    REDIS_SCRIPT_COUNT
} redis_script_e;

typedef struct redis_store_t {
    store_t base;
    redis_options_t options;
    redis_client_t *client;
    const char *sha[REDIS_SCRIPT_COUNT]; /* hex SHA-1, by which the server knows a script */
} redis_store_t;

/* A script's arguments. */
typedef struct redis_args_t {
    const char *values[REDIS_ARGS_MAX];
    size_t lengths[REDIS_ARGS_MAX];
    int count;
} redis_args_t;

/* Append to a script's arguments: bytes; a text (NULL is ""); a number; a span in milliseconds, at
 * least min. */
void redis_add_bytes(redis_args_t *args, const void *data, size_t len);
void redis_add_text(redis_args_t *args, const char *text);
void redis_add_number(redis_args_t *args, apr_int64_t number, apr_pool_t *p);
void redis_add_span(redis_args_t *args, apr_interval_time_t span, int min, apr_pool_t *p);

/* "{scep:SERVICE}:name". */
const char *redis_key(const char *service, const char *name, apr_pool_t *p);

/* Starts the arguments of a script with the prefix of the service's keys. */
void redis_start_args(redis_args_t *args, const char *service, apr_pool_t *p);

/* Sends a command whose argv[1] is a key of the service, and that may be repeated; error replies
 * become a status. */
apr_status_t redis_command(redis_store_t *self, const char *service, redisReply **preply, int argc,
                           const char **argv, apr_pool_t *p);

/*
 * Runs a script by its digest, or by its text when the server does not know it; gives an array of
 * at least min.  APR_EAGAIN with *preply set: done, but fewer replicas than ScepStoreWait wants
 * have it; with every other error *preply is of no use.
 */
apr_status_t redis_run(redis_store_t *self, redis_script_e script, const char *service,
                       const redis_args_t *args, unsigned min, redisReply **preply, apr_pool_t *p);

/* Runs a script that gives a result word alone, one of allowed (1u << result, or'ed). */
apr_status_t redis_run_word(redis_store_t *self, redis_script_e script, const char *service,
                            const redis_args_t *args, unsigned allowed, store_result_e *result,
                            apr_pool_t *p);

/* The status of an answer of another shape than ours. */
apr_status_t redis_bad_reply(const redis_store_t *self, apr_pool_t *p);

/* Computes by which digest the server knows each script.  Error text, NULL on success. */
const char *redis_digest_scripts(redis_store_t *self, apr_pool_t *p);

/* Appends what a change of a transaction leaves behind; NULL: nothing. */
void redis_add_trail(redis_args_t *args, const store_trail_t *trail, apr_pool_t *p);

/* Appends an entry of the inventory; NULL: none. */
void redis_add_entry(redis_args_t *args, const store_entry_t *entry, apr_pool_t *p);

/* Fills txs up to max by a script that gives pages of an index (list, records); state: of
 * records, NULL with list. */
apr_status_t redis_read_pages(redis_store_t *self, redis_script_e script, const char *service,
                              const char *state, int max, apr_array_header_t *txs, apr_pool_t *p);

/* Slots of store_provider_t, see store.h. */
apr_status_t redis_claim(store_t *store, const char *service, const store_claim_t *claim,
                         store_result_e *result, store_tx_t *tx, apr_pool_t *p);
apr_status_t redis_count(store_t *store, const char *service, const store_claim_t *claim,
                         apr_pool_t *p);
apr_status_t redis_commit(store_t *store, const char *service, const char *tx_key,
                          apr_int64_t fence, const crypt_buf_t *certificate, const char *serial,
                          apr_interval_time_t retention, const store_trail_t *trail,
                          store_result_e *result, apr_pool_t *p);
apr_status_t redis_fail(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                        store_blame_e blame, const char *reason, apr_interval_time_t retention,
                        const store_trail_t *trail, store_result_e *result, apr_pool_t *p);
apr_status_t redis_pend(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                        const store_pend_t *pend, const store_trail_t *trail,
                        store_result_e *result, apr_pool_t *p);
apr_status_t redis_poll(store_t *store, const char *service, const char *poll_key,
                        const char *nonce, apr_interval_time_t lease, store_result_e *result,
                        store_tx_t *tx, apr_pool_t *p);
apr_status_t redis_find(store_t *store, const char *service, const char *tx_key,
                        store_result_e *result, store_tx_t *tx, apr_pool_t *p);
apr_status_t redis_find_certificate(store_t *store, const char *service, const char *serial,
                                    store_result_e *result, store_tx_t *tx, apr_pool_t *p);
apr_status_t redis_inventory(store_t *store, const char *service, const store_search_t *search,
                             apr_array_header_t **pentries, const char **next, apr_pool_t *p);
apr_status_t redis_decide(store_t *store, const char *service, const char *tx_key,
                          const store_decision_t *decision, apr_interval_time_t retention,
                          store_result_e *result, apr_pool_t *p);
apr_status_t redis_inspect(store_t *store, const char *service, apr_array_header_t **pfindings,
                           apr_pool_t *p);
apr_status_t redis_list(store_t *store, const char *service, int max, apr_array_header_t **ptxs,
                        apr_pool_t *p);
apr_status_t redis_revoke_certificate(store_t *store, const char *service,
                                      const store_revoked_t *what, store_result_e *result,
                                      apr_pool_t *p);
apr_status_t redis_find_revoked(store_t *store, const char *service, const char *serial,
                                store_result_e *result, store_revoked_t *revoked, apr_pool_t *p);
apr_status_t redis_list_revoked(store_t *store, const char *service, apr_array_header_t **plist,
                                apr_pool_t *p);
apr_status_t redis_get_crl(store_t *store, const char *service, apr_int64_t have,
                           store_crl_t *crl, apr_pool_t *p);
apr_status_t redis_put_crl(store_t *store, const char *service, apr_int64_t replaces,
                           const store_crl_t *crl, store_result_e *result, apr_pool_t *p);

apr_status_t redis_records(store_t *store, const char *service, const char *state, int max,
                           apr_array_header_t **ptxs, apr_pool_t *p);
apr_status_t redis_take(store_t *store, const char *service, int max, apr_interval_time_t lease,
                        apr_array_header_t **pnews, apr_pool_t *p);
apr_status_t redis_settle(store_t *store, const char *service, const char *news_id,
                          apr_int64_t fence, store_settle_e how, apr_interval_time_t wait,
                          store_result_e *result, apr_pool_t *p);
apr_status_t redis_outbox(store_t *store, const char *service, int *count, apr_time_t *oldest,
                          apr_pool_t *p);
apr_status_t redis_lease(store_t *store, const char *service, const char *name,
                         const char *holder, apr_interval_time_t lease, store_result_e *result,
                         apr_pool_t *p);

#endif /* STORE_REDIS_H */
