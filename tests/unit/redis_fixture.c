/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that say what a test wants; see redis_fixture.h. */
#include "redis_fixture.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROLE_MASTER "*1\r\n$6\r\nmaster\r\n"

redis_fixture_peer_t redis_peers[REDIS_PEERS];

/* What a node of a cluster says to a command; asking: whether ASKING came before it. */
static const volatile char *answer_of(const redis_fixture_peer_t *peer, const char *command,
                                      int *asking)
{
    const volatile char *answer = peer->shared->answer;

    if (strstr(command, "COUNTKEYSINSLOT"))
        return peer->shared->leaving > 0 && peer->shared->leaving-- ? ":1\r\n"
                                                                    : peer->shared->count;
    if (strstr(command, "ASKING")) {
        *asking = 1;
        return *peer->shared->asking ? peer->shared->asking : OK;
    }
    if (!*asking && *peer->shared->unasked)
        answer = peer->shared->unasked;
    else if (strstr(command, "EVALSHA") && peer->shared->noscript)
        answer = "-NOSCRIPT no\r\n";
    if (*asking)
        __sync_fetch_and_add(&peer->shared->asked, 1);
    *asking = 0;
    return answer;
}

/* Serves one connection; does not return. */
static void serve(int fd, const redis_fixture_peer_t *peer)
{
    char buffer[65536], answer[1024];
    int asking = 0;
    ssize_t len;

    while ((len = read(fd, buffer, sizeof(buffer) - 1)) > 0) {
        buffer[len] = '\0';
        __sync_fetch_and_add(&peer->shared->commands, 1);
        if (peer->shared->deaf)
            continue;
        apr_cpystrn(answer, (const char *)answer_of(peer, buffer, &asking), sizeof(answer));
        if (strstr(buffer, "$4\r\nROLE"))
            apr_cpystrn(answer, ROLE_MASTER, sizeof(answer));
        if (write(fd, answer, strlen(answer)) < 0)
            break;
    }
    _exit(0);
}

int redis_fixture_listen(int *port, int backlog)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t size = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &size), 0);
    *port = ntohs(addr.sin_port);
    return fd;
}

void redis_fixture_start(void)
{
    redis_fixture_peer_t *peer;
    int listener, fd;

    fixture_setup();
    ck_assert_int_eq(redis_conn_setup(), APR_SUCCESS);
    for (peer = redis_peers; peer < redis_peers + REDIS_PEERS; peer++) {
        peer->shared = mmap(NULL, sizeof(*peer->shared), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        listener = redis_fixture_listen(&peer->port, 20);
        peer->pid = fork();
        if (peer->pid == 0) {
            signal(SIGCHLD, SIG_IGN);
            while ((fd = accept(listener, NULL, NULL)) >= 0) {
                if (fork() == 0)
                    serve(fd, peer);
                close(fd);
            }
            _exit(0);
        }
        close(listener);
    }
}

void redis_fixture_stop(void)
{
    int i;

    for (i = 0; i < REDIS_PEERS; i++) {
        kill(redis_peers[i].pid, SIGKILL);
        waitpid(redis_peers[i].pid, NULL, 0);
    }
    fixture_teardown();
}

void redis_say(int i, const char *answer)
{
    redis_fixture_peer_t *peer = &redis_peers[i];

    apr_cpystrn((char *)peer->shared->answer, answer, sizeof(peer->shared->answer));
}

redis_client_t *redis_fixture_client(redis_topology_e topology, int count,
                                     apr_interval_time_t connect, apr_interval_time_t relocate)
{
    apr_pool_t *p = fixture_pool();
    redis_options_t *o = apr_pcalloc(p, sizeof(*o));
    redis_client_t *client;
    redis_address_t *node;
    int i;

    o->kind = REDIS_TCP;
    o->topology = topology;
    o->master = "scep";
    o->nodes = apr_array_make(p, REDIS_PEERS, sizeof(redis_address_t));
    for (i = 0; i < count; i++) {
        node = apr_array_push(o->nodes);
        apr_cpystrn(node->host, "127.0.0.1", sizeof(node->host));
        node->port = redis_peers[i].port;
    }
    o->connect_timeout = connect;
    o->command_timeout = connect;
    o->relocate_timeout = relocate;
    o->connections = 2;
    client = redis_client_make(o, p);
    ck_assert_int_eq(redis_client_child_init(client, p), APR_SUCCESS);
    return client;
}
