/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The credential files of an HTTP peer: read as root at start, and again by the children when they
 * change.
 *
 * They are kept as bytes, so that a child that may not read them goes on with what the parent read.
 */
#ifndef COMMON_HTTP_FILES_H
#define COMMON_HTTP_FILES_H

#include "crypt.h"

#define HTTP_FILES 4 /* CA, certificate, key, and user and password of the proxy */
#define HTTP_FILE_PROXY 3

typedef struct http_files_t {
    const char *path[HTTP_FILES]; /* NULL: none */
} http_files_t;

/* Which version of the files it is; compared with memcmp. */
typedef struct http_stamp_t {
    apr_int64_t mtime[HTTP_FILES], size[HTTP_FILES], inode[HTTP_FILES];
} http_stamp_t;

/* What was in them; malloc'ed, counted by its users. */
typedef struct http_credentials_t {
    int users;
    http_stamp_t stamp;
    char *data[HTTP_FILES]; /* NULL: none */
    apr_size_t len[HTTP_FILES];
} http_credentials_t;

/* The files' present version; for a file that cannot be seen that of old (NULL: zeros). */
void http_files_stamp(http_stamp_t *stamp, const http_files_t *files, const http_stamp_t *old);

/*
 * Reads the files and checks them: PEM, the key fits the certificate and is not for everybody's
 * eyes; nor is the proxy's file, of which "user", NUL, "password", NUL is kept.  *pcredentials has
 * one user.  Error text in p, NULL on success.
 */
const char *http_files_load(http_credentials_t **pcredentials, const http_files_t *files,
                            apr_pool_t *p);

/* Drops a user; the last one wipes and frees.  NULL is allowed. */
void http_files_drop(http_credentials_t *credentials);

#endif /* COMMON_HTTP_FILES_H */
