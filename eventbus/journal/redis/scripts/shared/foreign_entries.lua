-- Removes what another program has put after the newest event, since the next number cannot be given until it is gone.
-- The stream's last id is the newest event's again. Returns how many entries it removed. Raises an error where an event
-- of the journal stands there: then the newest number is wrong, and nothing may be removed.
local function remove_foreign_entries()
  local events, removed = key('events'), 0
  local newest = call('GET', key('seq')) or '0'
  while true do
    local entries = call('XRANGE', events, '(' .. newest .. '-0', '+', 'COUNT', 100)
    if #entries == 0 then break end
    for _, entry in ipairs(entries) do
      if call('HGET', key('ids'), entry[2][2]) == string.match(entry[1], '^%d+') then
        error({err = 'BROKEN there are events after the newest number, which somebody has changed'})
      end
      call('XDEL', events, entry[1])
    end
    removed = removed + #entries
  end
  if call('EXISTS', events) == 1 then
    local count = call('XLEN', events)
    call('XSETID', events, newest .. '-0', 'ENTRIESADDED', count, 'MAXDELETEDID', newest .. '-0')
  end
  return removed
end
