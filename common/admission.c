/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission; see admission.h.  A place is handed over under the mutex to one waiter by name, each
 * with a condition variable of its own: nobody overtakes, and one leaving wakes one thread.
 */
#include "admission.h"
#include "clock.h"
#include <apr_ring.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

/* One that waits; on its thread's stack, in the queue as long as it has no place. */
typedef struct waiter_t waiter_t;
struct waiter_t {
    APR_RING_ENTRY(waiter_t) link;
    apr_thread_cond_t *cond;
    int granted;
};

APR_RING_HEAD(queue_t, waiter_t);

struct admission_t {
    apr_thread_mutex_t *mutex; /* guards what is below it */
    int max, queue;            /* these two and wait never change */
    apr_interval_time_t wait;
    int running, waiting;
    struct queue_t waiters;
    apr_time_t began; /* since when there is no place for some, again and again */
    apr_time_t last;  /* when one found none, or waited in vain, last */
};

apr_status_t admission_make(admission_t **pgate, int max, int queue, apr_interval_time_t wait,
                            apr_pool_t *p)
{
    admission_t *gate = apr_pcalloc(p, sizeof(*gate));
    apr_status_t rv = apr_thread_mutex_create(&gate->mutex, APR_THREAD_MUTEX_DEFAULT, p);

    gate->max = max;
    gate->queue = queue;
    gate->wait = wait;
    gate->last = -wait - 1; /* never, also right after a boot */
    APR_RING_INIT(&gate->waiters, waiter_t, link);
    *pgate = rv == APR_SUCCESS ? gate : NULL;
    return rv;
}

/* Whether one more may wait. */
static int may_wait(admission_t *gate, apr_time_t now)
{
    if (now - gate->last > gate->wait) {
        gate->began = now;
    }
    gate->last = now;
    return gate->queue > 0 && (gate->waiting < gate->queue || now - gate->began < gate->wait);
}

/* Waits for a place, with the mutex held.  APR_SUCCESS or why there is none. */
static apr_status_t wait_for_place(admission_t *gate, apr_time_t now, apr_pool_t *p)
{
    apr_time_t end = now + gate->wait;
    waiter_t self;
    apr_status_t rv = apr_thread_cond_create(&self.cond, p);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    self.granted = 0;
    APR_RING_ELEM_INIT(&self, link);
    APR_RING_INSERT_TAIL(&gate->waiters, &self, waiter_t, link);
    gate->waiting++;
    while (!self.granted && rv == APR_SUCCESS) {
        now = clock_monotonic();
        rv = now < end ? apr_thread_cond_timedwait(self.cond, gate->mutex, end - now) : APR_TIMEUP;
    }
    if (self.granted) {
        rv = APR_SUCCESS;
    }
    else {
        APR_RING_REMOVE(&self, link);
        gate->waiting--;
        gate->last = clock_monotonic();
    }
    apr_thread_cond_destroy(self.cond);
    return rv;
}

apr_status_t admission_enter(admission_t *gate, int *queued, apr_pool_t *p)
{
    apr_time_t now = clock_monotonic();
    apr_status_t rv = APR_SUCCESS;

    *queued = 0;
    apr_thread_mutex_lock(gate->mutex);
    if (gate->running < gate->max) {
        gate->running++;
    }
    else if (may_wait(gate, now)) {
        *queued = 1;
        rv = wait_for_place(gate, now, p);
    }
    else {
        rv = APR_EAGAIN;
    }
    apr_thread_mutex_unlock(gate->mutex);
    return rv;
}

void admission_leave(admission_t *gate)
{
    waiter_t *first;

    apr_thread_mutex_lock(gate->mutex);
    if (APR_RING_EMPTY(&gate->waiters, waiter_t, link)) {
        gate->running--;
    }
    else {
        first = APR_RING_FIRST(&gate->waiters);
        APR_RING_REMOVE(first, link);
        gate->waiting--;
        first->granted = 1;
        apr_thread_cond_signal(first->cond);
    }
    apr_thread_mutex_unlock(gate->mutex);
}

void admission_count(admission_t *gate, int *running, int *waiting)
{
    apr_thread_mutex_lock(gate->mutex);
    *running = gate->running;
    *waiting = gate->waiting;
    apr_thread_mutex_unlock(gate->mutex);
}

apr_interval_time_t admission_lasts(admission_t *gate)
{
    apr_time_t now = clock_monotonic();
    apr_interval_time_t lasts = 0;

    apr_thread_mutex_lock(gate->mutex);
    if (now - gate->last <= gate->wait) {
        lasts = now - gate->began;
    }
    apr_thread_mutex_unlock(gate->mutex);
    return lasts;
}
