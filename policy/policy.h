/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy: who may have a certificate.
 *
 * NDES' INDESPolicy (GenerateChallenge, VerifyRequest, Notify) made whole: a chain of providers per
 * service, asked in order, all must allow; and between them the store's atomic claim.  One
 * enrollment goes
 *
 *   policy_begin    known transaction, or claim (providers say what has to be held: reserve)
 *   policy_verify   every provider; consumes nothing; the only maker of a grant
 *   policy_finish   notify every provider (one may forbid delivery), then commit, fail or pend
 *   policy_work     later, by any host: what notify left in the store's outbox is delivered
 *
 * Promises: verify consumes nothing, finish does; an initial request without a challenge is
 * refused, unless no provider needs one; a store that cannot be asked is OUTCOME_UNAVAILABLE, never
 * a yes; a claimed transaction that is dropped without policy_finish stays held until its lease
 * ends.
 *
 * Thread rule: a policy_t is read-only after policy_child_init and shared by all threads; a
 * policy_tx_t belongs to one request.  All calls may block up to the store's and the providers'
 * time limits.
 */
#ifndef POLICY_H
#define POLICY_H

#include "../common/csr.h"
#include "../common/grant.h"
#include "../common/log.h"
#include "../common/settings.h"
#include "store/store.h"

typedef struct policy_t policy_t;
typedef struct policy_provider_t policy_provider_t;

/* The service's challenge and transaction rules; filled by the glue, lives in pconf. */
typedef struct policy_config_t {
    const char *service; /* its name, part of every store key */
    store_t *store;
    const char *secret_file; /* ScepChallengeSecretFile; NULL: state_directory/challenge.key */
    const char *state_directory;
    int secret_may_be_made;        /* embedded store: make the file when it is absent */
    apr_interval_time_t lifetime;  /* ScepChallengeLifetime */
    int length;                    /* ScepChallengeLength, bytes, 8..64; twice as many hex digits */
    int max;                       /* ScepChallengeMax */
    int max_per_caller;            /* ScepChallengeMaxPerCaller; 0: no cap */
    int uses;                      /* ScepChallengeUses; 0: unlimited */
    int attempts;                  /* ScepChallengeAttempts */
    apr_interval_time_t retention; /* ScepRetention */
    apr_interval_time_t lease;     /* longer than any deadline */
    apr_interval_time_t hold;      /* the lease of a request with a holder */
    apr_interval_time_t busy_wait; /* how long policy_begin waits on BUSY */
    apr_interval_time_t not_before_skew; /* how far notBefore is dated back */
    /* ScepApproval manual: of const char*, the templates that wait for a person's yes; empty: all
     * of them; NULL: none */
    const apr_array_header_t *approval;
    int pending_max;                   /* ScepPendingMax; 0: no cap */
    apr_interval_time_t poll_interval; /* ScepPollInterval: for a CA that does not say when */
    /* ScepFailureLimit: failed challenges of one client address, and of the service, within
     * failure_window; 0: no limit */
    int failure_max, failure_max_service;
    apr_interval_time_t failure_window;
    apr_interval_time_t news_lifetime; /* ScepNotifyLifetime: how long delivery of news is tried */
} policy_config_t;

/*
 * What may allow a request.  The table of message types in core says which of them a type may use;
 * a request that claims none, or one that does not fit its signer, is refused before the store is
 * asked, so a forgotten check is a no.
 */
typedef enum {
    POLICY_BY_NOTHING = 0,
    POLICY_BY_CHALLENGE, /* initial: whatever the providers ask for; signer NULL */
    POLICY_BY_SIGNER     /* renewal: signer is a checked certificate of this service's CA */
} policy_authorization_e;

/* What one provider of a chain remembers of a request between its slots; in the request's pool. */
typedef struct policy_memo_t {
    const void *instance, *data;
} policy_memo_t;

/* One request as policy sees it; all borrowed for the call's request. */
typedef struct policy_request_t {
    policy_authorization_e authorization;
    const csr_t *csr;
    const char *challenge; /* csr->challenge; NULL: none */
    const X509 *signer;    /* renewal: the certificate in use; NULL: initial request */
    int signer_foreign;    /* another CA's, whose certificates count here too (ScepRenewalCAFile):
                            * what it attests of its holder is not taken over */
    const char *template_name;
    const char *transaction_id;
    const crypt_buf_t *signer_key; /* DER SubjectPublicKeyInfo of the message's signer */
    const char *client_address, *user_agent;
    int limit_exempt; /* failures are neither counted nor limited */
    /* Who goes on with it elsewhere (a registration point's front): the same holder is given the
     * transaction again while it holds it.  NULL: nobody, each call is one of its own. */
    const char *holder;
    /* Whose it is, as who goes on with it elsewhere says; NULL: nobody says so.  What a policy
     * knows has to agree. */
    const char *device, *user;
    apr_time_t deadline;
    policy_memo_t *memo; /* empty at first; NULL: nothing is remembered */
} policy_request_t;

