/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said of Redis without a server: URL forms, rules for errors, slots, the map of a
 * cluster. */
#include "../../policy/store/redis_rule.h"
#include "../../policy/store/redis_topology.h"
#include "../../policy/store/redis_url.h"
#include "fixture.h"
#include <apr_strings.h>
#include <string.h>

Suite *test_redis_url_suite(void);

START_TEST(forms)
{
    static const struct {
        const char *url, *display; /* NULL: refused */
    } cases[] = {
        {"redis://h", "redis://h:6379/0"},
        {"redis://h:/", "redis://h:6379/0"},
        {"REDIS://h:1/7", "redis://h:1/7"},
        {"redis+sentinel://a/scep", "redis+sentinel://a:26379/scep/0"},
        {"redis+sentinel://a,b:7,[::1]:8,10.0.0.1/scep/2",
         "redis+sentinel://a:26379,b:7,[::1]:8,10.0.0.1:26379/scep/2"},
        {"rediss+sentinel://u@a/my.master-1", "rediss+sentinel://a:26379/my.master-1/0"},
        {"redis+cluster://a,b:1", "redis+cluster://a:6379,b:1"},
        {"rediss+cluster://u@[fe80::1]/", "rediss+cluster://[fe80::1]:6379"},
        {"redis+unix:/run/r?db=", "redis+unix:///run/r"},
        {"redis:h", NULL},
        {"redis:/h", NULL},
        {"redis://h,i", NULL},
        {"redis://h:0", NULL},
        {"redis://h:65536", NULL},
        {"redis://h:4294967297", NULL},
        {"redis://h:1x", NULL},
        {"redis://h:-1", NULL},
        {"redis://a:b:c", NULL},
        {"redis://::1", NULL},
        {"redis://[::1", NULL},
        {"redis://[h]", NULL},
        {"redis://[::1]x", NULL},
        {"redis://h/-1", NULL},
        {"redis://h/1/2", NULL},
        {"redis://h b", NULL},
        {"redis://h\n", NULL},
        {"redis://h#x", NULL},
        {"redis://@", NULL},
        {"redis://u:p@h", NULL},
        {"redis://u@v:p@h", NULL},
        {"redis+sentinel://a", NULL},
        {"redis+sentinel://a/", NULL},
        {"redis+sentinel:///scep", NULL},
        {"redis+sentinel://a,/scep", NULL},
        {"redis+sentinel://,a/scep", NULL},
        {"redis+sentinel://a/scep/x", NULL},
        {"redis+sentinel://a/scep/1/2", NULL},
        {"redis+sentinel://a/sc ep", NULL},
        {"redis+sentinel://u:p@a/scep", NULL},
        {"redis+cluster://a/1", NULL},
        {"redis+cluster://", NULL},
        {"redis+clusters://a", NULL},
        {"redi://a", NULL},
        {"", NULL},
        {":", NULL}};
    apr_pool_t *p = fixture_pool();
    const char *error;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        redis_options_t o = {0};

        error = redis_url_parse(&o, cases[i].url, p);
        ck_assert_msg(!error == !!cases[i].display, "%s: %s", cases[i].url, error);
        if (!error)
            ck_assert_str_eq(redis_url_display(&o, p), cases[i].display);
        else
            ck_assert_ptr_null(strstr(error, "u:p"));
    }
}
END_TEST

START_TEST(limits)
{
    apr_pool_t *p = fixture_pool();
    redis_options_t o = {0};
    char host[300];
    const char *list = "a";
    int i;

    memset(host, 'h', sizeof(host));
    host[256] = '\0';
    ck_assert_ptr_nonnull(redis_url_parse(&o, apr_pstrcat(p, "redis://", host, NULL), p));
    host[255] = '\0';
    ck_assert_ptr_null(redis_url_parse(&o, apr_pstrcat(p, "redis://", host, NULL), p));
    for (i = 1; i < REDIS_URL_NODES_MAX; i++)
        list = apr_pstrcat(p, list, ",a", NULL);
    ck_assert_ptr_null(redis_url_parse(&o, apr_pstrcat(p, "redis+cluster://", list, NULL), p));
    ck_assert_int_eq(o.nodes->nelts, REDIS_URL_NODES_MAX);
    ck_assert_ptr_nonnull(redis_url_parse(&o, apr_pstrcat(p, "redis+cluster://", list, ",a", NULL),
                                          p));
}
END_TEST

