/* SPDX-License-Identifier: Apache-2.0 */
/* The URL forms of a Redis store; see redis_url.h. */
#include "redis_url.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *scheme;
    redis_kind_e kind;
    redis_topology_e topology;
    const char *form;
} forms[] = {
    {"redis", REDIS_TCP, REDIS_SINGLE, "redis[s]://[user@]host[:port][/db]"},
    {"rediss", REDIS_TLS, REDIS_SINGLE, "redis[s]://[user@]host[:port][/db]"},
    {"redis+unix", REDIS_UNIX, REDIS_SINGLE, "redis+unix:///path[?db=N]"},
    {"redis+sentinel", REDIS_TCP, REDIS_SENTINEL,
     "redis[s]+sentinel://[user@]host[:port],.../master[/db]"},
    {"rediss+sentinel", REDIS_TLS, REDIS_SENTINEL,
     "redis[s]+sentinel://[user@]host[:port],.../master[/db]"},
    {"redis+cluster", REDIS_TCP, REDIS_CLUSTER, "redis[s]+cluster://[user@]host[:port],..."},
    {"rediss+cluster", REDIS_TLS, REDIS_CLUSTER, "redis[s]+cluster://[user@]host[:port],..."}};
#define FORMS (int)(sizeof(forms) / sizeof(forms[0]))

int redis_address_same(const redis_address_t *a, const redis_address_t *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

const char *redis_address_text(const redis_address_t *address, apr_pool_t *p)
{
    return apr_psprintf(p, strchr(address->host, ':') ? "[%s]:%d" : "%s:%d", address->host,
                        address->port);
}

int redis_address_set(redis_address_t *address, const char *host, apr_size_t len, apr_int64_t port)
{
    apr_size_t i;

    if (len == 0 || len > REDIS_HOST_MAX || port < 1 || port > 65535)
        return 0;
    for (i = 0; i < len; i++) {
        if (!apr_isalnum(host[i]) && (host[i] == '\0' || !strchr(".-_:%", host[i])))
            return 0;
    }
    memset(address, 0, sizeof(*address));
    memcpy(address->host, host, len);
    address->port = (int)port;
    return 1;
}

/* Reads a number of at most max, digits only; whether it is one. */
static int parse_number(const char *text, int max, int *number)
{
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 5 || text[len])
        return 0;
    *number = atoi(text);
    return *number <= max;
}

/* Reads "host", "host:port", "[v6]" or "[v6]:port"; whether it is that.  Changes text. */
static int parse_address(redis_address_t *address, char *text, int port)
{
    char *host = text, *end;

    if (*text == '[') {
        host = text + 1;
        end = strchr(host, ']');
        if (!end || !memchr(host, ':', end - host))
            return 0;
        *end++ = '\0';
        if (*end && *end != ':')
            return 0;
    }
    else {
        end = text + strcspn(text, ":");
        if (*end && strchr(end + 1, ':'))
            return 0;
    }
    if (*end == ':') {
        *end = '\0';
        /* "host:" means the usual port, as in any URL */
        if (end[1] && (!parse_number(end + 1, 65535, &port) || port == 0))
            return 0;
    }
    return redis_address_set(address, host, strlen(host), port);
}

/* Reads the list of hosts into o->nodes; whether it is one.  Changes text. */
static int parse_nodes(redis_options_t *o, char *text, apr_pool_t *p)
{
    int port = o->topology == REDIS_SENTINEL ? REDIS_SENTINEL_PORT : REDIS_PORT;
    int max = o->topology == REDIS_SINGLE ? 1 : REDIS_URL_NODES_MAX;
    redis_address_t address;
    char *comma;

    o->nodes = apr_array_make(p, 3, sizeof(redis_address_t));
    do {
        comma = strchr(text, ',');
        if (comma)
            *comma++ = '\0';
        if (o->nodes->nelts == max || !parse_address(&address, text, port))
            return 0;
        APR_ARRAY_PUSH(o->nodes, redis_address_t) = address;
        text = comma;
    } while (text);
    return 1;
}

