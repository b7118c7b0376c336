/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is asked, how often and for how long, where sentinels or nodes of a cluster know the master
 * and some of them are silent, refuse, or have heard of nothing.  The peers are ours: each gives
 * one answer to whatever it is sent.
 */
#include "../../common/clock.h"
#include "../../policy/store/redis_client.h"
#include "../../policy/store/redis_topology.h"
#include "store_fixture.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *test_redis_client_suite(void);

#define MS(n) fixture_patience(n)
#define PEERS 3
#define OK "+OK\r\n"
#define ROLE_MASTER "*1\r\n$6\r\nmaster\r\n"
#define UNKNOWN "*-1\r\n"
#define REFUSED "-NOAUTH no\r\n"

/* A server, in a process of its own for each connection; what it does is shared with the test. */
typedef struct peer_t {
    pid_t pid;
    int port;
    volatile struct {
        int deaf;     /* says nothing */
        int commands; /* how many it was sent */
        int noscript; /* knows no script by its digest */
        int asked;    /* how many came after ASKING */
        char answer[1024];
        /* "": +OK to ASKING; how many keys it has; the answer to what no ASKING came before */
        char asking[64], count[64], unasked[64];
    } *shared;
} peer_t;

static peer_t peers[PEERS];
static store_tally_t tally;

