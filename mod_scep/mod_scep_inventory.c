/* SPDX-License-Identifier: Apache-2.0 */
/* The inventory of a service (see mod_scep_inventory.h). */
#include "mod_scep_inventory.h"
#include "mod_scep_revoke.h"
#include "core/cms_asn1.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define NOTE_AFTER_END apr_time_from_sec(7 * 86400)

static const struct {
    int reason;
    const char *name;
    int openssl; /* openssl ca knows the name too */
} reasons[] = {{CRL_REASON_UNSPECIFIED, "unspecified", 1},
               {CRL_REASON_KEY_COMPROMISE, "keyCompromise", 1},
               {CRL_REASON_AFFILIATION_CHANGED, "affiliationChanged", 1},
               {CRL_REASON_SUPERSEDED, "superseded", 1},
               {CRL_REASON_CESSATION_OF_OPERATION, "cessationOfOperation", 1},
               {CRL_REASON_PRIVILEGE_WITHDRAWN, "privilegeWithdrawn", 0}};
#define REASONS (sizeof(reasons) / sizeof(reasons[0]))

const char *scep_inventory_reason_name(int reason)
{
    apr_size_t i;

    for (i = 0; i < REASONS; i++) {
        if (reasons[i].reason == reason) {
            return reasons[i].name;
        }
    }
    return "";
}

int scep_inventory_reason(const char *name)
{
    apr_size_t i;

    for (i = 0; name && i < REASONS; i++) {
        if (!strcmp(reasons[i].name, name)) {
            return reasons[i].reason;
        }
    }
    return -1;
}

/* What stands for the n-th certificate of the CA's chain; NULL: there is none, or no memory. */
static const char *issuer_at(const scep_service_conf_t *service, int n, const log_sink_t *log,
                             apr_pool_t *p)
{
    STACK_OF(X509) *chain = NULL;
    crypt_buf_t name;

    if (ca_chain(service->core.ca, &chain, log, p) != APR_SUCCESS || n >= sk_X509_num(chain)) {
        return NULL;
    }
    name = cms_encode(ASN1_ITEM_rptr(X509_NAME), X509_get_subject_name(sk_X509_value(chain, n)), p);
    return name.data ? store_issuer(&name, p) : NULL;
}

const char *scep_inventory_issuer(const scep_service_conf_t *service, const log_sink_t *log,
                                  apr_pool_t *p)
{
    return issuer_at(service, 0, log, p);
}

const char *scep_inventory_serial(const char *text, apr_pool_t *p)
{
    char *digits = apr_pcalloc(p, strlen(text) + 2), *o = digits + 1;

    text += !strncmp(text, "0x", 2) || !strncmp(text, "0X", 2) ? 2 : 0;
    for (; *text; text++) {
        if (apr_isxdigit(*text)) {
            *o++ = (char)apr_tolower(*text);
        }
        else if (*text != ':' && *text != ' ') {
            return NULL;
        }
    }
    if (o == digits + 1) {
        return NULL;
    }
    /* whole bytes, without zero ones in front */
    text = digits + 1;
    while (*text == '0' && text[1]) {
        text++;
    }
    if (strlen(text) % 2) {
        digits[text - digits - 1] = '0';
        text--;
    }
    return strlen(text) <= STORE_CERTIFICATE_SERIAL_MAX ? text : NULL;
}

/* As which service of the store the revocations of the CA are kept. */
static const char *kept_as(const scep_service_conf_t *service)
{
    return service->revocations ? service->revocations : service->name;
}

/* The status of a call to a store that may not keep what was asked for. */
static apr_status_t known(apr_status_t rv, store_result_e *result)
{
    if (rv == APR_ENOTIMPL) {
        *result = STORE_NOTFOUND;
        return APR_SUCCESS;
    }
    return rv;
}

apr_status_t scep_inventory_search(const scep_service_conf_t *service,
                                   const store_search_t *search, apr_array_header_t **pfound,
                                   const char **next, apr_pool_t *p)
{
    apr_array_header_t *entries;
    store_result_e result = STORE_NOTFOUND;
    apr_status_t rv = store_inventory(service->store, service->name, search, &entries, next, p);
    int i;

    *pfound = apr_array_make(p, entries->nelts + 1, sizeof(scep_certificate_t));
    for (i = 0; rv == APR_SUCCESS && i < entries->nelts; i++) {
        scep_certificate_t *certificate = apr_array_push(*pfound);

        certificate->entry = &APR_ARRAY_IDX(entries, i, store_entry_t);
        rv = known(store_find_revoked(service->store, kept_as(service), certificate->entry->serial,
                                      &result, &certificate->revocation, p),
                   &result);
        certificate->revoked = rv == APR_SUCCESS && result == STORE_OK;
    }
    return rv;
}

apr_status_t scep_inventory_find(const scep_service_conf_t *service, const char *issuer,
                                 const char *serial, scep_certificate_t **pfound,
                                 const log_sink_t *log, apr_pool_t *p)
{
    store_search_t search = {NULL, NULL, NULL, NULL, 0, 0};
    apr_array_header_t *found;
    const char *next;
    apr_status_t rv;
    int n = 0;

    *pfound = NULL;
    search.serial = serial;
    search.issuer = issuer ? issuer : issuer_at(service, n, log, p);
    while (search.issuer) {
        rv = scep_inventory_search(service, &search, &found, &next, p);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        if (found->nelts) {
            *pfound = &APR_ARRAY_IDX(found, 0, scep_certificate_t);
            return APR_SUCCESS;
        }
        search.issuer = issuer ? NULL : issuer_at(service, ++n, log, p);
    }
    return APR_NOTFOUND;
}

