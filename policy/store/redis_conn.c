/* SPDX-License-Identifier: Apache-2.0 */
/* The Redis transport; see redis_conn.h. */
#include "redis_conn.h"
#include "../../common/clock.h"
#include "redis_rule.h"
#include "store.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REPLY_MAX (8 * 1024 * 1024) /* bytes of one reply: the longest CRL and a little more */
#define ELEMENTS_MAX 65536      /* of one array */

/* hiredis' own constructors, and the ones with a limit on arrays. */
static redisReplyObjectFunctions reader_functions;
#if HIREDIS_MAJOR >= 1
static void *(*create_array)(const redisReadTask *, size_t);
#else
static void *(*create_array)(const redisReadTask *, int);
#endif

/* An array of at most ELEMENTS_MAX, otherwise NULL: a peer must not choose how much we allocate. */
#if HIREDIS_MAJOR >= 1
static void *create_small_array(const redisReadTask *task, size_t elements)
#else
static void *create_small_array(const redisReadTask *task, int elements)
#endif
{
    if (elements > ELEMENTS_MAX)
        return NULL;
    return create_array(task, elements);
}

/* Waits for events on fd.  APR_SUCCESS, APR_TIMEUP or the error of poll(). */
static apr_status_t wait_for(int fd, short events, apr_time_t deadline)
{
    struct pollfd watch = {.fd = fd, .events = events};
    apr_interval_time_t left;
    int n;

    do {
        left = deadline - clock_monotonic();
        if (left <= 0)
            return APR_TIMEUP;
        n = poll(&watch, 1, (int)((left + 999) / 1000));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return APR_FROM_OS_ERROR(errno);
    return n == 0 ? APR_TIMEUP : APR_SUCCESS;
}

/* Closes a connection; NULL is passed over. */
void redis_conn_close(redis_conn_t *conn)
{
    if (!conn)
        return;
    if (conn->ssl)
        SSL_free(conn->ssl);
    if (conn->fd >= 0)
        close(conn->fd);
    if (conn->reader)
        redisReaderFree(conn->reader);
    free(conn);
}

/* Closes a list of connections. */
void redis_conn_close_all(redis_conn_t *list)
{
    redis_conn_t *conn;

    while ((conn = list) != NULL) {
        list = conn->next;
        redis_conn_close(conn);
    }
}

/* After an SSL call that did not succeed: waits for what it needs.  APR_SUCCESS: try again. */
static apr_status_t tls_wait(redis_conn_t *conn, int result, apr_time_t deadline)
{
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(conn->fd, POLLIN, deadline);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(conn->fd, POLLOUT, deadline);
    default:
        return APR_ECONNRESET;
    }
}

/* Sends all of data. */
static apr_status_t conn_write(redis_conn_t *conn, const char *data, size_t len,
                               apr_time_t deadline)
{
    apr_status_t rv = APR_SUCCESS;
    size_t done = 0;
    ssize_t n;

    while (done < len && rv == APR_SUCCESS) {
        if (conn->ssl) {
            size_t written = 0;
            int result;

            ERR_clear_error();
            result = SSL_write_ex(conn->ssl, data + done, len - done, &written);
            if (result != 1)
                rv = tls_wait(conn, result, deadline);
            done += written;
            continue;
        }
        n = send(conn->fd, data + done, len - done, MSG_NOSIGNAL);
        if (n >= 0)
            done += n;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            rv = wait_for(conn->fd, POLLOUT, deadline);
        else if (errno != EINTR)
            rv = APR_FROM_OS_ERROR(errno);
    }
    return rv;
}

/* Reads what is there, at least one byte. */
static apr_status_t conn_read(redis_conn_t *conn, char *buffer, size_t size, size_t *len,
                              apr_time_t deadline)
{
    apr_status_t rv = APR_SUCCESS;
    ssize_t n;

    *len = 0;
    while (*len == 0 && rv == APR_SUCCESS) {
        if (conn->ssl) {
            int result;

            ERR_clear_error();
            result = SSL_read_ex(conn->ssl, buffer, size, len);
            if (result != 1)
                rv = tls_wait(conn, result, deadline);
            continue;
        }
        /* an answer is never there at once */
        rv = wait_for(conn->fd, POLLIN, deadline);
        if (rv != APR_SUCCESS)
            break;
        n = recv(conn->fd, buffer, size, 0);
        if (n > 0)
            *len = n;
        else if (n == 0)
            rv = APR_ECONNRESET;
        else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
            rv = APR_FROM_OS_ERROR(errno);
    }
    return rv;
}

/* Pool cleanup of a reply. */
static apr_status_t free_reply(void *baton)
{
    freeReplyObject(baton);
    return APR_SUCCESS;
}

