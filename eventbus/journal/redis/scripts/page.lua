-- Events in order, at most so many and, but for the first, only while they fit.
-- KEYS 1: the events. ARGV 1: after; 2: upto; 3: limit; 4: bytes.
local left, size, found, after = tonumber(ARGV[3]), 0, {}, ARGV[1] .. '-0'
while left > 0 do
  local entries = redis.call('XRANGE', KEYS[1], '(' .. after, ARGV[2] .. '-0', 'COUNT', math.min(left, 16))
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    if #entry[2] == 10 then size = size + #entry[2][6] + #entry[2][8] end
    if #found > 0 and size > tonumber(ARGV[4]) then return {found, 'more'} end
    found[#found + 1] = entry
    after = entry[1]
  end
  left = left - #entries
end
return {found, left > 0 and 'end' or 'more'}
