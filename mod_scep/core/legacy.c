/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's legacy provider, kept away from httpd (see legacy.h). */
#include "legacy.h"
#include "scep.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/provider.h>

/* What the pool owns besides what others see. */
typedef struct owned_t {
    scep_legacy_t legacy;
    OSSL_PROVIDER *base;
    OSSL_PROVIDER *provider;    /* "legacy" */
} owned_t;

static apr_status_t owned_cleanup(void *data)
{
    owned_t *owned = data;

    EVP_CIPHER_free(owned->legacy.des);
    EVP_MD_free(owned->legacy.md5);
    if (owned->provider)
        OSSL_PROVIDER_unload(owned->provider);
    if (owned->base)
        OSSL_PROVIDER_unload(owned->base);
    OSSL_LIB_CTX_free(owned->legacy.libctx);
    return APR_SUCCESS;
}

/* Error text with the library's own reason; empties its queue. */
static const char *complain(const char *what, apr_pool_t *p)
{
    unsigned long e = ERR_peek_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;

    ERR_clear_error();
    return apr_psprintf(p, "%s: %s", what, reason ? reason : "no reason given");
}

const char *scep_legacy_make(const scep_legacy_t **plegacy, unsigned legacy, apr_pool_t *p)
{
    owned_t *owned;

    *plegacy = NULL;
    if (!(legacy & (SCEP_LEGACY_DES | SCEP_LEGACY_MD5)))
        return NULL;
    ERR_clear_error();
    owned = apr_pcalloc(p, sizeof(*owned));
    apr_pool_cleanup_register(p, owned, owned_cleanup, apr_pool_cleanup_null);
    owned->legacy.libctx = OSSL_LIB_CTX_new();
    if (owned->legacy.libctx)
        owned->base = OSSL_PROVIDER_load(owned->legacy.libctx, "default");
    if (!owned->base)
        return complain("OpenSSL's default provider cannot be loaded", p);
    if (legacy & SCEP_LEGACY_DES) {
        owned->provider = OSSL_PROVIDER_load(owned->legacy.libctx, "legacy");
        if (owned->provider)
            owned->legacy.des = EVP_CIPHER_fetch(owned->legacy.libctx, "DES-CBC", NULL);
        if (!owned->legacy.des)
            return complain("des needs OpenSSL's legacy provider (Debian 13: package "
                            "openssl-provider-legacy), which cannot be loaded", p);
    }
    if (legacy & SCEP_LEGACY_MD5) {
        owned->legacy.md5 = EVP_MD_fetch(owned->legacy.libctx, "MD5", NULL);
        if (!owned->legacy.md5)
            return complain("md5 cannot be had from OpenSSL", p);
    }
    *plegacy = &owned->legacy;
    return NULL;
}
