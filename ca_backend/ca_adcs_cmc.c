/* SPDX-License-Identifier: Apache-2.0 */
/* A CMC request of an enrollment agent; see ca_adcs_cmc.h. */
#include "ca_adcs_cmc.h"
#include "ca_certs.h"

#include <apr_escape.h>
#include <apr_strings.h>
#include <limits.h>
#include <openssl/asn1t.h>
#include <openssl/cms.h>
#include <string.h>

#define OID_PKI_DATA "1.3.6.1.5.5.7.12.2"           /* RFC 5272 section 3.2.1 */
#define OID_ADD_EXTENSIONS "1.3.6.1.5.5.7.7.8"      /* section 6.5.2 */
#define OID_REG_INFO "1.3.6.1.5.5.7.7.18"           /* section 6.12 */
#define OID_TEMPLATE_NAME "1.3.6.1.4.1.311.20.2"    /* [MS-WCCE] section 2.2.2.7.7.1 */

/* Body part identifiers, as Windows numbers them. */
enum { PART_DATA = 0, PART_REQUEST = 1, PART_EXTENSIONS = 2, PART_REG_INFO = 3 };

typedef struct tagged_attribute_t {
    int32_t id;
    ASN1_OBJECT *type;
    STACK_OF(ASN1_TYPE) *values;
} tagged_attribute_t;

ASN1_SEQUENCE(tagged_attribute_t) = {
    ASN1_EMBED(tagged_attribute_t, id, INT32),
    ASN1_SIMPLE(tagged_attribute_t, type, ASN1_OBJECT),
    ASN1_SET_OF(tagged_attribute_t, values, ASN1_ANY)
} static_ASN1_SEQUENCE_END(tagged_attribute_t)
DEFINE_STACK_OF(tagged_attribute_t)

typedef struct tagged_csr_t {
    int32_t id;
    ASN1_TYPE *csr;
} tagged_csr_t;

ASN1_SEQUENCE(tagged_csr_t) = {
    ASN1_EMBED(tagged_csr_t, id, INT32),
    ASN1_SIMPLE(tagged_csr_t, csr, ASN1_ANY)
} static_ASN1_SEQUENCE_END(tagged_csr_t)

/* TaggedRequest, a CHOICE: we have the first one only. */
typedef struct tagged_request_t {
    int type;
    union {
        tagged_csr_t *tcr;
    } value;
} tagged_request_t;

ASN1_CHOICE(tagged_request_t) = {
    ASN1_IMP(tagged_request_t, value.tcr, tagged_csr_t, 0)
} static_ASN1_CHOICE_END(tagged_request_t)
DEFINE_STACK_OF(tagged_request_t)

typedef struct pki_data_t {
    STACK_OF(tagged_attribute_t) *controls;
    STACK_OF(tagged_request_t) *requests;
    STACK_OF(ASN1_TYPE) *contents, *others;
} pki_data_t;

ASN1_SEQUENCE(pki_data_t) = {
    ASN1_SEQUENCE_OF(pki_data_t, controls, tagged_attribute_t),
    ASN1_SEQUENCE_OF(pki_data_t, requests, tagged_request_t),
    ASN1_SEQUENCE_OF(pki_data_t, contents, ASN1_ANY),
    ASN1_SEQUENCE_OF(pki_data_t, others, ASN1_ANY)
} static_ASN1_SEQUENCE_END(pki_data_t)

typedef struct add_extensions_t {
    int32_t data;
    STACK_OF(ASN1_INTEGER) *requests;
    STACK_OF(X509_EXTENSION) *extensions;
} add_extensions_t;

ASN1_SEQUENCE(add_extensions_t) = {
    ASN1_EMBED(add_extensions_t, data, INT32),
    ASN1_SEQUENCE_OF(add_extensions_t, requests, ASN1_INTEGER),
    ASN1_SEQUENCE_OF(add_extensions_t, extensions, X509_EXTENSION)
} static_ASN1_SEQUENCE_END(add_extensions_t)

