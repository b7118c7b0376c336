-- SPDX-License-Identifier: Apache-2.0
-- revoke: prefix, challenge id; gives result
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local key = P .. 'ch:' .. ARGV[2]
local expires = redis.call('HGET', key, 'expires')
if not expires then return {'NOCHALLENGE'} end
redis.call('HSET', key, 'expires', n(math.min(now, tonumber(expires))))
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZREM', P .. 'own:' .. (redis.call('HGET', key, 'caller') or ''), ARGV[2])
return {'OK'}
