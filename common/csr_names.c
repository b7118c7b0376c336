/* SPDX-License-Identifier: Apache-2.0 */
/* A CSR's alternative names in words; see csr_names.h. */
#include "csr_names.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define OID_MAX 80

/* "KIND:" and a string of OpenSSL's; a NUL is no end. */
static const char *string_text(const char *kind, const ASN1_STRING *string, apr_pool_t *p)
{
    int len = ASN1_STRING_length(string), i;
    char *text = apr_pstrmemdup(p, (const char *)ASN1_STRING_get0_data(string), (apr_size_t)len);

    for (i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
    }
    return apr_pstrcat(p, kind, text, NULL);
}

/* An address as people write it, or its bytes. */
static const char *address_text(const ASN1_STRING *address, apr_pool_t *p)
{
    const unsigned char *bytes = ASN1_STRING_get0_data(address);
    int len = ASN1_STRING_length(address);
    char text[INET6_ADDRSTRLEN];

    if (len != 4 && len != 16)
        return apr_pstrcat(p, "IP:", crypt_hex(bytes, (apr_size_t)len, 0, p), NULL);
    inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, sizeof(text));
    return apr_pstrcat(p, "IP:", text, NULL);
}

/* "KIND:" and an OID. */
static const char *oid_text(const char *kind, const ASN1_OBJECT *object, apr_pool_t *p)
{
    char oid[OID_MAX] = "";

    OBJ_obj2txt(oid, sizeof(oid), object, 1);
    return apr_pstrcat(p, kind, oid, NULL);
}

/* One name. */
static const char *name_text(const GENERAL_NAME *name, apr_pool_t *p)
{
    const OTHERNAME *other;

    switch (name->type) {
    case GEN_DNS: return string_text("DNS:", name->d.dNSName, p);
    case GEN_EMAIL: return string_text("email:", name->d.rfc822Name, p);
    case GEN_URI: return string_text("URI:", name->d.uniformResourceIdentifier, p);
    case GEN_IPADD: return address_text(name->d.iPAddress, p);
    case GEN_DIRNAME:
        return apr_pstrcat(p, "dirName:", crypt_name_text(name->d.directoryName, p), NULL);
    case GEN_RID: return oid_text("RID:", name->d.registeredID, p);
    case GEN_OTHERNAME:
        other = name->d.otherName;
        if (OBJ_obj2nid(other->type_id) == NID_ms_upn && other->value &&
            other->value->type == V_ASN1_UTF8STRING)
            return string_text("UPN:", other->value->value.utf8string, p);
        return oid_text("otherName:", other->type_id, p);
    default: return "other";
    }
}

apr_array_header_t *csr_names(const csr_t *csr, apr_pool_t *p)
{
    apr_array_header_t *texts = apr_array_make(p, 4, sizeof(const char *));
    const unsigned char *data = NULL, *end = NULL;
    const ASN1_OCTET_STRING *value;
    GENERAL_NAMES *names = NULL;
    int i = csr->extensions ? X509v3_get_ext_by_NID(csr->extensions, NID_subject_alt_name, -1) : -1;

    if (i < 0)
        return texts;
    ERR_clear_error();
    value = X509_EXTENSION_get_data(X509v3_get_ext(csr->extensions, i));
    data = ASN1_STRING_get0_data(value);
    end = data + ASN1_STRING_length(value);
    names = d2i_GENERAL_NAMES(NULL, &data, (long)(end - data));
    if (!names || data != end)
        texts = NULL;
    for (i = 0; texts && i < sk_GENERAL_NAME_num(names); i++)
        APR_ARRAY_PUSH(texts, const char *) = name_text(sk_GENERAL_NAME_value(names, i), p);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return texts;
}
