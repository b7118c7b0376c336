/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: where challenges and transactions live, shared by all workers and hosts.
 *
 * Every operation is atomic against every other, in all processes on all hosts that use the same
 * store.  The store's clock decides about life times and leases, never a host's.  Times and spans
 * are apr_time_t (microseconds); a store keeps milliseconds.
 *
 * Return value of each slot: APR_SUCCESS when the store answered (the answer is in *result or the
 * out-parameters); anything else means that it is not known whether the operation took effect:
 * APR_TIMEUP (deadline), APR_ECONNREFUSED or another network or file status.  That is never a yes.
 * The caller may repeat issue (same id), claim (same nonce), commit (same fence and certificate),
 * fail and pend (same fence): repeating gives the answer that the lost one gave.
 *
 * Threads: slots from issue on may be called by any thread of a child at the same time, and may
 * block up to the configured time limits.  prepare is called as root in post_config; child_init
 * once per child; nothing opened before child_init is used after it.  Results live in the pool p of
 * the call.
 *
 * Life of a challenge: new -> held by a transaction (its lease) -> used.  A failed transaction that
 * the device is not to blame for gives it back.  Life of a transaction: inflight -> issued,
 * pending or failed; pending -> issued or failed; failed -> inflight again by a new claim.
 * Data model and measurements: docs/architecture.md.
 */
#ifndef POLICY_STORE_H
#define POLICY_STORE_H

#include "../../common/crypt.h"
#include "../../common/log.h"
#include <apr_tables.h>
#include <apr_time.h>
#include <sys/types.h>

typedef struct store_t store_t; /* one open store; embedded first in a store's own struct */
typedef struct store_provider_t store_provider_t;

#define STORE_ID_LEN 64    /* hex digits of a challenge id, transaction key, poll key, CSR digest */
#define STORE_NONCE_LEN 32 /* hex digits of a claim's nonce */
#define STORE_SERIAL_LEN 32         /* hex digits of a reserved serial number */
#define STORE_TEXT_MAX 255          /* bytes of a name, address, reason, transactionID or host */
#define STORE_LONG_TEXT_MAX 8192    /* bytes of a subject, a cookie or bound attributes */
#define STORE_CERTIFICATE_MAX 65536 /* bytes of a certificate */
#define STORE_REQUEST_MAX 131072    /* bytes kept with a waiting transaction */
#define STORE_CERTIFICATE_SERIAL_MAX 64 /* hex digits of an issued certificate's serial number */
#define STORE_LIMITS 2                  /* counters of one claim */
#define STORE_NEWS_MAX 131072           /* bytes of one piece of news */
#define STORE_NEWS_PER_TX 4             /* pieces that one change of a transaction leaves */
#define STORE_CRL_MAX 7864320           /* bytes of a certificate revocation list */
#define STORE_ISSUER_LEN 16  /* hex digits that stand for the name of a CA */
#define STORE_PLACE_MAX 97   /* bytes of a place in the inventory */
#define STORE_PAGE_MAX 500   /* entries of the inventory in one answer */
#define STORE_REPLICAS_MAX 16    /* replicas that a write can wait for */
#define STORE_CONNECT_TIMEOUT apr_time_from_msec(300) /* of Redis, where nobody says otherwise */
#define STORE_RELOCATE_TIMEOUT apr_time_from_sec(3)

typedef enum {
    STORE_OK,      /* issue, commit, fail, pend, decide, revoke: done (now, or by the same call
                      before) */
    STORE_CLAIMED, /* claim, poll: the caller holds the transaction until the lease ends */
    STORE_ISSUED,  /* claim, poll: known and issued; the certificate is given again */
    STORE_PENDING, /* claim: known and waiting for the CA or an administrator */
    STORE_BUSY,    /* claim, poll: another worker is at it, come again in wait; decide: the same */
    STORE_NOCHALLENGE, /* claim, revoke: no such challenge */
    STORE_USED,        /* claim: the challenge has no use left */
    STORE_EXPIRED,     /* claim: the challenge's life time is over */
    STORE_MISMATCH,    /* claim: refused too often, the challenge is burned */
    STORE_TXCONFLICT,  /* claim: the transaction key is known with another CSR or challenge */
    STORE_FULL,        /* issue: cap reached; wait says when the next place is free.  pend: as
                          many transactions wait as may; nothing was changed, call fail */
    STORE_EXISTS,      /* issue: the id is taken by another challenge: make a new one.
                          revoke_certificate: it was revoked before; nothing was changed */
    STORE_FENCED,      /* commit, fail, pend, settle: lease lost to another; nothing was changed.
                          commit: also where the fence fits and another certificate is there */
    STORE_REFUSED,     /* poll: failed for good; claim: denied (decide), which is final; see reason
                          and text */
    STORE_NOTFOUND,    /* poll, find, find_certificate, decide, settle: unknown */
    STORE_HELD,        /* claim: the challenge's last use is held by a waiting transaction */
    STORE_LIMITED,     /* claim: too many failed challenges; a counter ends in wait */
    STORE_CONFLICT,    /* decide: the transaction does not wait, or not with this cookie, or was
                          decided otherwise.  put_crl: the list is another one.  commit: another
                          certificate has the serial number; nothing was changed */
    STORE_CALLERFULL,  /* issue: the caller's own cap is reached; wait as for FULL */
    STORE_OWNERFULL    /* pend: as FULL, by the cap of the transaction's owner */
} store_result_e;

