/* SPDX-License-Identifier: Apache-2.0 */
/* A CSR held against what its challenge was made for; see policy_bound.h. */
#include "policy_bound.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <string.h>

#define OID_UPN "1.3.6.1.4.1.311.20.2.3"
#define OID_SID_EXTENSION "1.3.6.1.4.1.311.25.2"
#define OID_SID "1.3.6.1.4.1.311.25.2.1"
#define SID_URI "tag:microsoft.com,2022-09-14:sid:"
#define SHOWN_MAX 400 /* bytes of each side of a detail */
#define VALUE_SHOWN 128
#define UNREADABLE "(unreadable)"

/* What is compared, and where to say it. */
typedef struct check_t {
    const policy_bound_t *bound;
    const csr_t *csr;
    outcome_t *out;
    apr_pool_t *p;
} check_t;

/* At most max bytes, printable ASCII; others as \xNN. */
static const char *shown(const void *data, apr_size_t len, apr_size_t max, apr_pool_t *p)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = data;
    char *text = apr_palloc(p, 4 * (len < max ? len : max) + 4), *to = text;
    apr_size_t i;

    for (i = 0; i < len && i < max; i++) {
        if (in[i] >= 0x20 && in[i] < 0x7f)
            *to++ = (char)in[i];
        else {
            *to++ = '\\';
            *to++ = 'x';
            *to++ = digits[in[i] >> 4];
            *to++ = digits[in[i] & 15];
        }
    }
    if (len > max) {
        memcpy(to, "...", 3);
        to += 3;
    }
    *to = '\0';
    return text;
}

/* Refuses; always APR_EACCES. */
static apr_status_t refuse(const check_t *c, apr_int32_t hresult, const char *reason,
                           const char *expected, const char *found)
{
    outcome_refuse(c->out, FAIL_INFO_BAD_REQUEST, hresult, reason, POLICY_BOUND_TEXT, c->p,
                   "expected %s, found %s", shown(expected, strlen(expected), SHOWN_MAX, c->p),
                   *found ? shown(found, strlen(found), SHOWN_MAX, c->p) : "none");
    c->out->phase = strcmp(reason, "bound-template") == 0 ? OUTCOME_PHASE_PERMISSION
                                                          : OUTCOME_PHASE_REQUEST;
    return APR_EACCES;
}

/* What the subject has of a type, as text. */
static const char *shown_type(const check_t *c, const ASN1_OBJECT *type, const char *name)
{
    const char *text = "";
    int i = -1, n = 0;

    while ((i = X509_NAME_get_index_by_OBJ(c->csr->subject, type, i)) >= 0 && n++ < 8) {
        const ASN1_STRING *value =
            X509_NAME_ENTRY_get_data(X509_NAME_get_entry(c->csr->subject, i));

        text = apr_pstrcat(c->p, text, *text ? "," : "", name, "=",
                           shown(ASN1_STRING_get0_data(value),
                                 (apr_size_t)ASN1_STRING_length(value), VALUE_SHOWN, c->p),
                           NULL);
    }
    return text;
}

/* Whether the entry is one of values that no other entry was; marks it in used. */
static int take_value(const apr_array_header_t *values, char *used, const X509_NAME_ENTRY *entry)
{
    X509_NAME *one = X509_NAME_new();
    int i, found = 0;

    if (one && X509_NAME_add_entry(one, entry, -1, 0)) {
        for (i = 0; !found && i < values->nelts; i++) {
            if (!used[i] && X509_NAME_cmp(one, APR_ARRAY_IDX(values, i, X509_NAME *)) == 0)
                found = used[i] = 1;
        }
    }
    X509_NAME_free(one);
    return found;
}

/* Whether the subject has exactly these values of the type. */
static int has_type(const check_t *c, const policy_bound_type_t *type)
{
    char *used = apr_pcalloc(c->p, (apr_size_t)type->values->nelts);
    int i = -1, n = 0;

    while ((i = X509_NAME_get_index_by_OBJ(c->csr->subject, type->type, i)) >= 0) {
        if (++n > type->values->nelts ||
            !take_value(type->values, used, X509_NAME_get_entry(c->csr->subject, i)))
            return 0;
    }
    return n == type->values->nelts;
}

