/* SPDX-License-Identifier: Apache-2.0 */
/* The challenge secret's file; see policy_secret.h. */
#include "policy_secret.h"
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHAT "challenge secret"
#define SECRET_MIN 32
#define SECRET_BYTES 32

/* The error text for a file. */
static const char *file_error(const char *how, const char *what, const char *file, int error,
                              apr_pool_t *p)
{
    char message[120];

    return apr_psprintf(p, "cannot %s the %s file %s: %s", how, what, file,
                        apr_strerror(APR_FROM_OS_ERROR(error), message, sizeof(message)));
}

const char *policy_secret_read(secret_t *secret, const char *file, apr_pool_t *p)
{
    return secret_read(secret, file, WHAT, SECRET_MIN, SECRET_FILE_MAX, p);
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
