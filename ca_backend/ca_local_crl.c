/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the local CA takes back: revocation, and the CRL (RFC 5280 section 5).
 *
 * The ledger is the truth; the CRL is made of it by whoever is asked first after a revocation, or
 * when half of its life time is over, and kept in the ledger, so that all hosts serve the same
 * bytes.  A list replaces the one that it was made to replace or none: no number is given twice.
 * While the ledger gives no answer, the last list is served until its nextUpdate.
 */
#include "ca_local.h"

#include <apr_strings.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_LIFETIME apr_time_from_sec(86400)
#define MIN_LIFETIME apr_time_from_sec(60)
#define MAX_LIFETIME apr_time_from_sec(366 * 86400)
#define LIST_AFTER_END apr_time_from_sec(7 * 86400) /* an entry stands in a CRL after the end */
/* the ledger knows it for as long as anybody may renew by the certificate */
#define KEEP_AFTER_END (CA_GRACE_MAX + LIST_AFTER_END)
#define MAX_SERIAL_BYTES 32
#define TRIES 5
#define ASK_AGAIN apr_time_from_sec(1)     /* after the ledger gave no answer */

const char *local_crl_configure(local_t *local, const settings_t *settings,
                                const ca_config_t *cfg, apr_pool_t *p)
{
    const char *lifetime = settings_get(settings, "crlLifetime", NULL), *err = NULL;
    int may_sign = (X509_get_key_usage(local->cert) & KU_CRL_SIGN) != 0;

    local->ledger = cfg->ledger;
    local->crl_url = settings_get(settings, "crlDistributionPoint", NULL);
    if (local->crl_url != NULL) {
        err = ca_template_check_url("crlDistributionPoint", local->crl_url, p);
    }
    if (err == NULL && lifetime != NULL && strcasecmp(lifetime, "off") != 0) {
        err = settings_get_duration(settings, "crlLifetime", DEFAULT_LIFETIME, MIN_LIFETIME,
                                    MAX_LIFETIME, &local->crl_lifetime, p);
        if (err == NULL && cfg->crl_file != NULL) {
            err = "crlLifetime= and ScepCRLFile are two CRLs of one CA; leave one of them out";
        }
        if (err == NULL && !may_sign) {
            err = "crlLifetime=: the CA's certificate must not sign a CRL (its key usage has no "
                  "cRLSign)";
        }
    }
    else if (lifetime == NULL && cfg->crl_file == NULL && may_sign) {
        local->crl_lifetime = DEFAULT_LIFETIME;
    }
    return err;
}

/* Pool cleanup; returns APR_SUCCESS. */
static apr_status_t crl_cleanup(void *data)
{
    local_crl_t *crl = data;

    OPENSSL_free(crl->der);
    memset(crl, 0, sizeof(*crl));
    return APR_SUCCESS;
}

apr_status_t local_crl_child_init(void *instance, apr_pool_t *pchild)
{
    local_t *local = instance;

    memset(&local->crl, 0, sizeof(local->crl));
    apr_pool_cleanup_register(pchild, &local->crl, crl_cleanup, apr_pool_cleanup_null);
    return apr_thread_mutex_create(&local->crl.mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}

/* A serial number as the ledger has it; NULL: none that this CA gives. */
static const char *serial_text(const ASN1_INTEGER *serial, apr_pool_t *p)
{
    int len = ASN1_STRING_length(serial);

    if (len < 1 || len > MAX_SERIAL_BYTES || ASN1_STRING_type(serial) != V_ASN1_INTEGER) {
        return NULL;
    }
    return crypt_hex(ASN1_STRING_get0_data(serial), (apr_size_t)len, 0, p);
}

apr_status_t local_revoke(void *instance, const ASN1_INTEGER *serial, apr_time_t not_after,
                          int reason, outcome_t *out, apr_pool_t *p)
{
    local_t *local = instance;
    const ca_ledger_t *ledger = local->ledger;
    apr_time_t now = apr_time_now();
    apr_status_t rv = APR_SUCCESS;
    ca_revoked_t what;

    if (ledger == NULL) {
        return APR_ENOTIMPL;
    }
    memset(&what, 0, sizeof(what));
    what.serial = serial_text(serial, p);
    what.reason = reason;
    if (what.serial == NULL) {
        return APR_NOTFOUND;
    }
    if (not_after == 0) {
        rv = ledger->known(ledger->baton, what.serial, &not_after, p);
    }
    if (rv == APR_SUCCESS) {
        what.until = (not_after > now ? not_after : now) + KEEP_AFTER_END;
        rv = ledger->revoke(ledger->baton, &what, p);
    }
    if (rv != APR_SUCCESS && rv != APR_NOTFOUND) {
        outcome_unavailable(out, "ledger", 0, p, "the revocation cannot be kept: %s",
                            ledger->error(ledger->baton, p));
    }
    return rv;
}

/* Adds one revocation to the list; 0 if that fails. */
static int add_revoked(X509_CRL *crl, const ca_revoked_t *revoked)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)apr_time_sec(revoked->when));
    ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
    ASN1_INTEGER *serial = NULL;
    BIGNUM *number = NULL;
    int ok = entry != NULL && when != NULL && reason != NULL &&
             BN_hex2bn(&number, revoked->serial) > 0 &&
             (serial = BN_to_ASN1_INTEGER(number, NULL)) != NULL &&
             X509_REVOKED_set_serialNumber(entry, serial) &&
             X509_REVOKED_set_revocationDate(entry, when);

    /* RFC 5280 section 5.3.1: unspecified(0) is said by leaving the extension out */
    if (ok && revoked->reason != CRL_REASON_UNSPECIFIED) {
        ok = ASN1_ENUMERATED_set(reason, revoked->reason) &&
             X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, 0, X509V3_ADD_DEFAULT) == 1;
    }
    if (ok && X509_CRL_add0_revoked(crl, entry)) {
        entry = NULL;
    }
    else {
        ok = 0;
    }
    ASN1_INTEGER_free(serial);
    BN_free(number);
    ASN1_ENUMERATED_free(reason);
    ASN1_TIME_free(when);
    X509_REVOKED_free(entry);
    return ok;
}

