/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outbox: what providers leave to be told is kept with the end of a transaction
 * (policy_outbox.c) and delivered later, by any host (policy_work.c, policy_deliver.c).
 */
#ifndef POLICY_OUTBOX_H
#define POLICY_OUTBOX_H

#include "policy_provider.h"

/* What the end of one transaction leaves behind. */
typedef struct policy_trail_t {
    store_trail_t trail;
    store_news_t news[STORE_NEWS_PER_TX];
    store_entry_t entry;
} policy_trail_t;

/* An empty trail that stays with *trail. */
void policy_trail_init(policy_trail_t *trail, const policy_config_t *cfg);

/*
 * Seals text, which the n-th provider of the chain left, into the trail.  NULL text: nothing.
 * APR_SUCCESS; APR_ENOSPC: too long, or too many; other: it cannot be sealed.
 */
apr_status_t policy_trail_add(policy_trail_t *trail, const policy_tx_t *tx, int n,
                              policy_event_e event, const char *text, apr_pool_t *p);

/* Makes the record of the certificate that event is about; "" when there is no memory. */
void policy_trail_record(policy_trail_t *trail, const policy_tx_t *tx, const policy_event_t *event,
                         apr_pool_t *p);

/* Makes the inventory's entry of that certificate, where the event names its issuer.  0: no
 * SHA-256. */
int policy_trail_entry(policy_trail_t *trail, const policy_tx_t *tx, const policy_event_t *event,
                       apr_pool_t *p);

/*
 * Tells every provider but one (-1: all), and keeps what they leave.  With ISSUED it ends with the
 * first status that is no success: delivery is forbidden by provider *by, or its news cannot be
 * kept (-1), and out is set.
 */
apr_status_t policy_notify_all(policy_trail_t *trail, policy_tx_t *tx, const policy_event_t *event,
                               int but, int *by, outcome_t *out, const log_sink_t *log,
                               apr_pool_t *p);

/* For the store; NULL: there is nothing to keep. */
const store_trail_t *policy_trail_get(const policy_trail_t *trail);

/* Name of the n-th provider of the chain as a recipient, "webhook#1": its own and its number among
 * those of that name, so that other policies can come and go. */
const char *policy_recipient(const policy_t *policy, int n, apr_pool_t *p);

/* What news for a recipient are sealed for (policy_seal()). */
const char *policy_news_context(const char *id, const char *recipient, apr_pool_t *p);

/* "issued", "pending", "refused", "transient", "unknown". */
const char *policy_event_name(policy_event_e event);

/* Upper-case hex of the certificate's SHA-1, as Windows shows it; NULL: no SHA-1. */
const char *policy_thumbprint(const crypt_buf_t *der, apr_pool_t *p);

/* What policy_work() remembers between its rounds; made in the child.  NULL: no mutex. */
typedef struct policy_worker_t policy_worker_t;
policy_worker_t *policy_worker_make(const policy_t *policy, apr_pool_t *pchild);

#endif /* POLICY_OUTBOX_H */
