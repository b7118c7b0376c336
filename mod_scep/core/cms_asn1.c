/* SPDX-License-Identifier: Apache-2.0 */
/* ASN.1 templates of CMS (see cms_asn1.h). */
#include "cms_asn1.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

ASN1_SEQUENCE(cms_encap_t) = {
    ASN1_SIMPLE(cms_encap_t, type, ASN1_OBJECT),
    ASN1_EXP_OPT(cms_encap_t, content, ASN1_ANY, 0)
} static_ASN1_SEQUENCE_END(cms_encap_t)

ASN1_SEQUENCE(cms_signer_info_t) = {
    ASN1_SIMPLE(cms_signer_info_t, version, ASN1_INTEGER),
    ASN1_SIMPLE(cms_signer_info_t, sid, ASN1_ANY),
    ASN1_SIMPLE(cms_signer_info_t, digest, X509_ALGOR),
    ASN1_IMP_SET_OF_OPT(cms_signer_info_t, signed_attributes, X509_ATTRIBUTE, 0),
    ASN1_SIMPLE(cms_signer_info_t, signature_algor, X509_ALGOR),
    ASN1_SIMPLE(cms_signer_info_t, signature, ASN1_OCTET_STRING),
    ASN1_IMP_SET_OF_OPT(cms_signer_info_t, unsigned_attributes, X509_ATTRIBUTE, 1)
} ASN1_SEQUENCE_END(cms_signer_info_t)

/* Certificates as a SEQUENCE OF under the SET's tag: the encoder must not sort them, since clients
 * take the first one for the leaf. */
ASN1_SEQUENCE(cms_signed_data_t) = {
    ASN1_SIMPLE(cms_signed_data_t, version, ASN1_INTEGER),
    ASN1_SET_OF(cms_signed_data_t, digests, X509_ALGOR),
    ASN1_SIMPLE(cms_signed_data_t, encap, cms_encap_t),
    ASN1_IMP_SEQUENCE_OF_OPT(cms_signed_data_t, certificates, ASN1_ANY, 0),
    ASN1_IMP_SET_OF_OPT(cms_signed_data_t, crls, ASN1_ANY, 1),
    ASN1_SET_OF(cms_signed_data_t, signers, cms_signer_info_t)
} static_ASN1_SEQUENCE_END(cms_signed_data_t)

ASN1_SEQUENCE(cms_signed_t) = {
    ASN1_SIMPLE(cms_signed_t, type, ASN1_OBJECT),
    ASN1_EXP(cms_signed_t, content, cms_signed_data_t, 0)
} ASN1_SEQUENCE_END(cms_signed_t)

ASN1_ITEM_TEMPLATE(cms_attributes_as_sent) =
    ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF | ASN1_TFLG_IMPTAG | ASN1_TFLG_UNIVERSAL,
                          V_ASN1_SET, cms_attributes_as_sent, X509_ATTRIBUTE)
ASN1_ITEM_TEMPLATE_END(cms_attributes_as_sent)

ASN1_ITEM_TEMPLATE(cms_attributes_der) =
    ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SET_OF, 0, cms_attributes_der, X509_ATTRIBUTE)
ASN1_ITEM_TEMPLATE_END(cms_attributes_der)

ASN1_SEQUENCE(cms_encrypted_t) = {
    ASN1_SIMPLE(cms_encrypted_t, type, ASN1_OBJECT),
    ASN1_SIMPLE(cms_encrypted_t, algor, X509_ALGOR),
    ASN1_IMP_OPT(cms_encrypted_t, content, ASN1_OCTET_STRING, 0)
} static_ASN1_SEQUENCE_END(cms_encrypted_t)

ASN1_SEQUENCE(cms_enveloped_data_t) = {
    ASN1_SIMPLE(cms_enveloped_data_t, version, ASN1_INTEGER),
    ASN1_IMP_SEQUENCE_OF_OPT(cms_enveloped_data_t, originator, ASN1_ANY, 0),
    ASN1_SET_OF(cms_enveloped_data_t, recipients, ASN1_ANY),
    ASN1_SIMPLE(cms_enveloped_data_t, encrypted, cms_encrypted_t),
    ASN1_IMP_SET_OF_OPT(cms_enveloped_data_t, unprotected, ASN1_ANY, 1)
} static_ASN1_SEQUENCE_END(cms_enveloped_data_t)

ASN1_SEQUENCE(cms_enveloped_t) = {
    ASN1_SIMPLE(cms_enveloped_t, type, ASN1_OBJECT),
    ASN1_EXP(cms_enveloped_t, content, cms_enveloped_data_t, 0)
} ASN1_SEQUENCE_END(cms_enveloped_t)

