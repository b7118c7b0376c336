/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite store's statements: SQL(NAME, text), included with SQL defined.  Times are
 * milliseconds.
 *
 * A challenge is open while it counts for the cap: unused, not burned, not known to be expired;
 * triggers of the schema keep the number of open ones.  A transaction holds its challenge from
 * claim to commit or fail.  keep is when a row may be removed.
 * INDEXED BY stands where the planner would rather walk tx_keep, which is all of a service's rows.
 */
SQL(BEGIN_WRITE, "BEGIN IMMEDIATE")
SQL(BEGIN_READ, "BEGIN DEFERRED")
SQL(COMMIT, "COMMIT")
SQL(ROLLBACK, "ROLLBACK")

SQL(CHALLENGE_GET,
    "SELECT issued, expires, lifetime, uses, used, attempts, bad, caller, template, bound"
    " FROM challenge WHERE service=?1 AND id=?2 AND keep>?3")
SQL(CHALLENGE_INSERT,
    "INSERT INTO challenge(service, id, issued, expires, keep, lifetime, uses, used,"
    " attempts, bad, caller, template, bound, capped, open)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, 0, ?9, ?10, ?11, ?12, ?13)")
SQL(CHALLENGE_DROP, "DELETE FROM challenge WHERE service=?1 AND id=?2")
SQL(CHALLENGE_USE,
    "UPDATE challenge SET used=used+1, keep=max(keep, ?3),"
    " open=CASE WHEN uses>0 AND used+1>=uses THEN 0 ELSE open END WHERE service=?1 AND id=?2")
SQL(CHALLENGE_BLAME, "UPDATE challenge SET bad=bad+1, keep=max(keep, ?3),"
                     " open=CASE WHEN attempts>0 AND bad+1>=attempts THEN 0 ELSE open END"
                     " WHERE service=?1 AND id=?2")
SQL(CHALLENGE_KEEP, "UPDATE challenge SET keep=?3 WHERE service=?1 AND id=?2 AND keep<?3")
SQL(CHALLENGE_REVOKE,
    "UPDATE challenge SET expires=min(expires, ?3), open=0 WHERE service=?1 AND id=?2")
SQL(CHALLENGE_CLOSE,
    "UPDATE challenge SET open=0 WHERE rowid IN"
    " (SELECT rowid FROM challenge WHERE service=?1 AND open=1 AND expires<=?2 LIMIT ?3)")
SQL(CHALLENGE_COUNT, "SELECT open FROM open_count WHERE service=?1")
SQL(CHALLENGE_NEXT, "SELECT min(expires) FROM challenge WHERE service=?1 AND open=1")
SQL(CHALLENGE_CALLER,
    "SELECT count(*), min(expires) FROM (SELECT expires FROM challenge INDEXED BY challenge_caller"
    " WHERE service=?1 AND caller=?2 AND open=1 AND capped=1 AND expires>?3 ORDER BY expires"
    " LIMIT ?4)")
SQL(CHALLENGE_SWEEP,
    "DELETE FROM challenge WHERE rowid IN"
    " (SELECT rowid FROM challenge WHERE service=?1 AND keep<=?2 ORDER BY keep LIMIT ?3)")

#define TX_SELECT(certificate, request)                                                           \
    "SELECT tx_key, state, fence, serial, not_before, " certificate ", cookie, reason,"           \
    " transaction_id, subject, template, client, csr, challenge, created, updated, lease, nonce," \
    " next, poll_key, " request ", decision, decided_by, decision_text, pend_until, record," \
    " record_state FROM tx "
/* A transaction's claimed, greater than all of its poll key, which so points to it. */
#define TX_LATEST(now, poll_key)                                                  \
    "max(" now ", coalesce((SELECT max(other.claimed)+1 FROM tx AS other INDEXED" \
    " BY tx_poll WHERE other.service=?1 AND other.poll_key=" poll_key "), 0))"
#define TX_COLUMNS TX_SELECT("certificate", "request")
#define TX_BRIEF TX_SELECT("NULL", "NULL")

SQL(TX_GET, TX_COLUMNS "WHERE service=?1 AND tx_key=?2 AND keep>?3")
SQL(TX_POLL, TX_COLUMNS "INDEXED BY tx_poll WHERE service=?1 AND poll_key=?2 AND keep>?3 ORDER BY "
                        "claimed DESC, rowid DESC"
                        " LIMIT 1")
