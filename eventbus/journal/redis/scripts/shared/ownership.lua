-- Ownership of lanes: which node has a lane, by lane and by node, and which open lanes have no owner.
local function acquire(node, lane)
  call('HSET', key('owner'), lane, node)
  call('SADD', key('of:' .. node), lane)
  call('SREM', key('unclaimed'), lane)
end
-- A lane that is closed or removed has no owner, and nobody may acquire it.
local function remove_owner(node, lane)
  call('HDEL', key('owner'), lane)
  call('SREM', key('of:' .. node), lane)
  call('SREM', key('unclaimed'), lane)
end
-- A lane that is open may be acquired by another node then.
local function release(node, lane)
  if call('HGET', key('owner'), lane) == node then call('HDEL', key('owner'), lane) end
  call('SREM', key('of:' .. node), lane)
  if call('SISMEMBER', key('open'), lane) == 1 then call('SADD', key('unclaimed'), lane) end
end