START_TEST(user)
{
    apr_pool_t *p = fixture_pool();
    redis_options_t o = {0};

    ck_assert_ptr_null(redis_url_parse(&o, "redis+sentinel://me@a,b/scep", p));
    ck_assert_str_eq(o.user, "me");
    ck_assert_str_eq(o.master, "scep");
    o.user = "directive";
    ck_assert_ptr_null(redis_url_parse(&o, "redis://me@a", p));
    ck_assert_str_eq(o.user, "directive");
}
END_TEST

START_TEST(rules)
{
    static const struct {
        const char *error;
        redis_rule_e rule;
        const char *counts_as;
    } cases[] = {
        {"READONLY You can't write against a read only replica.", REDIS_RULE_MOVE, "readonly"},
        {"READONLY", REDIS_RULE_MOVE, "readonly"},
        {"LOADING Redis is loading the dataset in memory", REDIS_RULE_MOVE, "loading"},
        {"MASTERDOWN Link with MASTER is down", REDIS_RULE_MOVE, "masterdown"},
        {"NOREPLICAS Not enough good replicas to write.", REDIS_RULE_MOVE, "noreplicas"},
        {"CLUSTERDOWN The cluster is down", REDIS_RULE_MOVE, "clusterdown"},
        {"UNBLOCKED force unblock from blocking operation", REDIS_RULE_MOVE, "unblocked"},
        {"MOVED 1 127.0.0.1:1", REDIS_RULE_FOLLOW, "moved"},
        {"ASK 1 127.0.0.1:1", REDIS_RULE_ASK},
        {"ASKING 1 127.0.0.1:1", REDIS_RULE_TELL},
        {"TRYAGAIN Multiple keys request during rehashing of slot", REDIS_RULE_LATER},
        {"BUSY Redis is busy running a script", REDIS_RULE_LATER},
        {"NOPERM this user has no permissions", REDIS_RULE_DENIED},
        {"NOAUTH Authentication required.", REDIS_RULE_DENIED},
        {"WRONGPASS invalid", REDIS_RULE_DENIED},
        {"ERR Error running script (call to f_0): @user_script:9: @user_script: 9: -READONLY You "
         "can't write", REDIS_RULE_MOVE, "readonly"},
        {"ERR Error running script (call to f_0): @user_script:9: Script attempted to access a non "
         "local key in a cluster node", REDIS_RULE_HALF},
        {"ERR Script attempted to access a non local key in a cluster node script: 1",
         REDIS_RULE_HALF},
        {"NOSCRIPT No matching script", REDIS_RULE_TELL},
        {"OOM command not allowed", REDIS_RULE_TELL},
        {"MISCONF Redis is configured to save RDB snapshots", REDIS_RULE_TELL},
        {"READONLYX", REDIS_RULE_TELL},
        {"ERR x: -READONLY", REDIS_RULE_TELL},
        {"", REDIS_RULE_TELL}};
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(redis_rule(cases[i].error) == cases[i].rule, "%s", cases[i].error);
        ck_assert_str_eq(store_move_name(redis_rule_move(cases[i].error)),
                         cases[i].counts_as ? cases[i].counts_as : "unknown");
    }
}
END_TEST

START_TEST(moved)
{
    static const struct {
        const char *error, *host; /* NULL: refused */
        int slot, port;
    } cases[] = {{"MOVED 3999 127.0.0.1:6381", "127.0.0.1", 3999, 6381},
                 {"MOVED 0 redis-1.example.com:1", "redis-1.example.com", 0, 1},
                 {"MOVED 16383 ::1:6379", "::1", 16383, 6379},
                 {"MOVED 1 :7000", "asked", 1, 7000},
                 {"MOVED 1 ?:7000", "asked", 1, 7000},
                 {"MOVED 16384 h:1", NULL, 0, 0},
                 {"MOVED -1 h:1", NULL, 0, 0},
                 {"MOVED x h:1", NULL, 0, 0},
                 {"MOVED 1 h", NULL, 0, 0},
                 {"MOVED 1 h:", NULL, 0, 0},
                 {"MOVED 1 h:0", NULL, 0, 0},
                 {"MOVED 1 h:65536", NULL, 0, 0},
                 {"MOVED 1 h:99999999999999999999", NULL, 0, 0},
                 {"MOVED 1 h:1x", NULL, 0, 0},
                 {"MOVED 1 h x:1", NULL, 0, 0},
                 {"MOVED 1", NULL, 0, 0},
                 {"MOVED", NULL, 0, 0},
                 {"ASK 7 127.0.0.1:6381", "127.0.0.1", 7, 6381},
                 {"ASK 7 :7000", "asked", 7, 7000},
                 {"ASK 16384 h:1", NULL, 0, 0},
                 {"ASK 7 h", NULL, 0, 0},
                 {"ASK 7", NULL, 0, 0},
                 {"ASK ", NULL, 0, 0},
                 {"ASK", NULL, 0, 0},
                 {"ASKX 7 h:1", NULL, 0, 0}};
    redis_address_t asked = {"asked", 1}, to;
    size_t i;
    int slot;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(redis_rule_target(cases[i].error, &asked, &slot, &to) == !!cases[i].host,
                      "%s", cases[i].error);
        if (cases[i].host) {
            ck_assert_str_eq(to.host, cases[i].host);
            ck_assert_int_eq(to.port, cases[i].port);
            ck_assert_int_eq(slot, cases[i].slot);
        }
    }
}
END_TEST

