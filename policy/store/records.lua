-- SPDX-License-Identifier: Apache-2.0
-- records: prefix, first, last, state ('': any); gives how many entries the index has there, and of
-- each record: tx_key, 0, transaction
local P = ARGV[1]
local names = {'state', 'fence', 'serial', 'transaction_id', 'record', 'record_state', 'created',
               'updated'}
local found = redis.call('ZRANGE', P .. 'rec:' .. ARGV[4], ARGV[2], ARGV[3])
local out = {#found}
for _, id in ipairs(found) do
    local v, tx = redis.call('HMGET', P .. 'tx:' .. id, unpack(names)), {}
    if v[6] and (ARGV[4] == '' or v[6] == ARGV[4]) then
        for i, name in ipairs(names) do
            tx[#tx + 1] = name
            tx[#tx + 1] = v[i]
        end
        out[#out + 1] = id
        out[#out + 1] = '0'
        out[#out + 1] = tx
    end
end
return out
