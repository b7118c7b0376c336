/* SPDX-License-Identifier: Apache-2.0 */
/* GetNextCACert's answer (see next_ca.h). */
#include "next_ca.h"
#include "cms_asn1.h"

#include <openssl/cms.h>
#include <openssl/err.h>

const char *scep_next_ca_prepare(scep_service_t *service, apr_pool_t *p)
{
    apr_array_header_t *ders = apr_array_make(p, 4, sizeof(crypt_buf_t));
    crypt_buf_t der;
    int i;

    service->next_ca.data = NULL;
    service->next_ca.len = 0;
    if (!service->next_certs)
        return NULL;
    for (i = 0; i < sk_X509_num(service->next_certs); i++) {
        der = cms_encode(ASN1_ITEM_rptr(X509), sk_X509_value(service->next_certs, i), p);
        if (!der.data)
            return "a certificate of the next CA cannot be encoded";
        APR_ARRAY_PUSH(ders, crypt_buf_t) = der;
    }
    service->next_ca = cms_degenerate_make((crypt_buf_t *)ders->elts, ders->nelts, p);
    return service->next_ca.data ? NULL : "GetNextCACert's answer cannot be encoded";
}

scep_ra_key_t scep_next_ca_signer(const scep_service_t *service)
{
    scep_ra_key_t signer = { NULL, NULL };

    if (ca_get0_identity(service->ca, &signer.cert, &signer.key) != APR_SUCCESS)
        signer = *scep_service_signer(service, 0);
    return signer;
}

apr_status_t scep_next_ca_make(crypt_buf_t *der, const scep_service_t *service, apr_pool_t *p)
{
    scep_ra_key_t signer;
    CMS_ContentInfo *cms = NULL;
    BIO *content;

    der->data = NULL;
    der->len = 0;
    if (service->next_ca.len == 0)
        return APR_ENOTIMPL;
    ERR_clear_error();
    signer = scep_next_ca_signer(service);
    content = BIO_new_mem_buf(service->next_ca.data, (int)service->next_ca.len);
    if (content)
        cms = CMS_sign(signer.cert, signer.key, NULL, content, CMS_BINARY | CMS_NOSMIMECAP);
    if (cms)
        *der = cms_encode(ASN1_ITEM_rptr(CMS_ContentInfo), cms, p);
    CMS_ContentInfo_free(cms);
    BIO_free(content);
    return der->data ? APR_SUCCESS : APR_EGENERAL;
}
