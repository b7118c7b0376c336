/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is to know about a service and about the requests that wait in it, as JSON.  Subjects
 * and transactionIDs are strangers' text: whatever is not plain UTF-8 becomes a question mark here,
 * before any form of output.
 */
#include "mod_scep_check.h"
#include "mod_scep_status.h"
#include "core/enroll.h"
#include "../common/csr_names.h"
#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define WARN_DAYS 30
#define SHORT_ID 12

int scep_status_utf8(const char **c)
{
    static const unsigned least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)*c;
    unsigned code = *s;
    int more = code < 0x80 ? 0 : code < 0xc2 ? -1 : code < 0xe0 ? 1 : code < 0xf0 ? 2 : 3;
    int i;

    ++*c;
    if (more < 0 || code > 0xf4) {
        return -1;
    }
    code &= more ? 0x3fu >> more : 0x7fu;
    for (i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return -1;
        }
        code = code << 6 | (s[i] & 0x3f);
    }
    if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        return -1;
    }
    *c += more;
    return (int)code;
}

/* Whether a character is shown as itself: no control, nothing that turns the writing around. */
static int is_plain(int code)
{
    return code >= 0x20 && !(code >= 0x7f && code < 0xa0) && !(code >= 0x2028 && code <= 0x202e) &&
           !(code >= 0x2066 && code <= 0x2069) && code != 0x200e && code != 0x200f &&
           code != 0xfeff;
}

const char *scep_status_clean(const char *text, apr_pool_t *p)
{
    const char *c = text ? text : "", *from;
    char *clean = apr_palloc(p, strlen(c) + 1), *o = clean;

    while (*c) {
        from = c;
        if (is_plain(scep_status_utf8(&c))) {
            memcpy(o, from, c - from);
            o += c - from;
        }
        else {
            *o++ = '?';
        }
    }
    *o = '\0';
    return clean;
}

json_t *scep_status_text(const char *text, apr_pool_t *p)
{
    return json_string(scep_status_clean(text, p));
}

/* Sets a member of an object to a text. */
static void set_text(json_t *object, const char *key, const char *text, apr_pool_t *p)
{
    json_object_set_new(object, key, scep_status_text(text, p));
}

/* Sets a member of an object to a number. */
static void set_number(json_t *object, const char *key, apr_int64_t number)
{
    json_object_set_new(object, key, json_integer(number));
}

/* Sets a member of an object to a span in seconds. */
static void set_span(json_t *object, const char *key, apr_interval_time_t span)
{
    set_number(object, key, apr_time_sec(span));
}

void scep_status_set_time(json_t *object, const char *key, apr_time_t when)
{
    apr_time_exp_t t;
    char text[40];

    apr_time_exp_gmt(&t, when);
    apr_snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", t.tm_year + 1900,
                 t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
    json_object_set_new(object, key, json_string(text));
}

/* A JSON array of texts. */
static json_t *texts(const apr_array_header_t *list, apr_pool_t *p)
{
    json_t *array = json_array();
    int i;

    for (i = 0; list && i < list->nelts; i++) {
        json_array_append_new(array, scep_status_text(APR_ARRAY_IDX(list, i, const char *), p));
    }
    return array;
}

apr_array_header_t *scep_status_services(request_rec *r)
{
    const scep_server_conf_t *sc = scep_server_conf(r->server);
    apr_array_header_t *all = apr_array_copy(r->pool, sc->services);

    if (sc->inherited) {
        apr_array_cat(all, sc->inherited);
    }
    return all;
}

/* One certificate that the service cannot do without. */
static void judge(scep_health_t *health, const char *what, const X509 *cert, apr_pool_t *p)
{
    int days = scep_days_left(cert);
    const char *name = crypt_name_text(X509_get_subject_name(cert), p);

    if (days < 0) {
        APR_ARRAY_PUSH(health->problems, const char *) =
            apr_psprintf(p, "%s %s has expired", what, name);
    }
    else if (days < WARN_DAYS) {
        APR_ARRAY_PUSH(health->warnings, const char *) =
            apr_psprintf(p, "%s %s: %d days left", what, name, days);
    }
}

