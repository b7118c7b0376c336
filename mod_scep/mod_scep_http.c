/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP around the endpoints.  httpd adds a character set to text types where AddDefaultCharset says
 * so; SCEP clients compare the type as a string, and NDES' page is UTF-16.  Therefore the type goes
 * straight into the headers here.
 */
#include "mod_scep_http.h"
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <http_ssl.h>
#include <util_filter.h>

APLOG_USE_MODULE(scep);

#define READ_SIZE 16384

/* Appends len bytes to body, which has *room; grows by doubling. */
static void append(crypt_buf_t *body, apr_size_t *room, const char *data, apr_size_t len,
                   apr_pool_t *p)
{
    unsigned char *bytes = (unsigned char *)body->data;

    if (body->len + len > *room) {
        while (body->len + len > *room) {
            *room *= 2;
        }
        bytes = apr_palloc(p, *room);
        memcpy(bytes, body->data, body->len);
        body->data = bytes;
    }
    memcpy(bytes + body->len, data, len);
    body->len += len;
}

/* Appends what is in the brigade; *end at its end of stream.  OK or the HTTP status to return. */
static int take(apr_bucket_brigade *bb, apr_size_t limit, crypt_buf_t *body, apr_size_t *room,
                int *end, request_rec *r)
{
    apr_bucket *b;
    const char *data;
    apr_size_t len;
    apr_status_t rv;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        if (APR_BUCKET_IS_EOS(b)) {
            *end = 1;
            return OK;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
        if (rv != APR_SUCCESS) {
            return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        }
        if (len > limit - body->len) {
            ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                          SCEPTAG(0410) ": the request's body is larger than ScepMaxMessageSize "
                                        "(%" APR_SIZE_T_FMT " bytes)",
                          limit);
            return HTTP_REQUEST_ENTITY_TOO_LARGE;
        }
        append(body, room, data, len, r->pool);
    }
    return OK;
}

int scep_http_authenticated(request_rec *r)
{
    const char *verified;

    if (!r->user || !*r->user) {
        return 0;
    }
    if (r->ap_auth_type && *r->ap_auth_type && strcmp(r->ap_auth_type, "ClientCert")) {
        return 1;
    }
    /* mod_ssl's SSLUserName: sets the user also from a certificate that was not verified */
    verified = ap_ssl_var_lookup(r->pool, r->server, r->connection, r, "SSL_CLIENT_VERIFY");
    return verified && !strcmp(verified, "SUCCESS");
}

int scep_http_cross_site(request_rec *r)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *host = apr_table_get(r->headers_in, "Host");
    const char *authority;

    if (site && ap_cstr_casecmp(site, "same-origin") && ap_cstr_casecmp(site, "none")) {
        return 1;
    }
    if (!origin) {
        return 0;
    }
    authority = strstr(origin, "://");
    return !authority || !host || ap_cstr_casecmp(authority + 3, host);
}

int scep_http_read(request_rec *r, apr_size_t limit, crypt_buf_t *body)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_size_t room = 8192;
    int end = 0, status = OK;
    apr_status_t rv;

    body->data = apr_palloc(r->pool, room);
    body->len = 0;
    while (!end && status == OK) {
        rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, READ_SIZE);
        if (rv != APR_SUCCESS) {
            status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
            if (status != AP_FILTER_ERROR) {
                ap_log_rerror(APLOG_MARK, APLOG_INFO, rv, r,
                              SCEPTAG(0411) ": cannot read the request's body");
            }
        }
        else if (APR_BRIGADE_EMPTY(bb)) {
            status = HTTP_BAD_REQUEST;
        }
        else {
            status = take(bb, limit, body, &room, &end, r);
        }
        apr_brigade_cleanup(bb);
    }
    apr_brigade_destroy(bb);
    return status;
}

int scep_http_send(request_rec *r, int status, const char *type, const void *data, apr_size_t len)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_status_t rv;

    r->status = status;
    r->content_type = NULL;
    apr_table_set(r->headers_out, "Content-Type", type);
    ap_set_content_length(r, (apr_off_t)len);
    if (len && !r->header_only) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(data, len, r->pool, alloc));
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    rv = ap_pass_brigade(r->output_filters, bb);
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, rv, r,
                      SCEPTAG(0412) ": the client did not take the answer");
    }
    return OK;
}

int scep_http_not_allowed(request_rec *r, int post)
{
    /* HEAD goes with GET; httpd writes Allow from this */
    if (post) {
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, M_POST, -1);
    }
    else {
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
    }
    return HTTP_METHOD_NOT_ALLOWED;
}

int scep_http_take_get(request_rec *r, const char *handler)
{
    if (!r->handler || strcmp(r->handler, handler) != 0 || r->main) {
        return DECLINED;
    }
    return r->method_number == M_GET ? ap_discard_request_body(r) : scep_http_not_allowed(r, 0);
}

int scep_http_unavailable(request_rec *r, int retry_after)
{
    apr_table_set(r->err_headers_out, "Retry-After",
                  apr_itoa(r->pool, retry_after > 0 ? retry_after : 5));
    return HTTP_SERVICE_UNAVAILABLE;
}

/* Retry-After with up to spread seconds more. */
static void retry_spread(request_rec *r, int seconds, int spread)
{
    unsigned char random[2];

    if (crypt_random(random, sizeof(random)) == APR_SUCCESS) {
        seconds += (random[0] << 8 | random[1]) % (1 + spread);
    }
    apr_table_set(r->err_headers_out, "Retry-After", apr_itoa(r->pool, seconds));
}

int scep_http_limited(request_rec *r, int retry_after)
{
    int seconds = retry_after > 0 ? retry_after : 60;

    retry_spread(r, seconds, 1 + seconds / 10);
    return HTTP_TOO_MANY_REQUESTS;
}

int scep_http_busy(request_rec *r, int retry_after)
{
    retry_spread(r, retry_after, 2 * retry_after);
    return HTTP_SERVICE_UNAVAILABLE;
}

/* UTF-8 (of our own making, so valid) as UTF-16LE with byte order mark; *len in bytes. */
static unsigned char *utf16le(const char *text, apr_size_t *len, apr_pool_t *p)
{
    const unsigned char *in = (const unsigned char *)text;
    unsigned char *out = apr_palloc(p, 2 * strlen(text) + 2), *o = out;
    unsigned code;

    *o++ = 0xff;
    *o++ = 0xfe;
    while (*in) {
        code = *in++;
        if (code >= 0x80) {
            code = '?';
            while ((*in & 0xc0) == 0x80) {
                in++;
            }
        }
        *o++ = (unsigned char)code;
        *o++ = 0;
    }
    *len = (apr_size_t)(o - out);
    return out;
}

int scep_http_page(request_rec *r, int status, const char *body_html)
{
    apr_size_t len;
    unsigned char *page =
        utf16le(apr_pstrcat(r->pool,
                            "<HTML><Head><Title>Network Device Enrollment Service</Title>"
                            "<Meta Name=\"viewport\" Content=\"width=device-width\">"
                            "<Style>body{font:16px/1.5 sans-serif;max-width:44em;margin:2em auto;"
                            "padding:0 1em}b{font-family:monospace;font-size:115%}</Style></Head>"
                            "<Body><H1>Network Device Enrollment Service</H1>",
                            body_html, "</Body></HTML>", NULL),
                &len, r->pool);

    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
    apr_table_setn(r->headers_out, "X-Frame-Options", "DENY");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                   "form-action 'none'; frame-ancestors 'none'");
    return scep_http_send(r, status, "text/html", page, len);
}
