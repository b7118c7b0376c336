/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ScepConcurrency: how many PKIOperations of a service a child works on at once.  Only what costs
 * private-key operations, store, policy or CA takes a place; it has been read whole before, so that
 * a slow client holds none.
 */
#ifndef MOD_SCEP_ADMISSION_H
#define MOD_SCEP_ADMISSION_H

#include "mod_scep_config.h"

/* child_init: makes the service's gate in pchild; without a limit there is none. */
apr_status_t scep_admission_child(scep_service_conf_t *service, apr_pool_t *pchild);

/*
 * Takes a place, may wait for one.  OK: scep_admission_leave() must follow.  HTTP 503: there is
 * none; Retry-After is set, and it is counted and logged.
 */
int scep_admission_enter(request_rec *r, const scep_service_conf_t *service);
void scep_admission_leave(const scep_service_conf_t *service);

#endif /* MOD_SCEP_ADMISSION_H */
