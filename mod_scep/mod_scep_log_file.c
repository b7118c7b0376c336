/* SPDX-License-Identifier: Apache-2.0 */
/* Log files of our own: opening and writing (see mod_scep_log_file.h). */
#include "mod_scep_log_file.h"
#include "mod_scep_status.h"
#include <apr_atomic.h>
#include <apr_network_io.h>
#include <apr_strings.h>
#include <http_log.h>
#include <limits.h>
#include <unistd.h>

APLOG_USE_MODULE(scep);

#define LINE_MAX_FILE 16384
#ifdef PIPE_BUF
#define LINE_MAX_PIPE PIPE_BUF /* what POSIX writes into a pipe in one piece */
#else
#define LINE_MAX_PIPE 512
#endif

struct scep_log_file_t {
    const char *name, *host;
    apr_file_t *file;
    apr_size_t max;
    apr_uint32_t told; /* the minute of the last error that was said */
};

/* Why the folder of a new file cannot have it; NULL: it can. */
static const char *check_folder(const char *name, apr_pool_t *p)
{
    char *folder = apr_pstrdup(p, name);
    char *slash = strrchr(folder, '/');
    apr_finfo_t info;

    if (!slash) {
        return NULL;
    }
    *(slash == folder ? slash + 1 : slash) = '\0';
    if (apr_stat(&info, folder, APR_FINFO_TYPE, p) != APR_SUCCESS || info.filetype != APR_DIR) {
        return apr_psprintf(p, "there is no directory %s", folder);
    }
    return access(folder, W_OK) ? apr_psprintf(p, "cannot write into %s", folder) : NULL;
}

const char *scep_log_file_check(const char *name, apr_pool_t *p)
{
    apr_finfo_t info;

    if (*name == '|') {
        return name[1 + strspn(name + 1, "|$ ")] ? NULL : "there is no program behind '|'";
    }
    if (apr_stat(&info, name, APR_FINFO_TYPE, p) != APR_SUCCESS) {
        return check_folder(name, p);
    }
    if (info.filetype != APR_REG && info.filetype != APR_CHR) {
        return apr_psprintf(p, "%s is not a file", name);
    }
    return access(name, W_OK) ? apr_psprintf(p, "cannot write to %s", name) : NULL;
}

/* The file or pipe by that name, opened by whoever names it first; NULL: an error was logged. */
static scep_log_file_t *open_log(const char *name, server_rec *s, apr_hash_t *files)
{
    apr_pool_t *p = apr_hash_pool_get(files);
    scep_log_file_t *log = apr_hash_get(files, name, APR_HASH_KEY_STRING);
    char host[256] = "localhost";
    piped_log *pipe;
    apr_status_t rv = APR_SUCCESS;

    if (log) {
        return log;
    }
    log = apr_pcalloc(p, sizeof(*log));
    log->name = name;
    apr_gethostname(host, sizeof(host), p);
    log->host = apr_pstrdup(p, host);
    if (*name == '|') {
        pipe = ap_open_piped_log(p, name + 1);
        log->file = pipe ? ap_piped_log_write_fd(pipe) : NULL;
        log->max = LINE_MAX_PIPE;
    }
    else {
        rv = apr_file_open(&log->file, name,
                           APR_FOPEN_WRITE | APR_FOPEN_APPEND | APR_FOPEN_CREATE |
                               APR_FOPEN_LARGEFILE,
                           APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_GREAD, p);
        log->max = LINE_MAX_FILE;
    }
    if (rv != APR_SUCCESS || !log->file) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, SCEPTAG(0480) ": cannot open the log '%s'",
                     name);
        return NULL;
    }
    apr_hash_set(files, name, APR_HASH_KEY_STRING, log);
    return log;
}

/* Opens the logs of one service; a visitor of scep_each_service(). */
static int open_service(scep_service_conf_t *service, void *files)
{
    const scep_props_t *e = &service->effective;

    if (e->audit_log && !(service->audit_log = open_log(e->audit_log, service->server, files))) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (e->policy_log &&
        !(service->policy_log = open_log(e->policy_log, service->server, files))) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

int scep_open_logs(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)pconf;
    (void)ptemp;
    /* the first of two passes at start: a program would be started twice */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    return scep_each_service(s, open_service, apr_hash_make(plog));
}

apr_size_t scep_log_file_max(const scep_log_file_t *file)
{
    return file->max;
}

const char *scep_log_file_host(const scep_log_file_t *file)
{
    return file->host;
}

void scep_log_file_write(scep_log_file_t *file, request_rec *r, const char *text, apr_size_t len)
{
    apr_size_t written = len;
    apr_status_t rv = apr_file_write(file->file, text, &written);
    apr_uint32_t minute = (apr_uint32_t)(apr_time_sec(apr_time_now()) / 60);

    if (rv == APR_SUCCESS && written < len) {
        rv = APR_ENOSPC;
    }
    if (rv != APR_SUCCESS && apr_atomic_xchg32(&file->told, minute) != minute) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r, SCEPTAG(0481) ": cannot write to the log '%s'",
                      file->name);
    }
}

const char *scep_log_file_text(const char *text, apr_size_t max, apr_pool_t *p)
{
    static const char more[] = "...";
    const char *clean = scep_status_clean(text, p);
    apr_size_t len = strlen(clean);

    if (len <= max) {
        return clean;
    }
    len = max > sizeof(more) ? max - (sizeof(more) - 1) : 0;
    while (len && ((unsigned char)clean[len] & 0xc0) == 0x80) {
        len--;
    }
    return apr_pstrcat(p, apr_pstrmemdup(p, clean, len), more, NULL);
}
