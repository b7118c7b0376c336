/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler scep-metrics: every service of this host in Prometheus' text format 0.0.4, and the
 * lines that mod_status shows.  docs/monitoring.md describes each metric.
 */
#include "mod_scep_check.h"
#include "mod_scep_http.h"
#include "mod_scep_log.h"
#include "mod_scep_metrics_text.h"
#include <apr_optional_hooks.h>
#include <apr_strings.h>
#include <http_main.h>
#include <http_protocol.h>
#include <mod_status.h>

static const char *const op_names[SCEP_OPS] = {"GetCACaps",  "GetCACert", "GetNextCACert",
                                               "PKCSReq",    "RenewalReq", "CertPoll",
                                               "GetCert",    "GetCRL",    "other"};
static const char *const bad_names[SCEP_BADS] = {"missing", "unknown", "used", "expired",
                                                 "burned",  "held",    "bound"};
static const char *const away_names[SCEP_AWAYS] = {
    "store", "ca", "webhook", "intune", "registration-point", "busy", "other"};
static const char *const mint_names[SCEP_MINTS] = {"issued", "full", "failed"};
static const char *const time_names[SCEP_TIMES] = {"store", "policy", "ca", "total"};

/* The n-th service that is counted, and its label; NULL after the last. */
static const scep_metrics_t *counted(scep_text_t *t, int n, const char **name)
{
    int i;

    for (i = 0; i < t->services->nelts; i++) {
        const scep_service_conf_t *service =
            APR_ARRAY_IDX(t->services, i, const scep_service_conf_t *);

        if (service->metrics && n-- == 0) {
            *name = scep_text_label(service->name, t->p);
            return service->metrics;
        }
    }
    return NULL;
}

/* One line of a counter with a second label. */
static void line(scep_text_t *t, const char *metric, const char *service, const char *key,
                 const char *value, const volatile apr_uint64_t *counter)
{
    scep_text_add(t, "%s{service=\"%s\",%s=\"%s\"} %" APR_UINT64_T_FMT "\n", metric, service, key,
                  value, scep_metrics_read(counter));
}

/* One line of a counter that has no other label. */
static void single(scep_text_t *t, const char *metric, const char *service,
                   const volatile apr_uint64_t *counter)
{
    scep_text_add(t, "%s{service=\"%s\"} %" APR_UINT64_T_FMT "\n", metric, service,
        scep_metrics_read(counter));
}

/* Requests by operation and by client, with their results. */
static void add_requests(scep_text_t *t)
{
    const scep_metrics_t *m;
    const char *name;
    int i, j, n;

    scep_text_head(t, "scep_requests_total", "counter", "Requests that were answered.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < SCEP_OPS; i++) {
            for (j = 0; j < SCEP_RESULTS; j++) {
                scep_text_add(t,
                    "scep_requests_total{service=\"%s\",operation=\"%s\",result=\"%s\"} "
                    "%" APR_UINT64_T_FMT "\n",
                    name, op_names[i], outcome_result_name((outcome_result_e)j),
                    scep_metrics_read(&m->requests[i][j]));
            }
        }
    }
    scep_text_head(t, "scep_client_requests_total", "counter",
                   "PKIOperations by the client's system.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < SCEP_CLIENTS; i++) {
            for (j = 0; j < SCEP_RESULTS; j++) {
                scep_text_add(t,
                    "scep_client_requests_total{service=\"%s\",client=\"%s\",result=\"%s\"} "
                    "%" APR_UINT64_T_FMT "\n",
                    name, scep_client_os_name((scep_client_os_e)i),
                    outcome_result_name((outcome_result_e)j),
                    scep_metrics_read(&m->clients[i][j]));
            }
        }
    }
}

