/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the start on, each host tells the store its fingerprints, hears of hosts that differ, and
 * removes expired records; its worker (mod_scep_worker.h) comes by for that.
 */
#ifndef MOD_SCEP_ANNOUNCE_H
#define MOD_SCEP_ANNOUNCE_H

#include "mod_scep_config.h"

/* post_config: what all children of this start share, for so many services.  It is kept with
 * pconf. */
apr_status_t scep_announce_setup(server_rec *main_server, int services, apr_pool_t *pconf);

/* Name of this host and instance, in p; what the service's store knows it by. */
const char *scep_announce_host(const scep_service_conf_t *service, apr_pool_t *p);

/* One time, until stopping says so; returns when the next one is due. */
apr_interval_time_t scep_announce(const scep_service_conf_t *service, int (*stopping)(void *),
                                  void *baton, apr_pool_t *p);

#endif /* MOD_SCEP_ANNOUNCE_H */
