-- SPDX-License-Identifier: Apache-2.0
-- commit: prefix, tx_key, fence, certificate, retention, serial, and of the inventory's entry:
--         issuer ('': none), digest, subject, template, not_after, until; trail
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

-- Enters the certificate into the inventory; false: another one has the serial number.
-- inv: places, which sort by when they were made; inv:ISSUER:SERIAL: the entry of a place
local function enter(tid)
    if ARGV[7] == '' then return true end
    local name = ARGV[7] .. ':' .. ARGV[6]
    local entry = P .. 'inv:' .. name
    local old = redis.call('HMGET', entry, 'tx', 'digest', 'created')
    if old[1] and old[1] ~= id and old[2] ~= ARGV[8] then return false end
    local created, left = old[3] or n(now), math.max(1, tonumber(ARGV[12]) - now)
    local place = string.rep('0', 15 - #created) .. created .. ':' .. name
    redis.call('HSET', entry, 'tx', id, 'digest', ARGV[8], 'subject', ARGV[9],
               'template', ARGV[10], 'not_after', ARGV[11], 'created', created,
               'transaction_id', tid)
    redis.call('PEXPIRE', entry, n(left))
    redis.call('ZADD', P .. 'inv', '0', place)
    keep(P .. 'inv', left)
    redis.call('SET', P .. 'invtid:' .. tid, place, 'PX', n(left))
    return true
end

local tx = redis.call('HMGET', key, 'state', 'fence', 'challenge', 'poll', 'owner',
                      'transaction_id')
local state, ch = tx[1], tx[3]
if not state or tx[2] ~= ARGV[3] then return {'FENCED'} end
if state == 'issued' then
    return {redis.call('HGET', key, 'certificate') == ARGV[4] and 'OK' or 'FENCED'}
end
if state ~= 'inflight' and state ~= 'pending' then return {'FENCED'} end
if not enter(tx[6] or '') then return {'CONFLICT'} end
local life = tonumber(ARGV[5])
redis.call('HSET', key, 'state', 'issued', 'certificate', ARGV[4], 'lease', '0', 'cookie', '',
           'updated', n(now), 'issued_serial', ARGV[6])
if ARGV[6] ~= '' then redis.call('SET', P .. 'sn:' .. ARGV[6], id, 'PX', n(life)) end
redis.call('PEXPIRE', key, n(life))
redis.call('PEXPIRE', P .. 'poll:' .. tx[4], n(life))
redis.call('ZREM', P .. 'pend', id)
redis.call('ZREM', P .. 'pendx', id)
redis.call('ZREM', P .. 'wait:' .. (tx[5] or ''), id)
local ckey = P .. 'ch:' .. ch
if ch ~= '' and redis.call('EXISTS', ckey) == 1 then
    local used = redis.call('HINCRBY', ckey, 'used', 1)
    local uses = tonumber(redis.call('HGET', ckey, 'uses'))
    redis.call('ZREM', P .. 'hold:' .. ch, id)
    if uses > 0 and used >= uses then
        redis.call('ZREM', KEYS[1], ch)
        redis.call('ZREM', P .. 'own:' .. (redis.call('HGET', ckey, 'caller') or ''), ch)
    end
    keep(ckey, life)
end
trail(id, 13)
return {'OK'}
