/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PREFIX/ca.crl: the CRL for those who check a device's certificate and speak no SCEP (RFC 5280
 * section 4.2.1.13, RFC 2585 section 3).  It is public and signed: no user is needed.
 */
#include "mod_scep_http.h"
#include "mod_scep_log.h"
#include "mod_scep_route.h"
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <openssl/asn1.h>
#include <openssl/err.h>

APLOG_USE_MODULE(scep);

#define CRL_MAX (16 * 1024 * 1024)
#define AGE_MAX 3600 /* seconds: a cache shall not keep a revocation from those who ask */
#define TAG_BYTES 16

/* Goes into the SEQUENCE at *at, or past any one element; 0: there is none. */
static int step(const unsigned char **at, const unsigned char *end, int into)
{
    long len;
    int tag, class;

    if (ASN1_get_object(at, &len, &tag, &class, end - *at) & 0x80) {
        return 0;
    }
    if (!into) {
        *at += len;
    }
    return !into || tag == V_ASN1_SEQUENCE;
}

/* The Time at *at, behind which it goes on; 0: there is none. */
static apr_time_t read_time(const unsigned char **at, const unsigned char *end)
{
    ASN1_TIME *time = d2i_ASN1_TIME(NULL, at, end - *at);
    apr_time_t when = time ? crypt_asn1_time(time) : 0;

    ASN1_TIME_free(time);
    return when;
}

/* thisUpdate and nextUpdate of a CRL that has both, without its entries being decoded; 0: it cannot
 * be read. */
static int read_times(const crypt_buf_t *der, apr_time_t *from, apr_time_t *to)
{
    const unsigned char *at = der->data, *end = der->data + der->len;

    /* CertificateList, tbsCertList; version, signature, issuer (RFC 5280 section 5.1) */
    if (!step(&at, end, 1) || !step(&at, end, 1) || !step(&at, end, 0) || !step(&at, end, 0)) {
        return 0;
    }
    if (at < end && *at == (V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED) && !step(&at, end, 0)) {
        return 0; /* a list of version 1 has no version */
    }
    *from = read_time(&at, end);
    *to = read_time(&at, end);
    ERR_clear_error();
    return *from && *to;
}

/* The headers by which caches and clients know the list again. */
static void set_headers(request_rec *r, const crypt_buf_t *der)
{
    apr_time_t from = 0, to = 0;
    apr_int64_t age = 0;

    /* two lists differ in the last bytes of their signatures */
    if (der->len >= TAG_BYTES) {
        apr_table_setn(r->headers_out, "ETag",
                       apr_pstrcat(r->pool, "\"",
                                   crypt_hex(der->data + der->len - TAG_BYTES, TAG_BYTES, 0,
                                             r->pool),
                                   "\"", NULL));
    }
    if (read_times(der, &from, &to)) {
        ap_update_mtime(r, from);
        ap_set_last_modified(r);
        age = apr_time_sec(to - apr_time_now());
    }
    age = age > AGE_MAX ? AGE_MAX : age > 0 ? age : 0;
    apr_table_setn(r->headers_out, "Cache-Control",
                   apr_psprintf(r->pool, "max-age=%" APR_INT64_T_FMT ", must-revalidate", age));
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
}

int scep_crl_handler(request_rec *r)
{
    const scep_route_t *route = scep_route_get(r);
    crypt_buf_t der = {NULL, 0};
    outcome_t out;
    apr_status_t rv;
    int status;

    if (!route || route->endpoint != SCEP_ENDPOINT_CRL || r->main) {
        return DECLINED;
    }
    if (r->method_number != M_GET) {
        return scep_http_not_allowed(r, 0);
    }
    status = ap_discard_request_body(r);
    if (status != OK) {
        return status;
    }
    if (route->service->broken) {
        return scep_http_unavailable(r, 0);
    }
    outcome_init(&out);
    rv = ca_crl(route->service->core.ca, &der, CRL_MAX, &out, scep_log_request(r), r->pool);
    if (rv == APR_ENOTIMPL) {
        return HTTP_NOT_FOUND;
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, SCEPTAG(0500) ": service=%s: no CRL: %s",
                      route->service->name, rv == APR_ENOSPC ? "it is too long" : out.detail);
        return scep_http_unavailable(r, 0);
    }
    set_headers(r, &der);
    status = ap_meets_conditions(r);
    return status != OK ? status : scep_http_send(r, HTTP_OK, "application/pkix-crl", der.data,
                                                  der.len);
}
