/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the start on, one child tells each store this host's fingerprints, hears of hosts that
 * differ, and removes expired records.
 */
#ifndef MOD_SCEP_ANNOUNCE_H
#define MOD_SCEP_ANNOUNCE_H

#include "mod_scep_config.h"

/* post_config: what all children of this start share.  It is kept with pconf. */
apr_status_t scep_announce_setup(server_rec *main_server, apr_pool_t *pconf);

/* child_init: the first child starts a thread for it, so that a store that is down delays nothing.
 */
void scep_announce_child(server_rec *main_server, apr_pool_t *pchild);

#endif /* MOD_SCEP_ANNOUNCE_H */