/* "claimed" ...: for logs.  Never NULL. */
const char *store_result_name(store_result_e result);

/* How a store is reached; filled by the glue from the ScepStore* directives.  Lives in pconf. */
typedef struct store_config_t {
    const char *url;             /* as written; may hold a user name, never a password */
    const char *state_directory; /* for sqlite:, absolute, no trailing slash */
    const char *user;            /* ScepStoreUser; NULL: none */
    const char *password_file;   /* read in prepare; NULL: none */
    const char *sentinel_user;          /* for the sentinels of redis+sentinel; NULL: none */
    const char *sentinel_password_file; /* read in prepare; NULL: none */
    const char *ca_file;         /* rediss: trust anchors; NULL: the system's */
    const char *certificate_file, *key_file; /* rediss: client certificate; NULL: none */
    apr_interval_time_t connect_timeout;     /* STORE_CONNECT_TIMEOUT when 0 */
    apr_interval_time_t command_timeout;     /* default 500 ms (redis), 5 s (sqlite busy) when 0 */
    apr_interval_time_t relocate_timeout;    /* sentinel, cluster: STORE_RELOCATE_TIMEOUT when 0 */
    int wait_replicas; /* redis: that have a claim or an end before it counts; 0: none */
    apr_interval_time_t wait_time; /* and for how long that is awaited; default 100 ms when 0 */
    int connections;               /* the most per child: ThreadsPerChild */
} store_config_t;

typedef struct store_challenge_t {
    const char *id;               /* HMAC of the challenge, STORE_ID_LEN hex; never the challenge */
    apr_interval_time_t lifetime; /* > 0 */
    int uses;                     /* >= 1; 0: unlimited */
    int attempts;                 /* refusals until it is burned, >= 1; 0: unlimited */
    const char *caller;           /* who asked for it; "" unknown */
    int caller_max;               /* issue: outstanding ones of this caller at most; 0: no cap */
    const char *template_name;    /* "" any */
    const char *bound;            /* JSON of what the CSR must be; "" nothing */
    apr_time_t issued, expires;   /* out: by the store's clock */
} store_challenge_t;

typedef struct store_claim_t {
    const char *tx_key;          /* STORE_ID_LEN hex */
    const char *poll_key;        /* STORE_ID_LEN hex: the same without the CSR, for CertPoll */
    const char *csr_digest;      /* STORE_ID_LEN hex */
    const char *challenge_id[2]; /* candidates by current and previous secret, the first known one
                                    counts; both NULL: no challenge needed (policy decided that) */
    const char *nonce; /* STORE_NONCE_LEN hex, new for each claim, same for its repetition */
    apr_interval_time_t lease;
    apr_interval_time_t retention;
    const char *serial;         /* STORE_SERIAL_LEN hex: proposal */
    apr_time_t not_before;      /* proposal; the store's now, where it is later than that: a host
                                   whose clock is fast reserves no time that others must wait for */
    const char *transaction_id; /* for find and logs; any bytes without NUL, at most 255 */
    const char *subject;        /* for find and lists */
    const char *template_name;
    const char *client; /* address */
    /*
     * Counters of failed challenges (NOCHALLENGE, EXPIRED, MISMATCH, USED), by names that differ.
     * name: at most STORE_TEXT_MAX bytes; "" or NULL, or max 0: unused.  A window starts with the
     * first failure and ends limit_window later.
     */
    struct {
        const char *name;
        int max;
    } limit[STORE_LIMITS];
    apr_interval_time_t limit_window; /* > 0 where a limit is used */
    /*
     * A challenge that proves itself and needs no issue: where no candidate is known, the claim
     * first makes challenge_id[0] from this (lifetime counts from now; id, caller_max, issued and
     * expires do not matter), outside of every cap, then goes on as if it had been issued.
     * lifetime must outlast the proof, or it could be made again: it is known at least until then,
     * used or not.  Needs challenge_id[0].  NULL: none.
     */
    const store_challenge_t *adopt;
} store_claim_t;