/* Whether an entry's type is listed. */
static int is_listed(const check_t *c, const X509_NAME_ENTRY *entry)
{
    int i;

    for (i = 0; i < c->bound->types->nelts; i++) {
        if (!OBJ_cmp(APR_ARRAY_IDX(c->bound->types, i, policy_bound_type_t).type,
                     X509_NAME_ENTRY_get_object(entry)))
            return 1;
    }
    return 0;
}

static apr_status_t check_types(const check_t *c)
{
    int i, j;

    for (i = 0; i < c->bound->types->nelts; i++) {
        const policy_bound_type_t *type =
            &APR_ARRAY_IDX(c->bound->types, i, policy_bound_type_t);
        const char *expected = "";

        if (has_type(c, type))
            continue;
        for (j = 0; j < type->values->nelts; j++)
            expected = apr_pstrcat(
                c->p, expected, j ? "," : "",
                crypt_name_text(APR_ARRAY_IDX(type->values, j, X509_NAME *), c->p), NULL);
        return refuse(c, OUTCOME_HR_BAD_REQUESTSUBJECT, "bound-subject", expected,
                      shown_type(c, type->type, type->name));
    }
    for (i = 0; c->bound->subject_exact && i < X509_NAME_entry_count(c->csr->subject); i++) {
        if (!is_listed(c, X509_NAME_get_entry(c->csr->subject, i)))
            return refuse(c, OUTCOME_HR_BAD_REQUESTSUBJECT, "bound-subject",
                          "no other types in the subject", c->csr->subject_text);
    }
    return APR_SUCCESS;
}

static apr_status_t check_subject(const check_t *c)
{
    if (c->bound->subject && X509_NAME_cmp(c->bound->subject, c->csr->subject) != 0)
        return refuse(c, OUTCOME_HR_BAD_REQUESTSUBJECT, "bound-subject",
                      crypt_name_text(c->bound->subject, c->p), c->csr->subject_text);
    return c->bound->types ? check_types(c) : APR_SUCCESS;
}

/* Whether an object has that number. */
static int is_oid(const ASN1_OBJECT *object, const char *number)
{
    char text[80];

    return OBJ_obj2txt(text, sizeof(text), object, 1) > 0 && strcmp(text, number) == 0;
}

/* Appends a name that was found. */
static void add_found(const check_t *c, apr_array_header_t *found, policy_bound_kind_e kind,
                      const void *data, int len)
{
    APR_ARRAY_PUSH(found, policy_bound_san_t) =
        policy_bound_san(kind, data ? data : "", data && len > 0 ? (apr_size_t)len : 0, c->p);
}

/* Appends the UPN of an otherName. */
static void add_upn(const check_t *c, apr_array_header_t *found, const ASN1_TYPE *value)
{
    unsigned char *utf8 = NULL;
    int type = value ? ASN1_TYPE_get(value) : 0, len = -1;

    if (type == V_ASN1_UTF8STRING || type == V_ASN1_PRINTABLESTRING || type == V_ASN1_IA5STRING ||
        type == V_ASN1_BMPSTRING || type == V_ASN1_T61STRING)
        len = ASN1_STRING_to_UTF8(&utf8, value->value.asn1_string);
    if (len >= 0)
        add_found(c, found, POLICY_BOUND_UPN, utf8, len);
    else
        add_found(c, found, POLICY_BOUND_UPN, UNREADABLE, sizeof(UNREADABLE) - 1);
    OPENSSL_free(utf8);
}