/* Adds authorityKeyIdentifier and CRLNumber (RFC 5280 section 5.2); 0 if that fails. */
static int add_extensions(X509_CRL *crl, const local_t *local, apr_int64_t number)
{
    X509_EXTENSION *ext = local_authority_key_id(local->cert);
    ASN1_INTEGER *value = ASN1_INTEGER_new();
    int ok = ext != NULL && value != NULL && X509_CRL_add_ext(crl, ext, -1) &&
             ASN1_INTEGER_set_int64(value, number) &&
             X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, X509V3_ADD_DEFAULT) == 1;

    ASN1_INTEGER_free(value);
    X509_EXTENSION_free(ext);
    return ok;
}

/* Whether the certificate's end is not so long ago that a CRL need not name it any more. */
static int is_listed(const ca_revoked_t *revoked, apr_time_t now)
{
    return revoked->until - CA_GRACE_MAX > now;
}

/* Fills and signs the list; 0 if that fails. */
static int fill(X509_CRL *crl, const local_t *local, apr_int64_t number,
                const apr_array_header_t *list, apr_time_t from, apr_time_t to, apr_pool_t *p)
{
    ASN1_TIME *start = ASN1_TIME_set(NULL, (time_t)apr_time_sec(from));
    ASN1_TIME *end = ASN1_TIME_set(NULL, (time_t)apr_time_sec(to));
    int i, ok = crl != NULL && start != NULL && end != NULL &&
                X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(local->cert)) &&
                X509_CRL_set1_lastUpdate(crl, start) && X509_CRL_set1_nextUpdate(crl, end);

    for (i = 0; ok && i < list->nelts; i++) {
        const ca_revoked_t *revoked = &APR_ARRAY_IDX(list, i, ca_revoked_t);

        ok = !is_listed(revoked, from) || add_revoked(crl, revoked);
    }
    ok = ok && X509_CRL_sort(crl) && add_extensions(crl, local, number) &&
         local_sign_crl(local, crl, p);
    ASN1_TIME_free(end);
    ASN1_TIME_free(start);
    return ok;
}

/* Makes the list of that number into *der; error text in p, NULL on success. */
static const char *make(crypt_buf_t *der, const local_t *local, apr_int64_t number, apr_time_t now,
                        apr_pool_t *p)
{
    const ca_ledger_t *ledger = local->ledger;
    apr_time_t to = now + local->crl_lifetime;
    apr_array_header_t *list;
    X509_CRL *crl = NULL;
    unsigned char *data = NULL;
    const char *error = NULL;
    int len;

    if (now >= local->not_after) {
        return "the CA certificate has expired";
    }
    if (ledger->list(ledger->baton, &list, p) != APR_SUCCESS) {
        return apr_pstrcat(p, "no list of what is revoked: ", ledger->error(ledger->baton, p),
                           NULL);
    }
    crl = X509_CRL_new();
    /* from a little before now, for devices whose clock is slow */
    if (!fill(crl, local, number, list, now - local->skew,
              to < local->not_after ? to : local->not_after, p) ||
        (len = i2d_X509_CRL(crl, &data)) <= 0) {
        error = "the CRL cannot be signed";
    }
    else if (len > CA_LEDGER_CRL_MAX) {
        error = apr_psprintf(p, "the CRL of %d certificates is too large (%d bytes, at most %d)",
                             list->nelts, len, CA_LEDGER_CRL_MAX);
    }
    else {
        der->data = apr_pmemdup(p, data, (apr_size_t)len);
        der->len = (apr_size_t)len;
    }
    OPENSSL_free(data);
    X509_CRL_free(crl);
    ERR_clear_error();
    return error;
}

