-- SPDX-License-Identifier: Apache-2.0
-- list_revoked: prefix, from, to; gives changes, how many are there, and serial and
-- "reason:when:until" of each that is still kept
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local serials = redis.call('ZRANGE', P .. 'revoked:end', ARGV[2], ARGV[3])
local found = {redis.call('HGET', P .. 'crl', 'changes') or '0', tostring(#serials)}
for _, serial in ipairs(serials) do
    local value = redis.call('HGET', P .. 'revoked', serial)
    if value and tonumber(string.match(value, '(%d+)$') or '0') > now then
        found[#found + 1] = serial
        found[#found + 1] = value
    end
end
return found