/* Appends one name of the alternative names. */
static void add_general(const check_t *c, apr_array_header_t *found, const GENERAL_NAME *name)
{
    static const int sid_len = sizeof(SID_URI) - 1;
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    const unsigned char *data;
    int len;

    if (type == GEN_OTHERNAME) {
        if (is_oid(name->d.otherName->type_id, OID_UPN))
            add_upn(c, found, name->d.otherName->value);
        else
            add_found(c, found, POLICY_BOUND_OTHER, "otherName", 9);
        return;
    }
    if (type != GEN_DNS && type != GEN_EMAIL && type != GEN_URI && type != GEN_IPADD) {
        add_found(c, found, POLICY_BOUND_OTHER, type == GEN_DIRNAME ? "directoryName" : "other",
                  type == GEN_DIRNAME ? 13 : 5);
        return;
    }
    data = ASN1_STRING_get0_data(value);
    len = ASN1_STRING_length(value);
    if (type == GEN_URI && len >= sid_len &&
        OPENSSL_strncasecmp((const char *)data, SID_URI, (size_t)sid_len) == 0)
        add_found(c, found, POLICY_BOUND_SID, data + sid_len, len - sid_len);
    else
        add_found(c, found,
                  type == GEN_DNS     ? POLICY_BOUND_DNS
                  : type == GEN_EMAIL ? POLICY_BOUND_EMAIL
                  : type == GEN_URI   ? POLICY_BOUND_URI
                                      : POLICY_BOUND_IP,
                  data, len);
}

/* Appends the SIDs of Windows' own extension, which is built like alternative names. */
static void add_sids(const check_t *c, apr_array_header_t *found, X509_EXTENSION *ext)
{
    const ASN1_OCTET_STRING *der = X509_EXTENSION_get_data(ext);
    const unsigned char *data = ASN1_STRING_get0_data(der), *end = data + ASN1_STRING_length(der);
    GENERAL_NAMES *names = d2i_GENERAL_NAMES(NULL, &data, ASN1_STRING_length(der));
    int i, n = names && data == end ? sk_GENERAL_NAME_num(names) : 0;

    for (i = 0; i < n; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const ASN1_TYPE *value = name->type == GEN_OTHERNAME ? name->d.otherName->value : NULL;

        if (value && is_oid(name->d.otherName->type_id, OID_SID) &&
            ASN1_TYPE_get(value) == V_ASN1_OCTET_STRING)
            add_found(c, found, POLICY_BOUND_SID,
                      ASN1_STRING_get0_data(value->value.octet_string),
                      ASN1_STRING_length(value->value.octet_string));
        else
            n = 0;
    }
    if (n == 0)
        add_found(c, found, POLICY_BOUND_SID, UNREADABLE, sizeof(UNREADABLE) - 1);
    GENERAL_NAMES_free(names);
}

/* All alternative names that the CSR asks for. */
static apr_array_header_t *find_san(const check_t *c)
{
    apr_array_header_t *found = apr_array_make(c->p, 4, sizeof(policy_bound_san_t));
    int critical, i;
    GENERAL_NAMES *names =
        X509V3_get_d2i(c->csr->extensions, NID_subject_alt_name, &critical, NULL);

    for (i = 0; names && i < sk_GENERAL_NAME_num(names); i++)
        add_general(c, found, sk_GENERAL_NAME_value(names, i));
    if (!names && critical != -1)
        add_found(c, found, POLICY_BOUND_OTHER, UNREADABLE, sizeof(UNREADABLE) - 1);
    GENERAL_NAMES_free(names);
    for (i = 0; i < sk_X509_EXTENSION_num(c->csr->extensions); i++) {
        X509_EXTENSION *ext = sk_X509_EXTENSION_value(c->csr->extensions, i);

        if (is_oid(X509_EXTENSION_get_object(ext), OID_SID_EXTENSION))
            add_sids(c, found, ext);
    }
    return found;
}

/* Whether a name stands in the list. */
static int has_san(const apr_array_header_t *list, const policy_bound_san_t *name)
{
    int i;

    for (i = 0; i < list->nelts; i++) {
        const policy_bound_san_t *other = &APR_ARRAY_IDX(list, i, policy_bound_san_t);

        if (other->kind == name->kind && other->len == name->len &&
            memcmp(other->data, name->data, name->len) == 0)
            return 1;
    }
    return 0;
}

