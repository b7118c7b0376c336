/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is asked, how often and for how long, where sentinels or nodes of a cluster know the master
 * and some of them are silent, refuse, or have heard of nothing.
 */
#include "../../common/clock.h"
#include "../../policy/store/redis_client.h"
#include "../../policy/store/redis_topology.h"
#include "redis_fixture.h"
#include "store_fixture.h"
#include <apr_strings.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Suite *test_redis_client_suite(void);

#define UNKNOWN "*-1\r\n"
#define REFUSED "-NOAUTH no\r\n"

static store_tally_t tally;

static void start(void)
{
    redis_fixture_start();
    memset((void *)&tally, 0, sizeof(tally));
}

/* Sentinel i names peer master. */
static void names(int i, int master)
{
    const char *port = apr_itoa(fixture_pool(), redis_peers[master].port);

    redis_say(i, apr_psprintf(fixture_pool(), "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n",
                              (int)strlen(port), port));
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
    redis_say(2, OK);
    return redis_fixture_client(REDIS_SENTINEL, 2, connect, relocate);
}

START_TEST(the_other_sentinels_are_asked_again)
{
    redis_client_t *client = sentinels(MS(1000), MS(8000));
    apr_time_t end = clock_monotonic() + apr_time_from_sec(8);

    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_int_eq(redis_peers[1].shared->commands, 0);
    /* the one that answered dies; then there is another master, and the old one takes writes */
    redis_peers[0].shared->deaf = 1;
    names(1, 1);
    while (redis_peers[1].shared->commands == 0 && clock_monotonic() < end) {
        ck_assert_int_eq(send_one(client), APR_SUCCESS);
        apr_sleep(MS(50));
    }
    ck_assert_int_gt(redis_peers[1].shared->commands, 0);
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
    redis_client_t *client = sentinels(MS(1000), MS(8000));

    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_uint_eq(relocations(), 0);
    redis_say(2, cases[_i].says);
    (void)send_to(client, "k", 1);
    ck_assert_uint_eq(tally.moves[cases[_i].why], 1);
    ck_assert_uint_eq(relocations(), 1);
    redis_say(2, OK);
    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_uint_eq(relocations(), 1);
}
END_TEST

START_TEST(the_only_server_is_looked_up_by_nobody)
{
    redis_client_t *client = redis_fixture_client(REDIS_SINGLE, 1, MS(1000), MS(200));
    int i;

    redis_say(0, "garbage\r\n");
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
    redis_client_t *client = redis_fixture_client(REDIS_CLUSTER, 1, MS(1000), MS(2000));
    int slot = redis_topology_slot("k");

    redis_say(0, apr_psprintf(fixture_pool(),
                              "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n",
                              redis_peers[1].port));
    redis_say(
        1, apr_psprintf(fixture_pool(), "-MOVED %d 127.0.0.1:%d\r\n", slot, redis_peers[2].port));
    redis_say(2, OK);
    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_uint_eq(tally.moves[STORE_MOVE_MOVED], 1);
    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_uint_eq(relocations(), 1);
}
END_TEST

START_TEST(a_silent_sentinel_has_its_share)
{
    redis_client_t *client = sentinels(MS(8000), MS(3000));

    redis_peers[0].shared->deaf = 1;
    ck_assert_int_eq(send_one(client), APR_SUCCESS);
    ck_assert_int_eq(redis_peers[0].shared->commands, 1);
}
END_TEST

START_TEST(what_will_not_change_is_not_asked_again)
{
    redis_client_t *client = sentinels(MS(1000), MS(8000));
    int i;

    for (i = 0; i < 2; i++)
        redis_say(i, _i == 0 ? REFUSED : UNKNOWN);
    ck_assert_int_eq(send_one(client), _i == 0 ? APR_EACCES : APR_NOTFOUND);
    ck_assert_int_eq(redis_peers[0].shared->commands, 1);
    ck_assert_int_eq(redis_peers[1].shared->commands, 1);
    ck_assert_ptr_nonnull(
        strstr(store_error(fixture_pool()), _i == 0 ? "NOAUTH" : "does not know"));
}
END_TEST

START_TEST(one_refusal_is_not_the_end)
{
    redis_client_t *client = sentinels(MS(1000), MS(2000));
    apr_status_t rv;

    redis_say(0, OK);
    redis_say(1, _i == 0 ? REFUSED : UNKNOWN);
    rv = send_one(client);
    ck_assert(rv == APR_EGENERAL || rv == APR_TIMEUP); /* not the refusal */
    ck_assert_int_gt(redis_peers[0].shared->commands, 1);
    ck_assert_int_gt(redis_peers[1].shared->commands, 1);
}
END_TEST

START_TEST(a_hasty_call_looks_for_nobody)
{
    redis_client_t *client = sentinels(MS(1000), MS(8000));

    redis_say(0, OK);
    redis_say(1, OK);
    ck_assert_int_ne(send_to(client, "k", 1), APR_SUCCESS);
    ck_assert_int_eq(redis_peers[0].shared->commands, 1);
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
    redis_say(0, apr_psprintf(fixture_pool(),
                              "*2\r\n*3\r\n:0\r\n:%d\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n"
                              "*3\r\n:%d\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n",
                              last, redis_peers[1].port, last + 1, redis_peers[2].port));
    redis_say(1, "*1\r\n$2\r\nOK\r\n");
    redis_peers[2].shared->deaf = 1;
}

START_TEST(a_dead_node_leaves_the_others)
{
    static const char *const keys[2] = {"{a}", "{b}"};
    redis_client_t *client = redis_fixture_client(REDIS_CLUSTER, 1, MS(1000), MS(1000));
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
    cfg.url = apr_psprintf(fixture_pool(), "redis+cluster://127.0.0.1:%d", redis_peers[0].port);
    cfg.connect_timeout = cfg.command_timeout = MS(500);
    store = store_fixture_open_config(&cfg, fixture_pool());
    ck_assert_int_eq(store_health(store, services[living], &text, fixture_pool()), APR_SUCCESS);
    ck_assert_int_ne(store_health(store, services[!living], &text, fixture_pool()), APR_SUCCESS);
    ck_assert_str_ne(text, "");
    ck_assert_int_eq(redis_peers[2].shared->commands, 1);
}
END_TEST

/* A socket that does not answer, since nobody takes its connections; its port. */
static int silent_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    int port, i, fd;

    redis_fixture_listen(&port, 0);
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
    addr[1].sin_port = htons(redis_peers[0].port);
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

    tcase_add_checked_fixture(tcase, start, redis_fixture_stop);
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
    suite_add_tcase(suite, tcase);
    return suite;
}
