/* SPDX-License-Identifier: Apache-2.0 */
/* A slot of a cluster that is being moved: when the node that gets it is asked, and what comes of
 * it where one of the two does not play its part. */
#include "../../policy/store/redis_topology.h"
#include "redis_fixture.h"
#include "store_fixture.h"
#include <apr_strings.h>
#include <string.h>
#include <unistd.h>

Suite *test_redis_ask_suite(void);

/*
 * A cluster that peer 0 knows: peer 1 has all slots and says ASK, since its last key of them is at
 * peer 2, which serves nothing without ASKING.
 */
static redis_client_t *moving_slot(apr_interval_time_t relocate)
{
    apr_pool_t *p = fixture_pool();

    redis_say(0, apr_psprintf(p, "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n",
                              redis_peers[1].port));
    redis_say(1, apr_psprintf(p, "-ASK %d 127.0.0.1:%d\r\n", redis_topology_slot("k"),
                              redis_peers[2].port));
    redis_say(2, "*1\r\n$2\r\nOK\r\n");
    apr_cpystrn((char *)redis_peers[1].shared->count, ":0\r\n", 64);
    apr_cpystrn((char *)redis_peers[2].shared->unasked, "-CLUSTERDOWN not asked\r\n", 64);
    return redis_fixture_client(REDIS_CLUSTER, 1, MS(2000), relocate);
}

/* The answer to a command of the slot that is being moved; NULL: none. */
static redisReply *send_moving(redis_client_t *client, int repeatable)
{
    static const char *argv[1] = {"PING"};
    redis_call_t call = {.argc = 1, .argv = argv, .key = "k", .repeatable = repeatable};
    redisReply *reply;

    (void)redis_client_call(&reply, client, &call, fixture_pool());
    return reply;
}

START_TEST(who_is_to_be_asked_is_asked_once)
{
    redis_client_t *client = moving_slot(MS(8000));
    int i, before;

    for (i = 0; i < 3; i++) {
        before = redis_peers[1].shared->commands;
        ck_assert_int_eq(send_moving(client, _i)->type, REDIS_REPLY_ARRAY);
        ck_assert_int_eq(redis_peers[1].shared->commands, before + 2);
        ck_assert_int_eq(redis_peers[2].shared->asked, i + 1);
    }
    ck_assert_int_eq(redis_peers[0].shared->commands, 1);
    /* the move was called off */
    redis_say(1, OK);
    ck_assert_int_eq(send_moving(client, _i)->type, REDIS_REPLY_STATUS);
    ck_assert_int_eq(redis_peers[2].shared->asked, 3);
}
END_TEST

/* Whether an answer is ASK; none: the time was over in the middle of a step. */
static int is_ask(const redisReply *reply)
{
    return !reply || (reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "ASK ") != NULL);
}

START_TEST(nobody_is_asked_while_keys_are_left)
{
    redis_client_t *client = moving_slot(MS(1000));

    apr_cpystrn((char *)redis_peers[1].shared->count, ":1\r\n", 64);
    ck_assert(is_ask(send_moving(client, 1)));
    ck_assert_int_eq(redis_peers[2].shared->commands, 0);
}
END_TEST

START_TEST(the_last_key_is_waited_for)
{
    redis_client_t *client = moving_slot(MS(8000));

    redis_peers[1].shared->leaving = 3;
    ck_assert_int_eq(send_moving(client, _i)->type, REDIS_REPLY_ARRAY);
    ck_assert_int_eq(redis_peers[1].shared->commands, 2 * 4);
    ck_assert_int_eq(redis_peers[2].shared->asked, 1);
}
END_TEST

START_TEST(who_is_to_be_asked_does_not_answer)
{
    redis_client_t *client = moving_slot(MS(500));
    int port;

    if (_i == 0)
        redis_peers[2].shared->deaf = 1;
    else {
        close(redis_fixture_listen(&port, 1));
        redis_say(1, apr_psprintf(fixture_pool(), "-ASK %d 127.0.0.1:%d\r\n",
                                  redis_topology_slot("k"), port));
    }
    ck_assert_ptr_null(send_moving(client, 1));
    ck_assert_int_eq(redis_peers[2].shared->asked, 0);
}
END_TEST