/*
 * What a provider adds to a request that it allows; all in the call's pool.  Whether a provider may
 * add something is part of its own configuration.  Two providers that say different things are no
 * verdict.
 */
typedef struct policy_attributes_t {
    const char *template_name; /* instead of the request's; NULL: as asked */
    crypt_buf_t subject;       /* DER Name, instead of the CSR's; data NULL: as asked */
    const char *subject_text;  /* the same as RFC 4514 text, set together with it */
    const char *sid;           /* "S-1-5-21-...": the account's, for the certificate's security
                                * identifier extension (KB5014754); NULL: none */
    const char *device, *user; /* whose it is, for logs and records; NULL: unknown */
} policy_attributes_t;

/* What became of a call to a registration point, for the policy log. */
typedef enum {
    POLICY_CALL_NONE, /* it was not asked */
    POLICY_CALL_YES,  /* it allowed, or took note */
    POLICY_CALL_NO,
    POLICY_CALL_FAILED /* no answer that counts */
} policy_call_e;

typedef struct policy_call_t {
    policy_call_e result;
    const char *path; /* of the URL */
    int status;       /* HTTP's; 0: no answer */
    int error;        /* WinHTTP's number for why there was none; 0: there was one */
} policy_call_t;

typedef enum { POLICY_TX_CLAIMED, POLICY_TX_ISSUED, POLICY_TX_PENDING } policy_tx_state_e;

/* A transaction that waits because the CA could not be asked, and certainly did not sign. */
typedef struct policy_retry_t {
    int tries;        /* how often it could not; 0: it does not wait for that */
    apr_time_t since; /* the first time */
} policy_retry_t;

/* How the cookie of such a transaction begins; see policy_retry_of(). */
#define POLICY_COOKIE_CA_RETRY "retry:"

typedef struct policy_tx_t {
    policy_tx_state_e state;
    const policy_request_t *request;
    policy_t *policy;
    store_tx_t store_tx; /* ISSUED: certificate; PENDING: cookie, wait; CLAIMED: fence, challenge */
    const char *tx_key, *poll_key;
    /* of a transaction found by policy_poll() */
    crypt_buf_t csr_der;   /* the waiting request; len 0: none was kept */
    crypt_buf_t signer_der; /* a waiting renewal's certificate in use; len 0: none was kept */
    const char *ca_cookie; /* CLAIMED: ask the CA by it; NULL: nothing was submitted yet */
    policy_retry_t retry;  /* CLAIMED: it waits for a CA that could not be asked; else tries 0 */
    policy_attributes_t attributes; /* what verify added; of a waiting request: what it had added */
    const policy_attributes_t *gathered; /* during verify: what the providers before have added */
    /* what a provider that asks a registration point leaves: the last call of verify, of notify;
     * NULL: nobody wants to know */
    policy_call_t *asked, *told;
    /* out of policy_finish() with ISSUED: a provider forbade delivery, the certificate exists all
     * the same and has to be revoked */
    int forbidden;
    const char *record; /* out of policy_finish() with ISSUED and APR_SUCCESS: the store's record of
                         * the certificate, JSON; "" none */
    int news;           /* the same: how many pieces of news are on their way */
} policy_tx_t;

/* How an enrollment ended, for notify and the store. */
typedef enum {
    POLICY_EVENT_ISSUED,    /* certificate set */
    POLICY_EVENT_PENDING,   /* cookie, wait set */
    POLICY_EVENT_REFUSED,   /* final, by policy or CA; counts an attempt */
    POLICY_EVENT_TRANSIENT, /* nothing was signed and it is not the device's fault */
    POLICY_EVENT_UNKNOWN    /* the CA may have signed: stays held until the lease ends */
} policy_event_e;

typedef struct policy_event_t {
    policy_event_e event;
    crypt_buf_t certificate; /* DER leaf */
    crypt_buf_t issuer, subject; /* its names in DER; issuer len 0: it is not inventoried */
    const char *serial;      /* its number, lower-case hex; NULL: unknown */
    apr_time_t not_after;    /* its end; 0: unknown */
    const char *cookie;      /* PENDING: the CA's; NULL: retry, or a person has to approve first */
    policy_retry_t retry;    /* PENDING without cookie: the CA could not be asked */
    apr_interval_time_t wait;
    const outcome_t *outcome; /* why, when not issued */
    int blameless; /* REFUSED: not by the device's fault, so that no attempt counts */
    int deferred; /* nobody is told at once, all that has to be told is left as news */
} policy_event_t;

