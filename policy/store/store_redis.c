/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared store: Redis 6 or later, or Valkey (store.h).
 *
 * Every slot that changes something is one Lua script, hence atomic; the clock is the server's. All
 * keys of a service have the prefix {scep:SERVICE}: and so live on one node.  The scripts give a
 * result word first; what a peer sends is believed only as far as its type and length fit.
 * Here are the URL and the slots of challenges and hosts; a transaction's are in store_redis_tx.c.
 */
#include "store_redis.h"
#include <apr_strings.h>
#include <apr_uri.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT apr_time_from_msec(300)
#define COMMAND_TIMEOUT apr_time_from_msec(500)

static apr_status_t redis_issue(store_t *store, const char *service, store_challenge_t *ch, int cap,
                                store_result_e *result, int *outstanding, apr_interval_time_t *wait,
                                apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    apr_int64_t number;
    redis_args_t args;
    apr_status_t rv;

    redis_start_args(&args, service, p);
    redis_add_text(&args, ch->id);
    redis_add_span(&args, ch->lifetime, 1, p);
    redis_add_number(&args, ch->uses, p);
    redis_add_number(&args, ch->attempts, p);
    redis_add_text(&args, ch->caller);
    redis_add_text(&args, ch->template_name);
    redis_add_text(&args, ch->bound);
    redis_add_number(&args, cap, p);
    redis_add_number(&args, ch->caller_max, p);
    rv = redis_run(self, REDIS_SCRIPT_ISSUE, service, &args, 5, &reply, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (!reply_result(reply->element[0], result) || !reply_time(reply->element[1], wait) ||
        !reply_time(reply->element[2], &ch->issued) ||
        !reply_time(reply->element[3], &ch->expires) || !reply_number(reply->element[4], &number) ||
        (*result != STORE_OK && *result != STORE_FULL && *result != STORE_CALLERFULL &&
         *result != STORE_EXISTS))
        return redis_bad_reply(self, p);
    *outstanding = (int)number;
    return APR_SUCCESS;
}

static apr_status_t redis_revoke(store_t *store, const char *service, const char *challenge_id,
                                 store_result_e *result, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, challenge_id);
    return redis_run_word(self, REDIS_SCRIPT_REVOKE, service, &args,
                          1u << STORE_OK | 1u << STORE_NOCHALLENGE, result, p);
}

static apr_status_t redis_sweep(store_t *store, const char *service, int max, int *removed,
                                apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    apr_int64_t number;
    redis_args_t args;
    apr_status_t rv;

    redis_start_args(&args, service, p);
    redis_add_number(&args, max, p);
    rv = redis_run(self, REDIS_SCRIPT_SWEEP, service, &args, 2, &reply, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (!reply_number(reply->element[1], &number))
        return redis_bad_reply(self, p);
    *removed = (int)number;
    return APR_SUCCESS;
}

static apr_status_t redis_announce(store_t *store, const char *service, const store_host_t *me,
                                   apr_array_header_t **pothers, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply;
    store_host_t *host;
    redis_args_t args;
    apr_status_t rv;
    size_t i;

    redis_start_args(&args, service, p);
    redis_add_text(&args, me->host);
    redis_add_text(&args, apr_pstrcat(p, me->secret, ":", me->ca, ":", me->templates, NULL));
    rv = redis_run(self, REDIS_SCRIPT_ANNOUNCE, service, &args, 0, &reply, p);
    for (i = 0; rv == APR_SUCCESS && i + 1 < (size_t)reply->elements; i += 2) {
        host = reply_host(reply->element[i], reply->element[i + 1], p);
        if (!host)
            rv = redis_bad_reply(self, p);
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
    rv = redis_command(self, &reply, 5, argv, NULL, p);
    if (rv == APR_SUCCESS && (reply->type != REDIS_REPLY_STATUS || strcmp(reply->str, "OK") != 0))
        rv = redis_bad_reply(self, p);
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
    error = redis_digest_scripts(self, p);
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
    .issue = redis_issue, .claim = redis_claim, .count = redis_count,                       \
    .commit = redis_commit, .fail = redis_fail,                                             \
    .pend = redis_pend, .poll = redis_poll, .find = redis_find,                             \
    .find_certificate = redis_find_certificate, .decide = redis_decide, .list = redis_list, \
    .inventory = redis_inventory,                                                           \
    .records = redis_records, .take = redis_take, .settle = redis_settle,                   \
    .outbox = redis_outbox, .lease = redis_lease,                                           \
    .revoke = redis_revoke, .sweep = redis_sweep, .announce = redis_announce,               \
    .health = redis_health,                                                                 \
    .revoke_certificate = redis_revoke_certificate, .find_revoked = redis_find_revoked,     \
    .list_revoked = redis_list_revoked, .get_crl = redis_get_crl, .put_crl = redis_put_crl

const store_provider_t store_redis = {.name = "redis", .create = create_tcp, REDIS_SLOTS};
const store_provider_t store_rediss = {.name = "rediss", .create = create_tls, REDIS_SLOTS};
const store_provider_t store_redis_unix = {
    .name = "redis+unix", .create = create_unix, REDIS_SLOTS};
