/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a transaction in the Redis store: claim, commit, fail, pend, poll, find, list. */
#include "store_redis.h"
#include <apr_strings.h>
#include <string.h>

#define LIST_PAGE 100

/* Reads what claim and poll answer: result, wait, transaction, challenge. */
static apr_status_t read_answer(redis_store_t *self, const redisReply *reply, const char *tx_key,
                                store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    apr_interval_time_t wait;

    if (!reply_result(reply->element[0], result) || !reply_time(reply->element[1], &wait) ||
        !reply_tx(reply->element[2], tx_key, tx, p) ||
        !reply_challenge(reply->element[3], tx->challenge_id, &tx->challenge, p))
        return redis_bad_reply(self, p);
    if (*result == STORE_ISSUED && tx->certificate.len == 0)
        return redis_bad_reply(self, p);
    if (*result == STORE_CLAIMED && tx->fence < 1)
        return redis_bad_reply(self, p);
    tx->wait = wait;
    return APR_SUCCESS;
}

apr_status_t redis_claim(store_t *store, const char *service, const store_claim_t *claim,
                         store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    redis_args_t args;
    apr_status_t rv;

    redis_start_args(&args, service, p);
    redis_add_text(&args, claim->tx_key);
    redis_add_text(&args, claim->poll_key);
    redis_add_text(&args, claim->csr_digest);
    redis_add_text(&args, claim->challenge_id[0]);
    redis_add_text(&args, claim->challenge_id[1]);
    redis_add_text(&args, claim->nonce);
    redis_add_span(&args, claim->lease, 1, p);
    redis_add_span(&args, claim->retention, 1, p);
    redis_add_text(&args, claim->serial);
    redis_add_number(&args, apr_time_as_msec(claim->not_before), p);
    redis_add_text(&args, claim->transaction_id);
    redis_add_text(&args, claim->subject);
    redis_add_text(&args, claim->template_name);
    redis_add_text(&args, claim->client);
    rv = redis_run(self, REDIS_SCRIPT_CLAIM, service, &args, 4, &reply, p);
    if (rv == APR_SUCCESS)
        rv = read_answer(self, reply, claim->tx_key, result, tx, p);
    return rv;
}

/* Runs a script that ends a transaction: its answer is OK or FENCED. */
static apr_status_t run_end(redis_store_t *self, redis_script_e script, const char *service,
                            const redis_args_t *args, store_result_e *result, apr_pool_t *p)
{
    redisReply *reply;
    apr_status_t rv = redis_run(self, script, service, args, 1, &reply, p);

    if (rv == APR_SUCCESS && (!reply_result(reply->element[0], result) ||
                              (*result != STORE_OK && *result != STORE_FENCED)))
        rv = redis_bad_reply(self, p);
    return rv;
}

apr_status_t redis_commit(store_t *store, const char *service, const char *tx_key,
                          apr_int64_t fence, const crypt_buf_t *certificate, const char *serial,
                          apr_interval_time_t retention, store_result_e *result, apr_pool_t *p)
{
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, tx_key);
    redis_add_number(&args, fence, p);
    redis_add_bytes(&args, certificate->data, certificate->len);
    redis_add_span(&args, retention, 1, p);
    redis_add_text(&args, serial);
    return run_end((redis_store_t *)store, REDIS_SCRIPT_COMMIT, service, &args, result, p);
}

apr_status_t redis_fail(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                        store_blame_e blame, const char *reason, apr_interval_time_t retention,
                        store_result_e *result, apr_pool_t *p)
{
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, tx_key);
    redis_add_number(&args, fence, p);
    redis_add_text(&args, blame == STORE_BLAME_DEVICE ? "1" : "0");
    redis_add_text(&args, reason);
    redis_add_span(&args, retention, 1, p);
    return run_end((redis_store_t *)store, REDIS_SCRIPT_FAIL, service, &args, result, p);
}

apr_status_t redis_pend(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                        const store_pend_t *pend, store_result_e *result, apr_pool_t *p)
{
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, tx_key);
    redis_add_number(&args, fence, p);
    redis_add_text(&args, pend->cookie);
    redis_add_span(&args, pend->wait, 0, p);
    redis_add_span(&args, pend->retention, 1, p);
    return run_end((redis_store_t *)store, REDIS_SCRIPT_PEND, service, &args, result, p);
}

