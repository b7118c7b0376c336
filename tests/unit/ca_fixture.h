/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the CA backends share: a CSR with its grant, and a CA. */
#ifndef UNIT_CA_FIXTURE_H
#define UNIT_CA_FIXTURE_H

#include "../../ca_backend/ca_backend.h"
#include "../../common/grant_make.h"
#include "fixture.h"

typedef struct ca_fixture_request_t {
    csr_t *csr;
    grant_values_t values;
    const grant_t *grant;       /* of values */
} ca_fixture_request_t;

/* A CSR and the grant for it; extension NULL: none, template_name NULL: the default. */
ca_fixture_request_t *ca_fixture_request(EVP_PKEY *key, const char *common_name,
                                         const char *extension, const char *template_name);

/* A self-signed CA certificate of key, valid for days. */
X509 *ca_fixture_ca(EVP_PKEY *key, int days);

/* A configuration without templates and chain. */
ca_config_t *ca_fixture_config(void);

/* The local backend for cert and key, with more words (NULL: none); ends the test on an error. */
ca_t *ca_fixture_local(X509 *cert, EVP_PKEY *key, const char *word, const ca_config_t *cfg);

/* A deadline that is far away. */
apr_time_t ca_fixture_deadline(void);

#endif /* UNIT_CA_FIXTURE_H */
