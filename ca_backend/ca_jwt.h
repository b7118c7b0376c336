/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed tokens (JWT, RFC 7519, in JWS compact form) by a key in a PEM file, which is read again
 * when it changes.
 */
#ifndef CA_JWT_H
#define CA_JWT_H

#include "../common/crypt.h"
#include "../common/log.h"

struct json_t;

typedef struct ca_jwt_t ca_jwt_t;

/*
 * At configuration time: reads the key, RSA of at least 2048 bits (RS256) or EC on P-256, P-384 or
 * P-521 (ES256, ES384, ES512).  kid NULL: the key's thumbprint by RFC 7638.  Error text in p, NULL
 * on success.
 */
const char *ca_jwt_make(ca_jwt_t **pjwt, const char *file, const char *kid, apr_pool_t *p);

/* In each child; afterwards any thread may sign. */
apr_status_t ca_jwt_child_init(ca_jwt_t *jwt, apr_pool_t *pchild);

/*
 * The token for claims, whose reference is taken; wiped with p.  NULL: it cannot be signed.  Where
 * the file changed but cannot be used, the old key stays and log says so once per change
 * (SCEP0335).
 */
const char *ca_jwt_sign(ca_jwt_t *jwt, struct json_t *claims, const log_sink_t *log,
                        apr_pool_t *p);

#endif /* CA_JWT_H */
