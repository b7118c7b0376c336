/* SPDX-License-Identifier: Apache-2.0 */
/* Revoked certificates and the list that tells of them, in the SQLite store. */
#include "store_sqlite.h"

#define REMOVE_ON_REVOKE 50

apr_status_t sqlite_revoke_certificate(store_t *store, const char *service,
                                       const store_revoked_t *what, store_result_e *result,
                                       apr_pool_t *p)
{
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    db_query(c.db, SQL_REVOKED_SWEEP, "tii", service, c.now, (apr_int64_t)REMOVE_ON_REVOKE);
    *result = STORE_EXISTS;
    if (db_query(c.db, SQL_REVOKED_INSERT, "ttiii", service, what->serial,
                 (apr_int64_t)what->reason, c.now,
                 (apr_int64_t)apr_time_as_msec(what->until)) == 0 &&
        db_changes(c.db) > 0) {
        db_query(c.db, SQL_CRL_CHANGED, "t", service);
        *result = STORE_OK;
    }
    return sqlite_call_end(&c);
}

apr_status_t sqlite_find_revoked(store_t *store, const char *service, const char *serial,
                                 store_result_e *result, store_revoked_t *revoked, apr_pool_t *p)
{
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 0, p);

    if (rv != APR_SUCCESS)
        return rv;
    if (db_query(c.db, SQL_REVOKED_GET, "tt", service, serial) == 1) {
        revoked->serial = serial;
        revoked->reason = (int)db_integer(c.db, SQL_REVOKED_GET, 0);
        revoked->when = sqlite_from_ms(db_integer(c.db, SQL_REVOKED_GET, 1));
        revoked->until = sqlite_from_ms(db_integer(c.db, SQL_REVOKED_GET, 2));
        db_reset(c.db, SQL_REVOKED_GET);
        *result = STORE_OK;
    }
    return sqlite_call_end(&c);
}

apr_status_t sqlite_list_revoked(store_t *store, const char *service, apr_array_header_t **plist,
                                 apr_pool_t *p)
{
    store_revoked_t *revoked;
    sqlite_call_t c;
    int more;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 0, p);

    if (rv != APR_SUCCESS)
        return rv;
    for (more = db_query(c.db, SQL_REVOKED_LIST, "ti", service, c.now); more == 1;
         more = db_next(c.db, SQL_REVOKED_LIST)) {
        revoked = apr_array_push(*plist);
        revoked->serial = db_text(c.db, SQL_REVOKED_LIST, 0, p);
        revoked->reason = (int)db_integer(c.db, SQL_REVOKED_LIST, 1);
        revoked->when = sqlite_from_ms(db_integer(c.db, SQL_REVOKED_LIST, 2));
        revoked->until = sqlite_from_ms(db_integer(c.db, SQL_REVOKED_LIST, 3));
    }
    return sqlite_call_end(&c);
}

apr_status_t sqlite_get_crl(store_t *store, const char *service, apr_int64_t have,
                            store_crl_t *crl, apr_pool_t *p)
{
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 0, p);

    if (rv != APR_SUCCESS)
        return rv;
    if (db_query(c.db, SQL_CRL_GET, "ti", service, have) == 1) {
        crl->changes = db_integer(c.db, SQL_CRL_GET, 0);
        crl->number = db_integer(c.db, SQL_CRL_GET, 1);
        crl->made_of = db_integer(c.db, SQL_CRL_GET, 2);
        crl->der = db_blob(c.db, SQL_CRL_GET, 3, p);
        db_reset(c.db, SQL_CRL_GET);
    }
    return sqlite_call_end(&c);
}

apr_status_t sqlite_put_crl(store_t *store, const char *service, apr_int64_t replaces,
                            const store_crl_t *crl, store_result_e *result, apr_pool_t *p)
{
    sqlite_call_t c;
    apr_status_t rv = sqlite_call_begin(&c, store, service, 1, p);

    if (rv != APR_SUCCESS)
        return rv;
    db_query(c.db, SQL_CRL_MAKE, "t", service);
    if (db_query(c.db, SQL_CRL_PUT, "tiiib", service, replaces, crl->number, crl->made_of,
                 (const void *)crl->der.data, (int)crl->der.len) == 0 &&
        db_changes(c.db) > 0)
        *result = STORE_OK;
    return sqlite_call_end(&c);
}
