-- SPDX-License-Identifier: Apache-2.0
-- settle: prefix, news id, fence, how (done, again, untried, lost), wait; gives result
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local function keep(key, ms)
    if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, n(ms)) end
end
-- include trail.lua
local id, how = ARGV[2], ARGV[4]
local key = P .. 'news:' .. id
local v = redis.call('HMGET', key, 'fence', 'tx', 'ends', 'recipient')
if not v[1] then return {'NOTFOUND'} end
if v[1] ~= ARGV[3] then return {'FENCED'} end
if how == 'untried' and redis.call('HINCRBY', key, 'tries', -1) < 0 then
    redis.call('HSET', key, 'tries', '0')
end
if how == 'untried' then redis.call('HINCRBY', key, 'fence', 1) end
if how == 'again' or how == 'untried' then
    local last = math.max(now, tonumber(v[3]))
    redis.call('ZADD', P .. 'due', n(math.min(now + tonumber(ARGV[5]), last)), id)
    return {'OK'}
end
redis.call('PEXPIRE', key, '0')
redis.call('ZREM', P .. 'due', id)
redis.call('ZREM', P .. 'out', id)
redis.call('ZREM', P .. 'txnews:' .. v[2], id)
-- The next ones of the transaction for the recipient have waited for these.
for _, other in ipairs(redis.call('ZRANGE', P .. 'txnews:' .. v[2], 0, -1)) do
    local w = redis.call('HMGET', P .. 'news:' .. other, 'recipient', 'tries')
    if w[1] == v[4] then
        if w[2] == '0' then redis.call('ZADD', P .. 'due', n(now), other) end
        break
    end
end
local tx = P .. 'tx:' .. v[2]
if redis.call('EXISTS', tx) == 1 then
    if how == 'lost' then redis.call('HSET', tx, 'news_lost', '1') end
    mark(v[2])
end
return {'OK'}
