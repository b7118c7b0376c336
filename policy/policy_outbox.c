/* SPDX-License-Identifier: Apache-2.0 */
/* What the end of a transaction leaves in the store: news, sealed, and the record of a certificate;
 * see policy_outbox.h. */
#include "policy_outbox.h"
#include "../common/http_client.h"
#include <apr_strings.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SEAL_OVERHEAD 64 /* more than policy_seal() adds */
#define SUBJECT_MAX 1024 /* bytes of a record's texts: all of them fit, escaped, into the store's */
#define FIELD_MAX 255
/* a certificate that has ended stays in the inventory for so long */
#define KEEP_AFTER_END apr_time_from_sec(7 * 86400)

const char *policy_event_name(policy_event_e event)
{
    switch (event) {
    case POLICY_EVENT_ISSUED: return "issued";
    case POLICY_EVENT_PENDING: return "pending";
    case POLICY_EVENT_REFUSED: return "refused";
    case POLICY_EVENT_TRANSIENT: return "transient";
    default: return "unknown";
    }
}

const char *policy_recipient(const policy_t *policy, int n, apr_pool_t *p)
{
    const policy_provider_t *provider = policy_link_at(policy, n)->provider;
    int i, number = 1;

    for (i = 0; i < n; i++) {
        if (policy_link_at(policy, i)->provider == provider)
            number++;
    }
    return apr_psprintf(p, "%s#%d", provider->name, number);
}

/* The id of news for a recipient; NULL: no SHA-256. */
static const char *news_id(const policy_tx_t *tx, const char *recipient, policy_event_e event,
                           apr_pool_t *p)
{
    const char *texts[] = {tx->policy->cfg->service, tx->tx_key, recipient,
                           policy_event_name(event)};
    unsigned char digest[STORE_ID_LEN / 2];
    crypt_buf_t parts[4];
    int i;

    for (i = 0; i < 4; i++) {
        parts[i].data = (const unsigned char *)texts[i];
        parts[i].len = strlen(texts[i]);
    }
    return crypt_sha256_parts(digest, parts, 4) == APR_SUCCESS
               ? crypt_hex(digest, sizeof(digest), 0, p) : NULL;
}

const char *policy_news_id(const policy_tx_t *tx, const void *instance, policy_event_e event,
                           apr_pool_t *p)
{
    const policy_link_t *link;
    int i;

    for (i = 0; (link = policy_link_at(tx->policy, i)) != NULL; i++) {
        if (link->instance == instance)
            return news_id(tx, policy_recipient(tx->policy, i, p), event, p);
    }
    return NULL;
}

const char *policy_news_context(const char *id, const char *recipient, apr_pool_t *p)
{
    return apr_pstrcat(p, id, " ", recipient, NULL);
}

void policy_trail_init(policy_trail_t *trail, const policy_config_t *cfg)
{
    memset(trail, 0, sizeof(*trail));
    trail->trail.record = "";
    trail->trail.news = trail->news;
    trail->trail.news_lifetime = cfg->news_lifetime;
}

apr_status_t policy_trail_add(policy_trail_t *trail, const policy_tx_t *tx, int n,
                              policy_event_e event, const char *text, apr_pool_t *p)
{
    store_news_t *news = &trail->news[trail->trail.nnews];
    crypt_buf_t plain;
    apr_status_t rv;

    if (!text)
        return APR_SUCCESS;
    plain.data = (const unsigned char *)text;
    plain.len = strlen(text);
    if (trail->trail.nnews == STORE_NEWS_PER_TX || plain.len > STORE_NEWS_MAX - SEAL_OVERHEAD)
        return APR_ENOSPC;
    news->recipient = policy_recipient(tx->policy, n, p);
    news->id = news_id(tx, news->recipient, event, p);
    if (!news->id)
        return APR_EGENERAL;
    rv = policy_seal(&news->payload, tx->policy,
                     policy_news_context(news->id, news->recipient, p), &plain, p);
    if (rv == APR_SUCCESS)
        trail->trail.nnews++;
    return rv;
}

const store_trail_t *policy_trail_get(const policy_trail_t *trail)
{
    return trail->trail.nnews || *trail->trail.record || trail->trail.entry ? &trail->trail : NULL;
}

const char *policy_thumbprint(const crypt_buf_t *der, apr_pool_t *p)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    if (!EVP_Digest(der->data, der->len, digest, &len, EVP_sha1(), NULL))
        return NULL;
    return crypt_hex(digest, len, 1, p);
}

