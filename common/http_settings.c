/* SPDX-License-Identifier: Apache-2.0 */
/* The options of an HTTP peer; see http_settings.h. */
#include "http_settings.h"
#include <apr_strings.h>
#include <string.h>

#define TIME_MIN apr_time_from_msec(50)
#define TIME_MAX apr_time_from_sec(60)

const char *http_settings_read(http_options_t *o, const settings_t *s, apr_pool_t *p)
{
    apr_int64_t concurrency = o->concurrency;
    const char *error;

    o->ca_file = settings_get(s, "caFile", o->ca_file);
    o->proxy = settings_get(s, "proxy", o->proxy);
    o->proxy_file = settings_get(s, "proxyCredentials", o->proxy_file);
    error = settings_get_duration(s, "timeout", o->timeout, TIME_MIN, TIME_MAX, &o->timeout, p);
    if (!error)
        error = settings_get_duration(s, "connectTimeout", o->connect_timeout, TIME_MIN, TIME_MAX,
                                      &o->connect_timeout, p);
    if (!error)
        error = settings_get_number(s, "concurrency", o->concurrency, 1, 10000, &concurrency, p);
    if (!error)
        error = settings_get_flag(s, "plainLoopback", o->plain_loopback, &o->plain_loopback, p);
    o->concurrency = (int)concurrency;
    return error;
}

const char *http_settings_read_urls(http_options_t *o, const settings_t *s, apr_pool_t *p)
{
    static const char *const keys[HTTP_URLS_MAX] = {"url", "url2", "url3", "url4"};
    char *url;
    int i, n = 0;

    for (i = 0; i < HTTP_URLS_MAX; i++) {
        if (!settings_get(s, keys[i], NULL))
            continue;
        url = apr_pstrdup(p, settings_get(s, keys[i], ""));
        if (strchr(url, ','))
            return apr_psprintf(p, "%s: takes one URL, the next one belongs into url2", keys[i]);
        if (strpbrk(url, "?#"))
            return apr_psprintf(p, "%s: paths are appended to it, so it has no query", keys[i]);
        while (*url && url[strlen(url) - 1] == '/')
            url[strlen(url) - 1] = '\0';
        o->url[n++] = url;
    }
    return NULL;
}
