/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_work(): news are taken from the outbox, opened and delivered; providers do what has to be
 * done now and then.  See policy.h.
 *
 * The store gives each piece of news to one host at a time, so any number of hosts may be at it.  A
 * recipient that failed is left alone for the rest of the round: a peer that is down or slow costs
 * one call, not one for each piece of news.
 */
#include "policy_outbox.h"
#include "../common/clock.h"
#include <apr_strings.h>
#include <string.h>

#define TAKE_MAX 16
#define TAKE_LEASE apr_time_from_sec(60)
#define ROUND_MAX apr_time_from_sec(30)    /* of delivering: ends before the lease does */
#define DELIVERY_MAX apr_time_from_sec(8)  /* of one call: a child that ends waits for it */
#define AGAIN_MIN apr_time_from_sec(5)     /* after a failed try, doubled with each */
#define AGAIN_MAX apr_time_from_sec(600)
#define PEER_MAX apr_time_from_sec(3600)   /* the longest wait that a peer may ask for */
#define KEPT_WAIT apr_time_from_sec(60)    /* of news that this host cannot deliver */
#define LOOK apr_time_from_sec(1)          /* between looks into the outbox */
#define LOOK_IDLE apr_time_from_sec(600)   /* where no policy delivers */
#define STORE_WAIT_MAX apr_time_from_sec(60)
#define WORK_LEASE apr_time_from_sec(180)  /* of a provider's work, longer than WORK_MAX */
#define WORK_MAX apr_time_from_sec(60)
#define WORK_AGAIN apr_time_from_sec(30)   /* when another host has it */
#define WORK_WAIT_MAX apr_time_from_sec(86400)
#define WORK_SLACK apr_time_from_sec(60)   /* so long the host that has it is preferred */

/* One provider of the chain. */
typedef struct target_t {
    const policy_link_t *link;
    const char *recipient;
    int failing;          /* it was said that deliveries fail */
    apr_uint32_t round;   /* of the last failure */
    apr_time_t next_work; /* monotonic */
} target_t;

struct policy_worker_t {
    target_t *targets;
    int ntargets, delivers;
    apr_uint32_t round;
    apr_time_t next_look; /* monotonic */
    int store_failures;   /* in a row */
    int told_kept;        /* news that cannot be delivered here were mentioned */
};

/* One round. */
typedef struct round_t {
    policy_t *policy;
    policy_worker_t *worker;
    const policy_work_t *work;
    apr_time_t end; /* of deliveries */
    int done;
    const log_sink_t *log;
    apr_pool_t *p;
} round_t;

policy_worker_t *policy_worker_make(const policy_t *policy, apr_pool_t *pchild)
{
    policy_worker_t *worker = apr_pcalloc(pchild, sizeof(*worker));
    const policy_link_t *link;
    int i;

    worker->ntargets = policy->links->nelts;
    worker->targets = apr_pcalloc(pchild, (worker->ntargets + 1) * sizeof(*worker->targets));
    for (i = 0; (link = policy_link_at(policy, i)) != NULL; i++) {
        worker->targets[i].link = link;
        worker->targets[i].recipient = policy_recipient(policy, i, pchild);
        worker->delivers += link->provider->deliver != NULL;
    }
    return worker;
}

/* Whether the process is about to end. */
static int is_stopping(const round_t *round)
{
    return round->work->stopping && round->work->stopping(round->work->baton);
}

/* Whether the round has to come to an end. */
static int is_over(const round_t *round)
{
    return is_stopping(round) || apr_time_now() >= round->end;
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
static void settle(round_t *round, const store_news_t *news, store_settle_e how,
                   apr_interval_time_t wait)
{
    const policy_config_t *cfg = round->policy->cfg;
    store_result_e result = STORE_OK;
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; i == 0 || (i == 1 && rv != APR_SUCCESS); i++)
        rv = store_settle(cfg->store, cfg->service, news->id, news->fence, how, wait, &result,
                          round->p);
    if (rv != APR_SUCCESS)
        log_to(round->log, LOG_SINK_WARN, SCEPTAG(0281),
               "service '%s': the store cannot be told that news %s for %s were %s: %s",
               cfg->service, news->id, news->recipient,
               how == STORE_NEWS_DONE ? "delivered, they may arrive again" : "taken",
               store_error(round->p));
    else if (result == STORE_FENCED && how == STORE_NEWS_DONE)
        log_to(round->log, LOG_SINK_INFO, SCEPTAG(0282),
               "service '%s': another host has taken news %s for %s, they may arrive twice",
               cfg->service, news->id, news->recipient);
}

