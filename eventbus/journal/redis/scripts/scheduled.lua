-- Returns scheduled events after a position, the one that is due first first: the member and the row of each, by turns.
-- KEYS 1: the nodes.
-- ARGV 1: the due time of the position; 2: the number there; 3: how many; 4: bytes of rows, which all but the first have
--      to fit.
-- Events of one time are in order of their numbers, and may be thousands: the first one behind is found by halving.
local first = string.format('%016.0f:', ARGV[2])
local low = call('ZCOUNT', key('scheduled'), '-inf', '(' .. ARGV[1])
local high = call('ZCOUNT', key('scheduled'), '-inf', ARGV[1])
while low < high do
  local middle = math.floor((low + high) / 2)
  local member = call('ZRANGE', key('scheduled'), middle, middle)[1]
  if string.sub(member, 1, 17) <= first then low = middle + 1 else high = middle end
end
local found, size = {}, 0
for _, member in ipairs(call('ZRANGE', key('scheduled'), low, low + ARGV[3] - 1)) do
  local row = call('HGET', key('scheduled:rows'), string.sub(member, 18))
  if row then
    size = size + #row
    if #found > 0 and size > tonumber(ARGV[4]) then break end
    found[#found + 1] = member
    found[#found + 1] = row
  end
end
return found