/* Something to be told to somebody outside; see take. */
typedef struct store_news_t {
    const char *id;        /* STORE_ID_LEN hex; news with a known id are kept once */
    const char *recipient; /* who delivers it, at most STORE_TEXT_MAX bytes, not "" */
    crypt_buf_t payload;   /* opaque, at most STORE_NEWS_MAX */
    /* out, of take */
    const char *tx_key;
    apr_int64_t fence; /* hand it to settle */
    int tries;         /* this one included */
    apr_time_t created;
    int late; /* its life time is over: the last chance to say so */
} store_news_t;

/*
 * One issued certificate in the inventory, where it stays until its own end, however long its
 * transaction is kept.  A CA never gives a serial number twice (RFC 5280 section 4.1.2.2).
 */
typedef struct store_entry_t {
    const char *issuer;        /* STORE_ISSUER_LEN hex, of store_issuer() */
    const char *serial;        /* as for commit, not "" */
    const char *digest;        /* STORE_ID_LEN hex: SHA-256 of the certificate */
    crypt_buf_t subject;       /* the name in DER, at most STORE_LONG_TEXT_MAX; len 0: not kept */
    const char *template_name;
    apr_time_t not_after;
    apr_time_t until;          /* in: how long it is kept at least */
    const char *tx_key, *transaction_id; /* out: of the transaction that was committed last */
    apr_time_t created;                  /* out */
    const char *place;                   /* out: in the order of creation, for store_search_t */
} store_entry_t;

/* What to look for in the inventory: a serial number of an issuer, else a transactionID (the newest
 * of its certificates), else a page of all. */
typedef struct store_search_t {
    const char *issuer, *serial;   /* NULL: any */
    const char *transaction_id;    /* NULL: any */
    const char *place;             /* the page begins behind it; "": at the end or the beginning */
    int newest_first;
    int max;                       /* at most STORE_PAGE_MAX */
} store_search_t;

/*
 * What a change of a transaction leaves behind, atomically with it; nothing where the call only
 * repeats one that was done.  A record replaces an earlier one of the transaction.  Its state is
 * "processing" while news of the transaction are on their way, else "failed" if one was given up
 * since the record was made, else "succeed".
 */
typedef struct store_trail_t {
    const char *record; /* JSON for the list of request statuses, at most STORE_LONG_TEXT_MAX; "":
                           no record is made, one that is there stays */
    const store_news_t *news; /* id, recipient, payload */
    int nnews;                /* at most STORE_NEWS_PER_TX */
    apr_interval_time_t news_lifetime; /* how long delivery is tried; > 0 with news */
    const store_entry_t *entry;        /* commit: for the inventory, with commit's serial number;
                                          NULL: none */
} store_trail_t;

/* How the delivery of one piece of news went. */
typedef enum {
    STORE_NEWS_DONE,  /* delivered: forget it */
    STORE_NEWS_AGAIN, /* take gives it again after a wait */
    STORE_NEWS_UNTRIED, /* the same, and this was no try; it is held no longer */
    STORE_NEWS_LOST   /* given up: forget it */
} store_settle_e;

/* What pend keeps. */
typedef struct store_pend_t {
    const char *cookie;            /* the CA backend's; "" none */
    apr_interval_time_t wait;      /* until a poll may claim it */
    apr_interval_time_t retention; /* counts from the transaction's first pend */
    const crypt_buf_t *request;    /* opaque, kept with the transaction, at most STORE_REQUEST_MAX;
                                      NULL or data NULL: what is there stays */
    int max;                       /* the most waiting transactions of the service; 0: no cap */
    const char *owner;             /* on whose account it waits, STORE_ID_LEN hex; "" nobody's.
                                      The first pend fixes it */
    int owner_max;                 /* the most waiting transactions of the owner; 0: no cap */
} store_pend_t;

