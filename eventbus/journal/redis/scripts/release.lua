#!lua flags=allow-oom
-- Lets go of lanes, so that another node may have them.
-- KEYS 1: the nodes; every other key begins as it does. ARGV 1: the node; then the lanes.
local prefix = string.sub(KEYS[1], 1, -6)
local function key(name) return prefix .. name end
local call = redis.call
for place = 2, #ARGV do
  local lane = ARGV[place]
  if call('HGET', key('owner'), lane) == ARGV[1] then
    call('HDEL', key('owner'), lane)
    call('SREM', key('of:' .. ARGV[1]), lane)
    if call('SISMEMBER', key('open'), lane) == 1 then call('SADD', key('unclaimed'), lane) end
  end
end
return #ARGV - 1
