/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a Redis server's settings endangers what it keeps: looked at once after the start, said
 * in words, and never in the way of an enrollment.
 */
#include "store_redis.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_MIN 6

/* One look. */
typedef struct look_t {
    redis_store_t *self;
    const char *key; /* of the service: whose node is looked at */
    const char *info;
    apr_array_header_t *findings;
    apr_pool_t *p;
} look_t;

/* Adds a finding. */
static void add(look_t *look, log_sink_level_e level, const char *text)
{
    store_finding_t *finding = apr_array_push(look->findings);

    finding->level = level;
    finding->text = text;
}

/* Asks the node something; *preply is an error reply where the user may not. */
static apr_status_t ask(look_t *look, int argc, const char **argv, redisReply **preply)
{
    redis_call_t call = {.argc = argc, .argv = argv, .key = look->key, .repeatable = 1};

    return redis_client_call(preply, look->self->client, &call, look->p);
}

/* The value of a line "name:value" of INFO; "" where there is none. */
static const char *value_of(const look_t *look, const char *name)
{
    const char *line = look->info;
    size_t len = strlen(name);

    while (line && *line) {
        if (strncmp(line, name, len) == 0 && line[len] == ':') {
            line += len + 1;
            return apr_pstrndup(look->p, line, strcspn(line, "\r\n"));
        }
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return "";
}

/* A setting, by CONFIG GET; NULL: it cannot be seen. */
static const char *setting(look_t *look, const char *name)
{
    const char *argv[3] = {"CONFIG", "GET", NULL};
    const char *text;
    redisReply *reply;

    argv[2] = name;
    if (ask(look, 3, argv, &reply) != APR_SUCCESS || reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != 2)
        return NULL;
    text = reply_text(reply->element[1]);
    return text ? apr_pstrdup(look->p, text) : NULL;
}

/* Too old, or asked in the wrong way. */
static void look_at_kind(look_t *look)
{
    const redis_options_t *o = &look->self->options;
    const char *version = value_of(look, "redis_version");

    if (apr_isdigit(*version) && atoi(version) < VERSION_MIN)
        add(look, LOG_SINK_WARN,
            apr_psprintf(look->p, "version %.20s is too old, 6 is the first that is supported",
                         version));
    if (o->topology != REDIS_CLUSTER && strcmp(value_of(look, "cluster_enabled"), "1") == 0)
        add(look, LOG_SINK_WARN, "it is a node of a cluster: name it by redis+cluster://");
    if (o->topology == REDIS_SINGLE && strcmp(value_of(look, "role"), "slave") == 0)
        add(look, LOG_SINK_WARN, "it is a replica, which takes no writes");
}

/* What it may throw away. */
static void look_at_memory(look_t *look)
{
    const char *policy = value_of(look, "maxmemory_policy");

    if (*policy && strcmp(policy, "noeviction") != 0 &&
        strcmp(value_of(look, "maxmemory"), "0") != 0)
        add(look, LOG_SINK_WARN,
            apr_psprintf(look->p,
                         "maxmemory-policy %.40s throws challenges and transactions away when "
                         "memory is short; it has to be noeviction",
                         policy));
}

/* What a restart forgets. */
static void look_at_persistence(look_t *look)
{
    const char *sync, *save;

    if (strcmp(value_of(look, "aof_enabled"), "0") == 0) {
        save = setting(look, "save");
        if (save && !*save)
            add(look, LOG_SINK_WARN,
                "nothing is kept on disk: after a restart nobody knows which challenges were used, "
                "and none that was given out is good; set appendonly yes");
        else
            add(look, LOG_SINK_WARN,
                "only snapshots are kept on disk: a restart forgets what happened since the last "
                "one, used challenges too; set appendonly yes");
        return;
    }
    sync = setting(look, "appendfsync");
    if (sync && strcmp(sync, "no") == 0)
        add(look, LOG_SINK_WARN,
            "appendfsync no: when the machine fails, half a minute is forgotten, used challenges "
            "too; set always, or everysec");
    else if (sync && strcmp(sync, "everysec") == 0)
        add(look, LOG_SINK_INFO,
            "appendfsync everysec: when the machine fails, a second is forgotten");
}

/* Who has it when the master dies. */
static void look_at_replicas(look_t *look)
{
    const redis_options_t *o = &look->self->options;
    int replicas = atoi(value_of(look, "connected_slaves"));
    const char *least;

    if (strcmp(value_of(look, "role"), "master") != 0)
        return;
    if (replicas < o->wait_replicas)
        add(look, LOG_SINK_WARN,
            apr_psprintf(look->p,
                         "ScepStoreWait wants %d replicas and there are %d: nothing will be signed",
                         o->wait_replicas, replicas));
    if (o->topology == REDIS_SINGLE)
        return;
    if (replicas == 0)
        add(look, LOG_SINK_WARN, "the master has no replica: nobody takes over when it dies");
    least = setting(look, "min-replicas-to-write");
    if (o->wait_replicas == 0 && least && strcmp(least, "0") == 0)
        add(look, LOG_SINK_INFO,
            "neither ScepStoreWait nor min-replicas-to-write is set: a failover can make a used "
            "challenge good again");
}

/* What the scripts may not do.  The scripts themselves ran before. */
static apr_status_t look_at_rights(look_t *look, const char *service)
{
    const char *text = "", *name;
    redisReply *reply;
    redis_args_t args;
    apr_status_t rv;
    size_t i;

    redis_start_args(&args, service, look->p);
    rv = redis_run(look->self, REDIS_SCRIPT_RIGHTS, service, &args, 1, &reply, look->p);
    for (i = 1; rv == APR_SUCCESS && i < (size_t)reply->elements; i++) {
        name = reply_text(reply->element[i]);
        text = apr_psprintf(look->p, "%s%s%.40s", text, i > 1 ? ", " : "", name ? name : "?");
    }
    if (*text)
        add(look, LOG_SINK_WARN,
            apr_psprintf(look->p, "its user may not run %.400s, which enrollments need", text));
    return rv;
}

apr_status_t redis_inspect(store_t *store, const char *service, apr_array_header_t **pfindings,
                           apr_pool_t *p)
{
    look_t look = {(redis_store_t *)store, NULL, NULL, *pfindings, p};
    const char *argv[1] = {"INFO"};
    redisReply *reply;
    apr_status_t rv;

    look.key = redis_key(service, "idx", p);
    rv = look_at_rights(&look, service);
    if (rv == APR_SUCCESS)
        rv = ask(&look, 1, argv, &reply);
    if (rv != APR_SUCCESS)
        return rv;
    if (reply->type != REDIS_REPLY_STRING || !reply_text(reply)) {
        add(&look, LOG_SINK_INFO,
            "its user may not look at its settings (+info +config|get), nobody checks them");
        return APR_SUCCESS;
    }
    look.info = reply_text(reply);
    look_at_kind(&look);
    look_at_memory(&look);
    look_at_persistence(&look);
    look_at_replicas(&look);
    return APR_SUCCESS;
}
