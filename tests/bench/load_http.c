/* SPDX-License-Identifier: Apache-2.0 */
/* One keep-alive connection to 127.0.0.1: see load_http.h. */
#include "load_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_MAX (1u << 20)
#define FIRST_SIZE 16384

const char *load_target_parse(load_target_t *target, const char *url)
{
    static const char start[] = "http://127.0.0.1:";
    char *end;
    long port;
    size_t len;

    if (strncmp(url, start, sizeof(start) - 1) != 0)
        return "the URL must begin with http://127.0.0.1: (load goes to this host only)";
    port = strtol(url + sizeof(start) - 1, &end, 10);
    if (port < 1 || port > 65535 || (*end && *end != '/'))
        return "the URL has no valid port";
    len = strlen(end);
    while (len > 0 && end[len - 1] == '/')
        len--;
    if (len >= sizeof(target->prefix) || strcspn(end, " \r\n?#") < len)
        return "the URL's path cannot be used";
    target->port = (int)port;
    memcpy(target->prefix, end, len);
    target->prefix[len] = '\0';
    return NULL;
}

void load_connection_init(load_connection_t *c, const load_target_t *target, int timeout)
{
    memset(c, 0, sizeof(*c));
    c->target = target;
    c->timeout = timeout;
    c->fd = -1;
}

void load_connection_close(load_connection_t *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    free(c->buffer);
    c->buffer = NULL;
    c->size = c->len = 0;
}

/* Connects; NULL, or what went wrong. */
static const char *open_socket(load_connection_t *c)
{
    struct sockaddr_in address;
    struct timeval limit = {0, 0};
    int one = 1;

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)c->target->port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    limit.tv_sec = c->timeout;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return "no socket";
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return "cannot connect";
    return NULL;
}

/* Writes everything; NULL, or what went wrong. */
static const char *send_all(load_connection_t *c, const char *data, size_t len)
{
    ssize_t n;

    while (len > 0) {
        n = send(c->fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return errno == EAGAIN ? "timeout while sending" : "connection lost while sending";
        data += n;
        len -= (size_t)n;
    }
    return NULL;
}

/* Reads until at least want bytes are there; NULL, or what went wrong. */
static const char *fill(load_connection_t *c, size_t want)
{
    char *bigger;
    ssize_t n;

    while (c->len < want) {
        if (c->len + 1 >= c->size) {
            c->size = c->size ? 2 * c->size : FIRST_SIZE;
            bigger = c->size <= ANSWER_MAX ? realloc(c->buffer, c->size) : NULL;
            if (!bigger)
                return "answer too large";
            c->buffer = bigger;
        }
        n = recv(c->fd, c->buffer + c->len, c->size - c->len - 1, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? "timeout while reading" : "connection lost while reading";
        if (n == 0)
            return c->len ? "answer cut off" : "connection closed without an answer";
        c->len += (size_t)n;
        c->buffer[c->len] = '\0';
    }
    return NULL;
}

/* The value of a header in the head that ends at head_end; NULL: it has none such. */
static const char *header(const char *head, const char *head_end, const char *name)
{
    size_t len = strlen(name);
    const char *line = head;

    while ((line = strstr(line, "\r\n")) != NULL && line < head_end) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " ");
    }
    return NULL;
}

/* Reads one answer; NULL, or what went wrong. */
static const char *read_answer(load_connection_t *c, load_answer_t *answer)
{
    const char *error, *end, *value;
    size_t head_len;
    long body_len;

    c->len = 0;
    do {
        error = fill(c, c->len + 1);
        if (error)
            return error;
    } while ((end = strstr(c->buffer, "\r\n\r\n")) == NULL);
    if (sscanf(c->buffer, "HTTP/1.%*d %d", &answer->status) != 1)
        return "not an HTTP answer";
    value = header(c->buffer, end, "Content-Length");
    body_len = value ? strtol(value, NULL, 10) : -1;
    if (body_len < 0 || body_len > (long)ANSWER_MAX)
        return "answer without a usable Content-Length";
    value = header(c->buffer, end, "Content-Type");
    snprintf(answer->type, sizeof(answer->type), "%.*s", value ? (int)strcspn(value, "\r") : 0,
             value ? value : "");
    value = header(c->buffer, end, "Retry-After");
    answer->retry_after = value ? atoi(value) : 0;
    value = header(c->buffer, end, "Connection");
    answer->closes = value && strncasecmp(value, "close", 5) == 0;
    head_len = (size_t)(end - c->buffer) + 4;
    error = fill(c, head_len + (size_t)body_len);
    if (error)
        return error;
    answer->body = (const unsigned char *)c->buffer + head_len;
    answer->body_len = (size_t)body_len;
    return NULL;
}

/* The whole request, to be freed; NULL: its head is too long, or no memory. */
static char *make_request(const load_connection_t *c, const char *method, const char *path,
                          const char *headers, const void *body, size_t body_len, size_t *len)
{
    char head[1024], *whole;
    int head_len;

    head_len = snprintf(head, sizeof(head),
                        "%s %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: scep_load\r\n"
                        "%sContent-Length: %lu\r\n\r\n",
                        method, c->target->prefix, path, c->target->port, headers,
                        (unsigned long)body_len);
    if (head_len < 0 || (size_t)head_len >= sizeof(head))
        return NULL;
    whole = malloc((size_t)head_len + body_len);
    if (!whole)
        return NULL;
    memcpy(whole, head, (size_t)head_len);
    if (body_len)
        memcpy(whole + head_len, body, body_len);
    *len = (size_t)head_len + body_len;
    return whole;
}

const char *load_request(load_connection_t *c, load_answer_t *answer, const char *method,
                         const char *path, const char *headers, const void *body, size_t body_len)
{
    const char *error = NULL;
    size_t len;
    char *whole = make_request(c, method, path, headers, body, body_len, &len);

    memset(answer, 0, sizeof(*answer));
    if (!whole)
        return "request head too long";
    if (c->fd < 0)
        error = open_socket(c);
    if (!error)
        error = send_all(c, whole, len);
    if (!error)
        error = read_answer(c, answer);
    if ((error || answer->closes) && c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    free(whole);
    return error;
}

void load_request_cut(load_connection_t *c, load_cut_e where, const char *method, const char *path,
                      const char *headers, const void *body, size_t body_len)
{
    struct linger reset = {1, 0};
    size_t len;
    char byte, *whole = make_request(c, method, path, headers, body, body_len, &len);
    const char *error = whole && c->fd < 0 ? open_socket(c) : NULL;

    if (whole && !error)
        error = send_all(c, whole, where == LOAD_CUT_HALF ? len / 2 : len);
    if (whole && !error && where == LOAD_CUT_READING && recv(c->fd, &byte, 1, 0) < 0)
        error = "connection lost while reading";
    if (c->fd >= 0) {
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(c->fd);
        c->fd = -1;
    }
    free(whole);
}
