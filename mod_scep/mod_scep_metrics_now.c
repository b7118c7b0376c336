/* SPDX-License-Identifier: Apache-2.0 */
/* What is so at the moment of the scrape; see mod_scep_metrics_text.h. */
#include "mod_scep_check.h"
#include "mod_scep_metrics_text.h"
#include "mod_scep_status.h"
#include <apr_strings.h>

/* Waiting requests are counted up to here: the store has to show each of them. */
#define WAITING_MAX 200

void scep_text_add(scep_text_t *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    APR_ARRAY_PUSH(t->pieces, const char *) = apr_pvsprintf(t->p, format, args);
    va_end(args);
}

const char *scep_text_label(const char *text, apr_pool_t *p)
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

void scep_text_head(scep_text_t *t, const char *name, const char *type, const char *help)
{
    scep_text_add(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The end of one certificate. */
static void add_end(scep_text_t *t, const scep_service_conf_t *service, const char *role,
                    const X509 *cert)
{
    if (!cert) {
        return;
    }
    scep_text_add(t,
        "scep_certificate_expiry_timestamp_seconds{service=\"%s\",role=\"%s\",serial=\"%s\"} "
        "%" APR_INT64_T_FMT "\n",
        scep_text_label(service->name, t->p), role,
        crypt_serial_text(X509_get0_serialNumber((X509 *)cert), t->p),
        apr_time_sec(crypt_asn1_time(X509_get0_notAfter(cert))));
}

/* The ends of all certificates that the services depend on. */
static void add_ends(scep_text_t *t)
{
    int i, j;

    scep_text_head(t, "scep_certificate_expiry_timestamp_seconds", "gauge",
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

/* The gauges, each with its samples; those of one metric stand together. */
enum {
    STORE_UP, STORE_RESTS, CA_UP, CA_RESTS, POLICY_RESTS, READY, NEWS, NEWS_AGE, MADE, MADE_MAX,
    WAITING, WAITING_CA, WAITING_AGE, GAUGES
};

static const struct {
    const char *name, *help;
} gauges[GAUGES] = {
    {"scep_store_up", "Whether the store answers."},
    {"scep_store_resting",
     "Whether the store is left alone after failures, by the child that answers."},
    {"scep_ca_up", "Whether the CA backend answers."},
    {"scep_ca_resting", "Whether the CA is left alone after failures, by the child that answers."},
    {"scep_policy_resting",
     "Whether whom a policy asks is left alone after failures, by the child that answers."},
    {"scep_ready", "Whether devices can enroll at this host now."},
    {"scep_outbox_length", "News that wait for their delivery."},
    {"scep_outbox_oldest_timestamp_seconds", "Since when the oldest waits."},
    {"scep_challenges_outstanding", "Challenges of all hosts, when this one made one last."},
    {"scep_challenges_max", "ScepChallengeMax."},
    {"scep_pending_requests", "Requests that wait for a person or for the CA."},
    {"scep_pending_ca_unavailable", "Those of them that wait since the CA could not be asked."},
    {"scep_pending_oldest_timestamp_seconds", "Since when the oldest of them waits."},
};

/* Adds a service's sample to a gauge. */
static void put(scep_text_t *all, int gauge, const char *name, apr_int64_t number)
{
    scep_text_add(&all[gauge], "%s{service=\"%s\"} %" APR_INT64_T_FMT "\n", gauges[gauge].name,
                  name, number);
}

/* News that wait for their delivery. */
static void put_outbox(scep_text_t *all, const scep_service_conf_t *service, const char *name,
                       apr_pool_t *p)
{
    apr_time_t oldest;
    int count;

    if (store_outbox(service->store, service->name, &count, &oldest, p) != APR_SUCCESS) {
        return;
    }
    put(all, NEWS, name, count);
    if (count > 0) {
        put(all, NEWS_AGE, name, apr_time_sec(oldest));
    }
}

/* Requests that wait. */
static void put_waiting(scep_text_t *all, const scep_service_conf_t *service, const char *name)
{
    apr_array_header_t *txs = NULL;
    outcome_t out;
    int i, down = 0;

    outcome_init(&out);
    if (policy_waiting(service->core.policy, WAITING_MAX, &txs, &out, all->log, all->p) !=
        APR_SUCCESS) {
        return;
    }
    for (i = 0; txs && i < txs->nelts; i++) {
        down += policy_retry_of(APR_ARRAY_IDX(txs, i, const store_tx_t *)->cookie).tries > 0;
    }
    put(all, WAITING, name, txs ? txs->nelts : 0);
    put(all, WAITING_CA, name, down);
    if (txs && txs->nelts) {
        put(all, WAITING_AGE, name,
            apr_time_sec(APR_ARRAY_IDX(txs, 0, const store_tx_t *)->created));
    }
}

/* Policies that ask somebody else. */
static void put_policies(scep_text_t *all, const scep_service_conf_t *service, const char *name)
{
    const char *policy;
    int n, rests;

    for (n = 0; (rests = policy_is_resting(service->core.policy, n, &policy, all->p)) >= 0; n++) {
        scep_text_add(&all[POLICY_RESTS], "%s{service=\"%s\",policy=\"%s\"} %d\n",
                      gauges[POLICY_RESTS].name, name, scep_text_label(policy, all->p), rests);
    }
}

/* What one service can say now. */
static void put_service(scep_text_t *all, const scep_service_conf_t *service, apr_pool_t *p)
{
    const scep_health_t *health = scep_status_health(service, p);
    const char *name = scep_text_label(service->name, p);

    put(all, STORE_UP, name, !*health->store);
    put(all, STORE_RESTS, name, store_is_resting(service->store, service->name, p));
    put(all, CA_UP, name, !*health->ca);
    put(all, CA_RESTS, name, ca_is_resting(service->core.ca));
    put_policies(all, service, name);
    put(all, READY, name, !health->problems->nelts);
    put(all, MADE_MAX, name, service->effective.max);
    if (service->metrics) {
        put(all, MADE, name, (apr_int64_t)scep_metrics_read(&service->metrics->outstanding));
    }
    if (!*health->store) {
        put_outbox(all, service, name, p);
        put_waiting(all, service, name);
    }
}

void scep_metrics_now(scep_text_t *t)
{
    scep_text_t all[GAUGES];
    int i;

    add_ends(t);
    for (i = 0; i < GAUGES; i++) {
        all[i] = *t;
        all[i].pieces = apr_array_make(t->p, 8, sizeof(const char *));
        scep_text_head(&all[i], gauges[i].name, "gauge", gauges[i].help);
    }
    for (i = 0; i < t->services->nelts; i++) {
        put_service(all, APR_ARRAY_IDX(t->services, i, const scep_service_conf_t *), t->p);
    }
    for (i = 0; i < GAUGES; i++) {
        apr_array_cat(t->pieces, all[i].pieces);
    }
}
