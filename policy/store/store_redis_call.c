/* SPDX-License-Identifier: Apache-2.0 */
/* Calling the server: a script's arguments, EVALSHA, error replies; see store_redis.h. */
#include "store_redis.h"
#include "redis_rule.h"
#include "redis_scripts.h"
#include <apr_strings.h>
#include <openssl/evp.h>
#include <string.h>

/* How a script may be treated; an answer that was lost is asked for again only where that gives the
 * same answer (store.h), or one that its caller can do with. */
#define ONCE 0
#define AGAIN 1           /* may be repeated */
#define KEPT (AGAIN | 2)  /* and replicas must have it: it allows, ends or revokes something */
#define PROBE (KEPT | 4)  /* and whoever asks waits for no new master */

static const struct {
    const char *text;
    int treat;
} scripts[REDIS_SCRIPT_COUNT] = {
    [REDIS_SCRIPT_ISSUE] = {redis_script_issue, KEPT},    /* same id */
    [REDIS_SCRIPT_CLAIM] = {redis_script_claim, KEPT},    /* same nonce */
    [REDIS_SCRIPT_COMMIT] = {redis_script_commit, KEPT},  /* same fence */
    [REDIS_SCRIPT_FAIL] = {redis_script_fail, AGAIN},     /* same fence */
    [REDIS_SCRIPT_PEND] = {redis_script_pend, KEPT},      /* same fence */
    [REDIS_SCRIPT_POLL] = {redis_script_poll, KEPT},      /* same nonce */
    [REDIS_SCRIPT_REVOKE] = {redis_script_revoke, KEPT},  /* ends a life time */
    [REDIS_SCRIPT_SWEEP] = {redis_script_sweep, AGAIN},
    [REDIS_SCRIPT_ANNOUNCE] = {redis_script_announce, AGAIN},
    [REDIS_SCRIPT_DECIDE] = {redis_script_decide, KEPT}, /* the same decision again is OK */
    [REDIS_SCRIPT_LIST] = {redis_script_list, AGAIN},
    [REDIS_SCRIPT_RECORDS] = {redis_script_records, AGAIN},
    [REDIS_SCRIPT_TAKE] = {redis_script_take, AGAIN},     /* what was lost is due after its lease */
    [REDIS_SCRIPT_SETTLE] = {redis_script_settle, AGAIN}, /* NOTFOUND: it was done */
    [REDIS_SCRIPT_OUTBOX] = {redis_script_outbox, AGAIN},
    [REDIS_SCRIPT_LEASE] = {redis_script_lease, AGAIN},  /* same holder */
    [REDIS_SCRIPT_COUNTER] = {redis_script_count, ONCE}, /* would count a failure twice */
    [REDIS_SCRIPT_REVOKE_CERTIFICATE] = {redis_script_revoke_certificate, KEPT}, /* EXISTS */
    [REDIS_SCRIPT_LIST_REVOKED] = {redis_script_list_revoked, AGAIN},
    [REDIS_SCRIPT_GET_CRL] = {redis_script_get_crl, AGAIN},
    [REDIS_SCRIPT_PUT_CRL] = {redis_script_put_crl, KEPT}, /* CONFLICT: the caller gets that one */
    [REDIS_SCRIPT_INVENTORY] = {redis_script_inventory, AGAIN},
    [REDIS_SCRIPT_RIGHTS] = {redis_script_rights, AGAIN},
    [REDIS_SCRIPT_HEALTH] = {redis_script_health, PROBE}};

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

/* The status of an error reply, with its text recorded. */
static apr_status_t error_reply(redis_store_t *self, const redisReply *reply, apr_pool_t *p)
{
    apr_status_t rv = redis_rule(reply->str) == REDIS_RULE_DENIED ? APR_EACCES : APR_EGENERAL;

    if (strncmp(reply->str, "ERR unknown command", 19) == 0)
        return store_set_error(p, rv, "%s: the server does not know a command that we need",
                               self->base.display);
    return store_set_error(p, rv, "%s: the server says: %.200s", self->base.display, reply->str);
}

apr_status_t redis_command(redis_store_t *self, const char *service, redisReply **preply, int argc,
                           const char **argv, apr_pool_t *p)
{
    redis_call_t call = {.argc = argc, .argv = argv, .key = argv[1], .repeatable = 1,
                         .tally = store_tally_of(&self->base, service)};
    apr_status_t rv = redis_client_call(preply, self->client, &call, p);

    if (rv == APR_SUCCESS && (*preply)->type == REDIS_REPLY_ERROR)
        rv = error_reply(self, *preply, p);
    return rv;
}

/* An answer of another shape than ours. */
apr_status_t redis_bad_reply(const redis_store_t *self, apr_pool_t *p)
{
    return store_set_error(p, APR_EGENERAL, "%s: unexpected answer", self->base.display);
}

apr_status_t redis_run(redis_store_t *self, redis_script_e script, const char *service,
                       const redis_args_t *args, unsigned min, redisReply **preply, apr_pool_t *p)
{
    const char *argv[REDIS_ARGS_MAX + 4];
    size_t lengths[REDIS_ARGS_MAX + 4];
    redis_call_t call = {.argc = args->count + 4, .argv = argv, .lengths = lengths};
    apr_status_t rv;
    int i;

    call.key = redis_key(service, "idx", p);
    call.repeatable = (scripts[script].treat & AGAIN) != 0;
    call.durable = (scripts[script].treat & KEPT) == KEPT;
    call.hasty = scripts[script].treat == PROBE;
    call.tally = store_tally_of(&self->base, service);
    argv[0] = "EVALSHA";
    argv[1] = self->sha[script];
    argv[2] = "1";
    argv[3] = call.key;
    for (i = 0; i < 4; i++)
        lengths[i] = strlen(argv[i]);
    memcpy(argv + 4, args->values, args->count * sizeof(argv[0]));
    memcpy(lengths + 4, args->lengths, args->count * sizeof(lengths[0]));
    rv = redis_client_call(preply, self->client, &call, p);
    if (rv == APR_SUCCESS && (*preply)->type == REDIS_REPLY_ERROR &&
        strncmp((*preply)->str, "NOSCRIPT", 8) == 0) {
        argv[0] = "EVAL";
        argv[1] = scripts[script].text;
        lengths[0] = 4;
        lengths[1] = strlen(argv[1]);
        rv = redis_client_call(preply, self->client, &call, p);
    }
    if (rv != APR_SUCCESS && !(rv == APR_EAGAIN && *preply))
        return rv;
    if ((*preply)->type == REDIS_REPLY_ERROR)
        return error_reply(self, *preply, p);
    if ((*preply)->type != REDIS_REPLY_ARRAY || (*preply)->elements < min)
        return redis_bad_reply(self, p);
    return rv;
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
        const char *text = scripts[i].text;

        if (EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL) != 1)
            return "SHA-1 is not available, which Redis names its scripts by";
        self->sha[i] = crypt_hex(digest, len, 0, p);
    }
    return NULL;
}
