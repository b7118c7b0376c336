-- SPDX-License-Identifier: Apache-2.0
-- count: prefix, window, names of limits; gives result
for i = 3, #ARGV do
    local key = ARGV[1] .. 'lim:' .. ARGV[i]
    redis.call('HINCRBY', key, 'n', 1)
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[2]) end
end
return {'OK'}
