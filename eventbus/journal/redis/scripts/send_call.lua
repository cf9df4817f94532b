#!lua flags=allow-oom
-- Leaves a request for a node; the node finds it only while its caller waits.
-- KEYS 1: the calls of that node; 2: the request.
-- ARGV 1: the call's name and its caller's; 2: the request; 3: until when the caller waits, in ms by the clock of Redis;
--      4: how many calls may wait for the node.
-- Returns "sent", "late" or "full", and the time in ms.
local now = now_ms()
local left = tonumber(ARGV[3]) - now
if left <= 0 then return {'late', now} end
if call('LLEN', KEYS[1]) >= tonumber(ARGV[4]) then return {'full', now} end
call('SET', KEYS[2], ARGV[2], 'PX', left)
call('RPUSH', KEYS[1], ARGV[1])
if call('PTTL', KEYS[1]) < left then call('PEXPIRE', KEYS[1], left) end
return {'sent', now}
