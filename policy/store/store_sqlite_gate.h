/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate to a child's one writing connection: who is inside, who waits, and whose commit it is.
 *
 * SQLite has no queue for writers and syncs the disk for each commit.  Here the writers of a child
 * queue; the first opens a batch (SQLite's transaction), those who wait join it one after another,
 * and the last one, when nobody waits any more, commits for all.
 */
#ifndef STORE_SQLITE_GATE_H
#define STORE_SQLITE_GATE_H

#include <apr_pools.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_time.h>

#define GATE_TEXT_SIZE 160

/* Operations that share a commit, freed when each of them knows how it went. */
typedef struct gate_batch_t {
    int joined;              /* operations that began in it */
    int untold;              /* of them, those that do not know yet how it ended */
    int ended;
    int error;               /* how it ended; 0: well */
    char text[GATE_TEXT_SIZE];
} gate_batch_t;

typedef struct gate_t {
    apr_thread_mutex_t *mutex; /* guards the rest */
    apr_thread_cond_t *left;   /* nobody is inside */
    apr_thread_cond_t *closed; /* a batch has ended */
    int inside;                /* whether a thread is */
    int waiting;               /* threads that want in */
    gate_batch_t *batch;       /* the open one, or NULL */
} gate_t;

/* Sets up a gate that lives as long as p. */
apr_status_t gate_init(gate_t *gate, apr_pool_t *p);

/*
 * Waits until nobody is inside and goes in, into the open batch (*joined) or a new one.
 * APR_TIMEUP after timeout, APR_ENOMEM: still outside.
 */
apr_status_t gate_enter(gate_t *gate, int *joined, apr_interval_time_t timeout);

/*
 * From inside, at the end of an operation: lets the next one in if there is one, and waits until
 * the batch has ended, with *error and text set.  0: nobody waits, or the batch is large enough:
 * the caller stays inside, ends the batch and calls gate_close().
 */
int gate_pass_on(gate_t *gate, int *error, char *text, apr_size_t size);

/* From inside: tells all operations of the batch how it ended, and goes out. */
void gate_close(gate_t *gate, int error, const char *text);

#endif /* STORE_SQLITE_GATE_H */
