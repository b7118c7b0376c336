/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The enrollment agent's certificate and key: what NDES holds as "Exchange Enrollment Agent
 * (Offline Request)", and what a template that wants an authorized signature asks for.
 */
#ifndef CA_ADCS_AGENT_H
#define CA_ADCS_AGENT_H

#include "../common/crypt.h"
#include "../common/log.h"

typedef struct adcs_agent_t adcs_agent_t;

/*
 * Reads PEM files, in the parent, as root.  The certificate must be in use, for signatures and for
 * "Certificate Request Agent", and the key its own.  Error text in p, NULL on success.
 */
const char *adcs_agent_make(adcs_agent_t **pagent, const char *certificate_file,
                            const char *key_file, apr_pool_t *p);

/* In each child, before adcs_agent_get(). */
apr_status_t adcs_agent_child_init(adcs_agent_t *agent, apr_pool_t *pchild);

/*
 * Certificate and key, owned by p.  Files that changed are read again first; where that is not
 * possible (the child may not be allowed to), the old ones stay in use and log says so once per
 * change (SCEP0358).
 */
void adcs_agent_get(adcs_agent_t *agent, X509 **pcert, EVP_PKEY **pkey, const log_sink_t *log,
                    apr_pool_t *p);

#endif /* CA_ADCS_AGENT_H */
