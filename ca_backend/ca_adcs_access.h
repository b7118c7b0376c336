/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks AD CS, and who signs the request: the options that adcs and certsrv have in common.
 *
 * Thread rule: made in the parent, child_init in each child; afterwards any thread.
 */
#ifndef CA_ADCS_ACCESS_H
#define CA_ADCS_ACCESS_H

#include "../common/secret.h"
#include "ca_adcs_agent.h"
#include "ca_backend.h"

#define ADCS_ACCESS_KEYS                                                                           \
    {"request", "cmc|pkcs10", 0}, {"agentCertificate", "FILE", 0}, {"agentKey", "FILE", 0},        \
        {"userFile", "FILE", 0}, {"keytab", "FILE", 0}, {"principal", "NAME@REALM", 0}

typedef struct adcs_access_t {
    adcs_agent_t *agent;        /* NULL: the PKCS#10 goes as it is */
    secret_file_t *user;        /* user:password; NULL: TLS' certificate or Kerberos says who we
                                 * are, which is the HTTP client's affair */
} adcs_access_t;

/* Reads the options and their files.  Error text in p, NULL on success. */
const char *adcs_access_make(adcs_access_t *access, const settings_t *settings, apr_pool_t *p);

apr_status_t adcs_access_child_init(adcs_access_t *access, apr_pool_t *pchild);

/* User and password, wiped with p; NULL: there are none. */
void adcs_access_user(adcs_access_t *access, const char **puser, const char **ppassword,
                      const log_sink_t *log, apr_pool_t *p);

/* The request as CMC message, signed by the agent, which there must be; 0: out is UNAVAILABLE. */
int adcs_access_sign(adcs_access_t *access, crypt_buf_t *cmc, const ca_request_t *request,
                     outcome_t *out, const log_sink_t *log, apr_pool_t *p);

/* See ca_provider_t.health: the agent's certificate is still valid. */
apr_status_t adcs_access_health(adcs_access_t *access, const char **text, apr_pool_t *p);

#endif /* CA_ADCS_ACCESS_H */
