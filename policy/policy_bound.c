/* SPDX-License-Identifier: Apache-2.0 */
/* What a challenge is bound to, read from JSON; see policy_bound.h. */
#include "policy_bound.h"
#include "../common/json_text.h"
#include "../common/settings.h"
#include "store/store.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 1024 /* bytes of one name */
#define VALUES_MAX 64
#define TEMPLATE_MAX 64
#define KEY_MAX 16384
#define USES_MAX 1000000
#define LIFETIME_MAX apr_time_from_sec(3660LL * 24 * 3600)

const char *const policy_bound_kinds[] = {"dns", "email", "uri", "ip", "upn", "sid", "other"};
const char *const policy_bound_usages[] = {
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign",      "cRLSign",        "encipherOnly",    "decipherOnly"};

/* Reads one member into bound; error text without its key, NULL on success. */
typedef const char *(*read_member)(policy_bound_t *bound, const char *key, const json_t *value,
                                   apr_pool_t *p);

/* The strings of a string or of an array of different strings; NULL: it is neither, or empty. */
static apr_array_header_t *read_list(const json_t *value, apr_pool_t *p)
{
    apr_array_header_t *list = apr_array_make(p, 2, sizeof(const char *));
    apr_size_t i, n = json_is_array(value) ? json_array_size(value) : 1;
    const json_t *item;
    int j;

    for (i = 0; i < n && n <= VALUES_MAX; i++) {
        item = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_text_is_clean(item, VALUE_MAX))
            return NULL;
        for (j = 0; j < list->nelts; j++) {
            if (strcmp(APR_ARRAY_IDX(list, j, const char *), json_string_value(item)) == 0)
                return NULL;
        }
        APR_ARRAY_PUSH(list, const char *) = apr_pstrdup(p, json_string_value(item));
    }
    return list->nelts ? list : NULL;
}

/* Error text of a list that is none. */
static const char *not_a_list(apr_pool_t *p)
{
    return apr_psprintf(p,
                        "needs a text of 1 to %d bytes without control characters, or a list of 1 "
                        "to %d different ones",
                        VALUE_MAX, VALUES_MAX);
}

static const char *read_subject_types(policy_bound_t *bound, const json_t *value, apr_pool_t *p)
{
    const char *name;
    json_t *values;
    int i;

    bound->types = apr_array_make(p, 4, sizeof(policy_bound_type_t));
    json_object_foreach((json_t *)value, name, values) {
        apr_array_header_t *list = read_list(values, p);
        policy_bound_type_t *type;
        ASN1_OBJECT *object = policy_bound_type(name, p);

        if (!object)
            return apr_psprintf(p, "%.64s is not a type that names have", name);
        if (!list)
            return apr_psprintf(p, "%.64s %s", name, not_a_list(p));
        for (i = 0; i < bound->types->nelts; i++) {
            if (!OBJ_cmp(APR_ARRAY_IDX(bound->types, i, policy_bound_type_t).type, object))
                return apr_psprintf(p, "%.64s stands there by two names", name);
        }
        type = apr_array_push(bound->types);
        type->name = apr_pstrdup(p, name);
        type->type = object;
        type->values = apr_array_make(p, list->nelts, sizeof(X509_NAME *));
        for (i = 0; i < list->nelts; i++) {
            X509_NAME *one =
                policy_bound_single(object, APR_ARRAY_IDX(list, i, const char *), p);

            if (!one)
                return apr_psprintf(p, "%.64s cannot be a name", name);
            APR_ARRAY_PUSH(type->values, X509_NAME *) = one;
        }
    }
    return bound->types->nelts ? NULL : "names no type";
}

static const char *read_subject(policy_bound_t *bound, const char *key, const json_t *value,
                                apr_pool_t *p)
{
    (void)key;
    if (json_is_object(value))
        return read_subject_types(bound, value, p);
    if (!json_text_is_clean(value, VALUE_MAX))
        return apr_psprintf(p, "needs a name of at most %d bytes, or an object of types",
                            VALUE_MAX);
    return policy_bound_name(&bound->subject, json_string_value(value), p);
}

