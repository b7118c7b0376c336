-- SPDX-License-Identifier: Apache-2.0
-- get_crl: prefix, number that the caller has; gives changes, number, made_of, DER of another one
local crl = redis.call('HMGET', ARGV[1] .. 'crl', 'changes', 'number', 'made')
local number, der = crl[2] or '0', ''
if number ~= ARGV[2] then der = redis.call('HGET', ARGV[1] .. 'crl', 'der') or '' end
return {crl[1] or '0', number, crl[3] or '0', der}
