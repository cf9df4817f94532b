#!lua flags=allow-oom
-- Returns what a commit answered whose answer was lost, or nothing where it was not made. Then it is not made any more,
-- however late it comes.
-- KEYS 1: the nodes. ARGV 1: the node that wrote; 2: the commit's number.
local last = key('last:' .. ARGV[1])
local kept = call('HMGET', last, 'number', 'said')
if kept[1] == ARGV[2] and kept[2] then return cjson.decode(kept[2]) end
call('HSET', last, 'number', ARGV[2])
call('HDEL', last, 'said')
call('PEXPIRE', last, 86400000)
return false
