-- Of events with these numbers, which are there: number, topic, bytes, for whom it is deferred, and whose dead letters
-- refer to it, each with the bytes of that.
-- KEYS 1: the nodes; every other key begins as it does. ARGV 1: what an event costs beside itself; then the numbers.
local prefix = string.sub(KEYS[1], 1, -6)
local function key(name) return prefix .. name end
local call = redis.call
local found = {}
for place = 2, #ARGV do
  local seq = ARGV[place]
  local entry = call('XRANGE', key('events'), seq .. '-0', seq .. '-0')[1]
  if entry then
    local kept, waiting, dead = entry[2], {}, {}
    for _, member in ipairs(call('ZRANGEBYSCORE', key('waiting'), seq, seq, 'LIMIT', 0, 1000)) do
      waiting[#waiting + 1] = string.match(member, '^%d+:%d+:(.*)$')
    end
    for _, id in ipairs(call('ZRANGEBYSCORE', key('dead:seq'), seq, seq, 'LIMIT', 0, 1000)) do
      local row = call('HGET', key('dead'), id)
      if row then
        dead[#dead + 1] = cjson.decode(row).key
        dead[#dead + 1] = #row + 300
      end
    end
    local size = #kept[2] + #kept[4] + #kept[6] + #kept[8] + ARGV[1]
    found[#found + 1] = {seq, kept[4], size, waiting, dead}
  end
end
return found
