-- Appends an event. Needs foreign_entries. Where another program has put something
-- after the newest event, the next number cannot be given until that is gone.
local function add_entry(...)
  local added = redis.pcall('XADD', key('events'), ...)
  if added.err then
    if not string.find(added.err, 'OOM', 1, true) then remove_foreign_entries() end
    call('XADD', key('events'), ...)
  end
end
local function add_event(seq, id, topic, head, body, at, order_key)
  if order_key == '' then
    add_entry(seq .. '-0', 'i', id, 't', topic, 'h', head, 'b', body, 'a', at)
  else
    add_entry(seq .. '-0', 'i', id, 't', topic, 'h', head, 'b', body, 'a', at, 'k', order_key)
  end
  call('HSET', key('ids'), id, seq)
end
