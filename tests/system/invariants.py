# SPDX-License-Identifier: Apache-2.0
"""What must hold after whatever happened: store, CA and clients held against each other.

A client's journal is a list of rows: txid, challenge, status ("0", "2" or "undecided"), leaf (SHA-256 of the
certificate, None).  A store's view is a list of rows: tx, txid, state, challenge (its id), leaf.
"""
import collections
import contextlib
import sqlite3

SUCCESS, FAILURE = "0", "2"


def of_sqlite(path):
    """The store's view of a file of SQLite."""
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True)) as db:
        entries = dict(db.execute("SELECT tx_key, digest FROM inventory"))
        rows = [dict(tx=tx, txid=txid, state=state, challenge=challenge, leaf=entries.get(tx)) for
                tx, txid, state, challenge in db.execute("SELECT tx_key, transaction_id, state, challenge FROM tx")]
    assert set(entries) <= {row["tx"] for row in rows}
    return rows


def _hashes(redis, pattern, *fields):
    """Of all keys of a pattern the key and its fields, by one command."""
    script = ("local out = {} for _, key in ipairs(redis.call('KEYS', ARGV[1])) do out[#out + 1] = key "
              "for i = 2, #ARGV do out[#out + 1] = redis.call('HGET', key, ARGV[i]) or '' end end "
              "out[#out + 1] = 'end' return out")
    words = redis.command("eval", script, "0", pattern, *fields).split("\n")
    assert words.pop() == "end" and len(words) % (1 + len(fields)) == 0, words[-3:]
    return [words[at:at + 1 + len(fields)] for at in range(0, len(words), 1 + len(fields))]


def of_redis(redis):
    """The store's view of Redis; redis has command(*words)."""
    entries = {tx: digest for _, tx, digest in _hashes(redis, "*:inv:*", "tx", "digest")}
    rows = []
    for key, state, txid, challenge in _hashes(redis, "*:tx:*", "state", "transaction_id", "challenge"):
        tx = key.rsplit(":", 1)[1]
        rows.append(dict(tx=tx, txid=txid, state=state, challenge=challenge, leaf=entries.get(tx)))
    return rows


def of_redis_at_once(redis):
    """The same of very many rows; redis has scan(pattern) and calls(commands)."""
    keys = redis.scan("*:inv:*:*")
    entries = dict(redis.calls([["HMGET", key, "tx", "digest"] for key in keys]))
    keys = redis.scan("*:tx:*")
    found = redis.calls([["HMGET", key, "state", "transaction_id", "challenge"] for key in keys])
    return [dict(tx=tx, txid=txid, state=state, challenge=challenge or "", leaf=entries.get(tx))
            for tx, (state, txid, challenge) in zip((key.rsplit(":", 1)[1] for key in keys), found)]


def check(clients, store, signed=None):
    """
    Fails with what is wrong; gives how many certificates the CA signed that nobody was given.

    clients: rows of all clients.  store: rows of the store.  signed: SHA-256 of all that the CA signed, None: unknown.
    """
    wrong = []

    undecided = [row["txid"] for row in clients if row["status"] not in (SUCCESS, FAILURE)]
    if undecided:
        wrong.append("neither a certificate nor a refusal: %s" % undecided[:5])

    given = collections.defaultdict(set)
    for row in clients:
        if row["status"] == SUCCESS and row["challenge"]:
            given[row["challenge"]].add(row["leaf"])
    twice = {challenge: leaves for challenge, leaves in given.items() if len(leaves) > 1}
    if twice:
        wrong.append("%d challenges with more than one certificate at the clients" % len(twice))

    used = collections.defaultdict(set)
    issued = {row["txid"]: row for row in store if row["state"] == "issued"}
    for row in issued.values():
        if row["challenge"]:
            used[row["challenge"]].add(row["tx"])
    twice = [txs for txs in used.values() if len(txs) > 1]
    if twice:
        wrong.append("%d challenges used by more than one transaction in the store" % len(twice))

    for row in clients:
        record = issued.get(row["txid"])
        if row["status"] == SUCCESS and (record is None or record["leaf"] != row["leaf"]):
            wrong.append("%s was given %s, the store has %s" % (row["txid"], row["leaf"], record))
        if row["status"] == FAILURE and record is not None:
            wrong.append("%s was refused, the store has %s" % (row["txid"], record))

    committed = {row["leaf"] for row in issued.values()}
    if signed is not None and not committed <= set(signed):
        wrong.append("in the store, but not signed by the CA: %s" % (committed - set(signed)))
    assert not wrong, "%d things are wrong:\n%s" % (len(wrong), "\n".join(wrong[:6]))
    return len(set(signed) - committed) if signed is not None else 0
