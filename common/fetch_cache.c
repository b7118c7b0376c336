/* SPDX-License-Identifier: Apache-2.0 */
/* A text that is fetched by one thread for all; see fetch_cache.h. */
#include "fetch_cache.h"
#include "clock.h"
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define REST_AFTER_FAILURE apr_time_from_sec(1)
#define REST_WITH_OLD apr_time_from_sec(30) /* a refresh that failed while the old text is good */
#define MARGIN_MAX apr_time_from_sec(60)

/* Forgets the text.  The mutex must be held. */
static void forget(fetch_cache_t *cache)
{
    if (cache->text) {
        OPENSSL_cleanse(cache->text, strlen(cache->text));
        free(cache->text);
    }
    cache->text = NULL;
}

/* Pool cleanup of a child. */
static apr_status_t forget_all(void *baton)
{
    forget(baton);
    return APR_SUCCESS;
}

/* Pool cleanup: overwrites a text. */
static apr_status_t wipe_text(void *baton)
{
    OPENSSL_cleanse(baton, strlen(baton));
    return APR_SUCCESS;
}

apr_status_t fetch_cache_init(fetch_cache_t *cache, apr_pool_t *pchild)
{
    apr_status_t rv = apr_thread_mutex_create(&cache->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv == APR_SUCCESS)
        rv = apr_thread_cond_create(&cache->fetched, pchild);
    if (rv == APR_SUCCESS)
        apr_pool_cleanup_register(pchild, cache, forget_all, apr_pool_cleanup_null);
    return rv;
}

/* The caller's copy of the text.  The mutex must be held. */
static const char *copy_of(const fetch_cache_t *cache, apr_pool_t *p)
{
    char *text = apr_pstrdup(p, cache->text);

    apr_pool_cleanup_register(p, text, wipe_text, apr_pool_cleanup_null);
    return text;
}

/* Takes over how a fetch ended.  The mutex must be held. */
static void settle(fetch_cache_t *cache, apr_status_t rv, const char *text,
                   apr_interval_time_t lifetime, const fetch_why_t *why)
{
    apr_time_t now = clock_monotonic();
    apr_interval_time_t margin = lifetime / 10 < MARGIN_MAX ? lifetime / 10 : MARGIN_MAX;

    if (rv == APR_SUCCESS) {
        forget(cache);
        cache->text = strdup(text);
        cache->refresh = now + lifetime / 5 * 4;
        cache->expires = now + lifetime - margin;
        cache->rest = 0;
        memset(&cache->why, 0, sizeof(cache->why));
        return;
    }
    cache->why = *why;
    cache->rest = now + (why->retry_after > 0 ? why->retry_after : REST_AFTER_FAILURE);
    cache->refresh = now + REST_WITH_OLD;
}

/* Fetches for all.  The mutex is held before and after, not meanwhile. */
static void fly(fetch_cache_t *cache, fetch_cache_fn fetch, void *baton, apr_time_t deadline,
                const log_sink_t *log, apr_pool_t *p)
{
    const char *text = NULL;
    apr_interval_time_t lifetime = 0;
    fetch_why_t why;
    apr_status_t rv;

    memset(&why, 0, sizeof(why));
    cache->busy = 1;
    cache->flight++;
    apr_thread_mutex_unlock(cache->mutex);
    rv = fetch(baton, &text, &lifetime, deadline, &why, log, p);
    apr_thread_mutex_lock(cache->mutex);
    settle(cache, rv, text, lifetime, &why);
    cache->busy = 0;
    apr_thread_cond_broadcast(cache->fetched);
}

/* Sets why for a caller that gets nothing; APR_EGENERAL. */
static apr_status_t tell(const fetch_cache_t *cache, fetch_why_t *why)
{
    *why = cache->why;
    if (!*why->text)
        apr_snprintf(why->text, sizeof(why->text), "what was fetched is not good any more");
    if (cache->rest > clock_monotonic())
        why->retry_after = cache->rest - clock_monotonic();
    return APR_EGENERAL;
}

apr_status_t fetch_cache_get(fetch_cache_t *cache, fetch_cache_fn fetch, void *baton,
                              const char **text, apr_time_t deadline, fetch_why_t *why,
                              const log_sink_t *log, apr_pool_t *p)
{
    apr_status_t rv = APR_SUCCESS;
    int flown = 0;
    unsigned mine = 0; /* the fetch that this caller waited for or made */
    apr_interval_time_t left; /* of the caller's time */
    apr_time_t now;

    *text = NULL;
    apr_thread_mutex_lock(cache->mutex);
    while (rv == APR_SUCCESS && !*text) {
        now = clock_monotonic();
        left = deadline - apr_time_now();
        if (cache->text && now < cache->expires &&
            (now < cache->refresh || cache->busy || now < cache->rest))
            *text = copy_of(cache, p);
        else if (cache->busy && left <= 0) {
            apr_snprintf(why->text, sizeof(why->text), "another request is still asking for it");
            why->retry_after = 0;
            rv = APR_TIMEUP;
        }
        else if (cache->busy) {
            mine = cache->flight;
            flown = 1;
            apr_thread_cond_timedwait(cache->fetched, cache->mutex, left);
        }
        else if ((flown && mine == cache->flight) || now < cache->rest)
            rv = tell(cache, why);
        else {
            fly(cache, fetch, baton, deadline, log, p);
            mine = cache->flight;
            flown = 1;
        }
    }
    apr_thread_mutex_unlock(cache->mutex);
    return rv;
}

void fetch_cache_drop(fetch_cache_t *cache, const char *text)
{
    apr_thread_mutex_lock(cache->mutex);
    if (cache->text && strcmp(cache->text, text) == 0)
        forget(cache);
    apr_thread_mutex_unlock(cache->mutex);
}