/* What an administrator decided about a waiting transaction. */
typedef struct store_decision_t {
    int approve;        /* 0: deny */
    const char *by;     /* who, at most STORE_TEXT_MAX bytes */
    const char *text;   /* for people, at most STORE_TEXT_MAX bytes; "" none */
    const char *cookie; /* what is decided about waits with this one, as pend got it */
    const store_trail_t *trail; /* what a denial leaves behind; NULL: nothing */
} store_decision_t;

/* What is known of a transaction; strings "" and times 0 where unknown. */
typedef struct store_tx_t {
    const char *tx_key;
    const char *state;  /* "inflight", "pending", "issued", "failed" */
    apr_int64_t fence;  /* with CLAIMED: hand it to commit, fail, pend */
    const char *serial; /* reserved: STORE_SERIAL_LEN hex */
    apr_time_t not_before;
    crypt_buf_t certificate;  /* DER; len 0: none */
    const char *cookie;       /* the CA backend's */
    apr_interval_time_t wait; /* BUSY, PENDING: come again in */
    const char *reason;       /* failed: outcome_t reason */
    const char *transaction_id, *subject, *template_name, *client, *csr_digest;
    const char *challenge_id; /* the one held or used */
    const char *poll_key;
    const char *nonce;             /* of the claim or poll that took it last */
    crypt_buf_t request;           /* pend's; len 0: none */
    const char *decision;          /* "", "approved", "denied" */
    const char *decided_by, *text; /* by and text of the decision */
    apr_time_t created, updated;
    const char *record;            /* of trail; "" none */
    const char *record_state;      /* "", "processing", "succeed", "failed" */
    /* claim and poll with CLAIMED, find: caller, template, bound, issued, expires; of find without
     * a promise that the challenge is still known */
    store_challenge_t challenge;
} store_tx_t;

/* Who is to blame for a failed transaction. */
typedef enum {
    STORE_BLAME_NOBODY, /* nothing was signed, not the device's fault: the challenge is free at once
                         */
    STORE_BLAME_DEVICE  /* refused: counts an attempt against the challenge, then it is free */
} store_blame_e;

/* A revoked certificate. */
typedef struct store_revoked_t {
    const char *serial; /* as for commit, not "" */
    int reason;         /* CRLReason, RFC 5280 section 5.3.1 */
    apr_time_t when;    /* out */
    apr_time_t until;   /* how long it is kept at least; in the future */
} store_revoked_t;

/* The list of revoked certificates that is served, as one host made it for all. */
typedef struct store_crl_t {
    apr_int64_t changes; /* out: how often a certificate was revoked, ever */
    apr_int64_t number;  /* CRLNumber, from 1 on; 0: there is none yet */
    apr_int64_t made_of; /* the changes that it tells of, at least */
    crypt_buf_t der;     /* at most STORE_CRL_MAX */
} store_crl_t;

/* One host's view of its own configuration, to find hosts that differ (store_announce). */
typedef struct store_host_t {
    const char *host;                    /* name of the host and instance, unique */
    const char *secret, *ca, *templates; /* fingerprints, hex */
    apr_time_t seen;                     /* out */
} store_host_t;

/* Something about a store that its administrator should know. */
typedef struct store_finding_t {
    log_sink_level_e level; /* WARN: dangerous, INFO: good to know */
    const char *text;       /* without the store's name */
} store_finding_t;

struct store_provider_t {
    const char *name; /* URL scheme: "sqlite", "redis", "rediss", "redis+unix" ... */

    /* Parses cfg->url, touches nothing outside the process.  Error text in p, NULL on success. */
    const char *(*create)(store_t **pstore, const store_config_t *cfg, apr_pool_t *p);

    /*
     * What httpd -t can see: reads the files that prepare will read, changes nothing and asks no
     * network.  The store is thrown away afterwards, with p.  Error text in p, NULL on success.
     */
    const char *(*check)(store_t *store, apr_pool_t *p);

    /*
     * Once per start and graceful restart, as root, in the parent: reads password and key files,
     * makes local files owned by uid and gid.  What it opens it closes again.  Error text in p,
     * NULL on success. A server that is down is no error.
     */
    const char *(*prepare)(store_t *store, uid_t uid, gid_t gid, apr_pool_t *p);

