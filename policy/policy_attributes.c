/* SPDX-License-Identifier: Apache-2.0 */
/* What policy may add to a certificate, in JSON; see policy_attributes.h. */
#include "policy_attributes.h"
#include "../common/json_text.h"
#include "../common/http_client.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 8192 /* of a whole object */
#define TEMPLATE_MAX 64
#define SUBJECT_MAX 1024
#define SID_PREFIX "S-1-5-21-"
#define SID_NUMBERS 4 /* of the domain, and the account's */
#define SID_MAX (sizeof(SID_PREFIX) + SID_NUMBERS * 11)
#define OID_SID_EXTENSION "1.3.6.1.4.1.311.25.2"
#define NAME_SHOWN 40
#define PACK_MARK 0x01 /* no CSR begins so: it is a SEQUENCE, 0x30 */
#define PACK_HEAD 5    /* the mark, and the JSON's length in four bytes */
#define PACK_RENEWAL_MARK 0x02 /* a certificate in use stands between JSON and CSR */
#define PACK_RENEWAL_HEAD 9    /* its length is behind the JSON's */

/* What may be added by configuration. */
static const struct {
    const char *name;
    unsigned bit;
} addable[] = {{"template", POLICY_ADDS_TEMPLATE},
               {"subject", POLICY_ADDS_SUBJECT},
               {"sid", POLICY_ADDS_SID}};

#define ADDABLE (sizeof(addable) / sizeof(addable[0]))

const char *policy_attributes_setting(unsigned *allowed, const settings_t *settings, apr_pool_t *p)
{
    const char *list = settings_get(settings, "attributes", NULL);
    apr_size_t len, i;

    *allowed = 0;
    while (list) {
        len = strcspn(list, ",");
        for (i = 0; i < ADDABLE; i++) {
            if (strlen(addable[i].name) == len && strncmp(list, addable[i].name, len) == 0)
                break;
        }
        if (i == ADDABLE || (*allowed & addable[i].bit))
            return apr_psprintf(p, "attributes: '%.64s' is not a list of template, subject and "
                                   "sid, each once",
                                settings_get(settings, "attributes", ""));
        *allowed |= addable[i].bit;
        list = list[len] ? list + len + 1 : NULL;
    }
    return NULL;
}

/* Whether text is a decimal number of 32 bits as it is written in one way only; moves behind it. */
static int take_number(const char **text)
{
    const char *begin = *text;
    apr_uint64_t number = 0;

    while (apr_isdigit(**text) && *text - begin < 10)
        number = number * 10 + (apr_uint64_t)(*(*text)++ - '0');
    return *text > begin && (*begin != '0' || *text - begin == 1) && number <= 0xffffffffu;
}

/* Whether text is the security identifier of an account of a domain. */
static int is_sid(const char *text)
{
    int i;

    if (strncmp(text, SID_PREFIX, strlen(SID_PREFIX)) != 0)
        return 0;
    text += strlen(SID_PREFIX);
    for (i = 0; i < SID_NUMBERS; i++) {
        if (!take_number(&text) || *text != (i + 1 < SID_NUMBERS ? '-' : '\0'))
            return 0;
        text++;
    }
    return 1;
}

/* Whether a value holds no control character, also none that was escaped in the text. */
static int is_clean(const ASN1_STRING *value)
{
    const unsigned char *data = ASN1_STRING_get0_data(value);
    int i, len = ASN1_STRING_length(value);

    for (i = 0; i < len && data[i] >= 0x20 && data[i] != 0x7f; i++)
        continue;
    return len > 0 && i == len;
}

const char *policy_attributes_setting_sid(int *adds_sid, const settings_t *settings, apr_pool_t *p)
{
    unsigned allowed = 0;
    const char *error = policy_attributes_setting(&allowed, settings, p);

    if (!error && (allowed & ~POLICY_ADDS_SID))
        error = "attributes: a challenge adds sid alone";
    *adds_sid = allowed != 0;
    return error;
}

/*
 * The text of the security identifier extension: SEQUENCE { [0] { OID 1.3.6.1.4.1.311.25.2.1,
 * [0] { OCTET STRING } } }, each length in one byte.  NULL: it is not written so.
 */
