#!lua flags=allow-oom
-- Removes settled events, and what is remembered of older times and of events that are gone.
-- KEYS 1: the nodes.
-- ARGV 1: the node that trims for all; 2: the replication id under which it has read the journal; 3: the numbers, as
--      JSON; 4: discards before this moment are removed; 5: idempotency keys before this one; 6: how many of those stay
--      at most; 7: bytes that an event takes beside its own; 8: bytes of idempotency keys that stay at most; 9: bytes
--      that one takes beside itself and its ids.
-- Returns how many events it removed.
local ROWS = 1000

if call('HGET', key('owner'), '.retention') ~= ARGV[1] then return 0 end
if ARGV[2] ~= replication_id() then return 0 end
local removed, bytes = 0, 0
for _, seq in ipairs(cjson.decode(ARGV[3])) do
  if call('ZCOUNT', key('waiting'), seq, seq) == 0 and call('ZCOUNT', key('dead:seq'), seq, seq) == 0 then
    local entry = entry_of(seq)
    if entry then
      local fields = fields_of(entry)
      if call('HGET', key('ids'), entry[2][2]) == seq then call('HDEL', key('ids'), entry[2][2]) end
      call('XDEL', key('events'), seq .. '-0')
      if fields then bytes = bytes + size_of(fields) + ARGV[7] end
      removed = removed + 1
    end
  end
end
if bytes > 0 then call('DECRBY', key('bytes'), bytes) end
local function forget_discards(members)
  for _, member in ipairs(members) do
    call('ZREM', key('discards:at'), member)
    call('ZREM', key('discards'), member)
  end
end
forget_discards(call('ZRANGEBYSCORE', key('discards:at'), '-inf', '(' .. ARGV[4], 'LIMIT', 0, ROWS))
local oldest_event = call('XRANGE', key('events'), '-', '+', 'COUNT', 1)[1]
if oldest_event then
  local first = string.match(oldest_event[1], '^%d+')
  forget_discards(call('ZRANGEBYSCORE', key('discards'), '-inf', '(' .. first, 'LIMIT', 0, ROWS))
end
local count, size, freed = call('ZCARD', key('keys:at')), tonumber(call('GET', key('keys:bytes')) or '0'), 0
local oldest = call('ZRANGE', key('keys:at'), 0, ROWS - 1, 'WITHSCORES')
for index = 1, #oldest, 2 do
  local used, at = oldest[index], tonumber(oldest[index + 1])
  local over = count > tonumber(ARGV[6]) or size - freed > tonumber(ARGV[8])
  if at >= tonumber(ARGV[5]) and not over then break end
  freed = freed + #used + call('HSTRLEN', key('keys'), used) + ARGV[9]
  count = count - 1
  call('ZREM', key('keys:at'), used)
  call('HDEL', key('keys'), used)
  call('HDEL', key('keys:content'), used)
  call('HDEL', key('keys:due'), used)
end
-- Keys that an older version has kept are not in the sum.
if freed > 0 then call('DECRBY', key('keys:bytes'), math.min(freed, size)) end
return removed
