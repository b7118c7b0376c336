/* SPDX-License-Identifier: Apache-2.0 */
/* What a CA remembers of its certificates, in the store (see mod_scep_ledger.h). */
#include "mod_scep_ledger.h"
#include "core/cms_asn1.h"
#include <apr_strings.h>
#include <openssl/err.h>

#if CA_LEDGER_CRL_MAX != STORE_CRL_MAX
#error "the store keeps CRLs of another size than the CA makes"
#endif

/* The baton of a ledger. */
typedef struct ledger_t {
    const scep_service_conf_t *service;
    const char *name; /* of the CA, as a service of the store; NULL: not known */
    const char *issuer; /* the CA in the inventory */
} ledger_t;

/* A CA as a service of the store, by name and key: a certificate that replaces another one of the
 * CA goes on with its list.  NULL: memory or SHA-256 is missing. */
static const char *name_of(X509 *cert, apr_pool_t *p)
{
    unsigned char digest[32];
    crypt_buf_t part[2];

    part[0] = cms_encode(ASN1_ITEM_rptr(X509_NAME), X509_get_subject_name(cert), p);
    part[1] = cms_encode(ASN1_ITEM_rptr(X509_PUBKEY), X509_get_X509_PUBKEY(cert), p);
    if (!part[0].data || !part[1].data || crypt_sha256_parts(digest, part, 2) != APR_SUCCESS) {
        ERR_clear_error();
        return NULL;
    }
    return apr_pstrcat(p, "ca-", crypt_hex(digest, 24, 0, p), NULL);
}

/* The status of a call for a CA whose name is not known. */
static apr_status_t nameless(apr_pool_t *p)
{
    return store_set_error(p, APR_EGENERAL, "the CA has no name in the store");
}

/* The status of a store's call; one that cannot keep revocations has none. */
static apr_status_t found(apr_status_t rv, store_result_e result)
{
    if (rv == APR_ENOTIMPL) {
        return APR_NOTFOUND;
    }
    return rv == APR_SUCCESS && result == STORE_NOTFOUND ? APR_NOTFOUND : rv;
}

static apr_status_t ledger_known(void *baton, const char *serial, apr_time_t *not_after,
                                 apr_pool_t *p)
{
    const ledger_t *ledger = baton;
    const scep_service_conf_t *service = ledger->service;
    store_search_t search = {NULL, NULL, NULL, NULL, 0, 0};
    apr_array_header_t *entries;
    const char *next;
    apr_status_t rv;

    if (!ledger->issuer) {
        return nameless(p);
    }
    search.issuer = ledger->issuer;
    search.serial = serial;
    rv = store_inventory(service->store, service->name, &search, &entries, &next, p);
    rv = found(rv, entries->nelts ? STORE_OK : STORE_NOTFOUND);
    if (rv == APR_SUCCESS) {
        *not_after = APR_ARRAY_IDX(entries, 0, store_entry_t).not_after;
    }
    return rv;
}

static apr_status_t ledger_revoke(void *baton, const ca_revoked_t *what, apr_pool_t *p)
{
    const ledger_t *ledger = baton;
    store_revoked_t revoked = {NULL, 0, 0, 0};
    store_result_e result;

    if (!ledger->name) {
        return nameless(p);
    }
    revoked.serial = what->serial;
    revoked.reason = what->reason;
    revoked.until = what->until;
    return store_revoke_certificate(ledger->service->store, ledger->name, &revoked, &result, p);
}

static apr_status_t ledger_find(void *baton, X509 *issuer, const char *serial,
                                ca_revoked_t *revoked, apr_pool_t *p)
{
    const ledger_t *ledger = baton;
    const scep_service_conf_t *service = ledger->service;
    /* what was revoked at a CA of somebody else's is noted by service (scep_inventory_note()) */
    const char *name = ca_capabilities(service->core.ca) & CA_CAP_LEDGER ? name_of(issuer, p)
                                                                         : service->name;
    store_revoked_t entry;
    store_result_e result;
    apr_status_t rv;

    if (!name) {
        return nameless(p);
    }
    rv = store_find_revoked(ledger->service->store, name, serial, &result, &entry, p);
    revoked->serial = entry.serial;
    revoked->reason = entry.reason;
    revoked->when = entry.when;
    revoked->until = entry.until;
    return found(rv, result);
}

