/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared store: Redis 6 or later, or Valkey (store.h).
 *
 * Every slot that changes something is one Lua script, hence atomic; the clock is the server's. All
 * keys of a service have the prefix {scep:SERVICE}: and so live on one node.  The scripts give a
 * result word first; what a peer sends is believed only as far as its type and length fit.
 */
#include "redis_pool.h"
#include "store_redis_reply.h"
#include "redis_scripts.h"
#include "store.h"
#include <apr_strings.h>
#include <apr_uri.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT apr_time_from_msec(300)
#define COMMAND_TIMEOUT apr_time_from_msec(500)
#define ARGS_MAX 16
#define LIST_PAGE 100

typedef enum {
    SCRIPT_ISSUE,
    SCRIPT_CLAIM,
    SCRIPT_COMMIT,
    SCRIPT_FAIL,
    SCRIPT_PEND,
    SCRIPT_POLL,
    SCRIPT_REVOKE,
    SCRIPT_SWEEP,
    SCRIPT_ANNOUNCE,
    SCRIPT_COUNT
} script_e;

typedef struct redis_store_t {
    store_t base;
    redis_options_t options;
    redis_pool_t *pool;
    const char *sha[SCRIPT_COUNT]; /* hex SHA-1, by which the server knows a script */
} redis_store_t;

/* A script's arguments. */
typedef struct args_t {
    const char *values[ARGS_MAX];
    size_t lengths[ARGS_MAX];
    int count;
} args_t;

static const char *const scripts[SCRIPT_COUNT] = {
    redis_script_issue,  redis_script_claim, redis_script_commit,
    redis_script_fail,   redis_script_pend,  redis_script_poll,
    redis_script_revoke, redis_script_sweep, redis_script_announce};

/* Appends bytes. */
static void add_bytes(args_t *args, const void *data, size_t len)
{
    args->values[args->count] = data;
    args->lengths[args->count++] = len;
}

/* Appends a text; NULL is "". */
static void add_text(args_t *args, const char *text)
{
    add_bytes(args, text ? text : "", text ? strlen(text) : 0);
}

/* Appends a number. */
static void add_number(args_t *args, apr_int64_t number, apr_pool_t *p)
{
    add_text(args, apr_psprintf(p, "%" APR_INT64_T_FMT, number));
}

/* Appends a span in milliseconds, at least min. */
static void add_span(args_t *args, apr_interval_time_t span, int min, apr_pool_t *p)
{
    apr_int64_t ms = (span + 999) / 1000;

    add_number(args, ms < min ? min : ms, p);
}

/* "{scep:SERVICE}:name". */
static const char *key_of(const char *service, const char *name, apr_pool_t *p)
{
    return apr_pstrcat(p, "{scep:", service, "}:", name, NULL);
}

/* Starts the arguments of a script with the prefix of the service's keys. */
static void start_args(args_t *args, const char *service, apr_pool_t *p)
{
    args->count = 0;
    add_text(args, key_of(service, "", p));
}

/* The status of an error reply, with its text recorded; the ones that tell of a failover also drop
 * the idle connections. */
static apr_status_t error_reply(redis_store_t *self, const redisReply *reply, apr_pool_t *p)
{
    static const char *const other_server[] = {"READONLY", "LOADING", "MASTERDOWN", NULL};
    static const char *const denied[] = {"NOAUTH", "WRONGPASS", "NOPERM", NULL};
    size_t len = strcspn(reply->str, " ");
    apr_status_t rv = APR_EGENERAL;
    int i;

    for (i = 0; other_server[i]; i++) {
        if (len == strlen(other_server[i]) && strncmp(reply->str, other_server[i], len) == 0)
            redis_pool_flush(self->pool);
    }
    for (i = 0; denied[i]; i++) {
        if (len == strlen(denied[i]) && strncmp(reply->str, denied[i], len) == 0)
            rv = APR_EACCES;
    }
    if (strncmp(reply->str, "ERR unknown command", 19) == 0)
        return store_set_error(p, rv, "%s: the server does not know a command that we need",
                               self->base.display);
    return store_set_error(p, rv, "%s: the server says: %.200s", self->base.display, reply->str);
}

