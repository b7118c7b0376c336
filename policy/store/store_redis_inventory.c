/* SPDX-License-Identifier: Apache-2.0 */
/* The inventory of certificates in the Redis store. */
#include "store_redis.h"
#include <apr_strings.h>
#include <string.h>

void redis_add_entry(redis_args_t *args, const store_entry_t *entry, apr_pool_t *p)
{
    static const store_entry_t none;
    int given = entry != NULL;

    entry = given ? entry : &none;
    redis_add_text(args, entry->issuer);
    redis_add_text(args, entry->digest);
    redis_add_bytes(args, entry->subject.len ? (const char *)entry->subject.data : "",
                    entry->subject.len);
    redis_add_text(args, entry->template_name);
    redis_add_number(args, apr_time_as_msec(entry->not_after), p);
    redis_add_number(args, apr_time_as_msec(entry->until), p);
}

/* Appends what is looked for. */
static void add_search(redis_args_t *args, const store_search_t *search, apr_pool_t *p)
{
    if (search->serial) {
        redis_add_text(args, "serial");
        redis_add_text(args, apr_pstrcat(p, search->issuer, ":", search->serial, NULL));
    }
    else if (search->transaction_id) {
        redis_add_text(args, "tid");
        redis_add_text(args, search->transaction_id);
    }
    else {
        redis_add_text(args, search->newest_first ? "newest" : "oldest");
        redis_add_text(args, search->place);
    }
    redis_add_number(args, search->max, p);
}

apr_status_t redis_inventory(store_t *store, const char *service, const store_search_t *search,
                             apr_array_header_t **pentries, const char **next, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    const char *text;
    redisReply *reply;
    redis_args_t args;
    apr_status_t rv;
    size_t i;

    redis_start_args(&args, service, p);
    add_search(&args, search, p);
    rv = redis_run(self, REDIS_SCRIPT_INVENTORY, service, &args, 1, &reply, p);
    if (rv != APR_SUCCESS)
        return rv;
    text = reply_text(reply->element[0]);
    if (!text || strlen(text) > STORE_PLACE_MAX || reply->elements % 2 == 0 ||
        reply->elements > 2 * STORE_PAGE_MAX + 1)
        return redis_bad_reply(self, p);
    for (i = 1; i < (size_t)reply->elements; i += 2) {
        if (!reply_entry(reply->element[i], reply->element[i + 1], apr_array_push(*pentries), p)) {
            apr_array_clear(*pentries);
            return redis_bad_reply(self, p);
        }
    }
    /* a server that gives the same place again would be asked for ever */
    if (search->place && strcmp(text, search->place) != 0)
        *next = apr_pstrdup(p, text);
    return APR_SUCCESS;
}
