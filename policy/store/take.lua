-- SPDX-License-Identifier: Apache-2.0
-- take: prefix, max, lease
-- gives OK and of each piece of news id, recipient, payload, tx_key, fence, tries, created, late
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local lease, out, size = tonumber(ARGV[3]), {'OK'}, 0

-- When older news of the transaction for the same recipient are due, which come first; nil: none.
local function older(recipient, tx, created)
    local others = redis.call('ZRANGEBYSCORE', P .. 'txnews:' .. tx, '-inf', '(' .. created)
    for _, other in ipairs(others) do
        if redis.call('HGET', P .. 'news:' .. other, 'recipient') == recipient then
            return redis.call('ZSCORE', P .. 'due', other)
        end
    end
end

local due = redis.call('ZRANGEBYSCORE', P .. 'due', '-inf', n(now), 'LIMIT', 0,
                       math.min(tonumber(ARGV[2]), 500))
for _, id in ipairs(due) do
    local key = P .. 'news:' .. id
    local v = redis.call('HMGET', key, 'recipient', 'payload', 'tx', 'created', 'ends')
    if not v[1] then
        redis.call('ZREM', P .. 'due', id)
        redis.call('ZREM', P .. 'out', id)
    elseif older(v[1], v[3], v[4]) then
        redis.call('ZADD', P .. 'due', n(math.max(now, tonumber(older(v[1], v[3], v[4]))) + 1), id)
    else
        -- What the caller reads has a limit; the rest stays due.
        size = size + #v[2] + 1024
        if size > 800000 then break end
        local fence = redis.call('HINCRBY', key, 'fence', 1)
        local tries = redis.call('HINCRBY', key, 'tries', 1)
        redis.call('ZADD', P .. 'due', n(now + lease), id)
        local late = tonumber(v[5]) <= now and 1 or 0
        out[#out + 1] = {id, v[1], v[2], v[3], fence, tries, v[4], late}
    end
end
return out
