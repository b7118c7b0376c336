-- SPDX-License-Identifier: Apache-2.0
-- issue: prefix, id, lifetime, uses, attempts, caller, template, bound, cap,
--        the caller's cap
-- gives result, wait, issued, expires, outstanding
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local idx, key = KEYS[1], P .. 'ch:' .. ARGV[2]
local life, cap = tonumber(ARGV[3]), tonumber(ARGV[9])

local dead = redis.call('ZRANGEBYSCORE', idx, '-inf', n(now), 'LIMIT', 0, 1000)
if #dead > 0 then redis.call('ZREM', idx, unpack(dead)) end

local function open() return redis.call('ZCOUNT', idx, '(' .. n(now), '+inf') end

local c = redis.call('HMGET', key, 'issued', 'expires', 'lifetime', 'uses', 'attempts', 'caller',
                     'template', 'bound', 'used', 'bad')
if c[1] then
    local same = c[3] == ARGV[3] and c[4] == ARGV[4] and c[5] == ARGV[5] and c[6] == ARGV[6]
        and c[7] == ARGV[7] and c[8] == ARGV[8] and c[9] == '0' and c[10] == '0'
    if same and tonumber(c[1]) > now - 60000 and tonumber(c[2]) > now then
        return {'OK', '0', c[1], c[2], open()}
    end
    return {'EXISTS', '0', '0', '0', open()}
end
if cap > 0 and open() >= cap then
    local first = redis.call('ZRANGEBYSCORE', idx, '(' .. n(now), '+inf', 'WITHSCORES',
                             'LIMIT', 0, 1)
    return {'FULL', n(math.max(1, tonumber(first[2]) - now)), '0', '0', open()}
end
local own, own_cap = P .. 'own:' .. ARGV[6], tonumber(ARGV[10])
if own_cap > 0 then
    dead = redis.call('ZRANGEBYSCORE', own, '-inf', n(now), 'LIMIT', 0, 1000)
    if #dead > 0 then redis.call('ZREM', own, unpack(dead)) end
    if redis.call('ZCOUNT', own, '(' .. n(now), '+inf') >= own_cap then
        local first = redis.call('ZRANGEBYSCORE', own, '(' .. n(now), '+inf', 'WITHSCORES',
                                 'LIMIT', 0, 1)
        return {'CALLERFULL', n(math.max(1, tonumber(first[2]) - now)), '0', '0', open()}
    end
    redis.call('ZADD', own, n(now + life), ARGV[2])
    if redis.call('PTTL', own) < life then redis.call('PEXPIRE', own, n(life)) end
end
redis.call('HSET', key, 'issued', n(now), 'expires', n(now + life), 'lifetime', ARGV[3],
           'uses', ARGV[4], 'attempts', ARGV[5], 'caller', ARGV[6], 'template', ARGV[7],
           'bound', ARGV[8], 'used', '0', 'bad', '0')
redis.call('PEXPIRE', key, n(life + 86400000))
redis.call('ZADD', idx, n(now + life), ARGV[2])
return {'OK', '0', n(now), n(now + life), open()}