/* What a provider's work may use. */
typedef struct policy_work_t {
    apr_time_t deadline;
    int (*stopping)(void *baton); /* whether to come to an end soon; NULL: never */
    /* Revokes a certificate of the service's CA.  issuer: its name by RFC 4514, NULL: any; serial:
     * lower-case hex; reason: CRLReason of RFC 5280.  APR_SUCCESS (also if it was revoked before);
     * APR_NOTFOUND: not of this CA; APR_ENOTIMPL: the CA cannot; other: again later. */
    apr_status_t (*revoke)(void *baton, const char *issuer, const char *serial, int reason,
                           outcome_t *out, apr_pool_t *p);
    void *baton;
    const char *holder; /* this host, for store_lease() */
} policy_work_t;

/* GenerateChallenge's input. */
typedef struct policy_mint_t {
    const char *caller;        /* authenticated user; never NULL or empty */
    const char *template_name; /* "" any */
    const char *params;        /* NDESGenerateChallenge's params: JSON of policy_bound.h where it
                                * begins with '{', else opaque; NULL: none */
    const char *client_address;
} policy_mint_t;

typedef struct policy_challenge_t {
    const char *text; /* the challenge: secret; cleansed with the pool */
    const char *id;   /* short digest that log, page and store share: 12 hex digits of the HMAC */
    apr_interval_time_t lifetime; /* 0: does not expire */
    int uses;                     /* 0: unlimited */
    int outstanding;
} policy_challenge_t;

/*
 * A provider.  Instances are made while the configuration is read and are read-only afterwards.
 * Slots that are NULL allow and do nothing; a provider with neither reserve nor verify is refused
 * at start.  Slots set *out only for a no.
 */
struct policy_provider_t {
    const char *name;
    const settings_key_t *keys; /* of ScepPolicy NAME key=value */
    int needs_secret;    /* of the challenge secret's file; hosts that share a store share it */
    int needs_challenge; /* an initial request without one is refused before any slot is called */
    int repeatable;      /* may be configured more than once in a service */
    int follows;         /* decides by what others say: cannot be the first of a service */
    const char *warning; /* logged at start for each service that uses it; NULL: none */

    /* No I/O.  Error text in p, NULL on success. */
    const char *(*create)(void **pinstance, const settings_t *settings, const policy_config_t *cfg,
                          apr_pool_t *p);
    /* What httpd -t can see: reads the secrets that prepare will read, and forgets them.  Error
     * text in p, NULL on success. */
    const char *(*check)(const void *instance, apr_pool_t *p);
    /* As root in the parent: reads secrets.  Error text in p, NULL on success. */
    const char *(*prepare)(void *instance, uid_t uid, gid_t gid, apr_pool_t *p);
    apr_status_t (*child_init)(void *instance, apr_pool_t *pchild);
    /* Fingerprint of what all hosts must share, hex; NULL: nothing. */
    const char *(*fingerprint)(void *instance, apr_pool_t *p);

