/* SPDX-License-Identifier: Apache-2.0 */
/* Calling the server: a script's arguments, EVALSHA, error replies; see store_redis.h. */
#include "store_redis.h"
#include "redis_scripts.h"
#include <apr_strings.h>
#include <openssl/evp.h>
#include <string.h>

static const char *const scripts[REDIS_SCRIPT_COUNT] = {
    redis_script_issue,    redis_script_claim,  redis_script_commit, redis_script_fail,
    redis_script_pend,     redis_script_poll,   redis_script_revoke, redis_script_sweep,
    redis_script_announce, redis_script_decide, redis_script_list,   redis_script_records,
    redis_script_take,     redis_script_settle, redis_script_outbox, redis_script_lease,
    redis_script_count,    redis_script_revoke_certificate, redis_script_list_revoked,
    redis_script_get_crl,  redis_script_put_crl, redis_script_inventory};

/* Appends bytes. */
void redis_add_bytes(redis_args_t *args, const void *data, size_t len)
{
    args->values[args->count] = data;
    args->lengths[args->count++] = len;
}

/* Appends a text; NULL is "". */
void redis_add_text(redis_args_t *args, const char *text)
{
    redis_add_bytes(args, text ? text : "", text ? strlen(text) : 0);
}

/* Appends a number. */
void redis_add_number(redis_args_t *args, apr_int64_t number, apr_pool_t *p)
{
    redis_add_text(args, apr_psprintf(p, "%" APR_INT64_T_FMT, number));
}

/* Appends a span in milliseconds, at least min. */
void redis_add_span(redis_args_t *args, apr_interval_time_t span, int min, apr_pool_t *p)
{
    apr_int64_t ms = (span + 999) / 1000;

    redis_add_number(args, ms < min ? min : ms, p);
}

/* "{scep:SERVICE}:name". */
const char *redis_key(const char *service, const char *name, apr_pool_t *p)
{
    return apr_pstrcat(p, "{scep:", service, "}:", name, NULL);
}

/* Starts the arguments of a script with the prefix of the service's keys. */
void redis_start_args(redis_args_t *args, const char *service, apr_pool_t *p)
{
    args->count = 0;
    redis_add_text(args, redis_key(service, "", p));
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
apr_status_t redis_command(redis_store_t *self, redisReply **preply, int argc, const char **argv,
                           const size_t *lengths, apr_pool_t *p)
{
    apr_status_t rv = redis_pool_command(preply, self->pool, argc, argv, lengths, p);

    if (rv == APR_SUCCESS && (*preply)->type == REDIS_REPLY_ERROR)
        rv = error_reply(self, *preply, p);
    return rv;
}

/* An answer of another shape than ours. */
apr_status_t redis_bad_reply(const redis_store_t *self, apr_pool_t *p)
{
    return store_set_error(p, APR_EGENERAL, "%s: unexpected answer", self->base.display);
}

/* Runs a script by its digest, or by its text when the server does not know it; gives an array of
 * at least min. */
apr_status_t redis_run(redis_store_t *self, redis_script_e script, const char *service,
                       const redis_args_t *args, unsigned min, redisReply **preply, apr_pool_t *p)
{
    const char *argv[REDIS_ARGS_MAX + 4];
    size_t lengths[REDIS_ARGS_MAX + 4];
    apr_status_t rv;
    int i;

    argv[0] = "EVALSHA";
    argv[1] = self->sha[script];
    argv[2] = "1";
    argv[3] = redis_key(service, "idx", p);
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
        return redis_bad_reply(self, p);
    return APR_SUCCESS;
}

apr_status_t redis_run_word(redis_store_t *self, redis_script_e script, const char *service,
                            const redis_args_t *args, unsigned allowed, store_result_e *result,
                            apr_pool_t *p)
{
    redisReply *reply;
    apr_status_t rv = redis_run(self, script, service, args, 1, &reply, p);

    if (rv == APR_SUCCESS &&
        (!reply_result(reply->element[0], result) || !(allowed & 1u << *result)))
        rv = redis_bad_reply(self, p);
    return rv;
}

/* Computes by which digest the server knows each script.  Error text, NULL on success. */
const char *redis_digest_scripts(redis_store_t *self, apr_pool_t *p)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len;
    int i;

    for (i = 0; i < REDIS_SCRIPT_COUNT; i++) {
        if (EVP_Digest(scripts[i], strlen(scripts[i]), digest, &len, EVP_sha1(), NULL) != 1)
            return "SHA-1 is not available, which Redis names its scripts by";
        self->sha[i] = crypt_hex(digest, len, 0, p);
    }
    return NULL;
}
