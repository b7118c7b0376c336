-- SPDX-License-Identifier: Apache-2.0
-- decide: prefix, tx_key, decision (approved or denied), by, text, retention, cookie, trail (of a
--         denial); gives result
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local function keep(key, ms)
    if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, n(ms)) end
end
-- include trail.lua
local key, id, decision = P .. 'tx:' .. ARGV[2], ARGV[2], ARGV[3]
local tx = redis.call('HMGET', key, 'state', 'decision', 'lease', 'challenge', 'poll', 'until',
                      'cookie', 'owner')
local state, before, ch = tx[1], tx[2] or '', tx[4]
local waiting = P .. 'wait:' .. (tx[8] or '')
if not state then return {'NOTFOUND'} end
if before == decision and (decision == 'denied' or state ~= 'failed') then return {'OK'} end
if state ~= 'pending' or before ~= '' or (tx[7] or '') ~= ARGV[7] then return {'CONFLICT'} end
if tonumber(tx[3]) > now then return {'BUSY'} end
local life, ends = tonumber(ARGV[6]), tonumber(tx[6] or '0')
if ends > 0 and ends <= now then return {'NOTFOUND'} end
local ckey, hold = P .. 'ch:' .. ch, P .. 'hold:' .. ch
local known = ch ~= '' and redis.call('EXISTS', ckey) == 1
redis.call('HSET', key, 'decision', decision, 'decided_by', ARGV[4], 'text', ARGV[5],
           'updated', n(now))
if decision == 'approved' then
    ends = math.max(ends, now + life)
    redis.call('HSET', key, 'next', n(now), 'until', n(ends))
    keep(key, life)
    keep(P .. 'poll:' .. tx[5], life)
    redis.call('ZADD', P .. 'pendx', n(ends), id)
    if redis.call('ZSCORE', waiting, id) then
        redis.call('ZADD', waiting, n(ends), id)
        keep(waiting, life)
    end
    if known and redis.call('ZSCORE', hold, id) then
        keep(ckey, life)
        redis.call('ZADD', hold, n(ends), id)
        redis.call('PEXPIRE', hold, redis.call('PTTL', ckey))
    end
    return {'OK'}
end
redis.call('HINCRBY', key, 'fence', 1)
redis.call('HSET', key, 'state', 'failed', 'reason', 'denied', 'lease', '0', 'cookie', '')
redis.call('PEXPIRE', key, n(life))
redis.call('PEXPIRE', P .. 'poll:' .. tx[5], n(life))
redis.call('ZREM', P .. 'pend', id)
redis.call('ZREM', P .. 'pendx', id)
redis.call('ZREM', waiting, id)
if known then
    redis.call('ZREM', hold, id)
    local bad = redis.call('HINCRBY', ckey, 'bad', 1)
    local attempts = tonumber(redis.call('HGET', ckey, 'attempts'))
    if attempts > 0 and bad >= attempts then
        redis.call('ZREM', KEYS[1], ch)
        redis.call('ZREM', P .. 'own:' .. (redis.call('HGET', ckey, 'caller') or ''), ch)
    end
    keep(ckey, life)
end
trail(id, 8)
return {'OK'}
