/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to the SQLite store's file: opening, schema, prepared statements, transactions.
 *
 * A connection is used by one thread at a time and keeps its statements.  An error sticks to it:
 * after the first one db_query() does nothing, and db_end() rolls back and reports it.  So an
 * operation is written straight down, and looks at the error once.
 *
 * Writing operations of one child that queue meanwhile share a transaction of SQLite's: each sees
 * what the ones before it wrote, and none has its answer before the commit that is for all of them.
 * So the child pays for one fsync instead of many.  An error ends all of them alike.
 */
#ifndef STORE_SQLITE_DB_H
#define STORE_SQLITE_DB_H

#include "../../common/crypt.h"
#include "store_sqlite_gate.h"
#include <apr_pools.h>
#include <apr_thread_mutex.h>
#include <apr_time.h>
#include <sqlite3.h>
#include <sys/types.h>

/* The statements, by what they do; their text stands in store_sqlite_sql.h. */
typedef enum {
#define SQL(name, text) SQL_##name,
#include "store_sqlite_sql.h"
#undef SQL
    SQL_COUNT
} sql_e;

typedef struct db_t db_t;

struct db_t {
    sqlite3 *handle;
    sqlite3_stmt *statements[SQL_COUNT];
    int error;           /* SQLITE_OK, or the first error since db_begin() */
    apr_time_t deadline; /* for the lock of the file */
    int writes;          /* it is the child's writer */
    db_t *next;          /* in the idle list */
};

/* All connections of a child: one for writing, any number for reading. */
typedef struct db_pool_t {
    const char *file;
    apr_interval_time_t busy_timeout;
    gate_t gate;               /* to the writer */
    db_t *writer;              /* NULL: none yet, or closed after an error */
    apr_thread_mutex_t *mutex; /* guards idle */
    db_t *idle;                /* for reading */
} db_pool_t;

/* Makes the file and its schema, owned by uid and gid.  Error text in p, NULL on success. */
const char *db_prepare(const char *file, apr_interval_time_t busy_timeout, uid_t uid, gid_t gid,
                       apr_pool_t *p);

/* Starts a child's pool without a connection; all are closed with pchild. */
apr_status_t db_pool_init(db_pool_t *pool, apr_pool_t *pchild);

/* Lends a connection with a transaction begun, for writing (or joined) or reading.  The error is
 * recorded in p. */
apr_status_t db_begin(db_t **pdb, db_pool_t *pool, int writes, apr_pool_t *p);

/* Ends the transaction and gives the connection back; returns when all is on the disk.  The error
 * is recorded in p. */
apr_status_t db_end(db_pool_t *pool, db_t *db, apr_pool_t *p);

/*
 * Runs a statement to its first row with parameters bound in order: t text (const char *), i
 * integer (apr_int64_t), b blob (const void *, int).  1: a row, to be read by db_text() ... before
 * the next db_query() of the same statement; 0: no row; -1: error.
 */
int db_query(db_t *db, sql_e statement, const char *types, ...);

/* The next row of the same statement; as db_query(). */
int db_next(db_t *db, sql_e statement);

/* Ends reading a statement before its last row. */
void db_reset(db_t *db, sql_e statement);

/* Columns of the current row; texts and blobs are copied into p, "" and none for NULL. */
const char *db_text(db_t *db, sql_e statement, int column, apr_pool_t *p);
crypt_buf_t db_blob(db_t *db, sql_e statement, int column, apr_pool_t *p);
apr_int64_t db_integer(db_t *db, sql_e statement, int column);

/* Rows that the last statement changed. */
int db_changes(db_t *db);

#endif /* STORE_SQLITE_DB_H */
