/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: the check of a CSR before anything is signed. */
#include "ca_template_parse.h"

#include <apr_strings.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <string.h>
#include <strings.h>

#define MAX_SAN_NAMES 128
#define SID_URI "tag:microsoft.com,2022-09-14:sid:" /* KB5014754: maps to an account as strongly as
                                                     * the extension does */

apr_status_t ca_template_san_make(GENERAL_NAMES **pnames, const csr_t *csr)
{
    const unsigned char *data, *end;
    const ASN1_OCTET_STRING *value;
    GENERAL_NAMES *names;
    int i;

    *pnames = NULL;
    i = csr->extensions != NULL
            ? X509v3_get_ext_by_NID(csr->extensions, NID_subject_alt_name, -1) : -1;
    if (i < 0) {
        return APR_NOTFOUND;
    }
    ERR_clear_error();
    value = X509_EXTENSION_get_data(X509v3_get_ext(csr->extensions, i));
    data = ASN1_STRING_get0_data(value);
    end = data + ASN1_STRING_length(value);
    names = d2i_GENERAL_NAMES(NULL, &data, (long)(end - data));
    if (names == NULL || data != end || sk_GENERAL_NAME_num(names) < 1) {
        GENERAL_NAMES_free(names);
        ERR_clear_error();
        return APR_EINVAL;
    }
    *pnames = names;
    return APR_SUCCESS;
}

/* Whether string is visible ASCII of at least one character (RFC 5280 IA5String names). */
static int is_clean_ascii(const ASN1_STRING *string)
{
    const unsigned char *data = ASN1_STRING_get0_data(string);
    int i, len = ASN1_STRING_length(string);

    for (i = 0; i < len; i++) {
        if (data[i] < ' ' || data[i] > '~') {
            return 0;
        }
    }
    return len > 0;
}

/* The kind of an otherName: "upn" for a well-formed user principal name, else NULL. */
static const char *other_name_kind(const OTHERNAME *other)
{
    const ASN1_STRING *text;

    if (OBJ_obj2nid(other->type_id) != NID_ms_upn ||
        ASN1_TYPE_get(other->value) != V_ASN1_UTF8STRING) {
        return NULL;
    }
    text = other->value->value.utf8string;
    return ASN1_STRING_length(text) > 0 &&
           memchr(ASN1_STRING_get0_data(text), '\0', (size_t)ASN1_STRING_length(text)) == NULL
               ? "upn" : NULL;
}

/* The security identifier that a URI names, *len its length; NULL: it is another URI. */
static const char *uri_sid(const ASN1_STRING *uri, int *len)
{
    const char *text = (const char *)ASN1_STRING_get0_data(uri);
    int head = (int)strlen(SID_URI);

    *len = ASN1_STRING_length(uri) - head;
    return *len >= 0 && strncasecmp(text, SID_URI, (size_t)head) == 0 ? text + head : NULL;
}

int ca_template_is_sid(const GENERAL_NAME *name, const char *sid)
{
    const char *named;
    int len;

    return sid != NULL && name->type == GEN_URI &&
           (named = uri_sid(name->d.uniformResourceIdentifier, &len)) != NULL &&
           (size_t)len == strlen(sid) && memcmp(named, sid, (size_t)len) == 0;
}

/* The kind of a GeneralName as sanTypes names it; NULL: one that is never issued, or malformed. */
static const char *name_kind(const GENERAL_NAME *name)
{
    int type, len;
    const void *value = GENERAL_NAME_get0_value(name, &type);

    switch (type) {
    case GEN_DNS:
        return is_clean_ascii(value) ? "dns" : NULL;
    case GEN_EMAIL:
        return is_clean_ascii(value) ? "email" : NULL;
    case GEN_URI:
        if (!is_clean_ascii(value)) {
            return NULL;
        }
        return uri_sid(value, &len) != NULL ? "sid" : "uri";
    case GEN_IPADD:
        len = ASN1_STRING_length(value);
        return len == 4 || len == 16 ? "ip" : NULL;
    case GEN_OTHERNAME:
        return other_name_kind(value);
    case GEN_DIRNAME:
        return X509_NAME_entry_count(value) > 0 ? "dirname" : NULL;
    case GEN_RID:
        return "rid";
    default:
        return NULL;
    }
}

int ca_template_has_name(const ca_template_t *t, const GENERAL_NAME *name)
{
    const char *kind = t->san == CA_FROM_CSR ? name_kind(name) : NULL;

    return kind != NULL && ca_template_list_has(t->san_types, kind);
}

/* A refusal that the device's owner can mend in the profile; returns APR_EACCES. */
static apr_status_t refuse_san(outcome_t *out, const ca_template_t *t, apr_pool_t *p,
                               const char *what)
{
    outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT, "template-san",
                   "The subject alternative name of the certificate request is not allowed.", p,
                   "template %s: %s", t->name, what);
    return APR_EACCES;
}