/* Reads the path behind the hosts: "/DB", "/MASTER[/DB]", or nothing; whether it is that. */
static int parse_path(redis_options_t *o, char *path)
{
    char *slash;

    o->database = 0;
    if (o->topology == REDIS_SENTINEL) {
        if (!path)
            return 0;
        slash = strchr(path, '/');
        if (slash)
            *slash++ = '\0';
        o->master = path;
        if (!*path || strlen(path) > REDIS_MASTER_MAX || strpbrk(path, " %?#"))
            return 0;
        path = slash;
    }
    if (!path || !*path)
        return 1;
    return o->topology != REDIS_CLUSTER && parse_number(path, 9999, &o->database);
}

/* Reads "//[user@]hosts[/path]"; whether it is that.  Changes rest. */
static int parse_network(redis_options_t *o, char *rest, apr_pool_t *p)
{
    char *at, *path;

    if (strncmp(rest, "//", 2) != 0 || strpbrk(rest, "?#"))
        return 0;
    rest += 2;
    path = strchr(rest, '/');
    if (path)
        *path++ = '\0';
    at = strrchr(rest, '@');
    if (at) {
        *at++ = '\0';
        if (*rest && !o->user)
            o->user = rest;
        rest = at;
    }
    return parse_nodes(o, rest, p) && parse_path(o, path);
}

/* Reads "//path[?db=N]"; whether it is that.  Changes rest. */
static int parse_unix(redis_options_t *o, char *rest)
{
    char *query;

    o->database = 0;
    if (strncmp(rest, "///", 3) == 0)
        rest += 2;
    if (rest[0] != '/' || rest[1] == '/' || !rest[1])
        return 0;
    o->path = rest;
    query = strchr(rest, '?');
    if (!query)
        return 1;
    *query++ = '\0';
    if (strncmp(query, "db=", 3) != 0)
        return 0;
    return !query[3] || parse_number(query + 3, 9999, &o->database);
}

/* Whether the part before the hosts has a password. */
static int has_password(const char *rest)
{
    const char *at = strrchr(rest, '@');

    return at && memchr(rest, ':', at - rest) != NULL;
}

const char *redis_url_parse(redis_options_t *o, const char *url, apr_pool_t *p)
{
    const char *colon = strchr(url, ':');
    char *rest;
    int i;

    for (i = 0; colon && i < FORMS; i++) {
        if ((size_t)(colon - url) == strlen(forms[i].scheme) &&
            strncasecmp(url, forms[i].scheme, colon - url) == 0)
            break;
    }
    if (!colon || i == FORMS)
        return "the store's URL is none of Redis";
    o->kind = forms[i].kind;
    o->topology = forms[i].topology;
    rest = apr_pstrdup(p, colon + 1);
    if (o->kind != REDIS_UNIX && has_password(rest))
        return "the store's URL must not hold a password; give it in a file";
    if (!(o->kind == REDIS_UNIX ? parse_unix(o, rest) : parse_network(o, rest, p)))
        return apr_psprintf(p, "the store's URL is not %s", forms[i].form);
    return NULL;
}

const char *redis_url_display(const redis_options_t *o, apr_pool_t *p)
{
    const char *text = "";
    int i;

    for (i = 0; i < FORMS; i++) {
        if (forms[i].kind == o->kind && forms[i].topology == o->topology)
            text = apr_pstrcat(p, forms[i].scheme, "://", NULL);
    }
    if (o->kind == REDIS_UNIX)
        return apr_pstrcat(p, text, o->path, o->database ? "?db=" : "",
                           o->database ? apr_itoa(p, o->database) : "", NULL);
    for (i = 0; i < o->nodes->nelts; i++)
        text = apr_pstrcat(p, text, i ? "," : "",
                           redis_address_text(&APR_ARRAY_IDX(o->nodes, i, redis_address_t), p),
                           NULL);
    if (o->topology == REDIS_CLUSTER)
        return text;
    if (o->topology == REDIS_SENTINEL)
        text = apr_pstrcat(p, text, "/", o->master, NULL);
    return apr_psprintf(p, "%s/%d", text, o->database);
}
