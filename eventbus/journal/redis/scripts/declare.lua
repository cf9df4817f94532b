#!lua flags=allow-oom
-- Keeps for a while which subscribers a node's file declares, and returns those of all nodes' files.
-- KEYS 1: the nodes. ARGV 1: for how many ms; then the subscribers.
local now, declared = now_ms(), key('declared')
for number = 2, #ARGV do call('ZADD', declared, digits(now + tonumber(ARGV[1])), ARGV[number]) end
call('ZREMRANGEBYSCORE', declared, '-inf', '(' .. digits(now))
return call('ZRANGE', declared, 0, -1)