    /* Makes a challenge; APR_ENOTIMPL: not this provider's business (the chain asks the next).
     * APR_SUCCESS; APR_ENOSPC: cap reached (out->retry_after; reason "caller-full": the caller's
     * own); APR_EINVAL: params are no good, out is a refusal whose detail is for the caller; other:
     * out says why. */
    apr_status_t (*generate_challenge)(void *instance, const policy_mint_t *mint,
                                       policy_challenge_t **pchallenge, outcome_t *out,
                                       const log_sink_t *log, apr_pool_t *p);
    /*
     * Adds what the claim must hold (challenge ids).  No I/O.  APR_EACCES refuses, without asking
     * the store; unless challenge_id[0] is set: then the claim is made, so that a known transaction
     * is answered again and a bad challenge is counted, and a new transaction is refused by out.
     */
    apr_status_t (*reserve)(void *instance, const policy_request_t *request, store_claim_t *claim,
                            outcome_t *out, apr_pool_t *p);
    /* APR_SUCCESS: allowed.  APR_EACCES: refused.  Other: cannot say.  Consumes nothing.
     * attributes: empty on entry. */
    apr_status_t (*verify)(void *instance, const policy_tx_t *tx, policy_attributes_t *attributes,
                           outcome_t *out, const log_sink_t *log, apr_pool_t *p);
    /*
     * Told how it ended, before the store is.  With ISSUED a status other than APR_SUCCESS forbids
     * delivery; then those that were told before, and those after, are told REFUSED or TRANSIENT
     * instead, and of several words the last one counts.  What need not be told at once is left in
     * *news (text in p, NULL on entry): it is kept atomically with the end of the transaction,
     * sealed, and given to deliver later.  With UNKNOWN nothing has ended and no news are kept: how
     * it ends is told by whoever takes the transaction over.
     */
    apr_status_t (*notify)(void *instance, const policy_tx_t *tx, const policy_event_t *event,
                           const char **news, outcome_t *out, const log_sink_t *log,
                           apr_pool_t *p);
    /*
     * Delivers what notify left, on any host, once unless an answer is lost.  deadline: be done by
     * then.  APR_SUCCESS; APR_EINVAL: it never can be; other: try again, after out->retry_after
     * where the peer names a time.  out->detail says why not.  A provider with this slot needs the
     * challenge secret, which seals news: a service without one does not start.  May be called by
     * several threads at once, but news of one transaction come one after the other, in order.
     */
    apr_status_t (*deliver)(void *instance, const char *news, apr_time_t deadline, outcome_t *out,
                            const log_sink_t *log, apr_pool_t *p);
    /* How many news are delivered at a time by one process, at least 1; NULL: 1. */
    int (*deliveries)(const void *instance);
    /* Whether this process asks its peer nothing at the moment, after failures.  No I/O.  NULL: it
     * has no peer. */
    int (*is_resting)(const void *instance);
    /* What has to be done now and then, by one host at a time.  Returns after which time to be
     * asked again, a second at least; the same host is preferred.  NULL slot: never. */
    apr_interval_time_t (*work)(void *instance, const policy_work_t *work, const log_sink_t *log,
                                apr_pool_t *p);
};

/* The codes by which Intune refuses, for metrics: their names, the last one "other", and which of
 * them the reason of a refusal stands for (-1: none). */
#define POLICY_INTUNE_CODES 25
const char *policy_intune_code_name(int i);
int policy_intune_code_of(const char *reason);

/* Known providers, ended by NULL: one new file and one line in policy.c each. */
extern const policy_provider_t *const policy_builtin[];

/* An empty chain for a service.  cfg is kept. */
policy_t *policy_make(const policy_config_t *cfg, apr_pool_t *p);

/* Appends a provider.  Error text in p, NULL on success. */
const char *policy_add(policy_t *policy, const policy_provider_t *provider, int argc,
                       const char *const *argv, apr_pool_t *p);

/* Asks every provider's check; error text in p, NULL on success. */
const char *policy_check(const policy_t *policy, apr_pool_t *p);

/* Start-up in the parent as root, then in each child.  Warnings of providers go to log. */
const char *policy_prepare(policy_t *policy, uid_t uid, gid_t gid, const log_sink_t *log,
                           apr_pool_t *p);
apr_status_t policy_child_init(policy_t *policy, apr_pool_t *pchild);

/*
 * What news are known by: hex SHA-256 over service, transaction, recipient and event, so that the
 * same news that are told again have the same id.  instance: of the provider.  NULL: no SHA-256.
 */
const char *policy_news_id(const policy_tx_t *tx, const void *instance, policy_event_e event,
                           apr_pool_t *p);

/* For metrics: name and state of the n-th provider (from 0) that asks somebody else: 1: this
 * process leaves that peer alone, after failures; 0: it does not; -1: there are no more.  *name: in
 * p, the same that the outbox has; any thread. */
int policy_is_resting(const policy_t *policy, int n, const char **name, apr_pool_t *p);

/* SHA-256 over the providers' names and fingerprints, hex; never NULL. */
const char *policy_fingerprint(policy_t *policy, apr_pool_t *p);

/* Mints a challenge by the first provider that can.  Status as the slot's; APR_ENOTIMPL: none can.
 */
apr_status_t policy_generate_challenge(policy_t *policy, const policy_mint_t *mint,
                                       policy_challenge_t **pchallenge, outcome_t *out,
                                       const log_sink_t *log, apr_pool_t *p);

/*
 * APR_SUCCESS: *ptx with its state.  Otherwise out says why: REFUSED (missing, unknown, used,
 * expired, burned challenge: told apart in reason and detail, one wording in text) or UNAVAILABLE
 * (store down; still busy after busy_wait).
 */
apr_status_t policy_begin(policy_tx_t **ptx, policy_t *policy, const policy_request_t *request,
                          outcome_t *out, const log_sink_t *log, apr_pool_t *p);

