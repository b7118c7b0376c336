-- SPDX-License-Identifier: Apache-2.0
-- poll: prefix, poll_key, nonce, lease; gives result, wait, transaction, challenge, tx_key
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local function keep(key, ms)
    if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, n(ms)) end
end
local id = redis.call('GET', P .. 'poll:' .. ARGV[2])
if not id then return {'NOTFOUND', '0', {}, {}, ''} end
local key = P .. 'tx:' .. id
local tx = redis.call('HMGET', key, 'state', 'challenge', 'nonce', 'lease', 'next', 'until')
local state = tx[1]
if not state then return {'NOTFOUND', '0', {}, {}, ''} end

local function answer(result, wait)
    local ch = {}
    if result == 'CLAIMED' and tx[2] ~= '' then ch = redis.call('HGETALL', P .. 'ch:' .. tx[2]) end
    return {result, n(wait), redis.call('HGETALL', key), ch, id}
end

local ends, after = tonumber(tx[4]), tonumber(tx[5])
if state == 'issued' then return answer('ISSUED', 0) end
if state == 'failed' then return answer('REFUSED', 0) end
if state == 'inflight' then
    if ends > now then return answer('BUSY', ends - now) end
    return answer('ABANDONED', 0)
end
if ends > now then
    if tx[3] == ARGV[3] then return answer('CLAIMED', 0) end
    return answer('BUSY', ends - now)
end
local over = tonumber(tx[6] or '0')
if over > 0 and over <= now then return {'NOTFOUND', '0', {}, {}, ''} end
if after > now then return answer('PENDING', after - now) end
local lease = tonumber(ARGV[4])
redis.call('HINCRBY', key, 'fence', 1)
redis.call('HSET', key, 'nonce', ARGV[3], 'lease', n(now + lease), 'updated', n(now))
keep(key, lease + 60000)
keep(P .. 'poll:' .. ARGV[2], lease + 60000)
return answer('CLAIMED', 0)
