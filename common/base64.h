/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648), decoded strictly: OpenSSL's decoder takes '=' for a zero anywhere. */
#ifndef COMMON_BASE64_H
#define COMMON_BASE64_H

#include "crypt.h"

#define BASE64_URL    1 /* the alphabet of section 5, '-' and '_', without padding */
#define BASE64_BARE   2 /* without padding */
#define BASE64_SPACES 4 /* white space anywhere is left out */
#define BASE64_SECRET 8 /* overwrites all copies, bytes with p */

/*
 * Decodes len bytes of text; how: BASE64_*, 0: section 4 with padding.  bytes in p, none of them
 * where it fails.  Unused bits of the last digit need not be zero.  Any thread.  APR_EINVAL: empty,
 * of no such length, or something is not of the alphabet.
 */
apr_status_t base64_decode(crypt_buf_t *bytes, const char *text, apr_size_t len, int how,
                           apr_pool_t *p);

#endif /* COMMON_BASE64_H */