/*
 * Asks every provider, unless the CA has the request already.  APR_SUCCESS: *pgrant.
 * APR_INCOMPLETE: allowed, but a person has to approve (out is PENDING).  Otherwise out says why
 * not: APR_EACCES: refused; APR_EINVAL: never, since what they add is not what a person has
 * approved (reason "policy-changed"), or since it is not claimed; other: it cannot be said now.
 * Without a grant the caller must policy_finish().
 */
apr_status_t policy_verify(const grant_t **pgrant, policy_tx_t *tx, outcome_t *out,
                           const log_sink_t *log, apr_pool_t *p);

/*
 * Takes up a pending transaction for a poll, by transactionID and the key of the message's signer
 * (RFC 8894 section 3.3.3).  APR_SUCCESS: *ptx; ISSUED; PENDING: come again; CLAIMED: it is this
 * caller's now, to be continued by policy_resume().  Otherwise out says why: REFUSED (unknown:
 * badCertId; denied or failed: its reason) or UNAVAILABLE.
 */
apr_status_t policy_poll(policy_tx_t **ptx, policy_t *policy, const char *transaction_id,
                         const crypt_buf_t *signer_key, outcome_t *out, const log_sink_t *log,
                         apr_pool_t *p);

/* What a waiting transaction's cookie says of tries to ask the CA; tries 0: it is another one. */
policy_retry_t policy_retry_of(const char *cookie);

/*
 * Gives a CLAIMED transaction of policy_poll() its request again, made from csr_der.  The request's
 * template is replaced by that of the transaction.  APR_EINVAL with out UNAVAILABLE: it is another
 * CSR, or its authorization is not the transaction's.
 */
apr_status_t policy_resume(policy_tx_t *tx, policy_request_t *request, outcome_t *out,
                           apr_pool_t *p);

/*
 * For people who approve.  policy_waiting(): the pending transactions (store_tx_t*), oldest first.
 * policy_waiting_request(): one of them, with its CSR and what verify added to it (APR_NOTFOUND:
 * not there or not pending).
 * policy_decide(): approves or denies; by: the authenticated person; text: the reason, for log and
 * client.  A denial is news for the providers as every other end.  APR_NOTFOUND: unknown;
 * APR_EBUSY: decided otherwise, or no longer (or just now not) waiting, or for the CA.  Other
 * statuses: out is UNAVAILABLE.
 */
apr_status_t policy_waiting(policy_t *policy, int max, apr_array_header_t **ptxs, outcome_t *out,
                            const log_sink_t *log, apr_pool_t *p);
apr_status_t policy_waiting_request(policy_t *policy, const char *tx_key, crypt_buf_t *csr_der,
                                    policy_attributes_t *attributes, store_tx_t **ptx,
                                    outcome_t *out, const log_sink_t *log, apr_pool_t *p);
apr_status_t policy_decide(policy_t *policy, const char *tx_key, int approve, const char *by,
                           const char *text, outcome_t *out, const log_sink_t *log, apr_pool_t *p);

/* Hex HMAC of text by the service's secret, the same on all hosts; NULL: there is no secret. */
const char *policy_token(const policy_t *policy, const char *text, apr_pool_t *p);

/*
 * A certificate that this service issued, by its serial number (lower-case hex).  APR_SUCCESS: der;
 * APR_NOTFOUND; other: out is UNAVAILABLE.
 */
apr_status_t policy_find_certificate(policy_t *policy, const char *serial, crypt_buf_t *der,
                                     outcome_t *out, const log_sink_t *log, apr_pool_t *p);

/*
 * One round of what is due: delivers the outbox's news, with growing waits between tries, and lets
 * providers do their work.  News that cannot be delivered within news_lifetime, or never, are lost
 * with an error line.  Safe on all hosts at once, but for one thread of a process at a time, after
 * policy_child_init.  *done: news that were delivered.  Returns after which time there may be
 * something to do again.
 */
apr_interval_time_t policy_work(policy_t *policy, const policy_work_t *work, int *done,
                                const log_sink_t *log, apr_pool_t *p);

/*
 * Ends a claimed transaction.  With ISSUED only APR_SUCCESS allows delivery: otherwise out is
 * REFUSED (a provider forbade it) or UNAVAILABLE (a provider could not say, news cannot be kept,
 * commit unknown or fenced), and the certificate must not leave.
 */
apr_status_t policy_finish(policy_tx_t *tx, const policy_event_t *event, outcome_t *out,
                           const log_sink_t *log, apr_pool_t *p);

#endif /* POLICY_H */
