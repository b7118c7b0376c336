/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether devices that ask for the CRL of the RA's and CA's certificates get one: what httpd -t
 * cannot know, since it asks no network.
 */
#ifndef MOD_SCEP_CRL_REACH_H
#define MOD_SCEP_CRL_REACH_H

#include "mod_scep_config.h"

/*
 * Fetches each CRL that the current RA certificates and the CA chain name by http: or https:, and
 * says in the log what is wrong with it.  In a thread that may block: up to three seconds for each;
 * stopping(baton) ends it before the next.
 */
void scep_crl_reach(const scep_service_conf_t *service, int (*stopping)(void *), void *baton,
                    apr_pool_t *p);

#endif /* MOD_SCEP_CRL_REACH_H */