static apr_status_t ledger_list(void *baton, apr_array_header_t **plist, apr_pool_t *p)
{
    const ledger_t *ledger = baton;
    apr_array_header_t *list = NULL;
    apr_status_t rv = ledger->name ? store_list_revoked(ledger->service->store, ledger->name,
                                                        &list, p) : nameless(p);
    int i, n = rv == APR_SUCCESS ? list->nelts : 0;

    *plist = apr_array_make(p, n + 1, sizeof(ca_revoked_t));
    for (i = 0; i < n; i++) {
        const store_revoked_t *entry = &APR_ARRAY_IDX(list, i, store_revoked_t);
        ca_revoked_t *revoked = apr_array_push(*plist);

        revoked->serial = entry->serial;
        revoked->reason = entry->reason;
        revoked->when = entry->when;
        revoked->until = entry->until;
    }
    return rv;
}

static apr_status_t ledger_get_crl(void *baton, apr_int64_t have, ca_ledger_crl_t *crl,
                                   apr_pool_t *p)
{
    const ledger_t *ledger = baton;
    store_crl_t kept;
    apr_status_t rv;

    if (!ledger->name) {
        return nameless(p);
    }
    rv = store_get_crl(ledger->service->store, ledger->name, have, &kept, p);
    crl->changes = kept.changes;
    crl->number = kept.number;
    crl->made_of = kept.made_of;
    crl->der = kept.der;
    return rv;
}

static apr_status_t ledger_put_crl(void *baton, apr_int64_t replaces, const ca_ledger_crl_t *crl,
                                   apr_pool_t *p)
{
    const ledger_t *ledger = baton;
    store_result_e result;
    store_crl_t kept;
    apr_status_t rv;

    if (!ledger->name) {
        return nameless(p);
    }
    memset(&kept, 0, sizeof(kept));
    kept.number = crl->number;
    kept.made_of = crl->made_of;
    kept.der = crl->der;
    rv = store_put_crl(ledger->service->store, ledger->name, replaces, &kept, &result, p);
    return rv == APR_SUCCESS && result != STORE_OK ? APR_EEXIST : rv;
}

static const char *ledger_error(void *baton, apr_pool_t *p)
{
    (void)baton;
    return store_error(p);
}

ca_ledger_t *scep_ledger_make(const scep_service_conf_t *service, apr_pool_t *p)
{
    static const ca_ledger_t calls = {NULL, ledger_known, ledger_revoke, ledger_find, ledger_list,
                                      ledger_get_crl, ledger_put_crl, ledger_error};
    ca_ledger_t *made = apr_pmemdup(p, &calls, sizeof(calls));
    ledger_t *ledger = apr_pcalloc(p, sizeof(*ledger));

    ledger->service = service;
    made->baton = ledger;
    return made;
}

int scep_ledger_name(ca_ledger_t *made, apr_pool_t *p)
{
    ledger_t *ledger = made->baton;
    STACK_OF(X509) *chain = NULL;
    crypt_buf_t subject;

    if (ca_chain(ledger->service->core.ca, &chain, NULL, p) != APR_SUCCESS ||
        sk_X509_num(chain) < 1) {
        return 0;
    }
    ledger->name = name_of(sk_X509_value(chain, 0), p);
    subject = cms_encode(ASN1_ITEM_rptr(X509_NAME),
                         X509_get_subject_name(sk_X509_value(chain, 0)), p);
    ledger->issuer = subject.data ? store_issuer(&subject, p) : NULL;
    return ledger->name != NULL && ledger->issuer != NULL;
}

const char *scep_ledger_get0_name(const ca_ledger_t *made)
{
    const ledger_t *ledger = made->baton;

    return ledger->name;
}
