#!lua flags=allow-oom
-- Removes a scheduled event, and remembers that it was cancelled.
-- KEYS 1: the nodes.
-- ARGV 1: its id; 2: when, in seconds; 3: bytes that an event takes beside its own; 4: cancelled events before this time
--      are forgotten; 5: how many are remembered at most.
-- Returns when it was cancelled, now or before; nothing where it is not scheduled.
--+ schedule
local id, event = ARGV[1], take_scheduled(ARGV[1])
if not event then return call('ZSCORE', key('cancelled'), id) end
call('DECRBY', key('bytes'), #id + #event.topic + #event.head + #event.body + #event.key + ARGV[3])
call('ZADD', key('cancelled'), ARGV[2], id)
call('ZREMRANGEBYSCORE', key('cancelled'), '-inf', '(' .. ARGV[4])
call('ZREMRANGEBYRANK', key('cancelled'), 0, -ARGV[5] - 1)
return ARGV[2]
