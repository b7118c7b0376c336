/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler scep-metrics: every service of this host in Prometheus' text format 0.0.4, and the
 * lines that mod_status shows.  docs/monitoring.md describes each metric.
 */
#include "mod_scep_check.h"
#include "mod_scep_metrics.h"
#include "mod_scep_status.h"
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
static const char *const mint_names[SCEP_MINTS] = {"issued", "full", "failed"};
static const char *const time_names[SCEP_TIMES] = {"store", "policy", "ca", "total"};

/* The text in the making. */
typedef struct text_t {
    apr_array_header_t *pieces; /* of const char* */
    apr_array_header_t *services; /* of scep_service_conf_t* */
    apr_pool_t *p;
} text_t;

/* Appends a formatted piece. */
static void add(text_t *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(text_t *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    APR_ARRAY_PUSH(t->pieces, const char *) = apr_pvsprintf(t->p, format, args);
    va_end(args);
}

/* A label's value between its quotes. */
static const char *label(const char *text, apr_pool_t *p)
{
    char *escaped = apr_palloc(p, 2 * strlen(text) + 1), *o = escaped;

    for (; *text; text++) {
        if (*text == '\\' || *text == '"') {
            *o++ = '\\';
        }
        *o++ = *text == '\n' ? ' ' : *text;
    }
    *o = '\0';
    return escaped;
}

/* Starts a metric. */
static void head(text_t *t, const char *name, const char *type, const char *help)
{
    add(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The n-th service that is counted, and its label; NULL after the last. */
static const scep_metrics_t *counted(text_t *t, int n, const char **name)
{
    int i;

    for (i = 0; i < t->services->nelts; i++) {
        const scep_service_conf_t *service =
            APR_ARRAY_IDX(t->services, i, const scep_service_conf_t *);

        if (service->metrics && n-- == 0) {
            *name = label(service->name, t->p);
            return service->metrics;
        }
    }
    return NULL;
}

/* One line of a counter with a second label. */
static void line(text_t *t, const char *metric, const char *service, const char *key,
                 const char *value, const volatile apr_uint64_t *counter)
{
    add(t, "%s{service=\"%s\",%s=\"%s\"} %" APR_UINT64_T_FMT "\n", metric, service, key, value,
        scep_metrics_read(counter));
}

/* One line of a counter that has no other label. */
static void single(text_t *t, const char *metric, const char *service,
                   const volatile apr_uint64_t *counter)
{
    add(t, "%s{service=\"%s\"} %" APR_UINT64_T_FMT "\n", metric, service,
        scep_metrics_read(counter));
}

/* Requests by operation and by client, with their results. */
static void add_requests(text_t *t)
{
    const scep_metrics_t *m;
    const char *name;
    int i, j, n;

    head(t, "scep_requests_total", "counter", "Requests that were answered.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < SCEP_OPS; i++) {
            for (j = 0; j < SCEP_RESULTS; j++) {
                add(t,
                    "scep_requests_total{service=\"%s\",operation=\"%s\",result=\"%s\"} "
                    "%" APR_UINT64_T_FMT "\n",
                    name, op_names[i], outcome_result_name((outcome_result_e)j),
                    scep_metrics_read(&m->requests[i][j]));
            }
        }
    }
    head(t, "scep_client_requests_total", "counter", "PKIOperations by the client's system.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < SCEP_CLIENTS; i++) {
            for (j = 0; j < SCEP_RESULTS; j++) {
                add(t,
                    "scep_client_requests_total{service=\"%s\",client=\"%s\",result=\"%s\"} "
                    "%" APR_UINT64_T_FMT "\n",
                    name, scep_client_os_name((scep_client_os_e)i),
                    outcome_result_name((outcome_result_e)j),
                    scep_metrics_read(&m->clients[i][j]));
            }
        }
    }
}

/* What was refused, given again, and what became of challenges. */
static void add_counters(text_t *t)
{
    const scep_metrics_t *m;
    const char *name;
    int i, n;

    head(t, "scep_refusals_total", "counter", "CertRep FAILURE by failInfo.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = FAIL_INFO_NONE; i <= FAIL_INFO_BAD_CERT_ID; i++) {
            line(t, "scep_refusals_total", name, "failInfo", fail_info_name((fail_info_e)i),
                 &m->refused[i + 1]);
        }
    }
    head(t, "scep_challenge_failures_total", "counter",
         "Requests that were refused because of their challenge.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < SCEP_BADS; i++) {
            line(t, "scep_challenge_failures_total", name, "reason", bad_names[i],
                 &m->bad_challenges[i]);
        }
    }
    head(t, "scep_intune_refusals_total", "counter", "Refusals of Intune by its code.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < POLICY_INTUNE_CODES; i++) {
            if (scep_metrics_read(&m->intune[i])) { /* most services have no Intune */
                line(t, "scep_intune_refusals_total", name, "code", policy_intune_code_name(i),
                     &m->intune[i]);
            }
        }
    }
    head(t, "scep_challenge_orders_total", "counter", "Challenges that were asked for.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < SCEP_MINTS; i++) {
            line(t, "scep_challenge_orders_total", name, "result", mint_names[i], &m->minted[i]);
        }
    }
    head(t, "scep_challenges_used_total", "counter",
         "Certificates that were issued on a challenge.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        single(t, "scep_challenges_used_total", name, &m->challenges_used);
    }
    head(t, "scep_queued_total", "counter", "PKIOperations that waited for their turn.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        single(t, "scep_queued_total", name, &m->queued);
    }
    head(t, "scep_busy_refused_total", "counter", "PKIOperations that did not get a turn: 503.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        single(t, "scep_busy_refused_total", name, &m->refused_busy);
    }
    head(t, "scep_replays_total", "counter", "Certificates that were given once more.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        single(t, "scep_replays_total", name, &m->replays);
    }
}