/* The certificates in force.  Older generations of the RA's are meant to expire. */
static void judge_certificates(scep_health_t *health, const scep_service_t *core, apr_pool_t *p)
{
    STACK_OF(X509) *chain = NULL;
    int i;

    if (core->has_ra) {
        judge(health, "RA signing certificate", scep_service_signer(core, 0)->cert, p);
        judge(health, "RA encryption certificate",
              APR_ARRAY_IDX(core->decrypters, 0, scep_ra_key_t).cert, p);
    }
    if (ca_chain_known(core->ca, &chain, p) == APR_SUCCESS) {
        for (i = 0; i < sk_X509_num(chain); i++) {
            judge(health, "CA certificate", sk_X509_value(chain, i), p);
        }
    }
}

/* The revocation list: without a current one no certificate is renewed. */
static void judge_crl(scep_health_t *health, ca_t *ca)
{
    apr_time_t next = 0;
    apr_status_t rv = ca_crl_expires(ca, &next);

    if (rv != APR_ENOTIMPL && (rv != APR_SUCCESS || next < apr_time_now())) {
        APR_ARRAY_PUSH(health->warnings, const char *) =
            rv == APR_SUCCESS ? "the CRL is past its nextUpdate: no renewals, no GetCRL"
                              : "the CRL cannot be used: no renewals, no GetCRL";
    }
}

scep_health_t *scep_status_health(const scep_service_conf_t *service, apr_pool_t *p)
{
    scep_health_t *health = apr_pcalloc(p, sizeof(*health));
    const char *text = NULL;

    health->problems = apr_array_make(p, 2, sizeof(const char *));
    health->warnings = apr_array_make(p, 2, sizeof(const char *));
    health->store = health->ca = "";
    if (service->broken) {
        health->store = health->ca = "not set up in this process";
        APR_ARRAY_PUSH(health->problems, const char *) =
            "this process could not be set up; see the error log";
        return health;
    }
    if (store_health(service->store, service->name, &text, p) != APR_SUCCESS) {
        health->store = text && *text ? text : "no answer";
        APR_ARRAY_PUSH(health->problems, const char *) =
            apr_pstrcat(p, "store: ", health->store, NULL);
    }
    text = NULL;
    if (ca_health(service->core.ca, &text, p) != APR_SUCCESS) {
        health->ca = text && *text ? text : "no answer";
        /* where requests wait for the CA, devices are served all the same */
        APR_ARRAY_PUSH(service->core.ca_wait > 0 ? health->warnings : health->problems,
                       const char *) = apr_pstrcat(p, "CA: ", health->ca, NULL);
    }
    judge_certificates(health, &service->core, p);
    judge_crl(health, service->core.ca);
    return health;
}

/* One certificate. */
static json_t *certificate(const char *use, const X509 *cert, apr_pool_t *p)
{
    json_t *object = json_object();

    set_text(object, "use", use, p);
    set_text(object, "subject", crypt_name_text(X509_get_subject_name(cert), p), p);
    set_text(object, "serial", crypt_serial_text(X509_get0_serialNumber(cert), p), p);
    scep_status_set_time(object, "not_after", crypt_asn1_time(X509_get0_notAfter(cert)));
    set_number(object, "days", scep_days_left(cert));
    return object;
}

/* The certificates that the service works with, the current ones first. */
static json_t *certificates(const scep_service_t *core, apr_pool_t *p)
{
    json_t *array = json_array();
    STACK_OF(X509) *chain = NULL;
    int i;

    for (i = 0; core->has_ra && i < core->signers->nelts; i++) {
        json_array_append_new(array,
                              certificate(i ? "RA signing, older" : "RA signing",
                                          APR_ARRAY_IDX(core->signers, i, scep_ra_key_t).cert, p));
    }
    for (i = 0; core->has_ra && i < core->decrypters->nelts; i++) {
        json_array_append_new(
            array, certificate(i ? "RA encryption, older" : "RA encryption",
                               APR_ARRAY_IDX(core->decrypters, i, scep_ra_key_t).cert, p));
    }
    if (ca_chain_known(core->ca, &chain, p) == APR_SUCCESS) {
        for (i = 0; i < sk_X509_num(chain); i++) {
            json_array_append_new(array,
                                  certificate(i ? "CA above" : "CA", sk_X509_value(chain, i), p));
        }
    }
    return array;
}

