/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round of deliveries: news are taken from the outbox, opened and given to their providers.
 *
 * The store gives each piece of news to one host at a time, and those of one transaction for one
 * recipient one after the other, so any number of hosts and threads may be at it.  A recipient that
 * failed is left alone for the rest of the round, and is asked by one call at a time until one
 * arrives: a peer that is down or slow costs a few calls, not one for each piece of news.  One that
 * took other news meanwhile is well, and only what it did not take waits.
 */
#include "policy_deliver.h"
#include "../common/http_client.h"
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <string.h>

#define TAKE_MAX 64
#define TAKE_LEASE apr_time_from_sec(25)
#define BEGIN_MAX apr_time_from_sec(8)    /* so long deliveries of a round begin */
#define DELIVERY_MAX apr_time_from_sec(8) /* of one call: with that before, less than the lease */
#define AGAIN_MIN apr_time_from_sec(5)    /* after a failed try, doubled with each */
#define AGAIN_MAX apr_time_from_sec(600)
#define PEER_MAX apr_time_from_sec(3600)  /* the longest wait that a peer may ask for */
#define KEPT_WAIT apr_time_from_sec(60)   /* of news that this host cannot deliver */
#define LOOK apr_time_from_sec(1)         /* between looks into the outbox during a delivery */

/* A piece of news that this host holds; target NULL: no policy of the service delivers it. */
typedef struct item_t {
    const store_news_t *news;
    policy_target_t *target;
} item_t;

/* One round. */
typedef struct round_t {
    policy_t *policy;
    policy_worker_t *worker;
    const policy_work_t *work;
    apr_time_t begin_until;
    const log_sink_t *log;
    apr_pool_t *p; /* of the thread that takes */
    /* guarded by the worker's mutex */
    apr_array_header_t *queue; /* of item_t: not begun yet */
    int active, closed, done;
} round_t;

/* A thread that delivers. */
typedef struct lane_t {
    round_t *round;
    apr_thread_t *thread;
    apr_pool_t *p; /* of one delivery */
} lane_t;

/* Whether the process is about to end. */
static int is_stopping(const round_t *round)
{
    return round->work->stopping && round->work->stopping(round->work->baton);
}

/* Whether nothing more is begun. */
static int is_over(const round_t *round)
{
    return is_stopping(round) || apr_time_now() >= round->begin_until;
}

static void lock(const round_t *round)
{
    apr_thread_mutex_lock(round->worker->mutex);
}

/* Lets the others see what changed. */
static void unlock(const round_t *round)
{
    apr_thread_cond_broadcast(round->worker->changed);
    apr_thread_mutex_unlock(round->worker->mutex);
}

/* wait, up to a quarter more, so that hosts and news do not come all at once. */
static apr_interval_time_t jitter(apr_interval_time_t wait)
{
    unsigned char byte = 0;

    return crypt_random(&byte, 1) == APR_SUCCESS ? wait + wait / 4 * byte / 255 : wait;
}

/* When news that were tried so often are due again. */
static apr_interval_time_t again_after(int tries)
{
    apr_interval_time_t wait = AGAIN_MIN;

    for (; tries > 1 && wait < AGAIN_MAX; tries--)
        wait *= 2;
    return jitter(wait < AGAIN_MAX ? wait : AGAIN_MAX);
}

/* Tells the store what became of news, twice if the first answer is lost. */
static void settle(const lane_t *lane, const store_news_t *news, store_settle_e how,
                   apr_interval_time_t wait)
{
    const policy_config_t *cfg = lane->round->policy->cfg;
    const log_sink_t *log = lane->round->log;
    store_result_e result = STORE_OK;
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; i == 0 || (i == 1 && rv != APR_SUCCESS); i++)
        rv = store_settle(cfg->store, cfg->service, news->id, news->fence, how, wait, &result,
                          lane->p);
    if (rv != APR_SUCCESS)
        log_to(log, LOG_SINK_WARN, SCEPTAG(0281),
               "service '%s': the store cannot be told that news %s for %s were %s: %s",
               cfg->service, news->id, news->recipient,
               how == STORE_NEWS_DONE ? "delivered, they may arrive again" : "taken",
               store_error(lane->p));
    else if (result == STORE_FENCED && how == STORE_NEWS_DONE)
        log_to(log, LOG_SINK_INFO, SCEPTAG(0282),
               "service '%s': another host has taken news %s for %s, they may arrive twice",
               cfg->service, news->id, news->recipient);
}

