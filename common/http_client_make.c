/* SPDX-License-Identifier: Apache-2.0 */
/* How an HTTP client comes and goes: its URLs, its life in parent and child; see http_client.h. */
#include "http_client_state.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#define UNIX_SCHEME "http+unix://"
#define URL_MAX 2000
#define SOCKET_MAX 107 /* sun_path */

const char *http_printable(const char *text, apr_size_t max, apr_pool_t *p)
{
    apr_size_t len = strlen(text), i;
    unsigned char *copy;

    if (len > max) {
        for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
            len--;
    }
    copy = (unsigned char *)apr_pstrmemdup(p, text, len);
    for (i = 0; i < len; i++) {
        if (copy[i] < 0x20 || copy[i] == 0x7f)
            copy[i] = ' ';
        else if (copy[i] == 0xc2 && copy[i + 1] >= 0x80 && copy[i + 1] < 0xa0)
            copy[i] = copy[i + 1] = ' '; /* C1 controls */
    }
    return (const char *)copy;
}

/* A part of a URL in p; NULL: there is none. */
static const char *part(CURLU *handle, CURLUPart what, unsigned flags, apr_pool_t *p)
{
    char *text = NULL;
    const char *copy = NULL;

    if (curl_url_get(handle, what, &text, flags) == CURLUE_OK)
        copy = apr_pstrdup(p, text);
    curl_free(text);
    return copy;
}

/* Whether a host name means this machine for everybody. */
static int is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0');
}

/*
 * Takes the socket out of an http+unix URL; *url is then what to ask there.  Error text in p, NULL
 * on success.
 */
static const char *take_socket(http_base_t *base, const char **url, apr_pool_t *p)
{
    const char *host = *url + strlen(UNIX_SCHEME), *rest = host + strcspn(host, "/?#");
    int len = 0;
    char *path = curl_easy_unescape(NULL, host, (int)(rest - host), &len);
    const char *error = NULL;

    if (rest == host || !path || *path != '/' || len > SOCKET_MAX || (int)strlen(path) != len)
        error = "http+unix: needs the socket's path as host name, its slashes as %2F, e.g. "
                "http+unix://%2Frun%2Fhook.sock/scep";
    else
        base->socket = apr_pstrdup(p, path);
    curl_free(path);
    *url = apr_pstrcat(p, "http://localhost", rest, NULL);
    return error;
}

/* Takes an http or https URL.  Error text in p, NULL on success. */
static const char *take_host(http_base_t *base, CURLU *handle, const char *scheme,
                             const http_options_t *options, apr_pool_t *p)
{
    const char *host = part(handle, CURLUPART_HOST, 0, p);
    const char *port = part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT, p);
    const char *path = part(handle, CURLUPART_PATH, 0, p);

    if (!host || !port)
        return "a URL needs a host name";
    if (strcmp(scheme, "https") != 0 && !base->socket) {
        if (strcmp(scheme, "http") != 0)
            return apr_psprintf(p, "%s: is not https: or http+unix:", scheme);
        if (!options->plain && (!options->plain_loopback || !is_loopback(host)))
            return "http: would send requests in the clear; use https: or http+unix:";
    }
    base->host = host;
    base->path = path ? path : "/";
    base->url = apr_pstrcat(p, scheme, "://", host, ":", port, base->path, NULL);
    base->peer = base->socket ? apr_pstrcat(p, "http+unix:", base->socket, NULL)
                              : apr_pstrcat(p, scheme, "://", host, ":", port, NULL);
    return NULL;
}

