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

-- Entries of the inventory end in another order than they were made: their places are looked
-- through round and round, some at a time.
local some = math.min(max - removed, 1000)
if some > 0 then
    local from = redis.call('GET', P .. 'inv:next') or ''
    local places = redis.call('ZRANGEBYLEX', P .. 'inv', from == '' and '-' or '(' .. from, '+',
                              'LIMIT', '0', n(some))
    for _, place in ipairs(places) do
        if redis.call('EXISTS', P .. 'inv:' .. string.sub(place, 17)) == 0 then
            redis.call('ZREM', P .. 'inv', place)
            removed = removed + 1
        end
    end
    if #places < some then
        redis.call('PEXPIRE', P .. 'inv:next', '0')
    else
        redis.call('SET', P .. 'inv:next', places[#places], 'PX', '86400000')
    end
end
return {'OK', removed}
