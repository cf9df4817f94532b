#!lua flags=allow-oom
-- Leaves a request for a node; whoever takes it finds it only while its caller waits.
-- KEYS 1: the calls of that node; 2: the request.
-- ARGV 1: what stands among the calls; 2: the request; 3: until when its caller waits, in ms as Redis has the time;
--      4: how many calls may stand there.
-- Answers "sent", "late" or "full", and the time in ms.
local call = redis.call
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local left = tonumber(ARGV[3]) - now
if left <= 0 then return {'late', now} end
if call('LLEN', KEYS[1]) >= tonumber(ARGV[4]) then return {'full', now} end
call('SET', KEYS[2], ARGV[2], 'PX', left)
call('RPUSH', KEYS[1], ARGV[1])
if call('PTTL', KEYS[1]) < left then call('PEXPIRE', KEYS[1], left) end
return {'sent', now}