/* Name of the news' transaction for people. */
static const char *transaction_of(const round_t *round, const store_news_t *news)
{
    const policy_config_t *cfg = round->policy->cfg;
    store_result_e result;
    store_tx_t tx;

    if (store_find(cfg->store, cfg->service, news->tx_key, &result, &tx, round->p) ==
            APR_SUCCESS && result == STORE_OK)
        return tx.transaction_id;
    return apr_pstrcat(round->p, "with key ", news->tx_key, NULL);
}

/* Gives news up, and says so. */
static void lose(round_t *round, const store_news_t *news, const char *why)
{
    log_to(round->log, LOG_SINK_ERR, SCEPTAG(0283),
           "service '%s': the news of transaction %s for %s are lost after %d tries: %s",
           round->policy->cfg->service, transaction_of(round, news), news->recipient, news->tries,
           why);
    settle(round, news, STORE_NEWS_LOST, 0);
}

/* Puts news back that this host cannot deliver: another one may, or this one after a restart. */
static void keep(round_t *round, const store_news_t *news, const char *why)
{
    if (news->late) {
        lose(round, news, why);
        return;
    }
    if (!round->worker->told_kept)
        log_to(round->log, LOG_SINK_WARN, SCEPTAG(0284),
               "service '%s': there are news for %s that this host cannot deliver; they are kept "
               "until ScepNotifyLifetime ends: %s",
               round->policy->cfg->service, news->recipient, why);
    round->worker->told_kept = 1;
    settle(round, news, STORE_NEWS_AGAIN, jitter(KEPT_WAIT));
}

/* A try that failed for now. */
static void failed(round_t *round, target_t *target, const store_news_t *news,
                   const outcome_t *out)
{
    const char *why = out->detail && *out->detail ? out->detail : out->reason;
    apr_interval_time_t wait = again_after(news->tries);

    /* a call that was cut by the process' end says nothing of its peer */
    log_to(round->log, target->failing || is_stopping(round) ? LOG_SINK_DEBUG : LOG_SINK_WARN,
           SCEPTAG(0285),
           "service '%s': news for %s cannot be delivered at the moment, they are kept: %s",
           round->policy->cfg->service, target->recipient, why);
    target->failing = 1;
    target->round = round->worker->round;
    if (out->retry_after > 0)
        wait = jitter(out->retry_after < PEER_MAX ? out->retry_after : PEER_MAX);
    if (news->late)
        lose(round, news, apr_psprintf(round->p, "their time is over; %s", why));
    else
        settle(round, news, STORE_NEWS_AGAIN, wait);
}

/* Gives opened news to their provider. */
static void give(round_t *round, target_t *target, const store_news_t *news, const char *text)
{
    apr_time_t limit = apr_time_now() + DELIVERY_MAX;
    outcome_t out;
    apr_status_t rv;

    outcome_init(&out);
    rv = target->link->provider->deliver(target->link->instance, text,
                                         limit < round->end ? limit : round->end, &out, round->log,
                                         round->p);
    if (rv != APR_SUCCESS && rv != APR_EINVAL) {
        failed(round, target, news, &out);
        return;
    }
    if (target->failing)
        log_to(round->log, LOG_SINK_NOTICE, SCEPTAG(0286),
               "service '%s': news for %s are delivered again", round->policy->cfg->service,
               target->recipient);
    target->failing = 0;
    if (rv == APR_EINVAL) {
        lose(round, news, out.detail && *out.detail ? out.detail : out.reason);
        return;
    }
    log_to(round->log, LOG_SINK_DEBUG, SCEPTAG(0287),
           "service '%s': news %s for %s are delivered at try %d", round->policy->cfg->service,
           news->id, target->recipient, news->tries);
    settle(round, news, STORE_NEWS_DONE, 0);
    round->done++;
}

/* The provider that news are for; NULL: none that delivers. */
static target_t *find_target(const policy_worker_t *worker, const char *recipient)
{
    int i;

    for (i = 0; i < worker->ntargets; i++) {
        if (worker->targets[i].link->provider->deliver &&
            strcmp(worker->targets[i].recipient, recipient) == 0)
            return &worker->targets[i];
    }
    return NULL;
}

