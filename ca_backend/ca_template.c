/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: parsing of ScepLocalTemplate, and the check of a CSR before anything is signed. */
#include "ca_template.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <string.h>
#include <strings.h>

#define MAX_SAN_NAMES 128
#define MAX_LIST_BYTES 1024
#define MAX_URL_BYTES 1024
#define MAX_VALIDITY (APR_INT64_C(50) * 365 * 86400 * APR_USEC_PER_SEC)
#define DEFAULT_SAN_TYPES "dns,ip,email,uri,upn,dirname,rid"
#define ALL_SAN_TYPES DEFAULT_SAN_TYPES ",sid"
#define SID_URI "tag:microsoft.com,2022-09-14:sid:" /* KB5014754: maps to an account as strongly as
                                                     * the extension does */

const settings_key_t ca_template_keys[] = {
    {"validity", "DURATION", 0},
    {"keyUsage", "NAME,...", 0},
    {"extendedKeyUsage", "NAME-OR-OID,...", 0},
    {"subject", "csr|none", 0},
    {"emptySubject", "on|off", 0},
    {"san", "csr|none", 0},
    {"sanTypes", ALL_SAN_TYPES, 0},
    {"minimumKey", "BITS", 0},
    {"ecCurves", "P-256,P-384,P-521", 0},
    {"crlUrl", "URL", 0},
    {"caIssuersUrl", "URL", 0},
    {"ocspUrl", "URL", 0},
    {NULL, NULL, 0}
};

/* What a certificate from a template may be used for; never to sign certificates or CRLs. */
static const struct {
    const char *name;
    unsigned bit;
} usages[] = {
    {"digitalSignature", KU_DIGITAL_SIGNATURE}, {"nonRepudiation", KU_NON_REPUDIATION},
    {"keyEncipherment", KU_KEY_ENCIPHERMENT},   {"dataEncipherment", KU_DATA_ENCIPHERMENT},
    {"keyAgreement", KU_KEY_AGREEMENT},         {"encipherOnly", KU_ENCIPHER_ONLY},
    {"decipherOnly", KU_DECIPHER_ONLY},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const ca_template_t default_template = {
    .name = CA_TEMPLATE_DEFAULT,
    .validity = APR_INT64_C(365) * 86400 * APR_USEC_PER_SEC,
    .key_usage = KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT,
    .key_usage_text = "critical,digitalSignature,keyEncipherment",
    .extended_key_usage_text = "clientAuth",
    .subject = CA_FROM_CSR,
    .san = CA_FROM_CSR,
    .san_types = DEFAULT_SAN_TYPES,
    .min_rsa_bits = 2048,
    .ec_curves = "P-256,P-384,P-521",
    .empty_subject_allowed = 1,
};

const ca_template_t *ca_template_default(void)
{
    return &default_template;
}

/* Whether the comma-separated list holds word (case does not matter). */
static int list_has(const char *list, const char *word)
{
    size_t len = strlen(word);

    while (*list != '\0') {
        size_t item = strcspn(list, ",");

        if (item == len && strncasecmp(list, word, len) == 0) {
            return 1;
        }
        list += item + (list[item] == ',');
    }
    return 0;
}

/* Cuts the next item off *list; NULL at the end. */
static const char *next_item(const char **list, apr_pool_t *p)
{
    size_t len = strcspn(*list, ",");
    const char *item;

    if (**list == '\0') {
        return NULL;
    }
    item = apr_pstrmemdup(p, *list, len);
    *list += len + ((*list)[len] == ',');
    return item;
}

/* Error text for an item that is none of known; never NULL. */
static const char *unknown_item(const char *key, const char *item, const char *known,
                                apr_pool_t *p)
{
    return apr_psprintf(p, "%s: unknown '%.64s'; known are: %s", key, item, known);
}

/* Error text if an item is not in known or the list is too long, else NULL. */
static const char *check_list(const char *key, const char *list, const char *known, apr_pool_t *p)
{
    const char *item;

    if (strlen(list) > MAX_LIST_BYTES) {
        return apr_psprintf(p, "%s is longer than %d characters", key, MAX_LIST_BYTES);
    }
    while ((item = next_item(&list, p)) != NULL) {
        if (!list_has(known, item)) {
            return unknown_item(key, item, known, p);
        }
    }
    return NULL;
}

/* Reads keyUsage into t; error text, NULL on success. */
static const char *read_key_usage(ca_template_t *t, const char *list, apr_pool_t *p)
{
    const char *known = "", *item;
    size_t i;

    t->key_usage = 0;
    t->key_usage_text = "critical";
    for (i = 0; i < COUNT(usages); i++) {
        known = apr_pstrcat(p, known, i > 0 ? "," : "", usages[i].name, NULL);
    }
    if (*list == '\0') {
        return apr_psprintf(p, "keyUsage is empty; known are: %s", known);
    }
    while ((item = next_item(&list, p)) != NULL) {
        for (i = 0; i < COUNT(usages) && strcasecmp(item, usages[i].name) != 0; i++) {
            continue;
        }
        if (i == COUNT(usages)) {
            return unknown_item("keyUsage", item, known, p);
        }
        if ((t->key_usage & usages[i].bit) != 0) {
            return apr_psprintf(p, "keyUsage: '%s' is given twice", item);
        }
        t->key_usage |= usages[i].bit;
        t->key_usage_text = apr_pstrcat(p, t->key_usage_text, ",", usages[i].name, NULL);
    }
    return NULL;
}

/* Checks extendedKeyUsage; error text, NULL on success. */
static const char *check_extended_key_usage(const char *list, apr_pool_t *p)
{
    const char *item;

    if (strlen(list) > MAX_LIST_BYTES) {
        return apr_psprintf(p, "extendedKeyUsage is longer than %d characters", MAX_LIST_BYTES);
    }
    while ((item = next_item(&list, p)) != NULL) {
        ASN1_OBJECT *oid = OBJ_txt2obj(item, 0);

        ERR_clear_error();
        if (oid == NULL || *item == '\0') {
            ASN1_OBJECT_free(oid);
            return apr_psprintf(p, "extendedKeyUsage: '%.64s' is neither a known name such as "
                                   "clientAuth nor an OID", item);
        }
        ASN1_OBJECT_free(oid);
    }
    return NULL;
}

const char *ca_template_check_url(const char *key, const char *url, apr_pool_t *p)
{
    const char *at;

    if (url == NULL) {
        return NULL;
    }
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0 &&
        strncasecmp(url, "ldap://", 7) != 0) {
        return apr_psprintf(p, "%s=%.64s is not a URL of http, https or ldap", key, url);
    }
    for (at = url; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') {
            return apr_psprintf(p, "%s holds a character that must not stand in a URL", key);
        }
    }
    if (at - url > MAX_URL_BYTES) {
        return apr_psprintf(p, "%s is longer than %d characters", key, MAX_URL_BYTES);
    }
    return NULL;
}

