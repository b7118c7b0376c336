/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate before a CA: a bulkhead, so that a slow CA cannot occupy all workers, and a circuit
 * breaker, so that one that cannot be reached is not waited for by each request.  Per child.
 */
#ifndef CA_GATE_H
#define CA_GATE_H

#include <apr_thread_mutex.h>
#include <apr_time.h>

typedef struct ca_gate_t {
    apr_thread_mutex_t *mutex;  /* guards the rest but max; NULL: there is one thread */
    int max;                    /* calls at once; 0: there is no gate */
    int running;
    apr_time_t moved;           /* when the last call ended, or the first of those running began */
    int failures;               /* in a row */
    int probing;                /* one call finds out whether the CA is back */
    apr_time_t rests_until;
} ca_gate_t;

/* After so many failures in a row the CA rests for so long, then one call probes it. */
#define CA_GATE_FAILURES 3
#define CA_GATE_REST     apr_time_from_sec(5)

/* So long all max calls are under way and none of them ends, until they count as stuck. */
#define CA_GATE_STUCK    apr_time_from_sec(5)

/*
 * Asks for passage; after APR_SUCCESS ca_gate_leave() must follow, with the same *probe.  Never
 * waits.  APR_EAGAIN: max calls are under way; APR_ECONNREFUSED: the CA rests; with both *wait says
 * when to come again.
 */
apr_status_t ca_gate_enter(ca_gate_t *gate, apr_time_t now, int *probe, apr_interval_time_t *wait);

/* A call is over.  down: the CA could not be asked at all; a CA that says no is not. */
void ca_gate_leave(ca_gate_t *gate, apr_time_t now, int probe, int down);

/* Whether the CA is left alone now, and for how much longer. */
int ca_gate_rests(ca_gate_t *gate, apr_time_t now, apr_interval_time_t *wait);

/* Whether max calls are under way, and none has ended for CA_GATE_STUCK. */
int ca_gate_is_stuck(ca_gate_t *gate, apr_time_t now);

#endif /* CA_GATE_H */
