/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: a thread of one child does what a host has to do by itself, since only children may
 * open connections, and nothing of it may delay a request or the start.
 *
 * Every child has the thread, and tries to lock a file in each state directory; whoever has the
 * lock works for the services of that directory.  The kernel gives the lock back however the holder
 * ends, so another child follows within seconds, also across a graceful restart: the children of
 * the old generation let go as soon as they are told to stop.
 */
#include "mod_scep_worker.h"
#include "../common/clock.h"
#include "../common/http_client.h"
#include "../common/thread.h"
#include "mod_scep_announce.h"
#include "mod_scep_log.h"
#include "mod_scep_revoke.h"
#include "mod_scep_status_files.h"
#include <ap_mpm.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <fcntl.h>
#include <http_log.h>
#include <sys/file.h>
#include <unistd.h>

APLOG_USE_MODULE(scep);

#define LOCK_FILE "worker.lock"
#define LOOK apr_time_from_sec(1) /* whether to stop, or to take over */
#define ROUND apr_time_from_sec(20)
#define FILES_PERIOD apr_time_from_sec(2)
#define CLEAN_PERIOD apr_time_from_sec(600)

/* The lock of a state directory. */
typedef struct lock_t {
    const char *path;
    int fd;   /* open and locked; -1: another child has it */
    int told; /* that the file cannot be opened */
    server_rec *server;
} lock_t;

/* What is to be done for a service; times are monotonic. */
typedef struct job_t {
    const scep_service_conf_t *service;
    lock_t *lock;
    apr_time_t announce, work, files, clean;
    scep_status_cursor_t cursor;
} job_t;

/* One per child; lives in pchild, the thread ends before it. */
typedef struct worker_t {
    apr_array_header_t *locks, *jobs; /* of lock_t* and job_t* */
    apr_pool_t *pchild;
    apr_thread_t *thread;
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *stopped;
    int stop;
} worker_t;

/* Opens a lock file; -1: errno. */
static int open_lock(const char *path, int flags)
{
    return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

int scep_worker_setup(const char *state_directory, uid_t uid, gid_t gid, apr_pool_t *p)
{
    int fd = open_lock(apr_pstrcat(p, state_directory, "/" LOCK_FILE, NULL), O_CREAT), error = 0;

    if (fd < 0) {
        return errno;
    }
    if (geteuid() == 0 && fchown(fd, uid, gid) != 0) {
        error = errno;
    }
    close(fd);
    return error;
}

/* Whether the child is about to end; policy_work_t.stopping among others. */
static int is_stopping(void *baton)
{
    worker_t *worker = baton;
    int stop, state = 0;

    apr_thread_mutex_lock(worker->mutex);
    stop = worker->stop;
    apr_thread_mutex_unlock(worker->mutex);
    return stop || (ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS &&
                    state == AP_MPMQ_STOPPING);
}

/* Whether this child has the lock, or gets it now. */
static int holds(lock_t *lock)
{
    int fd;

    if (lock->fd >= 0) {
        return 1;
    }
    fd = open_lock(lock->path, 0);
    if (fd < 0) {
        if (!lock->told) {
            ap_log_error(APLOG_MARK, APLOG_ERR, APR_FROM_OS_ERROR(errno), lock->server,
                         SCEPTAG(0491) ": cannot open %s; this child delivers no news", lock->path);
        }
        lock->told = 1;
        return 0;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return 0;
    }
    lock->fd = fd;
    return 1;
}

/* policy_work() for a service; when it is due again. */
static apr_interval_time_t work_for(worker_t *worker, const scep_service_conf_t *service,
                                    apr_pool_t *p)
{
    scep_revoke_t revoke = {service, scep_log_server(service->server, p), is_stopping, worker};
    policy_work_t work;
    int done = 0;

    memset(&work, 0, sizeof(work));
    work.deadline = apr_time_now() + ROUND;
    work.stopping = scep_revoke_stopping;
    work.revoke = scep_revoke;
    work.baton = &revoke;
    work.holder = scep_announce_host(service, p);
    return policy_work(service->core.policy, &work, &done, revoke.log, p);
}

/* All that is due for a service. */
static void run_job(worker_t *worker, job_t *job)
{
    const scep_service_conf_t *service = job->service;
    apr_time_t now = clock_monotonic();
    apr_pool_t *p;

    apr_pool_create_unmanaged_ex(&p, NULL, NULL);
    if (now >= job->announce) {
        job->announce = now + scep_announce(service, is_stopping, worker, p);
    }
    if (now >= job->work && !is_stopping(worker)) {
        apr_interval_time_t wait = work_for(worker, service, p);

        job->work = clock_monotonic() + wait;
    }
    if (service->effective.status_directory && now >= job->files && !is_stopping(worker)) {
        scep_status_files_follow(service, &job->cursor, p);
        job->files = now + FILES_PERIOD;
    }
    if (service->effective.status_directory && now >= job->clean && !is_stopping(worker)) {
        scep_status_files_clean(service, p);
        job->clean = now + CLEAN_PERIOD;
    }
    apr_pool_destroy(p);
}

/* Waits until a job may be due, or the end of the child. */
static void pause_for(worker_t *worker, apr_interval_time_t time)
{
    apr_thread_mutex_lock(worker->mutex);
    if (!worker->stop && time > 0) {
        apr_thread_cond_timedwait(worker->stopped, worker->mutex, time < LOOK ? time : LOOK);
    }
    apr_thread_mutex_unlock(worker->mutex);
}

/* The thread: until the child is told to stop. */
static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    worker_t *worker = data;
    apr_time_t next;
    int i;

    while (!is_stopping(worker)) {
        next = clock_monotonic() + LOOK;
        for (i = 0; i < worker->jobs->nelts && !is_stopping(worker); i++) {
            job_t *job = APR_ARRAY_IDX(worker->jobs, i, job_t *);

            if (holds(job->lock)) {
                run_job(worker, job);
                next = job->work < next ? job->work : next;
            }
        }
        pause_for(worker, next - clock_monotonic());
    }
    for (i = 0; i < worker->locks->nelts; i++) {
        lock_t *lock = APR_ARRAY_IDX(worker->locks, i, lock_t *);

        if (lock->fd >= 0) {
            close(lock->fd);
        }
    }
    (void)thread;
    return NULL; /* AddressSanitizer takes apr_thread_exit()'s way out for an overflow */
}

