/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of earlier versions: an SQLite file of schema 1 is brought up to date and goes on, a
 * transaction that an older program wrote into Redis is read, ended and decided about.
 */
#include "store_calls.h"
#include <apr_strings.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Suite *test_store_migrate_suite(void);

/* The tables of schema 1, as its program made them. */
static const char schema_1[] =
    "CREATE TABLE challenge(service TEXT NOT NULL, id TEXT NOT NULL, issued INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, keep INTEGER NOT NULL, lifetime INTEGER NOT NULL,"
    " uses INTEGER NOT NULL, used INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " bad INTEGER NOT NULL, caller TEXT NOT NULL, template TEXT NOT NULL, bound TEXT NOT NULL,"
    " open INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX challenge_id ON challenge(service, id);"
    "CREATE INDEX challenge_keep ON challenge(service, keep);"
    "CREATE INDEX challenge_open ON challenge(service, expires) WHERE open=1;"
    "CREATE TABLE open_count(service TEXT PRIMARY KEY, open INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TRIGGER challenge_made AFTER INSERT ON challenge WHEN NEW.open=1 BEGIN"
    " INSERT OR IGNORE INTO open_count VALUES(NEW.service, 0);"
    " UPDATE open_count SET open=open+1 WHERE service=NEW.service; END;"
    "CREATE TRIGGER challenge_closed AFTER UPDATE OF open ON challenge"
    " WHEN OLD.open=1 AND NEW.open=0 BEGIN"
    " UPDATE open_count SET open=open-1 WHERE service=NEW.service; END;"
    "CREATE TRIGGER challenge_removed AFTER DELETE ON challenge WHEN OLD.open=1 BEGIN"
    " UPDATE open_count SET open=open-1 WHERE service=OLD.service; END;"
    "CREATE TABLE tx(service TEXT NOT NULL, tx_key TEXT NOT NULL, poll_key TEXT NOT NULL,"
    " csr TEXT NOT NULL, challenge TEXT NOT NULL, holds INTEGER NOT NULL, state TEXT NOT NULL,"
    " nonce TEXT NOT NULL, lease INTEGER NOT NULL, fence INTEGER NOT NULL, serial TEXT NOT NULL,"
    " not_before INTEGER NOT NULL, certificate BLOB, cookie TEXT NOT NULL DEFAULT '',"
    " reason TEXT NOT NULL DEFAULT '', next INTEGER NOT NULL DEFAULT 0,"
    " transaction_id TEXT NOT NULL, subject TEXT NOT NULL, template TEXT NOT NULL,"
    " client TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,"
    " claimed INTEGER NOT NULL, keep INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX tx_key ON tx(service, tx_key);"
    "CREATE INDEX tx_poll ON tx(service, poll_key);"
    "CREATE INDEX tx_keep ON tx(service, keep);"
    "CREATE INDEX tx_holders ON tx(service, challenge) WHERE holds=1;"
    "CREATE INDEX tx_pending ON tx(service, created) WHERE state='pending';"
    "CREATE TABLE host(service TEXT NOT NULL, host TEXT NOT NULL, secret TEXT NOT NULL,"
    " ca TEXT NOT NULL, templates TEXT NOT NULL, seen INTEGER NOT NULL,"
    " PRIMARY KEY(service, host)) WITHOUT ROWID;"
    "CREATE TABLE health(id INTEGER PRIMARY KEY, seen INTEGER NOT NULL);"
    "PRAGMA user_version=1;";

/* What the programs of schema 2 to 4 added. */
static const char *const later_schemas[] = {
    "ALTER TABLE tx ADD COLUMN request BLOB;"
    "ALTER TABLE tx ADD COLUMN decision TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE tx ADD COLUMN decided_by TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE tx ADD COLUMN decision_text TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE tx ADD COLUMN pend_until INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE tx ADD COLUMN cert_serial TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX tx_waiting ON tx(service, keep) WHERE state='pending';"
    "CREATE INDEX tx_serial ON tx(service, cert_serial) WHERE cert_serial<>'';"
    "CREATE TABLE counter(service TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL,"
    " ends INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX counter_name ON counter(service, name);"
    "CREATE INDEX counter_ends ON counter(service, ends);"
    "PRAGMA user_version=2;",
    "ALTER TABLE challenge ADD COLUMN capped INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX challenge_caller ON challenge(service, caller, expires)"
    " WHERE open=1 AND capped=1;"
    "PRAGMA user_version=3;",
    "ALTER TABLE tx ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX tx_owner ON tx(service, owner, keep) WHERE state='pending' AND owner<>'';"
    "PRAGMA user_version=4;"};

