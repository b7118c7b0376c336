/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that hold a secret: a line of text, or two while it is replaced (the current one, then the
 * previous one).  Lines that start with # and empty lines are comments; white space at the ends of
 * a line does not count.
 */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include "crypt.h"
#include "log.h"

#define SECRET_FILE_MAX 4096

typedef struct secret_t {
    crypt_buf_t key[2]; /* current, previous; len 0: none; a NUL follows each */
} secret_t;

/*
 * Reads the file: what it is, for messages; the shortest and longest secret in bytes.  Refuses one
 * that others may read or write.  Error text in p, NULL on success.
 */
const char *secret_read(secret_t *secret, const char *file, const char *what, apr_size_t min,
                        apr_size_t max, apr_pool_t *p);

/* Overwrites the secret in memory. */
void secret_wipe(secret_t *secret);

/* A secret file that is read again when it changes. */
typedef struct secret_file_t secret_file_t;

/*
 * Reads the file for the first time, in the parent, as root; what is read is wiped with p.  As
 * secret_read().
 */
const char *secret_file_make(secret_file_t **pfile, const char *path, const char *what,
                             apr_size_t min, apr_size_t max, apr_pool_t *p);

/* In each child; afterwards any thread may call secret_file_get(). */
apr_status_t secret_file_child_init(secret_file_t *file, apr_pool_t *pchild);

/*
 * The current secret, a copy that is wiped with p.  Where the file changed but cannot be read (the
 * child may not be allowed to) or holds no secret, the old one stays in use and log says so once
 * per change (SCEP0304).
 */
crypt_buf_t secret_file_get(secret_file_t *file, const log_sink_t *log, apr_pool_t *p);

#endif /* COMMON_SECRET_H */
