/* SPDX-License-Identifier: Apache-2.0 */
/* What a template puts into each certificate of the local CA: its extensions, built once. */
#include "ca_local.h"

#include <apr_strings.h>
#include <openssl/sha.h>
#include <string.h>

#define OID_MS_TEMPLATE_NAME "1.3.6.1.4.1.311.20.2"
#define OID_MS_TEMPLATE "1.3.6.1.4.1.311.21.7"

/* Pool cleanup of a list of extensions; returns APR_SUCCESS. */
static apr_status_t extensions_cleanup(void *data)
{
    sk_X509_EXTENSION_pop_free(data, X509_EXTENSION_free);
    return APR_SUCCESS;
}

/* Pushes ext to list, which owns it then; 0 if ext is NULL or there is no memory. */
static int push(STACK_OF(X509_EXTENSION) *list, X509_EXTENSION *ext)
{
    if (ext == NULL || !sk_X509_EXTENSION_push(list, ext)) {
        X509_EXTENSION_free(ext);
        return 0;
    }
    return 1;
}

/* The keyUsage extension for bits; NULL if that fails. */
static X509_EXTENSION *make_key_usage(unsigned bits)
{
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    X509_EXTENSION *ext = NULL;
    int i, ok = usage != NULL;

    /* KU_* are the first two bytes of the bit string: bit 0 is 0x80, bit 8 is 0x8000 */
    for (i = 0; ok && i < 9; i++) {
        unsigned mask = i < 8 ? 0x80u >> i : KU_DECIPHER_ONLY;

        ok = (bits & mask) == 0 || ASN1_BIT_STRING_set_bit(usage, i, 1);
    }
    if (ok) {
        ext = X509V3_EXT_i2d(NID_key_usage, 1, usage);
    }
    ASN1_BIT_STRING_free(usage);
    return ext;
}

X509_EXTENSION *local_authority_key_id(X509 *ca)
{
    AUTHORITY_KEYID *akid = AUTHORITY_KEYID_new();
    const ASN1_OCTET_STRING *skid = X509_get0_subject_key_id(ca);
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(ca);
    X509_EXTENSION *ext = NULL;
    unsigned char digest[SHA_DIGEST_LENGTH];
    int ok = akid != NULL;

    if (ok && skid != NULL) {
        akid->keyid = ASN1_OCTET_STRING_dup(skid);
        ok = akid->keyid != NULL;
    }
    else if (ok) {
        akid->keyid = ASN1_OCTET_STRING_new();
        ok = akid->keyid != NULL && EVP_Digest(bits->data, (size_t)bits->length, digest, NULL,
                                               EVP_sha1(), NULL) &&
             ASN1_OCTET_STRING_set(akid->keyid, digest, sizeof(digest));
    }
    if (ok) {
        ext = X509V3_EXT_i2d(NID_authority_key_identifier, 0, akid);
    }
    AUTHORITY_KEYID_free(akid);
    return ext;
}

/* A GeneralName with a URL; NULL if that fails. */
static GENERAL_NAME *make_url(const char *url)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    if (name == NULL || text == NULL || !ASN1_STRING_set(text, url, (int)strlen(url))) {
        GENERAL_NAME_free(name);
        ASN1_IA5STRING_free(text);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, GEN_URI, text);
    return name;
}

/* The cRLDistributionPoints extension; NULL if that fails. */
static X509_EXTENSION *make_crl_points(const char *url)
{
    CRL_DIST_POINTS *points = CRL_DIST_POINTS_new();
    DIST_POINT *point = DIST_POINT_new();
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = make_url(url);
    X509_EXTENSION *ext = NULL;

    if (points == NULL || point == NULL || names == NULL || name == NULL ||
        (point->distpoint = DIST_POINT_NAME_new()) == NULL ||
        !sk_GENERAL_NAME_push(names, name)) {
        goto leave;
    }
    name = NULL;
    point->distpoint->type = 0;
    point->distpoint->name.fullname = names;
    names = NULL;
    if (!sk_DIST_POINT_push(points, point)) {
        goto leave;
    }
    point = NULL;
    ext = X509V3_EXT_i2d(NID_crl_distribution_points, 0, points);

leave:
    GENERAL_NAME_free(name);
    GENERAL_NAMES_free(names);
    DIST_POINT_free(point);
    CRL_DIST_POINTS_free(points);
    return ext;
}