apr_status_t redis_poll(store_t *store, const char *service, const char *poll_key,
                        const char *nonce, apr_interval_time_t lease, store_result_e *result,
                        store_tx_t *tx, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    const char *tx_key;
    redis_args_t args;
    apr_status_t rv;

    redis_start_args(&args, service, p);
    redis_add_text(&args, poll_key);
    redis_add_text(&args, nonce);
    redis_add_span(&args, lease, 1, p);
    rv = redis_run(self, REDIS_SCRIPT_POLL, service, &args, 5, &reply, p);
    if (rv != APR_SUCCESS)
        return rv;
    tx_key = reply_text(reply->element[4]);
    if (!tx_key)
        return redis_bad_reply(self, p);
    rv = read_answer(self, reply, tx_key, result, tx, p);
    if (rv == APR_SUCCESS && *result == STORE_REFUSED && strcmp(tx->state, "inflight") == 0)
        tx->reason = "abandoned";
    return rv;
}

/* Reads a transaction by its key; tx->state is "" where there is none. */
static apr_status_t get_tx(redis_store_t *self, const char *service, const char *tx_key,
                           store_tx_t *tx, apr_pool_t *p)
{
    const char *argv[2] = {"HGETALL", NULL};
    redisReply *reply;
    apr_status_t rv;

    argv[1] = redis_key(service, apr_pstrcat(p, "tx:", tx_key, NULL), p);
    rv = redis_command(self, &reply, 2, argv, NULL, p);
    if (rv == APR_SUCCESS && !reply_tx(reply, tx_key, tx, p))
        rv = redis_bad_reply(self, p);
    if (rv == APR_SUCCESS && strcmp(tx->state, "pending") == 0) {
        int ok = 1;
        apr_time_t next = reply_get_time(reply, "next", &ok), now = apr_time_now();

        tx->wait = next > now ? next - now : 0;
    }
    return rv;
}

apr_status_t redis_find(store_t *store, const char *service, const char *tx_key,
                        store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    apr_status_t rv = get_tx((redis_store_t *)store, service, tx_key, tx, p);

    if (rv == APR_SUCCESS)
        *result = *tx->state ? STORE_OK : STORE_NOTFOUND;
    return rv;
}

/* An empty transaction. */
static store_tx_t *make_tx(apr_pool_t *p)
{
    store_tx_t *tx = apr_palloc(p, sizeof(*tx));

    store_clear_tx(tx);
    return tx;
}

apr_status_t redis_list(store_t *store, const char *service, int max, apr_array_header_t **ptxs,
                        apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    const char *argv[4] = {"ZRANGE", NULL, NULL, NULL};
    redisReply *reply;
    const char *tx_key;
    store_tx_t *tx;
    apr_status_t rv;
    int from = 0, more = 1;
    size_t i;

    argv[1] = redis_key(service, "pend", p);
    while (more && (*ptxs)->nelts < max) {
        argv[2] = apr_itoa(p, from);
        argv[3] = apr_itoa(p, from + LIST_PAGE - 1);
        rv = redis_command(self, &reply, 4, argv, NULL, p);
        if (rv != APR_SUCCESS)
            return rv;
        if (reply->type != REDIS_REPLY_ARRAY)
            return redis_bad_reply(self, p);
        more = reply->elements == LIST_PAGE;
        from += LIST_PAGE;
        for (i = 0; i < (size_t)reply->elements && (*ptxs)->nelts < max; i++) {
            tx_key = reply_text(reply->element[i]);
            if (!tx_key)
                return redis_bad_reply(self, p);
            tx = make_tx(p);
            rv = get_tx(self, service, tx_key, tx, p);
            if (rv != APR_SUCCESS)
                return rv;
            if (strcmp(tx->state, "pending") == 0)
                APR_ARRAY_PUSH(*ptxs, store_tx_t *) = tx;
        }
    }
    return APR_SUCCESS;
}