/* Name of the news' transaction for people. */
static const char *transaction_of(const lane_t *lane, const store_news_t *news)
{
    const policy_config_t *cfg = lane->round->policy->cfg;
    store_result_e result;
    store_tx_t tx;

    if (store_find(cfg->store, cfg->service, news->tx_key, &result, &tx, lane->p) ==
            APR_SUCCESS && result == STORE_OK)
        return tx.transaction_id;
    return apr_pstrcat(lane->p, "with key ", news->tx_key, NULL);
}

/* Gives news up, and says so. */
static void lose(const lane_t *lane, const store_news_t *news, const char *why)
{
    log_to(lane->round->log, LOG_SINK_ERR, SCEPTAG(0283),
           "service '%s': the news of transaction %s for %s are lost after %d tries: %s",
           lane->round->policy->cfg->service, transaction_of(lane, news), news->recipient,
           news->tries, why);
    settle(lane, news, STORE_NEWS_LOST, 0);
}

/* Puts news back that this host cannot deliver: another one may, or this one after a restart. */
static void keep(const lane_t *lane, const store_news_t *news, const char *why)
{
    const round_t *round = lane->round;
    int told;

    if (news->late) {
        lose(lane, news, why);
        return;
    }
    lock(round);
    told = round->worker->told_kept;
    round->worker->told_kept = 1;
    unlock(round);
    if (!told)
        log_to(round->log, LOG_SINK_WARN, SCEPTAG(0284),
               "service '%s': there are news for %s that this host cannot deliver; they are kept "
               "until ScepNotifyLifetime ends: %s",
               round->policy->cfg->service, news->recipient, why);
    settle(lane, news, STORE_NEWS_UNTRIED, jitter(KEPT_WAIT));
}

/* A try that failed for now.  delivered: what its recipient had taken when it began. */
static void failed(const lane_t *lane, const item_t *item, apr_uint32_t delivered,
                   const outcome_t *out)
{
    const round_t *round = lane->round;
    policy_target_t *target = item->target;
    const char *why = out->detail && *out->detail ? out->detail : out->reason;
    apr_interval_time_t wait = again_after(item->news->tries);
    int told, is_cut = is_stopping(round) || http_client_is_ending();

    lock(round);
    told = target->failing;
    if (target->delivered == delivered) {
        target->failing = 1;
        target->round = round->worker->round;
    }
    unlock(round);
    /* a call that was cut by the process' end says nothing of its peer */
    log_to(round->log, told || is_cut ? LOG_SINK_DEBUG : LOG_SINK_WARN, SCEPTAG(0285),
           "service '%s': news for %s cannot be delivered at the moment, they are kept: %s",
           round->policy->cfg->service, target->recipient, why);
    if (out->retry_after > 0)
        wait = jitter(out->retry_after < PEER_MAX ? out->retry_after : PEER_MAX);
    if (is_cut)
        settle(lane, item->news, STORE_NEWS_AGAIN, 0);
    else if (item->news->late)
        lose(lane, item->news, apr_psprintf(lane->p, "their time is over; %s", why));
    else
        settle(lane, item->news, STORE_NEWS_AGAIN, wait);
}