/* Sends a command; error replies become a status. */
static apr_status_t command(redis_store_t *self, redisReply **preply, int argc, const char **argv,
                            const size_t *lengths, apr_pool_t *p)
{
    apr_status_t rv = redis_pool_command(preply, self->pool, argc, argv, lengths, p);

    if (rv == APR_SUCCESS && (*preply)->type == REDIS_REPLY_ERROR)
        rv = error_reply(self, *preply, p);
    return rv;
}

/* An answer of another shape than ours. */
static apr_status_t bad_reply(const redis_store_t *self, apr_pool_t *p)
{
    return store_set_error(p, APR_EGENERAL, "%s: unexpected answer", self->base.display);
}

/* Runs a script by its digest, or by its text when the server does not know it; gives an array of
 * at least min. */
static apr_status_t run(redis_store_t *self, script_e script, const char *service,
                        const args_t *args, unsigned min, redisReply **preply, apr_pool_t *p)
{
    const char *argv[ARGS_MAX + 4];
    size_t lengths[ARGS_MAX + 4];
    apr_status_t rv;
    int i;

    argv[0] = "EVALSHA";
    argv[1] = self->sha[script];
    argv[2] = "1";
    argv[3] = key_of(service, "idx", p);
    for (i = 0; i < 4; i++)
        lengths[i] = strlen(argv[i]);
    memcpy(argv + 4, args->values, args->count * sizeof(argv[0]));
    memcpy(lengths + 4, args->lengths, args->count * sizeof(lengths[0]));
    rv = redis_pool_command(preply, self->pool, args->count + 4, argv, lengths, p);
    if (rv == APR_SUCCESS && (*preply)->type == REDIS_REPLY_ERROR &&
        strncmp((*preply)->str, "NOSCRIPT", 8) == 0) {
        argv[0] = "EVAL";
        argv[1] = scripts[script];
        lengths[0] = 4;
        lengths[1] = strlen(argv[1]);
        rv = redis_pool_command(preply, self->pool, args->count + 4, argv, lengths, p);
    }
    if (rv != APR_SUCCESS)
        return rv;
    if ((*preply)->type == REDIS_REPLY_ERROR)
        return error_reply(self, *preply, p);
    if ((*preply)->type != REDIS_REPLY_ARRAY || (*preply)->elements < min)
        return bad_reply(self, p);
    return APR_SUCCESS;
}