/* Adds one access method with its URL to info; 0 if that fails. */
static int add_access(AUTHORITY_INFO_ACCESS *info, int method, const char *url)
{
    ACCESS_DESCRIPTION *access = ACCESS_DESCRIPTION_new();

    if (access == NULL) {
        return 0;
    }
    ASN1_OBJECT_free(access->method);
    GENERAL_NAME_free(access->location);
    access->method = OBJ_nid2obj(method);
    access->location = make_url(url);
    if (access->location == NULL || !sk_ACCESS_DESCRIPTION_push(info, access)) {
        ACCESS_DESCRIPTION_free(access);
        return 0;
    }
    return 1;
}

/* The authorityInfoAccess extension; NULL if that fails. */
static X509_EXTENSION *make_info_access(const ca_template_t *t)
{
    AUTHORITY_INFO_ACCESS *info = AUTHORITY_INFO_ACCESS_new();
    X509_EXTENSION *ext = NULL;

    if (info != NULL && (t->ocsp_url == NULL || add_access(info, NID_ad_OCSP, t->ocsp_url)) &&
        (t->aia_url == NULL || add_access(info, NID_ad_ca_issuers, t->aia_url))) {
        ext = X509V3_EXT_i2d(NID_info_access, 0, info);
    }
    AUTHORITY_INFO_ACCESS_free(info);
    return ext;
}

/* Adds the qualifier that says where the practice statement is; 0 if that fails. */
static int add_statement(POLICYINFO *info, const char *url)
{
    POLICYQUALINFO *qualifier = POLICYQUALINFO_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    info->qualifiers = sk_POLICYQUALINFO_new_null();
    if (qualifier == NULL || text == NULL || info->qualifiers == NULL ||
        !ASN1_STRING_set(text, url, (int)strlen(url)) ||
        !sk_POLICYQUALINFO_push(info->qualifiers, qualifier)) {
        ASN1_IA5STRING_free(text);
        POLICYQUALINFO_free(qualifier);
        return 0;
    }
    qualifier->pqualid = OBJ_nid2obj(NID_id_qt_cps);
    qualifier->d.cpsuri = text;
    return 1;
}

/* The certificatePolicies extension; NULL if that fails. */
static X509_EXTENSION *make_policies(const apr_array_header_t *list)
{
    CERTIFICATEPOLICIES *policies = CERTIFICATEPOLICIES_new();
    X509_EXTENSION *ext = NULL;
    int i, ok = policies != NULL;

    for (i = 0; ok && i < list->nelts; i++) {
        const ca_template_policy_t *policy = &APR_ARRAY_IDX(list, i, ca_template_policy_t);
        POLICYINFO *info = POLICYINFO_new();

        ok = info != NULL && sk_POLICYINFO_push(policies, info);
        if (!ok) {
            POLICYINFO_free(info);
            break;
        }
        info->policyid = OBJ_txt2obj(policy->oid, 1);
        ok = info->policyid != NULL && (policy->url == NULL || add_statement(info, policy->url));
    }
    if (ok) {
        ext = X509V3_EXT_i2d(NID_certificate_policies, 0, policies);
    }
    CERTIFICATEPOLICIES_free(policies);
    return ext;
}

/* An extension of that OID around value, whose encoding is a DER of its own; NULL if that fails. */
static X509_EXTENSION *make_extension(const char *oid, const ASN1_TYPE *value)
{
    ASN1_OBJECT *type = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    unsigned char *der = NULL;
    int len = i2d_ASN1_TYPE(value, &der);
    X509_EXTENSION *ext = NULL;

    if (type != NULL && data != NULL && len > 0 && ASN1_OCTET_STRING_set(data, der, len)) {
        ext = X509_EXTENSION_create_by_OBJ(NULL, type, 0, data);
    }
    OPENSSL_free(der);
    ASN1_OCTET_STRING_free(data);
    ASN1_OBJECT_free(type);
    return ext;
}

