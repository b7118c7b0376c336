-- SPDX-License-Identifier: Apache-2.0
-- revoke_certificate: prefix, serial, reason, until; gives result
-- revoked: serial -> "reason:when:until"; revoked:end: serials by until; crl: changes counts them
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local all, ends = P .. 'revoked', P .. 'revoked:end'
if redis.call('HGET', all, ARGV[2]) then return {'EXISTS'} end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', n(now), 'LIMIT', '0', '50')) do
    redis.call('HDEL', all, old)
    redis.call('ZREM', ends, old)
end
redis.call('HSET', all, ARGV[2], ARGV[3] .. ':' .. n(now) .. ':' .. ARGV[4])
redis.call('ZADD', ends, ARGV[4], ARGV[2])
redis.call('HINCRBY', P .. 'crl', 'changes', 1)
return {'OK'}
