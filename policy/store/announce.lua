-- SPDX-License-Identifier: Apache-2.0
-- announce: prefix, host, fingerprints (secret:ca:templates)
-- gives name and "seen:fingerprints" of every host of the last 24 hours
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local key, day = P .. 'hosts', 86400000
redis.call('HSET', key, ARGV[2], n(now) .. ':' .. ARGV[3])
redis.call('PEXPIRE', key, n(2 * day))
local all, seen = redis.call('HGETALL', key), {}
for i = 1, #all, 2 do
    if tonumber(string.match(all[i + 1], '^(%d+):') or '0') < now - day then
        redis.call('HDEL', key, all[i])
    else
        seen[#seen + 1] = all[i]
        seen[#seen + 1] = all[i + 1]
    end
end
return seen
