/* SPDX-License-Identifier: Apache-2.0 */
/* The gate before PKIOperations; see mod_scep_admission.h. */
#include "mod_scep_admission.h"
#include "../common/admission.h"
#include "mod_scep_http.h"
#include "mod_scep_metrics.h"
#include <ap_mpm.h>
#include <apr_atomic.h>
#include <http_log.h>

APLOG_USE_MODULE(scep);

/* Between two warnings of one child and service. */
#define TELL_SECONDS 60

/*
 * Devices are asked to come again after as long as the overload lasts already, once to thrice: a
 * refusal costs something too, and those of a fleet that comes again every few seconds would leave
 * nothing for the work (docs/capacity.md).  In seconds.
 */
#define RETRY_LEAST 10
#define RETRY_MOST 300

/* The settings with the presets that depend on the MPM; *max 0: no limit. */
static void limits(const scep_props_t *e, int *max, int *queue)
{
    int threads = 0;

    *max = (int)e->concurrency;
    *queue = (int)e->concurrency_queue;
    if (*max == SCEP_UNSET) {
        if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS || threads < 4) {
            *max = 0; /* a child without threads has one request */
            return;
        }
        /* an eighth stays free for what is answered at once */
        *queue = threads / 4;
        *max = threads - threads / 4 - (threads < 16 ? 1 : threads / 8);
    }
}

apr_status_t scep_admission_child(scep_service_conf_t *service, apr_pool_t *pchild)
{
    int max, queue;

    limits(&service->effective, &max, &queue);
    if (!max || !service->enrolls) {
        return APR_SUCCESS;
    }
    return admission_make(&service->admission, max, queue, service->effective.concurrency_wait,
                          pchild);
}

/* Whether this thread is the one that warns now. */
static int is_time_to_tell(const scep_service_conf_t *service)
{
    apr_uint32_t *told = &((scep_service_conf_t *)service)->admission_told;
    apr_uint32_t before = apr_atomic_read32(told);
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(apr_time_now());

    return now - before >= TELL_SECONDS && apr_atomic_cas32(told, now, before) == before;
}

/* Says that there is no place. */
static void tell(request_rec *r, const scep_service_conf_t *service, apr_status_t rv)
{
    int running, waiting;

    admission_count(service->admission, &running, &waiting);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  SCEPTAG(0560) ": service=%s result=unavailable reason=overload: %s",
                  service->name,
                  rv == APR_TIMEUP ? "no place became free in time" : "too many requests wait");
    if (is_time_to_tell(service)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING,
                     rv == APR_TIMEUP || rv == APR_EAGAIN ? APR_SUCCESS : rv, r->server,
                     SCEPTAG(0561) ": service %s: more requests than this child can do: %d are "
                                   "under way, %d wait, others are answered with 503 "
                                   "(ScepConcurrency; what is slow, scep_duration_seconds says)",
                     service->name, running, waiting);
    }
}

int scep_admission_enter(request_rec *r, const scep_service_conf_t *service)
{
    apr_int64_t seconds;
    apr_status_t rv;
    int queued;

    if (!service->admission) {
        return OK;
    }
    rv = admission_enter(service->admission, &queued, r->pool);
    scep_metrics_admission(service, queued, rv != APR_SUCCESS);
    if (rv == APR_SUCCESS) {
        return OK;
    }
    tell(r, service, rv);
    seconds = apr_time_sec(admission_lasts(service->admission));
    seconds = seconds < RETRY_LEAST ? RETRY_LEAST : (seconds > RETRY_MOST ? RETRY_MOST : seconds);
    return scep_http_busy(r, (int)seconds);
}

void scep_admission_leave(const scep_service_conf_t *service)
{
    if (service->admission) {
        admission_leave(service->admission);
    }
}