/* A challenge with a use held by transaction 1, which waits, and one used by 2, which is issued. */
static const char records_1[] =
    "INSERT INTO challenge VALUES('s', '%s', %s, %s + 600000, %s + 9000000, 600000, 2, 0, 3, 0,"
    " 'mdm', 'Device', '{}', 1);"
    "INSERT INTO challenge VALUES('s', '%s', %s, %s + 600000, %s + 9000000, 600000, 1, 1, 3, 0,"
    " 'mdm', 'Device', '{}', 0);"
    "INSERT INTO tx(service, tx_key, poll_key, csr, challenge, holds, state, nonce, lease, fence,"
    " serial, not_before, cookie, next, transaction_id, subject, template, client, created,"
    " updated, claimed, keep) VALUES('s', '%s', '%s', '%s', '%s', 1, 'pending', 'x', 0, 1, '%s', 5,"
    " 'cookie 1', 0, 'tid-1', 'CN=old', 'Device', '192.0.2.1', %s, %s, %s, %s + 600000);"
    "INSERT INTO tx(service, tx_key, poll_key, csr, challenge, holds, state, nonce, lease, fence,"
    " serial, not_before, certificate, transaction_id, subject, template, client, created,"
    " updated, claimed, keep) VALUES('s', '%s', '%s', '%s', '%s', 0, 'issued', 'x', 0, 1, '%s', 5,"
    " x'3000', 'tid-2', 'CN=old', 'Device', '192.0.2.1', %s, %s, %s, %s + 600000);";

/* Runs SQL on a file; whether all went well. */
static int run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    int code = sqlite3_open(path, &db);

    if (code == SQLITE_OK)
        code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    return code == SQLITE_OK;
}

/* The schema version of a file. */
static int version_of(const char *path)
{
    sqlite3_stmt *statement;
    int version = -1;
    sqlite3 *db;

    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL),
                     SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return version;
}

/* Makes a file of schema 1 with records; its path. */
static const char *make_file(void)
{
    const char *path = apr_pstrcat(calls.p, fixture_directory(calls.p), "/old.db", NULL);
    const char *now = apr_psprintf(calls.p, "%" APR_TIME_T_FMT, apr_time_as_msec(apr_time_now()));

    ck_assert(run_sql(path, schema_1));
    ck_assert(run_sql(path, apr_psprintf(calls.p, records_1, calls_id(1), now, now, now,
                                         calls_id(2), now, now, now, calls_id(1001), calls_id(2001),
                                         calls_id(3001), calls_id(1), calls_half(1), now, now, now,
                                         now, calls_id(1002), calls_id(2002), calls_id(3002),
                                         calls_id(2), calls_half(2), now, now, now, now)));
    return path;
}

/* The store of a file. */
static store_t *store_of(const char *path)
{
    store_config_t *cfg = apr_pcalloc(calls.p, sizeof(*cfg));
    store_t *store = NULL;

    cfg->url = apr_pstrcat(calls.p, "sqlite:", path, NULL);
    ck_assert_ptr_null(store_make(&store, cfg, NULL, calls.p));
    return store;
}

/* Prepares the file's store; the error text, NULL if none. */
static const char *prepare(store_t *store)
{
    return store->provider->prepare(store, geteuid(), getegid(), calls.p);
}

