/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: parsing of ScepLocalTemplate. */
#include "ca_template_parse.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <string.h>
#include <strings.h>

#define MAX_LIST_BYTES 1024
#define MAX_URL_BYTES 1024
#define MAX_VALIDITY (APR_INT64_C(50) * 365 * 86400 * APR_USEC_PER_SEC)
#define DEFAULT_SAN_TYPES "dns,ip,email,uri,upn,dirname,rid"
#define ALL_SAN_TYPES DEFAULT_SAN_TYPES ",sid"

const settings_key_t ca_template_keys[] = {
    {"validity", "DURATION", 0},
    {"keyUsage", "NAME,...", 0},
    {"keyUsageEC", "NAME,...", 0},
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
    {"certificatePolicies", "OID[ URL],...", 0},
    {"msTemplate", "NAME", 0},
    {"msTemplateOid", "OID[ MAJOR[.MINOR]]", 0},
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
    .key_usage_ec = KU_DIGITAL_SIGNATURE,
    .key_usage_text = "critical,digitalSignature,keyEncipherment",
    .extended_key_usage_text = "clientAuth",
    .subject = CA_FROM_CSR,
    .san = CA_FROM_CSR,
    .san_types = DEFAULT_SAN_TYPES,
    .min_rsa_bits = 2048,
    .ec_curves = "P-256,P-384,P-521",
    .empty_subject_allowed = 1,
    .ms_major = -1,
    .ms_minor = -1,
};

const ca_template_t *ca_template_default(void)
{
    return &default_template;
}

int ca_template_list_has(const char *list, const char *word)
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

const char *ca_template_next_item(const char **list, apr_pool_t *p)
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
    while ((item = ca_template_next_item(&list, p)) != NULL) {
        if (!ca_template_list_has(known, item)) {
            return unknown_item(key, item, known, p);
        }
    }
    return NULL;
}

/* Reads a list of usages into *bits and, as X509V3_EXT_conf_nid() reads it, into *text; error text,
 * NULL on success. */
static const char *read_key_usage(const char *key, const char *list, unsigned *bits,
                                  const char **text, apr_pool_t *p)
{
    const char *known = "", *item;
    size_t i;

    *bits = 0;
    *text = "critical";
    for (i = 0; i < COUNT(usages); i++) {
        known = apr_pstrcat(p, known, i > 0 ? "," : "", usages[i].name, NULL);
    }
    if (*list == '\0') {
        return apr_psprintf(p, "%s is empty; known are: %s", key, known);
    }
    while ((item = ca_template_next_item(&list, p)) != NULL) {
        for (i = 0; i < COUNT(usages) && strcasecmp(item, usages[i].name) != 0; i++) {
            continue;
        }
        if (i == COUNT(usages)) {
            return unknown_item(key, item, known, p);
        }
        if ((*bits & usages[i].bit) != 0) {
            return apr_psprintf(p, "%s: '%s' is given twice", key, item);
        }
        *bits |= usages[i].bit;
        *text = apr_pstrcat(p, *text, ",", usages[i].name, NULL);
    }
    return NULL;
}

/* Reads keyUsage and keyUsageEC into t; error text, NULL on success. */
static const char *read_key_usages(ca_template_t *t, const settings_t *s, apr_pool_t *p)
{
    const char *usage = settings_get(s, "keyUsage", NULL);
    const char *ec = settings_get(s, "keyUsageEC", NULL), *text, *err = NULL;
    const unsigned encipherment = KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT;

    if (usage != NULL) {
        err = read_key_usage("keyUsage", usage, &t->key_usage, &t->key_usage_text, p);
    }
    if (err == NULL && ec != NULL) {
        err = read_key_usage("keyUsageEC", ec, &t->key_usage_ec, &text, p);
        return err != NULL || (t->key_usage_ec & encipherment) == 0
                   ? err : "keyUsageEC: no EC key enciphers (RFC 8813); it takes keyAgreement";
    }
    t->key_usage_ec = t->key_usage & ~encipherment;
    if (t->key_usage_ec == 0) {
        t->key_usage_ec = t->key_usage;
    }
    return err;
}

/* Checks extendedKeyUsage; error text, NULL on success. */
static const char *check_extended_key_usage(const char *list, apr_pool_t *p)
{
    const char *item;

    if (strlen(list) > MAX_LIST_BYTES) {
        return apr_psprintf(p, "extendedKeyUsage is longer than %d characters", MAX_LIST_BYTES);
    }
    while ((item = ca_template_next_item(&list, p)) != NULL) {
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
    const char *err;

    t->extended_key_usage_text =
        settings_get(s, "extendedKeyUsage", t->extended_key_usage_text);
    t->san_types = settings_get(s, "sanTypes", t->san_types);
    t->ec_curves = settings_get(s, "ecCurves", t->ec_curves);
    t->crl_url = settings_get(s, "crlUrl", NULL);
    t->aia_url = settings_get(s, "caIssuersUrl", NULL);
    t->ocsp_url = settings_get(s, "ocspUrl", NULL);
    if ((err = settings_get_duration(s, "validity", t->validity, apr_time_from_sec(60),
                                     MAX_VALIDITY, &t->validity, p)) != NULL ||
        (err = read_key_usages(t, s, p)) != NULL ||
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
        (err = ca_template_check_url("ocspUrl", t->ocsp_url, p)) != NULL ||
        (err = ca_template_read_policies(t, s, p)) != NULL) {
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

const char *ca_template_text(const ca_template_t *t, apr_pool_t *p)
{
    const char *text =
        apr_psprintf(p, "%s|%" APR_TIME_T_FMT "|%x|%s|%d|%d|%s|%d|%s|%s|%s|%s|%d", t->name,
                     t->validity, t->key_usage, t->extended_key_usage_text, (int)t->subject,
                     (int)t->san, t->san_types, t->min_rsa_bits, t->ec_curves,
                     t->crl_url != NULL ? t->crl_url : "", t->aia_url != NULL ? t->aia_url : "",
                     t->ocsp_url != NULL ? t->ocsp_url : "", t->empty_subject_allowed);

    return apr_psprintf(p, "%s|%x|%s|%s|%s|%" APR_INT64_T_FMT "|%" APR_INT64_T_FMT "\n", text,
                        t->key_usage_ec, t->policies_text != NULL ? t->policies_text : "",
                        t->ms_name != NULL ? t->ms_name : "", t->ms_oid != NULL ? t->ms_oid : "",
                        t->ms_major, t->ms_minor);
}
