/* SPDX-License-Identifier: Apache-2.0 */
/* CSRs whose extensions a CA copies; see ca_copied.h. */
#include "ca_copied.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#define OID_MAX 128

/* An OID in digits. */
static const char *oid_text(const ASN1_OBJECT *oid, apr_pool_t *p)
{
    char text[OID_MAX] = "";

    OBJ_obj2txt(text, sizeof(text), oid, 1);
    return apr_pstrdup(p, text);
}

apr_array_header_t *ca_copied_usages(const ca_template_t *t, apr_pool_t *p)
{
    apr_array_header_t *oids = apr_array_make(p, 4, sizeof(const char *));
    char *list = apr_pstrdup(p, t->extended_key_usage_text), *last = NULL, *item;

    for (item = apr_strtok(list, ",", &last); item != NULL; item = apr_strtok(NULL, ",", &last)) {
        ASN1_OBJECT *oid = OBJ_txt2obj(item, 0);

        if (oid != NULL) {
            APR_ARRAY_PUSH(oids, const char *) = oid_text(oid, p);
        }
        ASN1_OBJECT_free(oid);
    }
    ERR_clear_error();
    return oids;
}

unsigned ca_copied_key_usage(const ca_template_t *t, const csr_t *csr)
{
    return EVP_PKEY_is_a(csr->key, "EC") ? t->key_usage_ec : t->key_usage;
}

/* Why the CSR's keyUsage must not be copied; NULL: it may. */
static const char *check_key_usage(unsigned allowed, X509_EXTENSION *ext)
{
    ASN1_BIT_STRING *usage = X509V3_EXT_d2i(ext);
    const unsigned char *bytes = usage != NULL ? ASN1_STRING_get0_data(usage) : NULL;
    int i, len = usage != NULL ? ASN1_STRING_length(usage) : 0;
    unsigned bits = 0;
    const char *error = NULL;

    for (i = 0; i < len; i++) {
        /* as in KU_*; there are nine bits */
        bits |= i < 2 ? (unsigned)bytes[i] << (8 * i) : (bytes[i] != 0 ? ~0u : 0);
    }
    if (usage == NULL || (bits & ~allowed) != 0) {
        error = "it asks for a key usage that the template does not have";
    }
    ASN1_BIT_STRING_free(usage);
    return error;
}

/* Whether one of oids is this one. */
static int has_oid(const apr_array_header_t *oids, const char *oid)
{
    int i;

    for (i = 0; i < oids->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(oids, i, const char *), oid) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Why the CSR's extendedKeyUsage must not be copied; NULL: it may. */
static const char *check_extended_key_usage(const ca_template_t *t, X509_EXTENSION *ext,
                                            apr_pool_t *p)
{
    const apr_array_header_t *allowed = ca_copied_usages(t, p);
    EXTENDED_KEY_USAGE *usages = X509V3_EXT_d2i(ext);
    const char *error = usages != NULL ? NULL : "its extended key usage cannot be read";
    int i;

    for (i = 0; error == NULL && i < sk_ASN1_OBJECT_num(usages); i++) {
        const char *oid = oid_text(sk_ASN1_OBJECT_value(usages, i), p);

        if (!has_oid(allowed, oid)) {
            error = apr_psprintf(p, "it asks for the extended key usage %s, which the template "
                                    "does not have", oid);
        }
    }
    EXTENDED_KEY_USAGE_free(usages);
    return error;
}

/* Why the CSR's basicConstraints must not be copied; NULL: they may. */
static const char *check_basic_constraints(X509_EXTENSION *ext)
{
    BASIC_CONSTRAINTS *basic = X509V3_EXT_d2i(ext);
    const char *error = basic == NULL || basic->ca ? "it asks for a CA certificate" : NULL;

    BASIC_CONSTRAINTS_free(basic);
    return error;
}

/* Why an extension must not be copied; NULL: it may. */
static const char *check_extension(const ca_template_t *t, const csr_t *csr, X509_EXTENSION *ext,
                                   apr_pool_t *p)
{
    const ASN1_OBJECT *oid = X509_EXTENSION_get_object(ext);

    switch (OBJ_obj2nid(oid)) {
    case NID_subject_key_identifier:
    case NID_SMIMECapabilities:
        return NULL;
    case NID_subject_alt_name:
        return t->san == CA_FROM_CSR ? NULL : "it asks for alternative names, and the template "
                                              "has san=none";
    case NID_key_usage:
        return check_key_usage(t->key_usage | ca_copied_key_usage(t, csr), ext);
    case NID_ext_key_usage:
        return check_extended_key_usage(t, ext, p);
    case NID_basic_constraints:
        return check_basic_constraints(ext);
    default:
        return apr_psprintf(p, "it asks for the extension %s", oid_text(oid, p));
    }
}

apr_status_t ca_copied_check(const ca_template_t *t, const csr_t *csr, outcome_t *out,
                             apr_pool_t *p)
{
    const char *error = NULL;
    int i;

    if (t->subject != CA_FROM_CSR && X509_NAME_entry_count(csr->subject) > 0) {
        error = "it asks for a subject, and the template has subject=none";
    }
    for (i = 0; error == NULL && i < sk_X509_EXTENSION_num(csr->extensions); i++) {
        error = check_extension(t, csr, sk_X509_EXTENSION_value(csr->extensions, i), p);
    }
    ERR_clear_error();
    if (error == NULL) {
        return APR_SUCCESS;
    }
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_INVALIDARG, "template-extension",
                   "The certificate request asks for something that is not allowed.", p,
                   "template %s, and this CA copies what the CSR says: %s", t->name, error);
    return APR_EACCES;
}
