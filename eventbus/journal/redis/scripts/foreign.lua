-- Removes what stands after the newest event: another program has put it there, and no number could be given any more.
-- The stream's last id is the newest event's again. Answers how many entries went. An error where an event of the
-- journal stands there: then it is the newest number that is wrong, and nothing may go.
local function remove_foreign(prefix)
  local events, removed = prefix .. 'events', 0
  local newest = redis.call('GET', prefix .. 'seq') or '0'
  while true do
    local entries = redis.call('XRANGE', events, '(' .. newest .. '-0', '+', 'COUNT', 100)
    if #entries == 0 then break end
    for _, entry in ipairs(entries) do
      if redis.call('HGET', prefix .. 'ids', entry[2][2]) == string.match(entry[1], '^%d+') then
        error({err = 'BROKEN there are events after the newest number, which somebody has changed'})
      end
      redis.call('XDEL', events, entry[1])
    end
    removed = removed + #entries
  end
  if redis.call('EXISTS', events) == 1 then
    local count = redis.call('XLEN', events)
    redis.call('XSETID', events, newest .. '-0', 'ENTRIESADDED', count, 'MAXDELETEDID', newest .. '-0')
  end
  return removed
end
