#!lua flags=allow-oom
-- Gives a lane to a node, unless another one that lives has it.
-- KEYS 1: the nodes; every other key begins as it does. ARGV 1: the node; 2: the lane.
-- Answers "dead" where the node itself counts as gone; "other" and who has it; or "mine".
local prefix = string.sub(KEYS[1], 1, -6)
local function key(name) return prefix .. name end
local call = redis.call
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function lives(node)
  local good = call('ZSCORE', KEYS[1], node)
  return good and tonumber(good) >= now
end

if not lives(ARGV[1]) then return {'dead'} end
local owner = call('HGET', key('owner'), ARGV[2])
if owner and owner ~= ARGV[1] then
  if lives(owner) then return {'other', owner} end
  call('SREM', key('of:' .. owner), ARGV[2])
end
call('SREM', key('unclaimed'), ARGV[2])
call('HSET', key('owner'), ARGV[2], ARGV[1])
call('SADD', key('of:' .. ARGV[1]), ARGV[2])
return {'mine'}
