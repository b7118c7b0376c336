-- SPDX-License-Identifier: Apache-2.0
-- put_crl: prefix, number that it replaces, number, made_of, DER; gives result
local key = ARGV[1] .. 'crl'
if (redis.call('HGET', key, 'number') or '0') ~= ARGV[2] then return {'CONFLICT'} end
redis.call('HSET', key, 'number', ARGV[3], 'made', ARGV[4], 'der', ARGV[5])
return {'OK'}
