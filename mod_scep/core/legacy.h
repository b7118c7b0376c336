/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DES and MD5 for devices that know nothing better, in a library context of their own.
 *
 * OpenSSL keeps DES in its legacy provider.  Loaded into the default context it would serve all of
 * httpd; here it serves what ScepLegacyAlgorithms names, and nothing else.
 */
#ifndef SCEP_LEGACY_H
#define SCEP_LEGACY_H

#include <apr_pools.h>
#include <openssl/evp.h>

typedef struct scep_legacy_t {
    OSSL_LIB_CTX *libctx;
    EVP_CIPHER *des;            /* DES-CBC; NULL: not asked for */
    EVP_MD *md5;                /* NULL: not asked for */
} scep_legacy_t;

/*
 * Makes what the SCEP_LEGACY_* in legacy ask for; *plegacy is NULL if that is neither DES nor MD5.
 * Owned by p, which must outlive every key that was used with it.  May be used by all threads, and
 * by children after a fork.  Error text in p if a provider cannot be loaded, NULL on success.
 */
const char *scep_legacy_make(const scep_legacy_t **plegacy, unsigned legacy, apr_pool_t *p);

#endif /* SCEP_LEGACY_H */
