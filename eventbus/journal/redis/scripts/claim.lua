#!lua flags=allow-oom
-- Lets a node acquire a lane, unless a live peer owns it.
-- KEYS 1: the nodes. ARGV 1: the node; 2: the lane.
-- Returns "dead" where the node itself counts as dead; "other" and the owner; or "acquired".
--+ ownership
local node, lane, now = ARGV[1], ARGV[2], now_ms()
if not is_alive(node, now) then return {'dead'} end
local owner = call('HGET', key('owner'), lane)
if owner and owner ~= node then
  if is_alive(owner, now) then return {'other', owner} end
  call('SREM', key('of:' .. owner), lane)
end
acquire(node, lane)
return {'acquired'}
