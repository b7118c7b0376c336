/* SPDX-License-Identifier: Apache-2.0 */
/* The files of ScepStatusDirectory (see mod_scep_status_files.h). */
#include "mod_scep_status_files.h"
#include <apr_atomic.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <http_log.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

APLOG_USE_MODULE(scep);

#define SUFFIX ".CRS"
#define WRITABLE "every user can write into %s (chmod o-w it)"
#define NAMES_MAX 10000 /* files of a folder that one pass looks at */
#define LOOKUPS_MAX 100 /* questions to the store in one pass */

enum { PROCESSING, SUCCEED, FAILED, FOLDERS };
static const char *const folders[FOLDERS] = {"Processing", "Succeed", "Failed"};

/* Members of a record, and their names in the files. */
static const struct {
    const char *key, *field;
} fields[] = {{"transactionID", "TransactionID"},
              {"serial", "CertificateSerialNumber"},
              {"thumbprint", "Thumbprint"},
              {"user", "UserID"},
              {"device", "DeviceID"},
              {"subject", "Subject"},
              {"template", "Template"},
              {"issued", "Issued"},
              {"notAfter", "NotAfter"}};

const char *const *scep_status_files_folders(const char *dir, apr_pool_t *p)
{
    const char **paths = apr_pcalloc(p, (FOLDERS + 1) * sizeof(*paths));
    int i;

    for (i = 0; i < FOLDERS; i++) {
        paths[i] = apr_pstrcat(p, dir, "/", folders[i], NULL);
    }
    return paths;
}

/* What is wrong with a folder; NULL: nothing, or it is not there. */
static const char *check_folder(const char *path, uid_t uid, apr_pool_t *p)
{
    struct stat info;

    if (stat(path, &info) != 0) {
        return errno == ENOENT ? NULL
                               : apr_psprintf(p, "cannot look at %s: %s", path, strerror(errno));
    }
    if (!S_ISDIR(info.st_mode)) {
        return apr_psprintf(p, "%s is not a directory", path);
    }
    if (info.st_mode & S_IWOTH) {
        return apr_psprintf(p, WRITABLE, path);
    }
    if (info.st_uid == uid ? !(info.st_mode & S_IWUSR) : !(info.st_mode & S_IWGRP)) {
        return apr_psprintf(p, "the server's user cannot write into %s", path);
    }
    return NULL;
}

const char *scep_status_files_check(const char *dir, uid_t uid, apr_pool_t *p)
{
    const char *const *path = scep_status_files_folders(dir, p);
    struct stat info;
    const char *err = NULL;

    if (stat(dir, &info) == 0 && !S_ISDIR(info.st_mode)) {
        return apr_psprintf(p, "%s is not a directory", dir);
    }
    if (stat(dir, &info) == 0 && (info.st_mode & S_IWOTH)) {
        return apr_psprintf(p, WRITABLE, dir);
    }
    for (; !err && *path; path++) {
        err = check_folder(*path, uid, p);
    }
    return err;
}

/* Says that something went wrong, once a minute. */
static void complain(const scep_service_conf_t *service, const char *what, const char *path,
                     int error)
{
    static volatile apr_uint32_t told;
    apr_uint32_t minute = (apr_uint32_t)(apr_time_sec(apr_time_now()) / 60);

    if (apr_atomic_xchg32(&told, minute) != minute) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, APR_FROM_OS_ERROR(error), service->server,
                     SCEPTAG(0497) ": service %s: ScepStatusDirectory: cannot %s %s",
                     service->name, what, path);
    }
}

/* "SERVICE-", with which the service's files begin. */
static const char *prefix_of(const scep_service_conf_t *service, apr_pool_t *p)
{
    return apr_pstrcat(p, service->name, "-", NULL);
}

/* The transaction's key in the name of a file of the service; NULL: it is none. */
static const char *key_in(const char *name, const char *prefix, apr_pool_t *p)
{
    apr_size_t len = strlen(prefix);

    if (strncmp(name, prefix, len) || strlen(name) != len + STORE_ID_LEN + strlen(SUFFIX) ||
        strspn(name + len, "0123456789abcdef") != STORE_ID_LEN ||
        strcmp(name + len + STORE_ID_LEN, SUFFIX)) {
        return NULL;
    }
    return apr_pstrndup(p, name + len, STORE_ID_LEN);
}

/* The file's text; NULL: the record cannot be read. */
static const char *make_text(const char *service, const char *record, apr_pool_t *p)
{
    json_t *object = json_loads(record, 0, NULL);
    const char *text = apr_pstrcat(p, "Service: ", service, "\r\n", NULL), *value;
    apr_size_t i;

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        value = json_string_value(json_object_get(object, fields[i].key));
        text = apr_pstrcat(p, text, fields[i].field, ": ", value ? value : "", "\r\n", NULL);
    }
    if (!object) {
        return NULL;
    }
    json_decref(object);
    return text;
}

/* Writes a file whole or not at all; 0 or errno. */
static int write_file(const char *path, const char *temporary, const char *text)
{
    apr_size_t len = strlen(text);
    int fd, error = 0;

    unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0) {
        return errno;
    }
    errno = 0;
    if (write(fd, text, len) != (ssize_t)len || fchmod(fd, 0640) != 0) {
        error = errno ? errno : ENOSPC;
    }
    if (close(fd) != 0 && !error) {
        error = errno;
    }
    if (!error && rename(temporary, path) != 0) {
        error = errno;
    }
    if (error) {
        unlink(temporary);
    }
    return error;
}

