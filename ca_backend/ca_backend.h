/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CA backends: who signs.
 *
 * A backend gets a CSR that policy allowed (it cannot be called without the grant) and answers
 * with one of four results.  What all backends share stands in ca_backend.c: the deadline, and the
 * checks on every answer (leaf chosen by key, chain, not a CA, validity, reserved serial where the
 * backend honors it), so a backend can stay dumb.
 *
 * Thread rule: an instance is read-only after child_init and shared by all threads; submit and poll
 * may block until the deadline, not longer.  Everything returned lives in the call's pool.
 */
#ifndef CA_BACKEND_H
#define CA_BACKEND_H

#include "../common/csr.h"
#include "../common/grant.h"
#include "../common/log.h"
#include "../common/settings.h"
#include "ca_ledger.h"
#include "ca_template.h"
#include <apr_tables.h>
#include <sys/types.h>

typedef struct ca_t ca_t;                       /* one configured backend of a service */
typedef struct ca_provider_t ca_provider_t;
typedef struct ca_api_t ca_api_t;               /* see ca_module.h */

/* How ap_register_provider() knows backends, which other modules may add. */
#define CA_PROVIDER_GROUP   "scep_ca"
#define CA_PROVIDER_VERSION "2"

typedef enum {
    CA_ISSUED,      /* leaf, chain */
    CA_PENDING,     /* cookie, retry_after */
    CA_REJECTED,    /* final no: outcome is a refusal */
    CA_RETRY        /* nothing was signed, come again: outcome is UNAVAILABLE */
} ca_result_e;

typedef struct ca_answer_t {
    ca_result_e result;
    X509 *leaf;                     /* owned by the pool; a backend may fill certs only */
    STACK_OF(X509) *certs;          /* all the CA sent, any order; owned by the pool; NULL: none */
    const char *cookie;             /* at most 255 printable characters; any host polls with it */
    apr_interval_time_t retry_after;
    int unknown;                    /* with RETRY: the CA may have signed all the same */
    int down;                       /* with RETRY: the CA could not be asked at all; after some of
                                     * them in a row it is left alone for a while.  Never set it
                                     * for what a single request can cause */
    outcome_t outcome;
} ca_answer_t;

/* What a backend gets to sign. */
typedef struct ca_request_t {
    const grant_t *grant;
    const csr_t *csr;
    const ca_template_t *template;  /* by the grant's template name, else the default's */
    const char *template_name;      /* what the CA calls it */
    X509_NAME *subject;             /* what the certificate's shall be: the grant's, else the
                                     * CSR's; the template may want none all the same */
    apr_time_t deadline;
} ca_request_t;

/* What an instance is made of; filled by the glue, lives in pconf. */
typedef struct ca_config_t {
    const char *service;
    const apr_array_header_t *templates;    /* of const ca_template_t*, ScepLocalTemplate */
    const char *chain_file;                 /* ScepCAChain; NULL: the backend knows its chain */
    const char *crl_file;                   /* ScepCRLFile, PEM or DER; NULL: none */
    const char *state_directory;            /* the children's, private; NULL: nothing is kept */
    apr_interval_time_t not_before_skew;
    const ca_ledger_t *ledger;              /* for CA_CAP_LEDGER; NULL: such a CA cannot revoke */
    const ca_api_t *api;                    /* what a backend in another module may call */
} ca_config_t;

/* The longest grace of ca_check_signer(): so long a revocation counts after the end. */
#define CA_GRACE_MAX apr_time_from_sec(APR_INT64_C(3660) * 86400)

#define CA_CAP_SERIAL           1   /* honors the grant's serial and notBefore: repeating is safe,
                                     * and signs by a certificate of its chain itself */
#define CA_CAP_PENDING          2
#define CA_CAP_REWRITES_SUBJECT 4   /* the CA may choose another subject than the CSR's and leave
                                     * alternative names out, but add none; see ca_check_san() */
