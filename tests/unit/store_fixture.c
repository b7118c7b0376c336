/* SPDX-License-Identifier: Apache-2.0 */
/* See store_fixture.h. */
#include "store_fixture.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ADMIN_PASSWORD "unit-admin-password"
#define USER_PASSWORD "unit-user-password"
#define ACL                                                                                   \
    "~{scep:* -@all +auth +select +ping +time +eval +evalsha +exists +get +set +hset +hget"  \
    " +hmget +hgetall +hincrby +hdel +pexpire +pttl +zadd +zrem +zcard +zcount +zrange"      \
    " +zrangebyscore +zrangebylex +zrevrangebylex +zscore +wait"

static apr_pool_t *server_pool;
static store_server_t server;

const store_server_t *store_fixture_server(void)
{
    return &server;
}

int store_fixture_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int port = 0;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
        getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
        port = ntohs(addr.sin_port);
    close(fd);
    return port;
}

/* Returns whether the program is in the usual places. */
static int have_program(const char *name)
{
    static const char *const places[] = {"/usr/bin", "/usr/local/bin", "/bin"};
    size_t i;

    if (strchr(name, '/'))
        return access(name, X_OK) == 0;
    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (access(apr_pstrcat(server_pool, places[i], "/", name, NULL), X_OK) == 0)
            return 1;
    }
    return 0;
}

/* Makes the certificates of the server and the files for clients. */
static void write_files(void)
{
    fixture_certificate_t want = {.subject = "unit CA", .ca = 1};
    apr_pool_t *p;
    X509 *ca, *cert;

    apr_pool_create(&p, server_pool);
    ca = fixture_certificate(p, &want);
    server.ca_file =
        fixture_file(server_pool, server.directory, "ca.pem", fixture_certificate_pem(p, ca), 0644);
    memset(&want, 0, sizeof(want));
    want.subject = "localhost";
    want.key = fixture_rsa(1);
    want.issuer = ca;
    want.issuer_key = fixture_rsa(0);
    want.extension = "subjectAltName=DNS:localhost";
    cert = fixture_certificate(p, &want);
    fixture_file(server_pool, server.directory, "server.pem", fixture_certificate_pem(p, cert),
                 0644);
    fixture_file(server_pool, server.directory, "server.key", fixture_key_pem(p, fixture_rsa(1)),
                 0600);
    memset(&want, 0, sizeof(want));
    want.subject = "other CA";
    want.ca = 1;
    want.key = fixture_rsa(2);
    cert = fixture_certificate(p, &want);
    server.other_ca_file = fixture_file(server_pool, server.directory, "other.pem",
                                        fixture_certificate_pem(p, cert), 0644);
    server.password_file =
        fixture_file(server_pool, server.directory, "password", USER_PASSWORD "\n", 0600);
    server.wrong_password_file = fixture_file(server_pool, server.directory, "wrong-password",
                                              "not-" USER_PASSWORD "\n", 0600);
    apr_pool_destroy(p);
}

/* Writes the server's configuration; returns its path. */
static const char *write_config(void)
{
    const char *d = server.directory;

    return fixture_file(
        server_pool, d, "redis.conf",
        apr_psprintf(server_pool,
                     "bind 127.0.0.1\nport %d\ntls-port %d\nunixsocket %s\nunixsocketperm 700\n"
                     "dir %s\nsave \"\"\nappendonly no\ndaemonize no\nmaxmemory-policy noeviction\n"
                     "tls-cert-file %s/server.pem\ntls-key-file %s/server.key\n"
                     "tls-ca-cert-file %s/ca.pem\ntls-auth-clients no\n"
                     "user default on >" ADMIN_PASSWORD " ~* +@all\n"
                     "user " STORE_FIXTURE_USER " on >" USER_PASSWORD " " ACL "\n",
                     server.port, server.tls_port, server.socket, d, d, d, d),
        0600);
}

/* Waits until the unix socket can be connected to; returns whether it can. */
static int wait_for_server(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int i, fd, ok = 0;

    apr_cpystrn(addr.sun_path, server.socket, sizeof(addr.sun_path));
    for (i = 0; i < 200 && !ok; i++) {
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        ok = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
        close(fd);
        if (!ok)
            apr_sleep(apr_time_from_msec(25));
    }
    return ok;
}

