/* SPDX-License-Identifier: Apache-2.0 */
/* The options of directives that name an HTTP peer: the same words mean the same everywhere. */
#ifndef COMMON_HTTP_SETTINGS_H
#define COMMON_HTTP_SETTINGS_H

#include "http_client.h"
#include "settings.h"

/* For the table of keys of whoever has such a peer. */
#define HTTP_SETTINGS_URLS {"url2", "URL", 0}, {"url3", "URL", 0}, {"url4", "URL", 0}
#define HTTP_SETTINGS_PEER                                                                         \
    {"caFile", "FILE", 0}, {"proxy", "http://HOST:PORT", 0}, {"proxyCredentials", "FILE", 0},      \
        {"timeout", "DURATION", 0}, {"connectTimeout", "DURATION", 0},                             \
        {"plainLoopback", "on|off", 0}

/*
 * Reads caFile, proxy, proxyCredentials, timeout, connectTimeout, plainLoopback and concurrency
 * into o, as far as the table has them; what o holds before are the defaults.  Error text in p,
 * NULL on success.
 */
const char *http_settings_read(http_options_t *o, const settings_t *s, apr_pool_t *p);

/*
 * Reads url, url2, url3 and url4 into o, each without slashes at its end, for peers whose paths are
 * appended.  A query, a fragment and a list by commas are errors: text in p, NULL on success.
 */
const char *http_settings_read_urls(http_options_t *o, const settings_t *s, apr_pool_t *p);

#endif /* COMMON_HTTP_SETTINGS_H */
