/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CA's revocation list: the backend's, or a file that somebody else keeps up to date.
 *
 * The file is looked at for each use and read again when it changed, so that a new list counts
 * without a restart.  What cannot be read, is not the chain's or is out of date is no list at all:
 * "not revoked" is an answer that only a good list gives.
 */
#include "ca_check.h"
#include "ca_state.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CRL_BYTES (64 * 1024 * 1024)
#define CLOCK_TOLERANCE apr_time_from_sec(300)

/* Frees the list that is held; returns APR_SUCCESS. */
static apr_status_t crl_cleanup(void *data)
{
    ca_crl_t *state = data;

    X509_CRL_free(state->crl);
    X509_CRL_free(state->backend);
    OPENSSL_free(state->backend_der);
    state->crl = state->backend = NULL;
    state->backend_der = NULL;
    return APR_SUCCESS;
}

/* Looks at the file, without opening it. */
static void look(ca_stamp_t *stamp, apr_filetype_e *type, const char *file, apr_pool_t *p)
{
    apr_finfo_t info;

    memset(&info, 0, sizeof(info));
    memset(stamp, 0, sizeof(*stamp));
    stamp->rv = apr_stat(&info, file, APR_FINFO_TYPE | APR_FINFO_MTIME | APR_FINFO_CTIME |
                         APR_FINFO_SIZE | APR_FINFO_IDENT, p);
    *type = info.filetype;
    if (stamp->rv == APR_SUCCESS) {
        stamp->mtime = info.mtime;
        stamp->ctime = info.ctime;
        stamp->size = info.size;
        stamp->inode = info.inode;
        stamp->device = info.device;
    }
}

/* Whether two stamps are of the same state of the file. */
static int is_same(const ca_stamp_t *a, const ca_stamp_t *b)
{
    return a->rv == b->rv && a->mtime == b->mtime && a->ctime == b->ctime && a->size == b->size &&
           a->inode == b->inode && a->device == b->device;
}

/* Reads size bytes of the file into a new buffer, to be freed; error text, NULL on success. */
static const char *read_file(unsigned char **pdata, const char *file, apr_size_t size,
                             apr_pool_t *p)
{
    apr_file_t *in;
    char text[120];
    apr_status_t rv = apr_file_open(&in, file, APR_FOPEN_READ | APR_FOPEN_BINARY, 0, p);

    *pdata = NULL;
    if (rv == APR_SUCCESS) {
        *pdata = malloc(size);
        rv = *pdata != NULL ? apr_file_read_full(in, *pdata, size, NULL) : APR_ENOMEM;
        apr_file_close(in);
    }
    return rv == APR_SUCCESS ? NULL : apr_pstrdup(p, apr_strerror(rv, text, sizeof(text)));
}

/* The one CRL in data, DER or PEM; NULL with *error set. */
static X509_CRL *parse(const unsigned char *data, apr_size_t len, const char **error)
{
    const unsigned char *at = data;
    X509_CRL *crl, *second;
    BIO *in;

    *error = "it is not a CRL in PEM or DER";
    if (data[0] == 0x30) {
        crl = d2i_X509_CRL(NULL, &at, (long)len);
        if (crl != NULL && at != data + len) {
            X509_CRL_free(crl);
            crl = NULL;
            *error = "something follows the CRL";
        }
        return crl;
    }
    in = BIO_new_mem_buf(data, (int)len);
    crl = in != NULL ? PEM_read_bio_X509_CRL(in, NULL, crypt_no_passphrase, NULL) : NULL;
    second = crl != NULL ? PEM_read_bio_X509_CRL(in, NULL, crypt_no_passphrase, NULL) : NULL;
    if (second != NULL) {
        X509_CRL_free(second);
        X509_CRL_free(crl);
        crl = NULL;
        *error = "it holds more than one CRL";
    }
    BIO_free(in);
    return crl;
}

