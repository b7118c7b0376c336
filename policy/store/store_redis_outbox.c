/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change of a transaction leaves behind in the Redis store: its record, and news that are to
 * be told to somebody outside; leases on work that one host does; and lists, page by page.
 */
#include "store_redis.h"
#include <apr_hash.h>
#include <apr_strings.h>
#include <string.h>

#define PAGE 40                /* the largest transactions fit into a reply */
#define PAGES_END (2500 * PAGE) /* a peer must not choose how often we ask */
#define NEWS_FIELDS 8

void redis_add_trail(redis_args_t *args, const store_trail_t *trail, apr_pool_t *p)
{
    int i;

    if (!trail)
        return;
    redis_add_text(args, trail->record);
    redis_add_span(args, trail->news_lifetime, 1, p);
    for (i = 0; i < trail->nnews; i++) {
        redis_add_text(args, trail->news[i].id);
        redis_add_text(args, trail->news[i].recipient);
        redis_add_bytes(args, trail->news[i].payload.data, trail->news[i].payload.len);
    }
}

/* Copies a text of at most max bytes out of a reply; NULL: it is none. */
static const char *copy_text(const redisReply *reply, size_t max, apr_pool_t *p)
{
    const char *text = reply_text(reply);

    return text && strlen(text) <= max ? apr_pstrdup(p, text) : NULL;
}

/* The news that take gave, id, recipient, payload, tx_key, fence, tries, created, late; NULL: they
 * are not that. */
static store_news_t *read_news(const redisReply *reply, apr_pool_t *p)
{
    store_news_t *news = apr_pcalloc(p, sizeof(*news));
    apr_int64_t tries, late;
    redisReply **field;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != NEWS_FIELDS)
        return NULL;
    field = reply->element;
    news->id = copy_text(field[0], STORE_ID_LEN, p);
    news->recipient = copy_text(field[1], STORE_TEXT_MAX, p);
    news->tx_key = copy_text(field[3], STORE_ID_LEN, p);
    if (!news->id || !news->recipient || !news->tx_key || field[2]->type != REDIS_REPLY_STRING ||
        (size_t)field[2]->len > STORE_NEWS_MAX || !reply_number(field[4], &news->fence) ||
        !reply_number(field[5], &tries) || !reply_time(field[6], &news->created) ||
        !reply_number(field[7], &late) || news->fence < 1)
        return NULL;
    news->payload.len = field[2]->len;
    news->payload.data = apr_pmemdup(p, field[2]->str, news->payload.len + 1);
    news->tries = tries < APR_INT32_MAX ? (int)tries : APR_INT32_MAX;
    news->late = late != 0;
    return news;
}

apr_status_t redis_take(store_t *store, const char *service, int max, apr_interval_time_t lease,
                        apr_array_header_t **pnews, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    store_news_t *news;
    redisReply *reply;
    redis_args_t args;
    apr_status_t rv;
    size_t i;

    redis_start_args(&args, service, p);
    redis_add_number(&args, max, p);
    redis_add_span(&args, lease, 1, p);
    rv = redis_run(self, REDIS_SCRIPT_TAKE, service, &args, 1, &reply, p);
    for (i = 1; rv == APR_SUCCESS && i < (size_t)reply->elements && (*pnews)->nelts < max; i++) {
        news = read_news(reply->element[i], p);
        if (news)
            APR_ARRAY_PUSH(*pnews, store_news_t *) = news;
        else
            rv = redis_bad_reply(self, p);
    }
    if (rv != APR_SUCCESS)
        apr_array_clear(*pnews);
    return rv;
}

apr_status_t redis_settle(store_t *store, const char *service, const char *news_id,
                          apr_int64_t fence, store_settle_e how, apr_interval_time_t wait,
                          store_result_e *result, apr_pool_t *p)
{
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, news_id);
    redis_add_number(&args, fence, p);
    redis_add_text(&args, how == STORE_NEWS_AGAIN     ? "again"
                          : how == STORE_NEWS_UNTRIED ? "untried"
                          : how == STORE_NEWS_LOST    ? "lost"
                                                      : "done");
    redis_add_span(&args, wait, 0, p);
    return redis_run_word((redis_store_t *)store, REDIS_SCRIPT_SETTLE, service, &args,
                          1u << STORE_OK | 1u << STORE_FENCED | 1u << STORE_NOTFOUND, result, p);
}

