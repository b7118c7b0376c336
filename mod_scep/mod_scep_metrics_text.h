/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of scep-metrics in the making, and its second half: what is so at the moment of the
 * scrape, while mod_scep_metrics_text.c has what was counted.
 */
#ifndef MOD_SCEP_METRICS_TEXT_H
#define MOD_SCEP_METRICS_TEXT_H

#include "mod_scep_metrics.h"

typedef struct scep_text_t {
    apr_array_header_t *pieces;   /* of const char* */
    apr_array_header_t *services; /* of scep_service_conf_t* */
    const log_sink_t *log;
    apr_pool_t *p;
} scep_text_t;

/* Appends a formatted piece. */
void scep_text_add(scep_text_t *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Starts a metric. */
void scep_text_head(scep_text_t *t, const char *name, const char *type, const char *help);

/* A label's value between its quotes; lives in p. */
const char *scep_text_label(const char *text, apr_pool_t *p);

/*
 * Appends certificates' ends, and what store and CA say now; asks both, within their time limits.
 */
void scep_metrics_now(scep_text_t *t);

#endif /* MOD_SCEP_METRICS_TEXT_H */
