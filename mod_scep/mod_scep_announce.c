/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that share a store must share the challenge secret, the CA and the templates.  A difference
 * would show as enrollments that fail at one host and not at the other; here it shows at the start,
 * in one line per service.  Hosts forget each other after a day, so each repeats it, and removes
 * expired records on that occasion, which in an idle service nobody else does.
 */
#include "mod_scep_announce.h"
#include "mod_scep_crl_reach.h"
#include "mod_scep_log.h"
#include <apr_atomic.h>
#include <apr_hash.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(scep);

#define AGAIN apr_time_from_sec(5)    /* while the store or the CA is not reached */
#define PERIOD apr_time_from_sec(600) /* afterwards */
#define SWEEP_BATCH 1000
#define SWEEP_BATCHES 100
#define SWEEP_PAUSE apr_time_from_msec(20)

/* What is given out to services. */
typedef struct share_t {
    apr_uint32_t *next;
    apr_hash_t *stores; /* those that have a service to inspect them */
} share_t;

/* Gives each service its place in the shared memory, and each store a service that inspects it; a
 * visitor of scep_each_service(). */
static int share(scep_service_conf_t *service, void *baton)
{
    share_t *given = baton;

    apr_atomic_set32(given->next, 0);
    service->differs_told = given->next++;
    service->inspects =
        !apr_hash_get(given->stores, &service->store, sizeof(service->store));
    apr_hash_set(given->stores, &service->store, sizeof(service->store), "");
    return OK;
}

apr_status_t scep_announce_setup(server_rec *main_server, int services, apr_pool_t *pconf)
{
    share_t given;
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, services * sizeof(*given.next), NULL, pconf);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, main_server, SCEPTAG(0460) ": no shared memory");
        return rv;
    }
    given.next = apr_shm_baseaddr_get(shm);
    given.stores = apr_hash_make(pconf);
    scep_each_service(main_server, share, &given);
    return APR_SUCCESS;
}

const char *scep_announce_host(const scep_service_conf_t *service, apr_pool_t *p)
{
    char name[256] = "localhost";

    apr_gethostname(name, sizeof(name), p);
    return apr_pstrndup(p, apr_pstrcat(p, name, ":", service->effective.state_directory, NULL),
                        STORE_TEXT_MAX);
}

/* Adds "secret", "CA", "templates" as far as two hosts differ in them; "" when they do not. */
static const char *differences(const store_host_t *a, const store_host_t *b, apr_pool_t *p)
{
    const char *text = "";

    if (a->secret && b->secret && strcmp(a->secret, b->secret)) {
        text = apr_pstrcat(p, text, *text ? ", " : "", "challenge secret or policy", NULL);
    }
    if (a->ca && b->ca && strcmp(a->ca, CA_FINGERPRINT_UNKNOWN) &&
        strcmp(b->ca, CA_FINGERPRINT_UNKNOWN) && strcmp(a->ca, b->ca)) {
        text = apr_pstrcat(p, text, *text ? ", " : "", "CA", NULL);
    }
    if (a->templates && b->templates && strcmp(a->templates, b->templates)) {
        text = apr_pstrcat(p, text, *text ? ", " : "", "templates", NULL);
    }
    return text;
}

/* Announces a service, and whether that was the first time since the start that all of it was
 * known; the store's status. */
static apr_status_t announce(const scep_service_conf_t *service, int *first, int *known,
                             apr_pool_t *p)
{
    apr_array_header_t *others = NULL;
    STACK_OF(X509) *chain;
    store_host_t self;
    const char *text = "", *differs;
    apr_status_t rv;
    int i;

    memset(&self, 0, sizeof(self));
    self.host = scep_announce_host(service, p);
    self.secret = policy_fingerprint(service->core.policy, p);
    /* asks for it, where that has to be done, and says so */
    (void)ca_chain(service->core.ca, &chain, scep_log_server(service->server, p), p);
    self.ca = ca_fingerprint(service->core.ca, p);
    self.templates = ca_templates_fingerprint(service->core.ca, p);
    rv = store_announce(service->store, service->name, &self, &others, p);
    *known = strcmp(self.ca, CA_FINGERPRINT_UNKNOWN) != 0;
    *first = rv == APR_SUCCESS && *known && !apr_atomic_xchg32(service->differs_told, 1);
    if (!*first) {
        return rv;
    }
    for (i = 0; i < others->nelts; i++) {
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
    return APR_SUCCESS;
}

/* Removes expired records, in batches that do not hold up enrollments for long. */
static void sweep(const scep_service_conf_t *service, int (*stopping)(void *), void *baton,
                  apr_pool_t *p)
{
    int removed = SWEEP_BATCH, i;

    for (i = 0; removed == SWEEP_BATCH && i < SWEEP_BATCHES && !stopping(baton); i++) {
        if (i) {
            apr_sleep(SWEEP_PAUSE);
        }
        if (store_sweep(service->store, service->name, SWEEP_BATCH, &removed, p) != APR_SUCCESS) {
            return;
        }
    }
}

apr_interval_time_t scep_announce(const scep_service_conf_t *service, int (*stopping)(void *),
                                  void *baton, apr_pool_t *p)
{
    int first, known;

    if (announce(service, &first, &known, p) != APR_SUCCESS) {
        return AGAIN;
    }
    if (first && service->inspects) {
        (void)store_inspect(service->store, service->name, scep_log_server(service->server, p), p);
    }
    if (first) {
        scep_crl_reach(service, stopping, baton, p);
    }
    sweep(service, stopping, baton, p);
    return known ? PERIOD : AGAIN;
}
