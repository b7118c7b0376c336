/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a challenge of Intune's in the store; see policy_intune.h.
 *
 * Intune itself would take a challenge any number of times, so whoever finds a second spelling of
 * one that Intune takes gets a second certificate.  Base64 has blanks and line ends, and a CMS
 * message has parts that are not signed: neither counts here.
 */
#include "policy_intune.h"
#include <apr_strings.h>
#include <limits.h>
#include <openssl/cms.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#define SIGNED_MIN 32 /* bytes of content that are surely one challenge's own */

/* Decodes what of text is base64.  *len is set. */
static unsigned char *decode(const char *text, apr_size_t *len, apr_pool_t *p)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    apr_size_t n = 0, pad;
    unsigned char *bytes;
    char *clean = apr_palloc(p, strlen(text) + 4);
    int count;

    for (; *text && *text != '='; text++) {
        if (strchr(digits, *text))
            clean[n++] = *text;
    }
    n -= n % 4 == 1;
    for (pad = 0; (n + pad) % 4; pad++)
        clean[n + pad] = '=';
    bytes = apr_palloc(p, n + 4);
    count = EVP_DecodeBlock(bytes, (const unsigned char *)clean, (int)(n + pad));
    OPENSSL_cleanse(clean, n);
    *len = count > (int)pad ? (apr_size_t)count - pad : 0;
    return bytes;
}

/* What is signed (or enveloped) in a CMS message; NULL: it is none. */
static const ASN1_OCTET_STRING *content_of(CMS_ContentInfo *cms)
{
    ASN1_OCTET_STRING **content = cms ? CMS_get0_content(cms) : NULL;

    return content && *content && ASN1_STRING_length(*content) >= SIGNED_MIN ? *content : NULL;
}

const char *intune_id(const secret_t *secret, int n, const char *service,
                      const char *challenge, apr_pool_t *p)
{
    const char *label = apr_pstrcat(p, "intune ", service, NULL), *id = NULL;
    const ASN1_OCTET_STRING *content;
    CMS_ContentInfo *cms;
    const unsigned char *at;
    unsigned char mac[32], *bytes;
    crypt_buf_t what = {(const unsigned char *)challenge, strlen(challenge)};
    apr_size_t len;

    if (secret->key[n].len == 0 || what.len > INT_MAX / 2)
        return NULL;
    at = bytes = decode(challenge, &len, p);
    cms = d2i_CMS_ContentInfo(NULL, &at, (long)len);
    content = content_of(cms);
    if (content) {
        what.data = ASN1_STRING_get0_data(content);
        what.len = (apr_size_t)ASN1_STRING_length(content);
    }
    else if (len >= SIGNED_MIN) {
        what.data = bytes;
        what.len = len;
    }
    if (crypt_hmac_sha256(mac, &secret->key[n], label, what.data, what.len) == APR_SUCCESS)
        id = crypt_hex(mac, sizeof(mac), 0, p);
    OPENSSL_cleanse(bytes, len);
    CMS_ContentInfo_free(cms);
    ERR_clear_error();
    return id;
}
