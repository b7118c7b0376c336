/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets of MIT Kerberos; see http_ticket_krb5.h. */
#include "clock.h"
#include "http_ticket_krb5.h"
#include <apr_strings.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE "HTTP" /* RFC 4559 section 4.1 */

/* What is wrong, besides Kerberos' own words. */
static const struct {
    krb5_error_code code;
    const char *hint;
} hints[] = {
    {KRB5_REALM_UNKNOWN, "krb5.conf and DNS name no KDC of that realm"},
    {KRB5_REALM_CANT_RESOLVE, "krb5.conf names a KDC that is not known"},
    {KRB5KDC_ERR_PREAUTH_FAILED, "the keytab is not of the account's present password"},
    {KRB5KRB_AP_ERR_BAD_INTEGRITY, "the keytab is not of the account's present password"},
    {KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, "no account has that service principal name"},
    {KRB5KDC_ERR_KEY_EXP, "the account's password has expired"},
    {KRB5KDC_ERR_CLIENT_REVOKED, "the account is disabled, locked or expired"},
    {KRB5KDC_ERR_ETYPE_NOSUPP, "the keytab has no key of a kind that the KDC takes"},
    {KRB5KRB_AP_ERR_SKEW, "this host's clock and the KDC's differ"},
    {KRB5_KDCREP_SKEW, "this host's clock and the KDC's differ"}
};

void ticket_explain(char *text, apr_size_t size, void *context, int code)
{
    const char *words = krb5_get_error_message(context, code), *hint = "";
    size_t i;

    for (i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        if (hints[i].code == code)
            hint = hints[i].hint;
    }
    apr_snprintf(text, size, "%s%s%s%s", words, *hint ? " (" : "", hint, *hint ? ")" : "");
    krb5_free_error_message(context, words);
}

/* Whether it would be the same soon: no KDC was reached, otherwise. */
static int is_refusal(krb5_error_code code)
{
    return code != KRB5_KDC_UNREACH && code != KRB5_REALM_CANT_RESOLVE &&
           code != KRB5KDC_ERR_SVC_UNAVAILABLE;
}

/* Whether it was about the account or its key, which is locked when that comes too often. */
static int is_bad_key(krb5_error_code code)
{
    return code == KRB5KDC_ERR_PREAUTH_FAILED || code == KRB5KRB_AP_ERR_BAD_INTEGRITY ||
           code == KRB5KDC_ERR_CLIENT_REVOKED;
}

/* Gets the ticket that gets tickets, into a cache. */
static krb5_error_code log_in(krb5_context context, const ticket_keys_t *keys, krb5_ccache ccache)
{
    krb5_get_init_creds_opt *options = NULL;
    krb5_principal client = NULL;
    krb5_creds creds;
    krb5_error_code code = krb5_parse_name(context, keys->principal, &client);

    memset(&creds, 0, sizeof(creds));
    if (!code)
        code = krb5_get_init_creds_opt_alloc(context, &options);
    if (!code) {
        /* never forwarded by us: CES on a host of its own may only then ask the CA in our name
         * (constrained delegation, [MS-SFU] 3.2.5.2.2) */
        krb5_get_init_creds_opt_set_forwardable(options, 1);
        krb5_get_init_creds_opt_set_proxiable(options, 0);
        code = krb5_get_init_creds_opt_set_out_ccache(context, options, ccache);
    }
    if (!code)
        code = krb5_get_init_creds_keytab(context, &creds, client, keys->keytab, 0, NULL, options);
    krb5_free_cred_contents(context, &creds);
    krb5_get_init_creds_opt_free(context, options);
    krb5_free_principal(context, client);
    return code;
}