void store_fixture_start(void)
{
    const char *program = getenv("SCEP_REDIS_SERVER"), *config;

    if (!program)
        program = "redis-server";
    signal(SIGPIPE, SIG_IGN);
    apr_pool_create(&server_pool, NULL);
    memset(&server, 0, sizeof(server));
    if (!have_program(program)) {
        fprintf(stderr, "unit: skipped the Redis stores: there is no %s\n", program);
        return;
    }
    server.directory = fixture_directory(server_pool);
    server.socket = apr_pstrcat(server_pool, server.directory, "/redis.sock", NULL);
    server.port = store_fixture_port();
    server.tls_port = store_fixture_port();
    write_files();
    config = write_config();
    server.pid = fork();
    if (server.pid == 0) {
        int fd = open(apr_pstrcat(server_pool, server.directory, "/redis.log", NULL),
                      O_WRONLY | O_CREAT, 0600);

        dup2(fd, 1);
        dup2(fd, 2);
        execlp(program, program, config, (char *)NULL);
        _exit(127);
    }
    if (!wait_for_server())
        ck_abort_msg("%s does not start, see %s/redis.log", program, server.directory);
}

void store_fixture_stop(void)
{
    if (server.pid > 0) {
        kill(server.pid, SIGKILL);
        waitpid(server.pid, NULL, 0);
    }
    server.pid = 0;
    apr_pool_destroy(server_pool);
}

void store_fixture_admin(const char *command)
{
    char *line = apr_psprintf(server_pool, "redis-cli -s %s --no-auth-warning -a %s %s >/dev/null",
                              server.socket, ADMIN_PASSWORD, command);

    ck_assert_int_eq(system(line), 0);
}

store_config_t *store_fixture_config(store_kind_e kind, apr_pool_t *p)
{
    store_config_t *cfg = apr_pcalloc(p, sizeof(*cfg));

    if (kind != KIND_SQLITE && server.pid == 0)
        return NULL;
    cfg->connections = 4;
    cfg->connect_timeout = cfg->command_timeout = apr_time_from_sec(10);
    if (kind == KIND_SQLITE) {
        cfg->url = "sqlite:";
        cfg->state_directory = apr_pstrcat(p, fixture_directory(p), "/state", NULL);
        return cfg;
    }
    cfg->user = STORE_FIXTURE_USER;
    cfg->password_file = server.password_file;
    if (kind == KIND_UNIX)
        cfg->url = apr_psprintf(p, "redis+unix://%s?db=1", server.socket);
    else if (kind == KIND_TCP)
        cfg->url = apr_psprintf(p, "redis://127.0.0.1:%d", server.port);
    else {
        cfg->url = apr_psprintf(p, "rediss://localhost:%d/2", server.tls_port);
        cfg->ca_file = server.ca_file;
    }
    return cfg;
}

/* Removes a prepared SQLite store's directory, which fixture_directory() does not look into. */
static apr_status_t remove_state(void *baton)
{
    static const char *const names[] = {"scep.sqlite", "scep.sqlite-wal", "scep.sqlite-shm"};
    char path[1024];
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        apr_snprintf(path, sizeof(path), "%s/%s", (const char *)baton, names[i]);
        unlink(path);
    }
    rmdir(baton);
    return APR_SUCCESS;
}

store_t *store_fixture_open_config(const store_config_t *cfg, apr_pool_t *p)
{
    store_t *store = NULL;
    const char *error = store_make(&store, cfg, NULL, p);

    ck_assert_msg(!error, "%s", error);
    error = store->provider->prepare(store, geteuid(), getegid(), p);
    ck_assert_msg(!error, "%s", error);
    if (cfg->state_directory)
        apr_pool_cleanup_register(p, cfg->state_directory, remove_state, apr_pool_cleanup_null);
    ck_assert_int_eq(store_child_init(store, p), APR_SUCCESS);
    return store;
}

store_t *store_fixture_open(store_kind_e kind, apr_pool_t *p)
{
    store_config_t *cfg = store_fixture_config(kind, p);

    return cfg ? store_fixture_open_config(cfg, p) : NULL;
}
