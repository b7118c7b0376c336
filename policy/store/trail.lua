-- SPDX-License-Identifier: Apache-2.0
-- Included where a transaction's record follows its news; needs P, now, n, keep.
-- Writes the state of a transaction's record, where it has one, into record and indices.
local function mark(id)
    local key, state = P .. 'tx:' .. id, 'succeed'
    local tx = redis.call('HMGET', key, 'record', 'news_lost')
    if (tx[1] or '') == '' then return end
    if redis.call('ZCARD', P .. 'txnews:' .. id) > 0 then
        state = 'processing'
    elseif tx[2] == '1' then
        state = 'failed'
    end
    redis.call('HSET', key, 'record_state', state, 'updated', n(now))
    local left = redis.call('PTTL', key)
    for _, s in ipairs({'', 'processing', 'succeed', 'failed'}) do
        local index = P .. 'rec:' .. s
        if s == '' or s == state then
            redis.call('ZADD', index, n(-now), id)
            keep(index, left)
        else
            redis.call('ZREM', index, id)
        end
    end
    redis.call('ZADD', P .. 'recx', n(now + left), id)
    keep(P .. 'recx', left)
end

-- Writes what a change leaves behind: from argument first on its record, the life time of news, and
-- of each piece id, recipient, payload.  No arguments: nothing.
local function trail(id, first)
    if #ARGV < first then return end
    local ends = now + tonumber(ARGV[first + 1])
    -- Kept for a week after its life time, should nobody take it.
    local life = ends - now + 604800000
    for i = first + 2, #ARGV, 3 do
        local news, key = ARGV[i], P .. 'news:' .. ARGV[i]
        if redis.call('EXISTS', key) == 0 then
            redis.call('HSET', key, 'tx', id, 'recipient', ARGV[i + 1], 'payload', ARGV[i + 2],
                       'created', n(now), 'ends', n(ends), 'fence', '0', 'tries', '0')
            redis.call('PEXPIRE', key, n(life))
            redis.call('ZADD', P .. 'due', n(now), news)
            redis.call('ZADD', P .. 'out', n(now), news)
            redis.call('ZADD', P .. 'txnews:' .. id, n(now), news)
            keep(P .. 'due', life)
            keep(P .. 'out', life)
            keep(P .. 'txnews:' .. id, life)
        end
    end
    if ARGV[first] ~= '' then
        redis.call('HSET', P .. 'tx:' .. id, 'record', ARGV[first], 'news_lost', '0')
    end
    mark(id)
end
