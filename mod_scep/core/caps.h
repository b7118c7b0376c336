/* SPDX-License-Identifier: Apache-2.0 */
/* GetCACaps (RFC 8894 section 3.5.2): generated from what the service takes, never more. */
#ifndef SCEP_CAPS_H
#define SCEP_CAPS_H

#include "scep.h"

/* The body, keywords ended by LF, in p. */
const char *scep_caps_make(const scep_service_t *service, apr_pool_t *p);

/*
 * The first keyword of ScepCapabilities that promises what the service does not do; NULL if there
 * is none.
 */
const char *scep_caps_unserved(const scep_service_t *service, apr_pool_t *p);

/* Error text if text is not a list of the RFC's keywords, one a line; NULL if it is. */
const char *scep_caps_check(const char *text, apr_pool_t *p);

#endif /* SCEP_CAPS_H */
