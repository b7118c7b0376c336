/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP around the endpoints: reading a body under a limit, sending bytes with an exact content
 * type, NDES' kind of page.
 */
#ifndef MOD_SCEP_HTTP_H
#define MOD_SCEP_HTTP_H

#include "mod_scep_config.h"

/* Whether somebody vouches for r->user: an authentication module or a verified certificate. */
int scep_http_authenticated(request_rec *r);

/* Whether a browser says that another site's page made this request. */
int scep_http_cross_site(request_rec *r);

/* Reads the body, chunked or not, at most limit bytes.  OK, or the HTTP status to return. */
int scep_http_read(request_rec *r, apr_size_t limit, crypt_buf_t *body);

/*
 * Sends status and body; the content type exactly as given (AddDefaultCharset does not touch it).
 * OK, also when the client went away.
 */
int scep_http_send(request_rec *r, int status, const char *type, const void *data, apr_size_t len);

/* HTTP 405; Allow names GET, HEAD and, with post, POST. */
int scep_http_not_allowed(request_rec *r, int post);

/*
 * What a handler of that name does first that answers GET and HEAD only: DECLINED if the request is
 * not its own, OK with the body discarded, else the answer's status.
 */
int scep_http_take_get(request_rec *r, const char *handler);

/* HTTP 503 with Retry-After. */
int scep_http_unavailable(request_rec *r, int retry_after);

/* HTTP 429 with Retry-After, a little different for each, so that clients do not come together. */
int scep_http_limited(request_rec *r, int retry_after);

/* HTTP 503 with Retry-After between retry_after and three times that. */
int scep_http_busy(request_rec *r, int retry_after);

/* Sends body_html (UTF-8, inside of <Body>) as NDES does: UTF-16LE with byte order mark. */
int scep_http_page(request_rec *r, int status, const char *body_html);

#endif /* MOD_SCEP_HTTP_H */