/* One piece of news that this host holds. */
static void deliver(round_t *round, const store_news_t *news)
{
    target_t *target = find_target(round->worker, news->recipient);
    crypt_buf_t plain;

    if (is_over(round)) {
        settle(round, news, STORE_NEWS_AGAIN, 0);
        return;
    }
    if (!target) {
        keep(round, news, "no policy of the service delivers them");
        return;
    }
    if (policy_unseal(&plain, round->policy,
                      policy_news_context(news->id, news->recipient, round->p), &news->payload,
                      round->p) != APR_SUCCESS) {
        keep(round, news, "they cannot be opened: was the challenge secret changed?");
        return;
    }
    if (target->round == round->worker->round && !news->late) {
        settle(round, news, STORE_NEWS_AGAIN, again_after(news->tries));
        return;
    }
    give(round, target, news, (const char *)plain.data);
}

/* When the store is asked again after so many failures in a row. */
static apr_interval_time_t store_wait(int failures)
{
    apr_interval_time_t wait = LOOK;

    for (; failures > 1 && wait < STORE_WAIT_MAX; failures--)
        wait *= 2;
    return wait < STORE_WAIT_MAX ? wait : STORE_WAIT_MAX;
}

/* Takes what is due; sets when to look again. */
static void look(round_t *round)
{
    policy_worker_t *worker = round->worker;
    const policy_config_t *cfg = round->policy->cfg;
    apr_interval_time_t wait = worker->delivers ? LOOK : LOOK_IDLE;
    apr_array_header_t *list = NULL;
    apr_status_t rv =
        store_take(cfg->store, cfg->service, TAKE_MAX, TAKE_LEASE, &list, round->p);
    int i;

    if (APR_STATUS_IS_ENOTIMPL(rv))
        wait = LOOK_IDLE;
    else if (rv != APR_SUCCESS) {
        log_to(round->log,
               worker->delivers && !worker->store_failures ? LOG_SINK_WARN : LOG_SINK_DEBUG,
               SCEPTAG(0288),
               "service '%s': the store cannot be asked for news: %s", cfg->service,
               store_error(round->p));
        wait = store_wait(++worker->store_failures);
    }
    else
        worker->store_failures = 0;
    worker->round++;
    for (i = 0; rv == APR_SUCCESS && i < list->nelts; i++)
        deliver(round, APR_ARRAY_IDX(list, i, const store_news_t *));
    if (rv == APR_SUCCESS && list->nelts == TAKE_MAX && round->done == TAKE_MAX)
        wait = 0;
    worker->next_look = clock_monotonic() + wait;
}

/* Lets a provider do its work, unless another host has it; sets when it is due again. */
static void do_work(round_t *round, target_t *target)
{
    const policy_config_t *cfg = round->policy->cfg;
    const char *name = apr_pstrcat(round->p, "work:", target->recipient, NULL);
    policy_work_t work = *round->work;
    apr_interval_time_t wait = WORK_AGAIN;
    store_result_e result;
    apr_status_t rv = store_lease(cfg->store, cfg->service, name, work.holder, WORK_LEASE, &result,
                                  round->p);

    if (rv == APR_SUCCESS && result == STORE_OK) {
        if (work.deadline > apr_time_now() + WORK_MAX)
            work.deadline = apr_time_now() + WORK_MAX;
        wait = target->link->provider->work(target->link->instance, &work, round->log, round->p);
        if (wait < LOOK || wait > WORK_WAIT_MAX)
            wait = wait < LOOK ? LOOK : WORK_WAIT_MAX;
        store_lease(cfg->store, cfg->service, name, work.holder, wait + WORK_SLACK, &result,
                    round->p);
    }
    else if (rv != APR_SUCCESS)
        log_to(round->log, LOG_SINK_DEBUG, SCEPTAG(0289),
               "service '%s': the store cannot say who does the work of %s: %s", cfg->service,
               target->recipient, store_error(round->p));
    target->next_work = clock_monotonic() + wait;
}

apr_interval_time_t policy_work(policy_t *policy, const policy_work_t *work, int *done,
                                const log_sink_t *log, apr_pool_t *p)
{
    policy_worker_t *worker = policy->worker;
    apr_time_t now = clock_monotonic(), next;
    round_t round = {policy, worker, work, apr_time_now() + ROUND_MAX, 0, log, p};
    int i;

    *done = 0;
    if (!worker)
        return LOOK_IDLE;
    if (work->deadline < round.end)
        round.end = work->deadline;
    if (now >= worker->next_look)
        look(&round);
    next = worker->next_look;
    for (i = 0; i < worker->ntargets; i++) {
        target_t *target = &worker->targets[i];

        if (!target->link->provider->work)
            continue;
        if (now >= target->next_work && !is_over(&round))
            do_work(&round, target);
        next = target->next_work < next ? target->next_work : next;
    }
    *done = round.done;
    now = clock_monotonic();
    return next > now ? next - now : 0;
}
