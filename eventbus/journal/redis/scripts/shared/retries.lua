-- Retries: of a lane by delivery, by due time, by sequence number and by order key, and those of all lanes.
-- A delivery is called "seq:replay" here, the replay with six digits.
local function seq_of(delivery) return string.match(delivery, '^%d+') end
-- What stands for a retry among those of its lane by order key and sequence number.
local function order_member(order_key, delivery)
  local text = seq_of(delivery)
  return order_key .. '\0' .. string.rep('0', 16 - #text) .. text .. string.match(delivery, ':%d+$')
end
local function save_retry(lane, delivery, due, row, order_key)
  call('HSET', key('waits:' .. lane), delivery, row)
  call('ZADD', key('due:' .. lane), due, delivery)
  call('ZADD', key('line:' .. lane), seq_of(delivery), delivery)
  call('ZADD', key('waiting'), seq_of(delivery), delivery .. ':' .. lane)
  if order_key ~= '' then call('ZADD', key('keyed:' .. lane), 0, order_member(order_key, delivery)) end
end
local function remove_retry(lane, delivery)
  local row = call('HGET', key('waits:' .. lane), delivery)
  if row and string.find(row, '"order_key"', 1, true) then
    call('ZREM', key('keyed:' .. lane), order_member(cjson.decode(row).order_key, delivery))
  end
  call('HDEL', key('waits:' .. lane), delivery)
  call('ZREM', key('due:' .. lane), delivery)
  call('ZREM', key('line:' .. lane), delivery)
  call('ZREM', key('waiting'), delivery .. ':' .. lane)
end
-- Makes all retries of a lane due at a moment that wait for their backoff; those that wait for their key go on waiting.
local function hasten_retries(lane, at, blocked_until)
  for _, delivery in ipairs(call('ZRANGEBYSCORE', key('due:' .. lane), '(' .. at, '(' .. blocked_until)) do
    local row = call('HGET', key('waits:' .. lane), delivery)
    call('HSET', key('waits:' .. lane), delivery, (string.gsub(row, '"due_at": ?[^,]+,', '"due_at": ' .. at .. ',', 1)))
    call('ZADD', key('due:' .. lane), at, delivery)
  end
end