/* Error text if the list does not speak of all the CA's certificates, else NULL. */
static const char *check_scope(const X509_CRL *crl)
{
    ISSUING_DIST_POINT *point;
    int i, critical, partial;

    if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0) {
        return "it is a delta CRL";
    }
    for (i = -1; (i = X509_CRL_get_ext_by_critical(crl, 1, i)) >= 0;) {
        const ASN1_OBJECT *oid = X509_EXTENSION_get_object(X509_CRL_get_ext(crl, i));

        if (OBJ_obj2nid(oid) != NID_issuing_distribution_point) {
            return "it has a critical extension that is not known";
        }
    }
    point = X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, &critical, NULL);
    if (point == NULL) {
        return critical == -1 ? NULL : "its issuingDistributionPoint cannot be read";
    }
    partial = point->onlyCA > 0 || point->onlyattr > 0 || point->indirectCRL > 0 ||
              point->onlysomereasons != NULL;
    ISSUING_DIST_POINT_free(point);
    return partial ? "it is for CA certificates, attribute certificates, some reasons or other "
                     "CAs only" : NULL;
}

/* Error text if no certificate of chain signed the list, else NULL. */
static const char *check_issuer(X509_CRL *crl, STACK_OF(X509) *chain)
{
    const X509_ALGOR *algor = NULL;
    int i, named = 0;

    X509_CRL_get0_signature(crl, NULL, &algor);
    if (!ca_algorithm_is_allowed(algor)) {
        return "it is signed with an algorithm that is not allowed";
    }
    for (i = 0; i < sk_X509_num(chain); i++) {
        X509 *issuer = sk_X509_value(chain, i);

        if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) == 0) {
            named = 1;
            if ((X509_get_key_usage(issuer) & KU_CRL_SIGN) != 0 &&
                X509_CRL_verify(crl, X509_get0_pubkey(issuer)) == 1) {
                return NULL;
            }
        }
    }
    return named ? "its signature does not verify by the CA chain"
                 : "its issuer is no certificate of the CA chain";
}

/* All checks but that of time; error text, NULL if it can be used.  chain NULL: not known yet. */
static const char *check(X509_CRL *crl, STACK_OF(X509) *chain)
{
    const char *error = check_scope(crl);

    if (error == NULL && X509_CRL_get0_nextUpdate(crl) == NULL) {
        error = "it has no nextUpdate";
    }
    if (error == NULL && chain != NULL) {
        error = check_issuer(crl, chain);
    }
    ERR_clear_error();
    return error;
}

/* Reads and checks the file; NULL with *error set. */
static X509_CRL *load(const char *file, const ca_stamp_t *stamp, apr_filetype_e type,
                      STACK_OF(X509) *chain, const char **error, apr_pool_t *p)
{
    unsigned char *data = NULL;
    X509_CRL *crl = NULL;
    char text[120];

    *error = NULL;
    if (stamp->rv != APR_SUCCESS) {
        *error = apr_pstrdup(p, apr_strerror(stamp->rv, text, sizeof(text)));
    }
    else if (type != APR_REG) {
        *error = "it is not a file";
    }
    else if (stamp->size < 1 || stamp->size > MAX_CRL_BYTES) {
        *error = stamp->size < 1 ? "it is empty" : "it is larger than 64 MiB";
    }
    else if ((*error = read_file(&data, file, (apr_size_t)stamp->size, p)) == NULL &&
             (crl = parse(data, (apr_size_t)stamp->size, error)) != NULL &&
             (*error = check(crl, chain)) != NULL) {
        X509_CRL_free(crl);
        crl = NULL;
    }
    ERR_clear_error();
    free(data);
    return crl;
}

/* Reads the file if it is not the one that was read last, or was verified by another chain.  Called
 * with the mutex. */
static void refresh(ca_t *ca, STACK_OF(X509) *chain, const log_sink_t *log, apr_pool_t *p)
{
    ca_crl_t *state = &ca->crl;
    const char *file = ca->cfg->crl_file, *error;
    unsigned generation = ca->fetched != NULL ? ca_fetched_generation(ca->fetched) : 0;
    apr_filetype_e type;
    ca_stamp_t stamp;

    look(&stamp, &type, file, p);
    if (state->known && is_same(&stamp, &state->stamp) && state->generation == generation) {
        return;
    }
    X509_CRL_free(state->crl);
    state->crl = load(file, &stamp, type, chain, &error, p);
    state->known = 1;
    state->generation = generation;
    state->stamp = stamp;
    state->reported = 0;
    state->error[0] = '\0';
    if (state->crl == NULL) {
        apr_snprintf(state->error, sizeof(state->error), "CRL %s: %s", file, error);
        log_to(log, LOG_SINK_ERR, SCEPTAG(0320), "service %s: %s", ca->cfg->service, state->error);
    }
}