/* Gets the ticket for a host, into the same cache; *left: seconds of its life. */
static krb5_error_code get_ticket(krb5_context context, krb5_ccache ccache, const char *host,
                                  apr_int64_t *left)
{
    krb5_creds wanted, *creds = NULL;
    krb5_timestamp now;
    krb5_error_code code;

    memset(&wanted, 0, sizeof(wanted));
    code = krb5_cc_get_principal(context, ccache, &wanted.client);
    if (!code) /* as GSSAPI makes it of HTTP@host, otherwise it would look for another one */
        code = krb5_sname_to_principal(context, host, SERVICE, KRB5_NT_SRV_HST, &wanted.server);
    if (!code)
        code = krb5_get_credentials(context, 0, ccache, &wanted, &creds);
    if (!code)
        code = krb5_timeofday(context, &now); /* the KDC's, where it differs */
    if (!code) /* 32 bits without sign, to 2106 */
        *left = (apr_int64_t)(apr_uint32_t)creds->times.endtime - (apr_uint32_t)now;
    krb5_free_creds(context, creds);
    krb5_free_cred_contents(context, &wanted);
    return code;
}

/* Says for a host why it has no ticket. */
static void fail(ticket_host_t *state, krb5_context context, krb5_error_code code,
                 const char *what, const char *whom)
{
    int n = apr_snprintf(state->error, sizeof(state->error), "no Kerberos ticket for %.80s%.80s: ",
                         what, whom);

    ticket_explain(state->error + n, sizeof(state->error) - n, context, code);
    state->refused = is_refusal(code);
    state->end = 0;
}

/* Fills a cache. */
static void fill(http_ticket_cache_t *cache, krb5_context context, const ticket_keys_t *keys,
                 const char *const *host, int nhosts)
{
    krb5_ccache ccache = NULL;
    krb5_error_code code, again;
    apr_int64_t left = 0;
    int i;

    ticket_name(cache->name, sizeof(cache->name));
    code = krb5_cc_resolve(context, cache->name, &ccache);
    cache->ccache = ccache;
    if (!code)
        code = log_in(context, keys, ccache);
    cache->key = !code ? TICKET_KEY_GOOD : is_bad_key(code) ? TICKET_KEY_BAD : TICKET_KEY_UNTOLD;
    cache->code = code;
    for (i = 0; i < nhosts; i++) {
        if (code) {
            fail(&cache->host[i], context, code, "", keys->principal);
            continue;
        }
        again = get_ticket(context, ccache, host[i], &left);
        if (again)
            fail(&cache->host[i], context, again, SERVICE "/", host[i]);
        else
            cache->host[i].end = clock_monotonic() + apr_time_from_sec(left);
    }
}

http_ticket_cache_t *ticket_fetch(const ticket_keys_t *keys, const char *const *host, int nhosts)
{
    http_ticket_cache_t *cache = calloc(1, sizeof(*cache));
    krb5_context context = NULL;
    krb5_error_code code;
    int i;

    if (!cache)
        return NULL;
    cache->users = 1;
    code = krb5_init_context(&context);
    if (!code)
        fill(cache, context, keys, host, nhosts);
    for (i = 0; code && i < nhosts; i++)
        fail(&cache->host[i], NULL, code, "", keys->principal);
    krb5_free_context(context);
    return cache;
}

http_ticket_cache_t *ticket_refuse(const ticket_keys_t *keys, int nhosts, int code)
{
    http_ticket_cache_t *cache = calloc(1, sizeof(*cache));
    krb5_context context = NULL;
    int i;

    if (!cache)
        return NULL;
    cache->users = 1;
    cache->key = TICKET_KEY_BAD;
    cache->code = code;
    (void)krb5_init_context(&context); /* NULL will do for the words */
    for (i = 0; i < nhosts; i++)
        fail(&cache->host[i], context, code, "", keys->principal);
    krb5_free_context(context);
    return cache;
}

void ticket_cache_free(http_ticket_cache_t *cache)
{
    krb5_context context = NULL;

    if (cache->ccache && krb5_init_context(&context) == 0) {
        krb5_cc_destroy(context, cache->ccache);
        krb5_free_context(context);
    }
    free(cache);
}

int ticket_use(const char *name)
{
    OM_uint32 minor;

    return gss_krb5_ccache_name(&minor, name, NULL) == GSS_S_COMPLETE;
}
