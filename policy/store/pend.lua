-- SPDX-License-Identifier: Apache-2.0
-- pend: prefix, tx_key, fence, cookie, wait, retention, max, request (1: given), request, owner,
--       the owner's max, trail
-- gives result
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local function keep(key, ms)
    if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, n(ms)) end
end
-- include trail.lua
local key, id = P .. 'tx:' .. ARGV[2], ARGV[2]
local tx = redis.call('HMGET', key, 'state', 'fence', 'challenge', 'poll', 'until', 'owner',
                      'lease')
local state, ch = tx[1], tx[3]
if not state or tx[2] ~= ARGV[3] then return {'FENCED'} end
if state ~= 'inflight' and state ~= 'pending' then return {'FENCED'} end
local max = tonumber(ARGV[7])
if max > 0 and state ~= 'pending'
    and redis.call('ZCOUNT', P .. 'pendx', '(' .. n(now), '+inf') >= max then
    return {'FULL'}
end
-- The first one fixes the owner and the end.
local owner = tx[6] or ''
if state ~= 'pending' then
    owner = ARGV[10]
    local own_max, waiting = tonumber(ARGV[11]), P .. 'wait:' .. owner
    if owner ~= '' and own_max > 0 then
        local dead = redis.call('ZRANGEBYSCORE', waiting, '-inf', n(now), 'LIMIT', 0, 1000)
        if #dead > 0 then redis.call('ZREM', waiting, unpack(dead)) end
        if redis.call('ZCARD', waiting) >= own_max then return {'OWNERFULL'} end
    end
end
local ends = tonumber(tx[5] or '0')
if ends == 0 then ends = now + tonumber(ARGV[6]) end
local life = math.max(1, ends - now)
redis.call('HSET', key, 'state', 'pending', 'cookie', ARGV[4], 'next', n(now + tonumber(ARGV[5])),
           'lease', '0', 'updated', n(now), 'until', n(ends), 'owner', owner)
if ARGV[8] == '1' then redis.call('HSET', key, 'request', ARGV[9]) end
redis.call('PEXPIRE', key, n(life))
-- A later transaction may have the poll key.
if redis.call('GET', P .. 'poll:' .. tx[4]) == id then
    redis.call('PEXPIRE', P .. 'poll:' .. tx[4], n(life))
end
redis.call('ZADD', P .. 'pend', redis.call('HGET', key, 'created'), id)
redis.call('ZADD', P .. 'pendx', n(ends), id)
if owner ~= '' then
    redis.call('ZADD', P .. 'wait:' .. owner, n(ends), id)
    keep(P .. 'wait:' .. owner, life)
end
local ckey = P .. 'ch:' .. ch
if ch ~= '' and redis.call('EXISTS', ckey) == 1 then
    local hold = P .. 'hold:' .. ch
    keep(ckey, life)
    if redis.call('ZSCORE', hold, id) then
        -- Held without a lease, as long as the transaction is known.
        redis.call('ZADD', hold, n(ends), id)
        redis.call('PEXPIRE', hold, redis.call('PTTL', ckey))
    end
end
-- One that waits and was not taken over since: its holder repeats the pend.
if state ~= 'pending' or tx[7] ~= '0' then trail(id, 12) end
return {'OK'}
