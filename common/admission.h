/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission: how many may work at once, how many may wait for a place, and for how long.  Whoever
 * comes on top is told at once, so that the threads stay free for what is quickly answered.
 *
 * A burst is no overload: as long as waiting began less than the waiting time ago, the
 * queue has no limit but the number of threads.  A queue that stands for that long has one.
 */
#ifndef ADMISSION_H
#define ADMISSION_H

#include <apr_pools.h>
#include <apr_time.h>

typedef struct admission_t admission_t;

/*
 * max: at least 1; queue: so many wait once the queue stands, 0: nobody ever waits; wait: for how
 * long at most, above 0.  Lives in p, for the threads of one process.  APR_ENOMEM or what the mutex
 * says: *pgate is NULL.
 */
apr_status_t admission_make(admission_t **pgate, int max, int queue, apr_interval_time_t wait,
                            apr_pool_t *p);

/*
 * Takes a place; blocks for the waiting time at most.  From any thread; p is the caller's own and
 * is used until the return only.  *queued: whether the caller had to wait.  After APR_SUCCESS
 * admission_leave() must follow.  APR_EAGAIN: too many wait already; APR_TIMEUP: waited in vain;
 * another error: no place either.  First come, first served.
 */
apr_status_t admission_enter(admission_t *gate, int *queued, apr_pool_t *p);

/* Gives the place to whoever waits longest, or back. */
void admission_leave(admission_t *gate);

/* How many work and how many wait now. */
void admission_count(admission_t *gate, int *running, int *waiting);

/* For how long some found no place or waited in vain, without a pause of the waiting time; 0: all
 * is well. */
apr_interval_time_t admission_lasts(admission_t *gate);

#endif /* ADMISSION_H */
