-- Returns the numbers of events in order, each followed by the bytes that it takes.
-- KEYS 1: the events. ARGV 1: after which event; 2: the last one; 3: how many; 4: bytes that one takes beside its own.
local found = {}
scan(ARGV[1], ARGV[2], tonumber(ARGV[3]), function(entry)
  local fields = fields_of(entry)
  if fields then
    found[#found + 1] = string.match(entry[1], '^%d+')
    found[#found + 1] = size_of(fields) + ARGV[4]
  end
end)
return found
