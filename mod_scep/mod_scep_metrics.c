/* SPDX-License-Identifier: Apache-2.0 */
/* The counters in shared memory (see mod_scep_metrics.h). */
#include "mod_scep_metrics.h"
#include <apr_atomic.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(scep);

#define SERVICES_MAX 256
#define RETAINED "mod_scep-metrics"

/* What is kept over restarts in the program's own memory. */
typedef struct retained_t {
    apr_size_t size; /* of one service's counters: another version's are of no use */
    scep_metrics_t *all;
} retained_t;

static scep_metrics_t *all;

const apr_interval_time_t scep_metrics_limits[SCEP_BUCKETS] = {
    1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000,
    10000000};

apr_status_t scep_metrics_setup(server_rec *main_server)
{
    retained_t *retained = ap_retained_data_get(RETAINED);
    apr_shm_t *shm;
    apr_status_t rv;

    if (!retained) {
        retained = ap_retained_data_create(RETAINED, sizeof(*retained));
    }
    if (!retained->all || retained->size != sizeof(scep_metrics_t)) {
        /* children of the last generation go on writing to the old one */
        rv = apr_shm_create(&shm, SERVICES_MAX * sizeof(scep_metrics_t), NULL,
                            main_server->process->pool);
        if (rv != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_ERR, rv, main_server,
                         SCEPTAG(0490) ": no shared memory for metrics");
            return rv;
        }
        retained->all = apr_shm_baseaddr_get(shm);
        retained->size = sizeof(scep_metrics_t);
        memset(retained->all, 0, SERVICES_MAX * sizeof(scep_metrics_t));
    }
    all = retained->all;
    return APR_SUCCESS;
}

scep_metrics_t *scep_metrics_take(const char *name)
{
    int i;

    for (i = 0; all && i < SERVICES_MAX; i++) {
        if (!*all[i].name) {
            apr_cpystrn(all[i].name, name, sizeof(all[i].name));
            return &all[i];
        }
        if (!strncmp(all[i].name, name, sizeof(all[i].name) - 1)) {
            return &all[i];
        }
    }
    return NULL;
}

/* Counts one more. */
static void count(volatile apr_uint64_t *counter)
{
    apr_atomic_add64(counter, 1);
}

apr_uint64_t scep_metrics_read(const volatile apr_uint64_t *counter)
{
    return apr_atomic_read64((volatile apr_uint64_t *)counter);
}

/* Adds a time; one that is negative was not taken. */
static void measure(scep_histogram_t *histogram, apr_interval_time_t time)
{
    int i = 0;

    if (time < 0) {
        return;
    }
    while (i < SCEP_BUCKETS && time > scep_metrics_limits[i]) {
        i++;
    }
    count(&histogram->bucket[i]);
    apr_atomic_add64(&histogram->sum, (apr_uint64_t)time);
}

/* Which operation it was. */
static scep_op_e operation_of(const scep_trace_t *trace)
{
    static const struct {
        const char *name;
        scep_op_e op;
    } known[] = {{"GetCACaps", SCEP_OP_CACAPS},         {"GetCACert", SCEP_OP_CACERT},
                 {"GetNextCACert", SCEP_OP_NEXTCACERT}, {"PKCSReq", SCEP_OP_PKCSREQ},
                 {"RenewalReq", SCEP_OP_RENEWALREQ},    {"CertPoll", SCEP_OP_CERTPOLL},
                 {"GetCert", SCEP_OP_GETCERT},          {"GetCRL", SCEP_OP_GETCRL}};
    const char *name =
        strcmp(trace->operation, "PKIOperation") ? trace->operation : trace->message_type;
    apr_size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!strcmp(known[i].name, name)) {
            return known[i].op;
        }
    }
    return SCEP_OP_OTHER;
}

