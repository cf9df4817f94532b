-- What every script begins with. All keys begin like the first one that a script is given: "{eventbus}:".
local call = redis.call
local prefix = KEYS[1] and string.match(KEYS[1], '^{%w+}:')
local function key(name) return prefix .. name end
-- A whole number as text: above 10^14 Lua would write an exponent.
local function digits(number) return string.format('%.0f', number) end
-- The time in ms, by the clock of this server.
local function now_ms()
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local function is_alive(node, now)
  local alive_until = call('ZSCORE', key('nodes'), node)
  return alive_until and tonumber(alive_until) >= now
end
-- The server's replication id. One that has restarted, or was promoted, has another id than before, and perhaps other
-- events under the same numbers. If a server does not show it, it is the id of its process.
-- https://redis.io/docs/latest/operate/oss_and_stack/management/replication/ (replication ID)
local function replication_id()
  return string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
    or string.match(call('INFO', 'server'), 'run_id:(%x+)') or ''
end
-- An event's entry in the stream, or nil.
local function entry_of(seq) return call('XRANGE', key('events'), seq .. '-0', seq .. '-0')[1] end
-- The fields of an entry by name, or nil where it is no event: another program may put entries among them.
local function fields_of(entry)
  local parts = entry[2]
  if #parts ~= 10 and #parts ~= 12 then return nil end
  return {id = parts[2], topic = parts[4], head = parts[6], body = parts[8], at = parts[10], key = parts[12] or ''}
end
local function size_of(fields) return #fields.id + #fields.topic + #fields.head + #fields.body + #fields.key end
-- Calls visit(entry) for each entry after one number up to another, at most so many, until that returns true. Returns
-- whether the limit was reached, or visit returned true: then there may be more.
local function scan(after, last, limit, visit)
  local left, start = limit, after .. '-0'
  while left > 0 do
    local entries = call('XRANGE', key('events'), '(' .. start, last .. '-0', 'COUNT', math.min(left, 16))
    if #entries == 0 then return false end
    for _, entry in ipairs(entries) do
      if visit(entry) then return true end
      start = entry[1]
    end
    left = left - #entries
  end
  return true
end