static const char *extension_sid(const ASN1_OCTET_STRING *value, apr_pool_t *p)
{
    static const unsigned char head[] = {0x30, 0, 0xa0, 0,    0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04,
                                         0x01, 0x82, 0x37, 0x19, 0x02, 0x01, 0xa0, 0,  0x04, 0};
    const unsigned char *data = ASN1_STRING_get0_data(value);
    int i, len = ASN1_STRING_length(value), rest = len - (int)sizeof(head);
    const char *text;

    if (rest < 1 || len > 0x7f)
        return NULL;
    for (i = 0; i < (int)sizeof(head); i++) {
        /* a length counts what follows it */
        if (data[i] != (head[i] ? head[i] : (unsigned char)(len - i - 1)))
            return NULL;
    }
    text = apr_pstrmemdup(p, (const char *)data + sizeof(head), (apr_size_t)rest);
    return (int)strlen(text) == rest && is_sid(text) ? text : NULL;
}

/* The security identifier of a certificate; NULL: none, or not exactly one. */
static const char *certificate_sid(const X509 *cert, apr_pool_t *p)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(OID_SID_EXTENSION, 1);
    int at = oid ? X509_get_ext_by_OBJ(cert, oid, -1) : -1;
    const char *sid = NULL;

    if (at >= 0 && X509_get_ext_by_OBJ(cert, oid, at) < 0)
        sid = extension_sid(X509_EXTENSION_get_data(X509_get_ext(cert, at)), p);
    ASN1_OBJECT_free(oid);
    return sid;
}

/* The only security identifier that a challenge is bound to; NULL: none, or several. */
static const char *bound_sid(const policy_bound_t *bound, apr_pool_t *p)
{
    const char *sid = NULL;
    int i, count = 0;

    for (i = 0; bound->san && i < bound->san->nelts; i++) {
        const policy_bound_san_t *san = &APR_ARRAY_IDX(bound->san, i, policy_bound_san_t);

        if (san->kind == POLICY_BOUND_SID) {
            sid = apr_pstrmemdup(p, (const char *)san->data, san->len);
            count++;
        }
    }
    return count == 1 && is_sid(sid) ? sid : NULL;
}

void policy_attributes_sid(policy_attributes_t *attributes, const policy_bound_t *bound,
                           const policy_request_t *request, apr_pool_t *p)
{
    attributes->sid = bound ? bound_sid(bound, p) : NULL;
    if (!attributes->sid && request->signer && !request->signer_foreign)
        attributes->sid = certificate_sid(request->signer, p);
}

/*
 * DER of the name with the string types and lengths that its attributes have in certificates: what
 * policy_bound_name() makes is for comparing.  0: a value does not fit.
 */
static int encode_name(crypt_buf_t *der, const X509_NAME *from, apr_pool_t *p)
{
    X509_NAME *name = X509_NAME_new();
    unsigned char *data = NULL;
    int i, len = 0, last = -1, ok = name != NULL;

    for (i = 0; ok && i < X509_NAME_entry_count(from); i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(from, i);
        const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
        int set = X509_NAME_ENTRY_set(entry);

        ok = is_clean(value) &&
             X509_NAME_add_entry_by_OBJ(name, X509_NAME_ENTRY_get_object(entry), MBSTRING_UTF8,
                                        ASN1_STRING_get0_data(value), ASN1_STRING_length(value),
                                        -1, set == last ? -1 : 0);
        last = set;
    }
    if (ok)
        len = i2d_X509_NAME(name, &data);
    if (len > 0) {
        der->data = apr_pmemdup(p, data, (apr_size_t)len);
        der->len = (apr_size_t)len;
    }
    OPENSSL_free(data);
    X509_NAME_free(name);
    ERR_clear_error();
    return len > 0;
}

/* Reads one member into attributes; error text without the member's name, NULL on success. */
typedef const char *(*read_member)(policy_attributes_t *attributes, const json_t *value,
                                   apr_pool_t *p);

static const char *read_template(policy_attributes_t *attributes, const json_t *value,
                                 apr_pool_t *p)
{
    const char *c;

    if (!json_text_is_clean(value, TEMPLATE_MAX))
        return "is not a string of 1 to 64 printable characters";
    for (c = json_string_value(value); *c; c++) {
        if (*c > '~' || *c < ' ')
            return "is not printable ASCII";
    }
    attributes->template_name = apr_pstrdup(p, json_string_value(value));
    return NULL;
}

static const char *read_subject(policy_attributes_t *attributes, const json_t *value,
                                apr_pool_t *p)
{
    X509_NAME *name = NULL;

    if (!json_text_is_clean(value, SUBJECT_MAX))
        return "is not a string of 1 to 1024 bytes without control characters";
    if (policy_bound_name(&name, json_string_value(value), p) != NULL)
        return "is not a name as RFC 4514 writes it";
    if (!encode_name(&attributes->subject, name, p))
        return "holds a value that cannot stand in a certificate";
    attributes->subject_text = apr_pstrdup(p, json_string_value(value));
    return NULL;
}

