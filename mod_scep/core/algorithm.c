/* SPDX-License-Identifier: Apache-2.0 */
/* RSA-OAEP and RSA-PSS parameters, read and written (see algorithm.h). */
#include "algorithm.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

const EVP_MD *scep_sha(int nid)
{
    switch (nid) {
    case NID_sha1: return EVP_sha1();
    case NID_sha224: return EVP_sha224();
    case NID_sha256: return EVP_sha256();
    case NID_sha384: return EVP_sha384();
    case NID_sha512: return EVP_sha512();
    default: return NULL;
    }
}

/* The digest that an algorithm identifier names, SHA-1 where it is absent; NULL: none of ours. */
static const EVP_MD *digest_of(const X509_ALGOR *algor)
{
    const ASN1_OBJECT *oid = NULL;

    if (!algor)
        return EVP_sha1();
    X509_ALGOR_get0(&oid, NULL, NULL, algor);
    return scep_sha(OBJ_obj2nid(oid));
}

/* The digest of a mask generation function, MGF1 with SHA-1 where it is absent; NULL: not ours. */
static const EVP_MD *mask_digest(const X509_ALGOR *mask)
{
    const ASN1_OBJECT *oid = NULL;
    const EVP_MD *md = NULL;
    X509_ALGOR *inner;

    if (!mask)
        return EVP_sha1();
    X509_ALGOR_get0(&oid, NULL, NULL, mask);
    if (OBJ_obj2nid(oid) != NID_mgf1)
        return NULL;
    inner = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(X509_ALGOR), mask->parameter);
    if (inner)
        md = digest_of(inner);
    X509_ALGOR_free(inner);
    return md;
}

int scep_transport_read(scep_transport_t *transport, const X509_ALGOR *algor)
{
    const ASN1_OBJECT *oid = NULL;
    RSA_OAEP_PARAMS *oaep;

    transport->oaep = transport->mgf1 = NULL;
    X509_ALGOR_get0(&oid, NULL, NULL, algor);
    if (OBJ_obj2nid(oid) == NID_rsaEncryption)
        return 1;
    if (OBJ_obj2nid(oid) != NID_rsaesOaep)
        return 0;
    oaep = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_OAEP_PARAMS), algor->parameter);
    if (oaep) {
        transport->oaep = digest_of(oaep->hashFunc);
        transport->mgf1 = mask_digest(oaep->maskGenFunc);
    }
    RSA_OAEP_PARAMS_free(oaep);
    ERR_clear_error();
    return transport->oaep && transport->mgf1;
}

/* An algorithm identifier with another one as its parameters; NULL if out of memory. */
static X509_ALGOR *make_mask(const EVP_MD *md)
{
    ASN1_STRING *packed;
    X509_ALGOR *mask = X509_ALGOR_new(), *inner = X509_ALGOR_new();

    if (inner)
        X509_ALGOR_set_md(inner, md);
    packed = inner ? ASN1_item_pack(inner, ASN1_ITEM_rptr(X509_ALGOR), NULL) : NULL;
    X509_ALGOR_free(inner);
    if (!mask || !packed ||
        !X509_ALGOR_set0(mask, OBJ_nid2obj(NID_mgf1), V_ASN1_SEQUENCE, packed)) {
        ASN1_STRING_free(packed);
        X509_ALGOR_free(mask);
        return NULL;
    }
    return mask;
}

int scep_transport_write(const scep_transport_t *transport, X509_ALGOR *algor)
{
    int ok = 0;
    ASN1_STRING *packed = NULL;
    RSA_OAEP_PARAMS *oaep;

    if (!transport->oaep)
        return X509_ALGOR_set0(algor, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL, NULL);
    oaep = RSA_OAEP_PARAMS_new();
    if (!oaep)
        return 0;
    /* DER leaves out what is the default */
    if (EVP_MD_get_type(transport->oaep) != NID_sha1) {
        oaep->hashFunc = X509_ALGOR_new();
        if (!oaep->hashFunc)
            goto leave;
        X509_ALGOR_set_md(oaep->hashFunc, transport->oaep);
    }
    if (EVP_MD_get_type(transport->mgf1) != NID_sha1 &&
        (oaep->maskGenFunc = make_mask(transport->mgf1)) == NULL)
        goto leave;
    packed = ASN1_item_pack(oaep, ASN1_ITEM_rptr(RSA_OAEP_PARAMS), NULL);
    ok = packed &&
         X509_ALGOR_set0(algor, OBJ_nid2obj(NID_rsaesOaep), V_ASN1_SEQUENCE, packed);
    if (!ok)
        ASN1_STRING_free(packed);

leave:
    RSA_OAEP_PARAMS_free(oaep);
    return ok;
}

int scep_pss_is_usable(const X509_ALGOR *algor)
{
    int ok = 0;
    RSA_PSS_PARAMS *pss =
        ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), algor->parameter);

    if (pss)
        ok = mask_digest(pss->maskGenAlgorithm) != NULL;
    RSA_PSS_PARAMS_free(pss);
    ERR_clear_error();
    return ok;
}
