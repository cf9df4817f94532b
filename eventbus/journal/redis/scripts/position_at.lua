-- Returns the number after which all events were accepted at or after a moment: a binary search.
-- KEYS 1: the events. ARGV 1: the moment.
local function number(entry) return tonumber(string.match(entry[1], '^%d+')) end
local oldest = call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not oldest then return '0' end
local low = number(oldest) - 1
local high = number(call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1])
while low < high do
  local middle = math.floor((low + high + 1) / 2)
  local entry = call('XREVRANGE', KEYS[1], digits(middle) .. '-0', '-', 'COUNT', 1)[1]
  if not entry or (tonumber(entry[2][10]) or 0) < tonumber(ARGV[1]) then low = middle else high = number(entry) - 1 end
end
return digits(low)