/* Store or CA: what it is and whether it can be asked. */
static json_t *peer(const char *key, const char *name, const char *problem, apr_pool_t *p)
{
    json_t *object = json_object();

    set_text(object, key, name, p);
    json_object_set_new(object, "ok", json_boolean(!*problem));
    set_text(object, "problem", problem, p);
    return object;
}

/* The CA backend, and until when the revocation list is good. */
static json_t *authority(const scep_service_conf_t *service, const scep_health_t *health,
                         apr_pool_t *p)
{
    json_t *object = peer("backend", ca_name(service->core.ca), health->ca, p);
    apr_time_t next = 0;

    if (ca_crl_expires(service->core.ca, &next) == APR_SUCCESS) {
        scep_status_set_time(object, "crl_next_update", next);
    }
    return object;
}

/* Who gets a challenge, and what becomes of it. */
static json_t *challenges(const scep_props_t *e, apr_pool_t *p)
{
    json_t *object = json_object(), *names = json_array();
    int i;

    for (i = 0; i < e->policies->nelts; i++) {
        json_array_append_new(
            names, scep_status_text(APR_ARRAY_IDX(e->policies, i, scep_words_t).name, p));
    }
    json_object_set_new(object, "policies", names);
    set_span(object, "lifetime", e->lifetime);
    set_number(object, "max", e->max);
    set_number(object, "uses", e->uses);
    set_number(object, "attempts", e->attempts);
    set_number(object, "failure_limit", e->failure_max);
    set_number(object, "failure_limit_service", e->failure_max_service);
    set_span(object, "failure_window", e->failure_window);
    return object;
}

/* When a certificate can be renewed. */
static json_t *renewal(const scep_props_t *e)
{
    static const char *const keys[] = {"any", "new", "same"};
    json_t *object = json_object();

    json_object_set_new(object, "enabled", json_boolean(e->renewal));
    json_object_set_new(object, "window",
                        e->renewal_window ? json_integer(apr_time_sec(e->renewal_window))
                                          : json_string("any"));
    set_span(object, "grace", e->renewal_grace);
    json_object_set_new(object, "same_subject", json_boolean(e->renewal_same_subject));
    json_object_set_new(object, "key", json_string(keys[e->renewal_key]));
    json_object_set_new(object, "foreign", json_boolean(e->renewal_ca_file != NULL));
    return object;
}

/* What waits for a person. */
static json_t *approval(const scep_props_t *e, apr_pool_t *p)
{
    const apr_array_header_t *names = e->approval ? e->approval->templates : NULL;
    json_t *object = json_object();

    json_object_set_new(object, "mode", json_string(names ? "manual" : "automatic"));
    json_object_set_new(object, "templates", texts(names, p));
    set_number(object, "pending_max", e->pending_max);
    set_span(object, "poll_interval", e->poll_interval);
    return object;
}

json_t *scep_status_service(const scep_service_conf_t *service, apr_pool_t *p)
{
    const scep_props_t *e = &service->effective;
    scep_health_t *health = scep_status_health(service, p);
    json_t *object = json_object();

    set_text(object, "service", service->name, p);
    set_text(object, "path", scep_path_enroll(service, p), p);
    set_text(object, "admin_path", scep_path_admin(service, p), p);
    json_object_set_new(object, "ready", json_boolean(!health->problems->nelts));
    json_object_set_new(object, "problems", texts(health->problems, p));
    json_object_set_new(object, "warnings", texts(health->warnings, p));
    json_object_set_new(object, "store", peer("url", service->store->display, health->store, p));
    json_object_set_new(object, "ca", authority(service, health, p));
    json_object_set_new(object, "certificates", certificates(&service->core, p));
    json_object_set_new(object, "challenges", challenges(e, p));
    json_object_set_new(object, "renewal", renewal(e));
    json_object_set_new(object, "approval", approval(e, p));
    return object;
}

int scep_status_at_ca(const store_tx_t *tx)
{
    return !strncmp(tx->cookie, "ca:", 3) || policy_retry_of(tx->cookie).tries > 0;
}

