/* SPDX-License-Identifier: Apache-2.0 */
/* Tells in the log what of a store's own settings endangers what it keeps (store.h). */
#include "store.h"

apr_status_t store_inspect(store_t *store, const char *service, const log_sink_t *log,
                           apr_pool_t *p)
{
    apr_array_header_t *findings = apr_array_make(p, 4, sizeof(store_finding_t));
    const store_finding_t *finding;
    apr_status_t rv;
    int i;

    if (!store->provider->inspect)
        return APR_SUCCESS;
    rv = store->provider->inspect(store, service, &findings, p);
    if (rv != APR_SUCCESS)
        log_to(log, LOG_SINK_INFO, SCEPTAG(0214), "store %s: its settings cannot be looked at: %s",
               store->display, store_error(p));
    for (i = 0; i < findings->nelts; i++) {
        finding = &APR_ARRAY_IDX(findings, i, store_finding_t);
        if (finding->level <= LOG_SINK_WARN)
            log_to(log, LOG_SINK_WARN, SCEPTAG(0212), "store %s: %s", store->display,
                   finding->text);
        else
            log_to(log, LOG_SINK_INFO, SCEPTAG(0213), "store %s: %s", store->display,
                   finding->text);
    }
    return rv;
}