apr_status_t redis_outbox(store_t *store, const char *service, int *count, apr_time_t *oldest,
                          apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    apr_int64_t number;
    redis_args_t args;
    apr_status_t rv;

    redis_start_args(&args, service, p);
    rv = redis_run(self, REDIS_SCRIPT_OUTBOX, service, &args, 3, &reply, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (!reply_number(reply->element[1], &number) || !reply_time(reply->element[2], oldest)) {
        *oldest = 0;
        return redis_bad_reply(self, p);
    }
    *count = number < APR_INT32_MAX ? (int)number : APR_INT32_MAX;
    return APR_SUCCESS;
}

apr_status_t redis_lease(store_t *store, const char *service, const char *name,
                         const char *holder, apr_interval_time_t lease, store_result_e *result,
                         apr_pool_t *p)
{
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, name);
    redis_add_text(&args, holder);
    redis_add_span(&args, lease, 0, p);
    return redis_run_word((redis_store_t *)store, REDIS_SCRIPT_LEASE, service, &args,
                          1u << STORE_OK | 1u << STORE_BUSY, result, p);
}

/*
 * Appends what a script gave of a page; *seen: how many entries its index has there.  What moved
 * from one page to the next meanwhile is in known.
 */
static apr_status_t read_page(redis_store_t *self, const redisReply *reply, int max,
                              apr_array_header_t *txs, apr_hash_t *known, apr_int64_t *seen,
                              apr_pool_t *p)
{
    const char *tx_key;
    store_tx_t *tx;
    size_t i;

    if (!reply_number(reply->element[0], seen) || reply->elements % 3 != 1)
        return redis_bad_reply(self, p);
    for (i = 1; i < (size_t)reply->elements && txs->nelts < max; i += 3) {
        tx = apr_palloc(p, sizeof(*tx));
        store_clear_tx(tx);
        tx_key = reply_text(reply->element[i]);
        if (!tx_key || !reply_time(reply->element[i + 1], &tx->wait) ||
            !reply_tx(reply->element[i + 2], tx_key, tx, p))
            return redis_bad_reply(self, p);
        if (!apr_hash_get(known, tx->tx_key, APR_HASH_KEY_STRING)) {
            apr_hash_set(known, tx->tx_key, APR_HASH_KEY_STRING, tx);
            APR_ARRAY_PUSH(txs, store_tx_t *) = tx;
        }
    }
    return APR_SUCCESS;
}

apr_status_t redis_read_pages(redis_store_t *self, redis_script_e script, const char *service,
                              const char *state, int max, apr_array_header_t *txs, apr_pool_t *p)
{
    apr_hash_t *known = apr_hash_make(p);
    apr_status_t rv = APR_SUCCESS;
    apr_int64_t seen = PAGE;
    redis_args_t args;
    redisReply *reply;
    int from;

    for (from = 0; rv == APR_SUCCESS && seen == PAGE && txs->nelts < max && from < PAGES_END;
         from += PAGE) {
        redis_start_args(&args, service, p);
        redis_add_number(&args, from, p);
        redis_add_number(&args, from + PAGE - 1, p);
        if (state)
            redis_add_text(&args, state);
        rv = redis_run(self, script, service, &args, 1, &reply, p);
        if (rv == APR_SUCCESS)
            rv = read_page(self, reply, max, txs, known, &seen, p);
    }
    return rv;
}

apr_status_t redis_records(store_t *store, const char *service, const char *state, int max,
                           apr_array_header_t **ptxs, apr_pool_t *p)
{
    return redis_read_pages((redis_store_t *)store, REDIS_SCRIPT_RECORDS, service, state, max,
                            *ptxs, p);
}
