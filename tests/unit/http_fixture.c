/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP server for unit tests; see http_fixture.h. */
#include "http_fixture.h"
#include "fixture.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX 4096
#define REQUEST_MAX 65536

/* What the processes share. */
typedef struct shared_t {
    int requests, connections, closed, left;
    char answer[ANSWER_MAX], request[REQUEST_MAX];
    http_fixture_route_t routes[HTTP_FIXTURE_ROUTES];
} shared_t;

/* A listening socket on 127.0.0.1; its port. */
static int listen_tcp(int *port)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, 64) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        ck_abort_msg("no port to listen on");
    *port = ntohs(address.sin_port);
    return fd;
}

/* A listening unix socket. */
static int listen_unix(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, 64) != 0)
        ck_abort_msg("no socket to listen on");
    return fd;
}

/* Sends a text; whether that went well. */
static int say(int fd, const char *text, size_t len)
{
    return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Sends an answer with a length. */
static int say_answer(int fd, const char *status, const char *headers, const char *body, size_t len)
{
    char head[ANSWER_MAX];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status,
                     len, headers);

    return say(fd, head, n) && say(fd, body, len);
}

/* Endless headers, until the other side has enough. */
static void say_headers(int fd)
{
    int going = say(fd, "HTTP/1.1 200 OK\r\n", 17);

    while (going)
        going = say(fd, "X-More: 0123456789012345678901234567890123456789\r\n", 50);
}

/* The route of a path; NULL: none. */
static http_fixture_route_t *route_of(shared_t *shared, const char *path)
{
    char copy[512];
    int i;

    snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(path, " "), path);
    for (i = 0; i < HTTP_FIXTURE_ROUTES; i++) {
        if (*shared->routes[i].match && strstr(copy, shared->routes[i].match))
            return &shared->routes[i];
    }
    return NULL;
}

/* Ends the process that listens; its sockets are closed before it has another parent. */
static void end_listening(void)
{
    pid_t parent = getppid();

    prctl(PR_SET_PDEATHSIG, 0);
    kill(parent, SIGKILL);
    while (getppid() == parent)
        usleep(1000);
}

/* Answers request number n of a connection, then does something else with it; 0 to close. */
static int serve_kept(int fd, const char *path, int n)
{
    char byte;

    if (strncmp(path, "/first", 6) == 0 && n > 1)
        return 0;
    if (strncmp(path, "/last", 5) == 0 && n > 1) {
        end_listening();
        return 0;
    }
    if (!say_answer(fd, "200 OK", "Content-Type: application/json\r\n", "{}", 2) ||
        strncmp(path, "/leave", 6) == 0)
        return 0;
    return strncmp(path, "/peek", 5) != 0 || recv(fd, &byte, 1, MSG_PEEK) < 0;
}

/* Answers one request; 0 to close. */
static int serve(int fd, shared_t *shared, int n, const char *path, const char *request, size_t len)
{
    static char big[100000];
    const char *json = "Content-Type: application/json\r\n";
    http_fixture_route_t *route = route_of(shared, path);

    if (route) {
        memcpy(route->request, request, len + 1);
        __atomic_add_fetch(&route->requests, 1, __ATOMIC_SEQ_CST);
        return *route->answer && say(fd, route->answer, strlen(route->answer));
    }
    if (strncmp(path, "/good", 5) == 0)
        return say_answer(fd, "200 OK", json, "{\"a\":1}", 7);
    if (strncmp(path, "/first", 6) == 0 || strncmp(path, "/last", 5) == 0 ||
        strncmp(path, "/leave", 6) == 0 || strncmp(path, "/peek", 5) == 0)
        return serve_kept(fd, path, n);
    if (strncmp(path, "/echo", 5) == 0)
        return say_answer(fd, "200 OK", "", request, len);
    if (strncmp(path, "/answer", 7) == 0)
        return say(fd, shared->answer, strlen(shared->answer));
    if (strncmp(path, "/503", 4) == 0)
        return say_answer(fd, "503 Busy", "Retry-After: 7\r\n", "later", 5);
    if (strncmp(path, "/moved", 6) == 0)
        return say_answer(fd, "302 Found", "Location: /good\r\n", "", 0);
    if (strncmp(path, "/slow", 5) == 0) {
        apr_sleep(fixture_patience(3000));
        return say_answer(fd, "200 OK", json, "{}", 2);
    }
    if (strncmp(path, "/big", 4) == 0)
        return say_answer(fd, "200 OK", json, memset(big, 'x', sizeof(big)), sizeof(big));
    if (strncmp(path, "/half", 5) == 0)
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 44);
    if (strncmp(path, "/garbage", 8) == 0)
        say(fd, "\x01\x02garbage\r\n\r\n", 13);
    if (strncmp(path, "/headers", 8) == 0)
        say_headers(fd);
    return 0;
}

