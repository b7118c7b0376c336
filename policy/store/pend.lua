-- SPDX-License-Identifier: Apache-2.0
-- pend: prefix, tx_key, fence, cookie, wait, retention; gives result
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local function keep(key, ms)
    if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, n(ms)) end
end
local key, id = P .. 'tx:' .. ARGV[2], ARGV[2]
local tx = redis.call('HMGET', key, 'state', 'fence', 'challenge', 'poll')
local state, ch = tx[1], tx[3]
if not state or tx[2] ~= ARGV[3] then return {'FENCED'} end
if state ~= 'inflight' and state ~= 'pending' then return {'FENCED'} end
local life = tonumber(ARGV[6])
redis.call('HSET', key, 'state', 'pending', 'cookie', ARGV[4], 'next', n(now + tonumber(ARGV[5])),
           'lease', '0', 'updated', n(now))
redis.call('PEXPIRE', key, n(life))
redis.call('PEXPIRE', P .. 'poll:' .. tx[4], n(life))
redis.call('ZADD', P .. 'pend', redis.call('HGET', key, 'created'), id)
redis.call('ZADD', P .. 'pendx', n(now + life), id)
local ckey = P .. 'ch:' .. ch
if ch ~= '' and redis.call('EXISTS', ckey) == 1 then
    local hold = P .. 'hold:' .. ch
    keep(ckey, life)
    if redis.call('ZSCORE', hold, id) then
        -- Held without a lease, as long as the transaction is known.
        redis.call('ZADD', hold, n(now + life), id)
        redis.call('PEXPIRE', hold, redis.call('PTTL', ckey))
    end
end
return {'OK'}
