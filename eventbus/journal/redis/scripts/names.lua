-- Ids and topics of the events with these numbers; nothing for one that is gone.
-- KEYS 1: the events. ARGV: the numbers.
local found = {}
for place, seq in ipairs(ARGV) do
  local entry = redis.call('XRANGE', KEYS[1], seq .. '-0', seq .. '-0')[1]
  found[place] = entry and #entry[2] == 10 and {entry[2][2], entry[2][4]} or {}
end
return found