/* Adds a text, cut and without control characters; one that is not known or no UTF-8 is left
 * out. */
static void add(json_t *record, const char *key, const char *text, apr_size_t max, apr_pool_t *p)
{
    json_t *value = text && *text ? json_string(http_printable(text, max, p)) : NULL;

    if (value)
        json_object_set_new(record, key, value);
}

/* Adds a moment as RFC 3339 writes it. */
static void add_time(json_t *record, const char *key, apr_time_t when, apr_pool_t *p)
{
    apr_time_exp_t t;

    if (!when)
        return;
    apr_time_exp_gmt(&t, when);
    add(record, key,
        apr_psprintf(p, "%04d-%02d-%02dT%02d:%02d:%02dZ", t.tm_year + 1900, t.tm_mon + 1,
                     t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec),
        FIELD_MAX, p);
}

/* Whose it is: as the providers said, else as the challenge was made for. */
static void add_owner(json_t *record, const policy_tx_t *tx, apr_pool_t *p)
{
    const char *device = tx->attributes.device, *user = tx->attributes.user;
    const char *bound = tx->store_tx.challenge.bound;
    json_t *object = bound && *bound ? json_loads(bound, 0, NULL) : NULL;

    if (!device)
        device = json_string_value(json_object_get(object, "device"));
    if (!user)
        user = json_string_value(json_object_get(object, "user"));
    add(record, "device", device, FIELD_MAX, p);
    add(record, "user", user, FIELD_MAX, p);
    json_decref(object);
}

/* The subject that the certificate has. */
static const char *subject_of(const policy_tx_t *tx, apr_pool_t *p)
{
    const crypt_buf_t *der = &tx->attributes.subject;
    const unsigned char *data = der->data;
    X509_NAME *name = data ? d2i_X509_NAME(NULL, &data, (long)der->len) : NULL;
    const char *text = name ? crypt_name_text(name, p) : tx->request->csr->subject_text;

    X509_NAME_free(name);
    return text;
}

void policy_trail_record(policy_trail_t *trail, const policy_tx_t *tx, const policy_event_t *event,
                         apr_pool_t *p)
{
    const char *template_name = tx->attributes.template_name;
    json_t *record;
    char *text;

    if (!tx->request)
        return;
    record = json_object();
    add(record, "transactionID", tx->request->transaction_id, FIELD_MAX, p);
    add(record, "serial", event->serial, FIELD_MAX, p);
    add(record, "thumbprint", policy_thumbprint(&event->certificate, p), FIELD_MAX, p);
    add_time(record, "notAfter", event->not_after, p);
    add_time(record, "issued", apr_time_now(), p);
    add(record, "subject", subject_of(tx, p), SUBJECT_MAX, p);
    add(record, "template", template_name ? template_name : tx->request->template_name, FIELD_MAX,
        p);
    add_owner(record, tx, p);
    text = json_dumps(record, JSON_COMPACT);
    trail->trail.record = text && strlen(text) <= STORE_LONG_TEXT_MAX ? apr_pstrdup(p, text) : "";
    free(text);
    json_decref(record);
}

int policy_trail_entry(policy_trail_t *trail, const policy_tx_t *tx, const policy_event_t *event,
                       apr_pool_t *p)
{
    const char *template_name = tx->attributes.template_name;
    const apr_time_t later = apr_time_now() + tx->policy->cfg->retention;
    store_entry_t *entry = &trail->entry;
    unsigned char digest[STORE_ID_LEN / 2];
    const crypt_buf_t *certificate = &event->certificate;

    if (event->issuer.len == 0 || !event->serial || !*event->serial || event->not_after <= 0)
        return 1;
    entry->issuer = store_issuer(&event->issuer, p);
    if (!entry->issuer ||
        !EVP_Digest(certificate->data, certificate->len, digest, NULL, EVP_sha256(), NULL))
        return 0;
    entry->serial = event->serial;
    entry->digest = crypt_hex(digest, sizeof(digest), 0, p);
    if (event->subject.len <= STORE_LONG_TEXT_MAX)
        entry->subject = event->subject;
    entry->template_name = template_name   ? template_name
                           : tx->request   ? tx->request->template_name
                                           : tx->store_tx.template_name;
    entry->not_after = event->not_after;
    entry->until = event->not_after + KEEP_AFTER_END;
    if (entry->until < later)
        entry->until = later;
    trail->trail.entry = entry;
    return 1;
}