#define CA_CAP_SUBJECT          8   /* honors the grant's subject */
#define CA_CAP_SID              16  /* puts the grant's security identifier into the certificate,
                                     * and never the one that a CSR asks for itself */
#define CA_CAP_LEDGER           32  /* revokes by the ledger: what is there is revoked at once, and
                                     * only that */

struct ca_provider_t {
    const char *name;
    const settings_key_t *keys;     /* of ScepCABackend NAME key=value */
    int capabilities;               /* CA_CAP_* */
    int concurrency;                /* calls at once per child, and the default of the option
                                     * "concurrency", which every such backend has; 0: it waits for
                                     * nobody and needs no limit */

    /* CA_CAP_* that an instance has besides these, by its options.  NULL slot: none. */
    int (*more_capabilities)(const void *instance);

    /* While the configuration is read or checked: may read certificate files, no network.  Error
     * text in p, NULL on success.  Private keys are read and matched here too, as root. */
    const char *(*create)(void **pinstance, const settings_t *settings, const ca_config_t *cfg,
                          apr_pool_t *p);
    /* Calls at once of an instance whose options say that it waits for somebody, where concurrency
     * is 0; 0: it needs no limit.  NULL slot: none does. */
    int (*limit)(const void *instance);
    /* Once at each start, as root, before there are children, which run as uid and gid; not in
     * "httpd -t".  NULL slot: nothing to do.  Error text in p, NULL on success; *away, preset to 0:
     * it may go well later, so a server that only restarts need not end. */
    const char *(*prepare)(void *instance, uid_t uid, gid_t gid, int *away, apr_pool_t *p);
    apr_status_t (*child_init)(void *instance, apr_pool_t *pchild);

    /* APR_SUCCESS when answer is filled; any other status counts as CA_RETRY with unknown and
     * down set. */
    apr_status_t (*submit)(void *instance, const ca_request_t *request, ca_answer_t *answer,
                           const log_sink_t *log, apr_pool_t *p);
    apr_status_t (*poll)(void *instance, const ca_request_t *request, const char *cookie,
                         ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p);
    /* CA certificates, issuing CA first, to the root; borrowed from the instance. */
    apr_status_t (*chain)(void *instance, STACK_OF(X509) **pchain, const log_sink_t *log,
                          apr_pool_t *p);
    /*
     * Asks the CA for its certificates by a verified connection, within the deadline: *pcerts, in
     * any order, owned by p.  Not called where there is a ScepCAChain, nor before child_init; by
     * one thread at a time.  What it gives is checked and kept by ca_chain.c.  Any other status
     * than APR_SUCCESS: *error, preset to NULL, says why (printable, in p).  NULL slot: the CA
     * cannot tell them.
     */
    apr_status_t (*fetch_chain)(void *instance, STACK_OF(X509) **pcerts, apr_time_t deadline,
                                const char **error, const log_sink_t *log, apr_pool_t *p);
    /* For readiness; *text says why not.  Where calls are limited, it is asked every five seconds
     * at most in each child, in a thread of its own, and two seconds without an answer are a no;
     * otherwise it must not wait for anybody. */
    apr_status_t (*health)(void *instance, const char **text, apr_pool_t *p);
    /* not_after: of the certificate, which is the CA's; 0: the number is all that is known. */
    apr_status_t (*revoke)(void *instance, const ASN1_INTEGER *serial, apr_time_t not_after,
                           int reason, outcome_t *out, apr_pool_t *p);
    /* The current CRL as DER in p; APR_ENOTIMPL: crl_file is taken.  *error, preset to NULL: why
     * there is none, or, with APR_SUCCESS, why there is no newer one. */
    apr_status_t (*crl)(void *instance, crypt_buf_t *der, const char **error, apr_pool_t *p);
    /* The CA's own certificate and key where it can answer SCEP for itself (no RA certificate);
     * borrowed.  NULL slot or APR_ENOTIMPL: it cannot. */
    apr_status_t (*get0_identity)(void *instance, X509 **pcert, EVP_PKEY **pkey);
};