/* Counters of scep_metrics_t with at most one label besides the service. */
static const struct {
    const char *metric, *help, *key; /* key NULL: no label */
    const char *const *names;        /* its values */
    int count;
    apr_size_t offset; /* of the first one */
} counters[] = {
#define AT(member) offsetof(scep_metrics_t, member)
    {"scep_unavailable_total", "PKIOperations without a verdict, by who gave no answer.", "cause",
     away_names, SCEP_AWAYS, AT(away)},
    {"scep_challenge_failures_total", "Requests that were refused because of their challenge.",
     "reason", bad_names, SCEP_BADS, AT(bad_challenges)},
    {"scep_challenge_orders_total", "Challenges that were asked for.", "result", mint_names,
     SCEP_MINTS, AT(minted)},
    {"scep_challenges_used_total", "Certificates that were issued on a challenge.", NULL, NULL, 1,
     AT(challenges_used)},
    {"scep_queued_total", "PKIOperations that waited for their turn.", NULL, NULL, 1, AT(queued)},
    {"scep_busy_refused_total", "PKIOperations that did not get a turn: HTTP 503.", NULL, NULL, 1,
     AT(refused_busy)},
    {"scep_replays_total", "Certificates that were given once more.", NULL, NULL, 1, AT(replays)},
#undef AT
};

/* What was refused, given again, and what became of challenges. */
static void add_counters(scep_text_t *t)
{
    const volatile apr_uint64_t *first;
    const scep_metrics_t *m;
    const char *name;
    apr_size_t k;
    int i, n;

    for (k = 0; k < sizeof(counters) / sizeof(counters[0]); k++) {
        scep_text_head(t, counters[k].metric, "counter", counters[k].help);
        for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
            first = (const volatile apr_uint64_t *)((const char *)m + counters[k].offset);
            for (i = 0; counters[k].key && i < counters[k].count; i++) {
                line(t, counters[k].metric, name, counters[k].key, counters[k].names[i], &first[i]);
            }
            if (!counters[k].key) {
                single(t, counters[k].metric, name, first);
            }
        }
    }
}

/* How often the master of a store was looked up again. */
static void add_relocations(scep_text_t *t)
{
    const scep_metrics_t *m;
    const char *name;
    int i, n;

    scep_text_head(t, "scep_store_relocations_total", "counter",
                   "How often the store's master was looked up again, by reason.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < STORE_MOVES; i++) {
            line(t, "scep_store_relocations_total", name, "reason",
                 store_move_name((store_move_e)i), &m->store.moves[i]);
        }
    }
}

/* Refusals, by what devices are told and by what Intune said. */
static void add_refusals(scep_text_t *t)
{
    const scep_metrics_t *m;
    const char *name;
    int i, n;

    scep_text_head(t, "scep_refusals_total", "counter", "CertRep FAILURE by failInfo.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = FAIL_INFO_NONE; i <= FAIL_INFO_BAD_CERT_ID; i++) {
            line(t, "scep_refusals_total", name, "fail_info", fail_info_name((fail_info_e)i),
                 &m->refused[i + 1]);
        }
    }
    scep_text_head(t, "scep_intune_refusals_total", "counter", "Refusals of Intune by its code.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < POLICY_INTUNE_CODES; i++) {
            if (scep_metrics_read(&m->intune[i])) { /* most services have no Intune */
                line(t, "scep_intune_refusals_total", name, "code", policy_intune_code_name(i),
                     &m->intune[i]);
            }
        }
    }
}

/* One histogram: buckets add up. */
static void add_histogram(scep_text_t *t, const char *service, const char *step,
                          const scep_histogram_t *h)
{
    apr_uint64_t sum = 0;
    int i;

    for (i = 0; i < SCEP_BUCKETS; i++) {
        sum += scep_metrics_read(&h->bucket[i]);
        scep_text_add(t, "scep_duration_seconds_bucket{service=\"%s\",step=\"%s\",le=\"%g\"} "
               "%" APR_UINT64_T_FMT "\n",
            service, step, (double)scep_metrics_limits[i] / APR_USEC_PER_SEC, sum);
    }
    sum += scep_metrics_read(&h->bucket[SCEP_BUCKETS]);
    scep_text_add(t, "scep_duration_seconds_bucket{service=\"%s\",step=\"%s\",le=\"+Inf\"} "
           "%" APR_UINT64_T_FMT "\n",
        service, step, sum);
    scep_text_add(t, "scep_duration_seconds_sum{service=\"%s\",step=\"%s\"} %.6f\n", service, step,
        (double)scep_metrics_read(&h->sum) / APR_USEC_PER_SEC);
    scep_text_add(t,
                  "scep_duration_seconds_count{service=\"%s\",step=\"%s\"} "
                  "%" APR_UINT64_T_FMT "\n",
        service, step, sum);
}

