/* SPDX-License-Identifier: Apache-2.0 */
/* Who writes and who commits in a child of the SQLite store; see store_sqlite_gate.h. */
#include "store_sqlite_gate.h"
#include <apr_strings.h>
#include <stdlib.h>

#define BATCH_MAX 32 /* other processes wait for the file's lock that long */

apr_status_t gate_init(gate_t *gate, apr_pool_t *p)
{
    apr_status_t rv = apr_thread_mutex_create(&gate->mutex, APR_THREAD_MUTEX_DEFAULT, p);

    if (rv == APR_SUCCESS)
        rv = apr_thread_cond_create(&gate->left, p);
    if (rv == APR_SUCCESS)
        rv = apr_thread_cond_create(&gate->closed, p);
    gate->inside = gate->waiting = 0;
    gate->batch = NULL;
    return rv;
}

apr_status_t gate_enter(gate_t *gate, int *joined, apr_interval_time_t timeout)
{
    apr_time_t end = apr_time_now() + timeout, now;
    apr_status_t rv = APR_SUCCESS;

    apr_thread_mutex_lock(gate->mutex);
    gate->waiting++;
    while (gate->inside && (now = apr_time_now()) < end)
        apr_thread_cond_timedwait(gate->left, gate->mutex, end - now);
    gate->waiting--;
    /* also one whose time is over goes in where it can: a batch may count on it */
    *joined = !gate->inside && gate->batch;
    if (gate->inside)
        rv = APR_TIMEUP;
    else if (!gate->batch && (gate->batch = calloc(1, sizeof(*gate->batch))) == NULL) {
        apr_thread_cond_signal(gate->left);
        rv = APR_ENOMEM;
    }
    else {
        gate->inside = 1;
        gate->batch->joined++;
        gate->batch->untold++;
    }
    apr_thread_mutex_unlock(gate->mutex);
    return rv;
}

/* One operation of the batch knows; with the mutex held. */
static void told(gate_batch_t *batch)
{
    if (--batch->untold == 0)
        free(batch);
}

/* Threads are woken after the mutex is free, or they would sleep again at once. */

int gate_pass_on(gate_t *gate, int *error, char *text, apr_size_t size)
{
    gate_batch_t *batch;
    int passed;

    apr_thread_mutex_lock(gate->mutex);
    batch = gate->batch;
    passed = gate->waiting > 0 && batch->joined < BATCH_MAX;
    if (passed)
        gate->inside = 0;
    apr_thread_mutex_unlock(gate->mutex);
    if (!passed)
        return 0;
    apr_thread_cond_signal(gate->left);
    apr_thread_mutex_lock(gate->mutex);
    while (!batch->ended)
        apr_thread_cond_wait(gate->closed, gate->mutex);
    *error = batch->error;
    apr_cpystrn(text, batch->text, size);
    told(batch);
    apr_thread_mutex_unlock(gate->mutex);
    return 1;
}

void gate_close(gate_t *gate, int error, const char *text)
{
    gate_batch_t *batch;

    apr_thread_mutex_lock(gate->mutex);
    batch = gate->batch;
    batch->ended = 1;
    batch->error = error;
    apr_cpystrn(batch->text, text, sizeof(batch->text));
    told(batch);
    gate->batch = NULL;
    gate->inside = 0;
    apr_thread_mutex_unlock(gate->mutex);
    apr_thread_cond_broadcast(gate->closed);
    apr_thread_cond_signal(gate->left);
}
