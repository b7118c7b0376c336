/* SPDX-License-Identifier: Apache-2.0 */
/* Connections, schema and transactions of the SQLite store; see store_sqlite_db.h. */
#include "store_sqlite_db.h"
#include "store.h"
#include "store_sqlite_schema.h"
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const sql_texts[SQL_COUNT] = {
#define SQL(name, text) text,
#include "store_sqlite_sql.h"
#undef SQL
};

/* The status that says the same as an SQLite result code. */
static apr_status_t status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
        return APR_SUCCESS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return APR_TIMEUP;
    case SQLITE_FULL:
        return APR_ENOSPC;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return APR_EACCES;
    default:
        return APR_EGENERAL;
    }
}

/* Called while the file is locked by another: 1 to try again after a short, growing sleep, 0 at the
 * deadline. */
static int wait_for_lock(void *baton, int count)
{
    const db_t *db = baton;

    if (apr_time_now() >= db->deadline)
        return 0;
    apr_sleep(count < 8 ? 250 : count < 40 ? 1000 : 4000);
    return 1;
}

/* Closes a connection; NULL is passed over. */
static void db_close(db_t *db)
{
    int i;

    if (!db)
        return;
    for (i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    free(db);
}

/* The file's path with a resolved directory, since SQLite is told to follow no links; NULL: no
 * directory. */
static const char *resolve(const char *file, apr_pool_t *p)
{
    const char *slash = strrchr(file, '/');
    char *directory = apr_pstrmemdup(p, file, slash == file ? 1 : slash - file);
    char resolved[PATH_MAX];

    if (!realpath(directory, resolved))
        return NULL;
    return apr_pstrcat(p, strcmp(resolved, "/") == 0 ? "" : resolved, slash, NULL);
}

/* Opens file, which exists.  An SQLite result code; *pdb is there to be closed unless NULL. */
static int db_open(db_t **pdb, const char *file, apr_interval_time_t busy_timeout, apr_pool_t *p)
{
    const char *path = resolve(file, p);
    db_t *db;
    int code;

    *pdb = NULL;
    if (!path)
        return SQLITE_CANTOPEN;
    *pdb = db = calloc(1, sizeof(*db));
    if (!db)
        return SQLITE_NOMEM;
    code =
        sqlite3_open_v2(path, &db->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
    if (code != SQLITE_OK)
        return code;
    db->deadline = apr_time_now() + busy_timeout;
    sqlite3_busy_handler(db->handle, wait_for_lock, db);
    return sqlite3_exec(db->handle, "PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;", NULL, NULL,
                        NULL);
}

/* Makes an empty file if there is none, and gives it to uid and gid.  0, or errno. */
static int make_file(const char *file, uid_t uid, gid_t gid)
{
    int fd = open(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int error = 0;

    if (fd < 0)
        return errno;
    if (geteuid() == 0 && fchown(fd, uid, gid) != 0)
        error = errno;
    close(fd);
    return error;
}

/* The number that a PRAGMA or SELECT gives; -1: none. */
static int get_number(db_t *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int value = -1;

    if (sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* Switches to the write-ahead log; whether the file system can. */
static int set_wal(db_t *db)
{
    sqlite3_stmt *statement = NULL;
    int done = 0;

    if (sqlite3_prepare_v2(db->handle, "PRAGMA journal_mode=WAL", -1, &statement, NULL) ==
            SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        done = sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    sqlite3_finalize(statement);
    return done;
}

/* Makes the tables in an empty file, or brings those of an older version up to date.  Error text,
 * NULL if fine. */
static const char *set_schema(db_t *db, const char *file, apr_pool_t *p)
{
    const char *error = NULL;
    int version;

    if (sqlite3_exec(db->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return apr_psprintf(p, "cannot write %s: %s", file, sqlite3_errmsg(db->handle));
    version = get_number(db, "PRAGMA user_version");
    if (version == 0 && get_number(db, "SELECT count(*) FROM sqlite_master") > 0)
        error = apr_psprintf(p, "%s is an SQLite file of another program", file);
    else if (version < 0 || version > SCHEMA_VERSION)
        error = apr_psprintf(p, "%s has schema version %d, this program knows %d; move it away",
                             file, version, SCHEMA_VERSION);
    for (; !error && version < SCHEMA_VERSION; version++) {
        if (sqlite3_exec(db->handle, schema_steps[version], NULL, NULL, NULL) != SQLITE_OK)
            error = apr_psprintf(p, "cannot make the tables in %s: %s", file,
                                 sqlite3_errmsg(db->handle));
    }
    if (sqlite3_exec(db->handle, error ? "ROLLBACK" : "COMMIT", NULL, NULL, NULL) != SQLITE_OK &&
        !error)
        error = apr_psprintf(p, "cannot write %s: %s", file, sqlite3_errmsg(db->handle));
    return error;
}

const char *db_prepare(const char *file, apr_interval_time_t busy_timeout, uid_t uid, gid_t gid,
                       apr_pool_t *p)
{
    const char *error = NULL;
    char message[120];
    db_t *db = NULL;
    int code;

    code = make_file(file, uid, gid);
    if (code != 0)
        return apr_psprintf(p, "cannot make %s: %s", file,
                            apr_strerror(APR_FROM_OS_ERROR(code), message, sizeof(message)));
    code = db_open(&db, file, busy_timeout, p);
    if (code != SQLITE_OK)
        error = apr_psprintf(p, "cannot open %s: %s", file, sqlite3_errstr(code));
    else if (!set_wal(db))
        error = apr_psprintf(
            p, "cannot use a write-ahead log for %s (%s): it needs a local file system", file,
            sqlite3_errmsg(db->handle));
    else
        error = set_schema(db, file, p);
    db_close(db);
    return error;
}

/* Pool cleanup: closes the connections. */
static apr_status_t close_all(void *baton)
{
    db_pool_t *pool = baton;
    db_t *db;

    while ((db = pool->idle) != NULL) {
        pool->idle = db->next;
        db_close(db);
    }
    db_close(pool->writer);
    pool->writer = NULL;
    return APR_SUCCESS;
}

apr_status_t db_pool_init(db_pool_t *pool, apr_pool_t *pchild)
{
    apr_status_t rv = apr_thread_mutex_create(&pool->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv == APR_SUCCESS)
        rv = gate_init(&pool->gate, pchild);
    pool->idle = pool->writer = NULL;
    if (rv == APR_SUCCESS)
        apr_pool_cleanup_register(pchild, pool, close_all, apr_pool_cleanup_null);
    return rv;
}

/* A new connection to a file of our schema; NULL with *code set. */
static db_t *connect_file(const db_pool_t *pool, int *code, apr_pool_t *p)
{
    db_t *db;

    *code = db_open(&db, pool->file, pool->busy_timeout, p);
    if (*code == SQLITE_OK && get_number(db, "PRAGMA user_version") != SCHEMA_VERSION)
        *code = SQLITE_SCHEMA;
    if (*code == SQLITE_OK)
        return db;
    db_close(db);
    return NULL;
}

/* Starts db's transaction by that statement; an SQLite result code, the error recorded in p. */
static int begin(db_pool_t *pool, db_t *db, sql_e statement, apr_pool_t *p)
{
    db->error = SQLITE_OK;
    db->deadline = apr_time_now() + pool->busy_timeout;
    if (db_query(db, statement, "") >= 0)
        return SQLITE_OK;
    store_set_error(p, status_of(db->error), "%s: %s", pool->file, sqlite3_errmsg(db->handle));
    return db->error;
}

/* Commits, or rolls back after an error; an SQLite result code, the error in text. */
static int finish(db_t *db, char *text, apr_size_t size)
{
    int error;

    if (db->error == SQLITE_OK)
        db_query(db, SQL_COMMIT, "");
    error = db->error;
    if (error == SQLITE_OK)
        return SQLITE_OK;
    apr_cpystrn(text, sqlite3_errmsg(db->handle), size);
    db->error = SQLITE_OK;
    if (!sqlite3_get_autocommit(db->handle))
        db_query(db, SQL_ROLLBACK, "");
    db->error = error;
    return error;
}

/* Whether the connection may be broken by what happened. */
static int is_broken(const db_t *db)
{
    return db->error != SQLITE_OK && (db->error & 0xff) != SQLITE_BUSY;
}

/* Gives a reading connection back, or closes it where it may be broken. */
static void give_back(db_pool_t *pool, db_t *db)
{
    if (is_broken(db)) {
        db_close(db);
        return;
    }
    apr_thread_mutex_lock(pool->mutex);
    db->next = pool->idle;
    pool->idle = db;
    apr_thread_mutex_unlock(pool->mutex);
}

/* Forgets the writer where it may be broken. */
static void check_writer(db_pool_t *pool)
{
    if (pool->writer && is_broken(pool->writer)) {
        db_close(pool->writer);
        pool->writer = NULL;
    }
}

/* db_begin() for writing: into the transaction that is open, or a new one. */
static apr_status_t begin_write(db_t **pdb, db_pool_t *pool, apr_pool_t *p)
{
    int code = SQLITE_OK, joined = 0;
    apr_status_t rv = gate_enter(&pool->gate, &joined, pool->busy_timeout);

    if (rv == APR_TIMEUP)
        return store_set_error(p, rv, "%s: other threads are still writing", pool->file);
    if (rv != APR_SUCCESS)
        return rv;
    if (!joined) {
        if (!pool->writer && (pool->writer = connect_file(pool, &code, p)) == NULL)
            store_set_error(p, status_of(code), "%s: %s", pool->file, sqlite3_errstr(code));
        else
            code = begin(pool, pool->writer, SQL_BEGIN_WRITE, p);
        if (code != SQLITE_OK) {
            check_writer(pool);
            gate_close(&pool->gate, code, "");
            return status_of(code);
        }
        pool->writer->writes = 1;
    }
    *pdb = pool->writer;
    return APR_SUCCESS;
}

apr_status_t db_begin(db_t **pdb, db_pool_t *pool, int writes, apr_pool_t *p)
{
    int code = SQLITE_OK;
    db_t *db;

    *pdb = NULL;
    if (!pool->mutex)
        return store_set_error(p, APR_EINIT, "%s: not set up in this process", pool->file);
    if (writes)
        return begin_write(pdb, pool, p);
    apr_thread_mutex_lock(pool->mutex);
    db = pool->idle;
    if (db)
        pool->idle = db->next;
    apr_thread_mutex_unlock(pool->mutex);
    if (!db && (db = connect_file(pool, &code, p)) == NULL)
        return store_set_error(p, status_of(code), "%s: %s", pool->file, sqlite3_errstr(code));
    code = begin(pool, db, SQL_BEGIN_READ, p);
    if (code != SQLITE_OK) {
        give_back(pool, db);
        return status_of(code);
    }
    *pdb = db;
    return APR_SUCCESS;
}

/* db_end() for writing: by the last of those that queue for all of them. */
static int end_write(db_pool_t *pool, char *text, apr_size_t size)
{
    int error = SQLITE_OK;

    if (pool->writer->error == SQLITE_OK && gate_pass_on(&pool->gate, &error, text, size))
        return error;
    error = finish(pool->writer, text, size);
    check_writer(pool);
    gate_close(&pool->gate, error, text);
    return error;
}

apr_status_t db_end(db_pool_t *pool, db_t *db, apr_pool_t *p)
{
    char text[GATE_TEXT_SIZE] = "";
    int error;

    if (db->writes)
        error = end_write(pool, text, sizeof(text));
    else {
        error = finish(db, text, sizeof(text));
        give_back(pool, db);
    }
    return error == SQLITE_OK
               ? APR_SUCCESS
               : store_set_error(p, status_of(error), "%s: %s", pool->file, text);
}

/* Binds one parameter of the given type; an SQLite result code. */
static int bind_one(sqlite3_stmt *statement, int index, char type, va_list *args)
{
    const void *data;

    switch (type) {
    case 't':
        return sqlite3_bind_text(statement, index, va_arg(*args, const char *), -1, SQLITE_STATIC);
    case 'i':
        return sqlite3_bind_int64(statement, index, va_arg(*args, apr_int64_t));
    case 'b':
        data = va_arg(*args, const void *);
        return sqlite3_bind_blob(statement, index, data, va_arg(*args, int), SQLITE_STATIC);
    default:
        return SQLITE_MISUSE;
    }
}

int db_query(db_t *db, sql_e statement, const char *types, ...)
{
    va_list args;
    int i;

    if (db->error != SQLITE_OK)
        return -1;
    if (!db->statements[statement]) {
        db->error = sqlite3_prepare_v3(db->handle, sql_texts[statement], -1,
                                       SQLITE_PREPARE_PERSISTENT, &db->statements[statement], NULL);
        if (db->error != SQLITE_OK)
            return -1;
    }
    va_start(args, types);
    for (i = 0; types[i] && db->error == SQLITE_OK; i++)
        db->error = bind_one(db->statements[statement], i + 1, types[i], &args);
    va_end(args);
    return db->error == SQLITE_OK ? db_next(db, statement) : -1;
}

int db_next(db_t *db, sql_e statement)
{
    int code;

    if (db->error != SQLITE_OK)
        return -1;
    code = sqlite3_step(db->statements[statement]);
    if (code == SQLITE_ROW)
        return 1;
    db_reset(db, statement);
    if (code == SQLITE_DONE)
        return 0;
    db->error = code;
    return -1;
}

void db_reset(db_t *db, sql_e statement)
{
    if (db->statements[statement]) {
        sqlite3_reset(db->statements[statement]);
        sqlite3_clear_bindings(db->statements[statement]);
    }
}

const char *db_text(db_t *db, sql_e statement, int column, apr_pool_t *p)
{
    const char *text = (const char *)sqlite3_column_text(db->statements[statement], column);

    return text ? apr_pstrdup(p, text) : "";
}

crypt_buf_t db_blob(db_t *db, sql_e statement, int column, apr_pool_t *p)
{
    const void *data = sqlite3_column_blob(db->statements[statement], column);
    crypt_buf_t blob = {NULL, 0};

    if (data) {
        blob.len = sqlite3_column_bytes(db->statements[statement], column);
        blob.data = apr_pmemdup(p, data, blob.len);
    }
    return blob;
}

apr_int64_t db_integer(db_t *db, sql_e statement, int column)
{
    return sqlite3_column_int64(db->statements[statement], column);
}

int db_changes(db_t *db)
{
    return sqlite3_changes(db->handle);
}