/* Counts a challenge that was no good. */
static void count_bad(scep_metrics_t *metrics, const char *reason)
{
    static const struct {
        const char *reason;
        scep_bad_e bad;
    } known[] = {{"challenge-missing", SCEP_BAD_MISSING},  {"challenge-unknown", SCEP_BAD_UNKNOWN},
                 {"challenge-used", SCEP_BAD_USED},        {"challenge-expired", SCEP_BAD_EXPIRED},
                 {"challenge-burned", SCEP_BAD_BURNED},    {"challenge-held", SCEP_BAD_HELD},
                 {"challenge-template", SCEP_BAD_BOUND},   {"bound-", SCEP_BAD_BOUND},
                 {"challenge-early", SCEP_BAD_EXPIRED},
                 {"challenge-signature", SCEP_BAD_UNKNOWN},
                 {"challenge-envelope", SCEP_BAD_UNKNOWN}, {"challenge-foreign", SCEP_BAD_UNKNOWN},
                 {"intune-client-", SCEP_BAD_BOUND},       {"intune-request-", SCEP_BAD_BOUND},
                 {"intune-challenge-missing", SCEP_BAD_MISSING},
                 {"intune-challenge-expired", SCEP_BAD_EXPIRED},
                 {"intune-challenge-timestamp", SCEP_BAD_EXPIRED},
                 {"intune-challenge-", SCEP_BAD_UNKNOWN}}; /* the rest of them */
    apr_size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!strncmp(known[i].reason, reason, strlen(known[i].reason))) {
            count(&metrics->bad_challenges[known[i].bad]);
            return;
        }
    }
}

/* Counts Intune's code, where it was Intune that refused. */
static void count_intune(scep_metrics_t *metrics, const char *reason)
{
    int code = policy_intune_code_of(reason);

    if (code >= 0) {
        count(&metrics->intune[code]);
    }
}

/* Counts who gave no answer. */
static void count_away(scep_metrics_t *metrics, const char *reason)
{
    static const struct {
        const char *reason;
        scep_away_e who;
    } known[] = {{"store", SCEP_AWAY_STORE},     {"ca-", SCEP_AWAY_CA},
                 {"webhook", SCEP_AWAY_WEBHOOK}, {"intune", SCEP_AWAY_INTUNE},
                 {"busy", SCEP_AWAY_BUSY},       {"registration-point", SCEP_AWAY_POINT}};
    apr_size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!strncmp(known[i].reason, reason, strlen(known[i].reason))) {
            count(&metrics->away[known[i].who]);
            return;
        }
    }
    count(&metrics->away[SCEP_AWAY_OTHER]);
}

void scep_metrics_request(const scep_service_conf_t *service, const request_rec *r,
                          const scep_response_t *response)
{
    const scep_trace_t *trace = &response->trace;
    const outcome_t *out = &trace->outcome;
    scep_metrics_t *metrics = service->metrics;
    scep_op_e operation = operation_of(trace);

    if (!metrics || response->http_status == SCEP_NO_OPERATION) {
        return;
    }
    count(&metrics->requests[operation][out->result]);
    if (strcmp(trace->operation, "PKIOperation")) {
        return;
    }
    count(&metrics->clients[scep_client_os(apr_table_get(r->headers_in, "User-Agent"))]
                           [out->result]);
    if (out->result == OUTCOME_REFUSED) {
        count(&metrics->refused[out->fail_info + 1]);
        count_bad(metrics, out->reason);
        count_intune(metrics, out->reason);
    }
    if (out->result == OUTCOME_UNAVAILABLE) {
        count_away(metrics, out->reason);
    }
    if (trace->replayed) {
        count(&metrics->replays);
    }
    else if (out->result == OUTCOME_SUCCESS && trace->certificate.len && *trace->challenge_id) {
        count(&metrics->challenges_used);
    }
    measure(&metrics->times[SCEP_TIME_STORE], trace->steps[SCEP_STEP_CLAIM]);
    measure(&metrics->times[SCEP_TIME_STORE], trace->steps[SCEP_STEP_COMMIT]);
    measure(&metrics->times[SCEP_TIME_POLICY], trace->steps[SCEP_STEP_VERIFY]);
    measure(&metrics->times[SCEP_TIME_CA], trace->steps[SCEP_STEP_CA]);
    measure(&metrics->times[SCEP_TIME_TOTAL], apr_time_now() - r->request_time);
}

void scep_metrics_mint(const scep_service_conf_t *service, scep_mint_e result)
{
    if (service->metrics) {
        count(&service->metrics->minted[result]);
    }
}

void scep_metrics_admission(const scep_service_conf_t *service, int queued, int refused)
{
    if (!service->metrics) {
        return;
    }
    if (queued) {
        count(&service->metrics->queued);
    }
    if (refused) {
        count(&service->metrics->refused_busy);
    }
}

void scep_metrics_outstanding(const scep_service_conf_t *service, int outstanding)
{
    if (service->metrics && outstanding >= 0) {
        apr_atomic_set64(&service->metrics->outstanding, (apr_uint64_t)outstanding);
    }
}