/* The extension with the name of Microsoft's template; NULL if that fails. */
static X509_EXTENSION *make_ms_name(const char *name)
{
    ASN1_STRING *text = NULL;
    ASN1_TYPE *value = ASN1_TYPE_new();
    X509_EXTENSION *ext = NULL;

    if (value != NULL && ASN1_mbstring_copy(&text, (const unsigned char *)name, -1, MBSTRING_ASC,
                                            B_ASN1_BMPSTRING) > 0) {
        ASN1_TYPE_set(value, V_ASN1_BMPSTRING, text);
        ext = make_extension(OID_MS_TEMPLATE_NAME, value);
    }
    ASN1_TYPE_free(value);
    return ext;
}

/* Adds an INTEGER to a SEQUENCE; 0 if that fails. */
static int push_number(ASN1_SEQUENCE_ANY *sequence, apr_int64_t number)
{
    ASN1_TYPE *item = ASN1_TYPE_new();
    ASN1_INTEGER *value = ASN1_INTEGER_new();

    if (item == NULL || value == NULL || !ASN1_INTEGER_set_int64(value, number) ||
        !sk_ASN1_TYPE_push(sequence, item)) {
        ASN1_INTEGER_free(value);
        ASN1_TYPE_free(item);
        return 0;
    }
    ASN1_TYPE_set(item, V_ASN1_INTEGER, value);
    return 1;
}

/* Adds an OID to a SEQUENCE; 0 if that fails. */
static int push_oid(ASN1_SEQUENCE_ANY *sequence, const char *oid)
{
    ASN1_TYPE *item = ASN1_TYPE_new();
    ASN1_OBJECT *value = OBJ_txt2obj(oid, 1);

    if (item == NULL || value == NULL || !sk_ASN1_TYPE_push(sequence, item)) {
        ASN1_OBJECT_free(value);
        ASN1_TYPE_free(item);
        return 0;
    }
    ASN1_TYPE_set(item, V_ASN1_OBJECT, value);
    return 1;
}

/* The extension with OID and version of Microsoft's template; NULL if that fails. */
static X509_EXTENSION *make_ms_oid(const ca_template_t *t)
{
    ASN1_SEQUENCE_ANY *sequence = sk_ASN1_TYPE_new_null();
    ASN1_TYPE *value = ASN1_TYPE_new();
    ASN1_STRING *der = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
    unsigned char *data = NULL;
    X509_EXTENSION *ext = NULL;
    int len = 0;

    if (sequence != NULL && value != NULL && der != NULL && push_oid(sequence, t->ms_oid) &&
        (t->ms_major < 0 || push_number(sequence, t->ms_major)) &&
        (t->ms_minor < 0 || push_number(sequence, t->ms_minor)) &&
        (len = i2d_ASN1_SEQUENCE_ANY(sequence, &data)) > 0) {
        ASN1_STRING_set0(der, data, len);
        ASN1_TYPE_set(value, V_ASN1_SEQUENCE, der);
        der = NULL;
        ext = make_extension(OID_MS_TEMPLATE, value);
    }
    ASN1_STRING_free(der);
    ASN1_TYPE_free(value);
    sk_ASN1_TYPE_pop_free(sequence, ASN1_TYPE_free);
    return ext;
}

/* Adds what the template has of policies and Microsoft's names; 0 if that fails. */
static int push_policies(STACK_OF(X509_EXTENSION) *list, const ca_template_t *t)
{
    return (t->policies == NULL || push(list, make_policies(t->policies))) &&
           (t->ms_name == NULL || push(list, make_ms_name(t->ms_name))) &&
           (t->ms_oid == NULL || push(list, make_ms_oid(t)));
}

STACK_OF(X509_EXTENSION) *local_extensions_make(const local_t *local, const ca_template_t *t,
                                                unsigned key_usage, apr_pool_t *p)
{
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    char *eku = apr_pstrdup(p, t->extended_key_usage_text);
    const char *crl_url = t->crl_url != NULL ? t->crl_url : local->crl_url;

    if (list == NULL) {
        return NULL;
    }
    apr_pool_cleanup_register(p, list, extensions_cleanup, apr_pool_cleanup_null);
    if (!push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:FALSE")) ||
        !push(list, make_key_usage(key_usage)) ||
        (*eku != '\0' && !push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, eku))) ||
        !push(list, local_authority_key_id(local->cert)) ||
        (crl_url != NULL && !push(list, make_crl_points(crl_url))) ||
        ((t->ocsp_url != NULL || t->aia_url != NULL) && !push(list, make_info_access(t))) ||
        !push_policies(list, t)) {
        return NULL;
    }
    return list;
}
