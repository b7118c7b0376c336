/* SPDX-License-Identifier: Apache-2.0 */
/* The credential files of an HTTP peer; see http_files.h. */
#include "http_files.h"
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (4 * 1024 * 1024)

#define PROXY_MAX 512 /* bytes of the line for the proxy */

enum { FILE_CA, FILE_CERTIFICATE, FILE_KEY };

void http_files_stamp(http_stamp_t *stamp, const http_files_t *files, const http_stamp_t *old)
{
    struct stat info;
    int i;

    memset(stamp, 0, sizeof(*stamp));
    if (old)
        *stamp = *old;
    for (i = 0; i < HTTP_FILES; i++) {
        if (!files->path[i] || stat(files->path[i], &info) != 0)
            continue;
        stamp->mtime[i] = info.st_mtim.tv_sec * APR_INT64_C(1000000000) + info.st_mtim.tv_nsec;
        stamp->size[i] = info.st_size;
        stamp->inode[i] = info.st_ino;
    }
}

/* Reads one file into *data.  Error text in p, NULL on success. */
static const char *read_file(char **data, apr_size_t *len, const char *file, apr_pool_t *p)
{
    char message[120];
    struct stat info;
    ssize_t n = -1;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, &info) == 0) {
        if (!S_ISREG(info.st_mode) || info.st_size > FILE_MAX) {
            close(fd);
            return apr_psprintf(p, "%s is no file of at most %d bytes", file, FILE_MAX);
        }
        *data = calloc(1, info.st_size + 1);
        n = *data ? read(fd, *data, info.st_size) : -1;
        *len = n > 0 ? n : 0;
    }
    if (n < 0)
        apr_strerror(APR_FROM_OS_ERROR(errno), message, sizeof(message));
    if (fd >= 0)
        close(fd);
    return n < 0 ? apr_psprintf(p, "cannot read %s: %s", file, message) : NULL;
}

/*
 * Takes the line USER:PASSWORD apart, in place.  Error text in p, which quotes nothing of it, NULL
 * on success.
 */
static const char *split_line(char *line, apr_size_t len, const char *file, apr_pool_t *p)
{
    char *colon, *c;

    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        line[--len] = '\0';
    colon = strchr(line, ':');
    for (c = line; *c && (unsigned char)*c >= ' ' && *c != 0x7f; c++)
        continue;
    if (!colon || colon == line || !colon[1] || *c || len > PROXY_MAX || strlen(line) != len)
        return apr_psprintf(p, "%s does not hold one line USER:PASSWORD of at most %d bytes", file,
                            PROXY_MAX);
    *colon = '\0';
    return NULL;
}

/* Whether others may not read a file.  Error text in p if they may. */
static const char *check_rights(const char *file, apr_pool_t *p)
{
    struct stat info;

    return stat(file, &info) == 0 && (info.st_mode & S_IRWXO)
               ? apr_psprintf(p, "%s holds a password and may be read by everybody (chmod o=)",
                              file)
               : NULL;
}

/* Whether the files hold what they should.  Error text in p, NULL on success. */
static const char *check(const http_files_t *files, apr_pool_t *p)
{
    const char *const *path = files->path, *error = NULL;
    STACK_OF(X509) *certs = NULL;
    EVP_PKEY *key = NULL;

    if (path[FILE_CA])
        error = crypt_load_certificates(&certs, path[FILE_CA], p);
    if (!error && path[FILE_CERTIFICATE])
        error = crypt_load_certificates(&certs, path[FILE_CERTIFICATE], p);
    if (!error && path[FILE_KEY])
        error = crypt_load_key(&key, path[FILE_KEY], p);
    if (!error && key && !X509_check_private_key(sk_X509_value(certs, 0), key))
        error = apr_psprintf(p, "the key in %s is not that of the certificate in %s",
                             path[FILE_KEY], path[FILE_CERTIFICATE]);
    return error;
}

const char *http_files_load(http_credentials_t **pcredentials, const http_files_t *files,
                            apr_pool_t *p)
{
    http_credentials_t *credentials = calloc(1, sizeof(*credentials));
    const char *error = credentials ? check(files, p) : "out of memory";
    int i;

    *pcredentials = NULL;
    if (credentials) {
        credentials->users = 1;
        http_files_stamp(&credentials->stamp, files, NULL);
    }
    for (i = 0; !error && i < HTTP_FILES; i++) {
        if (files->path[i])
            error = read_file(&credentials->data[i], &credentials->len[i], files->path[i], p);
    }
    if (!error && files->path[HTTP_FILE_PROXY])
        error = check_rights(files->path[HTTP_FILE_PROXY], p);
    if (!error && files->path[HTTP_FILE_PROXY])
        error = split_line(credentials->data[HTTP_FILE_PROXY], credentials->len[HTTP_FILE_PROXY],
                           files->path[HTTP_FILE_PROXY], p);
    if (error)
        http_files_drop(credentials);
    else
        *pcredentials = credentials;
    return error;
}

void http_files_drop(http_credentials_t *credentials)
{
    int i;

    if (!credentials || --credentials->users > 0)
        return;
    for (i = 0; i < HTTP_FILES; i++) {
        if (credentials->data[i])
            OPENSSL_cleanse(credentials->data[i], credentials->len[i]);
        free(credentials->data[i]);
    }
    free(credentials);
}
