/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The challenge secret: the key that turns a challenge into the name it is stored under.
 *
 * The file holds one or two lines of at least 32 characters each, e.g. 64 hex digits: the current
 * secret, then the previous one, which is still accepted (rotation).  Lines that start with # and
 * empty lines are comments; white space at the ends of a line does not count.  All hosts that share
 * a store must have the same file.
 */
#ifndef POLICY_SECRET_H
#define POLICY_SECRET_H

#include "../common/secret.h"

/* Reads the file.  Refuses one that others may read or write.  Error text in p, NULL on success. */
const char *policy_secret_read(secret_t *secret, const char *file, apr_pool_t *p);

/* Makes the file (mode 0600, a new random secret) unless it is there.  Error text in p, NULL on
 * success. */
const char *policy_secret_make(const char *file, apr_pool_t *p);

#endif /* POLICY_SECRET_H */
