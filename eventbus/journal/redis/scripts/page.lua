-- Returns entries in order, at most so many and, but for the first, only while they fit; and "more" or "end".
-- KEYS 1: the events. ARGV 1: after which event; 2: the last one; 3: how many; 4: bytes.
local size, found = 0, {}
local more = scan(ARGV[1], ARGV[2], tonumber(ARGV[3]), function(entry)
  local parts = entry[2]
  if #parts >= 10 then size = size + #parts[6] + #parts[8] end
  if #found > 0 and size > tonumber(ARGV[4]) then return true end
  found[#found + 1] = entry
end)
return {found, more and 'more' or 'end'}
