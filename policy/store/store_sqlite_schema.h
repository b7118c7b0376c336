/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite store's tables, as the steps from each version to the next: an empty file takes all,
 * an older file the ones that it lacks.  A step is never changed, a new one is added.
 */
#ifndef STORE_SQLITE_SCHEMA_H
#define STORE_SQLITE_SCHEMA_H

static const char *const schema_steps[] = {
    /* 1 */
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
    "PRAGMA user_version=1;",
    /* 2: decisions about waiting transactions, certificates by serial number, counters */
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
    /* 3: the cap of a caller's challenges */
    "ALTER TABLE challenge ADD COLUMN capped INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX challenge_caller ON challenge(service, caller, expires)"
    " WHERE open=1 AND capped=1;"
    "PRAGMA user_version=3;",
    /* 4: on whose account a transaction waits */
    "ALTER TABLE tx ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX tx_owner ON tx(service, owner, keep) WHERE state='pending' AND owner<>'';"
    "PRAGMA user_version=4;",
    /* 5: records of transactions, news about them, work that one host does */
    "ALTER TABLE tx ADD COLUMN record TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE tx ADD COLUMN record_state TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE tx ADD COLUMN recorded INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE tx ADD COLUMN news_lost INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX tx_record ON tx(service, recorded) WHERE record<>'';"
    "CREATE INDEX tx_record_state ON tx(service, record_state, recorded) WHERE record<>'';"
    "CREATE TABLE news(service TEXT NOT NULL, id TEXT NOT NULL, tx_key TEXT NOT NULL,"
    " recipient TEXT NOT NULL, payload BLOB NOT NULL, created INTEGER NOT NULL,"
    " ends INTEGER NOT NULL, ready INTEGER NOT NULL, fence INTEGER NOT NULL,"
    " tries INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX news_id ON news(service, id);"
    "CREATE INDEX news_ready ON news(service, ready);"
    "CREATE INDEX news_created ON news(service, created);"
    "CREATE INDEX news_tx ON news(service, tx_key);"
    "CREATE INDEX news_ends ON news(ends);"
    "CREATE TABLE lease(service TEXT NOT NULL, name TEXT NOT NULL, holder TEXT NOT NULL,"
    " ends INTEGER NOT NULL, PRIMARY KEY(service, name)) WITHOUT ROWID;"
    "PRAGMA user_version=5;",
    /* 6: revoked certificates, and the list that tells of them */
    "CREATE TABLE revoked(service TEXT NOT NULL, serial TEXT NOT NULL, reason INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL, keep INTEGER NOT NULL, PRIMARY KEY(service, serial))"
    " WITHOUT ROWID;"
    "CREATE INDEX revoked_keep ON revoked(service, keep);"
    "CREATE TABLE crl(service TEXT PRIMARY KEY, changes INTEGER NOT NULL, number INTEGER NOT NULL,"
    " made_of INTEGER NOT NULL, der BLOB) WITHOUT ROWID;"
    "PRAGMA user_version=6;",
    /* 7: the inventory of certificates */
    "CREATE TABLE inventory(service TEXT NOT NULL, issuer TEXT NOT NULL, serial TEXT NOT NULL,"
    " tx_key TEXT NOT NULL, digest TEXT NOT NULL, subject BLOB, template TEXT NOT NULL,"
    " transaction_id TEXT NOT NULL, not_after INTEGER NOT NULL, created INTEGER NOT NULL,"
    " keep INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX inventory_serial ON inventory(service, issuer, serial);"
    "CREATE INDEX inventory_place ON inventory(service, created, issuer, serial);"
    "CREATE INDEX inventory_tid ON inventory(service, transaction_id, created);"
    "CREATE INDEX inventory_keep ON inventory(service, keep);"
    "PRAGMA user_version=7;"};

#define SCHEMA_VERSION ((int)(sizeof(schema_steps) / sizeof(schema_steps[0])))

#endif /* STORE_SQLITE_SCHEMA_H */
