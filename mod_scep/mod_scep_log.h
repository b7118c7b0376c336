/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bridge from the rooms' log sink to httpd's error log, and the one line per transaction.
 */
#ifndef MOD_SCEP_LOG_H
#define MOD_SCEP_LOG_H

#include "mod_scep_config.h"

/* A sink that writes to the log of a request or of a server; lives in its pool or in p. */
const log_sink_t *scep_log_request(request_rec *r);
const log_sink_t *scep_log_server(server_rec *s, apr_pool_t *p);

/* The transaction's line, and the request notes for LogFormat "%{scep-result}n". */
void scep_log_transaction(request_rec *r, const scep_service_conf_t *service,
                          const scep_response_t *response);

/* A field of a line: of bounded length, and without the quotes that enclose it. */
const char *scep_log_field(apr_pool_t *p, const char *text);

#endif /* MOD_SCEP_LOG_H */
