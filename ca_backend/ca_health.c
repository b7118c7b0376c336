/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a CA can be asked, for load balancers that want to know every second or two: a CA that is
 * left alone is not asked, and one of somebody else's not for each of them.
 */
#include "ca_state.h"

#include <apr_strings.h>

#define GOOD_FOR apr_time_from_sec(5)   /* an answer, in one child */

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

/* Asks the backend now, and keeps what it said. */
static apr_status_t ask(ca_t *ca, const char **text, apr_pool_t *p)
{
    apr_status_t rv = ca->provider->health(ca->instance, text, p);

    lock(ca);
    ca->health.asking = 0;
    ca->health.rv = rv;
    ca->health.until = apr_time_now() + GOOD_FOR;
    apr_cpystrn(ca->health.text, *text != NULL ? *text : "", sizeof(ca->health.text));
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
    if (ca->fetched != NULL && ca_trust(ca, &trust, 0, &why, NULL, p) != APR_SUCCESS) {
        *text = apr_pstrcat(p, "its certificates are not known: ", why, NULL);
        return APR_EAGAIN;
    }
    if (ca->provider->health == NULL) {
        return APR_SUCCESS;
    }
    if (ca->provider->concurrency == 0) {
        return ca->provider->health(ca->instance, text, p);
    }
    lock(ca);
    known = ca->health.asking || now < ca->health.until;
    rv = ca->health.rv;
    if (known) {
        *text = apr_pstrdup(p, ca->health.text);
    }
    else {
        ca->health.asking = 1;
    }
    unlock(ca);
    return known ? rv : ask(ca, text, p);
}

int ca_is_resting(ca_t *ca)
{
    apr_interval_time_t wait;

    return ca_gate_rests(&ca->gate, apr_time_now(), &wait);
}
