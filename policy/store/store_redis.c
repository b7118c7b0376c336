/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared store: Redis 6 or later, or Valkey (store.h).
 *
 * Every slot that changes something is one Lua script, hence atomic; the clock is the server's. All
 * keys of a service have the prefix {scep:SERVICE}: and so live on one node.  The scripts give a
 * result word first; what a peer sends is believed only as far as its type and length fit.
 * Here are the settings and the slots of challenges and hosts; a transaction's are in
 * store_redis_tx.c, who is asked in redis_client.h.
 */
#include "redis_url.h"
#include "store_redis.h"
#include <apr_strings.h>
#include <string.h>

#define COMMAND_TIMEOUT apr_time_from_msec(500)
#define WAIT_TIME apr_time_from_msec(100)

/* One per URL scheme; redis_url.c tells them apart. */
static const store_provider_t *const providers[] = {
    &store_redis, &store_rediss, &store_redis_unix, &store_redis_sentinel, &store_rediss_sentinel,
    &store_redis_cluster, &store_rediss_cluster};
#define PROVIDERS (int)(sizeof(providers) / sizeof(providers[0]))

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

/* Ends a challenge that too few replicas have: nobody is told it, so that it has no place among
 * those that wait.  Should this be lost, its life time ends. */
static void take_back(store_t *store, const char *service, const char *challenge_id, apr_pool_t *p)
{
    store_result_e result;
    apr_pool_t *sub;

    /* the cause that the caller is told is that of issue */
    apr_pool_create(&sub, p);
    (void)redis_revoke(store, service, challenge_id, &result, sub);
    apr_pool_destroy(sub);
}

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
    if (rv == APR_EAGAIN && reply)
        take_back(store, service, ch->id, p);
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

static apr_status_t redis_health(store_t *store, const char *service, const char **text,
                                 apr_pool_t *p)
{
    store_result_e result;
    redis_args_t args;
    apr_status_t rv;

    redis_start_args(&args, service, p);
    rv = redis_run_word((redis_store_t *)store, REDIS_SCRIPT_HEALTH, service, &args, 1u << STORE_OK,
                        &result, p);
    if (rv != APR_SUCCESS)
        *text = store_error(p);
    return rv;
}

static int redis_is_resting(store_t *store, const char *service, apr_pool_t *p)
{
    return redis_client_is_resting(((redis_store_t *)store)->client, redis_key(service, "idx", p));
}

static const char *redis_check(store_t *store, apr_pool_t *p)
{
    return redis_client_prepare(((redis_store_t *)store)->client, p);
}

static const char *redis_prepare(store_t *store, uid_t uid, gid_t gid, apr_pool_t *p)
{
    (void)uid;
    (void)gid;
    return redis_client_prepare(((redis_store_t *)store)->client, p);
}

static apr_status_t redis_child_init(store_t *store, apr_pool_t *pchild)
{
    return redis_client_child_init(((redis_store_t *)store)->client, pchild);
}

/* What the settings leave to us. */
static void set_defaults(redis_options_t *o, const store_config_t *cfg)
{
    o->user = cfg->user;
    o->password_file = cfg->password_file;
    o->sentinel_user = cfg->sentinel_user;
    o->sentinel_password_file = cfg->sentinel_password_file;
    o->ca_file = cfg->ca_file;
    o->certificate_file = cfg->certificate_file;
    o->key_file = cfg->key_file;
    o->connect_timeout = cfg->connect_timeout > 0 ? cfg->connect_timeout : STORE_CONNECT_TIMEOUT;
    o->command_timeout = cfg->command_timeout > 0 ? cfg->command_timeout : COMMAND_TIMEOUT;
    o->relocate_timeout =
        cfg->relocate_timeout > 0 ? cfg->relocate_timeout : STORE_RELOCATE_TIMEOUT;
    o->connections = cfg->connections > 0 ? cfg->connections : 1;
    o->wait_replicas = cfg->wait_replicas;
    o->wait_time = cfg->wait_time > 0 ? cfg->wait_time : WAIT_TIME;
}

static const char *redis_create(store_t **pstore, const store_config_t *cfg, apr_pool_t *p)
{
    redis_store_t *self = apr_pcalloc(p, sizeof(*self));
    redis_options_t *o = &self->options;
    const char *error;
    int i;

    set_defaults(o, cfg);
    error = redis_url_parse(o, cfg->url, p);
    if (error)
        return error;
    for (i = 0; i < PROVIDERS; i++) {
        if (strncasecmp(cfg->url, providers[i]->name, strlen(providers[i]->name)) == 0 &&
            cfg->url[strlen(providers[i]->name)] == ':')
            self->base.provider = providers[i];
    }
    if (o->user && !o->password_file)
        return "the store has a user, but no password file";
    if (o->sentinel_user && !o->sentinel_password_file)
        return "the sentinels have a user, but no password file";
    if (o->sentinel_password_file && o->topology != REDIS_SENTINEL)
        return "a password of sentinels is of use with redis+sentinel: only";
    error = redis_digest_scripts(self, p);
    if (error)
        return error;
    self->base.display = redis_url_display(o, p);
    self->client = redis_client_make(o, p);
    *pstore = &self->base;
    return NULL;
}

#define REDIS_SLOTS                                                                         \
    .check = redis_check, .prepare = redis_prepare, .child_init = redis_child_init,         \
    .issue = redis_issue, .claim = redis_claim, .count = redis_count,                       \
    .commit = redis_commit, .fail = redis_fail,                                             \
    .pend = redis_pend, .poll = redis_poll, .find = redis_find,                             \
    .find_certificate = redis_find_certificate, .decide = redis_decide, .list = redis_list, \
    .inventory = redis_inventory, .inspect = redis_inspect,                                 \
    .records = redis_records, .take = redis_take, .settle = redis_settle,                   \
    .outbox = redis_outbox, .lease = redis_lease,                                           \
    .revoke = redis_revoke, .sweep = redis_sweep, .announce = redis_announce,               \
    .health = redis_health, .is_resting = redis_is_resting,                                 \
    .revoke_certificate = redis_revoke_certificate, .find_revoked = redis_find_revoked,     \
    .list_revoked = redis_list_revoked, .get_crl = redis_get_crl, .put_crl = redis_put_crl

#define PROVIDER(variable, scheme) \
    const store_provider_t variable = {.name = scheme, .create = redis_create, REDIS_SLOTS}

PROVIDER(store_redis, "redis");
PROVIDER(store_rediss, "rediss");
PROVIDER(store_redis_unix, "redis+unix");
PROVIDER(store_redis_sentinel, "redis+sentinel");
PROVIDER(store_rediss_sentinel, "rediss+sentinel");
PROVIDER(store_redis_cluster, "redis+cluster");
PROVIDER(store_rediss_cluster, "rediss+cluster");
