/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's front door: finds the provider of a URL, and checks the arguments of every slot once,
 * so that a store may rely on them (lengths, hex, no NULL).
 */
#include "store.h"
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ERROR_KEY "scep-store-error"
#define SERVICE_MAX 64

const store_provider_t *const store_builtin[] = {
    &store_sqlite, &store_redis, &store_rediss, &store_redis_unix, &store_redis_sentinel,
    &store_rediss_sentinel, &store_redis_cluster, &store_rediss_cluster, NULL};

const char *store_result_name(store_result_e result)
{
    static const char *const names[] = {
        "ok",           "claimed", "issued",  "pending",  "busy",
        "no-challenge", "used",    "expired", "mismatch", "transaction-conflict",
        "full",         "exists",  "fenced",  "refused",  "not-found",
        "held",         "limited", "conflict", "caller-full",
        "owner-full"};

    if ((unsigned)result >= sizeof(names) / sizeof(names[0]))
        return "unknown";
    return names[result];
}

const char *store_error(apr_pool_t *p)
{
    void *text = NULL;

    apr_pool_userdata_get(&text, ERROR_KEY, p);
    return text ? text : "";
}

apr_status_t store_set_error(apr_pool_t *p, apr_status_t status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    apr_pool_userdata_setn(apr_pvsprintf(p, format, args), ERROR_KEY, NULL, p);
    va_end(args);
    return status;
}

/* Makes what is missing of dir, as mkdir -p does; only the last one gets the owner. */
static apr_status_t make_directories(const char *dir, uid_t uid, gid_t gid, apr_pool_t *p)
{
    const char *slash = strrchr(dir, '/');
    struct stat info;
    apr_status_t rv;

    if (stat(dir, &info) == 0)
        return S_ISDIR(info.st_mode) ? APR_SUCCESS : APR_ENOTDIR;
    if (slash && slash != dir) {
        const char *parent = apr_pstrmemdup(p, dir, slash - dir);

        if (stat(parent, &info) != 0) {
            rv = apr_dir_make_recursive(parent, APR_FPROT_OS_DEFAULT, p);
            if (rv != APR_SUCCESS)
                return rv;
        }
    }
    if (mkdir(dir, 0700) != 0)
        return errno == EEXIST ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
    if (geteuid() == 0 && lchown(dir, uid, gid) != 0)
        return APR_FROM_OS_ERROR(errno);
    return APR_SUCCESS;
}

const char *store_prepare_directory(const char *dir, uid_t uid, gid_t gid, apr_pool_t *p)
{
    char message[120];
    apr_status_t rv = make_directories(dir, uid, gid, p);

    if (rv == APR_SUCCESS)
        return NULL;
    return apr_psprintf(p, "cannot make the directory %s: %s", dir,
                        apr_strerror(rv, message, sizeof(message)));
}

/* The built-in store of a scheme; NULL: none. */
static const store_provider_t *lookup_builtin(const char *scheme)
{
    int i;

    for (i = 0; store_builtin[i]; i++) {
        if (strcmp(store_builtin[i]->name, scheme) == 0)
            return store_builtin[i];
    }
    return NULL;
}

const char *store_make(store_t **pstore, const store_config_t *cfg,
                       const store_provider_t *(*lookup)(const char *scheme), apr_pool_t *p)
{
    const char *url = cfg->url ? cfg->url : "sqlite:";
    const char *colon = strchr(url, ':');
    const store_provider_t *provider;
    store_config_t *copy;
    const char *known = "";
    char *scheme;
    int i;

    *pstore = NULL;
    for (i = 0; store_builtin[i]; i++)
        known = apr_pstrcat(p, known, i ? ", " : "", store_builtin[i]->name, ":", NULL);
    if (!colon || colon == url)
        return apr_psprintf(p, "the store's URL has no scheme (known: %s)", known);
    scheme = apr_pstrmemdup(p, url, colon - url);
    for (i = 0; scheme[i]; i++)
        scheme[i] = (char)apr_tolower(scheme[i]);
    provider = lookup ? lookup(scheme) : lookup_builtin(scheme);
    if (!provider || !provider->create)
        return apr_psprintf(p, "unknown store '%s:' (known: %s)", scheme, known);
    copy = apr_pmemdup(p, cfg, sizeof(*cfg));
    copy->url = url;
    return provider->create(pstore, copy, p);
}

