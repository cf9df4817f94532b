-- Returns the live node that owns a lane, or nothing.
-- KEYS 1: the nodes. ARGV 1: the lane.
local owner = call('HGET', key('owner'), ARGV[1])
return owner and is_alive(owner, now_ms()) and owner
