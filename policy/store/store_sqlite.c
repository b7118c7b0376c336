/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded store: one SQLite file that the processes of one host share (store.h).
 *
 * Every slot is one transaction on one connection.  The clock is the host's.  What the tables and
 * statements are: store_sqlite_db.c, store_sqlite_sql.h; the life of a transaction:
 * store_sqlite_tx.c; what people ask and decide: store_sqlite_find.c.
 */
#include "store_sqlite.h"
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_TIMEOUT apr_time_from_sec(5)
#define REPEAT_MS (60 * 1000LL) /* an issue may be repeated for this long */
#define HOST_MS (24 * 3600 * 1000LL)
#define SWEEP_ON_ISSUE 50
#define CLOSE_ON_ISSUE 200

/* How many challenges count for the cap. */
static apr_int64_t count_open(sqlite_call_t *c)
{
    apr_int64_t open = 0;

    if (db_query(c->db, SQL_CHALLENGE_COUNT, "t", c->service) == 1) {
        open = db_integer(c->db, SQL_CHALLENGE_COUNT, 0);
        db_reset(c->db, SQL_CHALLENGE_COUNT);
    }
    return open;
}

/* Stops counting expired challenges, a batch or, where the cap needs it, more; how many still
 * count. */
static apr_int64_t close_expired(sqlite_call_t *c, int cap)
{
    apr_int64_t open;
    int closed;

    do {
        closed = 0;
        if (db_query(c->db, SQL_CHALLENGE_CLOSE, "tii", c->service, c->now,
                     (apr_int64_t)CLOSE_ON_ISSUE) == 0)
            closed = db_changes(c->db);
        open = count_open(c);
    } while (cap > 0 && open >= cap && closed == CLOSE_ON_ISSUE);
    return open;
}

/* Whether the row is what an earlier call of the same issue made. */
static int is_repeat(sqlite_call_t *c, const sqlite_challenge_row_t *row,
                     const store_challenge_t *ch)
{
    const store_challenge_t *old = &row->challenge;

    return row->used == 0 && row->bad == 0 && row->expires > c->now &&
           apr_time_as_msec(old->issued) > c->now - REPEAT_MS && old->uses == ch->uses &&
           old->attempts == ch->attempts &&
           old->lifetime == sqlite_from_ms(sqlite_to_ms(ch->lifetime)) &&
           strcmp(old->caller, ch->caller) == 0 &&
           strcmp(old->template_name, ch->template_name) == 0 && strcmp(old->bound, ch->bound) == 0;
}

/* Whether the caller's own cap is reached; *wait is set then. */
static int caller_is_full(sqlite_call_t *c, const store_challenge_t *ch, apr_interval_time_t *wait)
{
    int full = 0;

    if (ch->caller_max > 0 && db_query(c->db, SQL_CHALLENGE_CALLER, "ttii", c->service, ch->caller,
                                       c->now, (apr_int64_t)ch->caller_max) == 1) {
        full = db_integer(c->db, SQL_CHALLENGE_CALLER, 0) >= ch->caller_max;
        if (full)
            *wait = sqlite_from_ms(
                sqlite_later(1, db_integer(c->db, SQL_CHALLENGE_CALLER, 1) - c->now));
        db_reset(c->db, SQL_CHALLENGE_CALLER);
    }
    return full;
}

static apr_status_t sqlite_issue(store_t *store, const char *service, store_challenge_t *ch,
                                 int cap, store_result_e *result, int *outstanding,
                                 apr_interval_time_t *wait, apr_pool_t *p)
{
    sqlite_challenge_row_t old;
    apr_int64_t open;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    sqlite_remove_expired(&c, SWEEP_ON_ISSUE);
    open = close_expired(&c, cap);
    *result = STORE_OK;
    if (sqlite_get_challenge(&c, ch->id, &old)) {
        if (is_repeat(&c, &old, ch)) {
            ch->issued = old.challenge.issued;
            ch->expires = old.challenge.expires;
        }
        else
            *result = STORE_EXISTS;
    }
    else if (cap > 0 && open >= cap) {
        *result = STORE_FULL;
        if (db_query(c.db, SQL_CHALLENGE_NEXT, "t", service) == 1) {
            *wait =
                sqlite_from_ms(sqlite_later(1, db_integer(c.db, SQL_CHALLENGE_NEXT, 0) - c.now));
            db_reset(c.db, SQL_CHALLENGE_NEXT);
        }
    }
    else if (caller_is_full(&c, ch, wait))
        *result = STORE_CALLERFULL;
    else
        sqlite_insert_challenge(&c, ch->id, ch, 1);
    *outstanding = (int)count_open(&c);
    return sqlite_call_end(&c);
}

