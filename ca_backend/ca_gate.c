/* SPDX-License-Identifier: Apache-2.0 */
/* Bulkhead and circuit breaker of a CA; see ca_gate.h. */
#include "ca_gate.h"

#define BUSY_RETRY apr_time_from_sec(2)

static void lock(ca_gate_t *gate)
{
    if (gate->mutex != NULL) {
        apr_thread_mutex_lock(gate->mutex);
    }
}

static void unlock(ca_gate_t *gate)
{
    if (gate->mutex != NULL) {
        apr_thread_mutex_unlock(gate->mutex);
    }
}

apr_status_t ca_gate_enter(ca_gate_t *gate, apr_time_t now, int *probe, apr_interval_time_t *wait)
{
    apr_status_t rv = APR_SUCCESS;

    *probe = 0;
    *wait = 0;
    if (gate->max == 0) {
        return APR_SUCCESS;
    }
    lock(gate);
    if (gate->failures >= CA_GATE_FAILURES && (gate->probing || now < gate->rests_until)) {
        *wait = now < gate->rests_until ? gate->rests_until - now : BUSY_RETRY;
        rv = APR_ECONNREFUSED;
    }
    else if (gate->running >= gate->max) {
        *wait = BUSY_RETRY;
        rv = APR_EAGAIN;
    }
    else {
        if (gate->running++ == 0) {
            gate->moved = now;
        }
        *probe = gate->failures >= CA_GATE_FAILURES;
        gate->probing |= *probe;
    }
    unlock(gate);
    return rv;
}

void ca_gate_leave(ca_gate_t *gate, apr_time_t now, int probe, int down)
{
    if (gate->max == 0) {
        return;
    }
    lock(gate);
    gate->running--;
    gate->moved = now;
    if (probe) {
        gate->probing = 0;
    }
    if (!down) {
        gate->failures = 0;
    }
    else {
        gate->failures += gate->failures < CA_GATE_FAILURES;
        gate->rests_until = now + CA_GATE_REST;
    }
    unlock(gate);
}

int ca_gate_rests(ca_gate_t *gate, apr_time_t now, apr_interval_time_t *wait)
{
    int rests;

    lock(gate);
    rests = gate->max > 0 && gate->failures >= CA_GATE_FAILURES && now < gate->rests_until;
    *wait = rests ? gate->rests_until - now : 0;
    unlock(gate);
    return rests;
}

int ca_gate_is_stuck(ca_gate_t *gate, apr_time_t now)
{
    int stuck;

    lock(gate);
    stuck = gate->max > 0 && gate->running >= gate->max && now - gate->moved > CA_GATE_STUCK;
    unlock(gate);
    return stuck;
}