/* Commits transaction t, which leaves a record and news. */
static void check_trail(int t, apr_int64_t fence)
{
    store_news_t news = {0};
    store_trail_t trail = {"{}", &news, 1, LIFE};
    crypt_buf_t cert = calls_certificate(t);
    apr_array_header_t *taken;
    store_result_e result;

    news.id = calls_id(1);
    news.recipient = "webhook";
    news.payload = cert;
    ck_assert_int_eq(store_commit(calls.store, calls.service, calls_id(1000 + t), fence, &cert, "",
                                  KEEP, &trail, &result, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(result, STORE_OK);
    ck_assert_int_eq(calls_find(t), STORE_OK);
    ck_assert_str_eq(calls.tx.record, "{}");
    ck_assert_str_eq(calls.tx.record_state, "processing");
    ck_assert_int_eq(store_take(calls.store, calls.service, 5, LEASE, &taken, calls.p),
                     APR_SUCCESS);
    ck_assert_int_eq(taken->nelts, 1);
}

START_TEST(sqlite_schema_1_goes_on)
{
    store_pend_t pend = calls_make_pend(0, MS(100));
    crypt_buf_t request = {(const unsigned char *)"request", 7};
    const char *path;

    calls.p = fixture_pool();
    calls.service = "s";
    path = make_file();
    calls.store = store_of(path);
    ck_assert_ptr_null(prepare(calls.store));
    ck_assert_ptr_null(prepare(calls.store));
    ck_assert_int_eq(version_of(path), 7);
    ck_assert_int_eq(store_child_init(calls.store, calls.p), APR_SUCCESS);
    ck_assert_int_eq(calls_claim(2, 2, 1, LEASE), STORE_ISSUED);
    ck_assert_uint_eq(calls.tx.certificate.len, 2);
    ck_assert_int_eq(calls_find_certificate(calls_half(2)), STORE_NOTFOUND);
    ck_assert_int_eq(calls_claim(3, 2, 2, LEASE), STORE_USED);
    ck_assert_int_eq(calls_claim(1, 1, 3, LEASE), STORE_PENDING);
    ck_assert_str_eq(calls.tx.decision, "");
    ck_assert_int_eq(calls_poll(1, 4, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.cookie, "cookie 1");
    ck_assert_uint_eq(calls.tx.request.len, 0);
    pend.request = &request;
    ck_assert_int_eq(calls_send_pend(1, 2, &pend), STORE_OK);
    ck_assert_int_eq(calls_decide(1, 1, KEEP), STORE_OK);
    ck_assert_int_eq(calls_poll(1, 5, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.decision, "approved");
    ck_assert_uint_eq(calls.tx.request.len, 7);
    ck_assert_int_eq(calls_commit_serial(1, 3, "0a", KEEP), STORE_OK);
    ck_assert_int_eq(calls_find_certificate("0a"), STORE_OK);
    ck_assert_int_eq(calls_issue(3, LIFE, 1, 1, 0), STORE_OK);
    ck_assert_int_eq(calls.outstanding, 2);
}
END_TEST

START_TEST(sqlite_later_schemas_go_on)
{
    store_pend_t pend = calls_make_pend(0, KEEP);
    const char *path;
    int i;

    calls.p = fixture_pool();
    calls.service = "s";
    path = make_file();
    for (i = 0; i <= _i; i++)
        ck_assert(run_sql(path, later_schemas[i]));
    ck_assert_int_eq(version_of(path), _i + 2);
    calls.store = store_of(path);
    ck_assert_ptr_null(prepare(calls.store));
    ck_assert_int_eq(version_of(path), 7);
    ck_assert_int_eq(store_child_init(calls.store, calls.p), APR_SUCCESS);
    pend.owner = calls_id(9);
    pend.owner_max = 1;
    ck_assert_int_eq(calls_poll(1, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(1, 2, &pend), STORE_OK);
    ck_assert_int_eq(calls_claim(3, 0, 2, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(3, 1, &pend), STORE_OK);
    ck_assert_int_eq(calls_claim(4, 0, 3, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_send_pend(4, 1, &pend), STORE_OWNERFULL);
    check_trail(4, 1);
}
END_TEST

START_TEST(sqlite_migration_is_whole_or_not)
{
    const char *path, *error;

    calls.p = fixture_pool();
    path = make_file();
    ck_assert(run_sql(path, "CREATE TABLE counter(x)"));
    error = prepare(store_of(path));
    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_nonnull(strstr(error, path));
    ck_assert_int_eq(version_of(path), 1);
    ck_assert(run_sql(path, "DROP TABLE counter"));
    ck_assert_ptr_null(prepare(store_of(path)));
    ck_assert_int_eq(version_of(path), 7);
    ck_assert(run_sql(path, "PRAGMA user_version=8"));
    error = prepare(store_of(path));
    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_nonnull(strstr(error, "schema version 8"));
}
END_TEST

/* Writes the fields that the first version gave transaction t into Redis. */
static void write_old(int t, const char *state, const char *more)
{
    const char *key = apr_psprintf(calls.p, "'{scep:%s}:tx:%s'", calls.service, calls_id(1000 + t));
    const char *poll =
        apr_psprintf(calls.p, "'{scep:%s}:poll:%s'", calls.service, calls_id(2000 + t));

    store_fixture_admin(apr_psprintf(
        calls.p,
        "HSET %s csr %s serial %s not_before 5 created 7 next 0 state %s poll %s challenge '' "
        "nonce x lease 0 transaction_id tid subject CN=old template Device client 192.0.2.1 "
        "reason '' updated 7 fence 1 %s",
        key, calls_id(3000 + t), calls_half(t), state, calls_id(2000 + t), more));
    store_fixture_admin(apr_psprintf(calls.p, "PEXPIRE %s 600000", key));
    store_fixture_admin(apr_psprintf(calls.p, "SET %s %s PX 600000", poll, calls_id(1000 + t)));
}

START_TEST(redis_records_go_on)
{
    store_pend_t pend = calls_make_pend(0, KEEP);
    int t;

    if (!calls_open(KIND_TCP))
        return;
    for (t = 1; t <= 3; t++)
        write_old(t, "pending", "cookie 'c 1'");
    write_old(4, "issued", "certificate x cookie ''");
    write_old(5, "failed", "cookie ''");
    ck_assert_int_eq(calls_claim(4, 0, 1, LEASE), STORE_ISSUED);
    ck_assert_str_eq(calls.tx.decision, "");
    ck_assert_uint_eq(calls.tx.request.len, 0);
    ck_assert_int_eq(calls_decide(4, 1, KEEP), STORE_CONFLICT);
    ck_assert_int_eq(calls_claim(5, 0, 1, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls.tx.fence, 2);
    ck_assert_int_eq(calls_poll(1, 2, LEASE), STORE_CLAIMED);
    ck_assert_str_eq(calls.tx.cookie, "c 1");
    ck_assert_int_eq(calls_send_pend(1, 2, &pend), STORE_OK);
    ck_assert_int_eq(calls_decide_cookie(2, 0, "c 1", KEEP), STORE_OK);
    ck_assert_int_eq(calls_poll(2, 3, LEASE), STORE_REFUSED);
    ck_assert_int_eq(calls_decide_cookie(3, 1, "c 1", KEEP), STORE_OK);
    ck_assert_int_eq(calls_poll(3, 4, LEASE), STORE_CLAIMED);
    ck_assert_int_eq(calls_commit_serial(3, 2, "0a", KEEP), STORE_OK);
    ck_assert_int_eq(calls_find_certificate("0a"), STORE_OK);
    ck_assert_int_eq(calls_find(5), STORE_OK);
    ck_assert_str_eq(calls.tx.record, "");
    ck_assert_str_eq(calls.tx.record_state, "");
    check_trail(5, 2);
}
END_TEST

Suite *test_store_migrate_suite(void)
{
    Suite *suite = suite_create("test_store_migrate");
    TCase *tcase = tcase_create("migrate");

    tcase_add_unchecked_fixture(tcase, store_fixture_start, store_fixture_stop);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, sqlite_schema_1_goes_on);
    tcase_add_loop_test(tcase, sqlite_later_schemas_go_on, 0, 3);
    tcase_add_test(tcase, sqlite_migration_is_whole_or_not);
    tcase_add_test(tcase, redis_records_go_on);
    suite_add_tcase(suite, tcase);
    return suite;
}
