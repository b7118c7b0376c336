/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of a service's CA (ca_backend/ca_ledger.h), kept in the service's store under the name
 * of the CA: services that issue by one CA share its revocations and its CRL.
 */
#ifndef MOD_SCEP_LEDGER_H
#define MOD_SCEP_LEDGER_H

#include "mod_scep_config.h"

/* Makes the ledger, for ca_config_t; lives in p.  Nobody is asked before child_init. */
ca_ledger_t *scep_ledger_make(const scep_service_conf_t *service, apr_pool_t *p);

/* After ca_make(): gives the ledger the name of the service's CA.  0: the CA is not known, or
 * memory or SHA-256 is missing; the ledger gives no answer then. */
int scep_ledger_name(ca_ledger_t *ledger, apr_pool_t *p);

/* That name, as a service of the store; NULL: it has none. */
const char *scep_ledger_get0_name(const ca_ledger_t *ledger);

#endif /* MOD_SCEP_LEDGER_H */