/* Whether text is S-1-, then groups of digits with dashes between them. */
static int is_sid(const char *text)
{
    const char *c = text + 4;

    if (strncmp(text, "S-1-", 4) != 0 || strlen(text) > 184)
        return 0;
    for (; *c; c++) {
        if (!(*c >= '0' && *c <= '9') && !(*c == '-' && c[-1] != '-' && c[1]))
            return 0;
    }
    return c > text + 4;
}

/* Appends a name of that kind; error text, NULL on success. */
static const char *add_san(policy_bound_t *bound, policy_bound_kind_e kind, const char *text,
                           apr_pool_t *p)
{
    apr_size_t len = strlen(text);
    unsigned char ip[16];
    const void *data = text;

    if (kind == POLICY_BOUND_IP) {
        len = inet_pton(AF_INET, text, ip) == 1 ? 4 : inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;
        if (!len)
            return apr_psprintf(p, "ip: %.64s is not an address", text);
        data = ip;
    }
    if (kind == POLICY_BOUND_SID && !is_sid(text))
        return "sid: needs S-1-... of digits";
    APR_ARRAY_PUSH(bound->san, policy_bound_san_t) = policy_bound_san(kind, data, len, p);
    return NULL;
}

static const char *read_san(policy_bound_t *bound, const char *key, const json_t *value,
                            apr_pool_t *p)
{
    const char *name, *error = NULL;
    json_t *values;
    int i, kind;

    (void)key;
    if (!json_is_object(value))
        return "needs an object with lists named dns, email, uri, ip, upn and sid";
    bound->san = apr_array_make(p, 4, sizeof(policy_bound_san_t));
    json_object_foreach((json_t *)value, name, values) {
        apr_array_header_t *list = read_list(values, p);

        for (kind = 0; kind < POLICY_BOUND_KINDS; kind++) {
            if (strcmp(policy_bound_kinds[kind], name) == 0)
                break;
        }
        if (kind == POLICY_BOUND_KINDS)
            return apr_psprintf(p, "%.64s is unknown (known: dns, email, uri, ip, upn, sid)", name);
        if (!list)
            return apr_psprintf(p, "%s: %s", name, not_a_list(p));
        bound->san_kinds |= 1u << kind;
        for (i = 0; !error && i < list->nelts; i++)
            error = add_san(bound, (policy_bound_kind_e)kind, APR_ARRAY_IDX(list, i, const char *),
                            p);
        if (error)
            return error;
    }
    return bound->san_kinds ? NULL : "is empty; without alternative names, leave it out";
}

static const char *read_san_other(policy_bound_t *bound, const char *key, const json_t *value,
                                  apr_pool_t *p)
{
    const char *text = json_string_value(value);

    (void)key;
    (void)p;
    bound->san_other = text && strcmp(text, "allow") == 0;
    return bound->san_other || (text && strcmp(text, "forbid") == 0)
               ? NULL : "needs \"allow\" or \"forbid\"";
}

static const char *read_flag(policy_bound_t *bound, const char *key, const json_t *value,
                             apr_pool_t *p)
{
    int *flag = strcmp(key, "subjectExact") == 0 ? &bound->subject_exact
                                                 : &bound->key_usage_optional;

    (void)p;
    *flag = json_is_true(value);
    return json_is_boolean(value) ? NULL : "needs true or false";
}