SQL(TX_SERIAL, TX_COLUMNS "INDEXED BY tx_serial WHERE service=?1 AND cert_serial=?2 AND"
                          " cert_serial<>'' AND state='issued' AND keep>?3 ORDER BY rowid DESC"
                          " LIMIT 1")
SQL(TX_WAITING, "SELECT count(*) FROM (SELECT 1 FROM tx INDEXED BY tx_waiting WHERE service=?1"
                " AND state='pending' AND keep>?2 LIMIT ?3)")
SQL(TX_OWNED, "SELECT count(*) FROM (SELECT 1 FROM tx INDEXED BY tx_owner WHERE service=?1 AND"
              " owner=?4 AND owner<>'' AND state='pending' AND keep>?2 LIMIT ?3)")
SQL(TX_LIST, TX_BRIEF "INDEXED BY tx_pending WHERE service=?1 AND state='pending' AND keep>?2 "
                      "ORDER BY created, rowid LIMIT ?3")
SQL(TX_INSERT,
    "INSERT OR REPLACE INTO tx(service, tx_key, poll_key, csr, challenge, holds, state, nonce,"
    " lease, fence, serial, not_before, transaction_id, subject, template, client, created,"
    " updated, claimed, keep)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, 'inflight', ?7, ?8, 1, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15,"
    " " TX_LATEST("?15", "?3") ", ?16)")
SQL(TX_AGAIN,
    "UPDATE tx SET serial=CASE WHEN state='failed' THEN ?14 ELSE serial END,"
    " not_before=CASE WHEN state='failed' THEN ?15 ELSE not_before END,"
    " poll_key=?3, challenge=?4, holds=?5, state='inflight', nonce=?6, lease=?7,"
    " fence=fence+1, transaction_id=?8, subject=?9, template=?10, client=?11, cookie='',"
    " reason='', updated=?12, claimed=" TX_LATEST("?12", "?3") ", keep=max(keep, ?13),"
    " request=NULL, decision='',"
    " decided_by='', decision_text='', pend_until=0 WHERE service=?1 AND tx_key=?2")
SQL(TX_POINT, "UPDATE tx SET claimed=" TX_LATEST("?4", "?3") " WHERE service=?1 AND tx_key=?2 AND"
              " poll_key=?3 AND rowid<>(SELECT rowid FROM tx INDEXED BY tx_poll WHERE service=?1"
              " AND poll_key=?3 ORDER BY claimed DESC, rowid DESC LIMIT 1)")
SQL(TX_ISSUED, "UPDATE tx SET state='issued', certificate=?3, lease=0, holds=0, cookie='', "
               "updated=?4, keep=?5,"
               " cert_serial=?6 WHERE service=?1 AND tx_key=?2")
SQL(TX_FAILED,
    "UPDATE tx SET state='failed', reason=?3, lease=0, holds=0, cookie='', updated=?4, keep=?5"
    " WHERE service=?1 AND tx_key=?2")
SQL(TX_PENDING, "UPDATE tx SET state='pending', cookie=?3, next=?4, lease=0, updated=?5, keep=?6,"
                " pend_until=?6, request=coalesce(?7, request),"
                " owner=CASE WHEN state='pending' THEN owner ELSE ?8 END"
                " WHERE service=?1 AND tx_key=?2")
SQL(TX_APPROVED, "UPDATE tx SET decision='approved', decided_by=?3, decision_text=?4, next=?5,"
                 " updated=?5, keep=max(keep, ?6), pend_until=max(pend_until, ?6)"
                 " WHERE service=?1 AND tx_key=?2")
SQL(TX_DENIED, "UPDATE tx SET state='failed', reason='denied', decision='denied', decided_by=?3,"
               " decision_text=?4, updated=?5, keep=?6, lease=0, holds=0, cookie='',"
               " fence=fence+1 WHERE service=?1 AND tx_key=?2")
SQL(TX_TAKE, "UPDATE tx SET nonce=?3, lease=?4, fence=fence+1, updated=?5, keep=max(keep, ?6)"
             " WHERE service=?1 AND tx_key=?2")