/* Whether text is len lower-case hex digits. */
static int is_hex(const char *text, apr_size_t len)
{
    apr_size_t i;

    if (!text)
        return 0;
    for (i = 0; i < len; i++) {
        if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
            return 0;
    }
    return text[len] == '\0';
}

/* Whether text is there and has at most max bytes. */
static int is_text(const char *text, apr_size_t max)
{
    return text && strnlen(text, max + 1) <= max;
}

/* Whether text is a certificate's serial number, or "". */
static int is_serial(const char *text)
{
    return is_text(text, STORE_CERTIFICATE_SERIAL_MAX) && is_hex(text, strlen(text));
}

/* Whether text may be a part of a Redis key with a hash tag: letters, digits, dot, dash,
 * underscore. */
static int is_service(const char *text)
{
    const char *c;

    if (!is_text(text, SERVICE_MAX) || !*text)
        return 0;
    for (c = text; *c; c++) {
        if (!apr_isalnum(*c) && !strchr("._-", *c))
            return 0;
    }
    return 1;
}

void store_clear_tx(store_tx_t *tx)
{
    memset(tx, 0, sizeof(*tx));
    tx->tx_key = tx->state = tx->serial = tx->cookie = tx->reason = "";
    tx->transaction_id = tx->subject = tx->template_name = tx->client = "";
    tx->csr_digest = tx->challenge_id = tx->poll_key = "";
    tx->nonce = tx->decision = tx->decided_by = tx->text = tx->record = tx->record_state = "";
    tx->challenge.id = tx->challenge.caller = tx->challenge.template_name = "";
    tx->challenge.bound = "";
}

/* The status of a slot's call; where it is not known what happened, the result says no. */
static apr_status_t answer(apr_status_t rv, store_result_e *result, store_result_e no)
{
    if (rv != APR_SUCCESS)
        *result = no;
    return rv;
}

/* The status of a call with bad arguments. */
static apr_status_t invalid(apr_pool_t *p, const char *slot)
{
    return store_set_error(p, APR_EINVAL, "bad argument for the store's %s", slot);
}

apr_status_t store_child_init(store_t *store, apr_pool_t *pchild)
{
    if (!store->provider->child_init)
        return APR_SUCCESS;
    return store->provider->child_init(store, pchild);
}

/* Whether a challenge can be kept, but for its id. */
static int is_challenge(const store_challenge_t *c)
{
    return c->lifetime > 0 && c->uses >= 0 && c->attempts >= 0 &&
           is_text(c->caller, STORE_TEXT_MAX) && is_text(c->template_name, STORE_TEXT_MAX) &&
           is_text(c->bound, STORE_LONG_TEXT_MAX);
}

/* Whether an entry of the inventory can be kept. */
static int is_entry(const store_entry_t *entry)
{
    return is_hex(entry->issuer, STORE_ISSUER_LEN) && is_serial(entry->serial) && *entry->serial &&
           is_hex(entry->digest, STORE_ID_LEN) && entry->subject.len <= STORE_LONG_TEXT_MAX &&
           is_text(entry->template_name, STORE_TEXT_MAX) && entry->not_after > 0 &&
           entry->until > 0;
}

/* Whether everything of a trail can be kept; none is fine. */
static int is_trail(const store_trail_t *trail)
{
    const store_news_t *news;
    int i;

    if (!trail)
        return 1;
    if (!is_text(trail->record, STORE_LONG_TEXT_MAX) || trail->nnews < 0 ||
        trail->nnews > STORE_NEWS_PER_TX || (trail->nnews && trail->news_lifetime <= 0) ||
        (trail->entry && !is_entry(trail->entry)))
        return 0;
    for (i = 0; i < trail->nnews; i++) {
        news = &trail->news[i];
        if (!is_hex(news->id, STORE_ID_LEN) || !is_text(news->recipient, STORE_TEXT_MAX) ||
            !*news->recipient || !news->payload.data || news->payload.len > STORE_NEWS_MAX)
            return 0;
    }
    return 1;
}