/* What a node of a cluster says to a command; asking: whether ASKING came before it. */
static const volatile char *answer_of(const peer_t *peer, const char *command, int *asking)
{
    const volatile char *answer = peer->shared->answer;

    if (strstr(command, "COUNTKEYSINSLOT"))
        return peer->shared->count;
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
static void serve(int fd, const peer_t *peer)
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

/* A listening socket of 127.0.0.1 with its port. */
static int listen_at(int *port, int backlog)
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

static void start_peers(void)
{
    peer_t *peer;
    int listener, fd;

    fixture_setup();
    memset((void *)&tally, 0, sizeof(tally));
    ck_assert_int_eq(redis_conn_setup(), APR_SUCCESS);
    for (peer = peers; peer < peers + PEERS; peer++) {
        peer->shared = mmap(NULL, sizeof(*peer->shared), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        listener = listen_at(&peer->port, 20);
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

static void stop_peers(void)
{
    int i;

    for (i = 0; i < PEERS; i++) {
        kill(peers[i].pid, SIGKILL);
        waitpid(peers[i].pid, NULL, 0);
    }
    fixture_teardown();
}

static void says(int i, const char *answer)
{
    apr_cpystrn((char *)peers[i].shared->answer, answer, sizeof(peers[i].shared->answer));
}

/* Sentinel i names peer master. */
static void names(int i, int master)
{
    const char *port = apr_itoa(fixture_pool(), peers[master].port);

    says(i, apr_psprintf(fixture_pool(), "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n",
                         (int)strlen(port), port));
}

/* A client of the first count peers. */
static redis_client_t *client_of(redis_topology_e topology, int count, apr_interval_time_t connect,
                                 apr_interval_time_t relocate)
{
    apr_pool_t *p = fixture_pool();
    redis_options_t *o = apr_pcalloc(p, sizeof(*o));
    redis_client_t *client;
    redis_address_t *node;
    int i;

    o->kind = REDIS_TCP;
    o->topology = topology;
    o->master = "scep";
    o->nodes = apr_array_make(p, PEERS, sizeof(redis_address_t));
    for (i = 0; i < count; i++) {
        node = apr_array_push(o->nodes);
        apr_cpystrn(node->host, "127.0.0.1", sizeof(node->host));
        node->port = peers[i].port;
    }
    o->connect_timeout = connect;
    o->command_timeout = connect;
    o->relocate_timeout = relocate;
    o->connections = 2;
    client = redis_client_make(o, p);
    ck_assert_int_eq(redis_client_child_init(client, p), APR_SUCCESS);
    return client;
}

/* Sends a command for a service. */
static apr_status_t send_to(redis_client_t *client, const char *key, int hasty)
{
    static const char *argv[1] = {"PING"};
    redis_call_t call = {
        .argc = 1, .argv = argv, .key = key, .repeatable = 1, .hasty = hasty, .tally = &tally};
    redisReply *reply;
    apr_status_t rv = redis_client_call(&reply, client, &call, fixture_pool());

    ck_assert(rv != APR_SUCCESS || reply);
    return rv;
}

static apr_status_t send_one(redis_client_t *client)
{
    return send_to(client, "k", 0);
}

/* Sentinels 0 and 1, and peer 2 is the master that both name. */
static redis_client_t *sentinels(apr_interval_time_t connect, apr_interval_time_t relocate)
{
    names(0, 2);
    names(1, 2);
    says(2, OK);
    return client_of(REDIS_SENTINEL, 2, connect, relocate);
}

START_TEST(the_other_sentinels_are_asked_again)
{
    redis_client_t *client = sentinels(MS(1000), MS(8000));
    apr_time_t end = clock_monotonic() + apr_time_from_sec(8);

    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_int_eq(peers[1].shared->commands, 0);
    /* the one that answered dies; then there is another master, and the old one takes writes */
    peers[0].shared->deaf = 1;
    names(1, 1);
    while (peers[1].shared->commands == 0 && clock_monotonic() < end) {
        ck_assert_int_eq(send_one(client), APR_SUCCESS);
        apr_sleep(MS(50));
    }
    ck_assert_int_gt(peers[1].shared->commands, 0);
    ck_assert_uint_eq(tally.moves[STORE_MOVE_NAMED], 1);
}
END_TEST

/* How often the master was looked up again. */
static unsigned relocations(void)
{
    unsigned sum = 0;
    int i;

    for (i = 0; i < STORE_MOVES; i++)
        sum += (unsigned)tally.moves[i];
    return sum;
}

START_TEST(what_is_no_master_is_counted)
{
    static const struct {
        const char *says;
        store_move_e why;
    } cases[] = {{"-READONLY no\r\n", STORE_MOVE_READONLY},
                 {"-NOREPLICAS no\r\n", STORE_MOVE_NOREPLICAS},
                 {"-LOADING no\r\n", STORE_MOVE_LOADING},
                 {"garbage\r\n", STORE_MOVE_CONNECTION}};
    redis_client_t *client = sentinels(MS(1000), MS(200));

    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_uint_eq(relocations(), 0);
    says(2, cases[_i].says);
    (void)send_to(client, "k", 1);
    ck_assert_uint_eq(tally.moves[cases[_i].why], 1);
    ck_assert_uint_eq(relocations(), 1);
    says(2, OK);
    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_uint_eq(relocations(), 1);
}
END_TEST

START_TEST(the_only_server_is_looked_up_by_nobody)
{
    redis_client_t *client = client_of(REDIS_SINGLE, 1, MS(1000), MS(200));
    int i;

    says(0, "garbage\r\n");
    for (i = 0; i < 3; i++) {
        ck_assert(!redis_client_is_resting(client, "k"));
        ck_assert_int_ne(send_one(client), APR_SUCCESS);
    }
    ck_assert(redis_client_is_resting(client, "k"));
    ck_assert_uint_eq(relocations(), 0);
}
END_TEST

START_TEST(a_node_that_names_another_is_counted)
{
    redis_client_t *client = client_of(REDIS_CLUSTER, 1, MS(1000), MS(2000));
    int slot = redis_topology_slot("k");

    says(0, apr_psprintf(fixture_pool(),
                         "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n",
                         peers[1].port));
    says(1, apr_psprintf(fixture_pool(), "-MOVED %d 127.0.0.1:%d\r\n", slot, peers[2].port));
    says(2, OK);
    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_uint_eq(tally.moves[STORE_MOVE_MOVED], 1);
    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_uint_eq(relocations(), 1);
}
END_TEST

START_TEST(a_silent_sentinel_has_its_share)
{
    redis_client_t *client = sentinels(MS(8000), MS(3000));

    peers[0].shared->deaf = 1;
    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_int_eq(peers[0].shared->commands, 1);
}
END_TEST

START_TEST(what_will_not_change_is_not_asked_again)
{
    redis_client_t *client = sentinels(MS(1000), MS(8000));
    int i;

    for (i = 0; i < 2; i++)
        says(i, _i == 0 ? REFUSED : UNKNOWN);
    ck_assert_int_eq(send_one(client), _i == 0 ? APR_EACCES : APR_NOTFOUND);
    ck_assert_int_eq(peers[0].shared->commands, 1);
    ck_assert_int_eq(peers[1].shared->commands, 1);
    ck_assert_ptr_nonnull(
        strstr(store_error(fixture_pool()), _i == 0 ? "NOAUTH" : "does not know"));
}
END_TEST

START_TEST(one_refusal_is_not_the_end)
{
    redis_client_t *client = sentinels(MS(1000), MS(2000));
    apr_status_t rv;

    says(0, OK);
    says(1, _i == 0 ? REFUSED : UNKNOWN);
    rv = send_one(client);
    ck_assert(rv == APR_EGENERAL || rv == APR_TIMEUP); /* not the refusal */
    ck_assert_int_gt(peers[0].shared->commands, 1);
    ck_assert_int_gt(peers[1].shared->commands, 1);
}
END_TEST

START_TEST(a_hasty_call_looks_for_nobody)
{
    redis_client_t *client = sentinels(MS(1000), MS(8000));

    says(0, OK);
    says(1, OK);
    ck_assert_int_ne(send_to(client, "k", 1), APR_SUCCESS);
    ck_assert_int_eq(peers[0].shared->commands, 1);
    names(0, 2);
    ck_assert_int_eq(send_to(client, "k", 1), APR_SUCCESS);
}
END_TEST

/*
 * A cluster that peer 0 knows: peer 1 has the slot of one of two keys and answers what our scripts
 * do, peer 2 that of the other one and says nothing.  *living is which key is served.
 */
static void share_slots(const char *const keys[2], int *living)
{
    int slots[2] = {redis_topology_slot(keys[0]), redis_topology_slot(keys[1])};
    int last = slots[0] < slots[1] ? slots[0] : slots[1];

    ck_assert_int_ne(slots[0], slots[1]);
    *living = slots[0] != last;
    says(0, apr_psprintf(fixture_pool(),
                         "*2\r\n*3\r\n:0\r\n:%d\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n"
                         "*3\r\n:%d\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n",
                         last, peers[1].port, last + 1, peers[2].port));
    says(1, "*1\r\n$2\r\nOK\r\n");
    peers[2].shared->deaf = 1;
}

START_TEST(a_dead_node_leaves_the_others)
{
    static const char *const keys[2] = {"{a}", "{b}"};
    redis_client_t *client = client_of(REDIS_CLUSTER, 1, MS(300), MS(100));
    int living, i;

    share_slots(keys, &living);
    ck_assert_int_eq(send_to(client, keys[living], 0), APR_SUCCESS);
    for (i = 0; i < 3; i++)
        ck_assert_int_ne(send_to(client, keys[!living], 0), APR_SUCCESS);
    ck_assert_int_eq(send_to(client, keys[!living], 0), APR_ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(store_error(fixture_pool()), "not asked"));
    ck_assert(redis_client_is_resting(client, keys[!living]));
    ck_assert(!redis_client_is_resting(client, keys[living]));
    ck_assert_int_eq(send_to(client, keys[living], 0), APR_SUCCESS);
}
END_TEST

START_TEST(health_is_that_of_the_services_node)
{
    static const char *const keys[2] = {"{scep:a}:idx", "{scep:b}:idx"};
    static const char *const services[2] = {"a", "b"};
    store_config_t cfg = {0};
    const char *text;
    store_t *store;
    int living;

    share_slots(keys, &living);
    cfg.url = apr_psprintf(fixture_pool(), "redis+cluster://127.0.0.1:%d", peers[0].port);
    cfg.connect_timeout = cfg.command_timeout = MS(500);
    store = store_fixture_open_config(&cfg, fixture_pool());
    ck_assert_int_eq(store_health(store, services[living], &text, fixture_pool()), APR_SUCCESS);
    ck_assert_int_ne(store_health(store, services[!living], &text, fixture_pool()), APR_SUCCESS);
    ck_assert_str_ne(text, "");
    ck_assert_int_eq(peers[2].shared->commands, 1);
}
END_TEST

/*
 * A cluster that peer 0 knows: peer 1 has all slots and says ASK, since its last key of them is at
 * peer 2, which serves nothing without ASKING.
 */
static redis_client_t *moving_slot(apr_interval_time_t relocate)
{
    apr_pool_t *p = fixture_pool();

    says(0, apr_psprintf(p, "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n",
                         peers[1].port));
    says(1, apr_psprintf(p, "-ASK %d 127.0.0.1:%d\r\n", redis_topology_slot("k"), peers[2].port));
    says(2, "*1\r\n$2\r\nOK\r\n");
    apr_cpystrn((char *)peers[1].shared->count, ":0\r\n", 64);
    apr_cpystrn((char *)peers[2].shared->unasked, "-CLUSTERDOWN not asked\r\n", 64);
    return client_of(REDIS_CLUSTER, 1, MS(300), relocate);
}

/* The answer to a command of the slot that is being moved; NULL: none. */
static redisReply *send_moving(redis_client_t *client, int repeatable)
{
    static const char *argv[1] = {"PING"};
    redis_call_t call = {1, argv, NULL, "k", repeatable, 0, 0};
    redisReply *reply;

    (void)redis_client_call(&reply, client, &call, fixture_pool());
    return reply;
}

START_TEST(who_is_to_be_asked_is_asked_once)
{
    redis_client_t *client = moving_slot(MS(8000));
    int i, before;

    for (i = 0; i < 3; i++) {
        before = peers[1].shared->commands;
        ck_assert_int_eq(send_moving(client, _i)->type, REDIS_REPLY_ARRAY);
        ck_assert_int_eq(peers[1].shared->commands, before + 2);
        ck_assert_int_eq(peers[2].shared->asked, i + 1);
    }
    ck_assert_int_eq(peers[0].shared->commands, 1);
    /* the move was called off */
    says(1, OK);
    ck_assert_int_eq(send_moving(client, _i)->type, REDIS_REPLY_STATUS);
    ck_assert_int_eq(peers[2].shared->asked, 3);
}
END_TEST

START_TEST(nobody_is_asked_while_keys_are_left)
{
    redis_client_t *client = moving_slot(MS(200));
    redisReply *reply;

    apr_cpystrn((char *)peers[1].shared->count, ":1\r\n", 64);
    reply = send_moving(client, 1);
    ck_assert_int_eq(reply->type, REDIS_REPLY_ERROR);
    ck_assert_ptr_nonnull(strstr(reply->str, "ASK "));
    ck_assert_int_gt(peers[1].shared->commands, 2);
    ck_assert_int_eq(peers[2].shared->commands, 0);
}
END_TEST

START_TEST(who_is_to_be_asked_does_not_answer)
{
    redis_client_t *client = moving_slot(MS(500));
    int port;

    if (_i == 0)
        peers[2].shared->deaf = 1;
    else {
        close(listen_at(&port, 1));
        says(1, apr_psprintf(fixture_pool(), "-ASK %d 127.0.0.1:%d\r\n",
                             redis_topology_slot("k"), port));
    }
    ck_assert_ptr_null(send_moving(client, 1));
    ck_assert_int_eq(peers[2].shared->asked, 0);
    /* it is back */
    peers[2].shared->deaf = 0;
    says(1, OK);
    ck_assert_int_eq(send_moving(client, 1)->type, REDIS_REPLY_STATUS);
}
END_TEST

START_TEST(nodes_that_send_each_other_are_left)
{
    redis_client_t *client = moving_slot(MS(200));

    says(2, apr_psprintf(fixture_pool(), "-ASK %d 127.0.0.1:%d\r\n", redis_topology_slot("k"),
                         peers[_i ? 2 : 1].port));
    apr_cpystrn((char *)peers[2].shared->count, ":0\r\n", 64);
    ck_assert_ptr_nonnull(strstr(send_moving(client, 1)->str, "ASK "));
    ck_assert_int_gt(peers[2].shared->asked, 1);
    /* each pause is 10 ms and more, and FOLLOW_MAX are between two */
    ck_assert_int_lt(peers[2].shared->asked, 6 * 20);
}
END_TEST

START_TEST(a_malformed_ask_is_told)
{
    static const struct {
        const char *before, *after; /* the port of whom it would be */
    } cases[] = {{"", NULL},
                 {" ", NULL},
                 {" 7629", NULL},
                 {" 7629 127.0.0.1", NULL},
                 {" x 127.0.0.1:", ""},
                 {" 7629 127.0.0.1:", "x"},
                 {" 7630 127.0.0.1:", ""},
                 {" 99999 127.0.0.1:", ""}};
    redis_client_t *client = moving_slot(MS(8000));
    apr_pool_t *p = fixture_pool();
    size_t i;

    ck_assert_int_eq(redis_topology_slot("k"), 7629);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        says(1, apr_pstrcat(p, "-ASK", cases[i].before,
                            cases[i].after ? apr_itoa(p, peers[2].port) : "",
                            cases[i].after ? cases[i].after : "", "\r\n", NULL));
        ck_assert_int_eq(send_moving(client, 1)->type, REDIS_REPLY_ERROR);
        ck_assert_int_eq(peers[1].shared->commands, 2 * (i + 1));
    }
    ck_assert_int_eq(peers[2].shared->commands, 0);
}
END_TEST

START_TEST(what_is_refused_while_a_slot_is_moved)
{
    static const struct {
        const char *count, *asking, *text; /* NULL: the commands go on until the end */
    } cases[] = {{"-NOPERM no\r\n", "", "CLUSTER COUNTKEYSINSLOT is refused: NOPERM"},
                 {"+0\r\n", "", NULL},
                 {":-1\r\n", "", NULL},
                 {":0\r\n", "-NOPERM no\r\n", "ASKING is refused: NOPERM"},
                 {":0\r\n", "-LOADING no\r\n", NULL}};
    redis_client_t *client = moving_slot(MS(200));

    apr_cpystrn((char *)peers[1].shared->count, cases[_i].count, 64);
    apr_cpystrn((char *)peers[2].shared->asking, cases[_i].asking, 64);
    ck_assert_ptr_null(send_moving(client, 1));
    if (cases[_i].text) {
        ck_assert_ptr_nonnull(strstr(store_error(fixture_pool()), cases[_i].text));
        ck_assert_int_eq(peers[1].shared->commands, 2);
    }
    else
        ck_assert_int_gt(peers[1].shared->commands, 2);
    ck_assert_int_eq(peers[2].shared->asked, 0);
}
END_TEST

START_TEST(a_script_is_sent_whole_to_who_is_asked)
{
    apr_pool_t *p = fixture_pool();
    store_config_t cfg = {0};
    const char *text;
    store_t *store;

    (void)moving_slot(MS(8000));
    says(1, apr_psprintf(p, "-ASK %d 127.0.0.1:%d\r\n", redis_topology_slot("{scep:a}:idx"),
                         peers[2].port));
    peers[2].shared->noscript = 1;
    cfg.url = apr_psprintf(p, "redis+cluster://127.0.0.1:%d", peers[0].port);
    cfg.connect_timeout = cfg.command_timeout = MS(2000);
    store = store_fixture_open_config(&cfg, p);
    ck_assert_int_eq(store_health(store, "a", &text, p), APR_SUCCESS);
    ck_assert_int_eq(peers[2].shared->asked, 2);
}
END_TEST

/* A socket that does not answer, since nobody takes its connections; its port. */
static int silent_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    int port, i, fd;

    listen_at(&port, 0);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    addr.sin_port = htons(port);
    for (i = 0; i < 4; i++) {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        (void)connect(fd, (struct sockaddr *)&addr, sizeof(addr));
    }
    return port;
}

START_TEST(a_silent_address_leaves_time_for_the_next)
{
    struct sockaddr_in addr[2] = {{.sin_family = AF_INET}, {.sin_family = AF_INET}};
    struct addrinfo list[2] = {{.ai_family = AF_INET}, {.ai_family = AF_INET}};
    apr_status_t rv;
    int i, fd;

    addr[0].sin_port = htons(silent_port());
    addr[1].sin_port = htons(peers[0].port);
    for (i = 0; i < 2; i++) {
        addr[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        list[i].ai_addr = (struct sockaddr *)&addr[i];
        list[i].ai_addrlen = sizeof(addr[i]);
    }
    fd = redis_conn_dial(list, clock_monotonic() + MS(300), &rv);
    ck_assert_int_eq(fd, -1);
    ck_assert_int_eq(rv, APR_TIMEUP);
    list[0].ai_next = &list[1];
    fd = redis_conn_dial(list, clock_monotonic() + MS(2000), &rv);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(rv, APR_SUCCESS);
    close(fd);
}
END_TEST

Suite *test_redis_client_suite(void)
{
    Suite *suite = suite_create("test_redis_client");
    TCase *tcase = tcase_create("who is asked");

    tcase_add_checked_fixture(tcase, start_peers, stop_peers);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_other_sentinels_are_asked_again);
    tcase_add_loop_test(tcase, what_is_no_master_is_counted, 0, 4);
    tcase_add_test(tcase, the_only_server_is_looked_up_by_nobody);
    tcase_add_test(tcase, a_node_that_names_another_is_counted);
    tcase_add_test(tcase, a_silent_sentinel_has_its_share);
    tcase_add_loop_test(tcase, what_will_not_change_is_not_asked_again, 0, 2);
    tcase_add_loop_test(tcase, one_refusal_is_not_the_end, 0, 2);
    tcase_add_test(tcase, a_hasty_call_looks_for_nobody);
    tcase_add_test(tcase, a_dead_node_leaves_the_others);
    tcase_add_test(tcase, health_is_that_of_the_services_node);
    tcase_add_test(tcase, a_silent_address_leaves_time_for_the_next);
    tcase_add_loop_test(tcase, who_is_to_be_asked_is_asked_once, 0, 2);
    tcase_add_test(tcase, nobody_is_asked_while_keys_are_left);
    tcase_add_loop_test(tcase, who_is_to_be_asked_does_not_answer, 0, 2);
    tcase_add_loop_test(tcase, nodes_that_send_each_other_are_left, 0, 2);
    tcase_add_test(tcase, a_malformed_ask_is_told);
    tcase_add_loop_test(tcase, what_is_refused_while_a_slot_is_moved, 0, 5);
    tcase_add_test(tcase, a_script_is_sent_whole_to_who_is_asked);
    suite_add_tcase(suite, tcase);
    return suite;
}