/* From here on for mod_scep itself. */
#ifndef CA_MODULE

/* For ca_config_t. */
extern const ca_api_t ca_api;

/* Known backends, ended by NULL: one new file and one line in ca_backend.c each. */
extern const ca_provider_t *const ca_builtin[];
extern const ca_provider_t ca_local_provider, ca_none_provider;
extern const ca_provider_t ca_est_provider, ca_ejbca_provider;
extern const ca_provider_t ca_exec_provider;
extern const ca_provider_t ca_cmp_provider;
extern const ca_provider_t ca_adcs_provider, ca_certsrv_provider;
extern const ca_provider_t ca_vault_provider, ca_vault_role_provider, ca_stepca_provider;

/* The options of a backend: its own and those that all such backends have; ended by a NULL name. */
const settings_key_t *ca_keys(const ca_provider_t *provider, apr_pool_t *p);

/*
 * Parses the options and makes the instance.  Error text in p, NULL on success.  A crl_file that
 * cannot be read or is not a CRL of the chain is an error, one past its nextUpdate is not (see
 * ca_crl_expires).
 */
const char *ca_make(ca_t **pca, const ca_provider_t *provider, int argc, const char *const *argv,
                    const ca_config_t *cfg, apr_pool_t *p);
const char *ca_prepare(ca_t *ca, uid_t uid, gid_t gid, int *away, apr_pool_t *p);
apr_status_t ca_child_init(ca_t *ca, apr_pool_t *pchild);
const char *ca_name(const ca_t *ca);
int ca_capabilities(const ca_t *ca);

/*
 * What answers are verified against and GetCACert serves: ScepCAChain, else the backend's chain,
 * which may have to be fetched for up to five seconds.  Issuing CA first; valid as long as p and
 * ca.  APR_EAGAIN: it could not be fetched yet.
 */
apr_status_t ca_chain(ca_t *ca, STACK_OF(X509) **pchain, const log_sink_t *log, apr_pool_t *p);

/* The same, as far as it is known: the CA is not asked, and it is never known before child_init
 * where ca_chain_is_fetched(). */
apr_status_t ca_chain_known(ca_t *ca, STACK_OF(X509) **pchain, apr_pool_t *p);

/* Whether the chain comes from the CA while the server runs. */
int ca_chain_is_fetched(const ca_t *ca);

/* See get0_identity; APR_ENOTIMPL where the backend has none. */
apr_status_t ca_get0_identity(ca_t *ca, X509 **pcert, EVP_PKEY **pkey);

/*
 * Whether cert is a certificate in use that this CA issued: signed by a certificate of ca_chain(),
 * or, where foreign is not NULL, of a path to that store; not a CA's, not self-signed.  Extended
 * key usage does not matter, nor do the validity of the CA's own certificates.
 *
 *   APR_SUCCESS   it is
 *   APR_NOTFOUND  a stranger's: out is not touched
 *   APR_EACCES    ours but refused, by out: reason "signer-expired" (longer ago than grace),
 *                 "signer-not-yet-valid", "signer-revoked", "signer-algorithm" (SHA-1, MD5) or
 *                 "signer-path" (it breaks a constraint of the chain)
 *   other         out is UNAVAILABLE: the chain is not known, or a CRL is configured and does not
 *                 tell (unreadable, not the CA's, past its nextUpdate)
 */
apr_status_t ca_check_signer(ca_t *ca, X509 *cert, X509_STORE *foreign, apr_time_t now,
                             apr_interval_time_t grace, outcome_t *out, const log_sink_t *log,
                             apr_pool_t *p);

/* The rules of the template of that name for a key alone: APR_SUCCESS, or APR_EACCES with a
 * refusal in out. */
apr_status_t ca_check_key(ca_t *ca, const char *template_name, EVP_PKEY *key, outcome_t *out,
                          apr_pool_t *p);