/* Checks the SAN; *present says whether there is one that is copied. */
static apr_status_t check_san(const ca_template_t *t, const csr_t *csr, const char *sid,
                              int *present, outcome_t *out, apr_pool_t *p)
{
    GENERAL_NAMES *names = NULL;
    apr_status_t rv = ca_template_san_make(&names, csr);
    const char *error = NULL;
    int i, n;

    *present = rv == APR_SUCCESS;
    if (rv == APR_NOTFOUND) {
        return APR_SUCCESS;
    }
    if (rv != APR_SUCCESS) {
        return refuse_san(out, t, p, "the CSR's subjectAltName cannot be read or is empty");
    }
    n = sk_GENERAL_NAME_num(names);
    if (n > MAX_SAN_NAMES) {
        error = apr_psprintf(p, "%d alternative names, at most %d are possible", n, MAX_SAN_NAMES);
    }
    for (i = 0; i < n && error == NULL; i++) {
        const char *kind = name_kind(sk_GENERAL_NAME_value(names, i));

        if (kind == NULL) {
            error = apr_psprintf(p, "alternative name %d is of an unknown kind or malformed",
                                 i + 1);
        }
        else if (!ca_template_list_has(t->san_types, kind) &&
                 !ca_template_is_sid(sk_GENERAL_NAME_value(names, i), sid)) {
            error = apr_psprintf(p, "alternative name %d is of kind %s, allowed are: %s", i + 1,
                                 kind, t->san_types);
        }
    }
    GENERAL_NAMES_free(names);
    return error != NULL ? refuse_san(out, t, p, error) : APR_SUCCESS;
}

/* Whether the EC key is on an allowed named curve. */
static int curve_is_allowed(const ca_template_t *t, EVP_PKEY *key)
{
    char group[64];
    const char *nist = NULL;
    size_t len = 0;
    int nid, is_explicit = 1;

    if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                               &is_explicit) && !is_explicit &&
        EVP_PKEY_get_group_name(key, group, sizeof(group), &len)) {
        nid = OBJ_txt2nid(group);
        nist = nid != NID_undef ? EC_curve_nid2nist(nid) : NULL;
    }
    ERR_clear_error();
    return nist != NULL && ca_template_list_has(t->ec_curves, nist);
}

/* Refuses the kind of key; returns APR_EACCES. */
static apr_status_t refuse_key_kind(const ca_template_t *t, EVP_PKEY *key, outcome_t *out,
                                    apr_pool_t *p)
{
    outcome_refuse(out, FAIL_INFO_BAD_ALG, OUTCOME_HR_BAD_ALGID, "template-key-type",
                   "The kind of key of the certificate request is not allowed.", p,
                   "template %s allows RSA and EC on %s, the key is %s", t->name,
                   *t->ec_curves != '\0' ? t->ec_curves : "no curve", crypt_key_name(key, p));
    return APR_EACCES;
}

apr_status_t ca_template_check_key(const ca_template_t *t, EVP_PKEY *key, outcome_t *out,
                                   apr_pool_t *p)
{
    if (EVP_PKEY_is_a(key, "RSA")) {
        if (EVP_PKEY_get_bits(key) >= t->min_rsa_bits) {
            return APR_SUCCESS;
        }
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_KEY_LENGTH, "template-key-length",
                       "The key of the certificate request is too short.", p,
                       "template %s needs RSA-%d, the key is %s", t->name, t->min_rsa_bits,
                       crypt_key_name(key, p));
        return APR_EACCES;
    }
    if (EVP_PKEY_is_a(key, "EC") && curve_is_allowed(t, key)) {
        return APR_SUCCESS;
    }
    return refuse_key_kind(t, key, out, p);
}

/* Checks the key and how the CSR writes it: it is copied into the certificate as it came. */
static apr_status_t check_key(const ca_template_t *t, const csr_t *csr, outcome_t *out,
                              apr_pool_t *p)
{
    int form = V_ASN1_UNDEF;

    X509_ALGOR_get0(NULL, &form, NULL, csr->spki->algor);
    if ((csr->spki->key->flags & 7) != 0 ||
        (EVP_PKEY_is_a(csr->key, "EC") && form != V_ASN1_OBJECT)) {
        return refuse_key_kind(t, csr->key, out, p);
    }
    return ca_template_check_key(t, csr->key, out, p);
}

/* Whether a name's value holds a control character: what is cut or hidden where it is shown. */
static int has_control_characters(const X509_NAME *name)
{
    int i, j, len, found = 0;
    unsigned char *text = NULL;

    for (i = 0; i < X509_NAME_entry_count(name) && !found; i++) {
        len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
        found = len < 0;
        for (j = 0; j < len && !found; j++) {
            found = text[j] < 0x20 || text[j] == 0x7f;
        }
        OPENSSL_free(text);
        text = NULL;
    }
    ERR_clear_error();
    return found;
}

apr_status_t ca_template_check_csr(const ca_template_t *t, const csr_t *csr,
                                   const X509_NAME *subject, const char *sid, outcome_t *out,
                                   apr_pool_t *p)
{
    int has_san = 0;
    apr_status_t rv = check_key(t, csr, out, p);

    if (rv == APR_SUCCESS && t->san == CA_FROM_CSR) {
        rv = check_san(t, csr, sid, &has_san, out, p);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (t->subject == CA_FROM_CSR && has_control_characters(subject)) {
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT,
                       "template-subject",
                       "The subject of the certificate request holds a forbidden character.", p,
                       "template %s: a control character in the subject", t->name);
        return APR_EACCES;
    }
    if ((t->subject == CA_FROM_NOWHERE || X509_NAME_entry_count(subject) == 0) &&
        !(has_san && t->empty_subject_allowed)) {
        outcome_refuse(out, FAIL_INFO_BAD_REQUEST, OUTCOME_HR_BAD_REQUESTSUBJECT,
                       "template-subject",
                       "The subject of the certificate request is empty.", p,
                       "template %s: empty subject %s", t->name,
                       has_san ? "is not allowed" : "without an alternative name");
        return APR_EACCES;
    }
    return APR_SUCCESS;
}
