-- SPDX-License-Identifier: Apache-2.0
-- outbox: prefix; gives OK, how many news there are, and when the oldest was created (0: none)
local P = ARGV[1]
local first = redis.call('ZRANGE', P .. 'out', 0, 0, 'WITHSCORES')
return {'OK', redis.call('ZCARD', P .. 'out'), first[2] or '0'}
