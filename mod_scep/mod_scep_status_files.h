/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ScepStatusDirectory: the request status of each issued certificate as a file, as NDES with the
 * Intune connector keeps it (CertificateRequestStatus): DIR/Processing while news of it are on
 * their way, then DIR/Succeed or DIR/Failed.  SERVICE-KEY.CRS holds lines "Field: value".
 *
 * The store's record is the truth, the files are for people and their tools: one that cannot be
 * written costs a line in the log, never an enrollment.
 */
#ifndef MOD_SCEP_STATUS_FILES_H
#define MOD_SCEP_STATUS_FILES_H

#include "mod_scep_config.h"

/* Why the server's user could not work in the directory; NULL: it can, or it will be made. */
const char *scep_status_files_check(const char *dir, uid_t uid, apr_pool_t *p);

/* The three folders, ended by NULL; to be made at start. */
const char *const *scep_status_files_folders(const char *dir, apr_pool_t *p);

/* Writes the file of a certificate that this request issued; nothing for any other. */
void scep_status_files_write(request_rec *r, const scep_service_conf_t *service,
                             const scep_trace_t *trace);

/* Where a pass through the files in Processing goes on; zeroed at first. */
typedef struct scep_status_cursor_t {
    char last[128]; /* name that was looked at last */
} scep_status_cursor_t;

/*
 * For one thread of a host now and then.  scep_status_files_follow(): moves files whose records
 * have changed, at most 100 at a time; whether there are any in Processing.
 * scep_status_files_clean(): removes those older than ScepRetention.
 */
int scep_status_files_follow(const scep_service_conf_t *service, scep_status_cursor_t *cursor,
                             apr_pool_t *p);
void scep_status_files_clean(const scep_service_conf_t *service, apr_pool_t *p);

#endif /* MOD_SCEP_STATUS_FILES_H */