apr_status_t scep_inventory_revoked(const scep_service_conf_t *service, apr_hash_t **pall,
                                    apr_pool_t *p)
{
    apr_array_header_t *list;
    apr_status_t rv = store_list_revoked(service->store, kept_as(service), &list, p);
    int i;

    *pall = apr_hash_make(p);
    for (i = 0; rv == APR_SUCCESS && i < list->nelts; i++) {
        store_revoked_t *revoked = &APR_ARRAY_IDX(list, i, store_revoked_t);

        apr_hash_set(*pall, revoked->serial, APR_HASH_KEY_STRING, revoked);
    }
    return rv == APR_ENOTIMPL ? APR_SUCCESS : rv;
}

void scep_inventory_note(const scep_service_conf_t *service, const char *serial, int reason,
                         const log_sink_t *log, apr_pool_t *p)
{
    store_revoked_t what = {NULL, 0, 0, 0};
    scep_certificate_t *found = NULL;
    store_result_e result;
    apr_status_t rv;

    if (ca_capabilities(service->core.ca) & CA_CAP_LEDGER) {
        return;
    }
    what.serial = scep_inventory_serial(serial, p);
    what.reason = reason;
    what.until = apr_time_now() + CA_GRACE_MAX;
    rv = what.serial ? scep_inventory_find(service, NULL, what.serial, &found, log, p) : APR_EINVAL;
    if (rv == APR_SUCCESS) {
        what.until = found->entry->not_after + NOTE_AFTER_END;
    }
    if (what.serial && what.until > apr_time_now()) {
        rv = store_revoke_certificate(service->store, service->name, &what, &result, p);
    }
    if (rv != APR_SUCCESS) {
        log_to(log, LOG_SINK_WARN, SCEPTAG(0503),
               "service '%s': that the CA revoked certificate %s is not noted in the inventory: %s",
               service->name, serial, store_error(p));
    }
}

/* Whether the CA that the service has now issued it. */
static int is_of_ca(const scep_service_conf_t *service, const store_entry_t *entry,
                    const log_sink_t *log, apr_pool_t *p)
{
    int n, all = !(ca_capabilities(service->core.ca) & CA_CAP_LEDGER);
    const char *issuer;

    for (n = 0; n == 0 || all; n++) {
        issuer = issuer_at(service, n, log, p);
        if (!issuer) {
            return 0;
        }
        if (!strcmp(issuer, entry->issuer)) {
            return 1;
        }
    }
    return 0;
}

apr_status_t scep_inventory_revoke(const scep_service_conf_t *service,
                                   const scep_certificate_t *certificate, int reason,
                                   outcome_t *out, const log_sink_t *log, apr_pool_t *p)
{
    scep_revoke_t revoke = {NULL, NULL, NULL, NULL};

    outcome_init(out);
    if (!is_of_ca(service, certificate->entry, log, p)) {
        return APR_BADARG;
    }
    revoke.service = service;
    revoke.log = log;
    return scep_revoke(&revoke, NULL, certificate->entry->serial, reason, out, p);
}

/* The subject, owned by the caller; NULL: not kept. */
static X509_NAME *subject_make(const store_entry_t *entry)
{
    const unsigned char *at = entry->subject.data;
    X509_NAME *name = at ? d2i_X509_NAME(NULL, &at, (long)entry->subject.len) : NULL;

    ERR_clear_error();
    return name;
}

const char *scep_inventory_subject(const store_entry_t *entry, apr_pool_t *p)
{
    X509_NAME *name = subject_make(entry);
    const char *text = name ? crypt_name_text(name, p) : "";

    X509_NAME_free(name);
    return text;
}

/* A moment as X.509 writes it: UTCTime until 2049. */
static const char *asn1_text(apr_time_t when, apr_pool_t *p)
{
    ASN1_TIME *time = ASN1_TIME_set(NULL, (time_t)apr_time_sec(when));
    const char *text = time ? apr_pstrmemdup(p, (const char *)ASN1_STRING_get0_data(time),
                                             (apr_size_t)ASN1_STRING_length(time))
                            : "";

    ASN1_TIME_free(time);
    return text;
}

/* When and why a certificate was revoked, as openssl ca writes it; NULL: it was not. */
static const char *revocation_text(const store_revoked_t *revoked, apr_pool_t *p)
{
    apr_size_t i;

    if (!revoked) {
        return "";
    }
    for (i = 0; i < REASONS; i++) {
        if (reasons[i].reason == revoked->reason && reasons[i].openssl) {
            return apr_pstrcat(p, asn1_text(revoked->when, p), ",", reasons[i].name, NULL);
        }
    }
    return asn1_text(revoked->when, p);
}

const char *scep_inventory_line(const store_entry_t *entry, const store_revoked_t *revoked,
                                apr_time_t now, apr_pool_t *p)
{
    X509_NAME *name = subject_make(entry);
    /* it writes what is not printable ASCII as \xNN, a tab too */
    char *oneline = name ? X509_NAME_oneline(name, NULL, 0) : NULL;
    const char *flag = revoked ? "R" : entry->not_after <= now ? "E" : "V", *line;
    char *serial = apr_pstrdup(p, entry->serial), *c;

    for (c = serial; *c; c++) {
        *c = (char)apr_toupper(*c);
    }
    line = apr_pstrcat(p, flag, "\t", asn1_text(entry->not_after, p), "\t",
                       revocation_text(revoked, p), "\t", serial, "\tunknown\t",
                       oneline && *oneline ? oneline : "/", "\n", NULL);
    OPENSSL_free(oneline);
    X509_NAME_free(name);
    ERR_clear_error();
    return line;
}
