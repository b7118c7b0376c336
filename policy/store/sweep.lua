-- SPDX-License-Identifier: Apache-2.0
-- sweep: prefix, max; gives OK and how many entries of the indices it removed (records expire by
-- themselves)
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local max, removed = tonumber(ARGV[2]), 0

local function clean(index, other)
    if max - removed < 1 then return end
    local dead = redis.call('ZRANGEBYSCORE', index, '-inf', n(now), 'LIMIT', 0,
                            math.min(max - removed, 5000))
    if #dead > 0 then
        redis.call('ZREM', index, unpack(dead))
        if other then redis.call('ZREM', other, unpack(dead)) end
        removed = removed + #dead
    end
end

clean(KEYS[1])
clean(P .. 'pendx', P .. 'pend')

-- A record is kept as long as its transaction, which may have been prolonged since.
local over = {}
if max > removed then
    over = redis.call('ZRANGEBYSCORE', P .. 'recx', '-inf', n(now), 'LIMIT', 0,
                      math.min(max - removed, 1000))
end
for _, id in ipairs(over) do
    local left = redis.call('PTTL', P .. 'tx:' .. id)
    if left > 0 then
        redis.call('ZADD', P .. 'recx', n(now + left), id)
    else
        for _, index in ipairs({'recx', 'rec:', 'rec:processing', 'rec:succeed', 'rec:failed'}) do
            redis.call('ZREM', P .. index, id)
        end
        removed = removed + 1
    end
end
return {'OK', removed}
