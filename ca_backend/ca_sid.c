/* SPDX-License-Identifier: Apache-2.0 */
/* The security identifier extension; see ca_sid.h. */
#include "ca_sid.h"

#include <openssl/err.h>
#include <string.h>

/* OpenSSL 3.0 does not know them yet */
#define OID_EXTENSION "1.3.6.1.4.1.311.25.2"
#define OID_SID "1.3.6.1.4.1.311.25.2.1"

/* The extension's value: GeneralNames of one otherName, an OCTET STRING of the text.  NULL if that
 * fails. */
static GENERAL_NAMES *make_names(const char *sid)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OBJECT *type = OBJ_txt2obj(OID_SID, 1);
    ASN1_OCTET_STRING *text = ASN1_OCTET_STRING_new();
    ASN1_TYPE *value = ASN1_TYPE_new();

    if (names == NULL || name == NULL || type == NULL || text == NULL || value == NULL ||
        !ASN1_OCTET_STRING_set(text, (const unsigned char *)sid, (int)strlen(sid))) {
        goto leave;
    }
    ASN1_TYPE_set(value, V_ASN1_OCTET_STRING, text);
    text = NULL;
    if (!GENERAL_NAME_set0_othername(name, type, value)) {
        goto leave;
    }
    type = NULL;
    value = NULL;
    if (!sk_GENERAL_NAME_push(names, name)) {
        goto leave;
    }
    return names;

leave:
    ASN1_TYPE_free(value);
    ASN1_OCTET_STRING_free(text);
    ASN1_OBJECT_free(type);
    GENERAL_NAME_free(name);
    GENERAL_NAMES_free(names);
    return NULL;
}

X509_EXTENSION *ca_sid_make(const char *sid)
{
    GENERAL_NAMES *names = make_names(sid);
    ASN1_OBJECT *oid = OBJ_txt2obj(OID_EXTENSION, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *ext = NULL;
    unsigned char *der = NULL;
    int len = names != NULL ? i2d_GENERAL_NAMES(names, &der) : -1;

    if (len > 0 && oid != NULL && value != NULL && ASN1_OCTET_STRING_set(value, der, len)) {
        ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
    }
    OPENSSL_free(der);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    GENERAL_NAMES_free(names);
    return ext;
}

/* Whether ext is such an extension; needs no memory, so that none is overlooked. */
static int is_sid_extension(X509_EXTENSION *ext)
{
    static const unsigned char oid[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x19, 0x02};
    const ASN1_OBJECT *type = X509_EXTENSION_get_object(ext);

    return OBJ_length(type) == sizeof(oid) && memcmp(OBJ_get0_data(type), oid, sizeof(oid)) == 0;
}

/* Index in the list of the first one behind index "after"; -1: there is none. */
static int find(const STACK_OF(X509_EXTENSION) *list, int after)
{
    int i;

    for (i = after + 1; i < sk_X509_EXTENSION_num(list); i++) {
        if (is_sid_extension(sk_X509_EXTENSION_value(list, i))) {
            return i;
        }
    }
    return -1;
}

const X509_EXTENSION *ca_sid_find(const STACK_OF(X509_EXTENSION) *list)
{
    int index = find(list, -1);

    return index >= 0 ? X509v3_get_ext(list, index) : NULL;
}

int ca_sid_is(const STACK_OF(X509_EXTENSION) *list, const char *sid)
{
    int index = find(list, -1), is = 0;
    X509_EXTENSION *want = index >= 0 && find(list, index) < 0 ? ca_sid_make(sid) : NULL;

    if (want != NULL) {
        is = ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(want),
                                   X509_EXTENSION_get_data(X509v3_get_ext(list, index))) == 0;
    }
    X509_EXTENSION_free(want);
    return is;
}
