/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the templates share; for ca_template*.c only. */
#ifndef CA_TEMPLATE_PARSE_H
#define CA_TEMPLATE_PARSE_H

#include "ca_template.h"

/* Whether the comma-separated list holds word (case does not matter). */
int ca_template_list_has(const char *list, const char *word);

/* Cuts the next item off *list, in p; NULL at the end. */
const char *ca_template_next_item(const char **list, apr_pool_t *p);

/* Reads certificatePolicies, msTemplate and msTemplateOid; error text in p, NULL on success. */
const char *ca_template_read_policies(ca_template_t *t, const settings_t *s, apr_pool_t *p);

#endif /* CA_TEMPLATE_PARSE_H */