apr_status_t store_issue(store_t *store, const char *service, store_challenge_t *challenge, int cap,
                         store_result_e *result, int *outstanding, apr_interval_time_t *wait,
                         apr_pool_t *p)
{
    *result = STORE_NOTFOUND;
    *outstanding = 0;
    *wait = 0;
    challenge->issued = challenge->expires = 0;
    if (!store->provider->issue)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_hex(challenge->id, STORE_ID_LEN) || !is_challenge(challenge) ||
        cap < 0 || challenge->caller_max < 0)
        return invalid(p, "issue");
    return answer(
        store->provider->issue(store, service, challenge, cap, result, outstanding, wait, p),
        result, STORE_NOTFOUND);
}

/* Whether a claim's adopted challenge can be kept; none is fine. */
static int is_adopted(const store_claim_t *c)
{
    return !c->adopt || (c->challenge_id[0] && is_challenge(c->adopt));
}

/* Whether the limits of a claim can be counted. */
static int limits_are_valid(const store_claim_t *c)
{
    int i;

    for (i = 0; i < STORE_LIMITS; i++) {
        if (!c->limit[i].name || !*c->limit[i].name || c->limit[i].max == 0)
            continue;
        if (!is_text(c->limit[i].name, STORE_TEXT_MAX) || c->limit[i].max < 0 ||
            c->limit_window <= 0)
            return 0;
    }
    return 1;
}

/* Whether every field of a claim can be kept. */
static int claim_is_valid(const store_claim_t *c)
{
    int i;

    for (i = 0; i < 2; i++) {
        if (c->challenge_id[i] && !is_hex(c->challenge_id[i], STORE_ID_LEN))
            return 0;
    }
    return limits_are_valid(c) && is_hex(c->tx_key, STORE_ID_LEN) &&
           is_hex(c->poll_key, STORE_ID_LEN) && is_hex(c->csr_digest, STORE_ID_LEN) &&
           is_hex(c->nonce, STORE_NONCE_LEN) && is_hex(c->serial, STORE_SERIAL_LEN) &&
           c->lease > 0 && c->retention > 0 && c->not_before >= 0 &&
           is_text(c->transaction_id, STORE_TEXT_MAX) &&
           is_text(c->subject, STORE_LONG_TEXT_MAX) && is_text(c->template_name, STORE_TEXT_MAX) &&
           is_text(c->client, STORE_TEXT_MAX) && is_adopted(c);
}

apr_status_t store_claim(store_t *store, const char *service, const store_claim_t *claim,
                         store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    *result = STORE_NOTFOUND;
    store_clear_tx(tx);
    if (!store->provider->claim)
        return APR_ENOTIMPL;
    if (!is_service(service) || !claim_is_valid(claim))
        return invalid(p, "claim");
    return answer(store->provider->claim(store, service, claim, result, tx, p), result,
                  STORE_NOTFOUND);
}

apr_status_t store_count(store_t *store, const char *service, const store_claim_t *claim,
                         apr_pool_t *p)
{
    if (!store->provider->count)
        return APR_ENOTIMPL;
    if (!is_service(service) || !limits_are_valid(claim))
        return invalid(p, "count");
    return store->provider->count(store, service, claim, p);
}

apr_status_t store_commit(store_t *store, const char *service, const char *tx_key,
                          apr_int64_t fence, const crypt_buf_t *certificate, const char *serial,
                          apr_interval_time_t retention, const store_trail_t *trail,
                          store_result_e *result, apr_pool_t *p)
{
    *result = STORE_FENCED;
    if (!store->provider->commit)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_hex(tx_key, STORE_ID_LEN) || fence < 1 || retention <= 0 ||
        !certificate || !certificate->data || certificate->len == 0 ||
        certificate->len > STORE_CERTIFICATE_MAX || !is_serial(serial) || !is_trail(trail) ||
        (trail && trail->entry && strcmp(trail->entry->serial, serial) != 0))
        return invalid(p, "commit");
    return answer(store->provider->commit(store, service, tx_key, fence, certificate, serial,
                                          retention, trail, result, p),
                  result, STORE_FENCED);
}

apr_status_t store_fail(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                        store_blame_e blame, const char *reason, apr_interval_time_t retention,
                        const store_trail_t *trail, store_result_e *result, apr_pool_t *p)
{
    *result = STORE_FENCED;
    if (!store->provider->fail)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_hex(tx_key, STORE_ID_LEN) || fence < 1 || retention <= 0 ||
        !is_text(reason, STORE_TEXT_MAX) || !is_trail(trail))
        return invalid(p, "fail");
    return answer(store->provider->fail(store, service, tx_key, fence, blame, reason, retention,
                                        trail, result, p),
                  result, STORE_FENCED);
}