SQL(TX_EVICT, "UPDATE tx SET holds=0, lease=0, fence=fence+1 WHERE service=?1 AND tx_key=?2")
SQL(TX_HOLDERS,
    "SELECT tx_key, state, lease FROM tx INDEXED BY tx_holders WHERE service=?1 AND challenge=?2"
    " AND holds=1 AND tx_key<>?3 AND keep>?4 ORDER BY lease")
SQL(TX_SWEEP, "DELETE FROM tx WHERE rowid IN"
              " (SELECT rowid FROM tx WHERE service=?1 AND keep<=?2 ORDER BY keep LIMIT ?3)")

/* The records of a state, or of all. */
SQL(RECORD_LIST, TX_BRIEF "INDEXED BY tx_record_state WHERE service=?1 AND record<>'' AND keep>?2"
                          " AND record_state=?4 ORDER BY recorded DESC, rowid DESC LIMIT ?3")
SQL(RECORD_ALL, TX_BRIEF "INDEXED BY tx_record WHERE service=?1 AND record<>'' AND keep>?2"
                         " ORDER BY recorded DESC, rowid DESC LIMIT ?3")
SQL(RECORD_PUT, "UPDATE tx SET record=?3, news_lost=0 WHERE service=?1 AND tx_key=?2")
SQL(RECORD_LOST, "UPDATE tx SET news_lost=1 WHERE service=?1 AND tx_key=?2")
SQL(RECORD_STATE,
    "UPDATE tx SET record_state=CASE WHEN EXISTS(SELECT 1 FROM news INDEXED BY news_tx WHERE"
    " news.service=?1 AND news.tx_key=?2) THEN 'processing' WHEN news_lost THEN 'failed'"
    " ELSE 'succeed' END, recorded=?3, updated=?3"
    " WHERE service=?1 AND tx_key=?2 AND record<>''")

SQL(NEWS_INSERT,
    "INSERT OR IGNORE INTO news(service, id, tx_key, recipient, payload, created, ends, ready,"
    " fence, tries) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, 0, 0)")
SQL(NEWS_DUE, "SELECT id, recipient, payload, tx_key, fence, tries, created, ends FROM news"
              " INDEXED BY news_ready WHERE service=?1 AND ready<=?2 AND NOT EXISTS"
              " (SELECT 1 FROM news o INDEXED BY news_tx WHERE o.service=?1 AND"
              " o.tx_key=news.tx_key AND o.recipient=news.recipient AND o.created<news.created)"
              " ORDER BY ready, rowid LIMIT ?3")
SQL(NEWS_HOLD, "UPDATE news SET fence=fence+1, tries=tries+1, ready=?3 WHERE service=?1 AND id=?2")
SQL(NEWS_GET, "SELECT tx_key, fence, ends FROM news WHERE service=?1 AND id=?2")
SQL(NEWS_AGAIN, "UPDATE news SET ready=?3 WHERE service=?1 AND id=?2")
SQL(NEWS_UNTRIED, "UPDATE news SET ready=?3, fence=fence+1, tries=max(tries-1, 0)"
                  " WHERE service=?1 AND id=?2")
SQL(NEWS_DELETE, "DELETE FROM news WHERE service=?1 AND id=?2")
SQL(NEWS_COUNT, "SELECT count(*), coalesce(min(created), 0) FROM news INDEXED BY news_created"
                " WHERE service=?1")
SQL(NEWS_SWEEP, "DELETE FROM news WHERE rowid IN"
                " (SELECT rowid FROM news WHERE ends<=?1 ORDER BY ends LIMIT ?2)")

SQL(LEASE_OTHER, "SELECT 1 FROM lease WHERE service=?1 AND name=?2 AND holder<>?3 AND ends>?4")
SQL(LEASE_PUT, "INSERT OR REPLACE INTO lease(service, name, holder, ends) VALUES(?1, ?2, ?3, ?4)")
SQL(LEASE_DELETE, "DELETE FROM lease WHERE service=?1 AND name=?2")
SQL(LEASE_SWEEP, "DELETE FROM lease WHERE ends<=?1")

SQL(COUNTER_GET,
    "SELECT count, ends FROM counter WHERE service=?1 AND name=?2 AND ends>?3 AND count>=?4")
