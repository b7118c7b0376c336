-- SPDX-License-Identifier: Apache-2.0
-- inventory: prefix, what (serial, tid, oldest or newest first), issuer:serial or transactionID or
--            the place behind which the page begins ('': the first page), max
-- gives the place where the next page begins ('': none), and of each entry place and fields
local P, what = ARGV[1], ARGV[2]
local out, size = {''}, 0

-- Adds the entry of a place.
local function add(place)
    local entry = redis.call('HGETALL', P .. 'inv:' .. string.sub(place, 17))
    if #entry == 0 then return end
    for _, text in ipairs(entry) do size = size + #text end
    out[#out + 1] = place
    out[#out + 1] = entry
end

if what == 'serial' then
    local created = redis.call('HGET', P .. 'inv:' .. ARGV[3], 'created')
    if created then add(string.rep('0', 15 - #created) .. created .. ':' .. ARGV[3]) end
    return out
end
if what == 'tid' then
    local place = redis.call('GET', P .. 'invtid:' .. ARGV[3])
    if place then add(place) end
    return out
end
local from, places, max = ARGV[3], {}, tonumber(ARGV[4])
if what == 'newest' then
    places = redis.call('ZREVRANGEBYLEX', P .. 'inv', from == '' and '+' or '(' .. from, '-',
                        'LIMIT', '0', max)
else
    places = redis.call('ZRANGEBYLEX', P .. 'inv', from == '' and '-' or '(' .. from, '+',
                        'LIMIT', '0', max)
end
for i, place in ipairs(places) do
    add(place)
    -- What the caller reads has a limit.
    if i == max or size > 700000 then
        out[1] = place
        break
    end
end
return out
