/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_work(): what is due in the outbox is delivered (policy_deliver.c), and providers do what
 * has to be done now and then.  See policy.h.
 */
#include "policy_deliver.h"
#include "../common/clock.h"
#include <apr_strings.h>
#include <string.h>

#define LOOK apr_time_from_sec(1)          /* between looks into the outbox */
#define LOOK_IDLE apr_time_from_sec(600)   /* where no policy delivers */
#define STORE_WAIT_MAX apr_time_from_sec(60)
#define WORK_LEASE apr_time_from_sec(180)  /* of a provider's work, longer than WORK_MAX */
#define WORK_MAX apr_time_from_sec(60)
#define WORK_AGAIN apr_time_from_sec(30)   /* when another host has it */
#define WORK_WAIT_MAX apr_time_from_sec(86400)
#define WORK_SLACK apr_time_from_sec(60)   /* so long the host that has it is preferred */

/* One round. */
typedef struct round_t {
    policy_t *policy;
    policy_worker_t *worker;
    const policy_work_t *work;
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
    if (apr_thread_mutex_create(&worker->mutex, APR_THREAD_MUTEX_DEFAULT, pchild) != APR_SUCCESS ||
        apr_thread_cond_create(&worker->changed, pchild) != APR_SUCCESS)
        return NULL;
    for (i = 0; (link = policy_link_at(policy, i)) != NULL; i++) {
        worker->targets[i].link = link;
        worker->targets[i].recipient = policy_recipient(policy, i, pchild);
        worker->targets[i].most = link->provider->deliveries
                                      ? link->provider->deliveries(link->instance) : 1;
        worker->delivers += link->provider->deliver != NULL;
    }
    return worker;
}

/* Whether the process is about to end, or the time is over. */
static int is_over(const round_t *round)
{
    return (round->work->stopping && round->work->stopping(round->work->baton)) ||
           apr_time_now() >= round->work->deadline;
}

/* When the store is asked again after so many failures in a row. */
static apr_interval_time_t store_wait(int failures)
{
    apr_interval_time_t wait = LOOK;

    for (; failures > 1 && wait < STORE_WAIT_MAX; failures--)
        wait *= 2;
    return wait < STORE_WAIT_MAX ? wait : STORE_WAIT_MAX;
}

/* Delivers what is due; sets when to look again. */
static void look(round_t *round)
{
    policy_worker_t *worker = round->worker;
    apr_interval_time_t wait = worker->delivers ? LOOK : LOOK_IDLE;
    int more = 0;
    apr_status_t rv = policy_deliver_due(round->policy, round->work, &round->done, &more,
                                         round->log, round->p);

    if (APR_STATUS_IS_ENOTIMPL(rv))
        wait = LOOK_IDLE;
    else if (rv != APR_SUCCESS) {
        log_to(round->log,
               worker->delivers && !worker->store_failures ? LOG_SINK_WARN : LOG_SINK_DEBUG,
               SCEPTAG(0288),
               "service '%s': the store cannot be asked for news: %s",
               round->policy->cfg->service, store_error(round->p));
        wait = store_wait(++worker->store_failures);
    }
    else
        worker->store_failures = 0;
    if (rv == APR_SUCCESS && more && round->done > 0)
        wait = 0;
    worker->next_look = clock_monotonic() + wait;
}

/* Lets a provider do its work, unless another host has it; sets when it is due again. */
static void do_work(round_t *round, policy_target_t *target)
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
    round_t round = {policy, worker, work, 0, log, p};
    int i;

    *done = 0;
    if (!worker)
        return LOOK_IDLE;
    if (now >= worker->next_look)
        look(&round);
    next = worker->next_look;
    for (i = 0; i < worker->ntargets; i++) {
        policy_target_t *target = &worker->targets[i];

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
