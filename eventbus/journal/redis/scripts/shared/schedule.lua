-- The scheduled events: a sorted set by due time, in which NUMBER:ID puts those of one time in order, and a row for each.
-- A row is its number, due time, time of acceptance, and the lengths of topic, head and order key; then these and the body.
local function scheduled_member(number, id) return string.format('%016.0f:%s', number, id) end
local function parse_row(row)
  local number, due, at, topic, head, order_key, start = string.match(row, '^(%d+) (%S+) (%S+) (%d+) (%d+) (%d+)\n()')
  local head_at = start + topic
  local key_at = head_at + head
  local body_at = key_at + order_key
  return {
    number = number, due = due, at = at, topic = string.sub(row, start, head_at - 1),
    head = string.sub(row, head_at, key_at - 1), key = string.sub(row, key_at, body_at - 1),
    body = string.sub(row, body_at),
  }
end
-- Numbers begin with the time, in microseconds, so that those of a copy, which has no newest one, are lower.
local function schedule(due, id, topic, head, body, at, order_key)
  if call('EXISTS', key('scheduled:number')) == 0 then
    local time = call('TIME')
    call('SET', key('scheduled:number'), digits(tonumber(time[1]) * 1000000 + tonumber(time[2])))
  end
  local number = call('INCR', key('scheduled:number'))
  local row = table.concat({digits(number), due, at, #topic, #head, #order_key}, ' ')
  call('HSET', key('scheduled:rows'), id, row .. '\n' .. topic .. head .. order_key .. body)
  call('ZADD', key('scheduled'), due, scheduled_member(number, id))
end
-- Removes a scheduled event and returns it; nothing where it is not there. Its bytes count still.
local function take_scheduled(id)
  local row = call('HGET', key('scheduled:rows'), id)
  if not row then return nil end
  local event = parse_row(row)
  call('HDEL', key('scheduled:rows'), id)
  call('ZREM', key('scheduled'), scheduled_member(event.number, id))
  return event
end
-- How many events are scheduled, and when the next one is due, if there is one.
local function schedule_state()
  local first = call('ZRANGE', key('scheduled'), 0, 0, 'WITHSCORES')
  return {call('ZCARD', key('scheduled')), first[2] or false}
end