/*
 * The CA's current CRL in p: the backend's, else crl_file, read again when it changed (the local CA
 * makes none where there is a crl_file).  Its
 * signature was verified by the chain.  APR_ENOTIMPL: there is none, APR_ENOSPC: it is longer than
 * max; out is not touched by these two.  Other: out is UNAVAILABLE (unreadable, not the CA's, past
 * its nextUpdate).
 */
apr_status_t ca_crl(ca_t *ca, crypt_buf_t *der, apr_size_t max, outcome_t *out,
                    const log_sink_t *log, apr_pool_t *p);

/* nextUpdate of crl_file as it was read last, also if it has passed.  APR_ENOTIMPL: none is
 * configured; APR_EGENERAL: it cannot be used. */
apr_status_t ca_crl_expires(ca_t *ca, apr_time_t *time);

/* SHA-256 over the issuing CA's certificate (as ca_chain(); CA_FINGERPRINT_UNKNOWN where that is
 * not known) and over the templates, hex; never NULL. */
#define CA_FINGERPRINT_UNKNOWN "0000000000000000000000000000000000000000000000000000000000000000"
const char *ca_fingerprint(ca_t *ca, apr_pool_t *p);
const char *ca_templates_fingerprint(ca_t *ca, apr_pool_t *p);

/*
 * Submits a granted request; always fills *answer.  Refuses (REJECTED) a CSR that is not the
 * granted one, breaks the template, or asks a CA without CA_CAP_SID for a security identifier.  A
 * grant that adds what the backend cannot honor is RETRY with reason "ca-attributes" and an error
 * line: nobody gets a certificate without it.  RETRY with reason "ca-busy" (as many calls as
 * "concurrency" allows are under way) and "ca-down" (it failed several times in a row) are said
 * without asking the CA.  An ISSUED answer passed every check and has leaf
 * set; one that failed a check becomes RETRY with unknown set, reason "ca-answer" and an error
 * line, since the CA is broken, not the device.
 */
void ca_submit(ca_t *ca, const grant_t *grant, const csr_t *csr, apr_time_t deadline,
               ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p);
void ca_poll(ca_t *ca, const grant_t *grant, const csr_t *csr, const char *cookie,
             apr_time_t deadline, ca_answer_t *answer, const log_sink_t *log, apr_pool_t *p);

/*
 * Revokes a certificate by its serial number, as far as the CA still knows what it issued, or the
 * certificate der itself, which it knows by its own signature.  reason: CRLReason, RFC 5280 section
 * 5.3.1.  APR_SUCCESS: revoked, also if it was before.  APR_NOTFOUND: not of this CA.
 * APR_ENOTIMPL: the backend cannot.  APR_EINVAL: not a reason for a device's certificate, for good
 * (ca_is_reason()).  Other: out is UNAVAILABLE.
 */
apr_status_t ca_revoke(ca_t *ca, const ASN1_INTEGER *serial, int reason, outcome_t *out,
                       apr_pool_t *p);
apr_status_t ca_revoke_certificate(ca_t *ca, const crypt_buf_t *der, int reason, outcome_t *out,
                                   const log_sink_t *log, apr_pool_t *p);

/* Whether the backend can revoke at all. */
int ca_can_revoke(const ca_t *ca);

/* Whether ca_revoke() takes the reason: unspecified, keyCompromise, affiliationChanged, superseded,
 * cessationOfOperation, privilegeWithdrawn.  A hold would have to be released again. */
int ca_is_reason(int reason);

/* Whether the CA can be asked, by what is known or, now and then, by asking it; *text (in p) says
 * why not.  A CA that is left alone after failures is not healthy until that is over. */
apr_status_t ca_health(ca_t *ca, const char **text, apr_pool_t *p);

/* Whether this process leaves the CA alone at the moment, after failures.  Asks nobody. */
int ca_is_resting(ca_t *ca);

#endif /* CA_MODULE */

#endif /* CA_BACKEND_H */