apr_status_t store_pend(store_t *store, const char *service, const char *tx_key, apr_int64_t fence,
                        const store_pend_t *pend, const store_trail_t *trail,
                        store_result_e *result, apr_pool_t *p)
{
    *result = STORE_FENCED;
    if (!store->provider->pend)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_hex(tx_key, STORE_ID_LEN) || fence < 1 || pend->wait < 0 ||
        pend->retention <= 0 || pend->max < 0 || pend->owner_max < 0 ||
        !is_text(pend->owner, STORE_ID_LEN) ||
        (*pend->owner && !is_hex(pend->owner, STORE_ID_LEN)) ||
        !is_text(pend->cookie, STORE_LONG_TEXT_MAX) ||
        (pend->request && pend->request->data && pend->request->len > STORE_REQUEST_MAX) ||
        !is_trail(trail))
        return invalid(p, "pend");
    return answer(store->provider->pend(store, service, tx_key, fence, pend, trail, result, p),
                  result, STORE_FENCED);
}

apr_status_t store_poll(store_t *store, const char *service, const char *poll_key,
                        const char *nonce, apr_interval_time_t lease, store_result_e *result,
                        store_tx_t *tx, apr_pool_t *p)
{
    *result = STORE_NOTFOUND;
    store_clear_tx(tx);
    if (!store->provider->poll)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_hex(poll_key, STORE_ID_LEN) ||
        !is_hex(nonce, STORE_NONCE_LEN) || lease <= 0)
        return invalid(p, "poll");
    return answer(store->provider->poll(store, service, poll_key, nonce, lease, result, tx, p),
                  result, STORE_NOTFOUND);
}

apr_status_t store_find(store_t *store, const char *service, const char *tx_key,
                        store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    *result = STORE_NOTFOUND;
    store_clear_tx(tx);
    if (!store->provider->find)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_hex(tx_key, STORE_ID_LEN))
        return invalid(p, "find");
    return answer(store->provider->find(store, service, tx_key, result, tx, p), result,
                  STORE_NOTFOUND);
}

apr_status_t store_find_certificate(store_t *store, const char *service, const char *serial,
                                    store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    *result = STORE_NOTFOUND;
    store_clear_tx(tx);
    if (!store->provider->find_certificate)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_serial(serial) || !*serial)
        return invalid(p, "find_certificate");
    return answer(store->provider->find_certificate(store, service, serial, result, tx, p), result,
                  STORE_NOTFOUND);
}

/* Whether text is a place: created, issuer and serial number of an entry. */
static int is_place(const char *text)
{
    const apr_size_t digits = 15, issuer = digits + 1 + STORE_ISSUER_LEN;

    return is_text(text, STORE_PLACE_MAX) && strspn(text, "0123456789") == digits &&
           text[digits] == ':' && strspn(text + digits + 1, "0123456789abcdef") ==
           STORE_ISSUER_LEN && text[issuer] == ':' && text[issuer + 1] &&
           is_serial(text + issuer + 1);
}

/* Whether a search is for one thing. */
static int is_search(const store_search_t *search)
{
    if (search->serial)
        return is_hex(search->issuer, STORE_ISSUER_LEN) && is_serial(search->serial) &&
               *search->serial;
    if (search->transaction_id)
        return is_text(search->transaction_id, STORE_TEXT_MAX);
    return search->place && (!*search->place || is_place(search->place)) && search->max >= 1 &&
           search->max <= STORE_PAGE_MAX;
}

apr_status_t store_inventory(store_t *store, const char *service, const store_search_t *search,
                             apr_array_header_t **pentries, const char **next, apr_pool_t *p)
{
    *pentries = apr_array_make(p, 0, sizeof(store_entry_t));
    *next = "";
    if (!store->provider->inventory)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_search(search))
        return invalid(p, "inventory");
    return store->provider->inventory(store, service, search, pentries, next, p);
}

const char *store_issuer(const crypt_buf_t *name, apr_pool_t *p)
{
    unsigned char digest[STORE_ID_LEN / 2];

    return crypt_sha256_parts(digest, name, 1) == APR_SUCCESS
               ? crypt_hex(digest, STORE_ISSUER_LEN / 2, 0, p) : NULL;
}