    /* Sets up this child's pool of connections, opens none.  Torn down with pchild. */
    apr_status_t (*child_init)(store_t *store, apr_pool_t *pchild);

    /* OK (issued, expires set), FULL or CALLERFULL (*wait set), EXISTS.  cap 0: none.
     * *outstanding: unexpired, unused ones after the call.  For the caller's cap those count that
     * were issued with a caller_max, while they would count for the service's.  Also removes a
     * bounded number of expired records. */
    apr_status_t (*issue)(store_t *store, const char *service, store_challenge_t *challenge,
                          int cap, store_result_e *result, int *outstanding,
                          apr_interval_time_t *wait, apr_pool_t *p);

    /*
     * The one atomic step of an enrollment, in this order: known transaction (ISSUED, PENDING,
     * BUSY; same nonce: CLAIMED again; lease over: as a new one, but with the reserved serial and
     * notBefore and fence + 1; failed: with its own serial and notBefore, since a certificate with
     * the old ones may have been revoked; a denied one: REFUSED), then the counters of a new
     * transaction (LIMITED: nothing changes), then the challenge if it needs one
     * (NOCHALLENGE, EXPIRED, MISMATCH, USED; BUSY while another transaction holds its last use and
     * lives, HELD while all who hold one wait for the CA or an administrator), then hold it and
     * make the transaction. A challenge held by a transaction whose lease is over goes to the new
     * one; that fences the old one.
     *
     * The four failures of a challenge count in every limit of the claim; a fail that blames the
     * device does not.  A known transaction is never LIMITED.  A claim after a failure starts
     * without cookie, request and decision.
     *
     * The poll key finds the transaction that was claimed last: a new one, and one that is ISSUED
     * or PENDING again, as long as it is kept.
     */
    apr_status_t (*claim)(store_t *store, const char *service, const store_claim_t *claim,
                          store_result_e *result, store_tx_t *tx, apr_pool_t *p);

    /* Counts one failure in every limit of the claim, of which nothing else is looked at: for a
     * request that a claim let pass and that was refused after it. */
    apr_status_t (*count)(store_t *store, const char *service, const store_claim_t *claim,
                          apr_pool_t *p);

    /*
     * The certificate is made: consumes the challenge's use.  serial: the certificate's serial
     * number for find_certificate, lower-case hex, at most STORE_CERTIFICATE_SERIAL_MAX digits, ""
     * none.  The request that pend kept stays.  OK: these very bytes are kept; FENCED: others are,
     * even if the fence fits (a store that lost writes gives fences twice); CONFLICT: the inventory
     * has another transaction's certificate with the same issuer and serial number and another
     * digest.
     */
    apr_status_t (*commit)(store_t *store, const char *service, const char *tx_key,
                           apr_int64_t fence, const crypt_buf_t *certificate, const char *serial,
                           apr_interval_time_t retention, const store_trail_t *trail,
                           store_result_e *result, apr_pool_t *p);

    /* Nothing was issued.  reason: outcome_t reason.  OK or FENCED. */
    apr_status_t (*fail)(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                         store_blame_e blame, const char *reason, apr_interval_time_t retention,
                         const store_trail_t *trail, store_result_e *result, apr_pool_t *p);

    /*
     * Waits for the CA or an administrator: keeps cookie and request for any host, ends the lease,
     * keeps the challenge held.  OK, FENCED, FULL (nothing is changed) where pend->max others
     * wait, or OWNERFULL (the same) where owner_max others of the owner do; one that waits already
     * is never refused.  The first pend fixes when the transaction is
     * forgotten; a later one does not prolong that.
     */
    apr_status_t (*pend)(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                         const store_pend_t *pend, const store_trail_t *trail,
                         store_result_e *result, apr_pool_t *p);

    /*
     * CertPoll: finds by poll key.  A pending transaction whose wait is over is taken over: CLAIMED
     * with a new fence, the cookie, the request and the decision, to end by commit, fail or pend.
     * PENDING before that; ISSUED, BUSY, REFUSED (reason, text), NOTFOUND.  tx->tx_key is set.
     */
    apr_status_t (*poll)(store_t *store, const char *service, const char *poll_key,
                         const char *nonce, apr_interval_time_t lease, store_result_e *result,
                         store_tx_t *tx, apr_pool_t *p);

    /* By transaction key.  STORE_OK or NOTFOUND. */
    apr_status_t (*find)(store_t *store, const char *service, const char *tx_key,
                         store_result_e *result, store_tx_t *tx, apr_pool_t *p);