SQL(COUNTER_ADD,
    "INSERT INTO counter(service, name, count, ends) VALUES(?1, ?2, 1, ?4)"
    " ON CONFLICT(service, name) DO UPDATE SET count=CASE WHEN ends>?3 THEN count+1 ELSE 1 END,"
    " ends=CASE WHEN ends>?3 THEN ends ELSE ?4 END")
SQL(COUNTER_SWEEP,
    "DELETE FROM counter WHERE rowid IN"
    " (SELECT rowid FROM counter WHERE service=?1 AND ends<=?2 ORDER BY ends LIMIT ?3)")

SQL(HOST_PUT, "INSERT OR REPLACE INTO host(service, host, secret, ca, templates, seen)"
              " VALUES(?1, ?2, ?3, ?4, ?5, ?6)")
SQL(HOST_LIST,
    "SELECT host, secret, ca, templates, seen FROM host WHERE service=?1 AND host<>?2 AND seen>?3"
    " ORDER BY host")
SQL(HOST_SWEEP, "DELETE FROM host WHERE service=?1 AND seen<=?2")
SQL(HEALTH, "INSERT OR REPLACE INTO health(id, seen) VALUES(1, ?1)")

/* Revoked certificates; crl has one row for each service that ever revoked or made a list. */
SQL(REVOKED_SWEEP, "DELETE FROM revoked WHERE service=?1 AND serial IN (SELECT serial FROM revoked"
                   " INDEXED BY revoked_keep WHERE service=?1 AND keep<=?2 ORDER BY keep LIMIT ?3)")
SQL(REVOKED_INSERT, "INSERT OR IGNORE INTO revoked VALUES(?1, ?2, ?3, ?4, ?5)")
SQL(REVOKED_GET, "SELECT reason, revoked, keep FROM revoked WHERE service=?1 AND serial=?2")
SQL(REVOKED_LIST, "SELECT serial, reason, revoked, keep FROM revoked INDEXED BY revoked_keep"
                  " WHERE service=?1 AND keep>?2 ORDER BY keep, serial")
SQL(CRL_CHANGED, "INSERT INTO crl VALUES(?1, 1, 0, 0, NULL)"
                 " ON CONFLICT(service) DO UPDATE SET changes=changes+1")
SQL(CRL_GET, "SELECT changes, number, made_of, CASE WHEN number=?2 THEN NULL ELSE der END FROM crl"
             " WHERE service=?1")
SQL(CRL_MAKE, "INSERT OR IGNORE INTO crl VALUES(?1, 0, 0, 0, NULL)")
SQL(CRL_PUT, "UPDATE crl SET number=?3, made_of=?4, der=?5 WHERE service=?1 AND number=?2")

/* The inventory. */
#define ENTRY_SELECT                                                                               \
    "SELECT issuer, serial, digest, subject, template, tx_key, transaction_id, not_after, created" \
    " FROM inventory INDEXED BY "
SQL(ENTRY_GET, "SELECT tx_key, digest, created FROM inventory INDEXED BY inventory_serial"
               " WHERE service=?1 AND issuer=?2 AND serial=?3 AND keep>?4")
SQL(ENTRY_PUT, "INSERT OR REPLACE INTO inventory VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
               " ?11)")
SQL(ENTRY_SERIAL, ENTRY_SELECT "inventory_serial WHERE service=?1 AND keep>?2 AND issuer=?3"
                               " AND serial=?4")
SQL(ENTRY_TID, ENTRY_SELECT "inventory_tid WHERE service=?1 AND keep>?2 AND transaction_id=?3"
                            " ORDER BY created DESC, rowid DESC LIMIT 1")
SQL(ENTRY_OLDEST, ENTRY_SELECT
    "inventory_place WHERE service=?1 AND keep>?2 AND (created, issuer, serial)>(?3, ?4, ?5)"
    " ORDER BY created, issuer, serial LIMIT ?6")
SQL(ENTRY_NEWEST, ENTRY_SELECT
    "inventory_place WHERE service=?1 AND keep>?2 AND (created, issuer, serial)<(?3, ?4, ?5)"
    " ORDER BY created DESC, issuer DESC, serial DESC LIMIT ?6")
SQL(ENTRY_SWEEP,
    "DELETE FROM inventory WHERE rowid IN"
    " (SELECT rowid FROM inventory WHERE service=?1 AND keep<=?2 ORDER BY keep LIMIT ?3)")
