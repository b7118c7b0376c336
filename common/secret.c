/* SPDX-License-Identifier: Apache-2.0 */
/* Files that hold a secret; see secret.h. */
#include "secret.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX SECRET_FILE_MAX

/* What a secret file is for. */
typedef struct purpose_t {
    const char *what, *file;
    apr_size_t min, max; /* characters */
} purpose_t;

/* The error text for a file. */
static const char *file_error(const char *how, const char *what, const char *file, int error,
                              apr_pool_t *p)
{
    char message[120];

    return apr_psprintf(p, "cannot %s the %s file %s: %s", how, what, file,
                        apr_strerror(APR_FROM_OS_ERROR(error), message, sizeof(message)));
}

/* Whether a secret is too short or too long.  Error text in p, NULL if not. */
static const char *check_length(apr_size_t len, const purpose_t *purpose, apr_pool_t *p)
{
    if (len < purpose->min)
        return apr_psprintf(p,
                            "a secret in %s is shorter than %" APR_SIZE_T_FMT " characters; make "
                            "one with: openssl rand -hex 32",
                            purpose->file, purpose->min);
    if (len > purpose->max)
        return apr_psprintf(p, "a secret in %s is longer than %" APR_SIZE_T_FMT " characters",
                            purpose->file, purpose->max);
    return NULL;
}

/* Takes the lines of text as secrets.  Error text in p, NULL on success. */
static const char *parse(secret_t *secret, char *text, const purpose_t *purpose,
                         apr_pool_t *p)
{
    char *line, *next, *end;
    const char *error;
    int n = 0;

    for (line = text; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        while (apr_isspace(*line))
            line++;
        for (end = line + strlen(line); end > line && apr_isspace(end[-1]); end--)
            end[-1] = '\0';
        if (!*line || *line == '#')
            continue;
        if (n == 2)
            return apr_psprintf(p,
                                "the %s file %s has more than two secrets (current and previous)",
                                purpose->what, purpose->file);
        error = check_length(end - line, purpose, p);
        if (error)
            return error;
        secret->key[n].len = end - line;
        secret->key[n].data = (unsigned char *)apr_pstrmemdup(p, line, end - line);
        n++;
    }
    return n ? NULL : apr_psprintf(p, "the %s file %s holds no secret", purpose->what,
                                   purpose->file);
}