/* A try that was answered: the news arrived, or never can be delivered. */
static void answered(const lane_t *lane, const item_t *item, apr_status_t rv,
                     const outcome_t *out)
{
    round_t *round = lane->round;
    int told;

    lock(round);
    told = item->target->failing;
    item->target->failing = 0;
    item->target->delivered++;
    unlock(round);
    if (told)
        log_to(round->log, LOG_SINK_NOTICE, SCEPTAG(0286),
               "service '%s': news for %s are delivered again", round->policy->cfg->service,
               item->target->recipient);
    if (rv != APR_SUCCESS) {
        lose(lane, item->news, out->detail && *out->detail ? out->detail : out->reason);
        return;
    }
    log_to(round->log, LOG_SINK_DEBUG, SCEPTAG(0287),
           "service '%s': news %s for %s are delivered at try %d", round->policy->cfg->service,
           item->news->id, item->target->recipient, item->news->tries);
    settle(lane, item->news, STORE_NEWS_DONE, 0);
    lock(round);
    round->done++;
    unlock(round);
}

/* Gives opened news to their provider. */
static void give(const lane_t *lane, const item_t *item, const char *text)
{
    const policy_link_t *link = item->target->link;
    const round_t *round = lane->round;
    apr_time_t limit = apr_time_now() + DELIVERY_MAX;
    apr_uint32_t delivered;
    outcome_t out;
    apr_status_t rv;

    if (round->work->deadline < limit)
        limit = round->work->deadline;
    outcome_init(&out);
    lock(round);
    delivered = item->target->delivered;
    unlock(round);
    rv = link->provider->deliver(link->instance, text, limit, &out, round->log, lane->p);
    if (rv == APR_SUCCESS || rv == APR_EINVAL)
        answered(lane, item, rv, &out);
    else
        failed(lane, item, delivered, &out);
}

/* One piece of news that this host holds. */
static void deliver(const lane_t *lane, const item_t *item)
{
    const store_news_t *news = item->news;
    const round_t *round = lane->round;
    crypt_buf_t plain;
    int resting;

    if (is_over(round)) {
        settle(lane, news, STORE_NEWS_UNTRIED, 0);
        return;
    }
    if (!item->target) {
        keep(lane, news, "no policy of the service delivers them");
        return;
    }
    if (policy_unseal(&plain, round->policy,
                      policy_news_context(news->id, news->recipient, lane->p), &news->payload,
                      lane->p) != APR_SUCCESS) {
        keep(lane, news, "they cannot be opened: was the challenge secret changed?");
        return;
    }
    lock(round);
    resting = item->target->round == round->worker->round;
    unlock(round);
    if (resting && news->late)
        lose(lane, news, "their time is over; others could not be delivered just now");
    else if (resting)
        settle(lane, news, STORE_NEWS_UNTRIED, again_after(news->tries));
    else
        give(lane, item, (const char *)plain.data);
}

/* The provider that news are for; NULL: none that delivers. */
static policy_target_t *find_target(const policy_worker_t *worker, const char *recipient)
{
    int i;

    for (i = 0; i < worker->ntargets; i++) {
        if (worker->targets[i].link->provider->deliver &&
            strcmp(worker->targets[i].recipient, recipient) == 0)
            return &worker->targets[i];
    }
    return NULL;
}

/* Whether the recipient can be given one more.  The mutex must be held. */
static int has_room(const policy_target_t *target)
{
    return !target || target->active < (target->failing ? 1 : target->most);
}

/* Takes the first of the queue whose recipient has room; 0: none.  The mutex must be held. */
static int pick(item_t *item, round_t *round)
{
    item_t *items = (item_t *)round->queue->elts;
    int i;

    for (i = 0; i < round->queue->nelts && !has_room(items[i].target); i++)
        ;
    if (i == round->queue->nelts)
        return 0;
    *item = items[i];
    round->queue->nelts--;
    memmove(&items[i], &items[i + 1], (round->queue->nelts - i) * sizeof(*items));
    round->active++;
    if (item->target)
        item->target->active++;
    return 1;
}

/* Waits for something to do; 0: the round is over. */
static int next(item_t *item, round_t *round)
{
    int found;

    lock(round);
    while (!(found = pick(item, round)) && !(round->closed && round->queue->nelts == 0))
        apr_thread_cond_wait(round->worker->changed, round->worker->mutex);
    unlock(round);
    return found;
}

