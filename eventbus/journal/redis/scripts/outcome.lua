#!lua flags=allow-oom
-- What became of a commit whose answer was lost. One that was not made is not made any more, however late it comes.
-- KEYS 1: the nodes; every other key begins as it does. ARGV 1: the node that wrote; 2: the commit's number.
-- Answers what the commit answered, or nothing where it was not made.
local last = string.sub(KEYS[1], 1, -6) .. 'last:' .. ARGV[1]
local kept = redis.call('HMGET', last, 'number', 'said')
if kept[1] == ARGV[2] and kept[2] then return cjson.decode(kept[2]) end
redis.call('HSET', last, 'number', ARGV[2])
redis.call('HDEL', last, 'said')
redis.call('PEXPIRE', last, 86400000)
return false