START_TEST(nodes_that_send_each_other_are_left)
{
    redis_client_t *client = moving_slot(MS(1000));

    redis_say(2, apr_psprintf(fixture_pool(), "-ASK %d 127.0.0.1:%d\r\n", redis_topology_slot("k"),
                              redis_peers[_i ? 2 : 1].port));
    apr_cpystrn((char *)redis_peers[2].shared->count, ":0\r\n", 64);
    ck_assert(is_ask(send_moving(client, 1)));
    ck_assert_int_gt(redis_peers[2].shared->asked, 1);
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
        redis_say(1, apr_pstrcat(p, "-ASK", cases[i].before,
                                 cases[i].after ? apr_itoa(p, redis_peers[2].port) : "",
                                 cases[i].after ? cases[i].after : "", "\r\n", NULL));
        ck_assert_int_eq(send_moving(client, 1)->type, REDIS_REPLY_ERROR);
        ck_assert_int_eq(redis_peers[1].shared->commands, 2 * (i + 1));
    }
    ck_assert_int_eq(redis_peers[2].shared->commands, 0);
}
END_TEST

START_TEST(what_is_refused_while_a_slot_is_moved)
{
    static const struct {
        const char *count, *asking, *text; /* NULL: it goes on until the end */
    } cases[] = {{"-NOPERM no\r\n", "", "CLUSTER COUNTKEYSINSLOT is refused: NOPERM"},
                 {"+0\r\n", "", NULL},
                 {":-1\r\n", "", NULL},
                 {":0\r\n", "-NOPERM no\r\n", "ASKING is refused: NOPERM"},
                 {":0\r\n", "-LOADING no\r\n", NULL}};
    redis_client_t *client = moving_slot(MS(cases[_i].text ? 8000 : 1000));

    apr_cpystrn((char *)redis_peers[1].shared->count, cases[_i].count, 64);
    apr_cpystrn((char *)redis_peers[2].shared->asking, cases[_i].asking, 64);
    ck_assert_ptr_null(send_moving(client, 1));
    if (cases[_i].text) {
        ck_assert_ptr_nonnull(strstr(store_error(fixture_pool()), cases[_i].text));
        ck_assert_int_eq(redis_peers[1].shared->commands, 2);
    }
    ck_assert_int_eq(redis_peers[2].shared->asked, 0);
}
END_TEST

START_TEST(a_script_is_sent_whole_to_who_is_asked)
{
    apr_pool_t *p = fixture_pool();
    store_config_t cfg = {0};
    const char *text;
    store_t *store;

    (void)moving_slot(MS(8000));
    redis_say(1, apr_psprintf(p, "-ASK %d 127.0.0.1:%d\r\n", redis_topology_slot("{scep:a}:idx"),
                              redis_peers[2].port));
    redis_peers[2].shared->noscript = 1;
    cfg.url = apr_psprintf(p, "redis+cluster://127.0.0.1:%d", redis_peers[0].port);
    cfg.connect_timeout = cfg.command_timeout = MS(2000);
    store = store_fixture_open_config(&cfg, p);
    ck_assert_int_eq(store_health(store, "a", &text, p), APR_SUCCESS);
    ck_assert_int_eq(redis_peers[2].shared->asked, 2);
}
END_TEST

Suite *test_redis_ask_suite(void)
{
    Suite *suite = suite_create("test_redis_ask");
    TCase *tcase = tcase_create("a slot is moved");

    tcase_add_checked_fixture(tcase, redis_fixture_start, redis_fixture_stop);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, who_is_to_be_asked_is_asked_once, 0, 2);
    tcase_add_test(tcase, nobody_is_asked_while_keys_are_left);
    tcase_add_loop_test(tcase, the_last_key_is_waited_for, 0, 2);
    tcase_add_loop_test(tcase, who_is_to_be_asked_does_not_answer, 0, 2);
    tcase_add_loop_test(tcase, nodes_that_send_each_other_are_left, 0, 2);
    tcase_add_test(tcase, a_malformed_ask_is_told);
    tcase_add_loop_test(tcase, what_is_refused_while_a_slot_is_moved, 0, 5);
    tcase_add_test(tcase, a_script_is_sent_whole_to_who_is_asked);
    suite_add_tcase(suite, tcase);
    return suite;
}
