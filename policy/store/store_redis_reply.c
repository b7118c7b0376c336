/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what a Redis server sends; see store_redis_reply.h. */
#include "store_redis_reply.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

/* The text of a reply, NUL-terminated; NULL: it is none, or has a NUL inside. */
const char *reply_text(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS)
        return NULL;
    if (strlen(reply->str) != (size_t)reply->len)
        return NULL;
    return reply->str;
}

/* Reads a whole number that is not negative; whether it is one. */
int reply_number(const redisReply *reply, apr_int64_t *number)
{
    const char *text;
    char *end;

    if (reply->type == REDIS_REPLY_INTEGER) {
        *number = reply->integer;
        return *number >= 0;
    }
    text = reply_text(reply);
    if (!text || !apr_isdigit(*text) || strlen(text) > 18)
        return 0;
    *number = apr_strtoi64(text, &end, 10);
    return *end == '\0';
}

/* Reads a time or span given in milliseconds. */
int reply_time(const redisReply *reply, apr_time_t *time)
{
    apr_int64_t ms;

    if (!reply_number(reply, &ms) || ms > APR_INT64_MAX / 1000)
        return 0;
    *time = ms * 1000;
    return 1;
}

/* Finds the result word of a script among those that its slot knows. */
int reply_result(const redisReply *reply, store_result_e *result)
{
    static const struct {
        const char *word;
        store_result_e result;
    } words[] = {{"OK", STORE_OK},
                 {"CLAIMED", STORE_CLAIMED},
                 {"ISSUED", STORE_ISSUED},
                 {"PENDING", STORE_PENDING},
                 {"BUSY", STORE_BUSY},
                 {"NOCHALLENGE", STORE_NOCHALLENGE},
                 {"USED", STORE_USED},
                 {"EXPIRED", STORE_EXPIRED},
                 {"MISMATCH", STORE_MISMATCH},
                 {"TXCONFLICT", STORE_TXCONFLICT},
                 {"FULL", STORE_FULL},
                 {"EXISTS", STORE_EXISTS},
                 {"FENCED", STORE_FENCED},
                 {"REFUSED", STORE_REFUSED},
                 {"ABANDONED", STORE_REFUSED},
                 {"NOTFOUND", STORE_NOTFOUND},
                 {"HELD", STORE_HELD},
                 {"LIMITED", STORE_LIMITED},
                 {"CONFLICT", STORE_CONFLICT},
                 {"CALLERFULL", STORE_CALLERFULL},
                 {"OWNERFULL", STORE_OWNERFULL}};
    const char *text = reply_text(reply);
    size_t i;

    for (i = 0; text && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i].word) == 0) {
            *result = words[i].result;
            return 1;
        }
    }
    return 0;
}

/* The value of a field in a flat list of fields and values; NULL: absent. */
static const redisReply *field_of(const redisReply *hash, const char *name)
{
    size_t i;

    for (i = 0; i + 1 < (size_t)hash->elements; i += 2) {
        const char *field = reply_text(hash->element[i]);

        if (field && strcmp(field, name) == 0)
            return hash->element[i + 1];
    }
    return NULL;
}

/* A text field, "" where it is absent; *ok is cleared where it is no text. */
static const char *get_text(const redisReply *hash, const char *name, int *ok, apr_pool_t *p)
{
    const redisReply *value = field_of(hash, name);
    const char *text = value ? reply_text(value) : "";

    if (!text)
        *ok = 0;
    return text ? apr_pstrdup(p, text) : "";
}

/* A number field, 0 where it is absent. */
static apr_int64_t get_number(const redisReply *hash, const char *name, int *ok)
{
    const redisReply *value = field_of(hash, name);
    apr_int64_t number = 0;

    if (value && !reply_number(value, &number))
        *ok = 0;
    return number;
}

/* A time field, 0 where it is absent. */
apr_time_t reply_get_time(const redisReply *hash, const char *name, int *ok)
{
    const redisReply *value = field_of(hash, name);
    apr_time_t time = 0;

    if (value && !reply_time(value, &time))
        *ok = 0;
    return time;
}

/* Whether a field is this text. */
int reply_field_is(const redisReply *hash, const char *name, const char *text)
{
    const redisReply *value = field_of(hash, name);
    const char *is = value ? reply_text(value) : NULL;

    return is && strcmp(is, text) == 0;
}

/* A field's bytes, none where it is absent or empty. */
static crypt_buf_t get_bytes(const redisReply *hash, const char *name, apr_pool_t *p)
{
    const redisReply *value = field_of(hash, name);
    crypt_buf_t bytes = {NULL, 0};

    if (value && value->type == REDIS_REPLY_STRING && value->len > 0) {
        bytes.data = apr_pmemdup(p, value->str, value->len);
        bytes.len = value->len;
    }
    return bytes;
}