apr_status_t store_decide(store_t *store, const char *service, const char *tx_key,
                          const store_decision_t *decision, apr_interval_time_t retention,
                          store_result_e *result, apr_pool_t *p)
{
    *result = STORE_NOTFOUND;
    if (!store->provider->decide)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_hex(tx_key, STORE_ID_LEN) || retention <= 0 ||
        !is_text(decision->by, STORE_TEXT_MAX) || !is_text(decision->text, STORE_TEXT_MAX) ||
        !is_text(decision->cookie, STORE_LONG_TEXT_MAX) || !is_trail(decision->trail))
        return invalid(p, "decide");
    return answer(store->provider->decide(store, service, tx_key, decision, retention, result, p),
                  result, STORE_NOTFOUND);
}

apr_status_t store_list(store_t *store, const char *service, int max, apr_array_header_t **ptxs,
                        apr_pool_t *p)
{
    *ptxs = apr_array_make(p, 8, sizeof(store_tx_t *));
    if (!store->provider->list)
        return APR_ENOTIMPL;
    if (!is_service(service) || max < 1)
        return invalid(p, "list");
    return store->provider->list(store, service, max, ptxs, p);
}

apr_status_t store_records(store_t *store, const char *service, const char *state, int max,
                           apr_array_header_t **ptxs, apr_pool_t *p)
{
    *ptxs = apr_array_make(p, 0, sizeof(store_tx_t *));
    if (!store->provider->records)
        return APR_ENOTIMPL;
    if (!is_service(service) || max < 1 || !is_text(state, STORE_TEXT_MAX))
        return invalid(p, "records");
    return store->provider->records(store, service, state, max, ptxs, p);
}

apr_status_t store_take(store_t *store, const char *service, int max, apr_interval_time_t lease,
                        apr_array_header_t **pnews, apr_pool_t *p)
{
    *pnews = apr_array_make(p, 0, sizeof(store_news_t *));
    if (!store->provider->take)
        return APR_ENOTIMPL;
    if (!is_service(service) || max < 1 || lease <= 0)
        return invalid(p, "take");
    return store->provider->take(store, service, max, lease, pnews, p);
}

apr_status_t store_settle(store_t *store, const char *service, const char *news_id,
                          apr_int64_t fence, store_settle_e how, apr_interval_time_t wait,
                          store_result_e *result, apr_pool_t *p)
{
    *result = STORE_NOTFOUND;
    if (!store->provider->settle)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_hex(news_id, STORE_ID_LEN) || fence < 1 || wait < 0 ||
        (unsigned)how > STORE_NEWS_LOST)
        return invalid(p, "settle");
    return answer(store->provider->settle(store, service, news_id, fence, how, wait, result, p),
                  result, STORE_NOTFOUND);
}

apr_status_t store_outbox(store_t *store, const char *service, int *count, apr_time_t *oldest,
                          apr_pool_t *p)
{
    *count = 0;
    *oldest = 0;
    if (!store->provider->outbox)
        return APR_ENOTIMPL;
    if (!is_service(service))
        return invalid(p, "outbox");
    return store->provider->outbox(store, service, count, oldest, p);
}

apr_status_t store_lease(store_t *store, const char *service, const char *name, const char *holder,
                         apr_interval_time_t lease, store_result_e *result, apr_pool_t *p)
{
    *result = STORE_BUSY;
    if (!store->provider->lease)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_text(name, STORE_TEXT_MAX) || !*name ||
        !is_text(holder, STORE_TEXT_MAX) || !*holder || lease < 0)
        return invalid(p, "lease");
    return answer(store->provider->lease(store, service, name, holder, lease, result, p), result,
                  STORE_BUSY);
}

apr_status_t store_revoke(store_t *store, const char *service, const char *challenge_id,
                          store_result_e *result, apr_pool_t *p)
{
    *result = STORE_NOCHALLENGE;
    if (!store->provider->revoke)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_hex(challenge_id, STORE_ID_LEN))
        return invalid(p, "revoke");
    return answer(store->provider->revoke(store, service, challenge_id, result, p), result,
                  STORE_NOCHALLENGE);
}

