/* SPDX-License-Identifier: Apache-2.0 */
/* The challenge secret's file; see policy_secret.h. */
#include "policy_secret.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHAT "challenge secret"
#define FILE_MAX 4096
#define SECRET_MIN 32
#define SECRET_BYTES 32

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
static const char *parse(policy_secret_t *secret, char *text, const purpose_t *purpose,
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
        secret->key[n].data = apr_pmemdup(p, line, end - line);
        n++;
    }
    return n ? NULL : apr_psprintf(p, "the %s file %s holds no secret", purpose->what,
                                   purpose->file);
}

const char *policy_secret_read_as(policy_secret_t *secret, const char *file, const char *what,
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
        policy_secret_wipe(secret);
    return error;
}

const char *policy_secret_read(policy_secret_t *secret, const char *file, apr_pool_t *p)
{
    return policy_secret_read_as(secret, file, WHAT, SECRET_MIN, FILE_MAX, p);
}

/* Writes a new secret to fd; 0, or errno. */
static int write_secret(int fd)
{
    unsigned char bytes[SECRET_BYTES];
    char text[2 * SECRET_BYTES + 1];
    static const char digits[] = "0123456789abcdef";
    int i, error = 0;

    if (crypt_random(bytes, sizeof(bytes)) != APR_SUCCESS)
        return EIO;
    for (i = 0; i < SECRET_BYTES; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * SECRET_BYTES] = '\n';
    if (write(fd, text, sizeof(text)) != (ssize_t)sizeof(text) || fsync(fd) != 0)
        error = errno ? errno : EIO;
    OPENSSL_cleanse(bytes, sizeof(bytes));
    OPENSSL_cleanse(text, sizeof(text));
    return error;
}

const char *policy_secret_make(const char *file, apr_pool_t *p)
{
    const char *temporary = apr_psprintf(p, "%s.%ld", file, (long)getpid());
    struct stat info;
    int error = 0, fd;

    if (lstat(file, &info) == 0)
        return NULL;
    unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_error("make", WHAT, file, errno, p);
    error = write_secret(fd);
    close(fd);
    if (!error && link(temporary, file) != 0 && errno != EEXIST)
        error = errno;
    unlink(temporary);
    return error ? file_error("make", WHAT, file, error, p) : NULL;
}

void policy_secret_wipe(policy_secret_t *secret)
{
    int i;

    for (i = 0; i < 2; i++) {
        if (secret->key[i].len)
            OPENSSL_cleanse((void *)secret->key[i].data, secret->key[i].len);
        secret->key[i].len = 0;
        secret->key[i].data = NULL;
    }
}
