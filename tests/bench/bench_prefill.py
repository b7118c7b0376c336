# SPDX-License-Identifier: Apache-2.0
"""Fills a store in bulk with copies of what the module itself left there after an enrollment.

Before it the module must have issued one challenge that is outstanding and one certificate.  Each copy has ids of its
own; all else, text and certificate included, is the sample's, so that a column or a field that is new is there as well.
A kind of key that is unknown here ends the run.
"""
import sqlite3
import time

from bench_server import Failure, SERVICE

PREFIX = "{scep:%s}:" % SERVICE
STEP = 2000

# An id is eight digits that spread evenly over all ids, and the number of the copy.  Each kind has a factor, the
# fraction of a root times 2^29: below that Lua's numbers hold the product; one near a power of two would make clusters,
# and then new ids find their pages in the cache.
FACTORS = {"tx": 222379213, "poll": 393016785, "csr": 126738031, "challenge": 346685095,
           "nonce": 169986639, "serial": 325102865, "digest": 66091829, "tid": 192682403,
           "open": 427258795}


def _id(kind, length):
    """SQL: the id of copy i."""
    return "printf('%%08x%%0%dx', (i*%d)&4294967295, i)" % (length - 8, FACTORS[kind])


_PAST, _FUTURE = "{column}-i/16", "{column}+i/16"
_COPIES = {
    "challenge": {"id": _id("challenge", 64), "issued": _PAST, "expires": _FUTURE, "keep": _FUTURE},
    "tx": {"tx_key": _id("tx", 64), "poll_key": _id("poll", 64), "csr": _id("csr", 64),
           "challenge": _id("challenge", 64), "nonce": _id("nonce", 32), "serial": _id("serial", 32),
           "cert_serial": _id("serial", 32), "transaction_id": "upper(" + _id("tid", 40) + ")", "created": _PAST,
           "updated": _PAST, "claimed": _PAST, "recorded": _PAST, "keep": _FUTURE},
    "inventory": {"tx_key": _id("tx", 64), "serial": _id("serial", 32), "digest": _id("digest", 64),
                  "transaction_id": "upper(" + _id("tid", 40) + ")", "created": _PAST, "keep": _FUTURE}}
_OPEN = dict(_COPIES["challenge"], id=_id("open", 64))


def _copy(db, table, count, where, columns):
    """Inserts the copies of the row that where finds."""
    if db.execute("SELECT count(*) FROM (SELECT 1 FROM %s WHERE %s LIMIT 1)" % (table, where)).fetchone()[0] != 1:
        raise Failure("the store has no row of %s to copy" % table)
    # a table of its own: SQLite first writes all that it is to insert where it reads from the same one
    db.execute("DROP TABLE IF EXISTS temp.sample")
    db.execute("CREATE TEMP TABLE sample AS SELECT * FROM %s WHERE %s LIMIT 1" % (table, where))
    names = [row[1] for row in db.execute("PRAGMA table_info(%s)" % table)]
    values = [columns.get(name, "{column}").format(column="s." + name) for name in names]
    db.execute("INSERT INTO %s(%s) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<?1) "
               "SELECT %s FROM sample s, n" % (table, ", ".join(names), ", ".join(values)), (count,))


def _unindexed(db, work):
    """Does work on the tables without indices and triggers, and makes these again: to sort is faster than to seek."""
    made = db.execute("SELECT type, name, sql FROM sqlite_master WHERE tbl_name IN ('challenge', 'tx', 'inventory') "
                      "AND type IN ('index', 'trigger') AND sql IS NOT NULL").fetchall()
    for kind, name, _ in made:
        db.execute("DROP %s %s" % (kind, name))
    work()
    for _, _, sql in made:
        db.execute(sql)


def fill_sqlite(path, challenges, transactions):
    """Seconds and bytes for each of the two.  httpd must not run."""
    filled = []
    # a path, not a URI: the file must be there with the store's schema
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=DELETE", "locking_mode=EXCLUSIVE", "journal_mode=OFF", "synchronous=OFF",
                   "cache_size=-1000000", "temp_store=FILE"):
        db.execute("PRAGMA " + pragma).fetchall()

    def size():
        return db.execute("PRAGMA page_count").fetchone()[0] * db.execute("PRAGMA page_size").fetchone()[0]

    # what a transaction leaves: itself, its used challenge, its entry in the inventory
    for count, copies in ((challenges, (("challenge", "open=1", _OPEN),)), (transactions, (
            ("challenge", "used=1", _COPIES["challenge"]), ("tx", "state='issued'", _COPIES["tx"]),
            ("inventory", "1", _COPIES["inventory"])))):
        start, before = time.monotonic(), size()
        if count:
            _unindexed(db, lambda c=count, what=copies: [_copy(db, t, c, where, columns) for t, where, columns in what])
        filled.append((time.monotonic() - start, size() - before))
    db.execute("UPDATE open_count SET open=(SELECT count(*) FROM challenge WHERE open=1 AND "
               "challenge.service=open_count.service)")
    for pragma in ("journal_mode=DELETE", "locking_mode=NORMAL", "journal_mode=WAL"):
        db.execute("PRAGMA " + pragma).fetchall()
    db.close()
    return filled


