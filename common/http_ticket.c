/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets of an HTTP peer: who gets them, who waits for them; see http_ticket.h. */
#include "http_ticket.h"
#include "clock.h"
#include "http_files.h"
#include "http_ticket_krb5.h"
#include "thread.h"
#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <string.h>

#define LOOK apr_time_from_msec(500)          /* whether this process ends */
#define MARGIN apr_time_from_sec(2)           /* a ticket that ends so soon is none */
#define PAUSE_UNREACHABLE apr_time_from_sec(5)
#define PAUSE_REFUSED apr_time_from_sec(60)
#define PAUSE_OTHERS apr_time_from_msec(100)  /* while another child asks */
#define RENEW_MIN apr_time_from_sec(1)

struct http_ticket_t {
    http_ticket_options_t options;
    http_files_t files; /* the keytab */
    http_stamp_t stamp; /* of the keys */
    ticket_keys_t *keys;
    http_ticket_rest_t *rest; /* of all children */
    apr_thread_t *thread;      /* the only one that replaces stamp and keys */
    apr_thread_mutex_t *mutex; /* of the child; guards all below */
    apr_thread_cond_t *changed;
    http_stamp_t seen;           /* the keytab that was looked at last */
    http_ticket_cache_t *cache;  /* the present one; NULL: not asked yet */
    apr_time_t next;             /* when to ask, monotonic */
    int stop, reread, asking;
    int keys_told, renewal_told; /* logged: 0: nothing to say, 1: to be said, 2: said */
    int keys_changed;            /* to be logged */
    char keys_error[TICKET_ERROR_MAX], renewal_error[TICKET_ERROR_MAX];
};

/* A number for a version of the keytab. */
static apr_uint32_t version_of(const http_stamp_t *stamp)
{
    apr_ssize_t len = sizeof(*stamp);

    return apr_hashfunc_default((const char *)stamp, &len);
}

/* Pool cleanup of the parent. */
static apr_status_t forget_keys(void *baton)
{
    http_ticket_t *ticket = baton;

    ticket_keys_free(ticket->keys);
    ticket->keys = NULL;
    return APR_SUCCESS;
}

const char *http_ticket_make(http_ticket_t **pticket, const http_ticket_options_t *options,
                             apr_pool_t *p)
{
    http_ticket_t *ticket = apr_pcalloc(p, sizeof(*ticket));
    const char *error;

    *pticket = NULL;
    ticket->options = *options;
    ticket->files.path[0] = options->keytab;
    http_files_stamp(&ticket->stamp, &ticket->files, NULL);
    ticket->seen = ticket->stamp;
    error = ticket_keys_load(&ticket->keys, options->keytab, options->principal, p);
    if (error)
        return error;
    apr_pool_cleanup_register(p, ticket, forget_keys, apr_pool_cleanup_null);
    if (http_ticket_rest_make(&ticket->rest, version_of(&ticket->stamp), p) != APR_SUCCESS)
        return "there is no shared memory for Kerberos";
    *pticket = ticket;
    return NULL;
}

/* Whether a ticket for a host is at hand.  The mutex must be held. */
static int is_good(const http_ticket_t *ticket, int n)
{
    return ticket->cache && ticket->cache->host[n].end > clock_monotonic() + MARGIN;
}

/* Drops a user of a cache.  The mutex must be held. */
static void drop(http_ticket_cache_t *cache)
{
    if (cache && --cache->users == 0)
        ticket_cache_free(cache);
}

/* A host whose good ticket has no successor in cache; -1: there is none. */
static int find_loss(const http_ticket_t *ticket, const http_ticket_cache_t *cache)
{
    int i;

    for (i = 0; i < ticket->options.nhosts; i++) {
        if (is_good(ticket, i) && *cache->host[i].error)
            return i;
    }
    return -1;
}

/* When to ask after an attempt that led to cache.  The mutex must be held. */
static apr_time_t next_time(const http_ticket_t *ticket, const http_ticket_cache_t *cache)
{
    apr_time_t now = clock_monotonic(), when = 0, mine;
    int i;

    for (i = 0; i < ticket->options.nhosts; i++) {
        mine = now + (cache->host[i].refused ? PAUSE_REFUSED : PAUSE_UNREACHABLE);
        if (!*cache->host[i].error) {
            mine = now + (cache->host[i].end - now) / 2;
            if (mine < now + RENEW_MIN)
                mine = now + RENEW_MIN;
        }
        if (!when || mine < when)
            when = mine;
    }
    return when;
}

/* Takes over what the KDC said; cache NULL: there was no memory.  The mutex must be held. */
static void take(http_ticket_t *ticket, http_ticket_cache_t *cache, apr_time_t until)
{
    int lost;

    if (!cache) {
        ticket->next = clock_monotonic() + PAUSE_UNREACHABLE;
        return;
    }
    ticket->next = until ? until : next_time(ticket, cache);
    lost = find_loss(ticket, cache);
    if (lost < 0) {
        drop(ticket->cache);
        ticket->cache = cache;
        ticket->renewal_told = 0;
        return;
    }
    apr_cpystrn(ticket->renewal_error, cache->host[lost].error, TICKET_ERROR_MAX);
    if (!ticket->renewal_told)
        ticket->renewal_told = 1;
    drop(cache);
}