static const char *read_key_usage(policy_bound_t *bound, const char *key, const json_t *value,
                                  apr_pool_t *p)
{
    apr_array_header_t *list = read_list(value, p);
    int i, bit;

    (void)key;
    if (!list)
        return not_a_list(p);
    bound->key_usage = 0;
    for (i = 0; i < list->nelts; i++) {
        const char *name = APR_ARRAY_IDX(list, i, const char *);

        for (bit = 0; bit < 9 && strcmp(policy_bound_usages[bit], name) != 0; bit++)
            continue;
        if (bit == 9 && strcmp(name, "contentCommitment") == 0)
            bit = 1;
        if (bit == 9)
            return apr_psprintf(p,
                                "%.64s is unknown (known: digitalSignature, nonRepudiation, "
                                "keyEncipherment, dataEncipherment, keyAgreement, keyCertSign, "
                                "cRLSign, encipherOnly, decipherOnly)",
                                name);
        bound->key_usage |= 1 << bit;
    }
    return NULL;
}

static const char *read_eku(policy_bound_t *bound, const char *key, const json_t *value,
                            apr_pool_t *p)
{
    apr_array_header_t *list = read_list(value, p);
    int i;

    (void)key;
    if (!list)
        return not_a_list(p);
    bound->eku = apr_array_make(p, list->nelts, sizeof(ASN1_OBJECT *));
    for (i = 0; i < list->nelts; i++) {
        const char *name = APR_ARRAY_IDX(list, i, const char *);
        ASN1_OBJECT *purpose = policy_bound_type(name, p);

        if (!purpose)
            return apr_psprintf(
                p, "%.64s is neither a known name (clientAuth) nor a number (1.3.6)", name);
        APR_ARRAY_PUSH(bound->eku, ASN1_OBJECT *) = purpose;
    }
    return NULL;
}

static const char *read_curves(policy_bound_t *bound, const char *key, const json_t *value,
                               apr_pool_t *p)
{
    static const char *const curves[][2] = {
        {"P-256", "prime256v1"},   {"P-384", "secp384r1"}, {"P-521", "secp521r1"},
        {"brainpoolP256r1", NULL}, {"brainpoolP384r1", NULL}, {"brainpoolP512r1", NULL},
        {"Ed25519", "ED25519"},    {"Ed448", "ED448"}};
    static const int known = sizeof(curves) / sizeof(curves[0]);
    apr_array_header_t *list = read_list(value, p);
    int i, j;

    (void)key;
    if (!list)
        return not_a_list(p);
    bound->curves = apr_array_make(p, list->nelts, sizeof(const char *));
    for (i = 0; i < list->nelts; i++) {
        const char *name = APR_ARRAY_IDX(list, i, const char *);

        for (j = 0; j < known && strcmp(curves[j][0], name) != 0; j++)
            continue;
        if (j == known)
            return apr_psprintf(p,
                                "%.64s is unknown (known: P-256, P-384, P-521, brainpoolP256r1, "
                                "brainpoolP384r1, brainpoolP512r1, Ed25519, Ed448)",
                                name);
        APR_ARRAY_PUSH(bound->curves, const char *) = curves[j][1] ? curves[j][1] : curves[j][0];
    }
    return NULL;
}

static const char *read_number(policy_bound_t *bound, const char *key, const json_t *value,
                               apr_pool_t *p)
{
    int uses = strcmp(key, "uses") == 0;
    json_int_t min = uses ? 1 : 512, max = uses ? USES_MAX : KEY_MAX;
    json_int_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < min || number > max)
        return apr_psprintf(p, "needs a whole number from %d to %d", (int)min, (int)max);
    *(uses ? &bound->uses : &bound->min_key) = (int)number;
    return NULL;
}

static const char *read_name(policy_bound_t *bound, const char *key, const json_t *value,
                             apr_pool_t *p)
{
    const char **slot = *key == 't'   ? &bound->template_name
                        : *key == 'd' ? &bound->device
                                      : &bound->user;
    apr_size_t max = *key == 't' ? TEMPLATE_MAX : STORE_TEXT_MAX;

    if (!json_text_is_clean(value, max))
        return apr_psprintf(p, "needs a text of 1 to %d bytes without control characters",
                            (int)max);
    *slot = apr_pstrdup(p, json_string_value(value));
    return NULL;
}