/* Length of the request at the start of data, once it is whole; 0: not yet. */
static size_t request_length(const char *data)
{
    const char *end = strstr(data, "\r\n\r\n"), *length = strcasestr(data, "\r\nContent-Length: ");
    size_t head = end ? end + 4 - data : 0, body = length ? strtoul(length + 18, NULL, 10) : 0;

    return end && strlen(data) >= head + body ? head + body : 0;
}

/* Serves a connection. */
static void converse(int fd, shared_t *shared)
{
    static char data[REQUEST_MAX];
    size_t have = 0, len;
    ssize_t n;
    int going = 1, count = 0;

    while (going && (n = recv(fd, data + have, sizeof(data) - 1 - have, 0)) > 0) {
        have += n;
        data[have] = '\0';
        len = request_length(data);
        if (!len)
            continue;
        memcpy(shared->request, data, have + 1);
        __atomic_add_fetch(&shared->requests, 1, __ATOMIC_SEQ_CST);
        going = serve(fd, shared, ++count, data + strcspn(data, "/"), data, len);
        have = 0;
    }
}

/* The server's process: a child for each connection. */
static void run(int tcp, int local, shared_t *shared)
{
    fd_set set;
    int fd, from;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        FD_ZERO(&set);
        FD_SET(tcp, &set);
        FD_SET(local, &set);
        if (select((tcp > local ? tcp : local) + 1, &set, NULL, NULL, NULL) < 0)
            continue;
        from = FD_ISSET(tcp, &set) ? tcp : local;
        fd = accept(from, NULL, NULL);
        __atomic_add_fetch(&shared->connections, 1, __ATOMIC_SEQ_CST);
        if (fd >= 0 && !shared->closed && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(tcp);
            close(local);
            converse(fd, shared);
            shutdown(fd, SHUT_RDWR);
            __atomic_add_fetch(&shared->left, 1, __ATOMIC_SEQ_CST);
            _exit(0);
        }
        close(fd);
    }
}

/* Pool cleanup: ends the server. */
static apr_status_t end(void *baton)
{
    pid_t pid = (pid_t)(apr_uintptr_t)baton;

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return APR_SUCCESS;
}

/* A path as part of a URL, its slashes as %2F. */
static const char *escape(const char *path, apr_pool_t *p)
{
    const char *out = "";

    for (; *path; path++)
        out = *path == '/' ? apr_pstrcat(p, out, "%2F", NULL) : apr_psprintf(p, "%s%c", out, *path);
    return out;
}

http_fixture_t *http_fixture_start(apr_pool_t *p)
{
    http_fixture_t *server = apr_pcalloc(p, sizeof(*server));
    shared_t *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int tcp, local;
    pid_t pid;

    ck_assert(shared != MAP_FAILED);
    server->socket = apr_pstrcat(p, fixture_directory(p), "/s", NULL);
    server->socket_url = apr_pstrcat(p, "http+unix://", escape(server->socket, p), NULL);
    server->requests = &shared->requests;
    server->connections = &shared->connections;
    server->closed = &shared->closed;
    server->left = &shared->left;
    server->answer = shared->answer;
    server->routes = shared->routes;
    server->request = shared->request;
    tcp = listen_tcp(&server->port);
    local = listen_unix(server->socket);
    pid = fork();
    if (pid == 0) /* not one check here: it would write into the parent's record of the test */
        run(tcp, local, shared);
    ck_assert_int_ge(pid, 0);
    close(tcp);
    close(local);
    apr_pool_cleanup_register(p, (void *)(apr_uintptr_t)pid, end, apr_pool_cleanup_null);
    return server;
}

void http_fixture_answer(http_fixture_t *server, const char *status, const char *headers,
                         const char *body)
{
    snprintf(server->answer, ANSWER_MAX, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status,
             strlen(body), headers, body);
}

void http_fixture_route(http_fixture_t *server, int n, const char *match, const char *status,
                        const char *headers, const char *body)
{
    http_fixture_route_t *route = &server->routes[n];

    snprintf(route->match, sizeof(route->match), "%s", match);
    if (*status)
        snprintf(route->answer, sizeof(route->answer),
                 "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), headers,
                 body);
    else
        *route->answer = '\0';
}

const char *http_fixture_url(const http_fixture_t *server, const char *path, apr_pool_t *p)
{
    return apr_psprintf(p, "http://127.0.0.1:%d%s", server->port, path);
}

int http_fixture_dead_port(void)
{
    int port, fd = listen_tcp(&port);

    close(fd);
    return port;
}
