-- Returns of events with these numbers those that are there: number, topic, bytes, the lanes in which it waits for a
-- retry, and the lanes whose dead letters refer to it, each with the bytes of that.
-- KEYS 1: the nodes. ARGV 1: bytes that an event takes beside its own; then the numbers.
local found = {}
for index = 2, #ARGV do
  local seq = ARGV[index]
  local entry = entry_of(seq)
  local fields = entry and fields_of(entry)
  if fields then
    local waiting, dead = {}, {}
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
    found[#found + 1] = {seq, fields.topic, size_of(fields) + ARGV[1], waiting, dead}
  end
end
return found
