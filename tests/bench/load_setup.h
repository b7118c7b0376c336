/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device has before it enrolls: a challenge from mscep_admin and the RA's certificates.
 */
#ifndef LOAD_SETUP_H
#define LOAD_SETUP_H

#include "load_http.h"
#include "load_message.h"

#define LOAD_CHALLENGE_MAX 255

/* The headers of a request to mscep_admin: Basic authentication, JSON.  The password is the first
 * line of a file.  NULL, or an error. */
const char *load_authorization(char *headers, size_t size, const char *user,
                               const char *password_file);

/* Reads one challenge.  NULL, or an error. */
const char *load_mint(load_connection_t *c, const char *headers,
                      char challenge[LOAD_CHALLENGE_MAX + 1]);

/* Reads at most max challenges, a line each, from a file.  *list and its strings are the caller's,
 * by free().  How many; -1: the file cannot be read, or there is no memory; then *list is NULL. */
int load_challenges(char ***list, const char *name, int max);

/* Reads the RA's certificates by GetCACert.  NULL, or an error. */
const char *load_ra_get(load_ra_t *ra, const load_target_t *target, int timeout);

#endif /* LOAD_SETUP_H */
