/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query string of a SCEP request (RFC 8894 section 4.1), as the field sends it.
 *
 * Parsed from the undecoded string, so that a raw '+', "%2B", "%20" and "%0A" stay distinguishable.
 */
#ifndef SCEP_QUERY_H
#define SCEP_QUERY_H

#include "../../common/crypt.h"
#include "../../common/outcome.h"

typedef struct scep_query_t {
    const char *operation;      /* decoded; "" if absent */
    const char *message;        /* undecoded; NULL if absent */
} scep_query_t;

/*
 * Names are matched without case; other parameters are ignored.  APR_EINVAL with out MALFORMED:
 * operation or message stands there twice, or operation has a broken escape, a NUL or over 64
 * characters.  args NULL is an empty query.
 */
apr_status_t scep_query_parse(scep_query_t *query, const char *args, outcome_t *out, apr_pool_t *p);

/*
 * Decodes the base64 of message in every form that clients send: percent-escaped or not, '+' raw,
 * escaped or turned into a space, base64url, line breaks, padding or none.  APR_EINVAL with out
 * MALFORMED: empty, a broken escape, another character, or no base64 at all.
 */
apr_status_t scep_query_decode(crypt_buf_t *der, const char *message, outcome_t *out,
                               apr_pool_t *p);

#endif /* SCEP_QUERY_H */
