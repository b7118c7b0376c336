/* SPDX-License-Identifier: Apache-2.0 */
/* Delivering what is due in the outbox, several pieces at a time; for policy_work.c alone. */
#ifndef POLICY_DELIVER_H
#define POLICY_DELIVER_H

#include "policy_outbox.h"
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

#define POLICY_DELIVERIES_MAX 8 /* of a service at a time */

/* One provider of the chain, as a recipient. */
typedef struct policy_target_t {
    const policy_link_t *link;
    const char *recipient;
    int most;              /* deliveries at a time, while it does not fail */
    apr_time_t next_work;  /* monotonic */
    /* guarded by the worker's mutex */
    int active;            /* deliveries under way */
    int failing;           /* it was said that deliveries fail: one at a time */
    apr_uint32_t round;    /* of the last failure */
    apr_uint32_t delivered;
} policy_target_t;

struct policy_worker_t {
    policy_target_t *targets;
    int ntargets, delivers;
    apr_uint32_t round;
    apr_time_t next_look; /* monotonic */
    int store_failures;   /* in a row */
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *changed;
    int told_kept;        /* news that cannot be delivered here were mentioned; as targets */
};

/*
 * Takes what is due and delivers it, by threads of its own, until nothing is due or its time is
 * over; returns when all of them have ended.  *done: news that were delivered; *more: whether there
 * may be more.  APR_SUCCESS; APR_ENOTIMPL: the store has no outbox; other: it did not answer, its
 * error is store_error(p).
 */
apr_status_t policy_deliver_due(policy_t *policy, const policy_work_t *work, int *done, int *more,
                                const log_sink_t *log, apr_pool_t *p);

#endif /* POLICY_DELIVER_H */
