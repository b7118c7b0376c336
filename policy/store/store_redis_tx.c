/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a transaction in the Redis store: claim, commit, fail, pend, poll, and
 * what people ask and decide. */
#include "store_redis.h"
#include <apr_strings.h>
#include <string.h>

#define ENDED (1u << STORE_OK | 1u << STORE_FENCED)

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

/* Appends the challenge that a claim brings; NULL: none. */
static void add_adopted(redis_args_t *args, const store_challenge_t *ch, apr_pool_t *p)
{
    if (!ch) {
        redis_add_text(args, "");
        return;
    }
    redis_add_span(args, ch->lifetime, 1, p);
    redis_add_number(args, ch->uses, p);
    redis_add_number(args, ch->attempts, p);
    redis_add_text(args, ch->caller);
    redis_add_text(args, ch->template_name);
    redis_add_text(args, ch->bound);
}

/*
 * Ends a claim that too few replicas have, so that the device need not wait for the end of its
 * lease: nothing was signed yet.  One that was taken over from somebody, who may have signed, stays
 * as it is.  Should this be lost, the lease ends.
 */
static void let_go(redis_store_t *self, const char *service, const store_claim_t *claim,
                   const redisReply *reply, apr_pool_t *p)
{
    store_result_e result;
    redis_args_t args;
    apr_pool_t *sub;
    store_tx_t tx;

    store_clear_tx(&tx);
    /* the cause that the caller is told is the claim's */
    apr_pool_create(&sub, p);
    if (read_answer(self, reply, claim->tx_key, &result, &tx, sub) == APR_SUCCESS &&
        result == STORE_CLAIMED && strcmp(tx.serial, claim->serial) == 0) {
        redis_start_args(&args, service, sub);
        redis_add_text(&args, claim->tx_key);
        redis_add_number(&args, tx.fence, sub);
        redis_add_text(&args, "0");
        redis_add_text(&args, "replicas");
        redis_add_span(&args, claim->retention, 1, sub);
        (void)redis_run_word(self, REDIS_SCRIPT_FAIL, service, &args, ENDED, &result, sub);
    }
    apr_pool_destroy(sub);
}

apr_status_t redis_claim(store_t *store, const char *service, const store_claim_t *claim,
                         store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    redis_args_t args;
    apr_status_t rv;
    int i;

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
    for (i = 0; i < STORE_LIMITS; i++) {
        redis_add_text(&args, claim->limit[i].max > 0 ? claim->limit[i].name : "");
        redis_add_number(&args, claim->limit[i].max, p);
    }
    redis_add_span(&args, claim->limit_window, 1, p);
    add_adopted(&args, claim->adopt, p);
    rv = redis_run(self, REDIS_SCRIPT_CLAIM, service, &args, 4, &reply, p);
    if (rv == APR_SUCCESS)
        rv = read_answer(self, reply, claim->tx_key, result, tx, p);
    else if (rv == APR_EAGAIN && reply)
        let_go(self, service, claim, reply, p);
    return rv;
}

apr_status_t redis_count(store_t *store, const char *service, const store_claim_t *claim,
                         apr_pool_t *p)
{
    redis_args_t args;
    store_result_e result;
    int i;

    redis_start_args(&args, service, p);
    redis_add_span(&args, claim->limit_window, 1, p);
    for (i = 0; i < STORE_LIMITS; i++) {
        if (claim->limit[i].max > 0 && claim->limit[i].name && *claim->limit[i].name)
            redis_add_text(&args, claim->limit[i].name);
    }
    return redis_run_word((redis_store_t *)store, REDIS_SCRIPT_COUNTER, service, &args,
                          1u << STORE_OK, &result, p);
}

apr_status_t redis_commit(store_t *store, const char *service, const char *tx_key,
                          apr_int64_t fence, const crypt_buf_t *certificate, const char *serial,
                          apr_interval_time_t retention, const store_trail_t *trail,
                          store_result_e *result, apr_pool_t *p)
{
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, tx_key);
    redis_add_number(&args, fence, p);
    redis_add_bytes(&args, certificate->data, certificate->len);
    redis_add_span(&args, retention, 1, p);
    redis_add_text(&args, serial);
    redis_add_entry(&args, trail ? trail->entry : NULL, p);
    redis_add_trail(&args, trail, p);
    return redis_run_word((redis_store_t *)store, REDIS_SCRIPT_COMMIT, service, &args,
                          ENDED | 1u << STORE_CONFLICT, result, p);
}

apr_status_t redis_fail(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                        store_blame_e blame, const char *reason, apr_interval_time_t retention,
                        const store_trail_t *trail, store_result_e *result, apr_pool_t *p)
{
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, tx_key);
    redis_add_number(&args, fence, p);
    redis_add_text(&args, blame == STORE_BLAME_DEVICE ? "1" : "0");
    redis_add_text(&args, reason);
    redis_add_span(&args, retention, 1, p);
    redis_add_trail(&args, trail, p);
    return redis_run_word((redis_store_t *)store, REDIS_SCRIPT_FAIL, service, &args, ENDED, result,
                          p);
}

