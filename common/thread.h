/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of a child besides those of its MPM. */
#ifndef COMMON_THREAD_H
#define COMMON_THREAD_H

#include <apr_thread_proc.h>

/*
 * Starts run(data) in a thread that lives in p and has all signals blocked: the child's are for the
 * MPM's own threads.  It is to end by return, and to be joined by whoever started it.  Status of
 * apr_thread_create(); then *pthread is NULL.
 */
apr_status_t thread_start(apr_thread_t **pthread, apr_thread_start_t run, void *data,
                          apr_pool_t *p);

#endif /* COMMON_THREAD_H */
