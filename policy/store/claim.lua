-- SPDX-License-Identifier: Apache-2.0
-- claim: prefix, tx_key, poll_key, csr, challenge id, other challenge id, nonce, lease, retention,
--        serial, not_before, transaction_id, subject, template, client, limit, max, other limit,
--        max, window, and of a challenge to adopt: lifetime ('': none), uses, attempts, caller,
--        template, bound
-- gives result, wait, transaction, challenge
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local function keep(key, ms)
    if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, n(ms)) end
end
local key, csr, nonce = P .. 'tx:' .. ARGV[2], ARGV[4], ARGV[7]
local lease = tonumber(ARGV[8])
local life = math.max(tonumber(ARGV[9]), lease + 60000)
local needs = ARGV[5] ~= '' or ARGV[6] ~= ''

local function challenge(id)
    if id == '' then return {} end
    return redis.call('HGETALL', P .. 'ch:' .. id)
end

local limits = {}
for i = 16, 18, 2 do
    if ARGV[i] ~= '' then
        limits[#limits + 1] = {P .. 'lim:' .. ARGV[i], tonumber(ARGV[i + 1])}
    end
end

-- The poll key finds a known transaction again, where a later one has it.
local function point(poll)
    if redis.call('GET', P .. 'poll:' .. poll) == ARGV[2] then return end
    local left = redis.call('PTTL', key)
    if left > 0 then redis.call('SET', P .. 'poll:' .. poll, ARGV[2], 'PX', n(left)) end
end

-- The answer to a challenge that is no good: counts in every limit.
local function failed(result)
    for _, l in ipairs(limits) do
        redis.call('HINCRBY', l[1], 'n', 1)
        if redis.call('PTTL', l[1]) < 0 then redis.call('PEXPIRE', l[1], ARGV[20]) end
    end
    return {result, '0', {}, {}}
end

-- A known transaction.
local tx = redis.call('HMGET', key, 'state', 'csr', 'challenge', 'nonce', 'lease', 'next',
                      'decision', 'poll')
local state = tx[1]
if state then
    local same = tx[3] == ARGV[5] or tx[3] == ARGV[6]
    if tx[3] == '' then same = not needs end
    if tx[2] ~= csr or not same then
        return {'TXCONFLICT', '0', redis.call('HGETALL', key), {}}
    end
    local ends = tonumber(tx[5])
    if state == 'issued' or state == 'pending' then point(tx[8]) end
    if state == 'issued' then return {'ISSUED', '0', redis.call('HGETALL', key), {}} end
    if state == 'pending' then
        local wait = math.max(0, ends - now, tonumber(tx[6]) - now)
        return {'PENDING', n(wait), redis.call('HGETALL', key), {}}
    end
    if state == 'inflight' and ends > now then
        if tx[4] == nonce then
            return {'CLAIMED', '0', redis.call('HGETALL', key), challenge(tx[3])}
        end
        return {'BUSY', n(ends - now), redis.call('HGETALL', key), {}}
    end
    if state == 'failed' and tx[7] == 'denied' then
        return {'REFUSED', '0', redis.call('HGETALL', key), {}}
    end
else
    local wait = 0
    for _, l in ipairs(limits) do
        if tonumber(redis.call('HGET', l[1], 'n') or '0') >= l[2] then
            wait = math.max(wait, 1, redis.call('PTTL', l[1]))
        end
    end
    if wait > 0 then return {'LIMITED', n(wait), {}, {}} end
end

-- The challenge, and its holders.
local id = ''
if needs then
    local c
    for i = 5, 6 do
        if id == '' and ARGV[i] ~= '' then
            c = redis.call('HMGET', P .. 'ch:' .. ARGV[i],
                           'expires', 'attempts', 'bad', 'uses', 'used')
            if c[1] then id = ARGV[i] end
        end
    end
    if id == '' then
        if ARGV[21] == '' then return failed('NOCHALLENGE') end
        -- Made outside of the index of those that count.
        local adopted = tonumber(ARGV[21])
        id = ARGV[5]
        c = {n(now + adopted), ARGV[23], '0', ARGV[22], '0'}
        redis.call('HSET', P .. 'ch:' .. id, 'issued', n(now), 'expires', c[1], 'lifetime',
                   ARGV[21], 'uses', ARGV[22], 'attempts', ARGV[23], 'caller', ARGV[24],
                   'template', ARGV[25], 'bound', ARGV[26], 'used', '0', 'bad', '0')
        redis.call('PEXPIRE', P .. 'ch:' .. id, n(adopted + 86400000))
    end
    local attempts, bad = tonumber(c[2]), tonumber(c[3])
    local uses, used = tonumber(c[4]), tonumber(c[5])
    if tonumber(c[1]) <= now then return failed('EXPIRED') end
    if attempts > 0 and bad >= attempts then return failed('MISMATCH') end
    if uses > 0 then
        if used >= uses then return failed('USED') end
        local hold = P .. 'hold:' .. id
        -- Where memory is full ZADD fails, so that nothing is signed which commit could not keep;
        -- ZREM would not, and after a write nothing fails.
        redis.call('ZADD', hold, 'XX', '0', ARGV[2])
        redis.call('ZREM', hold, ARGV[2])
        local total = redis.call('ZCARD', hold)
        local live = redis.call('ZCOUNT', hold, '(' .. n(now), '+inf')
        if used + live + 1 > uses then
            local held = redis.call('ZRANGEBYSCORE', hold, '(' .. n(now), '+inf')
            local wait, result = redis.call('ZSCORE', hold, held[1]) - now, 'HELD'
            for _, other in ipairs(held) do
                if redis.call('HGET', P .. 'tx:' .. other, 'state') ~= 'pending' then
                    result = 'BUSY'
                    break
                end
            end
            return {result, n(math.min(60000, wait)), {}, {}}
        end
        -- Holders whose lease is over give way, oldest first, and are fenced.
        local surplus = used + total + 1 - uses
        if surplus > 0 then
            for _, other in ipairs(redis.call('ZRANGE', hold, 0, surplus - 1)) do
                local k = P .. 'tx:' .. other
                if redis.call('EXISTS', k) == 1 then
                    redis.call('HINCRBY', k, 'fence', 1)
                    redis.call('HSET', k, 'lease', '0')
                end
                redis.call('ZREM', hold, other)
            end
        end
        keep(P .. 'ch:' .. id, lease + 60000)
        redis.call('ZADD', hold, n(now + lease), ARGV[2])
        redis.call('PEXPIRE', hold, redis.call('PTTL', P .. 'ch:' .. id))
    end
end

-- Hold it.
redis.call('HINCRBY', key, 'fence', 1)
if not state then
    redis.call('HSET', key, 'csr', csr, 'created', n(now), 'next', '0')
end
-- Nothing was signed with what a failed one reserved, or it was revoked.
if not state or state == 'failed' then
    redis.call('HSET', key, 'serial', ARGV[10],
               'not_before', n(math.min(tonumber(ARGV[11]), now)))
end
redis.call('HSET', key, 'state', 'inflight', 'poll', ARGV[3], 'challenge', id, 'nonce', nonce,
           'lease', n(now + lease), 'transaction_id', ARGV[12], 'subject', ARGV[13],
           'template', ARGV[14], 'client', ARGV[15], 'cookie', '', 'reason', '', 'updated', n(now),
           'request', '', 'until', '0', 'decision', '', 'decided_by', '', 'text', '')
keep(key, life)
redis.call('SET', P .. 'poll:' .. ARGV[3], ARGV[2], 'PX', n(life))
return {'CLAIMED', '0', redis.call('HGETALL', key), challenge(id)}
