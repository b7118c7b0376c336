/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a CA can be asked, for load balancers that want to know every second or two: a CA that is
 * left alone is not asked, one of somebody else's not for each of them, and none may keep them: the
 * backend is asked in a thread, one at a time, which a caller waits for two seconds at most.
 */
#include "ca_state.h"
#include "../common/thread.h"

#include <apr_strings.h>

#define GOOD_FOR apr_time_from_sec(5)   /* an answer, in one child */
#define LIMIT apr_time_from_sec(2)      /* so long an answer is waited for */

/* Guards ca->health; there is no mutex before child_init, and one thread. */
static void lock(ca_t *ca)
{
    if (ca->gate.mutex != NULL) {
        apr_thread_mutex_lock(ca->gate.mutex);
    }
}

static void unlock(ca_t *ca)
{
    if (ca->gate.mutex != NULL) {
        apr_thread_mutex_unlock(ca->gate.mutex);
    }
}

/* Keeps what the backend said. */
static void keep(ca_t *ca, apr_status_t rv, const char *text)
{
    lock(ca);
    ca->health.asking = 0;
    ca->health.rv = rv;
    ca->health.until = apr_time_now() + GOOD_FOR;
    apr_cpystrn(ca->health.text, text != NULL ? text : "", sizeof(ca->health.text));
    if (ca->health.said != NULL) {
        apr_thread_cond_broadcast(ca->health.said);
    }
    unlock(ca);
}

/* The thread: asks the backend, once. */
static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    ca_t *ca = data;
    const char *text = "";
    apr_status_t rv = ca->provider->health(ca->instance, &text, ca->health.pool);

    (void)thread;
    keep(ca, rv, text);
    return NULL;
}

/* Waits for the thread, which may have ended long ago. */
static apr_status_t join(void *data)
{
    ca_t *ca = data;
    apr_status_t rv;

    if (ca->health.thread != NULL) {
        apr_thread_join(&rv, ca->health.thread);
        ca->health.thread = NULL;
    }
    if (ca->health.pool != NULL) {
        apr_pool_destroy(ca->health.pool);
        ca->health.pool = NULL;
    }
    return APR_SUCCESS;
}

apr_status_t ca_health_child_init(ca_t *ca, apr_pool_t *pchild)
{
    apr_status_t rv = apr_thread_cond_create(&ca->health.said, pchild);

    /* before anything that the thread uses goes */
    if (rv == APR_SUCCESS) {
        apr_pool_pre_cleanup_register(pchild, ca, join);
    }
    return rv;
}

/* Starts the thread; the caller has set asking, so there is no other one. */
static apr_status_t start(ca_t *ca)
{
    apr_status_t rv;

    join(ca);
    rv = apr_pool_create_unmanaged_ex(&ca->health.pool, NULL, NULL);
    return rv == APR_SUCCESS ? thread_start(&ca->health.thread, run, ca, ca->health.pool) : rv;
}

/* What is known; while the backend takes too long, that.  The mutex must be held. */
static apr_status_t told(const ca_t *ca, apr_time_t now, const char **text, apr_pool_t *p)
{
    if (ca->health.asking && now - ca->health.since >= LIMIT) {
        *text = apr_psprintf(p, "it gives no answer for %d s",
                             (int)apr_time_sec(now - ca->health.since));
        return APR_TIMEUP;
    }
    *text = apr_pstrdup(p, ca->health.text);
    return ca->health.rv;
}

/* Asks the backend now, and waits for its answer, but not for ever; the caller has set asking. */
static apr_status_t ask(ca_t *ca, const char **text, apr_pool_t *p)
{
    apr_interval_time_t left;
    apr_status_t rv;

    if (ca->health.said == NULL) {
        rv = ca->provider->health(ca->instance, text, p);
        keep(ca, rv, *text);
        return rv;
    }
    rv = start(ca);
    if (rv != APR_SUCCESS) {
        keep(ca, rv, "no thread can be made to ask it");
    }
    lock(ca);
    while (ca->health.asking &&
           (left = ca->health.since + LIMIT - apr_time_now()) > 0) {
        apr_thread_cond_timedwait(ca->health.said, ca->gate.mutex, left);
    }
    rv = told(ca, apr_time_now(), text, p);
    unlock(ca);
    return rv;
}

apr_status_t ca_health(ca_t *ca, const char **text, apr_pool_t *p)
{
    apr_time_t now = apr_time_now();
    apr_interval_time_t wait = 0;
    ca_trust_t trust;
    const char *why;
    apr_status_t rv;
    int known;

    *text = "";
    if (ca_gate_rests(&ca->gate, now, &wait)) {
        *text = apr_psprintf(p, "it failed %d times in a row and is left alone for another %d s",
                             CA_GATE_FAILURES, (int)apr_time_sec(wait) + 1);
        return APR_ECONNREFUSED;
    }
    if (ca_gate_is_stuck(&ca->gate, now)) {
        *text = apr_psprintf(p, "none of its %d calls under way has ended for %d s", ca->gate.max,
                             (int)apr_time_sec(CA_GATE_STUCK));
        return APR_TIMEUP;
    }
    if (ca->fetched != NULL && ca_trust(ca, &trust, 0, &why, NULL, p) != APR_SUCCESS) {
        *text = apr_pstrcat(p, "its certificates are not known: ", why, NULL);
        return APR_EAGAIN;
    }
    if (ca->provider->health == NULL) {
        return APR_SUCCESS;
    }
    if (ca->gate.max == 0) {
        return ca->provider->health(ca->instance, text, p);
    }
    lock(ca);
    known = ca->health.asking || now < ca->health.until;
    rv = known ? told(ca, now, text, p) : APR_SUCCESS;
    if (!known) {
        ca->health.asking = 1;
        ca->health.since = now;
    }
    unlock(ca);
    return known ? rv : ask(ca, text, p);
}

int ca_is_resting(ca_t *ca)
{
    apr_interval_time_t wait;

    return ca_gate_rests(&ca->gate, apr_time_now(), &wait);
}
