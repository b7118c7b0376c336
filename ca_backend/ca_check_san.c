/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The alternative names of a CA's answer, which is what most relying parties go by: a name that the
 * device never asked for is somebody else's.
 */
#include "ca_check.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <strings.h>

/* The only extension of that kind in a list, *ext NULL: there is none.  0 if there are several. */
static int find_san(const STACK_OF(X509_EXTENSION) *list, X509_EXTENSION **ext)
{
    int index = X509v3_get_ext_by_NID(list, NID_subject_alt_name, -1);

    *ext = index >= 0 ? X509v3_get_ext(list, index) : NULL;
    return index < 0 || X509v3_get_ext_by_NID(list, NID_subject_alt_name, index) < 0;
}

/* Whether two extensions, or none (NULL), say the same byte for byte. */
static int is_same(X509_EXTENSION *a, X509_EXTENSION *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(a), X509_EXTENSION_get_data(b)) == 0;
}

/* Whether one of names (NULL: none) is this one. */
static int has_name(const GENERAL_NAMES *names, GENERAL_NAME *name)
{
    int i;

    for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(names, i), name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Whether a dNSName or rfc822Name is the commonName or emailAddress of the CSR. */
static int is_of_subject(const X509_NAME *subject, const GENERAL_NAME *name)
{
    static const int nids[] = {NID_commonName, NID_pkcs9_emailAddress};
    const ASN1_STRING *value;
    unsigned char *text = NULL;
    int type, len, i, index = -1, is = 0;

    value = GENERAL_NAME_get0_value(name, &type);
    if (type != GEN_DNS && type != GEN_EMAIL) {
        return 0;
    }
    for (i = type == GEN_DNS ? 1 : 2; i > 0 && !is; i--) {
        index = X509_NAME_get_index_by_NID((X509_NAME *)subject, nids[i - 1], -1);
        len = index >= 0 ? ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(
                                                  X509_NAME_get_entry(subject, index))) : -1;
        is = len > 0 && len == ASN1_STRING_length(value) &&
             strncasecmp((const char *)text, (const char *)ASN1_STRING_get0_data(value),
                                 (size_t)len) == 0;
        OPENSSL_free(text);
        text = NULL;
    }
    return is;
}

/* Whether the certificate may have a name; asked: what the CSR asks for. */
static int may_have(int rewrites, const GENERAL_NAMES *asked, GENERAL_NAME *name,
                    const ca_request_t *request)
{
    return has_name(asked, name) || ca_template_is_sid(name, grant_sid(request->grant)) ||
           (rewrites && ca_template_has_name(request->template, name) &&
            is_of_subject(request->csr->subject, name));
}

/* Holds names one by one against those that were asked for; error text or NULL. */
static const char *compare(int rewrites, GENERAL_NAMES *asked, GENERAL_NAMES *names,
                           const ca_request_t *request)
{
    int i;

    for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        if (!may_have(rewrites, asked, sk_GENERAL_NAME_value(names, i), request)) {
            return "it has an alternative name that was not asked for";
        }
    }
    for (i = 0; !rewrites && i < sk_GENERAL_NAME_num(asked); i++) {
        if (!has_name(names, sk_GENERAL_NAME_value(asked, i))) {
            return "it lacks an alternative name that was asked for";
        }
    }
    return NULL;
}

const char *ca_check_san(int capabilities, X509 *cert, const ca_request_t *request)
{
    GENERAL_NAMES *names = NULL, *asked = NULL;
    X509_EXTENSION *have, *want = NULL;
    const char *error = NULL;

    if (!find_san(X509_get0_extensions(cert), &have) ||
        (request->template->san == CA_FROM_CSR && !find_san(request->csr->extensions, &want))) {
        return "there are alternative names twice";
    }
    /* nothing needs to be decoded where it was copied, as our own signer does it */
    if (is_same(have, want)) {
        return NULL;
    }
    names = have != NULL ? X509V3_EXT_d2i(have) : NULL;
    if ((have != NULL && names == NULL) ||
        (want != NULL && ca_template_san_make(&asked, request->csr) != APR_SUCCESS)) {
        error = "its alternative names cannot be read";
        goto leave;
    }
    error = compare((capabilities & CA_CAP_REWRITES_SUBJECT) != 0, asked, names, request);

leave:
    GENERAL_NAMES_free(names);
    GENERAL_NAMES_free(asked);
    ERR_clear_error();
    return error;
}