static const char *read_sid(policy_attributes_t *attributes, const json_t *value, apr_pool_t *p)
{
    if (!json_text_is_clean(value, SID_MAX) || !is_sid(json_string_value(value)))
        return "is not S-1-5-21- and four decimal numbers of 32 bits";
    attributes->sid = apr_pstrdup(p, json_string_value(value));
    return NULL;
}

#define NOT_A_TEXT "is not a string of 1 to 255 bytes without control characters"

static const char *read_device(policy_attributes_t *attributes, const json_t *value, apr_pool_t *p)
{
    if (!json_text_is_clean(value, STORE_TEXT_MAX))
        return NOT_A_TEXT;
    attributes->device = apr_pstrdup(p, json_string_value(value));
    return NULL;
}

static const char *read_user(policy_attributes_t *attributes, const json_t *value, apr_pool_t *p)
{
    if (!json_text_is_clean(value, STORE_TEXT_MAX))
        return NOT_A_TEXT;
    attributes->user = apr_pstrdup(p, json_string_value(value));
    return NULL;
}

/* The members, and what has to be allowed for each. */
static const struct {
    const char *name;
    unsigned needs;
    read_member read;
} members[] = {{"template", POLICY_ADDS_TEMPLATE, read_template},
               {"subject", POLICY_ADDS_SUBJECT, read_subject},
               {"sid", POLICY_ADDS_SID, read_sid},
               {"device", 0, read_device},
               {"user", 0, read_user}};

#define MEMBERS (sizeof(members) / sizeof(members[0]))

/* Reads one member; error text in p, NULL on success. */
static const char *read_one(policy_attributes_t *attributes, const char *name, const json_t *value,
                            unsigned allowed, apr_pool_t *p)
{
    const char *error;
    apr_size_t i;

    for (i = 0; i < MEMBERS && strcmp(name, members[i].name) != 0; i++)
        continue;
    if (i == MEMBERS)
        return apr_psprintf(p, "attribute '%s' is not known", http_printable(name, NAME_SHOWN, p));
    if ((members[i].needs & allowed) != members[i].needs)
        return apr_psprintf(p, "attribute '%s' is not allowed by the configuration (attributes=)",
                            name);
    error = members[i].read(attributes, value, p);
    return error ? apr_psprintf(p, "attribute '%s' %s", name, error) : NULL;
}

const char *policy_attributes_read(policy_attributes_t *attributes, const struct json_t *object,
                                   unsigned allowed, apr_pool_t *p)
{
    const char *name, *error = NULL;
    json_t *value;

    memset(attributes, 0, sizeof(*attributes));
    if (object && !json_is_object(object))
        return "the attributes are not a JSON object";
    json_object_foreach((json_t *)object, name, value) {
        error = read_one(attributes, name, value, allowed, p);
        if (error)
            break;
    }
    if (error)
        memset(attributes, 0, sizeof(*attributes));
    return error;
}

const char *policy_attributes_parse(policy_attributes_t *attributes, const void *text,
                                    apr_size_t len, unsigned allowed, apr_pool_t *p)
{
    const char *error;
    json_error_t why;
    json_t *object;

    memset(attributes, 0, sizeof(*attributes));
    if (len > TEXT_MAX)
        return apr_psprintf(p, "the attributes are longer than %d bytes", TEXT_MAX);
    object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!object)
        return "the attributes are not JSON";
    error = policy_attributes_read(attributes, object, allowed, p);
    json_decref(object);
    return error;
}

/* Adds a member, unless it is not there. */
static void add(json_t *object, const char *name, const char *text)
{
    if (text)
        json_object_set_new(object, name, json_string(text));
}

const char *policy_attributes_write(const policy_attributes_t *attributes, apr_pool_t *p)
{
    json_t *object;
    char *text;
    const char *copy = NULL;

    if (!attributes->subject.data != !attributes->subject_text)
        return NULL;
    object = json_object();
    add(object, "template", attributes->template_name);
    add(object, "subject", attributes->subject_text);
    add(object, "sid", attributes->sid);
    add(object, "device", attributes->device);
    add(object, "user", attributes->user);
    text = json_dumps(object, JSON_COMPACT);
    if (text)
        copy = apr_pstrdup(p, text);
    free(text);
    json_decref(object);
    return copy;
}

