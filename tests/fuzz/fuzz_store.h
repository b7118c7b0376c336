/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in memory for the fuzz targets: a few transactions, set back to the same state before
 * each input, and as broken as an input wants it.  One thread, no clock: a lease lasts for ever.
 */
#ifndef FUZZ_STORE_H
#define FUZZ_STORE_H

#include "../../policy/store/store.h"

#define FUZZ_STORE_TXS 16
#define FUZZ_STORE_NEWS 16

/* One transaction; its strings live in the pool of the request that made it. */
typedef struct fuzz_store_tx_t {
    store_tx_t tx;
    const char *certificate_serial;
    int ready;                      /* pending: a poll may claim it */
    int lost;                       /* news about it were given up */
} fuzz_store_tx_t;

/* What goes wrong. */
typedef enum {
    FUZZ_STORE_WELL,
    FUZZ_STORE_CLAIM_FAILS,         /* a status other than APR_SUCCESS */
    FUZZ_STORE_POLL_FAILS,
    FUZZ_STORE_COMMIT_FAILS,
    FUZZ_STORE_PEND_FAILS,
    FUZZ_STORE_FIND_FAILS,
    FUZZ_STORE_FENCED,
    FUZZ_STORE_FULL,
    FUZZ_STORE_BUSY,
    FUZZ_STORE_USED,                /* and the other answers to a challenge */
    FUZZ_STORE_EXPIRED,
    FUZZ_STORE_HELD,
    FUZZ_STORE_LIMITED,
    FUZZ_STORE_FAULTS
} fuzz_store_fault_e;

typedef struct fuzz_store_t {
    store_t base;
    char challenge_id[STORE_ID_LEN + 1];    /* the only challenge; it has any number of uses */
    fuzz_store_tx_t txs[FUZZ_STORE_TXS];
    int n;
    store_news_t news[FUZZ_STORE_NEWS];     /* fence 0: not taken yet */
    int nnews;
    fuzz_store_fault_e fault;
    int claims, commits, changes;           /* calls that did something */
} fuzz_store_t;

/* An empty store. */
void fuzz_store_init(fuzz_store_t *store);

/* The transaction with that transactionID; NULL: none. */
fuzz_store_tx_t *fuzz_store_get(fuzz_store_t *store, const char *transaction_id);

#endif /* FUZZ_STORE_H */