json_t *scep_status_tx(const store_tx_t *tx, apr_pool_t *p)
{
    const policy_retry_t retry = policy_retry_of(tx->cookie);
    json_t *object = json_object();

    set_text(object, "tx", tx->tx_key, p);
    set_text(object, "transaction_id", tx->transaction_id, p);
    set_text(object, "subject", tx->subject, p);
    set_text(object, "template", tx->template_name, p);
    set_text(object, "client", tx->client, p);
    scep_status_set_time(object, "created", tx->created);
    /* the short id that the log shows with the challenge's caller */
    set_text(object, "challenge", apr_pstrndup(p, tx->challenge_id, SHORT_ID), p);
    set_text(object, "caller", tx->challenge.caller, p);
    set_text(object, "waits_for",
             scep_status_at_ca(tx) ? "ca"
             : *tx->decision       ? "device"
                                   : "approval",
             p);
    if (retry.tries > 0) {
        json_object_set_new(object, "ca_tries", json_integer(retry.tries));
        scep_status_set_time(object, "ca_away_since", retry.since);
    }
    set_text(object, "decision", tx->decision, p);
    set_text(object, "decided_by", tx->decided_by, p);
    set_text(object, "reason", tx->text, p);
    return object;
}

json_t *scep_status_attributes(const policy_attributes_t *attributes, apr_pool_t *p)
{
    const struct {
        const char *key, *value;
    } all[] = {{"template", attributes->template_name},
               {"subject", attributes->subject_text},
               {"sid", attributes->sid},
               {"device", attributes->device},
               {"user", attributes->user}};
    json_t *object = json_object();
    size_t i;

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].value) {
            set_text(object, all[i].key, all[i].value, p);
        }
    }
    if (json_object_size(object)) {
        return object;
    }
    json_decref(object);
    return json_null();
}

/* What was written to the BIO, which is freed. */
static const char *bio_text(BIO *bio, apr_pool_t *p)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    const char *text = len > 0 ? apr_pstrmemdup(p, data, (apr_size_t)len) : "";

    BIO_free(bio);
    return text;
}

/* The requested names, one by one, so that no name can look like two. */
static json_t *names(const csr_t *csr, apr_pool_t *p)
{
    const apr_array_header_t *list = csr_names(csr, p);
    json_t *array = json_array();
    int i;

    for (i = 0; list && i < list->nelts; i++) {
        json_array_append_new(array, scep_status_text(APR_ARRAY_IDX(list, i, const char *), p));
    }
    return array;
}

/* The other requested extensions, as OpenSSL prints them. */
static json_t *extensions(const csr_t *csr, apr_pool_t *p)
{
    json_t *array = json_array();
    char name[80];
    int i;

    for (i = 0; csr->extensions && i < sk_X509_EXTENSION_num(csr->extensions); i++) {
        X509_EXTENSION *ext = sk_X509_EXTENSION_value(csr->extensions, i);
        ASN1_OBJECT *object = X509_EXTENSION_get_object(ext);
        json_t *entry = json_object();
        BIO *bio = BIO_new(BIO_s_mem());

        OBJ_obj2txt(name, sizeof(name), object, 0);
        set_text(entry, "name", name, p);
        json_object_set_new(entry, "critical", json_boolean(X509_EXTENSION_get_critical(ext)));
        if (bio && OBJ_obj2nid(object) == NID_subject_alt_name) {
            BIO_puts(bio, "see above");
        }
        else if (bio && !X509V3_EXT_print(bio, ext, X509V3_EXT_DEFAULT, 0)) {
            BIO_printf(bio, "%d bytes", ASN1_STRING_length(X509_EXTENSION_get_data(ext)));
        }
        set_text(entry, "value", bio ? bio_text(bio, p) : "", p);
        json_array_append_new(array, entry);
    }
    return array;
}

json_t *scep_status_csr(const scep_service_conf_t *service, const crypt_buf_t *der, apr_pool_t *p)
{
    csr_t *csr = NULL;
    outcome_t out;
    json_t *object;

    if (!der->len ||
        csr_make(&csr, der, scep_csr_digests(&service->core), &out, p) != APR_SUCCESS) {
        return NULL;
    }
    object = json_object();
    set_text(object, "subject", csr->subject_text, p);
    set_text(object, "key", crypt_key_name(csr->key, p), p);
    json_object_set_new(object, "names", names(csr, p));
    json_object_set_new(object, "extensions", extensions(csr, p));
    ERR_clear_error();
    return object;
}