/* A thread: delivers until the round is over. */
static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    lane_t *lane = data;
    item_t item;

    (void)thread;
    while (next(&item, lane->round)) {
        deliver(lane, &item);
        apr_pool_clear(lane->p);
        lock(lane->round);
        lane->round->active--;
        if (item.target)
            item.target->active--;
        unlock(lane->round);
    }
    return NULL; /* AddressSanitizer takes apr_thread_exit()'s way out for an overflow */
}

/* Puts what is due into the queue; *n: how many.  Status of store_take(). */
static apr_status_t take(round_t *round, int *n)
{
    const policy_config_t *cfg = round->policy->cfg;
    apr_array_header_t *list = NULL;
    apr_status_t rv = store_take(cfg->store, cfg->service, TAKE_MAX, TAKE_LEASE, &list, round->p);
    item_t *item;
    int i;

    *n = rv == APR_SUCCESS ? list->nelts : 0;
    lock(round);
    for (i = 0; i < *n; i++) {
        item = apr_array_push(round->queue);
        item->news = APR_ARRAY_IDX(list, i, const store_news_t *);
        item->target = find_target(round->worker, item->news->recipient);
    }
    unlock(round);
    return rv;
}

/* Waits until the queue is empty; with idle until a look later, or all is delivered.  Whether
 * anything is still under way. */
static int wait_for_room(round_t *round, int idle)
{
    int active;

    lock(round);
    while (round->queue->nelts > 0)
        apr_thread_cond_wait(round->worker->changed, round->worker->mutex);
    if (idle && round->active > 0)
        apr_thread_cond_timedwait(round->worker->changed, round->worker->mutex, LOOK);
    active = round->active > 0;
    unlock(round);
    return active;
}

/* Starts threads, as many as there is work for; how many run. */
static int start(lane_t *lanes, int running, int wanted, round_t *round)
{
    apr_status_t rv = APR_SUCCESS;
    lane_t *lane;

    while (running < wanted && running < POLICY_DELIVERIES_MAX && rv == APR_SUCCESS) {
        lane = &lanes[running];
        lane->round = round;
        apr_pool_create_unmanaged_ex(&lane->p, NULL, NULL);
        rv = apr_thread_create(&lane->thread, NULL, run, lane, round->p);
        if (rv == APR_SUCCESS)
            running++;
        else
            apr_pool_destroy(lane->p);
    }
    if (rv != APR_SUCCESS)
        log_to(round->log, LOG_SINK_WARN, SCEPTAG(0296),
               "service '%s': no thread can be started, news are delivered by %d",
               round->policy->cfg->service, running);
    return running;
}

/* Lets the threads come to their end; without any, does their work. */
static void end(lane_t *lanes, int running, round_t *round)
{
    lane_t alone = {round, NULL, NULL};
    apr_status_t rv;
    int i;

    lock(round);
    round->closed = 1;
    unlock(round);
    for (i = 0; i < running; i++) {
        apr_thread_join(&rv, lanes[i].thread);
        apr_pool_destroy(lanes[i].p);
    }
    apr_pool_create_unmanaged_ex(&alone.p, NULL, NULL);
    run(NULL, &alone);
    apr_pool_destroy(alone.p);
}

apr_status_t policy_deliver_due(policy_t *policy, const policy_work_t *work, int *done, int *more,
                                const log_sink_t *log, apr_pool_t *p)
{
    round_t round = {policy, policy->worker, work, apr_time_now() + BEGIN_MAX, log, p,
                     apr_array_make(p, TAKE_MAX, sizeof(item_t)), 0, 0, 0};
    lane_t lanes[POLICY_DELIVERIES_MAX];
    apr_status_t rv;
    int n, running = 0, taken = 0;

    if (work->deadline < round.begin_until)
        round.begin_until = work->deadline;
    lock(&round);
    round.worker->round++;
    unlock(&round);
    do {
        rv = take(&round, &n);
        taken += n;
        running = start(lanes, running, taken, &round);
    } while (rv == APR_SUCCESS && running > 0 && wait_for_room(&round, n == 0) &&
             !is_over(&round));
    end(lanes, running, &round);
    *done = round.done;
    *more = n == TAKE_MAX;
    return rv;
}
