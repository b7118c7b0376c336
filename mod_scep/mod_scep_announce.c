/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that share a store must share the challenge secret, the CA and the templates.  A difference
 * would show as enrollments that fail at one host and not at the other; here it shows at the start,
 * in one line per service.  Hosts forget each other after a day, so each repeats it, and removes
 * expired records on that occasion, which in an idle service nobody else does.
 *
 * A thread of one child does it: the store is asked over the network, which only children may do,
 * and a store that is down must not delay the start.  It goes on until the child ends; then the
 * next child takes over.
 */
#include "mod_scep_announce.h"
#include "mod_scep_log.h"
#include <apr_atomic.h>
#include <apr_portable.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_thread_proc.h>
#include <errno.h>
#include <http_log.h>
#include <signal.h>
#include <unistd.h>

APLOG_USE_MODULE(scep);

#define AGAIN apr_time_from_sec(5)    /* while the store is not reached */
#define PERIOD apr_time_from_sec(600) /* afterwards */
#define SWEEP_BATCH 1000
#define SWEEP_BATCHES 100
#define SWEEP_PAUSE apr_time_from_msec(20)

/* What all children of a start share. */
typedef struct shared_t {
    volatile apr_uint32_t holder;    /* the pid of the child that is at it; 0: none */
    volatile apr_uint32_t announced; /* 1: differences were logged */
} shared_t;

static shared_t *shared;

/* One per announcing child; lives in pchild, the thread ends before it. */
typedef struct announcer_t {
    server_rec *server;
    apr_thread_t *thread;
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *stopped;
    int stop;
} announcer_t;

/* One round of an announcer. */
typedef struct round_t {
    announcer_t *announcer;
    apr_pool_t *p;
} round_t;

/* pconf cleanup: the memory goes, so does the pointer. */
static apr_status_t forget(void *data)
{
    (void)data;
    shared = NULL;
    return APR_SUCCESS;
}

apr_status_t scep_announce_setup(server_rec *main_server, apr_pool_t *pconf)
{
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, sizeof(*shared), NULL, pconf);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, main_server, SCEPTAG(0460) ": no shared memory");
        return rv;
    }
    shared = apr_shm_baseaddr_get(shm);
    apr_atomic_set32(&shared->holder, 0);
    apr_atomic_set32(&shared->announced, 0);
    apr_pool_cleanup_register(pconf, NULL, forget, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

/* Adds "secret", "CA", "templates" as far as two hosts differ in them; "" when they do not. */
static const char *differences(const store_host_t *a, const store_host_t *b, apr_pool_t *p)
{
    const char *text = "";

    if (a->secret && b->secret && strcmp(a->secret, b->secret)) {
        text = apr_pstrcat(p, text, *text ? ", " : "", "challenge secret or policy", NULL);
    }
    if (a->ca && b->ca && strcmp(a->ca, b->ca)) {
        text = apr_pstrcat(p, text, *text ? ", " : "", "CA", NULL);
    }
    if (a->templates && b->templates && strcmp(a->templates, b->templates)) {
        text = apr_pstrcat(p, text, *text ? ", " : "", "templates", NULL);
    }
    return text;
}

/* Announces one service; a visitor of scep_each_service().  HTTP_SERVICE_UNAVAILABLE: not heard. */
static int announce(scep_service_conf_t *service, void *baton)
{
    apr_pool_t *p = ((round_t *)baton)->p;
    apr_array_header_t *others = NULL;
    char name[256] = "localhost";
    store_host_t self;
    const char *text = "", *differs;
    int i;

    if (service->broken) {
        return OK;
    }
    apr_gethostname(name, sizeof(name), p);
    memset(&self, 0, sizeof(self));
    self.host = apr_pstrcat(p, name, ":", service->effective.state_directory, NULL);
    self.secret = policy_fingerprint(service->core.policy, p);
    self.ca = ca_fingerprint(service->core.ca, p);
    self.templates = ca_templates_fingerprint(service->core.ca, p);
    if (store_announce(service->store, service->name, &self, &others, p) != APR_SUCCESS) {
        return HTTP_SERVICE_UNAVAILABLE;
    }
    for (i = 0; !apr_atomic_read32(&shared->announced) && i < others->nelts; i++) {
        const store_host_t *other = APR_ARRAY_IDX(others, i, const store_host_t *);

        differs = differences(&self, other, p);
        if (*differs) {
            text = apr_psprintf(p, "%s%s%s (%s)", text, *text ? "; " : "", other->host, differs);
        }
    }
    if (*text) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, service->server,
                     SCEPTAG(0461) ": service %s: hosts on the same store %s are configured "
                                   "differently: %s",
                     service->name, service->store->display, text);
    }
    return OK;
}

