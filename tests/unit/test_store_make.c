/* SPDX-License-Identifier: Apache-2.0 */
/* How a store is found by its URL, and how the SQLite store prepares its file. */
#include "store_fixture.h"
#include <apr_strings.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Suite *test_store_make_suite(void);

START_TEST(result_names)
{
    ck_assert_str_eq(store_result_name(STORE_OK), "ok");
    ck_assert_str_eq(store_result_name(STORE_NOTFOUND), "not-found");
    ck_assert_str_eq(store_result_name((store_result_e)99), "unknown");
}
END_TEST

START_TEST(urls)
{
    static const struct {
        const char *url, *display;
    } cases[] = {{NULL, "sqlite:/state/scep.sqlite"},
                 {"sqlite:/a/b.db", "sqlite:/a/b.db"},
                 {"SQLite:", "sqlite:/state/scep.sqlite"},
                 {"redis://h", "redis://h:6379/0"},
                 {"redis://u@h:1/3", "redis://h:1/3"},
                 {"rediss://[::1]:7000", "rediss://[::1]:7000/0"},
                 {"redis+unix:///run/r.sock", "redis+unix:///run/r.sock"},
                 {"redis+unix:///run/r.sock?db=2", "redis+unix:///run/r.sock?db=2"},
                 {"sqlite:b.db", NULL},
                 {"sqlite://x/y", NULL},
                 {"sqlite:/a/", NULL},
                 {"nosuch://h", NULL},
                 {"h", NULL},
                 {":", NULL},
                 {"redis://", NULL},
                 {"redis://h/x", NULL},
                 {"redis://h?x=1", NULL},
                 {"redis://u:secret@h", NULL},
                 {"redis://:secret@h", NULL},
                 {"redis+unix://", NULL},
                 {"redis+unix:///x?dbx", NULL},
                 {"redis+unix://relative", NULL},
                 {"redis://h/123456", NULL}};
    apr_pool_t *p = fixture_pool();
    store_config_t cfg;
    const char *error;
    store_t *store;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&cfg, 0, sizeof(cfg));
        cfg.url = cases[i].url;
        cfg.state_directory = "/state";
        cfg.password_file = "/password";
        error = store_make(&store, &cfg, NULL, p);
        ck_assert_msg(!error == !!cases[i].display, "%s: %s", cases[i].url, error);
        if (error)
            ck_assert_msg(!strstr(error, "secret"), "%s", error);
        else
            ck_assert_str_eq(store->display, cases[i].display);
    }
    memset(&cfg, 0, sizeof(cfg));
    ck_assert_ptr_nonnull(store_make(&store, &cfg, NULL, p));
    cfg.url = "redis://u@h";
    ck_assert_ptr_nonnull(store_make(&store, &cfg, NULL, p));
}
END_TEST

/* A store at sqlite:directory/name. */
static store_t *make_sqlite(const char *path)
{
    store_config_t cfg = {0};
    store_t *store;
    const char *error;

    cfg.url = apr_pstrcat(fixture_pool(), "sqlite:", path, NULL);
    error = store_make(&store, &cfg, NULL, fixture_pool());
    ck_assert_msg(!error, "%s", error);
    return store;
}

START_TEST(sqlite_file_and_directory)
{
    apr_pool_t *p = fixture_pool();
    const char *directory = apr_pstrcat(p, fixture_directory(p), "/new", NULL);
    const char *path = apr_pstrcat(p, directory, "/x.db", NULL);
    store_t *store = make_sqlite(path);
    struct stat info;

    if (geteuid() != 0)
        return;
    ck_assert_ptr_null(store->provider->prepare(store, 65534, 65534, p));
    ck_assert_ptr_null(store->provider->prepare(store, 65534, 65534, p));
    ck_assert_int_eq(stat(directory, &info), 0);
    ck_assert_int_eq(info.st_mode & 07777, 0700);
    ck_assert_uint_eq(info.st_uid, 65534);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(info.st_mode & 07777, 0600);
    ck_assert_uint_eq(info.st_uid, 65534);
    unlink(path);
    rmdir(directory);
}
END_TEST

