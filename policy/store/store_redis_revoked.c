/* SPDX-License-Identifier: Apache-2.0 */
/* Revoked certificates and the list that tells of them, in the Redis store. */
#include "store_redis.h"
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 2000               /* revocations of one reply, some 200 KiB */
#define LIST_END (1000 * PAGE)  /* a peer must not choose how often we ask */
#define LIST_TRIES 5            /* somebody may revoke while we read */

apr_status_t redis_revoke_certificate(store_t *store, const char *service,
                                      const store_revoked_t *what, store_result_e *result,
                                      apr_pool_t *p)
{
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_text(&args, what->serial);
    redis_add_number(&args, what->reason, p);
    redis_add_number(&args, apr_time_as_msec(what->until), p);
    return redis_run_word((redis_store_t *)store, REDIS_SCRIPT_REVOKE_CERTIFICATE, service, &args,
                          1u << STORE_OK | 1u << STORE_EXISTS, result, p);
}

/* Reads "reason:when:until" into revoked; whether it is that. */
static int read_revoked(const redisReply *serial, const redisReply *value,
                        store_revoked_t *revoked, apr_pool_t *p)
{
    const char *name = reply_text(serial), *text = reply_text(value);
    apr_int64_t number[3];
    char *end;
    int i;

    if (!name || !*name || strlen(name) > STORE_CERTIFICATE_SERIAL_MAX || !text ||
        strspn(text, "0123456789:") != strlen(text))
        return 0;
    for (i = 0; i < 3; i++) {
        number[i] = apr_strtoi64(text, &end, 10);
        if (end == text || end - text > 15 || *end != (i < 2 ? ':' : '\0'))
            return 0;
        text = end + 1;
    }
    revoked->serial = apr_pstrdup(p, name);
    revoked->reason = number[0] <= 255 ? (int)number[0] : 0;
    revoked->when = apr_time_from_msec(number[1]);
    revoked->until = apr_time_from_msec(number[2]);
    return 1;
}

apr_status_t redis_find_revoked(store_t *store, const char *service, const char *serial,
                                store_result_e *result, store_revoked_t *revoked, apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    const char *argv[3] = {"HGET", NULL, serial};
    redisReply *reply, name;
    apr_status_t rv;

    argv[1] = redis_key(service, "revoked", p);
    rv = redis_command(self, service, &reply, 3, argv, p);
    if (rv != APR_SUCCESS || reply->type == REDIS_REPLY_NIL)
        return rv;
    memset(&name, 0, sizeof(name));
    name.type = REDIS_REPLY_STRING;
    name.str = apr_pstrdup(p, serial);
    name.len = strlen(serial);
    if (!read_revoked(&name, reply, revoked, p))
        return redis_bad_reply(self, p);
    *result = STORE_OK;
    return APR_SUCCESS;
}

/* Reads the page from there on; *count: how many the index has in it. */
static apr_status_t read_page(redis_store_t *self, const char *service, int from,
                              apr_int64_t *changes, apr_int64_t *count, apr_array_header_t *list,
                              apr_pool_t *p)
{
    store_revoked_t revoked;
    redisReply *reply;
    redis_args_t args;
    apr_status_t rv;
    size_t i;

    redis_start_args(&args, service, p);
    redis_add_number(&args, from, p);
    redis_add_number(&args, from + PAGE - 1, p);
    rv = redis_run(self, REDIS_SCRIPT_LIST_REVOKED, service, &args, 2, &reply, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (!reply_number(reply->element[0], changes) || !reply_number(reply->element[1], count) ||
        reply->elements % 2)
        return redis_bad_reply(self, p);
    for (i = 2; i < (size_t)reply->elements; i += 2) {
        if (!read_revoked(reply->element[i], reply->element[i + 1], &revoked, p))
            return redis_bad_reply(self, p);
        APR_ARRAY_PUSH(list, store_revoked_t) = revoked;
    }
    return APR_SUCCESS;
}

/* Where a revocation came between two pages, one may have moved from one to the other: again. */
apr_status_t redis_list_revoked(store_t *store, const char *service, apr_array_header_t **plist,
                                apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    apr_int64_t first = 0, changes = 0, count = 0;
    apr_status_t rv = APR_SUCCESS;
    int from = 0, tries = 1;

    do {
        rv = read_page(self, service, from, &changes, &count, *plist, p);
        if (from && changes != first) {
            apr_array_clear(*plist);
            from = 0;
            count = PAGE;
            if (++tries > LIST_TRIES)
                rv = store_set_error(p, APR_EAGAIN, "%s: too many revocations at a time",
                                     self->base.display);
        }
        else {
            first = changes;
            from += PAGE;
        }
    } while (rv == APR_SUCCESS && count == PAGE && from < LIST_END);
    return rv;
}

apr_status_t redis_get_crl(store_t *store, const char *service, apr_int64_t have, store_crl_t *crl,
                           apr_pool_t *p)
{
    redis_store_t *self = (redis_store_t *)store;
    redisReply *reply, *der;
    redis_args_t args;
    apr_status_t rv;

    redis_start_args(&args, service, p);
    redis_add_number(&args, have, p);
    rv = redis_run(self, REDIS_SCRIPT_GET_CRL, service, &args, 4, &reply, p);
    if (rv != APR_SUCCESS)
        return rv;
    der = reply->element[3];
    if (!reply_number(reply->element[0], &crl->changes) ||
        !reply_number(reply->element[1], &crl->number) ||
        !reply_number(reply->element[2], &crl->made_of) || der->type != REDIS_REPLY_STRING)
        return redis_bad_reply(self, p);
    if (der->len > 0) {
        crl->der.data = apr_pmemdup(p, der->str, der->len);
        crl->der.len = der->len;
    }
    return APR_SUCCESS;
}

apr_status_t redis_put_crl(store_t *store, const char *service, apr_int64_t replaces,
                           const store_crl_t *crl, store_result_e *result, apr_pool_t *p)
{
    redis_args_t args;

    redis_start_args(&args, service, p);
    redis_add_number(&args, replaces, p);
    redis_add_number(&args, crl->number, p);
    redis_add_number(&args, crl->made_of, p);
    redis_add_bytes(&args, crl->der.data, crl->der.len);
    return redis_run_word((redis_store_t *)store, REDIS_SCRIPT_PUT_CRL, service, &args,
                          1u << STORE_OK | 1u << STORE_CONFLICT, result, p);
}
