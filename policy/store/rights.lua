-- SPDX-License-Identifier: Apache-2.0
-- rights: prefix; gives OK and which of the commands that scripts use the user may not run
local P = ARGV[1] .. 'probe:'
local s, h, z = P .. 's', P .. 'h', P .. 'z'
local out = {'OK'}
local function try(name, ...)
    local answer = redis.pcall(name, ...)
    local text = type(answer) == 'table' and answer.err or ''
    -- Redis 7 and 6
    if string.find(text, 'permission') or string.find(text, "can't run this command") then
        out[#out + 1] = name
    end
end
try('TIME')
try('SET', s, '1', 'PX', '1000')
try('GET', s)
try('EXISTS', s)
try('PTTL', s)
try('HSET', h, 'f', '1')
try('PEXPIRE', h, '1000')
try('HGET', h, 'f')
try('HMGET', h, 'f')
try('HGETALL', h)
try('HINCRBY', h, 'f', '1')
try('HDEL', h, 'f')
try('ZADD', z, '0', 'm')
try('ZCARD', z)
try('ZCOUNT', z, '0', '1')
try('ZSCORE', z, 'm')
try('ZRANGE', z, '0', '0')
try('ZRANGEBYSCORE', z, '0', '1')
try('ZRANGEBYLEX', z, '-', '+')
try('ZREVRANGEBYLEX', z, '+', '-')
try('ZREM', z, 'm')
return out