static const char *read_lifetime(policy_bound_t *bound, const char *key, const json_t *value,
                                 apr_pool_t *p)
{
    (void)key;
    if (!json_text_is_clean(value, 32) ||
        settings_duration(json_string_value(value), &bound->lifetime, p) ||
        bound->lifetime < apr_time_from_sec(1) || bound->lifetime > LIFETIME_MAX)
        return "needs a time from 1s to 3660d as text, such as \"30min\" or \"2h\"";
    return NULL;
}

/* Members that only mean something beside another one; error text, NULL on success. */
static const char *check_pairs(const policy_bound_t *bound, const json_t *object)
{
    if (json_object_get(object, "subjectExact") && !bound->types)
        return "subjectExact: needs a subject that is an object of types";
    if (json_object_get(object, "keyUsageOptional") && bound->key_usage < 0)
        return "keyUsageOptional: needs keyUsage";
    if (json_object_get(object, "sanOther") && !bound->san && !bound->subject && !bound->types)
        return "sanOther: needs san or subject";
    return NULL;
}

/* Reads all members; error text, NULL on success. */
static const char *read_members(policy_bound_t *bound, const json_t *object, apr_pool_t *p)
{
    static const struct {
        const char *key;
        read_member read;
    } members[] = {{"subject", read_subject},
                   {"subjectExact", read_flag},
                   {"san", read_san},
                   {"sanOther", read_san_other},
                   {"keyUsage", read_key_usage},
                   {"keyUsageOptional", read_flag},
                   {"eku", read_eku},
                   {"minKey", read_number},
                   {"ecCurves", read_curves},
                   {"template", read_name},
                   {"device", read_name},
                   {"user", read_name},
                   {"lifetime", read_lifetime},
                   {"uses", read_number}};
    static const unsigned known = sizeof(members) / sizeof(members[0]);
    const char *key, *error, *list = "";
    json_t *value;
    unsigned i;

    json_object_foreach((json_t *)object, key, value) {
        for (i = 0; i < known && strcmp(members[i].key, key) != 0; i++)
            continue;
        if (i == known) {
            for (i = 0; i < known; i++)
                list = apr_pstrcat(p, list, i ? ", " : "", members[i].key, NULL);
            return apr_psprintf(p, "%.64s is unknown (known: %s)", key, list);
        }
        error = members[i].read(bound, key, value, p);
        if (error)
            return apr_psprintf(p, "%s: %s", key, error);
    }
    return check_pairs(bound, object);
}

/* The object again, for the store; NULL: longer than the store takes. */
static const char *canonical(const json_t *object, apr_pool_t *p)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    const char *copy =
        text && strlen(text) <= STORE_LONG_TEXT_MAX ? apr_pstrdup(p, text) : NULL;

    free(text);
    return copy;
}

const char *policy_bound_parse(policy_bound_t **pbound, const char *json, apr_size_t len,
                               apr_pool_t *p)
{
    policy_bound_t *bound = apr_pcalloc(p, sizeof(*bound));
    json_error_t where;
    const char *error;
    json_t *object;

    *pbound = NULL;
    if (len > STORE_LONG_TEXT_MAX)
        return apr_psprintf(p, "the JSON has more than %d bytes", STORE_LONG_TEXT_MAX);
    object = json_loadb(json, len, JSON_REJECT_DUPLICATES, &where);
    if (!object)
        return apr_psprintf(p, "not valid JSON at byte %d", where.position);
    bound->template_name = bound->device = bound->user = "";
    bound->key_usage = -1;
    if (!json_is_object(object))
        error = "the JSON is not an object";
    else if (json_object_size(object) == 0)
        error = "the JSON object is empty";
    else
        error = read_members(bound, object, p);
    bound->json = error ? NULL : canonical(object, p);
    json_decref(object);
    ERR_clear_error();
    if (!error && !bound->json)
        error = apr_psprintf(p, "the JSON has more than %d bytes", STORE_LONG_TEXT_MAX);
    if (!error)
        *pbound = bound;
    return error;
}