const char *secret_read(secret_t *secret, const char *file, const char *what,
                                  apr_size_t min, apr_size_t max, apr_pool_t *p)
{
    purpose_t purpose = {what, file, min, max};
    char text[FILE_MAX + 1];
    const char *error = NULL;
    struct stat info;
    ssize_t n = -1;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    memset(secret, 0, sizeof(*secret));
    if (fd < 0)
        return file_error("read", what, file, errno, p);
    if (fstat(fd, &info) != 0)
        error = file_error("read", what, file, errno, p);
    else if (!S_ISREG(info.st_mode) || info.st_size > FILE_MAX)
        error = apr_psprintf(p, "the %s file %s is no file of at most %d bytes", what, file,
                             FILE_MAX);
    else if (info.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
        error = apr_psprintf(p,
                             "the %s file %s can be read or written by others; "
                             "chmod 600 %s, and make a new secret if others could read it",
                             what, file, file);
    else {
        n = read(fd, text, FILE_MAX);
        if (n < 0)
            error = file_error("read", what, file, errno, p);
    }
    close(fd);
    if (error)
        return error;
    text[n] = '\0';
    error = parse(secret, text, &purpose, p);
    OPENSSL_cleanse(text, sizeof(text));
    if (error)
        secret_wipe(secret);
    return error;
}

void secret_wipe(secret_t *secret)
{
    int i;

    for (i = 0; i < 2; i++) {
        if (secret->key[i].len)
            OPENSSL_cleanse((void *)secret->key[i].data, secret->key[i].len);
        secret->key[i].len = 0;
        secret->key[i].data = NULL;
    }
}

/* Which version of a file it is; compared with memcmp. */
typedef struct stamp_t {
    apr_int64_t mtime, ctime, size, inode; /* ctime: it became readable */
} stamp_t;

struct secret_file_t {
    const char *path, *what;
    apr_size_t min, max;
    apr_thread_mutex_t *mutex; /* guards the rest; NULL: there is one thread */
    stamp_t stamp;
    unsigned char *data; /* malloc'ed */
    apr_size_t len;
};

/* The present version of a file; zeros if it cannot be seen. */
static stamp_t stamp_of(const char *path)
{
    struct stat info;
    stamp_t stamp;

    memset(&stamp, 0, sizeof(stamp));
    if (stat(path, &info) == 0) {
        stamp.mtime = info.st_mtim.tv_sec * APR_INT64_C(1000000000) + info.st_mtim.tv_nsec;
        stamp.ctime = info.st_ctim.tv_sec * APR_INT64_C(1000000000) + info.st_ctim.tv_nsec;
        stamp.size = info.st_size;
        stamp.inode = (apr_int64_t)info.st_ino;
    }
    return stamp;
}

/* Frees what is kept. */
static void drop(secret_file_t *file)
{
    if (file->data)
        OPENSSL_cleanse(file->data, file->len);
    free(file->data);
    file->data = NULL;
    file->len = 0;
}

/* Pool cleanup. */
static apr_status_t drop_file(void *baton)
{
    drop(baton);
    return APR_SUCCESS;
}

/* Reads the file; on error what is kept stays.  Error text in p, NULL on success. */
static const char *load(secret_file_t *file, apr_pool_t *p)
{
    unsigned char *data = NULL;
    secret_t secret;
    const char *error = secret_read(&secret, file->path, file->what, file->min, file->max, p);

    if (!error) {
        data = malloc(secret.key[0].len);
        error = data ? NULL : "out of memory";
    }
    if (!error) {
        memcpy(data, secret.key[0].data, secret.key[0].len);
        drop(file);
        file->data = data;
        file->len = secret.key[0].len;
    }
    secret_wipe(&secret);
    return error;
}

const char *secret_file_make(secret_file_t **pfile, const char *path, const char *what,
                             apr_size_t min, apr_size_t max, apr_pool_t *p)
{
    secret_file_t *file = apr_pcalloc(p, sizeof(*file));

    file->path = path;
    file->what = what;
    file->min = min;
    file->max = max;
    file->stamp = stamp_of(path);
    apr_pool_cleanup_register(p, file, drop_file, apr_pool_cleanup_null);
    *pfile = file;
    return load(file, p);
}

apr_status_t secret_file_child_init(secret_file_t *file, apr_pool_t *pchild)
{
    return apr_thread_mutex_create(&file->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}

/* Reads the file again if it is another one. */
static void refresh(secret_file_t *file, const log_sink_t *log, apr_pool_t *p)
{
    stamp_t stamp = stamp_of(file->path);
    const char *error;

    if (memcmp(&stamp, &file->stamp, sizeof(stamp)) == 0)
        return;
    file->stamp = stamp;
    error = load(file, p);
    if (error)
        log_to(log, LOG_SINK_WARN, SCEPTAG(0304), "%s; the one that was read before is used",
               error);
}

/* Pool cleanup: overwrites a copy. */
static apr_status_t wipe_copy(void *baton)
{
    crypt_buf_t *copy = baton;

    OPENSSL_cleanse((void *)copy->data, copy->len);
    return APR_SUCCESS;
}

crypt_buf_t secret_file_get(secret_file_t *file, const log_sink_t *log, apr_pool_t *p)
{
    crypt_buf_t *copy = apr_pcalloc(p, sizeof(*copy));

    if (file->mutex)
        apr_thread_mutex_lock(file->mutex);
    refresh(file, log, p);
    copy->len = file->len;
    copy->data = (const unsigned char *)apr_pstrmemdup(p, (const char *)file->data, file->len);
    if (file->mutex)
        apr_thread_mutex_unlock(file->mutex);
    apr_pool_cleanup_register(p, copy, wipe_copy, apr_pool_cleanup_null);
    return *copy;
}
