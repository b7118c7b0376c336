/* SPDX-License-Identifier: Apache-2.0 */
/* For builds without Kerberos: says so when it is asked for; see http_ticket_krb5.h. */
#include "http_ticket_krb5.h"

const char *ticket_keys_load(ticket_keys_t **pkeys, const char *file, const char *principal,
                             apr_pool_t *p)
{
    (void)file;
    (void)principal;
    (void)p;
    *pkeys = NULL;
    return "this mod_scep was built without Kerberos (configure --with-gssapi, MIT krb5)";
}

void ticket_keys_free(ticket_keys_t *keys)
{
    (void)keys;
}

http_ticket_cache_t *ticket_fetch(const ticket_keys_t *keys, const char *const *host, int nhosts)
{
    (void)keys;
    (void)host;
    (void)nhosts;
    return NULL;
}

http_ticket_cache_t *ticket_refuse(const ticket_keys_t *keys, int nhosts, int code)
{
    (void)keys;
    (void)nhosts;
    (void)code;
    return NULL;
}

void ticket_cache_free(http_ticket_cache_t *cache)
{
    (void)cache;
}

int ticket_use(const char *name)
{
    (void)name;
    return 0;
}
