/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the httpd glue share: the module record, the provider groups by which other
 * modules add stores, policies and CA backends, and the hooks that mod_scep.c hangs in.
 */
#ifndef MOD_SCEP_H
#define MOD_SCEP_H

#include "../ca_backend/ca_backend.h"

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>

/* Groups of ap_register_provider(); the objects are store_provider_t, policy_provider_t,
 * ca_provider_t. */
#define SCEP_STORE_GROUP "scep_store"
#define SCEP_POLICY_GROUP "scep_policy"
#define SCEP_CA_GROUP CA_PROVIDER_GROUP
#define SCEP_PROVIDER_VERSION CA_PROVIDER_VERSION

extern module AP_MODULE_DECLARE_DATA scep_module;

/* check_config: everything that needs no network; makes the services' objects. */
int scep_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/* open_logs: ScepAuditLog and ScepPolicyLog, when httpd opens its own logs. */
int scep_open_logs(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/* post_config: what a real start does besides (files, start-up lines), not a configuration test. */
int scep_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

void scep_child_init(apr_pool_t *pchild, server_rec *s);

/* Handlers of mscep.dll and mscep_admin; DECLINED for a request that scep_route.c did not mark. */
int scep_enroll_handler(request_rec *r);
int scep_admin_handler(request_rec *r);
int scep_point_handler(request_rec *r); /* registration point */
int scep_crl_handler(request_rec *r);   /* the CRL by URL */

/* Handlers by name (SetHandler): scep-status for people, scep-ready for load balancers,
 * scep-metrics for Prometheus; and what mod_status shows. */
int scep_status_handler(request_rec *r);
int scep_ready_handler(request_rec *r);
int scep_metrics_handler(request_rec *r);
void scep_metrics_register(apr_pool_t *p);

#endif /* MOD_SCEP_H */