/* Takes a list over for this child, where this CA signed it.  Called with the mutex. */
static void take(local_t *local, const ca_ledger_crl_t *found)
{
    local_crl_t *held = &local->crl;
    const unsigned char *at = found->der.data;
    X509_CRL *crl = found->der.len > 0 ? d2i_X509_CRL(NULL, &at, (long)found->der.len) : NULL;
    unsigned char *copy = NULL;

    if (crl != NULL && at == found->der.data + found->der.len &&
        X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(local->cert)) == 0 &&
        X509_CRL_get0_nextUpdate(crl) != NULL &&
        X509_CRL_verify(crl, X509_get0_pubkey(local->cert)) == 1 &&
        (copy = OPENSSL_memdup(found->der.data, found->der.len)) != NULL) {
        OPENSSL_free(held->der);
        held->der = copy;
        held->len = found->der.len;
        held->number = found->number;
        held->made_of = found->made_of;
        held->from = crypt_asn1_time(X509_CRL_get0_lastUpdate(crl));
        held->to = crypt_asn1_time(X509_CRL_get0_nextUpdate(crl));
    }
    X509_CRL_free(crl);
    ERR_clear_error();
}

/* Whether the list that is held tells of all changes and has half of its life time left. */
static int is_current(const local_t *local, const ca_ledger_crl_t *found, apr_time_t now)
{
    const local_crl_t *held = &local->crl;

    return held->der != NULL && held->number == found->number &&
           held->made_of >= found->changes &&
           now < held->to - (held->to - held->from - local->skew) / 2;
}

/* Makes the list that follows on found; APR_EEXIST: another host was first.  Called with the
 * mutex. */
static apr_status_t renew(local_t *local, const ca_ledger_crl_t *found, apr_time_t now,
                          const char **error, apr_pool_t *p)
{
    const ca_ledger_t *ledger = local->ledger;
    ca_ledger_crl_t next;
    apr_status_t rv;

    memset(&next, 0, sizeof(next));
    /* the first one follows on whatever another tool numbered before: from 1 on, in its days */
    next.number = found->number > 0 ? found->number + 1 : apr_time_sec(now);
    next.made_of = found->changes;
    *error = make(&next.der, local, next.number, now, p);
    if (*error != NULL) {
        return APR_EGENERAL;
    }
    rv = ledger->put_crl(ledger->baton, found->number, &next, p);
    if (rv == APR_SUCCESS) {
        take(local, &next);
    }
    else if (rv != APR_EEXIST) {
        *error = apr_pstrcat(p, "the CRL cannot be kept: ", ledger->error(ledger->baton, p), NULL);
    }
    return rv;
}

/* Asks the ledger for the list; the one that is held is current afterwards, or *error says why it
 * is not.  Called with the mutex. */
static void refresh(local_t *local, apr_time_t now, const char **error, apr_pool_t *p)
{
    const ca_ledger_t *ledger = local->ledger;
    ca_ledger_crl_t found;
    apr_status_t rv = APR_EEXIST;
    int tries;

    if (now < local->crl.failed + ASK_AGAIN) {
        *error = "the ledger gave no answer a moment ago";
        return;
    }
    *error = "other hosts make CRLs all the time";
    for (tries = 0; tries < TRIES && rv == APR_EEXIST; tries++) {
        rv = ledger->get_crl(ledger->baton, local->crl.number, &found, p);
        if (rv != APR_SUCCESS) {
            *error = apr_pstrcat(p, "the CRL cannot be read: ", ledger->error(ledger->baton, p),
                                 NULL);
            local->crl.failed = now;
            return;
        }
        if (found.number != local->crl.number) {
            take(local, &found);
        }
        if (is_current(local, &found, now)) {
            *error = NULL;
            return;
        }
        rv = renew(local, &found, now, error, p);
    }
}

apr_status_t local_crl(void *instance, crypt_buf_t *der, const char **error, apr_pool_t *p)
{
    local_t *local = instance;
    local_crl_t *held = &local->crl;
    apr_time_t now = apr_time_now();
    apr_status_t rv = APR_EGENERAL;

    if (local->crl_lifetime == 0 || local->ledger == NULL || held->mutex == NULL) {
        return APR_ENOTIMPL;
    }
    apr_thread_mutex_lock(held->mutex);
    refresh(local, now, error, p);
    if (held->der != NULL && now < held->to) {
        der->data = apr_pmemdup(p, held->der, held->len);
        der->len = held->len;
        rv = APR_SUCCESS;
    }
    apr_thread_mutex_unlock(held->mutex);
    return rv;
}
