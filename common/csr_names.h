/* SPDX-License-Identifier: Apache-2.0 */
/* The alternative names that a CSR asks for, in words; for logs, pages and whoever is asked. */
#ifndef COMMON_CSR_NAMES_H
#define COMMON_CSR_NAMES_H

#include "csr.h"
#include <apr_tables.h>

/*
 * One const char* per name, in the CSR's order: "DNS:", "email:", "URI:", "IP:", "UPN:", "dirName:"
 * (RFC 2253), "RID:" and "otherName:" (OIDs), "other" for the kinds that nobody uses (X.400, EDI).
 * Control characters are "?", bytes that are no UTF-8 stay.  An address of a wrong length is shown
 * in hex.  Empty without subjectAltName; NULL: it cannot be read.
 */
apr_array_header_t *csr_names(const csr_t *csr, apr_pool_t *p);

#endif /* COMMON_CSR_NAMES_H */