/* Has the keytab read when it is another one than the last time.  The mutex must be held. */
static void look(http_ticket_t *ticket)
{
    http_stamp_t stamp;

    http_files_stamp(&stamp, &ticket->files, &ticket->seen);
    if (memcmp(&stamp, &ticket->seen, sizeof(stamp)) == 0)
        return;
    ticket->seen = stamp;
    ticket->reread = 1;
    apr_thread_cond_broadcast(ticket->changed);
}

/* Reads the keytab again.  Only in the ticket's thread, without the mutex. */
static void reread(http_ticket_t *ticket)
{
    ticket_keys_t *keys;
    http_stamp_t stamp;
    const char *error;
    apr_pool_t *p;

    apr_pool_create_unmanaged_ex(&p, NULL, NULL);
    http_files_stamp(&stamp, &ticket->files, &ticket->stamp);
    error = ticket_keys_load(&keys, ticket->options.keytab, ticket->options.principal, p);
    if (!error) {
        ticket_keys_free(ticket->keys);
        ticket->keys = keys;
        ticket->stamp = stamp;
        http_ticket_rest_renew(ticket->rest, version_of(&stamp));
    }
    apr_thread_mutex_lock(ticket->mutex);
    ticket->keys_changed = !error;
    ticket->keys_told = error ? 1 : 0;
    apr_cpystrn(ticket->keys_error, error ? error : "", TICKET_ERROR_MAX);
    apr_thread_mutex_unlock(ticket->mutex);
    apr_pool_destroy(p);
}

/*
 * Waits while another child asks for the first time; the mutex must be held, and the answer is only
 * good when the process does not end.
 */
static ticket_rest_e wait_for_others(http_ticket_t *ticket, int *code, apr_time_t *until)
{
    ticket_rest_e rest = TICKET_REST_WAIT;

    while (!ticket->stop && (rest = http_ticket_rest_look(ticket->rest, clock_monotonic(), code,
                                                          until)) == TICKET_REST_WAIT)
        apr_thread_cond_timedwait(ticket->changed, ticket->mutex, PAUSE_OTHERS);
    return rest;
}

/* Asks the KDC, or takes over another child's refusal; the mutex must be held, and is let go. */
static void ask(http_ticket_t *ticket)
{
    http_ticket_cache_t *cache;
    apr_time_t until = 0;
    int code = 0;
    ticket_rest_e rest = wait_for_others(ticket, &code, &until);

    if (ticket->stop)
        return;
    apr_thread_mutex_unlock(ticket->mutex);
    if (rest == TICKET_REST_ASK) {
        cache = ticket_fetch(ticket->keys, ticket->options.host, ticket->options.nhosts);
        http_ticket_rest_tell(ticket->rest, clock_monotonic(),
                              cache ? cache->key : TICKET_KEY_UNTOLD, cache ? cache->code : 0);
        if (cache && cache->key == TICKET_KEY_BAD)
            (void)http_ticket_rest_look(ticket->rest, clock_monotonic(), &code, &until);
    }
    else {
        cache = ticket_refuse(ticket->keys, ticket->options.nhosts, code);
    }
    apr_thread_mutex_lock(ticket->mutex);
    take(ticket, cache, until);
}

/* The ticket's thread. */
static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *baton)
{
    http_ticket_t *ticket = baton;
    apr_time_t now;
    int again;

    (void)thread;
    apr_thread_mutex_lock(ticket->mutex);
    while (!ticket->stop) {
        now = clock_monotonic();
        if (!ticket->reread && now < ticket->next) {
            apr_thread_cond_timedwait(ticket->changed, ticket->mutex, ticket->next - now);
            continue;
        }
        look(ticket); /* an old key is not tried again */
        again = ticket->reread;
        ticket->reread = 0;
        ticket->asking = 1;
        if (again) {
            apr_thread_mutex_unlock(ticket->mutex);
            reread(ticket);
            apr_thread_mutex_lock(ticket->mutex);
        }
        ask(ticket);
        ticket->asking = 0;
        apr_thread_cond_broadcast(ticket->changed);
    }
    apr_thread_mutex_unlock(ticket->mutex);
    return NULL;
}

/* Pre-cleanup of a child: ends the thread, when libkrb5 has given up what it is at. */
static apr_status_t finish(void *baton)
{
    http_ticket_t *ticket = baton;
    apr_status_t rv;

    apr_thread_mutex_lock(ticket->mutex);
    ticket->stop = 1;
    apr_thread_cond_broadcast(ticket->changed);
    apr_thread_mutex_unlock(ticket->mutex);
    apr_thread_join(&rv, ticket->thread);
    apr_thread_mutex_lock(ticket->mutex);
    drop(ticket->cache);
    ticket->cache = NULL;
    apr_thread_mutex_unlock(ticket->mutex);
    return forget_keys(ticket);
}

