-- Numbers, topics and times of events in order, without their bodies.
-- KEYS 1: the events. ARGV 1: after; 2: upto; 3: limit.
local left, found, after = tonumber(ARGV[3]), {}, ARGV[1] .. '-0'
while left > 0 do
  local entries = redis.call('XRANGE', KEYS[1], '(' .. after, ARGV[2] .. '-0', 'COUNT', math.min(left, 16))
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    after = entry[1]
    if #entry[2] == 10 then found[#found + 1] = {string.match(after, '^%d+'), entry[2][4], entry[2][10]} end
  end
  left = left - #entries
end
return found