    /*
     * The transaction that was committed with this serial number, while it is retained.  serial: as
     * for commit, not "".  STORE_OK or NOTFOUND.
     */
    apr_status_t (*find_certificate)(store_t *store, const char *service, const char *serial,
                                     store_result_e *result, store_tx_t *tx, apr_pool_t *p);

    /*
     * The inventory: an array of store_entry_t.  *next: where the next page begins, "" if there is
     * none; a page may be short all the same, or empty.
     */
    apr_status_t (*inventory)(store_t *store, const char *service, const store_search_t *search,
                              apr_array_header_t **pentries, const char **next, apr_pool_t *p);

    /*
     * Decides about a waiting transaction.  Approved: it goes on waiting, its wait is over, so that
     * the next poll claims it, and it is kept for retention from now at least.  Denied: it failed
     * for good with reason "denied", for retention from now; the challenge is no longer held, an
     * attempt is counted.  OK (also for the same decision again), BUSY (a poll's lease is alive),
     * CONFLICT (not waiting, waiting with another cookie, or decided otherwise), NOTFOUND.
     */
    apr_status_t (*decide)(store_t *store, const char *service, const char *tx_key,
                           const store_decision_t *decision, apr_interval_time_t retention,
                           store_result_e *result, apr_pool_t *p);

    /* The pending transactions, oldest first, at most max: an array of store_tx_t*, without
     * certificate and request; wait is set. */
    apr_status_t (*list)(store_t *store, const char *service, int max, apr_array_header_t **ptxs,
                         apr_pool_t *p);

    /*
     * The request-status records of a state ("processing", "succeed", "failed"; "" any), those that
     * changed last first, at most max: an array of store_tx_t* with tx_key, transaction_id, state,
     * record, record_state, created and updated.  A record is kept as long as its transaction.
     */
    apr_status_t (*records)(store_t *store, const char *service, const char *state, int max,
                            apr_array_header_t **ptxs, apr_pool_t *p);

    /*
     * The outbox.  Gives news that are due, longest due first, at most max (an array of
     * store_news_t*; where they are long a store gives fewer at a time), and holds each for the
     * caller until lease ends or settle; nobody else gets them meanwhile.  After that they are due
     * again.  Late ones are given whether due or not, unless held.  News of one transaction for one
     * recipient are given in the order of the changes that left them: the next ones only when
     * those before are done or lost.
     */
    apr_status_t (*take)(store_t *store, const char *service, int max, apr_interval_time_t lease,
                         apr_array_header_t **pnews, apr_pool_t *p);

    /*
     * Says what became of taken news; AGAIN, UNTRIED: due after wait.  The transaction's record
     * follows.  OK; FENCED: somebody else has it; NOTFOUND: it is gone.  FENCED (UNTRIED) or
     * NOTFOUND (DONE, LOST) also come after an OK whose answer was lost.
     */
    apr_status_t (*settle)(store_t *store, const char *service, const char *news_id,
                           apr_int64_t fence, store_settle_e how, apr_interval_time_t wait,
                           store_result_e *result, apr_pool_t *p);

    /* How many news there are, and when the oldest was created (0: none). */
    apr_status_t (*outbox)(store_t *store, const char *service, int *count, apr_time_t *oldest,
                           apr_pool_t *p);

    /*
     * Work that one host at a time does: OK: holder has it until lease ends (also when it had it);
     * BUSY: another one does.  name, holder: at most STORE_TEXT_MAX bytes.  lease 0: gives it back.
     */
    apr_status_t (*lease)(store_t *store, const char *service, const char *name,
                          const char *holder, apr_interval_time_t lease, store_result_e *result,
                          apr_pool_t *p);

    /* Makes a challenge unusable from now on, by ending its life time.  OK or NOCHALLENGE. */
    apr_status_t (*revoke)(store_t *store, const char *service, const char *challenge_id,
                           store_result_e *result, apr_pool_t *p);

    /* Certificates that the CA takes back; not to be confused with revoke.  OK or EXISTS, also for
     * the repetition of a call whose answer was lost. */
    apr_status_t (*revoke_certificate)(store_t *store, const char *service,
                                       const store_revoked_t *what, store_result_e *result,
                                       apr_pool_t *p);