/* One histogram: buckets add up. */
static void add_histogram(text_t *t, const char *service, const char *step,
                          const scep_histogram_t *h)
{
    apr_uint64_t sum = 0;
    int i;

    for (i = 0; i < SCEP_BUCKETS; i++) {
        sum += scep_metrics_read(&h->bucket[i]);
        add(t, "scep_duration_seconds_bucket{service=\"%s\",step=\"%s\",le=\"%g\"} "
               "%" APR_UINT64_T_FMT "\n",
            service, step, (double)scep_metrics_limits[i] / APR_USEC_PER_SEC, sum);
    }
    sum += scep_metrics_read(&h->bucket[SCEP_BUCKETS]);
    add(t, "scep_duration_seconds_bucket{service=\"%s\",step=\"%s\",le=\"+Inf\"} "
           "%" APR_UINT64_T_FMT "\n",
        service, step, sum);
    add(t, "scep_duration_seconds_sum{service=\"%s\",step=\"%s\"} %.6f\n", service, step,
        (double)scep_metrics_read(&h->sum) / APR_USEC_PER_SEC);
    add(t, "scep_duration_seconds_count{service=\"%s\",step=\"%s\"} %" APR_UINT64_T_FMT "\n",
        service, step, sum);
}

/* The latencies. */
static void add_times(text_t *t)
{
    const scep_metrics_t *m;
    const char *name;
    int i, n;

    head(t, "scep_duration_seconds", "histogram", "How long the steps of a PKIOperation took.");
    for (n = 0; (m = counted(t, n, &name)) != NULL; n++) {
        for (i = 0; i < SCEP_TIMES; i++) {
            add_histogram(t, name, time_names[i], &m->times[i]);
        }
    }
}

/* The end of one certificate. */
static void add_end(text_t *t, const scep_service_conf_t *service, const char *role,
                    const X509 *cert)
{
    struct tm tm;

    if (!cert || !ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm)) {
        return;
    }
    add(t,
        "scep_certificate_expiry_timestamp_seconds{service=\"%s\",role=\"%s\",serial=\"%s\"} "
        "%" APR_INT64_T_FMT "\n",
        label(service->name, t->p), role,
        crypt_serial_text(X509_get0_serialNumber((X509 *)cert), t->p), (apr_int64_t)timegm(&tm));
}

