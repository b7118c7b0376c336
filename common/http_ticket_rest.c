/* SPDX-License-Identifier: Apache-2.0 */
/* Rest for an account whose key is refused; see http_ticket_rest.h. */
#include "http_ticket_rest.h"
#include <apr_atomic.h>
#include <apr_shm.h>

#define UNPROVEN 0 /* values of until: no key was taken yet, nobody asks */
#define PROVEN 1   /* the KDC took the key */
#define LEASE 5    /* seconds in which the others wait for the first answer */
#define PAUSE 60
#define PAUSE_MAX 3600

struct http_ticket_rest_t {
    volatile apr_uint32_t until; /* seconds; above, or the end of a rest or of a lease */
    volatile apr_uint32_t refusals; /* in a row */
    volatile apr_uint32_t code;     /* of the last; before until is set */
    volatile apr_uint32_t version;
};

apr_status_t http_ticket_rest_make(http_ticket_rest_t **prest, apr_uint32_t version, apr_pool_t *p)
{
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, sizeof(**prest), NULL, p);

    *prest = NULL;
    if (rv != APR_SUCCESS)
        return rv;
    *prest = apr_shm_baseaddr_get(shm);
    apr_atomic_set32(&(*prest)->until, UNPROVEN);
    apr_atomic_set32(&(*prest)->refusals, 0);
    apr_atomic_set32(&(*prest)->code, 0);
    apr_atomic_set32(&(*prest)->version, version);
    return APR_SUCCESS;
}

ticket_rest_e http_ticket_rest_look(http_ticket_rest_t *rest, apr_time_t now, int *code,
                                    apr_time_t *until)
{
    apr_uint32_t seconds = (apr_uint32_t)apr_time_sec(now), old = apr_atomic_read32(&rest->until);
    apr_uint32_t refusals = apr_atomic_read32(&rest->refusals);

    if (old == PROVEN)
        return TICKET_REST_ASK;
    if (old <= seconds) { /* one of all takes it */
        if (apr_atomic_cas32(&rest->until, seconds + (refusals ? PAUSE : LEASE), old) == old)
            return TICKET_REST_ASK;
        return TICKET_REST_WAIT;
    }
    if (refusals == 0)
        return TICKET_REST_WAIT;
    *code = (int)apr_atomic_read32(&rest->code);
    *until = apr_time_from_sec((apr_time_t)old);
    return TICKET_REST_REFUSED;
}

void http_ticket_rest_tell(http_ticket_rest_t *rest, apr_time_t now, ticket_key_e key, int code)
{
    apr_uint32_t seconds = (apr_uint32_t)apr_time_sec(now), pause = PAUSE, n;

    if (key == TICKET_KEY_GOOD) {
        apr_atomic_set32(&rest->refusals, 0);
        apr_atomic_set32(&rest->until, PROVEN);
    }
    else if (key == TICKET_KEY_BAD) {
        apr_atomic_set32(&rest->code, (apr_uint32_t)code);
        for (n = apr_atomic_inc32(&rest->refusals); n > 0 && pause < PAUSE_MAX; n--)
            pause *= 2;
        apr_atomic_set32(&rest->until, seconds + (pause < PAUSE_MAX ? pause : PAUSE_MAX));
    }
    else if (apr_atomic_read32(&rest->refusals) == 0 &&
             apr_atomic_read32(&rest->until) != PROVEN) {
        apr_atomic_set32(&rest->until, UNPROVEN);
    }
}

void http_ticket_rest_renew(http_ticket_rest_t *rest, apr_uint32_t version)
{
    if (apr_atomic_xchg32(&rest->version, version) == version)
        return;
    apr_atomic_set32(&rest->refusals, 0);
    apr_atomic_set32(&rest->until, UNPROVEN);
}