static apr_status_t sqlite_revoke(store_t *store, const char *service, const char *challenge_id,
                                  store_result_e *result, apr_pool_t *p)
{
    sqlite_challenge_row_t row;
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    if (sqlite_get_challenge(&c, challenge_id, &row)) {
        db_query(c.db, SQL_CHALLENGE_REVOKE, "tti", service, challenge_id, c.now);
        *result = STORE_OK;
    }
    return sqlite_call_end(&c);
}

static apr_status_t sqlite_sweep(store_t *store, const char *service, int max, int *removed,
                                 apr_pool_t *p)
{
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    *removed = sqlite_remove_expired(&c, max);
    db_query(c.db, SQL_CHALLENGE_CLOSE, "tii", service, c.now, (apr_int64_t)max);
    db_query(c.db, SQL_HOST_SWEEP, "ti", service, c.now - HOST_MS);
    sqlite_remove_leftovers(&c, max);
    return sqlite_call_end(&c);
}

static apr_status_t sqlite_announce(store_t *store, const char *service, const store_host_t *self,
                                    apr_array_header_t **pothers, apr_pool_t *p)
{
    store_host_t *host;
    sqlite_call_t c;
    int more;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    db_query(c.db, SQL_HOST_PUT, "ttttti", service, self->host, self->secret, self->ca,
             self->templates, c.now);
    for (more = db_query(c.db, SQL_HOST_LIST, "tti", service, self->host, c.now - HOST_MS);
         more == 1; more = db_next(c.db, SQL_HOST_LIST)) {
        host = apr_palloc(p, sizeof(*host));
        host->host = db_text(c.db, SQL_HOST_LIST, 0, p);
        host->secret = db_text(c.db, SQL_HOST_LIST, 1, p);
        host->ca = db_text(c.db, SQL_HOST_LIST, 2, p);
        host->templates = db_text(c.db, SQL_HOST_LIST, 3, p);
        host->seen = sqlite_from_ms(db_integer(c.db, SQL_HOST_LIST, 4));
        APR_ARRAY_PUSH(*pothers, store_host_t *) = host;
    }
    return sqlite_call_end(&c);
}

static apr_status_t sqlite_health(store_t *store, const char *service, const char **text,
                                  apr_pool_t *p)
{
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv == APR_SUCCESS) {
        db_query(c.db, SQL_HEALTH, "i", c.now);
        rv = sqlite_call_end(&c);
    }
    if (rv != APR_SUCCESS)
        *text = store_error(p);
    return rv;
}

static apr_status_t sqlite_child_init(store_t *store, apr_pool_t *pchild)
{
    return db_pool_init(&((sqlite_store_t *)store)->pool, pchild);
}

static const char *sqlite_check(store_t *store, apr_pool_t *p)
{
    static const char magic[16] = "SQLite format 3";
    const char *file = ((sqlite_store_t *)store)->pool.file;
    char head[sizeof(magic)];
    ssize_t n;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? NULL
                   : apr_psprintf(p, "cannot read %s: %s", file, strerror(errno));
    n = read(fd, head, sizeof(head));
    close(fd);
    if (n == 0 || (n == (ssize_t)sizeof(head) && memcmp(head, magic, sizeof(head)) == 0))
        return NULL;
    return apr_psprintf(p, "%s is not an SQLite database", file);
}