ASN1_SEQUENCE(cms_auth_enveloped_data_t) = {
    ASN1_SIMPLE(cms_auth_enveloped_data_t, version, ASN1_INTEGER),
    ASN1_IMP_SEQUENCE_OF_OPT(cms_auth_enveloped_data_t, originator, ASN1_ANY, 0),
    ASN1_SET_OF(cms_auth_enveloped_data_t, recipients, ASN1_ANY),
    ASN1_SIMPLE(cms_auth_enveloped_data_t, encrypted, cms_encrypted_t),
    ASN1_IMP_SET_OF_OPT(cms_auth_enveloped_data_t, authenticated, ASN1_ANY, 1),
    ASN1_SIMPLE(cms_auth_enveloped_data_t, mac, ASN1_OCTET_STRING),
    ASN1_IMP_SET_OF_OPT(cms_auth_enveloped_data_t, unauthenticated, ASN1_ANY, 2)
} static_ASN1_SEQUENCE_END(cms_auth_enveloped_data_t)

ASN1_SEQUENCE(cms_auth_enveloped_t) = {
    ASN1_SIMPLE(cms_auth_enveloped_t, type, ASN1_OBJECT),
    ASN1_EXP(cms_auth_enveloped_t, content, cms_auth_enveloped_data_t, 0)
} ASN1_SEQUENCE_END(cms_auth_enveloped_t)

ASN1_SEQUENCE(cms_key_trans_t) = {
    ASN1_SIMPLE(cms_key_trans_t, version, ASN1_INTEGER),
    ASN1_SIMPLE(cms_key_trans_t, rid, ASN1_ANY),
    ASN1_SIMPLE(cms_key_trans_t, algor, X509_ALGOR),
    ASN1_SIMPLE(cms_key_trans_t, key, ASN1_OCTET_STRING)
} ASN1_SEQUENCE_END(cms_key_trans_t)

ASN1_SEQUENCE(cms_gcm_t) = {
    ASN1_SIMPLE(cms_gcm_t, nonce, ASN1_OCTET_STRING),
    ASN1_SIMPLE(cms_gcm_t, tag_len, ASN1_INTEGER)
} ASN1_SEQUENCE_END(cms_gcm_t)

ASN1_SEQUENCE(cert_info_t) = {
    ASN1_EXP_OPT(cert_info_t, version, ASN1_INTEGER, 0),
    ASN1_SIMPLE(cert_info_t, serial, ASN1_INTEGER),
    ASN1_SIMPLE(cert_info_t, signature, X509_ALGOR),
    ASN1_SIMPLE(cert_info_t, issuer, X509_NAME),
    ASN1_SIMPLE(cert_info_t, validity, X509_VAL),
    ASN1_SIMPLE(cert_info_t, subject, X509_NAME),
    ASN1_SIMPLE(cert_info_t, spki, spki_t),
    ASN1_IMP_OPT(cert_info_t, issuer_uid, ASN1_BIT_STRING, 1),
    ASN1_IMP_OPT(cert_info_t, subject_uid, ASN1_BIT_STRING, 2),
    ASN1_EXP_SEQUENCE_OF_OPT(cert_info_t, extensions, X509_EXTENSION, 3)
} static_ASN1_SEQUENCE_END(cert_info_t)

ASN1_SEQUENCE(cert_t) = {
    ASN1_SIMPLE(cert_t, info, cert_info_t),
    ASN1_SIMPLE(cert_t, algor, X509_ALGOR),
    ASN1_SIMPLE(cert_t, signature, ASN1_BIT_STRING)
} ASN1_SEQUENCE_END(cert_t)

typedef struct owned_t {
    ASN1_VALUE *value;
    const ASN1_ITEM *item;
} owned_t;

static apr_status_t owned_cleanup(void *data)
{
    owned_t *owned = data;

    ASN1_item_free(owned->value, owned->item);
    return APR_SUCCESS;
}

void *cms_own(void *value, const ASN1_ITEM *item, apr_pool_t *p)
{
    owned_t *owned;

    if (value) {
        owned = apr_palloc(p, sizeof(*owned));
        owned->value = value;
        owned->item = item;
        apr_pool_cleanup_register(p, owned, owned_cleanup, apr_pool_cleanup_null);
    }
    return value;
}