START_TEST(slots)
{
    /* CLUSTER KEYSLOT of a real one */
    ck_assert_int_eq(redis_topology_slot("123456789"), 12739);
    ck_assert_int_eq(redis_topology_slot("foo"), 12182);
    ck_assert_int_eq(redis_topology_slot("{foo}:x"), 12182);
    ck_assert_int_eq(redis_topology_slot("a{foo}{bar}"), 12182);
    ck_assert_int_eq(redis_topology_slot("{}foo"), 9500);
    ck_assert_int_eq(redis_topology_slot("{scep:corp}:idx"), redis_topology_slot("scep:corp"));
    ck_assert_int_eq(redis_topology_slot(""), 0);
}
END_TEST

/* Reads RESP as an answer to CLUSTER SLOTS; whether it is one. */
static int read_map(redis_map_t *map, const char *resp)
{
    redis_address_t asked = {"asked", 1};
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    int ok;

    memset(map, 0, sizeof(*map));
    memset(map->owner, 0xff, sizeof(map->owner));
    ck_assert_int_eq(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
    ck_assert_int_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
    ck_assert_ptr_nonnull(reply);
    ok = redis_cluster_read(map, reply, &asked);
    freeReplyObject(reply);
    redisReaderFree(reader);
    return ok;
}

#define NODE(host, port) "*2\r\n" host "\r\n:" port "\r\n"

START_TEST(map)
{
    static const char *const bad[] = {
        "+OK\r\n",
        "*0\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE("$1\r\na", "1"),
        "*1\r\n*3\r\n:2\r\n:1\r\n" NODE("$1\r\na", "1"),
        "*1\r\n*3\r\n:-1\r\n:1\r\n" NODE("$1\r\na", "1"),
        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE("$1\r\na", "0"),
        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE(":1", "1"),
        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE("$3\r\na b", "1"),
        "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n:1\r\n"};
    redis_map_t *m = apr_palloc(fixture_pool(), sizeof(*m));
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!read_map(m, bad[i]), "%s", bad[i]);
    ck_assert(read_map(m, "*3\r\n*4\r\n:0\r\n:5\r\n" NODE("$1\r\na", "1") NODE("$1\r\nb", "2")
                          "*3\r\n:6\r\n:6\r\n" NODE("$0\r\n", "3")
                          "*3\r\n:7\r\n:16383\r\n" NODE("$-1", "4")));
    ck_assert_int_eq(m->count, 4);
    ck_assert_str_eq(m->nodes[m->owner[5]].host, "a");
    ck_assert_str_eq(m->nodes[m->owner[6]].host, "asked");
    ck_assert_int_eq(m->nodes[m->owner[6]].port, 3);
    ck_assert_int_eq(m->nodes[m->owner[16383]].port, 4);
    /* a second owner of a slot is not believed */
    ck_assert(read_map(m, "*2\r\n*3\r\n:0\r\n:5\r\n" NODE("$1\r\na", "1")
                          "*3\r\n:5\r\n:9\r\n" NODE("$1\r\nb", "2")));
    ck_assert_str_eq(m->nodes[m->owner[5]].host, "a");
    ck_assert_int_eq(m->owner[6], REDIS_CLUSTER_NOBODY);
}
END_TEST

Suite *test_redis_url_suite(void)
{
    Suite *suite = suite_create("test_redis_url");
    TCase *tcase = tcase_create("redis");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, forms);
    tcase_add_test(tcase, limits);
    tcase_add_test(tcase, user);
    tcase_add_test(tcase, rules);
    tcase_add_test(tcase, moved);
    tcase_add_test(tcase, slots);
    tcase_add_test(tcase, map);
    suite_add_tcase(suite, tcase);
    return suite;
}