apr_status_t redis_pend(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                        const store_pend_t *pend, const store_trail_t *trail,
                        store_result_e *result, apr_pool_t *p)
{
    const crypt_buf_t *request = pend->request;
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, tx_key);
    redis_add_number(&args, fence, p);
    redis_add_text(&args, pend->cookie);
    redis_add_span(&args, pend->wait, 0, p);
    redis_add_span(&args, pend->retention, 1, p);
    redis_add_number(&args, pend->max, p);
    redis_add_text(&args, request && request->data ? "1" : "0");
    redis_add_bytes(&args, request && request->data ? (const char *)request->data : "",
                    request && request->data ? request->len : 0);
    redis_add_text(&args, pend->owner);
    redis_add_number(&args, pend->owner_max, p);
    redis_add_trail(&args, trail, p);
    return redis_run_word((redis_store_t *)store, REDIS_SCRIPT_PEND, service, &args,
                          ENDED | 1u << STORE_FULL | 1u << STORE_OWNERFULL, result, p);
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

/* Reads a transaction by its key; tx->state is "" where there is none, *preply what was read. */
static apr_status_t get_tx(redis_store_t *self, const char *service, const char *tx_key,
                           store_tx_t *tx, redisReply **preply, apr_pool_t *p)
{
    const char *argv[2] = {"HGETALL", NULL};
    apr_time_t next, now = apr_time_now();
    apr_status_t rv;
    int ok = 1;

    argv[1] = redis_key(service, apr_pstrcat(p, "tx:", tx_key, NULL), p);
    rv = redis_command(self, service, preply, 2, argv, p);
    if (rv == APR_SUCCESS && !reply_tx(*preply, tx_key, tx, p))
        rv = redis_bad_reply(self, p);
    if (rv == APR_SUCCESS && strcmp(tx->state, "pending") == 0) {
        next = reply_get_time(*preply, "next", &ok);
        tx->wait = next > now ? next - now : 0;
    }
    return rv;
}

apr_status_t redis_find(store_t *store, const char *service, const char *tx_key,
                        store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    const char *argv[2] = {"HGETALL", NULL};
    redisReply *reply;
    apr_status_t rv = get_tx(self, service, tx_key, tx, &reply, p);

    if (rv == APR_SUCCESS && *tx->challenge_id) {
        argv[1] = redis_key(service, apr_pstrcat(p, "ch:", tx->challenge_id, NULL), p);
        rv = redis_command(self, service, &reply, 2, argv, p);
        if (rv == APR_SUCCESS && !reply_challenge(reply, tx->challenge_id, &tx->challenge, p))
            rv = redis_bad_reply(self, p);
    }
    if (rv == APR_SUCCESS)
        *result = *tx->state ? STORE_OK : STORE_NOTFOUND;
    return rv;
}

apr_status_t redis_find_certificate(store_t *store, const char *service, const char *serial,
                                    store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    const char *argv[2] = {"GET", NULL};
    const char *tx_key;
    redisReply *reply;
    apr_status_t rv;

    argv[1] = redis_key(service, apr_pstrcat(p, "sn:", serial, NULL), p);
    rv = redis_command(self, service, &reply, 2, argv, p);
    if (rv != APR_SUCCESS || reply->type == REDIS_REPLY_NIL)
        return rv;
    tx_key = reply_text(reply);
    if (!tx_key)
        return redis_bad_reply(self, p);
    rv = get_tx(self, service, tx_key, tx, &reply, p);
    if (rv == APR_SUCCESS && reply_field_is(reply, "issued_serial", serial) &&
        strcmp(tx->state, "issued") == 0)
        *result = STORE_OK;
    else
        store_clear_tx(tx);
    return rv;
}

apr_status_t redis_decide(store_t *store, const char *service, const char *tx_key,
                          const store_decision_t *decision, apr_interval_time_t retention,
                          store_result_e *result, apr_pool_t *p)
{
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, tx_key);
    redis_add_text(&args, decision->approve ? "approved" : "denied");
    redis_add_text(&args, decision->by);
    redis_add_text(&args, decision->text);
    redis_add_span(&args, retention, 1, p);
    redis_add_text(&args, decision->cookie);
    redis_add_trail(&args, decision->approve ? NULL : decision->trail, p);
    return redis_run_word(
        (redis_store_t *)store, REDIS_SCRIPT_DECIDE, service, &args,
        1u << STORE_OK | 1u << STORE_BUSY | 1u << STORE_CONFLICT | 1u << STORE_NOTFOUND, result, p);
}

apr_status_t redis_list(store_t *store, const char *service, int max, apr_array_header_t **ptxs,
                        apr_pool_t *p)
{
    return redis_read_pages((redis_store_t *)store, REDIS_SCRIPT_LIST, service, NULL, max, *ptxs,
                            p);
}