/* What is wrong with the list's time; error text in p, NULL if it is valid now. */
static const char *check_time(const X509_CRL *crl, apr_time_t now, apr_pool_t *p)
{
    char date[APR_RFC822_DATE_LEN];
    apr_time_t from = crypt_asn1_time(X509_CRL_get0_lastUpdate(crl));
    apr_time_t to = crypt_asn1_time(X509_CRL_get0_nextUpdate(crl));

    if (now >= to) {
        apr_rfc822_date(date, to);
        return apr_psprintf(p, "it was to be replaced by %s", date);
    }
    if (now + CLOCK_TOLERANCE < from) {
        apr_rfc822_date(date, from);
        return apr_psprintf(p, "it is not valid before %s", date);
    }
    return NULL;
}

/* crl_file's list with a reference of the caller's; NULL with *error set. */
static X509_CRL *file_get1(ca_t *ca, STACK_OF(X509) *chain, apr_time_t now, const char **error,
                           const log_sink_t *log, apr_pool_t *p)
{
    ca_crl_t *state = &ca->crl;
    X509_CRL *crl = NULL;

    if (state->mutex != NULL) {
        apr_thread_mutex_lock(state->mutex);
    }
    refresh(ca, chain, log, p);
    if (state->crl == NULL) {
        *error = apr_pstrdup(p, state->error);
    }
    else if ((*error = check_time(state->crl, now, p)) != NULL) {
        *error = apr_psprintf(p, "CRL %s: %s", ca->cfg->crl_file, *error);
        if (!state->reported) {
            log_to(log, LOG_SINK_ERR, SCEPTAG(0321), "service %s: %s", ca->cfg->service, *error);
        }
        state->reported = 1;
    }
    else if (X509_CRL_up_ref(state->crl)) {
        crl = state->crl;
    }
    if (state->mutex != NULL) {
        apr_thread_mutex_unlock(state->mutex);
    }
    return crl;
}

/* The list that these bytes are, with a reference of the caller's; NULL: they are none.  To decode
 * a list costs 80 ms where it is a long one, so the last one is kept. */
static X509_CRL *decode_get1(ca_crl_t *state, const crypt_buf_t *der)
{
    const unsigned char *at = der->data;
    X509_CRL *crl = NULL;

    if (state->mutex != NULL) {
        apr_thread_mutex_lock(state->mutex);
    }
    if (state->backend != NULL && state->backend_len == der->len &&
        memcmp(state->backend_der, der->data, der->len) == 0) {
        crl = state->backend;
    }
    else if ((crl = d2i_X509_CRL(NULL, &at, (long)der->len)) != NULL &&
             at == der->data + der->len) {
        X509_CRL_free(state->backend);
        OPENSSL_free(state->backend_der);
        state->backend = crl;
        state->backend_der = OPENSSL_memdup(der->data, der->len);
        state->backend_len = state->backend_der != NULL ? der->len : 0;
    }
    else {
        X509_CRL_free(crl);
        crl = NULL;
    }
    if (crl != NULL && !X509_CRL_up_ref(crl)) {
        crl = NULL;
    }
    if (state->mutex != NULL) {
        apr_thread_mutex_unlock(state->mutex);
    }
    return crl;
}

/* The backend's list; NULL with *error set. */
static X509_CRL *backend_get1(ca_t *ca, const crypt_buf_t *der, STACK_OF(X509) *chain,
                              apr_time_t now, const char **error, apr_pool_t *p)
{
    X509_CRL *crl = der->len > 0 && der->len <= MAX_CRL_BYTES ? decode_get1(&ca->crl, der) : NULL;

    if (crl == NULL) {
        *error = "the backend's CRL cannot be read";
    }
    else if ((*error = check(crl, chain)) == NULL) {
        *error = check_time(crl, now, p);
    }
    if (*error != NULL) {
        X509_CRL_free(crl);
        crl = NULL;
    }
    ERR_clear_error();
    return crl;
}

/* Says once why the backend has no newer list than the one that it still serves. */
static void warn(ca_t *ca, const char *why, const log_sink_t *log)
{
    ca_crl_t *state = &ca->crl;
    int say;

    if (state->mutex != NULL) {
        apr_thread_mutex_lock(state->mutex);
    }
    say = why != NULL && !state->reported;
    state->reported = why != NULL;
    if (state->mutex != NULL) {
        apr_thread_mutex_unlock(state->mutex);
    }
    if (say) {
        log_to(log, LOG_SINK_WARN, SCEPTAG(0322), "service %s: the last CRL is served on: %s",
               ca->cfg->service, why);
    }
}

