/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetNextCACert (RFC 8894 section 4.7): the certificates of the CA that comes next, vouched for by
 * the one in force, so that a device can install them before the change.
 */
#ifndef SCEP_NEXT_CA_H
#define SCEP_NEXT_CA_H

#include "scep.h"

/*
 * The degenerate SignedData of service->next_certs into service->next_ca (section 4.7.1), in p.
 * Error text in p, NULL on success and without next_certs.
 */
const char *scep_next_ca_prepare(scep_service_t *service, apr_pool_t *p);

/*
 * What vouches for the next CA, borrowed: the CA's own key where this host has it, else the current
 * RA signing pair, which clients know by GetCACert.
 */
scep_ra_key_t scep_next_ca_signer(const scep_service_t *service);

/*
 * A SignedData around service->next_ca, with the signer's certificate in it; DER in p.
 * APR_ENOTIMPL: no next CA; APR_EGENERAL: OpenSSL failed, its queue says why.
 */
apr_status_t scep_next_ca_make(crypt_buf_t *der, const scep_service_t *service, apr_pool_t *p);

#endif /* SCEP_NEXT_CA_H */
