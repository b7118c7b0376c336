/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates: what a certificate says of the rules it was issued by.
 *
 * certificatePolicies is RFC 5280 section 4.2.1.4.  msTemplate and msTemplateOid are the extensions
 * by which Microsoft's CA names its templates ([MS-WCCE] section 2.2.2.7.7): what looked for them
 * in the certificates of an AD CS finds them again.
 */
#include "ca_template_parse.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#define MAX_POLICIES 16
#define MAX_NAME_BYTES 64
#define MAX_VERSION APR_INT64_C(4294967295) /* [MS-WCCE]: 32 bits without sign */

/* Whether it is an object identifier in dotted numbers. */
static int is_oid(const char *text)
{
    ASN1_OBJECT *oid = apr_isdigit(*text) ? OBJ_txt2obj(text, 1) : NULL;

    ERR_clear_error();
    ASN1_OBJECT_free(oid);
    return oid != NULL;
}

/* Cuts item at its first space; what stands behind it, NULL: nothing. */
static const char *split(char *item)
{
    char *space = strchr(item, ' ');

    if (space == NULL) {
        return NULL;
    }
    *space = '\0';
    return space + 1 + strspn(space + 1, " ");
}

/* Reads certificatePolicies; error text, NULL on success. */
static const char *read_policies(ca_template_t *t, const char *list, apr_pool_t *p)
{
    apr_array_header_t *policies = apr_array_make(p, 2, sizeof(ca_template_policy_t));
    ca_template_policy_t policy;
    const char *item, *err;
    int i;

    while ((item = ca_template_next_item(&list, p)) != NULL) {
        policy.oid = item + strspn(item, " ");
        policy.url = split((char *)policy.oid);
        if (!is_oid(policy.oid)) {
            return apr_psprintf(p, "certificatePolicies: '%.64s' is not an OID", policy.oid);
        }
        err = ca_template_check_url("certificatePolicies", policy.url, p);
        if (err != NULL) {
            return err;
        }
        /* RFC 5280: a policy must not be there more than once */
        for (i = 0; i < policies->nelts; i++) {
            if (strcmp(APR_ARRAY_IDX(policies, i, ca_template_policy_t).oid, policy.oid) == 0) {
                return apr_psprintf(p, "certificatePolicies: %s is given twice", policy.oid);
            }
        }
        APR_ARRAY_PUSH(policies, ca_template_policy_t) = policy;
    }
    if (policies->nelts < 1 || policies->nelts > MAX_POLICIES) {
        return apr_psprintf(p, "certificatePolicies takes 1 to %d policies", MAX_POLICIES);
    }
    t->policies = policies;
    return NULL;
}

/* Reads a number of at most 32 bits off *text; 0 if there is none. */
static int read_version(const char **text, apr_int64_t *number)
{
    char *end;

    if (!apr_isdigit(**text) || strlen(*text) > 21) {
        return 0;
    }
    *number = apr_strtoi64(*text, &end, 10);
    *text = end;
    return *number <= MAX_VERSION;
}

/* Reads msTemplateOid; error text, NULL on success. */
static const char *read_ms_oid(ca_template_t *t, const char *value, apr_pool_t *p)
{
    char *oid = apr_pstrdup(p, value);
    const char *version = split(oid);
    int ok = is_oid(oid);

    t->ms_oid = oid;
    if (ok && version != NULL) {
        ok = read_version(&version, &t->ms_major);
        if (ok && *version == '.') {
            version++;
            ok = read_version(&version, &t->ms_minor);
        }
        ok = ok && *version == '\0';
    }
    return ok ? NULL : apr_psprintf(p, "msTemplateOid=%.64s is not an OID with, at most, its "
                                       "version behind a space, such as 100.3", value);
}

/* Checks msTemplate; error text, NULL if it is good. */
static const char *check_ms_name(const char *name, apr_pool_t *p)
{
    const char *at;

    for (at = name; *at >= ' ' && *at <= '~'; at++) {
        continue;
    }
    if (*name == '\0' || *at != '\0' || at - name > MAX_NAME_BYTES) {
        return apr_psprintf(p, "msTemplate takes 1 to %d printable ASCII characters",
                            MAX_NAME_BYTES);
    }
    return NULL;
}

const char *ca_template_read_policies(ca_template_t *t, const settings_t *s, apr_pool_t *p)
{
    const char *oid = settings_get(s, "msTemplateOid", NULL), *err = NULL;

    t->policies_text = settings_get(s, "certificatePolicies", NULL);
    t->ms_name = settings_get(s, "msTemplate", NULL);
    if (t->policies_text != NULL) {
        err = read_policies(t, t->policies_text, p);
    }
    if (err == NULL && t->ms_name != NULL) {
        err = check_ms_name(t->ms_name, p);
    }
    if (err == NULL && oid != NULL) {
        err = read_ms_oid(t, oid, p);
    }
    return err;
}
