/* SPDX-License-Identifier: Apache-2.0 */
/* Which URL is tried: those that failed too often in a row are left alone for a while. */
#include "clock.h"
#include "http_client_state.h"
#include <apr_strings.h>
#include <string.h>

#define FAILURES_MAX 3

/* Whether a breaker lets a try through, which may be its probe.  The mutex must be held. */
static int lets_through(http_breaker_t *breaker, apr_time_t now)
{
    if (breaker->failures < FAILURES_MAX)
        return 1;
    if (now < breaker->rest_until || breaker->probing)
        return 0;
    breaker->probing = 1;
    return 1;
}

int http_breaker_choose(http_client_t *client, unsigned tried)
{
    apr_time_t now = clock_monotonic();
    int i, n, found = -1;

    apr_thread_mutex_lock(client->mutex);
    for (i = 0; found < 0 && i < client->nbase; i++) {
        n = (client->preferred + i) % client->nbase;
        if (!(tried & (1u << n)) && lets_through(&client->breaker[n], now))
            found = n;
    }
    apr_thread_mutex_unlock(client->mutex);
    return found;
}

int http_breaker_choose_own(http_client_t *client, const http_base_t *own)
{
    int n;

    apr_thread_mutex_lock(client->mutex);
    for (n = 0; n < HTTP_URLS_MAX && strcmp(client->seen[n], own->peer) != 0;)
        n++;
    if (n == HTTP_URLS_MAX) {
        n = client->last_seen = (client->last_seen + 1) % HTTP_URLS_MAX;
        apr_cpystrn(client->seen[n], own->peer, HTTP_PEER_MAX);
        memset(&client->breaker[n], 0, sizeof(client->breaker[n]));
    }
    if (!lets_through(&client->breaker[n], clock_monotonic()))
        n = -1;
    apr_thread_mutex_unlock(client->mutex);
    return n;
}

void http_breaker_report(http_client_t *client, int n, apr_status_t rv, int fair)
{
    http_breaker_t *breaker = &client->breaker[n];

    apr_thread_mutex_lock(client->mutex);
    if (rv == APR_SUCCESS || rv == APR_ENOSPC) {
        breaker->failures = 0;
        client->preferred = n;
    }
    else if (fair || breaker->probing) {
        breaker->failures++;
        breaker->rest_until = clock_monotonic() + client->options.rest;
    }
    breaker->probing = 0;
    apr_thread_mutex_unlock(client->mutex);
}

int http_client_is_resting(const http_client_t *client)
{
    int total = client->nbase > 0 ? client->nbase : HTTP_URLS_MAX, n, resting = 0;
    apr_time_t now = clock_monotonic();

    if (!client->mutex)
        return 0;
    apr_thread_mutex_lock(client->mutex);
    for (n = 0; n < total; n++)
        resting += client->breaker[n].failures >= FAILURES_MAX &&
                   (client->breaker[n].probing || now < client->breaker[n].rest_until);
    apr_thread_mutex_unlock(client->mutex);
    return client->nbase > 0 ? resting == total : resting > 0;
}