/* Runs SQL on a file. */
static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;

    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

START_TEST(sqlite_refuses_other_files)
{
    apr_pool_t *p = fixture_pool();
    const char *directory = fixture_directory(p);
    const char *path, *error;
    store_t *store;

    path = apr_pstrcat(p, directory, "/newer.db", NULL);
    store = make_sqlite(path);
    ck_assert_ptr_null(store->provider->prepare(store, geteuid(), getegid(), p));
    run_sql(path, "PRAGMA user_version=99");
    error = store->provider->prepare(store, geteuid(), getegid(), p);
    ck_assert_msg(error && strstr(error, "version 99"), "%s", error);
    path = apr_pstrcat(p, directory, "/other.db", NULL);
    run_sql(path, "CREATE TABLE t(a)");
    store = make_sqlite(path);
    error = store->provider->prepare(store, geteuid(), getegid(), p);
    ck_assert_msg(error && strstr(error, "another program"), "%s", error);
    path = fixture_file(p, directory, "text.db",
                        "this is no database, but long enough to look like "
                        "one if nobody looks at it closely ..............",
                        0600);
    store = make_sqlite(path);
    ck_assert_ptr_nonnull(store->provider->prepare(store, geteuid(), getegid(), p));
    ck_assert_int_eq(symlink(path, apr_pstrcat(p, directory, "/link.db", NULL)), 0);
    store = make_sqlite(apr_pstrcat(p, directory, "/link.db", NULL));
    ck_assert_ptr_nonnull(store->provider->prepare(store, geteuid(), getegid(), p));
    store = make_sqlite("/proc/nowhere/x.db");
    ck_assert_ptr_nonnull(store->provider->prepare(store, geteuid(), getegid(), p));
}
END_TEST

START_TEST(sqlite_broken_at_run_time)
{
    apr_pool_t *p = fixture_pool();
    const char *path = apr_pstrcat(p, fixture_directory(p), "/x.db", NULL);
    store_t *store = make_sqlite(path);
    const char *text;

    ck_assert_int_ne(store_health(store, "redis", &text, p), APR_SUCCESS);
    ck_assert_str_ne(text, "");
    ck_assert_int_eq(store_child_init(store, p), APR_SUCCESS);
    ck_assert_int_ne(store_health(store, "redis", &text, p), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(text, path));
    ck_assert_ptr_null(store->provider->prepare(store, geteuid(), getegid(), p));
    ck_assert_int_eq(store_health(store, "redis", &text, p), APR_SUCCESS);
}
END_TEST

START_TEST(sqlite_locked_file)
{
    apr_pool_t *p = fixture_pool();
    const char *path = apr_pstrcat(p, fixture_directory(p), "/x.db", NULL);
    store_config_t cfg = {0};
    apr_time_t begin;
    const char *text;
    store_t *store;
    sqlite3 *db;

    cfg.url = apr_pstrcat(p, "sqlite:", path, NULL);
    cfg.command_timeout = apr_time_from_msec(150);
    store = store_fixture_open_config(&cfg, p);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    begin = apr_time_now();
    ck_assert_int_eq(store_health(store, "redis", &text, p), APR_TIMEUP);
    ck_assert(apr_time_now() - begin >= apr_time_from_msec(140));
    ck_assert(apr_time_now() - begin < apr_time_from_msec(600));
    ck_assert_int_eq(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    ck_assert_int_eq(store_health(store, "redis", &text, p), APR_SUCCESS);
}
END_TEST

Suite *test_store_make_suite(void)
{
    Suite *suite = suite_create("test_store_make");
    TCase *tcase = tcase_create("make");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, result_names);
    tcase_add_test(tcase, urls);
    tcase_add_test(tcase, sqlite_file_and_directory);
    tcase_add_test(tcase, sqlite_refuses_other_files);
    tcase_add_test(tcase, sqlite_broken_at_run_time);
    tcase_add_test(tcase, sqlite_locked_file);
    suite_add_tcase(suite, tcase);
    return suite;
}
