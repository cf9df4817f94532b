#!lua flags=allow-oom
-- Removes settled events, and what is remembered of older times.
-- KEYS 1: the nodes; every other key begins as it does.
-- ARGV 1: the node that does so for all; 2: the history of the journal that it has read; 3: the numbers, as JSON;
--      4: discards before this moment are forgotten; 5: idempotency keys before this one; 6: how many of those are kept
--      at most; 7: what an event costs beside itself; 8: bytes of idempotency keys that are kept at most; 9: what one
--      costs beside itself and its ids.
--+ history
local prefix = string.sub(KEYS[1], 1, -6)
local function key(name) return prefix .. name end
local call = redis.call
local SOME = 1000

if call('HGET', key('owner'), '.retention') ~= ARGV[1] then return 0 end
if ARGV[2] ~= history() then return 0 end
local gone, bytes = 0, 0
for _, seq in ipairs(cjson.decode(ARGV[3])) do
  if call('ZCOUNT', key('waiting'), seq, seq) == 0 and call('ZCOUNT', key('dead:seq'), seq, seq) == 0 then
    local entry = call('XRANGE', key('events'), seq .. '-0', seq .. '-0')[1]
    if entry then
      local kept = entry[2]
      if call('HGET', key('ids'), kept[2]) == seq then call('HDEL', key('ids'), kept[2]) end
      call('XDEL', key('events'), seq .. '-0')
      if #kept == 10 then bytes = bytes + #kept[2] + #kept[4] + #kept[6] + #kept[8] + ARGV[7] end
      gone = gone + 1
    end
  end
end
if bytes > 0 then call('DECRBY', key('bytes'), bytes) end
for _, member in ipairs(call('ZRANGEBYSCORE', key('discards:at'), '-inf', '(' .. ARGV[4], 'LIMIT', 0, SOME)) do
  call('ZREM', key('discards:at'), member)
  call('ZREM', key('discards'), member)
end
local count, size, freed = call('ZCARD', key('keys:at')), tonumber(call('GET', key('keys:bytes')) or '0'), 0
local oldest = call('ZRANGE', key('keys:at'), 0, SOME - 1, 'WITHSCORES')
for place = 1, #oldest, 2 do
  local known, at = oldest[place], tonumber(oldest[place + 1])
  local over = count > tonumber(ARGV[6]) or size - freed > tonumber(ARGV[8])
  if at >= tonumber(ARGV[5]) and not over then break end
  freed = freed + #known + call('HSTRLEN', key('keys'), known) + ARGV[9]
  count = count - 1
  call('ZREM', key('keys:at'), known)
  call('HDEL', key('keys'), known)
  call('HDEL', key('keys:content'), known)
end
-- Those that an older version has kept are not in the sum.
if freed > 0 then call('DECRBY', key('keys:bytes'), math.min(freed, size)) end
return gone