void *cms_decode(const ASN1_ITEM *item, const void *data, apr_size_t len, apr_pool_t *p)
{
    const unsigned char *at = data;
    ASN1_VALUE *value;

    ERR_clear_error();
    if (len == 0 || len > INT_MAX)
        return NULL;
    value = ASN1_item_d2i(NULL, &at, (long)len, item);
    if (value && at != (const unsigned char *)data + len) {
        ASN1_item_free(value, item);
        value = NULL;
    }
    ERR_clear_error();
    return cms_own(value, item, p);
}

ASN1_INTEGER *cms_certificate_serial(const crypt_buf_t *der, apr_pool_t *p)
{
    const unsigned char *at = der->data, *end = at + der->len;
    ASN1_INTEGER *serial = NULL;
    int i, tag, class;
    long len;

    ERR_clear_error();
    /* Certificate, TBSCertificate, version if it is there */
    for (i = 0; i < 3 && at && at < end; i++) {
        const unsigned char *start = at;
        int kind = ASN1_get_object(&at, &len, &tag, &class, end - at);

        if (i < 2 && (kind != V_ASN1_CONSTRUCTED || tag != V_ASN1_SEQUENCE ||
                      class != V_ASN1_UNIVERSAL))
            at = NULL;
        else if (i == 2 && kind == V_ASN1_CONSTRUCTED && class == V_ASN1_CONTEXT_SPECIFIC &&
                 tag == 0)
            at += len;
        else if (i == 2)
            at = start;
    }
    if (at && at < end)
        serial = d2i_ASN1_INTEGER(NULL, &at, end - at);
    ERR_clear_error();
    return cms_own(serial, ASN1_ITEM_rptr(ASN1_INTEGER), p);
}

crypt_buf_t cms_encode(const ASN1_ITEM *item, const void *value, apr_pool_t *p)
{
    crypt_buf_t buf = { NULL, 0 };
    unsigned char *der = NULL;
    int len = ASN1_item_i2d(value, &der, item);

    if (len > 0) {
        buf.data = apr_pmemdup(p, der, (apr_size_t)len);
        buf.len = (apr_size_t)len;
    }
    OPENSSL_free(der);
    return buf;
}

int cms_push_sequence(cms_any_set_t *set, const crypt_buf_t *der)
{
    ASN1_TYPE *any = ASN1_TYPE_new();
    ASN1_STRING *bytes = ASN1_STRING_type_new(V_ASN1_SEQUENCE);

    if (!any || !bytes || !ASN1_STRING_set(bytes, der->data, (int)der->len)) {
        ASN1_STRING_free(bytes);
        ASN1_TYPE_free(any);
        return 0;
    }
    ASN1_TYPE_set(any, V_ASN1_SEQUENCE, bytes);
    if (!sk_ASN1_TYPE_push(set, any)) {
        ASN1_TYPE_free(any);
        return 0;
    }
    return 1;
}

/* A SignedData without content and signer; NULL if that fails. */
static cms_signed_t *degenerate_new(apr_pool_t *p)
{
    cms_signed_t *cms;

    ERR_clear_error();
    cms = cms_own(ASN1_item_new(ASN1_ITEM_rptr(cms_signed_t)), ASN1_ITEM_rptr(cms_signed_t), p);
    if (!cms || !ASN1_INTEGER_set(cms->content->version, 1))
        return NULL;
    ASN1_OBJECT_free(cms->type);
    cms->type = OBJ_nid2obj(NID_pkcs7_signed);
    ASN1_OBJECT_free(cms->content->encap->type);
    cms->content->encap->type = OBJ_nid2obj(NID_pkcs7_data);
    return cms;
}

crypt_buf_t cms_degenerate_make(const crypt_buf_t *certs, int ncerts, apr_pool_t *p)
{
    crypt_buf_t none = { NULL, 0 };
    cms_signed_t *cms = degenerate_new(p);
    int i;

    if (!cms || (cms->content->certificates = sk_ASN1_TYPE_new_null()) == NULL)
        return none;
    for (i = 0; i < ncerts; i++) {
        if (!cms_push_sequence(cms->content->certificates, &certs[i]))
            return none;
    }
    return cms_encode(ASN1_ITEM_rptr(cms_signed_t), cms, p);
}

crypt_buf_t cms_degenerate_crl_make(const crypt_buf_t *crl, apr_pool_t *p)
{
    crypt_buf_t none = { NULL, 0 };
    cms_signed_t *cms = degenerate_new(p);

    if (!cms || (cms->content->crls = sk_ASN1_TYPE_new_null()) == NULL ||
        !cms_push_sequence(cms->content->crls, crl))
        return none;
    return cms_encode(ASN1_ITEM_rptr(cms_signed_t), cms, p);
}