/* Reads one reply into p.  APR_EGENERAL: not what a Redis server sends, or too much of it. */
static apr_status_t conn_reply(redis_conn_t *conn, redisReply **preply, apr_time_t deadline,
                               apr_pool_t *p)
{
    char buffer[16384];
    void *reply = NULL;
    size_t total = 0, len;
    apr_status_t rv;

    for (;;) {
        if (redisReaderGetReply(conn->reader, &reply) != REDIS_OK)
            return store_set_error(p, APR_EGENERAL, "the answer is not one of a Redis server");
        if (reply)
            break;
        rv = conn_read(conn, buffer, sizeof(buffer), &len, deadline);
        if (rv != APR_SUCCESS)
            return rv;
        total += len;
        if (total > REPLY_MAX)
            return store_set_error(p, APR_EGENERAL, "the answer has more than %d bytes", REPLY_MAX);
        if (redisReaderFeed(conn->reader, buffer, len) != REDIS_OK)
            return store_set_error(p, APR_EGENERAL, "the answer is not one of a Redis server");
    }
    apr_pool_cleanup_register(p, reply, free_reply, apr_pool_cleanup_null);
    if (conn->reader->len > conn->reader->pos)
        return store_set_error(p, APR_EGENERAL, "the answer is followed by another");
    *preply = reply;
    return APR_SUCCESS;
}

/* Sends a command and reads its reply, all before the deadline. */
apr_status_t redis_conn_command(redis_conn_t *conn, redisReply **preply, int argc,
                                const char **argv, const size_t *lengths, apr_time_t deadline,
                                apr_pool_t *p)
{
    char *command = NULL;
    apr_status_t rv;
    int len = (int)redisFormatCommandArgv(&command, argc, argv, lengths);

    if (len < 0)
        return APR_ENOMEM;
    rv = conn_write(conn, command, len, deadline);
    OPENSSL_cleanse(command, len);
    redisFreeCommand(command);
    if (rv == APR_SUCCESS)
        rv = conn_reply(conn, preply, deadline, p);
    return rv;
}

/* Connects a new socket to addr.  The descriptor, or -1 with *rv set. */
static int connect_socket(const struct sockaddr *addr, socklen_t len, int family,
                          apr_time_t deadline, apr_status_t *rv)
{
    socklen_t size = sizeof(int);
    int fd = socket(family, SOCK_STREAM, 0);
    int on = 1, error = 0;

    if (fd < 0) {
        *rv = APR_FROM_OS_ERROR(errno);
        return -1;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *rv = APR_SUCCESS;
    if (connect(fd, addr, len) != 0) {
        *rv = APR_FROM_OS_ERROR(errno);
        if (errno == EINPROGRESS) {
            *rv = wait_for(fd, POLLOUT, deadline);
            if (*rv == APR_SUCCESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 &&
                error)
                *rv = APR_FROM_OS_ERROR(error);
        }
    }
    if (*rv == APR_SUCCESS)
        return fd;
    close(fd);
    return -1;
}

/* Connects to the unix socket. */
static int connect_unix(const char *path, apr_time_t deadline, apr_status_t *rv)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(addr.sun_path)) {
        *rv = APR_ENAMETOOLONG;
        return -1;
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    return connect_socket((struct sockaddr *)&addr, sizeof(addr), AF_UNIX, deadline, rv);
}

int redis_conn_dial(const struct addrinfo *list, apr_time_t deadline, apr_status_t *rv)
{
    const struct addrinfo *one;
    apr_time_t now = clock_monotonic();
    int fd = -1, left = 0;

    for (one = list; one; one = one->ai_next)
        left++;
    for (one = list; one && fd < 0; one = one->ai_next, left--) {
        fd = connect_socket(one->ai_addr, one->ai_addrlen, one->ai_family,
                            now + (deadline - now) / left, rv);
        now = clock_monotonic();
    }
    return fd;
}

/* Connects to the first address of the host that answers. */
static int connect_tcp(const redis_address_t *address, apr_time_t deadline, apr_status_t *rv,
                       apr_pool_t *p)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int fd, code;

    code = getaddrinfo(address->host, apr_itoa(p, address->port), &hints, &list);
    if (code != 0) {
        *rv = store_set_error(p, APR_EHOSTUNREACH, "cannot resolve %s: %s", address->host,
                              gai_strerror(code));
        return -1;
    }
    fd = redis_conn_dial(list, deadline, rv);
    freeaddrinfo(list);
    return fd;
}

/* Whether the host is an address rather than a name. */
static int is_address(const char *host)
{
    unsigned char buffer[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, buffer) == 1 || inet_pton(AF_INET6, host, buffer) == 1;
}

