/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The linter: certificates and httpd settings that are valid, and that some device refuses all the
 * same.  Every finding says what it is and what it breaks.
 */
#ifndef MOD_SCEP_LINT_H
#define MOD_SCEP_LINT_H

#include "mod_scep_check.h"

/*
 * An RA certificate that was loaded for a use (KU_DIGITAL_SIGNATURE or KU_KEY_ENCIPHERMENT).
 * generation 0 is the current one; the others may be over or not have begun.
 */
void scep_lint_ra(scep_check_t *check, scep_service_conf_t *service, const char *directive,
                  const char *file, const scep_ra_key_t *pair, unsigned usage, int generation);

/* All RA certificates of the service together, once they are loaded. */
void scep_lint_ras(scep_check_t *check, scep_service_conf_t *service);

/* The CA that answers devices by itself. */
void scep_lint_identity(scep_check_t *check, scep_service_conf_t *service,
                        const scep_ra_key_t *pair);

/* From the issuing CA to the root, as directive names it. */
void scep_lint_chain(scep_check_t *check, scep_service_conf_t *service, const char *directive,
                     STACK_OF(X509) * chain);

/* ScepCRLFile, when it is given: whether it is current.  No CRL is fetched. */
void scep_lint_crl(scep_check_t *check, scep_service_conf_t *service);

/* The first URL of a CRL that the certificate names, in p; NULL: none. */
const char *scep_lint_crl_url(X509 *cert, apr_pool_t *p);

/* The next CA's chain, and an RA certificate under it. */
void scep_lint_next_chain(scep_check_t *check, scep_service_conf_t *service,
                          STACK_OF(X509) * chain);
void scep_lint_next_ra(scep_check_t *check, scep_service_conf_t *service, const char *file,
                       X509 *cert, STACK_OF(X509) * chain);

/* mod_scep_lint_httpd.c: settings of the service's virtual host; httpd -t only. */
void scep_lint_httpd(scep_check_t *check, scep_service_conf_t *service);

#endif /* MOD_SCEP_LINT_H */