/* Waits for the end of the child; whether it came within the time. */
static int stops_within(announcer_t *announcer, apr_interval_time_t time)
{
    int stop;

    apr_thread_mutex_lock(announcer->mutex);
    if (!announcer->stop) {
        apr_thread_cond_timedwait(announcer->stopped, announcer->mutex, time);
    }
    stop = announcer->stop;
    apr_thread_mutex_unlock(announcer->mutex);
    return stop;
}

/* Removes a service's expired records, in batches that do not hold up enrollments for long; a
 * visitor of scep_each_service().  OK. */
static int sweep(scep_service_conf_t *service, void *baton)
{
    round_t *round = baton;
    int removed = SWEEP_BATCH, i;

    if (service->broken) {
        return OK;
    }
    for (i = 0; removed == SWEEP_BATCH && i < SWEEP_BATCHES; i++) {
        if ((i && stops_within(round->announcer, SWEEP_PAUSE)) ||
            store_sweep(service->store, service->name, SWEEP_BATCH, &removed, round->p) !=
                APR_SUCCESS) {
            return OK;
        }
    }
    return OK;
}

/* The thread: until it is told to stop. */
static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    announcer_t *announcer = data;
    round_t round = {announcer, NULL};
    int rv;

    do {
        apr_pool_create_unmanaged_ex(&round.p, NULL, NULL);
        rv = scep_each_service(announcer->server, announce, &round);
        if (rv == OK) {
            apr_atomic_set32(&shared->announced, 1);
            scep_each_service(announcer->server, sweep, &round);
        }
        apr_pool_destroy(round.p);
    } while (!stops_within(announcer, rv == OK ? PERIOD : AGAIN));
    apr_thread_exit(thread, APR_SUCCESS);
    return NULL;
}

/* pchild pre-cleanup: ends the thread while all that it uses is still there. */
static apr_status_t finish(void *data)
{
    announcer_t *announcer = data;
    apr_status_t rv;

    apr_thread_mutex_lock(announcer->mutex);
    announcer->stop = 1;
    apr_thread_cond_signal(announcer->stopped);
    apr_thread_mutex_unlock(announcer->mutex);
    apr_thread_join(&rv, announcer->thread);
    if (shared) {
        apr_atomic_set32(&shared->holder, 0);
    }
    return APR_SUCCESS;
}

/* Whether this child is the one to do it: nobody is, or the one that was at it is dead. */
static int take(void)
{
    apr_uint32_t self = (apr_uint32_t)getpid();
    apr_uint32_t holder = apr_atomic_cas32(&shared->holder, self, 0);

    if (holder == 0) {
        return 1;
    }
    if (kill((pid_t)holder, 0) == 0 || errno != ESRCH) {
        return 0;
    }
    return apr_atomic_cas32(&shared->holder, self, holder) == holder;
}

void scep_announce_child(server_rec *main_server, apr_pool_t *pchild)
{
    announcer_t *announcer;
    sigset_t all, before;
    apr_status_t rv;

    if (!shared || !take()) {
        return;
    }
    announcer = apr_pcalloc(pchild, sizeof(*announcer));
    announcer->server = main_server;
    apr_thread_mutex_create(&announcer->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
    apr_thread_cond_create(&announcer->stopped, pchild);
    /* the child's signals are for the MPM's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = apr_thread_create(&announcer->thread, NULL, run, announcer, pchild);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, main_server, SCEPTAG(0462) ": no thread");
        apr_atomic_set32(&shared->holder, 0);
        return;
    }
    apr_pool_pre_cleanup_register(pchild, announcer, finish);
}
