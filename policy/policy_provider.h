/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of policy/ share besides the contract. */
#ifndef POLICY_PROVIDER_H
#define POLICY_PROVIDER_H

#include "policy.h"
#include "policy_secret.h"

extern const policy_provider_t policy_challenge, policy_intune, policy_known, policy_none,
    policy_registration_point, policy_sealed, policy_static, policy_webhook;

#define POLICY_TEXT_UNAVAILABLE "The service is not available at the moment."
#define POLICY_TEXT_DENIED "The request was denied."
#define POLICY_STORE_RETRY apr_time_from_sec(30)
#define POLICY_BUSY_RETRY apr_time_from_sec(5)

/* What a pending transaction waits for, in its cookie: a person, the CA (its cookie follows), or a
 * CA that could not be asked: "TRIES:SECONDS", since when, follow. */
#define POLICY_COOKIE_APPROVAL "approval"
#define POLICY_COOKIE_CA "ca:"
#define POLICY_COOKIE_RETRY POLICY_COOKIE_CA_RETRY

/* A provider in the chain. */
typedef struct policy_link_t {
    const policy_provider_t *provider;
    void *instance;
} policy_link_t;

struct policy_t {
    const policy_config_t *cfg;
    apr_array_header_t *links; /* of policy_link_t */
    secret_t secret;    /* current, previous; none where no provider needs one */
    struct policy_worker_t *worker; /* of this child, see policy_outbox.h */
};

/*
 * Refuses a challenge.  What the client sees (text, failInfo, HRESULT) is the same for every
 * reason, so that a guesser learns nothing; reason and detail are for the log.
 */
void policy_refuse_challenge(outcome_t *out, const char *reason, apr_pool_t *p, const char *detail);

/*
 * Binds a new challenge to what a mint's params say: ch holds the service's life time, uses and the
 * template asked for, which the params can narrow; bound, template_name, lifetime and uses are set.
 * Params that are no JSON object bind nothing.  APR_EINVAL with out set: they are no good.
 */
apr_status_t policy_challenge_bind(store_challenge_t *ch, const policy_config_t *cfg,
                                   const char *params, outcome_t *out, const log_sink_t *log,
                                   apr_pool_t *p);

/* Refuses an initial request that shows no challenge. */
void policy_refuse_missing(outcome_t *out, apr_pool_t *p);

/* Sets the limits that count the request's failures in the store, so that they hold on all hosts;
 * none for one that is exempt or that no challenge allows. */
void policy_add_limits(store_claim_t *claim, const policy_config_t *cfg,
                       const policy_request_t *request, apr_pool_t *p);

/* The n-th link of the chain; NULL after the last. */
const policy_link_t *policy_link_at(const policy_t *policy, int n);

/* Whether what the request claims to be allowed by fits its signer. */
int policy_may_ask(const policy_request_t *request);

/* The configured file, else challenge.key in the state directory; NULL: neither is known. */
const char *policy_secret_file(const policy_config_t *cfg, apr_pool_t *p);

/* Why policy_secret_load() would fail, without making anything; NULL: it would not. */
const char *policy_secret_check(const policy_config_t *cfg, apr_pool_t *p);

/* Makes the file where that is allowed, and reads it.  Error text in p, NULL on success. */
const char *policy_secret_load(secret_t *secret, const policy_config_t *cfg, uid_t uid,
                               gid_t gid, apr_pool_t *p);

/*
 * Whose a request is, during verify: as the providers before say, else as the request's sender
 * does; NULL: nobody says so.
 */
const char *policy_device_of(const policy_tx_t *tx);
const char *policy_user_of(const policy_tx_t *tx);

/* Refuses a request for whose device or user it is, in a registration point's phase 2; APR_EACCES.
 * reason: a string literal. */
apr_status_t policy_refuse_owner(outcome_t *out, const char *reason, apr_pool_t *p,
                                 const char *detail);

/* Whether the sender's word for whose it is agrees with what a provider added; otherwise out is
 * refused.  The case of ASCII letters does not count: these are GUIDs, host names, UPNs. */
int policy_owner_agrees(const policy_tx_t *tx, const policy_attributes_t *added, outcome_t *out,
                        apr_pool_t *p);

/* Keeps whose it is, as verify found out, for logs and records; also of a request that is
 * refused. */
void policy_owner_keep(policy_tx_t *tx);

/* Refuses a transaction that was denied or failed before: with the same reason and text. */
void policy_refuse_known(outcome_t *out, const store_tx_t *tx, apr_pool_t *p);

/*
 * Seals plain for tx_key by the current secret, and opens it by the current or the previous one;
 * what is opened is cleansed with p, and a NUL follows it.  APR_EGENERAL: no secret, or no random
 * numbers; APR_EINVAL: not sealed by this service for this transaction.
 */
apr_status_t policy_seal(crypt_buf_t *sealed, const policy_t *policy, const char *tx_key,
                         const crypt_buf_t *plain, apr_pool_t *p);
apr_status_t policy_unseal(crypt_buf_t *plain, const policy_t *policy, const char *tx_key,
                           const crypt_buf_t *sealed, apr_pool_t *p);

/* Opens the request that waits with the transaction, and what verify added; none is no error.
 * APR_EGENERAL with out UNAVAILABLE: it cannot be opened. */
apr_status_t policy_open_waiting(policy_tx_t *tx, outcome_t *out, apr_pool_t *p);

/* Sets out for a store that did not answer, and logs why; returns rv. */
apr_status_t policy_store_failed(const policy_t *policy, const char *slot, apr_status_t rv,
                                 outcome_t *out, const log_sink_t *log, apr_pool_t *p);

/*
 * Hex SHA-256 over transactionID, the CSR's digest (NULL: left out, for polls) and the signer's
 * key; NULL if that fails.
 */
const char *policy_key_make(const char *transaction_id, const unsigned char *csr_digest,
                            const crypt_buf_t *signer_key, apr_pool_t *p);

/* The key of a request's transaction; NULL: no SHA-256. */
const char *policy_tx_key(const policy_request_t *request, apr_pool_t *p);

/* STORE_NONCE_LEN hex digits; NULL without random numbers. */
const char *policy_nonce_make(apr_pool_t *p);

/* The nonce of a holder's claims of a transaction; NULL: no SHA-256. */
const char *policy_nonce_of(const char *tx_key, const char *holder, apr_pool_t *p);

/* Whether a person has approved the transaction. */
int policy_is_approved(const policy_tx_t *tx);

#endif /* POLICY_PROVIDER_H */
