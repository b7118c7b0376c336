/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a program may be a helper: who can change it decides about certificates.
 */
#include "ca_exec.h"

#include <apr_strings.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Error text if somebody else than root and the user who starts httpd can change path, else NULL.
 * In a sticky folder others can only change what is theirs. */
static const char *check_owner(const char *path, const struct stat *st, apr_pool_t *p)
{
    const int sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX);

    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        return apr_psprintf(p, "%s belongs to user %lu, and not to root or the user who starts "
                            "httpd", path, (unsigned long)st->st_uid);
    }
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky) {
        return apr_psprintf(p, "%s can be written by %s", path,
                            (st->st_mode & S_IWOTH) != 0 ? "everybody" : "its group");
    }
    return NULL;
}

/* Checks the program itself; error text or NULL. */
static const char *check_file(const char *path, apr_pool_t *p)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return apr_psprintf(p, "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return apr_psprintf(p, "%s is not a regular file", path);
    }
    if ((st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) {
        return apr_psprintf(p, "%s is not executable", path);
    }
    return check_owner(path, &st, p);
}

const char *ca_exec_check(const char **preal, const char *path, apr_pool_t *p)
{
    char *real, *folder, *slash;
    const char *error = NULL;

    if (*path != '/') {
        return apr_psprintf(p, "'%s' is not an absolute path", path);
    }
    real = realpath(path, NULL);
    if (real == NULL) {
        return apr_psprintf(p, "%s: %s", path, strerror(errno));
    }
    *preal = apr_pstrdup(p, real);
    folder = apr_pstrdup(p, real);
    free(real);
    error = check_file(*preal, p);
    while (error == NULL && (slash = strrchr(folder, '/')) != NULL) {
        struct stat st;
        const int top = slash == folder;

        slash[top] = '\0'; /* "/" keeps its slash */
        error = stat(folder, &st) == 0 ? check_owner(folder, &st, p)
                                       : apr_psprintf(p, "%s: %s", folder, strerror(errno));
        if (top) {
            break;
        }
    }
    return error;
}
