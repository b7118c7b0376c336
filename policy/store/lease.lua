-- SPDX-License-Identifier: Apache-2.0
-- lease: prefix, name, holder, lease (0: gives it back); gives result
local key = ARGV[1] .. 'lease:' .. ARGV[2]
local holder = redis.call('GET', key)
if holder and holder ~= ARGV[3] then return {'BUSY'} end
if ARGV[4] == '0' then
    redis.call('PEXPIRE', key, '0')
else
    redis.call('SET', key, ARGV[3], 'PX', ARGV[4])
end
return {'OK'}