apr_status_t http_ticket_child_init(http_ticket_t *ticket, apr_pool_t *pchild)
{
    apr_status_t rv = apr_thread_mutex_create(&ticket->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv == APR_SUCCESS)
        rv = apr_thread_cond_create(&ticket->changed, pchild);
    if (rv != APR_SUCCESS)
        return rv;
    rv = thread_start(&ticket->thread, run, ticket, pchild);
    if (rv == APR_SUCCESS)
        apr_pool_pre_cleanup_register(pchild, ticket, finish);
    return rv;
}

/* Waits for a ticket for a host; 0: there is none.  The mutex must be held. */
static int wait_for(http_ticket_t *ticket, int n, apr_time_t end)
{
    apr_time_t now = clock_monotonic();

    if (!is_good(ticket, n) && ticket->cache && !*ticket->cache->host[n].error &&
        now < ticket->next) {
        ticket->next = now; /* it ended before it was renewed */
        apr_thread_cond_broadcast(ticket->changed);
    }
    while (!is_good(ticket, n) && now < end && !http_client_is_ending() &&
           (ticket->asking || ticket->reread || ticket->next <= now)) {
        apr_thread_cond_timedwait(ticket->changed, ticket->mutex,
                                  end - now < LOOK ? end - now : LOOK);
        now = clock_monotonic();
    }
    return is_good(ticket, n);
}

/* What the thread has to say, through a call's log.  The mutex must be held. */
static void tell(http_ticket_t *ticket, const log_sink_t *log)
{
    const http_ticket_options_t *o = &ticket->options;

    if (ticket->keys_changed) {
        ticket->keys_changed = 0;
        log_to(log, LOG_SINK_INFO, SCEPTAG(0361), "%s: %s changed and is used now", o->name,
               o->keytab);
    }
    if (ticket->keys_told == 1) {
        ticket->keys_told = 2;
        log_to(log, LOG_SINK_WARN, SCEPTAG(0359),
               "%s: %s changed, but its old keys stay in use until a restart: %s", o->name,
               o->keytab, ticket->keys_error);
    }
    if (ticket->renewal_told == 1) {
        ticket->renewal_told = 2;
        log_to(log, LOG_SINK_WARN, SCEPTAG(0360),
               "%s: the Kerberos ticket cannot be renewed, the old one stays in use while it is "
               "valid: %s", o->name, ticket->renewal_error);
    }
}

/* Why there is no ticket for a host.  The mutex must be held. */
static apr_status_t explain(const http_ticket_t *ticket, int n, const char **error, apr_pool_t *p)
{
    const ticket_host_t *host = ticket->cache ? &ticket->cache->host[n] : NULL;

    if (host && *host->error) {
        *error = http_printable(host->error, TICKET_ERROR_MAX, p);
        return host->refused ? APR_EACCES : APR_ECONNREFUSED;
    }
    *error = apr_psprintf(p, "no Kerberos ticket for HTTP/%s: the KDC has not answered yet",
                          ticket->options.host[n]);
    return APR_TIMEUP;
}

apr_status_t http_ticket_borrow(http_ticket_cache_t **please, http_ticket_t *ticket, int n,
                                apr_time_t end, const char **error, const log_sink_t *log,
                                apr_pool_t *p)
{
    apr_status_t rv = APR_SUCCESS;

    *please = NULL;
    *error = NULL;
    apr_thread_mutex_lock(ticket->mutex);
    look(ticket);
    if (wait_for(ticket, n, end)) {
        *please = ticket->cache;
        (*please)->users++;
    }
    else {
        rv = explain(ticket, n, error, p);
    }
    tell(ticket, log);
    apr_thread_mutex_unlock(ticket->mutex);
    if (*please && !ticket_use((*please)->name)) {
        http_ticket_return(ticket, *please);
        *please = NULL;
        *error = "GSSAPI does not take the Kerberos ticket";
        rv = APR_EACCES;
    }
    return rv;
}

void http_ticket_return(http_ticket_t *ticket, http_ticket_cache_t *lease)
{
    (void)ticket_use(NULL);
    apr_thread_mutex_lock(ticket->mutex);
    drop(lease);
    apr_thread_mutex_unlock(ticket->mutex);
}

apr_status_t http_ticket_health(http_ticket_t *ticket, const char **text, apr_pool_t *p)
{
    apr_status_t rv = APR_EAGAIN;
    int i;

    *text = "";
    if (!ticket->mutex)
        return APR_SUCCESS;
    apr_thread_mutex_lock(ticket->mutex);
    look(ticket);
    for (i = 0; rv != APR_SUCCESS && i < ticket->options.nhosts; i++) {
        if (is_good(ticket, i))
            rv = APR_SUCCESS;
    }
    if (rv != APR_SUCCESS)
        rv = explain(ticket, 0, text, p);
    apr_thread_mutex_unlock(ticket->mutex);
    return rv;
}