/* Reads a transaction's hash into tx; whether it is one (an empty one is fine). */
int reply_tx(const redisReply *hash, const char *tx_key, store_tx_t *tx, apr_pool_t *p)
{
    int ok = 1;

    if (hash->type != REDIS_REPLY_ARRAY)
        return 0;
    if (hash->elements == 0)
        return 1;
    tx->tx_key = apr_pstrdup(p, tx_key);
    tx->state = get_text(hash, "state", &ok, p);
    tx->fence = get_number(hash, "fence", &ok);
    tx->serial = get_text(hash, "serial", &ok, p);
    tx->not_before = reply_get_time(hash, "not_before", &ok);
    tx->cookie = get_text(hash, "cookie", &ok, p);
    tx->reason = get_text(hash, "reason", &ok, p);
    tx->transaction_id = get_text(hash, "transaction_id", &ok, p);
    tx->subject = get_text(hash, "subject", &ok, p);
    tx->template_name = get_text(hash, "template", &ok, p);
    tx->client = get_text(hash, "client", &ok, p);
    tx->csr_digest = get_text(hash, "csr", &ok, p);
    tx->challenge_id = get_text(hash, "challenge", &ok, p);
    tx->created = reply_get_time(hash, "created", &ok);
    tx->updated = reply_get_time(hash, "updated", &ok);
    tx->poll_key = get_text(hash, "poll", &ok, p);
    tx->decision = get_text(hash, "decision", &ok, p);
    tx->nonce = get_text(hash, "nonce", &ok, p);
    tx->decided_by = get_text(hash, "decided_by", &ok, p);
    tx->text = get_text(hash, "text", &ok, p);
    tx->record = get_text(hash, "record", &ok, p);
    tx->record_state = get_text(hash, "record_state", &ok, p);
    tx->certificate = get_bytes(hash, "certificate", p);
    tx->request = get_bytes(hash, "request", p);
    return ok && strlen(tx->serial) == STORE_SERIAL_LEN && tx->fence > 0;
}

/* Reads a challenge's hash; whether it is one (an empty one is fine). */
int reply_challenge(const redisReply *hash, const char *id, store_challenge_t *ch, apr_pool_t *p)
{
    int ok = 1;

    if (hash->type != REDIS_REPLY_ARRAY)
        return 0;
    if (hash->elements == 0)
        return 1;
    ch->id = id;
    ch->issued = reply_get_time(hash, "issued", &ok);
    ch->expires = reply_get_time(hash, "expires", &ok);
    ch->lifetime = reply_get_time(hash, "lifetime", &ok);
    ch->uses = (int)get_number(hash, "uses", &ok);
    ch->attempts = (int)get_number(hash, "attempts", &ok);
    ch->caller = get_text(hash, "caller", &ok, p);
    ch->template_name = get_text(hash, "template", &ok, p);
    ch->bound = get_text(hash, "bound", &ok, p);
    return ok;
}

int reply_entry(const redisReply *place, const redisReply *hash, store_entry_t *entry,
                apr_pool_t *p)
{
    const apr_size_t issuer = 16, serial = issuer + STORE_ISSUER_LEN + 1;
    const char *text = reply_text(place);
    int ok = text != NULL && strlen(text) > serial && strlen(text) <= STORE_PLACE_MAX &&
             hash->type == REDIS_REPLY_ARRAY;

    memset(entry, 0, sizeof(*entry));
    if (!ok)
        return 0;
    entry->place = apr_pstrdup(p, text);
    entry->issuer = apr_pstrmemdup(p, text + issuer, STORE_ISSUER_LEN);
    entry->serial = apr_pstrdup(p, text + serial);
    entry->digest = get_text(hash, "digest", &ok, p);
    entry->subject = get_bytes(hash, "subject", p);
    entry->template_name = get_text(hash, "template", &ok, p);
    entry->tx_key = get_text(hash, "tx", &ok, p);
    entry->transaction_id = get_text(hash, "transaction_id", &ok, p);
    entry->not_after = reply_get_time(hash, "not_after", &ok);
    entry->created = reply_get_time(hash, "created", &ok);
    return ok && strlen(entry->digest) == STORE_ID_LEN;
}

/* Reads "seen:secret:ca:templates"; NULL: it is not that. */
store_host_t *reply_host(const redisReply *name, const redisReply *value, apr_pool_t *p)
{
    store_host_t *host = apr_pcalloc(p, sizeof(*host));
    const char *text = reply_text(value);
    char *part[4] = {NULL, NULL, NULL, NULL};
    int i;

    host->host = reply_text(name);
    if (!host->host || !text)
        return NULL;
    host->host = apr_pstrdup(p, host->host);
    part[0] = apr_pstrdup(p, text);
    for (i = 1; i < 4; i++) {
        part[i] = strchr(part[i - 1], ':');
        if (!part[i])
            return NULL;
        *part[i]++ = '\0';
    }
    host->seen = apr_time_from_msec(apr_strtoi64(part[0], NULL, 10));
    host->secret = part[1];
    host->ca = part[2];
    host->templates = part[3];
    return host;
}
