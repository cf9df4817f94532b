-- Makes an empty journal the beginning of a copy, unless a node lives there.
-- KEYS 1: the nodes; every other key begins as it does.
-- ARGV 1: the mark; 2: the newest event's number; 3: the newest dead letter's id; 4: the place up to which all is offered.
-- Answers 1, or 0 where a node lives.
local prefix = string.sub(KEYS[1], 1, -6)
local call = redis.call
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

if call('ZCOUNT', KEYS[1], string.format('%.0f', now), '+inf') > 0 then return 0 end
call('MSET', prefix .. 'copy', ARGV[1], prefix .. 'seq', ARGV[2], prefix .. 'dead:id', ARGV[3], prefix .. 'scanned', ARGV[4])
return 1
