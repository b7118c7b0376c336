/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text that is fetched from elsewhere and good for a while: tokens, locations.
 *
 * One thread fetches at a time.  Others use the old text until it expires, or wait, and share the
 * end of that fetch, good or bad: a peer that is slow or refuses is not asked by every worker.
 */
#ifndef COMMON_FETCH_CACHE_H
#define COMMON_FETCH_CACHE_H

#include "log.h"
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_time.h>

#define FETCH_WHY_MAX 400

/* Why there is no text. */
typedef struct fetch_why_t {
    char text[FETCH_WHY_MAX]; /* printable, without secrets */
    apr_interval_time_t retry_after; /* 0: unknown */
} fetch_why_t;

/* Fetches in p; lifetime > 0.  Any status but APR_SUCCESS: why is set. */
typedef apr_status_t (*fetch_cache_fn)(void *baton, const char **text,
                                        apr_interval_time_t *lifetime, apr_time_t deadline,
                                        fetch_why_t *why, const log_sink_t *log, apr_pool_t *p);

/* One of a child; zeroed, then fetch_cache_init(). */
typedef struct fetch_cache_t {
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *fetched;
    char *text; /* NULL: none */
    apr_time_t refresh, expires; /* these and rest: clock_monotonic()'s */
    int busy;
    unsigned flight; /* number of the fetch that is under way or was the last */
    apr_time_t rest; /* after a failure: no fetch before */
    fetch_why_t why;
} fetch_cache_t;

/* In the child; the text is wiped with pchild. */
apr_status_t fetch_cache_init(fetch_cache_t *cache, apr_pool_t *pchild);

/* The text, copied into p and wiped with it.  Otherwise why is set: the fetch's status, or
 * APR_TIMEUP at the deadline. */
apr_status_t fetch_cache_get(fetch_cache_t *cache, fetch_cache_fn fetch, void *baton,
                              const char **text, apr_time_t deadline, fetch_why_t *why,
                              const log_sink_t *log, apr_pool_t *p);

/* The text turned out to be no good; one that was fetched since then stays. */
void fetch_cache_drop(fetch_cache_t *cache, const char *text);

#endif /* COMMON_FETCH_CACHE_H */