void scep_status_files_write(request_rec *r, const scep_service_conf_t *service,
                             const scep_trace_t *trace)
{
    const char *dir = service->effective.status_directory, *folder, *name, *text;
    apr_pool_t *p = r->pool;
    int error;

    if (!dir || !*trace->record) {
        return;
    }
    folder = apr_pstrcat(p, dir, "/", folders[trace->news ? PROCESSING : SUCCEED], "/", NULL);
    name = apr_pstrcat(p, prefix_of(service, p), trace->tx_key, SUFFIX, NULL);
    text = make_text(service->name, trace->record, p);
    error = text ? write_file(apr_pstrcat(p, folder, name, NULL),
                              apr_pstrcat(p, folder, ".", name, NULL), text)
                 : EINVAL;
    if (error) {
        complain(service, "write", apr_pstrcat(p, folder, name, NULL), error);
    }
}

/* qsort()'s order of names. */
static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the service's files in a folder, sorted. */
static apr_array_header_t *list_files(const scep_service_conf_t *service, const char *folder,
                                      apr_pool_t *p)
{
    apr_array_header_t *names = apr_array_make(p, 16, sizeof(const char *));
    const char *prefix = prefix_of(service, p);
    apr_finfo_t info;
    apr_dir_t *dir;
    apr_status_t rv = apr_dir_open(&dir, folder, p);

    if (rv != APR_SUCCESS) {
        complain(service, "read", folder, APR_TO_OS_ERROR(rv));
        return names;
    }
    while (names->nelts < NAMES_MAX && apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        if (key_in(info.name, prefix, p)) {
            APR_ARRAY_PUSH(names, const char *) = apr_pstrdup(p, info.name);
        }
    }
    apr_dir_close(dir);
    qsort(names->elts, (size_t)names->nelts, sizeof(const char *), compare);
    return names;
}

/* Moves a file to where its record belongs; 0: the store gave no answer. */
static int follow(const scep_service_conf_t *service, const char *name, apr_pool_t *p)
{
    const char *key = key_in(name, prefix_of(service, p), p);
    const char *dir = service->effective.status_directory, *from, *to;
    store_result_e result;
    store_tx_t tx;

    if (store_find(service->store, service->name, key, &result, &tx, p) != APR_SUCCESS) {
        return 0;
    }
    if (result != STORE_OK || (strcmp(tx.record_state, "succeed") != 0 &&
                               strcmp(tx.record_state, "failed") != 0)) {
        return 1;
    }
    from = apr_pstrcat(p, dir, "/", folders[PROCESSING], "/", name, NULL);
    to = apr_pstrcat(p, dir, "/", folders[strcmp(tx.record_state, "failed") ? SUCCEED : FAILED],
                     "/", name, NULL);
    if (rename(from, to) != 0 && errno != ENOENT) {
        complain(service, "move", from, errno);
    }
    return 1;
}

int scep_status_files_follow(const scep_service_conf_t *service, scep_status_cursor_t *cursor,
                             apr_pool_t *p)
{
    const char *dir = service->effective.status_directory;
    apr_array_header_t *names =
        list_files(service, apr_pstrcat(p, dir, "/", folders[PROCESSING], NULL), p);
    int i, first = 0;

    while (first < names->nelts &&
           strcmp(APR_ARRAY_IDX(names, first, const char *), cursor->last) <= 0) {
        first++;
    }
    for (i = 0; i < names->nelts && i < LOOKUPS_MAX; i++) {
        const char *name = APR_ARRAY_IDX(names, (first + i) % names->nelts, const char *);

        if (!follow(service, name, p)) {
            break;
        }
        apr_cpystrn(cursor->last, name, sizeof(cursor->last));
    }
    return names->nelts > 0;
}

/* Removes the service's files of a folder that are older than limit, temporary ones too. */
static void clean_folder(const scep_service_conf_t *service, const char *folder, apr_time_t limit,
                         apr_pool_t *p)
{
    const char *prefix = prefix_of(service, p);
    apr_finfo_t info;
    apr_dir_t *dir;
    apr_pool_t *scratch;

    if (apr_dir_open(&dir, folder, p) != APR_SUCCESS) {
        return;
    }
    apr_pool_create(&scratch, p);
    while (apr_dir_read(&info, APR_FINFO_NAME | APR_FINFO_MTIME | APR_FINFO_TYPE, dir) ==
           APR_SUCCESS) {
        apr_pool_clear(scratch);
        if (info.filetype == APR_REG && info.mtime < limit &&
            key_in(info.name + (*info.name == '.'), prefix, scratch)) {
            apr_file_remove(apr_pstrcat(scratch, folder, "/", info.name, NULL), scratch);
        }
    }
    apr_dir_close(dir);
    apr_pool_destroy(scratch);
}

void scep_status_files_clean(const scep_service_conf_t *service, apr_pool_t *p)
{
    const char *const *folder =
        scep_status_files_folders(service->effective.status_directory, p);

    for (; *folder; folder++) {
        clean_folder(service, *folder, apr_time_now() - service->effective.retention, p);
    }
}