/* The TLS handshake, with the server's name checked. */
static apr_status_t start_tls(redis_conn_t *conn, const redis_peer_t *peer, apr_time_t deadline,
                              apr_pool_t *p)
{
    const char *host = conn->address.host;
    apr_status_t rv = APR_SUCCESS;
    long verify;
    int ok, result;

    if (!peer->tls)
        return store_set_error(p, APR_EINIT, "TLS is not set up");
    ERR_clear_error();
    conn->ssl = SSL_new(peer->tls);
    if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1)
        return APR_ENOMEM;
    if (is_address(host))
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(conn->ssl), host) == 1;
    else
        ok = SSL_set1_host(conn->ssl, host) == 1 && SSL_set_tlsext_host_name(conn->ssl, host) == 1;
    if (!ok)
        return APR_EINVAL;
    do {
        ERR_clear_error();
        result = SSL_connect(conn->ssl);
        if (result != 1)
            rv = tls_wait(conn, result, deadline);
    } while (result != 1 && rv == APR_SUCCESS);
    verify = SSL_get_verify_result(conn->ssl);
    if (rv != APR_SUCCESS && verify != X509_V_OK)
        rv = store_set_error(p, APR_EGENERAL, "the server's certificate is refused: %s",
                             X509_verify_cert_error_string(verify));
    else if (rv == APR_ECONNRESET)
        rv = store_set_error(p, APR_EGENERAL, "the TLS handshake failed");
    ERR_clear_error();
    return rv;
}

/* Runs one command of a new connection's greeting; an error reply is APR_EACCES, or APR_EAGAIN
 * where the server is not ready.  Of its text only the code is told, since some servers repeat the
 * arguments. */
static apr_status_t greet(redis_conn_t *conn, int argc, const char **argv, apr_time_t deadline,
                          apr_pool_t *p)
{
    redisReply *reply = NULL;
    apr_status_t rv = redis_conn_command(conn, &reply, argc, argv, NULL, deadline, p);

    if (rv == APR_SUCCESS && reply->type == REDIS_REPLY_ERROR)
        rv = store_set_error(p, redis_rule(reply->str) == REDIS_RULE_MOVE ? APR_EAGAIN : APR_EACCES,
                             "%s is refused: %.*s", argv[0], (int)strcspn(reply->str, " "),
                             reply->str);
    return rv;
}

/* AUTH and SELECT, where they are needed. */
static apr_status_t authenticate(redis_conn_t *conn, const redis_peer_t *peer, redis_login_e login,
                                 apr_time_t deadline, apr_pool_t *p)
{
    const redis_options_t *o = peer->options;
    int sentinel = login == REDIS_AS_SENTINEL;
    const char *user = sentinel ? o->sentinel_user : o->user;
    const char *password = sentinel ? peer->sentinel_password : peer->password;
    const char *argv[3] = {"AUTH", NULL, NULL};
    apr_status_t rv = APR_SUCCESS;
    int argc = 1;

    if (password) {
        if (user)
            argv[argc++] = user;
        argv[argc++] = password;
        rv = greet(conn, argc, argv, deadline, p);
    }
    if (rv == APR_SUCCESS && !sentinel && o->database != 0) {
        argv[0] = "SELECT";
        argv[1] = apr_itoa(p, o->database);
        rv = greet(conn, 2, argv, deadline, p);
    }
    return rv;
}

/* A new connection, ready for commands. */
apr_status_t redis_conn_open(redis_conn_t **pconn, const redis_peer_t *peer,
                             const redis_address_t *address, redis_login_e login,
                             apr_time_t deadline, apr_pool_t *p)
{
    const redis_options_t *o = peer->options;
    redis_conn_t *conn = calloc(1, sizeof(*conn));
    apr_status_t rv = APR_SUCCESS;

    *pconn = NULL;
    if (!conn)
        return APR_ENOMEM;
    conn->reader = redisReaderCreateWithFunctions(&reader_functions);
    conn->address = *address;
    if (o->kind == REDIS_UNIX)
        conn->fd = connect_unix(o->path, deadline, &rv);
    else
        conn->fd = connect_tcp(address, deadline, &rv, p);
    if (rv == APR_SUCCESS && !conn->reader)
        rv = APR_ENOMEM;
    if (rv == APR_SUCCESS && o->kind == REDIS_TLS)
        rv = start_tls(conn, peer, deadline, p);
    if (rv == APR_SUCCESS)
        rv = authenticate(conn, peer, login, deadline, p);
    if (rv == APR_SUCCESS)
        *pconn = conn;
    else
        redis_conn_close(conn);
    return rv;
}

/* Whether an idle connection has nothing to say, as a living one does. */
int redis_conn_is_quiet(const redis_conn_t *conn)
{
    struct pollfd watch = {.fd = conn->fd, .events = POLLIN};

    return poll(&watch, 1, 0) == 0;
}

apr_status_t redis_conn_setup(void)
{
    redisReader *defaults = redisReaderCreate();

    if (!defaults)
        return APR_ENOMEM;
    reader_functions = *defaults->fn;
    create_array = reader_functions.createArray;
    reader_functions.createArray = create_small_array;
    redisReaderFree(defaults);
    return APR_SUCCESS;
}
