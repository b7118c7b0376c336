/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates as a chain: who issues, who certified whom; see ca_chain.h. */
#include "ca_state.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* Pool cleanup; returns APR_SUCCESS. */
static apr_status_t store_cleanup(void *data)
{
    X509_STORE_free(data);
    return APR_SUCCESS;
}

X509_STORE *ca_store_make(STACK_OF(X509) *chain, apr_pool_t *p)
{
    X509_STORE *store = X509_STORE_new();
    int i, n = sk_X509_num(chain);

    if (store == NULL) {
        return NULL;
    }
    apr_pool_cleanup_register(p, store, store_cleanup, apr_pool_cleanup_null);
    for (i = 0; i < n; i++) {
        if (!X509_STORE_add_cert(store, sk_X509_value(chain, i))) {
            return NULL;
        }
    }
    /* the file need not hold the root: what it holds is trusted by configuration */
    return X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) ? store : NULL;
}

/* Index of the certificate in chain from "from" on that issued cert; -1 if there is none. */
static int find_issuer(STACK_OF(X509) *chain, X509 *cert, int from)
{
    int i;

    for (i = from; i < sk_X509_num(chain); i++) {
        if (X509_check_issued(sk_X509_value(chain, i), cert) == X509_V_OK) {
            return i;
        }
    }
    return -1;
}

/* Whether the certificate at index issued another one of chain. */
static int issued_another(STACK_OF(X509) *chain, int index)
{
    int i;

    for (i = 0; i < sk_X509_num(chain); i++) {
        if (i != index && X509_check_issued(sk_X509_value(chain, index),
                                            sk_X509_value(chain, i)) == X509_V_OK) {
            return 1;
        }
    }
    return 0;
}

/* Exchanges two certificates of chain. */
static void swap(STACK_OF(X509) *chain, int a, int b)
{
    X509 *cert = sk_X509_value(chain, a);

    (void)sk_X509_set(chain, a, sk_X509_value(chain, b));
    (void)sk_X509_set(chain, b, cert);
}

/* Files are written in any order. */
static void order_chain(STACK_OF(X509) *chain)
{
    int i, n = sk_X509_num(chain);

    for (i = 0; i < n && issued_another(chain, i); i++) {
        continue;
    }
    if (i > 0 && i < n) {
        swap(chain, 0, i);
    }
    for (i = 1; i < n; i++) {
        int issuer = find_issuer(chain, sk_X509_value(chain, i - 1), i);

        if (issuer > i) {
            swap(chain, i, issuer);
        }
    }
    ERR_clear_error();
}

/* Error text if a certificate of the chain is not a CA's, else NULL. */
static const char *check_cas(STACK_OF(X509) *chain, const char *where, apr_pool_t *p)
{
    int i;

    for (i = 0; i < sk_X509_num(chain); i++) {
        X509 *cert = sk_X509_value(chain, i);

        if (X509_check_ca(cert) == 0) {
            return apr_psprintf(p, "%s: certificate %d (%s) is not a CA's", where, i + 1,
                                crypt_name_text(X509_get_subject_name(cert), p));
        }
    }
    return NULL;
}

const char *ca_chain_load(STACK_OF(X509) **pchain, const char *file, apr_pool_t *p)
{
    const char *error = crypt_load_certificates(pchain, file, p);

    if (error == NULL) {
        error = check_cas(*pchain, file, p);
    }
    if (error == NULL) {
        order_chain(*pchain);
    }
    return error;
}

/* certs without repetitions, owned by p. */
static STACK_OF(X509) *unique(STACK_OF(X509) *certs, apr_pool_t *p)
{
    STACK_OF(X509) *list = crypt_chain_own(sk_X509_new_null(), p);
    int i;

    for (i = 0; i < sk_X509_num(certs); i++) {
        (void)X509_add_cert(list, sk_X509_value(certs, i),
                            X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP);
    }
    return list;
}

/* Index of the only certificate that certified no other one; -1 if it is not the only one. */
static int find_first(STACK_OF(X509) *list)
{
    int i, first = -1;

    for (i = 0; i < sk_X509_num(list); i++) {
        if (!issued_another(list, i)) {
            if (first >= 0) {
                return -1;
            }
            first = i;
        }
    }
    return first;
}

const char *ca_chain_path(STACK_OF(X509) **pchain, STACK_OF(X509) *certs, apr_pool_t *p)
{
    STACK_OF(X509) *list = unique(certs, p), *path = crypt_chain_own(sk_X509_new_null(), p);
    const char *error = sk_X509_num(list) < 1 ? "there is no certificate"
                                              : check_cas(list, "what the CA sent", p);
    int at = error == NULL ? find_first(list) : -1;

    if (error == NULL && at < 0) {
        error = "which of them issues cannot be told";
    }
    while (error == NULL && at >= 0) {
        X509 *cert = sk_X509_delete(list, at);

        /* decodes what threads would decode otherwise */
        if (X509_check_purpose(cert, -1, 0) != 1 || X509_get0_pubkey(cert) == NULL ||
            !sk_X509_push(path, cert)) {
            X509_free(cert);
            error = "a certificate cannot be used";
            break;
        }
        at = find_issuer(list, cert, 0);
        if (at >= 0 && X509_verify(cert, X509_get0_pubkey(sk_X509_value(list, at))) != 1) {
            error = apr_psprintf(p, "the signature of %s does not verify",
                                 crypt_name_text(X509_get_subject_name(cert), p));
        }
    }
    ERR_clear_error();
    *pchain = error == NULL ? path : NULL;
    return error;
}
