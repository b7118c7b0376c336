/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CA's certificates, issuing CA first: out of a file, or fetched from a CA that tells them; for
 * ca_*.c only.
 *
 * What was fetched is kept in memory and in a file of the state directory, so that GetCACert is
 * served while the CA is down, also after a restart.  It is trusted because the connection it came
 * by was verified; it is public, and checked again whenever the file is read.
 */
#ifndef CA_CHAIN_H
#define CA_CHAIN_H

#include "ca_backend.h"

#define CA_CHAIN_FRESH  apr_time_from_sec(3600)     /* older ones are fetched again */
#define CA_CHAIN_PAUSE  apr_time_from_sec(60)       /* after a failure, where there is an old one */
#define CA_CHAIN_SOON   apr_time_from_sec(5)        /* after a failure without one */
#define CA_CHAIN_BUDGET apr_time_from_sec(5)        /* of one fetch at most; 3 s with an old one */

/* What is trusted: valid as long as the pool it was asked with. */
typedef struct ca_trust_t {
    STACK_OF(X509) *chain;
    X509_STORE *store;          /* trusts chain; NULL: no memory */
} ca_trust_t;

/* A store that trusts every certificate of chain, owned by p; NULL if there is no memory. */
X509_STORE *ca_store_make(STACK_OF(X509) *chain, apr_pool_t *p);

/* The certificates of a PEM file in any order, the issuing CA first.  Error text in p, or NULL. */
const char *ca_chain_load(STACK_OF(X509) **pchain, const char *file, apr_pool_t *p);

/*
 * The one path in what a CA sent in any order: the issuing CA, whoever certified it, and so on to
 * the root or as far as it goes.  Certificates beside it are left out.  Error text in p, NULL on
 * success: one is not a CA's, a signature does not verify, or it cannot be told who issues.
 */
const char *ca_chain_path(STACK_OF(X509) **pchain, STACK_OF(X509) *certs, apr_pool_t *p);

typedef struct ca_fetched_t ca_fetched_t;

/*
 * At configuration time; nothing is read or fetched before child_init.  directory NULL: no file.
 * The file's name is of the service and of the backend's options, so that what another CA said is
 * never taken for this one's.
 */
ca_fetched_t *ca_fetched_make(const ca_provider_t *provider, void *instance,
                              const ca_config_t *cfg, int argc, const char *const *argv,
                              apr_pool_t *p);
apr_status_t ca_fetched_child_init(ca_fetched_t *fetched, apr_pool_t *pchild);

/*
 * From any thread.  One thread at a time asks the CA: first of all, and when what is known is older
 * than CA_CHAIN_FRESH; the others get the old one, or wait for the first until their deadline.
 * deadline 0: nobody asks or waits.  A failure keeps the old one and is logged once.
 *
 * APR_EAGAIN: not known yet; *why (printable, in p) says why not.
 */
apr_status_t ca_fetched_get(ca_fetched_t *fetched, ca_trust_t *trust, apr_time_t deadline,
                            const char **why, const log_sink_t *log, apr_pool_t *p);

/*
 * For an answer that does not verify by used: asks the CA again unless that was done within the
 * last ten seconds.  Whether there is another chain than used now.
 */
int ca_fetched_renew(ca_fetched_t *fetched, STACK_OF(X509) *used, apr_time_t deadline,
                     const log_sink_t *log, apr_pool_t *p);

/* Changes with the chain. */
unsigned ca_fetched_generation(ca_fetched_t *fetched);

#endif /* CA_CHAIN_H */
