#!lua flags=allow-oom
-- Lets dead letters no longer refer to the bodies of their events: what is left says which event that was.
-- KEYS 1: the nodes. ARGV: for each its id, its event's number, and its new row.
local changed = 0
for index = 1, #ARGV, 3 do
  local id, seq, row = ARGV[index], ARGV[index + 1], ARGV[index + 2]
  if call('HEXISTS', key('dead'), id) == 1 then
    call('HSET', key('dead'), id, row)
    call('ZREM', key('dead:seq'), id)
    call('ZREM', key('dead:to'), id)
    call('ZADD', key('dead:gone'), seq, id)
    changed = changed + 1
  end
end
return changed