/* Reads csr|none; error text, NULL on success. */
static const char *read_source(const settings_t *s, const char *key, ca_source_e *source,
                               apr_pool_t *p)
{
    const char *value = settings_get(s, key, "csr");

    if (strcasecmp(value, "csr") != 0 && strcasecmp(value, "none") != 0) {
        return apr_psprintf(p, "%s=%.64s must be csr or none", key, value);
    }
    *source = strcasecmp(value, "csr") == 0 ? CA_FROM_CSR : CA_FROM_NOWHERE;
    return NULL;
}

/* Fills t from the settings; error text, NULL on success. */
static const char *read_template(ca_template_t *t, const settings_t *s, apr_pool_t *p)
{
    apr_int64_t bits = t->min_rsa_bits;
    const char *err, *usage;

    usage = settings_get(s, "keyUsage", NULL);
    t->extended_key_usage_text =
        settings_get(s, "extendedKeyUsage", t->extended_key_usage_text);
    t->san_types = settings_get(s, "sanTypes", t->san_types);
    t->ec_curves = settings_get(s, "ecCurves", t->ec_curves);
    t->crl_url = settings_get(s, "crlUrl", NULL);
    t->aia_url = settings_get(s, "caIssuersUrl", NULL);
    t->ocsp_url = settings_get(s, "ocspUrl", NULL);
    if ((err = settings_get_duration(s, "validity", t->validity, apr_time_from_sec(60),
                                     MAX_VALIDITY, &t->validity, p)) != NULL ||
        (usage != NULL && (err = read_key_usage(t, usage, p)) != NULL) ||
        (err = check_extended_key_usage(t->extended_key_usage_text, p)) != NULL ||
        (err = read_source(s, "subject", &t->subject, p)) != NULL ||
        (err = read_source(s, "san", &t->san, p)) != NULL ||
        (err = settings_get_flag(s, "emptySubject", t->empty_subject_allowed,
                                 &t->empty_subject_allowed, p)) != NULL ||
        (err = check_list("sanTypes", t->san_types, ALL_SAN_TYPES, p)) != NULL ||
        (err = check_list("ecCurves", t->ec_curves, default_template.ec_curves, p)) != NULL ||
        (err = settings_get_number(s, "minimumKey", bits, 1024, 16384, &bits, p)) != NULL ||
        (err = ca_template_check_url("crlUrl", t->crl_url, p)) != NULL ||
        (err = ca_template_check_url("caIssuersUrl", t->aia_url, p)) != NULL ||
        (err = ca_template_check_url("ocspUrl", t->ocsp_url, p)) != NULL) {
        return err;
    }
    t->min_rsa_bits = (int)bits;
    if (t->subject == CA_FROM_NOWHERE && (t->san == CA_FROM_NOWHERE || !t->empty_subject_allowed)) {
        return "subject=none needs san=csr and emptySubject=on: a certificate must name somebody";
    }
    return NULL;
}

const char *ca_template_make(const ca_template_t **ptemplate, const char *name, int argc,
                             const char *const *argv, apr_pool_t *p)
{
    ca_template_t *t;
    settings_t *s;
    const char *err, *at;

    *ptemplate = NULL;
    if (*name == '\0' || strlen(name) > 64) {
        return "a template's name has 1 to 64 characters";
    }
    for (at = name; *at != '\0'; at++) {
        if (!apr_isprint(*at)) {
            return "a template's name must be printable";
        }
    }
    err = settings_parse(&s, ca_template_keys, argc, argv, p);
    if (err != NULL) {
        return err;
    }
    t = apr_pmemdup(p, &default_template, sizeof(*t));
    t->name = apr_pstrdup(p, name);
    err = read_template(t, s, p);
    if (err == NULL) {
        *ptemplate = t;
    }
    return err;
}

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

    return kind != NULL && list_has(t->san_types, kind);
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
        else if (!list_has(t->san_types, kind) &&
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
    return nist != NULL && list_has(t->ec_curves, nist);
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