/* The ends of all certificates that the services depend on. */
static void add_ends(text_t *t)
{
    int i, j;

    head(t, "scep_certificate_expiry_timestamp_seconds", "gauge",
         "When the certificates that a service depends on end, in Unix time.");
    for (i = 0; i < t->services->nelts; i++) {
        const scep_service_conf_t *service =
            APR_ARRAY_IDX(t->services, i, const scep_service_conf_t *);
        STACK_OF(X509) *chain = NULL;

        if (service->core.has_ra) {
            add_end(t, service, "ra-signing", scep_service_signer(&service->core, 0)->cert);
            add_end(t, service, "ra-encryption",
                    APR_ARRAY_IDX(service->core.decrypters, 0, scep_ra_key_t).cert);
        }
        if (ca_chain_known(service->core.ca, &chain, t->p) == APR_SUCCESS) {
            for (j = 0; j < sk_X509_num(chain); j++) {
                add_end(t, service, "ca", sk_X509_value(chain, j));
            }
        }
        for (j = 0; j < sk_X509_num(service->core.next_certs); j++) {
            add_end(t, service, "next-ca", sk_X509_value(service->core.next_certs, j));
        }
    }
}

/* News that wait for their delivery. */
static void add_outbox(text_t *t, text_t *ages, const scep_service_conf_t *service,
                       const char *name)
{
    apr_time_t oldest;
    int count;

    if (store_outbox(service->store, service->name, &count, &oldest, t->p) != APR_SUCCESS) {
        return;
    }
    add(t, "scep_outbox_length{service=\"%s\"} %d\n", name, count);
    if (count > 0) {
        add(ages, "scep_outbox_oldest_timestamp_seconds{service=\"%s\"} %" APR_INT64_T_FMT "\n",
            name, apr_time_sec(oldest));
    }
}

/* An empty text beside another one. */
static text_t beside(const text_t *t)
{
    text_t other = *t;

    other.pieces = apr_array_make(t->p, 8, sizeof(const char *));
    return other;
}

/* What store and CA say at this moment. */
static void add_health(text_t *t)
{
    text_t store = beside(t), ca = beside(t), ready = beside(t), news = beside(t), ages = beside(t);
    int i;

    head(&store, "scep_store_up", "gauge", "Whether the store answers.");
    head(&ca, "scep_ca_up", "gauge", "Whether the CA backend answers.");
    head(&ready, "scep_ready", "gauge", "Whether devices can enroll at this host now.");
    head(&news, "scep_outbox_length", "gauge", "News that wait for their delivery.");
    head(&ages, "scep_outbox_oldest_timestamp_seconds", "gauge", "Since when the oldest waits.");
    for (i = 0; i < t->services->nelts; i++) {
        const scep_service_conf_t *service =
            APR_ARRAY_IDX(t->services, i, const scep_service_conf_t *);
        const scep_health_t *health = scep_status_health(service, t->p);
        const char *name = label(service->name, t->p);

        add(&store, "scep_store_up{service=\"%s\"} %d\n", name, !*health->store);
        add(&ca, "scep_ca_up{service=\"%s\"} %d\n", name, !*health->ca);
        add(&ready, "scep_ready{service=\"%s\"} %d\n", name, !health->problems->nelts);
        if (!*health->store) {
            add_outbox(&news, &ages, service, name);
        }
    }
    apr_array_cat(t->pieces, store.pieces);
    apr_array_cat(t->pieces, ca.pieces);
    apr_array_cat(t->pieces, ready.pieces);
    apr_array_cat(t->pieces, news.pieces);
    apr_array_cat(t->pieces, ages.pieces);
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
    text_t t;
    const char *text;
    int status;

    status = scep_http_take_get(r, "scep-metrics");
    if (status != OK) {
        return status;
    }
    t.p = r->pool;
    t.pieces = apr_array_make(r->pool, 512, sizeof(const char *));
    t.services = services_of(r->pool);
    head(&t, "scep_build_info", "gauge", "The version of mod_scep.");
    add(&t, "scep_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
    add_requests(&t);
    add_counters(&t);
    add_times(&t);
    add_ends(&t);
    add_health(&t);
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