apr_status_t store_revoke_certificate(store_t *store, const char *service,
                                      const store_revoked_t *what, store_result_e *result,
                                      apr_pool_t *p)
{
    *result = STORE_NOTFOUND;
    if (!store->provider->revoke_certificate)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_serial(what->serial) || !*what->serial || what->reason < 0 ||
        what->reason > 10 || what->until <= 0)
        return invalid(p, "revoke_certificate");
    return answer(store->provider->revoke_certificate(store, service, what, result, p), result,
                  STORE_NOTFOUND);
}

apr_status_t store_find_revoked(store_t *store, const char *service, const char *serial,
                                store_result_e *result, store_revoked_t *revoked, apr_pool_t *p)
{
    *result = STORE_NOTFOUND;
    memset(revoked, 0, sizeof(*revoked));
    revoked->serial = "";
    if (!store->provider->find_revoked)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_serial(serial) || !*serial)
        return invalid(p, "find_revoked");
    return answer(store->provider->find_revoked(store, service, serial, result, revoked, p),
                  result, STORE_NOTFOUND);
}

apr_status_t store_list_revoked(store_t *store, const char *service, apr_array_header_t **plist,
                                apr_pool_t *p)
{
    apr_status_t rv;

    *plist = apr_array_make(p, 16, sizeof(store_revoked_t));
    if (!store->provider->list_revoked)
        return APR_ENOTIMPL;
    if (!is_service(service))
        return invalid(p, "list_revoked");
    rv = store->provider->list_revoked(store, service, plist, p);
    if (rv != APR_SUCCESS)
        apr_array_clear(*plist);
    return rv;
}

apr_status_t store_get_crl(store_t *store, const char *service, apr_int64_t have,
                           store_crl_t *crl, apr_pool_t *p)
{
    memset(crl, 0, sizeof(*crl));
    if (!store->provider->get_crl)
        return APR_ENOTIMPL;
    if (!is_service(service) || have < 0)
        return invalid(p, "get_crl");
    return store->provider->get_crl(store, service, have, crl, p);
}

apr_status_t store_put_crl(store_t *store, const char *service, apr_int64_t replaces,
                           const store_crl_t *crl, store_result_e *result, apr_pool_t *p)
{
    *result = STORE_CONFLICT;
    if (!store->provider->put_crl)
        return APR_ENOTIMPL;
    if (!is_service(service) || replaces < 0 || crl->number <= replaces || crl->made_of < 0 ||
        !crl->der.data || crl->der.len == 0 || crl->der.len > STORE_CRL_MAX)
        return invalid(p, "put_crl");
    return answer(store->provider->put_crl(store, service, replaces, crl, result, p), result,
                  STORE_CONFLICT);
}

apr_status_t store_sweep(store_t *store, const char *service, int max, int *removed, apr_pool_t *p)
{
    *removed = 0;
    if (!store->provider->sweep)
        return APR_ENOTIMPL;
    if (!is_service(service) || max < 1)
        return invalid(p, "sweep");
    return store->provider->sweep(store, service, max, removed, p);
}

/* Whether a fingerprint is hex, or empty, and can be told from its neighbors. */
static int is_fingerprint(const char *text)
{
    return is_text(text, STORE_ID_LEN) && is_hex(text, strlen(text));
}

apr_status_t store_announce(store_t *store, const char *service, const store_host_t *self,
                            apr_array_header_t **pothers, apr_pool_t *p)
{
    *pothers = apr_array_make(p, 4, sizeof(store_host_t *));
    if (!store->provider->announce)
        return APR_ENOTIMPL;
    if (!is_service(service) || !is_text(self->host, STORE_TEXT_MAX) || !*self->host ||
        !is_fingerprint(self->secret) || !is_fingerprint(self->ca) ||
        !is_fingerprint(self->templates))
        return invalid(p, "announce");
    return store->provider->announce(store, service, self, pothers, p);
}

apr_status_t store_health(store_t *store, const char *service, const char **text, apr_pool_t *p)
{
    apr_status_t rv;

    *text = "";
    if (!store->provider->health)
        return APR_ENOTIMPL;
    if (!is_service(service))
        return invalid(p, "health");
    rv = store->provider->health(store, service, text, p);
    if (rv != APR_SUCCESS && !**text)
        *text = store_error(p);
    return rv;
}

int store_is_resting(store_t *store, const char *service, apr_pool_t *p)
{
    return store->provider->is_resting && is_service(service) &&
           store->provider->is_resting(store, service, p);
}