    /* Whether a certificate was revoked: STORE_OK (*revoked is set) or NOTFOUND. */
    apr_status_t (*find_revoked)(store_t *store, const char *service, const char *serial,
                                 store_result_e *result, store_revoked_t *revoked, apr_pool_t *p);

    /* All that are kept, those first whose until comes first: an array of store_revoked_t.  It
     * holds every one that was revoked before the call. */
    apr_status_t (*list_revoked)(store_t *store, const char *service, apr_array_header_t **plist,
                                 apr_pool_t *p);

    /* The current list, without der where its number is have.  Nothing was ever revoked or put:
     * all is 0. */
    apr_status_t (*get_crl)(store_t *store, const char *service, apr_int64_t have,
                            store_crl_t *crl, apr_pool_t *p);

    /* Replaces the list of that number (0: none) by one with a greater number.  OK, or CONFLICT:
     * somebody else was first; get that one.  So no number is ever given twice. */
    apr_status_t (*put_crl)(store_t *store, const char *service, apr_int64_t replaces,
                            const store_crl_t *crl, store_result_e *result, apr_pool_t *p);

    /* Removes at most max expired records; *removed set.  Redis expires by itself: cleans its
     * index. */
    apr_status_t (*sweep)(store_t *store, const char *service, int max, int *removed,
                          apr_pool_t *p);

    /* Records this host's fingerprints and gives those of all others seen in the last 24 hours
     * (array of store_host_t*). */
    apr_status_t (*announce)(store_t *store, const char *service, const store_host_t *self,
                             apr_array_header_t **pothers, apr_pool_t *p);

    /*
     * What of the store's own settings endangers what it keeps: an array of store_finding_t.  Asked
     * once after a start, when the service was announced.  NULL: there is nothing to look at.
     */
    apr_status_t (*inspect)(store_t *store, const char *service, apr_array_header_t **pfindings,
                            apr_pool_t *p);

    /* One round trip that proves that the service's claims would be kept, without the patience that
     * a device is served with.  *text: why not, for people. */
    apr_status_t (*health)(store_t *store, const char *service, const char **text, apr_pool_t *p);

    /* Whether this process asks nobody for the service at the moment, after failures.  No I/O.
     * NULL: it never does that. */
    int (*is_resting)(store_t *store, const char *service, apr_pool_t *p);
};

/* Base of every store; create fills it. */
struct store_t {
    const store_provider_t *provider;
    const char *display; /* the URL without credentials, for logs */
    struct apr_hash_t *tallies; /* store_tally_t* by service, see store_tally.h; NULL: none */
};

extern const store_provider_t store_sqlite, store_redis, store_rediss, store_redis_unix,
    store_redis_sentinel, store_rediss_sentinel, store_redis_cluster, store_rediss_cluster;

/* The stores of this program, ended by NULL.  A new store is one new file and one line here
 * (store.c). */
extern const store_provider_t *const store_builtin[];

/*
 * The slots, called through these: they check the arguments (lengths, hex; a bad one is
 * APR_EINVAL), preset the out-parameters, and answer APR_ENOTIMPL for a slot that a provider lacks.
 */
apr_status_t store_child_init(store_t *store, apr_pool_t *pchild);
apr_status_t store_issue(store_t *store, const char *service, store_challenge_t *challenge, int cap,
                         store_result_e *result, int *outstanding, apr_interval_time_t *wait,
                         apr_pool_t *p);
apr_status_t store_claim(store_t *store, const char *service, const store_claim_t *claim,
                         store_result_e *result, store_tx_t *tx, apr_pool_t *p);
apr_status_t store_count(store_t *store, const char *service, const store_claim_t *claim,
                         apr_pool_t *p);
apr_status_t store_commit(store_t *store, const char *service, const char *tx_key,
                          apr_int64_t fence, const crypt_buf_t *certificate, const char *serial,
                          apr_interval_time_t retention, const store_trail_t *trail,
                          store_result_e *result, apr_pool_t *p);
apr_status_t store_fail(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                        store_blame_e blame, const char *reason, apr_interval_time_t retention,
                        const store_trail_t *trail, store_result_e *result, apr_pool_t *p);
apr_status_t store_pend(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                        const store_pend_t *pend, const store_trail_t *trail,
                        store_result_e *result, apr_pool_t *p);
apr_status_t store_poll(store_t *store, const char *service, const char *poll_key,
                        const char *nonce, apr_interval_time_t lease, store_result_e *result,
                        store_tx_t *tx, apr_pool_t *p);
