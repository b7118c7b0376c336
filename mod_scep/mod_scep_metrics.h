/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters and latencies of this host, per service, for the handler scep-metrics (Prometheus text)
 * and mod_status.  They are in shared memory that outlives a graceful restart, are changed by
 * atomic additions only, and cost no lock.  Label values are from closed lists: never a
 * transactionID, an address or a subject.  docs/monitoring.md describes each.
 */
#ifndef MOD_SCEP_METRICS_H
#define MOD_SCEP_METRICS_H

#include "mod_scep_config.h"
#include "mod_scep_client_os.h"
#include "../policy/store/store_tally.h"

typedef enum {
    SCEP_OP_CACAPS,
    SCEP_OP_CACERT,
    SCEP_OP_NEXTCACERT,
    SCEP_OP_PKCSREQ,
    SCEP_OP_RENEWALREQ,
    SCEP_OP_CERTPOLL,
    SCEP_OP_GETCERT,
    SCEP_OP_GETCRL,
    SCEP_OP_OTHER,
    SCEP_OPS /* how many there are */
} scep_op_e;

#define SCEP_RESULTS (OUTCOME_LIMITED + 1)

/* Why a challenge was not good; what it counts is the outcome's reason without "challenge-". */
typedef enum {
    SCEP_BAD_MISSING,
    SCEP_BAD_UNKNOWN,
    SCEP_BAD_USED,
    SCEP_BAD_EXPIRED,
    SCEP_BAD_BURNED,
    SCEP_BAD_HELD,
    SCEP_BAD_BOUND, /* the request is not what it was made for */
    SCEP_BADS       /* how many there are */
} scep_bad_e;

/* Who gave no answer, when the result is unavailable. */
typedef enum {
    SCEP_AWAY_STORE,
    SCEP_AWAY_CA,
    SCEP_AWAY_WEBHOOK,
    SCEP_AWAY_INTUNE,
    SCEP_AWAY_POINT, /* a registration point */
    SCEP_AWAY_BUSY,  /* nobody: another worker has the transaction */
    SCEP_AWAY_OTHER,
    SCEP_AWAYS /* how many there are */
} scep_away_e;

/* What became of an order for a challenge. */
typedef enum { SCEP_MINT_ISSUED, SCEP_MINT_FULL, SCEP_MINT_FAILED, SCEP_MINTS } scep_mint_e;

typedef enum {
    SCEP_TIME_STORE,  /* each of claim and commit, notifying the providers included */
    SCEP_TIME_POLICY, /* the providers' verify */
    SCEP_TIME_CA,
    SCEP_TIME_TOTAL, /* from the request's first byte to the answer's */
    SCEP_TIMES       /* how many there are */
} scep_time_e;

#define SCEP_BUCKETS 13

typedef struct scep_histogram_t {
    volatile apr_uint64_t bucket[SCEP_BUCKETS + 1]; /* the last: longer than every limit */
    volatile apr_uint64_t sum;                      /* microseconds */
} scep_histogram_t;

/* One service's counters. */
typedef struct scep_metrics_t {
    char name[64]; /* the service's; "" free */
    volatile apr_uint64_t requests[SCEP_OPS][SCEP_RESULTS];
    volatile apr_uint64_t refused[FAIL_INFO_BAD_CERT_ID + 2]; /* by failInfo, none first */
    volatile apr_uint64_t clients[SCEP_CLIENTS][SCEP_RESULTS];
    volatile apr_uint64_t bad_challenges[SCEP_BADS];
    volatile apr_uint64_t intune[POLICY_INTUNE_CODES];
    volatile apr_uint64_t minted[SCEP_MINTS];
    volatile apr_uint64_t away[SCEP_AWAYS];
    volatile apr_uint64_t outstanding; /* challenges, when one was made last */
    volatile apr_uint64_t challenges_used; /* certificates that were issued on one */
    volatile apr_uint64_t replays;         /* certificates that were given once more */
    volatile apr_uint64_t queued, refused_busy; /* PKIOperations, by ScepConcurrency */
    scep_histogram_t times[SCEP_TIMES];    /* of PKIOperations */
    store_tally_t store;                   /* what the store counts itself */
} scep_metrics_t;

/* Upper limits of the buckets, in microseconds. */
extern const apr_interval_time_t scep_metrics_limits[SCEP_BUCKETS];

/* post_config: finds the memory of the last generation, or makes it. */
apr_status_t scep_metrics_setup(server_rec *main_server);

/* Finds or takes the counters of a service; NULL: there are too many, it is not counted. */
scep_metrics_t *scep_metrics_take(const char *name);

/* Counts an answered request, an order for a challenge.  From any thread. */
void scep_metrics_request(const scep_service_conf_t *service, const request_rec *r,
                          const scep_response_t *response);
void scep_metrics_mint(const scep_service_conf_t *service, scep_mint_e result);

/* Keeps how many challenges of all hosts are outstanding. */
void scep_metrics_outstanding(const scep_service_conf_t *service, int outstanding);

/* Counts a request that had to wait for its turn, and one that did not get any. */
void scep_metrics_admission(const scep_service_conf_t *service, int queued, int refused);

/* The counter's value. */
apr_uint64_t scep_metrics_read(const volatile apr_uint64_t *counter);

#endif /* MOD_SCEP_METRICS_H */
