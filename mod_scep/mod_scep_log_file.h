/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log files of our own (ScepAuditLog, ScepPolicyLog): a file that is appended to, or the program
 * behind a pipe.  Opened by root when httpd opens its logs, again at each restart; all children and
 * threads write to it, each line by one write(), so that lines do not mix.
 */
#ifndef MOD_SCEP_LOG_FILE_H
#define MOD_SCEP_LOG_FILE_H

#include "mod_scep_config.h"

typedef struct scep_log_file_t scep_log_file_t;

/* What a directive can see of FILE or |PROGRAM; changes nothing.  Error text in p, NULL: none. */
const char *scep_log_file_check(const char *name, apr_pool_t *p);

/* The most bytes that one scep_log_file_write() may have. */
apr_size_t scep_log_file_max(const scep_log_file_t *file);

/* Name of this machine; never NULL. */
const char *scep_log_file_host(const scep_log_file_t *file);

/*
 * Writes whole lines.  What fails is said in the error log, once a minute in each child; the
 * request goes on.
 */
void scep_log_file_write(scep_log_file_t *file, request_rec *r, const char *text, apr_size_t len);

/*
 * The text as UTF-8 without control characters, cut to max bytes ("..." at its end says so).  ""
 * for NULL.
 */
const char *scep_log_file_text(const char *text, apr_size_t max, apr_pool_t *p);

#endif /* MOD_SCEP_LOG_FILE_H */