apr_status_t store_find(store_t *store, const char *service, const char *tx_key,
                        store_result_e *result, store_tx_t *tx, apr_pool_t *p);
apr_status_t store_find_certificate(store_t *store, const char *service, const char *serial,
                                    store_result_e *result, store_tx_t *tx, apr_pool_t *p);
apr_status_t store_inventory(store_t *store, const char *service, const store_search_t *search,
                             apr_array_header_t **pentries, const char **next, apr_pool_t *p);
apr_status_t store_decide(store_t *store, const char *service, const char *tx_key,
                          const store_decision_t *decision, apr_interval_time_t retention,
                          store_result_e *result, apr_pool_t *p);
apr_status_t store_list(store_t *store, const char *service, int max, apr_array_header_t **ptxs,
                        apr_pool_t *p);
apr_status_t store_records(store_t *store, const char *service, const char *state, int max,
                           apr_array_header_t **ptxs, apr_pool_t *p);
apr_status_t store_take(store_t *store, const char *service, int max, apr_interval_time_t lease,
                        apr_array_header_t **pnews, apr_pool_t *p);
apr_status_t store_settle(store_t *store, const char *service, const char *news_id,
                          apr_int64_t fence, store_settle_e how, apr_interval_time_t wait,
                          store_result_e *result, apr_pool_t *p);
apr_status_t store_outbox(store_t *store, const char *service, int *count, apr_time_t *oldest,
                          apr_pool_t *p);
apr_status_t store_lease(store_t *store, const char *service, const char *name, const char *holder,
                         apr_interval_time_t lease, store_result_e *result, apr_pool_t *p);
apr_status_t store_revoke(store_t *store, const char *service, const char *challenge_id,
                          store_result_e *result, apr_pool_t *p);
apr_status_t store_revoke_certificate(store_t *store, const char *service,
                                      const store_revoked_t *what, store_result_e *result,
                                      apr_pool_t *p);
apr_status_t store_find_revoked(store_t *store, const char *service, const char *serial,
                                store_result_e *result, store_revoked_t *revoked, apr_pool_t *p);
apr_status_t store_list_revoked(store_t *store, const char *service, apr_array_header_t **plist,
                                apr_pool_t *p);
apr_status_t store_get_crl(store_t *store, const char *service, apr_int64_t have,
                           store_crl_t *crl, apr_pool_t *p);
apr_status_t store_put_crl(store_t *store, const char *service, apr_int64_t replaces,
                           const store_crl_t *crl, store_result_e *result, apr_pool_t *p);
apr_status_t store_sweep(store_t *store, const char *service, int max, int *removed, apr_pool_t *p);
apr_status_t store_announce(store_t *store, const char *service, const store_host_t *self,
                            apr_array_header_t **pothers, apr_pool_t *p);
apr_status_t store_health(store_t *store, const char *service, const char **text, apr_pool_t *p);
int store_is_resting(store_t *store, const char *service, apr_pool_t *p);

/* Says in the log what inspect finds. */
apr_status_t store_inspect(store_t *store, const char *service, const log_sink_t *log,
                           apr_pool_t *p);

/*
 * Why the last slot called with this pool (or one of the same pool before it) did not answer, for
 * logs: no credentials, no challenges.  Never NULL; "" when every one answered.
 */
const char *store_error(apr_pool_t *p);

/* For stores: records that text (printf) and returns status, so that a slot can end with it. */
apr_status_t store_set_error(apr_pool_t *p, apr_status_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What stands for an issuer, whose name is given in DER; NULL: no SHA-256. */
const char *store_issuer(const crypt_buf_t *name, apr_pool_t *p);

/* For stores: sets every string of tx to "" and everything else to nothing. */
void store_clear_tx(store_tx_t *tx);

/* Makes dir (0700, owned by uid and gid where we are root) if it is absent.  Error text in p. */
const char *store_prepare_directory(const char *dir, uid_t uid, gid_t gid, apr_pool_t *p);

/*
 * Makes the store for cfg->url by its scheme; NULL url is "sqlite:".  lookup finds a provider by
 * scheme (the glue's ap_lookup_provider; NULL: store_builtin).  Error text in p, NULL on success.
 */
const char *store_make(store_t **pstore, const store_config_t *cfg,
                       const store_provider_t *(*lookup)(const char *scheme), apr_pool_t *p);

#endif /* POLICY_STORE_H */