/* The latencies. */
static void add_times(scep_text_t *t)
{
    const scep_metrics_t *m;
    const char *name;
    int i, n;

    scep_text_head(t, "scep_duration_seconds", "histogram",
                   "How long the steps of a PKIOperation took.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < SCEP_TIMES; i++) {
            add_histogram(t, name, time_names[i], &m->times[i]);
        }
    }
}

/* Gathers a service; a visitor of scep_each_service(). */
static int gather(scep_service_conf_t *service, void *baton)
{
    APR_ARRAY_PUSH((apr_array_header_t *)baton, scep_service_conf_t *) = service;
    return OK;
}

/* Every service of this program, whatever virtual host it is in. */
static apr_array_header_t *services_of(apr_pool_t *p)
{
    apr_array_header_t *services = apr_array_make(p, 8, sizeof(scep_service_conf_t *));

    scep_each_service(ap_server_conf, gather, services);
    return services;
}

int scep_metrics_handler(request_rec *r)
{
    scep_text_t t;
    const char *text;
    int status;

    status = scep_http_take_get(r, "scep-metrics");
    if (status != OK) {
        return status;
    }
    t.p = r->pool;
    t.log = scep_log_request(r);
    t.pieces = apr_array_make(r->pool, 512, sizeof(const char *));
    t.services = services_of(r->pool);
    scep_text_head(&t, "scep_build_info", "gauge", "The version of mod_scep.");
    scep_text_add(&t, "scep_build_info{version=\"%s\"} 1\n", SCEP_VERSION);
    add_requests(&t);
    add_refusals(&t);
    add_counters(&t);
    add_relocations(&t);
    add_times(&t);
    scep_metrics_now(&t);
    text = apr_array_pstrcat(r->pool, t.pieces, 0);
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    return scep_http_send(r, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text,
                          strlen(text));
}

/* The sum of a result over all operations that enroll. */
static apr_uint64_t enrollments(const scep_metrics_t *m, outcome_result_e result)
{
    return scep_metrics_read(&m->requests[SCEP_OP_PKCSREQ][result]) +
           scep_metrics_read(&m->requests[SCEP_OP_RENEWALREQ][result]) +
           scep_metrics_read(&m->requests[SCEP_OP_CERTPOLL][result]);
}

/* mod_status' hook: lines "Key: value" for ?auto, else a table. */
static int show_status(request_rec *r, int flags)
{
    static const outcome_result_e results[] = {OUTCOME_SUCCESS, OUTCOME_PENDING, OUTCOME_REFUSED,
                                               OUTCOME_UNAVAILABLE, OUTCOME_LIMITED};
    static const char *const titles[] = {"Issued", "Pending", "Refused", "Unavailable", "Limited"};
    apr_array_header_t *services = services_of(r->pool);
    int brief = flags & AP_STATUS_SHORT, i;
    apr_size_t j;

    if (!brief) {
        ap_rputs("<hr />\n<h2>SCEP enrollments</h2>\n<table>\n<tr><th>Service</th>", r);
        for (j = 0; j < sizeof(titles) / sizeof(titles[0]); j++) {
            ap_rprintf(r, "<th>%s</th>", titles[j]);
        }
        ap_rputs("</tr>\n", r);
    }
    for (i = 0; i < services->nelts; i++) {
        const scep_service_conf_t *service = APR_ARRAY_IDX(services, i, scep_service_conf_t *);
        const char *name = ap_escape_html(r->pool, service->name);

        if (!brief) {
            ap_rprintf(r, "<tr><td>%s</td>", name);
        }
        for (j = 0; service->metrics && j < sizeof(results) / sizeof(results[0]); j++) {
            apr_uint64_t number = enrollments(service->metrics, results[j]);

            if (brief) {
                ap_rprintf(r, "Scep %s %s: %" APR_UINT64_T_FMT "\n", name, titles[j], number);
            }
            else {
                ap_rprintf(r, "<td>%" APR_UINT64_T_FMT "</td>", number);
            }
        }
        ap_rputs(brief ? "" : "</tr>\n", r);
    }
    ap_rputs(brief ? "" : "</table>\n", r);
    return OK;
}

void scep_metrics_register(apr_pool_t *p)
{
    (void)p;
    APR_OPTIONAL_HOOK(ap, status_hook, show_status, NULL, NULL, APR_HOOK_MIDDLE);
}
