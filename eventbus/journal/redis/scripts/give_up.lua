#!lua flags=allow-oom
-- Lets dead letters go without the bodies of their events: what is left says which event that was.
-- KEYS 1: the nodes; every other key begins as it does. ARGV: for each its id, its event's number, and its new row.
local prefix = string.sub(KEYS[1], 1, -6)
local function key(name) return prefix .. name end
local call = redis.call
local given = 0
for place = 1, #ARGV, 3 do
  local id, seq, row = ARGV[place], ARGV[place + 1], ARGV[place + 2]
  if call('HEXISTS', key('dead'), id) == 1 then
    call('HSET', key('dead'), id, row)
    call('ZREM', key('dead:seq'), id)
    call('ZADD', key('dead:gone'), seq, id)
    given = given + 1
  end
end
return given