/*
 * Error text if the server's user cannot write into the directory, where SQLite keeps its log
 * beside the file: found here, not by a 503 for each request.  Only root can start as another user.
 */
static const char *check_owner(const char *dir, uid_t uid, gid_t gid, apr_pool_t *p)
{
    struct stat info;
    mode_t needed;

    if (geteuid() != 0 || uid == 0 || stat(dir, &info) != 0)
        return NULL;
    needed = info.st_uid == uid   ? S_IWUSR | S_IXUSR
             : info.st_gid == gid ? S_IWGRP | S_IXGRP
                                  : S_IWOTH | S_IXOTH;
    if ((info.st_mode & needed) == needed)
        return NULL;
    return apr_psprintf(p,
                        "the server's user (uid %ld) cannot write into %s, which belongs to uid "
                        "%ld: chown it, or name another ScepStateDirectory",
                        (long)uid, dir, (long)info.st_uid);
}

static const char *sqlite_prepare(store_t *store, uid_t uid, gid_t gid, apr_pool_t *p)
{
    sqlite_store_t *self = (sqlite_store_t *)store;
    const char *slash = strrchr(self->pool.file, '/');
    const char *dir = apr_pstrmemdup(p, self->pool.file, slash - self->pool.file);
    const char *error = NULL;

    if (*dir)
        error = store_prepare_directory(dir, uid, gid, p);
    if (!error)
        error = check_owner(*dir ? dir : "/", uid, gid, p);
    if (!error)
        error = db_prepare(self->pool.file, self->pool.busy_timeout, uid, gid, p);
    return error;
}

static const char *sqlite_create(store_t **pstore, const store_config_t *cfg, apr_pool_t *p)
{
    sqlite_store_t *self = apr_pcalloc(p, sizeof(*self));
    const char *path = strchr(cfg->url, ':') + 1;

    if (!*path) {
        if (!cfg->state_directory || *cfg->state_directory != '/')
            return "sqlite: needs a state directory, or the path of a file (sqlite:/path)";
        path = apr_pstrcat(p, cfg->state_directory, "/scep.sqlite", NULL);
    }
    else if (*path != '/' || strncmp(path, "//", 2) == 0 || path[strlen(path) - 1] == '/')
        return apr_psprintf(p, "'%s' is not sqlite: or sqlite:/absolute/path", cfg->url);
    self->base.provider = &store_sqlite;
    self->base.display = apr_pstrcat(p, "sqlite:", path, NULL);
    self->cfg = cfg;
    self->pool.file = path;
    self->pool.busy_timeout = cfg->command_timeout > 0 ? cfg->command_timeout : BUSY_TIMEOUT;
    *pstore = &self->base;
    return NULL;
}

const store_provider_t store_sqlite = {.name = "sqlite",
                                       .create = sqlite_create,
                                       .check = sqlite_check,
                                       .prepare = sqlite_prepare,
                                       .child_init = sqlite_child_init,
                                       .issue = sqlite_issue,
                                       .claim = sqlite_claim,
                                       .count = sqlite_count,
                                       .commit = sqlite_commit,
                                       .fail = sqlite_fail,
                                       .pend = sqlite_pend,
                                       .poll = sqlite_poll,
                                       .find = sqlite_find,
                                       .find_certificate = sqlite_find_certificate,
                                       .list = sqlite_list,
                                       .decide = sqlite_decide,
                                       .inventory = sqlite_inventory,
                                       .records = sqlite_records,
                                       .take = sqlite_take,
                                       .settle = sqlite_settle,
                                       .outbox = sqlite_outbox,
                                       .lease = sqlite_lease,
                                       .revoke = sqlite_revoke,
                                       .revoke_certificate = sqlite_revoke_certificate,
                                       .find_revoked = sqlite_find_revoked,
                                       .list_revoked = sqlite_list_revoked,
                                       .get_crl = sqlite_get_crl,
                                       .put_crl = sqlite_put_crl,
                                       .sweep = sqlite_sweep,
                                       .announce = sqlite_announce,
                                       .health = sqlite_health};