/* Names as text, "dns:a, ip:192.0.2.1". */
static const char *shown_san(const apr_array_header_t *list, apr_pool_t *p)
{
    const char *text = "";
    char ip[INET6_ADDRSTRLEN];
    int i;

    for (i = 0; i < list->nelts && strlen(text) <= SHOWN_MAX; i++) {
        const policy_bound_san_t *name = &APR_ARRAY_IDX(list, i, policy_bound_san_t);
        int is_ip = name->kind == POLICY_BOUND_IP && (name->len == 4 || name->len == 16);

        text = apr_pstrcat(p, text, i ? ", " : "", policy_bound_kinds[name->kind], ":",
                           is_ip ? inet_ntop(name->len == 4 ? AF_INET : AF_INET6, name->data, ip,
                                             sizeof(ip))
                                 : shown(name->data, name->len, VALUE_SHOWN, p),
                           NULL);
    }
    return text;
}

static apr_status_t check_san(const check_t *c)
{
    const policy_bound_t *bound = c->bound;
    apr_array_header_t *found, *none = apr_array_make(c->p, 1, sizeof(policy_bound_san_t));
    const apr_array_header_t *expected = bound->san ? bound->san : none;
    int i, good = 1;

    /* a challenge for one name must not be good for another one beside it */
    if (!bound->san && !bound->subject && !bound->types)
        return APR_SUCCESS;
    found = find_san(c);
    for (i = 0; good && i < found->nelts; i++) {
        const policy_bound_san_t *name = &APR_ARRAY_IDX(found, i, policy_bound_san_t);

        good = bound->san_kinds & 1u << name->kind ? has_san(expected, name) : bound->san_other;
    }
    for (i = 0; good && i < expected->nelts; i++)
        good = has_san(found, &APR_ARRAY_IDX(expected, i, policy_bound_san_t));
    if (good)
        return APR_SUCCESS;
    return refuse(c, OUTCOME_HR_BAD_REQUESTSUBJECT, "bound-san",
                  expected->nelts ? shown_san(expected, c->p) : "no alternative names",
                  shown_san(found, c->p));
}

/* The names of key usage bits. */
static const char *shown_usage(int bits, apr_pool_t *p)
{
    const char *text = "";
    int i;

    for (i = 0; i < 9; i++) {
        if (bits & 1 << i)
            text = apr_pstrcat(p, text, *text ? "," : "", policy_bound_usages[i], NULL);
    }
    return *text ? text : "no usage";
}

static apr_status_t check_key_usage(const check_t *c)
{
    const policy_bound_t *bound = c->bound;
    int critical, i, bits = 0, strange = 0;
    ASN1_BIT_STRING *usage;

    if (bound->key_usage < 0)
        return APR_SUCCESS;
    usage = X509V3_get_d2i(c->csr->extensions, NID_key_usage, &critical, NULL);
    if (!usage && critical == -1)
        return bound->key_usage_optional
                   ? APR_SUCCESS
                   : refuse(c, OUTCOME_HR_INVALIDARG, "bound-key-usage",
                            shown_usage(bound->key_usage, c->p), "");
    for (i = 0; usage && i < 8 * ASN1_STRING_length(usage); i++) {
        if (!ASN1_BIT_STRING_get_bit(usage, i))
            continue;
        if (i < 9)
            bits |= 1 << i;
        else
            strange = 1;
    }
    if (!usage)
        strange = 1;
    ASN1_BIT_STRING_free(usage);
    if (bits == bound->key_usage && !strange)
        return APR_SUCCESS;
    return refuse(c, OUTCOME_HR_INVALIDARG, "bound-key-usage",
                  shown_usage(bound->key_usage, c->p),
                  strange ? UNREADABLE : shown_usage(bits, c->p));
}

/* Appends the name of a purpose. */
static const char *shown_purpose(const char *text, const ASN1_OBJECT *purpose, apr_pool_t *p)
{
    char name[80] = "";

    if (OBJ_obj2nid(purpose) != NID_undef)
        apr_cpystrn(name, OBJ_nid2sn(OBJ_obj2nid(purpose)), sizeof(name));
    else
        OBJ_obj2txt(name, sizeof(name), purpose, 1);
    return apr_pstrcat(p, text, *text ? "," : "", name, NULL);
}

