/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The security identifier extension of Windows' strong certificate mapping (KB5014754; [MS-WCCE]
 * section 2.2.2.7.7.4, szOID_NTDS_CA_SECURITY_EXT): it makes a certificate good for one account, so
 * only policy may add it.
 */
#ifndef CA_SID_H
#define CA_SID_H

#include <openssl/x509v3.h>

/* The extension (not critical) for "S-1-..."; the caller frees it.  NULL: no memory. */
X509_EXTENSION *ca_sid_make(const char *sid);

/* The first one of a list (NULL: an empty one), borrowed; NULL: there is none. */
const X509_EXTENSION *ca_sid_find(const STACK_OF(X509_EXTENSION) *list);

/* Whether a list holds exactly one, byte for byte that of sid. */
int ca_sid_is(const STACK_OF(X509_EXTENSION) *list, const char *sid);

#endif /* CA_SID_H */