static apr_status_t redis_issue(store_t *store, const char *service, store_challenge_t *ch, int cap,
                                store_result_e *result, int *outstanding, apr_interval_time_t *wait,
                                apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    apr_int64_t number;
    args_t args;
    apr_status_t rv;

    start_args(&args, service, p);
    add_text(&args, ch->id);
    add_span(&args, ch->lifetime, 1, p);
    add_number(&args, ch->uses, p);
    add_number(&args, ch->attempts, p);
    add_text(&args, ch->caller);
    add_text(&args, ch->template_name);
    add_text(&args, ch->bound);
    add_number(&args, cap, p);
    rv = run(self, SCRIPT_ISSUE, service, &args, 5, &reply, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (!reply_result(reply->element[0], result) || !reply_time(reply->element[1], wait) ||
        !reply_time(reply->element[2], &ch->issued) ||
        !reply_time(reply->element[3], &ch->expires) || !reply_number(reply->element[4], &number) ||
        (*result != STORE_OK && *result != STORE_FULL && *result != STORE_EXISTS))
        return bad_reply(self, p);
    *outstanding = (int)number;
    return APR_SUCCESS;
}

/* Reads what claim and poll answer: result, wait, transaction, challenge. */
static apr_status_t read_answer(redis_store_t *self, const redisReply *reply, const char *tx_key,
                                store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    apr_interval_time_t wait;

    if (!reply_result(reply->element[0], result) || !reply_time(reply->element[1], &wait) ||
        !reply_tx(reply->element[2], tx_key, tx, p) ||
        !reply_challenge(reply->element[3], tx->challenge_id, &tx->challenge, p))
        return bad_reply(self, p);
    if (*result == STORE_ISSUED && tx->certificate.len == 0)
        return bad_reply(self, p);
    if (*result == STORE_CLAIMED && tx->fence < 1)
        return bad_reply(self, p);
    tx->wait = wait;
    return APR_SUCCESS;
}

static apr_status_t redis_claim(store_t *store, const char *service, const store_claim_t *claim,
                                store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    args_t args;
    apr_status_t rv;

    start_args(&args, service, p);
    add_text(&args, claim->tx_key);
    add_text(&args, claim->poll_key);
    add_text(&args, claim->csr_digest);
    add_text(&args, claim->challenge_id[0]);
    add_text(&args, claim->challenge_id[1]);
    add_text(&args, claim->nonce);
    add_span(&args, claim->lease, 1, p);
    add_span(&args, claim->retention, 1, p);
    add_text(&args, claim->serial);
    add_number(&args, apr_time_as_msec(claim->not_before), p);
    add_text(&args, claim->transaction_id);
    add_text(&args, claim->subject);
    add_text(&args, claim->template_name);
    add_text(&args, claim->client);
    rv = run(self, SCRIPT_CLAIM, service, &args, 4, &reply, p);
    if (rv == APR_SUCCESS)
        rv = read_answer(self, reply, claim->tx_key, result, tx, p);
    return rv;
}

/* Runs a script that ends a transaction: its answer is OK or FENCED. */
static apr_status_t run_end(redis_store_t *self, script_e script, const char *service,
                            const args_t *args, store_result_e *result, apr_pool_t *p)
{
    redisReply *reply;
    apr_status_t rv = run(self, script, service, args, 1, &reply, p);

    if (rv == APR_SUCCESS && (!reply_result(reply->element[0], result) ||
                              (*result != STORE_OK && *result != STORE_FENCED)))
        rv = bad_reply(self, p);
    return rv;
}

static apr_status_t redis_commit(store_t *store, const char *service, const char *tx_key,
                                 apr_int64_t fence, const crypt_buf_t *certificate,
                                 const char *serial, apr_interval_time_t retention,
                                 store_result_e *result, apr_pool_t *p)
{
    args_t args;

    start_args(&args, service, p);
    add_text(&args, tx_key);
    add_number(&args, fence, p);
    add_bytes(&args, certificate->data, certificate->len);
    add_span(&args, retention, 1, p);
    add_text(&args, serial);
    return run_end((redis_store_t *)store, SCRIPT_COMMIT, service, &args, result, p);
}

static apr_status_t redis_fail(store_t *store, const char *service, const char *tx_key,
                               apr_int64_t fence, store_blame_e blame, const char *reason,
                               apr_interval_time_t retention, store_result_e *result, apr_pool_t *p)
{
    args_t args;

    start_args(&args, service, p);
    add_text(&args, tx_key);
    add_number(&args, fence, p);
    add_text(&args, blame == STORE_BLAME_DEVICE ? "1" : "0");
    add_text(&args, reason);
    add_span(&args, retention, 1, p);
    return run_end((redis_store_t *)store, SCRIPT_FAIL, service, &args, result, p);
}

static apr_status_t redis_pend(store_t *store, const char *service, const char *tx_key,
                               apr_int64_t fence, const store_pend_t *pend, store_result_e *result,
                               apr_pool_t *p)
{
    args_t args;

    start_args(&args, service, p);
    add_text(&args, tx_key);
    add_number(&args, fence, p);
    add_text(&args, pend->cookie);
    add_span(&args, pend->wait, 0, p);
    add_span(&args, pend->retention, 1, p);
    return run_end((redis_store_t *)store, SCRIPT_PEND, service, &args, result, p);
}

static apr_status_t redis_poll(store_t *store, const char *service, const char *poll_key,
                               const char *nonce, apr_interval_time_t lease, store_result_e *result,
                               store_tx_t *tx, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    const char *tx_key;
    args_t args;
    apr_status_t rv;

    start_args(&args, service, p);
    add_text(&args, poll_key);
    add_text(&args, nonce);
    add_span(&args, lease, 1, p);
    rv = run(self, SCRIPT_POLL, service, &args, 5, &reply, p);
    if (rv != APR_SUCCESS)
        return rv;
    tx_key = reply_text(reply->element[4]);
    if (!tx_key)
        return bad_reply(self, p);
    rv = read_answer(self, reply, tx_key, result, tx, p);
    if (rv == APR_SUCCESS && *result == STORE_REFUSED && strcmp(tx->state, "inflight") == 0)
        tx->reason = "abandoned";
    return rv;
}

/* Reads a transaction by its key; tx->state is "" where there is none. */
static apr_status_t get_tx(redis_store_t *self, const char *service, const char *tx_key,
                           store_tx_t *tx, apr_pool_t *p)
{
    const char *argv[2] = {"HGETALL", NULL};
    redisReply *reply;
    apr_status_t rv;

    argv[1] = key_of(service, apr_pstrcat(p, "tx:", tx_key, NULL), p);
    rv = command(self, &reply, 2, argv, NULL, p);
    if (rv == APR_SUCCESS && !reply_tx(reply, tx_key, tx, p))
        rv = bad_reply(self, p);
    if (rv == APR_SUCCESS && strcmp(tx->state, "pending") == 0) {
        int ok = 1;
        apr_time_t next = reply_get_time(reply, "next", &ok), now = apr_time_now();

        tx->wait = next > now ? next - now : 0;
    }
    return rv;
}

static apr_status_t redis_find(store_t *store, const char *service, const char *tx_key,
                               store_result_e *result, store_tx_t *tx, apr_pool_t *p)
{
    apr_status_t rv = get_tx((redis_store_t *)store, service, tx_key, tx, p);

    if (rv == APR_SUCCESS)
        *result = *tx->state ? STORE_OK : STORE_NOTFOUND;
    return rv;
}

/* An empty transaction. */
static store_tx_t *make_tx(apr_pool_t *p)
{
    store_tx_t *tx = apr_palloc(p, sizeof(*tx));

    store_clear_tx(tx);
    return tx;
}

static apr_status_t redis_list(store_t *store, const char *service, int max,
                               apr_array_header_t **ptxs, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    const char *argv[4] = {"ZRANGE", NULL, NULL, NULL};
    redisReply *reply;
    const char *tx_key;
    store_tx_t *tx;
    apr_status_t rv;
    int from = 0, more = 1;
    size_t i;

    argv[1] = key_of(service, "pend", p);
    while (more && (*ptxs)->nelts < max) {
        argv[2] = apr_itoa(p, from);
        argv[3] = apr_itoa(p, from + LIST_PAGE - 1);
        rv = command(self, &reply, 4, argv, NULL, p);
        if (rv != APR_SUCCESS)
            return rv;
        if (reply->type != REDIS_REPLY_ARRAY)
            return bad_reply(self, p);
        more = reply->elements == LIST_PAGE;
        from += LIST_PAGE;
        for (i = 0; i < (size_t)reply->elements && (*ptxs)->nelts < max; i++) {
            tx_key = reply_text(reply->element[i]);
            if (!tx_key)
                return bad_reply(self, p);
            tx = make_tx(p);
            rv = get_tx(self, service, tx_key, tx, p);
            if (rv != APR_SUCCESS)
                return rv;
            if (strcmp(tx->state, "pending") == 0)
                APR_ARRAY_PUSH(*ptxs, store_tx_t *) = tx;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t redis_revoke(store_t *store, const char *service, const char *challenge_id,
                                 store_result_e *result, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    args_t args;
    apr_status_t rv;

    start_args(&args, service, p);
    add_text(&args, challenge_id);
    rv = run(self, SCRIPT_REVOKE, service, &args, 1, &reply, p);
    if (rv == APR_SUCCESS && (!reply_result(reply->element[0], result) ||
                              (*result != STORE_OK && *result != STORE_NOCHALLENGE)))
        rv = bad_reply(self, p);
    return rv;
}

static apr_status_t redis_sweep(store_t *store, const char *service, int max, int *removed,
                                apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    apr_int64_t number;
    args_t args;
    apr_status_t rv;

    start_args(&args, service, p);
    add_number(&args, max, p);
    rv = run(self, SCRIPT_SWEEP, service, &args, 2, &reply, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (!reply_number(reply->element[1], &number))
        return bad_reply(self, p);
    *removed = (int)number;
    return APR_SUCCESS;
}

static apr_status_t redis_announce(store_t *store, const char *service, const store_host_t *me,
                                   apr_array_header_t **pothers, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    store_host_t *host;
    args_t args;
    apr_status_t rv;
    size_t i;

    start_args(&args, service, p);
    add_text(&args, me->host);
    add_text(&args, apr_pstrcat(p, me->secret, ":", me->ca, ":", me->templates, NULL));
    rv = run(self, SCRIPT_ANNOUNCE, service, &args, 0, &reply, p);
    for (i = 0; rv == APR_SUCCESS && i + 1 < (size_t)reply->elements; i += 2) {
        host = reply_host(reply->element[i], reply->element[i + 1], p);
        if (!host)
            rv = bad_reply(self, p);
        else if (strcmp(host->host, me->host) != 0)
            APR_ARRAY_PUSH(*pothers, store_host_t *) = host;
    }
    return rv;
}

static apr_status_t redis_health(store_t *store, const char **text, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    const char *argv[5] = {"SET", NULL, "1", "PX", "60000"};
    redisReply *reply;
    apr_status_t rv;

    argv[1] = "{scep:health}:probe";
    rv = command(self, &reply, 5, argv, NULL, p);
    if (rv == APR_SUCCESS && (reply->type != REDIS_REPLY_STATUS || strcmp(reply->str, "OK") != 0))
        rv = bad_reply(self, p);
    if (rv != APR_SUCCESS)
        *text = store_error(p);
    return rv;
}

static const char *redis_check(store_t *store, apr_pool_t *p)
{
    return redis_pool_prepare(((redis_store_t *)store)->pool, p);
}

static const char *redis_prepare(store_t *store, uid_t uid, gid_t gid, apr_pool_t *p)
{
    (void)uid;
    (void)gid;
    return redis_pool_prepare(((redis_store_t *)store)->pool, p);
}

static apr_status_t redis_child_init(store_t *store, apr_pool_t *pchild)
{
    return redis_pool_child_init(((redis_store_t *)store)->pool, pchild);
}

/* Computes by which digest the server knows each script.  Error text, NULL on success. */
static const char *digest_scripts(redis_store_t *self, apr_pool_t *p)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len;
    int i;

    for (i = 0; i < SCRIPT_COUNT; i++) {
        if (EVP_Digest(scripts[i], strlen(scripts[i]), digest, &len, EVP_sha1(), NULL) != 1)
            return "SHA-1 is not available, which Redis names its scripts by";
        self->sha[i] = crypt_hex(digest, len, 0, p);
    }
    return NULL;
}

/* Reads "/N" or "" as a database number; whether it is one. */
static int parse_database(const char *text, int *database)
{
    *database = 0;
    if (!*text)
        return 1;
    if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 4)
        return 0;
    *database = atoi(text);
    return 1;
}

/* Reads a port, "" for Redis' own; whether it is one (apr_uri_parse() lets numbers wrap). */
static int parse_port(const char *text, int *port)
{
    apr_size_t digits = text ? strspn(text, "0123456789") : 0;

    *port = 6379;
    if (!text || !*text)
        return 1;
    if (text[digits] || digits > 5)
        return 0;
    *port = atoi(text);
    return *port >= 1 && *port <= 65535;
}

/* Parses redis://[user@]host[:port][/db]; whether it is that. */
static int parse_tcp(redis_options_t *o, const char *url, apr_pool_t *p)
{
    const char *path;
    apr_uri_t uri;

    if (apr_uri_parse(p, url, &uri) != APR_SUCCESS || !uri.hostname || !*uri.hostname ||
        uri.query || uri.fragment || uri.password)
        return 0;
    o->host = uri.hostname;
    if (!parse_port(uri.port_str, &o->port))
        return 0;
    if (uri.user && *uri.user && !o->user)
        o->user = uri.user;
    path = uri.path && *uri.path == '/' ? uri.path + 1 : "";
    return parse_database(path, &o->database);
}

/* Parses redis+unix:///path[?db=N]; whether it is that. */
static int parse_unix(redis_options_t *o, const char *url, apr_pool_t *p)
{
    const char *rest = strchr(url, ':') + 1;
    const char *query;

    if (strncmp(rest, "///", 3) == 0)
        rest += 2;
    if (rest[0] != '/' || rest[1] == '/' || !rest[1])
        return 0;
    query = strchr(rest, '?');
    o->path = query ? apr_pstrmemdup(p, rest, query - rest) : rest;
    if (!query)
        return 1;
    return strncmp(query, "?db=", 4) == 0 && parse_database(query + 4, &o->database);
}

/* Fills self->base.display: the URL without a user. */
static void set_display(redis_store_t *self, const store_provider_t *provider, apr_pool_t *p)
{
    const redis_options_t *o = &self->options;
    const char *host = o->host;

    if (o->kind == REDIS_UNIX)
        self->base.display =
            apr_psprintf(p, "%s://%s%s%s", provider->name, o->path, o->database ? "?db=" : "",
                         o->database ? apr_itoa(p, o->database) : "");
    else
        self->base.display =
            apr_psprintf(p, strchr(host, ':') ? "%s://[%s]:%d/%d" : "%s://%s:%d/%d", provider->name,
                         host, o->port, o->database);
}

/* Makes a store of any of the three kinds. */
static const char *create(store_t **pstore, const store_provider_t *provider, redis_kind_e kind,
                          const store_config_t *cfg, apr_pool_t *p)
{
    redis_store_t *self = apr_pcalloc(p, sizeof(*self));
    redis_options_t *o = &self->options;
    const char *at = strchr(cfg->url, '@');
    const char *error;

    self->base.provider = provider;
    o->kind = kind;
    o->user = cfg->user;
    o->password_file = cfg->password_file;
    o->ca_file = cfg->ca_file;
    o->certificate_file = cfg->certificate_file;
    o->key_file = cfg->key_file;
    o->connect_timeout = cfg->connect_timeout > 0 ? cfg->connect_timeout : CONNECT_TIMEOUT;
    o->command_timeout = cfg->command_timeout > 0 ? cfg->command_timeout : COMMAND_TIMEOUT;
    o->connections = cfg->connections > 0 ? cfg->connections : 1;
    if (kind != REDIS_UNIX && at &&
        memchr(strchr(cfg->url, ':') + 1, ':', at - strchr(cfg->url, ':') - 1))
        return "the store's URL must not hold a password; give it in a file";
    if (!(kind == REDIS_UNIX ? parse_unix(o, cfg->url, p) : parse_tcp(o, cfg->url, p)))
        return apr_psprintf(p, "the store's URL is not %s",
                            kind == REDIS_UNIX ? "redis+unix:///path[?db=N]"
                                               : "redis[s]://[user@]host[:port][/db]");
    if (o->user && !o->password_file)
        return "the store has a user, but no password file";
    error = digest_scripts(self, p);
    if (error)
        return error;
    set_display(self, provider, p);
    self->pool = redis_pool_make(o, p);
    *pstore = &self->base;
    return NULL;
}

static const char *create_tcp(store_t **pstore, const store_config_t *cfg, apr_pool_t *p)
{
    return create(pstore, &store_redis, REDIS_TCP, cfg, p);
}

static const char *create_tls(store_t **pstore, const store_config_t *cfg, apr_pool_t *p)
{
    return create(pstore, &store_rediss, REDIS_TLS, cfg, p);
}

static const char *create_unix(store_t **pstore, const store_config_t *cfg, apr_pool_t *p)
{
    return create(pstore, &store_redis_unix, REDIS_UNIX, cfg, p);
}

#define REDIS_SLOTS                                                                         \
    .check = redis_check, .prepare = redis_prepare, .child_init = redis_child_init,         \
    .issue = redis_issue, .claim = redis_claim, .commit = redis_commit, .fail = redis_fail, \
    .pend = redis_pend, .poll = redis_poll, .find = redis_find, .list = redis_list,         \
    .revoke = redis_revoke, .sweep = redis_sweep, .announce = redis_announce,               \
    .health = redis_health

const store_provider_t store_redis = {.name = "redis", .create = create_tcp, REDIS_SLOTS};
const store_provider_t store_rediss = {.name = "rediss", .create = create_tls, REDIS_SLOTS};
const store_provider_t store_redis_unix = {
    .name = "redis+unix", .create = create_unix, REDIS_SLOTS};
