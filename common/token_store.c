/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider "pkcs11" of pkcs11-provider: the way into a token on OpenSSL 3.2 and later.
 *
 * It is loaded into a library context of our own with parameters of our own, so that no file has to
 * be written for it and nobody else's context changes.
 */
#include "token_open.h"

#include <openssl/err.h>
#include <openssl/opensslv.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#if OPENSSL_VERSION_NUMBER >= 0x30200000L

/* A context with the provider in it; NULL if it is not there or does not take the module. */
static OSSL_LIB_CTX *load_provider(const char *module, const char *pin)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    OSSL_PARAM params[3], *at = params;

    if (module != NULL) {
        *at++ = OSSL_PARAM_construct_utf8_string("pkcs11-module-path", (char *)module, 0);
    }
    if (pin != NULL) {
        *at++ = OSSL_PARAM_construct_utf8_string("pkcs11-module-token-pin", (char *)pin, 0);
    }
    *at = OSSL_PARAM_construct_end();
    if (libctx != NULL && (OSSL_PROVIDER_load(libctx, "default") == NULL ||
                           OSSL_PROVIDER_load_ex(libctx, "pkcs11", params) == NULL)) {
        OSSL_LIB_CTX_free(libctx);
        libctx = NULL;
    }
    return libctx;
}

apr_status_t token_open_by_store(EVP_PKEY **pkey, OSSL_LIB_CTX **libctx, const char *uri,
                                 const char *module, const char *pin)
{
    OSSL_STORE_CTX *store;
    OSSL_STORE_INFO *info;

    *pkey = NULL;
    if (*libctx == NULL && (*libctx = load_provider(module, pin)) == NULL) {
        return APR_ENOTIMPL;
    }
    store = OSSL_STORE_open_ex(uri, *libctx, NULL, (UI_METHOD *)UI_null(), NULL, NULL, NULL,
                               NULL);
    if (store != NULL && OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY)) {
        while (*pkey == NULL && !OSSL_STORE_eof(store) && (info = OSSL_STORE_load(store)) != NULL) {
            *pkey = OSSL_STORE_INFO_get1_PKEY(info);
            OSSL_STORE_INFO_free(info);
        }
    }
    OSSL_STORE_close(store);
    return *pkey != NULL ? APR_SUCCESS : APR_EGENERAL;
}

#else

apr_status_t token_open_by_store(EVP_PKEY **pkey, OSSL_LIB_CTX **libctx, const char *uri,
                                 const char *module, const char *pin)
{
    (void)libctx, (void)uri, (void)module, (void)pin;
    *pkey = NULL;
    return APR_ENOTIMPL;
}

#endif