/* Takes what libcurl is to be asked for apart.  Error text in p, NULL on success. */
static const char *take_parts(http_base_t *base, CURLU *handle, const char *url,
                              const http_options_t *options, apr_pool_t *p)
{
    const char *scheme, *query, *error;

    if (curl_url_set(handle, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
        (scheme = part(handle, CURLUPART_SCHEME, 0, p)) == NULL)
        return "this is not a URL";
    if (part(handle, CURLUPART_USER, 0, p) || part(handle, CURLUPART_PASSWORD, 0, p))
        return "a URL must not hold user names or passwords";
    if (part(handle, CURLUPART_FRAGMENT, 0, p))
        return "a URL to call has no fragment (#)";
    error = take_host(base, handle, scheme, options, p);
    query = part(handle, CURLUPART_QUERY, 0, p);
    base->query = query ? apr_pstrcat(p, "?", query, NULL) : "";
    return error;
}

const char *http_base_take(http_base_t *base, const char *url, const http_options_t *options,
                           apr_pool_t *p)
{
    const char *error = NULL, *c = url;
    CURLU *handle;

    while (*c > ' ' && *c < 0x7f)
        c++;
    if (*c || c - url > URL_MAX)
        return "this is not a URL";
    if (strncmp(url, UNIX_SCHEME, strlen(UNIX_SCHEME)) == 0)
        error = take_socket(base, &url, p);
    if (error)
        return error;
    handle = curl_url();
    error = handle ? take_parts(base, handle, url, options, p) : "out of memory";
    curl_url_cleanup(handle);
    return error;
}

/* Looks at the proxy.  Error text, NULL on success. */
static const char *check_proxy(const char *proxy)
{
    const char *host = proxy + strlen("http://");

    if (strncmp(proxy, "http://", strlen("http://")) != 0 || !*host ||
        host[strcspn(host, "@/?# ")] != '\0')
        return "a proxy is given as http://host:port";
    return NULL;
}

/* Whether Kerberos can do with the options and URLs.  Error text in p, NULL on success. */
static const char *check_kerberos(const http_client_t *client, apr_pool_t *p)
{
    const http_options_t *o = &client->options;
    int i;

    if (!o->keytab && !o->principal)
        return NULL;
    if (!o->keytab || !o->principal)
        return "Kerberos needs keytab and principal";
    if (!(curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_SPNEGO))
        return "keytab: libcurl was built without GSSAPI";
    if (o->url_at_call)
        return "Kerberos needs URLs that are known";
    for (i = 0; i < client->nbase; i++) {
        /* RFC 4120 section 6.2.1: names, and no trailing digits in the last label of one */
        if (client->base[i].socket || strchr(client->base[i].host, ':') ||
            !client->base[i].host[strspn(client->base[i].host, "0123456789.")])
            return apr_psprintf(p, "%s: Kerberos needs the host's name", client->base[i].peer);
    }
    return NULL;
}

const char *http_client_make(http_client_t **pclient, const http_options_t *options, apr_pool_t *p)
{
    http_client_t *client = apr_pcalloc(p, sizeof(*client));
    const char *error = NULL;
    int i;

    *pclient = NULL;
    client->options = *options;
    if (client->options.rest <= 0)
        client->options.rest = apr_time_from_sec(5);
    for (i = 0; i < HTTP_URLS_MAX && options->url[i]; i++) {
        error = http_base_take(&client->base[i], options->url[i], options, p);
        if (error)
            return error;
        client->nbase++;
    }
    if ((client->nbase == 0) != (options->url_at_call != 0))
        return client->nbase ? "a URL is given with each call" : "there is no URL";
    if (options->key_file && !options->certificate_file)
        return "a key needs its certificate";
    if (options->proxy)
        error = check_proxy(options->proxy);
    if (!error && options->proxy_file && !options->proxy)
        error = "proxyCredentials needs a proxy";
    if (!error)
        error = check_kerberos(client, p);
    client->files.path[0] = options->ca_file;
    client->files.path[1] = options->certificate_file;
    client->files.path[2] = options->key_file ? options->key_file : options->certificate_file;
    client->files.path[HTTP_FILE_PROXY] = options->proxy_file;
    if (!error)
        *pclient = client;
    return error;
}

/* Reads the keytab, where there is one.  Error text in p, NULL on success. */
static const char *make_ticket(http_ticket_t **pticket, const http_client_t *client, apr_pool_t *p)
{
    const char **host = apr_pcalloc(p, sizeof(*host) * HTTP_URLS_MAX);
    http_ticket_options_t o = {client->options.name, client->options.keytab,
                               client->options.principal, host, client->nbase};
    int i;

    *pticket = NULL;
    for (i = 0; i < client->nbase; i++)
        host[i] = client->base[i].host;
    return o.keytab ? http_ticket_make(pticket, &o, p) : NULL;
}

const char *http_client_check(const http_client_t *client, apr_pool_t *p)
{
    http_credentials_t *credentials;
    http_ticket_t *ticket;
    const char *error = http_files_load(&credentials, &client->files, p);

    http_files_drop(credentials);
    return error ? error : make_ticket(&ticket, client, p);
}

int http_client_background(const http_client_t *client)
{
    return client->options.concurrency < 4 ? 1 : client->options.concurrency / 2;
}

/* Pool cleanup of the parent: wipes the credentials and gives libcurl back. */
static apr_status_t forget(void *baton)
{
    http_client_t *client = baton;

    http_files_drop(client->credentials);
    client->credentials = NULL;
    curl_global_cleanup();
    return APR_SUCCESS;
}

const char *http_client_prepare(http_client_t *client, apr_pool_t *p)
{
    const char *error;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return "libcurl cannot be set up";
    error = http_files_load(&client->credentials, &client->files, p);
    if (error) {
        curl_global_cleanup();
        return error;
    }
    apr_pool_cleanup_register(p, client, forget, apr_pool_cleanup_null);
    return make_ticket(&client->ticket, client, p);
}

/* Pool cleanup of a child: closes what is kept alive. */
static apr_status_t close_all(void *baton)
{
    http_client_t *client = baton;
    http_handle_t *handle;

    while ((handle = client->idle) != NULL) {
        client->idle = handle->next;
        curl_easy_cleanup(handle->curl);
        http_files_drop(handle->credentials);
        free(handle);
    }
    http_files_drop(client->credentials);
    client->credentials = NULL;
    return APR_SUCCESS;
}

apr_status_t http_client_child_init(http_client_t *client, apr_pool_t *pchild)
{
    apr_status_t rv =
        apr_thread_mutex_create(&client->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv == APR_SUCCESS)
        apr_pool_cleanup_register(pchild, client, close_all, apr_pool_cleanup_null);
    if (rv == APR_SUCCESS && client->ticket)
        rv = http_ticket_child_init(client->ticket, pchild);
    return rv;
}

apr_status_t http_client_health(const http_client_t *client, const char **text, apr_pool_t *p)
{
    *text = "";
    return client->ticket ? http_ticket_health(client->ticket, text, p) : APR_SUCCESS;
}