/* An ASN1_TYPE of these bytes: a whole element for V_ASN1_SEQUENCE.  NULL if that fails. */
static ASN1_TYPE *make_any(int type, const void *data, apr_size_t len)
{
    ASN1_TYPE *any = ASN1_TYPE_new();
    ASN1_STRING *string = ASN1_STRING_type_new(type);

    if (any == NULL || string == NULL || len > INT_MAX ||
        !ASN1_STRING_set(string, data, (int)len)) {
        ASN1_TYPE_free(any);
        ASN1_STRING_free(string);
        return NULL;
    }
    ASN1_TYPE_set(any, type, string);
    return any;
}

/* The extension that names the template; NULL if that fails. */
static X509_EXTENSION *make_template_extension(const char *name)
{
    ASN1_STRING *text = NULL;
    ASN1_OBJECT *oid = OBJ_txt2obj(OID_TEMPLATE_NAME, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    unsigned char *der = NULL;
    int len = -1;

    if (ASN1_mbstring_copy(&text, (const unsigned char *)name, -1, MBSTRING_UTF8,
                           B_ASN1_BMPSTRING) > 0) {
        len = i2d_ASN1_BMPSTRING(text, &der);
    }
    if (len > 0 && oid != NULL && value != NULL && ASN1_OCTET_STRING_set(value, der, len)) {
        extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
    }
    OPENSSL_free(der);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    ASN1_STRING_free(text);
    return extension;
}

/* AddExtensions with the template's name, as one element; NULL if that fails. */
static ASN1_TYPE *make_add_extensions(const char *name)
{
    add_extensions_t *add = (add_extensions_t *)ASN1_item_new(ASN1_ITEM_rptr(add_extensions_t));
    X509_EXTENSION *extension = make_template_extension(name);
    ASN1_INTEGER *request = ASN1_INTEGER_new();
    ASN1_TYPE *any = NULL;
    unsigned char *der = NULL;
    int len;

    if (add == NULL || extension == NULL || request == NULL ||
        !ASN1_INTEGER_set(request, PART_REQUEST)) {
        goto leave;
    }
    add->data = PART_DATA;
    if (!sk_ASN1_INTEGER_push(add->requests, request)) {
        goto leave;
    }
    request = NULL;
    if (!sk_X509_EXTENSION_push(add->extensions, extension)) {
        goto leave;
    }
    extension = NULL;
    len = ASN1_item_i2d((ASN1_VALUE *)add, &der, ASN1_ITEM_rptr(add_extensions_t));
    if (len > 0) {
        any = make_any(V_ASN1_SEQUENCE, der, (apr_size_t)len);
    }

leave:
    OPENSSL_free(der);
    ASN1_INTEGER_free(request);
    X509_EXTENSION_free(extension);
    ASN1_item_free((ASN1_VALUE *)add, ASN1_ITEM_rptr(add_extensions_t));
    return any;
}

/* Adds a control with one value, which is taken over (NULL is a failure); 0 if that fails. */
static int add_control(pki_data_t *data, int id, const char *oid, ASN1_TYPE *value)
{
    tagged_attribute_t *control =
        (tagged_attribute_t *)ASN1_item_new(ASN1_ITEM_rptr(tagged_attribute_t));

    if (control == NULL || value == NULL || !sk_ASN1_TYPE_push(control->values, value)) {
        ASN1_TYPE_free(value);
        ASN1_item_free((ASN1_VALUE *)control, ASN1_ITEM_rptr(tagged_attribute_t));
        return 0;
    }
    control->id = id;
    ASN1_OBJECT_free(control->type);
    control->type = OBJ_txt2obj(oid, 1);
    if (control->type == NULL || !sk_tagged_attribute_t_push(data->controls, control)) {
        ASN1_item_free((ASN1_VALUE *)control, ASN1_ITEM_rptr(tagged_attribute_t));
        return 0;
    }
    return 1;
}

/* Adds the CSR; 0 if that fails. */
static int add_request(pki_data_t *data, const crypt_buf_t *csr)
{
    tagged_request_t *request =
        (tagged_request_t *)ASN1_item_new(ASN1_ITEM_rptr(tagged_request_t));
    tagged_csr_t *tcr = (tagged_csr_t *)ASN1_item_new(ASN1_ITEM_rptr(tagged_csr_t));
    ASN1_TYPE *any = make_any(V_ASN1_SEQUENCE, csr->data, csr->len);
    int good = request != NULL && tcr != NULL && any != NULL;

    if (good) {
        ASN1_TYPE_free(tcr->csr);
        tcr->csr = any;
        tcr->id = PART_REQUEST;
        any = NULL;
        request->type = 0;
        request->value.tcr = tcr;
        tcr = NULL;
        good = sk_tagged_request_t_push(data->requests, request) > 0;
        request = good ? NULL : request;
    }
    ASN1_TYPE_free(any);
    ASN1_item_free((ASN1_VALUE *)tcr, ASN1_ITEM_rptr(tagged_csr_t));
    ASN1_item_free((ASN1_VALUE *)request, ASN1_ITEM_rptr(tagged_request_t));
    return good;
}

/* Whether a name can be a BMPString: not empty, UTF-8 of at most three bytes each. */
static int is_template_name(const char *name)
{
    const char *at;

    for (at = name; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0xf0) {
            return 0;
        }
    }
    return at > name && at - name <= 255;
}

