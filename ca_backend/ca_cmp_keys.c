/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What protects CMP messages on either side.
 *
 * Unlike TLS's credentials these are kept parsed: to decode a key costs as much as to sign by it.
 */
#include "ca_chain.h"
#include "ca_cmp.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <openssl/err.h>
#include <string.h>

enum { FILE_TRUST, FILE_CERTIFICATE, FILE_KEY };

struct ca_cmp_keys_t {
    http_files_t files;
    apr_thread_mutex_t *mutex;  /* guards the rest; NULL: there is one thread */
    http_stamp_t stamp;
    ca_cmp_identity_t now;      /* references of its own, of no pool */
};

/* Pool cleanup; returns APR_SUCCESS. */
static apr_status_t store_cleanup(void *data)
{
    X509_STORE_free(data);
    return APR_SUCCESS;
}

/* Gives up the references; members may be NULL. */
static void drop(ca_cmp_identity_t *identity)
{
    X509_free(identity->cert);
    EVP_PKEY_free(identity->key);
    sk_X509_pop_free(identity->others, X509_free);
    X509_STORE_free(identity->trust);
    memset(identity, 0, sizeof(*identity));
}

/* Pool cleanup; returns APR_SUCCESS. */
static apr_status_t drop_keys(void *data)
{
    drop(&((ca_cmp_keys_t *)data)->now);
    return APR_SUCCESS;
}

/* Takes references of from's members; 0 if there is no memory. */
static int share(ca_cmp_identity_t *to, const ca_cmp_identity_t *from)
{
    memset(to, 0, sizeof(*to));
    if (from->others != NULL && (to->others = X509_chain_up_ref(from->others)) == NULL) {
        return 0;
    }
    if (from->cert != NULL && X509_up_ref(from->cert)) {
        to->cert = from->cert;
    }
    if (from->key != NULL && EVP_PKEY_up_ref(from->key)) {
        to->key = from->key;
    }
    if (from->trust != NULL && X509_STORE_up_ref(from->trust)) {
        to->trust = from->trust;
    }
    return 1;
}

/* Reads certificate and key into *identity, owned by p; error text in p, NULL on success. */
static const char *read_identity(ca_cmp_identity_t *identity, const http_files_t *files,
                                 apr_pool_t *p)
{
    STACK_OF(X509) *certs = NULL;
    const char *error = crypt_load_certificates(&certs, files->path[FILE_CERTIFICATE], p);

    if (error == NULL) {
        error = crypt_load_key(&identity->key, files->path[FILE_KEY], p);
    }
    if (error != NULL) {
        return error;
    }
    identity->cert = crypt_x509_own(sk_X509_shift(certs), p);
    identity->others = sk_X509_num(certs) > 0 ? certs : NULL;
    if (X509_check_private_key(identity->cert, identity->key) != 1) {
        ERR_clear_error();
        return apr_psprintf(p, "the key in %s is not that of the certificate in %s",
                            files->path[FILE_KEY], files->path[FILE_CERTIFICATE]);
    }
    return NULL;
}

/* Reads the files; chain is trusted where there is no trust file.  What is kept changes only on
 * success.  Error text in p, NULL on success. */
static const char *load(ca_cmp_keys_t *keys, STACK_OF(X509) *chain, apr_pool_t *p)
{
    ca_cmp_identity_t found, kept;
    const char *error = NULL;

    memset(&found, 0, sizeof(found));
    if (keys->files.path[FILE_TRUST] != NULL) {
        error = crypt_load_certificates(&chain, keys->files.path[FILE_TRUST], p);
    }
    if (error == NULL && keys->files.path[FILE_CERTIFICATE] != NULL) {
        error = read_identity(&found, &keys->files, p);
    }
    if (error == NULL && chain != NULL && (found.trust = ca_store_make(chain, p)) == NULL) {
        error = "the certificates to trust cannot be used";
    }
    if (error == NULL && !share(&kept, &found)) {
        error = "out of memory";
    }
    if (error == NULL) {
        if (chain == NULL) {
            /* the trust of the chain does not change */
            kept.trust = keys->now.trust;
            keys->now.trust = NULL;
        }
        drop(&keys->now);
        keys->now = kept;
    }
    return error;
}

const char *ca_cmp_keys_make(ca_cmp_keys_t **pkeys, const http_files_t *files,
                             STACK_OF(X509) *chain, apr_pool_t *p)
{
    ca_cmp_keys_t *keys = apr_pcalloc(p, sizeof(*keys));

    keys->files = *files;
    http_files_stamp(&keys->stamp, files, NULL);
    apr_pool_cleanup_register(p, keys, drop_keys, apr_pool_cleanup_null);
    *pkeys = keys;
    return load(keys, chain, p);
}

apr_status_t ca_cmp_keys_child_init(ca_cmp_keys_t *keys, apr_pool_t *pchild)
{
    apr_pool_cleanup_register(pchild, keys, drop_keys, apr_pool_cleanup_null);
    return apr_thread_mutex_create(&keys->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}

/* Reads the files again if they are others. */
static void refresh(ca_cmp_keys_t *keys, const log_sink_t *log, apr_pool_t *p)
{
    http_stamp_t stamp;
    const char *error;

    http_files_stamp(&stamp, &keys->files, &keys->stamp);
    if (memcmp(&stamp, &keys->stamp, sizeof(stamp)) == 0) {
        return;
    }
    keys->stamp = stamp;
    error = load(keys, NULL, p);
    if (error != NULL) {
        log_to(log, LOG_SINK_WARN, SCEPTAG(0350), "%s; what was read before is used", error);
    }
}

apr_status_t ca_cmp_keys_get(ca_cmp_identity_t *identity, ca_cmp_keys_t *keys,
                             const log_sink_t *log, apr_pool_t *p)
{
    int shared;

    if (keys->mutex != NULL) {
        apr_thread_mutex_lock(keys->mutex);
    }
    refresh(keys, log, p);
    shared = share(identity, &keys->now);
    if (keys->mutex != NULL) {
        apr_thread_mutex_unlock(keys->mutex);
    }
    crypt_x509_own(identity->cert, p);
    crypt_pkey_own(identity->key, p);
    crypt_chain_own(identity->others, p);
    if (identity->trust != NULL) {
        apr_pool_cleanup_register(p, identity->trust, store_cleanup, apr_pool_cleanup_null);
    }
    return shared ? APR_SUCCESS : APR_ENOMEM;
}