int policy_attributes_empty(const policy_attributes_t *attributes)
{
    return !attributes->template_name && !attributes->subject.data && !attributes->sid &&
           !attributes->device && !attributes->user;
}

/* Whether both are there and equal, or neither is. */
static int same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

int policy_attributes_same(const policy_attributes_t *a, const policy_attributes_t *b)
{
    return same_text(a->template_name, b->template_name) && same_text(a->sid, b->sid) &&
           !a->subject.data == !b->subject.data && a->subject.len == b->subject.len &&
           (!a->subject.data || memcmp(a->subject.data, b->subject.data, a->subject.len) == 0);
}

/* Pool cleanup: overwrites a packed request. */
static apr_status_t wipe(void *baton)
{
    crypt_buf_t *packed = baton;

    OPENSSL_cleanse((void *)packed->data, packed->len);
    return APR_SUCCESS;
}

/* Appends len bytes to a text in the making. */
static unsigned char *append(unsigned char *to, const void *data, apr_size_t len)
{
    if (len)
        memcpy(to, data, len);
    return to + len;
}

/* Writes a length as four bytes. */
static void put_length(unsigned char *to, apr_size_t len)
{
    to[0] = (unsigned char)(len >> 24);
    to[1] = (unsigned char)(len >> 16);
    to[2] = (unsigned char)(len >> 8);
    to[3] = (unsigned char)len;
}

/* Reads it. */
static apr_size_t get_length(const unsigned char *from)
{
    return (apr_size_t)from[0] << 24 | (apr_size_t)from[1] << 16 | (apr_size_t)from[2] << 8 |
           from[3];
}

apr_status_t policy_attributes_pack(crypt_buf_t *plain, const crypt_buf_t *csr_der,
                                    const policy_attributes_t *attributes, const X509 *signer,
                                    apr_pool_t *p)
{
    unsigned char *der = NULL, *data;
    const char *text;
    crypt_buf_t *kept;
    apr_size_t len, head = signer ? PACK_RENEWAL_HEAD : PACK_HEAD;
    int signer_len = 0;

    *plain = *csr_der;
    if (policy_attributes_empty(attributes) && !signer)
        return APR_SUCCESS;
    text = policy_attributes_write(attributes, p);
    len = text ? strlen(text) : 0;
    if (signer)
        signer_len = i2d_X509(signer, &der);
    if (!len || len > TEXT_MAX || signer_len < 0) {
        ERR_clear_error();
        OPENSSL_free(der);
        return APR_EGENERAL;
    }
    plain->len = head + len + (apr_size_t)signer_len + csr_der->len;
    plain->data = data = apr_palloc(p, plain->len);
    data[0] = signer ? PACK_RENEWAL_MARK : PACK_MARK;
    put_length(data + 1, len);
    if (signer)
        put_length(data + PACK_HEAD, (apr_size_t)signer_len);
    data = append(data + head, text, len);
    data = append(data, der, (apr_size_t)signer_len);
    append(data, csr_der->data, csr_der->len);
    OPENSSL_free(der);
    kept = apr_pmemdup(p, plain, sizeof(*plain));
    apr_pool_cleanup_register(p, kept, wipe, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

apr_status_t policy_attributes_unpack(crypt_buf_t *csr_der, policy_attributes_t *attributes,
                                      crypt_buf_t *signer_der, const crypt_buf_t *plain,
                                      apr_pool_t *p)
{
    const unsigned char *data = plain->data;
    int renewal = plain->len > 0 && data[0] == PACK_RENEWAL_MARK;
    apr_size_t len, signer_len = 0, left, head = renewal ? PACK_RENEWAL_HEAD : PACK_HEAD;

    memset(attributes, 0, sizeof(*attributes));
    memset(signer_der, 0, sizeof(*signer_der));
    *csr_der = *plain;
    if (plain->len == 0 || (data[0] != PACK_MARK && !renewal))
        return APR_SUCCESS;
    csr_der->data = NULL;
    csr_der->len = 0;
    if (plain->len <= head)
        return APR_EINVAL;
    left = plain->len - head;
    len = get_length(data + 1);
    if (renewal)
        signer_len = get_length(data + PACK_HEAD);
    if (len >= left || signer_len >= left - len ||
        policy_attributes_parse(attributes, data + head, len, POLICY_ADDS_ALL, p) != NULL)
        return APR_EINVAL;
    signer_der->data = signer_len ? data + head + len : NULL;
    signer_der->len = signer_len;
    csr_der->data = data + head + len + signer_len;
    csr_der->len = left - len - signer_len;
    return APR_SUCCESS;
}