void scep_worker_stopping(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    if (!graceful) {
        http_client_end_calls(HTTP_END_QUESTIONS);
    }
}

/*
 * pchild pre-cleanup: ends the thread while all that it uses is still there.  Where the MPM has
 * threads for requests, these have ended: the calls that are cut are the thread's own.
 */
static apr_status_t finish(void *data)
{
    worker_t *worker = data;
    apr_status_t rv;

    apr_thread_mutex_lock(worker->mutex);
    worker->stop = 1;
    apr_thread_cond_signal(worker->stopped);
    apr_thread_mutex_unlock(worker->mutex);
    http_client_end_calls(HTTP_END_ALL);
    apr_thread_join(&rv, worker->thread);
    return APR_SUCCESS;
}

/* The lock of a state directory, which several services may share. */
static lock_t *lock_for(worker_t *worker, const scep_service_conf_t *service)
{
    const char *path =
        apr_pstrcat(worker->pchild, service->effective.state_directory, "/" LOCK_FILE, NULL);
    lock_t *lock;
    int i;

    for (i = 0; i < worker->locks->nelts; i++) {
        lock = APR_ARRAY_IDX(worker->locks, i, lock_t *);
        if (!strcmp(lock->path, path)) {
            return lock;
        }
    }
    lock = apr_pcalloc(worker->pchild, sizeof(*lock));
    lock->path = path;
    lock->fd = -1;
    lock->server = service->server;
    APR_ARRAY_PUSH(worker->locks, lock_t *) = lock;
    return lock;
}

/* Adds a service's job; a visitor of scep_each_service(). */
static int add_job(scep_service_conf_t *service, void *baton)
{
    worker_t *worker = baton;
    job_t *job;

    if (!service->broken) {
        job = apr_pcalloc(worker->pchild, sizeof(*job));
        job->service = service;
        job->lock = lock_for(worker, service);
        APR_ARRAY_PUSH(worker->jobs, job_t *) = job;
    }
    return OK;
}

void scep_worker_child(server_rec *main_server, apr_pool_t *pchild)
{
    worker_t *worker = apr_pcalloc(pchild, sizeof(*worker));
    apr_status_t rv;

    worker->pchild = pchild;
    worker->locks = apr_array_make(pchild, 2, sizeof(lock_t *));
    worker->jobs = apr_array_make(pchild, 2, sizeof(job_t *));
    scep_each_service(main_server, add_job, worker);
    if (!worker->jobs->nelts) {
        return;
    }
    http_client_end_calls(HTTP_END_NONE); /* httpd -X is one process for all generations */
    apr_thread_mutex_create(&worker->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
    apr_thread_cond_create(&worker->stopped, pchild);
    rv = thread_start(&worker->thread, run, worker, pchild);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, main_server, SCEPTAG(0462) ": no thread");
        return;
    }
    apr_pool_pre_cleanup_register(pchild, worker, finish);
}
