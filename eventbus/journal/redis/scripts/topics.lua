-- Returns numbers, topics and times of events in order, without their bodies.
-- KEYS 1: the events. ARGV 1: after which event; 2: the last one; 3: how many.
local found = {}
scan(ARGV[1], ARGV[2], tonumber(ARGV[3]), function(entry)
  local fields = fields_of(entry)
  if fields then found[#found + 1] = {string.match(entry[1], '^%d+'), fields.topic, fields.at} end
end)
return found