apr_status_t ca_crl_get1(ca_t *ca, X509_CRL **pcrl, apr_time_t now, outcome_t *out,
                         const log_sink_t *log, apr_pool_t *p)
{
    apr_status_t rv = APR_ENOTIMPL;
    STACK_OF(X509) *chain = NULL;
    const char *error = NULL;
    crypt_buf_t der = {NULL, 0};

    *pcrl = NULL;
    if (ca->provider->crl != NULL) {
        error = NULL;
        rv = ca->provider->crl(ca->instance, &der, &error, p);
        if (rv == APR_SUCCESS) {
            warn(ca, error, log);
        }
    }
    if (rv == APR_ENOTIMPL && ca->cfg->crl_file == NULL) {
        return APR_ENOTIMPL;
    }
    if (rv != APR_SUCCESS && rv != APR_ENOTIMPL) {
        error = error != NULL ? error : "the backend cannot be asked for its CRL";
    }
    else if (ca_chain(ca, &chain, log, p) != APR_SUCCESS || sk_X509_num(chain) < 1) {
        error = "the CA's chain is not known";
    }
    else if (rv == APR_SUCCESS) {
        *pcrl = backend_get1(ca, &der, chain, now, &error, p);
    }
    else {
        *pcrl = file_get1(ca, chain, now, &error, log, p);
    }
    if (*pcrl != NULL) {
        return APR_SUCCESS;
    }
    outcome_unavailable(out, "crl", 0, p, "%s", error != NULL ? error : "no memory");
    return APR_EGENERAL;
}

apr_status_t ca_crl(ca_t *ca, crypt_buf_t *der, apr_size_t max, outcome_t *out,
                    const log_sink_t *log, apr_pool_t *p)
{
    unsigned char *data = NULL;
    X509_CRL *crl = NULL;
    apr_status_t rv = ca_crl_get1(ca, &crl, apr_time_now(), out, log, p);
    int len;

    der->data = NULL;
    der->len = 0;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    len = i2d_X509_CRL(crl, NULL);
    if (len > 0 && (apr_size_t)len > max) {
        rv = APR_ENOSPC;
    }
    else if (len > 0) {
        der->data = data = apr_palloc(p, (apr_size_t)len);
        der->len = (apr_size_t)i2d_X509_CRL(crl, &data);
    }
    else {
        rv = APR_EGENERAL;
        outcome_unavailable(out, "crl", 0, p, "the CRL cannot be encoded");
    }
    X509_CRL_free(crl);
    ERR_clear_error();
    return rv;
}

apr_status_t ca_crl_expires(ca_t *ca, apr_time_t *time)
{
    apr_status_t rv = APR_EGENERAL;

    *time = 0;
    if (ca->cfg->crl_file == NULL) {
        return APR_ENOTIMPL;
    }
    if (ca->crl.mutex != NULL) {
        apr_thread_mutex_lock(ca->crl.mutex);
    }
    if (ca->crl.crl != NULL) {
        *time = crypt_asn1_time(X509_CRL_get0_nextUpdate(ca->crl.crl));
        rv = APR_SUCCESS;
    }
    if (ca->crl.mutex != NULL) {
        apr_thread_mutex_unlock(ca->crl.mutex);
    }
    return rv;
}

const char *ca_crl_open(ca_t *ca, apr_pool_t *p)
{
    if (ca->cfg->crl_file == NULL) {
        return NULL;
    }
    apr_pool_cleanup_register(p, &ca->crl, crl_cleanup, apr_pool_cleanup_null);
    refresh(ca, ca->chain, NULL, p);
    if (ca->crl.crl == NULL) {
        return apr_pstrdup(p, ca->crl.error);
    }
    /* verified against the chain only where that is known: the first use does it otherwise */
    ca->crl.known = ca->chain != NULL;
    return NULL;
}

apr_status_t ca_crl_child_init(ca_t *ca, apr_pool_t *pchild)
{
    apr_pool_cleanup_register(pchild, &ca->crl, crl_cleanup, apr_pool_cleanup_null);
    return apr_thread_mutex_create(&ca->crl.mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}