apr_status_t adcs_pki_data_make(crypt_buf_t *der, const crypt_buf_t *csr,
                                const char *template_name, apr_pool_t *p)
{
    const char *info = apr_pstrcat(p, "CertificateTemplate=", apr_pescape_urlencoded(
                                       p, template_name), "&", NULL);
    pki_data_t *data = (pki_data_t *)ASN1_item_new(ASN1_ITEM_rptr(pki_data_t));
    apr_status_t rv = APR_EGENERAL;
    unsigned char *bytes = NULL;
    int len;

    der->data = NULL;
    der->len = 0;
    if (!is_template_name(template_name)) {
        rv = APR_EINVAL;
        goto leave;
    }
    if (data == NULL ||
        !add_control(data, PART_EXTENSIONS, OID_ADD_EXTENSIONS,
                     make_add_extensions(template_name)) ||
        !add_control(data, PART_REG_INFO, OID_REG_INFO,
                     make_any(V_ASN1_OCTET_STRING, info, strlen(info))) ||
        !add_request(data, csr)) {
        goto leave;
    }
    len = ASN1_item_i2d((ASN1_VALUE *)data, &bytes, ASN1_ITEM_rptr(pki_data_t));
    if (len > 0) {
        der->data = ca_wiped(apr_pmemdup(p, bytes, (apr_size_t)len), (apr_size_t)len, p);
        der->len = (apr_size_t)len;
        rv = APR_SUCCESS;
    }

leave:
    OPENSSL_clear_free(bytes, der->len);
    ASN1_item_free((ASN1_VALUE *)data, ASN1_ITEM_rptr(pki_data_t));
    return rv;
}

/* Whether the content was signed into cms; the agent's certificate goes with it. */
static int sign(CMS_ContentInfo *cms, const crypt_buf_t *content, X509 *agent, EVP_PKEY *key)
{
    ASN1_OBJECT *type = OBJ_txt2obj(OID_PKI_DATA, 1);
    BIO *bio = BIO_new_mem_buf(content->data, (int)content->len);
    int good = cms != NULL && type != NULL && bio != NULL && CMS_set1_eContentType(cms, type) &&
               CMS_add1_signer(cms, agent, key, EVP_sha256(), CMS_NOSMIMECAP) != NULL &&
               CMS_final(cms, bio, NULL, CMS_BINARY);

    BIO_free(bio);
    ASN1_OBJECT_free(type);
    return good;
}

apr_status_t adcs_cmc_make(crypt_buf_t *der, const crypt_buf_t *csr, const char *template_name,
                           X509 *agent, EVP_PKEY *key, apr_pool_t *p)
{
    crypt_buf_t content;
    apr_status_t rv = adcs_pki_data_make(&content, csr, template_name, p);
    CMS_ContentInfo *cms;
    unsigned char *bytes = NULL;
    int len = 0;

    der->data = NULL;
    der->len = 0;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_BINARY);
    if (sign(cms, &content, agent, key)) {
        len = i2d_CMS_ContentInfo(cms, &bytes);
    }
    if (len > 0) {
        der->data = ca_wiped(apr_pmemdup(p, bytes, (apr_size_t)len), (apr_size_t)len, p);
        der->len = (apr_size_t)len;
    }
    OPENSSL_clear_free(bytes, der->len);
    CMS_ContentInfo_free(cms);
    return len > 0 ? APR_SUCCESS : APR_EGENERAL;
}
