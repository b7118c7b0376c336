/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of a child; see thread.h. */
#include "thread.h"

#include <signal.h>

apr_status_t thread_start(apr_thread_t **pthread, apr_thread_start_t run, void *data,
                          apr_pool_t *p)
{
    sigset_t all, before;
    apr_status_t rv;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = apr_thread_create(pthread, NULL, run, data, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rv != APR_SUCCESS) {
        *pthread = NULL;
    }
    return rv;
}
