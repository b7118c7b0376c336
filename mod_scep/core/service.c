/* SPDX-License-Identifier: Apache-2.0 */
/* What a service serves unchanged: GetCACert, GetCACaps, the thumbprint of the admin page. */
#include "caps.h"
#include "cms_asn1.h"
#include "next_ca.h"

#include <apr_strings.h>
#include <string.h>

const scep_ra_key_t *scep_service_signer(const scep_service_t *service, int generation)
{
    int last = service->signers->nelts - 1;

    return &APR_ARRAY_IDX(service->signers, generation < last ? generation : last, scep_ra_key_t);
}

/* Appends a certificate's DER unless it is there already; 0 if it cannot be encoded. */
static int push_certificate(apr_array_header_t *ders, X509 *cert, apr_pool_t *p)
{
    crypt_buf_t der = cms_encode(ASN1_ITEM_rptr(X509), cert, p);
    int i;

    if (!der.data)
        return 0;
    for (i = 0; i < ders->nelts; i++) {
        const crypt_buf_t *other = &APR_ARRAY_IDX(ders, i, crypt_buf_t);

        if (other->len == der.len && memcmp(other->data, der.data, der.len) == 0)
            return 1;
    }
    APR_ARRAY_PUSH(ders, crypt_buf_t) = der;
    return 1;
}

/*
 * RFC 8894 section 4.2.1: one certificate as it is, or the RA's certificates and the chain to the
 * root in a degenerate SignedData.
 */
static const char *make_ca_cert(const scep_service_t *service, STACK_OF(X509) *chain,
                                crypt_buf_t *body, const char **type, apr_pool_t *p)
{
    apr_array_header_t *ders = apr_array_make(p, 8, sizeof(crypt_buf_t));
    int i;

    if (service->has_ra) {
        if (!push_certificate(ders, APR_ARRAY_IDX(service->decrypters, 0, scep_ra_key_t).cert, p) ||
            !push_certificate(ders, scep_service_signer(service, 0)->cert, p))
            return "an RA certificate cannot be encoded";
    }
    for (i = 0; i < sk_X509_num(chain); i++) {
        if (!push_certificate(ders, sk_X509_value(chain, i), p))
            return "a CA certificate cannot be encoded";
    }
    if (ders->nelts == 1) {
        *body = APR_ARRAY_IDX(ders, 0, crypt_buf_t);
        *type = SCEP_TYPE_CA_CERT;
        return NULL;
    }
    *body = cms_degenerate_make((crypt_buf_t *)ders->elts, ders->nelts, p);
    *type = SCEP_TYPE_CA_RA_CERT;
    return body->data ? NULL : "GetCACert's answer cannot be encoded";
}

/* NDES shows the MD5 of the trust anchor in four groups; "" where MD5 is not to be had (FIPS). */
static const char *make_thumbprint(STACK_OF(X509) *chain, apr_pool_t *p)
{
    const X509 *top = sk_X509_value(chain, sk_X509_num(chain) - 1);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    const char *hex;

    if (crypt_thumbprint(top, EVP_md5(), digest, &len) != APR_SUCCESS || len != 16)
        return "";
    hex = crypt_hex(digest, len, 1, p);
    return apr_psprintf(p, "%.8s %.8s %.8s %.8s", hex, hex + 8, hex + 16, hex + 24);
}

apr_status_t scep_service_ca_cert(const scep_service_t *service, crypt_buf_t *body,
                                  const char **type, outcome_t *out, const log_sink_t *log,
                                  apr_pool_t *p)
{
    STACK_OF(X509) *chain = NULL;
    const char *error;
    apr_status_t rv;

    if (service->ca_cert.data) {
        *body = service->ca_cert;
        *type = service->ca_cert_type;
        return APR_SUCCESS;
    }
    rv = ca_chain(service->ca, &chain, log, p);
    error = rv == APR_SUCCESS ? make_ca_cert(service, chain, body, type, p)
                              : "the CA's chain is not known";
    if (!error)
        return APR_SUCCESS;
    outcome_unavailable(out, "ca-chain", 0, p, "%s", error);
    return rv == APR_SUCCESS ? APR_EGENERAL : rv;
}

const char *scep_service_thumbprint(const scep_service_t *service, const log_sink_t *log,
                                    apr_pool_t *p)
{
    STACK_OF(X509) *chain = NULL;

    if (service->thumbprint || !ca_chain_is_fetched(service->ca))
        return service->thumbprint;
    return ca_chain(service->ca, &chain, log, p) == APR_SUCCESS ? make_thumbprint(chain, p) : NULL;
}

/* What is known while the configuration is read; error text, NULL on success. */
static const char *prepare_chain(scep_service_t *service, const log_sink_t *log, apr_pool_t *p)
{
    STACK_OF(X509) *chain = NULL;

    if (ca_chain_is_fetched(service->ca))
        return NULL;
    if (ca_chain(service->ca, &chain, log, p) != APR_SUCCESS || sk_X509_num(chain) < 1)
        return "the CA's certificate chain is not known";
    service->thumbprint = make_thumbprint(chain, p);
    return make_ca_cert(service, chain, &service->ca_cert, &service->ca_cert_type, p);
}

const char *scep_service_prepare(scep_service_t *service, const log_sink_t *log, apr_pool_t *p)
{
    const char *error = prepare_chain(service, log, p);

    if (error)
        return error;
    error = scep_next_ca_prepare(service, p);
    if (error)
        return error;
    service->caps = scep_caps_make(service, p);
    return NULL;
}