/* Whether all purposes are expected ones. */
static int is_subset(const EXTENDED_KEY_USAGE *purposes, const apr_array_header_t *expected)
{
    int i, j, good = 1;

    for (i = 0; good && i < sk_ASN1_OBJECT_num(purposes); i++) {
        for (good = j = 0; !good && j < expected->nelts; j++)
            good = OBJ_cmp(sk_ASN1_OBJECT_value(purposes, i),
                           APR_ARRAY_IDX(expected, j, ASN1_OBJECT *)) == 0;
    }
    return good;
}

static apr_status_t check_eku(const check_t *c)
{
    const apr_array_header_t *expected = c->bound->eku;
    const char *want = "", *found = "";
    EXTENDED_KEY_USAGE *purposes;
    int critical, i, good;

    if (!expected)
        return APR_SUCCESS;
    purposes = X509V3_get_d2i(c->csr->extensions, NID_ext_key_usage, &critical, NULL);
    good = purposes ? is_subset(purposes, expected) : critical == -1;
    for (i = 0; !good && i < expected->nelts; i++)
        want = shown_purpose(want, APR_ARRAY_IDX(expected, i, ASN1_OBJECT *), c->p);
    for (i = 0; !good && purposes && i < sk_ASN1_OBJECT_num(purposes) && i < 16; i++)
        found = shown_purpose(found, sk_ASN1_OBJECT_value(purposes, i), c->p);
    if (!good && !purposes)
        found = UNREADABLE;
    sk_ASN1_OBJECT_pop_free(purposes, ASN1_OBJECT_free);
    return good ? APR_SUCCESS : refuse(c, OUTCOME_HR_INVALIDARG, "bound-eku", want, found);
}

/* The name of an EC key's curve, ED25519 or ED448; "": another key. */
static const char *curve_of(EVP_PKEY *key, apr_pool_t *p)
{
    char name[80] = "";
    size_t len = 0;

    if (EVP_PKEY_is_a(key, "ED25519"))
        return "ED25519";
    if (EVP_PKEY_is_a(key, "ED448"))
        return "ED448";
    if (EVP_PKEY_is_a(key, "EC") && !EVP_PKEY_get_group_name(key, name, sizeof(name), &len))
        return UNREADABLE;
    return apr_pstrdup(p, name);
}

static apr_status_t check_key(const check_t *c)
{
    const policy_bound_t *bound = c->bound;
    EVP_PKEY *key = c->csr->key;
    const char *curve = curve_of(key, c->p), *want = "";
    int i, good = 0;

    if (!bound->min_key && !bound->curves)
        return APR_SUCCESS;
    if (!*curve)
        good = bound->min_key && EVP_PKEY_get_bits(key) >= bound->min_key;
    for (i = 0; *curve && bound->curves && i < bound->curves->nelts; i++)
        good |= strcmp(curve, APR_ARRAY_IDX(bound->curves, i, const char *)) == 0;
    if (good)
        return APR_SUCCESS;
    if (bound->min_key)
        want = apr_psprintf(c->p, "RSA of %d bits or more", bound->min_key);
    for (i = 0; bound->curves && i < bound->curves->nelts; i++)
        want = apr_pstrcat(c->p, want, *want ? " or " : "",
                           APR_ARRAY_IDX(bound->curves, i, const char *), NULL);
    return refuse(c, OUTCOME_HR_KEY_LENGTH, "bound-key", want,
                  *curve ? curve
                         : apr_psprintf(c->p, "RSA of %d bits", EVP_PKEY_get_bits(key)));
}

apr_status_t policy_bound_check(const policy_bound_t *bound, const csr_t *csr,
                                const char *template_name, outcome_t *out, apr_pool_t *p)
{
    static apr_status_t (*const checks[])(const check_t *) = {
        check_subject, check_san, check_key_usage, check_eku, check_key};
    check_t c = {bound, csr, out, p};
    apr_status_t rv = APR_SUCCESS;
    unsigned i;

    if (*bound->template_name && strcmp(bound->template_name, template_name) != 0)
        return refuse(&c, OUTCOME_HR_UNSUPPORTED_TEMPLATE, "bound-template", bound->template_name,
                      template_name);
    ERR_clear_error();
    for (i = 0; rv == APR_SUCCESS && i < sizeof(checks) / sizeof(checks[0]); i++)
        rv = checks[i](&c);
    ERR_clear_error();
    return rv;
}