# ARGV: prefix, first, last, sample of a challenge, sample of a transaction, and name and factor of each kind of id
_LUA = """
local P, first, last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local factor = {}
for i = 6, #ARGV, 2 do factor[ARGV[i]] = tonumber(ARGV[i + 1]) end
local function id(kind, length, i)
    return string.format('%08x%0' .. (length - 8) .. 'd', (i * factor[kind]) % 4294967296, i)
end
-- A copier of that hash, of its member's place in a set, of a pointer to it.
local function hash(key)
    local fields, left = redis.call('HGETALL', key), redis.call('PTTL', key)
    return function(to, own)
        local copy = {}
        for j = 1, #fields, 2 do
            copy[j] = fields[j]
            copy[j + 1] = own[fields[j]] or fields[j + 1]
        end
        redis.call('HSET', to, unpack(copy))
        redis.call('PEXPIRE', to, left)
    end
end
local function member(set, sample)
    local score = redis.call('ZSCORE', set, sample)
    return function(to) redis.call('ZADD', set, score, to) end
end
local function pointer(key)
    local left = redis.call('PTTL', key)
    return function(to, value) redis.call('SET', to, value, 'PX', left) end
end
if ARGV[4] ~= '' then
    local ch, idx = hash(P .. 'ch:' .. ARGV[4]), member(P .. 'idx', ARGV[4])
    for i = first, last do
        local key = id('open', 64, i)
        ch(P .. 'ch:' .. key, {})
        idx(key)
    end
    return 'OK'
end
local tx = ARGV[5]
local sample = redis.call('HMGET', P .. 'tx:' .. tx, 'challenge', 'poll', 'issued_serial', 'transaction_id')
local place = redis.call('GET', P .. 'invtid:' .. sample[4])
local made, issuer = string.match(place, '^(%d+):(%x+):')
local to_ch, to_tx = hash(P .. 'ch:' .. sample[1]), hash(P .. 'tx:' .. tx)
local to_inv, to_tid = hash(P .. 'inv:' .. string.sub(place, 17)), pointer(P .. 'invtid:' .. sample[4])
local to_poll, to_sn = pointer(P .. 'poll:' .. sample[2]), pointer(P .. 'sn:' .. sample[3])
local to_rec, to_state = member(P .. 'rec:', tx), member(P .. 'rec:succeed', tx)
local to_recx = member(P .. 'recx', tx)
for i = first, last do
    local key, poll, ch = id('tx', 64, i), id('poll', 64, i), id('challenge', 64, i)
    local serial, tid = id('serial', 32, i), string.upper(id('tid', 40, i))
    local created = string.format('%.0f', tonumber(made) - math.floor(i / 16))
    local name = issuer .. ':' .. serial
    local here = string.rep('0', 15 - #created) .. created .. ':' .. name
    to_ch(P .. 'ch:' .. ch, {})
    to_tx(P .. 'tx:' .. key, {poll = poll, csr = id('csr', 64, i), challenge = ch, nonce = id('nonce', 32, i),
          serial = serial, issued_serial = serial, transaction_id = tid})
    to_inv(P .. 'inv:' .. name, {tx = key, digest = id('digest', 64, i), created = created, transaction_id = tid})
    redis.call('ZADD', P .. 'inv', '0', here)
    to_tid(P .. 'invtid:' .. tid, here)
    to_poll(P .. 'poll:' .. poll, key)
    to_sn(P .. 'sn:' .. serial, key)
    to_rec(key)
    to_state(key)
    to_recx(key)
end
return 'OK'
"""
_KINDS = {"ch", "hosts", "idx", "inv", "invtid", "poll", "rec", "recx", "sn", "tx", "lease"}


def _samples(redis):
    """An outstanding challenge, and an issued transaction."""
    unknown = {key[len(PREFIX):].split(":")[0] for key in redis.call("KEYS", PREFIX + "*")} - _KINDS
    if unknown:
        raise Failure("the store has keys that are not filled: " + ", ".join(sorted(unknown)))
    found = [(redis.call("ZRANGE", PREFIX + name, 0, 0) or [""])[0] for name in ("idx", "rec:succeed")]
    if not all(found):
        raise Failure("the store has nothing to copy")
    return found


def fill_redis(redis, challenges, transactions):
    """Seconds and bytes for each of the two; redis is a node.  Before the append-only file is switched on."""
    challenge, tx = _samples(redis)
    factors = [word for item in FACTORS.items() for word in item]
    filled = []
    for what, count in (((challenge, ""), challenges), (("", tx), transactions)):
        start, before = time.monotonic(), int(redis.info("used_memory"))
        for first in range(1, count + 1, STEP):
            redis.call("EVAL", _LUA, 0, PREFIX, first, min(count, first + STEP - 1), *what, *factors)
        filled.append((time.monotonic() - start, int(redis.info("used_memory")) - before))
    return filled
