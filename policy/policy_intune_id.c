/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a challenge of Intune's in the store; see policy_intune.h.
 *
 * Intune itself would take a challenge any number of times, so whoever finds a second spelling of
 * one that Intune takes gets a second certificate.  Base64 has blanks and line ends, and a CMS
 * message has parts that are not signed: neither counts here.
 */
#include "policy_intune.h"
#include "../common/base64.h"
#include <apr_strings.h>
#include <limits.h>
#include <openssl/cms.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#define SIGNED_MIN 32 /* bytes of content that are surely one challenge's own */

/* Decodes what of text is base64; len 0: nothing is. */
static crypt_buf_t decode(const char *text, apr_pool_t *p)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *clean = apr_palloc(p, strlen(text) + 1);
    apr_size_t n = 0;
    crypt_buf_t bytes;

    for (; *text && *text != '='; text++) {
        if (strchr(digits, *text))
            clean[n++] = *text;
    }
    n -= n % 4 == 1;
    base64_decode(&bytes, clean, n, BASE64_BARE | BASE64_SECRET, p);
    OPENSSL_cleanse(clean, n);
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
    unsigned char mac[32];
    crypt_buf_t what = {(const unsigned char *)challenge, strlen(challenge)}, bytes;

    if (secret->key[n].len == 0 || what.len > INT_MAX / 2)
        return NULL;
    bytes = decode(challenge, p);
    at = bytes.data;
    cms = bytes.len > 0 ? d2i_CMS_ContentInfo(NULL, &at, (long)bytes.len) : NULL;
    content = content_of(cms);
    if (content) {
        what.data = ASN1_STRING_get0_data(content);
        what.len = (apr_size_t)ASN1_STRING_length(content);
    }
    else if (bytes.len >= SIGNED_MIN) {
        what = bytes;
    }
    if (crypt_hmac_sha256(mac, &secret->key[n], label, what.data, what.len) == APR_SUCCESS)
        id = crypt_hex(mac, sizeof(mac), 0, p);
    CMS_ContentInfo_free(cms);
    ERR_clear_error();
    return id;
}
