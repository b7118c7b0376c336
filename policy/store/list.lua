-- SPDX-License-Identifier: Apache-2.0
-- list: prefix, first, last; gives how many entries the index has there, and of each that waits:
-- tx_key, wait, transaction without certificate and request
local P = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function n(x) return string.format('%.0f', x) end
local names = {'state', 'next', 'fence', 'serial', 'not_before', 'cookie', 'reason', 'poll',
               'transaction_id', 'subject', 'template', 'client', 'csr', 'challenge', 'created',
               'updated', 'decision', 'decided_by', 'text'}
local found = redis.call('ZRANGE', P .. 'pend', ARGV[2], ARGV[3])
local out = {#found}
for _, id in ipairs(found) do
    local v, tx = redis.call('HMGET', P .. 'tx:' .. id, unpack(names)), {}
    if v[1] == 'pending' then
        for i, name in ipairs(names) do
            if v[i] then
                tx[#tx + 1] = name
                tx[#tx + 1] = v[i]
            end
        end
        out[#out + 1] = id
        out[#out + 1] = n(math.max(0, tonumber(v[2]) - now))
        out[#out + 1] = tx
    end
end
return out
