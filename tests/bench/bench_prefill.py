# SPDX-License-Identifier: Apache-2.0
"""Fills a store with challenges and transactions as the module would have left them, in bulk.

The rows and keys have the shape that policy/store/store_sqlite_db.c and policy/store/*.lua give them; ids are
random.  A transaction has a certificate of 1100 bytes.  Half of the transactions used a challenge that is still
known.
"""
import sqlite3
import time

from bench_server import SERVICE

CERTIFICATE = 1100
DAY = 86400000

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<?1) "
_HEX = "lower(hex(randomblob(32)))"
_CHALLENGES = _NUMBERS + """
INSERT INTO challenge(service, id, issued, expires, keep, lifetime, uses, used, attempts, bad, caller,
                      template, bound, open)
SELECT ?2, """ + _HEX + """, ?3-i/100, ?3-i/100+?4, ?3-i/100+?4+86400000, ?4, 1, 0, 3, 0, 'mdm', '', '', 1 FROM n"""
_TRANSACTIONS = _NUMBERS + """
INSERT INTO tx(service, tx_key, poll_key, csr, challenge, holds, state, nonce, lease, fence, serial, not_before,
               certificate, transaction_id, subject, template, client, created, updated, claimed, keep)
SELECT ?2, """ + ", ".join([_HEX] * 4) + """, 0, 'issued', lower(hex(randomblob(16))), 0, 1,
       lower(hex(randomblob(16))), ?3, randomblob(?5), upper(hex(randomblob(20))),
       'O=Load, CN=device-'||i||'.filled.example', 'default', '127.0.0.1', ?3-i/100, ?3-i/100, ?3-i/100,
       ?3+?4+i/100 FROM n"""

# ARGV: prefix, what, count, now, lifetime, length of a certificate, seed
_LUA = """
local P, count, now = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local life, size, seed = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local function n(x) return string.format('%.0f', x) end
local function hex(what, i)
    local h = redis.sha1hex(seed .. what .. i)
    return h .. string.sub(redis.sha1hex(h), 1, 24)
end
for i = 1, count do
    if ARGV[2] == 'challenge' then
        local id = hex('c', i)
        redis.call('HSET', P .. 'ch:' .. id, 'issued', n(now), 'expires', n(now + life), 'lifetime', n(life),
                   'uses', '1', 'attempts', '3', 'caller', 'mdm', 'template', '', 'bound', '', 'used', '0',
                   'bad', '0')
        redis.call('PEXPIRE', P .. 'ch:' .. id, n(life + 86400000))
        redis.call('ZADD', P .. 'idx', n(now + life), id)
    else
        local key, poll = hex('t', i), hex('p', i)
        local cert = string.sub(string.rep(key, math.ceil(size / 64)), 1, size)
        redis.call('HSET', P .. 'tx:' .. key, 'fence', '1', 'csr', hex('r', i), 'serial', string.sub(key, 1, 32),
                   'not_before', n(now), 'created', n(now), 'next', '0', 'state', 'issued', 'poll', poll,
                   'challenge', hex('u', i), 'nonce', string.sub(poll, 1, 32), 'lease', '0', 'transaction_id',
                   string.sub(poll, 1, 40), 'subject', 'O=Load, CN=device-' .. i .. '.filled.example',
                   'template', 'default', 'client', '127.0.0.1', 'cookie', '', 'reason', '', 'updated', n(now),
                   'certificate', cert)
        redis.call('PEXPIRE', P .. 'tx:' .. key, n(life))
        redis.call('SET', P .. 'poll:' .. poll, key, 'PX', n(life))
    end
end
return 'OK'
"""


def fill_sqlite(path, challenges, transactions):
    """Seconds for each of the two.  httpd must not run."""
    now = int(time.time() * 1000)
    took = []
    # a path, not a URI: the file must be there with the store's schema
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA cache_size=-1000000")
    for sql, count, life, more in ((_CHALLENGES, challenges, 7 * DAY, ()),
                                   (_TRANSACTIONS, transactions, 7 * DAY, (CERTIFICATE,))):
        start = time.monotonic()
        if count:
            db.execute("BEGIN IMMEDIATE")
            db.execute(sql, (count, SERVICE, now, life) + more)
            db.execute("COMMIT")
        took.append(time.monotonic() - start)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return took


def fill_redis(redis, challenges, transactions):
    """Seconds for each of the two.  Before the append-only file is switched on."""
    took = []
    for what, count in (("challenge", challenges), ("transaction", transactions)):
        start = time.monotonic()
        done = 0
        while done < count:
            step = min(2000, count - done)
            redis.call("EVAL", _LUA, 0, "{scep:%s}:" % SERVICE, what, step, int(time.time() * 1000), 7 * DAY,
                       CERTIFICATE, "%s-%d-" % (what, done))
            done += step
        took.append(time.monotonic() - start)
    return took
